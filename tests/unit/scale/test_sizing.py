from __future__ import annotations

import pytest

from benchmarks.scale.sizing import plan

FIGURES = {
    "worker_mib": 10.0,
    "node_mib": 30.0,
    "orchestrator_mib": 20.0,
    "mib_per_node": 0.05,
    "kib_per_connection": 2.0,
    "orchestrator_fds": 6.0,
    "fds_per_node": 1.0,
    "idle_us_per_node_s": 40.0,
    "call": 36,
    "probe_bytes_per_s": 150.0,
    "beat_bytes_per_s": 50.0,
    "node_fds": 8.0,
    "worker_fds": 6.0,
    "most": 40_000.0,
}


def test_a_small_cluster_has_one_node_and_a_spare_orchestrator():
    found = plan(10, 1.0, FIGURES)
    assert (found.nodes, found.cells, found.orchestrators) == (1, 1, 2)
    assert found.calls_per_s == 10
    assert found.node_mib == 130
    assert found.node_fds == 8 + 10 * 6 + 2 * 2


def test_short_calls_want_orchestrators_at_half_of_their_rate():
    found = plan(1_000, 0.005, FIGURES)
    assert found.calls_per_s == 200_000
    assert found.orchestrators == 10
    assert found.orchestrator_fds == 6 + 2 * 32
    # 20 000 calls/s, each on two links, with four packets' heads on each
    assert found.mbit_per_s == pytest.approx(20_000 * 2 * (36 + 4 * 66) * 8 / 1e6)


def test_a_large_cluster_is_divided_into_cells():
    found = plan(100_000, 1.0, FIGURES)
    assert (found.nodes, found.cells) == (3125, 7)
    assert found.orchestrators == 7 * 2
    in_cell = 447
    assert found.orchestrator_mib == pytest.approx(20 + in_cell * (0.05 + 2 / 1024))
    assert found.background_kbit_per_s == pytest.approx(in_cell * 200 * 8 / 1000)
    assert found.idle_share == pytest.approx(in_cell * 40e-6)
    assert found.worker_gib == pytest.approx((3125 * 30 + 100_000 * 10) / 1024)
