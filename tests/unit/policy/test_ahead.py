"""Tiny jobs are sent to busy workers ahead of time, and taken back when they would wait there."""

from __future__ import annotations

from madrpc.config import PoolConfig
from madrpc.policy.job import Action, Assign, Fail, Job, JobState, Reclaim, Retire, Slot
from madrpc.policy.jobs import CANCEL_GRACE_S, JobTable

TINY_S = 0.0005


def job(name: str = "f", deadline: float | None = None) -> Job:
    return Job(name, b"x", deadline, reply_to=None)


def table(workers: int = 1) -> tuple[JobTable, list[Slot]]:
    """A table that knows its jobs to be tiny."""
    found = JobTable(PoolConfig(size=workers, queue_size=1000), 1.0)
    slots = [found.add_slot() for _ in range(workers)]
    for slot in slots:
        found.slot_ready(slot, 0.0)
        for _ in range(60):
            found.submit(job(), 0.0)
            found.finish(found.slots[0] if workers == 1 else slots[0], TINY_S)
    return found, slots


def busy_table(waiting: int, deadline: float | None = None) -> tuple[JobTable, Slot, list[Job]]:
    """One worker that runs the first of so many jobs, and has been sent others ahead."""
    found, (slot,) = table()
    jobs = [job(f"j{n}", deadline) for n in range(waiting)]
    for new in jobs:
        found.submit(new, 1.0)
    actions = found.finish(slot, 1.0 + TINY_S)
    assert assigned(actions)[0] is jobs[1]
    return found, slot, jobs


def assigned(actions: list[Action]) -> list[Job]:
    return [action.job for action in actions if isinstance(action, Assign)]


def failed(actions: list[Action]) -> list[Job]:
    return [action.job for action in actions if isinstance(action, Fail)]


def test_jobs_are_sent_ahead_in_order_and_run_in_order() -> None:
    found, slot, jobs = busy_table(30)
    ahead = list(slot.ahead)
    assert 2 <= len(ahead) <= 8
    assert ahead == jobs[2 : 2 + len(ahead)]
    assert {other.state for other in ahead} == {JobState.AHEAD}
    for expected in ahead:
        found.finish(slot, 1.001)
        assert slot.job is expected
        assert expected.state is JobState.RUNNING
    assert found.in_flight == 30 - 1 - len(ahead) - 0


def test_nothing_is_sent_ahead_that_other_workers_could_take() -> None:
    found, slot, _ = busy_table(3)
    assert len(slot.ahead) == 0
    assert found.queued == 1


def test_nothing_is_sent_ahead_while_jobs_are_long_or_unknown() -> None:
    found = JobTable(PoolConfig(size=1, queue_size=1000), 1.0)
    slot = found.add_slot()
    found.slot_ready(slot, 0.0)
    for _ in range(30):
        found.submit(job(), 0.0)
    found.finish(slot, 0.5)
    assert not slot.ahead
    found.finish(slot, 1.0)
    assert not slot.ahead


def test_single_use_workers_get_nothing_ahead() -> None:
    found = JobTable(PoolConfig(size=1, queue_size=1000), 1.0, single_use=True)
    found._average_s = TINY_S
    slots = [found.add_slot() for _ in range(2)]
    for slot in slots:
        found.slot_ready(slot, 0.0)
    for _ in range(30):
        found.submit(job(), 0.0)
    assert not any(slot.ahead for slot in slots)


def test_a_worker_with_parked_jobs_gets_nothing_ahead() -> None:
    found, (slot,) = table()
    parked = job()
    found.submit(parked, 1.0)
    for _ in range(30):
        found.submit(job(), 1.0)
    found.park(slot, 1.0)
    found.finish(slot, 1.0 + TINY_S)
    assert not slot.ahead


def test_jobs_behind_a_long_one_are_taken_back_and_go_first() -> None:
    found, slot, _ = busy_table(30)
    ahead = list(slot.ahead)
    assert found.tick(1.002) == []
    assert found.tick(1.1) == [Reclaim(slot)]
    assert found.reclaimed(slot, len(ahead), 1.1) == []
    assert not slot.ahead
    assert found.waiting[: len(ahead)] == ahead
    assert {other.state for other in ahead} == {JobState.QUEUED}
    other = found.add_slot()
    assert assigned(found.slot_ready(other, 1.2))[0] is ahead[0]


def test_a_cancelled_job_ahead_gets_the_grace_of_a_running_one() -> None:
    found, slot, _ = busy_table(30)
    first = slot.ahead[0]
    assert found.cancel(first, 1.001) == []
    found.finish(slot, 1.002)
    assert slot.job is first
    slot.ahead.clear()
    actions = found.tick(1.002 + CANCEL_GRACE_S + 0.05)
    assert [type(action).__name__ for action in actions] == ["Kill"]


def test_jobs_that_the_worker_has_begun_stay_with_it() -> None:
    found, slot, _ = busy_table(30)
    begun, *others = slot.ahead
    found.reclaimed(slot, len(others), 1.1)
    assert list(slot.ahead) == [begun]
    assert begun not in found.waiting
    found.finish(slot, 1.2)
    assert slot.job is begun


def test_a_worker_that_has_not_even_begun_its_job_gets_that_anew() -> None:
    found, slot, _ = busy_table(30)
    front, ahead = slot.job, list(slot.ahead)
    actions = found.reclaimed(slot, len(ahead) + 1, 1.1)
    assert assigned(actions) == [front, *ahead]
    assert slot.job is front
    assert list(slot.ahead) == ahead
    assert front is not None
    found.reclaimed(slot, len(ahead), 1.2)
    front.cancelled = True
    assert assigned(found.reclaimed(slot, 1, 1.2))[0] is ahead[0]
    assert front.state is JobState.DONE


def test_a_cancelled_job_does_not_wait_again() -> None:
    found, slot, _ = busy_table(30)
    first = slot.ahead[0]
    found.cancel(first, 1.001)
    found.reclaimed(slot, len(slot.ahead), 1.1)
    assert first not in found.waiting
    assert first.state is JobState.DONE


def test_a_deadline_passes_once_for_a_job_ahead() -> None:
    found, slot, _ = busy_table(30, deadline=1.05)
    ahead = list(slot.ahead)[1:]
    found.finish(slot, 1.0999)
    actions = found.tick(1.1)
    assert set(ahead) <= set(failed(actions))
    found.finish(slot, 1.1001)
    assert slot.job is ahead[0]
    assert failed(found.tick(1.3)) == []


def test_jobs_ahead_outlive_their_worker() -> None:
    found, slot, _ = busy_table(30)
    front, ahead = slot.job, list(slot.ahead)
    assert front is not None
    found.slot_lost(slot, 1.001, "died", 9)
    assert front.crashes == 1
    assert not slot.ahead
    assert set(found.waiting[: len(ahead) + 1]) == {*ahead, front}
    assert {other.crashes for other in ahead} == {0}


def test_a_worn_worker_ends_what_it_has_and_gets_no_more() -> None:
    found, slot, _ = busy_table(30)
    slot.worn = True
    for other in list(slot.ahead):
        assert found.finish(slot, 1.001) == []
        assert slot.job is other
    assert Retire(slot) in found.finish(slot, 1.002)
