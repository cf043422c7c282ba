"""WSAEventSelect and WSAEnumNetworkEvents: what is told, when it is told again, and by which event."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from iocp_emu import win32
from iocp_emu.compat.pywin32 import win32event, win32file, winerror

READ, WRITE, ACCEPT = win32file.FD_READ, win32file.FD_WRITE, win32file.FD_ACCEPT
CONNECT, CLOSE = win32file.FD_CONNECT, win32file.FD_CLOSE
ALL = READ | WRITE | ACCEPT | CONNECT | CLOSE
DEADLINE_MS = 30_000

class Watched:
    """A socket and its automatic event."""

    def __init__(self, sock: socket.socket, mask: int) -> None:
        self.sock = sock
        self.event = win32event.CreateEvent(None, 0, 0, None)
        win32file.WSAEventSelect(sock, self.event, mask)

    def next(self) -> dict[int, int]:
        """Wait for the event; what has happened."""
        assert win32event.WaitForSingleObject(self.event, DEADLINE_MS) == win32event.WAIT_OBJECT_0
        return win32file.WSAEnumNetworkEvents(self.sock, self.event)

    def is_silent(self) -> bool:
        """Whether nothing is told, nor comes in a while."""
        is_unset = win32event.WaitForSingleObject(self.event, 30) == win32event.WAIT_TIMEOUT
        return is_unset and win32file.WSAEnumNetworkEvents(self.sock) == {}


def fill(sock: socket.socket) -> int:
    """Send until there is no more room; how many bytes went."""
    sent = 0
    while True:
        try:
            sent += sock.send(bytes(65536))
        except BlockingIOError:
            return sent


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what is entered into it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    """A connection; both ends plain."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = stack.enter_context(socket.create_connection(listener.getsockname()))
        far = stack.enter_context(listener.accept()[0])
    return near, far


