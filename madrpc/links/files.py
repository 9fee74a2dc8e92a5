"""How many connections the system's limit on open files leaves room for."""

from __future__ import annotations

import logging
import resource

__all__ = ["connections_that_fit"]

log = logging.getLogger(__name__)

#: Kept for the listening socket, links to workers and other servers, scripts, logs and libraries.
_RESERVED = 64
#: As a share, for servers with many workers or nodes.
_RESERVED_SHARE = 0.1
_MOST_FILES = 1_048_576


def connections_that_fit(wanted: int) -> int:
    """Raise the soft limit on open files as far as allowed; return the connections it allows.

    A connection that cannot be accepted because the files ran out is a client that waits in the
    dark, so the limit is held below that and such a client is told.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, _MOST_FILES) if hard != resource.RLIM_INFINITY else _MOST_FILES
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError):
            pass  # a sandbox may forbid it; the limit as it is serves
    files = _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    room = max(1, files - max(_RESERVED, int(files * _RESERVED_SHARE)))
    if room < wanted:
        log.warning(
            "the limit of %d open files leaves room for %d connections instead of %d; "
            "raise it with 'ulimit -n'",
            files,
            room,
            wanted,
        )
    return min(wanted, room)
