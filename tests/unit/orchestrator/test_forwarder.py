from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from madrpc.address import Address
from madrpc.config import ListenerConfig, OrchestratorConfig
from madrpc.errors import MadrpcError, MethodNotFound, NoNodeAvailable
from madrpc.orchestrator.forwarder import Forwarder
from madrpc.policy.balancer import NodeRecord
from madrpc.policy.health import HealthCheck
from madrpc.policy.outlier import Outlier
from madrpc.protocol.messages import (
    ReceiptedResponse,
    Request,
    Response,
    error_tail,
    request_tail,
    result_tail,
)
from madrpc.protocol.receipts import Receipts, pack_receipt, unpack_receipts
from tests.kit import Clock

LISTENER = ListenerConfig(Address("127.0.0.1", 0))


class FakeConnection:
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}
        self.receipts: list[dict[str, Any]] = []

    def respond(self, id: int, tail: bytes, receipts: Receipts = ()) -> None:
        self.answers[id] = tail
        self.receipts = unpack_receipts(receipts)

    def respond_error(self, id: int, error: MadrpcError) -> None:
        self.answers[id] = error


class FakeUpstream:
    """A node that is connected, keeps its calls and answers when told."""

    def __init__(self, record: NodeRecord) -> None:
        self.record = record
        self.nodes: Any = None
        self.max_request = 1000
        self.calls: list[Any] = []
        self.link = False
        self.health = HealthCheck()
        self.info: dict[str, Any] = {"revision": 1, "methods": ["f"]}
        self.now: dict[str, Any] = self.info
        self.asked = 0
        self.may_say = Event()

    def forward(self, call: Any, timeout_ms: int, tail: bytes) -> int:
        self.calls.append(call)
        return len(self.calls)

    def cancel(self, id: int) -> None:
        pass

    def ask(self, method: str, timeout_s: float, args: Any) -> dict[str, Any]:
        self.asked += 1
        self.may_say.wait()
        return self.now

    def take(self, info: dict[str, Any]) -> None:
        self.info = info
        self.nodes.node_up(self, info)


class Setup:
    def __init__(self, *nodes: str, listener: ListenerConfig = LISTENER, **limits: int) -> None:
        config = OrchestratorConfig((), listener, **limits)
        self.forwarder = Forwarder(config, lambda: "me:8080")
        self.connection = FakeConnection()
        self.upstreams = {}
        for address in nodes:
            record = self.forwarder.nodes.balancer.add(address)
            upstream = self.upstreams[address] = FakeUpstream(record)
            self.forwarder.nodes.upstreams[record] = upstream
            upstream.nodes = self.forwarder.nodes
            self.forwarder.nodes._outliers[record] = Outlier()
            self.forwarder.nodes.balancer.node_up(record, ["f"])

    def call(self, id: int, size: int = 10, method: str = "f") -> Any:
        return self.forwarder.forward(self.connection, Request(id, 0, method, bytes(size)))

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


ASKING = request_tail("f", {}, {"receipt": True, "trace": f"00-{'a' * 32}-{'b' * 16}-01"})
OF_NODE = pack_receipt({"node": "a", "total_ms": 0.0})


def asked(setup: Setup, tail: bytes = ASKING) -> None:
    setup.forwarder.forward(setup.connection, Request(1, 0, "f", tail))


def receipted(setup: Setup, address: str, tail: bytes) -> None:
    response = ReceiptedResponse(1, tail, (OF_NODE,))
    setup.forwarder.answered(setup.upstreams[address].calls.pop(), response)


@pytest.mark.parametrize("tail", [result_tail(1), error_tail(MadrpcError("m"))])
def test_an_answer_with_receipts_gets_one_more(tail):
    setup = Setup("a")
    asked(setup)
    receipted(setup, "a", tail)
    node, own = setup.connection.receipts
    assert node == {"node": "a", "total_ms": 0.0}
    assert own.pop("total_ms") >= own.pop("waited_ms") == 0.0
    assert own == {"orchestrator": "me:8080", "attempts": 1, "node": "a"}


