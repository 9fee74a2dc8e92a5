"""What a node's scripts say about their functions, found when somebody asks for the first time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import gevent
from gevent.lock import BoundedSemaphore

from madrpc.engine.interface import Script
from madrpc.engine.jsdoc import describe
from madrpc.policy.details import Details, details_that_fit

__all__ = ["Descriptions"]


class Descriptions:
    """Descriptions of the functions of one set of scripts.

    A large source takes a good part of a second, so it is read in a thread of the hub's own, and
    only once.
    """

    def __init__(self, scripts: Sequence[Script], methods: Collection[str]) -> None:
        self._scripts = scripts
        self._methods = methods
        self._lock = BoundedSemaphore(1)
        self._found: Details | None = None

    def __repr__(self) -> str:
        state = "unread" if self._found is None else len(self._found)
        return f"<Descriptions {state}>"

    def wire(self, max_frame: int) -> Details:
        """The descriptions by name, as many as fit into an answer."""
        with self._lock:
            if self._found is None:
                self._found = gevent.get_hub().threadpool.apply(self._read)
        return details_that_fit(self._found, max_frame)

    def _read(self) -> Details:
        sources = (script.source for script in self._scripts)
        found = describe(sources, sorted(self._methods))
        return {name: description.to_wire() for name, description in found.items()}
