from __future__ import annotations

import pytest

from madrpc.policy.restarts import HEALTHY_AFTER_S, LONGEST_DELAY_S, RestartPolicy
from madrpc.policy.timing import Backoff


def policy(wanted: int = 4) -> RestartPolicy:
    return RestartPolicy(wanted, Backoff(0.1, LONGEST_DELAY_S, spread=lambda: 1.0))


def test_what_is_missing_is_started():
    found = policy()
    assert [found.to_start(have, 100.0) for have in range(6)] == [4, 3, 2, 1, 0, 0]
    assert repr(found) == "<RestartPolicy wants 4, 0 restarts>"


def test_a_worker_that_died_in_a_call_is_replaced_at_once():
    found = policy()
    for _ in range(20):
        found.died(in_call=True, lived_s=0.1, now=100.0)
        assert found.to_start(3, 100.0) == 1
    assert found.restarts == 20
    assert found.failures == 0


def test_deaths_while_starting_slow_down():
    found = policy()
    now, waits = 100.0, []
    for _ in range(8):
        found.died(in_call=False, lived_s=0.1, now=now)
        assert found.to_start(3, now) == 0
        waits.append(next(ms for ms in range(0, 10_000, 100) if found.to_start(3, now + ms / 1000)))
        now += 10
    assert waits == [100, 200, 400, 800, 1600, 3200, 5000, 5000]
    assert found.failures == 8


def test_a_storm_of_deaths_is_bounded():
    found = policy(wanted=2)
    now, started = 0.0, 0
    while now < 60:
        for _ in range(found.to_start(0, now)):
            started += 1
            found.died(in_call=False, lived_s=0.0, now=now)
        now += 0.02
    assert started <= 2 * 20


@pytest.mark.parametrize("in_call", [True, False])
def test_a_healthy_workers_death_starts_a_new_count(in_call):
    found = policy()
    for _ in range(5):
        found.died(in_call=False, lived_s=0.1, now=100.0)
    found.died(in_call=in_call, lived_s=HEALTHY_AFTER_S, now=200.0)
    assert found.failures == (0 if in_call else 1)
    assert found.to_start(3, 200.2) == 1


def test_a_short_life_keeps_the_count():
    found = policy()
    found.died(in_call=False, lived_s=HEALTHY_AFTER_S - 0.1, now=100.0)
    found.died(in_call=True, lived_s=HEALTHY_AFTER_S - 0.1, now=100.0)
    assert found.failures == 1


def test_the_default_backoff_waits_a_tenth_of_a_second_at_most():
    found = RestartPolicy(1)
    found.died(in_call=False, lived_s=0.1, now=100.0)
    assert found.to_start(0, 100.04) == 0
    assert found.to_start(0, 100.1) == 1
