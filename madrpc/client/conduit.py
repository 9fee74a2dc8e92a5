"""A connection with many calls in flight, without its socket.

::

    Conduit() -> connecting -> connected: send, cancel -> leaving: what is in flight may end
                     |             |                          |
                     +-------------+--- raises MadrpcError ---+--- of no more use; forget

Both clients use it: one polls its socket, the other gets told by an event loop. A subclass owns the
socket, moves bytes with ``take`` and ``receive``, and calls ``connected`` once there is one.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from madrpc.address import Address
from madrpc.client.attempts import PendingCall
from madrpc.client.endpoints import Endpoints, connect_error
from madrpc.client.liveness import HEALTH, PROBE_TIMEOUT_S, SILENCE_S, health_request
from madrpc.config import CONNECT_TIMEOUT_S
from madrpc.errors import MadrpcError
from madrpc.protocol.messages import Response, cancel_frame, request_head
from madrpc.protocol.session import CallerSession
from madrpc.tls import TlsSession

__all__ = ["Answers", "Conduit"]

_now = time.monotonic
#: Calls wait while more than this is still to be sent, so that what is encoded exists only once.
_MOST_UNSENT = 1024 * 1024

Answers = list[tuple[PendingCall, Response]]


class Conduit(ABC):
    """A connection to the endpoint that is in turn."""

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address} {self._session}>"

    # ------------------------------------------------------------- calls

    @property
    def is_connected(self) -> bool:
        """Whether anything can be sent."""
        return self._connect_by is None

    @property
    def has_room(self) -> bool:
        """Whether calls can be sent."""
        return self._connect_by is None and len(self._out) + len(self._wire) < _MOST_UNSENT

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

    def cancel_all(self) -> None:
        """Give up every call, and tell the server."""
        for call in self.calls():
            self.cancel(call)

    # ------------------------------------------------------------- bytes

    @abstractmethod
    def flush(self) -> None:
        """Send what can be sent now.

        Raises:
            ConnectionFailed: the connection is broken.
        """

    @abstractmethod
    def close(self) -> None:
        """Cancel what is in flight and disconnect."""

    @abstractmethod
    def forget(self) -> None:
        """Drop the connection without another word."""

    def connected(self) -> None:
        """Begin TLS and show the token, as far as there are such."""
        self._connect_by = None
        self._tls = self._credentials.session(self.address.host)
        self._out += self._credentials.hello

    def unsent(self) -> bytearray:
        """What is to be sent, as the socket gets it; whoever sends it takes it away."""
        tls = self._tls
        if tls is None:
            return self._out
        if tls.is_open and self._out:
            tls.write(bytes(self._out))
            self._out.clear()
        self._wire += tls.take()
        return self._wire

    def receive(self, data: bytes) -> Answers:
        """Take what the socket delivered; return the answers that it completes.

        Raises:
            MadrpcError: the connection is of no more use; ``unsent`` may hold the reason for the
                server.
        """
        self.is_alive()
        if self._tls is not None:
            data = self._tls.receive(data)
        answers = self._session.receive(data)
        if self._session.error is not None and not answers:
            raise self._session.loss(self._session.error.message)
        return [(call, response) for call, response in answers if call is not HEALTH]

    def is_alive(self) -> None:
        """Note a sign of life."""
        self._silent_since, self._health_by = _now(), None

    def loss(self, error: OSError | None) -> MadrpcError:
        """What calls in flight get when the socket fails, or when the server closes it."""
        if error is None:
            return self._session.loss("the server closed the connection")
        return self._session.loss((error.strerror or str(error)).lower())

    # -------------------------------------------------------------- time

    def next_deadline(self) -> float | None:
        """When ``tick`` has something to do at the latest, besides looking at the server."""
        return self._connect_by

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
