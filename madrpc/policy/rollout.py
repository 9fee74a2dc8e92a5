"""Bringing other scripts to a running cluster: what is asked for, and of which nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from madrpc.errors import InvalidRequest

__all__ = ["Order", "canary_nodes", "nodes_to_roll_back", "parse_order"]

#: Longest name of a script; it stands in errors and stacks.
_LONGEST_NAME = 255
_MOST_SCRIPTS = 100


@dataclass(frozen=True)
class Order:
    """What a caller wants of ``_deploy``.

    Attributes:
        scripts: name and text of each; empty for a rollback.
        canary: the share of the nodes that get them, above 0 and below 1; None for all.
    """

    scripts: tuple[tuple[str, str], ...]
    canary: float | None = None

    @property
    def is_rollback(self) -> bool:
        """Whether the release before is wanted."""
        return not self.scripts


def parse_order(args: Mapping[str, Any]) -> Order:
    """Read the arguments of ``_deploy``.

    Raises:
        InvalidRequest: naming the argument that is wrong.
    """
    scripts = args.get("scripts")
    canary = args.get("canary")
    if args.get("rollback") is True:
        if scripts or canary is not None:
            raise InvalidRequest("_deploy: rollback takes neither scripts nor canary")
        return Order(())
    if not isinstance(scripts, list) or not 0 < len(scripts) <= _MOST_SCRIPTS:
        raise InvalidRequest(
            f"_deploy: scripts must be a list of 1 to {_MOST_SCRIPTS} maps of name and source, "
            "or give rollback true"
        )
    if canary is not None and not (type(canary) is float and 0 < canary < 1):
        raise InvalidRequest("_deploy: canary must be a number between 0 and 1")
    return Order(tuple(map(_script, scripts)), canary)


def _script(value: Any) -> tuple[str, str]:
    name = value.get("name") if isinstance(value, dict) else None
    source = value.get("source") if isinstance(value, dict) else None
    if not isinstance(name, str) or not isinstance(source, str):
        raise InvalidRequest("_deploy: each script is a map with the texts name and source")
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or "/" in name:
        raise InvalidRequest(f"_deploy: {name[:40]!r} is no name of a script, such as 'pi.js'")
    if "\0" in source:
        raise InvalidRequest(f"_deploy: {name} has a NUL character; remove it")
    return name, source


def canary_nodes(running: Mapping[str, str], release: str, share: float) -> list[str]:
    """The nodes that try a release first: a share of all, at least one, never all.

    Nodes that run it already come first, so a larger canary after a small one only adds nodes.

    Args:
        running: the id of the release that each node runs, by address.

    Raises:
        InvalidRequest: there are fewer than two nodes.
    """
    if len(running) < 2:
        raise InvalidRequest(
            "a canary needs two nodes at least, or all calls would run it; deploy without --canary"
        )
    wanted = min(max(1, round(share * len(running))), len(running) - 1)
    return sorted(running, key=lambda address: (running[address] != release, address))[:wanted]


def nodes_to_roll_back(releases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The nodes that run what was deployed last, and have something to go back to.

    Args:
        releases: what each node's ``_info`` tells of its release, by address.

    Raises:
        InvalidRequest: the last thing that happened was no deployment.
    """
    newest = min(releases.values(), key=_age, default={})
    if newest.get("by") != "deploy":
        raise InvalidRequest("no deployment to take back: the last release came otherwise")
    return sorted(
        address
        for address, release in releases.items()
        if release.get("id") == newest["id"] and release.get("previous") is not None
    )


def _age(release: Mapping[str, Any]) -> float:
    age = release.get("age_s")
    return float(age) if isinstance(age, (int, float)) else float("inf")
