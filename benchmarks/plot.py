"""The picture of the group `benefit`: how fast, with how many switches, and how many tasks runnable over time.

`python -m benchmarks benefit --plot FILE` makes it, from the samples of that very run.  matplotlib draws; it comes with
the extra `plot`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from .contestants import CONCURRENCY
from .measure import Sample, Workload
from .workloads.executors import (
    EXECUTOR,
    POOL_4N,
    POOL_N,
    SWITCHES_PER_TASK,
    BlockedByLock,
    BlockedBySleep,
    BlockedBySocket,
)

Samples = Mapping[str, Sequence[Mapping[str, Sample]]]

BLOCKED = {
    each.name: label
    for each, label in (
        (BlockedBySleep(), "sleep"),
        (BlockedBySocket(), "socket"),
        (BlockedByLock(), "lock"),
    )
}
CONTESTANTS = {
    POOL_N: (f"ThreadPoolExecutor({CONCURRENCY})", "#999999"),
    POOL_4N: (f"ThreadPoolExecutor({4 * CONCURRENCY})", "#d08050"),
    EXECUTOR: (f"CompletionPortExecutor, concurrency {CONCURRENCY}", "#3060b0"),
}
SHOWN_SECONDS = 0.02


def why_not(workloads: Sequence[Workload]) -> str | None:
    """Why no picture can be made of these workloads, in a sentence; None when it can."""
    if find_spec("matplotlib") is None:
        return "drawing needs matplotlib: pip install 'iocp-emu[plot]'"
    missing = BLOCKED.keys() - {workload.name for workload in workloads}
    if missing:
        return f"the picture shows the group `benefit`: run it whole ({', '.join(sorted(missing))} is missing)"
    return None


def draw(samples: Samples, path: Path) -> None:
    """Write the picture to `path`; the format is that of its suffix.  Raises what matplotlib raises for another one."""
    matplotlib: Any = import_module("matplotlib")
    figure_module: Any = import_module("matplotlib.figure")
    # Text stays text, and the same samples give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benefit", "font.size": 9}):
        figure = figure_module.Figure(figsize=(10, 3.2), layout="constrained")
        rate, switches, runnable = figure.subplots(1, 3)
        _bars(rate, "throughput (grey = 1)", _relative_rate, samples)
        _bars(switches, "context switches a task", _switches, samples)
        _curves(runnable, samples[BlockedBySleep().name][-1])
        handles, labels = rate.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(CONTESTANTS), frameon=False)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _relative_rate(repeat: Mapping[str, Sample], who: str) -> float:
    return repeat[POOL_N].cost / repeat[who].cost


def _switches(repeat: Mapping[str, Sample], who: str) -> float:
    return repeat[who].figures.get(SWITCHES_PER_TASK, 0.0)


def _bars(axes: Any, title: str, value: Callable[[Mapping[str, Sample], str], float], samples: Samples) -> None:
    """A group of bars for each way of blocking: medians over the repeats."""
    width = 0.8 / len(CONTESTANTS)
    for place, (who, (label, colour)) in enumerate(CONTESTANTS.items()):
        heights = [median(value(repeat, who) for repeat in samples[name]) for name in BLOCKED]
        axes.bar([group + place * width for group in range(len(heights))], heights, width, label=label, color=colour)
    axes.set_xticks([group + width for group in range(len(BLOCKED))], BLOCKED.values())
    axes.set_title(title, fontsize=9)


def _curves(axes: Any, repeat: Mapping[str, Sample]) -> None:
    """Tasks runnable over time, from the middle of one run."""
    for who, (_, colour) in CONTESTANTS.items():
        curve = repeat[who].curve
        begin = curve[len(curve) // 2][0]
        shown = [(1e3 * (moment - begin), level) for moment, level in curve if 0 <= moment - begin <= SHOWN_SECONDS]
        axes.step(*zip(*shown, strict=True), where="post", color=colour, linewidth=0.8)
    axes.axhline(CONCURRENCY, color="black", linestyle=":", linewidth=0.8)
    axes.set_xlabel("ms")
    axes.set_title("tasks runnable at once (sleep)", fontsize=9)
