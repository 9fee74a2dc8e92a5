"""What the engine says, as errors of the tree and in words a script's author knows."""

from __future__ import annotations

import re

from madrpc.config import EngineLimits
from madrpc.engine.excerpt import excerpt
from madrpc.engine.interface import Script
from madrpc.engine.program import ENGINE_FILE, Program
from madrpc.errors import (
    InternalError,
    JavaScriptError,
    MadrpcError,
    MemoryLimitExceeded,
    ResultNotSerializable,
    ScriptError,
    StackLimitExceeded,
    TimeLimitExceeded,
)

__all__ = ["error_from_parts", "error_from_text", "script_error", "with_places"]

_POSITION = re.compile(re.escape(ENGINE_FILE) + r":(\d+)(?::(\d+))?")
# A frame without a function is a place in source text. Where frames follow it, the text is one that
# they were parsing: JSON, or an argument of eval.
_PARSED_TEXT = re.compile(
    r"^(\s+at )" + re.escape(ENGINE_FILE) + r"(:\d+:\d+)(?=\n.)", re.MULTILINE
)
_NO_MODULES = re.compile(r"ReferenceError: '?(?:require|module|exports)'? is not defined")
_MODULE_LINE = re.compile(r"\s*(?:import|export)\b(?!\s*\()")
#: V8 has the error itself above the frames.
_FIRST_FRAME = re.compile(r"^\s+at ", re.MULTILINE)
#: A frame of madrpc's own; V8 puts a word or the name of an object before it.
_HOST_FRAME = re.compile(r"^\s+at (?:async |new |[\w$]+\.)*__madrpc")
_OUT_OF_MEMORY = {"out of memory", "string too long", "invalid array buffer length"}
#: What V8 throws where it is asked for more than it can have at once.
_TOO_MUCH = {"Array buffer allocation failed", "Invalid string length"}
_STACK_OVERFLOW = ("Maximum call stack size exceeded", "stack overflow")


def clean_stack(stack: str, program: Program) -> str:
    """The stack with the files' own names and lines, and without madrpc's frames."""
    frames = _FIRST_FRAME.search(stack)
    if frames is not None:
        stack = stack[frames.start() :]
    lines = _PARSED_TEXT.sub(r"\1<text>\2", stack).splitlines()
    kept = "\n".join(line for line in lines if not _HOST_FRAME.match(line))
    return with_places(kept, program)


def with_places(text: str, program: Program) -> str:
    """The text with the files' own names and lines in place of the engine's."""

    def place(found: re.Match[str]) -> str:
        name, line = program.place(int(found[1]))
        return f"{name}:{line}:{found[2]}" if found[2] else f"{name}:{line}"

    return _POSITION.sub(place, text)


def error_from_parts(
    name: str, message: str, stack: str, program: Program, limits: EngineLimits
) -> MadrpcError:
    """The error for a value the function threw."""
    if name == "InternalError" and message in _OUT_OF_MEMORY:
        return memory_error(limits)
    if name == "RangeError" and message in _TOO_MUCH:
        return memory_error(limits)
    if name in ("RangeError", "InternalError") and message.startswith(_STACK_OVERFLOW):
        return stack_error(limits)
    message = _clip(message, limits.message_chars)
    if name == JavaScriptError.__name__:
        # A failed nested call that the function let pass: its message has the first name already.
        shown = message
    else:
        shown = f"{name}: {message}" if name and message else name or message or "(no message)"
    return JavaScriptError(
        _clip(shown, limits.message_chars),
        {
            "name": _clip(name or "Error", 200),
            "message": message,
            "stack": _clip(clean_stack(stack, program), limits.stack_chars),
        },
    )


def error_from_text(text: str, program: Program, limits: EngineLimits) -> MadrpcError:
    """The error for a failure that JavaScript could not catch, from the binding's text."""
    first, _, stack = text.partition("\n")
    if first.startswith("InternalError: interrupted"):
        return time_error(limits)
    if first in ("null", "out of memory", "InternalError: out of memory"):
        return memory_error(limits)
    name, colon, message = first.partition(": ")
    if not first:
        return InternalError("the engine failed without a word")
    if not colon:
        # Something that is no Error, thrown where nothing could catch it.
        name, message = "", first
    return error_from_parts(name, message, stack, program, limits)


def script_error(text: str, program: Program, script: Script) -> ScriptError:
    """The error for a program that failed while ``script`` was loaded, from the binding's text."""
    message, _, stack = text.partition("\n")
    where, shown = script.name, ""
    data: dict[str, object] = {"file": where}
    frames = _PARSED_TEXT.sub("", stack).splitlines()
    kept = (line for line in frames if not _HOST_FRAME.match(line))
    position = next((found for found in map(_POSITION.search, kept) if found), None)
    if position is not None:
        name, line = program.place(int(position[1]))
        column = int(position[2] or 0)
        data = {"file": name, "line": line, "column": column}
        where = f"{name}:{line}:{column}"
        source = program.source_of(name)
        shown = excerpt(source, line, column)
        if _NO_MODULES.fullmatch(message) or _is_module(source, line):
            message += "; scripts have no modules: bundle them into one file, as with esbuild"
    text = f"{where}: {_clip(message, 1000) or 'the script threw nothing'}"
    return ScriptError(f"{text}\n{shown}" if shown else text, data)


def _is_module(source: str, line: int) -> bool:
    lines = source.split("\n", line)
    return len(lines) >= line and _MODULE_LINE.match(lines[line - 1]) is not None


def time_error(limits: EngineLimits) -> TimeLimitExceeded:
    return TimeLimitExceeded(
        f"the function ran longer than the node's limit of {limits.time_s:g} s "
        "(--time-limit) and was stopped",
        {"limit_s": limits.time_s},
    )


def memory_error(limits: EngineLimits) -> MemoryLimitExceeded:
    mib = limits.memory_bytes / 2**20
    return MemoryLimitExceeded(
        f"the function needed more than the heap limit of {mib:g} MiB (--memory-limit)",
        {"limit_bytes": limits.memory_bytes},
    )


def stack_error(limits: EngineLimits) -> StackLimitExceeded:
    return StackLimitExceeded(
        f"the recursion was too deep for the engine stack of {limits.stack_bytes // 1024} KiB",
        {"limit_bytes": limits.stack_bytes},
    )


def not_serializable(message: str) -> ResultNotSerializable:
    return ResultNotSerializable(
        f"the result cannot be written as JSON: {message}; return plain objects, arrays, "
        "text, numbers, booleans or null"
    )


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
