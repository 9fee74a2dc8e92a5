"""What opens over the tables: help, the choice of a column, a node's details, a question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from madrpc.policy.readings import NodeRow
from madrpc.top import words
from madrpc.top.source import Details
from madrpc.top.table import Sorting, Table

__all__ = ["DetailsScreen", "DrainScreen", "HelpScreen", "SortScreen"]

_KEYS = (
    ("up down pgup pgdn", "choose a row; home and end go to the edges"),
    ("tab", "the other table"),
    ("enter", "details of the chosen node"),
    ("s", "choose the column to sort by"),
    ("< >", "sort by the column to the left or right"),
    ("r", "sort the other way round"),
    ("/", "show only rows with these words; esc shows all"),
    ("p  space", "pause: the figures stand still"),
    ("d", "drain the chosen node: it ends its calls and stops"),
    ("h  ?", "this help"),
    ("q  ctrl+c", "quit"),
)
_FIGURES = (
    "Rates, percentiles and CPU are those of the last second, or of the interval if that is "
    "longer. CPU% is of one processor: 400 are four of them. ERR% is the share of calls that "
    "ended in an error. A dash stands for what is not known, or for no call. A column that is "
    "not shown for lack of room can be sorted by all the same. Clicks work too."
)
_PANEL = """
    align: center middle;
    & > .panel {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; padding: 0 1; background: $surface;
    }
"""


class _Panel(ModalScreen[Any]):
    """A box over the tables that esc and q close."""

    DEFAULT_CSS = "_Panel {" + _PANEL + "}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,h,question_mark", "close", show=False)
    ]

    def action_close(self) -> None:
        self.dismiss(None)


class HelpScreen(_Panel):
    """Keys, and what the figures mean."""

    def compose(self) -> ComposeResult:
        text = Text()
        for keys, meaning in _KEYS:
            text.append(f"{keys:<18}", "bold")
            text.append(f"{meaning}\n")
        text.append(f"\n{_FIGURES}")
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "madrpc top: keys"
            panel.border_subtitle = "esc closes"
            yield Static(text)


class SortScreen(_Panel):
    """The columns of a table, those that are not shown too."""

    DEFAULT_CSS = """
    SortScreen OptionList { padding: 0; height: auto; max-height: 100%; background: transparent; }
    SortScreen OptionList, SortScreen OptionList:focus { border: none; }
    """

    def __init__(self, table: Table[Any], sorting: Sorting) -> None:
        super().__init__()
        self._table = table
        self._sorting = sorting

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "sort by"
            panel.border_subtitle = "enter picks, esc closes"
            yield OptionList(
                *(
                    Option(Text(f"{column.title:<20} {column.about}"), id=str(number))
                    for number, column in enumerate(self._table.columns)
                )
            )

    def on_mount(self) -> None:
        titles = [column.title for column in self._table.columns]
        options = self.query_one(OptionList)
        options.highlighted = titles.index(self._sorting.title)
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        title = self._table.columns[int(event.option.id or 0)].title
        again = title == self._sorting.title
        self.dismiss(Sorting(title, again and not self._sorting.reverse))


class DrainScreen(_Panel):
    """Asks before a node is told to drain; the answer is True or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", show=False),
        Binding("n", "close", show=False),
    ]

    def __init__(self, row: NodeRow) -> None:
        super().__init__()
        self._row = row

    def compose(self) -> ComposeResult:
        row = self._row
        text = Text()
        text.append(words.plain_text(row.address), "bold")
        text.append(" takes no new calls then, ends the ")
        text.append(f"{row.in_flight + row.queued} it has, and stops. ")
        text.append("Whoever started it decides whether it starts again.\n\n")
        text.append("y", "bold")
        text.append(" drain it    ")
        text.append("n", "bold")
        text.append(" leave it as it is")
        with Vertical(classes="panel") as panel:
            panel.border_title = "drain this node?"
            yield Static(text)

    def action_yes(self) -> None:
        self.dismiss(True)


