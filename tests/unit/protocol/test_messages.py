from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import InvalidArguments, InvalidRequest, Overloaded, ProtocolError
from madrpc.protocol.json_text import args_to_json
from madrpc.protocol.messages import (
    Cancel,
    MalformedMessage,
    ReceiptedResponse,
    Request,
    Response,
    cancel_frame,
    error_tail,
    parse_message,
    request_head,
    request_tail,
    response_head,
    result_tail,
    unpack_error,
    unpack_request_tail,
    unpack_response_tail,
)
from madrpc.protocol.receipts import response_frame
from tests.kit import facts

NIL = b"\xc0"
TAIL = request_tail("add", {"a": 5}, None)
MAX_U32 = 2**32 - 1
EDGES = [0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, MAX_U32]

safe_numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False)
json_values = st.recursive(
    st.none() | st.booleans() | safe_numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
json_maps = st.dictionaries(st.text(), json_values, max_size=4)
u32 = st.integers(0, MAX_U32) | st.sampled_from(EDGES)
methods = st.text(min_size=1, max_size=40).filter(lambda name: len(name.encode()) <= 255)


def integer_encodings(number: int) -> list[bytes]:
    """Every valid MessagePack encoding of a number that is not negative."""
    found = [bytes((number,))] if number < 128 else []
    for first, layout in zip(range(0xCC, 0xD4), "BHIQbhiq", strict=True):
        try:
            found.append(bytes((first,)) + struct.pack(f">{layout}", number))
        except struct.error:
            continue  # the number needs more bytes
    return found


def text_encodings(data: bytes) -> list[bytes]:
    found = [bytes((0xA0 | len(data),)) + data] if len(data) < 32 else []
    for first, layout in ((0xD9, "B"), (0xDA, "H"), (0xDB, "I")):
        if len(data) < 256 ** struct.calcsize(layout):
            found.append(bytes((first,)) + struct.pack(f">{layout}", len(data)) + data)
    return found


def array_headers(size: int) -> list[bytes]:
    return [bytes((0x90 | size,)), struct.pack(">BH", 0xDC, size), struct.pack(">BI", 0xDD, size)]


def request(id: int = 7, timeout_ms: int = 100, tail: bytes = TAIL) -> bytes:
    """A request as the payload of a frame."""
    return (request_head(id, timeout_ms, len(tail)) + tail)[4:]


def response(id: int, tail: bytes) -> bytes:
    return (response_head(id, len(tail)) + tail)[4:]


# ------------------------------------------------------------------ writing


def test_the_request_head_has_its_fixed_bytes():
    head = request_head(0x01020304, 0x0A0B0C0D, 5)
    assert head == bytes.fromhex("00000011 96 00 ce01020304 ce0a0b0c0d")


def test_the_response_head_has_its_fixed_bytes():
    assert response_head(0x01020304, 5) == bytes.fromhex("0000000c 94 01 ce01020304")


def test_a_cancel_has_its_fixed_bytes():
    assert cancel_frame(0x01020304) == bytes.fromhex("00000007 92 02 ce01020304")


@pytest.mark.parametrize("id", EDGES)
def test_what_is_written_is_what_msgpack_reads(id):
    tail = request_tail("add", {"a": 5}, {"seed": 1})
    assert msgpack.unpackb(request(id, 9, tail)) == [0, id, 9, "add", {"a": 5}, {"seed": 1}]
    assert msgpack.unpackb(response(id, result_tail([1]))) == [1, id, None, [1]]
    assert msgpack.unpackb(cancel_frame(id)[4:]) == [2, id]


def test_a_frame_length_counts_what_follows_it():
    for frame in (request_head(1, 2, 3) + b"abc", response_head(1, 3) + b"abc", cancel_frame(1)):
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4


def test_an_error_tail_is_the_errors_map_and_nil():
    error = Overloaded("full", {"retry_after_ms": 10})
    assert unpack_response_tail(error_tail(error)) == (error.to_wire(), None)
    assert unpack_error(error_tail(error)) == error.to_wire()


def test_an_error_message_with_a_lone_surrogate_is_sent_all_the_same():
    assert unpack_error(error_tail(Overloaded("a\ud800b")))["message"] == "a?b"


# ------------------------------------------------------------------ reading


@given(u32, u32, methods, json_maps, st.none() | json_maps)
def test_a_request_survives_the_wire(id, timeout_ms, method, args, meta):
    message = parse_message(request(id, timeout_ms, request_tail(method, args, meta)))
    assert (message.id, message.timeout_ms, message.method) == (id, timeout_ms, method)
    assert unpack_request_tail(message.tail) == (method, args, meta or {})


@given(u32, json_values)
def test_a_result_survives_the_wire(id, result):
    message = parse_message(response(id, result_tail(result)))
    assert type(message) is Response
    assert (message.id, message.is_error) == (id, False)
    assert unpack_response_tail(message.tail) == (None, result)


def test_an_error_is_told_from_a_result():
    message = parse_message(response(1, error_tail(Overloaded("full"))))
    assert message.is_error
    assert repr(message).startswith("<Response 1 error, ")
    assert repr(parse_message(response(1, result_tail(0)))) == "<Response 1 result, 2 bytes>"


@pytest.mark.parametrize("id", EDGES)
def test_a_cancel_survives_the_wire(id):
    message = parse_message(cancel_frame(id)[4:])
    assert facts(message) == ("cancel", id)
    assert repr(message) == f"<Cancel {id}>"


@pytest.mark.parametrize("id", EDGES)
def test_every_encoding_of_an_id_reads_the_same(id):
    encodings = integer_encodings(id)
    assert len(encodings) >= 3
    for packed in encodings:
        read = parse_message(b"\x96\x00" + packed + b"\x64" + TAIL)
        assert facts(read) == ("request", id, 100, "add", TAIL)
        assert facts(parse_message(b"\x94\x01" + packed + NIL + b"\x05")) == (
            "response", id, NIL + b"\x05"
        )  # fmt: skip
        assert facts(parse_message(b"\x92\x02" + packed)) == ("cancel", id)


@pytest.mark.parametrize("timeout_ms", EDGES)
def test_every_encoding_of_a_timeout_reads_the_same(timeout_ms):
    for packed in integer_encodings(timeout_ms):
        for id in (b"\x07", b"\xce\0\0\0\x07"):
            read = parse_message(b"\x96\x00" + id + packed + TAIL)
            assert facts(read) == ("request", 7, timeout_ms, "add", TAIL)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_every_encoding_of_the_kind_and_the_array_reads_the_same(kind):
    size, rest = {0: (6, b"\x07\x64" + TAIL), 1: (4, b"\x07\xc0\x05"), 2: (2, b"\x07")}[kind]
    plain = facts(parse_message(bytes((0x90 | size, kind)) + rest))
    assert plain[0] != "malformed"
    for header in array_headers(size):
        for packed in integer_encodings(kind):
            assert facts(parse_message(header + packed + rest)) == plain


@pytest.mark.parametrize("method", ["a", "add", "ä" * 15 + "x", "x" * 31, "x" * 32, "ü" * 127])
def test_every_encoding_of_a_method_reads_the_same(method):
    for packed in text_encodings(method.encode()):
        tail = packed + NIL + NIL
        for head in (b"\x96\x00\x07\x64", b"\x96\x00\xce\0\0\0\x07\xce\0\0\0\x64"):
            assert facts(parse_message(head + tail)) == ("request", 7, 100, method, tail)


def test_a_method_may_have_255_bytes_and_no_more():
    assert parse_message(request(tail=request_tail("x" * 255, None))).method == "x" * 255
    assert parse_message(request(tail=request_tail("ü" * 127 + "x", None))).id == 7
    for name in ("x" * 256, "ü" * 128, "x" * 300, "x" * 70_000):
        for packed in text_encodings(name.encode()):
            assert_malformed(request(tail=packed + NIL + NIL), 7, InvalidRequest, "method")


# ---------------------------------------------------------- malformed input


def assert_malformed(frame: bytes, id: int | None, kind: type, field: str | None = None) -> None:
    message = parse_message(frame)
    assert type(message) is MalformedMessage, message
    assert (message.id, type(message.error)) == (id, kind)
    assert field is None or message.error.data == {"field": field}
    assert repr(message) == f"<MalformedMessage {id} {message.error}>"


NOT_U32 = {
    "true": b"\xc3",
    "false": b"\xc2",
    "nil": NIL,
    "negative fixint": b"\xff",
    "negative int64": b"\xd3" + b"\xff" * 8,
    "beyond u32": struct.pack(">BQ", 0xCF, 2**32),
    "float": struct.pack(">Bd", 0xCB, 1.0),
    "NaN": struct.pack(">Bd", 0xCB, float("nan")),
    "text": b"\xa11",
    "array": b"\x90",
    "map": b"\x80",
    "bytes": b"\xc4\x01a",
    "extension": b"\xd4\x05\x00",
    "timestamp": b"\xd6\xff\x00\x00\x00\x00",
}
not_u32 = pytest.mark.parametrize("bad", NOT_U32.values(), ids=NOT_U32.keys())


@not_u32
def test_a_kind_that_is_no_number_leaves_no_id(bad):
    assert_malformed(b"\x96" + bad + b"\x07\x64" + TAIL, None, InvalidRequest, "kind")


@not_u32
def test_an_id_that_is_no_u32_is_none(bad):
    assert_malformed(b"\x96\x00" + bad + b"\x64" + TAIL, None, InvalidRequest, "id")
    assert_malformed(b"\x94\x01" + bad + NIL + NIL, None, InvalidRequest, "id")
    assert_malformed(b"\x92\x02" + bad, None, InvalidRequest, "id")


@not_u32
def test_a_timeout_that_is_no_u32_is_named(bad):
    for id in (b"\x07", b"\xce\0\0\0\x07"):
        assert_malformed(b"\x96\x00" + id + bad + TAIL, 7, InvalidRequest, "timeout_ms")


@pytest.mark.parametrize("kind", [3, 127, 2**32 - 1])
def test_an_unknown_kind_is_answered(kind):
    for packed in integer_encodings(kind):
        assert_malformed(b"\x92" + packed + b"\x07", 7, InvalidRequest)
        assert f"unknown kind of message: {kind}" in str(parse_message(b"\x92" + packed + b"\x07"))


@pytest.mark.parametrize(
    ("kind", "rest", "right"),
    [(0, b"\x07\x64" + TAIL, 6), (1, b"\x07\xc0\xc0", 4), (2, b"\x07", 2)],
)
def test_missing_and_extra_fields_are_refused(kind, rest, right):
    # An answer may have receipts behind it, and none of these is one.
    for size in set(range(2, 14)) - {right}:
        for header in array_headers(size):
            assert_malformed(header + bytes((kind,)) + rest, 7, InvalidRequest)


@pytest.mark.parametrize(
    "bad", [NIL, b"\xa0", b"\xd9\x00", b"\xda\0\0", b"\xdb\0\0\0\0", b"\x05", b"\xc4\x01a", b"\x80"]
)
def test_a_method_that_is_no_name_is_named(bad):
    for head in (b"\x96\x00\x07\x64", b"\x96\x00\xce\0\0\0\x07\xce\0\0\0\x64"):
        assert_malformed(head + bad + NIL + NIL, 7, InvalidRequest, "method")


@pytest.mark.parametrize("name", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_method_that_is_not_utf8_is_named(name):
    for packed in text_encodings(name):
        assert_malformed(request(tail=packed + NIL + NIL), 7, InvalidRequest, "method")


def test_bytes_after_a_cancel_are_refused():
    assert_malformed(cancel_frame(7)[4:] + b"\x00", 7, InvalidRequest)


@pytest.mark.parametrize("encoding", [b"\x96\x00\x07\x64", request(tail=b"")])
def test_a_request_cut_short_after_its_head_is_answered(encoding):
    packed = b"\xa3add"
    # The arguments are not looked at: a cut inside them is seen by whoever decodes them.
    for end in range(len(packed + NIL)):
        assert_malformed(encoding + (packed + NIL)[: end + 1], 7, InvalidRequest)
    for packed in text_encodings(b"add")[1:]:
        for end in range(1, len(packed)):
            assert_malformed(encoding + packed[:end], 7, InvalidRequest)
    assert_malformed(encoding, 7, InvalidRequest)


def test_a_head_cut_short_is_no_message():
    for end in range(2):
        assert_malformed(request()[:end], None, ProtocolError)
    for end in range(2, 7):
        assert_malformed(request()[:end], None, ProtocolError)
    for end in range(7, 12):
        assert_malformed(request()[:end], 7, ProtocolError)
    for end in range(6):
        assert_malformed(response(7, NIL + NIL)[:end], None, ProtocolError)
    assert_malformed(response(7, b""), 7, InvalidRequest)


@pytest.mark.parametrize(
    "head",
    [
        b"\x94\x01\x07",
        (b"\x94\x01\xce\0\0\0\x07"),
    ],
    ids=["any encoding", "fixed head"],
)
def test_a_response_cut_short_after_its_error_is_refused(head):
    assert_malformed(head + NIL, 7, InvalidRequest)


@pytest.mark.parametrize(
    "junk", [b"", b"\xc1", b"\xc0", b"\x80", b"\x00", b"\xdd\xff\xff\xff\xff", b"\x91" * 3000]
)
def test_junk_is_no_message(junk):
    message = parse_message(junk)
    assert facts(message)[:2] == ("malformed", None)


def assert_consistent(message: object) -> None:
    """Exactly one of the four; a request or a response means the same when it is passed on."""
    assert type(message) in (Request, Response, ReceiptedResponse, Cancel, MalformedMessage)
    assert repr(message)
    if isinstance(message, Request):
        passed_on = request(message.id, message.timeout_ms, message.tail)
        assert facts(parse_message(passed_on)) == facts(message)
    elif isinstance(message, Response):
        frame = response_frame(message.id, message.tail, message.receipts, MAX_U32)
        assert facts(parse_message(frame[4:])) == facts(message)


@given(st.binary(max_size=60))
def test_any_bytes_are_exactly_one_message(frame):
    assert_consistent(parse_message(frame))


@given(
    st.sampled_from(array_headers(6) + array_headers(4) + array_headers(2) + array_headers(5)),
    u32.map(integer_encodings).flatmap(st.sampled_from)
    | st.sampled_from([b"\x00", b"\x01", b"\x02"]),
    st.lists(
        u32.map(integer_encodings).flatmap(st.sampled_from)
        | st.text(max_size=40).map(str.encode).map(text_encodings).flatmap(st.sampled_from)
        | json_values.map(msgpack.packb)
        | st.binary(max_size=3),
        max_size=6,
    ),
)
def test_nearly_right_bytes_are_exactly_one_message(header, kind, fields):
    assert_consistent(parse_message(header + kind + b"".join(fields)))


@given(st.data(), u32, u32, methods, json_maps)
def test_a_request_in_any_encoding_passes_on_as_the_canonical_one(
    data, id, timeout_ms, method, args
):
    def any_of(found: list[bytes]) -> bytes:
        return data.draw(st.sampled_from(found))

    tail = request_tail(method, args)
    numbers = (integer_encodings(number) for number in (0, id, timeout_ms))
    read = parse_message(any_of(array_headers(6)) + b"".join(map(any_of, numbers)) + tail)
    assert request(read.id, read.timeout_ms, read.tail) == request(id, timeout_ms, tail)


# -------------------------------------------------------------------- tails


def args_tail(args: bytes, meta: bytes = NIL) -> bytes:
    return b"\xa3add" + args + meta


def test_nil_args_and_meta_are_empty_maps():
    assert unpack_request_tail(args_tail(NIL)) == ("add", {}, {})
    assert unpack_request_tail(args_tail(b"\x80", b"\x80")) == ("add", {}, {})


def test_the_last_of_two_equal_keys_counts():
    assert unpack_request_tail(args_tail(b"\x82\xa1a\x01\xa1a\x02"))[1] == {"a": 2}


@pytest.mark.parametrize("bad", [b"\x90", b"\x91\x01", b"\x00", b"\xc2", b"\xa1x", b"\xc4\x01x"])
def test_args_and_meta_must_be_maps(bad):
    for tail, field in ((args_tail(bad), "args"), (args_tail(NIL, bad), "meta")):
        with pytest.raises(InvalidRequest) as caught:
            unpack_request_tail(tail)
        assert caught.value.data == {"field": field}


@pytest.mark.parametrize(
    ("packed", "path"),
    [
        (b"\x81\x01\x02", []),
        (b"\x81\xc0\x02", []),
        (b"\x81\xa1a\x91\x81\x01\x02", ["a", 0]),
        (b"\x81\xa1a\xd4\x05\x00", ["a"]),
        (b"\x81\xc4\x01a\x01", []),
        (b"\x81\xa1a\xd6\xff\0\0\0\0", ["a"]),
        (b"\x81\xa1a\xc4\x01b", ["a"]),
    ],
    ids=["int key", "nil key", "int key inside", "extension", "bytes key", "timestamp", "bytes"],
)
def test_values_that_json_has_not_are_refused_with_their_path(packed, path):
    with pytest.raises(InvalidArguments) as caught:
        args_to_json(unpack_request_tail(args_tail(packed))[1])
    assert caught.value.data == {"path": path}


@pytest.mark.parametrize(
    "packed",
    [
        b"\x81\x01\x02",
        b"\x81\xc0\x02",
        b"\x81\xa1a\xd4\x05\x00",
    ],
    ids=["int key", "nil key", "extension"],
)
def test_meta_holds_only_json_values(packed):
    with pytest.raises((ProtocolError, InvalidRequest, InvalidArguments)):
        unpack_request_tail(args_tail(NIL, packed))


@pytest.mark.parametrize(
    "tail",
    [
        args_tail(b"\x81\xa1a\xa1\xff"),
        args_tail(b"\x81\xa1\xff\x01"),
        args_tail(NIL) + b"\x00",
        args_tail(b"\x81\xa1a"),
        args_tail(b"\xc1"),
        args_tail(b"\xdf\xff\xff\xff\xff"),
        args_tail(b"\x81\x90\x01"),
        b"",
    ],
)
def test_what_is_not_messagepack_is_a_protocol_error(tail):
    with pytest.raises(ProtocolError):
        unpack_request_tail(tail)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"])
def test_args_nested_too_deep_are_invalid_arguments(opening):
    with pytest.raises(InvalidArguments, match="nested deeper"):
        unpack_request_tail(args_tail(b"\x81\xa1a" + opening * 2000 + NIL))


@pytest.mark.parametrize("tail", [b"\xc0", b"\xc0\xc0\xc0", b"\xc0\xc1", b"\xc0\x81\x01\x01"])
def test_a_response_tail_that_cannot_be_read_is_a_protocol_error(tail):
    with pytest.raises(ProtocolError):
        unpack_response_tail(tail)
    with pytest.raises(ProtocolError):
        unpack_error(tail)


def test_a_response_nested_too_deep_is_a_protocol_error():
    with pytest.raises(ProtocolError):
        unpack_response_tail(NIL + b"\x91" * 2000 + NIL)


@given(st.binary(max_size=40))
def test_any_tail_is_values_or_a_documented_error(tail):
    try:
        method, args, meta = unpack_request_tail(b"\xa1f" + tail)
    except (InvalidRequest, InvalidArguments, ProtocolError):
        return
    assert (method, type(args), type(meta)) == ("f", dict, dict)
