"""One run of a program under one scheduler, and what it has shown: the unit of which every exploration consists.

Theory.  A run is a function of its plan and of the scheduler's answers, so it can be made again, here or in another
process.  Answers are written as *ranks*: rank 0 is what a scheduler without a will answers (whoever runs goes on, else
the longest ready; the likeliest outcome), the others follow in their order.  A list of ranks, trailing zeros left out,
is the schedule of reports and texts.

A run that takes half of its steps without an end goes on under a fair schedule, each thread in turn.  If it does not
end then either, it is endless: what it repeats, the *lasso*, is looked for among its last states.

Own rules.  Nothing of a run remains but plain data.  While it runs, cyclic garbage is not collected, because finalizers
close handles.
"""

from __future__ import annotations

import enum
import gc
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..kernel.invariants import InvariantViolation
from ..kernel.queue import KernelQueue
from ..profiles import Profile
from ..runtime.carriers import Carrier
from ..runtime.deadlock import DeadlockReport, SimulationDeadlock
from ..runtime.schedulers import (
    CLOCK,
    ChoiceKind,
    ChoicePoint,
    RoundRobinScheduler,
    ScheduleMismatch,
    Scheduler,
)
from ..runtime.simulation import Simulation
from ..runtime.virtual_threads import SimulationMisuse, VirtualThread
from .observed import ObservedSimulation, Row
from .program_state import ProgramState
from .temporal import NotLinearizable, Property, PropertyViolation

PACKAGE = str(Path(__file__).parents[1])

LASSO_STEPS = 300
"""A state must come again after so many steps before the run counts as endless: a C iterator hides how far it has come,
so that a long loop looks like an endless one."""


class FailureKind(enum.Enum):
    """What is wrong; the value begins the verdict."""

    EXCEPTION = "exception"
    ASSERTION = "failed assertion"
    INVARIANT = "broken rule of the port"
    DEADLOCK = "deadlock"
    LOST_WAKEUP = "lost wake-up"
    LIVELOCK = "livelock"
    STARVATION = "starvation"
    ENDLESS = "no end"
    PROPERTY = "broken property"
    NOT_LINEARIZABLE = "not linearizable"
    MISUSE = "cannot be simulated"
    NONDETERMINISM = "not deterministic"


class Fairness(enum.Enum):
    """Which endless runs count."""

    FAIR = "those in which every thread that can make a step makes one again and again"
    UNFAIR = "all"


class Sharing(enum.Enum):
    """What the threads of a program share; the less, the fewer schedules have to be tried."""

    MEMORY = "memory"
    """Kernel objects and Python variables."""
    KERNEL_OBJECTS = "kernel"
    """Kernel objects only, through verbs: to look at `port.depth` without one is to share memory."""


@dataclass(frozen=True)
class RunFailure:
    """What went wrong: `rule` is the id that says so or that stops who waits, `subject` what it is about."""

    kind: FailureKind
    rule: str
    subject: str
    message: str
    thread: str = ""

    @property
    def signature(self) -> tuple[FailureKind, str, str]:
        """Failures with equal signatures are the same failure on other ways."""
        return (self.kind, self.rule, self.subject)


@dataclass(frozen=True)
class Plan:
    """What all runs of an exploration have in common.  Can be pickled if program and properties can."""

    program: Callable[..., object]
    arguments: Mapping[str, int] = field(default_factory=dict[str, int])
    processors: int = 2
    seed: int = 0
    profile: str | Profile | None = None
    properties: tuple[Property, ...] = ()
    max_steps: int = 2000
    fairness: Fairness = Fairness.FAIR
    until: float | None = None
    queue_type: type[KernelQueue[Any]] = KernelQueue
    carrier: Carrier = Carrier.AUTO
    sharing: Sharing = Sharing.MEMORY
    interchangeable: tuple[str, ...] = ()
    shrink_steps: int = 4000

    @property
    def name(self) -> str:
        """The name of the program in reports and texts."""
        return str(getattr(self.program, "__name__", type(self.program).__name__)).strip("<>")


