"""Peers that send or read slowly, or go on sending after they were refused.

The listener runs in this process, so that its time limits can be short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import msgpack
import pytest
from gevent import socket

from madrpc.address import Address
from madrpc.config import ListenerConfig
from madrpc.links.connection import Connection
from madrpc.links.listener import Listener
from madrpc.protocol.messages import Request, result_tail
from tests.wire.raw import frame, request, short

MAX_FRAME = 1024 * 1024
FRAME_TIMEOUT_S = 1.0
PAYLOAD = b"x" * (MAX_FRAME - 100)


class Handler:
    """Answers with a large text, or with the number of requests taken."""

    def __init__(self) -> None:
        self.taken = 0

    def handle(self, connection: Connection, asked: Request) -> None:
        self.taken += 1
        large = asked.method == "large"
        connection.respond(asked.id, result_tail(PAYLOAD.decode() if large else self.taken))


@pytest.fixture
def listener() -> Iterator[Listener]:
    config = ListenerConfig(
        Address("127.0.0.1", 0),
        max_frame=MAX_FRAME,
        max_connections=3,
        write_stall_s=3.0,
        frame_timeout_s=FRAME_TIMEOUT_S,
    )
    made = Listener(config, Handler())
    made.bind()
    made.start()
    yield made
    made.close("the test is over")
    with gevent.Timeout(5):
        while made.connections:
            gevent.sleep(0.01)


@pytest.fixture
def connect(listener: Listener) -> Iterator[Callable[..., Any]]:
    made = []

    def new() -> Any:
        made.append(socket.create_connection(listener.address, timeout=10))
        return made[-1]

    yield new
    for sock in made:
        sock.close()


def read(sock: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        data = sock.recv(size - len(found))
        if not data:
            break
        found += data
    return found


def answer(sock: Any) -> Any:
    """The next answer, or None at the end of the connection."""
    length = read(sock, 4)
    return msgpack.unpackb(read(sock, int.from_bytes(length, "big"))) if length else None


def trickle(sock: Any, data: bytes, pause_s: float) -> None:
    """Send byte by byte until the other side hangs up."""
    try:
        for n in range(len(data)):
            sock.sendall(data[n : n + 1])
            gevent.sleep(pause_s)
    except OSError:
        pass


@pytest.mark.parametrize("sent", [b"\0", b"\0\0\0\x20", request(1, "count")[:12]])
def test_a_frame_that_is_never_completed_ends_the_connection(connect: Any, sent: bytes) -> None:
    slow, other = connect(), connect()
    slow.sendall(sent)
    _, id, error, _ = answer(slow)
    assert (id, error["name"]) == (0, "ProtocolError")
    assert "not complete" in error["message"]
    assert answer(slow) is None
    other.sendall(request(1, "count"))
    assert answer(other) == [1, 1, None, 1]


def test_bytes_that_trickle_in_do_not_put_the_end_off(connect: Any) -> None:
    slow = connect()
    sender = gevent.spawn(trickle, slow, request(1, "count", {"a": "x" * 500}), 0.05)
    assert answer(slow)[2]["name"] == "ProtocolError"
    assert answer(slow) is None
    sender.kill()


def test_small_frames_may_come_slowly_for_ever(connect: Any) -> None:
    slow = connect()
    one = request(1, "count")
    stream = one * 12
    # Cut so that some frame is always incomplete, yet each is complete within its time.
    for n in range(0, len(stream), len(one) - 1):
        slow.sendall(stream[n : n + len(one) - 1])
        gevent.sleep(0.3)
    assert [answer(slow)[3] for _ in range(12)] == list(range(1, 13))


def test_a_large_frame_has_more_time(connect: Any) -> None:
    slow = connect()
    large = request(1, "count", {"a": "x" * (MAX_FRAME - 100)})
    step = len(large) // 5
    for n in range(0, len(large), step):
        slow.sendall(large[n : n + step])
        gevent.sleep(0.5)
    assert answer(slow) == [1, 1, None, 1]


def test_a_caller_that_reads_slowly_gets_every_answer(listener: Listener, connect: Any) -> None:
    slow, count = connect(), 60
    # So long that one read takes only a few.
    asked = (request(n, "large", {"a": "x" * 100_000}) for n in range(1, count + 1))
    sender = gevent.spawn(slow.sendall, b"".join(asked))
    gevent.sleep(0.3)
    # More than the bound of what may wait, so the requests behind it must not have been taken.
    assert listener.handler.taken < 20  # type: ignore[attr-defined]
    for n in range(1, count + 1):
        assert answer(slow)[:3] == [1, n, None]
        gevent.sleep(0.01)
    sender.get()


def test_a_caller_that_reads_nothing_is_cut_off(listener: Listener, connect: Any) -> None:
    deaf = connect()
    deaf.sendall(b"".join(request(n, "large") for n in range(1, 40)))
    with gevent.Timeout(20):
        while listener.connections:
            gevent.sleep(0.01)


def test_a_refusal_reaches_a_caller_that_goes_on_sending(connect: Any) -> None:
    talks = connect()
    sender = gevent.spawn(trickle, talks, short(1, 1, None, None) + frame(b"\xc0") * 2000, 0.0002)
    gevent.sleep(0.1)
    _, id, error, _ = answer(talks)
    assert (id, error["name"]) == (0, "ProtocolError")
    assert answer(talks) is None
    sender.kill()


def test_connections_above_the_limit_are_told_so(listener: Listener, connect: Any) -> None:
    kept = [connect() for _ in range(3)]
    for n, sock in enumerate(kept):
        sock.sendall(request(1, "count"))
        assert answer(sock)[3] == n + 1
    for _ in range(100):
        refused = connect()
        refused.sendall(request(1, "count"))
        _, id, error, _ = answer(refused)
        assert (id, error["name"]) == (0, "Overloaded")
        assert answer(refused) is None
        refused.close()
    kept.pop().close()
    with gevent.Timeout(5):
        while len(listener.connections) > 2:
            gevent.sleep(0.01)
    again = connect()
    again.sendall(request(1, "count"))
    assert answer(again) == [1, 1, None, 4]


def test_a_flood_of_connections_that_say_nothing_is_cut_short(connect: Any) -> None:
    for _ in range(200):
        connect()
    other = connect()
    other.settimeout(10)
    while other.recv(4096):
        pass
