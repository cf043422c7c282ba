"""Files and directories through the Win32 face: opening, reading, writing, locking, watching, deleting."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import pytest

import iocp_emu
from iocp_emu import win32
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import INVALID_HANDLE_VALUE, OVERLAPPED, UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, RW, SHARE_ALL, eventually, failing, new_port, refused, until_parked

ALWAYS_NEW = win32.CREATE_ALWAYS
EXISTING = win32.OPEN_EXISTING
ASYNC = win32.FILE_FLAG_OVERLAPPED
SEC = 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of ten digits."""
    path = tmp_path / "digits"
    path.write_bytes(b"0123456789")
    return path


def open_(path: Path, flags: int = ASYNC, access: int = RW, share: int = SHARE_ALL, disposition: int = EXISTING) -> int:
    """A handle, or INVALID_HANDLE_VALUE."""
    return win32.CreateFileW(path, access, share, disposition, flags)


# -- opening -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposition", "existing", "missing"),
    [
        (win32.CREATE_NEW, (False, 80), (True, 0)),
        (win32.CREATE_ALWAYS, (True, 183), (True, 0)),
        (win32.OPEN_EXISTING, (True, 0), (False, 2)),
        (win32.OPEN_ALWAYS, (True, 183), (True, 0)),
        (win32.TRUNCATE_EXISTING, (True, 0), (False, 2)),
        (0, (False, 87), (False, 87)),
        (6, (False, 87), (False, 87)),
    ],
)
def test_dispositions(
    machine: ThreadSystem, path: Path, disposition: int, existing: tuple[bool, int], missing: tuple[bool, int]
) -> None:
    """Each disposition does its thing, and the last error is 0, 183 when it found a file, or the reason."""
    for name, (succeeds, error) in ((path, existing), (path.with_name("missing"), missing)):
        handle = open_(name, disposition=disposition)
        assert (handle != INVALID_HANDLE_VALUE, win32.GetLastError()) == (succeeds, error)


def test_refused_names(machine: ThreadSystem, path: Path) -> None:
    """3 no such directory, 5 a directory opened as a file, 2 no such pipe or device, 32 a share that is missing."""
    for name, error in (
        (str(path.parent / "none" / "file"), 3),
        (str(path.parent), 5),
        ("\\\\.\\pipe\\name", 2),
        ("//./PIPE/name", 2),
        ("\\\\.\\PhysicalDrive0", 2),
    ):
        assert refused(machine, win32.CreateFileW, name, RW, 0, EXISTING, ASYNC) == error
    assert open_(path, share=win32.FILE_SHARE_READ) != INVALID_HANDLE_VALUE
    assert refused(machine, open_, path) == 32
    assert win32.CreateFileW("\\\\?\\" + str(path), win32.GENERIC_READ, SHARE_ALL, EXISTING, 0) != INVALID_HANDLE_VALUE


def test_a_backslash_separates_names(machine: ThreadSystem, tmp_path: Path) -> None:
    """In paths of files and directories, with the prefix for long ones too, on any host."""
    directory = rf"{tmp_path}\one"
    assert win32.CreateDirectoryW(directory)
    handle = win32.CreateFileW(rf"\\?\{directory}\two", RW, SHARE_ALL, ALWAYS_NEW, ASYNC)
    assert (tmp_path / "one" / "two").is_file()
    assert win32.CloseHandle(handle)
    assert win32.DeleteFileW(rf"{directory}\two")
    assert win32.RemoveDirectoryW(directory)
    assert not list(tmp_path.iterdir())


def test_delete_on_close(machine: ThreadSystem, path: Path) -> None:
    """FILE_FLAG_DELETE_ON_CLOSE deletes the file with its last handle."""
    handle = open_(path, ASYNC | win32.FILE_FLAG_DELETE_ON_CLOSE)
    assert path.exists()
    assert win32.CloseHandle(handle)
    assert not path.exists()


# -- reading and writing -----------------------------------------------------------------------------------------


