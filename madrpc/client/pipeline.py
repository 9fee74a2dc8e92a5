"""Many calls in flight on one connection, driven by one thread.

::

    start(call) -> waiting -> conduit -> in flight -> answer -> poll() returns it
                      ^                     |
                      +---- transport lost, Overloaded, Draining: again after a moment

A server that is draining still answers what it has, so its connection is left to end by itself
while new calls go over another one. ``poll`` does all the work and is the only place that waits.
``map`` polls in its caller's thread, the dispatcher in its own.
"""

from __future__ import annotations

import select
import time
from collections import deque

from madrpc.client.attempts import NOT_IN_FLIGHT, PendingCall
from madrpc.client.conduit import Conduit
from madrpc.client.endpoints import Endpoints
from madrpc.config import CLIENT_GRACE_S
from madrpc.errors import Draining, MadrpcError, Overloaded, ProtocolError, from_wire
from madrpc.policy.timing import DeadlineTable
from madrpc.protocol.messages import Response, unpack_response_tail

__all__ = ["Pipeline"]

_now = time.monotonic
#: How often deadlines are looked at while nothing else happens.
_DEADLINE_CHECK_S = 0.05
#: Calls in flight at once, at most and at least. A server that answers Overloaded brings the number
#: down to what it had taken, and every answer raises it again by a little.
_MOST_IN_FLIGHT = 1024
_LEAST_IN_FLIGHT = 8


