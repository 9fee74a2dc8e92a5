"""What became of an orchestrator's calls: counts, the slow and the failed ones, and receipts."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from madrpc.policy.recent import RecentCalls, SlowCall, joined, merged
from madrpc.policy.stats import MethodTable
from madrpc.protocol.messages import NIL
from madrpc.protocol.meta import meta_of, trace_of, wants_receipt
from madrpc.protocol.receipts import Receipts, pack_receipt, rounded_ms

__all__ = ["Accounting", "Forwarded"]

log = logging.getLogger(__name__)

_now = time.monotonic


class Forwarded(Protocol):
    """A call as far as its account goes."""

    method: str
    tail: bytes
    started: float
    attempts: int
    node: str | None
    upstream_id: int
    waited_s: float


class Accounting:
    """Owner of an orchestrator's statistics."""

    def __init__(self) -> None:
        self.stats = MethodTable()
        self.kept = RecentCalls()

    def __repr__(self) -> str:
        return f"<Accounting {self.stats.calls} calls, {self.kept}>"

    def succeeded(self, call: Forwarded) -> None:
        """A call was answered with a result."""
        now = _now()
        seconds = now - call.started
        self.stats.succeeded(call.method, seconds)
        if seconds > self.kept.bar_s:
            self._keep(call, seconds, "ok", now)

    def failed(self, call: Forwarded, error: Mapping[str, Any], method: str) -> None:
        """A call was answered with an error.

        Args:
            error: as the wire has it.
            method: what to count the call under.
        """
        now = _now()
        seconds = now - call.started
        name = str(error.get("name"))
        self.stats.failed(method, seconds, name)
        trace = _trace(call)
        self.kept.failed(call.method, error, now, node=call.node, trace=trace)
        if seconds > self.kept.bar_s:
            self._keep(call, seconds, name, now)
        if log.isEnabledFor(logging.DEBUG):
            extra = {"call": {"method": call.method, "node": call.node, "trace": trace}}
            words = (call.method, name, error.get("message"))
            log.debug("%s failed: %s: %s", *words, extra=extra)

    def cancelled(self, call: Forwarded) -> None:
        """A call was given up by its caller."""
        now = _now()
        seconds = now - call.started
        self.stats.failed(call.method, seconds, "Cancelled")
        if seconds > self.kept.bar_s:
            self._keep(call, seconds, "Cancelled", now)

    def receipts(self, call: Forwarded, before: Receipts, address: str) -> Receipts:
        """The receipts of an answer with this orchestrator's behind them, if they are wanted.

        Args:
            before: those of the servers that the answer came through.
            address: this orchestrator's.
        """
        if not wants_receipt(call.tail):
            return ()
        receipt = {
            "orchestrator": address,
            "attempts": call.attempts,
            "node": call.node,
            "waited_ms": rounded_ms(call.waited_s),
            "total_ms": rounded_ms(_now() - call.started),
        }
        return (*before, pack_receipt(receipt))

    def recent(self, of_nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """What ``_recent`` answers.

        Args:
            of_nodes: what nodes answered to the same question, by address.
        """
        now = _now()
        self.kept.expire(now)
        slowest = {address: _rows(told, "slowest") for address, told in of_nodes.items()}
        errors = {address: _rows(told, "errors") for address, told in of_nodes.items()}
        return {
            "slowest": joined(self.kept.slowest(now), slowest),
            "errors": merged(self.kept.errors(now), errors),
        }

    def _keep(self, call: Forwarded, seconds: float, outcome: str, now: float) -> None:
        kept = SlowCall(
            call.method,
            call.node,
            now,
            seconds,
            outcome,
            trace=_trace(call),
            attempts=call.attempts,
            id=call.upstream_id or None,
        )
        self.kept.keep(kept)


def _trace(call: Forwarded) -> str | None:
    return None if call.tail.endswith(NIL) else trace_of(meta_of(call.tail))


def _rows(told: Mapping[str, Any], what: str) -> list[Any]:
    rows = told.get(what)
    return rows if isinstance(rows, list) else []
