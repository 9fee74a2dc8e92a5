from __future__ import annotations

import sys
import types

import pytest

from madrpc.client import progress
from madrpc.client.progress import LineProgress, progress_bar, with_progress


class Bar:
    """Stands in for tqdm's."""

    made: list[dict]

    def __init__(self, **settings):
        self.updates = 0
        self.made.append(settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.made[-1]["ended after"] = self.updates

    def update(self):
        self.updates += 1


@pytest.fixture
def bars(monkeypatch) -> list[dict]:
    """What the bars were made with."""
    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    Bar.made = []
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    return Bar.made


@pytest.fixture
def terminal(monkeypatch, capsys) -> None:
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)


def results(text="abc"):
    yield from text


@pytest.mark.parametrize(("items", "total"), [([1, 2, 3], 3), (iter([1, 2, 3]), None)])
def test_the_total_is_known_where_the_input_has_a_length(bars, terminal, items, total):
    assert list(with_progress(results(), "add", items)) == ["a", "b", "c"]
    assert bars == [{"desc": "add", "total": total, "unit": "call", "ended after": 3}]


def test_a_notebook_gets_a_bar_too(bars, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert isinstance(progress_bar("add", []), Bar)


def test_results_stay_lazy_and_leaving_them_closes_all(bars, terminal):
    inner = results()
    shown = with_progress(inner, "add", [])
    assert next(shown) == "a"
    assert next(inner) == "b"
    shown.close()
    assert list(inner) == []
    assert bars[0]["ended after"] == 1


def test_without_tqdm_a_terminal_gets_a_line_that_is_redrawn(terminal, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(progress, "_TERMINAL_S", 0.0)
    assert list(with_progress(results(), "add", [1, 2, 3])) == ["a", "b", "c"]
    text = capsys.readouterr().err
    assert text.count("\r\033[Kadd ") == 4
    assert "add 3/3 done" in text
    assert text.endswith("\n")


def test_elsewhere_a_line_now_and_then_and_one_at_the_end(bars, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with LineProgress("map") as line:
        for _ in range(25):
            now[0] += 1.0
            line.update(failed=1)
    assert capsys.readouterr().err.splitlines() == [
        "map 10 done  1.0/s  failed 10",
        "map 20 done  1.0/s  failed 20",
        "map 25 done  1.0/s  failed 25",
    ]
    assert bars == []


def test_an_error_ends_the_line(bars, capsys):
    def failing():
        yield 1
        raise ValueError("no")

    shown = with_progress(failing(), "add", None)
    assert next(shown) == 1
    with pytest.raises(ValueError, match="no"):
        next(shown)
    assert capsys.readouterr().err.startswith("add 1 done")


def test_quiet_says_nothing(capsys):
    with LineProgress("map", quiet=True) as line:
        line.update()
    assert capsys.readouterr().err == ""
