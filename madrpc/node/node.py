"""The node: requests from its listener to its pool, answers from its pool to their callers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.event import Event

from madrpc.address import Address
from madrpc.config import NodeConfig
from madrpc.credentials import Credentials
from madrpc.engine.interface import Script
from madrpc.errors import Draining, MadrpcError
from madrpc.links.builtins import BUILTIN_PREFIX, Builtins, revision_of
from madrpc.links.connection import Caller, Cancellable
from madrpc.links.listener import Listener
from madrpc.links.usage import ProcessUsage
from madrpc.node.accounting import Accounting
from madrpc.node.deployments import deploy
from madrpc.node.descriptions import Descriptions
from madrpc.node.nesting import Cancellation, NestedReply, depth_in
from madrpc.node.outside import Outside
from madrpc.node.pool import WorkerPool
from madrpc.node.releases import Releases
from madrpc.node.scriptfiles import WATCH_S, WatchedFiles
from madrpc.node.trial import Trial, try_worker
from madrpc.node.workload import with_usage
from madrpc.policy.job import Job, JobState
from madrpc.policy.stats import MethodTable
from madrpc.policy.suggest import method_not_found
from madrpc.policy.timing import deadline_from_ms
from madrpc.protocol.messages import NIL, Request, error_tail
from madrpc.protocol.meta import meta_of
from madrpc.protocol.receipts import Receipts
from madrpc.version import PROTOCOL_VERSION, __version__

__all__ = ["Node"]

log = logging.getLogger(__name__)

_now = time.monotonic
_DRAIN_POLL_S = 0.02
_NO_META: dict[str, Any] = {}
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


class _PendingCall:
    """A call of some caller that runs, or waits, in the pool."""

    __slots__ = ("_node", "connection", "id", "job", "pool")

    def __init__(self, node: Node, connection: Caller, id: int) -> None:
        self._node = node
        self.pool = node.pool
        self.connection = connection
        self.id = id
        self.job: Job | None = None

    def answer(self, tail: bytes, receipts: Receipts = ()) -> None:
        """The pool is done with the call."""
        self.connection.respond(self.id, tail, receipts)

    def cancel(self) -> None:
        """The caller gave the call up."""
        if self.job is not None:
            self._node.cancelled(self.pool, self.job)


class Node:
    """One compute node.

    Raises:
        ScriptError: from ``start``, if a script cannot be loaded.
        OSError: from ``start``, if the address cannot be bound.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.releases = Releases(config.scripts, self._new_pool, self._offer)
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
        self._accounting = Accounting(self._address)
        self._descriptions = Descriptions((), ())
        self._usage = ProcessUsage()
        self._started = _now()
        self._builtins = Builtins(
            {
                "_health": self._health,
                "_info": self._info,
                "_metrics": self._metrics,
                "_methods": self._list_methods,
                "_recent": self._accounting.recent,
            },
            {"_drain": self._drain, "_deploy": self._deploy},
            large=frozenset({"_deploy"}),
        )

    def __repr__(self) -> str:
        return f"<Node {self.listener.address} {self.pool}>"

    @property
    def pool(self) -> WorkerPool:
        """The workers that take new calls."""
        return self.releases.current.pool

    @property
    def scripts(self) -> Sequence[Script]:
        """What they have loaded."""
        return self.releases.current.scripts

    @property
    def methods(self) -> Sequence[str]:
        """Names of the functions the scripts registered."""
        return self.pool.methods

    def start(self) -> Address:
        """Bind, load the scripts in every worker, and begin to accept; return the address."""
        address = self.listener.bind()
        try:
            self.releases.start()
        except BaseException:
            self.listener.stop_accepting()
            raise
        self._outside.start()
        self._accounting.start()
        self.listener.start()
        return address

    def reload(self) -> None:
        """Load the script files anew. Calls in flight end on the old code.

        A script that cannot be loaded is logged, and the old ones stay.
        """
        self.releases.reload()

    def watch(self) -> None:
        """Reload whenever a script file has changed; never returns."""
        files = WatchedFiles(self.config.scripts)
        while True:
            gevent.sleep(WATCH_S)
            if files.have_changed():
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
        self._accounting.stop()
        self.releases.stop()

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

    def _offer(self) -> None:
        """The functions of another release can be called from now on."""
        self._methods = frozenset(self.methods)
        self._revision = revision_of((*sorted(self._methods), self.releases.current.id))
        self._descriptions = Descriptions(self.scripts, self._methods)

    def _advertised(self, local_host: str) -> Address:
        """Where an orchestrator reaches this node, seen from its connection."""
        if self.config.advertise is not None:
            return self.config.advertise
        bound = self.listener.address
        return Address(local_host, bound.port) if bound.host in _EVERYWHERE else bound

    def _address(self) -> str:
        """Where the node is reached, as far as it knows."""
        return str(self.config.advertise or self.listener.address)

    def _new_pool(self, scripts: Sequence[Script]) -> WorkerPool:
        config = self.config
        return WorkerPool(
            config.pool, config.limits, scripts, config.listener.max_frame, self, self._answered
        )

    def nested_call(
        self, method: str, tail: bytes, deadline: float | None, answered: Callable[[bytes], None]
    ) -> Callable[[], None]:
        """Run a call that a function makes: through an orchestrator, else in the own pool."""
        here = Cancellation()

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
        job = Job(method, tail, deadline, NestedReply(answered), nested=True, refusable=False)
        pool = self.pool
        pool.submit(job)
        return lambda: self.cancelled(pool, job)

    def cancelled(self, pool: WorkerPool, job: Job) -> None:
        """The caller of a job gave it up."""
        if job.state is not JobState.DONE:
            pool.cancel(job)
            self._accounting.cancelled(job)

    def _submit(self, connection: Caller, request: Request) -> _PendingCall:
        pending = _PendingCall(self, connection, request.id)
        deadline = deadline_from_ms(request.timeout_ms, _now())
        method, tail = request.method, request.tail
        # Nearly all requests end in nil for their meta; only the others are looked into.
        meta = _NO_META if tail.endswith(NIL) else meta_of(tail)
        nested = depth_in(meta) > 0
        job = pending.job = Job(method, tail, deadline, pending, nested=nested, meta=meta)
        self.pool.submit(job)
        return pending

    def _answered(self, job: Job, tail: bytes | None, error: MadrpcError | None) -> None:
        """The pool is done with a job."""
        if isinstance(job.reply_to, Trial):
            job.reply_to.answer(tail)
            return
        if tail is None:
            assert error is not None
            tail = error_tail(error)
        self._accounting.ended(job, tail, stopped=error is not None)
        if job.meta:
            origin = job.reply_to.pool.origins.get(job.method)
            job.reply_to.answer(tail, self._accounting.receipts(job, origin))
        else:
            job.reply_to.answer(tail)

    # ---------------------------------------------------------- builtins

    @property
    def stats(self) -> MethodTable:
        """Calls by method."""
        return self._accounting.stats

    def counts(self, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """What ``_metrics`` answers."""
        return self._metrics(args or {})

    def recent(self) -> dict[str, Any]:
        """The slowest calls of late and the last errors."""
        return self._accounting.recent({})

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
            "release": self.releases.describe(),
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
            "calls": self.stats.calls,
            "errors": self.stats.errors,
            "in_flight": sum(pool.table.in_flight for pool in self.releases.pools),
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
            **self.stats.figures(args),
        }
        return with_usage(answer, self._usage, self.pool, args)

    def _drain(self, _args: dict[str, Any]) -> dict[str, Any]:
        if not self.draining:
            log.info("a caller ordered this node to drain")
            self.told_to_drain.set()
        return {"state": "draining"}

    def _deploy(self, args: dict[str, Any]) -> dict[str, Any]:
        if self.draining:
            raise Draining("the node is shutting down")
        return deploy(self.releases, args, allowed=self.config.deployable)

    def _list_methods(self, args: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"methods": sorted(self._methods)}
        if args.get("details") is True:
            answer["details"] = self._descriptions.wire(self.config.listener.max_frame)
        return answer
