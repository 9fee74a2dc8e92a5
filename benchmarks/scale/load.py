"""One client process: so many calls in flight, or so many begun a second, for a while.

With ``--connections`` that many clients in the process make one call at a time, each on its own.

Prints ``ready``, waits for a line, runs, and prints a JSON object: ``rate`` is the answers a second
within the measured seconds, ``calls`` counts those of the warm-up too, as the processor time
``cpu_s`` does; with ``--rate`` there are latencies in milliseconds, counted from the instant at
which each call was meant to begin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from madrpc import AsyncClient, Client
from madrpc.client.loadtest import Plan

_now = time.perf_counter
_UP_S = 60.0
_SHARES = (0.5, 0.99)


def in_flight(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """Keep the same number of calls in flight."""
    args = json.loads(options.args)
    counts_from = _now() + options.warm
    ends = counts_from + options.seconds

    def items() -> Iterator[dict[str, Any]]:
        while _now() < ends:
            yield args

    calls = within = errors = 0
    results = client.map(
        options.method,
        items(),
        concurrency=options.in_flight,
        ordered=False,
        return_errors=True,
    )
    for result in results:
        calls += 1
        if isinstance(result, Exception):
            errors += 1
        elif counts_from <= _now() < ends:
            within += 1
    return {"calls": calls, "errors": errors, "rate": within / options.seconds}


async def apart(options: argparse.Namespace) -> dict[str, Any]:
    """Make one call at a time on each of many connections."""
    args = json.loads(options.args)
    counts_from = _now() + options.warm
    ends = counts_from + options.seconds
    calls = within = 0

    async def caller() -> None:
        nonlocal calls, within
        async with AsyncClient(options.addresses) as client:
            while _now() < ends:
                await client.call(options.method, args)
                calls += 1
                within += counts_from <= _now() < ends

    await asyncio.gather(*(caller() for _ in range(options.connections)))
    return {"calls": calls, "errors": 0, "rate": within / options.seconds}


def at_rate(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """Begin calls at a steady rate."""
    plan = Plan(1, rate=options.rate, seconds=options.seconds, warmup_s=options.warm)
    result = client.load_test(options.method, json.loads(options.args), plan)
    latencies = result.latencies_ms
    if not latencies:
        raise SystemExit(f"no call was answered: {result.message}")
    p50, p99 = (latencies[min(len(latencies) - 1, int(s * len(latencies)))] for s in _SHARES)
    # A client that falls behind goes on until all calls are answered, and that is no steady rate.
    rate = len(latencies) / max(result.seconds, options.seconds)
    calls = round(len(latencies) * (1 + options.warm / options.seconds))
    errors = sum(result.errors.values())
    return {"calls": calls, "errors": errors, "rate": rate, "p50_ms": p50, "p99_ms": p99}


def wait_up(client: Client, nodes: int) -> None:
    """Wait until the server is there and has so many nodes; none for a node itself."""
    give_up = _now() + _UP_S
    while client.call("_health").get("nodes_up", 0) < nodes:
        if _now() > give_up:
            raise SystemExit(f"{nodes} nodes were not up within {_UP_S:g} s")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--method", default="work")
    parser.add_argument("--args", default="{}")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--warm", type=float, default=0.3)
    parser.add_argument("--nodes-up", type=int, default=0, help="wait for so many first")
    options = parser.parse_args()
    with Client(options.addresses) as client:
        wait_up(client, options.nodes_up)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.process_time()
        if options.connections:
            found = asyncio.run(apart(options))
        else:
            found = at_rate(client, options) if options.rate else in_flight(client, options)
        found["cpu_s"] = time.process_time() - began
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
