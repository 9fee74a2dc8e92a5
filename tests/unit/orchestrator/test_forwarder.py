from __future__ import annotations

from typing import Any

import pytest

from madrpc.address import Address
from madrpc.config import ListenerConfig, OrchestratorConfig
from madrpc.errors import MadrpcError, MethodNotFound, NoNodeAvailable
from madrpc.orchestrator.forwarder import Forwarder
from madrpc.policy.balancer import NodeRecord
from madrpc.protocol.messages import Request, Response, error_tail, result_tail
from tests.kit import Clock

LISTENER = ListenerConfig(Address("127.0.0.1", 0))


class FakeConnection:
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}

    def respond(self, id: int, tail: bytes) -> None:
        self.answers[id] = tail

    def respond_error(self, id: int, error: MadrpcError) -> None:
        self.answers[id] = error


class FakeUpstream:
    """A node that is connected, keeps its calls and answers when told."""

    def __init__(self, record: NodeRecord) -> None:
        self.record = record
        self.max_request = 1000
        self.calls: list[Any] = []

    def forward(self, call: Any, timeout_ms: int, tail: bytes) -> int:
        self.calls.append(call)
        return len(self.calls)

    def cancel(self, id: int) -> None:
        pass


class Setup:
    def __init__(self, *nodes: str, listener: ListenerConfig = LISTENER, **limits: int) -> None:
        self.forwarder = Forwarder(OrchestratorConfig((), listener, **limits))
        self.connection = FakeConnection()
        self.upstreams = {}
        for address in nodes:
            record = self.forwarder.nodes.balancer.add(address)
            upstream = self.upstreams[address] = FakeUpstream(record)
            self.forwarder.nodes.upstreams[record] = upstream
            self.forwarder.nodes.balancer.node_up(record, ["f"])

    def call(self, id: int, size: int = 10) -> Any:
        return self.forwarder.forward(self.connection, Request(id, 0, "f", bytes(size)))

    def answer(self, address: str, tail: bytes) -> None:
        self.forwarder.answered(self.upstreams[address].calls.pop(), Response(1, tail))


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [({"max_in_flight": 2}, [1, 1, 1]), ({"max_in_flight_bytes": 30}, [10, 20, 1])],
    ids=["count", "bytes"],
)
def test_calls_over_a_limit_are_refused_at_once_and_room_comes_back(limits, sizes):
    setup = Setup("a", **limits)
    for id, size in enumerate(sizes):
        setup.call(id, size)
    refused = setup.connection.answers.pop(2)
    assert refused.name == "Overloaded"
    assert refused.data["retry_after_ms"] > 0
    assert not setup.connection.answers
    setup.answer("a", result_tail(1))
    setup.call(3)
    assert 3 not in setup.connection.answers


def test_everything_is_counted_down_when_all_is_over():
    setup = Setup("a", "b")
    forwarder, a, b = setup.forwarder, setup.upstreams["a"], setup.upstreams["b"]
    cancelled, *_ = [setup.call(id) for id in range(6)]
    assert forwarder.in_flight_bytes == 60
    assert (len(a.calls), len(b.calls)) == (3, 3)
    setup.answer("a", result_tail(1))
    setup.answer("a", error_tail(MadrpcError("m")))
    assert a.calls == [cancelled]
    forwarder.nodes.balancer.node_down(a.record, "gone")
    forwarder.moved(a.record, "gone", [a.calls.pop()])
    assert (a.record.in_flight, b.record.in_flight) == (0, 4)
    b.calls.remove(cancelled)
    cancelled.cancel()
    for _ in range(3):
        setup.answer("b", result_tail(1))
    assert (forwarder.in_flight, forwarder.in_flight_bytes) == (0, 0)
    assert (forwarder.nodes.balancer.in_flight, b.record.in_flight) == (0, 0)


def test_a_call_for_a_node_that_was_never_connected_waits_and_goes_when_it_is():
    setup = Setup("a")
    record = setup.upstreams["a"].record
    setup.forwarder.nodes.node_down(setup.upstreams["a"], "refused")
    setup.call(1)
    assert setup.forwarder.waiting == 1
    assert not setup.connection.answers
    setup.forwarder.nodes.balancer.node_up(record, ["f"])
    setup.forwarder.routes_changed()
    assert setup.forwarder.waiting == 0
    assert len(setup.upstreams["a"].calls) == 1


def test_a_waiting_call_that_is_cancelled_leaves_nothing():
    setup = Setup("a")
    setup.forwarder.nodes.node_down(setup.upstreams["a"], "refused")
    call = setup.call(1)
    call.cancel()
    assert (setup.forwarder.waiting, setup.forwarder.in_flight) == (0, 0)


def test_without_any_node_nothing_waits():
    setup = Setup()
    setup.call(1)
    assert isinstance(setup.connection.answers[1], NoNodeAvailable)


def test_a_kept_port_means_that_nodes_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("madrpc.orchestrator.nodes._now", clock)
    kept = ListenerConfig(Address("127.0.0.1", 0), inherited=(3,))
    setup = Setup("a:1", listener=kept)
    for id, method in enumerate("fg"):
        setup.forwarder.forward(setup.connection, Request(id, 0, method, b"x"))
    # The node that is back has f; the one with g may follow.
    assert not setup.connection.answers
    clock.now += 10
    setup.forwarder.forward(setup.connection, Request(2, 0, "g", b"x"))
    assert isinstance(setup.connection.answers[2], MethodNotFound)
