"""Rules I-01 to I-29: overlapped requests up to their result, as far as the kernel decides what becomes of them.

What an operation does is the business of its device; here scripted devices stand for files, pipes and sockets.  Where a
rule is about a call (I-10, I-19, I-29), the flat faces show it on real disk files, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iocp_emu import ntdll, status, win32
from iocp_emu.kernel.file import FileObject, IoMode, NotificationMode, RequestState
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import Alertability
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, XP, Profile
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from tests.rules.devices import (
    BUFFER_OVERFLOW,
    CANCELLED,
    INVALID_PARAMETER,
    PENDING,
    SUCCESS,
    TIMEOUT,
    Bench,
    ByHand,
    Overlapped,
    Socket,
    packet,
    win32_code,
)

NOT_CONNECTED = status.STATUS_INVALID_CONNECTION
REFUSED = status.STATUS_CONNECTION_REFUSED
SKIP_PORT = NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS
SKIP_EVENT = NotificationMode.SKIP_SET_EVENT_ON_HANDLE
SKIP_USER_EVENT = NotificationMode.SKIP_SET_USER_EVENT_ON_FAST_IO


# -- 6.1: when a packet is queued ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_bound", [True, False])
@pytest.mark.parametrize("has_context", [True, False])
@pytest.mark.parametrize("pends", [True, False])
@pytest.mark.parametrize("code", [SUCCESS, BUFFER_OVERFLOW, NOT_CONNECTED])
def test_i01_when_a_packet_is_queued(is_bound: bool, has_context: bool, pends: bool, code: int) -> None:
    """I-01: association, completion context, and either pending or no error at once: all of it, else no packet."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1) if is_bound else bench.file()
    overlapped = Overlapped()
    if pends:
        bench.complete(bench.start(file, overlapped, wants_packet=has_context), code, 2)
    else:
        assert bench.at_once(file, overlapped, code, 2, wants_packet=has_context) == code
    if is_bound and has_context and (pends or code != NOT_CONNECTED):
        assert bench.poll(bench.main, port) == [packet(1, overlapped, code, 2)]
    assert bench.poll(bench.main, port) is TIMEOUT


def test_i02_success_at_once_posts_too() -> None:
    """I-02: the caller sees success and the packet is queued all the same; the association at completion counts."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    assert bench.at_once(file, overlapped, SUCCESS, 2) == SUCCESS
    assert bench.poll(bench.main, port, maximum=8) == [packet(1, overlapped, information=2)]


def test_i03_an_error_at_once_leaves_no_trace() -> None:
    """I-03: no packet, status block and event as they were when the request was issued, and nothing outstanding."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    event = bench.event()
    overlapped = Overlapped()
    assert bench.at_once(file, overlapped, NOT_CONNECTED, 5, event=event) == NOT_CONNECTED
    assert overlapped.result == (PENDING, 0)
    assert (event.signalled, event.references, file.references, len(file.requests)) == (False, 1, 1, 0)
    assert bench.poll(bench.main, port) is TIMEOUT


