"""The tour's files: finding them in a tree, and following one of them from its first read to its digest.

Theory.  Several reads of one file are in flight at once and their packets come in any order, to any worker.  The digest
needs the bytes in order.  So a packet's data is put down at its offset, and whoever then holds the file's *turn* hashes
what has become contiguous, and asks for more; a worker that finds the turn taken goes back to the port at once.

Where a file ends is told by a read that is short, or by ERROR_HANDLE_EOF, which is a packet like any other (I-05, table
6.6).

Own rules.  A tree is walked in sorted order.  Links to files are read, links to directories are not entered, and no
directory is entered twice.  Nothing special (pipes, sockets, devices) is ever opened.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .. import File, Overlapped, Win32Error
from ..status import ERROR_HANDLE_EOF


class Digest(Protocol):
    """What is used of the digests of `hashlib`."""

    def update(self, data: memoryview, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest of everything so far, in hexadecimal digits."""
        ...


NewDigest = Callable[[], Digest]


class Unread(NamedTuple):
    """A path that could not be read, and why."""

    path: str
    reason: str


class FoundFile(NamedTuple):
    """A regular file: its path, its size in bytes when it was found, and what tells that it is changed later."""

    path: str
    size: int
    version: tuple[int, int, int, int]


class ReadFile(NamedTuple):
    """What one reading of a whole file brought: its digest, its lines (newline characters) and its bytes."""

    digest: str
    lines: int
    bytes: int


@dataclass(slots=True)
class Census:
    """What a walk has met besides regular files."""

    directories: int = 0
    linked_directories: int = 0
    special: int = 0
    unread: list[Unread] = field(default_factory=list[Unread])


def reason(error: OSError) -> str:
    """One line on why something could not be read, with the number that says it exactly."""
    if isinstance(error, Win32Error):
        return f"{error.strerror} (error {error.winerror})"
    return f"{error.strerror or error} (errno {error.errno})"


def version(path: str) -> tuple[int, int, int, int]:
    """What changes when a file is written or replaced.  Raises `OSError`."""
    return _version(os.stat(path))


def _version(found: os.stat_result) -> tuple[int, int, int, int]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def walk(root: str, census: Census, excluded: str, go_on: Callable[[], None]) -> Iterator[FoundFile]:
    """Every regular file at or below `root`, sorted within each directory; the rest goes to `census`.

    The directory `excluded` is not entered.  What cannot be read is noted, and the walk goes on.  `go_on` is called
    before each step and may raise.  May block on the disk.
    """
    own = os.stat(excluded)
    entered: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        go_on()
        path = pending.pop()
        try:
            found = os.stat(path)
            if stat.S_ISREG(found.st_mode):
                yield FoundFile(path, found.st_size, _version(found))
            elif not stat.S_ISDIR(found.st_mode):
                census.special += 1
            elif (path != root and os.path.islink(path)) or (found.st_dev, found.st_ino) in entered:
                census.linked_directories += 1
            elif not os.path.samestat(found, own):
                census.directories += 1
                if found.st_ino:  # some file systems have no numbers, and then no links either
                    entered.add((found.st_dev, found.st_ino))
                pending.extend(os.path.join(path, name) for name in sorted(os.listdir(path), reverse=True))
        except OSError as error:
            census.unread.append(Unread(path, reason(error)))


class FileReading:
    """One open file between its first read and its last packet.

    `key` is the completion key of its packets.  Thread-safe.  The maker holds the turn first and calls `advance`; after
    that, whoever is told by `put_down` or `refuse` that he has the turn.  Every read is of `chunk_bytes`.  `failure` is
    set when the file could not be read to its end.
    """

    __slots__ = (
        "_ahead",
        "_chunk_bytes",
        "_digest",
        "_end",
        "_in_flight",
        "_is_in_turn",
        "_lines",
        "_lock",
        "_position",
        "_put_down",
        "failure",
        "file",
        "found",
        "key",
    )

    def __init__(self, key: int, found: FoundFile, file: File, digest: Digest, chunk_bytes: int) -> None:
        self.key = key
        self.found = found
        self.file = file
        self.failure: str | None = None
        self._chunk_bytes = chunk_bytes
        self._digest = digest
        self._lines = 0
        self._position = 0
        self._ahead = 0
        self._end: float = float("inf")
        self._in_flight: set[int] = set()
        self._put_down: dict[int, memoryview] = {}
        self._is_in_turn = True
        self._lock = threading.Lock()

    def put_down(self, overlapped: Overlapped) -> bool:
        """A read has ended; True when the caller now has the turn."""
        error = overlapped.error
        with self._lock:
            self._in_flight.remove(overlapped.offset)
            if error is not None and error.winerror != ERROR_HANDLE_EOF:
                self.failure = reason(error)
            else:
                self._put_down[overlapped.offset] = overlapped.data
                if overlapped.bytes < self._chunk_bytes:
                    self._end = min(self._end, overlapped.offset + overlapped.bytes)
            return self._take_turn()

    def refuse(self, offset: int, error: OSError) -> bool:
        """A read could not even be started, so no packet will come (I-03); True when the caller now has the turn."""
        with self._lock:
            self._in_flight.remove(offset)
            self.failure = reason(error)
            return self._take_turn()

    def advance(self, window: int, spare: int) -> list[int] | None:
        """Hash what is contiguous, give the turn back, and say at which offsets to read; None: the file is finished.

        The read that the file waits for is always among them; beyond it, up to `spare` more, as long as no more than
        `window` are in flight or waiting to be hashed.
        """
        while True:
            with self._lock:
                data = None if self.failure else self._put_down.pop(self._position, None)
                if data is None:
                    offsets = self._plan(window, spare)
                    self._in_flight.update(offsets)
                    self._is_in_turn = False
                    return offsets if self._in_flight else None
            self._digest.update(data)
            self._lines += bytes(data).count(b"\n")
            self._position += len(data)

    def result(self) -> ReadFile:
        """What was read, once the file is finished without a failure."""
        return ReadFile(self._digest.hexdigest(), self._lines, self._position)

    def _take_turn(self) -> bool:
        took = not self._is_in_turn
        self._is_in_turn = True
        return took

    def _plan(self, window: int, spare: int) -> list[int]:
        """The chunk at the position, unless the file ends there, then chunks up to where the file ended when found."""
        offsets: list[int] = []
        if self.failure or self._end <= self._position:
            return offsets
        if self._position == self._ahead:
            offsets.append(self._ahead)
            self._ahead += self._chunk_bytes
        room = min(spare, window - len(self._in_flight) - len(self._put_down) - len(offsets))
        while room > 0 and self._ahead < self.found.size:
            offsets.append(self._ahead)
            self._ahead += self._chunk_bytes
            room -= 1
        return offsets


def read_sequentially(path: str, digest: Digest, chunk_bytes: int, go_on: Callable[[], None]) -> ReadFile:
    """The plain way: open, read to the end, hash and count.  `go_on` is called before each read and may raise.

    Raises `OSError`, also for what is no regular file any more.  Blocks on the disk.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file any more")
    buffer = memoryview(bytearray(chunk_bytes))
    lines = size = 0
    with open(path, "rb", buffering=0) as file:
        while True:
            go_on()
            count = file.readinto(buffer)
            if not count:
                return ReadFile(digest.hexdigest(), lines, size)
            digest.update(buffer[:count])
            lines += bytes(buffer[:count]).count(b"\n")
            size += count
