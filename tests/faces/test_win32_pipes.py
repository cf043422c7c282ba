"""Named and anonymous pipes through the Win32 face, and their control codes through the NT face."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import iocp_emu
from iocp_emu import ntdll, status, win32
from iocp_emu.profiles import PROFILES, WIN10
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import IO_STATUS_BLOCK, OVERLAPPED, UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, PRESET, RW, failing, new_port, refused, until_parked

NAME = r"\\.\pipe\test"
OVERLAPPED_DUPLEX = win32.PIPE_ACCESS_DUPLEX | win32.FILE_FLAG_OVERLAPPED
MESSAGES = win32.PIPE_TYPE_MESSAGE | win32.PIPE_READMODE_MESSAGE
INVALID = win32.INVALID_HANDLE_VALUE
PENDING = status.ERROR_IO_PENDING


def serve(
    open_mode: int = OVERLAPPED_DUPLEX, pipe_mode: int = 0, *, name: str = NAME, instances: int = 255, **extra: Any
) -> int:
    """A new instance, which must come to be."""
    size = extra.pop("size", 4096)
    handle = win32.CreateNamedPipeW(name, open_mode, pipe_mode, instances, size, size, **extra)
    assert handle != INVALID, win32.GetLastError()
    assert win32.GetLastError() == 0
    return handle


def open_(name: str = NAME, access: int = RW, flags: int = win32.FILE_FLAG_OVERLAPPED) -> int:
    """A client; INVALID_HANDLE_VALUE when there is none."""
    return win32.CreateFileW(name, access, 0, win32.OPEN_EXISTING, flags)


def pair(
    pipe_mode: int = 0,
    open_mode: int = OVERLAPPED_DUPLEX,
    flags: int = win32.FILE_FLAG_OVERLAPPED,
    **extra: Any,
) -> tuple[int, int]:
    """Both ends of a connected pipe; of a message pipe both read messages."""
    server = serve(open_mode, pipe_mode, **extra)
    client = open_(flags=flags)
    assert client != INVALID
    if pipe_mode & win32.PIPE_READMODE_MESSAGE:
        assert win32.SetNamedPipeHandleState(client, win32.PIPE_READMODE_MESSAGE)
    return server, client


def write(handle: int, data: bytes) -> tuple[bool, int | None]:
    """WriteFile without an OVERLAPPED."""
    return win32.WriteFile(handle, data, len(data), None)


def read(handle: int, size: int = 64) -> tuple[bool, bytes]:
    """ReadFile without an OVERLAPPED."""
    buffer = bytearray(size)
    found = win32.ReadFile(handle, buffer, size, None)
    return found.ret, bytes(buffer[: found.lpNumberOfBytesRead or 0])


# -- creating and opening ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((None, OVERLAPPED_DUPLEX, 0, 1, 0, 0), 3),
        (("test", OVERLAPPED_DUPLEX, 0, 1, 0, 0), 123),
        (("\\\\.\\pipe\\", OVERLAPPED_DUPLEX, 0, 1, 0, 0), 123),
        ((NAME, win32.FILE_FLAG_OVERLAPPED, 0, 1, 0, 0), 87),
        ((NAME, OVERLAPPED_DUPLEX | 0x10, 0, 1, 0, 0), 87),
        ((NAME, OVERLAPPED_DUPLEX, 0x10, 1, 0, 0), 87),
        ((NAME, OVERLAPPED_DUPLEX, win32.PIPE_READMODE_MESSAGE, 1, 0, 0), 87),
        ((NAME, OVERLAPPED_DUPLEX, 0, 0, 0, 0), 87),
        ((NAME, OVERLAPPED_DUPLEX, 0, 256, 0, 0), 87),
    ],
)
def test_pipes_that_cannot_be(machine: ThreadSystem, arguments: Any, error: int) -> None:
    """CreateNamedPipeW: 3 without a name, 123 for a bad one, 87 for bad modes and numbers; nothing comes of it."""
    assert refused(machine, win32.CreateNamedPipeW, *arguments) == error
    assert failing(open_) == 2


def test_instances_and_clients(machine: ThreadSystem) -> None:
    """5 for a second first instance or another kind, 231 for one too many, server or client; 2 once all are gone."""
    first = serve(OVERLAPPED_DUPLEX | win32.FILE_FLAG_FIRST_PIPE_INSTANCE, instances=2)
    again = (NAME, OVERLAPPED_DUPLEX | win32.FILE_FLAG_FIRST_PIPE_INSTANCE, 0, 2, 0, 0)
    assert refused(machine, win32.CreateNamedPipeW, *again) == 5
    assert refused(machine, win32.CreateNamedPipeW, NAME, OVERLAPPED_DUPLEX, MESSAGES, 2, 0, 0) == 5
    assert refused(machine, win32.CreateNamedPipeW, NAME, win32.PIPE_ACCESS_INBOUND, 0, 2, 0, 0) == 5
    second = serve(instances=2)
    assert refused(machine, win32.CreateNamedPipeW, NAME, OVERLAPPED_DUPLEX, 0, 2, 0, 0) == 231
    clients = [open_("//./PIPE/Test"), open_("\\\\?\\pipe\\TEST")]
    assert INVALID not in clients
    assert refused(machine, open_) == 231
    assert win32.CloseHandle(first)
    assert win32.CloseHandle(second)
    assert refused(machine, open_) == 2


@pytest.mark.parametrize(
    ("way", "client_access", "refused_access"),
    [
        (win32.PIPE_ACCESS_INBOUND, win32.GENERIC_WRITE, win32.GENERIC_READ),
        (win32.PIPE_ACCESS_OUTBOUND, win32.GENERIC_READ, win32.GENERIC_WRITE),
    ],
)
def test_one_way_pipes(machine: ThreadSystem, way: int, client_access: int, refused_access: int) -> None:
    """5 for a client that asks for the other way, and for a call that would go there."""
    server = serve(way | win32.FILE_FLAG_OVERLAPPED)
    assert refused(machine, open_, access=RW) == refused(machine, open_, access=refused_access) == 5
    client = open_(access=client_access)
    reader, writer = (server, client) if way == win32.PIPE_ACCESS_INBOUND else (client, server)
    assert write(writer, b"x") == (True, 1)
    assert read(reader) == (True, b"x")
    assert refused(machine, write, reader, b"x") == refused(machine, read, writer) == 5
    assert refused(machine, win32.PeekNamedPipe, writer) == 5
    assert refused(machine, win32.TransactNamedPipe, client, b"", 0, bytearray(), 0, None) == 5
    assert refused(machine, win32.SetNamedPipeHandleState, reader, 0) == 5
    assert win32.SetNamedPipeHandleState(writer, 0)


def test_c05_c16_pipes_and_ports(machine: ThreadSystem) -> None:
    """C-05: a synchronous end has no port; C-16, ntfile-apc-invalid: no completion routine on an associated one."""
    port = new_port()
    synchronous, overlapped = pair(0, win32.PIPE_ACCESS_DUPLEX)
    assert refused(machine, win32.CreateIoCompletionPort, synchronous, port, 1, 0) == 87
    assert win32.CreateIoCompletionPort(overlapped, port, 1, 0) == port
    assert failing(win32.ReadFileEx, overlapped, bytearray(4), 4, OVERLAPPED(), lambda *_: None) == 87


@pytest.mark.parametrize("profile", [*PROFILES, replace(WIN10, port_excludes_apc=False)])
def test_c16_on_pipes_in_every_profile(profile: Any) -> None:
    """C-16: ntfile-apc-invalid: what Wine takes on disk files it refuses on pipes, as everybody does."""
    with use(ThreadSystem(profile)):
        server, _ = pair()
        assert win32.CreateIoCompletionPort(server, new_port(), 1, 0)
        assert failing(win32.ReadFileEx, server, bytearray(4), 4, OVERLAPPED(), lambda *_: None) == 87
        assert failing(win32.WriteFileEx, server, b"x", 1, OVERLAPPED(), lambda *_: None) == 87


# -- connecting ----------------------------------------------------------------------------------------------------


def test_connecting(machine: ThreadSystem) -> None:
    """I-03, table 6.6: 997 and a packet; 535, 232 and 1 without; the OVERLAPPED says pending (k32pipe-notconn)."""
    port = new_port()
    server = serve()
    assert win32.CreateIoCompletionPort(server, port, 7, 0)
    listening = OVERLAPPED()
    assert failing(win32.ConnectNamedPipe, server, listening) == PENDING
    assert listening.Internal == status.STATUS_PENDING
    assert failing(win32.GetQueuedCompletionStatus, port, 0) == 258
    client = open_()
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 0, 7, listening)
    late = OVERLAPPED()
    assert failing(win32.ConnectNamedPipe, server, late) == 535
    assert (late.Internal, late.InternalHigh) == (status.STATUS_PENDING, 0)
    assert refused(machine, win32.ConnectNamedPipe, BAD_HANDLE, None) == 6
    assert failing(win32.ConnectNamedPipe, client, None) == failing(win32.DisconnectNamedPipe, client) == 1
    assert win32.CloseHandle(client)
    assert failing(win32.ConnectNamedPipe, server, late) == 232
    assert win32.DisconnectNamedPipe(server)
    assert failing(win32.DisconnectNamedPipe, server) == 233
    assert failing(win32.ConnectNamedPipe, server, late) == PENDING
    assert failing(win32.DisconnectNamedPipe, server) == 536
    assert failing(win32.GetQueuedCompletionStatus, port, 0) == 258


def test_disconnecting(machine: ThreadSystem) -> None:
    """k32pipe-notconn: both ends get 233, the OVERLAPPED says pending, the count is 0; no packet (I-03)."""
    server, client = pair()
    assert write(client, b"lost") == (True, 4)
    assert win32.DisconnectNamedPipe(server)
    for end in (server, client):
        overlapped = OVERLAPPED(InternalHigh=5)
        win32.SetLastError(PRESET)
        assert win32.ReadFile(end, bytearray(4), 4, overlapped) == (False, 0)
        assert win32.GetLastError() == 233
        assert (overlapped.Internal, overlapped.InternalHigh) == (status.STATUS_PENDING, 5)
        assert failing(write, end, b"x") == 233


@pytest.mark.parametrize("open_mode", [OVERLAPPED_DUPLEX, win32.PIPE_ACCESS_DUPLEX])
def test_q23_connecting_without_an_overlapped_waits(machine: ThreadSystem, open_mode: int) -> None:
    """Q-23: on either kind of end the call returns TRUE when a client has come; the thread is blocked meanwhile."""
    server = serve(open_mode)
    worker = iocp_emu.spawn(win32.ConnectNamedPipe, server, None)
    until_parked(worker.waitable)
    assert open_() != INVALID
    assert worker.join() is True


def test_waiting_for_an_instance(machine: ThreadSystem) -> None:
    """WaitNamedPipeW: 2, 3, 121; TRUE when one is free or becomes free; nDefaultTimeOut is the default."""
    assert refused(machine, win32.WaitNamedPipeW, NAME, 0) == 2
    assert refused(machine, win32.WaitNamedPipeW, "test", 0) == 3
    server = serve(nDefaultTimeOut=1)
    assert win32.WaitNamedPipeW(NAME, win32.NMPWAIT_NOWAIT)
    client = open_()
    assert failing(win32.WaitNamedPipeW, NAME, win32.NMPWAIT_USE_DEFAULT_WAIT) == 121
    assert failing(win32.WaitNamedPipeW, NAME, win32.NMPWAIT_NOWAIT) == 121
    worker = iocp_emu.spawn(win32.WaitNamedPipeW, NAME, win32.NMPWAIT_WAIT_FOREVER)
    until_parked(worker.waitable)
    assert win32.CloseHandle(client)
    assert win32.DisconnectNamedPipe(server)
    assert failing(win32.ConnectNamedPipe, server, OVERLAPPED()) == PENDING
    assert worker.join() is True


# -- reading and writing -------------------------------------------------------------------------------------------


def test_i10_an_overlapped_end_without_an_overlapped(machine: ThreadSystem) -> None:
    """I-10: the call waits on the file; no packet comes of it (I-09)."""
    port = new_port()
    server, client = pair()
    assert win32.CreateIoCompletionPort(server, port, 1, 0)
    worker = iocp_emu.spawn(read, server)
    until_parked(worker.waitable)
    assert write(client, b"hello") == (True, 5)
    assert worker.join() == (True, b"hello")
    assert failing(win32.GetQueuedCompletionStatus, port, 0) == 258


@pytest.mark.parametrize("open_mode", [OVERLAPPED_DUPLEX, win32.PIPE_ACCESS_DUPLEX])
def test_i04_part_of_a_message(machine: ThreadSystem, open_mode: int) -> None:
    """I-04, M-14: k32pipe-moredata: FALSE, 234; the count only without an OVERLAPPED, else it is in that."""
    server, client = pair(MESSAGES, open_mode)
    write(client, b"0123456789")
    win32.SetLastError(PRESET)
    assert read(server, 3) == (False, b"012")
    assert win32.GetLastError() == 234
    overlapped = OVERLAPPED()
    win32.SetLastError(PRESET)
    assert win32.ReadFile(server, bytearray(4), 4, overlapped) == (False, 0)
    assert win32.GetLastError() == 234
    assert (overlapped.Internal, overlapped.InternalHigh) == (status.STATUS_BUFFER_OVERFLOW, 4)
    win32.SetLastError(PRESET)
    assert win32.GetOverlappedResult(server, overlapped, True) == (False, 4)
    assert win32.GetLastError() == 234
    assert read(server) == (True, b"789")


def test_completion_routines(machine: ThreadSystem) -> None:
    """ReadFileEx and WriteFileEx: routines run at an alertable wait; part of a message is TRUE with last error 234."""
    server, client = pair(MESSAGES)
    ran: list[tuple[int, int]] = []

    def routine(error: int, count: int, _: OVERLAPPED) -> None:
        ran.append((error, count))

    buffer = bytearray(4)
    assert win32.ReadFileEx(server, buffer, 4, OVERLAPPED(), routine)
    assert win32.WriteFileEx(client, b"ab", 2, OVERLAPPED(), routine)
    assert win32.SleepEx(0, True) == win32.WAIT_IO_COMPLETION
    assert (ran, bytes(buffer[:2])) == ([(0, 2), (0, 2)], b"ab")
    write(client, b"012345")
    win32.SetLastError(PRESET)
    assert win32.ReadFileEx(server, buffer, 4, OVERLAPPED(), routine)
    assert win32.GetLastError() == 234
    assert win32.SleepEx(0, True) == win32.WAIT_IO_COMPLETION
    assert ran[-1] == (234, 4)


def test_i29_the_handle_as_an_event(machine: ThreadSystem) -> None:
    """ntpipe-signal: fresh signalled, a request clears it, its end without an event signals it, with one does not."""
    server, client = pair()
    event = win32.CreateEventW(True, False)

    def signalled(handle: int) -> bool:
        return win32.WaitForSingleObject(handle, 0) == win32.WAIT_OBJECT_0

    assert signalled(server)
    plain = OVERLAPPED()
    win32.ReadFile(server, bytearray(4), 4, plain)
    assert not signalled(server)
    write(client, b"x")
    assert signalled(server)
    assert win32.GetOverlappedResult(server, plain, True) == (True, 1)
    win32.ReadFile(server, bytearray(4), 4, OVERLAPPED(hEvent=event))
    write(client, b"x")
    assert (signalled(server), signalled(event)) == (False, True)


def test_flushing(machine: ThreadSystem) -> None:
    """FlushFileBuffers waits until the other end has read everything; 109 when that will not happen."""
    server, client = pair()
    assert win32.FlushFileBuffers(client)
    write(client, b"hello")
    worker = iocp_emu.spawn(win32.FlushFileBuffers, client)
    until_parked(worker.waitable)
    assert read(server) == (True, b"hello")
    assert worker.join() is True
    write(client, b"hello")

    def flush() -> tuple[bool, int]:
        return win32.FlushFileBuffers(client), win32.GetLastError()

    worker2 = iocp_emu.spawn(flush)
    until_parked(worker2.waitable)
    assert win32.CloseHandle(server)
    assert worker2.join() == (False, 109)


def test_cancelling_a_blocked_call(machine: ThreadSystem) -> None:
    """ntpipe-synccancel: the blocked call ends with 995; an asynchronous request is not found; 1168."""
    server, client = pair(0, win32.PIPE_ACCESS_DUPLEX)
    results: list[tuple[bool, int, int]] = []
    overlapped = OVERLAPPED(InternalHigh=5)

    def blocked() -> None:
        done = win32.ReadFile(server, bytearray(4), 4, overlapped)
        results.append((done.ret, win32.GetLastError(), overlapped.InternalHigh))

    worker = iocp_emu.spawn(blocked)
    until_parked(worker.waitable)
    handle = win32.handle_of(worker.waitable)
    assert win32.CancelSynchronousIo(handle)
    worker.join()
    assert results == [(False, 995, 5)]
    win32.ReadFile(client, bytearray(4), 4, OVERLAPPED())
    assert refused(machine, win32.CancelSynchronousIo, win32.GetCurrentThread()) == 1168
    assert refused(machine, win32.CancelSynchronousIo, BAD_HANDLE) == 6
    assert ntdll.NtCancelSynchronousIoFile(win32.GetCurrentThread()).ret == status.STATUS_NOT_FOUND


def test_anonymous_pipes(machine: ThreadSystem) -> None:
    """CreatePipe: what goes in comes out; 109 after the writer is closed, 232 after the reader is."""
    created, reader, writer = win32.CreatePipe()
    assert created
    assert isinstance(reader, int)
    assert isinstance(writer, int)
    assert write(writer, b"hello") == (True, 5)
    assert read(reader, 3) == (True, b"hel")
    assert refused(machine, write, reader, b"x") == refused(machine, read, writer) == 5
    assert win32.CloseHandle(writer)
    assert read(reader) == (True, b"lo")
    assert failing(read, reader) == 109
    _, reader, writer = win32.CreatePipe(nSize=16)
    assert isinstance(reader, int)
    assert isinstance(writer, int)
    assert win32.GetNamedPipeInfo(writer) == (True, 0, 16, 16, 1)
    assert win32.CloseHandle(reader)
    assert failing(write, writer, b"x") == 232


# -- modes, information, peeking -----------------------------------------------------------------------------------


def test_information(machine: ThreadSystem) -> None:
    """GetNamedPipeInfo, GetNamedPipeHandleStateW and the process ids, on both ends."""
    server = win32.CreateNamedPipeW(NAME, OVERLAPPED_DUPLEX, MESSAGES | win32.PIPE_NOWAIT, 3, 100, 200)
    assert refused(machine, win32.GetNamedPipeClientProcessId, server) == 1168
    client = open_()
    serve(pipe_mode=MESSAGES)
    assert win32.GetNamedPipeInfo(server) == (True, win32.PIPE_SERVER_END | win32.PIPE_TYPE_MESSAGE, 100, 200, 3)
    assert win32.GetNamedPipeInfo(client) == (True, win32.PIPE_CLIENT_END | win32.PIPE_TYPE_MESSAGE, 100, 200, 3)
    assert win32.GetNamedPipeHandleStateW(server) == (True, win32.PIPE_READMODE_MESSAGE | win32.PIPE_NOWAIT, 2)
    assert win32.GetNamedPipeHandleStateW(client) == (True, 0, 2)
    for end in (server, client):
        assert win32.GetNamedPipeClientProcessId(end) == (True, os.getpid())
        assert win32.GetNamedPipeServerProcessId(end) == (True, os.getpid())
    assert failing(read, server) == 232
    assert win32.SetNamedPipeHandleState(server, None)
    assert win32.GetNamedPipeHandleStateW(server).lpState == win32.PIPE_READMODE_MESSAGE | win32.PIPE_NOWAIT
    assert refused(machine, win32.SetNamedPipeHandleState, server, 4) == 87


def test_what_is_no_pipe(machine: ThreadSystem, tmp_path: Any) -> None:
    """87 and 1 on a file, 6 on an event and on no handle."""
    file = win32.CreateFileW(tmp_path / "file", RW, 0, win32.CREATE_NEW, 0)
    event = win32.CreateEventW(True, False)
    calls: list[tuple[Callable[..., object], int]] = [
        (lambda handle: win32.SetNamedPipeHandleState(handle, 0), 87),
        (win32.GetNamedPipeHandleStateW, 87),
        (win32.GetNamedPipeInfo, 87),
        (win32.GetNamedPipeServerProcessId, 87),
        (win32.PeekNamedPipe, 1),
        (win32.DisconnectNamedPipe, 1),
        (lambda handle: win32.ConnectNamedPipe(handle, None), 1),
        (lambda handle: win32.TransactNamedPipe(handle, b"", 0, None, 0, None), 1),
    ]
    for call, error in calls:
        assert failing(call, file) == error
        assert failing(call, event) == failing(call, BAD_HANDLE) == 6


def test_peeking(machine: ThreadSystem) -> None:
    """PeekNamedPipe: data, bytes in all, and what is left of the message; 109, 230, 233 as the state has it.

    C-17: it is a request: the file is signalled when it has ended, unless it was refused.
    """
    server, client = pair(MESSAGES)
    assert win32.PeekNamedPipe(server) == (True, 0, 0, 0)
    write(client, b"hello")
    write(client, b"world!")
    assert win32.PeekNamedPipe(server) == (True, 0, 11, 5)
    buffer = bytearray(8)
    assert win32.PeekNamedPipe(server, buffer, 2) == (True, 2, 11, 3)
    assert win32.PeekNamedPipe(server, buffer, 8) == (True, 5, 11, 0)
    assert bytes(buffer) == b"hello\0\0\0"
    assert win32.CloseHandle(client)
    assert win32.PeekNamedPipe(server).ret
    assert win32.WaitForSingleObject(server, 0) == 0
    read(server)
    read(server)
    assert failing(win32.PeekNamedPipe, server) == 109
    assert win32.PeekNamedPipe(server) == (False, UNTOUCHED, UNTOUCHED, UNTOUCHED)
    assert win32.DisconnectNamedPipe(server)
    assert failing(win32.PeekNamedPipe, server) == 230
    assert win32.WaitForSingleObject(server, 0) == 258


def test_i28_a_synchronous_end_is_signalled_after_each_operation(machine: ThreadSystem) -> None:
    """I-28: the wait inside the call spends nothing of it; a refused operation leaves it unsignalled."""
    server = serve()
    client = win32.CreateFileW(NAME, RW, 0, win32.OPEN_EXISTING, 0)
    for _ in range(2):
        assert win32.WriteFile(client, b"abc", 3, OVERLAPPED()).ret
        assert win32.WaitForSingleObject(client, 0) == 0
    assert win32.CloseHandle(server)
    assert not win32.WriteFile(client, b"abc", 3, OVERLAPPED()).ret
    assert win32.WaitForSingleObject(client, 0) == 258


@pytest.mark.parametrize("event", [1, 2, 3])
def test_i07_the_low_bit_is_no_event(machine: ThreadSystem, event: int) -> None:
    """I-07: hEvent with nothing but the bits that handles ignore is no NULL, and no handle either: 6, no packet."""
    server, client = pair()
    port = new_port()
    assert win32.CreateIoCompletionPort(server, port, 1, 0)
    overlapped = OVERLAPPED(hEvent=event)
    assert failing(win32.ReadFile, server, bytearray(4), 4, overlapped) == 6
    assert failing(win32.GetOverlappedResult, server, overlapped, True) == 6
    write(client, b"x")
    assert win32.GetQueuedCompletionStatus(port, 0).lpOverlapped is None


def test_peeking_at_bytes(machine: ThreadSystem) -> None:
    """A byte pipe has no message of which something could be left."""
    server, client = pair()
    write(client, b"hello")
    assert win32.PeekNamedPipe(server, bytearray(2), 2) == (True, 2, 5, 0)


# -- transactions --------------------------------------------------------------------------------------------------


def test_transactions(machine: ThreadSystem) -> None:
    """k32pipe-transact: overlapped, waiting, and with an answer that is too long."""
    port = new_port()
    server, client = pair(MESSAGES)
    assert win32.CreateIoCompletionPort(client, port, 1, 0)
    answer, overlapped = bytearray(16), OVERLAPPED()
    win32.SetLastError(PRESET)
    assert win32.TransactNamedPipe(client, b"question", 8, answer, 16, overlapped) == (False, 0)
    assert win32.GetLastError() == PENDING
    assert read(server) == (True, b"question")
    write(server, b"answer")
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 6, 1, overlapped)
    assert bytes(answer[:6]) == b"answer"

    def transact() -> tuple[win32.Transacted, int]:
        win32.SetLastError(PRESET)
        return win32.TransactNamedPipe(client, b"again", 5, answer, 3, None), win32.GetLastError()

    worker = iocp_emu.spawn(transact)
    until_parked(worker.waitable)
    write(server, b"longer")
    assert worker.join() == ((False, 3), 234)
    assert read(client) == (True, b"ger")
    write(server, b"unread")
    busy = OVERLAPPED()
    assert failing(win32.TransactNamedPipe, client, b"x", 1, answer, 16, busy) == PENDING
    win32.SetLastError(PRESET)
    assert win32.GetQueuedCompletionStatus(port, 0) == (False, 0, 1, busy)
    assert win32.GetLastError() == 231
    assert failing(win32.TransactNamedPipe, client, b"x", 1, answer, 16, None) == 231


def test_calling(machine: ThreadSystem) -> None:
    """CallNamedPipeW: opens, asks, reads and closes, waiting for a free instance; 2 and 121."""
    answer = bytearray(16)
    assert refused(machine, win32.CallNamedPipeW, NAME, b"x", 1, answer, 16, 0) == 2
    server, client = pair(MESSAGES)
    assert failing(win32.CallNamedPipeW, NAME, b"x", 1, answer, 16, win32.NMPWAIT_NOWAIT) == 121
    worker = iocp_emu.spawn(win32.CallNamedPipeW, NAME, b"question", 8, answer, 16, win32.NMPWAIT_WAIT_FOREVER)
    until_parked(worker.waitable)
    assert win32.CloseHandle(client)
    assert win32.DisconnectNamedPipe(server)
    assert win32.ConnectNamedPipe(server, None)
    assert read(server) == (True, b"question")
    write(server, b"answer")
    assert worker.join() == (True, 6)
    assert bytes(answer[:6]) == b"answer"
    assert failing(read, server) == 109


# -- control codes -------------------------------------------------------------------------------------------------


def test_control_codes(machine: ThreadSystem) -> None:
    """DeviceIoControl: FSCTL_PIPE_LISTEN pends and brings its packet; unknown codes are 1; the counts."""
    port = new_port()
    server = serve()
    assert win32.CreateIoCompletionPort(server, port, 1, 0)
    overlapped = OVERLAPPED()
    win32.SetLastError(PRESET)
    assert win32.DeviceIoControl(server, win32.FSCTL_PIPE_LISTEN, overlapped) == (False, 0)
    assert win32.GetLastError() == PENDING
    open_()
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 0, 1, overlapped)
    assert win32.DeviceIoControl(server, win32.FSCTL_PIPE_LISTEN, overlapped) == (False, UNTOUCHED)
    assert win32.GetLastError() == 535
    assert failing(win32.DeviceIoControl, server, 0x110018, None) == 1
    assert win32.DeviceIoControl(server, win32.FSCTL_PIPE_DISCONNECT, None) == (True, 0)
    assert failing(win32.GetQueuedCompletionStatus, port, 0) == 258


def test_nt_control_codes(machine: ThreadSystem) -> None:
    """ntpipe-listen, ntpipe-connected: the status block is untouched while pending and by an immediate error."""
    server = serve()
    event = win32.CreateEventW(True, True)
    block = IO_STATUS_BLOCK(7, 7)

    def listen() -> int:
        return ntdll.NtFsControlFile(
            server, event, None, None, ntdll.FSCTL_PIPE_LISTEN, None, 0, None, 0, IoStatusBlock=block
        ).ret

    assert (listen(), block.Status, block.Information) == (status.STATUS_PENDING, 7, 7)
    assert win32.WaitForSingleObject(event, 0) == win32.WAIT_TIMEOUT
    open_()
    assert (block.Status, block.Information) == (0, 0)
    assert win32.WaitForSingleObject(event, 0) == win32.WAIT_OBJECT_0
    block = IO_STATUS_BLOCK(7, 7)
    assert (listen(), block.Status) == (status.STATUS_PIPE_CONNECTED, 7)
    assert win32.WaitForSingleObject(event, 0) == win32.WAIT_TIMEOUT


def test_nt_peek(machine: ThreadSystem) -> None:
    """FSCTL_PIPE_PEEK: state, bytes, messages, length of the first, then data; a warning when that is cut."""
    server, client = pair(MESSAGES)
    write(client, b"hello")
    write(client, b"!")
    target = bytearray(16 + 3)

    def peek(size: int) -> tuple[int, int]:
        found = ntdll.NtFsControlFile(server, None, None, None, ntdll.FSCTL_PIPE_PEEK, None, 0, target, size)
        return found.ret, found.IoStatusBlock.Information

    assert peek(19) == (status.STATUS_BUFFER_OVERFLOW, 19)
    assert struct.unpack("<IIII3s", target) == (3, 6, 2, 5, b"hel")
    assert peek(15) == (status.STATUS_INVALID_PARAMETER, 0)
    read(server)
    assert peek(19) == (0, 17)
    assert win32.DisconnectNamedPipe(server)
    assert peek(19) == (status.STATUS_INVALID_PIPE_STATE, 0)
    assert peek(19)[1] == 0


def test_nt_reads(machine: ThreadSystem) -> None:
    """ntpipe-read-immediate-error, ntpipe-event-reset: block untouched, event reset and not set; 6 leaves it alone."""
    server, client = pair()
    event = win32.CreateEventW(True, True)
    block = IO_STATUS_BLOCK(7, 7)
    assert ntdll.NtReadFile(BAD_HANDLE, event, None, None, bytearray(4), 4, None, IoStatusBlock=block).ret == 0xC0000008
    assert win32.WaitForSingleObject(event, 0) == win32.WAIT_OBJECT_0
    bad = ntdll.NtReadFile(server, BAD_HANDLE, None, None, bytearray(4), 4, None, IoStatusBlock=block)
    assert (bad.ret, block.Status) == (status.STATUS_INVALID_HANDLE, 7)
    assert win32.CloseHandle(client)
    broken = ntdll.NtReadFile(server, event, None, None, bytearray(4), 4, None, IoStatusBlock=block)
    assert (broken.ret, block.Status, block.Information) == (status.STATUS_PIPE_BROKEN, 7, 7)
    assert win32.WaitForSingleObject(event, 0) == win32.WAIT_TIMEOUT
