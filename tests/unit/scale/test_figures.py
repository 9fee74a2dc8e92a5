from __future__ import annotations

import pytest

from benchmarks.scale.figures import (
    Figure,
    at_share,
    efficiency,
    powers,
    saturation,
    worker_counts,
)
from benchmarks.scale.nodes import calls_needed
from benchmarks.scale.orchestrators import load_steps, rotated
from benchmarks.scale.service import ServiceTimes, Slots


def test_a_figure_is_the_middle_of_its_rounds_and_how_far_they_lie_apart():
    figure = Figure([90.0, 1000.0, 110.0])
    assert figure.median == 110.0
    assert figure.text() == "110 (90 to 1,000)"
    assert figure.text(1) == "110.0 (90.0 to 1,000.0)"
    assert Figure([0.9, 0.95, 1.0]).percent() == "95.0 % (90.0 to 100.0)"


def test_one_round_and_rounds_that_agree_have_no_extremes():
    assert Figure([1234.5]).text(1) == "1,234.5"
    assert Figure([1.0, 1.0]).percent() == "100.0 %"


def test_efficiency_is_the_share_of_perfect_scaling():
    assert efficiency(100.0, 1, 100.0) == 1.0
    assert efficiency(300.0, 4, 100.0) == 0.75


@pytest.mark.parametrize(
    ("most", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])]
)
def test_counts_double_up_to_the_last(most, counts):
    assert powers(most) == counts


def test_there_is_no_counting_to_nothing():
    with pytest.raises(ValueError, match="nothing to count"):
        powers(0)


def test_workers_beyond_the_cores_are_measured_where_that_is_cheap():
    assert worker_counts(2) == [1, 2, 3, 4]
    assert worker_counts(16) == [1, 2, 4, 8, 16]


def test_saturation_is_where_more_in_flight_brings_no_more():
    points = [(1, 100.0), (4, 350.0), (16, 985.0), (64, 1000.0), (256, 900.0)]
    assert saturation(points) == (16, 985.0)
    assert saturation(points, gain=0.01) == (64, 1000.0)


def test_rates_at_shares_of_the_highest():
    assert at_share(200.0, (0.5, 0.95)) == [(0.5, 100.0), (0.95, 190.0)]


def test_delay_and_loss_want_more_calls_in_flight():
    near, far, lossy = (calls_needed(8, *link) for link in ((0, 0), (20, 0), (20, 0.01)))
    assert near == 8 * 4 * 3
    assert near < far < lossy


def test_many_cores_take_more_clients():
    assert load_steps(2)[-1] == (2, 128)
    assert load_steps(16)[-1] == (4, 128)
    assert load_steps(24)[-1] == (8, 128)


def test_each_client_begins_with_another_address():
    assert [rotated("abc", n)[0] for n in range(4)] == ["a", "b", "c", "a"]
    assert rotated("abc", 2) == ["c", "a", "b"]


def test_service_times_have_the_mean_they_promise():
    times = ServiceTimes(0.04)
    drawn = [times.next() for _ in range(100)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.04, rel=0.01)
    assert 0.02 <= min(drawn) < 0.021
    assert 0.059 < max(drawn) <= 0.06


class Constant(ServiceTimes):
    def next(self) -> float:
        return 1.0


def test_workers_serve_in_turn_and_at_once_where_one_is_free():
    slots = Slots(2, Constant(1.0))
    assert [slots.take(10.0) for _ in range(5)] == [11.0, 11.0, 12.0, 12.0, 13.0]
    assert slots.take(20.0) == 21.0


def test_a_late_timer_costs_no_throughput():
    slots = Slots(1, Constant(1.0))
    assert slots.take(10.0) == 11.0
    # It comes while the first is served, so it is done one service after that, whenever asked.
    assert slots.take(10.9) == 12.0
