"""Which V8 this is, and how fast; importing it does not load V8, measuring does."""

from __future__ import annotations

import importlib.metadata

from madrpc.config import EngineLimits
from madrpc.engine import v8_library
from madrpc.engine.build import LOOP, LOOP_STEPS, seconds
from madrpc.engine.v8_library import Isolate

__all__ = ["NAME", "isolate_us", "loop_rate", "package_version", "version"]

NAME = "mini-racer"
_ISOLATES = 30
_LIMITS = EngineLimits()


def package_version() -> str:
    """Version of the package."""
    return importlib.metadata.version(NAME)


def version() -> str:
    """Version of V8."""
    v8_library.load(_LIMITS)
    return v8_library.version()


def loop_rate() -> float:
    """Steps of an integer loop in a second, the best of three."""
    v8_library.load(_LIMITS)
    isolate = Isolate(_LIMITS)
    try:
        return LOOP_STEPS / min(seconds(lambda: isolate.eval(LOOP)) for _ in range(3))
    finally:
        isolate.close()


def isolate_us() -> float:
    """Microseconds to make and free an isolate."""
    v8_library.load(_LIMITS)
    return seconds(_make_isolates) / _ISOLATES * 1e6


def _make_isolates() -> None:
    for _ in range(_ISOLATES):
        isolate = Isolate(_LIMITS)
        isolate.eval("1")
        isolate.close()
