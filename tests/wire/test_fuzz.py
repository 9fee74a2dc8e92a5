"""Anything at all, sent to live servers: they answer properly or hang up, and nobody else notices.

``MADRPC_FUZZ_S`` sets how long each server is fuzzed; with it, every run tries other bytes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from madrpc.errors import ERRORS
from tests.wire.conftest import Watched
from tests.wire.raw import Caller, Clock, cancel, frame, request

SECONDS = float(os.environ.get("MADRPC_FUZZ_S", "4"))
IS_ALWAYS_THE_SAME = "MADRPC_FUZZ_S" not in os.environ
#: A busy machine gets more time to come to this many tries, but not more than this.
ENOUGH, MOST_S = 50, 30.0
#: Errors that would mean a fault of the server.
NEVER = {"InternalError", "WorkerCrashed", "ConnectionFailed", "NoNodeAvailable"}

numbers = st.one_of(
    st.integers(-1, 8), st.sampled_from([127, 128, 255, 2**16, 2**31, 2**32 - 1, 2**32, 2**63])
)
scalars = st.one_of(
    st.none(), st.booleans(), numbers, st.floats(), st.text(max_size=8), st.binary(max_size=8),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
)  # fmt: skip
keys = st.one_of(st.text(max_size=4), st.integers(0, 3), st.binary(max_size=2), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
methods = st.sampled_from(["echo", "echo_later", "add", "fail", "random", "_health", "_info"])
arguments = st.dictionaries(st.text(max_size=3), values, max_size=3)

good = st.builds(request, st.integers(0, 9), methods, arguments, st.sampled_from([0, 1, 5000]))
cancels = st.builds(cancel, st.integers(0, 9))
near = st.builds(
    lambda fields, drop, extra: frame(msgpack.packb([*fields[: len(fields) - drop], *extra])),
    st.tuples(
        st.integers(0, 3) | values,
        numbers | values,
        numbers | values,
        methods | values,
        arguments | values,
        values,
    ),
    st.sampled_from([0, 0, 0, 1, 2, 4]),
    st.lists(values, max_size=1),
)
wild = st.builds(lambda value: frame(msgpack.packb(value)), values)
noise = st.builds(frame, st.binary(min_size=1, max_size=40))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good frame with its payload cut, stretched or changed; the length is right mostly."""
    data = bytearray(draw(good | cancels)[4:])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if change == "set" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del data[at:]
        elif change == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=5))
        else:
            del data[at : at + 2]
    framed = frame(bytes(data))
    return framed if draw(st.integers(0, 9)) else framed[draw(st.integers(0, 4)) :]


pieces = st.lists(
    st.one_of(good, cancels, near, wild, noise, mutated(), st.binary(max_size=12)), max_size=8
)
endings = st.sampled_from(["finish", "finish", "finish", "reset", "close"])


@contextmanager
def echoing(address: str) -> Iterator[list[int]]:
    """Echo nonces on a good connection all the while; the list holds how many came back."""
    stop, counts, failures = threading.Event(), [0], []

    def echo() -> None:
        try:
            with Caller(address) as caller:
                while not stop.is_set():
                    nonce = counts[0]
                    answer = caller.call("echo", {"nonce": nonce}, 20_000, id=nonce)
                    assert answer == {"nonce": nonce}
                    counts[0] += 1
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=echo)
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join(30)
    assert not failures, failures


def send(address: str, data: bytes, cuts: list[int], ending: str) -> list[tuple[int, Any, Any]]:
    """Write the bytes, end the connection, and return what was answered."""
    with Caller(address) as caller:
        try:
            caller.write_cut(data, cuts)
            if ending == "finish":
                caller.finish()
                return caller.rest()
            if ending == "reset":
                caller.reset()
        except ConnectionError:
            pass  # the server hung up on what came first
    return []


def check(answers: list[tuple[int, Any, Any]], sent: int) -> None:
    assert len(answers) <= sent + 1
    for _, error, _ in answers:
        if error is not None:
            assert error["name"] in set(ERRORS) - NEVER, error
            assert error["code"] == ERRORS[error["name"]].code


class TimeIsOver(BaseException):
    """Ends the fuzzing; hypothesis takes every Exception for a failure."""


def test_anything_at_all(server: Watched) -> None:
    clocks: list[Clock] = []
    failed: list[bytes] = []
    tried = [0]

    @settings(
        max_examples=1_000_000,
        deadline=None,
        database=None,
        derandomize=IS_ALWAYS_THE_SAME,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(pieces, st.lists(st.integers(1, 30), max_size=6), endings)
    def fuzz(frames: list[bytes], cuts: list[int], ending: str) -> None:
        if not clocks:
            clocks.append(Clock())  # what hypothesis does before its first try does not count
        seconds = clocks[0].seconds()
        # What failed once is repeated by hypothesis, also when the time is over.
        if not failed and seconds > SECONDS and (tried[0] > ENOUGH or seconds > MOST_S):
            raise TimeIsOver
        data = b"".join(frames)
        failed.append(data)
        # Every byte could at most be a frame of its own.
        check(send(server.address, data, cuts, ending), len(data))
        failed.pop()
        tried[0] += 1

    with echoing(server.address) as echoes, pytest.raises(TimeIsOver):
        fuzz()
    assert tried[0] > ENOUGH, "too slow to mean anything"
    assert echoes[0] > 0
