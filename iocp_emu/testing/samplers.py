"""Strategies that try some schedules: random walk, round robin, PCT, POS, by hand.  Each is one small scheduler.

Theory.  A strategy gives a scheduler for each number of a run, from 0; this and the seed decide everything, so it does
not matter where and in which order runs are made.

    random       every option alike: finds what many orders show
    round-robin  each thread in turn, as many steps at a time as the number of the run says: finds what patience shows
    pct          a random priority for each thread, lowered at `depth` - 1 random moments: finds a fault that needs
                 `depth` ordered steps with probability of at least 1 / (threads * steps ** (depth - 1))
    pos          a random priority for each step, drawn again when a step on the same object is taken before it:
                 spreads evenly over orders that differ in which conflicting step comes first

Own rules.  Chance is `random()` alone, which Python guarantees.  Outcomes of devices are drawn alike, however rare they
would be in life.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Protocol

from ..runtime.schedulers import CLOCK, ChoiceKind, ChoicePoint, Scheduler
from ..runtime.simulation import Simulation
from .runs import actor_of, ranked


class Strategy(Protocol):
    """Gives schedulers: `schedules` is how many it has, None without end."""

    @property
    def schedules(self) -> int | None:
        """How many schedulers there are."""
        ...

    def scheduler(self, number: int, seed: int, choices: int) -> Scheduler:
        """The scheduler of run `number`; run 0 had `choices` choices (0 while that is not known)."""
        ...


def random_of(seed: int, number: int) -> Random:
    """The chance of one run.

    >>> random_of(0, 1).random() == random_of(0, 1).random() != random_of(0, 2).random()
    True
    """
    return Random(int.from_bytes(blake2b(f"{seed}:{number}".encode(), digest_size=8).digest(), "big"))


class RandomWalk:
    """Every option alike."""

    schedules = None

    def scheduler(self, number: int, seed: int, choices: int) -> Scheduler:
        """A walk."""
        return _Walk(random_of(seed, number))


class _Walk:
    """One random walk."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """By chance."""
        return int(self._random.random() * len(point.options))


class RoundRobin:
    """Each in turn; run n lets each make n + 1 choices at a time.  It has `schedules` schedules, 16 by default."""

    def __init__(self, schedules: int = 16) -> None:
        self.schedules: int | None = schedules

    def scheduler(self, number: int, seed: int, choices: int) -> Scheduler:
        """Turns of a length."""
        return _Turns(number + 1)


class _Turns:
    """The current thread goes on for `length` choices, then the next higher number; outcomes in turn."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._last = -1
        self._left = 0
        self._outcomes = 0

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """Who is on."""
        if point.kind is ChoiceKind.OUTCOME:
            self._outcomes += 1
            return (self._outcomes - 1) % len(point.options)
        actors = [actor_of(point, index) for index in range(len(point.options))]
        if self._last not in actors or self._left == 0:
            self._last = min((actor for actor in actors if actor > self._last), default=min(actors))
            self._left = self._length
        self._left -= 1
        return actors.index(self._last)


class Pct:
    """Probabilistic concurrency testing: `depth` (1 or more) is how many steps must be ordered to show the fault."""

    schedules = None

    def __init__(self, depth: int = 3) -> None:
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, not {depth}")
        self.depth = depth

    def scheduler(self, number: int, seed: int, choices: int) -> Scheduler:
        """Priorities, and where they change."""
        random = random_of(seed, number)
        changes = {int(random.random() * max(choices, 20)) for _ in range(self.depth - 1)}
        return _Priorities(random, changes)


class _Priorities:
    """The highest priority goes first; at a change it becomes the lowest of all."""

    def __init__(self, random: Random, changes: set[int]) -> None:
        self._random = random
        self._changes = changes
        self._priority: dict[int, float] = {}
        self._taken = 0

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """The highest."""
        if point.kind is ChoiceKind.OUTCOME:
            return int(self._random.random() * len(point.options))
        actors = [actor_of(point, index) for index in range(len(point.options))]
        for actor in actors:
            if actor not in self._priority:
                self._priority[actor] = self._random.random()
        highest = max(actors, key=self._priority.__getitem__)
        if self._taken in self._changes:
            self._priority[highest] = min(self._priority.values()) - 1
            highest = max(actors, key=self._priority.__getitem__)
        self._taken += 1
        return actors.index(highest)


class Pos:
    """Partial order sampling."""

    schedules = None

    def scheduler(self, number: int, seed: int, choices: int) -> Scheduler:
        """Priorities of steps."""
        return _StepPriorities(random_of(seed, number))


class _StepPriorities:
    """The step of the highest priority goes first; those that are in conflict with it draw again."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._priority: dict[int, float] = {}

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """The highest."""
        if point.kind is ChoiceKind.OUTCOME:
            return int(self._random.random() * len(point.options))
        actors = [actor_of(point, index) for index in range(len(point.options))]
        for actor in actors:
            if actor not in self._priority:
                self._priority[actor] = self._random.random()
        index = max(range(len(actors)), key=lambda each: self._priority[actors[each]])
        taken = _objects(point.options[index])
        for other, option in zip(actors, point.options, strict=True):
            if other == actors[index] or taken & _objects(option):
                self._priority.pop(other, None)
        return index


def _objects(option: object) -> frozenset[object]:
    """The kernel objects of an option's next step; the clock is an object of its own."""
    return frozenset([CLOCK] if option is CLOCK else option.pending.objects)  # type: ignore[attr-defined]


class Manual:
    """One schedule, by hand: `ask` is given the question as text and answers with the number of an option, from 1."""

    def __init__(self, ask: Callable[[str], str] = input) -> None:
        self.schedules: int | None = 1
        self._ask = ask

    def scheduler(self, number: int, seed: int, choices: int) -> Scheduler:
        """Whoever answers."""
        return _ByHand(self._ask)


class _ByHand:
    """Asks until it gets a number; an empty answer is 1, to go on."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask = ask

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """What is answered."""
        order = ranked(point)
        lines = [f"  {place}. {_describe(point, index)}" for place, index in enumerate(order, start=1)]
        question = "\n".join([f"Which? ({point.subject or 'the next step'})", *lines, "> "])
        while True:
            answer = self._ask(question).strip() or "1"
            if answer.isdecimal() and 1 <= int(answer) <= len(order):
                return order[int(answer) - 1]


def _describe(point: ChoicePoint, index: int) -> str:
    option = point.options[index]
    if point.kind is ChoiceKind.OUTCOME:
        return str(getattr(option, "value", option))
    if option is CLOCK:
        return "let the alarm ring that is due"
    objects = " ".join(obj.type_name for obj in option.pending.objects if obj is not option)
    return f"{option.title}: {option.pending.verb.replace('_', ' ')} {objects}".rstrip()


STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "random": RandomWalk,
    "round-robin": RoundRobin,
    "pct": Pct,
    "pos": Pos,
    "manual": Manual,
}
"""The strategies by name; `exhaustive` has a search of its own."""
