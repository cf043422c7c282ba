"""Making a failure small: smaller parameters, fewer switches, fewer steps, until nothing can be left out.

Theory.  A run is known by its actors, who was chosen at each choice.  Delta debugging leaves out parts of that list,
large ones first, and plays the rest: at each choice the next actor of the list if it can, else whoever comes first.
What is accepted must fail in the same way and be smaller: by preemptions, then by switches, then by steps.  Last, what
comes first anyway is cut off, and the failure is the plain list of ranks that the run has really taken.

Own rules.  The number of steps is bounded, not the time, so that the result is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..runtime.schedulers import ChoicePoint
from ..runtime.simulation import Simulation
from .runs import Plan, RankScheduler, Run, RunFailure, actor_of, ranked, run_once

Search = Callable[[Plan, int, "int | None"], "Run | None"]
"""Looks in so many runs for a failing one: with other parameters, or with at most so many preemptions."""


class Guided:
    """Takes the actors of a list as far as they can be taken; else rank 0."""

    def __init__(self, actors: Sequence[int]) -> None:
        self._actors = list(reversed(actors))

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """The next actor, if it can."""
        order = ranked(point)
        if not self._actors:
            return order[0]
        for index in order:
            if actor_of(point, index) == self._actors[-1]:
                self._actors.pop()
                return index
        return order[0]


def size_of(run: Run) -> tuple[int, int, int, int]:
    """What shrinking makes smaller: preemptions, switches, steps, choices against the order."""
    switches = sum(one != other for one, other in zip(run.actors, run.actors[1:], strict=False))
    return (run.preemptions, switches, run.steps, sum(map(bool, run.ranks)))


class Shrinker:
    """Shrinks one failing run of a plan; `steps` counts the steps it took."""

    def __init__(self, plan: Plan, run: Run, search: Search) -> None:
        assert run.failure is not None
        self.plan = plan
        self.best = run
        self.steps = 0
        self._search = search
        self._failure: RunFailure = run.failure

    def shrink(self) -> Run:
        """The smallest run found.  Blocks for about `shrink_steps` of the plan, and a few searches."""
        if not self.plan.shrink_steps:
            return self._cut()
        self._shrink_steps()
        self._shrink_arguments()
        if self.best.preemptions:
            self._is_smaller(self._search(self.plan, self._runs, self.best.preemptions - 1))
        length = max(len(self.best.actors) // 2, 1)
        while length >= 1 and self.steps < self.plan.shrink_steps:
            if not self._leave_out(length):
                length //= 2
        self._join_turns()
        return self._cut()

    @property
    def _runs(self) -> int:
        """How many runs a search may take: fewer of long ones."""
        return max(10, min(100, self.plan.shrink_steps // max(self.best.steps, 1)))

    def _is_smaller(self, run: Run | None) -> bool:
        if run is None or run.failure is None or run.failure.signature != self._failure.signature:
            return False
        if size_of(run) >= size_of(self.best):
            return False
        self.best = run
        return True

    def _try(self, actors: Sequence[int]) -> bool:
        run = run_once(self.plan, Guided(actors))
        self.steps += run.steps
        return self._is_smaller(run)

    def _leave_out(self, length: int) -> bool:
        """One pass over all parts of this length; whether one could go."""
        start = 0
        found = False
        while start < len(self.best.actors) and self.steps < self.plan.shrink_steps:
            actors = self.best.actors
            if self._try([*actors[:start], *actors[start + length :]]):
                found = True
            else:
                start += length
        return found

    def _join_turns(self) -> None:
        """Let an actor have its next turn at once, so that there is a switch less."""
        start = 1
        while start < len(self.best.actors) and self.steps < self.plan.shrink_steps:
            actors = self.best.actors
            before = actors[start - 1]
            later = next((place for place in range(start + 1, len(actors)) if actors[place] == before), None)
            if actors[start] == before or later is None:
                start += 1
                continue
            moved = [*actors[:start], before, *actors[start:later], *actors[later + 1 :]]
            start += not self._try(moved)

    def _cut(self) -> Run:
        """Without what a scheduler without a will does anyway at the end."""
        ranks = list(self.best.ranks)
        while ranks and ranks[-1] == 0:
            ranks.pop()
        run = run_once(self.plan, RankScheduler(ranks), keeps_rows=True)
        return replace(run, ranks=tuple(ranks))

    def _shrink_steps(self) -> None:
        """An endless run is as endless when it is looked at for a shorter time."""
        for steps in (100, 200, 400, 800):
            if self.best.steps * 2 > self.plan.max_steps and steps < self.plan.max_steps:
                shorter = replace(self.plan, max_steps=steps)
                run = run_once(shorter, RankScheduler(self.best.ranks))
                if run.failure is not None and run.failure.signature == self._failure.signature:
                    self.plan, self.best = shorter, run
                    return

    def _shrink_arguments(self) -> None:
        """Each integer parameter as small as it can be, from 1 (0 for one that is 0 or less is left alone)."""
        for name in self.plan.arguments:
            value = 1
            while value < self.plan.arguments[name]:
                smaller = replace(self.plan, arguments={**self.plan.arguments, name: value})
                run = self._search(smaller, self._runs, None)
                failure = None if run is None else run.failure
                if run is not None and failure is not None and failure.signature == self._failure.signature:
                    self.plan, self.best = smaller, run
                    break
                value += 1
