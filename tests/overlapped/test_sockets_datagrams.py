"""Datagram sockets: messages, their addresses, what is cut, and ICMP errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from iocp_emu import status, win32

from .socket_support import Bench, Call, bench_in_use, readable, running_reactor

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


class ReceiveFrom(Call):
    """A WSARecvFrom."""

    def __init__(self, sock: socket.socket, size: int = 16) -> None:
        super().__init__()
        self.sender = win32.SOCKADDR()
        self.buffer = bytearray(size)
        self.answer = self.make(
            win32.WSARecvFrom, sock.fileno(), self.buffer, size, 0, self.ov, lpFrom=self.sender
        )


def dead_address(family: int) -> tuple[str, int]:
    """Where nobody receives."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        name: tuple[str, int] = sock.getsockname()[:2]
    return name


def test_messages_and_senders(bench: Bench, family: int) -> None:
    """A message waits or is awaited; its sender is known when the receive has ended, not before."""
    receiver, sender = bench.bind(bench.datagram(family), 3), bench.datagram(family)
    pending = ReceiveFrom(receiver)
    assert pending.is_pending
    assert pending.sender.address is None
    sender.sendto(b"first", receiver.getsockname())
    assert bench.packet() == (0, 5, 3, pending.ov)
    assert pending.sender.address == sender.getsockname()
    sender.sendto(b"second", receiver.getsockname())
    readable(receiver)
    at_once = ReceiveFrom(receiver)
    assert at_once.answer == (0, 6, 0)
    assert at_once.sender.address == sender.getsockname()
    assert bench.packet() == (0, 6, 3, at_once.ov)


def test_i04_messages_that_are_cut(bench: Bench, family: int) -> None:
    """I-04, fact afd-udp-short: a warning, with a packet: 10040 at once, 234 at the port, and the part that fits."""
    receiver, sender = bench.bind(bench.datagram(family), 3), bench.datagram(family)
    pending = ReceiveFrom(receiver, 2)
    sender.sendto(b"dgram", receiver.getsockname())
    assert bench.packet() == (234, 2, 3, pending.ov)
    assert bytes(pending.buffer) == b"dg"
    assert win32.WSAGetOverlappedResult(receiver.fileno(), pending.ov, False) == (False, 2, win32.MSG_PARTIAL)
    assert win32.GetLastError() == status.WSAEMSGSIZE
    sender.sendto(b"dgram", receiver.getsockname())
    readable(receiver)
    at_once = ReceiveFrom(receiver, 2)
    assert (at_once.answer.ret, at_once.error) == (-1, status.WSAEMSGSIZE)
    assert at_once.answer.lpNumberOfBytes is win32.UNTOUCHED
    assert bench.packet() == (234, 2, 3, at_once.ov)
    assert at_once.ov.Internal == status.STATUS_BUFFER_OVERFLOW


def test_i16_cut_messages_where_success_is_skipped(bench: Bench) -> None:
    """I-16: the immediate warning queues nothing then."""
    receiver, sender = bench.bind(bench.datagram(), 3), bench.datagram()
    assert win32.SetFileCompletionNotificationModes(receiver.fileno(), 1)
    sender.sendto(b"dgram", receiver.getsockname())
    readable(receiver)
    assert ReceiveFrom(receiver, 2).error == status.WSAEMSGSIZE
    assert bench.no_packet()


def test_empty_messages(bench: Bench) -> None:
    """A message of no bytes is a message."""
    receiver, sender = bench.bind(bench.datagram(), 3), bench.bind(bench.datagram(), 4)
    pending = ReceiveFrom(receiver)
    call = Call()
    assert call.make(win32.WSASendTo, sender.fileno(), b"", 0, 0, receiver.getsockname(), call.ov) == (0, 0)
    assert bench.packet() == (0, 0, 4, call.ov)
    assert bench.packet() == (0, 0, 3, pending.ov)


