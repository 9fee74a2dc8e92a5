from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import (
    ConnectionFailed,
    Draining,
    InvalidRequest,
    MadrpcError,
    Overloaded,
    PayloadTooLarge,
    ProtocolError,
    Unauthenticated,
)
from madrpc.protocol.frames import encode_frame
from madrpc.protocol.messages import (
    Request,
    cancel_frame,
    error_tail,
    request_head,
    request_tail,
    response_head,
    result_tail,
)
from madrpc.protocol.session import MAX_UNKNOWN_REPLIES, CallerSession, ServerSession
from tests.kit import cut, facts, feed_all, feed_three_ways

LIMIT = 1000
TAIL = request_tail("add", {"a": 5})


def answer(id: int, result: object = None) -> bytes:
    tail = result_tail(result)
    return response_head(id, len(tail)) + tail


def answered(token: object, id: int, result: object = None) -> tuple[object, object]:
    return (token, ("response", id, result_tail(result)))


def request(id: int) -> bytes:
    return request_head(id, 0, len(TAIL)) + TAIL


def asked(id: int) -> tuple[object, ...]:
    return ("request", id, 0, "add", TAIL)


def caller(*tokens: object) -> CallerSession:
    session = CallerSession(LIMIT)
    for token in tokens:
        session.open(token)
    return session


def received(session: CallerSession, data: bytes) -> list[object]:
    return [facts(pair) for pair in session.receive(data)]


# ------------------------------------------------------------------- caller


def test_ids_count_up_and_are_in_flight():
    session = CallerSession(LIMIT)
    assert [session.open(token) for token in "abc"] == [1, 2, 3]
    assert session.in_flight == 3
    assert session.tokens() == ["a", "b", "c"]
    assert not session.is_idle
    assert "3 in flight" in repr(session)


def test_answers_find_their_requests_in_any_order():
    stream = answer(3, "C") + answer(1, "A") + answer(2, "B")
    expected = [answered("c", 3, "C"), answered("a", 1, "A"), answered("b", 2, "B")]
    assert feed_three_ways(lambda: caller("a", "b", "c").receive, stream) == expected
    session = caller("a", "b", "c")
    session.receive(stream)
    assert session.is_idle
    assert session.error is None


def test_ids_wrap_around_and_skip_those_in_use():
    session = caller("kept", "answered")
    session.receive(answer(2))
    session._next_id = 2**32 - 1
    assert [session.open("x"), session.open("y")] == [2**32 - 1, 2]


def test_an_abandoned_request_swallows_its_late_answer():
    session = caller("a", "b")
    assert session.abandon(1)
    assert session.in_flight == 1
    assert session.tokens() == ["b"]
    assert received(session, answer(1) + answer(2)) == [answered("b", 2)]
    assert session.is_idle
    assert session._unknown == 0


def test_an_abandoned_id_is_not_used_before_its_late_answer():
    session = caller("a")
    session.abandon(1)
    assert not session.is_idle
    session._next_id = 1
    assert session.open("b") == 2
    session.receive(answer(1))
    session._next_id = 1
    assert session.open("c") == 1


def test_what_is_not_in_flight_cannot_be_abandoned():
    session = caller("a", "b")
    session.receive(answer(1))
    assert not session.abandon(1)
    assert not session.abandon(100)
    assert session.abandon(2)
    assert not session.abandon(2)
    session.receive(answer(1))
    assert session._unknown == 1


def test_a_second_answer_to_one_request_is_unknown():
    session = caller("a")
    assert received(session, answer(1) * 2) == [answered("a", 1)]
    assert session._unknown == 1
    assert session.error is None


def test_ten_unknown_answers_are_let_pass_and_the_next_is_not():
    session = caller(*range(20))
    assert MAX_UNKNOWN_REPLIES == 10
    assert session.receive(answer(100) * 10) == []
    assert session.error is None
    assert received(session, answer(4)) == [answered(3, 4)]
    session.receive(answer(100))
    assert type(session.error) is ProtocolError
    assert session.receive(answer(5)) == []


