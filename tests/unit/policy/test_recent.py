from __future__ import annotations

from typing import Any

import pytest

from madrpc.policy.recent import RecentCalls, SlowCall, joined, merged

NOW = 1000.0


def slow(total_s: float, now: float = NOW, **more: Any) -> SlowCall:
    return SlowCall(more.pop("method", "f"), more.pop("node", "n"), now, total_s, "ok", **more)


def offer(kept: RecentCalls, total_s: float, now: float = NOW) -> bool:
    """What a server does at the end of each call; whether the call was kept."""
    if total_s > kept.bar_s:
        kept.keep(slow(total_s, now))
        return True
    return False


def totals(kept: RecentCalls, now: float = NOW) -> list[float]:
    return [row["total_ms"] for row in kept.slowest(now)]


def error(message: str = "m", name: str = "JavaScriptError", stack: str = "") -> dict[str, Any]:
    return {"code": 1, "name": name, "message": message, "data": {"stack": stack}}


def messages(kept: RecentCalls) -> list[str]:
    return [row["message"] for row in kept.errors(NOW)]


# ------------------------------------------------------------------- slow calls


def test_the_twenty_slowest_are_kept_and_others_cost_a_comparison():
    kept = RecentCalls()
    for n in range(1, 101):
        assert offer(kept, n / 1000)
    assert not offer(kept, 0.081)
    assert offer(kept, 0.0815)
    assert totals(kept) == [*map(float, range(100, 81, -1)), 81.5]
    assert repr(kept) == "<RecentCalls 20 slow, 0 errors>"


def test_old_ones_make_room_for_faster_ones():
    kept = RecentCalls()
    for n in range(20):
        offer(kept, 1.0, NOW + n)
    assert not offer(kept, 0.5, NOW + 600)
    kept.expire(NOW + 600)
    assert not offer(kept, 0.5, NOW + 600)
    kept.expire(NOW + 605)
    assert offer(kept, 0.5, NOW + 605)
    assert len(totals(kept)) == 16
    kept.expire(NOW + 10_000)
    assert totals(kept) == []


def test_a_row_says_all_there_is():
    kept = RecentCalls()
    kept.keep(slow(0.0415, method="x" * 300, id=7, run_ms=40.0, trace="t", attempts=2))
    assert kept.slowest(NOW + 2) == [
        {
            "method": "x" * 255, "node": "n", "age_s": 2.0, "total_ms": 41.5, "queue_ms": None,
            "context_ms": None, "run_ms": 40.0, "parked_ms": None, "wire_ms": None,
            "outcome": "ok", "trace": "t", "attempts": 2, "id": 7,
        }
    ]  # fmt: skip


# ----------------------------------------------------------------------- errors


def test_equal_errors_are_one_with_a_count_and_the_newest_comes_first():
    kept = RecentCalls()
    kept.failed("f", error("a", stack="at f"), NOW - 3, node="n1", trace="t1")
    kept.failed("f", error("b"), NOW - 2, node="n1")
    kept.failed("f", error("a", stack="at g"), NOW - 1, node="n2", trace="t2")
    assert kept.errors(NOW) == [
        {
            "method": "f", "node": "n2", "age_s": 1.0, "name": "JavaScriptError", "message": "a",
            "stack": "at g", "trace": "t2", "count": 2,
        },
        {
            "method": "f", "node": "n1", "age_s": 2.0, "name": "JavaScriptError", "message": "b",
            "stack": None, "trace": None, "count": 1,
        },
    ]  # fmt: skip


def test_a_function_that_always_throws_does_not_push_others_out():
    kept = RecentCalls()
    kept.failed("rare", error("precious"), NOW)
    for n in range(1000):
        kept.failed("equal", error("same"), NOW)
        kept.failed("varied", error(f"n is {n}"), NOW)
        kept.failed(f"no{n}", error(f"no function is called no{n}", "MethodNotFound"), NOW)
    found = messages(kept)
    assert len(found) == 50
    assert {"precious", "same", "n is 999"} <= set(found)


def test_text_is_bounded():
    kept = RecentCalls()
    kept.failed("m" * 1000, error("x" * 9000, "E" * 1000, "s" * 9000), NOW)
    (row,) = kept.errors(NOW)
    lengths = [len(row[key]) for key in ("method", "name", "message", "stack")]
    assert lengths == [255, 255, 500, 2000]


