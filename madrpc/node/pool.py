"""The node's worker processes: started, fed, watched, killed and replaced.

::

    submit -> JobTable -> Assign -> worker's socketpair -> answer -> JobTable -> next job
                       -> Kill   -> SIGKILL -> sentinel ready -> reap -> start another
                       -> Fail   -> the caller's error

Each worker has a private socketpair and shares no lock, queue or pipe with any other, so it may be
killed at any instant at the cost of its own call. This class alone starts, kills and reaps workers.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event

from madrpc.config import EngineLimits, PoolConfig
from madrpc.engine.interface import Script
from madrpc.errors import InternalError, MadrpcError, ScriptError, from_wire
from madrpc.node.nesting import NestedCalls, Router
from madrpc.node.worker import WorkerBoot, worker_main
from madrpc.node.worker_link import LOG_METHOD, SLEEP_METHOD, WorkerLink
from madrpc.policy.job import (
    Action,
    Assign,
    Drop,
    Fail,
    Job,
    Kill,
    Requeued,
    Slot,
    SlotState,
    Wake,
)
from madrpc.policy.jobs import JobTable
from madrpc.policy.restarts import RestartPolicy
from madrpc.policy.timing import ms_left
from madrpc.protocol.messages import Request, unpack_request_tail, unpack_response_tail

__all__ = ["WorkerPool"]

log = logging.getLogger(__name__)

_now = time.monotonic
_TICK_S = 0.02
#: A worker may take this long to start and load the scripts.
_BOOT_TIMEOUT_S = 60.0
# spawn, said aloud: fork would copy the hub, its watchers and every socket into the worker, and
# under forkserver a worker that hangs outlives its node.
_spawn = multiprocessing.get_context("spawn")

_LEVELS = {"debug": logging.DEBUG, "warn": logging.WARNING, "error": logging.ERROR}

Answer = Callable[[Job, bytes | None, MadrpcError | None], None]


class _Worker:
    """A process, the link to it, and the slot it fills; tells the pool what the link says."""

    __slots__ = ("kill_reason", "link", "pool", "process", "slot", "started")

    def __init__(
        self, pool: WorkerPool, slot: Slot, process: SpawnProcess, sock: socket.socket, frame: int
    ) -> None:
        self.pool = pool
        self.slot = slot
        self.process = process
        self.kill_reason: str | None = None
        self.started = _now()
        self.link = WorkerLink(sock, frame, self)

    def booted(self, tail: bytes) -> None:
        self.pool.booted(self, tail)

    def done(self, job: Job, tail: bytes) -> None:
        self.pool.done(self.slot, job, tail)

    def parked(self, job: Job) -> None:
        self.pool.parked(self.slot, job)

    def called(self, job: Job, n: int, request: Request) -> None:
        self.pool.called(job, n, request)

    def ended(self, reason: str) -> None:
        # The worker closed its end: it is ending, or must be made to.
        if self.kill_reason is None:
            self.process.kill()


class WorkerPool:
    """Keeps the wanted number of workers alive and calls running on them.

    Args:
        scripts: what every worker loads.
        router: where calls that functions make run.
        answer: called once for each submitted job, with its encoded answer or an error.
    """

    def __init__(
        self,
        config: PoolConfig,
        limits: EngineLimits,
        scripts: Sequence[Script],
        max_frame: int,
        router: Router,
        answer: Answer,
    ) -> None:
        self.config = config
        self.table = JobTable(config, limits.time_s)
        self.restarts = RestartPolicy(config.size)
        self.nested = NestedCalls(router, self._wake)
        self.methods: list[str] = []
        self._boot = WorkerBoot(tuple(scripts), limits, max_frame, os.getpid())
        self._max_frame = max_frame
        self._answer = answer
        self._workers: dict[int, _Worker] = {}
        self._first_boot: AsyncResult[list[str]] = AsyncResult()
        self._stopping = False
        self._ticker: gevent.Greenlet[..., None] | None = None
        self._reaped = Event()

    def __repr__(self) -> str:
        return f"<WorkerPool {self.table} {self.restarts}>"

    # ----------------------------------------------------------- public

    def start(self) -> None:
        """Start every worker and wait until the first one has loaded the scripts.

        Raises:
            ScriptError: a script cannot be loaded.
            InternalError: workers die while starting.
        """
        self._reconcile()
        self._ticker = gevent.spawn(self._tick_forever)
        try:
            self.methods = self._first_boot.get(timeout=_BOOT_TIMEOUT_S)
        except gevent.Timeout:
            raise InternalError(
                f"no worker process got ready within {_BOOT_TIMEOUT_S:g} s; "
                "the script may loop while it loads, or the machine is overloaded"
            ) from None

    def submit(self, job: Job) -> None:
        """Run a job; ``answer`` gets its outcome."""
        self._perform(self.table.submit(job, _now()))

    def cancel(self, job: Job) -> None:
        """Give a job up; ``answer`` is not called for it any more."""
        self.nested.forget(job)
        self._perform(self.table.cancel(job, _now()))

    def workers(self) -> dict[int, Slot]:
        """The slot of each worker process, by process id."""
        running = self._workers.values()
        return {worker.process.pid: worker.slot for worker in running if worker.process.pid}

    def stop(self) -> None:
        """Kill every worker and wait until all are reaped."""
        self._stopping = True
        if self._ticker is not None:
            self._ticker.kill()
        for worker in list(self._workers.values()):
            self._kill(worker, "the node is stopping")
        while self._workers:
            self._reaped.clear()
            self._reaped.wait()

    # ------------------------------------------------------- performing

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Assign:
                job = action.job
                link = self._workers[action.slot.id].link
                link.start(job, ms_left(job.deadline, job.started))
            elif type(action) is Wake:
                self._workers[action.slot.id].link.answer(*action.answer)
            else:
                self._perform_end(action)

    def _perform_end(self, action: Action) -> None:
        if isinstance(action, Fail):
            self.nested.forget(action.job)
            self._answer(action.job, None, action.error)
        elif isinstance(action, Requeued):
            self.nested.forget(action.job)
        elif isinstance(action, (Kill, Drop)):
            worker = self._workers.get(action.slot.id)
            if worker is not None and isinstance(action, Kill):
                self._kill(worker, action.reason)
            elif worker is not None and isinstance(action, Drop):
                worker.link.drop(action.job)

    def _wake(self, job: Job, n: int, answer: bytes) -> None:
        self._perform(self.table.wake(job, (n, answer), _now()))

    def _kill(self, worker: _Worker, reason: str) -> None:
        """Kill a worker; its slot is dead from this moment on, its process once it is reaped."""
        if worker.kill_reason is None:
            worker.kill_reason = reason
            if not self._stopping:
                log.info("killing worker %s: %s", worker.process.pid, reason)
        worker.link.close(reason)
        worker.process.kill()

    # -------------------------------------------------------- processes

    def _reconcile(self) -> None:
        """Start as many workers as are missing."""
        if self._stopping:
            return
        for _ in range(self.restarts.to_start(len(self._workers), _now())):
            self._start_worker()

    def _start_worker(self) -> None:
        ours, theirs = socket.socketpair()
        child_sock = _plain(theirs)
        process = _spawn.Process(
            target=worker_main, args=(child_sock, self._boot), name="madrpc-worker", daemon=True
        )
        try:
            process.start()
        except OSError as error:
            log.error("cannot start a worker process: %s", error.strerror)
            self.restarts.died(in_call=False, lived_s=0.0, now=_now())
            ours.close()
            return
        finally:
            child_sock.close()
        slot = self.table.add_slot()
        worker = self._workers[slot.id] = _Worker(self, slot, process, ours, self._max_frame)
        gevent.spawn(self._reap, worker)

    def _reap(self, worker: _Worker) -> None:
        """Wait for the process to end, account for it, and fill its place."""
        gevent.socket.wait_read(worker.process.sentinel)
        worker.process.join()
        exit_code = worker.process.exitcode
        worker.link.close("the worker ended")
        worker.process.close()
        del self._workers[worker.slot.id]
        self._account(worker, exit_code)
        self._reaped.set()

    def _account(self, worker: _Worker, exit_code: int | None) -> None:
        slot = worker.slot
        starting = slot.state is SlotState.STARTING
        in_call = slot.job is not None or (worker.kill_reason is not None and not starting)
        if starting:
            self._boot_failed(InternalError(f"a worker process {_cause(exit_code)} while starting"))
        if not self._stopping and worker.kill_reason is None:
            log.warning("worker %s", _cause(exit_code))
        now = _now()
        self.restarts.died(in_call=in_call, lived_s=now - worker.started, now=now)
        self._perform(self.table.slot_lost(slot, now, _cause(exit_code), _signal(exit_code)))
        self._reconcile()

    # ----------------------------------------------------------- events

    def booted(self, worker: _Worker, tail: bytes) -> None:
        """A worker has loaded the scripts, or says why it could not."""
        error, result = unpack_response_tail(tail)
        if error is not None:
            self._boot_failed(from_wire(error))
            return
        if not self._first_boot.ready():
            self._first_boot.set(result["methods"])
        self._perform(self.table.slot_ready(worker.slot, _now()))

    def done(self, slot: Slot, job: Job, tail: bytes) -> None:
        """A worker has run a job to its end."""
        if slot.job is not job:
            return
        self.nested.forget(job)
        wanted = not job.cancelled
        actions = self.table.finish(slot, _now())
        if wanted:
            self._answer(job, tail, None)
        self._perform(actions)

    def parked(self, slot: Slot, job: Job) -> None:
        """A worker has set a job aside that waits."""
        if slot.job is job:
            self._perform(self.table.park(slot, _now()))

    def called(self, job: Job, n: int, request: Request) -> None:
        """A job calls a function, sleeps or logs."""
        if request.method == SLEEP_METHOD:
            self.nested.sleep(job, n, request)
        elif request.method == LOG_METHOD:
            self._log(job, request)
        elif not job.cancelled:
            self.nested.call(job, n, request)

    @staticmethod
    def _log(job: Job, request: Request) -> None:
        _, args, _ = unpack_request_tail(request.tail)
        for level, text in args["lines"]:
            log.log(_LEVELS.get(level, logging.INFO), "%s: %s", job.method, text)

    def _boot_failed(self, error: MadrpcError) -> None:
        # A script that fails in the first worker fails in all; what dies without saying why may
        # be bad luck, so it gets as many chances as there are workers.
        known = isinstance(error, ScriptError) or self.restarts.failures >= self.config.size
        if not self._first_boot.ready() and known:
            self._first_boot.set_exception(error)
        elif self._first_boot.ready() and not self._stopping:
            log.error("a worker failed to start: %s", error.message)

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(_TICK_S)
            now = _now()
            self._perform(self.table.tick(now))
            for worker in list(self._workers.values()):
                if (
                    worker.slot.state is SlotState.STARTING
                    and now > worker.started + _BOOT_TIMEOUT_S
                ):
                    self._kill(worker, "it did not get ready")
            self._reconcile()


def _plain(sock: socket.socket) -> Any:
    """The standard library's socket for the same descriptor: what a spawned child can unpickle."""
    import socket as stdlib_socket

    return stdlib_socket.socket(fileno=sock.detach())


def _signal(exit_code: int | None) -> int | None:
    return -exit_code if exit_code is not None and exit_code < 0 else None


def _cause(exit_code: int | None) -> str:
    number = _signal(exit_code)
    if number is None:
        return f"exited with status {exit_code}"
    try:
        return f"was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"was ended by signal {number}"
