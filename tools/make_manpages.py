"""Write the manual pages that setup.cfg lists, from the real parsers.

Usage: make_manpages.py [FOLDER]; the pages go to FOLDER/man, by default of this checkout.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: The date that the pages show: the day their text was last looked over.
DATE = "2026-11-23"

# The same pages on every machine: nobody's variables, nobody's terminal. The width keeps each
# help text on one line; argparse would break it at hyphens too, and roff would put a space there.
for name in [name for name in os.environ if name.startswith("MADRPC_")]:
    del os.environ[name]
os.environ["COLUMNS"] = "10000"
sys.path.insert(0, str(ROOT))

from argparse_manpage.manpage import Manpage  # noqa: E402
from argparse_manpage.tooling import get_parser  # noqa: E402
from build_manpages.build_manpages import parse_manpages_spec  # noqa: E402

from madrpc.cli.parsers import ALIASES  # noqa: E402
from madrpc.version import __version__  # noqa: E402


class _Page(Manpage):  # type: ignore[misc]
    def __init__(self, settings: dict[str, Any]) -> None:
        parser = get_parser(
            settings["import_type"],
            settings["import_from"],
            settings["objname"],
            settings["objtype"],
            settings["prog"],
        )
        _polish(parser)
        super().__init__(parser, _data={**settings, "version": __version__})
        self.date = DATE

    def __str__(self) -> str:
        header, rest = str(super().__str__()).split("\n", 1)
        # mandoc knows a date by its plain hyphens. No hyphenation: names of variables are copied.
        header = header.replace(DATE.replace("-", r"\-"), DATE)
        return f"{header}\n.nh\n.ad l\n{rest}"


def _polish(parser: argparse.ArgumentParser) -> None:
    """What argparse-manpage would leave plain, or call by a name that says little."""
    sections = parser._manpage  # type: ignore[attr-defined]
    for section in sections:
        section["content"] = _escape(section["content"])
    parser._positionals.title = "arguments"
    if parser.epilog:
        kind, colon, example = parser.epilog.partition("Example: ")
        epilog = f".nf\n{example}\n.fi" if colon and not kind else parser.epilog
        heading = "examples" if colon and not kind else "notes"
        sections.insert(0, {"heading": heading, "content": _escape(epilog)})
        parser.epilog = None
    sections.append({"heading": "synopsis", "content": _synopsis(parser)})


def _synopsis(parser: argparse.ArgumentParser) -> str:
    """The usage with programs and flags in bold, and what stands for a value in italics."""
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ").replace("[-h] ", "")
    program = re.match(r"[a-z ]*[a-z]", usage)
    assert program is not None
    rest = usage[program.end() :]
    rest = re.sub(r"(?<![\w-])(--?[a-z][a-z-]*)", r"\\fB\1\\fR", rest)
    rest = re.sub(r"\b([A-Z]+(?::[A-Z]+)?)\b", r"\\fI\1\\fR", rest)
    # A flag and its value stay on one line.
    rest = re.sub(r"(?<=\\fR) (?=\\fI|{)", r"\\ ", rest.strip())
    return f".B {program.group()}\n{_escape(rest)}"


def _escape(text: str) -> str:
    """Keep hyphens as typed; some roffs print others, which nobody can paste into a shell."""
    return re.sub(r"(?<!\\)-", r"\\-", text)


def main() -> None:
    target = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT) / "man"
    target.mkdir(parents=True, exist_ok=True)
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for name, settings in parse_manpages_spec(config["build_manpages"]["manpages"]).items():
        page = _Page({**settings, "authors": [config["metadata"]["author"]]})
        (target / Path(name).name).write_text(str(page))
    for alias, command in ALIASES.items():
        (target / f"madrpc-{alias}.1").write_text(f".so man1/madrpc-{command}.1\n")


if __name__ == "__main__":
    main()
