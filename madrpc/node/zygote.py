"""The process that snapshot isolation forks from: scripts loaded once, one child for each call.

::

    node --"fork n" + a socket--> zygote --fork--> child n: serves one call on that socket, exits
    node <--"n has pid p"-------- zygote
    node <--"n exited"----------- zygote <--SIGCHLD-- child n

The zygote runs no call, so it always answers. It alone kills and reaps its children, hence no
process id can be taken by another process between the two. Children die with it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections.abc import Callable

from madrpc.errors import InternalError
from madrpc.node.dialect import EXITED_METHOD, FORK_METHOD, KILL_METHOD
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import (
    Request,
    error_tail,
    parse_message,
    request_head,
    request_tail,
    response_head,
    result_tail,
    unpack_request_tail,
)

__all__ = ["run_zygote"]

_MAX_FRAME = 65_536
_MOST_FDS = 16


def run_zygote(control: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Fork children as the node asks until it closes the control socket.

    Args:
        serve: runs calls on a socket until it ends; called in the children.
    """
    gc.collect()
    gc.freeze()
    _Zygote(control, serve).run()


class _Zygote:
    """Owner of the children, by the number the node gave each."""

    def __init__(self, control: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        self._control = control
        self._serve = serve
        self._pids: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._decoder = FrameDecoder(_MAX_FRAME)
        self._sockets: list[socket.socket] = []
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)

    def run(self) -> None:
        # The handler does nothing: the byte that it leaves in the pipe is what ends the poll.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._wake_read.fileno() in ready:
                self._wake_read.recv(4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                return

    def _obey(self) -> bool:
        """Take orders; False once the node is gone."""
        data, fds, _, _ = socket.recv_fds(self._control, _MAX_FRAME, _MOST_FDS)
        self._sockets += [socket.socket(fileno=fd) for fd in fds]
        for frame in self._decoder.feed(data):
            order = parse_message(frame)
            if isinstance(order, Request) and order.method == FORK_METHOD:
                self._fork(order.id, self._sockets.pop(0))
            elif isinstance(order, Request) and order.method == KILL_METHOD:
                _, args, _ = unpack_request_tail(order.tail)
                self._kill(args["n"])
        return bool(data)

    def _fork(self, n: int, sock: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            sock.close()
            self._answer(n, error_tail(InternalError(f"fork failed: {error.strerror}")))
            return
        if pid == 0:
            self._be_child(sock)
        sock.close()
        self._pids[n] = pid
        self._numbers[pid] = n
        self._answer(n, result_tail({"pid": pid}))

    def _be_child(self, sock: socket.socket) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._serve(sock)
            status = 0
        finally:
            # No clean-up of the zygote's state must run here.
            os._exit(status)

    def _kill(self, n: int) -> None:
        pid = self._pids.get(n)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            n = self._numbers.pop(pid)
            del self._pids[n]
            tail = request_tail(
                EXITED_METHOD, {"n": n, "status": os.waitstatus_to_exitcode(status)}
            )
            self._control.sendall(request_head(0, 0, len(tail)) + tail)

    def _answer(self, n: int, tail: bytes) -> None:
        self._control.sendall(response_head(n, len(tail)) + tail)
