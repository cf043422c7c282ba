"""Wait completion packets and reserve objects: packets that are allocated before they are needed.

Theory.  A wait completion packet ties one waitable object to one port: when the object becomes signalled, exactly the
packet that was described is queued, once.  It is idle, armed or queued; only an idle one can be associated (X-05), and
what cancelling means depends on which it is (X-06).

    IDLE --associate--> ARMED --object signalled--> QUEUED --dequeued, withdrawn or dropped--> IDLE

Rules of this file: X-05, X-06, O-06.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from .. import status
from .completion import IoCompletion, Packet, PacketSource
from .jobs import Process
from .objects import KernelObject, NtError
from .thread import KernelThread
from .waits import Semaphore, Signal, Waitable, Waiter

if TYPE_CHECKING:
    from .machine import Kernel


class WaitPacketState(enum.Enum):
    """Where a wait completion packet is."""

    IDLE = "not in use"
    ARMED = "waiting for its object"
    QUEUED = "in the port's queue"


class Removal(enum.Enum):
    """What cancelling does with a packet that is already queued (X-06)."""

    KEEP_QUEUED = "leave it in the queue"
    REMOVE_QUEUED = "take it out of the middle of the queue"


class _Armed(Waiter):
    """The entry of an armed packet on its object's list."""

    __slots__ = ("owner",)

    def __init__(self, owner: WaitCompletionPacket, target: Waitable) -> None:
        super().__init__((target,))
        self.owner = owner

    def try_satisfy(self) -> int | None:
        """As a thread's wait would: an auto-reset event is spent on it."""
        (target,) = self.objects
        return target.consume(None) if target.is_signalled_for(None) else None

    def finish(self, result: int) -> None:
        """Queue the packet."""
        self.detach()
        self.owner.fire()


class WaitCompletionPacket(KernelObject, PacketSource):
    """A reusable one-shot packet that an object's signal queues to a port."""

    type_name = "WaitCompletionPacket"
    __slots__ = ("_armed", "packet", "port", "state", "target")

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.state = WaitPacketState.IDLE
        self.port: IoCompletion | None = None
        self.target: Waitable | None = None
        self.packet: Packet | None = None
        self._armed: _Armed | None = None

    def associate(self, port: IoCompletion, target: Waitable, packet: Packet) -> bool:
        """Queue `packet` to `port` when `target` is signalled; True when it already was, and the packet is queued.

        STATUS_INVALID_PARAMETER_1 while in use; STATUS_INVALID_PARAMETER_3 for a target that is no event, semaphore,
        timer, thread or process (X-05).
        """
        if self.state is not WaitPacketState.IDLE:
            raise NtError(status.STATUS_INVALID_PARAMETER_1)
        if not isinstance(target, (Signal, Semaphore, KernelThread, Process)):
            raise NtError(status.STATUS_INVALID_PARAMETER_3)
        port.reference()
        target.reference()
        self.reference()
        self.port = port
        self.target = target
        self.packet = packet.replace(source=self)
        self.state = WaitPacketState.ARMED
        armed = _Armed(self, target)
        self._armed = armed
        if armed.try_satisfy() is not None:
            self.fire()
            return True
        armed.attach()
        return False

    def cancel(self, removal: Removal) -> int:
        """Stop it: SUCCESS when armed, or taken out of the queue; PENDING when it stays queued; else CANCELLED (X-06).

        CANCELLED is for a packet that is idle, or that has been handed to a thread.  O(depth) when queued.
        """
        if self.state is WaitPacketState.IDLE:
            return status.STATUS_CANCELLED
        if self.state is WaitPacketState.QUEUED:
            assert self.port is not None and self.packet is not None
            queue = self.port.queue
            if removal is Removal.KEEP_QUEUED:
                return status.STATUS_PENDING if queue.holds(self.packet) else status.STATUS_CANCELLED
            if not queue.discard(self.packet):
                return status.STATUS_CANCELLED
        self._become_idle()
        return status.STATUS_SUCCESS

    def fire(self) -> None:
        """The target is signalled: queue the packet."""
        assert self.port is not None and self.packet is not None
        self._armed = None
        self.state = WaitPacketState.QUEUED
        self.port.set(self.packet)

    def on_delivered(self) -> None:
        """Picked up: may be associated anew (X-05)."""
        self._become_idle()

    def on_dropped(self) -> None:
        """The port was run down."""
        self._become_idle()

    def on_last_handle_closed(self) -> None:
        """Nobody can cancel it any more: an armed packet is disarmed, a queued one stays."""
        if self.state is WaitPacketState.ARMED:
            self._become_idle()

    def _become_idle(self) -> None:
        port, target, armed = self.port, self.target, self._armed
        self.state = WaitPacketState.IDLE
        self.port = self.target = self.packet = self._armed = None
        if armed is not None:
            armed.detach()
        assert port is not None and target is not None
        port.dereference()
        target.dereference()
        self.dereference()


class ReserveObject(KernelObject, PacketSource):
    """A completion packet set aside, so that one post at a time cannot fail for lack of memory (O-06)."""

    type_name = "IoCompletionReserve"
    __slots__ = ("is_queued",)

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.is_queued = False

    def post(self, port: IoCompletion, packet: Packet) -> None:
        """Queue `packet` in the reserved memory; STATUS_INVALID_PARAMETER_2 while an earlier one is still queued."""
        if self.is_queued:
            raise NtError(status.STATUS_INVALID_PARAMETER_2)
        self.is_queued = True
        self.reference()
        port.set(packet.replace(source=self))

    def on_delivered(self) -> None:
        """The reserve is free again."""
        self.is_queued = False
        self.dereference()

    def on_dropped(self) -> None:
        """The reserve is free again."""
        self.on_delivered()
