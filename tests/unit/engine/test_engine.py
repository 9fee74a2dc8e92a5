from __future__ import annotations

import json
from typing import Any

import pytest

from madrpc.config import EngineLimits
from madrpc.engine import execution as execution_module
from madrpc.engine import scripted
from madrpc.engine.interface import Call, Done, NestedCall, Script, Waiting
from madrpc.engine.program import Program
from madrpc.engine.quickjs import QuickJSEngine
from madrpc.errors import (
    JavaScriptError,
    MadrpcError,
    MemoryLimitExceeded,
    PayloadTooLarge,
    PromiseNeverSettled,
    ResultNotSerializable,
    ScriptError,
    StackLimitExceeded,
    TimeLimitExceeded,
)
from tests.kit import Clock
from tests.unit.engine.drive import engine_from

LIMITS = EngineLimits(time_s=10, memory_bytes=16 * 2**20)
#: For what is stopped by its time limit; too short for anything else on a busy machine.
SHORT = EngineLimits(time_s=0.05)


def engine(*sources: str, limits: EngineLimits = LIMITS) -> Any:
    names = ["rules.js", *(f"more{n}.js" for n in range(1, len(sources)))]
    return engine_from(list(map(Script, names, sources)), limits)


def execution(found: Any, method: str = "f", args: object = None) -> Any:
    text = json.dumps({} if args is None else args)
    return found.execution(Call(method, text, found.limits.time_s))


def call(found: Any, method: str = "f", args: object = None) -> Any:
    """The function's result."""
    running = execution(found, method, args)
    try:
        step = running.start()
        assert isinstance(step, Done), step
        return json.loads(step.result)
    finally:
        running.close()


def function(body: str, *, is_async: bool = False) -> str:
    return f"madrpc.register('f', {'async ' * is_async}function f(args) {{\n{body}\n}})"


def run(
    body: str, args: object = None, *, is_async: bool = False, limits: EngineLimits = LIMITS
) -> Any:
    return call(engine(function(body, is_async=is_async), limits=limits), args=args)


def failure(body: str, kind: type[MadrpcError], **settings: Any) -> MadrpcError:
    with pytest.raises(MadrpcError) as caught:
        run(body, **settings)
    assert type(caught.value) is kind, caught.value
    return caught.value


both_kinds = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


# ------------------------------------------------------------- registration


def refused(*sources: str, limits: EngineLimits = LIMITS) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        engine(*sources, limits=limits)
    return caught.value


def test_functions_are_listed_with_their_script():
    found = engine(
        "madrpc.register('a', () => 1); madrpc.register('b.c', () => 2)",
        "madrpc.register('é😀', () => 3)",
    )
    names = {name: script.name for name, script in found.methods.items()}
    assert names == {"a": "rules.js", "b.c": "rules.js", "é😀": "more1.js"}
    assert [call(found, name) for name in names] == [1, 2, 3]


@pytest.mark.parametrize("name", ["constructor", "toString", "hasOwnProperty", "a b", "x" * 255])
def test_odd_names_are_names_like_others(name):
    found = engine(f"madrpc.register({json.dumps(name)}, () => 5)")
    assert list(found.methods) == [name]
    assert call(found, name) == 5


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("madrpc.register('', f)", "name must be a string that is not empty"),
        ("madrpc.register(5, f)", "name must be a string that is not empty"),
        ("madrpc.register()", "name must be a string that is not empty"),
        ("madrpc.register(new String('a'), f)", "name must be a string that is not empty"),
        ("madrpc.register('_info', f)", '"_info" begins with _, which is kept for built-in'),
        ("madrpc.register('__proto__', f)", '"__proto__" begins with _'),
        ("madrpc.register('a')", 'madrpc.register("a", fn): fn must be a function'),
        ("madrpc.register('a', {})", 'madrpc.register("a", fn): fn must be a function'),
        ("madrpc.register('ok', f)", '"ok" is registered twice'),
    ],
)
def test_a_wrong_registration_names_the_line(statement, says):
    error = refused(f"const f = () => 1;\nmadrpc.register('ok', f);\n\n  {statement};\n")
    assert says in error.message
    assert error.data["file"] == "rules.js"
    assert error.data["line"] == 4
    assert error.message.startswith(f"rules.js:4:{error.data['column']}: ")


