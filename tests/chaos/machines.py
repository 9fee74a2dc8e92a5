"""Servers behind proxies that can be killed, stopped, cut off and started again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.chaos.proxy import Proxy
from tests.servers import RunningServer, Servers


class Machine:
    """One server at a lasting address."""

    def __init__(self, start: Callable[[str], RunningServer]) -> None:
        self._start = start
        self.server = start("127.0.0.1:0")
        self._bind = self.server.address
        host, _, port = self._bind.rpartition(":")
        self.proxy = Proxy((host, int(port)))

    @property
    def address(self) -> str:
        """Where the others reach it."""
        return self.proxy.address

    def kill(self) -> None:
        self.server.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start it again on the same port, which its predecessor's connections may still hold."""
        self.server = self._start(self._bind)

    def close(self) -> None:
        self.proxy.close()


class Faults:
    """Chooses and performs faults, at random but never on the last machine of a kind.

    Args:
        groups: machines that stand in for each other.
    """

    def __init__(self, groups: dict[str, list[Machine]], seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._groups = groups
        self._rng = random.Random(seed)
        self._ends: list[tuple[float, Machine, Callable[[], None]]] = []

    def run(self, seconds: float) -> None:
        """Perform faults for a while, then mend everything."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            self._one_more()
            self._mend(time.monotonic())
            time.sleep(self._rng.uniform(0.05, 0.5))
        self.mend_all()

    def mend_all(self) -> None:
        self._mend(float("inf"))

    def _one_more(self) -> None:
        rng = self._rng
        kind = rng.choice(sorted(self._groups))
        harmed = [machine for _, machine, _ in self._ends]
        well = [machine for machine in self._groups[kind] if machine not in harmed]
        if len(well) < 2:
            return
        machine = rng.choice(well)
        fault = rng.choice(
            [self._kill, self._stop, self._black_hole, self._delay, self._slice, self._reset,
             self._cut, self._kill_worker]
        )  # fmt: skip
        fault(kind, machine)

    def _mend(self, now: float) -> None:
        due = [end for end in self._ends if end[0] <= now]
        self._ends = [end for end in self._ends if end[0] > now]
        for _, _, mend in due:
            mend()

    def _lasting(self, machine: Machine, most_s: float, mend: Callable[[], None]) -> None:
        ends = time.monotonic() + self._rng.uniform(0.2, most_s)
        self._ends.append((ends, machine, mend))

    def _kill(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} killed"] += 1
        machine.kill()
        self._lasting(machine, 2.0, machine.start)

    def _stop(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} stopped"] += 1
        machine.server.send(signal.SIGSTOP)
        self._lasting(machine, 6.0, lambda: machine.server.send(signal.SIGCONT))

    def _black_hole(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} black-holed"] += 1
        machine.proxy.black_hole()
        self._lasting(machine, 6.0, machine.proxy.clear)

    def _delay(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} delayed"] += 1
        machine.proxy.delay(0.05)
        self._lasting(machine, 2.0, machine.proxy.clear)

    def _slice(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} sliced"] += 1
        machine.proxy.slice(37)
        self._lasting(machine, 2.0, machine.proxy.clear)

    def _reset(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} reset"] += 1
        machine.proxy.reset()

    def _cut(self, kind: str, machine: Machine) -> None:
        self.counts[f"{kind} cut"] += 1
        machine.proxy.cut()

    def _kill_worker(self, kind: str, machine: Machine) -> None:
        if kind != "node":
            return
        self.counts["worker killed"] += 1
        pids = machine.server.worker_pids()
        with contextlib.suppress(ProcessLookupError):
            if pids:
                # It was the server's child an instant ago, and ids are not used again so soon.
                os.kill(self._rng.choice(pids), signal.SIGKILL)


@contextlib.contextmanager
def cluster(
    folder: Path,
    script: Path,
    nodes: int = 3,
    orchestrators: int = 2,
    words: tuple[object, ...] = (),
) -> Iterator[dict[str, list[Machine]]]:
    """Nodes behind orchestrators, all behind proxies, for the length of a block.

    Args:
        words: options of every server.
    """
    servers = Servers(folder)
    made: list[Machine] = []
    quiet = ("--log-level", "warning", *words)

    def new(start: Callable[[str], RunningServer]) -> Machine:
        made.append(Machine(start))
        return made[-1]

    def start_node(bind: str) -> RunningServer:
        words = ("-s", script, "--pool-size", 2, "--isolation", "context")
        return servers.start("node", "-b", bind, *words, *quiet)

    try:
        all_nodes = [new(start_node) for _ in range(nodes)]
        flags = [word for node in all_nodes for word in ("-n", node.address)]

        def start_orchestrator(bind: str) -> RunningServer:
            return servers.start("orchestrator", "-b", bind, *flags, *quiet)

        yield {
            "node": all_nodes,
            "orchestrator": [new(start_orchestrator) for _ in range(orchestrators)],
        }
        for machine in reversed(made):
            assert machine.server.stop() == 0
            assert "Traceback" not in machine.server.stderr()
    finally:
        for machine in made:
            machine.close()
        servers.stop_all()
