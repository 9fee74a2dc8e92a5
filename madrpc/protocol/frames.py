"""Frames: a 4-byte big-endian length, then that many bytes.

The decoder never allocates what a peer merely announces: it holds the bytes that really came.
"""

from __future__ import annotations

import struct

from madrpc.errors import MadrpcError, PayloadTooLarge, ProtocolError

__all__ = ["FRAME_HEAD", "FrameDecoder", "check_size", "encode_frame"]

#: The length prefix of a frame.
FRAME_HEAD = struct.Struct(">I")
_HEAD = FRAME_HEAD.size
_unpack_length = FRAME_HEAD.unpack_from


def encode_frame(payload: bytes) -> bytes:
    """One payload with its length in front."""
    return FRAME_HEAD.pack(len(payload)) + payload


def check_size(size: int, limit: int) -> None:
    """Refuse to send what the peer would refuse to take.

    Raises:
        PayloadTooLarge: if a payload of ``size`` bytes passes ``limit``.
    """
    if size > limit:
        raise PayloadTooLarge(
            f"the message is {size} bytes long and the limit is {limit}; "
            "send less at once or raise --max-frame on every server",
            {"size": size, "limit": limit},
        )


#: How a TLS connection begins, read as the length of a frame: a handshake record of version 3.1 to
#: 3.4, 352 MiB.
_TLS_HELLO = range(0x160301, 0x160305)
#: How requests and answers of HTTP begin.
_HTTP = frozenset((b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"PATC", b"HTTP"))


class FrameDecoder:
    """Splits a byte stream into payloads.

    A length of 0 or over the limit makes the stream unreadable for good: ``error`` is set, frames
    decoded before it are still returned, and every later ``feed`` returns nothing.
    """

    __slots__ = ("_age", "_buffer", "_max_frame", "_need", "error")

    def __init__(self, max_frame: int) -> None:
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._need = _HEAD
        self._age = 0
        self.error: MadrpcError | None = None

    def __repr__(self) -> str:
        return f"<FrameDecoder holds {len(self._buffer)} of {self._need} bytes, error={self.error}>"

    @property
    def partial_bytes(self) -> int:
        """Bytes held of a frame that is not complete yet."""
        return len(self._buffer)

    def grow_older(self) -> tuple[int, int]:
        """Count a tick of the owner's clock for the frame that is not complete yet.

        Returns:
            How many ticks that frame has lived through, and its size in bytes as far as known;
            (0, 0) between frames.
        """
        if not self._buffer:
            return 0, 0
        self._age += 1
        return self._age, self._need

    def feed(self, data: bytes) -> list[bytes]:
        """Take what a socket delivered and return the payloads it completes."""
        if self.error is not None:
            return []
        frames: list[bytes] = []
        position = self._resume(data, frames) if self._buffer else 0
        if position >= 0:
            self._split(data, position, frames)
        return frames

    def feed_eof(self) -> None:
        """Note that the peer sends no more; a frame cut short is an error."""
        if self._buffer and self.error is None:
            self.error = ProtocolError("the connection ended in the middle of a frame")

    def _split(self, data: bytes, position: int, frames: list[bytes]) -> None:
        """Slice complete frames out of ``data`` and keep the rest."""
        size = len(data)
        limit = self._max_frame
        while size - position >= _HEAD:
            length = _unpack_length(data, position)[0]
            if not 0 < length <= limit:
                self._fail(length)
                return
            end = position + _HEAD + length
            if end > size:
                self._need = end - position
                break
            frames.append(data[position + _HEAD : end])
            position = end
        else:
            self._need = _HEAD
        if position < size:
            self._buffer += data[position:] if position else data
            self._age = 0

    def _resume(self, data: bytes, frames: list[bytes]) -> int:
        """Complete the frame held in the buffer; return how much of ``data`` that took, or -1."""
        buffer, taken = self._buffer, 0
        if len(buffer) < _HEAD:
            taken = min(_HEAD - len(buffer), len(data))
            buffer += data[:taken]
            if len(buffer) < _HEAD:
                return -1
            length = _unpack_length(buffer)[0]
            if not 0 < length <= self._max_frame:
                self._fail(length)
                return -1
            self._need = _HEAD + length
        rest = self._need - len(buffer)
        if len(data) - taken < rest:
            buffer += memoryview(data)[taken:]
            return -1
        buffer += memoryview(data)[taken : taken + rest]
        with memoryview(buffer) as view:
            frames.append(bytes(view[_HEAD:]))
        self._buffer = bytearray()
        return taken + rest

    def _fail(self, length: int) -> None:
        self._buffer = bytearray()
        if length == 0:
            self.error = ProtocolError("a frame of length 0 arrived; a frame holds 1 byte or more")
        elif length >> 8 in _TLS_HELLO:
            self.error = ProtocolError(
                "the other side speaks TLS and this one does not; give this one --tls-cert and "
                "--tls-key, or leave the --tls options out there"
            )
        elif FRAME_HEAD.pack(length) in _HTTP:
            self.error = ProtocolError(
                "the other side speaks HTTP and this one madrpc's own protocol, which servers have "
                "on a port of its own: --bind names it, --http the other",
                {"speaks": "http"},
            )
        else:
            self.error = PayloadTooLarge(
                f"a frame of {length} bytes was announced and the limit is {self._max_frame}; "
                "send less at once or raise --max-frame on every server",
                {"size": length, "limit": self._max_frame},
            )
