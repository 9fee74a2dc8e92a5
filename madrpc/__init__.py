"""madrpc turns a JavaScript file into a function service on every core of every machine.

::

    from madrpc import Client

    with Client("127.0.0.1:8080") as client:
        client.call("add", {"a": 5, "b": 3})

Importing this package loads neither gevent nor asyncio nor a JavaScript engine.
"""

from typing import TYPE_CHECKING, Any

from madrpc.address import Address, AddressError
from madrpc.client.client import Client
from madrpc.cluster import LocalCluster
from madrpc.errors import (
    CallTimeout,
    Cancelled,
    ClientClosed,
    ConnectionFailed,
    Draining,
    InternalError,
    InvalidArguments,
    InvalidRequest,
    JavaScriptError,
    MadrpcError,
    MemoryLimitExceeded,
    MethodNotFound,
    NestedCallLimit,
    NoNodeAvailable,
    Overloaded,
    PayloadTooLarge,
    PromiseNeverSettled,
    ProtocolError,
    ResultNotSerializable,
    ScriptError,
    StackLimitExceeded,
    TimeLimitExceeded,
    Unauthenticated,
    WorkerCrashed,
)
from madrpc.receipt import Receipt, Reply
from madrpc.version import __version__

if TYPE_CHECKING:
    from madrpc.client.async_client import AsyncClient

__all__ = [
    "Address",
    "AddressError",
    "AsyncClient",
    "CallTimeout",
    "Cancelled",
    "Client",
    "ClientClosed",
    "ConnectionFailed",
    "Draining",
    "InternalError",
    "InvalidArguments",
    "InvalidRequest",
    "JavaScriptError",
    "LocalCluster",
    "MadrpcError",
    "MemoryLimitExceeded",
    "MethodNotFound",
    "NestedCallLimit",
    "NoNodeAvailable",
    "Overloaded",
    "PayloadTooLarge",
    "PromiseNeverSettled",
    "ProtocolError",
    "Receipt",
    "Reply",
    "ResultNotSerializable",
    "ScriptError",
    "StackLimitExceeded",
    "TimeLimitExceeded",
    "Unauthenticated",
    "WorkerCrashed",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load the asyncio client when it is asked for."""
    if name == "AsyncClient":
        from madrpc.client.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
