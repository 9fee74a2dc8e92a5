"""What a node's processes use, for its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madrpc.links.usage import ProcessUsage
from madrpc.node.pool import WorkerPool

__all__ = ["with_usage"]


def with_usage(
    answer: dict[str, Any], usage: ProcessUsage, pool: WorkerPool, args: Mapping[str, Any]
) -> dict[str, Any]:
    """Add to a node's metrics what each of its processes uses, and all of them together.

    The CPU time of a process that ends goes over to its parent, so the sum never falls.

    Args:
        args: ``processes`` False leaves out the rows of the workers, ``usage`` False adds nothing.
    """
    if args.get("usage") is False:
        return answer
    slots = pool.workers()
    rows = usage.workers(slots)
    for row in rows:
        slot = slots[row["pid"]]
        row.update(state=slot.state.value, calls=slot.calls)
    front_end = usage.front_end()
    zygote = None if pool.zygote_pid is None else usage.zygote(pool.zygote_pid)
    alive = [front_end, *rows, *([zygote] if zygote is not None else [])]
    cpu_seconds = usage.ended_cpu_seconds() + sum(row["cpu_seconds"] for row in alive)
    if args.get("processes") is not False:
        answer["workers"].update(processes=rows, zygote=zygote)
    return {
        **answer,
        "cpu_seconds": round(cpu_seconds, 3),
        "rss_bytes": sum(row["rss_bytes"] for row in alive),
        "front_end": front_end,
    }
