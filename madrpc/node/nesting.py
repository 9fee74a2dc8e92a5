"""Calls that functions make (``madrpc.call``, timers), on behalf of the jobs that wait for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gevent

from madrpc.errors import MadrpcError, NestedCallLimit
from madrpc.policy.job import Job
from madrpc.protocol.messages import (
    NIL,
    Request,
    error_tail,
    meta_of,
    request_tail,
    result_tail,
    unpack_request_tail,
)

__all__ = [
    "MAX_DEPTH",
    "Cancellation",
    "NestedCalls",
    "NestedReply",
    "Router",
    "depth_in",
    "depth_of",
]

#: Functions may call functions this deep.
MAX_DEPTH = 32
_SLEPT = result_tail(None)

Answered = Callable[[bytes], None]


class Router(Protocol):
    """Where nested calls run: behind an orchestrator, or in the own pool."""

    def nested_call(
        self, method: str, tail: bytes, deadline: float | None, answered: Answered
    ) -> Callable[[], None]:
        """Run a call, hand its encoded answer to ``answered``, and return how to cancel it."""


class NestedReply:
    """The answer of a call that a function made."""

    __slots__ = ("answer",)

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self.answer = answer


class Cancellation:
    """How to cancel a call, wherever it runs at the moment."""

    __slots__ = ("cancel",)

    def __init__(self) -> None:
        self.cancel: Callable[[], None] = lambda: None


class NestedCalls:
    """The unanswered nested calls of every job.

    Args:
        wake: called with the job, the number of its call, and the encoded answer.
    """

    def __init__(self, router: Router, wake: Callable[[Job, int, bytes], None]) -> None:
        self._router = router
        self._wake = wake
        self._cancels: dict[Job, dict[int, Callable[[], None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._cancels.values()))

    def call(self, job: Job, n: int, request: Request) -> None:
        """A job calls a function; its answer wakes the job."""
        try:
            tail = _child_tail(request)
        except MadrpcError as error:
            self._wake(job, n, error_tail(error))
            return
        calls = self._cancels.setdefault(job, {})
        calls[n] = _nothing

        def answered(answer: bytes) -> None:
            if self._cancels.get(job, {}).pop(n, None) is not None:
                self._wake(job, n, answer)

        cancel = self._router.nested_call(request.method, tail, job.deadline, answered)
        if n in calls:
            calls[n] = cancel

    def sleep(self, job: Job, n: int, request: Request) -> None:
        """A job waits for a timer."""
        _, args, _ = unpack_request_tail(request.tail)
        timer = gevent.spawn_later(args["s"], self._slept, job, n)
        self._cancels.setdefault(job, {})[n] = timer.kill

    def forget(self, job: Job) -> None:
        """The job is over, or starts anew: its unanswered calls are cancelled."""
        for cancel in self._cancels.pop(job, {}).values():
            cancel()

    def _slept(self, job: Job, n: int) -> None:
        if self._cancels.get(job, {}).pop(n, None) is not None:
            self._wake(job, n, _SLEPT)


def _nothing() -> None:
    pass


def _child_tail(request: Request) -> bytes:
    """The nested call as a request of its own, one level deeper.

    Raises:
        NestedCallLimit: the call is too deep.
    """
    method, args, meta = unpack_request_tail(request.tail)
    depth = depth_in(meta) + 1
    if depth > MAX_DEPTH:
        raise NestedCallLimit(
            f"functions call functions more than {MAX_DEPTH} deep; is there an endless recursion?",
            {"depth": depth},
        )
    # Last in the map, so that the tail never ends like one without meta.
    meta.pop("depth", None)
    return request_tail(method, args, {**meta, "depth": depth})


def depth_of(tail: bytes) -> int:
    """How deep in nested calls a request is, from its encoded method, args and meta.

    Nearly all requests end in nil for their meta, and only the others are looked into. What cannot
    be decoded counts as 0: the worker says what is wrong with it.
    """
    return 0 if tail.endswith(NIL) else depth_in(meta_of(tail))


def depth_in(meta: dict[str, Any]) -> int:
    """How deep in nested calls a request is, from its meta."""
    depth = meta.get("depth", 0)
    return depth if type(depth) is int and depth >= 0 else 0
