"""One server as another reaches it: connect, learn its methods, probe its health, reconnect.

An orchestrator holds one to each node; a node holds one to each orchestrator that it registers
with and sends the calls of its functions through.

::

    connect --ok--> ask _info --answer--> probe _health every 2 s --three missed--+
       |               |  ^                      |                                |
       |               |  +-- its revision is new+                                |
       +--- refused ---+---- no answer -----------------> DOWN, wait, connect <---+

``_info`` can be long and ``_health`` is short, so the first is asked again only when the second
says that there is something new. The wait doubles from 0.05 s to 2 s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event

from madrpc.address import parse_address
from madrpc.config import CONNECT_TIMEOUT_S, INFO_TIMEOUT_S, MAX_FRAME_CEILING
from madrpc.credentials import Credentials
from madrpc.errors import CallTimeout, ConnectionFailed, MadrpcError, Unauthenticated, from_wire
from madrpc.links.caller import CallerLink
from madrpc.policy.balancer import NodeRecord
from madrpc.policy.health import HealthCheck
from madrpc.policy.timing import Backoff
from madrpc.protocol.frames import check_size
from madrpc.protocol.messages import REQUEST_HEAD, Response, request_tail, unpack_response_tail
from madrpc.tcp import tune

__all__ = ["Upstream", "UpstreamOwner"]

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 2.0
_STALL_S = 10.0
_PROBE_MS = 10_000
_HEALTH = request_tail("_health", None)
_DEEP_HEALTH = request_tail("_health", {"probe": True})
_GONE = "does not answer its health probes"


class UpstreamOwner(Protocol):
    """Whoever routes calls to the server."""

    def node_up(self, upstream: Upstream, info: dict[str, Any]) -> None:
        """The server answered with its ``_info``, for the first time or because it is new."""

    def node_checked(self, upstream: Upstream, *, well: bool) -> None:
        """A health probe was answered, or was not in time."""

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


class _Probe:
    """Stands for every health probe in flight."""

    __slots__ = ()


_PROBE = _Probe()


class Upstream:
    """A lasting connection to one server."""

    def __init__(
        self, record: NodeRecord, max_frame: int, owner: UpstreamOwner, credentials: Credentials
    ) -> None:
        self.record = record
        self._credentials = credentials
        self.link: CallerLink | None = None
        self.info: dict[str, Any] = {}
        self.learned_at = 0.0
        self.calls = 0
        self.first_try: AsyncResult[bool] = AsyncResult()
        self.max_request = max_frame
        self._max_frame = max_frame
        self._owner = owner
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._wake = Event()
        self._is_stale = False
        self.health = HealthCheck()
        self.local_host = ""

    def __repr__(self) -> str:
        return f"<Upstream {self.record} {self.link}>"

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

    def hurry(self) -> None:
        """Do now what would be done after a wait: connect, or probe."""
        self._backoff.reset()
        self._wake.set()

    def ask(
        self, method: str, timeout_s: float, args: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call a built-in of the server and wait for its result.

        Raises:
            MadrpcError: the server's error, ConnectionFailed, CallTimeout or PayloadTooLarge.
        """
        link = self.link
        if link is None:
            raise ConnectionFailed(f"{self.record.address} is not connected")
        tail = request_tail(method, args)
        # The server would end the connection over it, and with that the calls of everybody.
        check_size(len(tail) + REQUEST_HEAD, self.max_request)
        question = _Question()
        id = link.call(question, int(timeout_s * 1000), tail)
        try:
            response = question.answer.get(timeout=timeout_s)
        except gevent.Timeout:
            link.cancel(id)
            raise CallTimeout(f"no answer to {method} within {timeout_s:g} s") from None
        error, result = unpack_response_tail(response.tail)
        if error is not None:
            raise from_wire(error)
        return result if isinstance(result, dict) else {}

    def take(self, info: dict[str, Any]) -> str | None:
        """Note what the server says it is; return what is wrong with that, if anything is."""
        methods = info.get("methods")
        if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
            return "its _info has no list of methods; is it a madrpc server?"
        limits = info.get("limits")
        limit = limits.get("max_frame") if isinstance(limits, dict) else None
        self.max_request = limit if type(limit) is int else self._max_frame
        self.info = info
        self.learned_at = time.monotonic()
        self._backoff.reset()
        self._owner.node_up(self, info)
        if not self.first_try.ready():
            self.first_try.set(True)
        return None

    # ----------------------------------------------------------- private

    def _run(self) -> None:
        while True:
            error = self._connect()
            if error is None:
                error = self._watch()
            self._owner.node_down(self, error)
            if not self.first_try.ready():
                self.first_try.set(False)
            self._wake.clear()
            self._wake.wait(self._backoff.next_delay())

    def _connect(self) -> str | None:
        """Open the link; return why not, or None."""
        address = parse_address(self.record.address)
        try:
            address.host.encode("idna")  # inside the resolver the hub would log the mistake
            sock = socket.create_connection(address, timeout=CONNECT_TIMEOUT_S)
        except (OSError, UnicodeError) as error:
            return _connect_error(error)
        tune(sock)
        self.local_host = sock.getsockname()[0]
        # The server bounds what it sends by a limit of its own, which may be larger; the caller's
        # connection says so to one caller, where cutting the link here would lose all calls on it.
        self.link = CallerLink(
            sock,
            MAX_FRAME_CEILING,
            self._answered,
            self._lost,
            _STALL_S,
            self._credentials.session(address.host),
            self._credentials.hello,
        )
        return None

    def _watch(self) -> str:
        """Learn what the server has and probe it until the link fails; return why it did."""
        self.health = HealthCheck()
        problem = self._learn()
        while problem is None and self.link is not None:
            self._wake.clear()
            self._wake.wait(self.health.wait_s)
            if self.link is not None:
                problem = self._learn() if self._is_stale else self._probe()
        if problem is not None and self.link is not None:
            self.link.close(problem)
        return problem or self.record.error or "disconnected"

    def _learn(self) -> str | None:
        """Ask the server what it is; return what is wrong with the answer, if anything is."""
        self._is_stale = False
        try:
            info = self.ask("_info", INFO_TIMEOUT_S)
        except Unauthenticated as error:
            return error.message
        except MadrpcError as error:
            return f"does not answer: {error.message}"
        return self.take(info)

    def _probe(self) -> str | None:
        """Send the next health probe; return a reason to give the connection up, if there is."""
        assert self.link is not None
        tail = _DEEP_HEALTH if self.health.next_probe() else _HEALTH
        if self.health.is_gone:
            return _GONE
        if self.health.misses:
            self._owner.node_checked(self, well=False)
        self.link.call(_PROBE, _PROBE_MS, tail)
        return None

    def _probed(self, response: Response) -> None:
        """A health probe was answered."""
        answer = _health_of(response)
        self.health.answered(answer)
        draining = (answer.get("status") == "draining") != (self.info.get("state") == "draining")
        # One that has no revision may have news at any time.
        revision = answer.get("revision")
        if draining or revision is None or revision != self.info.get("revision"):
            self._is_stale = True
            if draining or revision is not None:
                self._wake.set()
        self._owner.node_checked(self, well=not self.health.is_doubtful)

    def _answered(self, token: Any, response: Response) -> None:
        if type(token) is _Question:
            token.answer.set(response)
        elif token is _PROBE:
            self._probed(response)
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
            elif token is not _PROBE:
                calls.append(token)
        self._owner.lost(self, reason, calls)


def _health_of(response: Response) -> Mapping[str, Any]:
    """What a server says of its health; an error is a sign of life, and says no more."""
    try:
        error, result = unpack_response_tail(response.tail)
    except MadrpcError:
        return {}
    return result if error is None and isinstance(result, dict) else {}


def _connect_error(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "is not a host name"
    if isinstance(error, TimeoutError):
        return f"does not answer within {CONNECT_TIMEOUT_S:g} s"
    return (error.strerror or str(error)).lower()
