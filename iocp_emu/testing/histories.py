"""Exhaustive exploration: every history of kernel verbs in a bounded world, with chapter P checked at every step.

Theory.  States are explored breadth first, each once; states that differ only in the names of like threads and ports
are one (`world.py`).  When no state is left that has not been seen, every history within the bounds has been covered,
however long: the properties are proved there, not sampled.  A fault is found at the end of a shortest history to it.

States are expanded in blocks of fixed size, by whatever executor is given, and merged in order: so the report does not
depend on who did the work.

>>> print(explore_histories(Bounds(threads=2, limits=(1,), packets=2)).headline)
complete: 69 states (120 with every name told apart), 438 transitions, longest shortest history 6
"""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..kernel.invariants import InvariantViolation
from ..kernel.queue import KernelQueue
from .bounds import Bounds, Move, history_text, parse_history
from .codes import Codes
from .coverage import KNOWN_RULES, never_exercised
from .history_tables import HistoryStep, history_table, play
from .steps import Judge
from .world import World

BLOCK_SIZE = 256
"""States in one unit of work.  It is part of what a report means, and so not a parameter."""

SAMPLES = 32
"""So many states of a complete exploration are reached once more, from a fresh kernel (P-17)."""

Parents = dict[Codes, "tuple[Codes, Move] | None"]


class Stop(enum.Enum):
    """Why an exploration ended."""

    COMPLETE = "complete"
    BUDGET = "budget spent"
    VIOLATION = "violation found"


@dataclass(frozen=True)
class HistoryViolation:
    """A property that does not hold: its rule, what was seen, and a shortest history that leads there.

    `text` replays it: `replay_history(text)`.
    """

    rule: str
    message: str
    moves: tuple[Move, ...]
    text: str
    table: str

    def __str__(self) -> str:
        return f"{self.message}\n\n{self.table}\n\nreplay_history({self.text!r})"


@dataclass(frozen=True)
class HistoryReport:
    """What an exploration has covered.

    `states` are those told apart, `concrete_states` how many they stand for when every thread and port has a name;
    `merged` transitions led to a state under other names than its own.  `depth` is the length of
    the longest of the shortest histories.  `rules` counts the transitions that exercised a rule.
    """

    bounds: Bounds
    stop: Stop
    states: int
    concrete_states: int
    transitions: int
    merged: int
    depth: int
    rules: dict[str, int] = field(default_factory=dict[str, int])
    violation: HistoryViolation | None = None

    @property
    def never(self) -> list[str]:
        """The rules that some bounds exercise and that never were."""
        return never_exercised(self.rules)

    @property
    def headline(self) -> str:
        """One line."""
        return (
            f"{self.stop.value}: {self.states:,} states ({self.concrete_states:,} with every name told apart), "
            f"{self.transitions:,} transitions, longest shortest history {self.depth}"
        )

    def __str__(self) -> str:
        counts = ", ".join(f"{rule} {count:,}" for rule, count in self.rules.items())
        lines = [
            f"{self.bounds}: {self.headline}",
            f"{self.merged:,} transitions merged by symmetry",
            f"rules exercised: {counts or 'none'}",
            f"never exercised: {', '.join(self.never) or 'none'}",
        ]
        return "\n".join([*lines, *([] if self.violation is None else ["", str(self.violation)])])


def explore_histories(
    bounds: Bounds,
    *,
    executor: Executor | None = None,
    queue_type: type[KernelQueue[Any]] = KernelQueue,
    budget_states: int | None = None,
) -> HistoryReport:
    """Explore every history within `bounds`; ends when all states are known, when one is wrong, or with the budget.

    `executor`, any `concurrent.futures.Executor`, shares the work; the report is the same with or without one.  For
    processes `queue_type` must be importable there.  At most one block of states is expanded once `budget_states`
    states are known.  O(transitions); returns when it has ended.
    """
    world = World(bounds, queue_type)
    first = world.canonical(world.codes, world.port_codes)
    search = _Search(world, {first: None})
    frontier = [first]
    while frontier and search.stop is Stop.COMPLETE:
        blocks = [frontier[start : start + BLOCK_SIZE] for start in range(0, len(frontier), BLOCK_SIZE)]
        if executor is None:
            frontier = search.merge(blocks, map(search.expand, blocks), budget_states)
        else:
            with closing(_in_order(executor, bounds, queue_type, blocks)) as results:
                frontier = search.merge(blocks, results, budget_states)
    return search.report(bounds, queue_type)


