"""``madrpc deploy``: other scripts for a running cluster."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from madrpc.cli.remote import client_of, print_json
from madrpc.client.client import Client
from madrpc.engine.interface import Script
from madrpc.errors import InvalidRequest, from_wire

__all__ = ["run_deploy"]

_SHOWN = 8
_HEAD = ("NODE", "STATE", "RELEASE", "SCRIPTS", "SINCE", "BY")


def run_deploy(options: argparse.Namespace) -> int:
    """``madrpc deploy``"""
    if options.rollback and (options.scripts or options.canary):
        raise InvalidRequest("--rollback takes no script and no --canary")
    if not options.scripts and options.canary:
        raise InvalidRequest("--canary needs a script to send")
    args: dict[str, Any] = {"rollback": True}
    if options.scripts:
        scripts = map(Script.read, options.scripts)
        args = {"scripts": [{"name": s.name, "source": s.source} for s in scripts]}
        if options.canary is not None:
            args["canary"] = options.canary
    with client_of(options) as client:
        if options.scripts or options.rollback:
            return _send(client, args, as_json=options.json)
        return _show(client, as_json=options.json)


def _send(client: Client, args: Mapping[str, Any], *, as_json: bool) -> int:
    began = time.monotonic()
    answer = client.call("_deploy", args)
    failed = {address: from_wire(error) for address, error in answer.get("failed", {}).items()}
    for address, error in failed.items():
        print(f"madrpc: node {address} did not switch: {error.message}", file=sys.stderr)
    if as_json:
        print_json(answer)
    else:
        print(_summary(answer, bool(args.get("rollback")), time.monotonic() - began))
    return next((error.exit_code for error in failed.values()), 0)


def _summary(answer: Mapping[str, Any], rolled_back: bool, seconds: float) -> str:
    names = _names(answer["scripts"])
    count = len(answer["methods"])
    what = f"{names}, {count} function{'' if count == 1 else 's'}"
    if "switched" not in answer:  # a node answers for itself
        return f"{what}: serves in {seconds:.1f} s"
    switched, staged = answer["switched"], answer["staged"]
    verb = "rolled back to" if rolled_back else "loaded by all, served by"
    nodes = f"{len(switched)} of {staged} nodes"
    end = f" ({', '.join(switched)})" if len(switched) < staged else ""
    if rolled_back:
        return f"{verb} {what}: {nodes} in {seconds:.1f} s{end}"
    return f"{what}: {verb} {nodes} in {seconds:.1f} s{end}"


def _show(client: Client, *, as_json: bool) -> int:
    info = client.info()
    nodes = info.get("nodes", [info])
    if as_json:
        keys = ("address", "state", "scripts", "release")
        print_json([{key: node.get(key) for key in keys} for node in nodes])
        return 0
    rows = [_HEAD, *map(_row, nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    running = {row[2] for row in rows[1:] if row[1] == "up"}
    if len(running) > 1:
        print(f"warning: nodes run {len(running)} different releases", file=sys.stderr)
    return 0


def _row(node: Mapping[str, Any]) -> tuple[str, ...]:
    release = node.get("release") or {}
    age = release.get("age_s")
    return (
        str(node.get("address", "")),
        str(node.get("state", "")),
        str(release.get("id", ""))[:_SHOWN],
        _names(node.get("scripts") or ()),
        "" if age is None else _ago(age),
        str(release.get("by", "")),
    )


def _names(scripts: Iterable[Mapping[str, str]]) -> str:
    return ", ".join(f"{script['name']}@{script['sha256'][:_SHOWN]}" for script in scripts)


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
