"""Workers that die, stop or hang, in both kinds of isolation: what callers and the pool see."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from madrpc import Client, MadrpcError, WorkerCrashed
from tests.servers import RunningServer, Servers, poll_until, runs, servers_in

SCRIPT = """
madrpc.register("echo", args => args);
madrpc.register("spin", ({ms, tag}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return tag;
});
madrpc.register("text", ({size, letter}) => letter.repeat(size));
"""
POOL_SIZE = 2


@pytest.fixture(scope="module", params=["context", "snapshot"])
def node(request, tmp_path_factory) -> Iterator[RunningServer]:  # type: ignore[no-untyped-def]
    with servers_in(tmp_path_factory.mktemp("workers")) as servers:
        yield servers.node(
            *("-s", servers.script(SCRIPT), "--pool-size", POOL_SIZE),
            *("--isolation", request.param, "--time-limit", 10),
        )


@pytest.fixture
def client(node: RunningServer) -> Iterator[Client]:
    with Client(node.address, timeout=30) as made:
        yield made
        poll_until(lambda: made.metrics()["workers"]["ready"] >= POOL_SIZE, "the pool is whole", 5)


def workers(client: Client, state: str) -> list[int]:
    rows = client.metrics()["workers"]["processes"]
    return [row["pid"] for row in rows if row["state"] == state]


def busy_worker(client: Client) -> int:
    found: list[int] = poll_until(lambda: workers(client, "busy"), "a call runs")
    return found[0]


def test_a_stopped_worker_is_replaced_and_its_call_run_again(client: Client) -> None:
    answer = client.submit("spin", {"ms": 1500, "tag": "right"})
    pid = busy_worker(client)
    os.kill(pid, signal.SIGSTOP)
    assert answer.result(8) == "right"
    poll_until(lambda: not psutil.pid_exists(pid) or not runs(psutil.Process(pid)), "it is gone")


def test_calls_do_not_wait_for_idle_workers_that_are_stopped(client: Client) -> None:
    for pid in workers(client, "idle"):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert client.call("echo", {"a": 1}) == {"a": 1}
    assert time.monotonic() - began < 8


def test_a_function_that_crashes_its_worker_is_given_up_and_no_other_call_notices(
    client: Client,
) -> None:
    poison = client.submit("spin", {"ms": 9_000})
    neighbours = [client.submit("spin", {"ms": 300, "tag": n}) for n in range(6)]
    killed: set[int] = set()

    def crash_it() -> bool:
        # The poisoned call is the one that runs longest.
        rows = client.metrics()["workers"]["processes"]
        for row in rows:
            if row["state"] == "busy" and row["pid"] not in killed and _neighbours_done():
                os.kill(row["pid"], signal.SIGSEGV)
                killed.add(row["pid"])
        return poison.done()

    def _neighbours_done() -> bool:
        return all(neighbour.done() for neighbour in neighbours)

    poll_until(crash_it, "the call was given up")
    error = poison.exception()
    assert isinstance(error, WorkerCrashed)
    assert error.data["signal"] == signal.SIGSEGV
    assert len(killed) == 2
    assert [neighbour.result(20) for neighbour in neighbours] == list(range(6))


def test_a_storm_of_deaths_ends_in_answers_or_errors_and_passes(client: Client) -> None:
    over = threading.Event()
    outcomes: list[object] = []

    def call_all_the_time() -> None:
        while not over.is_set():
            try:
                outcomes.append(client.call("spin", {"ms": 20, "tag": 7}, timeout=10))
            except MadrpcError as error:
                outcomes.append(type(error).__name__)

    with ThreadPoolExecutor(3) as threads:
        callers = [threads.submit(call_all_the_time) for _ in range(3)]
        for _ in range(15):
            for state in ("busy", "idle"):
                for pid in workers(client, state):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
            time.sleep(0.1)
        over.set()
        for caller in callers:
            caller.result(30)
    assert set(outcomes) <= {7, "WorkerCrashed", "Overloaded"}
    poll_until(lambda: client.metrics()["workers"]["ready"] >= POOL_SIZE, "the pool is whole", 10)
    assert client.call("echo", {"a": 1}) == {"a": 1}


def test_a_deadline_as_long_as_the_call_gives_its_own_answer_or_none(client: Client) -> None:
    rng = random.Random(5)

    def outcome(number: int) -> object:
        timeout = 0.01 + rng.random() * 0.015
        try:
            return client.call("spin", {"ms": 10, "tag": number}, timeout=timeout)
        except MadrpcError as error:
            return error.name

    with ThreadPoolExecutor(4) as threads:
        for number, found in enumerate(threads.map(outcome, range(200))):
            assert found in (number, "CallTimeout")


def test_results_larger_than_any_buffer_from_every_worker_at_once(client: Client) -> None:
    size = 8 * 1024 * 1024
    futures = [client.submit("text", {"size": size, "letter": letter}) for letter in "abcdef"]
    for letter, future in zip("abcdef", futures, strict=True):
        text = future.result(60)
        assert len(text) == size
        assert set(text) == {letter}


@pytest.mark.parametrize("isolation", ["context", "snapshot"])
def test_a_killed_node_leaves_no_process_and_a_free_port(servers: Servers, isolation: str) -> None:
    words = ("-s", servers.script(SCRIPT), "--pool-size", 2, "--isolation", isolation)
    node = servers.node(*words)
    with Client(node.address) as client:
        client.submit("spin", {"ms": 9_000})
        busy_worker(client)
        family = psutil.Process(node.pid).children(recursive=True)
        assert len(family) >= 2
        node.send(signal.SIGKILL)
        poll_until(lambda: not any(map(runs, family)), "no worker is left", 2)
    again = servers.node(*words, "-b", node.address)
    with Client(again.address) as client:
        assert client.call("echo", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("source", ["madrpc.register('f', () => {", "throw new Error('no')"])
def test_a_script_that_cannot_be_loaded_ends_the_node_without_a_storm(
    servers: Servers, source: str
) -> None:
    with pytest.raises(AssertionError, match="did not start") as caught:
        servers.node("-s", servers.script(source), "--pool-size", 4)
    assert "script.js" in str(caught.value)
