"""Which values cross the wire: JSON's, with nothing damaged silently."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from madrpc.config import MAX_SAFE_INTEGER
from madrpc.errors import InvalidArguments

__all__ = ["MAX_DEPTH", "check_args", "text_refusal", "walk"]

#: Deepest nesting of arguments and results. MessagePack readers stop at about 1 000 levels and the
#: C JSON encoder of Python 3.11 at about 990.
MAX_DEPTH = 500


def check_args(args: Any) -> None:
    """Look at every value.

    Raises:
        InvalidArguments: naming the first value that may not cross, and its path.
    """
    for path, value in walk(args):
        if len(path) > MAX_DEPTH:
            reason: str | None = f"nested deeper than {MAX_DEPTH} levels; send something flatter"
        else:
            reason = _refusal(value)
        if reason is not None:
            raise InvalidArguments(f"{_render(path)}: {reason}", {"path": _shown(path)})


Path = list[str | int]


def walk(root: Any) -> Iterator[tuple[Path, Any]]:
    """Every value with the path to it, without recursion.

    One path serves all values, so whoever keeps it must copy it: with one for each value that is
    still to be looked at, a byte on the wire would cost kilobytes.
    """
    path: list[str | int] = []
    yield path, root
    levels = [_children(root)]
    while levels:
        step = next(levels[-1], None)
        if step is None:
            levels.pop()
            if path:
                path.pop()
            continue
        key, value = step
        path.append(key)
        yield path, value
        if len(path) <= MAX_DEPTH:
            levels.append(_children(value))
        else:
            path.pop()


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    # Exact types: an extension type is a named tuple, and no array.
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value)) if type(value) in (list, tuple) else iter(())


def _refusal(value: Any) -> str | None:
    """Why a value may not cross, or None."""
    kind = type(value)
    if value is None or kind is bool:
        return None
    if isinstance(value, int):
        if abs(value) <= MAX_SAFE_INTEGER:
            return None
        # Python refuses to write numbers of thousands of digits.
        shown = str(value) if value.bit_length() < 200 else f"a {value.bit_length()}-bit integer"
        return f"{shown} is beyond +-(2**53 - 1), where JavaScript numbers lose digits; send text"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a JSON number"
    if isinstance(value, str):
        return text_refusal(value)
    if isinstance(value, dict):
        return next(filter(None, map(_key_refusal, value)), None)
    if kind in (list, tuple):
        return None
    return f"a {kind.__name__} is not a JSON value"


def _key_refusal(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"the key {key!r:.100} is not text"
    return text_refusal(key) and f"the key {key!r:.100} has a lone surrogate"


def text_refusal(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"the text has a lone surrogate at position {error.start}, which UTF-8 cannot carry"
    return None


def _shown(path: Path) -> list[str | int]:
    """The path for the error's data, no longer than an answer can bear."""
    return [step if isinstance(step, int) else str(step)[:100] for step in path[:50]]


def _render(path: Path) -> str:
    """The path as JavaScript would write it: ``args.items[3].price``."""
    parts = ["args"]
    for step in _shown(path):
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif step.isidentifier():
            parts.append(f".{step}")
        else:
            parts.append(f"[{step!r}]")
    text = "".join(parts)
    return text if len(text) <= 200 else f"{text[:100]}...{text[-90:]}"
