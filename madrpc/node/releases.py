"""Which scripts a node runs: the release that serves, the one being tried, and the one before.

::

    start ----------------------> serving --replaced--> retiring --last call ended--> gone
    stage --loads in workers--> staged --switch-----^        its scripts stay for a rollback
                                  |
                                  +--- discard, another stage, or two minutes

A release is loaded by a whole pool of workers of its own before it takes a call, so a script that
fails harms nobody, and a switch is one assignment. Calls that run end on the release they began on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from madrpc.engine.interface import Script
from madrpc.errors import Draining, InvalidRequest, MadrpcError
from madrpc.links.builtins import revision_of
from madrpc.node.pool import WorkerPool

__all__ = ["Release", "Releases"]

log = logging.getLogger(__name__)

_now = time.monotonic
_POLL_S = 0.02
#: How long the workers of a release, but for the first, get to be ready before it takes calls.
_FILL_S = 10.0
#: A release that nobody switches to gives its workers back after this time.
_STAGED_S = 120.0


class Release:
    """Scripts, and the workers that have them loaded.

    Attributes:
        id: hash of the scripts' names and texts, the same on every node.
        by: what brought it: ``start``, ``reload``, ``deploy`` or ``rollback``.
        since: local instant at which it was made.
    """

    __slots__ = ("by", "id", "pool", "scripts", "since")

    def __init__(self, scripts: Sequence[Script], pool: WorkerPool, by: str) -> None:
        self.scripts = tuple(scripts)
        self.pool = pool
        self.by = by
        self.id = _id_of(scripts)
        self.since = _now()

    def __repr__(self) -> str:
        return f"<Release {self} by {self.by}>"

    def __str__(self) -> str:
        return ", ".join(f"{script.name}@{script.sha256[:8]}" for script in self.scripts)

    @property
    def methods(self) -> Sequence[str]:
        """Names of the functions the scripts registered."""
        return self.pool.methods

    def start(self) -> None:
        """Load the scripts in the workers; leave nothing running if that fails.

        Raises:
            ScriptError: a script cannot be loaded.
            InternalError: workers die while starting.
        """
        try:
            self.pool.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the workers and wait for their end, to which they come even if the wait does not.

        The caller of an order may leave at any time, which ends the greenlet that carries it out.
        """
        gevent.spawn(self.pool.stop).join()

    def fill(self) -> None:
        """Wait until every worker is ready, or for a while."""
        give_up = _now() + _FILL_S
        while self.pool.table.ready < self.pool.config.size and _now() < give_up:
            gevent.sleep(_POLL_S)


