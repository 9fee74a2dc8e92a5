from __future__ import annotations

import pytest

from madrpc.config import PoolConfig
from madrpc.node import recycling
from madrpc.node.recycling import Recycler
from madrpc.policy.job import Job, Slot, SlotState


class FakeWorker:
    def __init__(self, pid: int, *, calls: int = 0, state: SlotState = SlotState.IDLE) -> None:
        self.pid = pid
        self.slot = Slot(pid)
        self.slot.state = state
        self.slot.calls = calls


@pytest.fixture
def rss(monkeypatch) -> dict[int, int]:
    """Memory by process id."""
    found: dict[int, int] = {}
    monkeypatch.setattr(recycling, "_rss", lambda pid: found.get(pid, 0))
    return found


def recycler() -> Recycler:
    return Recycler(PoolConfig(4, 4, recycle_calls=100, recycle_bytes=1000))


def test_a_worker_is_due_after_about_so_many_calls(rss):
    found = recycler()
    assert found.pick([FakeWorker(1, calls=89)]) is None
    worn = FakeWorker(2, calls=111)
    assert found.pick([FakeWorker(1, calls=89), worn]) is worn


def test_workers_started_together_are_not_all_due_together(rss):
    found = recycler()
    workers = [FakeWorker(pid) for pid in range(100)]
    found.pick(workers)
    drawn = dict(found._limits)
    assert len(set(drawn.values())) > 5
    assert all(90 <= limit <= 110 for limit in drawn.values())
    found.pick(workers)
    assert found._limits == drawn


def test_a_worker_is_due_when_its_memory_has_grown(rss):
    found, worker = recycler(), FakeWorker(1)
    rss[1] = 5000
    assert found.pick([worker]) is None
    rss[1] = 6000
    assert found.pick([worker]) is None
    rss[1] = 6001
    assert found.pick([worker]) is worker


@pytest.mark.parametrize("state", [SlotState.STARTING, SlotState.BUSY, SlotState.DYING])
def test_only_idle_workers_are_picked(rss, state):
    assert recycler().pick([FakeWorker(1, calls=1000, state=state)]) is None


def test_a_worker_with_parked_calls_is_left_alone(rss):
    worker = FakeWorker(1, calls=1000)
    worker.slot.parked[Job("f", b"", None, None)] = None
    assert recycler().pick([worker]) is None


def test_workers_that_are_gone_are_forgotten(rss):
    found = recycler()
    found.pick([FakeWorker(pid) for pid in range(10)])
    found.pick([])
    assert (found._limits, found._first_rss) == ({}, {})


def test_a_process_that_is_gone_has_no_memory():
    assert recycling._rss(None) == 0
    assert recycling._rss(2**22 + 1) == 0
