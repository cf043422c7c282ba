"""What can be seen at one choice of a run: the threads, the ports, the rows so far, and the options.

Theory.  A simulation asks a scheduler at each choice.  The scheduler of this file answers as long as it has ranks, and
at the first question beyond them takes a picture of everything and stops the run.  To go on, or back, is to run again
with other ranks: a run is a function of its ranks, so nothing ever has to be undone.

Own rules.  A moment is plain data that outlives its simulation.  Looking changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ...kernel.completion import IoCompletion, Packet
from ...kernel.thread import ThreadState
from ...runtime.schedulers import CLOCK, ChoiceKind, ChoicePoint
from ...runtime.simulation import Simulation
from ...runtime.virtual_threads import Place, VirtualThread
from ...testing.observed import ObservedSimulation, Row, show
from ...testing.runs import Plan, RankScheduler, Run, ranked, run_once


class Standing(enum.Enum):
    """Where a thread stands, in the words of the catalogue."""

    NEW = "new"
    RUNNING = "running"
    READY = "ready"
    PARKED = "parked"
    BLOCKED = "blocked"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ThreadPicture:
    """One thread.  `processor` counts from 0, None without one; `waits_for` names objects; `next_step` is in words."""

    number: int
    name: str
    standing: Standing
    processor: int | None
    waits_for: str
    next_step: str
    port: str


@dataclass(frozen=True, slots=True)
class PortPicture:
    """One port.  `waiters` are named top first, `packets` oldest first."""

    name: str
    active: int
    limit: int
    packets: tuple[str, ...]
    waiters: tuple[str, ...]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to the question: `thread` is the number of who acts, 0 for the clock or a device."""

    thread: int
    words: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A run up to a choice (`options`), or to its end (no options, and `run` says how it ended).

    `ranks` are the choices made.  `question` is what is asked.  `seconds` is the virtual time.
    """

    ranks: tuple[int, ...]
    question: str
    options: tuple[Option, ...]
    threads: tuple[ThreadPicture, ...]
    ports: tuple[PortPicture, ...]
    rows: tuple[Row, ...]
    seconds: float
    run: Run | None = None


class _Reached(BaseException):
    """The choice to look at has come; not an `Exception`, so that nobody catches it by accident."""


class _Lookout:
    """Plays ranks; at the question behind them, takes the picture and ends the run."""

    def __init__(self, ranks: Sequence[int]) -> None:
        self._player = RankScheduler(ranks)
        self._ranks = tuple(ranks)
        self.simulation: ObservedSimulation | None = None
        self.moment: Moment | None = None

    def begin(self, simulation: Simulation) -> None:
        """The simulation to look at."""
        assert isinstance(simulation, ObservedSimulation)
        self.simulation = simulation
        self._player.begin(simulation)

    def choose(self, point: ChoicePoint) -> int:
        """The option of the next rank, while there is one."""
        if self._player.taken < len(self._ranks):
            return self._player.choose(point)
        assert self.simulation is not None
        self.moment = picture(self.simulation, self._ranks, point)
        raise _Reached


def look(plan: Plan, ranks: Sequence[int]) -> Moment:
    """The moment behind these choices.  Blocks for a run of the program so far.

    Raises `ScheduleMismatch` when the program asks other questions than those that the ranks answer.
    """
    lookout = _Lookout(ranks)
    try:
        run = run_once(plan, lookout, keeps_rows=True)
    except _Reached:
        assert lookout.moment is not None
        return lookout.moment
    assert lookout.simulation is not None
    return ended(run, lookout.simulation)


def ended(run: Run, simulation: ObservedSimulation) -> Moment:
    """The last moment of a run."""
    threads, ports = _pictures(simulation)
    return Moment(run.ranks, "", (), threads, ports, run.rows, simulation.now, run)


def picture(simulation: ObservedSimulation, ranks: tuple[int, ...], point: ChoicePoint) -> Moment:
    """The moment at which `point` is asked, with its options in the order of their ranks."""
    threads, ports = _pictures(simulation)
    options = tuple(_option(simulation, point, index) for index in ranked(point))
    question = f"What happens to {point.subject}?" if point.kind is ChoiceKind.OUTCOME else "Who makes the next step?"
    return Moment(ranks, question, options, threads, ports, tuple(simulation.rows), simulation.now)


def _option(simulation: ObservedSimulation, point: ChoicePoint, index: int) -> Option:
    option = point.options[index]
    if point.kind is ChoiceKind.OUTCOME:
        return Option(0, str(getattr(option, "value", option)))
    if option is CLOCK:
        return Option(0, "the clock: let the alarm ring that is due")
    return Option(option.number, f"{option.title}: {_next_step(simulation, option)}")


def _pictures(simulation: ObservedSimulation) -> tuple[tuple[ThreadPicture, ...], tuple[PortPicture, ...]]:
    simulation.note_waiting()
    waits = {waiting.thread: waiting.object for waiting in simulation.waiting}
    threads = tuple(_thread(simulation, thread, waits) for thread in simulation.virtual_threads)
    ports = [each for each in simulation.kernel.objects if isinstance(each, IoCompletion)]
    return threads, tuple(_port(simulation, port) for port in ports)


_STANDINGS = {
    ThreadState.PARKED: Standing.PARKED,
    ThreadState.BLOCKED: Standing.BLOCKED,
    ThreadState.SUSPENDED: Standing.SUSPENDED,
    ThreadState.EXITED: Standing.ENDED,
}


def _thread(simulation: ObservedSimulation, thread: VirtualThread, waits: dict[str, str]) -> ThreadPicture:
    standing = _STANDINGS.get(thread.state)
    if standing is None:
        has_processor = thread.place in (Place.RUNNING, Place.COMPUTING)
        standing = Standing.RUNNING if has_processor else Standing.READY
        if thread.place is Place.NEW:
            standing = Standing.NEW
    owner = None if thread.queue is None else thread.queue.owner
    return ThreadPicture(
        thread.number,
        thread.title,
        standing,
        None if thread.processor is None else thread.processor.index,
        waits.get(thread.title, "a time" if standing is Standing.BLOCKED else ""),
        _next_step(simulation, thread) if standing in (Standing.RUNNING, Standing.READY) else "",
        "" if owner is None else simulation.name_of(owner),
    )


_WORDS = {"begin_wait": "wait for", "remove": "get from", "exit": "end", "set": "post to", "new_thread": "spawn"}


def _next_step(simulation: ObservedSimulation, thread: VirtualThread) -> str:
    if thread.place is Place.COMPUTING:
        return "goes on computing"
    step = thread.pending
    verb = _WORDS.get(step.verb, step.verb.replace("_", " "))
    objects = [simulation.name_of(each) for each in step.objects if each is not thread and not isinstance(each, Packet)]
    return " ".join(["sleep" if step.verb == "begin_wait" and not objects else verb, *dict.fromkeys(objects)])


def _port(simulation: ObservedSimulation, port: IoCompletion) -> PortPicture:
    queue = port.queue
    return PortPicture(
        simulation.name_of(port),
        queue.current_count,
        queue.maximum_count,
        tuple(show(packet.key) if packet.key else show(packet.information) for packet in queue.packets),
        tuple(thread.name or "thread" for thread in reversed(queue.waiters)),
        port.is_closed,
    )
