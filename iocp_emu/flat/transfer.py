"""How a flat call becomes an operation of a device: which file, which event, and what the call reports.

Theory.  Win32 and NT calls differ in names and in where the result is written; underneath, both look up the file with
the right that the operation needs, look up the event, and hand an `Ask` to the device.  A synchronous file object does
the operation while the call waits; its result is in the status block when the call returns.

Rules of this file: I-03, I-07 to I-10, I-26, C-16 (asked of the kernel), fact ntfile-sync-eof.

Own rules.  What is wrong with the arguments is found before anything is written or signalled.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import status
from ..kernel.file import FileObject, IoMode, StatusBlock
from ..kernel.objects import Access
from ..kernel.thread import KernelThread
from ..kernel.waits import Event
from ..overlapped.device import Ask, IoDevice, Transferred
from .constants import (
    EVENT_MODIFY_STATE,
)
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    Caller,
    FileInUse,
    Handle,
    buffer_to_read,
    buffer_to_write,
    handle_value,
)

Apc = Callable[[int, int, StatusBlock], None]

CompletionRoutine = Callable[[int, int, OVERLAPPED], object]
"""Called with the Win32 error, the bytes moved and the OVERLAPPED, as a user APC of the thread that asked."""


class Direction(enum.Enum):
    """Which way the bytes go."""

    READ = "from the device into the buffer"
    WRITE = "from the buffer to the device"

    @property
    def rights(self) -> int:
        """Of these rights the handle needs at least one."""
        if self is Direction.READ:
            return Access.FILE_READ_DATA
        return Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA


class Outcome(NamedTuple):
    """What a call has come to: its NTSTATUS, and the bytes moved if it has ended."""

    status: int
    transferred: int


class Order(NamedTuple):
    """How one call wants its result: the fields of an `Ask`, with the event still as a handle."""

    block: StatusBlock
    context: Any = None
    event: Handle = None
    apc: Apc | None = None


def order_of(overlapped: OVERLAPPED, apc: Apc | None = None) -> Order:
    """What an OVERLAPPED asks for; with a completion routine its hEvent means nothing (I-07, I-08)."""
    if apc is not None:
        return Order(overlapped, None, None, apc)
    return Order(overlapped, overlapped if overlapped.wants_packet else None, overlapped.hEvent)


def apc_of(routine: CompletionRoutine | None, overlapped: OVERLAPPED) -> Apc | None:
    """The APC that calls a Win32 completion routine."""
    if routine is None:
        return None

    def apc(code: int, information: int, _: StatusBlock) -> None:
        routine(status.status_to_error(code), information & MAXIMUM_DWORD, overlapped)

    return apc


def device_of(file: FileObject) -> IoDevice:
    """The device behind a file object."""
    assert isinstance(file.device, IoDevice)
    return file.device


def ask_of(me: Caller, order: Order) -> Ask:
    """An `Ask` with the event itself; STATUS_INVALID_HANDLE and others for a bad event (fact ntpipe-badevent)."""
    event = None
    if handle_value(order.event):
        event = me.perform(me.lookup, order.event, Event, EVENT_MODIFY_STATE)
    return Ask(order.block, order.context, event, order.apc)


def transfer(
    me: Caller,
    handle: Handle,
    direction: Direction,
    buffer: Any,
    count: int,
    offset: int | None,
    order: Order,
) -> Outcome:
    """Read or write `count` bytes of `buffer`.  Blocks only on a synchronous file object, visibly (Q-23).

    `offset` in bytes, 64 bits; None: where the file stands.  Errors come as the status or as an `NtError`.
    """
    with FileInUse(me, handle, direction.rights) as file:
        view = (buffer_to_write if direction is Direction.READ else buffer_to_read)(buffer, count)
        ask = ask_of(me, order)
        device = device_of(file)
        if file.io_mode is IoMode.SYNCHRONOUS:
            move = device.read_now if direction is Direction.READ else device.write_now
            return _do_now(me, ask, lambda: move(me.system, file, view, offset))
        operation = device.read if direction is Direction.READ else device.write
        code = operation(me.system, file, view, offset, ask)
        return Outcome(code, 0 if code == status.STATUS_PENDING else ask.block.information)


def transfer_and_wait(me: Caller, handle: Handle, direction: Direction, buffer: Any, count: int) -> Outcome:
    """Read or write without a status block of the caller's: the call waits, on the file if need be (I-10)."""
    block = StatusBlock()
    return _waited_for(me, handle, block, transfer(me, handle, direction, buffer, count, None, Order(block)))


def control(
    me: Caller, handle: Handle, code: int, data: memoryview, target: memoryview, order: Order
) -> Outcome:
    """Send a control code with `data` as its input and `target` for its output.

    The code says itself which rights the handle needs.  Blocks only on a synchronous file object, visibly (Q-23).
    Errors come as the status or as an `NtError`.
    """
    needed = code >> 14 & 3
    if needed & 2:
        me.perform(me.lookup_any, handle, FileObject, Direction.WRITE.rights)
    with FileInUse(me, handle, Direction.READ.rights if needed & 1 else 0) as file:
        ask = ask_of(me, order)
        device = device_of(file)
        if file.io_mode is IoMode.SYNCHRONOUS:

            def now() -> Transferred:
                block = StatusBlock()
                return Transferred(device.control(me.system, file, code, data, target, Ask(block)), block.information)

            return _do_now(me, ask, now)
        status_of_call = device.control(me.system, file, code, data, target, ask)
        return Outcome(status_of_call, 0 if status_of_call == status.STATUS_PENDING else ask.block.information)


def control_and_wait(me: Caller, handle: Handle, code: int, data: memoryview, target: memoryview) -> Outcome:
    """Send a control code without a status block of the caller's, as `transfer_and_wait`."""
    block = StatusBlock()
    return _waited_for(me, handle, block, control(me, handle, code, data, target, Order(block)))


def _waited_for(me: Caller, handle: Handle, block: StatusBlock, outcome: Outcome) -> Outcome:
    if outcome.status != status.STATUS_PENDING:
        return outcome
    with FileInUse(me, handle) as file:
        me.system.wait([file])
    return Outcome(block.status, block.information)


def _do_now(me: Caller, ask: Ask, operation: Callable[[], Transferred]) -> Outcome:
    """Do an operation of a synchronous file object while the call waits."""
    if ask.event is not None:
        me.perform(ask.event.reset)
    done = operation()
    if not status.is_error(done.status) or done.status == status.STATUS_END_OF_FILE:
        me.perform(_publish, me.thread, ask, done)
    return Outcome(done.status, done.count)


def _publish(thread: KernelThread, ask: Ask, done: Transferred) -> None:
    """The result of a synchronous operation; an APC only if there was one to tell of (fact ntfile-sync-eof)."""
    block, apc = ask.block, ask.apc
    block.information = done.count
    block.status = done.status
    if ask.event is not None:
        ask.event.set()
    if apc is not None and not status.is_error(done.status):
        thread.queue_user_apc(lambda: apc(done.status, done.count, block))
