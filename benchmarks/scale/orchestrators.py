"""Where one orchestrator saturates, what that does to latency, and how several add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scale.figures import Figure, at_share, saturation
from benchmarks.scale.launch import Program, Programs
from benchmarks.scale.measure import under_load

__all__ = ["COUNTS", "SHARES", "load_steps", "measure"]

COUNTS = (1, 2, 4)
SHARES = (0.1, 0.25, 0.5, 0.8, 0.95)
_NODES, _WORKERS = 16, 4
_WARM_S = 0.3
_IN_FLIGHT = 64
_APART = 64


def load_steps(cores: int) -> list[tuple[int, int]]:
    """Client processes and calls that each keeps in flight, rising."""
    steps = [(1, n) for n in (1, 4, 16, 64, 256)]
    return [*steps, *((n, 128) for n in (2, 4, 8) if n == 2 or n <= cores // 3)]


class _Setup:
    """As many orchestrators as are ever needed, before nodes that answer at once."""

    def __init__(self, programs: Programs, cores: int, most: int) -> None:
        self._programs = programs
        self._cores = cores
        groups = [
            programs.fakes(max(1, _NODES // self._simulations), _WORKERS, 0)
            for _ in range(self._simulations)
        ]
        self._nodes = [program for program, _ in groups]
        addresses = [address for _, group in groups for address in group]
        self._count = len(addresses)
        self._one_node = addresses[0]
        self._orchestrators = [programs.orchestrator(addresses) for _ in range(most)]

    @property
    def _simulations(self) -> int:
        return max(1, min(8, self._cores // 4))

    def clients(self, orchestrators: int) -> int:
        """Client processes that together ask for more than these can do, where cores allow."""
        return orchestrators * (3 if self._cores >= 8 * orchestrators else 1)

    def run(
        self, orchestrators: int, clients: int, seconds: float, *words: object
    ) -> dict[str, float]:
        """One measurement; each client has all addresses, and begins with another one."""
        chosen = self._orchestrators[:orchestrators]
        addresses = [address for _, address in chosen]
        targets = [rotated(addresses, n) for n in range(clients)]
        servers: dict[str, list[Program]] = {
            "orchestrator": [program for program, _ in chosen],
            "nodes": self._nodes,
        }
        timing = ("--seconds", seconds, "--warm", _WARM_S, "--nodes-up", self._count)
        row = under_load(self._programs, servers, targets, *words, *timing)
        row["cores_used"] = row["orchestrator_us"] * row["rate"] / 1e6
        row["computed_rate"] = orchestrators * 1e6 / row["orchestrator_us"]
        return row

    def direct(self, seconds: float) -> dict[str, float]:
        """One call at a time to a node, with no orchestrator."""
        words = ("--in-flight", 1, "--seconds", seconds, "--warm", _WARM_S)
        return under_load(self._programs, {"nodes": self._nodes}, [[self._one_node]], *words)


def rotated(addresses: Sequence[str], by: int) -> list[str]:
    """The list with another one in front, so that clients spread out over all."""
    by %= len(addresses)
    return [*addresses[by:], *addresses[:by]]


def measure(
    cores: int,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
    counts: Sequence[int] = COUNTS,
    shares: Sequence[float] = SHARES,
    steps: Sequence[tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """Measure one orchestrator under rising load, then several.

    Returns:
        ``load``, a row for each step; ``apart``, many clients with one call each; ``direct``, one
        call at a time without an orchestrator; ``saturates``, calls in flight and rate from which
        on there is no growth; ``most``, the highest rate; ``latency``, a row for each share of it;
        ``several``, a row for each count of orchestrators. Each has what its rounds found.
    """
    with Programs.running() as programs:
        setup = _Setup(programs, cores, max(counts))
        load: dict[tuple[int, int], list[dict[str, float]]] = {}
        direct, apart = [], []
        several: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for turn in range(rounds):
            say(f"orchestrators: round {turn + 1} of {rounds}")
            direct.append(setup.direct(seconds))
            apart.append(setup.run(1, 1, seconds, "--connections", _APART))
            for clients, each in steps or load_steps(cores):
                run = setup.run(1, clients, seconds, "--in-flight", each)
                load.setdefault((clients, each), []).append(run)
            for count in counts:
                run = setup.run(count, setup.clients(count), seconds, "--in-flight", _IN_FLIGHT)
                several[count].append(run)
        rates = [(n * k, Figure([r["rate"] for r in runs]).median) for (n, k), runs in load.items()]
        most = max(rate for _, rate in rates)
        latency = []
        for share, rate in at_share(most, shares):
            say(f"orchestrators: latency at {share:.0%} of the highest rate")
            runs = [setup.run(1, 1, seconds, "--rate", rate) for _ in range(rounds)]
            latency.append({"share": share, "rounds": runs})
    return {
        "direct": direct,
        "apart": {"count": _APART, "rounds": apart},
        "load": [{"clients": n, "each": k, "rounds": runs} for (n, k), runs in load.items()],
        "saturates": saturation(rates),
        "most": most,
        "latency": latency,
        "several": [{"count": n, "rounds": runs} for n, runs in several.items()],
    }
