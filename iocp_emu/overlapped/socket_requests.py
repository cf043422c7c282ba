"""What may be under way on a socket: receive, send, accept, connect, disconnect; each one turn at a time.

Theory.  An operation is asked to make its next turn whenever there is hope: when it is issued and nobody is before it,
and whenever its descriptor is ready.  A turn never waits.  It ends the operation, or says that it has to wait, or that
it goes on waiting in the queue of another socket (an accept that wants data too).

    Receive      bytes of a stream, or one message; no room at all only asks whether there is something (I-51)
    Send         bytes of a stream by way of the socket's send queue, or one message
    Accept       a connection, which takes over an unconnected socket; then perhaps its first data (I-52)
    Connect      a connection, then perhaps its first data
    Disconnect   the end of the data that was sent; the socket may then be used anew

Accept, connect and disconnect report that they are pending even when they have ended within the call; a wrong argument
is told at once (facts sock-connectex, sock-disconnectex).

Rules of this file: I-03 to I-06, I-50 to I-52, table 6.6.

Own rule.  An operation that has ended holds no buffer.
"""

from __future__ import annotations

import enum
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, ClassVar

from .. import status
from ..kernel.file import IoRequest
from .device import Transferred
from .host_sockets import PEEK, WAIT_ALL, Address, Received, pack_address

if TYPE_CHECKING:
    from .socket_device import SocketDevice

SOCKADDR_PADDING = 16
"""Bytes that AcceptEx wants beyond each address."""

OUTCOMES_OF_THE_NETWORK = frozenset(
    {
        status.STATUS_CONNECTION_REFUSED,
        status.STATUS_NETWORK_UNREACHABLE,
        status.STATUS_HOST_UNREACHABLE,
        status.STATUS_IO_TIMEOUT,
        status.STATUS_CONNECTION_RESET,
        status.STATUS_CONNECTION_ABORTED,
    }
)
"""What no argument is to blame for: told by a packet even when it is known at once."""

RETRIED_ACCEPTS = frozenset(
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "EPROTO", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "ENETUNREACH"),
        "ECONNRESET",
    )
    if hasattr(errno, name)
)
"""How a host tells of a connection that was gone before it could be accepted: the next one will do."""


class Turn(enum.Enum):
    """How a turn left an operation that has not ended."""

    WAITS = "until the descriptor is ready"
    HANDED_ON = "it waits in another queue now"


class Patience(enum.Enum):
    """What becomes of an operation that cannot end at once."""

    PENDS = "it is pending"
    FAILS = "it fails with STATUS_DEVICE_NOT_READY, as a non-blocking socket without an OVERLAPPED does"


Outcome = Transferred | Turn
Note = Callable[[Received], None]
"""Called under the kernel lock with what a receive has brought besides its bytes."""


class Operation:
    """One operation.  `device` and `queue` say where it waits."""

    is_incoming: ClassVar[bool] = True
    always_pends: ClassVar[bool] = False
    waits_its_turn: ClassVar[bool] = True
    __slots__ = ("device", "patience", "queue")
    device: SocketDevice
    queue: deque[IoRequest]

    def __init__(self) -> None:
        self.patience = Patience.PENDS

    @property
    def wanted(self) -> int:
        """For what the descriptor must be ready, when this is first in its queue."""
        return EVENT_READ if self.is_incoming else EVENT_WRITE

    def refusal(self, request: IoRequest) -> int:
        """Why it cannot begin: an error status, or 0."""
        return 0

    def take_turn(self, request: IoRequest) -> Outcome:
        """Go on, if only a little.  May raise the host's `OSError`; never blocks."""
        raise NotImplementedError

    def let_go(self, request: IoRequest) -> None:
        """It ends now: hold no buffer from here on."""

    def abandon(self) -> None:
        """It had begun and ends without success: undo what it has done so far."""


