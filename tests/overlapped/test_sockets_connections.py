"""Connections by their rules: AcceptEx, ConnectEx, DisconnectEx, TransmitFile, and the send queue."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import status, win32

from .socket_support import (
    ANY_PORT,
    DEADLINE,
    Bench,
    Call,
    bench_in_use,
    eventually,
    readable,
    reset,
    running_reactor,
)

__all__ = ["running_reactor"]

FAMILIES = [socket.AF_INET, socket.AF_INET6]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One machine as Windows 10 is."""
    with bench_in_use() as made:
        yield made


@pytest.fixture(params=FAMILIES, ids=["ip4", "ip6"])
def family(request: pytest.FixtureRequest) -> int:
    """Both families."""
    return int(request.param)


def accept(listener: socket.socket, target: socket.socket, size: int = 0, buffer: bytearray | None = None) -> Call:
    """AcceptEx."""
    call = Call()
    area = bytearray(size + 2 * 44) if buffer is None else buffer
    call.answer = call.make(win32.AcceptEx, listener.fileno(), target.fileno(), area, size, call.ov)
    return call


def connect(sock: socket.socket, address: Any, data: bytes = b"") -> Call:
    """ConnectEx."""
    call = Call()
    call.answer = call.make(win32.ConnectEx, sock.fileno(), address, data, len(data), call.ov)
    return call


def client_of(bench: Bench, listener: socket.socket) -> socket.socket:
    """A connection of a program outside."""
    client = bench.adopt(socket.create_connection(listener.getsockname()[:2]))
    client.settimeout(DEADLINE)
    return client


# -- AcceptEx ----------------------------------------------------------------------------------------------------


def test_i52_acceptex(bench: Bench, family: int) -> None:
    """I-52, M-31: the packet has the listener's key; the accept socket keeps its own, and becomes the connection."""
    listener = bench.bind(bench.listener(family), 125)
    target = bench.bind(bench.stream(family), 236)
    target.setblocking(False)
    length = 16 + (16 if family == socket.AF_INET else 28)
    area = bytearray(2 * length)
    call = accept(listener, target, buffer=area)
    assert call.is_pending
    assert bench.no_packet()
    client = client_of(bench, listener)
    assert bench.packet() == (0, 0, 125, call.ov)
    assert win32.setsockopt(target.fileno(), win32.SOL_SOCKET, win32.SO_UPDATE_ACCEPT_CONTEXT, listener.fileno()) == 0
    assert target.getpeername() == client.getsockname()
    assert not os.get_blocking(target.fileno())
    assert win32.GetAcceptExSockaddrs(area, 0, length, length) == (listener.getsockname(), client.getsockname())
    receive = bench.recv(target)
    client.sendall(b"hello")
    assert bench.packet() == (0, 5, 236, receive.ov)


def test_acceptex_with_a_connection_that_waits(bench: Bench) -> None:
    """I-06: it reports pending and brings a packet, also when it ends within its call and success is skipped."""
    listener = bench.bind(bench.listener(), 125)
    assert win32.SetFileCompletionNotificationModes(listener.fileno(), 1)
    client_of(bench, listener)
    readable(listener)
    call = accept(listener, bench.stream())
    assert call.is_pending
    assert bench.packet() == (0, 0, 125, call.ov)


def test_acceptex_with_data(bench: Bench, family: int) -> None:
    """Fact sock-acceptex-data: it ends with the first data, whose bytes it counts."""
    listener = bench.bind(bench.listener(family), 125)
    buffer = bytearray(200)
    call = accept(listener, bench.stream(family), 100, buffer)
    client = client_of(bench, listener)
    assert bench.no_packet(20)
    client.sendall(b"hi!")
    assert bench.packet() == (0, 3, 125, call.ov)
    assert buffer[:3] == b"hi!"
    length = 16 + (16 if family == socket.AF_INET else 28)
    assert win32.GetAcceptExSockaddrs(buffer, 100, length, length)[1] == client.getsockname()


