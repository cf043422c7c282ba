"""Win32 calls on the size and the position of a disk file, in the manner of the flat face.

Theory.  The position is that of the file object: where a synchronous operation without an OVERLAPPED starts.  Setting
it touches nothing on the disk; the size is changed by moving the end of the file to it.

Own rules.  On a file object that is no disk file these calls are refused with 1, as a pipe refuses them.
"""

from __future__ import annotations

import os

from ... import status
from ...flat.support import FileInUse, caller, refusal, reports
from ...flat.transfer import device_of
from ...kernel.file import FileObject
from ...kernel.objects import Access, NtError
from ...overlapped.directory import Directory
from ...overlapped.files import DiskFile

FILE_BEGIN = 0
FILE_CURRENT = 1
FILE_END = 2

FILE_TYPE_UNKNOWN = 0
FILE_TYPE_DISK = 1
FILE_TYPE_PIPE = 3

FAILED = -1


def _disk_file(file: FileObject) -> DiskFile:
    device = device_of(file)
    if not isinstance(device, DiskFile):
        raise NtError(status.STATUS_INVALID_DEVICE_REQUEST)
    return device


@reports(FAILED)
def get_file_size(handle: int) -> int:
    """The size in bytes.  -1: 1 no disk file, 6, host errors."""
    with FileInUse(caller(), handle) as file:
        return _disk_file(file).size()


@reports(FAILED)
def set_file_pointer(handle: int, distance: int, method: int) -> int:
    """Move the position; the new one.  -1: 87 unknown method, 131 before the beginning, 1, 6."""
    with FileInUse(caller(), handle) as file:
        device = _disk_file(file)
        if method not in (FILE_BEGIN, FILE_CURRENT, FILE_END):
            raise NtError(status.STATUS_INVALID_PARAMETER)
        start = {FILE_BEGIN: 0, FILE_CURRENT: device.position, FILE_END: device.size()}[method]
        if start + distance < 0:
            raise refusal(status.ERROR_NEGATIVE_SEEK)
        device.position = start + distance
        return device.position


@reports(False)
def set_end_of_file(handle: int) -> bool:
    """Make the position the end of the file.  False: 5 not opened for writing, 1, 6, host errors.

    May block on the disk.
    """
    with FileInUse(caller(), handle, Access.FILE_WRITE_DATA) as file:
        device = _disk_file(file)
        try:
            os.ftruncate(device.descriptor.number, device.position)
        except OSError as error:
            raise NtError(status.errno_to_status(error.errno or 0)) from None
    return True


@reports(FILE_TYPE_UNKNOWN)
def get_file_type(handle: int) -> int:
    """FILE_TYPE_DISK for files and directories, FILE_TYPE_PIPE for pipes and sockets; 0 and 6 for anything else."""
    with FileInUse(caller(), handle) as file:
        return FILE_TYPE_DISK if isinstance(device_of(file), (DiskFile, Directory)) else FILE_TYPE_PIPE
