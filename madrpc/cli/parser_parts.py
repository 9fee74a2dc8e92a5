"""What the parsers of several commands have in common."""

from __future__ import annotations

import argparse

from madrpc.cli.options import add_option, address, positive_float

__all__ = ["ARGS_HELP", "add_address", "add_balance", "add_engine", "add_limits", "new_parser"]

ARGS_HELP = (
    "arguments of the function: one JSON object, or key=value pairs whose values are JSON "
    "or else text, or @FILE with a JSON object, or - for JSON on standard input"
)


def new_parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser with what every command understands."""
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


def add_address(parser: argparse.ArgumentParser) -> None:
    """The server to ask, as the first argument."""
    parser.add_argument(
        "address", type=address, metavar="ADDR", help="HOST:PORT of an orchestrator or a node"
    )


def add_balance(parser: argparse.ArgumentParser) -> None:
    """How calls are shared out."""
    add_option(
        parser,
        "--balance",
        choices=("round-robin", "least-busy"),
        default="round-robin",
        help="how calls are shared out: to the nodes in turn, or to the one with the fewest calls "
        "for each of its workers",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """What runs the scripts."""
    add_option(
        parser,
        "--engine",
        choices=("quickjs", "v8"),
        default="quickjs",
        help="what runs the scripts: quickjs is quick to begin a call, v8 compiles, so that long "
        "loops run many times faster; v8 needs pip install 'madrpc[v8]'",
    )


def add_limits(parser: argparse.ArgumentParser, time_help: str) -> None:
    """Limits of one call."""
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
