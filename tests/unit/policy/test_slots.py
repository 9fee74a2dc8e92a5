"""The worker slots of a node."""

from __future__ import annotations

from madrpc.config import PoolConfig
from madrpc.policy.job import Action, Job, Kill, Retire, SlotState
from madrpc.policy.jobs import JobTable
from madrpc.policy.slots import LEAVE_GRACE_S, SlotTable


def job() -> Job:
    return Job("f", b"", None, None)


def test_slots_are_counted_by_what_they_do() -> None:
    found = SlotTable()
    idle, busy, starting = (found.add_slot() for _ in range(3))
    idle.state, busy.state = SlotState.IDLE, SlotState.BUSY
    busy.job = job()
    busy.ahead.extend([job(), job()])
    idle.parked[job()] = None
    assert (found.ready, found.busy, found.ahead, found.parked, found.unparked) == (2, 1, 2, 1, 2)
    assert [slot.id for slot in (idle, busy, starting)] == [0, 1, 2]


def test_only_an_idle_slot_without_parked_jobs_retires() -> None:
    found = SlotTable()
    slot = found.add_slot()
    assert found.retire(slot) == []
    slot.state = SlotState.IDLE
    found._idle[slot] = None
    slot.parked[job()] = None
    assert found.retire(slot) == []
    slot.parked.clear()
    assert found.retire(slot) == [Retire(slot)]
    assert slot.state is SlotState.DYING
    assert found.retire(slot) == []


def test_condemned_slots_get_nothing_more() -> None:
    found = SlotTable()
    slot = found.add_slot()
    found._idle[slot] = None
    found.condemn([slot])
    assert (slot.state, found._idle) == (SlotState.DYING, {})


def test_the_worker_that_was_busy_last_is_taken_first_where_that_pays() -> None:
    table = JobTable(PoolConfig(size=3, queue_size=10), 1.0)
    slots = [table.add_slot() for _ in range(3)]
    for slot in slots:
        table.slot_ready(slot, 0.0)
    assert table.take_idle(nested=False) is slots[0]
    table.reuse_last = True
    assert table.take_idle(nested=False) is slots[2]


def test_a_worker_that_was_let_go_and_stays_is_killed_until_it_is_gone() -> None:
    table = JobTable(PoolConfig(size=1, queue_size=10), 1.0)
    slot = table.add_slot()
    table.slot_ready(slot, 0.0)

    def killed(now: float) -> list[Action]:
        return table.tick(now)

    assert killed(50.0) == []
    assert table.retire(slot) == [Retire(slot)]
    assert killed(100.0) == []
    assert killed(100.0 + LEAVE_GRACE_S) == []
    expected = [Kill(slot, "it did not leave within 1 s")]
    assert killed(100.1 + LEAVE_GRACE_S) == expected
    assert killed(100.2 + LEAVE_GRACE_S) == []
    assert killed(100.2 + 2 * LEAVE_GRACE_S) == expected
    table.slot_lost(slot, 110.0, "", 9)
    assert killed(200.0) == []
