"""Exploring a program: run it under one schedule after another, and report the first failure so that one can use it.

Theory.  A program is a function that takes the simulation, or nothing, and uses the ordinary names (`spawn`,
`CompletionPort`, `sleep`): it becomes the thread "main".  Runs are made in groups of fixed size and judged in their
order, so a process pool, or a cluster's executor, finds the very same as one process does.

Before a failure is reported its run is made a second time: if the same choices give something else, then that is the
failure, because nothing else about such a program can be trusted.  Then it is shrunk.

Own rules.  Everything but a budget in seconds is counted, so that a result depends on the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from ..kernel.queue import KernelQueue
from ..profiles import Profile, get_profile
from ..runtime.carriers import Carrier
from ..runtime.schedulers import ScheduleMismatch
from .coverage import KNOWN_RULES
from .exhaustive import Bounds, Exhausted, Frontier, Job, explore_job
from .report import Exploration, Failure, StopReason, failure_of
from .runs import FailureKind, Fairness, Plan, RankScheduler, Run, RunFailure, Sharing, run_once
from .samplers import STRATEGIES, Strategy
from .schedule_text import Schedule, ScheduleTextError, parse_schedule
from .shrink import Shrinker
from .temporal import Property, PropertyKind

T = TypeVar("T")
R = TypeVar("R")

GROUP = 32
"""So many runs are made between two looks at the budget."""

EXHAUSTIVE = "exhaustive"


@dataclass
class _Findings:
    """What all runs so far have shown."""

    budget: int | None
    max_states: int | None
    deadline: float | None
    schedules: int = 0
    rules: set[str] = field(default_factory=set[str])
    declared: dict[str, None] = field(default_factory=dict[str, None])
    met: set[str] = field(default_factory=set[str])
    unseen: str | None = None
    failed: Run | None = None
    states: int | None = None
    merged: int = 0

    def add(self, run: Run | None) -> bool:
        """Whether it failed."""
        self.schedules += 1
        if run is None:
            return False
        self.rules |= run.rules
        self.declared.update(dict.fromkeys(run.declared))
        self.met |= run.met
        if run.failure is not None:
            self.failed = run
        return run.failure is not None

    def used_up(self) -> StopReason | None:
        """Which budget is, if any."""
        if self.budget is not None and self.schedules >= self.budget:
            return StopReason.SCHEDULES
        if self.max_states is not None and self.states is not None and self.states >= self.max_states:
            return StopReason.STATES
        if self.deadline is not None and monotonic() >= self.deadline:
            return StopReason.SECONDS
        return None

    def group(self) -> int:
        """How many runs come next."""
        return GROUP if self.budget is None else min(GROUP, self.budget - self.schedules)


def explore(
    program: Callable[..., object],
    *,
    strategy: str | Strategy = "random",
    schedules: int | None = 200,
    states: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    parameters: Mapping[str, int] | None = None,
    processors: int = 2,
    profile: str | Profile | None = None,
    preemption_bound: int | None = None,
    delay_bound: int | None = None,
    properties: Iterable[Property] = (),
    sharing: Sharing = Sharing.MEMORY,
    interchangeable: Iterable[str] = (),
    fairness: Fairness = Fairness.FAIR,
    max_steps: int = 2000,
    until: float | None = None,
    shrink_steps: int = 4000,
    queue_type: type[KernelQueue[Any]] = KernelQueue,
    carrier: str | Carrier = Carrier.AUTO,
    executor: Executor | None = None,
) -> Exploration:
    """Run `program` under many schedules; the first failure is shrunk and told.  Blocks until it is found or done.

    `strategy`: "random", "round-robin", "pct", "pos", "exhaustive", "manual", or a `Strategy`.  It stops after so many
    `schedules` (200 unless given; None: no end), different `states` (exhaustive only), or `seconds`.  `parameters` are
    integers that the program takes by name; a failure is looked for with smaller ones.  `preemption_bound` and
    `delay_bound` (exhaustive only, one of them) are how far a run may leave the plain order.  `properties` add to what
    the program declares.  `sharing` says what threads share; `interchangeable` are names of threads that are alike.
    `fairness` says which endless runs count, and `max_steps` (1000 or more) when a run is endless; with `until`, runs
    end at that virtual time.  Shrinking takes about `shrink_steps` steps in all (0: none).  `queue_type` is the queue
    under every port.  `executor` makes the runs: any `concurrent.futures.Executor`; for processes, program and
    properties must be importable.  Raises `ValueError`.

    >>> from iocp_emu import CompletionPort, spawn
    >>> def program():
    ...     with CompletionPort() as port:
    ...         worker = spawn(port.get)
    ...         port.post(key="hello")
    ...         assert worker.join().key == "hello"
    >>> explore(program, strategy="exhaustive").verdict
    'nothing found: every schedule has been tried'
    """
    plan = Plan(
        program,
        dict(parameters or {}),
        processors,
        seed,
        profile,
        tuple(properties),
        max_steps,
        fairness,
        until,
        queue_type,
        Carrier(carrier),
        sharing,
        tuple(interchangeable),
        shrink_steps,
    )
    _check(plan, schedules, states, seconds)
    chosen = _strategy(strategy)
    if chosen is not None and (preemption_bound is not None or delay_bound is not None or states is not None):
        raise ValueError("preemption_bound, delay_bound and states are for strategy='exhaustive'")
    if preemption_bound is not None and delay_bound is not None:
        raise ValueError("give preemption_bound or delay_bound, not both")
    deadline = None if seconds is None else monotonic() + seconds
    findings = _Findings(schedules, states, deadline)
    spread = _spread(executor)
    if chosen is None:
        stop = _exhaust(plan, Bounds(preemption_bound, delay_bound), findings, spread)
    else:
        stop = _sample(plan, chosen, findings, spread)
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    failed = findings.failed
    failure = None if failed is None else _report(plan, chosen, failed, findings.schedules)
    return _exploration(plan, name, stop, findings, failure)


def replay(
    program: Callable[..., object],
    text: str,
    *,
    properties: Iterable[Property] = (),
    until: float | None = None,
    fairness: Fairness = Fairness.FAIR,
    queue_type: type[KernelQueue[Any]] = KernelQueue,
) -> Failure | None:
    """Play the schedule of a report again: the failure, or None when the program does not fail on it any more.

    The options are those that the exploration had.  Blocks for one run.  Raises `ScheduleTextError` for a text that is
    damaged, of another version or of another program; `ScheduleMismatch` when the program asks other questions.
    """
    options: dict[str, Any] = {"properties": properties, "until": until, "fairness": fairness, "queue_type": queue_type}
    return explore_schedule(program, text, **options).failure


def plan_of(
    program: Callable[..., object],
    text: str,
    *,
    properties: Iterable[Property] = (),
    until: float | None = None,
    fairness: Fairness = Fairness.FAIR,
    queue_type: type[KernelQueue[Any]] = KernelQueue,
) -> tuple[Plan, Schedule]:
    """The plan of a schedule's run, and the schedule.  `ScheduleTextError` for a text that is not of this program."""
    schedule = parse_schedule(text)
    try:
        sharing = Sharing(schedule.shared)
    except ValueError:
        raise ScheduleTextError(f"nothing is shared as {schedule.shared!r}") from None
    plan = Plan(
        program,
        schedule.arguments,
        schedule.processors,
        schedule.seed,
        schedule.profile,
        tuple(properties),
        schedule.steps,
        fairness,
        until,
        queue_type,
        sharing=sharing,
    )
    if schedule.name != plan.name:
        raise ScheduleTextError(f"this is a schedule of the program {schedule.name}, not of {plan.name}")
    return plan, schedule


