"""The history of measurements: one line of JSON for each run."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.scale.launch import ROOT
from madrpc.engine import build

__all__ = ["append", "cores", "latest", "machine", "rounded"]

_SAME = ("cpus", "cpu_model", "python")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _commit() -> str:
    words = ("git", "rev-parse", "--short", "HEAD")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """What it was measured on, and how busy that was with other things at the start."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "cpus": cores(),
        "cpu_model": _cpu_model(),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "engine": f"{build.NAME} {build.version()}",
        "engine_built_here": not build.is_ready_made(),
    }


def rounded(value: Any) -> Any:
    """The same with every float cut to 4 decimals, which is more than any figure is worth."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return value


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(rounded(record)) + "\n")


def latest(lines: Iterable[str], about: dict[str, Any]) -> dict[str, Any]:
    """The newest figures of each part that were measured on the same kind of machine."""
    parts: dict[str, Any] = {}
    for line in lines:
        record = json.loads(line)
        if not record.get("quick") and all(record.get(key) == about[key] for key in _SAME):
            parts |= record["parts"]
    return parts
