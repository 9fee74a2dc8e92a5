"""A client as an executor of the standard library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["FunctionExecutor"]

Submit = Callable[[str, Mapping[str, Any] | None], Future[Any]]


class FunctionExecutor(Executor):
    """Runs functions by their names, for code that expects an executor.

    ``executor.submit("add", a=1, b=2)`` or ``executor.submit("add", {"a": 1, "b": 2})``;
    ``executor.map("add", [{"a": 1, "b": 2}, ...])``. The client stays open when the executor is
    shut down.

    Args:
        submit: starts a call.
    """

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._running: set[Future[Any]] = set()
        self._is_shut = False

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call of the function named ``fn``.

        Raises:
            TypeError: ``fn`` is no name, or there is more than one positional argument.
            RuntimeError: the executor was shut down.
        """
        if not isinstance(fn, str):
            raise TypeError(f"pass the name of a function that a script registered, not {fn!r}")
        if len(args) > 1 or (args and not isinstance(args[0], Mapping | None)):
            raise TypeError("pass arguments by name, or as one dict")
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = self._submit(fn, {**(args[0] or {} if args else {}), **kwargs})
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Args:
            wait: until those that run have ended.
            cancel_futures: cancel them.
        """
        self._is_shut = True
        for future in list(self._running):
            if cancel_futures:
                future.cancel()
        for future in list(self._running) if wait else ():
            if not future.cancelled():
                future.exception()
