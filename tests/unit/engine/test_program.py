"""Libraries beside scripts: which files are which, what sees what, whose line an error names."""

from __future__ import annotations

import pytest

from madrpc.config import EngineLimits
from madrpc.engine.interface import Script
from madrpc.engine.program import Program
from madrpc.errors import JavaScriptError, ScriptError
from tests.unit.engine.drive import LIMITS, engine_from, engine_of, run

USES = "madrpc.register('f', () => shared());"


def load_error(*sources: str) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        engine_of(*sources)
    return caught.value


def stack_of(*sources: str) -> list[str]:
    error = run(engine_of(*sources)).error
    assert isinstance(error, JavaScriptError), error
    return [line.strip() for line in str(error.data["stack"]).splitlines()]


# ------------------------------------------------------------- which files are which


def test_a_file_that_registers_nothing_serves_the_scripts_after_it() -> None:
    engine = engine_of("var shared = () => 'from a';", USES)
    assert run(engine).result == "from a"
    assert [engine.methods[name].name for name in engine.methods] == ["b.js"]


def test_every_script_gets_the_libraries_before_it_and_no_other_script() -> None:
    engine = engine_of(
        "var log = ['a'];",
        "log.push('b'); madrpc.register('one', () => [log, typeof late, typeof own]); var own = 1;",
        "log.push('c'); var late = 1;",
        "log.push('d'); madrpc.register('two', () => [log, typeof late, typeof own]);",
    )
    assert run(engine, method="one").result == [["a", "b"], "undefined", "number"]
    assert run(engine, method="two").result == [["a", "c", "d"], "number", "undefined"]


def test_libraries_see_those_before_them() -> None:
    engine = engine_of("var one = 1;", "var two = one + 1;", "var shared = () => one + two;", USES)
    assert run(engine).result == 3


def test_each_call_evaluates_the_libraries_anew() -> None:
    engine = engine_of("var count = 0; var shared = () => ++count;", USES)
    for _ in range(3):
        assert run(engine).result == 1
        engine.prepare()


def test_scripts_of_the_same_name_keep_to_themselves() -> None:
    engine = engine_from(
        [
            Script("x.js", "madrpc.register('one', () => typeof secret); var secret = 1;"),
            Script("x.js", "madrpc.register('two', () => typeof secret);"),
        ],
        LIMITS,
    )
    for _ in range(2):
        assert run(engine, method="one").result == "number"
        engine.prepare()
        assert run(engine, method="two").result == "undefined"
        engine.prepare()


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["let a = 1;"], "a.js registers no function; call madrpc.register"),
        (["1", "2"], "a.js and b.js register no function; call madrpc.register"),
        (["1", "2", "3"], "a.js and b.js and c.js register no function"),
        ([USES, "let a = 1;"], "b.js registers no function and comes last; call"),
        (["1", USES, "let a = 1;"], "c.js registers no function and comes last"),
    ],
)
def test_files_of_no_use_are_a_mistake(sources: list[str], message: str) -> None:
    assert load_error(*sources).message.startswith(message)


def test_a_name_used_twice_is_still_a_mistake() -> None:
    assert "has registered already" in load_error("1", USES, USES).message


# ------------------------------------------------------------- whose line an error names


def test_a_stack_names_each_file_with_its_own_lines() -> None:
    frames = stack_of(
        "\nvar first = g => g();\n",
        "// a comment\n\nvar second = function second(g) {\n  return first(g);\n};",
        "\n\nmadrpc.register('f', function f() {\n  second(() => null.x);\n});",
    )
    assert [frame.rsplit(":", 1)[0] for frame in frames] == [
        "at <anonymous> (c.js:4",
        "at first (a.js:2",
        "at second (b.js:4",
        "at f (c.js:4",
    ]


@pytest.mark.only("quickjs")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_right_for_both_kinds_of_line_end(end: str) -> None:
    library = end.join(["", "", "var shared = () => null.x;", ""])
    script = end.join(["", USES, ""])
    assert [frame.rsplit(":", 1)[0] for frame in stack_of(library, script)] == [
        "at shared (a.js:3",
        "at <anonymous> (b.js:2",
    ]


