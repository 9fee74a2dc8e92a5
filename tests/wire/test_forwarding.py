"""An orchestrator between a raw caller and a scripted node: which bytes pass, and which do not."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from tests.servers import RunningServer, Servers, poll_until
from tests.wire.raw import AnyEncoding, Caller, Clock, cancel, frame, head, request, short

INFO = {"role": "node", "state": "up", "workers": 1, "methods": ["f", "g"]}
#: What a scripted node does with a request: the frames it answers with, or None to hang up.
Behave = Callable[[list[Any]], "list[bytes] | None"]


class ScriptedNode:
    """Listens, keeps every payload that came, and answers as it is told."""

    def __init__(self, behave: Behave, info: Any = INFO) -> None:
        self.payloads: list[bytes] = []
        self.behave = behave
        self.info = info
        self.health: dict[str, Any] | None = {"status": "up"}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def close(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for sock in self._open:
            sock.close()

    @property
    def connections(self) -> int:
        """How many have been made."""
        return len(self._open) - 1

    def send(self, *frames: bytes) -> None:
        """Send something unasked on the newest connection."""
        self._open[-1].sendall(b"".join(frames))

    def wait_for(self, kind: int, count: int = 1) -> list[bytes]:
        """The payloads of one kind, once ``count`` have come; built-in methods are left out."""

        def found() -> list[bytes] | None:
            wanted = [
                payload
                for payload in list(self.payloads)
                if payload[1] == kind
                and b"\xa5_info" not in payload
                and b"\xa7_health" not in payload
            ]
            return wanted if len(wanted) >= count else None

        wanted: list[bytes] = poll_until(found, f"{count} messages of kind {kind} at the node")
        return wanted

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=args))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.makefile("rb") as stream:
            while len(size := stream.read(4)) == 4:
                payload = stream.read(struct.unpack(">I", size)[0])
                self.payloads.append(payload)
                message = msgpack.unpackb(payload, strict_map_key=False)
                frames = self._answer(message)
                if frames is None:
                    sock.shutdown(socket.SHUT_RDWR)
                    return
                sock.sendall(b"".join(frames))

    def _answer(self, message: list[Any]) -> list[bytes] | None:
        if message[0] == 0 and message[3] == "_info":
            return [short(1, message[1], None, self.info)]
        if message[0] == 0 and message[3] == "_health":
            return [] if self.health is None else [short(1, message[1], None, self.health)]
        return self.behave(message) if message[0] == 0 else []


Start = Callable[..., tuple[ScriptedNode, RunningServer]]


@pytest.fixture
def start(servers: Servers) -> Iterator[Start]:
    """Starts a scripted node with an orchestrator in front of it."""
    nodes: list[ScriptedNode] = []

    def run(behave: Behave, info: Any = INFO) -> tuple[ScriptedNode, RunningServer]:
        nodes.append(ScriptedNode(behave, info))
        return nodes[-1], servers.orchestrator(nodes[-1].address)

    yield run
    servers.stop_all()
    for node in nodes:
        node.close()


def is_up(caller: Caller) -> bool:
    status: str = caller.call("_health")["status"]
    return status == "up"


def silent(message: list[Any]) -> list[bytes]:
    return []


def test_only_the_head_of_a_request_is_rewritten(start: Start) -> None:
    node, server = start(lambda message: [short(1, message[1], None, message[4])])
    rng = random.Random(6)
    write = AnyEncoding(rng)
    sent = {}
    with Caller(server.address) as caller:
        for id in rng.sample(range(2**32), 50):
            args = {"id": id, "value": rng.choice([1, 0.5, "x", [1, {"a": 2}], None])}
            sent[id] = write.encode("f") + write.encode(args) + write.encode({"seed": id})
            numbers = map(write.encode, (0, id, 30_000))
            framed = frame(head(id, 30_000) + sent[id])
            caller.write(framed if id % 4 == 0 else write.array([*numbers, sent[id]], 6))
        answers = caller.answers(50)
    assert {id: result["id"] for id, (_, result) in answers.items()} == {id: id for id in sent}
    seen = node.wait_for(0, 50)
    assert sorted(payload[12:] for payload in seen) == sorted(sent.values())
    for payload in seen:
        assert payload[:3] == b"\x96\x00\xce"
        assert payload[7] == 0xCE
        assert 20_000 < struct.unpack(">I", payload[8:12])[0] <= 30_000
    assert len({payload[3:7] for payload in seen}) == 50


def test_no_deadline_stays_no_deadline_and_a_passed_one_is_never_zero(start: Start) -> None:
    _node, server = start(lambda message: [short(1, message[1], None, message[2])])
    with Caller(server.address) as caller:
        assert caller.call("f") == 0
        assert caller.call("f", timeout_ms=1) == 1
        assert caller.call("f", timeout_ms=2**32 - 1) > 2**32 - 10_000


def test_answers_pass_byte_for_byte_in_any_order_and_encoding(start: Start) -> None:
    rng = random.Random(7)
    write = AnyEncoding(rng)
    tails = [
        write.encode(None) + write.encode({"n": n, "x": [1.5, "é", n * 10**6]}) for n in range(20)
    ]
    held: list[bytes] = []

    def behave(message: list[Any]) -> list[bytes]:
        numbers = map(write.encode, (1, message[1]))
        held.append(write.array([*numbers, tails[message[4]["n"]]], 4))
        if len(held) < len(tails):
            return []
        rng.shuffle(held)
        return held

    _, server = start(behave)
    with Caller(server.address) as caller:
        caller.write(*(request(1000 + n, "f", {"n": n}) for n in range(len(tails))))
        payloads = [caller.read_payload() for _ in tails]
    expected = {b"\x94\x01\xce" + struct.pack(">I", 1000 + n) + tails[n] for n in range(len(tails))}
    assert set(payloads) == expected


def test_errors_pass_unchanged(start: Start) -> None:
    new = {"code": -32099, "name": "NewError", "message": "m", "data": {"x": [1]}, "new": 1}
    _, server = start(lambda message: [short(1, message[1], new, None)])
    with Caller(server.address) as caller:
        caller.write(request(5, "f"))
        payload = caller.read_payload()
    assert payload is not None
    assert msgpack.unpackb(payload) == [1, 5, new, None]


def test_a_cancel_reaches_the_node_and_its_late_answer_reaches_nobody(start: Start) -> None:
    node, server = start(silent)
    with Caller(server.address) as caller:
        caller.write(request(77, "f"), cancel(77))
        assert caller.answers(1)[77][0]["name"] == "Cancelled"
        (asked,) = node.wait_for(0)
        (cancelled,) = node.wait_for(2)
        assert cancelled == b"\x92\x02\xce" + asked[3:7]
        node.behave = lambda message: [short(1, message[1], None, "right")]
        caller.write(request(77, "f"))
        assert caller.read() == (77, None, "right")
        late = struct.unpack(">I", asked[3:7])[0]
        node.send(short(1, late, None, "late"), short(1, late, None, "later still"))
        assert caller.call("f") == "right"
        assert caller.is_quiet()
    assert node.wait_for(0, 3)[1][3:7] != asked[3:7]


def test_a_reset_of_the_caller_cancels_at_the_node(start: Start) -> None:
    node, server = start(silent)
    caller = Caller(server.address)
    caller.write(*(request(n, "f") for n in range(3)))
    asked = node.wait_for(0, 3)
    caller.reset()
    cancelled = node.wait_for(2, 3)
    assert {payload[3:7] for payload in cancelled} == {payload[3:7] for payload in asked}


def test_a_node_that_never_answers_costs_a_deadline(start: Start) -> None:
    node, server = start(silent)
    with Caller(server.address) as caller:
        clock = Clock()
        error = caller.refused(request(5, "f", None, 200))
        assert error["name"] == "CallTimeout"
        assert 0.2 < clock.seconds() < 1.5
        node.wait_for(2)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", frame(b"\xc1"), short(0, 1, 0, "f", {}, None)],
    ids=["length 0", "length 2**32 - 1", "never used byte", "request"],
)
def test_a_node_that_sends_garbage_is_left(start: Start, garbage: bytes) -> None:
    _, server = start(lambda message: [garbage])
    with Caller(server.address) as caller:
        error = caller.refused(request(5, "f", None, 10_000))
        assert error["name"] in ("NoNodeAvailable", "ConnectionFailed")
        assert caller.is_quiet()


def test_a_node_that_sent_garbage_is_tried_again(start: Start) -> None:
    node, server = start(lambda message: [frame(b"\xc1")])
    with Caller(server.address) as caller:
        caller.refused(request(5, "f"))
        node.behave = lambda message: [short(1, message[1], None, "well again")]
        poll_until(lambda: is_up(caller), "the node is up again", 10)
        assert caller.call("f") == "well again"


def test_a_node_that_hangs_up(start: Start) -> None:
    _node, server = start(lambda message: None)
    with Caller(server.address) as caller:
        assert caller.refused(request(5, "f"))["name"] in ("NoNodeAvailable", "ConnectionFailed")


def test_answers_that_nobody_asked_for_are_dropped(start: Start) -> None:
    stray = [short(1, 4_000_000 + n, None, "stray") for n in range(5)]
    _, server = start(lambda message: [*stray, short(1, message[1], None, "right")])
    with Caller(server.address) as caller:
        assert caller.call("f") == "right"
        assert caller.is_quiet()


def test_a_node_that_sends_an_error_nobody_can_read(start: Start) -> None:
    bad = b"\x81\xc1\xc0"
    _, server = start(
        lambda message: [frame(b"\x94\x01\xce" + struct.pack(">I", message[1]) + bad)]
    )
    with Caller(server.address) as caller:
        caller.sock.settimeout(2)
        caller.write(request(5, "f"))
        answer = caller.read()
        assert answer is not None
        assert answer[0] == 5


def test_a_node_whose_info_is_wrong_is_asked_again(start: Start) -> None:
    node, server = start(silent, {**INFO, "methods": 5})
    node.info = INFO
    with Caller(server.address) as caller:
        poll_until(lambda: is_up(caller), "the node is up", 1.5)


def node_states(caller: Caller) -> dict[str, str]:
    return {node["address"]: node["state"] for node in caller.call("_info")["nodes"]}


@pytest.fixture
def pair(servers: Servers) -> Iterator[Callable[..., tuple[ScriptedNode, ScriptedNode, Caller]]]:
    """Starts a bad and a good scripted node, and a caller of the orchestrator in front of them."""
    with contextlib.ExitStack() as stack:

        def run(behave: Behave) -> tuple[ScriptedNode, ScriptedNode, Caller]:
            bad = ScriptedNode(behave)
            good = ScriptedNode(lambda message: [short(1, message[1], None, "good")])
            server = servers.orchestrator(bad.address, good.address)
            for node in (bad, good):
                stack.callback(node.close)
            stack.callback(servers.stop_all)
            return bad, good, stack.enter_context(Caller(server.address))

        yield run


@pytest.mark.parametrize("answer", [None, [frame(b"\xc1")]], ids=["hangs up", "garbage"])
def test_a_node_that_breaks_its_calls_is_ejected(pair: Any, answer: Any) -> None:
    bad, good, caller = pair(lambda message: answer)

    def is_ejected() -> bool:
        assert caller.call("f") == "good"
        return node_states(caller) == {bad.address: "ejected", good.address: "up"}

    poll_until(is_ejected, "the bad node is ejected")
    seen = len(bad.wait_for(0))
    assert seen == 5
    for _ in range(20):
        assert caller.call("f") == "good"
    assert len(bad.wait_for(0)) == seen


def test_the_only_node_is_never_ejected(start: Start) -> None:
    node, server = start(lambda message: None)
    with Caller(server.address) as caller:
        for _ in range(8):
            caller.refused(request(5, "f"))
        node.behave = lambda message: [short(1, message[1], None, "well again")]
        assert caller.call("f") == "well again"
        assert set(node_states(caller).values()) == {"up"}


def test_what_a_function_does_is_not_held_against_its_node(pair: Any) -> None:
    thrown = {"code": -32008, "name": "JavaScriptError", "message": "m", "data": {}}
    bad, _good, caller = pair(lambda message: [short(1, message[1], thrown, None)])
    for n in range(40):
        caller.write(request(n, "f"))
        caller.read()
    assert len(bad.wait_for(0)) == 20
    assert set(node_states(caller).values()) == {"up"}


@pytest.mark.parametrize("name", ["Draining", "Overloaded"])
def test_a_refused_call_moves_on(pair: Any, name: str) -> None:
    error = {"code": -32005, "name": name, "message": "m", "data": {}}
    bad, _good, caller = pair(lambda message: [short(1, message[1], error, None)])
    assert [caller.call("f") for _ in range(10)] == ["good"] * 10
    refused = len(bad.wait_for(0))
    # One that drains gets no more until it says otherwise, one that is full may have room again.
    assert refused == (1 if name == "Draining" else 5)


def test_a_node_that_is_silent_loses_its_calls_to_the_other(pair: Any) -> None:
    bad, good, caller = pair(silent)
    caller.write(*(request(n, "f") for n in range(10)))
    bad.wait_for(0, 5)
    bad.health = None
    caller.sock.settimeout(15)
    assert {result for _, result in caller.answers(10).values()} == {"good"}
    # It answers no probe, so it is dialled anew; whether it is seen as up just then is chance.
    poll_until(lambda: bad.connections > 1, "the connection to it is given up")
    assert len(good.wait_for(0)) == 10


def test_news_in_the_health_answer_reaches_the_table(start: Start) -> None:
    node, server = start(lambda message: [short(1, message[1], None, message[3])])
    node.info = {**INFO, "methods": ["f", "new"], "revision": "2"}
    node.health = {"status": "up", "revision": "2"}
    with Caller(server.address) as caller:
        poll_until(lambda: "new" in caller.call("_methods")["methods"], "it is known", 10)
        assert caller.call("new") == "new"
