"""One non-blocking socket on the gevent hub: bytes in by callback, bytes out joined.

::

    hub readable -> recv -> on_data(bytes)
    write(pieces) -> queue -> end of this hub turn: one send of all that is queued
                                  -> socket full: wait until writable, or give up after stall_s
                           -> more than pause_above is queued: read nothing until half of it left

Callbacks run in the hub, so they must not wait for anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from errno import EAGAIN, EINTR, EWOULDBLOCK
from typing import Any

import gevent
from gevent import socket

from madrpc.errors import Unauthenticated
from madrpc.tls import TlsSession

__all__ = ["Stream"]

log = logging.getLogger(__name__)

#: One read takes at most this much, so that one peer's flood leaves the others their turn.
_READ_BYTES = 256 * 1024
#: One send joins at most about this much.
_JOIN_BYTES = 1024 * 1024
#: After a goodbye, what the peer still sends is read and dropped for so long: closing on unread
#: bytes resets the connection, and the reset can overtake the goodbye.
_LINGER_S = 1.0
#: How often a peer that has finished sending is looked at for being gone.
_GONE_CHECK_S = 0.1
_READ, _WRITE = 1, 2
_AGAIN = (EAGAIN, EWOULDBLOCK, EINTR)


def _ignore(_data: bytes = b"") -> None:
    pass


class Stream:
    """A connected socket.

    Args:
        sock: connected gevent socket; the stream owns it from now on.
        on_data: called with what arrived, never with b"".
        on_eof: called when the peer has finished sending; answers may still be written.
        on_closed: called once with the reason when the stream is over, however it ended.
        stall_s: a peer that takes no byte for this long is cut off.
        pause_above: while more bytes than this wait to be taken, nothing is read from the peer.
            Only one end of a connection may set it, or both could wait for each other.
        tls: encrypts what passes through, if given.
    """

    __slots__ = (
        "_gone_check",
        "_input_ended",
        "_loop",
        "_on_closed",
        "_on_data",
        "_on_eof",
        "_out",
        "_pause_above",
        "_reader",
        "_scheduled",
        "_sock",
        "_stall_s",
        "_stalled",
        "_tls",
        "_unsent",
        "_writer",
        "closed",
        "paused",
        "pending_bytes",
    )

    def __init__(
        self,
        sock: socket.socket,
        on_data: Callable[[bytes], None],
        on_eof: Callable[[], None],
        on_closed: Callable[[str], None],
        stall_s: float,
        pause_above: int = sys.maxsize,
        tls: TlsSession | None = None,
    ) -> None:
        self._sock = sock
        self._on_data = on_data
        self._on_eof = on_eof
        self._on_closed = on_closed
        self._stall_s = stall_s
        self._pause_above = pause_above
        self._out: list[bytes] = []
        self._unsent: bytes | memoryview = b""
        self._tls = tls
        self._scheduled = False
        self._stalled: Any = None
        self._gone_check: Any = None
        self._input_ended = False
        self.pending_bytes = 0
        self.paused = False
        self.closed = False
        sock.settimeout(0)
        self._loop: Any = gevent.get_hub().loop
        self._reader: Any = self._loop.io(sock.fileno(), _READ)
        self._writer: Any = None
        self._reader.start(self._readable)
        if tls is not None:
            self._schedule()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Stream {state}, {self.pending_bytes} bytes to send>"

    def write(self, head: bytes, tail: bytes = b"") -> None:
        """Queue bytes; they leave together with whatever else is queued in this turn."""
        if self.closed:
            return
        self._out.append(head)
        if tail:
            self._out.append(tail)
        self.pending_bytes += len(head) + len(tail)
        self._schedule()
        if self.pending_bytes > self._pause_above:
            self.paused = True
            self._reader.stop()

    def close(self, reason: str = "closed") -> None:
        """Close the socket; what was not sent is lost."""
        if self.closed:
            return
        self.closed = True
        for watcher in (self._reader, self._writer, self._stalled, self._gone_check):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._reader = self._writer = self._stalled = self._gone_check = None
        self._out.clear()
        self._unsent = b""
        self._sock.close()
        self._on_closed(reason)

    def detach(self) -> socket.socket:
        """Give the socket back; nothing may be queued on it. ``on_closed`` is not called."""
        sock, self._on_closed = self._sock, lambda reason: None
        self._sock = socket.socket(sock.family, sock.type, fileno=os.dup(sock.fileno()))
        own, self._sock = self._sock, sock
        self.close("detached")
        return own

    def close_when_sent(self, reason: str = "closed", *, linger: bool = False) -> None:
        """Close once everything queued so far has left.

        Args:
            linger: end the sending side first and drop what the peer still sends, for a moment, so
                that the last answer reaches a peer that is in the middle of sending.
        """
        if self.closed:
            return
        if self.pending_bytes or linger:
            gevent.spawn(self._close_later, reason, linger)
        else:
            self.close(reason)

    def close_if_gone(self) -> None:
        """Look from now on whether a peer that has finished sending has closed altogether.

        Its machine says so with a reset once it is sent anything.
        """
        if self._gone_check is None and not self.closed:
            self._gone_check = self._loop.timer(_GONE_CHECK_S, repeat=_GONE_CHECK_S)
            self._gone_check.start(self._check_gone)

    def _check_gone(self) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.close(os.strerror(code))

    def _close_later(self, reason: str, linger: bool) -> None:
        # The stall timer bounds this wait: a peer that takes nothing is closed by it.
        while self.pending_bytes and not self.closed:
            gevent.sleep(0.01)
        if linger and not self.closed and not self._input_ended:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            give_up = time.monotonic() + _LINGER_S
            while not self._input_ended and not self.closed and time.monotonic() < give_up:
                gevent.sleep(0.01)
        self.close(reason)

    # ----------------------------------------------------------- private

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except OSError as error:
            if error.errno not in _AGAIN:
                self.close(error.strerror or str(error))
            return
        try:
            if data and self._tls is not None:
                self._decrypt(self._tls, data)
            elif data:
                self._on_data(data)
            else:
                self._end_of_input()
        except Exception:
            log.exception("a connection failed on what its peer sent")
            self.close("internal error")

    def _decrypt(self, tls: TlsSession, data: bytes) -> None:
        try:
            plain = tls.receive(data)
        except Unauthenticated as error:
            # What waits can never be sent; the alert can, and tells the peer what is wrong.
            self._out = [tls.take()]
            self.pending_bytes = len(self._out[0])
            self._tls = None
            self._on_data, self._on_eof = _ignore, _ignore
            self._schedule()
            self.close_when_sent(error.message, linger=True)
            return
        self._schedule()
        if plain:
            self._on_data(plain)
        if tls.is_ended and not self.closed:
            self._end_of_input()

    def _end_of_input(self) -> None:
        self._input_ended = True
        self._reader.stop()
        self._on_eof()

    def _flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        self._scheduled = False
        while not self.closed and (batch := self._next_batch()):
            try:
                sent = self._sock.send(batch)
            except OSError as error:
                if error.errno not in _AGAIN:
                    self.close(error.strerror or str(error))
                    return
                sent = 0
            self.pending_bytes -= sent
            if self.paused and self.pending_bytes <= self._pause_above // 2:
                self._resume()
            if sent < len(batch):
                self._unsent = memoryview(batch)[sent:]
                self._wait_writable(progress=sent > 0)
                return
        if self._stalled is not None and not self.closed:
            self._stalled.stop()
            self._writer.stop()

    def _resume(self) -> None:
        self.paused = False
        if not self._input_ended:
            self._reader.start(self._readable)

    def _next_batch(self) -> bytes | memoryview:
        """What the socket gets next."""
        if self._unsent:
            batch, self._unsent = self._unsent, b""
            return batch
        tls = self._tls
        if tls is None:
            return self._take_batch() if self._out else b""
        if self._out and tls.is_open:
            plain = self._take_batch()
            tls.write(plain)
            self.pending_bytes -= len(plain)
        cipher = tls.take()
        self.pending_bytes += len(cipher)
        return cipher

    def _take_batch(self) -> bytes:
        out = self._out
        if len(out) == 1:
            return out.pop()
        size = taken = 0
        for piece in out:
            if taken and size + len(piece) > _JOIN_BYTES:
                break
            size += len(piece)
            taken += 1
        batch = b"".join(out[:taken])
        del out[:taken]
        return batch

    def _schedule(self) -> None:
        """Send at the end of this turn."""
        if not self._scheduled and not self.closed:
            self._scheduled = True
            self._loop.run_callback(self._flush)

    def _wait_writable(self, *, progress: bool) -> None:
        self._scheduled = True
        if self._writer is None:
            self._writer = self._loop.io(self._sock.fileno(), _WRITE)
            self._stalled = self._loop.timer(self._stall_s)
        self._writer.start(self._flush)
        if progress or not self._stalled.active:
            self._stalled.stop()
            self._stalled.start(self._give_up, update=True)

    def _give_up(self) -> None:
        self.close(f"the peer took no data for {self._stall_s:g} s")
