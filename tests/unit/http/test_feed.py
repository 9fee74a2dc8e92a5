from __future__ import annotations

import json

from madrpc.http.feed import POINT_FIELDS, event, point, recent_data, view_data
from madrpc.policy.readings import Flow, Monitor
from tests.readings import figures, method, node, orchestrator


def test_an_event_is_two_lines_whatever_is_in_it():
    data = event("error", {"text": "a\nb\r\n\ndata: c\u2028\ud800"})
    name, text, *rest = data.split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    assert json.loads(text.removeprefix(b"data: "))["text"] == "a\nb\r\n\ndata: c\u2028\ud800"


def test_a_point_has_a_value_for_each_field():
    flow = Flow(1.0, 1234.567, 0.5, 0.1, None, 0.123456, 1.0, None)
    values = dict(zip(POINT_FIELDS, point(7.126, flow, 3, 2), strict=True))
    assert values == {
        "t": 7.13, "calls_per_s": 1235.0, "errors_per_s": 0.5, "in_flight": 3, "queued": 2,
        "p50_ms": 0.1235, "p95_ms": 1.0, "p99_ms": None,
    }  # fmt: skip


def test_a_view_is_told_as_tables():
    monitor = Monitor()
    monitor.take(orchestrator(100.0, [node("a:1", calls=10)], {"add": method(10)}, **figures(10)))
    told = view_data(
        monitor.take(
            orchestrator(
                102.0,
                [node("a:1", calls=30, uptime_s=62.0), node("b:1", "down", answers=False)],
                {"add": method(30, 2)},
                ["add", "idle"],
                **figures(30, 2),
            )
        )
    )
    assert (told["calls_per_s"], told["calls"], told["errors"]) == (10.0, 30, 2)
    nodes = [dict(zip(told["nodes"]["fields"], row, strict=True)) for row in told["nodes"]["rows"]]
    assert [row["state"] for row in nodes] == ["up", "down"]
    assert (nodes[0]["calls_per_s"], nodes[1]["calls_per_s"]) == (10.0, None)
    assert nodes[1]["answers"] is False
    methods = told["methods"]
    first, idle = (dict(zip(methods["fields"], row, strict=True)) for row in methods["rows"])
    assert (first["name"], first["errors_by_name"]) == ("add", {"JavaScriptError": 2})
    assert (idle["name"], idle["calls"], idle["calls_per_s"]) == ("idle", 0, 0.0)
    json.dumps(told, allow_nan=False)


def test_recent_calls_are_clipped_in_number_and_length():
    told = recent_data({
        "slowest": [{"method": "add", "total_ms": 2.5, "secret": 1}],
        "errors": [{"method": "f", "stack": "s" * 10_000, "count": 2}] * 60,
    })  # fmt: skip
    (slow,) = told["slowest"]
    assert (slow["method"], slow["total_ms"], slow["queue_ms"]) == ("add", 2.5, None)
    assert "secret" not in slow
    assert len(told["errors"]) == 50
    assert len(told["errors"][0]["stack"]) < 5000
    assert recent_data({}) == {"slowest": [], "errors": []}
