"""Which engine runs the scripts: the one place that knows them by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Final

from madrpc.config import EngineLimits
from madrpc.engine.interface import Engine, Script
from madrpc.errors import ScriptError

__all__ = ["ENGINES", "EngineMaker", "is_threaded", "load_engine", "problem_with"]

#: The engines, the default one first.
ENGINES: Final = ("quickjs", "v8")

#: Makes the engine from scripts.
EngineMaker = Callable[[Sequence[Script]], Engine]


def problem_with(name: str) -> str | None:
    """Why an engine is not to be had here, and what to do, as a sentence; None if it is."""
    if name == "v8" and importlib.util.find_spec("py_mini_racer") is None:
        return (
            "--engine v8 needs the package mini-racer, which is not installed; "
            "pip install 'madrpc[v8]'"
        )
    return None


def is_threaded(name: str) -> bool:
    """Whether the engine makes threads: it then cannot fork, and V8 reserves terabytes besides."""
    return name == "v8"


def load_engine(name: str, limits: EngineLimits) -> EngineMaker:
    """Load an engine's library into this process; what is returned takes the scripts.

    A process that is to be sandboxed does so in between: loading reads files, and what the scripts
    do on loading is as foreign as the rest.

    Raises:
        ScriptError: its package is not installed.
    """
    problem = problem_with(name)
    if problem is not None:
        raise ScriptError(problem)
    if name == "v8":
        from madrpc.engine import v8_library
        from madrpc.engine.v8 import V8Engine

        v8_library.load(limits)
        return lambda scripts: V8Engine(scripts, limits)
    from madrpc.engine.quickjs import QuickJSEngine

    return lambda scripts: QuickJSEngine(scripts, limits)
