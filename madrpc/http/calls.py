"""Calls that came over HTTP, on the way that frames take: through the server's handler."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import Event

from madrpc.config import CLIENT_GRACE_S
from madrpc.errors import CallTimeout, MadrpcError, Overloaded, PayloadTooLarge, from_wire
from madrpc.links.connection import Cancellable, Handler
from madrpc.policy.ratelimit import RateLimit
from madrpc.protocol.jsonrpc import JsonCall, JsonFault, answer, failure
from madrpc.protocol.messages import (
    REQUEST_HEAD,
    Request,
    error_tail,
    request_tail,
    unpack_response_tail,
)
from madrpc.protocol.receipts import Receipts, unpack_receipts
from madrpc.receipt import Receipt

__all__ = ["Exchange"]

_now = time.monotonic
#: How often it is looked whether the caller is still there.
_LOOK_S = 0.25
#: Calls of a batch that are in flight at once; the others wait here, and not in a node's queue.
_WINDOW = 64


class Exchange:
    """The calls of one HTTP request: side by side, and answered when all are done.

    To the handler it is what a connection is: whom to answer.

    Args:
        handler: the server.
        rate: how many calls a second the caller may make, if bounded.
        peer: the caller's host.
        max_frame: most bytes of a call and of the whole answer.
    """

    def __init__(self, handler: Handler, rate: RateLimit | None, peer: str, max_frame: int) -> None:
        self._handler = handler
        self._rate = rate
        self._peer = peer
        self._max_frame = max_frame
        self._pending: dict[int, Cancellable | None] = {}
        self._tails: dict[int, bytes] = {}
        self._waiting: deque[tuple[int, JsonCall]] = deque()
        self._changed = Event()
        self._receipts: Receipts = ()
        self._began = _now()

    @property
    def timing(self) -> str | None:
        """The last call's time as ``Server-Timing`` has it, if its caller asked for that."""
        if not self._receipts:
            return None
        total_ms = (_now() - self._began) * 1000
        receipt = Receipt.of(unpack_receipts(self._receipts), total_ms=total_ms)
        parts = (
            ("queue", receipt.queue_ms),
            ("context", receipt.context_ms),
            ("run", receipt.run_ms),
            ("parked", receipt.parked_ms or None),
            ("total", receipt.total_ms),
        )
        return ", ".join(f"{name};dur={ms:g}" for name, ms in parts if ms is not None)

    @property
    def may_order(self) -> bool:
        """Never: what comes over HTTP may come from a page."""
        return False

    def respond(self, id: int, tail: bytes, receipts: Receipts = ()) -> None:
        """A call is answered. A second answer is dropped."""
        if id not in self._pending:
            return
        self._receipts = receipts
        del self._pending[id]
        self._tails[id] = tail
        self._changed.set()

    def respond_error(self, id: int, error: MadrpcError) -> None:
        """A call is answered with an error."""
        self.respond(id, error_tail(error))

    def run(
        self,
        members: Sequence[JsonCall | JsonFault],
        timeout_s: float,
        meta: dict[str, Any] | None,
        is_gone: Callable[[], bool],
    ) -> list[str] | None:
        """Run the calls side by side; their responses in order, or None if the caller left."""
        self._waiting.extend(
            (number, member)
            for number, member in enumerate(members)
            if isinstance(member, JsonCall)
        )
        try:
            if not self._run(_now() + timeout_s, meta, is_gone):
                return None
        finally:
            self._cancel()
        return self._responses(members)

    def _run(
        self, deadline: float, meta: dict[str, Any] | None, is_gone: Callable[[], bool]
    ) -> bool:
        while True:
            self._changed.clear()
            while self._waiting and len(self._pending) < _WINDOW:
                number, call = self._waiting.popleft()
                self._pending[number] = None
                self._send(number, call, deadline - _now(), meta)
            if not self._pending and not self._waiting:
                return True
            if not self._changed.wait(_LOOK_S) and is_gone():
                return False
            if _now() >= deadline + CLIENT_GRACE_S:
                self._expire()

    def _send(
        self, number: int, call: JsonCall, timeout_s: float, meta: dict[str, Any] | None
    ) -> None:
        if timeout_s <= 0:
            self.respond_error(number, _late())
            return
        tail = request_tail(call.method, call.args, meta)
        if len(tail) + REQUEST_HEAD > self._max_frame:
            self.respond_error(number, _too_large(len(tail), self._max_frame))
            return
        if self._rate is not None and not call.method.startswith("_"):
            wait_s = self._rate.take(self._peer, _now())
            if wait_s:
                self.respond_error(number, _too_fast(wait_s))
                return
        request = Request(number, math.ceil(timeout_s * 1000), call.method, tail)
        pending = self._handler.handle(self, request)
        if number in self._pending:
            self._pending[number] = pending

    def _expire(self) -> None:
        """Give up what has no answer, although the server keeps deadlines itself."""
        for number, running in list(self._pending.items()):
            self.respond_error(number, _late())
            if running is not None:
                running.cancel()

    def _cancel(self) -> None:
        """Cancel what is not answered, because the caller left or this greenlet was killed."""
        running, self._pending = list(self._pending.values()), {}
        for call in running:
            if call is not None:
                call.cancel()

    def _responses(self, members: Sequence[JsonCall | JsonFault]) -> list[str]:
        texts: list[str] = []
        size = 0
        for number, member in enumerate(members):
            if member.notifies:
                continue
            if isinstance(member, JsonFault):
                text = failure(member.id, member.error)
            else:
                text = _response(member.id, self._tails.pop(number))
            size += len(text)
            if size > self._max_frame:
                size -= len(text)
                text = failure(member.id, _answers_too_large(self._max_frame))
            texts.append(text)
        return texts


def _response(id: Any, tail: bytes) -> str:
    try:
        error, result = unpack_response_tail(tail)
    except MadrpcError as problem:
        return failure(id, problem)
    return answer(id, result) if error is None else failure(id, from_wire(error))


def _late() -> CallTimeout:
    return CallTimeout("no answer before the deadline; X-Madrpc-Timeout-Ms sets it")


def _too_fast(wait_s: float) -> Overloaded:
    wait_ms = math.ceil(wait_s * 1000)
    return Overloaded(
        f"this client makes more calls a second than --rate-limit allows; again in {wait_ms} ms",
        {"retry_after_ms": wait_ms},
    )


def _too_large(size: int, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the call is {size} bytes long and the limit is {limit}; send less at once or raise "
        "--max-frame on every server",
        {"size": size, "limit": limit},
    )


def _answers_too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the answers are longer than {limit} bytes together; ask for less at once or raise "
        "--max-frame on every server",
        {"limit": limit},
    )
