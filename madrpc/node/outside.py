"""A node's connections to its orchestrators: it registers there, and its functions call there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent

from madrpc.address import Address
from madrpc.credentials import Credentials
from madrpc.errors import ConnectionFailed, from_wire
from madrpc.links.upstream import Upstream
from madrpc.node.registration import Registrar
from madrpc.policy.balancer import Balancer, NodeRecord, NodeState
from madrpc.policy.timing import ms_left
from madrpc.protocol.messages import Response, error_tail, unpack_error

__all__ = ["Outside"]

log = logging.getLogger(__name__)

_now = time.monotonic

Answered = Callable[[bytes], None]


class _Call:
    """A nested call on its way; ``instead`` runs it in the own pool if that is of no use."""

    __slots__ = ("answered", "instead", "upstream_id")

    def __init__(self, answered: Answered, instead: Callable[[], bool]) -> None:
        self.answered = answered
        self.instead = instead
        self.upstream_id = 0


class Outside:
    """Connections to the orchestrators, used in turn.

    Args:
        advertise: the address to register with an orchestrator, given this machine's address as
            that orchestrator sees it.
        credentials: what to show the orchestrators.
    """

    def __init__(
        self,
        orchestrators: Sequence[Address],
        max_frame: int,
        advertise: Callable[[str], Address],
        credentials: Credentials,
    ) -> None:
        self._balancer = Balancer()
        self._upstreams: dict[NodeRecord, Upstream] = {}
        for address in orchestrators:
            record = self._balancer.add(str(address))
            self._upstreams[record] = Upstream(record, max_frame, self, credentials)
        self._registrars = {
            upstream: Registrar(upstream, advertise) for upstream in self._upstreams.values()
        }
        #: What was logged of each orchestrator that is not reached, so that it is said once.
        self._said: dict[Upstream, str] = {}
        self._is_leaving = False

    def __repr__(self) -> str:
        return f"<Outside {self._balancer}>"

    def start(self) -> None:
        """Begin to connect and to register."""
        for upstream, registrar in self._registrars.items():
            upstream.start()
            registrar.start()

    def say_goodbye(self) -> None:
        """Tell every orchestrator that this node takes no more calls."""
        self._is_leaving = True
        for registrar in self._registrars.values():
            registrar.stop()
        goodbyes = [gevent.spawn(registrar.goodbye) for registrar in self._registrars.values()]
        gevent.joinall(goodbyes)

    def stop(self) -> None:
        """Disconnect for good."""
        self._is_leaving = True
        for registrar in self._registrars.values():
            registrar.stop()
        for upstream in self._upstreams.values():
            upstream.stop()

    def call(
        self,
        method: str,
        tail: bytes,
        deadline: float | None,
        answered: Answered,
        instead: Callable[[], bool],
    ) -> Callable[[], None] | None:
        """Send a call through an orchestrator that has the method.

        Args:
            instead: runs the call in the own pool and says whether that is possible; used when the
                orchestrator is lost, or does not know the method after all.

        Returns:
            How to cancel it, or None where no orchestrator has the method.
        """
        if not self._balancer.has(method):
            return None
        upstream = self._upstreams[self._balancer.pick(method)]
        call = _Call(answered, instead)
        call.upstream_id = upstream.forward(call, ms_left(deadline, _now()), tail)
        return lambda: upstream.cancel(call.upstream_id)

    def node_up(self, upstream: Upstream, info: dict[str, Any]) -> None:
        """An orchestrator answered ``_info``."""
        if self._said.pop(upstream, None) is not None:
            log.info("orchestrator %s is reached", upstream.record.address)
        if info.get("state") == "draining":
            self._balancer.node_down(upstream.record, "is draining", NodeState.DRAINING)
        else:
            self._balancer.node_up(upstream.record, info.get("methods", ()))
        self._registrars[upstream].hurry()

    def node_checked(self, upstream: Upstream, *, well: bool) -> None:
        """An orchestrator answered its health probe, or did not in time."""
        record = upstream.record
        # One that has no node up right now still has its queue.
        silent = upstream.health.misses > 0
        if record.state is NodeState.SUSPECT and not silent:
            self._balancer.node_up(record, record.methods)
        elif record.state is NodeState.UP and silent:
            self._balancer.node_down(record, "is late", NodeState.SUSPECT)

    def node_down(self, upstream: Upstream, error: str) -> None:
        """An orchestrator cannot be reached."""
        self._balancer.node_down(upstream.record, error)
        if error != self._said.get(upstream) and not self._is_leaving:
            self._said[upstream] = error
            log.warning("no connection to orchestrator %s: %s", upstream.record.address, error)

    def answered(self, call: _Call, response: Response) -> None:
        """A call has its answer."""
        if response.is_error and _is_about_the_way(response) and call.instead():
            return
        call.answered(response.tail)

    def lost(self, upstream: Upstream, reason: str, calls: list[_Call]) -> None:
        """The connection ended before these calls were answered."""
        self.node_down(upstream, reason)
        for call in calls:
            if not call.instead():
                error = ConnectionFailed(f"orchestrator {upstream.record.address}: {reason}")
                call.answered(error_tail(error))


def _is_about_the_way(response: Response) -> bool:
    """Whether the error says that the orchestrator could not place the call."""
    error = from_wire(unpack_error(response.tail))
    return error.retryable or error.name == "MethodNotFound"
