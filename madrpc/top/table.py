"""The tables of nodes and of functions: columns, order, filter, and what fits a width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from madrpc.policy.readings import MethodRow, NodeRow
from madrpc.top import words

__all__ = ["METHODS", "NODES", "Cell", "Column", "Sorting", "Table", "fit", "header", "line",
           "matching", "ordered"]  # fmt: skip

Row = TypeVar("Row", bound=NodeRow | MethodRow)

#: A column's name takes no less than this, however many figures stand beside it.
_LEAST_NAME = 12
#: A longer one gives way to figures, an address of IPv4 does not.
_NAME = 23


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and what it means: ``""``, ``good``, ``warn``, ``bad`` or ``dim``."""

    text: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column.

    Args:
        rank: columns of the highest rank are left out first where not all fit.
        width: of the figures; the first column of a table takes what is left over.
        key: what rows are sorted by; None sorts last.
        grows: take more than ``width`` where a row needs it: half a number is another number.
        up: whether the smallest come first unless the order is reversed.
    """

    title: str
    about: str
    rank: int
    width: int
    cell: Callable[[Row], Cell]
    key: Callable[[Row], Any]
    up: bool = False
    left: bool = False
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """The columns of one kind of row; ``words`` is the text that a filter looks at."""

    columns: tuple[Column[Row], ...]
    words: Callable[[Row], str]
    name: Callable[[Row], str]

    def titled(self, title: str) -> Column[Row]:
        """The column with this title."""
        return next(column for column in self.columns if column.title == title)


@dataclass(frozen=True, slots=True)
class Sorting:
    """Which column rows are sorted by, and whether the other way round."""

    title: str
    reverse: bool = False


def ordered(table: Table[Row], rows: Iterable[Row], by: Sorting) -> list[Row]:
    """The rows in order; those without a value come last, equal ones by name."""
    column = table.titled(by.title)
    named = sorted(rows, key=lambda row: _natural(table.name(row)))
    known = [row for row in named if column.key(row) is not None]
    known.sort(key=column.key, reverse=column.up is by.reverse)
    return known + [row for row in named if column.key(row) is None]


def matching(table: Table[Row], rows: Iterable[Row], text: str) -> list[Row]:
    """The rows that have every word of the text in them, whatever its case."""
    wanted = text.lower().split()
    return [row for row in rows if all(word in table.words(row).lower() for word in wanted)]


def fit(table: Table[Row], rows: Sequence[Row], width: int) -> list[tuple[Column[Row], int]]:
    """The columns that fit, and how wide each is; the first is always there."""
    first = table.columns[0]
    wanted = max((words.width_of(table.name(row)) for row in rows), default=0)
    name = max(_LEAST_NAME, min(wanted, max(_NAME, width // 4)))
    needs = {column.title: _needed(column, rows) for column in table.columns[1:]}
    chosen = {first.title}
    left = width - name
    for column in sorted(table.columns[1:], key=lambda column: column.rank):
        if needs[column.title] + 1 > left:
            break
        chosen.add(column.title)
        left -= needs[column.title] + 1
    shown = [column for column in table.columns if column.title in chosen]
    name = min(width, max(name, min(wanted, name + left)))
    spare = width - name - sum(needs[column.title] + 1 for column in shown[1:])
    # Room that nobody needs goes between the figures, a column at most each.
    wider = 1 if spare >= len(shown) - 1 else 0
    return [(c, name if c is first else needs[c.title] + wider) for c in shown]


def _needed(column: Column[Row], rows: Sequence[Row]) -> int:
    if not column.grows:
        return column.width
    longest = max((words.width_of(column.cell(row).text) for row in rows), default=0)
    return max(column.width, longest)


def header(shown: Sequence[tuple[Column[Row], int]], by: Sorting) -> str:
    """The line of titles; an arrow marks what the rows are sorted by."""
    return " ".join(
        words.pad(_marked(column, by), width, right=not column.left) for column, width in shown
    )


def _marked(column: Column[Row], by: Sorting) -> str:
    if column.title != by.title:
        return column.title
    return column.title + ("▲" if column.up is not by.reverse else "▼")


def line(shown: Sequence[tuple[Column[Row], int]], row: Row) -> list[Cell]:
    """The cells of a row, each as wide as its column."""
    cells = []
    for column, width in shown:
        cell = column.cell(row)
        text = words.plain_text(cell.text)
        padded = words.pad(text, width, right=not column.left, keep_end=column.left)
        cells.append(Cell(padded, cell.mood))
    return cells


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts ``node-9`` before ``node-10``."""
    parts: list[str] = [""]
    for char in text:
        if parts[-1][-1:].isdecimal() is char.isdecimal():
            parts[-1] += char
        else:
            parts.append(char)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)


# ------------------------------------------------------------------- nodes

_STATES = {"up": "good", "down": "bad", "ejected": "bad", "": ""}


def _state(row: NodeRow) -> Cell:
    return Cell(row.state, _STATES.get(row.state, "warn"))


def _workers(row: NodeRow) -> Cell:
    workers = row.workers
    if not row.answers:
        return Cell(f"-/{workers.size}", "dim")
    if workers.ready < workers.size:
        return Cell(f"{workers.busy}/{workers.ready}", "warn")
    return Cell(f"{workers.busy}/{workers.size}")


def _cpu(row: NodeRow) -> Cell:
    share = row.flow.cpu_percent
    return Cell("-" if share is None else f"{share:.0f}")


def _errors_cell(share: float | None) -> Cell:
    return Cell(words.percent(share), "bad" if share else "")


