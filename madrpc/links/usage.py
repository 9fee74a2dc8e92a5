"""What the processes of a server use, as psutil sees it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import psutil

__all__ = ["ProcessUsage"]


class ProcessUsage:
    """CPU and memory of this process and of its workers.

    CPU is the share of one processor in per cent since the reading before, so a process object is
    kept for each pid; the first reading is 0.
    """

    def __init__(self) -> None:
        self._own = psutil.Process(os.getpid())
        self._own.cpu_percent()
        self._workers: dict[int, psutil.Process] = {}
        self._zygote: psutil.Process | None = None

    def front_end(self) -> dict[str, float]:
        """Usage of this process."""
        return _usage(self._own)

    def ended_cpu_seconds(self) -> float:
        """CPU time of the children of this process that have ended."""
        return _of_children(self._own)

    def zygote(self, pid: int) -> dict[str, Any] | None:
        """Usage of the process that forks workers, with the CPU time of those that have ended."""
        try:
            if self._zygote is None or self._zygote.pid != pid:
                self._zygote = psutil.Process(pid)
                self._zygote.cpu_percent()
            row = {"pid": pid, **_usage(self._zygote)}
            row["cpu_seconds"] = round(row["cpu_seconds"] + _of_children(self._zygote), 3)
        except psutil.NoSuchProcess:
            return None
        return row

    def workers(self, pids: Iterable[int]) -> list[dict[str, Any]]:
        """Usage of each worker that is alive."""
        wanted = list(pids)
        self._workers = {pid: known for pid, known in self._workers.items() if pid in wanted}
        rows = []
        for pid in wanted:
            try:
                process = self._workers.get(pid) or self._watch(pid)
                rows.append({"pid": pid, **_usage(process)})
            except psutil.NoSuchProcess:
                self._workers.pop(pid, None)
        return rows

    def _watch(self, pid: int) -> psutil.Process:
        process = self._workers[pid] = psutil.Process(pid)
        process.cpu_percent()
        return process


def _of_children(process: psutil.Process) -> float:
    times = process.cpu_times()
    # macOS does not tell them.
    return float(getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0))


def _usage(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        times = process.cpu_times()
        return {
            "cpu_percent": process.cpu_percent(),
            "cpu_seconds": round(times.user + times.system, 3),
            "rss_bytes": process.memory_info().rss,
        }
