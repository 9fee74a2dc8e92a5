"""The calling end of a stream: requests out, each answer back to its token.

An orchestrator holds one to each node, a node holds one to each worker process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import socket

from madrpc.links.stream import Stream
from madrpc.protocol.messages import Response, cancel_frame, request_head
from madrpc.protocol.session import CallerSession
from madrpc.tls import TlsSession

__all__ = ["CallerLink"]


class CallerLink:
    """One connection on which this side makes the calls.

    Args:
        sock: connected gevent socket; the link owns it from now on.
        max_frame: largest answer accepted, in bytes.
        on_answer: called with the request's token and its answer.
        on_lost: called once with the reason and the tokens that never got an answer.
        stall_s: a peer that takes no byte for this long is cut off.
        tls: encrypts the connection, if given.
        hello: a frame to send first.
    """

    __slots__ = ("_on_answer", "_on_lost", "_session", "_stream")

    def __init__(
        self,
        sock: socket.socket,
        max_frame: int,
        on_answer: Callable[[Any, Response], None],
        on_lost: Callable[[str, list[Any]], None],
        stall_s: float,
        tls: TlsSession | None = None,
        hello: bytes = b"",
    ) -> None:
        self._session = CallerSession(max_frame)
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._stream = Stream(sock, self._on_data, self._on_eof, self._on_closed, stall_s, tls=tls)
        if hello:
            self._stream.write(hello)

    def __repr__(self) -> str:
        return f"<CallerLink {self._session} {self._stream}>"

    @property
    def in_flight(self) -> int:
        """Requests without an answer."""
        return self._session.in_flight

    @property
    def pending_bytes(self) -> int:
        """Bytes the peer has not taken yet."""
        return self._stream.pending_bytes

    def call(self, token: Any, timeout_ms: int, tail: bytes) -> int:
        """Send a request; return its id on this link."""
        id = self._session.open(token)
        self._stream.write(request_head(id, timeout_ms, len(tail)), tail)
        return id

    def expect(self, token: Any) -> int:
        """Take an id for an answer the peer will send unasked."""
        return self._session.open(token)

    def cancel(self, id: int) -> None:
        """Give a request up and tell the peer; its answer will not be delivered."""
        if self._session.abandon(id):
            self._stream.write(cancel_frame(id))

    def close(self, reason: str = "closed") -> None:
        """Close at once; ``on_lost`` gets what was in flight."""
        self._stream.close(reason)

    def _on_data(self, data: bytes) -> None:
        on_answer = self._on_answer
        for token, response in self._session.receive(data):
            on_answer(token, response)
        if self._session.error is not None:
            refusal = self._session.refusal
            prefix = "" if refusal is None else f"{refusal.name}: "
            self._stream.close(prefix + self._session.error.message)

    def _on_eof(self) -> None:
        self._stream.close("the peer closed the connection")

    def _on_closed(self, reason: str) -> None:
        self._on_lost(reason, self._session.close())
