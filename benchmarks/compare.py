"""madrpc beside a bare loop and beside what people would pick instead, in one run.

    python benchmarks/compare.py [--rounds 3] [--only NAME]... [--piscina FOLDER] [--save FILE]

Each round runs every peer once, in a process of its own, with the same functions, a fresh context
for each call, and a worker for each processor; results are checked. The table shows medians and
how far the rounds lie apart, first as they are and then as ratios. A peer that is not installed is
left out with a word. FOLDER is one where ``npm install piscina`` was run. FILE gets one more line
of JSON with everything.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc.engine import build  # noqa: E402

_PYTHON = (sys.executable, "-m")
_TIMEOUT_S = 300
_FIGURES = ("p50_us", "p99_us", "many_per_s", "pi_s", "echo_ms")
_HEADINGS = ("tiny, p50 us", "p99 us", "64 in flight, calls/s", "50 x 200k pi, s", "1 MB echo, ms")
_LIMIT = "two bare loops"
_EXECUTOR = "ProcessPoolExecutor"


@dataclass(frozen=True)
class Peer:
    """One way to do the work, and what must be there for it."""

    name: str
    command: Sequence[str]
    package: str = "json"
    folder: Path = ROOT

    def run(self) -> dict[str, float]:
        """Measure it once."""
        done = subprocess.run(
            self.command, cwd=self.folder, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
        if done.returncode != 0 or not done.stdout.strip():
            raise RuntimeError(f"{self.name}: {done.stderr.strip()[-500:] or 'said nothing'}")
        figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return figures


def peers(piscina: Path | None) -> list[Peer]:
    """All that can run here; what cannot is named on stderr."""
    module = "benchmarks.peers."
    node = module + "madrpc_node"
    found = [
        Peer(_LIMIT, (*_PYTHON, module + "loops")),
        Peer("two bare loops, v8", (*_PYTHON, module + "loops", "v8"), "py_mini_racer"),
        Peer("madrpc, node", (*_PYTHON, node)),
        Peer("madrpc, orchestrator", (*_PYTHON, node, "--orchestrator")),
        Peer("madrpc, JSON-RPC", (*_PYTHON, module + "jsonrpc")),
        Peer("madrpc, v8", (*_PYTHON, node, "--engine", "v8"), "py_mini_racer"),
        Peer(_EXECUTOR, (*_PYTHON, module + "executor")),
        Peer("gRPC", (*_PYTHON, module + "grpc_server"), "grpc"),
        Peer("zerorpc", (*_PYTHON, module + "zerorpc_server"), "zerorpc"),
        Peer("Dask", (*_PYTHON, module + "dask_cluster"), "distributed"),
    ]
    here = [peer for peer in found if _has(peer.package)]
    if piscina is not None and shutil.which("node"):
        main = str(ROOT / "benchmarks/peers/piscina/main.mjs")
        here.append(Peer("piscina, fresh vm, HTTP", ("node", main), folder=piscina))
    missing = [peer.name for peer in found if peer not in here]
    if missing:
        print("not installed: " + ", ".join(missing), file=sys.stderr)
    return here


def _has(package: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([sys.executable, "-c", code]).returncode == 0


def measure(chosen: Sequence[Peer], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Figures of every peer, a round of each in turn."""
    found: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in chosen}
    for n in range(rounds):
        for peer in chosen:
            print(f"round {n + 1} of {rounds}: {peer.name}", file=sys.stderr)
            try:
                found[peer.name].append(peer.run())
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(error, file=sys.stderr)
    return {name: runs for name, runs in found.items() if runs}


def medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The middle of each figure."""
    return {figure: statistics.median(run[figure] for run in runs) for figure in _FIGURES}


def spread(runs: Sequence[dict[str, float]], figure: str) -> float:
    """How far the rounds lie apart, as a share of the median."""
    values = [run[figure] for run in runs]
    return (max(values) - min(values)) / statistics.median(values)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """The figures themselves."""
    lines = [_row(("", *_HEADINGS)), _row(["---"] * (len(_HEADINGS) + 1))]
    for name, runs in found.items():
        middle = medians(runs)
        cells = [f"{middle[f]:,.4g} ±{spread(runs, f) / 2:.0%}" for f in _FIGURES]
        lines.append(_row((name, *cells)))
    return lines


def ratios(found: dict[str, list[dict[str, float]]], base: str) -> list[str]:
    """The figures as multiples of one peer's; for calls/s more is better, for the rest less."""
    if base not in found:
        return []
    below = medians(found[base])
    lines = ["", f"As multiples of {base}:", "", _row(("", *_HEADINGS))]
    lines.append(_row(["---"] * (len(_HEADINGS) + 1)))
    for name, runs in found.items():
        middle = medians(runs)
        lines.append(_row((name, *(f"{middle[f] / below[f]:.2f}" for f in _FIGURES))))
    return lines


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "engine": f"{build.NAME} {build.version()}",
        "engine_built_here": not build.is_ready_made(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="part of a name; may be repeated")
    parser.add_argument("--piscina", type=Path)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    chosen = [
        peer
        for peer in peers(options.piscina)
        if not options.only or any(part in peer.name for part in options.only)
    ]
    found = measure(chosen, options.rounds)
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()), end="\n\n")
    print("\n".join([*table(found), *ratios(found, _LIMIT), *ratios(found, _EXECUTOR)]))
    if options.save is not None:
        with options.save.open("a") as file:
            file.write(json.dumps({**about, "peers": found}) + "\n")


if __name__ == "__main__":
    main()
