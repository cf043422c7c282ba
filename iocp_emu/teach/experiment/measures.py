"""What was measured: one run, the runs of one concurrency value, and the whole experiment.

Theory.  A packet's latency has two parts: the wait in the queue, from the post until a worker has it, and the service,
from there until the work is done, in which the worker computes, waits, and stands in line for a processor.  Means over
time follow from sums over packets (Little's law): the mean depth is the sum of all waits over the length of the run,
the workers in service likewise, and those of them that are not blocked are the active ones.  So they are exact, and
nothing has to be watched while it runs; the samples are for pictures only.

Own rules.  Seconds and packets per second.  A percentile is a value that was measured: the smallest with at least that
share of all at or below it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...runtime.virtual_time import NANOSECONDS
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Times:
    """Durations of many packets, in seconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The port at one `time` (seconds from the beginning): active, blocked and parked threads, packets in the queue."""

    time: float
    active: int
    blocked: int
    parked: int
    depth: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run with one concurrency value.

    `limit` is the value with 0 resolved.  `throughput` is in packets per second.  `latency` = `wait` (in the queue) +
    `service`, packet by packet.  `switches` are context switches per packet (of the whole process on real threads; None
    where the system does not tell).  `processor_use` is the share of all processors' time that went into the work.
    `active`, `blocked`, `depth`: means over the run.  `most_active`: the highest count that was seen (Q-02).
    """

    concurrency: int
    limit: int
    repetition: int
    packets: int
    elapsed: float
    throughput: float
    latency: Times
    wait: Times
    service: Times
    switches: float | None
    processor_use: float
    active: float
    blocked: float
    depth: float
    most_active: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean of some runs, and their standard deviation (0 of one)."""

    mean: float
    deviation: float

    @property
    def relative(self) -> float:
        """The deviation as a share of the mean."""
        return self.deviation / self.mean if self.mean else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """All runs with one concurrency value: one or more, of one experiment."""

    concurrency: int
    limit: int
    runs: tuple[Run, ...]

    def spread(self, figure: Callable[[Run], float]) -> Spread:
        """A figure over the runs.  O(runs)."""
        values = [figure(run) for run in self.runs]
        mean = math.fsum(values) / len(values)
        if len(values) == 1:
            return Spread(mean, 0.0)
        square = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        return Spread(mean, math.sqrt(square))

    def mean(self, figure: Callable[[Run], float]) -> float:
        """The mean of a figure over the runs.  O(runs)."""
        return self.spread(figure).mean

    @property
    def throughput(self) -> float:
        """Packets per second."""
        return self.mean(lambda run: run.throughput)

    @property
    def switches(self) -> float | None:
        """Context switches per packet; None where the system does not tell."""
        known = [run.switches for run in self.runs if run.switches is not None]
        return math.fsum(known) / len(known) if known else None

    @property
    def most_active(self) -> int:
        """The highest count of runnable threads that was seen in any run (Q-02)."""
        return max(run.most_active for run in self.runs)


def points_of(runs: Iterable[Run]) -> tuple[Point, ...]:
    """The runs by concurrency value, ascending by what the value means.  O(runs log runs)."""
    by_value: dict[int, list[Run]] = {}
    for run in runs:
        by_value.setdefault(run.concurrency, []).append(run)
    ordered = sorted(by_value.items(), key=lambda item: (item[1][0].limit, item[0]))
    return tuple(Point(value, members[0].limit, tuple(members)) for value, members in ordered)


class Samples:
    """Samples of a run whose length nobody knows: when there are too many every other one goes."""

    def __init__(self, first_interval: float, most: int = 128) -> None:
        self.interval = first_interval
        self._most = most
        self._kept: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Keep a sample; the next one is wanted about `interval` seconds later.  O(1), amortized."""
        self._kept.append(sample)
        if len(self._kept) == self._most:
            del self._kept[1::2]
            self.interval *= 2

    def all(self) -> tuple[Sample, ...]:
        """Those that are kept, in order."""
        return tuple(self._kept)


@dataclass(slots=True)
class Tally:
    """What an engine counts during a run, in nanoseconds and in the order in which packets were finished.

    `queued` is how long the packets waited that were still in the queue at the end.
    """

    waits: array[int]
    services: array[int]
    elapsed: int = 0
    computed: int = 0
    blocked: int = 0
    queued: int = 0
    switches: int | None = 0
    most_active: int = 0

    @classmethod
    def empty(cls) -> Tally:
        """Nothing counted yet."""
        return cls(array("q"), array("q"))


def to_run(settings: Settings, concurrency: int, repetition: int, tally: Tally, samples: tuple[Sample, ...]) -> Run:
    """The figures of a run from what was counted.  O(packets log packets)."""
    waits, services = tally.waits, tally.services
    packets = len(waits)
    elapsed = max(tally.elapsed, 1)
    first = min(settings.warm_up, packets - 1)
    latencies = [wait + service for wait, service in zip(waits, services, strict=True)]
    return Run(
        concurrency=concurrency,
        limit=settings.limit(concurrency),
        repetition=repetition,
        packets=packets,
        elapsed=elapsed / NANOSECONDS,
        throughput=packets * NANOSECONDS / elapsed,
        latency=_times(latencies[first:]),
        wait=_times(waits[first:]),
        service=_times(services[first:]),
        switches=None if tally.switches is None else tally.switches / packets,
        processor_use=tally.computed / (elapsed * settings.processors),
        active=(sum(services) - tally.blocked) / elapsed,
        blocked=tally.blocked / elapsed,
        depth=(sum(waits) + tally.queued) / elapsed,
        most_active=tally.most_active,
        samples=samples,
    )


def _times(nanoseconds: Iterable[int]) -> Times:
    ordered = sorted(nanoseconds)
    number = len(ordered)

    def percentile(hundredths: int) -> float:
        return ordered[(number * hundredths + 99) // 100 - 1] / NANOSECONDS

    return Times(
        sum(ordered) / number / NANOSECONDS,
        percentile(50),
        percentile(95),
        percentile(99),
        ordered[-1] / NANOSECONDS,
    )
