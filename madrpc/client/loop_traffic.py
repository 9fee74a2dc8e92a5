"""Many calls in flight on one connection, driven by an asyncio event loop.

What is sent leaves together at the end of the loop's turn; a call that is alone leaves at once. One
timer looks at all deadlines, because a handle for each call would cost more than the rest of it.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from madrpc.client.attempts import PendingCall
from madrpc.client.conduit import Answers
from madrpc.client.endpoints import Endpoints
from madrpc.client.loop_conduit import LoopConduit
from madrpc.client.traffic import DEADLINE_CHECK_S, Traffic
from madrpc.errors import Cancelled, ClientClosed, MadrpcError
from madrpc.receipt import Receipt

__all__ = ["LoopFuture", "LoopTraffic"]

_now = time.monotonic
#: How long a connection may take to send its last bytes when the client is closed.
_CLOSE_S = 0.5


class LoopFuture(asyncio.Future[Any]):
    """The outcome of a call.

    Attributes:
        receipt: where the time went, once the call has ended, if it was asked for.
    """

    receipt: Receipt | None = None


class LoopTraffic(Traffic[LoopConduit]):
    """One multiplexed connection of one event loop.

    The ``token`` of a call is what is called with the call when it has ended.
    """

    def __init__(
        self, endpoints: Endpoints, max_frame: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(endpoints, max_frame, _report)
        self.loop = loop
        self._is_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        #: Every connection that the loop still knows of, those given up too.
        self._all: set[LoopConduit] = set()

    def future(self, call: PendingCall) -> asyncio.Future[Any]:
        """Start a call; the future gets its outcome, and can be cancelled until then."""
        future = self.loop.create_future()
        self.start_for(future, call)
        return future

    def start_for(self, future: asyncio.Future[Any], call: PendingCall) -> None:
        """Start a call whose outcome a future gets."""
        call.token = partial(_settle, future)
        self.start(call)

    def start(self, call: PendingCall) -> None:
        """Take a call; it is sent in this turn of the loop."""
        super().start(call)
        if self._timer is None:
            self._timer = self.loop.call_later(DEADLINE_CHECK_S, self._tick)
        if self.unfinished == 1 and not self._is_scheduled:
            self._pump()
        else:
            self._schedule()

    def cancel(self, call: PendingCall, error: MadrpcError) -> None:
        """End a call with the error, and tell the server if it has the call."""
        super().cancel(call, error)
        self._schedule()

    def give_up(self, call: PendingCall) -> None:
        """End a call because nobody waits for it any more."""
        self.cancel(call, Cancelled("the task was cancelled"))

    async def close(self) -> None:
        """Cancel what is in flight, end every call with ``ClientClosed``, and disconnect."""
        unfinished = self.unfinished_calls()
        for conduit in self._conduits:
            conduit.close()
        self._conduits.clear()
        for call in unfinished:
            self.cancel(call, ClientClosed("the client was closed while the call was waiting"))
        for timer in (self._timer, self._retry_timer):
            if timer is not None:
                timer.cancel()
        if not await self._all_gone(_CLOSE_S):
            for conduit in self._all:
                conduit.forget()
            await self._all_gone(_CLOSE_S)

    # ------------------------------------------- called by the connections

    def conduit_connected(self, conduit: LoopConduit) -> None:
        """Send what has waited for a connection."""
        self._connected()
        self._pump()

    def conduit_answered(self, conduit: LoopConduit, answers: Answers) -> None:
        """End the calls that were answered."""
        self._take(conduit, answers)
        # Not only for calls that wait: a TLS handshake has bytes to send.
        self._schedule()

    def conduit_lost(self, conduit: LoopConduit, error: MadrpcError) -> None:
        """Try elsewhere what was in flight."""
        if conduit in self._conduits:
            self._lose(conduit, error)
            self._schedule()

    def conduit_writable(self) -> None:
        """Send the calls that waited for room."""
        self._schedule()

    # ----------------------------------------------------------- private

    async def _all_gone(self, timeout_s: float) -> bool:
        """Wait until the loop knows none of the connections any more; whether that is so."""
        try:
            async with asyncio.timeout(timeout_s):
                for conduit in self._all:
                    await conduit.gone.wait()
        except TimeoutError:
            return False
        return True

    def _new_conduit(self) -> LoopConduit:
        self._all = {conduit for conduit in self._all if not conduit.gone.is_set()}
        conduit = LoopConduit(self._endpoints, self._max_frame, self, self.loop)
        self._all.add(conduit)
        return conduit

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_scheduled = False
        self._send_waiting()
        if self._delayed and self._retry_timer is None:
            at = min(call.not_before for call in self._delayed)
            self._retry_timer = self.loop.call_later(max(0.0, at - _now()), self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        self._pump()

    def _tick(self) -> None:
        self._timer = None
        self._expire()
        self._pump()
        if self.unfinished or self._conduits_connecting():
            self._timer = self.loop.call_later(DEADLINE_CHECK_S, self._tick)

    def _conduits_connecting(self) -> bool:
        return any(not conduit.is_connected for conduit in self._conduits)


def _report(call: PendingCall) -> None:
    call.token(call)


def _settle(future: asyncio.Future[Any], call: PendingCall) -> None:
    if future.done():
        return
    if call.wants_receipt and isinstance(future, LoopFuture):
        future.receipt = call.receipt
    if call.error is None:
        future.set_result(call.result)
        return
    future.set_exception(call.error)
    if isinstance(call.error, ClientClosed):
        # Who closes a client knows it; the loop need not complain that nobody asked.
        future.exception()