def test_i25_the_status_block_is_pending_even_when_the_call_fails(machine: ThreadSystem, path: Path) -> None:
    """I-25: Internal is set first, InternalHigh not; bad handles, rights, buffers and events queue nothing."""
    file, buffer = open_(path), bytearray(4)
    reader, writer = open_(path, access=win32.GENERIC_READ), open_(path, access=win32.GENERIC_WRITE)
    port = new_port()
    for number, each in enumerate((file, reader, writer)):
        assert win32.CreateIoCompletionPort(each, port, number, 0) == port
    for call, handle, data, hevent, error in (
        (win32.ReadFile, BAD_HANDLE, buffer, None, 6),
        (win32.ReadFile, port, buffer, None, 6),
        (win32.ReadFile, writer, buffer, None, 5),
        (win32.WriteFile, reader, buffer, None, 5),
        (win32.ReadFile, file, bytearray(3), None, 998),
        (win32.ReadFile, file, bytes(4), None, 998),
        (win32.ReadFile, file, None, None, 998),
        (win32.WriteFile, file, b"123", None, 1784),
        (win32.ReadFile, file, buffer, BAD_HANDLE, 6),
        (win32.ReadFile, file, buffer, port, 6),
    ):
        overlapped = OVERLAPPED(5, 6, hEvent=hevent)
        assert refused(machine, call, handle, data, 4, overlapped) == error
        assert (overlapped.Internal, overlapped.InternalHigh) == (0x103, 6)
    assert not win32.GetQueuedCompletionStatus(port, 0).ret


def test_i10_without_an_overlapped(machine: ThreadSystem, path: Path) -> None:
    """I-10: an overlapped disk file needs one (87); the count pointer may be NULL only together with one (998)."""
    file = open_(path)
    assert refused(machine, win32.ReadFile, file, bytearray(4), 4, None) == 87
    assert refused(machine, win32.WriteFile, file, b"1234", 4, None) == 87
    assert refused(machine, win32.ReadFile, file, bytearray(4), 4, None, lpNumberOfBytesRead=None) == 998
    assert win32.ReadFile(file, bytearray(4), 4, OVERLAPPED(), lpNumberOfBytesRead=None) == (False, None)
    assert win32.GetLastError() == 997


def test_synchronous_files(machine: ThreadSystem, path: Path) -> None:
    """A synchronous file has a position; the end of the file is TRUE with 0 bytes, with an OVERLAPPED 38."""
    file, buffer = open_(path, 0), bytearray(16)
    assert win32.ReadFile(file, buffer, 4, None) == (True, 4)
    assert win32.ReadFile(file, memoryview(buffer)[8:], 8, None) == (True, 6)
    assert buffer[:4] + buffer[8:14] == b"0123456789"
    assert win32.ReadFile(file, buffer, 4, None) == (True, 0)
    event = win32.CreateEventW(True, True)
    overlapped = OVERLAPPED(Offset=10, hEvent=event)
    assert win32.ReadFile(file, buffer, 4, overlapped) == (False, 0)
    assert (win32.GetLastError(), overlapped.Internal) == (38, 0xC0000011)
    assert win32.WaitForSingleObject(event, 0) == 0
    overlapped.Offset = 2
    assert win32.WriteFile(file, b"abc", 3, overlapped) == (True, 3)
    assert (overlapped.Internal, overlapped.InternalHigh) == (0, 3)
    assert win32.WriteFile(file, b"def", 3, None) == (True, 3)
    assert path.read_bytes() == b"01abcdef89"
    assert win32.FlushFileBuffers(file)


def test_appending(machine: ThreadSystem, path: Path) -> None:
    """All ones in the offset write at the end; so does a handle that may only append, whatever the offset."""
    everything = OVERLAPPED(Offset=0xFFFFFFFF, OffsetHigh=0xFFFFFFFF)
    assert win32.WriteFile(open_(path), b"ab", 2, everything) == (False, 0)
    appender = open_(path, access=win32.FILE_APPEND_DATA)
    assert win32.WriteFile(appender, b"cd", 2, OVERLAPPED()) == (False, 0)
    eventually(lambda: path.read_bytes() == b"0123456789abcd", "both writes are in the file")
    assert refused(machine, win32.ReadFile, open_(path), bytearray(1), 1, OVERLAPPED(OffsetHigh=0x80000000)) == 87


