"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["cgroup_quota", "default_pool_size", "usable_cpus"]

_CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """Processors allowed by affinity and by the cgroup's CPU quota, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def default_pool_size() -> int:
    """Workers of a node that was told no number: two to each usable processor.

    The second one of each pair works while the first waits for its next call or is being replaced.
    """
    return 2 * usable_cpus()


def cgroup_quota(root: Path = _CGROUP_ROOT, proc: Path = Path("/proc/self/cgroup")) -> float | None:
    """The CPU quota in processors, or None where there is none."""
    return _quota_v2(root, proc) or _quota_v1(root)


def _quota_v2(root: Path, proc: Path) -> float | None:
    """The smallest ``cpu.max`` from this process's group up to the root."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return None
    path = next((line[3:] for line in lines if line.startswith("0::")), "/").strip("/")
    group = root / path
    quotas = []
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            break
        quota = _read_cpu_max(folder / "cpu.max")
        if quota is not None:
            quotas.append(quota)
    return min(quotas, default=None)


def _read_cpu_max(path: Path) -> float | None:
    try:
        quota, period = path.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(root: Path) -> float | None:
    try:
        quota = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period = int((root / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
