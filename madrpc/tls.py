"""TLS: contexts from certificate files, and a session that is bytes in, bytes out.

The session owns no socket, so the same one serves the gevent streams of the servers and the
polling client. What goes wrong in TLS is ``Unauthenticated``, in words that say what to do.
"""

from __future__ import annotations

import contextlib
import ssl

from madrpc.config import TlsFiles
from madrpc.errors import Unauthenticated

__all__ = ["TlsSession", "client_context", "refused", "server_context", "speaks_tls"]

_READ_BYTES = 64 * 1024
#: The first byte of a TLS record with a handshake in it; a frame begins so only beyond 22 * 2**24.
_HANDSHAKE = 0x16
_SPEAKS_TLS = "this port speaks TLS; connect with --tls-ca, and --tls-cert if it asks for one"
#: What the library calls a failure, in words; the first that is part of its name counts.
_REASONS = (
    ("WRONG_VERSION_NUMBER", "the other side does not speak TLS; give it --tls-cert and --tls-key, "
     "or leave the --tls options out on this side"),
    ("HTTP_REQUEST", "the other side does not speak TLS"),
    ("DID_NOT_RETURN_A_CERTIFICATE", "the caller showed no certificate and one is required; "
     "give it --tls-cert and --tls-key"),
    ("CERTIFICATE_REQUIRED", "the server requires a certificate; give one with --tls-cert and "
     "--tls-key"),
    ("ALERT_CERTIFICATE_EXPIRED", "the other side says that this side's certificate has expired; "
     "make a new one with 'madrpc tls init'"),
    ("ALERT_UNKNOWN_CA", "the other side does not know the authority of this side's certificate; "
     "both sides need the same --tls-ca"),
    ("ALERT_BAD_CERTIFICATE", "the other side did not accept this side's certificate"),
    ("ALERT_CERTIFICATE_UNKNOWN", "the other side did not accept this side's certificate"),
    ("PROTOCOL_VERSION", "the two sides have no version of TLS in common; 1.2 is the oldest here"),
)  # fmt: skip


def server_context(files: TlsFiles, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """A context to accept connections with; callers need a certificate if a CA is named.

    ``kind`` is the class to make it of: gevent has one whose sockets wait in its hub.

    Raises:
        Unauthenticated: a file is missing or no good.
    """
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A renegotiation or a ticket for a later session is of no use to connections that last.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    if files.cert is None:
        raise Unauthenticated("a TLS server needs a certificate; give it --tls-cert and --tls-key")
    _load_own(context, files)
    if files.ca is not None:
        _load_ca(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """A context to connect with; servers are checked against the CA named, else the system's.

    Raises:
        Unauthenticated: a file is missing or no good.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.ca is not None:
        _load_ca(context, files.ca)
    else:
        context.load_default_certs()
    if files.cert is not None:
        _load_own(context, files)
    return context


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    assert files.cert is not None
    try:
        context.load_cert_chain(files.cert, files.key)
    except ssl.SSLError as error:
        what = "the key does not belong to the certificate"
        if "MISMATCH" not in (error.reason or ""):
            what = "it is not a certificate with its private key in PEM form"
        raise Unauthenticated(f"cannot use the certificate {files.cert}: {what}") from error
    except OSError as error:
        names = files.cert if files.key is None else f"{files.cert} or {files.key}"
        raise Unauthenticated(f"cannot read {names}: {_lower(error)}") from error


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise Unauthenticated(f"cannot use {path}: it holds no certificate in PEM form") from error
    except OSError as error:
        raise Unauthenticated(f"cannot read {path}: {_lower(error)}") from error


def _lower(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def refused(error: ssl.SSLError) -> Unauthenticated:
    """What a failure of the library means, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unauthenticated(
            f"TLS: the certificate of the other side is not accepted: {error.verify_message}"
        )
    reason = error.reason or str(error)
    for part, words in _REASONS:
        if part in reason:
            return Unauthenticated(f"TLS: {words}")
    return Unauthenticated(f"TLS: {reason.lower().replace('_', ' ')}")


class TlsSession:
    """One side of one connection.

    Args:
        server_name: the name or address that the server's certificate must be for; None on the
            server's side.
        plain_answer: what a peer that does not speak TLS is sent, on the server's side.
    """

    __slots__ = ("_in", "_object", "_out", "_plain_answer", "_plain_out", "is_ended", "is_open")

    def __init__(
        self, context: ssl.SSLContext, server_name: str | None = None, plain_answer: bytes = b""
    ) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._in, self._out, server_side=server_name is None, server_hostname=server_name
        )
        self._plain_answer = plain_answer
        self._plain_out = b""
        self.is_open = False
        self.is_ended = False
        with contextlib.suppress(ssl.SSLWantReadError):
            self._object.do_handshake()

    def __repr__(self) -> str:
        return f"<TlsSession {'open' if self.is_open else 'shaking hands'}>"

    def receive(self, data: bytes) -> bytes:
        """Take what the socket delivered; return what it says, as far as it is complete.

        There may be something to ``take`` afterwards, an alert after an error too.

        Raises:
            Unauthenticated: the other side cannot be trusted, or does not speak TLS.
        """
        if self._plain_answer:
            if data[0] != _HANDSHAKE:
                self._plain_out = self._plain_answer
                raise Unauthenticated("TLS: the caller does not speak TLS; give it --tls-ca")
            self._plain_answer = b""
        self._in.write(data)
        try:
            if not self.is_open:
                self._object.do_handshake()
                self.is_open = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise refused(error) from error

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt; only once the session ``is_open``."""
        self._object.write(data)

    def take(self) -> bytes:
        """What is to be sent to the other side now."""
        if self._plain_out:
            answer, self._plain_out = self._plain_out, b""
            return answer
        return self._out.read()

    def _read(self) -> bytes:
        pieces = []
        try:
            while not self.is_ended:
                piece = self._object.read(_READ_BYTES)
                self.is_ended = not piece
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.is_ended = True
        return b"".join(pieces)


def speaks_tls() -> Unauthenticated:
    """What a caller without TLS is told by a server with TLS."""
    return Unauthenticated(_SPEAKS_TLS)
