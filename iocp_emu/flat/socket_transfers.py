"""Winsock calls that move data: WSARecv and WSASend with their relatives, and the plain recv and send.

Theory.  Each call makes an operation and has it issued by `winsock`: with an OVERLAPPED in one step, without one so
that it waits.  The plain calls are the others without an OVERLAPPED.

Rules of this file: I-02 to I-05, I-09, I-50, I-51, I-53, Q-23; facts sock-imm-read, sock-graceful, sock-rst-*,
sock-notconn, sock-apc-invalid, afd-recv-after-shutdown, afd-udp-short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .. import status
from ..kernel.objects import NtError
from ..overlapped.host_sockets import Address, Received
from ..overlapped.socket_requests import Operation, Receive, Send
from ..overlapped.sockets import SocketDevice
from .constants import SOCKET_ERROR
from .support import OVERLAPPED, UNTOUCHED, Caller, Handle, Untouched
from .winsock import (
    SOCKADDR,
    SocketRoutine,
    address_for,
    answer,
    flags_of,
    host_flags,
    overlapped_call,
    views_of,
    waiting_call,
    winsock,
)

Make = Callable[[Caller, SocketDevice], Operation]

LARGEST_CONTROL_BYTES = 4096
"""Room for the control data of a message."""


class Sent(NamedTuple):
    """What `WSASend` and `WSASendTo` return."""

    ret: int
    lpNumberOfBytes: int | Untouched


class ReceivedBytes(NamedTuple):
    """What `WSARecv`, `WSARecvFrom` and `WSARecvMsg` return."""

    ret: int
    lpNumberOfBytes: int | Untouched
    lpFlags: int | Untouched


class ReceivedFrom(NamedTuple):
    """What `recvfrom` returns."""

    ret: int
    from_: Address


@dataclass(slots=True)
class WSAMSG:
    """A message: `name` is its address, `lpBuffers` its bytes, `Control` a list of (level, type, data).

    `WSARecvMsg` fills in everything but the list of buffers when it ends.
    """

    lpBuffers: list[Any]
    name: Address = None
    Control: list[tuple[int, int, bytes]] = field(default_factory=list[tuple[int, int, bytes]])
    dwFlags: int = 0


NOTHING_SENT = Sent(SOCKET_ERROR, UNTOUCHED)
NOTHING_RECEIVED = ReceivedBytes(SOCKET_ERROR, UNTOUCHED, UNTOUCHED)


# -- receiving ---------------------------------------------------------------------------------------------------


def _receive(
    s: Handle, overlapped: OVERLAPPED | None, routine: SocketRoutine | None, make: Make
) -> ReceivedBytes:
    if overlapped is None:
        code, count, _ = waiting_call(s, make)
    else:
        code = overlapped_call(s, overlapped, make, routine)
        count = overlapped.information
    if answer(code):
        return NOTHING_RECEIVED
    return ReceivedBytes(0, count, flags_of(code))


@winsock(NOTHING_RECEIVED)
def WSARecv(
    s: Handle,
    lpBuffer: Any,
    dwLength: int,
    dwFlags: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpCompletionRoutine: SocketRoutine | None = None,
) -> ReceivedBytes:
    """Receive up to `dwLength` bytes into a buffer, or into several one after the other.

    0 with the count when it ended within the call, and a packet all the same (I-02); 0 bytes: the peer has closed.  A
    `dwLength` of 0 on a stream ends when there is something to receive (I-51).  `dwFlags`: MSG_PEEK, MSG_WAITALL,
    MSG_OOB.  Without an OVERLAPPED it waits, visibly (Q-23).
    SOCKET_ERROR: 997 pending; 10054 reset, 10057 not connected, 10058 shut down for receiving, 10040 a message was cut
    (with a packet, I-04), 10022 a routine on a socket with a port, 10035, 10014, 10038, 6.
    """

    def make(_: Caller, __: SocketDevice) -> Operation:
        return Receive(views_of(lpBuffer, dwLength, writable=True), host_flags(dwFlags))

    return _receive(s, lpOverlapped, lpCompletionRoutine, make)


@winsock(NOTHING_RECEIVED)
def WSARecvFrom(
    s: Handle,
    lpBuffer: Any,
    dwLength: int,
    dwFlags: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpFrom: SOCKADDR | None = None,
    lpCompletionRoutine: SocketRoutine | None = None,
) -> ReceivedBytes:
    """As `WSARecv`, with the sender's address in `lpFrom` when it ends.

    An earlier message of this socket that nobody took ends it with 10054 (1234 at the port).
    """

    def note(received: Received) -> None:
        if lpFrom is not None:
            lpFrom.address = received.address

    def make(_: Caller, __: SocketDevice) -> Operation:
        return Receive(views_of(lpBuffer, dwLength, writable=True), host_flags(dwFlags), note)

    return _receive(s, lpOverlapped, lpCompletionRoutine, make)


@winsock(NOTHING_RECEIVED)
def WSARecvMsg(
    s: Handle,
    lpMsg: WSAMSG,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpCompletionRoutine: SocketRoutine | None = None,
) -> ReceivedBytes:
    """As `WSARecvFrom`, with address, control data and flags of the message in `lpMsg`."""

    def note(received: Received) -> None:
        lpMsg.name, lpMsg.Control = received.address, received.control
        lpMsg.dwFlags = flags_of(status.STATUS_BUFFER_OVERFLOW if received.is_truncated else status.STATUS_SUCCESS)

    def make(_: Caller, device: SocketDevice) -> Operation:
        if device.is_stream:
            raise NtError(status.STATUS_NOT_SUPPORTED)
        size = sum(memoryview(each).nbytes for each in lpMsg.lpBuffers)
        views = views_of(lpMsg.lpBuffers, size, writable=True)
        return Receive(views, host_flags(lpMsg.dwFlags), note, LARGEST_CONTROL_BYTES)

    return _receive(s, lpOverlapped, lpCompletionRoutine, make)


@winsock(SOCKET_ERROR)
def recv(s: Handle, buf: Any, len: int, flags: int = 0) -> int:
    """The bytes received; 0 when the peer has closed.  SOCKET_ERROR: as `WSARecv`.  Blocks, visibly (Q-23)."""
    received = WSARecv(s, buf, len, flags, None)
    return received.ret or _count(received.lpNumberOfBytes)


@winsock(ReceivedFrom(SOCKET_ERROR, None))
def recvfrom(s: Handle, buf: Any, len: int, flags: int = 0) -> ReceivedFrom:
    """As `recv`, with the sender's address."""
    sender = SOCKADDR()
    received = WSARecvFrom(s, buf, len, flags, None, lpFrom=sender)
    return ReceivedFrom(received.ret or _count(received.lpNumberOfBytes), sender.address)


