"""What one context is made of: the libraries, in order, and the script with the functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from madrpc.engine.environment import Environment, pieces_for
from madrpc.engine.interface import Script

__all__ = ["ENGINE_FILE", "Program"]

#: The binding gives every evaluated text this file name.
ENGINE_FILE = "<input>"
#: All that ends a line in JavaScript, each counted once and CR LF twice: too many do no harm.
_LINE_ENDS = re.compile(r"[\n\r\u2028\u2029]")


class Program:
    """A script that registers functions, after the libraries it may use.

    The engine calls every source by the same file name, so each gets lines of its own: the script
    keeps its numbers, and each library's begin where those before it ended.

    Attributes:
        script: the file that registers functions.
        libraries: files that register none, in the order they are evaluated in.
        environment: what its contexts get besides.
    """

    __slots__ = ("_starts", "environment", "libraries", "parts", "script")

    def __init__(self, script: Script, libraries: Sequence[Script] = ()) -> None:
        self.script = script
        self.libraries = tuple(libraries)
        self.environment: Environment = pieces_for(part.source for part in (*libraries, script))
        self._starts = [(0, script.name)]
        parts = []
        start = _lines(script.source)
        for library in libraries:
            self._starts.append((start, library.name))
            parts.append((library, "\n" * start + _without_hashbang(library.source)))
            start += _lines(library.source)
        #: Each file with the text to evaluate, in order.
        self.parts: tuple[tuple[Script, str], ...] = (*parts, (script, script.source))

    def source_of(self, name: str) -> str:
        """The text of one of the files."""
        files = (self.script, *self.libraries)
        return next((file.source for file in files if file.name == name), "")

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it that the engine means by a line number."""
        start, name = next(
            (found for found in reversed(self._starts) if line > found[0]), self._starts[0]
        )
        return name, line - start


def _lines(source: str) -> int:
    return len(_LINE_ENDS.findall(source)) + 2


def _without_hashbang(source: str) -> str:
    """The source, in which a first line for the shell is a comment wherever it stands."""
    return f"//{source}" if source.startswith("#!") else source
