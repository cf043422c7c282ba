"""The object face: completion ports, files and overlapped operations for Python programmers.

Theory.  Each object here holds one handle of the current system and nothing of the semantics: a method checks its
arguments, runs kernel verbs and turns the answer into Python: seconds, exceptions, context managers.  A failed
operation is a packet with an `error`, never an exception of `get`.

Own rules.  Wrong types are `TypeError`, wrong ranges `ValueError`, both before anything happens.  Closing twice is
harmless; using a closed object raises `PortClosed` or `ValueError`.  An object that is dropped closes its handle.

`post` and `get` are where packets go by the million, and what a call costs is mostly calling.  So they contain the fast
path of `runtime.threads`, which says why it is right, and have what it touches at hand.
"""

from __future__ import annotations

import contextlib
import os
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeVar

from typing_extensions import Self

from . import status
from .errors import PortClosed, WaitTimeout, Win32Error, win32_error
from .kernel.completion import IoCompletion, Packet, PostedPacket, finish_delivery
from .kernel.file import FileObject, IoMode, StatusBlock
from .kernel.objects import Access, KernelObject, NtError
from .kernel.queue import RemoveOutcome
from .kernel.thread import BLOCKED
from .kernel.waits import Waitable
from .overlapped.device import Ask, IoDevice
from .overlapped.files import Caching, Disposition, OpenOptions, Share, open_file
from .profiles import Profile, get_profile
from .runtime.ambient import current_system
from .runtime.arguments import MAXIMUM_DWORD as MAXIMUM_DWORD  # noqa: PLC0414 - other faces take it from here
from .runtime.arguments import check_integer as check_integer  # noqa: PLC0414 - other faces take it from here
from .runtime.arguments import check_timeout as check_timeout  # noqa: PLC0414 - other faces take it from here
from .runtime.threads import ThreadSystem
from .status import status_to_error

ObjectT = TypeVar("ObjectT", bound=KernelObject)

ONE_DIGIT = (1 << 30) - 1
"""Up to here an int is one digit inside, and comparing it costs next to nothing."""


class HandleOwner:
    """Holds one handle of one system and closes it once.

    `handle` is an int for the flat face: multiples of four from 0x40000000.
    """

    __slots__ = ("__weakref__", "_handle", "_system")

    def __init__(self, system: ThreadSystem, handle: int) -> None:
        self._system = system
        self._handle: int | None = handle

    @property
    def handle(self) -> int:
        """The handle value; `ValueError` once closed."""
        if self._handle is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle

    @property
    def waitable(self) -> Waitable:
        """The kernel object behind the handle, for `wait`; `ValueError` once closed."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._handle is None

    def close(self) -> None:
        """Close the handle; closing again does nothing.  Never blocks."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._system.perform(self._system.process.handles.close, handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            self._handle = None
            system = self._system
            system.defer(lambda: _close_quietly(system, handle))


class _LongWay:
    """Stands in for the packets of a port where every post is a call: `append` makes it, and nothing is found here."""

    __slots__ = ("append",)

    def __init__(self, append: Callable[[Packet], object]) -> None:
        self.append = append

    def popleft(self) -> Packet:
        """As an empty deque."""
        raise IndexError


