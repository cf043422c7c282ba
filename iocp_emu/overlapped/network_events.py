"""Network events: an event object that is set when something has happened at a socket, and a record of what.

Theory.  A *selection* says for one socket which network events are wanted, and which event object is to be set.  What
has happened is recorded once, with its error code, and sets the event; asking for the record empties it.  After that
the same network event is silent until the program makes the call that *enables it again*: a receive for READ and OOB,
an accept for ACCEPT, a send that would have had to wait for WRITE.  That call also takes the old record away, and what
is still true then is recorded anew.  CONNECT and CLOSE come once; CLOSE comes after all data have been received.

A selection is a poll at the socket (`socket_device`): it looks whenever the reactor finds the descriptor ready, and
after each operation that the emulator tries.  What a program does by methods of `socket.socket` is told by whoever can
hook those: `tried`.

Rules of this file: the documentation of WSAEventSelect and WSAEnumNetworkEvents; the catalogue does not speak of them.

Own rules.  Everything here happens under the kernel lock, but for `is_anything_selected`.  A selection refers to its
event object until it ends, which it does with the socket, or when another takes its place.
"""

from __future__ import annotations

import enum
import os
import socket
import weakref
from typing import TYPE_CHECKING, Final

from .. import status
from ..kernel.file import FileObject
from .afd import PollEvents, events_now
from .host_sockets import readable_bytes
from .reactor import EVENT_READ, EVENT_WRITE
from .socket_device import SocketDevice
from .socket_table import device_of_socket, find_socket

if TYPE_CHECKING:
    from ..kernel.waits import Event
    from ..runtime.threads import ThreadSystem


class NetworkEvents(enum.IntFlag):
    """What can happen at a socket, under Winsock's numbers."""

    NONE = 0
    READ = 0x01
    WRITE = 0x02
    OOB = 0x04
    ACCEPT = 0x08
    CONNECT = 0x10
    CLOSE = 0x20


ALL: Final = NetworkEvents(0x3F)
"""What is ever told; quality of service and changes of routes and addresses are not."""
INCOMING: Final = NetworkEvents.READ | NetworkEvents.OOB | NetworkEvents.ACCEPT
OUTGOING: Final = NetworkEvents.WRITE | NetworkEvents.CONNECT

READY_TO_RECEIVE: Final = PollEvents.RECEIVE | PollEvents.ACCEPT | PollEvents.DISCONNECT | PollEvents.ABORT
READY_TO_SEND: Final = PollEvents.SEND | PollEvents.CONNECT | PollEvents.CONNECT_FAIL
FOUND: Final = {
    PollEvents.ACCEPT: NetworkEvents.ACCEPT,
    PollEvents.RECEIVE: NetworkEvents.READ,
    PollEvents.SEND: NetworkEvents.WRITE,
}
"""What a poll's answer means at a listener, or at a socket for messages."""


