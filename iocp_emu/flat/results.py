"""Win32 calls on requests that are under way: their results, cancelling them, and how a file reports them.

Theory.  GetOverlappedResult knows nothing but the OVERLAPPED: it looks at the status there, and waits for an event or
the file when it may (fact k32file-gor).  It takes no packet, and it cannot see the end of a request whose status block
is written at the dequeue (I-29).

Rules of this file: I-15 to I-19, I-25, I-29, I-40 to I-42.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import status
from ..kernel.file import FileObject, IoMode, StatusBlock
from ..kernel.objects import NtError
from ..kernel.thread import KernelThread
from ..overlapped.sockets import catch_up
from .constants import (
    INFINITE,
    THREAD_TERMINATE,
)
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    UNTOUCHED,
    Caller,
    Handle,
    Untouched,
    caller,
    dword,
    refusal,
    reports,
    reports_transfer,
)
from .sync import wait_for


class OverlappedResult(NamedTuple):
    """What `GetOverlappedResult` returns."""

    ret: bool
    lpNumberOfBytesTransferred: int | Untouched


NO_RESULT = OverlappedResult(False, UNTOUCHED)


@reports(NO_RESULT)
def GetOverlappedResultEx(
    hFile: Handle, lpOverlapped: OVERLAPPED, dwMilliseconds: int, bAlertable: object
) -> OverlappedResult:
    """The result of a request: TRUE, or FALSE with its error, and in both cases the bytes moved.

    While the status block says pending the call waits up to `dwMilliseconds`, for hEvent if there is one, else for the
    file; how the block is after that wait counts as the result.  FALSE with nothing written: 996 pending and
    `dwMilliseconds` is 0, 258 timeout, 192 user APCs ran, 6 nothing to wait for.  Blocks, visibly (Q-23); takes no
    packet (I-29).
    """
    if lpOverlapped.is_pending:
        catch_up(caller().system)
    if lpOverlapped.is_pending:
        if not dword(dwMilliseconds):
            raise refusal(status.ERROR_IO_INCOMPLETE)
        code = wait_for([lpOverlapped.hEvent or hFile], dwMilliseconds, bAlertable)
        if code in (status.STATUS_TIMEOUT, status.STATUS_USER_APC):
            raise NtError(code)
    succeeded = lpOverlapped.is_pending or reports_transfer(lpOverlapped.status)
    return OverlappedResult(succeeded, lpOverlapped.information & MAXIMUM_DWORD)


def GetOverlappedResult(hFile: Handle, lpOverlapped: OVERLAPPED, bWait: object) -> OverlappedResult:
    """`GetOverlappedResultEx` that waits for ever if `bWait`, else not at all; never alertable."""
    return GetOverlappedResultEx(hFile, lpOverlapped, INFINITE if bWait else 0, False)


def HasOverlappedIoCompleted(lpOverlapped: OVERLAPPED) -> bool:
    """Whether the status block says anything but pending (I-25); False until the dequeue for I-27 requests."""
    return not lpOverlapped.is_pending


@reports(False)
def CancelIo(hFile: Handle) -> bool:
    """Ask for an early end of what the calling thread has under way on the file; TRUE also when that is nothing (I-40).

    FALSE: 6.  Never blocks; O(requests of the file).
    """
    me = caller()
    catch_up(me.system)
    me.perform(lambda: me.lookup(hFile, FileObject).cancel_requests(thread=me.thread))
    return True


@reports(False)
def CancelIoEx(hFile: Handle, lpOverlapped: StatusBlock | None) -> bool:
    """Ask for an early end of one request of this process on the file, or with NULL of all (I-40, I-41).

    Each still ends exactly once, with 995 or as it would have.  FALSE: 1168 nothing found, 6.  Never blocks;
    O(requests of the file).
    """
    me = caller()
    catch_up(me.system)
    me.perform(lambda: me.lookup(hFile, FileObject).cancel_all_or_one(me.system.process, lpOverlapped))
    return True


def cancel_synchronous(me: Caller, handle: Handle) -> None:
    """Ask for an early end of what a thread waits for on synchronous files; STATUS_NOT_FOUND when that is nothing."""

    def step() -> None:
        thread = me.lookup(handle, KernelThread, THREAD_TERMINATE)
        found = [request for request in thread.requests if request.file.io_mode is IoMode.SYNCHRONOUS]
        if not found:
            raise NtError(status.STATUS_NOT_FOUND)
        for request in found:
            request.cancel()

    me.perform(step)


@reports(False)
def CancelSynchronousIo(hThread: Handle) -> bool:
    """Ask for an early end of the call that a thread waits in on a synchronous file: it fails with 995 (I-41).

    FALSE: 1168 it waits in none, 5, 6.  Never blocks; O(requests of the thread).
    """
    cancel_synchronous(caller(), hThread)
    return True


@reports(False)
def SetFileCompletionNotificationModes(FileHandle: Handle, Flags: int) -> bool:
    """Add notification modes to a file object, for good (I-15 to I-18).

    `Flags`, 8 bits: 1 skips the packet of a request that succeeds at once, 2 leaves the file's own event alone; unknown
    ones are ignored.  FALSE: 87 on a synchronous file (I-19), 1 before Vista, 6.  Never blocks; O(1).
    """
    me = caller()
    flags = dword(Flags) & 0xFF
    me.perform(lambda: me.lookup(FileHandle, FileObject).add_modes(flags))
    return True
