"""``AsyncClient.map``: many calls from one task, lazy at both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Any

from madrpc.client.attempts import PendingCall
from madrpc.client.loop_traffic import LoopTraffic
from madrpc.client.mapping import MakeCall, Window, outcome

__all__ = ["run_async_map", "with_async_progress"]


class _Map:
    """One map: a window, and what wakes the task that waits for it."""

    def __init__(self, traffic: LoopTraffic, make_call: MakeCall, window: Window) -> None:
        self._traffic = traffic
        self._make_call = make_call
        self._window = window
        self._in_flight: set[PendingCall] = set()
        self._changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def start(self, item: Any) -> None:
        """Start the call of one item."""
        call = self._make_call(item)
        if not call.done:
            call.token = self._ended
            self._in_flight.add(call)
            self._traffic.start(call)
        self._window.add(call)

    def take(self) -> PendingCall | None:
        """The call whose turn it is, if it has ended."""
        call = self._window.take()
        if call is not None:
            _wake(self._room)
        return call

    async def change(self) -> None:
        """Wait until a call has ended, or the feeder has done something."""
        self._changed = self._traffic.loop.create_future()
        await self._changed

    async def feed(self, items: AsyncIterable[Any]) -> None:
        """Start calls as items come, while there is room for them."""
        source = aiter(items)
        while True:
            while not self._window.has_room:
                self._room = self._traffic.loop.create_future()
                await self._room
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            self.start(item)
            # An item that cannot be sent has its error at once, and nothing else would say so.
            _wake(self._changed)

    def fill(self, items: Iterator[Any]) -> bool:
        """Start calls while there is room; return whether there may be more items."""
        while self._window.has_room:
            try:
                item = next(items)
            except StopIteration:
                return False
            self.start(item)
        return True

    def wake(self, _: object) -> None:
        """Let the task that waits look again."""
        _wake(self._changed)

    def cancel(self) -> None:
        """Cancel what is in flight."""
        for call in list(self._in_flight):
            self._traffic.give_up(call)

    def _ended(self, call: PendingCall) -> None:
        self._in_flight.discard(call)
        self._window.finished(call)
        _wake(self._changed)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def run_async_map(
    traffic: LoopTraffic,
    make_call: MakeCall,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int,
    ordered: bool,
    return_errors: bool,
) -> AsyncGenerator[Any, None]:
    """Yield the result of one call for each item.

    The input is read only as far as ``concurrency`` calls ahead of what was yielded. Closing the
    generator, or an error that leaves it, cancels the calls in flight.
    """
    window = Window(concurrency, ordered)
    work = _Map(traffic, make_call, window)
    feeder: asyncio.Task[None] | None = None
    rest: Iterator[Any] | None = None
    if isinstance(items, AsyncIterable):
        # Results must come out while the next item is waited for, so that has a task of its own.
        feeder = traffic.loop.create_task(work.feed(items))
        feeder.add_done_callback(work.wake)
    else:
        rest = iter(items)
    try:
        while True:
            if rest is not None and not work.fill(rest):
                rest = None
            if feeder is not None and feeder.done():
                feeder.result()
                feeder = None
            ended = work.take()
            if ended is not None:
                yield outcome(ended, return_errors)
            elif window.is_empty and feeder is None and rest is None:
                return
            else:
                await work.change()
    finally:
        work.cancel()
        if feeder is not None and not feeder.done():
            feeder.cancel()
            await asyncio.wait([feeder])


async def with_async_progress(results: AsyncGenerator[Any, None], bar: Any) -> AsyncIterator[Any]:
    """Count results on a bar."""
    async with aclosing(results) as rest:
        with bar:
            async for result in rest:
                bar.update()
                yield result
