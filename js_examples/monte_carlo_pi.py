"""Estimate pi on every core behind an address, and say how fast it went.

The calls of monte_carlo_pi.js run in parallel, each with its own seed. Start a service first, or
let ``--local 2`` start one for the run::

    madrpc up js_examples/monte_carlo_pi.js --nodes 2
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from pathlib import Path

from madrpc import AddressError, Client, LocalCluster, MadrpcError

SCRIPT = Path(__file__).with_name("monte_carlo_pi.js")
METHOD = "monte_carlo_sample"
SERVE = "madrpc up js_examples/monte_carlo_pi.js --nodes 2"
NOTHING_THERE = {"ConnectionFailed", "NoNodeAvailable", "MethodNotFound"}


class Progress:
    """A line on stderr, rewritten as calls end; nothing when stderr is not a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._visible = sys.stderr.isatty()

    def show(self, done: int) -> None:
        self._rewrite(f"{done} of {self._total} calls done")

    def clear(self) -> None:
        self._rewrite("")

    def _rewrite(self, text: str) -> None:
        if self._visible:
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = build_parser()
    options = parser.parse_args()
    try:
        if options.local:
            run_locally(options)
        else:
            run(options)
    except AddressError as error:
        parser.error(str(error))
    except MadrpcError as error:
        print(explain(error, options.address), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Estimate pi with many parallel calls of monte_carlo_pi.js.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option("--address", default="127.0.0.1:8080", help="orchestrator or node to call")
    option("--calls", type=positive, default=50, help="number of calls")
    option("--samples", type=positive, default=200_000, help="random points per call")
    option("--concurrency", type=positive, default=64, help="calls in flight at once")
    option("--local", type=positive, metavar="N", help="start N nodes here, just for this run")
    return parser


def run_locally(options: argparse.Namespace) -> None:
    """Run against an orchestrator and nodes that live as long as the run."""
    with LocalCluster(SCRIPT, nodes=options.local) as cluster:
        options.address = cluster.address
        run(options)


def run(options: argparse.Namespace) -> None:
    with Client(options.address) as client:
        benchmark(client, options)


def positive(text: str) -> int:
    """An argparse type: an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def benchmark(client: Client, options: argparse.Namespace) -> None:
    total = options.calls * options.samples
    print(f"Calling {METHOD} on {options.address}")
    print(f"{options.calls} calls of {options.samples} samples, {total} samples in all", flush=True)
    started = time.perf_counter()
    inside = sample(client, options)
    print_results(inside, total, options.calls, time.perf_counter() - started)
    print_nodes(client)


def sample(client: Client, options: argparse.Namespace) -> int:
    """Run every call, print each one's share, and return how many points fell inside."""
    arguments = ({"samples": options.samples, "seed": seed} for seed in range(options.calls))
    # Ordered, so that an answer's position is the number of its call.
    answers = client.map(METHOD, arguments, concurrency=options.concurrency, ordered=True)
    progress = Progress(options.calls)
    inside = 0
    try:
        progress.show(0)
        for index, answer in enumerate(answers):
            inside += answer["inside"]
            progress.clear()
            share = f"{answer['inside']} inside out of {answer['total']} samples"
            print(f"Node {index}: {share}", flush=True)
            progress.show(index + 1)
    finally:
        progress.clear()
    return inside


def print_results(inside: int, total: int, calls: int, seconds: float) -> None:
    estimate = 4 * inside / total
    print("\n=== Results ===")
    print(f"Total inside: {inside}")
    print(f"Total samples: {total}")
    print(f"Pi estimate: {estimate:.6f}")
    print(f"Actual pi: {math.pi:.6f}")
    print(f"Error: {abs(estimate - math.pi):.6f}")
    print(f"Wall time: {seconds:.3f} s")
    print(f"Calls/s: {calls / seconds:.1f}")
    print(f"Samples/s: {total / seconds:.0f}", flush=True)


def print_nodes(client: Client) -> None:
    """Say who did the work, where the service knows: an orchestrator does, a node does not."""
    with contextlib.suppress(MadrpcError):  # the results are out: a late failure spoils nothing
        for node in client.metrics().get("nodes", []):
            workers = (node["metrics"] or {}).get("workers", {}).get("processes", [])
            shares = " + ".join(str(worker["calls"]) for worker in workers)
            print(f"node {node['address']}: {node['calls']} calls ({shares} by worker)")


def explain(error: MadrpcError, address: str) -> str:
    """What failed, why, and what to do about it."""
    if error.name in NOTHING_THERE:
        advice = f"Serve the script there first: {SERVE}"
    else:
        advice = f"See what is running there: madrpc info {address}"
    return f"{METHOD} failed on {address}\n{error.name}: {error.message}\n{advice}"


if __name__ == "__main__":
    sys.exit(main())
