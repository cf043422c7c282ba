"""The M-scenarios that need pipes and sockets, on real ones, by the flat face; `tests/rules` has their kernel part."""

from __future__ import annotations

import itertools
import select
import socket
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

from iocp_emu import ntdll, win32
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem

KEY = 9
DEADLINE_MS = 60_000
numbers = itertools.count()


@pytest.fixture(autouse=True)
def system() -> Generator[ThreadSystem]:
    """A machine of its own; every handle is closed at the end."""
    system = ThreadSystem()
    with use(system):
        yield system
        system.perform(system.process.handles.close_all)


def new_port() -> int:
    """A port."""
    return win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 0)


def bind(handle: int, port: int, key: int = KEY) -> None:
    """Associate."""
    assert win32.CreateIoCompletionPort(handle, port, key, 0) == port


def depth(port: int) -> int:
    """Packets in the queue."""
    found = ntdll.NtQueryIoCompletion(port, 0).Depth
    assert isinstance(found, int)
    return found


def dequeue(port: int, milliseconds: int = DEADLINE_MS) -> tuple[Any, ...]:
    """(ret, last error when it failed, bytes, key, overlapped)."""
    got = win32.GetQueuedCompletionStatus(port, milliseconds)
    error = 0 if got.ret else win32.GetLastError()
    return got.ret, error, got.lpNumberOfBytesTransferred, got.lpCompletionKey, got.lpOverlapped


TIMEOUT = (False, win32.WAIT_TIMEOUT, win32.UNTOUCHED, win32.UNTOUCHED, None)


def pipe(kind: int = win32.PIPE_TYPE_BYTE) -> tuple[int, int]:
    """An overlapped server end and a synchronous client end."""
    name = rf"\\.\pipe\m-scenario-{next(numbers)}"
    mode = win32.PIPE_ACCESS_DUPLEX | win32.FILE_FLAG_OVERLAPPED
    server = win32.CreateNamedPipeW(name, mode, kind, 1, 4096, 4096)
    client = win32.CreateFileW(name, win32.GENERIC_READ | win32.GENERIC_WRITE, 0, win32.OPEN_EXISTING, 0)
    assert win32.INVALID_HANDLE_VALUE not in (server, client)
    return server, client


def write(handle: int, data: bytes) -> None:
    """Write all, and wait for it."""
    assert win32.WriteFile(handle, data, len(data), None).ret


def refused(call: Callable[[], Any]) -> int:
    """The last error of a call that fails."""
    answer = call()
    assert getattr(answer, "ret", answer) in (False, -1)
    return win32.GetLastError()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """A connection over the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        return left, listener.accept()[0]


def reset(sock: socket.socket) -> None:
    """Close it hard."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def recv(sock: socket.socket, size: int, overlapped: win32.OVERLAPPED) -> Any:
    """WSARecv."""
    return win32.WSARecv(sock.fileno(), bytearray(size), size, 0, overlapped)


def test_m08_synchronous_success_also_posts() -> None:
    """M-08 (I-02) on a real pipe: the call tells the result, and a packet tells it again."""
    port, (server, client), ov = new_port(), pipe(), win32.OVERLAPPED()
    bind(server, port)
    write(client, b"ab")
    got = win32.ReadFile(server, bytearray(2), 2, ov)
    assert (got.ret, got.lpNumberOfBytesRead, depth(port)) == (True, 2, 1)
    assert dequeue(port) == (True, 0, 2, KEY, ov)
    assert dequeue(port, 0) == TIMEOUT


