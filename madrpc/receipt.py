"""Where the time of one call went, as far as its servers told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Receipt", "Reply"]

#: Nobody else makes names of this length, and text comes from servers.
_LONGEST_TEXT = 300


@dataclass(frozen=True)
class Receipt:
    """Where the time of one call went. Times are milliseconds; what is not known is None.

    ``wire_ms`` and the node's parts add up to ``total_ms``.

    Attributes:
        node: address of the node that ran the call.
        script: the script its function is in, ``name@`` and 8 digits of its SHA-256.
        orchestrator: address of the orchestrator that passed it on, if one did.
        attempts: how often the call was sent to a node, as far as that is known.
        queue_ms: in the node, waiting for a worker and on the way to it and back.
        context_ms: making the function's fresh context, and decoding its arguments.
        run_ms: in the function, and encoding its result.
        parked_ms: waiting for functions it called and for timers.
        wire_ms: everything outside the node: network, orchestrator, client, earlier attempts.
        total_ms: from the call to its answer, as the client saw it.
        cpu_ms: processor time of the worker while it was in the call.
        heap_bytes: JavaScript heap in use when the function had returned.
        trace: trace id of the call, if it was made with ``trace=``.
    """

    node: str | None = None
    script: str | None = None
    orchestrator: str | None = None
    attempts: int = 1
    queue_ms: float | None = None
    context_ms: float | None = None
    run_ms: float | None = None
    parked_ms: float | None = None
    wire_ms: float | None = None
    total_ms: float = 0.0
    cpu_ms: float | None = None
    heap_bytes: int | None = None
    trace: str | None = None

    @classmethod
    def of(
        cls,
        maps: Iterable[Mapping[str, Any]],
        *,
        total_ms: float,
        attempts: int = 1,
        trace: str | None = None,
    ) -> Receipt:
        """Put together what servers said; what they got wrong counts as not said.

        Args:
            maps: one for each server, the node's first.
        """
        node: Mapping[str, Any] = {}
        orchestrator: Mapping[str, Any] = {}
        for said in maps:
            if "orchestrator" in said:
                orchestrator = said
            elif "node" in said:
                node = said
        in_node = _number(node.get("total_ms"))
        heap = _number(node.get("heap_bytes"))
        return cls(
            node=_text(node.get("node")) or _text(orchestrator.get("node")),
            script=_text(node.get("script")),
            orchestrator=_text(orchestrator.get("orchestrator")),
            attempts=attempts,
            queue_ms=_number(node.get("queue_ms")),
            context_ms=_number(node.get("context_ms")),
            run_ms=_number(node.get("run_ms")),
            parked_ms=_number(node.get("parked_ms")),
            wire_ms=None if in_node is None else round(max(0.0, total_ms - in_node), 3),
            total_ms=round(total_ms, 3),
            cpu_ms=_number(node.get("cpu_ms")),
            heap_bytes=None if heap is None else int(heap),
            trace=trace,
        )

    def __str__(self) -> str:
        digits = 1 if self.total_ms >= 10 else 2
        parts = [
            f"{name} {value:.{digits}f}"
            for name, value in (
                ("wire", self.wire_ms),
                ("queue", self.queue_ms),
                ("context", self.context_ms),
                ("run", self.run_ms),
                ("parked", self.parked_ms or None),
            )
            if value is not None
        ]
        text = f"{self.total_ms:.{digits}f} ms"
        if parts:
            text += f" = {' + '.join(parts)}"
        places = ", ".join(place for place in (self.node, self.script) if place)
        text += f"; node {places}" if places else "; no node has told its part"
        return f"{text}; {self.attempts} attempts" if self.attempts > 1 else text


class Reply(NamedTuple):
    """A result, and where the time of its call went."""

    result: Any
    receipt: Receipt


def _number(value: Any) -> float | None:
    """A number that makes sense in a receipt."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value < 1e15 else None


def _text(value: Any) -> str | None:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else None
