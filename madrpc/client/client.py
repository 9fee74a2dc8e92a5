"""The blocking client."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, Self, overload

from madrpc.client.attempts import PendingCall
from madrpc.client.base import CLIENT_DEFAULT, Args, BaseClient, Timeout
from madrpc.client.channel import ChannelPool
from madrpc.client.dispatcher import CallFuture, Dispatcher
from madrpc.client.executor import FunctionExecutor
from madrpc.client.loadtest import LoadResult, LoadTest, Plan
from madrpc.client.mapping import run_map
from madrpc.client.pipeline import Pipeline
from madrpc.client.progress import with_progress
from madrpc.config import DEFAULT_CALL_TIMEOUT_S, DEFAULT_MAX_FRAME
from madrpc.errors import ClientClosed, ConnectionFailed, Draining, MadrpcError, from_wire
from madrpc.protocol.messages import unpack_response_tail
from madrpc.receipt import Reply

__all__ = ["Client"]


class Client(BaseClient):
    """Calls functions behind an orchestrator, or on one node.

    Thread-safe; survives ``fork``; works with and without gevent's monkey patching.

    Args:
        addresses: ``"host:port"``, or a list of orchestrators of which any will do.
        max_connections: connections that calls of several threads may use at once. Further
            threads are served by one multiplexed connection, so this bounds sockets, not calls.
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
        self._dispatcher: Dispatcher | None = None
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection. Calls that wait end with ``ClientClosed``."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._pid:
            return
        self._channels.close()
        with self._lock:
            dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.close()

    # ------------------------------------------------------------- calls

    @overload
    def call(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: Literal[True],
    ) -> Reply: ...

    @overload
    def call(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> Any: ...

    def call(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> Any:
        """Call a function and return its result.

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
        """
        return self._run(self._pending(method, args, timeout, seed, trace, receipt))

    def submit(
        self,
        method: str,
        args: Args = None,
        *,
        timeout: Timeout = CLIENT_DEFAULT,
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> CallFuture:
        """Start a call and return its future; ``cancel`` works until the answer is there.

        With ``receipt=True`` the future's ``receipt`` is a ``Receipt`` once it is done.
        """
        return self._dispatch(self._pending(method, args, timeout, seed, trace, receipt))

    def map(
        self,
        method: str,
        items: Iterable[Args],
        *,
        concurrency: int = 64,
        ordered: bool = True,
        progress: bool = False,
        return_errors: bool = False,
        timeout: Timeout = CLIENT_DEFAULT,
        trace: str | None = None,
        receipt: bool = False,
    ) -> Iterator[Any]:
        """Call a function once for each item and yield the results as an iterator.

        ``concurrency`` calls are kept in flight over one connection, and the items are read no
        further ahead than that. Leaving the iterator cancels what is in flight.

        Args:
            method: the name the script registered.
            items: the arguments of each call.
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
        self._check_usable()
        results = run_map(
            Pipeline(self._endpoints, self._max_frame),
            make_call,
            items,
            concurrency=concurrency,
            ordered=ordered,
            return_errors=return_errors,
        )
        return with_progress(results, method, items) if progress else results

    def executor(self) -> FunctionExecutor:
        """This client for code that expects a ``concurrent.futures.Executor``."""
        return FunctionExecutor(lambda method, args: self.submit(method, args))

    def load_test(self, method: str, args: Args, plan: Plan) -> LoadResult:
        """Call one function over and over, over a connection of its own, and measure.

        Raises:
            InvalidArguments: the arguments cannot be sent.
        """
        self._check_usable()
        self._pending(method, args, CLIENT_DEFAULT)

        def make_call() -> PendingCall:
            return self._pending(method, args, CLIENT_DEFAULT)

        pipeline = Pipeline(self._endpoints, self._max_frame)
        return LoadTest(pipeline, make_call, plan).run()

    def methods(self) -> list[str]:
        """Names of the functions that can be called."""
        return list(self.call("_methods")["methods"])

    def info(self) -> dict[str, Any]:
        """What the server is: role, version, state, nodes or scripts, limits."""
        return dict(self.call("_info"))

    def metrics(self) -> dict[str, Any]:
        """Counters, latencies and resource use of the server and of what is behind it."""
        return dict(self.call("_metrics"))

    # ----------------------------------------------------------- private

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._channels = ChannelPool(self._endpoints, self._max_connections, self._max_frame)
        self._dispatcher = None

    def _check_usable(self) -> None:
        if self._closed:
            raise ClientClosed("the client is closed; make a new one")
        if os.getpid() != self._pid:
            # A forked child shares the parent's sockets; using them would mix both sides' bytes.
            if self._dispatcher is not None:
                self._dispatcher.abandon()
            self._channels.forget()
            self._reset()

    def _run(self, call: PendingCall) -> Any:
        """Make attempts until one counts."""
        self._check_usable()
        while True:
            try:
                result = self._attempt(call)
            except MadrpcError as error:
                at = call.retry_at(error)
                if at is None:
                    call.conclude(error)
                    raise
                call.wait_until(at)
            else:
                return call.reply(result) if call.wants_receipt else result

    def _attempt(self, call: PendingCall) -> Any:
        call.attempts += 1
        channel = self._channels.acquire(call.deadline)
        if channel is None:
            call.attempts -= 1
            return self._dispatch(call).result()
        try:
            response = channel.exchange(call)
        except BaseException as failure:
            self._channels.discard(channel, broken=isinstance(failure, ConnectionFailed))
            raise
        if call.wants_receipt:
            call.note(response)
        error, result = unpack_response_tail(response.tail)
        refusal = None if error is None else from_wire(error)
        if isinstance(refusal, Draining):
            # It will refuse the next call on this connection too.
            self._channels.discard(channel, broken=True)
        else:
            self._channels.release(channel)
        if refusal is not None:
            raise refusal
        return result

    def _dispatch(self, call: PendingCall) -> CallFuture:
        self._check_usable()
        with self._lock:
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self._endpoints, self._max_frame)
            dispatcher = self._dispatcher
        return dispatcher.submit(call)
