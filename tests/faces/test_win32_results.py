"""Results, cancelling and notification modes through the Win32 face."""

from __future__ import annotations

from pathlib import Path

import pytest

import iocp_emu
from iocp_emu import ntdll, status, win32
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import OVERLAPPED, UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, PRESET, RW, SHARE_ALL, new_port, refused, until_parked

FLAGS = win32.FILE_FLAG_OVERLAPPED | win32.FILE_FLAG_BACKUP_SEMANTICS
PENDING = status.STATUS_PENDING


@pytest.fixture
def directory(machine: ThreadSystem, tmp_path: Path) -> int:
    """An overlapped directory handle: a watch on it pends until it is cancelled."""
    return win32.CreateFileW(tmp_path, win32.FILE_LIST_DIRECTORY, SHARE_ALL, win32.OPEN_EXISTING, FLAGS)


def watch(directory: int, overlapped: OVERLAPPED) -> None:
    """Start a request that stays pending."""
    assert win32.ReadDirectoryChangesW(directory, bytearray(64), 64, False, 1, overlapped).ret


@pytest.mark.parametrize(
    ("code", "succeeds", "error"),
    [
        (status.STATUS_SUCCESS, True, PRESET),
        (status.STATUS_OBJECT_NAME_EXISTS, True, PRESET),
        (status.STATUS_BUFFER_OVERFLOW, False, 234),
        (status.STATUS_CANCELLED, False, 995),
        (status.STATUS_INVALID_HANDLE, False, 6),
    ],
)
def test_i29_only_the_overlapped_counts(machine: ThreadSystem, code: int, succeeds: bool, error: int) -> None:
    """I-29 (k32file-gor): the status in the block decides, the count is shown in any case, cut to 32 bits."""
    win32.SetLastError(PRESET)
    block = OVERLAPPED(code, (1 << 32) + 7)
    assert win32.GetOverlappedResult(None, block, True) == (succeeds, 7)
    assert win32.GetLastError() == error
    assert win32.HasOverlappedIoCompleted(block)


def test_i29_pending(machine: ThreadSystem, directory: int) -> None:
    """I-29: 996 without waiting, 258 after it, 192 for an APC, 6 with nothing to wait for; nothing is written."""
    overlapped = OVERLAPPED()
    watch(directory, overlapped)
    assert not win32.HasOverlappedIoCompleted(overlapped)
    assert win32.GetOverlappedResult(directory, overlapped, False) == (False, UNTOUCHED)
    assert refused(machine, win32.GetOverlappedResult, directory, overlapped, False) == 996
    assert refused(machine, win32.GetOverlappedResultEx, directory, overlapped, 10, False) == 258
    assert refused(machine, win32.GetOverlappedResultEx, None, overlapped, 10, False) == 6
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 1, pfnAPC=lambda _: None)
    assert win32.GetOverlappedResultEx(directory, overlapped, win32.INFINITE, True) == (False, UNTOUCHED)
    assert win32.GetLastError() == 192
    assert win32.CancelIo(directory)


@pytest.mark.parametrize("with_event", [False, True])
def test_i29_waiting_for_the_file_or_the_event(machine: ThreadSystem, directory: int, with_event: bool) -> None:
    """I-29: bWait waits for hEvent if there is one, else for the file, and then shows the result."""
    event = win32.CreateEventW(True, False) if with_event else None
    overlapped = OVERLAPPED(hEvent=event)
    watch(directory, overlapped)

    def wait() -> tuple[win32.OverlappedResult, int]:
        return win32.GetOverlappedResult(directory, overlapped, True), win32.GetLastError()

    waiter = iocp_emu.spawn(wait)
    until_parked(waiter.waitable)
    assert win32.CancelIoEx(directory, overlapped)
    assert waiter.join(30) == ((False, 0), 995)


def test_i29_what_the_block_says_after_the_wait_counts(machine: ThreadSystem) -> None:
    """I-29: a block that is still pending after the wait counts as a success."""
    event = win32.CreateEventW(True, True)
    assert win32.GetOverlappedResult(None, OVERLAPPED(PENDING, 5, hEvent=event), True) == (True, 5)


def test_i27_a_late_status_block(machine: ThreadSystem, directory: int, tmp_path: Path) -> None:
    """I-27, M-17: what pended on a file with a port is pending until the dequeue, though its packet is queued."""
    port, overlapped = new_port(), OVERLAPPED()
    assert win32.CreateIoCompletionPort(directory, port, 7, 0) == port
    watch(directory, overlapped)
    (tmp_path / "new").write_bytes(b"")
    assert win32.WaitForSingleObject(port, 30_000) == 0
    assert not win32.HasOverlappedIoCompleted(overlapped)
    assert win32.GetOverlappedResult(directory, overlapped, False) == (False, UNTOUCHED)
    assert win32.GetLastError() == 996
    count = 12 + 2 * len("new")
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, count, 7, overlapped)
    assert win32.GetOverlappedResult(directory, overlapped, False) == (True, count)


