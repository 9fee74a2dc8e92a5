"""What a caller shows a server, and how it makes sure of the server."""

from __future__ import annotations

from madrpc.config import Security
from madrpc.protocol.messages import hello_frame
from madrpc.tls import TlsSession, client_context

__all__ = ["Credentials"]


class Credentials:
    """One caller's token and certificates, read once for all of its connections.

    Attributes:
        hello: the frame that goes first on a connection; empty without a token.
        context: for connections over TLS; None for plain ones.

    Raises:
        Unauthenticated: a certificate file cannot be used.
    """

    __slots__ = ("context", "hello")

    def __init__(self, security: Security) -> None:
        self.hello = hello_frame(security.token) if security.token is not None else b""
        self.context = client_context(security.tls) if security.tls is not None else None

    def __repr__(self) -> str:
        return f"<Credentials token={bool(self.hello)} tls={self.context is not None}>"

    def session(self, host: str) -> TlsSession | None:
        """The TLS session of a new connection to a host, if there is to be one."""
        return None if self.context is None else TlsSession(self.context, host)
