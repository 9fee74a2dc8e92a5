"""``madrpc top`` on the full screen.

::

    Source (a thread) --events--> TopApp --> Monitor --> Panel, Grid of nodes, Grid of functions
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from madrpc.client.client import Client
from madrpc.policy.readings import MethodRow, Monitor, NodeRow, Reading, View
from madrpc.top import summary, words
from madrpc.top.grid import Grid, strip_of
from madrpc.top.screens import DetailsScreen, DrainScreen, HelpScreen, SortScreen
from madrpc.top.source import Answered, Details, Event, Lost, Ordered, Source
from madrpc.top.table import METHODS, NODES, Cell, Sorting

__all__ = ["TopApp"]

EXIT_INTERRUPTED = 130
_WINDOW_S = 1.0
#: From so many lines on there is room for larger graphs.
_TALL = 32
_GRAPH_LINES = 5
_KEYS = "h help  s sort  / filter  p pause  tab table  enter details  d drain  q quit"
_NO_NODES = "no nodes: name them with -n, or start them with --orchestrator"
_KEYS_NARROW = "h help  s sort  / filter  q quit"


class Feed(Protocol):
    """What asks the server; ``Source`` is it, tests have their own."""

    def start(self, first: Reading | None = None) -> None: ...
    def stop(self) -> None: ...
    def watch(self, address: str | None) -> None: ...
    def drain(self, address: str) -> None: ...


class News(Message):
    """Something has come from the source."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class Lines(Widget):
    """Lines of cells that another object makes for the width there is."""

    DEFAULT_CSS = "Lines { height: 1; }"

    def __init__(self, make: Callable[[int], Sequence[Sequence[Cell]]], id: str) -> None:
        super().__init__(id=id)
        self._make = make

    def render_line(self, y: int) -> Strip:
        """One of the lines."""
        lines = self._make(self.size.width)
        cells = lines[y] if y < len(lines) else ()
        return strip_of(cells).adjust_cell_length(self.size.width)


