"""QuickJS (quickjs-ng) behind the engine interface.

Values cross the binding only as JSON text, because it damages others in silence (an int beyond 31
bits, text with NUL). The engine's own limits are a courtesy that saves a worker: it counts CPU time
anew for each entry and polls only now and then, so the guarantee is the parent's SIGKILL.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import quickjs

from madrpc.config import MAX_METHOD_BYTES, EngineLimits
from madrpc.engine import jserrors, prelude
from madrpc.engine.environment import CONTROL
from madrpc.engine.interface import Call, Done, LogLine, NestedCall, Script, Step, Waiting
from madrpc.engine.program import Program
from madrpc.errors import (
    JavaScriptError,
    MadrpcError,
    PayloadTooLarge,
    PromiseNeverSettled,
    ScriptError,
)

__all__ = ["QuickJSEngine"]

#: A spare context holds the script's loaded state, so only so many are kept.
_MAX_SPARES = 4
_LOAD_TOO_LONG = "its promise jobs did not come to an end within the time limit"
#: What the control function answers when a timer's function threw (``js/timers.js``).
_TIMER_THREW = 2
#: Taking at most a few thousand characters out of a context; generous for a busy machine.
_LOGS_TIME_S = 1.0
_now = time.monotonic


class QuickJSEngine:
    """Runs calls of a fixed set of scripts, each in a fresh QuickJS context.

    A script that registers no function is a library: it is evaluated before each of the scripts
    that come after it, in the same context.

    Raises:
        ScriptError: a script failed to load, is of no use, or used a name twice.
    """

    def __init__(self, scripts: Sequence[Script], limits: EngineLimits) -> None:
        self.limits = limits
        self.methods: dict[str, Script] = {}
        self.startup_logs: list[tuple[Script, LogLine]] = []
        self._programs: dict[str, Program] = {}
        self._spares: dict[Program, _Context] = {}
        self._last_used: Program | None = None
        self._load(scripts)

    def _load(self, scripts: Sequence[Script]) -> None:
        libraries: list[Script] = []
        for script in scripts:
            program = Program(script, libraries)
            names, logs = _first_load(program, self.limits)
            self.startup_logs += [(script, line) for line in logs]
            if names:
                self._register(program, names)
                self._last_used = self._last_used or program
            else:
                libraries.append(script)
        if libraries and (not self.methods or scripts[-1] is libraries[-1]):
            raise _no_functions(libraries, is_all=not self.methods)

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

    def execution(self, call: Call) -> _Execution:
        """A fresh context, ready to run the call."""
        program = self._last_used = self._programs[call.method]
        # The seed must be there before the script is evaluated, so no spare will do.
        seeded = call.seed is not None and program.environment.seedable
        context = None if seeded else self._spares.pop(program, None)
        return _Execution(
            context or _Context(program, self.limits, seed=call.seed), call, self.limits
        )

    def prepare(self) -> bool:
        """Build a spare context for the program used last, if it has none."""
        program = self._last_used
        if program is None or program in self._spares:
            return False
        while len(self._spares) >= _MAX_SPARES:
            del self._spares[next(iter(self._spares))]
        try:
            self._spares[program] = _Context(program, self.limits)
        except MadrpcError:
            # The call that needs the context builds it again and reports what is wrong.
            return False
        return True


class _Context:
    """A QuickJS runtime with the host function and one program loaded."""

    __slots__ = ("_base_rss", "_memory_bytes", "calls", "control", "host", "js", "program")

    def __init__(
        self, program: Program, limits: EngineLimits, *, seed: str | None = None, load: bool = True
    ) -> None:
        self.program = program
        self._memory_bytes = limits.memory_bytes
        self._base_rss = _peak_rss()
        self.js = quickjs.Context()
        self.js.set_memory_limit(limits.memory_bytes)
        self.js.set_max_stack_size(limits.stack_bytes)
        self.host = self.js.eval(prelude.HOST)
        self.calls = self.js.eval(prelude.CALL) if program.environment.calls else None
        self.control = self._furnish(seed)
        if load:
            self.load(limits)
            self.logs(forget=True)  # every context of the program writes the same

    def _furnish(self, seed: str | None) -> Any:
        """Put in what the sources mention; return the function that speaks with it, if any."""
        environment = self.program.environment
        drawn = environment.draw(seed)
        if environment.random:
            self.js.eval(environment.random_source(drawn))
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
            except quickjs.JSException as error:
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

    def memory_grew(self) -> bool:
        """Whether the process grew by at least half the heap limit since the context was made.

        An engine that is out of memory may fail to make its error and throw null instead, exactly
        as ``throw null`` does; the growth tells the two apart.
        """
        return _peak_rss() - self._base_rss > self._memory_bytes // 2


def _without_surrogates(text: str) -> str:
    """The text with a question mark for each half of a character, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_load(program: Program, limits: EngineLimits) -> tuple[list[str], list[LogLine]]:
    """Load a program with every check; return the names it registered and what it wrote."""
    context = _Context(program, limits, load=False)
    names_of = context.js.eval(prelude.REGISTER_CHECKS)
    context.load(limits)
    names: list[str] = json.loads(names_of())
    for name in names:
        if len(name.encode("utf-8", "replace")) > MAX_METHOD_BYTES:
            raise ScriptError(
                f"{program.script.name} registers a name over {MAX_METHOD_BYTES} bytes: "
                f"{name[:40]}...",
                {"file": program.script.name},
            )
    return names, context.logs()


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


