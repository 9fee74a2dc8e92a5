"""The units: systemd finds no fault in them, and what they start works as they say."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from madrpc import Client
from madrpc.node.syscalls import FORK_CALLS, RUN_CALLS
from tests.deploy.commands import DEPLOY, parse, text
from tests.servers import Servers, servers_in
from tests.system.test_manpages import require
from tests.system.test_notify import Manager

UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = ["madrpc-node@.service", "madrpc-orchestrator.service"]
TOKEN = "a token of the tests"
#: Becomes the command with a listening socket as its descriptor 3, as systemd starts a service.
WITH_SOCKET = (
    "import os, sys\n"
    "os.dup2(int(sys.argv[1]), 3)\n"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def settings(unit: str) -> dict[str, list[str]]:
    """Everything a unit sets, in its order; sections do not matter here."""
    found: dict[str, list[str]] = {}
    for line in text(f"systemd/{unit}").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def words_of(unit: str, etc: Path, instance: str = "") -> list[str]:
    """What follows ``madrpc`` in ExecStart, once systemd has put the values in."""
    (line,) = settings(unit)["ExecStart"]
    line = line.replace("%i", instance).replace("${CREDENTIALS_DIRECTORY}", str(etc))
    program, *words = shlex.split(line.replace("/etc/madrpc", str(etc)))
    assert program == "/opt/madrpc/bin/madrpc"
    return words


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What a machine has in /etc/madrpc."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "pi.js").write_text('madrpc.register("echo", ({n}) => n);\n')
    return tmp_path


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with a program that is there."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        moved = unit.read_text().replace("/opt/madrpc/bin/madrpc", sys.executable)
        (folder / unit.name).write_text(moved)
    return folder


def analyze(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    require("systemd-analyze")
    return subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, cwd=cwd
    )


def test_systemd_takes_the_units(units: Path) -> None:
    done = analyze("verify", "--man=no", *(f"./{unit.name}" for unit in UNITS), cwd=units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_exposed_to_little(unit: str, units: Path) -> None:
    # 20 stands for 2.0 of 10; a service without any hardening has 9.6.
    done = analyze("security", "--offline=true", "--threshold=20", f"./{unit}", cwd=units)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_the_filter_allows_what_the_processes_need(unit: str) -> None:
    needed = {"sched_setscheduler", "prlimit64", "prctl", "epoll_wait", "bind", "accept4"}
    if "node" in unit:
        needed |= {"seccomp", "clone", "execve", "wait4", *RUN_CALLS, *FORK_CALLS}
    allowed: set[str] = set()
    for value in settings(unit)["SystemCallFilter"]:
        names = set().union(*map(calls_of, value.removeprefix("~").split()))
        allowed = allowed - names if value.startswith("~") else allowed | names
    assert needed <= allowed


def calls_of(name: str) -> set[str]:
    """The system calls of one word of a filter, sets taken apart."""
    if not name.startswith("@"):
        return {name}
    done = analyze("syscall-filter", name)
    assert done.returncode == 0, done.stderr
    lines = (line.strip() for line in done.stdout.splitlines()[1:])
    return set().union(*(calls_of(line) for line in lines if line and line[0] != "#"))


@pytest.mark.parametrize("unit", SERVICES)
def test_the_command_line_is_one_and_draining_has_the_time(
    unit: str, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = parse(words_of(unit, etc, "pi"), monkeypatch)
    (stop_s,) = settings(unit)["TimeoutStopSec"]
    assert int(stop_s) > options.drain_timeout + 5
    assert options.auth_token_file == str(etc / "token")
    assert settings(unit)["LoadCredential"] == ["token:/etc/madrpc/token"]


def test_the_socket_is_where_the_orchestrator_would_listen(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = parse(words_of("madrpc-orchestrator.service", etc), monkeypatch)
    assert settings("madrpc-orchestrator.socket")["ListenStream"] == [str(options.bind)]


class Host:
    """A machine with the units: their command lines, a manager's socket and a port kept open."""

    def __init__(self, servers: Servers, etc: Path) -> None:
        self.servers = servers
        self.etc = etc
        self.manager = Manager(etc / "notify")
        self.port = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self.port.getsockname()[1]}"

    def orchestrator(self) -> object:
        env = self.manager.environment(WATCHDOG_USEC="400000")
        launcher = (sys.executable, "-c", WITH_SOCKET, str(self.port.fileno()))
        words = words_of("madrpc-orchestrator.service", self.etc)
        return self.servers.start(
            *words, env=env, launcher=launcher, pass_fds=(self.port.fileno(),)
        )

    def node(self) -> object:
        env = self.manager.environment(
            MADRPC_ORCHESTRATOR=self.address, MADRPC_BIND="127.0.0.1:0", MADRPC_POOL_SIZE="1"
        )
        return self.servers.start(*words_of("madrpc-node@.service", self.etc, "pi"), env=env)


@pytest.fixture
def host(etc: Path) -> Iterator[Host]:
    with servers_in(etc) as servers:
        made = Host(servers, etc)
        yield made
        made.manager.socket.close()
        made.port.close()


def test_services_restart_while_they_are_called(host: Host) -> None:
    orchestrator, first = host.orchestrator(), host.node()
    assert orchestrator.address == host.address
    host.manager.wait_for("STATUS=up: 1/1 nodes up")
    stop = threading.Event()
    with Client(host.address, token=TOKEN) as client:
        results = client.map("echo", ({"n": n} for n in iter(stop.is_set, True)), concurrency=8)
        got = [next(results)]
        reader = threading.Thread(target=lambda: got.extend(results))
        reader.start()
        try:
            assert first.alive
            second = host.node()
            assert first.stop() == 0
            assert orchestrator.stop() == 0
            # Only the kernel answers at the port now: a connection waits, as callers do.
            with socket.create_connection(host.port.getsockname(), timeout=5):
                again = host.orchestrator()
            assert client.call("echo", {"n": 7}) == 7
        finally:
            stop.set()
            reader.join(30)
    assert set(got) == {False}
    assert second.stop() == again.stop() == 0


def test_a_socket_that_is_no_port_is_refused_by_name(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    host.port.close()
    host.port = socket.socket(socket.AF_UNIX)
    host.port.bind(str(path))
    host.port.listen()
    with pytest.raises(AssertionError, match="is not a listening TCP socket"):
        host.orchestrator()
