from __future__ import annotations

import pytest

from madrpc.config import MAX_ATTEMPTS
from madrpc.errors import ERRORS
from madrpc.policy.retry import RetryBudget, should_retry

RETRYABLE = {"ConnectionFailed", "Overloaded", "Draining", "NoNodeAvailable"}


@pytest.mark.parametrize("name", ERRORS)
def test_only_failures_that_say_nothing_about_the_call_are_retried(name):
    assert should_retry(ERRORS[name](), 1) == (name in RETRYABLE)


@pytest.mark.parametrize(
    ("attempts", "again"), [(1, True), (MAX_ATTEMPTS - 1, True), (MAX_ATTEMPTS, False), (9, False)]
)
def test_attempts_are_bounded(attempts, again):
    assert should_retry(ERRORS["Overloaded"](), attempts) is again


def take_all(budget: RetryBudget) -> int:
    taken = 0
    while budget.take():
        taken += 1
    return taken


def test_ten_retries_are_there_from_the_start():
    assert take_all(RetryBudget()) == 10


def test_calls_earn_a_fifth_of_a_retry_each():
    budget = RetryBudget()
    take_all(budget)
    for _ in range(24):
        budget.call_started()
    assert take_all(budget) == 4


def test_an_idle_time_saves_up_no_more_than_the_floor():
    budget = RetryBudget()
    for _ in range(1000):
        budget.call_started()
    assert take_all(budget) == 10


def test_calls_in_flight_widen_what_may_be_saved_up():
    budget = RetryBudget()
    for _ in range(1000):
        budget.call_started(in_flight=100)
    assert take_all(budget) == 100


def test_retries_add_at_most_a_fifth_to_the_load():
    budget = RetryBudget()
    retries = 0
    for _ in range(10_000):
        budget.call_started(in_flight=1)
        retries += budget.take()
    assert retries <= 10_000 * 0.2 + 10


def test_a_smaller_budget_can_be_given():
    assert take_all(RetryBudget(most=3)) == 3


@pytest.mark.parametrize(
    ("data", "attempts", "again"),
    [
        ({"retryable": True}, 1, True),
        ({"retryable": True}, 2, False),
        ({"retryable": 1}, 1, False),
        ({}, 1, False),
    ],
)
def test_a_crash_is_tried_once_more_where_the_node_did_not_do_so(data, attempts, again):
    assert should_retry(ERRORS["WorkerCrashed"]("", data), attempts) is again
