"""A result as plain text: ASCII, at most 80 columns; the same for every system and Python.

Theory.  First what was done, then the table, a chart of the figure that decides, what happened over time at the knee,
the knee with its reason, what has to be known besides, and the claims of a preset with the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from .columns import WIDTH, Column, columns_of, description, number, title_of, unit_of, wrapped
from .measures import Point, Run
from .presets import Preset
from .results import Result
from .settings import Open

BAR = 50
STRIP = 60
SHADES = " .:-=+*#%@"
MOST_ROWS = 40
"""Rows of the chart; of more values only some are drawn."""


def as_text(result: Result, preset: Preset | None = None) -> str:
    """The result as text that explains itself, ending with a newline.  O(points + samples)."""
    lines = [*_head(result), "", *table(result), "", *_chart(result), "", *over_time(result), "", *conclusion(result)]
    if preset is not None:
        lines += ["", *verdicts(result, preset)]
    return "\n".join(lines) + "\n"


def _head(result: Result) -> Iterator[str]:
    title = title_of(result.settings)
    yield from wrapped(title)
    yield "=" * WIDTH
    yield from wrapped(" ".join(description(result.settings)))


def table(result: Result) -> Iterator[str]:
    """The table, two lines of titles above it.  O(points)."""
    columns = columns_of(result)
    yield group_titles(columns)
    yield "".join(f"{column.title:>{column.width}}" for column in columns)
    knee = result.knee
    for point in result.points:
        mark = "<" if point.concurrency == knee.concurrency else ""
        yield "".join(_cell(column.text(point), column.width) for column in columns) + mark
    yield from wrapped(
        f"< the knee.  Latency: wait in the queue + service, in {unit_of(result).name}.  Active (runnable), blocked "
        "and queued: means; most: active at once.  Use: of the processors."
    )


def _cell(text: str, width: int) -> str:
    """At least one space before it."""
    return f" {text:>{width - 1}}"


def group_titles(columns: list[Column]) -> str:
    """The line above the titles: the title of each group over its columns."""
    line, index = "", 0
    while index < len(columns):
        group, width = columns[index].group, 0
        while index < len(columns) and columns[index].group == group:
            width += columns[index].width
            index += 1
        line += f" {group:^{width - 1}}" if group.startswith("latency") else f"{group:>{width}}"
    return line.rstrip()


def decisive(result: Result) -> tuple[str, list[float]]:
    """The figure that the knee is found by, and its value for each point: throughput, or mean latency."""
    if isinstance(result.settings.arrivals, Open):
        unit = unit_of(result)
        means = [point.mean(lambda run: run.latency.mean) * unit.scale for point in result.points]
        return f"Mean latency ({unit.name}; less is better)", means
    return "Throughput (packets per second)", [point.throughput for point in result.points]


def chart_points(result: Result) -> list[Point]:
    """The points that a chart of bars shows: all, or evenly chosen ones and the knee."""
    points = result.points
    step = -(-len(points) // MOST_ROWS)
    knee = result.knee.concurrency
    return [point for index, point in enumerate(points) if index % step == 0 or point.concurrency == knee]


def _chart(result: Result) -> Iterator[str]:
    title, values = decisive(result)
    by_value = dict(zip((point.concurrency for point in result.points), values, strict=True))
    most = max(values)
    yield title
    knee = result.knee.concurrency
    for point in chart_points(result):
        value = by_value[point.concurrency]
        bar = "#" * max(round(BAR * value / most), 1)
        mark = "  < knee" if point.concurrency == knee else ""
        yield f"{point.concurrency:>6} |{bar:<{BAR}} {number(value):>9}{mark}"


def knee_run(result: Result) -> Run:
    """The first run at the knee: what happened over time is shown of it."""
    return result.at(result.knee.concurrency).runs[0]


def over_time(result: Result) -> Iterator[str]:
    """Active and blocked threads and the queue during a run at the knee, as shades.  O(samples)."""
    run = knee_run(result)
    yield f"Over time with value {run.concurrency}, {number(run.elapsed)} s from left to right"
    samples = run.samples
    for name, values in (
        ("active", [sample.active for sample in samples]),
        ("blocked", [sample.blocked for sample in samples]),
        ("queue", [sample.depth for sample in samples]),
    ):
        strip = _strip([sample.time for sample in samples], values, run.elapsed)
        yield f"{name:>8} |{strip}| up to {max(values, default=0):,}"


def _strip(times: list[float], values: list[int], length: float) -> str:
    """Values over time as shades, each column the mean of its stretch, or what was seen last."""
    sums, counts = [0] * STRIP, [0] * STRIP
    for time, value in zip(times, values, strict=True):
        column = min(int(time / length * STRIP), STRIP - 1)
        sums[column] += value
        counts[column] += 1
    most = max(values, default=0)
    shades, level = "", 0.0
    for total, count in zip(sums, counts, strict=True):
        level = total / count if count else level
        shades += SHADES[round(level / most * (len(SHADES) - 1))] if most else " "
    return shades


def conclusion(result: Result) -> Iterator[str]:
    """The knee with its reason, and the notes."""
    yield from wrapped(f"Knee at {result.knee.sentence}")
    for note in result.notes:
        yield ""
        yield from wrapped(note)


def verdicts(result: Result, preset: Preset) -> Iterator[str]:
    """What a preset claims, and whether that is what was measured."""
    yield f"Preset {preset.name}: what it is to show"
    for claim in preset.claims:
        verdict = "holds" if claim.holds(result) else "DOES NOT HOLD"
        yield from wrapped(f"{verdict}: {claim.sentence} ({', '.join(claim.rules)})", 2)
