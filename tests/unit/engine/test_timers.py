"""Timers: their order, their waits, what cancels them, and what becomes of their errors."""

from __future__ import annotations

import json

import pytest

from madrpc.engine.interface import Call, Done, Waiting
from madrpc.errors import JavaScriptError, PromiseNeverSettled, TimeLimitExceeded
from tests.unit.engine.drive import LIMITS, EngineLimits, engine_for, engine_of, run, value

SLEEP = "const sleep = (ms, what) => new Promise(done => setTimeout(done, ms, what));"


def order(body: str) -> list[object]:
    """What the body pushes to ``seen`` until ``done`` is called."""
    result: list[object] = value(
        f"{SLEEP} const seen = []; const push = x => seen.push(x);"
        f"await new Promise(done => {{ {body} }}); return seen"
    )
    return result


def test_a_timer_fires_and_passes_its_arguments() -> None:
    assert value(f"{SLEEP} return sleep(5, 'woken')") == "woken"
    assert order("setTimeout((...all) => { push(all); done() }, 1, 1, 'two', null)") == [
        [1, "two", None]
    ]


def test_the_step_tells_how_long_to_wait() -> None:
    done = run(engine_for(f"{SLEEP} await sleep(2000); await sleep(500)"))
    assert done.error is None
    assert done.waits[0] == pytest.approx(2.0, abs=0.2)
    assert done.waits[1] == pytest.approx(0.5, abs=0.2)


def test_order_is_by_time_and_then_by_creation() -> None:
    body = "for (const ms of [30, 10, 20, 10, 0, 30]) setTimeout(push, ms, ms);"
    assert order(f"{body} setTimeout(done, 40)") == [0, 10, 10, 20, 30, 30]
    body = "for (let i = 0; i < 500; i++) setTimeout(push, i * 7 % 5, i);"
    expected = sorted(range(500), key=lambda i: (i * 7 % 5, i))
    assert order(f"{body} setTimeout(done, 40)") == expected


def test_order_does_not_depend_on_how_long_the_script_computes() -> None:
    assert order(
        "const busy = ms => { const end = Date.now() + ms; while (Date.now() < end); };"
        "setTimeout(push, 30, 'late'); busy(60); setTimeout(push, 10, 'early');"
        "setTimeout(() => { push('slow'); busy(60); setTimeout(push, 10, 'nested') }, 1);"
        "setTimeout(done, 50)"
    ) == ["slow", "early", "nested", "late"]


@pytest.mark.only("quickjs")
def test_a_timer_waits_its_full_time_after_a_long_computation() -> None:
    done = run(
        engine_for(
            f"{SLEEP} const end = Date.now() + 80; while (Date.now() < end);"
            "const from = performance.now(); await sleep(100); return performance.now() - from"
        )
    )
    # No time passes in the test's sleep, so what counts is the wait that was asked for.
    assert done.waits[0] > 0.09


@pytest.mark.parametrize(
    ("ms", "wait"),
    [
        ("-5", 0), ("NaN", 0), ("undefined", 0), ("'250'", 0.25), ("1.9", 0.001), ("null", 0),
        ("1e20", 2147483.647), ("Infinity", 2147483.647), ("2**31", 2147483.647),
    ],
)  # fmt: skip
def test_waits_are_whole_milliseconds_within_bounds(ms: str, wait: float) -> None:
    done = run(engine_for(f"await new Promise(done => setTimeout(done, {ms}))"))
    assert done.waits[0] == pytest.approx(wait, abs=0.1)
    assert done.waits[0] <= wait


def test_timers_nest_and_microtasks_come_between() -> None:
    assert order(
        "setTimeout(() => { push('a'); Promise.resolve().then(() => push('b'));"
        "setTimeout(push, 0, 'd') }, 0); setTimeout(push, 0, 'c'); setTimeout(done, 1)"
    ) == ["a", "b", "c", "d"]


def test_a_cleared_timer_does_not_fire() -> None:
    assert order(
        "const a = setTimeout(push, 1, 'a'); const b = setTimeout(push, 1, 'b');"
        "setTimeout(() => clearTimeout(c), 1); const c = setTimeout(push, 2, 'c');"
        "clearTimeout(a); clearTimeout(a); clearTimeout(999); clearTimeout(undefined);"
        "clearTimeout('x'); clearTimeout({}); setTimeout(done, 3)"
    ) == ["b"]


def test_an_interval_repeats_until_it_is_cleared() -> None:
    assert order(
        "let n = 0; const id = setInterval(word => { push(word + ++n);"
        "if (n === 4) { clearInterval(id); setTimeout(done, 100) } }, 10, 'x');"
        "setTimeout(push, 25, '|')"
    ) == ["x1", "x2", "|", "x3", "x4"]


