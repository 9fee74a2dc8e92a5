from __future__ import annotations

import io

import pytest

from madrpc.cli.examples import example_call
from madrpc.cli.methods import method_lines
from madrpc.cli.words import Style, plain


def described(signature: str, summary: str = "", *params: dict) -> dict:
    return {"signature": signature, "summary": summary, "params": list(params)}


def test_summaries_stand_below_each_other():
    details = {
        "a": described("a()", "One"),
        "bcd": described("bcd(x)", "Two"),
        "e": described("e()"),
    }
    assert method_lines(details, None) == ["a()      One", "bcd(x)   Two", "e()"]
    assert method_lines({}, 80) == []


def test_long_ones_move_no_other_and_are_cut_to_the_width():
    long = described("f(" + "x" * 90 + ")", "Long")
    lines = method_lines({"a": described("a()", "One " * 30), "f": long}, 40)
    assert lines[0] == "a()   One One One One One One One One..."[:40]
    assert lines[1].startswith("f(" + "x" * 90 + ")")


def test_what_a_stranger_wrote_steers_no_terminal():
    assert plain("a\x1b[2J\tb\n\u202ec") == "a?[2J b ?c"
    assert method_lines({"a": described("a\x1b()", "\x07")}, None) == ["a?()   ?"]


def name(text: str, **known: object) -> dict:
    return {"name": text, **known}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ([name("a"), name("b", type="number")], " a=1 b=2"),
        ([name("a", default="3"), name("b", optional=True), name("...c")], ""),
        ([name("t", type="string"), name("x", type="boolean")], " t=hello x=true"),
        ([name("t", type="string[]")], """ 't=["hello"]'"""),
        ([name("n", type="number[]")], " 'n=[1]'"),
    ],
)
def test_an_example_has_what_the_function_needs(params, words):
    assert example_call("h:1", {"f": described("f(...more)", "", *params)}) == (
        f"madrpc call h:1 f{words}"
    )


def test_an_example_is_of_a_function_whose_arguments_can_be_guessed():
    hard = described("hard(x)", "", name("x", type="Order"))
    details = {"hard": hard, "open": described("open(...)"), "easy": described("easy()")}
    assert example_call("h:1", details) == "madrpc call h:1 easy"
    assert example_call("h:1", {"$(x)": hard}) == "madrpc call h:1 '$(x)'"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Style(Screen()).strong("x") == "\033[1mx\033[0m"
    assert Style(Screen()).faint("") == ""
    assert Style(io.StringIO()).strong("x") == "x"
    monkeypatch.setenv("TERM", "dumb")
    assert Style(Screen()).strong("x") == "x"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert Style(Screen()).strong("x") == "x"
