"""What an engine is: load scripts once, then run each call in a context of its own.

An execution advances in steps. A step ends it (``Done``, or an error from the tree) or says what
it waits for (``Waiting``); feeding a nested result takes the next step. Values cross as JSON text
and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from madrpc.config import EngineLimits
from madrpc.errors import ScriptError

__all__ = [
    "Call",
    "Done",
    "Engine",
    "Execution",
    "LogLine",
    "NestedCall",
    "Script",
    "Step",
    "Waiting",
]


@dataclass(frozen=True)
class Script:
    """One JavaScript file: the name errors show, and its text."""

    name: str
    source: str

    @property
    def sha256(self) -> str:
        """Hash of the text, hexadecimal."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @classmethod
    def read(cls, path: str) -> Script:
        """Read a script file.

        Raises:
            ScriptError: it cannot be read, or is not UTF-8 text without NUL.
        """
        try:
            source = Path(path).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ScriptError(
                f"cannot read {path}: {error.strerror}; give the path of a JavaScript file",
                {"file": path},
            ) from error
        except UnicodeDecodeError as error:
            raise ScriptError(
                f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8", {"file": path}
            ) from error
        if "\0" in source:
            raise ScriptError(f"{path} has a NUL character; remove it", {"file": path})
        return cls(Path(path).name, source)


@dataclass(frozen=True, slots=True)
class Call:
    """One call to run.

    Attributes:
        method: name of a registered function.
        args: its argument, as JSON text.
        time_s: seconds it may use.
        seed: makes what is random in the call reproducible: the same text, the same numbers, on
            every node. None draws them from the system.
    """

    method: str
    args: str
    time_s: float
    seed: str | None = None


@dataclass(frozen=True, slots=True)
class NestedCall:
    """A call the function made with ``madrpc.call``; ``id`` is unique within its execution."""

    id: int
    method: str
    args: str


@dataclass(frozen=True, slots=True)
class Done:
    """The function returned; ``result`` is JSON text."""

    result: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The function waits for nested calls, for a timer, or for both.

    Attributes:
        calls: nested calls made since the last step.
        wake_in_s: seconds until ``wake`` has something to do; None if no timer is set.
    """

    calls: Sequence[NestedCall]
    wake_in_s: float | None = None


Step = Done | Waiting


class LogLine(NamedTuple):
    """What one call of console's methods wrote; ``level`` is debug, info, warn or error."""

    level: str
    text: str


class Execution(Protocol):
    """One call in its own context."""

    def start(self) -> Step:
        """Run until the function returns or waits.

        Raises:
            MadrpcError: how the call ended otherwise.
        """

    def feed(self, id: int, *, result: str | None, error: Mapping[str, object] | None) -> Step:
        """Settle one nested call with its JSON result or its error map, and run on.

        Raises:
            MadrpcError: how the call ended otherwise.
        """

    def wake(self) -> Step:
        """Fire the timers that are due, ``wake_in_s`` after the step that told it, and run on.

        Raises:
            MadrpcError: how the call ended otherwise.
        """

    def logs(self) -> list[LogLine]:
        """What the function wrote to the console since this was last asked, up to a cap.

        It works after every step and after an error, until the execution is closed.
        """

    def heap_bytes(self) -> int | None:
        """JavaScript heap in use now; None where the engine cannot tell.

        It may walk the heap, so it is asked only for calls that want to know.
        """

    def close(self) -> None:
        """Free the context."""


class Engine(Protocol):
    """Runs calls of a fixed set of scripts."""

    limits: EngineLimits

    @property
    def methods(self) -> Mapping[str, Script]:
        """The registered functions, each with the script it is in."""

    @property
    def startup_logs(self) -> Sequence[tuple[Script, LogLine]]:
        """What each script wrote to the console when it was loaded for the first time."""

    def execution(self, call: Call) -> Execution:
        """A fresh context, ready to run the call; ``call.method`` must be in ``methods``."""

    @property
    def load_s(self) -> float:
        """Seconds that the slowest script a fork could spare the loading of needs for it."""

    @property
    def is_worn(self) -> bool:
        """Whether a call has stretched this process's memory so far that a new one is better."""

    @property
    def is_broken(self) -> bool:
        """Whether it can run nothing any more, so that this process has to end now."""

    def forked(self) -> None:
        """Note that this is a new process, forked from the one that loaded the scripts."""

    def prepare_all(self) -> list[Script]:
        """Build a spare context for every script; return those that draw random numbers in it."""

    def prepare(self) -> bool:
        """Build a spare context if one is missing; False if there was nothing to do."""
