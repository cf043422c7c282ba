"""Handles through the Win32 face: closing, duplicating, rights, pseudo handles."""

from __future__ import annotations

import pytest

from iocp_emu import ntdll, win32
from iocp_emu.flat.support import map_rights
from iocp_emu.runtime.threads import ThreadSystem
from tests.faces.helpers import BAD_HANDLE, new_port, refused

SAME = win32.DUPLICATE_SAME_ACCESS
QUERY = win32.IO_COMPLETION_QUERY_STATE
MODIFY = win32.IO_COMPLETION_MODIFY_STATE


def duplicate(handle: int, access: int = 0, options: int = SAME) -> int:
    """A duplicate that must succeed."""
    duplicated = win32.DuplicateHandle(handle, access, options)
    assert duplicated.ret
    assert duplicated.lpTargetHandle
    return duplicated.lpTargetHandle


def test_o26_duplicates_of_a_port_are_equal(machine: ThreadSystem) -> None:
    """O-26, M-03: any of the handles works, and only the last close ends the port."""
    port = new_port()
    other = duplicate(port)
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert win32.CloseHandle(port)
    assert win32.GetQueuedCompletionStatus(other, 0).ret
    assert win32.CloseHandle(other)
    assert refused(machine, win32.CloseHandle, other) == 6


@pytest.mark.parametrize(
    ("desired", "granted"),
    [
        (win32.GENERIC_READ, QUERY),
        (win32.GENERIC_WRITE, MODIFY),
        (win32.GENERIC_ALL, QUERY | MODIFY),
        (win32.MAXIMUM_ALLOWED, QUERY | MODIFY),
        (win32.SYNCHRONIZE, 0),
        (0, 0),
    ],
)
def test_o03_a_duplicate_has_the_rights_asked_for(machine: ThreadSystem, desired: int, granted: int) -> None:
    """O-03: generic rights are mapped, and each call needs its own; 5 without it."""
    handle = duplicate(new_port(), desired, 0)
    assert ntdll.NtQueryIoCompletion(handle, 0).ret == (0 if granted & QUERY else 0xC0000022)
    assert win32.PostQueuedCompletionStatus(handle, 1, 2, None) is bool(granted & MODIFY)
    can_wait = bool(map_rights("IoCompletion", desired) & win32.SYNCHRONIZE)
    assert (win32.WaitForSingleObject(handle, 0) == win32.WAIT_FAILED) is not can_wait


def test_duplicating_can_close_the_source(machine: ThreadSystem) -> None:
    """DUPLICATE_CLOSE_SOURCE closes the source in the same step; without a target nothing else happens."""
    port = new_port()
    moved = duplicate(port, options=SAME | win32.DUPLICATE_CLOSE_SOURCE)
    assert refused(machine, win32.CloseHandle, port) == 6
    assert win32.DuplicateHandle(moved, 0, win32.DUPLICATE_CLOSE_SOURCE, lpTargetHandle=None) == (True, None)
    assert refused(machine, win32.CloseHandle, moved) == 6


def test_refused_duplicates(machine: ThreadSystem) -> None:
    """A bad source or process handle is 6, and the target handle becomes NULL."""
    port = new_port()
    assert win32.DuplicateHandle(BAD_HANDLE, 0, SAME) == (False, 0)
    assert refused(machine, win32.DuplicateHandle, BAD_HANDLE, 0, SAME) == 6
    assert refused(machine, win32.DuplicateHandle, port, 0, SAME, hTargetProcessHandle=port) == 6


def test_o27_a_duplicate_in_another_process(machine: ThreadSystem) -> None:
    """O-27: a handle in another process keeps the port usable; it means nothing in this one."""
    child = machine.perform(machine.kernel.create_process)
    process = win32.handle_of(child)
    port = new_port()
    theirs = win32.DuplicateHandle(port, 0, SAME, hTargetProcessHandle=process).lpTargetHandle
    assert refused(machine, win32.PostQueuedCompletionStatus, theirs, 1, 2, None) == 6
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert win32.CloseHandle(port)
    back = win32.DuplicateHandle(theirs, 0, SAME, hSourceProcessHandle=process).lpTargetHandle
    assert win32.GetQueuedCompletionStatus(back, 0).ret
    machine.perform(machine.kernel.exit_process, child)


def test_pseudo_handles(machine: ThreadSystem) -> None:
    """GetCurrentProcess is -1 and GetCurrentThread -2; closing them succeeds; a duplicate of one is a real handle."""
    assert win32.GetCurrentProcess() == win32.INVALID_HANDLE_VALUE
    assert win32.CloseHandle(win32.GetCurrentProcess())
    assert win32.CloseHandle(-2)
    thread = duplicate(win32.GetCurrentThread())
    ran: list[int] = []
    assert win32.QueueUserAPC(thread, 3, pfnAPC=ran.append)
    assert win32.SleepEx(0, True) == win32.WAIT_IO_COMPLETION
    assert ran == [3]
    limited = duplicate(win32.GetCurrentThread(), win32.SYNCHRONIZE, 0)
    assert refused(machine, win32.QueueUserAPC, limited, 3, pfnAPC=ran.append) == 5
    assert win32.WaitForSingleObject(win32.GetCurrentProcess(), 0) == win32.WAIT_TIMEOUT
    assert win32.DuplicateHandle(win32.GetCurrentThread(), 0, SAME, lpTargetHandle=None) == (True, None)
    assert win32.WaitForSingleObject(limited, 0) == win32.WAIT_TIMEOUT


def test_handle_of_opens_what_still_exists(machine: ThreadSystem) -> None:
    """`handle_of` opens an object with the rights asked for, and refuses one that is gone with 6."""
    port = new_port()
    found = next(obj for obj in machine.kernel.objects if obj.type_name == "IoCompletion")
    handle = win32.handle_of(found, QUERY)
    assert refused(machine, win32.PostQueuedCompletionStatus, handle, 1, 2, None) == 5
    assert win32.CloseHandle(port)
    assert win32.CloseHandle(handle)
    assert refused(machine, win32.handle_of, found) == 6
