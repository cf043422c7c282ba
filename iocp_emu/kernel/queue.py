"""The kernel queue under a completion port: the whole scheduler of the port.

Theory.  A queue holds packets (oldest first), parked waiters (latest on top), the threads associated with it, and two
numbers: how many of those threads are runnable, and how many may be when a packet is handed out (Q-01, Q-02).  Three
procedures do everything:

    insert   a packet meets a waiter below the limit: straight hand-off; else it is queued            (Q-10)
    remove   give up the own slot, look for a packet below the limit, else APC, timeout, park          (Q-11)
    release  a slot came free: the oldest packet goes to the top waiter, if the limit allows           (Q-25)

Threads that stop or start running call `release` or raise the count through `KernelThread`; nobody is ever refused or
stopped, so the count may exceed the limit and drains only as threads give up slots (Q-26, Q-27, Q-32).

Rules of this file: Q-01 to Q-40 but for those that need an object around the queue; A-04, A-09, A-10, P-01 to P-12.

Two hints let a runtime do without a verb where a verb would change nothing but the packets.  `takers` are threads, by
a number of the runtime's, that would get the oldest packet if they asked now: counted, and not above the limit.  All
are forgotten as soon as one of them might not (somebody stops running, the limit is exceeded), and a thread that is
given a packet is admitted again; so somebody may be missing, and nobody is one too many.  `is_watched` is false only
while nobody has to hear of a packet that is queued: no waiter here, nobody at the object around.  It may be true for
longer.

Own rules.  Packets are opaque here.  Every operation is O(1): waiters leave from the top or, on timeout, from the
middle of an insertion-ordered dict in constant time, whatever the depth and the number of waiters.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from itertools import repeat, starmap
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from .. import status
from ..profiles import WaiterOrder
from .objects import KernelObject
from .thread import PARKED, RUNNABLE, KernelThread
from .waits import Alertability, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterable

PacketT = TypeVar("PacketT")

# Names of this module, since an enumeration is slow to look into and `remove` is the busiest procedure of all.
DUE, ALERTABLE = Timeout.DUE, Alertability.ALERTABLE
LIFO = WaiterOrder.LIFO

UNLIMITED = 1 << 64
"""An enforced limit that no number of threads reaches; for profiles that ignore the concurrency value."""


class Place(enum.Enum):
    """Where an inserted packet goes when it has to be queued."""

    TAIL = "behind all others, as every user-mode call does"
    HEAD = "before all others (Q-09)"


class RemoveOutcome(enum.Enum):
    """How a removal ended that brought no packet; the value is the NTSTATUS."""

    TIMEOUT = status.STATUS_TIMEOUT
    USER_APC = status.STATUS_USER_APC
    ABANDONED = status.STATUS_ABANDONED_WAIT_0


class Dequeue:
    """A removal that did not end at once: what it needs to re-enter its loop (Q-17).  Never changed: may be shared."""

    __slots__ = ("alertability", "maximum", "timeout")

    def __init__(self, maximum: int, timeout: Timeout, alertability: Alertability) -> None:
        self.maximum = maximum
        self.timeout = timeout
        self.alertability = alertability


PLAIN_DEQUEUE = Dequeue(1, Timeout.LATER, Alertability.PLAIN)
"""What nearly every waiter waits in: one packet, not at once, no APC."""


class _Identical:
    """Equal to one very object: lets a deque search by identity, without comparing opaque values (N-01)."""

    __slots__ = ("_it",)

    def __init__(self, it: object) -> None:
        self._it = it

    def __eq__(self, other: object) -> bool:
        return other is self._it

    __hash__ = None  # type: ignore[assignment]


class KernelQueue(Generic[PacketT]):
    """Packets first in, first out; waiters last in, first out; runnable threads counted against a limit.

    `owner` is the object that a parked call keeps alive (H-02).  `maximum_count` is the limit in threads, 1 or more.
    `sweep_on_wake` lets a parked batch caller take further packets when one is handed to it (Q-19, unknown on Windows).
    """

    __slots__ = (
        "current_count",
        "is_watched",
        "maximum_count",
        "members",
        "owner",
        "packets",
        "sweep_on_wake",
        "takers",
        "waiter_order",
        "waiters",
    )

    def __init__(
        self,
        maximum_count: int,
        *,
        owner: KernelObject | None = None,
        waiter_order: WaiterOrder = WaiterOrder.LIFO,
        sweep_on_wake: bool = False,
    ) -> None:
        self.packets: deque[PacketT] = deque()
        self.waiters: dict[KernelThread, Dequeue] = {}
        self.members: dict[KernelThread, None] = {}
        self.current_count = 0
        self.maximum_count = maximum_count
        self.owner = owner
        self.waiter_order = waiter_order
        self.sweep_on_wake = sweep_on_wake
        self.takers: set[int] = set()
        self.is_watched = False

    # -- the three procedures ----------------------------------------------------------------------------------

    def insert(self, packet: PacketT, place: Place = Place.TAIL, interrupted: KernelThread | None = None) -> int:
        """Queue a packet or hand it to the top waiter; the depth before the call (Q-10, Q-38).  O(1), never blocks.

        `interrupted` is the thread whose parking on this queue the current kernel APC has interrupted, if any: then
        the packet is always queued, and that thread looks first (Q-18).
        """
        previous = len(self.packets)
        exempt = interrupted is not None and interrupted.queue is self
        if self.waiters and self.current_count < self.maximum_count and not exempt:
            self._hand_over(packet)
        elif place is Place.TAIL:
            self.packets.append(packet)
        else:
            self.packets.appendleft(packet)
        return previous

    def remove(
        self,
        thread: KernelThread,
        maximum: int = 1,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> list[PacketT] | RemoveOutcome | None:
        """Take up to `maximum` packets for the running `thread`; None when it is parked now (Q-11).  O(packets taken).

        Q-12 to Q-15, Q-19 to Q-21, Q-30 to Q-32: the caller is associated before anything is looked at, gives up its
        slot without a release step, and is counted again with whatever it returns.
        """
        if thread.state is not RUNNABLE:
            thread.check_running()
        if thread.queue is self:
            self.current_count -= 1
        else:
            if thread.queue is not None:
                thread.queue.leave(thread)
            thread.queue = self
            self.members[thread] = None
        if maximum == 1 and timeout is not DUE and alertability is not ALERTABLE:
            return self._look(thread, PLAIN_DEQUEUE)
        return self._look(thread, Dequeue(maximum, timeout, alertability))

    def release(self) -> KernelThread | None:
        """After a slot came free: the oldest packet to the top waiter, below the limit (Q-25, Q-27).  O(1).

        At most one waiter per call, which is returned; one suffices, since packets and waiters only ever wait side by
        side at the limit (P-02, P-10).
        """
        if self.packets and self.waiters and self.current_count < self.maximum_count:
            try:
                packet = self.packets.popleft()
            except IndexError:  # a runtime took it at the same moment
                return None
            return self._hand_over(packet)
        return None

    # -- members that start and stop running -------------------------------------------------------------------

    def thread_started(self, thread: KernelThread) -> None:
        """The member `thread` is runnable again: counted, without a look at the limit (Q-26)."""
        self._count_anyway()

    def thread_stopped(self, thread: KernelThread) -> None:
        """The member `thread` is runnable no longer: its slot is free, at most one waiter is released (Q-23, Q-25)."""
        self.current_count -= 1
        self.takers.clear()
        self.release()

    # -- what their callers share ------------------------------------------------------------------------------

    def _look(self, thread: KernelThread, dequeue: Dequeue) -> list[PacketT] | RemoveOutcome | None:
        """Steps 2 to 6 of Q-11 for an associated, uncounted thread.

        A packet comes before a user APC, an APC before the timeout (Q-31).
        """
        if self.packets and self.current_count < self.maximum_count:
            taken = self._take(dequeue.maximum)
            if taken:
                self.current_count += 1
                return taken
        if dequeue.alertability is ALERTABLE and thread.user_apcs:
            self._count_anyway()
            return RemoveOutcome.USER_APC
        if dequeue.timeout is DUE:
            self._count_anyway()
            return RemoveOutcome.TIMEOUT
        self._park(thread, dequeue)
        return None

    def _count_anyway(self) -> None:
        """One more runs, whatever the limit says (Q-24, Q-26); above it nobody is given a packet (Q-32)."""
        self.current_count += 1
        if self.current_count > self.maximum_count:
            self.takers.clear()

    def _take(self, maximum: int) -> list[PacketT]:
        """The oldest packets, `maximum` at most.  A runtime may take packets at the same moment: none may be left."""
        taken: list[PacketT] = []
        try:
            taken.extend(starmap(self.packets.popleft, repeat((), maximum)))
        except IndexError:
            pass
        return taken

    def _park(self, thread: KernelThread, dequeue: Dequeue) -> None:
        """Step 6 of Q-11: on top of the waiters (Q-07, Q-08); the call in progress is a reference (H-02)."""
        if thread.dequeue is None:
            thread.dequeue = dequeue
            if self.owner is not None:
                self.owner.reference()
        thread.state = PARKED
        self.takers.clear()
        self.is_watched = True
        self.waiters[thread] = dequeue

    def _hand_over(self, packet: PacketT) -> KernelThread:
        """Give `packet` to the top waiter: counted when it is made ready, before it runs (Q-22)."""
        if self.waiter_order is LIFO:
            thread, dequeue = self.waiters.popitem()
        else:
            thread = next(iter(self.waiters))
            dequeue = self.waiters.pop(thread)
        taken = [packet]
        if self.sweep_on_wake:
            taken.extend(self._take(dequeue.maximum - 1))
        self._end_park(thread, taken)
        return thread

    def _end_park(self, thread: KernelThread, result: list[PacketT] | RemoveOutcome) -> None:
        """A waiter, already off the list, leaves with `result`: counted, whatever the limit says (Q-22, Q-24)."""
        self._count_anyway()
        self._end_call(thread, result)

    def _end_call(self, thread: KernelThread, result: list[PacketT] | RemoveOutcome) -> None:
        """A call that had parked ends with `result`; the thread is runnable and its count settled by the caller."""
        thread.dequeue = None
        thread.wait_result = result
        thread.state = RUNNABLE
        thread.kernel.readied.append(thread)
        if self.owner is not None:
            self.owner.dereference()

    # -- other ways out of a wait ------------------------------------------------------------------------------

    def expire(self, thread: KernelThread) -> bool:
        """The timeout of a parked or suspended caller has passed (Q-24, Q-33); it is counted, limit or not.

        False when the call had already ended: then the packet, not the timeout, is its result.
        """
        if thread in self.waiters:
            del self.waiters[thread]
            self._end_park(thread, RemoveOutcome.TIMEOUT)
            return True
        if thread.dequeue is not None:
            thread.dequeue = Dequeue(thread.dequeue.maximum, DUE, thread.dequeue.alertability)
        return False

    def alert(self, thread: KernelThread) -> None:
        """A user APC has been queued to a parked thread; an alertable call returns and is counted (Q-24, O-07)."""
        if self.waiters[thread].alertability is ALERTABLE:
            del self.waiters[thread]
            self._end_park(thread, RemoveOutcome.USER_APC)

    def withdraw(self, thread: KernelThread) -> None:
        """Take a waiter off the list; its call goes on and `reenter` will end or park it (Q-08, Q-17)."""
        del self.waiters[thread]

    def reenter(self, thread: KernelThread) -> None:
        """A withdrawn waiter looks again, as a fresh arrival would, and parks on top if it must (Q-08, Q-17)."""
        assert thread.dequeue is not None
        result = self._look(thread, thread.dequeue)
        if result is not None:
            self._end_call(thread, result)

    def interrupt(self, thread: KernelThread, action: Callable[[], None]) -> None:
        """Run a kernel APC in a parked thread: counted meanwhile, then back into the loop, on top (Q-08, Q-17, Q-18).

        What the action queued here and this thread does not take is passed on at the end (P-02).  An action that
        suspends or ends the thread leaves nothing to re-enter.
        """
        self.withdraw(thread)
        thread.start_running()
        action()
        if thread.dequeue is not None and thread.state is RUNNABLE:
            self.current_count -= 1
            self.reenter(thread)
        elif thread.state is RUNNABLE:
            # The action closed the port: the call has been abandoned, and the thread runs already.
            thread.kernel.readied.append(thread)
        while self.release() is not None:
            pass

    # -- association -------------------------------------------------------------------------------------------

    def leave(self, thread: KernelThread) -> None:
        """End the association of a member: exit, or a dequeue elsewhere (Q-15, Q-28, A-02).

        A runnable member frees its slot, which may release one waiter here before the caller does anything else.
        """
        del self.members[thread]
        thread.queue = None
        if thread.dequeue is not None:
            self.waiters.pop(thread, None)
            thread.dequeue = None
            if self.owner is not None:
                self.owner.dereference()
        if thread.state is RUNNABLE:
            self.thread_stopped(thread)

    # -- packets out of turn -----------------------------------------------------------------------------------

    def holds(self, packet: PacketT) -> bool:
        """Whether this very packet is queued.  O(depth)."""
        return any(queued is packet for queued in tuple(self.packets))

    def discard(self, packet: PacketT) -> bool:
        """Take this very packet out of the middle of the queue (X-06); False when it is not queued.  O(depth)."""
        while True:
            try:
                self.packets.remove(cast(PacketT, _Identical(packet)))
            except ValueError:
                return False
            except IndexError:  # pragma: no cover - a runtime took a packet at the same moment
                continue
            return True

    def put_back(self, packets: Iterable[PacketT]) -> None:
        """Undo a delivery whose caller was interrupted before it could return: oldest again, and offered at once.

        No call of Windows does this; it keeps Q-35 where Python can raise out of a wait.
        """
        self.packets.extendleft(reversed(list(packets)))
        while self.release() is not None:
            pass

    # -- the end -----------------------------------------------------------------------------------------------

    def run_down(self) -> list[PacketT]:
        """Abandon every waiter, top first, end every association, and empty the queue (O-21, O-23, Q-34, H-04).

        Returns the packets that nobody will get.  O(waiters + members + depth).
        """
        for thread in reversed(list(self.waiters)):
            self._end_park(thread, RemoveOutcome.ABANDONED)
        self.waiters.clear()
        for thread in list(self.members):
            if thread.dequeue is not None:
                self._abandon_withdrawn(thread)
            thread.queue = None
        self.members.clear()
        self.takers.clear()
        self.current_count = 0
        dropped: list[PacketT] = []
        while self.packets:
            dropped.append(self.packets.popleft())
        return dropped

    def _abandon_withdrawn(self, thread: KernelThread) -> None:
        """A waiter that is suspended, or in a kernel APC, learns that the queue is gone when that is over."""
        thread.dequeue = None
        thread.wait_result = RemoveOutcome.ABANDONED
        if self.owner is not None:
            self.owner.dereference()
