"""The processes of a measurement: started, asked for their processor time, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

__all__ = ["ROOT", "Program", "Programs", "poll_until", "pss_mib"]

ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 20.0


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MADRPC_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def poll_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """Wait until the condition holds and return its value; end the run if it never does."""
    give_up = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise SystemExit(f"scale: {what} did not happen within {timeout_s:g} s")
        time.sleep(0.02)
    return value


def pss_mib(pids: Sequence[int]) -> float:
    """Memory in MiB, shared pages divided among those who share them."""
    return float(sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 2**20)


class Program:
    """A child process that talks in lines, and ends when its stdin does."""

    def __init__(self, module: str, *words: object, prefix: Sequence[str] = ()) -> None:
        self.name = " ".join([module, *map(str, words[:1])])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, it lives as long as this
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", module, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_environment(),
            cwd=ROOT,
        )
        self.pid = self._process.pid

    def line(self) -> str:
        """The next line it prints.

        Raises:
            SystemExit: it ended instead; its own words are in the message.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(_STOP_S)
            self._errors.seek(0)
            raise SystemExit(f"scale: {self.name} ended early: {self._errors.read()[-2000:]}")
        return line.strip()

    def say(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def cpu_s(self) -> float:
        """Processor seconds of it alone, to the microsecond where the kernel tells."""
        try:
            tasks = list(Path(f"/proc/{self.pid}/task").iterdir())
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except OSError:
            times = psutil.Process(self.pid).cpu_times()
            return float(times.user + times.system)

    def children(self) -> list[int]:
        """Its processes below it."""
        return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]

    def fds(self) -> int:
        """File descriptors it holds."""
        return int(psutil.Process(self.pid).num_fds())

    def stop(self) -> None:
        """Let it end by closing its stdin; by force if it does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


class Programs:
    """Starts processes and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Program] = []

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Programs]:
        """Programs for the length of a block."""
        with tempfile.TemporaryDirectory() as folder:
            programs = cls(Path(folder))
            try:
                yield programs
            finally:
                programs.stop_all()

    def start(self, module: str, *words: object, prefix: Sequence[str] = ()) -> Program:
        """Start a module as a program."""
        self._started.append(Program(module, *words, prefix=prefix))
        return self._started[-1]

    def server(self, *words: object, prefix: Sequence[str] = ()) -> tuple[Program, str]:
        """Start a server of madrpc; return it and the address it listens on."""
        quiet = ("--watch-stdin", "--log-level", "error")
        program = self.start("madrpc", *words, *quiet, prefix=prefix)
        return program, program.line().partition(" ready on ")[2].split()[0]

    def orchestrator(
        self, nodes: Sequence[str], host: str = "127.0.0.1", prefix: Sequence[str] = ()
    ) -> tuple[Program, str]:
        """Start an orchestrator of these nodes."""
        path = self.folder / f"{len(self._started)}.nodes"
        path.write_text("\n".join(nodes))
        words = ("orchestrator", "-b", f"{host}:0", "-n", f"file:{path}")
        return self.server(*words, prefix=prefix)

    def fakes(
        self,
        nodes: int,
        workers: int,
        service_ms: float,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> tuple[Program, list[str]]:
        """Start a process that is so many simulated nodes; return it and their addresses."""
        words = ("--nodes", nodes, "--workers", workers, "--ms", service_ms, "--host", host)
        program = self.start("benchmarks.scale.fake_nodes", *words, prefix=prefix)
        return program, json.loads(program.line())

    def stop(self, program: Program) -> None:
        """End one of them."""
        self._started.remove(program)
        program.stop()

    def stop_all(self) -> None:
        """End what was started, the last first."""
        while self._started:
            self._started.pop().stop()
