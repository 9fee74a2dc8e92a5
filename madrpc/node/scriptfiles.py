"""Whether script files have changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

__all__ = ["WATCH_S", "WatchedFiles", "fingerprints"]

#: How often files are looked at while they are watched: a look costs some microseconds.
WATCH_S = 0.05
#: How many looks a file may go on changing, or be gone, before that counts as a change.
_PATIENCE = 20

Fingerprints = list[tuple[int, int, int] | None]


class WatchedFiles:
    """Script files that somebody edits.

    Editors write a file in several steps, or put another in its place. So a change counts when two
    looks in a row find the same files, and all of them.

    Args:
        look: what tells the state of the files; by default the file system.
    """

    def __init__(
        self, paths: Sequence[str], look: Callable[[], Fingerprints] | None = None
    ) -> None:
        self._look = look if look is not None else lambda: fingerprints(paths)
        self._known = self._before = self._look()
        self._waited = 0

    def have_changed(self) -> bool:
        """Look at the files; whether they are others than those this was last true for."""
        now, before = self._look(), self._before
        self._before = now
        if now == self._known:
            self._waited = 0
            return False
        self._waited += 1
        is_settled = now == before and None not in now
        if not is_settled and self._waited < _PATIENCE:
            return False
        self._known = now
        self._waited = 0
        return True


def fingerprints(paths: Sequence[str]) -> Fingerprints:
    """What tells that a file has changed; None for one that cannot be read."""
    return [_fingerprint(path) for path in paths]


def _fingerprint(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
