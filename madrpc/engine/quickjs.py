"""QuickJS (quickjs-ng) behind the engine interface."""

from __future__ import annotations

from collections.abc import Sequence

import quickjs

from madrpc.config import EngineLimits
from madrpc.engine.interface import Script
from madrpc.engine.runtime import Kind
from madrpc.engine.scripted import ScriptEngine

__all__ = ["QuickJSEngine"]


def _open(limits: EngineLimits) -> quickjs.Context:
    context = quickjs.Context()
    context.set_memory_limit(limits.memory_bytes)
    context.set_max_stack_size(limits.stack_bytes)
    return context


def _close(context: quickjs.Context) -> None:
    """It is freed with the last reference."""


def _heap_bytes(context: quickjs.Context) -> int:
    return int(context.memory()["memory_used_size"])


_QUICKJS = Kind(_open, _close, quickjs.JSException, _heap_bytes)


class QuickJSEngine(ScriptEngine):
    """Runs calls of a fixed set of scripts, each in a fresh QuickJS context."""

    def __init__(self, scripts: Sequence[Script], limits: EngineLimits) -> None:
        super().__init__(_QUICKJS, scripts, limits)
