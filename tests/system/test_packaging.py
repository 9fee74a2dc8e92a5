"""What pip installs is complete and works."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from pathlib import Path

import pytest

from madrpc import __version__
from madrpc.cli.parsers import COMMANDS
from tests.servers import ROOT, environment, give_up
from tests.system.test_manpages import require

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info", "__pycache__"
)
#: Seconds that are even, as zip files have them.
INSTANT = 1_790_000_000
#: Where shells look, and which of the completion files each takes.
COMPLETIONS = {
    "share/bash-completion/completions": "*.bash",
    "share/zsh/site-functions": "_*",
    "share/fish/vendor_completions.d": "*.fish",
}
PROGRAMS = [
    ("madrpc", "usage: madrpc [-h]"),
    ("madrpc-node", "usage: madrpc node [-h]"),
    ("madrpc-orch", "usage: madrpc orchestrator [-h]"),
]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it.

    They are built in a copy, so that the checkout stays as it is.
    """
    folder = tmp_path_factory.mktemp("distributions")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    builder = folder / "source" / "tools" / "make_dist.py"
    _run(sys.executable, builder, folder, SOURCE_DATE_EPOCH=str(INSTANT))
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (built,) = distributions.glob("*.whl")
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
    pip = (sys.executable, "-m", "pip", "--python", python)
    _run(*pip, "install", "-q", "--no-deps", "--no-index", wheel)
    return folder / "bin"


def test_the_source_distribution_is_the_whole_checkout(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    folders = ("bin", "deploy", "docs", "js_examples", "madrpc", "man", "tests", "tools")
    source = distributions / "source"
    for folder in folders:
        files = {
            path.relative_to(source).as_posix()
            for path in (source / folder).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert files, folder
        assert files <= names
    assert {"Makefile", "README.md", "LICENSE", "CHANGELOG.md", ".ci/run"} <= names


def test_the_wheel_holds_the_package_its_types_and_its_pages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f"madrpc-{__version__}.data"
    pages = {f"{data}/data/share/man/man1/{page.name}" for page in (ROOT / "man").glob("*.1")}
    assert pages
    assert pages <= names
    assert {
        "madrpc/py.typed",
        *(f"madrpc/{path.name}" for path in (ROOT / "madrpc").glob("*.d.ts")),
        f"{data}/scripts/madrpc-node",
        f"{data}/scripts/madrpc-orch",
    } <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"madrpc"}


def test_the_wheel_holds_the_examples_and_the_completions(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f"madrpc-{__version__}.data/data"
    examples = [path for path in (ROOT / "js_examples").iterdir() if path.is_file()]
    assert {f"{data}/share/madrpc/examples/{path.name}" for path in examples} <= names
    made = ROOT / "madrpc" / "cli" / "completions"
    for folder, pattern in COMPLETIONS.items():
        files = {f"{data}/{folder}/{path.name}" for path in made.glob(pattern)}
        assert bool(files) == ("completion" in COMMANDS)
        assert files <= names


def test_the_distributions_are_the_same_whoever_builds_them(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    assert int.from_bytes(archive.read_bytes()[4:8], "little") == INSTANT
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(INSTANT, 0, 0, "", "")}
    assert {member.mode for member in members} == {0o644, 0o755}
    (wheel,) = distributions.glob("*.whl")
    infos = zipfile.ZipFile(wheel).infolist()
    when = time.gmtime(INSTANT)[:6]
    assert {info.date_time for info in infos} == {when}


def test_twine_takes_the_distributions(distributions: Path) -> None:
    if importlib.util.find_spec("twine") is None:
        give_up("twine is not installed: pip install 'madrpc[checks]'")
    files = [*distributions.glob("*.tar.gz"), *distributions.glob("*.whl")]
    _run(sys.executable, "-m", "twine", "check", "--strict", *files)


def test_the_installed_example_runs(installed: Path) -> None:
    example = installed.parent / "share/madrpc/examples/monte_carlo_pi.py"
    done = _program(
        installed / "python", example, "--local", 2, "--samples", 20000, cwd=installed.parent
    )
    assert done.returncode == 0, done.stderr
    assert "pi" in done.stdout


def test_the_installed_command_knows_its_version(installed: Path) -> None:
    done = _program(installed / "madrpc", "--version")
    assert done.stdout == f"madrpc {__version__}\n"


@pytest.mark.parametrize(("program", "usage"), PROGRAMS)
def test_the_installed_programs_run(installed: Path, program: str, usage: str) -> None:
    done = _program(installed / program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(usage)


@pytest.mark.parametrize(("program", "usage"), PROGRAMS[1:])
def test_the_programs_work_through_links(
    installed: Path, tmp_path: Path, program: str, usage: str
) -> None:
    (tmp_path / "near").symlink_to(os.path.relpath(installed / program, tmp_path.resolve()))
    (tmp_path / "far").symlink_to("near")
    assert _program(tmp_path / "far", "--help").stdout.startswith(usage)


@pytest.mark.parametrize(("program", "usage"), PROGRAMS[1:])
def test_the_programs_run_a_checkout_that_was_moved(
    tmp_path: Path, program: str, usage: str
) -> None:
    checkout = tmp_path / "with a space"
    for folder in ("bin", "madrpc"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=LEFT_OUT)
    tree = checkout / "madrpc" / "version.py"
    tree.write_text(tree.read_text() + 'print("from the moved checkout")\n')
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    done = _program(checkout / "bin" / program, "--help", cwd=ROOT)
    assert done.stdout.startswith(f"from the moved checkout\n{usage}")


def test_man_finds_the_pages(installed: Path) -> None:
    require("man")
    for page in ("madrpc", "madrpc-node", "madrpc-orch"):
        done = _program("man", "-w", page, PATH=f"{installed}:{os.environ['PATH']}")
        assert Path(done.stdout.strip()).parent == installed.parent / "share/man/man1", page


def test_the_two_programs_differ_in_their_command_only() -> None:
    node, orch = ((ROOT / "bin" / name).read_text() for name in ("madrpc-node", "madrpc-orch"))
    words = {"madrpc node": "madrpc orchestrator", "command=node": "command=orchestrator"}
    for old, new in words.items():
        node = node.replace(old, new)
    assert node == orch


@pytest.mark.parametrize("program", ["madrpc-node", "madrpc-orch"])
def test_a_program_without_its_package_says_what_to_do(tmp_path: Path, program: str) -> None:
    shutil.copy(ROOT / "bin" / program, tmp_path)
    done = _program(tmp_path / program)
    assert done.returncode == 2
    assert "run make in the checkout, or pip install madrpc" in done.stderr


@pytest.mark.parametrize(
    "script",
    [*(ROOT / "bin").iterdir(), *(ROOT / "tools").glob("*.sh")],
    ids=lambda path: path.name,
)
def test_the_shell_scripts_parse(script: Path) -> None:
    _run("sh", "-n", script)


def test_shellcheck_finds_nothing_in_the_shell_scripts() -> None:
    require("shellcheck")
    scripts = [*(ROOT / "bin").iterdir(), *(ROOT / "tools").glob("*.sh")]
    _run("shellcheck", *scripts, ROOT / "deploy/slurm/madrpc.sbatch", ROOT / ".ci/run")


def _program(
    *words: object, cwd: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run an installed program as a person would: nothing points it at this checkout."""
    env = environment(**extra)
    for name in ("PYTHONPATH", "MANPATH"):
        env.pop(name, None)
    return subprocess.run(
        list(map(str, words)), capture_output=True, text=True, env=env, cwd=cwd, timeout=60
    )


def _run(*words: object, **variables: str) -> None:
    env = {**os.environ, **variables}
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
