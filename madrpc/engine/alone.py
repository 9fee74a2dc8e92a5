"""Calls of one script with no server around: functions may call functions, and timers fire."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from madrpc.engine.interface import Call, Done, Engine, Execution, LogLine, NestedCall, Step
from madrpc.errors import MadrpcError, MethodNotFound, NestedCallLimit, TimeLimitExceeded

__all__ = ["run_alone"]

_now = time.monotonic
_MOST_DEPTH = 32


def run_alone(
    engine: Engine,
    call: Call,
    log: Callable[[LogLine], None],
    depth: int = 0,
) -> str:
    """Run a call to its end in this process, one nested call after another.

    Args:
        log: takes what the function writes to the console.

    Returns:
        The result as JSON text.

    Raises:
        MadrpcError: how the call ended otherwise.
    """
    if call.method not in engine.methods:
        raise MethodNotFound(f"no function is called {call.method!r}")
    if depth > _MOST_DEPTH:
        raise NestedCallLimit(f"functions call functions more than {_MOST_DEPTH} deep")
    ends = _now() + call.time_s
    execution = engine.execution(call)
    waiting: deque[NestedCall] = deque()
    try:
        step = execution.start()
        while not isinstance(step, Done):
            waiting.extend(step.calls)
            if waiting:
                step = _settle(engine, execution, waiting.popleft(), ends, log, depth)
            else:
                step = _wake(execution, step.wake_in_s or 0.0, ends)
        return step.result
    finally:
        for line in execution.logs():
            log(line)
        execution.close()


def _settle(
    engine: Engine,
    execution: Execution,
    nested: NestedCall,
    ends: float,
    log: Callable[[LogLine], None],
    depth: int,
) -> Step:
    left = max(0.001, ends - _now())
    try:
        result = run_alone(engine, Call(nested.method, nested.args, left), log, depth + 1)
    except MadrpcError as error:
        return execution.feed(nested.id, result=None, error=error.to_wire())
    return execution.feed(nested.id, result=result, error=None)


def _wake(execution: Execution, wait_s: float, ends: float) -> Step:
    if _now() + wait_s > ends:
        raise TimeLimitExceeded("the function waits for a timer beyond its time limit")
    time.sleep(wait_s)
    return execution.wake()
