"""Sockets on their way to another process."""

from __future__ import annotations

import array
import socket as plain_socket

from gevent import socket

__all__ = ["as_plain", "send_with_fd"]


def send_with_fd(sock: socket.socket, data: bytes, fd: int) -> None:
    """Send bytes with one descriptor attached.

    Raises:
        OSError: the socket would not take all of it.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    if sock.sendmsg([data], rights) != len(data):
        raise OSError("the zygote takes no orders")


def as_plain(sock: socket.socket) -> plain_socket.socket:
    """The standard library's socket for the same descriptor: what a spawned child can unpickle."""
    return plain_socket.socket(fileno=sock.detach())
