"""A TCP proxy that can make the way to a server slow, silent, broken or gone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a port of its own and passes connections on to ``target``.

    The way is clear until one of the methods spoils it; ``clear`` mends it. What a black hole has
    swallowed comes out again when it is cleared, as with a cut network.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self._delay_s = 0.0
        self._slice_bytes = CHUNK
        self._open_way: asyncio.Event
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def clear(self) -> None:
        """Pass everything on at once again."""
        self._do(self._set, 0.0, CHUNK, True)

    def delay(self, seconds: float) -> None:
        """Hold each piece back for a while."""
        self._do(self._set, seconds, CHUNK, True)

    def slice(self, size: int) -> None:
        """Pass bytes on in small pieces."""
        self._do(self._set, 0.0, size, True)

    def black_hole(self) -> None:
        """Accept and take everything, and pass nothing on."""
        self._do(self._set, 0.0, CHUNK, False)

    def reset(self) -> None:
        """Break every connection with a reset."""
        self._do(self._break, True)

    def cut(self) -> None:
        """End every connection in the middle of whatever it carries."""
        self._do(self._break, False)

    def close(self) -> None:
        """End everything and wait until it has."""
        self._do(self._break, True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        assert not self._thread.is_alive()

    # ----------------------------------------------------------- private

    def _do(self, change: Callable[..., None], *args: Any) -> None:
        done = threading.Event()

        def run() -> None:
            change(*args)
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(5)

    def _set(self, delay_s: float, slice_bytes: int, is_open: bool) -> None:
        self._delay_s, self._slice_bytes = delay_s, slice_bytes
        if is_open:
            self._open_way.set()
        else:
            self._open_way.clear()

    def _break(self, with_reset: bool) -> None:
        for pair in list(self._pairs):
            pair.end(with_reset)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._open_way = asyncio.Event()
        self._open_way.set()
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accepted, sock=self._listening)
        )
        self._loop.call_soon(started.set)
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        try:
            to_reader, pair.upstream = await asyncio.open_connection(*self.target)
            await asyncio.gather(self._carry(reader, pair.upstream), self._carry(to_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, which is what such a connection then shows; or all ends
        finally:
            self._pairs.discard(pair)
            pair.end(with_reset=False)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            while data:
                await self._open_way.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                piece, data = data[: self._slice_bytes], data[self._slice_bytes :]
                writer.write(piece)
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Pair:
    """The two connections that the proxy joins."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.upstream: asyncio.StreamWriter | None = None

    def end(self, with_reset: bool) -> None:
        for writer in (self.client, self.upstream):
            if writer is None:
                continue
            sock = writer.get_extra_info("socket")
            if with_reset and sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
