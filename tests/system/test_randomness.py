"""Math.random over a whole pool: no number twice, evenly spread, the same for the same seed."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from madrpc import Client
from tests.servers import RunningServer, Servers, servers_in

CALLS = {"context": 100_000, "snapshot": 4_000}
BINS = 100
SCRIPT = """
madrpc.register("draw", () => Math.random());
madrpc.register("many", ({n}) => Array.from({length: n}, () => Math.random()));
"""
AT_LOAD = 'const id = Math.random(); madrpc.register("id", () => [id, Math.random()]);'


@pytest.fixture(scope="module", params=["context", "snapshot"])
def drawn(request, tmp_path_factory) -> Iterator[list[float]]:  # type: ignore[no-untyped-def]
    """The first number of each of many calls, in the order of the calls."""
    with servers_in(tmp_path_factory.mktemp("random")) as servers:
        node = servers.node("-s", servers.script(SCRIPT), "--isolation", request.param)
        count = CALLS[request.param]
        with Client(node.address) as client:
            yield list(client.map("draw", itertools.repeat({}, count), concurrency=256))


def chi_square_bound(cells: int) -> float:
    """What chi square exceeds once in a million times (Wilson and Hilferty's approximation)."""
    degrees = cells - 1
    return degrees * (1 - 2 / (9 * degrees) + 4.75 * math.sqrt(2 / (9 * degrees))) ** 3


def chi_square(counts: Sequence[int]) -> float:
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


def test_no_two_calls_draw_the_same_number(drawn: list[float]) -> None:
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= number < 1 for number in drawn)


def test_the_numbers_of_many_calls_are_spread_evenly(drawn: list[float]) -> None:
    counts = Counter(int(number * BINS) for number in drawn)
    assert chi_square([counts[cell] for cell in range(BINS)]) < chi_square_bound(BINS)


def test_neighbouring_calls_have_nothing_to_do_with_each_other(drawn: list[float]) -> None:
    side = 20
    pairs = Counter(
        (int(first * side), int(second * side))
        for first, second in zip(drawn[::2], drawn[1::2], strict=True)
    )
    cells = [pairs[cell] for cell in itertools.product(range(side), repeat=2)]
    assert chi_square(cells) < chi_square_bound(len(cells))


def test_the_same_seed_gives_the_same_numbers_on_any_node(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    nodes: list[RunningServer] = [
        servers.node("-s", script, "--pool-size", 1, "--isolation", isolation)
        for isolation in ("context", "context", "snapshot")
    ]
    seen = []
    for node in nodes:
        with Client(node.address) as client:
            seen.append([client.call("many", {"n": 50}, seed=seed) for seed in (1, 2, "two", 1)])
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == seen[0][3]
    assert len({number for numbers in seen[0] for number in numbers}) == 150


def test_numbers_drawn_while_loading_are_shared_by_snapshots_and_the_log_says_so(
    servers: Servers,
) -> None:
    script = servers.script(AT_LOAD)
    shared = servers.node("-s", script, "--pool-size", 1, "--isolation", "snapshot")
    apart = servers.node("-s", script, "--pool-size", 1, "--isolation", "context")
    for node, loads in ((shared, 1), (apart, 8)):
        with Client(node.address) as client:
            seen = [client.call("id") for _ in range(8)]
        assert len({first for first, _ in seen}) == loads
        assert len({second for _, second in seen}) == 8
        warned = "script.js, or a library before it, draws random numbers while it loads"
        assert (warned in node.stderr()) == (loads == 1)
        with Client(node.address) as client:
            assert client.call("id", seed=3) == client.call("id", seed=3)