@pytest.mark.only("quickjs")
@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("let a = 1;\n\nlet b = ;", 3, "SyntaxError: unexpected token"),
        ("function g() {\n  throw new TypeError('bad');\n}\n\ng();", 2, "TypeError: bad"),
        ("\nundefined_name;", 2, "ReferenceError"),
        ("throw 'text'", None, "text"),
        ("throw null", None, "null"),
        ("\nqueueMicrotask(() => { throw new Error('later') })", 2, "Error: later"),
        ("[" * 60_000, None, "stack"),
        ("const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)", 1, "out of memory"),
    ],
)
def test_a_script_that_fails_to_load_says_where(source, line, says):
    error = refused(source)
    assert says in error.message
    assert error.message.startswith("rules.js:")
    assert error.data.get("line") == line


@pytest.mark.only("quickjs")
def test_a_script_that_never_finishes_loading_is_stopped():
    error = refused("for (;;);", limits=SHORT)
    assert error.message.startswith("rules.js:1:1: InternalError: interrupted\n")


def test_a_script_that_registers_nothing_is_refused():
    assert "rules.js registers no function" in refused("const a = 1").message


def test_a_name_over_255_bytes_is_refused():
    assert (
        "a name over 255 bytes: é" in refused("madrpc.register('é'.repeat(128), () => 1)").message
    )


def test_two_scripts_may_not_share_a_name():
    error = refused("madrpc.register('a', () => 1)", "madrpc.register('a', () => 2)")
    assert "more1.js registers 'a', which rules.js has registered already" in error.message
    assert error.data == {"file": "more1.js", "method": "a"}


def test_a_source_with_a_lone_surrogate_is_refused():
    assert "lone surrogate" in refused("'\ud800'").message


def test_an_engine_without_scripts_has_no_methods():
    assert engine().methods == {}
    assert not engine().prepare()


def test_a_name_with_a_lone_surrogate_is_refused():
    assert "lone surrogate" in refused(r"madrpc.register('\ud800', () => 1)").message


@pytest.mark.parametrize(
    "source",
    [
        "Promise.resolve().then(() => madrpc.register('f', () => 5))",
        "let t = 0; (async () => { await 0; t = 5 })(); madrpc.register('f', () => t)",
    ],
    ids=["registration", "state"],
)
def test_what_a_script_sets_up_in_microtasks_is_there_in_every_call(source):
    assert call(engine(source)) == 5


def test_endless_microtasks_while_loading_are_stopped():
    # Not really endless, or this test would be.
    source = "const end = Date.now() + 300; (async () => { while (Date.now() < end) await 0 })();"
    refused(f"{source} madrpc.register('f', () => 1)", limits=SHORT)


def test_a_script_may_register_hundreds_of_functions():
    found = engine("for (let i = 0; i < 500; i++) madrpc.register('function_' + i, () => i)")
    assert len(found.methods) == 500


# ------------------------------------------------------------------ results


@both_kinds
@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1", 1),
        ("'text'", "text"),
        ("undefined", None),
        ("null", None),
        ("true", True),
        ("NaN", None),
        ("-Infinity", None),
        ("-0", 0),
        ("[NaN, Infinity, -0, undefined, () => 1, Symbol()]", [None, None, 0, None, None, None]),
        ("({u: undefined, f() {}, s: Symbol(), n: null})", {"n": None}),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("new Map([[1, 2]])", {}),
        ("[2**31, -(2**31), 2**53 - 1]", [2**31, -(2**31), 2**53 - 1]),
        ("2**60", 1152921504606847000),
        (r"'a\0b\u2028😀é'", "a\0b\u2028😀é"),
        (r"'\ud800'", "\ud800"),
        ("'x'.repeat(10_000) + 'y'", "x" * 10_000 + "y"),
        ("({then: 5})", {"then": 5}),
        ("({then(settle) { settle(7) }})", 7),
        ("Promise.resolve([1])", [1]),
        ("({toJSON() { return 'mine' }})", "mine"),
        ("new Proxy({a: 1}, {})", {"a": 1}),
        ("0", 0),
        ("''", ""),
    ],
)
def test_results_follow_json_stringify(expression, result, is_async):
    found = run(f"return {expression}", is_async=is_async)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"a": [1, -1.5, True, None, "é😀\0", {"b": []}]},
        {"n": 2**53 - 1, "m": -(2**53) + 1, "big": 1e300},
        {"__proto__": {"x": 1}, "constructor": 1},
        {"long": "x" * 100_000},
    ],
)
def test_arguments_come_through_unchanged(args):
    assert run("return args", args) == args


