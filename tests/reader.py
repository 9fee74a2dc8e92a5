"""Does what a page of documentation says: a shell, files, programs and servers in one folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.docs import Block, Step, matches
from tests.servers import ROOT, environment, poll_until, runs

COMMAND_TIMEOUT_S = 120.0
#: What a reader has in the folder where the commands of a page are typed.
CHECKOUT = (
    "Makefile", "benchmarks", "bin", "docs", "js_examples", "madrpc", "pyproject.toml",
    "setup.cfg", "tools",
)  # fmt: skip
_SERVER = re.compile(r"(?:bin/)?madrpc[ -](?:up|node|orch|orchestrator)\b(?!.*--help)")
_BIND = re.compile(r" (?:-b|--bind)[ =]")
#: Where the page expects a server that is told nothing else.
_DEFAULT_BIND = "127.0.0.1:8080"
_PORT = re.compile(r"(127\.0\.0\.1|0\.0\.0\.0|localhost):(\d{4,5})")
#: What the shell writes after each command, with its exit status.
_END = re.compile(rb"\x1e(\d+)\x1e\n")


class Reader:
    """Runs the blocks of one page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []
        self._ports: dict[str, str] = {}
        self._printed = ""
        self._started = 0
        self._servers: list[tuple[int, Path]] = []
        for name in CHECKOUT:
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        programs = _programs(folder / ".venv")
        env = environment(
            PATH=f"{programs}:{os.environ['PATH']}",
            PYTHONUNBUFFERED="1",
            MADRPC_POOL_SIZE="2",  # as many as show what a page shows
            npm_config_prefer_offline="true",
        )
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=folder, env=env, start_new_session=True,
        )  # fmt: skip
        # With job control, what runs in the background heeds Ctrl-C as in a terminal of its own.
        self._type("set -m")

    def do(self, block: Block) -> None:
        """Do what one block says."""
        need = block.notes.get("needs")
        if "not run" in block.notes:
            return
        while "stopped" in block.notes and self._servers:
            self._interrupt()
        if need is not None and not _has(need):
            self.left_out.append(f"line {block.line} needs {need}")
        elif "server shows" in block.notes:
            self._check_server(block)
        elif block.file is not None:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._with_ports(block.text), encoding="utf-8")
        elif block.language == "python":
            program = self.folder / f"line_{block.line}.py"
            program.write_text(self._with_ports(block.text), encoding="utf-8")
            self._printed = self._run(f"python {program.name}", 0)
        elif block.language == "text":
            self._compare(block, block.text, self._printed)
        else:
            self._do_steps(block)

    def close(self) -> None:
        """End the shell and everything it started."""
        shell = psutil.Process(self._shell.pid)
        family = [shell, *shell.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._shell.communicate()
        psutil.wait_procs(family, 10)

    # ------------------------------------------------------------ commands

    def _do_steps(self, block: Block) -> None:
        steps = list(block.steps)
        for step in steps:
            if step.command == "^C":
                self._interrupt()
            elif _SERVER.search(step.command):
                self._serve(block, step)
            else:
                status = int(block.notes.get("exits", "0")) if step is steps[-1] else 0
                printed = self._run(step.command, status)
                if step.shown.strip():
                    self._compare(block, step.shown, printed)

    def _run(self, command: str, status: int) -> str:
        """Type a command and return what it prints."""
        printed, ended = self._type(self._with_ports(command))
        if ended != status and command.startswith("npm "):
            self.left_out.append(f"{command}: {printed[-300:]}")
        else:
            assert ended == status, f"{command}\nended with {ended}, not {status}:\n{printed}"
        return printed

    def _serve(self, block: Block, step: Step) -> None:
        """Start a server and wait until it says that it is ready."""
        self._started += 1
        log = self.folder / f"server-{self._started}.log"
        log.touch()
        command = step.command.rstrip("& ")
        if not _BIND.search(command):
            command += f" -b {_DEFAULT_BIND}"
        command = self._with_ports(command)
        signs = (" ready",) + ((" registered with",) if " --orchestrator" in command else ())
        printed, _ = self._type(f"{command} >{shlex.quote(str(log))} 2>&1 &\necho $!")
        pid = int(printed.split()[-1])
        self._servers.append((pid, log))

        def ready() -> bool:
            text = log.read_text()
            return not runs(server) or all(sign in text for sign in signs)

        server = psutil.Process(pid)
        poll_until(ready, step.command, 60)
        if step.shown.strip():
            self._check_server(block, step.shown)
        assert runs(server), f"{step.command}\n{log.read_text()}"

    def _check_server(self, block: Block, shown: str = "") -> None:
        """Wait until the last server has written what the page shows."""
        _, log = self._servers[-1]
        wanted = f"...\n{shown or block.text}\n..."
        vary = "numbers vary" in block.notes
        give_up = time.monotonic() + 20
        while not matches(wanted, self._with_names(log.read_text()), numbers_vary=vary):
            if time.monotonic() > give_up:
                self._compare(block, wanted, self._with_names(log.read_text()))
            time.sleep(0.02)

    def _interrupt(self) -> None:
        """Press Ctrl-C where the last server runs, and wait for its end."""
        pid, _ = self._servers.pop()
        os.kill(pid, signal.SIGINT)
        _, status = self._type(f"wait {pid}")
        assert status in (0, 130), f"a server ended with {status} after Ctrl-C"

    def _type(self, text: str) -> tuple[str, int]:
        """Let the shell run a text; return what is printed, and the exit status."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        say_end = r"printf '\036%d\036\n' $?"
        self._shell.stdin.write(f"{{ {text}\n}} </dev/null\n{say_end}\n".encode())
        self._shell.stdin.flush()
        printed = b""
        give_up = time.monotonic() + COMMAND_TIMEOUT_S
        while (end_mark := _END.search(printed)) is None:
            ready, _, _ = select.select([self._shell.stdout], [], [], 1)
            assert time.monotonic() < give_up, f"{text}\nruns for too long:\n{printed.decode()}"
            if ready:
                piece = os.read(self._shell.stdout.fileno(), 65536)
                assert piece, f"{text}\nended the shell:\n{printed.decode()}"
                printed += piece
        output = printed[: end_mark.start()].decode()
        return self._with_names(output), int(end_mark[1])

    # -------------------------------------------------------------- output

    def _compare(self, block: Block, shown: str, printed: str) -> None:
        if not matches(shown, printed, numbers_vary="numbers vary" in block.notes):
            pytest.fail(f"line {block.line} shows\n{shown}\nand it is\n{printed}", pytrace=False)

    def _with_ports(self, text: str) -> str:
        """The text with ports that are free here instead of those that the page names."""

        def replace(match: re.Match[str]) -> str:
            port = self._ports.setdefault(match[2], "") or _free_port()
            self._ports[match[2]] = port
            return f"{match[1]}:{port}"

        return _PORT.sub(replace, text)

    def _with_names(self, text: str) -> str:
        """The text with the page's ports; others vary from run to run."""
        names = {port: name for name, port in self._ports.items()}
        return _PORT.sub(lambda match: f"{match[1]}:{names.get(match[2], match[2])}", text)


@contextlib.contextmanager
def reader_in(folder: Path) -> Iterator[Reader]:
    """A reader for the length of a block."""
    reader = Reader(folder)
    try:
        yield reader
    finally:
        reader.close()


def _programs(venv: Path) -> Path:
    """The environment that ``make`` makes, with this interpreter and this checkout in it."""
    programs = venv / "bin"
    programs.mkdir(parents=True)
    python = shlex.quote(sys.executable)
    commands = {
        "python": f"exec {python}",
        "madrpc": f"exec {python} -m madrpc",
        "madrpc-node": f"exec {python} -m madrpc node",
        "madrpc-orch": f"exec {python} -m madrpc orchestrator",
    }
    for name, words in commands.items():
        (programs / name).write_text(f'#!/bin/sh\n{words} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "activate").write_text("")
    (venv / "installed").touch()
    return programs


def _has(need: str) -> bool:
    return shutil.which(need) is not None or importlib.util.find_spec(need) is not None


def _free_port() -> str:
    """A port that no system hands out by itself, so that it stays free until a server takes it."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
