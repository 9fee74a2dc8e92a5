"""Deployments to all nodes: every node loads the scripts, and only then does any serve them.

::

    stage on every node --one fails--> discard on all, nothing has changed
          |
          +-- all are ready --> switch on all, or on the canary's share --> their functions known
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from madrpc.errors import (
    ConnectionFailed,
    InvalidRequest,
    MadrpcError,
    NoNodeAvailable,
    Overloaded,
)
from madrpc.links.upstream import Upstream
from madrpc.orchestrator.nodes import Nodes
from madrpc.policy.balancer import NodeState
from madrpc.policy.rollout import Order, canary_nodes, nodes_to_roll_back, parse_order

__all__ = ["Rollout"]

log = logging.getLogger(__name__)

_now = time.monotonic
#: A node loads the scripts in all its workers meanwhile.
_STAGE_S = 90.0
_SWITCH_S = 30.0
_LEARN_S = 5.0
_POLL_S = 0.02
_TAKES_CALLS = (NodeState.UP, NodeState.SUSPECT, NodeState.EJECTED, NodeState.PROBING)

Answers = dict[str, dict[str, Any]]


class Rollout:
    """``_deploy`` of an orchestrator; one at a time."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._busy = BoundedSemaphore(1)

    def deploy(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Bring scripts to the nodes, or the release before back.

        Args:
            args: ``scripts``, a list of maps of ``name`` and ``source``, and ``canary``, the share
                of the nodes that get them; or ``rollback`` true.

        Returns:
            ``id`` and ``scripts`` of the release, ``switched`` with the addresses of the nodes that
            serve it now, ``staged`` with the number of nodes that loaded it, and ``failed`` with
            what became of nodes that did not switch, by address.

        Raises:
            ScriptError: a node could not load the scripts; no node has changed.
            NoNodeAvailable: no node is connected.
            Overloaded: another deployment is under way.
            MadrpcError: what a node answered; no node has changed.
        """
        if "do" in args:
            raise InvalidRequest("_deploy: do is for a node; an orchestrator takes all its steps")
        order = parse_order(args)
        if not self._busy.acquire(blocking=False):
            raise Overloaded("another deployment is under way; try again", {"retry_after_ms": 1000})
        try:
            return self._roll_back() if order.is_rollback else self._deploy(order, args["scripts"])
        finally:
            self._busy.release()

    def _deploy(self, order: Order, scripts: Any) -> dict[str, Any]:
        staged = self._stage(scripts)
        release = next(iter(staged.values()))
        try:
            chosen = self._chosen(staged, release["id"], order.canary)
        except MadrpcError:
            self._discard(staged, release["id"])
            raise
        self._discard(staged.keys() - chosen, release["id"])
        switch = {"do": "switch", "release": release["id"]}
        return self._result(len(staged), *self._ask(chosen, switch, _SWITCH_S))

    def _chosen(self, staged: Answers, id: str, canary: float | None) -> list[str]:
        if canary is None:
            return list(staged)
        return canary_nodes({address: self._running(address) for address in staged}, id, canary)

    def _roll_back(self) -> dict[str, Any]:
        infos = self._nodes.ask_all("_info", _LEARN_S)
        chosen = nodes_to_roll_back(
            {address: info.get("release") or {} for address, info in infos.items()}
        )
        return self._result(len(chosen), *self._ask(chosen, {"rollback": True}, _STAGE_S))

    def _stage(self, scripts: Any) -> Answers:
        """Have every node load the scripts.

        Raises:
            MadrpcError: one could not, and none keeps them.
        """
        addresses = [up.record.address for up in self._connected()]
        if not addresses:
            raise NoNodeAvailable("no node is connected that could take the scripts")
        staged, failed = self._ask(addresses, {"do": "stage", "scripts": scripts}, _STAGE_S)
        for address, error in failed.items():
            self._discard(staged, next((answer["id"] for answer in staged.values()), ""))
            raise type(error)(f"node {address}: {error.message}", error.data)
        return staged

    def _discard(self, addresses: Iterable[str], id: str) -> None:
        self._ask(list(addresses), {"do": "discard", "release": id}, _SWITCH_S)

    def _result(
        self, staged: int, switched: Answers, failed: Mapping[str, MadrpcError]
    ) -> dict[str, Any]:
        for address, error in failed.items():
            log.error("node %s did not switch: %s", address, error.message)
        self._learn(switched)
        release = next(iter(switched.values()), {})
        return {
            "id": release.get("id"),
            "scripts": release.get("scripts", []),
            "methods": release.get("methods", []),
            "staged": staged,
            "switched": sorted(switched),
            "failed": {address: error.to_wire() for address, error in failed.items()},
        }

    def _learn(self, switched: Answers) -> None:
        """Wait until it is known which functions the nodes have now."""
        give_up = _now() + _LEARN_S
        for address, answer in switched.items():
            upstream = self._nodes.find(address)
            while upstream is not None and upstream.link and self._running(address) != answer["id"]:
                if _now() > give_up:
                    return
                self._nodes.refresh(_LEARN_S)
                gevent.sleep(_POLL_S)

    def _running(self, address: str) -> str:
        upstream = self._nodes.find(address)
        release = upstream.info.get("release") if upstream is not None else None
        return str(release.get("id")) if isinstance(release, dict) else ""

    def _connected(self) -> list[Upstream]:
        return [
            up
            for up in self._nodes.upstreams.values()
            if up.link is not None and up.record.state in _TAKES_CALLS
        ]

    def _ask(
        self, addresses: list[str], args: dict[str, Any], timeout_s: float
    ) -> tuple[Answers, dict[str, MadrpcError]]:
        """Ask nodes side by side; return their answers, and the errors of the others."""
        found = {address: self._nodes.find(address) for address in addresses}
        asked = {
            address: gevent.spawn(_outcome, lambda up=up: up.ask("_deploy", timeout_s, args))
            for address, up in found.items()
            if up is not None
        }
        gevent.joinall(list(asked.values()))
        answers: Answers = {}
        gone = ConnectionFailed("it is no longer among the nodes")
        errors: dict[str, MadrpcError] = {address: gone for address, up in found.items() if not up}
        for address, job in asked.items():
            if isinstance(job.value, MadrpcError):
                errors[address] = job.value
            else:
                answers[address] = job.value
        return answers, errors


def _outcome(ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | MadrpcError:
    try:
        return ask()
    except MadrpcError as error:
        return error
