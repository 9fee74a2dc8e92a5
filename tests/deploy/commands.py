"""Command lines of madrpc that are written down in deploy/, and what the real parsers say."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from madrpc.cli.parsers import ALIASES, COMMANDS, build_parser
from tests.servers import ROOT

__all__ = ["DEPLOY", "known_variables", "parse"]

DEPLOY = ROOT / "deploy"


def parse(
    words: Sequence[str], monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str] = {}
) -> argparse.Namespace:
    """What a command line means, with these variables beside it; a mistake fails the test.

    Args:
        words: what follows ``madrpc``.
    """
    unknown = set(variables) - known_variables()
    assert not unknown, f"no flag reads {unknown}"
    name = ALIASES.get(words[0], words[0])
    with monkeypatch.context() as patch:
        for variable in known_variables():
            patch.delenv(variable, raising=False)
        for variable, value in variables.items():
            patch.setenv(variable, value)
        try:
            return COMMANDS[name][0]().parse_args(list(words[1:]))
        except SystemExit:
            pytest.fail(f"no such command line: madrpc {' '.join(words)}")


def known_variables() -> set[str]:
    """Every variable that some flag reads."""
    parsers = [build_parser(), *(make() for make, _ in COMMANDS.values())]
    flags = {
        flag
        for parser in parsers
        for action in parser._actions
        if action.help and "environment: MADRPC_" in action.help
        for flag in [max(action.option_strings, key=len)]
    }
    return {"MADRPC_" + flag.lstrip("-").upper().replace("-", "_") for flag in flags}


def text(path: Path | str) -> str:
    """A file of deploy/."""
    return (DEPLOY / path).read_text(encoding="utf-8")
