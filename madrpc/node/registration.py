"""One node announces itself to one orchestrator, again and again."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import gevent
from gevent.event import Event

from madrpc.address import Address
from madrpc.config import REGISTER_EVERY_S
from madrpc.errors import ConnectionFailed, MadrpcError
from madrpc.links.upstream import Upstream

__all__ = ["Registrar"]

log = logging.getLogger(__name__)

#: The orchestrator connects and asks before it answers.
_TIMEOUT_S = 8.0
_FIRST_S = 0.2
#: One goodbye takes a round trip; a node that is told to end does not wait long for it.
_GOODBYE_S = 1.0


class Registrar:
    """Keeps one registration alive.

    Args:
        advertise: the address to register, given this machine's address on the connection.
    """

    def __init__(self, upstream: Upstream, advertise: Callable[[str], Address]) -> None:
        self._upstream = upstream
        self._advertise = advertise
        self._wake = Event()
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._said = ""
        self.is_registered = False

    def __repr__(self) -> str:
        return f"<Registrar {self._upstream.record.address} {self.is_registered}>"

    def start(self) -> None:
        """Begin to register."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Register no more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def hurry(self) -> None:
        """The orchestrator is there: register now, not at the next beat."""
        self._wake.set()

    def goodbye(self) -> None:
        """Say that the node ends, registered or not; who does not hear it will notice."""
        if self._upstream.link is not None:
            try:
                self._upstream.ask("_deregister", _GOODBYE_S, self._args())
            except MadrpcError as error:
                log.info("%s: %s", self._upstream.record.address, error.message)

    def _run(self) -> None:
        delay = REGISTER_EVERY_S
        while True:
            # Spread out, so that the nodes of a restarted orchestrator do not stay in step.
            self._wake.wait(delay * (0.8 + 0.2 * random.random()))
            self._wake.clear()
            if self._upstream.link is None or self._register():
                delay = REGISTER_EVERY_S
            else:
                delay = _FIRST_S if delay == REGISTER_EVERY_S else min(2 * delay, 4.9)

    def _register(self) -> bool:
        """Announce the node once; return whether that was accepted."""
        where = self._upstream.record.address
        args = self._args()
        try:
            self._upstream.ask("_register", _TIMEOUT_S, args)
        except ConnectionFailed:
            return True  # said again when the connection is back
        except MadrpcError as error:
            self.is_registered = False
            if error.message != self._said:
                self._said = error.message
                log.warning("not registered with orchestrator %s: %s", where, error.message)
            return False
        if not self.is_registered:
            log.info("registered with orchestrator %s as %s", where, args["address"])
        self.is_registered = True
        self._said = ""
        return True

    def _args(self) -> dict[str, str]:
        return {"address": str(self._advertise(self._upstream.local_host))}
