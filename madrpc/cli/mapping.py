"""``madrpc map``: one call for each line of standard input."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from madrpc.cli.arguments import parse_arguments
from madrpc.cli.remote import client_of
from madrpc.client.progress import LineProgress
from madrpc.errors import InvalidArguments, MadrpcError

__all__ = ["run_map"]

EXIT_FAILED = 1
_LONGEST_SHOWN = 80


def run_map(options: argparse.Namespace) -> int:
    """``madrpc map``"""
    progress = LineProgress("map", quiet=options.quiet)
    failed = 0
    with client_of(options) as client:
        outcomes = client.map(
            options.method,
            _items(options),
            concurrency=options.concurrency,
            ordered=not options.unordered,
            return_errors=options.keep_going,
        )
        try:
            for outcome in outcomes:
                is_error = _write(outcome)
                failed += is_error
                progress.update(is_error)
        finally:
            outcomes.close()  # type: ignore[attr-defined]
            sys.stdout.flush()
            progress.close()
    return EXIT_FAILED if failed else 0


def _write(outcome: Any) -> bool:
    """Print a result, or the error in its place; return whether it was one."""
    is_error = isinstance(outcome, MadrpcError)
    value = {"error": outcome.to_wire()} if is_error else outcome
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    return is_error


def _items(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The arguments of each call, read when they are needed.

    Raises:
        InvalidArguments: with the number of the line.
    """
    constant = parse_arguments(options.set or [])
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            yield {**constant, **_arguments(line, number, options.arg)}


def _arguments(line: str, number: int, name: str | None) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        shown = line.strip()[:_LONGEST_SHOWN]
        raise InvalidArguments(f"line {number} is not JSON: {shown!r} ({error})") from None
    if name is not None:
        return {name: value}
    if not isinstance(value, dict):
        raise InvalidArguments(
            f"line {number} holds {type(value).__name__}, not an object such as {{}}; "
            "--arg NAME passes each line's value under a name"
        )
    return value
