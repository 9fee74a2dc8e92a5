"""Commands that run a server: node, orchestrator."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Protocol

import gevent
import gevent.socket
from gevent.event import Event

from madrpc.address import Address
from madrpc.cli.activation import inherited_sockets
from madrpc.cli.logs import configure_logging
from madrpc.cli.notify import Notifier
from madrpc.cli.options import security_of
from madrpc.config import (
    SANDBOX,
    EngineLimits,
    ListenerConfig,
    NodeConfig,
    OrchestratorConfig,
    PoolConfig,
    Security,
)
from madrpc.errors import ScriptError, Unauthenticated
from madrpc.http.server import HttpServer, Served
from madrpc.links.listener import bind_error
from madrpc.links.scheduling import interrupt_nobody

__all__ = ["run_node", "run_orchestrator"]

log = logging.getLogger(__name__)

EXIT_INTERRUPTED = 130
EXIT_USAGE = 2
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Server(Served, Protocol):
    """What both roles can do."""

    def start(self) -> Address: ...
    def drain(self) -> None: ...
    def stop(self) -> None: ...

    @property
    def summary(self) -> str: ...


def run_node(options: argparse.Namespace) -> int:
    """``madrpc node``"""
    if not options.scripts:
        raise ScriptError("a node needs a script; give one with -s SCRIPT")
    from madrpc.node.cpus import default_pool_size
    from madrpc.node.node import Node

    configure_logging(options.log_level, options.log_format)
    size = options.pool_size or default_pool_size()
    node = Node(
        NodeConfig(
            scripts=tuple(options.scripts),
            listener=_listener(options),
            pool=PoolConfig(
                size,
                options.queue_size or max(1024, 16 * size),
                isolation=_isolation(options.isolation, options.engine),
                engine=options.engine,
                sandbox=_sandbox(options.sandbox),
            ),
            limits=EngineLimits(
                time_s=options.time_limit,
                memory_bytes=int(options.memory_limit * 2**20),
                result_bytes=options.max_frame,
            ),
            drain_timeout_s=options.drain_timeout,
            orchestrators=tuple(options.orchestrator or ()),
            advertise=options.advertise,
            deployable=_deployable(options),
        )
    )

    def ready(address: Address) -> str:
        scripts = " ".join(f"{script.name}@{script.sha256[:8]}" for script in node.scripts)
        names = ", ".join(node.methods)
        pool = node.config.pool
        log.info(
            "engine %s, isolation %s, sandbox %s", pool.engine, node.pool.isolation, pool.sandbox
        )
        return f"node ready on {address}  workers={size}  script={scripts}  methods: {names}"

    manager = Notifier.from_environment()

    def reload() -> None:
        manager.reloading()
        node.reload()
        manager.ready(node.summary)

    gevent.signal_handler(signal.SIGHUP, gevent.spawn, reload)
    if options.watch:
        gevent.spawn(node.watch)
    return _serve(node, options, ready, manager, node.told_to_drain)


def _deployable(options: argparse.Namespace) -> bool:
    """Whether the node takes scripts from callers.

    Raises:
        Unauthenticated: others could reach it, and nothing would keep them from sending any.
    """
    if options.bind.host in _LOOPBACK:
        return True
    if options.allow_deploy and security_of(options).is_open:
        raise Unauthenticated(
            f"--allow-deploy on {options.bind} would let whoever reaches it send scripts; add "
            "--auth-token-file or --tls-ca, or bind to 127.0.0.1"
        )
    return bool(options.allow_deploy)


def _listener(options: argparse.Namespace) -> ListenerConfig:
    """What the options of both servers say of their port."""
    security = security_of(options)
    if security == Security() and options.bind.host not in _LOOPBACK:
        log.warning(
            "%s is open to other machines without a token or TLS: whoever reaches it may call "
            "every function; see --auth-token-file and --tls-cert, or bind to 127.0.0.1",
            options.bind,
        )
    return ListenerConfig(
        options.bind,
        options.max_frame,
        security=security,
        rate_limit=options.rate_limit,
        inherited=inherited_sockets(),
    )


def _isolation(wanted: str, engine: str) -> str:
    """How the engine can keep calls apart.

    Raises:
        ScriptError: the engine is not installed, or cannot do what is wanted.
    """
    from madrpc.engine.choice import is_threaded, problem_with

    problem = problem_with(engine)
    if problem is None and is_threaded(engine):
        if wanted != "snapshot":
            return "context"
        problem = (
            f"--isolation snapshot forks a process with the scripts loaded, and {engine} has "
            "threads, which a fork loses; use --isolation context, or --engine quickjs"
        )
    if problem is not None:
        raise ScriptError(problem)
    return wanted


def _sandbox(wanted: str) -> str:
    """What sandboxes the workers, or why nothing does.

    Raises:
        ScriptError: something must, and this machine cannot.
    """
    from madrpc.node.sandbox import support

    if wanted == "off":
        return "off"
    problem = support()
    if problem is None:
        return SANDBOX
    if wanted == "require":
        raise ScriptError(f"--sandbox require: {problem}; use --sandbox auto to run without")
    log.warning("workers run without a sandbox: %s", problem)
    return f"unavailable: {problem}"


def run_orchestrator(options: argparse.Namespace) -> int:
    """``madrpc orchestrator``"""
    from madrpc.orchestrator.orchestrator import Orchestrator

    configure_logging(options.log_level, options.log_format)
    orchestrator = Orchestrator(
        OrchestratorConfig(
            nodes=tuple(map(str, options.nodes or ())),
            listener=_listener(options),
            drain_timeout_s=options.drain_timeout,
            balance=options.balance,
        )
    )

    def ready(address: Address) -> str:
        balancer = orchestrator.balancer
        return f"orchestrator ready on {address}  nodes {len(balancer.up)}/{len(balancer.nodes)} up"

    return _serve(orchestrator, options, ready, Notifier.from_environment())


def _serve(
    server: Server,
    options: argparse.Namespace,
    ready: Callable[[Address], str],
    manager: Notifier,
    told_to_drain: Event | None = None,
) -> int:
    """Start, say so, wait for a signal or an order, drain, stop; return the exit status."""
    asked = _Signals()
    if told_to_drain is not None:
        told_to_drain.rawlink(asked.ordered)
    interrupt_nobody()
    try:
        address = server.start()
    except OSError as error:
        print(f"madrpc: {bind_error(options.bind, error)}", file=sys.stderr)
        return EXIT_USAGE
    http = HttpServer(options.http, server) if options.http is not None else None
    if http is not None:
        try:
            http.start()
        except OSError as error:
            server.stop()
            print(f"madrpc: {bind_error(options.http, error)}", file=sys.stderr)
            return EXIT_USAGE
    print(ready(address) + (f"  dashboard {http.url}" if http is not None else ""), flush=True)
    manager.ready(server.summary)
    if manager:
        gevent.spawn(_report, server, manager)
    if options.watch_stdin:
        gevent.spawn(_watch_stdin, asked, options.linger)
    asked.first.wait()
    log.info("draining: accepted calls may finish; a second signal stops at once")
    manager.stopping("draining")
    drain = gevent.spawn(_drain, server, http, options.drain_timeout)
    gevent.wait([drain, asked.second], count=1)
    drain.kill()
    if http is not None:
        http.stop()
    server.stop()
    # What is queued on the connections leaves in the hub's next turns.
    gevent.sleep(0.05)
    manager.close()
    return asked.exit_code


def _report(server: Server, manager: Notifier) -> None:
    """Show the service manager that the hub still turns, and what the server does; never returns.

    A hub that hangs runs no greenlet, so the watchdog notices.
    """
    while True:
        gevent.sleep(manager.tick_s)
        manager.tick(server.summary)


def _drain(server: Server, http: HttpServer | None, timeout_s: float) -> None:
    drains = [gevent.spawn(server.drain)]
    if http is not None:
        drains.append(gevent.spawn(http.drain, timeout_s))
    try:
        gevent.joinall(drains)
    finally:
        gevent.killall(drains)


class _Signals:
    """The first SIGTERM or SIGINT drains, the second stops.

    An order over the wire drains too, and is not counted: who then sends one signal, as service
    managers do, cuts no call off.
    """

    def __init__(self) -> None:
        self._signalled = False
        self.first = Event()
        self.second = Event()
        self.exit_code = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self.arrived, number)

    def arrived(self, number: int) -> None:
        if self._signalled:
            self.second.set()
        else:
            self._signalled = True
            self.exit_code = EXIT_INTERRUPTED if number == signal.SIGINT else 0
            self.first.set()

    def ordered(self, _event: Event) -> None:
        """A caller told this server to drain."""
        self.first.set()


def _watch_stdin(asked: _Signals, linger_s: float) -> None:
    """Stop when whoever started this server, and holds its stdin, is gone.

    Args:
        linger_s: how long to go on serving then, so that a successor can take over; a server that
            lingers and was already told to drain is not hurried.
    """
    fd = sys.stdin.fileno()
    os.set_blocking(fd, False)
    while True:
        gevent.socket.wait_read(fd)
        if not os.read(fd, 4096):
            break
    if linger_s:
        asked.first.wait(linger_s)
        asked.first.set()
    else:
        asked.arrived(signal.SIGTERM)
