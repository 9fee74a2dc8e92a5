"""The HTTP port of a server: ``POST /rpc``, ``GET /metrics``, ``/livez``, ``/readyz``."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import gevent
import gevent.ssl
from gevent import socket
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from madrpc.address import Address
from madrpc.config import (
    AUTH_TIMEOUT_S,
    DEFAULT_CALL_TIMEOUT_S,
    FRAME_BYTES_PER_S,
    FRAME_TIMEOUT_S,
)
from madrpc.errors import MadrpcError
from madrpc.http.calls import Exchange
from madrpc.http.guard import Refused, StrictHandler, check_origin, check_token
from madrpc.http.metrics import CONTENT_TYPE, Exposition
from madrpc.links.connection import Handler
from madrpc.links.listener import Listener
from madrpc.policy.stats import MethodTable
from madrpc.protocol.jsonrpc import failure, parse
from madrpc.tls import server_context

__all__ = ["HttpServer", "Served"]

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 1024
#: Connections above the limit that are being told so; any more wait in the kernel.
_REFUSED_AT_ONCE = 32
_MOST_TIMEOUT_MS = 2**32 - 1
_DRAIN_POLL_S = 0.02
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
#: The kernel's name for a connection whose other end has closed.
_CLOSED_STATES = frozenset({7, 8})

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], Any]


class Served(Handler, Protocol):
    """What the port needs of a node or an orchestrator."""

    listener: Listener

    @property
    def state(self) -> str: ...
    @property
    def stats(self) -> MethodTable: ...
    def counts(self) -> dict[str, Any]: ...
    def about(self) -> dict[str, Any]: ...


class HttpServer:
    """Serves one node or orchestrator over HTTP, on the same hub.

    Raises:
        OSError: from ``start``, if the address cannot be bound.
        Unauthenticated: a certificate file cannot be used.
    """

    def __init__(self, bind: Address, server: Served) -> None:
        self.bind = bind
        self.address = bind
        self.in_flight = 0
        self._server = server
        config = server.listener.config
        self._config = config
        self._metrics = Exposition(server)
        tls = config.security.tls
        self._tls = server_context(tls, gevent.ssl.SSLContext) if tls is not None else None
        self._local = bind.host in _LOOPBACK
        self._wsgi: Any = None

    def __repr__(self) -> str:
        return f"<HttpServer {self.address}, {self.in_flight} in flight>"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'http' if self._tls is None else 'https'}://{self.address}"

    def start(self) -> None:
        """Bind and begin to accept."""
        host, port = self.bind
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(256)
        except BaseException:
            sock.close()
            raise
        self.address = Address(host, sock.getsockname()[1])
        settings = {} if self._tls is None else {"ssl_context": self._tls}
        self._wsgi = _Wsgi(
            sock,
            self._serve,
            spawn=Pool(_MOST_CONNECTIONS + _REFUSED_AT_ONCE),
            log=None,
            error_log=log,
            handler_class=StrictHandler,
            **settings,
        )
        self._wsgi.start()

    def drain(self, timeout_s: float) -> None:
        """Wait until the requests being served are answered."""
        give_up = time.monotonic() + timeout_s
        while self.in_flight and time.monotonic() < give_up:
            gevent.sleep(_DRAIN_POLL_S)

    def stop(self) -> None:
        """Close everything now."""
        if self._wsgi is not None:
            self._wsgi.stop(timeout=0)

    def _serve(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        self.in_flight += 1
        try:
            status, kind, body, headers = self._route(environ)
        except Refused as refusal:
            _leave_body(environ)
            status, kind, body = (
                refusal.status,
                "text/plain; charset=utf-8",
                f"{refusal}\n".encode(),
            )
            headers = [*refusal.headers, ("Connection", "close")]
        else:
            if self._server.state == "draining":
                headers = [*headers, ("Connection", "close")]
        finally:
            self.in_flight -= 1
        fixed = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
        if not status.startswith("204"):
            fixed += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start(status, fixed + headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _route(self, environ: dict[str, Any]) -> tuple[str, str, bytes, Headers]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path in ("/livez", "/readyz", "/healthz", "/metrics"):
            if method not in ("GET", "HEAD"):
                raise Refused(405, f"{path} takes GET", Allow="GET, HEAD")
            if path == "/metrics":
                self._check(environ)
                return "200 OK", CONTENT_TYPE, self._metrics.text(), []
            state = self._server.state if path != "/livez" else "up"
            status = "200 OK" if state == "up" else "503 Service Unavailable"
            return status, "text/plain; charset=utf-8", f"{state}\n".encode(), []
        if path != "/rpc":
            raise Refused(404, "there are /rpc, /metrics, /livez and /readyz")
        if method != "POST":
            raise Refused(405, "/rpc takes POST", Allow="POST")
        self._check(environ)
        texts, is_batch, headers = self._rpc(environ)
        if not texts:
            return "204 No Content", "", b"", headers
        text = f"[{','.join(texts)}]" if is_batch else texts[0]
        return "200 OK", "application/json", text.encode(), headers

    def _check(self, environ: dict[str, Any]) -> None:
        token = self._config.security.token
        check_origin(environ, local=self._local, guarded=token is not None)
        check_token(environ, token)

    def _rpc(self, environ: dict[str, Any]) -> tuple[list[str], bool, Headers]:
        """The responses, whether the body was a batch, and headers of the answer."""
        kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "send 'Content-Type: application/json'")
        timeout_s = _timeout_s(environ)
        try:
            asked = parse(self._read(environ))
        except MadrpcError as error:
            return [failure(None, error)], False, []
        listener = self._server.listener
        peer = environ.get("REMOTE_ADDR", "")
        exchange = Exchange(self._server, listener.rate, peer, self._config.max_frame)
        sock = environ["madrpc.socket"]
        meta = _meta(environ, receipt=not asked.is_batch)
        texts = exchange.run(asked.members, timeout_s, meta, lambda: _is_gone(sock))
        if texts is None:
            raise Refused(408, "the caller left")
        timing = exchange.timing
        return texts, asked.is_batch, [("Server-Timing", timing)] if timing else []

    def _read(self, environ: dict[str, Any]) -> bytes:
        if not environ.get("CONTENT_LENGTH"):
            raise Refused(411, "send the body with Content-Length")
        size = int(environ["CONTENT_LENGTH"])
        limit = self._config.max_frame
        if size > limit:
            raise Refused(413, f"the body is {size} bytes long and the limit is {limit}")
        allowed_s = FRAME_TIMEOUT_S + size / FRAME_BYTES_PER_S
        try:
            with gevent.Timeout(allowed_s, Refused(408, "the body took too long")):
                body: bytes = environ["wsgi.input"].read(size)
        except OSError:
            raise Refused(400, "the body is shorter than Content-Length") from None
        if len(body) != size:
            raise Refused(400, "the body is shorter than Content-Length")
        return body


class _Wsgi(WSGIServer):  # type: ignore[misc]
    """The gevent server, with a deadline for the TLS handshake."""

    @property
    def is_crowded(self) -> bool:
        """Whether there are more connections than are served."""
        return len(self.pool) > _MOST_CONNECTIONS

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Shake hands, then serve."""
        client_socket.settimeout(AUTH_TIMEOUT_S)
        try:
            wrapped = self.wrap_socket(client_socket, **self.ssl_args)
        except (OSError, ssl.SSLError) as error:
            log.info("closing %s: TLS: %s", address, error)
            client_socket.close()
            return None
        with wrapped:
            return self.handle(wrapped, address)