def test_i04_a_warning_at_once_posts() -> None:
    """I-04: the call looks failed, yet a packet follows, which is a failure as well (G-02)."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    assert bench.at_once(file, overlapped, BUFFER_OVERFLOW, 4) == BUFFER_OVERFLOW
    assert status.is_warning(BUFFER_OVERFLOW)
    (seen,) = bench.poll(bench.main, port)
    assert seen == packet(1, overlapped, BUFFER_OVERFLOW, 4)
    assert (win32_code(seen), overlapped.result) == (234, (BUFFER_OVERFLOW, 4))


@pytest.mark.parametrize("code", [SUCCESS, BUFFER_OVERFLOW, REFUSED, CANCELLED])
@pytest.mark.parametrize("profile", [WIN10, XP])
def test_i05_a_pended_request_posts_exactly_once(code: int, profile: Profile) -> None:
    """I-05: whatever the outcome, one packet and no second; completing again is refused."""
    bench = Bench(profile)
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    bench.complete(request, code, 2)
    assert (file.requests, bench.main.requests) == ({}, {})
    with bench.refused(INVALID_PARAMETER):
        request.complete(code, 2)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, code, 2)]
    with bench.refused(INVALID_PARAMETER):
        request.complete(code, 2)
    assert bench.poll(bench.main, port) is TIMEOUT


def test_i05_an_apc_after_which_the_issuer_has_slept() -> None:
    """I-05: without a port the routine is how a request reports: queued to its issuer, run in an alertable wait."""
    bench = Bench()
    file, _ = bench.file()
    issuer = bench.thread("T1")
    ran: list[tuple[int, int]] = []
    request = bench.start(
        file, Overlapped(), thread=issuer, apc=lambda code, information, block: ran.append((code, information))
    )
    assert bench.wait(issuer, alertability=Alertability.ALERTABLE) is None
    bench.complete(request, BUFFER_OVERFLOW, 4)
    assert bench.collect(issuer) == status.STATUS_USER_APC
    assert issuer.state is ThreadState.RUNNABLE
    bench.run_user_apc(issuer)
    assert ran == [(BUFFER_OVERFLOW, 4)]


def test_i06_marked_pending_and_failed_counts_as_pending() -> None:
    """I-06: the device fails the request before the call returns; the caller sees pending and a packet comes."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    overlapped.begin()
    request = file.start_request(bench.main, overlapped, context=overlapped)
    request.pend()
    bench.complete(request, REFUSED)
    assert request.return_to_caller() == PENDING
    assert bench.poll(bench.main, port) == [packet(1, overlapped, REFUSED)]
    assert overlapped.result == (REFUSED, 0)


def test_i06_a_device_must_pend_or_complete_before_the_call_returns() -> None:
    """I-06: one that completes later without having pended is broken and is told so; nothing changes."""
    bench = Bench()
    file, _ = bench.file()
    request = file.start_request(bench.main, Overlapped())
    request.return_to_caller()
    with bench.refused(INVALID_PARAMETER):
        request.complete(SUCCESS, 0)


def test_i07_the_low_bit_of_the_event_suppresses_the_packet() -> None:
    """I-07: such a request has no completion context; event and status block are delivered at completion."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    event = bench.event()
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped, wants_packet=False, event=event), SUCCESS, 2)
    assert (event.signalled, overlapped.result, port.depth) == (True, (SUCCESS, 2), 0)


def test_i08_an_event_and_a_packet() -> None:
    """I-08: an event without the bit is set, and the packet is queued as well."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    event = bench.event(signalled=True)
    overlapped = Overlapped()
    request = bench.start(file, overlapped, event=event)
    assert (event.signalled, event.references) == (False, 2)
    bench.complete(request, SUCCESS, 2)
    assert (event.signalled, event.references) == (True, 1)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, information=2)]


@pytest.mark.parametrize("pends", [True, False])
def test_i09_without_an_overlapped_there_is_no_packet(pends: bool) -> None:
    """I-09: the file is signalled instead, and the port hears nothing."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    block = Overlapped()
    if pends:
        bench.complete(bench.start(file, block, wants_packet=False), SUCCESS, 2)
    else:
        bench.at_once(file, block, SUCCESS, 2, wants_packet=False)
    assert (block.result, file.signalled, port.depth) == ((SUCCESS, 2), True, 0)


def test_i11_packets_come_in_order_of_completion() -> None:
    """I-11: several requests under one key, told apart by their OVERLAPPED, queued as they complete."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    operations = [Overlapped(f"ov{number}") for number in range(3)]
    requests = [bench.start(file, overlapped) for overlapped in operations]
    for number in (2, 0, 1):
        bench.complete(requests[number], SUCCESS, number)
    assert bench.poll(bench.main, port, maximum=8) == [
        packet(1, operations[number], information=number) for number in (2, 0, 1)
    ]