class DetailsScreen(_Panel):
    """One node: its state, its worker processes, its functions."""

    DEFAULT_CSS = "DetailsScreen > .panel { width: 100; height: 90%; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "close", show=False)]

    def __init__(self, row: NodeRow) -> None:
        super().__init__()
        self.address = row.address
        self._row: NodeRow | None = row
        self._before: Details | None = None
        self._details: Details | None = None
        self._text = Static()

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "node"
            panel.border_subtitle = "esc closes"
            yield self._text

    def on_mount(self) -> None:
        self._draw()

    def follow(self, rows: Iterable[NodeRow]) -> None:
        """The tables have news."""
        self._row = next((row for row in rows if row.address == self.address), None)
        self._draw()

    def take(self, details: Details) -> None:
        """The node has said more of itself."""
        if details.address == self.address:
            self._before, self._details = self._details, details
            self._draw()

    def _draw(self) -> None:
        text = Text()
        text.append(words.plain_text(self.address) + "\n", "bold")
        if self._row is None:
            text.append("the orchestrator knows it no longer")
        else:
            _draw_row(text, self._row)
        if self._details is not None:
            _draw_details(text, self._details, self._before)
        self._text.update(text)


def _draw_row(text: Text, row: NodeRow) -> None:
    reason = f": {words.plain_text(row.error)}" if row.error else ""
    facts = (
        ("state", f"{row.state}{reason}"),
        ("version", f"{words.plain_text(row.version)}   up {words.span(row.uptime_s)}"),
        *(_figures_of(row) if row.answers else [("figures", "it tells none")]),
        *(("script", f"{words.plain_text(name)} {sha[:16]}") for name, sha in row.scripts),
    )
    for name, value in facts:
        text.append(f"{name:<9}", "bright_black")
        text.append(f"{value}\n")


def _figures_of(row: NodeRow) -> list[tuple[str, str]]:
    flow, workers = row.flow, row.workers
    return [
        ("workers", f"{workers.size} wanted, {workers.ready} ready, {workers.busy} busy, "
                    f"{workers.parked} calls parked, {workers.restarts} replaced"),
        ("use", f"CPU {words.rate(flow.cpu_percent)} %   memory {words.size(row.rss_bytes)}"),
        ("calls", f"{words.rate(flow.calls_per_s)}/s   {row.in_flight} in flight   "
                  f"{row.queued} queued   {row.calls} in all"),
        ("errors", f"{words.percent(flow.error_share)} %   {row.errors} in all"),
        ("latency", f"p50 {words.milliseconds(flow.p50_ms)}   p95 "
                    f"{words.milliseconds(flow.p95_ms)}   p99 {words.milliseconds(flow.p99_ms)}"),
    ]  # fmt: skip


def _draw_details(text: Text, details: Details, before: Details | None) -> None:
    figures = details.figures
    if figures is None:
        text.append(f"\n{words.plain_text(details.error)}\n", "yellow")
        return
    earlier = _cpu_by_pid(before)
    seconds = details.at - before.at if before is not None else 0.0
    text.append(f"\n{'PID':>9} {'STATE':<9} {'CPU%':>5} {'RSS':>6} {'CALLS':>9}\n", "bold")
    for row in figures["workers"].get("processes", ()):
        share = None
        if row["pid"] in earlier and seconds > 0:
            share = max(0.0, 100 * (row["cpu_seconds"] - earlier[row["pid"]]) / seconds)
        text.append(
            f"{row['pid']:>9} {row['state']:<9} {words.rate(share):>5} "
            f"{words.size(row['rss_bytes']):>6} {row['calls']:>9}\n"
        )
    _draw_methods(text, figures.get("methods", {}))


def _cpu_by_pid(details: Details | None) -> dict[int, float]:
    if details is None or details.figures is None:
        return {}
    rows = details.figures["workers"].get("processes", ())
    return {row["pid"]: row["cpu_seconds"] for row in rows}


def _draw_methods(text: Text, methods: dict[str, Any]) -> None:
    title = f"{'CALLS':>9} {'ERRORS':>7} {'P50':>7} {'P95':>7} {'MAX':>7}  METHOD"
    text.append(f"\n{title}, since it was started\n", "bold")
    if not methods:
        text.append("no calls yet\n", "bright_black")
    for name, row in sorted(methods.items(), key=lambda item: -item[1]["calls"]):
        times = " ".join(
            f"{words.milliseconds(row[key]):>7}" for key in ("p50_ms", "p95_ms", "max_ms")
        )
        shown = words.plain_text(name)
        text.append(f"{row['calls']:>9} {row['errors']:>7} {times}  {shown}\n")
