"""Simulated devices: a disk and a network whose operations take virtual time and can go wrong on demand.

Theory.  A device serves up to `queue_depth` operations at once; the others wait their turn, first come, first served.
What becomes of an operation is decided when it is issued: the simulation is asked for one of the `Fault`s that the
device may have, which is a choice of the scheduler, and for a latency, which comes from the seed.  Then the operation
is a request like any other: it ends in the call, or pends and ends at its time, and the kernel decides what is told.

The bytes move at the end of an operation: a read sees what was written when it ends, and a cancelled write has written
nothing.  On the network, bytes arrive in the order of their sends whatever the latencies are.

Rules of this file: I-02 to I-06 (ends in the call or later), I-26, I-41 (a cancel may come too late), I-43.

Own rules.  Everything here happens under a verb of the simulation.  Other systems have no virtual time: their calls are
refused with STATUS_NOT_SUPPORTED.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from .. import status
from ..kernel.file import FileObject, IoRequest
from ..runtime.chance import Constant, Distribution
from ..runtime.simulation import Simulation
from ..runtime.virtual_time import Alarm, to_nanoseconds
from .device import Ask, IoDevice, Transferred
from .engine import finish, issue

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

LATENESS = 10
"""How many times its latency an operation takes that is late."""


class Fault(enum.Enum):
    """What may become of an operation instead of what was asked for."""

    NONE = "it does what was asked, later"
    FAIL = "it fails, later"
    SHORT = "it moves half of the bytes"
    CANCEL = "the device gives it up: cancelled, though nobody asked"
    LATE = "it takes ten times as long"
    SYNCHRONOUS_SUCCESS = "it ends within the call (I-02)"
    SYNCHRONOUS_ERROR = "it fails within the call, and no packet comes (I-03)"
    WARNING = "it moves the bytes and ends with a warning, which counts as an error (G-02)"
    UNCANCELLABLE = "asked to cancel it in the middle, the device does not (I-41)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often each fault happens, as a probability from 0 to 1; the rest goes well.

    A scheduler that does not go by probability, such as an explorer, tries every fault that is not 0.
    """

    fail: float = 0.0
    short: float = 0.0
    cancel: float = 0.0
    late: float = 0.0
    synchronous_success: float = 0.0
    synchronous_error: float = 0.0
    warning: float = 0.0
    uncancellable: float = 0.0

    def __post_init__(self) -> None:
        shares = [getattr(self, name) for name in type(self).__slots__]
        if not all(0 <= share <= 1 for share in shares) or sum(shares) - self.uncancellable > 1:
            raise ValueError("faults are probabilities from 0 to 1, of no more than 1 in all")

    def draw(self, simulation: Simulation, subject: str) -> Fault:
        """Ask what becomes of one operation."""
        faults = {
            Fault.FAIL: self.fail,
            Fault.SHORT: self.short,
            Fault.CANCEL: self.cancel,
            Fault.LATE: self.late,
            Fault.SYNCHRONOUS_SUCCESS: self.synchronous_success,
            Fault.SYNCHRONOUS_ERROR: self.synchronous_error,
            Fault.WARNING: self.warning,
        }
        return _draw(simulation, subject, {Fault.NONE: 1 - sum(faults.values()), **faults})

    def comes_too_late(self, simulation: Simulation, subject: str) -> bool:
        """Ask whether a cancel in the middle of an operation comes too late."""
        odds = {Fault.NONE: 1 - self.uncancellable, Fault.UNCANCELLABLE: self.uncancellable}
        return _draw(simulation, f"cancel of {subject}", odds) is Fault.UNCANCELLABLE


def _draw(simulation: Simulation, subject: str, odds: dict[Fault, float]) -> Fault:
    possible = {fault: weight for fault, weight in odds.items() if weight > 0}
    return simulation.draw(subject, list(possible), list(possible.values()))


