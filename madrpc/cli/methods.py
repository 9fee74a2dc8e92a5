"""Functions with their signatures and summaries, one a line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Any

from madrpc.cli.words import plain

__all__ = ["method_lines", "print_methods"]

#: Signatures longer than this do not push the summaries of all others to the right.
_WIDEST = 48
_NARROWEST_SUMMARY = 20


def print_methods(details: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what can be called; on a terminal no line is longer than it."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in method_lines(details, width):
        print(line)


def method_lines(details: Mapping[str, Mapping[str, Any]], width: int | None) -> list[str]:
    """One line for each function.

    Args:
        details: by name, with ``signature`` and ``summary``.
        width: columns that the summaries are cut to; None for no limit.
    """
    rows = [(plain(found["signature"]), plain(found["summary"])) for found in details.values()]
    fitting = [len(signature) for signature, _ in rows if len(signature) <= _WIDEST]
    column = max(fitting, default=0)
    return [_line(signature, summary, column, width) for signature, summary in rows]


def _line(signature: str, summary: str, column: int, width: int | None) -> str:
    line = f"{signature:<{column}}   {summary}".rstrip()
    if width is None or len(line) <= width or width - column < _NARROWEST_SUMMARY:
        return line
    return line[: max(width - 3, len(signature))] + "..."
