"""``madrpc completion``: what makes a shell complete madrpc's command line."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["COMPLETIONS", "FILES", "run_completion"]

COMPLETIONS = Path(__file__).parent / "completions"
#: By shell, under the name that the shell's own folder of completions wants.
FILES = {"bash": "madrpc.bash", "zsh": "_madrpc", "fish": "madrpc.fish"}


def run_completion(options: argparse.Namespace) -> int:
    """``madrpc completion``"""
    print((COMPLETIONS / FILES[options.shell]).read_text(encoding="utf-8"), end="")
    return 0
