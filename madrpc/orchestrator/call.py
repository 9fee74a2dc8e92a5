"""One call between a client and a node."""

from __future__ import annotations

import time
from typing import Protocol

from madrpc.links.connection import Caller
from madrpc.links.upstream import Upstream
from madrpc.policy.balancer import NodeRecord
from madrpc.policy.timing import deadline_from_ms
from madrpc.protocol.messages import Request

__all__ = ["ForwardedCall"]


class _Owner(Protocol):
    """Who forwards it."""

    def cancelled(self, call: ForwardedCall) -> None: ...


class ForwardedCall:
    """A call that was taken and is not answered yet.

    Attributes:
        id: its number on the client's connection; ``upstream_id`` is the one at the node.
        tried: the nodes that have failed it.
        node: the address it was sent to last.
        wait_end: until when it waits for a node; None if it is at one.
        waited_s: how long it has waited for nodes.
    """

    __slots__ = (
        "attempts",
        "connection",
        "deadline",
        "forwarder",
        "id",
        "method",
        "node",
        "started",
        "tail",
        "tick",
        "tried",
        "upstream",
        "upstream_id",
        "wait_end",
        "wait_tick",
        "waited_s",
    )

    def __init__(self, forwarder: _Owner, connection: Caller, request: Request) -> None:
        self.forwarder = forwarder
        self.connection = connection
        self.id = request.id
        self.method = request.method
        self.tail = request.tail
        self.started = time.monotonic()
        self.deadline = deadline_from_ms(request.timeout_ms, self.started)
        self.attempts = 0
        self.tried: list[NodeRecord] = []
        self.upstream: Upstream | None = None
        self.node: str | None = None
        self.upstream_id = 0
        self.tick = 0
        self.wait_end: float | None = None
        self.wait_tick = 0
        self.waited_s = 0.0

    def cancel(self) -> None:
        """The caller gave the call up."""
        self.forwarder.cancelled(self)
