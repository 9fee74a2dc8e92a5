"""Arithmetic of scaling: efficiencies, medians and extremes of rounds, saturation. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

__all__ = ["Figure", "at_share", "efficiency", "powers", "saturation", "worker_counts"]


class Figure:
    """What several rounds found for one thing.

    Attributes:
        median: the middle of the rounds.
        low, high: the extremes; None if there was one round only.
    """

    __slots__ = ("high", "low", "median")

    def __init__(self, rounds: Sequence[float]) -> None:
        self.median = statistics.median(rounds)
        several = len(rounds) > 1
        self.low = min(rounds) if several else None
        self.high = max(rounds) if several else None

    def text(self, digits: int = 0) -> str:
        """The median and the extremes, such as ``1,234 (1,200 to 1,250)``."""
        return self._text(lambda value: f"{value:,.{digits}f}", "")

    def percent(self) -> str:
        """The same of a share, such as ``97.1 % (96.0 to 98.2)``."""
        return self._text(lambda value: f"{100 * value:.1f}", " %")

    def _text(self, show: Callable[[float], str], unit: str) -> str:
        middle = show(self.median) + unit
        if self.low is None or self.high is None or show(self.low) == show(self.high):
            return middle
        return f"{middle} ({show(self.low)} to {show(self.high)})"


def efficiency(rate: float, count: int, single: float) -> float:
    """The share of ``count`` times a single one's rate that came out; 1 is perfect scaling."""
    return rate / (count * single)


def powers(most: int) -> list[int]:
    """1, 2, 4 ... and ``most`` itself, rising."""
    if most < 1:
        raise ValueError(f"there is nothing to count up to {most}")
    found = [1]
    while found[-1] * 2 < most:
        found.append(found[-1] * 2)
    return found if found[-1] == most else [*found, most]


def worker_counts(cores: int) -> list[int]:
    """Workers to measure: up to every core; with two cores some beyond, which add nothing."""
    counts = powers(cores)
    return [*counts, cores + 1, 2 * cores] if cores == 2 else counts


def saturation(points: Sequence[tuple[int, float]], gain: float = 0.03) -> tuple[int, float]:
    """Where more calls in flight stop bringing more calls a second.

    Args:
        points: calls in flight and calls a second, in rising order of the first.
        gain: a growth below this share of the highest rate counts as none.

    Returns:
        The first point that comes so near to the highest rate.
    """
    highest = max(rate for _, rate in points)
    return next(point for point in points if point[1] >= highest * (1 - gain))


def at_share(most: float, shares: Sequence[float]) -> list[tuple[float, float]]:
    """Each share with the rate that it is of the highest one."""
    return [(share, share * most) for share in shares]
