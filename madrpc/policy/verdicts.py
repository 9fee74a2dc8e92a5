"""The errors a job ends with when its function did not get to answer."""

from __future__ import annotations

from madrpc.errors import CallTimeout, MadrpcError, Overloaded, TimeLimitExceeded, WorkerCrashed
from madrpc.policy.job import Job, JobState

__all__ = ["BACKSTOP_SIGNAL", "over_limit", "overdue", "overloaded", "too_late", "worker_lost"]

_LEAST_WAIT_MS = 10
#: SIGALRM: the worker's own kernel timer ended it, because the node did not do so in time.
BACKSTOP_SIGNAL = 14


def overloaded(queued: int, workers: int, average_s: float) -> Overloaded:
    """The queue is full; it will have moved on after the time that the waiting calls need."""
    wait_ms = max(_LEAST_WAIT_MS, round(1000 * average_s * queued / max(1, workers)))
    return Overloaded(
        f"the node's queue is full ({queued} calls for {workers} workers); "
        f"try again in {wait_ms} ms or on another node",
        {"retry_after_ms": wait_ms, "queued": queued},
    )


def over_limit(limit_s: float) -> TimeLimitExceeded:
    """The function ran longer than the node allows."""
    return TimeLimitExceeded(
        f"the function ran longer than the node's limit of {limit_s:g} s "
        "(--time-limit) and was stopped",
        {"limit_s": limit_s},
    )


_PHASES = {
    JobState.QUEUED: "while the call waited for a worker",
    JobState.RUNNING: "while the function ran",
    JobState.PARKED: "while the function waited for other functions or a timer",
}


def too_late(job: Job, now: float, state: JobState) -> CallTimeout:
    """The caller's deadline has passed; ``state`` is the one it found the job in."""
    queued_s, ran_s = job.queued_s, job.ran_s
    if state is JobState.QUEUED:
        queued_s = now - job.submitted
    elif state is JobState.RUNNING:
        ran_s += now - job.started
    return CallTimeout(
        f"the deadline passed {_PHASES[state]} (queued {queued_s:.2f} s, ran {ran_s:.2f} s); "
        "the call was stopped",
        {"queued_ms": round(queued_s * 1000), "ran_ms": round(ran_s * 1000)},
    )


def overdue(job: Job, now: float, limit_s: float) -> tuple[str, MadrpcError | None]:
    """Why the worker of a job that still runs is killed, and what the caller is answered."""
    if job.cancelled:
        return "cancelled call", None
    if job.deadline is not None and now >= job.deadline:
        return "deadline", too_late(job, now, JobState.RUNNING)
    return "time limit", over_limit(limit_s)


def worker_lost(
    job: Job, now: float, cause: str, signal: int | None, limit_s: float, attempts: int
) -> MadrpcError | None:
    """What to answer for a call whose worker died while running it; None to try it once more.

    Args:
        cause: how the worker ended, for the caller's message.
        signal: number of the signal that ended it, if one did.
        limit_s: the node's time limit.
        attempts: how many workers one call may take down.
    """
    if signal == BACKSTOP_SIGNAL:
        if job.deadline is not None and now >= job.deadline:
            return too_late(job, now, JobState.RUNNING)
        return over_limit(limit_s)
    if job.crashes < attempts:
        return None
    return WorkerCrashed(
        f"the worker process died while running {job.method!r} ({cause}), "
        f"{job.crashes} times in a row; the call was given up",
        {"signal": signal, "crashes": job.crashes},
    )
