from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.top import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0, "0"), (3, "3"), (3.0, "3.0"), (0.04, "0.0"), (9.94, "9.9"), (9.96, "10"),
     (412.4, "412"), (9999.4, "9999"), (9999.6, "10.0k"), (12345, "12.3k"), (99_949, "99.9k"),
     (999_499, "999k"), (1_234_567, "1.2M"), (5e9, "5.0G"), (9e11, "900G")],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert words.decimal(value) == text


@given(st.floats(0, 1e11) | st.integers(0, 10**11))
def test_numbers_take_five_characters_at_most(value):
    assert len(words.decimal(value)) <= 5


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "-"), (0, "0.00ms"), (0.52, "0.52ms"), (0.996, "1.0ms"), (9.1, "9.1ms"), (22.4, "22ms"),
     (999.4, "999ms"), (1200, "1.2s"), (99_949, "99.9s"), (120_000, "120s")],
)  # fmt: skip
def test_durations(ms, text):
    assert words.milliseconds(ms) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0B"), (999, "999B"), (1000, "1.0K"), (212 * 2**20, "212M"),
     (1.4 * 2**30, "1.4G"), (2**50, "1024T")],
)  # fmt: skip
def test_sizes(count, text):
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.9, "0s"), (12, "12s"), (192, "3m12s"), (7500, "2h05m"), (356_400, "4d03h")],
)
def test_lengths_of_time(seconds, text):
    assert words.span(seconds) == text


def test_shares_are_in_per_cent():
    assert [words.percent(share) for share in (None, 0.0, 0.002, 0.12, 1.0)] == [
        "-", "0", "0.2", "12", "100",
    ]  # fmt: skip


def test_text_is_cut_at_the_end_or_in_the_middle():
    assert words.clip("monte_carlo_sample", 8) == "monte_c…"
    assert words.clip("very-long-host.example:9001", 12, keep_end=True) == "very…le:9001"
    assert words.clip("abc", 3) == "abc"
    assert [words.clip("abc", width) for width in (0, 1, 2)] == ["", "…", "a…"]


@given(st.text(), st.integers(0, 30), st.booleans(), st.booleans())
def test_padded_text_has_exactly_its_width(text, width, right, keep_end):
    assert words.width_of(words.pad(text, width, right=right, keep_end=keep_end)) == width


def test_wide_characters_take_two_columns():
    assert words.width_of("円周率") == 6
    assert words.width_of("e\u0301") == 1
    assert words.pad("円周率", 5) == "円周…"


@given(st.text())
def test_nothing_that_moves_the_cursor_survives(text):
    assert words.plain_text(text).isprintable()
    assert words.plain_text(text, ascii_only=True).isascii()
    assert len(words.plain_text(text)) == len(text)


def test_escapes_are_made_harmless():
    assert words.plain_text("a\x1b[2Jb\n") == "a?[2Jb?"


def test_graphs_grow_from_the_left_and_keep_the_last_values():
    assert words.graph([0, 1, 2, 4, 8], 8) == ["▁▁▂▄█   "]
    assert words.graph([9, 9, 0, 8], 2) == ["▁█"]
    assert words.graph([1, None, 1], 3) == ["█ █"]
    assert words.graph([0, 0], 3) == ["▁▁ "]
    assert words.graph([], 3) == words.graph([5], 3) == ["   "]
    assert words.graph([1, 2], 0) == [""]


def test_graphs_of_several_lines():
    assert words.graph([4, 2, 1, 0], 4, 2) == ["█   ", "██▄▁"]


def test_streams_that_cannot_carry_bars_are_known():
    assert words.writes_bars("utf-8")
    assert not any(map(words.writes_bars, ("ascii", "latin-1", None, "nonsense")))
