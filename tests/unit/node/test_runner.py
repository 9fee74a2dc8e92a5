"""The calls inside one worker, with an engine that does what it is told."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from madrpc.config import EngineLimits
from madrpc.engine.interface import Call, Done, LogLine, NestedCall, Step, Waiting
from madrpc.errors import InternalError, JavaScriptError, MadrpcError, Overloaded, TimeLimitExceeded
from madrpc.node import runner
from madrpc.node.runner import CallRunner
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import NIL, Request, Response, error_tail, request_tail, result_tail

LIMIT = 10_000
PARKED = [2, 1]  # the worker's word for it: a cancel with the job's number


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch):
    """A call that seems long to a busy machine would send a message more."""
    monkeypatch.setattr(runner, "_now", lambda: 0.0)


class FakeExecution:
    """Takes the steps of its script: a step, an error, or what gives one of them."""

    def __init__(self, call: Call, steps: list[Any]) -> None:
        self.call = call
        self.steps = steps
        self.fed: list[tuple[int, Any, Any]] = []
        self.closed = 0
        self.written: list[LogLine] = []

    def start(self) -> Step:
        return self.next()

    def feed(self, id: int, *, result: str | None, error: Any) -> Step:
        self.fed.append((id, None if result is None else json.loads(result), error))
        return self.next()

    def next(self) -> Step:
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def wake(self) -> Step:
        return self.next()

    def logs(self) -> list[LogLine]:
        written, self.written = self.written, []
        return written

    def heap_bytes(self) -> int | None:
        assert not self.closed
        return 4096

    def close(self) -> None:
        self.closed += 1


class FakeEngine:
    def __init__(self, *steps: Any) -> None:
        self.limits = EngineLimits(time_s=2.0)
        self.methods = {"f": None}
        self.steps = list(steps)
        self.is_worn = False
        self.is_broken = False
        self.made: list[FakeExecution] = []

    def execution(self, call: Call) -> FakeExecution:
        self.made.append(FakeExecution(call, self.steps))
        return self.made[-1]


class Desk:
    """A runner, and the messages it sends."""

    def __init__(self, *steps: Any) -> None:
        self.engine = FakeEngine(*steps)
        self.decoder = FrameDecoder(2 * LIMIT)
        self.sent: list[Any] = []
        self.runner = CallRunner(self.engine, LIMIT, self.take)  # type: ignore[arg-type]

    def take(self, frame: bytes) -> None:
        self.sent += [msgpack.unpackb(payload) for payload in self.decoder.feed(frame)]
        assert self.decoder.partial_bytes == 0, "only whole frames may be sent"

    def start(self, id: int = 1, method: str = "f", args: Any = None, **more: Any) -> list[Any]:
        """Start a call; return the messages that led to."""
        tail = request_tail(method, args, more.get("meta"))
        return self.after(lambda: self.runner.start(Request(id, more.get("ms", 0), method, tail)))

    def answer(self, n: int, result: Any = None, error: MadrpcError | None = None) -> list[Any]:
        tail = result_tail(result) if error is None else error_tail(error)
        return self.after(lambda: self.runner.answered(Response(n, tail)))

    def after(self, deed: Callable[[], None]) -> list[Any]:
        self.sent.clear()
        deed()
        return list(self.sent)

    @property
    def execution(self) -> FakeExecution:
        return self.engine.made[-1]


def waits(*calls: NestedCall) -> Waiting:
    return Waiting(calls)


def asks(id: int, method: str = "g", args: str = '{"a":1}') -> NestedCall:
    return NestedCall(id, method, args)


def error_name(messages: list[Any]) -> str:
    (message,) = messages
    assert message[0] == 1
    return message[2]["name"]


# -------------------------------------------------------------------- calls


def test_a_result_is_sent_and_its_context_freed():
    desk = Desk(Done('{"r":[1,"é"]}'))
    assert desk.start(7, args={"a": 1}) == [[1, 7, None, {"r": [1, "é"]}]]
    assert desk.execution.call == Call("f", '{"a":1}', 2.0)
    assert desk.execution.closed == 1
    assert repr(desk.runner) == "<CallRunner 0 parked>"


@pytest.mark.parametrize(("ms", "time_s"), [(0, 2.0), (500, 0.5), (60_000, 2.0)])
def test_a_call_has_what_is_left_of_its_deadline(ms, time_s):
    desk = Desk(Done("1"))
    desk.start(ms=ms)
    assert desk.execution.call.time_s == time_s


@pytest.mark.parametrize(
    ("method", "args", "name"),
    [("g", {}, "MethodNotFound"), ("f", {"a": 2**60}, "InvalidArguments"), ("f", 5, None)],
)
def test_a_call_that_cannot_start_is_answered(method, args, name):
    desk = Desk()
    assert error_name(desk.start(method=method, args=args)) == (name or "InvalidRequest")
    assert desk.engine.made == []


def test_an_error_is_sent_and_the_context_freed():
    desk = Desk(JavaScriptError("Error: no", {"name": "Error"}))
    assert desk.start(7) == [
        [1, 7, JavaScriptError("Error: no", {"name": "Error"}).to_wire(), None]
    ]
    assert desk.execution.closed == 1


def test_a_fault_of_the_engine_costs_one_call():
    desk = Desk(RuntimeError("odd"))
    (message,) = desk.start()
    assert message[2]["name"] == InternalError.__name__
    assert "RuntimeError: odd" in message[2]["message"]
    assert desk.execution.closed == 1


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (json.dumps("x" * LIMIT), "PayloadTooLarge"),
        ('"\\ud800"', "ResultNotSerializable"),
        ("[" * 600 + "]" * 600, "ResultNotSerializable"),
    ],
)
def test_a_result_that_cannot_be_sent_is_an_error(result, name):
    assert error_name(Desk(Done(result)).start()) == name


def test_a_result_may_fill_a_frame():
    text = "x" * (LIMIT - 7 - 1 - 3)
    assert Desk(Done(json.dumps(text))).start() == [[1, 1, None, text]]
    assert error_name(Desk(Done(json.dumps(text + "x"))).start()) == "PayloadTooLarge"


def test_an_error_too_large_for_a_frame_is_shortened():
    (message,) = Desk(JavaScriptError("m" * 200, {"stack": "s" * LIMIT})).start()
    assert message[2]["name"] == "JavaScriptError"
    assert message[2]["message"] == "m" * 100
    assert message[2]["data"] == {}


@pytest.mark.parametrize(("ms", "name"), [(500, "CallTimeout"), (0, "TimeLimitExceeded")])
def test_whose_time_it_was_that_ran_out(ms, name):
    assert error_name(Desk(TimeLimitExceeded("slow")).start(ms=ms)) == name


@pytest.mark.parametrize("how", ["is_worn", "is_broken"])
def test_a_worn_engine_asks_for_its_replacement_first(how):
    desk = Desk(Done("1"))
    setattr(desk.engine, how, True)
    assert desk.start(7) == [[0, 0, 7, "_retire", None, None], [1, 7, None, 1]]


# ------------------------------------------------------------- nested calls


def test_a_call_that_waits_is_parked_until_its_answer_comes():
    desk = Desk(waits(asks(5)), Done("3"))
    assert desk.start(1) == [[0, 1, 1, "g", {"a": 1}, {}], PARKED]
    assert repr(desk.runner) == "<CallRunner 1 parked>"
    assert desk.answer(1, {"x": "é"}) == [[1, 1, None, 3]]
    assert desk.execution.fed == [(5, {"x": "é"}, None)]
    assert desk.execution.closed == 1


def test_an_error_is_fed_as_its_map():
    desk = Desk(waits(asks(5)), Done("3"))
    desk.start()
    error = Overloaded("full", {"retry_after_ms": 5})
    desk.answer(1, error=error)
    assert desk.execution.fed == [(5, None, error.to_wire())]


def test_several_calls_are_told_apart_by_their_numbers():
    desk = Desk(waits(asks(1), asks(2)), waits(asks(1)), waits(), waits(), Done("3"), Done("4"))
    assert [message[1] for message in desk.start(1)] == [1, 2, 1]
    assert [message[1] for message in desk.start(2)] == [3, 2]
    one, two = desk.engine.made
    assert desk.answer(3, "for two") == [[2, 2]]
    assert desk.answer(2, "for one") == [PARKED]
    assert (one.fed, two.fed) == ([(2, "for one", None)], [(1, "for two", None)])
    assert desk.answer(1) == [[1, 1, None, 3]]


def test_an_answer_that_nobody_waits_for_is_passed_over():
    desk = Desk(waits(asks(1), asks(2)), Done("3"))
    desk.start()
    assert desk.answer(9) == []
    assert desk.answer(1) == [[1, 1, None, 3]]
    assert desk.answer(2) == []
    assert len(desk.execution.fed) == 1


def test_a_dropped_call_is_freed_and_its_answers_are_passed_over():
    desk = Desk(waits(asks(1)))
    desk.start()
    assert desk.after(lambda: desk.runner.drop(1)) == []
    assert desk.execution.closed == 1
    assert desk.answer(1) == []
    desk.runner.drop(1)
    assert desk.execution.closed == 1


def test_nested_calls_inherit_what_concerns_the_whole():
    desk = Desk(waits(asks(5)))
    meta = {"depth": 3, "trace": "t", "token": "k", "seed": 7, "other": 1}
    (nested, _) = desk.start(meta=meta)
    assert nested[5] == {"depth": 3, "trace": "t", "token": "k", "seed": "7/5"}


def test_so_many_are_with_the_node_at_once_and_the_rest_follow():
    desk = Desk(waits(*(asks(n) for n in range(1, 101))), waits(), waits())
    sent = desk.start()
    assert [message[0] for message in sent] == [0] * 64 + [2]
    assert [message[:2] for message in desk.answer(10)] == [[0, 65], PARKED]
    assert [message[:2] for message in desk.answer(65)] == [[0, 66], PARKED]


def test_too_many_at_once_are_refused_one_by_one(monkeypatch):
    monkeypatch.setattr(runner, "MAX_WIDTH", 3)
    desk = Desk(waits(*(asks(n) for n in range(1, 6))), waits(), waits())
    assert [message[0] for message in desk.start()] == [0, 0, 0, 2]
    assert [(id, error["name"]) for id, _, error in desk.execution.fed] == [
        (5, "NestedCallLimit"), (4, "NestedCallLimit")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("nested", "name"),
    [
        (asks(5, args='{"a":"\\ud800"}'), "InvalidArguments"),
        (asks(5, args=json.dumps({"a": "x" * LIMIT})), "PayloadTooLarge"),
        (asks(5, method="\ud800"), "InvalidArguments"),
        (asks(5, method=""), "MethodNotFound"),
        (asks(5, method="x" * 256), "MethodNotFound"),
        # What these mean to the node is not for functions to say.
        (asks(5, method="_sleep"), "MethodNotFound"),
        (asks(5, method="_log"), "MethodNotFound"),
        (asks(5, method="_retire"), "MethodNotFound"),
    ],
)
def test_a_nested_call_that_cannot_be_sent_fails_in_the_function(nested, name):
    desk = Desk(waits(nested, asks(6)), waits())
    sent = desk.start()
    assert [(id, error["name"]) for id, _, error in desk.execution.fed] == [(5, name)]
    assert [message[0] for message in sent] == [0, 2]


def test_a_deadline_of_a_nested_call_is_the_calls_own():
    error = JavaScriptError("late", {"name": "CallTimeout", "message": "the deadline passed"})
    (message,) = Desk(error).start()
    assert (message[2]["name"], message[2]["message"]) == ("CallTimeout", "the deadline passed")


@pytest.mark.parametrize("tail", [NIL, b"\xc1", NIL + b"\xc1"])
def test_an_answer_that_cannot_be_read_costs_one_call(tail):
    desk = Desk(waits(asks(5)))
    desk.start()
    sent = desk.after(lambda: desk.runner.answered(Response(1, tail)))
    assert error_name(sent)
    assert desk.execution.closed == 1


def test_numbers_wrap_around():
    desk = Desk(waits(asks(1)), waits(asks(2)))
    desk.runner._next_n = 2**32 - 1
    assert desk.start()[0][1] == 2**32 - 1
    assert desk.answer(2**32 - 1)[0][1] == 1


# -------------------------------------------------------------------- spent


@pytest.fixture
def clocks(monkeypatch):
    """Clocks of which each reading is so many milliseconds after the one before."""

    def tick(step_ms: float) -> None:
        for name in ("_now", "_cpu"):
            readings = itertools.count()
            read = lambda readings=readings: next(readings) * step_ms / 1000  # noqa: E731
            monkeypatch.setattr(runner, name, read)

    return tick


def test_a_tiny_call_says_nothing_of_its_time(clocks):
    clocks(1)
    assert [kind for kind, *_ in Desk(Done("1")).start()] == [1]


def test_a_longer_one_says_what_it_spent_without_heap_and_processor(clocks):
    clocks(3)
    spent, response = Desk(Done("1")).start(id=9)
    assert spent == [0, 0, 9, "_spent", {"context_ms": 3.0, "run_ms": 3.0}, None]
    assert response[:2] == [1, 9]


@pytest.mark.parametrize("outcome", [Done("1"), JavaScriptError("m")])
def test_a_caller_who_asks_is_told_of_a_tiny_call_too(clocks, outcome):
    clocks(1)
    spent, response = Desk(outcome).start(meta={"receipt": True})
    assert spent[3:5] == [
        "_spent",
        {"context_ms": 1.0, "run_ms": 1.0, "cpu_ms": 2.0, "heap_bytes": 4096},
    ]
    assert response[0] == 1


def test_the_time_of_all_steps_is_added_up(clocks):
    clocks(2)
    desk = Desk(waits(asks(5)), Done("1"))
    desk.start(meta={"receipt": True})
    spent, _ = desk.answer(1, "x")
    assert (spent[4]["run_ms"], spent[4]["cpu_ms"]) == (4.0, 6.0)


def test_receipts_are_not_asked_of_nested_calls():
    ((*_, meta), _) = Desk(waits(asks(5))).start(meta={"receipt": True, "trace": "t"})
    assert meta == {"trace": "t"}
