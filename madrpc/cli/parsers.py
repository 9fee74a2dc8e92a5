"""The parsers of every command; the man pages and completions are made from these."""

from __future__ import annotations

import argparse

from madrpc.cli.options import (
    add_client_options,
    add_option,
    add_server_options,
    address,
    bind_address,
    node_source,
    positive_float,
    positive_int,
)
from madrpc.version import __version__

__all__ = [
    "COMMANDS",
    "build_parser",
    "call_parser",
    "check_parser",
    "info_parser",
    "methods_parser",
    "node_parser",
    "orchestrator_parser",
    "run_parser",
    "tls_parser",
    "up_parser",
]

_ARGS_HELP = (
    "arguments of the function: one JSON object, or key=value pairs whose values are JSON "
    "or else text, or @FILE with a JSON object, or - for JSON on standard input"
)


def _parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"madrpc {name}".strip(),
        description=description,
        epilog=epilog or None,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show full stacks and tracebacks of errors"
    )
    return parser


def node_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc node``."""
    parser = _parser(
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
    _add_limits(parser, "seconds one call may run; the caller's deadline shortens it")
    add_option(
        parser,
        "--queue-size",
        type=positive_int,
        metavar="N",
        shown_default="1024, or 16 for each worker if that is more",
        help="calls that may wait for a worker before callers are told to come back later",
    )
    _add_script_options(parser)
    add_server_options(parser)
    parser.add_argument("--watch-stdin", action="store_true", help=argparse.SUPPRESS)
    return parser


def orchestrator_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc orchestrator``."""
    parser = _parser(
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
    _add_balance(parser)
    add_server_options(parser)
    parser.add_argument("--watch-stdin", action="store_true", help=argparse.SUPPRESS)
    return parser


def up_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc up``."""
    parser = _parser(
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
    _add_balance(parser)
    return parser


def call_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc call``."""
    parser = _parser(
        "call",
        "Call one function and print its result as JSON.",
        "Example: madrpc call 127.0.0.1:8080 add a=5 b=3",
    )
    _add_address(parser)
    parser.add_argument("method", metavar="METHOD", help="name of the function")
    parser.add_argument("args", nargs="*", metavar="ARGS", help=_ARGS_HELP)
    add_client_options(parser)
    parser.add_argument("--seed", metavar="SEED", help="make Math.random reproducible")
    return parser


def check_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc check``."""
    parser = _parser("check", "Load a script and list the functions it registers; no server.")
    parser.add_argument("script", metavar="SCRIPT", help="JavaScript file to load")
    return parser


def run_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc run``."""
    parser = _parser(
        "run",
        "Run one function of a script here and print its result as JSON; no server.",
        "Example: madrpc run script.js add a=5 b=3",
    )
    parser.add_argument("script", metavar="SCRIPT", help="JavaScript file to load")
    parser.add_argument("method", metavar="METHOD", help="name of the function")
    parser.add_argument("args", nargs="*", metavar="ARGS", help=_ARGS_HELP)
    _add_limits(parser, "seconds the function may run")
    return parser


def info_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc info``."""
    parser = _parser("info", "Show what a server is: role, version, state, nodes, functions.")
    _add_address(parser)
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    add_client_options(parser)
    return parser


def methods_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc methods``."""
    parser = _parser("methods", "List the functions that can be called, one a line.")
    _add_address(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    add_client_options(parser)
    return parser


def tls_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc tls``."""
    parser = _parser(
        "tls",
        "Make certificates for a cluster: a small authority (ca.pem), one certificate for all "
        "servers (server.pem, server-key.pem) and one for clients (client.pem, client-key.pem).",
        "Example: madrpc tls init certs --name node1.example.org; then start every server with "
        "--tls-ca certs/ca.pem --tls-cert certs/server.pem --tls-key certs/server-key.pem. The "
        "authority's own key is not kept, so 'tls init' into a new folder replaces all of them.",
    )
    parser.add_argument("action", choices=("init",), help="init makes the files")
    parser.add_argument("folder", metavar="DIR", help="folder to put them in; made if missing")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        dest="names",
        help="host name or IP address of a server, besides localhost, 127.0.0.1 and ::1; may be "
        "repeated",
    )
    parser.add_argument(
        "--days",
        type=positive_int,
        default=825,
        metavar="N",
        help="days until the certificates expire (default: 825)",
    )
    return parser


def _add_balance(parser: argparse.ArgumentParser) -> None:
    add_option(
        parser,
        "--balance",
        choices=("round-robin", "least-busy"),
        default="round-robin",
        help="how calls are shared out: to the nodes in turn, or to the one with the fewest calls "
        "for each of its workers",
    )


def _add_limits(parser: argparse.ArgumentParser, time_help: str) -> None:
    add_option(
        parser, "--time-limit", type=positive_float, metavar="S", default=30.0, help=time_help
    )
    add_option(
        parser,
        "--memory-limit",
        type=positive_float,
        metavar="MIB",
        default=64.0,
        help="JavaScript heap of one call, in MiB",
    )


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
    add_option(
        parser,
        "--watch",
        action="store_true",
        help="load the scripts anew whenever their files change, as SIGHUP does",
    )


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address", type=address, metavar="ADDR", help="HOST:PORT of an orchestrator or a node"
    )


#: Every command: its parser, and one line about it.
COMMANDS = {
    "node": (node_parser, "run a compute node"),
    "orchestrator": (orchestrator_parser, "forward calls to nodes"),
    "up": (up_parser, "run an orchestrator and nodes on this machine"),
    "call": (call_parser, "call one function"),
    "check": (check_parser, "load a script and list its functions"),
    "run": (run_parser, "run one function of a script, with no server"),
    "info": (info_parser, "show what a server is"),
    "methods": (methods_parser, "list the functions of a server"),
    "tls": (tls_parser, "make certificates for a cluster"),
}
ALIASES = {"orch": "orchestrator"}


def build_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc`` itself: it knows the commands' names, and each command the rest."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="madrpc",
        description="Turn a JavaScript file into a function service on every core you have.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n'madrpc COMMAND --help' tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"madrpc {__version__}")
    parser.add_argument(
        "command", metavar="COMMAND", choices=[*COMMANDS, *ALIASES], help="what to do"
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    return parser
