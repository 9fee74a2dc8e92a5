"""The nodes of an orchestrator: one connection each, and what is believed of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Any, Protocol

import gevent

from madrpc.config import REGISTER_EVERY_S, ListenerConfig
from madrpc.credentials import Credentials
from madrpc.errors import MadrpcError
from madrpc.links.upstream import Upstream, UpstreamOwner
from madrpc.policy.balancer import Balance, Balancer, NodeRecord, NodeState
from madrpc.policy.outlier import FAILURES, Outlier
from madrpc.protocol.messages import Response

__all__ = ["Nodes", "NodesOwner"]

log = logging.getLogger(__name__)

_now = time.monotonic
_RETIRE_POLL_S = 0.05
#: A node that has been away for longer than this is not waited for.
_SOON_S = 10.0
#: All nodes that register have done so again this long after a restart.
_RETURN_S = REGISTER_EVERY_S + 1.0
_MOST_WORKERS = 100_000


class NodesOwner(Protocol):
    """Whoever sends calls to the nodes."""

    def answered(self, call: Any, response: Response) -> None:
        """A forwarded call has its answer."""

    def moved(self, record: NodeRecord, reason: str, calls: list[Any]) -> None:
        """A node is lost, and these calls with it."""

    def routes_changed(self) -> None:
        """A node takes calls that did not take them before."""


class Nodes:
    """Owner of the connections to the nodes; keeps the balancer's view of each up to date."""

    def __init__(self, listener: ListenerConfig, owner: NodesOwner, balance: Balance) -> None:
        self.balancer = Balancer(balance)
        self.upstreams: dict[NodeRecord, Upstream] = {}
        self.answered = owner.answered
        self._owner = owner
        self._max_frame = listener.max_frame
        self._credentials = Credentials(listener.security)
        self._outliers: dict[NodeRecord, Outlier] = {}
        self._gone_since: dict[NodeRecord, float] = {}
        self._stopping = False
        # A port that was kept open belonged to an orchestrator before, which may have had nodes.
        self._returned_at = _now() + _RETURN_S if listener.inherited else 0.0

    def __repr__(self) -> str:
        return f"<Nodes {self.balancer}>"

    # -------------------------------------------------------- membership

    def add(self, address: str) -> Upstream:
        """Connect to a node and send it calls from now on."""
        record = self.balancer.add(address)
        upstream = self.upstreams.get(record)
        if upstream is None:
            upstream = self.upstreams[record] = self.connection_to(record, self._max_frame, self)
            self._outliers[record] = Outlier()
            self._gone_since[record] = _now()
            upstream.start()
        return upstream

    def connection_to(self, record: NodeRecord, max_frame: int, owner: UpstreamOwner) -> Upstream:
        """A connection with this orchestrator's credentials, not started."""
        return Upstream(record, max_frame, owner, self._credentials)

    def remove(self, address: str) -> None:
        """Send a node no more calls, and disconnect from it when it has answered those it has."""
        for record, upstream in self.upstreams.items():
            if record.address == address and record.state is not NodeState.LEAVING:
                self.balancer.remove(record)
                log.info("node %s is no longer one of this orchestrator's", address)
                gevent.spawn(self._retire, upstream)
                return

    def find(self, address: str) -> Upstream | None:
        """The connection to a node."""
        for record, upstream in self.upstreams.items():
            if record.address == address and record.state is not NodeState.LEAVING:
                return upstream
        return None

    def stop(self) -> None:
        """Disconnect from every node."""
        self._stopping = True
        for upstream in list(self.upstreams.values()):
            upstream.stop()

    def _retire(self, upstream: Upstream) -> None:
        record = upstream.record
        while record.in_flight and upstream.link is not None:
            gevent.sleep(_RETIRE_POLL_S)
        upstream.stop()
        for table in (self.upstreams, self._outliers, self._gone_since):
            table.pop(record, None)

    # ------------------------------------------------------------- calls

    @property
    def are_returning(self) -> bool:
        """Whether nodes of the orchestrator before this one may still be about to register."""
        return _now() < self._returned_at

    def is_coming(self, method: str) -> bool:
        """Whether a node that could run the method may be there in a moment."""
        if self.are_returning:
            return True
        oldest = _now() - _SOON_S
        return any(
            self._gone_since.get(record, 0.0) > oldest for record in self.balancer.is_coming(method)
        )

    def succeeded(self, record: NodeRecord) -> None:
        """A call was answered, whatever with."""
        outlier = self._outliers.get(record)
        if outlier is not None and outlier.failures:
            outlier.succeeded()

    def failed(self, record: NodeRecord) -> None:
        """The transport to a node failed a call."""
        outlier = self._outliers.get(record)
        if outlier is None or outlier.is_out:
            return
        outlier.failed(_now())
        if record.state in (NodeState.UP, NodeState.SUSPECT):
            self._eject_if_due(record, outlier)

    def is_silent(self, record: NodeRecord) -> bool:
        """Whether a node does not answer its health probes."""
        upstream = self.upstreams.get(record)
        return upstream is not None and upstream.health.misses > 0

    def _eject_if_due(self, record: NodeRecord, outlier: Outlier) -> None:
        if outlier.is_due and self.balancer.may_spare(record):
            self._eject(record, outlier, f"it failed {FAILURES} times in a row")

    def _eject(self, record: NodeRecord, outlier: Outlier, why: str) -> None:
        term_s = outlier.put_out(_now())
        log.warning("node %s gets no calls for %g s: %s", record.address, term_s, why)
        error = f"gets no calls for {term_s:g} s, because {why}"
        self.balancer.node_down(record, error, NodeState.EJECTED)

    # ---------------------------------------------------- of the upstreams

    def node_up(self, upstream: Upstream, info: dict[str, Any]) -> None:
        """A node answered ``_info``."""
        record = upstream.record
        was = record.state
        if was is NodeState.LEAVING:
            return
        self._gone_since.pop(record, None)
        if info.get("state") == "draining":
            self._drains(record)
        else:
            self.balancer.node_up(record, info.get("methods", ()), _workers(info))
            self._keep_out(record)
        if record.state is not was:
            log.info("node %s is %s", record.address, record.state.value)
        if record.state is NodeState.UP:
            self._owner.routes_changed()

    def _keep_out(self, record: NodeRecord) -> None:
        """Let a node that is back serve its term."""
        outlier = self._outliers[record]
        if outlier.is_out:
            error = "failed before it was connected again, and has to pass a trial"
            self.balancer.node_down(record, error, NodeState.EJECTED)
        else:
            self._eject_if_due(record, outlier)

    def node_checked(self, upstream: Upstream, *, well: bool) -> None:
        """A health probe was answered, or was not in time."""
        record, outlier = upstream.record, self._outliers.get(upstream.record)
        if outlier is None or record.state is NodeState.LEAVING:
            return
        if record.state is NodeState.PROBING and well:
            outlier.readmit(_now())
            self._well_again(record)
        elif record.state is NodeState.PROBING:
            self._eject(record, outlier, "it did not pass its trial")
        elif record.state is NodeState.EJECTED and outlier.is_served(_now()):
            self.balancer.node_down(record, "is on trial", NodeState.PROBING)
            upstream.health.want_deep()
        elif record.state is NodeState.SUSPECT and well:
            self._well_again(record)
        elif record.state is NodeState.UP and not well:
            silent = upstream.health.misses
            error = "is late with its health probe" if silent else "has no worker that answers"
            log.warning("node %s %s", record.address, error)
            self.balancer.node_down(record, error, NodeState.SUSPECT)

    def _well_again(self, record: NodeRecord) -> None:
        log.info("node %s is up again", record.address)
        self.balancer.node_up(record, record.methods, record.workers)
        self._owner.routes_changed()

    def drains(self, record: NodeRecord) -> None:
        """A node said that it is shutting down."""
        if record.state not in (NodeState.LEAVING, NodeState.DOWN, NodeState.DRAINING):
            log.info("node %s is draining", record.address)
            self._drains(record)

    def _drains(self, record: NodeRecord) -> None:
        self._gone_since.setdefault(record, _now())
        self.balancer.node_down(record, "is draining", NodeState.DRAINING)

    def node_down(self, upstream: Upstream, error: str) -> None:
        """A node cannot be reached."""
        record = upstream.record
        if record.state is NodeState.LEAVING:
            return
        if record.state is not NodeState.DOWN and not self._stopping:
            log.warning("node %s is down: %s", record.address, error)
        self._gone_since.setdefault(record, _now())
        self.balancer.node_down(record, error)

    def lost(self, upstream: Upstream, reason: str, calls: list[Any]) -> None:
        """A node's connection ended."""
        record = upstream.record
        if record.state is not NodeState.DRAINING:
            self.failed(record)
        self.node_down(upstream, reason)
        if calls:
            log.warning("%s: %s; moving %d calls", record.address, reason, len(calls))
            self._owner.moved(record, reason, calls)

    # --------------------------------------------------------- questions

    @property
    def is_any_connected(self) -> bool:
        """Whether there is a node to ask."""
        return any(up.link for up in self.upstreams.values())

    def refresh(self, timeout_s: float) -> None:
        """Learn now what connected nodes have, where that is not what is known of them."""
        for address, info in self.ask_all("_info", timeout_s).items():
            upstream = self.find(address)
            if upstream is None or not upstream.link:
                continue
            if info.get("revision") != upstream.info.get("revision"):
                upstream.take(info)

    def ask_all(
        self,
        method: str,
        timeout_s: float,
        args: dict[str, Any] | None = None,
        only: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """The answer of connected nodes to a built-in, by address; errors are left out.

        Nodes that are late with their health probes are not asked: they would hold up the rest.

        Args:
            only: addresses of the nodes to ask; None asks all.
        """
        asked = [
            up
            for up in self.upstreams.values()
            if up.link and not up.health.misses and (only is None or up.record.address in only)
        ]
        jobs = {up.record.address: gevent.spawn(_ask, up, method, timeout_s, args) for up in asked}
        gevent.joinall(list(jobs.values()), timeout=timeout_s + 1)
        return {address: job.value for address, job in jobs.items() if job.value is not None}


def _ask(
    upstream: Upstream, method: str, timeout_s: float, args: dict[str, Any] | None
) -> dict[str, Any] | None:
    try:
        return upstream.ask(method, timeout_s, args)
    except MadrpcError:
        return None


def _workers(info: dict[str, Any]) -> int:
    """How many workers a node says it has, as far as that can be believed."""
    workers = info.get("workers")
    return min(max(workers, 1), _MOST_WORKERS) if type(workers) is int else 1
