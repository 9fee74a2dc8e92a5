"""JSON-RPC 2.0: text in, calls out, and answers back into text.

::

    parse(body) -> Body(members, is_batch)      each member a JsonCall or a JsonFault
    answer(id, result) / failure(id, error)     one response object as text
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from madrpc.config import MAX_METHOD_BYTES
from madrpc.errors import InvalidArguments, InvalidRequest, MadrpcError, ProtocolError
from madrpc.protocol.values import check_args

__all__ = ["MAX_BATCH", "Body", "JsonCall", "JsonFault", "answer", "failure", "parse"]

#: Calls in one batch.
MAX_BATCH = 1000
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class JsonCall:
    """One call.

    Attributes:
        id: what its response carries: text, a number or None.
        notifies: whether no response is wanted.
        method: name of the function.
        args: its arguments by name.
    """

    id: Any
    notifies: bool
    method: str
    args: dict[str, Any]


@dataclass(frozen=True)
class JsonFault:
    """A member that is no call; notifications that cannot run are left without an answer.

    Attributes:
        id: the member's id, None where none could be read.
        notifies: whether no response is wanted.
        error: what is wrong.
    """

    id: Any
    notifies: bool
    error: MadrpcError


@dataclass(frozen=True)
class Body:
    """What one request body asks for."""

    members: list[JsonCall | JsonFault]
    is_batch: bool


def parse(body: bytes) -> Body:
    """Read a request body.

    Raises:
        ProtocolError: it is not JSON: code -32700.
        InvalidRequest: it is an empty batch, or one of more than ``MAX_BATCH`` calls.
    """
    try:
        value = json.loads(body.decode(), parse_constant=_no_number, object_pairs_hook=_unique)
    except RecursionError:
        raise ProtocolError("the body is not JSON that can be read: nested too deep") from None
    except ValueError as error:
        raise ProtocolError(f"the body is not JSON: {error}") from None
    if not isinstance(value, list):
        return Body([_member(value)], False)
    if not value:
        raise InvalidRequest("a batch must hold at least one call")
    if len(value) > MAX_BATCH:
        raise InvalidRequest(
            f"the batch holds {len(value)} calls, over the limit of {MAX_BATCH}; send several",
            {"limit": MAX_BATCH},
        )
    return Body([_member(member) for member in value], True)


def answer(id: Any, result: Any) -> str:
    """A response with a result."""
    return _encode({"jsonrpc": "2.0", "result": result, "id": id})


def failure(id: Any, error: MadrpcError) -> str:
    """A response with an error; its ``data`` holds the error's ``name`` and ``data``."""
    what = {
        "code": error.code,
        "message": error.message or error.name,
        "data": {"name": error.name, "data": error.data, "retryable": error.retryable},
    }
    return _encode({"jsonrpc": "2.0", "error": what, "id": id})


def _member(value: Any) -> JsonCall | JsonFault:
    if not isinstance(value, dict):
        return JsonFault(None, False, InvalidRequest("a call must be a JSON object"))
    id = value.get("id")
    notifies = "id" not in value
    try:
        _check_id(id)
    except InvalidRequest as error:
        return JsonFault(None, False, error)
    try:
        return JsonCall(id, notifies, _method(value), _params(value))
    except InvalidRequest as error:
        # What is no request is no notification either, so it is answered.
        return JsonFault(id, False, error)
    except InvalidArguments as error:
        return JsonFault(id, notifies, error)


def _check_id(id: Any) -> None:
    fits = id is None or isinstance(id, (str, int, float))
    if isinstance(id, bool) or not fits or (isinstance(id, float) and not math.isfinite(id)):
        raise InvalidRequest("id must be text, a number or null", {"field": "id"})


def _method(value: dict[str, Any]) -> str:
    if value.get("jsonrpc") != "2.0":
        raise InvalidRequest('jsonrpc must be "2.0"', {"field": "jsonrpc"})
    method = value.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidRequest("method must be text, and not empty", {"field": "method"})
    try:
        size = len(method.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("method holds half of a character", {"field": "method"}) from None
    if size > MAX_METHOD_BYTES:
        raise InvalidRequest(f"method is longer than {MAX_METHOD_BYTES} bytes", {"field": "method"})
    return method


def _params(value: dict[str, Any]) -> dict[str, Any]:
    params = value.get("params", {})
    if isinstance(params, list):
        if params:
            raise InvalidArguments(
                'params must be an object, such as {"a": 5}: functions take arguments by name, '
                "not by position"
            )
        return {}
    if not isinstance(params, dict):
        raise InvalidRequest("params must be an object", {"field": "params"})
    check_args(params)
    return params


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has the same name twice")
    return value
