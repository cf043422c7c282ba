"""Exhaustive exploration of overlapped requests: every history of a bounded world, with P-15 and P-16 at every step.

Theory.  The world has threads, one port, files that are associated with it, and a device that does what it is told:
a request that is issued pends, or is over before the call returns, in each of the ways there are; one that pends ends
later, well or with an error, by itself, by cancelling, by its thread's end or by its file's.  Threads poll, park, wake,
time out and end meanwhile.  A ledger beside the kernel notes what was asked for and what came; it knows the two
properties, and nothing of how the kernel keeps them.

    P-15   as many packets as are due are queued, under way to a woken thread, or delivered: no more, no fewer
    P-16   the status block of a request that waits for its dequeue says pending until then; then it is final

A state is the kernel's own snapshot and the ledger; each is reached once, by a shortest history, from a fresh kernel.
When no state is left that has not been seen, every history within the bounds has been covered, however long.
A request that has had all that is due stays in the ledger, watched, until another one takes its number.

Own rules.  The port stays open: what becomes of packets at its rundown is in `histories`.  A history is a tuple of
moves as words (`T1.issues.F1.pends`), and replaying it is all that is needed to see it again.

>>> print(explore_requests(RequestBounds(threads=1)).headline)
complete: 111 states, 311 transitions, longest shortest history 5
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from .. import status
from ..kernel.completion import Packet
from ..kernel.file import FileObject, IoMode, IoRequest, NotificationMode, StatusBlock
from ..kernel.invariants import InvariantViolation, check
from ..kernel.machine import Kernel
from ..kernel.objects import NtError
from ..kernel.snapshot import snapshot
from ..kernel.thread import KernelThread, ThreadState
from ..kernel.waits import Alertability, Event, ResetMode, Timeout
from ..profiles import Profile, get_profile
from .histories import Stop

BYTES = 512
"""What a request that ends well has moved."""


class Way(enum.Enum):
    """What becomes of a request in the call that issues it; the values are words of a history."""

    PENDS = "pends"
    PENDS_AND_ENDS = "pends-and-ends"
    SUCCEEDS = "succeeds"
    WARNS = "warns"
    FAILS = "fails"


class Ending(enum.Enum):
    """How a request that has pended ends by itself."""

    WELL = "ends"
    ERROR = "ends-with-error"


class Cancelling(enum.Enum):
    """What the device does when it is asked to cancel (I-41)."""

    AT_ONCE = "the request ends as cancelled, in the call"
    LATER = "the request ends as it would have ended, some time"


STATUS_OF = {
    Way.PENDS_AND_ENDS: status.STATUS_SUCCESS,
    Way.SUCCEEDS: status.STATUS_SUCCESS,
    Way.WARNS: status.STATUS_BUFFER_OVERFLOW,
    Way.FAILS: status.STATUS_INVALID_DEVICE_REQUEST,
    Ending.WELL: status.STATUS_SUCCESS,
    Ending.ERROR: status.STATUS_UNSUCCESSFUL,
}


@dataclass(frozen=True)
class RequestBounds:
    """A bounded world: `threads` (1 to 4) that have at most `requests` (0 to 6) to `files` (1 to 3) under way.

    The first file reports everything; the others skip the packet of what succeeds at once (I-15).  `concurrency` is
    the port's, `cancelling` the device's way, `profile` an emulated system by name.  ValueError for numbers out of
    range and unknown names.
    """

    threads: int = 2
    files: int = 1
    requests: int = 1
    concurrency: int = 1
    cancelling: Cancelling = Cancelling.AT_ONCE
    profile: str = "win10"

    def __post_init__(self) -> None:
        get_profile(self.profile)
        for name, value, smallest, largest in (
            ("threads", self.threads, 1, 4),
            ("files", self.files, 1, 3),
            ("requests", self.requests, 0, 6),
            ("concurrency", self.concurrency, 1, 0xFFFFFFFF),
        ):
            if not smallest <= value <= largest:
                raise ValueError(f"{name} must be {smallest} to {largest}, not {value}")


@dataclass(frozen=True)
class RequestViolation:
    """A property that does not hold: its rule, what was seen, and a shortest history that leads there."""

    rule: str
    message: str
    history: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.message}\nafter {' '.join(self.history) or 'nothing'}"


@dataclass(frozen=True)
class RequestReport:
    """What an exploration has covered; `depth` is the length of the longest of the shortest histories."""

    bounds: RequestBounds
    stop: Stop
    states: int
    transitions: int
    depth: int
    violation: RequestViolation | None = None

    @property
    def headline(self) -> str:
        """One line."""
        return (
            f"{self.stop.value}: {self.states:,} states, {self.transitions:,} transitions, "
            f"longest shortest history {self.depth}"
        )

    def __str__(self) -> str:
        return "\n\n".join([self.headline, *([] if self.violation is None else [str(self.violation)])])


def explore_requests(bounds: RequestBounds, *, budget_states: int | None = None) -> RequestReport:
    """Explore every history within `bounds`; ends when all states are known, when one is wrong, or with the budget.

    `budget_states`: None, or how many states suffice; those of one more history may come on top.  O(transitions times
    their depth), as each is reached from a fresh kernel; returns when it has ended.
    """
    known = {_World(bounds).key()}
    frontier: list[tuple[str, ...]] = [()]
    transitions = depth = 0
    while frontier:
        found: list[tuple[str, ...]] = []
        for history in frontier:
            for move in list(_played(bounds, history).moves()):
                transitions += 1
                longer = (*history, move)
                try:
                    key = _played(bounds, longer).key()
                except InvariantViolation as error:
                    violation = RequestViolation(error.rule, str(error), longer)
                    return RequestReport(bounds, Stop.VIOLATION, len(known), transitions, depth, violation)
                if key not in known:
                    known.add(key)
                    found.append(longer)
            if budget_states is not None and len(known) >= budget_states:
                return RequestReport(bounds, Stop.BUDGET, len(known), transitions, depth)
        depth += bool(found)
        frontier = found
    return RequestReport(bounds, Stop.COMPLETE, len(known), transitions, depth)


def replay_requests(bounds: RequestBounds, history: tuple[str, ...]) -> RequestViolation | None:
    """Play one history again; what is wrong at its end, if anything is.  `ValueError` for a move that is not legal.

    >>> replay_requests(RequestBounds(), ("T1.issues.F1.pends", "R1.ends", "T2.polls"))
    """
    world = _World(bounds)
    for count, move in enumerate(history):
        if move not in world.moves():
            raise ValueError(f"{move!r} cannot be done after {' '.join(history[:count]) or 'nothing'}")
        try:
            world.make(move)
            world.judge()
        except InvariantViolation as error:
            return RequestViolation(error.rule, str(error), history[: count + 1])
    return None


def _played(bounds: RequestBounds, history: tuple[str, ...]) -> _World:
    """A fresh world after a history whose last step alone has not been judged before."""
    world = _World(bounds)
    for move in history:
        world.make(move)
    world.judge()
    return world


# -- the world -----------------------------------------------------------------------------------------------------


class _Entry:
    """What the ledger knows of one request.  `final` is status and count, once the device has said them."""

    __slots__ = ("block", "delivered", "event", "file", "final", "request", "way")

    def __init__(self, file: int, way: Way, event: Event | None) -> None:
        self.file = file
        self.way = way
        self.event = event
        self.block = StatusBlock()
        self.block.begin()
        self.request: IoRequest | None = None
        self.final: tuple[int, int] | None = None
        self.delivered = 0

    @property
    def is_outstanding(self) -> bool:
        """Whether the device still has it."""
        return self.final is None

    def due(self) -> int:
        """How many packets there have to be by now (P-15, I-02 to I-05, I-15)."""
        if self.way in (Way.PENDS, Way.PENDS_AND_ENDS):
            return int(not self.is_outstanding)
        return int(self.way is not Way.FAILS and not self.file)

    @property
    def is_settled(self) -> bool:
        """Whether nothing more may come of it."""
        return not self.is_outstanding and self.delivered == self.due()

    def expected(self, profile: Profile) -> tuple[int, int]:
        """What the status block has to say by now (P-16, I-03, I-27, I-30)."""
        is_late = (
            self.way is Way.PENDS
            and self.event is None
            and profile.thread_agnostic_requests
            and profile.late_status_block
        )
        if self.final is None or self.way is Way.FAILS or (is_late and not self.delivered):
            return status.STATUS_PENDING, 0
        return self.final

    def key(self) -> tuple[Any, ...]:
        """What of it tells states apart, beyond the kernel's snapshot."""
        if self.is_settled:
            return ("settled",)
        return self.file, self.way.value, self.event is None, self.final, self.delivered


