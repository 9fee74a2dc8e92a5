"""The methods every server answers itself; their names begin with ``_``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from madrpc.errors import InternalError, MadrpcError
from madrpc.links.listener import Connection
from madrpc.policy.balancer import method_not_found
from madrpc.protocol.messages import Request, result_tail, unpack_request_tail

__all__ = ["BUILTIN_PREFIX", "Builtins"]

log = logging.getLogger(__name__)

BUILTIN_PREFIX = "_"

Builtin = Callable[[dict[str, Any]], Any]


class Builtins:
    """Answers built-in methods, each in a greenlet of its own because some must wait."""

    def __init__(self, table: Mapping[str, Builtin]) -> None:
        self._table = table

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer the request, now or when its builtin is done."""
        gevent.spawn(self._answer, connection, request)

    def _answer(self, connection: Connection, request: Request) -> None:
        try:
            builtin = self._table.get(request.method)
            if builtin is None:
                raise method_not_found(request.method, self._table)
            _, args, _ = unpack_request_tail(request.tail)
            connection.respond(request.id, result_tail(builtin(args)))
        except MadrpcError as error:
            connection.respond_error(request.id, error)
        except Exception as error:
            log.exception("built-in method %s failed", request.method)
            connection.respond_error(request.id, InternalError(f"{request.method}: {error}"))
