"""What the dashboard is told, as server-sent events. Pure: figures go in, text comes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from madrpc.policy.readings import Flow, MethodRow, NodeRow, View

__all__ = ["POINT_FIELDS", "event", "point", "recent_data", "view_data"]

#: What a point of the charts holds: seconds of the server's clock, then figures for that second.
POINT_FIELDS = (
    "t", "calls_per_s", "errors_per_s", "in_flight", "queued", "p50_ms", "p95_ms", "p99_ms",
)  # fmt: skip
_NODE_FIELDS = (
    "address", "state", "error", "answers", "busy", "workers", "cpu_percent", "rss_bytes",
    "calls_per_s", "p95_ms", "errors", "calls", "in_flight", "queued", "uptime_s", "restarts",
    "version", "engine", "scripts",
)  # fmt: skip
_METHOD_FIELDS = (
    "name", "calls_per_s", "p50_ms", "p95_ms", "p99_ms", "errors_per_s", "errors", "calls",
    "max_ms", "errors_by_name",
)  # fmt: skip
_SLOWEST_FIELDS = (
    "method", "node", "age_s", "total_ms", "queue_ms", "context_ms", "run_ms", "parked_ms",
    "wire_ms", "outcome", "trace", "attempts",
)  # fmt: skip
_ERROR_FIELDS = ("method", "node", "age_s", "name", "message", "stack", "trace", "count")
_MOST_RECENT = 50
_MOST_TEXT = 4096


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event of a stream.

    Raises:
        ValueError: a figure is no number that JSON has.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


def point(t: float, flow: Flow, in_flight: int, queued: int) -> list[float | None]:
    """One point of the charts, in the order of ``POINT_FIELDS``."""
    return [
        round(t, 2),
        _short(flow.calls_per_s),
        _short(flow.errors_per_s),
        in_flight,
        queued,
        _short(flow.p50_ms),
        _short(flow.p95_ms),
        _short(flow.p99_ms),
    ]


def view_data(view: View) -> dict[str, Any]:
    """All that is shown at one time, besides the charts."""
    flow, workers = view.flow, view.workers
    return {
        "role": view.role,
        "state": view.state,
        "uptime_s": round(view.uptime_s),
        "in_flight": view.in_flight,
        "queued": view.queued,
        "calls": view.calls,
        "errors": view.errors,
        "retries": view.retries,
        "workers": {"size": workers.size, "ready": workers.ready, "busy": workers.busy},
        "calls_per_s": _short(flow.calls_per_s),
        "error_share": _short(flow.error_share),
        "p50_ms": _short(flow.p50_ms),
        "p95_ms": _short(flow.p95_ms),
        "p99_ms": _short(flow.p99_ms),
        "nodes": {"fields": _NODE_FIELDS, "rows": [_node(row) for row in view.nodes]},
        "methods": {"fields": _METHOD_FIELDS, "rows": [_method(row) for row in view.methods]},
    }


def recent_data(told: Mapping[str, Any]) -> dict[str, Any]:
    """The slowest calls and the last errors, with only so much of each as a page can show."""
    return {
        "slowest": _picked(told.get("slowest", ()), _SLOWEST_FIELDS),
        "errors": _picked(told.get("errors", ()), _ERROR_FIELDS),
    }


def _node(row: NodeRow) -> list[Any]:
    flow, workers = row.flow, row.workers
    return [
        row.address, row.state, row.error, row.answers, workers.busy, workers.size,
        _short(flow.cpu_percent), row.rss_bytes, _short(flow.calls_per_s), _short(flow.p95_ms),
        row.errors, row.calls, row.in_flight, row.queued, row.uptime_s and round(row.uptime_s),
        workers.restarts, row.version, row.engine, row.scripts,
    ]  # fmt: skip


def _method(row: MethodRow) -> list[Any]:
    flow = row.flow
    return [
        row.name, _short(flow.calls_per_s), _short(flow.p50_ms), _short(flow.p95_ms),
        _short(flow.p99_ms), _short(flow.errors_per_s), row.errors, row.calls, row.max_ms,
        dict(row.errors_by_name),
    ]  # fmt: skip


def _picked(rows: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> list[dict[str, Any]]:
    kept = list(rows)[:_MOST_RECENT]
    return [{key: _clipped(row.get(key)) for key in fields} for row in kept]


def _clipped(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        return value[:_MOST_TEXT] + "…"
    return value


def _short(value: float | None) -> float | None:
    """The figure without digits that nobody reads."""
    return None if value is None or not isfinite(value) else float(f"{value:.4g}")
