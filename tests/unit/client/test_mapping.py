from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.client.client import Client
from madrpc.client.mapping import run_map
from madrpc.errors import InvalidArguments, MadrpcError, Overloaded


class FakeCall:
    wants_receipt = False

    def __init__(self, item: Any) -> None:
        self.item = item
        self.done = False
        self.result: Any = None
        self.error: MadrpcError | None = None

    def finish(self) -> None:
        self.done = True
        if isinstance(self.item, MadrpcError):
            self.error = self.item
        else:
            self.result = f"result of {self.item}"


class FakePipeline:
    """Finishes calls when it is polled: those that ``choose`` names among the ones in flight."""

    def __init__(self, choose: Callable[[int], int] = lambda count: 0, at_once: int = 1) -> None:
        self.in_flight: list[FakeCall] = []
        self.most = 0
        self.closed = 0
        self.choose = choose
        self.at_once = at_once

    @property
    def unfinished(self) -> int:
        return len(self.in_flight)

    def start(self, call: FakeCall) -> None:
        assert not self.closed
        self.in_flight.append(call)
        self.most = max(self.most, len(self.in_flight))

    def poll(self, until: float | None) -> list[FakeCall]:
        assert until is None
        assert self.in_flight, "waits for nothing"
        finished = []
        while self.in_flight and len(finished) < self.at_once:
            finished.append(self.in_flight.pop(self.choose(len(self.in_flight))))
            finished[-1].finish()
        return finished

    def close(self) -> None:
        self.closed += 1


class Input:
    """An iterable that knows how far it was read."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = list(items)
        self.read = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self.read += 1
            yield item


def mapped(pipeline: FakePipeline, items: Iterable[Any], **settings: Any) -> Iterator[Any]:
    defaults = {"concurrency": 3, "ordered": True, "return_errors": False}
    return run_map(pipeline, FakeCall, items, **{**defaults, **settings})


def last(count: int) -> int:
    return count - 1


both_orders = pytest.mark.parametrize("ordered", [True, False])


@both_orders
@given(st.integers(0, 30), st.integers(1, 8), st.randoms())
def test_every_item_gives_its_result_once(ordered, count, concurrency, random):
    pipeline = FakePipeline(random.randrange)
    found = list(mapped(pipeline, range(count), concurrency=concurrency, ordered=ordered))
    expected = [f"result of {n}" for n in range(count)]
    assert (found if ordered else sorted(found)) == (expected if ordered else sorted(expected))
    assert pipeline.most == min(concurrency, count)
    assert pipeline.closed == 1


@both_orders
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 4), st.randoms())
def test_the_input_is_read_no_further_ahead_than_the_window(
    ordered, count, concurrency, at_once, random
):
    items = Input(range(count))
    pipeline = FakePipeline(random.randrange, at_once)
    results = mapped(pipeline, items, concurrency=concurrency, ordered=ordered)
    assert items.read == 0
    for yielded, _ in enumerate(results, 1):
        assert items.read - (yielded - 1) <= concurrency
    assert items.read == count


@both_orders
def test_the_window_is_kept_full(ordered):
    pipeline = FakePipeline()
    results = mapped(pipeline, range(10), concurrency=4, ordered=ordered)
    next(results)
    assert pipeline.unfinished == 3
    next(results)
    assert pipeline.unfinished == 3


def test_results_come_in_the_order_of_the_items():
    pipeline = FakePipeline(last)
    assert list(mapped(pipeline, "abcd")) == [f"result of {item}" for item in "abcd"]


def test_or_in_the_order_of_the_answers():
    pipeline = FakePipeline(last)
    found = list(mapped(pipeline, "abcd", ordered=False))
    assert found == [f"result of {item}" for item in "cdba"]


def test_a_slow_first_call_holds_the_input_back():
    items = Input(range(100))
    pipeline = FakePipeline(last)
    results = mapped(pipeline, items, concurrency=5)
    next(results)
    assert items.read == 5


@both_orders
def test_an_error_is_raised_where_it_belongs(ordered):
    pipeline = FakePipeline()
    results = mapped(pipeline, [1, Overloaded("full"), 3, 4, 5], ordered=ordered)
    assert next(results) == "result of 1"
    with pytest.raises(Overloaded, match="full"):
        next(results)
    assert pipeline.closed == 1
    assert list(results) == []


@both_orders
def test_an_error_is_yielded_when_that_is_wanted(ordered):
    error = Overloaded("full")
    pipeline = FakePipeline()
    found = list(mapped(pipeline, [1, error, 3], ordered=ordered, return_errors=True))
    assert found == ["result of 1", error, "result of 3"]


@both_orders
def test_leaving_early_closes_the_pipeline(ordered):
    items = Input(range(100))
    pipeline = FakePipeline()
    results = mapped(pipeline, items, ordered=ordered)
    next(results)
    results.close()
    assert pipeline.closed == 1
    assert items.read <= 4


@both_orders
def test_an_input_that_fails_ends_the_map(ordered):
    def failing() -> Iterator[int]:
        yield 1
        raise RuntimeError("the file is gone")

    pipeline = FakePipeline()
    with pytest.raises(RuntimeError, match="the file is gone"):
        list(mapped(pipeline, failing(), ordered=ordered))
    assert pipeline.closed == 1


@both_orders
def test_arguments_that_cannot_be_sent_end_the_map(ordered):
    def make_call(item: Any) -> FakeCall:
        raise InvalidArguments("bad")

    pipeline = FakePipeline()
    with pytest.raises(InvalidArguments):
        list(run_map(pipeline, make_call, [1], concurrency=1, ordered=ordered, return_errors=False))
    assert pipeline.closed == 1


@both_orders
def test_an_input_is_not_asked_again_after_its_end(ordered):
    class Once:
        left = 2

        def __iter__(self) -> Once:
            return self

        def __next__(self) -> int:
            self.left -= 1
            if self.left == -1:
                raise StopIteration
            assert self.left >= 0, "asked again"
            return self.left

    assert len(list(mapped(FakePipeline(), Once(), ordered=ordered))) == 2


@both_orders
def test_a_call_that_is_done_before_it_starts_is_not_lost(ordered):
    def make_call(item: int) -> FakeCall:
        call = FakeCall(item)
        if item == 2:
            call.finish()
        return call

    found = list(
        run_map(
            FakePipeline(), make_call, range(5), concurrency=2, ordered=ordered, return_errors=True
        )
    )
    assert sorted(found) == [f"result of {n}" for n in range(5)]


@both_orders
def test_an_item_that_cannot_be_sent_is_an_error_like_others(ordered):
    with Client("127.0.0.1:1") as client:
        items = [{"a": object()}, {"b": object()}]
        found = list(client.map("f", items, ordered=ordered, return_errors=True))
    assert [type(error) for error in found] == [InvalidArguments, InvalidArguments]
