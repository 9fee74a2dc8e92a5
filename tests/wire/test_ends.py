"""How calls and connections end: ids, cancels, deadlines, FIN, RST."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Callable

import msgpack
import pytest

from tests.servers import RunningServer, poll_until
from tests.wire.conftest import WORKERS, Cluster, Watched
from tests.wire.raw import Caller, Clock, cancel, request, short

#: How late an answer may be: the promise is half a second, the rest is for a busy machine.
LATE_S = 1.5


def occupy(caller: Caller, cluster: Cluster, ms: int, first_id: int = 100) -> list[int]:
    """Keep every worker busy; return the ids of the calls that do."""
    ids = list(range(first_id, first_id + WORKERS))
    caller.write(*(request(id, "spin", {"ms": ms}) for id in ids))
    poll_until(lambda: cluster.workers_busy() == WORKERS, "all workers are busy")
    return ids


# -------------------------------------------------------------------- ids


def test_an_id_may_be_used_again_once_it_was_answered(caller: Caller) -> None:
    for n in range(300):
        assert caller.call("echo", {"n": n}, id=7) == {"n": n}


def test_a_second_request_with_an_id_in_flight_is_refused_and_the_first_goes_on(
    caller: Caller,
) -> None:
    caller.write(request(7, "spin", {"ms": 200}), request(7, "echo", {"a": 1}), short(0, 7, 0))
    answers = [caller.read(), caller.read(), caller.read()]
    names = [answer[1] and answer[1]["name"] for answer in answers if answer]
    assert names == ["ProtocolError", "InvalidRequest", None]
    assert answers[2] == (7, None, 200)
    assert caller.call("echo", {"a": 2}, id=7) == {"a": 2}


def test_connections_do_not_share_ids(connect: Callable[[], Caller]) -> None:
    callers = [connect() for _ in range(3)]
    for n, caller in enumerate(callers):
        caller.write(request(7, "spin", {"ms": 100 + n}))
    assert [caller.read() for caller in callers] == [(7, None, 100 + n) for n in range(3)]


# ------------------------------------------------------------------ cancel


def test_cancel_of_a_running_call(caller: Caller, cluster: Cluster) -> None:
    ids = occupy(caller, cluster, 5_000)
    clock = Clock()
    caller.write(*map(cancel, ids))
    answers = caller.answers(len(ids))
    assert clock.seconds() < LATE_S
    assert {error["name"] for error, _ in answers.values()} == {"Cancelled"}
    assert caller.call("echo", {"a": 1}, id=ids[0]) == {"a": 1}
    assert caller.is_quiet()


def test_cancel_of_a_queued_call(caller: Caller, cluster: Cluster) -> None:
    ids = occupy(caller, cluster, 400)
    caller.write(request(1, "echo", {"a": 1}), request(2, "echo", {"a": 2}), cancel(1))
    first = caller.read()
    assert first is not None
    assert (first[0], first[1]["name"]) == (1, "Cancelled")
    assert caller.answers(3) == {2: (None, {"a": 2}), **dict.fromkeys(ids, (None, 400))}
    assert caller.is_quiet()


def test_the_id_of_a_cancelled_call_is_free_at_once(caller: Caller) -> None:
    for n in range(3):
        caller.write(request(7, "spin", {"ms": 300}), cancel(7), request(7, "echo", {"n": n}))
        first, second = caller.read(), caller.read()
        assert first is not None
        assert first[1]["name"] == "Cancelled"
        assert second == (7, None, {"n": n})
    assert caller.is_quiet(0.4)


@pytest.mark.parametrize("builtin", ["_health", "_info"])
def test_the_id_of_a_cancelled_builtin_is_free_at_once(caller: Caller, builtin: str) -> None:
    caller.write(request(7, builtin), cancel(7), request(7, "echo", {"mine": True}))
    first, second = caller.read(), caller.read()
    assert first is not None
    assert first[1]["name"] == "Cancelled"
    assert second == (7, None, {"mine": True})


def test_a_cancelled_request_is_answered_exactly_once(caller: Caller) -> None:
    rng = random.Random(4)
    outcomes = set()
    for start in range(0, 600, 100):
        ids = range(start, start + 100)
        for id in ids:
            caller.write(request(id, "echo", {"id": id}))
            if rng.random() < 0.5:
                caller.write(cancel(rng.randrange(start, id + 1)))
        for id, (error, result) in caller.answers(100).items():
            outcomes.add(error and error["name"])
            assert result == {"id": id} or error["name"] == "Cancelled"
    assert None in outcomes
    assert caller.is_quiet()


# ---------------------------------------------------------------- deadlines


@pytest.mark.parametrize("timeout_ms", [1, 300])
def test_a_deadline_stops_a_spinning_function(caller: Caller, timeout_ms: int) -> None:
    clock = Clock()
    error = caller.refused(request(5, "spin", {"ms": 5_000}, timeout_ms))
    assert error["name"] == "CallTimeout"
    assert timeout_ms / 1000 * 0.9 < clock.seconds() < timeout_ms / 1000 + LATE_S
    assert caller.call("echo", {"a": 1}, timeout_ms=20_000) == {"a": 1}


def test_a_deadline_passes_in_the_queue(caller: Caller, cluster: Cluster) -> None:
    ids = occupy(caller, cluster, 700)
    caller.write(request(1, "echo", {"a": 1}, 100))
    first = caller.read()
    assert first is not None
    assert (first[0], first[1]["name"]) == (1, "CallTimeout")
    assert caller.answers(len(ids)) == dict.fromkeys(ids, (None, 700))


def test_many_short_deadlines_each_end_once_and_in_time(caller: Caller) -> None:
    rng = random.Random(5)
    clock = Clock()
    limits = {id: rng.randrange(1, 60) for id in range(100)}
    caller.write(*(request(id, "spin", {"ms": 4}, limit) for id, limit in limits.items()))
    for error, result in caller.answers(100).values():
        assert result == 4 or error["name"] == "CallTimeout"
    assert clock.seconds() < 0.06 + LATE_S
    assert caller.is_quiet()


def test_the_longest_deadline_there_is(caller: Caller) -> None:
    assert caller.call("echo", {"a": 1}, timeout_ms=2**32 - 1) == {"a": 1}


# -------------------------------------------------------------------- ends


def test_half_close_still_gets_every_answer(caller: Caller) -> None:
    caller.write(*(request(n, "spin", {"ms": 20}) for n in range(6)), request(6, "_health"))
    caller.write(*(request(n, "echo", {"n": n}) for n in range(10, 60)))
    caller.finish()
    found = {id: result for id, error, result in caller.rest() if error is None}
    assert len(found) == 57
    assert all(found[n] == {"n": n} for n in range(10, 60))


def test_half_close_with_nothing_outstanding_closes(caller: Caller) -> None:
    assert caller.call("echo", {"a": 1}) == {"a": 1}
    caller.finish()
    assert caller.read() is None


def test_half_close_without_a_request_closes(caller: Caller) -> None:
    caller.finish()
    assert caller.read() is None


def test_half_close_with_large_answers(caller: Caller) -> None:
    size = 3_000_000
    caller.write(*(request(n, "fill", {"n": size}) for n in range(3)))
    caller.finish()
    assert [len(result) for _, _, result in caller.rest()] == [size] * 3


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_frame_cut_short_by_fin_is_dropped(caller: Caller, cut: int) -> None:
    caller.write(request(1, "spin", {"ms": 50}), request(2, "echo", {"a": 1})[:cut])
    caller.finish()
    assert caller.rest() == [(1, None, 50)]


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, 20])
def test_a_reset_leaves_nothing_behind(caller: Caller, cut: int) -> None:
    caller.write(request(1, "spin", {"ms": 50}), request(2, "echo", {"a": 1})[:cut])
    caller.reset()  # the fixture checks that everything is as before


def test_a_reset_cancels_the_calls(caller: Caller, cluster: Cluster, server: Watched) -> None:
    occupy(caller, cluster, 8_000)
    clock = Clock()
    caller.write(*(request(n, "echo", {"n": n}) for n in range(50)))
    caller.reset()
    poll_until(lambda: server.state()["in_flight"] == 0, "the calls of a lost caller ended", 5)
    cluster.settle()
    assert clock.seconds() < 6


def test_a_close_cancels_the_calls(caller: Caller, cluster: Cluster, server: Watched) -> None:
    occupy(caller, cluster, 8_000)
    clock = Clock()
    caller.write(*(request(n, "echo", {"n": n}) for n in range(50)))
    caller.close()  # a FIN, exactly as a half-close, and a reset for whatever comes after it
    poll_until(lambda: server.state()["in_flight"] == 0, "the calls of a lost caller ended", 5)
    cluster.settle()
    assert clock.seconds() < 6


def test_a_caller_that_has_closed_costs_no_other_its_turn(
    connect: Callable[[], Caller], cluster: Cluster
) -> None:
    leaves, stays = connect(), connect()
    occupy(leaves, cluster, 8_000)
    stays.write(request(1, "echo", {"a": 1}))
    clock = Clock()
    leaves.close()
    assert stays.read() == (1, None, {"a": 1})
    assert clock.seconds() < LATE_S


def test_half_close_with_the_largest_answer_that_may_be_begun_early(caller: Caller) -> None:
    caller.write(request(1, "spin", {"ms": 100}), request(2, "fill", {"n": 2**24 - 100}))
    caller.finish()
    found = {id: error or len(result) if id == 2 else result for id, error, result in caller.rest()}
    assert found == {1: 100, 2: 2**24 - 100}


def test_callers_that_leave_without_reading(connect: Callable[[], Caller]) -> None:
    for n in range(20):
        caller = connect()
        caller.write(*(request(id, "fill", {"n": 20_000}) for id in range(20)))
        if n % 2:
            caller.reset()
        else:
            caller.close()
    assert connect().call("echo", {"a": 1}) == {"a": 1}


def test_a_server_that_stops_finishes_what_it_has_taken(
    private: Callable[..., RunningServer],
) -> None:
    server = private()
    with Caller(server.address) as caller:
        caller.write(request(1, "spin", {"ms": 700}))
        poll_until(lambda: caller.call("_metrics", id=2)["workers"]["busy"], "the call runs")
        server.send(signal.SIGTERM)
        poll_until(lambda: caller.call("_health", id=2)["status"] == "draining", "it drains")
        assert caller.refused(request(3, "echo", {"a": 1}), 3)["name"] == "Draining"
        with pytest.raises(ConnectionRefusedError):
            Caller(server.address)
        assert caller.rest() == [(1, None, 700)]
    assert server.process.wait(10) == 0


def test_nothing_follows_the_refusal_of_a_peer_that_finishes(connect: Callable[[], Caller]) -> None:
    for wait_ms in range(10):
        caller = connect()
        # The call is still in flight when the refusal is sent and the end of input comes.
        caller.write(request(1, "spin", {"ms": 300}), b"\xff\xff\xff\xff")
        # Which of the two the server sees first, and how far it is then, differs.
        time.sleep(wait_ms / 1000)
        caller.finish()
        ((id, error, _),) = caller.rest()
        assert (id, error["name"]) == (0, "PayloadTooLarge")


def test_one_that_has_finished_sending_gets_its_receipts(caller: Caller) -> None:
    asking = {"receipt": True}
    caller.write(*(request(id, "spin", {"ms": 50}, 0, asking) for id in (1, 2)))
    caller.sock.shutdown(socket.SHUT_WR)
    for _ in range(2):
        payload = caller.read_payload()
        assert payload is not None
        kind, _, error, result, first, *_ = msgpack.unpackb(payload)
        assert (kind, error, result) == (1, None, 50)
        assert first["run_ms"] > 49
    assert caller.read_payload() is None
