"""The figures of a result as columns of text: what every table and picture of it shows, in one place.

Own rules.  One unit of time for a whole table, chosen by the best of its latencies.  Titles and cells are ASCII.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .measures import Point, Run
from .results import Result
from .settings import Batch, Closed, Engine, Open, Settings
from .work import Kind, seconds_text

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title under its group's, how wide it is, the text of its cells, and what it means."""

    group: str
    title: str
    width: int
    text: Callable[[Point], str]
    meaning: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of time: `scale` of it make a second."""

    name: str
    scale: float

    def number(self, seconds: float) -> str:
        """A duration in this unit, as a table shows it.

        >>> Unit("ms", 1e3).number(0.00512345), Unit("ms", 1e3).number(31.2)
        ('5.12', '31,200')
        """
        return number(seconds * self.scale)


def unit_of(result: Result) -> Unit:
    """The unit that suits the latencies of the best value.  O(points)."""
    longest = min(point.mean(lambda run: run.latency.p99) for point in result.points)
    return Unit("s", 1.0) if longest >= 10 else Unit("ms", 1e3) if longest >= 0.001 else Unit("us", 1e6)


def number(value: float) -> str:
    """A number with three or more digits that count, in six columns.

    >>> number(0.0123), number(5), number(43.21), number(799.6), number(12345.6), number(12345678)
    ('0.012', '5.00', '43.2', '799.6', '12,346', '1.23e7')
    """
    if value >= 99_999.5:
        return f"{value:.2e}".replace("e+0", "e").replace("e+", "e")
    if value >= 999.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:,.1f}"
    return f"{value:.2f}" if value >= 0.9995 or value == 0 else f"{value:.3f}"


def columns_of(result: Result) -> list[Column]:
    """The columns of this result's table."""
    unit = unit_of(result)

    def times(figure: Callable[[Run], float]) -> Callable[[Point], str]:
        return lambda point: unit.number(point.mean(figure))

    def mean(figure: Callable[[Run], float]) -> Callable[[Point], str]:
        return lambda point: number(point.mean(figure))

    latency = f"latency ({unit.name})"
    return [
        Column("", "value", 5, lambda point: str(point.concurrency), "the concurrency value"),
        Column("packets", "/s", 8, lambda point: number(point.throughput), "packets finished per second"),
        Column(latency, "p50", 7, times(lambda run: run.latency.p50), "from the post to the end of the work: median"),
        Column(latency, "p95", 7, times(lambda run: run.latency.p95), "the same: 95 % take no longer"),
        Column(latency, "p99", 7, times(lambda run: run.latency.p99), "the same: 99 % take no longer"),
        Column(
            "service",
            "p95",
            8,
            times(lambda run: run.service.p95),
            "the part of the latency from the moment that a worker has the packet; the rest is the wait in the queue",
        ),
        Column("switch", "/pkt", 7, _switches, "context switches per packet"),
        Column("threads", "active", 7, mean(lambda run: run.active), "runnable threads, on average (Q-02)"),
        Column("threads", "most", 5, lambda point: f"{point.most_active:,}", "the most that were seen runnable"),
        Column("threads", "block", 6, mean(lambda run: run.blocked), "blocked threads, on average (Q-23)"),
        Column("", "queue", 7, mean(lambda run: run.depth), "packets in the queue, on average (Q-05)"),
        Column("", "use", 5, lambda point: f"{point.mean(lambda run: run.processor_use):.0%}", "of the processors"),
    ]


def _switches(point: Point) -> str:
    return "-" if point.switches is None else number(point.switches)


def wants_logarithms(result: Result) -> bool:
    """Whether the values lie so far apart that an axis for them should be logarithmic."""
    limits = [point.limit for point in result.points]
    return max(limits) > 64 * min(limits)


def wrapped(text: str, indent: int = 0) -> list[str]:
    """A sentence in lines of at most 80 columns."""
    margin = " " * indent
    return textwrap.wrap(text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)


def title_of(settings: Settings) -> str:
    """The experiment in one line, which may be long."""
    return f"The concurrency value and {settings.work}"


def description(settings: Settings) -> Iterator[str]:
    """What was done, in sentences."""
    work = settings.work
    parts = [
        f"{seconds_text(_rounded(work.mean_seconds(kind)))} {what}"
        for kind, what in (
            (Kind.CPU, "of computation"),
            (Kind.BLOCK, "blocked"),
            (Kind.HIDDEN, "waiting unseen"),
        )
        if work.uses(kind)
    ]
    *others, last = parts
    yield f"A packet is {', '.join(others) + ' and ' if others else ''}{last} on average."
    yield (
        f"{_count(settings.threads, 'thread')} on {_count(settings.processors, 'processor')}; {_arrivals(settings)}; "
        f"{_count(settings.packets, 'packet')} a run{_warm_up(settings)}, {_count(settings.repeat, 'run')} of each "
        "value."
    )
    if settings.engine is Engine.SIMULATION:
        yield (
            f"Simulated: time slices of {seconds_text(settings.time_slice)}, a context switch costs "
            f"{seconds_text(settings.switch_cost)}, seed {settings.seed}; the same figures on every system."
        )
    else:
        yield f"Real threads of this Python on this machine, seed {settings.seed}."


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.3g}")


def _warm_up(settings: Settings) -> str:
    return f" (the first {settings.warm_up:,} are not in the latencies)" if settings.warm_up else ""


def _arrivals(settings: Settings) -> str:
    match settings.arrivals:
        case Closed():
            return f"{_count(settings.first_packets, 'packet')} in circulation"
        case Open(rate):
            return f"{rate:g} packets arrive per second {settings.arrivals.spacing.described}"
        case Batch():
            return "all packets are there from the beginning"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
