"""Plans for so many workers, from measured figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CELL_NODES", "CORES", "LOAD", "PACKET_HEADS", "Plan", "plan"]

#: Processors of each machine in a plan; one worker on each does the work of one core.
CORES = 32
#: Share of an orchestrator's highest rate that a plan uses: where latency has not begun to grow.
LOAD = 0.5
#: Nodes of one cell: an orchestrator has been measured with as many, and each node may hold a
#: connection to it besides, out of 4 096.
CELL_NODES = 500
_RESERVE = 2
#: Heads of Ethernet, IPv4 and TCP with time stamps.
PACKET_HEADS = 66


@dataclass(frozen=True)
class Plan:
    """What a cluster of a size needs.

    Attributes:
        workers: calls that run at once.
        call_s: seconds that each takes.
        nodes: machines with a node each.
        calls_per_s: what the workers can do.
        cells: groups of nodes with orchestrators of their own.
        orchestrators: of all cells together, at least two in each.
        worker_gib: memory of all workers and front ends.
        orchestrator_mib: of each orchestrator, with its nodes and their connections.
        orchestrator_fds: file descriptors of each.
        idle_share: share of a core that probing uses in each.
        mbit_per_s: of each orchestrator, all links together, in both directions.
        background_kbit_per_s: of each orchestrator, for probes and registrations.
        node_mib: memory of one node with its workers.
        node_fds: file descriptors of one node's front end.
    """

    workers: int
    call_s: float
    nodes: int
    calls_per_s: float
    cells: int
    orchestrators: int
    worker_gib: float
    orchestrator_mib: float
    orchestrator_fds: int
    idle_share: float
    mbit_per_s: float
    background_kbit_per_s: float
    node_mib: float
    node_fds: int


def plan(workers: int, call_s: float, figures: Mapping[str, float]) -> Plan:
    """Plan for workers that are all busy with calls of one length.

    Args:
        figures: those of ``resources.measure``, and ``most``, calls a second of one orchestrator
            that has a core of its own.
    """
    nodes = math.ceil(workers / CORES)
    per_node = min(workers, CORES)
    cells = math.ceil(nodes / CELL_NODES)
    calls_per_s = workers / call_s
    needed = math.ceil(calls_per_s / cells / (LOAD * figures["most"]))
    each_cell = max(_RESERVE, needed)
    in_cell = math.ceil(nodes / cells)
    node_mib = figures["node_mib"] + per_node * figures["worker_mib"]
    # A registered node holds a connection of its own to each orchestrator, besides the one back.
    links_mib = in_cell * (figures["mib_per_node"] + figures["kib_per_connection"] / 1024)
    rate = calls_per_s / cells / each_cell
    bytes_per_call = 2 * (figures["call"] + 4 * PACKET_HEADS)
    return Plan(
        workers=workers,
        call_s=call_s,
        nodes=nodes,
        calls_per_s=calls_per_s,
        cells=cells,
        orchestrators=cells * each_cell,
        worker_gib=(nodes * figures["node_mib"] + workers * figures["worker_mib"]) / 1024,
        orchestrator_mib=figures["orchestrator_mib"] + links_mib,
        orchestrator_fds=round(
            figures["orchestrator_fds"] + in_cell * (figures["fds_per_node"] + 1)
        ),
        idle_share=in_cell * figures["idle_us_per_node_s"] / 1e6,
        mbit_per_s=rate * bytes_per_call * 8 / 1e6,
        background_kbit_per_s=in_cell
        * (figures["probe_bytes_per_s"] + figures["beat_bytes_per_s"])
        * 8
        / 1000,
        node_mib=node_mib,
        node_fds=round(figures["node_fds"] + per_node * figures["worker_fds"] + 2 * each_cell),
    )
