"""Asks a server over and over, in a thread of its own, whatever becomes of the connection."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from madrpc.client.client import Client
from madrpc.errors import MadrpcError
from madrpc.policy.readings import Reading

__all__ = ["Answered", "Details", "Lost", "Ordered", "Source", "ask", "details_of"]

#: From so many nodes on, their figures are asked for this often; the server's own as ever.
MANY_NODES = 50
_MANY_NODES_S = 1.0
_CLOSING_S = 2.0

_BRIEF = {"nodes": "brief", "durations": True}
_now = time.monotonic


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class Lost:
    """The server did not answer; it is asked again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Details:
    """All that a node says of itself, or why nothing is known. ``at`` is when, in seconds."""

    address: str
    at: float
    figures: dict[str, Any] | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an order to drain; ``error`` is empty if the node took it."""

    address: str
    error: str = ""


Event = Answered | Lost | Details | Ordered


class Source:
    """The thread that asks.

    Args:
        deliver: takes what happens, in this thread; must not wait.
    """

    def __init__(self, client: Client, interval_s: float, deliver: Callable[[Event], None]) -> None:
        self._client = client
        self._interval_s = interval_s
        self._deliver = deliver
        self._orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._watched: str | None = None
        self._last: Reading | None = None
        self._nodes_at = 0.0
        self._thread = threading.Thread(target=self._run, name="madrpc-top", daemon=True)

    def start(self, first: Reading | None = None) -> None:
        """Begin to ask; ``first`` is a reading that was made before."""
        self._last = first
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the client is closed, so that it waits for nothing."""
        self._orders.put(None)
        self._client.close()
        self._thread.join(_CLOSING_S)

    def watch(self, address: str | None) -> None:
        """Deliver the details of this node too, from now on; None ends that."""
        self._watched = address

    def drain(self, address: str) -> None:
        """Tell this node to drain."""
        self._orders.put(address)

    # ----------------------------------------------------------- private

    def _run(self) -> None:
        due = _now()
        while True:
            due = max(due + self._interval_s, _now())
            try:
                order = self._orders.get(timeout=max(0.0, due - _now()))
            except queue.Empty:
                self._ask()
                continue
            if order is None:
                return
            self._deliver(self._give(order))

    def _ask(self) -> None:
        try:
            reading = ask(self._client, self._last, with_nodes=self._nodes_due())
        except MadrpcError as error:
            self._last = None
            self._deliver(Lost(error.message))
            return
        self._last = reading
        self._deliver(Answered(reading))
        address = self._watched
        if address is not None:
            self._deliver(details_of(self._client, reading, address))

    def _nodes_due(self) -> bool:
        """Many nodes are a burden to their orchestrator, and nobody reads them so fast."""
        last = self._last
        has_many = last is not None and len(last.answer.get("nodes", ())) >= MANY_NODES
        if has_many and _now() - self._nodes_at < _MANY_NODES_S:
            return False
        self._nodes_at = _now()
        return True

    def _give(self, address: str) -> Ordered:
        is_node = self._last is not None and self._last.answer.get("role") == "node"
        try:
            self._client.call("_drain", None if is_node else {"node": address})
        except MadrpcError as error:
            return Ordered(address, error.message)
        return Ordered(address)


def ask(client: Client, last: Reading | None = None, *, with_nodes: bool = True) -> Reading:
    """Ask once.

    Args:
        last: the reading before, for what seldom changes and need not be asked for again.
        with_nodes: whether to ask for the figures of nodes; those of ``last`` stand in.

    Raises:
        MadrpcError: there is no answer.
    """
    if with_nodes or last is None:
        answer = client.call("_metrics", _BRIEF)
    else:
        answer = client.call("_metrics", {**_BRIEF, "nodes": False})
        answer = _with_nodes_of(answer, last.answer)
    at = _now()
    if last is not None and last.answer.get("revision") == answer.get("revision"):
        return Reading(at, answer, last.about)
    return Reading(at, answer, _about(client, answer))


def _with_nodes_of(answer: dict[str, Any], before: Any) -> dict[str, Any]:
    """The answer without figures of nodes, filled up with those of the answer before."""
    return {**answer, **{key: before[key] for key in ("nodes", "queued", "workers")}}


def _about(client: Client, answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("role") != "node":
        return {"methods": client.methods()}
    info = client.info()
    return {key: info[key] for key in ("methods", "address", "version", "scripts")}


def details_of(client: Client, reading: Reading, address: str) -> Details:
    """Ask for all that one node says of itself."""
    try:
        if reading.answer.get("role") == "node":
            return Details(address, _now(), client.metrics())
        answer = client.call("_metrics", {"nodes": [address]})
    except MadrpcError as error:
        return Details(address, _now(), None, error.message)
    for row in answer["nodes"]:
        if row["address"] == address and row["metrics"] is not None:
            return Details(address, _now(), row["metrics"])
    return Details(address, _now(), None, "the node does not answer")
