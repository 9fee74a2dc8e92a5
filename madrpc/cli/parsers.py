"""Every command and its parser; the man pages and completions are made from these."""

from __future__ import annotations

import argparse

from madrpc.cli.client_parsers import (
    bench_parser,
    call_parser,
    deploy_parser,
    health_parser,
    info_parser,
    map_parser,
    methods_parser,
    top_parser,
)
from madrpc.cli.local_parsers import (
    check_parser,
    completion_parser,
    doctor_parser,
    init_parser,
    run_parser,
    tls_parser,
    types_parser,
)
from madrpc.cli.parser_parts import Parser
from madrpc.cli.server_parsers import node_parser, orchestrator_parser, up_parser
from madrpc.version import __version__

__all__ = ["ALIASES", "COMMANDS", "build_parser"]

#: Every command: its parser, and one line about it.
COMMANDS = {
    "node": (node_parser, "run a compute node"),
    "orchestrator": (orchestrator_parser, "forward calls to nodes"),
    "up": (up_parser, "run an orchestrator and nodes on this machine"),
    "call": (call_parser, "call one function"),
    "map": (map_parser, "call one function for each line of input"),
    "top": (top_parser, "watch a server and its nodes as they work"),
    "bench": (bench_parser, "put load on a function and measure"),
    "check": (check_parser, "load a script and list its functions"),
    "run": (run_parser, "run one function of a script, with no server"),
    "info": (info_parser, "show what a server is"),
    "health": (health_parser, "say whether a server takes calls"),
    "methods": (methods_parser, "list the functions of a server"),
    "deploy": (deploy_parser, "send scripts to the nodes of a running cluster"),
    "doctor": (doctor_parser, "say whether this machine is fit"),
    "tls": (tls_parser, "make certificates for a cluster"),
    "init": (init_parser, "make a folder to begin in"),
    "types": (types_parser, "print what editors need to know of the script API"),
    "completion": (completion_parser, "print a shell's completion script"),
}
ALIASES = {"orch": "orchestrator"}


def build_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc`` itself: it knows the commands' names, and each command the rest."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    parser = Parser(
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
