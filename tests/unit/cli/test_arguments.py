from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.cli.arguments import parse_arguments
from madrpc.errors import InvalidArguments

TEXTS = {"a": 5, "b": ["x", None]}


def refusal(*words: str) -> str:
    with pytest.raises(InvalidArguments) as caught:
        parse_arguments(words)
    return caught.value.message


def test_no_words_are_no_arguments():
    assert parse_arguments([]) == {}


@pytest.mark.parametrize("text", ['{"a": 5, "b": ["x", null]}', '  {"a":5,"b":["x",null]}\n'])
def test_one_object(text):
    assert parse_arguments([text]) == TEXTS


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("k=5", 5),
        ("k=-1.5e3", -1500.0),
        ("k=true", True),
        ("k=null", None),
        ('k="5"', "5"),
        ("k=[1, 2]", [1, 2]),
        ('k={"x": 1}', {"x": 1}),
        ("k=hello world", "hello world"),
        ("k=", ""),
        ("k=a=b", "a=b"),
        ("k=True", "True"),
        ("k=007", "007"),
        ("k=NaN", "NaN"),
        ("k=-Infinity", "-Infinity"),
        ("k=[1, NaN]", "[1, NaN]"),
        ("k=@file", "@file"),
        ("k=" + "1" * 5000, "1" * 5000),
    ],
)
def test_a_pairs_value_is_json_or_else_text(word, value):
    found = parse_arguments([word])["k"]
    assert found == value
    assert type(found) is type(value)


def test_pairs_add_up_and_the_last_of_two_counts():
    assert parse_arguments(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}


@given(st.dictionaries(st.from_regex(r"[a-z_]\w*", fullmatch=True), st.integers() | st.text()))
def test_any_values_can_be_given_as_pairs(args):
    words = [f"{key}={json.dumps(value)}" for key, value in args.items()]
    assert parse_arguments(words) == args


@pytest.mark.parametrize("word", ["5", "=5", "-", "@file", "{", "[1]", ""])
def test_what_is_neither_a_pair_nor_an_object_is_refused(word):
    assert "neither key=value nor a JSON object" in refusal("a=1", word)


def test_a_file(tmp_path):
    path = tmp_path / "args.json"
    path.write_text('{"a": 5, "b": ["x", null]}\n', encoding="utf-8")
    assert parse_arguments([f"@{path}"]) == TEXTS


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": 5, "b": ["x", null]}'))
    assert parse_arguments(["-"]) == TEXTS


@pytest.mark.parametrize("name", ["missing.json", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b'{"a": "\xff"}')
    message = refusal(f"@{tmp_path / name}")
    assert message.startswith("cannot read ")
    assert name in message


def test_a_value_that_is_no_object_is_refused_by_type(tmp_path):
    path = tmp_path / "list.json"
    path.write_text("[1]")
    assert f"{path} holds list, not an object" in refusal(f"@{path}")


def test_a_mistake_is_shown_with_a_caret_under_it():
    lines = refusal('{"a": 5, b: 6}').splitlines()
    assert lines[0].startswith("the argument is not JSON: ")
    assert lines[0].endswith("at line 1 column 10")
    assert lines[1] == '  {"a": 5, b: 6}'
    assert lines[2].index("^") == lines[1].index("b: 6")


def test_the_line_of_a_mistake_is_the_one_shown(tmp_path):
    path = tmp_path / "args.json"
    path.write_text('{\n  "a": 5,\n  "b": oops\n}\n')
    lines = refusal(f"@{path}").splitlines()
    assert "line 3 column 8" in lines[0]
    assert lines[1] == '    "b": oops'
    assert lines[2].index("^") == lines[1].index("oops")


def test_a_long_line_is_cut_around_the_mistake():
    lines = refusal('{"a": "' + "x" * 500 + '", oops: 1, "b": "' + "y" * 500 + '"}').splitlines()
    assert len(lines[1]) <= 102
    assert lines[1][lines[2].index("^")] == "o"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_input_is_no_json(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert refusal("-").startswith("standard input is not JSON: ")


def test_json_cut_short_after_a_line_end_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": 1\n'))
    assert "standard input is not JSON" in refusal("-")


def test_the_line_of_a_mistake_is_right_behind_odd_line_breaks(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": "x\u2028y",\n oops}'))
    lines = refusal("-").splitlines()
    assert lines[1] == "   oops}"


@pytest.mark.parametrize(
    "word",
    ['{"a": ' + "1" * 5000 + "}", '{"a": ' + "[" * 200_000 + "]" * 200_000 + "}"],
    ids=["digits", "depth"],
)
def test_json_that_python_cannot_hold_is_refused(word):
    assert "too large to be read" in refusal(word)


def test_a_pairs_json_that_python_cannot_hold_is_text():
    text = "[" * 5000
    assert parse_arguments([f"a={text}"]) == {"a": text}


def test_a_file_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing.json", tmp_path / "binary.json"
    binary.write_bytes(b"{\xff}")
    for path, reason in (
        (missing, "no such file or directory"),
        (tmp_path, "is a directory"),
        (binary, "it is not UTF-8 text (byte 1)"),
    ):
        with pytest.raises(InvalidArguments) as caught:
            parse_arguments([f"@{path}"])
        assert caught.value.message == f"cannot read {path}: {reason}"
