"""What a directory looks like, what has changed between two looks, and how Windows writes that down.

Theory.  A snapshot maps the name of every entry, relative to the watched directory and with backslashes, to what a
change notification can be about.  Two snapshots tell what came, what went and what is different.  An entry that went
and one that came in the same directory and are the same thing for the host (device and inode, and, since inodes are
used again, size and time of writing too) are one renamed entry; what is in a renamed directory moves along silently.

Rules of this file: FILE_NOTIFY_INFORMATION and the filters and actions of ReadDirectoryChangesW (winnt.h).

Own rules.  What happened between two looks is only guessed from them: something created and deleted in between is
seen only where the host tells of it, and the order of the changes is ours: what went, was renamed, came, was modified,
came and went again; each by name.
"""

from __future__ import annotations

import enum
import os
import stat
import struct
from typing import NamedTuple

SEPARATOR = "\\"


class Scope(enum.Enum):
    """How far below the directory a watch looks."""

    DIRECTORY = "its own entries"
    SUBTREE = "everything below it"


class NotifyFilter(enum.IntFlag):
    """What a watch reports (FILE_NOTIFY_CHANGE_...)."""

    FILE_NAME = 0x001
    DIR_NAME = 0x002
    ATTRIBUTES = 0x004
    SIZE = 0x008
    LAST_WRITE = 0x010
    LAST_ACCESS = 0x020
    CREATION = 0x040
    SECURITY = 0x100


VALID_FILTERS = 0xFFF
"""Every filter bit that Windows accepts; those of the streams of a file never match here."""


class Action(enum.IntEnum):
    """What has happened to an entry (FILE_ACTION_...)."""

    ADDED = 1
    REMOVED = 2
    MODIFIED = 3
    RENAMED_OLD_NAME = 4
    RENAMED_NEW_NAME = 5


class Entry(NamedTuple):
    """One file or directory at one moment; times in nanoseconds."""

    is_directory: bool
    device: int
    inode: int
    attributes: int
    size: int
    written: int
    accessed: int
    created: int
    owner: tuple[int, int]

    def is_continued_by(self, later: Entry) -> bool:
        """Whether `later`, under the same name, is still this and not something else in its place."""
        return self[:3] == later[:3]

    def is_same_thing(self, other: Entry) -> bool:
        """Whether this is `other` under another name."""
        if not self.inode or not self.is_continued_by(other):
            return False
        return self.is_directory or (self.size, self.written) == (other.size, other.written)

    def differs(self, other: Entry, wanted: int) -> bool:
        """Whether something that the filter `wanted` is about has changed."""
        return bool(
            (wanted & NotifyFilter.ATTRIBUTES and self.attributes != other.attributes)
            or (wanted & NotifyFilter.SIZE and self.size != other.size and not self.is_directory)
            or (wanted & NotifyFilter.LAST_WRITE and self.written != other.written)
            # Looking into a directory may itself change when it was last accessed.
            or (wanted & NotifyFilter.LAST_ACCESS and self.accessed != other.accessed and not self.is_directory)
            or (wanted & NotifyFilter.CREATION and self.created != other.created)
            or (wanted & NotifyFilter.SECURITY and (self.attributes, self.owner) != (other.attributes, other.owner))
        )


Snapshot = dict[str, Entry]
Change = tuple[Action, str]


def look(path: str, scope: Scope) -> Snapshot:
    """The entries now; `OSError` when the directory itself cannot be read.  Blocks on the disk; O(entries)."""
    found: Snapshot = {}
    inner = _look_into(path, "", found)
    while scope is Scope.SUBTREE and inner:
        name = inner.pop()
        try:
            inner += _look_into(os.path.join(path, *name.split(SEPARATOR)), name + SEPARATOR, found)
        except OSError:
            # Gone again, or not for us: as good as empty.
            continue
    return found


def _look_into(path: str, prefix: str, found: Snapshot) -> list[str]:
    """Add the entries of one directory to `found`; the names of the directories among them."""
    directories: list[str] = []
    with os.scandir(path) as entries:
        for each in entries:
            try:
                about = each.stat(follow_symlinks=False)
            except OSError:
                continue
            name = prefix + each.name
            found[name] = _entry(about)
            if stat.S_ISDIR(about.st_mode):
                directories.append(name)
    return directories


