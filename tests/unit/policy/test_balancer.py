"""What the stories in tests/scenarios/balancer*.txt do not tell."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import MethodNotFound, NoNodeAvailable
from madrpc.policy.balancer import Balancer, NodeState


def balancer(**nodes: str) -> Balancer:
    """Nodes that are up, each with its methods as one text."""
    found = Balancer()
    for address, methods in nodes.items():
        found.node_up(found.add(address), methods.split())
    return found


def test_a_node_is_known_once():
    found = Balancer()
    node = found.add("a:1")
    assert found.add("a:1") is node
    assert found.nodes == [node]
    assert (node.state, node.error) == (NodeState.CONNECTING, "not connected yet")
    assert repr(node) == "<NodeRecord a:1 connecting, 0 methods>"


def test_knowing_a_node_again_keeps_its_state():
    found = balancer(a="f")
    assert found.add("a").state is NodeState.UP
    assert found.pick("f").address == "a"
    assert repr(found) == "<Balancer 1 of 1 nodes up>"


def test_methods_are_those_of_nodes_that_are_up():
    found = balancer(a="f g", b="g h")
    assert found.methods == ["f", "g", "h"]
    found.node_down(found.add("b"), "gone")
    assert found.methods == ["f", "g"]


def test_being_up_clears_the_error():
    found = balancer(a="f")
    node = found.add("a")
    found.node_down(node, "gone")
    assert node.error == "gone"
    found.node_up(node, ["f"])
    assert node.error == ""


def test_a_node_that_no_longer_has_a_method_gets_no_more_calls_for_it():
    found = balancer(a="f", b="f")
    found.node_up(found.add("a"), ["g"])
    assert {found.pick("f").address for _ in range(4)} == {"b"}


@given(st.integers(1, 6), st.integers(0, 60))
def test_every_node_gets_its_share(nodes, calls):
    found = balancer(**{f"n{i}": "f" for i in range(nodes)})
    counts = Counter(found.pick("f").address for _ in range(calls))
    assert sum(counts.values()) == calls
    assert max(counts.values(), default=0) - min(counts[f"n{i}"] for i in range(nodes)) <= 1


def test_each_method_has_its_own_turn():
    found = balancer(a="f g", b="f g")
    assert [found.pick(m).address for m in "fgfg"] == ["a", "a", "b", "b"]


@given(st.sets(st.sampled_from("abcd")), st.integers(0, 8))
def test_a_node_to_avoid_is_picked_only_when_there_is_no_other(avoided, turns):
    found = balancer(a="f", b="f", c="f", d="f")
    for _ in range(turns):
        found.pick("f")
    avoid = [found.add(address) for address in avoided]
    assert (found.pick("f", avoid).address in avoided) == (len(avoided) == 4)


def test_instead_of_a_node_to_avoid_the_next_in_turn_is_picked():
    found = balancer(a="f", b="f", c="f", d="f")
    node = found.add
    assert [found.pick("f", [node(a)]).address for a in "abcd"] == ["b", "c", "d", "a"]
    assert found.pick("f", [node("a"), node("b")]).address == "c"


def test_refusals_say_how_many_nodes_there_are():
    found = balancer(a="f", b="f")
    found.node_down(found.add("a"), "gone")
    found.node_down(found.add("b"), "gone")
    with pytest.raises(NoNodeAvailable) as caught:
        found.pick("f")
    assert caught.value.data == {"nodes": 2, "up": 0}
    assert caught.value.retryable


def test_reasons_are_given_for_three_nodes_at_most():
    found = Balancer()
    for n in range(50):
        found.node_down(found.add(f"n{n}"), "refused")
    with pytest.raises(NoNodeAvailable) as caught:
        found.pick("f")
    assert caught.value.message.count("refused") == 3


@pytest.mark.parametrize("method", ["__proto__", "", "x" * 255, "é\0"])
def test_any_unknown_name_is_refused(method):
    with pytest.raises(MethodNotFound):
        balancer(a="f").pick(method)


def test_a_method_nobody_has_leaves_no_trace():
    found = balancer(a="f")
    for n in range(100):
        with pytest.raises(MethodNotFound):
            found.pick(f"m{n}")
    assert found._turn == {}


def test_a_method_that_is_gone_leaves_no_trace():
    found = balancer(a="f")
    found.pick("f")
    found.node_up(found.add("a"), ["g"])
    assert found._turn == {}


def burst_of(found: Balancer, count: int, method: str = "f") -> str:
    """The nodes of calls that come together."""
    found.begin_burst()
    picked = "".join(found.pick(method).address for _ in range(count))
    found.end_burst()
    return picked


def test_of_calls_that_come_together_a_node_gets_as_many_as_it_has_workers():
    found = Balancer()
    for name, workers in (("a", 2), ("b", 3), ("c", 1)):
        found.node_up(found.add(name), ["f", "g"], workers)
    assert burst_of(found, 9) == "aabbbcaab"
    # What is left of a turn is not carried over.
    assert burst_of(found, 3) == "cab"[:1] + "aa"
    assert [found.pick("f").address for _ in range(3)] == ["b", "c", "a"]
    assert burst_of(found, 1) + burst_of(found, 1, "g") == "ba"


def test_a_burst_leaves_a_node_that_is_no_longer_good():
    found = Balancer()
    nodes = [found.add(name) for name in "ab"]
    for node in nodes:
        found.node_up(node, ["f"], 50)
    found.begin_burst()
    assert found.pick("f") is nodes[0]
    found.node_down(nodes[0], "late", NodeState.SUSPECT)
    assert found.pick("f") is nodes[1]
    found.node_up(nodes[1], ["g"], 50)
    assert found.pick("f") is nodes[0]
    assert found.pick("g") is nodes[1]


def test_a_retry_takes_no_part_in_a_burst():
    found = Balancer()
    nodes = [found.add(name) for name in "ab"]
    for node in nodes:
        found.node_up(node, ["f"], 3)
    found.begin_burst()
    first = found.pick("f")
    assert found.pick("f", [first]) is not first
    assert [found.pick("f"), found.pick("f")] == [first, first]
