"""Write the manual pages that setup.cfg lists, from the real parsers.

Usage: make_manpages.py [FOLDER]; the pages go to FOLDER/man, by default of this checkout.
"""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: The date that the pages show: the day their text was last looked over.
DATE = "2026-11-23"

# The same pages on every machine: nobody's variables, nobody's terminal.
for name in [name for name in os.environ if name.startswith("MADRPC_")]:
    del os.environ[name]
os.environ["COLUMNS"] = "80"
sys.path.insert(0, str(ROOT))

from argparse_manpage.manpage import Manpage  # noqa: E402
from argparse_manpage.tooling import get_parser  # noqa: E402
from build_manpages.build_manpages import parse_manpages_spec  # noqa: E402

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
        super().__init__(parser, _data={**settings, "version": __version__})
        self.date = DATE


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for name, settings in parse_manpages_spec(config["build_manpages"]["manpages"]).items():
        page = target / name
        page.parent.mkdir(parents=True, exist_ok=True)
        text = str(_Page({**settings, "authors": ["The madrpc authors"]}))
        # Hyphens are escaped everywhere; in the date that keeps mandoc from reading it.
        page.write_text(text.replace(DATE.replace("-", "\\-"), DATE))


if __name__ == "__main__":
    main()
