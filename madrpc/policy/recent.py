"""The calls worth a second look: the slowest of the last minutes, and the last errors.

Nearly all calls are neither, and cost their server one comparison with ``bar_s``. What is kept is
bounded in number, in age and in the size of its text. Instants are seconds on a monotonic clock
that the caller reads.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any

from madrpc.errors import MethodNotFound

__all__ = ["RecentCalls", "SlowCall", "joined", "merged"]

_MOST_SLOW = 20
_MOST_ERRORS = 50
_SLOW_AGE_S = 600.0
_ERROR_AGE_S = 3600.0
_LONGEST_METHOD = 255
_LONGEST_MESSAGE = 500
_LONGEST_STACK = 2000
_LONGEST_TRACE = 32
#: Two servers that tell of one call agree about its age as far as this; they were asked one after
#: the other.
_AGE_SLACK_S = 3.0

_total = attrgetter("total_s")


@dataclass(slots=True)
class SlowCall:
    """A call that took long. Parts of its time are milliseconds; None where they are not known.

    Attributes:
        ended: when it ended.
        total_s: how long it took here.
        outcome: ``ok`` or the name of its error.
        id: of its request on the connection to the node that ran it.
        attempts: how often it was begun.
    """

    method: str
    node: str | None
    ended: float
    total_s: float
    outcome: str
    trace: str | None = None
    attempts: int = 1
    id: int | None = None
    queue_ms: float | None = None
    context_ms: float | None = None
    run_ms: float | None = None
    parked_ms: float | None = None

    def row(self, now: float) -> dict[str, Any]:
        """The call as ``_recent`` tells it."""
        return {
            "method": self.method,
            "node": self.node,
            "age_s": round(now - self.ended, 3),
            "total_ms": round(self.total_s * 1000, 3),
            "queue_ms": self.queue_ms,
            "context_ms": self.context_ms,
            "run_ms": self.run_ms,
            "parked_ms": self.parked_ms,
            "wire_ms": None,
            "outcome": self.outcome,
            "trace": self.trace,
            "attempts": self.attempts,
            "id": self.id,
        }


@dataclass(slots=True)
class _Failure:
    """Equal errors; node, stack and trace are those of the last one."""

    node: str | None
    at: float
    stack: str | None
    trace: str | None
    count: int


_Key = tuple[str, str, str]


class RecentCalls:
    """The slowest calls and the last errors of one server.

    Attributes:
        bar_s: a call that took no longer than this is not among the slowest.
    """

    def __init__(self) -> None:
        self.bar_s = -1.0
        self._slow: list[SlowCall] = []
        #: In the order of their last occurrence.
        self._errors: dict[_Key, _Failure] = {}

    def __repr__(self) -> str:
        return f"<RecentCalls {len(self._slow)} slow, {len(self._errors)} errors>"

    def keep(self, call: SlowCall) -> None:
        """Keep a call that took longer than ``bar_s``."""
        call.method = call.method[:_LONGEST_METHOD]
        insort(self._slow, call, key=_total)
        del self._slow[:-_MOST_SLOW]
        self._set_bar()

    def failed(
        self,
        method: str,
        error: Mapping[str, Any],
        now: float,
        *,
        node: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Keep an error.

        Equal ones (method, name and message) become one with a count, so that a function that
        always throws does not push all others out. One whose messages differ pushes out its own.

        Args:
            error: as the wire has it: name, message, data.
        """
        key = _key(method, error)
        before = self._errors.pop(key, None)
        if before is None and len(self._errors) >= _MOST_ERRORS:
            self._make_room()
        count = 1 if before is None else before.count + 1
        self._errors[key] = _Failure(node, now, _stack_of(error), trace, count)

    def expire(self, now: float) -> None:
        """Forget what is too old. Somebody must call this about once a second."""
        oldest = now - _SLOW_AGE_S
        if any(call.ended < oldest for call in self._slow):
            self._slow = [call for call in self._slow if call.ended >= oldest]
            self._set_bar()
        while self._errors:
            key, failure = next(iter(self._errors.items()))
            if failure.at >= now - _ERROR_AGE_S:
                break
            del self._errors[key]

    def slowest(self, now: float) -> list[dict[str, Any]]:
        """Rows of ``_recent``, the slowest first."""
        return [call.row(now) for call in reversed(self._slow)]

    def errors(self, now: float) -> list[dict[str, Any]]:
        """Rows of ``_recent``, the newest first."""
        return [
            {
                "method": method,
                "node": failure.node,
                "age_s": round(now - failure.at, 3),
                "name": name,
                "message": message,
                "stack": failure.stack,
                "trace": failure.trace,
                "count": failure.count,
            }
            for (method, name, message), failure in reversed(self._errors.items())
        ]

    def _set_bar(self) -> None:
        self.bar_s = self._slow[0].total_s if len(self._slow) >= _MOST_SLOW else -1.0

    def _make_room(self) -> None:
        """Drop the oldest error of the method that has most of them."""
        ((most, _),) = Counter(map(_group, self._errors)).most_common(1)
        del self._errors[next(key for key in self._errors if _group(key) == most)]


