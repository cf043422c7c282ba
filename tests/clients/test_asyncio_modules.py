"""`_overlapped`, `_winapi` and `msvcrt`: CPython's names, shapes and errors (clients.md 1 to 4)."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import status
from iocp_emu.compat import msvcrt_module as msvcrt
from iocp_emu.compat import overlapped_module as overlapped
from iocp_emu.compat import winapi_module as winapi
from iocp_emu.compat.hooks import hook_sockets, unhook_sockets
from iocp_emu.compat.overlapped_module import Overlapped
from iocp_emu.compat.processes import CREATE_NEW_PROCESS_GROUP, Popen, windows_subprocess
from iocp_emu.runtime.ambient import current_system

SECONDS = 30
MILLISECONDS = SECONDS * 1000
_names = itertools.count()


@pytest.fixture
def port() -> Iterator[int]:
    """A completion port."""
    handle = overlapped.CreateIoCompletionPort(overlapped.INVALID_HANDLE_VALUE, 0, 0, 0)
    yield handle
    winapi.CloseHandle(handle)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a duplex byte pipe, overlapped: the server's and the client's."""
    server, client = make_pipe()
    yield server, client
    for handle in (server, client):
        try:
            winapi.CloseHandle(handle)
        except OSError:
            pass


def make_pipe(kind: int = 0) -> tuple[int, int]:
    """A connected pipe of its own name."""
    name = rf"\\.\pipe\iocp-emu-test-{os.getpid()}-{next(_names)}"
    mode = winapi.PIPE_ACCESS_DUPLEX | winapi.FILE_FLAG_OVERLAPPED | winapi.FILE_FLAG_FIRST_PIPE_INSTANCE
    server = winapi.CreateNamedPipe(name, mode, kind, 1, 100, 100, 0, 0)
    client = overlapped.ConnectPipe(name)
    return server, client


def code_of(action: Any, *arguments: Any) -> int:
    """The `winerror` with which a call fails."""
    with pytest.raises(OSError, match=r"\[WinError") as caught:
        action(*arguments)
    error: Any = caught.value
    code: int = error.winerror
    assert str(caught.value).startswith(f"[WinError {code}] ")
    assert caught.value.args == (caught.value.errno, caught.value.strerror)
    return code


# -- ports and waits ---------------------------------------------------------------------------------------------


def test_ports(port: int) -> None:
    """Post, dequeue and time out; a bad handle is 6, a second association 87."""
    assert overlapped.GetQueuedCompletionStatus(port, 0) is None
    overlapped.PostQueuedCompletionStatus(port, 5, 6, 7)
    assert overlapped.GetQueuedCompletionStatus(port, 0) == (0, 5, 6, 7)
    overlapped.PostQueuedCompletionStatus(port, 0, 0, 0)
    assert overlapped.GetQueuedCompletionStatus(port, MILLISECONDS) == (0, 0, 0, 0)
    assert code_of(overlapped.GetQueuedCompletionStatus, port + 4000, 0) == 6
    assert code_of(overlapped.PostQueuedCompletionStatus, port + 4000, 0, 0, 0) == 6
    with socket.socket() as sock:
        assert overlapped.CreateIoCompletionPort(sock.fileno(), port, 1, 0) == port
        assert code_of(overlapped.CreateIoCompletionPort, sock.fileno(), port, 1, 0) == 87


