"""The properties of chapter P that speak of a verb, judged from outside: what was seen before and after it.

Theory.  Packets are numbered in the order in which they were queued on their port.  What one verb may do to a port is
one equation, *queued before, then fresh = delivered, then queued after*, which is P-04 and P-05 for this verb and, by
induction over the verbs, for the whole history.  In the same way the order of parking is what the list of waiters
grows by, verb after verb (P-09).  So a property needs no memory of the history, and states may come in any order.

P-01, P-02, P-07, P-13 and P-14 speak of states and are in `kernel/invariants.py`; P-15 and P-16 speak of requests
and are judged in `requests.py`.

Own rules.  Nothing here decides what a kernel does; it is only looked at.  Threads and ports are known by number; in
messages the first ones are T1 and P1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from ..kernel.invariants import InvariantViolation
from ..kernel.queue import RemoveOutcome
from ..kernel.thread import ThreadState
from ..profiles import Profile, WaiterOrder

GIVES_UP_A_SLOT = frozenset({"block", "exit", "suspend", "wait", "remove"})
"""Verbs that may release one waiter, because their thread stops running or leaves its port (P-10)."""


class PortView(NamedTuple):
    """One port as it can be seen: `active` threads of `limit`, waiters from bottom to top, packets oldest first."""

    active: int
    limit: int
    waiters: tuple[int, ...]
    members: tuple[int, ...]
    packets: tuple[int, ...]
    dropped: int = 0
    is_closed: bool = False
    is_run_down: bool = False


class ThreadView(NamedTuple):
    """One thread as it can be seen: its state, and the number of its port, None for a stranger."""

    state: ThreadState
    home: int | None


class Delivery(NamedTuple):
    """Packets that `thread` got from `port`, oldest first."""

    thread: int
    port: int
    packets: tuple[int, ...]


@dataclass(slots=True)
class Step:
    """One verb that was not refused, and both its sides; a port that is gone, or was not there yet, is None.

    `actor` is the thread that the verb acts for, or on; `port` what it names.  `got` is what the actor's own call
    brought at once, `readied` are the threads whose waits have ended, in this order; `reentered` have been taken out of
    their wait and have looked again (Q-08).  `fresh` packets have been queued or handed over, by port, `inserts` times.
    """

    verb: str
    actor: int | None
    port: int | None
    threads_before: Sequence[ThreadView]
    threads_after: Sequence[ThreadView]
    ports_before: Sequence[PortView | None]
    ports_after: Sequence[PortView | None]
    outcome: object = None
    is_poll: bool = False
    got: Delivery | None = None
    readied: Sequence[int] = ()
    woken_with: Sequence[Delivery] = ()
    reentered: frozenset[int] = frozenset()
    fresh: Mapping[int, Sequence[int]] = field(default_factory=dict[int, "Sequence[int]"])
    inserts: int = 0

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything that was delivered, in order: to threads that were woken, then to the caller."""
        return [*self.woken_with, *([] if self.got is None else [self.got])]

    def delivered(self, port: int) -> list[int]:
        """The packets of one port that were delivered."""
        return [packet for delivery in self.deliveries if delivery.port == port for packet in delivery.packets]

    def both_sides(self) -> list[tuple[int, PortView, PortView]]:
        """Number and both views of every port that was there before and is there now."""
        pairs = zip(self.ports_before, self.ports_after, strict=False)
        return [(number, old, new) for number, (old, new) in enumerate(pairs) if old is not None and new is not None]


def require(condition: bool, rule: str, message: str) -> None:
    """Raise `InvariantViolation` unless the property holds."""
    if not condition:
        raise InvariantViolation(rule, message)


def names(threads: Iterable[int]) -> str:
    """Threads for a reader: `T1 T2`, or `nobody`."""
    return " ".join(f"T{thread + 1}" for thread in threads) or "nobody"


