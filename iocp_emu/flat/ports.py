"""Win32 calls on completion ports: create and associate, dequeue, post.

Theory.  The four values of a packet are shown through Win32 glasses: the count cut to 32 bits (O-05), the status as
TRUE or as FALSE with a last error (G-01, G-02), outputs that are written, untouched or NULL (G-03 to G-06).

Rules of this file: C-01 to C-10 (with the kernel), G-01 to G-07, G-12, G-20 to G-26, N-01, N-02, N-05.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import status
from ..kernel.completion import IoCompletion, Packet
from ..kernel.file import FileObject
from ..kernel.objects import NtError
from ..kernel.queue import RemoveOutcome
from .constants import (
    INVALID_HANDLE_VALUE,
    IO_COMPLETION_MODIFY_STATE,
    NULL,
)
from .support import (
    PRESENT,
    UNTOUCHED,
    Caller,
    Handle,
    Pointer,
    Untouched,
    alertability,
    caller,
    dword,
    handle_value,
    opaque,
    pointer_value,
    reports,
    seconds_of,
    set_last_error,
)

MODIFY_STATE = IO_COMPLETION_MODIFY_STATE


class OVERLAPPED_ENTRY(NamedTuple):
    """One packet of a batch (G-26): `Internal` is its NTSTATUS."""

    lpCompletionKey: Any
    lpOverlapped: Any
    Internal: int
    dwNumberOfBytesTransferred: int


class DequeuedPacket(NamedTuple):
    """What `GetQueuedCompletionStatus` returns."""

    ret: bool
    lpNumberOfBytesTransferred: int | Untouched
    lpCompletionKey: Any
    lpOverlapped: Any


class DequeuedBatch(NamedTuple):
    """What `GetQueuedCompletionStatusEx` returns."""

    ret: bool
    ulNumEntriesRemoved: int
    entries: tuple[OVERLAPPED_ENTRY, ...]


NO_PACKET = DequeuedPacket(False, UNTOUCHED, UNTOUCHED, None)
NO_BATCH = DequeuedBatch(False, 0, ())


@reports(NULL)
def CreateIoCompletionPort(
    FileHandle: Handle,
    ExistingCompletionPort: Handle,
    CompletionKey: int,
    NumberOfConcurrentThreads: int,
) -> int:
    """Create a port, or associate a file with a new or an existing one; the port's handle (C-01 to C-10).

    `FileHandle`: INVALID_HANDLE_VALUE for a port alone, else an overlapped file.  `ExistingCompletionPort`: NULL for a
    new port, else the port, whose own handle value is returned (C-04).  `CompletionKey`: 64 bits, comes with every
    packet of the file (C-11).  `NumberOfConcurrentThreads`: concurrency value of a new port, in threads; 0 means the
    number of logical processors (Q-03).  Never blocks; O(1).
    NULL on failure: 87 (C-02, C-05, C-06), 6 (C-07 to C-09), 5 (C-10).
    """
    me = caller()
    key = pointer_value(CompletionKey)
    concurrency = dword(NumberOfConcurrentThreads)
    existing = handle_value(ExistingCompletionPort)
    if handle_value(FileHandle) == INVALID_HANDLE_VALUE:
        if existing:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        return me.perform(lambda: me.open(me.system.kernel.create_port(concurrency)))
    if existing:
        me.perform(_associate, me, FileHandle, existing, key)
        return existing
    return me.perform(_create_and_associate, me, FileHandle, key, concurrency)


def _associate(me: Caller, file_handle: Handle, port_handle: int, key: int) -> None:
    file = me.lookup(file_handle, FileObject)
    file.associate(me.lookup(port_handle, IoCompletion, MODIFY_STATE), key)


def _create_and_associate(me: Caller, file_handle: Handle, key: int, concurrency: int) -> int:
    """C-03: when the association fails, the new port goes away again."""
    file = me.lookup(file_handle, FileObject)
    port = me.system.kernel.create_port(concurrency)
    port.reference()
    try:
        file.associate(port, key)
        return me.open(port)
    finally:
        port.dereference()


@reports(NO_PACKET)
def GetQueuedCompletionStatus(
    CompletionPort: Handle,
    dwMilliseconds: int,
    *,
    lpNumberOfBytesTransferred: Pointer = PRESENT,
    lpCompletionKey: Pointer = PRESENT,
    lpOverlapped: Pointer = PRESENT,
) -> DequeuedPacket:
    """Dequeue one packet, waiting up to `dwMilliseconds` (0 polls, INFINITE never ends); never alertable (G-11).

    The calling thread belongs to the port from now on (G-08).  FALSE with the outputs set is the packet of a failed
    operation (G-02).  FALSE with the outputs untouched and `lpOverlapped` None: 258 timeout (G-03), 735 closed
    meanwhile (G-04), 6 bad handle (G-05), 5 no right.  A NULL output pointer, which would crash a Windows program, is
    998 and takes no packet.  Blocks; O(1).
    """
    if None in (lpNumberOfBytesTransferred, lpCompletionKey, lpOverlapped):
        raise NtError(status.STATUS_ACCESS_VIOLATION)
    me = caller()
    # Looking up is one dictionary read: no lock is needed for that.
    port = me.lookup(CompletionPort, IoCompletion, MODIFY_STATE)
    packet = me.system.remove_one(port, seconds_of(dwMilliseconds))
    if isinstance(packet, RemoveOutcome):
        raise NtError(packet.value)
    succeeded = status.is_success(packet.status)
    if not succeeded:
        set_last_error(status.status_to_error(packet.status))
    return DequeuedPacket(succeeded, packet.bytes, packet.key, packet.overlapped)


@reports(NO_BATCH)
def GetQueuedCompletionStatusEx(
    CompletionPort: Handle,
    ulCount: int,
    dwMilliseconds: int,
    fAlertable: object,
    *,
    lpCompletionPortEntries: Pointer = PRESENT,
    ulNumEntriesRemoved: Pointer = PRESENT,
) -> DequeuedBatch:
    """Dequeue 1 to `ulCount` packets, oldest first, waiting up to `dwMilliseconds` for the first (G-20, G-21).

    TRUE even when packets are failures: each entry has its own NTSTATUS in `Internal` (G-23).  With `fAlertable` user
    APCs run and end the call (G-12 to G-14).  FALSE with no entries: 258 timeout, 192 an APC ran, 735 closed meanwhile,
    87 `ulCount` is 0 (G-24), 6, 5, 998 for a NULL output pointer.  Blocks; O(packets taken).
    """
    if None in (lpCompletionPortEntries, ulNumEntriesRemoved):
        raise NtError(status.STATUS_ACCESS_VIOLATION)
    me = caller()
    port = me.lookup(CompletionPort, IoCompletion, MODIFY_STATE)
    packets = me.system.remove_many(port, dword(ulCount), seconds_of(dwMilliseconds), alertability(fAlertable))
    if isinstance(packets, RemoveOutcome):
        raise NtError(packets.value)
    entries = tuple(OVERLAPPED_ENTRY(each.key, each.overlapped, each.status, each.bytes) for each in packets)
    return DequeuedBatch(True, len(entries), entries)


@reports(False)
def PostQueuedCompletionStatus(
    CompletionPort: Handle,
    dwNumberOfBytesTransferred: int,
    dwCompletionKey: int,
    lpOverlapped: Any,
) -> bool:
    """Queue a packet, or hand it to a waiter (N-01 to N-08).

    `dwNumberOfBytesTransferred`: 32 bits; `dwCompletionKey`: 64 bits; `lpOverlapped`: an OVERLAPPED, any 64-bit value,
    or None.  They come back bit for bit and mean nothing here.  Never blocks; O(1).
    FALSE: 6 bad handle, 5 no right; nothing is queued then (N-05).
    """
    me = caller()
    port = me.lookup(CompletionPort, IoCompletion, MODIFY_STATE)
    packet = Packet(pointer_value(dwCompletionKey), opaque(lpOverlapped), 0, dword(dwNumberOfBytesTransferred), None)
    me.system.post(port, packet)
    return True
