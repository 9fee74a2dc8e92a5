"""Calls made for the sake of measuring them: a number at a time, or at a rate.

With a rate, a call's latency counts from the instant it was meant for. A server that stalls then
shows in every call that should have been made meanwhile, not only in the one that met the stall.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from madrpc.client.attempts import PendingCall
from madrpc.client.pipeline import Pipeline

__all__ = ["LoadResult", "LoadTest", "Plan"]

_now = time.monotonic
#: Calls in flight at a rate; beyond, calls wait, and their latency grows with it.
_MOST_IN_FLIGHT = 10_000


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        concurrency: calls in flight, where no rate is given.
        rate: calls to begin in each second, or None.
        calls: calls that count, or None for as many as fit into ``seconds``.
        seconds: how long calls that count are begun, or None.
        warmup_s: calls before that do not count.
    """

    concurrency: int
    rate: float | None = None
    calls: int | None = None
    seconds: float | None = None
    warmup_s: float = 0.0


@dataclass
class LoadResult:
    """What came of it.

    Attributes:
        latencies_ms: of the calls that succeeded, in order of size once the test is over.
        errors: the others, by the name of their error.
        seconds: from the first call that counts to the last answer.
        message: what the first error said.
    """

    latencies_ms: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    message: str = ""


class LoadTest:
    """One run over one connection.

    Args:
        make_call: a new call, which begins its life at once.
    """

    def __init__(
        self, pipeline: Pipeline, make_call: Callable[[], PendingCall], plan: Plan
    ) -> None:
        self._pipeline = pipeline
        self._make_call = make_call
        self._plan = plan
        self._counts_from = 0.0
        self._began = 0
        self._started = 0
        self._meant: dict[PendingCall, float] = {}
        self.result = LoadResult()

    def run(self) -> LoadResult:
        """Make the calls and wait for all of them."""
        start = _now()
        self._counts_from = start + self._plan.warmup_s
        try:
            while self._is_on():
                until = self._start_due(start)
                self._take(self._pipeline.poll(until))
            while self._meant:
                self._take(self._pipeline.poll(None))
        finally:
            self._pipeline.close()
        result = self.result
        result.seconds = max(0.0, _now() - self._counts_from)
        result.latencies_ms = array("d", sorted(result.latencies_ms))
        return result

    def _is_on(self) -> bool:
        plan, now = self._plan, _now()
        if plan.seconds is not None and now >= self._counts_from + plan.seconds:
            return False
        return plan.calls is None or self._began < plan.calls

    def _start_due(self, start: float) -> float | None:
        """Begin what is due; return when more will be."""
        rate = self._plan.rate
        if rate is None:
            while len(self._meant) < self._plan.concurrency and self._is_on():
                self._start(_now())
            return None
        while len(self._meant) < _MOST_IN_FLIGHT and self._is_on():
            due = start + self._started / rate
            if due > _now():
                return due
            self._start(due)
        return None

    def _start(self, meant: float) -> None:
        self._started += 1
        call = self._make_call()
        self._meant[call] = meant
        if meant >= self._counts_from:
            self._began += 1
        self._pipeline.start(call)

    def _take(self, calls: list[PendingCall]) -> None:
        now, result = _now(), self.result
        for call in calls:
            meant = self._meant.pop(call)
            if meant < self._counts_from:
                continue
            if call.error is None:
                result.latencies_ms.append((now - meant) * 1000)
            else:
                result.errors[call.error.name] += 1
                result.message = result.message or call.error.message
