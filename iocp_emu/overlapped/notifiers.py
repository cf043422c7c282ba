"""What says that a directory may have changed: the host's inotify, or nothing, and then one looks again and again.

Theory.  Changes are found by comparing two looks at a directory.  Where the host rings when something happens, there is
no need to look before it does, and names that came and went between two looks are not lost.  One inotify instance
serves the process, since hosts allow few; it lives from the first directory that it covers to the last.

The package `inotify_simple` (the extra `watch`) does the talking.  Without it, on hosts that have no inotify, and for a
directory that the host refuses to cover (it limits how many), the answer is `ChangeSource.POLLING`.

Own rules.  The lock guards the tables and is held for system calls that do not wait, never while anything else is asked
for.  `leave` never waits for it, since finalizers come that way.  After a fork the child has a notifier without
directories; the parent's descriptor is closed in it.
"""

from __future__ import annotations

import enum
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from .snapshots import SEPARATOR

MILLISECONDS = 1000


class ChangeSource(enum.Enum):
    """How changes in a directory are found."""

    INOTIFY = "the host says when to look"
    POLLING = "a look about every 50 ms"


@dataclass(slots=True, eq=False)
class Coverage:
    """What the notifier has to do with one watched directory.

    `path` is absolute.  `source` says how changes are found, `has_rung` that the host has told of some, and `created`
    which names came since somebody looked here, and whether they were directories.  `has_ended`: nobody wants to know
    any more; a look may still be under way.
    """

    path: str
    source: ChangeSource = ChangeSource.POLLING
    has_rung: bool = False
    has_ended: bool = False
    created: dict[str, bool] = field(default_factory=dict[str, bool])


class _Place(NamedTuple):
    """A directory whose entries are told of: whose watch it is for, and the start of the names in it."""

    coverage: Coverage
    prefix: str


class Notifier:
    """The inotify instance of the process, made when it is first needed.  Thread-safe."""

    def __init__(self) -> None:
        self._inotify: Any = None
        self.forget_everything()

    def forget_everything(self) -> None:
        """Become a notifier without directories, as in a forked child."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify = None
        self._flags: Any = None
        self._lock = threading.Lock()
        self._places: dict[int, dict[_Place, None]] = {}
        self._numbers: dict[Coverage, dict[int, None]] = {}
        self._left: deque[Coverage] = deque()
        self._is_waiting = False

    @property
    def is_open(self) -> bool:
        """Whether there is a descriptor of the host."""
        return self._inotify is not None

    def cover(self, coverage: Coverage, names: Iterable[str]) -> bool:
        """Be told of changes in the directory and in these directories below it; True when one of them is new.

        Then what happened in it before may have been missed: look again.  `coverage.source` says whether all are
        covered.  Never blocks.
        """
        with self._lock:
            if coverage.has_ended or not self._open():
                coverage.source = ChangeSource.POLLING
                return False
            known = len(self._numbers.get(coverage, ()))
            try:
                for name in ("", *names):
                    self._add(coverage, name)
                coverage.source = ChangeSource.INOTIFY
            except (FileNotFoundError, NotADirectoryError):
                pass  # gone meanwhile, as the next look will tell
            except OSError:
                coverage.source = ChangeSource.POLLING
            is_new = len(self._numbers.get(coverage, ())) > known
        self._settle()
        return is_new

    def leave(self, coverage: Coverage) -> None:
        """No longer be told of it.  Never blocks, not even for the lock."""
        coverage.has_ended = True
        self._left.append(coverage)
        self._settle()

    def wait(self, seconds: float) -> None:
        """Sleep for this long or, if something is covered, until something has changed.  By one thread at a time."""
        with self._lock:
            inotify = self._inotify
            self._is_waiting = True
        try:
            if inotify is None:
                time.sleep(seconds)
            else:
                changed = select.poll()
                changed.register(inotify.fileno(), select.POLLIN)
                changed.poll(seconds * MILLISECONDS)
        finally:
            with self._lock:
                self._is_waiting = False
            self._settle()

    def collect(self) -> None:
        """Note what the host has told: which directories have changed, and which names came.  Never blocks."""
        with self._lock:
            if self._inotify is None:
                return
            flags = self._flags
            for event in self._inotify.read(timeout=0):
                if event.mask & flags.Q_OVERFLOW:
                    for coverage in self._numbers:
                        coverage.has_rung = True
                for place in self._places.get(event.wd, ()):
                    place.coverage.has_rung = True
                    if event.mask & flags.CREATE:
                        place.coverage.created[place.prefix + event.name] = bool(event.mask & flags.ISDIR)
                if event.mask & flags.IGNORED:
                    self._forget(event.wd)
        self._settle()

    # -- under the lock ----------------------------------------------------------------------------------------

    def _open(self) -> bool:
        if self._inotify is None:
            try:
                inotify_simple: Any = import_module("inotify_simple")
            except (ImportError, AttributeError):
                return False
            try:
                self._inotify = inotify_simple.INotify(nonblocking=True)
            except OSError:
                return False
            self._flags = inotify_simple.flags
        return True

    def _add(self, coverage: Coverage, name: str) -> None:
        flags = self._flags
        mask = (
            flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.MODIFY | flags.ATTRIB
            | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        )  # fmt: skip
        number = self._inotify.add_watch(os.path.join(coverage.path, *name.split(SEPARATOR)), mask)
        prefix = name and name + SEPARATOR
        places = self._places.setdefault(number, {})
        for place in [each for each in places if each.coverage is coverage]:
            del places[place]
        places[_Place(coverage, prefix)] = None
        self._numbers.setdefault(coverage, {})[number] = None

    def _forget(self, number: int) -> None:
        for place in self._places.pop(number, ()):
            self._numbers[place.coverage].pop(number, None)

    def _settle(self) -> None:
        """Do what those who left wait for, unless somebody is about to who has the lock."""
        while (self._left or self._is_idle()) and self._lock.acquire(False):
            try:
                while self._left:
                    self._remove(self._left.popleft())
                if self._is_idle():
                    self._inotify.close()
                    self._inotify = None
            finally:
                self._lock.release()

    def _is_idle(self) -> bool:
        return self._inotify is not None and not self._numbers and not self._is_waiting

    def _remove(self, coverage: Coverage) -> None:
        for number in self._numbers.pop(coverage, ()):
            places = self._places[number]
            for place in [each for each in places if each.coverage is coverage]:
                del places[place]
            if not places:
                del self._places[number]
                try:
                    self._inotify.rm_watch(number)
                except OSError:
                    pass  # the directory itself is gone


NOTIFIER = Notifier()
"""The notifier of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=NOTIFIER.forget_everything)
