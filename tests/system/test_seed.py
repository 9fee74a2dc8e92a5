"""A seed from the caller to the script, over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from madrpc import Client, InvalidRequest
from tests.servers import RunningServer, servers_in

SCRIPT = """
const id = Math.random();
madrpc.register("draw", () => [id, Math.random(), crypto.randomUUID()]);
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("seed")) as servers:
        yield servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)


@pytest.mark.parametrize(
    ("one", "other"), [(7, 7), (7, "7"), ("é", "é"), (-(2**63), str(-(2**63)))]
)
def test_the_same_seed_gives_the_same_call(node: RunningServer, one: Any, other: Any) -> None:
    with Client(node.address) as client:
        seen = [client.call("draw", seed=seed) for seed in (one, other, one)]
    assert seen[0] == seen[1] == seen[2]


def test_other_calls_have_numbers_of_their_own(node: RunningServer) -> None:
    with Client(node.address) as client:
        seen = [
            client.call("draw", seed=seed) for seed in (7, None, 8, None, "", None, 0) for _ in "ab"
        ]
    numbers = [number for result in seen for number in result]
    # Each of the four seeds was used twice.
    assert len(set(numbers)) == 3 * (4 + 6)


@pytest.mark.parametrize("seed", [True, 1.5, [], {}])
def test_other_types_are_refused(node: RunningServer, seed: Any) -> None:
    with Client(node.address) as client, pytest.raises(InvalidRequest) as caught:
        client.call("draw", seed=seed)
    assert caught.value.data["field"] == "meta.seed"
    assert "meta.seed must be an integer or a text" in caught.value.message
