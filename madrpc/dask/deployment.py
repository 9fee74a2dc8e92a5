"""A service on a Dask cluster: deployed, called and taken down through one client."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import distributed

from madrpc.address import Address, parse_address
from madrpc.client.client import Client
from madrpc.config import EngineLimits
from madrpc.dask.keeper import UP, first_reachable
from madrpc.dask.launch import Launch, await_nodes, check_cluster
from madrpc.dask.plan import NodePlan, node_words
from madrpc.engine.interface import Script

__all__ = ["Deployment", "deploy"]

_TOKEN_BYTES = 32
_PLACES = ("scheduler", "client")


class Deployment(Client):
    """A client of a service on a Dask cluster; ``close`` takes the service down too.

    Made by ``deploy``.

    Attributes:
        address: where the orchestrator is, for further clients.
        url: where it answers HTTP, if it does.
        token: what further clients have to show.
    """

    def __init__(self, launch: Launch, address: Address, settings: Mapping[str, Any]) -> None:
        super().__init__(str(address), token=launch.token, **settings)
        self.address = str(address)
        self.url = launch.url
        self.token = launch.token
        self._launch = launch
        self._owner_pid = os.getpid()

    def __repr__(self) -> str:
        state = "closed" if self._closed else self.address
        return f"<Deployment {state} on Dask {self._launch.scheduler}>"

    def hosts(self) -> list[str]:
        """Addresses of the Dask workers that run their host's node now."""
        states = self._launch.states()
        return sorted(worker for worker, (state, _, _) in states.items() if state == UP)

    def close(self) -> None:
        """End the calls, the nodes and the orchestrator, and wait until they are gone.

        Does nothing the second time; in a forked child it closes that child's connections only.
        """
        if self._closed:
            return
        super().close()
        if os.getpid() == self._owner_pid:
            self._launch.end()


def deploy(
    client: distributed.Client,
    scripts: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    orchestrator: str = "scheduler",
    port: int = 0,
    http: str | None = None,
    balance: str = "round-robin",
    token: str | None = None,
    pool_size: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    queue_size: int | None = None,
    isolation: str | None = None,
    sandbox: str | None = None,
    drain_timeout: float = 30.0,
    handover: float = 10.0,
    flags: Sequence[str] = (),
    log_level: str = "warning",
    ready_timeout: float = 60.0,
    **settings: Any,
) -> Deployment:
    """Run scripts on every host of a Dask cluster; return a client of them, ready for calls.

    Each host, however many Dask workers it has, runs one node, in a process of its own. Workers
    that join later bring theirs, and a node goes when its host's last worker does.

    Args:
        client: a blocking client of the cluster. The service ends with it at the latest.
        scripts: path of a script on this machine, or several; their contents are sent.
        orchestrator: where it runs: ``scheduler`` (the machine of Dask's scheduler), ``client``
            (this machine, which the workers must then be able to connect to), or the
            ``HOST:PORT`` of one that runs already.
        port: what the orchestrator listens on; 0 takes a free one.
        http: address on which the orchestrator answers HTTP too.
        balance: how calls are shared out, ``round-robin`` or ``least-busy``.
        token: what callers have to show. By default a random one, known to the parts of this
            deployment only; with an orchestrator that runs already, the one that it wants.
        pool_size: worker processes of each node; by default two to each processor that the Dask
            worker may use.
        time_limit: seconds one call may run.
        memory_limit: MiB of JavaScript heap that one call may use.
        queue_size: calls that may wait on each node.
        isolation: ``auto``, ``context`` or ``snapshot``.
        sandbox: ``auto``, ``off`` or ``require``.
        drain_timeout: seconds that accepted calls have when a server ends.
        handover: seconds that a node outlives its Dask worker, so that a successor on the host
            can take over before it goes.
        flags: further options of ``madrpc node``, as on its command line.
        log_level: least important message the servers write to the logs of Dask's processes.
        ready_timeout: seconds to wait for the nodes.
        settings: keyword arguments of ``Client``: timeout, max_connections, max_frame.

    Raises:
        ScriptError: a script cannot be loaded; nothing has been started.
        NoNodeAvailable: the cluster has no workers.
        InvalidRequest: a worker or the scheduler has no madrpc, or another version.
        ConnectionFailed: the orchestrator cannot be reached.
        MadrpcError: a node did not start on any host.
    """
    paths = [scripts] if isinstance(scripts, (str, os.PathLike)) else scripts
    loaded = _load([os.fspath(path) for path in paths], flags)
    common = {
        "drain_timeout": drain_timeout,
        "log_level": log_level,
        "max_frame": settings.get("max_frame"),
    }
    limits = {
        "pool_size": pool_size,
        "time_limit": time_limit,
        "memory_limit": memory_limit,
        "queue_size": queue_size,
        "isolation": isolation,
        "sandbox": sandbox,
    }
    node = node_words({**limits, **common}, flags)
    servers = node_words({"balance": balance, "http": http, **common})
    there = None if orchestrator in _PLACES else parse_address(orchestrator)
    check_cluster(client)
    if token is None and there is None:
        token = secrets.token_hex(_TOKEN_BYTES)
    launch = Launch(client, token)
    try:
        where = _orchestrate(launch, there or orchestrator, servers, port)
        near = where[0].port if orchestrator == "scheduler" else None
        plan = NodePlan(
            launch.name, loaded, tuple(where), near, node, drain_timeout, handover, token
        )
        count = launch.nodes(plan, ready_timeout)
        return _ready(Deployment(launch, first_reachable(where), settings), count)
    except BaseException:
        launch.end()
        raise


def _orchestrate(
    launch: Launch, place: str | Address, words: tuple[str, ...], port: int
) -> list[Address]:
    """Begin the deployment, and its orchestrator where there is none; return its addresses."""
    if place == "scheduler":
        return launch.head(words, port)
    launch.head(None)
    return [place if isinstance(place, Address) else launch.local_orchestrator(words, port)]


def _ready(deployment: Deployment, count: int) -> Deployment:
    """The deployment, once its orchestrator knows the nodes."""

    def up() -> int:
        return sum(node["state"] == "up" for node in deployment.info()["nodes"])

    try:
        await_nodes(count, up)
    except BaseException:
        deployment.close()
        raise
    return deployment


def _load(paths: Iterable[str], flags: Sequence[str]) -> tuple[Script, ...]:
    """Read the scripts and see that they load, before anything is started.

    Raises:
        ScriptError: one does not.
    """
    scripts = tuple(Script.read(path) for path in paths)
    if not any(flag.startswith("--engine") for flag in flags):
        from madrpc.engine.quickjs import QuickJSEngine

        QuickJSEngine(scripts, EngineLimits())
    return scripts
