"""The committed manual pages are those of the parsers, and they are well formed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from madrpc.cli.parsers import ALIASES, COMMANDS
from madrpc.errors import ERRORS
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
    if page.stem.removeprefix("madrpc-") in ALIASES:
        # mandoc would follow the link from the folder above the installed pages only.
        target = page.read_text().removeprefix(".so man1/").strip()
        assert ROOT / "man" / target in PAGES
        return
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True
    )
    assert done.stdout + done.stderr == ""


def test_man_shows_every_page_without_a_warning(tmp_path: Path) -> None:
    require("man")
    shutil.copytree(ROOT / "man", tmp_path / "man1")
    for page in PAGES:
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", f"man1/{page.name}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(MANWIDTH="80", LC_ALL="C.UTF-8"),
        )
        assert (done.returncode, done.stderr) == (0, ""), page.name
        assert "EXIT STATUS" in done.stdout, page.name


def test_the_manual_explains_every_exit_status_of_an_error() -> None:
    manual = (ROOT / "man" / "madrpc.1").read_text()
    for kind in ERRORS.values():
        assert f"\n\\fB{kind.exit_code}\\fR\n" in manual, kind.__name__