@pytest.mark.only("quickjs")
@pytest.mark.parametrize(
    ("sources", "where"),
    [
        (["let a = ;", USES], "a.js:1:9: SyntaxError"),
        (["\n\nlet a = ;", USES], "a.js:3:9: SyntaxError"),
        (["1\n\n", "\nlet b = ;", USES], "b.js:2:9: SyntaxError"),
        (["1\n\n", "1", "\n\n  let c = ;"], "c.js:3:11: SyntaxError"),
        (["1\n\n", "\n\nthrow new Error('no')", USES], "b.js:3:11: Error: no"),
        (["var go = () => { throw new Error('deep') };", "\n\ngo(); " + USES],
         "a.js:1:28: Error: deep"),
        (["1", "\n\n;(0, eval)('a b')"], "b.js:3:6: SyntaxError"),
        (["1", "\nJSON.parse('{') "], "b.js:2:6: SyntaxError"),
    ],
)  # fmt: skip
def test_a_file_that_fails_to_load_is_named_with_the_place(sources: list[str], where: str) -> None:
    assert load_error(*sources).message.startswith(where)


@pytest.mark.only("quickjs")
def test_a_place_in_parsed_text_is_not_taken_for_one_in_the_script() -> None:
    frames = stack_of("madrpc.register('f', () => {\n  JSON.parse('[1, x]') })")
    assert frames[0] == "at <text>:1:5"
    assert frames[-1].startswith("at <anonymous> (a.js:2:")


@pytest.mark.only("quickjs")
def test_a_first_line_for_the_shell_does_no_harm() -> None:
    library = "#!/usr/bin/env node\nvar shared = () => null.x;"
    assert stack_of("#!/bin/js\n" + USES.replace("shared()", "null.x"))[0].startswith(
        "at <anonymous> (a.js:2:"
    )
    assert stack_of("var x = 1;", library, USES)[0].startswith("at shared (b.js:2:")


def test_strict_mode_is_each_files_own() -> None:
    engine = engine_of(
        "'use strict'; var shared = () => (function () { return typeof this })();",
        "madrpc.register('f', () => [shared(), (function () { return typeof this })()]);",
    )
    assert run(engine).result == ["undefined", "object"]


def test_program_places() -> None:
    program = Program(Script("s", "1\n2\n"), [Script("a", "1\n2\n3"), Script("b", "1")])
    starts = [text.count("\n") - script.source.count("\n") for script, text in program.parts]
    assert starts[2] == 0
    for (script, _), start in zip(program.parts, starts, strict=True):
        assert program.place(start + 1) == (script.name, 1)
    assert program.place(2) == ("s", 2)
    assert program.place(0) == ("s", 0)


# ------------------------------------------------------------- loading


def test_promise_jobs_of_a_file_are_done_before_the_next_and_before_the_call() -> None:
    engine = engine_of(
        "var ready = false; Promise.resolve().then(() => { ready = true });",
        "const seen = ready; let late = false; (async () => { await 0; late = true })();"
        "madrpc.register('f', () => [seen, late]);",
    )
    assert run(engine).result == [True, True]


@pytest.mark.only("quickjs")
def test_jobs_without_end_are_stopped() -> None:
    source = "const spin = () => Promise.resolve().then(spin); spin();" + USES
    with pytest.raises(ScriptError, match="did not come to an end"):
        engine_of(source, limits=EngineLimits(time_s=0.2))


def test_an_error_message_of_any_length_arrives() -> None:
    engine = engine_of("madrpc.register('f', ({n}) => { throw new Error('x'.repeat(n)) });")
    for length in (100, 5_000, 100_000):
        error = run(engine, {"n": length}).error
        assert isinstance(error, JavaScriptError)
        assert str(error.data["message"]).startswith("x" * min(length, 8000))
