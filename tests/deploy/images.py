"""The Containerfile, read as far as tests need it."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path

from tests.deploy.commands import text
from tests.servers import ROOT

__all__ = ["environment_of_image", "health_check", "sent_to_build", "steps"]


def steps() -> list[tuple[str, str]]:
    """Each instruction and its words, comments and line ends taken out."""
    lines = [line for line in text("Containerfile").splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = (line.partition(" ") for line in whole.splitlines() if line)
    return [(name, rest.strip()) for name, _, rest in pairs]


def environment_of_image() -> dict[str, str]:
    """What ENV sets."""
    pairs = (
        word.partition("=") for name, rest in steps() if name == "ENV" for word in rest.split()
    )
    return {name: value for name, _, value in pairs}


def health_check() -> list[str]:
    """The command of HEALTHCHECK."""
    (line,) = (rest for name, rest in steps() if name == "HEALTHCHECK")
    words: list[str] = json.loads(line.partition("CMD ")[2])
    return words


def sent_to_build() -> list[Path]:
    """Files that the ignore file lets through, as far as its patterns go."""
    lines = text("Containerfile.dockerignore").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    tops = [ROOT / line[1:] for line in patterns if line.startswith("!")]
    files = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*"))]
    return [
        path
        for path in files
        if path.is_file() and not fnmatch.fnmatch(str(path), "*/__pycache__/*")
    ]
