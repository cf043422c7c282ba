"""What a trace shows at each moment: queues, waiters, counts, and what every thread does.

Theory.  A state is what the events up to a number have brought, one after the other.  A `Cursor` keeps copies at equal
distances, so that it reaches any moment of a long trace from the nearest copy before it.

Own rules.  Nothing is decided here: the events say what was done, and `apply` does the same to lists of names and
numbers.  Tests hold the lists against the counts that the events carry.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from .model import Activity, PortStep, ThreadChange, Trace, TraceEvent
from .reasons import Reason
from .recorder import EventKind

CHECKPOINT_EVENTS = 1000

_COUNTED = frozenset(
    {
        EventKind.HANDED_OVER,
        EventKind.TAKEN,
        EventKind.RELEASED,
        EventKind.TIMED_OUT,
        EventKind.ALERTED,
        EventKind.UNBLOCKED,
    }
)
_NOT_COUNTED = frozenset(
    {
        EventKind.PARKED,
        EventKind.BLOCKED,
        EventKind.SUSPENDED,
        EventKind.WITHDRAWN,
        EventKind.LEFT,
        EventKind.ABANDONED,
    }
)
_OFF_THE_LIST = frozenset(
    {
        EventKind.HANDED_OVER,
        EventKind.RELEASED,
        EventKind.TIMED_OUT,
        EventKind.ALERTED,
        EventKind.ABANDONED,
        EventKind.WITHDRAWN,
        EventKind.LEFT,
    }
)
_CALL_ENDS = frozenset({EventKind.TIMED_OUT, EventKind.ALERTED, EventKind.ABANDONED, EventKind.LEFT})


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
        self._move_packets(port, event)
        if event.thread is not None:
            self._move_thread(port, event, event.thread)
        if event.reason is Reason.RUN_DOWN:
            port.counted.clear()
            port.waiters.clear()
            for name, status in self.threads.items():
                if status.port == event.port:
                    self.threads[name] = ThreadStatus(status.activity, status.processor, None, status.packets)

    @staticmethod
    def _move_packets(port: PortState, event: PortStep) -> None:
        kind = event.reason.kind
        if kind is EventKind.QUEUED:
            port.packets.update(dict.fromkeys(event.packets))
        elif kind is EventKind.PUT_BACK:
            port.packets = dict.fromkeys((*event.packets, *port.packets))
        else:
            for number in event.packets:
                port.packets.pop(number, None)

    def _move_thread(self, port: PortState, event: PortStep, name: str) -> None:
        kind = event.reason.kind
        old = self.threads.get(name, ThreadStatus())
        if kind in _OFF_THE_LIST:
            port.waiters.pop(name, None)
        if kind in _COUNTED:
            port.counted[name] = None
        elif kind in _NOT_COUNTED:
            port.counted.pop(name, None)
        if kind is EventKind.PARKED:
            port.waiters[name] = None
        belongs = None if kind in (EventKind.LEFT, EventKind.ABANDONED) else event.port
        packets = old.packets
        if event.packets or kind in _CALL_ENDS or kind is EventKind.PARKED:
            packets = event.packets
        self.threads[name] = ThreadStatus(old.activity, old.processor, belongs, packets)


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
        """Go to the moment after event `number`, 0 for the beginning.  O(1000), the first time O(distance).

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
            if event.number == self._copies[-1].number + CHECKPOINT_EVENTS:
                self._copies.append(self.state.copy())
        return self.state

    def forward(self) -> TraceState:
        """The next event happens, if there is one.  O(1)."""
        return self.seek(min(self.state.number + 1, len(self.trace.events)))

    def back(self) -> TraceState:
        """The last event is undone, if there is one.  O(1000)."""
        return self.seek(max(self.state.number - 1, 0))


def _number(state: TraceState) -> int:
    return state.number
