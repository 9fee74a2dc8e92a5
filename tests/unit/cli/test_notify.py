"""What the service manager hears, on a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from madrpc.cli.notify import Notifier


class Manager:
    """The socket that a service manager would read."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(5)

    def heard(self) -> list[str]:
        return self.socket.recv(4096).decode().splitlines()

    def heard_nothing_more(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture(params=["path", "name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "name" and not hasattr(os, "pidfd_open"):
        pytest.skip("names without a file are of Linux only")
    address = str(tmp_path / "notify") if request.param == "path" else f"@madrpc-{os.getpid()}"
    made = Manager(address)
    yield made
    made.socket.close()


def test_a_whole_life(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    assert notifier
    notifier.ready("2/2 workers ready")
    assert manager.heard() == ["READY=1", "STATUS=2/2 workers ready"]
    notifier.reloading()
    first, second = manager.heard()
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert int(value) > 0
    notifier.ready("again")
    assert manager.heard()[0] == "READY=1"
    notifier.stopping("draining")
    assert manager.heard() == ["STOPPING=1", "STATUS=draining"]
    notifier.close()
    notifier.ready("too late")
    assert manager.heard_nothing_more()


def test_the_watchdog_is_told_twice_in_its_time(manager: Manager) -> None:
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"}
    notifier = Notifier.from_environment(variables)
    assert notifier.tick_s == 1.5
    notifier.tick("1")
    notifier.tick("1")
    notifier.tick("2")
    assert manager.heard() == ["WATCHDOG=1", "STATUS=1"]
    assert manager.heard() == ["WATCHDOG=1"]
    assert manager.heard() == ["WATCHDOG=1", "STATUS=2"]
    notifier.close()


def test_without_a_watchdog_only_news_is_told(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    assert notifier.tick_s == 10
    notifier.tick("1")
    notifier.tick("1")
    assert manager.heard() == ["STATUS=1"]
    assert manager.heard_nothing_more()
    notifier.close()


@pytest.mark.parametrize(
    ("pid", "usec", "tick_s"),
    [
        ("own", "500000", 0.25),
        ("1", "500000", 10),
        ("", "0", 10),
        ("", "soon", 10),
        ("", "600000000", 10),
    ],
)
def test_a_watchdog_of_another_process_is_not_answered(pid: str, usec: str, tick_s: float) -> None:
    variables = {
        "WATCHDOG_PID": str(os.getpid()) if pid == "own" else pid,
        "WATCHDOG_USEC": usec,
    }
    assert Notifier.from_environment(variables).tick_s == tick_s


def test_the_variables_are_not_left_to_children(manager: Manager) -> None:
    variables = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "HOME": "/",
    }
    Notifier.from_environment(variables).close()
    assert variables == {"HOME": "/"}


def test_without_a_manager_nothing_is_said() -> None:
    for target in ("", "vsock:2:9999", "relative"):
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": target})
        assert not notifier
        notifier.ready("to nobody")


def test_a_manager_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "gone"), 1.0)
    notifier.ready("x")
    notifier.tick("y")
    notifier.close()


def test_a_manager_that_does_not_read_stops_nobody(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    for n in range(10_000):
        notifier.tick(str(n))
    assert manager.heard() == ["STATUS=0"]
    notifier.close()
