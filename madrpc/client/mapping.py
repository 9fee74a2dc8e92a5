"""``Client.map``: many calls from one thread, lazy at both ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from madrpc.client.attempts import PendingCall
from madrpc.client.pipeline import Pipeline

__all__ = ["run_map"]

MakeCall = Callable[[Any], PendingCall]


def run_map(
    pipeline: Pipeline,
    make_call: MakeCall,
    items: Iterable[Any],
    *,
    concurrency: int,
    ordered: bool,
    return_errors: bool,
) -> Iterator[Any]:
    """Yield the result of one call for each item.

    The input is read only as far as ``concurrency`` calls ahead of what was yielded. Closing the
    generator, or an error that leaves it, cancels the calls in flight.
    """
    window = _Window(pipeline, make_call, iter(items), concurrency)
    try:
        yield from _outcomes(window.in_order() if ordered else window.as_finished(), return_errors)
    finally:
        pipeline.close()


def _outcomes(calls: Iterator[PendingCall], return_errors: bool) -> Iterator[Any]:
    for call in calls:
        if call.error is None:
            yield call.result
        elif return_errors:
            yield call.error
        else:
            raise call.error


class _Window:
    """The calls started and not yet yielded, at most ``size``."""

    def __init__(
        self, pipeline: Pipeline, make_call: MakeCall, items: Iterator[Any], size: int
    ) -> None:
        self._pipeline = pipeline
        self._make_call = make_call
        self._items = items
        self._size = size
        self._exhausted = False

    def in_order(self) -> Iterator[PendingCall]:
        calls: deque[PendingCall] = deque()
        while True:
            self._fill(len(calls), calls.append)
            if not calls:
                return
            while not calls[0].done:
                self._pipeline.poll(None)
            yield calls.popleft()

    def as_finished(self) -> Iterator[PendingCall]:
        finished: deque[PendingCall] = deque()
        while True:
            self._fill(
                self._pipeline.unfinished + len(finished),
                lambda call: finished.append(call) if call.done else None,
            )
            if not finished and not self._pipeline.unfinished:
                return
            if not finished:
                finished.extend(self._pipeline.poll(None))
            yield finished.popleft()

    def _fill(self, used: int, started: Callable[[PendingCall], Any]) -> None:
        while used < self._size and not self._exhausted:
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                return
            call = self._make_call(item)
            if not call.done:
                self._pipeline.start(call)
            started(call)
            used += 1
