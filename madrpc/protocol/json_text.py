"""Arguments and results as the JSON text that enters and leaves an engine.

Both directions run at the speed of a C encoder, and only a text that could hold a problem is looked
at value by value. orjson, where it is installed, does most of the looking itself: what it writes
with integers held to 53 bits is nested less than 255 levels deep and has no half characters. What
it refuses or would do otherwise (NaN) falls back on the standard library's encoder, so results do
not depend on it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from madrpc.config import MAX_SAFE_INTEGER
from madrpc.errors import ResultNotSerializable
from madrpc.protocol.packing import pack
from madrpc.protocol.values import MAX_DEPTH, check_args, text_refusal, walk

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

__all__ = ["args_to_json", "result_from_json"]

_UNSURE: Final = object()
#: Subclasses and the like are not what they look like; an integer beyond 53 bits is an error.
_STRICTLY: Final = (
    0
    if orjson is None
    else orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_STRICT_INTEGER
)

#: An integer of more digits is beyond 2**53 whatever they are.
_MOST_DIGITS = 20
_DIGITS = str.maketrans("123456789", "000000000")
#: 16 digits in a row are the least that an integer beyond 2**53 - 1 needs.
_LONG_NUMBER = "0" * 16
#: Three digits are the least that an exponent beyond the largest double needs.
_BIG_EXPONENTS = ("e+000", "e000", "E+000", "E000")
#: How a packed number begins that is not finite; other bytes may look like one.
_not_finite = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]").search
# What may be one: any escape of a surrogate, also those of proper pairs.
_lone_surrogate = re.compile(r"\\u[dD][89a-fA-F]").search
#: Levels taken off a flat text before it is looked at value by value.
_FLAT = 32
_NO_BRACKETS = bytes(n for n in range(256) if n not in b"[]{}")
_encode = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def args_to_json(args: dict[str, Any]) -> str:
    """Encode arguments as JSON text without raw control characters.

    Args:
        args: as MessagePack or JSON are decoded; enumerations and the like never come of these.

    Raises:
        InvalidArguments: with the path to the value that JSON, or a double, cannot carry.
    """
    text = _encode_quickly(args)
    if text is not None:
        return text
    try:
        text = _encode(args)
    except (TypeError, ValueError, RecursionError):
        check_args(args)
        raise
    if _LONG_NUMBER in text.translate(_DIGITS) or _lone_surrogate(text) or _may_be_too_deep(text):
        check_args(args)
    return text


def _encode_quickly(args: dict[str, Any]) -> str | None:
    """What orjson makes of the arguments, if that is sure to be what it should be."""
    if orjson is None:
        return None
    try:
        text = orjson.dumps(args, option=_STRICTLY)
    except TypeError:
        return None
    # It writes null for what is not finite.
    if b"null" in text and _not_finite(pack(args)):
        return None
    return text.decode()


def result_from_json(text: str) -> Any:
    """Decode the JSON text a function's result became.

    Integers beyond 2**53 - 1 become the doubles that they were in JavaScript.

    Raises:
        ResultNotSerializable: for text with lone surrogates or too deep a nesting.
    """
    value = _decode_quickly(text)
    return _decode_carefully(text) if value is _UNSURE else value


def _decode_quickly(text: str) -> Any:
    """The value, if orjson finds nothing in it that needs a closer look."""
    if orjson is None:
        return _UNSURE
    try:
        value = orjson.loads(text)
        orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except (TypeError, ValueError):
        return _UNSURE
    return value


def _decode_carefully(text: str) -> Any:
    digits = text.translate(_DIGITS)
    try:
        if _LONG_NUMBER in digits:
            value = json.loads(text, parse_int=_exact_number, parse_float=_finite)
        elif any(exponent in digits for exponent in _BIG_EXPONENTS):
            value = json.loads(text, parse_float=_finite)
        else:
            value = json.loads(text)
    except RecursionError:
        raise _too_deep_result() from None
    if _may_be_too_deep(text) and any(len(path) > MAX_DEPTH for path, _ in walk(value)):
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
    for _, item in walk(value):
        texts = item if isinstance(item, dict) else [item] if isinstance(item, str) else ()
        if any(text_refusal(text) for text in texts):
            raise ResultNotSerializable(
                "the result has text with a lone surrogate, which UTF-8 cannot carry"
            )


def _too_deep_result() -> ResultNotSerializable:
    return ResultNotSerializable(
        f"the result is nested deeper than {MAX_DEPTH} levels; return something flatter"
    )


def _may_be_too_deep(text: str) -> bool:
    """Whether only a look at every value can tell that the nesting is not too deep."""
    # Every level opens one bracket, so a text with fewer brackets cannot be too deep.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    # Outside of texts, which are every second part between the quotes, brackets come in pairs.
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    brackets = "".join(text.split('"')[::2]).encode("utf-8", "replace")
    brackets = brackets.translate(None, _NO_BRACKETS)
    for _ in range(_FLAT):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return True
