"""Exhaustive exploration of kernel histories: complete, right about what it merges, the same however it is split."""

from __future__ import annotations

import multiprocessing
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from iocp_emu.kernel.snapshot import canonical
from iocp_emu.testing.__main__ import main
from iocp_emu.testing.bounds import (
    ALL_VERBS,
    BASIC_VERBS,
    Bounds,
    HistoryTextError,
    Move,
    Verb,
    every_limit,
    history_text,
    parse_history,
)
from iocp_emu.testing.histories import HistoryReport, Stop, explore_histories, replay_history
from iocp_emu.testing.strategies import History, histories, worlds
from iocp_emu.testing.world import World
from tests.explore.zoo.ports import SPECIMENS, FifoWaiters, PutsBackAtTheTail, Queue, Specimen

SMALL = Bounds(threads=2, limits=(1, 1), packets=2)
SOME_VERBS = (Verb.POST, Verb.GET, Verb.ALERTABLE_GET, Verb.USER_APC, Verb.SUSPEND, Verb.RESUME, Verb.KERNEL_APC)


def proved(report: HistoryReport) -> bool:
    """Whether everything within the bounds has been covered and is right."""
    return report.stop is Stop.COMPLETE and report.violation is None


# -- the right kernel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", every_limit(2, 2, 3), ids=str)
def test_p01_to_p18_hold_in_every_history_of_two_threads(bounds: Bounds) -> None:
    """P-01 to P-14, P-17, P-18: 2 threads, 2 ports, 3 packets, every concurrency value."""
    report = explore_histories(bounds)
    assert proved(report), report


def test_p01_to_p18_hold_in_every_history_of_three_threads() -> None:
    """P-01 to P-14, P-17, P-18: 3 threads, 2 ports, 4 packets; the numbers are facts about the rules."""
    report = explore_histories(Bounds(3, (1, 1), 4))
    assert proved(report), report
    assert (report.states, report.concrete_states, report.transitions) == (1_634, 15_278, 21_341)
    assert report.never == ["Q-08", "Q-17", "Q-18", "Q-31", "G-14", "O-25"]
    print(report)


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [*every_limit(3, 2, 4), *every_limit(4, 2, 4), Bounds(5, (1, 2), 5)], ids=str)
def test_p01_to_p18_hold_in_every_larger_history(bounds: Bounds) -> None:
    """P-01 to P-14, P-17, P-18: 3 to 5 threads, 2 ports, 4 or 5 packets, every concurrency value."""
    report = explore_histories(bounds)
    assert proved(report), report
    print(report)


@pytest.mark.slow
@pytest.mark.parametrize("bounds", every_limit(3, 2, 3, verbs=ALL_VERBS), ids=str)
def test_p01_to_p18_hold_with_suspensions_and_apcs(bounds: Bounds) -> None:
    """Q-08, Q-17, Q-18, Q-31: the same with every verb."""
    report = explore_histories(bounds)
    assert proved(report), report
    assert report.never == ["O-25"]
    print(report)


@pytest.mark.parametrize("profile", ["win7", "xp", "classic", "wine", "wine_old"])
def test_p01_to_p18_hold_in_other_systems(profile: str) -> None:
    """0.3: what differs there differs as it should."""
    report = explore_histories(Bounds(2, (1, 1), 2, profile=profile))
    assert proved(report), report
    assert ("O-25" in report.rules) == (profile in ("xp", "wine_old"))
    assert ("Q-19" in report.rules) == (profile in ("win7", "wine", "wine_old"))


def test_every_rule_is_exercised_by_some_small_world() -> None:
    """Coverage: what is said to be never exercised could be, and what is not there is not claimed."""
    rules = Counter[str]()
    rules += Counter(explore_histories(Bounds(2, (1, 1), 1, verbs=SOME_VERBS)).rules)
    rules += Counter(explore_histories(Bounds(3, (1, 1), 2)).rules)
    rules += Counter(explore_histories(Bounds(2, (1,), 2, profile="xp")).rules)
    nothing = explore_histories(Bounds(1, (1,), 0, verbs=(Verb.BLOCK, Verb.UNBLOCK)))
    assert nothing.states == 2
    assert nothing.rules == {}
    assert set(nothing.never) == set(rules)


# -- merging -------------------------------------------------------------------------------------------------------


