from __future__ import annotations

import hashlib

import pytest

from madrpc.engine.interface import Script
from madrpc.errors import ScriptError


def test_a_script_has_the_files_name_and_text(tmp_path):
    path = tmp_path / "rules.js"
    path.write_text("let a = 'é😀';\n", encoding="utf-8")
    script = Script.read(str(path))
    assert script == Script("rules.js", "let a = 'é😀';\n")
    assert script.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "rules.js"
    path.write_bytes(b"\xef\xbb\xbflet a;")
    assert Script.read(str(path)).source == "let a;"


def test_line_numbers_are_the_same_whatever_ends_a_line(tmp_path):
    path = tmp_path / "rules.js"
    path.write_bytes(b"one\r\ntwo\r\n")
    assert Script.read(str(path)).source == "one\ntwo\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read"),
        (b"let a = '\xff';", "is not UTF-8 text (byte 9)"),
        (b"let a = '\0';", "has a NUL character"),
    ],
)
def test_a_file_that_is_no_script_is_refused(tmp_path, content, says):
    path = tmp_path / "rules.js"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ScriptError) as caught:
        Script.read(str(path))
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.data == {"file": str(path)}


def test_a_folder_is_no_script(tmp_path):
    with pytest.raises(ScriptError, match="cannot read"):
        Script.read(str(tmp_path))
