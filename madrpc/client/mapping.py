"""``map``: many calls at a time, lazy at both ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from madrpc.client.attempts import PendingCall
from madrpc.client.pipeline import Pipeline

__all__ = ["MakeCall", "Window", "outcome", "run_map"]

MakeCall = Callable[[Any], PendingCall]


class Window:
    """The calls of a map that were started and not yet yielded, at most ``size``."""

    __slots__ = ("_next", "_ordered", "_size", "_used")

    def __init__(self, size: int, ordered: bool) -> None:
        self._size = size
        self._ordered = ordered
        #: All of them in the order of the items; or those that finished, as they did.
        self._next: deque[PendingCall] = deque()
        self._used = 0

    @property
    def has_room(self) -> bool:
        """Whether another item may be read."""
        return self._used < self._size

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self._used

    def add(self, call: PendingCall) -> None:
        """Note a call that was started, or that ended before it could be."""
        self._used += 1
        if self._ordered or call.done:
            self._next.append(call)

    def finished(self, call: PendingCall) -> None:
        """Note that a call has ended after it was added."""
        if not self._ordered:
            self._next.append(call)

    def take(self) -> PendingCall | None:
        """The call whose turn it is, if it has ended."""
        if self._next and self._next[0].done:
            self._used -= 1
            return self._next.popleft()
        return None


def outcome(call: PendingCall, return_errors: bool) -> Any:
    """What a map yields for a call that has ended.

    Raises:
        MadrpcError: the call's own.
    """
    if call.error is None:
        return call.reply(call.result) if call.wants_receipt else call.result
    if return_errors:
        return call.error
    raise call.error


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
    window = Window(concurrency, ordered)
    rest: Iterator[Any] | None = iter(items)
    try:
        while True:
            while rest is not None and window.has_room:
                try:
                    item = next(rest)
                except StopIteration:
                    rest = None
                    break
                call = make_call(item)
                if not call.done:
                    pipeline.start(call)
                window.add(call)
            ended = window.take()
            if ended is not None:
                yield outcome(ended, return_errors)
            elif window.is_empty:
                return
            else:
                for call in pipeline.poll(None):
                    window.finished(call)
    finally:
        pipeline.close()
