"""The I/O completion object: a kernel queue with handles, and what its packets carry.

Theory.  A completion packet is four opaque values and, apart from them, where it came from: nowhere (a post), an
overlapped request, a job, a wait completion packet.  The source hears when its packet has been delivered or dropped;
that is how late status blocks (I-27) and reusable wait packets (X-05) work without the queue knowing of either.

The port is usable while a handle is open and exists while anything refers to it (O-20, O-24, H-02).  Its handle can
be waited on and is signalled while packets are queued; such a wait takes nothing (O-10 to O-13).

Rules of this file: O-01, O-04, O-05, O-07 to O-13, O-20 to O-28, G-14, G-20 to G-25, N-01 to N-08, Q-03, Q-04, Q-05.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import status
from ..errors import Win32Error, win32_error
from ..status import is_success, status_to_error
from .objects import NtError
from .queue import ALERTABLE, UNLIMITED, KernelQueue, RemoveOutcome
from .thread import RUNNABLE, KernelThread
from .waits import Alertability, Timeout, Waitable, Waiter

if TYPE_CHECKING:
    from ..profiles import Profile
    from .machine import Kernel


class PacketSource:
    """Where a packet came from, when it was not posted."""

    __slots__ = ()

    def on_delivered(self) -> None:
        """The packet has been dequeued, and the dequeuing thread is about to return with it."""

    def on_dropped(self) -> None:
        """The packet will never be dequeued."""


class Packet:
    """One completion packet, as it is queued and as it is received.

    `key` is the completion key, `overlapped` what identifies the request, `status` the NTSTATUS, `information` the
    pointer-sized count; `source` is None for a posted packet.  A failed operation arrives as a packet with its
    `error`; receiving it raises nothing (G-02, N-02).  A value: packets are equal when all five fields are, and one can
    be unpacked and indexed like the tuple of them.

    >>> Packet(key=7, overlapped=None, status=0, information=3, source=None).bytes
    3
    """

    __slots__ = ("information", "key", "overlapped", "source", "status")
    _fields = __match_args__ = ("key", "overlapped", "status", "information", "source")

    def __init__(
        self, key: Any, overlapped: Any, status: int, information: int, source: PacketSource | None = None
    ) -> None:
        self.key = key
        self.overlapped = overlapped
        self.status = status
        self.information = information
        self.source = source

    @property
    def bytes(self) -> int:
        """Bytes transferred, 0 to 2**32 - 1: the low half of `information`, as the Win32 calls show it (O-05)."""
        return self.information & 0xFFFFFFFF

    @property
    def error(self) -> Win32Error | None:
        """None for success and informational statuses, else the mapped error: warnings count as errors (G-02)."""
        if is_success(self.status):
            return None
        return win32_error(status_to_error(self.status))

    def replace(self, **changes: Any) -> Packet:
        """A copy with some fields changed."""
        return Packet(**{**dict(zip(self._fields, self._as_tuple(), strict=True)), **changes})

    def _as_tuple(self) -> tuple[Any, ...]:
        return self.key, self.overlapped, self.status, self.information, self.source

    def __iter__(self) -> Iterator[Any]:
        return iter(self._as_tuple())

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, index: Any) -> Any:
        return self._as_tuple()[index]

    def __eq__(self, other: object) -> bool:
        return self._as_tuple() == other._as_tuple() if isinstance(other, Packet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._as_tuple())

    def __repr__(self) -> str:
        return (
            f"Packet(key={self.key!r}, overlapped={self.overlapped!r}, status={self.status!r}, "
            f"information={self.information!r}, source={self.source!r})"
        )


class PostedPacket(Packet):
    """A packet that a program posts with a count of 32 bits: success, from nowhere.

    The same to look at, cheaper to make and to read: it is made blank, and whoever makes it sets `key`, `overlapped`
    and `information`.  A subclass must not add to the construction: `PostedPacket()` has to stay one step in C.
    """

    __slots__ = ()
    status = 0
    source = None
    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__
        bytes = Packet.information  # the slot itself: nothing to cut off


def posted_packet(key: Any, overlapped: Any, information: int) -> PostedPacket:
    """A packet as `PostQueuedCompletionStatus` makes it; `information` is 0 to 2**32 - 1.

    >>> posted_packet("key", None, 3)
    Packet(key='key', overlapped=None, status=0, information=3, source=None)
    """
    packet = PostedPacket()
    packet.key = key
    packet.overlapped = overlapped
    packet.information = information
    return packet


class IoCompletion(Waitable):
    """An I/O completion port (O-01).

    `concurrency` is the concurrency value as given, except that 0 is replaced by the number of logical processors, once
    (Q-03); it never changes and has no upper bound (Q-04).  `has_sources` is whether a packet with a source ever came.
    """

    type_name = "IoCompletion"
    __slots__ = (
        "concurrency",
        "dropped",
        "has_sources",
        "is_closed",
        "is_passing",
        "profile",
        "queue",
        "running_down",
    )

    def __init__(self, kernel: Kernel, concurrency: int, profile: Profile) -> None:
        super().__init__(kernel)
        self.profile = profile
        self.concurrency = concurrency or kernel.processors
        self.queue: KernelQueue[Packet] = kernel.queue_type(
            self.concurrency if profile.limit_enforced else UNLIMITED,
            owner=self,
            waiter_order=profile.waiter_order,
            sweep_on_wake=profile.sweep_on_wake,
        )
        self.dropped = 0
        self.has_sources = False
        self.is_closed = False
        self.is_passing = False
        self.running_down = False

    @property
    def depth(self) -> int:
        """Queued packets, which is the signal state; handed-off packets never enter it (O-04, Q-05)."""
        return len(self.queue.packets)

    # -- set ---------------------------------------------------------------------------------------------------

    def set(self, packet: Packet, interrupted: KernelThread | None = None) -> int:
        """Insert a packet of any origin (O-05, O-09, N-03 to N-08); the depth before.  O(1) plus direct waiters.

        After the rundown nobody can collect it: it is counted in `dropped` (H-06).
        """
        if self.running_down:
            self._drop(packet)
            return 0
        if packet.source is not None:
            self.has_sources = True
        previous = self.queue.insert(packet, interrupted=interrupted)
        if self.waits:
            self._wake_direct_waiters(previous)
        return previous

    def put_back(self, packets: list[Packet]) -> None:
        """Undo a delivery whose caller was interrupted before it could return (Q-35); too late, it drops (O-22)."""
        if self.running_down:
            for packet in packets:
                self._drop(packet)
            return
        previous = self.depth
        self.queue.put_back(packets)
        self._wake_direct_waiters(previous)

    def settle(self) -> None:
        """Offer packets that a runtime has appended without a verb: to a waiter, to direct waiters, or to nobody.

        Together with the append this is `set`, seen from outside as one step; without a waiter it has nothing to do.
        """
        if self.running_down:
            while self.queue.packets:
                self._drop(self.queue.packets.popleft())
            return
        self.queue.release()
        if self.queue.packets or self.profile.direct_waiters_on_hand_off:
            self._wake_direct_waiters(0)

    def _wake_direct_waiters(self, previous: int) -> None:
        """O-11, O-12: all of them when a packet was queued; on a hand-off only before Windows 10 1607."""
        if self.depth > previous:
            self.wake_waits()
        elif self.profile.direct_waiters_on_hand_off:
            self.is_passing = True
            self.wake_waits()
            self.is_passing = False

    # -- remove ------------------------------------------------------------------------------------------------

    def remove(
        self,
        thread: KernelThread,
        maximum: int = 1,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> list[Packet] | RemoveOutcome | None:
        """Dequeue for `thread`; None when it parks and `collect` will tell (O-07, O-08, G-08, G-20 to G-22).

        A thread that is not associated with this port has a pending user APC delivered first, and the call does not
        associate it (G-14, by profile).  A zero count is STATUS_INVALID_PARAMETER (O-08, G-24, by profile); batches and
        alertable calls are STATUS_NOT_IMPLEMENTED before Vista; a call that comes just after the last handle was closed
        is STATUS_INVALID_HANDLE (O-23).
        """
        if thread.state is not RUNNABLE:
            thread.check_running()
        if self.is_closed:
            raise NtError(status.STATUS_INVALID_HANDLE)
        if maximum != 1 or alertability is ALERTABLE:
            if not self.profile.batch_removal and (maximum > 1 or alertability is ALERTABLE):
                raise NtError(status.STATUS_NOT_IMPLEMENTED)
            if maximum < 1:
                if self.profile.zero_count_refused:
                    raise NtError(status.STATUS_INVALID_PARAMETER)
                return []
            if (
                alertability is ALERTABLE
                and thread.user_apcs
                and thread.queue is not self.queue
                and self.profile.apc_first_for_strangers
            ):
                return RemoveOutcome.USER_APC
        result = self.queue.remove(thread, maximum, timeout, alertability)
        if isinstance(result, list):
            finish_delivery(result)
        return result

    def admit(self, number: int) -> None:
        """The thread with this number of its runtime has just been given packets: it may take more by itself (Q-11).

        Until takers are forgotten: in between, each such call gives up the slot and is counted again, net zero.
        """
        queue = self.queue
        queue.takers.add(number)
        queue.is_watched = bool(queue.waiters or self.waits)

    # -- waiting on the handle ---------------------------------------------------------------------------------

    def add_wait(self, wait: Waiter) -> None:
        """Somebody waits for the port itself (O-10, O-11)."""
        self.queue.is_watched = True
        super().add_wait(wait)

    def check_waitable(self) -> None:
        """O-10, by profile: the classic page knows no wait on the handle."""
        if not self.profile.port_waitable:
            raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Signalled while depth > 0, while a packet passes through (O-12), and for good once run down (O-10, O-21)."""
        return bool(self.queue.packets) or self.is_passing or self.running_down

    # -- the end -----------------------------------------------------------------------------------------------

    def on_last_handle_closed(self) -> None:
        """O-20 to O-23: unusable at once; waiters are abandoned, direct waiters succeed.  Not before Vista (O-25)."""
        self.is_closed = True
        if self.profile.close_wakes_waiters:
            self._run_down()

    def on_freed(self) -> None:
        """O-24, H-05: the packets still queued go silently."""
        if not self.running_down:
            self._run_down()

    def _run_down(self) -> None:
        self.running_down = True
        self.queue.is_watched = True
        for packet in self.queue.run_down():
            self._drop(packet)
        self.wake_waits()

    def _drop(self, packet: Packet) -> None:
        self.dropped += 1
        if packet.source is not None:
            packet.source.on_dropped()


def finish_delivery(packets: list[Packet]) -> None:
    """Tell the sources of just dequeued packets, in the dequeuing thread (I-27, X-05)."""
    for packet in packets:
        if packet.source is not None:
            packet.source.on_delivered()


def lose_delivery(packets: list[Packet]) -> None:
    """Tell the sources of packets whose thread ended before it could return with them."""
    for packet in packets:
        if packet.source is not None:
            packet.source.on_dropped()
