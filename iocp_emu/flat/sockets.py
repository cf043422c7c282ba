"""Winsock calls on sockets: making and closing them, their addresses, connections and options.

Theory.  A SOCKET is a descriptor of the host, so sockets made by `socket.socket` are used as they are, by their
`fileno()`.  What the calls have in common is in `winsock`; data is moved in `socket_transfers`; AcceptEx and its
relatives are in `mswsock`.

Rules of this file: I-09, I-43 to I-45, I-53, Q-23; facts sock-connect-nopacket, sock-shutdown-nopacket, sock-close-*.

Own rule.  Plain calls queue no packet, whatever the socket is associated with (I-09).
"""

from __future__ import annotations

import errno
import os
import socket as host
import struct
from typing import Any, NamedTuple

from .. import status
from ..kernel.objects import NtError
from ..overlapped.host_sockets import Address, readable_bytes, status_of
from ..overlapped.socket_requests import Accept, ConnectNow
from ..overlapped.sockets import Shutdown, SocketDevice, close_socket, may_be_descriptor, shut_down
from .constants import (
    AF_INET6,
    FIONBIO,
    FIONREAD,
    INVALID_SOCKET,
    IPPROTO_TCP,
    SD_BOTH,
    SD_RECEIVE,
    SD_SEND,
    SO_ACCEPTCONN,
    SO_BROADCAST,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SO_TYPE,
    SO_UPDATE_ACCEPT_CONTEXT,
    SO_UPDATE_CONNECT_CONTEXT,
    SOCKET_ERROR,
    SOL_SOCKET,
    TCP_NODELAY,
)
from .support import (
    UNTOUCHED,
    Caller,
    Handle,
    Untouched,
    caller,
    dword,
    get_last_error,
    handle_value,
    refusal,
    set_last_error,
)
from .winsock import (
    address_for,
    answer,
    device_at,
    waiting_call,
    winsock,
    with_device,
)

SHUTDOWNS = {SD_RECEIVE: Shutdown.RECEIVE, SD_SEND: Shutdown.SEND, SD_BOTH: Shutdown.RECEIVE | Shutdown.SEND}

OPTIONS = {
    (SOL_SOCKET, SO_ACCEPTCONN): (host.SOL_SOCKET, host.SO_ACCEPTCONN),
    (SOL_SOCKET, SO_REUSEADDR): (host.SOL_SOCKET, host.SO_REUSEADDR),
    (SOL_SOCKET, SO_KEEPALIVE): (host.SOL_SOCKET, host.SO_KEEPALIVE),
    (SOL_SOCKET, SO_BROADCAST): (host.SOL_SOCKET, host.SO_BROADCAST),
    (SOL_SOCKET, SO_LINGER): (host.SOL_SOCKET, host.SO_LINGER),
    (SOL_SOCKET, SO_SNDBUF): (host.SOL_SOCKET, host.SO_SNDBUF),
    (SOL_SOCKET, SO_RCVBUF): (host.SOL_SOCKET, host.SO_RCVBUF),
    (SOL_SOCKET, SO_ERROR): (host.SOL_SOCKET, host.SO_ERROR),
    (SOL_SOCKET, SO_TYPE): (host.SOL_SOCKET, host.SO_TYPE),
    (IPPROTO_TCP, TCP_NODELAY): (host.IPPROTO_TCP, host.TCP_NODELAY),
}
"""Level and option, here and at the host."""

CONTEXTS = frozenset({SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT})
"""Options without meaning here: an accepted or connected socket is complete."""


class Accepted(NamedTuple):
    """What `accept` returns."""

    ret: int
    addr: Address


class Named(NamedTuple):
    """What `getsockname` and `getpeername` return."""

    ret: int
    name: Address


class Option(NamedTuple):
    """What `getsockopt` returns; `optval` is an int, but (on, seconds) for SO_LINGER."""

    ret: int
    optval: Any


class Controlled(NamedTuple):
    """What `ioctlsocket` returns."""

    ret: int
    argp: int | Untouched


