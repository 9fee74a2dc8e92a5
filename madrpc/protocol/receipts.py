"""What servers say of a call in its answer, for callers who asked: where the time went.

::

    node           [1, id, error, result, {"node": ...}]
    orchestrator   [1, id, error, result, {"node": ...}, {"orchestrator": ...}]

Each server the answer comes through puts one map behind the others. Only such answers pay for
what is done here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

import msgpack

__all__ = [
    "MOST_RECEIPTS",
    "Receipts",
    "pack_receipt",
    "response_frame",
    "rounded_ms",
    "split_receipts",
    "unpack_receipts",
]

#: An answer has at most so many; servers beyond that add none.
MOST_RECEIPTS: Final = 8
#: The maps, each encoded, the node's first.
Receipts = tuple[bytes, ...]

_HEAD = struct.Struct(">IBBBI")
_HEAD_BYTES: Final = _HEAD.size - 4


def rounded_ms(seconds: float) -> float:
    """Milliseconds as receipts and ``_recent`` have them; never negative."""
    return round(max(0.0, seconds) * 1000, 3)


def pack_receipt(receipt: Mapping[str, Any]) -> bytes:
    """One server's map, encoded."""
    packed: bytes = msgpack.packb(receipt, unicode_errors="replace")
    return packed


def response_frame(id: int, tail: bytes, receipts: Receipts, max_frame: int) -> bytes:
    """A whole response frame; receipts that no longer fit into ``max_frame`` are left out."""
    receipts = receipts[:MOST_RECEIPTS]
    size = _HEAD_BYTES + len(tail) + sum(map(len, receipts))
    if size > max_frame:
        receipts, size = (), _HEAD_BYTES + len(tail)
    head = _HEAD.pack(size, 0x94 + len(receipts), 1, 0xCE, id)
    return b"".join((head, tail, *receipts))


def split_receipts(fields: bytes, count: int) -> tuple[bytes, Receipts] | None:
    """Error and result, and ``count`` receipts behind them; None for what is not that."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(fields), 1))
    unpacker.feed(fields)
    try:
        unpacker.skip()
        unpacker.skip()
        marks = [unpacker.tell()]
        for _ in range(count):
            unpacker.skip()
            marks.append(unpacker.tell())
    except Exception:  # msgpack raises many unrelated types on hostile bytes
        return None
    if marks[-1] != len(fields):
        return None
    return fields[: marks[0]], tuple(fields[begin:end] for begin, end in pairwise(marks))


def unpack_receipts(receipts: Iterable[bytes]) -> list[dict[str, Any]]:
    """The maps; what is none, or cannot be read, is left out."""
    found = []
    for packed in receipts:
        try:
            receipt = msgpack.unpackb(packed, raw=False)
        except Exception:  # msgpack raises many unrelated types on hostile bytes
            continue
        if isinstance(receipt, dict):
            found.append(receipt)
    return found
