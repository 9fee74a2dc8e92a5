"""The worker slots of a node: which there are, which are idle, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable

from madrpc.policy.job import Action, Retire, Slot, SlotState

__all__ = ["SlotTable", "most_ahead"]


#: A worker has jobs ahead for about this much of its time, at most so many: then a stream of tiny
#: calls does not wait for a wake-up of the node between any two of them.
_AHEAD_S = 0.003
_MOST_AHEAD = 8
#: When the job in front of them runs for longer than this, they are given to other workers.
_TAKE_BACK_S = 0.005


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
    """

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self._idle: dict[Slot, None] = {}
        self._next_slot = 0

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