# -- making and closing ------------------------------------------------------------------------------------------


@winsock(INVALID_SOCKET)
def WSASocketW(af: int, type: int, protocol: int) -> int:
    """A new socket of the host, overlapped as every socket here; its descriptor.

    `af`: AF_INET, AF_INET6 (23, or the host's number), or another family of the host.  INVALID_SOCKET -1: 10047 and
    others of the host.  Never blocks.
    """
    try:
        return host.socket(host.AF_INET6 if af == AF_INET6 else af, type, protocol).detach()
    except OSError as error:
        raise NtError(status_of(error)) from None


def socket(af: int, type: int, protocol: int) -> int:
    """`WSASocketW`."""
    return WSASocketW(af, type, protocol)


@winsock(SOCKET_ERROR)
def closesocket(s: Handle) -> int:
    """Close a socket; what it has under way ends with its packets (I-43), nothing else is queued (I-45).

    Bytes that were sent still go out, but for SO_LINGER with a time of 0, which resets the connection.  Never blocks,
    but for another linger time on a blocking socket.  SOCKET_ERROR: 10038.
    """
    me = caller()
    value = handle_value(s)
    if may_be_descriptor(value):
        close_socket(me.system, value)
    else:
        me.perform(_close_handle, me, s)
    return 0


def _close_handle(me: Caller, s: Handle) -> None:
    device_at(me, s)
    me.system.process.handles.close(handle_value(s))


@winsock(SOCKET_ERROR)
def shutdown(s: Handle, how: int) -> int:
    """End receiving (SD_RECEIVE), sending (SD_SEND), after what was sent, or both; no packet comes (I-09).

    SOCKET_ERROR: 10022 for another `how`, 10057, 10038.  Never blocks.
    """
    directions = SHUTDOWNS.get(how)
    if directions is None:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    with_device(s, lambda device: shut_down(device, directions))
    return 0


def WSASendDisconnect(s: Handle) -> int:
    """`shutdown` of sending."""
    return shutdown(s, SD_SEND)


def WSARecvDisconnect(s: Handle) -> int:
    """`shutdown` of receiving."""
    return shutdown(s, SD_RECEIVE)


# -- addresses and connections -----------------------------------------------------------------------------------


@winsock(SOCKET_ERROR)
def bind(s: Handle, name: Address) -> int:
    """Give the socket a local address.  SOCKET_ERROR: 10048, 10049, 10022 bound already, 10038.  Never blocks."""
    with_device(s, lambda device: device.host.bind(address_for(device, name)))
    return 0


@winsock(SOCKET_ERROR)
def listen(s: Handle, backlog: int) -> int:
    """Let connections come, `backlog` of them without being accepted.  SOCKET_ERROR: 10038 and others."""

    def step(device: SocketDevice) -> None:
        device.host.listen(backlog)
        device.look_at_polls()

    with_device(s, step)
    return 0


@winsock(Named(SOCKET_ERROR, None))
def getsockname(s: Handle) -> Named:
    """The local address.  SOCKET_ERROR: 10022 not bound, 10038.  Never blocks."""

    def step(device: SocketDevice) -> Address:
        if not device.host.is_bound:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        return device.host.getsockname()

    return Named(0, with_device(s, step))


@winsock(Named(SOCKET_ERROR, None))
def getpeername(s: Handle) -> Named:
    """The peer's address.  SOCKET_ERROR: 10057, 10038.  Never blocks."""
    return Named(0, with_device(s, lambda device: device.host.getpeername()))


@winsock(SOCKET_ERROR)
def connect(s: Handle, name: Address) -> int:
    """Connect, or set the peer of a datagram socket; no packet comes (fact sock-connect-nopacket).

    SOCKET_ERROR: 10035 on a non-blocking stream socket, which goes on connecting; 10061 refused, 10060, 10051, 10065,
    10056 connected already, 10049, 10022, 10038.  Blocks, visibly (Q-23).
    """
    me = caller()
    device = me.perform(device_at, me, s)
    target = address_for(device, name)
    if not device.is_stream or not os.get_blocking(device.host.fileno()):
        with_device(s, lambda device: _connect_now(device, target))
        return 0
    return answer(waiting_call(s, lambda _, __: ConnectNow(target))[0])