def judge(step: Step, profile: Profile) -> None:
    """Raise `InvariantViolation` unless everything holds that chapter P says of a single verb.  O(state)."""
    judge_packets(step)
    judge_counts(step, profile)
    judge_releases(step, profile)
    judge_waiter_lists(step)
    judge_dequeue(step)
    judge_ends(step, profile)


def judge_packets(step: Step) -> None:
    """P-03, P-04, P-05."""
    for number, new in enumerate(step.ports_after):
        old = step.ports_before[number] if number < len(step.ports_before) else None
        arrived = [*(old.packets if old else ()), *step.fresh.get(number, ())]
        delivered = step.delivered(number)
        seen = [*delivered, *(new.packets if new else ())]
        dropped = (new.dropped if new else 0) - (old.dropped if old else 0)
        strays = [packet for packet in seen if packet not in arrived]
        if strays:
            raise InvariantViolation("P-05", f"P{number + 1}: {strays} were never queued here")
        twice = [packet for packet in set(seen) if seen.count(packet) > 1]
        if twice:
            raise InvariantViolation("P-05", f"P{number + 1}: {twice} are there twice")
        if new is not None:
            lost = [packet for packet in arrived if packet not in seen]
            if len(lost) != dropped or (lost and not new.is_run_down):
                raise InvariantViolation("P-05", f"P{number + 1}: {lost} are lost, {dropped} counted as dropped")
        ordered = all(arrived.index(earlier) < arrived.index(later) for earlier, later in pairwise(seen))
        if not ordered:
            raise InvariantViolation(
                "P-04", f"P{number + 1}: queued {arrived}, then {delivered} delivered and {seen} in all"
            )
        handed = [packet for packet in step.fresh.get(number, ()) if packet in delivered]
        if handed and old is not None:
            # Packets that the same verb has taken away before do not stand in its way.
            depth, taken = len(old.packets), len(delivered) - len(handed)
            if depth != taken:
                raise InvariantViolation("P-03", f"P{number + 1}: {handed} handed off at depth {depth}")
    if step.verb == "post" and step.port is not None and isinstance(step.outcome, int):
        before = step.ports_before[step.port]
        depth = 0 if before is None else len(before.packets)
        if step.outcome != depth:
            raise InvariantViolation("Q-38", f"post answered {step.outcome} at depth {depth}")


def judge_counts(step: Step, profile: Profile) -> None:
    """P-01 after the verb; P-06, P-12 and P-18."""
    threads = step.threads_after
    woken_with = {delivery.thread for delivery in step.woken_with}
    for number, old, new in step.both_sides():
        runnable = [t for t in new.members if threads[t].state is ThreadState.RUNNABLE]
        if new.active != len(runnable):
            raise InvariantViolation("P-01", f"P{number + 1}: count {new.active}, runnable are {names(runnable)}")
        if not profile.limit_enforced:
            continue
        delivered, limit = step.delivered(number), new.limit
        empty_handed = [t for t in runnable if t in step.readied and t not in woken_with]
        if delivered and new.active - len(empty_handed) > limit:
            raise InvariantViolation(
                "P-06", f"P{number + 1}: {delivered} delivered, and {new.active} threads run where {limit} may"
            )
        excess = old.active - limit
        if excess > 0 and delivered:
            raise InvariantViolation("P-12", f"P{number + 1}: {delivered} delivered at {old.active} of {limit}")
        parks = step.verb == "remove" and step.actor in new.waiters and step.actor in old.members
        if excess > 0 and parks and new.active != old.active - 1:
            raise InvariantViolation("P-12", f"P{number + 1}: parking left {new.active} of {limit}")
    for number, view in enumerate(step.ports_after):
        is_unlimited = view is not None and (not profile.limit_enforced or view.limit >= len(threads))
        if view is not None and is_unlimited and view.waiters and view.packets:
            raise InvariantViolation(
                "P-18", f"P{number + 1}: nothing limits it, but {names(view.waiters)} wait beside {view.packets}"
            )


