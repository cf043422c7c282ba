"""Dispatcher objects: what a thread can wait on, and the waiting itself.

Theory.  A `Waitable` is signalled or not.  A thread that waits names one or more of them; when the wait cannot be
satisfied at once the thread *blocks*, which gives up its slot on the port it is associated with (Q-23).  Whatever
later satisfies, times out or alerts the wait makes the thread runnable again, without any look at the concurrency
value (Q-26).  A wait that is satisfied at once, or that only polls, changes nothing on any port (Q-29).

Rules of this file: Q-23, Q-26, Q-29 (waits), O-10 and O-13 (ports are waited on like any object), G-12 (alertable).

Own rules.  Waiters of one object are served oldest first.  A `Waiter` is on the list of every object it names or
of none.  Polling is "timeout zero"; how long any other timeout is, only the runtime knows: it calls `expire`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from .. import status
from .objects import KernelObject, NtError

if TYPE_CHECKING:
    from .machine import Kernel
    from .thread import KernelThread

MAXIMUM_WAIT_OBJECTS = 64


class Timeout(enum.Enum):
    """What the kernel needs to know of a timeout: whether it has already passed.  The runtime keeps the time."""

    DUE = "zero, or already over: never wait"
    LATER = "finite or infinite: wait, and `expire` may be called"


class Alertability(enum.Enum):
    """Whether a user APC may end the wait."""

    PLAIN = "user APCs stay pending"
    ALERTABLE = "user APCs end the wait"


class WaitMode(enum.Enum):
    """How many of the objects must be signalled."""

    ANY = "the first that is signalled ends the wait"
    ALL = "all must be signalled at the same moment"


class Waiter:
    """Something on the lists of the objects that it waits for: a blocked thread, or an armed wait packet."""

    __slots__ = ("objects",)

    def __init__(self, objects: tuple[Waitable, ...]) -> None:
        self.objects = objects

    def try_satisfy(self) -> int | None:
        """Consume what a satisfied wait takes, if all that is needed is signalled; its NTSTATUS, else None."""
        raise NotImplementedError

    def finish(self, result: int) -> None:
        """The wait is over with the NTSTATUS `result`: leave every list and tell whoever waits."""
        raise NotImplementedError

    def attach(self) -> None:
        """Go on the list of every object."""
        for obj in self.objects:
            obj.add_wait(self)

    def detach(self) -> None:
        """Leave every list."""
        for obj in self.objects:
            if self in obj.waits:
                del obj.waits[self]


class Wait(Waiter):
    """One blocked wait of a thread."""

    __slots__ = ("alertability", "mode", "thread")

    def __init__(
        self, thread: KernelThread, objects: tuple[Waitable, ...], mode: WaitMode, alertability: Alertability
    ) -> None:
        super().__init__(objects)
        self.thread = thread
        self.mode = mode
        self.alertability = alertability

    def try_satisfy(self) -> int | None:
        """ANY: the first signalled object, by index; ALL: every one of them, or nothing is touched."""
        thread = self.thread
        ready = [index for index, obj in enumerate(self.objects) if obj.is_signalled_for(thread)]
        if self.mode is WaitMode.ANY:
            return self.objects[ready[0]].consume(thread) + ready[0] if ready else None
        if len(ready) < len(self.objects):
            return None
        return max(obj.consume(thread) for obj in self.objects)

    def finish(self, result: int) -> None:
        """The thread becomes runnable with `result` (Q-26)."""
        self.thread.end_wait(result)

    def attach(self) -> None:
        """A wait keeps what it waits for alive, whoever closes the handles meanwhile (H-02)."""
        for obj in self.objects:
            obj.reference()
        super().attach()

    def detach(self) -> None:
        """Leave every list, and let the objects go."""
        super().detach()
        for obj in self.objects:
            obj.dereference()


NO_WAITS = cast("dict[Waiter, None]", MappingProxyType[Any, None]({}))
"""The waiters of everything that nobody has ever waited for: one for all, which cannot be written to."""


class Waitable(KernelObject):
    """A kernel object that threads can wait on."""

    __slots__ = ("waits",)

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.waits = NO_WAITS

    def add_wait(self, wait: Waiter) -> None:
        """Put a waiter behind the others.  O(1)."""
        if self.waits is NO_WAITS:
            self.waits = {}
        self.waits[wait] = None

    def check_waitable(self) -> None:
        """Refuse the wait with STATUS_OBJECT_TYPE_MISMATCH if such objects cannot be waited on."""

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Whether a wait of `thread` (None: of a wait packet) on this object would be satisfied now."""
        raise NotImplementedError

    def consume(self, thread: KernelThread | None) -> int:
        """Take what one satisfied wait takes; STATUS_WAIT_0 or STATUS_ABANDONED."""
        return status.STATUS_WAIT_0

    def wake_waits(self) -> None:
        """Satisfy every blocked wait that the object's state allows, oldest first."""
        for wait in list(self.waits):
            if wait in self.waits:
                result = wait.try_satisfy()
                if result is not None:
                    wait.finish(result)


class ResetMode(enum.Enum):
    """What a satisfied wait does to a signalled event or timer."""

    MANUAL = "stays signalled until it is reset"
    AUTO = "releases one waiter and is reset"


