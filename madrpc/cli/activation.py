"""Sockets that the service manager opened for this server: the protocol of ``sd_listen_fds(3)``."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

__all__ = ["inherited_sockets"]

_FIRST = 3
_NAMES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def inherited_sockets(environment: MutableMapping[str, str] | None = None) -> tuple[int, ...]:
    """Descriptors of the sockets that are meant for this process; often none.

    The variables are taken out and the descriptors closed in programs that this one starts, so
    that no worker process holds the port.

    Args:
        environment: by default the process's own.
    """
    variables = os.environ if environment is None else environment
    pid, count, *_ = (variables.pop(name, "") for name in _NAMES)
    if pid != str(os.getpid()) or not count.isdecimal():
        return ()
    descriptors = tuple(range(_FIRST, _FIRST + int(count)))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return descriptors
