"""Files that the program has open itself, by descriptor, as files of the emulated machine.

Theory.  On Windows a C descriptor is a handle in disguise, and a call takes either.  Here a descriptor of the host gets
a file object for as long as the call, or the operation that it has started, needs one.

Own rules.  The descriptor stays the program's: what is used is a duplicate, and reading by offset leaves the position.
Sharing modes and locks of the emulated machine do not stand against it, nor it against them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

from ..kernel.file import FileObject, IoMode
from ..kernel.objects import FIRST_HANDLE, Access
from ..overlapped.descriptors import HOST_DESCRIPTOR
from ..overlapped.files import DiskFile, Disposition, OpenOptions, Share
from ..overlapped.opening import check_kind
from ..overlapped.sharing import Opening, file_table
from ..runtime.threads import ThreadSystem

ANY_SHARE = Share.READ | Share.WRITE | Share.DELETE


@contextlib.contextmanager
def handle_for(system: ThreadSystem, number: int) -> Generator[int]:
    """A handle to use inside for a descriptor of the host; a handle, or 0, is given back as it is.

    What is under way when the block ends keeps the file open.  `OSError` when nothing is open under the number,
    `NtError` when that is no disk file.
    """
    if not 0 < number < FIRST_HANDLE:
        yield number
        return
    file = _open(system, number)
    handle = system.perform(system.process.handles.open, file, Access.FILE_READ_DATA | Access.SYNCHRONIZE)
    try:
        yield handle
    finally:
        system.perform(system.process.handles.close, handle)


def _open(system: ThreadSystem, number: int) -> FileObject:
    about = os.fstat(number)
    check_kind(number, about)
    table, opening = file_table(system), Opening(Share.NONE, ANY_SHARE)
    options = OpenOptions(Access.FILE_READ_DATA, ANY_SHARE, Disposition.OPEN_EXISTING, IoMode.OVERLAPPED)
    descriptor = HOST_DESCRIPTOR(os.dup(number), at_end=False)
    try:
        real = system.perform(table.enter, (about.st_dev, about.st_ino), opening)
    except BaseException:
        descriptor.close()
        raise
    device = DiskFile("", descriptor, table, real, options, opening)
    return system.perform(system.kernel.create_file, device, IoMode.OVERLAPPED)
