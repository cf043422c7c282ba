"""Line charts as inline SVG, for the HTML report: no script, no library, readable in light and dark.

Theory.  A chart is an image with a label for those who cannot see it; the figures themselves stand in a table of the
page.  Colours are variables of the page's style sheet.  Lines differ in their dashes too, so colour is never needed to
tell them apart, and each point says its values when pointed at.

Own rule.  Every text that comes in is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 40


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: its name and its points, from left to right."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows.  `x_labels` are the marks below the axis, as (place, text); `knee` a place on it, if any."""

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    x_labels: Sequence[tuple[float, str]]
    knee: float | None = None
    logarithmic: bool = False


def draw_chart(chart: Chart) -> str:
    """The chart as a `figure` element: a title with a legend, and the picture.  O(points)."""
    legend = " ".join(
        f'<span class="key"><svg width="26" height="10" aria-hidden="true"><path class="line line{index}" '
        f'd="M1 5H25"/></svg>{escape(line.name)}</span>'
        for index, line in enumerate(chart.lines)
    )
    return (
        f'<figure><figcaption><b>{escape(chart.title)}</b> {legend}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(_label(chart))}">{"".join(_contents(chart))}</svg></figure>\n'
    )


def _label(chart: Chart) -> str:
    """The picture in a sentence."""
    ranges = "; ".join(
        f"{line.name} from {_short(line.ys[0])} to {_short(line.ys[-1])}, at most {_short(max(line.ys))}"
        for line in chart.lines
        if line.ys
    )
    return f"{chart.title}, {chart.y_title} over {chart.x_title}: {ranges}"


def _contents(chart: Chart) -> Iterable[str]:
    ticks = ticks_to(max((y for line in chart.lines for y in line.ys), default=0.0))
    xs = [x for line in chart.lines for x in line.xs] or [0.0]
    low, high = _place(min(xs), chart), _place(max(xs), chart)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def across(x: float) -> float:
        share = (_place(x, chart) - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * (right - LEFT), 1)

    def up(y: float) -> float:
        return round(bottom - y / ticks[-1] * (bottom - TOP), 1)

    for tick in ticks:
        yield f'<path class="grid" d="M{LEFT} {up(tick)}H{right}"/>'
        yield f'<text x="{LEFT - 6}" y="{up(tick) + 4}" text-anchor="end">{_short(tick)}</text>'
    for place, text in _spaced(chart.x_labels, across):
        yield f'<text x="{across(place)}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>'
    yield f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_title)}</text>'
    yield (
        f'<text transform="translate(13 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_title)}</text>"
    )
    if chart.knee is not None:
        yield f'<path class="knee" d="M{across(chart.knee)} {TOP}V{bottom}"><title>the knee</title></path>'
    for index, line in enumerate(chart.lines):
        places = [f"{across(x)} {up(y)}" for x, y in zip(line.xs, line.ys, strict=True)]
        yield f'<path class="line line{index}" d="M{"L".join(places)}"/>'
        if len(places) <= 64:
            for x, y in zip(line.xs, line.ys, strict=True):
                yield (
                    f'<circle class="dot dot{index}" cx="{across(x)}" cy="{up(y)}" r="3"><title>'
                    f"{escape(line.name)}: {_short(y)} at {_short(x)}</title></circle>"
                )


def _place(x: float, chart: Chart) -> float:
    return math.log2(x) if chart.logarithmic else x


def _spaced(labels: Sequence[tuple[float, str]], across: Callable[[float], float]) -> Iterable[tuple[float, str]]:
    """Those labels that have room."""
    taken = -math.inf
    for place, text in labels:
        x = across(place)
        half = 4 * len(text) + 3
        if x - half >= taken:
            taken = x + half
            yield place, text


def ticks_to(most: float) -> list[float]:
    """Round numbers from 0 to `most` or a little above, four to eleven of them.

    >>> ticks_to(799.6), ticks_to(0.31), ticks_to(0)
    ([0.0, 200.0, 400.0, 600.0, 800.0], [0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 1.0])
    """
    if not most > 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most))
    step = next(each * power for each in (0.1, 0.2, 0.25, 0.5, 1, 2) if most / (each * power) <= 5)
    number = math.ceil(most / step - 1e-9)
    return [float(f"{each * step:.6g}") for each in range(number + 1)]


def _short(value: float) -> str:
    """A number for an axis.

    >>> _short(1200.0), _short(0.25), _short(12345678.0)
    ('1,200', '0.25', '1.23e+07')
    """
    return f"{value:.3g}" if abs(value) >= 1e6 or abs(value) < 1000 else f"{value:,.0f}"