def test_acceptex_peer_without_data(bench: Bench) -> None:
    """Fact sock-acceptex-zero: a peer that closes at once is a success with 0 bytes."""
    listener = bench.bind(bench.listener(), 125)
    call = accept(listener, bench.stream(), 100)
    client_of(bench, listener).close()
    assert bench.packet() == (0, 0, 125, call.ov)


def test_acceptex_peer_resets(bench: Bench) -> None:
    """Table 6.6: a reset while the data is awaited is 64; the accept socket can be used again."""
    listener = bench.bind(bench.listener(), 125)
    target = bench.stream()
    call = accept(listener, target, 100)
    client = client_of(bench, listener)
    eventually(lambda: not bench.no_packet() or is_connected(target), "it is accepted")
    reset(client)
    assert bench.packet() == (64, 0, 125, call.ov)
    again = accept(listener, target)
    client_of(bench, listener)
    assert bench.packet() == (0, 0, 125, again.ov)


def is_connected(sock: socket.socket) -> bool:
    """Whether it has a peer."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_acceptex_in_order(bench: Bench) -> None:
    """Several wait on one listener; the first gets the first connection."""
    listener = bench.bind(bench.listener(), 125)
    targets = [bench.stream() for _ in range(3)]
    calls = [accept(listener, target) for target in targets]
    clients = [client_of(bench, listener) for _ in range(3)]
    assert [bench.packet() for _ in calls] == [(0, 0, 125, call.ov) for call in calls]
    assert [target.getpeername() for target in targets] == [client.getsockname() for client in clients]


def test_a_silent_connection_does_not_hold_up_the_next(bench: Bench) -> None:
    """An accept that waits for data lets the next one have its connection."""
    listener = bench.bind(bench.listener(), 125)
    silent, quick = accept(listener, bench.stream(), 100), accept(listener, bench.stream(), 100)
    first, second = client_of(bench, listener), client_of(bench, listener)
    second.sendall(b"quick")
    assert bench.packet() == (0, 5, 125, quick.ov)
    first.sendall(b"slow")
    assert bench.packet() == (0, 4, 125, silent.ov)


def test_i43_closing_the_listener(bench: Bench) -> None:
    """I-43, M-21: every accept ends with 995, also one that waits for data, whose peer sees the end."""
    listener = bench.bind(bench.listener(), 125)
    target = bench.stream()
    calls = [accept(listener, target, 100), accept(listener, bench.stream())]
    client = client_of(bench, listener)
    eventually(lambda: not bench.no_packet() or is_connected(target), "the first is accepted")
    assert win32.closesocket(listener.detach()) == 0
    assert {bench.packet()[3] for _ in calls} == {call.ov for call in calls}
    assert {call.ov.Internal for call in calls} == {status.STATUS_CANCELLED}
    assert client.recv(1) == b""


def test_closing_the_accept_socket(bench: Bench) -> None:
    """Fact sock-acceptex-destclose: 995 at the listener, before and after the connection; the listener lives on."""
    listener = bench.bind(bench.listener(), 125)
    for has_client in (False, True):
        target = bench.stream()
        call = accept(listener, target, 100)
        if has_client:
            client_of(bench, listener)
            eventually(partial(is_connected, target), "it is accepted")
        assert win32.closesocket(target.detach()) == 0
        assert bench.packet() == (995, 0, 125, call.ov)
    last = accept(listener, bench.stream())
    client_of(bench, listener)
    assert bench.packet() == (0, 0, 125, last.ov)


def test_cancelled_accept(bench: Bench) -> None:
    """I-41: a cancelled accept leaves its socket unconnected; a connection that had come ends."""
    listener = bench.bind(bench.listener(), 125)
    target = bench.stream()
    call = accept(listener, target, 100)
    client = client_of(bench, listener)
    eventually(lambda: not bench.no_packet() or is_connected(target), "it is accepted")
    assert win32.CancelIoEx(listener.fileno(), call.ov)
    assert bench.packet() == (995, 0, 125, call.ov)
    assert client.recv(1) == b""
    assert not is_connected(target)
    again = accept(listener, target)
    client_of(bench, listener)
    assert bench.packet() == (0, 0, 125, again.ov)


def test_acceptex_refusals(bench: Bench) -> None:
    """What is wrong with an accept is told at once, and nothing is queued."""
    listener = bench.bind(bench.listener(), 125)
    own, _ = bench.pair(key=None)
    bound, fresh, other = bench.stream(bound=True), bench.stream(), bench.stream(socket.AF_INET6)
    for target in (own, bound, other, listener):
        assert accept(listener, target).error == status.WSAEINVAL
    assert accept(fresh, bench.stream()).error == status.WSAEINVAL
    assert accept(own, fresh).error == status.WSAEINVAL
    assert accept(listener, fresh, buffer=bytearray(10)).error == status.WSAEFAULT
    first = accept(listener, fresh)
    assert first.is_pending
    assert accept(listener, fresh).error == status.WSAEINVAL
    call = Call()
    assert not call.make(win32.AcceptEx, listener.fileno(), 19999, bytearray(99), 0, call.ov)
    assert call.error == status.WSAENOTSOCK
    assert not call.make(win32.AcceptEx, listener.fileno(), fresh.fileno(), bytearray(99), 0, None)
    assert call.error == 87
    client_of(bench, listener)
    assert bench.packet() == (0, 0, 125, first.ov)
    assert bench.no_packet()


def test_plain_accept(bench: Bench) -> None:
    """accept waits, visibly, and queues nothing; a non-blocking listener answers 10035."""
    listener = bench.bind(bench.listener())
    client = client_of(bench, listener)
    accepted = win32.accept(listener.fileno())
    assert accepted.addr == client.getsockname()
    bench.adopt(socket.socket(fileno=accepted.ret))
    listener.setblocking(False)
    assert win32.accept(listener.fileno()).ret == win32.INVALID_SOCKET
    assert win32.GetLastError() == status.WSAEWOULDBLOCK
    assert win32.accept(client.fileno()).ret == win32.INVALID_SOCKET
    assert win32.GetLastError() == status.WSAEINVAL
    assert bench.no_packet()


# -- ConnectEx ---------------------------------------------------------------------------------------------------


def test_connectex(bench: Bench, family: int) -> None:
    """Facts sock-connectex and sock-connectex-data: it pends, and its packet counts the data."""
    listener = bench.listener(family)
    for data in (b"", b"one"):
        sock = bench.bind(bench.stream(family, bound=True), 5)
        call = connect(sock, listener.getsockname(), data)
        assert call.is_pending
        assert bench.packet() == (0, len(data), 5, call.ov)
        assert call.ov.Internal == 0
        server = bench.adopt(listener.accept()[0])
        assert server.recv(len(data)) == data
        assert win32.setsockopt(sock.fileno(), win32.SOL_SOCKET, win32.SO_UPDATE_CONNECT_CONTEXT, 0) == 0
        assert os.get_blocking(sock.fileno())
        receive = bench.recv(sock)
        server.sendall(b"two")
        assert bench.packet() == (0, 3, 5, receive.ov)


def test_m11_connectex_refused(bench: Bench, family: int) -> None:
    """M-11: refused is 1225 in a packet, also where success is skipped."""
    dead = bench.stream(family, bound=True)
    sock = bench.bind(bench.stream(family, bound=True), 5)
    assert win32.SetFileCompletionNotificationModes(sock.fileno(), 1)
    call = connect(sock, dead.getsockname())
    assert call.is_pending
    assert bench.packet() == (1225, 0, 5, call.ov)
    assert call.ov.Internal == status.STATUS_CONNECTION_REFUSED


def test_another_attempt_after_a_refusal(bench: Bench, family: int) -> None:
    """A socket whose attempt was refused may try again, with ConnectEx and with connect."""
    dead, listener = bench.stream(family, bound=True), bench.listener(family)
    sock = bench.bind(bench.stream(family, bound=True), 5)
    assert (connect(sock, dead.getsockname()).is_pending, bench.packet()[0]) == (True, 1225)
    again = connect(sock, listener.getsockname())
    assert bench.packet() == (0, 0, 5, again.ov)
    other = bench.bind(bench.stream(family, bound=True), 6)
    assert (connect(other, dead.getsockname()).is_pending, bench.packet()[0]) == (True, 1225)
    other.setblocking(False)
    win32.connect(other.fileno(), listener.getsockname())
    assert win32.GetLastError() == status.WSAEWOULDBLOCK
    assert bench.adopt(listener.accept()[0]).getpeername() == sock.getsockname()
    assert bench.adopt(listener.accept()[0]).getpeername() == other.getsockname()


def test_m15_low_bit_of_the_event(bench: Bench) -> None:
    """M-15: with the low bit of hEvent set the event fires and no packet comes."""
    listener = bench.listener()
    sock = bench.bind(bench.stream(bound=True), 5)
    event = win32.CreateEventW(True, False)
    call = Call()
    call.ov.hEvent = event | 1
    call.make(win32.ConnectEx, sock.fileno(), listener.getsockname(), None, 0, call.ov)
    assert call.is_pending
    assert win32.WaitForSingleObject(event, int(DEADLINE * 1000)) == 0
    assert win32.GetOverlappedResult(sock.fileno(), call.ov, False) == (True, 0)
    assert bench.no_packet(10)
    assert win32.CloseHandle(event)


def test_connectex_refusals(bench: Bench) -> None:
    """What is wrong with a connect is told at once, and nothing is queued."""
    listener = bench.listener()
    address = listener.getsockname()
    assert connect(bench.bind(bench.stream()), address).error == status.WSAEINVAL
    bound = bench.bind(bench.stream(bound=True))
    assert connect(bound, ("127.0.0.1", 0)).error == status.WSAEADDRNOTAVAIL
    assert connect(bound, ("0.0.0.0", 80)).error == status.WSAEADDRNOTAVAIL
    assert connect(bound, ("localhost", 80)).error == status.WSAEINVAL
    assert connect(listener, address).error == status.WSAEINVAL
    own, _ = bench.pair()
    assert connect(own, address).error == status.WSAEISCONN
    assert bench.no_packet()


def test_cancelled_connect(bench: Bench) -> None:
    """I-41: a connect that nobody answers is cancelled, and the socket can connect to somebody else."""
    full = bench.adopt(socket.socket())
    full.bind(ANY_PORT)
    full.listen(0)
    fillers = [bench.stream() for _ in range(8)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    sock = bench.bind(bench.stream(bound=True), 5)
    name = sock.getsockname()
    call = connect(sock, full.getsockname())
    assert call.is_pending
    assert bench.no_packet(10)
    assert bench.recv(sock).error == status.WSAENOTCONN
    assert win32.CancelIoEx(sock.fileno(), call.ov)
    assert bench.packet() == (995, 0, 5, call.ov)
    assert sock.getsockname() == name
    again = connect(sock, bench.listener().getsockname())
    assert bench.packet() == (0, 0, 5, again.ov)


def test_plain_connect(bench: Bench) -> None:
    """connect queues nothing, waiting or not; its errors are Winsock's (fact sock-connect-nopacket)."""
    listener = bench.listener()
    sock = bench.bind(bench.stream())
    assert win32.connect(sock.fileno(), listener.getsockname()) == 0
    server = bench.adopt(listener.accept()[0])
    receive = bench.recv(sock)
    server.sendall(b"abc")
    assert bench.packet() == (0, 3, 1, receive.ov)
    assert win32.connect(sock.fileno(), listener.getsockname()) == -1
    assert win32.GetLastError() == status.WSAEISCONN
    dead = bench.stream(bound=True)
    refused = bench.bind(bench.stream())
    assert win32.connect(refused.fileno(), dead.getsockname()) == -1
    assert win32.GetLastError() == status.WSAECONNREFUSED
    eager = bench.bind(bench.stream())
    eager.setblocking(False)
    assert win32.connect(eager.fileno(), listener.getsockname()) == -1
    assert win32.GetLastError() == status.WSAEWOULDBLOCK
    bench.adopt(listener.accept()[0])
    assert bench.no_packet()


