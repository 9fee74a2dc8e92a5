"""Which of the jobs sent to a worker it may still start.

A worker has tiny jobs in its socket before it is free to run them. When the job in front turns out
long, the node gives them to other workers instead. For that the node and the worker must agree, at
every instant, on who has which job, and a message that takes one back would always be on its way.
So the number of each job goes through a pipe as well, before the job itself, and both sides read
from that pipe: whoever gets the number out has the job. The kernel lets each number out once.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any

__all__ = ["Claimant", "Claims"]

_NUMBER = struct.Struct("=I")
#: Far more numbers than are ever in the pipe.
_ALL = 1024 * _NUMBER.size


class Claims:
    """The node's side; owns both its descriptors.

    Raises:
        OSError: no descriptors are left.
    """

    __slots__ = ("_read_fd", "_write_fd")

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()
        # The mode belongs to the open pipe, so the worker does not wait either.
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)

    @property
    def read_fd(self) -> int:
        """The end that the worker gets a copy of."""
        return self._read_fd

    def offer(self, id: int) -> None:
        """Let the worker start a job that is about to be sent."""
        os.write(self._write_fd, _NUMBER.pack(id))

    def take_back(self) -> int:
        """How many jobs, the last ones offered, the worker has not begun and now never will."""
        try:
            return len(os.read(self._read_fd, _ALL)) // _NUMBER.size
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close both ends; the worker must be gone or going."""
        os.close(self._read_fd)
        os.close(self._write_fd)


class Claimant:
    """The worker's side.

    It goes to a child process as an argument, which gets a descriptor of its own.
    """

    __slots__ = ("_fd", "_next")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._next = 0

    def __reduce__(self) -> tuple[Callable[[Any], Claimant], tuple[Any]]:
        return _in_child, (DupFd(self._fd),)

    def fileno(self) -> int:
        """Number of the descriptor."""
        return self._fd

    def may_start(self, id: int) -> bool:
        """Whether the job, the next one in the socket, is this worker's to run."""
        if not self._next:
            try:
                self._next = _NUMBER.unpack(os.read(self._fd, _NUMBER.size))[0]
            except (BlockingIOError, struct.error):
                return False
        if self._next != id:
            # Numbers leave the pipe in order: this one is of a later job.
            return False
        self._next = 0
        return True


def _in_child(passed: Any) -> Claimant:
    return Claimant(passed.detach())
