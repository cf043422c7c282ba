"""The object face of sockets: `Socket` around a `socket.socket`, and `Listener`.

Theory.  A `Socket` takes over a `socket.socket` of the program and adds operations that are overlapped.  The socket
itself stays usable through `sock`, for options and addresses; but whoever moves data there, beside these operations,
makes a second reader or writer of one stream.  A connection is accepted into a socket that is made for it when the
accept begins, as AcceptEx has it.

Own rules.  Those of `iocp_emu.port`.  An operation that fails at once raises with Winsock's code (10054); one that has
pended is a packet with the port's (64), as on Windows (I-53).  Addresses are as in the `socket` module, with hosts in
digits only.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

from typing_extensions import Self

from . import status
from .errors import win32_error
from .kernel.file import FileObject
from .kernel.objects import NtError
from .overlapped.device import Ask
from .overlapped.engine import issue
from .overlapped.files import DiskFile
from .overlapped.host_sockets import (
    SIZE_OF_ADDRESS,
    Address,
    Received,
    check_address,
    names_nobody,
    winsock_code,
)
from .overlapped.socket_requests import Connect, Disconnect, Operation, PendingAccept, Receive, Reuse, Send
from .overlapped.sockets import (
    SHUTDOWN_OF_HOST,
    catch_up,
    close_socket,
    device_of_socket,
    find_socket,
    release_handle,
    shut_down,
)
from .overlapped.transmission import AfterTransmission, Transmit
from .port import MAXIMUM_DWORD, File, Overlapped, OverlappedHandle, check_integer
from .runtime.ambient import current_system
from .runtime.threads import ThreadSystem

DEFAULT_BACKLOG = 128

_NOTHING = memoryview(b"")


class Receiving(Overlapped):
    """A receive that tells from where: `address` is the sender of the message, None before the end and on a stream."""

    __slots__ = ("address",)

    def __init__(self, file: OverlappedHandle, data: memoryview, tag: Any) -> None:
        super().__init__(file, 0, data, tag)
        self.address: Address = None

    def note(self, received: Received) -> None:
        """Called by the operation."""
        self.address = received.address


class Accepting(Overlapped):
    """An accept.  When it has succeeded, `socket` is the connection, `peer` its other side, `data` its first bytes."""

    __slots__ = ("_accepted",)

    def __init__(self, file: OverlappedHandle, accepted: Socket, data: memoryview, tag: Any) -> None:
        super().__init__(file, 0, data, tag)
        self._accepted: Socket | None = accepted

    @property
    def socket(self) -> Socket:
        """The connection, which is the caller's to close.  Raises `ValueError` while not done, the error if failed."""
        if not self.done:
            raise ValueError("nobody has connected yet")
        if self.error is not None:
            raise self.error
        assert self._accepted is not None
        return self._accepted

    @property
    def peer(self) -> Address:
        """The address of the connection's other side.  Raises as `socket`."""
        return self.socket.peer_address


