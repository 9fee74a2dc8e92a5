from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.engine.jsparams import Parameter, clipped, closing, parameters_of, split


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("(a)", 2), ("({[()]})", 7), ("(a(b)c)d)", 6), ('(")")', 4), ("('\\')')", 6), ("(`)`)", 4),
        ("(", None), ("(]", None), ("({)}", None), ("(" * 5000 + ")" * 5000, None),
    ],
)  # fmt: skip
def test_closing(text, end):
    assert closing(text, 0) == end


def test_split_leaves_brackets_and_text_whole():
    assert list(split("a, b = [1, 2], c = ',', {d, e}")) == [
        "a",
        " b = [1, 2]",
        " c = ','",
        " {d, e}",
    ]
    assert list(split("")) == [""]


def test_parameters_of_code_and_of_types():
    assert parameters_of("a, b: c = 3, 'd e', ...f,") == (
        Parameter("a"), Parameter("b", "3"), Parameter("d e"), Parameter("...f"),
    )  # fmt: skip
    assert parameters_of("a: number; b?: string, c", typed=True) == (
        Parameter("a", type="number"), Parameter("b", type="string", optional=True), Parameter("c"),
    )  # fmt: skip
    assert len(parameters_of(", ".join("abcdefghij" * 10))) == 40


def test_a_parameter_as_a_person_and_as_a_program_reads_it():
    assert [str(Parameter("a")), str(Parameter("a", "1")), str(Parameter("a", optional=True))] == [
        "a", "a=1", "a?",
    ]  # fmt: skip
    assert Parameter("a").to_wire() == {"name": "a"}
    bounded = Parameter.bounded("n" * 200, "d" * 200, "t" * 200, True, "x" * 500)
    assert [len(text) for text in (bounded.name, bounded.default, bounded.type, bounded.text)] == [
        80, 40, 80, 160,
    ]  # fmt: skip


@given(st.text(), st.integers(3, 50))
def test_clipped_text_is_one_printable_line(text, limit):
    shown = clipped(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
