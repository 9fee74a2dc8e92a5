from __future__ import annotations

import math
import types

import pytest

from madrpc.client import attempts
from madrpc.client.attempts import NOT_IN_FLIGHT, PendingCall
from madrpc.config import MAX_ATTEMPTS
from madrpc.errors import (
    CallTimeout,
    ConnectionFailed,
    InvalidArguments,
    JavaScriptError,
    Overloaded,
    PayloadTooLarge,
)
from madrpc.protocol.messages import (
    ReceiptedResponse,
    parse_message,
    request_head,
    result_tail,
    unpack_request_tail,
)
from madrpc.protocol.receipts import pack_receipt
from tests.kit import Clock

LIMIT = 1000


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock that calls read."""
    found = Clock()
    monkeypatch.setattr(attempts, "_now", found)
    return found


@pytest.fixture
def spread(monkeypatch):
    """Sets the random share of a delay."""
    return lambda share: monkeypatch.setattr(attempts.random, "random", lambda: share)


def pending(args=None, timeout_s: float | None = 60.0, meta=None, method="add") -> PendingCall:
    return PendingCall(method, args, timeout_s, meta, LIMIT)


# ------------------------------------------------------------------ request


@pytest.mark.parametrize("args", [{"a": 5}, {}, None, types.MappingProxyType({"a": 5})])
def test_the_request_is_encoded_at_once(args):
    call = pending(args, meta={"seed": 7})
    assert unpack_request_tail(call.tail) == ("add", dict(args or {}), {"seed": 7})
    assert (call.id, call.done, call.attempts) == (NOT_IN_FLIGHT, False, 0)
    assert (call.result, call.error) == (None, None)


@pytest.mark.parametrize("args", [[1], "text", 5, b"x", [("a", 1)]])
def test_arguments_must_be_named(args):
    with pytest.raises(InvalidArguments, match=type(args).__name__):
        pending(args)


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ({"a": [object()]}, ["a", 0]),
        ({"a": {1, 2}}, ["a"]),
        ({"a": 2**70}, ["a"]),
        ({"a": "\ud800"}, ["a"]),
        ({"a": 10**5000}, ["a"]),
    ],
)
def test_a_value_that_cannot_be_sent_is_named(args, path):
    with pytest.raises(InvalidArguments) as caught:
        pending(args)
    assert caught.value.data == {"path": path}


def test_arguments_nested_too_deep_to_encode_are_named():
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidArguments, match="nested deeper"):
        pending({"a": deep})


def test_what_cannot_be_encoded_besides_the_arguments_is_refused_too():
    with pytest.raises(InvalidArguments, match="cannot be encoded"):
        pending({"a": 1}, meta={"seed": object()})


def test_a_request_may_fill_a_frame_and_no_more():
    used = len(pending({"a": ""}).tail)
    size = LIMIT - 12 - used - 2
    call = pending({"a": "x" * size})
    frame = request_head(1, 2, len(call.tail)) + call.tail
    assert len(frame) - 4 == LIMIT
    assert parse_message(frame[4:]).method == "add"
    with pytest.raises(PayloadTooLarge) as caught:
        pending({"a": "x" * (size + 1)})
    assert caught.value.data == {"size": LIMIT + 1, "limit": LIMIT}


def test_a_call_that_is_refused_has_ended():
    error = PayloadTooLarge("too large")
    call = PendingCall.refused("add", error)
    assert (call.done, call.error, call.method) == (True, error, "add")


# --------------------------------------------------------------------- time


def test_the_time_left_shrinks(clock):
    call = pending(timeout_s=2.0)
    assert call.deadline == clock.now + 2.0
    assert call.ms_left() == 2000
    clock.now += 1.5
    assert call.ms_left() == 500
    clock.now += 10
    assert call.ms_left() == 1


def test_no_timeout_is_no_deadline(clock):
    call = pending(timeout_s=None)
    assert call.deadline is None
    assert call.ms_left() == 0


def test_a_timeout_says_how_long_was_waited(clock):
    call = pending(timeout_s=2.0)
    clock.now += 2.35
    error = call.timeout_error()
    assert type(error) is CallTimeout
    assert error.data == {"waited_ms": 2350}
    assert "'add'" in error.message
    assert "2.35 s" in error.message


def test_waiting_sleeps_until_the_instant(clock, monkeypatch):
    slept = []
    monkeypatch.setattr(attempts.time, "sleep", slept.append)
    PendingCall.wait_until(clock.now + 0.5)
    PendingCall.wait_until(clock.now - 5)
    assert slept == [0.5, 0.0]


# ------------------------------------------------------------------ retries


def after(attempts_made: int, error: Exception, timeout_s: float | None = None) -> float | None:
    """Seconds until the call is tried again, or None."""
    call = pending(timeout_s=timeout_s)
    call.attempts = attempts_made
    at = call.retry_at(error)
    return None if at is None else at - attempts._now()


@pytest.mark.parametrize("made", [1, 2])
def test_transport_failures_are_retried_within_a_quarter_second(clock, spread, made):
    for share in (0.0, 0.5, 1.0):
        spread(share)
        assert after(made, ConnectionFailed()) == pytest.approx(share * 0.025 * 2**made)


def test_attempts_run_out(clock):
    assert after(3, ConnectionFailed()) is None


def test_the_calls_own_failures_are_final(clock):
    assert after(1, JavaScriptError()) is None
    assert after(1, CallTimeout()) is None


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 1.0), (1.0, 1.25)])
def test_an_overloaded_server_says_when_to_come_back(clock, spread, share, seconds):
    spread(share)
    assert after(1, Overloaded("", {"retry_after_ms": 1000})) == pytest.approx(seconds)


def test_an_overloaded_server_that_says_nothing_gets_the_usual_pause(clock, spread):
    spread(1.0)
    assert after(1, Overloaded()) == pytest.approx(0.05)


def test_no_attempt_is_made_after_the_deadline(clock, spread):
    spread(1.0)
    error = Overloaded("", {"retry_after_ms": 1000})
    assert after(1, error, timeout_s=1.2) is None
    assert after(1, error, timeout_s=1.3) == pytest.approx(1.25)


@pytest.mark.parametrize("wait", [-5, 0, 1e308])
def test_odd_pauses_from_a_server_are_bounded_by_the_deadline(clock, spread, wait):
    spread(1.0)
    found = after(1, Overloaded("", {"retry_after_ms": wait}), timeout_s=60.0)
    assert found is None or 0 <= found < 60.0


@pytest.mark.parametrize("wait", ["soon", None, [1], {}], ids=str)
def test_a_pause_that_is_no_number_is_none(clock, spread, wait):
    spread(1.0)
    assert after(1, Overloaded("", {"retry_after_ms": wait})) == pytest.approx(0.05)


@pytest.mark.parametrize("wait", [math.inf, 1e308, 24 * 3600 * 1000.0])
def test_a_call_without_deadline_does_not_wait_for_days(clock, spread, wait):
    spread(1.0)
    found = after(1, Overloaded("", {"retry_after_ms": wait}))
    assert found is None or found <= 30


def test_connections_that_break_one_after_the_other_are_tried_longer(clock):
    broke = ConnectionFailed("the connection broke", {"was_open": True})
    assert after(MAX_ATTEMPTS, ConnectionFailed("refused")) is None
    assert after(MAX_ATTEMPTS, broke) is not None
    assert after(2 * MAX_ATTEMPTS, broke) is None


# ------------------------------------------------------------------ receipts


def answer_of(*maps: dict[str, object]) -> ReceiptedResponse:
    return ReceiptedResponse(1, result_tail(1), tuple(map(pack_receipt, maps)))


def test_a_call_that_wants_no_receipt_has_none():
    call = pending()
    call.conclude(None)
    error = PayloadTooLarge("m")
    call.conclude(error)
    assert error.receipt is None


def test_attempts_of_the_client_and_of_orchestrators_add_up(clock):
    call = pending(meta={"receipt": True})
    call.attempts = 1
    call.note(answer_of({"orchestrator": "o1", "attempts": 3, "node": "n1"}))
    assert call.retry_at(Overloaded("full")) is not None
    call.attempts = 2
    call.note(answer_of({"node": "n2", "total_ms": 5.0}, {"orchestrator": "o2", "attempts": 2}))
    clock.now += 0.5
    receipt = call.reply(8).receipt
    assert (receipt.attempts, receipt.node, receipt.orchestrator) == (5, "n2", "o2")
    assert (receipt.total_ms, receipt.wire_ms) == (500.0, 495.0)


@pytest.mark.parametrize("attempts", [-1, 10**9, True, "3", None])
def test_attempts_that_make_no_sense_count_as_one(attempts):
    call = pending(meta={"receipt": True})
    call.attempts = 1
    call.note(answer_of({"orchestrator": "o1", "attempts": attempts}))
    assert call.reply(8).receipt.attempts == 1


def test_what_was_said_of_an_attempt_is_not_said_of_the_next():
    call = pending(meta={"receipt": True})
    call.attempts = 1
    call.note(answer_of({"node": "n1", "total_ms": 0.0}))
    call.conclude(ConnectionFailed("lost"))
    assert call.retry_at(ConnectionFailed("lost")) is not None
    error = ConnectionFailed("lost again")
    call.conclude(error)
    assert error.receipt is not None
    assert error.receipt.node is None
