"""Calls and slots as values."""

from __future__ import annotations

from madrpc.policy.job import Job, JobState, Slot, SlotState


def test_a_new_job_waits_and_has_never_run() -> None:
    job = Job("add", b"tail", 5.0, None, nested=True)
    assert (job.state, job.crashes, job.ran_s, job.nested) == (JobState.QUEUED, 0, 0.0, True)
    assert repr(job) == "<Job add queued, crashes=0>"


def test_a_new_slot_is_starting_and_holds_nothing() -> None:
    slot = Slot(3)
    assert (slot.state, slot.job, slot.calls, slot.worn) == (SlotState.STARTING, None, 0, False)
    slot.parked[Job("add", b"", None, None)] = None
    assert repr(slot) == "<Slot 3 starting job=None, 1 parked>"
