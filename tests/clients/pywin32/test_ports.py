"""win32file on completion ports: association, packets, OVERLAPPED objects that come back."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import pytest

from iocp_emu.compat.pywin32 import pywintypes, win32con, win32event, win32file, winerror


class Task:
    """Something of the program's own that travels with a packet."""

    def __init__(self, number: int) -> None:
        self.number = number


def new_port(threads: int = 0) -> pywintypes.HANDLEType:
    port = win32file.CreateIoCompletionPort(win32file.INVALID_HANDLE_VALUE, None, 0, threads)
    assert isinstance(port, pywintypes.HANDLEType)
    return port


def open_overlapped(path: Path, access: int = win32con.GENERIC_READ) -> pywintypes.HANDLEType:
    flags = win32con.FILE_FLAG_OVERLAPPED
    return win32file.CreateFile(str(path), access, 0, None, win32con.OPEN_ALWAYS, flags, None)


def test_packets_come_back_as_posted() -> None:
    port = new_port()
    win32file.PostQueuedCompletionStatus(port, 3, 99, None)
    win32file.PostQueuedCompletionStatus(port)
    win32file.PostQueuedCompletionStatus(port, -1, -2)
    assert win32file.GetQueuedCompletionStatus(port, -1) == (0, 3, 99, None)
    assert win32file.GetQueuedCompletionStatus(port, 0) == (0, 0, 0, None)
    assert win32file.GetQueuedCompletionStatus(port, 0) == (0, -1, -2, None)


def test_no_packet_is_a_result_and_never_an_error() -> None:
    """Timeout 258, no handle 6, closed meanwhile 735."""
    port = new_port()
    assert win32file.GetQueuedCompletionStatus(port, 0) == (winerror.WAIT_TIMEOUT, 0, 0, None)
    assert win32file.GetQueuedCompletionStatus(12345, 0) == (winerror.ERROR_INVALID_HANDLE, 0, 0, None)
    results: list[object] = []
    number = port.Detach()
    waiter = threading.Thread(target=lambda: results.append(win32file.GetQueuedCompletionStatus(number, -1)))
    waiter.start()
    while waiter.is_alive():
        waiter.join(0.01)
        try:
            win32file.CloseHandle(number)
        except win32file.error:
            break
    waiter.join()
    assert results in ([(735, 0, 0, None)], [(6, 0, 0, None)])


def test_posting_keeps_an_overlapped_and_its_object_alive() -> None:
    port = new_port()
    overlapped = pywintypes.OVERLAPPED()
    overlapped.object = Task(7)
    identity, task = id(overlapped), weakref.ref(overlapped.object)
    win32file.PostQueuedCompletionStatus(port, 0, 99, overlapped)
    del overlapped
    gc.collect()
    rc, count, key, back = win32file.GetQueuedCompletionStatus(port, -1)
    assert isinstance(back, pywintypes.OVERLAPPEDType)
    assert (rc, count, key, id(back)) == (0, 0, 99, identity)
    assert back.object is task()
    del back
    gc.collect()
    assert task() is None


def test_one_overlapped_may_be_posted_several_times() -> None:
    port = new_port()
    overlapped = pywintypes.OVERLAPPED()
    for count in range(3):
        win32file.PostQueuedCompletionStatus(port, count, 0, overlapped)
    for count in range(3):
        assert win32file.GetQueuedCompletionStatus(port, 0) == (0, count, 0, overlapped)


def test_a_post_that_fails_keeps_nothing() -> None:
    overlapped = pywintypes.OVERLAPPED()
    alive = weakref.ref(overlapped)
    with pytest.raises(win32file.error) as caught:
        win32file.PostQueuedCompletionStatus(4, 0, 0, overlapped)
    assert caught.value.args[:2] == (6, "PostQueuedCompletionStatus")
    del overlapped
    caught = None  # type: ignore[assignment]
    gc.collect()
    assert alive() is None


def test_closing_a_port_lets_go_of_what_was_posted() -> None:
    port = new_port()
    overlapped = pywintypes.OVERLAPPED()
    alive = weakref.ref(overlapped)
    win32file.PostQueuedCompletionStatus(port, 0, 0, overlapped)
    del overlapped, port
    gc.collect()
    assert alive() is None


def test_association_gives_back_the_very_object(tmp_path: Path) -> None:
    port = new_port()
    file = open_overlapped(tmp_path / "a", win32con.GENERIC_WRITE)
    assert win32file.CreateIoCompletionPort(file, port, 5, 0) is port
    number = int(port)
    other = open_overlapped(tmp_path / "b", win32con.GENERIC_WRITE)
    assert win32file.CreateIoCompletionPort(other, number, 6, 0) is number
    third = open_overlapped(tmp_path / "c", win32con.GENERIC_WRITE)
    made = win32file.CreateIoCompletionPort(third, None, 7, 1)
    assert isinstance(made, pywintypes.HANDLEType)
    assert made != port


def test_association_is_once(tmp_path: Path) -> None:
    """C-06: 87 for a file that has a port."""
    port = new_port()
    file = open_overlapped(tmp_path / "a", win32con.GENERIC_WRITE)
    win32file.CreateIoCompletionPort(file, port, 5, 0)
    with pytest.raises(win32file.error) as caught:
        win32file.CreateIoCompletionPort(file, port, 5, 0)
    assert caught.value.args == (87, "CreateIoCompletionPort", "The parameter is incorrect.")


