"""Entry point of the command line: find the command, run it, turn errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from madrpc.cli.parser_parts import did_you_mean
from madrpc.cli.parsers import ALIASES, COMMANDS, build_parser
from madrpc.errors import JavaScriptError, MadrpcError

__all__ = ["run"]

EXIT_INTERRUPTED = 130
EXIT_USAGE = 2
_FLAGS = ["-h", "--help", "--version"]
_NAMES = [*COMMANDS, *ALIASES]
_USAGE_HINT = "'madrpc --help' lists the commands"


def run(argv: Sequence[str]) -> int:
    """Run one command line; return the exit status."""
    _open_what_is_closed()
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a mistake
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has left; nobody wants the rest, and Python's own flush at exit
        # must not complain about it.
        _drop_output()
        return 1
    except OSError as error:
        if not {"-v", "--verbose"}.isdisjoint(argv):
            raise
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        print(f"madrpc: {where}{(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1


def _open_what_is_closed() -> None:
    """Write to nowhere where whoever started this command closed a standard stream."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _drop_output() -> None:
    """Lose what is still to be written: Python would try once more at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str]) -> int:
    if not argv:
        build_parser().print_help(sys.stderr)
        return EXIT_USAGE
    name = ALIASES.get(argv[0], argv[0])
    if name not in COMMANDS:
        if name in _FLAGS:
            build_parser().parse_args(argv[:1])
        kind, known = ("option", _FLAGS) if name.startswith("-") else ("command", _NAMES)
        hint = did_you_mean(name, known)
        print(f"madrpc: no {kind} is called {name!r}{hint}\n{_USAGE_HINT}", file=sys.stderr)
        return EXIT_USAGE
    options = COMMANDS[name][0]().parse_args(argv[1:])
    command = importlib.import_module(f"madrpc.cli.{_MODULES[name]}")
    try:
        status: int = getattr(command, f"run_{name}")(options)
        return status
    except MadrpcError as error:
        if options.verbose and not isinstance(error, JavaScriptError):
            raise
        print(_words(error, verbose=options.verbose), file=sys.stderr)
        return error.exit_code


_MODULES = {
    "node": "serve",
    "orchestrator": "serve",
    "up": "up",
    "call": "remote",
    "map": "mapping",
    "top": "top",
    "bench": "bench",
    "doctor": "doctor",
    "info": "remote",
    "health": "remote",
    "methods": "remote",
    "deploy": "deploy",
    "check": "local",
    "run": "local",
    "tls": "certificates",
    "init": "starter",
    "types": "starter",
    "completion": "shells",
}


def _words(error: MadrpcError, *, verbose: bool) -> str:
    """The error as a person reads it: what it is, and for a throw where it came from."""
    if isinstance(error, JavaScriptError):
        frames = error.stack.splitlines()
        shown = frames if verbose else frames[:1]
        return "\n".join([f"madrpc: {error.message}", *shown])
    return f"madrpc: {error.name}: {error.message}"
