"""What two answers to ``_metrics`` say about the time between them. Pure: no clock, no socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Counts", "Flow", "MethodRow", "Monitor", "NodeRow", "Reading", "View", "Workers",
           "counts_of", "flow_between"]  # fmt: skip

#: A server whose start seems to have moved by more than this was started anew.
_START_DRIFT_S = 2.0
_MOST_HISTORY = 400
#: Readings are up to a tick apart from where they should be; the window takes those in.
_SLACK = 1.05


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of one server, node or method at one time; ``started`` says since when they count.

    ``durations`` maps microseconds to how many calls took about so long; None where not told.
    """

    at: float
    started: float
    calls: int = 0
    errors: int = 0
    cpu_seconds: float | None = None
    durations: Mapping[float, int] | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """What passed in ``seconds``: rates for one second, times in milliseconds.

    A figure that is not known, or is that of no call, is None.
    """

    seconds: float = 0.0
    calls_per_s: float | None = None
    errors_per_s: float | None = None
    error_share: float | None = None
    cpu_percent: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


NO_FLOW = Flow()


@dataclass(frozen=True, slots=True)
class Workers:
    """Worker processes: wanted, ready, running a call, holding calls that wait, replaced so far."""

    size: int = 0
    ready: int = 0
    busy: int = 0
    parked: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node; ``answers`` is False where it told no figures this time."""

    address: str
    state: str
    error: str
    answers: bool
    version: str
    scripts: tuple[tuple[str, str], ...]
    in_flight: int
    queued: int
    calls: int
    errors: int
    rss_bytes: int | None
    uptime_s: float | None
    workers: Workers
    flow: Flow
    engine: str = ""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One function, as the server that is watched has seen it."""

    name: str
    calls: int
    errors: int
    max_ms: float
    errors_by_name: Mapping[str, int]
    flow: Flow


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown at one time. ``revision`` changes when the functions do."""

    role: str
    state: str
    revision: str
    uptime_s: float
    in_flight: int
    queued: int
    calls: int
    errors: int
    retries: int | None
    workers: Workers
    flow: Flow
    nodes: tuple[NodeRow, ...]
    methods: tuple[MethodRow, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer to ``_metrics``.

    Args:
        at: when it came, in seconds of a clock that never goes back.
        about: what else is known of the server: ``methods`` that can be called, and of a node its
            ``address``, ``version`` and ``scripts``.
    """

    at: float
    answer: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    at: float
    server: Counts
    nodes: Mapping[str, Counts]
    methods: Mapping[str, Counts]


class Monitor:
    """Keeps what is needed of the last readings, and says what they mean.

    Args:
        window_s: rates and percentiles are those of the last so many seconds, or of the time since
            the reading before if that is longer. 0 always takes the reading before.
    """

    def __init__(self, window_s: float = 0.0) -> None:
        self._window_s = window_s * _SLACK
        self._snapshots: deque[_Snapshot] = deque()
        #: For graphs: calls in a second, and p95 in milliseconds, of each interval.
        self.rates: deque[float | None] = deque(maxlen=_MOST_HISTORY)
        self.p95s: deque[float | None] = deque(maxlen=_MOST_HISTORY)

    def take(self, reading: Reading) -> View:
        """Add a reading and return what is to be shown now."""
        now = _snapshot(reading)
        kept = self._snapshots
        last = flow_between(kept[-1].server, now.server) if kept else NO_FLOW
        if kept:
            self.rates.append(last.calls_per_s)
            self.p95s.append(last.p95_ms)
        while len(kept) > 1 and kept[0].at < now.at - self._window_s:
            kept.popleft()
        view = _view(reading, now, kept)
        kept.append(now)
        return view

    def missed(self) -> None:
        """An interval has passed without an answer."""
        self.rates.append(None)
        self.p95s.append(None)


