"""The Winsock calls from outside: making sockets, names, options, and what is refused."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from iocp_emu import status, win32
from iocp_emu.overlapped.sockets import drain, shutdown_after_sends, socket_closed
from iocp_emu.runtime.threads import ThreadSystem
from tests.faces.helpers import PRESET, eventually, new_port, refused

LOOPBACK = ("127.0.0.1", 0)
NOT_A_SOCKET = 19999


def failing(call: Any, *args: Any, **kwargs: Any) -> int:
    """Make a call that must fail; its last error."""
    win32.SetLastError(PRESET)
    answer = call(*args, **kwargs)
    assert (answer[0] if isinstance(answer, tuple) else answer) in (-1, False), answer
    return win32.GetLastError()


def test_a_whole_life(machine: ThreadSystem) -> None:
    """socket, bind, listen, connect, accept, names, send, recv, shutdown, closesocket, all by flat calls."""
    listener = win32.socket(win32.AF_INET, win32.SOCK_STREAM, win32.IPPROTO_TCP)
    assert win32.bind(listener, LOOPBACK) == 0
    assert win32.listen(listener, 5) == 0
    address = win32.getsockname(listener).name
    client = win32.socket(win32.AF_INET, win32.SOCK_STREAM, 0)
    assert failing(win32.getsockname, client) == status.WSAEINVAL
    assert failing(win32.getpeername, client) == status.WSAENOTCONN
    assert win32.connect(client, address) == 0
    server = win32.accept(listener)
    assert server.addr == win32.getsockname(client).name
    assert win32.getpeername(client) == (0, address)
    assert win32.send(client, b"question", 8) == 8
    buffer = bytearray(20)
    assert win32.recv(server.ret, buffer, 20, win32.MSG_PEEK) == 8
    assert win32.recv(server.ret, buffer, 20) == 8
    assert win32.shutdown(client, win32.SD_SEND) == 0
    assert win32.recv(server.ret, buffer, 20) == 0
    assert win32.WSARecvDisconnect(server.ret) == 0
    assert failing(win32.recv, server.ret, buffer, 20) == status.WSAESHUTDOWN
    for each in (listener, client, server.ret):
        assert win32.closesocket(each) == 0


def test_families(machine: ThreadSystem) -> None:
    """AF_INET6 has the number of Windows; an unknown family is an error."""
    made = win32.WSASocketW(win32.AF_INET6, win32.SOCK_DGRAM, 0)
    assert win32.bind(made, ("::1", 0)) == 0
    assert win32.getsockname(made).name[0] == "::1"
    assert win32.closesocket(made) == 0
    assert failing(win32.socket, 99, 1, 0) == 10047


def test_options(machine: ThreadSystem) -> None:
    """Options by their numbers of Windows, or by the host's."""
    with socket.socket() as sock:
        number = sock.fileno()
        for level, name in (
            (win32.SOL_SOCKET, win32.SO_KEEPALIVE),
            (win32.SOL_SOCKET, win32.SO_REUSEADDR),
            (win32.IPPROTO_TCP, win32.TCP_NODELAY),
        ):
            assert win32.getsockopt(number, level, name) == (0, 0)
            assert win32.setsockopt(number, level, name, 1) == 0
            assert win32.getsockopt(number, level, name).optval
        assert win32.getsockopt(number, win32.SOL_SOCKET, win32.SO_TYPE) == (0, win32.SOCK_STREAM)
        assert win32.getsockopt(number, win32.SOL_SOCKET, win32.SO_ACCEPTCONN) == (0, 0)
        assert win32.getsockopt(number, win32.SOL_SOCKET, win32.SO_SNDBUF) == (0, 65536)
        assert win32.setsockopt(number, win32.SOL_SOCKET, win32.SO_LINGER, (1, 3)) == 0
        assert win32.getsockopt(number, win32.SOL_SOCKET, win32.SO_LINGER) == (0, (1, 3))
        assert win32.setsockopt(number, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0) == 0
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert failing(win32.setsockopt, number, win32.IPPROTO_TCP, 0x7777, 1) == 10042
        socket_closed(machine, number)


@pytest.mark.parametrize("name", ["closesocket", "getsockname", "getpeername", "WSASendDisconnect", "accept"])
def test_what_is_no_socket(machine: ThreadSystem, name: str) -> None:
    """10038 for numbers that mean nothing, for files of the host and for other objects; nothing changes."""
    port = new_port()
    call = getattr(win32, name)
    with open(os.devnull, "rb") as file:
        for bad in (NOT_A_SOCKET, file.fileno(), port, 0, None):
            before = len(machine.process.handles)
            assert failing(call, bad) == status.WSAENOTSOCK
            assert len(machine.process.handles) == before


