"""Sockets of the host as sockets of the emulated machine: the door for the faces and for compatibility layers.

Theory.  `socket_table` knows which numbers are sockets, `socket_device` what is under way on one, `socket_requests` how
each operation goes, `send_queue` what is still to be sent.  Here is what others may ask for.

A program that uses `socket.socket` objects of its own beside these calls closes, shuts down and sends without our
knowledge.  Whoever can hook those methods tells us: `socket_closed` before `close`, `shut_down` instead of `shutdown`,
`drain` before a plain `send`.  Without hooks a close is noticed when the number is next used.

Rules of this file: I-43 to I-45; clients.md 5, 8.2, 8.4.
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import threading
from typing import TYPE_CHECKING

from .. import status
from ..kernel.file import FileObject
from ..kernel.objects import NtError
from .engine import waiting
from .host_sockets import status_of
from .socket_device import Presence, SocketDevice, identity_of
from .socket_table import device_of_socket, find_socket, may_be_descriptor, socket_table

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

__all__ = [
    "SHUTDOWN_OF_HOST",
    "Shutdown",
    "SocketDevice",
    "catch_up",
    "close_socket",
    "device_of_socket",
    "drain",
    "find_socket",
    "release_handle",
    "may_be_descriptor",
    "shut_down",
    "shutdown_after_sends",
    "socket_closed",
]

DRAIN_PAUSE_SECONDS = 0.001


class Shutdown(enum.Flag):
    """Which directions a shutdown ends."""

    RECEIVE = enum.auto()
    SEND = enum.auto()


SHUTDOWN_OF_HOST = {
    socket.SHUT_RD: Shutdown.RECEIVE,
    socket.SHUT_WR: Shutdown.SEND,
    socket.SHUT_RDWR: Shutdown.RECEIVE | Shutdown.SEND,
}


def catch_up(system: ThreadSystem) -> None:
    """Bring in, on the calling thread, what has happened on sockets so far (clients.md 8.2).

    Nearly free while no socket waits for anything; never blocks.  Call without the kernel lock.
    """
    if system.catch_up is not None:
        system.catch_up()


def socket_closed(system: ThreadSystem, number: int) -> None:
    """The program is about to close descriptor `number`, or has just closed it; no socket of ours is no error.

    What is under way ends, with its packets (I-43); the association is forgotten.  Called before the close, queued
    bytes still go out; afterwards they are lost.  Does not close, never blocks.
    """
    if system.process.handles.get(number) is not None:
        system.perform(_close_handle, system, number)


def _close_handle(system: ThreadSystem, number: int) -> None:
    handles = system.process.handles
    entry = handles.get(number)
    if entry is None or not isinstance(entry.object, FileObject):
        return
    device = entry.object.device
    assert isinstance(device, SocketDevice)
    try:
        is_open = identity_of(number) == device.identity
    except OSError:
        is_open = False
    socket_table(system).leave(handles, number, Presence.OPEN if is_open else Presence.GONE)


def release_handle(system: ThreadSystem, number: int, file: FileObject) -> None:
    """Under the kernel lock: close the handle `number` if it is still one of `file`; the descriptor stays open."""
    entry = system.process.handles.get(number)
    if entry is not None and entry.object is file:
        _close_handle(system, number)


def close_socket(system: ThreadSystem, number: int) -> None:
    """Close the socket under descriptor `number`: ours, if we know it, and the host's.

    `NtError` with STATUS_INVALID_HANDLE when it is no socket.  Never blocks, but for a linger time that the program
    has set on a blocking socket.
    """
    system.perform(_forget, system, number)
    # A connection that its peer has reset is closed all the same.
    with contextlib.suppress(ConnectionError):
        os.close(number)


def _forget(system: ThreadSystem, number: int) -> None:
    if find_socket(system, number) is None:
        raise NtError(status.STATUS_INVALID_HANDLE)
    socket_table(system).leave(system.process.handles, number, Presence.OPEN)


def shut_down(device: SocketDevice, how: Shutdown) -> None:
    """Under the kernel lock: end one or both directions, sending after what is queued; `NtError` on failure."""
    try:
        if Shutdown.RECEIVE in how:
            device.shut_receiving()
        if Shutdown.SEND in how:
            device.shut_sending()
    except OSError as error:
        raise NtError(status_of(error)) from None


def shutdown_after_sends(system: ThreadSystem, number: int, how: int) -> bool:
    """`shutdown` of the program's socket `number`, after what is queued; False, and nothing done, if it is not ours.

    `how`: SHUT_RD, SHUT_WR or SHUT_RDWR of the `socket` module.  A connection that the peer has reset is no error, as
    in Winsock.  `NtError` for what Winsock refuses.  Never blocks.
    """
    if system.process.handles.get(number) is None:
        return False

    def step() -> bool:
        file = find_socket(system, number)
        if file is None:
            return False
        shut_down(device_of_socket(file), SHUTDOWN_OF_HOST[how])
        return True

    return system.perform(step)


def drain(system: ThreadSystem, number: int, seconds: float | None = None) -> bool:
    """Wait until all bytes of ended sends have gone to the host, at most `seconds`; whether they have.

    Blocks, visibly (Q-23); returns at once when nothing is queued, or `number` is no socket of ours.
    """
    entry = system.process.handles.get(number)
    if entry is None or not isinstance(entry.object, FileObject):
        return True
    device = entry.object.device
    assert isinstance(device, SocketDevice)
    if not device.unsent_bytes:
        return True
    with waiting(system):
        pause = threading.Event()
        left = seconds
        while device.unsent_bytes and (left is None or left > 0):
            pause.wait(DRAIN_PAUSE_SECONDS)
            if left is not None:
                left -= DRAIN_PAUSE_SECONDS
    return not device.unsent_bytes
