"""Why a port took a step: each course that its scheduler can take, with the rules and a sentence.

Theory.  The recorder tells what a queue did (`EventKind`).  Often two rules lead to the same deed: a thread parks since
nothing is queued (Q-11), or since it is a newcomer at the limit (Q-13), or since the count exceeds the limit even
without it (Q-32).  A `Reason` is the deed together with the case.  `choose_reason` finds the case from what was so
before the step; nothing here decides what happens.

Own rules.  Sentences are for newcomers, in words of our own; what stands in braces is filled in by `model`, and by the
page, which is given this table.  The names of the reasons stand in files: they are never renamed.
"""

from __future__ import annotations

import enum

from .recorder import EventKind


class Reason(enum.Enum):
    """What happened and by which rules, the most telling first; in `brief`, and in a `sentence` or two that say why.

    Both are templates: see `model.brief` and `model.explain`.
    """

    def __init__(self, kind: EventKind, rules: tuple[str, ...], brief: str, sentence: str) -> None:
        self.kind = kind
        self.rules = rules
        self.brief = brief
        self.sentence = sentence

    QUEUED = (
        EventKind.QUEUED,
        ("Q-10", "Q-05"),
        "{by} queues {short}",
        "{by} brings {packets}. Nobody is parked, so it is queued; depth {depth}.",
    )
    QUEUED_AT_LIMIT = (
        EventKind.QUEUED,
        ("Q-10", "Q-13"),
        "{by} queues {short}: limit reached",
        "{by} brings {packets}. Threads are parked, but the count {active} has reached the limit {limit}: it is "
        "queued; depth {depth}.",
    )
    QUEUED_IN_APC = (
        EventKind.QUEUED,
        ("Q-18",),
        "{by} queues {short} in a kernel APC",
        "{by} brings {packets} while a kernel APC interrupts its own waiting: it is queued, and that thread looks "
        "first.",
    )
    HANDED_OVER = (
        EventKind.HANDED_OVER,
        ("Q-10", "Q-07", "Q-22"),
        "{by} hands {short} to {thread}, top waiter",
        "{by} brings {packets}. A slot is free and a thread is parked: {thread}, which parked last, gets it at once "
        "and is counted: {active} of {limit}.",
    )
    HANDED_OVER_TO_OLDEST = (
        EventKind.HANDED_OVER,
        ("Q-10", "Q-22"),
        "{by} hands {short} to {thread}, oldest waiter",
        "{by} brings {packets}. {thread}, which has waited longest, gets it at once: this profile serves waiters in "
        "the order of their arrival.",
    )
    TAKEN = (
        EventKind.TAKEN,
        ("Q-11", "Q-20", "Q-21"),
        "{thread} takes {short}",
        "{thread} comes to port {port}, finds a slot free and takes {packets}, the oldest; it is counted: {active} of"
        " {limit}.",
    )
    TAKEN_BY_MEMBER = (
        EventKind.TAKEN,
        ("Q-14", "Q-11"),
        "{thread} takes {short}, no wait",
        "{thread} is back. It gives up its slot, looks before any parked thread, and takes {packets}, the oldest: no "
        "wait, no change of thread. Counted: {active} of {limit}.",
    )
    TAKEN_BATCH = (
        EventKind.TAKEN,
        ("Q-19", "Q-11", "Q-21"),
        "{thread} takes {short} in one call",
        "{thread} comes to port {port} and takes {packets} in one call; one thread is counted for them: {active} of "
        "{limit}.",
    )
    TAKEN_BATCH_BY_MEMBER = (
        EventKind.TAKEN,
        ("Q-19", "Q-11", "Q-14"),
        "{thread} takes {short} in one call, no wait",
        "{thread} is back and takes {packets} in one call; one thread is counted for them: {active} of {limit}.",
    )
    TAKEN_AGAIN = (
        EventKind.TAKEN,
        ("Q-08", "Q-17"),
        "{thread} looks again and takes {short}",
        "{thread} comes back to its interrupted call, looks again and takes {packets}.",
    )
    RELEASED = (
        EventKind.RELEASED,
        ("Q-25", "Q-07", "Q-22"),
        "{short} released to {thread}, top waiter",
        "A slot has come free (event {cause}), so the oldest, {packets}, goes to the thread that parked last: {thread}"
        " is counted, {active} of {limit}.",
    )
    RELEASED_OLDEST = (
        EventKind.RELEASED,
        ("Q-25", "Q-22"),
        "{short} released to {thread}, oldest waiter",
        "A slot has come free (event {cause}), so the oldest, {packets}, goes to {thread}, which has waited longest: "
        "this profile serves waiters in the order of their arrival.",
    )
    RELEASED_BY_LOOK = (
        EventKind.RELEASED,
        ("Q-25", "Q-22"),
        "{short} released to {thread}",
        "The port looks once more: a slot is free and {packets} is queued, so {thread} gets it and is counted: "
        "{active} of {limit}.",
    )
    PARKED = (
        EventKind.PARKED,
        ("Q-11", "Q-12"),
        "{thread} parks: nothing queued",
        "{thread} finds no packet on port {port} and parks, on top of those that wait. Counted: {active} of {limit}.",
    )
    PARKED_AT_LIMIT = (
        EventKind.PARKED,
        ("Q-13", "Q-11"),
        "{thread} parks: limit reached",
        "{thread} comes to port {port}. Packets are queued, but the count {active} has reached the limit {limit}: a "
        "newcomer may not take any, and parks on top.",
    )
    PARKED_IN_EXCESS = (
        EventKind.PARKED,
        ("Q-32", "Q-11"),
        "{thread} parks: the excess drains",
        "{thread} is back and gives up its slot, but even without it the count {active} reaches the limit {limit}: it"
        " parks although packets are queued. So an excess drains.",
    )
    PARKED_AGAIN = (
        EventKind.PARKED,
        ("Q-08", "Q-17"),
        "{thread} parks again, on top",
        "{thread} comes back to its interrupted call, finds nothing that it may take, and parks again, on top.",
    )
    TIMED_OUT = (
        EventKind.TIMED_OUT,
        ("Q-24", "Q-33"),
        "{thread} times out",
        "{thread} has waited as long as it wanted: it returns without a packet and is counted, whatever the limit "
        "says: {active} of {limit}.",
    )
    TIMED_OUT_AT_ONCE = (
        EventKind.TIMED_OUT,
        ("Q-30", "Q-11"),
        "{thread} finds nothing, does not wait",
        "{thread} looks without waiting and finds no packet. It belongs to port {port} all the same and is counted: "
        "{active} of {limit}.",
    )
    TIMED_OUT_AT_LIMIT = (
        EventKind.TIMED_OUT,
        ("Q-30", "Q-13"),
        "{thread} may not take any: limit reached",
        "{thread} looks without waiting. Packets are queued, but without it the count already reaches the limit "
        "{limit}: none is for it. It is counted: {active}.",
    )
    ALERTED = (
        EventKind.ALERTED,
        ("Q-24", "O-07"),
        "{thread} returns for a user APC",
        "The wait of {thread} ends for a user APC, without a packet; it is counted, whatever the limit says: {active}"
        " of {limit}.",
    )
    ALERTED_AT_ONCE = (
        EventKind.ALERTED,
        ("Q-31", "Q-11"),
        "{thread} finds a user APC instead",
        "{thread} finds no packet that it may take, but a user APC that is pending: the call ends for that. Counted: "
        "{active} of {limit}.",
    )
    ABANDONED = (
        EventKind.ABANDONED,
        ("O-21",),
        "{thread} is abandoned: port closed",
        "Port {port} is closed: the call of {thread} ends as abandoned, without a packet.",
    )
    BLOCKED = (
        EventKind.BLOCKED,
        ("Q-23",),
        "{thread} blocks: its slot is free",
        "{thread} blocks on something other than its port and gives up its slot: {active} of {limit}.",
    )
    SUSPENDED = (
        EventKind.SUSPENDED,
        ("Q-23",),
        "{thread} is suspended: its slot is free",
        "{thread} is suspended, which counts as blocking: its slot is free, {active} of {limit}.",
    )
    UNBLOCKED = (
        EventKind.UNBLOCKED,
        ("Q-26",),
        "{thread} can run again: counted",
        "{thread} can run again and is counted at once: {active} of {limit}.",
    )
    UNBLOCKED_OVER_LIMIT = (
        EventKind.UNBLOCKED,
        ("Q-26", "Q-27"),
        "{thread} can run again: above the limit",
        "{thread} can run again and is counted at once, with no look at the limit: {active} threads now, though the "
        "limit is {limit}. Nobody is stopped; the excess drains as threads give up slots.",
    )
    WITHDRAWN = (
        EventKind.WITHDRAWN,
        ("Q-08", "Q-17"),
        "{thread} steps out of the waiters",
        "{thread} steps out of the list of waiters, for a suspension or a kernel APC; its call goes on.",
    )
    LEFT = (
        EventKind.LEFT,
        ("Q-15",),
        "{thread} leaves for another port",
        "{thread} turns to another port and so leaves port {port}: {active} of {limit} remain counted here.",
    )
    LEFT_AT_END = (
        EventKind.LEFT,
        ("Q-28",),
        "{thread} ends and leaves",
        "{thread} ends and so leaves port {port}: {active} of {limit} remain counted.",
    )
    DISCARDED = (
        EventKind.DISCARDED,
        ("X-06",),
        "{short} taken back out of the queue",
        "{packets} is taken back out of the queue, and nobody gets it; depth {depth}.",
    )
    PUT_BACK = (
        EventKind.PUT_BACK,
        ("Q-35",),
        "{short} put back: call interrupted",
        "A call was interrupted before it could return {packets}: back to the head of the queue, so that nothing is "
        "lost.",
    )
    RUN_DOWN = (
        EventKind.RUN_DOWN,
        ("Q-34", "H-05"),
        "queue run down; {short} dropped",
        "Port {port} is gone for good: {packets} left in it, and no thread belongs to it any more.",
    )


