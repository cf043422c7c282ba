"""What a trace shows at each moment: queues, waiters, counts, and what every thread does.

Theory.  A state is what the events up to a number have brought, one after the other.  A `Cursor` keeps copies on the
way, so that it reaches any moment of a long trace from the nearest copy before it; the larger the state, the fewer, so
that all copies together are no larger than the trace.

Own rules.  Nothing is decided here: the events say what was done, `EFFECTS` which list that concerns, and `apply` does
it.  Tests hold the lists against the counts that the events carry.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from .model import Activity, PortStep, ThreadChange, Trace, TraceEvent
from .reasons import Reason
from .recorder import EventKind

CHECKPOINT_EVENTS = 1000


class Move(enum.Enum):
    """What a step does to its threads or packets on one of the lists."""

    STAY = "stay"
    IN = "in"
    FRONT = "front"
    OUT = "out"


@dataclass(slots=True, frozen=True)
class Effect:
    """What a kind of step does: to its packets in the queue, and to its thread on the other lists.

    `waiters` are those that are parked, `counted` those that occupy slots, `members` those that are associated; `held`
    is what the thread received last.
    """

    packets: Move = Move.STAY
    waiters: Move = Move.STAY
    counted: Move = Move.STAY
    members: Move = Move.IN
    held: Move = Move.STAY


_GIVEN = Effect(packets=Move.OUT, waiters=Move.OUT, counted=Move.IN, held=Move.IN)
_EMPTY_HANDED = Effect(waiters=Move.OUT, counted=Move.IN, held=Move.OUT)
_STOPPED = Effect(counted=Move.OUT)
_GONE = Effect(waiters=Move.OUT, counted=Move.OUT, members=Move.OUT, held=Move.OUT)

EFFECTS = {
    EventKind.QUEUED: Effect(packets=Move.IN),
    EventKind.HANDED_OVER: _GIVEN,
    EventKind.TAKEN: _GIVEN,
    EventKind.RELEASED: _GIVEN,
    EventKind.PARKED: Effect(waiters=Move.IN, counted=Move.OUT, held=Move.OUT),
    EventKind.TIMED_OUT: _EMPTY_HANDED,
    EventKind.ALERTED: _EMPTY_HANDED,
    EventKind.ABANDONED: _GONE,
    EventKind.BLOCKED: _STOPPED,
    EventKind.SUSPENDED: _STOPPED,
    EventKind.UNBLOCKED: Effect(counted=Move.IN),
    EventKind.WITHDRAWN: Effect(waiters=Move.OUT),
    EventKind.LEFT: _GONE,
    EventKind.DISCARDED: Effect(packets=Move.OUT),
    EventKind.PUT_BACK: Effect(packets=Move.FRONT),
    EventKind.RUN_DOWN: Effect(packets=Move.OUT),
}
"""For each kind of step.  The page is given this table too.  A RUN_DOWN moreover ends every association."""


@dataclass(slots=True)
class PortState:
    """One port: `packets` queued, oldest first; `waiters`, the latest last, which is the top; `counted` threads."""

    limit: int
    packets: dict[int, None] = field(default_factory=dict[int, None])
    waiters: dict[str, None] = field(default_factory=dict[str, None])
    counted: dict[str, None] = field(default_factory=dict[str, None])

    @property
    def active(self) -> int:
        """How many threads are counted against the limit."""
        return len(self.counted)

    def move_packets(self, move: Move, numbers: tuple[int, ...]) -> None:
        """Let these packets come or go.  O(packets), and O(depth) for the front."""
        if move is Move.IN:
            self.packets.update(dict.fromkeys(numbers))
        elif move is Move.FRONT:
            self.packets = dict.fromkeys((*numbers, *self.packets))
        elif move is Move.OUT:
            for number in numbers:
                self.packets.pop(number, None)

    def copy(self) -> PortState:
        """One that can be changed alone.  O(size)."""
        return PortState(self.limit, dict(self.packets), dict(self.waiters), dict(self.counted))


@dataclass(slots=True, frozen=True)
class ThreadStatus:
    """One thread: what it does, on which processor, to which port it belongs, and the packets that it received last."""

    activity: Activity = Activity.RUNNING
    processor: int | None = None
    port: int | None = None
    packets: tuple[int, ...] = ()


@dataclass(slots=True)
class TraceState:
    """Everything at one moment; `number` is that of the last event that has happened, 0 before the first.

    `threads` holds those that have appeared.
    """

    number: int = 0
    time_seconds: float = 0.0
    ports: dict[int, PortState] = field(default_factory=dict[int, PortState])
    threads: dict[str, ThreadStatus] = field(default_factory=dict[str, ThreadStatus])

    @property
    def size(self) -> int:
        """How many names and numbers a copy holds."""
        return len(self.threads) + sum(len(port.packets) + len(port.waiters) for port in self.ports.values())

    def copy(self) -> TraceState:
        """One that can be changed alone.  O(size)."""
        ports = {number: port.copy() for number, port in self.ports.items()}
        return TraceState(self.number, self.time_seconds, ports, dict(self.threads))

    def apply(self, event: TraceEvent) -> None:
        """Let the next event happen.  O(1), and O(depth) where packets return to the head of a queue."""
        self.number = event.number
        self.time_seconds = event.time_seconds
        if isinstance(event, ThreadChange):
            old = self.threads.get(event.thread, ThreadStatus())
            self.threads[event.thread] = ThreadStatus(event.activity, event.processor, old.port, old.packets)
            return
        port = self.ports.get(event.port)
        if port is None:
            port = self.ports[event.port] = PortState(event.limit)
        effect = EFFECTS[event.reason.kind]
        port.move_packets(effect.packets, event.packets)
        if event.thread is not None:
            self._move_thread(port, event, event.thread, effect)
        if event.reason is Reason.RUN_DOWN:
            self._end_associations(port, event.port)

    def _move_thread(self, port: PortState, event: PortStep, name: str, effect: Effect) -> None:
        _move(port.waiters, name, effect.waiters)
        _move(port.counted, name, effect.counted)
        old = self.threads.get(name, ThreadStatus())
        belongs = None if effect.members is Move.OUT else event.port
        held = old.packets if effect.held is Move.STAY else event.packets
        self.threads[name] = ThreadStatus(old.activity, old.processor, belongs, held)

    def _end_associations(self, port: PortState, number: int) -> None:
        port.counted.clear()
        port.waiters.clear()
        for name, status in self.threads.items():
            if status.port == number:
                self.threads[name] = ThreadStatus(status.activity, status.processor, None, status.packets)


def _move(names: dict[str, None], name: str, move: Move) -> None:
    if move is Move.IN:
        names[name] = None
    elif move is Move.OUT:
        names.pop(name, None)


def states(trace: Trace) -> Iterator[tuple[TraceEvent, TraceState]]:
    """Each event with the state after it.  One state object, which goes along: copy what you keep."""
    state = TraceState()
    for event in trace.events:
        state.apply(event)
        yield event, state


class Cursor:
    """A place in a trace that can be moved; `state` is what is so there.

    Events that are appended to the trace later are found too.

    >>> from iocp_emu.trace.model import Engine
    >>> trace = Trace("t", Engine.THREADS, events=[ThreadChange(1, 0.5, "a", Activity.RUNNING)])
    >>> cursor = Cursor(trace)
    >>> cursor.seek(1).threads["a"].activity.name, cursor.back().threads
    ('RUNNING', {})
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.state = TraceState()
        self._copies = [TraceState()]

    def seek(self, number: int) -> TraceState:
        """Go to the moment after event `number`, 0 for the beginning.  O(1000 + depth), the first time O(distance).

        Raises `IndexError` when the trace has no such event.
        """
        events = self.trace.events
        if not 0 <= number <= len(events):
            raise IndexError(f"event {number}: this trace has the events 1 to {len(events)}")
        nearest = self._copies[bisect_right(self._copies, number, key=_number) - 1]
        if not nearest.number <= self.state.number <= number:
            self.state = nearest.copy()
        for event in events[self.state.number : number]:
            self.state.apply(event)
            if event.number >= self._copies[-1].number + max(CHECKPOINT_EVENTS, 4 * self.state.size):
                self._copies.append(self.state.copy())
        return self.state

    def forward(self) -> TraceState:
        """The next event happens, if there is one.  O(1)."""
        return self.seek(min(self.state.number + 1, len(self.trace.events)))

    def back(self) -> TraceState:
        """The last event is undone, if there is one.  O(1000 + depth)."""
        return self.seek(max(self.state.number - 1, 0))


def _number(state: TraceState) -> int:
    return state.number
