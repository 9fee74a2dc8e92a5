"""Real servers as child processes, and waiting for conditions with a deadline."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "js_examples"
START_TIMEOUT_S = 30.0


def poll_until(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
    """Wait until the condition holds and return its value; fail with ``what`` if it never does."""
    give_up = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < give_up, f"never happened within {timeout_s} s: {what}"
        time.sleep(0.01)


def madrpc(*words: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    settings.setdefault("timeout", 60)
    return subprocess.run(
        command(*words), capture_output=True, text=True, env=environment(), **settings
    )


def command(*words: object, program: str = "madrpc") -> list[str]:
    return [sys.executable, "-m", program, *map(str, words)]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a child: this checkout first, and no MADRPC_* of the person's own."""
    kept = {
        key: value
        for key, value in os.environ.items()
        # A terminal has its own size.
        if not key.startswith("MADRPC_") and key not in ("COLUMNS", "LINES")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def give_up(reason: str) -> NoReturn:
    """Skip a test that lacks a program, or fail where somebody counts on it."""
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_textual() -> None:
    """Skip where the extra ``top`` is not installed; in CI that is a failure."""
    if importlib.util.find_spec("textual") is None:
        give_up("textual is not installed")


def require_distributed() -> None:
    """Skip where the extra ``dask`` is not installed; in CI that is a failure."""
    if importlib.util.find_spec("distributed") is None:
        give_up("dask.distributed is not installed")


def require_v8() -> None:
    """Skip where the extra ``v8`` is not installed; in CI that is a failure."""
    if importlib.util.find_spec("py_mini_racer") is None:
        give_up("mini-racer is not installed")


def runs(process: psutil.Process) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie too
        return False


class RunningServer:
    """A server command that has said where it listens.

    Args:
        program: the module that the command belongs to.
        launcher: a program that is run with the command as its arguments, and becomes it.
        pass_fds: descriptors that the launcher inherits.
    """

    def __init__(
        self,
        *words: object,
        log: Path,
        env: dict[str, str] | None = None,
        launcher: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        program: str = "madrpc",
    ) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*launcher, *command(*words, program=program)],
                pass_fds=pass_fds,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=env or environment(),
                start_new_session=True,
            )
        self.ready_line = self._wait_ready()
        self.address = self.ready_line.partition(" ready on ")[2].split()[0]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def stderr(self) -> str:
        return self.log.read_text()

    def worker_pids(self) -> list[int]:
        """Processes the server runs calls in."""
        return [c.pid for c in psutil.Process(self.pid).children() if _is_worker(c)]

    def fds(self) -> int:
        return psutil.Process(self.pid).num_fds()

    def rss(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 40.0) -> int:
        """Stop the server, check that no child outlives it, and return its exit status."""
        children = psutil.Process(self.pid).children(recursive=True) if self.alive else []
        if self.alive:
            self.send(number)
        try:
            status = self.process.wait(timeout_s)
        finally:
            if self.alive:
                self.process.kill()
                self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
        poll_until(lambda: not any(map(runs, children)), f"{children} ended with the server", 5)
        return status

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _wait_ready(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(START_TIMEOUT_S)
            self.process.stdout.close()
            raise AssertionError(f"the server did not start:\n{self.stderr()}")
        return line.strip()


class Servers:
    """Starts servers for one test and stops what is left at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[RunningServer] = []

    def script(self, source: str, name: str = "script.js") -> Path:
        path = self.folder / name
        path.write_text(source, encoding="utf-8")
        return path

    def node(self, *words: object, **settings: Any) -> RunningServer:
        return self.start("node", "-b", "127.0.0.1:0", *words, **settings)

    def orchestrator(self, *nodes: RunningServer | str, words: tuple[object, ...] = ()) -> Any:
        targets = [n if isinstance(n, str) else n.address for n in nodes]
        flags = [word for target in targets for word in ("-n", target)]
        return self.start("orchestrator", "-b", "127.0.0.1:0", *flags, *words)

    def start(self, *words: object, **settings: Any) -> RunningServer:
        """Start a server command."""
        log = self.folder / f"server-{len(self.started)}.log"
        server = RunningServer(*words, log=log, **settings)
        self.started.append(server)
        return server

    def stop_all(self) -> None:
        for server in reversed(self.started):
            if server.alive:
                with contextlib.suppress(ProcessLookupError):
                    server.send(signal.SIGCONT)
                server.stop(signal.SIGKILL)
            elif server.process.stdout is not None:
                server.process.stdout.close()


@contextlib.contextmanager
def servers_in(folder: Path) -> Iterator[Servers]:
    """Servers for the length of a block."""
    servers = Servers(folder)
    try:
        yield servers
    finally:
        servers.stop_all()
