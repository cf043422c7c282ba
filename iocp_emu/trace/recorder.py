"""A recording queue: it does what `KernelQueue` does and tells a sink about each step.

Theory.  A system is given `Recorder.queue_type`; from then on every port has a queue that runs the kernel's own
procedures and, after each, reports one `QueueEvent` with the state that the procedure left behind.  No rule is
repeated here: what happened is read from what the procedures return and from what they hand to one another.  A system
without a recorder runs the plain queue and pays nothing.

A slot that comes free is reported before what it sets off: BLOCKED, SUSPENDED or LEFT first, then RELEASED, which names
that event as its `cause`.

Own rules.  The sink is called in the middle of verbs, under the lock of the runtime: it must be quick, must not raise
and must not run verbs.  Events of one recorder come in one order, that of the kernel.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

from ..kernel.objects import KernelObject
from ..kernel.queue import Dequeue, KernelQueue, Place, RemoveOutcome
from ..kernel.thread import KernelThread, ThreadState
from ..profiles import WaiterOrder


class EventKind(enum.Enum):
    """What a queue did; the value says it in words, with the rule."""

    QUEUED = "a packet was queued (Q-10)"
    HANDED_OVER = "a packet met a waiter and a free slot (Q-10)"
    TAKEN = "a thread found packets when it looked (Q-11, Q-14)"
    RELEASED = "a slot came free: the oldest packet went to a waiter (Q-25)"
    PARKED = "a thread found nothing that it may take, and waits (Q-11)"
    TIMED_OUT = "a wait ended with its time (Q-24)"
    ALERTED = "a wait ended for a user APC (Q-24)"
    ABANDONED = "a wait ended with the port (O-21)"
    BLOCKED = "a counted thread blocks elsewhere (Q-23)"
    SUSPENDED = "a counted thread was suspended (Q-23)"
    UNBLOCKED = "a thread is runnable again and counted (Q-26)"
    WITHDRAWN = "a waiter left the list for an APC or a suspension (Q-08, Q-17)"
    LEFT = "a thread ended or went to another port (Q-15, Q-28)"
    DISCARDED = "a packet was taken back out of the queue (X-06)"
    PUT_BACK = "packets returned to the head of the queue (Q-35)"
    RUN_DOWN = "the queue was emptied for good (Q-34, H-05)"


DELIVERIES = frozenset({EventKind.HANDED_OVER, EventKind.TAKEN, EventKind.RELEASED})
"""The kinds that give packets to a thread."""


@dataclass(slots=True)
class QueueEvent:
    """One step of one queue, and the state after it.

    `time_seconds` counts from the recorder's start, on its clock.  `port` numbers the recorder's queues from 1.
    `thread` is the name of the thread that it happened to, None for a packet that is only queued.  `packets` are those
    concerned, oldest first.  `active` threads are counted against `limit`, `depth` packets are queued, `waiting`
    threads are parked.  `cause` is what a RELEASED followed from: a BLOCKED, SUSPENDED, LEFT or PUT_BACK; None when the
    runtime merely asked for a release step.
    """

    time_seconds: float
    kind: EventKind
    port: int
    thread: str | None
    packets: tuple[Any, ...]
    active: int
    limit: int
    depth: int
    waiting: int
    cause: QueueEvent | None = None


Sink = Callable[[QueueEvent], object]


class Recorder:
    """Hands out a queue type whose queues report to `sink`.

    `clock` returns seconds and never goes back; a simulation passes its own.

    >>> from iocp_emu import CompletionPort, ThreadSystem, use
    >>> events = []
    >>> with use(ThreadSystem(queue_type=Recorder(events.append).queue_type)), CompletionPort() as port:
    ...     port.post(key="first")
    ...     port.get().key
    'first'
    >>> [event.kind.name for event in events]
    ['QUEUED', 'TAKEN', 'RUN_DOWN']
    """

    __slots__ = ("_clock", "_started", "ports", "queue_type", "sink")

    def __init__(self, sink: Sink, clock: Callable[[], float] = perf_counter) -> None:
        self.sink = sink
        self._clock = clock
        self._started = clock()
        self.ports = 0

        class BoundQueue(RecordingQueue):
            __slots__ = ()
            recorder = self

        self.queue_type: type[KernelQueue[Any]] = BoundQueue

    def now(self) -> float:
        """Seconds since the recorder was made."""
        return self._clock() - self._started


_ENDINGS = {RemoveOutcome.TIMEOUT: EventKind.TIMED_OUT, RemoveOutcome.USER_APC: EventKind.ALERTED}


class RecordingQueue(KernelQueue[Any]):
    """The kernel's queue with a witness.

    `_freeing` is what is about to free a slot, until the release step that follows has reported it.
    """

    __slots__ = ("_abandoned", "_cause", "_freeing", "_is_releasing", "port")
    recorder: ClassVar[Recorder]

    def __init__(
        self,
        maximum_count: int,
        *,
        owner: KernelObject | None = None,
        waiter_order: WaiterOrder = WaiterOrder.LIFO,
        sweep_on_wake: bool = False,
    ) -> None:
        super().__init__(maximum_count, owner=owner, waiter_order=waiter_order, sweep_on_wake=sweep_on_wake)
        self.recorder.ports += 1
        self.port = self.recorder.ports
        self._abandoned: list[KernelThread] = []
        self._freeing: tuple[EventKind, KernelThread | None, tuple[Any, ...]] | None = None
        self._cause: QueueEvent | None = None
        self._is_releasing = False

    def _report(
        self,
        kind: EventKind,
        thread: KernelThread | None = None,
        packets: Iterable[Any] = (),
        cause: QueueEvent | None = None,
    ) -> QueueEvent:
        event = QueueEvent(
            self.recorder.now(),
            kind,
            self.port,
            None if thread is None else thread.name,
            tuple(packets),
            self.current_count,
            self.maximum_count,
            len(self.packets),
            len(self.waiters),
            cause,
        )
        self.recorder.sink(event)
        return event

    def _announce(self) -> QueueEvent | None:
        """Report what has just freed a slot, or returned packets, if that has not been reported yet."""
        freeing, self._freeing = self._freeing, None
        return None if freeing is None else self._report(*freeing)

    # -- the three procedures ----------------------------------------------------------------------------------

    def insert(self, packet: Any, place: Place = Place.TAIL, interrupted: KernelThread | None = None) -> int:
        """As the kernel does; QUEUED when the packet stayed, else `_end_park` has reported the hand-over."""
        previous = super().insert(packet, place, interrupted)
        if len(self.packets) > previous:
            self._report(EventKind.QUEUED, packets=[packet])
        return previous

    def release(self) -> KernelThread | None:
        """As the kernel does, after reporting what has freed the slot."""
        self._cause = self._announce()
        self._is_releasing = True
        try:
            return super().release()
        finally:
            self._is_releasing = False
            self._cause = None

    def _look(self, thread: KernelThread, dequeue: Dequeue) -> list[Any] | RemoveOutcome | None:
        result = super()._look(thread, dequeue)
        if isinstance(result, list):
            self._report(EventKind.TAKEN, thread, result)
        elif result is None:
            self._report(EventKind.PARKED, thread)
        else:
            self._report(_ENDINGS[result], thread)
        return result

    def _end_park(self, thread: KernelThread, result: list[Any] | RemoveOutcome) -> None:
        super()._end_park(thread, result)
        if isinstance(result, list):
            kind = EventKind.RELEASED if self._is_releasing else EventKind.HANDED_OVER
            self._report(kind, thread, result, self._cause)
        elif result is RemoveOutcome.ABANDONED:
            self._abandoned.append(thread)
        else:
            self._report(_ENDINGS[result], thread)

    # -- members that start, stop, step aside and leave --------------------------------------------------------

    def thread_started(self, thread: KernelThread) -> None:
        """As the kernel does; UNBLOCKED."""
        super().thread_started(thread)
        self._report(EventKind.UNBLOCKED, thread)

    def thread_stopped(self, thread: KernelThread) -> None:
        """As the kernel does; BLOCKED or SUSPENDED, unless the thread leaves."""
        if self._freeing is None:
            kind = EventKind.SUSPENDED if thread.state is ThreadState.SUSPENDED else EventKind.BLOCKED
            self._freeing = (kind, thread, ())
        super().thread_stopped(thread)

    def leave(self, thread: KernelThread) -> None:
        """As the kernel does; LEFT, before the release step if there is one."""
        self._freeing = (EventKind.LEFT, thread, ())
        super().leave(thread)
        self._announce()

    def withdraw(self, thread: KernelThread) -> None:
        """As the kernel does; WITHDRAWN."""
        super().withdraw(thread)
        self._report(EventKind.WITHDRAWN, thread)

    # -- packets out of turn, and the end ----------------------------------------------------------------------

    def discard(self, packet: Any) -> bool:
        """As the kernel does; DISCARDED."""
        found = super().discard(packet)
        if found:
            self._report(EventKind.DISCARDED, packets=[packet])
        return found

    def put_back(self, packets: Iterable[Any]) -> None:
        """As the kernel does; PUT_BACK, before the packets are offered again."""
        returned = tuple(packets)
        self._freeing = (EventKind.PUT_BACK, None, returned)
        super().put_back(returned)

    def run_down(self) -> list[Any]:
        """As the kernel does; ABANDONED for each waiter in the order of release, then RUN_DOWN with what was queued."""
        dropped = super().run_down()
        abandoned, self._abandoned = self._abandoned, []
        for thread in abandoned:
            self._report(EventKind.ABANDONED, thread)
        self._report(EventKind.RUN_DOWN, packets=dropped)
        return dropped

    def _abandon_withdrawn(self, thread: KernelThread) -> None:
        super()._abandon_withdrawn(thread)
        self._abandoned.append(thread)
