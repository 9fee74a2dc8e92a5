"""Many calls in flight on one connection that comes back by itself.

::

    start(call) -> waiting -> conduit -> in flight -> answer -> report(call)
                      ^                     |
                      +---- transport lost, Overloaded, Draining: again after a moment

A server that is draining still answers what it has, so its connection is left to end by itself
while new calls go over another one. What is sent again, when, and what ends a call is decided here
for both clients; a subclass waits for sockets and the clock, in its own way.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from madrpc.client.attempts import NOT_IN_FLIGHT, PendingCall
from madrpc.client.conduit import Answers, Conduit
from madrpc.client.endpoints import Endpoints
from madrpc.config import CLIENT_GRACE_S
from madrpc.errors import Draining, MadrpcError, Overloaded, ProtocolError, from_wire
from madrpc.policy.timing import DeadlineTable
from madrpc.protocol.messages import Response, unpack_response_tail

__all__ = ["DEADLINE_CHECK_S", "Traffic"]

_now = time.monotonic
#: How often deadlines are looked at while nothing else happens.
DEADLINE_CHECK_S = 0.05
#: Calls in flight at once, at most and at least. A server that answers Overloaded brings the number
#: down to what it had taken, and every answer raises it again by a little.
_MOST_IN_FLIGHT = 1024
_LEAST_IN_FLIGHT = 8

C = TypeVar("C", bound=Conduit)


class Traffic(ABC, Generic[C]):
    """The calls of one connection, wherever each of them is.

    Args:
        report: gets each call when it has ended, with its ``result`` or its ``error`` set.
    """

    def __init__(
        self, endpoints: Endpoints, max_frame: int, report: Callable[[PendingCall], object]
    ) -> None:
        self._endpoints = endpoints
        self._max_frame = max_frame
        self._report = report
        self._waiting: deque[PendingCall] = deque()
        self._delayed: list[PendingCall] = []
        self._deadlines: DeadlineTable[PendingCall] = DeadlineTable()
        self._conduits: list[C] = []
        self._window = float(_MOST_IN_FLIGHT)
        self._unreached = 0
        self.unfinished = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.unfinished} unfinished, {self._conduits}>"

    def start(self, call: PendingCall) -> None:
        """Take a call, to be sent soon."""
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

    def unfinished_calls(self) -> list[PendingCall]:
        """Every call that has not finished, wherever it is."""
        sent = [call for conduit in self._conduits for call in conduit.calls()]
        return [call for call in (*sent, *self._waiting, *self._delayed) if not call.done]

    def forget(self) -> None:
        """Close the descriptors without a word to the server; the parent process uses them."""
        for conduit in self._conduits:
            conduit.forget()
        self._conduits.clear()

    # ---------------------------------------------------------- sending

    @abstractmethod
    def _new_conduit(self) -> C:
        """Begin a connection to the endpoint that is in turn.

        Raises:
            ConnectionFailed: it cannot even be begun.
        """

    @property
    def _current(self) -> C | None:
        """Where new calls go."""
        conduits = self._conduits
        return conduits[-1] if conduits and not conduits[-1].is_leaving else None

    def _send_waiting(self) -> None:
        if self._delayed:
            now = _now()
            due = [call for call in self._delayed if call.not_before <= now]
            self._delayed = [call for call in self._delayed if call.not_before > now]
            self._waiting.extend(due)
        while self._waiting and self._waiting[0].done:
            self._waiting.popleft()
        if self._waiting and self._current is None:
            self._connect()
        conduit = self._current
        if conduit is not None:
            while self._waiting and conduit.in_flight < self._window and conduit.has_room:
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
            self._conduits.append(self._new_conduit())
        except MadrpcError as error:
            self._endpoints.failed(self._endpoints.current)
            self._unreachable(error)

    def _connected(self) -> None:
        """Note that a connection has come about."""
        self._unreached = 0

    # --------------------------------------------------------- finishing

    def _take(self, conduit: C, answers: Answers) -> None:
        """Give answers to their calls, and let go of a connection that had only these to give."""
        for call, response in answers:
            self._answered(call, response)
        if conduit.is_leaving and not conduit.in_flight and conduit in self._conduits:
            self._conduits.remove(conduit)
            conduit.close()

    def _lose(self, conduit: C, error: MadrpcError) -> None:
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
        """Count it as an attempt of every call that waits, once no address could be reached."""
        self._unreached += 1
        if self._unreached % len(self._endpoints.addresses):
            return
        calls, self._waiting = list(self._waiting), deque()
        for call in calls:
            if not call.done:
                call.attempts += 1
                self._failed(call, error)

    def _answered(self, call: PendingCall, response: Response) -> None:
        if call.wants_receipt:
            call.note(response)
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
        if call.wants_receipt:
            call.conclude(error)
        call.id, call.conduit = NOT_IN_FLIGHT, None
        self.unfinished -= 1
        if call.deadline is not None:
            self._deadlines.discard(call, call.tick)
        self._report(call)

    def _expire(self) -> None:
        now = _now()
        for call in self._deadlines.expired(now):
            self.cancel(call, call.timeout_error())
        for conduit in list(self._conduits):
            try:
                conduit.tick(now)
            except MadrpcError as error:
                self._lose(conduit, error)
