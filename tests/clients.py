"""Both clients behind one face, for tests that every client has to pass."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Self

from madrpc import AsyncClient, Client

SCRIPT = """
madrpc.register("double", ({n}) => 2 * n);
madrpc.register("echo", (x) => x);
madrpc.register("random", () => Math.random());
madrpc.register("fail", ({n}) => { throw new RangeError("n is " + n); });
madrpc.register("spin", ({ms, tag}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return tag;
});
"""

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class AsyncAsBlocking:
    """An AsyncClient with the methods of a Client; its loop runs only within them."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._client = AsyncClient(*args, **settings)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._runner.close()

    def close(self) -> None:
        self._runner.run(self._client.close())

    def call(self, *args: Any, **settings: Any) -> Any:
        return self._runner.run(self._client.call(*args, **settings))

    @property
    def rpc(self) -> Any:
        return _Remote(self)

    def submit(self, *args: Any, **settings: Any) -> _Future:
        async def submit() -> asyncio.Future[Any]:
            return self._client.submit(*args, **settings)

        return _Future(self._runner.run, self._runner.run(submit()))

    def map(self, method: str, items: Iterable[Any], **settings: Any) -> _Results:
        async def begin() -> AsyncIterator[Any]:
            return self._client.map(method, items, **settings)

        return _Results(self._runner.run, self._runner.run(begin()))

    def methods(self) -> Any:
        return self._runner.run(self._client.methods())

    def info(self) -> Any:
        return self._runner.run(self._client.info())

    def metrics(self) -> Any:
        return self._runner.run(self._client.metrics())


class _Remote:
    def __init__(self, client: AsyncAsBlocking) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        remote = getattr(self._client._client.rpc, name)

        async def call(args: dict[str, Any]) -> Any:
            return await remote(**args)

        return lambda **args: self._client._runner.run(call(args))


class _Future:
    def __init__(self, run: Run, future: Any) -> None:
        self._run = run
        self._future = future

    @property
    def receipt(self) -> Any:
        return self._future.receipt

    def result(self, timeout: float | None = None) -> Any:
        async def wait() -> Any:
            return await asyncio.wait_for(self._future, timeout)

        if self._future.cancelled():
            raise concurrent.futures.CancelledError
        return self._run(wait())

    def exception(self, timeout: float | None = None) -> BaseException | None:
        async def wait() -> BaseException | None:
            await asyncio.wait([self._future], timeout=timeout)
            return self._future.exception()

        return self._run(wait())

    def cancel(self) -> bool:
        async def cancel() -> bool:
            return self._future.cancel()

        return self._run(cancel())


class _Results:
    def __init__(self, run: Run, results: Any) -> None:
        self._run = run
        self._results = results

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        async def step() -> Any:
            return await anext(self._results)

        try:
            return self._run(step())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        async def close() -> None:
            await self._results.aclose()

        self._run(close())


AnyClient = Client | AsyncAsBlocking
Kind = type[Client] | type[AsyncAsBlocking]
