"""Counts and latencies in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["OTHER_METHODS", "Histogram", "MethodStats", "MethodTable"]

#: Distinct methods counted by name; the rest share one row, so that memory stays bounded. So do
#: the names of errors, which come from peers.
_MAX_METHODS = 200
_MAX_ERROR_NAMES = 50
OTHER_METHODS = "_other"

# Buckets: 8 to each doubling of a microsecond count, so a bucket is at most 12.5 % wide.
_SUB_BITS = 3
_SUB = 1 << _SUB_BITS
_BUCKETS = (41 - _SUB_BITS) * _SUB  # up to 2**40 us, twelve days


class Histogram:
    """Durations in logarithmic buckets: a quantile is off by at most 6.25 %."""

    __slots__ = ("_buckets", "count", "max_us", "sum_us")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.sum_us = 0
        self.max_us = 0

    def record(self, seconds: float) -> None:
        """Count one duration."""
        us = int(seconds * 1e6) if seconds > 0 else 0
        index = _bucket(us)
        buckets = self._buckets
        buckets[index] = buckets.get(index, 0) + 1
        self.count += 1
        self.sum_us += us
        if us > self.max_us:
            self.max_us = us

    def quantile(self, fraction: float) -> float:
        """The duration in seconds below which ``fraction`` of all counted ones lie; 0 if none."""
        if not self.count:
            return 0.0
        rank = fraction * self.count
        seen = 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen >= rank:
                return min(_middle(index), self.max_us) / 1e6
        return self.max_us / 1e6

    @property
    def buckets(self) -> Mapping[int, int]:
        """How many durations are in each bucket that has any."""
        return self._buckets

    def cumulative(self, bounds: Sequence[float]) -> list[int]:
        """How many durations are at most each of the ascending bounds, in seconds."""
        counts = [0] * len(bounds)
        for index, count in self._buckets.items():
            at = bisect_left(bounds, _middle(index) / 1e6)
            if at < len(counts):
                counts[at] += count
        return list(accumulate(counts))

    def snapshot(self) -> dict[str, float]:
        """Mean, p50, p95, p99 and maximum in milliseconds."""
        mean = self.sum_us / self.count if self.count else 0.0
        return {
            "mean_ms": round(mean / 1e3, 3),
            "p50_ms": round(self.quantile(0.50) * 1e3, 3),
            "p95_ms": round(self.quantile(0.95) * 1e3, 3),
            "p99_ms": round(self.quantile(0.99) * 1e3, 3),
            "max_ms": round(self.max_us / 1e3, 3),
        }


def _pairs(buckets: Iterable[tuple[int, int]]) -> list[list[float]]:
    """Buckets as those outside see them: the middle in microseconds, and how many."""
    return [[_middle(index), count] for index, count in sorted(buckets)]


def _bucket(us: int) -> int:
    shift = us.bit_length() - _SUB_BITS - 1
    if shift <= 0:
        return us
    return min((shift << _SUB_BITS) + (us >> shift), _BUCKETS)


def _middle(index: int) -> float:
    if index < 2 * _SUB:
        return float(index)
    shift = (index >> _SUB_BITS) - 1
    low = (index - (shift << _SUB_BITS)) << shift
    return low + (1 << shift) / 2


class MethodStats:
    """Calls, errors by name and durations of one method."""

    __slots__ = ("calls", "durations", "errors", "errors_by_name")

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.errors_by_name: dict[str, int] = {}
        self.durations = Histogram()

    def snapshot(self) -> dict[str, Any]:
        """Flat values for metrics."""
        return {
            "calls": self.calls,
            "errors": self.errors,
            "errors_by_name": dict(self.errors_by_name),
            **self.durations.snapshot(),
        }


class MethodTable:
    """Statistics of every method, by name, up to a bound."""

    def __init__(self) -> None:
        self._methods: dict[str, MethodStats] = {}
        self.calls = 0
        self.errors = 0

    def succeeded(self, method: str, seconds: float) -> None:
        """Count one answered call."""
        self._count(method, seconds)

    def failed(self, method: str, seconds: float, error_name: str) -> None:
        """Count one call that ended in an error."""
        stats = self._count(method, seconds)
        stats.errors += 1
        self.errors += 1
        names = stats.errors_by_name
        if error_name not in names and len(names) >= _MAX_ERROR_NAMES:
            error_name = OTHER_METHODS
        names[error_name] = names.get(error_name, 0) + 1

    def snapshot(self, *, durations: bool = False) -> dict[str, dict[str, Any]]:
        """Statistics by method name.

        Args:
            durations: add how many calls took how long: pairs of microseconds and a count.
        """
        rows = {name: stats.snapshot() for name, stats in sorted(self._methods.items())}
        if durations:
            for name, row in rows.items():
                row["durations"] = _pairs(self._methods[name].durations.buckets.items())
        return rows

    def durations(self) -> list[list[float]]:
        """How many calls of all methods took how long: pairs of microseconds and a count."""
        total: Counter[int] = Counter()
        for stats in self._methods.values():
            total.update(stats.durations.buckets)
        return _pairs(total.items())

    def figures(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What ``_metrics`` tells of the methods.

        Args:
            args: ``methods`` False leaves them out; ``durations`` True adds those.
        """
        durations = args.get("durations") is True
        figures: dict[str, Any] = {}
        if args.get("methods") is not False:
            figures["methods"] = self.snapshot(durations=durations)
        if durations:
            figures["durations"] = self.durations()
        return figures

    def rows(self) -> Iterable[tuple[str, MethodStats]]:
        """Each method's name and statistics."""
        return self._methods.items()

    def _count(self, method: str, seconds: float) -> MethodStats:
        stats = self._methods.get(method) or self._row(method)
        stats.calls += 1
        self.calls += 1
        stats.durations.record(seconds)
        return stats

    def _row(self, method: str) -> MethodStats:
        if len(self._methods) >= _MAX_METHODS:
            method = OTHER_METHODS
        return self._methods.setdefault(method, MethodStats())
