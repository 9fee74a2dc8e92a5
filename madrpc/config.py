"""Settings and limits as frozen values, each default with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from madrpc.address import Address

__all__ = [
    "AUTH_TIMEOUT_S",
    "CLIENT_GRACE_S",
    "CONNECT_TIMEOUT_S",
    "DEFAULT_CALL_TIMEOUT_S",
    "DEFAULT_MAX_FRAME",
    "FILE_EVERY_S",
    "FRAME_BYTES_PER_S",
    "FRAME_TIMEOUT_S",
    "HEALTH_FALL",
    "HEALTH_INTERVAL_S",
    "HEALTH_RETRY_S",
    "INFO_TIMEOUT_S",
    "KEEPALIVE_IDLE_S",
    "KEEPALIVE_INTERVAL_S",
    "KEEPALIVE_PROBES",
    "MAX_ATTEMPTS",
    "MAX_FRAME_CEILING",
    "MAX_METHOD_BYTES",
    "MAX_REGISTRATIONS",
    "MAX_SAFE_INTEGER",
    "NODE_GRACE_S",
    "ORCHESTRATOR_GRACE_S",
    "PEER_TIMEOUT_S",
    "PROBE_TIMEOUT_S",
    "RECONNECT_WAIT_S",
    "REGISTER_EVERY_S",
    "REGISTRATION_TTL_S",
    "RESOLVE_EVERY_S",
    "SANDBOX",
    "EngineLimits",
    "ListenerConfig",
    "NodeConfig",
    "OrchestratorConfig",
    "PoolConfig",
    "Security",
    "TlsFiles",
]

#: What sandboxes workers.
SANDBOX = "seccomp"
#: Largest frame either side accepts unless told otherwise, in bytes (design: 16 MiB).
DEFAULT_MAX_FRAME = 16 * 1024 * 1024
#: ``--max-frame`` above this is refused: a frame is held whole in memory at every hop.
MAX_FRAME_CEILING = 1024 * 1024 * 1024
#: Longest method name, in bytes of UTF-8 (design, section 2).
MAX_METHOD_BYTES = 255
#: 2**53 - 1: beyond it a double no longer holds every integer.
MAX_SAFE_INTEGER = 2**53 - 1
#: A host that does not answer a SYN in 2 s is treated as down (between NATS's 1 s and Envoy's 5 s).
CONNECT_TIMEOUT_S = 2.0
#: A client's deadline when the caller names none.
DEFAULT_CALL_TIMEOUT_S = 60.0
#: How long past a call's deadline each hop waits before it gives the answer itself. The hop below
#: knows more (which phase used the time up), so each waits a little longer than the one below it,
#: and the last stays within the promised deadline + 0.5 s.
NODE_GRACE_S = 0.1
ORCHESTRATOR_GRACE_S = 0.2
CLIENT_GRACE_S = 0.35
#: TCP keepalive on every connection: a machine that vanished is noticed after a minute of silence,
#: or once it has not acknowledged sent bytes for ``PEER_TIMEOUT_S`` seconds.
KEEPALIVE_IDLE_S = 30
KEEPALIVE_INTERVAL_S = 10
KEEPALIVE_PROBES = 3
PEER_TIMEOUT_S = 30
#: A frame that has begun must be complete after ``FRAME_TIMEOUT_S`` and one second more for each
#: ``FRAME_BYTES_PER_S`` of its size: 74 s for 16 MiB, which a 2 Mbit/s line manages.
FRAME_TIMEOUT_S = 10
#: So long a caller has for the TLS handshake and for showing its token.
AUTH_TIMEOUT_S = 10
FRAME_BYTES_PER_S = 256 * 1024
#: Attempts for one call, the first included, each on another node while there is one.
MAX_ATTEMPTS = 3
#: How often a server is asked for its health by whoever is connected to it, and how often while
#: it does not answer. Its front end runs no script, so only a stopped process, a dead machine or a
#: cut network keeps it silent: after ``HEALTH_FALL`` misses, 4 s, it is taken for dead.
HEALTH_INTERVAL_S = 2.0
HEALTH_RETRY_S = 1.0
HEALTH_FALL = 3
#: How long a server has for ``_info``, which can be long, and a worker for the trivial job of a
#: health probe.
INFO_TIMEOUT_S = 4.0
PROBE_TIMEOUT_S = 1.0
#: A registered node announces itself this often, and is forgotten after three times that.
REGISTER_EVERY_S = 5.0
REGISTRATION_TTL_S = 15.0
#: Nodes that may register with one orchestrator.
MAX_REGISTRATIONS = 4096
#: How long a call waits for a node that is being connected, while none that is up has its method.
RECONNECT_WAIT_S = 2.0
#: How often names in ``dns://`` are looked up, and files in ``file:`` looked at.
RESOLVE_EVERY_S = 5.0
FILE_EVERY_S = 0.5


@dataclass(frozen=True)
class EngineLimits:
    """What one call may use.

    Attributes:
        time_s: wall and CPU seconds for one call.
        memory_bytes: JavaScript heap of one context.
        stack_bytes: engine stack; a fraction of the 8 MiB main thread stack, because a limit near
            the real size segfaults.
        result_bytes: longest JSON text of a result.
        message_chars: longest error message kept.
        stack_chars: longest JavaScript stack text kept.
    """

    time_s: float = 30.0
    memory_bytes: int = 64 * 1024 * 1024
    stack_bytes: int = 512 * 1024
    result_bytes: int = DEFAULT_MAX_FRAME
    message_chars: int = 8 * 1024
    stack_chars: int = 16 * 1024


@dataclass(frozen=True)
class PoolConfig:
    """The worker processes of a node.

    Attributes:
        isolation: ``context`` runs each call in a new context of a lasting process, ``snapshot`` in
            a new process forked from one that has the scripts loaded; ``auto`` takes snapshot where
            loading the scripts takes longer than a fork.
        size: worker processes.
        queue_size: calls that may wait for a worker; beyond it callers get ``Overloaded``.
        queue_bytes: bytes of waiting requests; bounds memory when calls are large.
        kill_grace_s: how long past the time limit a call may go on before its worker is killed.
        attempts: how many workers a call may kill before it is given up.
        recycle_calls: a worker that has run about this many calls is replaced while idle.
        recycle_bytes: so is one whose memory grew by this much since it was first seen idle.
        engine: what runs the scripts, one of ``madrpc.engine.choice.ENGINES``.
        sandbox: ``SANDBOX`` where workers get a filter of system calls, or why not; for people.
    """

    size: int
    queue_size: int
    queue_bytes: int = 256 * 1024 * 1024
    kill_grace_s: float = 0.25
    attempts: int = 2
    isolation: str = "auto"
    recycle_calls: int = 10_000
    recycle_bytes: int = 128 * 1024 * 1024
    sandbox: str = "off"
    engine: str = "quickjs"

    @property
    def sandboxed(self) -> bool:
        """Whether workers confine themselves."""
        return self.sandbox == SANDBOX


@dataclass(frozen=True)
class TlsFiles:
    """Certificate files in PEM form.

    Attributes:
        cert: this side's certificate, with those that lead to its authority.
        key: its private key, where that is not in the same file.
        ca: the authority that the other side's certificate must come from. A server that has one
            requires certificates from its callers.
    """

    cert: str | None = None
    key: str | None = None
    ca: str | None = None


@dataclass(frozen=True)
class Security:
    """How the two ends of a connection make sure of each other.

    Attributes:
        token: what a caller has to show; a server shows it to the servers that it calls itself.
        tls: certificates; with any of them every connection is encrypted.
    """

    token: str | None = field(default=None, repr=False)
    tls: TlsFiles | None = None

    @property
    def is_open(self) -> bool:
        """Whether callers have to show nothing."""
        return self.token is None and (self.tls is None or self.tls.ca is None)


@dataclass(frozen=True)
class ListenerConfig:
    """Where a server listens and what it accepts.

    Attributes:
        bind: address to bind; port 0 takes a free one.
        max_frame: largest frame accepted and sent, in bytes.
        max_connections: connections held at once.
        write_stall_s: a peer that takes no byte of its answers for this long is cut off.
        frame_timeout_s: so is one that takes longer over a frame, and a second more for each
            ``FRAME_BYTES_PER_S`` of it.
        security: what callers have to show, and what this server shows to those it calls.
        rate_limit: calls a second that one client address may make; None for any number.
        inherited: descriptors of listening sockets that whoever started the process opened for it;
            there may be one, and it is used instead of ``bind``.
    """

    bind: Address
    max_frame: int = DEFAULT_MAX_FRAME
    max_connections: int = 4096
    write_stall_s: float = 10.0
    frame_timeout_s: float = FRAME_TIMEOUT_S
    security: Security = field(default_factory=Security)
    rate_limit: float | None = None
    inherited: tuple[int, ...] = ()


@dataclass(frozen=True)
class NodeConfig:
    """Everything a node needs to know."""

    scripts: tuple[str, ...]
    listener: ListenerConfig
    pool: PoolConfig
    limits: EngineLimits = field(default_factory=EngineLimits)
    drain_timeout_s: float = 30.0
    #: Orchestrators to register with; the calls of functions go through them.
    orchestrators: tuple[Address, ...] = ()
    #: The address to register, where it is not the one listened on.
    advertise: Address | None = None
    #: Whether callers who may order may send other scripts.
    deployable: bool = False


@dataclass(frozen=True)
class OrchestratorConfig:
    """Everything an orchestrator needs to know.

    Attributes:
        nodes: where nodes are found: ``HOST:PORT``, ``file:PATH`` or ``dns://NAME:PORT``, as
            ``parse_node_source`` accepts them. Nodes may register besides.
        balance: ``round-robin`` or ``least-busy``.
        max_in_flight: calls forwarded and not yet answered; beyond it callers get ``Overloaded``.
        max_in_flight_bytes: the same for the bytes of these calls, which are kept so that they can
            be sent to another node.
    """

    nodes: tuple[str, ...]
    listener: ListenerConfig
    drain_timeout_s: float = 30.0
    balance: str = "round-robin"
    max_in_flight: int = 100_000
    max_in_flight_bytes: int = 1024 * 1024 * 1024
