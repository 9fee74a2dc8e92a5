"""Many calls in flight on one connection, driven by one thread.

::

    start(call) -> to send -> socket -> in flight -> answer -> poll() returns it
                      ^                    |
                      +---- transport lost, Overloaded, Draining: again after a moment

``poll`` does all the work and is the only place that waits. ``map`` polls in its caller's thread,
the dispatcher in its own.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from errno import EINPROGRESS, EISCONN

from madrpc.address import Address
from madrpc.client.attempts import NOT_IN_FLIGHT, PendingCall
from madrpc.client.endpoints import Endpoints, connect_error
from madrpc.client.liveness import HEALTH, PROBE_TIMEOUT_S, SILENCE_S, health_request
from madrpc.config import CLIENT_GRACE_S, CONNECT_TIMEOUT_S
from madrpc.errors import (
    ConnectionFailed,
    MadrpcError,
    Overloaded,
    ProtocolError,
    Unauthenticated,
    from_wire,
)
from madrpc.policy.timing import DeadlineTable
from madrpc.protocol.messages import Response, cancel_frame, request_head, unpack_response_tail
from madrpc.protocol.session import CallerSession
from madrpc.tcp import tune
from madrpc.tls import TlsSession

__all__ = ["Pipeline"]

_now = time.monotonic
_RECV_BYTES = 256 * 1024
#: How often deadlines are looked at while nothing else happens.
_DEADLINE_CHECK_S = 0.05
#: Calls in flight at once, at most and at least. A server that answers Overloaded brings the number
#: down to what it had taken, and every answer raises it again by a little.
_MOST_IN_FLIGHT = 1024
_LEAST_IN_FLIGHT = 8
_READ = select.POLLIN | select.POLLHUP | select.POLLERR
_WRITE = select.POLLOUT


class Pipeline:
    """One multiplexed connection that comes back by itself.

    Args:
        wake_fd: a descriptor whose readability ends a wait early.
    """

    def __init__(self, endpoints: Endpoints, max_frame: int, wake_fd: int | None = None) -> None:
        self._endpoints = endpoints
        self._max_frame = max_frame
        self._wake_fd = wake_fd
        self._waiting: deque[PendingCall] = deque()
        self._delayed: list[PendingCall] = []
        self._finished: list[PendingCall] = []
        self._deadlines: DeadlineTable[PendingCall] = DeadlineTable()
        self._session = CallerSession(max_frame)
        self._sock: socket.socket | None = None
        self._address: Address | None = None
        self._connect_by: float | None = None
        self._out = bytearray()
        #: With TLS, what of it is encrypted already.
        self._wire = bytearray()
        self._tls: TlsSession | None = None
        self._window = float(_MOST_IN_FLIGHT)
        self._silent_since = 0.0
        self._health_by: float | None = None
        self.unfinished = 0

    def __repr__(self) -> str:
        return f"<Pipeline {self.unfinished} unfinished, {self._session}>"

    def start(self, call: PendingCall) -> None:
        """Take a call; a later ``poll`` sends it."""
        self.unfinished += 1
        if call.deadline is not None:
            call.tick = self._deadlines.add(call, call.deadline + CLIENT_GRACE_S)
        self._waiting.append(call)

    def cancel(self, call: PendingCall, error: MadrpcError) -> None:
        """End a call with the error, and tell the server if it has the call."""
        if call.done:
            return
        if self._session.abandon(call.id):
            self._out += cancel_frame(call.id)
        self._delayed = [other for other in self._delayed if other is not call]
        self._finish(call, error)

    def poll(self, until: float | None) -> list[PendingCall]:
        """Work until a call has finished or the instant ``until`` has come.

        Returns the calls that finished; each has its ``result`` or its ``error`` set.
        """
        while True:
            self._send_waiting()
            if not self._finished:
                if self._wait(until):
                    return self._take_finished()
                self._expire()
            if self._finished or (until is not None and _now() >= until):
                return self._take_finished()

    def unfinished_calls(self) -> list[PendingCall]:
        """Every call that has not finished, wherever it is."""
        waiting = [*self._waiting, *self._delayed]
        return [call for call in (*self._in_flight(), *waiting) if not call.done]

    def _in_flight(self) -> list[PendingCall]:
        return [call for call in self._session.tokens() if call is not HEALTH]

    def forget(self) -> None:
        """Close the descriptor without a word to the server; the parent process still uses it."""
        if self._sock is not None:
            self._sock.close()
        self._sock = None

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        for call in self._in_flight():
            self._out += cancel_frame(call.id)
        if self._sock is not None and self._connect_by is None and (wire := self._encrypted()):
            try:
                self._sock.send(wire)
            except OSError:
                pass  # the server notices the closed connection instead
        self._disconnect()

    # ---------------------------------------------------------- sending

    def _send_waiting(self) -> None:
        now = _now()
        if self._delayed:
            due = [call for call in self._delayed if call.not_before <= now]
            self._delayed = [call for call in self._delayed if call.not_before > now]
            self._waiting.extend(due)
        if self._waiting and self._sock is None:
            self._connect()
        if self._sock is None or self._connect_by is not None:
            return
        if not self._session.in_flight:
            self._silent_since = now
        while self._waiting and self._session.in_flight < self._window:
            call = self._waiting.popleft()
            if not call.done:
                call.attempts += 1
                call.id = self._session.open(call)
                self._out += request_head(call.id, call.ms_left(), len(call.tail)) + call.tail
        self._flush()

    def _encrypted(self) -> bytearray:
        """What is to be sent, as the socket gets it."""
        tls = self._tls
        if tls is None:
            return self._out
        if tls.is_open and self._out:
            tls.write(bytes(self._out))
            self._out.clear()
        self._wire += tls.take()
        return self._wire

    def _flush(self) -> None:
        wire = self._encrypted()
        if not wire or self._sock is None:
            return
        try:
            sent = self._sock.send(wire)
            del wire[:sent]
            if wire:
                # A long upload that moves is a sign of life too.
                self._silent_since, self._health_by = _now(), None
        except BlockingIOError:
            pass
        except OSError as error:
            self._broken((error.strerror or str(error)).lower())

    # ---------------------------------------------------------- waiting

    def _wait(self, until: float | None) -> bool:
        """Wait for the socket, the wake descriptor or the clock; True if woken."""
        poller = select.poll()
        if self._sock is not None:
            writing = self._encrypted() or self._connect_by is not None
            poller.register(self._sock, _READ | (_WRITE if writing else 0))
        if self._wake_fd is not None:
            poller.register(self._wake_fd, _READ)
        events = dict(poller.poll(self._wait_ms(until)))
        sock = self._sock
        if sock is not None and (mask := events.get(sock.fileno(), 0)):
            if self._connect_by is not None:
                self._connected(sock)
            elif mask & ~_WRITE:
                self._receive(sock)
            else:
                self._flush()
        return self._wake_fd is not None and self._wake_fd in events

    def _wait_ms(self, until: float | None) -> int | None:
        now = _now()
        instants = [now + _DEADLINE_CHECK_S] if self.unfinished else []
        instants += [call.not_before for call in self._delayed]
        instants += [at for at in (until, self._connect_by) if at is not None]
        return max(0, int((min(instants) - now) * 1000) + 1) if instants else None

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_RECV_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken((error.strerror or str(error)).lower())
            return
        if not data:
            self._broken("the server closed the connection")
            return
        self._silent_since, self._health_by = _now(), None
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except Unauthenticated as error:
                self._flush()
                self._broken(error.message, error)
                return
        for call, response in self._session.receive(data):
            if call is not HEALTH:
                self._answered(call, response)
        if self._session.error is not None:
            self._broken(self._session.error.message)

    # -------------------------------------------------------- connecting

    def _connect(self) -> None:
        address = self._address = self._endpoints.current
        try:
            family, kind, proto, _, target = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM
            )[0]
            sock = socket.socket(family, kind, proto)
        except (OSError, UnicodeError) as error:
            self._unreachable(connect_error(address, error))
            return
        sock.setblocking(False)
        tune(sock)
        self._sock = sock
        self._connect_by = _now() + CONNECT_TIMEOUT_S
        code = sock.connect_ex(target)
        if code not in (0, EINPROGRESS, EISCONN):
            self._unreachable(connect_error(address, OSError(code, os.strerror(code))))

    def _connected(self, sock: socket.socket) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert self._address is not None
        if code:
            self._unreachable(connect_error(self._address, OSError(code, os.strerror(code))))
        else:
            self._connect_by = None
            credentials = self._endpoints.credentials
            self._tls = credentials.session(self._address.host)
            self._out += credentials.hello

    def _unreachable(self, error: ConnectionFailed) -> None:
        """Count a failed connection as an attempt of every call that waits for it."""
        self._disconnect()
        calls, self._waiting = list(self._waiting), deque()
        for call in calls:
            call.attempts += 1
            self._failed(call, error)

    def _broken(self, reason: str, error: MadrpcError | None = None) -> None:
        error = error or self._session.loss(reason)
        calls = self._in_flight()
        self._disconnect()
        for call in calls:
            self._failed(call, error)

    def _disconnect(self) -> None:
        if self._sock is not None:
            self._sock.close()
            if self._address is not None:
                self._endpoints.failed(self._address)
        self._sock = None
        self._connect_by = None
        self._health_by = None
        self._out.clear()
        self._wire.clear()
        self._tls = None
        self._session = CallerSession(self._max_frame)

    # --------------------------------------------------------- finishing

    def _answered(self, call: PendingCall, response: Response) -> None:
        try:
            error, call.result = unpack_response_tail(response.tail)
        except ProtocolError as problem:
            self._finish(call, problem)
            return
        if error is None:
            self._window = min(_MOST_IN_FLIGHT, self._window + 1 / self._window)
            self._finish(call, None)
            return
        failure = from_wire(error)
        if isinstance(failure, Overloaded):
            self._window = max(_LEAST_IN_FLIGHT, min(self._window, self._session.in_flight * 0.9))
        self._failed(call, failure)

    def _failed(self, call: PendingCall, error: MadrpcError) -> None:
        call.id = NOT_IN_FLIGHT
        at = call.retry_at(error)
        if at is None:
            self._finish(call, error)
        else:
            call.not_before = at
            self._delayed.append(call)

    def _finish(self, call: PendingCall, error: MadrpcError | None) -> None:
        call.error = error
        call.done = True
        call.id = NOT_IN_FLIGHT
        self.unfinished -= 1
        if call.deadline is not None:
            self._deadlines.discard(call, call.tick)
        self._finished.append(call)

    def _expire(self) -> None:
        now = _now()
        if self._connect_by is not None and now > self._connect_by:
            assert self._address is not None
            self._unreachable(connect_error(self._address, TimeoutError()))
        for call in self._deadlines.expired(now):
            self.cancel(call, call.timeout_error())
        if self._session.in_flight:
            self._check_health(now)

    def _check_health(self, now: float) -> None:
        """Ask a server that has been silent for long; take it for lost if it says nothing."""
        if self._health_by is None:
            if now - self._silent_since > SILENCE_S:
                self._health_by = now + PROBE_TIMEOUT_S
                self._out += health_request(self._session.open(HEALTH))
        elif now > self._health_by:
            self._broken("the server does not answer")

    def _take_finished(self) -> list[PendingCall]:
        finished, self._finished = self._finished, []
        return finished
