"""What every TCP connection of madrpc has in common, whoever made it."""

from __future__ import annotations

import socket

from madrpc.config import KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES, PEER_TIMEOUT_S

__all__ = ["tune"]


def tune(sock: socket.socket) -> None:
    """Send small frames at once, and notice a machine that is gone.

    Keepalive finds it on a silent connection; the user time-out finds it while sent bytes are not
    acknowledged, where the kernel's own patience is a quarter of an hour.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", PEER_TIMEOUT_S * 1000),
    ):
        # What a system lacks, it handles with its own defaults.
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
