"""Which call runs on which worker, and what happens when either fails.

A pure table: it is told what happened and when, and returns the actions that the pool performs.

::

              submit            slot free             finish
    (caller) -------> QUEUED ------------> RUNNING ------------> DONE
                        |  ^               ^  |  |
      queue full,       |  |  worker lost  |  |  | deadline, limit, cancel:
      deadline, cancel  |  +---------------+--+  | the worker is killed
                        v          wake |  | park
                       DONE             PARKED --> DONE (deadline, cancel: the context is dropped)

Calls wait in one queue and are bound to a worker only when that worker is free to start them;
tiny ones are sent to busy workers too, and taken back if they would wait there. A call that waits
for nested calls or a timer is parked: its context stays in its worker, which serves others
meanwhile. When what it waits for has come, it is the next thing that worker runs. Nested calls go
before new ones, so that work begun is finished first and a full pool never waits for itself.
"""

from __future__ import annotations

from typing import Any

from madrpc.config import NODE_GRACE_S, PoolConfig
from madrpc.policy.backlog import Backlog
from madrpc.policy.job import (
    Action,
    Assign,
    Drop,
    Fail,
    Job,
    JobState,
    Kill,
    Reclaim,
    Requeued,
    Retire,
    Slot,
    SlotState,
    Wake,
)
from madrpc.policy.slots import MOST_PARKED, SlotTable, most_ahead
from madrpc.policy.timing import DeadlineTable
from madrpc.policy.verdicts import overdue, overloaded, too_late, worker_lost

__all__ = ["CANCEL_GRACE_S", "MOST_PARKED", "JobTable"]

#: A cancelled call may end by itself within this time; then its worker is killed.
CANCEL_GRACE_S = 0.1
#: Weight of the newest call in the moving average of run times.
_AVERAGE_WEIGHT = 0.1


