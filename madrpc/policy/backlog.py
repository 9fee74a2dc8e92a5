"""Calls that wait for a worker: nested ones first, then in the order they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Backlog"]

Item = TypeVar("Item")
_MOST_GONE = 16


class Backlog(Generic[Item]):
    """Two queues under one bound.

    An item that stops waiting on its own stays in its queue until it comes to the front, because
    removing it from the middle would cost time in proportion to the queue; the owner says with
    ``removed`` that it no longer counts. Nested items are never refused: work begun must be able
    to finish, and each worker bounds how many it asks for.

    Args:
        most: items that may wait.
        most_bytes: bytes of the items that may wait; a single larger item is let in.
        waits: whether an item still waits.
    """

    def __init__(self, most: int, most_bytes: int, waits: Callable[[Item], bool]) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._waits = waits
        self._nested: deque[Item] = deque()
        self._new: deque[Item] = deque()
        self._count = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        """The items that wait, the next one first."""
        return filter(self._waits, (*self._nested, *self._new))

    def __repr__(self) -> str:
        return f"<Backlog {self._count} items, {self.bytes} bytes>"

    def has_room(self, size: int) -> bool:
        """Whether a new item of ``size`` bytes may wait."""
        if self._count >= self._most:
            return False
        return not self._count or self.bytes + size <= self._most_bytes

    def add(self, item: Item, size: int, *, nested: bool, first: bool) -> None:
        """Let an item wait, at the front of its queue or at the end."""
        queue = self._nested if nested else self._new
        if first:
            queue.appendleft(item)
        else:
            queue.append(item)
        self._count += 1
        self.bytes += size
        # Items that left on their own must not pile up behind a front that does not move.
        if len(self._nested) + len(self._new) > 2 * self._count + _MOST_GONE:
            self._nested = deque(filter(self._waits, self._nested))
            self._new = deque(filter(self._waits, self._new))

    def removed(self, size: int) -> None:
        """An item no longer waits."""
        self._count -= 1
        self.bytes -= size

    def take(self, *, only_nested: bool) -> Item | None:
        """The item to run next; the owner calls ``removed`` for it."""
        for queue in (self._nested,) if only_nested else (self._nested, self._new):
            while queue:
                item = queue.popleft()
                if self._waits(item):
                    return item
        return None
