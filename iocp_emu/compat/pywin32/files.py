"""pywin32's calls on files and pipes as files: open, read, write, lock, position.

Theory.  A read takes a size or a buffer.  With an OVERLAPPED the buffer comes back, which the operation fills when it
ends; without one, what was read comes back as bytes of the right length.

Rules of this file: those of `flat.files`; results are (0, ...), (997, ...) for what is under way, and (234, ...) for a
message that is longer than the buffer; every other failure is an `error`.
"""

from __future__ import annotations

import os
from typing import Any

from ... import win32
from ...status import ERROR_IO_PENDING, ERROR_MORE_DATA
from ..whole_calls import make_whole
from . import positions
from .arguments import (
    c_long,
    data_of,
    dword,
    handle_of,
    is_number,
    new_buffer,
    signed_pointer,
    target_of,
)
from .errors import api_error, code_of, require
from .handles import PyHANDLE, new_handle
from .overlapped import PyOVERLAPPED, block_of
from .security import check_attributes

INVALID_HANDLE_VALUE = signed_pointer(win32.INVALID_HANDLE_VALUE)

Name = str | os.PathLike[str]


def _open(call: str, name: Name, access: Any, share: Any, attributes: Any, disposition: Any, flags: Any) -> PyHANDLE:
    check_attributes(attributes)
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"Objects of type '{type(name).__name__}' can not be converted to Unicode.")
    return new_handle(
        call, win32.CreateFileW(name, dword(access), dword(share), dword(disposition), dword(flags))
    )


def CreateFile(
    fileName: Name,
    desiredAccess: Any,
    shareMode: Any,
    attributes: Any,
    creationDisposition: Any,
    flagsAndAttributes: Any,
    hTemplateFile: Any,
    /,
) -> PyHANDLE:
    """Open or create a file, a directory or a pipe; `hTemplateFile` means nothing.  May block on the disk.

    Raises `error`: 2, 3, 5, 32, 80, 87, 231 and others, as on Windows.
    """
    handle_of(hTemplateFile)
    return _open(
        "CreateFile", fileName, desiredAccess, shareMode, attributes, creationDisposition, flagsAndAttributes
    )


def CreateFileW(
    FileName: Name,
    DesiredAccess: Any,
    ShareMode: Any,
    SecurityAttributes: Any,
    CreationDisposition: Any,
    FlagsAndAttributes: Any,
    TemplateFile: Any = None,
    Transaction: Any = None,
    MiniVersion: Any = None,
    ExtendedParameter: Any = None,
) -> PyHANDLE:
    """`CreateFile` with keywords; there are no transactions, so `Transaction` must be None."""
    handle_of(TemplateFile)
    for unknown in (Transaction, MiniVersion, ExtendedParameter):
        if unknown is not None:
            raise NotImplementedError("there are no transactions here")
    return _open(
        "CreateFileW", FileName, DesiredAccess, ShareMode, SecurityAttributes, CreationDisposition, FlagsAndAttributes
    )


def AllocateReadBuffer(bufSize: Any, /) -> memoryview:
    """A buffer to read into."""
    return new_buffer(c_long(bufSize))


def read_target(buffer: Any) -> memoryview:
    """The place that a read fills: of a size, or of a writable buffer."""
    if is_number(buffer):
        return new_buffer(c_long(buffer))
    try:
        return target_of(buffer)
    except (TypeError, BufferError):
        raise TypeError("Second param must be an integer or writeable buffer object") from None


def read_result(
    call: str, succeeded: bool, target: memoryview, count: int, buffer: Any, overlapped: object
) -> tuple[int, Any]:
    """What a read returns: (0, 997 or 234, bytes or buffer); any other outcome is raised."""
    code = code_of(succeeded)
    if code not in (0, ERROR_MORE_DATA, ERROR_IO_PENDING):
        raise api_error(call, code)
    if overlapped is None:
        return code, bytes(target[:count])
    return code, target if is_number(buffer) else buffer


