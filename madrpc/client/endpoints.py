"""Where a client connects: a list of orchestrators, tried in turn."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence

from madrpc.address import Address, parse_address
from madrpc.config import CONNECT_TIMEOUT_S, Security
from madrpc.credentials import Credentials
from madrpc.errors import ConnectionFailed
from madrpc.tcp import tune
from madrpc.tls import refused

__all__ = ["Endpoints", "connect_error"]

_LINGER_S = 0.5


class Endpoints:
    """The addresses of interchangeable servers; the one that worked last is tried first.

    Raises:
        AddressError: a text is not an address.
    """

    def __init__(
        self, addresses: str | Sequence[str], credentials: Credentials | None = None
    ) -> None:
        texts = [addresses] if isinstance(addresses, str) else list(addresses)
        if not texts:
            raise ConnectionFailed("the client got no address; give it one such as 127.0.0.1:8080")
        self.addresses = [parse_address(text) for text in texts]
        self.credentials = credentials or Credentials(Security())
        self._current = 0

    def __repr__(self) -> str:
        return ", ".join(map(str, self.addresses))

    @property
    def current(self) -> Address:
        """The address to try next."""
        return self.addresses[self._current % len(self.addresses)]

    def failed(self, address: Address) -> None:
        """Turn to the next address, unless somebody has turned already."""
        if address == self.current:
            self._current = (self._current + 1) % len(self.addresses)

    def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> tuple[socket.socket, Address]:
        """Connect to the first server that answers, waiting at most ``timeout_s`` for each.

        Returns:
            The connection and the server's address.

        Raises:
            ConnectionFailed: none does.
            Unauthenticated: one does, and TLS with it fails.
        """
        reasons = []
        for _ in self.addresses:
            address = self.current
            try:
                sock = socket.create_connection(address, timeout=timeout_s)
            except (OSError, UnicodeError) as error:
                reasons.append((address, error))
                self.failed(address)
            else:
                tune(sock)
                return self._greet(sock, address), address
        raise connect_error(*reasons[0])

    def _greet(self, sock: socket.socket, address: Address) -> socket.socket:
        """Begin TLS and show the token, as far as there are such."""
        try:
            if self.credentials.context is not None:
                sock = self.credentials.context.wrap_socket(
                    sock, server_hostname=address.host, do_handshake_on_connect=False
                )
                sock.do_handshake()
            if self.credentials.hello:
                sock.sendall(self.credentials.hello)
        except BaseException as error:
            if isinstance(error, ssl.SSLError):
                _let_it_be_told(sock)
            sock.close()
            if isinstance(error, ssl.SSLError):
                raise refused(error) from error
            if isinstance(error, OSError):
                self.failed(address)
                raise connect_error(address, error) from error
            raise
        return sock


def _let_it_be_told(sock: socket.socket) -> None:
    """Let the alert reach the server: closing on unread bytes would reset the connection."""
    give_up = time.monotonic() + _LINGER_S
    try:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(_LINGER_S)
        while time.monotonic() < give_up and sock.recv(4096):
            pass
    except OSError:
        pass


def connect_error(address: Address, error: OSError | UnicodeError) -> ConnectionFailed:
    """Why an address cannot be reached and what to do, in one sentence."""
    if isinstance(error, TimeoutError):
        reason, mend = "it does not answer", "check the address and the network"
    elif isinstance(error, ConnectionRefusedError):
        reason, mend = "connection refused", "start a server there with 'madrpc up SCRIPT'"
    elif isinstance(error, (socket.gaierror, UnicodeError)):
        reason, mend = "the name is unknown", "check the host name"
    else:
        reason, mend = (error.strerror or str(error)).lower(), "check the address and the network"
    return ConnectionFailed(f"cannot reach {address}: {reason}; {mend}", {"address": str(address)})
