"""win32file on sockets: AcceptEx, ConnectEx, WSARecv, WSASend, TransmitFile, and a threaded echo server."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from iocp_emu.compat.pywin32 import pywintypes, win32event, win32file, winerror

from .conftest import DEADLINE_SECONDS


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Closes what is entered into it."""
    with ExitStack() as stack:
        yield stack


def new_socket(sockets: ExitStack) -> socket.socket:
    return sockets.enter_context(socket.socket())


def new_listener(sockets: ExitStack) -> socket.socket:
    return sockets.enter_context(socket.create_server(("127.0.0.1", 0)))


def connected(sockets: ExitStack) -> tuple[socket.socket, socket.socket]:
    """A client and its connection at the server, both plain sockets."""
    listener = new_listener(sockets)
    client = sockets.enter_context(socket.create_connection(listener.getsockname(), DEADLINE_SECONDS))
    server, _ = listener.accept()
    client.settimeout(None)
    return client, sockets.enter_context(server)


def new_overlapped() -> pywintypes.OVERLAPPEDType:
    overlapped = pywintypes.OVERLAPPED()
    overlapped.hEvent = win32event.CreateEvent(None, 0, 0, None)
    return overlapped


# -- connections -----------------------------------------------------------------------------------------------------


def test_acceptex_waits_for_the_first_data(sockets: ExitStack) -> None:
    listener, accepted = new_listener(sockets), new_socket(sockets)
    buffer = win32file.AllocateReadBuffer(1024)
    overlapped = new_overlapped()
    assert win32file.AcceptEx(listener, accepted, buffer, overlapped) == winerror.ERROR_IO_PENDING
    client = sockets.enter_context(socket.create_connection(listener.getsockname()))
    assert win32event.WaitForSingleObject(overlapped.hEvent, 0) == win32event.WAIT_TIMEOUT
    client.send(b"first data")
    assert win32event.WaitForSingleObject(overlapped.hEvent, win32event.INFINITE) == win32event.WAIT_OBJECT_0
    count = win32file.GetOverlappedResult(listener.fileno(), overlapped, False)
    assert bytes(buffer[:count]) == b"first data"
    accepted.setsockopt(
        socket.SOL_SOCKET, win32file.SO_UPDATE_ACCEPT_CONTEXT, struct.pack("I", listener.fileno())
    )
    local, remote = client.getpeername(), client.getsockname()
    assert win32file.GetAcceptExSockaddrs(accepted, buffer) == (
        2,
        (local[0].encode(), local[1]),
        (remote[0].encode(), remote[1]),
    )
    accepted.send(b"answer")
    assert client.recv(100) == b"answer"


def test_acceptex_with_room_for_addresses_alone_waits_for_nothing_else(sockets: ExitStack) -> None:
    listener, accepted = new_listener(sockets), new_socket(sockets)
    size = win32file.CalculateSocketEndPointSize(listener)
    assert size == 64
    buffer = win32file.AllocateReadBuffer(size)
    overlapped = new_overlapped()
    win32file.AcceptEx(listener.fileno(), accepted.fileno(), buffer, overlapped)
    client = sockets.enter_context(socket.create_connection(listener.getsockname()))
    assert win32file.GetOverlappedResult(listener.fileno(), overlapped, True) == 0
    assert win32file.GetAcceptExSockaddrs(accepted, buffer)[2] == (b"127.0.0.1", client.getsockname()[1])


def test_connectex_sends_with_the_connection(sockets: ExitStack) -> None:
    listener, client = new_listener(sockets), new_socket(sockets)
    client.bind(("0.0.0.0", 0))
    overlapped = pywintypes.OVERLAPPED()
    rc, sent = win32file.ConnectEx(client, ("localhost", listener.getsockname()[1]), overlapped, b"a request")
    assert (rc, sent) == (winerror.ERROR_IO_PENDING, 0)
    assert win32file.GetOverlappedResult(client.fileno(), overlapped, True) == 9
    client.setsockopt(socket.SOL_SOCKET, win32file.SO_UPDATE_CONNECT_CONTEXT, b"")
    server = sockets.enter_context(listener.accept()[0])
    assert server.recv(100) == b"a request"


