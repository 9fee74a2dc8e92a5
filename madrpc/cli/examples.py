"""A command line that calls a function, made from its description."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["example_call"]

_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_TEXT = "hello"


def example_call(address: str, details: Mapping[str, Mapping[str, Any]]) -> str:
    """A call of a function whose arguments can be guessed; the first function, if there is none.

    Args:
        details: by name, what ``client.methods(details=True)`` returns; not empty.
    """
    for name, found in details.items():
        words = _arguments(found["params"])
        if words is not None and not found["signature"].endswith("(...)"):
            return shlex.join(["madrpc", "call", address, name, *words])
    return shlex.join(["madrpc", "call", address, next(iter(details))])


def _arguments(params: list[Mapping[str, Any]]) -> list[str] | None:
    """Values for the parameters that need one; None if a value cannot be guessed."""
    words: list[str] = []
    for parameter in params:
        if "default" in parameter or parameter.get("optional") or parameter["name"][:3] == "...":
            continue
        value = _value(str(parameter.get("type", "")), len(words) + 1)
        if value is None or not _NAME.fullmatch(parameter["name"]):
            return None
        words.append(f"{parameter['name']}={value}")
    return words


def _value(kind: str, number: int) -> str | None:
    """Text of a value of a JSDoc type; a number where the type is not known."""
    known = {"": number, "number": number, "string": _TEXT, "boolean": True, "*": number}
    if kind == "string":
        return _TEXT
    if kind in known:
        return json.dumps(known[kind])
    item = kind.removesuffix("[]")
    if item != kind and item in known:
        return json.dumps([known[item]])
    return None
