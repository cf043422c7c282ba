"""pywin32's calls on directories: watching them, and making and deleting what is in them.

Theory.  `ReadDirectoryChangesW` fills a buffer with records that `FILE_NOTIFY_INFORMATION` decodes.  A change
notification handle is a directory opened to be watched and nothing else: the handle is signalled when a watch has
ended, and asking for the next one starts a new watch.

Rules of this file: those of `flat.directories`.
"""

from __future__ import annotations

import struct
from typing import Any

from ... import win32
from ...status import ERROR_INVALID_HANDLE
from ..whole_calls import make_whole
from .arguments import c_long, data_of, dword, handle_of, is_number, new_buffer, target_of
from .errors import api_error, require
from .files import Name
from .overlapped import PyOVERLAPPED, block_of
from .security import check_attributes

RECORD_HEAD = struct.Struct("<III")
"""NextEntryOffset, Action, FileNameLength in bytes; the name follows."""
SMALLEST_RECORD_BYTES = RECORD_HEAD.size + 2

Changes = list[tuple[int, str]]

NOTIFICATION_BUFFER_BYTES = 4096


def FILE_NOTIFY_INFORMATION(buffer: Any, size: Any, /) -> Changes:
    """The changes in the first `size` bytes of `buffer`, as (action, name), oldest first.

    Raises `ValueError` when the buffer is smaller, `RuntimeError` when the records lead out of it.  O(changes).
    """
    view = data_of(buffer)
    count = c_long(size)
    if count > len(view):
        raise ValueError(f"buffer is only {len(view)} bytes long, but {count} bytes were requested")
    return _decode(view[:count])


def _decode(records: memoryview) -> Changes:
    found: Changes = []
    offset = 0
    if len(records) < SMALLEST_RECORD_BYTES:
        return found
    while True:
        name_at = offset + RECORD_HEAD.size
        if name_at > len(records):
            raise RuntimeError("internal error decoding - running off end of buffer before seeing end-of-buffer marker")
        step, action, length = RECORD_HEAD.unpack_from(records, offset)
        name = bytes(records[name_at : name_at + length]).decode("utf-16-le", "surrogatepass")
        found.append((action, name))
        if not step:
            return found
        offset += step


def ReadDirectoryChangesW(
    handle: Any,
    size: Any,
    bWatchSubtree: Any,
    dwNotifyFilter: Any,
    overlapped: PyOVERLAPPED | None = None,
    overlappedRoutine: Any = None,
    /,
) -> Changes | None:
    """Wait for changes in a directory.

    With a size the changes themselves, [(action, name)], and that needs a synchronous handle; with a buffer None, and
    what `overlapped` says when it has ended tells how much of the buffer counts.  Raises `error`: 87, 1, 5, 6.  Blocks
    only on a synchronous handle, visibly (Q-23).
    """
    subtree, notify_filter = c_long(bWatchSubtree), dword(dwNotifyFilter)
    block = block_of(overlapped)
    directory = handle_of(handle)
    if overlappedRoutine is not None:
        raise ValueError("overlappedRoutine must be None")
    if is_number(size):
        target = new_buffer(dword(size))
    else:
        try:
            target = target_of(size)
        except (TypeError, BufferError):
            raise TypeError("buffer param must be an integer or a buffer object") from None
    result = win32.ReadDirectoryChangesW(directory, target, len(target), subtree, notify_filter, block)
    require("ReadDirectoryChangesW", result.ret)
    if not is_number(size):
        return None
    count = result.lpBytesReturned
    return _decode(target[:count]) if isinstance(count, int) else []


# -- change notifications ------------------------------------------------------------------------------------------

_notifications: dict[int, tuple[int, int]] = {}
"""Subtree and filter of each change notification handle."""


def FindFirstChangeNotification(pathName: Name, bWatchSubtree: Any, notifyFilter: Any, /) -> int:
    """A handle that is signalled when something changes in the directory; a number, which nobody closes by itself.

    May block on the disk.  Raises `error`: 2, 3, 5, 87, 267.
    """
    subtree, notify_filter = c_long(bWatchSubtree), dword(notifyFilter)
    handle = win32.CreateFileW(
        pathName,
        win32.FILE_LIST_DIRECTORY,
        win32.FILE_SHARE_READ | win32.FILE_SHARE_WRITE | win32.FILE_SHARE_DELETE,
        win32.OPEN_EXISTING,
        win32.FILE_FLAG_BACKUP_SEMANTICS | win32.FILE_FLAG_OVERLAPPED,
    )
    require("FindFirstChangeNotification", handle != win32.INVALID_HANDLE_VALUE)
    if not _watch(handle, subtree, notify_filter):
        code = win32.GetLastError()
        win32.CloseHandle(handle)
        win32.SetLastError(code)
        require("FindFirstChangeNotification", False)
    _notifications[handle] = subtree, notify_filter
    return handle


def _watch(handle: int, subtree: int, notify_filter: int) -> bool:
    target = new_buffer(NOTIFICATION_BUFFER_BYTES)
    place = win32.OVERLAPPED()
    return win32.ReadDirectoryChangesW(handle, target, len(target), subtree, notify_filter, place).ret


def FindNextChangeNotification(hChangeHandle: Any, /) -> None:
    """Unsignal the handle until the next change.  Never blocks.  Raises `error` 6."""
    handle = handle_of(hChangeHandle)
    if handle not in _notifications:
        raise api_error("FindNextChangeNotification", ERROR_INVALID_HANDLE)
    require("FindNextChangeNotification", _watch(handle, *_notifications[handle]))


def FindCloseChangeNotification(hChangeHandle: Any, /) -> None:
    """Close the handle.  Never blocks.  Raises `error` 6."""
    handle = handle_of(hChangeHandle)
    require("FindCloseChangeNotification", win32.CloseHandle(handle))
    _notifications.pop(handle, None)


# -- names ---------------------------------------------------------------------------------------------------------


def CreateDirectory(name: Name, sa: Any = None, /) -> None:
    """Make a directory.  May block on the disk.  Raises `error` 183, 3, 5."""
    check_attributes(sa)
    require("CreateDirectory", win32.CreateDirectoryW(name))


def CreateDirectoryW(name: Name, sa: Any = None, /) -> None:
    """`CreateDirectory`."""
    check_attributes(sa)
    require("CreateDirectoryW", win32.CreateDirectoryW(name))


def RemoveDirectory(PathName: Name, Transaction: Any = None) -> None:
    """Remove an empty directory.  May block on the disk.  Raises `error` 145, 32, 2, 3, 5, 267."""
    if Transaction is not None:
        raise NotImplementedError("there are no transactions here")
    require("RemoveDirectory", win32.RemoveDirectoryW(PathName))


def DeleteFile(fileName: Name, /) -> None:
    """Delete a file, at once or when its last handle is closed.  May block on the disk.  Raises `error` 2, 3, 5, 32."""
    require("DeleteFile", win32.DeleteFileW(fileName))


def DeleteFileW(FileName: Name, Transaction: Any = None) -> None:
    """`DeleteFile` with keywords."""
    if Transaction is not None:
        raise NotImplementedError("there are no transactions here")
    require("DeleteFileW", win32.DeleteFileW(FileName))


make_whole(globals())
