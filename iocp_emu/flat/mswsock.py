"""Winsock's extensions: AcceptEx, ConnectEx, DisconnectEx, TransmitFile, WSAIoctl, and Winsock's own way to results.

Theory.  The four Ex calls report that they are pending even when they have ended within the call, so that a packet
always follows; what is wrong with the arguments is told at once (facts sock-connectex-skip, sock-disconnectex).

WSAGetOverlappedResult asks Winsock, not the OVERLAPPED: it tells the end of a request whose status block is only
written at the dequeue (I-27), and takes no packet (vector sock-38).

Rules of this file: I-03, I-05, I-27, I-52, I-53; facts sock-acceptex-*, sock-connectex-*, sock-disconnectex.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import status
from ..kernel.file import FileObject, IoRequest
from ..kernel.objects import NtError
from ..overlapped.files import DiskFile
from ..overlapped.host_sockets import SIZE_OF_ADDRESS, Address, names_nobody, unpack_address, winsock_code
from ..overlapped.socket_requests import SOCKADDR_PADDING, Answer, Connect, Disconnect, Operation, PendingAccept, Reuse
from ..overlapped.sockets import SocketDevice, catch_up, device_of_socket
from ..overlapped.transmission import AfterTransmission, Transmit
from .constants import (
    INFINITE,
    SIO_BASE_HANDLE,
    SIO_BSP_HANDLE,
    SIO_BSP_HANDLE_POLL,
    SIO_BSP_HANDLE_SELECT,
    SIO_GET_EXTENSION_FUNCTION_POINTER,
    SIO_UDP_CONNRESET,
    SOCKET_ERROR,
    TF_DISCONNECT,
    TF_REUSE_SOCKET,
)
from .socket_transfers import WSARecvMsg, WSASendMsg
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    UNTOUCHED,
    Caller,
    Handle,
    Untouched,
    caller,
    dword,
    handle_value,
    refusal,
    set_last_error,
)
from .sync import wait_for
from .transfer import Direction
from .winsock import (
    address_for,
    answer,
    device_at,
    flags_of,
    overlapped_call,
    views_of,
    waiting_call,
    winsock,
    with_device,
)

PAUSE_SECONDS = 0.002
"""How often WSAGetOverlappedResult looks again where nothing tells it of an end."""

BASE_HANDLE_CODES = frozenset({SIO_BASE_HANDLE, SIO_BSP_HANDLE, SIO_BSP_HANDLE_SELECT, SIO_BSP_HANDLE_POLL})
BYTES_OF_POINTER = 8


class SocketResult(NamedTuple):
    """What `WSAGetOverlappedResult` returns."""

    ret: bool
    lpNumberOfBytesTransferred: int | Untouched
    lpdwFlags: int | Untouched


class AcceptedAddresses(NamedTuple):
    """What `GetAcceptExSockaddrs` returns."""

    LocalSockaddr: Address
    RemoteSockaddr: Address


class SocketControlled(NamedTuple):
    """What `WSAIoctl` returns: `lpvOutBuffer` is a handle or a function."""

    ret: int
    lpvOutBuffer: Any
    lpcbBytesReturned: int | Untouched


# -- connections -------------------------------------------------------------------------------------------------


@winsock(False)
def AcceptEx(
    sListenSocket: Handle,
    sAcceptSocket: Handle,
    lpOutputBuffer: Any,
    dwReceiveDataLength: int,
    lpOverlapped: OVERLAPPED | None,
    *,
    dwLocalAddressLength: int | None = None,
    dwRemoteAddressLength: int | None = None,
) -> bool:
    """Have the next connection of `sListenSocket` take over `sAcceptSocket`, which is unconnected and unbound.

    With a `dwReceiveDataLength` the end is the arrival of the first data, else of the connection; the byte count is
    that of the data, the packet's key the listener's (I-52).  `lpOutputBuffer` then holds the data and, after
    `dwReceiveDataLength` bytes, both addresses as `GetAcceptExSockaddrs` reads them; their room, in bytes, is by
    default what the family needs.  Any number of these may wait; the first gets the first connection.
    FALSE: 997 pending; 10022 no listener, or an accept socket that is bound, connected, of another kind or taken;
    10014 too small a buffer, 10038, 87 no OVERLAPPED.  Never blocks.
    """
    if lpOverlapped is None:
        raise refusal(status.ERROR_INVALID_PARAMETER)

    def make(me: Caller, device: SocketDevice) -> Operation:
        needed = SIZE_OF_ADDRESS.get(device.host.family, 0) + SOCKADDR_PADDING
        local, remote = (
            needed if size is None else dword(size) for size in (dwLocalAddressLength, dwRemoteAddressLength)
        )
        target = device_at(me, sAcceptSocket)
        size = dword(dwReceiveDataLength)
        views = views_of(lpOutputBuffer, size + local + remote, writable=True)
        if len(views) != 1 or min(local, remote) < needed:
            raise NtError(status.STATUS_ACCESS_VIOLATION)
        return PendingAccept(target, views[0], size, (local, remote))

    return answer(overlapped_call(sListenSocket, lpOverlapped, make)) == 0


def GetAcceptExSockaddrs(
    lpOutputBuffer: Any,
    dwReceiveDataLength: int,
    dwLocalAddressLength: int,
    dwRemoteAddressLength: int,
) -> AcceptedAddresses:
    """The two addresses in the buffer of an `AcceptEx` that was given the same lengths; None where there is none."""
    view = memoryview(lpOutputBuffer).cast("B")
    start = dwReceiveDataLength
    middle, end = start + dwLocalAddressLength, start + dwLocalAddressLength + dwRemoteAddressLength
    return AcceptedAddresses(unpack_address(view[start:middle]), unpack_address(view[middle:end]))


@winsock(False)
def ConnectEx(
    s: Handle,
    name: Address,
    lpSendBuffer: Any,
    dwSendDataLength: int,
    lpOverlapped: OVERLAPPED | None,
) -> bool:
    """Connect a bound stream socket, then send `dwSendDataLength` bytes; the byte count is that of the data.

    The packet says 1225 refused, 1231 or 1232 unreachable, 121 timed out.  FALSE: 997 pending; 10022 not bound,
    listening, or connecting already; 10056 connected already, 10049 port 0 or no host, 10014, 10038, 87 no OVERLAPPED.
    Never blocks.
    """
    if lpOverlapped is None:
        raise refusal(status.ERROR_INVALID_PARAMETER)

    def make(_: Caller, device: SocketDevice) -> Operation:
        target = address_for(device, name)
        if device.host.family in SIZE_OF_ADDRESS and not device.host.is_bound:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        if names_nobody(device.host.family, target):
            raise refusal(status.WSAEADDRNOTAVAIL)
        return Connect(target, views_of(lpSendBuffer, dwSendDataLength, writable=False))

    return answer(overlapped_call(s, lpOverlapped, make)) == 0


@winsock(False)
def DisconnectEx(s: Handle, lpOverlapped: OVERLAPPED | None, dwFlags: int) -> bool:
    """Send the rest, then tell the peer that nothing more comes; with TF_REUSE_SOCKET the socket is unconnected then.

    FALSE: 997 pending; 10057 not connected, 10022 other flags, 10038.  Without an OVERLAPPED it waits, visibly (Q-23),
    and queues nothing (fact sock-disconnectex).
    """
    if dword(dwFlags) & ~TF_REUSE_SOCKET:
        raise NtError(status.STATUS_INVALID_PARAMETER)

    def make(_: Caller, __: SocketDevice) -> Operation:
        return Disconnect(Reuse.YES if dwFlags & TF_REUSE_SOCKET else Reuse.NO)

    return _ex_call(s, lpOverlapped, make)


@winsock(False)
def TransmitFile(
    hSocket: Handle,
    hFile: Handle,
    nNumberOfBytesToWrite: int,
    lpOverlapped: OVERLAPPED | None,
    dwFlags: int,
    *,
    nNumberOfBytesPerSend: int = 0,
    lpTransmitBuffers: tuple[Any, Any] | None = None,
) -> bool:
    """Send a head, bytes of a disk file, and a tail; the byte count is that of all three.

    `nNumberOfBytesToWrite`: 0 for the rest of the file.  It starts at the position in `lpOverlapped`, without one at
    the file's own, which then advances.  `lpTransmitBuffers`: head and tail, or None.  `hFile` NULL: those alone.
    `dwFlags`: TF_DISCONNECT and TF_REUSE_SOCKET disconnect afterwards, as `DisconnectEx`; TF_WRITE_BEHIND means
    nothing.  `nNumberOfBytesPerSend`: bytes read at a time, 0 for the usual.
    FALSE: 997 pending; 10057, 10058, 6 no file, 5 not opened for reading, 10038.  Without an OVERLAPPED it waits,
    visibly (Q-23).
    """
    flags = dword(dwFlags)
    after = AfterTransmission.NOTHING
    if flags & TF_REUSE_SOCKET:
        after = AfterTransmission.REUSE
    elif flags & TF_DISCONNECT:
        after = AfterTransmission.DISCONNECT

    def make(me: Caller, _: SocketDevice) -> Operation:
        head, tail = lpTransmitBuffers or (None, None)
        file = None
        if handle_value(hFile):
            try:
                file = me.lookup_any(hFile, FileObject, Direction.READ.rights)
            except NtError as error:
                raise refusal(status.status_to_error(error.status)) from None
            if not isinstance(file.device, DiskFile):
                raise NtError(status.STATUS_INVALID_PARAMETER)
        return Transmit(
            file,
            None if lpOverlapped is None else lpOverlapped.position,
            dword(nNumberOfBytesToWrite),
            [memoryview(each).cast("B") if each else memoryview(b"") for each in (head, tail)],
            after,
            dword(nNumberOfBytesPerSend),
        )

    return _ex_call(hSocket, lpOverlapped, make)


def _ex_call(s: Handle, overlapped: OVERLAPPED | None, make: Callable[[Caller, SocketDevice], Operation]) -> bool:
    if overlapped is None:
        return answer(waiting_call(s, make)[0]) == 0
    return answer(overlapped_call(s, overlapped, make)) == 0


# -- results -----------------------------------------------------------------------------------------------------


@winsock(SocketResult(False, UNTOUCHED, UNTOUCHED))
def WSAGetOverlappedResult(s: Handle, lpOverlapped: OVERLAPPED | None, fWait: object) -> SocketResult:
    """The result of a request on a socket, in Winsock's codes; `fWait`: wait for it, visibly (Q-23).

    TRUE sets the last error to 0.  FALSE with nothing written: 996 it goes on, 10038.  FALSE with the count: how it
    failed, such as 10054.  87 without an OVERLAPPED.  The packet stays (vector sock-38).  O(packets queued).
    """
    if lpOverlapped is None:
        raise refusal(status.ERROR_INVALID_PARAMETER)
    me = caller()
    catch_up(me.system)
    while (ended := me.perform(_ended, me, s, lpOverlapped)) is None:
        if not fWait:
            raise refusal(status.ERROR_IO_INCOMPLETE)
        if handle_value(lpOverlapped.hEvent):
            wait_for([lpOverlapped.hEvent], INFINITE, False)
        else:
            me.system.wait((), timeout=PAUSE_SECONDS)
    code, count = ended
    set_last_error(winsock_code(code))
    return SocketResult(status.is_success(code), count & MAXIMUM_DWORD, flags_of(code))


def _ended(me: Caller, s: Handle, overlapped: OVERLAPPED) -> tuple[int, int] | None:
    """How a request ended, or None: from its status block, or from its packet when that is not written yet (I-27)."""
    file = me.lookup(s, FileObject)
    device_of_socket(file)
    if not overlapped.is_pending:
        return overlapped.status, overlapped.information
    if file.association is not None:
        for packet in list(file.association.port.queue.packets):
            request = packet.source
            if isinstance(request, IoRequest) and request.block is overlapped:
                return request.status, request.information
    return None


# -- control -----------------------------------------------------------------------------------------------------

EXTENSIONS: dict[uuid.UUID, Callable[..., Any]] = {
    uuid.UUID("b5367df1-cbac-11cf-95ca-00805f48a192"): AcceptEx,
    uuid.UUID("b5367df2-cbac-11cf-95ca-00805f48a192"): GetAcceptExSockaddrs,
    uuid.UUID("25a207b9-ddf3-4660-8ee9-76e58c74063e"): ConnectEx,
    uuid.UUID("7fda2e11-8630-436f-a031-f536a6eec157"): DisconnectEx,
    uuid.UUID("b5367df0-cbac-11cf-95ca-00805f48a192"): TransmitFile,
    uuid.UUID("f689d7c8-6f1f-436b-8a53-e54fe351c322"): WSARecvMsg,
    uuid.UUID("a441e712-754f-43ca-84a7-0dee44cf606d"): WSASendMsg,
}
"""The extension functions by the GUIDs of mswsock.h."""


@winsock(SocketControlled(SOCKET_ERROR, None, UNTOUCHED))
def WSAIoctl(
    s: Handle,
    dwIoControlCode: int,
    lpvInBuffer: Any = None,
    lpOverlapped: OVERLAPPED | None = None,
) -> SocketControlled:
    """SIO_BASE_HANDLE and its like: the socket itself.  SIO_GET_EXTENSION_FUNCTION_POINTER: the function of a GUID.

    SIO_UDP_CONNRESET: whether ICMP port unreachable ends receives of this datagram socket.  With an OVERLAPPED the
    answer comes at once all the same, and a packet with 0 bytes (fact sock-ioctl-query).
    SOCKET_ERROR: 10045 any other code, 10022 an unknown GUID, 10038.  Never blocks.
    """
    output, size = _control(s, dword(dwIoControlCode), lpvInBuffer)
    if lpOverlapped is not None:
        overlapped_call(s, lpOverlapped, lambda _, __: Answer())
    return SocketControlled(0, output, size)


def _control(s: Handle, code: int, data: Any) -> tuple[Any, int]:
    device = with_device(s, lambda device: device)
    if code in BASE_HANDLE_CODES:
        return handle_value(s), BYTES_OF_POINTER
    if code == SIO_GET_EXTENSION_FUNCTION_POINTER:
        function = EXTENSIONS.get(_guid(data))
        if function is None:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        return function, BYTES_OF_POINTER
    if code == SIO_UDP_CONNRESET and not device.is_stream:
        device.reports_unreachable = any(data) if isinstance(data, (bytes, bytearray)) else bool(data)
        return None, 0
    raise refusal(status.WSAEOPNOTSUPP)


def _guid(value: Any) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value) if isinstance(value, str) else uuid.UUID(bytes_le=bytes(value))
    except (TypeError, ValueError):
        raise NtError(status.STATUS_ACCESS_VIOLATION) from None
