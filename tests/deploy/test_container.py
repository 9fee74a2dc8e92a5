"""The Containerfile: no linter finds a fault in it, and its steps work where they are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.commands import DEPLOY, known_variables, parse
from tests.deploy.images import environment_of_image, health_check, sent_to_build, steps
from tests.servers import ROOT, environment
from tests.system.test_manpages import require


def test_the_linter_is_content() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    if not beside.exists():
        require("hadolint")
    program = beside if beside.exists() else "hadolint"
    done = subprocess.run([program, DEPLOY / "Containerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_runs_as_nobody_and_gets_its_signals() -> None:
    last = dict(steps())
    assert last["USER"].split(":")[0].isdecimal()
    assert last["USER"].split(":")[0] != "0"
    assert json.loads(last["ENTRYPOINT"]) == ["madrpc"]
    assert "STOPSIGNAL" not in last


def test_its_commands_and_variables_are_madrpcs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {k: v for k, v in environment_of_image().items() if k.startswith("MADRPC_")}
    assert set(own) <= known_variables()
    server = parse(json.loads(dict(steps())["CMD"]), monkeypatch, own)
    program, *words = health_check()
    assert program == "madrpc"
    probe = parse(words, monkeypatch, own)
    assert probe.address.port == server.bind.port == int(dict(steps())["EXPOSE"])


def test_the_build_gets_every_file_that_it_names() -> None:
    sent = {path.relative_to(ROOT).as_posix() for path in sent_to_build()}
    copied = [
        rest.split()[:-1] for name, rest in steps() if name == "COPY" and "--from" not in rest
    ]
    assert {word for words in copied for word in words if word != "."} <= sent
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "madrpc").rglob("*.py")}
    assert package <= sent
    assert {"README.md", "LICENSE", "bin/madrpc-node", "man/madrpc.1"} <= sent


@pytest.mark.skipif(
    not os.environ.get("MADRPC_REHEARSE_IMAGE"),
    reason="builds the engine and asks the package index: make image",
)
def test_the_steps_of_the_build_work_outside_of_a_container(tmp_path: Path) -> None:
    context, source, root = (tmp_path / name for name in ("context", "source", "root"))
    for path in sent_to_build():
        place = context / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    source.mkdir()
    for name, rest in steps():
        words = rest.split()
        if name == "COPY" and not rest.startswith("--from"):
            for word in words[:-1]:
                _copy(context / word, source / words[-1], to_folder=words[-1].endswith("/"))
        elif name == "RUN" and "apt-get" not in rest:
            line = rest.replace("/opt/madrpc", str(root)).replace("python -m venv", PYTHON_VENV)
            subprocess.run(["sh", "-euc", line], cwd=source, check=True)
    shutil.rmtree(source)
    env = environment(PATH=f"{root}/bin:/usr/bin:/bin")
    del env["PYTHONPATH"]
    done = subprocess.run(["madrpc", "doctor"], env=env, cwd="/", capture_output=True, text=True)
    assert "built" in done.stdout, done.stdout + done.stderr


PYTHON_VENV = f"{sys.executable} -m venv"


def _copy(source: Path, target: Path, *, to_folder: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    folder = target if to_folder else target.parent
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder if to_folder else target)
