"""The asyncio client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, overload

from madrpc.client.async_mapping import run_async_map, with_async_progress
from madrpc.client.attempts import PendingCall
from madrpc.client.base import CLIENT_DEFAULT, Args, BaseClient, Timeout
from madrpc.client.loop_traffic import LoopFuture, LoopTraffic
from madrpc.client.progress import progress_bar
from madrpc.config import DEFAULT_CALL_TIMEOUT_S, DEFAULT_MAX_FRAME
from madrpc.errors import ClientClosed
from madrpc.receipt import Reply

__all__ = ["AsyncClient"]


class AsyncClient(BaseClient):
    """Calls functions behind an orchestrator, or on one node, from one event loop.

    ::

        async with AsyncClient("127.0.0.1:8080") as client:
            await client.call("add", {"a": 5, "b": 3})

    All calls share one connection, so any number of tasks may call at once. Cancelling a task
    cancels its call on the server too. The client belongs to the event loop that it is first used
    in.

    Args:
        addresses: ``"host:port"``, or a list of orchestrators of which any will do.
        max_connections: bounds sockets, as with ``Client``; this client never needs more than one,
            and another while a server that is shutting down still answers.
        timeout: deadline of a call in seconds when the call names none; None is no deadline.
        max_frame: largest message sent or accepted, in bytes.
        token: what servers with ``--auth-token-file`` want to see.
        tls_ca: file with the authority that servers' certificates come from; with this or
            ``tls_cert`` connections use TLS.
        tls_cert: file with this client's certificate, for servers that want one.
        tls_key: file with its private key, where that is not in ``tls_cert``.

    Raises:
        AddressError: an address cannot be read.
        Unauthenticated: a certificate file cannot be used.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] = "127.0.0.1:8080",
        *,
        max_connections: int = 10,
        timeout: float | None = DEFAULT_CALL_TIMEOUT_S,
        max_frame: int = DEFAULT_MAX_FRAME,
        token: str | None = None,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        super().__init__(
            addresses,
            max_connections=max_connections,
            timeout=timeout,
            max_frame=max_frame,
            token=token,
            tls_ca=tls_ca,
            tls_cert=tls_cert,
            tls_key=tls_key,
        )
        self._opened: LoopTraffic | None = None
        self._pid = 0

    async def __aenter__(self) -> Self:
        self._traffic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Calls that wait end with ``ClientClosed``.

        Raises:
            RuntimeError: the client was opened in another event loop or process.
        """
        if self._closed:
            return
        if self._opened is not None:
            self._traffic()
            traffic, self._opened = self._opened, None
            self._closed = True
            await traffic.close()
        self._closed = True

    # ------------------------------------------------------------- calls

    @overload
    async def call(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,  # noqa: ASYNC109 - a deadline that goes over the wire
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: Literal[True],
    ) -> Reply: ...

    @overload
    async def call(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,  # noqa: ASYNC109 - a deadline that goes over the wire
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> Any: ...

    async def call(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,  # noqa: ASYNC109 - a deadline that goes over the wire
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> Any:
        """Call a function and return its result; cancelling the task cancels the call.

        Args:
            method: the name the script registered.
            args: its named arguments; JSON values only.
            timeout: seconds until the call gives up; None is no deadline.
            seed: makes the call's ``Math.random`` reproducible.
            trace: a W3C ``traceparent``, which goes with the call into the servers' logs.
            receipt: return a ``Reply``: the result, and a ``Receipt`` that says where the time
                went. An error has it as its ``receipt``.

        Raises:
            MadrpcError: one of the tree in ``madrpc.errors``.
            ValueError: ``timeout`` or ``trace`` cannot be used.
            RuntimeError: the client was opened in another event loop or process.
        """
        traffic = self._traffic()
        call = self._pending(method, args, timeout, seed, trace, receipt)
        try:
            result = await traffic.future(call)
            return call.reply(result) if receipt else result
        except asyncio.CancelledError:
            traffic.give_up(call)
            raise

    def submit(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> LoopFuture:
        """Start a call and return its future; ``cancel`` works until the answer is there.

        With ``receipt=True`` the future's ``receipt`` is a ``Receipt`` once it is done.
        """
        traffic = self._traffic()
        call = self._pending(method, args, timeout, seed, trace, receipt)
        future = LoopFuture(loop=traffic.loop)
        traffic.start_for(future, call)
        future.add_done_callback(partial(_give_up_if_cancelled, traffic, call))
        return future

    def map(
        self,
        method: str,
        items: Iterable[Args] | AsyncIterable[Args],
        *,
        concurrency: int = 64,
        ordered: bool = True,
        progress: bool = False,
        return_errors: bool = False,
        timeout: Timeout = CLIENT_DEFAULT,
        trace: str | None = None,
        receipt: bool = False,
    ) -> AsyncIterator[Any]:
        """Call a function once for each item and yield the results as an async iterator.

        ``concurrency`` calls are kept in flight, and the items are read no further ahead than
        that. Leaving the iterator cancels what is in flight; where it is left with ``break``, that
        happens when the iterator is collected, or at once with ``contextlib.aclosing``.

        Args:
            method: the name the script registered.
            items: the arguments of each call, from an iterable or an async iterable.
            concurrency: calls in flight at once.
            ordered: yield in the order of the items; else as the answers come.
            progress: show a progress bar on stderr (needs the extra ``progress``).
            return_errors: yield a failed call's error instead of raising it.
            timeout: seconds each call has from the moment it is started.
            trace: a W3C ``traceparent`` that goes with every call.
            receipt: yield a ``Reply`` for each item: its result and its ``Receipt``.

        Raises:
            MadrpcError: from the iterator, the first call that failed.
        """
        make_call = self._map_calls(method, concurrency, timeout, trace, receipt)
        results = run_async_map(
            self._traffic(),
            make_call,
            items,
            concurrency=concurrency,
            ordered=ordered,
            return_errors=return_errors,
        )
        return with_async_progress(results, progress_bar(method, items)) if progress else results

    async def methods(self) -> list[str]:
        """Names of the functions that can be called."""
        return list((await self.call("_methods"))["methods"])

    async def info(self) -> dict[str, Any]:
        """What the server is: role, version, state, nodes or scripts, limits."""
        return dict(await self.call("_info"))

    async def metrics(self) -> dict[str, Any]:
        """Counters, latencies and resource use of the server and of what is behind it."""
        return dict(await self.call("_metrics"))

    # ----------------------------------------------------------- private

    def _traffic(self) -> LoopTraffic:
        """What carries calls, made with the first use."""
        if self._closed:
            raise ClientClosed("the client is closed; make a new one")
        traffic = self._opened
        if traffic is not None and os.getpid() != self._pid:
            raise RuntimeError(
                "this AsyncClient was opened before the process was forked, and its connection is "
                "the parent's; make a new one in the child"
            )
        loop = asyncio.get_running_loop()
        if traffic is None:
            self._pid = os.getpid()
            traffic = self._opened = LoopTraffic(self._endpoints, self._max_frame, loop)
        elif traffic.loop is not loop:
            raise RuntimeError(
                "this AsyncClient was opened in another event loop; make one for each loop"
            )
        return traffic


def _give_up_if_cancelled(
    traffic: LoopTraffic, call: PendingCall, future: asyncio.Future[Any]
) -> None:
    if future.cancelled():
        traffic.give_up(call)