class Signal(Waitable):
    """What is signalled by somebody and stays so until it is reset, or spent on a waiter."""

    __slots__ = ("reset_mode", "signalled")

    def __init__(self, kernel: Kernel, reset_mode: ResetMode, *, signalled: bool) -> None:
        super().__init__(kernel)
        self.reset_mode = reset_mode
        self.signalled = signalled

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Signalled for everybody alike."""
        return self.signalled

    def consume(self, thread: KernelThread | None) -> int:
        """An auto-reset signal is spent on one waiter."""
        if self.reset_mode is ResetMode.AUTO:
            self.signalled = False
        return status.STATUS_WAIT_0

    def set(self) -> None:
        """Signal; waiters that can go, go.  O(waiters)."""
        self.signalled = True
        self.wake_waits()

    def reset(self) -> None:
        """Unsignal.  O(1)."""
        self.signalled = False


class Event(Signal):
    """A manual-reset or auto-reset event."""

    type_name = "Event"
    __slots__ = ()


class Timer(Signal):
    """A waitable timer: a signal that the runtime sets when its time has come.

    The kernel knows no clock.  `armed` tells the runtime which setting is the latest, so that a stale due time is
    ignored; `fire` is the runtime's call.
    """

    type_name = "Timer"
    __slots__ = ("armed",)

    def __init__(self, kernel: Kernel, reset_mode: ResetMode) -> None:
        super().__init__(kernel, reset_mode, signalled=False)
        self.armed = 0

    def arm(self) -> int:
        """Start a new setting: unsignalled; returns its number for `fire`."""
        self.signalled = False
        self.armed += 1
        return self.armed

    def cancel(self) -> None:
        """Forget the current setting; the signal state stays as it is."""
        self.armed += 1

    def fire(self, setting: int) -> bool:
        """The due time of `setting` has come: signal, unless it was cancelled or set anew (then False)."""
        if setting != self.armed or self.freed:
            return False
        self.set()
        return True


class Semaphore(Waitable):
    """A counting semaphore with a maximum."""

    type_name = "Semaphore"
    __slots__ = ("count", "maximum")

    def __init__(self, kernel: Kernel, count: int, maximum: int) -> None:
        if not 0 <= count <= maximum or maximum < 1:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        super().__init__(kernel)
        self.count = count
        self.maximum = maximum

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Signalled while the count is above zero."""
        return self.count > 0

    def consume(self, thread: KernelThread | None) -> int:
        """One unit for each satisfied wait."""
        self.count -= 1
        return status.STATUS_WAIT_0

    def release(self, units: int) -> int:
        """Give `units` back and return the count before; STATUS_SEMAPHORE_LIMIT_EXCEEDED beyond the maximum."""
        previous = self.count
        if units < 1:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        if previous + units > self.maximum:
            raise NtError(status.STATUS_SEMAPHORE_LIMIT_EXCEEDED)
        self.count += units
        self.wake_waits()
        return previous


class Mutant(Waitable):
    """A mutex: owned by a thread, recursively; abandoned when its owner exits."""

    type_name = "Mutant"
    __slots__ = ("abandoned", "depth", "owner")

    def __init__(self, kernel: Kernel, owner: KernelThread | None) -> None:
        super().__init__(kernel)
        self.owner: KernelThread | None = None
        self.depth = 0
        self.abandoned = False
        if owner is not None:
            self.consume(owner)

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Free, or already owned by the caller."""
        return self.owner is None or self.owner is thread

    def consume(self, thread: KernelThread | None) -> int:
        """Become the owner, once more; STATUS_ABANDONED tells that the last owner died."""
        assert thread is not None, "wait packets refuse mutexes"
        self.owner = thread
        self.depth += 1
        thread.mutants[self] = None
        if self.abandoned:
            self.abandoned = False
            return status.STATUS_ABANDONED
        return status.STATUS_WAIT_0

    def release(self, thread: KernelThread) -> None:
        """Undo one acquisition; STATUS_MUTANT_NOT_OWNED for anybody but the owner."""
        if self.owner is not thread:
            raise NtError(status.STATUS_MUTANT_NOT_OWNED)
        self.depth -= 1
        if self.depth == 0:
            self._free(thread)

    def abandon(self, thread: KernelThread) -> None:
        """The owner has exited while holding it."""
        self.depth = 0
        self.abandoned = True
        self._free(thread)

    def _free(self, thread: KernelThread) -> None:
        self.owner = None
        del thread.mutants[self]
        self.wake_waits()


def begin_wait(
    thread: KernelThread,
    objects: Sequence[Waitable],
    mode: WaitMode,
    timeout: Timeout,
    alertability: Alertability,
) -> int | None:
    """Wait for `objects`, or merely sleep when there are none; the NTSTATUS, or None when the thread now blocks.

    A satisfied wait comes before a pending APC, an APC before the timeout.  Blocking gives up the thread's slot and
    releases at most one waiter of its port (Q-23, Q-25); the other outcomes touch no port (Q-29).
    """
    thread.check_running()
    for obj in objects:
        obj.check_waitable()
    wait = Wait(thread, tuple(objects), mode, alertability)
    result = wait.try_satisfy() if wait.objects else None
    if result is not None:
        return result
    if alertability is Alertability.ALERTABLE and thread.user_apcs:
        return status.STATUS_USER_APC
    if timeout is Timeout.DUE:
        return status.STATUS_TIMEOUT
    wait.attach()
    thread.begin_block(wait)
    return None
