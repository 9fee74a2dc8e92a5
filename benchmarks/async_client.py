"""The asyncio client beside the blocking one, on the same servers in the same run.

    python benchmarks/async_client.py [--calls 4000] [--rounds 5] [--loop uvloop]

Throughput is 64 calls in flight; the other figure is the median of calls made one at a time. Both
are ratios to the blocking client's ``map`` with that concurrency; above 1 is better than it. The
ways take turns, and each figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc import AsyncClient, Client, LocalCluster  # noqa: E402

_IN_FLIGHT = 64
_SCRIPT = 'madrpc.register("add", ({a, b}) => a + b);'
_now = time.perf_counter


def items(count: int) -> Any:
    return ({"a": n, "b": 1} for n in range(count))


def blocking_map(client: Client, calls: int, width: int) -> list[float]:
    """Instants at which results came."""
    return [_now() for _ in client.map("add", items(calls), concurrency=width)]


async def async_map(client: AsyncClient, calls: int, width: int) -> list[float]:
    return [_now() async for _ in client.map("add", items(calls), concurrency=width)]


async def tasks(client: AsyncClient, calls: int, width: int) -> list[float]:
    """As many tasks as may be in flight, each with one ``call`` after the other."""
    found: list[float] = []
    source = items(calls)

    async def work() -> None:
        for item in source:
            await client.call("add", item)
            found.append(_now())

    await asyncio.gather(*(work() for _ in range(width)))
    return found


def median_ms(instants: list[float]) -> float:
    gaps = (b - a for a, b in itertools.pairwise(instants))
    return statistics.median(gaps) * 1000


def measure(run: Callable[[int, int], list[float]], calls: int) -> tuple[float, float]:
    """Calls a second with 64 in flight, and the median in ms of one at a time."""
    began = _now()
    rate = calls / (run(calls, _IN_FLIGHT)[-1] - began)
    return rate, median_ms(run(calls // 4, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    options = parser.parse_args()
    factory = None
    if options.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "add.js"
        script.write_text(_SCRIPT)
        with (
            LocalCluster(script) as cluster,
            cluster.client() as client,
            asyncio.Runner(loop_factory=factory) as runner,
        ):
            other = AsyncClient(cluster.address)

            def on_loop(
                way: Callable[[AsyncClient, int, int], Awaitable[list[float]]],
            ) -> Callable[[int, int], list[float]]:
                async def run(calls: int, width: int) -> list[float]:
                    return await way(other, calls, width)

                return lambda calls, width: runner.run(run(calls, width))

            ways = {
                "Client.map": lambda calls, width: blocking_map(client, calls, width),
                "AsyncClient.map": on_loop(async_map),
                "AsyncClient.call": on_loop(tasks),
            }
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for turn in range(options.rounds + 1):
                for name, run in ways.items():
                    figures = measure(run, options.calls)
                    if turn:  # the first warms up
                        found[name].append(figures)
            runner.run(other.close())
    report(found)


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    base = [statistics.median(column) for column in zip(*found["Client.map"], strict=True)]
    for name, rows in found.items():
        rate, ms = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{name:18} {rate:7.0f} calls/s ({rate / base[0]:.2f})   "
            f"one at a time {ms:.3f} ms ({base[1] / ms:.2f})"
        )


if __name__ == "__main__":
    main()