def _entry(about: os.stat_result) -> Entry:
    created: float = getattr(about, "st_birthtime", 0)
    return Entry(
        is_directory=stat.S_ISDIR(about.st_mode),
        device=about.st_dev,
        inode=about.st_ino,
        attributes=getattr(about, "st_file_attributes", about.st_mode),
        size=about.st_size,
        written=about.st_mtime_ns,
        accessed=about.st_atime_ns,
        created=int(created * 1e9),
        owner=(about.st_uid, about.st_gid),
    )


def changes(old: Snapshot, new: Snapshot, wanted: int) -> list[Change]:
    """What a watch with the filter `wanted` reports of the way from `old` to `new`.  O(entries)."""
    moved: dict[str, str] = {}
    while True:
        renamed = _renames(old, new)
        further = {before: renamed[before] for before in renamed.keys() - moved if old[before].is_directory}
        if not further:
            break
        moved |= further
        old = {_moved_along(name, further): entry for name, entry in old.items()}

    def is_wanted(entry: Entry) -> bool:
        return bool(wanted & _kind_of_name(entry.is_directory))

    went = sorted(name for name in _absent(old, new) if name not in renamed and is_wanted(old[name]))
    came = sorted(name for name in _absent(new, old) - set(renamed.values()) if is_wanted(new[name]))
    modified = sorted(name for name in old.keys() - _absent(old, new) if new[name].differs(old[name], wanted))
    report = [(Action.REMOVED, name) for name in went]
    for before, after in sorted(renamed.items()):
        if is_wanted(new[after]):
            report += [(Action.RENAMED_OLD_NAME, before), (Action.RENAMED_NEW_NAME, after)]
    report += [(Action.ADDED, name) for name in came]
    report += [(Action.MODIFIED, name) for name in modified]
    return report


def passing(created: dict[str, bool], old: Snapshot, new: Snapshot, wanted: int) -> list[Change]:
    """What is reported of names that came and went between two looks; `created` says which are directories."""
    report: list[Change] = []
    for name, is_directory in created.items():
        if name not in old and name not in new and wanted & _kind_of_name(is_directory):
            report += [(Action.ADDED, name), (Action.REMOVED, name)]
    return report


def directories_in(entries: Snapshot, scope: Scope) -> list[str]:
    """The directories below the watched one that the watch is about."""
    return [name for name, entry in entries.items() if entry.is_directory] if scope is Scope.SUBTREE else []


def _kind_of_name(is_directory: bool) -> NotifyFilter:
    return NotifyFilter.DIR_NAME if is_directory else NotifyFilter.FILE_NAME


def _absent(these: Snapshot, those: Snapshot) -> set[str]:
    """The names in `these` under which there is nothing, or something else, in `those`."""
    return {name for name, entry in these.items() if name not in those or not entry.is_continued_by(those[name])}


def _renames(old: Snapshot, new: Snapshot) -> dict[str, str]:
    """New names of entries that were renamed within their directory."""
    went = {(old[name].device, old[name].inode): name for name in _absent(old, new)}
    renamed: dict[str, str] = {}
    for after in _absent(new, old):
        before = went.get((new[after].device, new[after].inode))
        if before is not None and _parent(before) == _parent(after) and new[after].is_same_thing(old[before]):
            renamed[before] = after
    return renamed


def _parent(name: str) -> str:
    return name.rpartition(SEPARATOR)[0]


def _moved_along(name: str, moved: dict[str, str]) -> str:
    """The name after the directories in `moved` have been renamed, if it lies in one of them."""
    for before, after in moved.items():
        if name.startswith(before + SEPARATOR):
            return after + name[len(before) :]
    return name


_HEADER = struct.Struct("<III")


def pack(report: list[Change], room: int) -> bytes | None:
    """FILE_NOTIFY_INFORMATION records, little-endian; None when they need more than `room` bytes.

    >>> pack([(Action.ADDED, "a")], 64).hex(" ", -4)
    '00000000 01000000 02000000 6100'
    """
    packed = b""
    for number, (action, name) in enumerate(report, 1):
        text = name.encode("utf-16-le", "surrogatepass")
        record = text + bytes(-len(text) % 4) if number < len(report) else text
        following = _HEADER.size + len(record) if number < len(report) else 0
        packed += _HEADER.pack(following, action, len(text)) + record
        if len(packed) > room:
            return None
    return packed