class Releases:
    """Owner of a node's releases.

    Args:
        paths: the script files that the node was started with.
        new_pool: makes the workers for scripts, not started.
        offered: called when another release serves.

    Raises:
        ScriptError: a script file cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        new_pool: Callable[[Sequence[Script]], WorkerPool],
        offered: Callable[[], None],
    ) -> None:
        self._paths = paths
        self._new_pool = new_pool
        self._offered = offered
        self._changing = BoundedSemaphore(1)
        self._staged: Release | None = None
        self._timer: gevent.Greenlet[..., None] | None = None
        self._previous: Release | None = None
        self._retiring: list[WorkerPool] = []
        self._loading: Release | None = None
        self._is_stopped = False
        self.current = self._read("start")

    def __repr__(self) -> str:
        return f"<Releases {self.current!r}, {len(self._retiring)} retiring>"

    @property
    def pools(self) -> Sequence[WorkerPool]:
        """Every pool that may have calls: the current one first."""
        return (self.current.pool, *self._retiring)

    def describe(self) -> dict[str, Any]:
        """What ``_info`` tells of the release that serves."""
        return {
            "id": self.current.id,
            "by": self.current.by,
            "age_s": round(_now() - self.current.since, 3),
            "previous": None if self._previous is None else self._previous.id,
        }

    def start(self) -> None:
        """Load the scripts that the node was started with."""
        with self._changing:
            self._load(self.current)
            self._offered()

    def reload(self) -> None:
        """Load the script files anew.

        A script that cannot be loaded is logged, and what is there stays.
        """
        with self._changing:
            try:
                release = self._read("reload")
                self._load(release)
            except MadrpcError as error:
                log.error("not reloaded, the old scripts stay: %s", error.message)
                return
            self._serve(release)
        log.info("reloaded: %s", release)

    def stage(self, scripts: Sequence[Script], by: str = "deploy") -> Release:
        """Load scripts in workers of their own; they take no call until ``switch``.

        Raises:
            ScriptError: a script cannot be loaded; nothing has changed.
        """
        with self._changing:
            for known in (self.current, self._staged):
                if known is not None and known.id == _id_of(scripts):
                    if known is self._staged:
                        self._keep(known)
                    return known
            self._discard()
            release = Release(scripts, self._new_pool(scripts), by)
            self._load(release)
            self._keep(release)
            release.fill()
        return release

    def switch(self, id: str) -> Release:
        """Let the staged release serve.

        Raises:
            InvalidRequest: no release of this id is staged.
        """
        with self._changing:
            if self.current.id == id:
                return self.current
            release = self._staged
            if release is None or release.id != id:
                raise InvalidRequest(f"release {id:.64} is not staged here; stage it first")
            self._unstage()
            self._serve(release)
        log.info("%s: %s serves from now on", release.by, release)
        return release

    def discard(self, id: str) -> None:
        """Give the workers of the staged release back, if it is this one."""
        with self._changing:
            if self._staged is not None and self._staged.id == id:
                self._discard()

    def roll_back(self) -> Release:
        """Let the release before the current one serve again.

        Raises:
            InvalidRequest: there is none.
        """
        previous = self._previous
        if previous is None:
            raise InvalidRequest("there is no release to roll back to; deploy one")
        self.switch(self.stage(previous.scripts, "rollback").id)
        # Another rollback would bring back what somebody wanted to be rid of.
        self._previous = None
        return self.current

    def stop(self) -> None:
        """Stop every worker now, also of what is being loaded; nothing is loaded after this."""
        self._is_stopped = True
        if self._loading is not None:
            self._loading.pool.stop()
        self._discard()
        for pool in self.pools:
            pool.stop()

    # ----------------------------------------------------------- private

    def _read(self, by: str) -> Release:
        scripts = [Script.read(path) for path in self._paths]
        return Release(scripts, self._new_pool(scripts), by)

    def _load(self, release: Release) -> None:
        """Load a release's scripts, unless the node stops before they are.

        Raises:
            Draining: it did, and no worker is left.
            ScriptError, InternalError: see ``Release.start``.
        """
        if self._is_stopped:
            raise Draining("the node is shutting down")
        self._loading = release
        try:
            release.start()
        finally:
            self._loading = None
        if self._is_stopped:
            release.stop()
            raise Draining("the node is shutting down")

    def _keep(self, release: Release) -> None:
        """Hold a loaded release ready, for a while."""
        self._unstage()
        self._staged = release
        self._timer = gevent.spawn_later(_STAGED_S, self._forgotten, release)

    def _serve(self, release: Release) -> None:
        old, self.current = self.current, release
        release.since = _now()
        if old.id != release.id:
            self._previous = old
        self._offered()
        self._retiring.append(old.pool)
        gevent.spawn(self._retire, old.pool)

    def _retire(self, pool: WorkerPool) -> None:
        """Stop a pool when its last call has ended."""
        while pool.is_busy:
            gevent.sleep(_POLL_S)
        pool.stop()
        self._retiring.remove(pool)

    def _unstage(self) -> None:
        self._staged = None
        if self._timer is not None:
            self._timer.kill(block=False)
            self._timer = None

    def _discard(self) -> None:
        release = self._staged
        if release is not None:
            self._unstage()
            release.stop()

    def _forgotten(self, release: Release) -> None:
        timer = self._timer
        with self._changing:
            # While this waited for its turn, it may have been wanted again, or switched to.
            if self._staged is release and self._timer is timer:
                log.info("%s was staged and nobody switched to it", release)
                self._timer = None
                self._discard()


def _id_of(scripts: Sequence[Script]) -> str:
    return revision_of(word for script in scripts for word in (script.name, script.sha256))