def _connect_now(device: SocketDevice, target: Address) -> None:
    code = device.host.connect_now(target)
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        device.was_connected = True
        raise NtError(status.STATUS_DEVICE_NOT_READY)
    if code:
        raise OSError(code, os.strerror(code))


@winsock(Accepted(INVALID_SOCKET, None))
def accept(s: Handle) -> Accepted:
    """The connection that has waited longest, as a new blocking socket, and its peer's address; no packet comes.

    INVALID_SOCKET -1: 10035 non-blocking and nobody there, 10022 not listening, 10038.  Blocks, visibly (Q-23).
    """
    code, _, operation = waiting_call(s, lambda _, __: Accept())
    assert isinstance(operation, Accept)
    if answer(code):
        return Accepted(INVALID_SOCKET, None)
    return Accepted(operation.descriptor, operation.peer)


# -- options -----------------------------------------------------------------------------------------------------


@winsock(SOCKET_ERROR)
def setsockopt(s: Handle, level: int, optname: int, optval: Any) -> int:
    """Set an option: of Windows where it has a counterpart here, else by the host's numbers.

    `optval`: an int; (on, seconds) for SO_LINGER; bytes.  SO_SNDBUF 0 makes sends wait for the host.  The two
    SO_UPDATE_..._CONTEXT do nothing.  SOCKET_ERROR: 10042 and others, 10038.  Never blocks.
    """
    with_device(s, lambda device: _set_option(device, level, optname, optval))
    return 0


def _set_option(device: SocketDevice, level: int, name: int, value: Any) -> None:
    if level == SOL_SOCKET and name in CONTEXTS:
        return
    if (level, name) == (SOL_SOCKET, SO_SNDBUF):
        device.send_buffer_bytes = dword(value)
    if isinstance(value, tuple):
        value = struct.pack("ii", *value)
    device.host.setsockopt(*OPTIONS.get((level, name), (level, name)), value)


@winsock(Option(SOCKET_ERROR, None))
def getsockopt(s: Handle, level: int, optname: int) -> Option:
    """An option, as `setsockopt` takes it.  SOCKET_ERROR: 10042 and others, 10038.  Never blocks."""
    return Option(0, with_device(s, lambda device: _get_option(device, level, optname)))


def _get_option(device: SocketDevice, level: int, name: int) -> Any:
    theirs = OPTIONS.get((level, name), (level, name))
    if theirs == (host.SOL_SOCKET, host.SO_LINGER):
        return struct.unpack("ii", device.host.getsockopt(*theirs, struct.calcsize("ii")))
    if (level, name) == (SOL_SOCKET, SO_SNDBUF):
        return device.send_buffer_bytes
    return device.host.getsockopt(*theirs)


@winsock(Controlled(SOCKET_ERROR, UNTOUCHED))
def ioctlsocket(s: Handle, argp: int, cmd: int = FIONBIO) -> Controlled:
    """FIONBIO: non-blocking if `argp`; FIONREAD: how many bytes can be read.

    SOCKET_ERROR: 10045 for another `cmd`, 10038.  Never blocks.
    """
    if cmd == FIONBIO:
        with_device(s, lambda device: os.set_blocking(device.host.fileno(), not argp))
        return Controlled(0, argp)
    if cmd == FIONREAD:
        return Controlled(0, with_device(s, lambda device: readable_bytes(device.host.fileno())))
    raise refusal(status.WSAEOPNOTSUPP)


# -- the last error ----------------------------------------------------------------------------------------------


def WSAGetLastError() -> int:
    """The last error of the calling thread, the same as `GetLastError`."""
    return get_last_error()


def WSASetLastError(iError: int) -> None:
    """Set the last error of the calling thread; 32 bits."""
    set_last_error(iError)
