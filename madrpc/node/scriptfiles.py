"""Whether script files have changed."""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["fingerprints"]


def fingerprints(paths: Sequence[str]) -> list[tuple[int, int] | None]:
    """What tells that a file has changed; None for one that cannot be read."""
    return [_fingerprint(path) for path in paths]


def _fingerprint(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
