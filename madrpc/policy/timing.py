"""Time as values: deadlines, growing delays, and a table of what expires when.

Instants are seconds on a monotonic clock that the caller reads; nothing here reads one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Backoff", "DeadlineTable", "deadline_from_ms", "ms_left"]

Key = TypeVar("Key", bound=Hashable)

#: Entries are filed by this many seconds; they expire up to that much late, never early.
_TICK_S = 0.02
_MAX_TIMEOUT_MS = 0xFFFFFFFF


def deadline_from_ms(timeout_ms: int, now: float) -> float | None:
    """The local instant a request's remaining time ends; None for a request without limit."""
    return now + timeout_ms / 1000 if timeout_ms else None


def ms_left(deadline: float | None, now: float) -> int:
    """Time left as the wire carries it: 0 for no deadline, otherwise at least 1 ms.

    A deadline that has passed reads 1, because 0 would take the limit away.
    """
    if deadline is None:
        return 0
    return max(1, int(min((deadline - now) * 1000, _MAX_TIMEOUT_MS)))


class Backoff:
    """Delays that double from ``first`` to ``most``, each spread over its upper half.

    The spread keeps many peers of one restarted server from coming back in step.
    """

    def __init__(
        self, first: float, most: float, spread: Callable[[], float] = random.random
    ) -> None:
        self._first = first
        self._most = most
        self._spread = spread
        self.failures = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        ceiling = min(self._most, self._first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return ceiling * (0.5 + 0.5 * self._spread())

    def reset(self) -> None:
        """Note a success."""
        self.failures = 0


class DeadlineTable(Generic[Key]):
    """What expires when. Adding and removing cost the same however many entries there are.

    Entries share one dict per tick of 20 ms; a heap would keep every finished call until its
    deadline comes, which at 10 000 calls a second and a minute each is 600 000 dead entries.
    """

    def __init__(self) -> None:
        self._ticks: dict[int, dict[Key, None]] = {}
        self._floor = 0  # ticks below it are done

    def __len__(self) -> int:
        return sum(map(len, self._ticks.values()))

    def add(self, key: Key, deadline: float) -> int:
        """File ``key`` under its deadline; return the tick, which ``discard`` needs."""
        tick = max(int(deadline / _TICK_S) + 1, self._floor)
        entries = self._ticks.get(tick)
        if entries is None:
            entries = self._ticks[tick] = {}
        entries[key] = None
        return tick

    def discard(self, key: Key, tick: int) -> None:
        """Take ``key`` out of the tick that ``add`` returned, if it is still there."""
        entries = self._ticks.get(tick)
        if entries is not None:
            entries.pop(key, None)
            if not entries:
                del self._ticks[tick]

    def expired(self, now: float) -> list[Key]:
        """Remove and return every key whose deadline has passed, the oldest first."""
        ticks = self._ticks
        end = int(now / _TICK_S) + 1
        if end - self._floor > len(ticks):
            due = sorted(tick for tick in ticks if tick < end)
        else:
            due = [tick for tick in range(self._floor, end) if tick in ticks]
        self._floor = max(self._floor, end)
        return [key for tick in due for key in ticks.pop(tick)]