@both_kinds
@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("() => 1", "a function or a symbol"),
        ("Symbol('x')", "a function or a symbol"),
        ("10n", "BigInt"),
        ("[[{a: 10n}]]", "BigInt"),
        ("(() => { const a = {}; a.a = a; return a })()", "circular"),
        ("({toJSON() { throw new Error('mine') }})", "Error: mine"),
        ("({get a() { throw new TypeError('mine') }})", "TypeError: mine"),
    ],
)
def test_what_json_cannot_carry_is_refused(expression, says, is_async):
    error = failure(f"return {expression}", ResultNotSerializable, is_async=is_async)
    assert says in error.message


def test_a_result_over_the_limit_is_refused():
    limits = EngineLimits(time_s=1, result_bytes=100)
    found = engine(function("return 'x'.repeat(args.n)"), limits=limits)
    assert call(found, args={"n": 98}) == "x" * 98
    with pytest.raises(PayloadTooLarge) as caught:
        call(found, args={"n": 99})
    assert caught.value.data == {"size": 101, "limit": 100}


# ------------------------------------------------------------------- throws


@both_kinds
@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        ("new Error('boom')", "Error", "boom"),
        ("new TypeError('boom')", "TypeError", "boom"),
        ("Object.freeze(new RangeError('boom'))", "RangeError", "boom"),
        ("new (class Mine extends Error { name = 'Mine' })('boom')", "Mine", "boom"),
        ("Object.assign(new Error('boom'), {name: ''})", "Error", "boom"),
        ("new Error()", "Error", ""),
        ("new Error('a\\nb\\0c😀')", "Error", "a\nb\0c😀"),
        ("new Error('\\ud800')", "Error", "\ud800"),
        ("null", "Error", "null"),
        ("undefined", "Error", "undefined"),
        ("1", "Error", "1"),
        ("'text'", "Error", "text"),
        ("Symbol('s')", "Error", "s"),
        ("10n", "Error", "10"),
        ("[1, 2]", "Error", "1,2"),
        ("({})", "Error", "[object Object]"),
        ("({message: 'm', name: 'N'})", "N", "m"),
        ("Object.create(null)", "Error", ""),
        ("({toString() { throw 1 }})", "Error", ""),
        ("({get name() { throw 1 }, get message() { throw 2 }, get stack() { throw 3 }})",
         "Error", ""),
        ("new Proxy(new Error('p'), {get() { throw 5 }})", "Error", ""),
        ("({name: {}, message: Symbol()})", "[object Object]", ""),
    ],
)  # fmt: skip
def test_anything_thrown_becomes_a_javascript_error(value, name, message, is_async):
    error = failure(f"throw {value}", JavaScriptError, is_async=is_async)
    assert (error.data["name"], error.data["message"]) == (name, message)
    assert error.message


def test_a_rejected_promise_is_a_throw():
    assert failure("return Promise.reject(new TypeError('no'))", JavaScriptError).js_name == (
        "TypeError"
    )


def test_a_rejection_that_nobody_waits_for_is_passed_over():
    assert run("Promise.reject(new Error('dropped')); return 4", is_async=True) == 4


