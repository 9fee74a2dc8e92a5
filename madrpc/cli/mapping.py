"""``madrpc map``: one call for each line of standard input."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from madrpc.cli.arguments import parse_arguments
from madrpc.cli.remote import client_of
from madrpc.errors import InvalidArguments, MadrpcError

__all__ = ["run_map"]

EXIT_FAILED = 1
#: How often progress is told: on a terminal, and elsewhere.
_TERMINAL_S = 0.2
_LOG_S = 10.0
_LONGEST_SHOWN = 80


def run_map(options: argparse.Namespace) -> int:
    """``madrpc map``"""
    progress = _Progress(options.quiet)
    spent = _Spent()
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
                failed += _write(spent.note(outcome) if options.time else outcome)
                progress.step(failed)
        finally:
            outcomes.close()  # type: ignore[attr-defined]
            sys.stdout.flush()
            progress.end()
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


class _Progress:
    """Tells on stderr how far it is: one line that is redrawn, or one every ten seconds."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._every_s = _TERMINAL_S if self._is_terminal else _LOG_S
        self._began = self._told = time.monotonic()
        self._done = self._failed = 0

    def step(self, failed: int) -> None:
        """One more is done."""
        self._done += 1
        self._failed = failed
        now = time.monotonic()
        if now - self._told >= self._every_s:
            self._told = now
            self._tell(now)

    def end(self) -> None:
        """All are done."""
        self._tell(time.monotonic())
        if self._is_terminal and not self._quiet:
            print(file=sys.stderr)

    def _tell(self, now: float) -> None:
        if self._quiet:
            return
        rate = self._done / max(0.001, now - self._began)
        text = f"map {self._done} done  {rate:.1f}/s  failed {self._failed}"
        if self._is_terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
