"""The strategies: programs that end, schedules that fit every program, worlds within their bounds; and the package."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import iocp_emu.testing
from iocp_emu import CompletionPort, Simulation, ThreadSystem, spawn, use
from iocp_emu.runtime.simulation import Preemption
from iocp_emu.testing.bounds import ALL_VERBS, Bounds, Verb
from iocp_emu.testing.calls import Block, Compute, Get, Post, Program
from iocp_emu.testing.strategies import (
    ChosenScheduler,
    History,
    histories,
    schedules,
    worker_programs,
    worlds,
)
from tests.explore.zoo import races


@settings(max_examples=50)
@given(worlds(max_threads=3, max_ports=2, max_packets=2, profiles=["xp", "wine"], verbs=ALL_VERBS))
def test_worlds_are_within_their_bounds(bounds: Bounds) -> None:
    """And of the systems that were asked for."""
    assert bounds.threads <= 3
    assert 1 <= len(bounds.limits) <= 2
    assert bounds.packets <= 2
    assert bounds.profile in ("xp", "wine")


def test_histories_shrink_to_what_matters() -> None:
    """Two waiters on one port: two dequeues and nothing else."""

    def two_wait(history: History) -> bool:
        gets = {move.thread for move in history.moves if move.verb is Verb.GET and move.port == 0}
        return len(gets) == 2

    smallest = find(histories(worlds()), two_wait, settings=settings(max_examples=500, database=None))
    assert len(smallest.moves) == 2
    assert smallest.bounds.threads == 2


@settings(max_examples=40)
@given(worker_programs())
def test_programs_are_concurrent_and_play(program: Program) -> None:
    """Two workers at least; as generators they yield exactly their calls."""
    assert len(program.workers) >= 2
    assert program.size == sum(len(list(program.worker(number))) for number in range(len(program.workers)))


@settings(max_examples=5)
@given(worker_programs(max_workers=3, max_calls=4))
def test_programs_end_on_real_threads(program: Program) -> None:
    """As plain functions that block: nobody hangs, and no packet is got twice."""
    with use(ThreadSystem(processors=2)), CompletionPort(program.limit) as port:
        workers = [spawn(program.run, number, port) for number in range(len(program.workers))]
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers)
        posted = sum(isinstance(call, Post) for calls in program.workers for call in calls)
        assert port.depth <= posted


def test_a_program_tells_what_it_got() -> None:
    """P-04: keys in their order, None for a poll in vain."""
    program = Program(1, ((Post("a"), Post("b"), Compute(0.0001), Get(0), Block(0.0001), Get(1), Get(0)),))
    with use(ThreadSystem(processors=2)), CompletionPort(1) as port:
        assert program.run(0, port) == ["a", "b", None]


def point(options: int, current: int | None) -> Any:
    """A question with so many options, asked of whoever runs."""
    names = [f"T{number}" for number in range(options)]
    return SimpleNamespace(options=names, current=None if current is None else names[current])


@given(schedules(), st.lists(st.tuples(st.integers(2, 9), st.integers(0, 1)), max_size=300))
def test_every_list_of_numbers_is_a_schedule(schedule: tuple[int, ...], questions: list[tuple[int, int]]) -> None:
    """Whatever is asked, and however often: an answer that exists, and the same ones again."""
    scheduler = ChosenScheduler(schedule)
    runs = []
    for _ in range(2):
        scheduler.begin(None)
        runs.append([scheduler.choose(point(options, current)) for options, current in questions])
    assert runs[0] == runs[1]
    assert all(0 <= answer < options for answer, (options, _) in zip(runs[0], questions, strict=True))


def test_the_plainest_schedule_never_switches() -> None:
    """0, and what comes after the end: the current thread goes on, or the first can."""
    scheduler = ChosenScheduler((0, 1))
    assert [scheduler.choose(point(3, 2)), scheduler.choose(point(3, 2)), scheduler.choose(point(3, 1))] == [2, 0, 1]
    assert scheduler.choose(point(3, None)) == 0


def test_the_package_loads_what_is_asked_for() -> None:
    """All public names are there, others are not, and none of them needs hypothesis."""
    for name in dir(iocp_emu.testing):
        assert getattr(iocp_emu.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = iocp_emu.testing.nonsense
    program = (
        "import sys; sys.modules['hypothesis'] = None; import iocp_emu.testing as t; [getattr(t, n) for n in dir(t)]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_hypothesis_chooses_and_shrinks_the_schedule() -> None:
    """A race is found by drawing schedules, and comes down to the few answers without which it does not happen."""

    def fails_on(schedule: tuple[int, ...]) -> bool:
        with Simulation(scheduler=ChosenScheduler(schedule), preemption=Preemption.ANYWHERE) as simulation:
            simulation.spawn(races.lost_update, name="main")
            try:
                simulation.run()
            except AssertionError:
                return True
        return False

    smallest = find(schedules(), fails_on, settings=settings(database=None, derandomize=True, max_examples=500))
    assert fails_on(smallest)
    assert sum(map(bool, smallest)) <= 3
    assert not fails_on(())
