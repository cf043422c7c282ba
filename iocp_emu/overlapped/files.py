"""Disk files: opening them, and overlapped and synchronous reading, writing, flushing and locking.

Theory.  An overlapped read or write on a disk file always reports that it is pending, and its result is always a
packet, whether end of file, a full disk or success; that has been so since Vista.  Yet what the system has in memory
is copied within the call, and then the request has ended before the call returns: packets come in the order of the
calls, and the status block is final at once (I-26).  What would have to wait goes to the I/O threads, and ends when it
ends (I-11, I-27).  Before Vista a copy within the call is reported as such, and then its errors queue nothing (I-03).

    cached read     a copy if the host has it all in memory, or cannot tell; else an I/O thread
    cached write    a copy up to 1 MiB; else an I/O thread
    unbuffered      an I/O thread

Synchronous file objects have a position, do one operation at a time, and say so to the kernel when they wait (Q-23).

Rules of this file: I-01 to I-05, I-11, I-26, I-27, I-41, I-43, I-50, I-54, H-03, table 6.6 (end of file, zero bytes),
Q-23; facts ntfile-rw-pending, ntfile-eof-pending, ntfile-sync-eof, ntfile-partial-append.

Own rules.  A host error becomes the status that `errno_to_status` gives.  What a handle may do is checked by the
faces, before a request exists.  Unbuffered says only that operations do not end within their call; the host's cache
is used all the same.  Sharing modes and locks hold between the files of one system, not towards other programs.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from .. import status
from ..kernel.file import FileObject, IoRequest
from ..kernel.objects import Access, NtError
from .descriptors import HOST_DESCRIPTOR, Descriptor
from .device import Ask, IoDevice, Transferred
from .engine import ENGINE, finish, issue, start, waiting
from .locks import END_OF_RANGES, ByteRange, LockKind, LockWait, RangeLock
from .opening import (
    Caching,
    Disposition,
    OnClose,
    OpenOptions,
    check_kind,
    delete,
    host_flags,
    open_on_host,
    refusal_of,
    status_of,
)
from .sharing import FileTable, Opening, RealFile, Share, file_table
from .transfers import AT_END, Read, Transfer, Write

if TYPE_CHECKING:
    from ..kernel.thread import KernelThread
    from ..runtime.threads import ThreadSystem

__all__ = [
    "Caching",
    "DiskFile",
    "Disposition",
    "LockKind",
    "LockWait",
    "OnClose",
    "OpenOptions",
    "Opened",
    "Share",
    "USE_POSITION",
    "WRITE_TO_END_OF_FILE",
    "open_file",
]

WRITE_TO_END_OF_FILE = 0xFFFFFFFFFFFFFFFF
"""Offset of a write that goes to the end of the file."""

USE_POSITION = 0xFFFFFFFFFFFFFFFE
"""Offset that means the position of a synchronous file object, as None does."""

MAXIMUM_OFFSET = (1 << 63) - 1


class Opened(NamedTuple):
    """A new file object, still without a handle, and whether the file was there before."""

    file: FileObject
    existed: bool


class DiskFile(IoDevice):
    """An open disk file, the device of one file object.

    `path` is absolute; `position` is where the next synchronous operation without offset starts, in bytes.
    """

    def __init__(
        self,
        path: str,
        descriptor: Descriptor,
        table: FileTable,
        real: RealFile,
        options: OpenOptions,
        opening: Opening,
    ) -> None:
        self.path = path
        self.descriptor = descriptor
        self.real = real
        self.position = 0
        self._table = table
        self._opening = opening
        self._caching = options.caching
        self._on_close = options.on_close
        self._appends = bool(options.access & Access.FILE_APPEND_DATA) and not (options.access & Access.FILE_WRITE_DATA)
        self._turn = threading.Lock()

    def size(self) -> int:
        """Size of the file in bytes.  May raise the host's `OSError`."""
        return self.descriptor.size()

    # -- overlapped --------------------------------------------------------------------------------------------

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to read; at or beyond the end of the file END_OF_FILE with 0 bytes (ntfile-eof-pending).

        STATUS_INVALID_PARAMETER without an offset of 0 to 2**63 - 1.  Copies or hands over; does not wait.
        """
        if offset is None or _is_out_of_range(offset, len(target)):
            return status.STATUS_INVALID_PARAMETER
        return self._overlapped(system, file, Read(system, self.descriptor, target, offset), ask)

    def write(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to write all of `data`, which must not change until the request has ended.

        A file opened to append only writes at the end, whatever the offset says (ntfile-partial-append).  Otherwise
        STATUS_INVALID_PARAMETER unless the offset is 0 to 2**63 - 1 or WRITE_TO_END_OF_FILE.
        """
        if self._appends or offset == WRITE_TO_END_OF_FILE:
            offset = AT_END
        elif offset is None or _is_out_of_range(offset, len(data)):
            return status.STATUS_INVALID_PARAMETER
        return self._overlapped(system, file, self._writing(system, data, offset), ask)

    def _writing(self, system: ThreadSystem, data: memoryview, offset: int) -> Write:
        return Write(system, self.descriptor, data, offset, self.real.appending)

    def _overlapped(self, system: ThreadSystem, file: FileObject, transfer: Transfer, ask: Ask) -> int:
        try:
            outcome = system.perform(self._start, system.current(), file, transfer, ask)
        except NtError as refusal:
            return refusal.status
        request = transfer.request
        if file.profile.disk_requests_pend:
            request.pend()
        if outcome is None and self._caching is Caching.CACHED:
            try:
                outcome = transfer.attempt(transfer.copy)
            except BaseException:
                system.perform(transfer.end, Transferred(status.STATUS_CANCELLED))
                raise
        if outcome is not None:
            return system.perform(transfer.end_in_call, outcome)
        request.pend()
        # In this order: a request that an I/O thread ends has pended, and its status block is written late (I-27).
        code = system.perform(request.return_to_caller)
        ENGINE.submit(transfer)
        return code

    def _start(self, thread: KernelThread, file: FileObject, transfer: Transfer, ask: Ask) -> Transferred | None:
        """Under the kernel lock: issue the request; its outcome when a byte-range lock already decides that."""
        transfer.request = start(thread, file, ask, transfer)
        return self._verdict_of_locks(file, transfer)

    def _verdict_of_locks(self, file: FileObject, transfer: Transfer) -> Transferred | None:
        """Under the kernel lock: STATUS_FILE_LOCK_CONFLICT when a byte-range lock is in the way."""
        locks = self.real.locks
        if not locks.held or not transfer.data:
            return None
        first = self.descriptor.size() if transfer.offset == AT_END else transfer.offset
        if transfer.is_forbidden(locks, file, ByteRange(first, first + len(transfer.data))):
            return Transferred(status.STATUS_FILE_LOCK_CONFLICT)
        return None

    # -- synchronous -------------------------------------------------------------------------------------------

    def read_now(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None) -> Transferred:
        """Read, from the position unless an offset is given, and advance the position.

        At the end of the file STATUS_END_OF_FILE (ntfile-sync-eof).  Blocks, visibly (Q-23).
        """
        return self._synchronous(system, file, Read(system, self.descriptor, target, 0), offset)

    def write_now(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None) -> Transferred:
        """Write all, at the position unless an offset is given, and advance the position.  Blocks, visibly (Q-23)."""
        if self._appends:
            offset = WRITE_TO_END_OF_FILE
        return self._synchronous(system, file, self._writing(system, data, 0), offset)

    def flush(self, system: ThreadSystem, file: FileObject) -> int:
        """Bring what was written to the medium; the NTSTATUS.  Blocks, visibly (Q-23)."""
        try:
            with _kept_open(system, file), waiting(system):
                self.descriptor.flush()
        except NtError as refusal:
            return refusal.status
        except OSError as error:
            return status_of(error)
        return status.STATUS_SUCCESS

    def _synchronous(
        self, system: ThreadSystem, file: FileObject, transfer: Transfer, offset: int | None
    ) -> Transferred:
        try:
            with _kept_open(system, file):
                if not self._turn.acquire(blocking=False):
                    with waiting(system):
                        self._turn.acquire()
                try:
                    return self._in_turn(system, file, transfer, offset)
                finally:
                    self._turn.release()
        except NtError as refusal:
            return Transferred(refusal.status)

    def _in_turn(self, system: ThreadSystem, file: FileObject, transfer: Transfer, offset: int | None) -> Transferred:
        if offset is None or offset == USE_POSITION:
            offset = self.position
        if isinstance(transfer, Write) and offset == WRITE_TO_END_OF_FILE:
            offset = AT_END
        elif _is_out_of_range(offset, len(transfer.data)):
            return Transferred(status.STATUS_INVALID_PARAMETER)
        transfer.offset = offset
        outcome = system.perform(self._verdict_of_locks, file, transfer)
        if outcome is None and self._caching is Caching.CACHED:
            outcome = transfer.attempt(transfer.copy)
        if outcome is None:
            with waiting(system):
                outcome = transfer.attempt_to_move()
        if outcome.status == status.STATUS_SUCCESS and transfer.offset != AT_END:
            self.position = transfer.offset + outcome.count
        return outcome

    # -- byte-range locks --------------------------------------------------------------------------------------

    def lock(
        self,
        system: ThreadSystem,
        file: FileObject,
        offset: int,
        length: int,
        kind: LockKind,
        wait: LockWait,
        ask: Ask,
    ) -> int:
        """Lock `length` bytes at `offset`, both 0 to 2**64 - 1; the NTSTATUS of the call.

        SUCCESS at once, with a packet where the profile has it (I-02); on conflict LOCK_NOT_GRANTED without one (I-03),
        or PENDING until it is granted, cancelled, or its file closed.  INVALID_LOCK_RANGE beyond 2**64.  Waits only on
        a synchronous file object, visibly (Q-23).  O(locks on the file).
        """
        if not 0 <= offset <= offset + length <= END_OF_RANGES:
            return status.STATUS_INVALID_LOCK_RANGE
        wanted = RangeLock(file, ByteRange(offset, offset + length), kind)
        if not file.profile.byte_lock_queues_packet:
            ask = replace(ask, context=None)

        def begin(request: IoRequest) -> None:
            locks = self.real.locks
            if locks.acquire(wanted):
                finish(request, Transferred(status.STATUS_SUCCESS))
            elif wait is LockWait.FAIL_IMMEDIATELY:
                finish(request, Transferred(status.STATUS_LOCK_NOT_GRANTED))
            else:
                request.pend()
                locks.waiting[wanted] = request

        return issue(system, file, ask, wanted, begin)

    def unlock(self, system: ThreadSystem, file: FileObject, offset: int, length: int) -> int:
        """Give back one lock of exactly these bytes; STATUS_RANGE_NOT_LOCKED when there is none.  Never blocks."""
        released = system.perform(self._unlock, file, ByteRange(offset, offset + length))
        return status.STATUS_SUCCESS if released else status.STATUS_RANGE_NOT_LOCKED

    def _unlock(self, file: FileObject, bytes: ByteRange) -> bool:
        released = self.real.locks.release(file, bytes)
        if released:
            self._grant_locks()
        return released

    def _grant_locks(self) -> None:
        for request in self.real.locks.grant():
            finish(request, Transferred(status.STATUS_SUCCESS))

    # -- called by the kernel, under its lock ------------------------------------------------------------------

    def cancel(self, request: IoRequest) -> None:
        """A transfer that has not begun and a lock that waits end now; anything else ends normally (I-41)."""
        operation = request.operation
        if isinstance(operation, RangeLock):
            del self.real.locks.waiting[operation]
            finish(request, Transferred(status.STATUS_CANCELLED))
        elif isinstance(operation, Transfer) and ENGINE.withdraw(operation):
            operation.end(Transferred(status.STATUS_CANCELLED))

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: its locks go, held or waited for; transfers end as they will (I-43, H-03)."""
        locks = self.real.locks
        for lock in locks.waiting_for(file):
            finish(locks.waiting.pop(lock), Transferred(status.STATUS_CANCELLED))
        locks.release_all(file)
        self._grant_locks()
        if self._on_close is OnClose.DELETE:
            self.real.is_doomed = True

    def close(self, file: FileObject) -> None:
        """The last reference is gone: close, and delete what was only waiting for that."""
        self.release()

    def release(self) -> None:
        """Under the kernel lock: give everything back.  Once, at the end."""
        with contextlib.suppress(OSError):
            self.descriptor.close()
        if self._table.leave(self.real, self._opening):
            with contextlib.suppress(OSError):
                delete(self.path, self.real.identity)


def open_file(system: ThreadSystem, path: str | os.PathLike[str], options: OpenOptions) -> Opened:
    """Open or create a disk file; the caller opens the first handle of the file object.

    Refusals, as `NtError`: OBJECT_NAME_NOT_FOUND and OBJECT_PATH_NOT_FOUND (nothing there; no such directory),
    OBJECT_NAME_COLLISION (CREATE_NEW and it exists), OBJECT_NAME_INVALID, FILE_IS_A_DIRECTORY, ACCESS_DENIED,
    SHARING_VIOLATION, DELETE_PENDING, NO_SUCH_DEVICE (a pipe or socket of the host), INVALID_PARAMETER
    (TRUNCATE_EXISTING without FILE_WRITE_DATA), or whatever else the host says.  May block on the disk.
    """
    name = os.fspath(path)
    overwrites = options.disposition in (Disposition.CREATE_ALWAYS, Disposition.TRUNCATE_EXISTING)
    if options.disposition is Disposition.TRUNCATE_EXISTING and not options.access & Access.FILE_WRITE_DATA:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    flags = host_flags(options.access)
    try:
        number, existed = open_on_host(name, flags, options.disposition)
    except OSError as error:
        raise refusal_of(error, name) from None
    except ValueError:
        raise NtError(status.STATUS_OBJECT_NAME_INVALID) from None
    descriptor = HOST_DESCRIPTOR(number, at_end=bool(flags & os.O_APPEND))
    table = file_table(system)
    opening = options.opening
    try:
        about = os.fstat(number)
        check_kind(number, about)
        momentary = Share.WRITE if existed and overwrites else Share.NONE
        real = system.perform(table.enter, (about.st_dev, about.st_ino), opening, momentary)
    except BaseException:
        descriptor.close()
        raise
    device = DiskFile(os.path.realpath(name), descriptor, table, real, options, opening)
    if existed and overwrites and stat.S_ISREG(about.st_mode):
        try:
            os.truncate(number if flags & (os.O_WRONLY | os.O_RDWR) else name, 0)
        except OSError as error:
            system.perform(device.release)
            raise refusal_of(error, name) from None
    return Opened(system.perform(system.kernel.create_file, device, options.io_mode), existed)


def _is_out_of_range(offset: int, length: int) -> bool:
    return not 0 <= offset <= MAXIMUM_OFFSET - length


@contextlib.contextmanager
def _kept_open(system: ThreadSystem, file: FileObject) -> Generator[None]:
    """Hold a reference for the time of a synchronous operation (H-03); STATUS_FILE_CLOSED when it is too late."""
    system.perform(_hold, file)
    try:
        yield
    finally:
        system.perform(file.dereference)


def _hold(file: FileObject) -> None:
    if file.freed:
        raise NtError(status.STATUS_FILE_CLOSED)
    file.reference()
