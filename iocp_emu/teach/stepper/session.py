"""A stepping session: named branches of one program's choices, and what one does with them.

Theory.  A branch is a list of ranks; its moment is found by running the program with them.  Going back shortens the
list, a fork copies it, running on lets a strategy lengthen it to the end.

Own rules.  No print and no input here: `prompt` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ...profiles import get_profile
from ...runtime.schedulers import ChoicePoint, Scheduler
from ...runtime.simulation import Simulation
from ...testing.observed import ObservedSimulation, Row
from ...testing.runs import Plan, RankScheduler, run_once
from ...testing.samplers import STRATEGIES
from ...testing.schedule_text import Schedule
from .moments import Moment, ended, look

MAIN = "main"
"""The first branch."""


class StepperError(ValueError):
    """What was asked for cannot be done; the message is for the reader, and nothing has changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two runs side by side: pairs of rows (None beyond an end), and the index of the first pair that differs."""

    left: str
    right: str
    pairs: tuple[tuple[Row | None, Row | None], ...]
    first: int | None


class _Onward:
    """Plays ranks, then lets another scheduler answer."""

    def __init__(self, ranks: Sequence[int], then: Scheduler) -> None:
        self._player = RankScheduler(ranks)
        self._count = len(ranks)
        self._then = then
        self.simulation: ObservedSimulation | None = None

    def begin(self, simulation: Simulation) -> None:
        """Both begin."""
        assert isinstance(simulation, ObservedSimulation)
        self.simulation = simulation
        self._player.begin(simulation)
        self._then.begin(simulation)

    def choose(self, point: ChoicePoint) -> int:
        """The next rank, or what the other answers."""
        return self._player.choose(point) if self._player.taken < self._count else self._then.choose(point)


class Session:
    """One reader's way through the schedules of a program.

    `branches` are the choices of each branch by name; `branch` is the one that commands are about.
    """

    def __init__(self, plan: Plan, ranks: Sequence[int] = ()) -> None:
        self.plan = plan
        self.branch = MAIN
        self.branches: dict[str, tuple[int, ...]] = {MAIN: ()}
        self._moments: dict[tuple[int, ...], Moment] = {}
        self._go(tuple(ranks))

    @property
    def moment(self) -> Moment:
        """Where the current branch stands.  Blocks for a run of the program, once for each place."""
        return self._look(self.branches[self.branch])

    def moment_of(self, name: str) -> Moment:
        """Where a branch stands.  Blocks as `moment` does."""
        self._known(name)
        return self._look(self.branches[name])

    def _look(self, ranks: tuple[int, ...]) -> Moment:
        known = self._moments.get(ranks)
        if known is None:
            known = self._moments[ranks] = look(self.plan, ranks)
        return known

    def _go(self, ranks: tuple[int, ...]) -> None:
        self._look(ranks)
        self.branches[self.branch] = ranks

    def choose(self, number: int) -> None:
        """Take option `number`, from 1."""
        moment = self.moment
        if not moment.options:
            raise StepperError("the run has ended: go back (b), or to a choice (g NUMBER)")
        if not 1 <= number <= len(moment.options):
            raise StepperError(f"choose a number from 1 to {len(moment.options)}, not {number}")
        self._go((*moment.ranks, number - 1))

    def back(self, choices: int = 1) -> None:
        """Take back so many choices, as far as there are any."""
        ranks = self.branches[self.branch]
        if not ranks:
            raise StepperError("this is the first choice: there is nothing to take back")
        self._go(ranks[: max(len(ranks) - choices, 0)])

    def go_to(self, choice: int) -> None:
        """To the choice with this number, from 0; forward along what was chosen before is not remembered."""
        ranks = self.branches[self.branch]
        if not 0 <= choice <= len(ranks):
            raise StepperError(f"this branch has choices 0 to {len(ranks)}, not {choice}")
        self._go(ranks[:choice])

    def fork(self, name: str) -> None:
        """A new branch that begins as the current one; it becomes the current one."""
        if not name.isidentifier():
            raise StepperError(f"a branch has a name of letters and digits, not {name!r}")
        if name in self.branches:
            raise StepperError(f"there is a branch {name!r} already")
        self.branches[name] = self.branches[self.branch]
        self.branch = name

    def switch(self, name: str) -> None:
        """Make a branch the current one."""
        self._known(name)
        self.branch = name

    def run_on(self, strategy: str | None = None, seed: int = 0) -> None:
        """Let a strategy choose until the end; None: always the first option."""
        if strategy is None:
            then: Scheduler = RankScheduler(())
        elif strategy == "manual" or strategy not in STRATEGIES:
            known = ", ".join(name for name in STRATEGIES if name != "manual")
            raise StepperError(f"there is no strategy {strategy!r}: known are {known}")
        else:
            then = STRATEGIES[strategy]().scheduler(0, seed, 0)
        ranks = self.branches[self.branch]
        onward = _Onward(ranks, then)
        run = run_once(self.plan, onward, keeps_rows=True)
        assert onward.simulation is not None
        self._moments[run.ranks] = ended(run, onward.simulation)
        self.branches[self.branch] = run.ranks

    def compare(self, name: str) -> Difference:
        """The current branch beside another one."""
        left, right = self.moment.rows, self.moment_of(name).rows
        pairs = tuple(zip_longest(left, right))
        first = next((index for index, (one, other) in enumerate(pairs) if one != other), None)
        return Difference(self.branch, name, pairs, first)

    def _known(self, name: str) -> None:
        if name not in self.branches:
            raise StepperError(f"there is no branch {name!r}: known are {', '.join(self.branches)}")

    @property
    def schedule(self) -> Schedule:
        """The current branch as a schedule, for texts and tests.  The rest of the run is what nobody would choose."""
        plan = self.plan
        ranks = list(self.branches[self.branch])
        while ranks and ranks[-1] == 0:
            ranks.pop()
        return Schedule(
            plan.name,
            tuple(ranks),
            plan.arguments,
            plan.processors,
            plan.seed,
            get_profile(plan.profile).name,
            plan.max_steps,
            plan.sharing.value,
        )

    def finished(self) -> Moment:
        """The end that the current branch comes to when nobody chooses any more; the branch stays where it is."""
        other = Session(self.plan, self.branches[self.branch])
        other.run_on()
        return other.moment
