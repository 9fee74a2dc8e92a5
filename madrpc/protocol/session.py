"""The two sides of a connection, without the connection.

``CallerSession`` numbers requests and matches answers to them; both clients and an orchestrator's
upstream side use it. ``ServerSession`` reads requests and remembers which are unanswered; every
listener uses it. Bytes go in, events come out; whoever owns the socket performs the rest.
"""

from __future__ import annotations

from typing import Any

from madrpc.errors import (
    ConnectionFailed,
    Draining,
    MadrpcError,
    Overloaded,
    ProtocolError,
    Unauthenticated,
    from_wire,
)
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import (
    Cancel,
    MalformedMessage,
    ReceiptedResponse,
    Request,
    Response,
    parse_message,
    unpack_error,
)

__all__ = ["MAX_UNKNOWN_REPLIES", "CallerSession", "ServerSession"]

#: A peer that answers this many requests nobody made is broken and loses the connection.
MAX_UNKNOWN_REPLIES = 10
_MAX_ID = 0xFFFFFFFF
_ABOUT_CONNECTIONS = frozenset(kind.__name__ for kind in (Draining, Overloaded, Unauthenticated))


class CallerSession:
    """The caller's side: ids, requests in flight, and which answer belongs to which.

    A *token* is whatever the owner wants back with the answer. An id given up with ``abandon`` is
    not used again until its late answer has come, so an answer can never reach the wrong call.
    Ids begin at 1: the peer answers id 0 with what is wrong with the connection as a whole, which
    ``refusal`` keeps.
    """

    __slots__ = (
        "_abandoned",
        "_decoder",
        "_in_flight",
        "_next_id",
        "_unknown",
        "error",
        "refusal",
    )

    def __init__(self, max_frame: int) -> None:
        self._decoder = FrameDecoder(max_frame)
        self._in_flight: dict[int, Any] = {}
        self._abandoned: set[int] = set()
        self._next_id = 1
        self._unknown = 0
        self.error: MadrpcError | None = None
        self.refusal: MadrpcError | None = None

    def __repr__(self) -> str:
        return (
            f"<CallerSession {len(self._in_flight)} in flight, {len(self._abandoned)} abandoned, "
            f"{self._unknown} unknown, error={self.error}>"
        )

    @property
    def in_flight(self) -> int:
        """Requests without an answer, not counting abandoned ones."""
        return len(self._in_flight)

    @property
    def is_idle(self) -> bool:
        """Whether every request, abandoned ones too, was answered."""
        return not self._in_flight and not self._abandoned

    def open(self, token: Any) -> int:
        """Take an unused id for a new request."""
        id = self._next_id
        while id in self._in_flight or id in self._abandoned:
            id = id + 1 if id < _MAX_ID else 1
        self._next_id = id + 1 if id < _MAX_ID else 1
        self._in_flight[id] = token
        return id

    def abandon(self, id: int) -> bool:
        """Give a request up; True if it was in flight, so that a cancel is worth sending."""
        if self._in_flight.pop(id, None) is None:
            return False
        self._abandoned.add(id)
        return True

    def receive(self, data: bytes) -> list[tuple[Any, Response]]:
        """Take bytes from the peer; return each answer with its request's token.

        ``error`` is set once the peer breaks the protocol; the connection is then of no more use.
        """
        answers: list[tuple[Any, Response]] = []
        if self.error is not None:
            return answers
        decoder = self._decoder
        in_flight = self._in_flight
        for frame in decoder.feed(data):
            message = parse_message(frame)
            if type(message) is Response or type(message) is ReceiptedResponse:
                token = in_flight.pop(message.id, None)
                if token is not None:
                    answers.append((token, message))
                    continue
            self._unexpected(message)
            if self.error is not None:
                return answers
        self.error = decoder.error
        return answers

    def receive_eof(self) -> None:
        """Note that the peer sends no more."""
        self._decoder.feed_eof()
        self.error = self.error or self._decoder.error or ProtocolError("the peer closed")

    def loss(self, reason: str) -> MadrpcError:
        """The error of every call that was in flight when the connection ended.

        What the peer refused may be one of these calls (a frame that was too large, say), or the
        connection itself. Only in the second case is it every call's error; a call that was alone
        is the refused one.
        """
        refusal = self.refusal
        if refusal is not None and (refusal.name in _ABOUT_CONNECTIONS or self.in_flight <= 1):
            return refusal
        return ConnectionFailed(f"the connection broke: {reason}", {"was_open": True})

    def tokens(self) -> list[Any]:
        """The tokens of the requests in flight."""
        return list(self._in_flight.values())

    def close(self) -> list[Any]:
        """Forget everything; return the tokens that never got an answer."""
        tokens = self.tokens()
        self._in_flight.clear()
        self._abandoned.clear()
        return tokens

    def _unexpected(self, message: object) -> None:
        if isinstance(message, Response):
            if message.id in self._abandoned:
                self._abandoned.discard(message.id)
                return
            if message.id == 0:
                # Not an answer to a call: the connection is refused, or the hello was welcome.
                if message.is_error:
                    self.error = self.refusal = _refusal(message)
                return
            self._unknown += 1
            if self._unknown > MAX_UNKNOWN_REPLIES:
                self.error = ProtocolError("the peer keeps answering requests nobody made")
        elif isinstance(message, MalformedMessage):
            self.error = message.error
        else:
            self.error = ProtocolError(f"the peer sent {message!r} where only answers belong")


def _refusal(response: Response) -> MadrpcError:
    try:
        return from_wire(unpack_error(response.tail))
    except ProtocolError as error:
        return error


class ServerSession:
    """The serving side: requests in, and which of them are still unanswered.

    ``in_flight`` maps each unanswered id to whatever the owner stores for it.
    """

    __slots__ = ("_decoder", "error", "in_flight")

    def __init__(self, max_frame: int) -> None:
        self._decoder = FrameDecoder(max_frame)
        self.in_flight: dict[int, Any] = {}
        self.error: MadrpcError | None = None

    def __repr__(self) -> str:
        return f"<ServerSession {len(self.in_flight)} in flight, error={self.error}>"

    @property
    def partial_bytes(self) -> int:
        """Bytes held of a frame that is not complete yet."""
        return self._decoder.partial_bytes

    def grow_older(self) -> tuple[int, int]:
        """Count a tick for the frame that is not complete; see ``FrameDecoder.grow_older``."""
        return self._decoder.grow_older()

    def give_up(self) -> None:
        """Take no more from the peer."""
        self.error = self.error or ProtocolError("the connection was given up")

    def receive(self, data: bytes) -> list[Request | Cancel | MalformedMessage]:
        """Take bytes from the peer; return what it asks for.

        A MalformedMessage in the list has an id and wants an error as its answer. ``error`` is set
        once framing is in doubt; what came before it is still in the list.
        """
        asked: list[Request | Cancel | MalformedMessage] = []
        if self.error is not None:
            return asked
        for frame in self._decoder.feed(data):
            message = parse_message(frame)
            if type(message) is Request:
                asked.append(message)
            elif isinstance(message, Response):
                self.error = ProtocolError("a caller may not send responses")
                return asked
            elif isinstance(message, MalformedMessage) and message.id is None:
                self.error = message.error
                return asked
            else:
                asked.append(message)
        self.error = self._decoder.error
        return asked

    def receive_eof(self) -> None:
        """Note that the peer sends no more."""
        self._decoder.feed_eof()
        self.error = self.error or self._decoder.error
