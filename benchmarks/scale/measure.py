"""One measurement: client processes that load servers together, and what each process used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scale.launch import Programs

__all__ = ["loads", "under_load"]


def loads(
    programs: Programs,
    targets: Sequence[Sequence[str]],
    *words: object,
    prefix: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Run a client process for each list of addresses, all at once; return what each found."""
    started = [
        programs.start("benchmarks.scale.load", *addresses, *words, prefix=prefix)
        for addresses in targets
    ]
    for program in started:
        program.line()
    for program in started:
        program.say("go")
    found = [json.loads(program.line()) for program in started]
    for program in started:
        programs.stop(program)
    if errors := sum(each["errors"] for each in found):
        raise SystemExit(f"scale: {errors} calls ended with an error; nothing was measured")
    return found


def under_load(
    programs: Programs,
    servers: Mapping[str, Sequence[Any]],
    targets: Sequence[Sequence[str]],
    *words: object,
    prefix: Sequence[str] = (),
) -> dict[str, float]:
    """The same, with the processor time of servers.

    Args:
        servers: programs by the name of what they do.

    Returns:
        ``rate``, calls a second of all clients together; ``calls``, with those of the warm-up;
        for each name, ``NAME_us``, microseconds of processor time for a call; ``client_us``; the
        slowest client's latencies where there are some.
    """
    before = {name: sum(p.cpu_s() for p in group) for name, group in servers.items()}
    found = loads(programs, targets, *words, prefix=prefix)
    calls = sum(each["calls"] for each in found)
    row: dict[str, float] = {"rate": sum(each["rate"] for each in found), "calls": calls}
    for name, group in servers.items():
        row[f"{name}_us"] = (sum(p.cpu_s() for p in group) - before[name]) / calls * 1e6
    row["client_us"] = sum(each["cpu_s"] for each in found) / calls * 1e6
    for latency in ("p50_ms", "p99_ms"):
        if latency in found[0]:
            row[latency] = max(each[latency] for each in found)
    return row
