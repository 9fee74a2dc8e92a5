from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc import JavaScriptError, Receipt, Reply

NODE = {
    "node": "127.0.0.1:9001", "script": "pi.js@9c1e42a0", "queue_ms": 0.1, "context_ms": 0.2,
    "run_ms": 40.6, "parked_ms": 0.0, "cpu_ms": 40.5, "heap_bytes": 120_000, "total_ms": 40.9,
    "runs": 1,
}  # fmt: skip
ORCHESTRATOR = {
    "orchestrator": "127.0.0.1:8080", "attempts": 2, "node": "127.0.0.1:9001", "waited_ms": 0.0,
    "total_ms": 41.2,
}  # fmt: skip


def test_what_two_servers_say_becomes_one_receipt():
    receipt = Receipt.of([NODE, ORCHESTRATOR], total_ms=41.8, attempts=2, trace="a" * 32)
    assert receipt == Receipt(
        node="127.0.0.1:9001", script="pi.js@9c1e42a0", orchestrator="127.0.0.1:8080", attempts=2,
        queue_ms=0.1, context_ms=0.2, run_ms=40.6, parked_ms=0.0, wire_ms=0.9, total_ms=41.8,
        cpu_ms=40.5, heap_bytes=120_000, trace="a" * 32,
    )  # fmt: skip


def test_a_line_for_a_person():
    node = "node 127.0.0.1:9001, pi.js@9c1e42a0"
    receipt = Receipt.of([NODE], total_ms=41.8)
    assert str(receipt) == f"41.8 ms = wire 0.9 + queue 0.1 + context 0.2 + run 40.6; {node}"
    again = Receipt.of([{**NODE, "parked_ms": 3.0}, ORCHESTRATOR], total_ms=41.8, attempts=2)
    assert str(again).endswith(f"run 40.6 + parked 3.0; {node}; 2 attempts")
    short = Receipt.of([{**NODE, "run_ms": 0.05, "total_ms": 0.4}], total_ms=0.61)
    assert str(short).startswith("0.61 ms = wire 0.21 + queue 0.10 + context 0.20 + run 0.05; ")


def test_servers_that_say_nothing_leave_a_total():
    receipt = Receipt.of([], total_ms=12.34567)
    assert (receipt.node, receipt.wire_ms, receipt.total_ms) == (None, None, 12.346)
    assert str(receipt) == "12.3 ms; no node has told its part"
    silent = Receipt.of([ORCHESTRATOR], total_ms=50.0)
    assert (silent.node, silent.wire_ms) == ("127.0.0.1:9001", None)


json = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


@given(st.lists(st.dictionaries(st.sampled_from([*NODE, *ORCHESTRATOR]), json), max_size=3))
def test_whatever_servers_say_there_is_a_receipt(maps):
    receipt = Receipt.of(maps, total_ms=1.0)
    assert str(receipt).startswith("1.00 ms")
    assert pickle.loads(pickle.dumps(receipt)) == receipt


def test_it_is_frozen_and_travels_with_an_error():
    receipt = Receipt.of([NODE], total_ms=41.8)
    with pytest.raises(AttributeError):
        receipt.node = "other"  # type: ignore[misc]
    error = JavaScriptError("m", {"name": "E"})
    assert error.receipt is pickle.loads(pickle.dumps(error)).receipt is None
    error.receipt = receipt
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.receipt, copy.data) == (receipt, {"name": "E"})


def test_a_reply_unpacks():
    result, receipt = Reply(8, Receipt())
    assert (result, receipt.attempts) == (8, 1)
