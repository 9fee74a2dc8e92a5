"""What a load test found: percentiles, a histogram, and whether limits were kept."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Threshold", "histogram", "percentile", "summary"]

_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([0-9.]+)\s*(us|ms|s|%|)\s*")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
#: Milliseconds in each unit of time.
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_TIMES = ("min", "mean", "p50", "p90", "p95", "p99", "p999", "max")
_BAR = 40


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all values do not exceed; nan if there are none."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(latencies_ms: Sequence[float], errors: int, seconds: float) -> dict[str, float]:
    """Figures by name: times in milliseconds, ``rate`` in answers a second, ``errors`` in percent.

    Args:
        latencies_ms: of the calls that succeeded, in order of size.
        errors: calls that failed.
    """
    count = len(latencies_ms)
    total = count + errors
    figures = {
        "rate": total / seconds if seconds else math.nan,
        "errors": 100 * errors / total if total else 0.0,
        "min": latencies_ms[0] if count else math.nan,
        "mean": math.fsum(latencies_ms) / count if count else math.nan,
        "max": latencies_ms[-1] if count else math.nan,
    }
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
        figures[name] = percentile(latencies_ms, share)
    return figures


@dataclass(frozen=True)
class Threshold:
    """A condition under which a load test fails, such as ``p95>50ms`` or ``errors>0.1%``.

    Attributes:
        text: as it was given.
        name: of a figure of ``summary``.
        comparison: <, >, <= or >=.
        bound: in the unit of the figure.
    """

    text: str
    name: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read a condition.

        Raises:
            ValueError: with what is wrong.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no condition; write one such as p95>50ms or errors>0.1%")
        name, comparison, number, unit = match.groups()
        try:
            bound = float(number)
        except ValueError:
            raise ValueError(f"{text!r}: {number!r} is not a number") from None
        if name in _TIMES:
            if unit not in _UNITS_MS:
                raise ValueError(f"{text!r}: {name} is a time; give it a unit: us, ms or s")
            return cls(text, name, comparison, bound * _UNITS_MS[unit])
        if name not in ("rate", "errors"):
            raise ValueError(f"{text!r}: {name!r} is none of rate, errors, {', '.join(_TIMES)}")
        if unit in _UNITS_MS:
            raise ValueError(f"{text!r}: {name} is not a time")
        return cls(text, name, comparison, bound)

    def is_met_by(self, figures: Mapping[str, float]) -> bool:
        """Whether the test fails; one that measured nothing does."""
        value = figures[self.name]
        return math.isnan(value) or _COMPARISONS[self.comparison](value, self.bound)


def histogram(ordered: Sequence[float], rows: int = 10) -> list[str]:
    """Lines with the values between the 0th and the 99.9th percentile in equal steps."""
    if not ordered:
        return []
    low, high = ordered[0], percentile(ordered, 0.999)
    step = (high - low) / rows or 1.0
    counts = [0] * rows
    for value in ordered:
        counts[min(rows - 1, int((value - low) / step))] += 1
    most = max(counts)
    lines = []
    for row, count in enumerate(counts):
        bar = "#" * round(_BAR * count / most)
        lines.append(f"{low + (row + 1) * step:10.3f} ms  {count:8}  {bar}".rstrip())
    return lines
