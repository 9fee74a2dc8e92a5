"""The errors of jobs whose function did not get to answer."""

from __future__ import annotations

import pytest

from madrpc.policy.job import Job
from madrpc.policy.verdicts import crashed, over_limit, overloaded, too_late


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


def test_too_late_tells_waiting_from_running() -> None:
    waited = too_late(job(10.0, 0.0), 12.0)
    assert (waited.data["queued_ms"], waited.data["ran_ms"]) == (2000, 0)
    assert "while waiting for a worker (queued 2.00 s" in waited.message
    ran = too_late(job(10.0, 11.0), 11.5)
    assert (ran.data["queued_ms"], ran.data["ran_ms"]) == (1000, 500)
    assert "while running" in ran.message


def test_the_others_carry_their_figures() -> None:
    assert over_limit(2.5).data == {"limit_s": 2.5}
    poison = job(0.0, 0.0)
    poison.crashes = 2
    error = crashed(poison, "was ended by SIGSEGV", 11)
    assert error.data == {"signal": 11, "crashes": 2}
    assert "'add' (was ended by SIGSEGV), 2 times in a row" in error.message