class JobTable(SlotTable):
    """Owner of every job and slot of a node.

    Args:
        single_use: each slot is for one call only and is replaced when that has ended; then there
            are more slots than may run at once, so that a fresh one is always at hand.
    """

    def __init__(self, config: PoolConfig, time_limit_s: float, *, single_use: bool = False):
        super().__init__()
        self._config = config
        self.single_use = single_use
        self._time_limit_s = time_limit_s
        self._backlog: Backlog[Job] = Backlog(
            config.queue_size, config.queue_bytes, lambda job: job.state is JobState.QUEUED
        )
        self._deadlines: DeadlineTable[Job] = DeadlineTable()
        self._average_s = 0.0

    def __repr__(self) -> str:
        return f"<JobTable {self.queued} queued, {self.busy} of {len(self.slots)} workers busy>"

    @property
    def waiting(self) -> list[Job]:
        """The jobs that wait for a worker, the next one first."""
        return list(self._backlog)

    @property
    def queued(self) -> int:
        """Jobs waiting for a worker."""
        return len(self._backlog)

    @property
    def queued_bytes(self) -> int:
        """Bytes of the jobs waiting for a worker."""
        return self._backlog.bytes

    @property
    def in_flight(self) -> int:
        """Jobs taken and not ended: waiting, running or parked."""
        return self.queued + self.ahead + self.busy + self.parked

    # -------------------------------------------------------------- jobs

    def submit(self, job: Job, now: float) -> list[Action]:
        """Take a new job: it starts, waits, or is refused because the queue is full."""
        job.submitted = now
        slot = self._idle_slot(job)
        if slot is not None:
            return [self._start(slot, job, now)]
        if job.refusable and not self._backlog.has_room(len(job.tail)):
            job.state = JobState.DONE
            return [Fail(job, overloaded(self.queued, self._config.size, self._average_s))]
        self._enqueue(job, first=False)
        return []

    def finish(self, slot: Slot, now: float) -> list[Action]:
        """Note that the slot's worker answered its job; it may take the next one."""
        job = slot.job
        if job is not None:
            ran_s = job.ran_s + now - job.started
            self._average_s += _AVERAGE_WEIGHT * (ran_s - self._average_s)
            self._forget(job)
        slot.calls += 1
        if self.single_use or (slot.worn and not slot.parked and not slot.ahead):
            slot.state = SlotState.DYING
            return [Retire(slot), *self._fill(now)]
        return self._next(slot, now)

    def park(self, slot: Slot, now: float) -> list[Action]:
        """Note that the slot's job waits for something; the worker may serve others."""
        job = slot.job
        if job is None:
            return []
        self._deadlines.discard(job, job.tick)
        slot.job = None
        if job.cancelled:
            job.state = JobState.DONE
            if self.single_use:
                slot.state = SlotState.DYING
                return [Retire(slot), *self._fill(now)]
            return [Drop(slot, job), *self._next(slot, now)]
        job.ran_s += now - job.started
        job.parked_at = now
        job.state = JobState.PARKED
        slot.parked[job] = None
        if job.deadline is not None:
            job.tick = self._deadlines.add(job, job.deadline)
        return self._next(slot, now)

    def wake(self, job: Job, answer: Any, now: float) -> list[Action]:
        """Something a parked job waited for has come; it runs as soon as its worker is free."""
        slot = job.slot
        if slot is None or job.state not in (JobState.PARKED, JobState.RUNNING):
            return []
        slot.wakes.append((job, answer))
        if slot.state is SlotState.IDLE:
            self._idle.pop(slot, None)
            return self._next(slot, now)
        return []

    def cancel(self, job: Job, now: float) -> list[Action]:
        """Give a job up. Its answer no longer counts; its worker gets a moment to end it."""
        if job.state is JobState.QUEUED:
            self._unqueue(job)
        elif job.state is JobState.PARKED:
            return [*self._drop(job), *self._fill(now)]
        elif job.state is JobState.RUNNING and not job.cancelled:
            self._let_end(job, now)
        job.cancelled = True
        return []

    def tick(self, now: float) -> list[Action]:
        """Fail jobs whose time is up and kill the workers that still run them."""
        actions: list[Action] = []
        for job in self._deadlines.expired(now):
            if job.state is JobState.RUNNING:
                actions += self._stop(job, now)
            elif job.state is JobState.PARKED:
                actions += [*self._drop(job), Fail(job, too_late(job, now, JobState.PARKED))]
            elif job.state is not JobState.DONE and not job.cancelled:
                actions.append(Fail(job, too_late(job, now, JobState.QUEUED)))
                if job.state is JobState.QUEUED:
                    self._unqueue(job)
                job.cancelled = True
        actions += map(Reclaim, self.held_up(now))
        actions += self.overstayed(now)
        return [*actions, *self._fill(now)]

    def reclaimed(self, slot: Slot, count: int, now: float) -> list[Action]:
        """The slot's worker will not begin the last ``count`` jobs that it was sent.

        They wait again, before all others. The one that it seemed to run may be among them.
        """
        for _ in range(count):
            job = slot.ahead.pop() if slot.ahead else slot.job
            assert job is not None
            self._forget(job)
            if not job.cancelled:
                self._enqueue(job, first=True)
        return self._fill(now) if slot.job is not None else self._next(slot, now)

    # ------------------------------------------------------------- slots

    def slot_ready(self, slot: Slot, now: float) -> list[Action]:
        """The slot's worker has loaded the scripts."""
        return self._next(slot, now)

    def slot_lost(self, slot: Slot, now: float, cause: str, signal: int | None) -> list[Action]:
        """The slot's worker is gone.

        The job it ran is tried once more, then given up. Jobs parked in it are run again without
        that counting against them.

        Args:
            cause: how it ended, for the caller's message.
            signal: number of the signal that ended it, if one did.
        """
        self.slots.pop(slot.id, None)
        self._idle.pop(slot, None)
        slot.state = SlotState.DYING
        actions: list[Action] = []
        running, slot.job = slot.job, None
        innocent, slot.parked = list(slot.parked), {}
        slot.wakes.clear()
        innocent += slot.ahead
        slot.ahead.clear()
        if running is not None:
            running.crashes += 1
            limits = (self._time_limit_s, self._config.attempts)
            error = worker_lost(running, now, cause, signal, *limits)
            if error is None or running.cancelled:
                innocent.append(running)
            else:
                self._forget(running)
                actions.append(Fail(running, error))
        for job in innocent:
            actions += self._restart(job, now)
        return [*actions, *self._fill(now)]

    def _restart(self, job: Job, now: float) -> list[Action]:
        """Run a job again that lost its worker, before everything that waits."""
        if job.state is not JobState.AHEAD:
            job.losses += 1
        self._forget(job)
        if job.cancelled:
            return []
        job.ran_s = job.parked_s = job.parked_at = 0.0
        job.spent = None
        slot = self._idle_slot(job)
        if slot is not None:
            return [Requeued(job), self._start(slot, job, now)]
        self._enqueue(job, first=True)
        return [Requeued(job)]

    def _enqueue(self, job: Job, *, first: bool) -> None:
        job.state = JobState.QUEUED
        self._backlog.add(job, len(job.tail), nested=job.nested, first=first)
        if job.deadline is not None:
            job.tick = self._deadlines.add(job, job.deadline)

    def _unqueue(self, job: Job) -> None:
        self._deadlines.discard(job, job.tick)
        job.state = JobState.DONE
        self._backlog.removed(len(job.tail))
        # The job itself stays in the queue until it comes to the front.
        job.tail = b""

    def _forget(self, job: Job) -> None:
        self._deadlines.discard(job, job.tick)
        job.state = JobState.DONE
        slot, job.slot = job.slot, None
        if slot is not None and slot.job is job:
            slot.job = None

    def _let_end(self, job: Job, now: float) -> None:
        """Give a job that nobody wants a moment before its worker is killed."""
        self._deadlines.discard(job, job.tick)
        job.tick = self._deadlines.add(job, now + CANCEL_GRACE_S)

    def _drop(self, job: Job) -> list[Action]:
        """Free a parked job's context."""
        slot = job.slot
        assert slot is not None
        self._forget(job)
        slot.parked.pop(job, None)
        if self.single_use:
            slot.state = SlotState.DYING
            return [Retire(slot)]
        return [Drop(slot, job)]

    def _idle_slot(self, job: Job) -> Slot | None:
        """An idle worker for the job."""
        if self.single_use and not job.nested and self.busy >= self._config.size:
            return None
        return self.take_idle(nested=job.nested)

    def _next(self, slot: Slot, now: float) -> list[Action]:
        """Give the free slot what wakes up in it, else the oldest job that waits."""
        if slot.ahead:
            return self._promote(slot, now)
        while slot.wakes:
            job, answer = slot.wakes.popleft()
            if job.state is JobState.PARKED and job.slot is slot:
                del slot.parked[job]
                self._deadlines.discard(job, job.tick)
                job.parked_s += now - job.parked_at
                job.parked_at = 0.0
                self._run(slot, job, now)
                return [Wake(slot, job, answer)]
        if self.single_use:
            slot.state = SlotState.IDLE
            if not slot.parked:
                self._idle[slot] = None
            return self._fill(now)
        only_nested = len(slot.parked) >= MOST_PARKED
        waiting = self._take(only_nested=only_nested)
        if waiting is not None:
            return [self._start(slot, waiting, now), *self._send_ahead(slot, now)]
        slot.state = SlotState.IDLE
        self._idle[slot] = None
        return []

    def _promote(self, slot: Slot, now: float) -> list[Action]:
        """The worker has gone on to the next job that it was sent ahead."""
        job = slot.ahead.popleft()
        self._deadlines.discard(job, job.tick)
        job.queued_s = now - job.submitted
        self._run(slot, job, now)
        if job.cancelled:
            self._let_end(job, now)
        return self._send_ahead(slot, now)

    def _send_ahead(self, slot: Slot, now: float) -> list[Action]:
        """Give a busy worker more jobs, if they are tiny and more wait than there are workers."""
        most = most_ahead(slot, self._average_s)
        actions: list[Action] = []
        while len(slot.ahead) < most and len(self._backlog) > len(self.slots):
            job = self._take(only_nested=False)
            if job is None:
                break
            job.slot, job.state = slot, JobState.AHEAD
            job.queued_s = now - job.submitted
            slot.ahead.append(job)
            if job.deadline is not None:
                job.tick = self._deadlines.add(job, job.deadline)
            actions.append(Assign(slot, job))
        return actions

    def _take(self, *, only_nested: bool) -> Job | None:
        """The job that has waited longest, no longer waiting."""
        job = self._backlog.take(only_nested=only_nested)
        if job is not None:
            self._backlog.removed(len(job.tail))
            self._deadlines.discard(job, job.tick)
        return job

    def _fill(self, now: float) -> list[Action]:
        """Start waiting jobs in idle slots, as many as may run at once.

        Jobs wait beside idle slots only where those are for a single call, or full of parked ones.
        """
        actions: list[Action] = []
        while self._idle and (not self.single_use or self.busy < self._config.size):
            free = (slot for slot in self._idle if len(slot.parked) < MOST_PARKED)
            slot = next(free, None)
            job = self._take(only_nested=slot is None)
            if job is None:
                break
            slot = slot or next(iter(self._idle))
            del self._idle[slot]
            actions.append(self._start(slot, job, now))
        return actions

    def _start(self, slot: Slot, job: Job, now: float) -> Assign:
        job.slot = slot
        job.queued_s = now - job.submitted
        self._run(slot, job, now)
        return Assign(slot, job)

    def _run(self, slot: Slot, job: Job, now: float) -> None:
        slot.state = SlotState.BUSY
        slot.job = job
        job.state = JobState.RUNNING
        job.started = now
        stop_at = now + self._time_limit_s - job.ran_s + self._config.kill_grace_s
        if job.deadline is not None:
            stop_at = min(stop_at, job.deadline + NODE_GRACE_S)
        job.tick = self._deadlines.add(job, stop_at)

    def _stop(self, job: Job, now: float) -> list[Action]:
        """Kill the worker of a job that should have ended by now."""
        slot = job.slot
        assert slot is not None
        self._forget(job)
        slot.state = SlotState.DYING
        reason, error = overdue(job, now, self._time_limit_s)
        return [Kill(slot, reason, job), *([Fail(job, error)] if error else [])]
