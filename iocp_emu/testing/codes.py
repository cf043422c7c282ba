"""States as integers: one code for each thread and one for each port.

Theory.  A thread's code has, in its bits, its state, its port, the call in which it is parked, how often it is
suspended, its pending user APCs, a result that it has not collected, and for each port its place on the list of waiters
and whether it is a member.  A port's code has its count, depth, references, handles and number of waiters, and how its
life went.  What a broken kernel may leave inconsistent has bits of its own, so that nothing is taken for granted.

Own rule.  Codes are the same numbers in every process and every Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..kernel.queue import RemoveOutcome
from ..kernel.thread import ThreadState
from ..kernel.waits import Alertability, Timeout

# A thread's code.
STATES = (
    ThreadState.RUNNABLE,
    ThreadState.PARKED,
    ThreadState.BLOCKED,
    ThreadState.SUSPENDED,
    ThreadState.EXITED,
)
RESULTS = (None, RemoveOutcome.TIMEOUT, RemoveOutcome.USER_APC, RemoveOutcome.ABANDONED)
HOME, IN_CALL, IS_DUE, IS_ALERTABLE, MAXIMUM = 3, 1 << 6, 1 << 7, 1 << 8, 9
SUSPENSIONS, APCS, RESULT, PLACES, PLACE_BITS = 15, 18, 21, 24, 5
MEMBER, NO_SUCH_PORT, OTHER_RESULT = 16, 7, 4
# A port's code; counts are shifted so that even a broken kernel's are not negative.
COUNT, DEPTH, REFERENCES, HANDLES, WAITERS, CLOSED, RUN_DOWN, FREED = 0, 6, 12, 18, 20, 24, 25, 26
SHIFT = 8

Codes = tuple[Any, ...]
"""A state: the codes of the threads, then those of the ports."""


class ThreadImage(NamedTuple):
    """A thread's code, decoded; `places` are (port, place from the bottom) on waiter lists, `ports` all it touches."""

    state: ThreadState
    home: int | None
    call: tuple[int, Timeout, Alertability] | None
    suspensions: int
    apcs: int
    result: RemoveOutcome | None
    places: tuple[tuple[int, int], ...]
    memberships: tuple[int, ...]
    ports: frozenset[int]


class Renaming:
    """A way to name the ports: port `order[n]` is called n.  Renames codes of threads, each only once."""

    def __init__(self, order: tuple[int, ...]) -> None:
        self.order = order
        self._known: dict[int, int] = {}

    def thread(self, code: int) -> int:
        """The code of a thread under the new names."""
        found = self._known.get(code)
        if found is None:
            home = code >> HOME & 7
            if 0 < home <= len(self.order):
                home = self.order.index(home - 1) + 1
            found = code & (1 << PLACES) - 1 & ~(7 << HOME) | home << HOME
            for new, old in enumerate(self.order):
                place = code >> PLACES + PLACE_BITS * old & (1 << PLACE_BITS) - 1
                found |= place << PLACES + PLACE_BITS * new
            self._known[code] = found
        return found

    def state(self, threads: Sequence[int], ports: Sequence[Any]) -> Codes:
        """A whole state under the new names, its threads sorted."""
        return (*sorted(map(self.thread, threads)), *[ports[old] for old in self.order])


def decode_thread(code: int, ports: int) -> ThreadImage:
    """A thread's code in a world with so many ports."""
    home = (code >> HOME & 7) - 1
    call = None
    if code & IN_CALL:
        call = (
            code >> MAXIMUM & 63,
            Timeout.DUE if code & IS_DUE else Timeout.LATER,
            Alertability.ALERTABLE if code & IS_ALERTABLE else Alertability.PLAIN,
        )
    marks = [code >> PLACES + PLACE_BITS * port & (1 << PLACE_BITS) - 1 for port in range(ports)]
    places = tuple((port, mark & ~MEMBER) for port, mark in enumerate(marks) if mark & ~MEMBER)
    memberships = tuple(port for port, mark in enumerate(marks) if mark & MEMBER)
    result = code >> RESULT & 7
    homes = [home] if 0 <= home < ports else []
    return ThreadImage(
        STATES[code & 7],
        homes[0] if homes else None,
        call,
        code >> SUSPENSIONS & 7,
        code >> APCS & 7,
        None if result == OTHER_RESULT else RESULTS[result],
        places,
        memberships,
        frozenset([*homes, *[port for port, _ in places], *memberships]),
    )
