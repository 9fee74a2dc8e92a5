"""Starts the parts of a deployment on a Dask cluster, waits for them, and ends them."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import distributed
from distributed.utils import get_ip

from madrpc.address import Address, parse_address
from madrpc.cluster import Server
from madrpc.dask.keeper import FAILED, STARTING, UP
from madrpc.dask.plan import NodePlan, OrchestratorPlan, host_of, is_loopback
from madrpc.dask.plugins import Head, NodePlugin, node_states, orchestrator_state, take_down
from madrpc.errors import ERRORS, ConnectionFailed, InternalError, InvalidRequest, NoNodeAvailable
from madrpc.version import __version__

__all__ = ["Launch", "await_nodes", "check_cluster"]

log = logging.getLogger(__name__)

_POLL_S = 0.05
#: Dask writes a line to each worker's log for each time it is asked, so it is asked less and less.
_LONGEST_POLL_S = 1.0
_STOP_S = 35.0
#: A node registers within a moment of being ready; how long that moment may be.
_REGISTER_S = 15.0
#: For ``eval``, which pickles by its name alone and so runs where madrpc is not installed.
_VERSION = "__import__('madrpc').__version__"
_SHOWN = 3

#: Per Dask worker: the state of its keeper, the detail, and the name of its last error.
States = Mapping[str, tuple[str, str, str]]


class Launch:
    """What one deployment has started, and how to end it.

    Args:
        dask: the cluster; what is started ends with this client at the latest.
        token: what callers have to show; None is no token.
    """

    def __init__(self, dask: distributed.Client, token: str | None) -> None:
        self.dask = dask
        self.name = f"madrpc-{secrets.token_hex(8)}"
        self.token = token
        self.scheduler: str = dask.scheduler.address
        self.url: str | None = None
        self._server: Server | None = None

    def __repr__(self) -> str:
        return f"<Launch {self.name} on {self.scheduler}>"

    def head(self, words: tuple[str, ...] | None, port: int = 0) -> list[Address]:
        """Begin the deployment on the scheduler, with an orchestrator there if it has words.

        Returns:
            Where that is, the likeliest first for this client.

        Raises:
            MadrpcError: it did not start.
        """
        plan = OrchestratorPlan(self.name, self.dask.id, words, port, self.token)
        self.dask.register_plugin(Head(plan))
        if words is None:
            return []
        where, url = self.dask.run_on_scheduler(orchestrator_state, self.name)
        self.url = url
        own = parse_address(where)
        seen = Address(host_of(self.scheduler), own.port)
        return list(dict.fromkeys([seen, own]))

    def local_orchestrator(self, words: tuple[str, ...], port: int) -> Address:
        """Start an orchestrator on this machine; return where the workers may reach it."""
        host = host_of(self.scheduler)
        if not is_loopback(host):
            host = str(get_ip(host))
        plan = OrchestratorPlan(self.name, self.dask.id, words, port, self.token)
        command = plan.command(f"tcp://{Address(host, 0)}")
        self._server = Server(*command, token=self.token, apart=True)
        own = parse_address(self._server.wait_ready())
        self.url = self._server.url
        return Address(host, own.port)

    def nodes(self, plan: NodePlan, timeout_s: float) -> int:
        """Have every host run its node; return how many do once all have tried.

        Raises:
            MadrpcError: none does; says why.
        """
        self.dask.register_plugin(NodePlugin(plan))
        give_up = time.monotonic() + timeout_s
        pause = _POLL_S
        while True:
            states = self.states()
            kinds = [state for state, _, _ in states.values()]
            late = time.monotonic() > give_up
            if late or (STARTING not in kinds and (UP in kinds or FAILED in kinds)):
                break
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_POLL_S)
        failed = {worker: row for worker, row in states.items() if row[0] == FAILED}
        if UP not in kinds:
            raise _failure(failed, timeout_s)
        for worker, (_, detail, _) in failed.items():
            log.warning("no node at %s: %s", worker, detail)
        return kinds.count(UP)

    def states(self) -> States:
        """The keepers of all workers that answer."""
        states: States = self.dask.run(node_states, self.name, on_error="ignore")
        return states

    def end(self) -> None:
        """End the nodes and the orchestrator. A cluster that is gone has taken them along."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(_STOP_S)
        if self.dask.status == "running":
            try:
                self.dask.run_on_scheduler(take_down, self.name)
            except (OSError, ValueError, RuntimeError) as error:
                log.info("the Dask cluster of %s is gone: %s", self.name, error)


def _failure(failed: States, timeout_s: float) -> Exception:
    """Why no node runs."""
    if not failed:
        return InternalError(f"no Dask worker has started its node within {timeout_s:g} s")
    worker, (_, detail, error) = next(iter(failed.items()))
    kind = ERRORS.get(error, InternalError)
    return kind(f"no node could be started; Dask worker {worker} says: {detail}")


def await_nodes(count: int, up: Callable[[], int]) -> None:
    """Wait until the orchestrator has as many nodes as were started, or nearly.

    Args:
        up: asks the orchestrator how many it has.

    Raises:
        NoNodeAvailable: it has none.
    """
    give_up = time.monotonic() + _REGISTER_S
    while (known := up()) < count:
        if time.monotonic() > give_up:
            if known:
                log.warning("%d of %d nodes have registered so far", known, count)
                return
            raise NoNodeAvailable(
                f"{count} nodes run and none has registered within {_REGISTER_S:g} s: the "
                "orchestrator cannot connect to them; let its machine reach those of the workers"
            )
        time.sleep(_POLL_S)


def check_cluster(dask: Any) -> None:
    """See that a cluster can run a deployment.

    Raises:
        TypeError: it is not a blocking client of one.
        ConnectionFailed: it is not connected.
        NoNodeAvailable: it has no workers.
        InvalidRequest: madrpc is missing somewhere, or is another version.
    """
    if not isinstance(dask, distributed.Client):
        raise TypeError(f"deploy needs a dask.distributed.Client, not {type(dask).__name__}")
    if dask.asynchronous:
        raise TypeError("deploy blocks; give it a Dask client made without asynchronous=True")
    if dask.status != "running":
        raise ConnectionFailed(f"the Dask client is {dask.status}; connect a new one")
    try:
        scheduler = dask.run_on_scheduler(eval, _VERSION)
    except Exception as error:
        scheduler = error
    workers = dask.run(eval, _VERSION, on_error="return")
    if not workers:
        raise NoNodeAvailable(
            "the Dask cluster has no workers yet; wait for one with client.wait_for_workers(1)"
        )
    found = {f"worker {address}": version for address, version in workers.items()}
    _check_versions({"the scheduler": scheduler, **found})


def _check_versions(found: Mapping[str, Any]) -> None:
    """Dask sends code by its name, so both ends must have the same."""
    wrong = {where: what for where, what in found.items() if what != __version__}
    if not wrong:
        return
    names = ", ".join(list(wrong)[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    what = next(iter(wrong.values()))
    if isinstance(what, ModuleNotFoundError):
        problem = "has no madrpc"
    elif isinstance(what, Exception):
        problem = f"cannot load madrpc ({what})"
    else:
        problem = f"has madrpc {what}"
    raise InvalidRequest(
        f"{names}{more} {problem}, and this client has {__version__}; install "
        f"madrpc[dask]=={__version__} in every environment of the Dask cluster"
    )
