"""What a server says of itself, as a person reads it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from madrpc.cli.words import plain

__all__ = ["info_lines"]

_TITLES = ("NODE", "STATE", "WORKERS", "CALLS", "VERSION", "SCRIPTS")


def info_lines(info: dict[str, Any], width: int | None) -> list[str]:
    """The lines of ``madrpc info``.

    Args:
        info: as ``_info`` answers.
        width: columns that the names of functions are wrapped to; None for no limit.
    """
    lines = [
        f"{info['role']} at {info['address']}  madrpc {info['version']}  {info['state']} "
        f"for {_duration(info['uptime_s'])}  workers {info['workers']}"
    ]
    for script in info.get("scripts", []):
        lines.append(f"script   {_mark(script)}")
    nodes = info.get("nodes")
    if nodes is not None:
        lines += _table(nodes) if nodes else ["no nodes; give some with -n, or let them register"]
        lines += _warnings(nodes)
    return [plain(line) for line in lines] + _methods(info["methods"], width)


def _table(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each node, and a second one under those that are not well."""
    rows = [_TITLES, *map(_row, nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for number, row in enumerate(rows):
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(cell.ljust(size) for cell, size in cells).rstrip())
        if number and nodes[number - 1]["error"]:
            lines.append(f"  {nodes[number - 1]['error']}")
    return lines


def _row(node: dict[str, Any]) -> tuple[str, ...]:
    numbers = (str(node["workers"]), str(node["calls"]))
    marks = " ".join(map(_mark, node["scripts"]))
    return (node["address"], node["state"], *numbers, node["version"] or "-", marks or "-")


def _mark(script: dict[str, Any]) -> str:
    return f"{script['name']}@{script['sha256'][:8]}"


def _warnings(nodes: Iterable[dict[str, Any]]) -> list[str]:
    """What is not as it is in a cluster whose nodes are alike."""
    up = [node for node in nodes if node["state"] == "up"]
    codes: dict[str, Counter[str]] = {}
    for node in up:
        for script in node["scripts"]:
            codes.setdefault(script["name"], Counter())[script["sha256"][:8]] += 1
    lines = [
        f"warning: nodes run different code of {name}: {_counted(hashes)}"
        for name, hashes in codes.items()
        if len(hashes) > 1
    ]
    versions = Counter(node["version"] for node in up)
    if len(versions) > 1:
        lines.append(f"warning: nodes run different versions of madrpc: {_counted(versions)}")
    return lines


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{what} ({count})" for what, count in found.most_common())


def _methods(names: Sequence[str], width: int | None) -> list[str]:
    text = "methods  " + plain(", ".join(names) or "none")
    if width is None:
        return [text]
    indent = " " * len("methods  ")
    return textwrap.wrap(
        text, max(width, 40), subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{seconds:.1f}s"
