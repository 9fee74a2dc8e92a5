"""An HTTP port over a server that is made up, as large, as busy and as hostile as a test wants.

``python -m tests.madeup --nodes N --methods N`` prints where it listens and runs until its standard
input ends. The port, the page and the stream are the real ones.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import gevent
from gevent.fileobject import FileObject

from madrpc.address import Address
from madrpc.config import ListenerConfig
from madrpc.errors import InvalidRequest
from madrpc.http.server import HttpServer
from madrpc.links.connection import Caller
from madrpc.policy.stats import MethodTable
from madrpc.protocol.messages import Request

HOSTILE = [
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "javascript:window.pwned=1",
    "=HYPERLINK(1)",
    "__proto__",
    "constructor",
    "‮right to left",
    "a\nb\tc",
    "long" * 60,
]
VERBS = ("price", "simulate", "validate", "score", "rank", "convert", "estimate", "parse")
NOUNS = ("order", "path", "rule", "curve", "invoice", "portfolio", "route", "formula")
STACK = """RangeError: rate is 1.7, must be below 1
    at discount (rules.js:42:11)
    at price_order (rules.js:88:20)"""


class MadeUp:
    """Answers as an orchestrator would; its counters rise with the clock."""

    def __init__(self, nodes: int, methods: int, hostile: bool) -> None:
        self.listener = SimpleNamespace(
            config=ListenerConfig(Address("127.0.0.1", 8080)), rate=None
        )
        self.state = "up" if nodes else "degraded"
        self.stats = MethodTable()
        self._started = time.monotonic() - 3 * 3600
        self._nodes = [f"10.0.{n // 100}.{n % 100 + 10}:9001" for n in range(nodes)]
        names = [f"{verb}_{noun}" for noun in NOUNS for verb in VERBS]
        self._names = [f"{names[n % 64]}{n // 64 or ''}" for n in range(methods)]
        if hostile:
            self._nodes[: len(HOSTILE)] = HOSTILE
            self._names[: len(HOSTILE)] = HOSTILE
        self._hostile = hostile

    def handle(self, connection: Caller, request: Request) -> None:
        connection.respond_error(request.id, InvalidRequest(HOSTILE[0]))

    def about(self) -> dict[str, Any]:
        return {
            "role": "orchestrator", "address": "10.0.0.5:8080", "version": "0.1.0",
            "balance": "round-robin", "methods": self._names,
        }  # fmt: skip

    def counts(self, args: dict[str, Any] | None = None) -> dict[str, Any]:
        up_s = time.monotonic() - self._started
        nodes = [self._node(n, address, up_s) for n, address in enumerate(self._nodes)]
        methods = {name: self._figures(up_s, n, 40) for n, name in enumerate(self._names)}
        return {
            "role": "orchestrator", "state": self.state, "revision": "1", "uptime_s": up_s,
            **self._figures(up_s, 0, 400 * len(nodes)), "retries": 3, "waiting": 0,
            "in_flight": int(12 + 6 * math.sin(up_s / 20)),
            "queued": int(2 + 2 * math.sin(up_s / 9)),
            "workers": {"size": 8 * len(nodes), "ready": 8 * len(nodes), "busy": 5 * len(nodes),
                        "parked": 0, "restarts": 0},
            "nodes": nodes, "methods": methods,
        }  # fmt: skip

    def recent(self) -> dict[str, Any]:
        if not self._names or not self._nodes:
            return {"slowest": [], "errors": []}
        pick = random.Random(1)
        slowest = []
        for n in range(min(12, len(self._names))):
            total = 900.0 / (n + 1.5)
            cuts = sorted(pick.random() for _ in range(4))
            edges = [0.0, *cuts, 1.0]
            queue, context, run, parked, wire = (total * (b - a) for a, b in pairwise(edges))
            slowest.append({
                "method": self._names[n], "node": self._nodes[n % len(self._nodes)],
                "age_s": 7.0 * n + 3, "total_ms": total, "queue_ms": queue, "context_ms": context,
                "run_ms": run, "parked_ms": parked if n % 3 else None, "wire_ms": wire,
                "outcome": "ok" if n % 4 else "CallTimeout", "trace": None, "attempts": 1 + n % 2,
            })  # fmt: skip
        kinds = [
            ("JavaScriptError", "RangeError: rate is 1.7, must be below 1", STACK, 41),
            (
                "TimeLimitExceeded",
                "the function ran for longer than 5 s; see --time-limit",
                None,
                3,
            ),
            ("InvalidArguments", "$.quantity is NaN, and JSON has no such number", None, 1),
        ]
        if self._hostile:
            kinds = [(text, text, text, 2) for text in HOSTILE]
        errors = [
            {"method": self._names[n % len(self._names)], "node": self._nodes[n % len(self._nodes)],
             "age_s": 20.0 * n + 4, "name": name, "message": message, "stack": stack,
             "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "count": count}
            for n, (name, message, stack, count) in enumerate(kinds)
        ]  # fmt: skip
        return {"slowest": slowest, "errors": errors}

    def _figures(self, up_s: float, n: int, rate: float) -> dict[str, Any]:
        """Counters that have risen at about this rate; the later ones are slower and err more."""
        calls = int(rate / (1 + n % 17) * (up_s + 12 * math.sin(up_s / 25 + n)))
        errors = calls // 211 if n % 3 == 0 else 0
        spread = {300.0: 0.5, 800.0: 0.3, 2600.0: 0.17, 14000.0: 0.025, 90000.0: 0.005}
        return {
            "calls": calls, "errors": errors, "max_ms": 120.0 + n,
            "errors_by_name": {"JavaScriptError": errors} if errors else {},
            "durations": [[us * (1 + n % 5), int(calls * part)] for us, part in spread.items()],
        }  # fmt: skip

    def _node(self, n: int, address: str, up_s: float) -> dict[str, Any]:
        state = {7: "down", 11: "draining", 13: "suspect", 17: "ejected"}.get(n, "up")
        figures = None
        if state != "down":
            figures = {
                **self._figures(up_s, n, 420), "uptime_s": up_s, "queued": n % 3,
                "rss_bytes": (190 + n) * 2**20,
                "cpu_seconds": (4 + n % 4) * up_s * 0.9,
                "workers": {"size": 8, "ready": 8, "busy": 3 + n % 6, "parked": 0, "restarts": 0},
            }  # fmt: skip
        error = "" if state == "up" else HOSTILE[0] if self._hostile else "connection refused"
        return {
            "address": address, "state": state, "error": error, "in_flight": 3, "workers": 8,
            "version": "0.1.0", "scripts": [{"name": "rules.js", "sha256": "9c1e42a0" * 8}],
            "metrics": figures,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--methods", type=int, default=12)
    parser.add_argument("--hostile", action="store_true")
    options = parser.parse_args()
    http = HttpServer(
        Address("127.0.0.1", 0), MadeUp(options.nodes, options.methods, options.hostile)
    )
    http.start()
    print(f"made up  ready on {http.address}  dashboard {http.url}", flush=True)
    FileObject(sys.stdin.buffer, "rb", close=False).read()
    http.stop()
    gevent.sleep(0)


if __name__ == "__main__":
    main()
