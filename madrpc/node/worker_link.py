"""The node's end of a worker's socketpair.

The messages are those of the wire protocol with meanings of their own, since both ends are ours::

    node -> worker   request  [0, job, ms left, method, args, meta]   run this
                     response [1, n, error, result]                   answer of nested call n
                     cancel   [2, job]                                free the parked job
    worker -> node   response [1, job, error, result]                 the job is done
                     request  [0, n, job, method, args, meta]         the job calls a function
                     cancel   [2, job]                                the job waits; I am free

The answer to job 0 comes unasked, when the scripts are loaded. ``n`` counts up in each worker; 0
wants no answer. Methods ``_sleep`` and ``_log`` are for the node itself.
"""

from __future__ import annotations

from typing import Protocol

from gevent import socket

from madrpc.links.stream import Stream
from madrpc.policy.job import Job
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import (
    Cancel,
    Request,
    Response,
    cancel_frame,
    parse_message,
    request_head,
    response_head,
)

__all__ = ["BOOT_ID", "LOG_METHOD", "SLEEP_METHOD", "WorkerEvents", "WorkerLink"]

BOOT_ID = 0
SLEEP_METHOD = "_sleep"
LOG_METHOD = "_log"
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
    """Jobs to one worker, and what it says about them."""

    __slots__ = ("_decoder", "_events", "_ids", "_jobs", "_next_id", "_stream")

    def __init__(self, sock: socket.socket, max_frame: int, events: WorkerEvents) -> None:
        self._events = events
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
        self._stream.write(request_head(id, timeout_ms, len(job.tail)), job.tail)

    def answer(self, n: int, tail: bytes) -> None:
        """Give a parked job the answer of one of its nested calls."""
        self._stream.write(response_head(n, len(tail)), tail)

    def drop(self, job: Job) -> None:
        """Have the worker free a parked job's context."""
        id = self._ids.pop(job, None)
        if id is not None:
            del self._jobs[id]
            self._stream.write(cancel_frame(id))

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