@pytest.mark.only("quickjs")
def test_a_throw_in_a_microtask_ends_the_call():
    body = "queueMicrotask(() => { throw new TypeError('late') }); await 0; await 0; return 1"
    error = failure(body, JavaScriptError, is_async=True)
    assert (error.js_name, error.data["message"]) == ("TypeError", "late")
    assert "rules.js:2:" in error.stack


@pytest.mark.only("quickjs")
@pytest.mark.parametrize("value", ["5", "'text'", "{toString() { return 'abc' }}"])
def test_any_value_thrown_in_a_microtask_is_the_scripts(value):
    body = f"queueMicrotask(() => {{ throw {value} }}); await 0; await 0; return 1"
    failure(body, JavaScriptError, is_async=True)


@pytest.mark.only("quickjs")
def test_a_stack_has_the_scripts_name_and_lines_and_no_host_frames():
    found = engine(
        "function inner() {\n  throw new Error('boom');\n}\n"
        "madrpc.register('f', function outer() {\n  return [1].map(() => inner());\n});"
    )
    with pytest.raises(JavaScriptError) as caught:
        call(found)
    frames = caught.value.stack.splitlines()
    assert frames[0].startswith("    at inner (rules.js:2:")
    assert any(frame.startswith("    at outer (rules.js:5:") for frame in frames)
    assert "__madrpc" not in caught.value.stack
    assert "<input>" not in caught.value.stack


def test_the_stack_of_an_async_function_has_its_line():
    error = failure("await 0;\nthrow new Error('boom')", JavaScriptError, is_async=True)
    assert error.stack.splitlines()[0].startswith("    at f (rules.js:3:")
    assert "__madrpc" not in error.stack


@pytest.mark.parametrize("length", [400, 1000, 100_000], ids=str)
def test_a_long_message_is_a_javascript_error_too(length):
    found = engine(function("throw new Error('x'.repeat(args.n))"))
    with pytest.raises(JavaScriptError) as caught:
        call(found, args={"n": length})
    assert len(caught.value.message) < 9000


def test_a_long_stack_is_a_javascript_error_too():
    name = "a_function_with_quite_a_long_name_" * 8
    body = f"function {name}(n) {{ if (!n) throw new Error('deep'); return {name}(n - 1) + 1 }}"
    assert failure(f"{body}\nreturn {name}(30)", JavaScriptError).data["message"] == "deep"


def test_a_method_that_this_context_did_not_register_throws():
    found = engine("madrpc.register('f', () => 1)")
    found.methods["g"] = found.methods["f"]
    found._programs["g"] = found._programs["f"]
    with pytest.raises(JavaScriptError, match="not a function"):
        call(found, "g")


# ------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    "body",
    [
        "for (;;);",
        "try { for (;;); } catch (e) { return 1 } finally { return 2 }",
        "return /^(a+)+$/.test('a'.repeat(40) + 'b')",
        "return {toJSON() { for (;;); }}",
        "return {get then() { for (;;); }}",
        "throw {get message() { for (;;); }}",
        "throw {toString() { for (;;); }}",
    ],
)
def test_an_endless_function_is_stopped(body):
    error = failure(body, TimeLimitExceeded, limits=SHORT)
    assert error.data == {"limit_s": 0.05}


@pytest.mark.parametrize(
    "body",
    [
        "for (;;);",
        "for (;;) await 0",
        "await 0; for (;;);",
        "const g = () => { Promise.resolve().then(g) }; g(); await new Promise(() => {})",
        "return {toJSON() { for (;;); }}",
        "throw {get message() { for (;;); }}",
    ],
)
def test_an_endless_async_function_is_stopped(body):
    failure(body, TimeLimitExceeded, is_async=True, limits=SHORT)


def test_a_call_may_have_less_time_than_the_limit():
    found = engine(function("for (;;);"), limits=EngineLimits(time_s=60))
    running = found.execution(Call("f", "{}", 0.05))
    with pytest.raises(TimeLimitExceeded):
        running.start()
    running.close()