def test_registered_waits(port: int) -> None:
    """Signalled: 0 bytes; timed out: 1 byte; at once when it is signalled; takes an auto-reset event; one shot."""
    manual = overlapped.CreateEvent(None, True, False, None)
    auto = overlapped.CreateEvent(None, False, True, None)
    first = overlapped.RegisterWaitWithQueue(auto, port, 0x100, winapi.INFINITE)
    assert overlapped.GetQueuedCompletionStatus(port, 0) == (0, 0, 0, 0x100)
    assert winapi.WaitForSingleObject(auto, 0) == winapi.WAIT_TIMEOUT
    start = time.monotonic()
    second = overlapped.RegisterWaitWithQueue(manual, port, 0x200, 30)
    assert overlapped.GetQueuedCompletionStatus(port, MILLISECONDS) == (0, 1, 0, 0x200)
    assert time.monotonic() - start >= 0.03
    third = overlapped.RegisterWaitWithQueue(manual, port, 0x300, MILLISECONDS)
    overlapped.SetEvent(manual)
    overlapped.SetEvent(manual)
    assert overlapped.GetQueuedCompletionStatus(port, 0) == (0, 0, 0, 0x300)
    assert overlapped.GetQueuedCompletionStatus(port, 0) is None
    for wait in (first, second, third):
        overlapped.UnregisterWait(wait)
        assert code_of(overlapped.UnregisterWait, wait) == 6
    assert code_of(overlapped.UnregisterWait, manual) == 6
    assert code_of(overlapped.RegisterWaitWithQueue, 12, port, 0, 0) == 6
    winapi.CloseHandle(auto)
    winapi.CloseHandle(manual)


def test_unregistered_waits_bring_nothing(port: int) -> None:
    """UnregisterWaitEx signals its event at once, whether the wait is over or not, and nothing is queued later."""
    event = overlapped.CreateEvent(None, True, False, None)
    done = overlapped.CreateEvent(None, True, False, None)
    wait = overlapped.RegisterWaitWithQueue(event, port, 0x100, 20)
    overlapped.UnregisterWaitEx(wait, done)
    assert winapi.WaitForSingleObject(done, 0) == winapi.WAIT_OBJECT_0
    overlapped.SetEvent(event)
    assert overlapped.GetQueuedCompletionStatus(port, 50) is None
    overlapped.ResetEvent(done)
    wait = overlapped.RegisterWaitWithQueue(event, port, 0x200, 20)
    overlapped.UnregisterWaitEx(wait, done)
    assert winapi.WaitForSingleObject(done, 0) == winapi.WAIT_OBJECT_0
    assert overlapped.GetQueuedCompletionStatus(port, 0) == (0, 0, 0, 0x200)
    winapi.CloseHandle(event)
    winapi.CloseHandle(done)


def test_a_wait_outlives_its_port() -> None:
    """N-07: whatever fires when the port is closed reaches nobody, and nothing breaks."""
    port = overlapped.CreateIoCompletionPort(overlapped.INVALID_HANDLE_VALUE, 0, 0, 0)
    event = overlapped.CreateEvent(None, True, False, None)
    waits = [overlapped.RegisterWaitWithQueue(event, port, 1, ms) for ms in (1, winapi.INFINITE)]
    winapi.CloseHandle(port)
    time.sleep(0.02)
    overlapped.SetEvent(event)
    for wait in waits:
        overlapped.UnregisterWait(wait)
    winapi.CloseHandle(event)


def test_events_and_texts() -> None:
    """`ValueError` for attributes; FormatMessage."""
    with pytest.raises(ValueError, match="EventAttributes must be None"):
        overlapped.CreateEvent({}, True, False, None)  # type: ignore[arg-type]
    assert overlapped.FormatMessage(6) == "The handle is invalid."
    assert overlapped.FormatMessage(123456) == "unknown error code 123456"
    assert code_of(winapi.CloseHandle, 0x7FFFFFF0) == 6
    assert code_of(winapi.WaitForSingleObject, 0x7FFFFFF0, 0) == 6
    with pytest.raises(ValueError, match="at most 63"):
        winapi.WaitForMultipleObjects([0] * 64, False, 0)


# -- Overlapped --------------------------------------------------------------------------------------------------


def test_life_of_an_operation(pipe: tuple[int, int]) -> None:
    """clients.md 2: before, while pending, and after; one operation for each object; results are repeatable."""
    server, client = pipe
    reading = Overlapped()
    assert (reading.pending, reading.error) == (False, 0)
    assert reading.event
    with pytest.raises(ValueError, match="operation not yet attempted"):
        reading.getresult()
    reading.ReadFile(server, 100)
    assert (reading.pending, reading.error) == (True, overlapped.ERROR_IO_PENDING)
    assert code_of(reading.getresult) == 996
    with pytest.raises(ValueError, match="operation already attempted"):
        reading.ReadFile(server, 100)
    writing = Overlapped(overlapped.NULL)
    assert (writing.event, writing.address != reading.address) == (0, True)
    writing.WriteFile(client, b"hello")
    assert not reading.pending
    assert reading.getresult(True) == reading.getresult() == b"hello"
    assert writing.getresult() == 5


