"""How throughput grows with workers, nodes and orchestrators, and what each costs while idle.

    python -m benchmarks.scale [--only PART]... [--quick | --redraw] [--save FILE] [--docs FOLDER]

Measures heavy calls on 1 worker to all cores; 1 to 64 simulated nodes behind one orchestrator, on
loopback and, for root with ip and tc, over links with delay and loss between network namespaces;
one orchestrator under rising load; 2 and 4 of them; and idle servers. Prints tables, appends a line
to FILE, draws the curves, and rewrites the marked blocks of performance.md and sizing.md in FOLDER.
With ``--only`` the rest of the blocks keeps the newest figures that FILE has of such a machine.
``--quick`` tries everything out in seconds and writes nothing unless FILE or FOLDER is given;
``--redraw`` measures nothing and writes the pages from what FILE has.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale import nodes, orchestrators, records, resources, workers
from benchmarks.scale.launch import ROOT
from benchmarks.scale.pages import blocks, charts, is_busy, replace_block

_PAGES = {
    "performance.md": ("workers", "nodes", "orchestrators"),
    "sizing.md": ("figures", "plan"),
}
_NODE_COUNTS = (1, 2, 4, 8, 16, 32, 64)


def _say(text: str) -> None:
    print(f"{time.monotonic() - _BEGAN:4.0f} s  {text}", file=sys.stderr, flush=True)


_BEGAN = time.monotonic()


def parts(*, quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    """What can be measured, each as a function that does it."""
    cores = records.cores()
    if quick:
        return {
            "workers": lambda: workers.measure(1, 1, 0.3, _say),
            "nodes": lambda: nodes.measure((1, 2), 1, 0.3, _say, ()),
            "orchestrators": lambda: orchestrators.measure(
                1, 1, 0.2, _say, (1, 2), (0.5,), ((1, 1),)
            ),
            "resources": lambda: resources.measure(8, 50, 0.2, _say),
        }
    return {
        "workers": lambda: workers.measure(cores, 5, 2.5, _say),
        "nodes": lambda: nodes.measure(_NODE_COUNTS, 3, 1.5, _say),
        "orchestrators": lambda: orchestrators.measure(cores, 3, 1.0, _say),
        "resources": lambda: resources.measure(256, 1_000, 9.0, _say),
    }


def write_pages(folder: Path, known: dict[str, Any]) -> None:
    """Put tables and curves where they are shown."""
    found = blocks(known)
    for page, names in _PAGES.items():
        path = folder / page
        text = path.read_text(encoding="utf-8")
        for name in names:
            if name in found:
                text = replace_block(text, name, found[name])
        path.write_text(text, encoding="utf-8")
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for name, drawing in charts(known).items():
        (images / name).write_text(drawing, encoding="utf-8")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=(__doc__ or "").splitlines()[0],
    )
    names = list(parts(quick=True))
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="try it out; the figures mean little")
    how.add_argument("--redraw", action="store_true", help="only write the pages again")
    parser.add_argument("--save", type=Path, help="default: benchmarks/scale/history.jsonl")
    parser.add_argument("--docs", type=Path, help="default: docs")
    return parser


def main() -> None:
    options = build_parser().parse_args()
    save, docs = options.save, options.docs
    if not options.quick:
        save = save or ROOT / "benchmarks/scale/history.jsonl"
        docs = docs or ROOT / "docs"
    about = records.machine()
    if is_busy(about) and not options.redraw:
        _say(f"this machine is busy (load {about['load_before']}): the figures are worth little")
    chosen = {
        name: measure
        for name, measure in parts(quick=options.quick).items()
        if not options.redraw and (not options.only or name in options.only)
    }
    found = {name: {**measure(), "about": about} for name, measure in chosen.items()}
    known = dict(found)
    if save is not None and save.exists():
        known = {**records.latest(save.read_text().splitlines(), about), **found}
    if save is not None and found:
        records.append(save, {**about, "quick": options.quick, "parts": found})
    if "resources" in found and "orchestrators" not in known:
        _say("idle servers are shown beside an orchestrator under load: --only orchestrators too")
    for name, content in blocks(known).items():
        print(f"\n## {name}\n\n{content}")
    if docs is not None:
        write_pages(docs, known)
    _say("done")


if __name__ == "__main__":
    # Each child inherits it, so that thousands of connections can be open.
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.chdir(ROOT)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
