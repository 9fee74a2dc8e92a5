"""Messages, each one MessagePack array in a frame.

Request ``[0, id, timeout_ms, method, args, meta]``, response ``[1, id, error, result]``, cancel
``[2, id]``.

A forwarder reads only the head: kind, id, timeout and method. Whatever follows stays encoded in
``tail``, so it is passed on without being decoded. The writers here put the head into a fixed
number of bytes, which lets the head be replaced without touching the tail::

    request   96 00 ce <id:4> ce <timeout:4> | method args meta
    response  94 01 ce <id:4>                | error result
    response  95 01 ce <id:4>                | error result receipt    (9c has 8 receipts)

Readers accept every valid MessagePack encoding of the same values.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import msgpack

from madrpc.config import MAX_METHOD_BYTES
from madrpc.errors import InvalidArguments, InvalidRequest, MadrpcError, ProtocolError
from madrpc.protocol.meta import meta_of
from madrpc.protocol.packing import pack, unpack_fields
from madrpc.protocol.receipts import MOST_RECEIPTS, split_receipts
from madrpc.protocol.values import check_args

__all__ = [
    "CANCEL",
    "NIL",
    "REQUEST",
    "REQUEST_HEAD",
    "RESPONSE",
    "Cancel",
    "MalformedMessage",
    "ReceiptedResponse",
    "Request",
    "Response",
    "cancel_frame",
    "error_tail",
    "meta_of",
    "parse_message",
    "request_head",
    "request_tail",
    "response_head",
    "result_tail",
    "unpack_error",
    "unpack_request_tail",
    "unpack_response_tail",
]

REQUEST: Final = 0
RESPONSE: Final = 1
CANCEL: Final = 2

#: MessagePack nil.
NIL: Final = b"\xc0"
_NIL_BYTE: Final = 0xC0
_MAX_U32: Final = 0xFFFFFFFF

# Frame length, then the fixed head of the message.
_REQUEST_FRAME = struct.Struct(">IBBBIBI")
_RESPONSE_FRAME = struct.Struct(">IBBBI")
_CANCEL_FRAME = struct.Struct(">IBBBI")
#: Bytes of a request in front of its tail, as the writers here make it.
REQUEST_HEAD: Final = _REQUEST_FRAME.size - 4
_RESPONSE_HEAD: Final = _RESPONSE_FRAME.size - 4
_REQUEST_START: Final = b"\x96\x00\xce"
_RESPONSE_START: Final = b"\x94\x01\xce"
_request_numbers = struct.Struct(">3xIxI").unpack_from
_response_number = struct.Struct(">3xI").unpack_from
_pack_request = _REQUEST_FRAME.pack
_pack_response = _RESPONSE_FRAME.pack


class Request:
    """A call as it came: head decoded, arguments not.

    Attributes:
        id: the sender's number for it.
        timeout_ms: time left when it was sent; 0 is none.
        method: name of the function.
        tail: method, args and meta, still encoded.
    """

    __slots__ = ("id", "method", "tail", "timeout_ms")

    def __init__(self, id: int, timeout_ms: int, method: str, tail: bytes) -> None:
        self.id = id
        self.timeout_ms = timeout_ms
        self.method = method
        self.tail = tail

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method} {self.timeout_ms} ms, {len(self.tail)} bytes>"


class Response:
    """An answer as it came: ``tail`` holds error and result, still encoded."""

    __slots__ = ("id", "tail")
    #: What each server says of the call, still encoded, where the request asked for that.
    receipts: tuple[bytes, ...] = ()

    def __init__(self, id: int, tail: bytes) -> None:
        self.id = id
        self.tail = tail

    @property
    def is_error(self) -> bool:
        """Whether the error field is anything but nil."""
        return self.tail[0] != _NIL_BYTE

    def __repr__(self) -> str:
        kind = "error" if self.is_error else "result"
        return f"<Response {self.id} {kind}, {len(self.tail)} bytes>"


class ReceiptedResponse(Response):
    """An answer with receipts behind its result."""

    __slots__ = ("receipts",)

    def __init__(self, id: int, tail: bytes, receipts: tuple[bytes, ...]) -> None:
        super().__init__(id, tail)
        self.receipts = receipts


class Cancel:
    """The sender gives up its request ``id``."""

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:
        self.id = id

    def __repr__(self) -> str:
        return f"<Cancel {self.id}>"


class MalformedMessage:
    """A frame that is no message. ``id`` is None where none could be read."""

    __slots__ = ("error", "id")

    def __init__(self, id: int | None, error: MadrpcError) -> None:
        self.id = id
        self.error = error

    def __repr__(self) -> str:
        return f"<MalformedMessage {self.id} {self.error}>"


Message = Request | Response | Cancel | MalformedMessage


# ------------------------------------------------------------------ writing


def request_tail(method: str, args: Any, meta: Mapping[str, Any] | None = None) -> bytes:
    """Method, args and meta encoded, ready to follow a request head.

    Raises:
        TypeError, ValueError, OverflowError, UnicodeEncodeError: from msgpack, for values it
            cannot encode; ``values.check_args`` names the value.
    """
    return b"".join((pack(method), pack(args), pack(meta)))


def result_tail(result: Any) -> bytes:
    """Error nil and the result, ready to follow a response head."""
    return NIL + pack(result)


def error_tail(error: MadrpcError) -> bytes:
    """The error's map and result nil, ready to follow a response head."""
    packed: bytes = msgpack.packb(error.to_wire(), unicode_errors="replace")
    return packed + NIL


