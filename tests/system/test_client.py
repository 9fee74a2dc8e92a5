"""The blocking client against real servers."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

import pytest

from madrpc import (
    CallTimeout,
    Client,
    ClientClosed,
    ConnectionFailed,
    InvalidArguments,
    JavaScriptError,
    MadrpcError,
    MethodNotFound,
    PayloadTooLarge,
)
from tests.servers import ROOT, RunningServer, Servers, environment, poll_until, servers_in

SCRIPT = """
madrpc.register("double", ({n}) => 2 * n);
madrpc.register("echo", (x) => x);
madrpc.register("fail", ({n}) => { throw new RangeError("n is " + n); });
madrpc.register("spin", ({ms, tag}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return tag;
});
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An orchestrator with one node of four workers."""
    with servers_in(tmp_path_factory.mktemp("live")) as servers:
        node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 4)
        yield servers.orchestrator(node)


@pytest.fixture
def client(live: RunningServer) -> Iterator[Client]:
    with Client(live.address, timeout=20) as made:
        yield made


# ------------------------------------------------------------------ call


def test_call_and_rpc(client: Client) -> None:
    assert client.call("double", {"n": 4}) == 8
    assert client.rpc.double(n=4) == 8
    assert client.call("echo") == {}


@pytest.mark.parametrize(
    ("method", "args", "kind", "words"),
    [
        ("doubel", {}, MethodNotFound, "did you mean 'double'"),
        ("fail", {"n": 3}, JavaScriptError, "RangeError: n is 3"),
        ("echo", {"x": float("inf")}, InvalidArguments, r"args\.x: inf is not a JSON number"),
        ("echo", {"x": [{"y": 2**53}]}, InvalidArguments, r"args\.x\[0\]\.y: 9007199254740992"),
        ("echo", {"x": {1, 2}}, InvalidArguments, r"args\.x: a set is not a JSON value"),
        ("echo", {"x": 2**70}, InvalidArguments, r"args\.x: .* is beyond"),
        ("echo", {"x": "\ud800"}, InvalidArguments, r"args\.x: .*lone surrogate"),
        ("echo", [1, 2], InvalidArguments, "arguments are named: pass a dict"),
        ("echo", {"x": b"bytes"}, InvalidArguments, r"args\.x: a bytes is not a JSON value"),
        ("echo", {"x": {1: 2}}, InvalidArguments, "the key 1 is not text"),
        ("echo", {"x": "y" * (17 * 2**20)}, PayloadTooLarge, "the limit is 16777216"),
    ],
)
def test_errors_are_typed_and_pickle(
    client: Client, method: str, args: dict[str, object], kind: type[MadrpcError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        client.call(method, args)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.message, copy.data) == (
        kind,
        caught.value.message,
        caught.value.data,
    )
    assert client.call("double", {"n": 1}) == 2


def test_a_timeout_is_a_timeout_error_and_leaves_the_client_usable(client: Client) -> None:
    with pytest.raises(CallTimeout) as caught:
        client.call("spin", {"ms": 60_000}, timeout=0.3)
    assert isinstance(caught.value, TimeoutError)
    assert client.call("double", {"n": 2}) == 4


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_positive(client: Client, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0"):
        client.call("double", {"n": 1}, timeout=timeout)


def test_no_timeout_at_all(client: Client) -> None:
    assert client.call("spin", {"ms": 50, "tag": 1}, timeout=None) == 1


def test_more_threads_than_connections(live: RunningServer) -> None:
    with Client(live.address, max_connections=2) as client, ThreadPoolExecutor(24) as threads:
        results = list(threads.map(lambda n: client.call("double", {"n": n}), range(600)))
        assert client.metrics()["connections"] <= 2 + 1
    assert results == [2 * n for n in range(600)]


def test_an_interrupt_in_a_call_cannot_mix_up_answers(client: Client) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupt

    client.call("double", {"n": 0})
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupt):
                client.call("spin", {"ms": 5_000, "tag": "stale"})
            assert client.call("echo", {"fresh": 1}) == {"fresh": 1}
    finally:
        signal.signal(signal.SIGALRM, before)
    poll_until(lambda: client.metrics()["in_flight"] == 0, "the calls were cancelled")


# ---------------------------------------------------------------- submit


def test_submit_returns_real_futures(client: Client) -> None:
    futures = {client.submit("double", {"n": n}): n for n in range(200)}
    for future in as_completed(futures, timeout=20):
        assert future.result() == 2 * futures[future]
    failed = client.submit("fail", {"n": 1})
    assert isinstance(failed.exception(20), JavaScriptError)


def test_cancel_works_while_a_call_runs(client: Client) -> None:
    future = client.submit("spin", {"ms": 60_000})
    poll_until(lambda: client.metrics()["in_flight"] > 0, "the call runs")
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result()
    poll_until(lambda: client.metrics()["in_flight"] == 0, "the server stopped the call")


def test_a_submitted_call_times_out(client: Client) -> None:
    with pytest.raises(CallTimeout):
        client.submit("spin", {"ms": 60_000}, timeout=0.2).result(5)


def test_a_burst_of_futures_beyond_the_nodes_queue(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2, "--queue-size", 32)
    with Client(node.address) as client:
        futures = [client.submit("double", {"n": n}) for n in range(400)]
        results = [future.exception(30) or future.result() for future in futures]
    refused = [r for r in results if isinstance(r, MadrpcError)]
    assert {type(r).__name__ for r in refused} <= {"Overloaded"}
    assert [r for r in results if not isinstance(r, MadrpcError)] == [
        2 * n for n, r in enumerate(results) if not isinstance(r, MadrpcError)
    ]


def test_close_ends_what_waits(live: RunningServer) -> None:
    client = Client(live.address)
    future = client.submit("spin", {"ms": 60_000})
    client.close()
    client.close()
    assert isinstance(future.exception(5), ClientClosed)
    for use in (
        lambda: client.call("double", {"n": 1}),
        lambda: client.submit("double", {"n": 1}),
        lambda: next(iter(client.map("double", [{"n": 1}]))),
    ):
        with pytest.raises(ClientClosed):
            use()


# ------------------------------------------------------------------- map


def test_map_keeps_the_order(client: Client) -> None:
    items = [{"ms": 30 if n == 0 else 0, "tag": n} for n in range(100)]
    assert list(client.map("spin", items, concurrency=8)) == list(range(100))


def test_map_yields_as_answers_come(client: Client) -> None:
    items = [{"ms": 300 if n == 0 else 0, "tag": n} for n in range(20)]
    results = list(client.map("spin", items, concurrency=4, ordered=False))
    assert sorted(results) == list(range(20))
    assert results[0] != 0


@pytest.mark.parametrize("ordered", [True, False])
def test_map_reads_its_input_only_as_far_as_its_window(client: Client, ordered: bool) -> None:
    read = 0

    def items() -> Iterator[dict[str, int]]:
        nonlocal read
        for n in range(10_000):
            read += 1
            yield {"n": n}

    results = client.map("double", items(), concurrency=5, ordered=ordered)
    assert read == 0
    for yielded in range(1, 50):
        next(results)
        assert read <= yielded + 5
    results.close()  # type: ignore[attr-defined]


def test_map_raises_the_first_failure_or_returns_all(client: Client) -> None:
    items = [{"n": n} for n in range(3)]
    with pytest.raises(JavaScriptError, match="n is 0"):
        list(client.map("fail", items))
    errors = list(client.map("fail", items, return_errors=True))
    assert [error.data["message"] for error in errors] == ["n is 0", "n is 1", "n is 2"]


def test_leaving_map_cancels_what_is_in_flight(client: Client) -> None:
    results = client.map("spin", [{"ms": 0, "tag": 1}] + [{"ms": 60_000}] * 8, concurrency=4)
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]
    poll_until(lambda: client.metrics()["in_flight"] == 0, "the calls were cancelled")


def test_map_survives_the_loss_of_its_connection(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)
    first, second = servers.orchestrator(node), servers.orchestrator(node)
    with Client([first.address, second.address]) as client:
        results = []
        for answer in client.map("spin", ({"ms": 2, "tag": n} for n in range(400))):
            results.append(answer)
            if answer == 100:
                first.send(signal.SIGKILL)
    assert results == list(range(400))


# -------------------------------------------------------------- failover


def test_a_list_of_orchestrators_fails_over(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    first, second = servers.orchestrator(node), servers.orchestrator(node)
    with Client([first.address, second.address]) as client:
        assert client.call("double", {"n": 1}) == 2
        assert first.stop() == 0
        assert client.call("double", {"n": 2}) == 4
        assert client.submit("double", {"n": 3}).result(10) == 6


def test_a_stale_connection_is_replaced_unseen(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with Client(node.address) as client:
        assert client.call("double", {"n": 1}) == 2
        node.stop()
        servers.node("-s", servers.folder / "script.js", "-b", node.address)
        assert client.call("double", {"n": 2}) == 4


def test_nobody_there() -> None:
    with Client("127.0.0.1:1", timeout=5) as client:
        for fail in (
            lambda: client.call("double"),
            lambda: client.submit("double").result(10),
            lambda: list(client.map("double", [{}])),
        ):
            with pytest.raises(ConnectionFailed, match=r"cannot reach 127\.0\.0\.1:1"):
                fail()


# --------------------------------------------------------- surroundings


def test_a_forked_child_gets_connections_of_its_own(client: Client) -> None:
    assert client.submit("double", {"n": 1}).result(10) == 2
    assert client.call("double", {"n": 1}) == 2
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            right = [client.call("double", {"n": n}) == 2 * n for n in range(200)]
            right.append(client.submit("double", {"n": 5}).result(10) == 10)
            code = 0 if all(right) else 1
        finally:
            os._exit(code)
    os.close(read)
    os.close(write)
    for n in range(200):
        assert client.call("double", {"n": n}) == 2 * n
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_share_one_client(client: Client) -> None:
    wrong: list[object] = []

    def work(base: int) -> None:
        for n in range(base, base + 100):
            if client.call("double", {"n": n}) != 2 * n:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


GEVENT_PROGRAM = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
from madrpc import Client
with Client(sys.argv[1]) as client:
    ticks = []
    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.01)
    ticker = gevent.spawn(tick)
    jobs = [gevent.spawn(client.call, "spin", {"ms": 150, "tag": n}) for n in range(8)]
    gevent.joinall(jobs, timeout=20)
    assert [job.value for job in jobs] == list(range(8)), [job.value for job in jobs]
    assert len(ticks) > 5, ticks
    assert client.submit("double", {"n": 2}).result(10) == 4
    assert list(client.map("double", [{"n": n} for n in range(50)])) == [2*n for n in range(50)]
    ticker.kill()
"""


def test_under_gevent_monkey_patching(live: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GEVENT_PROGRAM, live.address],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


IMPORT_PROGRAM = """
import sys
import {module}
heavy = ("gevent", "quickjs", "psutil", "prometheus_client", "tqdm", "asyncio")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize("module", ["madrpc", "madrpc.cli.parsers", "madrpc.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    program = IMPORT_PROGRAM.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
