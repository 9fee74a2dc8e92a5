"""``madrpc init`` and ``madrpc types``: a folder to begin in, and what editors want to know."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from madrpc.cli.words import plain

__all__ = ["FILES", "run_init", "run_types"]

EXIT_USAGE = 2
_CLI = Path(__file__).parent
_TYPES = _CLI.parent / "madrpc.d.ts"
#: The files of a new folder.
FILES = (_CLI / "starter" / "hello.js", _CLI / "starter" / "jsconfig.json", _TYPES)


def run_types(options: argparse.Namespace) -> int:
    """``madrpc types``"""
    print(_TYPES.read_text(encoding="utf-8"), end="")
    return 0


def run_init(options: argparse.Namespace) -> int:
    """``madrpc init``"""
    folder = Path(options.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in FILES:
            print(f"{_copied(source, folder / source.name)}  {plain(folder / source.name)}")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(
            f"madrpc: cannot write into {plain(folder)}: {reason}; name another folder",
            file=sys.stderr,
        )
        return EXIT_USAGE
    script = plain(folder / "hello.js")
    print(f"try:  madrpc run {script} hello name=you")
    print(f"then: madrpc up {script} --watch")
    return 0


def _copied(source: Path, target: Path) -> str:
    """Write a file unless there is one; say which of the two."""
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        return "kept   "
    return "created"
