"""Where worker processes come from: spawned one by one, or forked from a loaded zygote.

Either way a process is started with one end of a socketpair, can be killed, and its end is told
once. Nothing else in the node waits for child processes.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import socket

from madrpc.links.stream import Stream
from madrpc.node.claims import Claimant, Claims
from madrpc.node.descriptors import as_plain, send_with_fd
from madrpc.node.dialect import EXITED_METHOD, FORK_METHOD, KILL_METHOD
from madrpc.node.worker import WorkerBoot, worker_main
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import (
    Request,
    Response,
    parse_message,
    request_head,
    request_tail,
    unpack_request_tail,
    unpack_response_tail,
)

__all__ = ["ForkedProcesses", "ProcessSource", "SpawnedProcesses", "WorkerProcess"]

log = logging.getLogger(__name__)

# spawn, said aloud: fork would copy the hub, its watchers and every socket into the worker, and
# under forkserver a worker that hangs outlives its node.
_spawn = multiprocessing.get_context("spawn")

#: Called once with the exit status, negative for a signal.
Exited = Callable[[int], None]
_CONTROL_FRAME = 65_536
_STALL_S = 60.0
#: How often a process is looked at where the system does not tell of its end.
_END_POLL_S = 0.02


class WorkerProcess(Protocol):
    """One process."""

    @property
    def pid(self) -> int | None:
        """Its id, once known."""

    @property
    def claims(self) -> Claims | None:
        """Where its jobs are claimed, if it may get some ahead of time; closed when it ends."""

    def kill(self) -> None:
        """SIGKILL; of no effect once it has ended."""


class ProcessSource(Protocol):
    """Starts worker processes."""

    def start(self, sock: socket.socket, boot: WorkerBoot, exited: Exited) -> WorkerProcess:
        """Start a process that serves ``sock``, which is taken over.

        Raises:
            OSError: the system would not start one.
        """

    def stop(self) -> None:
        """Start no more; what runs goes on until it is killed."""


class SpawnedProcesses:
    """Processes that start from nothing: a new interpreter that loads the scripts."""

    def start(self, sock: socket.socket, boot: WorkerBoot, exited: Exited) -> WorkerProcess:
        """Start a process."""
        child_sock = as_plain(sock)
        try:
            return _Spawned(child_sock, boot, exited)
        finally:
            child_sock.close()

    def stop(self) -> None:
        """Nothing to stop."""


class _Spawned:
    def __init__(self, sock: Any, boot: WorkerBoot, exited: Exited) -> None:
        self.claims = Claims()
        try:
            self._process = _spawn.Process(
                target=worker_main,
                args=(sock, boot, Claimant(self.claims.read_fd)),
                name="madrpc-worker",
                daemon=True,
            )
            self._process.start()
        except OSError:
            self.claims.close()
            raise
        self.pid = self._process.pid
        self._exited = exited
        self._ended = False
        gevent.spawn(self._reap)

    def kill(self) -> None:
        if not self._ended:
            self._process.kill()

    def _reap(self) -> None:
        _wait_for_end(self._process)
        status = self._process.exitcode
        self._ended = True
        self._process.close()
        self.claims.close()
        self._exited(status if status is not None else 1)


def _wait_for_end(process: Any) -> None:
    """Return when the process has ended; only the kernel's word counts.

    The sentinel of multiprocessing is a descriptor inside the process, which may close it and live
    on, and waiting for its end would then stop the node.
    """
    try:
        pidfd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, or older than 5.3
        pidfd = None
    try:
        while process.is_alive():
            if pidfd is None:
                gevent.sleep(_END_POLL_S)
            else:
                socket.wait_read(pidfd)
    finally:
        if pidfd is not None:
            os.close(pidfd)


class ForkedProcesses:
    """Processes forked from a zygote that has the scripts loaded.

    Args:
        control: the node's end of the zygote's control socket, which is taken over.
        lost: called once when the zygote is gone; its children are then gone too.
    """

    def __init__(self, control: socket.socket, lost: Callable[[], None]) -> None:
        self._sock = control
        self._lost = lost
        self._decoder = FrameDecoder(_CONTROL_FRAME)
        self._children: dict[int, _Forked] = {}
        self._next_n = 1
        self._stream = Stream(control, self._on_data, self._on_eof, self._on_closed, _STALL_S)

    def start(self, sock: socket.socket, boot: WorkerBoot, exited: Exited) -> WorkerProcess:
        """Order a fork; the process answers on the other end of ``sock`` when it is there."""
        n = self._next_n
        self._next_n += 1
        tail = request_tail(FORK_METHOD, None)
        try:
            # Orders are tiny and the zygote is quick, so a full socket means that it is stopped.
            send_with_fd(self._sock, request_head(n, 0, len(tail)) + tail, sock.fileno())
        finally:
            sock.close()
        child = self._children[n] = _Forked(self, n, exited)
        return child

    def stop(self) -> None:
        """End the zygote, and with it its children."""
        self._stream.close("stopped")

    def kill(self, n: int) -> None:
        """Have the zygote kill a child."""
        tail = request_tail(KILL_METHOD, {"n": n})
        self._stream.write(request_head(0, 0, len(tail)), tail)

    def _on_data(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            message = parse_message(frame)
            if isinstance(message, Response):
                self._forked(message)
            elif isinstance(message, Request) and message.method == EXITED_METHOD:
                _, args, _ = unpack_request_tail(message.tail)
                child = self._children.pop(args["n"], None)
                if child is not None:
                    child.exited(args["status"])

    def _forked(self, response: Response) -> None:
        error, result = unpack_response_tail(response.tail)
        child = self._children.get(response.id)
        if child is not None and error is None:
            child.pid = result["pid"]
        elif child is not None:
            log.error("the zygote cannot fork: %s", error["message"])
            del self._children[response.id]
            child.exited(1)

    def _on_eof(self) -> None:
        self._stream.close("the zygote ended")

    def _on_closed(self, reason: str) -> None:
        children, self._children = list(self._children.values()), {}
        self._lost()
        for child in children:
            child.exited(-signal.SIGKILL)


class _Forked:
    claims = None

    def __init__(self, source: ForkedProcesses, n: int, exited: Exited) -> None:
        self._source = source
        self._n = n
        self.exited = exited
        self.pid: int | None = None

    def kill(self) -> None:
        self._source.kill(self._n)