# -- 6.2: notification modes ---------------------------------------------------------------------------------------


def test_i15_skip_on_success() -> None:
    """I-15: success at once posts nothing but is written and signalled; what pended still posts."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    file.add_modes(SKIP_PORT)
    first, second = Overlapped("ov1"), Overlapped("ov2")
    assert bench.at_once(file, first, SUCCESS, 2) == SUCCESS
    assert (first.result, file.signalled, port.depth) == ((SUCCESS, 2), True, 0)
    bench.complete(bench.start(file, second), SUCCESS, 3)
    assert bench.poll(bench.main, port) == [packet(1, second, information=3)]


def test_i16_skip_on_success_covers_warnings() -> None:
    """I-16: a warning at once posts nothing either; a pended one does."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    file.add_modes(SKIP_PORT)
    overlapped = Overlapped()
    assert bench.at_once(file, overlapped, BUFFER_OVERFLOW, 4) == BUFFER_OVERFLOW
    assert (port.depth, overlapped.result) == (0, (BUFFER_OVERFLOW, 4))
    bench.complete(bench.start(file, overlapped), BUFFER_OVERFLOW, 4)
    assert port.depth == 1


@pytest.mark.parametrize(("mode", "is_signalled"), [(0, True), (SKIP_PORT, True), (SKIP_EVENT, False)])
@pytest.mark.parametrize("pends", [True, False])
def test_i17_skip_set_event_on_handle(mode: int, is_signalled: bool, pends: bool) -> None:
    """I-17: the file object stays unsignalled after completion, an explicit event is set all the same; 4 exists too."""
    bench = Bench()
    file, _ = bench.file()
    event = bench.event()
    file.add_modes(mode | SKIP_USER_EVENT)
    for given in (None, event):
        if pends:
            bench.complete(bench.start(file, Overlapped(), event=given))
        else:
            bench.at_once(file, Overlapped(), SUCCESS, 0, event=given)
        assert bench.is_signalled(file) == (given is None and is_signalled)
    assert event.signalled


def test_i18_modes_only_grow() -> None:
    """I-18: adding nothing changes nothing, unknown bits are accepted and forgotten; a duplicate shares the modes."""
    bench = Bench()
    file, handle = bench.file()
    duplicate = bench.duplicate(handle)
    for added, modes in ((2, 2), (0, 2), (4, 6), (0, 6), (1, 7), (0xDEADBEE8, 7), (0, 7)):
        file.add_modes(added)
        assert file.modes == modes
    assert bench.process.handles.lookup(duplicate, FileObject).modes == 7


@pytest.mark.parametrize("flags", [0, 1, 2, 4])
def test_i19_a_synchronous_file_has_no_modes(flags: int) -> None:
    """I-19: setting them is INVALID_PARAMETER (87), whichever they are."""
    bench = Bench()
    file, _ = bench.file(io_mode=IoMode.SYNCHRONOUS)
    with bench.refused(INVALID_PARAMETER):
        file.add_modes(flags)


@pytest.mark.parametrize("profile", [XP, CLASSIC])
def test_i15_modes_are_missing_before_vista(profile: Profile) -> None:
    """I-15: there the call does not exist, and nothing is set."""
    bench = Bench(profile)
    file, _ = bench.file()
    with bench.refused(status.STATUS_NOT_IMPLEMENTED):
        file.add_modes(SKIP_PORT)


# -- 6.3: the status block -----------------------------------------------------------------------------------------


def test_i25_pending_from_issue_until_the_result_is_written() -> None:
    """I-25: Internal is STATUS_PENDING (0x103), InternalHigh the byte count in the end."""
    bench = Bench()
    file, _ = bench.file()
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    assert (overlapped.status, overlapped.is_pending) == (0x103, True)
    bench.complete(request, SUCCESS, 7)
    assert (overlapped.result, overlapped.is_pending) == ((SUCCESS, 7), False)


