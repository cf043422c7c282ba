"""Kernel objects, their references, and the handle tables that name them.

Theory.  Three things end at three different times (H-01): a *handle* is a slot of one process's table and is simply
open or closed; an object's *usability* may end with its last handle (a port is run down then); the *object* ends with
its last reference.  A handle is one reference; the others are named where they are taken (an association, a request
in flight, a parked call, a job, a wait packet).

Rules of this file: H-01, H-02, H-05, H-08, H-09, O-02 (names), O-03 (access rights).

Own rules.  Every refusal is an `NtError` raised before anything has changed.  An object is freed exactly once.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, TypeVar

from .. import status

if TYPE_CHECKING:
    from .jobs import Process
    from .machine import Kernel

FIRST_HANDLE = 0x40000000
"""Smallest handle value: far above any descriptor that an operating system hands out."""

HANDLE_STEP = 4
"""Handles are multiples of four, as on Windows, so that their two low bits are free for tags."""


class NtError(Exception):
    """A kernel verb refused; nothing was changed.

    `status` is the NTSTATUS (32-bit unsigned).  The faces turn it into a return value, a last error or an `OSError`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(status.status_name(code))
        self.status = code


class Access(enum.IntFlag):
    """Access rights of a handle (O-03).  The low bits are specific to the object's type."""

    NONE = 0
    QUERY_STATE = 0x0001
    MODIFY_STATE = 0x0002
    DELETE = 0x00010000
    SYNCHRONIZE = 0x00100000
    ALL = 0x001F0003
    FILE_READ_DATA = 0x0001
    FILE_WRITE_DATA = 0x0002
    FILE_APPEND_DATA = 0x0004
    FILE_ALL = 0x001F01FF
    ANY = 0x001FFFFF


class KernelObject:
    """What a handle can name: counts its references and its handles and is freed once, at zero references (H-05)."""

    type_name: ClassVar[str] = "Object"
    all_access: ClassVar[int] = Access.ALL
    __slots__ = ("__weakref__", "freed", "handle_count", "kernel", "name", "references")

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.name: str | None = None
        self.references = 0
        self.handle_count = 0
        self.freed = False
        kernel.objects[self] = None

    def reference(self) -> None:
        """Take one reference (H-02).  O(1)."""
        self.references += 1

    def dereference(self) -> None:
        """Give one reference back; at zero the object is freed (H-05, P-14).  O(1) plus what the object holds."""
        self.references -= 1
        if self.references == 0:
            self.freed = True
            del self.kernel.objects[self]
            self.on_freed()

    def on_process_handles_closed(self, process: Process) -> None:
        """`process` has closed its last handle of this object while the object may live on elsewhere (I-33)."""

    def on_last_handle_closed(self) -> None:
        """No process holds a handle any more; references may remain (H-01)."""

    def on_freed(self) -> None:
        """The last reference is gone: give back whatever this object refers to."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or hex(id(self))} references={self.references}>"


ObjectT = TypeVar("ObjectT", bound=KernelObject)


class HandleEntry:
    """One slot of a handle table: which object, with which rights."""

    __slots__ = ("access", "object")

    def __init__(self, obj: KernelObject, access: int) -> None:
        self.object = obj
        self.access = access


class HandleTable:
    """The handles of one process.

    Values come from a counter of the kernel and are never used again in its life (H-08), so a stale handle is always
    an error and never somebody else's object.  All operations are O(1) but `handles` and `close_all`.
    """

    __slots__ = ("_counts", "_entries", "kernel", "process")

    def __init__(self, kernel: Kernel, process: Process) -> None:
        self.kernel = kernel
        self.process = process
        self._entries: dict[int, HandleEntry] = {}
        self._counts: dict[KernelObject, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def handles(self) -> list[int]:
        """Every open handle value, oldest first.  O(handles)."""
        return list(self._entries)

    def get(self, handle: int) -> HandleEntry | None:
        """The slot behind `handle`, if it is open here."""
        return self._entries.get(handle)

    def entry(self, handle: int | None) -> HandleEntry:
        """The slot behind `handle`; `NtError(STATUS_INVALID_HANDLE)` when it is not open here."""
        found = self._entries.get(handle) if isinstance(handle, int) else None
        if found is None:
            raise NtError(status.STATUS_INVALID_HANDLE)
        return found

    def open(self, obj: KernelObject, access: int, handle: int | None = None) -> int:
        """Make a new handle: one reference and one handle more on `obj`.

        `handle` is the value that it shall have, free and below `FIRST_HANDLE`: the host's own name of the object.
        """
        if handle is None:
            handle = self.kernel.new_handle_value()
        assert handle not in self._entries
        self._entries[handle] = HandleEntry(obj, access)
        self._counts[obj] = self._counts.get(obj, 0) + 1
        obj.reference()
        obj.handle_count += 1
        return handle

    def lookup(self, handle: int | None, kind: type[ObjectT], access: int = 0) -> ObjectT:
        """The object behind `handle`, which must be a `kind` opened with every right in `access`.

        Errors: STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED, in this order (C-07 to
        C-10, O-03).
        """
        entry = self.entry(handle)
        if not isinstance(entry.object, kind):
            raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
        if access & ~entry.access:
            raise NtError(status.STATUS_ACCESS_DENIED)
        return entry.object

    def close(self, handle: int | None) -> None:
        """Close one handle (H-01, O-20, O-26).  A second close of the same value is STATUS_INVALID_HANDLE."""
        obj = self.entry(handle).object
        assert handle is not None
        del self._entries[handle]
        obj.handle_count -= 1
        self._counts[obj] -= 1
        if self._counts[obj] == 0:
            del self._counts[obj]
            obj.on_process_handles_closed(self.process)
        if obj.handle_count == 0:
            self.kernel.forget_name(obj)
            obj.on_last_handle_closed()
        obj.dereference()

    def duplicate(self, handle: int | None, target: HandleTable, access: int | None) -> int:
        """A second handle of the same object in `target` (C-12, O-26); `access` None keeps the source's rights."""
        entry = self.entry(handle)
        if access is None:
            access = entry.access
        return target.open(entry.object, access)

    def close_all(self) -> None:
        """Close every handle, newest first, as the end of a process does."""
        while self._entries:
            self.close(next(reversed(self._entries)))