@pytest.mark.only("quickjs")
@pytest.mark.parametrize(
    "body",
    [
        "let s = 'x'; for (;;) s += s",
        "const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)",
        "return new ArrayBuffer(64 * 2**20)",
        "return new Uint8Array(1e9)",
        "return 'x'.repeat(2**29)",
    ],
)
@both_kinds
def test_needing_too_much_memory_is_the_heap_limit(body, is_async):
    error = failure(body, MemoryLimitExceeded, is_async=is_async)
    assert error.data == {"limit_bytes": 16 * 2**20}


NULL_BOMB = "const m = new Map(); for (let i = 0;; i++) m.set(i, i)"


@pytest.mark.only("quickjs")
@pytest.mark.parametrize(
    ("grown", "kind"), [(9 * 2**20, MemoryLimitExceeded), (7 * 2**20, JavaScriptError)]
)
def test_a_null_of_a_process_that_grew_is_the_heap_limit(monkeypatch, grown, kind):
    monkeypatch.setattr(scripted, "peak_rss", lambda: 0)
    found = engine(function("throw null"))
    monkeypatch.setattr(scripted, "peak_rss", lambda: grown)
    with pytest.raises(kind):
        call(found)
    assert found.is_worn == (kind is MemoryLimitExceeded)


def test_a_forked_process_counts_its_growth_anew(monkeypatch):
    monkeypatch.setattr(scripted, "peak_rss", lambda: 0)
    found = engine(function("throw null"))
    monkeypatch.setattr(scripted, "peak_rss", lambda: 100 * 2**20)
    assert found.is_worn
    found.forked()
    assert not found.is_worn


@pytest.mark.only("quickjs")
def test_a_memory_bomb_whose_error_found_no_memory_is_the_heap_limit(monkeypatch):
    # This process may have grown before; a worker that has is worn and gets no more calls.
    monkeypatch.setattr(QuickJSEngine, "null_is_memory", True)
    failure(NULL_BOMB, MemoryLimitExceeded)


def test_a_heap_full_of_garbage_is_the_heap_limit():
    found = engine(function("const a = []; for (;;) a.push([a])"))
    with pytest.raises(MemoryLimitExceeded):
        call(found)


@pytest.mark.parametrize(
    "body",
    [
        "function g() { return g() + 1 } return g()",
        "return [2, 1].sort(function g() { return [2, 1].sort(g)[0] })",
        "const o = {toString() { return `${o}` }}; return `${o}`",
        "let p = {}; for (let i = 0; i < 2e4; i++) p = new Proxy(p, {}); return p.x",
    ],
)
@both_kinds
def test_recursing_too_deep_is_the_stack_limit(body, is_async):
    error = failure(body, StackLimitExceeded, is_async=is_async)
    assert error.data == {"limit_bytes": LIMITS.stack_bytes}


@pytest.mark.only("quickjs")
def test_a_result_nested_too_deep_for_the_engine_is_not_serializable():
    failure("let x = 1; for (let i = 0; i < 5000; i++) x = [x]; return x", ResultNotSerializable)


def test_an_engine_goes_on_after_every_kind_of_failure():
    source = """
    madrpc.register('memory', () => { let s = 'x'; for (;;) s += s });
    madrpc.register('stack', function g() { return g() + 1 });
    madrpc.register('throw', () => { throw new Error('x') });
    madrpc.register('never', () => new Promise(() => {}));
    madrpc.register('f', () => 5);"""
    found = engine(source)
    for name in ("memory", "stack", "throw", "never"):
        with pytest.raises(MadrpcError):
            call(found, name)
        assert call(found) == 5


# ----------------------------------------------------------------- promises


@pytest.mark.parametrize(
    "body",
    [
        "return new Promise(() => {})",
        "return {then() {}}",
        "return Promise.all([1, new Promise(() => {})])",
    ],
)
def test_a_promise_that_never_settles_is_seen_at_once(body):
    failure(body, PromiseNeverSettled)


def test_a_chain_of_promises_is_followed():
    body = "let n = 0; for (let i = 0; i < 1000; i++) n += await i; return n"
    assert run(body, is_async=True) == 499500


