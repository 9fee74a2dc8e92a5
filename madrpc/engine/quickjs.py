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
from madrpc.engine.interface import Call, Done, NestedCall, Script, Step, Waiting
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
_now = time.monotonic


class QuickJSEngine:
    """Runs calls of a fixed set of scripts, each in a fresh QuickJS context.

    Raises:
        ScriptError: a script failed to load, registered nothing, or used a name twice.
    """

    def __init__(self, scripts: Sequence[Script], limits: EngineLimits) -> None:
        self.limits = limits
        self.methods: dict[str, Script] = {}
        self._spares: dict[Script, _Context] = {}
        self._last_used = scripts[0] if scripts else None
        self._base_rss = _peak_rss()
        self.load_s = 0.0
        for script in scripts:
            began = _now()
            self._register(script)
            if not _is_random(script):
                self.load_s = max(self.load_s, _now() - began)

    def _register(self, script: Script) -> None:
        for name in _registered_names(script, self.limits):
            other = self.methods.get(name)
            if other is not None:
                raise ScriptError(
                    f"{script.name} registers {name!r}, which {other.name} has registered already; "
                    "rename one of them",
                    {"file": script.name, "method": name},
                )
            self.methods[name] = script

    def execution(self, call: Call) -> _Execution:
        """A fresh context, ready to run the call."""
        script = self.methods[call.method]
        self._last_used = script
        context = self._spares.pop(script, None) or _Context(script, self.limits)
        return _Execution(self, context, call)

    @property
    def is_worn(self) -> bool:
        """Whether the process has grown by half the heap limit since it was made.

        An engine that is out of memory may fail to make its error and throw null instead, exactly
        as ``throw null`` does. The growth tells the two apart, once in a process: so one that has
        grown is replaced.
        """
        return _peak_rss() - self._base_rss > self.limits.memory_bytes // 2

    def forked(self) -> None:
        """Note that this is a new process: its memory and its randomness begin here.

        A context keeps the state of ``Math.random`` through a fork, so that every child would draw
        the same numbers; scripts that use it are loaded anew.
        """
        self._base_rss = _peak_rss()
        self._spares = {s: spare for s, spare in self._spares.items() if not _is_random(s)}

    def prepare_all(self) -> None:
        """Build a spare context for every script."""
        for script in self.methods.values():
            if script not in self._spares:
                self._spares[script] = _Context(script, self.limits)

    def prepare(self) -> bool:
        """Build a spare context for the script used last, if it has none."""
        script = self._last_used
        if script is None or script in self._spares:
            return False
        while len(self._spares) >= _MAX_SPARES:
            del self._spares[next(iter(self._spares))]
        try:
            self._spares[script] = _Context(script, self.limits)
        except MadrpcError:
            # The call that needs the context builds it again and reports what is wrong.
            return False
        return True


class _Context:
    """A QuickJS runtime with the host function and one script loaded."""

    __slots__ = ("calls", "host", "js", "script")

    def __init__(self, script: Script, limits: EngineLimits, *, load: bool = True) -> None:
        self.script = script
        self.js = quickjs.Context()
        self.js.set_memory_limit(limits.memory_bytes)
        self.js.set_max_stack_size(limits.stack_bytes)
        self.host = self.js.eval(prelude.HOST)
        self.calls = self.js.eval(prelude.CALL) if "call" in script.source else None
        if load:
            self.load(limits)

    def load(self, limits: EngineLimits) -> None:
        """Evaluate the script.

        Raises:
            ScriptError: with the position, where the engine gives one.
        """
        self.js.set_time_limit(limits.time_s)
        ends = _now() + limits.time_s
        try:
            self.js.eval(self.script.source)
            # What the script put off with promises belongs to loading it.
            while self.js.execute_pending_job():
                if _now() > ends:
                    raise jserrors.script_error("InternalError: interrupted", self.script.name)
        except quickjs.JSException as error:
            raise jserrors.script_error(str(error), self.script.name) from None
        except UnicodeEncodeError:
            raise ScriptError(
                f"{self.script.name} has a lone surrogate; save it as UTF-8",
                {"file": self.script.name},
            ) from None


def _is_random(script: Script) -> bool:
    return "random" in script.source


def _registered_names(script: Script, limits: EngineLimits) -> list[str]:
    """Load the script once with every check and return what it registered."""
    context = _Context(script, limits, load=False)
    names_of = context.js.eval(prelude.REGISTER_CHECKS)
    context.load(limits)
    names: list[str] = json.loads(json.loads(names_of()))
    if not names:
        raise ScriptError(
            f"{script.name} registers no function; call madrpc.register(name, fn) in it",
            {"file": script.name},
        )
    for name in names:
        _check_name(name, script)
    return names


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


class _Execution:
    """One call in its own context."""

    __slots__ = ("_call", "_context", "_engine", "_holder", "_limits", "_outstanding", "_used_s")

    def __init__(self, engine: QuickJSEngine, context: _Context, call: Call) -> None:
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

    def close(self) -> None:
        """Free the context."""
        context = self._context
        self._holder = context.host = context.calls = context.js = None

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
        if not self._outstanding:
            raise PromiseNeverSettled(
                "the function returned a promise that can never settle: nothing is left to run; "
                "call resolve or reject on every path"
            )
        return Waiting(calls)

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
        error = jserrors.error_from_parts(
            name, message, stack, self._context.script.name, self._limits
        )
        if in_stringify and isinstance(error, (JavaScriptError, StackLimitExceeded)):
            return jserrors.not_serializable(error.message)
        return error

    def _uncaught(self, error: Exception) -> MadrpcError:
        return jserrors.error_from_text(str(error), self._context.script.name, self._limits)


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
