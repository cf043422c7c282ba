"""Rules C-01 to C-10 and C-16 as only the call itself can show them: CreateIoCompletionPort on real disk files.

Each test has a machine of its own; what a refused call leaves behind is looked up in its kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import status, win32
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import FileObject
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem

BOGUS = 0xDEADBEEC
SOME_ERROR = 4711
OpenFile = Callable[..., int]


@pytest.fixture
def system() -> Iterator[ThreadSystem]:
    """The machine that the calls of the test go to."""
    with use(ThreadSystem(processors=3)) as machine:
        win32.SetLastError(SOME_ERROR)
        yield machine
        for handle in machine.process.handles.handles():
            win32.CloseHandle(handle)


@pytest.fixture
def open_file(system: ThreadSystem, tmp_path: Path) -> OpenFile:
    """Opens a disk file of ten bytes; overlapped unless `flags` says otherwise."""
    path = tmp_path / "ten bytes"
    path.write_bytes(b"0123456789")

    def opened(flags: int = win32.FILE_FLAG_OVERLAPPED) -> int:
        access = win32.GENERIC_READ | win32.GENERIC_WRITE
        share = win32.FILE_SHARE_READ | win32.FILE_SHARE_WRITE
        handle = win32.CreateFileW(str(path), access, share, win32.OPEN_EXISTING, flags)
        assert handle != win32.INVALID_HANDLE_VALUE
        win32.SetLastError(SOME_ERROR)
        return handle

    return opened


def new_port(concurrency: int = 0) -> int:
    """A port alone."""
    handle = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, concurrency)
    assert handle != win32.NULL
    return handle


def the_port(system: ThreadSystem, handle: int) -> IoCompletion:
    """The port behind a handle."""
    return system.process.handles.lookup(handle, IoCompletion)


def check_refused(system: ThreadSystem, error: int, *arguments: Any) -> None:
    """The call returns NULL with this last error, and nothing at all has changed: no port is left behind."""
    before = snapshot(system.kernel), system.process.handles.handles()
    win32.SetLastError(SOME_ERROR)
    assert win32.CreateIoCompletionPort(*arguments) == win32.NULL
    assert win32.GetLastError() == error
    assert (snapshot(system.kernel), system.process.handles.handles()) == before


def read(file: int, overlapped: win32.OVERLAPPED, count: int = 4) -> None:
    """Start a read whose packet is still to come."""
    assert not win32.ReadFile(file, bytearray(count), count, overlapped).ret
    assert win32.GetLastError() == status.ERROR_IO_PENDING


def check_next_packet(port: int, key: int, overlapped: win32.OVERLAPPED, count: int = 4) -> None:
    """The packet of such a read."""
    assert win32.GetQueuedCompletionStatus(port, 10_000) == (True, count, key, overlapped)


@pytest.mark.parametrize(("asked", "concurrency"), [(0, 3), (5, 5), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_c01_a_port_alone(system: ThreadSystem, asked: int, concurrency: int) -> None:
    """C-01: a new port with the given number, or the machine's processors; the key means nothing; no error is set."""
    handle = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 99, asked)
    port = the_port(system, handle)
    assert (port.concurrency, port.references, port.handle_count, port.depth) == (concurrency, 1, 1, 0)
    assert win32.GetLastError() == SOME_ERROR
    assert win32.GetQueuedCompletionStatus(handle, 0).ret is False
    assert win32.GetLastError() == status.WAIT_TIMEOUT


def test_c02_no_file_and_a_port(system: ThreadSystem) -> None:
    """C-02: NULL and 87; the port is as good as before."""
    port = new_port()
    check_refused(system, 87, win32.INVALID_HANDLE_VALUE, port, 1, 0)
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 1, 2, None)


