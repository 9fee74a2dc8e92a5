"""The lines above the tables: what the server does as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from madrpc.policy.readings import View
from madrpc.top import words
from madrpc.top.table import Cell

__all__ = ["graphs", "latencies", "methods_title", "nodes_title", "title", "traffic"]

_GRAPH_LEAST = 8
_GRAPH_MOST = 60

_Part = tuple[str, Sequence[float | None], Callable[[float | None], str]]


def title(address: str, view: View | None, note: Cell, width: int) -> list[Cell]:
    """Who is watched and how it is; the note goes to the right edge."""
    room = width - words.width_of(note.text) - 1
    groups = [[Cell(words.clip(words.plain_text(address), max(0, room), keep_end=True), "strong")]]
    if view is not None:
        mood = "good" if view.state == "up" else "warn"
        groups.append([Cell("  "), Cell(view.state, mood)])
        groups.append([Cell(f"  {words.span(view.uptime_s)}", "dim")])
    # What is said first has the room first; the order on the line is another.
    extra = [Cell("madrpc top ", "dim"), *([Cell(f"  {view.role}")] if view is not None else [])]
    cells = _fitting(groups, room)
    if _width(cells) + _width(extra) <= room:
        cells = [extra[0], cells[0], *extra[1:], *cells[1:]]
    gap = width - _width(cells) - words.width_of(note.text)
    return [*cells, Cell(" " * max(0, gap)), Cell(words.clip(note.text, width), note.mood)]


def traffic(view: View, rates: Sequence[float | None], width: int) -> list[Cell]:
    """Calls in a second with their graph, errors, calls in flight and waiting.

    Args:
        rates: of the graph; empty for none.
    """
    flow = view.flow
    share = flow.error_share
    shown = "-" if share is None else f"{words.percent(share)}%"
    first = [Cell("calls/s ", "dim"), Cell(f"{words.rate(flow.calls_per_s):<5}", "strong")]
    groups = [
        [Cell("  errors ", "dim"), Cell(f"{shown:<5}", "bad" if share else "")],
        [Cell("  in flight ", "dim"), Cell(f"{words.decimal(view.in_flight):<4}")],
        [
            Cell("  queued ", "dim"),
            Cell(f"{words.decimal(view.queued):<4}", "warn" if view.queued else ""),
        ],
    ]
    rest = _fitting(groups, width - _width(first))
    room = width - _width(first) - _width(rest) - 1
    if rates and room >= _GRAPH_LEAST:
        (bars,) = words.graph(rates, min(room, _GRAPH_MOST))
        first.append(Cell(f" {bars}", "graph"))
    return [*first, *rest]


def latencies(view: View, width: int) -> list[Cell]:
    """Percentiles, workers, and what has been since the start."""
    flow, workers = view.flow, view.workers
    groups = [
        [Cell(f"{name} ", "dim"), Cell(f"{words.milliseconds(value):<8}", "strong")]
        for name, value in (("p50", flow.p50_ms), ("p95", flow.p95_ms), ("p99", flow.p99_ms))
    ]
    groups.append([Cell("workers ", "dim"), Cell(f"{workers.busy}/{workers.size} busy")])
    counts = [("calls", view.calls), ("errors", view.errors)]
    if view.retries is not None:
        counts.append(("retries", view.retries))
    groups += [[Cell(f"  {name} ", "dim"), Cell(words.decimal(n))] for name, n in counts]
    return _fitting(groups, width)


def graphs(
    rates: Sequence[float | None], p95s: Sequence[float | None], width: int, height: int
) -> list[list[Cell]]:
    """Calls in a second and p95 beside each other, or the first alone where it is narrow."""
    parts: list[_Part] = [("calls/s", rates, words.rate)]
    if width >= 100:
        parts.append(("p95", p95s, words.milliseconds))
    each = (width - 2 * (len(parts) - 1)) // len(parts)
    drawn = [_graph(name, values, show, each, height) for name, values, show in parts]
    return [[cell for part in drawn for cell in (*part[n], Cell("  "))] for n in range(height)]


def _graph(
    name: str,
    values: Sequence[float | None],
    show: Callable[[float | None], str],
    width: int,
    height: int,
) -> list[list[Cell]]:
    lines = words.graph(values, max(1, width - 9), height)
    shown = [value for value in list(values)[-(width - 9) :] if value is not None]
    top = show(max(shown, default=None))
    labels = [top, *[""] * (height - 2), name]
    return [
        [Cell(words.pad(label, 8, right=True) + " ", "dim"), Cell(line, "graph")]
        for label, line in zip(labels, lines, strict=True)
    ]


def nodes_title(view: View, shown: int, filter_text: str) -> str:
    """The line above the table of nodes."""
    up = sum(node.state == "up" for node in view.nodes)
    return _counted(f"Nodes {up}/{len(view.nodes)} up", shown, len(view.nodes), filter_text)


def methods_title(view: View, shown: int, filter_text: str) -> str:
    """The line above the table of functions."""
    return _counted(f"Methods {len(view.methods)}", shown, len(view.methods), filter_text)


def _counted(text: str, shown: int, total: int, filter_text: str) -> str:
    if not filter_text:
        return text
    return f"{text}  filter {words.plain_text(filter_text)!r}: {shown} of {total}"


def _width(cells: Iterable[Cell]) -> int:
    return sum(words.width_of(cell.text) for cell in cells)


def _fitting(groups: Iterable[Sequence[Cell]], width: int) -> list[Cell]:
    """The groups that fit: part of a figure would be another figure."""
    kept: list[Cell] = []
    for group in groups:
        if _width(kept) + _width(group) > width:
            break
        kept += group
    return kept
