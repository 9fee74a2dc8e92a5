"""An engine that loads scripts and gives each call a fresh context, of either kind."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence

from madrpc.config import EngineLimits
from madrpc.engine.context import Context, first_load
from madrpc.engine.execution import ContextExecution
from madrpc.engine.interface import Call, LogLine, Script
from madrpc.engine.program import Program
from madrpc.engine.runtime import Kind
from madrpc.errors import MadrpcError, ScriptError

__all__ = ["ScriptEngine", "peak_rss"]

#: A spare context holds the script's loaded state, so only so many are kept.
_MAX_SPARES = 4
_now = time.monotonic


class ScriptEngine:
    """Runs calls of a fixed set of scripts, each in a fresh context.

    A script that registers no function is a library: it is evaluated before each of the scripts
    that come after it, in the same context.

    Raises:
        ScriptError: a script failed to load, is of no use, or used a name twice.
    """

    def __init__(self, kind: Kind, scripts: Sequence[Script], limits: EngineLimits) -> None:
        self.kind = kind
        self.limits = limits
        self.methods: dict[str, Script] = {}
        self.startup_logs: list[tuple[Script, LogLine]] = []
        self._programs: dict[str, Program] = {}
        self._spares: dict[Program, Context] = {}
        self._last_used: Program | None = None
        self._base_rss = peak_rss()
        self._is_forked = False
        self._never_freed: list[Context] = []
        self.load_s = 0.0
        self._load(scripts)

    def _load(self, scripts: Sequence[Script]) -> None:
        libraries: list[Script] = []
        for script in scripts:
            program = Program(script, libraries)
            began = _now()
            names, logs = first_load(self.kind, program, self.limits)
            self.load_s = max(self.load_s, self._load_time(program, _now() - began))
            self.startup_logs += [(script, line) for line in logs]
            if names:
                self._register(program, names)
                self._last_used = self._last_used or program
            else:
                libraries.append(script)
        if libraries and (not self.methods or scripts[-1] is libraries[-1]):
            raise _no_functions(libraries, is_all=not self.methods)

    def _load_time(self, program: Program, first_s: float) -> float:
        """How long loading takes: measured again, as caches were cold and the machine is busy."""
        began = _now()
        Context(self.kind, program, self.limits)
        return min(first_s, _now() - began)

    def _register(self, program: Program, names: Sequence[str]) -> None:
        script = program.script
        for name in names:
            other = self.methods.get(name)
            if other is not None:
                raise ScriptError(
                    f"{script.name} registers {name!r}, which {other.name} has registered already; "
                    "rename one of them",
                    {"file": script.name, "method": name},
                )
            self.methods[name] = script
            self._programs[name] = program

    def execution(self, call: Call) -> ContextExecution:
        """A fresh context, ready to run the call."""
        program = self._last_used = self._programs[call.method]
        # The seed must be there before the script is evaluated, so no spare will do.
        seeded = call.seed is not None and program.environment.seedable
        context = None if seeded else self._spares.pop(program, None)
        return ContextExecution(
            self, context or Context(self.kind, program, self.limits, seed=call.seed), call
        )

    @property
    def is_worn(self) -> bool:
        """Whether the process has grown by half the heap limit since it was made."""
        return self._grown > self.limits.memory_bytes // 2

    @property
    def is_broken(self) -> bool:
        """QuickJS cannot be broken by a script and live on."""
        return False

    @property
    def null_is_memory(self) -> bool:
        """Whether a null that was thrown means that the heap was full.

        QuickJS that is out of memory may fail to make its error and throw null instead, exactly as
        ``throw null`` does. The growth tells the two apart, once in a process: so one that has
        grown is replaced.
        """
        return self.is_worn

    @property
    def _grown(self) -> int:
        """Bytes by which the process has been larger than when it was made."""
        return peak_rss() - self._base_rss

    def forked(self) -> None:
        """Note that this is a new process: its memory and its randomness begin here."""
        self._base_rss = peak_rss()
        self._is_forked = True
        for context in self._spares.values():
            context.reseed()

    def finished(self, context: Context) -> None:
        """Take back the context of an ended call.

        A forked process serves one call and ends. Freeing the heap object by object would touch,
        and so copy, all that it shares with its siblings: 19 ms for mathjs, where a fork takes 2.
        """
        if self._is_forked:
            self._never_freed.append(context)
        else:
            context.close()

    def prepare_all(self) -> list[Script]:
        """Build a spare context for every program that can go on in forked processes.

        Returns:
            The scripts that, they or their libraries, draw random numbers while they load: those
            are the same in every process forked from this one.
        """
        drew = []
        for program in dict.fromkeys(self._programs.values()):
            context = self._spares.pop(program, None) or Context(self.kind, program, self.limits)
            try:
                if context.reseed():
                    drew.append(program.script)
            except self.kind.failure:
                continue  # each of its calls loads it anew
            self._spares[program] = context
        return drew

    def prepare(self) -> bool:
        """Build a spare context for the program used last, if it has none."""
        program = self._last_used
        if program is None or program in self._spares:
            return False
        while len(self._spares) >= _MAX_SPARES:
            del self._spares[next(iter(self._spares))]
        try:
            self._spares[program] = Context(self.kind, program, self.limits)
        except MadrpcError:
            # The call that needs the context builds it again and reports what is wrong.
            return False
        return True


def _no_functions(libraries: Sequence[Script], *, is_all: bool) -> ScriptError:
    """The error for files that register nothing and have no script after them to use them."""
    if is_all:
        names = " and ".join(script.name for script in libraries)
        what = f"{names} register" if len(libraries) > 1 else f"{names} registers"
        message = f"{what} no function; call madrpc.register(name, fn) in one script"
    else:
        message = (
            f"{libraries[-1].name} registers no function and comes last; call "
            "madrpc.register(name, fn) in it, or put it before the scripts that use it"
        )
    return ScriptError(message, {"file": libraries[-1].name})


def peak_rss() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