def test_c03_a_file_and_no_port(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-03: a new port, with the association and the number given."""
    file = open_file()
    port = win32.CreateIoCompletionPort(file, None, 7, 2)
    assert (the_port(system, port).concurrency, the_port(system, port).references) == (2, 2)
    overlapped = win32.OVERLAPPED()
    read(file, overlapped)
    check_next_packet(port, 7, overlapped)


def test_c03_no_port_is_left_behind_when_the_association_fails(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-03: a synchronous file, one that is bound already, and no file at all leave no new port."""
    port = new_port()
    bound = open_file()
    assert win32.CreateIoCompletionPort(bound, port, 1, 0) == port
    check_refused(system, 87, open_file(flags=0), None, 1, 0)
    check_refused(system, 87, bound, None, 1, 0)
    check_refused(system, 6, BOGUS, None, 1, 0)


def test_c04_the_same_handle_comes_back(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-04: an association returns the port's own handle value: no handle more, no close owed; n is ignored."""
    handle = new_port(concurrency=1)
    port = the_port(system, handle)
    assert win32.CreateIoCompletionPort(open_file(), handle, 8, 8) == handle
    assert (port.concurrency, port.queue.maximum_count, port.handle_count, port.references) == (1, 1, 1, 2)
    assert win32.GetLastError() == SOME_ERROR
    assert win32.CloseHandle(handle)
    assert port.is_closed
    assert not win32.CloseHandle(handle)


def test_c05_a_synchronous_file(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-05: 87, with a port or without one."""
    port, file = new_port(), open_file(flags=0)
    check_refused(system, 87, file, port, 1, 0)
    check_refused(system, 87, file, None, 1, 0)


def test_c06_a_file_that_has_a_port(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-06: 87 for the same port, another one, or none, whatever the key, also through a duplicate; the first holds."""
    port, other, file = new_port(), new_port(), open_file()
    assert win32.CreateIoCompletionPort(file, port, 1, 0) == port
    duplicate = win32.DuplicateHandle(file, 0, win32.DUPLICATE_SAME_ACCESS).lpTargetHandle
    for handle in (file, duplicate):
        for target, key in ((port, 1), (port, 2), (other, 1), (None, 1)):
            check_refused(system, 87, handle, target, key, 0)
    overlapped = win32.OVERLAPPED()
    read(file, overlapped)
    check_next_packet(port, 1, overlapped)


def test_c07_c08_no_file_behind_the_handle(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-07: 6 for a closed, a bogus and a NULL handle.  C-08: 6 for an event, and for a port in place of the file."""
    port, other = new_port(), new_port()
    closed = open_file()
    win32.CloseHandle(closed)
    event = win32.CreateEventW(True, False)
    for handle in (closed, BOGUS, win32.NULL, None, event, other):
        for target in (port, None):
            check_refused(system, 6, handle, target, 1, 0)


def test_c08_a_handle_of_something_else_keeps_its_object(system: ThreadSystem) -> None:
    """C-08: the type mismatch of the kernel maps to 6; a port is no file for itself either."""
    port = new_port()
    check_refused(system, 6, port, port, 1, 0)
    assert the_port(system, port).references == 1


def test_c09_no_port_behind_the_handle(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-09: 6 for a closed handle, an event and the file itself; afterwards a good port is accepted."""
    file, closed = open_file(), new_port()
    win32.CloseHandle(closed)
    for target in (closed, BOGUS, win32.CreateEventW(True, False), file):
        check_refused(system, 6, file, target, 1, 0)
    good = new_port()
    assert win32.CreateIoCompletionPort(file, good, 1, 0) == good


def test_c10_a_port_handle_without_modify_state(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-10: 5, and the file stays free for a handle that has the right."""
    port, file = new_port(), open_file()
    poor = win32.DuplicateHandle(port, win32.IO_COMPLETION_QUERY_STATE | win32.SYNCHRONIZE, 0).lpTargetHandle
    check_refused(system, 5, file, poor, 1, 0)
    assert win32.CreateIoCompletionPort(file, port, 1, 0) == port


def test_c13_neither_changed_nor_removed(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-13: no call of this function undoes an association, not even after the port was closed; the file's end does."""
    first, second, file = new_port(), new_port(), open_file()
    port = the_port(system, first)
    assert win32.CreateIoCompletionPort(file, first, 1, 0) == first
    win32.CloseHandle(first)
    for target in (second, None):
        check_refused(system, 87, file, target, 2, 0)
    assert not port.freed
    win32.CloseHandle(file)
    assert port.freed


def test_c16_no_completion_routine_on_an_associated_file(system: ThreadSystem, open_file: OpenFile) -> None:
    """C-16: ReadFileEx and WriteFileEx fail with 87, and nothing is queued."""
    port, file = new_port(), open_file()
    assert win32.CreateIoCompletionPort(file, port, 1, 0) == port
    for call in (win32.ReadFileEx, win32.WriteFileEx):
        win32.SetLastError(SOME_ERROR)
        assert not call(file, bytearray(4), 4, win32.OVERLAPPED(), lambda *_: None)
        assert win32.GetLastError() == 87
    assert the_port(system, port).depth == 0
    assert not system.process.handles.lookup(file, FileObject).requests


def test_m05_refused_associations_in_one_sequence(system: ThreadSystem, open_file: OpenFile) -> None:
    """M-05 (C-02, C-03, C-05, C-07 to C-09), whole, with real files: every refusal leaves every count as it was."""
    port, file, synchronous = new_port(), open_file(), open_file(flags=0)
    closed_file, closed_port = open_file(), new_port()
    win32.CloseHandle(closed_file)
    win32.CloseHandle(closed_port)
    event = win32.CreateEventW(True, False)
    for arguments, error in (
        ((win32.INVALID_HANDLE_VALUE, port, 0, 0), 87),
        ((synchronous, None, 0, 0), 87),
        ((synchronous, port, 0, 0), 87),
        ((closed_file, port, 0, 0), 6),
        ((event, port, 0, 0), 6),
        ((file, event, 0, 0), 6),
        ((file, closed_port, 0, 0), 6),
    ):
        check_refused(system, error, *arguments)


def test_m06_the_existing_port_is_returned(system: ThreadSystem, open_file: OpenFile) -> None:
    """M-06 (C-04, Q-04), whole: n = 8 is ignored, P's handle value and handle count stay."""
    handle = new_port(concurrency=1)
    port = the_port(system, handle)
    assert win32.CreateIoCompletionPort(open_file(), handle, 0, 8) == handle
    assert (port.queue.maximum_count, port.handle_count) == (1, 1)
