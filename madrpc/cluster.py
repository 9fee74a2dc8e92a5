"""An orchestrator and nodes on this machine, as child processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from madrpc.client.client import Client
from madrpc.errors import InternalError, InvalidArguments, MadrpcError, ScriptError

__all__ = ["LocalCluster"]

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 35.0
#: How the command line ends what it says of a wrong option.
_USAGE_HINT = "--help' tells what there is"


class LocalCluster:
    """Runs scripts on this machine until it is closed.

    Args:
        scripts: path of a script, or several.
        nodes: nodes to start.
        pool_size: worker processes of each node; by default all nodes together get two to each
            usable processor.
        bind: address of the orchestrator; port 0 takes a free one.
        balance: how calls are shared out, ``round-robin`` or ``least-busy``.
        engine: what runs the scripts, ``quickjs`` or ``v8``.
        http: address on which the orchestrator answers HTTP too, such as ``127.0.0.1:0``.
        log_level: least important message the servers write to stderr.
        watch: load the scripts anew whenever their files change, and say so on stderr.

    Attributes:
        address: of the orchestrator, for clients.
        nodes: addresses of the nodes.
        url: where the orchestrator answers HTTP, or None.

    Raises:
        ScriptError: a script cannot be loaded.
        InvalidArguments: a server refused an option.
        InternalError: a server did not get ready.
    """

    def __init__(
        self,
        scripts: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        nodes: int = 1,
        pool_size: int | None = None,
        bind: str = "127.0.0.1:0",
        balance: str = "round-robin",
        engine: str = "quickjs",
        http: str | None = None,
        log_level: str = "warning",
        watch: bool = False,
    ) -> None:
        if nodes < 1:
            raise ValueError(f"nodes must be at least 1, not {nodes}")
        paths = [scripts] if isinstance(scripts, (str, os.PathLike)) else scripts
        flags = [os.fspath(path) for path in paths]
        self._servers: list[Server] = []
        self._client: Client | None = None
        size = pool_size or _share(nodes)
        try:
            self._servers += [
                Server(
                    "node",
                    "-s",
                    *flags,
                    "-b",
                    "127.0.0.1:0",
                    "--pool-size",
                    str(size),
                    "--engine",
                    engine,
                    # One node is enough to say that all have loaded a script anew.
                    *_log_flags("info" if watch and number == 0 else log_level),
                    *(["--watch"] if watch else []),
                )
                for number in range(nodes)
            ]
            self.nodes = [server.wait_ready() for server in self._servers]
            targets = [word for address in self.nodes for word in ("-n", address)]
            targets += ["--balance", balance, *(("--http", http) if http else ())]
            orchestrator = Server("orchestrator", "-b", bind, *targets, *_log_flags(log_level))
            self._servers.append(orchestrator)
            self.address = orchestrator.wait_ready()
            self.url = orchestrator.url
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<LocalCluster {self.address}, {len(self.nodes)} nodes>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def client(self, **settings: Any) -> Client:
        """A new client of the cluster; takes the keyword arguments of ``Client``."""
        return Client(self.address, **settings)

    @property
    def servers(self) -> Sequence[Server]:
        """The processes: the nodes, then the orchestrator."""
        return self._servers

    def close(self) -> None:
        """Stop every server, letting accepted calls finish, and wait until all are gone."""
        # The orchestrator first: while it has calls, it needs the nodes.
        for servers in (self._servers[-1:], self._servers[:-1]):
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(_STOP_TIMEOUT_S)


def _log_flags(level: str) -> list[str]:
    """The flags that set a server's log level."""
    return ["--log-level", level]


def _share(nodes: int) -> int:
    from madrpc.node.cpus import default_pool_size

    return max(1, default_pool_size() // nodes)


class Server:
    """One server process. It ends with this process, because it watches the pipe to its stdin.

    Args:
        words: the command and its options.
        token: what its callers have to show; it crosses a pipe, where no other user can read it.
        apart: start it in a session of its own, where Ctrl-C in a terminal does not reach it.
    """

    def __init__(self, *words: str, token: str | None = None, apart: bool = False) -> None:
        self.command = words[0]
        pipe = [] if token is None else [_pipe_with(token)]
        secret = [word for fd in pipe for word in ("--auth-token-file", f"/dev/fd/{fd}")]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "madrpc", *words, *secret, "--watch-stdin"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=pipe,
                start_new_session=apart,
                # Ctrl-C is for this process, which then stops the servers in order; to them it
                # would be a first signal to which the second is added, and calls would be cut off.
                process_group=None if apart else 0,
            )
        finally:
            for fd in pipe:
                os.close(fd)
        self.address = ""
        self.url: str | None = None
        self._errors: list[str] = []
        self._ready = threading.Event()
        for run in (self._read_stdout, self._copy_stderr):
            threading.Thread(target=run, name="madrpc-server-output", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Server {self.command} {self.address} pid {self.process.pid}>"

    def wait_ready(self) -> str:
        """Wait for the line that names the address; return the address.

        Raises:
            ScriptError: the server refused a script.
            InvalidArguments: it refused an option.
            InternalError: it ended or stayed silent.
        """
        give_up = time.monotonic() + _READY_TIMEOUT_S
        while not self._ready.wait(0.02):
            status = self.process.poll()
            if status is not None:
                raise self._failure(status)
            if time.monotonic() > give_up:
                raise InternalError(f"the {self.command} was not ready in {_READY_TIMEOUT_S:g} s")
        return self.address

    def terminate(self) -> None:
        """Ask the process to drain and exit."""
        if self.process.poll() is None:
            self.process.terminate()

    def let_go(self) -> None:
        """Close the pipe that it watches: it drains and exits, even if this process ends first."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def wait(self, timeout_s: float) -> int:
        """Wait for the end, by force after ``timeout_s``; return the exit status."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.let_go()
        return status

    def _failure(self, status: int) -> MadrpcError:
        time.sleep(0.05)
        text = "".join(self._errors).strip()
        _, found, message = text.partition(f"madrpc: {ScriptError.__name__}: ")
        if found:
            return ScriptError(message)
        text = text.removeprefix("madrpc: ")
        if text.endswith(_USAGE_HINT):
            return InvalidArguments(text.rpartition("\n")[0])
        kind = InvalidArguments if status == InvalidArguments.exit_code else InternalError
        return kind(text or f"the {self.command} exited with status {status} before it was ready")

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                _, found, rest = line.partition(" ready on ")
                if found and not self._ready.is_set():
                    words = rest.split()
                    self.address = words[0]
                    self.url = words[-1] if "://" in words[-1] else None
                    self._ready.set()

    def _copy_stderr(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                if self._ready.is_set():
                    sys.stderr.write(line)
                else:
                    self._errors.append(line)


def _pipe_with(text: str) -> int:
    """The end to read of a pipe that holds one line; the line fits into the pipe."""
    end, start = os.pipe()
    with os.fdopen(start, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return end
