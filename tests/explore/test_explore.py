"""The explorer itself: soundness of what it leaves out, budgets, strategies, properties, texts, carriers, processes."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from iocp_emu import CompletionPort, Event, ResetMode, compute, sleep, spawn
from iocp_emu.runtime.schedulers import ScheduleMismatch
from iocp_emu.runtime.simulation import Simulation
from iocp_emu.testing import Bounds as HistoryBounds
from iocp_emu.testing import (
    ExplorationFailed,
    FailureKind,
    Fairness,
    ScheduleTextError,
    Sharing,
    StopReason,
    always,
    eventually,
    explore,
    explore_histories,
    never,
    replay,
    show_state,
    sometimes,
)
from iocp_emu.testing.runs import RankScheduler
from iocp_emu.testing.samplers import Manual, Pct, RoundRobin
from tests.explore.zoo import endless, pools, races
from tests.explore.zoo.ports import SPECIMENS, Queue
from tests.explore.zoo.ports import Specimen as PortSpecimen

CHECKOUT = str(Path(__file__).resolve().parents[2])

UNBOUNDED = 1000
"""A bound that bounds nothing, but switches sleeping off."""


# -- what may be left out ------------------------------------------------------------------------------------------


class Notes:
    """Where programs note their outcomes, so that the explorer does not take them for a part of their state."""

    outcomes: ClassVar[set[Any]] = set()


def made_up_program(seed: int, memory: bool, tells_all_apart: bool) -> Callable[[], None]:
    """A small program that cannot hang: threads that post, poll, wait a second, set and look at events.

    Its outcome is what its threads got.  With `memory` they also count in a shared variable.
    """
    random = Random(seed)
    scripts = [[random.choice("ppqqgwsx") for _ in range(2)] for _ in range(2)]

    def program() -> None:
        clock = itertools.count()
        if tells_all_apart:
            show_state(lambda: next(clock))
        first, second, event = CompletionPort(1), CompletionPort(1), Event(ResetMode.AUTO)
        shared = [0]

        def act(what: str, name: str) -> Any:
            port = first if what in "pqg" else second
            seen = shared[0]
            try:
                if what in "px":
                    return port.post(key=name)
                if what == "s":
                    return event.set()
                if what == "w":
                    return event.wait(timeout=1)
                return port.get(timeout=1 if what == "g" else 0).key
            except TimeoutError:
                return "timeout"
            finally:
                if memory:
                    shared[0] = seen + 1

        def run(name: str, script: list[str]) -> list[Any]:
            return [act(what, name) for what in script]

        threads = [spawn(run, f"t{number}", script) for number, script in enumerate(scripts)]
        got = [thread.join() for thread in threads]
        Notes.outcomes.add(repr((got, first.depth, second.depth, event.is_set(), shared[0])))

    return program


def outcomes_of(seed: int, *, memory: bool, all_of_them: bool) -> tuple[set[Any], int]:
    """All outcomes, and how many runs it took."""
    found = Notes.outcomes = set()
    program = made_up_program(seed, memory, all_of_them)
    sharing = Sharing.MEMORY if memory else Sharing.KERNEL_OBJECTS
    bound = UNBOUNDED if all_of_them else None
    done = explore(program, strategy="exhaustive", schedules=None, sharing=sharing, preemption_bound=bound)
    assert done.stop in (StopReason.COMPLETE, StopReason.WITHIN_BOUND)
    return found, done.schedules


@pytest.mark.parametrize("seed", [1, 3])
def test_sleeping_and_known_states_lose_no_outcome(seed: int) -> None:
    """Threads that share kernel objects only: every outcome of every order is found, in fewer runs."""
    every, runs = outcomes_of(seed, memory=False, all_of_them=True)
    found, fewer = outcomes_of(seed, memory=False, all_of_them=False)
    assert found == every
    assert fewer < runs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(80))
def test_sleeping_and_known_states_lose_no_outcome_for_long(seed: int) -> None:
    """The same for many programs."""
    every, runs = outcomes_of(seed, memory=False, all_of_them=True)
    found, fewer = outcomes_of(seed, memory=False, all_of_them=False)
    assert found == every
    assert fewer <= runs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_known_states_lose_no_outcome_of_threads_that_share_memory(seed: int) -> None:
    """The same where threads count in a shared variable."""
    every, runs = outcomes_of(seed, memory=True, all_of_them=True)
    found, fewer = outcomes_of(seed, memory=True, all_of_them=False)
    assert found == every
    assert fewer < runs


def test_interchangeable_workers_are_merged() -> None:
    """Fewer states and runs, with the same verdict."""
    program = races.lost_update_right
    plain = explore(program, strategy="exhaustive", schedules=None)
    merged = explore(program, strategy="exhaustive", schedules=None, interchangeable=["writer"])
    assert plain.stop is merged.stop is StopReason.COMPLETE
    assert plain.states is not None
    assert merged.states is not None
    assert merged.states < plain.states
    assert merged.schedules < plain.schedules


def test_a_state_that_cannot_be_seen_is_told() -> None:
    """An open file has a state of its own: nothing is merged, and the report says why."""

    def program() -> None:
        with open(os.devnull, encoding="ascii") as file, CompletionPort() as port:
            each = spawn(port.post)
            port.get()
            each.join()
            file.read()

    done = explore(program, strategy="exhaustive", schedules=50)
    assert done.unseen == "TextIOWrapper"
    assert done.states == 0
    assert "states could not be told apart, because of: TextIOWrapper" in str(done)


def test_computing_is_refused_where_threads_share_kernel_objects_only() -> None:
    """Computations compete for processors: that is shared too."""

    def program() -> None:
        pool = [spawn(compute, 1) for _ in range(3)]
        for each in pool:
            each.join()

    explore(program, strategy="exhaustive", schedules=30).assert_ok()
    with pytest.raises(RuntimeError, match=r"compete for processors: explore with Sharing\.MEMORY"):
        explore(program, strategy="exhaustive", schedules=300, sharing=Sharing.KERNEL_OBJECTS)


# -- strategies and budgets ----------------------------------------------------------------------------------------


def test_preemptions_are_bounded() -> None:
    """A lost update needs one preemption: none are not enough."""
    bounded = explore(races.lost_update, strategy="exhaustive", preemption_bound=0)
    assert (bounded.stop, bounded.ok) == (StopReason.WITHIN_BOUND, True)
    found = explore(races.lost_update, strategy="exhaustive", preemption_bound=1).failure
    assert found is not None
    assert found.preemptions == 1


def test_delays_are_bounded() -> None:
    """Counted in threads that are passed over: none is the one plain order."""
    plain = explore(races.lost_update, strategy="exhaustive", delay_bound=0)
    assert (plain.schedules, plain.ok) == (1, True)
    assert explore(races.lost_update, strategy="exhaustive", delay_bound=2).failure is not None


def test_the_cheapest_failure_comes_first() -> None:
    """Deepening: what is found without a bound has no more preemptions than are needed."""
    for program in (races.lost_update, races.abba_events, races.published_late):
        failure = explore(program, strategy="exhaustive", shrink_steps=0).failure
        assert failure is not None
        assert failure.preemptions == 1


def test_budgets() -> None:
    """The reason to stop is told; a result does not depend on anything else."""
    assert explore(pools.stop_eaten_right, schedules=40).stop is StopReason.SCHEDULES
    assert explore(pools.stop_eaten_right, schedules=None, seconds=0.05).stop is StopReason.SECONDS
    states = explore(pools.stop_eaten_right, strategy="exhaustive", states=50)
    assert states.stop is StopReason.STATES
    assert (states.states or 0) >= 50
    turns = explore(pools.stop_eaten_right, strategy=RoundRobin(5))
    assert (turns.stop, turns.schedules) == (StopReason.COMPLETE, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "clever"}, "strategy must be one of random, round-robin, pct, pos, manual, exhaustive"),
        ({"schedules": 0}, "schedules must be above 0"),
        ({"max_steps": 10}, "max_steps must be 1000 or more"),
        ({"preemption_bound": 2}, "are for strategy='exhaustive'"),
        ({"strategy": "exhaustive", "preemption_bound": 1, "delay_bound": 1}, "not both"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """Refused with the reason."""
    with pytest.raises(ValueError, match=message):
        explore(pools.stop_eaten, **options)


def test_by_hand() -> None:
    """Whoever answers decides; a wrong answer is asked again, an empty one goes on."""
    asked: list[str] = []
    answers = iter(["", "9", "nonsense", "2"])

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers, "")

    found = explore(races.published_late, strategy=Manual(ask), shrink_steps=0)
    assert found.schedules == 1
    assert asked[1] == asked[2] == asked[3]
    assert "1. main: " in asked[0]


def test_depth_of_pct_is_checked() -> None:
    """1 or more."""
    with pytest.raises(ValueError, match="depth must be 1 or more"):
        Pct(0)
    assert explore(races.lost_update, strategy=Pct(2), shrink_steps=0).failure is not None


# -- the same everywhere -------------------------------------------------------------------------------------------


def test_carriers_agree() -> None:
    """To the letter, states included."""
    pytest.importorskip("greenlet")
    for strategy in ("random", "exhaustive"):
        reports = [
            str(explore(races.signals_merge, strategy=strategy, carrier=carrier)) for carrier in ("greenlet", "thread")
        ]
        assert reports[0] == reports[1]


def test_who_makes_the_runs_makes_no_difference() -> None:
    """Two processes find the very same as this one: schedules, states, rules, failure, text."""
    look = [
        partial(explore, races.lost_update, seed=3),
        partial(explore, races.lost_update_right, strategy="exhaustive", schedules=40),
        partial(explore, races.abba_events, strategy="exhaustive"),
        partial(explore, pools.tells_everybody, strategy="pct", parameters={"workers": 3}, shrink_steps=500),
    ]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for each in look:
            assert each(executor=pool) == each()


@pytest.mark.slow
def test_a_cluster_makes_no_difference() -> None:
    """A dask client's executor, with worker processes of a local cluster, finds the very same as this process."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'dask[distributed]'")
    look: list[Callable[..., Any]] = [
        partial(explore, races.lost_update, seed=3),
        partial(explore, races.lost_update_right, strategy="exhaustive", schedules=40),
        partial(explore_histories, HistoryBounds(threads=2, limits=(1, 2), packets=2)),
    ]
    cluster = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**cluster) as client:
        client.run(sys.path.insert, 0, CHECKOUT)
        for each in look:
            assert each(executor=client.get_executor()) == each()


