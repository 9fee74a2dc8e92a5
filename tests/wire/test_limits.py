"""Sizes: the frame limit at its edge, and what one caller can make a server hold."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import RunningServer, Servers, poll_until
from tests.wire.conftest import needs_proc
from tests.wire.raw import (
    NIL,
    Caller,
    frame,
    head,
    memory,
    nested,
    request,
    request_of_size,
)

LIMIT = 64 * 1024
WITH_LIMIT = ("--max-frame", LIMIT)
Start = Callable[..., RunningServer]


@pytest.fixture
def limited(private: Start) -> RunningServer:
    """A server whose frames hold 64 KiB at most."""
    return private(*WITH_LIMIT, orchestrator_words=WITH_LIMIT)


def test_frames_of_exactly_the_limit(limited: RunningServer) -> None:
    with Caller(limited.address) as caller:
        caller.write(request_of_size(LIMIT, 1, short_head=False))
        # The answer's head is five bytes shorter than the request's, and "echo" is missing.
        assert caller.answers(1)[1][0] is None
        caller.write(request_of_size(LIMIT - 8, 1, short_head=True))
        assert caller.answers(1)[1][0] is None
        fits = LIMIT - 7 - 1 - 5  # the head, the nil of the error, the header of the text
        assert len(caller.call("fill", {"n": fits - 2})) == fits - 2
        for n in (LIMIT, LIMIT + 1, 10 * LIMIT):
            error = caller.refused(request(5, "fill", {"n": n}))
            assert (error["name"], error["data"]["limit"]) == ("PayloadTooLarge", LIMIT)
        caller.write(request_of_size(LIMIT + 1, 1, short_head=False))
        answer = caller.read()
        assert answer is not None
        assert (answer[0], answer[1]["name"]) == (0, "PayloadTooLarge")
        assert answer[1]["data"] == {"size": LIMIT + 1, "limit": LIMIT}


def crashes_nothing(server: RunningServer, send: bytes) -> Any:
    """Send a frame while another caller's call runs, which must not notice; return the error."""
    with Caller(server.address) as other, Caller(server.address) as caller:
        other.write(request(1, "spin", {"ms": 700}))
        before = caller.call("_metrics")
        poll_until(lambda: caller.call("_metrics")["workers"]["busy"], "the other call runs")
        caller.write(send)
        error = caller.answers(1)[5][0]
        assert other.read() == (1, None, 700)
        after = caller.call("_metrics")
        assert after["workers"]["restarts"] == before["workers"]["restarts"]
        assert after.get("retries") == before.get("retries")
        return error


def test_a_frame_of_exactly_the_limit_with_a_short_head(limited: RunningServer) -> None:
    error = crashes_nothing(limited, request_of_size(LIMIT, 5, short_head=True))
    assert error is None or error["name"] == "PayloadTooLarge"


def test_an_unfit_argument_under_a_very_long_key(limited: RunningServer) -> None:
    error = crashes_nothing(limited, request(5, "echo", {"k" * (LIMIT - 100): float("nan")}))
    assert error["name"] in ("InvalidArguments", "PayloadTooLarge")


@pytest.fixture
def mismatched(servers: Servers, start_node: Start) -> Callable[[int, int], RunningServer]:
    """Starts an orchestrator and a node with different limits; returns the orchestrator."""

    def start(of_node: int, of_orchestrator: int) -> RunningServer:
        node = start_node("--max-frame", of_node, workers=2)
        words = ("--max-frame", of_orchestrator)
        orchestrator: RunningServer = servers.orchestrator(node, words=words)
        return orchestrator

    return start


def test_a_node_with_a_smaller_limit(mismatched: Callable[[int, int], RunningServer]) -> None:
    server = mismatched(LIMIT, 4 * LIMIT)
    error = crashes_nothing(server, request(5, "echo", {"s": "x" * 2 * LIMIT}))
    assert error["name"] == "PayloadTooLarge"


def test_a_node_with_a_larger_limit(mismatched: Callable[[int, int], RunningServer]) -> None:
    server = mismatched(4 * LIMIT, LIMIT)
    error = crashes_nothing(server, request(5, "fill", {"n": 2 * LIMIT}))
    assert error["name"] == "PayloadTooLarge"


