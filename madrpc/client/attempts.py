"""One call as the client sees it, over all its attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from madrpc.config import DEFAULT_MAX_FRAME, MAX_ATTEMPTS
from madrpc.errors import CallTimeout, ConnectionFailed, InvalidArguments, MadrpcError, Overloaded
from madrpc.policy.retry import should_retry
from madrpc.policy.timing import ms_left
from madrpc.protocol.frames import check_size
from madrpc.protocol.messages import Response, request_tail
from madrpc.protocol.meta import trace_of
from madrpc.protocol.receipts import unpack_receipts
from madrpc.protocol.values import check_args
from madrpc.receipt import Receipt, Reply

__all__ = ["NOT_IN_FLIGHT", "PendingCall"]

#: Stands for an id while a call has none.
NOT_IN_FLIGHT = -1

_now = time.monotonic
_FIRST_DELAY_S = 0.025
_LONGEST_DELAY_S = 0.25
#: A server may ask for a longer pause, but not for one without end.
_LONGEST_PAUSE_S = 30.0
_HEAD_BYTES = 12


class PendingCall:
    """A call: its encoded request, its deadline, and how it ended.

    Raises:
        InvalidArguments: the arguments hold a value that cannot cross the wire.
        PayloadTooLarge: the request is over the frame limit.
    """

    __slots__ = (
        "attempts",
        "conduit",
        "deadline",
        "done",
        "error",
        "id",
        "method",
        "not_before",
        "receipt",
        "result",
        "sent",
        "started",
        "tail",
        "tick",
        "token",
        "told",
        "trace",
        "wants_receipt",
    )

    def __init__(
        self,
        method: str,
        args: Mapping[str, Any] | None,
        timeout_s: float | None,
        meta: Mapping[str, Any] | None,
        max_frame: int,
    ) -> None:
        self.method = method
        self.tail = _encode(method, args, meta)
        check_size(len(self.tail) + _HEAD_BYTES, max_frame)
        self.started = _now()
        self.deadline = None if timeout_s is None else self.started + timeout_s
        self.attempts = 0
        self.not_before = 0.0
        self.id = NOT_IN_FLIGHT
        #: The connection that it is in flight on, of those that carry many calls.
        self.conduit: Any = None
        self.done = False
        self.tick = 0
        self.token: Any = None
        self.result: Any = None
        self.error: MadrpcError | None = None
        self.wants_receipt = meta is not None and meta.get("receipt") is True
        if self.wants_receipt:
            self.receipt: Receipt | None = None
            self.trace = None if meta is None else trace_of(meta)
            #: What servers said in the last answer, and how often a node had the call by then.
            self.told: list[dict[str, Any]] = []
            self.sent = 0

    def note(self, response: Response) -> None:
        """Keep what servers say in an answer to a call that wants a receipt."""
        self.told = unpack_receipts(response.receipts)
        counts = [said.get("attempts") for said in self.told]
        # An answer is one attempt, and an orchestrator knows of more.
        self.sent += max((n for n in counts if type(n) is int and 0 <= n < 1000), default=1) - 1

    def conclude(self, error: MadrpcError | None) -> None:
        """Make the receipt of a call that has ended, if it wants one."""
        if self.wants_receipt and self.receipt is None:
            self.receipt = Receipt.of(
                self.told,
                total_ms=(_now() - self.started) * 1000,
                attempts=self.attempts + self.sent,
                trace=self.trace,
            )
        if self.wants_receipt and error is not None:
            error.receipt = self.receipt

    def reply(self, result: Any) -> Reply:
        """The result of a call that wants a receipt, with that."""
        self.conclude(None)
        assert self.receipt is not None
        return Reply(result, self.receipt)

    def ms_left(self) -> int:
        """Time left as a request carries it."""
        return ms_left(self.deadline, _now())

    def retry_at(self, error: MadrpcError) -> float | None:
        """When to try again after this failure, or None if that is of no use."""
        if not should_retry(error, self.attempts, _most_attempts(error)):
            return None
        at = _now() + _delay(error, self.attempts)
        if self.deadline is not None and at >= self.deadline:
            return None
        if self.wants_receipt:
            # What was said of this attempt is not said of the next.
            self.told, self.receipt = [], None
        return at

    @classmethod
    def refused(cls, method: str, error: MadrpcError) -> PendingCall:
        """A call that ended before it could be sent."""
        call = cls(method, None, None, None, DEFAULT_MAX_FRAME)
        call.done, call.error = True, error
        return call

    @staticmethod
    def wait_until(at: float) -> None:
        """Block until an instant given by ``retry_at``."""
        time.sleep(max(0.0, at - _now()))

    def timeout_error(self) -> CallTimeout:
        """The error for a deadline that passed without an answer."""
        waited = _now() - self.started
        return CallTimeout(
            f"no answer to {self.method!r} within its deadline, {waited:.2f} s after the call; "
            "give it more time with timeout=, or find out what holds it up with 'madrpc info'",
            {"waited_ms": round(waited * 1000)},
        )


def _most_attempts(error: MadrpcError) -> int:
    # Connections that break one after the other say that servers go down, not that the call is bad.
    broke = isinstance(error, ConnectionFailed) and error.data.get("was_open") is True
    return 2 * MAX_ATTEMPTS if broke else MAX_ATTEMPTS


def _delay(error: MadrpcError, attempts: int) -> float:
    """Full jitter, so that callers that failed together do not come back together."""
    ceiling: float = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**attempts)
    asked_ms = error.data.get("retry_after_ms") if isinstance(error, Overloaded) else None
    if isinstance(asked_ms, (int, float)):
        # Not sooner than asked; and not all of those together that were asked the same.
        asked_s = asked_ms / 1000 * (1 + 0.25 * random.random())
        return max(ceiling * random.random(), min(asked_s, _LONGEST_PAUSE_S))
    return ceiling * random.random()


def _encode(method: str, args: Mapping[str, Any] | None, meta: Mapping[str, Any] | None) -> bytes:
    if args is not None and not isinstance(args, Mapping):
        raise InvalidArguments(
            f"arguments are named: pass a dict such as {{'a': 5}}, not a {type(args).__name__}"
        )
    try:
        return request_tail(method, args if args is None else dict(args), meta)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        check_args(args)
        raise InvalidArguments(f"the arguments cannot be encoded: {error}") from error