@pytest.mark.parametrize(
    "odd", [{}, {"data": 5}, {"name": 5, "message": None, "data": {"stack": 1}}]
)
def test_an_error_may_be_anything(odd):
    kept = RecentCalls()
    kept.failed("f", odd, NOW)
    (row,) = kept.errors(NOW)
    assert row["stack"] is None


def test_errors_grow_old():
    kept = RecentCalls()
    kept.failed("f", error("a"), NOW)
    kept.failed("f", error("b"), NOW + 10)
    kept.expire(NOW + 3605)
    assert messages(kept) == ["b"]
    kept.expire(NOW + 3615)
    assert messages(kept) == []


# ------------------------------------------------------------------ two servers


def row_of(total_s: float, now: float = NOW, **more: Any) -> dict[str, Any]:
    return slow(total_s, now, **more).row(NOW)


def test_an_orchestrators_call_gets_its_parts_from_its_node():
    told = row_of(0.040, id=7, queue_ms=1.0, context_ms=2.0, run_ms=37.0, parked_ms=0.0)
    (row,) = joined([row_of(0.042, id=7)], {"n": [row_of(0.039, id=8), told]})
    parts = [row[f"{part}_ms"] for part in ("total", "queue", "context", "run", "parked", "wire")]
    assert parts == [42.0, 1.0, 2.0, 37.0, 0.0, 2.0]
    assert "id" not in row


@pytest.mark.parametrize(
    "other",
    [
        row_of(0.040, id=8),
        row_of(0.040, id=7, method="g"),
        row_of(0.050, id=7),
        row_of(0.040, NOW - 60, id=7),
        {"id": 7},
        {**row_of(0.040, id=7), "total_ms": "40"},
        {**row_of(0.040, id=7), "age_s": None},
        5,
    ],
)
def test_what_is_not_the_same_call_is_not_joined(other):
    (row,) = joined([row_of(0.042, id=7)], {"n": [other], "m": [row_of(0.04, id=7)]})
    assert (row["wire_ms"], row["run_ms"]) == (None, None)


def test_a_call_that_reached_no_node_stays_unsplit():
    (row,) = joined([row_of(0.042, node=None)], {"n": [row_of(0.04)]})
    assert row["wire_ms"] is None


def rows_of(*failures: tuple[str, str, float], node: str | None) -> list[dict[str, Any]]:
    kept = RecentCalls()
    for method, message, at in failures:
        kept.failed(method, error(message), at, node=node)
    return kept.errors(NOW)


def test_errors_of_nodes_are_merged_without_counting_twice():
    own = rows_of(("f", "a", NOW - 1), ("f", "a", NOW - 5), ("g", "no node", NOW - 9), node=None)
    first = rows_of(("f", "a", NOW - 2), ("f", "direct", NOW - 3), node="said of itself")
    second = rows_of(*[("f", "a", NOW - 6)] * 3, node="")
    found = merged(own, {"n1": first, "n2": second})
    assert [(row["message"], row["node"], row["count"]) for row in found] == [
        ("a", "n1", 4),
        ("direct", "n1", 1),
        ("no node", None, 1),
    ]


SANE = {
    "method": "f", "node": "n", "age_s": 1.0, "name": "E", "message": "m", "stack": "s",
    "trace": "t", "count": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    "junk",
    [
        5,
        {},
        {**SANE, "method": 1},
        {**SANE, "age_s": float("nan")},
        {**SANE, "age_s": -1.0},
        {**SANE, "count": -5},
        {**SANE, "count": True},
    ],
)
def test_rows_of_nodes_that_make_no_sense_are_left_out(junk):
    assert merged([], {"n": [SANE]}) == [SANE]
    assert merged([], {"n": [junk]}) == []


def test_rows_of_nodes_are_bounded_like_own_ones():
    odd = {**SANE, "message": "m" * 9000, "stack": 5, "trace": {"a": 1}, "more": "x" * 9000}
    (row,) = merged([], {"n": [odd]})
    assert row == {**SANE, "message": "m" * 500, "stack": None, "trace": None}
    rows = [{**SANE, "message": str(n)} for n in range(500)]
    assert len(merged([], {"n": rows, "m": rows})) == 50


def test_parts_that_make_no_sense_are_not_known():
    told = {**row_of(0.040, id=7, run_ms=float("nan"), queue_ms=-1.0), "context_ms": "x"}
    (row,) = joined([row_of(0.042, id=7)], {"n": [told]})
    assert (row["run_ms"], row["queue_ms"], row["context_ms"]) == (None, None, None)
    assert row["wire_ms"] == 2.0