def test_i05_an_unbuffered_read_pends(machine: ThreadSystem, path: Path) -> None:
    """I-05, I-25: it says pending and brings one packet; after the dequeue the status block is final."""
    file, port, buffer = open_(path, ASYNC | win32.FILE_FLAG_NO_BUFFERING), new_port(), bytearray(4)
    assert win32.CreateIoCompletionPort(file, port, 7, 0) == port
    overlapped = OVERLAPPED(Offset=3)
    assert win32.ReadFile(file, buffer, 4, overlapped) == (False, 0)
    assert win32.GetLastError() == 997
    assert win32.GetQueuedCompletionStatus(port, 30 * SEC) == (True, 4, 7, overlapped)
    assert win32.HasOverlappedIoCompleted(overlapped)
    assert win32.GetOverlappedResult(file, overlapped, True) == (True, 4)
    assert buffer == b"3456"


def test_i07_the_low_bit_of_the_event(machine: ThreadSystem, path: Path) -> None:
    """I-07, I-08: an event and a packet; with the low bit the event alone."""
    file, port, event = open_(path), new_port(), win32.CreateEventW(True, False)
    assert win32.CreateIoCompletionPort(file, port, 7, 0) == port
    for hevent, packets in ((event, 1), (event | 1, 0), (1, 0)):
        assert win32.ResetEvent(event)
        assert win32.ReadFile(file, bytearray(4), 4, OVERLAPPED(hEvent=hevent)) == (False, 0)
        if hevent != 1:
            assert win32.WaitForSingleObject(event, win32.INFINITE) == 0
        assert win32.GetQueuedCompletionStatusEx(port, 4, 100, False).ulNumEntriesRemoved == packets


def test_c16_completion_routines(machine: ThreadSystem, path: Path) -> None:
    """C-15, C-16: a routine runs alertably with error, count and OVERLAPPED; with a port it is refused with 87."""
    file, buffer, calls = open_(path), bytearray(4), list[tuple[int, int, OVERLAPPED]]()

    def routine(error: int, count: int, overlapped: OVERLAPPED) -> None:
        calls.append((error, count, overlapped))

    read, write, beyond = OVERLAPPED(), OVERLAPPED(Offset=9), OVERLAPPED(Offset=100)
    assert win32.ReadFileEx(file, buffer, 4, read, routine)
    assert win32.WriteFileEx(file, b"xy", 2, write, routine)
    assert win32.ReadFileEx(file, buffer, 4, beyond, routine)
    assert calls == []
    eventually(lambda: bool(win32.SleepEx(1, True)) and len(calls) == 3, "the routines have run")
    assert sorted(calls, key=calls.index) == [(0, 4, read), (0, 2, write), (38, 0, beyond)]
    port = new_port()
    assert win32.CreateIoCompletionPort(file, port, 1, 0) == port
    assert refused(machine, win32.ReadFileEx, file, buffer, 4, read, routine) == 87
    assert refused(machine, win32.WriteFileEx, file, buffer, 4, read, routine) == 87


def test_a_completion_routine_of_a_synchronous_file(machine: ThreadSystem, path: Path) -> None:
    """On a synchronous file the routine is queued when the call returns, and for no error (ntfile-sync-eof)."""
    file, ran = open_(path, 0), list[int]()
    assert win32.ReadFileEx(file, bytearray(4), 4, OVERLAPPED(), lambda _, count, __: ran.append(count))
    assert refused(machine, win32.ReadFileEx, file, bytearray(4), 4, OVERLAPPED(Offset=50), lambda *_: None) == 38
    assert win32.SleepEx(0, True) == win32.WAIT_IO_COMPLETION
    assert ran == [4]


# -- locks, flushing, control codes ------------------------------------------------------------------------------


