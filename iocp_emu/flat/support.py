"""What every flat call needs: who calls, handles and rights, NULL and untouched outputs, last errors, timeouts.

Theory.  A flat call is one step: look the handles up, run kernel verbs, translate the answer.  A refusal arrives as an
`NtError` and has changed nothing; `reports` turns it into the last error and the value that means failure, `nt_status`
and `nt_outputs` into the returned NTSTATUS.  A success leaves the last error as it was (G-01).

Rules of this file: I-07 (the low bit of hEvent), O-03 (generic rights), H-08 (handle values), G-07 (timeouts).

Own rules.  Integers wrap to the width of their C type.  A Python type that no Windows value could have (a `str` for a
handle) is a `TypeError`.  Nothing here decides what the kernel decides.
"""

from __future__ import annotations

import enum
import functools
import operator
import os
import time
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from typing_extensions import ParamSpec

from .. import status
from ..kernel.file import FileObject, StatusBlock
from ..kernel.objects import FIRST_HANDLE, KernelObject, NtError
from ..kernel.waits import Alertability
from ..overlapped.socket_table import find_socket
from ..runtime.ambient import current_system
from ..runtime.threads import OsThread, ThreadSystem
from .constants import (
    GENERIC_ALL,
    GENERIC_EXECUTE,
    GENERIC_READ,
    GENERIC_WRITE,
    INFINITE,
    MAXIMUM_ALLOWED,
)

P = ParamSpec("P")
R = TypeVar("R")
ObjectT = TypeVar("ObjectT", bound=KernelObject)

Handle: TypeAlias = "int | None"
"""A handle as an argument: an int, or None for NULL."""


class Output(enum.Enum):
    """An output parameter: how its pointer was passed, and what is known of the place it points to."""

    PRESENT = "a pointer was given"
    UNTOUCHED = "the call left the place as it was"

    def __repr__(self) -> str:
        return self.name


PRESENT: Final = Output.PRESENT
UNTOUCHED: Final = Output.UNTOUCHED
Pointer: TypeAlias = "Literal[Output.PRESENT] | None"
"""An output pointer as an argument: PRESENT, or None for NULL."""
Untouched: TypeAlias = Literal[Output.UNTOUCHED]

CURRENT_PROCESS: Final = (1 << 64) - 1
CURRENT_THREAD: Final = (1 << 64) - 2
LAST_PSEUDO_HANDLE: Final = (1 << 64) - 6
MAXIMUM_DWORD: Final = 0xFFFFFFFF
MAXIMUM_POINTER: Final = (1 << 64) - 1
HANDLE_TAGS: Final = 3

WIN32_FACILITY: Final = 0xC0010000
"""Statuses of this family carry a Win32 code: for refusals that have no NTSTATUS of their own."""

FILETIME_OF_EPOCH: Final = 116_444_736_000_000_000
"""1970-01-01 in units of 100 ns since 1601-01-01."""
TICKS_PER_SECOND: Final = 10_000_000


class OVERLAPPED(StatusBlock):
    """The structure of the same name: where a request starts, what it signals, and how it ended.

    `Offset` and `OffsetHigh` are the halves of the 64-bit position; `hEvent` an event handle or NULL, whose low bit
    suppresses the packet (I-07).  `Internal` is the NTSTATUS, `InternalHigh` the byte count (I-25).
    """

    __slots__ = ("Offset", "OffsetHigh", "hEvent")

    def __init__(
        self,
        Internal: int = 0,
        InternalHigh: int = 0,
        Offset: int = 0,
        OffsetHigh: int = 0,
        hEvent: Handle = None,
    ) -> None:
        super().__init__(Internal, InternalHigh)
        self.Offset = Offset
        self.OffsetHigh = OffsetHigh
        self.hEvent = hEvent

    @property
    def Internal(self) -> int:
        """The NTSTATUS; STATUS_PENDING until the result is written (I-25, I-27)."""
        return self.status

    @Internal.setter
    def Internal(self, value: int) -> None:
        self.status = value

    @property
    def InternalHigh(self) -> int:
        """The byte count, once there is a result."""
        return self.information

    @InternalHigh.setter
    def InternalHigh(self, value: int) -> None:
        self.information = value

    @property
    def position(self) -> int:
        """The 64-bit position that the two halves make, in bytes; all ones means the end of the file for a write."""
        return dword(self.Offset) | dword(self.OffsetHigh) << 32

    @property
    def wants_packet(self) -> bool:
        """Whether the low bit of hEvent is clear (I-07)."""
        return not handle_value(self.hEvent) & 1

    def __repr__(self) -> str:
        return f"<OVERLAPPED position={self.position} Internal={status.status_name(self.status)}>"