def ReadFile(hFile: Any, buffer: Any, overlapped: PyOVERLAPPED | None = None, /) -> tuple[int, Any]:
    """(rc, data): read up to a number of bytes, or into a buffer, from the position or where `overlapped` says.

    rc: 0; 997 the buffer will be filled; 234 the message is longer.  At the end of a file without `overlapped` the
    data is empty.  Raises `error`: 38 end of file, 109 the pipe's other end is gone, 5, 6, 87.  Blocks only on a
    synchronous handle, visibly (Q-23).
    """
    handle = handle_of(hFile)
    block = block_of(overlapped)
    target = read_target(buffer)
    result = win32.ReadFile(handle, target, len(target), block)
    return read_result("ReadFile", result.ret, target, result.lpNumberOfBytesRead or 0, buffer, overlapped)


def WriteFile(hFile: Any, data: Any, ol: PyOVERLAPPED | None = None, /) -> tuple[int, int]:
    """(rc, bytes written): rc is 0, or 997 when it goes on; the data must not change until it has ended.

    Raises `error`: 5, 6, 87, 112, 232 the pipe's other end is gone.  Blocks only on a synchronous handle, visibly.
    """
    view = data_of(data)
    block = block_of(ol)
    result = win32.WriteFile(handle_of(hFile), view, len(view), block)
    code = code_of(result.ret)
    if code not in (0, ERROR_IO_PENDING):
        raise api_error("WriteFile", code)
    return code, result.lpNumberOfBytesWritten or 0


def FlushFileBuffers(hFile: Any, /) -> None:
    """Bring what was written to the medium, or wait until a pipe is read empty.  Blocks.  Raises `error` 5, 6."""
    require("FlushFileBuffers", win32.FlushFileBuffers(handle_of(hFile)))


def DeviceIoControl(
    Device: Any, IoControlCode: Any, InBuffer: Any, OutBuffer: Any, Overlapped: PyOVERLAPPED | None = None
) -> Any:
    """Send a control code to a device: what came back, as bytes for a size, or as the part of a buffer that counts.

    With an OVERLAPPED the whole buffer, which is filled when it has ended.  Raises `error` 1 the device does not know
    the code, 5, 6, and what the code brings.  Blocks only on a synchronous handle, visibly (Q-23).
    """
    handle, code = handle_of(Device), dword(IoControlCode)
    data = data_of(b"" if InBuffer is None else InBuffer)
    block = block_of(Overlapped)
    if is_number(OutBuffer):
        target = new_buffer(c_long(OutBuffer))
    else:
        try:
            target = target_of(bytearray() if OutBuffer is None else OutBuffer)
        except (TypeError, BufferError):
            raise TypeError(
                f"OutBuffer must be either a buffer size or writeable buffer object, not {type(OutBuffer).__name__}"
            ) from None
    result = win32.DeviceIoControl(
        handle,
        code,
        block,
        lpInBuffer=data,
        nInBufferSize=len(data),
        lpOutBuffer=target,
        nOutBufferSize=len(target),
    )
    if (outcome := code_of(result.ret)) not in (0, ERROR_IO_PENDING):
        raise api_error("DeviceIoControl", outcome)
    count = result.lpBytesReturned
    if outcome or not isinstance(count, int):
        return target if is_number(OutBuffer) else OutBuffer
    if is_number(OutBuffer):
        return target if block is not None else bytes(target[:count])
    return OutBuffer if OutBuffer is None or count == len(target) else OutBuffer[:count]


# -- locks ---------------------------------------------------------------------------------------------------------


def LockFileEx(hFile: Any, dwFlags: Any, nbytesLow: Any, nbytesHigh: Any, ol: PyOVERLAPPED, /) -> None:
    """Lock bytes of a file from the position in `ol` on.

    Raises `error`: 997 it waits for other locks, 33 it would have to, 1, 5, 6.  Blocks only on a synchronous handle.
    """
    block = block_of(ol)
    if block is None:
        raise TypeError("The object is not a PyOVERLAPPED object")
    require(
        "LockFileEx",
        win32.LockFileEx(
            handle_of(hFile), dword(dwFlags), dword(nbytesLow), block, nNumberOfBytesToLockHigh=dword(nbytesHigh)
        ),
    )


