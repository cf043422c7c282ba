"""The object face of sockets: what a Python programmer sees."""

from __future__ import annotations

import gc
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import CompletionPort, File, Listener, Socket, Win32Error, win32
from iocp_emu.kernel.file import FileObject
from iocp_emu.overlapped.socket_requests import Reuse
from iocp_emu.overlapped.transmission import AfterTransmission
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from tests.faces.helpers import DEADLINE_SECONDS

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture(autouse=True)
def machine() -> Iterator[ThreadSystem]:
    """A machine of its own, with no file object left at the end."""
    with use(ThreadSystem(processors=2)) as system:
        yield system
        gc.collect()
        assert not [each for each in system.kernel.objects if isinstance(each, FileObject)]


@pytest.fixture
def port() -> Iterator[CompletionPort]:
    """A port."""
    with CompletionPort() as made:
        yield made


def get(port: CompletionPort) -> Any:
    """The next packet."""
    return port.get(DEADLINE_SECONDS)


def test_a_conversation(port: CompletionPort) -> None:
    """Accept, connect with data, receive, send, the peer's end: each a packet."""
    with Listener(LOOPBACK) as listener, Socket.tcp() as client:
        port.associate(listener, "listener")
        port.associate(client, "client")
        accepting = listener.accept(100, tag="first")
        with pytest.raises(ValueError, match="nobody"):
            _ = accepting.socket
        connecting = client.connect(listener.address, b"hello")
        packets = {packet.key: packet for packet in (get(port), get(port))}
        assert packets["client"].overlapped is connecting
        assert (connecting.bytes, connecting.error) == (5, None)
        assert packets["listener"].overlapped is accepting
        assert bytes(accepting.data) == b"hello"
        assert accepting.tag == "first"
        assert accepting.peer == client.address
        with accepting.socket as server:
            port.associate(server, "server")
            receiving = server.recv(10)
            assert not receiving.done
            assert server.outstanding == 1
            client.send(b"more")
            packets = {packet.key: packet for packet in (get(port), get(port))}
            assert packets["server"].overlapped is receiving
            assert bytes(receiving.data) == b"more"
            client.shutdown()
            end = server.recv(10)
            assert get(port).overlapped is end
            assert (end.bytes, end.error) == (0, None)
            assert server.peer_address == client.address
        client.close()
        client.close()
    assert client.closed
    with pytest.raises(ValueError, match="closed"):
        client.recv(1)


def test_ip6(port: CompletionPort) -> None:
    """Listeners and sockets of IPv6."""
    with Listener(("::1", 0)) as listener, Socket.tcp(socket.AF_INET6) as client:
        port.associate(listener)
        accepting = listener.accept()
        client.connect(listener.address)
        assert get(port).overlapped is accepting
        with accepting.socket as server:
            assert server.peer_address == client.address


def test_an_existing_socket(port: CompletionPort) -> None:
    """A socket of the program is taken over as it is, blocking or not, and closed with the object."""
    left, right = socket.socketpair()
    left.setblocking(False)
    with Socket(left) as sock, right:
        assert sock.sock is left
        assert sock.handle == left.fileno()
        port.associate(sock, 1)
        buffer = bytearray(4)
        into = sock.recv_into(buffer)
        right.sendall(b"data")
        assert get(port).overlapped is into
        assert buffer == b"data"
    assert left.fileno() == -1
    with pytest.raises(OSError, match="10038"):
        Socket(left)
    with pytest.raises(TypeError):
        Socket(7)  # type: ignore[arg-type]


def test_datagrams(port: CompletionPort) -> None:
    """Messages with their senders; one that is too long is an error with a part."""
    with Socket.udp(LOOPBACK) as one, Socket.udp(LOOPBACK) as two:
        port.associate(one, 1)
        receiving, cut = one.recv_from(10), one.recv_from(2)
        two.send_to(b"first", one.address)
        two.send_to(b"second", one.address)
        assert get(port).overlapped is receiving
        assert (receiving.address, bytes(receiving.data)) == (two.address, b"first")
        packet = get(port)
        assert packet.overlapped is cut
        assert packet.error is not None
        assert packet.error.winerror == 234
        assert bytes(cut.data) == b"se"


def test_errors_at_once_and_later(port: CompletionPort) -> None:
    """I-53: at once an exception with Winsock's code; later a packet with the port's."""
    with Socket.tcp() as sock:
        port.associate(sock)
        with pytest.raises(OSError, match="10057") as raised:
            sock.recv(1)
        assert isinstance(raised.value, Win32Error)
        assert raised.value.winerror == 10057
        for address, code in ((("127.0.0.1", 0), "10049"), (("nowhere", 1), "10022")):
            with pytest.raises(OSError, match=code):
                sock.connect(address)
        with pytest.raises(OSError, match="10057"):
            sock.disconnect()
        with pytest.raises(OSError, match="10057"):
            sock.shutdown()
        with pytest.raises(ValueError, match="how"):
            sock.shutdown(7)
        with pytest.raises(TypeError):
            sock.recv_into(b"constant")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="size"):
            sock.recv(-1)
        with socket.socket() as dead:
            dead.bind(LOOPBACK)
            connecting = sock.connect(dead.getsockname())
            packet = get(port)
        assert packet.overlapped is connecting
        assert isinstance(packet.error, ConnectionRefusedError)
        assert isinstance(packet.error, Win32Error)
        assert packet.error.winerror == 1225


