from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.policy.stats import (
    _MAX_METHODS,
    OTHER_METHODS,
    Histogram,
    MethodTable,
    _bucket,
    _middle,
)

WORST = 0.0625
LARGEST_US = 2**40 - 1
microseconds = st.integers(0, 10**9) | st.integers(0, LARGEST_US) | st.integers(0, 40)


def histogram(values_us: list[int]) -> Histogram:
    found = Histogram()
    for us in values_us:
        # A thousandth more, so that a float cannot truncate to the microsecond below.
        found.record((us + 0.001) / 1e6)
    return found


@given(microseconds)
def test_a_buckets_middle_is_within_the_promised_error(us):
    assert abs(_middle(_bucket(us)) - us) <= WORST * us


@pytest.mark.parametrize("shift", range(1, 37))
def test_at_the_edges_of_a_bucket_the_error_is_no_larger(shift):
    for us in (8 << shift, (9 << shift) - 1, 15 << shift, (16 << shift) - 1):
        assert abs(_middle(_bucket(us)) - us) <= WORST * us


@given(microseconds, microseconds)
def test_buckets_keep_the_order(one, other):
    assert (_bucket(one) <= _bucket(other)) == (one <= other) or _bucket(one) == _bucket(other)


def test_buckets_follow_each_other_without_a_gap():
    indices = [_bucket(us) for us in range(5000)]
    assert sorted(set(indices)) == list(range(indices[-1] + 1))
    assert indices == sorted(indices)


def test_years_are_counted_in_the_last_bucket():
    assert _bucket(2**70) == _bucket(2**60)
    assert histogram([2**60]).quantile(1.0) > 0


@given(st.lists(microseconds, min_size=1), st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_the_promised_error_of_the_sorted_list(values, fraction):
    found = histogram(values).quantile(fraction) * 1e6
    ordered = sorted(values)
    # The smallest value with at least this share of all values at or below it.
    exact = next(v for i, v in enumerate(ordered, 1) if i >= fraction * len(ordered))
    assert abs(found - exact) <= WORST * exact + 1e-6
    assert found <= ordered[-1] + 1e-6


def test_an_empty_histogram_is_all_zeros():
    assert Histogram().quantile(0.5) == 0.0
    assert set(Histogram().snapshot().values()) == {0.0}


def test_a_snapshot_is_in_milliseconds():
    found = histogram([1000, 2000, 3000]).snapshot()
    assert list(found) == ["mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"]
    assert found["mean_ms"] == 2.0
    assert found["max_ms"] == 3.0
    assert found["p50_ms"] == pytest.approx(2.0, rel=WORST)
    assert found["p99_ms"] == pytest.approx(3.0, rel=WORST)


def test_a_snapshot_of_a_few_microseconds_is_exact():
    assert histogram([*range(1, 11)] * 10).snapshot() == {
        "mean_ms": 0.005,
        "p50_ms": 0.005,
        "p95_ms": 0.01,
        "p99_ms": 0.01,
        "max_ms": 0.01,
    }


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_durations_below_a_microsecond_count_as_none(seconds):
    found = Histogram()
    found.record(seconds)
    assert (found.count, found.sum_us, found.max_us) == (1, 0, 0)
    assert found.quantile(0.5) == 0.0


def test_buckets_stay_bounded_whatever_comes():
    found = histogram([3**n for n in range(60)] + list(range(100_000)))
    assert len(found._buckets) < 320


def test_a_quantile_beyond_every_count_is_the_largest():
    assert histogram([5]).quantile(2.0) == pytest.approx(5e-6)


# ------------------------------------------------------------------ methods


def test_calls_and_errors_are_counted_by_method():
    table = MethodTable()
    table.succeeded("add", 0.001)
    table.succeeded("mul", 0.002)
    table.failed("add", 0.003, "CallTimeout")
    table.failed("add", 0.003, "Overloaded")
    table.failed("add", 0.003, "CallTimeout")
    assert (table.calls, table.errors) == (5, 3)
    rows = table.snapshot()
    assert list(rows) == ["add", "mul"]
    assert (rows["add"]["calls"], rows["add"]["errors"]) == (4, 3)
    assert rows["add"]["errors_by_name"] == {"CallTimeout": 2, "Overloaded": 1}
    assert (rows["mul"]["calls"], rows["mul"]["errors"]) == (1, 0)
    assert rows["mul"]["max_ms"] == 2.0


def test_a_snapshot_does_not_change_afterwards():
    table = MethodTable()
    table.failed("add", 0.001, "Overloaded")
    before = table.snapshot()
    table.failed("add", 0.001, "Overloaded")
    assert before["add"]["errors_by_name"] == {"Overloaded": 1}


def test_names_beyond_the_bound_share_a_row():
    table = MethodTable()
    for n in range(_MAX_METHODS + 50):
        table.succeeded(f"m{n}", 0.001)
    table.succeeded("m0", 0.001)
    rows = table.snapshot()
    assert len(rows) == _MAX_METHODS + 1
    assert rows[OTHER_METHODS]["calls"] == 50
    assert rows["m0"]["calls"] == 2
    assert table.calls == _MAX_METHODS + 51


def test_error_names_are_bounded_too():
    table = MethodTable()
    for n in range(5000):
        table.failed("add", 0.001, f"Error{n}")
    names = table.snapshot()["add"]["errors_by_name"]
    assert len(names) < 100
    assert names["Error0"] == 1
    assert sum(names.values()) == table.errors == 5000


def test_durations_tell_how_many_took_how_long():
    table = MethodTable()
    for method, seconds in (("a", 0.001), ("a", 0.001), ("b", 0.001), ("b", 0.5)):
        table.succeeded(method, seconds)
    near = pytest.approx
    assert table.durations() == [[near(1000, rel=WORST), 3], [near(500_000, rel=WORST), 1]]
    rows = table.snapshot(durations=True)
    assert [rows[name]["durations"] for name in "ab"] == [
        [[near(1000, rel=WORST), 2]],
        [[near(1000, rel=WORST), 1], [near(500_000, rel=WORST), 1]],
    ]
    assert "durations" not in table.snapshot()["a"]


def test_figures_tell_what_they_are_asked_for():
    table = MethodTable()
    table.succeeded("a", 0.001)
    assert set(table.figures({})) == {"methods"}
    assert table.figures({"methods": False}) == {}
    assert set(table.figures({"durations": True})) == {"methods", "durations"}
    assert set(table.figures({"durations": True, "methods": False})) == {"durations"}
    assert "durations" not in table.figures({"durations": "yes"})["methods"]["a"]
