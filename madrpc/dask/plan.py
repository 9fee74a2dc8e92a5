"""What is deployed, as values that travel from the client to the scheduler and the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from distributed.comm.addressing import get_address_host

from madrpc.address import Address
from madrpc.engine.interface import Script
from madrpc.errors import InvalidArguments

__all__ = ["NodePlan", "OrchestratorPlan", "bind_host", "host_of", "is_loopback", "node_words"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class NodePlan:
    """The node that every host of the cluster runs.

    Attributes:
        name: of the deployment; no other has it.
        scripts: their names and contents.
        orchestrators: addresses of the orchestrator, the likeliest first; one is used.
        port: the orchestrator's if it runs where Dask's scheduler does, since each worker knows a
            way to that machine.
        words: further options of ``madrpc node``.
        drain_s: seconds that calls have to finish when a node ends.
        handover_s: seconds that a node outlives its Dask worker, so that another can take over.
        token: what callers have to show.
    """

    name: str
    scripts: tuple[Script, ...]
    orchestrators: tuple[Address, ...]
    port: int | None
    words: tuple[str, ...]
    drain_s: float
    handover_s: float
    token: str | None = field(repr=False)

    def addresses(self, scheduler: str) -> list[Address]:
        """Where a worker that reaches the scheduler at an address may find the orchestrator."""
        near = [] if self.port is None else [Address(host_of(scheduler), self.port)]
        return list(dict.fromkeys([*near, *self.orchestrators]))


@dataclass(frozen=True)
class OrchestratorPlan:
    """The orchestrator of a deployment.

    Attributes:
        name: of the deployment.
        owner: id of the Dask client whose end ends the deployment.
        words: options of ``madrpc orchestrator``; None if somebody else runs it.
        port: to listen on; 0 takes a free one.
        token: what callers have to show.
    """

    name: str
    owner: str
    words: tuple[str, ...] | None
    port: int
    token: str | None = field(repr=False)

    def command(self, scheduler: str) -> list[str]:
        """Command for the machine on which the scheduler has an address."""
        bind = Address(bind_host(host_of(scheduler)), self.port)
        return ["orchestrator", "-b", str(bind), *(self.words or ())]


def host_of(address: str) -> str:
    """The machine in one of Dask's addresses, such as ``tcp://10.0.0.5:8786``."""
    if address.startswith("inproc://"):
        return "127.0.0.1"
    host: str = get_address_host(address)
    return host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    return host in _LOOPBACK


def bind_host(host: str) -> str:
    """What to bind to be reached at a host: nothing else where that is this machine only."""
    if is_loopback(host):
        return host
    return "::" if ":" in host else "0.0.0.0"


def node_words(options: Mapping[str, object], flags: Sequence[str] = ()) -> tuple[str, ...]:
    """Options of ``madrpc node`` from keyword arguments; None leaves the node's default.

    Raises:
        InvalidArguments: a flag is one that the deployment itself sets.
    """
    for flag in flags:
        if flag.partition("=")[0] in _OWN_FLAGS:
            raise InvalidArguments(
                f"flags has {flag}, which the deployment sets itself; leave it out"
            )
    words = [
        word
        for name, value in options.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    return (*words, *flags)


_OWN_FLAGS = frozenset({
    "-s", "--script", "-b", "--bind", "--orchestrator", "--advertise", "--auth-token-file",
    "--watch", "--watch-stdin", "--linger",
})  # fmt: skip
