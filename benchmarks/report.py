"""Turns samples into rows: the statistics, the verdicts, the table in 84 to 100 columns and the JSON form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median, quantiles
from typing import Any

from .measure import Comparison, Kind, Sample, Unit, Workload

NARROWEST, WIDEST = 84, 100  # columns
EMPTY = "-"
COUNTS = frozenset({Kind.FIGURE, Kind.RATE})
"""Kinds of rows that show a count of ours alone."""

LEGEND = """\
ratio: median over the repeats of (cost of ours / cost of the peer) within one
repeat; spread: interquartile range. Less is better. Rows without x are counts
of the named figure, or bytes beyond the peer. about: medians of both costs, to
give a feeling only. goal: at most this, with >= at least; - where none is set.
port: iocp_emu.CompletionPort, concurrency 2. thread pool: ThreadPoolExecutor of
concurrent.futures. @1k: with so many packets queued, or threads parked."""


class Verdict(Enum):
    """Whether the median keeps to the goal; NONE without a goal or without a sample."""

    MET = "met"
    MISSED = "missed"
    NONE = EMPTY


def spread(values: Sequence[float]) -> float:
    """Interquartile range (quartiles by linear interpolation between the values); 0.0 for a single value."""
    if len(values) < 2:
        return 0.0
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return upper - lower


def value_of_repeat(comparison: Comparison, samples: dict[str, Sample]) -> float | None:
    """The figure of one repeat; None where a contestant or the figure is missing from it."""
    ours = samples.get(comparison.ours)
    if ours is None:
        return None
    if comparison.kind in COUNTS:
        return ours.figures.get(comparison.peer)
    peer = samples.get(comparison.peer)
    if peer is None:
        return None
    return ours.cost / peer.cost if comparison.kind is Kind.RATIO else ours.cost - peer.cost


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison over all repeats."""

    workload: str
    unit: Unit
    comparison: Comparison
    values: tuple[float, ...]
    our_costs: tuple[float, ...]
    peer_costs: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """The median over the repeats; None without a sample."""
        return median(self.values) if self.values else None

    @property
    def verdict(self) -> Verdict:
        value, goal = self.value, self.comparison.goal
        if value is None or goal is None:
            return Verdict.NONE
        is_met = value >= goal if self.comparison.kind is Kind.RATE else value <= goal
        return Verdict.MET if is_met else Verdict.MISSED

    def as_json(self) -> dict[str, Any]:
        """All that the table shows and the values behind it; costs in seconds or bytes."""
        return {
            "workload": self.workload,
            "ours": self.comparison.ours,
            "peer": self.comparison.peer,
            "kind": self.comparison.kind.value,
            "value": self.value,
            "spread": spread(self.values) if self.values else None,
            "goal": self.comparison.goal,
            "verdict": self.verdict.value,
            "values": list(self.values),
            "unit": self.unit.value,
            "about": {"ours": _median_or_none(self.our_costs), "peer": _median_or_none(self.peer_costs)},
        }


def _median_or_none(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def rows_of(workload: Workload, repeats: Sequence[dict[str, Sample]]) -> list[Row]:
    """One row for each comparison of the workload."""
    rows: list[Row] = []
    for comparison in workload.comparisons:
        values = [value_of_repeat(comparison, samples) for samples in repeats]
        rows.append(
            Row(
                workload.name,
                workload.unit,
                comparison,
                tuple(value for value in values if value is not None),
                _costs(comparison.ours, repeats),
                _costs(comparison.peer, repeats),
            )
        )
    return rows


def _costs(contestant: str, repeats: Sequence[dict[str, Sample]]) -> tuple[float, ...]:
    return tuple(samples[contestant].cost for samples in repeats if contestant in samples)


def _significant(value: float) -> str:
    """Three significant digits, never in exponent form."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or not value else f"{value:.5f}"


def _quantity(value: float, kind: Kind) -> str:
    if kind is Kind.RATIO:
        return f"{_significant(value)}x"
    return f"{value:.0f} B" if kind is Kind.DIFFERENCE else _significant(value)


def _goal(comparison: Comparison) -> str:
    if comparison.goal is None:
        return EMPTY
    if comparison.kind is Kind.RATIO:
        return f"<={comparison.goal:.2f}x"
    if comparison.kind is Kind.RATE:
        return f">={comparison.goal:g}"
    return f"<={comparison.goal:g}{' B' if comparison.kind is Kind.DIFFERENCE else ''}"


def _about(row: Row) -> str:
    if row.comparison.kind in COUNTS or not row.our_costs or not row.peer_costs:
        return ""
    ours, peer = median(row.our_costs), median(row.peer_costs)
    if row.unit is Unit.BYTES:
        return f"{ours:.0f}/{peer:.0f} B"
    scale, unit = (1e3, "ms") if max(ours, peer) >= 1e-3 else (1e6, "us")
    return f"{_significant(ours * scale)}/{_significant(peer * scale)} {unit}"


_HEADINGS = ("workload", "ours", "peer", "ratio", "spread", "goal", "verdict", "about")
_TEXT_COLUMNS = 3  # flush left; the rest flush right


def _cells(row: Row) -> tuple[str, ...]:
    value, kind = row.value, row.comparison.kind
    return (
        row.workload,
        row.comparison.ours,
        row.comparison.peer,
        EMPTY if value is None else _quantity(value, kind),
        EMPTY if value is None else _significant(spread(row.values)),
        _goal(row.comparison),
        row.verdict.value,
        _about(row),
    )


def render_table(rows: Iterable[Row], columns: int) -> str:
    """The rows as text of at most `columns`, clipped to 84..100; without "about" where it does not fit."""
    room = min(max(columns, NARROWEST), WIDEST)
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    text = _aligned(lines)
    if max(map(len, text.splitlines())) > room:
        text = _aligned([line[:-1] for line in lines])
    return text


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        " ".join(
            cell.ljust(width) if place < _TEXT_COLUMNS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def render_figures(workloads: Sequence[Workload], samples: dict[str, list[dict[str, Sample]]]) -> str:
    """The counts of all contestants, one line per workload and figure; empty where nothing is counted."""
    taken: dict[tuple[str, str], dict[str, list[float]]] = {}
    contestants: dict[str, None] = {}
    for workload in workloads:
        named = [name for comparison in workload.comparisons for name in (comparison.ours, comparison.peer)]
        for repeat in samples[workload.name]:
            for contestant in dict.fromkeys(name for name in named if name in repeat):
                for figure, value in repeat[contestant].figures.items():
                    contestants[contestant] = None
                    taken.setdefault((workload.name, figure), {}).setdefault(contestant, []).append(value)
    if not taken:
        return ""
    lines = [("workload", "figure", *contestants)]
    for (name, figure), values in taken.items():
        lines.append(
            (
                name,
                figure,
                *(_significant(median(values[who])) if who in values else EMPTY for who in contestants),
            )
        )
    return _aligned(lines)