class Operation(Protocol):
    """The work of one request."""

    @property
    def subject(self) -> str:
        """What reports call it."""
        ...

    @property
    def wanted(self) -> int:
        """The bytes asked for."""
        ...

    def move(self, limit: int) -> Transferred:
        """Move up to `limit` bytes now."""
        ...


class _Pending:
    """An operation that the device has accepted: `alarm` is set while it is being served."""

    __slots__ = ("alarm", "fault", "latency", "operation", "request")

    def __init__(self, request: IoRequest, operation: Operation, fault: Fault, latency: int) -> None:
        self.request = request
        self.operation = operation
        self.fault = fault
        self.latency = latency
        self.alarm: Alarm | None = None


class Service:
    """The queue of a device, and what is being served.

    `queue_depth` (1 or more) operations are served at once.  `failed_with` is the NTSTATUS of a failure.
    """

    def __init__(
        self, latency: Distribution | float, queue_depth: int, faults: Faults | None, failed_with: int
    ) -> None:
        if queue_depth < 1:
            raise ValueError("queue_depth must be 1 or more")
        self._latency = Constant(latency) if isinstance(latency, (int, float)) else latency
        self._depth = queue_depth
        self._faults = faults or Faults()
        self._failed_with = failed_with
        self._waiting: deque[_Pending] = deque()
        self._served: dict[_Pending, None] = {}

    @property
    def outstanding(self) -> int:
        """Operations that have been accepted and have not ended."""
        return len(self._waiting) + len(self._served)

    def submit(self, system: ThreadSystem, file: FileObject, ask: Ask, operation: Operation) -> int:
        """Issue a request for `operation`; the NTSTATUS of the call."""
        if not isinstance(system, Simulation):
            return status.STATUS_NOT_SUPPORTED
        return issue(system, file, ask, operation, partial(self._begin, system))

    def _begin(self, simulation: Simulation, request: IoRequest) -> None:
        operation: Operation = request.operation
        fault = self._faults.draw(simulation, operation.subject)
        if fault is Fault.SYNCHRONOUS_ERROR:
            finish(request, Transferred(self._failed_with))
        elif fault is Fault.SYNCHRONOUS_SUCCESS and self.may_end_at_once():
            finish(request, operation.move(operation.wanted))
        else:
            latency = to_nanoseconds(self._latency.draw(simulation.random))
            request.pend()
            pending = _Pending(request, operation, fault, latency * (LATENESS if fault is Fault.LATE else 1))
            request.operation = pending
            self._waiting.append(pending)
            self._serve(simulation)

    def _serve(self, simulation: Simulation) -> None:
        while self._waiting and len(self._served) < self._depth:
            pending = self._waiting.popleft()
            self._served[pending] = None
            delay = self.delay(simulation.clock.now, pending.latency)
            pending.alarm = simulation.clock.set(delay, partial(self._ring, simulation, pending))

    def _ring(self, simulation: Simulation, pending: _Pending) -> None:
        simulation.do(self._end_in_time, simulation, pending)

    def may_end_at_once(self) -> bool:
        """Whether an operation may end in its call, past those that are outstanding."""
        return True

    def delay(self, now: int, latency: int) -> int:
        """How long it takes to serve an operation that begins `now`, in nanoseconds."""
        return latency

    def _end_in_time(self, simulation: Simulation, pending: _Pending) -> None:
        del self._served[pending]
        self._end(pending)
        self._serve(simulation)

    def _end(self, pending: _Pending) -> None:
        """The time of the operation has come."""
        operation, fault = pending.operation, pending.fault
        if fault is Fault.FAIL:
            outcome = Transferred(self._failed_with)
        elif fault is Fault.CANCEL:
            outcome = Transferred(status.STATUS_CANCELLED)
        elif fault is Fault.SHORT:
            outcome = operation.move((operation.wanted + 1) // 2)
        else:
            outcome = operation.move(operation.wanted)
            if fault is Fault.WARNING and status.is_success(outcome.status):
                outcome = Transferred(status.STATUS_BUFFER_OVERFLOW, outcome.count)
        finish(pending.request, outcome)

    def cancel(self, simulation: Simulation, request: IoRequest) -> None:
        """End a waiting operation; one that is being served, unless the device has got too far."""
        pending = request.operation
        if not isinstance(pending, _Pending):
            return
        if pending.alarm is None:
            self._waiting.remove(pending)
        elif self._faults.comes_too_late(simulation, pending.operation.subject):
            return
        else:
            simulation.clock.cancel(pending.alarm)
            del self._served[pending]
        finish(request, Transferred(status.STATUS_CANCELLED))
        self._serve(simulation)


class Wire(Service):
    """A service whose operations end in the order in which they were issued: what is later on the wire waits."""

    _last_end = 0

    def may_end_at_once(self) -> bool:
        """Not past others."""
        return not self.outstanding

    def delay(self, now: int, latency: int) -> int:
        """Not before the one before."""
        self._last_end = max(self._last_end, now + latency)
        return self._last_end - now


class _ServedDevice(IoDevice):
    """A device in front of a service; it remembers its simulation, for calls that come from the kernel alone."""

    def __init__(self, simulation: Simulation, service: Service) -> None:
        self.simulation = simulation
        self.service = service

    def cancel(self, request: IoRequest) -> None:
        """I-41."""
        self.service.cancel(self.simulation, request)

    def cleanup(self, file: FileObject) -> None:
        """What is outstanding is cancelled with the last handle (I-43)."""
        for request in list(file.requests):
            request.cancel()


# -- the disk ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Read:
    contents: bytearray
    target: memoryview
    offset: int
    subject: str

    @property
    def wanted(self) -> int:
        return len(self.target)

    def move(self, limit: int) -> Transferred:
        if not self.target:
            return Transferred(status.STATUS_SUCCESS)
        found = memoryview(self.contents)[self.offset : self.offset + limit]
        count = len(found)
        if not count:
            return Transferred(status.STATUS_END_OF_FILE)
        self.target[:count] = found
        found.release()
        return Transferred(status.STATUS_SUCCESS, count)


@dataclass(slots=True)
class _Write:
    contents: bytearray
    data: memoryview
    offset: int
    subject: str

    @property
    def wanted(self) -> int:
        return len(self.data)

    def move(self, limit: int) -> Transferred:
        end = self.offset + limit
        if limit and end > len(self.contents):
            self.contents.extend(bytes(end - len(self.contents)))
        self.contents[self.offset : end] = self.data[:limit]
        return Transferred(status.STATUS_SUCCESS, limit)


class DiskFile(_ServedDevice):
    """One file on a simulated disk: `contents` are its bytes, shared by all that have it open."""

    def __init__(self, simulation: Simulation, service: Service, name: str, contents: bytearray) -> None:
        super().__init__(simulation, service)
        self.name = name
        self.contents = contents

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to read; the end of the file is STATUS_END_OF_FILE, a read across it is short (table 6.6)."""
        operation = _Read(self.contents, target, offset or 0, f"read of {self.name}")
        return self.service.submit(system, file, ask, operation)

    def write(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to write; a gap beyond the end is filled with zeros."""
        operation = _Write(self.contents, data, offset or 0, f"write of {self.name}")
        return self.service.submit(system, file, ask, operation)


# -- the network ---------------------------------------------------------------------------------------------------


class _Receive:
    """A receive that waits for bytes; then it ends at once, or as its fault says."""

    __slots__ = ("fault", "request", "target")

    def __init__(self, request: IoRequest, target: memoryview, fault: Fault) -> None:
        self.request = request
        self.target = target
        self.fault = fault


class ConnectionEnd(_ServedDevice):
    """One end of a connection: a stream of bytes in each direction, in order, without loss.

    A send ends when its bytes have arrived at the other end; a receive ends when there is a byte, with no byte once the
    other end is closed.
    """

    def __init__(self, simulation: Simulation, service: Service, name: str, faults: Faults) -> None:
        super().__init__(simulation, service)
        self.name = name
        self.peer: ConnectionEnd | None = None
        self.is_closed = False
        self._faults = faults
        self._arrived = bytearray()
        self._receives: deque[_Receive] = deque()

    def join(self, other: ConnectionEnd) -> None:
        """These two are the ends of one connection from now on."""
        self.peer = other
        other.peer = self

    def write(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None, ask: Ask) -> int:
        """Send `data`."""
        return self.service.submit(system, file, ask, _Send(self, data))

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """Receive up to `len(target)` bytes, at least one unless the other end is closed."""
        if system is not self.simulation:
            return status.STATUS_NOT_SUPPORTED
        return issue(system, file, ask, None, partial(self._begin_receive, target))

    def arrive(self, data: memoryview) -> None:
        """Bytes from the other end."""
        self._arrived += data
        self._satisfy()

    def hang_up(self) -> None:
        """The other end is closed: nothing will arrive any more."""
        self._satisfy()

    def cancel(self, request: IoRequest) -> None:
        """A receive that waits ends at once; a send as the service says."""
        receive = request.operation
        if isinstance(receive, _Receive):
            self._receives.remove(receive)
            finish(request, Transferred(status.STATUS_CANCELLED))
        else:
            super().cancel(request)

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: what is outstanding is cancelled, and the other end learns of it (I-43)."""
        super().cleanup(file)
        self.is_closed = True
        if self.peer is not None:
            self.peer.hang_up()

    def _begin_receive(self, target: memoryview, request: IoRequest) -> None:
        fault = self._faults.draw(self.simulation, f"receive by {self.name}")
        if fault is Fault.SYNCHRONOUS_ERROR:
            finish(request, Transferred(status.STATUS_CONNECTION_RESET))
            return
        if fault is Fault.SYNCHRONOUS_SUCCESS and (self._arrived or self._is_over()):
            finish(request, self._take(target, len(target)))
            return
        request.pend()
        receive = request.operation = _Receive(request, target, fault)
        self._receives.append(receive)
        self._satisfy()

    def _is_over(self) -> bool:
        return self.peer is None or self.peer.is_closed

    def _satisfy(self) -> None:
        """Oldest receive first, as long as there is something to tell."""
        while self._receives and (self._arrived or self._is_over()):
            receive = self._receives.popleft()
            finish(receive.request, self._outcome(receive))

    def _outcome(self, receive: _Receive) -> Transferred:
        wanted = len(receive.target)
        if receive.fault is Fault.FAIL:
            return Transferred(status.STATUS_CONNECTION_RESET)
        if receive.fault is Fault.CANCEL:
            return Transferred(status.STATUS_CANCELLED)
        if receive.fault is Fault.SHORT:
            return self._take(receive.target, min((wanted + 1) // 2, (len(self._arrived) + 1) // 2))
        outcome = self._take(receive.target, wanted)
        if receive.fault is Fault.WARNING:
            return Transferred(status.STATUS_BUFFER_OVERFLOW, outcome.count)
        return outcome

    def _take(self, target: memoryview, limit: int) -> Transferred:
        count = min(limit, len(self._arrived))
        target[:count] = self._arrived[:count]
        del self._arrived[:count]
        return Transferred(status.STATUS_SUCCESS, count)


class _Send:
    """The bytes of one send."""

    __slots__ = ("_data", "_end")

    def __init__(self, end: ConnectionEnd, data: memoryview) -> None:
        self._end = end
        self._data = data

    @property
    def subject(self) -> str:
        return f"send by {self._end.name}"

    @property
    def wanted(self) -> int:
        return len(self._data)

    def move(self, limit: int) -> Transferred:
        peer = self._end.peer
        if peer is None or peer.is_closed:
            return Transferred(status.STATUS_CONNECTION_RESET)
        peer.arrive(self._data[:limit])
        return Transferred(status.STATUS_SUCCESS, limit)


