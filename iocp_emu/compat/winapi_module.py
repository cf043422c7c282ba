"""The module `_winapi`, as CPython has it on Windows: handles, pipes, waits and processes.

Theory.  Each function is the Win32 call of its name on the flat face; a failure is raised as an `OSError` with its
`winerror`.  What asyncio, `multiprocessing.connection` and their tests use is here.

Rules of this file: clients.md 3.

Own rules.  Names and signatures are CPython's.  Security attributes mean nothing.  Only guests find this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .. import status, win32
from ..errors import Win32Error, win32_error
from ..runtime.ambient import current_system
from .closing import close_soon, is_inside_verb
from .whole_calls import make_whole

DUPLICATE_CLOSE_SOURCE: Final = win32.DUPLICATE_CLOSE_SOURCE
DUPLICATE_SAME_ACCESS: Final = win32.DUPLICATE_SAME_ACCESS
FILE_FLAG_OVERLAPPED: Final = win32.FILE_FLAG_OVERLAPPED
GENERIC_READ: Final = win32.GENERIC_READ
GENERIC_WRITE: Final = win32.GENERIC_WRITE
INFINITE: Final = win32.INFINITE
INVALID_HANDLE_VALUE: Final = win32.INVALID_HANDLE_VALUE
NULL: Final = win32.NULL
OPEN_EXISTING: Final = win32.OPEN_EXISTING
STILL_ACTIVE: Final = win32.STILL_ACTIVE
SYNCHRONIZE: Final = win32.SYNCHRONIZE
ERROR_ALREADY_EXISTS: Final = status.ERROR_ALREADY_EXISTS
ERROR_BROKEN_PIPE: Final = status.ERROR_BROKEN_PIPE
ERROR_IO_PENDING: Final = status.ERROR_IO_PENDING
ERROR_MORE_DATA: Final = status.ERROR_MORE_DATA
ERROR_NETNAME_DELETED: Final = status.ERROR_NETNAME_DELETED
ERROR_NO_DATA: Final = status.ERROR_NO_DATA
ERROR_NO_SYSTEM_RESOURCES: Final = status.ERROR_NO_SYSTEM_RESOURCES
ERROR_OPERATION_ABORTED: Final = status.ERROR_OPERATION_ABORTED
ERROR_PIPE_BUSY: Final = status.ERROR_PIPE_BUSY
ERROR_PIPE_CONNECTED: Final = status.ERROR_PIPE_CONNECTED
ERROR_SEM_TIMEOUT: Final = status.ERROR_SEM_TIMEOUT
FILE_FLAG_FIRST_PIPE_INSTANCE: Final = 0x00080000
NMPWAIT_WAIT_FOREVER: Final = 0xFFFFFFFF
PIPE_ACCESS_DUPLEX: Final = 3
PIPE_ACCESS_INBOUND: Final = 1
PIPE_READMODE_MESSAGE: Final = 2
PIPE_TYPE_MESSAGE: Final = 4
PIPE_UNLIMITED_INSTANCES: Final = 255
PIPE_WAIT: Final = 0
WAIT_ABANDONED_0: Final = status.WAIT_ABANDONED_0
WAIT_OBJECT_0: Final = status.WAIT_OBJECT_0
WAIT_TIMEOUT: Final = status.WAIT_TIMEOUT

__all__ = [
    "DUPLICATE_CLOSE_SOURCE",
    "DUPLICATE_SAME_ACCESS",
    "FILE_FLAG_OVERLAPPED",
    "GENERIC_READ",
    "GENERIC_WRITE",
    "INFINITE",
    "INVALID_HANDLE_VALUE",
    "NULL",
    "OPEN_EXISTING",
    "STILL_ACTIVE",
    "SYNCHRONIZE",
    "CloseHandle",
    "ConnectNamedPipe",
    "CreateFile",
    "CreateNamedPipe",
    "DuplicateHandle",
    "GetCurrentProcess",
    "GetExitCodeProcess",
    "GetLastError",
    "Overlapped",
    "PeekNamedPipe",
    "ReadFile",
    "SetNamedPipeHandleState",
    "TerminateProcess",
    "WaitForMultipleObjects",
    "WaitForSingleObject",
    "WaitNamedPipe",
    "WriteFile",
]


def _failure() -> Win32Error:
    """The exception for the calling thread's last error."""
    return win32_error(win32.GetLastError())


def _check(ret: object) -> None:
    if not ret:
        raise _failure()


# -- handles and waits -------------------------------------------------------------------------------------------


def CloseHandle(handle: int, /) -> None:
    """Close a handle.  `OSError` 6."""
    if is_inside_verb():
        close_soon(current_system(), handle)
        return
    _check(win32.CloseHandle(handle))


