"""Descriptions of functions: how many fit into an answer, and what several nodes say of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

__all__ = ["MOST_ASKED", "Details", "details_that_fit", "merged_details", "representatives"]

#: By name of the function; each is a map with ``signature``, ``summary`` and ``params``.
Details = dict[str, dict[str, Any]]

#: How many nodes are asked for descriptions.
MOST_ASKED = 16
#: The share of a message that descriptions may take; the names come before them.
_SHARE = 4
#: What a description takes besides its text, and a character at most as the wire writes it.
_OVERHEAD = 64
_CHARACTER = 4


def details_that_fit(details: Mapping[str, Any], max_frame: int) -> Details:
    """The first descriptions, as many as go into a message beside the names."""
    left = max_frame // _SHARE
    kept: Details = {}
    for name, description in details.items():
        left -= _size(name) + _size(description)
        if left < 0:
            break
        kept[name] = description
    return kept


def _size(value: Any) -> int:
    """No fewer bytes than the value takes."""
    if isinstance(value, str):
        return _CHARACTER * len(value) + _OVERHEAD
    if isinstance(value, dict):
        return _OVERHEAD + sum(_size(key) + _size(inner) for key, inner in value.items())
    if isinstance(value, list):
        return _OVERHEAD + sum(map(_size, value))
    return _OVERHEAD


def merged_details(answers: Iterable[Any], methods: Collection[str], max_frame: int) -> Details:
    """What nodes say of the functions that can be called; the first word on each counts.

    Args:
        answers: of nodes to ``_methods``; what is not as it should be is left out.
    """
    known = frozenset(methods)
    merged: Details = {}
    for answer in answers:
        details = answer.get("details") if isinstance(answer, dict) else None
        for name, description in details.items() if isinstance(details, dict) else ():
            if name in known and name not in merged and _is_description(description):
                merged[name] = description
    return details_that_fit(dict(sorted(merged.items())), max_frame)


def _is_description(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("signature"), str)
        and isinstance(value.get("summary"), str)
        and isinstance(value.get("params"), list)
        and all(isinstance(parameter, dict) for parameter in value["params"])
    )


def representatives(nodes: Iterable[tuple[str, Collection[str], object]]) -> frozenset[str]:
    """Addresses of few nodes that know every function: one for each set of scripts.

    Args:
        nodes: address, functions, and what is the same where the scripts are.
    """
    covered: set[object] = set()
    asked: set[str] = set()
    for address, methods, revision in nodes:
        if methods and revision not in covered and len(asked) < MOST_ASKED:
            covered.add(revision)
            asked.add(address)
    return frozenset(asked)
