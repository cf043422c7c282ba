"""Directory handles and change notification (ReadDirectoryChangesW).

Theory.  Changes in a directory are found by looking at it again and comparing.  The first watch of a file object fixes
the filter and the scope, as on Windows, and takes the first look within the call: whatever happens after the call is
seen.  A report answers the oldest watch and becomes the state that the next look is compared with; so what happens
while no watch is armed is reported to the next one, and that look, too, is taken within the call.

One thread looks, for all directories of the process: when the host says that something has changed (`notifiers`), else
about every 50 ms; `Directory.coverage.source` tells which.  The thread is started by the first armed watch and ends
when none is armed any more; it keeps no system alive.

Rules of this file: I-05, I-41, I-43, I-54, vector file-21.

Own rules.  A watch always pends.  It ends with records, with STATUS_NOTIFY_ENUM_DIR and 0 bytes when they need more
room than there is, with STATUS_DELETE_PENDING when the directory is gone, with STATUS_CANCELLED when asked to, and with
STATUS_NOTIFY_CLEANUP, which is no error, when the last handle is closed.  The list of watches is changed under the
kernel lock, the list of looked-at directories under the poller's own, which is never held while anything else is asked
for; one thread at a time looks at a directory.
"""

from __future__ import annotations

import os
import stat
import threading
import weakref
from typing import TYPE_CHECKING

from .. import status
from ..kernel.file import FileObject, IoRequest
from ..kernel.objects import Access, NtError
from .device import Ask, IoDevice, Transferred
from .engine import finish, issue
from .files import Opened
from .notifiers import NOTIFIER, ChangeSource, Coverage
from .opening import Disposition, OnClose, OpenOptions, delete, refusal_of, status_of
from .sharing import FileTable, Opening, RealFile, file_table
from .snapshots import (
    VALID_FILTERS,
    Action,
    Change,
    NotifyFilter,
    Scope,
    Snapshot,
    changes,
    directories_in,
    look,
    pack,
    passing,
)

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

__all__ = ["Action", "ChangeSource", "Directory", "NotifyFilter", "Scope", "open_directory"]

POLL_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 1.0
MOST_LOOKS = 5


class Directory(IoDevice):
    """An open directory, the device of one file object.  `path` is absolute.

    `coverage.source` says how changes are found.
    """

    def __init__(self, path: str, table: FileTable, real: RealFile, opening: Opening, on_close: OnClose) -> None:
        self.path = path
        self.watches: dict[IoRequest, memoryview] = {}
        self.scope = Scope.DIRECTORY
        self.wanted = 0
        self.seen: Snapshot | None = None
        self.coverage = Coverage(path)
        self._looking = threading.Lock()
        self._table = table
        self._real = real
        self._opening = opening
        self._on_close = on_close

    def watch(
        self,
        system: ThreadSystem,
        file: FileObject,
        target: memoryview,
        scope: Scope,
        notify_filter: int,
        ask: Ask,
    ) -> int:
        """Wait for changes and pack them into `target` as FILE_NOTIFY_INFORMATION records; the NTSTATUS of the call.

        PENDING, or INVALID_PARAMETER for a filter without or with unknown bits.  The first call looks at the directory,
        O(entries), and fixes `scope` and `notify_filter` (`NotifyFilter` bits) for this file object.  Waits only on a
        synchronous file object, visibly (Q-23).
        """
        if not notify_filter or notify_filter & ~VALID_FILTERS:
            return status.STATUS_INVALID_PARAMETER
        seen = self.seen
        if seen is None:
            try:
                seen = self._look(scope, notify_filter)
            except OSError as error:
                return _status_of_lost(error)

        def begin(request: IoRequest) -> None:
            if self.seen is None:
                self.seen, self.scope, self.wanted = seen, scope, notify_filter
            request.pend()
            self.watches[request] = target

        return issue(system, file, ask, self, begin, lambda: POLLER.arm(system, self))

    def poll(self, system: ThreadSystem) -> None:
        """Look, compare, and answer the oldest watch if there is something to say."""
        with self._looking:
            assert self.seen is not None
            try:
                now = self._look_at_rest()
            except OSError as error:
                system.perform(self._answer, Transferred(_status_of_lost(error)))
                return
            created, self.coverage.created = self.coverage.created, {}
            report = changes(self.seen, now, self.wanted)
            report += passing(created, self.seen, now, self.wanted)
            if not report or system.perform(self._report, report):
                self.seen = now
            else:
                self.coverage.created = created | self.coverage.created

    def _look_at_rest(self) -> Snapshot:
        """The entries now; a renamed one is easily missed under both names by a look that it falls into."""
        assert self.seen is not None
        now = self.seen
        for _ in range(MOST_LOOKS):
            self.coverage.has_rung = False
            now = self._look(self.scope, self.wanted)
            NOTIFIER.collect()
            if not self.coverage.has_rung:
                break
        return now

    def _look(self, scope: Scope, wanted: int) -> Snapshot:
        """The entries now; from here on the host tells of changes in them, if it can."""
        now = look(self.path, scope)
        # Hosts tell of reading a directory as of reading a file: looking would ring for ever.
        while not wanted & NotifyFilter.LAST_ACCESS and NOTIFIER.cover(self.coverage, directories_in(now, scope)):
            now = look(self.path, scope)
        return now

    def refuse(self) -> None:
        """Under the kernel lock: nobody will ever look; end every watch."""
        while self.watches:
            self._answer(Transferred(status.STATUS_INSUFFICIENT_RESOURCES))

    def __del__(self) -> None:
        # The whole system was forgotten with the directory open.
        NOTIFIER.leave(self.coverage)

    def _report(self, report: list[Change]) -> bool:
        """Under the kernel lock: False when nobody watches, so that these changes are found again later."""
        if not self.watches:
            return False
        self._answer(_fill(next(iter(self.watches.values())), report))
        return True

    def _answer(self, outcome: Transferred) -> None:
        """Under the kernel lock: end the oldest watch, if there is one."""
        request = next(iter(self.watches), None)
        if request is not None:
            del self.watches[request]
            finish(request, outcome)

    # -- called by the kernel, under its lock ------------------------------------------------------------------

    def cancel(self, request: IoRequest) -> None:
        """A watch ends at once (I-41)."""
        del self.watches[request]
        finish(request, Transferred(status.STATUS_CANCELLED))

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: watches end without an error and without records (I-43)."""
        while self.watches:
            self._answer(Transferred(status.STATUS_NOTIFY_CLEANUP))
        NOTIFIER.leave(self.coverage)
        if self._on_close is OnClose.DELETE:
            self._real.is_doomed = True

    def close(self, file: FileObject) -> None:
        """The last reference is gone."""
        if self._table.leave(self._real, self._opening):
            try:
                delete(self.path, self._real.identity)
            except OSError:
                # Not empty, or not ours to delete: it stays, as on Windows.
                pass


class Poller:
    """The one thread that looks at directories while a watch is armed, every `interval` seconds where it must.

    `is_running`: the thread exists.
    """

    def __init__(self, interval: float = POLL_SECONDS) -> None:
        self.interval = interval
        self.forget_everything()

    def forget_everything(self) -> None:
        """Become a poller without thread and directories, as in a forked child, where the thread does not exist."""
        self._armed: dict[Directory, weakref.ref[ThreadSystem]] = {}
        self._lock = threading.Lock()
        self.is_running = False

    def arm(self, system: ThreadSystem, directory: Directory) -> None:
        """Look at `directory` now and as long as it has watches, or end them when the host starts no thread."""
        if directory.watches:
            directory.poll(system)
        with self._lock:
            self._armed[directory] = weakref.ref(system)
            if self.is_running:
                return
            self.is_running = True
        try:
            threading.Thread(target=self._run, name="iocp_emu directories", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self.is_running = False
                stranded, self._armed = self._armed, {}
            for each, reference in stranded.items():
                owner = reference()
                if owner is not None:
                    owner.perform(each.refuse)

    def _run(self) -> None:
        while self._next_round():
            polls = any(directory.coverage.source is ChangeSource.POLLING for directory in list(self._armed))
            NOTIFIER.wait(self.interval if polls else LONGEST_WAIT_SECONDS)

    def _next_round(self) -> bool:
        """Look at every directory that may have changed; False when there is none left."""
        NOTIFIER.collect()
        for directory, reference in list(self._armed.items()):
            system = reference()
            is_due = directory.coverage.has_rung or directory.coverage.source is ChangeSource.POLLING
            if system is not None and directory.watches and is_due:
                directory.poll(system)
            del system
            with self._lock:
                # Only now: a watch that came meanwhile is listed before it arms.
                if not directory.watches or reference() is None:
                    del self._armed[directory]
        with self._lock:
            self.is_running = bool(self._armed)
            return self.is_running


POLLER = Poller()
"""The poller of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POLLER.forget_everything)


