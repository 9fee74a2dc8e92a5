"""One node and one orchestrator for the whole session, and what must hold after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RunningServer, Servers, poll_until, servers_in
from tests.wire.raw import Caller

SCRIPT = """
madrpc.register("echo", (x) => x);
madrpc.register("echo_later", (x) => Promise.resolve(x));
madrpc.register("add", ({a, b}) => ({result: a + b}));
madrpc.register("spin", ({ms}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return ms;
});
madrpc.register("fill", ({n}) => "x".repeat(n));
madrpc.register("fail", ({n}) => { throw new RangeError("e".repeat(n)); });
madrpc.register("random", () => Math.random());
madrpc.register("nest", ({n}) => madrpc.call("echo", {n}));
madrpc.register("evaluate", ({js}) => (0, eval)(js));
"""
WORKERS = 2
#: "auto" measures the machine, so a busy one could choose otherwise from test to test.
ISOLATION = ("--isolation", "context")
HAS_PROC = Path("/proc/self/fd").is_dir()
needs_proc = pytest.mark.skipif(not HAS_PROC, reason="needs Linux's /proc")


@dataclass
class Watched:
    """A server and what it must come back to when nothing is going on."""

    server: RunningServer
    probe: Caller
    role: str
    baseline: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def pid(self) -> int:
        return self.server.pid

    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = self.probe.call("_metrics", {"nodes": False})
        return found

    def state(self) -> dict[str, Any]:
        found = self.metrics()
        state = {name: found[name] for name in ("in_flight", "queued", "connections")}
        state["workers"] = (found["workers"]["ready"], found["workers"]["busy"])
        if HAS_PROC:
            state["fds"] = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        return state


@dataclass
class Cluster:
    node: Watched
    orchestrator: Watched

    def settle(self) -> None:
        """Wait until both servers are as they were before any test."""
        for watched in (self.orchestrator, self.node):
            seen: list[Any] = []

            def is_back(watched: Watched = watched, seen: list[Any] = seen) -> bool:
                seen[:] = [watched.state()]
                return seen[0] == watched.baseline

            try:
                poll_until(is_back, "", 10)
            except AssertionError:
                pytest.fail(f"{watched.role}: {seen[0]}, and before it was {watched.baseline}")

    def workers_busy(self) -> int:
        busy: int = self.node.metrics()["workers"]["busy"]
        return busy


def wait_for_workers(probe: Caller, workers: int = WORKERS) -> None:
    poll_until(
        lambda: probe.call("_metrics")["workers"]["ready"] >= workers, "all workers are ready"
    )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node behind an orchestrator; both must end well when they are told to."""
    with servers_in(tmp_path_factory.mktemp("wire")) as servers:
        script = servers.script(SCRIPT)
        quiet = ("--log-level", "warning")
        node = servers.node("-s", script, "--pool-size", WORKERS, *ISOLATION, *quiet)
        orchestrator = servers.orchestrator(node, words=quiet)
        with Caller(node.address) as node_probe, Caller(orchestrator.address) as other_probe:
            made = Cluster(
                Watched(node, node_probe, "node"),
                Watched(orchestrator, other_probe, "orchestrator"),
            )
            wait_for_workers(node_probe)
            for watched in (made.node, made.orchestrator):
                watched.baseline = watched.state()
            yield made
        for server in (orchestrator, node):
            assert server.stop() == 0
            assert "Traceback" not in server.stderr()


@pytest.fixture(params=["node", "orchestrator"])
def server(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """One of the two servers; after the test both must be as before it."""
    watched: Watched = getattr(cluster, request.param)
    yield watched
    cluster.settle()


@pytest.fixture
def connect(server: Watched) -> Iterator[Callable[[], Caller]]:
    """Makes connections to the server, closed when the test is over."""
    made: list[Caller] = []

    def new() -> Caller:
        made.append(Caller(server.address))
        return made[-1]

    yield new
    for caller in made:
        caller.close()


@pytest.fixture
def caller(connect: Callable[[], Caller]) -> Caller:
    """One connection to the server."""
    return connect()


@pytest.fixture(params=["node", "orchestrator"])
def private(servers: Servers, request: pytest.FixtureRequest) -> Callable[..., RunningServer]:
    """Starts servers for one test alone: a node, and an orchestrator if the role says so."""

    def start(*node_words: object, orchestrator_words: tuple[object, ...] = ()) -> RunningServer:
        script = servers.script(SCRIPT)
        quiet = ("--log-level", "warning")
        node = servers.node("-s", script, "--pool-size", WORKERS, *ISOLATION, *quiet, *node_words)
        with Caller(node.address) as probe:
            wait_for_workers(probe)
        if request.param == "node":
            return node
        orchestrator: RunningServer = servers.orchestrator(
            node, words=(*quiet, *orchestrator_words)
        )
        return orchestrator

    return start


@pytest.fixture
def start_node(servers: Servers) -> Callable[..., RunningServer]:
    """Starts a node for one test alone."""

    def start(*words: object, workers: int = 1, source: str = SCRIPT) -> RunningServer:
        script = servers.script(source)
        node = servers.node("-s", script, "--pool-size", workers, *ISOLATION, *words)
        with Caller(node.address) as probe:
            wait_for_workers(probe, workers)
        return node

    return start
