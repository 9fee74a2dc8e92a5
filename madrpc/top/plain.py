"""``madrpc top`` as plain text: once, one block after the other, or one block painted anew."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from madrpc.client.client import Client
from madrpc.errors import MadrpcError
from madrpc.policy.readings import Monitor, Reading, View
from madrpc.top import summary, words
from madrpc.top.source import ask
from madrpc.top.table import (
    METHODS,
    NODES,
    Cell,
    Row,
    Sorting,
    Table,
    fit,
    header,
    line,
    ordered,
)

__all__ = ["block", "record", "run_json", "run_text"]

#: Of text that nobody looks at as it comes, such as a file's.
_PAGE_COLUMNS = 120
_WINDOW_S = 1.0
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_SHOW_METHODS, _SHOW_NODES = Sorting("CALL/S"), Sorting("NODE")


def run_text(client: Client, first: Reading, address: str, interval_s: float, *, once: bool) -> int:
    """Print blocks until Ctrl-C, or one.

    Raises:
        MadrpcError: there is no answer; only with ``once``.
    """
    out = sys.stdout
    repaints = not once and out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    monitor = Monitor(0.0 if once else _WINDOW_S)
    monitor.take(first)
    view: View | None = None
    for reading, problem in _readings(client, first, interval_s, once=once):
        if reading is not None:
            view = monitor.take(reading)
        else:
            monitor.missed()
        columns, rows = shutil.get_terminal_size((_PAGE_COLUMNS, 24))
        lines = block(address, view, monitor, problem, columns)
        _print(out, lines, (columns, rows) if repaints else None)
    return 0


def run_json(client: Client, first: Reading, address: str, interval_s: float, *, once: bool) -> int:
    """Print one JSON object for each interval until Ctrl-C, or one.

    Raises:
        MadrpcError: there is no answer; only with ``once``.
    """
    monitor = Monitor()
    monitor.take(first)
    for reading, problem in _readings(client, first, interval_s, once=once):
        found = record(address, None if reading is None else monitor.take(reading), problem)
        print(json.dumps(found, ensure_ascii=False), flush=True)
    return 0


def _readings(
    client: Client, first: Reading, interval_s: float, *, once: bool
) -> Iterator[tuple[Reading | None, str]]:
    """A reading after each interval, or why there is none."""
    last: Reading | None = first
    due = time.monotonic()
    while True:
        due = max(due + interval_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            last = ask(client, last)
            yield last, ""
        except MadrpcError as error:
            if once:
                raise
            last = None
            yield None, error.message
        if once:
            return


def block(
    address: str, view: View | None, monitor: Monitor, problem: str, columns: int
) -> list[str]:
    """The lines of one block."""
    note = Cell("disconnected, trying again" if problem else "")
    lines = [_text(summary.title(address, view, note, columns))]
    if problem:
        lines.append(words.clip(words.plain_text(problem), columns))
    if view is None:
        return lines
    lines.append(_text(summary.traffic(view, list(monitor.rates), columns)))
    lines.append(_text(summary.latencies(view, columns)))
    lines += ["", summary.nodes_title(view, 0, "")]
    lines += _table(NODES, view.nodes, _SHOW_NODES, columns)
    lines += ["", summary.methods_title(view, 0, "")]
    lines += _table(METHODS, view.methods, _SHOW_METHODS, columns)
    return lines


def _table(table: Table[Row], rows: Sequence[Row], by: Sorting, columns: int) -> list[str]:
    in_order = ordered(table, rows, by)
    shown = fit(table, in_order, columns)
    if not in_order:
        return []
    rows_shown = [" ".join(cell.text for cell in line(shown, row)) for row in in_order]
    return [header(shown, by), *rows_shown]


def _text(cells: Iterable[Cell]) -> str:
    return "".join(cell.text for cell in cells)


def _print(out: TextIO, lines: list[str], screen: tuple[int, int] | None) -> None:
    """Write a block: over the one before, as much as the screen holds, or below it."""
    ascii_only = not words.writes_bars(out.encoding)
    shown = [words.plain_text(each.rstrip(), ascii_only=ascii_only) for each in lines]
    if screen is None:
        out.write("\n".join(shown) + "\n")
    else:
        kept = shown[: screen[1] - 1]
        painted = "".join(f"{each}{_CLEAR_LINE}\n" for each in kept)
        out.write(f"{_HOME}{painted}{_CLEAR_BELOW}")
    out.flush()


# -------------------------------------------------------------------- JSON


def record(address: str, view: View | None, problem: str = "") -> dict[str, Any]:
    """What ``--json`` prints: shares are of 1, times in milliseconds, None is not known."""
    head = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "address": address,
        "connected": view is not None,
    }
    if view is None:
        return {**head, "error": problem}
    found = _rounded(asdict(view))
    flow = found.pop("flow")
    nodes = [_flat(row) for row in found.pop("nodes")]
    for row in nodes:
        row["scripts"] = [{"name": name, "sha256": sha} for name, sha in row["scripts"]]
    methods = [_flat(row) for row in found.pop("methods")]
    return {**head, **found, **flow, "nodes": nodes, "methods": methods}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flow = row.pop("flow")
    del flow["seconds"]
    return {**row, **flow}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
