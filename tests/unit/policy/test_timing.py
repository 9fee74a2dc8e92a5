from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.policy.timing import Backoff, DeadlineTable, deadline_from_ms, ms_left

#: Rounding of a float near the times below.
ROUNDING_S = 1e-6
LATEST_S = 0.02 + ROUNDING_S

instants = st.floats(0, 1e6)


def test_zero_milliseconds_are_no_deadline():
    assert deadline_from_ms(0, 5.0) is None
    assert deadline_from_ms(1500, 5.0) == 6.5


@pytest.mark.parametrize(
    ("deadline", "ms"),
    [
        (None, 0),
        (10.0, 1),  # now
        (5.0, 1),  # long past
        (10.0004, 1),
        (10.0019, 1),
        (10.5, 500),
        (10.9999, 999),
        (10.0 + 2**32 / 1000, 2**32 - 1),
        (1e300, 2**32 - 1),
        (float("inf"), 2**32 - 1),
    ],
)
def test_ms_left_fits_the_wire_and_never_takes_the_limit_away(deadline, ms):
    assert ms_left(deadline, 10.0) == ms


@given(st.integers(1, 2**32 - 1), instants)
def test_time_left_survives_a_hop(timeout_ms, now):
    left = ms_left(deadline_from_ms(timeout_ms, now), now)
    assert timeout_ms - 1 <= left <= timeout_ms


# ------------------------------------------------------------------ backoff


def test_delays_double_up_to_the_most():
    backoff = Backoff(0.1, 1.0, spread=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.failures == 6


def test_a_success_starts_again():
    backoff = Backoff(0.1, 1.0, spread=lambda: 1.0)
    backoff.next_delay()
    backoff.next_delay()
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.next_delay() == 0.1


@pytest.mark.parametrize(("spread", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_a_delay_is_spread_over_its_upper_half(spread, share):
    backoff = Backoff(0.1, 1.0, spread=lambda: spread)
    assert backoff.next_delay() == pytest.approx(0.1 * share)
    assert backoff.next_delay() == pytest.approx(0.2 * share)


def test_thousands_of_failures_neither_overflow_nor_pass_the_most():
    backoff = Backoff(0.1, 5.0)
    delays = [backoff.next_delay() for _ in range(5000)]
    assert all(0.05 <= delay <= 5.0 for delay in delays)
    assert all(delay >= 2.5 for delay in delays[6:])
    assert len(set(delays[10:])) > 1000


# ----------------------------------------------------------- deadline table


def test_a_deadline_expires_once():
    table: DeadlineTable[str] = DeadlineTable()
    table.add("a", 10.0)
    assert table.expired(10.0 + LATEST_S) == ["a"]
    assert table.expired(11.0) == []
    assert len(table) == 0


@given(st.lists(instants, max_size=20), st.lists(instants, max_size=20))
def test_never_early_and_at_most_a_tick_late(deadlines, looks):
    table: DeadlineTable[int] = DeadlineTable()
    for key, deadline in enumerate(deadlines):
        table.add(key, deadline)
    pending = dict(enumerate(deadlines))
    for now in [*sorted(looks), 2e6]:
        for key in table.expired(now):
            assert pending.pop(key) <= now + ROUNDING_S
        assert all(deadline > now - LATEST_S for deadline in pending.values())
        assert len(table) == len(pending)
    assert not pending


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=40))
def test_never_early_nor_late_while_deadlines_keep_coming(steps):
    table: DeadlineTable[int] = DeadlineTable()
    pending: dict[int, tuple[float, float]] = {}
    now = 100.0
    for key, (is_look, amount) in enumerate(steps):
        if is_look:
            now += amount
            for expired in table.expired(now):
                assert pending.pop(expired)[0] <= now + ROUNDING_S
            for deadline, added in pending.values():
                assert max(deadline, added) > now - LATEST_S
        else:
            pending[key] = (now + amount - 1, now)
            table.add(key, now + amount - 1)
    assert sorted(table.expired(now + 10)) == sorted(pending)


def test_the_oldest_comes_first():
    table: DeadlineTable[str] = DeadlineTable()
    for key, deadline in (("late", 12.0), ("early", 10.0), ("middle", 11.0)):
        table.add(key, deadline)
    assert table.expired(20.0) == ["early", "middle", "late"]


def test_a_deadline_that_has_passed_is_due_within_a_tick():
    table: DeadlineTable[str] = DeadlineTable()
    table.expired(50.0)
    table.add("past", 10.0)
    assert table.expired(50.0 + LATEST_S) == ["past"]


def test_discarded_entries_never_expire():
    table: DeadlineTable[str] = DeadlineTable()
    tick = table.add("a", 10.0)
    assert table.add("b", 10.0) == tick
    table.discard("a", tick)
    assert len(table) == 1
    assert table.expired(20.0) == ["b"]


def test_discarding_what_is_not_there_is_no_fault():
    table: DeadlineTable[str] = DeadlineTable()
    tick = table.add("a", 10.0)
    table.discard("b", tick)
    table.discard("a", tick + 1)
    assert len(table) == 1
    table.discard("a", tick)
    table.discard("a", tick)
    assert len(table) == 0
    assert table._ticks == {}


def test_a_discard_with_an_old_tick_spares_the_new_entry():
    table: DeadlineTable[str] = DeadlineTable()
    old = table.add("a", 10.0)
    table.discard("a", old)
    table.add("a", 30.0)
    table.discard("a", old)
    assert table.expired(40.0) == ["a"]


@pytest.mark.parametrize("gap", [1.0, 3600.0, 1e9])
def test_a_long_idle_gap_loses_nothing(gap):
    table: DeadlineTable[str] = DeadlineTable()
    table.expired(5.0)
    table.add("due", 5.5)
    table.add("not due", 5.0 + 2 * gap)
    assert table.expired(5.0 + gap) == ["due"]
    assert table.expired(5.1 + 2 * gap) == ["not due"]


def test_a_clock_that_steps_back_expires_nothing_early():
    table: DeadlineTable[str] = DeadlineTable()
    table.expired(100.0)
    table.add("a", 101.0)
    assert table.expired(50.0) == []
    assert table.expired(101.0 + LATEST_S) == ["a"]