def test_m09_skip_on_success() -> None:
    """M-09 (I-15) on a real pipe: an immediate success posts nothing, a pending request does."""
    port, (server, client), ov = new_port(), pipe(), win32.OVERLAPPED()
    bind(server, port)
    assert win32.SetFileCompletionNotificationModes(server, win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
    write(client, b"a")
    assert win32.ReadFile(server, bytearray(2), 2, win32.OVERLAPPED()).ret
    assert depth(port) == 0
    assert dequeue(port, 0) == TIMEOUT
    assert refused(lambda: win32.ReadFile(server, bytearray(2), 2, ov)) == 997
    write(client, b"b")
    assert dequeue(port) == (True, 0, 1, KEY, ov)


def test_m10_synchronous_errors_post_nothing() -> None:
    """M-10 (I-03) on a real socket that is not connected: 10057, and then nothing comes."""
    port = new_port()
    with socket.socket() as sock:
        bind(sock.fileno(), port)
        assert refused(lambda: recv(sock, 4, win32.OVERLAPPED())) == 10057
        assert dequeue(port, 200) == TIMEOUT
        win32.closesocket(sock.detach())


def test_m12_bound_after_issuing() -> None:
    """M-12 (C-15) on a real pipe: a read that was issued before the association ends with the association's key."""
    port, (server, client), ov = new_port(), pipe(), win32.OVERLAPPED()
    assert refused(lambda: win32.ReadFile(server, bytearray(2), 2, ov)) == 997
    bind(server, port)
    write(client, b"ab")
    assert dequeue(port) == (True, 0, 2, KEY, ov)


def test_m13_bound_after_issuing_with_an_apc() -> None:
    """M-13 (C-15, C-16) on a real pipe: the APC runs, nothing is queued, further APC reads are refused."""
    port, (server, client) = new_port(), pipe()
    ran: list[tuple[int, int]] = []

    def routine(error: int, count: int, _: object) -> None:
        ran.append((error, count))

    assert win32.ReadFileEx(server, bytearray(2), 2, win32.OVERLAPPED(), routine)
    bind(server, port)
    write(client, b"ab")
    assert win32.SleepEx(DEADLINE_MS, True) == 192
    assert (ran, depth(port)) == ([(0, 2)], 0)
    assert refused(lambda: win32.ReadFileEx(server, bytearray(2), 2, win32.OVERLAPPED(), routine)) == 87


@pytest.mark.parametrize("is_waiting", [False, True])
def test_m14_partial_messages(is_waiting: bool) -> None:
    """M-14 (I-04, G-02) on a real message pipe: 10 bytes, room for 4; the same packet at once and after pending."""
    port, ov = new_port(), win32.OVERLAPPED()
    server, client = pipe(win32.PIPE_TYPE_MESSAGE | win32.PIPE_READMODE_MESSAGE)
    bind(server, port)
    if is_waiting:
        write(client, b"0123456789")
    expected = 234 if is_waiting else 997
    assert refused(lambda: win32.ReadFile(server, bytearray(4), 4, ov)) == expected
    assert depth(port) == int(is_waiting)
    if not is_waiting:
        write(client, b"0123456789")
    assert dequeue(port) == (False, 234, 4, KEY, ov)


def test_m15_low_bit_of_the_event() -> None:
    """M-15 (I-07) on a real connection: the event is set, the result is there, and no packet comes."""
    port, event = new_port(), win32.CreateEventW(True, False)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bind(sock.fileno(), port)
        ov = win32.OVERLAPPED(hEvent=event | 1)
        assert refused(lambda: win32.ConnectEx(sock.fileno(), listener.getsockname(), None, 0, ov)) == 997
        assert win32.WaitForSingleObject(event, DEADLINE_MS) == 0
        assert win32.GetOverlappedResult(sock.fileno(), ov, False).ret
        assert dequeue(port, 0) == TIMEOUT
        win32.closesocket(sock.detach())


def test_m21_closed_with_requests_outstanding() -> None:
    """M-21 (I-43 to I-45) on a real pipe and a real listener, by one of two handles and by the last."""
    port, (server, _), ov = new_port(), pipe(), win32.OVERLAPPED()
    bind(server, port)
    assert refused(lambda: win32.ReadFile(server, bytearray(2), 2, ov)) == 997
    other = win32.DuplicateHandle(server, 0, win32.DUPLICATE_SAME_ACCESS).lpTargetHandle
    assert win32.CloseHandle(server)
    assert dequeue(port, 0) == TIMEOUT
    assert win32.CloseHandle(other)
    assert dequeue(port) == (False, 109, 0, KEY, ov)
    listener, accepted = socket.create_server(("127.0.0.1", 0)), socket.socket()
    bind(listener.fileno(), port, 125)
    call = lambda: win32.AcceptEx(listener.fileno(), accepted.fileno(), bytearray(64), 0, ov)  # noqa: E731
    assert refused(call) == 997
    win32.closesocket(listener.detach())
    assert dequeue(port) == (False, 995, 0, 125, ov)
    bind(accepted.fileno(), port)
    win32.closesocket(accepted.detach())
    assert dequeue(port, 0) == TIMEOUT


def test_m31_accepts_carry_the_listeners_key() -> None:
    """M-31 (I-52) on real sockets: the accept has the listener's key, what is received then the connection's."""
    port, ov = new_port(), win32.OVERLAPPED()
    listener, accepted = socket.create_server(("127.0.0.1", 0)), socket.socket()
    bind(listener.fileno(), port, 125)
    bind(accepted.fileno(), port, 236)
    call = lambda: win32.AcceptEx(listener.fileno(), accepted.fileno(), bytearray(64), 0, ov)  # noqa: E731
    assert refused(call) == 997
    with socket.create_connection(listener.getsockname()) as client:
        assert dequeue(port) == (True, 0, 0, 125, ov)
        again = win32.OVERLAPPED()
        recv(accepted, 16, again)
        client.sendall(b"abc")
        assert dequeue(port) == (True, 0, 3, 236, again)
    for sock in (listener, accepted):
        win32.closesocket(sock.detach())


def test_m32_graceful_and_hard_close() -> None:
    """M-32 (table 6.6) on real connections: 0 bytes; 64 while pending; 10054 at once, and no packet."""
    port = new_port()
    for end, expected in ((socket.socket.close, (True, 0)), (reset, (False, 64))):
        own, peer = tcp_pair()
        ov = win32.OVERLAPPED()
        bind(own.fileno(), port)
        assert refused(partial(recv, own, 16, ov)) == 997
        end(peer)
        assert dequeue(port) == (*expected, 0, KEY, ov)
        win32.closesocket(own.detach())
    own, peer = tcp_pair()
    bind(own.fileno(), port)
    reset(peer)
    assert select.select([own], [], [], 60)[0]
    assert refused(lambda: recv(own, 16, win32.OVERLAPPED())) == 10054
    assert dequeue(port, 0) == TIMEOUT
    win32.closesocket(own.detach())
