"""Which build of the engine this is, and how fast."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable

import quickjs

__all__ = [
    "LOOP",
    "LOOP_STEPS",
    "NAME",
    "context_us",
    "has_rival",
    "is_ready_made",
    "loop_rate",
    "seconds",
    "version",
]

NAME = "quickjs-ng"
#: The archived package that takes the same module name.
_RIVAL = "quickjs"
#: On one processor the ready-made wheel does about a third of the steps that a local build does.
LOOP_STEPS = 3_000_000
LOOP = f"(() => {{ let x = 0; for (let i = 0; i < {LOOP_STEPS}; i++) x = (x + i * 7) & 1023 }})()"
_CONTEXTS = 300


def version() -> str:
    """Version of the package."""
    return importlib.metadata.version(NAME)


def has_rival() -> bool:
    """Whether the archived package is installed as well."""
    try:
        importlib.metadata.distribution(_RIVAL)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def is_ready_made() -> bool:
    """Whether the engine came as a wheel, whose tag then says that it is for many machines."""
    tags = importlib.metadata.distribution(NAME).read_text("WHEEL") or ""
    return any(kind in tags for kind in ("manylinux", "musllinux", "macosx"))


def loop_rate() -> float:
    """Steps of an integer loop in a second, the best of three."""
    context = quickjs.Context()
    return LOOP_STEPS / min(seconds(lambda: context.eval(LOOP)) for _ in range(3))


def context_us() -> float:
    """Microseconds to make and free a context."""
    return seconds(lambda: [quickjs.Context() for _ in range(_CONTEXTS)]) / _CONTEXTS * 1e6


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
