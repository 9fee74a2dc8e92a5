"""Small tools that tests of several modules share. Nothing here opens a socket or sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from madrpc.protocol.messages import Cancel, MalformedMessage, Request, Response

Feed = Callable[[bytes], list[Any]]


class Clock:
    """A clock that moves when it is told to; stands in for ``time.monotonic``."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def feed_three_ways(new: Callable[[], Feed], sample: bytes) -> list[Any]:
    """What the sample yields: whole, byte by byte, and with the start of more behind it.

    Args:
        new: makes a fresh decoder and returns its method that takes bytes.
    """
    whole = feed_all(new(), [sample])
    assert feed_all(new(), (sample[i : i + 1] for i in range(len(sample)))) == whole
    assert feed_all(new(), [sample + b"\0\0"]) == whole
    return whole


def feed_all(feed: Feed, chunks: Iterable[bytes]) -> list[Any]:
    """Everything that the chunks yield, in order and in a form that can be compared."""
    return [facts(found) for chunk in chunks for found in feed(chunk)]


def facts(found: Any) -> Any:
    """A message as a tuple; anything else as it is."""
    if isinstance(found, tuple):
        return tuple(map(facts, found))
    if isinstance(found, Request):
        return ("request", found.id, found.timeout_ms, found.method, found.tail)
    if isinstance(found, Response):
        return ("response", found.id, found.tail)
    if isinstance(found, Cancel):
        return ("cancel", found.id)
    if isinstance(found, MalformedMessage):
        return ("malformed", found.id, found.error.name)
    return found


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The data in pieces of these sizes, used over and over; at least one size is not 0."""
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        yield data[position : position + size]
        position += size
        turn += 1
