from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.node.nesting import MAX_DEPTH, NestedCalls, depth_of
from madrpc.policy.job import Job
from madrpc.protocol.messages import (
    Request,
    request_tail,
    result_tail,
    unpack_error,
    unpack_request_tail,
)

ANSWER = result_tail(5)


class Desk:
    """Nested calls, what was asked of the router, and what woke up."""

    def __init__(self, at_once: bytes | None = None) -> None:
        self.at_once = at_once
        self.asked: list[Any] = []
        self.cancelled: list[str] = []
        self.woken: list[tuple[Job, int, bytes]] = []
        self.calls = NestedCalls(self, lambda *woken: self.woken.append(woken))

    def nested_call(self, method: str, tail: bytes, deadline: float | None, answered: Any) -> Any:
        self.asked.append((method, tail, deadline, answered))
        if self.at_once is not None:
            answered(self.at_once)
        return lambda: self.cancelled.append(method)

    def call(self, job: Job, n: int, method: str = "g", meta: Any = None) -> None:
        tail = request_tail(method, {"a": 1}, meta)
        self.calls.call(job, n, Request(n, 0, method, tail))

    def answer(self, turn: int, answer: bytes = ANSWER) -> None:
        self.asked[turn][3](answer)


def job(deadline: float | None = None) -> Job:
    return Job("f", b"", deadline, None)


def test_a_call_goes_to_the_router_one_level_deeper():
    desk, outer = Desk(), job(deadline=7.0)
    desk.call(outer, 3, meta={"depth": 2, "seed": "s"})
    ((method, tail, deadline, _),) = desk.asked
    assert (method, deadline) == ("g", 7.0)
    assert unpack_request_tail(tail) == ("g", {"a": 1}, {"seed": "s", "depth": 3})
    assert len(desk.calls) == 1


def test_its_answer_wakes_the_job_once():
    desk, outer = Desk(), job()
    desk.call(outer, 3)
    desk.answer(0)
    desk.answer(0)
    assert desk.woken == [(outer, 3, ANSWER)]
    assert len(desk.calls) == 0


def test_an_answer_at_once_is_taken_too():
    desk, outer = Desk(at_once=ANSWER), job()
    desk.call(outer, 3)
    assert desk.woken == [(outer, 3, ANSWER)]
    desk.calls.forget(outer)
    assert desk.cancelled == []


def test_forgetting_a_job_cancels_what_is_unanswered():
    desk, outer, other = Desk(), job(), job()
    for n, method in enumerate("gh"):
        desk.call(outer, n, method)
    desk.call(other, 9, "i")
    desk.answer(0)
    desk.calls.forget(outer)
    assert desk.cancelled == ["h"]
    desk.answer(1)
    desk.calls.forget(outer)
    assert len(desk.woken) == 1
    assert len(desk.calls) == 1


@pytest.mark.parametrize(("depth", "is_refused"), [(MAX_DEPTH - 1, False), (MAX_DEPTH, True)])
def test_calls_may_go_so_deep(depth, is_refused):
    desk, outer = Desk(), job()
    desk.call(outer, 3, meta={"depth": depth})
    assert bool(desk.asked) is not is_refused
    if is_refused:
        ((_, n, answer),) = desk.woken
        error = unpack_error(answer)
        assert (n, error["name"], error["data"]) == (3, "NestedCallLimit", {"depth": depth + 1})


@pytest.mark.parametrize("depth", [None, "3", -1, 1.5, True, [1]])
def test_a_depth_that_is_no_number_counts_from_the_start(depth):
    desk = Desk()
    desk.call(job(), 3, meta={"depth": depth})
    assert unpack_request_tail(desk.asked[0][1])[2] == {"depth": 1}


@given(st.integers(0, MAX_DEPTH - 1), st.dictionaries(st.text(), st.none() | st.text()))
def test_the_depth_of_a_nested_call_can_be_read(depth, meta):
    desk = Desk()
    desk.call(job(), 3, meta={**meta, "depth": depth})
    assert depth_of(desk.asked[0][1]) == depth + 1


@given(st.binary(max_size=40))
def test_the_depth_of_anything_is_a_number(tail):
    assert depth_of(tail) >= 0
    assert depth_of(b"\xa1f\xc0" + tail) >= 0


def test_a_call_without_meta_is_not_nested():
    assert depth_of(request_tail("g", {"a": 1})) == 0
