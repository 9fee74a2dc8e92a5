"""V8, from the package mini-racer, through its C interface: one isolate, called from one thread.

The package's Python layer runs an event loop in a thread of its own for every isolate. Its C
functions need none: each hands a task to the isolate's thread,
which calls back with the result, and the caller waits for that here.

Only one task runs at a time in the process, from the thread that loaded V8.
"""

from __future__ import annotations

import _thread
import ctypes
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final, TypeAlias

from madrpc.config import EngineLimits

__all__ = ["Function", "Isolate", "V8Error", "V8GaveUp", "gave_up", "load", "version"]

# mini_racer's tags of values.
_BOOLEAN, _INTEGER, _DOUBLE, _STRING, _UNDEFINED, _FUNCTION = 2, 3, 4, 5, 11, 100
_EXCEPTIONS: Final = 200
_OUT_OF_MEMORY, _TERMINATED = 202, 204
_CALLBACK_ID: Final = 1
#: More than a ``pthread_attr_t`` has on any machine.
_ATTRIBUTES_BYTES: Final = 256
#: What is said where a limit ended it; ``madrpc.engine.jserrors`` knows both.
_NO_MEMORY, _INTERRUPTED = "out of memory", "InternalError: interrupted"
#: How often a running task's memory is looked at.
_LOOK_EVERY_S: Final = 0.02
_STACK_BYTES: Final = 256 * 1024
#: Stack of an isolate's thread: the one that scripts may fill, and as much again for V8 itself.
_ISOLATE_STACK_BYTES: Final = 2 * 1024 * 1024
#: Each takes some MiB even while its call is parked, and V8 ends the process where it gets none.
_MOST_ISOLATES: Final = 128
#: How long a cancelled task may take to end.
_OBEY_S: Final = 0.1
_now = time.monotonic

Value: TypeAlias = "str | float | bool | Function | None"


class V8Error(Exception):
    """JavaScript failed where it could not catch it; the text is what V8 says of it."""


class V8GaveUp(V8Error):
    """V8 found no way on, which ends its process: it could not get memory it must have."""


class _Library:
    """The loaded library and the task that runs; one for the process."""

    def __init__(self, limits: EngineLimits) -> None:
        from py_mini_racer._dll import MR_CALLBACK, init_mini_racer

        flags = (
            # Threads would compile and collect garbage on processors that other workers use.
            "--single-threaded",
            f"--stack-size={limits.stack_bytes // 1024}",
        )
        self.calls: Any = init_mini_racer(flags=flags, ignore_duplicate_init=True)
        self.callback = MR_CALLBACK(self._done)
        _set_thread_stacks(_ISOLATE_STACK_BYTES)
        self._result: Any = None
        self._finished = _thread.allocate_lock()
        self._finished.acquire()
        self.gave_up = False
        if threading.current_thread() is threading.main_thread():
            # What V8 does when it gives up is to run into one of these.
            for number in (signal.SIGTRAP, signal.SIGILL):
                signal.signal(number, self._on_trap)

    def _done(self, task: int, handle: Any) -> None:
        """A task has ended; called in the isolate's thread."""
        self._result = handle
        self._finished.release()

    def _on_trap(self, number: int, frame: FrameType | None) -> None:
        """The isolate's thread has run into a trap, and is stuck there.

        The process can still say what happened, and has to end then.
        """
        if not self.gave_up:
            self.gave_up = True
            raise V8GaveUp(_NO_MEMORY)

    def run(self, isolate: Isolate, start: Callable[[], int]) -> Any:
        """Run a task to its end, within the isolate's limits; return the handle of its result.

        Raises:
            V8Error: the isolate had to be freed to stop it, or has been before.
        """
        if not isolate.is_live or isolate.end is _NO_MEMORY:
            raise V8Error(isolate.end)
        ends = _now() + isolate.time_s
        most = _peak_rss() + isolate.memory_bytes
        task = start()
        try:
            while not self._finished.acquire(timeout=max(0.0, min(_LOOK_EVERY_S, ends - _now()))):
                if _peak_rss() > most:
                    isolate.end = _NO_MEMORY
                elif _now() < ends:
                    continue
                self.calls.mr_cancel_task(isolate.id, task)
                self._await_end(isolate)
                break
        except BaseException:
            # The task, a signal's handler having raised, is still on its way.
            isolate.close()
            self._finished.acquire(blocking=False)
            raise
        if self.calls.mr_hard_memory_limit_reached(isolate.id):
            isolate.end = _NO_MEMORY
        return self._result

    def _await_end(self, isolate: Isolate) -> None:
        """Wait for the end of a cancelled task.

        Promise jobs run between tasks, where only the end of the isolate stops them. If a function
        of V8's own does not look up, nothing does but the process's backstop.
        """
        if self._finished.acquire(timeout=_OBEY_S):
            return
        freed = _thread.allocate_lock()
        freed.acquire()

        def free() -> None:
            isolate.close()
            freed.release()

        usual = _thread.stack_size(_STACK_BYTES)
        try:
            # In another thread, as this one has to be there if V8 gives up in the meantime.
            _thread.start_new_thread(free, ())
        except RuntimeError:
            free()  # there is no memory for a stack
        finally:
            _thread.stack_size(usual)
        while not freed.acquire(timeout=_LOOK_EVERY_S):
            pass
        raise V8Error(isolate.end)


_library: _Library | None = None


def load(limits: EngineLimits) -> None:
    """Load and start V8, and make an isolate for once, so that all it reads has been read.

    Raises:
        ImportError: mini-racer is not installed.
    """
    global _library
    if _library is None:
        _library = _Library(limits)
        first = Isolate(limits)
        first.eval("1")
        first.close()


