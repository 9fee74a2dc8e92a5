"""A trivial job, to see whether a node's workers still answer."""

from __future__ import annotations

import time

import gevent
from gevent.event import AsyncResult

from madrpc.config import PROBE_TIMEOUT_S
from madrpc.node.pool import WorkerPool
from madrpc.policy.job import Job, SlotState
from madrpc.protocol.messages import request_tail

__all__ = ["Trial", "try_worker"]

#: No script can register the name, so the worker answers that it has no such function; that it
#: answers is all that is asked.
_METHOD = "_trial"
_TAIL = request_tail(_METHOD, None)


class Trial:
    """Takes the answer of a trivial job."""

    def __init__(self) -> None:
        self.answered: AsyncResult[bool] = AsyncResult()

    def answer(self, tail: bytes | None) -> None:
        """The pool is done with the job; without a tail no worker has answered it."""
        self.answered.set(tail is not None)


def try_worker(pool: WorkerPool) -> str:
    """Run a trivial job: ``ok``, ``failed``, or ``busy`` where no worker is free to run it.

    A worker that does not answer in time is killed and replaced, like any that overruns.
    """
    if pool.table.queued or not any(
        slot.state is SlotState.IDLE for slot in pool.table.slots.values()
    ):
        return "busy"
    trial = Trial()
    deadline = time.monotonic() + PROBE_TIMEOUT_S
    pool.submit(Job(_METHOD, _TAIL, deadline, trial, refusable=False))
    try:
        return "ok" if trial.answered.get(timeout=PROBE_TIMEOUT_S + 1) else "failed"
    except gevent.Timeout:
        return "failed"