class Selection:
    """What one socket's program wants to hear of.  `wanted`: for what the descriptor must be watched."""

    __slots__ = ("_enabled", "_has_connected", "_recorded", "_socket", "event", "mask", "wanted")

    def __init__(self, sock: SocketDevice, event: Event, mask: NetworkEvents) -> None:
        self._socket = sock
        self.event = event
        self.mask = mask
        self.wanted = 0
        self._recorded: dict[NetworkEvents, int] = {}
        self._enabled = INCOMING | OUTGOING | NetworkEvents.CLOSE
        self._has_connected = sock.is_stream and sock.host.is_connected
        if self._has_connected:
            self._enabled &= ~NetworkEvents.CONNECT

    def look(self) -> bool:
        """Record what is new; whether there was anything."""
        if self._socket.is_closed:
            _end(self._socket)
            return False
        now = events_now(self._socket)
        found = self._found_at_stream(now) if self._is_connection() else _found(now)
        told = [each for each in found if each & self._enabled & self.mask]
        for each in told:
            self._recorded[each] = found[each]
            self._enabled &= ~each
        # A direction that is ready already is so until the program does something: the host would say it for ever.
        awaited = self._enabled & self.mask
        self.wanted = EVENT_READ if awaited & (INCOMING | NetworkEvents.CLOSE) and not now & READY_TO_RECEIVE else 0
        self.wanted |= EVENT_WRITE if awaited & OUTGOING and not now & READY_TO_SEND else 0
        if told:
            self.event.set()
        return bool(told)

    def _is_connection(self) -> bool:
        return self._socket.is_stream and not self._socket.host.is_listening

    def _found_at_stream(self, now: PollEvents) -> dict[NetworkEvents, int]:
        """What is true of a stream now, each with its Winsock code."""
        found: dict[NetworkEvents, int] = {}
        if not self._has_connected:
            if now & PollEvents.CONNECT_FAIL:
                return {NetworkEvents.CONNECT: self._take_error()}
            if not self._socket.host.is_connected:
                return found
            self._has_connected = True
            found[NetworkEvents.CONNECT] = 0
        if now & PollEvents.SEND:
            found[NetworkEvents.WRITE] = 0
        if now & PollEvents.RECEIVE_EXPEDITED:
            found[NetworkEvents.OOB] = 0
        if readable_bytes(self._socket.host.fileno()):
            found[NetworkEvents.READ] = 0
        elif now & (PollEvents.DISCONNECT | PollEvents.ABORT):
            found[NetworkEvents.CLOSE] = status.WSAECONNRESET if now & PollEvents.ABORT else 0
        return found

    def _take_error(self) -> int:
        """Why the connection has failed; the host tells it once."""
        code = self._socket.host.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return status.winsock_error(status.errno_to_status(code))

    def tried(self, *, is_incoming: bool, has_to_wait: bool) -> None:
        """The program has made a call that enables network events again; `has_to_wait`: it could not end at once."""
        if is_incoming:
            enabled = INCOMING
        elif self._is_connection() and not self._has_connected:
            enabled = OUTGOING
        else:
            enabled = NetworkEvents.WRITE if has_to_wait else NetworkEvents.NONE
        self._enabled |= enabled
        self._recorded = {each: code for each, code in self._recorded.items() if not each & enabled}
        self.look()

    def take_record(self) -> dict[NetworkEvents, int]:
        """What has happened since this was asked last, with Winsock's codes."""
        recorded, self._recorded = self._recorded, {}
        return recorded


def _found(now: PollEvents) -> dict[NetworkEvents, int]:
    """What is true of a listener, or of a socket for messages."""
    return {event: 0 for flag, event in FOUND.items() if flag & now}


_selections: weakref.WeakKeyDictionary[SocketDevice, Selection] = weakref.WeakKeyDictionary()


def select_events(sock: SocketDevice, event: Event | None, mask: int) -> None:
    """Replace what is selected at a socket; no `event`, or no events: nothing.  Makes the descriptor non-blocking.

    What is true already is recorded at once.
    """
    os.set_blocking(sock.host.fileno(), False)
    if sock in _selections:
        _end(sock)
    wanted = NetworkEvents(mask) & ALL
    if event is None or not wanted:
        return
    event.reference()
    selection = _selections[sock] = Selection(sock, event, wanted)
    selection.look()
    sock.add_poll(selection)


def _end(sock: SocketDevice) -> None:
    selection = _selections.pop(sock)
    sock.drop_poll(selection)
    selection.event.dereference()


def take_record(sock: SocketDevice) -> dict[NetworkEvents, int]:
    """What has happened at a socket since this was asked last, each event with its Winsock code."""
    selection = _selections.get(sock)
    return selection.take_record() if selection is not None else {}


def is_anything_selected() -> bool:
    """Whether there is any selection in this process, for hooks that want to be quick."""
    return bool(_selections)


def tried(system: ThreadSystem, number: int, *, is_incoming: bool, has_to_wait: bool) -> None:
    """The program has made such a call on its own socket `number`; nothing if there is no selection."""

    def step() -> None:
        sock = _known(system, number)
        if sock is not None and sock in _selections:
            _selections[sock].tried(is_incoming=is_incoming, has_to_wait=has_to_wait)
            sock.look_at_polls()

    system.perform(step)


def inherit(system: ThreadSystem, listener: int, accepted: int) -> None:
    """A connection that was accepted has the selection of its listener."""

    def step() -> None:
        sock = _known(system, listener)
        heir = find_socket(system, accepted)
        if sock is not None and sock in _selections and heir is not None:
            selection = _selections[sock]
            select_events(device_of_socket(heir), selection.event, selection.mask)

    system.perform(step)


def _known(system: ThreadSystem, number: int) -> SocketDevice | None:
    entry = system.process.handles.get(number)
    file = None if entry is None else entry.object
    return file.device if isinstance(file, FileObject) and isinstance(file.device, SocketDevice) else None
