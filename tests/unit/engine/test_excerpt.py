from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.engine.excerpt import excerpt


@pytest.mark.parametrize(
    ("text", "line", "column", "shown"),
    [
        ("let a = ;", 1, 9, "  let a = ;\n          ^"),
        ("1\r\n\tlet a\r\n", 2, 2, "   let a\n   ^"),
        ("f(", 1, 3, "  f(\n    ^"),
        ("日本(;", 1, 4, "  日本(;\n       ^"),
        ("a\x1b[31m;", 1, 7, "  a?[31m;\n        ^"),
        ("x" * 500, 1, 301, "  " + "x" * 100 + "\n" + " " * 62 + "^"),
        ("a\n\nb", 2, 1, ""),
        ("a", 2, 1, ""),
        ("a", 0, 1, ""),
        ("a", 1, 0, ""),
        ("", 1, 1, ""),
    ],
)
def test_a_place_is_shown(text, line, column, shown):
    assert excerpt(text, line, column) == shown


@given(st.text(), st.integers(-2, 9), st.integers(-2, 200))
def test_no_place_makes_it_fail(text, line, column):
    assert len(excerpt(text, line, column).splitlines()) in (0, 2)
