"""Calls into a large library: context isolation against snapshot isolation.

    python benchmarks/snapshot.py [--library FILE] [--rounds 5]

Without ``--library`` it takes mathjs from npm into a temporary folder. mathjs makes most of its
functions when they are first used, in every fresh context anew, so two scripts are measured: one
that uses the library in the function only, and one that also uses it once while it loads, which
snapshot isolation then shares. Both isolations run in turns; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc import Client  # noqa: E402
from tests.servers import Servers, servers_in  # noqa: E402

_MATHJS = "mathjs@15.2.0"
_FUNCTION = "madrpc.register('add', ({a, b}) => math.add(a, b));"
_SCRIPTS = {"in the function only": "", "also while loading": "math.add(1, 2);"}
_CALLS = {"context": 30, "snapshot": 400}
_IN_FLIGHT = 8


def mathjs(folder: Path) -> Path:
    """Fetch mathjs; return its bundle for browsers."""
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", str(folder)]
    subprocess.run(["npm", "install", "--silent", *flags, _MATHJS], check=True, cwd=folder)
    return folder / "node_modules/mathjs/lib/browser/math.js"


def calls_per_s(client: Client, count: int) -> float:
    """Throughput of checked calls."""
    began = time.perf_counter()
    sums = list(client.map("add", ({"a": n, "b": 1} for n in range(count)), concurrency=_IN_FLIGHT))
    took_s = time.perf_counter() - began
    assert sums == [n + 1 for n in range(count)]
    return count / took_s


def compare(servers: Servers, library: Path, script: Path, rounds: int) -> dict[str, list[float]]:
    """Rates of both isolations, a round of each in turn."""
    nodes = {
        name: servers.node("-s", library, "-s", script, "--isolation", name) for name in _CALLS
    }
    rates: dict[str, list[float]] = {name: [] for name in nodes}
    for _ in range(rounds):
        for name, node in nodes.items():
            with Client(node.address) as client:
                rates[name].append(calls_per_s(client, _CALLS[name]))
    for node in nodes.values():
        node.stop()
    return rates


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--library", type=Path, help="a bundle that defines math.add")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = options.library or mathjs(folder)
        print(f"{'library used':22} {'context':>16} {'snapshot':>16} {'ratio':>8}")
        for number, (label, extra) in enumerate(_SCRIPTS.items()):
            with servers_in(folder) as servers:
                script = servers.script(extra + _FUNCTION, f"script{number}.js")
                rates = compare(servers, library, script, options.rounds)
            context, snapshot = (statistics.median(rates[name]) for name in _CALLS)
            rates_text = f"{context:10.1f} call/s {snapshot:9.1f} call/s"
            print(f"{label:22} {rates_text} {snapshot / context:7.1f}x")


if __name__ == "__main__":
    main()
