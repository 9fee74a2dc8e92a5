"""console: what lines look like, the cap, and that nothing a script logs can hurt."""

from __future__ import annotations

from typing import Any

import pytest

from madrpc.config import EngineLimits
from madrpc.engine.interface import Call, LogLine, Waiting
from madrpc.errors import JavaScriptError, MemoryLimitExceeded, TimeLimitExceeded
from tests.unit.engine.drive import engine_for, engine_of, run


def logged(body: str, args: Any = None) -> list[tuple[str, str]]:
    done = run(engine_for(body), args)
    assert done.error is None, done.error
    return [tuple(line) for line in done.logs]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("log", "info"), ("info", "info"), ("debug", "debug"), ("warn", "warn"),
        ("error", "error"), ("dir", "info"), ("table", "info"), ("group", "info"),
    ],
)  # fmt: skip
def test_each_method_has_its_level(method: str, level: str) -> None:
    assert logged(f"console.{method}('text')") == [(level, "text")]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ("", ""),
        ("'plain'", "plain"),
        ("'a', 1, true, null, undefined, 2.5", "a 1 true null undefined 2.5"),
        ("-0, NaN, 10n, Symbol('s'), Infinity", "-0 NaN 10n Symbol(s) Infinity"),
        ("{a: 1, 'b-c': 'it\\'s', d: [1, 'x']}", "{ a: 1, 'b-c': \"it's\", d: [ 1, 'x' ] }"),
        ("[], {}, [[]]", "[] {} [ [] ]"),
        ("{a: {b: {c: {d: 1}}}}", "{ a: { b: { c: [Object] } } }"),
        ("[[[[1]]]]", "[ [ [ [Array] ] ] ]"),
        ("new (class Point { x = 1 })", "Point { x: 1 }"),
        ("Object.create(null)", "[Object: null prototype] {}"),
        ("new Map([['a', {b: 1}]]), new Set([1, 'x'])",
         "Map(1) { 'a' => { b: 1 } } Set(2) { 1, 'x' }"),
        ("new Date(0), /a+/g", "1970-01-01T00:00:00.000Z /a+/g"),
        ("new Date(NaN)", "Invalid Date"),
        ("new Uint8Array(3), new ArrayBuffer(4)",
         "Uint8Array(3) [ 0, 0, 0 ] ArrayBuffer { byteLength: 4 }"),
        ("() => 1, function foo() {}, class Q {}",
         "[Function (anonymous)] [Function: foo] [class Q]"),
        ("new String('abc'), new Number(3)", "[String: 'abc'] [Number: 3]"),
        ("(() => { const a = {n: 1}; a.me = a; return a })()", "{ n: 1, me: [Circular] }"),
        ("{get a() { throw 1 }, set b(x) {}}", "{ a: [Getter], b: [Setter] }"),
        ("[1, , 3]", "[ 1, <empty>, 3 ]"),
        ("Promise.resolve(1), JSON", "Promise {} Object [JSON] {}"),
        ("new Proxy({}, {ownKeys() { throw 1 }})", "[unreadable]"),
        ("{toString() { throw 1 }}", "{ toString: [Function: toString] }"),
        ("'%s is %d years, %i, %f', 'Bob', 42.5, 42.9, '1.5'", "Bob is 42.5 years, 42, 1.5"),
        ("'%j %o %O %c|%%', {a: 1}, [1], {b: 2}, 'css', 'more'", '{"a":1} [ 1 ] { b: 2 } |% more'),
        ("'100%', 5", "100% 5"),
        ("'%d %s', 'x'", "NaN %s"),
        ("'%q %', 5", "%q % 5"),
        ("'%'", "%"),
        ("'two\\nlines', 'tab\\t'", "two\nlines tab\t"),
        ("'\\u00e9\\u{1f600}', ['\\u{1f600}']", "é\U0001f600 [ '\U0001f600' ]"),
        ("'half \\ud83d'", "half ?"),
        ("Array.from({length: 102}, (_, i) => 7)", f"[ {'7, ' * 100}... 2 more items ]"),
    ],
)  # fmt: skip
def test_values_are_shown_as_node_shows_them(args: str, text: str) -> None:
    assert logged(f"console.log({args})") == [("info", text)]


@pytest.mark.only("quickjs")
def test_errors_are_shown_with_their_stack_and_cause() -> None:
    engine = engine_of(
        "madrpc.register('f', function outer() {\n"
        "  console.error(new TypeError('bad', {cause: new Error('why')}));\n"
        "  console.log('then', new RangeError('r')); console.trace('here', 1) });"
    )
    error, then, trace = run(engine).logs
    assert error.level == "error"
    assert error.text.startswith("TypeError: bad\n    at outer (a.js:2:")
    assert "[cause]: Error: why\n    at outer (a.js:2:" in error.text
    assert then.text.startswith("then RangeError: r\n    at outer (a.js:3:")
    assert trace.text.startswith("Trace: here 1\n    at outer (a.js:3:")
    assert "madrpc" not in error.text + then.text + trace.text


