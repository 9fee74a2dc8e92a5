from __future__ import annotations

import sys
import types

import pytest

from madrpc.client.progress import with_progress


@pytest.fixture
def bars(monkeypatch) -> list[dict]:
    """What the bars were made with."""
    made: list[dict] = []

    def tqdm(results, **settings):
        made.append(settings)
        return results

    module = types.ModuleType("tqdm.auto")
    module.tqdm = tqdm
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    return made


@pytest.mark.parametrize(("items", "total"), [([1, 2, 3], 3), (iter([1, 2, 3]), None)])
def test_the_total_is_known_where_the_input_has_a_length(bars, items, total):
    assert list(with_progress(iter("abc"), "add", items)) == ["a", "b", "c"]
    assert bars == [{"desc": "add", "total": total, "unit": "call"}]


def test_results_stay_lazy(bars):
    results = iter("abc")
    bar = with_progress(results, "add", [])
    assert next(bar) == "a"
    assert next(results) == "b"


def test_without_tqdm_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install 'madrpc\[progress\]'"):
        with_progress(iter(()), "add", [])
