"""Deployments over nodes that are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest

from madrpc.config import Security
from madrpc.credentials import Credentials
from madrpc.errors import ConnectionFailed, InvalidRequest, MadrpcError, PayloadTooLarge
from madrpc.links.upstream import Upstream
from madrpc.orchestrator.rollout import Rollout
from madrpc.policy.balancer import NodeRecord, NodeState

SCRIPTS = {"scripts": [{"name": "a.js", "source": "1"}]}
ANSWER = {"id": "r1", "scripts": [], "methods": ["f"]}


class StubUpstream:
    """A node that answers each step, and may be told to do something on the way."""

    def __init__(self, address: str) -> None:
        self.record = NodeRecord(address)
        self.record.state = NodeState.UP
        self.link = object()
        self.info: dict[str, Any] = {"release": {"id": "r0"}}
        self.asked: list[Any] = []
        self.on: dict[Any, Any] = {}

    def ask(self, method: str, timeout_s: float, args: dict[str, Any]) -> dict[str, Any]:
        step = args.get("do")
        self.asked.append(step)
        if step in self.on:
            self.on[step]()
        return ANSWER


class StubNodes:
    def __init__(self, *upstreams: StubUpstream) -> None:
        self.upstreams = {up.record: up for up in upstreams}

    def find(self, address: str) -> Any:
        return next((up for up in self.upstreams.values() if up.record.address == address), None)

    def refresh(self, timeout_s: float) -> None:
        for upstream in self.upstreams.values():
            upstream.info = {"release": {"id": ANSWER["id"]}}

    def lose(self, upstream: StubUpstream) -> None:
        del self.upstreams[upstream.record]


@pytest.fixture
def pair() -> tuple[StubUpstream, StubUpstream]:
    return StubUpstream("a:1"), StubUpstream("b:1")


def deploy(nodes: StubNodes, args: dict[str, Any]) -> Any:
    return Rollout(nodes).deploy(args)  # type: ignore[arg-type]


def test_a_node_that_leaves_between_the_steps_is_told_of(pair: Any) -> None:
    nodes = StubNodes(*pair)
    pair[0].on["stage"] = lambda: nodes.lose(pair[1])
    answer = deploy(nodes, SCRIPTS)
    assert answer["switched"] == ["a:1"]
    assert answer["staged"] == 2
    assert answer["failed"]["b:1"]["name"] == "ConnectionFailed"


def test_a_node_that_dies_while_it_loads_leaves_all_as_it_was(pair: Any) -> None:
    def die() -> None:
        raise ConnectionFailed("b:1: the connection was closed")

    pair[1].on["stage"] = die
    with pytest.raises(ConnectionFailed, match="node b:1: b:1: the connection was closed"):
        deploy(StubNodes(*pair), SCRIPTS)
    assert pair[0].asked == ["stage", "discard"]


@pytest.mark.parametrize("args", [{"do": "stage", **SCRIPTS}, {"do": "switch", "release": "r1"}])
def test_steps_are_for_nodes(pair: Any, args: dict[str, Any]) -> None:
    """It would take the whole way where somebody wanted one step of it."""
    with pytest.raises(InvalidRequest, match="do is for a node"):
        deploy(StubNodes(*pair), args)
    assert pair[0].asked == []


@pytest.mark.parametrize(
    "args",
    [
        {}, {"scripts": None}, {"scripts": []}, {"scripts": {}}, {"scripts": "a.js"},
        {"scripts": [1]}, {"scripts": [{"name": 1, "source": "1"}]},
        {"scripts": [{"name": "a.js", "source": None}]}, {"scripts": [{"name": "../a.js"}]},
        {"scripts": [{"name": "a/b.js", "source": ""}]}, {"rollback": 1}, {"rollback": "yes"},
        {"rollback": True, **SCRIPTS}, {"canary": 1, **SCRIPTS}, {"canary": "half", **SCRIPTS},
        {"canary": float("nan"), **SCRIPTS}, {"canary": [0.5], **SCRIPTS},
    ],
)  # fmt: skip
def test_arguments_of_a_wrong_kind(pair: Any, args: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        deploy(StubNodes(*pair), args)
    assert pair[0].asked == []


def test_scripts_too_large_for_a_node_do_not_cost_its_connection() -> None:
    node = Upstream(NodeRecord("a:1"), 1000, None, Credentials(Security()))  # type: ignore[arg-type]
    node.link = object()  # type: ignore[assignment]
    with pytest.raises(PayloadTooLarge):
        node.ask("_deploy", 1.0, {"source": "x" * 1000})


def test_nothing_is_locked_by_what_failed(pair: Any) -> None:
    def fail() -> None:
        raise MadrpcError("no")

    rollout = Rollout(StubNodes(*pair))  # type: ignore[arg-type]
    pair[0].on["stage"] = fail
    for _ in range(2):
        with pytest.raises(MadrpcError, match="node a:1: no"):
            rollout.deploy(SCRIPTS)