def test_the_lesser_methods_do_what_they_do_elsewhere() -> None:
    lines = logged(
        "console.group('one'); console.log('in\\nside'); console.groupCollapsed(); "
        "console.warn('deep'); console.groupEnd(); console.groupEnd(); console.groupEnd();"
        "console.log('out'); console.count(); console.count('x'); console.count();"
        "console.countReset(); console.count(); console.assert(true, 'no');"
        "console.assert(false, 'why', {a: 1}); console.assert(0);"
    )
    assert lines == [
        ("info", "one"), ("info", "  in\n  side"), ("warn", "    deep"), ("info", "out"),
        ("info", "default: 1"), ("info", "x: 1"), ("info", "default: 2"), ("info", "default: 1"),
        ("error", "Assertion failed: why { a: 1 }"), ("error", "Assertion failed"),
    ]  # fmt: skip
    first, second = logged("console.time('t'); console.timeLog('t', 5); console.timeEnd('t');")
    assert first[1].startswith("t: ")
    assert first[1].endswith("ms 5")
    assert second[1].endswith("ms")


def test_methods_work_without_their_object() -> None:
    assert logged("const {log} = console; [1, 2].forEach(x => log(x))") == [
        ("info", "1"), ("info", "2"),
    ]  # fmt: skip


def test_lines_beyond_a_hundred_are_counted_and_dropped() -> None:
    done = run(engine_for("for (let i = 0; i < 1234; i++) console.log(i)"))
    assert [line.text for line in done.logs[:100]] == [str(i) for i in range(100)]
    assert done.logs[100:] == [LogLine("warn", "... 1134 more lines dropped")]


def test_text_beyond_sixteen_kibibytes_is_cut() -> None:
    lines = run(engine_for("console.log('x'.repeat(1e6)); console.log('y')")).logs
    assert lines[0].text == "x" * 16384 + "... (1000000 characters)"
    assert lines[1:] == [LogLine("warn", "... 1 more line dropped")]


def test_large_objects_take_no_longer_than_what_is_shown() -> None:
    engine = engine_for(
        "const wide = {}, text = 'x'.repeat(99);"
        "for (let i = 0; i < 20000; i++) wide['key' + i] = {i, text};"
        "const tree = n => n ? {a: tree(n - 1), b: tree(n - 1)} : 1;"
        "console.log(wide); console.log(new Map(Object.entries(wide)));"
        "console.log(new Array(1e6).fill('y'.repeat(1000))); console.log(tree(12));",
        limits=EngineLimits(time_s=5.0, memory_bytes=128 * 2**20),
    )
    done = run(engine)
    assert done.error is None
    assert sum(len(line.text) for line in done.logs) < 3 * 16384


def test_the_cap_is_for_the_call_not_for_a_step() -> None:
    execution = engine_for(
        "for (let i = 0; i < 60; i++) console.log(i);"
        "await new Promise(done => setTimeout(done, 1));"
        "for (let i = 0; i < 60; i++) console.log(i)"
    ).execution(Call("f", "{}", 5.0))
    assert isinstance(execution.start(), Waiting)
    assert len(execution.logs()) == 60
    execution.wake()
    assert len(execution.logs()) == 41
    assert execution.logs() == []
    execution.close()


@pytest.mark.only("quickjs")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("throw new Error('after')", JavaScriptError),
        ("for (;;);", TimeLimitExceeded),
        ("const all = []; for (;;) all.push('x'.repeat(1e5) + all.length)", MemoryLimitExceeded),
    ],
)
def test_lines_survive_a_failed_call(body: str, error: type[Exception]) -> None:
    limits = EngineLimits(time_s=0.3 if "for (;;);" in body else 10.0, memory_bytes=32 * 2**20)
    done = run(engine_for(f"console.log('before'); {body}", limits=limits))
    assert isinstance(done.error, error)
    assert done.logs == [LogLine("info", "before")]


def test_what_a_script_writes_while_it_loads_is_told_once() -> None:
    engine = engine_of(
        "console.warn('library'); var lib = 1;",
        "console.log('script', lib); Promise.resolve().then(() => console.log('job'));"
        "madrpc.register('f', () => { console.log('call') });",
    )
    told = [(script.name, *line) for script, line in engine.startup_logs]
    assert told == [
        ("a.js", "warn", "library"), ("b.js", "info", "script 1"), ("b.js", "info", "job"),
    ]  # fmt: skip
    for _ in range(2):
        engine.prepare()
        assert run(engine).logs == [LogLine("info", "call")]


def test_what_is_written_while_loading_does_not_count_towards_the_cap() -> None:
    engine = engine_of(
        "for (let i = 0; i < 150; i++) console.log(i);"
        "madrpc.register('f', () => { for (let i = 0; i < 100; i++) console.log(i) });"
    )
    assert len(engine.startup_logs) == 101
    assert len(run(engine).logs) == 100


def test_a_script_without_console_has_no_logs() -> None:
    assert run(engine_of("madrpc.register('f', () => 1);")).logs == []
