"""Names that a wrong name may have been meant to be."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable
from itertools import islice

from madrpc.errors import MethodNotFound

__all__ = ["method_not_found"]

#: Wrong names come from callers, and comparing is slow (about 60 us a pair), so a first look by
#: shared pairs of letters picks the few that are compared. Further names are not looked at.
_LOOK = 1000
_COMPARE = 12
_LONGEST = 64


def method_not_found(method: str, names: Iterable[str]) -> MethodNotFound:
    """The error for an unknown method, with the names it may have been meant to be."""
    similar = _closest(method[:_LONGEST], names)
    hint = (
        f"did you mean {similar[0]!r}?" if similar else "'madrpc methods ADDR' lists what is there"
    )
    return MethodNotFound(f"no function is called {method!r}; {hint}", {"similar": similar})


def _closest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three of ``names`` that look like ``name``, the closest first."""
    pairs = _pairs(name)
    likely = heapq.nlargest(
        _COMPARE,
        (other for other in islice(names, _LOOK) if len(other) <= 2 * _LONGEST),
        key=lambda other: _likeness(pairs, other),
    )
    return difflib.get_close_matches(name, likely, n=3, cutoff=0.6)


def _likeness(pairs: set[str], other: str) -> float:
    theirs = _pairs(other)
    return len(pairs & theirs) / (len(pairs) + len(theirs))


def _pairs(name: str) -> set[str]:
    """Each two letters that stand side by side, without case, and each letter for short names."""
    folded = name.lower()
    return {folded[at : at + 2] for at in range(len(folded))}
