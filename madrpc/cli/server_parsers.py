"""Parsers of the commands that run servers."""

from __future__ import annotations

import argparse

from madrpc.cli.options import (
    add_http,
    add_option,
    add_server_options,
    address,
    bind_address,
    node_source,
    not_negative,
    positive_int,
)
from madrpc.cli.parser_parts import add_balance, add_engine, add_limits, new_parser

__all__ = ["node_parser", "orchestrator_parser", "up_parser"]


def node_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc node``."""
    parser = new_parser(
        "node",
        "Run a compute node: load JavaScript files and serve the functions they register, each "
        "call in a fresh context on a pool of worker processes.",
        "SIGTERM lets accepted calls finish and exits 0; a second one stops at once. SIGHUP loads "
        "the scripts anew: calls in flight end on the old ones, a broken script changes nothing.",
    )
    add_option(
        parser,
        "-s",
        "--script",
        nargs="+",
        action="extend",
        metavar="SCRIPT",
        dest="scripts",
        help="JavaScript file to load; may be repeated",
    )
    add_option(
        parser,
        "-b",
        "--bind",
        type=bind_address,
        metavar="HOST:PORT",
        default="0.0.0.0:0",
        help="address to listen on; port 0 takes a free one and prints it",
    )
    add_option(
        parser,
        "--pool-size",
        type=positive_int,
        metavar="N",
        shown_default="twice the usable processors",
        help="worker processes",
    )
    add_limits(parser, "seconds one call may run; the caller's deadline shortens it")
    add_option(
        parser,
        "--queue-size",
        type=positive_int,
        metavar="N",
        shown_default="1024, or 16 for each worker if that is more",
        help="calls that may wait for a worker before callers are told to come back later",
    )
    add_engine(parser)
    _add_script_options(parser)
    add_server_options(parser)
    _add_parent_options(parser)
    return parser


def orchestrator_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc orchestrator``."""
    parser = new_parser(
        "orchestrator",
        "Run an orchestrator: forward calls to nodes, each function only to nodes that have it, "
        "in turn, and move the calls of a lost node to another.",
        "SIGTERM lets accepted calls finish and exits 0; a second one stops at once.",
    )
    add_option(
        parser,
        "-b",
        "--bind",
        type=bind_address,
        metavar="HOST:PORT",
        default="0.0.0.0:8080",
        help="address to listen on; port 0 takes a free one and prints it",
    )
    add_option(
        parser,
        "-n",
        "--node",
        type=node_source,
        action="append",
        metavar="ADDR",
        dest="nodes",
        help="address of a node, or file:PATH with one on each line, read again when it changes, "
        "or dns://NAME:PORT for every address of a name; may be repeated; nodes may also register "
        "themselves, with their --orchestrator",
    )
    add_balance(parser)
    add_server_options(parser)
    _add_parent_options(parser)
    return parser


def up_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc up``."""
    parser = new_parser(
        "up",
        "Run an orchestrator and nodes on this machine until Ctrl-C.",
    )
    parser.add_argument("scripts", nargs="+", metavar="SCRIPT", help="JavaScript file to load")
    add_option(
        parser,
        "-b",
        "--bind",
        type=bind_address,
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="address of the orchestrator; port 0 takes a free one and prints it",
    )
    add_option(parser, "--nodes", type=positive_int, metavar="N", default=1, help="nodes to start")
    add_option(
        parser,
        "--pool-size",
        type=positive_int,
        metavar="N",
        shown_default="twice the usable processors, shared out over the nodes",
        help="worker processes of each node",
    )
    add_engine(parser)
    _add_watch(parser)
    add_balance(parser)
    add_http(parser)
    return parser


def _add_parent_options(parser: argparse.ArgumentParser) -> None:
    """For programs that start servers; of no use on a command line."""
    parser.add_argument("--watch-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--linger", type=not_negative, default=0.0, help=argparse.SUPPRESS)


def _add_script_options(parser: argparse.ArgumentParser) -> None:
    add_option(
        parser,
        "--orchestrator",
        type=address,
        action="append",
        metavar="ADDR",
        help="orchestrator to register with; calls made by functions go through it, to run on any "
        "of its nodes; may be repeated",
    )
    add_option(
        parser,
        "--advertise",
        type=address,
        metavar="ADDR",
        shown_default="the address bound, or the one the connection comes from",
        help="address under which the orchestrators reach this node",
    )
    add_option(
        parser,
        "--isolation",
        choices=("auto", "context", "snapshot"),
        default="auto",
        help="how calls are kept apart: context loads the scripts anew for each call, snapshot "
        "forks a process that has them loaded, auto takes what is faster for these scripts",
    )
    add_option(
        parser,
        "--sandbox",
        choices=("auto", "off", "require"),
        default="auto",
        help="whether the kernel keeps worker processes from files, sockets and other processes "
        "(seccomp): auto where it can, require refuses to start where it cannot",
    )
    _add_watch(parser)


def _add_watch(parser: argparse.ArgumentParser) -> None:
    add_option(
        parser,
        "--allow-deploy",
        action="store_true",
        help="take scripts that 'madrpc deploy' sends; a node bound to loopback does so anyway, "
        "any other also needs --auth-token-file or --tls-ca",
    )
    add_option(
        parser,
        "--watch",
        action="store_true",
        help="load the scripts anew whenever their files change, as SIGHUP does; of a script that "
        "does not load, the mistake is shown and the old code stays",
    )
