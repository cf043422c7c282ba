"""Links: a pipe whose one end is a descriptor of the host, so that another program can have it as its stdin or stdout.

Theory.  A pipe end that is handed to the host gives up its handle and becomes a real, blocking descriptor.  In its
place the other end gets a link: a `FarEnd` that holds the other side of that descriptor and moves bytes between the
two, whenever the reactor finds it ready.

    to the host       what the near end writes is handed on at once, as far as the host takes it; the rest waits here,
                      and counts as unread, so that the near end's writes pend as they would for a slow reader
    from the host     bytes are fetched while less than the quota stands unread at the near end
    the host's side is closed by all who have it: the near end finds its pipe broken
    the near end is closed: what was written goes out first, then the descriptor is closed

Rules of this file: table 6.6 (pipes) by way of the near end; clients.md 4 (open_osfhandle).

Own rules.  Everything but `hand_to_host` runs under the kernel lock and never blocks.  A link owns its descriptor and
closes it once.  A message pipe keeps no bounds of messages: the host's descriptors know none.
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING

from .. import status
from ..kernel.file import FileObject
from ..kernel.objects import Access, NtError
from .pipe_queues import Parcel, Part
from .pipes import PipeEnd, PipeState
from .reactor import EVENT_READ, EVENT_WRITE, REACTOR

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem
    from .pipes import FarEnd

MINIMUM_QUOTA = 4096
"""A quota of 0 would fetch nothing from the host before somebody reads, and nobody tells a link of reads."""


class Way(enum.Enum):
    """Which way the bytes go, seen from the host."""

    IN = "the host reads what the near end writes"
    OUT = "the host writes what the near end reads"
    BOTH = "both"


class HostLink:
    """The far end of `near`: moves bytes to or from `descriptor`, which must not block and belongs to the link.

    `quota`: bytes from the host that may stand unread at the near end.
    """

    def __init__(self, system: ThreadSystem, near: PipeEnd, descriptor: int, way: Way, quota: int) -> None:
        self._system = weakref.ref(system)
        self._near: PipeEnd | None = near
        self._descriptor = descriptor
        self._way = way
        self._quota = max(quota, MINIMUM_QUOTA)
        self._unread_by_near = 0
        self._unsent: OrderedDict[Parcel, None] = OrderedDict()
        self._watched_for = 0

    def begin(self, parcels: OrderedDict[Parcel, None]) -> None:
        """Go to work; `parcels` are on their way to the host already."""
        self._unsent.update(parcels)
        self._flush()
        self._rewatch()

    # -- FarEnd ------------------------------------------------------------------------------------------------

    def deliver(self, parcel: Parcel) -> None:
        """The near end has written."""
        self._unsent[parcel] = None
        if len(self._unsent) == 1:
            self._flush()
        self._rewatch()

    def withdraw(self, parcel: Parcel) -> bool:
        """The rest of a write is taken back."""
        self._unsent.pop(parcel, None)
        self._rewatch()
        return True

    def consumed(self, parts: list[Part]) -> None:
        """The near end has read: more may be fetched."""
        self._unread_by_near = max(0, self._unread_by_near - sum(part.count for part in parts))
        self._rewatch()

    def peer_closed(self) -> None:
        """The near end is closed: close as well, after what was written has gone out."""
        self._near = None
        if self._unsent:
            self._rewatch()
        else:
            self.close()

    def peer_disconnected(self) -> None:
        """What has not gone out is lost."""
        self._near = None
        self.close()

    def demand(self) -> int:
        """Not known."""
        return 0

    # -- the host's side ---------------------------------------------------------------------------------------

    def system(self) -> ThreadSystem | None:
        """The machine of the near end."""
        return self._system()

    def on_ready(self, events: int) -> None:
        """The descriptor may be ready."""
        if self._descriptor < 0:
            return
        if events & EVENT_WRITE:
            self._flush()
        if events & EVENT_READ and self._descriptor >= 0:
            if self._way is Way.IN:
                # That a writing end can be read is how hosts tell that nobody reads it any more.
                self._break()
            else:
                self._fetch()
        self._rewatch()

    def _flush(self) -> None:
        """Hand on what the host takes now."""
        parts: list[Part] = []
        try:
            while self._unsent:
                parcel = next(iter(self._unsent))
                count = self._write(parcel)
                parcel.position += count
                is_rest = not parcel.unread
                parts.append(Part(parcel, count, is_rest))
                if is_rest:
                    del self._unsent[parcel]
        except BlockingIOError:
            pass
        except OSError:
            self._break()
        if self._near is None:
            if not self._unsent:
                self.close()
        elif parts:
            self._near.consumed(parts)

    def _write(self, parcel: Parcel) -> int:
        if not parcel.unread:
            return 0
        return os.write(self._descriptor, parcel.data[parcel.position :])

    def _fetch(self) -> None:
        """Fetch what the host has and the near end has room for."""
        near, room = self._near, self._quota - self._unread_by_near
        if near is None or room <= 0:
            return
        try:
            data = os.read(self._descriptor, room)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._break()
            return
        self._unread_by_near += len(data)
        near.deliver(Parcel(data, None))

    def _break(self) -> None:
        """Nobody is on the host's side any more."""
        near, self._near = self._near, None
        self._unsent.clear()
        self.close()
        if near is not None:
            near.peer_closed()

    def _rewatch(self) -> None:
        """Have the reactor look for just what would let something go on."""
        wanted = 0
        if self._descriptor >= 0:
            if self._unsent:
                wanted = EVENT_WRITE
            if self._near is not None and (self._way is Way.IN or self._unread_by_near < self._quota):
                wanted |= EVENT_READ
        if wanted == self._watched_for:
            return
        self._watched_for = wanted
        if wanted:
            try:
                REACTOR.watch(self._descriptor, wanted, self)
            except OSError:
                self._break()
        elif self._descriptor >= 0:
            REACTOR.unwatch(self._descriptor, self)

    def close(self) -> None:
        """Give the descriptor back; whoever has the other side finds out.  Closing again does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._unsent.clear()
            self._watched_for = 0
            REACTOR.unwatch(descriptor, self)
            os.close(descriptor)

    def __del__(self) -> None:
        # The whole system was forgotten with the link open.
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


def hand_to_host(system: ThreadSystem, handle: int, flags: int) -> int:
    """Turn a connected pipe end into a descriptor of the host; `handle` is closed, the descriptor is the caller's.

    The descriptor blocks, and can be inherited.  It reads, writes or does both as the handle could; if that is both,
    `flags` decide: O_RDWR, O_WRONLY, else it reads.  Never blocks.  Refusals, as `NtError`: INVALID_HANDLE;
    OBJECT_TYPE_MISMATCH for what is no pipe end; INVALID_PIPE_STATE when it is not connected to a pipe end, has
    requests under way or has further handles.  `OSError` when the host has no more descriptors.
    """
    access = system.perform(system.process.handles.entry, handle).access
    way = _way_of(access, flags)
    if way is Way.BOTH:
        ours, theirs = (end.detach() for end in socket.socketpair())
    else:
        reading, writing = os.pipe()
        ours, theirs = (writing, reading) if way is Way.IN else (reading, writing)
    try:
        os.set_blocking(ours, False)
        system.perform(_link, system, handle, ours, way)
    except BaseException:
        os.close(ours)
        os.close(theirs)
        raise
    return theirs


def _way_of(access: int, flags: int) -> Way:
    reads = access & Access.FILE_READ_DATA
    writes = access & (Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA)
    if reads and writes:
        if flags & os.O_RDWR:
            return Way.BOTH
        return Way.OUT if flags & os.O_WRONLY else Way.IN
    return Way.OUT if writes else Way.IN


def _link(system: ThreadSystem, handle: int, descriptor: int, way: Way) -> None:
    file = system.process.handles.lookup(handle, FileObject)
    end = file.device
    if not isinstance(end, PipeEnd):
        raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
    near: FarEnd | None = end.far
    if not isinstance(near, PipeEnd) or end.state is not PipeState.CONNECTED or file.requests or file.handle_count > 1:
        raise NtError(status.STATUS_INVALID_PIPE_STATE)
    link = HostLink(system, near, descriptor, way, end.outbox.quota)
    parcels = end.inbox.parcels.copy()
    end.inbox.clear()
    end.far = None
    near.far = link
    system.process.handles.close(handle)
    link.begin(parcels)
