"""The module `twisted_iocpsupport.iocpsupport`: what Twisted's IOCP reactor is written on.

Theory.  The module wraps one port, and the calls on sockets that end at it.  Each call takes an `Event` of the reactor,
and keeps it, with the buffers, from the call until the packet has been taken out of the port: both hang on the
OVERLAPPED.  Calls answer with codes and do not raise for what a socket says:

    0       ended within the call; a packet comes all the same
    997     pending; `accept` and `connect` say 0 then
    other   it has failed, and no packet comes

Rules of this file: clients.md 6.  Semantics are those of the calls.

Own rules.  Names and signatures are those of the original, and so are the messages of refused arguments.  A socket is
given by its `fileno()`.  Codes of Winsock are given as the host's errno, which Twisted finds under their names in its
`errno`: it compares them with what the host's own sockets say too.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from .. import status, win32
from ..overlapped.host_sockets import SIZE_OF_ADDRESS, Address, pack_address, unpack_address
from ..overlapped.sockets import device_of_socket, find_socket
from ..runtime.ambient import current_system
from .closing import close_soon
from .views import WINSOCK_ERRORS
from .whole_calls import make_whole

__all__ = [
    "CompletionPort",
    "Event",
    "accept",
    "connect",
    "get_accept_addrs",
    "have_connectex",
    "makesockaddr",
    "maxAddrLen",
    "recv",
    "recvfrom",
    "send",
]

have_connectex: Final = True

LARGEST_POINTER: Final = (1 << 64) - 1
LARGEST_PORT: Final = 0xFFFF
SIZE_OF_INT: Final = struct.calcsize("i")


HOST_CODES: Final = {code: int(getattr(errno, name[3:], code)) for name, code in WINSOCK_ERRORS.items()}
"""The host's errno, where there is one, for each of Winsock's codes: 10061 is ECONNREFUSED."""


def host_code(code: int) -> int:
    """A code as Twisted shall see it."""
    return HOST_CODES.get(code, code)


def _failure(call: str) -> OSError:
    return OSError(call, win32.GetLastError())


class Event:
    """What the reactor gives to a call and gets back with the packet: `callback`, `owner`, and whatever it likes."""

    def __init__(self, callback: Callable[..., Any], owner: Any, **kw: Any) -> None:
        self.callback = callback
        self.owner = owner
        vars(self).update(kw)


class _Block(win32.OVERLAPPED):
    """An OVERLAPPED that keeps its event and its buffers as long as it is under way."""

    __slots__ = ("buffers", "event")

    def __init__(self, event: Any, *buffers: Any) -> None:
        super().__init__()
        self.event = event
        self.buffers = buffers


class CompletionPort:
    """A port, closed with the last reference to it.  `OSError` with the call's name and the code when one fails."""

    def __init__(self) -> None:
        self._system = current_system()
        self._port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, win32.NULL, 0, 0)
        if not self._port:
            raise _failure("CreateIoCompletionPort")

    def addHandle(self, handle: int, key: int = 0) -> None:
        """Associate a socket, or another handle, with the port."""
        handle, key = _pointer(handle), _pointer(key)
        if not win32.CreateIoCompletionPort(handle, self._port, key, 0):
            raise _failure("CreateIoCompletionPort")

    def getEvent(self, timeout: int) -> tuple[int, int, int, Any]:
        """The next packet: (code, bytes, key, event); (258, 0, 0, None) when there was none.  Blocks.

        `timeout`: in ms; -1 waits for ever.
        """
        packet = win32.GetQueuedCompletionStatus(self._port, timeout & win32.INFINITE)
        code = 0 if packet.ret else win32.GetLastError()
        if not packet.ret and packet.lpOverlapped is None:
            return code, 0, 0, None
        event = packet.lpOverlapped.event if isinstance(packet.lpOverlapped, _Block) else None
        assert isinstance(packet.lpNumberOfBytesTransferred, int)
        return host_code(code), packet.lpNumberOfBytesTransferred, packet.lpCompletionKey, event

    def postEvent(self, bytes: int, key: int, obj: Any) -> None:
        """Queue a packet that brings back `obj`."""
        block = None if obj is None else _Block(obj)
        if not win32.PostQueuedCompletionStatus(self._port, bytes, _pointer(key), block):
            raise _failure("PostQueuedCompletionStatus")

    def __del__(self) -> None:
        port = getattr(self, "_port", 0)
        if port:
            close_soon(self._system, port)


def _pointer(value: int) -> int:
    """A handle or a key, as C takes it."""
    if value < 0:
        raise OverflowError("can't convert negative value to size_t")
    if value > LARGEST_POINTER:
        raise OverflowError("Python int too large to convert to C size_t")
    return value


# -- calls on sockets --------------------------------------------------------------------------------------------


def _code(failed: object) -> int:
    """What a call answers that has failed, is pending, or has not."""
    return host_code(win32.GetLastError()) if failed else 0


def _code_of_ex(succeeded: object) -> int:
    """The same for the calls that say 0 while they are pending."""
    code = _code(not succeeded)
    return 0 if code == status.ERROR_IO_PENDING else code


def accept(listening: int, accepting: int, buff: Any, obj: Event | None) -> int:
    """Start to accept: the socket `accepting` becomes the connection; `buff` has room for both addresses."""
    view = memoryview(buff).cast("B")
    size = len(view) // 2
    return _code_of_ex(
        win32.AcceptEx(
            listening,
            accepting,
            view,
            0,
            _Block(obj, buff),
            dwLocalAddressLength=size,
            dwRemoteAddressLength=size,
        )
    )