def concrete(bounds: Bounds) -> set[Any]:
    """Every state with every name told apart, each reached by verbs alone from the start."""
    start = World(bounds)
    first = (*start.codes, *start.port_codes)
    known: dict[Any, tuple[Move, ...]] = {first: ()}
    frontier = [first]
    while frontier:
        reached: list[Any] = []
        for state in frontier:
            world = World(bounds)
            for move in known[state]:
                perform(world, move)
            for action in world.every_action():
                world = World(bounds)
                for move in (*known[state], action.move):
                    perform(world, move)
                after = (*world.codes, *world.port_codes)
                if after not in known:
                    known[after] = (*known[state], action.move)
                    reached.append(after)
        frontier = reached
    return set(known)


def perform(world: World, move: Move) -> None:
    """One move."""
    action = world.find_action(move)
    assert action is not None
    world.perform(action)
    world.refresh()


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(2, (1,), 2),
        Bounds(2, (1, 1), 1, verbs=(Verb.POST, Verb.GET, Verb.BLOCK, Verb.UNBLOCK, Verb.CLOSE)),
        Bounds(2, (1,), 1, verbs=(Verb.POST, Verb.GET, Verb.SUSPEND, Verb.RESUME, Verb.KERNEL_APC, Verb.EXPIRE)),
        Bounds(3, (1,), 1, verbs=(Verb.POST, Verb.GET, Verb.POLL, Verb.EXIT)),
        pytest.param(Bounds(2, (1, 2), 2), marks=pytest.mark.slow),
        pytest.param(Bounds(2, (1,), 2, verbs=ALL_VERBS), marks=pytest.mark.slow),
        pytest.param(Bounds(3, (1, 1), 1), marks=pytest.mark.slow),
    ],
    ids=lambda bounds: f"{bounds} {len(bounds.verbs)} verbs",
)
def test_merged_states_stand_for_exactly_the_states_that_there_are(bounds: Bounds) -> None:
    """Symmetry and restoring, against a search that does neither: every state from a fresh kernel, all names kept."""
    states = concrete(bounds)
    report = explore_histories(bounds)
    assert report.concrete_states == len(states)
    world = World(bounds)
    count = len(world.threads)
    assert report.states == len({world.canonical(state[:count], state[count:]) for state in states})


@settings(max_examples=60)
@given(histories(worlds(max_threads=3, max_packets=3, verbs=ALL_VERBS), max_moves=25))
def test_a_loaded_state_is_the_state_that_was_reached(history: History) -> None:
    """Restoring: a kernel that is put into a state has the picture of one that came there; and it says so."""
    reached, loaded = World(history.bounds), World(history.bounds)
    for move in history.moves:
        perform(reached, move)
        state = (*reached.codes, *reached.port_codes)
        loaded.load(state)
        assert loaded.read() == (loaded.codes, loaded.port_codes) == (reached.codes, reached.port_codes)
        assert canonical(loaded.kernel) == canonical(reached.kernel)
        loaded.check()


@settings(max_examples=60)
@given(histories(worlds(max_threads=3, max_packets=3, verbs=ALL_VERBS), max_moves=20))
def test_undoing_a_move_leaves_nothing_behind(history: History) -> None:
    """Restoring: after any possible move and its undoing, the kernel has the picture that it had."""
    world = World(history.bounds)
    for move in history.moves:
        codes, port_codes = world.codes, world.port_codes
        world.load((*codes, *port_codes))
        before = canonical(world.kernel)
        for action in world.every_action():
            world.perform(action)
            world.undo(world.read())
            assert world.read() == (codes, port_codes)
            assert canonical(world.kernel) == before, action.move
            world.check()
        perform(world, move)


@settings(max_examples=40)
@given(histories(worlds(max_threads=4, max_packets=3, verbs=ALL_VERBS), max_moves=25))
def test_like_workers_are_interchangeable(history: History) -> None:
    """Symmetry: the same history with threads in other roles has the same canonical state and picture."""
    plain, renamed = World(history.bounds), World(history.bounds)
    last = history.bounds.threads - 1
    for move in history.moves:
        perform(plain, move)
        perform(renamed, move if move.thread is None else move._replace(thread=last - move.thread))
    assert plain.canonical(plain.codes, plain.port_codes) == renamed.canonical(renamed.codes, renamed.port_codes)
    assert canonical(plain.kernel) == canonical(renamed.kernel)


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(2, (1, 1), 1, verbs=(Verb.GET, Verb.POLL, Verb.BLOCK, Verb.EXIT, Verb.CLOSE)),
        Bounds(2, (1, 2), 1, verbs=(Verb.POST, Verb.GET, Verb.POLL, Verb.BLOCK)),
    ],
    ids=["like ports", "unlike ports"],
)
def test_unlike_states_have_unlike_pictures(bounds: Bounds) -> None:
    """Symmetry: over all states of a world, equal codes and equal canonical pictures mean the same.

    Where ports are alike nothing is posted: these packets' keys name their ports, which a picture shows.
    """
    world = World(bounds)
    states = concrete(bounds)
    pictures: dict[Any, set[Any]] = {}
    for state in states:
        world.load(state)
        pictures.setdefault(canonical(world.kernel), set()).add(world.canonical(state[:2], state[2:]))
    assert all(len(same) == 1 for same in pictures.values())
    assert len(pictures) == explore_histories(bounds).states


