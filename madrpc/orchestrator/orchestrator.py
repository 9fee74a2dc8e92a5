"""The orchestrator as a whole: listener, forwarder and built-ins."""

from __future__ import annotations

import time
from typing import Any

import gevent

from madrpc.address import Address
from madrpc.config import CONNECT_TIMEOUT_S, INFO_TIMEOUT_S, OrchestratorConfig
from madrpc.errors import Draining, InvalidRequest
from madrpc.links.builtins import BUILTIN_PREFIX, Builtins, revision_of
from madrpc.links.connection import Caller, Cancellable
from madrpc.links.listener import Listener
from madrpc.links.upstream import Upstream
from madrpc.links.usage import ProcessUsage
from madrpc.orchestrator.discovery import Discovery, source_of
from madrpc.orchestrator.forwarder import Forwarder
from madrpc.orchestrator.registry import Registry
from madrpc.orchestrator.rollout import Rollout
from madrpc.policy.details import merged_details, representatives
from madrpc.policy.stats import MethodTable
from madrpc.protocol.messages import Request
from madrpc.version import PROTOCOL_VERSION, __version__

__all__ = ["Orchestrator"]

_now = time.monotonic
_DRAIN_POLL_S = 0.02
_METRICS_TIMEOUT_S = 1.0
_SHOWN = 100