class _Device:
    """Does what it is told, when it is told; notes in the ledger how each request has ended."""

    def __init__(self, world: _World) -> None:
        self._world = world

    def end(self, request: IoRequest, code: int, information: int) -> None:
        """The request is over."""
        self._world.entry_of(request).final = code, information
        request.complete(code, information)

    def cancel(self, request: IoRequest) -> None:
        """As the world's bounds say."""
        if self._world.bounds.cancelling is Cancelling.AT_ONCE:
            self.end(request, status.STATUS_CANCELLED, 0)

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: what is outstanding is cancelled (I-43)."""
        file.cancel_requests()

    def close(self, file: FileObject) -> None:
        """There is nothing to give back."""


class _World:
    """One kernel, its device, and the ledger."""

    def __init__(self, bounds: RequestBounds) -> None:
        self.bounds = bounds
        self.profile = get_profile(bounds.profile)
        self.kernel = Kernel(self.profile, processors=1)
        self.process = self.kernel.create_process()
        self.port = self.kernel.create_port(bounds.concurrency)
        self.process.handles.open(self.port, self.port.all_access)
        self.threads = [KernelThread(self.kernel, self.process, f"T{number + 1}") for number in range(bounds.threads)]
        self.device = _Device(self)
        self.files: dict[int, tuple[FileObject, int]] = {}
        for number in range(bounds.files):
            file = self.kernel.create_file(self.device, IoMode.OVERLAPPED)
            self.files[number] = file, self.process.handles.open(file, file.all_access)
            file.associate(self.port, number)
            if number and self.profile.notification_modes:
                file.add_modes(NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS)
        self.ledger: dict[int, _Entry] = {}

    def entry_of(self, request: IoRequest) -> _Entry:
        """What the ledger knows of a request."""
        return next(entry for entry in self.ledger.values() if entry.request is request)

    def _free_numbers(self) -> list[int]:
        ledger = self.ledger
        return [number for number in range(self.bounds.requests) if number not in ledger or ledger[number].is_settled]

    def key(self) -> tuple[Any, ...]:
        """The state."""
        return snapshot(self.kernel), tuple((number, entry.key()) for number, entry in sorted(self.ledger.items()))

    # -- moves -------------------------------------------------------------------------------------------------

    def moves(self) -> Iterator[str]:
        """All that can happen next."""
        for thread in self.threads:
            if thread.state is ThreadState.EXITED:
                continue
            if thread.wait_result is not None:
                yield f"{thread.name}.wakes"
                continue
            yield f"{thread.name}.exits"
            if thread.state is ThreadState.PARKED:
                yield f"{thread.name}.expires"
                continue
            yield from (f"{thread.name}.polls", f"{thread.name}.gets")
            if self._free_numbers():
                for number in self.files:
                    yield from (f"{thread.name}.issues.F{number + 1}.{way.value}" for way in Way)
                    yield f"{thread.name}.issues.F{number + 1}.{Way.PENDS.value}.event"
        for number, entry in self.ledger.items():
            if entry.is_outstanding:
                yield from (f"R{number + 1}.{ending.value}" for ending in Ending)
                yield f"R{number + 1}.is-cancelled"
        yield from (f"F{number + 1}.closes" for number in self.files)

    def make(self, move: str) -> None:
        """Let it happen.  `InvariantViolation` when the kernel refuses what is legal."""
        try:
            self._make(move)
        except NtError as error:
            raise InvariantViolation("P-15", f"{move} was refused with {error.status:#x}") from None

    def _make(self, move: str) -> None:
        subject, verb, *rest = move.split(".")
        number = int(subject[1:]) - 1
        if subject[0] == "T":
            self._of_thread(self.threads[number], verb, rest)
        elif subject[0] == "F":
            self.process.handles.close(self.files.pop(number)[1])
        else:
            entry = self.ledger[number]
            assert entry.request is not None
            if verb == "is-cancelled":
                entry.request.file.cancel_requests(block=entry.block)
            else:
                code = STATUS_OF[Ending(verb)]
                self.device.end(entry.request, code, 0 if status.is_error(code) else BYTES)

    def _of_thread(self, thread: KernelThread, verb: str, rest: list[str]) -> None:
        if verb == "issues":
            self._issue(thread, int(rest[0][1:]) - 1, Way(rest[1]), with_event=len(rest) > 2)
        elif verb == "polls":
            self._deliver(self.port.remove(thread, 1, Timeout.DUE, Alertability.PLAIN))
        elif verb == "gets":
            self._deliver(self.port.remove(thread, 1, Timeout.LATER, Alertability.PLAIN))
        elif verb == "wakes":
            self._deliver(self.kernel.collect(thread))
        elif verb == "expires":
            thread.expire()
        else:
            thread.exit(0)

    def _issue(self, thread: KernelThread, number: int, way: Way, *, with_event: bool) -> None:
        event = Event(self.kernel, ResetMode.MANUAL, signalled=False) if with_event else None
        entry = _Entry(number, way, event)
        context = self._free_numbers()[0]
        self.ledger[context] = entry
        file = self.files[number][0]
        request = entry.request = file.start_request(thread, entry.block, context=context, event=event)
        if way in (Way.PENDS, Way.PENDS_AND_ENDS):
            request.pend()
        if way is not Way.PENDS:
            self.device.end(request, STATUS_OF[way], 0 if way is Way.FAILS else BYTES)
        request.return_to_caller()

    def _deliver(self, result: Any) -> None:
        if isinstance(result, list):
            for context in _contexts(cast("list[Packet]", result)):
                self.ledger[context].delivered += 1

    # -- judging -----------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """P-15 and P-16, and what the kernel checks of every state."""
        check(self.kernel)
        queued = Counter(_contexts(self.port.queue.packets))
        for thread in self.threads:
            if isinstance(thread.wait_result, list):
                queued.update(_contexts(thread.wait_result))
        for number, entry in self.ledger.items():
            name = f"R{number + 1} ({entry.way.value})"
            packets = queued[number] + entry.delivered
            if packets != entry.due():
                raise InvariantViolation("P-15", f"{name} has {packets} packets, and {entry.due()} are due")
            self._judge_block(entry, name)

    def _judge_block(self, entry: _Entry, name: str) -> None:
        said = entry.block.status, entry.block.information
        expected = entry.expected(self.profile)
        if said != expected:
            text = "the status block says {:#x} with {} bytes, not {:#x} with {}".format(*said, *expected)
            raise InvariantViolation("P-16", f"{name}: {text}")


def _contexts(packets: Iterable[Packet]) -> list[int]:
    return [int(packet.overlapped) for packet in packets]