def test_the_port_goes_with_its_last_reference(tmp_path: Path) -> None:
    port = new_port()
    file = open_overlapped(tmp_path / "a", win32con.GENERIC_WRITE)
    again = win32file.CreateIoCompletionPort(file, port, 5, 0)
    number = int(port)
    del port
    assert again == number
    del again
    with pytest.raises(win32file.error) as caught:
        win32file.CloseHandle(number)
    assert caught.value.winerror == winerror.ERROR_INVALID_HANDLE


def test_io_brings_back_the_overlapped_that_asked(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    port = new_port()
    file = open_overlapped(path)
    win32file.CreateIoCompletionPort(file, port, 11, 0)
    asked = {}
    for offset in (0, 4, 8):
        overlapped = pywintypes.OVERLAPPED()
        overlapped.Offset = offset
        rc, buffer = win32file.ReadFile(file, 4, overlapped)
        assert rc == winerror.ERROR_IO_PENDING
        overlapped.object = buffer
        asked[overlapped] = offset
    found = {}
    for _ in asked:
        rc, count, key, back = win32file.GetQueuedCompletionStatus(port, -1)
        assert isinstance(back, pywintypes.OVERLAPPEDType)
        assert (rc, key) == (0, 11)
        assert asked[back] == back.Offset
        assert (back.Internal, back.InternalHigh) == (0, count)
        found[back.Offset] = bytes(back.object[:count])
    assert found == {0: b"0123", 4: b"4567", 8: b"89"}


def test_a_failed_operation_is_a_packet_with_its_error(tmp_path: Path) -> None:
    port = new_port()
    file = open_overlapped(tmp_path / "empty", win32con.GENERIC_READ | win32con.GENERIC_WRITE)
    win32file.CreateIoCompletionPort(file, port, 1, 0)
    overlapped = pywintypes.OVERLAPPED()
    win32file.ReadFile(file, win32file.AllocateReadBuffer(10), overlapped)
    assert win32file.GetQueuedCompletionStatus(port, -1) == (winerror.ERROR_HANDLE_EOF, 0, 1, overlapped)
    with pytest.raises(win32file.error) as caught:
        win32file.GetOverlappedResult(file, overlapped, False)
    assert caught.value.args == (38, "GetOverlappedResult", "Reached the end of the file.")


def test_an_overlapped_that_died_in_flight_is_noticed(tmp_path: Path) -> None:
    """pywin32 does not keep an OVERLAPPED alive that I/O uses, and says so when the packet comes."""
    path = tmp_path / "data"
    path.write_bytes(b"x" * 10)
    port = new_port()
    file = open_overlapped(path)
    win32file.CreateIoCompletionPort(file, port, 1, 0)
    win32file.ReadFile(file, 10, pywintypes.OVERLAPPED())
    with pytest.raises(RuntimeError, match="lost all its references"):
        win32file.GetQueuedCompletionStatus(port, -1)
    assert win32file.GetQueuedCompletionStatus(port, 0)[0] == winerror.WAIT_TIMEOUT


def test_an_event_with_its_low_bit_set_suppresses_the_packet(tmp_path: Path) -> None:
    """I-07, by the documented trick."""
    path = tmp_path / "data"
    path.write_bytes(b"quiet")
    port = new_port()
    file = open_overlapped(path)
    win32file.CreateIoCompletionPort(file, port, 1, 0)
    event = win32event.CreateEvent(None, True, False, None)
    overlapped = pywintypes.OVERLAPPED()
    overlapped.hEvent = int(event) | 1
    _, buffer = win32file.ReadFile(file, 5, overlapped)
    assert win32file.GetOverlappedResult(file, overlapped, True) == 5
    assert buffer == b"quiet"
    assert win32file.GetQueuedCompletionStatus(port, 0)[0] == winerror.WAIT_TIMEOUT


def test_workers_share_the_posted_tasks() -> None:
    """Programs post objects through OVERLAPPED.object, and an empty one to end each worker."""
    port, done, lock = new_port(), list[int](), threading.Lock()

    def work() -> None:
        while True:
            rc, _, _, overlapped = win32file.GetQueuedCompletionStatus(port, win32event.INFINITE)
            assert rc == 0
            if overlapped is None:
                return
            assert isinstance(overlapped, pywintypes.OVERLAPPEDType)
            with lock:
                done.append(overlapped.object.number)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(200):
        overlapped = pywintypes.OVERLAPPED()
        overlapped.object = Task(number)
        win32file.PostQueuedCompletionStatus(port, 0, 0, overlapped)
    for _ in workers:
        win32file.PostQueuedCompletionStatus(port, 0, 0, None)
    for worker in workers:
        worker.join()
    assert sorted(done) == list(range(200))


def test_wrong_arguments_are_type_errors() -> None:
    port = new_port()
    for call in (
        lambda: win32file.GetQueuedCompletionStatus("port", 0),
        lambda: win32file.GetQueuedCompletionStatus(port, "0"),
        lambda: win32file.GetQueuedCompletionStatus(port),  # type: ignore[call-arg]
        lambda: win32file.PostQueuedCompletionStatus(port, 0, 0, object()),  # type: ignore[arg-type]
        lambda: win32file.PostQueuedCompletionStatus(port, 0, object()),
        lambda: win32file.CreateIoCompletionPort(-1, None, "key", 0),
        lambda: win32file.GetOverlappedResult(port, None, 0),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(OverflowError):
        win32file.GetQueuedCompletionStatus(port, 0xFFFFFFFF)