@pytest.mark.parametrize("profile", [WIN10, WIN7, XP, CLASSIC, WINE])
@pytest.mark.parametrize("pends", [True, False])
def test_i26_completion_at_once_is_written_before_the_call_returns(profile: Profile, pends: bool) -> None:
    """I-26: on an associated file without an event too, in every system, whatever the call then reports: a disk read
    may be done within the call and be reported as pending, and its result is there to be read (vector gor-01)."""
    bench = Bench(profile)
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    overlapped.begin()
    request = file.start_request(bench.main, overlapped, context=overlapped)
    if pends:
        request.pend()
    bench.complete(request, SUCCESS, 7)
    assert overlapped.result == (SUCCESS, 7)
    assert request.return_to_caller() == (PENDING if pends else SUCCESS)
    assert port.depth == 1


@pytest.mark.parametrize(
    ("profile", "is_late"), [(WIN10, True), (WIN7, True), (XP, False), (CLASSIC, False), (WINE, False)]
)
def test_i27_the_dequeuing_thread_writes_the_status_block(profile: Profile, is_late: bool) -> None:
    """I-27: since Vista a pended request without an event is finished by the dequeue, of whichever thread; the file is
    signalled then, not before."""
    bench = Bench(profile)
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    worker = bench.thread("T1")
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    bench.complete(request, SUCCESS, 7)
    assert port.depth == 1
    assert request.state is (RequestState.COMPLETED if is_late else RequestState.FINISHED)
    assert (overlapped.result, file.signalled) == ((PENDING, 0) if is_late else (SUCCESS, 7), not is_late)
    assert bench.get(worker, port) == [packet(1, overlapped, information=7)]
    assert (overlapped.result, file.signalled) == ((SUCCESS, 7), True)
    assert request.state is RequestState.FINISHED


def test_i27_a_hand_off_is_written_by_the_released_thread() -> None:
    """I-27: handed to a parked thread, the result is written when that thread goes on; a batch writes all its own."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    worker = bench.thread("T1")
    operations = [Overlapped(f"ov{number}") for number in range(3)]
    requests = [bench.start(file, overlapped) for overlapped in operations]
    bench.park(worker, port)
    for request in requests:
        bench.complete(request, SUCCESS, 7)
    assert [overlapped.is_pending for overlapped in operations] == [True] * 3
    assert bench.collect(worker) == [packet(1, operations[0], information=7)]
    assert [overlapped.is_pending for overlapped in operations] == [False, True, True]
    assert len(bench.get(worker, port, maximum=8)) == 2
    assert [overlapped.result for overlapped in operations] == [(SUCCESS, 7)] * 3


def test_i27_the_file_may_be_gone_by_then() -> None:
    """I-27: the block is written at the dequeue although the file object went with the completion."""
    bench = Bench()
    port, _ = bench.port()
    file, handle = bench.bound_file(port, key=1, device=Socket())
    overlapped = Overlapped()
    bench.start(file, overlapped)
    bench.close(handle)
    assert (file.freed, overlapped.is_pending, port.depth) == (True, True, 1)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, CANCELLED)]
    assert overlapped.result == (CANCELLED, 0)


def test_i28_with_an_event_everything_is_written_at_completion() -> None:
    """I-28: status block, event and packet; the dequeue writes nothing more."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    event = bench.event()
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped, event=event), SUCCESS, 7)
    assert (overlapped.result, event.signalled, port.depth) == ((SUCCESS, 7), True, 1)
    overlapped.begin()
    assert len(bench.poll(bench.main, port)) == 1
    assert overlapped.is_pending


