"""Calls on their way through: which node, what if it fails, when to give up.

The one place that decides whether a call is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from madrpc.config import ORCHESTRATOR_GRACE_S, RECONNECT_WAIT_S, OrchestratorConfig
from madrpc.errors import (
    CallTimeout,
    ConnectionFailed,
    Draining,
    MadrpcError,
    MethodNotFound,
    NoNodeAvailable,
    Overloaded,
    from_wire,
)
from madrpc.links.connection import Caller
from madrpc.orchestrator.accounting import Accounting
from madrpc.orchestrator.call import ForwardedCall
from madrpc.orchestrator.nodes import Nodes
from madrpc.policy.balancer import Balance, NodeRecord
from madrpc.policy.retry import RetryBudget, should_retry
from madrpc.policy.stats import OTHER_METHODS
from madrpc.policy.timing import DeadlineTable, ms_left
from madrpc.protocol.frames import check_size
from madrpc.protocol.messages import (
    REQUEST_HEAD,
    Request,
    Response,
    error_tail,
    unpack_error,
)

__all__ = ["Forwarder"]

_now = time.monotonic
_TICK_S = 0.02
#: How long nodes have to say whether one of them has a function that none had.
_ASK_S = 0.5
_ASK_EVERY_S = 1.0


class Forwarder:
    """Owner of every call between a client and a node.

    A call is at a node, or it waits: while no node has its method but one that may have it is being
    connected. Waiting calls count as in flight, so they are bounded like the others.

    Args:
        address: tells where this orchestrator listens.
    """

    def __init__(
        self, config: OrchestratorConfig, address: Callable[[], object] = lambda: ""
    ) -> None:
        self.nodes = Nodes(config.listener, self, Balance(config.balance))
        self.accounting = Accounting()
        self._address = address
        self.retries = 0
        self.in_flight = 0
        self.in_flight_bytes = 0
        self._balancer = self.nodes.balancer
        self._config = config
        self._budget = RetryBudget()
        self._in_burst = False
        self._loop: Any = gevent.get_hub().loop
        self._deadlines: DeadlineTable[ForwardedCall] = DeadlineTable()
        self._waiting: dict[ForwardedCall, None] = {}
        self._waits: DeadlineTable[ForwardedCall] = DeadlineTable()
        #: Calls of names that no node was known to have; nodes are being asked about them.
        self._unsure: list[ForwardedCall] = []
        self._may_ask_at = 0.0
        self._ticker: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        return f"<Forwarder {self.in_flight} in flight, {self.nodes}>"

    @property
    def waiting(self) -> int:
        """Calls that wait for a node to be connected."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to watch deadlines."""
        self._ticker = gevent.spawn(self._tick_forever)

    def stop(self) -> None:
        """Disconnect from every node; calls in flight are answered with an error."""
        if self._ticker is not None:
            self._ticker.kill()
        self.nodes.stop()

    # ------------------------------------------------------------- calls

    def forward(self, connection: Caller, request: Request) -> ForwardedCall | None:
        """Send a client's call to a node; its answer goes to the connection."""
        size = len(request.tail)
        config = self._config
        if (
            self.in_flight >= config.max_in_flight
            or self.in_flight_bytes + size > config.max_in_flight_bytes
        ):
            connection.respond_error(request.id, _overloaded(self.in_flight, self.in_flight_bytes))
            return None
        if not self._in_burst:
            self._in_burst = True
            self._balancer.begin_burst()
            self._loop.run_callback(self._end_burst)
        call = ForwardedCall(self, connection, request)
        self.in_flight += 1
        self.in_flight_bytes += size
        self._budget.call_started(self.in_flight)
        if call.deadline is not None:
            call.tick = self._deadlines.add(call, call.deadline + ORCHESTRATOR_GRACE_S)
        self._dispatch(call)
        return call

    def cancelled(self, call: ForwardedCall) -> None:
        """The client gave the call up, or is gone."""
        if call.upstream is not None:
            call.upstream.cancel(call.upstream_id)
        self._forget(call)
        self.accounting.cancelled(call)

    def answered(self, call: ForwardedCall, response: Response) -> None:
        """A node answered."""
        if not response.is_error:
            if call.upstream is not None:
                self.nodes.succeeded(call.upstream.record)
            self._forget(call)
            self.accounting.succeeded(call)
            self._respond(call, response)
            return
        error = _error_of(call, response)
        self._note(call, error)
        if self._may_move(call, error):
            self._retry(call)
        elif isinstance(error, ConnectionFailed):
            self._fail(call, error)
        else:
            self._forget(call)
            self.accounting.failed(call, error.to_wire(), call.method)
            self._respond(call, response)

    def moved(self, record: NodeRecord, reason: str, calls: list[ForwardedCall]) -> None:
        """A node's connection ended; its calls move to another node.

        One death loses all of its calls at once, so these retries are not charged to the budget:
        the number of attempts bounds them.
        """
        for call in calls:
            error = ConnectionFailed(f"node {record.address}: {reason}")
            if should_retry(error, call.attempts):
                self._retry(call)
            else:
                self._fail(call, error)

    def routes_changed(self) -> None:
        """A node takes calls that did not take them before: some may have waited for it."""
        for call in [call for call in self._waiting if self._balancer.has(call.method)]:
            self._stop_waiting(call)
            self._dispatch(call)

    # ----------------------------------------------------------- private

    def _end_burst(self) -> None:
        """This turn of the hub is over, and with it the calls that came together."""
        self._in_burst = False
        self._balancer.end_burst()

    def _dispatch(self, call: ForwardedCall) -> None:
        try:
            record = self._balancer.pick(call.method, call.tried)
            upstream = self.nodes.upstreams[record]
            check_size(len(call.tail) + REQUEST_HEAD, upstream.max_request)
        except MadrpcError as error:
            if not self._keep(call, error):
                self._fail(call, error)
            return
        call.upstream = upstream
        call.node = record.address
        if call.wait_end is not None:
            self._note_wait(call)
        call.attempts += 1
        self._balancer.sent(record)
        left = ms_left(call.deadline, _now())
        call.upstream_id = upstream.forward(call, left, call.tail)

    def _keep(self, call: ForwardedCall, error: MadrpcError) -> bool:
        """Keep a call that no node takes now, if one may in a moment."""
        is_unknown = isinstance(error, MethodNotFound)
        if is_unknown and not self.nodes.are_returning:
            return self._make_sure(call)
        return (is_unknown or isinstance(error, NoNodeAvailable)) and self._wait(call)

    def _wait(self, call: ForwardedCall) -> bool:
        """Keep a call until a node is connected, for a while, if there is one to wait for."""
        now = _now()
        if call.wait_end is None:
            call.wait_end = now + RECONNECT_WAIT_S
        if call.wait_end <= now or not self.nodes.is_coming(call.method):
            return False
        self._waiting[call] = None
        call.wait_tick = self._waits.add(call, call.wait_end)
        return True

    def _make_sure(self, call: ForwardedCall) -> bool:
        """Keep a call of an unknown name until the nodes have been asked: one may have new scripts.

        They are asked about once a second at most, so that wrong names cost them little.
        """
        now = _now()
        if call.wait_end is not None or not self.nodes.is_any_connected:
            return False
        if not self._unsure:
            if now < self._may_ask_at:
                return False
            self._may_ask_at = now + _ASK_EVERY_S
            gevent.spawn(self._ask_nodes)
        self._unsure.append(call)
        call.wait_end = now + RECONNECT_WAIT_S
        self._waiting[call] = None
        call.wait_tick = self._waits.add(call, call.wait_end)
        return True

    def _ask_nodes(self) -> None:
        try:
            self.nodes.refresh(_ASK_S)
        finally:
            unsure, self._unsure = self._unsure, []
            for call in unsure:
                if call in self._waiting:
                    self._stop_waiting(call)
                    self._dispatch(call)

    def _note_wait(self, call: ForwardedCall) -> None:
        """Add up how long a call has waited for a node."""
        if call.wait_end is not None:
            call.waited_s += _now() - (call.wait_end - RECONNECT_WAIT_S)
            call.wait_end = None

    def _stop_waiting(self, call: ForwardedCall) -> None:
        if call in self._waiting:
            del self._waiting[call]
            self._waits.discard(call, call.wait_tick)

    def _note(self, call: ForwardedCall, error: MadrpcError) -> None:
        """Learn from an error about the node that sent it."""
        if call.upstream is None:
            return
        record = call.upstream.record
        if isinstance(error, ConnectionFailed):
            self.nodes.failed(record)
            return
        self.nodes.succeeded(record)
        if isinstance(error, Draining):
            self.nodes.drains(record)

    def _may_move(self, call: ForwardedCall, error: MadrpcError) -> bool:
        """Whether another node should take the call after this one answered with an error."""
        if not should_retry(error, call.attempts):
            return False
        if isinstance(error, Draining):
            # It was not even looked at, and the node gets no more, so this feeds no outage.
            return self._balancer.has(call.method) or self.nodes.is_coming(call.method)
        tried = {*call.tried, call.upstream.record if call.upstream else None}
        others = (node for node in self._balancer.up if node not in tried)
        return any(call.method in node.methods for node in others) and self._budget.take()

    def _retry(self, call: ForwardedCall) -> None:
        self.retries += 1
        if call.upstream is not None:
            call.tried.append(call.upstream.record)
            self._leave(call)
        self._dispatch(call)

    def _fail(self, call: ForwardedCall, error: MadrpcError) -> None:
        self._forget(call)
        # Names that no node has come from callers without end, and must not fill the table.
        method = OTHER_METHODS if isinstance(error, MethodNotFound) else call.method
        self._note_wait(call)
        self.accounting.failed(call, error.to_wire(), method)
        receipts = self.accounting.receipts(call, (), str(self._address()))
        if receipts:
            call.connection.respond(call.id, error_tail(error), receipts)
        else:
            call.connection.respond_error(call.id, error)

    def _respond(self, call: ForwardedCall, response: Response) -> None:
        """Pass an answer on, with its receipts if it has any and the caller wants them."""
        if not response.receipts:
            call.connection.respond(call.id, response.tail)
            return
        receipts = self.accounting.receipts(call, response.receipts, str(self._address()))
        call.connection.respond(call.id, response.tail, receipts)

    def _leave(self, call: ForwardedCall) -> None:
        """The call is no longer at its node."""
        if call.upstream is not None:
            self._balancer.done(call.upstream.record)
            call.upstream = None

    def _forget(self, call: ForwardedCall) -> None:
        self.in_flight -= 1
        self.in_flight_bytes -= len(call.tail)
        self._leave(call)
        if self._waiting:
            self._stop_waiting(call)
        if call.deadline is not None:
            self._deadlines.discard(call, call.tick)

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(_TICK_S)
            now = _now()
            for call in self._deadlines.expired(now):
                self._timed_out(call)
            for call in self._waits.expired(now):
                del self._waiting[call]
                self._dispatch(call)
            self.accounting.kept.expire(now)

    def _timed_out(self, call: ForwardedCall) -> None:
        where = "waiting for a node"
        if call.upstream is not None:
            record = call.upstream.record
            call.upstream.cancel(call.upstream_id)
            where = f"waiting for node {record.address}"
            if self.nodes.is_silent(record):
                self.nodes.failed(record)
        seconds = _now() - call.started
        self._fail(call, CallTimeout(f"the deadline passed after {seconds:.2f} s, {where}"))


def _error_of(call: ForwardedCall, response: Response) -> MadrpcError:
    """The error a node answered with; one that cannot be read is the node's failure."""
    try:
        return from_wire(unpack_error(response.tail))
    except MadrpcError as error:
        where = call.upstream.record.address if call.upstream else "a node"
        return ConnectionFailed(f"{where} sent an answer that cannot be read: {error.message}")


def _overloaded(in_flight: int, size: int) -> Overloaded:
    return Overloaded(
        f"the orchestrator has {in_flight} calls of {size} bytes in flight, its limit; try again",
        {"retry_after_ms": 100},
    )
