"""What the file objects of one real file have in common: sharing modes, byte-range locks, and the delete that waits.

Theory.  Opening the same file twice, by whatever name, gives two file objects that must respect each other.  The table
knows each real file that the emulated machine has open by what the host calls its identity (device and inode).  An
opening *uses* reading, writing or deleting and *shares* some of them; two openings go together when each shares all
that the other uses.  One that uses none of the three takes no part in this.

Own rules.  A table belongs to one emulated machine and is used under its kernel lock, so two systems of one process
are like two machines with a common disk: they do not see each other's openings.  Refusals are `NtError` and change
nothing.  O(1): there are few ways to open a file.
"""

from __future__ import annotations

import enum
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .. import status
from ..kernel.objects import Access, NtError
from .locks import RangeLocks

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

Identity = tuple[int, int]
"""Device and inode."""

_FILE_EXECUTE = 0x0020


class Share(enum.IntFlag):
    """What an opening allows others to do with the file meanwhile."""

    NONE = 0
    READ = 1
    WRITE = 2
    DELETE = 4


def uses(access: int) -> Share:
    """What an opening with these access rights does that others must have shared."""
    used = Share.NONE
    if access & (Access.FILE_READ_DATA | _FILE_EXECUTE):
        used |= Share.READ
    if access & (Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA):
        used |= Share.WRITE
    if access & Access.DELETE:
        used |= Share.DELETE
    return used


class Opening(NamedTuple):
    """How a real file was opened: what that uses, and what it lets others use."""

    used: Share
    share: Share

    def goes_with(self, other: Opening) -> bool:
        """Whether both may be open at once."""
        if not self.used or not other.used:
            return True
        return not (self.used & ~other.share or other.used & ~self.share)


class RealFile:
    """A file that is open at least once.

    `openings` counts how often it is open in which way; `appending` is held while something is written at the end;
    `is_doomed`: it is deleted when nobody has it open.
    """

    __slots__ = ("appending", "identity", "is_doomed", "locks", "openings")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.openings: Counter[Opening] = Counter()
        self.locks = RangeLocks()
        self.appending = threading.Lock()
        self.is_doomed = False


class FileTable:
    """The open files of one emulated machine."""

    def __init__(self) -> None:
        self._files: dict[Identity, RealFile] = {}

    def enter(self, identity: Identity, opening: Opening, momentary: Share = Share.NONE) -> RealFile:
        """Add `opening`; `momentary` is what is used beyond it while opening, such as writing to overwrite.

        STATUS_SHARING_VIOLATION when it does not go with one that is there; STATUS_DELETE_PENDING when the file only
        waits for its last close.
        """
        file = self._files.get(identity)
        if file is None:
            file = RealFile(identity)
        if file.is_doomed:
            raise NtError(status.STATUS_DELETE_PENDING)
        asked = Opening(opening.used | momentary, opening.share)
        if not all(asked.goes_with(other) for other in file.openings):
            raise NtError(status.STATUS_SHARING_VIOLATION)
        file.openings[opening] += 1
        self._files[identity] = file
        return file

    def leave(self, file: RealFile, opening: Opening) -> bool:
        """Remove `opening`; True when it was the last and the file is doomed, so that the caller shall delete it."""
        file.openings[opening] -= 1
        if not file.openings[opening]:
            del file.openings[opening]
        if file.openings:
            return False
        del self._files[file.identity]
        return file.is_doomed


_tables: weakref.WeakKeyDictionary[ThreadSystem, FileTable] = weakref.WeakKeyDictionary()


def file_table(system: ThreadSystem) -> FileTable:
    """The table of a system, made at its first file."""
    return _tables.setdefault(system, FileTable())