# -- the send queue ----------------------------------------------------------------------------------------------


BIG = bytes(range(256)) * (4 << 10)
"""One megabyte: more than narrow buffers take at once."""


def narrow_pair(bench: Bench) -> tuple[socket.socket, socket.socket]:
    """A connection whose host takes little at once."""
    own, peer = bench.pair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
    return own, peer


def received(peer: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    parts: list[bytes] = []
    while size:
        parts.append(peer.recv(min(size, 1 << 16)))
        assert parts[-1], "the stream ended"
        size -= len(parts[-1])
    return b"".join(parts)


def test_sends_end_early_and_then_pend(bench: Bench) -> None:
    """clients.md 8.4: a send of any size ends at once; while SO_SNDBUF bytes wait, the next ones pend, in order."""
    own, peer = narrow_pair(bench)
    source = bytearray(BIG)
    first = bench.send(own, source)
    assert first.answer == (0, len(BIG))
    source[:] = bytes(len(source))  # the buffer is free
    assert bench.packet() == (0, len(BIG), 1, first.ov)
    pending = [bench.send(own, bytes([65 + at]) * 1000) for at in range(3)]
    assert all(call.is_pending for call in pending)
    assert bench.no_packet(10)
    assert received(peer, len(BIG)) == BIG
    assert received(peer, 3000) == b"A" * 1000 + b"B" * 1000 + b"C" * 1000
    assert [bench.packet() for _ in pending] == [(0, 1000, 1, call.ov) for call in pending]


def test_no_send_buffer(bench: Bench) -> None:
    """With SO_SNDBUF 0 a send pends until the host has taken all of it."""
    own, peer = narrow_pair(bench)
    assert win32.setsockopt(own.fileno(), win32.SOL_SOCKET, win32.SO_SNDBUF, 0) == 0
    assert win32.getsockopt(own.fileno(), win32.SOL_SOCKET, win32.SO_SNDBUF) == (0, 0)
    call = bench.send(own, BIG)
    assert call.is_pending
    assert bench.no_packet(10)
    assert received(peer, len(BIG)) == BIG
    assert bench.packet() == (0, len(BIG), 1, call.ov)


def test_cancelled_send(bench: Bench) -> None:
    """I-41: a send that pends can be cancelled; the bytes before and after it arrive."""
    own, peer = narrow_pair(bench)
    first = bench.send(own, BIG)
    assert bench.packet() == (0, len(BIG), 1, first.ov)
    second, third = bench.send(own, b"second"), bench.send(own, b"third")
    assert win32.CancelIoEx(own.fileno(), second.ov)
    assert bench.packet() == (995, 0, 1, second.ov)
    assert received(peer, len(BIG) + 5) == BIG + b"third"
    assert bench.packet() == (0, 5, 1, third.ov)


def test_close_after_sends(bench: Bench) -> None:
    """What was sent arrives after the socket is closed, and then the end."""
    own, peer = narrow_pair(bench)
    assert bench.send(own, BIG).answer == (0, len(BIG))
    bench.packet()
    assert win32.closesocket(own.detach()) == 0
    assert received(peer, len(BIG)) == BIG
    assert peer.recv(1) == b""


def test_shutdown_after_sends(bench: Bench) -> None:
    """A shutdown of sending comes after what was sent; receiving goes on."""
    own, peer = narrow_pair(bench)
    assert bench.send(own, BIG).answer == (0, len(BIG))
    bench.packet()
    assert win32.shutdown(own.fileno(), win32.SD_SEND) == 0
    assert bench.send(own, b"x").error == status.WSAESHUTDOWN
    receive = bench.recv(own)
    assert received(peer, len(BIG)) == BIG
    assert peer.recv(1) == b""
    peer.sendall(b"answer")
    assert bench.packet() == (0, 6, 1, receive.ov)


def test_plain_send_after_overlapped_ones(bench: Bench) -> None:
    """A plain send comes after what is queued, and waits when it has to."""
    own, peer = narrow_pair(bench)
    assert bench.send(own, BIG).answer == (0, len(BIG))
    bench.packet()
    reader = threading.Thread(target=lambda: got.append(received(peer, len(BIG) + 3)))
    got: list[bytes] = []
    reader.start()
    assert win32.send(own.fileno(), b"end", 3) == 3
    reader.join(DEADLINE)
    assert got == [BIG + b"end"]


def test_reset_with_bytes_queued(bench: Bench) -> None:
    """A reset ends what pends, and what is queued is lost."""
    own, peer = narrow_pair(bench)
    bench.send(own, BIG)
    bench.packet()
    pending = bench.send(own, b"x")
    receive = bench.recv(own)
    reset(peer)
    assert {bench.packet() for _ in range(2)} == {(64, 0, 1, pending.ov), (64, 0, 1, receive.ov)}
    assert bench.device(own).unsent_bytes == 0


# -- DisconnectEx ------------------------------------------------------------------------------------------------


def test_disconnectex(bench: Bench) -> None:
    """Fact sock-disconnectex: it pends and brings a packet, also where success is skipped; NULL waits and does not."""
    own, peer = bench.pair()
    assert win32.SetFileCompletionNotificationModes(own.fileno(), 1)
    call = Call()
    assert not call.make(win32.DisconnectEx, own.fileno(), call.ov, 0)
    assert call.is_pending
    assert bench.packet() == (0, 0, 1, call.ov)
    assert peer.recv(1) == b""
    assert bench.send(own, b"x").error == status.WSAESHUTDOWN
    other, other_peer = bench.pair()
    assert win32.DisconnectEx(other.fileno(), None, 0)
    assert other_peer.recv(1) == b""
    assert bench.no_packet()
    unconnected = bench.bind(bench.stream())
    assert not call.make(win32.DisconnectEx, unconnected.fileno(), call.ov, 0)
    assert call.error == status.WSAENOTCONN


def test_disconnectex_after_sends(bench: Bench) -> None:
    """The disconnect ends when everything is sent."""
    own, peer = narrow_pair(bench)
    bench.send(own, BIG)
    bench.packet()
    call = Call()
    call.make(win32.DisconnectEx, own.fileno(), call.ov, 0)
    assert call.is_pending
    assert bench.no_packet(10)
    assert received(peer, len(BIG)) == BIG
    assert peer.recv(1) == b""
    assert bench.packet() == (0, 0, 1, call.ov)


def test_reuse_of_a_socket(bench: Bench) -> None:
    """TF_REUSE_SOCKET: an accepted socket accepts again, a connected one connects again; the port stays."""
    listener = bench.bind(bench.listener(), 125)
    target = bench.bind(bench.stream(), 7)
    for _ in range(2):
        call = accept(listener, target)
        client = client_of(bench, listener)
        assert bench.packet() == (0, 0, 125, call.ov)
        client.sendall(b"abc")
        receive = bench.recv(target)
        assert bench.packet() == (0, 3, 7, receive.ov)
        leave = Call()
        leave.make(win32.DisconnectEx, target.fileno(), leave.ov, win32.TF_REUSE_SOCKET)
        assert bench.packet() == (0, 0, 7, leave.ov)
        assert client.recv(1) == b""
    sock = bench.bind(bench.stream(bound=True), 8)
    for _ in range(2):
        going = connect(sock, listener.getsockname())
        assert bench.packet() == (0, 0, 8, going.ov)
        leave = Call()
        leave.make(win32.DisconnectEx, sock.fileno(), leave.ov, win32.TF_REUSE_SOCKET)
        assert bench.packet() == (0, 0, 8, leave.ov)
        bench.adopt(listener.accept()[0])


# -- TransmitFile ------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """A synchronous file handle, and what the file holds."""
    path = tmp_path / "page"
    content = os.urandom(300_000)
    path.write_bytes(content)
    handle = win32.CreateFileW(str(path), win32.GENERIC_READ, 7, win32.OPEN_EXISTING, 0)
    yield handle, content
    win32.CloseHandle(handle)


def transmit(sock: socket.socket, file: int | None, count: int = 0, offset: int = 0, **more: Any) -> Call:
    """TransmitFile."""
    call = Call()
    call.ov.Offset = offset
    call.answer = call.make(
        win32.TransmitFile, sock.fileno(), file, count, call.ov, more.pop("flags", 0), **more
    )
    return call


def test_transmitfile(bench: Bench, file: tuple[int, bytes]) -> None:
    """Head, a part of the file, tail: one operation that pends and counts all three."""
    own, peer = bench.pair()
    handle, content = file
    call = transmit(own, handle)
    assert call.is_pending
    assert received(peer, len(content)) == content
    assert bench.packet() == (0, len(content), 1, call.ov)
    part = transmit(own, handle, 1000, 77, lpTransmitBuffers=(b"head", b"tail"), nNumberOfBytesPerSend=300)
    assert received(peer, 1008) == b"head" + content[77:1077] + b"tail"
    assert bench.packet() == (0, 1008, 1, part.ov)
    ends = transmit(own, None, lpTransmitBuffers=(b"he", b"ad"))
    assert received(peer, 4) == b"head"
    assert bench.packet() == (0, 4, 1, ends.ov)
    beyond = transmit(own, handle, 0, len(content) + 5)
    assert bench.packet() == (0, 0, 1, beyond.ov)


def test_transmitfile_position(bench: Bench, file: tuple[int, bytes]) -> None:
    """Without an OVERLAPPED it waits, starts where the file stands, and advances that."""
    own, peer = bench.pair()
    handle, content = file
    for start in (0, 1000):
        assert win32.TransmitFile(own.fileno(), handle, 1000, None, 0)
        assert received(peer, 1000) == content[start : start + 1000]
    assert bench.no_packet()


def test_transmitfile_and_disconnect(bench: Bench, file: tuple[int, bytes]) -> None:
    """TF_DISCONNECT says the end afterwards, TF_REUSE_SOCKET makes the socket unconnected."""
    handle, content = file
    for flags in (win32.TF_DISCONNECT, win32.TF_DISCONNECT | win32.TF_REUSE_SOCKET):
        own, peer = bench.pair()
        call = transmit(own, handle, flags=flags)
        assert received(peer, len(content)) == content
        assert peer.recv(1) == b""
        assert bench.packet() == (0, len(content), 1, call.ov)
        assert is_connected(own) == (flags == win32.TF_DISCONNECT)


def test_transmitfile_to_a_slow_peer(bench: Bench, file: tuple[int, bytes], tmp_path: Path) -> None:
    """A file larger than every buffer pends; it can be cancelled, and other sends come after it."""
    own, peer = narrow_pair(bench)
    assert win32.setsockopt(own.fileno(), win32.SOL_SOCKET, win32.SO_SNDBUF, 0) == 0
    path = tmp_path / "big"
    path.write_bytes(BIG)
    big = win32.CreateFileW(str(path), win32.GENERIC_READ, 7, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)
    call = transmit(own, big)
    after = bench.send(own, b"after")
    assert after.is_pending
    assert win32.CloseHandle(big)
    assert bench.no_packet(10)
    assert received(peer, len(BIG) + 5) == BIG + b"after"
    assert bench.packet() == (0, len(BIG), 1, call.ov)
    assert bench.packet() == (0, 5, 1, after.ov)
    big = win32.CreateFileW(str(path), win32.GENERIC_READ, 7, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)
    call = transmit(own, big)
    assert win32.CancelIoEx(own.fileno(), None)
    assert bench.packet()[0] == 995
    assert win32.CloseHandle(big)


def test_transmitfile_refusals(bench: Bench, file: tuple[int, bytes], tmp_path: Path) -> None:
    """No connection, no file, no right, shut down: told at once."""
    handle, _ = file
    own, _ = bench.pair()
    assert transmit(bench.bind(bench.stream()), handle).error == status.WSAENOTCONN
    assert transmit(own, 0x40FFFF00).error == 6
    write_only = win32.CreateFileW(str(tmp_path / "w"), win32.GENERIC_WRITE, 7, win32.CREATE_NEW, 0)
    assert transmit(own, write_only).error == 5
    assert win32.CloseHandle(write_only)
    assert win32.shutdown(own.fileno(), win32.SD_SEND) == 0
    assert transmit(own, handle).error == status.WSAESHUTDOWN
    assert bench.no_packet()
