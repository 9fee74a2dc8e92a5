"""No RPC at all: each process runs its share of the calls in a loop. Nothing can be faster.

python -m benchmarks.peers.loops [v8]
"""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import time
from typing import Any

from benchmarks.peers import work

#: Where the call is made that has nothing around it.
_BARE = importlib.import_module("benchmarks.peers.bare" + ("_v8" if sys.argv[1:] == ["v8"] else ""))


def _share(method: str, calls: list[work.Args], barrier: Any, results: Any) -> None:
    _BARE.call("add", {"a": 1, "b": 1})
    barrier.wait()
    began = time.perf_counter()
    total = sum(_BARE.call(method, args) for args in calls)
    results.put((total, time.perf_counter() - began))


def in_loops(method: str, calls: list[work.Args]) -> tuple[int, float]:
    """Sum of the results, and the seconds the slowest process took."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(work.WORKERS), context.Queue()
    processes = [
        context.Process(target=_share, args=(method, calls[n :: work.WORKERS], barrier, results))
        for n in range(work.WORKERS)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(total for total, _ in found), max(took for _, took in found)


def main() -> None:
    p50, p99 = work.one_at_a_time(_BARE.call)
    # A tenth of the calls tells as much where each takes ten times as long.
    count = 2_000 if _BARE.__name__.endswith("_v8") else 20_000
    _, tiny_s = in_loops("add", [{"a": n, "b": 1} for n in range(count)])
    inside, pi_s = in_loops("pi", work.pi_calls())
    work.check_pi(inside)
    work.report(p50, p99, count / tiny_s, pi_s, work.echo(_BARE.call))


if __name__ == "__main__":
    main()
