"""One worker of a pool: its process, its link and its slot, and what is heard of it."""

from __future__ import annotations

import signal
import time
from typing import Protocol

from gevent import socket

from madrpc.node.processes import WorkerProcess
from madrpc.node.worker_link import WorkerLink
from madrpc.policy.job import Job, Slot
from madrpc.protocol.messages import Request

__all__ = ["PoolEvents", "Worker", "cause_of", "signal_of"]

_now = time.monotonic


class PoolEvents(Protocol):
    """What the pool is told of its workers."""

    def booted(self, worker: Worker, tail: bytes) -> None:
        """A worker has loaded the scripts, or says why it could not."""

    def done(self, slot: Slot, job: Job, tail: bytes) -> None:
        """A worker has run a job to its end."""

    def parked(self, slot: Slot, job: Job) -> None:
        """A worker has set a job aside that waits."""

    def called(self, job: Job, n: int, request: Request) -> None:
        """A job calls a function, sleeps or logs."""


class Worker:
    """A process, the link to it, and the slot it fills; tells its owner what the link says."""

    __slots__ = ("_owner", "kill_reason", "link", "process", "slot", "started")

    def __init__(self, owner: PoolEvents, slot: Slot, sock: socket.socket, frame: int) -> None:
        self._owner = owner
        self.slot = slot
        self.process: WorkerProcess | None = None
        self.kill_reason: str | None = None
        self.started = _now()
        self.link = WorkerLink(sock, frame, self)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    def kill(self, reason: str) -> None:
        """Kill the process; the slot is dead from now on, the process once its end is told."""
        self.kill_reason = self.kill_reason or reason
        self.link.close(reason)
        if self.process is not None:
            self.process.kill()

    def booted(self, tail: bytes) -> None:
        self._owner.booted(self, tail)

    def done(self, job: Job, tail: bytes) -> None:
        self._owner.done(self.slot, job, tail)

    def parked(self, job: Job) -> None:
        self._owner.parked(self.slot, job)

    def called(self, job: Job, n: int, request: Request) -> None:
        self._owner.called(job, n, request)

    def ended(self, reason: str) -> None:
        # The worker closed its end: it is ending, or must be made to.
        if self.kill_reason is None and self.process is not None:
            self.process.kill()


def signal_of(status: int) -> int | None:
    """The signal that ended a process, if one did."""
    return -status if status < 0 else None


def cause_of(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