def test_a_socket_is_a_handle(machine: ThreadSystem) -> None:
    """Its number goes wherever a handle goes: association, modes, waits, duplicates, CloseHandle; not for a port."""
    port = new_port()
    left, right = socket.socketpair()
    number = left.fileno()
    assert win32.CreateIoCompletionPort(number, port, 1, 0) == port
    assert win32.SetFileCompletionNotificationModes(number, 2)
    assert win32.WaitForSingleObject(number, 0) == 0
    assert refused(machine, win32.PostQueuedCompletionStatus, number, 0, 0, None) == 6
    assert failing(win32.GetQueuedCompletionStatus, number, 0) == 6
    duplicate = win32.DuplicateHandle(number, 0, win32.DUPLICATE_SAME_ACCESS).lpTargetHandle
    assert win32.CloseHandle(duplicate)
    assert win32.CloseHandle(left.detach())
    assert not win32.CloseHandle(number)
    assert win32.GetLastError() == 6
    assert right.recv(1) == b""
    right.close()


def test_a_new_port_for_a_socket(machine: ThreadSystem) -> None:
    """C-03: associating with NULL makes a new port; the association ends with the socket."""
    left, right = socket.socketpair()
    with left, right:
        port = win32.CreateIoCompletionPort(left.fileno(), None, 9, 1)
        assert port
        overlapped = win32.OVERLAPPED()
        assert win32.WSASend(left.fileno(), b"x", 1, 0, overlapped) == (0, 1)
        assert win32.GetQueuedCompletionStatus(port, 0).lpCompletionKey == 9
        number = left.fileno()
        socket_closed(machine, number)
    left, right = socket.socketpair()
    with left, right:
        assert number in (left.fileno(), right.fileno())
        assert win32.CreateIoCompletionPort(number, port, 10, 0) == port
        socket_closed(machine, number)


def test_the_default_timeout_of_the_module(machine: ThreadSystem) -> None:
    """socket.setdefaulttimeout changes nothing about the program's sockets here."""
    left, right = socket.socketpair()
    with left, right:
        socket.setdefaulttimeout(5)
        try:
            assert win32.CreateIoCompletionPort(left.fileno(), new_port(), 0, 0)
        finally:
            socket.setdefaulttimeout(None)
        assert os.get_blocking(left.fileno())
        overlapped = win32.OVERLAPPED()
        assert win32.WSARecv(left.fileno(), bytearray(1), 1, 0, overlapped).ret == -1
        assert win32.GetLastError() == 997
        socket_closed(machine, left.fileno())


# -- what hooks call ---------------------------------------------------------------------------------------------


def test_hooks_on_strangers(machine: ThreadSystem) -> None:
    """Sockets that the emulator does not know are none of its business."""
    with socket.socket() as sock:
        socket_closed(machine, sock.fileno())
        assert not shutdown_after_sends(machine, sock.fileno(), socket.SHUT_WR)
        assert drain(machine, sock.fileno())
    socket_closed(machine, NOT_A_SOCKET)


def test_closed_behind_the_hook(machine: ThreadSystem) -> None:
    """`socket_closed` after the close, even when the number means something else by now."""
    port = new_port()
    left, right = socket.socketpair()
    number = left.fileno()
    assert win32.CreateIoCompletionPort(number, port, 1, 0)
    overlapped = win32.OVERLAPPED()
    win32.WSARecv(number, bytearray(1), 1, 0, overlapped)
    other, end = socket.socketpair()
    # As if the number had been given to the next socket after a close.
    left.detach()
    os.dup2(other.fileno(), number)
    socket_closed(machine, number)
    packet = win32.GetQueuedCompletionStatus(port, 0)
    assert (packet.lpOverlapped, win32.GetLastError()) == (overlapped, 995)
    assert win32.CreateIoCompletionPort(number, port, 2, 0) == port
    socket_closed(machine, number)
    os.close(number)
    for each in (right, other, end):
        each.close()


def test_drain_and_shutdown(machine: ThreadSystem) -> None:
    """`drain` waits until queued bytes have gone; `shutdown_after_sends` says the end after them."""
    left, right = socket.socketpair()
    number = left.fileno()
    data = bytes(1 << 20)
    assert win32.WSASend(number, data, len(data), 0, win32.OVERLAPPED()) == (0, len(data))
    assert not drain(machine, number, 0.01)
    assert shutdown_after_sends(machine, number, socket.SHUT_WR)
    got = 0
    while part := right.recv(1 << 16):
        got += len(part)
    assert got == len(data)
    assert drain(machine, number)
    eventually(lambda: machine.catch_up is None, "nothing is watched")
    right.close()
    # After the peer's end a shutdown is no error, as in Winsock.
    assert shutdown_after_sends(machine, number, socket.SHUT_RD)
    socket_closed(machine, number)
    left.close()