def flow_between(before: Counts | None, now: Counts) -> Flow:
    """What passed between two readings of the same counters."""
    if before is None or not _continues(before, now):
        return NO_FLOW
    seconds = now.at - before.at
    calls, errors = now.calls - before.calls, now.errors - before.errors
    cpu = None
    if now.cpu_seconds is not None and before.cpu_seconds is not None:
        cpu = max(0.0, 100 * (now.cpu_seconds - before.cpu_seconds) / seconds)
    p50, p95, p99 = _percentiles(before.durations, now.durations)
    return Flow(
        seconds=seconds,
        calls_per_s=calls / seconds,
        errors_per_s=errors / seconds,
        error_share=min(1.0, errors / calls) if calls else None,
        cpu_percent=cpu,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def _continues(before: Counts, now: Counts) -> bool:
    """Whether both are of the same run of the server, and time has passed."""
    return (
        now.at > before.at
        and abs(now.started - before.started) <= _START_DRIFT_S
        and now.calls >= before.calls
        and now.errors >= before.errors
    )


def _percentiles(
    before: Mapping[float, int] | None, now: Mapping[float, int] | None
) -> tuple[float | None, float | None, float | None]:
    if before is None or now is None:
        return None, None, None
    fresh = [(us, count - before.get(us, 0)) for us, count in sorted(now.items())]
    total = sum(count for _, count in fresh if count > 0)
    if not total:
        return None, None, None
    p50, p95, p99 = (_quantile(fresh, share * total) for share in (0.50, 0.95, 0.99))
    return p50, p95, p99


def _quantile(pairs: Iterable[tuple[float, int]], rank: float) -> float:
    """The milliseconds at which so many calls have been seen."""
    seen = 0
    last = 0.0
    for us, count in pairs:
        if count > 0 and seen < rank:
            seen += count
            last = us
    return last / 1000


# ------------------------------------------------------------ answers read


def counts_of(answer: Mapping[str, Any], at: float) -> Counts:
    """The server's own counters in an answer that came at this time."""
    return _counts(answer, at, at - answer.get("uptime_s", 0.0))


def _counts(figures: Mapping[str, Any], at: float, started: float) -> Counts:
    pairs = figures.get("durations")
    return Counts(
        at,
        started,
        figures.get("calls", 0),
        figures.get("errors", 0),
        figures.get("cpu_seconds"),
        None if pairs is None else dict(pairs),
    )


def _snapshot(reading: Reading) -> _Snapshot:
    at, answer = reading.at, reading.answer
    started = at - answer.get("uptime_s", 0.0)
    server = _counts(answer, at, started)
    if answer.get("role") == "node":
        nodes = {_own_address(reading): server}
    else:
        nodes = {
            row["address"]: _counts(figures, at, at - figures.get("uptime_s", 0.0))
            for row in answer.get("nodes", ())
            if (figures := row.get("metrics"))
        }
    methods = {name: _counts(row, at, started) for name, row in answer.get("methods", {}).items()}
    return _Snapshot(at, server, nodes, methods)


def _own_address(reading: Reading) -> str:
    return str(reading.about.get("address", "this node"))


def _view(reading: Reading, now: _Snapshot, kept: Sequence[_Snapshot]) -> View:
    answer = reading.answer
    server = _since(now.server, [each.server for each in kept])
    rows = [_own_row(reading)] if answer.get("role") == "node" else answer.get("nodes", ())
    return View(
        role=str(answer.get("role", "")),
        state=str(answer.get("state", "")),
        revision=str(answer.get("revision", "")),
        uptime_s=answer.get("uptime_s", 0.0),
        in_flight=answer.get("in_flight", 0),
        queued=answer.get("queued", 0) + answer.get("waiting", 0),
        calls=now.server.calls,
        errors=now.server.errors,
        retries=answer.get("retries"),
        workers=_workers(answer),
        flow=server,
        nodes=tuple(_node_row(row, now, kept) for row in rows),
        methods=tuple(_method_rows(reading, now, kept)),
    )


def _since(now: Counts, earlier: Iterable[Counts | None]) -> Flow:
    """The flow since the earliest reading that belongs to the same run."""
    for before in earlier:
        if before is not None and _continues(before, now):
            return flow_between(before, now)
    return NO_FLOW


def _workers(figures: Mapping[str, Any]) -> Workers:
    found = figures.get("workers")
    if not isinstance(found, Mapping):
        return Workers()
    return Workers(*(int(found.get(key, 0)) for key in Workers.__slots__))


def _own_row(reading: Reading) -> dict[str, Any]:
    """A node that is watched itself, as an orchestrator would tell of it."""
    answer, about = reading.answer, reading.about
    return {
        "address": _own_address(reading),
        "state": answer.get("state", ""),
        "version": about.get("version", ""),
        "scripts": about.get("scripts", []),
        "engine": about.get("engine", ""),
        "in_flight": answer.get("in_flight", 0),
        "metrics": answer,
    }


def _node_row(row: Mapping[str, Any], now: _Snapshot, kept: Sequence[_Snapshot]) -> NodeRow:
    address = row["address"]
    figures = row.get("metrics") or {}
    counts = now.nodes.get(address)
    flow = _since(counts, [each.nodes.get(address) for each in kept]) if counts else NO_FLOW
    workers = _workers(figures) if figures else Workers(size=int(row.get("workers", 0)))
    return NodeRow(
        address=address,
        state=row.get("state", ""),
        error=row.get("error", ""),
        answers=bool(figures),
        version=row.get("version", ""),
        scripts=tuple((each["name"], each["sha256"]) for each in row.get("scripts", ())),
        in_flight=row.get("in_flight", 0),
        queued=figures.get("queued", 0),
        calls=figures.get("calls", row.get("calls", 0)),
        errors=figures.get("errors", 0),
        rss_bytes=figures.get("rss_bytes"),
        uptime_s=figures.get("uptime_s"),
        workers=workers,
        flow=flow,
        engine=str(row.get("engine", "")),
    )


def _method_rows(
    reading: Reading, now: _Snapshot, kept: Sequence[_Snapshot]
) -> Iterable[MethodRow]:
    """Functions that were called, and those that can be."""
    told = reading.answer.get("methods", {})
    for name, row in told.items():
        yield MethodRow(
            name=name,
            calls=row.get("calls", 0),
            errors=row.get("errors", 0),
            max_ms=row.get("max_ms", 0.0),
            errors_by_name=row.get("errors_by_name", {}),
            flow=_method_flow(name, now, kept),
        )
    idle = replace(NO_FLOW, calls_per_s=0.0) if kept else NO_FLOW
    for name in reading.about.get("methods", ()):
        if name not in told:
            yield MethodRow(name, 0, 0, 0.0, {}, idle)


def _method_flow(name: str, now: _Snapshot, kept: Sequence[_Snapshot]) -> Flow:
    """A function that was not told of before had not been called then."""
    return _since(
        now.methods[name],
        [
            each.methods.get(name, Counts(each.at, each.server.started, durations={}))
            for each in kept
        ],
    )
