"""What a call costs each process, whether a long queue makes it dearer, and what idling costs.

    python benchmarks/cost.py [--calls 20000]

The processor time is what the kernel charged the orchestrator, the node's front end and its
workers, divided by the calls. The second table has so many calls waiting at once; its last column
is the cost of both front ends against the first row. The third part holds the memory of an idle
node with four workers (PSS, so shared pages count once), the time from start to ready, and the
time until a killed worker is back.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc import Client  # noqa: E402
from tests.servers import RunningServer, Servers, poll_until, servers_in  # noqa: E402

_SCRIPT = "madrpc.register('add', ({a, b}) => a + b);"
_DEPTHS = (100, 1_000, 10_000, 100_000)
_now = time.perf_counter


def processor_s(pids: Iterable[int]) -> float:
    """Processor time that processes have used."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(spent.user + spent.system for spent in times)


def one_row(node: RunningServer, orch: RunningServer, calls: int, in_flight: int) -> list[float]:
    """Calls/s, and microseconds of the orchestrator, the front end and the workers for a call."""
    groups = ([orch.pid], [node.pid], node.worker_pids(), [os.getpid()])
    with Client(orch.address, timeout=300) as client:
        warm = ({"a": n, "b": 1} for n in range(500))
        list(client.map("add", warm, concurrency=64))
        before, began = [processor_s(group) for group in groups], _now()
        items = ({"a": n, "b": 1} for n in range(calls))
        total = sum(client.map("add", items, concurrency=in_flight, ordered=False))
        took = _now() - began
        after = [processor_s(group) for group in groups]
    assert total == calls * (calls + 1) // 2
    used = [(then - first) / calls * 1e6 for first, then in zip(before, after, strict=True)]
    return [calls / took, *used]


def costs(servers: Servers, calls: int) -> None:
    """Print the costs of a call with few and with many calls waiting."""
    script = servers.script(_SCRIPT)
    workers = os.cpu_count() or 1
    node = servers.node("-s", script, "--pool-size", workers, "--queue-size", 200_000)
    orch = servers.orchestrator(node)
    print("| in flight | calls/s | orchestrator us | node us | workers us | client us | both |")
    print("|---|---|---|---|---|---|---|")
    first = None
    for in_flight in (64, *_DEPTHS):
        row = one_row(node, orch, max(calls, in_flight), in_flight)
        front = row[1] + row[2]
        if in_flight == _DEPTHS[0]:
            first = front
        ratio = f"{front / first:.2f}" if first else ""
        print(
            f"| {in_flight} | " + " | ".join(f"{n:.0f}" for n in row) + f" | {ratio} |", flush=True
        )
    node.stop()
    orch.stop()


def pss(pids: Iterable[int]) -> float:
    """Memory in MiB, shared pages divided among those who share them."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 2**20


def idle(servers: Servers) -> None:
    """Print what an idle node holds, how fast it starts, and how fast a worker is back."""
    script = servers.script(_SCRIPT)
    began = _now()
    node = servers.node("-s", script, "--pool-size", 4)
    print(f"start to ready: {_now() - began:.2f} s")
    with Client(node.address) as client:

        def ready() -> bool:
            return bool(client.metrics()["workers"]["ready"] == 4)

        poll_until(ready, "all workers are there")
        pids = [node.pid, *node.worker_pids()]
        print(f"idle with 4 workers: {pss(pids):.0f} MiB PSS in {len(pids)} processes")
        os.kill(node.worker_pids()[-1], signal.SIGKILL)
        began = _now()
        poll_until(lambda: not ready(), "it is missed")
        poll_until(ready, "it is back")
        print(f"a killed worker is back after {_now() - began:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers_in(Path(folder)) as servers:
        costs(servers, options.calls)
        idle(servers)


if __name__ == "__main__":
    main()
