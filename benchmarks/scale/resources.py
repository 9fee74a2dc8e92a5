"""What nodes and orchestrators hold while nothing is called: memory, descriptors, processor."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from benchmarks.scale.launch import ROOT, Program, Programs, poll_until, pss_mib
from benchmarks.scale.sizing import PACKET_HEADS
from madrpc import Client
from madrpc.config import HEALTH_INTERVAL_S, REGISTER_EVERY_S
from madrpc.protocol.frames import FRAME_HEAD
from madrpc.protocol.messages import request_head, request_tail, response_head, result_tail

__all__ = ["frame_bytes", "measure"]

_SCRIPT = ROOT / "benchmarks/peers/work.js"
_POOLS = (1, 5)
#: Question, answer, acknowledgement.
_PACKETS = 3


def frame_bytes() -> dict[str, float]:
    """Sizes of messages on one link, both directions; probes and beats with packets' heads."""

    def both(method: str, args: Any, result: Any) -> int:
        asked, answered = request_tail(method, args), result_tail(result)
        heads = request_head(1, 60_000, len(asked)), response_head(1, len(answered))
        return sum(map(len, (*heads, asked, answered)))

    health = {"status": "up", "role": "node", "revision": "0" * 16}
    probe = both("_health", None, health)
    beat = both("_register", {"address": "192.168.100.100:9001"}, {"ttl_s": 15.0})
    probe, beat = probe + _PACKETS * PACKET_HEADS, beat + _PACKETS * PACKET_HEADS
    return {
        "call": both("add", {"a": 5, "b": 3}, 8),
        "head": FRAME_HEAD.size,
        "probe_bytes_per_s": probe / HEALTH_INTERVAL_S,
        "beat_bytes_per_s": beat / REGISTER_EVERY_S,
    }


def _real_nodes(programs: Programs) -> dict[str, float]:
    """Memory and descriptors of a node's front end and of each worker."""
    found = []
    for size in _POOLS:
        words = ("node", "-s", _SCRIPT, "-b", "127.0.0.1:0", "--pool-size", size)
        node, address = programs.server(*words)
        with Client(address) as client:

            def ready(client: Client = client, size: int = size) -> bool:
                return bool(client.metrics()["workers"]["ready"] == size)

            poll_until(ready, f"the start of {size} workers")
        found.append((node, pss_mib([node.pid, *node.children()]), node.fds()))
    (_, small, fds), (_, large, more_fds) = found
    grown = _POOLS[1] - _POOLS[0]
    worker = (large - small) / grown
    return {
        "worker_mib": worker,
        "node_mib": small - worker * _POOLS[0],
        "worker_fds": (more_fds - fds) / grown,
        "node_fds": fds - _POOLS[0] * (more_fds - fds) / grown,
    }


class _Held:
    """What an orchestrator holds at one instant."""

    def __init__(self, orchestrator: Program) -> None:
        self.mib = pss_mib([orchestrator.pid])
        self.fds = orchestrator.fds()


def _up(address: str, nodes: int) -> None:
    with Client(address) as client:
        poll_until(lambda: client.call("_health")["nodes_up"] == nodes, f"{nodes} nodes up")


def _orchestrators(
    programs: Programs, nodes: int, connections: int, seconds: float
) -> dict[str, float]:
    """Memory, descriptors and idle processor time of an orchestrator, by node and connection."""
    _, addresses = programs.fakes(nodes, 4, 0)
    small, small_address = programs.orchestrator(addresses[:1])
    large, address = programs.orchestrator(addresses)
    _up(small_address, 1)
    _up(address, nodes)
    time.sleep(seconds / 3)  # until what connecting left behind is done
    few, many = _Held(small), _Held(large)
    used, alone = large.cpu_s(), small.cpu_s()
    time.sleep(seconds)
    idle_us = (large.cpu_s() - used - (small.cpu_s() - alone)) / (nodes - 1) / seconds * 1e6
    host, _, port = address.rpartition(":")
    open_now = [socket.create_connection((host, int(port))) for _ in range(connections)]
    try:
        poll_until(lambda: large.fds() >= many.fds + connections, "accepting the connections")
        crowded = _Held(large)
    finally:
        for sock in open_now:
            sock.close()
    return {
        "orchestrator_mib": few.mib,
        "mib_per_node": (many.mib - few.mib) / (nodes - 1),
        "fds_per_node": (many.fds - few.fds) / (nodes - 1),
        "orchestrator_fds": few.fds - (many.fds - few.fds) / (nodes - 1),
        "kib_per_connection": (crowded.mib - many.mib) * 1024 / connections,
        "idle_us_per_node_s": idle_us,
    }


def measure(
    nodes: int, connections: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Start idle servers and look at them.

    Returns:
        Figures by name: MiB, KiB, file descriptors, microseconds of processor time a second.
    """
    with Programs.running() as programs:
        say("resources: nodes with real workers")
        found = _real_nodes(programs)
    with Programs.running() as programs:
        say(f"resources: an orchestrator with {nodes} nodes and {connections} connections")
        found |= _orchestrators(programs, nodes, connections, seconds)
    return {**found, **frame_bytes(), "nodes": nodes}
