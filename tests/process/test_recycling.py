"""Workers are replaced after many calls or when their memory grows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from madrpc.config import PoolConfig
from madrpc.node import recycling
from madrpc.node.recycling import Recycler
from madrpc.policy.job import Slot, SlotState


class StubWorker:
    """What the recycler looks at."""

    def __init__(self, calls: int, state: SlotState = SlotState.IDLE) -> None:
        self.pid = 1
        self.slot = Slot(0)
        self.slot.state = state
        self.slot.calls = calls


CONFIG = PoolConfig(size=2, queue_size=10, recycle_calls=100, recycle_bytes=1000)


@pytest.fixture
def rss(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    memory = {"now": 5_000}
    monkeypatch.setattr(recycling, "_rss", lambda pid: memory["now"])
    return memory


def pick(recycler: Recycler, *workers: Any) -> Any:
    return recycler.pick(workers)


def test_many_calls_make_a_worker_due(rss: dict[str, int]) -> None:
    recycler = Recycler(CONFIG)
    fresh, used = StubWorker(10), StubWorker(111)
    assert pick(recycler, fresh, used) is used
    assert pick(recycler, fresh) is None


def test_the_limits_of_workers_differ(rss: dict[str, int]) -> None:
    config = dataclasses.replace(CONFIG, recycle_calls=10_000)
    recycler = Recycler(config)
    workers = [StubWorker(10_000) for _ in range(200)]
    due = sum(pick(Recycler(config), worker) is worker for worker in workers)
    assert 0 < due < 200
    assert pick(recycler, StubWorker(8_999)) is None


def test_only_idle_workers_are_replaced(rss: dict[str, int]) -> None:
    busy, parked = StubWorker(1_000, SlotState.BUSY), StubWorker(1_000)
    parked.slot.parked[object()] = None  # type: ignore[index]
    assert pick(Recycler(CONFIG), busy, parked) is None


def test_growth_makes_a_worker_due(rss: dict[str, int]) -> None:
    recycler, worker = Recycler(CONFIG), StubWorker(0)
    assert pick(recycler, worker) is None
    rss["now"] += 1_000
    assert pick(recycler, worker) is None
    rss["now"] += 1
    assert pick(recycler, worker) is worker
