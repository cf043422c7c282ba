"""NT calls on files: read, write and control with everything in the open, cancel, and what is set on a file object.

Theory.  The status block of an NT request is written once, by the result; while it is pending it stays as it was (fact
ntpipe-listen).  The packet carries the ApcContext, and none comes without one (fact afd-nullctx).

Rules of this file: C-04 to C-16 (FileCompletionInformation), C-14, I-03 to I-09, I-15 to I-19, I-40.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import status
from ..kernel.completion import IoCompletion
from ..kernel.file import FileObject, StatusBlock
from ..kernel.objects import NtError
from ..overlapped.sockets import catch_up
from .constants import (
    IO_COMPLETION_MODIFY_STATE,
    FileCompletionInformation,
    FileIoCompletionNotificationInformation,
    FileReplaceCompletionInformation,
)
from .results import cancel_synchronous
from .support import (
    IO_STATUS_BLOCK,
    UNTOUCHED,
    Caller,
    Handle,
    Untouched,
    buffer_to_read,
    buffer_to_write,
    caller,
    dword,
    handle_value,
    nt_outputs,
    opaque,
    pointer_value,
)
from .transfer import Direction, Order, control, transfer

BYTES_OF_CLASS = {
    FileCompletionInformation: 16,
    FileIoCompletionNotificationInformation: 4,
    FileReplaceCompletionInformation: 16,
}
"""Size of each structure in bytes, in a 64-bit process."""

ApcRoutine = Callable[[Any, IO_STATUS_BLOCK], object]
"""Called with the ApcContext and the status block, as a user APC of the thread that asked."""


class Transferring(NamedTuple):
    """What `NtReadFile`, `NtWriteFile` and `NtFsControlFile` return; the block is written when the request ends."""

    ret: int
    IoStatusBlock: IO_STATUS_BLOCK


class InformationSet(NamedTuple):
    """What `NtSetInformationFile` returns."""

    ret: int
    Status: int | Untouched
    Information: int | Untouched


class InformationQueried(NamedTuple):
    """What `NtQueryInformationFile` returns."""

    ret: int
    Status: int | Untouched
    Information: int | Untouched
    Flags: int | Untouched


class Cancelled(NamedTuple):
    """What the calls that cancel return."""

    ret: int
    Status: int | Untouched
    Information: int | Untouched


# -- reading and writing -----------------------------------------------------------------------------------------


def NtReadFile(
    FileHandle: Handle,
    Event: Handle,
    ApcRoutine: ApcRoutine | None,
    ApcContext: Any,
    Buffer: Any,
    Length: int,
    ByteOffset: int | None,
    *,
    IoStatusBlock: IO_STATUS_BLOCK | None = None,
) -> Transferring:
    """Read up to `Length` bytes from `ByteOffset` on (None: the position of a synchronous file).

    `ApcContext` other than NULL asks for a packet with that value, unless there is an `ApcRoutine`, which it is given
    to.  `IoStatusBlock` None: a new one.  PENDING, SUCCESS, or what ReadFile shows as an error; without a request the
    block and the event are untouched.  Blocks only on a synchronous file, visibly (Q-23).
    """
    return _move(Direction.READ, FileHandle, Event, ApcRoutine, ApcContext, Buffer, Length, ByteOffset, IoStatusBlock)


def NtWriteFile(
    FileHandle: Handle,
    Event: Handle,
    ApcRoutine: ApcRoutine | None,
    ApcContext: Any,
    Buffer: Any,
    Length: int,
    ByteOffset: int | None,
    *,
    IoStatusBlock: IO_STATUS_BLOCK | None = None,
) -> Transferring:
    """Write `Length` bytes at `ByteOffset`, of which -1 means the end of the file; otherwise as `NtReadFile`."""
    return _move(Direction.WRITE, FileHandle, Event, ApcRoutine, ApcContext, Buffer, Length, ByteOffset, IoStatusBlock)


def _move(
    direction: Direction,
    handle: Handle,
    event: Handle,
    routine: ApcRoutine | None,
    context: Any,
    buffer: Any,
    length: int,
    offset: int | None,
    given: IO_STATUS_BLOCK | None,
) -> Transferring:
    block, order = _order(event, routine, context, given)
    position = None if offset is None else pointer_value(offset)
    try:
        code = transfer(caller(), handle, direction, buffer, length, position, order).status
    except NtError as error:
        code = error.status
    return Transferring(code, block)


def _order(
    event: Handle, routine: ApcRoutine | None, context: Any, given: IO_STATUS_BLOCK | None
) -> tuple[IO_STATUS_BLOCK, Order]:
    """The status block of a call, and how it wants its result."""
    block = IO_STATUS_BLOCK() if given is None else given
    value = opaque(context)

    def call_routine(_code: int, _information: int, _block: StatusBlock) -> None:
        assert routine is not None
        routine(value, block)

    return block, Order(block, value, event) if routine is None else Order(block, None, event, call_routine)


def NtFsControlFile(
    FileHandle: Handle,
    Event: Handle,
    ApcRoutine: ApcRoutine | None,
    ApcContext: Any,
    FsControlCode: int,
    InputBuffer: Any,
    InputBufferLength: int,
    OutputBuffer: Any,
    OutputBufferLength: int,
    *,
    IoStatusBlock: IO_STATUS_BLOCK | None = None,
) -> Transferring:
    """Send a control code, such as the FSCTL_PIPE_ ones, with its input and for its output; otherwise as `NtReadFile`.

    INVALID_DEVICE_REQUEST when the device does not know the code.
    """
    block, order = _order(Event, ApcRoutine, ApcContext, IoStatusBlock)
    try:
        data = buffer_to_read(InputBuffer, InputBufferLength)
        target = buffer_to_write(OutputBuffer, OutputBufferLength)
        code = control(caller(), FileHandle, dword(FsControlCode), data, target, order).status
    except NtError as error:
        code = error.status
    return Transferring(code, block)


# -- cancelling --------------------------------------------------------------------------------------------------


@nt_outputs(lambda code: Cancelled(code, UNTOUCHED, UNTOUCHED))
def NtCancelIoFile(FileHandle: Handle) -> Cancelled:
    """Ask for an early end of what the calling thread has under way on the file; SUCCESS also for nothing (I-40)."""
    me = caller()
    catch_up(me.system)
    me.perform(lambda: me.lookup(FileHandle, FileObject).cancel_requests(thread=me.thread))
    return Cancelled(status.STATUS_SUCCESS, status.STATUS_SUCCESS, 0)


@nt_outputs(lambda code: Cancelled(code, UNTOUCHED, UNTOUCHED))
def NtCancelSynchronousIoFile(ThreadHandle: Handle) -> Cancelled:
    """Ask for an early end of the call that a thread waits in on a synchronous file (fact ntpipe-synccancel).

    NOT_FOUND when it waits in none.  Never blocks; O(requests of the thread).
    """
    cancel_synchronous(caller(), ThreadHandle)
    return Cancelled(status.STATUS_SUCCESS, status.STATUS_SUCCESS, 0)


@nt_outputs(lambda code: Cancelled(code, UNTOUCHED, UNTOUCHED))
def NtCancelIoFileEx(FileHandle: Handle, IoRequestToCancel: StatusBlock | None) -> Cancelled:
    """Ask for an early end of the requests of this process with that status block, or with NULL of all (I-40, I-41).

    NOT_FOUND when there is none; two requests may share a block (fact ntpipe-dupiosb).
    """
    me = caller()

    def step() -> int:
        file = me.lookup(FileHandle, FileObject)
        try:
            file.cancel_all_or_one(me.system.process, IoRequestToCancel)
        except NtError as refusal:
            return refusal.status
        return status.STATUS_SUCCESS

    catch_up(me.system)
    code = me.perform(step)
    return Cancelled(code, code, 0)


# -- information -------------------------------------------------------------------------------------------------


def NtSetInformationFile(
    FileHandle: Handle,
    FileInformationClass: int,
    *,
    Port: Handle = None,
    Key: int = 0,
    Flags: int = 0,
    Length: int | None = None,
) -> InformationSet:
    """Associate a file (class 30: `Port`, `Key`), replace that (61), or add notification modes (41: `Flags`).

    `Port` NULL in class 61 removes the association (C-14).  `Length` in bytes, None for the right one.
    Refusals: INVALID_INFO_CLASS; INFO_LENGTH_MISMATCH for too short a buffer; those of the handles, of which `Port`
    needs the right to modify; what C-05, C-06, C-14 and I-19 refuse.  On a refusal the status block stays as it was,
    before newer Wine with that status in it (vectors nt-07, nt-08).  Never blocks; O(1).
    """
    me = caller()
    try:
        _check_length(FileInformationClass, Length)
        me.perform(_set_information, me, FileHandle, FileInformationClass, Port, pointer_value(Key), dword(Flags))
    except NtError as error:
        untouched = me.system.kernel.profile.information_status_untouched_on_refusal
        return InformationSet(error.status, UNTOUCHED if untouched else error.status, UNTOUCHED)
    return InformationSet(status.STATUS_SUCCESS, status.STATUS_SUCCESS, 0)


def _check_length(information_class: int, length: int | None) -> None:
    size = BYTES_OF_CLASS.get(information_class)
    if size is None:
        raise NtError(status.STATUS_INVALID_INFO_CLASS)
    if length is not None and length < size:
        raise NtError(status.STATUS_INFO_LENGTH_MISMATCH)


def _set_information(
    me: Caller, handle: Handle, information_class: int, port_handle: Handle, key: int, flags: int
) -> None:
    file = me.lookup(handle, FileObject)
    if information_class == FileIoCompletionNotificationInformation:
        file.add_modes(flags)
        return
    removing = information_class == FileReplaceCompletionInformation and not handle_value(port_handle)
    port = None if removing else me.lookup(port_handle, IoCompletion, IO_COMPLETION_MODIFY_STATE)
    if information_class == FileReplaceCompletionInformation:
        file.replace_association(port, key)
    else:
        assert port is not None
        file.associate(port, key)


@nt_outputs(lambda code: InformationQueried(code, UNTOUCHED, UNTOUCHED, UNTOUCHED))
def NtQueryInformationFile(
    FileHandle: Handle, FileInformationClass: int, *, Length: int | None = None
) -> InformationQueried:
    """The notification modes of a file object (class 41), in `Flags` (I-18).

    Refusals: INVALID_INFO_CLASS for any other class; INFO_LENGTH_MISMATCH; those of the handle.  Never blocks; O(1).
    """
    if FileInformationClass != FileIoCompletionNotificationInformation:
        raise NtError(status.STATUS_INVALID_INFO_CLASS)
    _check_length(FileInformationClass, Length)
    me = caller()
    modes = me.perform(lambda: int(me.lookup(FileHandle, FileObject).modes))
    size = BYTES_OF_CLASS[FileIoCompletionNotificationInformation]
    return InformationQueried(status.STATUS_SUCCESS, status.STATUS_SUCCESS, size, modes)