def _timeout_s(environ: dict[str, Any]) -> float:
    text = environ.get("HTTP_X_MADRPC_TIMEOUT_MS")
    if text is None:
        return DEFAULT_CALL_TIMEOUT_S
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:11]) <= _MOST_TIMEOUT_MS:
        raise Refused(400, "X-Madrpc-Timeout-Ms must be whole milliseconds, 1 to 2**32 - 1")
    return int(text[:11]) / 1000


def _meta(environ: dict[str, Any], *, receipt: bool) -> dict[str, Any] | None:
    """What goes with each call; ``receipt`` says whether there is a place for one."""
    meta: dict[str, Any] = {}
    trace = environ.get("HTTP_TRACEPARENT", "")
    if trace.isascii() and 0 < len(trace) <= 100:
        meta["trace"] = trace
    if receipt and environ.get("HTTP_X_MADRPC_RECEIPT") == "1":
        meta["receipt"] = True
    return meta or None


def _leave_body(environ: dict[str, Any]) -> None:
    """Do not read the rest of a refused body: the connection is closed instead."""
    body = environ["wsgi.input"]
    body.content_length = min(body.position, body.content_length or 0)


def _is_gone(sock: Any) -> bool:
    """Whether the other end has closed, where the kernel tells."""
    try:
        option = getattr(socket, "TCP_INFO", None)
        return option is not None and (
            sock.getsockopt(socket.IPPROTO_TCP, option, 1)[0] in _CLOSED_STATES
        )
    except OSError:
        return True
