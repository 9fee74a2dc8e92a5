"""The errors of jobs whose function did not get to answer."""

from __future__ import annotations

import pytest

from madrpc.errors import CallTimeout, MadrpcError, TimeLimitExceeded
from madrpc.policy.job import Job, JobState
from madrpc.policy.verdicts import (
    BACKSTOP_SIGNAL,
    over_limit,
    overdue,
    overloaded,
    too_late,
    worker_lost,
)


def job(submitted: float, started: float) -> Job:
    made = Job("add", b"", None, None)
    made.submitted, made.started = submitted, started
    return made


@pytest.mark.parametrize(
    ("queued", "workers", "average_s", "wait_ms"),
    [(100, 4, 0.02, 500), (1, 4, 0.0001, 10), (5, 0, 1.0, 5000)],
)
def test_overloaded_says_when_to_come_back(queued, workers, average_s, wait_ms) -> None:  # type: ignore[no-untyped-def]
    error = overloaded(queued, workers, average_s)
    assert error.data == {"retry_after_ms": wait_ms, "queued": queued}
    assert f"try again in {wait_ms} ms" in error.message


def test_too_late_says_what_the_time_went_into() -> None:
    made = job(10.0, 11.0)
    made.queued_s, made.ran_s = 1.0, 0.25
    waited = too_late(made, 12.0, JobState.QUEUED)
    assert (waited.data["queued_ms"], waited.data["ran_ms"]) == (2000, 250)
    ran = too_late(made, 11.5, JobState.RUNNING)
    assert (ran.data["queued_ms"], ran.data["ran_ms"]) == (1000, 750)
    assert "while the function ran" in ran.message
    parked = too_late(made, 20.0, JobState.PARKED)
    assert (parked.data["queued_ms"], parked.data["ran_ms"]) == (1000, 250)
    assert "waited for other functions" in parked.message


def test_the_others_carry_their_figures() -> None:
    assert over_limit(2.5).data == {"limit_s": 2.5}


def test_a_call_that_takes_workers_down_is_tried_again_then_given_up() -> None:
    poison = job(0.0, 0.0)
    poison.crashes = 1
    assert worker_lost(poison, 9.0, "was ended by SIGSEGV", 11, 2.5, 2) is None
    poison.crashes = 2
    error = worker_lost(poison, 9.0, "was ended by SIGSEGV", 11, 2.5, 2)
    assert error is not None
    assert error.data == {"signal": 11, "crashes": 2}
    assert "'add' (was ended by SIGSEGV), 2 times in a row" in error.message


def test_a_worker_that_ended_itself_was_late() -> None:
    found = job(0.0, 0.0)

    def verdict(now: float) -> MadrpcError | None:
        return worker_lost(found, now, "was ended by SIGALRM", BACKSTOP_SIGNAL, 2.5, 2)

    over = verdict(9.0)
    assert over is not None
    assert over.data == {"limit_s": 2.5}
    found.deadline = 5.0
    assert type(verdict(4.0)) is TimeLimitExceeded
    assert type(verdict(9.0)) is CallTimeout


def test_why_the_worker_of_an_overdue_job_is_killed():
    late = Job("f", b"", 5.0, None)
    assert overdue(late, 4.0, 2.5)[0] == "time limit"
    reason, error = overdue(late, 5.0, 2.5)
    assert (reason, type(error)) == ("deadline", CallTimeout)
    late.cancelled = True
    assert overdue(late, 6.0, 2.5) == ("cancelled call", None)