def DuplicateHandle(
    source_process_handle: int,
    source_handle: int,
    target_process_handle: int,
    desired_access: int,
    inherit_handle: bool,
    options: int = 0,
    /,
) -> int:
    """A second handle of the same object.  `OSError` 6, 5."""
    duplicated = win32.DuplicateHandle(
        source_handle,
        desired_access,
        options,
        hSourceProcessHandle=source_process_handle,
        hTargetProcessHandle=target_process_handle,
    )
    _check(duplicated.ret)
    assert duplicated.lpTargetHandle is not None
    return duplicated.lpTargetHandle


def GetLastError() -> int:
    """The last error of the calling thread."""
    return win32.GetLastError()


def WaitForSingleObject(handle: int, milliseconds: int, /) -> int:
    """0, 128 or 258 (WAIT_TIMEOUT).  `OSError` 6.  Blocks."""
    result = win32.WaitForSingleObject(handle, milliseconds)
    if result == status.WAIT_FAILED:
        raise _failure()
    return result


def WaitForMultipleObjects(handle_seq: Sequence[int], wait_flag: bool, milliseconds: int = INFINITE, /) -> int:
    """The index of a signalled object, or 258.  `ValueError` for more than 63 of them; `OSError` 6, 87.  Blocks."""
    if len(handle_seq) > 63:
        raise ValueError("need at most 63 handles, got a sequence of length " + str(len(handle_seq)))
    result = win32.WaitForMultipleObjects(len(handle_seq), handle_seq, wait_flag, milliseconds)
    if result == status.WAIT_FAILED:
        raise _failure()
    return result


# -- processes ---------------------------------------------------------------------------------------------------


def GetCurrentProcess() -> int:
    """The pseudo handle of this process."""
    return win32.GetCurrentProcess()


def GetExitCodeProcess(process: int, /) -> int:
    """The exit code, or STILL_ACTIVE.  `OSError` 6."""
    result = win32.GetExitCodeProcess(process)
    _check(result.ret)
    code = result[1]
    assert isinstance(code, int)
    return code


def TerminateProcess(handle: int, exit_code: int, /) -> None:
    """End a process.  `OSError` 6, 5 when it has ended."""
    _check(win32.TerminateProcess(handle, exit_code))


# -- files and pipes ---------------------------------------------------------------------------------------------


class Overlapped:
    """One operation that a function here has started with `overlapped=True`."""

    def __init__(self, handle: int, buffer: Any = None) -> None:
        event = win32.CreateEventW(True, False)
        _check(event)
        self._system = current_system()
        self._handle = handle
        self._block = win32.OVERLAPPED(hEvent=event)
        self._buffer = buffer
        self._is_completed = False

    @property
    def event(self) -> int:
        """The event that is signalled when the operation has ended."""
        return self._block.hEvent or NULL

    def GetOverlappedResult(self, wait: bool, /) -> tuple[int, int]:
        """Bytes moved and the error code: 0, 234 for a part of a message, 995 cancelled, 996 still pending.

        `OSError` for any other.  Blocks if `wait`.
        """
        result = win32.GetOverlappedResult(self._handle, self._block, wait)
        error = 0 if result.ret else win32.GetLastError()
        if error not in (0, status.ERROR_MORE_DATA, status.ERROR_OPERATION_ABORTED, status.ERROR_IO_INCOMPLETE):
            self._is_completed = True
            raise win32_error(error)
        if error == status.ERROR_IO_INCOMPLETE:
            return 0, error
        self._is_completed = True
        count = result.lpNumberOfBytesTransferred
        assert isinstance(count, int)
        if isinstance(self._buffer, bytearray) and count != len(self._buffer):
            del self._buffer[count:]
        return count, error

    def getbuffer(self) -> bytes | None:
        """What was read; None for an operation without a buffer.  `ValueError` before its result was asked for."""
        if not self._is_completed:
            raise ValueError("can't get read buffer before GetOverlappedResult() signals the operation completed")
        return None if self._buffer is None else bytes(self._buffer)

    def cancel(self) -> None:
        """Ask for an early end; nothing when it has ended.  `OSError` 6."""
        if (
            self._block.is_pending
            and not win32.CancelIoEx(self._handle, self._block)
            and win32.GetLastError() != status.ERROR_NOT_FOUND
        ):
            raise _failure()

    def begin(self, succeeded: object, harmless: frozenset[int]) -> int:
        """The error code of the call that has started this; `OSError` unless it is harmless."""
        error = 0 if succeeded else win32.GetLastError()
        if error and error not in harmless:
            self._is_completed = True
            raise win32_error(error)
        return error

    @property
    def block(self) -> win32.OVERLAPPED:
        """The structure that the call is given."""
        return self._block

    def __del__(self) -> None:
        block: win32.OVERLAPPED | None = getattr(self, "_block", None)
        if block is not None and block.hEvent:
            close_soon(self._system, block.hEvent)


