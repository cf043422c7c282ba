"""Byte-range locks on one real file: who holds which range, who waits for one, and what they forbid.

Theory.  Locks belong to file objects, not to handles or threads.  An exclusive lock shares its bytes with no other
lock; shared locks lie over each other, and over an exclusive one only of the same owner.  Locks are mandatory: while
held, an exclusive one keeps all other file objects from its bytes, a shared one keeps everybody, its owner too, from
writing there.  Who has to wait is served oldest first, each as soon as no held lock is in the way; nobody is held up
by another that waits.  (The documentation of LockFileEx and UnlockFileEx.)

Rules of this file: I-54 (LockFileEx as an overlapped operation), I-43 (what only the handle could end).

Own rules.  Nothing here locks, blocks or completes anything: the device does, under the kernel lock, under which all
of this is called.  Ranges lie in 0 to 2**64 and may be beyond the end of the file.  O(locks on the file).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..kernel.file import FileObject, IoRequest

END_OF_RANGES = 1 << 64


class LockKind(enum.Enum):
    """What a lock leaves to others."""

    SHARED = "reading"
    EXCLUSIVE = "nothing"


class LockWait(enum.Enum):
    """What a request does that conflicts with a held lock."""

    WAIT = "it pends until it can be granted"
    FAIL_IMMEDIATELY = "STATUS_LOCK_NOT_GRANTED"


class ByteRange(NamedTuple):
    """Bytes from `start` up to but not including `end`."""

    start: int
    end: int

    def overlaps(self, other: ByteRange) -> bool:
        """Whether they have a byte in common; an empty range overlaps what lies around it on both sides."""
        return self.start < other.end and other.start < self.end


class RangeLock:
    """A lock, held or waited for.  Identity is what counts: equal locks may be held several times."""

    __slots__ = ("bytes", "kind", "owner")

    def __init__(self, owner: FileObject, bytes: ByteRange, kind: LockKind) -> None:
        self.owner = owner
        self.bytes = bytes
        self.kind = kind


class RangeLocks:
    """All locks on one real file."""

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held: list[RangeLock] = []
        self.waiting: dict[RangeLock, IoRequest] = {}

    def acquire(self, lock: RangeLock) -> bool:
        """Hold `lock` if no held one conflicts."""
        if any(_conflict(lock, held) for held in self.held):
            return False
        self.held.append(lock)
        return True

    def release(self, owner: FileObject, bytes: ByteRange) -> bool:
        """Give back one lock of exactly these bytes, an exclusive one first; False when there is none."""
        mine = [lock for lock in self.held if lock.owner is owner and lock.bytes == bytes]
        if not mine:
            return False
        self.held.remove(next((lock for lock in mine if lock.kind is LockKind.EXCLUSIVE), mine[0]))
        return True

    def release_all(self, owner: FileObject) -> None:
        """Give back every lock of `owner`."""
        self.held = [lock for lock in self.held if lock.owner is not owner]

    def waiting_for(self, owner: FileObject) -> list[RangeLock]:
        """The locks that `owner` waits for, oldest first."""
        return [lock for lock in self.waiting if lock.owner is owner]

    def grant(self) -> list[IoRequest]:
        """Hold what can be held now, oldest first; the requests that this ends."""
        granted = [lock for lock in self.waiting if self.acquire(lock)]
        return [self.waiting.pop(lock) for lock in granted]

    def forbid_read(self, owner: FileObject, bytes: ByteRange) -> bool:
        """Whether `owner` may not read these bytes now."""
        return any(
            lock.kind is LockKind.EXCLUSIVE and lock.owner is not owner and lock.bytes.overlaps(bytes)
            for lock in self.held
        )

    def forbid_write(self, owner: FileObject, bytes: ByteRange) -> bool:
        """Whether `owner` may not write these bytes now."""
        return any(
            (lock.kind is LockKind.SHARED or lock.owner is not owner) and lock.bytes.overlaps(bytes)
            for lock in self.held
        )


def _conflict(wanted: RangeLock, held: RangeLock) -> bool:
    """Whether `wanted` cannot be held beside `held`."""
    if not wanted.bytes.overlaps(held.bytes):
        return False
    if wanted.kind is LockKind.EXCLUSIVE:
        return True
    return held.kind is LockKind.EXCLUSIVE and held.owner is not wanted.owner