def _script(row: NodeRow) -> Cell:
    if not row.scripts:
        return Cell("-", "dim")
    more = f"+{len(row.scripts) - 1}" if len(row.scripts) > 1 else ""
    return Cell(row.scripts[0][1][: 8 - len(more)] + more)


def _count(value: float, answers: bool = True) -> Cell:
    return Cell(words.decimal(value) if answers else "-")


def _whole(value: int) -> str:
    return str(value) if value < 100_000 else words.decimal(value)


NODES: Table[NodeRow] = Table(
    columns=(
        Column("NODE", "address of the node", 0, 0, lambda r: Cell(r.address),
               lambda r: _natural(r.address), up=True, left=True),
        Column("STATE", "what the orchestrator believes of it", 1, 8, _state,
               lambda r: r.state, up=True, left=True, grows=True),
        Column("WRK", "workers that run a call, of all", 2, 5, _workers,
               lambda r: r.workers.busy if r.answers else None, grows=True),
        Column("CPU%", "of one processor, all its processes together", 4, 5, _cpu,
               lambda r: r.flow.cpu_percent),
        Column("RSS", "memory of all its processes", 5, 5, lambda r: Cell(words.size(r.rss_bytes)),
               lambda r: r.rss_bytes),
        Column("CALL/S", "calls ended in a second", 2,  7,
               lambda r: Cell(words.rate(r.flow.calls_per_s)), lambda r: r.flow.calls_per_s),
        Column("P50", "half of the calls took no longer", 10, 6,
               lambda r: Cell(words.milliseconds(r.flow.p50_ms)), lambda r: r.flow.p50_ms),
        Column("P95", "95 of 100 calls took no longer", 3, 6,
               lambda r: Cell(words.milliseconds(r.flow.p95_ms)), lambda r: r.flow.p95_ms),
        Column("P99", "99 of 100 calls took no longer", 11, 6,
               lambda r: Cell(words.milliseconds(r.flow.p99_ms)), lambda r: r.flow.p99_ms),
        Column("ERR%", "calls that ended in an error, of 100", 3, 4,
               lambda r: _errors_cell(r.flow.error_share), lambda r: r.flow.error_share),
        Column("QUEUE", "calls that wait for a worker", 7, 5,
               lambda r: _count(r.queued, r.answers), lambda r: r.queued if r.answers else None),
        Column("CALLS", "calls since it was started", 9, 8, lambda r: Cell(_whole(r.calls)),
               lambda r: r.calls),
        Column("ERRORS", "errors since it was started", 8, 7,
               lambda r: Cell(_whole(r.errors) if r.answers else "-"),
               lambda r: r.errors if r.answers else None),
        Column("RESTARTS", "workers replaced since it was started", 12, 8,
               lambda r: _count(r.workers.restarts, r.answers),
               lambda r: r.workers.restarts if r.answers else None),
        Column("UP", "how long it has run", 13, 6, lambda r: Cell(words.span(r.uptime_s)),
               lambda r: r.uptime_s),
        Column("SCRIPT", "hash of its first script", 6, 8, _script,
               lambda r: r.scripts[0][1] if r.scripts else None, up=True, left=True),
    ),
    words=lambda r: " ".join((r.address, r.state, *(part for s in r.scripts for part in s))),
    name=lambda r: r.address,
)  # fmt: skip


# ----------------------------------------------------------------- methods

METHODS: Table[MethodRow] = Table(
    columns=(
        Column("METHOD", "name of the function", 0, 0,
               lambda r: Cell(r.name, "" if r.calls else "dim"),
               lambda r: _natural(r.name), up=True, left=True),
        Column("CALL/S", "calls ended in a second", 1, 7,
               lambda r: Cell(words.rate(r.flow.calls_per_s)), lambda r: r.flow.calls_per_s),
        Column("P50", "half of the calls took no longer", 4, 6,
               lambda r: Cell(words.milliseconds(r.flow.p50_ms)), lambda r: r.flow.p50_ms),
        Column("P95", "95 of 100 calls took no longer", 2, 6,
               lambda r: Cell(words.milliseconds(r.flow.p95_ms)), lambda r: r.flow.p95_ms),
        Column("P99", "99 of 100 calls took no longer", 5, 6,
               lambda r: Cell(words.milliseconds(r.flow.p99_ms)), lambda r: r.flow.p99_ms),
        Column("ERR%", "calls that ended in an error, of 100", 3, 4,
               lambda r: _errors_cell(r.flow.error_share), lambda r: r.flow.error_share),
        Column("MAX", "the longest call since the start", 8, 6,
               lambda r: Cell(words.milliseconds(r.max_ms if r.calls else None)),
               lambda r: r.max_ms if r.calls else None),
        Column("CALLS", "calls since the start", 6, 8, lambda r: Cell(_whole(r.calls)),
               lambda r: r.calls),
        Column("ERRORS", "errors since the start", 7, 7,
               lambda r: Cell(_whole(r.errors), "warn" if r.errors else ""), lambda r: r.errors),
        Column("MOST FREQUENT ERROR", "the error it ended in most often", 9, 22,
               lambda r: Cell(_frequent(r)), lambda r: _frequent(r) or None, up=True, left=True),
    ),
    words=lambda r: " ".join((r.name, *r.errors_by_name)),
    name=lambda r: r.name,
)  # fmt: skip


def _frequent(row: MethodRow) -> str:
    return max(row.errors_by_name, key=lambda name: row.errors_by_name[name], default="")
