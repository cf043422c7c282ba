"""The module `_overlapped`, as CPython has it on Windows: what `asyncio.windows_events` is written on.

Theory.  One `Overlapped` object is one operation.  Its `OVERLAPPED` is known by an address, a number that is never
used again, because that is how the proactor recognizes its packets.  Each method is one Win32 call; what the call
answers decides whether the method returns, raises, or counts as done, exactly as in CPython's C code:

    pending or succeeded    return None; a packet will come
    broken pipe on a read   raise BrokenPipeError; counts as done, its event is set, no packet
    anything else           raise; the object is as if nothing had been asked ('operation failed to start')

Rules of this file: clients.md 2.  Semantics are those of the calls.

Own rules.  Handles are those of the flat face, and descriptors of sockets.  Names and signatures are CPython's.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import socket
from typing import Any, Final

from .. import status, win32
from ..errors import Win32Error, error_message, win32_error
from ..kernel.file import FileObject
from ..kernel.objects import NtError
from ..overlapped.sockets import catch_up
from ..runtime.ambient import current_system
from . import registered_waits
from .closing import close_soon, is_inside_verb, soon
from .hooks import SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT
from .host_files import handle_for
from .whole_calls import make_whole

NULL: Final = win32.NULL
INFINITE: Final = win32.INFINITE
INVALID_HANDLE_VALUE: Final = win32.INVALID_HANDLE_VALUE
ERROR_IO_PENDING: Final = status.ERROR_IO_PENDING
ERROR_NETNAME_DELETED: Final = status.ERROR_NETNAME_DELETED
ERROR_OPERATION_ABORTED: Final = status.ERROR_OPERATION_ABORTED
ERROR_PIPE_BUSY: Final = status.ERROR_PIPE_BUSY
ERROR_PORT_UNREACHABLE: Final = status.ERROR_PORT_UNREACHABLE
ERROR_SEM_TIMEOUT: Final = status.ERROR_SEM_TIMEOUT
TF_REUSE_SOCKET: Final = 2

SIZE_OF_ADDRESS: Final = 44
"""What AcceptEx wants for an address: the longest one, and 16 bytes more."""

__all__ = [
    "BindLocal",
    "ConnectPipe",
    "CreateEvent",
    "CreateIoCompletionPort",
    "ERROR_IO_PENDING",
    "ERROR_NETNAME_DELETED",
    "ERROR_OPERATION_ABORTED",
    "ERROR_PIPE_BUSY",
    "ERROR_PORT_UNREACHABLE",
    "ERROR_SEM_TIMEOUT",
    "FormatMessage",
    "GetQueuedCompletionStatus",
    "INFINITE",
    "INVALID_HANDLE_VALUE",
    "NULL",
    "Overlapped",
    "PostQueuedCompletionStatus",
    "RegisterWaitWithQueue",
    "ResetEvent",
    "SO_UPDATE_ACCEPT_CONTEXT",
    "SO_UPDATE_CONNECT_CONTEXT",
    "SetEvent",
    "TF_REUSE_SOCKET",
    "UnregisterWait",
    "UnregisterWaitEx",
    "WSAConnect",
]


def _failure() -> Win32Error:
    """The exception for the calling thread's last error."""
    return win32_error(win32.GetLastError())


def _check(ret: object) -> None:
    if not ret:
        raise _failure()


# -- ports -------------------------------------------------------------------------------------------------------


def CreateIoCompletionPort(handle: int, port: int, key: int, concurrency: int, /) -> int:
    """A new port for INVALID_HANDLE_VALUE, else `port`, with which `handle` is associated.  `OSError` 87, 6."""
    ret = win32.CreateIoCompletionPort(handle, port, key, concurrency)
    _check(ret)
    return ret


