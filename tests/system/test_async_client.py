"""What only the asyncio client does: tasks, loops, async inputs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from madrpc import AsyncClient, CallTimeout, ClientClosed
from tests.clients import SCRIPT
from tests.servers import ROOT, RunningServer, environment, servers_in


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("node")) as servers:
        yield servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(20):
            while not await condition():  # noqa: ASYNC110 - a server's state has no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


async def is_busy(client: AsyncClient, busy: int) -> bool:
    workers = (await client.metrics())["workers"]
    return bool(workers["busy"] == busy)


def test_cancelling_a_task_frees_the_worker(node: RunningServer) -> None:
    async def main() -> None:
        async with AsyncClient(node.address) as client:
            tasks = [asyncio.create_task(client.call("spin", {"ms": 60_000})) for _ in range(2)]
            await until(lambda: is_busy(client, 2), "both run")
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)
            await until(lambda: is_busy(client, 0), "the workers are free")
            assert await client.call("double", {"n": 2}) == 4

    asyncio.run(main())


def test_a_timeout_of_asyncio_cancels_too(node: RunningServer) -> None:
    async def main() -> None:
        async with AsyncClient(node.address) as client:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await client.call("spin", {"ms": 60_000})
            assert not isinstance(caught.value, CallTimeout)
            await until(lambda: is_busy(client, 0), "the worker is free")

    asyncio.run(main())


def test_a_thousand_tasks_share_one_connection(node: RunningServer) -> None:
    async def main() -> None:
        async with AsyncClient(node.address) as client:
            calls = (client.call("double", {"n": n}) for n in range(1000))
            assert await asyncio.gather(*calls) == [2 * n for n in range(1000)]
            assert (await client.metrics())["connections"] == 1

    asyncio.run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_an_async_input_is_read_only_as_far_as_the_window(
    node: RunningServer, ordered: bool
) -> None:
    read = 0

    async def items() -> AsyncIterator[dict[str, int]]:
        nonlocal read
        for n in range(300):
            read += 1
            yield {"n": n}

    async def main() -> None:
        yielded = 0
        async with AsyncClient(node.address) as client:
            async for _ in client.map("double", items(), concurrency=5, ordered=ordered):
                yielded += 1
                assert read <= yielded + 5
        assert yielded == read == 300

    asyncio.run(main())


def test_results_come_out_while_the_input_waits_for_them(node: RunningServer) -> None:
    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        queue.put_nowait(1)

        async def items() -> AsyncIterator[dict[str, int]]:
            while (n := await queue.get()) < 100:
                yield {"n": n}

        async with AsyncClient(node.address) as client:
            found = []
            async for result in client.map("double", items()):
                found.append(result)
                queue.put_nowait(result)
        assert found == [2, 4, 8, 16, 32, 64, 128]

    asyncio.run(main())


def test_an_async_input_that_fails_ends_the_map(node: RunningServer) -> None:
    async def items() -> AsyncIterator[dict[str, int]]:
        yield {"ms": 60_000}
        raise RuntimeError("the file is gone")

    async def main() -> None:
        async with AsyncClient(node.address) as client:
            with pytest.raises(RuntimeError, match="the file is gone"):
                [result async for result in client.map("spin", items())]
            await until(lambda: is_busy(client, 0), "the call was cancelled")

    asyncio.run(main())


def test_a_map_left_early_cancels_what_is_in_flight(node: RunningServer) -> None:
    async def main() -> None:
        async with AsyncClient(node.address) as client:
            items = [{"ms": 0, "tag": 1}] + [{"ms": 60_000}] * 8
            async for result in client.map("spin", items, concurrency=4):
                assert result == 1
                break
            await until(lambda: is_busy(client, 0), "the calls were cancelled")

    asyncio.run(main())


def test_another_loop_is_refused(node: RunningServer) -> None:
    client = AsyncClient(node.address)
    with asyncio.Runner() as first:
        assert first.run(client.call("double", {"n": 1})) == 2
        # A loop may not run within another one in one thread, but it may between its turns.
        with asyncio.Runner() as second:
            with pytest.raises(RuntimeError, match="opened in another event loop"):
                second.run(client.call("double", {"n": 1}))
            with pytest.raises(RuntimeError, match="opened in another event loop"):
                second.run(client.close())
        assert first.run(client.call("double", {"n": 2})) == 4
        first.run(client.close())
        with pytest.raises(ClientClosed):
            first.run(client.call("double", {"n": 2}))


def test_a_forked_child_is_refused(node: RunningServer) -> None:
    client = AsyncClient(node.address)
    with asyncio.Runner() as runner:
        assert runner.run(client.call("double", {"n": 1})) == 2
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.new_event_loop().run_until_complete(client.call("double", {"n": 1}))
            except RuntimeError as error:
                code = 0 if "make a new one in the child" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(client.call("double", {"n": 2})) == 4
        runner.run(client.close())


def test_close_lets_nothing_behind(node: RunningServer) -> None:
    async def main() -> None:
        before = set(os.listdir("/dev/fd"))
        client = AsyncClient(node.address)
        futures = [client.submit("spin", {"ms": 60_000}) for _ in range(3)]
        await until(lambda: is_busy(client, 2), "they run")
        await client.close()
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosed] * 3
        assert set(os.listdir("/dev/fd")) == before
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # One that is closed while it connects, and before its task had a turn.
        for turns in range(4):
            hasty = AsyncClient(node.address)
            future = hasty.submit("double", {"n": 1})
            for _ in range(turns):
                await asyncio.sleep(0)
            await hasty.close()
            with contextlib.suppress(ClientClosed):
                await future
        assert set(os.listdir("/dev/fd")) == before

    asyncio.run(main())


ENDINGS = {
    "a full program": """
        assert await client.call("double", {"n": 2}) == 4
        assert [r async for r in client.map("double", [{"n": 1}] * 99)] == [2] * 99
    """,
    "work is left behind": """
        client.submit("spin", {"ms": 60_000})
        items = [{"ms": 0, "tag": 1}] + [{"ms": 60_000}] * 3
        assert await anext(client.map("spin", items)) == 1
        waits = asyncio.create_task(anext(client.map("spin", items[1:])))
        await asyncio.sleep(0.2)
        waits.cancel()
    """,
    "the main task is cancelled": """
        asyncio.get_running_loop().call_later(0.2, asyncio.current_task().cancel)
        try:
            await client.call("spin", {"ms": 60_000})
        except asyncio.CancelledError:
            pass
    """,
}
PROGRAM = """
import asyncio, gc, sys
from madrpc import AsyncClient
{loop}
async def main():
    async with AsyncClient(sys.argv[1]) as client:
{body}
run(main())
gc.collect()
print("done", "gevent" in sys.modules)
"""
LOOPS = {"asyncio": "run = asyncio.run", "uvloop": "import uvloop; run = uvloop.run"}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_without_a_word(node: RunningServer, ending: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    program = PROGRAM.format(loop=LOOPS[loop], body=ENDINGS[ending])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program, node.address],
        capture_output=True, text=True, timeout=60, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("done False\n", 0), done.stderr
    assert done.stderr == ""


def test_without_a_loop_a_call_says_so(node: RunningServer) -> None:
    client: Any = AsyncClient(node.address)
    with pytest.raises(RuntimeError, match="no running event loop"):
        client.submit("double", {"n": 1})
