"""What a broken or hostile caller sends, and that nobody else notices."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import msgpack
import pytest

from tests.wire.conftest import Watched, needs_proc
from tests.wire.raw import (
    MAX_FRAME,
    Caller,
    frame,
    head,
    memory,
    nested,
    request,
    short,
    with_args,
)

pack = msgpack.packb
ECHO_5 = head(5) + pack("echo")

#: Bytes after which the server gives the connection up, and the error it names.
FATAL = {
    "length 0": (struct.pack(">I", 0), "ProtocolError"),
    "length 2**32 - 1": (b"\xff\xff\xff\xff", "PayloadTooLarge"),
    "one over the limit": (struct.pack(">I", MAX_FRAME + 1), "PayloadTooLarge"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "ProtocolError"),
    "never used byte": (frame(b"\xc1"), "ProtocolError"),
    "nil": (frame(b"\xc0"), "ProtocolError"),
    "map": (frame(b"\x80"), "ProtocolError"),
    "text": (frame(pack("hello")), "ProtocolError"),
    "zeros": (frame(bytes(100)), "ProtocolError"),
    "empty array": (frame(b"\x90"), "ProtocolError"),
    "header cut short": (frame(b"\xdc\x00"), "ProtocolError"),
    "no id": (frame(b"\x91\x00"), "ProtocolError"),
    "id cut short": (frame(b"\x96\x00\xce\x00\x00"), "ProtocolError"),
    "huge array": (frame(b"\xdd\xff\xff\xff\xff"), "ProtocolError"),
    "kind nil": (short(None, 5, 0, "echo", {}, None), "InvalidRequest"),
    "kind true": (short(True, 5, 0, "echo", {}, None), "InvalidRequest"),
    "kind -1": (short(-1, 5, 0, "echo", {}, None), "InvalidRequest"),
    "id nil": (short(0, None, 0, "echo", {}, None), "InvalidRequest"),
    "id false": (short(0, False, 0, "echo", {}, None), "InvalidRequest"),
    "id float": (short(0, 5.0, 0, "echo", {}, None), "InvalidRequest"),
    "id text": (short(0, "5", 0, "echo", {}, None), "InvalidRequest"),
    "id -1": (short(0, -1, 0, "echo", {}, None), "InvalidRequest"),
    "id 2**32": (short(0, 2**32, 0, "echo", {}, None), "InvalidRequest"),
    "cancel of nil": (short(2, None), "InvalidRequest"),
    "id is an array": (short(0, [[1] * 20], 0, "echo", {}, None), "InvalidRequest"),
    "id is 1e308": (short(0, 1e308, 0, "echo", {}, None), "InvalidRequest"),
    "id is a timestamp": (short(0, msgpack.Timestamp(1), 0, "", {}, None), "InvalidRequest"),
    "a response": (short(1, 5, None, 8), "ProtocolError"),
    "a response in the usual form": (frame(b"\x94\x01\xce\0\0\0\5\xc0\x08"), "ProtocolError"),
}

#: Payloads that are refused under id 5, the error, and the field it names.
REFUSED = {
    "unknown kind": (pack([9, 5]), "InvalidRequest", None),
    "kind 2**32 - 1": (pack([2**32 - 1, 5]), "InvalidRequest", None),
    "response of two": (pack([1, 5]), "InvalidRequest", None),
    "request of five": (pack([0, 5, 0, "echo", {}]), "InvalidRequest", None),
    "request of seven": (pack([0, 5, 0, "echo", {}, None, 1]), "InvalidRequest", None),
    "cancel of three": (pack([2, 5, 0]), "InvalidRequest", None),
    "bytes after a cancel": (pack([2, 5]) + b"\xc0", "InvalidRequest", None),
    "timeout nil": (pack([0, 5, None, "echo", {}, None]), "InvalidRequest", "timeout_ms"),
    "timeout true": (pack([0, 5, True, "echo", {}, None]), "InvalidRequest", "timeout_ms"),
    "timeout -1": (pack([0, 5, -1, "echo", {}, None]), "InvalidRequest", "timeout_ms"),
    "timeout NaN": (pack([0, 5, float("nan"), "echo", {}, 0]), "InvalidRequest", "timeout_ms"),
    "timeout 2**32": (pack([0, 5, 2**32, "echo", {}, None]), "InvalidRequest", "timeout_ms"),
    "method empty": (pack([0, 5, 0, "", {}, None]), "InvalidRequest", "method"),
    "method nil": (pack([0, 5, 0, None, {}, None]), "InvalidRequest", "method"),
    "method bin": (pack([0, 5, 0, b"echo", {}, None]), "InvalidRequest", "method"),
    "method array": (pack([0, 5, 0, ["echo"], {}, None]), "InvalidRequest", "method"),
    "method of 256": (pack([0, 5, 0, "x" * 256, {}, None]), "InvalidRequest", "method"),
    "method of 256 in é": (pack([0, 5, 0, "é" * 128, {}, None]), "InvalidRequest", "method"),
    "method of 1 MB": (pack([0, 5, 0, "x" * 10**6, {}, None]), "InvalidRequest", "method"),
    "method not UTF-8": (head(5) + b"\xa4\xff\xfe\xfd\xfc\x80\xc0", "InvalidRequest", "method"),
    "nothing after the head": (head(5), "InvalidRequest", None),
    "nothing after the method": (ECHO_5, "InvalidRequest", None),
    "no meta": (ECHO_5 + b"\x80", "InvalidRequest", None),
    "method cut short": (head(5) + b"\xd9\xffecho", "InvalidRequest", None),
    "method of 4 GiB": (head(5) + b"\xdb\xff\xff\xff\xffecho\x80\xc0", "InvalidRequest", None),
    "args array": (with_args(b"\x90"), "InvalidRequest", "args"),
    "args text": (with_args(pack("{}")), "InvalidRequest", "args"),
    "args bin": (with_args(pack(b"{}")), "InvalidRequest", "args"),
    "args false": (with_args(b"\xc2"), "InvalidRequest", "args"),
    "meta array": (ECHO_5 + b"\x80\x90", "InvalidRequest", "meta"),
    "meta 0": (ECHO_5 + b"\x80\x00", "InvalidRequest", "meta"),
    "args cut short": (ECHO_5 + b"\x81\xa1", "ProtocolError", None),
    "args never used byte": (with_args(b"\x81\xa1a\xc1"), "ProtocolError", None),
    "args array of 4 G": (with_args(b"\x81\xa1a\xdd\xff\xff\xff\xff"), "ProtocolError", None),
    "args text of 4 G": (with_args(b"\x81\xa1a\xdb\xff\xff\xff\xff"), "ProtocolError", None),
    "args not UTF-8": (with_args(b"\x81\xa1a\xa1\xff"), "ProtocolError", None),
    "args surrogate": (with_args(b"\x81\xa1a\xa3\xed\xa0\x80"), "ProtocolError", None),
    "args key an array": (with_args(b"\x81\x90\x01"), "ProtocolError", None),
    "meta key 1": (ECHO_5 + b"\x80\x81\x01\x01", "ProtocolError", None),
    "bytes after meta": (with_args(b"\x80") + b"\xc0", "ProtocolError", None),
    "a second message": (pack([0, 5, 0, "echo", {}, None]) * 2, "ProtocolError", None),
}  # fmt: skip

#: Arguments that JSON cannot carry, and the path the error names.
UNFIT = {
    "NaN": ({"a": {"b": [0, float("nan")]}}, ["a", "b", 1]),
    "infinity": ({"a": float("-inf")}, ["a"]),
    "2**53": ({"n": [2**53]}, ["n", 0]),
    "-2**53": ({"n": -(2**53)}, ["n"]),
    "u64": ({"n": 2**64 - 1}, ["n"]),
    "bin": ({"a": b"x"}, ["a"]),
    "timestamp": ({"a": msgpack.Timestamp(1)}, ["a"]),
    "key 1": ({"a": {1: 1}}, ["a"]),
    "key nil": ({"a": {None: 1}}, ["a"]),
    "bin key": ({b"a": 1}, []),
    "too deep": ({"a": nested(500)}, ["a", *[0] * 49]),
    "under a long key": ({"k" * 1000: [b""]}, ["k" * 100, 0]),
    "extension": ({"a": msgpack.ExtType(4, b"x")}, ["a"]),
}


@pytest.fixture
def bystander(connect: Callable[[], Caller]) -> Iterator[Any]:
    """Echoes on a connection of its own all the while; its calls must not notice anything."""
    stop, caller = Event(), connect()

    def echo() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            assert caller.call("echo", {"nonce": count}, id=count) == {"nonce": count}
        return count

    with ThreadPoolExecutor(1) as thread:
        echoing = thread.submit(echo)
        yield
        stop.set()
        assert echoing.result() > 0


@pytest.mark.parametrize(("data", "name"), FATAL.values(), ids=FATAL)
@pytest.mark.usefixtures("bystander")
def test_where_no_id_can_be_read_the_connection_closes(
    caller: Caller, data: bytes, name: str
) -> None:
    caller.write(data)
    answer = caller.read()
    assert answer is not None
    assert (answer[0], answer[1]["name"]) == (0, name)
    assert caller.read() is None


@pytest.mark.parametrize(("payload", "name", "field"), REFUSED.values(), ids=REFUSED)
def test_where_the_id_is_known_the_error_goes_there_and_the_connection_goes_on(
    caller: Caller, payload: bytes, name: str, field: str | None
) -> None:
    error = caller.refused(frame(payload))
    assert (error["name"], error["data"].get("field")) == (name, field)
    assert caller.call("echo", {"a": 1}, id=5) == {"a": 1}


@pytest.mark.parametrize(("args", "path"), UNFIT.values(), ids=UNFIT)
def test_unfit_arguments_are_refused_with_their_path(
    caller: Caller, args: Any, path: list[Any]
) -> None:
    error = caller.refused(request(5, "echo", args))
    assert (error["name"], error["data"]) == ("InvalidArguments", {"path": path})
    assert caller.call("echo", {"a": 1}, id=5) == {"a": 1}


def test_nesting_beyond_what_readers_allow(caller: Caller) -> None:
    for depth in (1_000, 5_000, 1_000_000):
        payload = with_args(b"\x81\xa1a" + b"\x91" * depth + b"\x00")
        assert caller.refused(frame(payload))["name"] == "InvalidArguments"
    assert caller.call("echo", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("method", "similar"),
    [("ech", ["echo"]), ("echo ", ["echo"]), ("Add", ["add"]), ("sping", ["spin"]), ("qqqq", [])],
)
def test_an_unknown_method_names_similar_ones(
    caller: Caller, method: str, similar: list[str]
) -> None:
    error = caller.refused(request(5, method, {}))
    assert error["name"] == "MethodNotFound"
    assert error["data"]["similar"][: len(similar)] == similar
    assert bool(error["data"]["similar"]) == bool(similar)


@pytest.mark.parametrize(
    "method",
    ["__proto__", "constructor", "toString", "_", "_nope", "_Health", "\0", "é", "x" * 255, "a\nb"],
)
def test_names_that_are_no_methods(caller: Caller, method: str) -> None:
    error = caller.refused(request(5, method, {"a": 1}))
    assert error["name"] == "MethodNotFound"
    # What the arguments hold is not looked at.
    payload = head(5) + pack(method) + b"\x90\x90\xc1"
    assert caller.refused(frame(payload))["name"] == "MethodNotFound"


def test_builtins_take_little(caller: Caller) -> None:
    assert caller.call("_health", {"unknown": "x" * 60_000})["status"] == "up"
    error = caller.refused(request(5, "_health", {"unknown": "x" * 70_000}))
    assert error["name"] == "PayloadTooLarge"
    assert caller.call("_health")["status"] == "up"


def test_requests_in_front_of_garbage_end_with_the_connection(caller: Caller) -> None:
    caller.write(request(7, "spin", {"ms": 3_000}), request(8, "_health"), frame(b"\xc1"))
    answers = caller.rest()
    assert [id for id, *_ in answers if id not in (7, 8)] == [0]
    assert 7 not in [id for id, *_ in answers]


@pytest.mark.usefixtures("bystander")
def test_many_bad_connections_leave_nothing_behind(connect: Callable[[], Caller]) -> None:
    for n in range(5):
        for data, _ in FATAL.values():
            caller = connect()
            caller.write(request(1, "echo", {"a": 1}) * n, data)
            if n % 2:
                caller.reset()
            else:
                caller.close()


@needs_proc
def test_memory_follows_what_came_and_not_what_was_announced(
    connect: Callable[[], Caller], server: Watched
) -> None:
    before = memory(server.pid, "VmRSS")
    callers = [connect() for _ in range(100)]
    for caller in callers:
        caller.write(struct.pack(">I", MAX_FRAME) + ECHO_5)
    assert callers[0].is_quiet()
    assert connect().call("echo", {"a": 1}) == {"a": 1}
    assert memory(server.pid, "VmRSS") < before + 8 * 2**20


def test_a_caller_that_goes_on_sending_sees_the_reason_or_a_reset(
    connect: Callable[[], Caller],
) -> None:
    for _ in range(10):
        caller = connect()
        try:
            caller.write(frame(b"\xc1"), bytes(2 * 2**20))
        except ConnectionError:
            pass  # the server may close while this is being written
        try:
            answers = caller.rest()
        except ConnectionResetError:
            continue
        assert {(id, error["name"]) for id, error, _ in answers} == {(0, "ProtocolError")}
