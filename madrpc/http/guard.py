"""What of HTTP is let in: header limits, framing, and who may ask.

Requests that two programs could read differently are refused and the connection closed, so nothing
can be smuggled past a proxy in front of this server.
"""

from __future__ import annotations

import hmac
import io
import ipaddress
import platform
import time
from contextlib import suppress
from typing import Any

import gevent
from gevent import socket
from gevent.pywsgi import WSGIHandler

__all__ = ["Refused", "StrictHandler", "check_host", "check_origin", "check_token"]

_IDLE_S = 75.0
_HEADER_S = 10.0
_SEND_S = 60.0
#: What is read, at most, after a refusal: a socket closed with bytes unread resets the connection,
#: and the reset can overtake the refusal.
_LINGER_S = 2.0
_LINGER_BYTES = 1024 * 1024
_MOST_HEADER_BYTES = 32 * 1024
_MOST_HEADERS = 100
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: How madrpc's own frames and TLS begin; a peer of that kind would wait for ever for the end of
#: its first line.
_NO_TEXT = (b"\0", b"\x16")
_NOT_HTTP = "\0"
_REASONS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 411: "Length Required",
    413: "Content Too Large", 415: "Unsupported Media Type",
    431: "Request Header Fields Too Large", 503: "Service Unavailable",
}  # fmt: skip


class Refused(ValueError):
    """A request that is not served: an HTTP status and one sentence."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = f"{status} {_REASONS[status]}"
        self.headers = [(name.replace("_", "-"), value) for name, value in headers.items()]


def _strict_headers(rfile: Any, seekable: int) -> Any:
    """Read header lines within limits, and refuse what has more than one reading."""
    lines: list[bytes] = []
    size = 0
    while True:
        line = rfile.readline(_MOST_HEADER_BYTES + 1)
        size += len(line)
        if size > _MOST_HEADER_BYTES or len(lines) > _MOST_HEADERS:
            raise Refused(431, "the headers are too long or too many")
        if not line.endswith(b"\n"):
            raise Refused(400, "the headers are cut short")
        lines.append(line)
        if line in (b"\r\n", b"\n"):
            break
    _check_framing(lines[:-1])
    return WSGIHandler.MessageClass(None, io.BytesIO(b"".join(lines)), seekable)


def _check_framing(lines: list[bytes]) -> None:
    names: list[bytes] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name or b"\0" in value or b"\r" in value[:-2]:
            raise Refused(400, "a header line is malformed")
        names.append(name.lower())
        if names[-1] == b"content-length" and not value.strip().isdigit():
            raise Refused(400, "Content-Length is not a number")
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise Refused(400, "Content-Length and Transfer-Encoding contradict each other")
        raise Refused(411, "send the body with Content-Length, not in chunks")
    if names.count(b"content-length") > 1 or names.count(b"host") > 1:
        raise Refused(400, "Content-Length or Host is given twice")


class StrictHandler(WSGIHandler):  # type: ignore[misc]
    """One connection of the gevent server, with deadlines and limits."""

    MessageClass = staticmethod(_strict_headers)
    #: A reader that has stopped reading is as gone as one that has closed.
    ignored_socket_errors = (*WSGIHandler.ignored_socket_errors, "timed out")

    def __init__(self, sock: Any, *args: Any, **settings: Any) -> None:
        sock.settimeout(_SEND_S)
        # Head and body leave in two writes; without this the second waits 40 ms for an answer.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, *args, **settings)

    def read_requestline(self) -> Any:
        """The first line; none from a connection that was idle for too long."""
        with gevent.Timeout(_IDLE_S, False):
            if self.rfile.peek(1)[:1] in _NO_TEXT:
                return _NOT_HTTP
            return super().read_requestline()
        return ""

    def read_request(self, raw_requestline: str) -> Any:
        """The headers, against the clock."""
        if raw_requestline == _NOT_HTTP:
            raise Refused(400, "HTTP/1.1 is spoken here; madrpc's own protocol is on the main port")
        with gevent.Timeout(_HEADER_S, Refused(408, "the headers took too long")):
            read = super().read_request(raw_requestline)
        if self.request_version not in ("HTTP/1.0", "HTTP/1.1"):
            raise Refused(400, "HTTP/1.1 is spoken here")
        if self.request_version == "HTTP/1.1" and not self.headers.get("Host"):
            raise Refused(400, "an HTTP/1.1 request names its Host")
        return read

    def handle(self) -> None:
        """Serve requests until the connection ends."""
        sock = self.socket
        with suppress(OSError):
            if self.server.is_crowded:
                sock.sendall(_refusal("503 Service Unavailable", "too many connections; try again"))
                _linger(sock)
            else:
                super().handle()

    def handle_one_request(self) -> Any:
        """See ``WSGIHandler``; a refused request ends the connection once its bytes are read."""
        result = super().handle_one_request()
        if isinstance(result, tuple):
            self.socket.sendall(result[1])
            _linger(self.socket)
            return None
        if result is None and self.was_refused:
            _linger(self.socket)
        return result

    @property
    def was_refused(self) -> bool:
        """Whether the last answer was a refusal, so that some of a body may be unread."""
        return bool(self.status) and str(self.status)[:1] in "45"

    def get_environ(self) -> dict[str, Any]:
        """The WSGI environment, with the connection's socket."""
        environ: dict[str, Any] = super().get_environ()
        environ["madrpc.socket"] = self.socket
        return environ

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        status = ex.status if isinstance(ex, Refused) else "400 Bad Request"
        text = str(ex) if isinstance(ex, Refused) else "the request is malformed"
        return status, _refusal(status, text)