# --------------------------------------------------------------- isolation


PATCHES = [
    "globalThis.leaked = 1",
    "leaked_too = 1",
    "Array.prototype.leaked = 1",
    "Array.prototype.join = () => 'patched'",
    "JSON.stringify = () => '\"patched\"'",
    "JSON.parse = () => 'patched'",
    "Object.prototype.toJSON = () => 'patched'",
    "Object.prototype.leaked = 1",
    "Promise.prototype.then = () => 'patched'",
    "Promise = undefined",
    "Object.prototype.then = 5",
    "String.prototype.toString = () => 'patched'",
    "madrpc.register = undefined",
    "delete globalThis.madrpc",
    "state.count = 99",
]
PROBE = """
const state = {count: 0};
madrpc.register('patch', args => { eval(args.code); return 1 });
madrpc.register('f', async args => {
  await null;
  const globals = [typeof leaked, typeof leaked_too, typeof madrpc.register, typeof Promise];
  return [state.count++, [].leaked, ({}).leaked, [1, 2].join('-'), args, globals];
});"""


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("is_prepared", [False, True])
def test_nothing_a_call_does_reaches_the_next(patch, is_prepared):
    found = engine(PROBE)
    clean = call(found, args={"a": 1})
    assert clean == [0, None, None, "1-2", {"a": 1}, [
        "undefined", "undefined", "function", "function"
    ]]  # fmt: skip
    if is_prepared:
        found.prepare()
    running = execution(found, "patch", {"code": patch})
    try:
        running.start()
    except MadrpcError:
        pass  # a patched toJSON, say, may spoil the call's own result
    if is_prepared:
        found.prepare()
    assert call(found, args={"a": 1}) == clean
    running.close()


def test_a_patched_json_spoils_neither_arguments_nor_results():
    body = "JSON.stringify = () => 'x'; JSON.parse = () => 'x'; return args"
    assert run(body, {"a": 1}) == {"a": 1}
    assert run(body, {"a": 1}, is_async=True) == {"a": 1}


def test_a_patched_json_spoils_no_error():
    patch = "JSON.stringify = () => 'x'; Promise.prototype.then = 5; Array.prototype.join = 5;"
    for is_async in (False, True):
        error = failure(f"{patch} throw new TypeError('boom')", JavaScriptError, is_async=is_async)
        assert (error.js_name, error.data["message"]) == ("TypeError", "boom")


@pytest.mark.parametrize(
    "name", ["std", "os", "require", "process", "Deno", "fetch", "XMLHttpRequest", "Worker"]
)
def test_the_machine_is_out_of_reach(name):
    assert run(f"return typeof {name}") == "undefined"


@pytest.mark.only("quickjs")
@pytest.mark.parametrize("what", ["/etc/passwd", "os", "std", "./rules.js"])
def test_nothing_can_be_imported(what):
    error = failure(f"return await import('{what}')", JavaScriptError, is_async=True)
    assert "could not load module" in error.message


# ------------------------------------------------------------- nested calls


def nested(body: str, limits: EngineLimits = LIMITS) -> tuple[Any, Any]:
    """A running async function and its first step."""
    running = execution(engine(function(body, is_async=True), limits=limits))
    return running, running.start()


def test_a_nested_call_is_waited_for_and_its_result_fed():
    running, step = nested("const r = await madrpc.call('g', {a: [1, 'é']}); return [r, r.v]")
    assert step == Waiting([NestedCall(1, "g", '{"a":[1,"é"]}')])
    assert running.feed(1, result='{"v":"😀\\u0000"}', error=None) == Done(
        '[{"v":"😀\\u0000"},"😀\\u0000"]'
    )


def test_arguments_may_be_left_out():
    _, step = nested("return await madrpc.call('g')")
    assert step == Waiting([NestedCall(1, "g", "{}")])


def test_an_error_is_fed_as_an_error_object():
    running, _ = nested(
        "try { await madrpc.call('g') } catch (e) {"
        " return [e instanceof Error, e.name, e.message, e.code, e.data] }"
    )
    error = {"name": "Overloaded", "message": "full é", "code": -32004, "data": {"ms": 5}}
    step = running.feed(1, result=None, error=error)
    assert json.loads(step.result) == [True, "Overloaded", "full é", -32004, {"ms": 5}]


