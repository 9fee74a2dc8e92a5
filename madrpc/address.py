"""Addresses as people write them: ``host:port``, ``:port``, ``[v6]:port``, ``madrpc://...``."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Address", "AddressError", "NodeSource", "parse_address", "parse_node_source"]

_SCHEMES = ("madrpc://", "tcp://")
_HTTP = ("http://", "https://")


class AddressError(ValueError):
    """The text is not an address; the message says what is missing."""


class Address(NamedTuple):
    """A TCP endpoint; as a text, ``host:port``."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(
    text: str, *, default_host: str = "127.0.0.1", default_port: int | None = None
) -> Address:
    """Parse an address.

    Args:
        text: ``host:port``, ``:port``, ``host``, ``[v6]:port`` or one of these behind
            ``madrpc://``.
        default_host: host for ``:port``.
        default_port: port for a bare host; None makes the port required.

    Raises:
        AddressError: with one sentence that names the text and the mend.
    """
    rest = text.strip()
    for scheme in _SCHEMES:
        rest = rest.removeprefix(scheme)
    if rest.startswith(_HTTP):
        raise AddressError(
            f"{text!r} is an HTTP address; write the HOST:PORT of the server's other port, the one "
            "that it says it is ready on"
        )
    rest = rest.rstrip("/")
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise AddressError(f"{text!r} is not an address: write [IPv6]:PORT")
        port_text = tail[1:]
    elif rest.count(":") > 1:
        raise AddressError(f"{text!r} is not an address: put an IPv6 host in brackets, [::1]:8080")
    else:
        host, _, port_text = rest.partition(":")
    return Address(host or default_host, _port(text, port_text, default_port))


def _port(text: str, port_text: str, default: int | None) -> int:
    if not port_text:
        if default is None:
            raise AddressError(f"{text!r} has no port: write HOST:PORT, such as 127.0.0.1:8080")
        return default
    # isdecimal alone accepts other scripts' digits.
    digits = port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5
    if not digits or int(port_text) > 65535:
        raise AddressError(f"{text!r} is not an address: the port must be 0 to 65535")
    return int(port_text)


class NodeSource(NamedTuple):
    """Where an orchestrator finds nodes.

    Attributes:
        kind: ``static``, ``file`` or ``dns``.
        value: an address, a path, or NAME:PORT.
    """

    kind: str
    value: str

    def __str__(self) -> str:
        prefix = {"file": "file:", "dns": "dns://"}.get(self.kind, "")
        return prefix + self.value


def parse_node_source(text: str) -> NodeSource:
    """Parse what ``-n`` takes: ``HOST:PORT``, ``file:PATH`` or ``dns://NAME:PORT``.

    Raises:
        AddressError: with one sentence that names the text and the mend.
    """
    rest = text.strip()
    if rest.startswith("file:"):
        path = rest.removeprefix("file:").removeprefix("//")
        if not path:
            raise AddressError(f"{text!r} names no file: write file:PATH")
        return NodeSource("file", path)
    if rest.startswith("dns:"):
        address = parse_address(rest.removeprefix("dns:").removeprefix("//"), default_host="")
        if not address.host or not address.port:
            raise AddressError(f"{text!r} is not a name to look up: write dns://NAME:PORT")
        return NodeSource("dns", str(address))
    return NodeSource("static", str(parse_address(rest)))