class Receive(Operation):
    """Up to as many bytes as the buffers hold.  `note` hears of the address and the control data of a message."""

    __slots__ = ("_buffers", "_control_bytes", "_count", "_flags", "_note", "_room", "_wants_all")

    def __init__(
        self,
        buffers: Sequence[memoryview],
        flags: int = 0,
        note: Note | None = None,
        control_bytes: int = 0,
    ) -> None:
        super().__init__()
        self._buffers = list(buffers)
        self._room = sum(map(len, buffers))
        self._wants_all = bool(flags & WAIT_ALL) and not flags & PEEK
        self._flags = flags & ~WAIT_ALL
        self._note = note
        self._control_bytes = control_bytes
        self._count = 0

    def refusal(self, request: IoRequest) -> int:
        """After the program's own shutdown nothing is received (fact afd-recv-after-shutdown)."""
        if self.device.has_shut_receiving:
            return status.STATUS_PIPE_DISCONNECTED
        return status.STATUS_INVALID_CONNECTION if self.device.is_connecting else 0

    def take_turn(self, request: IoRequest) -> Outcome:
        """Zero bytes of a stream are the peer's graceful close, or the answer of a probe (I-51)."""
        if not self.device.is_stream:
            return self._message()
        if not self._room:
            self.device.probe()
            return Transferred(status.STATUS_SUCCESS)
        while True:
            try:
                count = self.device.receive(self._buffers, self._flags)
            except BlockingIOError:
                raise
            except OSError:
                if not self._count:
                    raise
                count = 0
            self._count += count
            if not count or not self._wants_all or self._count == self._room:
                return Transferred(status.STATUS_SUCCESS, self._count)
            self._skip(count)

    def _skip(self, count: int) -> None:
        while count >= len(self._buffers[0]):
            count -= len(self._buffers.pop(0))
        self._buffers[0] = self._buffers[0][count:]

    def _message(self) -> Outcome:
        received = self.device.receive_message(self._buffers, self._flags, self._control_bytes)
        if isinstance(received, int):
            return Transferred(received)
        if self._note is not None:
            self._note(received)
        code = status.STATUS_BUFFER_OVERFLOW if received.is_truncated else status.STATUS_SUCCESS
        return Transferred(code, received.size)

    def let_go(self, request: IoRequest) -> None:
        """Of the buffers."""
        self._buffers.clear()
        self._note = None


class Send(Operation):
    """All of the buffers; to `address` if the socket has messages."""

    is_incoming = False
    __slots__ = ("_address", "_buffers", "_control", "_flags", "_room", "_sent")

    def __init__(
        self,
        buffers: Sequence[memoryview],
        flags: int = 0,
        address: Address = None,
        control: Sequence[tuple[int, int, bytes]] = (),
    ) -> None:
        super().__init__()
        self._buffers = list(buffers) or [memoryview(b"")]
        self._room = sum(map(len, buffers))
        self._flags = flags
        self._address = address
        self._control = control
        self._sent = 0

    def refusal(self, request: IoRequest) -> int:
        """After the program's own shutdown nothing is sent."""
        if self.device.has_shut_sending:
            return status.STATUS_PIPE_DISCONNECTED
        return status.STATUS_INVALID_CONNECTION if self.device.is_connecting else 0

    def take_turn(self, request: IoRequest) -> Outcome:
        """Done when the send queue has taken all (see there), or the host the message."""
        if not self.device.is_stream:
            count = self.device.send_message(self._buffers, self._flags, self._address, self._control)
            return Transferred(status.STATUS_SUCCESS, count)
        if not self.device.send(self._buffers, self._flags):
            return Turn.WAITS
        return Transferred(status.STATUS_SUCCESS, self._room)

    def let_go(self, request: IoRequest) -> None:
        """Of the buffers."""
        self._buffers.clear()


