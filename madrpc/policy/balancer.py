"""Which node a call goes to: round robin over the nodes that are up and have the method.

Cost of a pick: a microsecond, and a few more where the node in turn is passed over or the least
busy one is looked for, however many nodes there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum

from madrpc.errors import MadrpcError, NoNodeAvailable
from madrpc.policy.suggest import method_not_found

__all__ = ["Balance", "Balancer", "NodeRecord", "NodeState"]

#: So many nodes are compared for one call, the one in turn first.
_LOOK = 8
#: A node with more than this many calls in flight for each worker, and twice the average of the
#: others on top, is passed over.
_CROWDED = 4
#: Of calls that come together, a node gets as many in one turn as it has workers, and not more than
#: this: sent together they cost its orchestrator half, and each finds a worker all the same.
_LONGEST_BURST = 32


class Balance(Enum):
    """How calls are shared out."""

    ROUND_ROBIN = "round-robin"
    LEAST_BUSY = "least-busy"


class NodeState(Enum):
    """What the orchestrator believes of a node.

    ========== ================================ ================================================
    state      gets calls                       left for
    ========== ================================ ================================================
    CONNECTING no                               UP when it has said which methods it has, DOWN
                                                when it cannot be reached
    UP         yes                              SUSPECT, EJECTED, DRAINING, DOWN
    SUSPECT    while no other has the method    UP at the next good answer to a health probe,
                                                DOWN after three missed ones
    EJECTED    while no other has the method    PROBING when its term is over, DOWN
    PROBING    while no other has the method    UP when a job ran in its pool, EJECTED else, DOWN
    DRAINING   no                               UP when it no longer says so, DOWN
    DOWN       no                               UP (or EJECTED, in a term) when it is connected
                                                again and has answered
    LEAVING    no                               nothing: no source names it any more, and it is
                                                disconnected after the calls it has
    ========== ================================ ================================================

    DOWN follows from every state but LEAVING when the connection ends; LEAVING follows from all.
    """

    CONNECTING = "connecting"
    UP = "up"
    SUSPECT = "suspect"
    EJECTED = "ejected"
    PROBING = "probing"
    DRAINING = "draining"
    DOWN = "down"
    LEAVING = "leaving"


_TAKING = frozenset({NodeState.UP, NodeState.SUSPECT})
_IN_RESERVE = frozenset({NodeState.EJECTED, NodeState.PROBING})
_COMING = frozenset({NodeState.CONNECTING, NodeState.DOWN, NodeState.DRAINING})


class NodeRecord:
    """One node as the balancer sees it.

    Attributes:
        in_flight: calls it has not answered.
        workers: its worker processes.
    """

    __slots__ = ("address", "error", "in_flight", "methods", "state", "workers")

    def __init__(self, address: str) -> None:
        self.address = address
        self.state = NodeState.CONNECTING
        self.methods: frozenset[str] = frozenset()
        self.error = "not connected yet"
        self.in_flight = 0
        self.workers = 1

    def __repr__(self) -> str:
        return f"<NodeRecord {self.address} {self.state.value}, {len(self.methods)} methods>"


class Balancer:
    """Owner of the routing table.

    A node that goes down keeps its methods, so that a call to one of them is answered
    ``NoNodeAvailable``, which may be tried again, and not ``MethodNotFound``.

    Attributes:
        version: changes whenever the methods that can be called do.
        in_flight: calls that nodes have not answered.
    """

    def __init__(self, balance: Balance = Balance.ROUND_ROBIN) -> None:
        self.balance = balance
        self.version = 0
        self.in_flight = 0
        self._workers = 0  # of the nodes that take calls
        self._nodes: dict[str, NodeRecord] = {}
        self._owners: dict[str, int] = {}  # how many nodes that take calls have a method
        self._routes: dict[str, list[NodeRecord]] = {}  # made when first asked for
        self._turn: dict[str, int] = {}
        self._moves = 0
        self._in_burst = False
        self._burst_method = ""
        self._burst_node: NodeRecord | None = None
        self._burst_left = 0

    def __repr__(self) -> str:
        return f"<Balancer {len(self.up)} of {len(self._nodes)} nodes up>"

    @property
    def nodes(self) -> list[NodeRecord]:
        """Every known node."""
        return list(self._nodes.values())

    @property
    def up(self) -> list[NodeRecord]:
        """The nodes that take calls."""
        return [node for node in self._nodes.values() if node.state in _TAKING]

    @property
    def methods(self) -> list[str]:
        """Every method some node that is up can run."""
        return sorted(self._owners)

    def has(self, method: str) -> bool:
        """Whether a call of the method can be placed now."""
        return method in self._owners or bool(self._reserve(method))

    # ------------------------------------------------------------- nodes

    def add(self, address: str) -> NodeRecord:
        """Know a node from now on."""
        return self._nodes.setdefault(address, NodeRecord(address))

    def remove(self, node: NodeRecord) -> None:
        """No longer know a node."""
        self._change(node, NodeState.LEAVING, node.methods)
        if self._nodes.get(node.address) is node:
            del self._nodes[node.address]

    def node_up(self, node: NodeRecord, methods: Iterable[str], workers: int = 1) -> None:
        """The node answered and has these methods."""
        self._change(node, NodeState.UP, frozenset(methods), workers)
        node.error = ""

    def node_down(self, node: NodeRecord, error: str, state: NodeState = NodeState.DOWN) -> None:
        """The node takes no calls, or should get none while others can, and why."""
        if node.state is not NodeState.LEAVING:
            self._change(node, state, node.methods)
            node.error = error

    def may_spare(self, node: NodeRecord) -> bool:
        """Whether the node can be left alone: others have its methods, half of all stay in."""
        own = node.state in _TAKING
        out = sum(other.state in _IN_RESERVE for other in self._nodes.values())
        if 2 * (out + (node.state not in _IN_RESERVE)) > len(self._nodes):
            return False
        return all(self._owners.get(method, 0) > own for method in node.methods)

    def is_coming(self, method: str) -> list[NodeRecord]:
        """The nodes that could run the method once they are connected."""
        return [
            node
            for node in self._nodes.values()
            if node.state in _COMING and (method in node.methods or not node.methods)
        ]

    # ------------------------------------------------------------- calls

    def sent(self, node: NodeRecord) -> None:
        """A call went to the node."""
        node.in_flight += 1
        self.in_flight += 1

    def done(self, node: NodeRecord) -> None:
        """A call that went to the node is over there."""
        node.in_flight -= 1
        self.in_flight -= 1

    def pick(self, method: str, avoid: Collection[NodeRecord] = ()) -> NodeRecord:
        """The node for a call of the method, one outside ``avoid`` if there is one.

        Raises:
            MethodNotFound: no node has the method.
            NoNodeAvailable: the nodes that have it are not up.
        """
        if self._burst_left and method == self._burst_method and not avoid:
            node = self._burst_node
            if node is not None and self._suits(node, method):
                self._burst_left -= 1
                return node
        route = self._routes.get(method) or self._route(method)
        if avoid:
            # A turn of its own: if each retry took one of the first attempts', then of two nodes
            # the one that refuses would be first in turn for every call.
            turn = self._moves
            self._moves += 1
        else:
            turn = self._turn.get(method, 0)
            if method in self._owners:
                self._turn[method] = turn + 1
        node = route[turn % len(route)]
        if len(route) == 1:
            return node
        if self.balance is Balance.LEAST_BUSY:
            return self._least_busy(route, turn, avoid)
        if node.state is not NodeState.UP or node in avoid or self._is_crowded(node):
            node = self._first_good(route, turn, avoid)
        if self._in_burst and not avoid:
            self._burst_method, self._burst_node = method, node
            self._burst_left = min(node.workers, _LONGEST_BURST) - 1
        return node

    def begin_burst(self) -> None:
        """The calls picked from now on came together."""
        self._in_burst = True

    def end_burst(self) -> None:
        """The calls to come do not belong to those."""
        self._in_burst = False
        self._burst_left = 0

    def _suits(self, node: NodeRecord, method: str) -> bool:
        is_up = node.state is NodeState.UP and method in node.methods
        return is_up and not self._is_crowded(node)

    def _least_busy(
        self, route: list[NodeRecord], turn: int, avoid: Collection[NodeRecord]
    ) -> NodeRecord:
        size = len(route)
        best, best_load = route[turn % size], float("inf")
        for step in range(min(size, _LOOK)):
            node = route[(turn + step) % size]
            load = node.in_flight / node.workers
            if node.state is not NodeState.UP:
                load += 1e9
            if avoid and node in avoid:
                load += 1e12
            if load < best_load:
                best, best_load = node, load
        return best

    def _first_good(
        self, route: list[NodeRecord], turn: int, avoid: Collection[NodeRecord]
    ) -> NodeRecord:
        """The first one in turn with the least against it."""
        size = len(route)
        best, least = route[turn % size], 8
        for step in range(min(size, _LOOK)):
            node = route[(turn + step) % size]
            against = 4 * (node in avoid) + 2 * (node.state is not NodeState.UP)
            against += self._is_crowded(node)
            if not against:
                return node
            if against < least:
                best, least = node, against
        return best

    def _is_crowded(self, node: NodeRecord) -> bool:
        """Whether far more calls wait for each of its workers than at the other nodes."""
        own, workers = node.in_flight, node.workers
        if own <= _CROWDED * workers:
            return False
        others = max(1, self._workers - workers)
        return (own - _CROWDED * workers) * others > 2 * workers * (self.in_flight - own)

    # ------------------------------------------------------------ routes

    def _change(
        self, node: NodeRecord, state: NodeState, methods: frozenset[str], workers: int = 0
    ) -> None:
        """Take over a node's state, and keep the table in step; cheap if nothing is new."""
        workers = workers or node.workers
        was, now = node.state in _TAKING, state in _TAKING
        same = methods == node.methods and workers == node.workers
        if was and not (now and same):
            self._count(node, -1)
        node.state, node.methods, node.workers = state, methods, workers
        if now and not (was and same):
            self._count(node, 1)

    def _count(self, node: NodeRecord, step: int) -> None:
        self._workers += step * node.workers
        owners = self._owners
        for method in node.methods:
            count = owners.get(method, 0) + step
            self._routes.pop(method, None)
            if count:
                owners[method] = count
            else:
                del owners[method]
            if count == max(step, 0):
                self.version += 1
        for method in [method for method in node.methods if method not in owners]:
            self._turn.pop(method, None)

    def _route(self, method: str) -> list[NodeRecord]:
        if method not in self._owners:
            reserve = self._reserve(method)
            if reserve:
                return reserve
            raise self._unroutable(method)
        route = [node for node in self.up if method in node.methods]
        self._routes[method] = route
        return route

    def _reserve(self, method: str) -> list[NodeRecord]:
        """Nodes that are left alone, but better than none."""
        nodes = self._nodes.values()
        return [node for node in nodes if node.state in _IN_RESERVE and method in node.methods]

    def _unroutable(self, method: str) -> MadrpcError:
        owners = self.is_coming(method)
        if owners:
            reasons = "; ".join(f"{node.address} {node.error}" for node in owners[:3])
            return NoNodeAvailable(
                f"no node that could run {method!r} is up "
                f"({len(self.up)} of {len(self._nodes)} nodes up; {reasons})",
                {"nodes": len(self._nodes), "up": len(self.up)},
            )
        if not self._nodes:
            return NoNodeAvailable(
                "this orchestrator has no nodes; start it with -n HOST:PORT, or nodes with "
                "--orchestrator HOST:PORT"
            )
        return method_not_found(method, self._owners)
