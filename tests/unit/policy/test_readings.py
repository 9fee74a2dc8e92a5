from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.policy.readings import Monitor, Reading
from madrpc.policy.stats import MethodTable
from tests.readings import figures, method, node, orchestrator, workers


def last_of(monitor: Monitor, *readings: Reading) -> Any:
    for reading in readings:
        view = monitor.take(reading)
    return view


def test_the_first_reading_tells_what_is_and_no_rates():
    view = Monitor().take(
        orchestrator(nodes=[node("a:1", calls=5)], methods={"add": method(5, 1)}, **figures(5, 1))
    )
    assert (view.calls, view.errors, view.flow.calls_per_s, view.flow.p95_ms) == (5, 1, None, None)
    assert view.nodes[0].flow.calls_per_s is None
    assert view.methods[0].flow.calls_per_s is None


def test_rates_are_those_between_two_readings():
    view = last_of(
        Monitor(),
        orchestrator(100.0, [node("a:1", calls=10, cpu_seconds=1.0)], **figures(10, 1)),
        orchestrator(
            102.0, [node("a:1", calls=30, cpu_seconds=4.0, uptime_s=62.0)], **figures(50, 11)
        ),
    )
    assert view.flow.seconds == 2.0
    assert (view.flow.calls_per_s, view.flow.errors_per_s, view.flow.error_share) == (20, 5, 0.25)
    assert (view.nodes[0].flow.calls_per_s, view.nodes[0].flow.cpu_percent) == (10, 150)


def test_percentiles_are_those_of_the_calls_between():
    slow = {1000.0: 1000, 90_000.0: 5}
    fast = {1000.0: 1094, 90_000.0: 5, 2000.0: 5, 50_000.0: 1}
    view = last_of(
        Monitor(),
        orchestrator(100.0, **figures(1005, durations=slow)),
        orchestrator(101.0, **figures(1105, durations=fast)),
    )
    assert (view.flow.p50_ms, view.flow.p95_ms, view.flow.p99_ms) == (1.0, 2.0, 2.0)


@given(st.lists(st.floats(0.00001, 10), min_size=1), st.lists(st.floats(0.00001, 10), min_size=1))
def test_percentiles_agree_with_a_table_that_counted_the_second_half_alone(before, after):
    both, alone = MethodTable(), MethodTable()
    for seconds in before:
        both.succeeded("f", seconds)
    first = orchestrator(100.0, **figures(len(before), durations=dict(both.durations())))
    for seconds in after:
        both.succeeded("f", seconds)
        alone.succeeded("f", seconds)
    total = len(before) + len(after)
    second = orchestrator(101.0, **figures(total, durations=dict(both.durations())))
    flow = last_of(Monitor(), first, second).flow
    snapshot = alone.snapshot()["f"]
    # A histogram never says more than the longest call that it saw; buckets cannot know it.
    for found, name in ((flow.p50_ms, "p50_ms"), (flow.p95_ms, "p95_ms"), (flow.p99_ms, "p99_ms")):
        assert found == pytest.approx(snapshot[name], rel=0.07, abs=0.001)


def test_no_calls_is_a_rate_of_zero_and_no_percentile():
    flow = last_of(Monitor(), orchestrator(100.0), orchestrator(101.0)).flow
    assert (flow.calls_per_s, flow.error_share, flow.p95_ms) == (0, None, None)


def test_a_window_takes_in_several_readings():
    monitor = Monitor(1.0)
    readings = [orchestrator(100 + n / 4, **figures(n * n)) for n in range(12)]
    view = last_of(monitor, *readings)
    assert view.flow.seconds == pytest.approx(1.0)
    assert view.flow.calls_per_s == 121 - 49
    assert list(monitor.rates) == [4 * (2 * n + 1) for n in range(11)]


def test_an_interval_longer_than_the_window_is_the_window():
    view = last_of(
        Monitor(1.0), *(orchestrator(100.0 + 10 * n, **figures(100 * n)) for n in range(3))
    )
    assert (view.flow.seconds, view.flow.calls_per_s) == (10, 10)


@pytest.mark.parametrize(
    ("uptime_s", "calls"), [(1.0, 3), (1.0, 3000), (95.0, 3000), (101.0, 3)],
    ids=["restarted", "restarted and busy", "restarted at once", "counters fell"],
)  # fmt: skip
def test_a_server_that_was_restarted_has_no_rates_until_the_next_reading(uptime_s, calls):
    monitor = Monitor(1.0)
    view = last_of(
        monitor,
        orchestrator(100.0, **figures(1000)),
        orchestrator(101.0, uptime_s=uptime_s, **figures(calls)),
    )
    assert view.flow.calls_per_s is None
    view = monitor.take(orchestrator(101.25, uptime_s=uptime_s + 0.25, **figures(calls + 5)))
    assert view.flow.calls_per_s == 20


