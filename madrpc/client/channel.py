"""One connection used by one call at a time, and the pool that keeps such connections."""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time

from madrpc.address import Address
from madrpc.client.attempts import PendingCall
from madrpc.client.endpoints import Endpoints
from madrpc.client.liveness import HEALTH, PROBE_TIMEOUT_S, SILENCE_S, health_request
from madrpc.config import CLIENT_GRACE_S, CONNECT_TIMEOUT_S
from madrpc.errors import ClientClosed
from madrpc.protocol.messages import Response, cancel_frame, request_head
from madrpc.protocol.session import CallerSession
from madrpc.tls import refused

__all__ = ["Channel", "ChannelPool"]

_now = time.monotonic
_RECV_BYTES = 256 * 1024


class Channel:
    """A connection. Between ``exchange`` calls nothing is in flight on it."""

    def __init__(self, sock: socket.socket, address: Address, max_frame: int) -> None:
        self.address = address
        self._sock = sock
        self._session = CallerSession(max_frame)

    def exchange(self, call: PendingCall) -> Response:
        """Send one request and wait for its answer.

        If anything ends the wait early, an interrupt as well, the call is cancelled and the
        channel is closed: a late answer must never meet another call.

        Raises:
            MadrpcError: the connection broke, or the server refused it.
            CallTimeout: no answer came by the deadline.
        """
        id = self._session.open(call)
        try:
            head = request_head(id, call.ms_left(), len(call.tail))
            left = self._time_left(call)
            self._sock.settimeout(None if left == math.inf else left)
            self._sock.sendall(head + call.tail)
            self._sock.settimeout(min(left, SILENCE_S))
            return self._wait(call)
        except TimeoutError as error:
            self._abandon(id)
            raise call.timeout_error() from error
        except OSError as error:
            self.close()
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                raise refused(error) from error
            reason = error.strerror.lower() if error.strerror else str(error)
            raise self._session.loss(reason) from error
        except BaseException:
            self._abandon(id)
            raise

    def is_stale(self) -> bool:
        """Whether the server has closed the connection, or sent what nobody asked for."""
        try:
            self._sock.settimeout(0)
            # TLS cannot peek; but whatever there is to read, the channel is of no more use.
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _wait(self, call: PendingCall) -> Response:
        session = self._session
        asked = False
        while True:
            try:
                data = self._sock.recv(_RECV_BYTES)
            except TimeoutError:
                self._time_left(call)
                if asked:
                    raise ConnectionError("the server does not answer") from None
                self._sock.sendall(health_request(session.open(HEALTH)))
                asked = True
            else:
                if not data:
                    raise ConnectionError("the server closed the connection")
                asked = False
                for token, response in session.receive(data):
                    if token is call:
                        return response
                if session.error is not None:
                    raise ConnectionError(session.error.message)
            self._sock.settimeout(
                min(self._time_left(call), PROBE_TIMEOUT_S if asked else SILENCE_S)
            )

    def _time_left(self, call: PendingCall) -> float:
        """Seconds to wait for the answer.

        Raises:
            TimeoutError: there are none.
        """
        if call.deadline is None:
            return math.inf
        # The servers answer at the deadline; the grace lets their more precise error arrive.
        left = call.deadline + CLIENT_GRACE_S - _now()
        if left <= 0:
            raise TimeoutError
        return left

    def _abandon(self, id: int) -> None:
        try:
            self._sock.settimeout(0)
            self._sock.send(cancel_frame(id))
        except OSError:
            pass  # the server notices the closed connection instead
        self.close()


class ChannelPool:
    """Up to ``size`` connections; the one used last is used next, so that the rest go idle."""

    def __init__(self, endpoints: Endpoints, size: int, max_frame: int) -> None:
        self._endpoints = endpoints
        self._size = size
        self._max_frame = max_frame
        self._lock = threading.Lock()
        self._idle: list[Channel] = []
        self._open = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<ChannelPool {self._open} open, {len(self._idle)} idle, at most {self._size}>"

    def acquire(self, deadline: float | None) -> Channel | None:
        """A channel for one call, or None while all are in use.

        Raises:
            ConnectionFailed: no server can be reached.
            ClientClosed: the pool is closed.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise ClientClosed("the client is closed")
                channel = self._idle.pop() if self._idle else None
                if channel is None:
                    if self._open >= self._size:
                        return None
                    self._open += 1
            if channel is None:
                return self._connect(deadline)
            if not channel.is_stale():
                return channel
            self.discard(channel)

    def release(self, channel: Channel) -> None:
        """Give a channel back after a complete exchange."""
        with self._lock:
            if not self._closed:
                self._idle.append(channel)
                return
        self.discard(channel)

    def discard(self, channel: Channel, *, broken: bool = False) -> None:
        """Give a channel back that must not be used again.

        Args:
            broken: the server is at fault, so the next connection goes to another one.
        """
        channel.close()
        if broken:
            self._endpoints.failed(channel.address)
        with self._lock:
            self._open -= 1

    def close(self) -> None:
        """Close the idle channels now and the others as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for channel in idle:
            self.discard(channel)

    def forget(self) -> None:
        """Close the idle descriptors in a forked child, where the parent still uses them."""
        for channel in self._idle:
            channel.close()

    def _connect(self, deadline: float | None) -> Channel:
        try:
            left = CONNECT_TIMEOUT_S if deadline is None else deadline - _now()
            sock, address = self._endpoints.connect(max(0.001, min(CONNECT_TIMEOUT_S, left)))
            return Channel(sock, address, self._max_frame)
        except BaseException:
            with self._lock:
                self._open -= 1
            raise