class IO_STATUS_BLOCK(StatusBlock):
    """The structure of the same name: `Status` (NTSTATUS) and `Information` of a request made at NT level."""

    __slots__ = ()

    def __init__(self, Status: int = 0, Information: int = 0) -> None:
        super().__init__(Status, Information)

    @property
    def Status(self) -> int:
        """The NTSTATUS; as it was before the call until the request has ended."""
        return self.status

    @Status.setter
    def Status(self, value: int) -> None:
        self.status = value

    @property
    def Information(self) -> int:
        """The byte count, as a rule."""
        return self.information

    @Information.setter
    def Information(self, value: int) -> None:
        self.information = value


# -- handles and rights ------------------------------------------------------------------------------------------


class TypeRights(NamedTuple):
    """What the generic rights mean for one type of object (O-03)."""

    read: int
    write: int
    execute: int
    all: int


RIGHTS: Final[dict[str, TypeRights]] = {
    "IoCompletion": TypeRights(0x00020001, 0x00020002, 0x00120000, 0x001F0003),
    "Event": TypeRights(0x00020001, 0x00020002, 0x00120000, 0x001F0003),
    "Semaphore": TypeRights(0x00020001, 0x00020002, 0x00120000, 0x001F0003),
    "Timer": TypeRights(0x00020001, 0x00020002, 0x00120000, 0x001F0003),
    "Mutant": TypeRights(0x00020001, 0x00020000, 0x00120000, 0x001F0001),
    "File": TypeRights(0x00120089, 0x00120116, 0x001200A0, 0x001F01FF),
    "Thread": TypeRights(0x00020048, 0x00020437, 0x00120800, 0x001FFFFF),
    "Process": TypeRights(0x00020410, 0x00020BEA, 0x00121001, 0x001FFFFF),
    "Job": TypeRights(0x00020004, 0x0002000B, 0x00120000, 0x001F001F),
    "WaitCompletionPacket": TypeRights(0x00020001, 0x00020001, 0x00020000, 0x000F0001),
    "IoCompletionReserve": TypeRights(0x00020001, 0x00020002, 0x00020000, 0x000F0003),
}


def map_rights(type_name: str, desired: int) -> int:
    """`desired` with its generic bits replaced by what they mean for the type (O-03)."""
    rights = RIGHTS[type_name]
    access = desired & 0x001FFFFF
    for generic, meaning in (
        (GENERIC_READ, rights.read),
        (GENERIC_WRITE, rights.write),
        (GENERIC_EXECUTE, rights.execute),
        (GENERIC_ALL | MAXIMUM_ALLOWED, rights.all),
    ):
        if desired & generic:
            access |= meaning
    return access


def full_rights(obj: KernelObject) -> int:
    """Every right that a handle of `obj` can carry."""
    return RIGHTS[obj.type_name].all


def handle_value(handle: Handle) -> int:
    """The 64-bit value of a handle argument, NULL as 0; `TypeError` for what is no integer."""
    return 0 if handle is None else operator.index(handle) & MAXIMUM_POINTER


def slot_of(value: int) -> int:
    """The value that the handle table knows: without its two low bits, but for a descriptor of the host (H-08)."""
    return value if value < FIRST_HANDLE else value & ~HANDLE_TAGS


