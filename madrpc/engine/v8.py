"""V8 behind the engine interface: each call in an isolate of its own.

Compute-heavy functions run many times faster than on QuickJS, and a fresh isolate costs about
twenty times what a fresh context of QuickJS does; docs/engines.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from madrpc.config import EngineLimits
from madrpc.engine import v8_library
from madrpc.engine.environment import WEB
from madrpc.engine.interface import Script
from madrpc.engine.program import ENGINE_FILE
from madrpc.engine.runtime import Kind
from madrpc.engine.scripted import ScriptEngine
from madrpc.engine.v8_library import Isolate, V8Error

__all__ = ["V8Engine"]

#: Without what waits in the middle of a call, and what holds memory and code that no limit sees.
_SHELL = "delete globalThis.WebAssembly;delete Atomics.wait;delete Atomics.waitAsync;"
#: Has V8 call a text by the name that every engine's texts have.
_NAMED = f"\n//# sourceURL={ENGINE_FILE}"
#: What V8 says of an error: place and text, the source line, a mark below it, and the stack.
_REPORT = re.compile(r"\A[^\n]*?:(\d+): (.*?)\n[^\n]*\n( *)\^+\n(.*)\Z", re.DOTALL)


#: A frame that has no function: V8 leaves out its name and the brackets.
_NAMELESS = re.compile(rf"^(\s+at (?:async )?)({re.escape(ENGINE_FILE)}:\d+:\d+)$", re.MULTILINE)


class _Realm(Isolate):
    """An isolate that names what it evaluates, and tells failures as QuickJS does."""

    __slots__ = ()

    def eval(self, source: str) -> object:
        try:
            return super().eval(source + _NAMED)
        except V8Error as error:
            raise V8Error(_as_stack(str(error))) from None


def _as_stack(report: str) -> str:
    """The thrown value on the first line, and the frames below."""
    found = _REPORT.match(report)
    if found is None:
        return report
    line, text, indent, stack = found.groups()
    if "\n    at " in stack:
        return _tidy(stack.strip())
    if line == "0":
        return text  # it does not know where
    return f"{text}\n    at {ENGINE_FILE}:{line}:{len(indent) + 1}"


def _tidy(stack: str) -> str:
    """The stack with a name for every frame, and without that of the object the host calls on."""
    return _NAMELESS.sub(r"\1<anonymous> (\2)", stack.replace("    at Object.", "    at "))


_V8 = Kind(_Realm, Isolate.close, V8Error, tidy=_tidy, shell=_SHELL, web=WEB)


class V8Engine(ScriptEngine):
    """Runs calls of a fixed set of scripts, each in a fresh V8 isolate.

    V8 must have been loaded.
    """

    def __init__(self, scripts: Sequence[Script], limits: EngineLimits) -> None:
        super().__init__(_V8, scripts, limits)

    @property
    def is_worn(self) -> bool:
        """Whether the process has grown far beyond the heap limit."""
        return self._grown > 3 * self.limits.memory_bytes

    @property
    def is_broken(self) -> bool:
        """Whether V8 gave up."""
        return v8_library.gave_up()

    @property
    def null_is_memory(self) -> bool:
        """V8 says so when it is out of memory."""
        return False