def UnlockFileEx(hFile: Any, nbytesLow: Any, nbytesHigh: Any, ol: PyOVERLAPPED, /) -> None:
    """Give back one lock of exactly these bytes.  Never blocks.  Raises `error` 158, 1, 5, 6."""
    block = block_of(ol)
    if block is None:
        raise TypeError("The object is not a PyOVERLAPPED object")
    require(
        "UnlockFileEx",
        win32.UnlockFileEx(
            handle_of(hFile), dword(nbytesLow), block, nNumberOfBytesToUnlockHigh=dword(nbytesHigh)
        ),
    )


def LockFile(
    hFile: Any,
    offsetLow: Any,
    offsetHigh: Any,
    nNumberOfBytesToLockLow: Any,
    nNumberOfBytesToLockHigh: Any,
    /,
) -> None:
    """Lock bytes for this handle alone, at once or not at all.  Never blocks.  Raises `error` 33, 1, 5, 6."""
    flags = win32.LOCKFILE_EXCLUSIVE_LOCK | win32.LOCKFILE_FAIL_IMMEDIATELY
    low, high = dword(nNumberOfBytesToLockLow), dword(nNumberOfBytesToLockHigh)
    # The low bit of the event keeps the packet away (I-07), and it needs an event.
    event = win32.CreateEventW(True, False)
    place = win32.OVERLAPPED(Offset=dword(offsetLow), OffsetHigh=dword(offsetHigh), hEvent=event | 1)
    try:
        require("LockFile", win32.LockFileEx(handle_of(hFile), flags, low, place, nNumberOfBytesToLockHigh=high))
    finally:
        win32.CloseHandle(event)


def UnlockFile(
    hFile: Any,
    offsetLow: Any,
    offsetHigh: Any,
    nNumberOfBytesToUnlockLow: Any,
    nNumberOfBytesToUnlockHigh: Any,
    /,
) -> None:
    """Give back one lock of exactly these bytes.  Never blocks.  Raises `error` 158, 1, 5, 6."""
    place = win32.OVERLAPPED(Offset=dword(offsetLow), OffsetHigh=dword(offsetHigh))
    low, high = dword(nNumberOfBytesToUnlockLow), dword(nNumberOfBytesToUnlockHigh)
    require("UnlockFile", win32.UnlockFileEx(handle_of(hFile), low, place, nNumberOfBytesToUnlockHigh=high))


# -- size and position -----------------------------------------------------------------------------------------------


def GetFileSize(hFile: Any, /) -> int:
    """The size in bytes.  Never blocks.  Raises `error` 1, 6."""
    size = positions.get_file_size(handle_of(hFile))
    require("GetFileSize", size != positions.FAILED)
    return size


def SetFilePointer(handle: Any, offset: Any, moveMethod: Any, /) -> int:
    """Move the position by `offset` bytes from FILE_BEGIN, FILE_CURRENT or FILE_END; the new one.

    Never blocks.  Raises `error` 87, 131, 1, 6.
    """
    position = positions.set_file_pointer(handle_of(handle), signed_pointer(int(offset)), c_long(moveMethod))
    require("SetFilePointer", position != positions.FAILED)
    return position


def SetEndOfFile(hFile: Any, /) -> int:
    """Make the position the end of the file; 1, or 0 and a last error, as pywin32 has it.  May block on the disk."""
    return int(positions.set_end_of_file(handle_of(hFile)))


def GetFileType(hFile: Any, /) -> int:
    """FILE_TYPE_DISK, FILE_TYPE_PIPE, or FILE_TYPE_UNKNOWN and a last error.  Never blocks."""
    return positions.get_file_type(handle_of(hFile))


make_whole(globals())
