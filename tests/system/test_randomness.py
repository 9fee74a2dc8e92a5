"""Math.random differs between calls, however they are kept apart."""

from __future__ import annotations

import pytest

from madrpc import Client
from tests.servers import Servers

CALLS = 2_000


@pytest.mark.parametrize("isolation", ["context", "snapshot"])
def test_no_two_calls_draw_the_same_numbers(servers: Servers, isolation: str) -> None:
    script = servers.script('madrpc.register("draw", () => [Math.random(), Math.random()])')
    node = servers.node("-s", script, "--pool-size", 2, "--isolation", isolation)
    with Client(node.address) as client:
        drawn = [tuple(pair) for pair in client.map("draw", [{}] * CALLS)]
    # The engine seeds each context from the clock in microseconds, which two processes may share.
    assert len(set(drawn)) > CALLS - 20