def test_an_error_that_is_not_caught_is_the_calls():
    running, _ = nested("return await madrpc.call('g')")
    with pytest.raises(JavaScriptError) as caught:
        running.feed(1, result=None, error={"name": "Draining", "message": "bye"})
    assert (caught.value.js_name, caught.value.data["message"]) == ("Draining", "bye")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_two_calls_at_once_settle_in_any_order(order):
    running, step = nested("return Promise.all([madrpc.call('g'), madrpc.call('h')])")
    assert [(made.id, made.method) for made in step.calls] == [(1, "g"), (2, "h")]
    first, second = order
    assert running.feed(first, result=f'"r{first}"', error=None) == Waiting([])
    assert running.feed(second, result=f'"r{second}"', error=None) == Done('["r1","r2"]')


def test_a_call_made_after_an_answer_is_the_next_step():
    running, _ = nested("const a = await madrpc.call('g'); return madrpc.call('h', {a})")
    assert running.feed(1, result="7", error=None) == Waiting([NestedCall(2, "h", '{"a":7}')])
    assert running.feed(2, result="null", error=None) == Done("null")


def test_only_the_answers_that_count_are_waited_for():
    running, _ = nested("return Promise.race([madrpc.call('g'), madrpc.call('h')])")
    assert running.feed(2, result='"fast"', error=None) == Done('"fast"')
    running.close()


def test_time_spent_waiting_is_not_the_functions(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(scripted, "_now", clock)
    running, _ = nested("await madrpc.call('g'); for (let i = 0; i < 99; i++) await i; return 1")
    clock.now += 1000
    assert running.feed(1, result="1", error=None) == Done("1")


class TickingClock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_time_used_by_all_steps_adds_up(monkeypatch):
    running, _ = nested("for (;;) await madrpc.call('g')")
    monkeypatch.setattr(execution_module, "_now", TickingClock())
    ids = iter(range(1, 50))
    with pytest.raises(TimeLimitExceeded):
        all(running.feed(id, result="1", error=None) for id in ids)
    # The clock ticks once for a step at least, so this is the first step too many.
    assert 2 < next(ids) <= LIMITS.time_s + 1


def test_the_first_step_counts_too(monkeypatch):
    monkeypatch.setattr(execution_module, "_now", TickingClock())
    running, _ = nested("for (;;) await madrpc.call('g')")
    first = running._used_s
    assert 1 <= first <= LIMITS.time_s
    running.feed(1, result="1", error=None)
    assert running._used_s > first


def test_a_promise_that_no_answer_settles_never_settles():
    running, _ = nested("await madrpc.call('g'); await new Promise(() => {})")
    with pytest.raises(PromiseNeverSettled):
        running.feed(1, result="1", error=None)


def test_a_function_is_stopped_after_an_answer_too():
    running, _ = nested("await madrpc.call('g'); for (;;);", SHORT)
    with pytest.raises(TimeLimitExceeded):
        running.feed(1, result="1", error=None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("5", "name must be a string"),
        ("", "name must be a string"),
        ("'g', 5", "args must be an object"),
        ("'g', [1]", "args must be an object"),
        ("'g', null", "args must be an object"),
        ("'g', () => 1", "args must be an object"),
        ("'g', {a: 1n}", "BigInt"),
    ],
)
def test_a_wrong_nested_call_throws_where_it_was_made(words, says):
    body = f"\nreturn await madrpc.call({words})"
    error = failure(body, JavaScriptError, is_async=True)
    assert error.js_name == "TypeError"
    assert says in error.message
    assert "rules.js:3:" in error.stack


@pytest.mark.parametrize("name", ["_sleep", "_log", "_retire", "_info", ""])
def test_a_nested_call_of_what_no_script_can_register_throws(name):
    failure(f"return await madrpc.call('{name}', {{}})", JavaScriptError, is_async=True)


