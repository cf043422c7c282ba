"""Opening files of the host as CreateFileW names it: options, dispositions, and how a refusal is told.

Theory.  A disposition says what shall happen to a file that exists and to one that does not.  The host is asked in
two steps, open it or else create it, so that the answer tells which it was, and without ever emptying a file: that is
for later, when the sharing modes have agreed.

Rules of this file: the values of CreateFileW (winbase.h); the refusals are those of its documentation.

Own rules.  A host error becomes the status that `errno_to_status` gives, except where only the path can tell which of
two it is.  Pipes and sockets of the host are no disk files and are never waited for.
"""

from __future__ import annotations

import enum
import os
import stat
from dataclasses import dataclass

from .. import status
from ..kernel.file import IoMode
from ..kernel.objects import Access, NtError
from .sharing import Identity, Opening, Share, uses


class Disposition(enum.IntEnum):
    """What to do about a file that exists, or does not (values of CreateFileW)."""

    CREATE_NEW = 1
    CREATE_ALWAYS = 2
    OPEN_EXISTING = 3
    OPEN_ALWAYS = 4
    TRUNCATE_EXISTING = 5


class Caching(enum.Enum):
    """Whether an operation may end within its call."""

    CACHED = "what is in memory is copied within the call"
    UNBUFFERED = "everything goes to the I/O threads (FILE_FLAG_NO_BUFFERING, FILE_FLAG_WRITE_THROUGH)"


class OnClose(enum.Enum):
    """What becomes of the file when nobody has it open any more."""

    KEEP = "it stays"
    DELETE = "it is deleted (FILE_FLAG_DELETE_ON_CLOSE)"


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to open: `access` are the file bits of `Access`."""

    access: int
    share: Share
    disposition: Disposition
    io_mode: IoMode
    caching: Caching = Caching.CACHED
    on_close: OnClose = OnClose.KEEP

    @property
    def opening(self) -> Opening:
        """What this is to other openings of the file."""
        deleting = Access.DELETE if self.on_close is OnClose.DELETE else Access.NONE
        return Opening(uses(self.access | deleting), self.share)


def refusal_of(error: OSError, path: str) -> NtError:
    """What opening `path` is refused with, given the host's error."""
    if isinstance(error, FileNotFoundError):
        has_parent = bool(path) and os.path.isdir(os.path.dirname(path) or os.curdir)
        return NtError(status.STATUS_OBJECT_NAME_NOT_FOUND if has_parent else status.STATUS_OBJECT_PATH_NOT_FOUND)
    if isinstance(error, NotADirectoryError):
        return NtError(status.STATUS_OBJECT_PATH_NOT_FOUND)
    if isinstance(error, FileExistsError):
        return NtError(status.STATUS_OBJECT_NAME_COLLISION)
    if isinstance(error, PermissionError) and os.path.isdir(path):
        return NtError(status.STATUS_FILE_IS_A_DIRECTORY)
    return NtError(status_of(error))


def status_of(error: OSError) -> int:
    """The NTSTATUS of a host error."""
    return status.errno_to_status(error.errno) if error.errno else status.STATUS_UNSUCCESSFUL


def delete(path: str, identity: Identity) -> None:
    """Delete the file or empty directory at `path`, unless something else has taken its place."""
    about = os.lstat(path)
    if (about.st_dev, about.st_ino) == identity:
        (os.rmdir if stat.S_ISDIR(about.st_mode) else os.unlink)(path)


def host_flags(access: int) -> int:
    """Flags for `os.open`, which adds by itself that child processes do not inherit the descriptor."""
    reads = access & Access.FILE_READ_DATA
    writes = access & (Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA)
    flags = (os.O_RDWR if reads else os.O_WRONLY) if writes else os.O_RDONLY
    if writes == Access.FILE_APPEND_DATA:
        flags |= os.O_APPEND
    # O_NONBLOCK: opening a pipe of the host must not wait for its other end.
    for name in ("O_BINARY", "O_NONBLOCK", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    return flags


def open_on_host(path: str, flags: int, disposition: Disposition) -> tuple[int, bool]:
    """Open or create without touching what is in the file; the descriptor, and whether the file was there."""
    creates = disposition in (Disposition.CREATE_NEW, Disposition.CREATE_ALWAYS, Disposition.OPEN_ALWAYS)
    while True:
        if disposition is not Disposition.CREATE_NEW:
            try:
                return os.open(path, flags), True
            except FileNotFoundError:
                if not creates:
                    raise
        try:
            # The real path: a link to a file that does not exist yet creates that file.
            return os.open(os.path.realpath(path), flags | os.O_CREAT | os.O_EXCL, 0o666), False
        except FileExistsError:
            if disposition is Disposition.CREATE_NEW:
                raise
            # Somebody else has just created it: open that.


def check_kind(number: int, about: os.stat_result) -> None:
    """NtError for what is no disk file; let what is a device of the host wait again."""
    if stat.S_ISDIR(about.st_mode):
        raise NtError(status.STATUS_FILE_IS_A_DIRECTORY)
    if stat.S_ISFIFO(about.st_mode) or stat.S_ISSOCK(about.st_mode):
        raise NtError(status.STATUS_NO_SUCH_DEVICE)
    if not stat.S_ISREG(about.st_mode) and hasattr(os, "O_NONBLOCK"):
        os.set_blocking(number, True)