def CreateFile(
    file_name: str,
    desired_access: int,
    share_mode: int,
    security_attributes: int,
    creation_disposition: int,
    flags_and_attributes: int,
    template_file: int,
    /,
) -> int:
    """Open a file, or a client's end of a pipe.  `OSError` 2, 5, 231 and what else the call knows."""
    handle = win32.CreateFileW(file_name, desired_access, share_mode, creation_disposition, flags_and_attributes)
    if handle == INVALID_HANDLE_VALUE:
        raise _failure()
    return handle


def CreateNamedPipe(
    name: str,
    open_mode: int,
    pipe_mode: int,
    max_instances: int,
    out_buffer_size: int,
    in_buffer_size: int,
    default_timeout: int,
    security_attributes: int,
    /,
) -> int:
    """A new instance of a pipe.  `OSError` 5 when it shall be the first and is not, 231 when there are enough."""
    handle = win32.CreateNamedPipeW(
        name, open_mode, pipe_mode, max_instances, out_buffer_size, in_buffer_size, nDefaultTimeOut=default_timeout
    )
    if handle == INVALID_HANDLE_VALUE:
        raise _failure()
    return handle


def ConnectNamedPipe(handle: int, overlapped: bool = False) -> Overlapped | None:
    """Wait for a client, or start to wait."""
    if not overlapped:
        if not win32.ConnectNamedPipe(handle, None) and win32.GetLastError() != ERROR_PIPE_CONNECTED:
            raise _failure()
        return None
    operation = Overlapped(handle)
    error = operation.begin(
        win32.ConnectNamedPipe(handle, operation.block), frozenset({ERROR_IO_PENDING, ERROR_PIPE_CONNECTED})
    )
    if error == ERROR_PIPE_CONNECTED:
        win32.SetEvent(operation.event)
    return operation


def WaitNamedPipe(name: str, timeout: int, /) -> None:
    """Wait for a free instance.  `OSError` 2, 121.  Blocks."""
    _check(win32.WaitNamedPipeW(name, timeout))


def SetNamedPipeHandleState(
    named_pipe: int, mode: int | None, max_collection_count: int | None, collect_data_timeout: int | None, /
) -> None:
    """Set how this end reads and waits.  `OSError` 6, 87."""
    _check(win32.SetNamedPipeHandleState(named_pipe, mode))


def PeekNamedPipe(handle: int, size: int = 0, /) -> tuple[int, int] | tuple[bytes, int, int]:
    """Bytes that can be read, and bytes left of the message; with a `size` first the bytes.  `OSError` 109, 6.

    `ValueError` for a negative size.
    """
    if size < 0:
        raise ValueError("negative size")
    buffer = bytearray(size)
    peeked = win32.PeekNamedPipe(handle, buffer, size)
    _check(peeked.ret)
    counts = (peeked.lpBytesRead, peeked.lpTotalBytesAvail, peeked.lpBytesLeftThisMessage)
    read, available, left = (count if isinstance(count, int) else 0 for count in counts)
    return (bytes(buffer[:read]), available, left) if size else (available, left)


def ReadFile(handle: int, size: int, overlapped: bool = False) -> tuple[Any, int]:
    """Read up to `size` bytes: (bytes, error) with 0 or 234, or (`Overlapped`, error) with 997 too.  May block."""
    buffer = bytearray(size)
    if overlapped:
        operation = Overlapped(handle, buffer)
        error = operation.begin(
            win32.ReadFile(handle, buffer, size, operation.block).ret, frozenset({ERROR_IO_PENDING, ERROR_MORE_DATA})
        )
        return operation, error
    result = win32.ReadFile(handle, buffer, size, None)
    error = 0 if result.ret else win32.GetLastError()
    if error not in (0, ERROR_MORE_DATA):
        raise win32_error(error)
    return bytes(buffer[: result.lpNumberOfBytesRead]), error


def WriteFile(handle: int, buffer: Any, overlapped: bool = False) -> tuple[Any, int]:
    """Write all of `buffer`: (bytes written, 0), or (`Overlapped`, error) with 0 or 997.  May block."""
    view = memoryview(buffer).cast("B")
    if overlapped:
        operation = Overlapped(handle, view)
        error = operation.begin(
            win32.WriteFile(handle, view, len(view), operation.block).ret, frozenset({ERROR_IO_PENDING})
        )
        return operation, error
    result = win32.WriteFile(handle, view, len(view), None)
    _check(result.ret)
    return result.lpNumberOfBytesWritten, 0


make_whole(globals())
