from __future__ import annotations

import pytest

from madrpc.policy.readings import Monitor, View
from madrpc.top import summary, words
from madrpc.top.table import Cell
from tests.readings import figures, node, orchestrator, workers


def view() -> View:
    monitor = Monitor()
    monitor.take(orchestrator(100.0))
    return monitor.take(
        orchestrator(
            101.0, [node("a:1"), node("b:1", "down", False)], in_flight=8, queued=3,
            workers=workers(8, 7), **figures(412, 4),
        )
    )  # fmt: skip


def text(cells: list[Cell]) -> str:
    return "".join(cell.text for cell in cells)


@pytest.mark.parametrize("width", range(0, 170, 3))
def test_lines_fit_and_show_whole_figures_only(width):
    found = view()
    wide = [
        text(summary.title("host:1", found, Cell("paused"), 400)),
        text(summary.traffic(found, (), 400)),
        text(summary.latencies(found, 400)),
    ]
    narrow = [
        text(summary.title("host:1", found, Cell("paused"), width)),
        text(summary.traffic(found, (), width)),
        text(summary.latencies(found, width)),
    ]
    assert words.width_of(narrow[0]) <= max(width, 13)
    for line, whole in zip(narrow[1:], wide[1:], strict=True):
        assert len(line) <= max(width, 13)
        assert whole.startswith(line)


def test_what_is_shown():
    found = view()
    assert "orchestrator  up  1m41s" in text(summary.title("host:1", found, Cell(""), 80))
    traffic = text(summary.traffic(found, [1, 2], 80))
    assert "calls/s 412" in traffic
    assert "errors 1.0%" in traffic
    assert "in flight 8" in traffic
    assert "queued 3" in traffic
    assert "▄█" in traffic
    latencies = text(summary.latencies(found, 80))
    assert "p50 1.0ms" in latencies
    assert "workers 7/8 busy" in latencies
    assert summary.nodes_title(found, 2, "") == "Nodes 1/2 up"
    assert summary.methods_title(found, 1, "x") == "Methods 0  filter 'x': 1 of 0"


def test_a_server_that_never_answered_has_a_name_at_least():
    line = text(summary.title("host:1", None, Cell("disconnected"), 40))
    assert line.startswith("madrpc top host:1")
    assert line.endswith("disconnected")


@pytest.mark.parametrize("width", [12, 40, 99, 100, 160])
def test_large_graphs_fit(width):
    lines = summary.graphs([1, 2, None, 3] * 100, [5.0] * 300, width, 4)
    assert len(lines) == 4
    assert all(len(text(line).rstrip()) <= width for line in lines)
    assert ("p95" in text(lines[-1])) is (width >= 100)