def test_sending(bench: Bench) -> None:
    """WSASendTo ends at once, with a packet; with a peer WSASend does too; without one it is 10057."""
    receiver, sender = bench.datagram(), bench.bind(bench.datagram(), 4)
    call = Call()
    assert call.make(win32.WSASendTo, sender.fileno(), b"to", 2, 0, receiver.getsockname(), call.ov) == (0, 2)
    assert bench.packet() == (0, 2, 4, call.ov)
    assert call.make(win32.WSASend, sender.fileno(), b"x", 1, 0, call.ov).ret == -1
    assert call.error == status.WSAENOTCONN
    assert win32.connect(sender.fileno(), receiver.getsockname()) == 0
    assert call.make(win32.WSASend, sender.fileno(), b"peer", 4, 0, call.ov) == (0, 4)
    assert bench.packet() == (0, 4, 4, call.ov)
    assert win32.sendto(sender.fileno(), b"plain", 5, 0, receiver.getsockname()) == 5
    assert [receiver.recv(10) for _ in range(3)] == [b"to", b"peer", b"plain"]
    assert call.make(win32.WSASendTo, sender.fileno(), b"", 0, 0, ("localhost", 9), call.ov).ret == -1
    assert call.error == status.WSAEINVAL
    assert call.make(win32.WSASendTo, sender.fileno(), bytes(70000), 70000, 0, None, call.ov).ret == -1
    assert call.error == status.WSAEMSGSIZE
    with pytest.raises(TypeError):
        win32.sendto(sender.fileno(), b"", 0, 0, "127.0.0.1")
    assert bench.no_packet()


def test_plain_recvfrom(bench: Bench) -> None:
    """recvfrom waits and tells the sender."""
    receiver, sender = bench.datagram(), bench.datagram()
    assert win32.ioctlsocket(receiver.fileno(), 1).ret == 0
    assert win32.recvfrom(receiver.fileno(), bytearray(9), 9) == (-1, None)
    assert win32.GetLastError() == status.WSAEWOULDBLOCK
    sender.sendto(b"abc", receiver.getsockname())
    readable(receiver)
    assert win32.recvfrom(receiver.fileno(), bytearray(9), 9) == (3, sender.getsockname())


def test_whole_messages(bench: Bench) -> None:
    """WSASendMsg and WSARecvMsg gather and scatter, and tell the address; they are not for streams."""
    receiver, sender = bench.bind(bench.datagram(), 3), bench.datagram()
    message = win32.WSAMSG([bytearray(2), bytearray(4)])
    call = Call()
    call.make(win32.WSARecvMsg, receiver.fileno(), message, call.ov)
    assert call.is_pending
    going = win32.WSAMSG([b"ab", b"", b"cd"], receiver.getsockname())
    assert win32.WSASendMsg(sender.fileno(), going, 0, None) == (0, 4)
    assert bench.packet() == (0, 4, 3, call.ov)
    assert message.lpBuffers == [b"ab", b"cd\0\0"]
    assert message.name == sender.getsockname()
    own, _ = bench.pair()
    assert win32.WSARecvMsg(own.fileno(), message, None).ret == -1
    assert win32.GetLastError() == status.WSAEOPNOTSUPP


@pytest.mark.skipif(not hasattr(socket, "MSG_ERRQUEUE"), reason="the host keeps no ICMP errors")
def test_port_unreachable(bench: Bench, family: int) -> None:
    """clients.md 5: a message that nobody took ends a receive of the sender, also of one without a peer."""
    sock = bench.bind(bench.datagram(family), 3)
    dead = dead_address(family)
    pending = ReceiveFrom(sock)
    for _ in range(3):
        # No send ever reports it.
        assert win32.sendto(sock.fileno(), b"x", 1, 0, dead) == 1
    assert bench.packet() == (1234, 0, 3, pending.ov)
    assert pending.ov.Internal == status.STATUS_PORT_UNREACHABLE
    for _ in range(2):
        at_once = ReceiveFrom(sock)
        assert (at_once.answer.ret, at_once.error) == (-1, status.WSAECONNRESET)
    last = ReceiveFrom(sock)
    assert last.is_pending
    sock.sendto(b"me", sock.getsockname())
    assert bench.packet() == (0, 2, 3, last.ov)