# -- expanding states ----------------------------------------------------------------------------------------------


class BlockResult(NamedTuple):
    """What one block of states led to: (place of the parent, move, state) for each state that is new to the block.

    `fault` is the first transition that was wrong, with which the block ended.
    """

    successors: list[tuple[int, Move, Codes]]
    transitions: int
    merged: int
    rules: Counter[tuple[str, ...]]
    fault: tuple[int, Move] | None


class Expander:
    """Makes every move from every state of a block, and judges it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.judge = Judge(world)

    def expand(self, block: Sequence[Codes], known: Parents) -> BlockResult:
        """All successors that are neither in `known` nor twice in the block.  O(transitions)."""
        world, judge = self.world, self.judge
        perform, read, canonical = world.perform, world.read, world.canonical
        successors: list[tuple[int, Move, Codes]] = []
        fresh: set[Codes] = set()
        rules: Counter[tuple[str, ...]] = Counter()
        transitions = merged = 0
        for place, state in enumerate(block):
            world.load(state)
            before = codes, port_codes = world.codes, world.port_codes
            for action in world.actions(codes, port_codes):
                transitions += 1
                try:
                    outcome, woken = perform(action)
                    after = read()
                    rules[judge(action, before, after, outcome, woken)] += 1
                    successor = canonical(*after)
                    if successor not in known and successor not in fresh:
                        world.check()
                        fresh.add(successor)
                        successors.append((place, action.move, successor))
                    merged += successor != (*after[0], *after[1])
                except Exception:
                    # Whatever a broken kernel raises; the history is played again, from the start, to tell.
                    return BlockResult(successors, transitions, merged, rules, (place, action.move))
                world.undo(after)
        return BlockResult(successors, transitions, merged, rules, None)


_kept = threading.local()


def expand_block(bounds: Bounds, queue_type: type[KernelQueue[Any]], block: list[Codes]) -> BlockResult:
    """One unit of work, wherever it is done; each thread there keeps its world from one unit to the next."""
    if getattr(_kept, "key", None) != (bounds, queue_type):
        _kept.key, _kept.expander = (bounds, queue_type), Expander(World(bounds, queue_type))
    result: BlockResult = _kept.expander.expand(block, {})
    if result.fault is not None:
        _kept.key = None
    return result


def _in_order(
    executor: Executor, bounds: Bounds, queue_type: type[KernelQueue[Any]], blocks: Sequence[list[Codes]]
) -> Generator[BlockResult, None, None]:
    """The results of the blocks, in order; closing it cancels those that nobody waits for any more."""
    futures = [executor.submit(expand_block, bounds, queue_type, block) for block in blocks]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


class _Search:
    """What is known so far, and how it was reached."""

    def __init__(self, world: World, parents: Parents) -> None:
        self.world = world
        self.parents = parents
        self.expander = Expander(world)
        self.stop = Stop.COMPLETE
        self.fault: tuple[Codes, Move] | None = None
        self.concrete_states = sum(map(world.orbit, parents))
        self.transitions = self.merged = self.depth = 0
        self.rules: Counter[tuple[str, ...]] = Counter()

    def expand(self, block: list[Codes]) -> BlockResult:
        """One block, here."""
        return self.expander.expand(block, self.parents)

    def merge(
        self, blocks: Sequence[list[Codes]], results: Iterator[BlockResult], budget_states: int | None
    ) -> list[Codes]:
        """Take in the results of one level, in order; the states of the next."""
        found: list[Codes] = []
        for block, result in zip(blocks, results, strict=False):
            for place, move, state in result.successors:
                if state not in self.parents:
                    self.parents[state] = (block[place], move)
                    self.concrete_states += self.world.orbit(state)
                    found.append(state)
            self.transitions += result.transitions
            self.merged += result.merged
            self.rules += result.rules
            if result.fault is not None:
                place, move = result.fault
                self.fault, self.stop = (block[place], move), Stop.VIOLATION
                break
            if budget_states is not None and len(self.parents) >= budget_states:
                self.stop = Stop.BUDGET
                break
        self.depth += bool(found)
        return found

    def report(self, bounds: Bounds, queue_type: type[KernelQueue[Any]]) -> HistoryReport:
        """The outcome; what was found is played again from a fresh kernel, and so are samples of what was right."""
        violation = None
        if self.fault is not None:
            moves = [*self._path(self.fault[0]), self.fault[1]]
            violation = replay_moves(bounds, queue_type, moves, None).violation or _irreproducible(bounds, moves)
        elif self.stop is Stop.COMPLETE:
            violation = self._replay_samples(bounds, queue_type)
            self.stop = self.stop if violation is None else Stop.VIOLATION
        counts: Counter[str] = Counter()
        for rules, count in self.rules.items():
            counts.update(dict.fromkeys(rules, count))
        return HistoryReport(
            bounds,
            self.stop,
            len(self.parents),
            self.concrete_states,
            self.transitions,
            self.merged,
            self.depth,
            {rule: counts[rule] for rule in KNOWN_RULES if counts[rule]},
            violation,
        )

    def _path(self, state: Codes) -> list[Move]:
        """A shortest history to a state; each move names threads and ports as the state before it does."""
        moves: list[Move] = []
        step = self.parents[state]
        while step is not None:
            state, move = step
            moves.append(move)
            step = self.parents[state]
        return moves[::-1]

    def _replay_samples(self, bounds: Bounds, queue_type: type[KernelQueue[Any]]) -> HistoryViolation | None:
        """P-17: the same history from the start leads to the same state."""
        states = list(self.parents)
        for state in states[:: max(1, len(states) // SAMPLES)]:
            replay = replay_moves(bounds, queue_type, self._path(state), state)
            if replay.violation is not None:
                return replay.violation
        return None


def _irreproducible(bounds: Bounds, moves: Sequence[Move]) -> HistoryViolation:
    """P-17: a queue that keeps state which it does not show goes wrong once and not again."""
    message = "P-17: a step went wrong, and does not when the same history is played again"
    return HistoryViolation("P-17", message, tuple(moves), history_text(bounds, moves), "")


# -- playing again -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """A history that was played: its steps, its table, and the violation with which it ended, if any."""

    bounds: Bounds
    steps: tuple[HistoryStep, ...]
    table: str
    violation: HistoryViolation | None

    def __str__(self) -> str:
        verdict = "nothing is wrong" if self.violation is None else self.violation.message
        return f"{verdict}\n\n{self.table}"


def replay_history(text: str, *, queue_type: type[KernelQueue[Any]] = KernelQueue) -> Replay:
    """Play the history of a report again.  `HistoryTextError` with the reason for a text that cannot be played.

    >>> text = "iocp-history 1 | win10 threads=1 limits=1 packets=1 batch=2 | post.P1 T1.get.P1 | 41f3908d"
    >>> print(replay_history(text))
    nothing is wrong
    <BLANKLINE>
       T1               P1                     rules
    1                   post: 0/1 [] 1 queued  Q-10 Q-38
    2  get P1: gets #1  1/1 [] 0 queued        Q-11 Q-20 Q-21 A-01
    """
    bounds, moves = parse_history(text)
    return _replay(World(bounds, queue_type), moves)


def replay_moves(
    bounds: Bounds, queue_type: type[KernelQueue[Any]], moves: Sequence[Move], expected: Codes | None
) -> Replay:
    """Play moves that name threads and ports as canonical states do; P-17 is broken if they end in another state."""
    world = World(bounds, queue_type)
    named: list[Move] = []
    steps: list[HistoryStep] = []
    for verb, thread, port in moves:
        threads, ports = world.naming(*world.read())
        move = Move(verb, None if thread is None else threads[thread], None if port is None else ports[port])
        named.append(move)
        steps += play(world, [move])
        if steps[-1].violation is not None:
            break
    error = steps[-1].violation if steps else None
    if error is None and expected is not None and world.canonical(*world.read()) != expected:
        error = InvariantViolation("P-17", "the same history, played again, ended in another state")
    return _result(world, named, steps, error)


def _replay(world: World, moves: Sequence[Move]) -> Replay:
    steps = list(play(world, moves))
    return _result(world, list(moves[: len(steps)]), steps, steps[-1].violation if steps else None)


def _result(
    world: World, moves: Sequence[Move], steps: Sequence[HistoryStep], error: InvariantViolation | None
) -> Replay:
    table = history_table(world, steps)
    violation = None
    if error is not None:
        text = history_text(world.bounds, moves)
        violation = HistoryViolation(error.rule, str(error), tuple(moves), text, table)
    return Replay(world.bounds, tuple(steps), table, violation)
