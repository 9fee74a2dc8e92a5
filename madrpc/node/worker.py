"""A worker process: requests in from its node, answers out, one call at a time.

It is single-threaded, blocks on one socket, and leaves when that socket ends. It imports no gevent
and trusts nothing a request holds.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from madrpc.config import EngineLimits
from madrpc.engine.interface import Call, Done, Engine, Script
from madrpc.errors import (
    CallTimeout,
    InternalError,
    InvalidRequest,
    MadrpcError,
    MethodNotFound,
    PayloadTooLarge,
    ResultNotSerializable,
    TimeLimitExceeded,
)
from madrpc.node.confine import confine
from madrpc.protocol.messages import (
    Request,
    error_tail,
    response_head,
    result_tail,
    unpack_request_tail,
)
from madrpc.protocol.session import ServerSession
from madrpc.protocol.values import args_to_json, result_from_json

__all__ = ["BOOT_ID", "WorkerBoot", "worker_main"]

#: Id of the answer a worker sends unasked once its scripts are loaded, or failed to.
BOOT_ID = 0
_RECV_BYTES = 256 * 1024


@dataclass(frozen=True)
class WorkerBoot:
    """What a worker needs to start; crosses to the child process by pickling."""

    scripts: Sequence[Script]
    limits: EngineLimits
    max_frame: int
    parent_pid: int


def worker_main(sock: socket.socket, boot: WorkerBoot) -> None:
    """Entry point of the child process."""
    confine(boot.parent_pid)
    # Blocking mode belongs to the open socket, and the node made this end non-blocking.
    sock.setblocking(True)
    try:
        engine = _load_engine(boot)
    except MadrpcError as error:
        _send(sock, BOOT_ID, error_tail(error))
        return
    gc.collect()
    gc.freeze()
    _send(sock, BOOT_ID, result_tail({"methods": sorted(engine.methods), "pid": os.getpid()}))
    Worker(sock, engine, boot.max_frame).run()


def _load_engine(boot: WorkerBoot) -> Engine:
    from madrpc.engine.quickjs import QuickJSEngine

    return QuickJSEngine(boot.scripts, boot.limits)


class Worker:
    """Serves one socket until it ends."""

    def __init__(self, sock: socket.socket, engine: Engine, max_frame: int) -> None:
        self._sock = sock
        self._engine = engine
        self._max_frame = max_frame
        self._session = ServerSession(max_frame)

    def run(self) -> None:
        """Answer requests until the node closes the socket."""
        while data := self._receive():
            for message in self._session.receive(data):
                if isinstance(message, Request):
                    _send(self._sock, message.id, self._answer(message))
            if self._session.error is not None:
                return

    def _receive(self) -> bytes:
        """The next bytes; while there are none, a spare context is made ready."""
        try:
            return self._sock.recv(_RECV_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._engine.prepare()
        except ConnectionError:
            return b""
        try:
            return self._sock.recv(_RECV_BYTES)
        except ConnectionError:
            return b""

    def _answer(self, request: Request) -> bytes:
        try:
            return self._run(request)
        except MadrpcError as error:
            return error_tail(error)
        except Exception as error:
            # One call's fault must not cost the worker; the type and text go to the caller.
            return error_tail(InternalError(f"the worker failed: {type(error).__name__}: {error}"))

    def _run(self, request: Request) -> bytes:
        method, args, meta = unpack_request_tail(request.tail)
        if method not in self._engine.methods:
            raise MethodNotFound(f"no function is called {method!r} on this node")
        limit_s = self._time_limit(request.timeout_ms)
        call = Call(method, args_to_json(args), limit_s, _seed(meta))
        execution = self._engine.execution(call)
        try:
            step = execution.start()
            assert isinstance(step, Done)
            return self._encode(step.result)
        except TimeLimitExceeded:
            if call.time_s < self._engine.limits.time_s:
                raise _deadline_passed(call.time_s) from None
            raise
        finally:
            execution.close()

    def _time_limit(self, timeout_ms: int) -> float:
        limit = self._engine.limits.time_s
        return min(limit, timeout_ms / 1000) if timeout_ms else limit

    def _encode(self, result: str) -> bytes:
        try:
            tail = result_tail(result_from_json(result))
        except UnicodeEncodeError as error:
            raise ResultNotSerializable(
                "the result has text with a lone surrogate, which UTF-8 cannot carry"
            ) from error
        if len(tail) > self._max_frame - 7:
            raise PayloadTooLarge(
                f"the result is {len(tail)} bytes long and the limit is {self._max_frame}; "
                "return less at once or raise --max-frame on every server",
                {"size": len(tail), "limit": self._max_frame},
            )
        return tail


def _seed(meta: Mapping[str, Any]) -> str | None:
    """The seed a caller gave, as text; 7 and "7" are the same one."""
    seed = meta.get("seed")
    if seed is None or isinstance(seed, str):
        return seed
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InvalidRequest(
            f"meta.seed must be an integer or a text, not {type(seed).__name__}",
            {"field": "meta.seed"},
        )
    return str(seed)


def _deadline_passed(ran_s: float) -> CallTimeout:
    return CallTimeout(
        f"the deadline passed after the function had run for {ran_s:.2f} s; the call was stopped",
        {"ran_ms": round(ran_s * 1000)},
    )


def _send(sock: socket.socket, id: int, tail: bytes) -> None:
    try:
        sock.sendall(response_head(id, len(tail)) + tail)
    except ConnectionError:
        pass  # the node is gone; the next receive sees it and ends the worker
