"""madrpc turns a JavaScript file into a function service on every core of every machine.

::

    from madrpc import Client

    with Client("127.0.0.1:8080") as client:
        client.call("add", {"a": 5, "b": 3})

Importing this package loads neither gevent nor a JavaScript engine.
"""

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
from madrpc.version import __version__

__all__ = [
    "Address",
    "AddressError",
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
    "ResultNotSerializable",
    "ScriptError",
    "StackLimitExceeded",
    "TimeLimitExceeded",
    "Unauthenticated",
    "WorkerCrashed",
    "__version__",
]