def test_a_failed_accept(port: CompletionPort) -> None:
    """The error comes from the accepted socket's property; the socket that was made for it is closed."""
    with Listener(LOOPBACK) as listener:
        port.associate(listener)
        accepting = listener.accept()
    assert get(port).overlapped is accepting
    with pytest.raises(OSError, match="995"):
        _ = accepting.socket
    with pytest.raises(OSError, match="995"):
        _ = accepting.peer


def test_cancelling(port: CompletionPort) -> None:
    """One operation, or all; what has ended is not cancelled."""
    left, right = Socket.pair()
    with left, right:
        port.associate(left)
        first, second = left.recv(1), left.recv(1)
        assert first.cancel()
        assert get(port).overlapped is first
        assert left.cancel()
        assert get(port).overlapped is second
        assert not left.cancel()
        third = left.recv(1)
        right.send(b"x")
        assert not third.cancel()
        assert get(port).error is None


def test_send_file_and_reuse(port: CompletionPort, tmp_path: Path) -> None:
    """A file between head and tail, then the end; the socket connects anew."""
    path = tmp_path / "page"
    path.write_bytes(b"0123456789")
    with Listener(LOOPBACK) as listener, Socket.tcp() as client, File(path) as file:
        port.associate(client)
        for count in (0, 4):
            client.connect(listener.address)
            assert get(port).error is None
            sending = client.send_file(file, 2, count, head=b"<", tail=b">", after=AfterTransmission.REUSE)
            assert get(port).overlapped is sending
            with listener.sock.accept()[0] as server:
                got = b""
                while part := server.recv(100):
                    got += part
            assert got == (b"<23456789>" if not count else b"<2345>")
            assert sending.bytes == len(got)
        with pytest.raises(TypeError):
            client.send_file("page")  # type: ignore[arg-type]
        client.connect(listener.address)
        assert get(port).error is None
        client.disconnect(Reuse.YES)
        assert get(port).error is None


def test_dropped_objects_close(port: CompletionPort) -> None:
    """An object that nobody has any more closes its socket, without a warning; its packets still come."""
    left, right = Socket.pair()
    port.associate(left, "left")
    receiving = left.recv(1)
    number = left.handle
    assert receiving.file is left
    reference = weakref.ref(left)
    del left, receiving
    gc.collect()
    assert reference() is not None, "what is under way keeps it"
    assert right.sock.send(b"x") == 1
    assert get(port).key == "left"
    gc.collect()
    assert reference() is None
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(number)
    with right:
        assert right.sock.recv(1) == b""


def test_a_descriptor_that_the_program_closed(port: CompletionPort) -> None:
    """Closing the `socket.socket` oneself is no error; what was under way ends at the close of the object."""
    left, right = Socket.pair()
    with right:
        port.associate(left, "left")
        receiving = left.recv(1)
        left.sock.close()
        left.close()
        packet = get(port)
        assert packet.overlapped is receiving
        assert packet.error is not None


def test_with_the_flat_face(port: CompletionPort) -> None:
    """One handle for both faces."""
    left, right = Socket.pair()
    with left, right:
        port.associate(left, 7)
        overlapped, buffer = win32.OVERLAPPED(), bytearray(4)
        assert win32.WSARecv(left.handle, buffer, 4, 0, overlapped).ret == -1
        right.send(b"flat")
        assert get(port).overlapped is overlapped
        assert buffer == b"flat"
        assert win32.closesocket(left.handle) == 0
        left.close()


def test_an_echo_server_with_two_workers(port: CompletionPort) -> None:
    """Plain worker functions, one port, many clients."""

    def work() -> None:
        while (packet := get(port)).key != "stop":
            operation = packet.overlapped
            if packet.key == "listener":
                if packet.error is None:
                    listener.accept()
                    port.associate(operation.socket, operation.socket)
                    operation.socket.recv(64)
            elif operation.tag == "echo":
                packet.key.recv(64)
            elif packet.bytes:
                packet.key.send(bytes(operation.data), tag="echo")
            else:
                packet.key.close()

    with Listener(LOOPBACK) as listener:
        port.associate(listener, "listener")
        for _ in range(4):
            listener.accept()
        workers = [threading.Thread(target=lambda: _with(port, work)) for _ in range(2)]
        for worker in workers:
            worker.start()
        clients = [socket.create_connection(listener.address, DEADLINE_SECONDS) for _ in range(20)]
        for round_ in range(3):
            for at, client in enumerate(clients):
                client.sendall(f"{round_} {at}".encode())
            for at, client in enumerate(clients):
                assert client.recv(64) == f"{round_} {at}".encode()
        for client in clients:
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
            client.close()
    for _ in workers:
        port.post(key="stop")
    for worker in workers:
        worker.join(DEADLINE_SECONDS)
        assert not worker.is_alive()


def _with(port: CompletionPort, work: Any) -> None:
    with use(port._system):
        work()
