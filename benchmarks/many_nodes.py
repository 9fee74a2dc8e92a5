"""One orchestrator with many nodes and many idle clients: what it costs, and what is left.

    python benchmarks/many_nodes.py [--nodes 500] [--connections 2000] [--seconds 5]

The nodes are simulated: one process listens on that many ports and answers ``_info``, ``_health``
and ``echo`` with an empty result, so the figures are the orchestrator's. Needs about 5 000 file
descriptors for each process (``ulimit -n``). One caller with 64 calls in flight measures
throughput, against the same with 2 nodes and 1 connection, in turns; the processor time that the
orchestrator and the simulation use for a call tells which of them sets the pace.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc import Client  # noqa: E402

_IN_FLIGHT = 64
_SETTLE_S = 6.0


def simulate(count: int) -> None:
    """Be that many nodes; print their addresses, then serve until stdin ends."""
    import gevent
    import gevent.socket

    from madrpc.address import Address
    from madrpc.config import ListenerConfig
    from madrpc.links.connection import Connection
    from madrpc.links.listener import Listener
    from madrpc.protocol.messages import Request, result_tail

    info = result_tail(
        {
            "role": "node",
            "state": "up",
            "workers": 4,
            "methods": ["echo", *(f"function_{n}" for n in range(20))],
            "revision": "1",
        }
    )
    health = result_tail({"status": "up", "role": "node", "revision": "1"})
    nothing = result_tail(None)

    class Handler:
        def handle(self, connection: Connection, request: Request) -> None:
            tail = {"_info": info, "_health": health}.get(request.method, nothing)
            connection.respond(request.id, tail)

    listeners = [Listener(ListenerConfig(Address("127.0.0.1", 0)), Handler()) for _ in range(count)]
    addresses = [str(listener.bind()) for listener in listeners]
    for listener in listeners:
        listener.start()
    print("\n".join(addresses), flush=True)
    os.set_blocking(0, False)
    while True:
        gevent.socket.wait_read(0)
        if not os.read(0, 4096):
            return


class Setup:
    """Simulated nodes, an orchestrator in front of them, and idle connections to it."""

    def __init__(self, nodes: int, idle: int) -> None:
        self.count = nodes
        self.cost_us = [0.0, 0.0]
        self.simulation = subprocess.Popen(
            [sys.executable, __file__, "--simulate", str(nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.simulation.stdout is not None
        addresses = [self.simulation.stdout.readline().strip() for _ in range(nodes)]
        with tempfile.NamedTemporaryFile("w", suffix=".nodes", delete=False) as file:
            file.write("\n".join(addresses))
        self.list = Path(file.name)
        words = ["-b", "127.0.0.1:0", "-n", f"file:{file.name}", "--log-level", "error"]
        self.orchestrator = subprocess.Popen(
            [sys.executable, "-m", "madrpc", "orchestrator", *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.orchestrator.stdout is not None
        line = self.orchestrator.stdout.readline()
        self.address = line.partition(" ready on ")[2].split()[0]
        self.process = psutil.Process(self.orchestrator.pid)
        host, _, port = self.address.partition(":")
        self.idle = [socket.create_connection((host, int(port))) for _ in range(idle)]
        self._wait_up(nodes)

    def _wait_up(self, nodes: int) -> None:
        give_up = time.monotonic() + 60
        with Client(self.address) as client:
            while client.call("_health")["nodes_up"] < nodes:
                if time.monotonic() > give_up:
                    raise SystemExit("the nodes did not come up")
                time.sleep(0.1)

    def idle_cost(self, seconds: float) -> tuple[float, float]:
        """Percent of a core and MiB while nothing is called."""
        time.sleep(_SETTLE_S)
        before = sum(self.process.cpu_times()[:2])
        time.sleep(seconds)
        used = sum(self.process.cpu_times()[:2]) - before
        return 100 * used / seconds, self.process.memory_info().rss / 2**20

    def throughput(self, seconds: float) -> float:
        """Tiny calls a second with 64 in flight on one connection."""

        def items() -> object:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                yield {"n": 1}

        processes = (self.process, psutil.Process(self.simulation.pid))
        before = [sum(process.cpu_times()[:2]) for process in processes]
        with Client(self.address) as client:
            start = time.monotonic()
            count = sum(1 for _ in client.map("echo", items(), concurrency=_IN_FLIGHT))
            rate = count / (time.monotonic() - start)
        after = [sum(process.cpu_times()[:2]) for process in processes]
        self.cost_us = [
            1e6 * (end - begin) / count for begin, end in zip(before, after, strict=True)
        ]
        return rate

    def close(self) -> None:
        for sock in self.idle:
            sock.close()
        self.orchestrator.terminate()
        self.orchestrator.communicate(timeout=40)
        self.simulation.communicate("", timeout=40)
        self.list.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.simulate:
        simulate(options.simulate)
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    small, large = Setup(2, 1), Setup(options.nodes, options.connections)
    try:
        for name, setup in (("2 nodes", small), (f"{options.nodes} nodes", large)):
            cpu, memory = setup.idle_cost(10 * options.seconds / 5)
            print(f"{name}: idle {cpu:.1f} % of a core, {memory:.0f} MiB", flush=True)
        rates: list[tuple[float, float]] = []
        for _ in range(options.rounds):
            rates.append((small.throughput(options.seconds), large.throughput(options.seconds)))
            for rate, setup in zip(rates[-1], (small, large), strict=True):
                mine, theirs = setup.cost_us
                print(
                    f"{setup.count} nodes: {rate:.0f} calls a second; "
                    f"orchestrator {mine:.1f} us a call, simulation {theirs:.1f} us",
                    flush=True,
                )
        ratio = statistics.median(large / small for small, large in rates)
        print(f"median of large against small: {100 * ratio:.0f} %")
    finally:
        large.close()
        small.close()


if __name__ == "__main__":
    main()