@dataclass(frozen=True)
class Run:
    """What one run has shown.  `met` and `declared` are names of properties; `states` keys, where they were asked for.

    `actors` are who was chosen at each choice: thread numbers, 0 for the clock, negative for an outcome.
    """

    ranks: tuple[int, ...]
    actors: tuple[int, ...]
    preemptions: int
    steps: int
    failure: RunFailure | None
    rules: frozenset[str]
    declared: tuple[str, ...]
    met: frozenset[str]
    opaque: str | None = None
    rows: tuple[Row, ...] = ()
    threads: tuple[str, ...] = ()


# -- choices as ranks ----------------------------------------------------------------------------------------------


def ranked(point: ChoicePoint) -> list[int]:
    """The indices of the options of a choice, by rank.  O(options log options)."""
    indices = range(len(point.options))
    if point.kind is ChoiceKind.OUTCOME:
        weights = point.weights or [1.0] * len(point.options)
        return sorted(indices, key=lambda index: -weights[index])
    return sorted(indices, key=lambda index: point.options[index] is not point.current)


def actor_of(point: ChoicePoint, index: int) -> int:
    """Who an option is: the number of a thread, 0 for the clock, below 0 for an outcome."""
    if point.kind is ChoiceKind.OUTCOME:
        return -1 - index
    option = point.options[index]
    return 0 if option is CLOCK else int(option.number)


class RankScheduler:
    """Replays ranks; when they are used up, rank 0."""

    def __init__(self, ranks: Sequence[int]) -> None:
        self.ranks = tuple(ranks)
        self.taken = 0

    def begin(self, simulation: Simulation) -> None:
        """Start over."""
        self.taken = 0

    def choose(self, point: ChoicePoint) -> int:
        """The option of the next rank; `ScheduleMismatch` when there is none."""
        rank = self.ranks[self.taken] if self.taken < len(self.ranks) else 0
        self.taken += 1
        if rank >= len(point.options):
            raise ScheduleMismatch(
                f"choice {self.taken} of the schedule takes option {rank + 1}, but there are {len(point.options)}: "
                "the program has changed, or it is not deterministic"
            )
        return ranked(point)[rank]


class _Supervisor:
    """Writes down what a scheduler answers, and puts a fair one in its place when a run becomes long."""

    def __init__(self, scheduler: Scheduler, plan: Plan) -> None:
        self._scheduler = scheduler
        self._fair_from = plan.max_steps // 2 if plan.fairness is Fairness.FAIR else plan.max_steps + 1
        self._turns = RoundRobinScheduler()
        self._simulation: Simulation | None = None
        self.error: BaseException | None = None
        self.ranks: list[int] = []
        self.actors: list[int] = []
        self.preemptions = 0

    def begin(self, simulation: Simulation) -> None:
        """A run begins."""
        self._simulation = simulation
        self._turns.begin(simulation)
        self._scheduler.begin(simulation)

    def choose(self, point: ChoicePoint) -> int:
        """What the scheduler answers, or the next in turn."""
        assert self._simulation is not None
        if self._simulation.steps >= self._fair_from:
            # Not part of the schedule: whoever replays it comes here as well.
            return self._turns.choose(point)
        try:
            index = self._scheduler.choose(point)
        except BaseException as error:
            self.error = error
            raise
        rank = ranked(point).index(index)
        self.ranks.append(rank)
        self.actors.append(actor_of(point, index))
        self.preemptions += rank > 0 and point.current is not None and point.kind is ChoiceKind.STEP
        return index


# -- one run -------------------------------------------------------------------------------------------------------


