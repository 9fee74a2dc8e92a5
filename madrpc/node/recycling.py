"""Which worker is due for replacement: after many calls, grown in memory, or stopped."""

from __future__ import annotations

import random
from collections.abc import Iterable

import psutil

from madrpc.config import PoolConfig
from madrpc.node.member import Worker
from madrpc.policy.job import SlotState

__all__ = ["Recycler", "stopped"]

#: Workers started together must not all be replaced together.
_SPREAD = 0.1


class Recycler:
    """Finds idle workers that have served long enough."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._limits: dict[Worker, int] = {}
        self._first_rss: dict[Worker, int] = {}

    def pick(self, workers: Iterable[Worker]) -> Worker | None:
        """One worker to replace now, or None; one at a time keeps the pool serving."""
        known = list(workers)
        self._limits = {w: self._limits.get(w) or self._draw_limit() for w in known}
        self._first_rss = {w: rss for w, rss in self._first_rss.items() if w in self._limits}
        idle = (w for w in known if w.slot.state is SlotState.IDLE and not w.slot.parked)
        return next((worker for worker in idle if self._is_due(worker)), None)

    def _is_due(self, worker: Worker) -> bool:
        if worker.slot.calls >= self._limits[worker]:
            return True
        rss = _rss(worker.pid)
        grown = rss - self._first_rss.setdefault(worker, rss)
        return grown > self._config.recycle_bytes

    def _draw_limit(self) -> int:
        return round(self._config.recycle_calls * random.uniform(1 - _SPREAD, 1 + _SPREAD))


def stopped(workers: Iterable[Worker]) -> list[Worker]:
    """The workers that somebody stopped with a signal, and that would keep their calls for ever."""
    return [worker for worker in workers if _status(worker.pid) == psutil.STATUS_STOPPED]


def _status(pid: int | None) -> str:
    try:
        return str(psutil.Process(pid).status()) if pid is not None else ""
    except psutil.Error:
        return ""


def _rss(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid is not None else 0
    except psutil.Error:
        return 0
