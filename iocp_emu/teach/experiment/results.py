"""The result of an experiment, and the knee of its curve with the reason for it.

Theory.  The knee is the smallest concurrency value that is practically as good as the best one.  Good is a high
throughput; where packets arrive at a rate of their own the throughput is given, and good is a low mean latency.  (In a
closed loop both are the same: by Little's law the mean latency is the clients divided by the throughput.)
"Practically": within 5 %, or half of what one processor adds when that is less, or twice the standard error of the
runs when that is more.  So for pure computation the knee is at the number of processors exactly, however many there
are: with one less, the share of a whole processor is lost.

Why the knee is where it is follows from the state of the machine there: whether the processors are busy, all threads in
use, the queue empty.

Own rule.  A sentence states what was measured, not what was expected.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from .measures import Point, Run, points_of
from .settings import Batch, Closed, Engine, Open, Settings
from .work import Kind

TOLERANCE = 0.05
MOST_TOLERANCE = 0.5
BUSY = 0.95
"""Processors in use for this share of the time count as busy."""


class Cause(enum.Enum):
    """Why the knee is where it is."""

    ALONE = "only one value was measured"
    PROCESSORS = "the processors are busy, and the value is their number"
    REPLACED = "the processors are busy with a smaller value, since blocked workers are replaced"
    HIDDEN = "a larger value makes up for waits that the port cannot see"
    TAIL = "a larger value shares the end of a batch out over all processors"
    SHARING = "a larger value lets short packets overtake long ones"
    LOCK = "one thread at a time computes: the interpreter's lock"
    THREADS = "all threads are in use"
    PACKETS = "there are no more packets to work on"
    RISING = "the largest value that was tried is the best"
    OTHER = "larger values gain nothing"


@dataclass(frozen=True, slots=True)
class Knee:
    """The smallest value that is practically the best, and one sentence that says why."""

    concurrency: int
    limit: int
    cause: Cause
    sentence: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: `points` by ascending value, fewer than asked for when the experiment was interrupted.

    `interpreter_lock`: whether real threads took turns at computing (the GIL); None for the simulation.
    """

    settings: Settings
    points: tuple[Point, ...]
    interpreter_lock: bool | None = None

    @classmethod
    def of(cls, settings: Settings, runs: Iterable[Run], interpreter_lock: bool | None = None) -> Result:
        """The result of these runs, one or more."""
        return cls(settings, points_of(runs), interpreter_lock)

    @property
    def is_complete(self) -> bool:
        """Whether every run of the settings was made."""
        return sum(len(point.runs) for point in self.points) == self.settings.runs

    @property
    def knee(self) -> Knee:
        """Where the curve bends, and why.  O(runs)."""
        return find_knee(self)

    def at(self, concurrency: int) -> Point:
        """What was measured with this concurrency value; `KeyError` when it was not tried."""
        for point in self.points:
            if point.concurrency == concurrency:
                return point
        raise KeyError(concurrency)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known to read the figures, one sentence or two each."""
        return tuple(_notes(self))

    def _repr_html_(self) -> str:
        """The result in a notebook: a part of a page, with its pictures."""
        from .page import as_fragment

        return as_fragment(self)

    def __str__(self) -> str:
        from .text import as_text

        return as_text(self)


def find_knee(result: Result) -> Knee:
    """The knee of a result that has a point; its definition stands at the head of this file.  O(runs)."""
    points = result.points
    better = [_merit(result.settings, point) for point in points]
    best = max(better)
    tolerance = tolerance_of(result)
    index = next(number for number, merit in enumerate(better) if merit >= best * (1 - tolerance))
    point = points[index]
    flat = min(better) >= best * (1 - tolerance)
    cause = _cause(result, index)
    sentence = _sentence(result, point, cause)
    if flat and len(points) > 1:
        what = "mean latency" if isinstance(result.settings.arrivals, Open) else "throughput"
        sentence = f"{sentence} No value that was tried makes a difference to the {what}."
    return Knee(point.concurrency, point.limit, cause, sentence)


def tolerance_of(result: Result) -> float:
    """How far below the best a value may stay and still be practically as good, as a share."""
    by_latency = isinstance(result.settings.arrivals, Open)
    errors = [
        point.spread(lambda run: run.latency.mean if by_latency else run.throughput).relative / sqrt(len(point.runs))
        for point in result.points
    ]
    return min(max(min(TOLERANCE, 0.5 / result.settings.processors), 2 * max(errors)), MOST_TOLERANCE)


def _merit(settings: Settings, point: Point) -> float:
    if isinstance(settings.arrivals, Open):
        return 1 / point.mean(lambda run: run.latency.mean)
    return point.throughput


def _cause(result: Result, index: int) -> Cause:
    points, settings = result.points, result.settings
    point = points[index]
    use = point.mean(lambda run: run.processor_use)
    if len(points) == 1:
        return Cause.ALONE
    if use >= BUSY:
        if point.limit == settings.processors:
            return Cause.PROCESSORS
        if point.limit < settings.processors:
            return Cause.REPLACED
    if result.interpreter_lock and (use * settings.processors >= BUSY or not _waits(settings)):
        return Cause.LOCK
    if point.limit > settings.processors and isinstance(settings.arrivals, Open):
        return Cause.SHARING
    if point.limit > settings.processors and isinstance(settings.arrivals, Batch):
        return Cause.TAIL
    if use < BUSY and (point.limit >= settings.threads or _parked(settings, point) < 0.5):
        return Cause.THREADS
    if point.limit > settings.processors and settings.work.uses(Kind.HIDDEN):
        return Cause.HIDDEN if index < len(points) - 1 or use >= BUSY else Cause.RISING
    if index == len(points) - 1:
        return Cause.RISING
    if isinstance(settings.arrivals, Open) or point.mean(lambda run: run.depth) < 0.5:
        return Cause.PACKETS
    return Cause.OTHER


def _waits(settings: Settings) -> bool:
    return settings.work.uses(Kind.BLOCK) or settings.work.uses(Kind.HIDDEN)


def _parked(settings: Settings, point: Point) -> float:
    return settings.threads - point.mean(lambda run: run.active) - point.mean(lambda run: run.blocked)


def _sentence(result: Result, point: Point, cause: Cause) -> str:
    settings = result.settings
    value = f"{point.concurrency}" if point.concurrency else f"0 (which means {point.limit})"
    busy = f"{point.mean(lambda run: run.processor_use):.0%} busy"
    match cause:
        case Cause.ALONE:
            return f"{value}: only this value was measured, so there is nothing to compare it with."
        case Cause.PROCESSORS:
            return f"{value} = the processors: there they are {busy}, and beyond it more threads only share them."
        case Cause.REPLACED:
            return (
                f"{value}: blocked workers are replaced and come back beyond the limit (Q-26), so this value already "
                f"keeps the {settings.processors} processors {busy}."
            )
        case Cause.HIDDEN:
            return (
                f"{value}: waits that the port cannot see keep their slots, so below it processors stand idle; here "
                f"they are {busy}."
            )
        case Cause.SHARING:
            return (
                f"{value}: with more workers than the {settings.processors} processors, short packets overtake long "
                "ones slice by slice, so packets wait less on average."
            )
        case Cause.TAIL:
            return (
                f"{value}: with more workers than processors the last packets of the batch share all "
                f"{settings.processors} of them; they are {busy} to the end."
            )
        case Cause.LOCK:
            return (
                f"{value}: one thread at a time computes, because of the interpreter's lock (the GIL), and this value "
                "keeps that one busy."
            )
        case Cause.THREADS:
            return (
                f"{value}: all {settings.threads:,} threads are in use; more threads would help, a larger value cannot."
            )
        case Cause.PACKETS:
            return f"{value}: {_supply(settings)}, and a larger value finds nothing more to do."
        case Cause.RISING:
            return f"{value}: the largest value that was tried is the best; try larger ones."
        case Cause.OTHER:
            return f"{value}: larger values gain nothing here; the processors are {busy}."


def _supply(settings: Settings) -> str:
    match settings.arrivals:
        case Open(rate):
            return f"packets come at {rate:g} per second and are taken as they come"
        case Closed():
            return f"only {settings.first_packets:,} packets are in circulation"
        case _:
            return "the queue is empty"


def _notes(result: Result) -> Iterable[str]:
    settings, points = result.settings, result.points
    if not result.is_complete:
        yield (
            f"Interrupted: {sum(len(point.runs) for point in points):,} of {settings.runs:,} runs were made, and the "
            "figures are theirs."
        )
    if result.interpreter_lock is True and settings.work.uses(Kind.CPU):
        most = max(point.mean(lambda run: run.processor_use) for point in points) * settings.processors
        yield (
            "This Python has the GIL: its threads take turns at computing, so all of them together get the work of at "
            f"most one processor done ({most:.2f} of {settings.processors} were measured), whatever the concurrency "
            "value. The simulation shows a machine without such a lock."
        )
    if result.interpreter_lock is False:
        yield "This Python runs without the GIL: its threads compute side by side, as the port's rules assume."
    if settings.repeat > 1:
        yield _spread_note(result)
    late = [point for point in points if _falls_behind(settings, point)]
    if late:
        yield (
            f"With {_values(late)} fewer packets are finished than arrive: the queue grows for as long as the run "
            "lasts, so these latencies say how long that was, and no more."
        )


def _falls_behind(settings: Settings, point: Point) -> bool:
    if not isinstance(settings.arrivals, Open):
        return False
    return point.throughput < 0.97 * settings.arrivals.rate and point.mean(lambda run: run.depth) > settings.threads


def _values(points: Sequence[Point]) -> str:
    names = [str(point.concurrency) for point in points]
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more"]
    joined = ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
    return f"concurrency value{'s' if len(points) > 1 else ''} {joined}"


def _spread_note(result: Result) -> str:
    points = result.points
    throughput = max(points, key=lambda point: point.spread(lambda run: run.throughput).relative)
    latency = max(points, key=lambda point: point.spread(lambda run: run.latency.p95).relative)
    alike = "" if result.settings.engine is Engine.SIMULATION else "No two runs on real threads are alike. "
    return (
        f"{alike}Standard deviation over the runs of one value, at most: "
        f"{throughput.spread(lambda run: run.throughput).relative:.1%} of the throughput (at "
        f"{throughput.concurrency}), {latency.spread(lambda run: run.latency.p95).relative:.1%} of the latency's p95 "
        f"(at {latency.concurrency}). Values within {tolerance_of(result):.0%} of the best count as equal."
    )
