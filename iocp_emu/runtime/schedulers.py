"""Schedulers: who answers the questions that a simulation leaves open.

Theory.  A simulation is deterministic but for two kinds of question: which of several threads makes the next step, and
which of several outcomes a device has.  Each such question is one `ChoicePoint`; a `Scheduler` answers with an index.
A point with a single option is not asked.  The answers, in order, are the *schedule* of the run: a list of small
integers, which `ReplayScheduler` turns back into the same run.

A step is one kernel verb and the code up to the next one, so a schedule names kernel calls and nothing of Python: it
means the same on every version and system.

Own rules.  A scheduler has two methods.  It changes nothing but itself.  Chance comes from `random.Random` with a whole
number as its seed, by `random()` alone, whose sequence Python guarantees.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .simulation import Simulation
    from .virtual_threads import VirtualThread


class ChoiceKind(enum.Enum):
    """What is asked."""

    STEP = "which thread makes the next step, or whether the clock does"
    OUTCOME = "which outcome an operation of a device has"


class ClockActor(enum.Enum):
    """The option of a STEP that lets an alarm ring whose time has come: a timeout, a sleep, a device, a time slice."""

    CLOCK = "clock"

    @property
    def name_in_reports(self) -> str:
        """How a schedule shows it."""
        return self.value


CLOCK = ClockActor.CLOCK
"""The one clock."""


@dataclass(slots=True)
class ChoicePoint:
    """One question: two or more `options`, of which one index is the answer.

    `current` is the thread that would go on if nobody asked, and is among the options of a STEP; None when there is no
    such thread.  A thread's `pending` tells the step that it is about to make.  `weights`, as many as options, say how
    likely each outcome is in a world without a will; None: all alike.  `subject` names what is asked about.
    """

    kind: ChoiceKind
    options: Sequence[Any]
    current: VirtualThread | None = None
    weights: Sequence[float] | None = None
    subject: str = ""


class Scheduler(Protocol):
    """Answers the questions of one simulation after another."""

    def begin(self, simulation: Simulation) -> None:
        """A run of `simulation` begins with nothing decided yet."""

    def choose(self, point: ChoicePoint) -> int:
        """The index of the option to take, 0 to `len(point.options) - 1`."""
        ...


class SeededScheduler:
    """Chance: each option of a STEP alike, outcomes by their weights.  The default.

    A new begin starts the same sequence again, so that one seed is one run.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._random = Random(seed)

    def begin(self, simulation: Simulation) -> None:
        """Start over."""
        self._random = Random(self.seed)

    def choose(self, point: ChoicePoint) -> int:
        """By chance."""
        number = self._random.random()
        if point.weights is None:
            return int(number * len(point.options))
        return index_by_weight(number, point.weights)


def index_by_weight(number: float, weights: Sequence[float]) -> int:
    """Which index a `number` in [0, 1) stands for, when each has its share of the sum of the weights."""
    left = number * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return max(index for index, weight in enumerate(weights) if weight > 0)


class SteadyScheduler:
    """No switch without need: the current thread goes on, then the oldest option; outcomes are the likeliest.

    The fastest scheduler, and the calmest: for experiments in which only time decides.
    """

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """The current thread, else the first option."""
        if point.weights is not None:
            return max(range(len(point.weights)), key=point.weights.__getitem__)
        if point.current is None:
            return 0
        return point.options.index(point.current)


class RoundRobinScheduler:
    """Each in turn: after every step the next higher thread number, the clock after the highest; outcomes too."""

    def __init__(self) -> None:
        self._last = 0
        self._outcomes = 0

    def begin(self, simulation: Simulation) -> None:
        """Start with the first."""
        self._last = 0
        self._outcomes = 0

    def choose(self, point: ChoicePoint) -> int:
        """The option that follows the last one taken."""
        if point.kind is ChoiceKind.OUTCOME:
            self._outcomes += 1
            return (self._outcomes - 1) % len(point.options)
        numbers = [0 if option is CLOCK else option.number for option in point.options]
        later = [number for number in numbers if number > self._last]
        self._last = min(later, default=min(numbers))
        return numbers.index(self._last)


class ScheduleMismatch(ValueError):
    """A recorded schedule does not belong to this program, or the program is not deterministic."""


class ReplayScheduler:
    """Gives the recorded answers; when they are used up, asks `then` (by default a `SteadyScheduler`)."""

    def __init__(self, schedule: Sequence[int], then: Scheduler | None = None) -> None:
        self.schedule = tuple(schedule)
        self.then: Scheduler = then or SteadyScheduler()
        self.taken = 0

    def begin(self, simulation: Simulation) -> None:
        """Start over."""
        self.taken = 0
        self.then.begin(simulation)

    def choose(self, point: ChoicePoint) -> int:
        """The next recorded answer; `ScheduleMismatch` when the point has no such option."""
        if self.taken == len(self.schedule):
            return self.then.choose(point)
        answer = self.schedule[self.taken]
        if not 0 <= answer < len(point.options):
            raise ScheduleMismatch(
                f"choice {self.taken + 1} of the schedule takes option {answer}, but there are {len(point.options)}: "
                "the schedule is of another program, or the program is not deterministic"
            )
        self.taken += 1
        return answer
