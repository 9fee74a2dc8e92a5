"""``madrpc top``: the live monitor, on the full screen, as plain text or as JSON."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from madrpc.cli.remote import client_of
from madrpc.client.client import Client
from madrpc.errors import InvalidRequest
from madrpc.policy.readings import Reading
from madrpc.top import plain
from madrpc.top.source import ask

__all__ = ["run_top"]

#: Two readings that are closer together say little.
_LEAST_ONCE_S = 0.25


def run_top(options: argparse.Namespace) -> int:
    """``madrpc top``"""
    address = str(options.address)
    interval_s = options.interval / 1000
    if options.once:
        interval_s = max(interval_s, _LEAST_ONCE_S)
    with client_of(options) as client:
        first = ask(client)
        if first.answer.get("role") not in ("node", "orchestrator"):
            raise InvalidRequest(f"{address} does not say what it is; is it a madrpc server?")
        if options.json:
            return plain.run_json(client, first, address, interval_s, once=options.once)
        if not options.once and not options.plain and _has_screen():
            return _on_the_screen(client, first, address, interval_s)
        return plain.run_text(client, first, address, interval_s, once=options.once)


def _has_screen() -> bool:
    """Whether there is a terminal to draw on and to read keys from, and what draws."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if os.environ.get("TERM", "dumb") == "dumb" or not all(map(_is_terminal, streams)):
        return False
    if importlib.util.find_spec("textual") is None:
        print("plain text, as textual is not installed: pip install 'madrpc[top]'", file=sys.stderr)
        return False
    return True


def _is_terminal(stream: object) -> bool:
    # None where a descriptor was closed before the start.
    return stream is not None and stream.isatty()  # type: ignore[attr-defined]


def _on_the_screen(client: Client, first: Reading, address: str, interval_s: float) -> int:
    # Costs a fifth of a second, and needs an extra.
    from madrpc.top.app import TopApp

    return TopApp(client, first, address, interval_s).run_until_quit()