def explore_schedule(
    program: Callable[..., object],
    text: str,
    *,
    properties: Iterable[Property] = (),
    until: float | None = None,
    fairness: Fairness = Fairness.FAIR,
    queue_type: type[KernelQueue[Any]] = KernelQueue,
    **_: Any,
) -> Exploration:
    """As `replay`, for callers that want what `explore` returns; its other options are ignored."""
    plan, schedule = plan_of(
        program, text, properties=properties, until=until, fairness=fairness, queue_type=queue_type
    )
    run = run_once(plan, RankScheduler(schedule.ranks), keeps_rows=True)
    if len(run.ranks) < len(schedule.ranks):
        raise ScheduleMismatch(
            f"the schedule has {len(schedule.ranks)} choices, but the program has asked {len(run.ranks)} questions: "
            "it has changed, or it is not deterministic"
        )
    findings = _Findings(1, None, None)
    findings.add(run)
    failure = None if run.failure is None else failure_of(run, run.failure, schedule, 1)
    stop = StopReason.SCHEDULES if failure is None else StopReason.FAILURE
    return _exploration(plan, "replay", stop, findings, failure)


# -- searching -----------------------------------------------------------------------------------------------------


Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Does a function to each of a group of arguments, and gives the results in their order."""


def _spread(executor: Executor | None) -> Spread:
    if executor is None:
        return map
    return executor.map


def _strategy(strategy: str | Strategy) -> Strategy | None:
    if not isinstance(strategy, str):
        return strategy
    if strategy == EXHAUSTIVE:
        return None
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join([*STRATEGIES, EXHAUSTIVE])}, not {strategy!r}")
    return STRATEGIES[strategy]()


def _check(plan: Plan, schedules: int | None, states: int | None, seconds: float | None) -> None:
    for name, value in (("schedules", schedules), ("states", states), ("seconds", seconds)):
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be above 0, not {value}")
    if plan.max_steps < 1000:
        raise ValueError(f"max_steps must be 1000 or more, not {plan.max_steps}")


def sample(plan: Plan, strategy: Strategy, choices: int, number: int) -> Run:
    """Run `number` of a strategy."""
    return run_once(plan, strategy.scheduler(number, plan.seed, choices))


def _sample(plan: Plan, strategy: Strategy, findings: _Findings, spread: Spread) -> StopReason:
    first = sample(plan, strategy, 0, 0)
    if findings.add(first):
        return StopReason.FAILURE
    make = partial(sample, plan, strategy, len(first.actors))
    while (stop := findings.used_up()) is None:
        end = findings.schedules + findings.group()
        numbers = range(findings.schedules, end if strategy.schedules is None else min(end, strategy.schedules))
        if not numbers:
            return StopReason.COMPLETE if findings.schedules > 1 else StopReason.SCHEDULES
        for run in spread(make, numbers):
            if findings.add(run):
                return StopReason.FAILURE
    return stop


def _exhaust(plan: Plan, bounds: Bounds, findings: _Findings, spread: Spread) -> StopReason:
    frontier = Frontier(bounds)
    make = partial(_explore_job, plan, bounds)
    findings.states = 0
    while jobs := frontier.take(findings.group()):
        for found in spread(make, jobs):
            findings.unseen = findings.unseen or found.opaque
            frontier.add(found.nodes)
            findings.states, findings.merged = frontier.states, frontier.merged
            if findings.add(found.run):
                return StopReason.FAILURE
        stop = findings.used_up()
        if stop is not None and frontier:
            return stop
    return StopReason.WITHIN_BOUND if frontier.left_out else StopReason.COMPLETE


def _explore_job(plan: Plan, bounds: Bounds, job: Job) -> Exhausted:
    return explore_job(plan, job, bounds)


# -- a failure -----------------------------------------------------------------------------------------------------


def _exploration(
    plan: Plan, strategy: str, stop: StopReason, findings: _Findings, failure: Failure | None
) -> Exploration:
    never_met = [each for each in findings.declared if each not in findings.met]
    is_sometimes = f"{PropertyKind.SOMETIMES.value} "
    return Exploration(
        plan.name,
        strategy,
        plan.seed,
        stop,
        findings.schedules,
        findings.states,
        findings.merged,
        tuple(rule for rule in KNOWN_RULES if rule in findings.rules),
        () if failure is not None else tuple(each for each in never_met if each.startswith(is_sometimes)),
        tuple(each for each in never_met if not each.startswith(is_sometimes)),
        findings.unseen,
        failure,
    )


def _report(plan: Plan, strategy: Strategy | None, run: Run, found_at: int) -> Failure:
    difference = _difference(plan, run)
    if difference is not None:
        failure = RunFailure(FailureKind.NONDETERMINISM, "P-17", "", difference)
        return failure_of(run, failure, _schedule(plan, run), found_at)
    shrinker = Shrinker(plan, run, partial(_look_again, strategy))
    small = shrinker.shrink()
    # A program that only a longer look shows to be not deterministic may fail otherwise here: what is seen is told.
    failure = small.failure or RunFailure(
        FailureKind.NONDETERMINISM, "P-17", "", "the same choices gave a failure, and then none"
    )
    return failure_of(small, failure, _schedule(shrinker.plan, small), found_at)


def _difference(plan: Plan, run: Run) -> str | None:
    """How a second run with the same choices differs; None when it does not."""
    assert run.failure is not None
    what = f"the same choices gave {run.failure.kind.value} ({run.failure.message.partition(chr(10))[0]})"
    try:
        again = run_once(plan, RankScheduler(run.ranks))
    except ScheduleMismatch as mismatch:
        return f"{what}, and then could not be made again: {mismatch}"
    if again.failure is None:
        return f"{what}, and then no failure"
    if again.failure.signature != run.failure.signature:
        return f"{what}, and then {again.failure.kind.value} ({again.failure.message.partition(chr(10))[0]})"
    if (again.actors, again.steps) != (run.actors, run.steps):
        return f"{what} in {run.steps} steps, and then in {again.steps} steps, or by other threads"
    return None


def _look_again(strategy: Strategy | None, plan: Plan, runs: int, preemptions: int | None) -> Run | None:
    """A short search for shrinking: the first failing run, or one with at most so many preemptions."""
    findings = _Findings(runs, None, None)
    if preemptions is not None:
        _exhaust(plan, Bounds(preemptions), findings, map)
    elif strategy is None:
        _exhaust(plan, Bounds(), findings, map)
    else:
        _sample(plan, strategy, findings, map)
    return findings.failed


def _schedule(plan: Plan, run: Run) -> Schedule:
    profile = get_profile(plan.profile).name
    ranks = list(run.ranks)
    while ranks and ranks[-1] == 0:
        ranks.pop()
    machine = (plan.processors, plan.seed, profile, plan.max_steps, plan.sharing.value)
    return Schedule(plan.name, tuple(ranks), plan.arguments, *machine)