def test_reading_into_a_buffer(pipe: tuple[int, int]) -> None:
    """A caller's buffer cannot be resized before the operation has ended."""
    server, client = pipe
    buffer = bytearray(4)
    reading = Overlapped()
    reading.ReadFileInto(server, buffer)
    with pytest.raises(BufferError):
        buffer.append(1)
    Overlapped().WriteFile(client, memoryview(b"abcdef"))
    assert (reading.getresult(), buffer) == (4, bytearray(b"abcd"))


def test_broken_pipe(pipe: tuple[int, int]) -> None:
    """At once: BrokenPipeError, and it counts as done; later: the end of the file; a write fails to start."""
    server, client = pipe
    later, into = Overlapped(), Overlapped()
    later.ReadFile(server, 10)
    into.ReadFileInto(server, bytearray(10))
    winapi.CloseHandle(client)
    assert (later.getresult(), into.getresult()) == (b"", 0)
    now = Overlapped()
    with pytest.raises(BrokenPipeError):
        now.ReadFile(server, 10)
    assert (now.pending, now.error) == (False, 109)
    assert winapi.WaitForSingleObject(now.event, 0) == winapi.WAIT_OBJECT_0
    assert now.getresult() == b""
    writing = Overlapped()
    with pytest.raises(BrokenPipeError) as caught:
        writing.WriteFile(server, b"x")
    error: Any = caught.value
    assert (error.winerror, error.errno) == (232, errno.EPIPE)
    with pytest.raises(ValueError, match="operation failed to start"):
        writing.getresult()
    writing.cancel()


def test_cancel(pipe: tuple[int, int], port: int) -> None:
    """995, and the packet is queued; cancelling what has ended is no error."""
    server, _ = pipe
    overlapped.CreateIoCompletionPort(server, port, 3, 0)
    reading = Overlapped(overlapped.NULL)
    reading.ReadFile(server, 10)
    reading.cancel()
    reading.cancel()
    assert overlapped.GetQueuedCompletionStatus(port, 0) == (995, 0, 3, reading.address)
    assert code_of(reading.getresult) == 995
    reading.cancel()


def test_messages(port: int) -> None:
    """A part of a message is a success with error 234."""
    server, client = make_pipe(winapi.PIPE_TYPE_MESSAGE | winapi.PIPE_READMODE_MESSAGE)
    Overlapped().WriteFile(client, b"abcdef")
    reading = Overlapped()
    reading.ReadFile(server, 4)
    assert (reading.getresult(), reading.error) == (b"abcd", 234)
    assert winapi.ReadFile(server, 10, overlapped=True)[0].GetOverlappedResult(True) == (2, 0)
    for handle in (server, client):
        winapi.CloseHandle(handle)


def test_connecting_pipes() -> None:
    """False while nobody is there, True when somebody is, 232 when somebody was; busy 231, missing 2, first 5."""
    name = rf"\\.\pipe\iocp-emu-connect-{os.getpid()}"
    assert code_of(overlapped.ConnectPipe, name) == 2
    mode = winapi.PIPE_ACCESS_DUPLEX | winapi.FILE_FLAG_OVERLAPPED | winapi.FILE_FLAG_FIRST_PIPE_INSTANCE
    server = winapi.CreateNamedPipe(name, mode, 0, 2, 100, 100, 0, 0)
    with pytest.raises(PermissionError):
        winapi.CreateNamedPipe(name, mode, 0, 2, 100, 100, 0, 0)
    waiting = Overlapped()
    assert not waiting.ConnectNamedPipe(server)
    client = overlapped.ConnectPipe(name)
    assert waiting.getresult() == 0
    assert code_of(overlapped.ConnectPipe, name) == 231
    there = Overlapped()
    assert there.ConnectNamedPipe(server)
    assert (there.pending, there.getresult()) == (False, 0)
    winapi.CloseHandle(client)
    with pytest.raises(BrokenPipeError):
        Overlapped().ConnectNamedPipe(server)
    winapi.CloseHandle(server)