def _count(count: int | Untouched) -> int:
    assert isinstance(count, int)
    return count


# -- sending -----------------------------------------------------------------------------------------------------


def _send(s: Handle, overlapped: OVERLAPPED | None, routine: SocketRoutine | None, make: Make) -> Sent:
    if overlapped is None:
        code, count, _ = waiting_call(s, make)
    else:
        code = overlapped_call(s, overlapped, make, routine)
        count = overlapped.information
    return Sent(0, count) if answer(code) == 0 else NOTHING_SENT


@winsock(NOTHING_SENT)
def WSASend(
    s: Handle,
    lpBuffer: Any,
    dwLength: int,
    dwFlags: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpCompletionRoutine: SocketRoutine | None = None,
) -> Sent:
    """Send `dwLength` bytes of a buffer, or of several one after the other; all of them or none.

    0 with the count, and a packet all the same (I-02), as long as less than SO_SNDBUF bytes wait to be sent; then the
    buffer is free.  Without an OVERLAPPED it waits, visibly (Q-23).
    SOCKET_ERROR: 997 pending; 10054 reset, 10057 not connected, 10058 shut down for sending, 10040 too long a message,
    10022 a routine on a socket with a port, 10035, 10014, 10038, 6.
    """

    def make(_: Caller, __: SocketDevice) -> Operation:
        return Send(views_of(lpBuffer, dwLength, writable=False), host_flags(dwFlags))

    return _send(s, lpOverlapped, lpCompletionRoutine, make)


@winsock(NOTHING_SENT)
def WSASendTo(
    s: Handle,
    lpBuffer: Any,
    dwLength: int,
    dwFlags: int,
    lpTo: Address,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpCompletionRoutine: SocketRoutine | None = None,
) -> Sent:
    """As `WSASend`, to the address `lpTo`; None: to the socket's peer.  On a stream the address means nothing."""

    def make(_: Caller, device: SocketDevice) -> Operation:
        address = None if lpTo is None or device.is_stream else address_for(device, lpTo)
        return Send(views_of(lpBuffer, dwLength, writable=False), host_flags(dwFlags), address)

    return _send(s, lpOverlapped, lpCompletionRoutine, make)


@winsock(NOTHING_SENT)
def WSASendMsg(
    s: Handle,
    lpMsg: WSAMSG,
    dwFlags: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    lpCompletionRoutine: SocketRoutine | None = None,
) -> Sent:
    """As `WSASendTo`, with the address, the buffers and the control data of `lpMsg`."""

    def make(_: Caller, device: SocketDevice) -> Operation:
        if device.is_stream:
            raise NtError(status.STATUS_NOT_SUPPORTED)
        size = sum(memoryview(each).nbytes for each in lpMsg.lpBuffers)
        address = None if lpMsg.name is None else address_for(device, lpMsg.name)
        views = views_of(lpMsg.lpBuffers, size, writable=False)
        return Send(views, host_flags(dwFlags), address, lpMsg.Control)

    return _send(s, lpOverlapped, lpCompletionRoutine, make)


@winsock(SOCKET_ERROR)
def send(s: Handle, buf: Any, len: int, flags: int = 0) -> int:
    """Send all; the bytes sent.  SOCKET_ERROR: as `WSASend`.  Blocks, visibly (Q-23)."""
    sent = WSASend(s, buf, len, flags, None)
    return sent.ret or _count(sent.lpNumberOfBytes)


@winsock(SOCKET_ERROR)
def sendto(s: Handle, buf: Any, len: int, flags: int, to: Address) -> int:
    """As `send`, to the address `to`."""
    sent = WSASendTo(s, buf, len, flags, to, None)
    return sent.ret or _count(sent.lpNumberOfBytes)
