"""Win32 calls on handles of any kind, and the last error.

Rules of this file: H-01, H-08, H-09, O-26, C-12 (duplicates), G-01 (the last error is left alone by success).
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernel.jobs import Process
from ..kernel.objects import KernelObject
from ..overlapped.sockets import close_socket, find_socket, may_be_descriptor
from .constants import (
    DUPLICATE_CLOSE_SOURCE,
    DUPLICATE_SAME_ACCESS,
    MAXIMUM_ALLOWED,
    NULL,
    PROCESS_DUP_HANDLE,
)
from .support import (
    CURRENT_PROCESS,
    CURRENT_THREAD,
    LAST_PSEUDO_HANDLE,
    PRESENT,
    Caller,
    Handle,
    Pointer,
    caller,
    dword,
    get_last_error,
    handle_value,
    map_rights,
    reports,
    set_last_error,
    slot_of,
)


class Duplicated(NamedTuple):
    """What `DuplicateHandle` returns."""

    ret: bool
    lpTargetHandle: int | None


def GetLastError() -> int:
    """The last error of the calling thread: set by calls that fail, left alone by most that succeed (G-01)."""
    return get_last_error()


def SetLastError(dwErrCode: int) -> None:
    """Set the last error of the calling thread; 32 bits."""
    set_last_error(dwErrCode)


def GetCurrentProcess() -> int:
    """The pseudo handle of this process; equal to INVALID_HANDLE_VALUE."""
    return CURRENT_PROCESS


def GetCurrentThread() -> int:
    """The pseudo handle that means whichever thread uses it."""
    return CURRENT_THREAD


def close(me: Caller, handle: Handle) -> None:
    """Close a handle, for the faces, or a socket; pseudo handles are left as they are, and that succeeds."""
    value = handle_value(handle)
    if may_be_descriptor(value):
        close_socket(me.system, value)
    elif value < LAST_PSEUDO_HANDLE:
        me.perform(me.system.process.handles.close, slot_of(value))


@reports(False)
def CloseHandle(hObject: Handle) -> bool:
    """Close a handle; what else refers to the object keeps it alive (H-01, O-20, I-43).

    Never blocks; O(1) plus what the object gives up.  FALSE: 6 for a handle that is not open (H-01).
    """
    close(caller(), hObject)
    return True


@reports(Duplicated(False, NULL))
def DuplicateHandle(
    hSourceHandle: Handle,
    dwDesiredAccess: int,
    dwOptions: int,
    *,
    hSourceProcessHandle: Handle = CURRENT_PROCESS,
    hTargetProcessHandle: Handle = CURRENT_PROCESS,
    lpTargetHandle: Pointer = PRESENT,
) -> Duplicated:
    """Open a second handle of the same object: one association, one set of modes, one queue (C-12, O-26).

    `dwOptions`: DUPLICATE_SAME_ACCESS keeps the rights of the source, else the new handle gets `dwDesiredAccess`;
    DUPLICATE_CLOSE_SOURCE closes the source in the same step.  With `lpTargetHandle` None nothing is opened.
    Duplicating a pseudo handle gives a real one.  Never blocks; O(1).
    FALSE: 6 bad source or process handle, 5 no right on the process.
    """
    me = caller()
    handle = me.perform(
        _duplicate,
        me,
        (hSourceProcessHandle, hSourceHandle),
        hTargetProcessHandle,
        None if dwOptions & DUPLICATE_SAME_ACCESS else dword(dwDesiredAccess),
        close_source=bool(dwOptions & DUPLICATE_CLOSE_SOURCE),
        wanted=lpTargetHandle is PRESENT,
    )
    if dwOptions & DUPLICATE_CLOSE_SOURCE and may_be_descriptor(handle_value(hSourceHandle)):
        close_socket(me.system, handle_value(hSourceHandle))
    return Duplicated(True, handle)


def _duplicate(
    me: Caller,
    source: tuple[Handle, Handle],
    target_process: Handle,
    desired: int | None,
    *,
    close_source: bool,
    wanted: bool,
) -> int | None:
    table = me.lookup(source[0], Process, PROCESS_DUP_HANDLE).handles
    target = me.lookup(target_process, Process, PROCESS_DUP_HANDLE).handles
    value = handle_value(source[1])
    if value >= CURRENT_THREAD:
        own = me.lookup(value, KernelObject)
        rights = map_rights(own.type_name, MAXIMUM_ALLOWED if desired is None else desired)
        return target.open(own, rights) if wanted else None
    value = slot_of(value)
    if may_be_descriptor(value) and table is me.system.process.handles:
        find_socket(me.system, value)
    obj = table.entry(value).object
    access = None if desired is None else map_rights(obj.type_name, desired)
    opened = table.duplicate(value, target, access) if wanted else None
    if close_source and not may_be_descriptor(value):
        table.close(value)
    return opened
