"""The module `msvcrt`, as far as descriptors and handles go.

Theory.  A handle of the emulator becomes a real descriptor of the host (`pipe_links`), so that `subprocess` can give it
to a child.  A descriptor of the host needs no translation: the flat face takes its number where it takes a handle.

Rules of this file: clients.md 4.

Own rule.  Only guests find this module: other code takes its mere presence for Windows.
"""

from __future__ import annotations

import os

from .. import status
from ..errors import win32_error
from ..kernel.objects import FIRST_HANDLE, NtError
from ..overlapped.pipe_links import hand_to_host
from ..runtime.ambient import current_system

__all__ = ["get_osfhandle", "open_osfhandle", "setmode"]


def open_osfhandle(handle: int, flags: int, /) -> int:
    """A descriptor that owns what `handle` names, the end of a pipe; the handle is used up.

    It is a blocking descriptor of the host, which a child can have as its stdin or stdout.  `flags` as for `os.open`.
    `OSError` 6 for no handle, 87 for what cannot be a descriptor.
    """
    if 0 <= handle < FIRST_HANDLE:
        os.fstat(handle)
        return handle
    try:
        return hand_to_host(current_system(), handle, flags)
    except NtError as error:
        code = status.status_to_error(error.status)
        is_unfit = error.status == status.STATUS_INVALID_PIPE_STATE
        raise win32_error(status.ERROR_INVALID_PARAMETER if is_unfit else code) from None


def get_osfhandle(fd: int, /) -> int:
    """The handle of an open descriptor: its number.  `OSError` when it is not open."""
    os.fstat(fd)
    return fd


def setmode(fd: int, mode: int, /) -> int:
    """Text or binary, which is one here: O_BINARY of Windows.  `OSError` when `fd` is not open."""
    os.fstat(fd)
    return 0x8000