def test_locks(machine: ThreadSystem, path: Path) -> None:
    """I-54, file-19, file-20: granted locks queue a packet, waiting ones later, failing ones none; unlocks never do."""
    first, second, port = open_(path), open_(path), new_port()
    for key, file in ((1, first), (2, second)):
        assert win32.CreateIoCompletionPort(file, port, key, 0) == port
    exclusive, at_once = win32.LOCKFILE_EXCLUSIVE_LOCK, win32.LOCKFILE_FAIL_IMMEDIATELY
    mine, theirs = OVERLAPPED(Offset=2), OVERLAPPED(Offset=3)
    assert win32.LockFileEx(first, exclusive | at_once, 4, mine)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 0, 1, mine)
    assert failing(win32.LockFileEx, second, at_once, 1, theirs) == 33
    assert not win32.LockFileEx(second, 0, 1, theirs)
    assert win32.GetLastError() == 997
    assert refused(machine, win32.UnlockFileEx, first, 3, mine) == 158
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    assert win32.UnlockFileEx(first, 4, mine)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 0, 2, theirs)
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    whole = OVERLAPPED()
    assert failing(win32.LockFileEx, first, at_once | exclusive, 0, whole, nNumberOfBytesToLockHigh=1) == 33
    assert refused(machine, win32.LockFileEx, BAD_HANDLE, 0, 1, whole) == 6
    nothing = open_(path, access=0)
    assert refused(machine, win32.LockFileEx, nothing, 0, 1, whole) == 5
    assert refused(machine, win32.UnlockFileEx, nothing, 1, whole) == 5


def test_what_a_directory_cannot(machine: ThreadSystem, path: Path) -> None:
    """Reading, locking and flushing a directory are 1; so is every control code, and 87 watching a file."""
    directory = open_(path.parent, ASYNC | win32.FILE_FLAG_BACKUP_SEMANTICS)
    file = open_(path)
    overlapped = OVERLAPPED()
    assert refused(machine, win32.ReadFile, directory, bytearray(4), 4, overlapped) == 1
    assert refused(machine, win32.LockFileEx, directory, 0, 4, overlapped) == 1
    assert refused(machine, win32.UnlockFileEx, directory, 4, overlapped) == 1
    assert refused(machine, win32.FlushFileBuffers, directory) == 1
    assert refused(machine, win32.DeviceIoControl, file, 0x110008, overlapped) == 1
    assert overlapped.Internal == 0x103
    assert refused(machine, win32.DeviceIoControl, BAD_HANDLE, 0x110008, None) == 6
    assert refused(machine, win32.FlushFileBuffers, open_(path, access=win32.GENERIC_READ)) == 5
    assert refused(machine, win32.ReadDirectoryChangesW, file, bytearray(64), 64, False, 1, overlapped) == 87


# -- directories and names ---------------------------------------------------------------------------------------


def names_in(buffer: bytearray) -> list[tuple[int, str]]:
    """Action and name of each FILE_NOTIFY_INFORMATION record."""
    found: list[tuple[int, str]] = []
    at = 0
    while True:
        after, action, length = struct.unpack_from("<III", buffer, at)
        found.append((action, buffer[at + 12 : at + 12 + length].decode("utf-16-le")))
        if not after:
            return found
        at += after


def test_watching_a_directory(machine: ThreadSystem, tmp_path: Path) -> None:
    """I-05, I-41: a watch pends and ends with a packet, with records, or cancelled."""
    folder = tmp_path / "folder"
    assert win32.CreateDirectoryW(folder)
    access, flags = win32.FILE_LIST_DIRECTORY, ASYNC | win32.FILE_FLAG_BACKUP_SEMANTICS
    directory, port, buffer = open_(folder, flags, access), new_port(), bytearray(512)
    assert win32.CreateIoCompletionPort(directory, port, 9, 0) == port
    watch = (directory, buffer, 512, False, win32.FILE_NOTIFY_CHANGE_FILE_NAME)
    overlapped = OVERLAPPED()
    assert win32.ReadDirectoryChangesW(*watch, overlapped) == (True, UNTOUCHED)
    (folder / "new").write_bytes(b"")
    packet = win32.GetQueuedCompletionStatus(port, 30 * SEC)
    assert packet.ret
    assert packet.lpOverlapped is overlapped
    assert names_in(buffer) == [(1, "new")]
    assert win32.ReadDirectoryChangesW(*watch, overlapped) == (True, UNTOUCHED)
    assert win32.CancelIoEx(directory, overlapped)
    assert win32.GetQueuedCompletionStatus(port, 0) == (False, 0, 9, overlapped)
    assert win32.GetLastError() == 995
    assert refused(machine, win32.ReadDirectoryChangesW, *watch, None) == 87
    assert refused(machine, win32.ReadDirectoryChangesW, *watch[:4], 0, overlapped) == 87
    assert refused(machine, win32.ReadDirectoryChangesW, *watch, overlapped, lpCompletionRoutine=print) == 87


