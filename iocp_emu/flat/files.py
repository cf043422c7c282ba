"""Win32 calls on files: open, read, write, lock, flush.

Theory.  With an OVERLAPPED the status block says pending before anything else happens, even if the call then fails at
once (I-25, fact k32pipe-notconn).  What the call returns is decided by the device and the kernel; here it is only put
into Win32 words: TRUE, or FALSE with 997 for a request that goes on.

Rules of this file: C-18, I-02 to I-10, I-25, I-26, table 6.6 (with the devices); facts ntfile-rw-pending,
ntfile-partial-append.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from .. import status
from ..kernel.file import IoMode
from ..kernel.objects import Access, NtError
from ..overlapped.afd import is_name_of_afd, open_afd
from ..overlapped.directory import open_directory
from ..overlapped.files import (
    Caching,
    DiskFile,
    Disposition,
    LockKind,
    LockWait,
    OnClose,
    Opened,
    OpenOptions,
    Share,
    open_file,
)
from ..overlapped.pipe_names import name_in, open_client
from .constants import (
    FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_DELETE_ON_CLOSE,
    FILE_FLAG_NO_BUFFERING,
    FILE_FLAG_OVERLAPPED,
    FILE_FLAG_WRITE_THROUGH,
    FILE_READ_ATTRIBUTES,
    INVALID_HANDLE_VALUE,
    LOCKFILE_EXCLUSIVE_LOCK,
    LOCKFILE_FAIL_IMMEDIATELY,
)
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    PRESENT,
    UNTOUCHED,
    Caller,
    FileInUse,
    Handle,
    Pointer,
    Untouched,
    buffer_to_read,
    buffer_to_write,
    caller,
    dword,
    host_path,
    map_rights,
    refusal,
    reports,
    reports_transfer,
    set_last_error,
)
from .transfer import (
    CompletionRoutine,
    Direction,
    Outcome,
    apc_of,
    ask_of,
    control,
    control_and_wait,
    device_of,
    order_of,
    transfer,
    transfer_and_wait,
)

DEVICE_PREFIXES = ("\\\\.\\", "//./")

ANY_DATA = Access.FILE_READ_DATA | Access.FILE_WRITE_DATA
"""A byte-range lock needs one of these."""


class ReadResult(NamedTuple):
    """What `ReadFile` returns."""

    ret: bool
    lpNumberOfBytesRead: int | None


class WriteResult(NamedTuple):
    """What `WriteFile` returns."""

    ret: bool
    lpNumberOfBytesWritten: int | None


class ControlResult(NamedTuple):
    """What `DeviceIoControl` returns."""

    ret: bool
    lpBytesReturned: int | Untouched | None


# -- opening -----------------------------------------------------------------------------------------------------


@reports(INVALID_HANDLE_VALUE)
def CreateFileW(
    lpFileName: str | os.PathLike[str],
    dwDesiredAccess: int,
    dwShareMode: int,
    dwCreationDisposition: int,
    dwFlagsAndAttributes: int,
) -> int:
    """Open or create a file, or open a directory (FILE_FLAG_BACKUP_SEMANTICS) or a named pipe; its handle.

    With FILE_FLAG_OVERLAPPED requests may pend and the file can be associated with a port; without, every call waits.
    FILE_FLAG_NO_BUFFERING and FILE_FLAG_WRITE_THROUGH keep requests from ending within their call; attributes and other
    flags mean nothing here.  The last error becomes 0, or 183 when CREATE_ALWAYS or OPEN_ALWAYS found the file.
    A backslash separates names, on every host.  INVALID_HANDLE_VALUE: 2, 3, 5, 32 and 80 as on Windows, 87 for an
    unknown disposition, 231 when all instances of a pipe are in use, other host errors.  May block on the disk, and for
    the answer of another process.
    """
    if not 1 <= dword(dwCreationDisposition) <= len(Disposition):
        raise NtError(status.STATUS_INVALID_PARAMETER)
    disposition = Disposition(dword(dwCreationDisposition))
    flags = dword(dwFlagsAndAttributes)
    access = map_rights("File", dword(dwDesiredAccess)) | Access.SYNCHRONIZE | FILE_READ_ATTRIBUTES
    if flags & FILE_FLAG_DELETE_ON_CLOSE:
        access |= Access.DELETE
    options = OpenOptions(
        access,
        Share(dword(dwShareMode) & 7),
        disposition,
        IoMode.OVERLAPPED if flags & FILE_FLAG_OVERLAPPED else IoMode.SYNCHRONOUS,
        Caching.UNBUFFERED if flags & (FILE_FLAG_NO_BUFFERING | FILE_FLAG_WRITE_THROUGH) else Caching.CACHED,
        OnClose.DELETE if flags & FILE_FLAG_DELETE_ON_CLOSE else OnClose.KEEP,
    )
    me = caller()
    opened = _open_by_name(me, os.fspath(lpFileName), options, flags)
    handle = me.perform(me.open, opened.file, access)
    may_find = disposition in (Disposition.CREATE_ALWAYS, Disposition.OPEN_ALWAYS)
    set_last_error(status.ERROR_ALREADY_EXISTS if opened.existed and may_find else status.ERROR_SUCCESS)
    return handle


def _open_by_name(me: Caller, name: str, options: OpenOptions, flags: int) -> Opened:
    """Find out what a name means: a pipe, another device, a directory or a file."""
    pipe = name_in(name)
    if pipe is not None:
        return Opened(open_client(me.system, pipe, options.access, options.io_mode), existed=True)
    if is_name_of_afd(name):
        return Opened(open_afd(me.system, options.io_mode), existed=True)
    if name.startswith(DEVICE_PREFIXES):
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND)
    name = host_path(name)
    try:
        if flags & FILE_FLAG_BACKUP_SEMANTICS and os.path.isdir(name):
            return open_directory(me.system, name, options)
        return open_file(me.system, name, options)
    except NtError as error:
        if error.status == status.STATUS_OBJECT_NAME_COLLISION:
            raise refusal(status.ERROR_FILE_EXISTS) from None
        raise


# -- reading and writing -----------------------------------------------------------------------------------------


@reports(ReadResult(False, 0))
def ReadFile(
    hFile: Handle,
    lpBuffer: Any,
    nNumberOfBytesToRead: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpNumberOfBytesRead: Pointer = PRESENT,
) -> ReadResult:
    """Read up to `nNumberOfBytesToRead` bytes into a writable buffer, at the position in `lpOverlapped`.

    TRUE with the count when it ended within the call; a packet follows all the same where the file has a port (I-02).
    On an overlapped disk file the answer is FALSE and 997, and the result a packet (fact ntfile-rw-pending).  On a
    synchronous file the call waits; at the end of the file without an OVERLAPPED it is TRUE with 0 bytes.  FALSE with
    234 on a message that is longer than the buffer, with the count only if there is no OVERLAPPED (fact
    k32pipe-moredata); FALSE and nothing more comes (I-03): 109, 232, 233 and 536 on a pipe, as READ_REFUSALS has it.
    FALSE: 38 end of file, 5 not opened for reading, 6, 87 no OVERLAPPED for an overlapped disk file (I-10), 998 a
    buffer that is too small or read-only; nothing is queued then (I-03).
    """
    code, count = _move(Direction.READ, hFile, lpBuffer, nNumberOfBytesToRead, lpOverlapped, lpNumberOfBytesRead)
    if code == status.STATUS_END_OF_FILE and lpOverlapped is None:
        code = status.STATUS_SUCCESS
    succeeded = reports_transfer(code)
    has_count = succeeded or (lpOverlapped is None and status.is_warning(code))
    return ReadResult(succeeded, _count(lpNumberOfBytesRead, count if has_count else 0))


@reports(WriteResult(False, 0))
def WriteFile(
    hFile: Handle,
    lpBuffer: Any,
    nNumberOfBytesToWrite: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpNumberOfBytesWritten: Pointer = PRESENT,
) -> WriteResult:
    """Write `nNumberOfBytesToWrite` bytes at the position in `lpOverlapped`; all ones there mean the end of the file.

    Beyond the end the gap reads as zeros; with the right to append alone the position means nothing.  The buffer must
    not change until the request has ended.  Otherwise as `ReadFile`; FALSE with 1784 for a buffer that is too small.
    """
    code, count = _move(Direction.WRITE, hFile, lpBuffer, nNumberOfBytesToWrite, lpOverlapped, lpNumberOfBytesWritten)
    succeeded = reports_transfer(code)
    return WriteResult(succeeded, _count(lpNumberOfBytesWritten, count if succeeded else 0))


def _move(
    direction: Direction,
    handle: Handle,
    buffer: Any,
    count: int,
    overlapped: OVERLAPPED | None,
    count_pointer: Pointer,
) -> Outcome:
    me = caller()
    if overlapped is None:
        if count_pointer is None:
            raise NtError(status.STATUS_ACCESS_VIOLATION)
        return transfer_and_wait(me, handle, direction, buffer, count)
    overlapped.begin()
    return transfer(me, handle, direction, buffer, count, overlapped.position, order_of(overlapped))


def _count(pointer: Pointer, count: int) -> int | None:
    return None if pointer is None else count & MAXIMUM_DWORD


@reports(False)
def ReadFileEx(
    hFile: Handle,
    lpBuffer: Any,
    nNumberOfBytesToRead: int,
    lpOverlapped: OVERLAPPED,
    lpCompletionRoutine: CompletionRoutine,
) -> bool:
    """Read, and have `lpCompletionRoutine` called as a user APC of this thread when it has ended; hEvent is not used.

    TRUE when it was started.  FALSE: 87 on a file with a port (C-16), and the errors of `ReadFile`.
    """
    return _move_ex(Direction.READ, hFile, lpBuffer, nNumberOfBytesToRead, lpOverlapped, lpCompletionRoutine)


@reports(False)
def WriteFileEx(
    hFile: Handle,
    lpBuffer: Any,
    nNumberOfBytesToWrite: int,
    lpOverlapped: OVERLAPPED,
    lpCompletionRoutine: CompletionRoutine,
) -> bool:
    """Write, and have `lpCompletionRoutine` called; as `ReadFileEx`."""
    return _move_ex(Direction.WRITE, hFile, lpBuffer, nNumberOfBytesToWrite, lpOverlapped, lpCompletionRoutine)


def _move_ex(
    direction: Direction,
    handle: Handle,
    buffer: Any,
    count: int,
    overlapped: OVERLAPPED,
    routine: CompletionRoutine,
) -> bool:
    me = caller()
    overlapped.begin()
    order = order_of(overlapped, apc_of(routine, overlapped))
    outcome = transfer(me, handle, direction, buffer, count, overlapped.position, order)
    if status.is_error(outcome.status):
        raise NtError(outcome.status)
    if status.is_warning(outcome.status):
        set_last_error(status.status_to_error(outcome.status))
    return True


# -- locks and the medium ----------------------------------------------------------------------------------------


@reports(False)
def LockFileEx(
    hFile: Handle,
    dwFlags: int,
    nNumberOfBytesToLockLow: int,
    lpOverlapped: OVERLAPPED,
    *,
    nNumberOfBytesToLockHigh: int = 0,
) -> bool:
    """Lock bytes of a disk file from the position in `lpOverlapped` on; shared, or LOCKFILE_EXCLUSIVE_LOCK.

    TRUE when granted at once, with a packet where the file has a port (vector file-19).  FALSE: 997 it waits for other
    locks, 33 it would have to and LOCKFILE_FAIL_IMMEDIATELY is given, 1 no disk file, 5, 6, 87.  Waits only on a
    synchronous file, visibly (Q-23).
    """
    me = caller()
    lpOverlapped.begin()
    length = dword(nNumberOfBytesToLockLow) | dword(nNumberOfBytesToLockHigh) << 32
    kind = LockKind.EXCLUSIVE if dwFlags & LOCKFILE_EXCLUSIVE_LOCK else LockKind.SHARED
    wait = LockWait.FAIL_IMMEDIATELY if dwFlags & LOCKFILE_FAIL_IMMEDIATELY else LockWait.WAIT
    with FileInUse(me, hFile, ANY_DATA) as file:
        device = device_of(file)
        if not isinstance(device, DiskFile):
            raise NtError(status.STATUS_INVALID_DEVICE_REQUEST)
        ask = ask_of(me, order_of(lpOverlapped))
        return reports_transfer(device.lock(me.system, file, lpOverlapped.position, length, kind, wait, ask))


@reports(False)
def UnlockFileEx(
    hFile: Handle,
    nNumberOfBytesToUnlockLow: int,
    lpOverlapped: OVERLAPPED,
    *,
    nNumberOfBytesToUnlockHigh: int = 0,
) -> bool:
    """Give back one lock of exactly these bytes; no request is made of it and no packet comes (vector file-20).

    FALSE: 158 no such lock, 1 no disk file, 5, 6.  Never blocks.
    """
    me = caller()
    length = dword(nNumberOfBytesToUnlockLow) | dword(nNumberOfBytesToUnlockHigh) << 32
    with FileInUse(me, hFile, ANY_DATA) as file:
        device = device_of(file)
        if not isinstance(device, DiskFile):
            raise NtError(status.STATUS_INVALID_DEVICE_REQUEST)
        return reports_transfer(device.unlock(me.system, file, lpOverlapped.position, length))


@reports(False)
def FlushFileBuffers(hFile: Handle) -> bool:
    """Bring what was written to the medium, or wait until the other end of a pipe has read it; no packet comes.

    FALSE: 5 not opened for writing, 6, 109 and 233 when nobody will read it, host errors.  Blocks, visibly (Q-23).
    """
    me = caller()
    with FileInUse(me, hFile, Direction.WRITE.rights) as file:
        return reports_transfer(device_of(file).flush(me.system, file))


@reports(ControlResult(False, UNTOUCHED))
def DeviceIoControl(
    hDevice: Handle,
    dwIoControlCode: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpInBuffer: Any = None,
    nInBufferSize: int = 0,
    lpOutBuffer: Any = None,
    nOutBufferSize: int = 0,
    lpBytesReturned: Pointer = PRESENT,
) -> ControlResult:
    """Send a control code to a device: the FSCTL_PIPE_ codes to an end of a pipe.

    TRUE when it ended within the call; a packet follows all the same where the file has a port (I-02).  FALSE: 997 it
    goes on, 1 the device does not know the code, 5, 6, and what the code brings; nothing is queued for these (I-03).
    Blocks on a synchronous file, and without an OVERLAPPED, visibly (Q-23).
    """
    me = caller()
    code = dword(dwIoControlCode)
    data = buffer_to_read(lpInBuffer, nInBufferSize)
    target = buffer_to_write(lpOutBuffer, nOutBufferSize)
    if lpOverlapped is None:
        outcome = control_and_wait(me, hDevice, code, data, target)
    else:
        lpOverlapped.begin()
        outcome = control(me, hDevice, code, data, target, order_of(lpOverlapped))
    succeeded = reports_transfer(outcome.status)
    if status.is_error(outcome.status):
        return ControlResult(succeeded, UNTOUCHED)
    return ControlResult(succeeded, _count(lpBytesReturned, outcome.transferred))
