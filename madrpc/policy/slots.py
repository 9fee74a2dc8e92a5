"""The worker slots of a node: which there are, which are idle, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable

from madrpc.policy.job import Action, Kill, Retire, Slot, SlotState

__all__ = ["LEAVE_GRACE_S", "MOST_PARKED", "SlotTable", "most_ahead"]

#: A worker with this many parked calls takes no new ones, only nested ones.
MOST_PARKED = 64
#: A worker has jobs ahead for about this much of its time, at most so many: then a stream of tiny
#: calls does not wait for a wake-up of the node between any two of them.
_AHEAD_S = 0.003
_MOST_AHEAD = 8
#: When the job in front of them runs for longer than this, they are given to other workers.
_TAKE_BACK_S = 0.005
#: A worker that is to go is gone within this time, or killed; with the time that the next one takes
#: to start, the pool is back at its full size within 2 s.
LEAVE_GRACE_S = 1.0


def most_ahead(slot: Slot, average_s: float) -> int:
    """How many jobs a busy worker may have ahead.

    Args:
        average_s: how long jobs run; 0 while that is not known.
    """
    if slot.parked or slot.worn or not average_s:
        return 0
    return min(_MOST_AHEAD, int(_AHEAD_S / average_s))


class SlotTable:
    """Owner of the slots.

    Attributes:
        slots: by their ids, which are never used twice.
        reuse_last: an idle worker that was busy a moment ago is taken before one that has rested.
    """

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self._idle: dict[Slot, None] = {}
        self._next_slot = 0
        self.reuse_last = False

    @property
    def ahead(self) -> int:
        """Jobs sent to workers that run others."""
        return sum(len(slot.ahead) for slot in self.slots.values())

    @property
    def busy(self) -> int:
        """Workers that run a job."""
        return sum(slot.job is not None for slot in self.slots.values())

    @property
    def parked(self) -> int:
        """Jobs that wait inside a worker for nested calls or timers."""
        return sum(len(slot.parked) for slot in self.slots.values())

    @property
    def unparked(self) -> int:
        """Workers that are alive and hold no parked job."""
        return sum(
            slot.state is not SlotState.DYING and not slot.parked for slot in self.slots.values()
        )

    @property
    def ready(self) -> int:
        """Workers that run a job or could take one."""
        return sum(slot.state in (SlotState.IDLE, SlotState.BUSY) for slot in self.slots.values())

    def take_idle(self, *, nested: bool) -> Slot | None:
        """An idle worker, no longer idle; one without parked calls if there is one.

        What wakes up in a worker waits for the call it then runs, so new calls keep away from
        workers with parked ones.
        """
        chosen: Slot | None = None
        for slot in reversed(self._idle) if self.reuse_last else self._idle:
            if not slot.parked:
                chosen = slot
                break
            if chosen is None and (nested or len(slot.parked) < MOST_PARKED):
                chosen = slot
        if chosen is not None:
            del self._idle[chosen]
        return chosen

    def held_up(self, now: float) -> list[Slot]:
        """Slots whose jobs ahead wait for one that turned out long."""
        return [
            slot
            for slot in self.slots.values()
            if slot.ahead
            and slot.state is SlotState.BUSY
            and slot.job is not None
            and now > slot.job.started + _TAKE_BACK_S
        ]

    def overstayed(self, now: float) -> list[Action]:
        """Kill the workers that were let go and are still there.

        A worker leaves when its socket ends, but one whose engine spins never reads that.
        """
        actions: list[Action] = []
        for slot in self.slots.values():
            if slot.state is not SlotState.DYING:
                continue
            if slot.leave_by is not None and now > slot.leave_by:
                actions.append(Kill(slot, f"it did not leave within {LEAVE_GRACE_S:g} s"))
                slot.leave_by = None
            if slot.leave_by is None:
                slot.leave_by = now + LEAVE_GRACE_S
        return actions

    def add_slot(self) -> Slot:
        """A worker process is being started."""
        slot = Slot(self._next_slot)
        self._next_slot += 1
        self.slots[slot.id] = slot
        return slot

    def retire(self, slot: Slot) -> list[Action]:
        """Let an idle worker go, if nothing waits in it."""
        if slot not in self._idle or slot.parked:
            return []
        del self._idle[slot]
        slot.state = SlotState.DYING
        return [Retire(slot)]

    def condemn(self, slots: Iterable[Slot]) -> None:
        """Give these slots nothing more: their workers are going, each will be told lost."""
        for slot in slots:
            self._idle.pop(slot, None)
            slot.state = SlotState.DYING