def test_i29_the_result_is_read_from_the_status_block() -> None:
    """I-29: what GetOverlappedResult has to go by, block and file object, is final only at the dequeue; a wait on the
    file ends there, and no wait takes a packet."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    watcher = bench.thread("T1")
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped), SUCCESS, 7)
    assert overlapped.is_pending
    assert bench.wait(watcher, [file]) is None
    assert port.depth == 1
    bench.poll(bench.main, port)
    assert bench.collect(watcher) == status.STATUS_WAIT_0
    assert overlapped.result == (SUCCESS, 7)


# -- what only a call can show -------------------------------------------------------------------------------------


@pytest.fixture
def system() -> Iterator[ThreadSystem]:
    """The machine that the flat calls of the test go to."""
    with use(ThreadSystem()) as machine:
        yield machine
        for handle in machine.process.handles.handles():
            win32.CloseHandle(handle)


def disk_file(folder: Path, flags: int) -> int:
    """A handle of a file of ten bytes."""
    path = folder / "ten bytes"
    path.write_bytes(b"0123456789")
    handle = win32.CreateFileW(str(path), win32.GENERIC_READ, win32.FILE_SHARE_READ, win32.OPEN_EXISTING, flags)
    assert handle != win32.INVALID_HANDLE_VALUE
    return handle


def test_i10_an_overlapped_disk_file_needs_an_overlapped(system: ThreadSystem, tmp_path: Path) -> None:
    """I-10: without one the call fails with 87 and posts nothing; a synchronous file works without."""
    overlapped, synchronous = disk_file(tmp_path, win32.FILE_FLAG_OVERLAPPED), disk_file(tmp_path, 0)
    port = win32.CreateIoCompletionPort(overlapped, None, 1, 0)
    buffer = bytearray(4)
    assert not win32.ReadFile(overlapped, buffer, 4, None).ret
    assert win32.GetLastError() == 87
    assert not win32.GetQueuedCompletionStatus(port, 0).ret
    assert win32.ReadFile(synchronous, buffer, 4, None) == (True, 4)
    assert buffer == b"0123"


def test_i19_a_buffer_of_the_wrong_size(system: ThreadSystem, tmp_path: Path) -> None:
    """I-19: a length mismatch, and no mode is set; with the right size a synchronous file is 87 for Win32."""
    handle = disk_file(tmp_path, win32.FILE_FLAG_OVERLAPPED)
    modes = ntdll.FileIoCompletionNotificationInformation
    refused = ntdll.NtSetInformationFile(handle, modes, Flags=1, Length=3)
    assert status.status_name(refused.ret) == "STATUS_INFO_LENGTH_MISMATCH"
    assert ntdll.NtQueryInformationFile(handle, modes).Flags == 0
    assert ntdll.NtSetInformationFile(handle, modes, Flags=1, Length=4).ret == SUCCESS
    assert ntdll.NtQueryInformationFile(handle, modes).Flags == 1
    assert not win32.SetFileCompletionNotificationModes(disk_file(tmp_path, 0), 1)
    assert win32.GetLastError() == 87


def test_i29_the_result_of_a_request_that_waits_for_its_dequeue(system: ThreadSystem) -> None:
    """I-29: GetOverlappedResult says 996 while the packet is queued, and takes no packet; after the dequeue it has the
    result, as often as it is asked."""
    port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 0)
    kernel, handles = system.kernel, system.process.handles
    file = kernel.create_file(ByHand(), IoMode.OVERLAPPED)
    handle = handles.open(file, file.all_access)
    assert win32.CreateIoCompletionPort(handle, port, 1, 0) == port
    overlapped = win32.OVERLAPPED()
    overlapped.begin()
    request = file.start_request(system.current(), overlapped, context=overlapped)
    request.pend()
    request.return_to_caller()
    system.perform(kernel.complete, request, SUCCESS, 7)
    for _ in range(2):
        assert win32.GetOverlappedResult(handle, overlapped, False) == (False, win32.UNTOUCHED)
        assert win32.GetLastError() == 996
        assert not win32.HasOverlappedIoCompleted(overlapped)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 7, 1, overlapped)
    for wait in (False, True):
        assert win32.GetOverlappedResult(handle, overlapped, wait) == (True, 7)
