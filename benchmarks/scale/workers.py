"""Throughput against workers: heavy calls on a real node behind a real orchestrator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks.scale.figures import efficiency, worker_counts
from benchmarks.scale.launch import ROOT, Programs, poll_until
from benchmarks.scale.measure import under_load
from madrpc import Client

__all__ = ["measure"]

_SCRIPT = ROOT / "benchmarks/peers/work.js"
_ARGS = json.dumps({"samples": 100_000, "seed": 1})
_WARM_S = 0.4


class _Setup:
    """A node with so many workers, and an orchestrator before it."""

    def __init__(self, programs: Programs, workers: int) -> None:
        self.workers = workers
        words = ("node", "-s", _SCRIPT, "-b", "127.0.0.1:0", "--pool-size", workers)
        self.node, address = programs.server(*words)
        self.orchestrator, self.address = programs.orchestrator([address])
        with Client(address) as client:

            def ready() -> bool:
                return bool(client.metrics()["workers"]["ready"] == workers)

            poll_until(ready, f"the start of {workers} workers")

    def run(self, programs: Programs, seconds: float) -> dict[str, float]:
        """One measurement."""
        words = (
            *("--method", "pi", "--args", _ARGS, "--in-flight", 4 * self.workers),
            *("--seconds", seconds, "--warm", _WARM_S, "--nodes-up", 1),
        )
        servers = {"orchestrator": [self.orchestrator], "front_end": [self.node]}
        return under_load(programs, servers, [[self.address]], *words)


def _bare(programs: Programs, processes: int, seconds: float) -> float:
    """Calls a second of bare loops in so many processes."""
    words = ("--args", _ARGS, "--seconds", seconds)
    started = [programs.start("benchmarks.scale.loops", *words) for _ in range(processes)]
    for program in started:
        program.line()
    for program in started:
        program.say("go")
    rates = [json.loads(program.line())["rate"] for program in started]
    for program in started:
        programs.stop(program)
    return float(sum(rates))


def measure(cores: int, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure in rounds of every count, so that what else the machine does meets all alike.

    Returns:
        ``rows``, one for each count of workers, with what each round found: calls a second,
        efficiency, that of bare loops (None beyond the cores), the ratio of both, and
        microseconds of each process for a call.
    """
    counts = worker_counts(cores)
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    with Programs.running() as programs:
        setups = [_Setup(programs, count) for count in counts]
        for turn in range(rounds):
            say(f"workers: round {turn + 1} of {rounds}")
            bare = {n: _bare(programs, n, seconds) for n in counts if n <= cores}
            runs = {setup.workers: setup.run(programs, seconds) for setup in setups}
            for count, run in runs.items():
                run["efficiency"] = efficiency(run["rate"], count, runs[1]["rate"])
                run["of_cores"] = efficiency(run["rate"], min(count, cores), runs[1]["rate"])
                if count in bare:
                    run["bare_rate"] = bare[count]
                    run["bare_efficiency"] = efficiency(bare[count], count, bare[1])
                    run["relative"] = run["efficiency"] / run["bare_efficiency"]
                    run["of_bare"] = run["rate"] / bare[count]
                found[count].append(run)
    return {"rows": [{"count": count, "rounds": runs} for count, runs in found.items()]}