class CompletionPort(HandleOwner):
    """An I/O completion port.

    `concurrency` is the concurrency value, in threads: 0 (the default) means the number of logical processors that the
    process may use; any other 32-bit value is taken as it is (Q-03, Q-04).  `profile` names the Windows to follow
    ("win10", "win7", "xp", "classic", "wine"); None: that of the current system.  Raises `TypeError`, `ValueError`.

    >>> from iocp_emu import CompletionPort
    >>> with CompletionPort(concurrency=1) as port:
    ...     port.post(bytes=3, key="greeting")
    ...     packet = port.get()
    >>> packet.key, packet.bytes, packet.error
    ('greeting', 3, None)
    """

    __slots__ = ("_packets", "_port", "_queue", "_takers")

    def __init__(self, concurrency: int = 0, *, profile: str | Profile | None = None) -> None:
        check_integer("concurrency", concurrency, 0, MAXIMUM_DWORD)
        chosen = None if profile is None else get_profile(profile)
        system = current_system()
        self._port, handle = system.perform(_open_port, system, concurrency, chosen)
        self._queue = self._port.queue
        self._takers = self._queue.takers
        super().__init__(system, handle)
        system.follow_path(self)

    def choose_path(self) -> None:
        """Take the path that the system and the state of this object permit: fast, locked or closed."""
        self._packets: deque[Packet] | _LongWay
        if self._handle is None:
            self._packets = _LongWay(_refuse)
        elif self._system.has_fast_path:
            self._packets = self._queue.packets
        else:
            self._packets = _LongWay(partial(self._system.post, self._port))

    def close(self) -> None:
        """Close the handle; closing again does nothing.  Never blocks.

        With the last one, threads that wait in `get` raise `PortClosed` (735) and queued packets are dropped (O-21).
        """
        handle, self._handle = self._handle, None
        self.choose_path()
        if handle is not None:
            self._system.perform(self._system.process.handles.close, handle)

    # -- packets -----------------------------------------------------------------------------------------------

    def post(self, bytes: int = 0, key: Any = 0, overlapped: Any = None) -> None:
        """Queue a packet, or hand it straight to the top waiter if a slot is free (Q-10, N-01 to N-08).

        `bytes`: 0 to 2**32 - 1.  `key` and `overlapped`: anything; they come back as they are.  Never blocks; O(1).
        Raises `PortClosed` (6), `TypeError`, `ValueError`.
        """
        if type(bytes) is not int or bytes < 0 or bytes > ONE_DIGIT:
            check_integer("bytes", bytes, 0, MAXIMUM_DWORD)
        packet = PostedPacket()
        packet.key = key
        packet.overlapped = overlapped
        packet.information = bytes
        self._packets.append(packet)
        queue = self._queue
        if queue.is_watched:
            port = self._port
            if (queue.waiters and queue.current_count < queue.maximum_count) or port.waits or port.running_down:
                self._system.settle(port)

    def get(self, timeout: float | None = None) -> Packet:
        """Take the oldest packet, waiting for one if need be; the thread belongs to this port from now on (Q-11, G-08).

        `timeout` in seconds: None waits for ever, 0 polls.  A thread that is not counted yet waits while the count is
        at the concurrency value, though packets are queued (Q-13).  Blocks; O(1).
        Raises `TimeoutError` (258; the thread counts as active then, Q-24), `PortClosed` (735 when closed during the
        wait, 6 before), `TypeError`, `ValueError`, `RuntimeError` inside `blocking()`.
        """
        if timeout is not None:
            timeout = check_timeout(timeout)
        if get_ident() in self._takers:
            try:
                packet = self._packets.popleft()
            except IndexError:
                pass  # nothing is queued
            else:
                if self._port.has_sources and packet.source is not None:
                    self._system.perform(finish_delivery, [packet])
                return packet
        return self._wait_for_packet(timeout)

    def _wait_for_packet(self, timeout: float | None) -> Packet:
        """`get` off the fast path."""
        if self._handle is None:
            raise PortClosed(status.ERROR_INVALID_HANDLE)
        try:
            result = self._system.remove_one(self._port, timeout)
        except NtError as error:
            raise _refusal(self._system, error) from None
        if isinstance(result, RemoveOutcome):
            raise _no_packet(result)
        return result

    def get_many(self, max: int, timeout: float | None = None) -> list[Packet]:
        """Take between 1 and `max` packets, oldest first, as soon as there is one (G-20 to G-22, Q-19).

        `max`: 1 to 2**32 - 1.  The batch counts as one active thread.  Otherwise like `get`; O(packets taken).
        """
        if not (max.__class__ is int and 1 <= max <= MAXIMUM_DWORD):
            check_integer("max", max, 1, MAXIMUM_DWORD)
        if timeout is not None:
            timeout = check_timeout(timeout)
        if self._handle is None:
            raise PortClosed(status.ERROR_INVALID_HANDLE)
        try:
            result = self._system.remove_many(self._port, max, timeout)
        except NtError as error:
            raise _refusal(self._system, error) from None
        if isinstance(result, RemoveOutcome):
            raise _no_packet(result)
        return result

    # -- files -------------------------------------------------------------------------------------------------

    def associate(self, file: OverlappedHandle, key: Any = 0) -> None:
        """Let every operation of `file` that ends from now on queue its packet here, with `key` (C-04, C-11, C-15).

        Lasts until the file is gone (C-13).  Never blocks; O(1).  Raises `OSError` 87 when the file has a port already
        (C-06), `PortClosed`, `ValueError` for a closed file, `TypeError`.
        """
        if not isinstance(file, OverlappedHandle):
            raise TypeError(f"file must be a File or the like, not {type(file).__name__}")
        if self._handle is None:
            raise PortClosed(status.ERROR_INVALID_HANDLE)
        translated(self._system, file.waitable.associate, self._port, key)

    @property
    def waitable(self) -> IoCompletion:
        """The kernel's port, signalled while packets are queued (O-10); `ValueError` once closed."""
        assert self.handle
        return self._port

    # -- looking inside ----------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Packets in the queue; those handed to a waiter never enter it (Q-05)."""
        return self._port.depth

    @property
    def active(self) -> int:
        """Runnable threads that belong to the port: what is held against the concurrency value (Q-02)."""
        return self._port.queue.current_count

    @property
    def concurrency(self) -> int:
        """The concurrency value, in threads (Q-03, Q-04)."""
        return self._port.concurrency

    @property
    def waiting(self) -> int:
        """Threads parked in `get` or `get_many`."""
        return len(self._port.queue.waiters)

    @property
    def references(self) -> int:
        """References that keep the port object alive: handles, associated files, parked calls, ... (H-02)."""
        return self._port.references

    @property
    def freed(self) -> bool:
        """Whether the last reference is gone (H-05)."""
        return self._port.freed

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"depth={self.depth} active={self.active} waiting={self.waiting}"
        return f"<CompletionPort concurrency={self.concurrency} {state}>"


