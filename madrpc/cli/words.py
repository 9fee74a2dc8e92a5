"""Text of strangers, made fit for a terminal."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: object) -> str:
    """The text on one line, with a question mark for each character that would steer a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in str(text))
