"""Which call runs on which worker, and what happens when either fails.

A pure table: it is told what happened and when, and returns the actions that the pool performs.

::

              submit            slot free             finish
    (caller) -------> QUEUED ------------> RUNNING ------------> DONE
                        |  ^                 |  |
      queue full,       |  |  worker lost,   |  | deadline, limit, cancel:
      deadline, cancel  |  +--- 1st time ----+  | the worker is killed
                        v                       v
                       DONE                    DONE

Calls wait in one queue and are bound to a worker only when that worker is free to start them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any

from madrpc.config import NODE_GRACE_S, PoolConfig
from madrpc.errors import (
    CallTimeout,
    MadrpcError,
    Overloaded,
    TimeLimitExceeded,
    WorkerCrashed,
)
from madrpc.policy.timing import DeadlineTable

__all__ = ["Action", "Assign", "Fail", "Job", "JobState", "JobTable", "Kill", "Slot", "SlotState"]

#: A cancelled call may end by itself within this time; then its worker is killed.
CANCEL_GRACE_S = 0.1
#: Weight of the newest call in the moving average of run times.
_AVERAGE_WEIGHT = 0.1


class JobState(Enum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class SlotState(Enum):
    """Where a worker process is.

    STARTING leaves by ``slot_ready`` (to IDLE) or ``slot_lost``; IDLE by an assignment (to BUSY),
    by loss or by a kill; BUSY by the end of its call (to IDLE), by loss or by a kill (to DYING);
    DYING only by ``slot_lost``.
    """

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DYING = "dying"


class Job:
    """One call on its way through a node.

    Attributes:
        method: name of the function.
        tail: method, args and meta as they came, encoded.
        deadline: local instant by which the caller wants the answer, or None.
        reply_to: whatever the pool needs to answer the caller.
    """

    __slots__ = (
        "cancelled",
        "crashes",
        "deadline",
        "method",
        "reply_to",
        "slot",
        "started",
        "state",
        "submitted",
        "tail",
        "tick",
    )

    def __init__(self, method: str, tail: bytes, deadline: float | None, reply_to: Any) -> None:
        self.method = method
        self.tail = tail
        self.deadline = deadline
        self.reply_to = reply_to
        self.state = JobState.QUEUED
        self.slot: Slot | None = None
        self.submitted = 0.0
        self.started = 0.0
        self.crashes = 0
        self.cancelled = False
        self.tick = 0

    def __repr__(self) -> str:
        return f"<Job {self.method} {self.state.value}, crashes={self.crashes}>"


class Slot:
    """One worker process as the table sees it."""

    __slots__ = ("calls", "id", "job", "state")

    def __init__(self, id: int) -> None:
        self.id = id
        self.state = SlotState.STARTING
        self.job: Job | None = None
        self.calls = 0

    def __repr__(self) -> str:
        return f"<Slot {self.id} {self.state.value} job={self.job}>"


@dataclass(slots=True)
class Assign:
    """Send the job to the slot's worker."""

    slot: Slot
    job: Job


@dataclass(slots=True)
class Kill:
    """Kill the slot's worker at once; nothing it still says counts."""

    slot: Slot
    reason: str


@dataclass(slots=True)
class Fail:
    """Answer the job's caller with the error."""

    job: Job
    error: MadrpcError


Action = Assign | Kill | Fail