WRONG_FROM_SERVER = [
    (request(0), ProtocolError),
    (cancel_frame(0), ProtocolError),
    (encode_frame(b"\xc1"), ProtocolError),
    (encode_frame(b"\x93\x01\x00\xc0"), InvalidRequest),
    (encode_frame(b"\x94\x01\xff\xc0\xc0"), InvalidRequest),
    (b"\0\0\0\0", ProtocolError),
    (b"\xff\xff\xff\xff", PayloadTooLarge),
]


@pytest.mark.parametrize(("wrong", "kind"), WRONG_FROM_SERVER)
def test_anything_but_answers_breaks_the_connection(wrong, kind):
    stream = answer(1, "A") + wrong
    assert feed_three_ways(lambda: caller("a", "b").receive, stream) == [answered("a", 1, "A")]
    session = caller("a", "b")
    session.receive(stream)
    assert type(session.error) is kind
    assert session.receive(answer(2)) == []
    assert session.tokens() == ["b"]


def test_what_follows_a_break_is_dropped_however_it_is_fed():
    stream = request(0) + answer(1)
    assert feed_three_ways(lambda: caller("a").receive, stream) == []


def test_the_first_error_is_the_one_that_counts():
    session = caller("a")
    session.receive(request(0) + encode_frame(b"\x93\x01\x00\xc0"))
    assert type(session.error) is ProtocolError


def refusal(error: MadrpcError) -> bytes:
    tail = error_tail(error)
    return response_head(0, len(tail)) + tail


@pytest.mark.parametrize("kind", [Overloaded, Draining, Unauthenticated])
def test_a_refused_connection_is_the_error_of_every_call(kind):
    session = caller("a", "b")
    assert session.receive(refusal(kind("no")) + answer(1)) == []
    assert type(session.refusal) is type(session.error) is kind
    assert session.loss("gone") is session.refusal
    assert session.close() == ["a", "b"]


def test_a_refused_frame_is_the_error_of_a_call_that_is_alone():
    alone, together = caller("a"), caller("a", "b")
    for session in (alone, together):
        session.receive(refusal(PayloadTooLarge("too large")))
    assert type(alone.loss("gone")) is PayloadTooLarge
    assert type(together.loss("gone")) is ConnectionFailed


def test_an_answer_with_id_0_that_is_no_error_says_that_the_hello_was_welcome():
    session = caller("a")
    session.receive(answer(0))
    assert (session.refusal, session.error, session._unknown) == (None, None, 0)


def test_a_refusal_that_cannot_be_read_is_an_error():
    session = caller("a")
    session.receive(encode_frame(b"\x94\x01\x00\xa1\xff\xc0"))
    assert session.error is session.refusal
    assert session.error is not None


def test_an_end_is_an_error_for_a_caller():
    session = caller("a")
    session.receive_eof()
    assert session.error.message == "the peer closed"


def test_an_end_inside_an_answer_says_so():
    session = caller("a")
    session.receive(answer(1)[:-1])
    session.receive_eof()
    assert "middle of a frame" in session.error.message


def test_an_end_keeps_an_earlier_error():
    session = caller("a")
    session.receive(request(0))
    error = session.error
    session.receive_eof()
    assert session.error is error


def test_closing_returns_what_was_never_answered():
    session = caller("a", "b", "c")
    session.receive(answer(2))
    session.abandon(1)
    assert session.close() == ["c"]
    assert session.is_idle
    assert session.close() == []


# ------------------------------------------------------------------- server


def test_requests_and_cancels_are_handed_over():
    stream = request(1) + cancel_frame(1) + request(2)
    expected = [asked(1), ("cancel", 1), asked(2)]
    assert feed_three_ways(lambda: ServerSession(LIMIT).receive, stream) == expected


def test_a_malformed_message_with_an_id_is_to_be_answered():
    stream = encode_frame(b"\x92\x03\x07") + request(2)
    expected = [("malformed", 7, "InvalidRequest"), asked(2)]
    assert feed_three_ways(lambda: ServerSession(LIMIT).receive, stream) == expected
    session = ServerSession(LIMIT)
    session.receive(stream)
    assert session.error is None


WRONG_FROM_CALLER = [
    (answer(1), ProtocolError),
    (encode_frame(b"\xc1"), ProtocolError),
    (encode_frame(b"\x96\x00\xff\x00" + TAIL), InvalidRequest),
    (b"\0\0\0\0", ProtocolError),
    (b"\xff\xff\xff\xff", PayloadTooLarge),
]


