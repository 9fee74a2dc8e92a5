"""The work that every peer is given, timed and checked.

A peer says how it makes one call and how it makes many; ``measure`` prints one line of JSON:
``one_us`` (p50 and p99 of tiny calls made one after the other), ``many_per_s`` (tiny calls with 64
in flight), ``pi_s`` (50 calls of 200 000 samples), ``echo_ms`` (a call with 1 MB there and back).
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["IN_FLIGHT", "WORKERS", "Args", "big_value", "check_pi", "measure", "pi_calls", "report"]

Args = dict[str, Any]
One = Callable[[str, Args], Any]
Many = Callable[[str, Sequence[Args]], Iterable[Any]]

WORKERS = os.cpu_count() or 1
IN_FLIGHT = 64
_ONE_CALLS = 1_000
_MANY_CALLS = 6_000
_PI_CALLS = 50
_PI_SAMPLES = 200_000
_ECHOES = 8
_WARM_UP = 100
_now = time.perf_counter


def measure(one: One, many: Many) -> None:
    """Do all of it and print the figures."""
    tiny = [{"a": n, "b": 1} for n in range(_WARM_UP)]
    assert sorted(many("add", tiny)) == [n + 1 for n in range(_WARM_UP)]
    p50, p99 = one_at_a_time(one)
    report(p50, p99, many_at_once(many), pi(many), echo(one))


def report(p50_us: float, p99_us: float, per_s: float, pi_s: float, echo_ms: float) -> None:
    """Print the figures."""
    figures = {"p50_us": p50_us, "p99_us": p99_us, "many_per_s": per_s}
    print(json.dumps({**figures, "pi_s": pi_s, "echo_ms": echo_ms}), flush=True)


def one_at_a_time(one: One) -> tuple[float, float]:
    """p50 and p99 of tiny calls, in microseconds."""
    took = []
    for n in range(_ONE_CALLS):
        began = _now()
        result = one("add", {"a": n, "b": 1})
        took.append(_now() - began)
        assert result == n + 1
    took.sort()
    return took[_ONE_CALLS // 2] * 1e6, took[_ONE_CALLS * 99 // 100] * 1e6


def many_at_once(many: Many) -> float:
    """Tiny calls in a second."""
    calls = [{"a": n, "b": 1} for n in range(_MANY_CALLS)]
    began = _now()
    total = sum(many("add", calls))
    took = _now() - began
    assert total == _MANY_CALLS * (_MANY_CALLS + 1) // 2
    return _MANY_CALLS / took


def pi_calls() -> list[Args]:
    """Arguments of the calls that estimate pi."""
    return [{"samples": _PI_SAMPLES, "seed": seed} for seed in range(_PI_CALLS)]


def check_pi(inside: int) -> None:
    """All peers run the same numbers, so the estimate is the same, and near pi."""
    assert abs(4 * inside / (_PI_CALLS * _PI_SAMPLES) - 3.14159) < 0.002, inside


def pi(many: Many) -> float:
    """Seconds for all samples."""
    began = _now()
    inside = sum(many("pi", pi_calls()))
    took = _now() - began
    check_pi(inside)
    return took


@functools.cache
def big_value() -> Args:
    """About 1 MB of records as JSON."""
    rows = [
        {"id": n, "name": f"customer {n}", "active": n % 3 == 0, "balance": n * 1.25, "tags": ["a"]}
        for n in range(11_500)
    ]
    assert 0.95e6 < len(json.dumps({"rows": rows})) < 1.05e6
    return {"rows": rows}


def echo(one: One) -> float:
    """Milliseconds for 1 MB there and back, the median."""
    value = big_value()
    took = []
    for _ in range(_ECHOES):
        began = _now()
        result = one("echo", value)
        took.append(_now() - began)
        assert result == value
    return statistics.median(took) * 1e3
