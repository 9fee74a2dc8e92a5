"""Function arguments as people type them on a command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madrpc.engine.excerpt import excerpt
from madrpc.errors import InvalidArguments

__all__ = ["parse_arguments"]


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Read one JSON object, key=value pairs, ``@file`` or ``-``.

    Raises:
        InvalidArguments: with the place of the mistake.
    """
    if not words:
        return {}
    first = words[0]
    if len(words) == 1 and first == "-":
        return _object(sys.stdin.read(), "standard input")
    if len(words) == 1 and first.startswith("@"):
        return _object(_read(first[1:]), first[1:])
    if len(words) == 1 and first.lstrip().startswith("{"):
        return _object(first, "the argument")
    return dict(map(_pair, words))


def _pair(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise InvalidArguments(
            f"{word!r} is neither key=value nor a JSON object; "
            "write a=5 b=3, or one object such as '{\"a\": 5}'"
        )
    try:
        return key, json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return key, text


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidArguments(f"cannot read {path}: {reason}") from error
    except UnicodeDecodeError as error:
        raise InvalidArguments(
            f"cannot read {path}: it is not UTF-8 text (byte {error.start})"
        ) from error


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidArguments(_pointed(text, where, error)) from error
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"{where} has a number or a nesting too large to be read") from error
    if not isinstance(value, dict):
        raise InvalidArguments(f"{where} holds {type(value).__name__}, not an object such as {{}}")
    return value


def _pointed(text: str, where: str, error: json.JSONDecodeError) -> str:
    """The mistake with the line it is in and a caret under it."""
    what = f"{where} is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
    shown = excerpt(text, error.lineno, error.colno)
    return f"{what}\n{shown}" if shown else what
