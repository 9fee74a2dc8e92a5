from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.scale.svg import Chart, Series, draw, ticks

SVG = "{http://www.w3.org/2000/svg}"


def chart(*series: Series, **settings: object) -> Chart:
    return Chart("a < b & c", "x of it", "y of it", series, **settings)  # type: ignore[arg-type]


def points_of(drawing: str) -> list[list[tuple[float, float]]]:
    """The polylines below the legend, as numbers."""
    root = ElementTree.fromstring(drawing)
    lines = [line.attrib["points"] for line in root.iter(f"{SVG}polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]


def labels_of(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 1.2, [0, 0.25, 0.5, 0.75, 1.0, 1.25]),
        (0, 47_000, [0, 10_000, 20_000, 30_000, 40_000, 50_000]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round_and_reach_over_the_values(low, high, expected):
    assert ticks(low, high) == expected


def test_a_chart_is_small_and_says_what_it_shows():
    six = [Series(f"line {n}", [(x, x * n) for x in range(1, 25)]) for n in range(6)]
    drawing = draw(chart(*six))
    assert len(drawing.encode()) < 20_000
    labels = labels_of(drawing)
    assert {"a < b & c", "x of it", "y of it", *(s.name for s in six)} <= set(labels)
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"] == "a < b & c"
    assert "prefers-color-scheme: dark" in drawing


def test_higher_values_are_drawn_higher_and_doublings_equally_wide():
    legend, line = points_of(
        draw(chart(Series("s", [(1, 0.5), (2, 0.75), (4, 1.0)]), doubling=True, percent=True))
    )
    assert len(legend) == 2
    (x1, y1), (x2, y2), (x4, y4) = line
    assert y1 > y2 > y4
    assert x2 - x1 == pytest.approx(x4 - x2, abs=0.2)


def test_doublings_are_labelled_at_the_points_and_shares_in_percent():
    labels = labels_of(draw(chart(Series("s", [(1, 1.0), (64, 0.9)]), doubling=True, percent=True)))
    assert {"1", "64", "100%"} <= set(labels)


def test_tens_are_equally_high():
    _, line = points_of(draw(chart(Series("s", [(1, 1.0), (2, 10.0), (3, 100.0)]), log_y=True)))
    (_, y1), (_, y10), (_, y100) = line
    assert y1 - y10 == pytest.approx(y10 - y100, abs=0.2)


def test_a_value_above_the_axis_stays_in_the_picture():
    _, line = points_of(draw(chart(Series("s", [(1, 0.5), (2, 9.0)]), y_most=1.2)))
    assert min(y for _, y in line) > 80


def test_one_point_is_drawn_too():
    assert draw(chart(Series("s", [(1, 0.0)]), doubling=True))


@pytest.mark.parametrize("series", [[], [Series("s", [])], [Series("s", [(1, 1)])] * 7])
def test_what_cannot_be_drawn_is_refused(series):
    with pytest.raises(ValueError, match="1 to 6 lines"):
        draw(chart(*series))
