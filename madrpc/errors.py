"""The one error tree of madrpc, and the table that maps it to the wire, exit codes and manual.

::

    MadrpcError
    ├── ConnectionFailed        no connection, or it broke before the answer came
    │   └── ClientClosed        the client was closed while the call was waiting
    ├── CallTimeout             the call's deadline passed (also a TimeoutError)
    ├── Cancelled               the caller gave the call up
    ├── Overloaded              a queue was full; data has retry_after_ms
    ├── Draining                the server is shutting down
    ├── NoNodeAvailable         no node that could run the method is up
    ├── MethodNotFound          no function of that name; data has similar names
    ├── InvalidRequest          a malformed message, or a field of the wrong type
    ├── InvalidArguments        a value that JSON cannot carry, with its path
    ├── PayloadTooLarge         a frame over the size limit
    ├── JavaScriptError         the function threw; data has name, message, stack
    ├── TimeLimitExceeded       the node's own time limit stopped the function
    ├── MemoryLimitExceeded     the JavaScript heap limit was reached
    ├── StackLimitExceeded      the recursion was too deep
    ├── PromiseNeverSettled     the promise can never settle: nothing is left to run
    ├── ResultNotSerializable   the function returned what JSON cannot carry
    ├── WorkerCrashed           the worker process died, twice, while running the call
    ├── NestedCallLimit         madrpc.call went too deep or too wide
    ├── Unauthenticated         the token or the certificate was not accepted
    ├── ProtocolError           the byte stream is not this protocol
    ├── ScriptError             a script failed to load; data has file, line, column
    └── InternalError           a fault of madrpc itself

``name`` is an error's stable identity. ``code`` is its JSON-RPC 2.0 number. ``retryable`` says
whether the same call may succeed if it is simply tried again, elsewhere or later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from madrpc.receipt import Receipt

__all__ = [
    "ERRORS",
    "CallTimeout",
    "Cancelled",
    "ClientClosed",
    "ConnectionFailed",
    "Draining",
    "InternalError",
    "InvalidArguments",
    "InvalidRequest",
    "JavaScriptError",
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
    "from_wire",
]


class MadrpcError(Exception):
    """Root of every error madrpc raises.

    Attributes:
        name: stable identity of the kind of error, the same in every language.
        code: its JSON-RPC 2.0 number.
        message: one sentence for a person.
        data: details, JSON values only.
        retryable: whether the same call may succeed when tried again.
        receipt: where the call's time went, if it was made with ``receipt=True``.
        exit_code: what a command exits with when this error ends it.
    """

    code: ClassVar[int] = -32603
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    receipt: Receipt | None = None

    def __init__(self, message: str = "", data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.name: str = type(self).__name__
        self.message = message
        self.data: dict[str, Any] = dict(data or {})

    def __reduce__(self) -> tuple[Any, ...]:
        state: dict[str, Any] = {"name": self.name}
        if self.receipt is not None:
            state["receipt"] = self.receipt
        return (type(self), (self.message, self.data), state)

    def to_wire(self) -> dict[str, Any]:
        """The error as the wire's map: code, name, message, data."""
        return {
            "code": self.code,
            "name": self.name,
            "message": self.message,
            "data": self.data,
        }


class ConnectionFailed(MadrpcError):
    """No connection could be made, or it broke before the answer came."""

    code = -32000
    retryable = True
    exit_code = 3


class ClientClosed(ConnectionFailed):
    """The client was closed while the call was waiting."""

    code = -32001
    retryable = False


class CallTimeout(MadrpcError, TimeoutError):
    """The call's deadline passed before its answer came."""

    code = -32002
    exit_code = 4


class Cancelled(MadrpcError):
    """The caller gave the call up."""

    code = -32003
    exit_code = 130


class Overloaded(MadrpcError):
    """A queue was full; ``data["retry_after_ms"]`` says when to come back."""

    code = -32004
    retryable = True
    exit_code = 3


class Draining(MadrpcError):
    """The server is shutting down and takes no new calls."""

    code = -32005
    retryable = True
    exit_code = 3


class NoNodeAvailable(MadrpcError):
    """No node that could run the method is up."""

    code = -32006
    retryable = True
    exit_code = 3


class MethodNotFound(MadrpcError):
    """No function has that name; ``data["similar"]`` lists the closest ones."""

    code = -32601
    exit_code = 2


class InvalidRequest(MadrpcError):
    """The message is malformed or a field of it has the wrong type."""

    code = -32600
    exit_code = 2


class InvalidArguments(MadrpcError):
    """An argument is not a value JSON can carry; ``data["path"]`` leads to it."""

    code = -32602
    exit_code = 2


class PayloadTooLarge(MadrpcError):
    """A frame is larger than the limit; ``data["limit"]`` gives it in bytes."""

    code = -32007
    exit_code = 2


class JavaScriptError(MadrpcError):
    """The function threw. ``data`` holds the thrown error's name, message and stack."""

    code = -32008

    @property
    def js_name(self) -> str:
        """Name of the thrown error, for instance ``TypeError``."""
        return str(self.data.get("name", "Error"))

    @property
    def stack(self) -> str:
        """The JavaScript stack, one frame a line, with the script's file and line."""
        return str(self.data.get("stack", ""))


class TimeLimitExceeded(MadrpcError):
    """The function ran longer than the node's own limit for a call."""

    code = -32009


class MemoryLimitExceeded(MadrpcError):
    """The function needed more memory than the JavaScript heap limit."""

    code = -32010


class StackLimitExceeded(MadrpcError):
    """The function recursed deeper than the stack limit allows."""

    code = -32011


class PromiseNeverSettled(MadrpcError):
    """The returned promise is pending and nothing is left that could settle it."""

    code = -32012


class ResultNotSerializable(MadrpcError):
    """The function returned a value that JSON cannot carry."""

    code = -32013


class WorkerCrashed(MadrpcError):
    """The worker process died while it ran the call, and so did a second one."""

    code = -32014


class NestedCallLimit(MadrpcError):
    """A function called functions too deep, or too many at once."""

    code = -32015


class Unauthenticated(MadrpcError):
    """The token or the certificate was not accepted."""

    code = -32016
    exit_code = 6


class ProtocolError(MadrpcError):
    """The byte stream does not follow the protocol; the connection is closed."""

    code = -32700
    exit_code = 3


class ScriptError(MadrpcError):
    """A script failed to load; ``data`` has file, line and column where they are known."""

    code = -32017
    exit_code = 2


class InternalError(MadrpcError):
    """A fault of madrpc itself."""

    code = -32603


def _tree(root: type[MadrpcError]) -> list[type[MadrpcError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _tree(child))]


#: Every kind of error by its wire name.
ERRORS: dict[str, type[MadrpcError]] = {kind.__name__: kind for kind in _tree(MadrpcError)}


def from_wire(value: object) -> MadrpcError:
    """Rebuild the error a peer sent; never raises.

    A name this version does not know becomes a plain ``MadrpcError`` that keeps the name.
    """
    if not isinstance(value, dict):
        return ProtocolError(f"the peer sent a {type(value).__name__} where an error's map belongs")
    name, message, data = value.get("name"), value.get("message"), value.get("data")
    name = name if isinstance(name, str) and name else MadrpcError.__name__
    error = ERRORS.get(name, MadrpcError)(
        message if isinstance(message, str) else "", data if isinstance(data, dict) else None
    )
    error.name = name
    return error
