"""Where an orchestrator's nodes come from: lists, files, names, and nodes that register.

::

    static, file:, dns://  --addresses--> Discovery --added, removed--> Nodes
    _register, _deregister --> Registry ------^

A source says which nodes there are now, all of them; ``Membership`` says what that changes.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import Protocol

import gevent
from gevent import socket

from madrpc.address import Address, AddressError, NodeSource, parse_address, parse_node_source
from madrpc.config import FILE_EVERY_S, RESOLVE_EVERY_S
from madrpc.policy.membership import Membership

__all__ = ["Discovery", "Members", "Source", "source_of"]

log = logging.getLogger(__name__)

_now = time.monotonic
#: Nobody writes a longer list by hand, and reading one must not take the memory of the machine.
_MOST_FILE_BYTES = 4 * 1024 * 1024


class Members(Protocol):
    """Whoever connects to the nodes."""

    def add(self, address: str) -> object:
        """A node is there."""

    def remove(self, address: str) -> None:
        """A node is there no more."""


class Source(Protocol):
    """Something that knows nodes."""

    @property
    def name(self) -> str:
        """How it is written on the command line."""

    def look(self) -> Iterable[str] | None:
        """The addresses it knows now, or None for no news. Runs in a greenlet and may wait."""

    @property
    def every_s(self) -> float:
        """Seconds between two looks; 0 for one look only."""


class Discovery:
    """Keeps the members in step with what the sources say."""

    def __init__(self, members: Members, sources: Iterable[Source]) -> None:
        self.membership = Membership()
        self._members = members
        self._sources = list(sources)
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def __repr__(self) -> str:
        return f"<Discovery {self.membership}>"

    def start(self, timeout_s: float) -> None:
        """Take a first look at every source, for no longer than the time-out, and go on looking."""
        firsts = [gevent.spawn(self._look, source) for source in self._sources]
        gevent.joinall(firsts, timeout=timeout_s)
        self._greenlets = [
            gevent.spawn(self._look_forever, source, first)
            for source, first in zip(self._sources, firsts, strict=True)
        ]

    def stop(self) -> None:
        """Look no more."""
        gevent.killall(self._greenlets)

    def update(self, source: str, addresses: Iterable[str]) -> None:
        """A source names these nodes now, and no others."""
        change = self.membership.update(source, addresses)
        for address in change.removed:
            self._members.remove(address)
        for address in change.added:
            self._members.add(address)

    def _look(self, source: Source) -> None:
        addresses = source.look()
        if addresses is not None:
            self.update(source.name, addresses)

    def _look_forever(self, source: Source, first: gevent.Greenlet[..., None]) -> None:
        first.join()
        while source.every_s:
            gevent.sleep(source.every_s)
            self._look(source)


def source_of(text: str) -> Source:
    """The source that the command line names.

    Raises:
        AddressError: the text names none.
    """
    kind, value = found = parse_node_source(text)
    if kind == "file":
        return FileSource(found)
    if kind == "dns":
        return DnsSource(found, parse_address(value))
    return StaticSource(value)


class StaticSource:
    """One address that was given."""

    every_s = 0.0

    def __init__(self, address: str) -> None:
        self.name = address

    def look(self) -> Iterable[str]:
        """The address."""
        return [self.name]


class _Complaints:
    """Logs what is wrong with a source once, until it is right again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = ""

    def say(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            log.error("%s: %s; the nodes it named before stay", self._name, problem)

    def clear(self) -> None:
        if self._said:
            log.info("%s can be used again", self._name)
            self._said = ""


class FileSource:
    """A file with one address a line; what follows a # is a comment."""

    every_s = FILE_EVERY_S

    def __init__(self, source: NodeSource) -> None:
        self.name = str(source)
        self._path = source.value
        self._seen: tuple[int, int, int] | None = None
        self._complaints = _Complaints(self.name)

    def look(self) -> Iterable[str] | None:
        """The addresses in the file, if it has changed and all of it can be read."""
        try:
            status = os.stat(self._path)
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if mark == self._seen:
                return None
            if status.st_size > _MOST_FILE_BYTES:
                raise AddressError(f"it is longer than {_MOST_FILE_BYTES} bytes")
            with open(self._path, encoding="utf-8") as file:
                addresses = _addresses_in(file)
        except (OSError, ValueError) as error:
            self._complaints.say(getattr(error, "strerror", None) or str(error))
            return None
        self._seen = mark
        self._complaints.clear()
        return addresses


def _addresses_in(lines: Iterable[str]) -> list[str]:
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(str(parse_address(text)))
            except AddressError as error:
                raise AddressError(f"line {number}: {error}") from None
    return found


class DnsSource:
    """A name; each of its addresses is a node."""

    every_s = RESOLVE_EVERY_S

    def __init__(self, source: NodeSource, address: Address) -> None:
        self.name = str(source)
        self._address = address
        self._complaints = _Complaints(self.name)

    def look(self) -> Iterable[str] | None:
        """All addresses of the name, if it can be looked up."""
        host, port = self._address
        try:
            host.encode("idna")  # inside the resolver the hub would log the mistake
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._complaints.say(f"cannot be looked up: {error}")
            return None
        self._complaints.clear()
        return sorted({str(Address(row[4][0], port)) for row in rows})
