"""Parsers of the commands that ask a running server."""

from __future__ import annotations

import argparse

from madrpc.cli.options import add_client_options
from madrpc.cli.parser_parts import ARGS_HELP, add_address, new_parser

__all__ = ["call_parser", "info_parser", "methods_parser"]


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
    return parser


def info_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc info``."""
    parser = new_parser("info", "Show what a server is: role, version, state, nodes, functions.")
    add_address(parser)
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    add_client_options(parser)
    return parser


def methods_parser() -> argparse.ArgumentParser:
    """Parser of ``madrpc methods``."""
    parser = new_parser("methods", "List the functions that can be called, one a line.")
    add_address(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    add_client_options(parser)
    return parser