class SocketHandle(OverlappedHandle):
    """What sockets and listeners share: they own a `socket.socket`."""

    __slots__ = ("_device", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        if not isinstance(sock, socket.socket):
            raise TypeError(f"sock must be a socket.socket, not {type(sock).__name__}")
        system = current_system()
        number = sock.fileno()
        file = system.perform(find_socket, system, number) if number > 0 else None
        if file is None:
            raise win32_error(status.WSAENOTSOCK)
        super().__init__(system, number, file)
        self._socket = sock
        self._device = device_of_socket(file)

    @property
    def sock(self) -> socket.socket:
        """The socket of the host, for its options and addresses; closed with this."""
        return self._socket

    @property
    def address(self) -> Address:
        """The local address.  Raises `ValueError` once closed."""
        assert self.handle
        return self._socket.getsockname()

    def cancel(self, overlapped: Overlapped | None = None) -> bool:
        """As for every handle; what has ended by now is not cancelled any more (I-41)."""
        catch_up(self._system)
        return super().cancel(overlapped)

    def close(self) -> None:
        """Close the socket; what is under way ends with its packets (I-43), what was sent still goes out.

        Closing again does nothing.  Never blocks, but for a linger time on a blocking socket.
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        if self._socket.fileno() == handle:
            self._socket.detach()
            with contextlib.suppress(NtError):  # the program has closed the descriptor by its number
                close_socket(self._system, handle)
        else:
            self._system.perform(release_handle, self._system, handle, self._file)

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            self._handle = None
            system, file, sock = self._system, self._file, self._socket
            system.defer(lambda: _drop(system, handle, file, sock))

    def _begin(self, operation: Operation, overlapped: Overlapped) -> None:
        """Issue an operation; an immediate error is raised, and then no packet comes (I-03)."""
        file = self.waitable
        overlapped.begin()
        code = issue(self._system, file, Ask(overlapped, context=overlapped), operation, self._device.begin)
        if status.is_error(code):
            raise win32_error(winsock_code(code))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else self._socket!r}>"


class Socket(SocketHandle):
    """A socket for overlapped I/O, around a `socket.socket` that it takes over.

    Made by itself, or by `tcp`, `udp`, `pair` and `Listener.accept`.  Any number of operations may be in flight;
    receives end in the order of the calls, and so do sends.
    Raises `TypeError`, `OSError` 10038 for a closed socket.

    >>> from iocp_emu import CompletionPort, Socket
    >>> with CompletionPort() as port:
    ...     left, right = Socket.pair()
    ...     with left, right:
    ...         port.associate(right, "right")
    ...         incoming = right.recv(100)
    ...         _ = left.send(b"hello")
    ...         packet = port.get()
    >>> packet.key, packet.overlapped is incoming, bytes(incoming.data)
    ('right', True, b'hello')
    """

    __slots__ = ()

    @classmethod
    def tcp(cls, family: int = socket.AF_INET) -> Self:
        """An unconnected stream socket.  Never blocks.  Raises the host's `OSError`."""
        return cls(socket.socket(family, socket.SOCK_STREAM))

    @classmethod
    def udp(cls, address: Address = None, *, family: int = socket.AF_INET) -> Self:
        """A datagram socket, bound to `address` if one is given.  Never blocks.  Raises the host's `OSError`."""
        made = cls(socket.socket(family, socket.SOCK_DGRAM))
        if address is not None:
            try:
                made.sock.bind(address)
            except BaseException:
                made.close()
                raise
        return made

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Both ends of a new connection within this machine.  Never blocks.  Raises the host's `OSError`."""
        left, right = socket.socketpair()
        return cls(left), cls(right)

    @property
    def peer_address(self) -> Address:
        """The address of the other side.  Raises `OSError` when there is none, `ValueError` once closed."""
        assert self.handle
        return self._socket.getpeername()

    # -- operations --------------------------------------------------------------------------------------------

    def recv(self, size: int, *, tag: Any = None) -> Receiving:
        """Start to receive up to `size` bytes, or one message.  Returns at once; O(bytes received).

        0 bytes: the peer has closed.  `size` 0 on a stream only asks to be told when there is something (I-51).  A
        message longer than `size` is a packet with error 234 and the part that fits.  `tag` is yours to keep.
        Raises `ConnectionResetError` (10054), `OSError` 10057 when not connected, `BrokenPipeError` (10058) after a
        shutdown of receiving, `ValueError` once closed, `TypeError`.
        """
        check_integer("size", size, 0, MAXIMUM_DWORD)
        return self.recv_into(bytearray(size), tag=tag)

    def recv_into(self, buffer: bytearray | memoryview, *, tag: Any = None) -> Receiving:
        """As `recv`, into a buffer of the caller's, which must neither change its size nor be used until the end."""
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError("the buffer is read-only")
        overlapped = Receiving(self, view, tag)
        self._begin(Receive([view], note=overlapped.note), overlapped)
        return overlapped

    def recv_from(self, size: int, *, tag: Any = None) -> Receiving:
        """`recv` under the name that fits messages: the sender is in `address` at the end."""
        return self.recv(size, tag=tag)

    def send(self, data: bytes | bytearray | memoryview, *, tag: Any = None) -> Overlapped:
        """Start to send all of `data`, to the peer.  Returns at once; O(bytes).

        Ends at once while less than SO_SNDBUF bytes wait to be sent, whatever its own size; else `data` must not change
        until the end.  Raises `ConnectionResetError` (10054), `OSError` 10057 when not connected and 10040 for too long
        a message, `BrokenPipeError` (10058) after a shutdown of sending, `ValueError` once closed, `TypeError`.
        """
        return self._send(data, None, tag)

    def send_to(self, data: bytes | bytearray | memoryview, address: Address, *, tag: Any = None) -> Overlapped:
        """Start to send one message to `address`.  Otherwise as `send`; `OSError` 10022 for a bad address."""
        return self._send(data, self._checked(address), tag)

    def _send(self, data: bytes | bytearray | memoryview, address: Address, tag: Any) -> Overlapped:
        view = memoryview(data).cast("B")
        overlapped = Overlapped(self, 0, view, tag)
        self._begin(Send([view], address=address), overlapped)
        return overlapped

    def connect(self, address: Address, data: bytes | bytearray | memoryview = b"", *, tag: Any = None) -> Overlapped:
        """Start to connect to `address`, and then to send `data`; returns at once.  Binds the socket if need be.

        The packet has error 1225 when refused, 1231 or 1232 when unreachable, 121 when nobody answers.
        Raises `OSError` 10056 when connected already, 10049 for port 0 or no host, 10022 for a bad address or while
        connecting, `ValueError` once closed, `TypeError`.
        """
        target = self._checked(address)
        assert self.handle
        family = self._socket.family
        if names_nobody(family, target):
            raise win32_error(status.WSAEADDRNOTAVAIL)
        if family in SIZE_OF_ADDRESS and not self._device.host.is_bound:
            self._socket.bind(("", 0))
        view = memoryview(data).cast("B")
        overlapped = Overlapped(self, 0, view, tag)
        self._begin(Connect(target, [view]), overlapped)
        return overlapped

    def disconnect(self, reuse: Reuse = Reuse.NO, *, tag: Any = None) -> Overlapped:
        """Start to send the rest and then the end; with `Reuse.YES` the socket can then connect anew.  Returns at once.

        Raises `OSError` 10057 when not connected, `ValueError` once closed.
        """
        overlapped = Overlapped(self, 0, _NOTHING, tag)
        self._begin(Disconnect(reuse), overlapped)
        return overlapped

    def send_file(
        self,
        file: File,
        offset: int = 0,
        count: int = 0,
        *,
        head: bytes = b"",
        tail: bytes = b"",
        after: AfterTransmission = AfterTransmission.NOTHING,
        tag: Any = None,
    ) -> Overlapped:
        """Start to send `head`, `count` bytes of `file` from `offset` on (0: the rest of it), and `tail`.

        Returns at once; the bytes of the result are those of all three.  `after` says whether to disconnect then.
        Raises as `send`.
        """
        if not isinstance(file, File):
            raise TypeError(f"file must be a File, not {type(file).__name__}")
        check_integer("offset", offset, 0, (1 << 63) - 1)
        check_integer("count", count, 0, MAXIMUM_DWORD)
        disk = file.waitable
        assert isinstance(disk.device, DiskFile)
        overlapped = Overlapped(self, offset, _NOTHING, tag)
        self._begin(Transmit(disk, offset, count, [memoryview(head), memoryview(tail)], after), overlapped)
        return overlapped

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """End one or both directions: SHUT_RD, SHUT_WR or SHUT_RDWR; sending ends after what was sent.  Never blocks.

        No packet.  Raises `OSError` 10057 when not connected, `ValueError` for another `how` and once closed.
        """
        if how not in SHUTDOWN_OF_HOST:
            raise ValueError(f"how must be SHUT_RD, SHUT_WR or SHUT_RDWR, not {how!r}")
        assert self.handle
        try:
            self._system.perform(shut_down, self._device, SHUTDOWN_OF_HOST[how])
        except NtError as error:
            raise win32_error(winsock_code(error.status)) from None

    def _checked(self, address: Address) -> Address:
        try:
            return check_address(self._socket.family, address)
        except NtError as error:
            raise win32_error(winsock_code(error.status)) from None


class Listener(SocketHandle):
    """A listening stream socket: bound to `address`, or around a `socket.socket` that listens already.

    `address`: of the Internet, (host, port), or four values for IPv6; port 0 lets the host choose.  `backlog`: how many
    connections may wait without being accepted.  Never blocks.  Raises the host's `OSError`, `TypeError`.

    >>> from iocp_emu import CompletionPort, Listener, Socket
    >>> with CompletionPort() as port, Listener(("127.0.0.1", 0)) as listener, Socket.tcp() as client:
    ...     port.associate(listener, "listener")
    ...     accepting = listener.accept()
    ...     _ = client.connect(listener.address)
    ...     packet = port.get()
    ...     with accepting.socket as server:
    ...         peer = accepting.peer == client.address
    >>> packet.key, packet.overlapped is accepting, peer
    ('listener', True, True)
    """

    __slots__ = ()

    def __init__(self, address: Address | socket.socket, backlog: int = DEFAULT_BACKLOG) -> None:
        check_integer("backlog", backlog, 0, MAXIMUM_DWORD >> 1)
        super().__init__(address if isinstance(address, socket.socket) else _listening(address, backlog))

    def accept(self, size: int = 0, *, tag: Any = None) -> Accepting:
        """Start to accept a connection and, with a `size`, to receive its first data of up to `size` bytes.

        Returns at once.  Several may wait; the first gets the first connection.  The packet's key is that of the
        listener (I-52); the connection is the `socket` of what this returns.  0 bytes with a `size`: the peer has
        closed already.
        Raises the host's `OSError`, `ValueError` once closed, `TypeError`.
        """
        check_integer("size", size, 0, MAXIMUM_DWORD)
        assert self.handle
        own = self._socket
        accepted = Socket(socket.socket(own.family, own.type, own.proto))
        area = memoryview(bytearray(size))
        overlapped = Accepting(self, accepted, area, tag)
        try:
            self._begin(PendingAccept(accepted._device, area, size), overlapped)
        except BaseException:
            accepted.close()
            raise
        return overlapped


def _listening(address: Address, backlog: int) -> socket.socket:
    """A new listening socket; its address may be used again at once after its end, as on Windows."""
    if not issubclass(type(address), tuple):
        raise TypeError(f"address must be a tuple, not {type(address).__name__}")
    parts: tuple[Any, ...] = address
    is_ip6 = len(parts) > 2 or ":" in str(parts[0] if parts else "")
    made = socket.socket(socket.AF_INET6 if is_ip6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(parts)
        made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made


def _drop(system: ThreadSystem, handle: int, file: FileObject, sock: socket.socket) -> None:
    """Under the kernel lock: the object is gone, and its handle and its socket go with it."""
    release_handle(system, handle, file)
    if sock.fileno() == handle:
        with contextlib.suppress(OSError):
            os.close(sock.detach())
