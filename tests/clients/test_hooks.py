"""What is wrapped in `socket.socket` while a guest needs it."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Generator, Iterator

import pytest

from iocp_emu import status, win32
from iocp_emu.compat.hooks import SO_UPDATE_ACCEPT_CONTEXT, hook_sockets, unhook_sockets
from iocp_emu.overlapped.reactor import REACTOR

SECONDS = 30


@contextlib.contextmanager
def hooked() -> Generator[None]:
    """The hooks in place."""
    hook_sockets()
    try:
        yield
    finally:
        unhook_sockets()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected TCP sockets, under the hooks."""
    with hooked(), socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        with near, far:
            yield near, far


@pytest.fixture
def port() -> Iterator[int]:
    """A completion port."""
    handle = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 0)
    yield handle
    win32.CloseHandle(handle)


def receive(sock: socket.socket, port: int) -> win32.OVERLAPPED:
    """Associate a socket and start to receive; nothing is there."""
    assert win32.CreateIoCompletionPort(sock.fileno(), port, 7, 0) == port
    overlapped = win32.OVERLAPPED()
    assert win32.WSARecv(sock.fileno(), bytearray(10), 10, 0, overlapped).ret
    assert win32.GetLastError() == status.ERROR_IO_PENDING
    return overlapped


def test_a_program_that_counts_its_threads_finds_none_of_ours() -> None:
    """clients.md 5: the background's threads are there before anything needs them, and afterwards."""
    names = {"iocp_emu reactor", "iocp_emu timers"}

    def ours() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name in names}

    with hooked():
        before = ours()
        timer = win32.CreateWaitableTimerW(True)
        assert win32.SetWaitableTimer(timer, -10_000)
        assert win32.WaitForSingleObject(timer, SECONDS * 1000) == status.WAIT_OBJECT_0
        win32.CloseHandle(timer)
        after = ours()
        assert {thread.name for thread in after} == names
        assert after <= before
    for thread in before:
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_the_class_is_as_before() -> None:
    """The last user takes the hooks away; in between they are there once."""
    before = dict(vars(socket.socket))
    with hooked():
        inside = dict(vars(socket.socket))
        with hooked():
            assert dict(vars(socket.socket)) == inside != before
        assert dict(vars(socket.socket)) == inside
    assert dict(vars(socket.socket)) == before


def test_the_reactor_stays_meanwhile() -> None:
    """Its thread exists before any socket is used, because something is watched; afterwards nothing is."""
    before = REACTOR.watched
    with hooked():
        assert REACTOR.is_running
        assert REACTOR.watched == before + 1
        with hooked():
            assert REACTOR.watched == before + 1
    assert REACTOR.watched == before


def test_close_ends_what_is_under_way(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    """I-43, clients.md 5: an error and its packet; the number is free, and another socket under it has no association.

    Which error it is, 995 or 1236, is decided by the profile.
    """
    near, _ = pair
    overlapped = receive(near, port)
    number = near.fileno()
    near.close()
    packet = win32.GetQueuedCompletionStatus(port, SECONDS * 1000)
    assert not packet.ret
    assert win32.GetLastError() in (status.ERROR_OPERATION_ABORTED, status.ERROR_CONNECTION_ABORTED)
    assert packet.lpOverlapped is overlapped
    with socket.socket() as another:
        assert another.fileno() == number
        assert win32.CreateIoCompletionPort(number, port, 8, 0) == port


def test_the_options_of_winsock(pair: tuple[socket.socket, socket.socket]) -> None:
    """SO_UPDATE_*_CONTEXT are accepted; other options are the host's affair."""
    near, _ = pair
    near.setsockopt(socket.SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, b"12345678")
    near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        near.setsockopt(socket.SOL_SOCKET, 0x7011, 1)
    assert caught.value.errno == errno.ENOPROTOOPT


def test_shutdown(pair: tuple[socket.socket, socket.socket], port: int) -> None:
    """A stranger's errors stay; a socket of ours may have lost its peer; one of datagrams needs none."""
    near, far = pair
    with socket.socket() as stranger, pytest.raises(OSError, match=r"\[Errno") as caught:
        stranger.shutdown(socket.SHUT_RDWR)
    assert caught.value.errno == errno.ENOTCONN
    with socket.socket(type=socket.SOCK_DGRAM) as lonely:
        lonely.shutdown(socket.SHUT_RDWR)
    receive(near, port)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    assert not win32.GetQueuedCompletionStatus(port, SECONDS * 1000).ret
    near.shutdown(socket.SHUT_WR)


def test_plain_sends_come_after_overlapped_ones(pair: tuple[socket.socket, socket.socket]) -> None:
    """clients.md 8.4: an overlapped send ends before its bytes are out; a plain send waits for them, or says so."""
    near, far = pair
    first = bytes(8_000_000)
    overlapped = win32.OVERLAPPED()
    assert win32.WSASend(near.fileno(), first, len(first), 0, overlapped).ret == 0
    near.setblocking(False)
    with pytest.raises(BlockingIOError):
        near.send(b"late")
    near.settimeout(0.01)
    with pytest.raises(TimeoutError):
        near.sendall(b"late")
    near.settimeout(SECONDS)
    received: list[bytes] = []

    def read() -> None:
        while data := far.recv(1 << 20):
            received.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    near.sendall(b"last")
    near.shutdown(socket.SHUT_WR)
    thread.join(SECONDS)
    whole = b"".join(received)
    assert (len(whole), whole[-5:]) == (len(first) + 4, b"\0last")