def open_directory(system: ThreadSystem, path: str | os.PathLike[str], options: OpenOptions) -> Opened:
    """Open an existing directory; the caller opens the first handle of the file object.

    Refusals, as `NtError`: those of `open_file`, and NOT_A_DIRECTORY; creating and truncating are refused with
    OBJECT_NAME_COLLISION and FILE_IS_A_DIRECTORY.  May block on the disk.
    """
    name = os.fspath(path)
    try:
        about = os.stat(name)
        if not stat.S_ISDIR(about.st_mode):
            raise NtError(status.STATUS_NOT_A_DIRECTORY)
        if options.access & Access.FILE_READ_DATA:
            os.scandir(name).close()
    except OSError as error:
        raise refusal_of(error, name) from None
    except ValueError:
        raise NtError(status.STATUS_OBJECT_NAME_INVALID) from None
    if options.disposition is Disposition.CREATE_NEW:
        raise NtError(status.STATUS_OBJECT_NAME_COLLISION)
    if options.disposition in (Disposition.CREATE_ALWAYS, Disposition.TRUNCATE_EXISTING):
        raise NtError(status.STATUS_FILE_IS_A_DIRECTORY)
    table = file_table(system)
    opening = options.opening
    real = system.perform(table.enter, (about.st_dev, about.st_ino), opening)
    device = Directory(os.path.realpath(name), table, real, opening, options.on_close)
    return Opened(system.perform(system.kernel.create_file, device, options.io_mode), existed=True)


def _fill(target: memoryview, report: list[Change]) -> Transferred:
    """Pack `report` into `target`; the outcome of the watch."""
    try:
        records = pack(report, len(target))
        if records is None:
            return Transferred(status.STATUS_NOTIFY_ENUM_DIR)
        target[: len(records)] = records
    except (TypeError, ValueError):
        # A view that was released or is read-only.
        return Transferred(status.STATUS_INVALID_USER_BUFFER)
    return Transferred(status.STATUS_SUCCESS, len(records))


def _status_of_lost(error: OSError) -> int:
    """The NTSTATUS for a directory that can no longer be looked at."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return status.STATUS_DELETE_PENDING
    return status_of(error)