class JobTable:
    """Owner of every job and slot of a node."""

    def __init__(self, config: PoolConfig, time_limit_s: float) -> None:
        self._config = config
        self._time_limit_s = time_limit_s
        self._queue: deque[Job] = deque()
        self._queued = 0
        self._queued_bytes = 0
        self._idle: deque[Slot] = deque()
        self._deadlines: DeadlineTable[Job] = DeadlineTable()
        self._average_s = 0.0
        self._next_slot = 0
        self.slots: dict[int, Slot] = {}

    def __repr__(self) -> str:
        return f"<JobTable {self._queued} queued, {self.busy} of {len(self.slots)} workers busy>"

    @property
    def queued(self) -> int:
        """Jobs waiting for a worker."""
        return self._queued

    @property
    def queued_bytes(self) -> int:
        """Bytes of the jobs waiting for a worker."""
        return self._queued_bytes

    @property
    def busy(self) -> int:
        """Workers that run a job."""
        return sum(slot.job is not None for slot in self.slots.values())

    @property
    def ready(self) -> int:
        """Workers that run a job or could take one."""
        return sum(slot.state in (SlotState.IDLE, SlotState.BUSY) for slot in self.slots.values())

    # -------------------------------------------------------------- jobs

    def submit(self, job: Job, now: float) -> list[Action]:
        """Take a new job: it starts, waits, or is refused because the queue is full."""
        job.submitted = now
        if self._idle:
            return [self._start(self._idle.popleft(), job, now)]
        config = self._config
        if self._queued >= config.queue_size or (
            self._queued and self._queued_bytes + len(job.tail) > config.queue_bytes
        ):
            job.state = JobState.DONE
            return [Fail(job, self._overloaded())]
        self._enqueue(job)
        self._queue.append(job)
        return []

    def finish(self, slot: Slot, now: float) -> list[Action]:
        """Note that the slot's worker answered its job; it may take the next one."""
        job = slot.job
        if job is not None:
            self._average_s += _AVERAGE_WEIGHT * (now - job.started - self._average_s)
            self._forget(job)
        slot.calls += 1
        return self._next(slot, now)

    def cancel(self, job: Job, now: float) -> list[Action]:
        """Give a job up. Its answer no longer counts; its worker gets a moment to end it."""
        if job.state is JobState.QUEUED:
            self._unqueue(job)
            self._forget(job)
        elif job.state is JobState.RUNNING and not job.cancelled:
            job.cancelled = True
            self._deadlines.discard(job, job.tick)
            job.tick = self._deadlines.add(job, now + CANCEL_GRACE_S)
        return []

    def tick(self, now: float) -> list[Action]:
        """Fail jobs whose time is up and kill the workers that still run them."""
        actions: list[Action] = []
        for job in self._deadlines.expired(now):
            if job.state is JobState.RUNNING:
                actions += self._stop(job, now)
            elif job.state is JobState.QUEUED:
                self._unqueue(job)
                job.state = JobState.DONE
                actions.append(Fail(job, self._too_late(job, now)))
        return actions

    # ------------------------------------------------------------- slots

    def add_slot(self) -> Slot:
        """A worker process is being started."""
        slot = Slot(self._next_slot)
        self._next_slot += 1
        self.slots[slot.id] = slot
        return slot

    def slot_ready(self, slot: Slot, now: float) -> list[Action]:
        """The slot's worker has loaded the scripts."""
        return self._next(slot, now)

    def slot_lost(self, slot: Slot, now: float, cause: str, signal: int | None) -> list[Action]:
        """The slot's worker is gone. A job it ran is tried once more, then given up.

        Args:
            cause: how it ended, for the caller's message.
            signal: number of the signal that ended it, if one did.
        """
        job, slot.job = slot.job, None
        self.slots.pop(slot.id, None)
        if slot.state is SlotState.IDLE:
            self._idle.remove(slot)
        slot.state = SlotState.DYING
        if job is None:
            return []
        self._deadlines.discard(job, job.tick)
        job.slot = None
        job.crashes += 1
        if job.cancelled:
            job.state = JobState.DONE
            return []
        if job.crashes >= self._config.attempts:
            job.state = JobState.DONE
            return [Fail(job, _crashed(job, cause, signal))]
        if self._idle:
            return [self._start(self._idle.popleft(), job, now)]
        self._enqueue(job)
        self._queue.appendleft(job)
        return []

    # ----------------------------------------------------------- private

    def _enqueue(self, job: Job) -> None:
        job.state = JobState.QUEUED
        self._queued += 1
        self._queued_bytes += len(job.tail)
        if job.deadline is not None:
            job.tick = self._deadlines.add(job, job.deadline)

    def _unqueue(self, job: Job) -> None:
        # The job itself stays in the deque until it reaches the front: removing it from the middle
        # would cost time in proportion to the queue.
        self._queued -= 1
        self._queued_bytes -= len(job.tail)

    def _forget(self, job: Job) -> None:
        self._deadlines.discard(job, job.tick)
        job.state = JobState.DONE
        if job.slot is not None:
            job.slot.job = None
            job.slot = None

    def _next(self, slot: Slot, now: float) -> list[Action]:
        """Give the free slot the oldest waiting job, if there is one."""
        queue = self._queue
        while queue:
            job = queue.popleft()
            if job.state is JobState.QUEUED:
                self._unqueue(job)
                self._deadlines.discard(job, job.tick)
                return [self._start(slot, job, now)]
        slot.state = SlotState.IDLE
        self._idle.append(slot)
        return []

    def _start(self, slot: Slot, job: Job, now: float) -> Assign:
        slot.state = SlotState.BUSY
        slot.job = job
        job.slot = slot
        job.state = JobState.RUNNING
        job.started = now
        stop_at = now + self._time_limit_s + self._config.kill_grace_s
        if job.deadline is not None:
            stop_at = min(stop_at, job.deadline + NODE_GRACE_S)
        job.tick = self._deadlines.add(job, stop_at)
        return Assign(slot, job)

    def _stop(self, job: Job, now: float) -> list[Action]:
        """Kill the worker of a job that should have ended by now."""
        slot = job.slot
        assert slot is not None
        self._forget(job)
        slot.state = SlotState.DYING
        if job.cancelled:
            return [Kill(slot, "cancelled call")]
        if job.deadline is not None and now >= job.deadline:
            return [Kill(slot, "deadline"), Fail(job, self._too_late(job, now))]
        return [Kill(slot, "time limit"), Fail(job, self._over_limit())]

    def _overloaded(self) -> Overloaded:
        wait_ms = max(10, round(1000 * self._average_s * self._queued / max(1, self._config.size)))
        return Overloaded(
            f"the node's queue is full ({self._queued} calls for {self._config.size} workers); "
            f"try again in {wait_ms} ms or on another node",
            {"retry_after_ms": wait_ms, "queued": self._queued},
        )

    def _over_limit(self) -> TimeLimitExceeded:
        return TimeLimitExceeded(
            f"the function ran longer than the node's limit of {self._time_limit_s:g} s "
            "(--time-limit) and was stopped",
            {"limit_s": self._time_limit_s},
        )

    def _too_late(self, job: Job, now: float) -> CallTimeout:
        started = job.started if job.started else now
        queued_s, ran_s = started - job.submitted, now - started
        phase = "while running" if job.started else "while waiting for a worker"
        return CallTimeout(
            f"the deadline passed {phase} (queued {queued_s:.2f} s, ran {ran_s:.2f} s); "
            "the call was stopped",
            {"queued_ms": round(queued_s * 1000), "ran_ms": round(ran_s * 1000)},
        )


def _crashed(job: Job, cause: str, signal: int | None) -> WorkerCrashed:
    return WorkerCrashed(
        f"the worker process died while running {job.method!r} ({cause}), "
        f"{job.crashes} times in a row; the call was given up",
        {"signal": signal, "crashes": job.crashes},
    )