# -- properties ----------------------------------------------------------------------------------------------------


def test_properties_from_outside() -> None:
    """They are given the simulation, and need no change of the program."""
    many = never("four threads", lambda simulation: len(simulation.virtual_threads) >= 4)
    found = explore(pools.forgotten_stop, properties=[many], parameters={"workers": 3}).failure
    assert found is not None
    assert (found.kind, found.arguments) == (FailureKind.PROPERTY, {"workers": 3})
    assert found.verdict == "broken property: never four threads: it is true now"


def test_vacuous_properties_are_told() -> None:
    """A condition that never holds proves nothing."""

    def program() -> None:
        always("impossible", lambda: False, when=lambda: False)
        eventually("unasked", lambda: False, when=lambda: False)
        sometimes("here", lambda: True)

    done = explore(program, schedules=3)
    assert done.ok
    assert done.vacuous == ("always impossible", "eventually unasked")
    assert "never put to the test: always impossible, eventually unasked" in str(done)


def test_eventually_in_an_endless_run() -> None:
    """A lasso in which the promise is not kept breaks it."""

    def program() -> None:
        done: list[bool] = []
        eventually("it is done", lambda: done)
        endless.heartbeat()

    found = explore(program, schedules=1, shrink_steps=0).failure
    assert found is not None
    assert found.verdict.startswith("broken property: eventually it is done: it did not come true at any moment, and")


