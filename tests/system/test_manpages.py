"""The committed manual pages are those of the parsers, and they are well formed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from madrpc.cli.parsers import ALIASES, COMMANDS
from tests.servers import ROOT, environment

PAGES = sorted((ROOT / "man").glob("*.1"))


def require(program: str) -> None:
    """Skip where an optional program is missing; in CI that is a failure."""
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed, and CI runs every test")
        pytest.skip(f"{program} is not installed")


def test_every_command_has_a_page() -> None:
    names = {"madrpc", *(f"madrpc-{name}" for name in (*COMMANDS, *ALIASES))}
    assert {page.stem for page in PAGES} == names


def test_the_pages_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "tools" / "make_manpages.py", tmp_path],
        env=environment(MADRPC_BIND="127.0.0.1:1", COLUMNS="200"),
        check=True,
    )
    for fresh in sorted((tmp_path / "man").iterdir()):
        committed = ROOT / "man" / fresh.name
        assert committed.read_text() == fresh.read_text(), f"{fresh.name} is stale: run make man"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_are_well_formed(page: Path) -> None:
    require("mandoc")
    if page.read_text().startswith(".so "):
        return
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True
    )
    assert done.stdout + done.stderr == ""
