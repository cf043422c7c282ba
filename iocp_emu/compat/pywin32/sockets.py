"""pywin32's calls on sockets: overlapped send and receive, and Winsock's extensions.

Theory.  A socket is a `socket.socket`, anything else with `fileno`, or a number.  The buffer of AcceptEx ends with the
two addresses; what stands before them is room for the first data.

Rules of this file: those of `flat.socket_transfers` and `flat.mswsock`; what is under way is 997, every failure an
`error` with Winsock's code.

Own rules.  AcceptEx, ConnectEx and TransmitFile ask for a socket's family or extension first, as pywin32 does: what is
no socket is an error of `getsockopt` or `WSAIoctl`.  Addresses of AcceptEx are bytes; only those of IPv4 are decoded.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from ... import win32
from ...flat.winsock import winsock, with_device
from ...kernel.objects import FIRST_HANDLE
from ...overlapped.host_sockets import SIZE_OF_ADDRESS
from ...status import ERROR_IO_PENDING, WSAENOTSOCK
from .. import msvcrt_module
from ..whole_calls import make_whole
from .arguments import c_long, data_of, handle_of, socket_of, target_of
from .errors import api_error, code_of
from .handles import PyHANDLE
from .overlapped import PyOVERLAPPED, block_of

SOCKADDR_PADDING_BYTES = 16
SIZE_OF_STORAGE = 128
"""What an address of any family needs, in bytes."""

AF_INET = 2
NO_FAMILY = -1
HOST_NOT_FOUND = 11001


def _pending(call: str, code: int) -> int:
    """0 or 997; any other code is raised."""
    if code not in (0, ERROR_IO_PENDING):
        raise api_error(call, code)
    return code


# -- sending and receiving -----------------------------------------------------------------------------------------


def WSASend(s: Any, buffer: Any, ol: PyOVERLAPPED | None, dwFlags: Any = 0, /) -> tuple[int, int]:
    """(rc, bytes sent): send a buffer, which must not change while it is under way (997).

    Raises `error` 10054, 10057, 10058, 10038.  Blocks without an OVERLAPPED, visibly (Q-23).
    """
    number, flags = socket_of(s), c_long(dwFlags)
    block = block_of(ol)
    data = data_of(buffer)
    sent = win32.WSASend(number, data, len(data), flags, block)
    code = _pending("WSASend", code_of(sent.ret == 0))
    return code, sent.lpNumberOfBytes if isinstance(sent.lpNumberOfBytes, int) else 0


def WSARecv(s: Any, buffer: Any, ol: PyOVERLAPPED | None, dwFlags: Any = 0, /) -> tuple[int, int]:
    """(rc, bytes received): receive into a writable buffer; 0 bytes mean that the peer has closed.

    Raises `error` 10054, 10057, 10058, 10038.  Blocks without an OVERLAPPED, visibly (Q-23).
    """
    number, flags = socket_of(s), c_long(dwFlags)
    block = block_of(ol)
    target = target_of(buffer)
    received = win32.WSARecv(number, target, len(target), flags, block)
    code = _pending("WSARecv", code_of(received.ret == 0))
    return code, received.lpNumberOfBytes if isinstance(received.lpNumberOfBytes, int) else 0


# -- connections ---------------------------------------------------------------------------------------------------


@winsock(NO_FAMILY)
def _family(number: int) -> int:
    return with_device(number, lambda device: int(device.host.family))


def _family_of(call: str, number: int) -> int:
    family = _family(number)
    if family == NO_FAMILY:
        raise api_error(call, WSAENOTSOCK)
    return family


def _room_for_address(family: int) -> int:
    return SIZE_OF_ADDRESS.get(family, SIZE_OF_STORAGE) + SOCKADDR_PADDING_BYTES


def CalculateSocketEndPointSize(socket: Any, /) -> int:
    """The bytes that AcceptEx needs at the end of its buffer: 64 for IPv4.  Never blocks.  Raises `error` 10038."""
    return 2 * _room_for_address(_family_of("getsockopt", socket_of(socket)))


def AcceptEx(sListening: Any, sAccepting: Any, buffer: Any, ol: PyOVERLAPPED, /) -> int:
    """Have the next connection take over `sAccepting`; 0, or 997 when it will.

    A buffer longer than CalculateSocketEndPointSize also waits for data, which it then starts with.  `ValueError` for
    a shorter one.  Never blocks.  Raises `error` 10022, 10038.
    """
    listening = socket_of(sListening)
    room = _room_for_address(_family_of("getsockopt", listening))
    accepting = socket_of(sAccepting)
    block = block_of(ol)
    target = target_of(buffer)
    size = _size_of_data(target, room)
    done = win32.AcceptEx(
        listening, accepting, target, size, block, dwLocalAddressLength=room, dwRemoteAddressLength=room
    )
    return _pending("AcceptEx", code_of(done))


def _size_of_data(view: memoryview, room: int) -> int:
    size = len(view) - 2 * room
    if size < 0:
        raise ValueError(f"Second param must be at least {2 * room} bytes long")
    return size


def GetAcceptExSockaddrs(sAccepting: Any, buffer: Any, /) -> tuple[int, tuple[Any, ...], tuple[Any, ...]]:
    """(family, local, remote) of the connection that AcceptEx took into `buffer`.

    Addresses are (b'1.2.3.4', port) for IPv4, else (family, 14 bytes of the sockaddr); families are Windows'.
    Never blocks.  Raises `error` 10038, `ValueError`.
    """
    room = _room_for_address(_family_of("getsockopt", socket_of(sAccepting)))
    view = data_of(buffer)
    size = _size_of_data(view, room)
    local, remote = bytes(view[size : size + room]), bytes(view[size + room :])
    return int.from_bytes(local[:2], "little"), _decoded(local), _decoded(remote)


def _decoded(address: bytes) -> tuple[Any, ...]:
    family = int.from_bytes(address[:2], "little")
    if family == AF_INET:
        return socket.inet_ntoa(address[4:8]).encode(), int.from_bytes(address[2:4], "big")
    return family, address[2:16]


def ConnectEx(s: Any, name: tuple[Any, Any], Overlapped: PyOVERLAPPED, SendBuffer: Any = None) -> tuple[int, int]:
    """(rc, 0): connect a bound socket to (host, port), then send `SendBuffer`; rc is 0, or 997 when it goes on.

    The host may be a name.  May block on name service.  Raises `error` 10022 not bound, 11001 no such host, 10038.
    """
    number = socket_of(s)
    data = data_of(b"" if SendBuffer is None else SendBuffer)
    family = _family_of("WSAIoctl", number)
    host, port = _host_and_port(name)
    try:
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
    except OSError:
        raise api_error("getaddrinfo", HOST_NOT_FOUND) from None
    block = block_of(Overlapped)
    done = win32.ConnectEx(number, address, data, len(data), block)
    return _pending("ConnectEx", code_of(done)), 0


def _host_and_port(name: tuple[Any, ...]) -> tuple[Any, Any]:
    if not isinstance(name, tuple) or len(name) != 2:
        raise TypeError("getaddrinfo() takes a tuple of 2 arguments")
    host, port = name
    if host is not None and not isinstance(host, (str, bytes)):
        raise TypeError("getaddrinfo() argument 1 must be string or None")
    if port is not None and not isinstance(port, (str, bytes, int)):
        raise TypeError("Port must be int, string, or None")
    return host, port


# -- files ---------------------------------------------------------------------------------------------------------


def TransmitFile(
    Socket: Any,
    File: Any,
    NumberOfBytesToWrite: Any,
    NumberOfBytesPerSend: Any,
    Overlapped: PyOVERLAPPED | None,
    Flags: Any,
    Head: Any = None,
    Tail: Any = None,
) -> int:
    """Send `Head`, bytes of a file (0: to its end) from where `Overlapped` says, and `Tail`; 0, or 997.

    `File`: a handle, or what `_get_osfhandle` gives.  Raises `error` 10057, 10058, 6, 5, 10038.  Blocks without an
    OVERLAPPED, visibly (Q-23).
    """
    number, file = socket_of(Socket), handle_of(File)
    limit, step, flags = c_long(NumberOfBytesToWrite), c_long(NumberOfBytesPerSend), c_long(Flags)
    _family_of("WSAIoctl", number)
    block = block_of(Overlapped)
    head, tail = (data_of(b"" if each is None else each) for each in (Head, Tail))
    borrowed = _open_descriptor(file)
    try:
        done = win32.TransmitFile(
            number,
            borrowed or file,
            limit,
            block,
            flags,
            nNumberOfBytesPerSend=step,
            lpTransmitBuffers=(head, tail) if len(head) or len(tail) else None,
        )
        return _pending("TransmitFile", code_of(done))
    finally:
        if borrowed:
            win32.CloseHandle(borrowed)


def _open_descriptor(number: int) -> int:
    """A handle of the disk file that is open as a descriptor of the host; 0 when `number` is no such thing."""
    try:
        if not 0 < number < FIRST_HANDLE or not stat.S_ISREG(os.fstat(number).st_mode):
            return 0
    except OSError:
        return 0
    share = win32.FILE_SHARE_READ | win32.FILE_SHARE_WRITE | win32.FILE_SHARE_DELETE
    handle = win32.CreateFileW(f"/dev/fd/{number}", win32.GENERIC_READ, share, win32.OPEN_EXISTING, 0)
    return 0 if handle == win32.INVALID_HANDLE_VALUE else handle


def get_osfhandle(fd: Any, /) -> int:
    """The handle of an open descriptor: its number, which TransmitFile takes.  `OSError` when it is not open."""
    return msvcrt_module.get_osfhandle(c_long(fd))


def open_osfhandle(osfhandle: Any, flags: Any, /) -> int:
    """A descriptor of the host that owns the end of a pipe; the handle is used up.  `OSError` for anything else."""
    handle = handle_of(osfhandle)
    descriptor = msvcrt_module.open_osfhandle(handle, c_long(flags))
    if isinstance(osfhandle, PyHANDLE):
        osfhandle.Detach()
    return descriptor


make_whole(globals())