_BY_LOOKING = {
    EventKind.TIMED_OUT: (Reason.TIMED_OUT_AT_ONCE, Reason.TIMED_OUT),
    EventKind.ALERTED: (Reason.ALERTED_AT_ONCE, Reason.ALERTED),
}
_ONLY = {
    EventKind.ABANDONED: Reason.ABANDONED,
    EventKind.BLOCKED: Reason.BLOCKED,
    EventKind.SUSPENDED: Reason.SUSPENDED,
    EventKind.WITHDRAWN: Reason.WITHDRAWN,
    EventKind.DISCARDED: Reason.DISCARDED,
    EventKind.PUT_BACK: Reason.PUT_BACK,
    EventKind.RUN_DOWN: Reason.RUN_DOWN,
}


class Standing(enum.Enum):
    """How a thread stood to the port before the step."""

    STRANGER = "not associated with it"
    MEMBER = "associated, and neither parked nor withdrawn"
    TOP_WAITER = "parked last of all that are parked"
    WAITER = "parked, and others parked later"
    WITHDRAWN = "out of the list of waiters, in a call that goes on"


class Departure(enum.Enum):
    """Why a thread leaves a port."""

    END = "it ends"
    MOVE = "it dequeues from another port"


def choose_reason(
    kind: EventKind,
    standing: Standing,
    departure: Departure,
    *,
    active: int,
    limit: int,
    depth: int,
    waiting: int,
    packets: int,
    has_cause: bool,
) -> Reason:
    """The case of a step, from its kind, how its thread stood before, and the counts after it.  O(1)."""
    if kind in _ONLY:
        return _ONLY[kind]
    if kind in _BY_LOOKING:
        at_once, later = _BY_LOOKING[kind]
        if standing in (Standing.WAITER, Standing.TOP_WAITER):
            return later
        return Reason.TIMED_OUT_AT_LIMIT if kind is EventKind.TIMED_OUT and depth else at_once
    if kind is EventKind.QUEUED:
        if not waiting:
            return Reason.QUEUED
        return Reason.QUEUED_AT_LIMIT if active >= limit else Reason.QUEUED_IN_APC
    if kind is EventKind.HANDED_OVER:
        return Reason.HANDED_OVER_TO_OLDEST if standing is Standing.WAITER else Reason.HANDED_OVER
    if kind is EventKind.RELEASED:
        if not has_cause:
            return Reason.RELEASED_BY_LOOK
        return Reason.RELEASED_OLDEST if standing is Standing.WAITER else Reason.RELEASED
    if kind is EventKind.UNBLOCKED:
        return Reason.UNBLOCKED_OVER_LIMIT if active > limit else Reason.UNBLOCKED
    if kind is EventKind.LEFT:
        return Reason.LEFT_AT_END if departure is Departure.END else Reason.LEFT
    if kind is EventKind.TAKEN:
        return _taken(standing, packets)
    assert kind is EventKind.PARKED
    if standing is Standing.WITHDRAWN:
        return Reason.PARKED_AGAIN
    if not depth:
        return Reason.PARKED
    return Reason.PARKED_IN_EXCESS if standing is Standing.MEMBER else Reason.PARKED_AT_LIMIT


def _taken(standing: Standing, packets: int) -> Reason:
    if standing is Standing.WITHDRAWN:
        return Reason.TAKEN_AGAIN
    if standing is Standing.MEMBER:
        return Reason.TAKEN_BY_MEMBER if packets == 1 else Reason.TAKEN_BATCH_BY_MEMBER
    return Reason.TAKEN if packets == 1 else Reason.TAKEN_BATCH
