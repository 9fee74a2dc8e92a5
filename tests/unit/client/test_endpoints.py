from __future__ import annotations

import errno
import socket

import pytest

from madrpc.address import Address, AddressError
from madrpc.client import endpoints
from madrpc.client.endpoints import Endpoints, connect_error
from madrpc.errors import ConnectionFailed

A, B, C = (Address(host, 1) for host in "abc")


class FakeSocket:
    def __init__(self, address: Address) -> None:
        self.address = address
        self.options: set[int] = set()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.add(option)


class Network:
    """Stands in for ``socket.create_connection``; only ``up`` can be reached."""

    def __init__(self, *up: Address) -> None:
        self.up = set(up)
        self.asked: list[Address] = []

    def connect(self, address: Address, timeout: float) -> FakeSocket:
        self.asked.append(address)
        if address not in self.up:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"refused by {address}")
        return FakeSocket(address)


@pytest.fixture
def network(monkeypatch) -> Network:
    found = Network()
    monkeypatch.setattr(endpoints.socket, "create_connection", found.connect)
    return found


def test_one_address_or_a_list_of_them():
    assert Endpoints("a:1").addresses == [A]
    assert Endpoints(["a:1", "b:1"]).addresses == [A, B]
    assert repr(Endpoints(("a:1", "b:1"))) == "a:1, b:1"


def test_no_address_is_refused():
    with pytest.raises(ConnectionFailed, match="no address"):
        Endpoints([])


def test_a_text_that_is_no_address_is_refused():
    with pytest.raises(AddressError):
        Endpoints(["a:1", "b"])


def test_the_next_address_follows_a_failed_one_in_a_ring():
    found = Endpoints(["a:1", "b:1", "c:1"])
    seen = []
    for _ in range(4):
        seen.append(found.current)
        found.failed(found.current)
    assert seen == [A, B, C, A]


def test_a_failure_that_somebody_has_seen_already_changes_nothing():
    found = Endpoints(["a:1", "b:1", "c:1"])
    found.failed(A)
    found.failed(A)
    assert found.current == B


def test_one_address_stays_current_when_it_fails():
    found = Endpoints("a:1")
    found.failed(A)
    assert found.current == A


def test_the_first_server_that_answers_is_taken_and_kept(network):
    network.up = {C}
    found = Endpoints(["a:1", "b:1", "c:1"])
    sock, address = found.connect()
    assert sock.address == address == C
    assert {socket.TCP_NODELAY, socket.SO_KEEPALIVE} <= sock.options
    found.connect()
    assert network.asked == [A, B, C, C]


def test_every_server_is_asked_once_and_the_first_reason_told(network):
    found = Endpoints(["a:1", "b:1"])
    with pytest.raises(ConnectionFailed, match="cannot reach a:1") as caught:
        found.connect()
    assert network.asked == [A, B]
    assert caught.value.data == {"address": "a:1"}


def test_the_timeout_is_passed_on(monkeypatch):
    seen = []
    monkeypatch.setattr(
        endpoints.socket,
        "create_connection",
        lambda address, timeout: seen.append(timeout) or FakeSocket(address),
    )
    Endpoints("a:1").connect(0.5)
    assert seen == [0.5]


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_name_that_cannot_be_looked_up_is_a_failed_connection(host):
    with pytest.raises(ConnectionFailed):
        Endpoints(f"{host}:80").connect()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TimeoutError("timed out"), "it does not answer; check the address"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused; start a server"),
        (socket.gaierror(-2, "x"), "the name is unknown; check the host name"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable; check"),
        (OSError("odd"), "odd; check"),
    ],
)
def test_errors_say_why_and_what_to_do(error, says):
    found = connect_error(Address("::1", 80), error)
    assert found.message.startswith(f"cannot reach [::1]:80: {says}")
    assert found.data == {"address": "[::1]:80"}
    assert found.retryable
