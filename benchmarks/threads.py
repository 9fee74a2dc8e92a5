"""One client, many threads: how many calls a second they make together.

    python benchmarks/threads.py [--calls 4000] [--rounds 5]

Every thread calls one tiny function over and over through the same ``Client``. Up to
``max_connections`` (10) threads have a connection each; more share one that a background thread
drives. ``map`` from one thread with 64 calls in flight is beside them. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc import Client  # noqa: E402
from tests.servers import servers_in  # noqa: E402

_SCRIPT = "madrpc.register('add', ({a, b}) => a + b);"
_THREADS = (1, 2, 4, 8, 16, 64)
_now = time.perf_counter


def by_threads(client: Client, threads: int, calls: int) -> float:
    """Calls a second of so many threads, each making its share of the calls."""
    wrong: list[int] = []

    def share() -> None:
        for n in range(calls // threads):
            if client.call("add", {"a": n, "b": 1}) != n + 1:
                wrong.append(n)

    workers = [threading.Thread(target=share) for _ in range(threads)]
    began = _now()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = _now() - began
    assert not wrong
    return calls // threads * threads / took


def by_map(client: Client, calls: int) -> float:
    """Calls a second of one ``map``."""
    items = ({"a": n, "b": 1} for n in range(calls))
    began = _now()
    total = sum(client.map("add", items, concurrency=64))
    took = _now() - began
    assert total == calls * (calls + 1) // 2
    return calls / took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, servers_in(Path(folder)) as servers:
        node = servers.node("-s", servers.script(_SCRIPT), "--pool-size", os.cpu_count() or 1)
        orchestrator = servers.orchestrator(node)
        with Client(orchestrator.address) as client:
            by_map(client, 500)
            for _ in range(options.rounds):
                for threads in _THREADS:
                    rate = by_threads(client, threads, options.calls)
                    found.setdefault(f"{threads} threads", []).append(rate)
                found.setdefault("map", []).append(by_map(client, options.calls))
    base = statistics.median(found["map"])
    print("| | calls/s | of map's |\n|---|---|---|")
    for name, rates in found.items():
        middle = statistics.median(rates)
        extremes = f"{min(rates):,.0f} to {max(rates):,.0f}"
        print(f"| {name} | {middle:,.0f} ({extremes}) | {middle / base:.2f} |")


if __name__ == "__main__":
    main()
