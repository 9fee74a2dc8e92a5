"""Line charts as SVG that follow the reader's light or dark scheme. Pure.

Lines differ in colour, in dash and in the shape of their points, so they can be told apart in
print and by people who see colours differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Chart", "Series", "draw", "ticks"]

_WIDTH, _HEIGHT = 680, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 88, 28, 92, 56
_LEGEND_TOP, _LEGEND_ROW, _LEGEND_GAP = 48, 18, 22
#: Width of a line's sample with its gap, and of a letter on average, so far as can be known.
_SAMPLE, _LETTER = 38, 7.4
_DASHES = ("", "7 4", "2 4", "10 4 2 4", "4 4", "14 5")
_STYLE = """
svg { --back: #ffffff; --ink: #1f2328; --faint: #d0d7de; --soft: #59636e;
  --c0: #0757ba; --c1: #b34700; --c2: #1a7f37; --c3: #8250df; --c4: #bf1f5c; --c5: #6b5600; }
@media (prefers-color-scheme: dark) {
  svg { --back: #0d1117; --ink: #f0f6fc; --faint: #3d444d; --soft: #9198a1;
    --c0: #6cb6ff; --c1: #ffa657; --c2: #57d364; --c3: #d2a8ff; --c4: #ff8fb8; --c5: #e3c94e; } }
.back { fill: var(--back); }
text { fill: var(--ink); font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.title { font-size: 16px; font-weight: 600; }
.soft { fill: var(--soft); }
.grid { stroke: var(--faint); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
"""


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: what the legend says.
        points: x and y of each, in the order of x; at least one.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """What to draw.

    Attributes:
        title: what the picture shows, for the heading and for screen readers.
        x_label, y_label: the axes, with units.
        series: one to six lines.
        doubling: x is drawn so that each doubling takes the same width, and labelled at the points.
        percent: y is a share of 1, labelled in percent.
        y_most: top of the y axis; the highest point if None.
        log_y: y is drawn so that each factor of ten takes the same height; all y are above 0.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    doubling: bool = False
    percent: bool = False
    y_most: float | None = None
    log_y: bool = False


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` or just below it to ``high`` or just above it."""
    if high <= low:
        high = low + 1
    raw = (high - low) / (most - 1)
    base = 10 ** math.floor(math.log10(raw))
    step = next(m * base for m in (1, 2, 2.5, 5, 10) if m * base >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def draw(chart: Chart) -> str:
    """The chart as an SVG document.

    Raises:
        ValueError: there is no line, or too many, or one without points.
    """
    if not 1 <= len(chart.series) <= len(_DASHES) or not all(s.points for s in chart.series):
        raise ValueError(f"a chart has 1 to {len(_DASHES)} lines, each with a point")
    scales = _Scales(chart)
    label = escape(chart.title, quote=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}">',
        f"<title>{escape(chart.title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="26">{escape(chart.title)}</text>',
        *_grid(chart, scales),
        *_legend(chart),
    ]
    for number, series in enumerate(chart.series):
        parts += _line(number, [(scales.x(x), scales.y(y)) for x, y in series.points])
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scales:
    """From values to positions."""

    def __init__(self, chart: Chart) -> None:
        xs = [x for series in chart.series for x, _ in series.points]
        ys = [y for series in chart.series for _, y in series.points]
        self._doubling, self._log_y = chart.doubling, chart.log_y
        self.x_ticks = sorted(set(xs)) if chart.doubling else ticks(0, max(xs))
        if chart.log_y:
            low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
            self.y_ticks = [10.0**n for n in range(low, max(high, low + 1) + 1)]
        else:
            self.y_ticks = ticks(0, max(ys) if chart.y_most is None else chart.y_most)
        self._x = self._span(self.x_ticks, doubling=chart.doubling)
        self._y = self._span(self.y_ticks, doubling=chart.log_y)

    def x(self, value: float) -> float:
        return _LEFT + self._share(value, self._x, self._doubling) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = min(1.0, self._share(value, self._y, self._log_y))
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    @staticmethod
    def _span(values: Sequence[float], *, doubling: bool) -> tuple[float, float]:
        low, high = values[0], values[-1]
        low, high = (math.log2(low), math.log2(high)) if doubling else (low, high)
        return low, high if high > low else low + 1

    @staticmethod
    def _share(value: float, span: tuple[float, float], doubling: bool) -> float:
        low, high = span
        return ((math.log2(value) if doubling else value) - low) / (high - low)


def _grid(chart: Chart, scales: _Scales) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in scales.y_ticks:
        y = scales.y(value)
        words = f"{value:.0%}" if chart.percent else f"{value:,g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="soft" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'
        )
    for value in scales.x_ticks:
        x = scales.x(value)
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
        )
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">'
            f"{value:,g}</text>"
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(
        f'<text x="{middle_x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">'
        f"{escape(chart.x_label)}</text>"
    )
    parts.append(
        f'<text transform="translate(16 {middle_y:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_label)}</text>"
    )
    return parts


def _legend(chart: Chart) -> list[str]:
    parts = []
    x, y = _LEFT, _LEGEND_TOP
    for number, series in enumerate(chart.series):
        width = _SAMPLE + round(_LETTER * len(series.name)) + _LEGEND_GAP
        if x > _LEFT and x + width > _WIDTH:
            x, y = _LEFT, y + _LEGEND_ROW
        parts += _line(number, [(x, y), (x + _SAMPLE - 8, y)])
        parts.append(f'<text x="{x + _SAMPLE}" y="{y + 4}">{escape(series.name)}</text>')
        x += width
    return parts


def _line(number: int, points: Sequence[tuple[float, float]]) -> list[str]:
    colour = f"var(--c{number})"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{_DASHES[number]}"' if _DASHES[number] else ""
    line = f'<polyline class="line" style="stroke: {colour}"{dash} points="{path}"/>'
    return [line, *(_mark(number, x, y, colour) for x, y in points)]


def _mark(number: int, x: float, y: float, colour: str) -> str:
    if number % 3 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill: {colour}"/>'
    if number % 3 == 1:
        return (
            f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" style="fill: {colour}"/>'
        )
    corners = f"{x:.1f},{y - 5:.1f} {x + 5:.1f},{y + 4:.1f} {x - 5:.1f},{y + 4:.1f}"
    return f'<polygon points="{corners}" style="fill: {colour}"/>'
