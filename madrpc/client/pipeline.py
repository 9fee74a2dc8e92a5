"""Many calls in flight on one connection, driven by one thread.

``poll`` does all the work and is the only place that waits. ``map`` polls in its caller's thread,
the dispatcher in its own.
"""

from __future__ import annotations

import select
import time

from madrpc.client.attempts import PendingCall
from madrpc.client.endpoints import Endpoints
from madrpc.client.polled import PolledConduit
from madrpc.client.traffic import DEADLINE_CHECK_S, Traffic
from madrpc.errors import MadrpcError

__all__ = ["Pipeline"]

_now = time.monotonic


class Pipeline(Traffic[PolledConduit]):
    """One multiplexed connection that is polled.

    Args:
        wake_fd: a descriptor whose readability ends a wait early.
    """

    def __init__(self, endpoints: Endpoints, max_frame: int, wake_fd: int | None = None) -> None:
        self._finished: list[PendingCall] = []
        super().__init__(endpoints, max_frame, self._finished.append)
        self._wake_fd = wake_fd

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

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        for conduit in self._conduits:
            conduit.close()
        self._conduits.clear()

    # ---------------------------------------------------------- private

    def _new_conduit(self) -> PolledConduit:
        return PolledConduit(self._endpoints, self._max_frame)

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
        instants = [now + DEADLINE_CHECK_S] if self.unfinished else []
        instants += [call.not_before for call in self._delayed]
        others = [until, *(conduit.next_deadline() for conduit in self._conduits)]
        instants += [at for at in others if at is not None]
        return max(0, int((min(instants) - now) * 1000) + 1) if instants else None

    def _ready(self, conduit: PolledConduit, mask: int) -> None:
        was_connected = conduit.is_connected
        try:
            answers = conduit.ready(mask)
        except MadrpcError as error:
            self._lose(conduit, error)
            return
        if not was_connected:
            self._connected()
        self._take(conduit, answers)

    def _take_finished(self) -> list[PendingCall]:
        finished = self._finished.copy()
        self._finished.clear()
        return finished
