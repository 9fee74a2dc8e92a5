"""Lists of parameters, as JavaScript and JSDoc write them; tolerant and bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Parameter", "clipped", "closing", "parameters_of", "split"]

_MAX_PARAMETERS = 40
#: Characters of a list that are looked at.
_MAX_LIST = 4000
_MAX_NAME = 80
_MAX_DEFAULT = 40
_MAX_TYPE = 80
_MAX_TEXT = 160

_TOKEN = re.compile(
    r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?"
    r"|`[^`]*+`?"
    r"|=>|[()\[\]{},=:]"
    r"|[^\"'`()\[\]{},=:]++|."
)
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_KEY = re.compile(r"(\.\.\.)?\s*(?:\"([^\"]*)\"|'([^']*)'|([\w$]+))\s*(\?)?")


@dataclass(frozen=True)
class Parameter:
    """One named argument.

    Attributes:
        name: its name, after ``...`` where it takes all others.
        default: JavaScript text of its default.
        type: JSDoc text of its type; empty if unknown.
        optional: whether it may be left out although it has no default.
        text: what the comment says about it.
    """

    name: str
    default: str | None = None
    type: str = ""
    optional: bool = False
    text: str = ""

    @classmethod
    def bounded(
        cls, name: str, default: str | None, type: str, optional: bool, text: str = ""
    ) -> Parameter:
        """A parameter whose parts are clipped."""
        return cls(
            clipped(name, _MAX_NAME),
            None if default is None else clipped(default, _MAX_DEFAULT),
            clipped(type, _MAX_TYPE),
            optional,
            clipped(text, _MAX_TEXT),
        )

    def __str__(self) -> str:
        if self.default is not None:
            return f"{self.name}={self.default}"
        return f"{self.name}?" if self.optional else self.name

    def to_wire(self) -> dict[str, object]:
        """As JSON values; what is not known is left out."""
        known: dict[str, object] = {"name": self.name}
        if self.default is not None:
            known["default"] = self.default
        if self.type:
            known["type"] = self.type
        if self.optional:
            known["optional"] = True
        if self.text:
            known["text"] = self.text
        return known


def clipped(text: str, limit: int) -> str:
    """The text on one line, at most ``limit`` characters of it, and nothing but printable ones."""
    words = " ".join(text[: 4 * limit].split())
    shown = "".join(c if c.isprintable() else "?" for c in words)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def closing(text: str, at: int) -> int | None:
    """Offset of the bracket that closes the one at ``at``; None if it is not found nearby."""
    open_: list[str] = []
    for found in _TOKEN.finditer(text, at, at + _MAX_LIST):
        token = found[0]
        if token in _PAIRS:
            open_.append(_PAIRS[token])
        elif token in ")]}":
            if not open_ or open_.pop() != token:
                return None
            if not open_:
                return found.start()
    return None


def split(text: str, mark: str = ",") -> Iterator[str]:
    """The pieces between marks that stand outside of brackets and text."""
    depth = start = 0
    for found in _TOKEN.finditer(text, 0, _MAX_LIST):
        token = found[0]
        if token in _PAIRS:
            depth += 1
        elif token in (")", "]", "}"):
            depth -= 1
        elif token == mark and depth == 0:
            yield text[start : found.start()]
            start = found.end()
    yield text[start:_MAX_LIST]


def parameters_of(text: str, *, typed: bool = False) -> tuple[Parameter, ...]:
    """The parameters inside of braces.

    Args:
        typed: what follows a colon is a type, as in JSDoc, and not another name.
    """
    found: list[Parameter] = []
    for piece in split(text.replace(";", ",") if typed else text):
        parameter = _parameter(piece.strip(), typed)
        if parameter is not None:
            found.append(parameter)
        if len(found) == _MAX_PARAMETERS:
            break
    return tuple(found)


def _parameter(piece: str, typed: bool) -> Parameter | None:
    key = _KEY.match(piece)
    if key is None:
        return None
    name = (key[1] or "") + (key[2] or key[3] or key[4] or "")
    rest = piece[key.end() :].lstrip()
    if typed:
        return Parameter.bounded(name, None, rest.removeprefix(":").strip(), bool(key[5]))
    _, equals, default = _partition(rest)
    return Parameter.bounded(name, default.strip() if equals else None, "", False)


def _partition(text: str) -> tuple[str, str, str]:
    """Around the first ``=`` outside of brackets and text."""
    before = next(split(text, "="))
    return before, text[len(before) : len(before) + 1], text[len(before) + 1 :]
