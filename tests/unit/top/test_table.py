from __future__ import annotations

from collections.abc import Sequence

import pytest

from madrpc.policy.readings import MethodRow, Monitor, NodeRow
from madrpc.top import words
from madrpc.top.table import METHODS, NODES, Sorting, fit, header, line, matching, ordered
from tests.readings import figures, method, node, orchestrator, workers


def nodes() -> Sequence[NodeRow]:
    monitor = Monitor()
    monitor.take(orchestrator(100.0, [node(f"n-{n}:1") for n in (1, 2, 9, 10)]))
    rows = [
        node("n-10:1", calls=5, uptime_s=61.0),
        node("n-9:1", calls=50, errors=5, uptime_s=61.0),
        node("n-2:1", "down", answers=False),
        node("n-1:1", calls=20, uptime_s=61.0),
    ]
    return monitor.take(orchestrator(101.0, rows)).nodes


def names(rows: Sequence[NodeRow | MethodRow]) -> list[str]:
    return [row.address[2:-2] if isinstance(row, NodeRow) else row.name for row in rows]


@pytest.mark.parametrize(
    ("sorting", "order"),
    [
        (Sorting("NODE"), ["1", "2", "9", "10"]),
        (Sorting("NODE", True), ["10", "9", "2", "1"]),
        (Sorting("CALL/S"), ["9", "1", "10", "2"]),
        (Sorting("CALL/S", True), ["10", "1", "9", "2"]),
        (Sorting("STATE"), ["2", "1", "9", "10"]),
        (Sorting("ERR%"), ["9", "1", "10", "2"]),
    ],
)
def test_rows_are_sorted_and_those_without_a_value_come_last(sorting, order):
    assert names(ordered(NODES, nodes(), sorting)) == order


@pytest.mark.parametrize("table", [NODES, METHODS])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_column_can_be_sorted_by(table, reverse):
    methods = {"a": method(5, 1), "b": method(0), "c10": method(7), "c9": method(7, 7)}
    monitor = Monitor()
    view = monitor.take(orchestrator(100.0, [node("x:1"), node("y:1", "down", False)], methods))
    rows = view.nodes if table is NODES else view.methods
    for column in table.columns:
        found = ordered(table, rows, Sorting(column.title, reverse))
        assert sorted(names(found)) == sorted(names(rows))


def test_filters_look_for_every_word_in_any_case():
    rows = nodes()
    assert names(matching(NODES, rows, "")) == names(rows)
    assert names(matching(NODES, rows, "N-1")) == ["10", "1"]
    assert names(matching(NODES, rows, "down")) == ["2"]
    assert names(matching(NODES, rows, "pi.js n-9")) == ["9"]
    assert matching(NODES, rows, "nowhere") == []
    bad = Monitor().take(orchestrator(methods={"a": method(1, 1), "b": method(1)})).methods
    assert names(matching(METHODS, bad, "javascripterror")) == ["a"]


@pytest.mark.parametrize("width", [1, 5, 12, 20, 40, 60, 80, 100, 160, 300])
@pytest.mark.parametrize("name", ["a:1", "very-long-name-" * 8 + ":9001", "円周率" * 20])
def test_lines_never_are_wider_than_the_screen(width, name):
    monitor = Monitor()
    huge = figures(10**9, 10**9)
    monitor.take(orchestrator(100.0, [node(name)], {name: method()}))
    view = monitor.take(
        orchestrator(101.0, [node(name, calls=10**9, errors=10**9)], {name: method(10**9)}, **huge)
    )
    for table, rows in ((NODES, view.nodes), (METHODS, view.methods)):
        shown = fit(table, rows, width)
        assert words.width_of(header(shown, Sorting("CALL/S"))) <= width
        text = " ".join(cell.text for cell in line(shown, rows[0]))
        assert words.width_of(text) <= width


def test_80_columns_show_what_is_asked_for_most():
    (row,) = Monitor().take(orchestrator(nodes=[node("192.168.100.100:9001")])).nodes
    titles = [column.title for column, _ in fit(NODES, [row], 79)]
    assert titles[:9] == [
        "NODE", "STATE", "WRK", "CPU%", "RSS", "CALL/S", "P95", "ERR%", "SCRIPT",
    ]  # fmt: skip
    assert [column.title for column, _ in fit(NODES, [row], 159)] == [
        column.title for column in NODES.columns
    ]


def test_long_names_give_way_to_figures():
    (row,) = Monitor().take(orchestrator(nodes=[node("a-very-long-name.of-a-host:9001")])).nodes
    titles = [column.title for column, _ in fit(NODES, [row], 79)]
    assert titles[-1] == "SCRIPT"


def test_no_number_is_cut():
    many = {**workers(256, 128), "ready": 256}
    rows = Monitor().take(orchestrator(nodes=[node("a:1", "connecting", workers=many)])).nodes
    cells = line(fit(NODES, rows, 80), rows[0])
    assert [cell.text.strip() for cell in cells[1:3]] == ["connecting", "128/256"]


def test_the_title_sorted_by_has_an_arrow():
    shown = fit(NODES, nodes(), 80)
    assert "NODE▲" in header(shown, Sorting("NODE"))
    assert "NODE▼" in header(shown, Sorting("NODE", True))
    assert "CALL/S▼" in header(shown, Sorting("CALL/S"))


def test_cells_tell_what_is_wrong():
    up, busy, down, _ = nodes()
    cells = {
        name: {column.title: column.cell(row) for column in NODES.columns}
        for name, row in (("up", up), ("busy", busy), ("down", down))
    }
    assert cells["up"]["STATE"].mood == "good"
    assert cells["down"]["STATE"].mood == "bad"
    assert cells["down"]["WRK"].text == "-/4"
    assert cells["busy"]["ERR%"].mood == "bad"
    assert cells["busy"]["SCRIPT"].text == "9c1e42a0"


def test_names_cannot_paint_the_screen():
    rows = Monitor().take(orchestrator(methods={"\x1b[31mred\r": method()})).methods
    assert line(fit(METHODS, rows, 80), rows[0])[0].text.startswith("?[31mred?")