def test_i40_cancelling_by_overlapped(machine: ThreadSystem, directory: int) -> None:
    """I-40, M-18: CancelIoEx finds one OVERLAPPED or all; 1168 for nothing; each ends once, with 995."""
    port, first, second = new_port(), OVERLAPPED(), OVERLAPPED()
    assert win32.CreateIoCompletionPort(directory, port, 1, 0) == port
    watch(directory, first)
    watch(directory, second)
    assert win32.CancelIoEx(directory, first)
    assert refused(machine, win32.CancelIoEx, directory, first) == 1168
    assert not win32.HasOverlappedIoCompleted(first)  # I-42: until the dequeue
    assert win32.GetQueuedCompletionStatus(port, 0) == (False, 0, 1, first)
    assert win32.CancelIoEx(directory, None)
    assert win32.GetQueuedCompletionStatus(port, 0) == (False, 0, 1, second)
    assert refused(machine, win32.CancelIoEx, directory, None) == 1168
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    assert refused(machine, win32.CancelIoEx, BAD_HANDLE, None) == 6
    assert refused(machine, win32.CancelIo, BAD_HANDLE) == 6


def test_i40_cancel_io_is_per_thread(machine: ThreadSystem, directory: int) -> None:
    """I-40, M-19: CancelIo ends what this thread has issued, and succeeds also when that is nothing."""
    port, mine, theirs = new_port(), OVERLAPPED(), OVERLAPPED()
    assert win32.CreateIoCompletionPort(directory, port, 1, 0) == port
    iocp_emu.spawn(watch, directory, theirs).join()
    assert win32.CancelIo(directory)
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    watch(directory, mine)
    assert win32.CancelIo(directory)
    assert win32.GetQueuedCompletionStatus(port, 0).lpOverlapped is mine
    assert win32.CancelIoEx(directory, theirs)


def test_i31_a_thread_that_ends(machine: ThreadSystem, directory: int) -> None:
    """I-31: without a port a request ends with its thread, with one it outlives it."""
    overlapped, event = OVERLAPPED(), win32.CreateEventW(True, False)
    overlapped.hEvent = event
    iocp_emu.spawn(watch, directory, overlapped).join()
    assert win32.WaitForSingleObject(event, win32.INFINITE) == 0
    assert overlapped.Internal == status.STATUS_CANCELLED
    port, survivor = new_port(), OVERLAPPED()
    assert win32.CreateIoCompletionPort(directory, port, 1, 0) == port
    iocp_emu.spawn(watch, directory, survivor).join()
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    assert win32.CancelIoEx(directory, survivor)
    assert win32.GetQueuedCompletionStatus(port, 0).lpOverlapped is survivor


def test_i40_profiles_differ_in_cancelling_nothing(tmp_path: Path) -> None:
    """I-40: Wine's cancel-all form succeeds for nothing."""
    with use(ThreadSystem("wine")):
        handle = win32.CreateFileW(tmp_path, win32.FILE_LIST_DIRECTORY, SHARE_ALL, win32.OPEN_EXISTING, FLAGS)
        assert win32.CancelIoEx(handle, None)
        assert not win32.CancelIoEx(handle, OVERLAPPED())
        assert win32.CloseHandle(handle)


def test_i18_modes_are_sticky(machine: ThreadSystem, directory: int, tmp_path: Path) -> None:
    """I-18, I-19, M-16: modes add up and never go; unknown bits are ignored; 87 on a synchronous file."""
    for flags, after in ((2, 2), (0, 2), (1, 3), (0x1F8, 3), (4, 7)):
        assert win32.SetFileCompletionNotificationModes(directory, flags)
        assert ntdll.NtQueryInformationFile(directory, 41).Flags == after
    (tmp_path / "sync").write_bytes(b"")
    synchronous = win32.CreateFileW(tmp_path / "sync", RW, SHARE_ALL, win32.OPEN_EXISTING, 0)
    assert refused(machine, win32.SetFileCompletionNotificationModes, synchronous, 0) == 87
    assert refused(machine, win32.SetFileCompletionNotificationModes, BAD_HANDLE, 1) == 6


def test_i17_the_event_of_the_file(machine: ThreadSystem, directory: int) -> None:
    """C-17, I-17: a request clears the file's own event, its end sets it; mode 2 leaves it alone."""
    assert win32.WaitForSingleObject(directory, 0) == 0
    watch(directory, OVERLAPPED())
    assert win32.WaitForSingleObject(directory, 0) == win32.WAIT_TIMEOUT
    assert win32.CancelIo(directory)
    assert win32.WaitForSingleObject(directory, win32.INFINITE) == 0
    assert win32.SetFileCompletionNotificationModes(directory, win32.FILE_SKIP_SET_EVENT_ON_HANDLE)
    watch(directory, OVERLAPPED())
    assert win32.CancelIo(directory)
    assert win32.WaitForSingleObject(directory, 0) == win32.WAIT_TIMEOUT
