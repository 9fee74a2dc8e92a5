"""What the job table works on: calls, worker slots, and the actions it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from madrpc.errors import MadrpcError

__all__ = [
    "Action",
    "Assign",
    "Drop",
    "Fail",
    "Job",
    "JobState",
    "Kill",
    "Reclaim",
    "Requeued",
    "Retire",
    "Slot",
    "SlotState",
    "Wake",
]


class JobState(Enum):
    """Where a job is."""

    QUEUED = "queued"
    AHEAD = "ahead"
    RUNNING = "running"
    PARKED = "parked"
    DONE = "done"


class SlotState(Enum):
    """Where a worker process is.

    STARTING leaves by ``slot_ready`` (to IDLE) or ``slot_lost``; IDLE by an assignment (to BUSY),
    by loss or by a kill; BUSY by the end of its call (to IDLE), by loss or by a kill (to DYING);
    DYING only by ``slot_lost``, which a kill brings about if the worker does not leave by itself.
    """

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DYING = "dying"


class Job:
    """One call on its way through a node.

    Attributes:
        method: name of the function.
        tail: method, args and meta as they came, encoded.
        deadline: local instant by which the caller wants the answer, or None.
        reply_to: whatever the pool needs to answer the caller.
        nested: whether a function made the call; then it goes before new ones.
        refusable: whether a full queue refuses it; not so for calls of this node's own functions.
        meta: what the caller said about it, where that was looked at.
        spent: what its worker says of it: milliseconds and bytes by name, if it said anything.
        losses: how often it had to begin anew because its worker was lost.
    """

    __slots__ = (
        "cancelled",
        "crashes",
        "deadline",
        "losses",
        "meta",
        "method",
        "nested",
        "parked_at",
        "parked_s",
        "queued_s",
        "ran_s",
        "refusable",
        "reply_to",
        "slot",
        "spent",
        "started",
        "state",
        "submitted",
        "tail",
        "tick",
    )

    def __init__(
        self,
        method: str,
        tail: bytes,
        deadline: float | None,
        reply_to: Any,
        *,
        nested: bool = False,
        refusable: bool = True,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.tail = tail
        self.deadline = deadline
        self.reply_to = reply_to
        self.nested = nested
        self.refusable = refusable
        self.meta = meta
        self.spent: Mapping[str, Any] | None = None
        self.losses = 0
        self.state = JobState.QUEUED
        self.slot: Slot | None = None
        self.submitted = 0.0
        self.started = 0.0
        self.queued_s = 0.0
        self.ran_s = 0.0
        self.parked_s = 0.0
        self.parked_at = 0.0
        self.crashes = 0
        self.cancelled = False
        self.tick = 0

    def __repr__(self) -> str:
        return f"<Job {self.method} {self.state.value}, crashes={self.crashes}>"


class Slot:
    """One worker process as the table sees it."""

    __slots__ = ("ahead", "calls", "id", "job", "leave_by", "parked", "state", "wakes", "worn")

    def __init__(self, id: int) -> None:
        self.id = id
        self.state = SlotState.STARTING
        self.job: Job | None = None
        #: Jobs that were sent to the worker while it ran another; it runs them in this order.
        self.ahead: deque[Job] = deque()
        self.parked: dict[Job, None] = {}
        self.wakes: deque[tuple[Job, Any]] = deque()
        self.calls = 0
        self.worn = False
        #: Set once it is dying: when its process, if that still runs, is killed.
        self.leave_by: float | None = None

    def __repr__(self) -> str:
        return f"<Slot {self.id} {self.state.value} job={self.job}, {len(self.parked)} parked>"


@dataclass(slots=True)
class Assign:
    """Send the job to the slot's worker."""

    slot: Slot
    job: Job


@dataclass(slots=True)
class Wake:
    """Give a parked job in the slot's worker what it waited for."""

    slot: Slot
    job: Job
    answer: Any


@dataclass(slots=True)
class Reclaim:
    """Take back the jobs sent ahead that the slot's worker has not begun; say how many."""

    slot: Slot


@dataclass(slots=True)
class Drop:
    """Tell the slot's worker to free a parked job's context."""

    slot: Slot
    job: Job


@dataclass(slots=True)
class Retire:
    """Let the slot's worker go: it has done what it was for."""

    slot: Slot


@dataclass(slots=True)
class Kill:
    """Kill the slot's worker at once, because of a job; nothing it still says counts."""

    slot: Slot
    reason: str
    job: Job | None = field(default=None, compare=False)


@dataclass(slots=True)
class Fail:
    """Answer the job's caller with the error."""

    job: Job
    error: MadrpcError


@dataclass(slots=True)
class Requeued:
    """The job starts anew on another worker; nested calls of its first try are void."""

    job: Job


Action = Assign | Wake | Reclaim | Drop | Retire | Kill | Fail | Requeued
