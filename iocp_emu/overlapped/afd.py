r"""The driver behind the sockets, as libuv, wepoll and trio use it: `\Device\Afd`, and its polls.

Theory.  IOCTL_AFD_POLL asks to be told once when a socket is ready: for data, for a connection to accept, for room to
send, for its end.  The request belongs to a file object of the driver's, which has the port; the socket itself needs
none.  The answer is what the host says about the descriptor when the request begins or when the reactor wakes up; a
request that is not answered then waits at the socket, which has its descriptor watched.

The structure is that of 64-bit Windows: the timeout (8 bytes), the number of handles and whether the poll is exclusive
(4 each), then the handle (8), the events (4), and their status (4).

Rules of this file: I-41 to I-43 for these requests; fact afd-poll-close; clients.md 7.

Own rules.  One socket in a request, whose time is endless or none, and which excludes nobody: anything else is
STATUS_NOT_SUPPORTED.  The end of the connection and the closing of the socket are told whether asked for or not.
Hosts call a stream socket writable that was never connected; so does this.
"""

from __future__ import annotations

import enum
import select
import socket
import struct
from typing import TYPE_CHECKING, Final

from .. import status
from ..kernel.file import FileObject, IoMode, IoRequest
from .device import Ask, IoDevice, Transferred
from .engine import finish, issue
from .reactor import EVENT_READ, EVENT_WRITE
from .socket_device import SocketDevice
from .socket_table import device_of_socket, find_socket

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

IOCTL_AFD_POLL: Final = 0x00012024
NAME_OF_DEVICE: Final = "\\\\.\\GLOBALROOT\\DEVICE\\AFD"
"""How a Win32 program names it, in capitals; anything may follow."""

POLL_INFO: Final = struct.Struct("<qIIQIi")
"""AFD_POLL_INFO with one handle: timeout, handles, exclusive; handle, events, status."""
FOR_EVER: Final = (1 << 63) - 1


class PollEvents(enum.IntFlag):
    """What a poll asks for and is answered."""

    NONE = 0
    RECEIVE = 0x0001
    RECEIVE_EXPEDITED = 0x0002
    SEND = 0x0004
    DISCONNECT = 0x0008
    ABORT = 0x0010
    LOCAL_CLOSE = 0x0020
    CONNECT = 0x0040
    ACCEPT = 0x0080
    CONNECT_FAIL = 0x0100


INCOMING: Final = PollEvents.RECEIVE | PollEvents.RECEIVE_EXPEDITED | PollEvents.DISCONNECT | PollEvents.ACCEPT
OUTGOING: Final = PollEvents.SEND | PollEvents.CONNECT | PollEvents.CONNECT_FAIL
ALWAYS_TOLD: Final = PollEvents.ABORT | PollEvents.LOCAL_CLOSE

_POLLRDHUP: Final = int(getattr(select, "POLLRDHUP", 0))


def is_name_of_afd(name: str) -> bool:
    """Whether a path names the driver."""
    return name.upper().startswith(NAME_OF_DEVICE)


def open_afd(system: ThreadSystem, io_mode: IoMode) -> FileObject:
    """A new file object of the driver; the caller opens its first handle."""
    return system.perform(system.kernel.create_file, AfdDevice(), io_mode)


