"""Percentiles, histograms and conditions of a load test."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.policy.thresholds import Threshold, histogram, percentile, summary

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300).map(sorted)


@given(TIMES, st.floats(0.001, 1.0))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(
    times: list[float], share: float
) -> None:
    found = percentile(times, share)
    assert found in times
    assert sum(value <= found for value in times) >= share * len(times) - 1e-9
    assert sum(value < found for value in times) < share * len(times) + 1e-9


def test_figures_of_a_hundred_calls() -> None:
    figures = summary([float(n) for n in range(1, 101)], 25, 5.0)
    assert figures["rate"] == 25
    assert figures["errors"] == 20
    assert (figures["min"], figures["p50"], figures["p95"], figures["p99"]) == (1, 50, 95, 99)
    assert (figures["mean"], figures["max"], figures["p999"]) == (50.5, 100, 100)


def test_figures_of_nothing() -> None:
    figures = summary([], 0, 0.0)
    assert math.isnan(figures["p95"])
    assert figures["errors"] == 0
    assert histogram([]) == []


@pytest.mark.parametrize(
    ("text", "figures", "is_met"),
    [
        ("p95>50ms", {"p95": 51}, True),
        ("p95>50ms", {"p95": 50}, False),
        ("p95 >= 50ms", {"p95": 50}, True),
        ("max>1.5s", {"max": 1501}, True),
        ("min<20us", {"min": 0.019}, True),
        ("errors>0.1%", {"errors": 0.1}, False),
        ("errors>0", {"errors": 0.01}, True),
        ("rate<1000", {"rate": 999}, True),
        ("rate<=1000", {"rate": 1001}, False),
        ("p50>1s", {"p50": math.nan}, True),
    ],
)
def test_conditions(text: str, figures: dict[str, float], is_met: bool) -> None:
    assert Threshold.parse(text).is_met_by(figures) is is_met


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p95", "is no condition"),
        ("p95>50", "p95 is a time; give it a unit"),
        ("p95>5%", "p95 is a time; give it a unit"),
        ("p42>5ms", "is none of rate, errors"),
        ("rate<5ms", "rate is not a time"),
        ("p95>1.2.3ms", "is not a number"),
        ("p95=5ms", "is no condition"),
    ],
)
def test_conditions_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Threshold.parse(text)


@given(TIMES)
def test_a_histogram_has_every_value(times: list[float]) -> None:
    lines = histogram(times)
    assert len(lines) == 10
    assert sum(int(line.split(" ms")[1].split()[0]) for line in lines) == len(times)
    assert all(len(line) < 80 for line in lines)
