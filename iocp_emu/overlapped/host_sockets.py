"""Sockets of the host, as the emulator uses them: borrowed by number, never blocking, errors as NTSTATUS.

Theory.  A socket belongs to the program: it is named by its descriptor, may be blocking or not, and is closed by
whoever made it.  So everything here works on a descriptor that somebody else owns, asks for each call not to wait
(MSG_DONTWAIT), and where a call cannot be asked so (accept, connect), the descriptor is made non-blocking for just
that call.  Addresses are Python's: (host, port) and (host, port, flow, scope), hosts in digits only, because looking up
a name would block.

Rules of this file: table 6.6 (statuses of the network); clients.md 5 (ICMP port unreachable on UDP).

Own rules.  Nothing here closes, or leaves changed, what belongs to the program.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple, cast

from .. import status
from ..kernel.objects import NtError

try:
    import fcntl
    import termios
except ImportError:  # no such host has sockets that this is for, but importing must work
    fcntl = termios = None  # type: ignore[assignment]

Address = Any
"""An address in Python's form; its shape depends on the family."""

# As plain ints: the enums of the socket module take longer than a system call.
DONT_WAIT: Final = int(getattr(socket, "MSG_DONTWAIT", 0))
NO_SIGNAL: Final = int(getattr(socket, "MSG_NOSIGNAL", 0))
TRUNCATED: Final = int(getattr(socket, "MSG_TRUNC", 0))
ERROR_QUEUE: Final = int(getattr(socket, "MSG_ERRQUEUE", 0))
PEEK: Final = int(socket.MSG_PEEK)
WAIT_ALL: Final = int(getattr(socket, "MSG_WAITALL", 0))
HAS_MESSAGES: Final = hasattr(socket.socket, "recvmsg_into")

# Of linux/in.h and linux/in6.h; Python has no names for them.
IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
EXTENDED_ERROR: Final = struct.Struct("=I")
"""The start of struct sock_extended_err: its errno."""
LARGEST_ERROR_BYTES: Final = 512

# A mark that all processes see which have a socket, and that goes with it: which signal its owner would get for
# asynchronous I/O, a number of the open file description that means nothing unless O_ASYNC is set.
SET_SIGNAL: Final[int | None] = getattr(fcntl, "F_SETSIG", None)
GET_SIGNAL: Final[int] = getattr(fcntl, "F_GETSIG", 0)
MARK: Final = 62

AF_INET6_OF_WINDOWS: Final = 23
SIZE_OF_ADDRESS: Final[dict[int, int]] = {socket.AF_INET: 16, socket.AF_INET6: 28}
"""Bytes of a sockaddr of Windows."""

_WIN32: Final = 0xC0010000
_STATUS_OF_ERRNO: Final[dict[int, int]] = {
    getattr(errno, name): code
    for name, code in {
        "EDESTADDRREQ": status.STATUS_INVALID_CONNECTION,
        "EPROTOTYPE": _WIN32 | 10041,
        "ENOPROTOOPT": _WIN32 | 10042,
        "EPROTONOSUPPORT": _WIN32 | 10043,
        "ESOCKTNOSUPPORT": _WIN32 | 10044,
        "EPFNOSUPPORT": _WIN32 | 10046,
        "EAFNOSUPPORT": _WIN32 | 10047,
        "EALREADY": _WIN32 | status.WSAEALREADY,
        "ENFILE": status.STATUS_INSUFFICIENT_RESOURCES,
        "EMFILE": status.STATUS_INSUFFICIENT_RESOURCES,
    }.items()
    if hasattr(errno, name)
}
"""Where a socket means something else by an errno than a file does."""


def status_of(error: OSError) -> int:
    """The NTSTATUS of a host error on a socket."""
    code = error.errno or 0
    return _STATUS_OF_ERRNO.get(code) or status.errno_to_status(code)


def winsock_code(code: int) -> int:
    """Winsock's own code of an NTSTATUS, which differs from what the port reports for it (I-53)."""
    return code & 0xFFFF if code >> 16 == _WIN32 >> 16 else status.winsock_error(code)


class Received(NamedTuple):
    """What one receive of a message has brought."""

    size: int
    is_truncated: bool
    address: Address
    control: list[tuple[int, int, bytes]]


