"""Shells complete madrpc's command line, from scripts that are made when madrpc is."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from madrpc.cli.parsers import ALIASES, COMMANDS
from madrpc.cli.shells import COMPLETIONS, FILES
from tests.servers import ROOT, RunningServer, environment, give_up, madrpc, servers_in
from tests.terminal import on_terminal

HOSTILE = "$(touch pwned)"
SCRIPT = f"""
madrpc.register("add", () => 1);
madrpc.register("add_all", () => 1);
madrpc.register("other", () => 1);
madrpc.register("{HOSTILE}", () => 1);
"""
#: Prints what bash would offer for the words in $@, of which the last is being typed.
IN_BASH = r"""
source "$0"
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_madrpc_complete 2>/dev/null
((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
complete -p madrpc
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("live")) as servers:
        yield servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which ``madrpc`` is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "madrpc"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m madrpc "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        give_up(f"{name} is not installed")
    return found


def in_bash(path: str, *words: str, **extra: str) -> list[str]:
    # Bash breaks words at these; an option's value and a port are words of their own then.
    broken = [part for word in words for part in word.replace(":", " : ").split(" ")]
    ran = subprocess.run(
        [shell("bash"), "--norc", "-c", IN_BASH, str(COMPLETIONS / FILES["bash"]), *broken],
        capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
        env=environment(PATH=path, **extra),
    )  # fmt: skip
    *offered, registered = ran.stdout.splitlines()
    assert registered == "complete -o bashdefault -F _madrpc_complete madrpc"
    assert ran.stderr == ""
    return offered


def test_the_scripts_are_those_that_the_parsers_give(tmp_path: Path) -> None:
    if importlib.util.find_spec("shtab") is None:
        give_up("shtab is not installed")
    tool = str(ROOT / "tools" / "make_completions.py")
    environ = environment(MADRPC_POOL_SIZE="7", COLUMNS="40")
    subprocess.run([sys.executable, tool, str(tmp_path)], check=True, env=environ, timeout=60)
    for name in FILES.values():
        assert (tmp_path / name).read_text() == (COMPLETIONS / name).read_text(), (
            f"{name} is out of date; run 'make completions'"
        )


@pytest.mark.parametrize("name", FILES)
def test_madrpc_prints_them(name: str) -> None:
    ran = madrpc("completion", name)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (COMPLETIONS / FILES[name]).read_text()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], [*COMMANDS, *ALIASES]),
        (["ca"], ["call"]),
        (["node", "--sandb"], ["--sandbox"]),
        (["node", "--sandbox", ""], ["auto", "off", "require"]),
        (["node", "--sandbox", "=", "re"], ["require"]),
        (["orch", "--bal"], ["--balance"]),
        (["check", "js_examples/monte_carlo_pi.j"], ["js_examples/monte_carlo_pi.js"]),
        (["run", "js_examples/nested"], ["js_examples/nested_calls.js"]),
        (["completion", ""], list(FILES)),
        (["call", ""], ["127.0.0.1:8080"]),
        (["call", "127.0.0.1:80"], ["8080"]),
        (["call", "127.0.0.1:1", "--see"], ["--seed"]),
        (["call", "127.0.0.1:1", ""], []),
    ],
)
def test_bash(path: str, words: list[str], offered: list[str]) -> None:
    assert in_bash(path, "madrpc", *words) == offered


def test_bash_knows_the_target_and_its_functions(path: str, live: RunningServer) -> None:
    assert in_bash(path, "madrpc", "top", "n", MADRPC_TARGET="n1:5") == ["n1:5"]
    assert in_bash(path, "madrpc", "call", live.address, "ad") == ["add", "add_all"]
    # What a shell would run is not offered, and never run.
    assert in_bash(path, "madrpc", "call", "-t", "5", live.address, "") == [
        "add", "add_all", "other",
    ]  # fmt: skip
    assert not (ROOT / "pwned").exists()


def test_fish(path: str, live: RunningServer, tmp_path: Path) -> None:
    lines = ["madrpc ", "madrpc node --sandbox ", f"madrpc call {live.address} ", "madrpc call "]
    asks = "".join(f"complete -C {line!r}; echo .; " for line in lines)
    ran = subprocess.run(
        [shell("fish"), "--no-config", "-c",
         f"source {COMPLETIONS / FILES['fish']}; {asks}"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env=environment(PATH=path, HOME=str(tmp_path), MADRPC_TARGET="n1:5"),
    )  # fmt: skip
    answers = [
        sorted(line.split("\t")[0] for line in part.splitlines())
        for part in ran.stdout.split(".\n")[:-1]
        if "\t" in part
    ]
    assert answers == [
        sorted([*COMMANDS, *ALIASES]),
        ["auto", "off", "require"],
        ["add", "add_all", "other"],
        ["n1:5"],
    ]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("madrpc node --sandbox r", "--sandbox require"),
        ("madrpc orche", "madrpc orchestrator"),
        ("madrpc call {address} ot", "{address} other"),
    ],
)
def test_zsh(path: str, live: RunningServer, tmp_path: Path, typed: str, shown: str) -> None:
    begin = f"fpath=({COMPLETIONS} $fpath); autoload -U compinit; compinit -D -u; print lo''aded\n"
    settings = {"PATH": path, "HOME": str(tmp_path), "PS1": "> "}
    with on_terminal([shell("zsh"), "-f", "-i"], 200, 20, **settings) as terminal:
        terminal.shows("> ")
        terminal.type(begin)
        terminal.shows("loaded")
        terminal.type(typed.format(address=live.address) + "\t")
        terminal.shows(shown.format(address=live.address))
        terminal.type("\x15exit\n")
