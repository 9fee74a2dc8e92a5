"""One non-blocking connection with many calls in flight: it is polled, and never waits.

::

    Conduit() -> connecting -> connected: send, cancel -> leaving: what is in flight may end
                     |             |                          |
                     +-------------+--- raises MadrpcError ---+--- of no more use; close
"""

from __future__ import annotations

import os
import select
import socket
import time
from errno import EINPROGRESS, EISCONN

from madrpc.address import Address
from madrpc.client.attempts import PendingCall
from madrpc.client.endpoints import Endpoints, connect_error
from madrpc.client.liveness import HEALTH, PROBE_TIMEOUT_S, SILENCE_S, health_request
from madrpc.config import CONNECT_TIMEOUT_S
from madrpc.errors import MadrpcError, Unauthenticated
from madrpc.protocol.messages import Response, cancel_frame, request_head
from madrpc.protocol.session import CallerSession
from madrpc.tcp import tune
from madrpc.tls import TlsSession

__all__ = ["Conduit"]

_now = time.monotonic
_RECV_BYTES = 256 * 1024
_READ = select.POLLIN | select.POLLHUP | select.POLLERR
_WRITE = select.POLLOUT

Answers = list[tuple[PendingCall, Response]]


class Conduit:
    """A connection to the endpoint that is in turn.

    Raises:
        ConnectionFailed: it cannot even be begun.
    """

    def __init__(self, endpoints: Endpoints, max_frame: int) -> None:
        self.address: Address = endpoints.current
        self.is_leaving = False
        self._credentials = endpoints.credentials
        self._session = CallerSession(max_frame)
        self._out = bytearray()
        #: With TLS, what of it is encrypted already.
        self._wire = bytearray()
        self._tls: TlsSession | None = None
        self._silent_since = 0.0
        self._health_by: float | None = None
        self._connect_by: float | None = _now() + CONNECT_TIMEOUT_S
        self._sock = self._begin()

    def __repr__(self) -> str:
        return f"<Conduit {self.address} {self._session}>"

    # ------------------------------------------------------------- calls

    @property
    def is_connected(self) -> bool:
        """Whether calls can be sent."""
        return self._connect_by is None

    @property
    def in_flight(self) -> int:
        """Requests without an answer."""
        return self._session.in_flight

    def calls(self) -> list[PendingCall]:
        """The calls without an answer."""
        return [call for call in self._session.tokens() if call is not HEALTH]

    def send(self, call: PendingCall) -> None:
        """Put a call among what is to be sent."""
        if not self._session.in_flight:
            self._silent_since = _now()
        call.id = self._session.open(call)
        self._out += request_head(call.id, call.ms_left(), len(call.tail)) + call.tail

    def cancel(self, call: PendingCall) -> None:
        """Give a call up that was sent here, and tell the server."""
        if self._session.abandon(call.id):
            self._out += cancel_frame(call.id)

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        for call in self.calls():
            self._out += cancel_frame(call.id)
        if self.is_connected and (wire := self._encrypted()):
            try:
                self._sock.send(wire)
            except OSError:
                pass  # the server notices the closed connection instead
        self._sock.close()

    def forget(self) -> None:
        """Close the descriptor without a word to the server; the parent process still uses it."""
        self._sock.close()

    # ----------------------------------------------------------- polling

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._sock.fileno()

    def events(self) -> int:
        """What to poll for."""
        return _READ | (_WRITE if self._connect_by is not None or self._encrypted() else 0)

    def next_deadline(self) -> float | None:
        """When ``tick`` has something to do at the latest, besides looking at the server."""
        return self._connect_by

    def ready(self, mask: int) -> Answers:
        """Do what the socket is ready for; return the answers that came.

        Raises:
            MadrpcError: the connection is of no more use.
        """
        if self._connect_by is not None:
            self._connected()
        elif mask & ~_WRITE:
            return self._receive()
        else:
            self.flush()
        return []

    def flush(self) -> None:
        """Send what the socket takes.

        Raises:
            ConnectionFailed: the connection is broken.
        """
        wire = self._encrypted()
        if not wire or self._connect_by is not None:
            return
        try:
            sent = self._sock.send(wire)
        except BlockingIOError:
            return
        except OSError as error:
            raise self._loss(error) from error
        del wire[:sent]
        if wire:
            # A long upload that moves is a sign of life too.
            self._silent_since, self._health_by = _now(), None

    def tick(self, now: float) -> None:
        """Look at the clock: is the server late with the connection, or has it gone silent?

        Raises:
            ConnectionFailed: it is, or it has.
        """
        if self._connect_by is not None:
            if now > self._connect_by:
                raise connect_error(self.address, TimeoutError())
        elif self._health_by is not None:
            if now > self._health_by:
                raise self._session.loss("the server does not answer")
        elif self._session.in_flight and now - self._silent_since > SILENCE_S:
            self._health_by = now + PROBE_TIMEOUT_S
            self._out += health_request(self._session.open(HEALTH))

    # ----------------------------------------------------------- private

    def _begin(self) -> socket.socket:
        try:
            family, kind, proto, _, target = socket.getaddrinfo(
                self.address.host, self.address.port, type=socket.SOCK_STREAM
            )[0]
            sock = socket.socket(family, kind, proto)
        except (OSError, UnicodeError) as error:
            raise connect_error(self.address, error) from error
        sock.setblocking(False)
        tune(sock)
        code = sock.connect_ex(target)
        if code not in (0, EINPROGRESS, EISCONN):
            sock.close()
            raise connect_error(self.address, OSError(code, os.strerror(code)))
        return sock

    def _connected(self) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise connect_error(self.address, OSError(code, os.strerror(code)))
        self._connect_by = None
        self._tls = self._credentials.session(self.address.host)
        self._out += self._credentials.hello

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

    def _receive(self) -> Answers:
        try:
            data = self._sock.recv(_RECV_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise self._loss(error) from error
        if not data:
            raise self._session.loss("the server closed the connection")
        self._silent_since, self._health_by = _now(), None
        if self._tls is not None:
            data = self._decrypted(self._tls, data)
        answers = self._session.receive(data)
        if self._session.error is not None and not answers:
            raise self._session.loss(self._session.error.message)
        return [(call, response) for call, response in answers if call is not HEALTH]

    def _decrypted(self, tls: TlsSession, data: bytes) -> bytes:
        try:
            return tls.receive(data)
        except Unauthenticated:
            try:
                self._sock.send(self._encrypted())  # the alert that tells the server why
            except OSError:
                pass
            raise

    def _loss(self, error: OSError) -> MadrpcError:
        return self._session.loss((error.strerror or str(error)).lower())
