"""How many calls a second each client may make."""

from __future__ import annotations

import pytest

from madrpc.policy.ratelimit import RateLimit


def test_a_seconds_worth_at_once_and_then_the_rate() -> None:
    limit = RateLimit(4)
    assert [limit.take("a", 10.0) for _ in range(4)] == [0.0] * 4
    assert limit.take("a", 10.0) == pytest.approx(0.25)
    assert limit.take("a", 10.25) == 0.0
    assert limit.take("a", 10.25) > 0


def test_a_refused_call_costs_nothing() -> None:
    limit = RateLimit(1)
    assert limit.take("a", 0.0) == 0.0
    for _ in range(100):
        assert limit.take("a", 0.5) >= 0.5
    assert limit.take("a", 1.0) == 0.0


def test_refused_calls_are_told_to_come_back_one_after_another() -> None:
    limit = RateLimit(10)
    assert [limit.take("a", 0.0) for _ in range(10)] == [0.0] * 10
    waits = [limit.take("a", 0.0) for _ in range(20)]
    assert waits == pytest.approx([0.1 * n for n in range(1, 21)])
    assert [limit.take("a", wait) for wait in waits] == [0.0] * 20


def test_less_than_one_call_a_second() -> None:
    limit = RateLimit(0.1)
    assert limit.take("a", 0.0) == 0.0
    assert limit.take("a", 0.0) == pytest.approx(10.0)
    assert limit.take("a", 10.0) == 0.0


def test_clients_do_not_share() -> None:
    limit = RateLimit(1)
    assert limit.take("a", 0.0) == limit.take("b", 0.0) == 0.0
    assert limit.take("a", 0.0) > 0


def test_clients_without_end_are_forgotten() -> None:
    limit = RateLimit(1)
    assert limit.take("first", 0.0) == 0.0
    for number in range(25_000):
        assert limit.take(f"c{number}", 0.001) == 0.0
    assert "clients" in repr(limit)
    assert len(limit._buckets) <= 10_000
    assert limit.take("first", 2.0) == 0.0
