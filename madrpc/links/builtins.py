"""The methods every server answers itself; their names begin with ``_``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import gevent

from madrpc.errors import InternalError, MadrpcError, PayloadTooLarge, Unauthenticated
from madrpc.links.connection import Caller
from madrpc.policy.suggest import method_not_found
from madrpc.protocol.messages import Request, result_tail, unpack_request_tail

__all__ = ["BUILTIN_PREFIX", "Builtins", "revision_of"]

log = logging.getLogger(__name__)

BUILTIN_PREFIX = "_"
#: The front end decodes what its own methods are given, while nobody else is served.
_MOST_ARGUMENT_BYTES = 64 * 1024

Builtin = Callable[[dict[str, Any]], Any]


class _Running:
    """A built-in method at work."""

    __slots__ = ("_greenlet",)

    def __init__(self, greenlet: gevent.Greenlet[..., None]) -> None:
        self._greenlet = greenlet

    def cancel(self) -> None:
        """The caller gave the call up, so its id may mean another one soon."""
        self._greenlet.kill(block=False)


class Builtins:
    """Answers built-in methods, each in a greenlet of its own because some must wait.

    Args:
        orders: built-ins that change what a server does; only for callers who ``may_order``.
        large: orders whose arguments may be as large as a frame.
    """

    def __init__(
        self,
        table: Mapping[str, Builtin],
        orders: Mapping[str, Builtin],
        large: Collection[str] = (),
    ) -> None:
        self._table = {**table, **orders}
        self._orders = frozenset(orders)
        self._large = large

    def handle(self, connection: Caller, request: Request) -> _Running:
        """Answer the request when its builtin is done."""
        return _Running(gevent.spawn(self._answer, connection, request))

    def _answer(self, connection: Caller, request: Request) -> None:
        try:
            builtin = self._table.get(request.method)
            if builtin is None:
                raise method_not_found(request.method, self._table)
            if request.method in self._orders and not connection.may_order:
                raise _not_from_there(request.method)
            if len(request.tail) > _MOST_ARGUMENT_BYTES and request.method not in self._large:
                raise PayloadTooLarge(
                    f"{request.method} takes {_MOST_ARGUMENT_BYTES} bytes at most"
                )
            _, args, _ = unpack_request_tail(request.tail)
            connection.respond(request.id, result_tail(builtin(args)))
        except MadrpcError as error:
            connection.respond_error(request.id, error)
        except Exception as error:
            log.exception("built-in method %s failed", request.method)
            connection.respond_error(request.id, InternalError(f"{request.method}: {error}"))


def _not_from_there(method: str) -> Unauthenticated:
    return Unauthenticated(
        f"{method} is taken from this server's own machine, or over connections that show a token "
        "or a client certificate; start the server with --auth-token-file, or ask from there"
    )


def revision_of(words: Iterable[str]) -> str:
    """A short text that differs when what a server offers does, the same in every process."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
