"""The listening side that nodes and orchestrators share.

::

    accept -> Connection -> ServerSession -> handler.handle(connection, request)
                   ^                                        |
                   +---------- respond(id, tail) <----------+   in any order
"""

from __future__ import annotations

import errno
import logging
from typing import Any, Protocol

from gevent import socket
from gevent.server import StreamServer

from madrpc.address import Address
from madrpc.config import ListenerConfig
from madrpc.errors import Cancelled, MadrpcError, Overloaded, PayloadTooLarge, ProtocolError
from madrpc.links.stream import Stream
from madrpc.protocol.messages import (
    REQUEST_HEAD,
    Cancel,
    MalformedMessage,
    Request,
    error_tail,
    response_head,
)
from madrpc.protocol.session import ServerSession

__all__ = ["Cancellable", "Connection", "Handler", "Listener", "bind_error"]

log = logging.getLogger(__name__)

_ACCEPT_BACKLOG = 1024
#: Answers worth this many of the largest frames, or this many bytes, may wait to be read by a peer.
_UNREAD_FRAMES = 8
_UNREAD_BYTES = 16 * 1024 * 1024
_CANCELLED = error_tail(Cancelled("the caller cancelled the call"))


class Cancellable(Protocol):
    """What a handler returns for a call that is not answered yet."""

    def cancel(self) -> None:
        """The caller gave the call up; its answer no longer counts."""


class Handler(Protocol):
    """What a server does with requests."""

    def handle(self, connection: Connection, request: Request) -> Cancellable | None:
        """Take a request; answer it now or later with ``connection.respond``. Must not wait."""


class _Unanswered:
    """Stands for a request whose handler has not returned yet."""

    def cancel(self) -> None:
        pass


_UNANSWERED = _Unanswered()


class Connection:
    """One peer: its stream, its unanswered requests, and the only way to answer them."""

    __slots__ = ("_ended", "_listener", "_max_frame", "_session", "_stream", "peer")

    def __init__(self, listener: Listener, sock: socket.socket, peer: str) -> None:
        self._listener = listener
        self._max_frame = listener.config.max_frame
        self._session = ServerSession(self._max_frame)
        self._ended = False
        self.peer = peer
        self._stream = Stream(
            sock, self._on_data, self._on_eof, self._on_closed, listener.config.write_stall_s
        )

    def __repr__(self) -> str:
        return f"<Connection {self.peer} {self._session} {self._stream}>"

    @property
    def in_flight(self) -> int:
        """Requests not answered yet."""
        return len(self._session.in_flight)

    def respond(self, id: int, tail: bytes) -> None:
        """Answer a request with an encoded error and result. A second answer is dropped."""
        if self._session.in_flight.pop(id, None) is None:
            return
        if len(tail) + 7 > self._max_frame:
            tail = error_tail(_answer_too_large(len(tail), self._max_frame))
        self._stream.write(response_head(id, len(tail)), tail)
        if self._stream.pending_bytes > max(_UNREAD_FRAMES * self._max_frame, _UNREAD_BYTES):
            self._stream.close("the peer does not read its answers")
        if self._ended and not self._session.in_flight:
            self._stream.close_when_sent("the peer had finished")

    def respond_error(self, id: int, error: MadrpcError) -> None:
        """Answer a request with an error."""
        self.respond(id, error_tail(error))

    def close(self, reason: str) -> None:
        """Send what is queued, then close."""
        self._stream.close_when_sent(reason)

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._stream.close(reason)

    # ----------------------------------------------------------- private

    def _on_data(self, data: bytes) -> None:
        session = self._session
        for asked in session.receive(data):
            if type(asked) is Request:
                self._serve(asked)
            elif isinstance(asked, Cancel):
                self._cancel(asked.id)
            elif isinstance(asked, MalformedMessage) and asked.id is not None:
                self._refuse(asked.id, asked.error)
        if session.error is not None:
            self._protocol_failure(session.error)

    def _serve(self, request: Request) -> None:
        in_flight = self._session.in_flight
        id = request.id
        if id in in_flight:
            self._refuse(id, ProtocolError(f"id {id} is in flight already; wait for its answer"))
            return
        if len(request.tail) + REQUEST_HEAD > self._max_frame:
            # It came with a shorter head than this server writes, and would be too long then.
            size = len(request.tail) + REQUEST_HEAD
            self._refuse(id, _request_too_large(size, self._max_frame))
            return
        in_flight[id] = _UNANSWERED
        pending = self._listener.handler.handle(self, request)
        if pending is not None and id in in_flight:
            in_flight[id] = pending

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
        # No id could be read, so the answer goes to id 0, which a person with a dump will find.
        self._refuse(0, error)
        self._stream.close_when_sent(error.message)

    def _on_eof(self) -> None:
        self._session.receive_eof()
        self._ended = True
        if not self._session.in_flight:
            self._stream.close_when_sent("the peer has finished")

    def _on_closed(self, reason: str) -> None:
        unanswered = list(self._session.in_flight.values())
        self._session.in_flight.clear()
        self._listener.forget(self)
        for pending in unanswered:
            pending.cancel()


class Listener:
    """Accepts connections and serves their requests with one handler."""

    def __init__(self, config: ListenerConfig, handler: Handler) -> None:
        self.config = config
        self.handler = handler
        self.connections: set[Connection] = set()
        self._server: Any = None
        self.address = config.bind

    def __repr__(self) -> str:
        return f"<Listener {self.address}, {len(self.connections)} connections>"

    def bind(self) -> Address:
        """Take the port; connections wait in the kernel until ``start``.

        Raises:
            OSError: the address cannot be bound.
        """
        host, port = self.config.bind
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(_ACCEPT_BACKLOG)
        except BaseException:
            sock.close()
            raise
        self.address = Address(host, sock.getsockname()[1])
        self._server = StreamServer(sock, handle=self._accepted)
        return self.address

    def start(self) -> None:
        """Begin to accept."""
        self._server.start()

    def stop_accepting(self) -> None:
        """Close the port; connections go on."""
        if self._server is not None:
            self._server.stop()

    def close(self, reason: str) -> None:
        """Close the port and every connection, after what is queued on it."""
        self.stop_accepting()
        for connection in list(self.connections):
            connection.close(reason)

    @property
    def in_flight(self) -> int:
        """Requests not answered yet, on all connections."""
        return sum(connection.in_flight for connection in self.connections)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)

    def _accepted(self, sock: socket.socket, peer: Any) -> None:
        # The server closes the socket object it passed when this returns; the descriptor goes on.
        own = socket.socket(sock.family, sock.type, fileno=sock.detach())
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = Connection(self, own, f"{peer[0]}:{peer[1]}" if peer else "local")
        if len(self.connections) >= self.config.max_connections:
            connection._refuse(0, _too_many(self.config.max_connections))
            connection.close("too many connections")
            return
        self.connections.add(connection)


def bind_error(bind: Address, error: OSError) -> str:
    """Why an address cannot be bound and what to do, in one sentence."""
    if error.errno == errno.EADDRINUSE:
        return f"{bind} is in use by another program; choose another port, or port 0 for a free one"
    if error.errno == errno.EACCES:
        return f"{bind} needs privileges this user lacks; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{bind} is not an address of this machine; bind 127.0.0.1 or 0.0.0.0"
    return f"cannot listen on {bind}: {error.strerror or error}"


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


def _too_many(limit: int) -> Overloaded:
    return Overloaded(
        f"the server holds {limit} connections, its limit; close some or try again",
        {"retry_after_ms": 1000},
    )
