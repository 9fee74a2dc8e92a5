"""Which of the Dask workers that share a machine's processors runs the node there.

Each tries to lock the same file. The kernel gives the lock to one of them, and to another as soon
as that one ends, however it ends; so nobody has to notice, and workers that start at the same time
cannot both win.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import tempfile
from pathlib import Path

from madrpc.node.cpus import cgroup_quota

__all__ = ["HostClaim"]


class HostClaim:
    """One worker's wish to be the one.

    Args:
        name: of the deployment; no other has it.
        folder: where the file is; workers share it exactly if they share the machine.
    """

    def __init__(self, name: str, folder: str | None = None) -> None:
        key = hashlib.sha256("\n".join((name, *_share())).encode()).hexdigest()[:32]
        self._path = Path(folder or tempfile.gettempdir()) / f"madrpc-dask-{key}.lock"
        self._fd: int | None = None

    def __repr__(self) -> str:
        return f"<HostClaim {self._path} {self.is_held}>"

    @property
    def is_held(self) -> bool:
        """Whether this worker is the one."""
        return self._fd is not None

    def take(self) -> bool:
        """Try to be the one, without waiting; return whether this worker is.

        Raises:
            OSError: the file cannot be made.
        """
        if self._fd is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self._path, flags, 0o600)
            if self._lock(fd):
                self._fd = fd
            else:
                os.close(fd)
        return self.is_held

    def release(self) -> None:
        """Let another be the one."""
        if self._fd is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def _lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Who held the lock before may have deleted the file in between: then it is another now.
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False


def _share() -> tuple[str, ...]:
    """What tells the processors that this process may use from those of others.

    Jobs of a batch system may share a machine and have processors of their own; each of them is
    then a host of its own.
    """
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return socket.gethostname(), str(os.getuid()), str(affinity), _group()


def _group() -> str:
    """The control group, if it bounds the processors."""
    if cgroup_quota() is None:
        return ""
    try:
        return Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return ""
