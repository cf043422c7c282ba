"""A zoo of broken queues: each breaks one rule, and each must be found by exploring histories.

Theory.  A specimen is the kernel's own queue with one procedure spoiled.  `SPECIMENS` says which properties may be the
first to notice: a fault often breaks more than one at the same step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from iocp_emu.kernel.objects import KernelObject
from iocp_emu.kernel.queue import Dequeue, KernelQueue, Place, RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Timeout
from iocp_emu.profiles import WaiterOrder
from iocp_emu.testing.bounds import ALL_VERBS, BASIC_VERBS, Verb


class Queue(KernelQueue[Any]):
    """The kernel's queue, nothing changed: the right version."""

    __slots__ = ()


class FifoWaiters(Queue):
    """The first to park is the first to go (against Q-07)."""

    __slots__ = ()

    def __init__(self, maximum_count: int, *, owner: KernelObject | None = None, **_: Any) -> None:
        super().__init__(maximum_count, owner=owner, waiter_order=WaiterOrder.FIFO)


class OffByOneLimit(Queue):
    """A packet is handed over when the count is at the limit already (against Q-10)."""

    __slots__ = ()

    def insert(self, packet: Any, place: Place = Place.TAIL, interrupted: KernelThread | None = None) -> int:
        self.maximum_count += 1
        try:
            return super().insert(packet, place, interrupted)
        finally:
            self.maximum_count -= 1


class StrangersTakeAtTheLimit(Queue):
    """A caller takes a queued packet whatever the count (against Q-13)."""

    __slots__ = ()

    def _look(self, thread: KernelThread, dequeue: Dequeue) -> list[Any] | RemoveOutcome | None:
        limit, self.maximum_count = self.maximum_count, 1 << 30
        try:
            return super()._look(thread, dequeue)
        finally:
            self.maximum_count = limit


class HardCapOnUnblock(Queue):
    """A thread that unblocks at the limit is not counted (against Q-26)."""

    __slots__ = ()

    def thread_started(self, thread: KernelThread) -> None:
        if self.current_count < self.maximum_count:
            super().thread_started(thread)


class LosesPacketOnTimeout(Queue):
    """A timeout that meets a queued packet takes it along to nowhere (against Q-33)."""

    __slots__ = ()

    def expire(self, thread: KernelThread) -> bool:
        if self.packets:
            self.packets.popleft()
        return super().expire(thread)


class DoubleRelease(Queue):
    """A slot that comes free releases two waiters (against Q-25)."""

    __slots__ = ()

    def release(self) -> KernelThread | None:
        released = super().release()
        if released is not None and self.packets and self.waiters:
            self._hand_over(self.packets.popleft())
        return released


class CountKeptOnExit(Queue):
    """A runnable member that leaves stays counted (against Q-28)."""

    __slots__ = ()

    def leave(self, thread: KernelThread) -> None:
        was_running = thread.state is ThreadState.RUNNABLE
        super().leave(thread)
        self.current_count += was_running


class NoReleaseOnBlock(Queue):
    """A slot that comes free is not used (against Q-25)."""

    __slots__ = ()

    def thread_stopped(self, thread: KernelThread) -> None:
        self.current_count -= 1


class PacketsLastInFirstOut(Queue):
    """The latest packet leaves first (against Q-06)."""

    __slots__ = ()

    def insert(self, packet: Any, place: Place = Place.TAIL, interrupted: KernelThread | None = None) -> int:
        return super().insert(packet, Place.HEAD, interrupted)


class UncountedPoller(Queue):
    """A poll that finds nothing leaves its caller uncounted (against Q-30)."""

    __slots__ = ()

    def _look(self, thread: KernelThread, dequeue: Dequeue) -> list[Any] | RemoveOutcome | None:
        result = super()._look(thread, dequeue)
        self.current_count -= result is RemoveOutcome.TIMEOUT
        return result


class UncountedHandOff(Queue):
    """A waiter is counted only when it runs, which is never noticed (against Q-22)."""

    __slots__ = ()

    def _hand_over(self, packet: Any) -> KernelThread:
        thread = super()._hand_over(packet)
        self.current_count -= 1
        return thread