def test_a_pending_interval_does_not_keep_a_call() -> None:
    done = run(engine_for("setInterval(() => 0, 1); setTimeout(() => { throw 1 }, 0); return 7"))
    assert (done.result, done.waits) == (7, [])


@pytest.mark.only("quickjs")
def test_ten_thousand_timers_are_no_burden() -> None:
    assert (
        value(
            f"{SLEEP} const all = Array.from({{length: 10000}}, (_, i) => sleep(i * 31 % 1000));"
            "await Promise.all(all); return all.length"
        )
        == 10000
    )


def test_two_sleeps_at_once_cost_one_wait() -> None:
    done = run(engine_for(f"{SLEEP} return Promise.all([sleep(100, 1), sleep(100, 2)])"))
    assert done.result == [1, 2]
    assert sum(done.waits) == pytest.approx(0.1, abs=0.05)


def test_an_error_in_a_timer_ends_the_call() -> None:
    source = (
        f"{SLEEP}\nmadrpc.register('f', async () => {{\n"
        "  setTimeout(function later() { throw new TypeError('too late'); }, 5);\n"
        "  await sleep(50); });"
    )
    error = run(engine_of(source)).error
    assert isinstance(error, JavaScriptError)
    assert (error.data["name"], error.data["message"]) == ("TypeError", "too late")
    assert str(error.data["stack"]).startswith("    at later (a.js:3:")


@pytest.mark.parametrize("fn", ["undefined", "'code'", "5"])
def test_only_functions_can_be_set(fn: str) -> None:
    error = run(engine_for(f"setTimeout({fn}, 5)")).error
    assert error is not None
    assert error.message == "TypeError: setTimeout(fn, ms): fn must be a function"


def test_a_promise_that_nothing_will_settle_is_told_when_the_last_timer_fired() -> None:
    done = run(engine_for("setTimeout(() => 0, 5); return new Promise(() => 0)"))
    assert isinstance(done.error, PromiseNeverSettled)
    assert len(done.waits) == 1


def test_timers_set_while_the_script_loads_fire_in_the_call_only() -> None:
    engine = engine_of(
        "let fired = 0; setTimeout(() => { fired++ }, 0);"
        "madrpc.register('f', async ({ms}) => {"
        "  const first = fired; await new Promise(done => setTimeout(done, ms));"
        "  return [first, fired] });"
    )
    for _ in range(2):
        engine.prepare()
        assert run(engine, {"ms": 10}).result == [0, 1]


def test_a_timer_that_runs_too_long_is_stopped() -> None:
    engine = engine_for(
        "setTimeout(() => { for (;;); }, 1); return new Promise(() => 0)",
        limits=EngineLimits(time_s=0.2),
    )
    assert isinstance(run(engine).error, TimeLimitExceeded)


def test_timers_that_never_end_are_stopped_by_the_time_they_use() -> None:
    engine = engine_for(
        "setInterval(() => { for (let i = 0; i < 1e5; i++); }, 0); return new Promise(() => 0)",
        limits=EngineLimits(time_s=0.3),
    )
    assert isinstance(run(engine).error, TimeLimitExceeded)


def test_timers_and_nested_calls_wait_together() -> None:
    engine = engine_for(
        "const late = new Promise(done => setTimeout(done, 50, 'late'));"
        "return Promise.all([late, madrpc.call('g', {})])"
    )
    execution = engine.execution(Call("f", "{}", LIMITS.time_s))
    step = execution.start()
    assert isinstance(step, Waiting)
    assert [call.method for call in step.calls] == ["g"]
    assert step.wake_in_s == pytest.approx(0.05, abs=0.02)
    nested = step.calls[0].id
    step = execution.wake()
    assert isinstance(step, Waiting)
    assert step.wake_in_s is None
    step = execution.feed(nested, result="1", error=None)
    assert isinstance(step, Done)
    assert json.loads(step.result) == ["late", 1]
    execution.close()


def test_without_timers_a_wait_tells_no_time() -> None:
    execution = engine_for("return madrpc.call('g', {})").execution(Call("f", "{}", 5.0))
    step = execution.start()
    assert isinstance(step, Waiting)
    assert step.wake_in_s is None
    execution.close()


def test_the_same_call_waits_the_same_every_time() -> None:
    engine = engine_for(
        f"{SLEEP} const seen = []; const at = Date.now();"
        "await Promise.all([5, 3, 8, 1, 3].map(async ms => {"
        "  await sleep(ms); seen.push(ms); await sleep(ms); seen.push(-ms) }));"
        "return seen"
    )
    results = {json.dumps(run(engine).result) for _ in range(20)}
    assert results == {"[1, -1, 3, 3, 5, -3, -3, 8, -5, -8]"}