def request_head(id: int, timeout_ms: int, tail_size: int) -> bytes:
    """Frame length and fixed head of a request whose tail has ``tail_size`` bytes."""
    return _pack_request(REQUEST_HEAD + tail_size, 0x96, REQUEST, 0xCE, id, 0xCE, timeout_ms)


def response_head(id: int, tail_size: int) -> bytes:
    """Frame length and fixed head of a response whose tail has ``tail_size`` bytes."""
    return _pack_response(_RESPONSE_HEAD + tail_size, 0x94, RESPONSE, 0xCE, id)


def cancel_frame(id: int) -> bytes:
    """A whole cancel frame."""
    return _CANCEL_FRAME.pack(7, 0x92, CANCEL, 0xCE, id)


# ------------------------------------------------------------------ reading


def parse_message(frame: bytes) -> Message:
    """Read the head of one frame. Never raises: what cannot be read is a MalformedMessage."""
    start = frame[:3]
    if start == _REQUEST_START and len(frame) > REQUEST_HEAD and frame[7] == 0xCE:
        id, timeout_ms = _request_numbers(frame)
        return _request(id, timeout_ms, frame[REQUEST_HEAD:])
    if start == _RESPONSE_START and len(frame) > _RESPONSE_HEAD + 1:
        return Response(_response_number(frame)[0], frame[_RESPONSE_HEAD:])
    return _parse_any_encoding(frame)


def _request(id: int, timeout_ms: int, tail: bytes) -> Request | MalformedMessage:
    """Read the method at the front of ``tail``."""
    first = tail[0]
    if 0xA1 <= first <= 0xBF:
        begin, end = 1, 1 + (first & 0x1F)
    elif first == 0xD9 and len(tail) > 1:
        begin, end = 2, 2 + tail[1]
    else:
        begin, end = _unusual_method(tail)
    name = tail[begin:end]
    # The arguments and meta follow, at least one byte each.
    if len(tail) < end + 2:
        return MalformedMessage(id, InvalidRequest("the request is cut short"))
    if not 0 < len(name) <= MAX_METHOD_BYTES:
        return MalformedMessage(
            id, InvalidRequest("method must be text of 1 to 255 bytes", {"field": "method"})
        )
    try:
        return Request(id, timeout_ms, name.decode(), tail)
    except UnicodeDecodeError:
        return MalformedMessage(
            id, InvalidRequest("method is not valid UTF-8", {"field": "method"})
        )


def _unusual_method(tail: bytes) -> tuple[int, int]:
    """Bounds of a name in a needlessly long encoding; empty bounds for anything else."""
    if tail[0] == 0xDA and len(tail) > 2:
        return 3, 3 + int.from_bytes(tail[1:3], "big")
    if tail[0] == 0xDB and len(tail) > 4:
        return 5, 5 + int.from_bytes(tail[1:5], "big")
    return 0, 0


def _parse_any_encoding(frame: bytes) -> Message:
    id: int | None = None
    try:
        # A decoder that has raised must not be used again, so each frame gets its own.
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=max(len(frame), 1))
        unpacker.feed(frame)
        size = unpacker.read_array_header()
        kind = _integer("kind", frame, unpacker)
        id = _integer("id", frame, unpacker)
        timeout_ms = _integer("timeout_ms", frame, unpacker) if kind == REQUEST else 0
        tail = frame[unpacker.tell() :]
    except InvalidRequest as error:
        return MalformedMessage(id, error)
    except Exception as error:  # msgpack raises many unrelated types on hostile bytes
        return MalformedMessage(id, ProtocolError(f"not a message: {error}"))
    return _build(kind, size, id, timeout_ms, tail)