class PollParks(Queue):
    """A zero timeout waits (against Q-30)."""

    __slots__ = ()

    def remove(
        self,
        thread: KernelThread,
        maximum: int = 1,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> list[Any] | RemoveOutcome | None:
        return super().remove(thread, maximum, Timeout.LATER, alertability)


class MemberOfTwoPorts(Queue):
    """A thread that dequeues elsewhere stays a member here (against Q-15)."""

    __slots__ = ()

    def leave(self, thread: KernelThread) -> None:
        super().leave(thread)
        if thread.state is ThreadState.RUNNABLE:
            self.members[thread] = None


class ParksAtTheBottom(Queue):
    """A fresh waiter goes below the others (against Q-08)."""

    __slots__ = ()

    def _park(self, thread: KernelThread, dequeue: Dequeue) -> None:
        others = dict(self.waiters)
        self.waiters.clear()
        super()._park(thread, dequeue)
        self.waiters.update(others)


class BatchLeavesOneBehind(Queue):
    """The last packet of a batch is delivered and stays queued (against Q-19, Q-35)."""

    __slots__ = ()

    def _take(self, maximum: int) -> list[Any]:
        taken = super()._take(maximum)
        if len(taken) > 1:
            self.packets.appendleft(taken[-1])
        return taken


class ParkedCallLeaksReference(Queue):
    """A parked call that is not the first waiter takes two references (against H-02)."""

    __slots__ = ()

    def _park(self, thread: KernelThread, dequeue: Dequeue) -> None:
        super()._park(thread, dequeue)
        if len(self.waiters) > 1 and self.owner is not None:
            self.owner.reference()


class ForgetsEveryThirdPacket(Queue):
    """State of its own: every third packet is lost (against Q-35)."""

    __slots__ = ("inserted",)

    def __init__(self, maximum_count: int, **options: Any) -> None:
        super().__init__(maximum_count, **options)
        self.inserted = 0

    def insert(self, packet: Any, place: Place = Place.TAIL, interrupted: KernelThread | None = None) -> int:
        self.inserted = (self.inserted + 1) % 3
        return super().insert(packet, place, interrupted) if self.inserted else len(self.packets)


class CloseForgetsTheBottomWaiter(Queue):
    """The rundown leaves the longest waiter where it is (against O-21)."""

    __slots__ = ()

    def run_down(self) -> list[Any]:
        if len(self.waiters) > 1:
            thread = next(iter(self.waiters))
            del self.waiters[thread], self.members[thread]
        return super().run_down()


class RaisesOnTimeoutBelowTheTop(Queue):
    """A timeout of any waiter but the top one is an error of the implementation."""

    __slots__ = ()

    def expire(self, thread: KernelThread) -> bool:
        if thread in self.waiters and thread is not next(reversed(self.waiters)):
            raise KeyError(thread.name)
        return super().expire(thread)


class MovesToTheBottomOnSuspension(Queue):
    """A waiter that is resumed goes below the others (against Q-08); needs suspensions to show."""

    __slots__ = ()

    def reenter(self, thread: KernelThread) -> None:
        others = dict(self.waiters)
        super().reenter(thread)
        if thread in self.waiters:
            self.waiters.clear()
            self.waiters[thread] = thread.dequeue  # type: ignore[assignment]
            self.waiters.update(others)


class PutsBackAtTheTail(Queue):
    """Q-35 after an interrupted return: no verb of a history reaches this, so nothing is to be found."""

    __slots__ = ()

    def put_back(self, packets: Iterable[Any]) -> None:
        self.packets.extend(packets)


@dataclass(frozen=True)
class Specimen:
    """A broken queue, and what must be said of it; `steps` is the length of the shortest history that shows it."""

    queue_type: type[KernelQueue[Any]]
    rules: tuple[str, ...]
    steps: int
    verbs: tuple[Verb, ...] = BASIC_VERBS


SPECIMENS = (
    Specimen(FifoWaiters, ("P-09",), 3),
    Specimen(OffByOneLimit, ("P-06",), 3),
    Specimen(StrangersTakeAtTheLimit, ("P-06",), 3),
    Specimen(HardCapOnUnblock, ("P-01",), 4),
    Specimen(LosesPacketOnTimeout, ("P-05",), 4),
    Specimen(DoubleRelease, ("P-06", "P-10"), 6),
    Specimen(CountKeptOnExit, ("P-01",), 2),
    Specimen(NoReleaseOnBlock, ("P-02",), 4),
    Specimen(PacketsLastInFirstOut, ("P-04",), 2),
    Specimen(UncountedPoller, ("P-01",), 1),
    Specimen(UncountedHandOff, ("P-01",), 2),
    Specimen(PollParks, ("P-11",), 1),
    Specimen(MemberOfTwoPorts, ("P-01", "P-08"), 2),
    Specimen(ParksAtTheBottom, ("P-09",), 2),
    Specimen(BatchLeavesOneBehind, ("P-05",), 3),
    Specimen(ParkedCallLeaksReference, ("P-14",), 2),
    Specimen(ForgetsEveryThirdPacket, ("P-05",), 4),
    Specimen(CloseForgetsTheBottomWaiter, ("P-07", "P-08", "P-13", "P-14"), 3),
    Specimen(RaisesOnTimeoutBelowTheTop, ("error",), 3),
    Specimen(MovesToTheBottomOnSuspension, ("P-09",), 4, ALL_VERBS),
)