def GetQueuedCompletionStatus(port: int, msecs: int, /) -> tuple[int, int, int, int] | None:
    """The next packet as (error, bytes, key, address), or None when there was none in `msecs`.  Blocks.

    `OSError` 735 when the port is closed meanwhile, 6 when it is none.
    """
    packet = win32.GetQueuedCompletionStatus(port, msecs)
    if packet.ret:
        return 0, _number(packet.lpNumberOfBytesTransferred), packet.lpCompletionKey, _address(packet.lpOverlapped)
    error = win32.GetLastError()
    if packet.lpOverlapped is not None:
        return error, _number(packet.lpNumberOfBytesTransferred), packet.lpCompletionKey, _address(packet.lpOverlapped)
    if error == status.WAIT_TIMEOUT:
        return None
    raise win32_error(error)


def PostQueuedCompletionStatus(port: int, bytes: int, key: int, address: int, /) -> None:
    """Queue a packet.  `OSError` 6."""
    _check(win32.PostQueuedCompletionStatus(port, bytes, key, address))


def _number(count: Any) -> int:
    assert isinstance(count, int)
    return count


def _address(overlapped: Any) -> int:
    """The number by which the proactor knows the operation."""
    if isinstance(overlapped, _Block):
        return overlapped.address
    if isinstance(overlapped, int):
        return overlapped
    return 0 if overlapped is None else id(overlapped)


# -- waits and events --------------------------------------------------------------------------------------------


def RegisterWaitWithQueue(object: int, completion_port: int, overlapped: int, timeout: int, /) -> int:
    """Have a packet (0, timed out or not, 0, `overlapped`) queued when `object` is signalled, or after `timeout` ms."""
    try:
        return registered_waits.register(object, completion_port, overlapped, timeout)
    except NtError as error:
        raise win32_error(status.status_to_error(error.status)) from None


def UnregisterWait(wait_handle: int, /) -> None:
    """End a registered wait.  `OSError` 6."""
    UnregisterWaitEx(wait_handle, NULL)


def UnregisterWaitEx(wait_handle: int, event: int, /) -> None:
    """End a registered wait and signal `event`.  `OSError` 6."""
    if is_inside_verb():
        system = current_system()
        soon(system, lambda: registered_waits.unregister_in(system, wait_handle, event))
        return
    try:
        registered_waits.unregister(wait_handle, event)
    except NtError as error:
        raise win32_error(status.status_to_error(error.status)) from None


def CreateEvent(event_attributes: None, manual_reset: bool, initial_state: bool, name: str | None, /) -> int:
    """The handle of an event.  `ValueError` unless `event_attributes` is None."""
    if event_attributes is not None:
        raise ValueError("EventAttributes must be None")
    handle = win32.CreateEventW(manual_reset, initial_state, lpName=name)
    _check(handle)
    return handle


def SetEvent(handle: int, /) -> None:
    """Signal an event.  `OSError` 6."""
    _check(win32.SetEvent(handle))


def ResetEvent(handle: int, /) -> None:
    """Unsignal an event.  `OSError` 6."""
    _check(win32.ResetEvent(handle))


# -- sockets and pipes without an operation ----------------------------------------------------------------------


def BindLocal(handle: int, family: int, /) -> None:
    """Bind a socket to any address and a free port.  `OSError` 10022 when it is bound; `ValueError` for the family."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        raise ValueError("expected tuple of length 2 or 4")
    with _host_socket(handle) as sock:
        sock.bind(("0.0.0.0" if family == socket.AF_INET else "::", 0))


def WSAConnect(client_handle: int, address_as_bytes: Any, /) -> None:
    """Set the peer of a datagram socket.  `OSError` 10022 for a host that is not in digits."""
    address = _parse_address(address_as_bytes)
    with _host_socket(client_handle) as sock:
        sock.connect(address)


def ConnectPipe(address: str, /) -> int:
    """The handle of a client's end of the pipe `address`.  `OSError` 2 no such pipe, 231 all instances are busy."""
    access = win32.GENERIC_READ | win32.GENERIC_WRITE
    handle = win32.CreateFileW(address, access, 0, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)
    if handle == INVALID_HANDLE_VALUE:
        raise _failure()
    return handle


def FormatMessage(error_code: int, /) -> str:
    """The text of an error code."""
    text = error_message(error_code)
    return f"unknown error code {error_code}" if text == "Unknown error" else f"{text}."


