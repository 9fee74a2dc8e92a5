"""Whether a failed call is tried again.

Calls are pure, so a repeat is always harmless; it is useful only when the failure was not the
call's own. Transport loss, Draining and Overloaded say nothing about the call. A throw, a limit or
bad arguments would happen again. A node gives a call whose worker died a second one itself; only a
node that says it did not (``retryable`` in the error's data) leaves that to another node.
"""

from __future__ import annotations

from madrpc.config import MAX_ATTEMPTS
from madrpc.errors import MadrpcError, WorkerCrashed

__all__ = ["RetryBudget", "should_retry"]

_FLOOR = 10.0
_EARNED_PER_CALL = 0.2
_CRASH_ATTEMPTS = 2


class RetryBudget:
    """Lets retries add at most a fifth to the load, so that they cannot feed an outage.

    Every call earns 0.2 of a retry; ``_FLOOR`` retries are there from the start and are the most
    that can be saved up (the shape of Envoy's 20 % retry budget and of gRPC's retry throttle).
    """

    def __init__(self, most: float = _FLOOR) -> None:
        self._most = most
        self._tokens = most

    def call_started(self, in_flight: int = 0) -> None:
        """Note a first attempt; ``in_flight`` calls widen what may be saved up."""
        self._tokens = min(self._tokens + _EARNED_PER_CALL, max(self._most, float(in_flight)))

    def take(self) -> bool:
        """Spend one retry, if there is one."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def should_retry(error: MadrpcError, attempts: int, most: int = MAX_ATTEMPTS) -> bool:
    """Whether a call that has made ``attempts`` attempts, of ``most``, is worth another one."""
    if isinstance(error, WorkerCrashed):
        return error.data.get("retryable") is True and attempts < _CRASH_ATTEMPTS
    return error.retryable and attempts < most
