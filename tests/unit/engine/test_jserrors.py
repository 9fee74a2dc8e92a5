from __future__ import annotations

import pytest

from madrpc.config import EngineLimits
from madrpc.engine.interface import Script
from madrpc.engine.jserrors import (
    clean_stack,
    error_from_parts,
    error_from_text,
    not_serializable,
    script_error,
)
from madrpc.engine.program import Program
from madrpc.errors import (
    InternalError,
    JavaScriptError,
    MemoryLimitExceeded,
    ResultNotSerializable,
    ScriptError,
    StackLimitExceeded,
    TimeLimitExceeded,
)

LIMITS = EngineLimits(
    time_s=1.5, memory_bytes=64 * 2**20, stack_bytes=512 * 1024, message_chars=50, stack_chars=100
)


def program(name: str) -> Program:
    return Program(Script(name, "\n" * 20))


def failed(text: str) -> ScriptError:
    made = program("rules.js")
    return script_error(text, made, made.script)


def from_parts(name="", message="", stack=""):
    return error_from_parts(name, message, stack, program("rules.js"), LIMITS)


def from_text(text):
    return error_from_text(text, program("rules.js"), LIMITS)


# -------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("name", "message", "shown"),
    [
        ("TypeError", "not a function", "TypeError: not a function"),
        ("TypeError", "", "TypeError"),
        ("", "just text", "just text"),
        ("", "", "(no message)"),
        ("JavaScriptError", "TypeError: of a nested call", "TypeError: of a nested call"),
    ],
)
def test_a_throw_is_shown_as_name_and_message(name, message, shown):
    error = from_parts(name, message, "    at f (<input>:3:5)")
    assert type(error) is JavaScriptError
    assert error.message == shown
    stack = "    at f (rules.js:3:5)"
    assert error.data == {"name": name or "Error", "message": message, "stack": stack}


@pytest.mark.parametrize("message", ["out of memory", "string too long"])
def test_out_of_memory_is_the_heap_limit(message):
    error = from_parts("InternalError", message)
    assert type(error) is MemoryLimitExceeded
    assert error.data == {"limit_bytes": 64 * 2**20}
    assert "64 MiB" in error.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RangeError", "Maximum call stack size exceeded"),
        ("InternalError", "stack overflow"),
    ],
)
def test_too_deep_a_recursion_is_the_stack_limit(name, message):
    error = from_parts(name, message)
    assert type(error) is StackLimitExceeded
    assert error.data == {"limit_bytes": 512 * 1024}
    assert "512 KiB" in error.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Error", "out of memory"),
        ("InternalError", "no memory of it"),
        ("Error", "stack overflow"),
        ("RangeError", "my stack overflow"),
    ],
)
def test_a_scripts_own_words_are_not_taken_for_limits(name, message):
    assert type(from_parts(name, message)) is JavaScriptError


def test_long_texts_are_cut_and_say_so():
    error = from_parts("N" * 300, "m" * 1000, "s" * 1000)
    assert error.data["name"] == "N" * 200 + "... (300 characters)"
    assert error.data["message"] == "m" * 50 + "... (1000 characters)"
    assert error.data["stack"] == "s" * 100 + "... (1000 characters)"
    assert len(error.message) < 80


def test_texts_at_the_limit_are_left_whole():
    assert from_parts("", "m" * 50).message == "m" * 50


def test_a_stack_names_the_script_and_hides_the_host():
    stack = (
        "    at f (<input>:3:5)\n    at __madrpc (<input>:1:9)\n    at <anonymous> (<input>:9:1)\n"
    )
    assert clean_stack(stack, program(r"a\1.js")) == (
        "    at f (a\\1.js:3:5)\n    at <anonymous> (a\\1.js:9:1)"
    )


def test_a_function_that_only_mentions_the_host_stays():
    stack = "    at call__madrpc (<input>:3:5)"
    assert clean_stack(stack, program("a.js")) == "    at call__madrpc (a.js:3:5)"


# --------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("InternalError: interrupted\n    at f (<input>:1:1)\n", TimeLimitExceeded),
        ("null\n", MemoryLimitExceeded),
        ("InternalError: out of memory\n    at f", MemoryLimitExceeded),
        ("RangeError: Maximum call stack size exceeded\n", StackLimitExceeded),
        ("InternalError: stack overflow", StackLimitExceeded),
        ("TypeError: not a function\n    at f (<input>:1:1)\n", JavaScriptError),
        ("out of memory\nundefined", MemoryLimitExceeded),
        ("", InternalError),
        ("Error: a stack overflow", JavaScriptError),
        ("5\n", JavaScriptError),
    ],
)
def test_what_javascript_could_not_catch_is_told_by_its_text(text, kind):
    assert type(from_text(text)) is kind


def test_the_time_limit_is_told():
    error = from_text("InternalError: interrupted")
    assert error.data == {"limit_s": 1.5}
    assert "1.5 s" in error.message


def test_a_text_has_name_message_and_stack():
    error = from_text("TypeError: a: b\n    at f (<input>:1:1)\n")
    assert error.data == {
        "name": "TypeError", "message": "a: b", "stack": "    at f (rules.js:1:1)"
    }  # fmt: skip


# ------------------------------------------------------------------ scripts


@pytest.mark.parametrize(
    ("text", "where", "data"),
    [
        ("SyntaxError: x\n    at <input>:3:9\n", "rules.js:3:9", {"line": 3, "column": 9}),
        ("Error: x\n    at f (<input>:2:12)\n", "rules.js:2:12", {"line": 2, "column": 12}),
        ("Error: x\n    at <input>:3\n", "rules.js:3:0", {"line": 3, "column": 0}),
        (
            "Error: x\n    at __madrpc_register (<input>:1:1)\n    at <eval> (<input>:4:2)\n",
            "rules.js:4:2",
            {"line": 4, "column": 2},
        ),
        (
            "Error: x\n    at map (native)\n    at <eval> (<input>:4:2)\n",
            "rules.js:4:2",
            {"line": 4, "column": 2},
        ),
        ("Error: x\n", "rules.js", {}),
        ("Error: x", "rules.js", {}),
    ],
)
def test_a_script_error_says_where(text, where, data):
    error = failed(text)
    assert error.message.startswith(f"{where}: ")
    assert error.message.endswith(": x")
    assert "bundle" not in error.message
    assert error.data == {"file": "rules.js", **data}


def test_a_position_in_the_message_is_not_the_scripts():
    assert failed("Error: see <input>:7:7\n").data == {"file": "rules.js"}


def test_a_script_that_throws_nothing_says_so():
    assert failed("").message == "rules.js: the script threw nothing"


def test_a_long_script_error_is_cut():
    assert len(failed("x" * 5000).message) < 1100


@pytest.mark.parametrize(
    ("message", "source"),
    [
        ("ReferenceError: require is not defined", "const x = require('x')"),
        ("ReferenceError: module is not defined", "module.exports = 1"),
        ("SyntaxError: Unexpected identifier 'x'", "import x from 'x'"),
        ("SyntaxError: unsupported keyword: export", "  export const x = 1"),
    ],
)
def test_a_module_is_told_from_a_script(message, source):
    made = Program(Script("rules.js", source))
    line = 1 + next(n for n in range(40) if made.place(n + 1) == ("rules.js", 1))
    error = script_error(f"{message}\n    at f (<input>:{line}:1)\n", made, made.script)
    assert "bundle them into one file" in error.message.splitlines()[0]


def test_not_serializable_says_what_to_return():
    error = not_serializable("TypeError: circular reference")
    assert type(error) is ResultNotSerializable
    assert "TypeError: circular reference; return plain objects" in error.message