# ------------------------------------------------------------- memory


def empty_maps(count: int) -> bytes:
    """An array that takes one byte on the wire for each element, and 72 in Python."""
    return b"\xdd" + struct.pack(">I", count) + b"\x80" * count


@needs_proc
@pytest.mark.parametrize(
    "payload",
    [
        head(5) + b"\xa7_health\x81\xa1a" + empty_maps(4 * 2**20) + NIL,
        b"\x96\x00\x05" + empty_maps(4 * 2**20) + b"\xa4echo\x80\xc0",
    ],
    ids=["arguments of a builtin", "timeout_ms"],
)
def test_a_frame_costs_the_front_end_no_more_than_its_bytes(private: Start, payload: bytes) -> None:
    server = private()
    with Caller(server.address) as caller:
        before = memory(server.pid)
        caller.write(frame(payload))
        assert caller.read() is not None
        assert memory(server.pid) < before + 8 * len(payload)


@needs_proc
def test_a_call_with_meta_costs_the_front_end_no_more_than_its_bytes(start_node: Start) -> None:
    payload = head(5) + b"\xa4echo\x81\xa1a" + empty_maps(4 * 2**20) + b"\x81\xa1x\x01"
    node = start_node()
    with Caller(node.address) as caller, Caller(node.address) as other:
        before = memory(node.pid)
        caller.write(frame(payload))
        poll_until(lambda: other.call("_metrics")["workers"]["busy"], "the call runs")
        assert memory(node.pid) < before + 8 * len(payload)


@needs_proc
def test_a_frame_costs_a_worker_no_more_than_its_bytes(start_node: Start) -> None:
    node = start_node()
    with Caller(node.address) as caller:
        caller.call("echo")
        (worker,) = (row["pid"] for row in caller.call("_metrics")["workers"]["processes"])
        before = memory(worker)
        args = {"a": nested(450, [0] * 40_000), "b": float("nan")}
        assert caller.refused(request(5, "echo", args))["name"] == "InvalidArguments"
        assert memory(worker) < before + 64 * 2**20


@needs_proc
def test_a_caller_that_never_reads_costs_a_bounded_amount(private: Start) -> None:
    words = ("--max-frame", 2**20)
    server = private(*words, orchestrator_words=words)
    with Caller(server.address) as probe, Caller(server.address) as caller:
        allowed = memory(server.pid) + 24 * 2**20
        caller.write(*(request(n, "fill", {"n": 1_000_000}) for n in range(60)))
        give_up = time.monotonic() + 8
        # Either the server cuts the caller off, or it stops reading from it; or all is queued.
        while time.monotonic() < give_up:
            assert memory(server.pid) < allowed
            found = probe.call("_metrics", {"nodes": False})
            if found["connections"] == 1 or found["calls"] >= 60:
                break
            time.sleep(0.02)
        assert memory(server.pid) < allowed


def test_a_depth_does_not_open_the_queue(start_node: Start) -> None:
    node = start_node("--queue-size", 4)
    with Caller(node.address) as caller:
        caller.write(request(1, "spin", {"ms": 600}))
        caller.write(*(request(n, "echo", {}, 0, {"depth": 1}) for n in range(2, 202)))
        errors = [error["name"] for error, _ in caller.answers(201).values() if error]
    assert errors.count("Overloaded") > 100


def test_a_full_queue_refuses_at_once(start_node: Start) -> None:
    node = start_node("--queue-size", 4)
    with Caller(node.address) as caller:
        caller.write(request(1, "spin", {"ms": 600}))
        caller.write(*(request(n, "echo") for n in range(2, 22)))
        first = caller.answers(16)
        assert {error["name"] for error, _ in first.values()} == {"Overloaded"}
        assert all(error["data"]["retry_after_ms"] > 0 for error, _ in first.values())
        assert all(error is None for error, _ in caller.answers(5).values())


def test_unknown_methods_take_no_room_in_the_metrics(servers: Servers, start_node: Start) -> None:
    node = start_node()
    with Caller(servers.orchestrator(node).address) as caller:
        caller.write(*(request(n, f"no such method {n}") for n in range(250)))
        caller.answers(250)
        caller.call("echo", {"a": 1})
        assert "echo" in caller.call("_metrics")["methods"]
