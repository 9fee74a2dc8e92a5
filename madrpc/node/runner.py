"""The calls inside one worker: one runs, others are parked until what they wait for has come."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from madrpc.config import MAX_METHOD_BYTES, EngineLimits
from madrpc.engine.interface import Call, Done, Engine, Execution, NestedCall, Step, Waiting
from madrpc.errors import (
    CallTimeout,
    InternalError,
    InvalidArguments,
    InvalidRequest,
    JavaScriptError,
    MadrpcError,
    MemoryLimitExceeded,
    MethodNotFound,
    NestedCallLimit,
    PayloadTooLarge,
    ResultNotSerializable,
    TimeLimitExceeded,
)
from madrpc.node.confine import disarm_backstop, set_backstop
from madrpc.node.dialect import LOG_METHOD, RETIRE_METHOD, SLEEP_METHOD, SPENT_METHOD
from madrpc.protocol.json_text import args_to_json, result_from_json
from madrpc.protocol.messages import (
    Request,
    Response,
    cancel_frame,
    error_tail,
    request_head,
    request_tail,
    response_head,
    result_tail,
    unpack_request_tail,
    unpack_response_tail,
)
from madrpc.protocol.meta import wants_receipt
from madrpc.protocol.receipts import rounded_ms

__all__ = ["CallRunner"]

_now = time.monotonic
_cpu = time.process_time
#: A call that took longer than this is told about even if nobody asked: it may be one of the
#: slowest. The many tiny ones are not worth a message each.
_WORTH_TELLING_S = 0.005

#: Nested calls one call may have made and not yet got an answer to.
MAX_WIDTH = 10_000
#: Of these, so many are with the node at once; the rest wait here, where the bound of a call's own
#: heap has already let them in.
_WINDOW = 64
#: How long past its time a step may go on before the kernel ends the process; the node's own
#: deadlines for the same are shorter.
BACKSTOP_S = 1.5
#: What a nested call inherits from the call that makes it.
_INHERITED = ("depth", "trace", "token")


class _Task:
    """One call: its execution, the nested calls it waits for, and what it has used.

    ``asked`` says whether its caller wants to know all of that, processor and heap included.
    """

    __slots__ = (
        "asked",
        "backlog",
        "context_s",
        "cpu_s",
        "execution",
        "id",
        "meta",
        "outstanding",
        "run_s",
        "time_s",
        "timer",
    )

    def __init__(self, id: int, execution: Execution, meta: dict[str, Any], time_s: float) -> None:
        self.id = id
        self.execution = execution
        self.meta = meta
        self.time_s = time_s
        self.outstanding: dict[int, int] = {}
        self.backlog: deque[NestedCall] = deque()
        self.timer: int | None = None
        self.asked = False
        self.context_s = 0.0
        self.run_s = 0.0
        self.cpu_s = 0.0


class CallRunner:
    """Runs calls on an engine and says what came of them as frames.

    Args:
        send: takes whole frames for the node.
    """

    def __init__(self, engine: Engine, max_frame: int, send: Callable[[bytes], None]) -> None:
        self._engine = engine
        self._max_frame = max_frame
        self._send = send
        self._parked: dict[int, _Task] = {}
        self._waiting_for: dict[int, _Task] = {}
        self._next_n = 1
        self._is_exhausted = False
        # Made beforehand: when it is needed there is no memory to make it.
        self._out_of_memory = error_tail(_out_of_memory(engine.limits))

    def __repr__(self) -> str:
        return f"<CallRunner {len(self._parked)} parked>"

    @property
    def limits(self) -> EngineLimits:
        """What one call may use."""
        return self._engine.limits

    def start(self, request: Request) -> None:
        """Run a call until it ends or waits."""
        set_backstop(self.limits.time_s + BACKSTOP_S)
        asked = wants_receipt(request.tail)
        cpu = _cpu() if asked else 0.0
        began = _now()
        try:
            task = self._task(request)
        except MemoryError:
            self._is_exhausted = True
            self._refuse(request.id, self._out_of_memory)
            return
        except Exception as error:
            self._refuse(request.id, self._failure(error))
            return
        task.asked = asked
        task.context_s = _now() - began
        if asked:
            task.cpu_s = _cpu() - cpu
        self._advance(task, task.execution.start)

    def answered(self, response: Response) -> None:
        """A nested call has its answer; the call that made it runs on."""
        task = self._waiting_for.pop(response.id, None)
        if task is None:
            return
        del self._parked[task.id]
        if response.id == task.timer:
            self._woken(task)
            return
        js_id = task.outstanding.pop(response.id)

        def feed() -> Step:
            result, error = _decode_answer(response)
            return task.execution.feed(js_id, result=result, error=error)

        self._advance(task, feed)

    def _woken(self, task: _Task) -> None:
        """A timer of the call is due."""
        task.timer = None
        self._advance(task, task.execution.wake)

    def drop(self, id: int) -> None:
        """Free a parked call."""
        task = self._parked.pop(id, None)
        if task is not None:
            self._release(task)

    # ----------------------------------------------------------- private

    def _task(self, request: Request) -> _Task:
        method, args, meta = unpack_request_tail(request.tail)
        if method not in self._engine.methods:
            raise MethodNotFound(f"no function is called {method!r} on this node")
        limit = self.limits.time_s
        time_s = min(limit, request.timeout_ms / 1000) if request.timeout_ms else limit
        call = Call(method, args_to_json(args), time_s, _seed(meta))
        return _Task(request.id, self._engine.execution(call), meta, time_s)

    def _advance(self, task: _Task, take_step: Callable[[], Step]) -> None:
        """Take steps until the call ends or has nothing to do but wait."""
        set_backstop(task.time_s + BACKSTOP_S)
        cpu = _cpu() if task.asked else 0.0
        began = _now()
        tail = self._outcome(task, take_step)
        task.run_s += _now() - began
        if task.asked:
            task.cpu_s += _cpu() - cpu
        # The node may be slow to take the answer, which is not the function's fault.
        disarm_backstop()
        if tail is not None:
            self._send_logs(task)
            if task.asked or task.context_s + task.run_s > _WORTH_TELLING_S:
                self._send_spent(task)
            self._reply(task.id, tail)
            self._release(task)

    def _outcome(self, task: _Task, take_step: Callable[[], Step]) -> bytes | None:
        """The encoded answer, or None if the call has been parked."""
        try:
            step = take_step()
            while isinstance(step, Waiting):
                refused = self._issue(task, step.calls)
                if refused is None:
                    self._park(task, step.wake_in_s)
                    return None
                step = task.execution.feed(refused[0], result=None, error=refused[1].to_wire())
            assert isinstance(step, Done)
            return self._encode(step.result)
        except MemoryError:
            self._is_exhausted = True
            return self._out_of_memory
        except Exception as error:
            return self._failure(self._deadline_or(error, task))

    def _issue(self, task: _Task, calls: Sequence[NestedCall]) -> tuple[int, MadrpcError] | None:
        """Send nested calls to the node as far as the window goes; return one that is refused."""
        task.backlog.extend(calls)
        if len(task.backlog) + len(task.outstanding) > MAX_WIDTH:
            return task.backlog.pop().id, NestedCallLimit(
                f"a call may wait for {MAX_WIDTH} nested calls at once; await some of them first",
                {"limit": MAX_WIDTH},
            )
        while task.backlog and len(task.outstanding) < _WINDOW:
            nested = task.backlog.popleft()
            try:
                self._call(task, nested)
            except MadrpcError as error:
                return nested.id, error
        return None

    def _call(self, task: _Task, nested: NestedCall) -> None:
        size = len(nested.method.encode("utf-8", "replace"))
        if not 0 < size <= MAX_METHOD_BYTES or nested.method.startswith("_"):
            raise MethodNotFound(f"no function can be called {nested.method!r:.60}")
        meta = {key: task.meta[key] for key in _INHERITED if key in task.meta}
        if "seed" in task.meta:
            # Each nested call draws its own numbers, the same ones every time.
            meta["seed"] = f"{task.meta['seed']}/{nested.id}"
        try:
            tail = request_tail(nested.method, result_from_json(nested.args), meta)
        except (UnicodeEncodeError, ResultNotSerializable) as error:
            raise InvalidArguments(f"madrpc.call: the arguments cannot be sent: {error}") from error
        if len(tail) > self._max_frame - 12:
            raise _too_large("the arguments of a nested call are", len(tail), self._max_frame)
        n = self._draw_number()
        task.outstanding[n] = nested.id
        self._waiting_for[n] = task
        self._send(request_head(n, task.id, len(tail)) + tail)

    def _park(self, task: _Task, wake_in_s: float | None) -> None:
        self._parked[task.id] = task
        self._send_logs(task)
        if task.timer is not None:
            # What the timer was set for may have changed; its answer no longer counts.
            self._waiting_for.pop(task.timer, None)
            task.timer = None
        if wake_in_s is not None:
            task.timer = self._ask_node(task, SLEEP_METHOD, {"s": wake_in_s})
            self._waiting_for[task.timer] = task
        self._send(cancel_frame(task.id))

    def _ask_node(
        self, task: _Task, method: str, args: dict[str, Any], *, answer: bool = True
    ) -> int:
        """Send the node a request of the worker's own; return its number."""
        n = self._draw_number() if answer else 0
        tail = request_tail(method, args)
        self._send(request_head(n, task.id, len(tail)) + tail)
        return n

    def _draw_number(self) -> int:
        n = self._next_n
        self._next_n = n + 1 if n < 0xFFFFFFFF else 1
        return n

    def _send_logs(self, task: _Task) -> None:
        lines = [[line.level, line.text] for line in task.execution.logs()]
        if lines:
            self._ask_node(task, LOG_METHOD, {"lines": lines}, answer=False)

    def _send_spent(self, task: _Task) -> None:
        spent: dict[str, Any] = {
            "context_ms": rounded_ms(task.context_s),
            "run_ms": rounded_ms(task.run_s),
        }
        if task.asked:
            spent |= {
                "cpu_ms": rounded_ms(task.cpu_s),
                "heap_bytes": task.execution.heap_bytes(),
            }
        self._ask_node(task, SPENT_METHOD, spent, answer=False)

    def _release(self, task: _Task) -> None:
        if task.timer is not None:
            self._waiting_for.pop(task.timer, None)
        for n in task.outstanding:
            self._waiting_for.pop(n, None)
        task.execution.close()

    def _refuse(self, id: int, tail: bytes) -> None:
        disarm_backstop()
        self._reply(id, tail)

    def _reply(self, id: int, tail: bytes) -> None:
        if self._engine.is_worn or self._engine.is_broken or self._is_exhausted:
            notice = request_tail(RETIRE_METHOD, None)
            self._send(request_head(0, id, len(notice)) + notice)
        self._send(response_head(id, len(tail)) + tail)

    def _encode(self, result: str) -> bytes:
        try:
            tail = result_tail(result_from_json(result))
        except UnicodeEncodeError as error:
            raise ResultNotSerializable(
                "the result has text with a lone surrogate, which UTF-8 cannot carry"
            ) from error
        if len(tail) > self._max_frame - 7:
            raise _too_large("the result is", len(tail), self._max_frame)
        return tail

    def _failure(self, error: Exception) -> bytes:
        if not isinstance(error, MadrpcError):
            # One call's fault must not cost the worker; the type and text go to the caller.
            error = InternalError(f"the worker failed: {type(error).__name__}: {error}")
        tail = error_tail(error)
        if len(tail) > self._max_frame - 7:
            tail = error_tail(type(error)(error.message[:100]))
        return tail

    def _deadline_or(self, error: Exception, task: _Task) -> Exception:
        """The caller's deadline, where that and not the node's limit ended the call."""
        if isinstance(error, JavaScriptError) and error.js_name == CallTimeout.__name__:
            # A nested call has the deadline of the call that makes it, so both have run out.
            return CallTimeout(str(error.data.get("message", "")))
        if isinstance(error, TimeLimitExceeded) and task.time_s < self.limits.time_s:
            return CallTimeout(
                f"the deadline passed after the function had run for {task.time_s:.2f} s; "
                "the call was stopped",
                {"ran_ms": round(task.time_s * 1000)},
            )
        return error


def _out_of_memory(limits: EngineLimits) -> MemoryLimitExceeded:
    return MemoryLimitExceeded(
        "the worker process ran out of memory while it handled the call's values; "
        "send and return less at once, or raise --memory-limit",
        {"limit_bytes": limits.memory_bytes},
    )


def _seed(meta: dict[str, Any]) -> str | None:
    """The seed a caller gave, as text; 7 and "7" are the same one."""
    seed = meta.get("seed")
    if seed is None or isinstance(seed, str):
        return seed
    if type(seed) is not int:
        raise InvalidRequest(
            f"meta.seed must be an integer or a text, not {type(seed).__name__}",
            {"field": "meta.seed"},
        )
    return str(seed)


def _decode_answer(response: Response) -> tuple[str | None, dict[str, object] | None]:
    """A nested call's answer as JSON text, or its error's map."""
    error, result = unpack_response_tail(response.tail)
    return (None, error) if error is not None else (json.dumps(result), None)


def _too_large(what: str, size: int, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"{what} {size} bytes long and the limit is {limit}; "
        "send less at once or raise --max-frame on every server",
        {"size": size, "limit": limit},
    )
