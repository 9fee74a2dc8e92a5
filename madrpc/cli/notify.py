"""What a server tells the service manager that started it: the datagrams of ``sd_notify(3)``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import Self

__all__ = ["Notifier"]

#: How often the status is looked at where no watchdog asks for more.
_STATUS_EVERY_S = 10.0
_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = ("WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Tells the service manager of each change; says nothing where there is none.

    Nothing here waits and nothing fails: a manager that cannot be reached costs the server its
    messages, never a call.

    Args:
        target: address of the manager's datagram socket; None for no manager.
        watchdog_s: the manager ends a server that is silent for so long; None for never.
    """

    def __init__(self, target: str | None, watchdog_s: float | None = None) -> None:
        self._watchdog_s = watchdog_s
        self._status = ""
        self._socket: socket.socket | None = None
        self._target = target or ""
        if target:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] | None = None) -> Self:
        """The manager that the environment names.

        Its variables are taken out, so that processes that this one starts do not speak for it.

        Args:
            environment: by default the process's own.
        """
        variables = os.environ if environment is None else environment
        target = _address_of(variables.get(_SOCKET, ""))
        watchdog_s = _watchdog_of(variables)
        for name in (_SOCKET, *_WATCHDOG):
            variables.pop(name, None)
        return cls(target, watchdog_s)

    def __repr__(self) -> str:
        return f"<Notifier {self._target or 'of nobody'}>"

    def __bool__(self) -> bool:
        """Whether there is a manager to tell."""
        return self._socket is not None

    @property
    def tick_s(self) -> float:
        """Seconds between two calls of ``tick``: half of what the watchdog allows."""
        if self._watchdog_s is None:
            return _STATUS_EVERY_S
        return min(self._watchdog_s / 2, _STATUS_EVERY_S)

    def ready(self, status: str) -> None:
        """The server has started, or has loaded its files anew."""
        self._status = status
        self._send("READY=1", f"STATUS={status}")

    def tick(self, status: str) -> None:
        """The server is alive; the status goes out when it has changed."""
        lines = [] if self._watchdog_s is None else ["WATCHDOG=1"]
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        self._send(*lines)

    def reloading(self) -> None:
        """The server loads its files anew; ``ready`` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The server finishes what it has."""
        self._status = status
        self._send("STOPPING=1", f"STATUS={status}")

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None or not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._target)
        except OSError:
            # Nobody listens, or its queue is full: the next message will do.
            pass


def _address_of(text: str) -> str | None:
    """The address of a unix socket: a path, or a name that begins with @; None for others."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_of(variables: Mapping[str, str]) -> float | None:
    """Seconds, if they are meant for this process."""
    usec, pid = (variables.get(name, "") for name in _WATCHDOG)
    if pid not in ("", str(os.getpid())) or not usec.isdecimal() or int(usec) == 0:
        return None
    return int(usec) / 1e6