def test_receipts_that_nobody_asked_for_are_dropped():
    setup = Setup("a")
    asked(setup, request_tail("f", {}))
    receipted(setup, "a", result_tail(1))
    assert (setup.connection.answers, setup.connection.receipts) == ({1: result_tail(1)}, [])


def test_a_call_that_was_moved_counts_its_attempts():
    setup = Setup("a", "b")
    asked(setup)
    first, other = ("a", "b") if setup.upstreams["a"].calls else ("b", "a")
    record = setup.upstreams[first].record
    setup.forwarder.nodes.balancer.node_down(record, "gone")
    setup.forwarder.moved(record, "gone", [setup.upstreams[first].calls.pop()])
    receipted(setup, other, result_tail(1))
    assert setup.connection.receipts[1]["attempts"] == 2
    (row,) = setup.forwarder.accounting.recent({})["slowest"]
    assert (row["node"], row["attempts"], row["trace"]) == (other, 2, "a" * 32)


def test_an_orchestrators_own_error_has_its_receipt_and_is_kept():
    setup = Setup()
    asked(setup)
    (own,) = setup.connection.receipts
    assert (own["attempts"], own["node"]) == (0, None)
    (row,) = setup.forwarder.accounting.recent({})["errors"]
    assert (row["name"], row["node"], row["trace"]) == ("NoNodeAvailable", None, "a" * 32)


def test_what_nodes_tell_is_joined_and_junk_is_not():
    setup = Setup("a")
    setup.call(1)
    setup.answer("a", result_tail(1))
    row = {"method": "f", "id": 1, "age_s": 0.0, "total_ms": 0.0, "run_ms": 0.0}
    for told, run_ms in ({"slowest": [row]}, 0.0), ({"slowest": 5, "errors": {}}, None):
        (own,) = setup.forwarder.accounting.recent({"a": told})["slowest"]
        assert own["run_ms"] == run_ms


# ------------------------------------------------------- names that are new


@pytest.fixture
def connected() -> Setup:
    setup = Setup("a")
    setup.upstreams["a"].link = True
    return setup


def turns() -> None:
    """Let what was spawned run to where it waits."""
    for _ in range(5):
        gevent.sleep(0)


def test_a_node_is_asked_before_a_name_counts_as_unknown(connected: Setup) -> None:
    node = connected.upstreams["a"]
    for id in (1, 2):
        connected.call(id, method="new")
    turns()
    assert (node.asked, node.calls, connected.connection.answers) == (1, [], {})
    node.now = {"revision": 2, "methods": ["f", "new"]}
    node.may_say.set()
    turns()
    assert [call.id for call in node.calls] == [1, 2]


def test_a_name_that_no_node_has_is_refused_once_they_were_asked(connected: Setup) -> None:
    connected.call(1, method="wrong")
    turns()
    connected.upstreams["a"].may_say.set()
    turns()
    assert connected.connection.answers[1].name == "MethodNotFound"
    assert (connected.forwarder.in_flight, connected.forwarder.waiting) == (0, 0)


def test_wrong_names_do_not_keep_nodes_busy(connected: Setup) -> None:
    connected.upstreams["a"].may_say.set()
    connected.call(1, method="wrong")
    turns()
    for id in range(2, 9):
        connected.call(id, method="wrong")
    assert {error.name for error in connected.connection.answers.values()} == {"MethodNotFound"}
    assert len(connected.connection.answers) == 8
    assert connected.upstreams["a"].asked == 1


def test_a_call_that_is_cancelled_meanwhile_is_not_sent(connected: Setup) -> None:
    node = connected.upstreams["a"]
    connected.call(1, method="new").cancel()
    turns()
    node.now = {"revision": 2, "methods": ["new"]}
    node.may_say.set()
    turns()
    assert (node.calls, connected.forwarder.in_flight) == ([], 0)
