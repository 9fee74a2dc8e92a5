"""Commands that need no server: check, run."""

from __future__ import annotations

import argparse
import sys

from madrpc.cli.arguments import parse_arguments
from madrpc.cli.methods import print_methods
from madrpc.cli.remote import print_json
from madrpc.config import EngineLimits
from madrpc.engine.alone import run_alone
from madrpc.engine.choice import load_engine
from madrpc.engine.interface import Call, LogLine, Script
from madrpc.engine.jsdoc import describe
from madrpc.policy.suggest import method_not_found
from madrpc.protocol.json_text import args_to_json, result_from_json

__all__ = ["run_check", "run_run"]


def run_check(options: argparse.Namespace) -> int:
    """``madrpc check``"""
    scripts = [Script.read(path) for path in options.scripts]
    engine = load_engine(options.engine, EngineLimits())(scripts)
    found = describe((script.source for script in scripts), engine.methods)
    print_methods({name: description.to_wire() for name, description in found.items()})
    return 0


def run_run(options: argparse.Namespace) -> int:
    """``madrpc run``"""
    limits = EngineLimits(time_s=options.time_limit, memory_bytes=int(options.memory_limit * 2**20))
    engine = load_engine(options.engine, limits)([Script.read(options.script)])
    if options.method not in engine.methods:
        raise method_not_found(options.method, engine.methods)
    args = args_to_json(parse_arguments(options.args))
    result = run_alone(engine, Call(options.method, args, limits.time_s, options.seed), _print_log)
    print_json(result_from_json(result))
    return 0


def _print_log(line: LogLine) -> None:
    print(f"{line.level}: {line.text}", file=sys.stderr)
