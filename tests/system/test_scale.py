"""The scaling benchmark runs from end to end, and puts its figures where they are shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale.launch import Programs
from benchmarks.scale.measure import loads
from benchmarks.scale.network import Network, unavailable
from tests.servers import ROOT, environment


def test_a_quick_run_fills_the_pages(tmp_path: Path) -> None:
    for page in ("performance.md", "sizing.md"):
        shutil.copy(ROOT / "docs" / page, tmp_path)
    history = tmp_path / "history.jsonl"
    words = ("--quick", "--save", history, "--docs", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *map(str, words)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(history.read_text())
    assert set(record["parts"]) == {"workers", "nodes", "orchestrators", "resources"}
    assert record["cpus"] >= 1
    for row in record["parts"]["nodes"]["rows"]:
        assert row["rounds"][0]["rate"] > 0
    for page in ("performance.md", "sizing.md"):
        assert f"at commit {record['commit']}" in (tmp_path / page).read_text()
    drawings = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert drawings == [
        "scale-latency.svg", "scale-nodes.svg", "scale-orchestrators.svg", "scale-workers.svg",
    ]  # fmt: skip


def test_a_link_between_namespaces_delays_both_ways_and_goes_with_its_block() -> None:
    reason = unavailable()
    if reason is not None:  # a matter of rights and of the kernel: no program would mend it
        pytest.skip(reason)
    with Programs.running() as programs:
        with Network.made(programs) as network:
            assert len(namespaces()) == 2
            network.shape(25.0, 0.0)
            _, addresses = programs.fakes(1, 1, 0, network.far_host, network.far)
            words = ("--in-flight", 1, "--seconds", 0.4, "--warm", 0)
            found = loads(programs, [addresses], *words, prefix=network.near)
            assert 0 < found[0]["calls"] <= 0.4 / 0.05 + 1
            assert network.bytes() > 100
        assert not namespaces()


def namespaces() -> list[str]:
    """Those of this process."""
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in done.stdout.splitlines()]
    return [name for name in names if name.endswith(f"-{os.getpid()}")]