def test_fairness_is_explicit() -> None:
    """A poller whose helper never gets a turn is no livelock, unless unfair runs count."""

    def program() -> None:
        done: list[bool] = []
        each = spawn(done.append, True)
        while not done:
            sleep(0)
        each.join()

    class Steady:
        schedules = 1

        def scheduler(self, number: int, seed: int, choices: int) -> RankScheduler:
            return RankScheduler(())

    assert explore(program, strategy=Steady()).ok
    found = explore(program, strategy=Steady(), fairness=Fairness.UNFAIR, shrink_steps=0).failure
    assert found is not None
    assert found.kind is FailureKind.LIVELOCK


def test_a_long_loop_is_not_endless() -> None:
    """It makes more than a thousand steps that look alike but for what it counts."""

    def program() -> None:
        with CompletionPort() as port:
            for _ in range(700):
                try:
                    port.get(timeout=0)
                except TimeoutError:
                    pass

    assert explore(program, schedules=1).ok


def test_a_run_without_an_end_and_without_a_repeated_state() -> None:
    """It counts for ever: that is told as what it is."""

    def program() -> None:
        for _ in itertools.count():
            sleep(1)

    found = explore(program, schedules=1, shrink_steps=0).failure
    assert found is not None
    assert found.kind is FailureKind.ENDLESS
    assert "has not ended after 2000 steps" in found.message


