"""What both clients have in common: their settings, and how a call is made from arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from madrpc.client.attempts import PendingCall
from madrpc.client.endpoints import Endpoints
from madrpc.client.mapping import MakeCall
from madrpc.config import DEFAULT_CALL_TIMEOUT_S, DEFAULT_MAX_FRAME, Security, TlsFiles
from madrpc.credentials import Credentials
from madrpc.errors import MadrpcError
from madrpc.protocol.meta import is_traceparent

__all__ = ["CLIENT_DEFAULT", "Args", "BaseClient", "RemoteFunctions", "Timeout"]


class _ClientDefault:
    def __repr__(self) -> str:
        return "the client's timeout"


#: Says that a call uses the timeout its client was made with.
CLIENT_DEFAULT: Final = _ClientDefault()
Timeout = float | None | _ClientDefault
Args = Mapping[str, Any] | None


class BaseClient:
    """Where the servers are, and what holds for every call; ``Client`` explains the arguments."""

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
        if max_connections < 1:
            raise ValueError(f"max_connections must be at least 1, not {max_connections}")
        self.timeout = _checked_timeout(timeout)
        tls = TlsFiles(tls_cert, tls_key, tls_ca) if tls_ca or tls_cert else None
        self._endpoints = Endpoints(addresses, Credentials(Security(token, tls)))
        self._max_connections = max_connections
        self._max_frame = max_frame
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._endpoints}>"

    @property
    def rpc(self) -> RemoteFunctions:
        """Functions as attributes: ``client.rpc.add(a=5, b=3)``."""
        return RemoteFunctions(self.call)

    def call(self, method: str, args: Args = None) -> Any:
        """Call a function; each client does so in its own way."""
        raise NotImplementedError

    def _pending(
        self,
        method: str,
        args: Args,
        timeout: Timeout,
        seed: int | str | None = None,
        trace: str | None = None,
        receipt: bool = False,
    ) -> PendingCall:
        seconds = self.timeout if isinstance(timeout, _ClientDefault) else timeout
        meta = None
        if seed is not None or trace is not None or receipt:
            meta = _meta(seed, trace, receipt)
        return PendingCall(method, args, _checked_timeout(seconds), meta, self._max_frame)

    def _map_calls(
        self, method: str, concurrency: int, timeout: Timeout, trace: str | None, receipt: bool
    ) -> MakeCall:
        """Check what all calls of a map have in common; return what makes one from an item."""
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self._pending(method, None, timeout, None, trace, receipt)

        def make_call(item: Args) -> PendingCall:
            try:
                return self._pending(method, item, timeout, None, trace, receipt)
            except MadrpcError as error:
                return PendingCall.refused(method, error)

        return make_call


class RemoteFunctions:
    """Functions of the server as attributes; arguments are given by name.

    Args:
        call: takes a name and arguments; what it returns is returned.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[str, Args], Any]) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def remote(**args: Any) -> Any:
            return self._call(name, args)

        remote.__name__ = remote.__qualname__ = name
        return remote


def _meta(seed: int | str | None, trace: str | None, receipt: bool) -> dict[str, Any]:
    """What a request says besides its arguments.

    Raises:
        ValueError: the trace is none.
    """
    meta: dict[str, Any] = {}
    if seed is not None:
        meta["seed"] = seed
    if trace is not None:
        if not is_traceparent(trace):
            raise ValueError(
                f"trace must be a W3C traceparent, 00-<32 hex>-<16 hex>-<2 hex> in lower case and "
                f"not all zeros, not {trace!r:.100}"
            )
        meta["trace"] = trace
    if receipt:
        meta["receipt"] = True
    return meta


def _checked_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, or None for none, not {timeout}")
    return timeout
