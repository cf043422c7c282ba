"""Histories played one by one, under every name, and shown as a table with a column for each thread.

Own rule.  A row shows what was seen; the last column names the rules that the step exercises, and in the last row of a
faulty history the rule that it breaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..kernel.invariants import InvariantViolation
from ..kernel.queue import RemoveOutcome
from ..kernel.thread import ThreadState
from .bounds import DEQUEUES, HistoryTextError, Move, Verb
from .properties import Delivery, PortView, Step
from .steps import judge_step, make_step
from .world import Refused, World


class HistoryStep(NamedTuple):
    """One row: the move, what was seen, the rules exercised, and the violation if the step is wrong."""

    move: Move
    step: Step | None
    rules: tuple[str, ...]
    violation: InvariantViolation | None


def play(world: World, moves: Sequence[Move]) -> Iterator[HistoryStep]:
    """Make the moves one after another; ends after a wrong one.  `HistoryTextError` for one that cannot be made."""
    for number, move in enumerate(moves, start=1):
        before = world.refresh()
        action = world.find_action(move)
        if action is None:
            raise HistoryTextError(f"step {number}, {move}, cannot be made: {_hindrance(world, move)}")
        step: Step | None = None
        try:
            outcome, woken = world.perform(action)
            step = make_step(world, move, before, outcome, woken)
            rules = judge_step(step, move.verb, world.bounds.system)
            world.check()
        except Exception as error:
            violation = error if isinstance(error, InvariantViolation) else _raised(error)
            yield HistoryStep(move, step, (), violation)
            return
        yield HistoryStep(move, step, rules, None)


def _raised(error: Exception) -> InvariantViolation:
    """A verb of a broken kernel may raise anything; a refusal is the only exception that it may."""
    return InvariantViolation("error", f"the verb raised {type(error).__name__}: {error}")


def _hindrance(world: World, move: Move) -> str:
    if move.thread is not None:
        thread = world.threads[move.thread]
        return f"{thread.name} is {thread.state.value}"
    return "the queues are full" if move.verb is Verb.POST else "the port is closed"


# -- the table -----------------------------------------------------------------------------------------------------


def history_table(world: World, steps: Sequence[HistoryStep]) -> str:
    """The steps with a column for each thread and each port.  Plain characters, one line for each step.

    A port's column shows count/limit, the waiters in brackets from bottom to top, and how many packets are queued.
    """
    threads = [str(thread.name) for thread in world.threads]
    ports = [f"P{number + 1}" for number in range(len(world.ports))]
    rows = [["", *threads, *ports, "rules"]]
    gone = [0] * len(ports)
    for number, (move, step, rules, violation) in enumerate(steps, start=1):
        cells = [""] * len(threads)
        if move.thread is not None:
            cells[move.thread] = _call(move, step, gone)
        for thread, news in _news(step, gone):
            cells[thread] = f"{cells[thread]}; {news}" if cells[thread] else news
        shown = ["?"] * len(ports) if step is None else [_port(port) for port in step.ports_after]
        if move.thread is None:
            assert move.port is not None
            shown[move.port] = f"{move.verb.value}: {shown[move.port]}"
        verdict = " ".join(rules) if violation is None else f"BREAKS {violation.rule}"
        rows.append([str(number), *cells, *shown, verdict])
        for port in range(len(ports)):
            gone[port] += 0 if step is None else len(step.delivered(port))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _call(move: Move, step: Step | None, gone: Sequence[int]) -> str:
    name = move.verb.value if move.port is None else f"{move.verb.value} P{move.port + 1}"
    if step is None:
        return f"{name}: raises"
    outcome: Any = step.outcome
    if isinstance(outcome, Refused):
        return f"{name}: refused"
    if step.got is not None:
        return f"{name}: gets {_packets(step.got, gone)}"
    if isinstance(outcome, RemoveOutcome):
        return f"{name}: {outcome.name}"
    if move.verb in DEQUEUES:
        return f"{name}: parks"
    return name


def _news(step: Step | None, gone: Sequence[int]) -> list[tuple[int, str]]:
    if step is None:
        return []
    brought = {delivery.thread: f"gets {_packets(delivery, gone)}" for delivery in step.woken_with}
    return [
        (thread, brought.get(thread, "returns" if step.threads_after[thread].state is ThreadState.RUNNABLE else "ends"))
        for thread in step.readied
    ]


def _packets(delivery: Delivery, gone: Sequence[int]) -> str:
    """Packets by the order in which they were posted to their port; `gone` of them have left it before."""
    return " ".join(
        "a packet of another port" if number < 0 else f"#{number + 1 + gone[delivery.port]}"
        for number in delivery.packets
    )


def _port(port: PortView | None) -> str:
    if port is None or (port.is_closed and not port.waiters):
        return "closed"
    waiters = " ".join(f"T{thread + 1}" for thread in port.waiters)
    return f"{port.active}/{port.limit} [{waiters}] {len(port.packets)} queued"
