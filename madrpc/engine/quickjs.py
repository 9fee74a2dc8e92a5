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

from madrpc.config import EngineLimits
from madrpc.engine import jserrors, prelude
from madrpc.engine.context import Context, first_load
from madrpc.engine.interface import Call, Done, LogLine, NestedCall, Script, Step, Waiting
from madrpc.engine.program import Program
from madrpc.errors import (
    JavaScriptError,
    MadrpcError,
    PayloadTooLarge,
    PromiseNeverSettled,
    ScriptError,
    StackLimitExceeded,
)

__all__ = ["QuickJSEngine"]

#: A spare context holds the script's loaded state, so only so many are kept.
_MAX_SPARES = 4
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
        self._spares: dict[Program, Context] = {}
        self._last_used: Program | None = None
        self._base_rss = _peak_rss()
        self._is_forked = False
        self._never_freed: list[Context] = []
        self.load_s = 0.0
        self._load(scripts)

    def _load(self, scripts: Sequence[Script]) -> None:
        libraries: list[Script] = []
        for script in scripts:
            program = Program(script, libraries)
            began = _now()
            names, logs = first_load(program, self.limits)
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
        Context(program, self.limits)
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

    def execution(self, call: Call) -> _Execution:
        """A fresh context, ready to run the call."""
        program = self._last_used = self._programs[call.method]
        # The seed must be there before the script is evaluated, so no spare will do.
        seeded = call.seed is not None and program.environment.seedable
        context = None if seeded else self._spares.pop(program, None)
        return _Execution(self, context or Context(program, self.limits, seed=call.seed), call)

    @property
    def is_worn(self) -> bool:
        """Whether the process has grown by half the heap limit since it was made.

        An engine that is out of memory may fail to make its error and throw null instead, exactly
        as ``throw null`` does. The growth tells the two apart, once in a process: so one that has
        grown is replaced.
        """
        return _peak_rss() - self._base_rss > self.limits.memory_bytes // 2

    def forked(self) -> None:
        """Note that this is a new process: its memory and its randomness begin here."""
        self._base_rss = _peak_rss()
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
            context = self._spares.pop(program, None) or Context(program, self.limits)
            try:
                if context.reseed():
                    drew.append(program.script)
            except quickjs.JSException:
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
            self._spares[program] = Context(program, self.limits)
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


class _Execution:
    """One call in its own context."""

    __slots__ = ("_call", "_context", "_engine", "_holder", "_limits", "_outstanding", "_used_s")

    def __init__(self, engine: QuickJSEngine, context: Context, call: Call) -> None:
        self._engine = engine
        self._context = context
        self._call = call
        self._limits = engine.limits
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

    def heap_bytes(self) -> int | None:
        """JavaScript heap in use now."""
        return int(self._context.js.memory()["memory_used_size"])

    def close(self) -> None:
        """Give the context back."""
        self._engine.finished(self._context)
        self._holder = None

    def _enter(self, function: Any, *args: Any) -> Any:
        """Call into the engine under what is left of the time."""
        self._context.js.set_time_limit(max(0.001, self._call.time_s - self._used_s))
        try:
            return function(*args)
        except quickjs.JSException as error:
            raise self._uncaught(error) from None

    def _helper(self, source: str) -> Any:
        try:
            helper = self._context.js.eval(source)
        except quickjs.JSException as error:
            raise self._uncaught(error) from None
        return self._enter(self._holder, helper)

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
        queued = json.loads(json.loads(self._enter(self._context.calls)))
        return [NestedCall(id, method, args) for id, method, args in queued]

    def _thrown(self, *, in_stringify: bool) -> MadrpcError:
        """The error for the value the function, or writing its result, threw."""
        *parts, is_null = json.loads(self._helper(prelude.ERROR)).split("\n")
        name, message, stack = map(json.loads, parts)
        if is_null == "1" and self._engine.is_worn:
            return jserrors.memory_error(self._limits)
        error = jserrors.error_from_parts(name, message, stack, self._context.program, self._limits)
        if in_stringify and isinstance(error, (JavaScriptError, StackLimitExceeded)):
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
