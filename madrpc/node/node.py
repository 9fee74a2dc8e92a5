"""The node: requests from its listener to its pool, answers from its pool to their callers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from madrpc.address import Address
from madrpc.config import NodeConfig
from madrpc.credentials import Credentials
from madrpc.engine.interface import Script
from madrpc.errors import Draining, MadrpcError
from madrpc.links.builtins import BUILTIN_PREFIX, Builtins, revision_of
from madrpc.links.connection import Caller, Cancellable
from madrpc.links.listener import Listener
from madrpc.links.usage import ProcessUsage
from madrpc.node.nesting import depth_of
from madrpc.node.outside import Outside
from madrpc.node.pool import WorkerPool
from madrpc.node.scriptfiles import fingerprints
from madrpc.node.trial import Trial, try_worker
from madrpc.node.workload import with_usage
from madrpc.policy.job import Job, JobState
from madrpc.policy.stats import MethodTable
from madrpc.policy.suggest import method_not_found
from madrpc.policy.timing import deadline_from_ms
from madrpc.protocol.messages import NIL, Request, error_tail, unpack_error
from madrpc.version import PROTOCOL_VERSION, __version__

__all__ = ["Node"]

log = logging.getLogger(__name__)

_now = time.monotonic
_DRAIN_POLL_S = 0.02
#: How often script files are looked at while they are watched.
_WATCH_S = 0.5
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


class _PendingCall:
    """A call of some caller that runs, or waits, in the pool."""

    __slots__ = ("_node", "_pool", "connection", "id", "job")

    def __init__(self, node: Node, connection: Caller, id: int) -> None:
        self._node = node
        self._pool = node.pool
        self.connection = connection
        self.id = id
        self.job: Job | None = None

    def answer(self, tail: bytes) -> None:
        """The pool is done with the call."""
        self.connection.respond(self.id, tail)

    def cancel(self) -> None:
        """The caller gave the call up."""
        if self.job is not None:
            self._node.cancelled(self._pool, self.job)


class _NestedReply:
    """The answer of a call that a function made."""

    __slots__ = ("answer",)

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self.answer = answer


class _Cancellation:
    """How to cancel a call, wherever it runs at the moment."""

    __slots__ = ("cancel",)

    def __init__(self) -> None:
        self.cancel: Callable[[], None] = lambda: None


def _start_or_stop(pool: WorkerPool) -> None:
    """Start a pool; leave nothing of it running if that fails."""
    try:
        pool.start()
    except BaseException:
        pool.stop()
        raise


class Node:
    """One compute node.

    Raises:
        ScriptError: from ``start``, if a script cannot be loaded.
        OSError: from ``start``, if the address cannot be bound.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.scripts = self._read_scripts()
        self.pool = self._new_pool(self.scripts)
        self._retiring: list[WorkerPool] = []
        self._reloading = BoundedSemaphore(1)
        self.listener = Listener(config.listener, self)
        self._outside = Outside(
            config.orchestrators,
            config.listener.max_frame,
            self._advertised,
            Credentials(config.listener.security),
        )
        self.draining = False
        #: Set when a caller orders the node to drain; whoever runs it then does as after SIGTERM.
        self.told_to_drain = Event()
        self._methods: frozenset[str] = frozenset()
        self._revision = ""
        self._stats = MethodTable()
        self._usage = ProcessUsage()
        self._started = _now()
        self._builtins = Builtins(
            {
                "_health": self._health,
                "_info": self._info,
                "_metrics": self._metrics,
                "_methods": self._list_methods,
            },
            {"_drain": self._drain},
        )

    def __repr__(self) -> str:
        return f"<Node {self.listener.address} {self.pool}>"

    @property
    def methods(self) -> Sequence[str]:
        """Names of the functions the scripts registered."""
        return self.pool.methods

    def start(self) -> Address:
        """Bind, load the scripts in every worker, and begin to accept; return the address."""
        address = self.listener.bind()
        try:
            _start_or_stop(self.pool)
        except BaseException:
            self.listener.stop_accepting()
            raise
        self._offer(self.pool)
        self._outside.start()
        self.listener.start()
        return address

    def reload(self) -> None:
        """Load the script files anew. Calls in flight end on the old code.

        A script that cannot be loaded is logged, and the old ones stay.
        """
        with self._reloading:
            try:
                scripts = self._read_scripts()
                pool = self._new_pool(scripts)
                _start_or_stop(pool)
            except MadrpcError as error:
                log.error("not reloaded, the old scripts stay: %s", error.message)
                return
            old, self.pool = self.pool, pool
            self.scripts = scripts
            self._offer(pool)
        log.info("reloaded: %s", ", ".join(f"{s.name}@{s.sha256[:8]}" for s in scripts))
        self._retiring.append(old)
        gevent.spawn(self._retire, old)

    def watch(self) -> None:
        """Reload whenever a script file has changed; never returns."""
        seen = fingerprints(self.config.scripts)
        while True:
            gevent.sleep(_WATCH_S)
            now = fingerprints(self.config.scripts)
            if now != seen:
                seen = now
                self.reload()

    def drain(self) -> None:
        """Refuse new calls and wait until the accepted ones are answered, up to the time-out."""
        self.draining = True
        self._outside.say_goodbye()
        self.listener.stop_accepting()
        give_up = _now() + self.config.drain_timeout_s
        while self.listener.in_flight and _now() < give_up:
            gevent.sleep(_DRAIN_POLL_S)

    def stop(self) -> None:
        """Close everything now."""
        self.draining = True
        self.listener.close("the node is stopping")
        self._outside.stop()
        for pool in (self.pool, *self._retiring):
            pool.stop()

    # ------------------------------------------------------------- calls

    def handle(self, connection: Caller, request: Request) -> Cancellable | None:
        """Take one request from the listener."""
        if request.method in self._methods:
            if self.draining:
                connection.respond_error(request.id, Draining("the node is shutting down"))
                return None
            return self._submit(connection, request)
        if request.method.startswith(BUILTIN_PREFIX):
            return self._builtins.handle(connection, request)
        error = method_not_found(request.method, self._methods)
        connection.respond_error(request.id, error)
        return None

    def _offer(self, pool: WorkerPool) -> None:
        self._methods = frozenset(pool.methods)
        hashes = (script.sha256 for script in self.scripts)
        self._revision = revision_of((*sorted(self._methods), *hashes))

    def _advertised(self, local_host: str) -> Address:
        """Where an orchestrator reaches this node, seen from its connection."""
        if self.config.advertise is not None:
            return self.config.advertise
        bound = self.listener.address
        return Address(local_host, bound.port) if bound.host in _EVERYWHERE else bound

    def _read_scripts(self) -> list[Script]:
        return [Script.read(path) for path in self.config.scripts]

    def _new_pool(self, scripts: Sequence[Script]) -> WorkerPool:
        config = self.config
        return WorkerPool(
            config.pool, config.limits, scripts, config.listener.max_frame, self, self._answered
        )

    def _retire(self, pool: WorkerPool) -> None:
        """Stop a pool when its last call has ended."""
        while pool.is_busy:
            gevent.sleep(_DRAIN_POLL_S)
        pool.stop()
        self._retiring.remove(pool)

    def nested_call(
        self, method: str, tail: bytes, deadline: float | None, answered: Callable[[bytes], None]
    ) -> Callable[[], None]:
        """Run a call that a function makes: through an orchestrator, else in the own pool."""
        here = _Cancellation()

        def instead() -> bool:
            if method not in self._methods:
                return False
            here.cancel = self._run_nested(method, tail, deadline, answered)
            return True

        out = self._outside.call(method, tail, deadline, answered, instead)
        if out is not None:
            here.cancel = out
        elif not instead():
            answered(error_tail(method_not_found(method, self._methods)))
        return lambda: here.cancel()

    def _run_nested(
        self, method: str, tail: bytes, deadline: float | None, answered: Callable[[bytes], None]
    ) -> Callable[[], None]:
        job = Job(method, tail, deadline, _NestedReply(answered), nested=True, refusable=False)
        pool = self.pool
        pool.submit(job)
        return lambda: self.cancelled(pool, job)

    def cancelled(self, pool: WorkerPool, job: Job) -> None:
        """The caller of a job gave it up."""
        if job.state is not JobState.DONE:
            pool.cancel(job)
            self._stats.failed(job.method, _now() - job.submitted, "Cancelled")

    def _submit(self, connection: Caller, request: Request) -> _PendingCall:
        pending = _PendingCall(self, connection, request.id)
        deadline = deadline_from_ms(request.timeout_ms, _now())
        nested = depth_of(request.tail) > 0
        job = pending.job = Job(request.method, request.tail, deadline, pending, nested=nested)
        self.pool.submit(job)
        return pending

    def _answered(self, job: Job, tail: bytes | None, error: MadrpcError | None) -> None:
        """The pool is done with a job."""
        if isinstance(job.reply_to, Trial):
            job.reply_to.answer(tail)
            return
        seconds = _now() - job.submitted
        if tail is None:
            assert error is not None
            tail = error_tail(error)
            self._stats.failed(job.method, seconds, error.name)
        elif tail.startswith(NIL):
            self._stats.succeeded(job.method, seconds)
        else:
            self._stats.failed(job.method, seconds, str(unpack_error(tail).get("name")))
        job.reply_to.answer(tail)

    # ---------------------------------------------------------- builtins

    @property
    def stats(self) -> MethodTable:
        """Calls by method."""
        return self._stats

    def counts(self) -> dict[str, Any]:
        """What ``_metrics`` answers."""
        return self._metrics({})

    def about(self) -> dict[str, Any]:
        """What ``_info`` answers."""
        return self._info({})

    @property
    def state(self) -> str:
        """``up``, ``draining``, or ``degraded`` while no worker is ready."""
        if self.draining:
            return "draining"
        return "up" if self.pool.table.ready else "degraded"

    @property
    def summary(self) -> str:
        """The state in one line, for whoever started this server."""
        workers = f"{self.pool.table.ready}/{self.config.pool.size} workers ready"
        return f"{self.state}: {workers}, {self.listener.in_flight} calls in flight"

    def _health(self, args: dict[str, Any]) -> dict[str, Any]:
        answer = {"status": self.state, "role": "node", "revision": self._revision}
        if args.get("probe") is True:
            answer["worker"] = try_worker(self.pool)
        return answer

    def _info(self, _args: dict[str, Any]) -> dict[str, Any]:
        return {
            "role": "node",
            "version": __version__,
            "protocol": PROTOCOL_VERSION,
            "address": str(self.listener.address),
            "state": self.state,
            "uptime_s": round(_now() - self._started, 3),
            "workers": self.config.pool.size,
            "engine": self.config.pool.engine,
            "isolation": self.pool.isolation,
            "sandbox": self.config.pool.sandbox,
            "revision": self._revision,
            "methods": sorted(self._methods),
            "scripts": [{"name": s.name, "sha256": s.sha256} for s in self.scripts],
            "limits": {
                "time_s": self.config.limits.time_s,
                "memory_bytes": self.config.limits.memory_bytes,
                "max_frame": self.config.listener.max_frame,
                "queue_size": self.config.pool.queue_size,
            },
        }

    def _metrics(self, args: dict[str, Any]) -> dict[str, Any]:
        table = self.pool.table
        answer = {
            "role": "node",
            "state": self.state,
            "revision": self._revision,
            "uptime_s": round(_now() - self._started, 3),
            "calls": self._stats.calls,
            "errors": self._stats.errors,
            "in_flight": sum(pool.table.in_flight for pool in (self.pool, *self._retiring)),
            "queued": table.queued,
            "queued_bytes": table.queued_bytes,
            "connections": len(self.listener.connections),
            "workers": {
                "size": self.config.pool.size,
                "ready": table.ready,
                "busy": table.busy,
                "parked": table.parked,
                "restarts": self.pool.restarts.restarts,
            },
            **self._stats.figures(args),
        }
        return with_usage(answer, self._usage, self.pool, args)

    def _drain(self, _args: dict[str, Any]) -> dict[str, Any]:
        if not self.draining:
            log.info("a caller ordered this node to drain")
            self.told_to_drain.set()
        return {"state": "draining"}

    def _list_methods(self, _args: dict[str, Any]) -> dict[str, Any]:
        return {"methods": sorted(self._methods)}