class BorrowedSocket(socket.SocketType):
    """A socket of the program by its descriptor: used, and never closed, from here.

    Every transfer raises `BlockingIOError` instead of waiting.  `OSError` when the descriptor is no socket.
    """

    def __init__(self, descriptor: int) -> None:
        before = None if socket.getdefaulttimeout() is None else os.get_blocking(descriptor)
        super().__init__(fileno=descriptor)
        if before is not None:
            # The default timeout of the module has just made the program's descriptor non-blocking.
            self.settimeout(None)
            os.set_blocking(descriptor, before)

    def __del__(self) -> None:
        # Instead of closing what belongs to the program, as the base class would.
        self.detach()

    def accept_now(self) -> tuple[int, Address]:
        """A new descriptor for the connection that has waited longest, and its peer."""
        with non_blocking(self.fileno()):
            accepted: tuple[int, Address] = cast("Any", self)._accept()
        return accepted

    def connect_now(self, address: Address) -> int:
        """Begin to connect, also after an attempt that has failed; the host's errno, 0 when that was all."""
        with non_blocking(self.fileno()):
            code = self.connect_ex(address)
            if code == errno.ECONNABORTED:
                # Linux tells of the attempt before, once, and only then takes another one.
                code = self.connect_ex(address)
            return code

    def receive(self, buffers: Sequence[memoryview], flags: int) -> int:
        """Bytes of a stream."""
        if len(buffers) == 1:
            return self.recv_into(buffers[0], 0, flags | DONT_WAIT)
        return self.recvmsg_into(buffers, 0, flags | DONT_WAIT)[0]

    def receive_message(self, buffers: Sequence[memoryview], flags: int, control_bytes: int) -> Received:
        """One message, cut to the room that there is."""
        if HAS_MESSAGES:
            count, control, seen, address = self.recvmsg_into(buffers, control_bytes, flags | DONT_WAIT)
            return Received(count, bool(seen & TRUNCATED), address, control)
        try:
            count, address = self.recvfrom_into(buffers[0], 0, flags)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            return Received(len(buffers[0]), True, None, [])
        return Received(count, False, address, [])

    def send_bytes(self, buffers: Sequence[memoryview], flags: int = 0) -> int:
        """How many bytes of a stream the host took."""
        if len(buffers) == 1:
            return self.send(buffers[0], flags | DONT_WAIT | NO_SIGNAL)
        return self.sendmsg(buffers, (), flags | DONT_WAIT | NO_SIGNAL)

    def send_message(
        self, buffers: Sequence[memoryview], flags: int, address: Address, control: Sequence[Any] = ()
    ) -> int:
        """One message, to its peer or to `address`."""
        flags |= DONT_WAIT | NO_SIGNAL
        if len(buffers) > 1 or control:
            return self.sendmsg(buffers, control, flags, address)
        return self.send(buffers[0], flags) if address is None else self.sendto(buffers[0], flags, address)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def is_bound(self) -> bool:
        """Whether it has a local address."""
        name: Any = self.getsockname()
        return bool(name[1] if self.family in SIZE_OF_ADDRESS else name)

    @property
    def is_connected(self) -> bool:
        """Whether it has a peer now."""
        try:
            self.getpeername()
        except OSError:
            return False
        return True

    @property
    def is_listening(self) -> bool:
        """Whether `listen` was called."""
        return bool(self.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    @property
    def resets_on_close(self) -> bool:
        """Whether closing it shall reset the connection: SO_LINGER with a time of 0."""
        size = struct.calcsize("ii")
        is_on, seconds = struct.unpack("ii", self.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, size))
        return bool(is_on) and not seconds

    # -- what processes tell each other of it ------------------------------------------------------------------

    @property
    def is_marked(self) -> bool:
        """Whether the socket was marked by whichever process; False where the host has no room for a mark."""
        return fcntl is not None and SET_SIGNAL is not None and fcntl.fcntl(self, GET_SIGNAL) == MARK

    @is_marked.setter
    def is_marked(self, value: bool) -> None:
        # A program that has chosen a signal itself keeps it.
        if fcntl is not None and SET_SIGNAL is not None and fcntl.fcntl(self, GET_SIGNAL) in (0, MARK):
            fcntl.fcntl(self, SET_SIGNAL, MARK if value else 0)

    # -- ICMP errors of datagrams ------------------------------------------------------------------------------

    def queue_errors(self) -> None:
        """Have the host keep ICMP errors, also while the socket has no peer, where it can."""
        if ERROR_QUEUE:
            with contextlib.suppress(OSError):
                if self.family == socket.AF_INET:
                    self.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
                elif self.family == socket.AF_INET6:
                    self.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)

    def next_error(self) -> int:
        """Take the oldest error from the host's queue; its errno, 0 when there is none."""
        if not ERROR_QUEUE:
            return 0
        try:
            _, control, _, _ = self.recvmsg(0, LARGEST_ERROR_BYTES, ERROR_QUEUE | DONT_WAIT)
        except OSError:
            return 0
        for _, kind, data in control:
            if kind in (IP_RECVERR, IPV6_RECVERR) and len(data) >= EXTENDED_ERROR.size:
                return int(EXTENDED_ERROR.unpack_from(data)[0])
        return errno.EIO