def _refusal(status: str, text: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text.encode()) + 1}\r\n\r\n"
    )
    return f"{head}{text}\n".encode()


def _linger(sock: Any) -> None:
    """Say that this side is done, and read until the other is too, within limits."""
    left = _LINGER_BYTES
    give_up = time.monotonic() + _LINGER_S
    with suppress(OSError), gevent.Timeout(_LINGER_S, False):
        sock.shutdown(socket.SHUT_WR)
        while left > 0 and time.monotonic() < give_up:
            data = sock.recv(16384)
            if not data:
                break
            left -= len(data)


def check_token(environ: dict[str, Any], token: str | None) -> None:
    """Look at ``Authorization: Bearer`` where the server wants a token.

    Raises:
        Refused: 401.
    """
    if token is None:
        return
    kind, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    shown = given.strip().encode("latin-1", "replace")
    if kind.lower() != "bearer" or not hmac.compare_digest(shown, token.encode()):
        raise Refused(
            401,
            "this server wants its token: send 'Authorization: Bearer TOKEN'",
            WWW_Authenticate="Bearer",
        )


def check_host(environ: dict[str, Any], *, local: bool) -> str:
    """The name under which this server was asked, in small letters and without the port.

    Args:
        environ: of the request.
        local: the server listens on loopback; it then answers to no other name.

    Raises:
        Refused: 403.
    """
    host = environ.get("HTTP_HOST", "").lower()
    name = str(host if host.endswith("]") else host.rpartition(":")[0] or host)
    if local and name not in _LOCAL:
        raise Refused(403, f"this server listens on loopback and is not {host[:100]!r}")
    return name


def check_origin(
    environ: dict[str, Any], *, local: bool, guarded: bool, for_pages: bool = False
) -> None:
    """Refuse what a page of another site sends.

    Args:
        environ: of the request.
        local: the server listens on loopback; it then answers to no other name.
        guarded: the server wants a token, which pages of other sites do not have.
        for_pages: what is asked for is meant for pages, which send no Origin when they read.

    Raises:
        Refused: 403.
    """
    name = check_host(environ, local=local)
    origin = environ.get("HTTP_ORIGIN")
    if not guarded and (for_pages or origin is not None):
        _check_name(name)
    own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '').lower()}"
    if origin is not None and origin.lower() != own:
        raise Refused(403, "pages of other sites may not call this server")
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        raise Refused(403, "pages of other sites may not call this server")


def _check_name(name: str) -> None:
    """Refuse pages under a name that anybody may have pointed at this machine (DNS rebinding)."""
    if "." not in name and "[" not in name:
        return
    if name in (*_LOCAL, platform.node().lower()) or name.endswith((".local", ".localhost")):
        return
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        raise Refused(
            403,
            f"pages under the name {name[:100]!r} are let in only where a token is asked for; "
            "start the server with --auth-token-file, or open it by its address",
        ) from None
