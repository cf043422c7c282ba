"""Recording a trace: one recorder, for real threads and for simulations.

Theory.  Two witnesses tell what happens.  The queues of `recorder` report each step of a port.  The threads that a
traced system makes report when they change: whatever writes `state` or `place` of such a thread writes it through its
own `__setattr__`.  Both end in one list, in the order of the kernel.

A queue reports its step when the thread has been changed already; the change is moved behind the step that explains it,
so that a reader meets the reason first.

Own rules.  All of this runs under the lock of the runtime: it is quick, does not raise and runs no verb, and so never
asks an object of the program for its `repr`.  What a thread has received is kept alive until it receives something
else, since it may yet be put back.  A system that is not traced has nothing of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from threading import get_ident
from typing import Any, ClassVar

from ..errors import Win32Error
from ..kernel.completion import IoCompletion, Packet
from ..kernel.jobs import Job
from ..kernel.thread import ThreadState
from ..kernel.waitpackets import ReserveObject, WaitCompletionPacket
from ..profiles import Profile
from ..runtime.ambient import use
from ..runtime.key_text import key_text
from ..runtime.simulation import Simulation
from ..runtime.threads import OsThread, ThreadSystem
from ..runtime.virtual_threads import Place, VirtualThread
from .model import Activity, Engine, PortStep, ThreadChange, Trace, TracePacket
from .reasons import Departure, Standing, choose_reason
from .recorder import DELIVERIES, EventKind, QueueEvent, Recorder

_ACTIVITIES = {
    ThreadState.RUNNABLE: Activity.RUNNING,
    ThreadState.PARKED: Activity.PARKED,
    ThreadState.BLOCKED: Activity.BLOCKED,
    ThreadState.SUSPENDED: Activity.SUSPENDED,
    ThreadState.EXITED: Activity.ENDED,
}
_WAITING = frozenset({Activity.PARKED, Activity.BLOCKED, Activity.SUSPENDED})
_EXPLAINED: dict[EventKind, frozenset[tuple[Activity | None, Activity]]] = {
    EventKind.PARKED: frozenset((before, Activity.PARKED) for before in (None, *Activity)),
    EventKind.BLOCKED: frozenset((before, Activity.BLOCKED) for before in (None, *Activity)),
    EventKind.SUSPENDED: frozenset((before, Activity.SUSPENDED) for before in (None, *Activity)),
    EventKind.UNBLOCKED: frozenset((before, Activity.RUNNING) for before in _WAITING),
    **{
        kind: frozenset({(Activity.PARKED, Activity.RUNNING)})
        for kind in (
            EventKind.HANDED_OVER,
            EventKind.RELEASED,
            EventKind.TIMED_OUT,
            EventKind.ALERTED,
            EventKind.ABANDONED,
        )
    },
}
"""Which changes of its thread (from, to) each kind of step explains."""


class TraceRecorder:
    """Writes `trace`.

    `clock` gives seconds.  A system that is to be traced is made with `queue_type` and makes its threads of
    `os_thread_type` or `virtual_thread_type`; `caller` tells the name of the thread that calls, None when none does.
    """

    def __init__(self, trace: Trace, clock: Callable[[], float] | None = None) -> None:
        self.trace = trace
        self.caller: Callable[[], str | None] = _nobody
        self._recorder = Recorder(self._on_step) if clock is None else Recorder(self._on_step, clock)
        self._is_on = True
        self._doing: dict[str, tuple[Activity, int | None]] = {}
        self._before: Activity | None = None
        self._homes: dict[str, int] = {}
        self._waiters: dict[int, dict[str, None]] = {}
        self._in_call: set[str] = set()
        self._numbers: dict[int, tuple[int, Any]] = {}
        self._held: dict[str, tuple[Any, ...]] = {}
        self._held_numbers: dict[str, tuple[int, ...]] = {}
        self._ending: str | None = None
        self._cause: tuple[QueueEvent, int] | None = None
        recorder = self

        class BoundOsThread(_TracedOsThread):
            __slots__ = ()
            trace_recorder = recorder

        class BoundVirtualThread(_TracedVirtualThread):
            __slots__ = ()
            trace_recorder = recorder

        self.queue_type = self._recorder.queue_type
        self.os_thread_type: type[OsThread] = BoundOsThread
        self.virtual_thread_type: type[VirtualThread] = BoundVirtualThread

    def stop(self) -> None:
        """Whatever happens from now on is not recorded."""
        self._is_on = False

    # -- threads -----------------------------------------------------------------------------------------------

    def on_thread(self, name: str, activity: Activity, processor: int | None) -> None:
        """A thread does something, perhaps the same as before."""
        if not self._is_on or self._doing.get(name) == (activity, processor):
            return
        if name not in self._doing:
            self.trace.threads.append(name)
            self._before = None
        else:
            self._before = self._doing[name][0]
        self._doing[name] = (activity, processor)
        events = self.trace.events
        events.append(ThreadChange(len(events) + 1, self._now(), name, activity, processor))

    def on_exit(self, name: str | None) -> None:
        """This thread, or now none any more, is in the middle of its end."""
        self._ending = name

    def _now(self) -> float:
        return self._recorder.now()

    # -- queues ------------------------------------------------------------------------------------------------

    def _on_step(self, event: QueueEvent) -> None:
        if not self._is_on:
            return
        name, events = event.thread, self.trace.events
        if name is not None and name not in self._doing:
            self.on_thread(name, Activity.RUNNING, None)
        displaced = self._displace(event)
        self.trace.ports.setdefault(event.port, event.limit)
        reason = choose_reason(
            event.kind,
            Standing.STRANGER if name is None else self._standing(name, event.port),
            Departure.END if name is not None and name == self._ending else Departure.MOVE,
            active=event.active,
            limit=event.limit,
            depth=event.depth,
            waiting=event.waiting,
            packets=len(event.packets),
            has_cause=event.cause is not None,
        )
        number = len(events) + 1
        cause = self._cause[1] if event.cause is not None and self._cause and self._cause[0] is event.cause else None
        events.append(
            PortStep(
                number,
                displaced.time_seconds if displaced else event.time_seconds,
                reason,
                event.port,
                name,
                self.caller(),
                self._packets(event),
                event.active,
                event.limit,
                event.depth,
                event.waiting,
                cause,
            )
        )
        if event.kind in (EventKind.BLOCKED, EventKind.SUSPENDED, EventKind.LEFT, EventKind.PUT_BACK):
            self._cause = (event, number)
        if displaced is not None:
            events.append(
                ThreadChange(
                    number + 1, displaced.time_seconds, displaced.thread, displaced.activity, displaced.processor
                )
            )
        self._follow(event)

    def _displace(self, event: QueueEvent) -> ThreadChange | None:
        """Take the last event off the list if this step explains it."""
        last = self.trace.events[-1] if self.trace.events else None
        if (
            isinstance(last, ThreadChange)
            and last.thread == event.thread
            and (self._before, last.activity) in _EXPLAINED.get(event.kind, ())
        ):
            self.trace.events.pop()
            return last
        return None

    def _standing(self, name: str, port: int) -> Standing:
        waiters = self._waiters.get(port)
        if waiters and name in waiters:
            return Standing.TOP_WAITER if next(reversed(waiters)) == name else Standing.WAITER
        if self._homes.get(name) != port:
            return Standing.STRANGER
        return Standing.WITHDRAWN if name in self._in_call else Standing.MEMBER

    def _follow(self, event: QueueEvent) -> None:
        """Keep who stands where."""
        name, kind, port = event.thread, event.kind, event.port
        if name is None:
            if kind is EventKind.RUN_DOWN:
                self._waiters.pop(port, None)
                self._homes = {each: home for each, home in self._homes.items() if home != port}
            return
        waiters = self._waiters.setdefault(port, {})
        if kind is EventKind.PARKED:
            waiters[name] = None
        else:
            waiters.pop(name, None)
        if kind is EventKind.WITHDRAWN:
            self._in_call.add(name)
        elif kind not in (EventKind.UNBLOCKED, EventKind.SUSPENDED, EventKind.BLOCKED):
            self._in_call.discard(name)
        if kind in (EventKind.LEFT, EventKind.ABANDONED):
            self._homes.pop(name, None)
            self._held.pop(name, None)
        else:
            self._homes[name] = port

    # -- packets -----------------------------------------------------------------------------------------------

    def _packets(self, event: QueueEvent) -> tuple[int, ...]:
        """The numbers of a step's packets; who arrives gets one.

        A packet is known by its identity while it is queued, and, for the case that it is put back, while it is what
        its thread received last.
        """
        kind, known = event.kind, self._numbers
        if not event.packets:
            return ()
        if kind is EventKind.PUT_BACK:
            self._recall(event.packets)
        for packet in event.packets:
            if id(packet) not in known:
                known[id(packet)] = (self._enter(packet), packet)
        numbers = tuple(known[id(packet)][0] for packet in event.packets)
        if kind not in (EventKind.QUEUED, EventKind.PUT_BACK):
            for packet in event.packets:
                del known[id(packet)]
        if kind in DELIVERIES and event.thread is not None:
            self._held[event.thread] = event.packets
            self._held_numbers[event.thread] = numbers
        return numbers

    def _recall(self, packets: tuple[Any, ...]) -> None:
        for name, held in self._held.items():
            if held[0] is packets[0]:
                for packet, number in zip(held, self._held_numbers[name], strict=True):
                    self._numbers[id(packet)] = (number, packet)

    def _enter(self, packet: Packet) -> int:
        packets = self.trace.packets
        number = len(packets) + 1
        error = packet.error
        packets.append(TracePacket(number, key_text(packet.key), packet.bytes, _code(error), _origin(packet)))
        return number


def _nobody() -> str | None:
    return None


def _code(error: Win32Error | None) -> int:
    return 0 if error is None else int(error.winerror or 0)


def _origin(packet: Packet) -> str:
    source = packet.source
    if source is None:
        return "posted"
    return next((origin for kind, origin in _ORIGINS if isinstance(source, kind)), "I/O")


_ORIGINS = ((Job, "job"), (WaitCompletionPacket, "wait packet"), (ReserveObject, "posted"))


# -- the threads ---------------------------------------------------------------------------------------------------


class _TracedOsThread(OsThread):
    """Reports each change of `state`."""

    __slots__ = ()
    trace_recorder: ClassVar[TraceRecorder]

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "state":
            self.trace_recorder.on_thread(self.name or "", _ACTIVITIES[value], None)

    def exit(self, exit_code: int) -> None:
        """As the kernel does."""
        self.trace_recorder.on_exit(self.name)
        super().exit(exit_code)
        self.trace_recorder.on_exit(None)


class _TracedVirtualThread(VirtualThread):
    """Reports each change of what it does, which is its `state` while it waits, else its `place`."""

    __slots__ = ()
    trace_recorder: ClassVar[TraceRecorder]

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name in ("state", "place"):
            self._show()

    def _show(self) -> None:
        if self.state is not ThreadState.RUNNABLE:
            self.trace_recorder.on_thread(self.title, _ACTIVITIES[self.state], None)
            return
        place = getattr(self, "place", Place.NEW)  # not there yet while the thread is made
        if place is Place.READY:
            self.trace_recorder.on_thread(self.title, Activity.READY, None)
        elif place in (Place.RUNNING, Place.COMPUTING) and self.processor is not None:
            self.trace_recorder.on_thread(self.title, Activity.RUNNING, self.processor.index)

    def exit(self, exit_code: int) -> None:
        """As the kernel does."""
        self.trace_recorder.on_exit(self.name)
        super().exit(exit_code)
        self.trace_recorder.on_exit(None)


# -- the systems ---------------------------------------------------------------------------------------------------


class TracedThreads(ThreadSystem):
    """A machine of real threads that is recorded; `trace` is the recording so far."""

    def __init__(self, title: str = "", profile: str | Profile | None = None, processors: int | None = None) -> None:
        self.trace = Trace(title, Engine.THREADS)
        self.recorder = TraceRecorder(self.trace)
        self._names: dict[str, int] = {}
        super().__init__(profile, processors, self.recorder.queue_type)
        self.recorder.caller = self._caller

    def create_thread(self, name: str) -> OsThread:
        """The kernel thread of an OS thread that is about to start; its name is made unique."""
        return self.perform(self._new_thread, name)

    def _new_thread(self, name: str) -> OsThread:
        self._names[name] = count = self._names.get(name, 0) + 1
        unique = name if count == 1 else f"{name}-{count}"
        return self.recorder.os_thread_type(self.kernel, self.process, unique)

    def _caller(self) -> str | None:
        thread = self.threads_by_ident.get(get_ident())
        return None if thread is None else thread.name

    def post(self, port: IoCompletion, packet: Packet) -> None:
        """Queue a packet, or hand it to a waiter (Q-10); a thread that does nothing but post is shown too."""
        if not self.is_inside_verb:
            self.current()
        super().post(port, packet)

    def stop_tracing(self) -> None:
        """What happens from now on is not recorded.  Never blocks for long."""
        self.perform(self.recorder.stop)


class TracedSimulation(Simulation):
    """A simulation that is recorded; `trace` is the recording so far.

    Parameters are those of `Simulation`, but for `queue_type`; and the `title` of the trace.  The recording ends with
    the last run: what closing the simulation does to threads that are left is not part of it.

    >>> from iocp_emu import CompletionPort
    >>> with TracedSimulation(processors=1, title="one packet") as sim:
    ...     port = CompletionPort(1)
    ...     thread = sim.spawn(port.get, name="worker")
    ...     port.post(key="hello")
    ...     result = sim.run()
    >>> [step.reason.name for step in sim.trace.steps]
    ['QUEUED', 'TAKEN', 'LEFT_AT_END']
    """

    def __init__(
        self,
        processors: int = 2,
        seed: int = 0,
        profile: str | Profile | None = None,
        *,
        title: str = "",
        **options: Any,
    ) -> None:
        self.trace = Trace(title, Engine.SIMULATION, processors)
        self.recorder = TraceRecorder(self.trace, self._seconds)
        super().__init__(processors, seed, profile, queue_type=self.recorder.queue_type, **options)
        self.thread_type = self.recorder.virtual_thread_type
        self.recorder.caller = self._caller

    def _seconds(self) -> float:
        clock = getattr(self, "clock", None)
        return 0.0 if clock is None else self.now

    def _caller(self) -> str | None:
        if self._running is not None:
            return self._running.name
        return None if self._in_run else "outside"

    def _end_threads(self) -> None:
        self.recorder.stop()
        super()._end_threads()


@contextlib.contextmanager
def tracing(title: str = "", profile: str | Profile | None = None, processors: int | None = None) -> Generator[Trace]:
    """Record what ports and threads do inside the `with` block, on real threads.

    A fresh machine is in use there: ports, events and threads that are made inside are recorded, those made before are
    not concerned.  `profile` and `processors` are as for `ThreadSystem`.  For a simulation, see `TracedSimulation`.

    >>> from iocp_emu import CompletionPort
    >>> with tracing("a packet for oneself") as trace, CompletionPort(1) as port:
    ...     port.post(key="hello")
    ...     _ = port.get()
    >>> trace.steps[1].reason.name, trace.steps[1].rules
    ('TAKEN', ('Q-11', 'Q-20', 'Q-21'))
    """
    system = TracedThreads(title, profile, processors)
    with use(system):
        try:
            yield system.trace
        finally:
            system.stop_tracing()
