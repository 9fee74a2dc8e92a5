"""What the stories in tests/scenarios/jobs*.txt do not tell, and a machine that tries anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from madrpc.config import NODE_GRACE_S, PoolConfig
from madrpc.errors import CallTimeout, Overloaded, TimeLimitExceeded, WorkerCrashed
from madrpc.policy.job import (
    Action,
    Assign,
    Drop,
    Fail,
    Job,
    JobState,
    Kill,
    Requeued,
    Slot,
    SlotState,
    Wake,
)
from madrpc.policy.jobs import CANCEL_GRACE_S, MOST_PARKED, JobTable

LIMIT_S = 1.0
#: How late a deadline may be seen, and a little more.
TICK_S = 0.021


def table(size: int = 1, queue_size: int = 3, **more: Any) -> JobTable:
    """A table whose workers are idle."""
    found = JobTable(PoolConfig(size=size, queue_size=queue_size, **more), LIMIT_S)
    for _ in range(size):
        found.slot_ready(found.add_slot(), 100.0)
    return found


def job(method: str = "f", deadline: float | None = None, size: int = 10) -> Job:
    return Job(method, b"x" * size, deadline, reply_to=None)


def started(found: JobTable, new: Job, now: float = 100.0) -> Slot:
    (action,) = found.submit(new, now)
    assert action == Assign(action.slot, new)
    return action.slot


def error_of(actions: list[Action]) -> Any:
    (error,) = [action.error for action in actions if isinstance(action, Fail)]
    return error


def test_reprs_are_status_lines():
    found = table()
    new = job("add")
    slot = started(found, new)
    found.submit(job("sub"), 100.0)
    assert repr(found) == "<JobTable 1 queued, 1 of 1 workers busy>"
    assert repr(slot) == "<Slot 0 busy job=<Job add running, crashes=0>, 0 parked>"


def test_ready_counts_the_workers_that_can_be_used():
    found = JobTable(PoolConfig(size=3, queue_size=1), LIMIT_S)
    slots = [found.add_slot() for _ in range(3)]
    assert found.ready == 0
    found.slot_ready(slots[0], 100.0)
    found.slot_ready(slots[1], 100.0)
    started(found, job())
    assert (found.ready, found.busy) == (2, 1)


def test_slots_are_never_numbered_twice():
    found = table(size=2)
    found.slot_lost(found.slots[0], 100.0, "died", 9)
    assert found.add_slot().id == 2


def test_a_finished_job_frees_its_worker_and_its_deadline():
    found = table()
    new = job(deadline=101.0)
    slot = started(found, new)
    assert found.finish(slot, 100.5) == []
    assert (new.state, new.slot, slot.job, slot.calls) == (JobState.DONE, None, None, 1)
    assert slot.state is SlotState.IDLE
    assert found.tick(200.0) == []


def test_finishing_without_a_job_makes_the_worker_idle():
    found = table()
    slot = started(found, job())
    found.finish(slot, 100.1)
    started(found, job())
    slot.job = None
    assert found.finish(slot, 100.2) == []
    assert slot.state is SlotState.IDLE


def test_when_to_come_back_follows_the_average_run_time():
    found = table(queue_size=2)
    slot = started(found, job())
    for n in range(60):
        found.submit(job(), 101.0 + n)
        (action,) = found.finish(slot, 101.0 + n)
        slot = action.slot
    found.submit(job(), 161.0)
    found.submit(job(), 161.0)
    error = error_of(found.submit(job(), 161.0))
    assert type(error) is Overloaded
    assert error.data["queued"] == 2
    assert error.data["retry_after_ms"] == pytest.approx(2000, rel=0.05)


def test_a_caller_is_never_told_to_come_back_at_once():
    found = table(queue_size=1)
    started(found, job())
    found.submit(job(), 100.0)
    assert error_of(found.submit(job(), 100.0)).data["retry_after_ms"] == 10


def test_a_deadline_while_running_says_how_the_time_went():
    found = table()
    slot = started(found, job())
    found.submit(job("late", deadline=101.0), 100.0)
    found.finish(slot, 100.25)
    actions = found.tick(101.0 + NODE_GRACE_S + TICK_S)
    assert actions[0] == Kill(slot, "deadline")
    error = error_of(actions)
    assert type(error) is CallTimeout
    assert error.data["queued_ms"] == 250
    assert error.data["ran_ms"] == pytest.approx(870, abs=5)
    assert "while the function ran" in error.message


def test_a_deadline_while_queued_says_so():
    found = table()
    started(found, job())
    found.submit(job(deadline=100.5), 100.0)
    error = error_of(found.tick(100.52))
    assert error.data == {"queued_ms": 520, "ran_ms": 0}
    assert "waited for a worker" in error.message


def test_a_deadline_while_queued_again_after_a_crash_says_so():
    found = table()
    slot = started(found, job(deadline=101.0))
    found.slot_lost(slot, 100.1, "died", 11)
    error = error_of(found.tick(101.02))
    assert "waited for a worker" in error.message
    assert error.data["ran_ms"] <= 100


def test_the_time_limit_has_its_own_error():
    found = table()
    slot = started(found, job(deadline=200.0))
    actions = found.tick(100.0 + LIMIT_S + 0.25 + TICK_S)
    assert actions[0] == Kill(slot, "time limit")
    assert type(error_of(actions)) is TimeLimitExceeded
    assert error_of(actions).data == {"limit_s": LIMIT_S}
    assert slot.state is SlotState.DYING


def test_a_crash_says_by_which_signal_and_how_often():
    found = table(attempts=1)
    slot = started(found, job("bomb"))
    error = error_of(found.slot_lost(slot, 100.1, "was ended by SIGSEGV", 11))
    assert type(error) is WorkerCrashed
    assert error.data == {"signal": 11, "crashes": 1}
    assert "'bomb' (was ended by SIGSEGV)" in error.message


def test_a_cancel_lets_the_call_end_by_itself_first():
    found = table()
    new = job()
    slot = started(found, new)
    assert found.cancel(new, 100.0) == []
    assert found.tick(100.0 + CANCEL_GRACE_S - TICK_S) == []
    assert found.tick(100.0 + CANCEL_GRACE_S + TICK_S) == [Kill(slot, "cancelled call")]
    assert new.state is JobState.DONE


def test_a_second_cancel_grants_no_more_time():
    found = table()
    new = job()
    slot = started(found, new)
    found.cancel(new, 100.0)
    found.cancel(new, 100.09)
    assert found.tick(100.12) == [Kill(slot, "cancelled call")]


def test_cancelling_what_is_over_changes_nothing():
    found = table()
    new = job()
    found.finish(started(found, new), 100.1)
    assert found.cancel(new, 100.2) == []
    assert (found.queued, found.queued_bytes, new.state) == (0, 0, JobState.DONE)


@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_jobs_that_left_the_queue_hold_no_memory(how):
    found = table(queue_size=3)
    started(found, job())
    now = 100.0
    for _ in range(100):
        new = job(deadline=now + 0.01)
        found.submit(new, now)
        now += 0.001
        if how == "cancelled":
            found.cancel(new, now)
        else:
            now += 0.05
            found.tick(now)
    assert found.queued == 0
    assert len(found._backlog._new) <= 2 * 3 + 17


def test_parking_without_a_job_changes_nothing():
    found = table()
    (slot,) = found.slots.values()
    assert found.park(slot, 100.0) == []
    assert slot.state is SlotState.IDLE


def test_an_answer_for_a_job_that_was_given_up_meanwhile_is_passed_over():
    found = table()
    parked, waiting = job("parked"), job("waiting")
    slot = started(found, parked)
    found.park(slot, 100.0)
    started(found, job("running"))
    assert found.wake(parked, "answer", 100.0) == []
    found.submit(waiting, 100.0)
    found.cancel(parked, 100.0)
    assert found.finish(slot, 100.0) == [Assign(slot, waiting)]


def test_a_job_that_is_over_does_not_expire():
    found = table()
    new = job()
    started(found, new)
    new.state = JobState.DONE
    assert found.tick(200.0) == []


def test_one_call_larger_than_the_queue_may_still_wait():
    found = table(queue_bytes=100)
    started(found, job())
    assert found.submit(job(size=500), 100.0) == []
    assert found.queued_bytes == 500
    assert type(error_of(found.submit(job(size=1), 100.0))) is Overloaded


def single_use_table() -> tuple[JobTable, Job, Job]:
    """Two workers of which one may run, the job that it runs, and one that waits."""
    found = JobTable(PoolConfig(size=1, queue_size=3, attempts=1), LIMIT_S, single_use=True)
    for _ in range(2):
        found.slot_ready(found.add_slot(), 100.0)
    running, waiting = job("running", deadline=101.0), job("waiting")
    started(found, running)
    assert found.submit(waiting, 100.0) == []
    return found, running, waiting


@pytest.mark.parametrize("how", ["stopped", "crashed"])
def test_a_waiting_job_starts_when_a_single_use_worker_is_gone(how):
    found, running, waiting = single_use_table()
    if how == "stopped":
        actions = found.tick(102.0)
    else:
        actions = found.slot_lost(running.slot, 100.1, "died", 9)
    assert [action.job for action in actions if isinstance(action, Assign)] == [waiting]


@pytest.mark.parametrize("how", ["expired", ("cancelled")])
def test_a_waiting_job_starts_when_a_worker_is_no_longer_full_of_parked_ones(how):
    found = table(queue_size=5)
    parked = [job(deadline=101.0) for _ in range(MOST_PARKED)]
    for new in parked:
        found.park(started(found, new), 100.0)
    waiting = job("waiting")
    assert found.submit(waiting, 100.0) == []
    if how == "expired":
        actions = found.tick(102.0)
    else:
        actions = [action for new in parked for action in found.cancel(new, 100.1)]
    assert [action.job for action in actions if isinstance(action, Assign)] == [waiting]


def test_a_worker_full_of_parked_jobs_gets_no_new_one_by_and_by():
    found = table(queue_size=5)
    for _ in range(MOST_PARKED):
        found.park(started(found, job()), 100.0)
    assert found.submit(job("waiting"), 100.0) == []
    assert found.tick(100.1) == []


def test_a_deadline_while_parked_says_that_the_function_waited():
    found = table()
    new = job(deadline=110.0)
    found.park(started(found, new), 100.5)
    found.wake(new, None, 105.0)
    found.park(new.slot, 105.5)
    error = error_of(found.tick(110.1))
    assert error.data["queued_ms"] == 0
    assert error.data["ran_ms"] == 1000
    assert "while the function ran" not in error.message


def test_jobs_that_left_the_queue_hold_no_bytes():
    found = table(queue_size=3, queue_bytes=100)
    started(found, job())
    for _ in range(14):
        new = job(size=100)
        assert found.submit(new, 100.0) == []
        found.cancel(new, 100.0)
    held = [*found._backlog._new, *found._backlog._nested]
    assert sum(len(job.tail) for job in held) <= 100


# ----------------------------------------------------------------- machine


class JobTableMachine(RuleBasedStateMachine):
    """Does anything a pool may do, in any order."""

    SINGLE_USE = False
    SIZE, QUEUE_SIZE, QUEUE_BYTES, ATTEMPTS = 3, 4, 100, 2

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.table = JobTable(
            PoolConfig(self.SIZE, self.QUEUE_SIZE, self.QUEUE_BYTES, attempts=self.ATTEMPTS),
            LIMIT_S,
            single_use=self.SINGLE_USE,
        )
        self.ends: dict[Job, list[str]] = {}
        self.running: dict[Slot, Job] = {}
        self.parked: dict[Job, Slot] = {}
        self.answers: list[tuple[Job, int]] = []
        self.cancelled: set[Job] = set()

    # What the worker processes and the callers see of it.

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, (Assign, Wake)):
                self.runs(action)
            elif isinstance(action, Fail):
                self.ends[action.job].append(action.error.name)
                # Promise 1: an error comes by the deadline + 0.5 s, and never before it.
                if isinstance(action.error, CallTimeout):
                    assert action.job.deadline <= self.now
            elif isinstance(action, Requeued):
                assert self.ends[action.job] == []
            elif isinstance(action, Drop):
                assert self.parked.pop(action.job) is action.slot
            else:
                assert action.slot.state is SlotState.DYING
                self.empty(action.slot, keep_parked=isinstance(action, Kill))

    def runs(self, action: Assign | Wake) -> None:
        assert action.slot not in self.running
        assert action.job not in self.running.values()
        assert self.ends[action.job] == []
        if isinstance(action, Wake):
            assert self.parked.pop(action.job) is action.slot
            # Each answer reaches its job once and in the order they came.
            first = next(given for given in self.answers if given[0] is action.job)
            assert first == (action.job, action.answer)
            self.answers.remove(first)
        else:
            assert action.job not in self.parked
            self.answers = [given for given in self.answers if given[0] is not action.job]
        self.running[action.slot] = action.job

    def empty(self, slot: Slot, *, keep_parked: bool = False) -> None:
        """The slot's worker is going."""
        self.running.pop(slot, None)
        if not keep_parked:
            self.parked = {job: at for job, at in self.parked.items() if at is not slot}

    def slots(self, *states: SlotState) -> list[Slot]:
        return [slot for slot in self.table.slots.values() if slot.state in states]

    def open_jobs(self) -> list[Job]:
        return [job for job, ends in self.ends.items() if not ends]

    # What happens.

    @rule(size=st.integers(0, 60), seconds=st.none() | st.floats(-0.1, 3), nested=st.booleans())
    def submit(self, size, seconds, nested):
        deadline = None if seconds is None else self.now + seconds
        new = Job("f", b"x" * size, deadline, None, nested=nested, refusable=not nested)
        self.ends[new] = []
        self.perform(self.table.submit(new, self.now))
        assert not (nested and self.ends[new]), "nested jobs are never refused"

    @precondition(lambda self: len(self.table.slots) < 2 * self.SIZE)
    @rule()
    def add_slot(self):
        self.table.add_slot()

    @precondition(lambda self: self.slots(SlotState.STARTING))
    @rule(data=st.data())
    def slot_ready(self, data):
        slot = data.draw(st.sampled_from(self.slots(SlotState.STARTING)))
        self.perform(self.table.slot_ready(slot, self.now))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_worn=st.booleans())
    def finish(self, data, is_worn):
        slot = data.draw(st.sampled_from(list(self.running)))
        done = self.running.pop(slot)
        if done not in self.cancelled:
            self.ends[done].append("answered")
        slot.worn = slot.worn or is_worn
        self.perform(self.table.finish(slot, self.now))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def park(self, data):
        slot = data.draw(st.sampled_from(list(self.running)))
        self.parked[self.running.pop(slot)] = slot
        self.perform(self.table.park(slot, self.now))

    @precondition(lambda self: self.ends)
    @rule(data=st.data(), answer=st.integers())
    def wake(self, data, answer):
        job = data.draw(st.sampled_from(list(self.ends)))
        if job in self.parked or job in self.running.values():
            self.answers.append((job, answer))
        self.perform(self.table.wake(job, answer, self.now))

    @precondition(lambda self: self.table.slots)
    @rule(data=st.data())
    def lose_slot(self, data):
        slot = data.draw(st.sampled_from(list(self.table.slots.values())))
        self.empty(slot)
        self.perform(self.table.slot_lost(slot, self.now, "died", 9))

    @precondition(lambda self: self.table.slots)
    @rule(data=st.data())
    def retire(self, data):
        slot = data.draw(st.sampled_from(list(self.table.slots.values())))
        self.perform(self.table.retire(slot))

    @precondition(lambda self: self.ends)
    @rule(data=st.data())
    def cancel(self, data):
        given_up = data.draw(st.sampled_from(list(self.ends)))
        if not self.ends[given_up]:
            self.ends[given_up].append("cancelled")
            self.cancelled.add(given_up)
        self.perform(self.table.cancel(given_up, self.now))

    @rule(seconds=st.floats(0, 0.5))
    def wait(self, seconds):
        self.now += seconds
        self.perform(self.table.tick(self.now))
        if seconds > 2 * TICK_S:
            self.check_deadlines_are_kept()

    def check_deadlines_are_kept(self):
        for job in self.open_jobs():
            if job.deadline is not None:
                grace = NODE_GRACE_S if job.state is JobState.RUNNING else 0
                assert self.now < job.deadline + grace + TICK_S
        for job in self.running.values():
            assert self.now < job.started + LIMIT_S + 0.25 + TICK_S

    # What always holds.

    @invariant()
    def every_job_ended_at_most_once(self):
        assert all(len(ends) <= 1 for ends in self.ends.values())

    @invariant()
    def counts_add_up(self):
        waiting = list(self.table.waiting)
        assert self.table.queued == len(waiting) == len(set(waiting))
        assert self.table.queued_bytes == sum(len(job.tail) for job in waiting)
        assert self.table.busy == len(self.running)
        live = [slot for slot in self.parked.values() if slot.id in self.table.slots]
        assert self.table.parked == len(live) == len(self.parked)

    @invariant()
    def every_open_job_is_in_one_place(self):
        places = [*self.running.values(), *self.parked, *self.table.waiting]
        assert len(places) == len(set(places))
        assert set(self.open_jobs()) == set(places) - self.cancelled
        assert not self.cancelled & {*self.parked, *self.table.waiting}

    @invariant()
    def no_worker_idles_while_a_job_waits(self):
        idle = [slot for slot in self.slots(SlotState.IDLE) if len(slot.parked) < MOST_PARKED]
        if self.SINGLE_USE:
            idle = [slot for slot in idle if not slot.parked] * (self.table.busy < self.SIZE)
        assert not (idle and self.table.queued)

    @invariant()
    def no_worker_idles_while_a_job_could_wake_in_it(self):
        woken = {job for job, _ in self.answers}
        for job, slot in self.parked.items():
            assert not (job in woken and slot.state is SlotState.IDLE)

    @invariant()
    def slots_and_jobs_point_at_each_other(self):
        for slot in self.table.slots.values():
            assert slot.job is self.running.get(slot)
            assert (slot.state is SlotState.BUSY) == (slot.job is not None)
            if slot.job is not None:
                assert slot.job.slot is slot
                assert slot.job.state is JobState.RUNNING
        for job, slot in self.parked.items():
            assert (job.state, job.slot) == (JobState.PARKED, slot)
            assert job in slot.parked

    @invariant()
    def deadlines_are_watched_for_just_what_is_open(self):
        others = [*self.table.waiting, *self.parked]
        watched = len(self.running) + sum(job.deadline is not None for job in others)
        assert len(self.table._deadlines) == watched

    @invariant()
    def jobs_crash_only_so_often(self):
        assert all(job.crashes < self.ATTEMPTS for job in self.open_jobs())

    def teardown(self):
        """However it stands, with workers and time every job comes to its end."""
        for _ in range(300):
            if not self.open_jobs() and not self.running:
                break
            for slot in self.slots(SlotState.DYING):
                self.empty(slot)
                self.perform(self.table.slot_lost(slot, self.now, "was killed", 9))
            while self.table.unparked < 2 * self.SIZE:
                self.table.add_slot()
            for slot in self.slots(SlotState.STARTING):
                self.perform(self.table.slot_ready(slot, self.now))
            for job in list(self.parked):
                self.wake_at_the_end(job)
            self.now += LIMIT_S / 2
            self.perform(self.table.tick(self.now))
        assert all(len(ends) == 1 for ends in self.ends.values())
        assert len(self.table._deadlines) == 0
        assert (self.table.queued, self.table.queued_bytes, self.table.busy) == (0, 0, 0)

    def wake_at_the_end(self, job: Job) -> None:
        if job in self.parked:
            self.answers.append((job, 0))
            self.perform(self.table.wake(job, 0, self.now))


class SingleUseMachine(JobTableMachine):
    """The same with workers that are for one call each."""

    SINGLE_USE = True


TestJobTable = JobTableMachine.TestCase
TestSingleUse = SingleUseMachine.TestCase
TestJobTable.settings = TestSingleUse.settings = settings(max_examples=100, stateful_step_count=40)