def _build(kind: int, size: int, id: int, timeout_ms: int, tail: bytes) -> Message:
    expected = {REQUEST: 6, RESPONSE: 4, CANCEL: 2}.get(kind)
    if expected is None:
        return MalformedMessage(id, InvalidRequest(f"unknown kind of message: {kind}"))
    if size != expected and not (kind == RESPONSE and 4 < size <= 4 + MOST_RECEIPTS):
        return MalformedMessage(
            id, InvalidRequest(f"a message of kind {kind} has {expected} fields, not {size}")
        )
    if kind == CANCEL:
        return (
            MalformedMessage(id, InvalidRequest("bytes follow the cancel")) if tail else Cancel(id)
        )
    if len(tail) < size - (3 if kind == REQUEST else 2):
        return MalformedMessage(id, InvalidRequest("the message is cut short"))
    if kind == REQUEST:
        return _request(id, timeout_ms, tail)
    return Response(id, tail) if size == expected else _receipted(id, tail, size)


def _receipted(id: int, tail: bytes, size: int) -> Response | MalformedMessage:
    parts = split_receipts(tail, size - 4)
    if parts is None:
        return MalformedMessage(id, InvalidRequest("the receipts of the answer cannot be read"))
    return ReceiptedResponse(id, *parts)


def _integer(field: str, frame: bytes, unpacker: Any) -> int:
    position = unpacker.tell()
    if position >= len(frame):
        raise ProtocolError("the message is cut short")
    first = frame[position]
    # Anything but an integer is not even decoded: it could be millions of values.
    if first <= 0x7F or 0xCC <= first <= 0xD3 or first >= 0xE0:
        value = unpacker.unpack()
        if 0 <= value <= _MAX_U32:
            return int(value)
    raise InvalidRequest(f"{field} must be an integer from 0 to 2**32 - 1", {"field": field})


def unpack_request_tail(tail: bytes) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Decode method, args and meta.

    Raises:
        InvalidRequest: if args or meta is neither a map nor nil.
        InvalidArguments: for keys that are not text, extension types, too deep a nesting.
        ProtocolError: if the bytes are not MessagePack, or bytes are left over.
    """
    try:
        method, args, meta = _unpack_fields(tail, 3)
    except ProtocolError:
        _, args, _ = _unpack_fields(tail, 3, strict=False)
        check_args(args)
        raise
    for field, value in (("args", args), ("meta", meta)):
        if value is not None and not isinstance(value, dict):
            raise InvalidRequest(
                f"{field} must be a map or nil, not {type(value).__name__}", {"field": field}
            )
    return method, args or {}, meta or {}


def hello_frame(token: str) -> bytes:
    """What a caller sends first where a token is wanted: a request whose answer nobody waits for.

    Its id is 0, so a refusal is one of the connection as a whole.
    """
    tail = request_tail("_health", None, {"token": token})
    return request_head(0, 0, len(tail)) + tail


def refusal_frame(error: MadrpcError) -> bytes:
    """What a server says that refuses a connection as a whole."""
    tail = error_tail(error)
    return response_head(0, len(tail)) + tail


def unpack_response_tail(tail: bytes) -> tuple[Any, Any]:
    """Decode error and result.

    Raises:
        ProtocolError: if the bytes are not MessagePack of JSON's values.
    """
    try:
        error, result = _unpack_fields(tail, 2)
    except InvalidArguments as problem:
        raise ProtocolError(f"an answer that cannot be read: {problem.message}") from problem
    return error, result


def unpack_error(tail: bytes) -> Any:
    """Decode the error alone.

    Raises:
        ProtocolError: if the bytes are not MessagePack of JSON's values.
    """
    return unpack_response_tail(tail)[0]


def _unpack_fields(tail: bytes, count: int, *, strict: bool = True) -> list[Any]:
    try:
        fields = unpack_fields(tail, count) if strict else _unpack_anything(tail, count)
    except msgpack.exceptions.StackError as error:
        raise InvalidArguments(
            "the value is nested deeper than MessagePack readers allow"
        ) from error
    except Exception as error:  # msgpack raises many unrelated types on hostile bytes
        raise ProtocolError(f"not valid MessagePack: {error or type(error).__name__}") from error
    return fields


def _unpack_anything(tail: bytes, count: int) -> list[Any]:
    """Decode fields whatever their keys and extension types are, to say what is wrong."""
    fields: list[Any] = msgpack.unpackb(
        bytes((0x90 | count,)) + tail, raw=False, strict_map_key=False
    )
    return fields
