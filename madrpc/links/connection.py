"""One peer of a server: its requests in, answers out in any order.

::

    Stream -> ServerSession -> handler.handle(connection, request)
       ^                                      |
       +-------- respond(id, tail) <----------+

A peer may finish sending and still be there for its answers, or have closed altogether; on the
wire both look alike. So the next answer is begun at once: the first byte of its length, which is 0
for every frame shorter than 2**24 bytes. A peer that is there just waits for the rest, and the
machine of one that is gone answers with a reset, which cancels its calls.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import math
import time
from typing import Protocol

from gevent import socket

from madrpc.config import AUTH_TIMEOUT_S, FRAME_BYTES_PER_S, ListenerConfig
from madrpc.errors import (
    Cancelled,
    MadrpcError,
    Overloaded,
    PayloadTooLarge,
    ProtocolError,
    Unauthenticated,
)
from madrpc.links.stream import Stream
from madrpc.policy.ratelimit import RateLimit
from madrpc.protocol.messages import (
    REQUEST_HEAD,
    Cancel,
    MalformedMessage,
    Request,
    error_tail,
    response_head,
)
from madrpc.protocol.meta import meta_of, without_token
from madrpc.protocol.receipts import Receipts, response_frame
from madrpc.protocol.session import ServerSession
from madrpc.tls import TlsSession

__all__ = ["Caller", "Cancellable", "Connection", "Handler"]

log = logging.getLogger(__name__)

_now = time.monotonic

#: While this much waits to be read by a peer, no more requests are taken from it.
_PAUSE_BYTES = 4 * 1024 * 1024
#: Answers worth this many of the largest frames, or this many bytes, may wait to be read by a peer:
#: those of the requests it had sent before the pause.
_UNREAD_FRAMES = 8
_UNREAD_BYTES = 16 * 1024 * 1024
_BEGUN = b"\0"
_LONGEST_BEGUN = 2**24 - 1
_NOT_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"this port speaks madrpc's own protocol; HTTP is on the port given with --http\n"
)
_CANCELLED = error_tail(Cancelled("the caller cancelled the call"))


class Cancellable(Protocol):
    """What a handler returns for a call that is not answered yet."""

    def cancel(self) -> None:
        """The caller gave the call up; its answer no longer counts."""


class Caller(Protocol):
    """Whoever made a request and gets its answer."""

    @property
    def may_order(self) -> bool:
        """Whether it may tell this server what to do."""

    def respond(self, id: int, tail: bytes, receipts: Receipts = ()) -> None:
        """Answer a request with an encoded error and result, and receipts if it asked for them."""

    def respond_error(self, id: int, error: MadrpcError) -> None:
        """Answer a request with an error."""


class Handler(Protocol):
    """What a server does with requests."""

    def handle(self, connection: Caller, request: Request) -> Cancellable | None:
        """Take a request; answer it now or later with ``connection.respond``. Must not wait."""


class _Unanswered:
    """Stands for a request whose handler has not returned yet."""

    def cancel(self) -> None:
        pass


_UNANSWERED = _Unanswered()


class Owner(Protocol):
    """The listener that a connection belongs to."""

    config: ListenerConfig
    handler: Handler
    rate: RateLimit | None

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""


class Connection:
    """One peer: its stream, its unanswered requests, and the only way to answer them."""

    __slots__ = (
        "_age_s",
        "_begun",
        "_ended",
        "_host",
        "_max_frame",
        "_owner",
        "_refused",
        "_session",
        "_stream",
        "_token",
        "_trusted",
        "peer",
    )

    def __init__(
        self, owner: Owner, sock: socket.socket, peer: str, tls: TlsSession | None = None
    ) -> None:
        self._owner = owner
        self._token = owner.config.security.token
        self._trusted = self._token is None
        self._refused = False
        self._age_s = 0
        self._host = peer.rpartition(":")[0]
        self._max_frame = owner.config.max_frame
        self._session = ServerSession(self._max_frame)
        self._ended = False
        self._begun = False
        self.peer = peer
        self._stream = Stream(
            sock,
            self._on_data,
            self._on_eof,
            self._on_closed,
            owner.config.write_stall_s,
            _PAUSE_BYTES,
            tls,
        )

    def __repr__(self) -> str:
        return f"<Connection {self.peer} {self._session} {self._stream}>"

    @property
    def in_flight(self) -> int:
        """Requests not answered yet."""
        return len(self._session.in_flight)

    @property
    def may_order(self) -> bool:
        """Whether the peer may tell this server what to do.

        It has shown a token or a certificate that this server asks everybody for, or it is on this
        machine.
        """
        security = self._owner.config.security
        if security.token is not None:
            return self._trusted
        proved = security.tls is not None and security.tls.ca is not None
        return proved or _is_loopback(self._host)

    def respond(self, id: int, tail: bytes, receipts: Receipts = ()) -> None:
        """Answer a request with an encoded error and result. A second answer is dropped."""
        if self._session.in_flight.pop(id, None) is None:
            return
        if len(tail) + 7 > self._max_frame:
            tail = error_tail(_answer_too_large(len(tail), self._max_frame))
        stream = self._stream
        if self._ended:
            self._respond_last(id, tail, receipts)
        elif receipts:
            stream.write(response_frame(id, tail, receipts, self._max_frame))
        else:
            stream.write(response_head(id, len(tail)), tail)
        if stream.paused and stream.pending_bytes > self._most_unread:
            stream.close("the peer does not read its answers")

    def _respond_last(self, id: int, tail: bytes, receipts: Receipts) -> None:
        """Answer a peer that has finished sending."""
        limit, begun = self._max_frame, b""
        if self._begun:
            limit, begun, self._begun = min(limit, _LONGEST_BEGUN), _BEGUN, False
            if len(tail) + 7 > limit:
                tail = error_tail(_answer_too_large(len(tail), limit))
        self._stream.write(response_frame(id, tail, receipts, limit)[len(begun) :])
        if not self._session.in_flight:
            self._stream.close_when_sent("the peer had finished")

    @property
    def _most_unread(self) -> int:
        return max(_UNREAD_FRAMES * self._max_frame, _UNREAD_BYTES)

    def respond_error(self, id: int, error: MadrpcError) -> None:
        """Answer a request with an error."""
        self.respond(id, error_tail(error))

    def close(self, reason: str) -> None:
        """Send what is queued, then close."""
        self._stream.close_when_sent(reason)

    def refuse(self, error: MadrpcError) -> None:
        """Say what is wrong with the connection as a whole, then close."""
        self._session.give_up()
        self._refuse(0, error)
        self._stream.close_when_sent(error.message, linger=True)

    def grow_older(self) -> None:
        """Close if the peer takes too long over one frame, or over showing who it is.

        The owner calls this once a second.
        """
        if not self._trusted:
            self._age_s += 1
            if self._age_s > AUTH_TIMEOUT_S:
                self.abort("the peer showed no token")
                return
        if self._stream.paused or self._session.error is not None:
            return
        age_s, size = self._session.grow_older()
        # The first tick can follow the first byte at once, so one more has to pass.
        if age_s > self._owner.config.frame_timeout_s + size / FRAME_BYTES_PER_S + 1:
            self._protocol_failure(
                ProtocolError(f"a frame of {size} bytes was not complete after {age_s - 1} s")
            )

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._stream.close(reason)

    # ----------------------------------------------------------- private

    def _on_data(self, data: bytes) -> None:
        session = self._session
        if session.error is not None:
            return  # refused already; what still comes is dropped
        for asked in session.receive(data):
            if self._refused:
                return
            if type(asked) is Request:
                self._serve(asked)
            elif isinstance(asked, Cancel):
                self._cancel(asked.id)
            elif isinstance(asked, MalformedMessage) and asked.id is not None:
                self._refuse(asked.id, asked.error)
        if session.error is not None and not self._refused:
            self._protocol_failure(session.error)

    def _serve(self, request: Request) -> None:
        in_flight = self._session.in_flight
        id = request.id
        if self._token is not None:
            if not self._trusted and not self._trust(request):
                return
            request.tail = without_token(request.tail)
        if id in in_flight:
            self._refuse(id, ProtocolError(f"id {id} is in flight already; wait for its answer"))
            return
        if len(request.tail) + REQUEST_HEAD > self._max_frame:
            # It came with a shorter head than this server writes, and would be too long then.
            size = len(request.tail) + REQUEST_HEAD
            self._refuse(id, _request_too_large(size, self._max_frame))
            return
        if self._owner.rate is not None and not request.method.startswith("_"):
            wait_s = self._owner.rate.take(self._host, _now())
            if wait_s:
                self._refuse(id, _too_fast(wait_s))
                return
        in_flight[id] = _UNANSWERED
        pending = self._owner.handler.handle(self, request)
        if pending is not None and id in in_flight:
            in_flight[id] = pending

    def _trust(self, request: Request) -> bool:
        """Look at the token that the first request must carry."""
        token = meta_of(request.tail).get("token")
        given = token.encode("utf-8", "replace") if isinstance(token, str) else b""
        assert self._token is not None
        if hmac.compare_digest(given, self._token.encode()):
            self._trusted = True
            return True
        error = _not_the_token() if given else _no_token()
        log.warning("closing %s: %s", self.peer, error.message)
        self._session.give_up()
        self._refused = True
        self._refuse(request.id, error)
        self._stream.close_when_sent(error.message, linger=True)
        return False

    def _cancel(self, id: int) -> None:
        pending = self._session.in_flight.get(id)
        if pending is not None:
            pending.cancel()
            self.respond(id, _CANCELLED)

    def _refuse(self, id: int, error: MadrpcError) -> None:
        """Answer what never became a request in flight."""
        tail = error_tail(error)
        self._stream.write(response_head(id, len(tail)), tail)

    def _protocol_failure(self, error: MadrpcError) -> None:
        log.info("closing %s: %s", self.peer, error.message)
        if error.data.get("speaks") == "http":
            self._session.give_up()
            self._stream.write(_NOT_HTTP)
            self._stream.close_when_sent(error.message, linger=True)
            return
        # No id could be read, so the answer goes to id 0.
        self.refuse(error)

    def _on_eof(self) -> None:
        if self._session.error is not None:
            return  # refused, and about to be closed: nothing may follow the refusal
        self._session.receive_eof()
        self._ended = True
        stream = self._stream
        if not self._session.in_flight:
            stream.close_when_sent("the peer has finished")
            return
        if not stream.pending_bytes:
            stream.write(_BEGUN)
            self._begun = True
        stream.close_if_gone()

    def _on_closed(self, reason: str) -> None:
        unanswered = list(self._session.in_flight.values())
        self._session.in_flight.clear()
        self._owner.forget(self)
        if reason.startswith("TLS: "):
            log.warning("closing %s: %s", self.peer, reason)
        for pending in unanswered:
            pending.cancel()


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _no_token() -> Unauthenticated:
    return Unauthenticated(
        "this server wants a token and the first request shows none; give one with "
        "--auth-token-file"
    )


def _not_the_token() -> Unauthenticated:
    return Unauthenticated("the token is not this server's; check the file in --auth-token-file")


def _too_fast(wait_s: float) -> Overloaded:
    wait_ms = math.ceil(wait_s * 1000)
    return Overloaded(
        f"this client makes more calls a second than --rate-limit allows; again in {wait_ms} ms",
        {"retry_after_ms": wait_ms},
    )


def _answer_too_large(size: int, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the answer is {size} bytes long and the limit is {limit}; "
        "return less at once or raise --max-frame on every server",
        {"size": size, "limit": limit},
    )


def _request_too_large(size: int, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the request is {size} bytes long with a head of full width and the limit is {limit}; "
        "send less at once or raise --max-frame on every server",
        {"size": size, "limit": limit},
    )