def test_a_node_that_was_restarted_does_not_disturb_the_rest():
    view = last_of(
        Monitor(),
        orchestrator(100.0, [node("a:1", calls=50), node("b:1", calls=50)]),
        orchestrator(
            101.0,
            [node("a:1", calls=3, uptime_s=0.5), node("b:1", calls=60, uptime_s=61.0)],
            **figures(13),
        ),
    )
    assert [row.flow.calls_per_s for row in view.nodes] == [None, 10]
    assert view.flow.calls_per_s == 13


def test_nodes_come_go_and_fall_silent():
    monitor = Monitor()
    monitor.take(orchestrator(100.0, [node("a:1"), node("b:1")]))
    silent = node("b:1", "suspect", answers=False)
    view = monitor.take(orchestrator(101.0, [silent, node("c:1")]))
    assert [row.address for row in view.nodes] == ["b:1", "c:1"]
    quiet = view.nodes[0]
    assert (quiet.state, quiet.answers, quiet.rss_bytes, quiet.workers.size) == (
        "suspect", False, None, 4,
    )  # fmt: skip
    assert quiet.flow.calls_per_s is None
    assert view.nodes[1].flow.calls_per_s is None


def test_a_function_that_is_new_counts_from_zero():
    view = last_of(
        Monitor(),
        orchestrator(100.0),
        orchestrator(102.0, methods={"add": method(8, 2)}, known=["add", "idle"]),
    )
    add, idle = view.methods
    assert (add.flow.calls_per_s, add.flow.error_share, add.flow.p50_ms) == (4, 0.25, 1.0)
    assert (idle.name, idle.calls, idle.flow.calls_per_s, idle.flow.p50_ms) == ("idle", 0, 0, None)


def test_functions_of_a_restarted_server_count_from_nothing():
    view = last_of(
        Monitor(),
        orchestrator(100.0, methods={"add": method(8)}),
        orchestrator(101.0, methods={"add": method(9), "new": method(5)}, uptime_s=0.5),
    )
    assert [row.flow.calls_per_s for row in view.methods] == [None, None]


def test_a_node_that_is_watched_itself_is_the_only_row():
    answer = {
        "role": "node", "state": "up", "revision": "r", "uptime_s": 60.0, "in_flight": 3,
        "queued": 1, "workers": workers(busy=2), "cpu_seconds": 1.0, "rss_bytes": 1000,
        "methods": {"add": method(4)}, **figures(4),
    }  # fmt: skip
    about = {
        "address": "a:1", "version": "0.1.0", "methods": ["add", "b"],
        "scripts": [{"name": "s.js", "sha256": "ab"}],
    }  # fmt: skip
    later = {**answer, "uptime_s": 61.0, "cpu_seconds": 1.5, **figures(14)}
    view = last_of(Monitor(), Reading(100.0, answer, about), Reading(101.0, later, about))
    (row,) = view.nodes
    assert (row.address, row.version, row.scripts) == ("a:1", "0.1.0", (("s.js", "ab"),))
    assert (row.flow.calls_per_s, row.flow.cpu_percent, row.queued) == (10, 50, 1)
    assert view.retries is None
    assert [method.name for method in view.methods] == ["add", "b"]


def test_calls_that_wait_for_a_node_are_queued_too():
    assert Monitor().take(orchestrator(waiting=3, queued=4)).queued == 7


def test_a_server_that_tells_no_durations_has_no_percentiles():
    bare = {"durations": None}
    view = last_of(
        Monitor(), orchestrator(100.0, **bare), orchestrator(101.0, **{**figures(5), **bare})
    )
    assert (view.flow.calls_per_s, view.flow.p50_ms) == (5, None)


def test_time_without_an_answer_is_a_gap_in_the_graph():
    monitor = Monitor()
    monitor.take(orchestrator(100.0))
    monitor.missed()
    monitor.take(orchestrator(102.0, **figures(10)))
    assert list(monitor.rates) == [None, 5]


def test_history_is_bounded():
    monitor = Monitor(1.0)
    for n in range(2000):
        monitor.take(orchestrator(100 + n / 100, **figures(n)))
    assert len(monitor.rates) == len(monitor.p95s) == 400
    assert len(monitor._snapshots) < 120