def gave_up() -> bool:
    """Whether V8 has given up, after which this process can do nothing with it."""
    return _library is not None and _library.gave_up


def version() -> str:
    """Version of V8; it must be loaded."""
    assert _library is not None
    return str(_library.calls.mr_v8_version().decode())


class Isolate:
    """A heap, a realm and a thread. Results are None, booleans, numbers, texts and functions.

    Raises:
        MemoryError: too many are alive.
        V8Error: from every method but ``close``.
    """

    __slots__ = ("_calls", "_library", "end", "id", "is_live", "memory_bytes", "time_s")

    def __init__(self, limits: EngineLimits) -> None:
        assert _library is not None
        self._library = _library
        self._calls = _library.calls
        self.is_live = False
        if self._calls.mr_context_count() >= _MOST_ISOLATES:
            raise MemoryError("no room for another isolate")
        self.time_s = limits.time_s
        #: What may be taken outside of the heap, which has a limit of its own.
        self.memory_bytes = 2 * limits.memory_bytes
        #: How a task that is ended here ends.
        self.end = _INTERRUPTED
        self.id = self._calls.mr_init_context(_library.callback)
        self.is_live = True
        self._calls.mr_set_hard_memory_limit(self.id, limits.memory_bytes)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free it. Where V8 gave up, nothing can be freed."""
        is_live, self.is_live = self.is_live, False
        if is_live and not self._library.gave_up:
            self._calls.mr_free_context(self.id)

    def set_time_limit(self, seconds: float) -> None:
        """How long each of the tasks that follow may take."""
        self.time_s = seconds

    def execute_pending_job(self) -> bool:
        """Run all promise jobs, which V8 does at the end of each task; so none is left."""
        self.eval("")
        return False

    def eval(self, source: str) -> Any:
        """Evaluate a script; return the value of its last statement."""
        return self._value_of(self._evaluated(source))

    def _evaluated(self, source: str) -> Any:
        code = self.handle_of(source)
        try:
            return self._library.run(self, lambda: self._calls.mr_eval(self.id, code, _CALLBACK_ID))
        finally:
            self.free(code)

    def call(self, function: Any, args: Sequence[Value]) -> Any:
        """Call a function, given its handle."""
        undefined = self._calls.mr_alloc_int_val(self.id, 0, _UNDEFINED)
        list_ = self._evaluated("[]")
        try:
            for arg in args:
                self._push(list_, arg)
            handle = self._library.run(
                self,
                lambda: self._calls.mr_call_function(
                    self.id, function, undefined, list_, _CALLBACK_ID
                ),
            )
        finally:
            self.free(undefined)
            self.free(list_)
        return self._value_of(handle)

    def _push(self, list_: Any, arg: Value) -> None:
        handle = self.handle_of(arg)
        self.free(self._calls.mr_array_push(self.id, list_, handle))
        if not isinstance(arg, Function):
            self.free(handle)

    def handle_of(self, value: Value) -> Any:
        """A handle for a value, to be freed."""
        calls = self._calls
        if isinstance(value, str):
            data = value.encode()
            return calls.mr_alloc_string_val(self.id, data, len(data), _STRING)
        if isinstance(value, Function):
            return value.handle
        if isinstance(value, bool):
            return calls.mr_alloc_int_val(self.id, value, _BOOLEAN)
        if value is None:
            return calls.mr_alloc_int_val(self.id, 0, _UNDEFINED)
        return calls.mr_alloc_double_val(self.id, value, _DOUBLE)

    def free(self, handle: Any) -> None:
        """Give a handle back."""
        if self.is_live and not self._library.gave_up:
            self._calls.mr_free_value(self.id, handle)

    def _value_of(self, handle: Any) -> Any:
        raw = handle.contents
        kind = raw.type
        if kind == _FUNCTION and self.end is not _NO_MEMORY:
            return Function(self, handle)
        value: Any = None
        if kind == _STRING or kind >= _EXCEPTIONS:
            text = ctypes.string_at(raw.value.bytes_val, raw.len).decode("utf-8", "replace")
            value = text
        elif kind in (_BOOLEAN, _INTEGER):
            value = raw.value.int_val
        elif kind == _DOUBLE:
            value = raw.value.double_val
        self.free(handle)
        if kind >= _EXCEPTIONS:
            raise self._error(kind, value)
        if self.end is _NO_MEMORY:
            raise V8Error(_NO_MEMORY)
        return value

    def _error(self, kind: int, text: str) -> V8Error:
        if kind == _OUT_OF_MEMORY:
            return V8Error(_NO_MEMORY)
        if kind == _TERMINATED:
            return V8Error(self.end)
        return V8Error(text)


class Function:
    """A function of an isolate."""

    __slots__ = ("_isolate", "handle")

    def __init__(self, isolate: Isolate, handle: Any) -> None:
        self._isolate = isolate
        self.handle = handle

    def __call__(self, *args: Any) -> Any:
        return self._isolate.call(self.handle, args)

    def __del__(self) -> None:
        self._isolate.free(self.handle)


def _set_thread_stacks(size: int) -> None:
    """Give threads that the library makes a smaller stack than the usual 8 MiB, where glibc can."""
    libc = ctypes.CDLL(None)
    setter = getattr(libc, "pthread_setattr_default_np", None)
    if setter is not None:
        attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
        libc.pthread_attr_init(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size))
        setter(attributes)
        libc.pthread_attr_destroy(attributes)


def _peak_rss() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