def test_connectex_is_refused_by_packet(sockets: ExitStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()
    client = new_socket(sockets)
    client.bind(("127.0.0.1", 0))
    port = win32file.CreateIoCompletionPort(client.fileno(), None, 4, 0)
    overlapped = pywintypes.OVERLAPPED()
    win32file.ConnectEx(client, address, overlapped)
    assert win32file.GetQueuedCompletionStatus(port, -1) == (winerror.ERROR_CONNECTION_REFUSED, 0, 4, overlapped)


def test_errors_name_the_call_that_pywin32_makes_first(sockets: ExitStack) -> None:
    reader, writer = os.pipe()
    buffer = win32file.AllocateReadBuffer(100)
    with open(reader, "rb"), open(writer, "wb"):
        for call, name in (
            (lambda: win32file.AcceptEx(reader, reader, buffer, pywintypes.OVERLAPPED()), "getsockopt"),
            (lambda: win32file.GetAcceptExSockaddrs(reader, buffer), "getsockopt"),
            (lambda: win32file.CalculateSocketEndPointSize(reader), "getsockopt"),
            (lambda: win32file.ConnectEx(reader, ("127.0.0.1", 1), pywintypes.OVERLAPPED()), "WSAIoctl"),
            (lambda: win32file.TransmitFile(reader, 0, 0, 0, None, 0), "WSAIoctl"),
            (lambda: win32file.WSASend(reader, b"x", pywintypes.OVERLAPPED()), "WSASend"),
            (lambda: win32file.WSARecv(reader, buffer, pywintypes.OVERLAPPED()), "WSARecv"),
        ):
            with pytest.raises(win32file.error) as caught:
                call()
            assert caught.value.args[:2] == (win32file.WSAENOTSOCK, name)
    unbound = new_socket(sockets)
    with pytest.raises(win32file.error) as caught:
        win32file.ConnectEx(unbound, ("127.0.0.1", 1), pywintypes.OVERLAPPED())
    assert caught.value.args[:2] == (win32file.WSAEINVAL, "ConnectEx")
    with pytest.raises(win32file.error) as caught:
        win32file.ConnectEx(unbound, ("no such host.invalid", 1), pywintypes.OVERLAPPED())
    assert caught.value.args[:2] == (11001, "getaddrinfo")


def test_wrong_arguments_are_refused(sockets: ExitStack) -> None:
    listener, other = new_listener(sockets), new_socket(sockets)
    overlapped = pywintypes.OVERLAPPED()
    for call in (
        lambda: win32file.AcceptEx(listener, other, " " * 1024, overlapped),
        lambda: win32file.WSARecv(other, " " * 10, overlapped),
        lambda: win32file.WSARecv(other, 10, overlapped),
        lambda: win32file.WSASend(other, "text", overlapped),
        lambda: win32file.WSASend("socket", b"text", overlapped),
        lambda: win32file.ConnectEx(other, "host", overlapped),  # type: ignore[arg-type]
        lambda: win32file.ConnectEx(other, (1, 2), overlapped),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(BufferError):
        win32file.WSARecv(other, b"constant", overlapped)
    with pytest.raises(ValueError, match="at least 64 bytes"):
        win32file.AcceptEx(listener, other, bytearray(63), overlapped)


# -- moving data -----------------------------------------------------------------------------------------------------


def test_receiving_and_sending_by_event(sockets: ExitStack) -> None:
    client, server = connected(sockets)
    overlapped = new_overlapped()
    buffer = win32file.AllocateReadBuffer(10)
    assert win32file.WSARecv(server, buffer, overlapped, 0) == (winerror.ERROR_IO_PENDING, 0)
    assert win32file.WSASend(client, b"hello", None) == (0, 5)
    assert win32event.WaitForSingleObject(overlapped.hEvent, win32event.INFINITE) == 0
    assert win32file.GetOverlappedResult(server.fileno(), overlapped, False) == 5
    assert bytes(buffer[:5]) == b"hello"
    win32file.WSASend(server, b"world", overlapped)
    assert win32file.GetOverlappedResult(server.fileno(), overlapped, True) == 5
    assert win32file.WSARecv(client, buffer, None) == (0, 5)
    assert bytes(buffer[:5]) == b"world"


def test_the_peers_close_is_zero_bytes_and_ones_own_an_abort(sockets: ExitStack) -> None:
    client, server = connected(sockets)
    port = win32file.CreateIoCompletionPort(server.fileno(), None, 5, 0)
    overlapped = pywintypes.OVERLAPPED()
    buffer = win32file.AllocateReadBuffer(10)
    win32file.WSARecv(server, buffer, overlapped)
    client.close()
    assert win32file.GetQueuedCompletionStatus(port, -1) == (0, 0, 5, overlapped)
    client, server = connected(sockets)
    win32file.CreateIoCompletionPort(server.fileno(), port, 6, 0)
    win32file.WSARecv(server, buffer, overlapped)
    server.close()
    rc, count, key, same = win32file.GetQueuedCompletionStatus(port, -1)
    assert (rc, count, key, same is overlapped) == (winerror.ERROR_CONNECTION_ABORTED, 0, 6, True)


@pytest.mark.parametrize(("head", "tail"), [(None, None), (b"[head]", b"[tail]"), (b"", b""), (None, b"[t]")])
def test_a_file_is_transmitted_between_head_and_tail(
    sockets: ExitStack, head: bytes | None, tail: bytes | None
) -> None:
    client, server = connected(sockets)
    content = os.urandom(200_000)
    received: list[bytes] = []

    def receive() -> None:
        while data := server.recv(65536):
            received.append(data)

    receiver = threading.Thread(target=receive)
    receiver.start()
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        overlapped = pywintypes.OVERLAPPED()
        rc = win32file.TransmitFile(
            client, win32file._get_osfhandle(file.fileno()), len(content), 0, overlapped, 0, head, tail
        )
        assert rc in (0, winerror.ERROR_IO_PENDING)
        expected = (head or b"") + content + (tail or b"")
        assert win32file.GetOverlappedResult(client.fileno(), overlapped, True) == len(expected)
    client.close()
    receiver.join()
    assert b"".join(received) == expected


# -- a server --------------------------------------------------------------------------------------------------------


class Connection:
    """One accepted connection: reads, writes back what it has read, and reads again."""

    def __init__(self, server: EchoServer) -> None:
        self.server = server
        self.socket = socket.socket()
        self.buffer = win32file.AllocateReadBuffer(4096)
        self.overlapped = pywintypes.OVERLAPPED()
        self.overlapped.object = self
        self.next: Callable[[int], None] = self.accepted

    def accepted(self, _: int) -> None:
        self.server.accept()
        listener = self.server.listener.fileno()
        self.socket.setsockopt(
            socket.SOL_SOCKET, win32file.SO_UPDATE_ACCEPT_CONTEXT, struct.pack("I", listener)
        )
        win32file.CreateIoCompletionPort(self.socket.fileno(), self.server.port, 2, 0)
        self.read(0)

    def read(self, _: int) -> None:
        self.next = self.write
        win32file.WSARecv(self.socket, self.buffer, self.overlapped)

    def write(self, count: int) -> None:
        if count:
            self.next = self.read
            win32file.WSASend(self.socket, self.buffer[:count], self.overlapped)
        else:
            self.close()

    def close(self) -> None:
        self.socket.close()
        self.overlapped.object = None
        self.server.connections.discard(self)


class EchoServer:
    """Worker threads on one port; AcceptEx is always under way."""

    def __init__(self, workers: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = win32file.CreateIoCompletionPort(self.listener.fileno(), None, 1, 0)
        self.connections: set[Connection] = set()
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(workers)]
        self.accept()
        for thread in self._threads:
            thread.start()

    def accept(self) -> None:
        connection = Connection(self)
        self.connections.add(connection)
        size = win32file.CalculateSocketEndPointSize(self.listener)
        room = win32file.AllocateReadBuffer(size)
        win32file.AcceptEx(self.listener, connection.socket, room, connection.overlapped)

    def _work(self) -> None:
        while True:
            rc, count, key, overlapped = win32file.GetQueuedCompletionStatus(self.port, win32event.INFINITE)
            if key == 0:
                return
            assert isinstance(overlapped, pywintypes.OVERLAPPEDType)
            connection = overlapped.object
            try:
                if rc:
                    connection.close()
                else:
                    connection.next(count)
            except BaseException as error:
                self.failures.append(error)

    def stop(self) -> None:
        for _ in self._threads:
            win32file.PostQueuedCompletionStatus(self.port)
        for thread in self._threads:
            thread.join()
        self.listener.close()
        for connection in list(self.connections):
            connection.close()
        self.port.Close()


def test_an_echo_server_of_worker_threads() -> None:
    server = EchoServer(workers=3)
    failures: list[BaseException] = []

    def talk(number: int) -> None:
        try:
            with socket.create_connection(server.listener.getsockname(), DEADLINE_SECONDS) as client:
                for turn in range(10):
                    message = f"{number}:{turn};".encode() * 300
                    client.sendall(message)
                    echoed = b""
                    while len(echoed) < len(message):
                        data = client.recv(65536)
                        assert data, "the server has closed"
                        echoed += data
                    assert echoed == message
        except BaseException as error:
            failures.append(error)

    clients = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.stop()
    assert (failures, server.failures) == ([], [])
