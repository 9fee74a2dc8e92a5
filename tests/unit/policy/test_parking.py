"""Parked calls and single-use workers in the job table."""

from __future__ import annotations

from typing import Any

from madrpc.config import PoolConfig
from madrpc.errors import CallTimeout
from madrpc.policy.job import Assign, Drop, Fail, Job, JobState, Requeued, Retire, SlotState, Wake
from madrpc.policy.jobs import MOST_PARKED, JobTable

NOW = 100.0


def table(size: int = 1, *, single_use: bool = False, slots: int | None = None) -> JobTable:
    found = JobTable(PoolConfig(size=size, queue_size=1_000), 1.0, single_use=single_use)
    for _ in range(slots or size):
        found.slot_ready(found.add_slot(), NOW)
    return found


def job(
    name: str = "f",
    *,
    nested: bool = False,
    refusable: bool = True,
    deadline: float | None = None,
) -> Job:
    return Job(name, b"tail", deadline, None, nested=nested, refusable=refusable)


def kinds(actions: list[Any]) -> list[type]:
    return [type(action) for action in actions]


def parked(found: JobTable, new: Job) -> Job:
    (action,) = found.submit(new, NOW)
    assert isinstance(action, Assign)
    found.park(action.slot, NOW)
    return new


def test_a_parked_job_frees_its_worker_and_wakes_before_what_waits() -> None:
    found = table()
    outer = parked(found, job("outer"))
    (begun,) = found.submit(job("inner", nested=True), NOW)
    found.submit(job("later"), NOW)
    assert found.wake(outer, "answer", NOW) == []
    (woken,) = found.finish(begun.slot, NOW)
    assert woken == Wake(begun.slot, outer, "answer")
    assert (outer.state, found.parked, found.queued) == (JobState.RUNNING, 0, 1)


def test_an_idle_worker_wakes_its_job_at_once() -> None:
    found = table()
    outer = parked(found, job())
    assert kinds(found.wake(outer, "answer", NOW)) == [Wake]


def test_answers_that_come_while_the_job_runs_wait_for_it_to_park_again() -> None:
    found = table()
    outer = parked(found, job())
    (woken,) = found.wake(outer, 1, NOW)
    assert found.wake(outer, 2, NOW) == []
    (again,) = found.park(woken.slot, NOW)
    assert again == Wake(woken.slot, outer, 2)


def test_an_answer_for_a_job_that_is_over_changes_nothing() -> None:
    found = table()
    outer = parked(found, job())
    found.wake(outer, 1, NOW)
    found.finish(outer.slot, NOW)
    assert found.wake(outer, 2, NOW) == []
    assert kinds(found.submit(job(), NOW)) == [Assign]


def test_waiting_does_not_use_up_the_time_limit() -> None:
    found = table()
    outer = parked(found, job())
    assert found.tick(NOW + 50) == []
    found.wake(outer, None, NOW + 50)
    assert found.tick(NOW + 51) == []
    assert kinds(found.tick(NOW + 51.3))[1] is Fail


def test_the_deadline_of_a_parked_job_drops_its_context() -> None:
    found = table()
    outer = parked(found, job(deadline=NOW + 1))
    drop, fail = found.tick(NOW + 1.1)
    assert (type(drop), type(fail), type(fail.error)) == (Drop, Fail, CallTimeout)
    assert (outer.state, found.parked, found.ready) == (JobState.DONE, 0, 1)


def test_cancelling_a_parked_job_drops_its_context() -> None:
    found = table()
    assert kinds(found.cancel(parked(found, job()), NOW)) == [Drop]


def test_a_cancelled_job_that_parks_is_dropped() -> None:
    found = table()
    (begun,) = found.submit(job(), NOW)
    found.cancel(begun.job, NOW)
    assert kinds(found.park(begun.slot, NOW)) == [Drop]
    assert found.ready == 1


def test_parked_jobs_of_a_lost_worker_start_anew_and_are_not_blamed() -> None:
    found = table(size=2)
    outer = parked(found, job("outer"))
    slot = outer.slot
    again, begun = found.slot_lost(slot, NOW, "died", 9)
    assert (again, begun.job, outer.crashes) == (Requeued(outer), outer, 0)


def test_new_jobs_keep_away_from_workers_with_parked_ones() -> None:
    found = table(size=2)
    outer = parked(found, job())
    (begun,) = found.submit(job(), NOW)
    assert begun.slot is not outer.slot


def test_a_worker_full_of_parked_jobs_takes_only_nested_ones() -> None:
    found = table()
    for _ in range(MOST_PARKED):
        parked(found, job())
    assert found.submit(job("new"), NOW) == []
    assert kinds(found.submit(job("inner", nested=True), NOW)) == [Assign]


def test_the_nodes_own_nested_jobs_are_never_refused() -> None:
    found = JobTable(PoolConfig(size=1, queue_size=1), 1.0)
    assert kinds(found.submit(job(), NOW)) == []
    assert kinds(found.submit(job(), NOW)) == [Fail]
    assert found.submit(job(nested=True, refusable=False), NOW) == []
    assert [waiting.nested for waiting in found.waiting] == [True, False]


def test_single_use_workers_go_when_their_job_is_done() -> None:
    found = table(size=1, single_use=True, slots=2)
    (begun,) = found.submit(job("first"), NOW)
    assert found.submit(job("second"), NOW) == []
    retired, started = found.finish(begun.slot, NOW)
    assert (retired, started.job.method) == (Retire(begun.slot), "second")
    assert (begun.slot.state, started.slot is begun.slot) == (SlotState.DYING, False)


def test_a_parked_job_keeps_its_single_use_worker_to_itself() -> None:
    found = table(size=1, single_use=True, slots=2)
    outer = parked(found, job("outer"))
    (begun,) = found.submit(job("inner", nested=True), NOW)
    assert begun.slot is not outer.slot
    assert (found.parked, found.unparked) == (1, 1)
    assert kinds(found.wake(outer, None, NOW)) == [Wake]


def test_dropping_a_parked_job_retires_its_single_use_worker() -> None:
    found = table(size=1, single_use=True, slots=2)
    assert kinds(found.cancel(parked(found, job()), NOW)) == [Retire]


def test_a_worn_worker_is_replaced_when_its_job_is_done() -> None:
    found = table()
    (begun,) = found.submit(job(), NOW)
    begun.slot.worn = True
    assert kinds(found.finish(begun.slot, NOW)) == [Retire]


def test_retiring_and_condemning_take_idle_workers_out() -> None:
    found = table(size=2)
    first, second = found.slots.values()
    assert found.retire(first) == [Retire(first)]
    assert found.retire(first) == []
    found.condemn([second])
    assert (found.ready, found.submit(job(), NOW)) == (0, [])


def test_a_job_knows_how_long_it_was_parked_and_forgets_it_with_its_worker() -> None:
    found = table()
    outer = parked(found, job())
    (action,) = found.wake(outer, "answer", NOW + 2)
    found.park(action.slot, NOW + 3)
    assert (outer.parked_s, outer.parked_at, outer.losses) == (2.0, NOW + 3, 0)
    found.slot_lost(action.slot, NOW + 4, "was ended", 9)
    assert (outer.parked_s, outer.parked_at, outer.losses) == (0.0, 0.0, 1)
