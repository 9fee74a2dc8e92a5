"""The node's end of a worker's socketpair.

What the messages mean on it is in ``madrpc.node.dialect``.
"""

from __future__ import annotations

from typing import Protocol

from gevent import socket

from madrpc.links.stream import Stream
from madrpc.node.claims import Claims
from madrpc.node.dialect import BOOT_ID, ZYGOTE_METHOD
from madrpc.policy.job import Job
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import (
    Cancel,
    Request,
    Response,
    cancel_frame,
    parse_message,
    request_head,
    request_tail,
    response_head,
)

__all__ = ["WorkerEvents", "WorkerLink"]

#: A worker takes its frames at once unless it is busy or stopped, and both are the job table's
#: business; this only bounds the wait for one that will never read again.
_STALL_S = 600.0


class WorkerEvents(Protocol):
    """What a worker's owner is told."""

    def booted(self, tail: bytes) -> None:
        """The scripts are loaded, or failed to load."""

    def done(self, job: Job, tail: bytes) -> None:
        """The job's function ended."""

    def parked(self, job: Job) -> None:
        """The job waits for nested calls or a timer."""

    def called(self, job: Job, n: int, request: Request) -> None:
        """The job calls a function, sleeps or logs."""

    def ended(self, reason: str) -> None:
        """The worker closed its end, or broke the protocol."""


class WorkerLink:
    """Jobs to one worker, and what it says about them.

    Attributes:
        claims: set where the worker asks before it starts a job.
    """

    __slots__ = ("_decoder", "_events", "_ids", "_jobs", "_next_id", "_stream", "claims")

    def __init__(self, sock: socket.socket, max_frame: int, events: WorkerEvents) -> None:
        self._events = events
        self.claims: Claims | None = None
        self._decoder = FrameDecoder(max_frame)
        self._jobs: dict[int, Job] = {}
        self._ids: dict[Job, int] = {}
        self._next_id = BOOT_ID + 1
        self._stream = Stream(sock, self._on_data, self._on_eof, events.ended, _STALL_S)

    def __repr__(self) -> str:
        return f"<WorkerLink {len(self._jobs)} jobs, {self._stream}>"

    def start(self, job: Job, timeout_ms: int) -> None:
        """Have the worker run a job."""
        id = self._next_id
        self._next_id = id + 1 if id < 0xFFFFFFFF else BOOT_ID + 1
        self._jobs[id] = job
        self._ids[job] = id
        if self.claims is not None:
            self.claims.offer(id)
        self._stream.write(request_head(id, timeout_ms, len(job.tail)), job.tail)

    def reclaim(self) -> int:
        """Take back the jobs that the worker has not begun; how many of the last ones those are."""
        if self.claims is None:
            return 0
        count = self.claims.take_back()
        for id in list(self._jobs)[len(self._jobs) - count :]:
            del self._ids[self._jobs.pop(id)]
        return count

    def answer(self, n: int, tail: bytes) -> None:
        """Give a parked job the answer of one of its nested calls."""
        self._stream.write(response_head(n, len(tail)), tail)

    def drop(self, job: Job) -> None:
        """Have the worker free a parked job's context."""
        id = self._ids.pop(job, None)
        if id is not None:
            del self._jobs[id]
            self._stream.write(cancel_frame(id))

    def become_zygote(self) -> None:
        """Have the worker keep its loaded scripts to fork from; it says so when it is ready."""
        tail = request_tail(ZYGOTE_METHOD, None)
        self._stream.write(request_head(BOOT_ID, 0, len(tail)), tail)

    def detach(self) -> socket.socket:
        """Give the socket back for another use."""
        return self._stream.detach()

    def close(self, reason: str) -> None:
        """Close at once."""
        self._stream.close(reason)

    def _on_data(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            message = parse_message(frame)
            if type(message) is Response:
                self._answered(message)
            elif type(message) is Request:
                # On this link the second number of a request is the job that makes it.
                job = self._jobs.get(message.timeout_ms)
                if job is not None:
                    self._events.called(job, message.id, message)
            elif type(message) is Cancel:
                job = self._jobs.get(message.id)
                if job is not None:
                    self._events.parked(job)
            else:
                self._stream.close("the worker broke the protocol")
        if self._decoder.error is not None:
            self._stream.close(self._decoder.error.message)

    def _answered(self, response: Response) -> None:
        if response.id == BOOT_ID:
            self._events.booted(response.tail)
            return
        job = self._jobs.pop(response.id, None)
        if job is not None:
            del self._ids[job]
            self._events.done(job, response.tail)

    def _on_eof(self) -> None:
        self._stream.close("the worker ended")