class AfdDevice(IoDevice):
    """The driver, the device of one file object."""

    def control(
        self,
        system: ThreadSystem,
        file: FileObject,
        code: int,
        data: memoryview,
        target: memoryview,
        ask: Ask,
    ) -> int:
        """IOCTL_AFD_POLL; STATUS_INVALID_DEVICE_REQUEST for any other code.  Never blocks."""
        if code != IOCTL_AFD_POLL:
            return status.STATUS_INVALID_DEVICE_REQUEST
        if len(data) < POLL_INFO.size or len(target) < POLL_INFO.size:
            return status.STATUS_INVALID_PARAMETER
        timeout, handles, exclusive, handle, events, _ = POLL_INFO.unpack_from(data)
        if handles != 1 or exclusive or timeout not in (0, FOR_EVER):
            return status.STATUS_NOT_SUPPORTED
        polled = system.perform(find_socket, system, handle)
        if polled is None:
            return status.STATUS_INVALID_HANDLE
        poll = Poll(device_of_socket(polled), PollEvents(events), handle, target)

        def begin(request: IoRequest) -> None:
            poll.begin(request, may_wait=bool(timeout))

        return issue(system, file, ask, poll, begin)

    def cancel(self, request: IoRequest) -> None:
        """It ends at once, unless it had ended before (I-41)."""
        poll: Poll = request.operation
        poll.end(Transferred(status.STATUS_CANCELLED))

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: polls end as if their time was up (I-43, fact afd-poll-close)."""
        for request in list(file.requests):
            poll: Poll = request.operation
            poll.time_out()


class Poll:
    """One request for the readiness of one socket.  `wanted`: for what the descriptor must be watched."""

    __slots__ = ("_events", "_handle", "_request", "_socket", "_target", "wanted")

    def __init__(self, polled: SocketDevice, events: PollEvents, handle: int, target: memoryview) -> None:
        self._socket = polled
        self._events = events | ALWAYS_TOLD
        self._handle = handle
        self._target = target
        self._request: IoRequest | None = None
        self.wanted = (EVENT_READ if events & INCOMING else 0) | (EVENT_WRITE if events & OUTGOING else 0)

    def begin(self, request: IoRequest, *, may_wait: bool) -> None:
        """Under the kernel lock: answer, or wait at the socket."""
        self._request = request
        if self.look():
            return
        if not may_wait:
            self.time_out()
            return
        request.pend()
        self._socket.add_poll(self)

    def look(self) -> bool:
        """Under the kernel lock: answer if there is something to tell; whether there was."""
        told = events_now(self._socket) & self._events
        if told:
            self.end(Transferred(status.STATUS_SUCCESS, self._answer(1, told)))
        return bool(told)

    def tried(self, *, is_incoming: bool, has_to_wait: bool) -> None:
        """Nothing: a poll is about the host's readiness alone."""

    def time_out(self) -> None:
        """Under the kernel lock: the request ends without an answer."""
        self.end(Transferred(status.STATUS_TIMEOUT, self._answer(0, PollEvents.NONE)))

    def end(self, outcome: Transferred) -> None:
        """Under the kernel lock: the request ends."""
        request, self._request = self._request, None
        assert request is not None
        self._socket.drop_poll(self)
        finish(request, outcome)

    def _answer(self, handles: int, events: PollEvents) -> int:
        """Write the structure; how many bytes of it count."""
        POLL_INFO.pack_into(self._target, 0, FOR_EVER, handles, 0, self._handle, events, 0)
        return POLL_INFO.size if handles else POLL_INFO.size // 2


def events_now(device: SocketDevice) -> PollEvents:
    """All that is true of a socket now."""
    if device.is_closed:
        return PollEvents.LOCAL_CLOSE
    descriptor = device.host.fileno()
    if not hasattr(select, "poll"):
        return _events_by_select(device, descriptor)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN | select.POLLPRI | select.POLLOUT | _POLLRDHUP)
    seen = dict(poller.poll(0)).get(descriptor, 0)
    if seen & select.POLLNVAL:
        return PollEvents.LOCAL_CLOSE
    events = PollEvents.NONE
    if seen & select.POLLIN:
        events |= PollEvents.ACCEPT if device.host.is_listening else PollEvents.RECEIVE
    if seen & select.POLLPRI:
        events |= PollEvents.RECEIVE_EXPEDITED
    if seen & select.POLLOUT:
        events |= PollEvents.SEND | PollEvents.CONNECT
    if device.is_stream:
        if seen & (_POLLRDHUP | select.POLLHUP):
            events |= PollEvents.DISCONNECT
        if seen & select.POLLERR:
            # Asking the host which error would take it away from the program.
            events |= PollEvents.ABORT | PollEvents.CONNECT_FAIL
        elif seen & select.POLLHUP:
            events |= PollEvents.ABORT if device.was_connected else PollEvents.NONE
    elif seen & select.POLLERR:
        events |= PollEvents.RECEIVE | PollEvents.SEND
    return events


def _events_by_select(device: SocketDevice, descriptor: int) -> PollEvents:
    """The same where the host has no `poll`."""
    readable, writable, failed = select.select([descriptor], [descriptor], [descriptor], 0)
    events = PollEvents.NONE
    if readable:
        events |= PollEvents.ACCEPT if device.host.is_listening else PollEvents.RECEIVE
    if writable:
        events |= PollEvents.SEND | PollEvents.CONNECT
    if failed:
        events |= PollEvents.CONNECT_FAIL if device.host.type == socket.SOCK_STREAM else PollEvents.RECEIVE
    return events
