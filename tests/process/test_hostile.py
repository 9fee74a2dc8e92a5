"""Hostile functions on a live node, while another caller goes on undisturbed."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from madrpc import Client, MadrpcError
from tests.servers import RunningServer, poll_until, require_v8, servers_in

SCRIPT = Path(__file__).with_name("hostile.js")
NAMES = re.findall(r"^  (\w+): ", SCRIPT.read_text().partition("\n};\n")[0], re.M)
POOL_SIZE = 3

#: How a function must end, by the first word of its name; a test in EXCEPTIONS has its own.
BY_KIND = {
    "endless": {"TimeLimitExceeded"},
    "regex": {"TimeLimitExceeded"},
    "native": {"TimeLimitExceeded", "MemoryLimitExceeded"},
    "memory": {"MemoryLimitExceeded"},
    "stack": {"StackLimitExceeded"},
    "result": {"ResultNotSerializable"},
    "throw": {"JavaScriptError"},
    "reject": {"JavaScriptError"},
    "never": {"PromiseNeverSettled"},
    "unknown": {"JavaScriptError"},
    "reach": {"JavaScriptError"},
    "slow": {"JavaScriptError", "StackLimitExceeded", "TimeLimitExceeded"},
}
EXCEPTIONS = {
    # JavaScript's own RangeError: no text can be that long.
    "memory_pad": {"JavaScriptError"},
    # A map is filled so slowly that on a busy machine its time may be up first.
    "memory_map": {"MemoryLimitExceeded", "TimeLimitExceeded"},
    # Which limit comes first depends on the engine's build.
    "stack_proxy_chain": {"StackLimitExceeded", "MemoryLimitExceeded"},
    # A pattern of 100 000 groups is refused as a syntax error.
    "stack_regex": {"JavaScriptError", "StackLimitExceeded"},
    "stack_nested_json": {"StackLimitExceeded", "ResultNotSerializable"},
    "result_huge": {"PayloadTooLarge", "MemoryLimitExceeded"},
    "result_revoked_proxy": {"ResultNotSerializable", "JavaScriptError"},
}


#: These use up their whole time, so they run at once.
SPINNING = [name for name in NAMES if name.startswith(("endless_", "native_", "regex_"))]


#: How V8 differs: a full heap is collected again and again before it is given up, which takes time.
ON_V8 = {
    **{name: {"MemoryLimitExceeded", "TimeLimitExceeded"} for name in NAMES if "memory_" in name},
    # Ten million characters, and again as JSON, in a heap of 24 MiB.
    "throw_huge": {"JavaScriptError", "MemoryLimitExceeded"},
    # Patterns and JSON may be nested as deep as the heap allows, up to what can be sent.
    "stack_json_parse": {"ResultNotSerializable"},
}


def expected_of(name: str, engine: str) -> set[str]:
    here = ON_V8.get(name) if engine == "v8" else None
    return here or EXCEPTIONS.get(name) or BY_KIND[name.partition("_")[0]]


class Neighbour:
    """Calls echo with a new number all the time, and notes everything that goes wrong."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.calls = 0
        self.failures: list[str] = []

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        with Client(self._address, timeout=10) as client:
            while not self._enough.wait(0.002):
                self.calls += 1
                try:
                    answer = client.call("echo", {"nonce": self.calls})
                    if answer != {"nonce": self.calls}:
                        self.failures.append(f"wrong answer {answer!r}")
                except MadrpcError as error:
                    self.failures.append(f"{error.name}: {error.message}")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("quickjs", "context"), id="context"),
        pytest.param(("quickjs", "snapshot"), id="snapshot"),
        pytest.param(("v8", "context"), id="v8"),
    ],
)
def node(request, tmp_path_factory) -> Iterator[RunningServer]:  # type: ignore[no-untyped-def]
    """A node with a short time limit, and a neighbour that must notice nothing."""
    engine, isolation = request.param
    if engine == "v8":
        require_v8()
    with servers_in(tmp_path_factory.mktemp("hostile")) as servers:
        running = servers.node(
            *("-s", SCRIPT, "--pool-size", POOL_SIZE, "--time-limit", 1.5),
            *("--memory-limit", 24, "--isolation", isolation, "--engine", engine),
        )
        running.engine = engine  # type: ignore[attr-defined]
        fds = running.fds()
        with Neighbour(running.address) as neighbour:
            running.spinning = _outcomes_of_all(running, SPINNING)  # type: ignore[attr-defined]
            yield running
        assert neighbour.failures == []
        assert neighbour.calls > 50
        with Client(running.address) as client:
            poll_until(lambda: client.metrics()["workers"]["ready"] >= POOL_SIZE, "pool whole", 3)
            metrics = client.metrics()
        assert (metrics["in_flight"], metrics["queued"], metrics["workers"]["parked"]) == (0, 0, 0)
        poll_until(lambda: running.fds() <= fds + 2 * POOL_SIZE, "descriptors closed")
        assert running.rss() < 150 * 2**20
        assert not [name for name in os.listdir(Path.cwd()) if name.startswith("core.")]
        _no_zombies(running)


def _no_zombies(server: RunningServer) -> None:
    children = psutil.Process(server.pid).children(recursive=True)
    poll_until(
        lambda: not any(c.is_running() and c.status() == "zombie" for c in children), "reaped"
    )


@pytest.fixture
def client(node: RunningServer) -> Iterator[Client]:
    with Client(node.address, timeout=20) as made:
        yield made


def _outcomes_of_all(server: RunningServer, names: list[str]) -> dict[str, object]:
    """What calls of these functions end in, with one worker left to the neighbour."""
    with Client(server.address, timeout=60) as client:
        outcomes = ThreadPoolExecutor(POOL_SIZE - 1).map(lambda name: _outcome(client, name), names)
        return dict(zip(names, outcomes, strict=True))


def _outcome(client: Client, name: str) -> object:
    try:
        return client.call(name)
    except MadrpcError as error:
        return error


@pytest.mark.parametrize("name", SPINNING)
def test_functions_that_never_end_are_stopped(node: RunningServer, name: str) -> None:
    outcome = node.spinning[name]  # type: ignore[attr-defined]
    assert isinstance(outcome, MadrpcError)
    assert outcome.name in expected_of(name, node.engine), outcome  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SPINNING])
def test_hostile_functions_end_in_the_error_they_deserve(
    node: RunningServer, client: Client, name: str
) -> None:
    with pytest.raises(MadrpcError) as caught:
        client.call(name)
    engine: str = node.engine  # type: ignore[attr-defined]
    assert caught.value.name in expected_of(name, engine), caught.value
    assert len(caught.value.message) < 10_000
    caught.value.message.encode()


def test_nothing_leaks_into_the_next_call(client: Client) -> None:
    for _ in range(3 * POOL_SIZE):
        with contextlib.suppress(MadrpcError):
            client.call("poison")
        assert client.call("clean", {"numbers": [1.5]}) == {
            "leaked": "undefined",
            "mapped": [1],
            "text": '{"a":1}',
        }


def test_there_are_enough_hostile_functions() -> None:
    assert len(NAMES) >= 60