class Overlapped(StatusBlock):
    """One overlapped operation of a file: what was asked for, and its result once the packet has been dequeued.

    Comes back as `packet.overlapped`.  Compare by identity.
    """

    __slots__ = ("_data", "file", "offset", "tag")

    def __init__(self, file: OverlappedHandle, offset: int, data: memoryview, tag: Any) -> None:
        super().__init__()
        self.file = file
        self.offset = offset
        self.tag = tag
        self._data = data

    @property
    def done(self) -> bool:
        """Whether the result is there; with a port that is after the packet was dequeued, not before (I-25, I-27)."""
        return not self.is_pending

    @property
    def bytes(self) -> int:
        """Bytes moved; 0 while not done."""
        return 0 if self.is_pending else self.information

    @property
    def error(self) -> Win32Error | None:
        """None on success and while not done, else the error."""
        if self.is_pending or status.is_success(self.status):
            return None
        return win32_error(status_to_error(self.status))

    @property
    def data(self) -> memoryview:
        """The bytes that a read has brought, or that a write has taken; empty while not done."""
        return self._data[: self.bytes]

    def cancel(self) -> bool:
        """Ask for an early end; True when the operation was still outstanding (I-40, I-41).  Its packet still comes."""
        return self.file.cancel(self)

    def __repr__(self) -> str:
        state = "pending" if self.is_pending else f"{status.status_name(self.status)} bytes={self.information}"
        return f"<Overlapped offset={self.offset} {state}>"


class OverlappedHandle(HandleOwner):
    """Something whose operations are overlapped and can end as packets: what `associate` takes."""

    __slots__ = ("_file",)

    def __init__(self, system: ThreadSystem, handle: int, file: FileObject) -> None:
        super().__init__(system, handle)
        self._file = file

    @property
    def waitable(self) -> FileObject:
        """The kernel's file object, signalled when an operation has ended; `ValueError` once closed."""
        assert self.handle
        return self._file

    @property
    def outstanding(self) -> int:
        """Operations that have not ended yet."""
        return len(self._file.requests)

    def cancel(self, overlapped: Overlapped | None = None) -> bool:
        """Ask for an early end of one outstanding operation, or of all; False when there was none (I-40, 1168).

        Each cancelled one still brings its packet: error 995, or a normal end that came first (I-41).  Never blocks.
        """
        file = self.waitable
        return self._system.perform(file.cancel_requests, block=overlapped) > 0

    def _issue(
        self, start: Callable[[FileObject, Ask], int], overlapped: Overlapped, about: object = None
    ) -> Overlapped:
        """Start an operation; an immediate error leaves as an exception, and no packet will come (I-03)."""
        file = self.waitable
        overlapped.begin()
        code = start(file, Ask(overlapped, context=overlapped))
        if status.is_error(code):
            raise win32_error(status_to_error(code), about)
        return overlapped


_MODES: dict[str, tuple[int, Disposition]] = {
    "r": (Access.FILE_READ_DATA, Disposition.OPEN_EXISTING),
    "r+": (Access.FILE_READ_DATA | Access.FILE_WRITE_DATA, Disposition.OPEN_EXISTING),
    "w": (Access.FILE_WRITE_DATA, Disposition.CREATE_ALWAYS),
    "w+": (Access.FILE_READ_DATA | Access.FILE_WRITE_DATA, Disposition.CREATE_ALWAYS),
    "x": (Access.FILE_WRITE_DATA, Disposition.CREATE_NEW),
    "x+": (Access.FILE_READ_DATA | Access.FILE_WRITE_DATA, Disposition.CREATE_NEW),
    "a": (Access.FILE_APPEND_DATA, Disposition.OPEN_ALWAYS),
}