def test_until() -> None:
    """A program without an end can be explored up to a time."""
    assert explore(endless.heartbeat, schedules=5, until=10).ok


def test_misuse_is_named() -> None:
    """What cannot be simulated is found, and said so."""

    def program() -> None:
        from time import sleep as really_sleep

        really_sleep(1)

    found = explore(program).failure
    assert found is not None
    assert found.kind is FailureKind.MISUSE
    assert "iocp_emu.sleep" in found.message


# -- schedules as text ---------------------------------------------------------------------------------------------


def written(program: Callable[..., object]) -> str:
    """The text of its failure."""
    failure = explore(program, strategy="exhaustive").failure
    assert failure is not None
    return failure.schedule


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("schedule 1", "schedule 2"), "of version 2; this release plays version 1"),
        (lambda text: text.replace("+1", "+2"), "the text is damaged: its checksum is"),
        (lambda text: text.rpartition("|")[0], "5 fields between `|`, this one 4"),
        (lambda text: "iocp-history 1 | x", "does not begin with `iocp-schedule`"),
    ],
)
def test_a_text_that_is_not_right_is_refused(change: Callable[[str], str], message: str) -> None:
    """With the reason."""
    with pytest.raises(ScheduleTextError) as caught:
        replay(races.lost_update, change(written(races.lost_update)))
    assert message in str(caught.value)


def test_a_text_of_another_program_is_refused() -> None:
    """By its name."""
    with pytest.raises(ScheduleTextError, match="of the program lost_update, not of abba_events"):
        replay(races.abba_events, written(races.lost_update))


def test_a_program_that_has_changed_is_noticed() -> None:
    """The questions are others."""
    text = written(races.abba_events)

    def abba_events() -> None:
        pass

    with pytest.raises(ScheduleMismatch, match="it has changed"):
        replay(abba_events, text)


def test_a_program_that_is_right_now() -> None:
    """Its old schedule brings no failure."""

    def lost_update(writers: int = 2) -> None:
        races.lost_update_right(writers)

    assert replay(lost_update, written(races.lost_update)) is None


def test_a_golden_text() -> None:
    """The text of this failure is the same on every Python and system, and stays so within a version."""
    assert written(races.lost_update) == GOLDEN


GOLDEN = (
    "iocp-schedule 1 | lost_update | processors=2 seed=0 profile=win10 steps=2000 shared=memory | 3 +1 1 +1 | 308d95ff"
)