def test_an_orphan_is_cancelled(pipe: tuple[int, int]) -> None:
    """An object that dies while its operation is under way ends it, and nothing is reported."""
    server, client = pipe
    Overlapped().ReadFile(server, 10)
    gc.collect()
    writing, reading = Overlapped(), Overlapped()
    writing.WriteFile(client, b"for the next")
    reading.ReadFile(server, 100)
    assert reading.getresult() == b"for the next"


def test_an_orphan_whose_packet_is_queued(pipe: tuple[int, int], port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would make a Windows process crash is told as CPython tells it."""
    server, client = pipe
    overlapped.CreateIoCompletionPort(server, port, 0, 0)
    reading: Any = Overlapped(overlapped.NULL)
    reading.ReadFile(server, 10)
    Overlapped().WriteFile(client, b"data")
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    assert reading.pending
    del reading
    (report,) = told
    assert "still has pending operation at deallocation" in str(report.exc_value)
    assert overlapped.GetQueuedCompletionStatus(port, 0) is not None


def test_finalizers_inside_a_verb(pipe: tuple[int, int], port: int) -> None:
    """What guests' finalizers call does not wait for the lock that their own thread holds."""
    server, _ = pipe
    system = current_system()
    reading = Overlapped()
    reading.ReadFile(server, 10)
    event = overlapped.CreateEvent(None, True, False, None)
    done = overlapped.CreateEvent(None, True, False, None)
    wait = overlapped.RegisterWaitWithQueue(event, port, 1, winapi.INFINITE)
    sock = socket.socket()

    def verb() -> bool:
        reading.cancel()
        overlapped.UnregisterWaitEx(wait, done)
        winapi.CloseHandle(event)
        winapi.CloseHandle(event)
        sock.close()
        return reading.pending

    hook_sockets()
    try:
        assert system.perform(verb)
    finally:
        unhook_sockets()
    assert code_of(reading.getresult) == 995
    assert winapi.WaitForSingleObject(done, 0) == winapi.WAIT_OBJECT_0
    for handle in (event, wait):
        assert code_of(winapi.CloseHandle, handle) == 6
    winapi.CloseHandle(done)


# -- sockets -----------------------------------------------------------------------------------------------------


def test_sockets_in_one_process(port: int) -> None:
    """AcceptEx, BindLocal, ConnectEx, WSASend, WSARecv and DisconnectEx."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as accepted, socket.socket() as client:
        for sock in (listener, accepted, client):
            overlapped.CreateIoCompletionPort(sock.fileno(), port, sock.fileno(), 0)
        accepting, connecting = Overlapped(0), Overlapped(0)
        accepting.AcceptEx(listener.fileno(), accepted.fileno())
        overlapped.BindLocal(client.fileno(), socket.AF_INET)
        assert code_of(overlapped.BindLocal, client.fileno(), socket.AF_INET) == 10022
        connecting.ConnectEx(client.fileno(), listener.getsockname())
        done = {overlapped.GetQueuedCompletionStatus(port, MILLISECONDS) for _ in range(2)}
        assert done == {(0, 0, listener.fileno(), accepting.address), (0, 0, client.fileno(), connecting.address)}
        assert (accepting.getresult(), connecting.getresult()) == (0, 0)
        assert accepted.getpeername() == client.getsockname()
        sending, receiving = Overlapped(), Overlapped()
        receiving.WSARecv(accepted.fileno(), 100)
        sending.WSASend(client.fileno(), b"payload", 0)
        assert (sending.getresult(True), receiving.getresult(True)) == (7, b"payload")


def test_datagrams() -> None:
    """WSASendTo, WSARecvFrom and WSARecvFromInto with addresses; WSAConnect."""
    with socket.socket(type=socket.SOCK_DGRAM) as near, socket.socket(type=socket.SOCK_DGRAM) as far:
        near.bind(("127.0.0.1", 0))
        far.bind(("127.0.0.1", 0))
        receiving = Overlapped()
        receiving.WSARecvFrom(far.fileno(), 100)
        Overlapped().WSASendTo(near.fileno(), b"one", 0, far.getsockname())
        assert receiving.getresult(True) == (b"one", near.getsockname())
        overlapped.WSAConnect(near.fileno(), far.getsockname())
        assert near.getpeername() == far.getsockname()
        near.send(b"second")
        buffer = bytearray(10)
        into = Overlapped()
        with pytest.raises(ValueError, match="nbytes is greater"):
            into.WSARecvFromInto(far.fileno(), buffer, 11)
        into.WSARecvFromInto(far.fileno(), buffer, 10)
        assert into.getresult(True) == (6, near.getsockname())


@pytest.mark.parametrize(
    ("address", "error"),
    [(None, TypeError), (("127.0.0.1",), ValueError), (("localhost", 1), OSError), ((1, 1), TypeError)],
)
def test_addresses(address: Any, error: type[Exception]) -> None:
    """Numeric tuples of 2 or 4; a name of a host is 10022, for there is no look-up."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        operation = Overlapped()
        calls: list[Callable[[], None]] = [
            lambda: overlapped.WSAConnect(sock.fileno(), address),
            lambda: operation.WSASendTo(sock.fileno(), b"", 0, address),
            lambda: operation.ConnectEx(sock.fileno(), address),
        ]
        for call in calls:
            if error is OSError:
                assert code_of(call) == 10022
            else:
                with pytest.raises(error):
                    call()
        with pytest.raises(ValueError, match="operation not yet attempted"):
            operation.getresult()


def test_connecting_socket_errors(port: int) -> None:
    """Unbound 10022, port 0 10049, both at once; refused 1225 by a packet."""
    with socket.socket() as sock:
        assert code_of(Overlapped().ConnectEx, sock.fileno(), ("127.0.0.1", 1)) == 10022
        overlapped.BindLocal(sock.fileno(), socket.AF_INET)
        assert code_of(Overlapped().ConnectEx, sock.fileno(), ("127.0.0.1", 0)) == 10049
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            overlapped.CreateIoCompletionPort(sock.fileno(), port, 0, 0)
            connecting = Overlapped(0)
            connecting.ConnectEx(sock.fileno(), reserved.getsockname())
            packet = overlapped.GetQueuedCompletionStatus(port, MILLISECONDS)
            assert packet is not None
            assert packet[0] == 1225
            with pytest.raises(ConnectionRefusedError):
                connecting.getresult()
    with pytest.raises(ValueError, match="expected tuple"):
        overlapped.BindLocal(1, 12345)


def test_transmit_file(tmp_path: Path) -> None:
    """A file that the program has open by descriptor, from an offset on; its position stays."""
    path = tmp_path / "data"
    path.write_bytes(bytes(range(200)))
    near, far = socket.socketpair()
    with near, far, path.open("rb") as file:
        file.seek(3)
        sending = Overlapped()
        sending.TransmitFile(near.fileno(), msvcrt.get_osfhandle(file.fileno()), 100, 0, 50, 0, 0)
        assert sending.getresult(True) == 50
        assert far.recv(100) == bytes(range(100, 150))
        assert file.tell() == 3
        assert code_of(Overlapped().TransmitFile, near.fileno(), 0x7FFFFFF0, 0, 0, 0, 0, 0) == 6


# -- processes ---------------------------------------------------------------------------------------------------


def test_popen_handle(port: int) -> None:
    """The handle of a child is signalled when it has ended; its status is still there to be asked for."""
    child = Popen([sys.executable, "-c", "import sys; sys.exit(7)"])
    wait = overlapped.RegisterWaitWithQueue(int(child._handle), port, 0x40, winapi.INFINITE)
    assert overlapped.GetQueuedCompletionStatus(port, MILLISECONDS) == (0, 0, 0, 0x40)
    assert child.poll() == 7
    assert winapi.GetExitCodeProcess(child._handle) == 7
    overlapped.UnregisterWait(wait)
    child._handle.Close()
    child._handle.Close()
    assert code_of(winapi.WaitForSingleObject, int(child._handle), 0) == 6
    with pytest.raises(ValueError, match="already closed"):
        child._handle.Detach()


def test_popen_leaves_nothing() -> None:
    """With the Popen goes the handle, and with the child the process object."""
    system = current_system()
    child = Popen([sys.executable, "-c", "pass"])
    handle = int(child._handle)
    assert winapi.WaitForSingleObject(handle, MILLISECONDS) == winapi.WAIT_OBJECT_0
    child.wait()
    process = weakref.ref(system.process.handles.entry(handle).object)
    del child
    deadline = time.monotonic() + SECONDS
    while process() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.001)
    assert process() is None
    assert code_of(winapi.CloseHandle, handle) == 6


