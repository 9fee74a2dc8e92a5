"""The stream behind the dashboard: one sample a second, whoever and however many look on.

While nobody does, only the points of the charts are kept: they cost a few counters read, and so the
last five minutes are there for who opens the page because something just went wrong.
"""

from __future__ import annotations

import logging
import math
import platform
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import gevent
from gevent.event import Event

from madrpc.http.feed import POINT_FIELDS, event, point, recent_data, view_data
from madrpc.http.guard import Refused
from madrpc.policy.readings import Counts, Flow, Monitor, Reading, counts_of, flow_between

__all__ = ["MOST_VIEWERS", "Events", "Stream", "Watched"]

log = logging.getLogger(__name__)

MOST_VIEWERS = 64
_INTERVAL_S = 1.0
_HISTORY_S = 300
#: Rates and percentiles in the tables are those of so many seconds, or they would flicker.
_WINDOW_S = 5.0
_RECENT_S = 3.0
#: Events a viewer may be behind; one that reads more slowly misses some.
_MOST_WAITING = 8
_SILENCE_S = 15.0
_FULL = {"nodes": "brief", "durations": True, "processes": False}
_BRIEF = {"nodes": False, "methods": False, "durations": False, "usage": False}
_TOLD = ("role", "address", "version", "isolation", "sandbox", "balance")

_now = time.monotonic


class Watched(Protocol):
    """The server whose figures these are."""

    def counts(self, args: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def about(self) -> dict[str, Any]: ...
    def recent(self) -> dict[str, Any]: ...


class Stream:
    """What one viewer is sent; iterated by the greenlet of its connection, which waits in it."""

    def __init__(self, events: Events, first: bytes) -> None:
        self._events = events
        self._waiting: deque[bytes] = deque([first], maxlen=_MOST_WAITING)
        self._changed = Event()
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._waiting:
            if self._ended:
                raise StopIteration
            self._changed.clear()
            if not self._changed.wait(_SILENCE_S):
                return b":\n\n"  # A comment, so that it is noticed when the viewer has left.
        return self._waiting.popleft()

    def put(self, data: bytes) -> None:
        """Send this next."""
        self._waiting.append(data)
        self._changed.set()

    def end(self, data: bytes) -> None:
        """Send this last."""
        self._ended = True
        self.put(data)

    def close(self) -> None:
        """The viewer left, or has all that it gets."""
        self._events.left(self)


class Events:
    """Samples a server and tells the viewers."""

    def __init__(self, server: Watched) -> None:
        self._server = server
        self._viewers: set[Stream] = set()
        self._points: deque[list[float | None]] = deque(maxlen=int(_HISTORY_S / _INTERVAL_S))
        self._wake = Event()
        self._last: Counts | None = None
        self._monitor = Monitor(_WINDOW_S)
        self._about: dict[str, Any] = {}
        self._revision: Any = None
        self._sampled_at = self._recent_at = -math.inf
        self._view: bytes = b""
        self._recent: bytes = b""
        self._is_ended = False
        self._complained = False
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Events {len(self._viewers)} viewers>"

    def start(self) -> None:
        """Begin to sample."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self, reason: str) -> None:
        """End every stream and take no more viewers."""
        if self._is_ended:
            return
        self._is_ended = True
        last = event("end", {"reason": reason})
        for viewer in self._viewers:
            viewer.end(last)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def watch(self) -> Stream:
        """A stream for one viewer more.

        Raises:
            Refused: 503, there are too many, or the server is about to end.
        """
        if self._is_ended:
            raise Refused(503, "the server is draining", Retry_After="1")
        if len(self._viewers) >= MOST_VIEWERS:
            raise Refused(503, f"{MOST_VIEWERS} viewers look on already", Retry_After="10")
        stream = Stream(self, self._hello())
        if self._viewers:
            for data in (self._view, self._recent):
                if data:
                    stream.put(data)
        else:
            self._monitor = Monitor(_WINDOW_S)
            self._recent_at = -math.inf
            self._wake.set()
        self._viewers.add(stream)
        return stream

    def left(self, stream: Stream) -> None:
        """A viewer is no longer there."""
        self._viewers.discard(stream)
        if not self._viewers:
            self._view = self._recent = b""

    # ----------------------------------------------------------- private

    def _hello(self) -> bytes:
        about = self._server.about()
        return event("hello", {
            **{key: about[key] for key in _TOLD if key in about},
            "host": platform.node(),
            "now": round(_now(), 2),
            "history_s": _HISTORY_S,
            "points": {"fields": POINT_FIELDS, "rows": list(self._points)},
        })  # fmt: skip

    def _run(self) -> None:
        due = _now()
        while True:
            self._wake.wait(max(0.0, due - _now()))
            self._wake.clear()
            # Who comes and goes quickly must not make it sample more often.
            gevent.sleep(max(0.0, min(self._sampled_at + _INTERVAL_S / 2, due) - _now()))
            due = max(min(due, _now()) + _INTERVAL_S, _now())
            try:
                self._sample()
                self._complained = False
            except Exception:
                if not self._complained:
                    log.exception("the figures of the dashboard cannot be worked out")
                self._complained = True

    def _sample(self) -> None:
        self._sampled_at = _now()
        if not self._viewers:
            self._add_point(self._brief())
            return
        answer = self._server.counts(_FULL)
        added = self._add_point(answer)
        view = self._monitor.take(Reading(_now(), answer, self._about_of(answer)))
        self._view = event("sample", {"point": added, **view_data(view)})
        self._tell(self._view)
        if _now() - self._recent_at >= _RECENT_S:
            self._recent_at = _now()
            self._recent = event("recent", recent_data(self._server.recent()))
            self._tell(self._recent)

    def _brief(self) -> dict[str, Any]:
        """Enough for a point; durations are only added up if there were calls."""
        answer = self._server.counts(_BRIEF)
        last = self._last
        if last is not None and last.durations is not None and answer["calls"] == last.calls:
            return {**answer, "durations": last.durations}
        return self._server.counts({**_BRIEF, "durations": True})

    def _add_point(self, answer: dict[str, Any]) -> list[float | None]:
        counts = counts_of(answer, _now())
        flow = flow_between(self._last, counts) if self._last is not None else Flow()
        self._last = counts
        queued = answer.get("queued", 0) + answer.get("waiting", 0)
        added = point(counts.at, flow, answer.get("in_flight", 0), queued)
        self._points.append(added)
        return added

    def _about_of(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What the server says of itself; asked for again when its functions have changed."""
        if not self._about or answer.get("revision") != self._revision:
            self._revision = answer.get("revision")
            self._about = self._server.about()
        return self._about

    def _tell(self, data: bytes) -> None:
        for viewer in self._viewers:
            viewer.put(data)
