"""Runs the node of a host from within a Dask worker: a thread that looks after a child process.

::

    STANDBY --the claim is this worker's--> STARTING --ready--> UP
       ^                                       |  ^              |
       +--- released at the end                |  +-- pause -----+-- ended, or no orchestrator
                                               +--> FAILED (its reason), tried again

The node is a process of its own, because gevent and Dask's event loop do not share one. It ends by
itself after the worker, however that ends: it watches a pipe that only the worker holds. It goes on
for some seconds then, so that on a host that is the only one calls find a node all the time.
"""

from __future__ import annotations

import logging
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from madrpc.address import Address
from madrpc.cluster import Server
from madrpc.config import CONNECT_TIMEOUT_S
from madrpc.dask.claim import HostClaim
from madrpc.dask.plan import NodePlan, bind_host
from madrpc.errors import ConnectionFailed, MadrpcError
from madrpc.policy.timing import Backoff

__all__ = ["FAILED", "STANDBY", "STARTING", "UP", "Keeper", "first_reachable"]

log = logging.getLogger(__name__)

STARTING, STANDBY, UP, FAILED = "starting", "standby", "up", "failed"
_CLAIM_EVERY_S = 0.25
_LOOK_EVERY_S = 0.1
#: A node whose orchestrator cannot be reached for so long is ended: the deployment is over, or it
#: is started anew when the orchestrator is back.
_ORPHAN_S = 30.0
_ORPHAN_EVERY_S = 5.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_END_S = 5.0


class Keeper:
    """Keeps the node of this host running while this worker is the one to do so.

    Args:
        plan: what to run.
        addresses: where the orchestrator may be.

    Attributes:
        state: ``starting``, ``standby`` (another worker of this host runs the node), ``up`` or
            ``failed``.
        detail: the node's address, or why it failed.
        error: the name of the error that it last failed with.
    """

    def __init__(self, plan: NodePlan, addresses: Sequence[Address]) -> None:
        self._plan = plan
        self._addresses = addresses
        self._stop = threading.Event()
        self._hands_over = False
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._thread = threading.Thread(target=self._run, name="madrpc-keeper", daemon=True)
        self.state = STARTING
        self.detail = ""
        self.error = ""

    def __repr__(self) -> str:
        return f"<Keeper {self._plan.name} {self.state} {self.detail}>"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Let the node finish its calls and end, and wait for that."""
        self._stop.set()
        self._thread.join(self._plan.drain_s + 2 * _END_S)

    def leave(self) -> None:
        """This worker ends and the deployment goes on: hand the host over, without waiting."""
        self._hands_over = True
        self._stop.set()

    def _run(self) -> None:
        claim = HostClaim(self._plan.name)
        try:
            while not self._stop.is_set():
                try:
                    pause = self._turn(claim)
                except (OSError, MadrpcError) as error:
                    pause = self._failed(error)
                self._stop.wait(pause)
        finally:
            claim.release()

    def _turn(self, claim: HostClaim) -> float:
        """Run the node to its end, if this worker is the one; return how long to wait then."""
        if not claim.take():
            self._become(STANDBY)
            return _CLAIM_EVERY_S
        self._become(STARTING)
        address = first_reachable(self._addresses)
        node = self._start(address)
        try:
            why = self._attend(node, address)
        finally:
            if self._hands_over:
                # Another worker of this host may start its node while this one goes on.
                claim.release()
            else:
                node.terminate()
            node.let_go()
            node.wait(self._plan.handover_s + self._plan.drain_s + _END_S)
        if not self._stop.is_set():
            log.warning("the node of this host, %s, %s", node.address, why)
        return self._backoff.next_delay()

    def _start(self, orchestrator: Address) -> Server:
        """Start the node and wait until it is ready."""
        folder = Path(tempfile.mkdtemp(prefix="madrpc-dask-"))
        try:
            paths = _write(self._plan, folder)
            bind = Address(bind_host(orchestrator.host), 0)
            words = ["-s", *paths, "-b", str(bind), "--orchestrator", str(orchestrator)]
            words += ["--linger", str(self._plan.handover_s), *self._plan.words]
            node = Server("node", *words, token=self._plan.token, apart=True)
            try:
                node.wait_ready()
            except BaseException:
                node.process.kill()
                node.wait(_END_S)
                raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._become(UP, node.address)
        return node

    def _attend(self, node: Server, orchestrator: Address) -> str:
        """Wait until the node has ended, or should; return why."""
        heard = looked = started = time.monotonic()
        while not self._stop.wait(_LOOK_EVERY_S):
            status = node.process.poll()
            if status is not None:
                return f"ended with status {status}"
            now = time.monotonic()
            if now - looked > _ORPHAN_EVERY_S:
                looked = now
                if _is_reachable(orchestrator):
                    heard = now
            if now - heard > _ORPHAN_S:
                return f"was ended: its orchestrator {orchestrator} is gone"
            if now - started > _LONGEST_PAUSE_S:
                self._backoff.reset()
        return "is no longer wanted"

    def _failed(self, error: OSError | MadrpcError) -> float:
        message = error.message if isinstance(error, MadrpcError) else str(error)
        if message != self.detail:
            log.warning("no node on this host: %s", message)
        self.error = type(error).__name__
        self._become(FAILED, message)
        return self._backoff.next_delay()

    def _become(self, state: str, detail: str = "") -> None:
        if self.state == FAILED and state == STARTING:
            return  # tried again: the reason stands until it is known to be mended
        self.state, self.detail = state, detail


def first_reachable(addresses: Sequence[Address]) -> Address:
    """The first address where something listens.

    Raises:
        ConnectionFailed: there is none.
    """
    for address in addresses:
        if _is_reachable(address):
            return address
    tried = " nor ".join(map(str, addresses))
    raise ConnectionFailed(
        f"the orchestrator cannot be reached from {socket.gethostname()} at {tried}; open the port "
        "between the two, or name an orchestrator that all can reach: orchestrator='HOST:PORT'"
    )


def _is_reachable(address: Address) -> bool:
    try:
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _write(plan: NodePlan, folder: Path) -> list[str]:
    """The scripts as files under their own names; return the paths."""
    paths = []
    for index, script in enumerate(plan.scripts):
        path = folder / str(index) / script.name
        path.parent.mkdir()
        path.write_text(script.source, encoding="utf-8")
        paths.append(str(path))
    return paths
