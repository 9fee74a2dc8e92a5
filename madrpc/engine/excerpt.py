"""A line of a text with a caret under one of its columns."""

from __future__ import annotations

import unicodedata

__all__ = ["excerpt"]

#: Columns that are shown before the caret, and in all.
_BEFORE = 60
_WIDTH = 100


def excerpt(text: str, line: int, column: int) -> str:
    """Two lines that show a place; empty if there is no such place.

    Args:
        line: counted from 1.
        column: counted from 1; one after the last is the end of the line.
    """
    lines = text.split("\n", line)
    if not 1 <= line <= len(lines) or column < 1:
        return ""
    whole = lines[line - 1].rstrip("\r")
    start = max(0, column - 1 - _BEFORE)
    shown = "".join(map(_visible, whole[start : start + _WIDTH]))
    if not shown.strip():
        return ""
    before = "".join(map(_visible, whole[start : column - 1]))
    return f"  {shown}\n  {' ' * sum(map(_columns, before))}^"


def _visible(character: str) -> str:
    """What a terminal shows in one place, where it would do something with the character."""
    if character.isprintable():
        return character
    return " " if character.isspace() else "?"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
