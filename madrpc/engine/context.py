"""One runtime with the host function, what a program's sources mention, and the program."""

from __future__ import annotations

import json
import time
from typing import Any

from madrpc.config import MAX_METHOD_BYTES, EngineLimits
from madrpc.engine import jserrors, prelude
from madrpc.engine.environment import CONTROL
from madrpc.engine.interface import LogLine, Script
from madrpc.engine.program import Program
from madrpc.engine.runtime import Kind
from madrpc.errors import ScriptError

__all__ = ["Context", "first_load"]

_LOAD_TOO_LONG = "its promise jobs did not come to an end within the time limit"
_now = time.monotonic


class Context:
    """A runtime with the host function and one program loaded."""

    __slots__ = (
        "_close",
        "_first_digit",
        "_heap_bytes",
        "_reseed",
        "calls",
        "control",
        "failure",
        "host",
        "js",
        "program",
        "tidy",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        program: Program,
        limits: EngineLimits,
        *,
        seed: str | None = None,
        load: bool = True,
    ) -> None:
        self.program = program
        self.failure = kind.failure
        self.tidy = kind.tidy
        self._close = kind.close
        self._heap_bytes = kind.heap_bytes
        self.js = kind.open(limits)
        self.host = self.js.eval(kind.shell + prelude.HOST)
        if kind.web and program.environment.web:
            self.js.eval(kind.web)
        self.calls = self.js.eval(prelude.CALL) if program.environment.calls else None
        self.control = self._furnish(seed)
        if load:
            self.load(limits)
            self.logs(forget=True)  # every context of the program writes the same

    def _furnish(self, seed: str | None) -> Any:
        """Put in what the sources mention; return the function that speaks with it, if any."""
        environment = self.program.environment
        drawn = environment.draw(seed)
        self._reseed = None
        self._first_digit = 0.0
        if environment.random:
            self._first_digit = environment.random_state(drawn)[0]
            self._reseed = self.js.eval(environment.random_source(drawn))
        if not environment.pieces:
            return None
        control = self.js.eval(CONTROL)
        for piece in environment.pieces:
            control("define", piece.names, piece.source, environment.data_for(piece, drawn))
        return control

    def load(self, limits: EngineLimits) -> None:
        """Evaluate the libraries and the script.

        Raises:
            ScriptError: with the position, where the engine gives one.
        """
        self.js.set_time_limit(limits.time_s)
        ends = _now() + limits.time_s
        for script, source in self.program.parts:
            # What a library writes was taken when it was loaded for itself.
            self.logs(forget=True)
            try:
                self.js.eval(source)
                while self.js.execute_pending_job():
                    if _now() > ends:
                        raise jserrors.script_error(_LOAD_TOO_LONG, self.program, script)
            except self.failure as error:
                raise jserrors.script_error(str(error), self.program, script) from None
            except UnicodeEncodeError:
                raise ScriptError(
                    f"{script.name} has a lone surrogate; save it as UTF-8", {"file": script.name}
                ) from None

    def logs(self, *, forget: bool = False) -> list[LogLine]:
        """Take what was written to the console; ``forget`` leaves the whole cap to what follows."""
        taken = self.control and self.control("logs", forget)
        if not taken:
            return []
        return [
            LogLine(level, jserrors.with_places(_without_surrogates(text), self.program))
            for level, text in json.loads(json.loads(taken))
        ]

    def heap_bytes(self) -> int | None:
        """JavaScript heap in use now, if the runtime can tell."""
        return self._heap_bytes(self.js)

    def close(self) -> None:
        """Free the context, whoever still holds this object."""
        if self.js is not None:
            self._close(self.js)
        self._reseed = self.host = self.calls = self.control = self.js = None

    def reseed(self) -> bool:
        """Give Math.random and crypto states of their own.

        For a context that came from another process. Returns whether numbers had been drawn.

        Raises:
            Exception: the failure of this kind of runtime; the script has replaced what this needs.
        """
        environment = self.program.environment
        drawn = environment.draw(None)
        was_used = False
        if self._reseed is not None:
            state = environment.random_state(drawn)
            was_used = self._reseed(*state) != self._first_digit
            self._first_digit = state[0]
        if environment.has_crypto:
            blocks = self.control("reseed", environment.crypto_key(drawn))
            was_used = was_used or bool(blocks)
        return was_used


def _without_surrogates(text: str) -> str:
    """The text with a question mark for each half of a character, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode("utf-8")


def first_load(
    kind: Kind, program: Program, limits: EngineLimits
) -> tuple[list[str], list[LogLine]]:
    """Load a program with every check; return the names it registered and what it wrote."""
    context = Context(kind, program, limits, load=False)
    names_of = context.js.eval(prelude.REGISTER_CHECKS)
    context.load(limits)
    names: list[str] = json.loads(json.loads(names_of()))
    for name in names:
        _check_name(name, program.script)
    return names, context.logs()


def _check_name(name: str, script: Script) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ScriptError(
            f"{script.name} registers a name with a lone surrogate: {name!r:.60}",
            {"file": script.name},
        ) from None
    if size > MAX_METHOD_BYTES:
        raise ScriptError(
            f"{script.name} registers a name over {MAX_METHOD_BYTES} bytes: {name[:40]}...",
            {"file": script.name},
        )
