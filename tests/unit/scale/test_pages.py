from __future__ import annotations

import json

import pytest

from benchmarks.scale.pages import replace_block, table
from benchmarks.scale.records import latest, rounded

PAGE = "before\n<!-- scale:a -->\nold\nolder\n<!-- /scale:a -->\nafter\n"


def test_a_block_is_replaced_and_nothing_else():
    once = replace_block(PAGE, "a", r"new \1 \g<0>")
    assert once == "before\n<!-- scale:a -->\nnew \\1 \\g<0>\n<!-- /scale:a -->\nafter\n"
    assert replace_block(once, "a", r"new \1 \g<0>") == once


@pytest.mark.parametrize(
    "page",
    ["", "<!-- scale:a -->", PAGE + PAGE, "<!-- /scale:a --> <!-- scale:a -->"],
)
def test_a_page_without_its_block_is_refused(page):
    with pytest.raises(ValueError, match="once each"):
        replace_block(page, "a", "new")


def test_a_table_in_markdown():
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_record_keeps_four_decimals():
    assert rounded({"a": [1.23456789, 2, "x"], "b": (None, True)}) == {
        "a": [1.2346, 2, "x"],
        "b": [None, True],
    }


def test_the_newest_figures_of_such_a_machine_count():
    here = {"cpus": 2, "cpu_model": "m", "python": "3.11.1"}
    history = [
        {**here, "parts": {"nodes": 1, "workers": 1}},
        {**here, "parts": {"nodes": 2}},
        {**here, "quick": True, "parts": {"nodes": 4}},
        {**here, "cpus": 16, "parts": {"nodes": 3}},
    ]
    assert latest(map(json.dumps, history), here) == {"nodes": 2, "workers": 1}
