"""The NT face: ports, wait completion packets, reserves, files and what is set on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import iocp_emu
from iocp_emu import ntdll, status, win32
from iocp_emu.flat.support import filetime_now
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import IO_STATUS_BLOCK, UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, RW, SHARE_ALL, eventually, until_parked

ALL = ntdll.IO_COMPLETION_ALL_ACCESS
NOTHING = (UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED)
SETTING, MODES, REPLACING = 30, 41, 61


@pytest.fixture
def file(machine: ThreadSystem, tmp_path: Path) -> int:
    """An overlapped file of ten bytes."""
    path = tmp_path / "digits"
    path.write_bytes(b"0123456789")
    return win32.CreateFileW(path, RW, SHARE_ALL, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)


def new_port(access: int = ALL, **extra: Any) -> int:
    """A port that must come to be."""
    opened = ntdll.NtCreateIoCompletion(access, 0, **extra)
    assert opened.ret == 0
    assert opened.IoCompletionHandle
    return opened.IoCompletionHandle


def refused(machine: ThreadSystem, call: Any, *args: Any, **kwargs: Any) -> str:
    """A call that must be refused and change nothing; the name of its status."""
    win32.SetLastError(77)
    before = snapshot(machine.kernel)
    answer = call(*args, **kwargs)
    assert snapshot(machine.kernel) == before
    assert win32.GetLastError() == 77
    return status.status_name(answer[0] if isinstance(answer, tuple) else answer).removeprefix("STATUS_")


def depth(port: int) -> Any:
    """How many packets are queued."""
    return ntdll.NtQueryIoCompletion(port, 0).Depth


# -- ports -------------------------------------------------------------------------------------------------------


def test_o01_o05_ports(machine: ThreadSystem) -> None:
    """O-01, O-05, O-24 (ntfile-set-remove): all four values come back intact, whatever the status says."""
    port = new_port()
    assert ntdll.NtRemoveIoCompletion(port, 0) == (status.STATUS_TIMEOUT, *NOTHING)
    assert ntdll.NtSetIoCompletion(port, 123, 456, status.STATUS_INVALID_DEVICE_REQUEST, (1 << 64) - 1) == 0
    assert ntdll.NtQueryIoCompletion(port, 0) == (0, 1, 4)
    assert ntdll.NtRemoveIoCompletion(port, None) == (0, 123, 456, status.STATUS_INVALID_DEVICE_REQUEST, (1 << 64) - 1)
    assert depth(port) == 0
    assert ntdll.NtClose(port) == 0
    assert refused(machine, ntdll.NtClose, port) == "INVALID_HANDLE"


def test_o03_rights(machine: ThreadSystem, file: int) -> None:
    """O-03: query needs its right, set and remove and associate another."""
    reader, writer = new_port(ntdll.GENERIC_READ), new_port(ntdll.IO_COMPLETION_MODIFY_STATE)
    assert ntdll.NtQueryIoCompletion(reader, 0).ret == 0
    assert ntdll.NtQueryIoCompletion(writer, 0) == (status.STATUS_ACCESS_DENIED, UNTOUCHED, 4)
    assert ntdll.NtSetIoCompletion(writer, 1, 2, 3, 4) == 0
    assert refused(machine, ntdll.NtSetIoCompletion, reader, 1, 2, 3, 4) == "ACCESS_DENIED"
    assert refused(machine, ntdll.NtRemoveIoCompletion, reader, 0) == "ACCESS_DENIED"
    assert refused(machine, ntdll.NtRemoveIoCompletionEx, reader, 1, 0, False) == "ACCESS_DENIED"
    assert refused(machine, ntdll.NtSetInformationFile, file, SETTING, Port=reader, Key=1) == "ACCESS_DENIED"


def test_o02_names(machine: ThreadSystem) -> None:
    """O-02: a name finds the object while it has a handle; OPENIF takes what is there and ignores the count."""
    first = new_port(ObjectName="Name")
    create, opener = ntdll.NtCreateIoCompletion, ntdll.NtOpenIoCompletion
    again = create(ALL, 9, ObjectName="Name", Attributes=ntdll.OBJ_OPENIF)
    assert again.ret == status.STATUS_OBJECT_NAME_EXISTS
    port = machine.process.handles.lookup(again.IoCompletionHandle, IoCompletion)
    assert port is machine.process.handles.lookup(first, IoCompletion)
    assert port.concurrency == 2
    assert opener(ALL, "name", Attributes=ntdll.OBJ_CASE_INSENSITIVE).ret == 0
    assert refused(machine, opener, ALL, "name") == "OBJECT_NAME_NOT_FOUND"
    assert refused(machine, create, ALL, 0, ObjectName="Name") == "OBJECT_NAME_COLLISION"
    assert create(ALL, 0, ObjectName="Name") == (status.STATUS_OBJECT_NAME_COLLISION, 0)
    assert win32.CreateEventW(True, False, lpName="event")
    assert refused(machine, opener, ALL, "event") == "OBJECT_TYPE_MISMATCH"
    openif = ntdll.OBJ_OPENIF
    assert refused(machine, create, ALL, 0, ObjectName="event", Attributes=openif) == "OBJECT_TYPE_MISMATCH"
    for call, args in ((create, (ALL, 0)), (opener, (ALL, "Name"))):
        assert refused(machine, call, *args, IoCompletionHandle=None) == "ACCESS_VIOLATION"
    assert refused(machine, opener, ALL, None) == "INVALID_PARAMETER"
    assert refused(machine, opener, ALL, "x" * 40_000) == "OBJECT_NAME_INVALID"
    assert refused(machine, create, ALL, 0, ObjectName="x" * 40_000) == "OBJECT_NAME_INVALID"
    machine.perform(machine.process.handles.close_all)
    assert refused(machine, opener, ALL, "Name") == "OBJECT_NAME_NOT_FOUND"


def test_query_refusals(machine: ThreadSystem) -> None:
    """nt-03: what is wrong is found in this order: class, buffer, length, handle."""
    port = new_port()
    query = ntdll.NtQueryIoCompletion
    assert query(BAD_HANDLE, 1, Information=None, Length=3) == (status.STATUS_INVALID_INFO_CLASS, UNTOUCHED, UNTOUCHED)
    assert query(BAD_HANDLE, 0, Information=None, Length=3) == (status.STATUS_ACCESS_VIOLATION, None, UNTOUCHED)
    for length in (3, 8):
        assert query(BAD_HANDLE, 0, Length=length) == (status.STATUS_INFO_LENGTH_MISMATCH, UNTOUCHED, 4)
    assert query(BAD_HANDLE, 0) == (status.STATUS_INVALID_HANDLE, UNTOUCHED, 4)
    assert query(port, 0, Length=4) == (0, 0, 4)


def test_o08_batches(machine: ThreadSystem) -> None:
    """O-08 (ntfile-ex): as many as there are and fit, oldest first; a zero count is refused."""
    port = new_port()
    for number in range(3):
        assert ntdll.NtSetIoCompletion(port, number, number + 10, number + 20, number + 30) == 0
    batch = ntdll.NtRemoveIoCompletionEx(port, 2, None, False)
    assert batch == (0, 2, ((0, 10, 20, 30), (1, 11, 21, 31)))
    assert refused(machine, ntdll.NtRemoveIoCompletionEx, port, 0, 0, False) == "INVALID_PARAMETER"
    assert ntdll.NtRemoveIoCompletionEx(port, 5, 0, False).NumEntriesRemoved == 1
    assert ntdll.NtRemoveIoCompletionEx(port, 5, 0, False) == (status.STATUS_TIMEOUT, 0, ())
    ran: list[int] = []
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 1, pfnAPC=ran.append)
    assert ntdll.NtRemoveIoCompletion(port, 0).ret == status.STATUS_TIMEOUT
    assert ran == []
    assert ntdll.NtRemoveIoCompletionEx(port, 5, None, True) == (status.STATUS_USER_APC, 0, ())
    assert ran == [1]


@pytest.mark.parametrize("timeout", [0, -1, -50_000, 1])
def test_timeouts_that_end(machine: ThreadSystem, timeout: int) -> None:
    """0 polls, negative counts from now, positive is a FILETIME, here long past."""
    assert ntdll.NtRemoveIoCompletion(new_port(), timeout) == (status.STATUS_TIMEOUT, *NOTHING)


def test_an_absolute_timeout_waits(machine: ThreadSystem) -> None:
    """A FILETIME in the future is waited for."""
    until = filetime_now() + 300_000
    assert ntdll.NtRemoveIoCompletion(new_port(), until).ret == status.STATUS_TIMEOUT
    assert filetime_now() >= until - 10_000


def test_o21_abandoned(machine: ThreadSystem) -> None:
    """O-21: waiters of a port that is closed get ABANDONED_WAIT_0, outputs untouched."""
    port = new_port()
    single = iocp_emu.spawn(ntdll.NtRemoveIoCompletion, port, None)
    batch = iocp_emu.spawn(ntdll.NtRemoveIoCompletionEx, port, 3, None, False)
    until_parked(single.waitable, batch.waitable)
    assert ntdll.NtClose(port) == 0
    assert single.join(30) == (status.STATUS_ABANDONED_WAIT_0, *NOTHING)
    assert batch.join(30) == (status.STATUS_ABANDONED_WAIT_0, 0, ())


# -- reserves and wait packets -----------------------------------------------------------------------------------


def test_o06_reserves(machine: ThreadSystem) -> None:
    """O-06: a reserve carries one packet at a time; without one the call is refused."""
    port, reserve = new_port(), ntdll.NtAllocateReserveObject(1).MemoryReserveHandle
    post = ntdll.NtSetIoCompletionEx
    assert post(port, reserve, 1, 2, 3, 4) == 0
    assert refused(machine, post, port, reserve, 1, 2, 3, 4) == "INVALID_PARAMETER_2"
    assert ntdll.NtRemoveIoCompletion(port, 0) == (0, 1, 2, 3, 4)
    assert post(port, reserve, 5, 6, 7, 8) == 0
    assert refused(machine, post, port, None, 1, 2, 3, 4) == "INVALID_HANDLE"
    assert refused(machine, post, port, port, 1, 2, 3, 4) == "OBJECT_TYPE_MISMATCH"
    assert refused(machine, post, reserve, reserve, 1, 2, 3, 4) == "OBJECT_TYPE_MISMATCH"
    assert refused(machine, ntdll.NtAllocateReserveObject, 2) == "INVALID_PARAMETER"
    assert refused(machine, ntdll.NtAllocateReserveObject, 0) == "NOT_SUPPORTED"


def test_x05_x06_wait_packets(machine: ThreadSystem) -> None:
    """X-05, X-06, M-28: armed, queued, picked up, cancelled; what is in use or no target is refused."""
    port, event = new_port(), win32.CreateEventW(True, False)
    packet = ntdll.NtCreateWaitCompletionPacket(ntdll.GENERIC_ALL).WaitCompletionPacketHandle
    associate, cancel = ntdll.NtAssociateWaitCompletionPacket, ntdll.NtCancelWaitCompletionPacket
    values = (11, 12, status.STATUS_END_OF_FILE, 14)
    assert associate(packet, port, event, *values) == (0, False)
    assert refused(machine, associate, packet, port, event, *values) == "INVALID_PARAMETER_1"
    assert depth(port) == 0
    assert win32.SetEvent(event)
    assert ntdll.NtRemoveIoCompletion(port, 0) == (0, *values)
    assert associate(packet, port, event, *values) == (0, True)
    assert cancel(packet, False) == status.STATUS_PENDING
    assert depth(port) == 1
    assert cancel(packet, True) == 0
    assert depth(port) == 0
    assert cancel(packet, True) == status.STATUS_CANCELLED
    for target in (win32.CreateMutexW(False), port):
        assert refused(machine, associate, packet, port, target, *values) == "INVALID_PARAMETER_3"
    assert refused(machine, associate, packet, event, event, *values) == "OBJECT_TYPE_MISMATCH"
    assert refused(machine, associate, packet, port, BAD_HANDLE, *values) == "INVALID_HANDLE"
    assert refused(machine, cancel, port, True) == "OBJECT_TYPE_MISMATCH"
    assert associate(packet, port, event, *values, AlreadySignaled=None) == (0, None)
    with use(ThreadSystem("win7")):
        assert ntdll.NtCreateWaitCompletionPacket(ALL) == (status.STATUS_NOT_IMPLEMENTED, 0)


# -- files -------------------------------------------------------------------------------------------------------


def test_i09_packets_need_a_context(machine: ThreadSystem, file: int) -> None:
    """I-09 (afd-nullctx): no packet without an ApcContext; the status block tells the result either way."""
    port, buffer = new_port(), bytearray(4)
    assert ntdll.NtSetInformationFile(file, SETTING, Port=port, Key=7) == (0, 0, 0)
    silent = ntdll.NtReadFile(file, None, None, None, buffer, 4, 2)
    assert silent.ret == status.STATUS_PENDING
    eventually(lambda: silent.IoStatusBlock.Status == 0, "the block is written")
    assert silent.IoStatusBlock.Information == 4
    assert buffer == b"2345"
    block = IO_STATUS_BLOCK(1, 2)
    telling = ntdll.NtReadFile(file, None, None, 0x5555, buffer, 4, 8, IoStatusBlock=block)
    assert telling.IoStatusBlock is block
    assert ntdll.NtRemoveIoCompletion(port, -300_000_000) == (0, 7, 0x5555, 0, 2)
    assert (block.Status, block.Information) == (0, 2)
    assert depth(port) == 0


def test_nt_writes(machine: ThreadSystem, file: int, tmp_path: Path) -> None:
    """ByteOffset -1 is the end of the file; an event is set; 1 without an offset on an overlapped file."""
    event = win32.CreateEventW(True, True)
    first = ntdll.NtWriteFile(file, event, None, None, b"abc", 3, 4)
    assert first.ret == status.STATUS_PENDING
    assert win32.WaitForSingleObject(event, 30_000) == 0
    assert (first.IoStatusBlock.Status, first.IoStatusBlock.Information) == (0, 3)
    second = ntdll.NtWriteFile(file, None, None, None, b"Z", 1, -1)
    eventually(lambda: second.IoStatusBlock.Information == 1, "it is written")
    assert (tmp_path / "digits").read_bytes() == b"0123abc789Z"


def test_nt_refusals_leave_block_and_event_alone(machine: ThreadSystem, file: int) -> None:
    """I-03 (ntpipe-event-reset, ntpipe-badevent): nothing is touched by a request that never was."""
    event, block = win32.CreateEventW(True, True), IO_STATUS_BLOCK(1, 2)
    read = ntdll.NtReadFile
    for handle, hevent, buffer, offset, wanted in (
        (BAD_HANDLE, event, bytearray(4), 0, "INVALID_HANDLE"),
        (event, event, bytearray(4), 0, "OBJECT_TYPE_MISMATCH"),
        (file, BAD_HANDLE, bytearray(4), 0, "INVALID_HANDLE"),
        (file, event, bytearray(3), 0, "ACCESS_VIOLATION"),
        (file, event, bytearray(4), None, "INVALID_PARAMETER"),
        (file, event, bytearray(4), -3, "INVALID_PARAMETER"),
    ):
        args = (handle, hevent, None, None, buffer, 4, offset)
        assert refused(machine, read, *args, IoStatusBlock=block) == wanted
        assert (block.Status, block.Information) == (1, 2)
        assert win32.WaitForSingleObject(event, 0) == 0


def test_c16_apc_routines(machine: ThreadSystem, file: int) -> None:
    """C-15, C-16, M-13: a routine gets context and block; with a port it is refused."""
    calls: list[tuple[Any, IO_STATUS_BLOCK]] = []

    def routine(context: Any, block: IO_STATUS_BLOCK) -> None:
        calls.append((context, block))

    started = ntdll.NtReadFile(file, None, routine, 77, bytearray(4), 4, 0)
    assert started.ret == status.STATUS_PENDING
    assert win32.SleepEx(30_000, True) == win32.WAIT_IO_COMPLETION
    assert calls == [(77, started.IoStatusBlock)]
    assert started.IoStatusBlock.Information == 4
    port = new_port()
    assert ntdll.NtSetInformationFile(file, SETTING, Port=port, Key=1).ret == 0
    assert refused(machine, ntdll.NtReadFile, file, None, routine, 77, bytearray(4), 4, 0) == "INVALID_PARAMETER"


def test_setting_and_replacing(machine: ThreadSystem, file: int) -> None:
    """C-05, C-06, C-14, M-27: associate once, replace, remove; a refusal leaves the status block alone."""
    port, other = new_port(), new_port()
    setting = ntdll.NtSetInformationFile
    assert refused(machine, setting, file, SETTING, Port=port, Length=15) == "INFO_LENGTH_MISMATCH"
    assert refused(machine, setting, file, SETTING, Port=None) == "INVALID_HANDLE"
    assert refused(machine, setting, file, SETTING, Port=file) == "OBJECT_TYPE_MISMATCH"
    assert refused(machine, setting, port, SETTING, Port=port) == "OBJECT_TYPE_MISMATCH"
    assert refused(machine, setting, file, 99) == "INVALID_INFO_CLASS"
    assert setting(file, SETTING, Port=port, Key=1, Length=16) == (0, 0, 0)
    assert setting(file, SETTING, Port=port, Key=2) == (status.STATUS_INVALID_PARAMETER, UNTOUCHED, UNTOUCHED)
    assert setting(file, REPLACING, Port=other, Key=2).ret == 0
    assert ntdll.NtReadFile(file, None, None, 5, bytearray(1), 1, 0).ret == status.STATUS_PENDING
    assert ntdll.NtRemoveIoCompletion(other, None).KeyContext == 2
    assert setting(file, REPLACING, Port=None).ret == 0
    assert setting(file, SETTING, Port=port, Key=3).ret == 0


def test_profiles_of_setting(tmp_path: Path) -> None:
    """C-14, nt-08: no replacing before 8.1; Wine writes the status of a refusal into the block."""
    (tmp_path / "file").write_bytes(b"")
    for profile, code, shown in (
        ("win7", status.STATUS_INVALID_INFO_CLASS, UNTOUCHED),
        ("wine", status.STATUS_INVALID_INFO_CLASS, status.STATUS_INVALID_INFO_CLASS),
    ):
        with use(ThreadSystem(profile)) as system:
            handle = win32.CreateFileW(tmp_path / "file", RW, SHARE_ALL, win32.OPEN_EXISTING, 0x40000000)
            assert ntdll.NtSetInformationFile(handle, REPLACING) == (code, shown, UNTOUCHED)
            system.perform(system.process.handles.close_all)


def test_i18_modes(machine: ThreadSystem, file: int) -> None:
    """I-18, I-19: modes are set and queried; lengths and classes are checked."""
    assert ntdll.NtSetInformationFile(file, MODES, Flags=0xDEADBEEE) == (0, 0, 0)
    assert ntdll.NtQueryInformationFile(file, MODES) == (0, 0, 4, 6)
    assert refused(machine, ntdll.NtSetInformationFile, file, MODES, Flags=1, Length=3) == "INFO_LENGTH_MISMATCH"
    assert refused(machine, ntdll.NtQueryInformationFile, file, MODES, Length=3) == "INFO_LENGTH_MISMATCH"
    assert refused(machine, ntdll.NtQueryInformationFile, file, SETTING) == "INVALID_INFO_CLASS"
    assert ntdll.NtQueryInformationFile(BAD_HANDLE, MODES) == (
        status.STATUS_INVALID_HANDLE,
        UNTOUCHED,
        UNTOUCHED,
        UNTOUCHED,
    )


def test_i40_cancelling(machine: ThreadSystem, tmp_path: Path) -> None:
    """I-40 (ntpipe-cancel, ntpipe-dupiosb): by thread, by block, or everything; NOT_FOUND for nothing."""
    flags = win32.FILE_FLAG_OVERLAPPED | win32.FILE_FLAG_BACKUP_SEMANTICS
    directory = win32.CreateFileW(tmp_path, win32.FILE_LIST_DIRECTORY, SHARE_ALL, win32.OPEN_EXISTING, flags)
    block, other = win32.OVERLAPPED(), win32.OVERLAPPED()
    for each in (block, block, other):
        assert win32.ReadDirectoryChangesW(directory, bytearray(64), 64, False, 1, each).ret
    assert ntdll.NtCancelIoFileEx(directory, block) == (0, 0, 0)
    assert (block.Internal, other.Internal) == (status.STATUS_CANCELLED, status.STATUS_PENDING)
    assert refused(machine, ntdll.NtCancelIoFileEx, directory, block) == "NOT_FOUND"
    assert ntdll.NtCancelIoFile(directory) == (0, 0, 0)
    assert other.Internal == status.STATUS_CANCELLED
    assert ntdll.NtCancelIoFile(directory) == (0, 0, 0)
    assert ntdll.NtCancelIoFile(BAD_HANDLE) == (status.STATUS_INVALID_HANDLE, UNTOUCHED, UNTOUCHED)
    assert ntdll.NtCancelIoFileEx(BAD_HANDLE, None) == (status.STATUS_INVALID_HANDLE, UNTOUCHED, UNTOUCHED)


def test_statuses_and_errors(machine: ThreadSystem) -> None:
    """RtlNtStatusToDosError maps a status, also a signed one, and touches nothing (G-10)."""
    assert ntdll.RtlNtStatusToDosError(status.STATUS_CONNECTION_RESET) == 64
    assert ntdll.RtlNtStatusToDosError(status.STATUS_CANCELLED - (1 << 32)) == 995
    assert ntdll.RtlNtStatusToDosError(0) == 0
    assert win32.GetLastError() == 0
