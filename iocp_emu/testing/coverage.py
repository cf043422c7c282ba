"""Which rules a step of a history exercises: names for what has been seen, for tables and for coverage.

Theory.  A rule of chapter 1 speaks of a situation and of what follows from it.  Situation and outcome can both be seen
from outside, so a step tells which rules it has put to work.  Whether they were obeyed is another module's question
(`properties.py`); here they are only named, so that an exploration can say what it has never reached.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..kernel.queue import RemoveOutcome
from ..kernel.thread import ThreadState
from .bounds import DEQUEUES, Verb
from .properties import PortView, Step

KNOWN_RULES = (
    *(f"Q-{number:02}" for number in (7, 8, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28)),
    *(f"Q-{number:02}" for number in (30, 31, 32, 33, 34, 38)),
    *("A-01", "A-02", "G-14", "H-05", "O-20", "O-21", "O-25"),
)
"""Every rule that a step can exercise, given the right bounds."""


def never_exercised(rules: Iterable[str]) -> list[str]:
    """The known rules that are not among these."""
    seen = set(rules)
    return [rule for rule in KNOWN_RULES if rule not in seen]


def rules_of(step: Step, verb: Verb) -> tuple[str, ...]:
    """The rules that a step exercises, in their order.  O(threads)."""
    found: set[str] = set()
    if verb is Verb.POST:
        _of_a_post(step, found)
    elif verb in DEQUEUES:
        _of_a_dequeue(step, found)
    elif verb is Verb.CLOSE:
        _of_a_close(step, found)
    else:
        _of_a_thread(step, verb, found)
    if step.woken_with and verb is not Verb.POST:
        _of_a_release(step, found)
    return tuple(rule for rule in KNOWN_RULES if rule in found)


def _of_a_post(step: Step, found: set[str]) -> None:
    found |= {"Q-10", "Q-38"}
    if step.woken_with:
        found.add("Q-22")
        old = _home_of(step, step.woken_with[0].thread)
        if old is not None and len(old.waiters) > 1:
            found.add("Q-07")


def _of_a_dequeue(step: Step, found: set[str]) -> None:
    assert step.actor is not None
    assert step.port is not None
    home, old = step.threads_before[step.actor].home, step.ports_before[step.port]
    assert old is not None
    is_member = home == step.port
    if home is None:
        found |= {"A-01", "Q-20"}
    elif not is_member:
        found |= {"A-02", "Q-15"}
    found.add("Q-11")
    if step.got is not None:
        found |= {"Q-14"} if is_member else {"Q-21"}
        if len(step.got.packets) > 1:
            found.add("Q-19")
        return
    if old.packets:
        found.add("Q-32" if is_member else "Q-13")
    if step.outcome is RemoveOutcome.TIMEOUT:
        found |= {"Q-24", "Q-30"}
    elif step.outcome is RemoveOutcome.USER_APC:
        found |= {"Q-24", "Q-31"}
        if not is_member:
            found.add("G-14")
    elif not is_member:
        found.add("Q-12")


def _of_a_close(step: Step, found: set[str]) -> None:
    assert step.port is not None
    old, new = step.ports_before[step.port], step.ports_after[step.port]
    assert old is not None
    assert new is not None
    found.add("O-20")
    if step.readied:
        found.add("O-21")
    if not new.is_run_down:
        found.add("O-25")
    elif old.members:
        found |= {"A-02", "Q-34"}
    if old.packets and not new.packets:
        found.add("H-05")


def _of_a_thread(step: Step, verb: Verb, found: set[str]) -> None:
    assert step.actor is not None
    state, home = step.threads_before[step.actor].state, step.threads_before[step.actor].home
    if verb is Verb.EXPIRE:
        found |= {"Q-24", "Q-33"} if step.readied else {"Q-08", "Q-33"}
    elif verb is Verb.USER_APC and step.readied:
        found |= {"Q-24", "Q-31"}
    elif verb is Verb.KERNEL_APC:
        found |= {"Q-08", "Q-17", "Q-18"}
    elif verb in (Verb.SUSPEND, Verb.RESUME) and (
        state is ThreadState.PARKED or step.threads_after[step.actor].state is ThreadState.PARKED or step.woken_with
    ):
        found.add("Q-08")
    if home is None:
        return
    was_running = state is ThreadState.RUNNABLE
    if verb in (Verb.BLOCK, Verb.SUSPEND) and was_running:
        found.add("Q-23")
    elif verb in (Verb.UNBLOCK, Verb.RESUME) and step.threads_after[step.actor].state is ThreadState.RUNNABLE:
        found.add("Q-26")
    elif verb is Verb.EXIT:
        found |= {"A-02", "Q-28"}
    old = step.ports_before[home]
    new = step.ports_after[home]
    gave_up = verb in (Verb.BLOCK, Verb.SUSPEND, Verb.EXIT) and was_running
    if gave_up and not step.woken_with and old and new and new.packets and new.waiters:
        found.add("Q-27")


def _of_a_release(step: Step, found: set[str]) -> None:
    for delivery in step.woken_with:
        if delivery.thread != step.actor:
            found |= {"Q-22", "Q-25"}
            old = _home_of(step, delivery.thread)
            if old is not None and len(old.waiters) > 1:
                found.add("Q-07")


def _home_of(step: Step, thread: int) -> PortView | None:
    home = step.threads_before[thread].home
    return None if home is None else step.ports_before[home]