class Pipeline:
    """One multiplexed connection that comes back by itself.

    Args:
        wake_fd: a descriptor whose readability ends a wait early.
    """

    def __init__(self, endpoints: Endpoints, max_frame: int, wake_fd: int | None = None) -> None:
        self._endpoints = endpoints
        self._max_frame = max_frame
        self._wake_fd = wake_fd
        self._waiting: deque[PendingCall] = deque()
        self._delayed: list[PendingCall] = []
        self._finished: list[PendingCall] = []
        self._deadlines: DeadlineTable[PendingCall] = DeadlineTable()
        self._conduits: list[Conduit] = []
        self._window = float(_MOST_IN_FLIGHT)
        self.unfinished = 0

    def __repr__(self) -> str:
        return f"<Pipeline {self.unfinished} unfinished, {self._conduits}>"

    def start(self, call: PendingCall) -> None:
        """Take a call; a later ``poll`` sends it."""
        self.unfinished += 1
        if call.deadline is not None:
            call.tick = self._deadlines.add(call, call.deadline + CLIENT_GRACE_S)
        self._waiting.append(call)

    def cancel(self, call: PendingCall, error: MadrpcError) -> None:
        """End a call with the error, and tell the server if it has the call."""
        if call.done:
            return
        if call.conduit is not None:
            call.conduit.cancel(call)
        self._delayed = [other for other in self._delayed if other is not call]
        self._finish(call, error)

    def poll(self, until: float | None) -> list[PendingCall]:
        """Work until a call has finished or the instant ``until`` has come.

        Returns the calls that finished; each has its ``result`` or its ``error`` set.
        """
        while True:
            self._send_waiting()
            if not self._finished:
                if self._wait(until):
                    return self._take_finished()
                self._expire()
            if self._finished or (until is not None and _now() >= until):
                return self._take_finished()

    def unfinished_calls(self) -> list[PendingCall]:
        """Every call that has not finished, wherever it is."""
        sent = [call for conduit in self._conduits for call in conduit.calls()]
        return [call for call in (*sent, *self._waiting, *self._delayed) if not call.done]

    def forget(self) -> None:
        """Close the descriptors without a word to the server; the parent process uses them."""
        for conduit in self._conduits:
            conduit.forget()
        self._conduits.clear()

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        for conduit in self._conduits:
            conduit.close()
        self._conduits.clear()

    # ---------------------------------------------------------- sending

    @property
    def _current(self) -> Conduit | None:
        """Where new calls go."""
        conduits = self._conduits
        return conduits[-1] if conduits and not conduits[-1].is_leaving else None

    def _send_waiting(self) -> None:
        if self._delayed:
            now = _now()
            due = [call for call in self._delayed if call.not_before <= now]
            self._delayed = [call for call in self._delayed if call.not_before > now]
            self._waiting.extend(due)
        if self._waiting and self._current is None:
            self._connect()
        conduit = self._current
        if conduit is not None and conduit.is_connected:
            while self._waiting and conduit.in_flight < self._window:
                call = self._waiting.popleft()
                if not call.done:
                    call.attempts += 1
                    call.conduit = conduit
                    conduit.send(call)
        for conduit in list(self._conduits):
            try:
                conduit.flush()
            except MadrpcError as error:
                self._lose(conduit, error)

    def _connect(self) -> None:
        try:
            self._conduits.append(Conduit(self._endpoints, self._max_frame))
        except MadrpcError as error:
            self._endpoints.failed(self._endpoints.current)
            self._unreachable(error)

    # ---------------------------------------------------------- waiting

    def _wait(self, until: float | None) -> bool:
        """Wait for a socket, the wake descriptor or the clock; True if woken."""
        poller = select.poll()
        for conduit in self._conduits:
            poller.register(conduit, conduit.events())
        if self._wake_fd is not None:
            poller.register(self._wake_fd, select.POLLIN)
        events = dict(poller.poll(self._wait_ms(until)))
        for conduit in list(self._conduits):
            mask = events.get(conduit.fileno(), 0)
            if mask:
                self._ready(conduit, mask)
        return self._wake_fd is not None and self._wake_fd in events

    def _wait_ms(self, until: float | None) -> int | None:
        now = _now()
        instants = [now + _DEADLINE_CHECK_S] if self.unfinished else []
        instants += [call.not_before for call in self._delayed]
        others = [until, *(conduit.next_deadline() for conduit in self._conduits)]
        instants += [at for at in others if at is not None]
        return max(0, int((min(instants) - now) * 1000) + 1) if instants else None

    def _ready(self, conduit: Conduit, mask: int) -> None:
        try:
            answers = conduit.ready(mask)
        except MadrpcError as error:
            self._lose(conduit, error)
            return
        for call, response in answers:
            self._answered(call, response)
        if conduit.is_leaving and not conduit.in_flight:
            self._conduits.remove(conduit)
            conduit.close()

    # --------------------------------------------------------- finishing

    def _lose(self, conduit: Conduit, error: MadrpcError) -> None:
        """A connection is of no more use; what was in flight on it may be tried again."""
        self._conduits.remove(conduit)
        calls = conduit.calls()
        was_connected = conduit.is_connected
        conduit.forget()
        self._endpoints.failed(conduit.address)
        for call in calls:
            self._failed(call, error)
        if not was_connected:
            self._unreachable(error)

    def _unreachable(self, error: MadrpcError) -> None:
        """Count a failed connection as an attempt of every call that waits for it."""
        calls, self._waiting = list(self._waiting), deque()
        for call in calls:
            if not call.done:
                call.attempts += 1
                self._failed(call, error)

    def _answered(self, call: PendingCall, response: Response) -> None:
        try:
            error, call.result = unpack_response_tail(response.tail)
        except ProtocolError as problem:
            self._finish(call, problem)
            return
        if error is None:
            self._window = min(_MOST_IN_FLIGHT, self._window + 1 / self._window)
            self._finish(call, None)
            return
        failure = from_wire(error)
        conduit = call.conduit
        if isinstance(failure, Overloaded):
            in_flight = sum(conduit.in_flight for conduit in self._conduits)
            self._window = max(_LEAST_IN_FLIGHT, min(self._window, in_flight * 0.9))
        elif isinstance(failure, Draining) and conduit is not None and not conduit.is_leaving:
            conduit.is_leaving = True
            self._endpoints.failed(conduit.address)
        self._failed(call, failure)

    def _failed(self, call: PendingCall, error: MadrpcError) -> None:
        call.id, call.conduit = NOT_IN_FLIGHT, None
        at = call.retry_at(error)
        if at is None:
            self._finish(call, error)
        else:
            call.not_before = at
            self._delayed.append(call)

    def _finish(self, call: PendingCall, error: MadrpcError | None) -> None:
        call.error = error
        call.done = True
        call.id, call.conduit = NOT_IN_FLIGHT, None
        self.unfinished -= 1
        if call.deadline is not None:
            self._deadlines.discard(call, call.tick)
        self._finished.append(call)

    def _expire(self) -> None:
        now = _now()
        for call in self._deadlines.expired(now):
            self.cancel(call, call.timeout_error())
        for conduit in list(self._conduits):
            try:
                conduit.tick(now)
            except MadrpcError as error:
                self._lose(conduit, error)

    def _take_finished(self) -> list[PendingCall]:
        finished, self._finished = self._finished, []
        return finished
