"""Figures as a person reads them, in as few characters as they need."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["ELLIPSIS", "clip", "decimal", "graph", "milliseconds", "pad", "percent", "plain_text",
           "rate", "size", "span", "width_of", "writes_bars"]  # fmt: skip

ELLIPSIS = "…"
_NOTHING = "-"
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII = str.maketrans({"▁": ".", "▂": ".", "▃": ":", "▄": ":", "▅": "|", "▆": "|", "▇": "#",
                        "█": "#", ELLIPSIS: "~", "▲": "^", "▼": "v", "─": "-"})  # fmt: skip


def rate(per_second: float | None) -> str:
    """Calls in a second: ``0``, ``3.2``, ``412``, ``12.3k``."""
    return _NOTHING if per_second is None else decimal(per_second)


def decimal(value: float) -> str:
    """A number of at most five characters: ``0``, ``3.2``, ``412``, ``12.3k``; ``3`` if whole."""
    if value == 0:
        return "0"
    if isinstance(value, int) and value < 10_000:
        return str(value)
    if value < 9.95:
        return f"{value:.1f}"
    if value < 9999.5:
        return f"{value:.0f}"
    for unit in "kMG":
        value /= 1000
        if value < 999.5 or unit == "G":
            break
    return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"


def milliseconds(ms: float | None) -> str:
    """A duration: ``0.52ms``, ``9.1ms``, ``22ms``, ``1.2s``."""
    if ms is None:
        return _NOTHING
    if ms < 0.995:
        return f"{ms:.2f}ms"
    if ms < 9.95:
        return f"{ms:.1f}ms"
    if ms < 999.5:
        return f"{ms:.0f}ms"
    return f"{ms / 1000:.1f}s" if ms < 99_950 else f"{ms / 1000:.0f}s"


def percent(share: float | None) -> str:
    """A share of 1 in per cent: ``0``, ``0.2``, ``12``."""
    return _NOTHING if share is None else decimal(100 * share)


def size(count: float | None) -> str:
    """Bytes in binary units: ``212M``, ``1.4G``."""
    if count is None:
        return _NOTHING
    for unit in "BKMGT":
        if count < 999.5 or unit == "T":
            break
        count /= 1024
    return f"{count:.0f}{unit}" if unit == "B" or count >= 9.95 else f"{count:.1f}{unit}"


def span(seconds: float | None) -> str:
    """A length of time: ``12s``, ``3m12s``, ``2h05m``, ``4d03h``."""
    if seconds is None:
        return _NOTHING
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def plain_text(text: str, *, ascii_only: bool = False) -> str:
    """The text without what would move a terminal's cursor or change its colours."""
    if ascii_only:
        text = text.translate(_ASCII).encode("ascii", "replace").decode()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


def width_of(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, width: int, *, keep_end: bool = False) -> str:
    """The text in at most ``width`` columns; an ellipsis stands for what was cut.

    Args:
        keep_end: cut in the middle, as for addresses, whose last characters tell them apart.
    """
    if width_of(text) <= width:
        return text
    if width <= 1:
        return ELLIPSIS[:width]
    end = (width - 1) * 2 // 3 if keep_end else 0
    tail = _first_columns(text[::-1], end)[::-1]
    return _first_columns(text, width - 1 - width_of(tail)) + ELLIPSIS + tail


def _first_columns(text: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(text):
        taken += _columns(char)
        if taken > width:
            return text[:index]
    return text


def pad(text: str, width: int, *, right: bool = False, keep_end: bool = False) -> str:
    """The text in exactly ``width`` columns."""
    text = clip(text, width, keep_end=keep_end)
    space = " " * (width - width_of(text))
    return space + text if right else text + space


def graph(values: Sequence[float | None], width: int, height: int = 1) -> list[str]:
    """The last ``width`` values as bars from the left on, in ``height`` lines from the top down.

    The highest bar fills the height. Values that are None leave a gap; one alone is no graph.
    """
    shown = list(values)[-width:] if width > 0 and len(values) > 1 else []
    top = max((value for value in shown if value), default=0.0)
    levels = [_level(value, top, height) for value in shown]
    lines = []
    for line in reversed(range(height)):
        bars = "".join(_BARS[min(8, max(0, level - 8 * line))] for level in levels)
        lines.append(bars.ljust(width))
    return lines


def _level(value: float | None, top: float, height: int) -> int:
    if value is None:
        return 0
    # What is there, and be it little, shows; so does a zero, as the line that bars stand on.
    return max(1, round(8 * height * value / top)) if top else 1


def writes_bars(encoding: str | None) -> bool:
    """Whether a stream of this encoding can carry the characters of graphs."""
    try:
        (_BARS + ELLIPSIS + "▲▼").encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