class Orchestrator:
    """One orchestrator.

    Raises:
        OSError: from ``start``, if the address cannot be bound.
    """

    def __init__(self, config: OrchestratorConfig) -> None:
        self.config = config
        self.listener = Listener(config.listener, self)
        self.forwarder = Forwarder(config, lambda: self.listener.address)
        self.nodes = self.forwarder.nodes
        self.balancer = self.nodes.balancer
        self.discovery = Discovery(self.nodes, map(source_of, config.nodes))
        self.registry = Registry(self.discovery, self.nodes, lambda: self.listener.address)
        self._revision = (-1, "")
        self.draining = False
        self._usage = ProcessUsage()
        self._started = _now()
        self._builtins = Builtins(
            {
                "_health": self._health,
                "_info": self._info,
                "_metrics": self._metrics,
                "_methods": self._list_methods,
                "_recent": self._recent,
                "_register": self.registry.register,
                "_deregister": self.registry.deregister,
            },
            {"_drain": self._drain_node, "_deploy": Rollout(self.nodes).deploy},
            large=frozenset({"_deploy"}),
        )

    def __repr__(self) -> str:
        return f"<Orchestrator {self.listener.address} {self.forwarder}>"

    def start(self) -> Address:
        """Bind, try every node once, begin to accept; return the address."""
        address = self.listener.bind()
        self.forwarder.start()
        self.discovery.start(CONNECT_TIMEOUT_S)
        self.registry.start()
        firsts = [upstream.first_try for upstream in self.nodes.upstreams.values()]
        gevent.wait(firsts, timeout=CONNECT_TIMEOUT_S + 1)
        self.listener.start()
        return address

    def drain(self) -> None:
        """Refuse new calls and wait until the accepted ones are answered, up to the time-out."""
        self.draining = True
        self.listener.stop_accepting()
        give_up = _now() + self.config.drain_timeout_s
        while self.listener.in_flight and _now() < give_up:
            gevent.sleep(_DRAIN_POLL_S)

    def stop(self) -> None:
        """Close everything now."""
        self.draining = True
        self.listener.close("the orchestrator is stopping")
        self.discovery.stop()
        self.registry.stop()
        self.forwarder.stop()

    def handle(self, connection: Caller, request: Request) -> Cancellable | None:
        """Take one request from the listener."""
        if request.method.startswith(BUILTIN_PREFIX):
            return self._builtins.handle(connection, request)
        if self.draining:
            connection.respond_error(request.id, Draining("the orchestrator is shutting down"))
            return None
        return self.forwarder.forward(connection, request)

    # ---------------------------------------------------------- builtins

    @property
    def stats(self) -> MethodTable:
        """Calls by method."""
        return self.forwarder.accounting.stats

    def counts(self, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """What ``_metrics`` answers; without arguments no node is asked."""
        return self._metrics(args or {"nodes": False})

    def recent(self) -> dict[str, Any]:
        """The slowest calls of late and the last errors, of all nodes."""
        return self._recent({})

    def about(self) -> dict[str, Any]:
        """What ``_info`` answers."""
        return self._info({})

    @property
    def state(self) -> str:
        """``up``, ``draining``, or ``degraded`` while no node is up."""
        if self.draining:
            return "draining"
        return "up" if self.balancer.up else "degraded"

    @property
    def summary(self) -> str:
        """The state in one line, for whoever started this server."""
        nodes = f"{len(self.balancer.up)}/{len(self.balancer.nodes)} nodes up"
        return f"{self.state}: {nodes}, {self.listener.in_flight} calls in flight"

    @property
    def revision(self) -> str:
        """Changes whenever the methods do."""
        version, text = self._revision
        if version != self.balancer.version:
            version = self.balancer.version
            text = revision_of(self.balancer.methods)
            self._revision = (version, text)
        return text

    def _health(self, _args: dict[str, Any]) -> dict[str, Any]:
        balancer = self.balancer
        return {
            "status": self.state,
            "role": "orchestrator",
            "revision": self.revision,
            "nodes_up": len(balancer.up),
            "nodes": len(balancer.nodes),
        }

    def _info(self, _args: dict[str, Any]) -> dict[str, Any]:
        nodes = [_node_info(upstream) for upstream in self.nodes.upstreams.values()]
        return {
            "role": "orchestrator",
            "version": __version__,
            "protocol": PROTOCOL_VERSION,
            "address": str(self.listener.address),
            "state": self.state,
            "uptime_s": round(_now() - self._started, 3),
            "workers": sum(node["workers"] for node in nodes if node["state"] == "up"),
            "revision": self.revision,
            "balance": self.config.balance,
            "methods": self.balancer.methods,
            "nodes": [
                {**node, "sources": self.discovery.membership.sources_of(node["address"])}
                for node in nodes
            ],
            "limits": {
                "max_frame": self.config.listener.max_frame,
                "max_in_flight": self.config.max_in_flight,
                "max_in_flight_bytes": self.config.max_in_flight_bytes,
            },
        }

    def _metrics(self, args: dict[str, Any]) -> dict[str, Any]:
        forwarder = self.forwarder
        brief = args.get("nodes") == "brief"
        by_address = self._metrics_of_nodes(args)
        answers = list(by_address.values())
        return {
            "role": "orchestrator",
            "state": self.state,
            "revision": self.revision,
            "uptime_s": round(_now() - self._started, 3),
            "calls": self.stats.calls,
            "errors": self.stats.errors,
            "retries": forwarder.retries,
            "in_flight": forwarder.in_flight,
            "in_flight_bytes": forwarder.in_flight_bytes,
            "waiting": forwarder.waiting,
            "queued": sum(answer["queued"] for answer in answers),
            "connections": len(self.listener.connections),
            "workers": {
                key: sum(answer["workers"][key] for answer in answers)
                for key in ("size", "ready", "busy", "parked", "restarts")
            },
            "front_end": self._usage.front_end(),
            **self.stats.figures(args),
            "nodes": [
                {
                    **_node_info(upstream, brief=brief),
                    "metrics": by_address.get(upstream.record.address),
                }
                for upstream in self.nodes.upstreams.values()
            ],
        }

    def _metrics_of_nodes(self, args: dict[str, Any]) -> dict[str, Any]:
        nodes = args.get("nodes", True)
        if not nodes:
            return {}
        details = nodes != "brief"
        wanted = {
            "methods": details,
            "processes": details,
            "durations": args.get("durations") is True,
        }
        only = frozenset(map(str, nodes)) if isinstance(nodes, list) else None
        return self.nodes.ask_all("_metrics", _METRICS_TIMEOUT_S, wanted, only)

    def _recent(self, args: dict[str, Any]) -> dict[str, Any]:
        told = {}
        if args.get("nodes") is not False:
            told = self.nodes.ask_all("_recent", _METRICS_TIMEOUT_S)
        return self.forwarder.accounting.recent(told)

    def _drain_node(self, args: dict[str, Any]) -> dict[str, Any]:
        address = args.get("node")
        upstream = self.nodes.find(address) if isinstance(address, str) else None
        if upstream is None:
            raise InvalidRequest(
                f"_drain names no node of this orchestrator: {str(address)[:_SHOWN]!r}; "
                "_info lists their addresses"
            )
        answer = upstream.ask("_drain", INFO_TIMEOUT_S)
        self.nodes.drains(upstream.record)
        return answer

    def _list_methods(self, args: dict[str, Any]) -> dict[str, Any]:
        methods = self.balancer.methods
        if args.get("details") is not True:
            return {"methods": methods}
        asked = representatives(
            (up.record.address, up.record.methods, str(up.info.get("revision")))
            for up in self.nodes.upstreams.values()
            if up.link and not up.health.misses
        )
        answers = self.nodes.ask_all("_methods", INFO_TIMEOUT_S, {"details": True}, asked)
        most = self.config.listener.max_frame
        return {"methods": methods, "details": merged_details(answers.values(), methods, most)}


def _node_info(upstream: Upstream, *, brief: bool = False) -> dict[str, Any]:
    record, info = upstream.record, upstream.info
    methods = {} if brief else {"methods": sorted(record.methods)}
    return {
        "address": record.address,
        "state": record.state.value,
        "error": record.error,
        "calls": upstream.calls,
        "in_flight": record.in_flight,
        "workers": info.get("workers", 0),
        "version": info.get("version", ""),
        "engine": info.get("engine", ""),
        **methods,
        "scripts": info.get("scripts", []),
        "release": _release(upstream),
    }


def _release(upstream: Upstream) -> dict[str, Any] | None:
    """What the node said of its release, as old as it is by now."""
    release = upstream.info.get("release")
    if not isinstance(release, dict) or not isinstance(release.get("age_s"), (int, float)):
        return None
    return {**release, "age_s": round(release["age_s"] + _now() - upstream.learned_at, 3)}
