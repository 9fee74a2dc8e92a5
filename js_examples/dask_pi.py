"""Estimate pi with monte_carlo_pi.js on a Dask cluster; needs the extra ``dask``.

Without an address it makes a cluster of processes on this machine::

    python js_examples/dask_pi.py
    python js_examples/dask_pi.py tcp://scheduler:8786
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dask.distributed import Client

import madrpc.dask
from madrpc import MadrpcError

SCRIPT = Path(__file__).with_name("monte_carlo_pi.js")


def main() -> int:
    parser = argparse.ArgumentParser(description="Estimate pi on a Dask cluster.")
    parser.add_argument("scheduler", nargs="?", help="address of Dask's scheduler")
    parser.add_argument("--calls", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=200_000, help="default: %(default)s")
    options = parser.parse_args()
    where = {} if options.scheduler else {"n_workers": 2, "dashboard_address": None}
    try:
        with Client(options.scheduler, **where) as dask, madrpc.dask.deploy(dask, SCRIPT) as client:
            items = ({"samples": options.samples, "seed": seed} for seed in range(options.calls))
            answers = list(client.map("monte_carlo_sample", items))
            hosts = len(client.hosts())
    except MadrpcError as error:
        print(f"{error.name}: {error.message}", file=sys.stderr)
        return error.exit_code
    inside = sum(answer["inside"] for answer in answers)
    total = sum(answer["total"] for answer in answers)
    print(f"{total} samples on {hosts} hosts: pi is about {4 * inside / total:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
