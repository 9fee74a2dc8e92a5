"""What a request says about how to run it, read without decoding its arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgpack

__all__ = ["is_traceparent", "meta_of", "trace_of", "wants_receipt", "without_token"]

_NIL: Final = b"\xc0"
_MOST_META_BYTES: Final = 4096
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def meta_of(tail: bytes) -> dict[str, Any]:
    """Meta alone; the arguments in front of it are passed over, not decoded.

    Empty for what is no map, larger than any meta has reason to be, or not MessagePack.
    """
    try:
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=len(tail))
        unpacker.feed(tail)
        unpacker.skip()
        unpacker.skip()
        if len(tail) - unpacker.tell() > _MOST_META_BYTES:
            return {}
        meta = unpacker.unpack()
    except Exception:  # msgpack raises many unrelated types on hostile bytes
        return {}
    return meta if isinstance(meta, dict) else {}


def without_token(tail: bytes) -> bytes:
    """The tail without ``meta.token``, which is for the server that checks it and no other."""
    if b"token" not in tail[-_MOST_META_BYTES:]:
        return tail
    meta = meta_of(tail)
    if meta.pop("token", None) is None:
        return tail
    unpacker = msgpack.Unpacker(max_buffer_size=len(tail))
    unpacker.feed(tail)
    unpacker.skip()
    unpacker.skip()
    packed: bytes = msgpack.packb(meta or None)
    return tail[: unpacker.tell()] + packed


def wants_receipt(tail: bytes) -> bool:
    """Whether a request asks for receipts.

    Nearly all requests end in nil for their meta, and only the others are looked into.
    """
    if tail.endswith(_NIL) or b"receipt" not in tail[-_MOST_META_BYTES:]:
        return False
    return meta_of(tail).get("receipt") is True


def is_traceparent(text: str) -> bool:
    """Whether the text is a W3C ``traceparent`` of version 00."""
    return _TRACEPARENT.fullmatch(text) is not None


def trace_of(meta: Mapping[str, Any]) -> str | None:
    """The trace id, 32 hexadecimal digits, in ``meta.trace``; None without a valid one."""
    trace = meta.get("trace")
    found = _TRACEPARENT.fullmatch(trace) if isinstance(trace, str) else None
    return None if found is None else found[1]
