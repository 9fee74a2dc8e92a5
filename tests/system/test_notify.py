"""Servers under a service manager: what it hears from each, on a real socket."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from madrpc import Client
from tests.servers import Servers, environment, poll_until

SCRIPT = 'madrpc.register("echo", ({n}) => n);'


class Manager:
    """A service manager's socket, and everything that was heard on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[list[str]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def environment(self, **extra: str) -> dict[str, str]:
        return environment(NOTIFY_SOCKET=str(self.path), **extra)

    def heard(self, line: str) -> int:
        """How many messages so far had a line that begins so."""
        while True:
            try:
                self.messages.append(self.socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                break
        return sum(any(text.startswith(line) for text in message) for message in self.messages)

    def wait_for(self, line: str, times: int = 1) -> None:
        poll_until(lambda: self.heard(line) >= times, f"{line} was heard: {self.messages}")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def test_a_node_tells_its_service_manager(servers: Servers, manager: Manager) -> None:
    script = servers.script(SCRIPT)
    env = manager.environment(WATCHDOG_USEC="200000")
    node = servers.node("-s", script, "--pool-size", 1, env=env)
    manager.wait_for("READY=1")
    manager.wait_for("STATUS=up: 1/1 workers ready, 0 calls in flight")
    manager.wait_for("WATCHDOG=1", 3)
    node.send(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1", 2)
    with Client(node.address) as client:
        assert client.call("echo", {"n": 1}) == 1
    assert node.stop() == 0
    manager.wait_for("STOPPING=1")
    assert manager.heard("RELOADING=1") == 1


def test_an_orchestrator_tells_its_service_manager(servers: Servers, manager: Manager) -> None:
    env = manager.environment(WATCHDOG_USEC="200000")
    orchestrator = servers.start("orchestrator", "-b", "127.0.0.1:0", env=env)
    manager.wait_for("STATUS=degraded: 0/0 nodes up")
    servers.node("-s", servers.script(SCRIPT), "--orchestrator", orchestrator.address)
    manager.wait_for("STATUS=up: 1/1 nodes up")
    assert orchestrator.stop() == 0
    manager.wait_for("STOPPING=1")


def test_a_script_that_does_not_load_is_never_ready(servers: Servers, manager: Manager) -> None:
    script = servers.script("not javascript")
    with pytest.raises(AssertionError, match="did not start"):
        servers.node("-s", script, env=manager.environment())
    assert manager.heard("READY=1") == 0
