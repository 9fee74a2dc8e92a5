"""Nodes that announce themselves with ``_register`` and leave with ``_deregister``.

Nothing is believed of what they say. A new address is used only once a connection made to it has
been answered by a node, and a goodbye counts only if the node itself says that it is draining, or
cannot be reached: so nobody can add what is no node, or take away a node that is well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from madrpc.address import Address, AddressError, parse_address
from madrpc.config import CONNECT_TIMEOUT_S, INFO_TIMEOUT_S, REGISTRATION_TTL_S
from madrpc.errors import InvalidRequest, MadrpcError, Overloaded
from madrpc.links.upstream import Upstream
from madrpc.orchestrator.discovery import Discovery
from madrpc.orchestrator.nodes import Nodes
from madrpc.policy.balancer import NodeRecord
from madrpc.policy.membership import Registrations
from madrpc.protocol.messages import Response

__all__ = ["Registry"]

log = logging.getLogger(__name__)

_now = time.monotonic
_SOURCE = "registration"
_MOST_CHARS = 300  # a host name has 253 at most
_EXPIRE_EVERY_S = 0.5
#: Addresses that are tried at once; a node asks again 5 s later.
_MOST_TRIALS = 64
_NOWHERE = frozenset({"0.0.0.0", "::", "*", "255.255.255.255"})


class Registry:
    """Owner of the registrations."""

    def __init__(self, discovery: Discovery, nodes: Nodes, own: Callable[[], Address]) -> None:
        self.registrations = Registrations()
        self._discovery = discovery
        self._nodes = nodes
        self._own = own
        self._trials = BoundedSemaphore(_MOST_TRIALS)
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        return f"<Registry {self.registrations}>"

    def start(self) -> None:
        """Begin to forget nodes that fall silent."""
        self._greenlet = gevent.spawn(self._expire_forever)

    def stop(self) -> None:
        """Forget no more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def register(self, args: dict[str, Any]) -> dict[str, Any]:
        """``_register``: a node is there, or still there.

        Raises:
            InvalidRequest: the address cannot be a node's, or no node answers there.
            Overloaded: too many addresses are being tried; come back.
        """
        address = str(_checked(args, self._own()))
        table = self.registrations
        if address not in table:
            if table.is_full:
                raise InvalidRequest(
                    f"{len(table.addresses)} nodes are registered, which is the most; "
                    "name nodes with -n file:PATH instead"
                )
            if self._nodes.find(address) is None:
                self._prove(address)
        if table.renew(address, _now()):
            log.info("node %s has registered", address)
            self._discovery.update(_SOURCE, table.addresses)
        upstream = self._nodes.find(address)
        if upstream is not None and upstream.link is None:
            upstream.hurry()
        return {"ttl_s": REGISTRATION_TTL_S}

    def deregister(self, args: dict[str, Any]) -> dict[str, Any]:
        """``_deregister``: a node is about to end.

        Raises:
            InvalidRequest: the node is there and does not say so itself.
        """
        address = str(_checked(args, self._own()))
        upstream = self._nodes.find(address)
        if upstream is not None and not self._says_goodbye(upstream):
            raise InvalidRequest(f"the node at {address} is not draining, so it stays")
        if self.registrations.remove(address):
            log.info("node %s has said goodbye", address)
            self._discovery.update(_SOURCE, self.registrations.addresses)
        return {}

    def _says_goodbye(self, upstream: Upstream) -> bool:
        try:
            answer = upstream.ask("_health", INFO_TIMEOUT_S)
        except MadrpcError:
            return True
        if answer.get("status") != "draining":
            return False
        self._nodes.drains(upstream.record)
        return True

    def _prove(self, address: str) -> None:
        """Connect to what wants to be a node, and ask it what it is."""
        if not self._trials.acquire(blocking=False):
            raise Overloaded(
                f"{_MOST_TRIALS} new nodes are being tried; try again", {"retry_after_ms": 1000}
            )
        trial = _Trial(address, self._nodes)
        try:
            trial.run()
        finally:
            self._trials.release()

    def _expire_forever(self) -> None:
        while True:
            gevent.sleep(_EXPIRE_EVERY_S)
            silent = self.registrations.expire(_now())
            if silent:
                log.warning("no word from %s for %g s", ", ".join(silent), REGISTRATION_TTL_S)
                self._discovery.update(_SOURCE, self.registrations.addresses)


class _Trial:
    """One connection to an address, to see whether it is a node's."""

    def __init__(self, address: str, nodes: Nodes) -> None:
        self._address = address
        self._info: dict[str, Any] | None = None
        self._error = f"it did not answer within {CONNECT_TIMEOUT_S + INFO_TIMEOUT_S:g} s"
        self._upstream = nodes.connection_to(NodeRecord(address), 64 * 1024, self)

    def run(self) -> None:
        """Connect, ask, disconnect.

        Raises:
            InvalidRequest: it is not a node.
        """
        self._upstream.start()
        try:
            self._upstream.first_try.wait(CONNECT_TIMEOUT_S + INFO_TIMEOUT_S)
        finally:
            self._upstream.stop()
        if self._info is None:
            raise InvalidRequest(
                f"{self._address} was tried and is no node this orchestrator can use: "
                f"{self._error}; name the address it can reach with --advertise HOST:PORT"
            )
        if self._info.get("role") != "node":
            raise InvalidRequest(f"the server at {self._address} is not a node")

    def node_up(self, upstream: Upstream, info: dict[str, Any]) -> None:
        self._info = info

    def node_checked(self, upstream: Upstream, *, well: bool) -> None:
        pass

    def node_down(self, upstream: Upstream, error: str) -> None:
        self._error = error

    def answered(self, call: Any, response: Response) -> None:
        pass

    def lost(self, upstream: Upstream, reason: str, calls: list[Any]) -> None:
        pass


def _checked(args: dict[str, Any], own: Address) -> Address:
    """The address that a node says it has.

    Raises:
        InvalidRequest: it cannot be reached by anyone.
    """
    text = args.get("address")
    if not isinstance(text, str):
        raise InvalidRequest('address must be a str such as "10.0.0.5:9001"')
    if len(text) > _MOST_CHARS or not text.isprintable():
        raise InvalidRequest(f"address must be at most {_MOST_CHARS} printable characters")
    try:
        address = parse_address(text, default_host="0.0.0.0")
    except AddressError as error:
        raise InvalidRequest(str(error)) from None
    if not address.port or address.host in _NOWHERE or " " in address.host:
        raise InvalidRequest(f"{text!r} is no address to connect to: it needs a host and a port")
    if address == own:
        raise InvalidRequest(f"{text!r} is this orchestrator's own address")
    return address