def _key(method: str, error: Mapping[str, Any]) -> _Key:
    name, message = str(error.get("name")), str(error.get("message"))
    return method[:_LONGEST_METHOD], name[:_LONGEST_METHOD], message[:_LONGEST_MESSAGE]


def _group(key: _Key) -> str:
    """What shares a part of the room: a method, or all names that nobody has."""
    method, name, _ = key
    return name if name == MethodNotFound.__name__ else method


def _stack_of(error: Mapping[str, Any]) -> str | None:
    data = error.get("data")
    return _text(data.get("stack"), _LONGEST_STACK) if isinstance(data, Mapping) else None


def joined(
    own: Iterable[dict[str, Any]], of_nodes: Mapping[str, Iterable[Any]]
) -> list[dict[str, Any]]:
    """An orchestrator's slow calls, each with its parts where its node kept the same call.

    Args:
        own: rows with the ``id`` that the call had at its node.
        of_nodes: each node's rows, by address.
    """
    found = []
    for row in own:
        id = row.pop("id")
        told = of_nodes.get(row["node"] or "", ())
        likely = islice(told, _MOST_SLOW)
        same = next((other for other in likely if _is_same(row, id, other)), None)
        if same is not None:
            parts = ("queue_ms", "context_ms", "run_ms", "parked_ms")
            row.update({part: _number(same.get(part)) for part in parts})
            row["wire_ms"] = round(row["total_ms"] - same["total_ms"], 3)
            row["trace"] = row["trace"] or _text(same.get("trace"), _LONGEST_TRACE)
        found.append(row)
    return found


def _is_same(row: Mapping[str, Any], id: int | None, other: Any) -> bool:
    """Whether a node tells of the same call. Ids of other callers of the node may be equal."""
    return (
        isinstance(other, Mapping)
        and id is not None
        and other.get("id") == id
        and other.get("method") == row["method"]
        and _number(other.get("total_ms")) is not None
        and other["total_ms"] <= row["total_ms"]
        and _number(other.get("age_s")) is not None
        and abs(other["age_s"] - row["age_s"]) <= _AGE_SLACK_S
    )


def merged(
    own: Iterable[dict[str, Any]], of_nodes: Mapping[str, Iterable[Any]]
) -> list[dict[str, Any]]:
    """An orchestrator's errors and those of its nodes, the newest first.

    What a node answered the orchestrator with is in both. So the count of equal ones is what the
    nodes have together, or the orchestrator alone, whichever is more.
    """
    found: dict[_Key, dict[str, Any]] = {}
    for address, rows in of_nodes.items():
        for told in islice(rows, _MOST_ERRORS):
            row = _error_row(told, address)
            if row is not None:
                _add(found, row, add_up=True)
    for row in own:
        _add(found, row, add_up=False)
    return sorted(found.values(), key=lambda row: float(row["age_s"]))[:_MOST_ERRORS]


def _add(found: dict[_Key, dict[str, Any]], row: dict[str, Any], *, add_up: bool) -> None:
    key = (row["method"], row["name"], row["message"])
    other = found.get(key)
    if other is None:
        found[key] = dict(row)
        return
    counts = (other["count"], row["count"])
    newer, older = (row, other) if row["age_s"] < other["age_s"] else (other, row)
    found[key] = {
        **newer,
        "node": newer["node"] or older["node"],
        "stack": newer["stack"] or older["stack"],
        "trace": newer["trace"] or older["trace"],
        "count": sum(counts) if add_up else max(counts),
    }


def _error_row(row: Any, address: str) -> dict[str, Any] | None:
    """What a node says of an error, bounded as if it were an own one; None for what is none."""
    if not isinstance(row, Mapping):
        return None
    age_s, count = _number(row.get("age_s")), row.get("count")
    texts = all(isinstance(row.get(key), str) for key in ("method", "name", "message"))
    if not texts or age_s is None or type(count) is not int or not 0 < count < 2**53:
        return None
    method, name, message = _key(row["method"], row)
    return {
        "method": method,
        "node": address,
        "age_s": age_s,
        "name": name,
        "message": message,
        "stack": _text(row.get("stack"), _LONGEST_STACK),
        "trace": _text(row.get("trace"), _LONGEST_TRACE),
        "count": count,
    }


def _text(value: Any, longest: int) -> str | None:
    return value[:longest] if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    """A number that can be a time; servers of other kinds may say anything."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value < 1e15 else None