def test_a_patched_json_spoils_no_nested_call():
    running, step = nested(
        "JSON.stringify = () => 'x'; JSON.parse = () => 'x'; return madrpc.call('g', {a: 1})"
    )
    assert step.calls[0].args == '{"a":1}'
    assert running.feed(1, result="[2]", error=None) == Done("[2]")


@pytest.mark.parametrize(
    "body",
    [
        "Promise.all(Array(100).fill().map((_, i) => madrpc.call('g', {i})))",
        "madrpc.call('g', {text: 'x'.repeat(1000)})",
    ],
    ids=["many", "long"],
)  # fmt: skip
def test_a_fan_out_may_be_wide_and_its_arguments_long(body):
    _, step = nested(f"return {body}")
    assert isinstance(step, Waiting)
    assert all(json.loads(made.args) for made in step.calls)


# ------------------------------------------------------------------- spares


def test_a_spare_is_made_once_and_used_once():
    found = engine(PROBE)
    assert found.prepare()
    assert not found.prepare()
    assert call(found)[0] == 0
    assert found.prepare()
    assert call(found)[0] == 0


def test_the_spare_is_for_the_script_used_last():
    found = engine("madrpc.register('a', () => 1)", "madrpc.register('b', () => 2)")
    call(found, "b")
    found.prepare()
    assert [program.script.name for program in found._spares] == ["more1.js"]


def test_spares_are_few():
    found = engine(*(f"madrpc.register('m{n}', () => {n})" for n in range(9)))
    for n in range(9):
        assert call(found, f"m{n}") == n
        assert found.prepare()
    assert len(found._spares) == 4
    assert [call(found, f"m{n}") for n in range(9)] == list(range(9))


def test_a_spare_that_cannot_be_built_is_left_to_the_call():
    # The script loads the first time and fails from then on, as one that asks the clock might.
    found = engine("madrpc.register('f', () => 1)")
    found._last_used = Program(Script("rules.js", "throw new Error('not today')"))
    assert not found.prepare()
    assert found._spares == {}


def test_two_scripts_of_one_name_do_not_share_a_spare():
    scripts = [Script("x.js", f"madrpc.register('{m}', () => '{m}')") for m in "ab"]
    found = engine_from(scripts, LIMITS)
    found.prepare()
    assert call(found, "b") == "b"


def test_spares_for_every_script_can_be_made_at_once():
    found = engine("madrpc.register('a', () => 1)", "madrpc.register('b', () => 2)")
    found.prepare_all()
    assert sorted(program.script.name for program in found._spares) == ["more1.js", "rules.js"]
    spares = dict(found._spares)
    found.prepare_all()
    assert found._spares == spares
    assert [call(found, name) for name in "ab"] == [1, 2]


def test_the_load_time_is_that_of_the_slowest_script_in_its_faster_try(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(scripted, "_now", clock)
    first, again = iter([0.5, 2.0, 0.25]), iter([0.6, 1.5, 0.1])

    def slow(kind, program, limits):
        clock.now += next(first)
        return [program.script.name], []

    def faster(kind, program, limits):
        clock.now += next(again)

    monkeypatch.setattr(scripted, "first_load", slow)
    monkeypatch.setattr(scripted, "Context", faster)
    assert engine("1", "2", "3").load_s == 1.5
    assert engine().load_s == 0.0


def test_closing_twice_is_no_fault():
    running = execution(engine("madrpc.register('f', () => 1)"))
    running.start()
    running.close()
    running.close()


@pytest.mark.only("quickjs")  # V8 is not asked
def test_the_heap_in_use_is_told():
    found = engine('madrpc.register("f", ({n}) => { globalThis.kept = "x".repeat(n); return 1; });')
    sizes = []
    for n in (1, 1_000_000):
        running = execution(found, args={"n": n})
        assert isinstance(running.start(), Done)
        sizes.append(running.heap_bytes())
        running.close()
    assert 0 < sizes[0] < 1_000_000 < sizes[1] - sizes[0] + 10_000