def test_watching_synchronously(machine: ThreadSystem, tmp_path: Path) -> None:
    """On a synchronous handle the call waits, visibly, and tells how many bytes it has."""
    directory = open_(tmp_path, win32.FILE_FLAG_BACKUP_SEMANTICS, win32.FILE_LIST_DIRECTORY)
    buffer = bytearray(512)
    watcher = iocp_emu.spawn(win32.ReadDirectoryChangesW, directory, buffer, 512, True, 1, None)
    until_parked(watcher.waitable)
    (tmp_path / "new").write_bytes(b"")
    result = watcher.join(30)
    assert result.ret
    assert isinstance(result.lpBytesReturned, int)
    assert names_in(buffer[: result.lpBytesReturned]) == [(1, "new")]


def test_a_watch_with_a_completion_routine(machine: ThreadSystem, tmp_path: Path) -> None:
    """The routine runs alertably, with 995 when the watch is cancelled."""
    flags = ASYNC | win32.FILE_FLAG_BACKUP_SEMANTICS
    directory, ended = open_(tmp_path, flags, win32.FILE_LIST_DIRECTORY), list[int]()
    assert win32.ReadDirectoryChangesW(
        directory, bytearray(64), 64, False, 1, OVERLAPPED(), lpCompletionRoutine=lambda error, *_: ended.append(error)
    ).ret
    assert win32.CancelIo(directory)
    assert win32.SleepEx(win32.INFINITE, True) == win32.WAIT_IO_COMPLETION
    assert ended == [995]


def test_making_and_removing_names(machine: ThreadSystem, tmp_path: Path) -> None:
    """183, 145, 2, 3, 267, 32: names are made and removed as far as those who have them open share that."""
    folder, file = tmp_path / "folder", tmp_path / "folder" / "file"
    assert win32.CreateDirectoryW(folder)
    assert refused(machine, win32.CreateDirectoryW, folder) == 183
    assert refused(machine, win32.CreateDirectoryW, tmp_path / "none" / "folder") == 3
    file.write_bytes(b"")
    assert refused(machine, win32.RemoveDirectoryW, folder) == 145
    assert refused(machine, win32.RemoveDirectoryW, file) == 267
    assert refused(machine, win32.RemoveDirectoryW, tmp_path / "none") == 2
    keeper = open_(file, share=win32.FILE_SHARE_READ)
    assert refused(machine, win32.DeleteFileW, file) == 32
    assert win32.CloseHandle(keeper)
    sharer = open_(file)
    assert win32.DeleteFileW(file)
    assert win32.CloseHandle(sharer)
    assert not file.exists()
    assert refused(machine, win32.DeleteFileW, file) == 2
    assert win32.RemoveDirectoryW(folder)
    assert not folder.exists()


def test_many_threads_read_one_file(machine: ThreadSystem, path: Path) -> None:
    """I-11, M-07: requests of many threads on one file each bring exactly their own packet."""
    file, port = open_(path), new_port()
    assert win32.CreateIoCompletionPort(file, port, 1, 0) == port
    buffers = {OVERLAPPED(Offset=number % 10): bytearray(1) for number in range(200)}
    waiting, lock = list(buffers), threading.Lock()

    def issue() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                overlapped = waiting.pop()
            assert win32.ReadFile(file, buffers[overlapped], 1, overlapped) == (False, 0)

    issuers = [iocp_emu.spawn(issue) for _ in range(4)]
    for _ in range(len(buffers)):
        packet = win32.GetQueuedCompletionStatus(port, 30 * SEC)
        assert packet.ret
        assert buffers.pop(packet.lpOverlapped) == str(packet.lpOverlapped.Offset).encode()
    for issuer in issuers:
        issuer.join()
    assert not buffers
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
