"""Every schedule within bounds, depth first, the cheapest first; states that were seen before are not entered again.

Theory.  A job is a prefix of ranks; its run goes on without a will and reports each choice after the prefix: the state,
and the options that were not taken.  Each of these is a new job, unless its state is known.  A choice costs nothing
where nobody could have gone on; else one preemption, or its rank as a delay.  Jobs are done in the order of their cost,
so failures with the fewest preemptions are found first, and a bound only says where to stop: that is iterative
deepening without doing anything twice.

Two steps of different threads are *independent* if they concern different kernel objects; then their order makes no
difference.  When threads share nothing else, a thread whose step was tried at a state *sleeps* after its siblings until
a step in conflict with its own is taken, and a run whose options all sleep is redundant.  A state counts as known only
if no more slept when it was entered first.

Jobs are taken in groups of a fixed size and their reports in the order of the group, so that it makes no difference who
does the jobs.

Own rules.  Sleeping needs threads that do not share memory, no bound on preemptions or delays, and no computations that
compete for processors; a step with a timeout conflicts with the clock and with its like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..kernel.objects import KernelObject
from ..kernel.waits import Waitable
from ..runtime.schedulers import CLOCK, ChoiceKind, ChoicePoint
from ..runtime.simulation import Simulation
from ..runtime.virtual_threads import SimulationMisuse, VirtualThread
from .observed import ObservedSimulation
from .program_state import ProgramState
from .runs import Plan, Run, Sharing, ranked, run_once

PATIENCE = 20
"""So many choices in a row go to one thread before the next one is taken without a cost: nobody polls for ever."""

_LOCAL = frozenset({"start", "go on"})
_KNOWN = frozenset({"set", "reset", "remove", "begin_wait", "exit"})
_EVERYTHING = frozenset[object]({"everything"})


@dataclass(frozen=True)
class Bounds:
    """How far to go: `preemptions` and `delays` in one run at most, None without end."""

    preemptions: int | None = None
    delays: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether some schedules are left out."""
        return self.preemptions is not None or self.delays is not None

    def cost(self, point: ChoicePoint, rank: int) -> int:
        """What it costs to take the option of this rank."""
        if point.kind is ChoiceKind.OUTCOME or rank == 0:
            return 0
        if self.delays is not None:
            return rank
        return int(point.current is not None)

    @property
    def limit(self) -> int | None:
        """The highest cost of a run."""
        return self.preemptions if self.delays is None else self.delays


@dataclass(frozen=True)
class Job:
    """A run to make: its first choices, who sleeps after them, what they cost."""

    ranks: tuple[int, ...] = ()
    asleep: frozenset[int] = frozenset()
    cost: int = 0


@dataclass(frozen=True)
class Node:
    """A choice after the prefix of a job: its state, who slept, what was chosen, and what else could have been."""

    key: str | None
    asleep: frozenset[int]
    cost: int
    others: tuple[Job, ...]


@dataclass(frozen=True)
class Exhausted:
    """What a job has brought."""

    run: Run | None
    nodes: tuple[Node, ...]
    opaque: str | None


class RedundantRun(Exception):
    """Everybody who could go on sleeps: what follows is explored elsewhere."""

class DepthFirst:
    """The scheduler of one job."""

    def __init__(self, job: Job, plan: Plan, bounds: Bounds) -> None:
        self._job = job
        self._plan = plan
        self._bounds = bounds
        self._may_sleep = plan.sharing is Sharing.KERNEL_OBJECTS and not bounds.is_bounded
        self._taken: list[int] = []
        self._asleep = job.asleep
        self._cost = job.cost
        self._last: object = None
        self._in_a_row = 0
        self._simulation: ObservedSimulation | None = None
        self._state: ProgramState | None = None
        self.nodes: list[Node] = []

    @property
    def opaque(self) -> str | None:
        """What hides the state of the program."""
        return None if self._state is None else self._state.opaque

    def begin(self, simulation: Simulation) -> None:
        """The run begins."""
        assert isinstance(simulation, ObservedSimulation)
        self._simulation = simulation
        sees_memory = self._plan.sharing is Sharing.MEMORY
        self._state = ProgramState(simulation, self._plan.interchangeable, sees_memory=sees_memory)
        simulation.picture = self._state.picture

    def choose(self, point: ChoicePoint) -> int:
        """The next of the prefix; after it, whoever runs, unless asleep."""
        order = ranked(point)
        given = self._job.ranks[len(self._taken) : len(self._taken) + 1]
        rank = given[0] if given else self._explore(point, order)
        self._taken.append(rank)
        option = point.options[order[rank]]
        self._in_a_row = self._in_a_row + 1 if option is self._last else 1
        self._last = option
        return order[rank]

    def _explore(self, point: ChoicePoint, order: list[int]) -> int:
        assert self._simulation is not None
        assert self._state is not None
        options = [point.options[index] for index in order]
        is_step = point.kind is ChoiceKind.STEP
        may_sleep = self._may_sleep and is_step
        if may_sleep and self._simulation.has_computed:
            raise SimulationMisuse(
                "compute is called, and computations compete for processors: explore with Sharing.MEMORY"
            )
        awake = [rank for rank, option in enumerate(options) if not may_sleep or _number(option) not in self._asleep]
        if not awake:
            raise RedundantRun
        first = awake[0]
        if is_step and options[first] is self._last and self._in_a_row >= PATIENCE and len(awake) > 1:
            first = awake[1]
        prints = [_footprint(self._simulation, option) for option in options] if may_sleep else []
        asleep = self._asleep
        others: list[Job] = []
        tried = {_number(options[first])} if is_step else set[int]()
        for rank in awake:
            if rank == first:
                continue
            sleepers = frozenset[int]()
            if may_sleep:
                sleepers = _still_asleep(asleep | tried, options, prints, rank)
                tried.add(_number(options[rank]))
            # Who has had his turn may go on, but not for nothing, or a thread that polls would never come to an end.
            cost = self._cost + (1 if first != 0 and rank == 0 and is_step else self._bounds.cost(point, rank))
            others.append(Job((*self._taken, rank), sleepers, cost))
        key = self._state.key(point.current if self._bounds.is_bounded else None)
        self.nodes.append(Node(key, asleep if may_sleep else frozenset(), self._cost, tuple(others)))
        if may_sleep:
            self._asleep = _still_asleep(asleep, options, prints, first)
        return first


