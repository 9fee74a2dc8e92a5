"""One call in a context of its own, step by step, on any engine.

Values cross the binding only as JSON text, because it damages others in silence (with QuickJS an
int beyond 31 bits, text with NUL). The engine's own limits are a courtesy that saves a worker: they
are polled only now and then, so the guarantee is the parent's SIGKILL.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

from madrpc.config import EngineLimits
from madrpc.engine import jserrors, prelude
from madrpc.engine.context import Context
from madrpc.engine.interface import Call, Done, LogLine, NestedCall, Step, Waiting
from madrpc.errors import (
    JavaScriptError,
    MadrpcError,
    PayloadTooLarge,
    PromiseNeverSettled,
    StackLimitExceeded,
)

__all__ = ["ContextExecution"]

#: What the control function answers when a timer's function threw (``js/timers.js``).
_TIMER_THREW = 2
#: Taking at most a few thousand characters out of a context; generous for a busy machine.
_LOGS_TIME_S = 1.0
_now = time.monotonic


class _Owner(Protocol):
    """The engine whose context it is."""

    limits: EngineLimits

    @property
    def null_is_memory(self) -> bool: ...

    def finished(self, context: Context) -> None: ...


class ContextExecution:
    """One call in its own context."""

    __slots__ = ("_call", "_context", "_engine", "_holder", "_limits", "_outstanding", "_used_s")

    def __init__(self, engine: _Owner, context: Context, call: Call) -> None:
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
        except self._context.failure:
            return []  # the heap is full, so there is no text to be had

    def heap_bytes(self) -> int | None:
        """JavaScript heap in use now."""
        return self._context.heap_bytes()

    def close(self) -> None:
        """Give the context back."""
        self._engine.finished(self._context)
        self._holder = None

    def _enter(self, function: Any, *args: Any) -> Any:
        """Call into the engine under what is left of the time."""
        self._context.js.set_time_limit(max(0.001, self._call.time_s - self._used_s))
        try:
            return function(*args)
        except self._context.failure as error:
            raise self._uncaught(error) from None

    def _helper(self, source: str) -> Any:
        try:
            helper = self._context.js.eval(source)
        except self._context.failure as error:
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
                outcome = poll()
            except self._context.failure as error:
                raise self._uncaught(error) from None
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
        # Each entry gets at least a millisecond anew, so steps without end need this check.
        if self._used_s >= self._call.time_s:
            raise jserrors.time_error(self._limits)
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
        stack = self._context.tidy(stack)
        if is_null == "1" and self._engine.null_is_memory:
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