@contextlib.contextmanager
def _host_socket(handle: int) -> Any:
    """The program's socket under this number, for a call or two; errors become Winsock's."""
    sock = socket.socket.__new__(socket.socket)
    try:
        socket.SocketType.__init__(sock, fileno=handle)
        try:
            yield sock
        finally:
            socket.SocketType.detach(sock)
    except OSError as error:
        raise win32_error(status.winsock_error(status.errno_to_status(error.errno or 0))) from None


def _parse_address(address: Any) -> Any:
    """An address as Winsock takes it: (host, port) or (host, port, flow, scope), the host in digits."""
    parts: tuple[Any, ...] = address
    if not isinstance(address, tuple):
        raise TypeError(f"argument must be tuple, not {type(address).__name__}")
    if len(parts) not in (2, 4):
        raise ValueError("expected tuple of length 2 or 4")
    host, port, *rest = parts
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError("an address is (host, port) with a str and an int")
    family = socket.AF_INET if not rest else socket.AF_INET6
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except (OSError, ValueError):
        raise win32_error(status.WSAEINVAL) from None
    return (host, port & 0xFFFF, *rest)


# -- operations --------------------------------------------------------------------------------------------------

_addresses = itertools.count(0x10000, 0x40)


class _Block(win32.OVERLAPPED):
    """An OVERLAPPED that is known by a number."""

    __slots__ = ("address",)

    def __init__(self, event: int) -> None:
        super().__init__(hEvent=event)
        self.address = next(_addresses)


class _Kind(enum.Enum):
    """What the operation is, as far as its result depends on it."""

    NONE = "nothing was asked yet"
    NOT_STARTED = "the call has failed"
    READ = "the result is bytes"
    READ_FROM = "the result is bytes and an address"
    READ_FROM_INTO = "the result is a count and an address"
    READ_INTO = "the result is a count; a broken pipe is the end of file"
    OTHER = "the result is a count"

    @property
    def is_read(self) -> bool:
        """Whether a broken pipe is the end of file."""
        return self in (_Kind.READ, _Kind.READ_FROM, _Kind.READ_FROM_INTO, _Kind.READ_INTO)


