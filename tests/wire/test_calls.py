"""Right answers, however the requests are encoded, cut and mixed."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.wire.conftest import WORKERS, Watched
from tests.wire.raw import AnyEncoding, Caller, cancel, nested, request, short, with_args

U32 = 2**32
VALUES = [
    None, True, False, 0, -1, 127, 128, -32, -33, 255, 256, 2**31, -(2**31), 2**32, 2**53 - 1,
    -(2**53 - 1), 0.5, -1.25, 1e300, 0.1, "", "é", "\U0001f600", "x" * 31, "x" * 32, "x" * 300,
    "x" * 70_000, "nul\0nul", [], {}, [1, [2, [3, {}]]], {"": 0, "__proto__": {"x": 1}},
    list(range(20)), {f"key {n}": n for n in range(20)},
]  # fmt: skip


def test_a_thousand_requests_in_flight_on_one_connection(caller: Caller) -> None:
    rng = random.Random(1)
    ids = rng.sample(range(U32), 1000)
    nonces = {id: rng.random() for id in ids}
    # All workers are busy while the requests arrive, so all of them are in flight at once.
    for id in ids[:WORKERS]:
        caller.write(request(id, "spin", {"ms": 150}))
    caller.write(*(request(id, "echo", {"nonce": nonces[id]}) for id in ids[WORKERS:]))
    answers = caller.answers(1000)
    assert all(answers[id] == (None, 150) for id in ids[:WORKERS])
    assert all(answers[id] == (None, {"nonce": nonces[id]}) for id in ids[WORKERS:])
    assert caller.is_quiet()


def test_every_valid_encoding_is_understood(caller: Caller) -> None:
    rng = random.Random(2)
    write = AnyEncoding(rng)
    sent: dict[int, Any] = {}
    for value in VALUES * 6:
        id = rng.choice([rng.randrange(32), rng.randrange(2**16), rng.randrange(U32)])
        if id in sent:
            continue
        sent[id] = {"value": value}
        timeout_ms = rng.choice([0, 60_000, U32 - 1])
        meta = rng.choice([None, {}, {"unknown key": [1, "x"]}])
        caller.write(write.message([0, id, timeout_ms, "echo", sent[id], meta]))
    answers = caller.answers(len(sent))
    assert answers == {id: (None, value) for id, value in sent.items()}


def test_cancels_in_every_valid_encoding(caller: Caller) -> None:
    write = AnyEncoding(random.Random(3))
    for id in range(40):
        caller.write(request(id, "spin", {"ms": 5_000}), write.message([2, id]))
    answers = caller.answers(40)
    assert all(error["name"] == "Cancelled" for error, _ in answers.values())


@pytest.mark.parametrize("id", [0, 1, 127, 128, 255, 256, 2**16, 2**31, U32 - 1])
def test_the_shortest_encoding_and_the_whole_range_of_ids(caller: Caller, id: int) -> None:
    caller.write(short(0, id, 0, "add", {"a": id, "b": 1}, None))
    assert caller.read() == (id, None, {"result": id + 1})


def test_integer_formats_stay_integers_in_the_answer(caller: Caller) -> None:
    answer = caller.call("evaluate", {"js": "[5.0, -0, 2**53 - 1, 2**53, 0.5, NaN, undefined]"})
    assert answer == [5, 0, 2**53 - 1, 2.0**53, 0.5, None, None]
    assert [type(value) for value in answer[:5]] == [int, int, int, float, float]


def test_values_that_need_care(caller: Caller) -> None:
    equal_keys = with_args(b"\x82\xa1a\x01\xa1a\x02", id=1)
    caller.write(len(equal_keys).to_bytes(4, "big") + equal_keys)
    assert caller.read() == (1, None, {"a": 2})
    assert caller.call("echo", None) == {}
    assert caller.call("echo", {"deep": nested(499)}) == {"deep": nested(499)}
    order = caller.call("evaluate", {"js": "({b: 1, 10: 2, 9: 3, a: undefined})"})
    assert list(order.items()) == [("9", 3), ("10", 2), ("b", 1)]
    assert caller.call("evaluate", {"js": "new Date(0)"}) == "1970-01-01T00:00:00.000Z"
    assert caller.call("evaluate", {"js": "undefined"}) is None


@pytest.mark.parametrize("js", ["Symbol()", "() => 1", "1n", "'\\ud800'", "o = {}; o.o = o"])
def test_results_without_a_json_form(caller: Caller, js: str) -> None:
    error = caller.refused(request(5, "evaluate", {"js": js}))
    assert error["name"] == "ResultNotSerializable"
    assert caller.call("echo", {"still": "here"}) == {"still": "here"}


def test_a_thrown_error(caller: Caller) -> None:
    error = caller.refused(request(5, "fail", {"n": 3}))
    assert (error["name"], error["message"]) == ("JavaScriptError", "RangeError: eee")
    assert (error["data"]["name"], error["data"]["message"]) == ("RangeError", "eee")
    assert "script.js" in error["data"]["stack"]


def test_a_thrown_error_with_a_long_message(caller: Caller) -> None:
    error = caller.refused(request(5, "fail", {"n": 1000}))
    assert error["name"] == "JavaScriptError"
    assert error["data"]["message"] == "e" * 1000


# --------------------------------------------------------------- cutting


def test_frames_one_byte_at_a_time(caller: Caller) -> None:
    data = b"".join(
        short(0, n, 0, "echo", {"n": n}, None) if n % 2 else request(n, "echo", {"n": n})
        for n in range(30)
    )
    caller.write_cut(data, [1] * len(data))
    assert caller.answers(30) == {n: (None, {"n": n}) for n in range(30)}


@pytest.mark.parametrize("seed", range(5))
def test_frames_cut_anywhere(caller: Caller, seed: int) -> None:
    rng = random.Random(seed)
    write = AnyEncoding(rng)
    texts = {n: "x" * rng.choice([0, 10, 300, 5_000, 100_000]) for n in range(60)}
    data = b"".join(write.message([0, n, 0, "echo", {"s": texts[n]}, None]) for n in texts)
    sizes = [rng.choice([1, 2, 3, 4, 5, 16, 1_000, 65_536, 300_000]) for _ in range(2_000)]
    caller.write_cut(data, sizes)
    assert caller.answers(60) == {n: (None, {"s": texts[n]}) for n in texts}


@pytest.mark.parametrize("cut", range(1, 36))
def test_two_frames_cut_at_every_place(caller: Caller, cut: int) -> None:
    data = request(1, "echo", {"a": 1}) + short(0, 2, 0, "echo", {"a": 2}, None)
    caller.write_cut(data, [min(cut, len(data) - 1)])
    assert caller.answers(2) == {1: (None, {"a": 1}), 2: (None, {"a": 2})}


# ---------------------------------------------------------- many at once


def test_answers_come_when_they_are_ready(caller: Caller) -> None:
    caller.write(request(1, "spin", {"ms": 800}), request(2, "echo", {"a": 1}))
    assert [answer[0] for answer in (caller.read(), caller.read()) if answer] == [2, 1]


def test_several_connections_at_once(connect: Callable[[], Caller]) -> None:
    def use(number: int) -> None:
        caller, rng = connect(), random.Random(number)
        for _ in range(5):
            ids = rng.sample(range(50), 30)  # the same ids on every connection
            caller.write(*(request(id, "echo", {"from": [number, id]}) for id in ids))
            assert caller.answers(30) == {id: (None, {"from": [number, id]}) for id in ids}

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(8)))


def test_builtins_and_functions_share_a_connection(caller: Caller, server: Watched) -> None:
    caller.write(*(request(n, "echo" if n % 2 else "_health", {"n": n}) for n in range(100)))
    answers = caller.answers(100)
    assert all(answers[n] == (None, {"n": n}) for n in range(1, 100, 2))
    assert all(answers[n][1]["role"] == server.role for n in range(0, 100, 2))


def test_promises(caller: Caller) -> None:
    caller.write(*(request(n, "echo_later", {"n": n}) for n in range(50)))
    assert caller.answers(50) == {n: (None, {"n": n}) for n in range(50)}


def test_functions_that_call_functions(caller: Caller) -> None:
    caller.write(*(request(n, "nest", {"n": n}) for n in range(50)))
    assert caller.answers(50) == {n: (None, {"n": n}) for n in range(50)}
    caller.write(request(5, "nest", {"n": 1}, 0, {"depth": 31}))
    assert caller.read() == (5, None, {"n": 1})
    error = caller.refused(request(5, "nest", {"n": 1}, 0, {"depth": 32}))
    assert "NestedCallLimit" in error["data"]["name"]


def test_answers_written_to_a_slow_reader_arrive_whole(connect: Callable[[], Caller]) -> None:
    caller = connect()
    caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    sizes = [1, 70_000, 10, 500_000, 3, 1_000_000]
    caller.write(*(request(n, "fill", {"n": size}) for n, size in enumerate(sizes)))
    assert caller.answers(len(sizes)) == {n: (None, "x" * size) for n, size in enumerate(sizes)}


def test_a_cancel_of_nothing_is_not_answered(caller: Caller) -> None:
    caller.write(cancel(1), cancel(U32 - 1))
    assert caller.call("echo", {"a": 1}) == {"a": 1}
    caller.write(cancel(1))
    assert caller.is_quiet()