class _Execution:
    """One call in its own context."""

    __slots__ = ("_call", "_context", "_holder", "_limits", "_outstanding", "_used_s")

    def __init__(self, context: _Context, call: Call, limits: EngineLimits) -> None:
        self._context = context
        self._call = call
        self._limits = limits
        # The function that holds the value returned or thrown: the host's, or the promise's.
        self._holder: Any = context.host
        self._outstanding: set[int] = set()
        self._used_s = 0.0

    def start(self) -> Step:
        """Run until the function returns or waits."""
        began = _now()
        outcome = self._enter(self._context.host, self._call.method, self._call.args)
        if outcome == prelude.PENDING:
            self._holder = self._helper(prelude.ASYNC)
            outcome = self._drain(began)
        self._used_s += _now() - began
        return self._conclude(outcome)

    def feed(self, id: int, *, result: str | None, error: Mapping[str, object] | None) -> Step:
        """Settle one nested call and run on."""
        began = _now()
        self._outstanding.discard(id)
        answer = result if error is None else json.dumps(error)
        self._enter(self._context.calls, id, error is None, answer)
        outcome = self._drain(began)
        self._used_s += _now() - began
        return self._conclude(outcome)

    def wake(self) -> Step:
        """Fire the timers that are due, and run on."""
        began = _now()
        ends = began + self._call.time_s - self._used_s
        outcome: Any = prelude.PENDING
        is_first = True
        while outcome == prelude.PENDING:
            fired = self._enter(self._context.control, "fire", is_first)
            if fired == _TIMER_THREW:
                self._holder = self._context.control
                raise self._thrown(in_stringify=False)
            if not fired:
                break
            is_first = False
            outcome = self._drain(began)
            if _now() > ends:
                raise jserrors.time_error(self._limits)
        self._used_s += _now() - began
        return self._conclude(outcome)

    def logs(self) -> list[LogLine]:
        """Take what the function wrote to the console."""
        if self._context.control is None:
            return []
        self._context.js.set_time_limit(_LOGS_TIME_S)
        try:
            return self._context.logs()
        except quickjs.JSException:
            return []  # the heap is full, so there is no text to be had

    def close(self) -> None:
        """Free the context."""
        context = self._context
        self._holder = context.host = context.calls = context.control = context.js = None

    def _enter(self, function: Any, *args: Any) -> Any:
        """Call into the engine under what is left of the time."""
        self._context.js.set_time_limit(max(0.001, self._call.time_s - self._used_s))
        try:
            return function(*args)
        except quickjs.JSException as error:
            raise self._uncaught(error) from None

    def _helper(self, source: str) -> Any:
        return self._enter(self._holder, self._context.js.eval(source))

    def _drain(self, began: float) -> Any:
        """Run jobs until the promise settles or nothing is left to run."""
        run = self._context.js.execute_pending_job
        poll = self._holder
        ends = began + self._call.time_s - self._used_s
        while True:
            try:
                ran = run()
            except quickjs.JSException as error:
                raise self._uncaught(error) from None
            outcome = poll()
            if outcome != prelude.PENDING or not ran:
                return outcome
            # Each job gets the engine's limit anew, so a chain of short ones needs this check.
            if _now() > ends:
                raise jserrors.time_error(self._limits)

    def _conclude(self, outcome: Any) -> Step:
        if isinstance(outcome, str):
            if len(outcome) > self._limits.result_bytes:
                raise _too_large(len(outcome), self._limits.result_bytes)
            return Done(outcome)
        if outcome is None:
            if self._helper(prelude.IS_UNDEFINED):
                return Done("null")
            raise jserrors.not_serializable("a function or a symbol has no JSON form")
        if outcome == prelude.PENDING:
            return self._wait()
        raise self._thrown(in_stringify=outcome == prelude.STRINGIFY_THREW)

    def _wait(self) -> Step:
        calls = self._take_calls()
        self._outstanding.update(call.id for call in calls)
        wake_in_s = self._next_timer()
        if not self._outstanding and wake_in_s is None:
            raise PromiseNeverSettled(
                "the function returned a promise that can never settle: nothing is left to run; "
                "call resolve or reject on every path"
            )
        return Waiting(calls, wake_in_s)

    def _next_timer(self) -> float | None:
        control = self._context.control
        wait_ms = self._enter(control, "next") if control else None
        return None if wait_ms is None or wait_ms < 0 else wait_ms / 1000

    def _take_calls(self) -> list[NestedCall]:
        if self._context.calls is None:
            return []
        queued = json.loads(self._enter(self._context.calls))
        return [NestedCall(id, method, args) for id, method, args in queued]

    def _thrown(self, *, in_stringify: bool) -> MadrpcError:
        """The error for the value the function, or writing its result, threw."""
        *parts, is_null = json.loads(self._helper(prelude.ERROR)).split("\n")
        name, message, stack = map(json.loads, parts)
        if is_null == "1" and self._context.memory_grew():
            return jserrors.memory_error(self._limits)
        error = jserrors.error_from_parts(name, message, stack, self._context.program, self._limits)
        if in_stringify and isinstance(error, JavaScriptError):
            return jserrors.not_serializable(error.message)
        return error

    def _uncaught(self, error: Exception) -> MadrpcError:
        return jserrors.error_from_text(str(error), self._context.program, self._limits)


def _too_large(size: int, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the result is {size} characters of JSON and the limit is {limit}; "
        "return less at once or raise --max-frame on every server",
        {"size": size, "limit": limit},
    )


def _peak_rss() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
