"""``madrpc map``: one call for each line of standard input."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
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
    spent = _Spent()
    progress = LineProgress("map", quiet=options.quiet)
    failed = 0
    with client_of(options) as client:
        outcomes = client.map(
            options.method,
            _items(options),
            concurrency=options.concurrency,
            ordered=not options.unordered,
            return_errors=options.keep_going,
            trace=options.trace,
            receipt=options.time,
        )
        try:
            for outcome in outcomes:
                is_error = _write(spent.note(outcome) if options.time else outcome)
                failed += is_error
                progress.update(is_error)
        finally:
            outcomes.close()  # type: ignore[attr-defined]
            sys.stdout.flush()
            progress.close()
            if options.time:
                print(f"time {spent}", file=sys.stderr)
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


class _Spent:
    """Where the time of all calls went together."""

    def __init__(self) -> None:
        self._calls = 0
        self._ms = dict.fromkeys(("run", "queue", "wire"), 0.0)
        self._nodes: Counter[str] = Counter()

    def note(self, outcome: Any) -> Any:
        """Add a call; return its result, or its error."""
        is_error = isinstance(outcome, MadrpcError)
        receipt = outcome.receipt
        if receipt is not None:
            self._calls += 1
            for name in self._ms:
                self._ms[name] += getattr(receipt, f"{name}_ms") or 0.0
            if receipt.node is not None:
                self._nodes[receipt.node] += 1
        return outcome if is_error else outcome.result

    def __str__(self) -> str:
        sums = ", ".join(f"{name} {ms:.1f} ms" for name, ms in self._ms.items())
        nodes = ", ".join(f"{node} {count}" for node, count in sorted(self._nodes.items()))
        return f"{self._calls} calls, {sums}; {nodes or 'no node has told its part'}"