def test_popen_killed() -> None:
    """TerminateProcess ends a child; what only Windows has as parameters is taken."""
    windows = windows_subprocess()
    child: Any = windows.Popen(
        [sys.executable, "-c", "import time; time.sleep(1000)"],
        creationflags=CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW,
        startupinfo=windows.STARTUPINFO(dwFlags=windows.STARTF_USESHOWWINDOW),
    )
    handle = child._handle.Detach()
    assert isinstance(child, subprocess.Popen)
    assert winapi.WaitForSingleObject(handle, 0) == winapi.WAIT_TIMEOUT
    assert winapi.GetExitCodeProcess(handle) == winapi.STILL_ACTIVE
    winapi.TerminateProcess(handle, 5)
    assert winapi.WaitForSingleObject(handle, MILLISECONDS) == winapi.WAIT_OBJECT_0
    assert child.wait() < 0
    assert winapi.GetExitCodeProcess(handle) == 5
    winapi.CloseHandle(handle)


# -- _winapi and msvcrt ------------------------------------------------------------------------------------------


def test_winapi_reads_and_writes(pipe: tuple[int, int]) -> None:
    """ReadFile, WriteFile, PeekNamedPipe, DuplicateHandle and their shapes."""
    server, client = pipe
    operation, error = winapi.ReadFile(server, 10, overlapped=True)
    assert (error, operation.GetOverlappedResult(False)) == (winapi.ERROR_IO_PENDING, (0, 996))
    with pytest.raises(ValueError, match="can't get read buffer"):
        operation.getbuffer()
    written, error = winapi.WriteFile(client, b"abc", overlapped=True)
    assert (error, written.GetOverlappedResult(True)) == (0, (3, 0))
    assert winapi.WaitForMultipleObjects([operation.event, written.event], True, 0) == 0
    assert (operation.GetOverlappedResult(True), operation.getbuffer()) == ((3, 0), b"abc")
    winapi.WriteFile(client, b"xyz", overlapped=True)
    assert winapi.PeekNamedPipe(server) == (3, 0)
    assert winapi.PeekNamedPipe(server, 2) == (b"xy", 3, 0)
    same = winapi.DuplicateHandle(
        winapi.GetCurrentProcess(), server, winapi.GetCurrentProcess(), 0, False, winapi.DUPLICATE_SAME_ACCESS
    )
    again, _ = winapi.ReadFile(same, 10, overlapped=True)
    assert again.GetOverlappedResult(True) == (3, 0)
    winapi.CloseHandle(same)
    cancelled, _ = winapi.ReadFile(server, 10, overlapped=True)
    cancelled.cancel()
    assert cancelled.GetOverlappedResult(True)[1] == status.ERROR_OPERATION_ABORTED


def test_msvcrt() -> None:
    """Descriptors of the host are their own handles; what is no pipe end becomes no descriptor."""
    reading, writing = os.pipe()
    assert msvcrt.get_osfhandle(reading) == reading == msvcrt.open_osfhandle(reading, os.O_RDONLY)
    assert msvcrt.setmode(writing, 0x8000) == 0x8000
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match=r"\[Errno"):
        msvcrt.get_osfhandle(reading)
    with pytest.raises(OSError, match=r"\[Errno"):
        msvcrt.open_osfhandle(reading, 0)
    event = overlapped.CreateEvent(None, True, False, None)
    assert code_of(msvcrt.open_osfhandle, event, 0) == 6
    assert winapi.WaitForSingleObject(event, 0) == winapi.WAIT_TIMEOUT
    winapi.CloseHandle(event)