@pytest.mark.skipif(not hasattr(socket, "MSG_ERRQUEUE"), reason="the host keeps no ICMP errors")
def test_port_unreachable_with_a_peer(bench: Bench) -> None:
    """The same on a connected datagram socket, whose host tells of it at every call."""
    sock = bench.bind(bench.datagram(), 3)
    assert win32.connect(sock.fileno(), dead_address(socket.AF_INET)) == 0
    assert win32.send(sock.fileno(), b"x", 1) == 1
    assert win32.send(sock.fileno(), b"x", 1) == 1
    errors = [ReceiveFrom(sock).error for _ in range(2)]
    assert errors == [status.WSAECONNRESET] * 2
    assert ReceiveFrom(sock).is_pending
    assert bench.no_packet(10)
    assert win32.CancelIoEx(sock.fileno(), None)
    bench.packet()


@pytest.mark.skipif(not hasattr(socket, "MSG_ERRQUEUE"), reason="the host keeps no ICMP errors")
def test_sio_udp_connreset(bench: Bench) -> None:
    """SIO_UDP_CONNRESET FALSE: nothing is told of it, and receiving goes on."""
    sock = bench.bind(bench.datagram(), 3)
    assert win32.WSAIoctl(sock.fileno(), win32.SIO_UDP_CONNRESET, False) == (0, None, 0)
    pending = ReceiveFrom(sock)
    assert win32.sendto(sock.fileno(), b"x", 1, 0, dead_address(socket.AF_INET)) == 1
    assert bench.no_packet(20)
    sock.sendto(b"me", sock.getsockname())
    assert bench.packet() == (0, 2, 3, pending.ov)


def test_broadcast_and_multicast(bench: Bench) -> None:
    """Options of the host work on the program's sockets; broadcasts go out."""
    receiver, sender = bench.datagram(), bench.datagram()
    port = receiver.getsockname()[1]
    assert win32.setsockopt(sender.fileno(), win32.SOL_SOCKET, win32.SO_BROADCAST, 1) == 0
    assert win32.sendto(sender.fileno(), b"all", 3, 0, ("127.255.255.255", port)) == 3
    member = bench.bind(bench.adopt(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)), 9)
    member.bind(("", 0))
    group = socket.inet_aton("239.255.77.77") + socket.inet_aton("127.0.0.1")
    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    call = ReceiveFrom(member)
    address = ("239.255.77.77", member.getsockname()[1])
    assert win32.sendto(sender.fileno(), b"group", 5, 0, address) == 5
    assert bench.packet() == (0, 5, 9, call.ov)


def test_wsaioctl(bench: Bench) -> None:
    """The base handle is the socket itself, extension functions are found by GUID, the rest is 10045."""
    own, _ = bench.pair()
    number = own.fileno()
    for code in (win32.SIO_BASE_HANDLE, win32.SIO_BSP_HANDLE, win32.SIO_BSP_HANDLE_POLL, win32.SIO_BSP_HANDLE_SELECT):
        assert win32.WSAIoctl(number, code) == (0, number, 8)
    get = win32.SIO_GET_EXTENSION_FUNCTION_POINTER
    assert win32.WSAIoctl(number, get, "b5367df1-cbac-11cf-95ca-00805f48a192").lpvOutBuffer is win32.AcceptEx
    assert win32.WSAIoctl(number, get, bytes(16)).ret == -1
    assert win32.GetLastError() == status.WSAEINVAL
    assert win32.WSAIoctl(number, 0x48000001).ret == -1
    assert win32.GetLastError() == status.WSAEOPNOTSUPP
    waiting = bench.recv(own)
    call = Call()
    assert call.make(win32.WSAIoctl, number, win32.SIO_BASE_HANDLE, None, call.ov) == (0, number, 8)
    assert bench.packet() == (0, 0, 1, call.ov)
    assert waiting.ov.Internal == status.STATUS_PENDING
    assert win32.CancelIoEx(number, None)
    bench.packet()
