"""The scaling benchmark runs from end to end, and puts its figures where they are shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

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