class TopApp(App[int]):
    """The live monitor of one server."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: transparent; }
    #filter { display: none; height: 1; border: none; padding: 0; background: $boost; }
    #filter.shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave(0)", show=False),
        Binding("ctrl+c", "leave(130)", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False),
        Binding("h,question_mark,f1", "help", show=False),
        Binding("p,space", "pause", show=False),
        Binding("s", "sort", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "clear_filter", show=False),
        Binding("d", "drain", show=False),
    ]

    def __init__(
        self,
        client: Client | None,
        first: Reading,
        address: str,
        interval_s: float,
        make_feed: Callable[[Callable[[Event], None]], Feed] | None = None,
    ) -> None:
        super().__init__(ansi_color=True)
        self._address = address
        self._first = first
        self._monitor = Monitor(_WINDOW_S)
        self._paused = False
        self._lost = ""
        self._notice = Cell("")
        self.view: View = self._monitor.take(first)
        self._latest = self.view
        self._rates: list[float | None] = []
        self._p95s: list[float | None] = []
        self._filtering = "nodes"
        if make_feed is not None:
            self._feed = make_feed(self._deliver)
        else:
            assert client is not None
            self._feed = Source(client, interval_s, self._deliver)

    def run_until_quit(self) -> int:
        """Run until somebody quits; return the exit status."""
        try:
            return self.run() or 0
        finally:
            self._feed.stop()

    # ------------------------------------------------------------- layout

    def compose(self) -> ComposeResult:
        yield Lines(self._title, "title")
        yield Lines(self._traffic, "traffic")
        yield Lines(self._latencies, "latencies")
        yield Lines(self._graphs, "graphs")
        yield Lines(lambda width: [self._section(self.nodes, summary.nodes_title)], "nodes-title")
        yield Grid(
            NODES,
            Sorting("NODE"),
            empty="no nodes: name them with -n, or start them with --orchestrator",
            id="nodes",
        )
        yield Lines(
            lambda width: [self._section(self.methods, summary.methods_title)], "methods-title"
        )
        yield Grid(METHODS, Sorting("CALL/S"), empty="no functions", id="methods")
        yield Input(id="filter", placeholder="words to look for", select_on_focus=False)
        yield Lines(self._footer, "footer")

    @property
    def nodes(self) -> Grid[NodeRow]:
        """The table of nodes."""
        return self.screen_stack[0].query_one("#nodes", Grid)

    @property
    def methods(self) -> Grid[MethodRow]:
        """The table of functions."""
        return self.screen_stack[0].query_one("#methods", Grid)

    @property
    def grid(self) -> Grid[Any]:
        """The table that keys are for."""
        return self.methods if self.methods.has_focus else self.nodes

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            # Only in the main thread of a process; a signal must not leave the terminal raw.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)
        self.nodes.focus()
        self._feed.start(self._first)
        self._show()

    def on_resize(self) -> None:
        self._share_out()

    def _signalled(self, number: int) -> None:
        self.exit(EXIT_INTERRUPTED if number == signal.SIGINT else 128 + number)

    def _share_out(self) -> None:
        """Give nodes and functions the lines that there are."""
        height = self.size.height
        tall = height >= _TALL
        graphs = self.screen_stack[0].query_one("#graphs")
        graphs.display = tall
        graphs.styles.height = _GRAPH_LINES if tall else 0
        shown = self.screen_stack[0].query_one("#filter").has_class("shown")
        left = height - (3 + (_GRAPH_LINES if tall else 0) + 2 + 1 + shown)
        wanted = self.nodes.lines_wanted
        # A line stays free between the tables where there is room.
        half = max(2, left // 2)
        given = min(wanted, max(half, left - self.methods.lines_wanted - 1))
        gap = 1 if left - given > self.methods.lines_wanted or left > 12 else 0
        self.nodes.styles.height = given + gap

    # --------------------------------------------------------------- lines

    def _title(self, width: int) -> list[list[Cell]]:
        note = Cell("")
        if self._lost:
            note = Cell("disconnected, trying again", "bad")
        elif self._paused:
            note = Cell("paused", "warn")
        return [summary.title(self._address, self.view, note, width)]

    def _traffic(self, width: int) -> list[list[Cell]]:
        return [summary.traffic(self.view, () if self.size.height >= _TALL else self._rates, width)]

    def _latencies(self, width: int) -> list[list[Cell]]:
        return [summary.latencies(self.view, width)]

    def _graphs(self, width: int) -> list[list[Cell]]:
        return [[], *summary.graphs(self._rates, self._p95s, width, _GRAPH_LINES - 1)]

    def _section(self, grid: Grid[Any], words_of: Callable[[View, int, str], str]) -> list[Cell]:
        text = words_of(self.view, len(grid.rows), grid.filter_text)
        return [Cell(text, "strong" if grid.has_focus else "")]

    def _footer(self, width: int) -> list[list[Cell]]:
        if self._lost:
            text = words.plain_text(self._lost)
            return [[Cell(words.clip(text, width), "bad")]]
        if self._notice.text:
            return [[Cell(words.clip(self._notice.text, width), self._notice.mood)]]
        keys = _KEYS if width >= len(_KEYS) else _KEYS_NARROW
        return [[Cell(words.clip(keys, width), "dim")]]

    # ---------------------------------------------------------------- news

    def _deliver(self, event: Event) -> None:
        """Called in the thread of the source."""
        self.post_message(News(event))

    def on_news(self, news: News) -> None:
        match news.event:
            case Answered(reading):
                self._lost = ""
                self._latest = self._monitor.take(reading)
            case Lost(reason):
                self._lost = reason
                self._monitor.missed()
            case Details() as details:
                if isinstance(self.screen, DetailsScreen) and not self._paused:
                    self.screen.take(details)
                return
            case Ordered(address, error):
                self._say(_outcome(address, error))
        self._show()

    def _show(self) -> None:
        """Draw what is known now."""
        if not self._paused:
            self.view = self._latest
            self._rates, self._p95s = list(self._monitor.rates), list(self._monitor.p95s)
            self.nodes.show(self.view.nodes)
            self.methods.show(self.view.methods)
            if isinstance(self.screen, DetailsScreen):
                self.screen.follow(self.view.nodes)
        self._share_out()
        self._redraw()

    def _redraw(self) -> None:
        for lines in self.screen_stack[0].query(Lines):
            lines.refresh()

    def _say(self, notice: Cell) -> None:
        """Show this instead of the keys for a while."""
        self._notice = notice
        self.set_timer(5.0, self._forget_notice)

    def _forget_notice(self) -> None:
        self._notice = Cell("")
        self._redraw()

    def on_grid_changed(self) -> None:
        self._share_out()
        self._redraw()

    def on_descendant_focus(self) -> None:
        self._redraw()

    # ------------------------------------------------------------- actions

    def action_leave(self, status: int) -> None:
        self.exit(status)

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._show()

    def action_sort(self) -> None:
        grid = self.grid

        def sort(sorting: Sorting | None) -> None:
            if sorting is not None:
                grid.sort(sorting)

        self.push_screen(SortScreen(grid.table, grid.sorting), sort)

    def action_filter(self) -> None:
        grid = self.grid
        box = self.query_one("#filter", Input)
        box.add_class("shown")
        self._filtering = grid.id or ""
        box.value = grid.filter_text
        box.focus()
        self._share_out()

    def action_clear_filter(self) -> None:
        if self._filter_box.has_class("shown"):
            self._filtered().filter("")
            self._close_filter()
        else:
            self.grid.filter("")

    def action_drain(self) -> None:
        row = self.nodes.chosen
        if row is None or self.grid is not self.nodes:
            self._say(Cell("choose a node to drain", "warn"))
            self._redraw()
            return

        def answer(sure: bool | None) -> None:
            if sure:
                self._feed.drain(row.address)

        self.push_screen(DrainScreen(row), answer)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is not self.nodes:
            return
        self._feed.watch(event.row.address)
        self.push_screen(DetailsScreen(event.row), lambda _: self._feed.watch(None))

    # -------------------------------------------------------------- filter

    @property
    def _filter_box(self) -> Input:
        return self.screen_stack[0].query_one("#filter", Input)

    def _filtered(self) -> Grid[Any]:
        """The table that the box filters."""
        return self.methods if self._filtering == "methods" else self.nodes

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._filter_box.has_class("shown"):
            self._filtered().filter(event.value)

    def on_input_submitted(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self._filter_box.remove_class("shown")
        self._filtered().focus()
        self._share_out()
        self._redraw()


def _outcome(address: str, error: str) -> Cell:
    shown = words.plain_text(address)
    if error:
        return Cell(f"{shown} was not drained: {words.plain_text(error)}", "bad")
    return Cell(f"{shown} drains: it ends its calls and stops", "good")
