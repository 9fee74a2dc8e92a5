"""Calls on their way through: which node, what if it fails, when to give up.

The one place that decides whether a call is tried again.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent

from madrpc.config import HEALTH_TIMEOUT_S, ORCHESTRATOR_GRACE_S
from madrpc.errors import (
    CallTimeout,
    ConnectionFailed,
    MadrpcError,
    MethodNotFound,
    Overloaded,
    from_wire,
)
from madrpc.links.connection import Connection
from madrpc.links.upstream import Upstream
from madrpc.policy.balancer import Balancer, NodeRecord, NodeState
from madrpc.policy.retry import RetryBudget, should_retry
from madrpc.policy.stats import OTHER_METHODS, MethodTable
from madrpc.policy.timing import DeadlineTable, deadline_from_ms, ms_left
from madrpc.protocol.frames import check_size
from madrpc.protocol.messages import REQUEST_HEAD, Request, Response, unpack_error

__all__ = ["Forwarder"]

log = logging.getLogger(__name__)

_now = time.monotonic
_TICK_S = 0.02


class _Call:
    """One forwarded call."""

    __slots__ = (
        "attempts",
        "connection",
        "deadline",
        "forwarder",
        "id",
        "method",
        "started",
        "tail",
        "tick",
        "tried",
        "upstream",
        "upstream_id",
    )

    def __init__(self, forwarder: Forwarder, connection: Connection, request: Request) -> None:
        self.forwarder = forwarder
        self.connection = connection
        self.id = request.id
        self.method = request.method
        self.tail = request.tail
        self.started = _now()
        self.deadline = deadline_from_ms(request.timeout_ms, self.started)
        self.attempts = 0
        self.tried: list[NodeRecord] = []
        self.upstream: Upstream | None = None
        self.upstream_id = 0
        self.tick = 0

    def cancel(self) -> None:
        """The caller gave the call up."""
        self.forwarder.cancelled(self)


class Forwarder:
    """Owner of every call between a client and a node."""

    def __init__(self, max_frame: int, max_in_flight: int) -> None:
        self.balancer = Balancer()
        self.upstreams: dict[NodeRecord, Upstream] = {}
        self.stats = MethodTable()
        self.retries = 0
        self.in_flight = 0
        self._max_frame = max_frame
        self._max_in_flight = max_in_flight
        self._budget = RetryBudget()
        self._deadlines: DeadlineTable[_Call] = DeadlineTable()
        self._ticker: gevent.Greenlet[..., None] | None = None
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Forwarder {self.in_flight} in flight, {self.balancer}>"

    def start(self) -> None:
        """Begin to watch deadlines."""
        self._ticker = gevent.spawn(self._tick_forever)

    def stop(self) -> None:
        """Disconnect from every node; calls in flight are answered with an error."""
        self._stopping = True
        if self._ticker is not None:
            self._ticker.kill()
        for upstream in self.upstreams.values():
            upstream.stop()

    def add_node(self, address: str) -> Upstream:
        """Connect to a node and send it calls from now on."""
        record = self.balancer.add(address)
        upstream = self.upstreams.get(record)
        if upstream is None:
            upstream = self.upstreams[record] = Upstream(record, self._max_frame, self)
            upstream.start()
        return upstream

    # ------------------------------------------------------------- calls

    def forward(self, connection: Connection, request: Request) -> _Call | None:
        """Send a client's call to a node; its answer goes to the connection."""
        if self.in_flight >= self._max_in_flight:
            connection.respond_error(request.id, _overloaded(self.in_flight))
            return None
        call = _Call(self, connection, request)
        self.in_flight += 1
        self._budget.call_started(self.in_flight)
        if call.deadline is not None:
            call.tick = self._deadlines.add(call, call.deadline + ORCHESTRATOR_GRACE_S)
        self._dispatch(call)
        return call

    def cancelled(self, call: _Call) -> None:
        """The client gave the call up, or is gone."""
        if call.upstream is not None:
            call.upstream.cancel(call.upstream_id)
        self._forget(call)
        self.stats.failed(call.method, _now() - call.started, "Cancelled")

    def answered(self, call: _Call, response: Response) -> None:
        """A node answered."""
        if not response.is_error:
            self._forget(call)
            self.stats.succeeded(call.method, _now() - call.started)
            call.connection.respond(call.id, response.tail)
            return
        error = _error_of(call, response)
        if error.retryable and self._may_move(call, error) and self._budget.take():
            self._retry(call)
        elif isinstance(error, ConnectionFailed):
            self._fail(call, error)
        else:
            self._forget(call)
            self.stats.failed(call.method, _now() - call.started, error.name)
            call.connection.respond(call.id, response.tail)

    def lost(self, upstream: Upstream, reason: str, calls: list[_Call]) -> None:
        """A node's connection ended; its calls move to another node.

        One death loses all of its calls at once, so these retries are not charged to the budget:
        the number of attempts bounds them.
        """
        self.node_down(upstream, reason)
        if calls:
            log.warning("%s: %s; moving %d calls", upstream.record.address, reason, len(calls))
        for call in calls:
            error = ConnectionFailed(f"node {upstream.record.address}: {reason}")
            if should_retry(error, call.attempts):
                self._retry(call)
            else:
                self._fail(call, error)

    def _dispatch(self, call: _Call) -> None:
        try:
            record = self.balancer.pick(call.method, call.tried)
        except MadrpcError as error:
            self._fail(call, error)
            return
        upstream = call.upstream = self.upstreams[record]
        try:
            check_size(len(call.tail) + REQUEST_HEAD, upstream.max_request)
        except MadrpcError as error:
            self._fail(call, error)
            return
        call.attempts += 1
        left = ms_left(call.deadline, _now())
        call.upstream_id = upstream.forward(call, left, call.tail)

    def _may_move(self, call: _Call, error: MadrpcError) -> bool:
        """Whether another node could take the call after this one refused it."""
        if not should_retry(error, call.attempts):
            return False
        tried = {*call.tried, call.upstream.record if call.upstream else None}
        return any(call.method in node.methods for node in self.balancer.up if node not in tried)

    def _retry(self, call: _Call) -> None:
        self.retries += 1
        if call.upstream is not None:
            call.tried.append(call.upstream.record)
            call.upstream = None
        self._dispatch(call)

    def _fail(self, call: _Call, error: MadrpcError) -> None:
        self._forget(call)
        # Names that no node has come from callers without end, and must not fill the table.
        method = OTHER_METHODS if isinstance(error, MethodNotFound) else call.method
        self.stats.failed(method, _now() - call.started, error.name)
        call.connection.respond_error(call.id, error)

    def _forget(self, call: _Call) -> None:
        self.in_flight -= 1
        call.upstream = None
        if call.deadline is not None:
            self._deadlines.discard(call, call.tick)

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(_TICK_S)
            for call in self._deadlines.expired(_now()):
                self._timed_out(call)

    def _timed_out(self, call: _Call) -> None:
        where = "waiting for a node"
        if call.upstream is not None:
            call.upstream.cancel(call.upstream_id)
            where = f"waiting for node {call.upstream.record.address}"
        seconds = _now() - call.started
        self._fail(call, CallTimeout(f"the deadline passed after {seconds:.2f} s, {where}"))

    # ------------------------------------------------------------- nodes

    def node_up(self, upstream: Upstream, info: dict[str, Any]) -> None:
        """A node answered ``_info``."""
        record = upstream.record
        was = record.state
        if info.get("state") == "draining":
            self.balancer.node_down(record, "is draining", NodeState.DRAINING)
        else:
            self.balancer.node_up(record, info.get("methods", ()))
        if record.state is not was:
            log.info("node %s is %s", record.address, record.state.value)

    def node_down(self, upstream: Upstream, error: str) -> None:
        """A node cannot be reached."""
        record = upstream.record
        if record.state is not NodeState.DOWN and not self._stopping:
            log.warning("node %s is down: %s", record.address, error)
        self.balancer.node_down(record, error)

    def ask_all(self, method: str, timeout_s: float = HEALTH_TIMEOUT_S) -> dict[str, Any]:
        """The answer of every connected node to a built-in, by address; errors are left out."""
        connected = [upstream for upstream in self.upstreams.values() if upstream.link]
        jobs = {up.record.address: gevent.spawn(_ask, up, method, timeout_s) for up in connected}
        gevent.joinall(list(jobs.values()), timeout=timeout_s + 1)
        return {address: job.value for address, job in jobs.items() if job.value is not None}


def _ask(upstream: Upstream, method: str, timeout_s: float) -> dict[str, Any] | None:
    try:
        return upstream.ask(method, timeout_s)
    except MadrpcError:
        return None


def _error_of(call: _Call, response: Response) -> MadrpcError:
    """The error a node answered with; one that cannot be read is the node's failure."""
    try:
        return from_wire(unpack_error(response.tail))
    except MadrpcError as error:
        where = call.upstream.record.address if call.upstream else "a node"
        return ConnectionFailed(f"{where} sent an answer that cannot be read: {error.message}")


def _overloaded(in_flight: int) -> Overloaded:
    return Overloaded(
        f"the orchestrator has {in_flight} calls in flight, its limit; try again",
        {"retry_after_ms": 100},
    )