def test_labels_tell_threads_apart() -> None:
    """A thread's place in its program is part of the canonical picture when it is given."""
    world = World(SMALL)
    first, second = world.threads
    same = canonical(world.kernel, {first: 3, second: 3})
    assert canonical(world.kernel, {first: 3, second: 4}) == canonical(world.kernel, {first: 4, second: 3}) != same


# -- splitting the work --------------------------------------------------------------------------------------------


class Lazy(Executor):
    """Does everything late and backwards."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, partial(fn, *args, **kwargs)))
        future.result = partial(self._result, future)  # type: ignore[method-assign]
        return future

    def _result(self, future: Future[Any], timeout: float | None = None) -> Any:
        while self.waiting:
            late, work = self.waiting.pop()
            if late.set_running_or_notify_cancel():
                late.set_result(work())
        return Future.result(future, timeout)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Two fresh processes."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


WORK: list[tuple[Bounds, dict[str, Any]]] = [
    (Bounds(3, (1, 1), 3), {}),
    (Bounds(3, (1, 1), 3), {"budget_states": 700}),
    (Bounds(3, (1, 2), 3), {"queue_type": SPECIMENS[5].queue_type}),
]


@pytest.mark.parametrize(("bounds", "options"), WORK, ids=["complete", "budget", "violation"])
def test_the_report_does_not_depend_on_who_did_the_work(
    bounds: Bounds, options: dict[str, Any], processes: ProcessPoolExecutor
) -> None:
    """Processes, threads, an executor that does everything backwards, nobody: the same report to the last number."""
    alone = explore_histories(bounds, **options)
    assert explore_histories(bounds, executor=processes, **options) == alone
    assert explore_histories(bounds, executor=Lazy(), **options) == alone
    with ThreadPoolExecutor(3) as threads:
        assert explore_histories(bounds, executor=threads, **options) == alone


def test_a_budget_is_kept_and_told() -> None:
    """The stop reason is told, and no more than one block is expanded after the budget is spent."""
    report = explore_histories(Bounds(4, (1, 2), 4), budget_states=500)
    assert report.stop is Stop.BUDGET
    assert 500 <= report.states < 500 + 256 * 16
    assert "budget spent" in str(report)


# -- the zoo -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.queue_type.__name__)
def test_every_broken_queue_is_found(specimen: Specimen) -> None:
    """Within 2,500 states, by a shortest history, under the name of the property; and its text replays it."""
    bounds = Bounds(3, (1, 2), 2, verbs=specimen.verbs)
    report = explore_histories(bounds, queue_type=specimen.queue_type, budget_states=2_500)
    assert report.violation is not None, report
    assert report.violation.rule in specimen.rules, report
    assert len(report.violation.moves) == specimen.steps, report
    replay = replay_history(report.violation.text, queue_type=specimen.queue_type)
    assert replay.violation == report.violation
    assert report.violation.rule in str(report)
    right = replay_history(report.violation.text)
    assert right.violation is None, "the same history on the right kernel"


@pytest.mark.parametrize("queue_type", [Queue, PutsBackAtTheTail])
def test_right_queues_are_not_accused(queue_type: Any) -> None:
    """A subclass that changes nothing, and one whose fault no verb reaches."""
    report = explore_histories(Bounds(2, (1, 1), 2), queue_type=queue_type)
    assert proved(report), report


def test_the_table_has_a_column_for_each_thread() -> None:
    """What a reader sees of a faulty history, to the letter."""
    violation = explore_histories(Bounds(2, (2,), 2), queue_type=FifoWaiters).violation
    assert violation is not None
    assert violation.table.splitlines() == [
        "   T1             T2             P1                       rules",
        "1  get P1: parks                 0/2 [T1] 0 queued        Q-11 Q-12 Q-20 A-01",
        "2                 get P1: parks  0/2 [T1 T2] 0 queued     Q-11 Q-12 Q-20 A-01",
        "3  gets #1                       post: 1/2 [T2] 0 queued  BREAKS P-09",
    ]


# -- text ----------------------------------------------------------------------------------------------------------

TEXT = history_text(Bounds(2, (1,), 2), [Move(Verb.GET, 0, 0), Move(Verb.POST, None, 0), Move(Verb.BLOCK, 0, None)])


def test_the_text_of_a_history_is_stable() -> None:
    """The same on every Python and system: this very line has to be played for ever."""
    assert TEXT == (
        "iocp-history 1 | win10 threads=2 limits=1 packets=2 batch=2 | T1.get.P1 post.P1 T1.block | 9a92081a"
    )
    assert parse_history(TEXT)[1] == [Move(Verb.GET, 0, 0), Move(Verb.POST, None, 0), Move(Verb.BLOCK, 0, None)]
    assert str(replay_history("\n  ".join(TEXT.split(" | ", 1)).replace("\n  ", " |\n  ", 1))).startswith("nothing")


def resealed(text: str) -> str:
    """With the right checksum."""
    body = text.rpartition(" | ")[0]
    return f"{body} | {zlib.crc32(body.encode()):08x}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "this is no history"),
        ("hello", "this is no history"),
        (TEXT.replace("history 1", "history 2"), "version 2; this release plays version 1"),
        (TEXT[:40], "part of it is missing"),
        (TEXT.replace("post", "pest"), "the text is damaged"),
        (TEXT.replace("T1.block", "T2.block"), "the text is damaged"),
        (resealed(TEXT.replace("post", "pest")), "there is no verb `pest.P1`"),
        (resealed(TEXT.replace("post.P1", "post.P2")), "names a thread or port that is not in this world"),
        (resealed(TEXT.replace("T1.get.P1", "get.P1")), "does not name what get needs"),
        (resealed(TEXT.replace("win10", "win95")), "unknown profile 'win95'"),
        (resealed(TEXT.replace("threads=2", "threads=99")), "threads must be 1 to 12, not 99"),
        (resealed(TEXT.replace("limits=1", "limits=x")), "this is no bounded world"),
        (resealed(TEXT.replace("T1.block", "T1.unblock")), "step 3, T1.unblock, cannot be made: T1 is runnable"),
        (resealed(TEXT.replace("T1.get.P1", "post.P1 post.P1")), "step 3, post.P1, cannot be made: the queues are"),
        (resealed(TEXT.replace("T1.get.P1", "close.P1 close.P1")), "step 2, close.P1, cannot be made: the port is"),
    ],
)
def test_foreign_and_damaged_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(HistoryTextError, match=reason):
        replay_history(text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"threads": 0}, "threads must be 1 to 12, not 0"),
        ({"limits": ()}, "ports must be 1 to 4, not 0"),
        ({"limits": (0,)}, "the smallest limit must be 1"),
        ({"packets": 41}, "packets must be 0 to 40"),
        ({"batch": 1}, "batch must be 2"),
        ({"profile": "dos"}, "unknown profile 'dos'"),
    ],
)
def test_impossible_bounds_are_refused(options: dict[str, Any], reason: str) -> None:
    """Before anything is explored."""
    with pytest.raises(ValueError, match=reason):
        Bounds(**options)


def test_histories_are_drawn_legal_and_replay() -> None:
    """Strategies: every drawn history can be played, and a good part has threads waiting beside running ones."""
    seen = Counter[bool]()

    @settings(max_examples=100, database=None, derandomize=True)
    @given(histories(worlds(verbs=BASIC_VERBS)))
    def play(history: History) -> None:
        replay = replay_history(history.text)
        assert replay.violation is None, replay
        views = [step.step.threads_after for step in replay.steps if step.step is not None]
        seen[any(len({view.state for view in threads}) > 1 for threads in views)] += 1

    play()
    assert seen[True] > 25, seen


def test_the_command_prints_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m iocp_emu.testing`: a line for each world, their sum, and what was never exercised."""
    assert main(["--threads", "2", "--ports", "1", "--packets", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "limits 1: complete: 69 states (120 with every name told apart), 438 transitions, longest shortest history 6"
    )
    assert lines[2].startswith("all 2 worlds: ")
    assert lines[3].startswith("never exercised: Q-08 ")
    for arguments in (["--threads", "0"], ["--threads", "13"], ["--profile", "vms"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
