"""The service of a simulated node: so many workers, each busy with a call for a while. Pure."""

from __future__ import annotations

import heapq

__all__ = ["ServiceTimes", "Slots"]

_GOLDEN = 0.6180339887498949


class ServiceTimes:
    """Service times spread evenly over half to one and a half of their mean.

    They differ, so that simulated nodes do not answer in step; and they are no random sample, so
    that a short measurement has the mean it was promised.
    """

    def __init__(self, mean_s: float) -> None:
        self._mean_s = mean_s
        self._phase = 0.0

    def next(self) -> float:
        """Seconds that the next call takes."""
        self._phase = (self._phase + _GOLDEN) % 1.0
        return self._mean_s * (0.5 + self._phase)


class Slots:
    """When calls end, if ``workers`` serve them in the order in which they came.

    A call begins at the instant a worker becomes free and not when a timer notices, so the timers'
    grain costs no throughput while calls wait.
    """

    def __init__(self, workers: int, times: ServiceTimes) -> None:
        self._free = [0.0] * workers
        self._times = times

    def take(self, now: float) -> float:
        """The instant at which a call that comes now is done."""
        begin = max(now, heapq.heappop(self._free))
        end = begin + self._times.next()
        heapq.heappush(self._free, end)
        return end
