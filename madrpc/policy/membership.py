"""Which nodes there are: what several sources say, as one set.

A node that two sources name is one node, and it goes only when neither names it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from madrpc.config import MAX_REGISTRATIONS, REGISTRATION_TTL_S

__all__ = ["Change", "Membership", "Registrations"]


class Change(NamedTuple):
    """What a source's news change: addresses nobody named before, and ones nobody names now."""

    added: list[str]
    removed: list[str]


class Membership:
    """Owner of the set of nodes."""

    def __init__(self) -> None:
        self._named: dict[str, frozenset[str]] = {}

    def __repr__(self) -> str:
        return f"<Membership of {len(self)} from {len(self._named)} sources>"

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, address: str) -> bool:
        return any(address in named for named in self._named.values())

    def sources_of(self, address: str) -> list[str]:
        """The names of the sources that name a node."""
        return [source for source, named in self._named.items() if address in named]

    def update(self, source: str, addresses: Iterable[str]) -> Change:
        """Take what a source names now, all of it; return what that changes."""
        before = self._all()
        wanted = dict.fromkeys(addresses)
        self._named[source] = frozenset(wanted)
        after = self._all()
        added = [address for address in wanted if address not in before]
        return Change(added, sorted(before - after))

    def _all(self) -> frozenset[str]:
        return frozenset().union(*self._named.values())


class Registrations:
    """Nodes that announced themselves, each until it says goodbye or falls silent."""

    def __init__(self, most: int = MAX_REGISTRATIONS, ttl_s: float = REGISTRATION_TTL_S) -> None:
        self._most = most
        self._ttl_s = ttl_s
        self._ends: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Registrations {len(self._ends)} of {self._most}>"

    def __contains__(self, address: str) -> bool:
        return address in self._ends

    @property
    def addresses(self) -> list[str]:
        """Who is registered, the oldest first."""
        return list(self._ends)

    @property
    def is_full(self) -> bool:
        """Whether no further node can register."""
        return len(self._ends) >= self._most

    def renew(self, address: str, now: float) -> bool:
        """A node has announced itself, at first or again; return whether that changes the set."""
        new = address not in self._ends
        self._ends[address] = now + self._ttl_s
        return new

    def remove(self, address: str) -> bool:
        """A node said goodbye; return whether that changes the set."""
        return self._ends.pop(address, None) is not None

    def expire(self, now: float) -> list[str]:
        """Remove and return the nodes that have been silent for too long."""
        silent = [address for address, end in self._ends.items() if end <= now]
        for address in silent:
            del self._ends[address]
        return silent
