"""What runs inside Dask: a plug-in on each worker, and one on the scheduler."""

from __future__ import annotations

import logging
from typing import Any

from distributed import Scheduler, SchedulerPlugin, Status, Worker, WorkerPlugin

from madrpc.address import Address, parse_address
from madrpc.cluster import Server
from madrpc.dask.keeper import STARTING, Keeper
from madrpc.dask.plan import NodePlan, OrchestratorPlan, host_of
from madrpc.errors import MadrpcError

__all__ = ["Head", "NodePlugin", "node_states", "orchestrator_state", "take_down"]

log = logging.getLogger(__name__)

_STOP_S = 35.0


class NodePlugin(WorkerPlugin):
    """Gives each Dask worker a keeper; those of one host agree on who runs its node.

    Dask sets it up on workers that join later too, and again on those that are restarted.
    """

    def __init__(self, plan: NodePlan) -> None:
        self.plan = plan
        self.name = plan.name
        self.keeper: Keeper | None = None

    def __repr__(self) -> str:
        return f"<NodePlugin {self.name} {self.keeper}>"

    def setup(self, worker: Worker) -> None:
        """Begin; returns at once."""
        self.keeper = Keeper(self.plan, self.plan.addresses(worker.scheduler.address))
        self.keeper.start()

    async def teardown(self, worker: Worker) -> None:
        """End the node and give its calls a while, or hand the host over where the worker ends."""
        if self.keeper is None:
            return
        if worker.status in (Status.closing, Status.closing_gracefully):
            self.keeper.leave()
        else:
            await worker.loop.run_in_executor(None, self.keeper.close)


class Head(SchedulerPlugin):
    """Owner of a deployment on the scheduler: runs the orchestrator there, if it is to run there.

    It ends the deployment when the Dask client that asked for it is gone, closed or not.
    """

    def __init__(self, plan: OrchestratorPlan) -> None:
        self.plan = plan
        self.name = plan.name
        self._server: Server | None = None
        self._is_down = False

    def __repr__(self) -> str:
        return f"<Head {self.name} {self._server}>"

    async def start(self, scheduler: Scheduler) -> None:
        """Start the orchestrator.

        Raises:
            InternalError: it did not get ready.
        """
        if self.plan.words is not None:
            command = self.plan.command(scheduler.address)
            self._server = Server(*command, token=self.plan.token, apart=True)
            try:
                await scheduler.loop.run_in_executor(None, self._server.wait_ready)
            except MadrpcError:
                await self.close()
                raise

    def where(self, scheduler: Scheduler) -> tuple[str, str | None]:
        """The orchestrator's address as the scheduler's machine is called, and its URL."""
        if self._server is None:
            return "", None
        port = parse_address(self._server.address).port
        return str(Address(host_of(scheduler.address), port)), self._server.url

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Dask has lost a client."""
        if client == self.plan.owner:
            scheduler.loop.add_callback(self.take_down, scheduler)

    async def take_down(self, scheduler: Scheduler) -> None:
        """End everything of this deployment; returns when the nodes are gone, or nearly."""
        if self._is_down:
            return
        self._is_down = True
        scheduler.plugins.pop(self.name, None)
        # The orchestrator goes first: with it go the calls that nodes would wait for.
        await self._stop(scheduler)
        if self.name in scheduler.worker_plugins:
            await scheduler.unregister_worker_plugin(None, name=self.name)

    async def close(self) -> None:
        """The scheduler ends."""
        if self._server is not None:
            self._server.terminate()
            self._server.let_go()

    async def _stop(self, scheduler: Scheduler) -> None:
        if self._server is not None:
            self._server.terminate()
            await scheduler.loop.run_in_executor(None, self._server.wait, _STOP_S)


def orchestrator_state(name: str, dask_scheduler: Any = None) -> tuple[str, str | None]:
    """Run on the scheduler: where the orchestrator of a deployment is, and its URL."""
    where: tuple[str, str | None] = dask_scheduler.plugins[name].where(dask_scheduler)
    return where


async def take_down(name: str, dask_scheduler: Any = None) -> None:
    """Run on the scheduler: end a deployment, if it has not ended."""
    head = dask_scheduler.plugins.get(name)
    if head is not None:
        await head.take_down(dask_scheduler)


def node_states(name: str, dask_worker: Any = None) -> tuple[str, str, str]:
    """Run on a worker: its keeper's state, the detail, and the name of the last error."""
    plugin = dask_worker.plugins.get(name)
    keeper = plugin.keeper if plugin is not None else None
    return (STARTING, "", "") if keeper is None else (keeper.state, keeper.detail, keeper.error)