class Accept(Operation):
    """A connection of a listening socket.  `target` becomes it; without one it gets a descriptor of its own.

    `area` is where AcceptEx writes: `size` bytes of data first, then the two addresses.  Afterwards `descriptor` and
    `peer` are those of a connection without target.
    """

    __slots__ = ("_address_sizes", "_area", "_is_connected", "_size", "descriptor", "peer", "target")

    def __init__(
        self,
        target: SocketDevice | None = None,
        area: memoryview | None = None,
        size: int = 0,
        address_sizes: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.target = target
        self.descriptor = -1
        self.peer: Address = None
        self._area = area
        self._size = size
        self._address_sizes = address_sizes
        self._is_connected = False

    def refusal(self, request: IoRequest) -> int:
        """It listens, and the target is an unconnected socket of the same kind that no other accept has."""
        host = self.device.host
        if not host.is_listening:
            return status.STATUS_INVALID_PARAMETER
        target = self.target
        if target is None:
            return 0
        other = target.host
        is_alike = (host.family, host.type) == (other.family, other.type)
        if not is_alike or target.reserved_by is not None or other.is_connected or other.is_bound:
            return status.STATUS_INVALID_PARAMETER
        target.reserved_by = request
        return 0

    def take_turn(self, request: IoRequest) -> Outcome:
        """Take a connection; then, if data is wanted, wait for it at the socket that has become the connection."""
        if self._is_connected:
            return self._receive()
        descriptor, self.peer = self._next_connection()
        target = self.target
        if target is None:
            self.descriptor = descriptor
            return Transferred(status.STATUS_SUCCESS)
        self._is_connected = True
        target.become(descriptor)
        self._write_addresses(target)
        if not self._size:
            return Transferred(status.STATUS_SUCCESS)
        return target.take_over(request)

    def _next_connection(self) -> tuple[int, Address]:
        while True:
            try:
                return self.device.host.accept_now()
            except OSError as error:
                if error.errno not in RETRIED_ACCEPTS:
                    raise

    def _write_addresses(self, target: SocketDevice) -> None:
        if self._area is None:
            return
        start = self._size
        local = target.host.getsockname()
        for address, size in zip((local, self.peer), self._address_sizes, strict=True):
            packed = pack_address(target.host.family, address)[:size]
            self._area[start : start + size] = packed + bytes(size - len(packed))
            start += size

    def _receive(self) -> Outcome:
        """The first data; a peer that closes without any is a success with 0 bytes (fact sock-acceptex-zero)."""
        assert self._area is not None
        return Transferred(status.STATUS_SUCCESS, self.device.receive([self._area[: self._size]], 0))

    def let_go(self, request: IoRequest) -> None:
        """Of the buffer, and of the socket."""
        self._area = None
        if self.target is not None and self.target.reserved_by is request:
            self.target.reserved_by = None

    def abandon(self) -> None:
        """A connection that has come already ends; the socket is unconnected again."""
        target = self.target
        if self._is_connected and target is not None and not target.is_closed:
            target.renew()


class PendingAccept(Accept):
    """AcceptEx: it reports that it is pending, whatever has happened within its call."""

    always_pends = True
    __slots__ = ()


class Connect(Operation):
    """A connection to `address`, and then all of `data`."""

    is_incoming = False
    always_pends = True
    __slots__ = ("_address", "_data", "_has_begun", "_is_connected", "_size")

    def __init__(self, address: Address, data: Sequence[memoryview] = ()) -> None:
        super().__init__()
        self._address = address
        self._data = [each for each in data if each]
        self._size = sum(map(len, data))
        self._has_begun = False
        self._is_connected = False

    def refusal(self, request: IoRequest) -> int:
        """Neither connected nor about to be."""
        device = self.device
        if device.is_connecting or device.host.is_listening:
            return status.STATUS_INVALID_PARAMETER
        return status.STATUS_CONNECTION_ACTIVE if device.host.is_connected else 0

    def take_turn(self, request: IoRequest) -> Outcome:
        """Begin; look whether it has come to something; send."""
        device = self.device
        if not self._is_connected and not self._connect(device):
            return Turn.WAITS
        self._is_connected = True
        device.is_connecting = False
        device.was_connected = True
        if self._data and not device.send(self._data, 0):
            return Turn.WAITS
        return Transferred(status.STATUS_SUCCESS, self._size)

    def _connect(self, device: SocketDevice) -> bool:
        """False while it takes more time."""
        if self._has_begun:
            code = device.host.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return device.host.is_connected
        else:
            code = device.host.connect_now(self._address)
            if code in (errno.EINPROGRESS, errno.EWOULDBLOCK) and device.host.family in (
                socket.AF_INET,
                socket.AF_INET6,
            ):
                self._has_begun = device.is_connecting = True
                return False
            if code == errno.EAGAIN:
                code = errno.ECONNREFUSED  # a local listener with a full backlog
        if code:
            device.is_connecting = False
            raise OSError(code, os.strerror(code))
        return True

    def let_go(self, request: IoRequest) -> None:
        """Of the data."""
        self._data = []

    def abandon(self) -> None:
        """The attempt is given up."""
        device = self.device
        if device.is_connecting:
            device.is_connecting = False
            if not device.is_closed:
                device.renew()


class ConnectNow(Connect):
    """The plain call: it tells at once what is known at once."""

    always_pends = False
    __slots__ = ()


class Reuse(enum.Enum):
    """What a socket is after a disconnect."""

    NO = "of no more use for sending"
    YES = "unconnected, for another accept or connect (TF_REUSE_SOCKET)"


class Disconnect(Operation):
    """Everything sent so far, then the end."""

    is_incoming = False
    always_pends = True
    __slots__ = ("_reuse",)

    def __init__(self, reuse: Reuse = Reuse.NO) -> None:
        super().__init__()
        self._reuse = reuse

    def refusal(self, request: IoRequest) -> int:
        """A connection is needed."""
        device = self.device
        return 0 if device.was_connected or device.host.is_connected else status.STATUS_INVALID_CONNECTION

    def take_turn(self, request: IoRequest) -> Outcome:
        """Wait until the send queue is empty, then say the end."""
        if not self.device.end_sending():
            return Turn.WAITS
        if self._reuse is Reuse.YES:
            self.device.renew()
        return Transferred(status.STATUS_SUCCESS)


class Answer(Operation):
    """A question that is answered within its call (fact sock-ioctl-query)."""

    waits_its_turn = False
    __slots__ = ()

    def take_turn(self, request: IoRequest) -> Outcome:
        """No bytes are counted."""
        return Transferred(status.STATUS_SUCCESS)
