"""Chapter 4 and 5 as the flat calls show them: return value, outputs written or left alone, the last error.

What the kernel decides is in `test_get_rules.py` and `test_post_rules.py`; here is what is added on the way out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import iocp_emu
from iocp_emu import ntdll, status, win32
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.invariants import check
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import UNTOUCHED

PRESET = 0xBADC0DE
"""A last error that no call sets."""
DEADLINE_SECONDS = 30.0
CANCELLED = status.STATUS_CANCELLED


@pytest.fixture(autouse=True)
def machine() -> Iterator[ThreadSystem]:
    """A machine of its own, whose invariants hold at the end."""
    with use(ThreadSystem(processors=2)) as system:
        win32.SetLastError(PRESET)
        yield system
        system.perform(check, system.kernel)


@pytest.fixture
def port() -> int:
    """A port of limit 1."""
    handle = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 1)
    assert handle
    return handle


def get(port: int | None, milliseconds: int = 0) -> tuple[Any, ...]:
    """GetQueuedCompletionStatus: (return value, bytes, key, overlapped, last error), from a preset last error."""
    win32.SetLastError(PRESET)
    return (*win32.GetQueuedCompletionStatus(port, milliseconds), win32.GetLastError())


def get_many(port: int | None, milliseconds: int = 0, count: int = 8, alertable: bool = False) -> tuple[Any, ...]:
    """GetQueuedCompletionStatusEx: (return value, number, entries, last error), from a preset last error."""
    win32.SetLastError(PRESET)
    return (*win32.GetQueuedCompletionStatusEx(port, count, milliseconds, alertable), win32.GetLastError())


@pytest.mark.parametrize("overlapped", [None, 0x1234])
def test_g01_success_is_true_and_leaves_the_last_error(port: int, overlapped: int | None) -> None:
    """G-01: with NULL for the overlapped too, if it was posted so."""
    assert win32.PostQueuedCompletionStatus(port, 7, 5, overlapped)
    assert get(port) == (True, 7, 5, overlapped, PRESET)


@pytest.mark.parametrize(("code", "error"), [(CANCELLED, 995), (status.STATUS_BUFFER_OVERFLOW, 234)])
def test_g02_a_failed_packet_is_false_with_every_output(port: int, code: int, error: int) -> None:
    """G-02: errors and warnings alike, mapped to Win32."""
    assert ntdll.NtSetIoCompletion(port, 5, 0x1234, code, 7) == status.STATUS_SUCCESS
    assert get(port) == (False, 7, 5, 0x1234, error)


def test_g03_a_timeout_touches_nothing_but_the_overlapped(port: int) -> None:
    """G-03: FALSE, overlapped NULL, 258; polled or waited for."""
    assert get(port) == (False, UNTOUCHED, UNTOUCHED, None, 258)
    assert get(port, 1) == (False, UNTOUCHED, UNTOUCHED, None, 258)


@pytest.mark.parametrize("call", [get, get_many])
def parked_call(machine: ThreadSystem, port: int, call: Any) -> iocp_emu.SpawnedThread[tuple[Any, ...]]:
    """The call with an infinite timeout, in a thread of its own that is parked by now."""
    waiters = machine.process.handles.lookup(port, IoCompletion).queue.waiters
    thread = iocp_emu.spawn(call, port, win32.INFINITE)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not waiters:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return thread


@pytest.mark.parametrize("call", [get, get_many])
def test_g04_closed_while_waiting(machine: ThreadSystem, port: int, call: Any) -> None:
    """G-04: FALSE and 735, outputs as for a timeout."""
    thread = parked_call(machine, port, call)
    assert win32.CloseHandle(port)
    nothing = (False, UNTOUCHED, UNTOUCHED, None, 735) if call is get else (False, 0, (), 735)
    assert thread.join(DEADLINE_SECONDS) == nothing


def test_g05_a_bad_handle(port: int) -> None:
    """G-05: closed, never opened, NULL, or of another kind: 6."""
    event = win32.CreateEventW(True, False)
    win32.CloseHandle(port)
    for handle in (port, 0x40001234, None, event):
        assert get(handle) == (False, UNTOUCHED, UNTOUCHED, None, 6)
        assert get_many(handle) == (False, 0, (), 6)


def test_g06_a_failed_packet_without_overlapped_looks_like_nothing(port: int) -> None:
    """G-06: only bytes and key, which are set, tell it from a call that dequeued nothing."""
    assert ntdll.NtSetIoCompletion(port, 5, None, CANCELLED, 7) == status.STATUS_SUCCESS
    assert get(port) == (False, 7, 5, None, 995)


def test_g07_a_finite_time_is_waited_out(port: int) -> None:
    """G-07: in milliseconds, and not less."""
    started = time.monotonic()
    assert get(port, 30)[-1] == 258
    assert time.monotonic() - started >= 0.030


def test_g07_infinity_waits_for_the_packet(machine: ThreadSystem, port: int) -> None:
    """G-07: however late it comes."""
    thread = parked_call(machine, port, get)
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert thread.join(DEADLINE_SECONDS) == (True, 1, 2, None, PRESET)


def test_g12_an_apc_has_run_when_the_call_returns(port: int) -> None:
    """G-12: FALSE with 192 and no entries; a plain call leaves it pending (G-11)."""
    ran: list[int] = []
    assert get(port)[-1] == 258
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 9, pfnAPC=ran.append)
    assert get(port)[-1] == 258
    assert get_many(port, alertable=False)[-1] == 258
    assert ran == []
    assert get_many(port, alertable=True) == (False, 0, (), 192)
    assert ran == [9]


def test_g23_failures_in_a_batch_are_true(port: int) -> None:
    """G-23: the statuses are in the entries, the last error is left alone."""
    assert win32.PostQueuedCompletionStatus(port, 1, 2, 3)
    assert ntdll.NtSetIoCompletion(port, 4, 5, CANCELLED, 6) == status.STATUS_SUCCESS
    done, number, entries, error = get_many(port)
    assert (done, number, error) == (True, 2, PRESET)
    assert [tuple(entry) for entry in entries] == [(2, 3, 0, 1), (4, 5, CANCELLED, 6)]


def test_g24_room_for_nothing(port: int) -> None:
    """G-24: 87, and the packet stays."""
    assert win32.PostQueuedCompletionStatus(port, 1, 2, 3)
    assert get_many(port, count=0) == (False, 0, (), 87)
    assert get(port)[0]


def test_g25_a_failed_batch_has_no_entries(port: int) -> None:
    """G-25: the count is unspecified on Windows; here it is 0."""
    assert get_many(port) == (False, 0, (), 258)


def test_g26_the_fields_of_an_entry(port: int) -> None:
    """G-26: key, overlapped, internal, bytes, under their Win32 names."""
    assert win32.PostQueuedCompletionStatus(port, 1, 2, 3)
    ((entry,),) = (get_many(port)[2],)
    assert (entry.lpCompletionKey, entry.lpOverlapped, entry.Internal, entry.dwNumberOfBytesTransferred) == (2, 3, 0, 1)


def test_n02_a_post_arrives_as_a_success(port: int) -> None:
    """N-02: post(0, 0, NULL) is TRUE with NULL (M-23)."""
    assert win32.PostQueuedCompletionStatus(port, 0, 0, None)
    assert get(port) == (True, 0, 0, None, PRESET)
