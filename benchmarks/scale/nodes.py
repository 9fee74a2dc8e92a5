"""Throughput against nodes: simulated machines behind one real orchestrator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scale.figures import efficiency
from benchmarks.scale.launch import Program, Programs
from benchmarks.scale.measure import under_load
from benchmarks.scale.network import Network, unavailable

__all__ = ["PROFILES", "SERVICE_MS", "WORKERS", "calls_needed", "measure"]

#: Of each simulated node: 4 workers that take 40 ms for a call do 100 calls a second.
WORKERS, SERVICE_MS = 4, 40.0
#: Delay in either direction in ms, and the share of packets lost in either direction.
PROFILES = ((0.0, 0.0), (1.0, 0.0), (5.0, 0.0), (20.0, 0.0), (5.0, 0.01))
_LOOPBACK = "loopback"
_WARM_S = 0.5
#: A lost packet holds up its connection for about as long as this, and all calls behind it.
_RESEND_MS = 250.0


def calls_needed(nodes: int, delay_ms: float, loss: float) -> int:
    """Calls in flight that keep every worker busy: one at work, two waiting, some on the way."""
    on_the_way = 2 * delay_ms + (_RESEND_MS if loss else 0.0)
    return math.ceil(nodes * WORKERS * (3 + 2 * on_the_way / SERVICE_MS))


def name_of(delay_ms: float, loss: float) -> str:
    """A profile in words."""
    if not delay_ms:
        return "link, no delay"
    return f"{delay_ms:g} ms each way" + (f", {loss:.0%} lost" if loss else "")


class _Setup:
    """An orchestrator for each count of nodes, all before the same simulated ones."""

    def __init__(
        self, programs: Programs, counts: Sequence[int], network: Network | None = None
    ) -> None:
        self._programs = programs
        self._near = network.near if network else ()
        host, far = (network.far_host, network.far) if network else ("127.0.0.1", [])
        self._fakes, addresses = programs.fakes(max(counts), WORKERS, SERVICE_MS, host, far)
        self._orchestrators: dict[int, tuple[Program, str]] = {
            count: programs.orchestrator(addresses[:count], prefix=self._near) for count in counts
        }

    def run(self, count: int, seconds: float, delay_ms: float, loss: float) -> dict[str, float]:
        """One measurement; the ideal is what the simulated workers can do."""
        orchestrator, address = self._orchestrators[count]
        warm = _WARM_S + (_RESEND_MS / 500 if loss else 0)
        words = (
            *("--in-flight", calls_needed(count, delay_ms, loss), "--nodes-up", count),
            *("--seconds", seconds, "--warm", warm),
        )
        servers = {"orchestrator": [orchestrator], "nodes": [self._fakes]}
        row = under_load(self._programs, servers, [[address]], *words, prefix=self._near)
        row["efficiency"] = efficiency(row["rate"], count, WORKERS / SERVICE_MS * 1000)
        return row


def measure(
    counts: Sequence[int],
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
    profiles: Sequence[tuple[float, float]] = PROFILES,
) -> dict[str, Any]:
    """Measure on loopback, then over links with delay and loss where that can be had.

    Returns:
        ``rows``, one for each link and count, with what each round found; ``link``, what makes
        the delay; ``skipped``, why there are no other links, or None.
    """
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with Programs.running() as programs:
        setup = _Setup(programs, counts)
        for turn in range(rounds):
            say(f"nodes on loopback: round {turn + 1} of {rounds}")
            for count in counts:
                row = setup.run(count, seconds, 0.0, 0.0)
                found.setdefault((_LOOPBACK, count), []).append(row)
    skipped, link = unavailable() if profiles else None, None
    if skipped is None and profiles:
        try:
            link = _over_links(counts, seconds, say, profiles, found)
        except OSError as error:
            skipped = str(error)
    if skipped is not None:
        say(f"nodes over links with delay are skipped: {skipped}")
    rows = [{"link": name, "count": count, "rounds": runs} for (name, count), runs in found.items()]
    return {"rows": rows, "link": link, "skipped": skipped}


def _over_links(
    counts: Sequence[int],
    seconds: float,
    say: Callable[[str], None],
    profiles: Sequence[tuple[float, float]],
    found: dict[tuple[str, int], list[dict[str, float]]],
) -> str:
    few = [count for count in counts if count in (1, 8, max(counts))]
    with Programs.running() as programs, Network.made(programs) as network:
        setup = _Setup(programs, few, network)
        for delay_ms, loss in profiles:
            name = name_of(delay_ms, loss)
            say(f"nodes over a link ({network.how}): {name}")
            network.shape(delay_ms, loss)
            for count in few:
                before = network.bytes()
                row = setup.run(count, seconds, delay_ms, loss)
                row["link_bytes"] = (network.bytes() - before) / row["calls"]
                found.setdefault((name, count), []).append(row)
        return network.how
