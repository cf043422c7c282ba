"""The tour's figures: what a port did, added up while it happens.

Theory.  The recorder reports every step of the port's queue; here each step goes into sums, so that a tour over a
million files needs no more memory than one over ten.  The only things kept in full are the packets that are queued and
the names of those that wait: a second, deliberately naive account of the two orders (Q-06, Q-07).

Own rule.  `PortFigures.observe` runs under the lock of the runtime, `begin` and `end` are called under it: so none of
this needs a lock of its own.  Read the figures when the port is at rest.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..trace.recorder import DELIVERIES, EventKind, QueueEvent

SAMPLES = 5
"""How many examples of one thing are kept."""


class Timeline:
    """How many seconds the count stood where, in up to `columns` slices of equal width.

    When the slices are used up, neighbours are merged and each covers twice the time.
    """

    def __init__(self, columns: int = 128, slice_seconds: float = 0.0001) -> None:
        self.columns = columns
        self.slice_seconds = slice_seconds
        self.slices: list[dict[int, float]] = []

    def add(self, begin: float, end: float, count: int) -> None:
        """The count was `count` from `begin` to `end`, in seconds since the timeline's start.  O(slices concerned)."""
        while end > self.slice_seconds * self.columns:
            self._merge()
        while begin < end:
            number = int(begin / self.slice_seconds)
            if (number + 1) * self.slice_seconds <= begin:  # the division was rounded down
                number += 1
            number = min(number, self.columns - 1)
            self.slices.extend({} for _ in range(len(self.slices), number + 1))
            until = end if number == self.columns - 1 else min(end, (number + 1) * self.slice_seconds)
            _add(self.slices[number], {count: until - begin})
            begin = until

    def seconds_at(self) -> dict[int, float]:
        """Seconds at each count that was reached, smallest count first."""
        total: dict[int, float] = {}
        for seconds in self.slices:
            _add(total, seconds)
        return dict(sorted(total.items()))

    def _merge(self) -> None:
        merged: list[dict[int, float]] = []
        for first in range(0, len(self.slices), 2):
            together = self.slices[first]
            for seconds in self.slices[first + 1 : first + 2]:
                _add(together, seconds)
            merged.append(together)
        self.slices = merged
        self.slice_seconds *= 2


def _add(total: dict[int, float], seconds: dict[int, float]) -> None:
    for count, share in seconds.items():
        total[count] = total.get(count, 0.0) + share


@dataclass(slots=True)
class ThreadFigures:
    """What one worker did: packets received in each way, and how often, and for how long, it blocked."""

    received: Counter[EventKind] = field(default_factory=Counter[EventKind])
    parked: int = 0
    blocked: int = 0
    blocked_seconds: float = 0.0
    blocked_since: float | None = None


class Release(NamedTuple):
    """A slot given away: when (seconds since the start), by whom, and who got the oldest packet for it."""

    seconds: float
    by: str
    to: str
    key: Any


class Peak(NamedTuple):
    """The highest count: when it was reached first, and by which step of which thread."""

    active: int
    seconds: float
    kind: EventKind | None
    thread: str | None


class PortFigures:
    """The sums of one port.

    `deliveries`: packets by the way in which they reached a thread.  `avoided`: those that were taken at once while
    somebody was parked.  `released_by`: waiters released, by what freed the slot.  `exceeded_by`: steps that raised the
    count above the limit, by kind.  The three lists of faults hold the first few cases, as sentences, in which the
    limit or an order was not kept; they should be empty.
    """

    def __init__(self) -> None:
        self.threads: dict[str, ThreadFigures] = {}
        self.deliveries: Counter[EventKind] = Counter()
        self.avoided = 0
        self.queued = 0
        self.dropped = 0
        self.deepest = 0
        self.blocked = 0
        self.unblocked = 0
        self.released_by: Counter[EventKind] = Counter()
        self.releases: list[Release] = []
        self.exceeded_by: Counter[EventKind] = Counter()
        self.peak = Peak(0, 0.0, None, None)
        self.timeline = Timeline()
        self.limit_faults: list[str] = []
        self.fifo_faults: list[str] = []
        self.lifo_faults: list[str] = []
        self._waiters: list[str] = []
        self._packets: deque[Any] = deque()
        self._active = 0
        self._start = 0.0
        self._since: float | None = None

    @property
    def delivered(self) -> int:
        """Packets that reached a thread."""
        return sum(self.deliveries.values())

    def begin(self, now: float) -> None:
        """The timeline starts `now`, in seconds on the recorder's clock; other times count from here."""
        self._start = self._since = now

    def end(self, now: float) -> None:
        """The timeline ends `now`."""
        self._advance(now)
        self._since = None

    def _advance(self, now: float) -> None:
        if self._since is not None:
            self.timeline.add(self._since - self._start, now - self._start, self._active)
            self._since = now

    def observe(self, event: QueueEvent) -> None:
        """Add one step.  O(1), and O(waiting) where a wait ends without a packet."""
        self._advance(event.time_seconds)
        has_risen = event.active > self._active
        self._active = event.active
        self.deepest = max(self.deepest, event.depth)
        kind, name = event.kind, event.thread
        if name is None:
            if kind is EventKind.QUEUED:
                self.queued += 1
                self._packets.extend(event.packets)
            elif kind is EventKind.RUN_DOWN:
                self.dropped += len(event.packets)
                self._packets.clear()
            return
        thread = self.threads.setdefault(name, ThreadFigures())
        if kind in DELIVERIES:
            self._deliver(event, name, thread)
        elif kind is EventKind.PARKED:
            thread.parked += 1
            self._waiters.append(name)
        elif kind is EventKind.BLOCKED:
            self.blocked += 1
            thread.blocked += 1
            thread.blocked_since = event.time_seconds
        elif kind is EventKind.UNBLOCKED:
            self.unblocked += 1
            if thread.blocked_since is not None:
                thread.blocked_seconds += event.time_seconds - thread.blocked_since
                thread.blocked_since = None
        elif name in self._waiters:
            self._waiters.remove(name)
        if has_risen and event.active > event.limit:
            self.exceeded_by[kind] += 1
        if event.active > self.peak.active:
            self.peak = Peak(event.active, event.time_seconds - self._start, kind, name)

    def _deliver(self, event: QueueEvent, name: str, thread: ThreadFigures) -> None:
        count = len(event.packets)
        kind = event.kind
        self.deliveries[kind] += count
        thread.received[kind] += count
        if event.active > event.limit:
            _note(self.limit_faults, f"{name}: {kind.name} at {event.active} of {event.limit}")
        if kind is EventKind.TAKEN:
            self.avoided += count if event.waiting else 0
        elif not self._waiters or self._waiters.pop() != name:
            _note(self.lifo_faults, f"{kind.name} to {name}, who was not the last to park")
        if kind is not EventKind.HANDED_OVER:
            for packet in event.packets:
                if not self._packets or self._packets.popleft() is not packet:
                    _note(self.fifo_faults, f"{name} got a packet that was not the oldest")
        if event.cause is not None:
            self.released_by[event.cause.kind] += 1
            if event.cause.kind is EventKind.BLOCKED and len(self.releases) < SAMPLES:
                by = event.cause.thread or ""
                self.releases.append(Release(event.time_seconds - self._start, by, name, event.packets[0].key))


def _note(faults: list[str], fault: str) -> None:
    if len(faults) < SAMPLES:
        faults.append(fault)
