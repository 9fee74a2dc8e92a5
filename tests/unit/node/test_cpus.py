from __future__ import annotations

import os
from pathlib import Path

import pytest

from madrpc.node import cpus


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty cgroup file system."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def quota(root: Path, group: str | None = "0::/\n") -> float | None:
    """The quota of a process in ``group``; None: there is no /proc/self/cgroup."""
    proc = root.parent / "self_cgroup"
    if group is not None:
        proc.write_text(group)
    return cpus.cgroup_quota(root, proc)


# ----------------------------------------------------------------- version 2


@pytest.mark.parametrize(
    ("cpu_max", "processors"),
    [
        ("150000 100000\n", 1.5),
        ("400000 100000", 4.0),
        ("5000 100000\n", 0.05),
        ("max 100000\n", None),
        ("max\n", None),
        ("", None),
        ("junk 100000\n", None),
    ],
)
def test_v2_reads_the_groups_quota(root, cpu_max, processors):
    write(root / "pod" / "app" / "cpu.max", cpu_max)
    assert quota(root, "0::/pod/app\n") == processors


def test_v2_the_smallest_quota_on_the_way_up_counts(root):
    write(root / "pod" / "app" / "cpu.max", "400000 100000")
    write(root / "pod" / "cpu.max", "200000 100000")
    write(root / "cpu.max", "max 100000")
    assert quota(root, "0::/pod/app\n") == 2.0
    assert quota(root, "0::/pod\n") == 2.0
    assert quota(root, "0::/\n") is None


def test_v2_a_group_without_the_file_leaves_it_to_those_above(root):
    write(root / "cpu.max", "300000 100000")
    assert quota(root, "0::/pod/app\n") == 3.0


def test_v2_files_above_the_root_are_not_looked_at(root):
    write(root.parent / "cpu.max", "100000 100000")
    assert quota(root, "0::/pod\n") is None


def test_v2_the_root_may_be_that_of_the_file_system(root, monkeypatch):
    asked = []
    monkeypatch.setattr(cpus, "_read_cpu_max", asked.append)
    (root.parent / "self_cgroup").write_text("0::/pod\n")
    assert cpus.cgroup_quota(Path("/"), root.parent / "self_cgroup") is None
    assert asked == [Path("/pod/cpu.max"), Path("/cpu.max")]


def test_v2_lines_of_other_hierarchies_are_passed_over(root):
    write(root / "app" / "cpu.max", "100000 100000")
    write(root / "old" / "cpu.max", "900000 100000")
    assert quota(root, "1:cpu:/old\n0::/app\n") == 1.0


def test_v2_outside_a_cgroup_there_is_no_quota(root):
    write(root / "cpu.max", "100000 100000")
    assert quota(root, None) is None


# ----------------------------------------------------------------- version 1


@pytest.mark.parametrize(
    ("quota_us", "period_us", "processors"),
    [
        ("150000\n", "100000\n", 1.5),
        ("-1\n", "100000\n", None),
        ("0", "100000", None),
        ("100000", "0", None),
        ("junk", "100000", None),
    ],
)
@pytest.mark.parametrize("group", ["4:cpu,cpuacct:/app\n", None])
def test_v1_reads_the_quota_and_the_period(root, group, quota_us, period_us, processors):
    write(root / "cpu" / "cpu.cfs_quota_us", quota_us)
    write(root / "cpu" / "cpu.cfs_period_us", period_us)
    assert quota(root, group) == processors


def test_v1_half_of_the_files_is_no_quota(root):
    write(root / "cpu" / "cpu.cfs_quota_us", "100000")
    assert quota(root) is None


# ---------------------------------------------------------------- processors


@pytest.mark.parametrize(
    ("allowed", "limit", "usable"),
    [(8, None, 8), (8, 2.0, 2), (8, 1.1, 2), (8, 0.05, 1), (2, 16.0, 2), (1, None, 1)],
)
def test_the_smaller_of_affinity_and_quota_counts(monkeypatch, allowed, limit, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: limit)
    assert cpus.usable_cpus() == usable
    assert cpus.default_pool_size() == 2 * usable


@pytest.mark.parametrize(("counted", "usable"), [(6, 6), (None, 1)])
def test_without_affinity_all_processors_count(monkeypatch, counted, usable):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: None)
    assert cpus.usable_cpus() == usable


def test_this_machine_has_a_processor():
    assert cpus.usable_cpus() >= 1
