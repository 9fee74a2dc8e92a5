from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import InvalidRequest, Overloaded
from madrpc.protocol.messages import (
    MalformedMessage,
    ReceiptedResponse,
    Response,
    error_tail,
    parse_message,
    response_head,
    result_tail,
    unpack_response_tail,
)
from madrpc.protocol.receipts import (
    MOST_RECEIPTS,
    pack_receipt,
    response_frame,
    rounded_ms,
    split_receipts,
    unpack_receipts,
)
from madrpc.protocol.session import CallerSession

LIMIT = 10_000
values = st.none() | st.text() | st.integers(0, 2**50) | st.floats(allow_nan=False)
maps = st.dictionaries(st.text(), values, max_size=4)
u32 = st.integers(0, 2**32 - 1)


@given(u32, values | st.lists(values), st.lists(maps, max_size=MOST_RECEIPTS))
def test_receipts_survive_the_wire(id, result, receipts):
    packed = tuple(map(pack_receipt, receipts))
    frame = response_frame(id, result_tail(result), packed, 2**32)
    assert msgpack.unpackb(frame[4:]) == [1, id, None, result, *receipts]
    message = parse_message(frame[4:])
    assert type(message) is (ReceiptedResponse if receipts else Response)
    assert (message.id, message.receipts, message.is_error) == (id, packed, False)
    assert unpack_response_tail(message.tail) == (None, result)
    assert unpack_receipts(message.receipts) == receipts


def test_without_receipts_the_bytes_are_the_same_as_ever():
    tail = result_tail({"a": 1})
    assert response_frame(7, tail, (), LIMIT) == response_head(7, len(tail)) + tail


def test_an_error_has_receipts_too():
    tail = error_tail(Overloaded("full"))
    message = parse_message(response_frame(7, tail, (pack_receipt({"node": "a"}),), LIMIT)[4:])
    assert message.is_error
    assert message.tail == tail


def test_receipts_that_are_too_many_or_too_long_are_left_out():
    tail = result_tail(1)
    one = pack_receipt({"node": "x" * 100})
    many = msgpack.unpackb(response_frame(7, tail, (one,) * 20, LIMIT)[4:])
    assert len(many) == 4 + MOST_RECEIPTS
    assert msgpack.unpackb(response_frame(7, tail, (one,), 100)[4:]) == [1, 7, None, 1]


@pytest.mark.parametrize("extra", [b"", b"\xc1", b"\x81\xa1a", b"\x80\x80", b"\x80\x80\x80"])
def test_an_answer_whose_receipts_cannot_be_read_is_malformed(extra):
    message = parse_message(b"\x96\x01\x07" + result_tail(1) + extra)
    if extra == b"\x80\x80":
        assert type(message) is ReceiptedResponse
        return
    assert type(message) is MalformedMessage
    assert (message.id, type(message.error)) == (7, InvalidRequest)


def test_more_than_eight_receipts_are_malformed():
    for count, kind in ((8, ReceiptedResponse), (9, MalformedMessage)):
        frame = bytes((0x94 + count,)) + b"\x01\x07" + result_tail(1) + b"\x80" * count
        assert type(parse_message(frame)) is kind


@given(st.binary(max_size=40), st.integers(1, MOST_RECEIPTS))
def test_any_bytes_split_or_do_not(junk, count):
    parts = split_receipts(junk, count)
    if parts is not None:
        assert parts[0] + b"".join(parts[1]) == junk
        assert len(parts[1]) == count


def test_what_is_no_map_is_no_receipt():
    junk = (b"\x05", b"\xc1", b"\x81\x90\x01", b"", b"\x80")
    assert unpack_receipts(junk) == [{}]


def test_a_session_gives_the_answer_to_its_call():
    session = CallerSession(LIMIT)
    id = session.open("token")
    frame = response_frame(id, result_tail(1), (pack_receipt({"node": "a"}),), LIMIT)
    ((token, response),) = session.receive(frame)
    assert (token, unpack_receipts(response.receipts)) == ("token", [{"node": "a"}])
    session.abandon(session.open("other"))
    assert session.receive(response_frame(2, result_tail(1), (b"\x80",), LIMIT)) == []
    assert (session.error, session.is_idle) == (None, True)


def test_milliseconds_have_three_digits_and_no_sign():
    assert rounded_ms(0.0123456) == 12.346
    assert rounded_ms(-1e-9) == 0.0
