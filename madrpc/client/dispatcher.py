"""A background thread that keeps futures' calls in flight on one pipeline."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from madrpc.client.attempts import PendingCall
from madrpc.client.endpoints import Endpoints
from madrpc.client.pipeline import Pipeline
from madrpc.errors import Cancelled, ClientClosed, MadrpcError
from madrpc.receipt import Receipt

__all__ = ["CallFuture", "Dispatcher"]


class CallFuture(Future[Any]):
    """The outcome of a call.

    Attributes:
        receipt: where the time went, once the call has ended, if it was asked for.
    """

    receipt: Receipt | None = None


class Dispatcher:
    """Runs submitted calls; starts its thread with the first one."""

    def __init__(self, endpoints: Endpoints, max_frame: int) -> None:
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._pipeline = Pipeline(endpoints, max_frame, self._wake_read.fileno())
        self._orders: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<Dispatcher {self._pipeline}>"

    def submit(self, call: PendingCall) -> CallFuture:
        """Start a call; the future can be cancelled until its answer is there."""
        future = CallFuture()
        call.token = future
        # The future stays pending until its answer comes, which is what lets cancel() work on a
        # call that runs.
        future.add_done_callback(lambda done: self._on_done(call, done))
        self._order(lambda: self._pipeline.start(call))
        return future

    def close(self) -> None:
        """Stop the thread; futures that wait end with ClientClosed."""
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is not None:
            self._wake()
            if thread is not threading.current_thread():
                thread.join()
        self._wake_read.close()
        self._wake_write.close()

    def abandon(self) -> None:
        """Drop the descriptors in a forked child, where the thread does not exist."""
        self._pipeline.forget()
        self._wake_read.close()
        self._wake_write.close()

    def _order(self, order: Callable[[], None]) -> None:
        with self._lock:
            if self._closing:
                raise ClientClosed("the client is closed")
            self._orders.append(order)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="madrpc-dispatcher", daemon=True
                )
                self._thread.start()
        self._wake()

    def _wake(self) -> None:
        try:
            self._wake_write.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # a wake-up is pending already, or the dispatcher is closed

    def _on_done(self, call: PendingCall, future: Future[Any]) -> None:
        if future.cancelled() and not call.done and not self._closing:
            error = Cancelled("the future was cancelled")
            self._order(lambda: self._pipeline.cancel(call, error))

    def _run(self) -> None:
        while True:
            self._drain_wakes()
            while self._orders:
                self._orders.popleft()()
            with self._lock:
                if self._closing and not self._orders:
                    break
            for call in self._pipeline.poll(None):
                _settle(call)
        self._close_pipeline()

    def _drain_wakes(self) -> None:
        try:
            while len(self._wake_read.recv(4096)) == 4096:
                pass
        except (BlockingIOError, OSError):
            pass

    def _close_pipeline(self) -> None:
        unfinished = self._pipeline.unfinished_calls()
        self._pipeline.close()
        for call in unfinished:
            call.error = ClientClosed("the client was closed while the call was waiting")
            call.done = True
            call.conclude(call.error)
            _settle(call)


def _settle(call: PendingCall) -> None:
    """Give a finished call's outcome to its future, unless that was cancelled meanwhile."""
    future: CallFuture = call.token
    if not future.set_running_or_notify_cancel():
        return
    if call.wants_receipt:
        future.receipt = call.receipt
    error: MadrpcError | None = call.error
    if error is None:
        future.set_result(call.result)
    else:
        future.set_exception(error)
