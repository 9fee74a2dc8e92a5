"""Text for a terminal: harmless whoever wrote it, and in colour where that is wanted."""

from __future__ import annotations

import os
from typing import TextIO

__all__ = ["Style", "plain"]


def plain(text: object) -> str:
    """The text on one line, with a question mark for each character that would steer a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in str(text))


class Style:
    """Emphasis on a stream; none where it is no terminal, or ``NO_COLOR`` is set."""

    def __init__(self, stream: TextIO) -> None:
        self._is_on = (
            stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def strong(self, text: str) -> str:
        """What the eye should find first."""
        return self._dressed("1", text)

    def faint(self, text: str) -> str:
        """What is there if it is looked for."""
        return self._dressed("2", text)

    def _dressed(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._is_on and text else text
