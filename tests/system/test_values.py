"""Values on their way through a real worker and back, against what JSON says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madrpc import Client, InvalidArguments
from tests.servers import servers_in

SCRIPT = """
madrpc.register("echo", ({value}) => value);
madrpc.register("rebuilt", ({value}) => JSON.parse(JSON.stringify({value})).value);
madrpc.register("kinds", ({value}) => value === null ? "null" : Array.isArray(value) ? "array"
  : typeof value);
madrpc.register("entries", ({value}) => Object.entries(value));
madrpc.register("units", ({value}) => Array.from(value, c => c.length).reduce((a, b) => a + b, 0));
"""
SAFE = 2**53 - 1
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
NUMBERS = st.one_of(
    st.integers(-SAFE, SAFE),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 2**31, -(2**31) - 1, SAFE, -SAFE]),
)
KEYS = st.one_of(TEXTS, st.sampled_from(["__proto__", "constructor", "toJSON", "length", "", "0"]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)
EXAMPLES = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module", params=["context", "snapshot"])
def client(request, tmp_path_factory) -> Iterator[Client]:  # type: ignore[no-untyped-def]
    with servers_in(tmp_path_factory.mktemp("values")) as servers:
        node = servers.node(
            "-s", servers.script(SCRIPT), "--pool-size", 2, "--isolation", request.param
        )
        with Client(node.address) as made:
            yield made


def same(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 and 1.0 are the same number, -0.0 comes back as 0, True is not 1."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


@EXAMPLES
@given(value=VALUES)
def test_a_value_comes_back_as_it_went(client: Client, value: Any) -> None:
    assert same(client.call("echo", {"value": value}), value)
    assert same(client.call("rebuilt", {"value": value}), json.loads(json.dumps(value)))


@EXAMPLES
@given(value=st.dictionaries(KEYS, st.integers(0, 9), max_size=8))
def test_a_script_sees_every_key(client: Client, value: dict[str, int]) -> None:
    # JavaScript lists keys that are array indices first; the order of the others is kept.
    entries = client.call("entries", {"value": value})
    assert dict(entries) == value


@EXAMPLES
@given(value=TEXTS)
def test_a_script_sees_every_character(client: Client, value: str) -> None:
    assert client.call("units", {"value": value}) == len(value.encode("utf-16-le")) // 2


@EXAMPLES
@given(
    value=st.one_of(
        st.integers(min_value=SAFE + 1),
        st.integers(max_value=-SAFE - 1),
        st.sampled_from([math.nan, math.inf, -math.inf]),
        st.text(st.characters(categories=("Cs",)), min_size=1, max_size=3),
    ),
    path=st.lists(st.sampled_from(["list", "map"]), max_size=5),
)
def test_what_javascript_cannot_hold_is_refused_with_its_place(
    client: Client, value: Any, path: list[str]
) -> None:
    where = ""
    for step in path:
        value = [value] if step == "list" else {"k": value}
        where = ("[0]" if step == "list" else ".k") + where
    with pytest.raises(InvalidArguments) as caught:
        client.call("echo", {"value": value})
    assert f"value{where}" in str(caught.value), caught.value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 5_000_000,
        "é\u0000\U0001f600" * 200_000,
        list(range(300_000)),
        {f"k{n}": n for n in range(50_000)},
    ],
    ids=["text", "characters", "numbers", "keys"],
)
def test_large_values(client: Client, value: Any) -> None:
    assert client.call("echo", {"value": value}) == value


@pytest.mark.parametrize("depth", [10, 200, 400, 1_000, 20_000])
def test_deep_values_come_back_or_are_refused_by_name(client: Client, depth: int) -> None:
    value: Any = []
    for _ in range(depth):
        value = [value]
    if depth <= 400:
        assert client.call("echo", {"value": value}) == value
    else:
        with pytest.raises(InvalidArguments, match="deep"):
            client.call("echo", {"value": value})
    assert client.call("echo", {"value": 1}) == 1