class Overlapped:
    """One overlapped operation.

    `event`: a handle; INVALID_HANDLE_VALUE, the default, makes a manual-reset event, NULL means none.
    """

    __slots__ = ("__weakref__", "_block", "_buffer", "_error", "_handle", "_kind", "_sender", "_system")

    def __init__(self, event: int = INVALID_HANDLE_VALUE) -> None:
        if event == INVALID_HANDLE_VALUE:
            event = CreateEvent(None, True, False, None)
        self._block = _Block(event)
        self._kind = _Kind.NONE
        self._error = 0
        self._handle = NULL
        self._buffer: Any = None
        self._sender: Any = None
        self._system = current_system()

    @property
    def address(self) -> int:
        """The number by which packets name this operation."""
        return self._block.address

    @property
    def event(self) -> int:
        """The handle of the event; NULL when there is none."""
        return self._block.hEvent or NULL

    @property
    def error(self) -> int:
        """The error code of the last method called."""
        return self._error

    @property
    def pending(self) -> bool:
        """Whether the operation has been started and its result is not there."""
        if self._block.hEvent and self._block.is_pending:
            catch_up(self._system)
        return self._block.is_pending and self._kind is not _Kind.NOT_STARTED

    # -- starting ----------------------------------------------------------------------------------------------

    def _start(self, kind: _Kind, handle: int, buffer: Any = None) -> _Block:
        if self._kind is not _Kind.NONE:
            raise ValueError("operation already attempted")
        self._kind = kind
        self._handle = handle
        self._buffer = buffer
        return self._block

    def _started(self, succeeded: object) -> None:
        """What a call that has begun the operation, or has failed, comes to."""
        self._error = 0 if succeeded else win32.GetLastError()
        if self._error in (0, ERROR_IO_PENDING):
            return
        if self._kind.is_read:
            if self._error == status.ERROR_MORE_DATA:
                return
            if self._error == status.ERROR_BROKEN_PIPE:
                self._mark_as_completed()
                raise win32_error(self._error)
        self._forget()
        raise win32_error(self._error)

    def _forget(self) -> None:
        self._kind = _Kind.NOT_STARTED
        self._buffer = None
        self._block.status = 0

    def _mark_as_completed(self) -> None:
        self._block.status = 0
        if self._block.hEvent:
            win32.SetEvent(self._block.hEvent)

    def ReadFile(self, handle: int, size: int, /) -> None:
        """Start to read up to `size` bytes."""
        buffer = bytearray(max(size, 1))
        self._started(win32.ReadFile(handle, buffer, size, self._start(_Kind.READ, handle, buffer)).ret)

    def ReadFileInto(self, handle: int, buf: Any, /) -> None:
        """Start to read into `buf`, which cannot be resized until the operation has ended."""
        view = memoryview(buf).cast("B")
        self._started(win32.ReadFile(handle, view, len(view), self._start(_Kind.READ_INTO, handle, view)).ret)

    def WriteFile(self, handle: int, buf: Any, /) -> None:
        """Start to write all of `buf`."""
        view = memoryview(buf).cast("B")
        self._started(win32.WriteFile(handle, view, len(view), self._start(_Kind.OTHER, handle, view)).ret)

    def WSARecv(self, handle: int, size: int, flags: int = 0, /) -> None:
        """Start to receive up to `size` bytes."""
        buffer = bytearray(size)
        block = self._start(_Kind.READ, handle, buffer)
        self._started(not win32.WSARecv(handle, buffer, size, flags, block).ret)

    def WSARecvInto(self, handle: int, buf: Any, flags: int, /) -> None:
        """Start to receive into `buf`, which cannot be resized until the operation has ended."""
        view = memoryview(buf).cast("B")
        block = self._start(_Kind.READ_INTO, handle, view)
        self._started(not win32.WSARecv(handle, view, len(view), flags, block).ret)

    def WSARecvFrom(self, handle: int, size: int, flags: int = 0, /) -> None:
        """Start to receive a message of up to `size` bytes, and its sender's address."""
        buffer = bytearray(size)
        block = self._start(_Kind.READ_FROM, handle, buffer)
        self._sender = win32.SOCKADDR()
        self._started(not win32.WSARecvFrom(handle, buffer, size, flags, block, lpFrom=self._sender).ret)

    def WSARecvFromInto(self, handle: int, buf: Any, size: int, flags: int = 0, /) -> None:
        """Start to receive a message of up to `size` bytes into `buf`.  `ValueError` when it does not hold them."""
        view = memoryview(buf).cast("B")
        if len(view) < size:
            raise ValueError("nbytes is greater than the length of the buffer")
        block = self._start(_Kind.READ_FROM_INTO, handle, view)
        self._sender = win32.SOCKADDR()
        self._started(not win32.WSARecvFrom(handle, view, size, flags, block, lpFrom=self._sender).ret)

    def WSASend(self, handle: int, buf: Any, flags: int, /) -> None:
        """Start to send all of `buf`."""
        view = memoryview(buf).cast("B")
        block = self._start(_Kind.OTHER, handle, view)
        self._started(not win32.WSASend(handle, view, len(view), flags, block).ret)

    def WSASendTo(self, handle: int, buf: Any, flags: int, address_as_bytes: Any, /) -> None:
        """Start to send `buf` as one message.  `TypeError` unless the address is a tuple."""
        address = _parse_address(address_as_bytes)
        view = memoryview(buf).cast("B")
        block = self._start(_Kind.OTHER, handle, view)
        self._started(not win32.WSASendTo(handle, view, len(view), flags, address, block).ret)

    def AcceptEx(self, listen_handle: int, accept_handle: int, /) -> None:
        """Start to accept: the socket `accept_handle` becomes the connection."""
        room = bytearray(2 * SIZE_OF_ADDRESS)
        block = self._start(_Kind.OTHER, listen_handle, room)
        self._started(
            win32.AcceptEx(
                listen_handle,
                accept_handle,
                room,
                0,
                block,
                dwLocalAddressLength=SIZE_OF_ADDRESS,
                dwRemoteAddressLength=SIZE_OF_ADDRESS,
            )
        )

    def ConnectEx(self, client_handle: int, address_as_bytes: Any, /) -> None:
        """Start to connect a socket that is bound."""
        address = _parse_address(address_as_bytes)
        self._started(win32.ConnectEx(client_handle, address, None, 0, self._start(_Kind.OTHER, client_handle)))

    def DisconnectEx(self, handle: int, flags: int, /) -> None:
        """Start to end the connection."""
        self._started(win32.DisconnectEx(handle, self._start(_Kind.OTHER, handle), flags))

    def TransmitFile(
        self,
        socket: int,
        file: int,
        offset: int,
        offset_high: int,
        count_to_write: int,
        count_per_send: int,
        flags: int,
        /,
    ) -> None:
        """Start to send `count_to_write` bytes of a file from a position on; 0 sends the whole rest."""
        block = self._start(_Kind.OTHER, socket)
        block.Offset, block.OffsetHigh = offset, offset_high
        with handle_for(self._system, file) as file_handle:
            succeeded = win32.TransmitFile(
                socket, file_handle, count_to_write, block, flags, nNumberOfBytesPerSend=count_per_send
            )
        self._started(succeeded)

    def ConnectNamedPipe(self, handle: int, /) -> bool:
        """Start to wait for a client; True, and it counts as done, when one is there already."""
        succeeded = win32.ConnectNamedPipe(handle, self._start(_Kind.OTHER, handle))
        if not succeeded and win32.GetLastError() == status.ERROR_PIPE_CONNECTED:
            self._error = status.ERROR_PIPE_CONNECTED
            self._mark_as_completed()
            return True
        self._started(succeeded)
        return False

    # -- ending ------------------------------------------------------------------------------------------------

    def getresult(self, wait: bool = False, /) -> Any:
        """What has come of the operation; may be asked again.  Blocks if `wait`.

        `OSError` 996 while it is pending, else its error.  `ValueError` before it was started, or if that has failed.
        """
        if self._kind is _Kind.NONE:
            raise ValueError("operation not yet attempted")
        if self._kind is _Kind.NOT_STARTED:
            raise ValueError("operation failed to start")
        result = win32.GetOverlappedResult(self._handle, self._block, wait)
        self._error = 0 if result.ret else win32.GetLastError()
        is_end_of_file = self._error == status.ERROR_BROKEN_PIPE and self._kind.is_read
        if self._error not in (0, status.ERROR_MORE_DATA) and not is_end_of_file:
            raise win32_error(self._error)
        count = self._block.information if is_end_of_file else _number(result.lpNumberOfBytesTransferred)
        return self._result(count)

    def _result(self, count: int) -> Any:
        match self._kind:
            case _Kind.READ:
                return bytes(memoryview(self._buffer)[:count])
            case _Kind.READ_FROM:
                return bytes(memoryview(self._buffer)[:count]), self._sender.address
            case _Kind.READ_FROM_INTO:
                return count, self._sender.address
            case _:
                return count

    def cancel(self) -> None:
        """Ask for an early end; nothing when it has ended or has not begun.  Its packet still comes."""
        if self._kind is _Kind.NOT_STARTED or not self._block.is_pending:
            return
        if is_inside_verb():
            self._cancel_orphan()
        elif not win32.CancelIoEx(self._handle, self._block) and win32.GetLastError() != status.ERROR_NOT_FOUND:
            raise _failure()

    def __del__(self) -> None:
        block: _Block | None = getattr(self, "_block", None)
        if block is None:
            return
        if block.hEvent:
            close_soon(self._system, block.hEvent)
        is_pending = block.is_pending and self._kind is not _Kind.NOT_STARTED
        if is_pending and not self._cancel_orphan():
            raise RuntimeError(f"{self!r} still has pending operation at deallocation, the process may crash")

    def _cancel_orphan(self) -> bool:
        """From a finalizer: end the operation; False when it has ended and its packet is still in a queue."""
        system, handle, block = self._system, self._handle, self._block
        lost: list[bool] = []

        def cancel() -> None:
            file = system.process.handles.lookup(handle, FileObject)
            lost.append(not file.cancel_requests(block=block) and block.is_pending)

        soon(system, cancel)
        return not any(lost)


make_whole(globals())
