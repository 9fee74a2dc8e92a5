"""Workers that are let go and do not leave by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from madrpc import Client
from tests.servers import RunningServer, poll_until, servers_in

SCRIPT = 'madrpc.register("echo", args => args);'
POOL_SIZE = 2


@pytest.fixture(params=["context", "snapshot"])
def node(request, tmp_path) -> Iterator[RunningServer]:  # type: ignore[no-untyped-def]
    with servers_in(tmp_path) as servers:
        yield servers.node(
            *("-s", servers.script(SCRIPT), "--pool-size", POOL_SIZE, "--sandbox", "off"),
            *("--isolation", request.param),
            program="tests.process.stubborn",
        )


def states(client: Client) -> list[str]:
    return [row["state"] for row in client.metrics()["workers"]["processes"]]


def test_a_worker_that_does_not_leave_is_killed(node: RunningServer) -> None:
    """However many of them stay, the pool serves on, and none of them is left."""
    with Client(node.address, timeout=30) as client:
        poll_until(lambda: client.metrics()["workers"]["ready"] >= POOL_SIZE, "the pool is whole")
        answers = [client.submit("echo", {"n": n}) for n in range(2 * POOL_SIZE)]
        assert [answer.result()["n"] for answer in answers] == list(range(2 * POOL_SIZE))
        poll_until(lambda: client.metrics()["workers"]["ready"] >= POOL_SIZE, "the pool is whole")
        poll_until(lambda: "dying" not in states(client), "none is left dying")
        poll_until(lambda: "it did not leave" in node.stderr(), "workers that stayed were killed")
