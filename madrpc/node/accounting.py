"""What became of a node's calls: counts, the slow and the failed ones, and receipts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

from madrpc.node.notes import about, trace_of_job
from madrpc.policy.job import Job
from madrpc.policy.recent import RecentCalls, SlowCall
from madrpc.policy.stats import MethodTable
from madrpc.protocol.messages import NIL, unpack_error
from madrpc.protocol.receipts import Receipts, pack_receipt, rounded_ms

__all__ = ["Accounting"]

log = logging.getLogger(__name__)

_now = time.monotonic
_EXPIRE_S = 1.0


class Accounting:
    """Owner of a node's statistics.

    Args:
        address: tells where the node is reached.
    """

    def __init__(self, address: Callable[[], str]) -> None:
        self.stats = MethodTable()
        self.kept = RecentCalls()
        self._address = address
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        return f"<Accounting {self.stats.calls} calls, {self.kept}>"

    def start(self) -> None:
        """Begin to forget what is old."""
        self._greenlet = gevent.spawn(self._expire_forever)

    def stop(self) -> None:
        """Forget nothing any more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def recent(self, _args: dict[str, Any]) -> dict[str, Any]:
        """What ``_recent`` answers."""
        now = _now()
        self.kept.expire(now)
        return {"slowest": self.kept.slowest(now), "errors": self.kept.errors(now)}

    def ended(self, job: Job, tail: bytes, *, stopped: bool = False) -> None:
        """Count a job that has its answer.

        Args:
            stopped: the node gave the answer, and not a worker.
        """
        now = _now()
        seconds = now - job.submitted
        if stopped and job.started:
            # Nobody can say more of it than that it was with its worker.
            run_s = seconds - job.queued_s - _parked_s(job, now)
            job.spent = {"run_ms": rounded_ms(run_s)}
        outcome = "ok"
        if tail.startswith(NIL):
            self.stats.succeeded(job.method, seconds)
        else:
            outcome = self._failed(job, tail, seconds, now)
        if seconds > self.kept.bar_s:
            self._keep(job, seconds, outcome, now)

    def cancelled(self, job: Job) -> None:
        """Count a job that its caller gave up."""
        now = _now()
        seconds = now - job.submitted
        self.stats.failed(job.method, seconds, "Cancelled")
        if seconds > self.kept.bar_s:
            self._keep(job, seconds, "Cancelled", now)

    def receipts(self, job: Job, origin: str | None) -> Receipts:
        """What the node says of a job in its answer, if its caller asked.

        Args:
            origin: the script of the function.
        """
        if job.meta is None or job.meta.get("receipt") is not True:
            return ()
        now = _now()
        spent = job.spent or {}
        receipt = {
            "node": self._address(),
            "script": origin,
            **_parts(job, now - job.submitted, now),
            "cpu_ms": spent.get("cpu_ms"),
            "heap_bytes": spent.get("heap_bytes"),
            "total_ms": rounded_ms(now - job.submitted),
            "runs": job.losses + 1,
        }
        return (pack_receipt(receipt),)

    def _failed(self, job: Job, tail: bytes, seconds: float, now: float) -> str:
        error = unpack_error(tail)
        name = str(error.get("name"))
        self.stats.failed(job.method, seconds, name)
        trace = trace_of_job(job)
        self.kept.failed(job.method, error, now, node=self._address(), trace=trace)
        if log.isEnabledFor(logging.DEBUG):
            words = (job.method, name, error.get("message"))
            log.debug("%s failed: %s: %s", *words, extra=about(job))
        return name

    def _keep(self, job: Job, seconds: float, outcome: str, now: float) -> None:
        call = SlowCall(
            job.method,
            self._address(),
            now,
            seconds,
            outcome,
            trace=trace_of_job(job),
            attempts=job.losses + 1,
            id=getattr(job.reply_to, "id", None),
            **_parts(job, seconds, now),
        )
        self.kept.keep(call)

    def _expire_forever(self) -> None:
        while True:
            gevent.sleep(_EXPIRE_S)
            self.kept.expire(_now())


def _parts(job: Job, total_s: float, now: float) -> dict[str, float | None]:
    """Milliseconds of each part of a job's time, as far as they are known.

    Where the worker told its parts, the rest of the time counts as queue: the way to the worker and
    back, a run that was lost with its worker, and a front end that was busy.
    """
    parked_ms = rounded_ms(_parked_s(job, now))
    context_ms, run_ms = _told(job, "context_ms"), _told(job, "run_ms")
    if run_ms is None:
        queue_ms = rounded_ms(job.queued_s if job.started else total_s)
    else:
        rest_ms = total_s * 1000 - (context_ms or 0.0) - run_ms - parked_ms
        queue_ms = round(max(0.0, rest_ms), 3)
    return {
        "queue_ms": queue_ms,
        "context_ms": context_ms,
        "run_ms": run_ms,
        "parked_ms": parked_ms,
    }


def _parked_s(job: Job, now: float) -> float:
    return job.parked_s + (now - job.parked_at if job.parked_at else 0.0)


def _told(job: Job, part: str) -> float | None:
    """What the job's worker says of a part."""
    value = None if job.spent is None else job.spent.get(part)
    return value if isinstance(value, float) else None
