"""Answers to ``_metrics`` as servers give them, made up for tests of the monitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from madrpc.policy.readings import Reading

SHA = "9c1e42a0" * 8


def figures(
    calls: int = 0, errors: int = 0, durations: Mapping[float, int] | None = None, **more: Any
) -> dict[str, Any]:
    """Counters of a server or a function; without ``durations`` all calls took 1 ms."""
    pairs = {1000.0: calls} if durations is None else durations
    return {
        "calls": calls,
        "errors": errors,
        "durations": [[us, count] for us, count in pairs.items()],
        **more,
    }


def method(calls: int = 0, errors: int = 0, **more: Any) -> dict[str, Any]:
    names = {"JavaScriptError": errors} if errors else {}
    times = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "max_ms": 4.0}
    return {**figures(calls, errors, **more), **times, "errors_by_name": names}


def workers(size: int = 4, busy: int = 0) -> dict[str, int]:
    return {"size": size, "ready": size, "busy": busy, "parked": 0, "restarts": 0}


def node(address: str, state: str = "up", answers: bool = True, **more: Any) -> dict[str, Any]:
    """One row of an orchestrator; ``more`` goes to the node's own figures."""
    own = figures(more.pop("calls", 0), more.pop("errors", 0), more.pop("durations", None))
    own |= {"uptime_s": 60.0, "queued": 0, "cpu_seconds": 1.0, "rss_bytes": 200 * 2**20}
    own |= {"workers": workers(), **more}
    return {
        "address": address,
        "state": state,
        "error": "" if state == "up" else "connection refused",
        "calls": own["calls"],
        "in_flight": 0,
        "workers": 4,
        "version": "0.1.0",
        "scripts": [{"name": "pi.js", "sha256": SHA}],
        "metrics": own if answers else None,
    }


def orchestrator(
    at: float = 100.0,
    nodes: Iterable[dict[str, Any]] = (),
    methods: Mapping[str, dict[str, Any]] | None = None,
    known: Iterable[str] = (),
    **more: Any,
) -> Reading:
    """A reading of an orchestrator that was started at 0."""
    answer = {
        "role": "orchestrator",
        "state": "up",
        "revision": "r1",
        "uptime_s": at,
        **figures(),
        "retries": 0,
        "in_flight": 0,
        "waiting": 0,
        "queued": 0,
        "workers": workers(),
        "methods": dict(methods or {}),
        "nodes": list(nodes),
        **more,
    }
    return Reading(at, answer, {"methods": list(known)})
