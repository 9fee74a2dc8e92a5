"""A table on the screen: rows that scroll under a line of titles, one of them chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from madrpc.top.table import (
    Cell,
    Column,
    Row,
    Sorting,
    Table,
    fit,
    header,
    line,
    matching,
    ordered,
)

__all__ = ["MOODS", "Grid", "strip_of"]

#: How meanings look; each is clear without colour too, by its words.
MOODS = {
    "": Style(),
    "dim": Style(color="bright_black"),
    "strong": Style(bold=True),
    "good": Style(color="green"),
    "warn": Style(color="yellow", bold=True),
    "bad": Style(color="red", bold=True),
    "graph": Style(color="cyan"),
}
_TITLES = Style(bold=True, underline=True)
_CHOSEN = Style(reverse=True)


def strip_of(cells: Iterable[Cell], style: Style | None = None) -> Strip:
    """The cells as one line of a widget."""
    return Strip([Segment(cell.text, style or MOODS[cell.mood]) for cell in cells])


class Grid(ScrollView, Generic[Row], can_focus=True):
    """Rows of one table. What is chosen stays chosen while rows move, come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "edge(0)", show=False),
        Binding("end,G", "edge(-1)", show=False),
        Binding("enter", "open", show=False),
        Binding("less_than_sign", "sort_by(-1)", show=False),
        Binding("greater_than_sign", "sort_by(1)", show=False),
        Binding("r", "reverse", show=False),
    ]
    DEFAULT_CSS = """
    Grid { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; background: transparent; }
    """

    class Opened(Message):
        """The chosen row was picked; ``row`` is it."""

        def __init__(self, grid: Grid[Any], row: Any) -> None:
            super().__init__()
            self.grid = grid
            self.row = row

    class Changed(Message):
        """Rows are in another order, or others are shown."""

    def __init__(self, table: Table[Row], sorting: Sorting, *, empty: str, id: str) -> None:
        super().__init__(id=id)
        self.table: Table[Row] = table
        self.sorting = sorting
        self.filter_text = ""
        self.rows: list[Row] = []
        self._all: Sequence[Row] = ()
        self._empty = empty
        self._chosen = ""
        self._shown: list[tuple[Column[Row], int]] = []

    # -------------------------------------------------------------- rows

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows from now on."""
        self._all = rows
        self._arrange()

    def filter(self, text: str) -> None:
        """Show only rows that have every word of the text in them."""
        self.filter_text = text
        self._arrange()
        self.post_message(self.Changed())

    def sort(self, sorting: Sorting) -> None:
        """Sort the rows by a column."""
        self.sorting = sorting
        self._arrange()
        self.post_message(self.Changed())

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        index = self.cursor
        return self.rows[index] if index is not None else None

    @property
    def cursor(self) -> int | None:
        """The place of the chosen row, None if there is no row."""
        for index, row in enumerate(self.rows):
            if self.table.name(row) == self._chosen:
                return index
        return 0 if self.rows else None

    @property
    def lines_wanted(self) -> int:
        """Titles, and all rows or the word that there are none."""
        return 1 + max(1, len(self.rows))

    def _arrange(self) -> None:
        self.rows = ordered(
            self.table, matching(self.table, self._all, self.filter_text), self.sorting
        )
        # All rows, not those the filter leaves: columns had better stay where they are.
        self._shown = fit(self.table, self._all, max(1, self.size.width - 1))
        self.virtual_size = Size(self.size.width, self.lines_wanted)
        self.refresh()

    # ------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        """One line: the titles stay on top."""
        width = self.size.width
        if y == 0:
            style = _TITLES if self.has_focus else MOODS["strong"]
            text = header(self._shown, self.sorting)
            return Strip([Segment(text, style)]).adjust_cell_length(width)
        index = y - 1 + self.scroll_offset.y
        if not self.rows and y == 1:
            text = f"no match for {self.filter_text!r}" if self._all else self._empty
            return Strip([Segment(text, MOODS["dim"])]).adjust_cell_length(width)
        if index >= len(self.rows):
            return Strip.blank(width)
        return self._row(index).adjust_cell_length(width)

    def _row(self, index: int) -> Strip:
        cells = line(self._shown, self.rows[index])
        if index == self.cursor and self.has_focus:
            text = " ".join(cell.text for cell in cells)
            return Strip([Segment(text.ljust(self.size.width), _CHOSEN)])
        return strip_of(part for cell in cells for part in (cell, Cell(" ")))

    def on_resize(self) -> None:
        self._arrange()
        self._keep_in_sight()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # ----------------------------------------------------------- the mouse

    def on_click(self, event: events.Click) -> None:
        """Titles sort, again the other way; rows are chosen, and opened by a second click."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y == 0:
            self._click_title(place.x)
            return
        index = place.y - 1 + self.scroll_offset.y
        if index < len(self.rows):
            self._choose(index)
            if event.chain == 2:
                self.action_open()

    def _click_title(self, x: int) -> None:
        for column, width in self._shown:
            if x < width:
                same = column.title == self.sorting.title
                self.sort(Sorting(column.title, same and not self.sorting.reverse))
                return
            x -= width + 1

    # ------------------------------------------------------------- actions

    def action_move(self, step: int) -> None:
        if (cursor := self.cursor) is not None:
            self._choose(cursor + step)

    def action_page(self, step: int) -> None:
        self.action_move(step * max(1, self.size.height - 2))

    def action_edge(self, index: int) -> None:
        self._choose(index % len(self.rows) if self.rows else 0)

    def action_open(self) -> None:
        if (row := self.chosen) is not None:
            self.post_message(self.Opened(self, row))

    def action_sort_by(self, step: int) -> None:
        titles = [column.title for column, _ in self._shown]
        here = titles.index(self.sorting.title) if self.sorting.title in titles else 0
        self.sort(Sorting(titles[(here + step) % len(titles)]))

    def action_reverse(self) -> None:
        self.sort(Sorting(self.sorting.title, not self.sorting.reverse))

    def _choose(self, index: int) -> None:
        if not self.rows:
            return
        index = max(0, min(index, len(self.rows) - 1))
        self._chosen = self.table.name(self.rows[index])
        self._keep_in_sight()
        self.refresh()

    def _keep_in_sight(self) -> None:
        if (cursor := self.cursor) is None:
            return
        height = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if cursor < top:
            self.scroll_to(y=cursor, animate=False)
        elif cursor >= top + height:
            self.scroll_to(y=cursor - height + 1, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        # Lines of the grid move, its titles do not: all of it is drawn anew.
        self.refresh(Region(0, 0, self.size.width, self.size.height))
