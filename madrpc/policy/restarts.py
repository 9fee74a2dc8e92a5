"""When to start the next worker process: wanted against have, without fork storms.

A death while a call ran is the call's fault and the worker is replaced at once. A death while
starting or idle points at the machine or the script, so those restarts slow down until a worker
stays alive.
"""

from __future__ import annotations

from madrpc.policy.timing import Backoff

__all__ = ["RestartPolicy"]

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
#: A worker that lived this long was healthy, so its death starts a new count.
HEALTHY_AFTER_S = 10.0


class RestartPolicy:
    """Says how many workers to start now."""

    def __init__(self, wanted: int, backoff: Backoff | None = None) -> None:
        self.wanted = wanted
        self._backoff = backoff or Backoff(FIRST_DELAY_S, LONGEST_DELAY_S)
        self._not_before = 0.0
        self.restarts = 0

    def __repr__(self) -> str:
        return f"<RestartPolicy wants {self.wanted}, {self.restarts} restarts>"

    @property
    def failures(self) -> int:
        """Deaths while starting or idle, without a healthy worker between them."""
        return self._backoff.failures

    def to_start(self, have: int, now: float) -> int:
        """How many workers to start at this moment."""
        return max(0, self.wanted - have) if now >= self._not_before else 0

    def died(self, *, in_call: bool, lived_s: float, now: float) -> None:
        """A worker is gone.

        Args:
            in_call: it ran a call, or was killed for one.
            lived_s: seconds since it was started.
        """
        self.restarts += 1
        if lived_s >= HEALTHY_AFTER_S:
            self._backoff.reset()
        if not in_call:
            self._not_before = now + self._backoff.next_delay()
