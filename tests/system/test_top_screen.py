"""``madrpc top`` on the full screen, driven by Textual's pilot with made-up readings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from madrpc.policy.readings import Reading
from madrpc.top import words
from madrpc.top.source import Answered, Details, Event, Lost, Ordered
from madrpc.top.table import METHODS, NODES
from tests.readings import figures, method, node, orchestrator, workers
from tests.servers import require_textual


@pytest.fixture(scope="module", autouse=True)
def textual() -> None:
    require_textual()


class FakeFeed:
    """Delivers what a test says, and keeps what it is told."""

    def __init__(self, deliver: Callable[[Event], None]) -> None:
        self.deliver = deliver
        self.watched: list[str | None] = []
        self.drained: list[str] = []
        self.stopped = False

    def start(self, first: Reading | None = None) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    def watch(self, address: str | None) -> None:
        self.watched.append(address)

    def drain(self, address: str) -> None:
        self.drained.append(address)


class Stage:
    """A running app, and what a test does with it."""

    def __init__(self, app: Any, feed: FakeFeed, pilot: Any) -> None:
        self.app, self.feed, self.pilot = app, feed, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def tell(self, event: Event) -> None:
        self.feed.deliver(event)
        await self.pilot.pause()

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        screen = self.app.screen
        width, height = screen.size
        found = []
        for strip in screen._compositor.render_strips():
            found.append(strip.text)
        assert len(found) == height
        assert all(words.width_of(line) <= width for line in found)
        return found

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def rows(self, table: str = "nodes") -> list[str]:
        """Names of the rows of a table, from the top."""
        grid = getattr(self.app, table)
        return [grid.table.name(row) for row in grid.rows]


def play(
    act: Callable[[Stage], Awaitable[None]],
    first: Reading,
    size: tuple[int, int] = (80, 24),
) -> Any:
    """Run an app for one test; return the status it exits with."""
    from madrpc.top.app import TopApp

    async def run() -> Any:
        feeds: list[FakeFeed] = []

        def make(deliver: Callable[[Event], None]) -> FakeFeed:
            feeds.append(FakeFeed(deliver))
            return feeds[0]

        app = TopApp(None, first, "cluster:8080", 0.25, make)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await act(Stage(app, feeds[0], pilot))
        return app.return_value

    return asyncio.run(run())


def busy(at: float = 101.0, **more: Any) -> Reading:
    """Three nodes and three functions under load."""
    nodes = [
        node("10.0.0.1:9001", calls=300, uptime_s=at - 40, cpu_seconds=3.0),
        node("10.0.0.2:9001", calls=100, errors=50, uptime_s=at - 40, cpu_seconds=2.0),
        node("10.0.0.3:9001", "down", answers=False),
    ]
    methods = {"price": method(300), "rate": method(90, 50), "audit": method(10)}
    return orchestrator(
        at, nodes, methods, ["price", "rate", "audit"], in_flight=8, queued=3,
        workers=workers(8, 7), **figures(400, 50), **more,
    )  # fmt: skip


def idle(at: float = 100.0) -> Reading:
    nodes = [node(f"10.0.0.{n}:9001", uptime_s=at - 40) for n in (1, 2, 3)]
    return orchestrator(at, nodes, {}, ["price", "rate", "audit"], workers=workers(8))


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 20)])
def test_figures_nodes_and_functions_are_shown(size: tuple[int, int]) -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(busy()))
        assert "calls/s 400" in stage.text
        assert "p95 1.0ms" in stage.text
        for wanted in ("Nodes 2/3 up", "10.0.0.3:9001", "down", "Methods 3", "price", "CALL/S▼"):
            assert wanted in stage.text
        if size[0] >= 80:
            assert "in flight 8" in stage.text
            assert "queued 3" in stage.text
            assert "errors 12%" in stage.text

    play(act, idle(), size)


def test_every_column_can_be_sorted_by_from_the_menu() -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(busy()))
        for grid, table in ((stage.app.nodes, NODES), (stage.app.methods, METHODS)):
            for number, column in enumerate(table.columns):
                await stage.press("s", "home", *["down"] * number)
                assert column.about in stage.text
                same = grid.sorting.title == column.title
                await stage.press("enter")
                assert (grid.sorting.title, grid.sorting.reverse) == (column.title, same)
            await stage.press("tab")

    play(act, idle())


def test_sorting_by_keys_and_by_clicks() -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(busy()))
        assert stage.rows() == ["10.0.0.1:9001", "10.0.0.2:9001", "10.0.0.3:9001"]
        await stage.press("r")
        assert stage.rows() == ["10.0.0.3:9001", "10.0.0.2:9001", "10.0.0.1:9001"]
        await stage.press("greater_than_sign")
        assert stage.app.nodes.sorting.title == "STATE"
        assert stage.rows()[0] == "10.0.0.3:9001"
        await stage.press("less_than_sign", "less_than_sign")
        assert stage.app.nodes.sorting.title == "SCRIPT"
        await stage.pilot.click("#nodes", offset=(1, 0))
        await stage.pilot.pause()
        assert stage.app.nodes.sorting.title == "NODE"
        await stage.pilot.click("#nodes", offset=(1, 0))
        await stage.pilot.pause()
        assert stage.rows()[0] == "10.0.0.3:9001"
        await stage.press("tab")
        assert stage.rows("methods") == ["price", "rate", "audit"]
        await stage.press("r")
        assert stage.rows("methods") == ["audit", "rate", "price"]

    play(act, idle())


def test_the_chosen_row_stays_chosen_while_rows_move() -> None:
    async def act(stage: Stage) -> None:
        await stage.press("down")
        assert stage.app.nodes.chosen.address == "10.0.0.2:9001"
        await stage.press("r")
        await stage.tell(Answered(busy()))
        assert stage.app.nodes.chosen.address == "10.0.0.2:9001"
        await stage.press("end")
        assert stage.app.nodes.chosen.address == "10.0.0.1:9001"
        await stage.press("home")
        assert stage.app.nodes.chosen.address == "10.0.0.3:9001"
        await stage.pilot.click("#nodes", offset=(5, 2))
        assert stage.app.nodes.chosen.address == "10.0.0.2:9001"

    play(act, idle())


def test_filtering() -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(busy()))
        await stage.press("slash", *"down")
        assert stage.rows() == ["10.0.0.3:9001"]
        assert "filter 'down': 1 of 3" in stage.text
        await stage.press("enter")
        assert stage.app.nodes.has_focus
        await stage.tell(Answered(busy(102.0)))
        assert stage.rows() == ["10.0.0.3:9001"]
        await stage.press("escape")
        assert len(stage.rows()) == 3
        await stage.press("tab", "slash", *"qzz")
        assert stage.rows("methods") == []
        assert "no match for 'qzz'" in stage.text
        assert len(stage.rows()) == 3
        await stage.press("escape")
        assert len(stage.rows("methods")) == 3
        assert stage.app.methods.has_focus
        # Keys are keys again.
        await stage.press("q")

    assert play(act, idle()) == 0


def test_pausing_keeps_the_figures_still() -> None:
    async def act(stage: Stage) -> None:
        await stage.press("p")
        before = stage.text
        assert "paused" in before
        await stage.tell(Answered(busy()))
        assert stage.text == before
        await stage.press("space")
        assert "paused" not in stage.text
        assert "calls/s 400" in stage.text

    play(act, idle())


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_help(size: tuple[int, int]) -> None:
    async def act(stage: Stage) -> None:
        for key in ("h", "question_mark"):
            await stage.press(key)
            assert "the other table" in stage.text
            await stage.press("escape")
            assert "the other table" not in stage.text
        await stage.press("h", "q")
        assert stage.app.is_running
        await stage.press("h", "ctrl+c")

    assert play(act, idle(), size) == 130


def test_details_of_a_node() -> None:
    process = {"pid": 77, "state": "busy", "cpu_seconds": 1.0, "rss_bytes": 2**20, "calls": 9}
    told = {
        "workers": {**workers(), "processes": [process]},
        "methods": {"price": method(300)},
    }
    later = {**told, "workers": {**workers(), "processes": [{**process, "cpu_seconds": 1.5}]}}

    async def act(stage: Stage) -> None:
        await stage.tell(Answered(busy()))
        await stage.press("enter")
        assert stage.feed.watched == ["10.0.0.1:9001"]
        assert "pi.js 9c1e42a0" in stage.text
        await stage.tell(Details("10.0.0.1:9001", 10.0, told))
        await stage.tell(Details("10.0.0.1:9001", 11.0, later))
        (line,) = [line for line in stage.lines if " 77 busy" in line]
        assert line.split()[3:5] == ["50", "1.0M"]
        assert "price" in stage.text
        await stage.tell(Details("10.0.0.1:9001", 12.0, None, "the node does not answer"))
        assert "the node does not answer" in stage.text
        await stage.tell(Answered(orchestrator(103.0)))
        assert "knows it no longer" in stage.text
        await stage.press("escape")
        assert stage.feed.watched == ["10.0.0.1:9001", None]
        await stage.tell(Details("10.0.0.1:9001", 13.0, told))

    play(act, idle())


def test_nothing_is_drained_without_a_yes() -> None:
    async def act(stage: Stage) -> None:
        await stage.press("down")
        for refusal in ("n", "escape", "q"):
            await stage.press("d")
            assert "drain this node?" in stage.text
            assert "10.0.0.2:9001 takes no new calls" in stage.text
            await stage.press("enter", refusal)
            assert stage.feed.drained == []
            assert "drain this node?" not in stage.text
        await stage.press("d", "y")
        assert stage.feed.drained == ["10.0.0.2:9001"]
        await stage.tell(Ordered("10.0.0.2:9001"))
        assert "10.0.0.2:9001 drains" in stage.text
        await stage.tell(Ordered("10.0.0.2:9001", "it said no"))
        assert "was not drained: it said no" in stage.text

    play(act, idle())


def test_functions_cannot_be_drained_or_opened() -> None:
    async def act(stage: Stage) -> None:
        await stage.press("tab", "d")
        assert "choose a node to drain" in stage.text
        await stage.press("enter")
        assert stage.feed.watched == stage.feed.drained == []

    play(act, idle())


def test_a_server_that_is_gone_and_comes_back() -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(busy()))
        await stage.tell(Lost("nothing accepts connections at cluster:8080"))
        assert "disconnected, trying again" in stage.text
        assert "nothing accepts connections" in stage.text
        assert "price" in stage.text
        await stage.press("p", "p", "s", "escape")
        await stage.tell(Answered(orchestrator(200.0, uptime_s=1.0)))
        assert "disconnected" not in stage.text
        assert stage.rows() == []

    play(act, idle())


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 20), (12, 4), (1, 1)])
def test_nothing_is_there(size: tuple[int, int]) -> None:
    async def act(stage: Stage) -> None:
        if size[0] >= 40:
            assert "no nodes: name them with -n" in stage.text
            assert "no functions" in stage.text
        await stage.press("down", "up", "end", "home", "pagedown", "enter", "d", "r", "tab", "r")
        await stage.press("down", "enter")
        assert stage.app.is_running
        assert stage.feed.watched == stage.feed.drained == []

    play(act, orchestrator(), size)


def crowd(at: float) -> Reading:
    nodes = [
        node(f"node-{n}.a-long-name.of-a-rack.example:9001", calls=int(at) * n, uptime_s=at)
        for n in range(200)
    ]
    methods = {
        f"fn_{n}_with_quite_a_long_name_for_a_function": method(int(at) * n) for n in range(300)
    }
    return orchestrator(at, nodes, methods, **figures(int(at) * 1000))


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 20)])
def test_many_nodes_and_functions(size: tuple[int, int]) -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(crowd(101.0)))
        assert "Nodes 200/200 up" in stage.text
        assert "Methods 300" in stage.text
        assert "node-0.a" in stage.text
        assert "fn_299" in stage.text
        await stage.press("end")
        assert "node-199" in stage.text
        assert "NODE▲" in stage.text
        await stage.tell(Answered(crowd(102.0)))
        assert "node-199" in stage.text
        await stage.press("home", *["pagedown"] * 3)
        assert stage.app.nodes.chosen.address.split(".")[0] in stage.text
        await stage.press("tab", "end")
        assert "fn_0_" in stage.text

    play(act, crowd(100.0), size)


def test_resizing() -> None:
    async def act(stage: Stage) -> None:
        await stage.tell(Answered(crowd(101.0)))
        await stage.press("end")
        for size in ((160, 50), (30, 8), (5, 3), (200, 10), (80, 24)):
            await stage.pilot.resize_terminal(*size)
            await stage.pilot.pause()
            assert len(stage.lines) == size[1]
        assert "node-199" in stage.text

    play(act, crowd(100.0))


def test_names_do_not_paint_the_screen() -> None:
    evil = "\x1b[2J\x1b]0;title\x07[bold]"

    async def act(stage: Stage) -> None:
        assert "\x1b" not in stage.text
        assert "[bold]" in stage.text
        await stage.press("enter")
        await stage.tell(Lost(evil))
        await stage.press("escape", "d")
        assert "\x1b" not in stage.text

    first = orchestrator(nodes=[node(f"a{evil}:1")], methods={evil: method(1)})
    play(act, first)
