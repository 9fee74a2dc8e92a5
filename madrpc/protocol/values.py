"""Which values cross the wire: JSON's, with nothing damaged silently.

Arguments become one ASCII JSON text for the engine; the text the engine returns becomes a value
for the wire. Both directions run at the speed of the C encoder, and only a text that could hold a
problem is looked at value by value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from madrpc.config import MAX_SAFE_INTEGER
from madrpc.errors import InvalidArguments, ResultNotSerializable

__all__ = ["MAX_DEPTH", "args_to_json", "check_args", "result_from_json"]

#: Deepest nesting of arguments and results. MessagePack readers stop at about 1 000 levels and the
#: C JSON encoder of Python 3.11 at about 990.
MAX_DEPTH = 500

#: An integer of more digits is beyond 2**53 whatever they are.
_MOST_DIGITS = 20
# 16 digits in a row are the least that an integer beyond 2**53 - 1 needs.
_long_number = re.compile(r"[0-9]{16}").search
# What may be one: any escape of a surrogate, also those of proper pairs.
_lone_surrogate = re.compile(r"\\u[dD][89a-fA-F]").search
_encode = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def args_to_json(args: dict[str, Any]) -> str:
    """Encode arguments as ASCII JSON.

    Raises:
        InvalidArguments: with the path to the value that JSON, or a double, cannot carry.
    """
    try:
        text = _encode(args)
    except (TypeError, ValueError, RecursionError):
        check_args(args)
        raise
    if _may_be_too_deep(text) or _long_number(text) or _lone_surrogate(text):
        check_args(args)
    return text


def check_args(args: Any) -> None:
    """Look at every value.

    Raises:
        InvalidArguments: naming the first value that may not cross, and its path.
    """
    for path, value in _walk(args):
        if len(path) > MAX_DEPTH:
            reason: str | None = f"nested deeper than {MAX_DEPTH} levels; send something flatter"
        else:
            reason = _refusal(value)
        if reason is not None:
            raise InvalidArguments(f"{_render(path)}: {reason}", {"path": _shown(path)})


def result_from_json(text: str) -> Any:
    """Decode the JSON text a function's result became.

    Integers beyond 2**53 - 1 become the doubles that they were in JavaScript.

    Raises:
        ResultNotSerializable: for text with lone surrogates or too deep a nesting.
    """
    try:
        if _long_number(text):
            value = json.loads(text, parse_int=_exact_number, parse_float=_finite)
        else:
            value = json.loads(text, parse_float=_finite) if "e" in text else json.loads(text)
    except RecursionError:
        raise _too_deep_result() from None
    if _may_be_too_deep(text) and any(len(path) > MAX_DEPTH for path, _ in _walk(value)):
        raise _too_deep_result()
    if _lone_surrogate(text):
        _refuse_lone_surrogates(value)
    return value


def _exact_number(digits: str) -> int | float:
    if len(digits) > _MOST_DIGITS:
        return _finite(digits)
    number = int(digits)
    return number if abs(number) <= MAX_SAFE_INTEGER else _finite(digits)


def _finite(digits: str) -> float:
    # JSON.stringify writes no such number, but JSON.rawJSON lets a script write anything.
    number = float(digits)
    if not math.isfinite(number):
        raise ResultNotSerializable("the result has a number that no double can hold")
    return number


def _refuse_lone_surrogates(value: Any) -> None:
    for _, item in _walk(value):
        texts = item if isinstance(item, dict) else [item] if isinstance(item, str) else ()
        if any(_text_refusal(text) for text in texts):
            raise ResultNotSerializable(
                "the result has text with a lone surrogate, which UTF-8 cannot carry"
            )


def _too_deep_result() -> ResultNotSerializable:
    return ResultNotSerializable(
        f"the result is nested deeper than {MAX_DEPTH} levels; return something flatter"
    )


def _may_be_too_deep(text: str) -> bool:
    # Every level opens one bracket, so a text with fewer brackets cannot be too deep.
    return text.count("[") + text.count("{") > MAX_DEPTH


Path = list[str | int]


def _walk(root: Any) -> Iterator[tuple[Path, Any]]:
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
        return _text_refusal(value)
    if isinstance(value, dict):
        return next(filter(None, map(_key_refusal, value)), None)
    if kind in (list, tuple):
        return None
    return f"a {kind.__name__} is not a JSON value"


def _key_refusal(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"the key {key!r:.100} is not text"
    return _text_refusal(key) and f"the key {key!r:.100} has a lone surrogate"


def _text_refusal(text: str) -> str | None:
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
