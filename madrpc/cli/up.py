"""``madrpc up``: everything on one machine until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from itertools import islice
from types import FrameType

from madrpc.address import Address, parse_address
from madrpc.cli.examples import example_call
from madrpc.cli.methods import method_lines
from madrpc.cli.words import Style, plain
from madrpc.cluster import LocalCluster

__all__ = ["run_up"]

_POLL_S = 0.2
_MOST_SHOWN = 30


def run_up(options: argparse.Namespace) -> int:
    """``madrpc up``"""
    # SIGTERM ends the wait below as Ctrl-C does, so that the children are always stopped.
    signal.signal(signal.SIGTERM, _stop)
    try:
        with LocalCluster(
            options.scripts,
            nodes=options.nodes,
            pool_size=options.pool_size,
            bind=str(options.bind),
            balance=options.balance,
            engine=options.engine,
            http=str(options.http) if options.http is not None else None,
            log_level="info" if options.verbose else "warning",
            watch=options.watch,
        ) as cluster:
            _announce(cluster, options)
            return _watch(cluster)
    except _Stopped:
        return 0


class _Stopped(BaseException):
    """SIGTERM arrived."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def _announce(cluster: LocalCluster, options: argparse.Namespace) -> None:
    style = Style(sys.stdout)
    with cluster.client() as client:
        info = client.info()
        details = client.methods(details=True)
    print(
        f"orchestrator ready on {style.strong(cluster.address)}  nodes {len(cluster.nodes)}  "
        f"workers {info['workers']}"
    )
    if cluster.url is not None:
        print(f"dashboard {style.strong(cluster.url)}  JSON-RPC at /rpc, metrics at /metrics")
    width = shutil.get_terminal_size().columns - 2 if sys.stdout.isatty() else None
    for line in method_lines(dict(islice(details.items(), _MOST_SHOWN)), width):
        signature, gap, summary = line.partition("   ")
        print(f"  {signature}{gap}{style.faint(summary)}")
    target = str(_reachable(parse_address(cluster.address)))
    if len(details) > _MOST_SHOWN:
        print(f"  and {len(details) - _MOST_SHOWN} more: madrpc methods {target}")
    if options.watch:
        names = ", ".join(plain(os.path.basename(path)) for path in options.scripts)
        print(f"watching {names}: save, and calls run the new code")
    print(f"try: {style.strong(example_call(target, details))}")
    print(f"     madrpc top {target}")
    print("Ctrl-C stops it", flush=True)


def _reachable(bound: Address) -> Address:
    """Where a server that listens everywhere is reached from here."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return Address(here.get(bound.host, bound.host), bound.port)


def _watch(cluster: LocalCluster) -> int:
    """Wait; report servers that end by themselves, and stop with the orchestrator."""
    running = list(cluster.servers)
    orchestrator = running[-1]
    while orchestrator in running:
        time.sleep(_POLL_S)
        for server in list(running):
            status = server.process.poll()
            if status is not None:
                running.remove(server)
                print(f"{server.command} {server.address} ended with status {status}", flush=True)
    return 1
