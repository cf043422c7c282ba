"""NT calls on completion ports, wait completion packets and reserve objects.

Theory.  Below Win32 nothing is hidden: a packet comes with its NTSTATUS and its pointer-sized count (O-05), a removal
never fails because of what the packet says (fact ntfile-set-remove), and every handle has the rights asked for (O-03).

Rules of this file: O-01 to O-09, O-24, X-05, X-06, G-24; facts om-null, om-type, ntsync-count0, ntsync-setex.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import status
from ..kernel.completion import IoCompletion, Packet
from ..kernel.objects import KernelObject, NtError
from ..kernel.queue import RemoveOutcome
from ..kernel.waitpackets import Removal, ReserveObject, WaitCompletionPacket
from ..kernel.waits import Waitable
from . import handles
from .constants import (
    IO_COMPLETION_MODIFY_STATE,
    IO_COMPLETION_QUERY_STATE,
    NULL,
    OBJ_CASE_INSENSITIVE,
    OBJ_OPENIF,
    SYNCHRONIZE,
    IoCompletionBasicInformation,
    MemoryReserveObjectTypeIoCompletion,
    MemoryReserveObjectTypeUserApc,
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
    check_object_name,
    dword,
    map_rights,
    nt_outputs,
    nt_seconds,
    nt_status,
    opaque,
    pointer_value,
)

BASIC_INFORMATION_BYTES = 4
WAIT_PACKET_MODIFY_STATE = 0x0001


class OpenedPort(NamedTuple):
    """What `NtCreateIoCompletion` and `NtOpenIoCompletion` return."""

    ret: int
    IoCompletionHandle: int | None


class Depth(NamedTuple):
    """What `NtQueryIoCompletion` returns."""

    ret: int
    Depth: int | Untouched | None
    ReturnLength: int | Untouched


class Removed(NamedTuple):
    """What `NtRemoveIoCompletion` returns."""

    ret: int
    KeyContext: Any
    ApcContext: Any
    Status: int | Untouched
    Information: int | Untouched


class FILE_IO_COMPLETION_INFORMATION(NamedTuple):
    """One packet of a batch."""

    KeyContext: Any
    ApcContext: Any
    Status: int
    Information: int


class RemovedBatch(NamedTuple):
    """What `NtRemoveIoCompletionEx` returns."""

    ret: int
    NumEntriesRemoved: int
    entries: tuple[FILE_IO_COMPLETION_INFORMATION, ...]


class AllocatedReserve(NamedTuple):
    """What `NtAllocateReserveObject` returns."""

    ret: int
    MemoryReserveHandle: int


class CreatedWaitPacket(NamedTuple):
    """What `NtCreateWaitCompletionPacket` returns."""

    ret: int
    WaitCompletionPacketHandle: int


class Associated(NamedTuple):
    """What `NtAssociateWaitCompletionPacket` returns."""

    ret: int
    AlreadySignaled: bool | Untouched | None


# -- creating and opening ----------------------------------------------------------------------------------------


@nt_outputs(lambda code: OpenedPort(code, NULL))
def NtCreateIoCompletion(
    DesiredAccess: int,
    Count: int,
    *,
    ObjectName: str | None = None,
    Attributes: int = 0,
    IoCompletionHandle: Pointer = PRESENT,
) -> OpenedPort:
    """Make a port with concurrency value `Count` (0: the number of logical processors); a handle with these rights.

    With `ObjectName` others can open it by that name.  `Attributes`: OBJ_OPENIF opens the port that has the name
    already, whose concurrency value stays, and answers STATUS_OBJECT_NAME_EXISTS; OBJ_CASE_INSENSITIVE (O-02).
    Refusals: OBJECT_NAME_COLLISION, OBJECT_TYPE_MISMATCH, OBJECT_NAME_INVALID, ACCESS_VIOLATION for a NULL handle
    pointer (fact om-null).  Never blocks; O(1).
    """
    if IoCompletionHandle is None:
        raise NtError(status.STATUS_ACCESS_VIOLATION)
    me = caller()
    access = map_rights("IoCompletion", dword(DesiredAccess))
    return me.perform(_create, me, access, dword(Count), ObjectName, Attributes)


def _create(me: Caller, access: int, count: int, name: str | None, attributes: int) -> OpenedPort:
    kernel = me.system.kernel
    if not name:
        return OpenedPort(status.STATUS_SUCCESS, me.open(kernel.create_port(count), access))
    check_object_name(name)
    found = kernel.find_name(name, ignore_case=bool(attributes & OBJ_CASE_INSENSITIVE))
    if found is None:
        port = kernel.create_port(count)
        kernel.set_name(port, name)
        return OpenedPort(status.STATUS_SUCCESS, me.open(port, access))
    if not attributes & OBJ_OPENIF:
        raise NtError(status.STATUS_OBJECT_NAME_COLLISION)
    return OpenedPort(status.STATUS_OBJECT_NAME_EXISTS, me.open(_port_only(found), access))


def _port_only(obj: KernelObject) -> IoCompletion:
    if not isinstance(obj, IoCompletion):
        raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
    return obj


@nt_outputs(lambda code: OpenedPort(code, NULL))
def NtOpenIoCompletion(
    DesiredAccess: int,
    ObjectName: str | None,
    *,
    Attributes: int = 0,
    IoCompletionHandle: Pointer = PRESENT,
) -> OpenedPort:
    """A handle, with these rights, of the port that has the name (O-02).

    Refusals: INVALID_PARAMETER without a name, OBJECT_NAME_NOT_FOUND, OBJECT_TYPE_MISMATCH, OBJECT_NAME_INVALID,
    ACCESS_VIOLATION for a NULL handle pointer.  Never blocks; O(1).
    """
    if IoCompletionHandle is None:
        raise NtError(status.STATUS_ACCESS_VIOLATION)
    if not ObjectName:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    check_object_name(ObjectName)
    me = caller()
    access = map_rights("IoCompletion", dword(DesiredAccess))
    return me.perform(_open, me, access, ObjectName, bool(Attributes & OBJ_CASE_INSENSITIVE))


def _open(me: Caller, access: int, name: str, ignore_case: bool) -> OpenedPort:
    found = me.system.kernel.find_name(name, ignore_case=ignore_case)
    if found is None:
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND)
    return OpenedPort(status.STATUS_SUCCESS, me.open(_port_only(found), access))


@nt_status
def NtClose(Handle: Handle) -> int:
    """Close a handle; INVALID_HANDLE for one that is not open.  Never blocks."""
    handles.close(caller(), Handle)
    return status.STATUS_SUCCESS


# -- the queue ---------------------------------------------------------------------------------------------------


def NtQueryIoCompletion(
    IoCompletionHandle: Handle,
    InformationClass: int,
    *,
    Information: Pointer = PRESENT,
    Length: int = BASIC_INFORMATION_BYTES,
) -> Depth:
    """How many packets are queued (O-04); needs the right to query (O-03).  Never blocks; O(1).

    Refusals, in this order: INVALID_INFO_CLASS, ACCESS_VIOLATION for a NULL `Information`, INFO_LENGTH_MISMATCH unless
    `Length` is 4, then those of the handle; from the third on `ReturnLength` is written (vectors nt-03, dup-07).
    """
    if InformationClass != IoCompletionBasicInformation:
        return Depth(status.STATUS_INVALID_INFO_CLASS, UNTOUCHED, UNTOUCHED)
    if Information is None:
        return Depth(status.STATUS_ACCESS_VIOLATION, None, UNTOUCHED)
    if Length != BASIC_INFORMATION_BYTES:
        return Depth(status.STATUS_INFO_LENGTH_MISMATCH, UNTOUCHED, BASIC_INFORMATION_BYTES)
    me = caller()
    try:
        depth = me.perform(lambda: me.lookup(IoCompletionHandle, IoCompletion, IO_COMPLETION_QUERY_STATE).depth)
    except NtError as error:
        return Depth(error.status, UNTOUCHED, BASIC_INFORMATION_BYTES)
    return Depth(status.STATUS_SUCCESS, depth, BASIC_INFORMATION_BYTES)


def _packet(key: int | None, context: Any, code: int, information: int) -> Packet:
    return Packet(pointer_value(key), opaque(context), dword(code), pointer_value(information), None)


@nt_status
def NtSetIoCompletion(
    IoCompletionHandle: Handle, KeyContext: int, ApcContext: Any, IoStatus: int, IoStatusInformation: int
) -> int:
    """Queue a packet with any NTSTATUS and a 64-bit count, or hand it over (O-05, O-09).

    Refusals: those of the handle.  Never blocks; O(1).
    """
    me = caller()
    packet = _packet(KeyContext, ApcContext, IoStatus, IoStatusInformation)
    me.system.post(me.lookup(IoCompletionHandle, IoCompletion, IO_COMPLETION_MODIFY_STATE), packet)
    return status.STATUS_SUCCESS


@nt_status
def NtSetIoCompletionEx(
    IoCompletionHandle: Handle,
    IoCompletionPacketHandle: Handle,
    KeyContext: int,
    ApcContext: Any,
    IoStatus: int,
    IoStatusInformation: int,
) -> int:
    """Queue a packet in the memory of a reserve object, which takes one at a time (O-06).

    Refusals: those of the handles, of which none may be NULL (fact ntsync-setex); INVALID_PARAMETER_2 while the reserve
    is in use.  Never blocks; O(1).
    """
    me = caller()
    packet = _packet(KeyContext, ApcContext, IoStatus, IoStatusInformation)

    def step() -> None:
        port = me.lookup(IoCompletionHandle, IoCompletion, IO_COMPLETION_MODIFY_STATE)
        me.lookup(IoCompletionPacketHandle, ReserveObject, IO_COMPLETION_MODIFY_STATE).post(port, packet)

    me.perform(step)
    return status.STATUS_SUCCESS


@nt_outputs(lambda code: AllocatedReserve(code, NULL))
def NtAllocateReserveObject(Type: int) -> AllocatedReserve:
    """A handle of a reserve object (O-06).

    Refusals: INVALID_PARAMETER for an unknown type; NOT_SUPPORTED for the one of user APCs, which nothing here uses.
    """
    if Type == MemoryReserveObjectTypeUserApc:
        raise NtError(status.STATUS_NOT_SUPPORTED)
    if Type != MemoryReserveObjectTypeIoCompletion:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    me = caller()
    handle = me.perform(lambda: me.open(me.system.kernel.create_reserve()))
    return AllocatedReserve(status.STATUS_SUCCESS, handle)


@nt_outputs(lambda code: Removed(code, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED))
def NtRemoveIoCompletion(IoCompletionHandle: Handle, Timeout: int | None) -> Removed:
    """Dequeue one packet; never alertable (O-07).

    `Timeout` in units of 100 ns: None for ever, 0 polls, negative from now, positive a FILETIME.  TIMEOUT,
    ABANDONED_WAIT_0 (O-21) and the refusals of the handle leave the outputs untouched.  Blocks; O(1).
    """
    me = caller()
    port = me.lookup(IoCompletionHandle, IoCompletion, IO_COMPLETION_MODIFY_STATE)
    packet = me.system.remove_one(port, nt_seconds(Timeout))
    if isinstance(packet, RemoveOutcome):
        raise NtError(packet.value)
    return Removed(status.STATUS_SUCCESS, packet.key, packet.overlapped, packet.status, packet.information)


@nt_outputs(lambda code: RemovedBatch(code, 0, ()))
def NtRemoveIoCompletionEx(
    IoCompletionHandle: Handle, Count: int, Timeout: int | None, Alertable: object
) -> RemovedBatch:
    """Dequeue 1 to `Count` packets, oldest first; perhaps alertably (O-08, G-12 to G-14).

    `Timeout` as in `NtRemoveIoCompletion`, for the first packet.  TIMEOUT, USER_APC, ABANDONED_WAIT_0,
    INVALID_PARAMETER for a zero count (fact ntsync-count0), and the refusals of the handle bring no entries.  Blocks;
    O(packets taken).
    """
    me = caller()
    port = me.lookup(IoCompletionHandle, IoCompletion, IO_COMPLETION_MODIFY_STATE)
    packets = me.system.remove_many(port, dword(Count), nt_seconds(Timeout), alertability(Alertable))
    if isinstance(packets, RemoveOutcome):
        raise NtError(packets.value)
    entries = tuple(
        FILE_IO_COMPLETION_INFORMATION(each.key, each.overlapped, each.status, each.information) for each in packets
    )
    return RemovedBatch(status.STATUS_SUCCESS, len(entries), entries)


# -- wait completion packets -------------------------------------------------------------------------------------


@nt_outputs(lambda code: CreatedWaitPacket(code, NULL))
def NtCreateWaitCompletionPacket(DesiredAccess: int) -> CreatedWaitPacket:
    """A handle of a wait completion packet (X-05).  Refusal: NOT_IMPLEMENTED before Windows 8."""
    me = caller()
    access = map_rights("WaitCompletionPacket", dword(DesiredAccess))
    handle = me.perform(lambda: me.open(me.system.kernel.create_wait_packet(), access))
    return CreatedWaitPacket(status.STATUS_SUCCESS, handle)


@nt_outputs(lambda code: Associated(code, UNTOUCHED))
def NtAssociateWaitCompletionPacket(
    WaitCompletionPacketHandle: Handle,
    IoCompletionHandle: Handle,
    TargetObjectHandle: Handle,
    KeyContext: int,
    ApcContext: Any,
    IoStatus: int,
    IoStatusInformation: int,
    *,
    AlreadySignaled: Pointer = PRESENT,
) -> Associated:
    """Queue the described packet, once, as soon as the target is signalled; at once if it is (X-05).

    Refusals: INVALID_PARAMETER_1 while it is in use, INVALID_PARAMETER_3 for a target that is no event, semaphore,
    timer, thread or process; those of the handles.  Never blocks; O(1).
    """
    me = caller()
    packet = _packet(KeyContext, ApcContext, IoStatus, IoStatusInformation)

    def step() -> bool:
        port = me.lookup(IoCompletionHandle, IoCompletion, IO_COMPLETION_MODIFY_STATE)
        target = me.lookup(TargetObjectHandle, Waitable, SYNCHRONIZE)
        return me.lookup(WaitCompletionPacketHandle, WaitCompletionPacket, WAIT_PACKET_MODIFY_STATE).associate(
            port, target, packet
        )

    signalled = me.perform(step)
    return Associated(status.STATUS_SUCCESS, None if AlreadySignaled is None else signalled)


@nt_status
def NtCancelWaitCompletionPacket(WaitCompletionPacketHandle: Handle, RemoveSignaledPacket: object) -> int:
    """Stop a wait completion packet (X-06): SUCCESS, PENDING when it stays queued, CANCELLED when there was nothing.

    Refusals: those of the handle.  Never blocks; O(depth) when it is removed from the queue.
    """
    me = caller()
    removal = Removal.REMOVE_QUEUED if RemoveSignaledPacket else Removal.KEEP_QUEUED
    return me.perform(
        lambda: me.lookup(WaitCompletionPacketHandle, WaitCompletionPacket, WAIT_PACKET_MODIFY_STATE).cancel(removal)
    )


def RtlNtStatusToDosError(Status: int) -> int:
    """The Win32 error of an NTSTATUS (table 6.6); 317 for a status that has none."""
    return status.status_to_error(dword(Status))
