"""The node's worker processes: started, fed, watched, killed and replaced.

::

    submit -> JobTable -> Assign -> worker's socketpair -> answer -> JobTable -> next job
                       -> Kill   -> SIGKILL -> its end is told -> start another
                       -> Fail   -> the caller's error

Each worker has a private socketpair and shares no lock, queue or pipe with any other, so it may be
killed at any instant at the cost of its own call. The first worker to load the scripts says how
long that took; where it is longer than a fork, that worker becomes the zygote which all others are
forked from, one for each call.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event

from madrpc.config import EngineLimits, PoolConfig
from madrpc.engine.interface import Script
from madrpc.errors import InternalError, MadrpcError, ScriptError, from_wire
from madrpc.node.dialect import SLEEP_METHOD
from madrpc.node.member import Worker, cause_of, signal_of
from madrpc.node.nesting import NestedCalls, Router
from madrpc.node.notes import about, take_note
from madrpc.node.processes import ForkedProcesses, ProcessSource, SpawnedProcesses
from madrpc.node.recycling import Recycler, stopped
from madrpc.node.snapshots import DREW_WHILE_LOADING
from madrpc.node.worker import WorkerBoot
from madrpc.policy.job import (
    Action,
    Assign,
    Drop,
    Fail,
    Job,
    Kill,
    Reclaim,
    Requeued,
    Retire,
    Slot,
    SlotState,
    Wake,
)
from madrpc.policy.jobs import JobTable
from madrpc.policy.restarts import RestartPolicy
from madrpc.policy.timing import ms_left
from madrpc.protocol.messages import Request, unpack_response_tail

__all__ = ["WorkerPool"]

log = logging.getLogger(__name__)

_now = time.monotonic
_TICK_S = 0.02
_LOOK_AFTER_S = 1.0
#: A worker may take this long to start and load the scripts.
_BOOT_TIMEOUT_S = 60.0
#: Killed workers are gone within this time, unless the zygote that would reap them is stuck.
_STOP_TIMEOUT_S = 2.0
#: A fork, with the exit and the reaping of the child, costs about 2 ms for a process with a loaded
#: bundle; scripts that load faster than this are cheaper to load anew.
_SNAPSHOT_WORTH_S = 0.004
#: After a call a worker makes its next context. Below this a call had better wait for that than
#: compete with it from another worker: 210 us instead of 410 on two cores.
_QUICK_LOAD_S = 0.0005

Answer = Callable[[Job, bytes | None, MadrpcError | None], None]


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
        self.restarts = RestartPolicy(1)
        self.nested = NestedCalls(router, self._wake)
        self.methods: list[str] = []
        #: The script of each method: its name and 8 digits of its hash.
        self.origins: dict[str, str] = {}
        self.isolation = ""
        boot = (tuple(scripts), limits, max_frame, os.getpid(), config.sandboxed)
        self._boot = WorkerBoot(*boot, may_fork=False, engine=config.engine)
        self._max_frame = max_frame
        self._answer = answer
        self._source: ProcessSource = SpawnedProcesses()
        self._zygote: Worker | None = None
        self._workers: dict[int, Worker] = {}
        self._first_boot: AsyncResult[None] = AsyncResult()
        self._stopping = False
        self._upkeep: list[gevent.Greenlet[..., None]] = []
        self._ended = Event()

    def __repr__(self) -> str:
        return f"<WorkerPool {self.table} {self.restarts}>"

    # ----------------------------------------------------------- public

    def start(self) -> None:
        """Start workers and wait until the first one has loaded the scripts.

        Raises:
            ScriptError: a script cannot be loaded.
            InternalError: workers die while starting.
        """
        self._reconcile()
        self._upkeep = [gevent.spawn(self._tick_forever), gevent.spawn(self._look_after_forever)]
        try:
            self._first_boot.get(timeout=_BOOT_TIMEOUT_S)
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

    @property
    def is_busy(self) -> bool:
        """Whether any job waits, runs or is parked."""
        table = self.table
        return bool(table.queued or table.busy or table.parked)

    def workers(self) -> dict[int, Slot]:
        """The slot of each worker process, by process id."""
        return {pid: worker.slot for worker in self._workers.values() if (pid := worker.pid)}

    @property
    def zygote_pid(self) -> int | None:
        """The process that forks the workers, where there is one."""
        return None if self._zygote is None else self._zygote.pid

    def stop(self) -> None:
        """Kill every worker and wait until all have ended."""
        self._stopping = True
        gevent.killall(self._upkeep)
        for worker in list(self._workers.values()):
            worker.kill("the node is stopping")
        self._wait_for_ends(_STOP_TIMEOUT_S)
        self._source.stop()
        if self._zygote is not None:
            self._zygote.kill("the node is stopping")
        self._wait_for_ends(None)

    def _wait_for_ends(self, timeout_s: float | None) -> None:
        """Wait until no worker is left, and no zygote if there is time for ever."""
        with gevent.Timeout(timeout_s, False):
            while self._workers or (timeout_s is None and self._zygote is not None):
                self._ended.clear()
                self._ended.wait()

    # ------------------------------------------------------- performing

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Assign:
                job = action.job
                link = self._workers[action.slot.id].link
                link.start(job, ms_left(job.deadline, _now()))
            elif type(action) is Reclaim:
                count = self._workers[action.slot.id].link.reclaim()
                self._perform(self.table.reclaimed(action.slot, count, _now()))
            elif type(action) is Wake:
                self._workers[action.slot.id].link.answer(*action.answer)
            else:
                self._perform_end(action)
        if self.table.single_use and actions:
            self._reconcile()

    def _perform_end(self, action: Action) -> None:
        if isinstance(action, Fail):
            self.nested.forget(action.job)
            self._answer(action.job, None, action.error)
        elif isinstance(action, Requeued):
            self.nested.forget(action.job)
        elif isinstance(action, (Kill, Retire, Drop)):
            worker = self._workers.get(action.slot.id)
            if worker is not None:
                self._perform_on(worker, action)

    def _perform_on(self, worker: Worker, action: Kill | Retire | Drop) -> None:
        if isinstance(action, Drop):
            worker.link.drop(action.job)
        elif isinstance(action, Retire):
            # It leaves by itself when its socket ends, or the table has it killed.
            worker.kill_reason = "retired"
            worker.link.close("retired")
        else:
            if not self._stopping:
                extra = about(action.job)
                log.info("killing worker %s: %s", worker.pid, action.reason, extra=extra)
            worker.kill(action.reason)

    def _wake(self, job: Job, n: int, answer: bytes) -> None:
        self._perform(self.table.wake(job, (n, answer), _now()))

    # -------------------------------------------------------- processes

    def _reconcile(self) -> None:
        """Start as many workers as are missing."""
        if self._stopping:
            return
        have = self.table.unparked if self.table.single_use else len(self._workers)
        for _ in range(self.restarts.to_start(have, _now())):
            self._start_worker()

    def _start_worker(self) -> None:
        ours, theirs = socket.socketpair()
        slot = self.table.add_slot()
        worker = self._workers[slot.id] = Worker(self, slot, ours, self._max_frame)
        settled = self.isolation or self.config.isolation
        boot = replace(self._boot, may_fork=settled != "context")
        try:
            worker.process = self._source.start(
                theirs, boot, lambda status: self._worker_ended(worker, status)
            )
            worker.link.claims = worker.process.claims
        except OSError as error:
            log.error("cannot start a worker process: %s", error.strerror or error)
            worker.kill_reason = "it did not start"
            self._worker_ended(worker, 1)

    def _worker_ended(self, worker: Worker, status: int) -> None:
        """Account for a process that has ended, and fill its place."""
        worker.link.close("the worker ended")
        self._ended.set()
        if worker is self._zygote:
            self._zygote = None
        if self._workers.pop(worker.slot.id, None) is None:
            return
        slot, now = worker.slot, _now()
        starting = slot.state is SlotState.STARTING
        if starting:
            self._boot_failed(InternalError(f"a worker process {cause_of(status)} while starting"))
        if worker.kill_reason is None and not self._stopping:
            log.warning("worker %s", cause_of(status))
        if worker.kill_reason != "retired":
            blamed = slot.job is not None or (worker.kill_reason is not None and not starting)
            self.restarts.died(in_call=blamed, lived_s=now - worker.started, now=now)
        self._perform(self.table.slot_lost(slot, now, cause_of(status), signal_of(status)))
        self._reconcile()

    def _choose_isolation(self, scout: Worker, load_s: float) -> None:
        """Settle how calls are kept apart, now that the time to load the scripts is known."""
        if not self.isolation:
            heavy = self.config.isolation == "auto" and load_s > _SNAPSHOT_WORTH_S
            self.isolation = "snapshot" if heavy else self.config.isolation
            if self.isolation == "auto":
                self.isolation = "context"
            log.info(
                "isolation %s: the scripts load in %.1f ms, a fork takes about 2 ms",
                self.isolation,
                load_s * 1000,
            )
        if self.isolation == "snapshot":
            scout.link.become_zygote()
        else:
            self.restarts.wanted = self.config.size
            self.table.reuse_last = load_s < _QUICK_LOAD_S
            self._perform(self.table.slot_ready(scout.slot, _now()))

    def _use_zygote(self, scout: Worker, drew: Sequence[str]) -> None:
        """Fork all further workers from this one, which is ready for it."""
        for name in drew:
            log.warning(DREW_WHILE_LOADING, name)
        control = scout.link.detach()
        del self._workers[scout.slot.id]
        self.table.slot_lost(scout.slot, _now(), "", None)
        self._zygote = scout
        self._source = ForkedProcesses(control, self._zygote_lost)
        self.table.single_use = True
        # As many again wait ready as may run at once, so that no call waits for a fork.
        self.restarts.wanted = 2 * self.config.size

    def _zygote_lost(self) -> None:
        """Load the scripts anew in a new process, which becomes the next zygote."""
        if not self._stopping:
            log.warning("the process that holds the loaded scripts ended; starting another")
            if self._zygote is not None:
                self._zygote.kill("it closed its socket")
            self.table.condemn(worker.slot for worker in self._workers.values())
            self._source = SpawnedProcesses()
            self.restarts.wanted = 1

    # ----------------------------------------------------------- events

    def booted(self, worker: Worker, tail: bytes) -> None:
        """A worker has loaded the scripts, or says why it could not."""
        error, result = unpack_response_tail(tail)
        if error is not None:
            self.table.condemn([worker.slot])
            self._boot_failed(from_wire(error))
            return
        if "zygote" in result:
            self._use_zygote(worker, result["drew"])
        elif self._source_is_spawning and worker.slot.state is SlotState.STARTING:
            self.methods = self.methods or result["methods"]
            self.origins = self.origins or result["origins"]
            self._choose_isolation(worker, result["load_s"])
        else:
            self._perform(self.table.slot_ready(worker.slot, _now()))
        if not self._first_boot.ready() and self.table.ready:
            self._first_boot.set()
        self._reconcile()

    @property
    def _source_is_spawning(self) -> bool:
        return isinstance(self._source, SpawnedProcesses)

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
        """A job calls a function or sleeps, or there is something to note of it."""
        if request.method == SLEEP_METHOD:
            self.nested.sleep(job, n, request)
        elif not take_note(job, request) and not job.cancelled:
            self.nested.call(job, n, request)

    def _boot_failed(self, error: MadrpcError) -> None:
        # A script that fails in the first worker fails in all; what dies without saying why may
        # be bad luck, so it gets as many chances as there are workers.
        known = isinstance(error, ScriptError) or self.restarts.failures >= self.config.size
        if not self._first_boot.ready() and (known or self._stopping):
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
                    worker.kill("it did not get ready")
            self._reconcile()

    def _look_after_forever(self) -> None:
        recycler = Recycler(self.config)
        while True:
            gevent.sleep(_LOOK_AFTER_S)
            zygote = [self._zygote] if self._zygote is not None else []
            lost = stopped([*self._workers.values(), *zygote])
            # All of them first, or a call that leaves one would go to the next.
            self.table.condemn(worker.slot for worker in lost)
            for worker in lost:
                worker.kill("it was stopped")
            lasting = () if self.table.single_use else self._workers.values()
            if due := recycler.pick(lasting):
                log.info("replacing worker %s after %d calls", due.pid, due.slot.calls)
                self._perform(self.table.retire(due.slot))
