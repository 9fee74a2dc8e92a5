"""``madrpc up``: everything on one machine until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import time
from types import FrameType

from madrpc.cluster import LocalCluster

__all__ = ["run_up"]

_POLL_S = 0.2


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
        ) as cluster:
            _announce(cluster)
            return _watch(cluster)
    except _Stopped:
        return 0


class _Stopped(BaseException):
    """SIGTERM arrived."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def _announce(cluster: LocalCluster) -> None:
    with cluster.client() as client:
        info = client.info()
    print(
        f"orchestrator ready on {cluster.address}  nodes {len(cluster.nodes)}  "
        f"workers {info['workers']}"
    )
    if cluster.url is not None:
        print(f"HTTP on {cluster.url}  JSON-RPC at /rpc, metrics at /metrics")
    for name in info["methods"]:
        print(f"  {name}")
    print(
        f"call one:  madrpc call {cluster.address} {info['methods'][0]}    stop: Ctrl-C", flush=True
    )


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
