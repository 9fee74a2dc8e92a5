"""Which node a call goes to: round robin over the nodes that are up and have the method."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from enum import Enum

from madrpc.errors import MadrpcError, MethodNotFound, NoNodeAvailable

__all__ = ["Balancer", "NodeRecord", "NodeState", "method_not_found"]


class NodeState(Enum):
    """What the orchestrator believes of a node.

    CONNECTING leaves to UP when the node has said which methods it has, or to DOWN when it cannot
    be reached. UP leaves to DRAINING when the node says so and to DOWN when its connection ends.
    DOWN and DRAINING leave to UP when a new connection has been answered.
    """

    CONNECTING = "connecting"
    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class NodeRecord:
    """One node as the balancer sees it."""

    __slots__ = ("address", "error", "methods", "state")

    def __init__(self, address: str) -> None:
        self.address = address
        self.state = NodeState.CONNECTING
        self.methods: frozenset[str] = frozenset()
        self.error = "not connected yet"

    def __repr__(self) -> str:
        return f"<NodeRecord {self.address} {self.state.value}, {len(self.methods)} methods>"


class Balancer:
    """Owner of the routing table.

    A node that goes down keeps its methods, so that a call to one of them is answered
    ``NoNodeAvailable``, which may be tried again, and not ``MethodNotFound``.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, NodeRecord] = {}
        self._routes: dict[str, list[NodeRecord]] = {}
        self._turn: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Balancer {len(self.up)} of {len(self._nodes)} nodes up>"

    @property
    def nodes(self) -> list[NodeRecord]:
        """Every known node."""
        return list(self._nodes.values())

    @property
    def up(self) -> list[NodeRecord]:
        """The nodes that take calls."""
        return [node for node in self._nodes.values() if node.state is NodeState.UP]

    @property
    def methods(self) -> list[str]:
        """Every method some node that is up can run."""
        return sorted(self._routes)

    def add(self, address: str) -> NodeRecord:
        """Know a node from now on."""
        return self._nodes.setdefault(address, NodeRecord(address))

    def node_up(self, node: NodeRecord, methods: Iterable[str]) -> None:
        """The node answered and has these methods."""
        node.methods = frozenset(methods)
        node.state = NodeState.UP
        node.error = ""
        self._rebuild()

    def node_down(self, node: NodeRecord, error: str, state: NodeState = NodeState.DOWN) -> None:
        """The node takes no calls, and why."""
        node.state = state
        node.error = error
        self._rebuild()

    def pick(self, method: str, avoid: Collection[NodeRecord] = ()) -> NodeRecord:
        """The next node in turn for the method, one outside ``avoid`` if there is one.

        Raises:
            MethodNotFound: no node has the method.
            NoNodeAvailable: the nodes that have it are not up.
        """
        route = self._routes.get(method)
        if route is None:
            raise self._unroutable(method)
        turn = self._turn.get(method, 0)
        self._turn[method] = turn + 1
        size = len(route)
        node = route[turn % size]
        if avoid and node in avoid:
            others = (route[(turn + step) % size] for step in range(1, size))
            return next((other for other in others if other not in avoid), node)
        return node

    def _rebuild(self) -> None:
        routes: dict[str, list[NodeRecord]] = {}
        for node in self.up:
            for method in node.methods:
                routes.setdefault(method, []).append(node)
        self._routes = routes
        self._turn = {name: turn for name, turn in self._turn.items() if name in routes}

    def _unroutable(self, method: str) -> MadrpcError:
        waiting = [node for node in self._nodes.values() if node.state is not NodeState.UP]
        owners = [node for node in waiting if method in node.methods or not node.methods]
        if owners:
            reasons = "; ".join(f"{node.address} {node.error}" for node in owners[:3])
            return NoNodeAvailable(
                f"no node that could run {method!r} is up "
                f"({len(self.up)} of {len(self._nodes)} nodes up; {reasons})",
                {"nodes": len(self._nodes), "up": len(self.up)},
            )
        if not self._nodes:
            return NoNodeAvailable("this orchestrator has no nodes; start it with -n HOST:PORT")
        return method_not_found(method, self._routes)


def _closest_names(name: str, names: Iterable[str]) -> list[str]:
    """Up to three of ``names`` that look like ``name``, the closest first."""
    return difflib.get_close_matches(name[:64], list(names)[:2000], n=3, cutoff=0.6)


def method_not_found(method: str, names: Iterable[str]) -> MethodNotFound:
    """The error for an unknown method, with the names it may have been meant to be."""
    similar = _closest_names(method, names)
    hint = (
        f"did you mean {similar[0]!r}?" if similar else "'madrpc methods ADDR' lists what is there"
    )
    return MethodNotFound(f"no function is called {method!r}; {hint}", {"similar": similar})
