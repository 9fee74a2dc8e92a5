"""What a worker cannot do: each denial is tried from inside a process confined like a worker."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from madrpc import Client
from madrpc.node.sandbox import support
from tests.process import attempts
from tests.servers import (
    ROOT,
    RunningServer,
    Servers,
    environment,
    madrpc,
    poll_until,
    require_v8,
    runs,
)

PROBLEM = support()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=f"no sandbox here: {PROBLEM}")

SCRIPT = """
madrpc.register("echo", (x) => x);
madrpc.register("nest", () => madrpc.call("echo", {a: 1}));
madrpc.register("nap", ({ms}) => new Promise((rest) => setTimeout(() => rest("rested"), ms)));
madrpc.register("hang", () => Array.prototype.join.call({length: 2 ** 32 - 1}, ""));
madrpc.register("large", ({n}) => "x".repeat(n));
"""
#: A process that forks workers may do these, and only these.
FORKING = {"fork", "kill another process", "leave the parent"}


def tried(level: str, folder: Path) -> dict[str, str]:
    (folder / "file").write_text("kept")
    # A group of its own, in case that one of the attempts succeeds.
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as victim:
        try:
            words = [sys.executable, "-m", "tests.process.attempts", level, victim.pid, folder]
            done = subprocess.run(
                list(map(str, words)),
                capture_output=True,
                cwd=ROOT,
                env=environment(),
                timeout=60,
                start_new_session=True,
            )
        finally:
            victim.kill()
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, str] = json.loads(done.stdout)
    assert found.pop("permitted") == "works"
    return found


@pytest.mark.parametrize("level", ["run", "forked child"])
def test_a_worker_can_do_none_of_it(tmp_path: Path, level: str) -> None:
    found = tried(level, tmp_path)
    assert {name: how for name, how in found.items() if how != "EPERM"} == {"clone3": "ENOSYS"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_process_that_forks_can_fork_and_kill_and_no_more(tmp_path: Path) -> None:
    found = tried("fork", tmp_path)
    assert {name for name, how in found.items() if how == "done"} == FORKING
    rest = {name: how for name, how in found.items() if name not in FORKING and how != "EPERM"}
    assert rest == {"clone3": "ENOSYS"}


def test_a_worker_with_threads_can_make_them_and_no_more(tmp_path: Path) -> None:
    found = tried("threads", tmp_path)
    allowed = {"make a thread": "done", "clone3": "ENOSYS"}
    assert {name: how for name, how in found.items() if how != "EPERM"} == allowed


def test_the_attempts_are_real(tmp_path: Path) -> None:
    """Without the sandbox they succeed, as far as this user may."""
    plain = {"read a file", "write a file", "make a folder", "list a folder", "make a TCP socket",
             "fork", "signal another process", "executable memory", "memory as a file"}  # fmt: skip
    found = {}
    (tmp_path / "file").write_text("kept")
    ours, theirs = attempts.socket.socketpair()
    with ours, theirs:
        every = attempts.attempts(os.getpid(), str(tmp_path), ours.fileno())
        for name in plain:
            found[name] = attempts.outcome(every[name])
    assert found == dict.fromkeys(plain, "done")


# ------------------------------------------------------------- on a node


Start = Callable[..., RunningServer]


@pytest.fixture
def start(servers: Servers) -> Start:
    def start(*words: object) -> RunningServer:
        script = servers.script(SCRIPT)
        return servers.node("-s", script, "--pool-size", 2, *words)

    return start


def status_of(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith(field + ":"))


def worker_pids(node: RunningServer) -> set[int]:
    with Client(node.address) as client:
        return {row["pid"] for row in client.metrics()["workers"]["processes"]}


def all_worker_pids(node: RunningServer) -> set[int]:
    """Those that run calls, and in snapshot isolation the one they are forked from."""
    poll_until(lambda: len(worker_pids(node)) >= 2, "the pool is whole")
    return worker_pids(node) | set(node.worker_pids())


@pytest.mark.parametrize("isolation", ["context", "snapshot", "auto"])
def test_every_worker_is_confined(start: Start, isolation: str) -> None:
    node = start("--isolation", isolation, "--sandbox", "require")
    with Client(node.address) as client:
        for n in range(8):
            assert client.call("echo", {"n": n}) == {"n": n}
        assert client.call("nest") == {"a": 1}
        assert len(client.call("large", {"n": 15_000_000})) == 15_000_000
        assert client.info()["sandbox"] == "seccomp"

    def are_confined() -> bool:
        # One that has just been started to replace another is not there yet.
        return {status_of(pid, "Seccomp") for pid in all_worker_pids(node)} == {"2"}

    poll_until(are_confined, "every worker has its filter")
    for pid in all_worker_pids(node):
        assert status_of(pid, "NoNewPrivs") == "1"
        limits = {kind: resource.prlimit(pid, kind)[1] for kind in (
            resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)}  # fmt: skip
        assert limits[resource.RLIMIT_CORE] == 0
        assert limits[resource.RLIMIT_NOFILE] == 64
        assert 2**30 <= limits[resource.RLIMIT_AS] < 2**32


def test_every_worker_with_v8_is_confined(start: Start) -> None:
    require_v8()
    node = start("--engine", "v8", "--sandbox", "require")
    with Client(node.address) as client:
        for n in range(8):
            assert client.call("echo", {"n": n}) == {"n": n}
        assert client.call("nest") == {"a": 1}
        assert len(client.call("large", {"n": 15_000_000})) == 15_000_000
        assert (client.info()["engine"], client.info()["isolation"]) == ("v8", "context")
    pids = all_worker_pids(node)
    for pid in pids:
        poll_until(lambda pid=pid: status_of(pid, "Seccomp") == "2", "it has its filter")  # type: ignore[misc]
        assert status_of(pid, "NoNewPrivs") == "1"
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[1] == 64
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[1] < 2**32
        # Code that V8 makes goes where it has reserved room for it, and nowhere else.
        assert int(status_of(pid, "Threads")) <= 3


def test_without_the_sandbox(start: Start) -> None:
    node = start("--isolation", "context", "--sandbox", "off")
    with Client(node.address) as client:
        assert client.info()["sandbox"] == "off"
    assert {status_of(pid, "Seccomp") for pid in all_worker_pids(node)} == {"0"}


def test_a_machine_that_cannot_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.js"
    script.write_text(SCRIPT)
    code = (
        "import sys, madrpc.node.sandbox as s; s.support = lambda: 'the kernel is too old';"
        "from madrpc.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "node", "-s", str(script), "-b", "127.0.0.1:0",
             "--sandbox", "require"]  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=60
    )
    assert done.returncode == 2
    assert "the kernel is too old" in done.stderr
    assert "--sandbox auto" in done.stderr
    assert done.stdout == ""


def test_an_unknown_mode_is_a_usage_error() -> None:
    done = madrpc("node", "-s", "x.js", "--sandbox", "maybe")
    assert done.returncode == 2
    assert "auto" in done.stderr


@pytest.mark.parametrize(
    ("engine", "isolation"), [("quickjs", "context"), ("quickjs", "snapshot"), ("v8", "context")]
)
def test_the_kernel_ends_a_late_call_of_a_stopped_node(
    start: Start, engine: str, isolation: str
) -> None:
    if engine == "v8":
        require_v8()
    node = start(
        "--engine", engine, "--isolation", isolation, "--time-limit", 0.5, "--pool-size", 1
    )
    with Client(node.address) as client:
        call = client.submit("hang", timeout=30)
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        with Client(node.address) as other:
            rows = other.metrics()["workers"]["processes"]
        (pid,) = (row["pid"] for row in rows if row["state"] == "busy")
        worker = psutil.Process(pid)
        node.send(signal.SIGSTOP)
        try:
            poll_until(lambda: not runs(worker), "the worker ended itself", 20)
        finally:
            node.send(signal.SIGCONT)
        assert type(call.exception(20)).__name__ == "TimeLimitExceeded"
        assert client.call("echo", {"a": 1}) == {"a": 1}


def test_the_timer_of_a_call_ends_with_the_call(start: Start) -> None:
    node = start("--isolation", "context", "--time-limit", 0.2, "--pool-size", 1)
    with Client(node.address) as client:
        assert client.call("echo", {"a": 1}) == {"a": 1}
        (pid,) = worker_pids(node)
        # An idle worker would be gone after the limit and the 1.5 s of the timer.
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(pid).wait(2.5)
        assert client.call("nap", {"ms": 2500}) == "rested"
        assert worker_pids(node) == {pid}
