"""One server as another reaches it: connect, learn its methods, keep asking, reconnect.

An orchestrator holds one to each node; a node holds one to each orchestrator that it sends the
calls of its functions through.

::

    connect --ok--> ask _info --answer--> UP --every 2 s--> ask again
       |               |                   |
       +--- refused ---+---- no answer ----+--> DOWN, wait (0.05 s doubling to 2 s), connect
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event

from madrpc.address import parse_address
from madrpc.config import CONNECT_TIMEOUT_S, HEALTH_INTERVAL_S, HEALTH_TIMEOUT_S, MAX_FRAME_CEILING
from madrpc.errors import CallTimeout, ConnectionFailed, MadrpcError, from_wire
from madrpc.links.caller import CallerLink
from madrpc.policy.balancer import NodeRecord
from madrpc.policy.timing import Backoff
from madrpc.protocol.messages import Response, request_tail, unpack_response_tail
from madrpc.tcp import tune

__all__ = ["Upstream", "UpstreamOwner"]

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 2.0
_STALL_S = 10.0


class UpstreamOwner(Protocol):
    """Whoever routes calls to the server."""

    def node_up(self, upstream: Upstream, info: dict[str, Any]) -> None:
        """The server answered with its ``_info``."""

    def node_down(self, upstream: Upstream, error: str) -> None:
        """The server cannot be reached."""

    def answered(self, call: Any, response: Response) -> None:
        """A forwarded call has its answer."""

    def lost(self, upstream: Upstream, reason: str, calls: list[Any]) -> None:
        """The connection ended before these calls were answered."""


class _Question:
    """A built-in call of the orchestrator's own."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: AsyncResult[Response] = AsyncResult()


class Upstream:
    """A lasting connection to one server."""

    def __init__(self, record: NodeRecord, max_frame: int, owner: UpstreamOwner) -> None:
        self.record = record
        self.link: CallerLink | None = None
        self.info: dict[str, Any] = {}
        self.calls = 0
        self.first_try: AsyncResult[bool] = AsyncResult()
        self.max_request = max_frame
        self._max_frame = max_frame
        self._owner = owner
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._wake = Event()

    def __repr__(self) -> str:
        return f"<Upstream {self.record} {self.link}>"

    @property
    def in_flight(self) -> int:
        """Requests the server has not answered."""
        return self.link.in_flight if self.link else 0

    def start(self) -> None:
        """Begin to connect."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Disconnect for good."""
        if self._greenlet is not None:
            self._greenlet.kill()
        if self.link is not None:
            self.link.close("this server is stopping")

    def forward(self, call: Any, timeout_ms: int, tail: bytes) -> int:
        """Send a call; return its id on this link."""
        assert self.link is not None
        self.calls += 1
        return self.link.call(call, timeout_ms, tail)

    def cancel(self, id: int) -> None:
        """Give a forwarded call up."""
        if self.link is not None:
            self.link.cancel(id)

    def ask(self, method: str, timeout_s: float) -> dict[str, Any]:
        """Call a built-in of the server and wait for its result.

        Raises:
            MadrpcError: the server's error, ConnectionFailed or CallTimeout.
        """
        link = self.link
        if link is None:
            raise ConnectionFailed(f"{self.record.address} is not connected")
        question = _Question()
        id = link.call(question, int(timeout_s * 1000), request_tail(method, None))
        try:
            response = question.answer.get(timeout=timeout_s)
        except gevent.Timeout:
            link.cancel(id)
            raise CallTimeout(f"no answer to {method} within {timeout_s:g} s") from None
        error, result = unpack_response_tail(response.tail)
        if error is not None:
            raise from_wire(error)
        return result if isinstance(result, dict) else {}

    # ----------------------------------------------------------- private

    def _run(self) -> None:
        while True:
            error = self._connect()
            if error is None:
                error = self._watch()
            self._owner.node_down(self, error)
            if not self.first_try.ready():
                self.first_try.set(False)
            self._pause(self._backoff.next_delay())

    def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the link is lost."""
        self._wake.clear()
        self._wake.wait(seconds)

    def _connect(self) -> str | None:
        """Open the link; return why not, or None."""
        address = parse_address(self.record.address)
        try:
            sock = socket.create_connection(address, timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            return _connect_error(error)
        tune(sock)
        # The server bounds what it sends by a limit of its own, which may be larger; the caller's
        # connection says so to one caller, where cutting the link here would lose all calls on it.
        self.link = CallerLink(sock, MAX_FRAME_CEILING, self._answered, self._lost, _STALL_S)
        return None

    def _watch(self) -> str:
        """Ask for ``_info`` until the link fails; return why it did."""
        while self.link is not None:
            try:
                self.info = self.ask("_info", HEALTH_TIMEOUT_S)
            except MadrpcError as error:
                reason = f"does not answer: {error.message}"
                if self.link is not None:
                    self.link.close(reason)
                return reason
            problem = self._learn(self.info)
            if problem is not None:
                if self.link is not None:
                    self.link.close(problem)
                return problem
            self._backoff.reset()
            self._owner.node_up(self, self.info)
            if not self.first_try.ready():
                self.first_try.set(True)
            self._pause(HEALTH_INTERVAL_S)
        return self.record.error or "disconnected"

    def _learn(self, info: dict[str, Any]) -> str | None:
        """Take over what ``_info`` says; return what is wrong with it."""
        methods = info.get("methods")
        if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
            return "its _info has no list of methods; is it a madrpc server?"
        limits = info.get("limits")
        limit = limits.get("max_frame") if isinstance(limits, dict) else None
        self.max_request = limit if type(limit) is int else self._max_frame
        return None

    def _answered(self, token: Any, response: Response) -> None:
        if isinstance(token, _Question):
            token.answer.set(response)
        else:
            self._owner.answered(token, response)

    def _lost(self, reason: str, tokens: list[Any]) -> None:
        self.link = None
        self._wake.set()
        error = ConnectionFailed(f"{self.record.address}: {reason}")
        calls = []
        for token in tokens:
            if isinstance(token, _Question):
                token.answer.set_exception(error)
            else:
                calls.append(token)
        self._owner.lost(self, reason, calls)


def _connect_error(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"does not answer within {CONNECT_TIMEOUT_S:g} s"
    return (error.strerror or str(error)).lower()
