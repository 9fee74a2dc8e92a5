"""A connection with many calls in flight that is polled, and never waits."""

from __future__ import annotations

import os
import select
import socket
from errno import EINPROGRESS, EISCONN

from madrpc.client.conduit import Answers, Conduit
from madrpc.client.endpoints import Endpoints, connect_error
from madrpc.errors import Unauthenticated
from madrpc.tcp import tune

__all__ = ["PolledConduit"]

_RECV_BYTES = 256 * 1024
_READ = select.POLLIN | select.POLLHUP | select.POLLERR
_WRITE = select.POLLOUT


class PolledConduit(Conduit):
    """A non-blocking socket.

    Raises:
        ConnectionFailed: the connection cannot even be begun.
    """

    def __init__(self, endpoints: Endpoints, max_frame: int) -> None:
        super().__init__(endpoints, max_frame)
        self._sock = self._begin()

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._sock.fileno()

    def events(self) -> int:
        """What to poll for."""
        return _READ | (_WRITE if not self.is_connected or self.unsent() else 0)

    def ready(self, mask: int) -> Answers:
        """Do what the socket is ready for; return the answers that came.

        Raises:
            MadrpcError: the connection is of no more use.
        """
        if not self.is_connected:
            self._finish_connect()
        elif mask & ~_WRITE:
            return self._read()
        else:
            self.flush()
        return []

    def flush(self) -> None:
        """Send what the socket takes.

        Raises:
            ConnectionFailed: the connection is broken.
        """
        wire = self.unsent()
        if not wire or not self.is_connected:
            return
        try:
            sent = self._sock.send(wire)
        except BlockingIOError:
            return
        except OSError as error:
            raise self.loss(error) from error
        del wire[:sent]
        if wire:
            # A long upload that moves is a sign of life too.
            self.is_alive()

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        self.cancel_all()
        if self.is_connected:
            self._send_rest()
        self._sock.close()

    def forget(self) -> None:
        """Close the descriptor without a word to the server; the parent process still uses it."""
        self._sock.close()

    def _send_rest(self) -> None:
        try:
            self._sock.send(self.unsent())
        except OSError:
            pass  # the server notices the closed connection instead

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

    def _finish_connect(self) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise connect_error(self.address, OSError(code, os.strerror(code)))
        self.connected()

    def _read(self) -> Answers:
        try:
            data = self._sock.recv(_RECV_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise self.loss(error) from error
        if not data:
            raise self.loss(None)
        try:
            return self.receive(data)
        except Unauthenticated:
            self._send_rest()  # the alert that tells the server why
            raise
