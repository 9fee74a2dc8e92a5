"""A server's statistics in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from madrpc.policy.stats import MethodTable
from madrpc.version import __version__

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Bounds of the duration buckets, in seconds.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Exposition(Collector):
    """Collects anew at every scrape.

    Args:
        server: has ``stats``, ``counts()``, the answer of ``_metrics`` without nodes' own, and
            ``about()``, that of ``_info``.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing is known before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        counts = self._server.counts()
        yield from _methods(self._server.stats)
        info = self._server.about()
        build = GaugeMetricFamily(
            "madrpc_build_info",
            "The server's version and role.",
            labels=("version", "role"),
        )
        build.add_metric((__version__, counts["role"]), 1)
        yield build
        scripts = GaugeMetricFamily(
            "madrpc_script_info", "The scripts that are loaded.", labels=("script", "sha256")
        )
        for script in info.get("scripts", ()):
            scripts.add_metric((script["name"], script["sha256"]), 1)
        yield scripts
        for key, name, text in (
            ("in_flight", "madrpc_in_flight_calls", "Calls taken and not answered yet."),
            ("queued", "madrpc_queued_calls", "Calls that wait for a worker."),
            ("connections", "madrpc_connections", "Connections of callers."),
        ):
            if key in counts:
                yield GaugeMetricFamily(name, text, value=counts[key])
        yield from _node(counts) if counts["role"] == "node" else _orchestrator(counts)


def _node(counts: dict[str, Any]) -> Iterator[Metric]:
    workers = counts["workers"]
    family = GaugeMetricFamily("madrpc_workers", "Worker processes by state.", labels=("state",))
    for state in ("ready", "busy", "parked"):
        family.add_metric((state,), workers[state])
    yield family
    yield CounterMetricFamily(
        "madrpc_worker_restarts", "Worker processes started again.", value=workers["restarts"]
    )


def _orchestrator(counts: dict[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily("madrpc_retries", "Calls sent again.", value=counts["retries"])
    family = GaugeMetricFamily("madrpc_node_up", "Whether a node takes calls.", labels=("node",))
    for node in counts["nodes"]:
        family.add_metric((node["address"],), float(node["state"] == "up"))
    yield family


def _methods(stats: MethodTable) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "madrpc_calls", "Calls answered, by how they ended.", labels=("method", "outcome")
    )
    durations = HistogramMetricFamily(
        "madrpc_call_duration_seconds", "From taking a call to answering it.", labels=("method",)
    )
    for name, method in stats.rows():
        calls.add_metric((name, "ok"), method.calls - method.errors)
        for error, count in method.errors_by_name.items():
            calls.add_metric((name, error), count)
        below = method.durations.cumulative(_BOUNDS)
        buckets = [(str(bound), float(n)) for bound, n in zip(_BOUNDS, below, strict=True)]
        buckets.append(("+Inf", float(method.durations.count)))
        durations.add_metric((name,), buckets, method.durations.sum_us / 1e6)
    yield calls
    yield durations
