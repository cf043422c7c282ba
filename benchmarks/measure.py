"""The vocabulary of a benchmark: effort, sample, comparison, workload, and how a sample can fail."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random


class WrongResult(Exception):
    """A contestant lost, repeated or reordered a packet, or did not finish: the run fails."""


class Unavailable(Exception):
    """This machine cannot stage the sample (too few threads, say): its rows stay empty; no failure."""


class Effort(Enum):
    """How much work a sample does; a warm-up is thrown away."""

    WARM_UP = "warm-up"
    QUICK = "quick"
    FULL = "full"


class Unit(Enum):
    """What the cost of a sample is counted in, per packet or per waiter."""

    SECONDS = "seconds"
    BYTES = "bytes"


class Kind(Enum):
    """What a row makes of the samples of one repeat."""

    RATIO = "ratio"  # cost of ours / cost of the peer
    DIFFERENCE = "difference"  # cost of ours - cost of the peer
    FIGURE = "figure"  # a count that ours reports beside its cost
    RATE = "rate"  # such a count of which more is better


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one contestant: its cost per packet (or waiter), counts taken besides, and a curve if any."""

    cost: float
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    curve: Sequence[tuple[float, int]] = ()
    """A count that changes over time: seconds since the start, and the count from then on."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row to be: `ours` against `peer`, at most `goal`.

    For `Kind.FIGURE` and `RATE`, `peer` is the name of the figure; a rate is to be at least `goal`.
    """

    ours: str
    peer: str
    goal: float | None = None
    kind: Kind = Kind.RATIO


class Workload(ABC):
    """Work that all its contestants do alike; the docstring of a concrete class says what is measured.

    A workload keeps no state between repeats.
    """

    unit: Unit = Unit.SECONDS

    def __init__(self, name: str, comparisons: Sequence[Comparison]) -> None:
        self.name = name
        self.comparisons = tuple(comparisons)

    @abstractmethod
    def repeat(self, effort: Effort, random: Random) -> dict[str, Sample]:
        """One checked sample of each contestant, taken in shuffled order. Raises `WrongResult`.

        A contestant that the machine cannot stage is missing from the answer.
        """


class OneByOne(Workload):
    """A workload that stages its contestants one after the other."""

    @abstractmethod
    def contestants(self, effort: Effort) -> Sequence[str]:
        """The names of those that take part at this effort."""

    @abstractmethod
    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        """Stage, time and check one sample. Raises `WrongResult` or `Unavailable`."""

    def repeat(self, effort: Effort, random: Random) -> dict[str, Sample]:
        """One sample of each contestant, in shuffled order, all with the same random decisions."""
        names = list(self.contestants(effort))
        random.shuffle(names)
        seed = random.getrandbits(32)
        samples: dict[str, Sample] = {}
        for name in names:
            gc.collect()  # nobody pays for what the one before left behind
            try:
                samples[name] = self.measure(name, effort, Random(seed))
            except Unavailable:
                continue
            except WrongResult as wrong:
                raise WrongResult(f"{name}: {wrong}") from wrong
        return samples
