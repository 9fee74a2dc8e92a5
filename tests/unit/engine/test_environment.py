"""Which pieces a source gets, that they come only then, and that they do not disturb."""

from __future__ import annotations

import pytest

from madrpc.engine.environment import pieces_for
from tests.unit.engine.drive import engine_for, engine_of, run, value

NAMES = [
    "console", "setTimeout", "setInterval", "clearTimeout", "clearInterval", "structuredClone",
    "TextEncoder", "TextDecoder", "crypto", "self",
]  # fmt: skip


def names_for(source: str) -> set[str]:
    return {name for piece in pieces_for([source]).pieces for name in piece.names.split()}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("madrpc.register('f', () => 1)", set()),
        ("the text itself, myself, selfish", set()),
        ("x = self.x", {"self"}),
        ("console.log(1)", {"console"}),
        ("g['TextDecoder']", {"TextDecoder"}),
        ("setTimeout(f)", {"setTimeout", "clearTimeout", "setInterval", "clearInterval"}),
        ("crypto.randomUUID()", {"crypto"}),
        ("structuredClone(x)", {"structuredClone"}),
        ("evaluate, retrieval, functional", set()),
        ("eval(text)", set(NAMES)),
        ("new Function(text)", set(NAMES)),
    ],
)
def test_a_source_gets_what_it_mentions(source: str, names: set[str]) -> None:
    assert names_for(source) == names


@pytest.mark.parametrize(
    ("source", "random", "calls"),
    [
        ("madrpc.register('f', () => 1)", False, False),
        ("Math.random()", True, False),
        ("M = Math; M['random']()", True, False),
        ("madrpc.call('g')", False, True),
        ("eval(text)", True, True),
    ],
)
def test_random_and_nested_calls_are_there_when_mentioned(
    source: str, random: bool, calls: bool
) -> None:
    environment = pieces_for([source])
    assert (environment.random, environment.calls) == (random, calls)


@pytest.mark.only("quickjs")
def test_a_script_that_mentions_nothing_finds_the_bare_engine() -> None:
    body = "return Object.getOwnPropertyNames(globalThis)"
    globals_there = set(value(body))
    assert not globals_there & set(NAMES)
    assert value("return `${Math['ran' + 'dom']}`") == "function random() {\n    [native code]\n}"


@pytest.mark.parametrize("name", NAMES)
def test_a_global_is_an_ordinary_one(name: str) -> None:
    described = value(
        f"const kind = typeof {name};"
        f"const {{writable, configurable, enumerable}} = "
        f"Object.getOwnPropertyDescriptor(globalThis, '{name}');"
        "return {kind, writable, configurable, enumerable}"
    )
    kind = "object" if name in ("console", "crypto", "self") else "function"
    assert described == {
        "kind": kind, "writable": True, "configurable": True, "enumerable": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["var {} = 5", "globalThis.{} = 5", "let {} = 5", "const {} = 5"])
def test_a_script_may_put_its_own_in_place(name: str, how: str) -> None:
    engine = engine_of(f"{how.format(name)}; madrpc.register('f', () => [{name}, {name} === 5]);")
    assert run(engine).result == [5, True]


def test_a_function_declaration_takes_the_place_too() -> None:
    engine = engine_of(
        "function setTimeout() { return 'mine' } "
        "madrpc.register('f', () => [setTimeout(), typeof clearTimeout]);"
    )
    assert run(engine).result == ["mine", "function"]


def test_text_compiled_at_run_time_finds_everything() -> None:
    engine = engine_of(
        "madrpc.register('f', async ({code}) => (0, eval)(code));"
        "madrpc.register('g', ({code}) => new Function(code)());"
    )
    code = "[typeof setTimeout, typeof structuredClone, typeof console.log, typeof madrpc.call]"
    assert run(engine, {"code": code}).result == ["function"] * 4
    code = "return [Math.random(), Math.random()]"
    assert (
        run(engine, {"code": code}, method="g", seed="1").result
        == run(engine, {"code": code}, method="g", seed="1").result
    )


def test_what_the_engine_has_itself_is_there() -> None:
    assert value(
        "const now = performance.now();"
        "await new Promise(done => queueMicrotask(done));"
        "return [performance.now() >= now, now >= 0, atob(btoa('\\xff\\x00hi')), "
        "new DOMException('m', 'AbortError').name, globalThis.fetch, globalThis.URL]"
    ) == [True, True, "\xff\x00hi", "AbortError", None, None]


@pytest.mark.parametrize("text", ["a", "ab=", "====", "a b c", "ab\u1234"])
def test_atob_refuses_what_is_not_base64(text: str) -> None:
    got = value("try { return atob(args.text) } catch (e) { return e.name }", {"text": text})
    assert got in ("InvalidCharacterError", "i·")


def test_pieces_work_after_a_script_patched_the_built_ins() -> None:
    patched = (
        "JSON.stringify = () => 'broken'; Object.defineProperty = () => { throw 1 };"
        "Array.prototype.toJSON = String.prototype.toJSON = () => 'broken'; eval = null;"
        "Math.imul = Math.floor = null; Reflect.apply = null; performance.now = null;"
    )
    engine = engine_of(
        f"{patched} madrpc.register('f', () => [Math.random(), Math.random()].length);"
        "madrpc.register('g', () => { console.log('seen', 1); return 2 });"
    )
    assert run(engine).result == 2
    done = run(engine, method="g")
    assert (done.result, [line.text for line in done.logs]) == (2, ["seen 1"])


def test_a_call_leaves_nothing_behind_for_the_next() -> None:
    engine = engine_for(
        "const before = [typeof globalThis.mark, console.mark, Math.random.mark];"
        "globalThis.mark = console.mark = Math.random.mark = 1;"
        "Math.random = () => 4; setTimeout(() => { globalThis.late = 1 }, 1000);"
        "return [...before, typeof globalThis.late]"
    )
    for _ in range(3):
        engine.prepare()
        assert run(engine).result == ["undefined", None, None, "undefined"]
