from __future__ import annotations

from madrpc.policy.outlier import APART_S, FAILURES, FIRST_TERM_S, LONGEST_TERM_S, Outlier


def failing(times: int, now: float = 1000.0) -> Outlier:
    outlier = Outlier()
    for _ in range(times):
        outlier.failed(now)
    return outlier


def test_five_failures_in_a_row_are_enough():
    assert not failing(FAILURES - 1).is_due
    assert failing(FAILURES).is_due


def test_an_answer_in_between_starts_the_count_again():
    outlier = failing(FAILURES - 1)
    outlier.succeeded()
    outlier.failed(1000.0)
    assert not outlier.is_due


def test_failures_far_apart_do_not_add_up():
    outlier = Outlier()
    for n in range(20):
        outlier.failed(1000.0 + n * (APART_S + 1))
    assert outlier.failures == 1


def test_a_node_that_is_out_is_not_put_out_again():
    outlier = failing(FAILURES)
    outlier.put_out(1000.0)
    assert outlier.is_out
    assert not outlier.is_due


def test_a_term_ends_with_a_trial():
    outlier = failing(FAILURES)
    outlier.put_out(1000.0)
    assert not outlier.is_served(1000.0 + FIRST_TERM_S - 0.1)
    assert outlier.is_served(1000.0 + FIRST_TERM_S)
    assert outlier.is_out
    outlier.readmit(1031.0)
    assert not outlier.is_out
    assert outlier.failures == 0


def test_each_failed_trial_makes_the_next_term_longer_up_to_a_limit():
    outlier, now, terms = failing(FAILURES), 1000.0, []
    for _ in range(12):
        terms.append(outlier.put_out(now))
        now += terms[-1]
    assert terms[:3] == [FIRST_TERM_S, 2 * FIRST_TERM_S, 3 * FIRST_TERM_S]
    assert terms[-1] == max(terms) == LONGEST_TERM_S


def test_a_relapse_costs_more_than_a_first_fault_and_a_long_good_time_is_forgiven():
    outlier = failing(FAILURES)
    outlier.put_out(1000.0)
    outlier.readmit(1030.0)
    assert outlier.put_out(1040.0) == 2 * FIRST_TERM_S
    outlier.readmit(1100.0)
    assert outlier.put_out(1160.0) == FIRST_TERM_S