def connect(s: int, addr: Address, obj: Event | None) -> int:
    """Start to connect a socket that is bound.  `ValueError` for a host that is not in digits, `OverflowError`."""
    address = _checked_address(_family(s), addr)
    return _code_of_ex(win32.ConnectEx(s, address, None, 0, _Block(obj)))


def recv(s: int, bufflist: Sequence[Any], obj: Event | None, flags: int = 0) -> tuple[int, int]:
    """Start to receive into the buffers, one after the other: (code, bytes so far)."""
    views = [memoryview(each).cast("B") for each in bufflist]
    received = win32.WSARecv(s, views, sum(map(len, views)), flags, _Block(obj, bufflist))
    return _code(received.ret), _count(received.lpNumberOfBytes)


def recvfrom(
    s: int, buff: Any, addr_buff: Any, addr_len_buff: Any, obj: Event | None, flags: int = 0
) -> tuple[int, int]:
    """Start to receive a message, and its sender's address for `makesockaddr`: (code, bytes so far)."""
    view = memoryview(buff).cast("B")
    sender = _Sender(addr_buff, addr_len_buff)
    received = win32.WSARecvFrom(s, view, len(view), flags, _Block(obj, buff), lpFrom=sender)
    return _code(received.ret), _count(received.lpNumberOfBytes)


def send(s: int, buff: Any, obj: Event | None, flags: int = 0) -> tuple[int, int]:
    """Start to send: (code, bytes so far)."""
    view = memoryview(buff).cast("B")
    sent = win32.WSASend(s, view, len(view), flags, _Block(obj, buff))
    return _code(sent.ret), _count(sent.lpNumberOfBytes)


def _count(count: Any) -> int:
    """A count of bytes; 0 where the call has not written any."""
    return count if isinstance(count, int) else 0


# -- addresses ---------------------------------------------------------------------------------------------------


class _Sender(win32.SOCKADDR):
    """A place for an address that is a buffer, with the length that is used in another."""

    __slots__ = ("_length", "_room")

    def __init__(self, room: Any, length: Any) -> None:
        self._room = memoryview(room).cast("B")
        self._length = memoryview(length).cast("B")
        if len(self._length) != SIZE_OF_INT:
            raise ValueError("length of address length buffer needs to be sizeof(int)")
        self._length[:] = struct.pack("i", len(self._room))
        super().__init__()

    @property
    def address(self) -> Address:
        """None: nobody reads it here."""
        return None

    @address.setter
    def address(self, value: Address) -> None:
        if value is not None:
            family = socket.AF_INET if len(value) == 2 else socket.AF_INET6
            packed = pack_address(family, value)[: len(self._room)]
            self._room[: len(packed)] = packed
            self._length[:] = struct.pack("i", len(packed))


def _family(s: int) -> int:
    """The address family of a socket, as the host numbers it."""
    system = current_system()

    def step() -> int:
        file = find_socket(system, s)
        return -1 if file is None else device_of_socket(file).host.family

    family = system.perform(step)
    if family == -1:
        raise OSError("getsockopt", host_code(status.WSAENOTSOCK))
    return family


def maxAddrLen(s: int) -> int:
    """Bytes that the longest address of a socket takes."""
    family = _family(s)
    with contextlib.suppress(KeyError):
        return SIZE_OF_ADDRESS[family]
    raise ValueError("unsupported address family")


def get_accept_addrs(s: int, buff: Any) -> tuple[int, Address, Address]:
    """What `accept` has left in its buffer: the family, the local address and the remote one."""
    family = _family(s)
    view = memoryview(buff).cast("B")
    middle = len(view) // 2
    return family, makesockaddr(view[:middle]), makesockaddr(view[middle:])


def makesockaddr(buff: Any) -> Address:
    """The (host, port) in a buffer; None when it has no bytes.  An IPv6 host has its scope behind a %."""
    view = memoryview(buff).cast("B")
    if not len(view):
        return None
    address = unpack_address(view)
    if address is None:
        family = int.from_bytes(view[:2], "little")
        raise OSError(f"unsupported address family {family}", win32.GetLastError())
    host, port, *rest = address
    return (f"{host}%{rest[1]}" if rest and rest[1] else host), port


def _checked_address(family: int, addr: Address) -> Address:
    """An address for a socket of this family."""
    if family == socket.AF_INET:
        host, port = addr
        if not _is_in_digits(family, host):
            raise ValueError(f"invalid IP address {host!r}")
        return host, _checked_port(port)
    if family == socket.AF_INET6:
        host, port, flow, scope = addr
        host = host.split("%")[0]
        if not _is_in_digits(family, host):
            raise ValueError(f"invalid IPv6 address {host!r}")
        return host, _checked_port(port), flow, scope
    raise ValueError("unsupported address family")


def _is_in_digits(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    return True


def _checked_port(port: Any) -> int:
    if not isinstance(port, int):
        raise TypeError("an integer is required")
    if port < 0:
        raise OverflowError("can't convert negative value to unsigned short")
    if port > LARGEST_PORT:
        raise OverflowError("value too large to convert to unsigned short")
    return port


make_whole(globals())