class EndlessRun(Exception):
    """The run has taken all the steps that it may; `failure` says what it does."""

    def __init__(self, failure: RunFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Tail:
    """The fair steps of a run that has become long: whether they come back to a state, and who makes them.

    One state is marked; after `enough` steps those that follow are compared with it, until it has come twice.
    """

    def __init__(self, simulation: ObservedSimulation, plan: Plan) -> None:
        self._simulation = simulation
        self._plan = plan
        self._from = plan.max_steps // 2
        self._enough = min(LASSO_STEPS, plan.max_steps // 4)
        self._state = ProgramState(simulation, (), sees_memory=True)
        self._mark: str | None = None
        self._marked_at = 0
        self._matched_at: int | None = None
        self._stepped: list[str] = []

    @property
    def opaque(self) -> str | None:
        """What could not be seen."""
        return self._state.opaque

    def note(self, thread: VirtualThread) -> None:
        """`thread` is about to make a step.  Raises `EndlessRun` once a lasso has held for long enough."""
        simulation = self._simulation
        if simulation.steps < self._from:
            return
        self._stepped.append(thread.title)
        place = len(self._stepped)
        age = place - self._marked_at
        if self._mark is None or age > 2 * self._enough:
            self._mark, self._marked_at, self._matched_at = self._state.loop_key(thread), place, None
        elif age >= self._enough and self._state.loop_key(thread) == self._mark:
            stepped = () if self._matched_at is None else tuple(self._stepped[self._matched_at : place])
            if stepped and self._is_fair(stepped):
                self._end(stepped)
            self._matched_at = self._matched_at or place
        if simulation.steps >= self._plan.max_steps:
            self._end(())

    def _end(self, stepped: tuple[str, ...]) -> None:
        self._simulation.note_waiting()
        raise EndlessRun(_endless(self._simulation, self._plan, stepped, self.opaque))

    def _is_fair(self, stepped: Sequence[str]) -> bool:
        """Whether everybody who can make a step has made one."""
        if self._plan.fairness is Fairness.UNFAIR:
            return True
        simulation = self._simulation
        able = [thread.title for thread in (*simulation.processors.running, *simulation.processors.ready)]
        return set(able) <= set(stepped) and simulation.clock.next_time != simulation.clock.now


def run_once(
    plan: Plan,
    scheduler: Scheduler,
    *,
    keeps_rows: bool = False,
    on_begin: Callable[[ObservedSimulation], None] | None = None,
    simulation_type: type[ObservedSimulation] = ObservedSimulation,
) -> Run:
    """Run the program once.  Blocks as long as that takes; the exceptions of the program become part of the result.

    `simulation_type` serves observers.  What a scheduler raises comes out, `ScheduleMismatch` among it.
    """
    supervisor = _Supervisor(scheduler, plan)
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        simulation = simulation_type(
            supervisor,
            processors=plan.processors,
            seed=plan.seed,
            profile=plan.profile,
            declared=plan.properties,
            queue_type=plan.queue_type,
            keeps_rows=keeps_rows,
            carrier=plan.carrier,
            stops_behind=plan.sharing is Sharing.MEMORY,
        )
        tail = _Tail(simulation, plan)
        simulation.on_point = tail.note
        if on_begin is not None:
            on_begin(simulation)
        failure = _failure_of(simulation, plan)
    finally:
        if was_collecting:
            gc.enable()
    if supervisor.error is not None:
        raise supervisor.error
    declarations = simulation.declarations
    return Run(
        tuple(supervisor.ranks),
        tuple(supervisor.actors),
        supervisor.preemptions,
        simulation.steps,
        failure,
        frozenset(simulation.rules),
        tuple(map(str, declarations.properties)),
        frozenset(declarations.met),
        tail.opaque,
        tuple(simulation.rows),
        tuple(thread.title for thread in simulation.virtual_threads),
    )


def _failure_of(simulation: ObservedSimulation, plan: Plan) -> RunFailure | None:
    try:
        with simulation:
            arguments: list[Any] = [simulation] if _wants_simulation(plan) else []
            simulation.spawn(lambda: plan.program(*arguments, **plan.arguments), name="main")
            simulation.run(plan.until)
            simulation.judge(simulation.declarations.judge)
            simulation.judge(lambda: simulation.declarations.judge_end("the run has ended"))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _classify(error, simulation)
    return None


def _wants_simulation(plan: Plan) -> bool:
    """Whether the program has a parameter without a default that no argument fills."""
    parameters = inspect.signature(plan.program).parameters.values()
    return any(
        each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        and each.name not in plan.arguments
        for each in parameters
    )


def _classify(error: BaseException, simulation: ObservedSimulation) -> RunFailure:
    if isinstance(error, EndlessRun):
        return error.failure
    if isinstance(error, InvariantViolation) and error is simulation.verdict:
        return RunFailure(FailureKind.INVARIANT, error.rule, error.rule, str(error))
    if isinstance(error, PropertyViolation):
        return RunFailure(FailureKind.PROPERTY, "", str(error.property), str(error))
    if isinstance(error, NotLinearizable):
        return RunFailure(FailureKind.NOT_LINEARIZABLE, "", "", str(error))
    if isinstance(error, SimulationMisuse):
        return RunFailure(FailureKind.MISUSE, "", "", str(error))
    if isinstance(error, SimulationDeadlock):
        if error.__cause__ is None:
            return _deadlock(error.report, simulation)
        return _raised(error.__cause__, simulation, f"; then {error.report}")
    return _raised(error, simulation, "")


def _raised(error: BaseException, simulation: ObservedSimulation, consequence: str) -> RunFailure:
    thread = next((each.title for each in reversed(simulation.virtual_threads) if each.error is error), "")
    kind = FailureKind.ASSERTION if isinstance(error, AssertionError) else FailureKind.EXCEPTION
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(PACKAGE)]
    place = f", in {frames[-1].name}: {frames[-1].line}" if frames else ""
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return RunFailure(kind, "", type(error).__name__, f"{message}{place}{consequence}", thread)


def _deadlock(report: DeadlockReport, simulation: ObservedSimulation) -> RunFailure:
    """A deadlock beside queued packets, or after a signal that nobody has seen, is a lost wake-up."""
    for waiting in simulation.waiting:
        if waiting.queued:
            return RunFailure(FailureKind.LOST_WAKEUP, "Q-13", "packets", str(report), waiting.thread)
        if waiting.lost:
            message = f"{report}\n  {waiting.thread} waits for {waiting.object}: {waiting.lost}"
            return RunFailure(FailureKind.LOST_WAKEUP, "Q-23", "signal", message, waiting.thread)
    rule = next((each.rule for each in report.threads if each.rule != "Q-23"), "Q-23")
    return RunFailure(FailureKind.DEADLOCK, rule, " ".join(report.circle), str(report))


def _endless(
    simulation: ObservedSimulation, plan: Plan, stepped: tuple[str, ...], opaque: str | None
) -> RunFailure:
    how = "every thread that could make a step made one" if plan.fairness is Fairness.FAIR else "fair or not"
    if not stepped:
        unseen = f"; the state of the program is not seen: {opaque}" if opaque else ""
        message = f"it has not ended after {plan.max_steps} steps ({how}), and no state was repeated{unseen}"
        return RunFailure(FailureKind.ENDLESS, "", "", message)
    count = "step" if len(stepped) == 1 else f"{len(stepped)} steps"
    try:
        simulation.declarations.judge_end(f"the run repeats the same {count} for ever ({how})")
    except (PropertyViolation, NotLinearizable) as violation:
        return _classify(violation, simulation)
    busy = tuple(sorted(set(stepped)))
    verb = "repeats" if len(stepped) == 1 else "repeat"
    repeats = f"the same {count} of {', '.join(busy)} {verb} for ever ({how})"
    idle = [each for each in simulation.waiting if each.thread not in busy]
    for each in idle:
        if each.queued:
            where = f"{each.thread} waits for {each.object} beside what is queued there ({each.queued})"
            return RunFailure(FailureKind.STARVATION, "Q-13", "", f"{repeats}, and {where}", each.thread)
    waiting = [f"{each.thread} for {each.object}" for each in idle]
    victims = f"; meanwhile waits {', '.join(waiting)}" if waiting else ""
    return RunFailure(FailureKind.LIVELOCK, "", "", repeats + victims)
