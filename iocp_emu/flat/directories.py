"""Win32 calls on directories and on names: watch, create, remove, delete.

Theory.  Removing a name is opening it for deletion and closing it again: so it meets the sharing modes of whoever has
it open, and takes effect when the last of them is gone.

Rules of this file: I-05, I-41 (a watch is a request like any other), C-18; vector file-21.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import status
from ..kernel.file import IoMode, StatusBlock
from ..kernel.objects import Access, NtError
from ..overlapped.directory import Directory, Scope, open_directory
from ..overlapped.files import Disposition, OnClose, Opened, OpenOptions, Share, open_file
from ..overlapped.opening import refusal_of
from ..runtime.threads import ThreadSystem
from .constants import (
    FILE_LIST_DIRECTORY,
)
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    UNTOUCHED,
    Caller,
    FileInUse,
    Handle,
    Untouched,
    buffer_to_write,
    caller,
    dword,
    host_path,
    reports,
    reports_transfer,
)
from .transfer import CompletionRoutine, Order, apc_of, ask_of, device_of, order_of

DELETION = OpenOptions(
    Access.DELETE,
    Share.READ | Share.WRITE | Share.DELETE,
    Disposition.OPEN_EXISTING,
    IoMode.SYNCHRONOUS,
    on_close=OnClose.DELETE,
)


class WatchResult(NamedTuple):
    """What `ReadDirectoryChangesW` returns."""

    ret: bool
    lpBytesReturned: int | Untouched


@reports(WatchResult(False, UNTOUCHED))
def ReadDirectoryChangesW(
    hDirectory: Handle,
    lpBuffer: Any,
    nBufferLength: int,
    bWatchSubtree: object,
    dwNotifyFilter: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpCompletionRoutine: CompletionRoutine | None = None,
) -> WatchResult:
    """Wait for changes in a directory; FILE_NOTIFY_INFORMATION records in the buffer tell which.

    TRUE when the wait has begun, and its end is a packet, an event or a call of the routine; on a synchronous handle
    the call waits, and `lpBytesReturned` counts the bytes.  Zero bytes: more happened than the buffer holds.
    FALSE: 87 no filter, no OVERLAPPED for an overlapped handle, or a routine on a handle with a port (C-16); 1 no
    directory; 5, 6, 998.  Blocks only on a synchronous handle, visibly (Q-23).
    """
    me = caller()
    block: StatusBlock = StatusBlock() if lpOverlapped is None else lpOverlapped
    block.begin()
    scope = Scope.SUBTREE if bWatchSubtree else Scope.DIRECTORY
    with FileInUse(me, hDirectory, FILE_LIST_DIRECTORY) as file:
        device = device_of(file)
        if not isinstance(device, Directory):
            raise NtError(status.STATUS_INVALID_PARAMETER)
        if lpOverlapped is None and file.io_mode is IoMode.OVERLAPPED:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        order = Order(block)
        if lpOverlapped is not None:
            order = order_of(lpOverlapped, apc_of(lpCompletionRoutine, lpOverlapped))
        view = buffer_to_write(lpBuffer, nBufferLength)
        ask = ask_of(me, order)
        code = device.watch(me.system, file, view, scope, dword(dwNotifyFilter), ask)
    if code == status.STATUS_PENDING:
        return WatchResult(True, UNTOUCHED)
    return WatchResult(reports_transfer(code), block.information & MAXIMUM_DWORD)


@reports(False)
def CreateDirectoryW(lpPathName: str | os.PathLike[str]) -> bool:
    """Make a directory.  May block on the disk.  FALSE: 183 the name is taken, 3 no such parent, 5, host errors."""
    name = host_path(lpPathName)
    try:
        os.mkdir(name)
    except OSError as error:
        raise refusal_of(error, name) from None
    return True


@reports(False)
def RemoveDirectoryW(lpPathName: str | os.PathLike[str]) -> bool:
    """Remove an empty directory, at once or when the last handle of it is closed.

    FALSE: 145 not empty, 32 somebody has it open who does not share that, 2, 3, 5, 267.  May block on the disk.
    """
    me = caller()
    name = host_path(lpPathName)
    try:
        with os.scandir(name) as entries:
            if any(entries):
                raise NtError(status.STATUS_DIRECTORY_NOT_EMPTY)
    except NotADirectoryError:
        raise NtError(status.STATUS_NOT_A_DIRECTORY) from None
    except OSError as error:
        raise refusal_of(error, name) from None
    _delete(me, name, open_directory)
    return True


@reports(False)
def DeleteFileW(lpFileName: str | os.PathLike[str]) -> bool:
    """Delete a file, at once or when the last handle of it is closed.

    FALSE: 2, 3, 5, 32 somebody has it open who does not share that.  May block on the disk.
    """
    _delete(caller(), host_path(lpFileName), open_file)
    return True


def _delete(me: Caller, name: str, open_it: Callable[[ThreadSystem, str, OpenOptions], Opened]) -> None:
    file = open_it(me.system, name, DELETION).file
    handle = me.perform(me.open, file, Access.DELETE)
    me.perform(me.system.process.handles.close, handle)
