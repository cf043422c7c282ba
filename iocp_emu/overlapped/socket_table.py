"""Which descriptors of the host are sockets of an emulated machine, and what is behind each.

Theory.  A socket's handle is the number of its descriptor: the handle table of the process gets an entry under that
number when a call first meets it.  Numbers are used again at once by every host, and a program may close a socket
without a word; so each use of a number compares what the host has open under it with what was there before.  A number
that means something else by now is closed first: what was under way there ends as cancelled, and the association is
forgotten.  Two numbers of one socket of the host are two handles of one file object (C-12, fact sock-dup-close).

Rules of this file: C-12, I-43, I-44, H-08 (emulated handles are never used again; numbers of the host are).

Own rules.  Everything here happens under the kernel lock.
"""

from __future__ import annotations

import os
import stat
import weakref
from typing import TYPE_CHECKING

from .. import status
from ..kernel.file import FileObject, IoMode
from ..kernel.objects import FIRST_HANDLE, Access, NtError
from .reactor import REACTOR
from .socket_device import Identity, Presence, SocketDevice

if TYPE_CHECKING:
    from ..kernel.objects import HandleTable
    from ..runtime.threads import ThreadSystem


ALL_RIGHTS = int(Access.FILE_ALL)
"""A socket's handle has them all; a plain int, since every look-up computes with it."""


class SocketTable:
    """The sockets of one emulated machine."""

    def __init__(self, system: ThreadSystem) -> None:
        self._system = weakref.ref(system)
        self._files: dict[Identity, FileObject] = {}
        self._watches = 0

    def find(self, handles: HandleTable, number: int) -> FileObject | None:
        """The file object of the socket that is open under `number` now, known or new; None when it is no socket."""
        try:
            about = os.fstat(number)
        except (OSError, OverflowError):
            about = None
        identity = None if about is None else ((about.st_dev, about.st_ino) if about.st_ino else (-1, number))
        known = handles.get(number)
        if known is not None:
            file = known.object
            assert isinstance(file, FileObject) and isinstance(file.device, SocketDevice)
            if file.device.identity == identity:
                return file
            self.leave(handles, number, Presence.GONE)
        if about is None or identity is None or not stat.S_ISSOCK(about.st_mode):
            return None
        return self._enter(handles, number, identity)

    def _enter(self, handles: HandleTable, number: int, identity: Identity) -> FileObject | None:
        file = self._files.get(identity)
        if file is None:
            system = self._system()
            assert system is not None
            try:
                device = SocketDevice(system, self, number, identity)
            except OSError:
                return None
            file = system.kernel.create_file(device, IoMode.OVERLAPPED)
            file.port_excludes_apc = True
            file.host_file = device
            self._files[identity] = file
        else:
            assert isinstance(file.device, SocketDevice)
            file.device.numbers.append(number)
        handles.open(file, ALL_RIGHTS, number)
        return file

    def leave(self, handles: HandleTable, number: int, presence: Presence) -> None:
        """Close the handle `number`; the descriptor is left to whoever owns it."""
        file = handles.entry(number).object
        assert isinstance(file, FileObject) and isinstance(file.device, SocketDevice)
        file.device.leave_number(number, file, presence)
        handles.close(number)

    def lose(self, device: SocketDevice) -> None:
        """Some number of `device` was closed without a word: find out which."""
        system = self._system()
        if system is not None:
            for number in list(device.numbers):
                self.find(system.process.handles, number)

    # -- what devices tell -------------------------------------------------------------------------------------

    def rename(self, device: SocketDevice, identity: Identity) -> None:
        """Another socket of the host has taken the place of what `device` was."""
        self._files[identity] = self._files.pop(device.identity)
        device.identity = identity

    def forget_identity(self, device: SocketDevice) -> None:
        """The socket is closed."""
        self._files.pop(device.identity, None)

    def count_watches(self, change: int) -> None:
        """While the reactor watches a socket of this machine, the machine's calls look there first."""
        self._watches += change
        system = self._system()
        if system is not None:
            system.catch_up = REACTOR.poll if self._watches else None


_tables: weakref.WeakKeyDictionary[ThreadSystem, SocketTable] = weakref.WeakKeyDictionary()


def socket_table(system: ThreadSystem) -> SocketTable:
    """The table of a system, made at its first socket."""
    table = _tables.get(system)
    if table is None:
        table = _tables[system] = SocketTable(system)
    return table


def may_be_descriptor(handle: int) -> bool:
    """Whether a handle value is a number that the host gives to descriptors; 0 is NULL."""
    return 0 < handle < FIRST_HANDLE


def find_socket(system: ThreadSystem, number: int) -> FileObject | None:
    """Under the kernel lock: the file object of the socket that is open under `number` now; None when there is none.

    Afterwards there is a handle under this number if, and only if, it is a socket.
    """
    return socket_table(system).find(system.process.handles, number) if number else None


def device_of_socket(file: FileObject) -> SocketDevice:
    """The device behind a socket's file object; STATUS_OBJECT_TYPE_MISMATCH (WSAENOTSOCK) for any other."""
    if not isinstance(file.device, SocketDevice):
        raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
    return file.device