def readable_bytes(descriptor: int) -> int:
    """How many bytes can be read now; `OSError` where the host cannot tell."""
    if fcntl is None or termios is None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(struct.calcsize("i")))
    return int(struct.unpack("i", answer)[0])


@contextlib.contextmanager
def non_blocking(descriptor: int) -> Generator[None]:
    """Make a descriptor non-blocking for one call."""
    was_blocking = os.get_blocking(descriptor)
    if was_blocking:
        os.set_blocking(descriptor, False)
    try:
        yield
    finally:
        if was_blocking:
            os.set_blocking(descriptor, True)


def like(model: BorrowedSocket) -> int:
    """The descriptor of a new, unconnected socket of the same family, type, protocol and blocking mode."""
    made = socket.socket(model.family, model.type, model.proto)
    try:
        made.setblocking(os.get_blocking(model.fileno()))
    except BaseException:
        made.close()
        raise
    return made.detach()


# -- addresses ---------------------------------------------------------------------------------------------------


def check_address(family: int, address: Address) -> Address:
    """`address` if it is one of this family; WSAEINVAL for a host that is not in digits or a wrong shape.

    `TypeError` for what is no address at all.
    """
    if family not in SIZE_OF_ADDRESS:
        return address
    if not issubclass(type(address), tuple):
        raise TypeError(f"an address is a tuple, not {type(address).__name__}")
    parts: tuple[Any, ...] = address
    longest = 2 if family == socket.AF_INET else 4
    if not 2 <= len(parts) <= longest or not isinstance(parts[0], str):
        raise NtError(status.STATUS_INVALID_PARAMETER)
    host, port = parts[0], parts[1]
    if not isinstance(port, int):
        raise TypeError(f"a port is an int, not {type(port).__name__}")
    if not 0 <= port <= 0xFFFF or not _is_in_digits(family, host):
        raise NtError(status.STATUS_INVALID_PARAMETER)
    return parts


def _is_in_digits(family: int, host: str) -> bool:
    if host in ("", "<broadcast>"):
        return True
    try:
        socket.inet_pton(family, host.partition("%")[0] if family == socket.AF_INET6 else host)
    except (OSError, ValueError):
        return False
    return True


def names_nobody(family: int, address: Address) -> bool:
    """Whether no connection can be made to `address`: port 0, or the unspecified host."""
    if family not in SIZE_OF_ADDRESS:
        return False
    if address[0] == "<broadcast>":
        return False
    host = address[0].partition("%")[0] or ("0.0.0.0" if family == socket.AF_INET else "::")
    return not address[1] or not any(socket.inet_pton(family, host))


def pack_address(family: int, address: Address) -> bytes:
    """The sockaddr of Windows for an address of the Internet; other families give only their number."""
    if family == socket.AF_INET:
        return struct.pack("<H", socket.AF_INET) + struct.pack(">H", address[1]) + _digits(family, address) + bytes(8)
    if family == socket.AF_INET6:
        flow, scope = (*address[2:], 0, 0)[:2]
        packed = struct.pack("<H", AF_INET6_OF_WINDOWS) + struct.pack(">HI", address[1], flow)
        return packed + _digits(family, address) + struct.pack("<I", scope)
    return struct.pack("<H", family)


def _digits(family: int, address: Address) -> bytes:
    return socket.inet_pton(family, address[0].partition("%")[0])


def unpack_address(data: bytes | memoryview) -> Address:
    """The address in a sockaddr of Windows; None for a family without one."""
    family, port = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, bytes(data[4:8])), port
    if family == AF_INET6_OF_WINDOWS:
        flow, scope = int.from_bytes(data[4:8], "big"), int.from_bytes(data[24:28], "little")
        return socket.inet_ntop(socket.AF_INET6, bytes(data[8:24])), port, flow, scope
    return None