@pytest.mark.parametrize(("wrong", "kind"), WRONG_FROM_CALLER)
def test_anything_else_breaks_the_connection(wrong, kind):
    stream = request(1) + wrong + request(2)
    assert feed_three_ways(lambda: ServerSession(LIMIT).receive, stream) == [asked(1)]
    session = ServerSession(LIMIT)
    session.receive(stream)
    assert type(session.error) is kind
    assert session.receive(request(3)) == []


def test_an_end_inside_a_request_is_an_error():
    session = ServerSession(LIMIT)
    session.receive(request(1)[:-1])
    assert session.partial_bytes == len(request(1)) - 1
    session.receive_eof()
    assert "middle of a frame" in session.error.message


def test_an_end_between_requests_is_none():
    session = ServerSession(LIMIT)
    session.receive(request(1))
    session.receive_eof()
    assert session.error is None
    assert repr(session) == "<ServerSession 0 in flight, error=None>"


def test_an_end_keeps_the_servers_earlier_error():
    session = ServerSession(LIMIT)
    session.receive(answer(1) + b"\0")
    error = session.error
    session.receive_eof()
    assert session.error is error


# -------------------------------------------------------------------- both


chunk_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=5)


class ConnectionPair:
    """Both ends of a connection joined in memory; bytes go over in pieces."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.caller = CallerSession(LIMIT)
        self.server = ServerSession(LIMIT)

    def to_server(self, data: bytes) -> list[object]:
        return feed_all(self.server.receive, cut(data, self.sizes))

    def to_caller(self, data: bytes) -> list[object]:
        return feed_all(self.caller.receive, cut(data, self.sizes))


@given(chunk_sizes, st.lists(st.binary(max_size=60), max_size=12), st.randoms(), st.data())
def test_every_call_that_is_kept_gets_its_own_answer(sizes, payloads, random, data):
    pair = ConnectionPair(sizes)
    tails = {f"call {i}": request_tail("echo", {"p": p.hex()}) for i, p in enumerate(payloads)}
    ids = {token: pair.caller.open(token) for token in tails}
    out = b"".join(request_head(ids[t], 9, len(tail)) + tail for t, tail in tails.items())
    seen = pair.to_server(out)
    assert seen == [("request", ids[t], 9, "echo", tail) for t, tail in tails.items()]

    given_up = data.draw(st.sets(st.sampled_from(sorted(tails)))) if tails else set()
    cancels = b"".join(
        cancel_frame(ids[t]) for t in sorted(given_up) if pair.caller.abandon(ids[t])
    )
    assert pair.to_server(cancels) == [("cancel", ids[t]) for t in sorted(given_up)]

    random.shuffle(seen)
    back = b"".join(response_head(id, len(tail)) + tail for _, id, _, _, tail in seen)
    kept = {(token, ("response", ids[token], tails[token])) for token in tails.keys() - given_up}
    answers = pair.to_caller(back)
    assert len(answers) == len(kept)
    assert set(answers) == kept
    assert pair.caller.is_idle
    assert (pair.caller.error, pair.server.error) == (None, None)
    assert pair.server.partial_bytes == 0


@given(st.binary(max_size=80), chunk_sizes)
def test_any_bytes_leave_a_server_with_messages_or_an_error(junk, sizes):
    session, whole = ServerSession(LIMIT), ServerSession(LIMIT)
    stream = request(1) + junk
    messages = feed_all(session.receive, cut(stream, sizes))
    assert messages[:1] == [asked(1)]
    assert feed_all(whole.receive, [stream]) == messages
    assert type(session.error) is type(whole.error)


@given(st.binary(max_size=80), chunk_sizes)
def test_any_bytes_leave_a_caller_with_answers_or_an_error(junk, sizes):
    session = caller("a", "b")
    answers = feed_all(session.receive, cut(answer(1) + junk, sizes))
    assert answers[:1] == [answered("a", 1)]
    assert len(answers) + session.in_flight == 2


def test_a_request_is_what_the_server_gets():
    (message,) = ServerSession(LIMIT).receive(request(5))
    assert type(message) is Request
    assert repr(message) == f"<Request 5 add 0 ms, {len(TAIL)} bytes>"
