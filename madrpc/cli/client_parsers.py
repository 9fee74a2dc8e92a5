"""Parsers of the commands that ask a running server."""

from __future__ import annotations

import argparse

from madrpc.cli.options import (
    add_client_options,
    add_option,
    interval_ms,
    not_negative,
    positive_float,
    positive_int,
    share,
    threshold,
    traceparent,
)
from madrpc.cli.parser_parts import ARGS_HELP, add_address, new_parser

__all__ = [
    "bench_parser",
    "call_parser",
    "deploy_parser",
    "health_parser",
    "info_parser",
    "map_parser",
    "methods_parser",
    "top_parser",
]


def call_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc call``."""
    parser = new_parser(
        "call",
        "Call one function and print its result as JSON.",
        "Example: madrpc call 127.0.0.1:8080 add a=5 b=3",
    )
    add_address(parser)
    parser.add_argument("method", metavar="METHOD", help="name of the function")
    parser.add_argument("args", nargs="*", metavar="ARGS", help=ARGS_HELP)
    add_client_options(parser)
    parser.add_argument("--seed", metavar="SEED", help="make Math.random reproducible")
    _add_receipt_options(parser, "tell on stderr where the time of the call went")
    return parser


def deploy_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc deploy``."""
    parser = new_parser(
        "deploy",
        "Send scripts to all nodes behind an orchestrator, or to one node, while they work. Every "
        "node loads them first, and none serves them unless all could; calls in flight end on the "
        "old ones. Without a script, show which release each node runs.",
        "Example: madrpc deploy 127.0.0.1:8080 rules.js --canary 10%% && madrpc deploy "
        "127.0.0.1:8080 rules.js. Nodes that other machines can reach take it only with "
        "--allow-deploy and a token or certificates. A node that starts anew loads the files it "
        "is started with.",
    )
    add_address(parser)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help="JavaScript file to send")
    parser.add_argument(
        "--canary",
        type=share,
        metavar="SHARE",
        help="only so many of the nodes serve it, at least one and never all: 10%% or 0.1",
    )
    parser.add_argument(
        "--rollback",
        action="store_true",
        help="let the release before serve again on the nodes that run the last one deployed",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    # Each node loads the scripts in all its workers meanwhile.
    add_client_options(parser, timeout_s=120.0)
    return parser


def info_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc info``."""
    parser = new_parser("info", "Show what a server is: role, version, state, nodes, functions.")
    add_address(parser)
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    add_client_options(parser)
    return parser


def health_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc health``."""
    parser = new_parser(
        "health",
        "Say by the exit status whether a server takes calls: 0 if it does, 3 if it is degraded "
        "(a node without a ready worker, an orchestrator without a node), draining or not there. "
        "It asks one short question and runs no script.",
        "Example: madrpc health 127.0.0.1:8080 && echo ready",
    )
    add_address(parser)
    parser.add_argument(
        "--live", action="store_true", help="exit with 0 if the server answers, in whatever state"
    )
    # Who probes wants to know soon.
    add_client_options(parser, timeout_s=4.0)
    return parser


def methods_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc methods``."""
    parser = new_parser(
        "methods",
        "List the functions that can be called, one a line: how each is called, and the first "
        "sentence of the JSDoc comment above it.",
    )
    add_address(parser)
    parser.add_argument(
        "--names", action="store_true", help="print the names only, for other programs"
    )
    parser.add_argument("--json", action="store_true", help="print the names as a JSON array")
    parser.add_argument(
        "--details",
        action="store_true",
        help="print a JSON object with the signature, summary and parameters of each",
    )
    add_client_options(parser)
    return parser


def map_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc map``."""
    parser = new_parser(
        "map",
        "Call one function for each line of standard input, which holds the arguments as a JSON "
        "object, and print each result as a line of JSON, in the order of the input.",
        "Example: seq 1 1000 | madrpc map 127.0.0.1:8080 monte_carlo_sample --arg seed "
        "--set samples=200000 > results.ndjson",
    )
    add_address(parser)
    parser.add_argument("method", metavar="METHOD", help="name of the function")
    parser.add_argument(
        "-c",
        "--concurrency",
        type=positive_int,
        default=64,
        metavar="N",
        help="calls in flight at once; the input is read no further ahead (default: 64)",
    )
    parser.add_argument(
        "--arg", metavar="NAME", help="pass each line's value, whatever it is, as this argument"
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="an argument of every call; may be repeated",
    )
    parser.add_argument("--unordered", action="store_true", help="print results as they come")
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help='print {"error": ...} for a call that failed and go on; the exit status is 1 then',
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="tell no progress on stderr")
    add_client_options(parser)
    _add_receipt_options(parser, "tell on stderr at the end where the time of all calls went")
    return parser


def _add_receipt_options(parser: argparse.ArgumentParser, time_help: str) -> None:
    parser.add_argument("--time", action="store_true", help=time_help)
    parser.add_argument(
        "--trace",
        type=traceparent,
        metavar="TRACEPARENT",
        help="a W3C traceparent; it goes with the call into the servers' logs",
    )


def top_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc top``."""
    parser = new_parser(
        "top",
        "Watch a server as it works: calls in a second, latency, errors, its nodes and its "
        "functions. On a terminal, with the extra 'top' (pip install 'madrpc[top]'), on the full "
        "screen, where h explains the keys; else as plain text.",
        "Example: madrpc top 127.0.0.1:8080 --json | jq .calls_per_s",
    )
    add_address(parser)
    add_option(
        parser,
        "-i",
        "--interval",
        type=interval_ms,
        metavar="MS",
        default=250,
        help="milliseconds between two readings",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="print what happened between two readings, one interval apart, and end",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each interval"
    )
    parser.add_argument(
        "--plain", action="store_true", help="plain text where the full screen would do"
    )
    # A monitor that says nothing for a minute helps nobody.
    add_client_options(parser, timeout_s=5.0)
    return parser


def bench_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc bench``."""
    parser = new_parser(
        "bench",
        "Call one function over and over and measure. With -c, so many calls are in flight at "
        "once; with -r, so many begin in each second whatever becomes of the others, and latency "
        "counts from the instant each was meant to begin.",
        "Two files of --save, side by side: madrpc bench compare BEFORE AFTER",
    )
    parser.usage = (
        "madrpc bench ADDR METHOD [ARGS ...] [options]\n       madrpc bench compare BEFORE AFTER"
    )
    parser.add_argument("target", metavar="ADDR", help="HOST:PORT of an orchestrator or a node")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="METHOD [ARGS]",
        help=f"name of the function, and {ARGS_HELP}",
    )
    parser.add_argument("--args", metavar="JSON", help="arguments of the function as one object")
    parser.add_argument(
        "-c",
        "--concurrency",
        type=positive_int,
        default=16,
        metavar="N",
        help="calls in flight at once (default: 16)",
    )
    parser.add_argument(
        "-r", "--rate", type=positive_float, metavar="N", help="calls to begin in each second"
    )
    parser.add_argument(
        "-n", "--calls", type=positive_int, metavar="N", help="stop after so many calls"
    )
    parser.add_argument(
        "-d",
        "--duration",
        type=positive_float,
        metavar="S",
        help="stop after so many seconds (default: 10, without -n)",
    )
    parser.add_argument(
        "--warmup",
        type=not_negative,
        default=1.0,
        metavar="S",
        help="seconds of load before that, which do not count (default: 1)",
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        type=threshold,
        metavar="CONDITION",
        help="exit with 5 if this is so; p95>50ms, errors>0.1%%, rate<1000; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--save", metavar="FILE", help="write the figures to a file as JSON")
    add_client_options(parser)
    return parser
