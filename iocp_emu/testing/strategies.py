"""hypothesis strategies: bounded worlds, histories of kernel verbs, worker programs, schedules.

Theory.  Faults of a port need threads that wait, threads that run and packets, all at the same time.  So what is drawn
leans to concurrency: threads come before packets, dequeues before everything else that a thread can do, and what takes
threads or ports out of the game is rare.  Everything is drawn as small numbers, of which 0 is the plainest choice, so
that it shrinks to few threads, few steps and no switches.

A *schedule* is a list of such numbers: the answer to the n-th question of a simulation is the n-th number, modulo the
number of options, where 0 is "whoever is running goes on".  So hypothesis chooses the schedule and shrinks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..kernel.thread import ThreadState
from .bounds import BASIC_VERBS, Bounds, Move, Verb, history_text
from .calls import Block, Call, Compute, Get, Post, Program
from .world import Action, World

if TYPE_CHECKING:
    from ..runtime.schedulers import ChoicePoint

_WEIGHTS = {Verb.GET: 6, Verb.POST: 6, Verb.BLOCK: 3, Verb.POLL: 2, Verb.BATCH: 2, Verb.ALERTABLE_GET: 2}
"""How often a verb is offered; those not named, once."""

_RARE = frozenset({Verb.EXIT, Verb.CLOSE})
"""What ends things is offered only when the draw asks for it."""


@dataclass(frozen=True)
class History:
    """A legal history of kernel verbs within bounds; `text` replays it (`replay_history`)."""

    bounds: Bounds
    moves: tuple[Move, ...]

    @property
    def text(self) -> str:
        """One line."""
        return history_text(self.bounds, self.moves)


def worlds(
    *,
    max_threads: int = 4,
    max_ports: int = 2,
    max_packets: int = 6,
    profiles: Sequence[str] = ("win10",),
    verbs: tuple[Verb, ...] = BASIC_VERBS,
) -> st.SearchStrategy[Bounds]:
    """Bounded worlds: 1 to `max_threads` threads, ports with concurrency values from 1, up to `max_packets` packets."""
    return st.builds(
        Bounds,
        threads=st.integers(1, max_threads),
        limits=st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=max_ports).map(tuple),
        packets=st.integers(1, max_packets),
        profile=st.sampled_from(list(profiles)),
        verbs=st.just(verbs),
    )


@st.composite
def histories(
    draw: st.DrawFn, bounds: st.SearchStrategy[Bounds] | None = None, *, max_moves: int = 60
) -> History:
    """Legal histories of up to `max_moves` kernel verbs, leaning to concurrency."""
    within = draw(worlds() if bounds is None else bounds)
    world = World(within)
    moves: list[Move] = []
    for choice in draw(st.lists(st.integers(0, 1 << 16), max_size=max_moves)):
        world.refresh()
        offered = _offer(world, world.every_action(), rare=choice % 8 == 7)
        if offered:
            action = offered[(choice >> 3) % len(offered)]
            world.perform(action)
            moves.append(action.move)
    return History(within, tuple(moves))


def _offer(world: World, found: list[Action], *, rare: bool) -> list[Action]:
    """The possible actions, as often as they should come up; threads that do not belong to a port yet come first."""
    usual = [action for action in found if rare or action.move.verb not in _RARE]
    offered: list[Action] = []
    for action in usual:
        thread = None if action.move.thread is None else world.threads[action.move.thread]
        is_idle = thread is not None and thread.queue is None and thread.state is ThreadState.RUNNABLE
        weight = _WEIGHTS.get(action.move.verb, 1)
        offered += [action] * (2 * weight if is_idle and action.move.verb is Verb.GET else weight)
    offered.sort(key=lambda action: (action.move.verb is not Verb.GET, action.move.thread or 0))
    return offered


# -- programs and schedules ----------------------------------------------------------------------------------------


def worker_programs(
    *, max_workers: int = 4, max_calls: int = 6, keys: Sequence[Any] = ("a", "b", "c")
) -> st.SearchStrategy[Program]:
    """Programs of 2 to `max_workers` workers on one port, half of whose calls dequeue, and none of which can hang.

    Every dequeue has a timeout, so that a worker always comes to its end.
    """
    call: st.SearchStrategy[Call] = st.one_of(
        st.sampled_from([Get(0.01), Get(0)]),
        st.sampled_from(list(keys)).map(Post),
        st.sampled_from([Get(0.02), Block(), Compute()]),
    )
    worker = st.lists(call, min_size=1, max_size=max_calls).map(tuple)
    workers = st.lists(worker, min_size=2, max_size=max_workers).map(tuple)
    return st.builds(Program, limit=st.sampled_from([1, 2, 1, 3]), workers=workers)


def schedules(*, max_choices: int = 200, max_options: int = 8) -> st.SearchStrategy[tuple[int, ...]]:
    """Schedules: up to `max_choices` answers, most of them 0 once shrunk."""
    return st.lists(st.integers(0, max_options - 1), max_size=max_choices).map(tuple)


class ChosenScheduler:
    """Answers a simulation's questions from a schedule, whatever its numbers; after its end, always with 0.

    An answer is taken modulo the number of options, counted from the current thread, so that every list of numbers is
    a schedule of every program, and 0 never switches.
    """

    def __init__(self, schedule: Sequence[int]) -> None:
        self.schedule = tuple(schedule)
        self.taken = 0

    def begin(self, simulation: Any) -> None:
        """Start over."""
        self.taken = 0

    def choose(self, point: ChoicePoint) -> int:
        """The next answer."""
        answer = self.schedule[self.taken] if self.taken < len(self.schedule) else 0
        self.taken += 1
        first = 0 if point.current is None else list(point.options).index(point.current)
        return (first + answer) % len(point.options)
