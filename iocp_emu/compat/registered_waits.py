"""Registered waits: a packet when an object is signalled, or when the time is over, whichever comes first.

Theory.  On Windows a thread of the pool waits, and its callback posts to the port.  Here a wait completion packet does
the first half (X-05) and the alarm clock the second; whoever comes first disarms the other.  Either way exactly one
packet is queued: key 0, the context, and a byte count that is 0 for the signal and 1 for the time.

Rules of this file: X-05 and X-06 (with the kernel), N-07 (nothing reaches a port that is run down).

Own rules.  A registered wait is named by a handle; closing that handle is how it ends.  Everything but `register` and
`unregister` runs under the kernel lock.
"""

from __future__ import annotations

from time import monotonic

from ..flat.constants import EVENT_MODIFY_STATE, INFINITE, IO_COMPLETION_MODIFY_STATE, SYNCHRONIZE
from ..flat.support import Caller, caller, dword, opaque
from ..kernel.completion import IoCompletion, Packet
from ..kernel.waitpackets import Removal, WaitCompletionPacket, WaitPacketState
from ..kernel.waits import Event, Waitable
from ..runtime.threads import ThreadSystem
from ..runtime.timers import CLOCK, Alarm

SIGNALLED = 0
TIMED_OUT = 1


class RegisteredWait(WaitCompletionPacket):
    """One wait: armed, or over."""

    __slots__ = ("_alarm",)

    def arm(
        self, system: ThreadSystem, port: IoCompletion, target: Waitable, context: object, milliseconds: int
    ) -> None:
        """Wait for `target`, at most `milliseconds` unless that is INFINITE."""
        self._alarm: Alarm | None = None
        fired = self.associate(port, target, Packet(0, context, 0, SIGNALLED, None))
        if not fired and milliseconds != INFINITE:
            deadline = monotonic() + milliseconds / 1000
            self._alarm = CLOCK.set(deadline, lambda: system.perform(self._expire, context))

    def fire(self) -> None:
        """The target is signalled: the clock need not ring any more."""
        super().fire()
        self._disarm_clock()

    def on_last_handle_closed(self) -> None:
        """Unregistered: neither the target nor the clock queues anything from now on."""
        self._disarm_clock()
        super().on_last_handle_closed()

    def _expire(self, context: object) -> None:
        port = self.port
        if self.state is not WaitPacketState.ARMED or port is None:
            return
        port.reference()
        self.cancel(Removal.KEEP_QUEUED)
        port.set(Packet(0, context, 0, TIMED_OUT, None))
        port.dereference()

    def _disarm_clock(self) -> None:
        if self._alarm is not None:
            CLOCK.cancel(self._alarm)
            self._alarm = None


def register(target: int, port: int, context: int, milliseconds: int) -> int:
    """Wait for the object behind the handle `target`; the handle of the wait.  Never blocks.

    One packet is queued to `port`: (key 0, `context`, 0 bytes) when the object is signalled, which may be at once and
    takes from an auto-reset event what a wait takes; the same with 1 byte after `milliseconds` (32 bits, INFINITE for
    never).  Refusals, as `NtError`: INVALID_HANDLE, OBJECT_TYPE_MISMATCH, ACCESS_DENIED.
    """
    me = caller()
    return me.perform(_register, me, target, port, opaque(context), dword(milliseconds))


def _register(me: Caller, target_handle: int, port_handle: int, context: object, milliseconds: int) -> int:
    target = me.lookup(target_handle, Waitable, SYNCHRONIZE)
    port = me.lookup(port_handle, IoCompletion, IO_COMPLETION_MODIFY_STATE)
    wait = RegisteredWait(me.system.kernel)
    handle = me.open(wait)
    wait.arm(me.system, port, target, context, milliseconds)
    return handle


def unregister(wait: int, event: int = 0) -> None:
    """End a registered wait, over or not; a packet that is queued stays.  Never blocks.

    `event`: the handle of an event to signal once no callback runs, which is at once; 0 for none.
    Refusals, as `NtError`: INVALID_HANDLE, OBJECT_TYPE_MISMATCH for what is no registered wait or no event.
    """
    me = caller()
    me.perform(unregister_in, me.system, wait, event)


def unregister_in(system: ThreadSystem, wait_handle: int, event_handle: int) -> None:
    """Under the kernel lock: `unregister`."""
    handles = system.process.handles
    handles.lookup(wait_handle, RegisteredWait)
    event = handles.lookup(event_handle, Event, EVENT_MODIFY_STATE) if event_handle else None
    handles.close(wait_handle)
    if event is not None:
        event.set()
