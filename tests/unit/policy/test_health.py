from __future__ import annotations

import pytest

from madrpc.config import HEALTH_FALL, HEALTH_INTERVAL_S, HEALTH_RETRY_S
from madrpc.policy.health import DEEP_EVERY, HealthCheck

WELL = {"status": "up"}


def test_three_missed_probes_are_the_end():
    check = HealthCheck()
    seen = []
    for _ in range(HEALTH_FALL + 1):
        check.next_probe()
        seen.append((check.misses, check.is_doubtful, check.is_gone))
    assert seen == [(0, False, False), (1, True, False), (2, True, False), (3, True, True)]


def test_any_answer_clears_the_count():
    check = HealthCheck()
    for _ in range(3):
        check.next_probe()
    check.answered(WELL)
    assert not check.is_doubtful
    check.next_probe()
    assert check.misses == 0


def test_a_silent_server_is_asked_more_often():
    check = HealthCheck()
    check.next_probe()
    assert check.wait_s == HEALTH_INTERVAL_S
    check.next_probe()
    assert check.wait_s == HEALTH_RETRY_S


def test_every_fifth_probe_runs_a_job():
    check = HealthCheck()
    deep = []
    for _ in range(2 * DEEP_EVERY):
        deep.append(check.next_probe())
        check.answered(WELL)
    assert deep == 2 * [*[False] * (DEEP_EVERY - 1), True]


@pytest.mark.parametrize("before", range(7))
def test_the_next_probe_can_be_made_to_run_a_job(before):
    check = HealthCheck()
    for _ in range(before):
        check.next_probe()
        check.answered(WELL)
    check.want_deep()
    assert check.next_probe()


def test_a_worker_that_fails_makes_the_server_sick_until_one_answers():
    check = HealthCheck()
    check.answered({"status": "up", "worker": "failed"})
    assert check.is_doubtful
    assert not check.is_gone
    assert check.next_probe()
    check.answered(WELL)
    assert check.is_doubtful
    check.answered({"status": "up", "worker": "ok"})
    assert not check.is_doubtful


def test_a_full_pool_is_not_sick():
    check = HealthCheck()
    check.answered({"status": "up", "worker": "busy"})
    assert not check.is_doubtful


def test_no_worker_ready_is_sick():
    check = HealthCheck()
    check.answered({"status": "degraded"})
    assert check.is_sick


def test_an_answer_without_any_member_is_a_sign_of_life():
    check = HealthCheck()
    check.next_probe()
    check.next_probe()
    check.answered({})
    assert not check.is_doubtful
