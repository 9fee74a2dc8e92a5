"""Parsers of the commands that need no server."""

from __future__ import annotations

import argparse

from madrpc.cli.options import positive_int
from madrpc.cli.parser_parts import ARGS_HELP, add_engine, add_limits, new_parser

__all__ = [
    "check_parser",
    "completion_parser",
    "doctor_parser",
    "init_parser",
    "run_parser",
    "tls_parser",
    "types_parser",
]


def check_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc check``."""
    parser = new_parser(
        "check",
        "Load a script and list the functions it registers, as 'madrpc methods' does; no server.",
    )
    parser.add_argument(
        "scripts",
        nargs="+",
        metavar="SCRIPT",
        help="JavaScript file to load; libraries go before the scripts that use them",
    )
    add_engine(parser)
    return parser


def run_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc run``."""
    parser = new_parser(
        "run",
        "Run one function of a script here and print its result as JSON; no server.",
        "Example: madrpc run script.js add a=5 b=3",
    )
    parser.add_argument("script", metavar="SCRIPT", help="JavaScript file to load")
    parser.add_argument("method", metavar="METHOD", help="name of the function")
    parser.add_argument("args", nargs="*", metavar="ARGS", help=ARGS_HELP)
    add_limits(parser, "seconds the function may run")
    add_engine(parser)
    parser.add_argument("--seed", metavar="SEED", help="make Math.random reproducible")
    return parser


def tls_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc tls``."""
    parser = new_parser(
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


def doctor_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc doctor``."""
    parser = new_parser(
        "doctor",
        "Say whether this machine is fit to run madrpc: processors, the engine's build and speed, "
        "limits, sandbox, optional packages. Takes about two seconds.",
        "The exit status is 2 if anything is wrong, and 0 for mere warnings.",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def completion_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc completion``."""
    parser = new_parser(
        "completion",
        "Print the script that makes a shell complete commands, options, files and, from a server "
        "that runs, names of functions.",
        "For bash: source <(madrpc completion bash), in ~/.bashrc. For zsh: madrpc completion zsh "
        '> "${fpath[1]}/_madrpc". For fish: madrpc completion fish > '
        "~/.config/fish/completions/madrpc.fish",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    return parser


def init_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc init``."""
    parser = new_parser(
        "init",
        "Make a folder to begin in: a script (hello.js), and what editors need to know the "
        "functions of madrpc and to check the script (jsconfig.json, madrpc.d.ts). Files that are "
        "there already stay as they are.",
    )
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="DIR", help="the folder (default: this one)"
    )
    return parser


def types_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc types``."""
    return new_parser(
        "types",
        "Print madrpc.d.ts, which tells editors and TypeScript what scripts find besides the "
        "language.",
        "Example: madrpc types > madrpc.d.ts",
    )
