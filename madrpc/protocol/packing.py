"""MessagePack as fast as what is installed makes it.

msgpack decides what is valid and how a fault is named. ormsgpack, where it is installed, does the
same for plain values in less than half of the time; what it refuses, msgpack looks at again.
"""

from __future__ import annotations

import gc
from typing import Any, Final

import msgpack

try:
    import ormsgpack
except ImportError:
    ormsgpack = None  # type: ignore[assignment]

__all__ = ["pack", "unpack_fields"]

#: ormsgpack overlooks bytes after the value, so one follows that no peer has reason to send. A peer
#: that does has its surplus bytes overlooked, and nothing else.
_END: Final = b"\x93\x1fend of the fields\xe8\x07"
_PACKED_END: Final[bytes] = msgpack.packb(_END)
#: From here on it pays to keep the collector from walking the objects while they are made.
_LARGE_BYTES: Final = 64 * 1024
#: Types that ormsgpack would write and msgpack refuses.
_AS_MSGPACK: Final = (
    0
    if ormsgpack is None
    else ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


def pack(value: Any) -> bytes:
    """Encode a value.

    Raises:
        TypeError, ValueError, OverflowError, UnicodeEncodeError: from msgpack, for a value that it
            cannot encode.
    """
    if ormsgpack is not None:
        try:
            packed: bytes = ormsgpack.packb(value, None, _AS_MSGPACK)
            return packed
        except TypeError:
            pass
    return bytes(msgpack.packb(value))


def unpack_fields(data: bytes, count: int) -> list[Any]:
    """Decode ``count`` values that follow each other, at most 14, and nothing after them.

    Raises:
        Exception: of many unrelated types, from msgpack, for what is no MessagePack, has keys that
            are no text, or has extension types.
    """
    if len(data) < _LARGE_BYTES or not gc.isenabled():
        return _unpack_fields(data, count)
    # Thousands of new containers would start the collector again and again, to find no garbage.
    gc.disable()
    try:
        return _unpack_fields(data, count)
    finally:
        gc.enable()


def _unpack_fields(data: bytes, count: int) -> list[Any]:
    if ormsgpack is not None:
        try:
            fields: list[Any] = ormsgpack.unpackb(
                b"".join((bytes((0x91 + count,)), data, _PACKED_END))
            )
        except ValueError:
            pass
        else:
            if fields.pop() == _END:
                return fields
    # An array header in front turns the values into one, decoded in one call.
    return list(
        msgpack.unpackb(
            bytes((0x90 + count,)) + data, raw=False, strict_map_key=True, ext_hook=_refuse_ext
        )
    )


def _refuse_ext(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code} is not a JSON value")