# -- broken ports --------------------------------------------------------------------------------------------------


def uses_a_port() -> None:
    """A program that does what programs do with ports; right, on a right port."""

    def worker() -> None:
        for _ in range(2):
            try:
                key = port.get(timeout=2).key
            except TimeoutError:
                continue
            if key == "sleep":
                sleep(1)
            elif key == "compute":
                compute(5)

    with CompletionPort(1) as other, CompletionPort(1) as port:
        other.post(key="elsewhere")
        other.get()
        with pytest.raises(TimeoutError):
            port.get(timeout=0)
        port.post(key="a")
        port.post(key="b")
        port.get_many(2, timeout=0)
        pool = [spawn(worker) for _ in range(3)]
        for key in ("sleep", "sleep", "compute", "c", "d"):
            port.post(key=key)
        for each in pool:
            each.join()


OUT_OF_REACH = ("CloseForgetsTheBottomWaiter", "MovesToTheBottomOnSuspension", "ParkedCallLeaksReference")
"""These need a close with two waiters, a suspension, a count of references."""

BY_PROGRAM = [specimen for specimen in SPECIMENS if specimen.queue_type.__name__ not in OUT_OF_REACH]


@pytest.mark.parametrize("specimen", BY_PROGRAM, ids=lambda specimen: specimen.queue_type.__name__)
def test_broken_ports_are_found_through_a_program(specimen: PortSpecimen) -> None:
    """Each verb is judged by chapter P: the rule is named although the program itself is right."""
    found = explore(uses_a_port, queue_type=specimen.queue_type, schedules=60, shrink_steps=0).failure
    assert found is not None
    assert found.kind is FailureKind.INVARIANT or specimen.rules == ("error",), found


def test_a_right_port_is_right() -> None:
    """The same program on the kernel's own queue."""
    explore(uses_a_port, queue_type=Queue, schedules=60).assert_ok()


# -- reports -------------------------------------------------------------------------------------------------------


def test_a_report() -> None:
    """A verdict, a table with a column for each thread and the rules, the command; all of it in the exception."""
    with pytest.raises(ExplorationFailed) as caught:
        explore(races.check_then_act, strategy="exhaustive").assert_ok()
    report = str(caught.value).strip().splitlines()
    assert report[0] == "deadlock: nothing can ever run again: 2 threads wait at 0.0 virtual seconds (Q-11)"
    head = next(line for line in report if line.split()[-1:] == ["rules"])
    assert head.split() == ["main", "worker", "worker-2", "rules"]
    assert sum("get from port 1: gets 'only one'" in line for line in report) == 1
    assert any(line.startswith("replay(check_then_act, 'iocp-schedule 1 | check_then_act |") for line in report)


def test_a_program_may_take_the_simulation() -> None:
    """As its first parameter."""

    def program(simulation: Simulation, workers: int) -> None:
        assert simulation.now == 0
        assert workers == 2

    assert explore(program, schedules=2, parameters={"workers": 2}).ok


@pytest.mark.parametrize("sharing", Sharing)
def test_packets_that_carry_objects(sharing: Sharing) -> None:
    """Objects are told apart by what they hold, wherever they are in memory: every run of this gives the same numbers.
    """

    class Job:
        def __init__(self, number: int) -> None:
            self.number = number

    Notes.outcomes = set()

    def program() -> None:
        with CompletionPort() as port:
            pool = [spawn(lambda: port.get().key.number, name="worker") for _ in range(2)]
            for number in range(2):
                port.post(key=Job(number))
            Notes.outcomes.add(tuple(each.join() for each in pool))

    looks = [explore(program, strategy="exhaustive", schedules=80, sharing=sharing) for _ in range(2)]
    assert looks[0] == looks[1]
    assert (looks[0].unseen, looks[0].merged > 0) == (None, True)
    assert Notes.outcomes == {(0, 1), (1, 0)}