def test_what_is_true_is_told_at_once_and_once(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection can be written to; that is told by the selection itself, and not again."""
    watched = Watched(pair[0], ALL)
    assert watched.next() == {WRITE: 0}
    assert watched.is_silent()
    pair[0].send(b"x")  # does not have to wait: nothing new
    assert watched.is_silent()


def test_data_are_told_until_they_are_received(pair: tuple[socket.socket, socket.socket]) -> None:
    """READ comes once; a receive enables it again, and it is true still while data are left."""
    watched = Watched(pair[0], READ | CLOSE)
    pair[1].sendall(b"abc")
    assert watched.next() == {READ: 0}
    pair[1].sendall(b"def")
    assert watched.is_silent()
    assert pair[0].recv(2) == b"ab"
    assert watched.next() == {READ: 0}
    assert pair[0].recv(100) == b"cdef"
    assert watched.is_silent()


def test_a_receive_takes_the_record_away(pair: tuple[socket.socket, socket.socket]) -> None:
    """What was recorded before the receive is not told after it."""
    watched = Watched(pair[0], READ)
    pair[1].sendall(b"abc")
    assert win32event.WaitForSingleObject(watched.event, DEADLINE_MS) == win32event.WAIT_OBJECT_0
    assert pair[0].recv(100) == b"abc"
    assert win32file.WSAEnumNetworkEvents(pair[0]) == {}


def test_overlapped_calls_enable_too(pair: tuple[socket.socket, socket.socket]) -> None:
    """WSARecv of the emulator's is a receive like the others."""
    watched = Watched(pair[0], READ)
    pair[1].sendall(b"ab")
    assert watched.next() == {READ: 0}
    buffer = win32file.AllocateReadBuffer(1)
    assert win32file.WSARecv(pair[0], buffer, None) == (0, 1)
    assert watched.next() == {READ: 0}
    assert win32file.WSARecv(pair[0], buffer, None) == (0, 1)
    assert watched.is_silent()


def test_room_is_told_after_a_send_that_would_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    """WRITE comes again when a send has failed for want of room, and there is room."""
    near, far = pair
    watched = Watched(near, WRITE)
    assert watched.next() == {WRITE: 0}
    sent = fill(near)
    assert watched.is_silent()
    received = 0
    while received < sent:
        received += len(far.recv(1 << 20))
    assert watched.next() == {WRITE: 0}


@pytest.mark.parametrize("must_reset", [False, True], ids=["orderly", "reset"])
def test_the_end_comes_after_the_data(pair: tuple[socket.socket, socket.socket], must_reset: bool) -> None:
    """CLOSE is told once, with 0 or 10054, and after an orderly end only when all is received."""
    near, far = pair
    watched = Watched(near, READ | CLOSE)
    if must_reset:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        assert watched.next() == {CLOSE: winerror.WSAECONNRESET}
    else:
        far.sendall(b"bye")
        assert watched.next() == {READ: 0}
        far.close()
        assert watched.is_silent()
        assert near.recv(100) == b"bye"
        assert watched.next() == {CLOSE: 0}
        assert near.recv(100) == b""
    assert watched.is_silent()


def test_connections(stack: ExitStack) -> None:
    """CONNECT with WRITE at the client, ACCEPT at the listener; what is accepted has the listener's selection."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    listening = Watched(listener, ACCEPT | READ | CLOSE)
    client = stack.enter_context(socket.socket())
    connecting = Watched(client, ALL)
    assert connecting.is_silent()
    client.connect_ex(listener.getsockname())
    told = connecting.next()
    assert told | (connecting.next() if told == {CONNECT: 0} else {}) == {CONNECT: 0, WRITE: 0}
    assert listening.next() == {ACCEPT: 0}
    second = stack.enter_context(socket.create_connection(listener.getsockname()))
    assert listening.is_silent()
    served = stack.enter_context(listener.accept()[0])
    assert listening.next() == {ACCEPT: 0}
    stack.enter_context(listener.accept()[0])
    assert listening.is_silent()
    client.send(b"x")
    assert win32event.WaitForSingleObject(listening.event, DEADLINE_MS) == win32event.WAIT_OBJECT_0
    assert win32file.WSAEnumNetworkEvents(served) == {READ: 0}
    second.close()


def test_a_listener_that_begins_later(stack: ExitStack) -> None:
    """What is selected before bind and listen counts after them."""
    listener = stack.enter_context(socket.socket())
    listening = Watched(listener, ACCEPT)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    stack.enter_context(socket.create_connection(listener.getsockname()))
    assert listening.next() == {ACCEPT: 0}


def test_a_connection_that_is_refused(stack: ExitStack) -> None:
    """CONNECT with 10061."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    client = stack.enter_context(socket.socket())
    watched = Watched(client, CONNECT | READ)
    client.connect_ex(address)
    assert watched.next() == {CONNECT: winerror.WSAECONNREFUSED}
    assert watched.is_silent()


def test_datagrams(stack: ExitStack) -> None:
    """A socket for messages: READ once for each receive that leaves something."""
    receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    receiver.bind(("127.0.0.1", 0))
    watched = Watched(receiver, READ)
    for data in (b"one", b"two"):
        sender.sendto(data, receiver.getsockname())
    assert watched.next() == {READ: 0}
    assert receiver.recv(10) == b"one"
    assert watched.next() == {READ: 0}
    assert receiver.recvfrom(10)[0] == b"two"
    assert watched.is_silent()


def test_selecting_again_replaces(pair: tuple[socket.socket, socket.socket]) -> None:
    """The last selection counts; without events there is none, and the record is gone."""
    first = Watched(pair[0], READ | WRITE)
    second = Watched(pair[0], READ)
    pair[1].sendall(b"x")
    assert second.next() == {READ: 0}
    assert first.next() == {}  # set by the room that there was, and of no use any more
    win32file.WSAEventSelect(pair[0], None, 0)
    assert pair[0].recv(10) == b"x"
    pair[1].sendall(b"y")
    assert second.is_silent()
    assert pair[0].getblocking()  # by Python's account, and yet:
    pair[0].recv(10)
    with pytest.raises(BlockingIOError):
        pair[0].recv(10)


def test_closing_the_socket_ends_it(pair: tuple[socket.socket, socket.socket]) -> None:
    """Nothing is told of what is closed; its number and the event can be used anew."""
    watched = Watched(pair[0], READ)
    pair[0].close()
    pair[1].close()
    assert win32event.WaitForSingleObject(watched.event, 30) == win32event.WAIT_TIMEOUT
    with pytest.raises(win32file.error) as caught:
        win32file.WSAEnumNetworkEvents(pair[0].fileno())
    assert caught.value.winerror == winerror.WSAENOTSOCK


BAD: list[tuple[Any, ...]] = [("spam",), ("spam", None), (object(),)]


def test_refusals(stack: ExitStack) -> None:
    """pywin32's own: TypeError for what is no socket object, 10038 for a handle of another kind."""
    sock = stack.enter_context(socket.socket())
    event = win32event.CreateEvent(None, 1, 0, None)
    for arguments in BAD:
        with pytest.raises(TypeError):
            win32file.WSAEnumNetworkEvents(*arguments)
    mutex = win32event.CreateMutex(None, False, None)
    for call in (
        lambda: win32file.WSAEnumNetworkEvents(int(event)),
        lambda: win32file.WSAEnumNetworkEvents(sock, mutex),
        lambda: win32file.WSAEventSelect(sock, mutex, READ),
    ):
        with pytest.raises(win32file.error) as caught:
            call()
        assert caught.value.winerror == winerror.WSAENOTSOCK
    assert win32file.WSAEnumNetworkEvents(sock, event) == {}
    assert win32.WSAEnumNetworkEvents(int(event)).ret == -1


def test_a_server_of_one_thread_by_events_alone(stack: ExitStack) -> None:
    """A program of the old kind: WaitForMultipleObjects over the events of a listener and its connections."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    places = [Watched(listener, ACCEPT)]
    clients, size = 5, 300_000
    received: list[bytes] = []

    def client(number: int) -> None:
        data = bytes([number]) * size
        with socket.create_connection(listener.getsockname()) as sock:
            sender = threading.Thread(target=sock.sendall, args=(data,))
            sender.start()
            part = b""
            while len(part) < size:
                part += sock.recv(65536)
            sender.join()
            received.append(part)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    to_send: dict[socket.socket, bytes] = {}
    ended = 0
    while ended < clients:
        index = win32event.WaitForMultipleObjects([each.event for each in places], 0, DEADLINE_MS)
        assert index < len(places)
        place = places[index]
        told = win32file.WSAEnumNetworkEvents(place.sock, place.event)
        if ACCEPT in told:
            connection = stack.enter_context(place.sock.accept()[0])
            to_send[connection] = b""
            places.append(Watched(connection, READ | WRITE | CLOSE))
        if READ in told:
            try:
                to_send[place.sock] += place.sock.recv(65536)
            except BlockingIOError:
                pass
        if told.keys() & {READ, WRITE}:
            try:
                while to_send[place.sock]:
                    to_send[place.sock] = to_send[place.sock][place.sock.send(to_send[place.sock]) :]
            except BlockingIOError:
                pass
        if CLOSE in told:
            ended += 1
            places.remove(place)
    for thread in threads:
        thread.join()
    assert sorted(received) == [bytes([number]) * size for number in range(clients)]