def judge_releases(step: Step, profile: Profile) -> None:
    """P-09 and P-10: who was released, how many, and that the others stand where they stood."""
    released_anywhere = 0
    for number, old in enumerate(step.ports_before):
        new = step.ports_after[number]
        steady = [t for t in old.waiters if t not in step.reentered] if old else []
        released = [delivery.thread for delivery in step.woken_with if delivery.thread in steady]
        released_anywhere += len(released)
        rest = [t for t in steady if new and t in new.waiters]
        turn = {t: place for place, t in enumerate(steady)}
        if profile.waiter_order is WaiterOrder.LIFO:
            turn = {t: -place for t, place in turn.items()}
        for position, thread in enumerate(released):
            for other in [*released[position + 1 :], *rest]:
                if turn[thread] >= turn[other]:
                    raise InvariantViolation("P-09", f"T{thread + 1} was released before T{other + 1}")
        if new is not None:
            grown = list(new.waiters[: len(rest)]) == rest
            if not grown:
                raise InvariantViolation(
                    "P-09", f"P{number + 1}: waiters {names(old.waiters if old else ())} became {names(new.waiters)}"
                )
    slots = int(step.verb in GIVES_UP_A_SLOT)
    if released_anywhere > slots + step.inserts:
        raise InvariantViolation(
            "P-10", f"{step.verb} released {released_anywhere} waiters with {step.inserts} packets"
        )


def judge_waiter_lists(step: Step) -> None:
    """P-07: who is parked is on the list of its own port, once, and nobody else is on one."""
    threads = step.threads_after
    for number, new in enumerate(step.ports_after):
        for thread in new.waiters if new else ():
            fits = threads[thread].state is ThreadState.PARKED and threads[thread].home == number
            if not fits:
                raise InvariantViolation(
                    "P-07", f"T{thread + 1} waits on P{number + 1} but is {threads[thread].state.value}"
                )
    parked = [number for number, thread in enumerate(threads) if thread.state is ThreadState.PARKED]
    listed = sorted(thread for view in step.ports_after if view for thread in view.waiters)
    if parked != listed:
        raise InvariantViolation("P-07", f"{names(parked)} are parked, {names(listed)} are on the lists")


def judge_dequeue(step: Step) -> None:
    """P-08 and P-11 of the thread that dequeues, or whose time is over."""
    if step.actor is None:
        return
    before, after = step.threads_before[step.actor], step.threads_after[step.actor]
    if step.verb == "remove":
        if step.outcome is RemoveOutcome.USER_APC and after.home != step.port:
            if after.home != before.home:
                raise InvariantViolation("G-14", f"T{step.actor + 1} was to keep its port")
        elif after.home != step.port:
            raise InvariantViolation("P-08", f"T{step.actor + 1} dequeued from another port than it belongs to")
        if step.is_poll and after.state is not ThreadState.RUNNABLE:
            raise InvariantViolation("P-11", f"T{step.actor + 1} is {after.state.value} after a poll")
    if step.verb == "expire" and after.state is ThreadState.PARKED:
        raise InvariantViolation("P-11", f"T{step.actor + 1} is parked although its time is over")


def judge_ends(step: Step, profile: Profile) -> None:
    """P-13 and P-14 of ports: a closed one is empty and delivers nothing, a freed one does not come back."""
    for number, old in enumerate(step.ports_before):
        new = step.ports_after[number]
        if old is None and new is not None:
            raise InvariantViolation("P-14", f"P{number + 1} is back")
        if new is None:
            continue
        is_empty = not (new.waiters or new.members or new.packets or new.active)
        if new.is_run_down and not is_empty:
            raise InvariantViolation("P-13", f"P{number + 1} is run down, and yet {new}")
        if new.is_closed and profile.close_wakes_waiters:
            delivered = step.delivered(number)
            if not new.is_run_down:
                raise InvariantViolation("P-13", f"P{number + 1} is closed, and yet {new}")
            if delivered:
                raise InvariantViolation("P-13", f"P{number + 1} is closed and delivered {delivered}")
