from __future__ import annotations

from typing import Any

import pytest

from madrpc.errors import InvalidRequest
from madrpc.policy.rollout import Order, canary_nodes, nodes_to_roll_back, parse_order

SCRIPT = {"name": "pi.js", "source": "1"}


def test_scripts_and_a_share_are_read() -> None:
    assert parse_order({"scripts": [SCRIPT]}) == Order((("pi.js", "1"),))
    assert parse_order({"scripts": [SCRIPT], "canary": 0.25}).canary == 0.25
    assert not parse_order({"scripts": [SCRIPT]}).is_rollback
    assert parse_order({"rollback": True}).is_rollback


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "scripts must be a list"),
        ({"scripts": []}, "scripts must be a list"),
        ({"scripts": [SCRIPT] * 101}, "scripts must be a list"),
        ({"scripts": "pi.js"}, "scripts must be a list"),
        ({"scripts": ["pi.js"]}, "each script is a map"),
        ({"scripts": [{"name": "a"}]}, "each script is a map"),
        ({"scripts": [{"name": "", "source": ""}]}, "no name of a script"),
        ({"scripts": [{"name": "../../etc/pi.js", "source": ""}]}, "no name of a script"),
        ({"scripts": [{"name": "a\nb", "source": ""}]}, "no name of a script"),
        ({"scripts": [{"name": "a.js", "source": "\0"}]}, "NUL"),
        ({"scripts": [SCRIPT], "canary": 1.0}, "between 0 and 1"),
        ({"scripts": [SCRIPT], "canary": 1}, "between 0 and 1"),
        ({"scripts": [SCRIPT], "canary": "10%"}, "between 0 and 1"),
        ({"scripts": [SCRIPT], "rollback": True}, "neither scripts nor canary"),
        ({"canary": 0.1, "rollback": True}, "neither scripts nor canary"),
    ],
)
def test_wrong_orders_are_refused_by_name(args: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_order(args)


@pytest.mark.parametrize(
    ("nodes", "share", "count"),
    [(2, 0.01, 1), (2, 0.99, 1), (10, 0.1, 1), (10, 0.25, 2), (3, 0.5, 2)],
)
def test_a_canary_is_a_share_at_least_one_and_never_all(
    nodes: int, share: float, count: int
) -> None:
    running = {f"n{n}": "old" for n in range(nodes)}
    assert canary_nodes(running, "new", share) == sorted(running)[:count]


def test_a_larger_canary_keeps_the_nodes_of_the_one_before() -> None:
    running = {"a": "old", "b": "old", "c": "new", "d": "old"}
    assert canary_nodes(running, "new", 0.5) == ["c", "a"]


def test_one_node_is_no_canary() -> None:
    with pytest.raises(InvalidRequest, match="two nodes at least"):
        canary_nodes({"a": "old"}, "new", 0.1)


def release(id: str, by: str, age_s: float, previous: str | None) -> dict[str, Any]:
    return {"id": id, "by": by, "age_s": age_s, "previous": previous}


def test_what_was_deployed_last_is_taken_back_where_it_runs() -> None:
    releases = {
        "a": release("2", "deploy", 5.0, "1"),
        "b": release("2", "deploy", 5.1, "1"),
        "c": release("1", "deploy", 90.0, "0"),
        "d": release("1", "start", 100.0, None),
        "old version of madrpc": {},
    }
    assert nodes_to_roll_back(releases) == ["a", "b"]


def test_a_rollback_is_not_taken_back_itself() -> None:
    releases = {
        "a": release("1", "rollback", 5.0, None),
        "b": release("1", "deploy", 90.0, "0"),
    }
    with pytest.raises(InvalidRequest, match="no deployment to take back"):
        nodes_to_roll_back(releases)


@pytest.mark.parametrize("releases", [{}, {"a": {}}, {"a": release("1", "start", 1.0, None)}])
def test_there_may_be_nothing_to_take_back(releases: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="no deployment to take back"):
        nodes_to_roll_back(releases)