class File(OverlappedHandle):
    """A disk file opened for overlapped I/O: every operation names its offset and any number may be in flight.

    `mode` is one of r, r+, w, w+, x, x+, a (always binary; `a` writes at the end whatever the offset says).  `caching`
    UNBUFFERED sends every operation to an I/O thread; CACHED, the default, copies at once what the system has in
    memory and reports it as pending all the same, as Windows does.  Opening may block on the disk.
    Raises `FileNotFoundError` (2, 3), `PermissionError` (5), `FileExistsError` (80), `OSError` (32 when shared
    otherwise), `ValueError` and `TypeError` for the arguments.
    """

    __slots__ = ("_access", "path")

    def __init__(
        self, path: str | os.PathLike[str], mode: str = "r", *, caching: Caching = Caching.CACHED
    ) -> None:
        self.path = os.fspath(path)
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}, not {mode!r}")
        access, disposition = _MODES[mode]
        options = OpenOptions(
            access=access,
            share=Share.READ | Share.WRITE | Share.DELETE,
            disposition=disposition,
            io_mode=IoMode.OVERLAPPED,
            caching=caching,
        )
        system = current_system()
        try:
            file = open_file(system, self.path, options).file
        except NtError as error:
            raise _open_error(error, self.path) from None
        super().__init__(system, system.perform(system.process.handles.open, file, access), file)
        self._access = access

    def read(self, size: int, offset: int = 0, *, tag: Any = None) -> Overlapped:
        """Start to read up to `size` bytes at `offset` (bytes from the start).  Returns at once.

        The end of the file is a packet with error 38 and no bytes; a read across it is short (table 6.6).  `tag` is
        yours to keep on the `Overlapped`.  O(size) if the data is in memory, else O(1).
        Raises `PermissionError` (5) when not opened for reading, `ValueError`, `TypeError`.
        """
        check_integer("size", size, 0, MAXIMUM_DWORD)
        return self._start(Access.FILE_READ_DATA, memoryview(bytearray(size)), offset, tag)

    def write(self, data: bytes | bytearray | memoryview, offset: int = 0, *, tag: Any = None) -> Overlapped:
        """Start to write all of `data` at `offset`; `data` must not change until the packet has come.  Returns at once.

        Beyond the end the gap reads as zeros.  Raises `PermissionError` (5) when not opened for writing, `ValueError`,
        `TypeError`.
        """
        view = memoryview(data).cast("B")
        return self._start(Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA, view, offset, tag)

    def _start(self, wanted: int, data: memoryview, offset: int, tag: Any) -> Overlapped:
        check_integer("offset", offset, 0, (1 << 63) - 1)
        assert self.handle
        if not self._access & wanted:
            raise win32_error(status.ERROR_ACCESS_DENIED, self.path)

        def start(file: FileObject, ask: Ask) -> int:
            device = file.device
            assert isinstance(device, IoDevice)
            operation = device.read if wanted == Access.FILE_READ_DATA else device.write
            return operation(self._system, file, data, offset, ask)

        return self._issue(start, Overlapped(self, offset, data, tag), self.path)

    def __repr__(self) -> str:
        return f"<File {self.path!r}{' closed' if self.closed else ''}>"


def _close_quietly(system: ThreadSystem, handle: int) -> None:
    """Under the kernel lock: close a handle, unless somebody has closed it by its number."""
    with contextlib.suppress(NtError):
        system.process.handles.close(handle)


def _refuse(_: object) -> NoReturn:
    raise PortClosed(status.ERROR_INVALID_HANDLE)


def _refusal(system: ThreadSystem, error: NtError) -> Exception:
    if error.status == status.STATUS_INVALID_HANDLE:
        return PortClosed(status.ERROR_INVALID_HANDLE)
    if system.current().state is BLOCKED:
        return RuntimeError("a port cannot be waited on inside blocking(): leave the block first")
    return win32_error(status_to_error(error.status))


def _open_port(system: ThreadSystem, concurrency: int, profile: Profile | None) -> tuple[IoCompletion, int]:
    port = system.kernel.create_port(concurrency, profile)
    return port, system.process.handles.open(port, Access.ALL)


def _open_error(error: NtError, path: str) -> Win32Error:
    """Opening reports a name that is taken as 80, not as 183."""
    taken = error.status == status.STATUS_OBJECT_NAME_COLLISION
    return win32_error(status.ERROR_FILE_EXISTS if taken else status_to_error(error.status), path)


def _no_packet(outcome: RemoveOutcome) -> Exception:
    if outcome is RemoveOutcome.ABANDONED:
        return PortClosed(status.ERROR_ABANDONED_WAIT_0)
    return WaitTimeout(status.WAIT_TIMEOUT)


def translated(system: ThreadSystem, verb: Callable[..., ObjectT | None], *args: Any) -> ObjectT | None:
    """Run a verb; a refusal becomes the matching `OSError`."""
    try:
        return system.perform(verb, *args)
    except NtError as error:
        raise win32_error(status_to_error(error.status)) from None

