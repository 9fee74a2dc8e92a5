"""The committed reference of the Python API is the one that the docstrings make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import madrpc
from tests.servers import ROOT, environment

PAGE = ROOT / "docs" / "api.md"


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    fresh = tmp_path / "api.md"
    subprocess.run(
        [sys.executable, ROOT / "tools" / "make_api.py", fresh], env=environment(), check=True
    )
    assert PAGE.read_text() == fresh.read_text(), "docs/api.md is stale: run make docs"


def test_the_reference_has_every_public_name() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in madrpc.__all__:
        assert f"## {name}\n" in text or f"`{name}`" in text, name
