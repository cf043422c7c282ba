"""Completion ports through the Win32 face: creating, associating, posting, dequeuing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iocp_emu
from iocp_emu import ntdll, status, win32
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.profiles import get_profile
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import INVALID_HANDLE_VALUE, UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, PRESET, RW, SHARE_ALL, new_port, refused, until_parked

NOTHING = win32.DequeuedPacket(False, UNTOUCHED, UNTOUCHED, None)


@pytest.fixture
def file(machine: ThreadSystem, tmp_path: Path) -> int:
    """An overlapped file of ten bytes."""
    path = tmp_path / "digits"
    path.write_bytes(b"0123456789")
    return win32.CreateFileW(path, RW, SHARE_ALL, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)


def port_of(system: ThreadSystem, handle: int) -> IoCompletion:
    """The kernel object behind a port handle."""
    return system.process.handles.lookup(handle, IoCompletion)


@pytest.mark.parametrize(("given_value", "limit"), [(0, 2), (1, 1), (0xFFFFFFFF, 0xFFFFFFFF), (-1, 0xFFFFFFFF)])
def test_c01_a_new_port(machine: ThreadSystem, given_value: int, limit: int) -> None:
    """C-01, Q-03, Q-04: INVALID_HANDLE_VALUE and NULL make a port; 0 is the number of processors; 32 bits count."""
    assert port_of(machine, new_port(given_value)).concurrency == limit
    assert win32.CreateIoCompletionPort(-1, 0, 77, 0)


def test_c02_to_c10_refused_associations_change_nothing(machine: ThreadSystem, file: int, tmp_path: Path) -> None:
    """C-02, C-03, C-05 to C-09 (M-05): NULL with 87 or 6, and no object more or less than before."""
    port, event = new_port(), win32.CreateEventW(True, False)
    closed = new_port()
    assert win32.CloseHandle(closed)
    (tmp_path / "sync").write_bytes(b"")
    synchronous = win32.CreateFileW(tmp_path / "sync", RW, SHARE_ALL, win32.OPEN_EXISTING, 0)
    for file_handle, existing, error in (
        (INVALID_HANDLE_VALUE, port, 87),
        (synchronous, None, 87),
        (synchronous, port, 87),
        (closed, port, 6),
        (None, port, 6),
        (BAD_HANDLE, None, 6),
        (event, port, 6),
        (event, None, 6),
        (port, None, 6),
        (file, event, 6),
        (file, closed, 6),
        (file, INVALID_HANDLE_VALUE, 6),
    ):
        call = (file_handle, existing, 1, 0)
        assert refused(machine, win32.CreateIoCompletionPort, *call) == error, call


def test_c04_an_existing_port_is_returned(machine: ThreadSystem, file: int) -> None:
    """C-04, M-06: the port's own handle value comes back, no handle more, and the concurrency value stays."""
    port = new_port(1)
    assert win32.CreateIoCompletionPort(file, port, 5, 8) == port
    assert port_of(machine, port).concurrency == 1
    assert port_of(machine, port).handle_count == 1
    assert refused(machine, win32.CreateIoCompletionPort, file, port, 6, 0) == 87


def test_c03_a_new_port_with_a_file(machine: ThreadSystem, file: int) -> None:
    """C-03: file and NULL give a new port whose packets carry the key; two references: handle and file."""
    port = win32.CreateIoCompletionPort(file, None, 5, 3)
    assert port_of(machine, port).references == 2
    overlapped = win32.OVERLAPPED(Offset=6)
    assert win32.ReadFile(file, bytearray(8), 8, overlapped) == (False, 0)
    assert win32.GetQueuedCompletionStatus(port, win32.INFINITE) == (True, 4, 5, overlapped)


@given(
    count=st.integers(0, 2**32 - 1),
    key=st.integers(0, 2**64 - 1),
    overlapped=st.one_of(st.none(), st.integers(1, 2**64 - 1)),
)
def test_n01_what_is_posted_comes_back(count: int, key: int, overlapped: int | None) -> None:
    """N-01, N-02: bytes, key and overlapped come back bit for bit, and always with TRUE."""
    port = new_port()
    assert win32.PostQueuedCompletionStatus(port, count, key, overlapped)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, count, key, overlapped)
    assert win32.CloseHandle(port)


def test_n01_values_wrap_to_their_width(machine: ThreadSystem) -> None:
    """N-01: a DWORD has 32 bits, a key and a pointer 64; NULL and 0 are the same."""
    port = new_port()
    assert win32.PostQueuedCompletionStatus(port, (1 << 32) + 5, -1, 0)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 5, (1 << 64) - 1, None)


def test_n05_refused_posts(machine: ThreadSystem) -> None:
    """N-05: a bad handle is 6, a missing right 5; nothing is queued."""
    port = new_port()
    reader = win32.DuplicateHandle(port, win32.IO_COMPLETION_QUERY_STATE, 0).lpTargetHandle
    assert refused(machine, win32.PostQueuedCompletionStatus, reader, 1, 2, None) == 5
    assert refused(machine, win32.PostQueuedCompletionStatus, BAD_HANDLE, 1, 2, None) == 6


def test_g02_g06_failed_packets(machine: ThreadSystem) -> None:
    """G-02, G-06, M-23: a failed packet is FALSE with every output set and the mapped error, warnings too."""
    port = new_port()
    for code, error in ((status.STATUS_END_OF_FILE, 38), (status.STATUS_BUFFER_OVERFLOW, 234)):
        assert ntdll.NtSetIoCompletion(port, 5, None, code, 3) == 0
        assert win32.GetQueuedCompletionStatus(port, 0) == (False, 3, 5, None)
        assert win32.GetLastError() == error


