"""What the parsers of several commands have in common."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from madrpc.cli.options import add_option, address, positive_float

__all__ = [
    "ARGS_HELP",
    "Parser",
    "add_address",
    "add_balance",
    "add_engine",
    "add_limits",
    "did_you_mean",
    "new_parser",
]

ARGS_HELP = (
    "arguments of the function: one JSON object, or key=value pairs whose values are JSON "
    "or else text, or @FILE with a JSON object, or - for JSON on standard input"
)


class Parser(argparse.ArgumentParser):
    """A parser that says what a wrong word may have been meant to be, in one line."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # Looked for first: the value of a mistyped option would be taken for something else.
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        self._refuse_unknown(word for word in options if word.startswith("--"))
        found, unknown = super().parse_known_args(words, namespace)
        self._refuse_unknown(word for word in unknown if word.startswith("-"))
        return found, unknown

    def _refuse_unknown(self, flags: Iterable[str]) -> None:
        known = list(self._option_string_actions)
        for flag in flags:
            word = flag.partition("=")[0]
            if word not in known:
                self.error(f"no option is called {word!r}{did_you_mean(word, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            raise argparse.ArgumentError(
                action, f"{value!r} is none of {', '.join(known)}{did_you_mean(value, known)}"
            )

    def error(self, message: str) -> NoReturn:
        _, missing, names = message.partition("arguments are required: ")
        if missing:
            # Those that may be left out are named too, at the end.
            message = f"{names.removesuffix(', ARGS')} missing"
        self.exit(2, f"madrpc: {message}\n'{self.prog} --help' tells what there is\n")


def did_you_mean(word: str, known: list[str]) -> str:
    """The end of a sentence about a wrong word; empty if nothing is like it."""
    similar = difflib.get_close_matches(word[:40], known, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else ""


def new_parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser with what every command understands."""
    parser = Parser(
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
