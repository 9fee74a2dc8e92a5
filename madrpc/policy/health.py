"""When a server that is connected counts as sick, and when as gone.

It is asked every 2 s. One late answer makes it doubtful: others are preferred. Three in a row, 4 s
of silence, and its connection is given up. Any answer, however late, clears the count: a machine
that is slow is not one that is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madrpc.config import HEALTH_FALL, HEALTH_INTERVAL_S, HEALTH_RETRY_S

__all__ = ["HealthCheck"]

#: Every so many probes ask the server to run a job.
DEEP_EVERY = 5


class HealthCheck:
    """The probes of one connection and what they found.

    Attributes:
        misses: probes in a row that were not answered in time.
        is_sick: the server answers, but says that its workers do not.
    """

    def __init__(self) -> None:
        self.misses = 0
        self.is_sick = False
        self._probes = 0
        self._waiting = False

    def __repr__(self) -> str:
        return f"<HealthCheck {self.misses} missed{', sick' if self.is_sick else ''}>"

    @property
    def is_doubtful(self) -> bool:
        """Whether other servers should be preferred."""
        return self.misses > 0 or self.is_sick

    @property
    def is_gone(self) -> bool:
        """Whether the connection should be given up."""
        return self.misses >= HEALTH_FALL

    @property
    def wait_s(self) -> float:
        """Seconds until the next probe, which are also what the last one has for its answer."""
        return HEALTH_RETRY_S if self.misses else HEALTH_INTERVAL_S

    def next_probe(self) -> bool:
        """The time for an answer is over, the next probe is due; return whether it is deep."""
        if self._waiting:
            self.misses += 1
        self._waiting = True
        self._probes += 1
        return self.is_sick or self._probes % DEEP_EVERY == 0

    def want_deep(self) -> None:
        """Make the next probe a deep one."""
        self._probes += -self._probes % DEEP_EVERY + DEEP_EVERY - 1

    def answered(self, answer: Mapping[str, Any]) -> None:
        """Note an answer to ``_health``: the members ``status`` and ``worker`` count."""
        self.misses = 0
        self._waiting = False
        if answer.get("status") == "degraded" or answer.get("worker") == "failed":
            self.is_sick = True
        elif "worker" in answer or not self.is_sick:
            self.is_sick = False
