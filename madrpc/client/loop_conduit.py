"""A connection with many calls in flight that an asyncio event loop drives."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Protocol, cast

from madrpc.address import Address
from madrpc.client.conduit import Answers, Conduit
from madrpc.client.endpoints import Endpoints, connect_error
from madrpc.errors import MadrpcError, Unauthenticated
from madrpc.tcp import tune

__all__ = ["LoopConduit", "Owner"]


class Owner(Protocol):
    """Who wants to know what happens to a connection."""

    def conduit_connected(self, conduit: LoopConduit) -> None:
        """It can be used."""

    def conduit_answered(self, conduit: LoopConduit, answers: Answers) -> None:
        """Bytes have come, and with them these answers."""

    def conduit_lost(self, conduit: LoopConduit, error: MadrpcError) -> None:
        """It is of no more use, and ``forget`` was not called yet."""

    def conduit_writable(self) -> None:
        """The loop's buffer has room again."""


class LoopConduit(Conduit, asyncio.Protocol):
    """A connection that begins to be made at once.

    After ``close`` or ``forget`` its owner hears nothing more of it.

    Attributes:
        gone: set once the loop knows nothing of the connection any more.
    """

    def __init__(
        self, endpoints: Endpoints, max_frame: int, owner: Owner, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(endpoints, max_frame)
        self._owner: Owner | None = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._buffered = 0
        self.gone = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = loop.create_task(self._connect())
        # A task that is cancelled before its first turn never runs its own clean-up.
        self._connecting.add_done_callback(self._connect_ended)

    @property
    def has_room(self) -> bool:
        """Whether calls can be sent."""
        return not self._is_paused and super().has_room

    def flush(self) -> None:
        """Hand what is to be sent to the loop."""
        transport = self._transport
        if transport is None:
            return
        wire = self.unsent()
        if wire:
            transport.write(bytes(wire))
            wire.clear()

    def tick(self, now: float) -> None:
        """See ``Conduit.tick``."""
        if self._transport is not None:
            buffered = self._transport.get_write_buffer_size()
            if buffered < self._buffered:
                # A long upload that moves is a sign of life too.
                self.is_alive()
            self._buffered = buffered
        super().tick(now)

    def close(self) -> None:
        """Cancel what is in flight and disconnect once that is sent."""
        self.cancel_all()
        self.flush()
        self._owner = None
        if self._connecting is not None:
            self._connecting.cancel()
        elif self._transport is not None:
            self._transport.close()

    def forget(self) -> None:
        """Drop the connection, and whatever is still to be sent."""
        self._owner = None
        if self._connecting is not None:
            self._connecting.cancel()
        elif self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to talk."""
        self._transport = cast(asyncio.Transport, transport)
        self.connected()
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Pass the answers on."""
        owner = self._owner
        if owner is None:
            return
        try:
            answers = self.receive(data)
        except MadrpcError as error:
            self._fail(error)
        else:
            owner.conduit_answered(self, answers)

    def eof_received(self) -> None:
        """The server sends no more; the loop closes the connection."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, whoever wanted that."""
        self._transport = None
        self.gone.set()
        if self._owner is not None:
            self._owner.conduit_lost(self, self.loss(error if isinstance(error, OSError) else None))

    def pause_writing(self) -> None:
        """Let calls wait while the loop's buffer is full."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Send the calls that waited."""
        self._is_paused = False
        if self._owner is not None:
            self._owner.conduit_writable()

    # ----------------------------------------------------------- private

    def _fail(self, error: MadrpcError) -> None:
        owner, transport = self._owner, self._transport
        assert owner is not None
        if isinstance(error, Unauthenticated) and transport is not None:
            # The alert that tells the server why goes out before the connection ends.
            transport.write(bytes(self.unsent()))
            transport.close()
            self._transport = None
        owner.conduit_lost(self, error)

    async def _connect(self) -> None:
        problem: MadrpcError | None = None
        try:
            sock = await _connected_socket(self._loop, self.address)
            try:
                await self._loop.create_connection(lambda: self, sock=sock)
            except BaseException:
                sock.close()
                raise
        except (OSError, UnicodeError) as error:
            problem = connect_error(self.address, error)
        if self._owner is None:
            return
        if problem is None:
            self._owner.conduit_connected(self)
        else:
            self._owner.conduit_lost(self, problem)

    def _connect_ended(self, _: object) -> None:
        self._connecting = None
        if self._transport is None:
            self.gone.set()
        elif self._owner is None:
            self._transport.abort()


async def _connected_socket(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    """A connection to the first of a host's addresses that takes one."""
    problem: OSError = OSError("the name has no address")
    for family, kind, proto, _, target in await _resolve(loop, address):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            tune(sock)
            await loop.sock_connect(sock, target)
        except OSError as error:
            sock.close()
            # The loop's words name the address once more; the system's are enough.
            problem = OSError(error.errno, os.strerror(error.errno)) if error.errno else error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


async def _resolve(loop: asyncio.AbstractEventLoop, address: Address) -> list[Any]:
    kind = socket.SOCK_STREAM
    try:
        # What is an address already needs no thread to look it up.
        return socket.getaddrinfo(*address, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await loop.getaddrinfo(*address, type=kind)
