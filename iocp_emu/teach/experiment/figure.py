"""A result as a picture for papers and slides, PNG or SVG, by matplotlib.

Theory.  Four panels, each about one question: how much is done, how long it takes, what the machine does meanwhile, and
what happens over time at the knee.  The knee is a dashed line in the first three.

Own rules.  No window is opened and no global state of matplotlib changed: figures are made without `pyplot`.  The same
result gives the same bytes of SVG with the same matplotlib: no dates, no random names.
"""

# What matplotlib passes on to its artists has no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from os import PathLike

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .columns import title_of, unit_of, wants_logarithms
from .results import Result
from .text import knee_run

LONGEST_TITLE = 90


def save_figure(result: Result, path: str | PathLike[str], format: str) -> None:
    """Draw the result into a file; `format` is "png" or "svg".  Blocks; `OSError` when it cannot be written."""
    with mpl.rc_context({"svg.hashsalt": "iocp_emu", "svg.fonttype": "none"}):
        figure = draw(result)
        figure.savefig(path, format=format, dpi=150, metadata={"Date": None} if format == "svg" else {"Software": None})


def draw(result: Result) -> Figure:
    """The figure: four panels."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    title = title_of(result.settings)
    # A dollar sign would start a formula.
    figure.suptitle(title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 3] + "...", parse_math=False)
    _throughput(panels[0, 0], result)
    _latency(panels[0, 1], result)
    _machine(panels[1, 0], result)
    _over_time(panels[1, 1], result)
    return figure


def _over_values(axes: Axes, result: Result, title: str, label: str) -> list[int]:
    """What the panels over concurrency values have in common; the values."""
    knee = result.knee
    axes.set_title(title)
    axes.set_xlabel("concurrency value (0: the processors)")
    axes.set_ylabel(label)
    axes.axvline(knee.limit, linestyle="--", color="0.5", label=f"knee: {knee.concurrency}")
    axes.grid(alpha=0.3)
    if wants_logarithms(result):
        axes.set_xscale("log", base=2)
    return [point.limit for point in result.points]


def _throughput(axes: Axes, result: Result) -> None:
    values = _over_values(axes, result, "How much is done", "packets per second")
    spreads = [point.spread(lambda run: run.throughput) for point in result.points]
    axes.errorbar(
        values,
        [spread.mean for spread in spreads],
        yerr=[spread.deviation for spread in spreads],
        marker="o",
        capsize=3,
        label="throughput",
    )
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")


def _latency(axes: Axes, result: Result) -> None:
    unit = unit_of(result)
    values = _over_values(axes, result, "How long it takes", unit.name)
    for label, figures in (
        ("latency p99", [point.mean(lambda run: run.latency.p99) for point in result.points]),
        ("latency p95", [point.mean(lambda run: run.latency.p95) for point in result.points]),
        ("latency p50", [point.mean(lambda run: run.latency.p50) for point in result.points]),
        ("service p95", [point.mean(lambda run: run.service.p95) for point in result.points]),
    ):
        axes.plot(values, [figure * unit.scale for figure in figures], marker=".", label=label)
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")


def _machine(axes: Axes, result: Result) -> None:
    values = _over_values(axes, result, "What the machine does", "threads, packets, %")
    for label, figures in (
        ("active threads", [point.mean(lambda run: run.active) for point in result.points]),
        ("blocked threads", [point.mean(lambda run: run.blocked) for point in result.points]),
        ("packets in the queue", [point.mean(lambda run: run.depth) for point in result.points]),
    ):
        axes.plot(values, figures, marker=".", label=label)
    axes.set_ylabel("threads, packets (mean)")
    right = axes.twinx()
    use = [100 * point.mean(lambda run: run.processor_use) for point in result.points]
    right.plot(values, use, color="0.3", linestyle=":", label="processor use")
    right.set_ylabel("processor use, %")
    right.set_ylim(0, 105)
    lines = [*axes.get_lines(), *right.get_lines()]
    axes.set_ylim(bottom=0)
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="best")


def _over_time(axes: Axes, result: Result) -> None:
    run = knee_run(result)
    axes.set_title(f"Over time, with value {run.concurrency}")
    axes.set_xlabel("seconds")
    axes.set_ylabel("threads, packets")
    times = [sample.time for sample in run.samples]
    for label, figures in (
        ("active threads", [sample.active for sample in run.samples]),
        ("blocked threads", [sample.blocked for sample in run.samples]),
        ("packets in the queue", [sample.depth for sample in run.samples]),
    ):
        axes.plot(times, figures, linewidth=1, label=label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
