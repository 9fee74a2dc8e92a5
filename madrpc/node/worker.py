"""A worker process: requests in from its node, answers out, one call at a time.

It is single-threaded, blocks on one socket, and leaves when that socket ends. It imports no gevent
and trusts nothing a request holds.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from madrpc.config import EngineLimits
from madrpc.engine.choice import is_threaded, load_engine
from madrpc.engine.interface import Engine, Script
from madrpc.errors import InternalError, MadrpcError
from madrpc.node import sandbox
from madrpc.node.claims import Claimant
from madrpc.node.confine import adopt, bound_address_space, bound_data, confine
from madrpc.node.dialect import BOOT_ID, ZYGOTE_METHOD
from madrpc.node.runner import CallRunner
from madrpc.node.sandbox import Level
from madrpc.node.zygote import run_zygote
from madrpc.protocol.frames import FrameDecoder
from madrpc.protocol.messages import (
    Cancel,
    Request,
    Response,
    error_tail,
    parse_message,
    response_head,
    result_tail,
)

__all__ = ["WorkerBoot", "worker_main"]

_RECV_BYTES = 256 * 1024
#: So many new containers and no fewer may hold garbage; the values of one call are none.
_GARBAGE_AFTER = 100_000


@dataclass(frozen=True)
class WorkerBoot:
    """What a worker needs to start; crosses to the child process by pickling.

    Attributes:
        engine: what runs the scripts.
        may_fork: it may be told to become the process that others are forked from.
    """

    scripts: Sequence[Script]
    limits: EngineLimits
    max_frame: int
    parent_pid: int
    sandboxed: bool
    may_fork: bool
    engine: str = "quickjs"


def worker_main(sock: socket.socket, boot: WorkerBoot, claimant: Claimant) -> None:
    """Entry point of the child process."""
    confine(boot.parent_pid, keep=(sock.fileno(), claimant.fileno()))
    # Blocking mode belongs to the open socket, and the node made this end non-blocking.
    sock.setblocking(True)
    try:
        engine = _load_engine(boot)
    except MadrpcError as error:
        _say_booted(sock, error_tail(error))
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER)
    facts = {
        "methods": sorted(engine.methods),
        "origins": _origins(engine),
        "load_s": engine.load_s,
    }
    _say_booted(sock, result_tail(facts))
    _serve(sock, engine, boot, claimant)
    if is_threaded(boot.engine):
        # Its library would wait here for threads that may never end.
        os._exit(0)


def _load_engine(boot: WorkerBoot) -> Engine:
    """Load the scripts, in the sandbox already: their first lines are as foreign as the rest."""
    threaded = is_threaded(boot.engine)
    if not threaded:
        bound_address_space(boot.limits)
    make = load_engine(boot.engine, boot.limits)
    if threaded:
        bound_data(boot.limits)
    if boot.sandboxed:
        run = Level.THREADS if threaded else Level.RUN
        try:
            sandbox.apply(Level.FORK if boot.may_fork else run)
        except OSError as error:
            raise InternalError(f"a worker cannot be sandboxed: {error}") from error
    return make(boot.scripts)


def _origins(engine: Engine) -> dict[str, str]:
    """The script of each function: its name and 8 digits of its hash."""
    scripts = set(engine.methods.values())
    marks = {script: f"{script.name}@{script.sha256[:8]}" for script in scripts}
    return {method: marks[script] for method, script in engine.methods.items()}


def _say_booted(sock: socket.socket, tail: bytes) -> None:
    sock.sendall(response_head(BOOT_ID, len(tail)) + tail)


def _serve(
    sock: socket.socket, engine: Engine, boot: WorkerBoot, claimant: Claimant | None = None
) -> None:
    """Run calls until the node closes the socket.

    Args:
        claimant: what to ask before a job is begun; None where jobs come one at a time.
    """
    runner = CallRunner(engine, boot.max_frame, sock.sendall)
    decoder = FrameDecoder(boot.max_frame)
    may_fork = boot.may_fork
    try:
        while data := _receive(sock, engine if claimant is not None else None):
            for frame in decoder.feed(data):
                message = parse_message(frame)
                if type(message) is Request:
                    if may_fork:
                        if message.method == ZYGOTE_METHOD:
                            _become_zygote(sock, engine, boot)
                            return
                        may_fork = False
                        _tighten(boot)
                    if claimant is None or claimant.may_start(message.id):
                        runner.start(message)
                elif type(message) is Response:
                    runner.answered(message)
                elif type(message) is Cancel:
                    runner.drop(message.id)
                if engine.is_broken:
                    return
    except ConnectionError:
        pass  # the node is gone, and so is the reason to live


def _tighten(boot: WorkerBoot) -> None:
    """Give up what only a process that forks needs."""
    if boot.sandboxed:
        sandbox.apply(Level.RUN)


def _receive(sock: socket.socket, engine: Engine | None) -> bytes:
    """The next bytes; while there are none, a spare context is made ready."""
    if engine is not None:
        try:
            return sock.recv(_RECV_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            engine.prepare()
    return sock.recv(_RECV_BYTES)


def _become_zygote(control: socket.socket, engine: Engine, boot: WorkerBoot) -> None:
    """Load every script into a context, and fork a child with them for each call from now on."""
    drew = [script.name for script in engine.prepare_all()]
    zygote_pid = os.getpid()
    child_boot = replace(boot, may_fork=False)

    def serve_child(sock: socket.socket) -> None:
        adopt(zygote_pid, keep=(sock.fileno(),))
        sock.setblocking(True)
        _tighten(boot)
        engine.forked()
        _say_booted(sock, result_tail({}))
        _serve(sock, engine, child_boot)

    _say_booted(control, result_tail({"zygote": True, "drew": drew}))
    run_zygote(control, serve_child)
