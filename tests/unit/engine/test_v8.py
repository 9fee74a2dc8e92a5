"""Where V8 differs from QuickJS, and what only its side of the engine does."""

from __future__ import annotations

import json

import pytest

from madrpc.config import EngineLimits
from madrpc.engine import choice, v8_library
from madrpc.engine.interface import Call, Script
from madrpc.errors import JavaScriptError, ScriptError, TimeLimitExceeded
from tests.unit.engine.drive import engine_for, engine_from, engine_of, run, value

pytestmark = pytest.mark.only("v8")


def load_error(source: str) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        engine_of(source)
    return caught.value


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        ("let a = 1;\n\nlet b = ;", 3, "SyntaxError: Unexpected token ';'"),
        ("\nthrow new TypeError('no')", 2, "TypeError: no"),
        ("\nfunction f() { null.x }\nf()", 2, "TypeError: Cannot read properties of null"),
        ("throw 'text'", 1, "text"),
        ("\nthrow null", 2, "null"),
        ("throw Symbol('x')", 1, "<string conversion failed>"),
        ("const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)", None, "out of memory"),
        ("(function f() { f() })()", 1, "RangeError: Maximum call stack size exceeded"),
    ],
)
def test_a_script_that_fails_to_load_says_where(source: str, line: int | None, text: str) -> None:
    error = load_error(source)
    assert text in error.message
    assert (error.data["file"], error.data.get("line")) == ("a.js", line)


@pytest.mark.parametrize("source", ["for (;;);", "(async () => { for (;;) await 0 })()"])
def test_a_script_that_never_finishes_loading_is_stopped(source: str) -> None:
    with pytest.raises(ScriptError, match="interrupted"):
        engine_of(source, limits=EngineLimits(time_s=0.05))


def test_a_stack_has_the_scripts_name_and_lines_and_no_host_frames() -> None:
    engine = engine_of(
        "function inner() {\n  throw new Error('boom');\n}\n"
        "madrpc.register('f', function outer() {\n  return [1].map(() => inner());\n});"
    )
    error = run(engine).error
    assert isinstance(error, JavaScriptError)
    assert error.stack.splitlines() == [
        "    at inner (a.js:2:9)",
        "    at <anonymous> (a.js:5:24)",
        "    at Array.map (<anonymous>)",
        "    at outer [as f] (a.js:5:14)",
    ]


def test_a_library_keeps_its_own_lines() -> None:
    engine = engine_of(
        "// a library\nfunction deep() {\n  throw new Error('x') }",
        "\nmadrpc.register('f', () => deep())",
    )
    error = run(engine).error
    assert isinstance(error, JavaScriptError)
    assert error.stack.splitlines() == ["    at deep (a.js:3:9)", "    at f (b.js:2:28)"]


@pytest.mark.parametrize("name", ["/etc/passwd", "os", "./a.js"])
def test_nothing_can_be_imported(name: str) -> None:
    assert (
        value(f"return import({name!r}).catch((error) => `${{error}}`)") == "Error: Not supported"
    )


def test_what_no_limit_sees_is_not_there() -> None:
    names = "typeof WebAssembly, typeof Atomics.wait, typeof Atomics.waitAsync"
    assert value(f"return [{names}]") == ["undefined"] * 3


def test_a_throw_in_a_microtask_is_dropped_as_an_unhandled_rejection_is() -> None:
    assert value("queueMicrotask(() => { throw new Error('later') }); await 0; return 1") == 1


def test_null_is_never_taken_for_a_full_heap() -> None:
    engine = engine_for("throw null")
    engine._base_rss = -(2**40)
    assert engine.is_worn
    error = run(engine).error
    assert isinstance(error, JavaScriptError)


def test_lines_of_a_call_that_filled_its_heap_are_lost() -> None:
    body = "console.log('before'); const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)"
    done = run(engine_for(body, limits=EngineLimits(time_s=20, memory_bytes=16 * 2**20)))
    assert done.error is not None
    assert done.error.name == "MemoryLimitExceeded"
    assert done.logs == []


def test_a_call_stopped_in_a_promise_job_leaves_the_others_alone() -> None:
    engine = engine_of(
        "madrpc.register('f', async () => { await 0; for (;;); });"
        "madrpc.register('g', async () => { await 0; return 'well'; });",
        limits=EngineLimits(time_s=0.2),
    )
    for _ in range(3):
        assert isinstance(run(engine).error, TimeLimitExceeded)
        assert run(engine, method="g").result == "well"


def test_every_isolate_is_freed() -> None:
    library = v8_library._library
    assert library is not None
    engine = engine_for("return 1")
    before = library.calls.mr_context_count()
    for _ in range(5):
        assert run(engine).result == 1
    unfinished = engine.execution(Call("f", json.dumps({}), 1.0))
    assert library.calls.mr_context_count() == before + 1
    unfinished.close()
    assert library.calls.mr_context_count() == before


def test_atob_and_btoa() -> None:
    body = """
      const all = String.fromCharCode(...Array(256).keys());
      const refused = (f) => {
        try { f() } catch (e) { return [e.name, e.code, e instanceof Error] } };
      return [atob(btoa(all)) === all, btoa('a'), atob(' YQ = = '), atob('YQ'),
              refused(() => atob('?')), refused(() => btoa('\\u0100'))]"""
    wrong = ["InvalidCharacterError", 5, True]
    assert value(body) == [True, "YQ==", "a", "a", wrong, wrong]


def test_performance_counts_from_the_start_and_never_back() -> None:
    body = """
      const before = performance.now(); const now = Date.now; Date.now = () => 0;
      let last = before; for (let i = 0; i < 1000; i++) {
        const t = performance.now(); if (t < last) return 'back'; last = t }
      return [before >= 0, Math.abs(now() - performance.timeOrigin) < 60000]"""
    assert value(body) == [True, True]


def test_a_missing_package_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ScriptError, match=r"pip install 'madrpc\[v8\]'"):
        engine_from([Script("a.js", "")])
    assert choice.problem_with("quickjs") is None


def test_worn_is_a_process_that_grew_far_beyond_the_heap() -> None:
    engine = engine_for("return 1", limits=EngineLimits(memory_bytes=2**40))
    assert not engine.is_worn
    assert not engine.is_broken
    assert list(engine.methods) == ["f"]


def test_there_is_no_room_for_isolates_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for("return 1")
    monkeypatch.setattr(v8_library, "_MOST_ISOLATES", 0)
    with pytest.raises(MemoryError):
        run(engine)
    monkeypatch.undo()


def test_a_trap_breaks_the_engine_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for("return 1")
    library = v8_library._library
    assert library is not None
    monkeypatch.setattr(library, "gave_up", False)
    with pytest.raises(v8_library.V8GaveUp, match="out of memory"):
        library._on_trap(5, None)
    assert engine.is_broken
    library._on_trap(4, None)
    monkeypatch.undo()
    assert not engine.is_broken