def dword(value: int) -> int:
    """`value` as a 32-bit unsigned integer; `TypeError` for what is no integer."""
    return operator.index(value) & MAXIMUM_DWORD


def pointer_value(value: int | None) -> int:
    """`value` as a 64-bit unsigned integer, None as NULL."""
    return 0 if value is None else operator.index(value) & MAXIMUM_POINTER


class Caller(NamedTuple):
    """The calling thread and the machine that it calls."""

    system: ThreadSystem
    thread: OsThread

    def perform(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step under the kernel lock."""
        return self.system.perform(step, *args, **kwargs)

    # What follows is for steps: it is called under the lock.

    def lookup(self, handle: Handle, kind: type[ObjectT], access: int = 0) -> ObjectT:
        """The object behind `handle`: a pseudo handle, one of ours, or the descriptor of a socket of the host.

        The two low bits of our own do not count (H-08).  What is no socket of the host is no handle.
        """
        value = handle_value(handle)
        if value >= CURRENT_THREAD:
            own: KernelObject = self.thread if value == CURRENT_THREAD else self.system.process
            if not isinstance(own, kind):
                raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
            return own
        if value >= FIRST_HANDLE:
            value &= ~HANDLE_TAGS
        elif issubclass(FileObject, kind):
            find_socket(self.system, value)
        return self.system.process.handles.lookup(value, kind, access)

    def lookup_any(self, handle: Handle, kind: type[ObjectT], rights: int) -> ObjectT:
        """The object behind `handle`, which must have been opened with at least one of `rights`."""
        obj = self.lookup(handle, kind)
        value = handle_value(handle)
        if value < CURRENT_THREAD:
            granted = self.system.process.handles.entry(slot_of(value)).access
            if not granted & rights:
                raise NtError(status.STATUS_ACCESS_DENIED)
        return obj

    def open(self, obj: KernelObject, access: int | None = None) -> int:
        """A handle of `obj`, with every right unless `access` says which."""
        return self.system.process.handles.open(obj, full_rights(obj) if access is None else access)

    def open_named(self, name: str | None, kind: type[ObjectT], make: Callable[[], ObjectT]) -> tuple[int, bool]:
        """A handle of the object of that name, or of a new one; and whether it was there before (O-02)."""
        if not name:
            return self.open(make()), False
        check_object_name(name)
        found = self.system.kernel.find_name(name)
        if found is None:
            obj = make()
            self.system.kernel.set_name(obj, name)
            return self.open(obj), False
        if found.type_name != kind.type_name:
            raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
        return self.open(found), True


MAXIMUM_NAME_BYTES: Final = 0xFFFE


def check_object_name(name: str) -> None:
    """STATUS_OBJECT_NAME_INVALID for a name that no UNICODE_STRING can hold."""
    if len(name.encode("utf-16-le", "surrogatepass")) > MAXIMUM_NAME_BYTES:
        raise NtError(status.STATUS_OBJECT_NAME_INVALID)


def caller() -> Caller:
    """Who calls now."""
    system = current_system()
    return Caller(system, system.current())


class FileInUse:
    """A file object that a call works with: referenced meanwhile, so that nobody can free it under the call (H-02)."""

    __slots__ = ("_file", "_me")

    def __init__(self, me: Caller, handle: Handle, any_of: int = 0) -> None:
        self._me = me
        self._file = me.perform(self._take, handle, any_of)

    def _take(self, handle: Handle, any_of: int) -> FileObject:
        me = self._me
        file = me.lookup_any(handle, FileObject, any_of) if any_of else me.lookup(handle, FileObject)
        file.reference()
        return file

    def __enter__(self) -> FileObject:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._me.perform(self._file.dereference)


def opaque(value: Any) -> Any:
    """What identifies a request in a packet: a status block as it is, or any 64-bit value, with 0 as None (N-01)."""
    if isinstance(value, StatusBlock):
        return value
    return pointer_value(value) or None


# -- answers -----------------------------------------------------------------------------------------------------


def get_last_error() -> int:
    """The last error of the calling thread."""
    return caller().thread.last_error


def set_last_error(code: int) -> None:
    """Set the last error of the calling thread."""
    caller().thread.last_error = dword(code)


def refusal(error: int) -> NtError:
    """A refusal whose last error is the Win32 code `error` and that has no NTSTATUS of its own."""
    return NtError(WIN32_FACILITY | error)


def reports(failure: R) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a Win32 call of a function: when it is refused, the last error is set and `failure` returned."""

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(call)
        def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return call(*args, **kwargs)
            except NtError as error:
                set_last_error(status.status_to_error(error.status))
                return failure

        return reporting

    return decorate


def nt_status(call: Callable[P, int]) -> Callable[P, int]:
    """Make an NT call of a function that has no outputs: a refusal is returned as its NTSTATUS."""

    @functools.wraps(call)
    def answering(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return call(*args, **kwargs)
        except NtError as error:
            return error.status

    return answering


def nt_outputs(failure: Callable[[int], R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make an NT call of a function with outputs: when it is refused, `failure` of the NTSTATUS is returned."""

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(call)
        def answering(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return call(*args, **kwargs)
            except NtError as error:
                return failure(error.status)

        return answering

    return decorate


def reports_transfer(code: int) -> bool:
    """What a Win32 call makes of the NTSTATUS of a request: TRUE for success, else FALSE and the last error (I-04)."""
    if code != status.STATUS_PENDING and status.is_success(code):
        return True
    set_last_error(status.status_to_error(code))
    return False


# -- arguments ---------------------------------------------------------------------------------------------------

LONG_PATH_PREFIX: Final = "\\\\?\\"


def host_path(name: str | os.PathLike[str]) -> str:
    """A Win32 path as the host has it: without the prefix for long ones, and with the host's separator."""
    return os.fspath(name).removeprefix(LONG_PATH_PREFIX).replace("\\", os.sep)


def alertability(flag: object) -> Alertability:
    """A BOOL that says whether user APCs may end the wait."""
    return Alertability.ALERTABLE if flag else Alertability.PLAIN


def seconds_of(milliseconds: int) -> float | None:
    """A Win32 timeout in seconds: INFINITE as None (G-07)."""
    value = dword(milliseconds)
    return None if value == INFINITE else value / 1000


def filetime_now() -> int:
    """The time of day as a FILETIME: units of 100 ns since 1601, UTC."""
    return time.time_ns() // 100 + FILETIME_OF_EPOCH


def nt_seconds(timeout: int | None) -> float | None:
    """An NT timeout in seconds: None is for ever, negative relative, positive a FILETIME; units of 100 ns."""
    if timeout is None:
        return None
    ticks = operator.index(timeout)
    if ticks <= 0:
        return -ticks / TICKS_PER_SECOND
    return max(0, ticks - filetime_now()) / TICKS_PER_SECOND


def buffer_to_read(buffer: Any, count: int) -> memoryview:
    """The first `count` bytes of the data of a write; fewer are STATUS_INVALID_USER_BUFFER, as a bad address is."""
    return _view(buffer, count, status.STATUS_INVALID_USER_BUFFER)


def buffer_to_write(buffer: Any, count: int) -> memoryview:
    """The first `count` bytes of the target of a read; fewer, or read-only ones, are STATUS_ACCESS_VIOLATION."""
    view = _view(buffer, count, status.STATUS_ACCESS_VIOLATION)
    if view.readonly and len(view):
        raise NtError(status.STATUS_ACCESS_VIOLATION)
    return view


def _view(buffer: Any, count: int, refused_with: int) -> memoryview:
    size = dword(count)
    view = memoryview(b"" if buffer is None else buffer)
    if view.format != "B" or view.ndim != 1:
        view = view.cast("B")
    if len(view) < size:
        raise NtError(refused_with)
    return view[:size]
