"""The listening side that nodes and orchestrators share: accepts, counts, and ends connections."""

from __future__ import annotations

import errno
import logging
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

from madrpc.address import Address
from madrpc.config import ListenerConfig
from madrpc.errors import Overloaded
from madrpc.links.connection import Connection, Handler
from madrpc.links.files import connections_that_fit
from madrpc.policy.ratelimit import RateLimit
from madrpc.protocol.messages import refusal_frame
from madrpc.tcp import tune
from madrpc.tls import TlsSession, server_context, speaks_tls

__all__ = ["Listener", "bind_error"]

log = logging.getLogger(__name__)

_ACCEPT_BACKLOG = 1024
_TICK_S = 1.0
#: Connections above the limit that are being told so; any more are just closed.
_REFUSED_AT_ONCE = 64
_SPEAKS_TLS = refusal_frame(speaks_tls())


class Listener:
    """Accepts connections and serves their requests with one handler.

    Raises:
        Unauthenticated: a certificate file cannot be used.
    """

    def __init__(self, config: ListenerConfig, handler: Handler) -> None:
        self.config = config
        self.handler = handler
        self.connections: set[Connection] = set()
        self.max_connections = config.max_connections
        self.address = config.bind
        self._server: Any = None
        self._ticker: gevent.Greenlet[..., None] | None = None
        self._refused: set[Connection] = set()
        self.rate = RateLimit(config.rate_limit) if config.rate_limit is not None else None
        tls = config.security.tls
        self._tls = server_context(tls) if tls is not None else None

    def __repr__(self) -> str:
        return f"<Listener {self.address}, {len(self.connections)} connections>"

    def bind(self) -> Address:
        """Take the port; connections wait in the kernel until ``start``.

        Raises:
            OSError: the address cannot be bound, or the inherited socket is no such port.
        """
        inherited = self.config.inherited
        sock = _adopted(inherited) if inherited else _bound(self.config.bind)
        host, port = sock.getsockname()[:2]
        self.address = Address(host if inherited else self.config.bind.host, port)
        self.max_connections = connections_that_fit(self.config.max_connections)
        self._server = StreamServer(sock, handle=self._accepted)
        return self.address

    def start(self) -> None:
        """Begin to accept."""
        self._server.start()
        self._ticker = gevent.spawn(self._tick_forever)

    def stop_accepting(self) -> None:
        """Close the port; connections go on."""
        if self._server is not None:
            self._server.stop()

    def close(self, reason: str) -> None:
        """Close the port and every connection, after what is queued on it."""
        self.stop_accepting()
        if self._ticker is not None:
            self._ticker.kill(block=False)
        for connection in list(self.connections):
            connection.close(reason)

    @property
    def in_flight(self) -> int:
        """Requests not answered yet, on all connections."""
        return sum(connection.in_flight for connection in self.connections)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self._refused.discard(connection)

    def _accepted(self, sock: socket.socket, peer: Any) -> None:
        # The server closes the socket object it passed when this returns; the descriptor goes on.
        own = socket.socket(sock.family, sock.type, fileno=sock.detach())
        tune(own)
        tls = TlsSession(self._tls, plain_answer=_SPEAKS_TLS) if self._tls is not None else None
        connection = Connection(self, own, f"{peer[0]}:{peer[1]}" if peer else "local", tls)
        if len(self.connections) < self.max_connections:
            self.connections.add(connection)
        elif len(self._refused) < _REFUSED_AT_ONCE:
            self._refused.add(connection)
            connection.refuse(_too_many(self.max_connections))
        else:
            connection.abort("too many connections")

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(_TICK_S)
            for connection in list(self.connections):
                connection.grow_older()


def _bound(bind: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(bind)
        sock.listen(_ACCEPT_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _adopted(descriptors: tuple[int, ...]) -> socket.socket:
    """The one socket that the service manager opened; it stays open there when this one closes."""
    if len(descriptors) != 1:
        raise OSError(
            errno.EINVAL,
            f"the service manager passed {len(descriptors)} sockets, and a server listens on one; "
            "keep one ListenStream= in the socket unit",
        )
    sock = socket.socket(fileno=descriptors[0])
    internet = sock.family in (socket.AF_INET, socket.AF_INET6)
    if not internet or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise OSError(
            errno.EINVAL,
            "the socket that the service manager passed is not a listening TCP socket; "
            "write ListenStream=HOST:PORT and no Accept= in the socket unit",
        )
    return sock


def bind_error(bind: Address, error: OSError) -> str:
    """Why an address cannot be bound and what to do, in one sentence."""
    if error.errno == errno.EADDRINUSE:
        return f"{bind} is in use by another program; choose another port, or port 0 for a free one"
    if error.errno == errno.EACCES:
        return f"{bind} needs privileges this user lacks; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{bind} is not an address of this machine; bind 127.0.0.1 or 0.0.0.0"
    return f"cannot listen on {bind}: {error.strerror or error}"


def _too_many(limit: int) -> Overloaded:
    return Overloaded(
        f"the server holds {limit} connections, its limit; close some or try again",
        {"retry_after_ms": 1000},
    )
