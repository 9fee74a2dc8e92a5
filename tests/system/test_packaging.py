"""What pip installs is complete and works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from madrpc import __version__
from tests.servers import ROOT, environment

LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built in a copy so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    _python(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        folder,
        cwd=folder / "source",
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheel and this interpreter's libraries."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    _python(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        wheel,
    )
    return folder / "bin"


def test_the_wheel_holds_the_package_its_types_and_its_pages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "madrpc/py.typed" in names
    data = f"madrpc-{__version__}.data"
    assert f"{data}/data/share/man/man1/madrpc-node.1" in names
    assert f"{data}/scripts/madrpc-node" in names
    assert not [name for name in names if name.startswith(("tests", "tools", "js_examples"))]


@pytest.mark.parametrize(
    ("program", "usage"),
    [
        ("madrpc", "usage: madrpc [-h]"),
        ("madrpc-node", "usage: madrpc node [-h]"),
        ("madrpc-orch", "usage: madrpc orchestrator [-h]"),
    ],
)
def test_the_installed_programs_run(installed: Path, program: str, usage: str) -> None:
    env = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [installed / program, "--help"], capture_output=True, text=True, env=env, cwd=installed
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(usage)


def test_the_programs_work_through_a_link(installed: Path, tmp_path: Path) -> None:
    link = tmp_path / "somewhere"
    link.symlink_to(installed / "madrpc-node")
    done = subprocess.run([link, "--help"], capture_output=True, text=True, env=environment())
    assert done.stdout.startswith("usage: madrpc node")


def test_man_finds_the_pages(installed: Path) -> None:
    if shutil.which("man") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("man is not installed, and CI runs every test")
        pytest.skip("man is not installed")
    env = environment(PATH=f"{installed}:{os.environ['PATH']}")
    done = subprocess.run(["man", "-w", "madrpc-node"], capture_output=True, text=True, env=env)
    assert done.stdout.strip() == str(installed.parent / "share/man/man1/madrpc-node.1")


def test_a_program_without_its_package_says_what_to_do(tmp_path: Path) -> None:
    for name in ("madrpc-node", "madrpc-orch"):
        lonely = tmp_path / "bin" / name
        lonely.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "bin" / name, lonely)
        done = subprocess.run([lonely], capture_output=True, text=True)
        assert done.returncode == 2
        assert "run make in the checkout, or pip install madrpc" in done.stderr


def _python(*words: object, cwd: Path | None = None) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