def test_g03_g05_nothing_dequeued(machine: ThreadSystem) -> None:
    """G-03, G-05: FALSE with the outputs untouched and lpOverlapped NULL; 258 and 6."""
    port = new_port()
    for handle, timeout, error in ((port, 0, 258), (port, 1, 258), (None, 0, 6), (BAD_HANDLE, 0, 6), (-1, 0, 6)):
        win32.SetLastError(PRESET)
        assert win32.GetQueuedCompletionStatus(handle, timeout) == NOTHING
        assert win32.GetLastError() == error


def test_g04_o21_closed_while_waiting(machine: ThreadSystem) -> None:
    """G-04, O-21: every waiter of a port that is closed returns FALSE with 735, single and batch alike."""
    port = new_port()

    def single() -> tuple[object, int]:
        return win32.GetQueuedCompletionStatus(port, win32.INFINITE), win32.GetLastError()

    def batch() -> tuple[object, int]:
        return win32.GetQueuedCompletionStatusEx(port, 4, 60_000, True), win32.GetLastError()

    waiters = iocp_emu.spawn(single), iocp_emu.spawn(batch)
    until_parked(*(waiter.waitable for waiter in waiters))
    assert win32.CloseHandle(port)
    assert waiters[0].join() == (NOTHING, 735)
    assert waiters[1].join() == ((False, 0, ()), 735)
    assert refused(machine, win32.GetQueuedCompletionStatus, port, win32.INFINITE) == 6


@pytest.mark.parametrize("pointer", ["lpNumberOfBytesTransferred", "lpCompletionKey", "lpOverlapped"])
def test_a_null_output_takes_no_packet(machine: ThreadSystem, pointer: str) -> None:
    """NULL for an output pointer is 998, and the packet stays."""
    port = new_port()
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    null = {pointer: None}
    assert refused(machine, win32.GetQueuedCompletionStatus, port, 0, **null) == 998
    assert win32.GetQueuedCompletionStatus(port, 0).ret


def test_g20_to_g26_batches(machine: ThreadSystem) -> None:
    """G-20, G-21, G-23, G-24, G-26: the oldest entries, TRUE with failures in them; 87, 998, 258 and 6 otherwise."""
    port = new_port()
    overlapped = win32.OVERLAPPED()
    assert win32.PostQueuedCompletionStatus(port, 1, 2, overlapped)
    assert ntdll.NtSetIoCompletion(port, 3, 4, status.STATUS_CANCELLED, (1 << 32) + 6) == 0
    take = win32.GetQueuedCompletionStatusEx
    assert refused(machine, take, port, 0, 0, False) == 87
    assert refused(machine, take, BAD_HANDLE, 1, 0, False) == 6
    assert refused(machine, take, port, 8, 0, False, lpCompletionPortEntries=None) == 998
    assert refused(machine, take, port, 8, 0, False, ulNumEntriesRemoved=None) == 998
    batch = take(port, 8, 0, False)
    assert batch.entries == ((2, overlapped, 0, 1), (3, 4, status.STATUS_CANCELLED, 6))
    assert batch.entries[0].lpOverlapped is overlapped
    assert (batch.ret, batch.ulNumEntriesRemoved) == (True, 2)
    win32.SetLastError(PRESET)
    assert win32.GetQueuedCompletionStatusEx(port, 8, 0, False) == (False, 0, ())
    assert win32.GetLastError() == 258


def test_g12_to_g14_apcs(machine: ThreadSystem) -> None:
    """G-12 to G-14, O-07: a stranger's APC comes before a packet, an associated thread's after; Ex runs it, 192."""
    port, ran = new_port(), list[int]()
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 1, pfnAPC=ran.append)
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert win32.GetQueuedCompletionStatusEx(port, 4, 0, True) == (False, 0, ())
    assert (win32.GetLastError(), ran) == (192, [1])
    assert win32.GetQueuedCompletionStatus(port, 0).ret
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 2, pfnAPC=ran.append)
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert win32.GetQueuedCompletionStatusEx(port, 4, 0, True).ret
    assert ran == [1]
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    assert ran == [1]
    assert not win32.GetQueuedCompletionStatusEx(port, 4, win32.INFINITE, True).ret
    assert ran == [1, 2]


def test_q07_waiters_are_released_last_in_first_out(machine: ThreadSystem) -> None:
    """Q-07: of three parked threads the last one gets the first packet."""
    port = new_port(3)
    waiters: list[iocp_emu.SpawnedThread[win32.DequeuedPacket]] = []
    for _ in range(3):
        waiters.append(iocp_emu.spawn(win32.GetQueuedCompletionStatus, port, win32.INFINITE))
        until_parked(waiters[-1].waitable)
    for key in (1, 2, 3):
        assert win32.PostQueuedCompletionStatus(port, 0, key, None)
    assert [waiter.join().lpCompletionKey for waiter in waiters] == [3, 2, 1]


def test_the_profile_is_that_of_the_machine(machine: ThreadSystem) -> None:
    """O-25: the face follows the profile of the system in use: on XP a close wakes nobody."""
    with use(ThreadSystem("xp")) as old:
        assert old.kernel.profile == get_profile("xp")
        port = new_port()
        waiter = iocp_emu.spawn(lambda: (win32.GetQueuedCompletionStatus(port, 200), win32.GetLastError()))
        until_parked(waiter.waitable)
        assert win32.CloseHandle(port)
        assert waiter.join() == (NOTHING, 258)