def _number(option: object) -> int:
    return option.number if isinstance(option, VirtualThread) else 0


def _still_asleep(
    asleep: frozenset[int] | set[int], options: Sequence[object], prints: Sequence[frozenset[object]], rank: int
) -> frozenset[int]:
    """Those whose step is independent of the one that is taken."""
    return frozenset(
        _number(option)
        for option, footprint in zip(options, prints, strict=True)
        if _number(option) in asleep and _are_independent(footprint, prints[rank])
    )


def _are_independent(one: frozenset[object], other: frozenset[object]) -> bool:
    return not (one is _EVERYTHING or other is _EVERYTHING or one & other)


def _footprint(simulation: ObservedSimulation, option: object) -> frozenset[object]:
    """What the next step of an option touches.  Steps that are not known to be local touch everything."""
    if not isinstance(option, VirtualThread):
        return _EVERYTHING
    verb, objects = option.pending
    if verb in _LOCAL:
        return frozenset[object]({option})
    if verb not in _KNOWN:
        return _EVERYTHING
    if option.mutants:
        return _EVERYTHING
    touched: set[object] = {option, *objects}
    for obj in (option, *objects):
        touched |= _behind(obj)
    if option in simulation.timed and verb in ("remove", "begin_wait"):
        touched.add(CLOCK)
    return frozenset(touched)


def _behind(obj: KernelObject) -> set[object]:
    """The ports whose count changes with this object: a thread's own, and those of the threads that wait for it."""
    found: set[object] = set()
    if isinstance(obj, VirtualThread) and obj.queue is not None:
        found.add(obj.queue.owner)
    if isinstance(obj, Waitable):
        for wait in obj.waits:
            thread = getattr(wait, "thread", None)
            found.add(thread)
            if isinstance(thread, VirtualThread) and thread.queue is not None:
                found.add(thread.queue.owner)
    return found - {None}


def explore_job(plan: Plan, job: Job, bounds: Bounds) -> Exhausted:
    """Do one job.  Blocks as long as the run takes."""
    scheduler = DepthFirst(job, plan, bounds)
    try:
        run = run_once(plan, scheduler)
    except RedundantRun:
        run = None
    return Exhausted(run, tuple(scheduler.nodes), scheduler.opaque)


class Frontier:
    """The jobs that are left, and the states that are known."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._jobs: dict[int, list[Job]] = {0: [Job()]}
        self._seen: dict[str, tuple[frozenset[int], int]] = {}
        self.left_out = 0
        self.merged = 0

    def __bool__(self) -> bool:
        return any(self._jobs.values())

    @property
    def states(self) -> int:
        """Different states so far."""
        return len(self._seen)

    def take(self, count: int) -> list[Job]:
        """Up to `count` jobs, all of the lowest cost; none when everything has been tried."""
        while self._jobs:
            cost = min(self._jobs)
            jobs = self._jobs[cost]
            if jobs:
                taken = [jobs.pop() for _ in range(min(count, len(jobs)))]
                return taken
            del self._jobs[cost]
        return []

    def add(self, nodes: Sequence[Node]) -> None:
        """What a job has found: new jobs, until a state that is known, behind which nothing is new."""
        for node in nodes:
            if node.key is not None:
                known = self._seen.get(node.key)
                if known is not None and known[0] <= node.asleep and known[1] <= node.cost:
                    self.merged += 1
                    return
                asleep = node.asleep if known is None else known[0] & node.asleep
                self._seen[node.key] = (asleep, node.cost if known is None else min(known[1], node.cost))
            for job in reversed(node.others):
                if self.bounds.limit is not None and job.cost > self.bounds.limit:
                    self.left_out += 1
                else:
                    self._jobs.setdefault(job.cost, []).append(job)
