"""Change notification: what two looks tell, how it is packed, and how watches live and end."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu import status
from iocp_emu.kernel.objects import NtError
from iocp_emu.overlapped.device import Ask
from iocp_emu.overlapped.directory import POLLER, Poller, open_directory
from iocp_emu.overlapped.notifiers import NOTIFIER, ChangeSource
from iocp_emu.overlapped.opening import Disposition, OnClose
from iocp_emu.overlapped.sharing import Share
from iocp_emu.overlapped.snapshots import Action, Entry, NotifyFilter, Scope, changes, look, pack
from iocp_emu.status import (
    STATUS_CANCELLED,
    STATUS_DELETE_PENDING,
    STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER,
    STATUS_INVALID_USER_BUFFER,
    STATUS_NOTIFY_ENUM_DIR,
    STATUS_PENDING,
    STATUS_SUCCESS,
)
from tests.overlapped.support import DEADLINE, READ, SYNCHRONOUS, Opened, Operation, Rig, eventually, in_thread, options

ADDED, REMOVED, MODIFIED, OLD_NAME, NEW_NAME = Action
NAMES = NotifyFilter.FILE_NAME | NotifyFilter.DIR_NAME
Changes = list[tuple[int, str]]


def unpack(records: bytes) -> Changes:
    """The actions and names of FILE_NOTIFY_INFORMATION records."""
    found: Changes = []
    at = 0
    while records:
        following, action, length = struct.unpack_from("<III", records, at)
        found.append((action, records[at + 12 : at + 12 + length].decode("utf-16-le")))
        if not following:
            assert at + 12 + length == len(records)
            break
        assert following % 4 == 0
        at += following
    return found


def open_directory_on(rig: Rig, path: Path, **kwargs: Any) -> Opened:
    """Open a directory; arguments as of `options`."""
    return rig.adopt(Opened(rig, open_directory(rig.system, path, options(READ, **kwargs)).file))


def watch(
    opened: Opened, scope: Scope = Scope.DIRECTORY, wanted: int = NAMES, size: int = 512, ask: Ask | None = None
) -> Operation:
    """ReadDirectoryChangesW."""
    ask = ask or opened.ask()
    buffer = bytearray(size)
    code = opened.device.watch(opened.rig.system, opened.file, memoryview(buffer), scope, wanted, ask)
    return Operation(code, ask.block, buffer)


def reported(rig: Rig, operation: Operation) -> Changes:
    """The changes that the next packet, which must be this watch's, brings."""
    packet = rig.packet()
    assert (packet.overlapped, packet.status) == (operation.block, STATUS_SUCCESS)
    assert packet.bytes == len(operation.data)
    return unpack(operation.data)


# -- what two looks tell -----------------------------------------------------------------------------------------------


def differences(
    root: Path, act: Callable[[], object], wanted: int = NAMES, scope: Scope = Scope.DIRECTORY
) -> list[tuple[Action, str]]:
    """What a watch of `root` reports about `act`."""
    before = look(str(root), scope)
    act()
    return changes(before, look(str(root), scope), wanted)


def test_coming_and_going(tmp_path: Path) -> None:
    """Created, deleted, renamed; files and directories each by their own filter."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    (tmp_path / "inner").mkdir()

    def act() -> None:
        (tmp_path / "a").unlink()
        (tmp_path / "b").rename(tmp_path / "c")
        (tmp_path / "inner").rename(tmp_path / "outer")
        (tmp_path / "new").mkdir()
        (tmp_path / "z").write_bytes(b"zzz")

    before = look(str(tmp_path), Scope.DIRECTORY)
    act()
    after = look(str(tmp_path), Scope.DIRECTORY)
    files = [(REMOVED, "a"), (OLD_NAME, "b"), (NEW_NAME, "c"), (ADDED, "z")]
    directories = [(OLD_NAME, "inner"), (NEW_NAME, "outer"), (ADDED, "new")]
    assert changes(before, after, NotifyFilter.FILE_NAME) == files
    assert changes(before, after, NotifyFilter.DIR_NAME) == directories
    assert sorted(changes(before, after, NAMES)) == sorted(files + directories)
    assert changes(before, before, 0xFFF) == []


def test_a_file_in_the_place_of_another(tmp_path: Path) -> None:
    """Saving by renaming over the old file: that one went, and the new one was renamed."""
    (tmp_path / "text").write_bytes(b"old")
    (tmp_path / "text.new").write_bytes(b"new")
    assert differences(tmp_path, lambda: os.replace(tmp_path / "text.new", tmp_path / "text")) == [
        (REMOVED, "text"),
        (OLD_NAME, "text.new"),
        (NEW_NAME, "text"),
    ]


def test_subtrees(tmp_path: Path) -> None:
    """Names are relative, with backslashes; moves between directories are no renames; without SUBTREE nothing."""
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "deep").write_bytes(b"deep")
    (tmp_path / "x" / "moves").write_bytes(b"moves")

    def act() -> None:
        (tmp_path / "x" / "y" / "deeper").write_bytes(b"!")
        (tmp_path / "x" / "moves").rename(tmp_path / "moves")

    before = look(str(tmp_path), Scope.SUBTREE)
    assert sorted(before) == ["x", "x\\moves", "x\\y", "x\\y\\deep"]
    assert differences(tmp_path, act, scope=Scope.SUBTREE) == [
        (REMOVED, "x\\moves"),
        (ADDED, "moves"),
        (ADDED, "x\\y\\deeper"),
    ]
    assert differences(tmp_path, (tmp_path / "x" / "y" / "third").mkdir) == []


def test_what_is_in_a_renamed_directory_moves_along(tmp_path: Path) -> None:
    """Only the directory is renamed, and inside it what was renamed too."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "file").write_bytes(b"file")

    def act() -> None:
        (tmp_path / "a" / "b" / "c" / "file").rename(tmp_path / "a" / "b" / "c" / "renamed")
        (tmp_path / "a" / "b").rename(tmp_path / "a" / "B")
        (tmp_path / "a").rename(tmp_path / "A")

    assert differences(tmp_path, act, scope=Scope.SUBTREE) == [
        (OLD_NAME, "A\\B\\c\\file"),
        (NEW_NAME, "A\\B\\c\\renamed"),
        (OLD_NAME, "A\\b"),
        (NEW_NAME, "A\\B"),
        (OLD_NAME, "a"),
        (NEW_NAME, "A"),
    ]


@pytest.mark.parametrize(
    ("change", "filters"),
    [
        ({"size": 9}, NotifyFilter.SIZE),
        ({"written": 9}, NotifyFilter.LAST_WRITE),
        ({"accessed": 9}, NotifyFilter.LAST_ACCESS),
        ({"created": 9}, NotifyFilter.CREATION),
        ({"owner": (9, 9)}, NotifyFilter.SECURITY),
        ({"attributes": 9}, NotifyFilter.ATTRIBUTES | NotifyFilter.SECURITY),
    ],
)
def test_each_filter_reports_its_own(change: dict[str, Any], filters: int) -> None:
    """FILE_NOTIFY_CHANGE_...: a difference is reported by its filters and by no other."""
    before = Entry(False, 1, 2, 3, 4, 5, 6, 7, (8, 8))
    after = before._replace(**change)
    for bit in range(12):
        expected = [(MODIFIED, "name")] if 1 << bit & filters else []
        assert changes({"name": before}, {"name": after}, 1 << bit) == expected


def test_directories_are_not_modified_by_looking(tmp_path: Path) -> None:
    """Size and last access of a directory say nothing about it."""
    before = Entry(True, 1, 2, 3, 4, 5, 6, 7, (8, 8))
    assert changes({"d": before}, {"d": before._replace(size=9, accessed=9)}, 0xFFF) == []


def test_without_identities_renames_are_not_guessed() -> None:
    """A host that tells no inode: what went and what came are not the same."""
    entry = Entry(False, 0, 0, 3, 4, 5, 6, 7, (8, 8))
    assert changes({"a": entry}, {"b": entry}, NAMES) == [(REMOVED, "a"), (ADDED, "b")]


def test_real_modification(tmp_path: Path) -> None:
    """A file that grows."""
    (tmp_path / "file").write_bytes(b"")
    assert differences(tmp_path, lambda: (tmp_path / "file").write_bytes(b"x"), NotifyFilter.SIZE) == [
        (MODIFIED, "file")
    ]


def test_looking_survives_what_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that go while they are looked at are left out; a directory that went is empty."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "file").write_bytes(b"")

    class Vanishing:
        """What `os.scandir` lists but cannot tell about any more."""

        name = "gone"

        def stat(self, follow_symlinks: bool) -> os.stat_result:
            """It is gone."""
            assert not follow_symlinks
            raise FileNotFoundError

    real_scandir = os.scandir

    class Listing:
        """A listing with one more entry, which vanishes."""

        def __init__(self, path: str) -> None:
            if path.endswith("inner"):
                raise FileNotFoundError
            self.entries = [*real_scandir(path), Vanishing()]

        def __enter__(self) -> list[Any]:
            return self.entries

        def __exit__(self, *exception: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Listing)
    assert sorted(look(str(tmp_path), Scope.SUBTREE)) == ["file", "inner"]


@given(
    report=st.lists(st.tuples(st.sampled_from(Action), st.text(min_size=1, max_size=9)), max_size=6),
    room=st.integers(0, 200),
)
def test_records_are_what_windows_writes(report: list[tuple[Action, str]], room: int) -> None:
    """FILE_NOTIFY_INFORMATION: 4-byte aligned, linked, the last one open-ended; nothing when there is no room."""
    report = [(action, name.encode("utf-8", "ignore").decode() or "?") for action, name in report]
    packed = pack(report, room)
    whole = pack(report, 1 << 20)
    assert whole is not None
    assert packed == (whole if len(whole) <= room else None)
    assert unpack(whole) == [(int(action), name) for action, name in report]


def test_names_that_are_no_text_are_packed() -> None:
    """Host names need not be valid text; they come out as lone surrogates."""
    packed = pack([(ADDED, os.fsdecode(b"\xff\xfe"))], 64)
    assert packed is not None
    assert packed[12:].decode("utf-16-le", "surrogatepass") == os.fsdecode(b"\xff\xfe")


# -- how changes are found ---------------------------------------------------------------------------------------------

HAS_INOTIFY = importlib.util.find_spec("inotify_simple") is not None
needs_inotify = pytest.mark.skipif(not HAS_INOTIFY, reason="the extra `watch` is not installed, or has nothing here")


@pytest.fixture(params=list(ChangeSource) if HAS_INOTIFY else [ChangeSource.POLLING], ids=lambda source: source.name)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ChangeSource:
    """Each way in turn: polling is what is left when the package cannot be imported."""
    if request.param is ChangeSource.POLLING:
        monkeypatch.setitem(sys.modules, "inotify_simple", None)
    return ChangeSource(request.param)


def test_the_source_is_told(rig: Rig, tmp_path: Path, source: ChangeSource) -> None:
    """ReadDirectoryChangesW: the product says how it finds changes; watching for reads is always by polling."""
    directory = open_directory_on(rig, tmp_path).bind()
    watch(directory)
    assert directory.device.coverage.source is source
    reads = open_directory_on(rig, tmp_path).bind()
    watch(reads, wanted=NotifyFilter.LAST_ACCESS)
    assert reads.device.coverage.source is ChangeSource.POLLING


@needs_inotify
@pytest.mark.parametrize("scope", Scope)
def test_names_that_pass_between_two_looks_are_seen(rig: Rig, tmp_path: Path, scope: Scope) -> None:
    """ReadDirectoryChangesW: where the host tells of changes, what came and went at once is reported."""
    (tmp_path / "below").mkdir()
    directory = open_directory_on(rig, tmp_path).bind()
    operation = watch(directory, scope)
    place = tmp_path / "below" if scope is Scope.SUBTREE else tmp_path
    name = "below\\passing" if scope is Scope.SUBTREE else "passing"
    seen: Changes = []
    (place / "passing").write_bytes(b"")
    (place / "passing").unlink()
    while len(seen) < 2:
        seen += reported(rig, operation)
        operation = watch(directory, scope)
    assert seen == [(ADDED, name), (REMOVED, name)]


@needs_inotify
def test_new_directories_are_covered_too(rig: Rig, tmp_path: Path) -> None:
    """ReadDirectoryChangesW: in a subtree, what happens in a directory that came later is seen."""
    directory = open_directory_on(rig, tmp_path).bind()
    operation = watch(directory, Scope.SUBTREE)
    (tmp_path / "new").mkdir()
    assert reported(rig, operation) == [(ADDED, "new")]
    operation = watch(directory, Scope.SUBTREE)
    (tmp_path / "new" / "a").write_bytes(b"")
    assert reported(rig, operation) == [(ADDED, "new\\a")]


@needs_inotify
def test_a_host_that_covers_no_more_is_polled(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ReadDirectoryChangesW: the host's limits on inotify only make it slower."""
    inotify_simple = importlib.import_module("inotify_simple")

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    directory = open_directory_on(rig, tmp_path).bind()
    operation = watch(directory)
    assert directory.device.coverage.source is ChangeSource.POLLING
    (tmp_path / "a").write_bytes(b"")
    assert reported(rig, operation) == [(ADDED, "a")]


@needs_inotify
def test_the_hosts_descriptor_goes_with_the_last_directory(rig: Rig, tmp_path: Path) -> None:
    """Nothing leaks: inotify is open only while a directory is watched; a deleted directory is no exception."""
    (tmp_path / "doomed").mkdir()
    directory, doomed = open_directory_on(rig, tmp_path).bind(), open_directory_on(rig, tmp_path / "doomed").bind()
    watch(directory)
    watch(doomed)
    assert NOTIFIER.is_open
    (tmp_path / "doomed").rmdir()
    rig.packet()
    rig.packet()
    directory.close()
    doomed.close()
    eventually(lambda: not NOTIFIER.is_open, "inotify is closed")


# -- watches -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("source")
def test_i05_a_watch_pends_and_reports_what_follows(rig: Rig, tmp_path: Path) -> None:
    """I-05, I-54: pending; everything after the call is seen, in one or more reports, by one or more watches."""
    (tmp_path / "before").write_bytes(b"")
    directory = open_directory_on(rig, tmp_path).bind(key="d")
    seen: Changes = []
    first = watch(directory)
    assert first.code == STATUS_PENDING
    assert first.block.is_pending
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    seen += reported(rig, first)
    (tmp_path / "before").unlink()
    while len(seen) < 3:
        seen += reported(rig, watch(directory))
    assert sorted(seen) == [(ADDED, "a"), (ADDED, "b"), (REMOVED, "before")]
    assert rig.no_packet()


@pytest.mark.usefixtures("source")
def test_changes_between_watches_are_kept(rig: Rig, tmp_path: Path) -> None:
    """ReadDirectoryChangesW: what happens while no watch is armed is told to the next."""
    directory = open_directory_on(rig, tmp_path).bind()
    first = watch(directory)
    (tmp_path / "a").write_bytes(b"")
    assert reported(rig, first) == [(ADDED, "a")]
    (tmp_path / "b").write_bytes(b"")
    assert rig.no_packet()
    assert reported(rig, watch(directory)) == [(ADDED, "b")]


@pytest.mark.usefixtures("source")
def test_each_report_answers_the_oldest_watch(rig: Rig, tmp_path: Path) -> None:
    """I-11: several watches on one directory are answered in the order in which they were asked."""
    directory = open_directory_on(rig, tmp_path).bind()
    operations = [watch(directory) for _ in range(3)]
    for number, operation in enumerate(operations):
        (tmp_path / str(number)).write_bytes(b"")
        assert reported(rig, operation) == [(ADDED, str(number))]


@pytest.mark.usefixtures("source")
def test_filter_and_scope_are_those_of_the_first_watch(rig: Rig, tmp_path: Path) -> None:
    """ReadDirectoryChangesW: fixed by the first call on the file object."""
    (tmp_path / "inner").mkdir()
    directory = open_directory_on(rig, tmp_path).bind()
    first = watch(directory, Scope.SUBTREE, NotifyFilter.FILE_NAME)
    (tmp_path / "inner" / "a").write_bytes(b"")
    assert reported(rig, first) == [(ADDED, "inner\\a")]
    second = watch(directory, Scope.DIRECTORY, NotifyFilter.DIR_NAME)
    (tmp_path / "new").mkdir()
    (tmp_path / "inner" / "b").write_bytes(b"")
    assert reported(rig, second) == [(ADDED, "inner\\b")]


@pytest.mark.usefixtures("source")
def test_unwanted_changes_are_not_reported_later(rig: Rig, tmp_path: Path) -> None:
    """A file that was written and then renamed is renamed, even when writing was not asked for."""
    (tmp_path / "file").write_bytes(b"")
    directory = open_directory_on(rig, tmp_path).bind()
    operation = watch(directory)
    (tmp_path / "file").write_bytes(b"longer")
    eventually(lambda: directory.device.seen["file"].size == 6, "the poller has looked")
    (tmp_path / "file").rename(tmp_path / "other")
    assert reported(rig, operation) == [(OLD_NAME, "file"), (NEW_NAME, "other")]


@pytest.mark.parametrize("wanted", [0, 0x1000, 0x80000001])
@pytest.mark.usefixtures("source")
def test_i03_impossible_filters_are_refused(rig: Rig, tmp_path: Path, wanted: int) -> None:
    """I-03: without a bit, or with one that Windows does not know."""
    assert watch(open_directory_on(rig, tmp_path).bind(), wanted=wanted).code == STATUS_INVALID_PARAMETER
    assert rig.no_packet()


@pytest.mark.parametrize("size", [0, 13])
@pytest.mark.usefixtures("source")
def test_reports_without_room(rig: Rig, tmp_path: Path, size: int) -> None:
    """STATUS_NOTIFY_ENUM_DIR: no error, no bytes; look for yourself."""
    directory = open_directory_on(rig, tmp_path).bind()
    operation = watch(directory, size=size)
    (tmp_path / "a").write_bytes(b"")
    packet = rig.packet()
    assert (packet.overlapped, packet.status, packet.bytes, packet.error) == (
        operation.block,
        STATUS_NOTIFY_ENUM_DIR,
        0,
        None,
    )
    assert bytes(operation.buffer) == bytes(size)
    following = watch(directory)
    (tmp_path / "b").write_bytes(b"")
    assert reported(rig, following) == [(ADDED, "b")]


@pytest.mark.usefixtures("source")
def test_i05_unusable_buffers_are_error_packets(rig: Rig, tmp_path: Path) -> None:
    """I-05: a buffer that was released meanwhile, or cannot be written, harms nobody else."""
    directory = open_directory_on(rig, tmp_path).bind()
    target = memoryview(bytearray(512))
    for view in (target, memoryview(bytes(512))):
        ask = directory.ask()
        assert directory.device.watch(rig.system, directory.file, view, Scope.DIRECTORY, NAMES, ask) == STATUS_PENDING
    target.release()
    operation = watch(directory)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
        assert rig.packet().status == STATUS_INVALID_USER_BUFFER
    (tmp_path / "c").write_bytes(b"")
    assert reported(rig, operation) == [(ADDED, "c")]


@pytest.mark.usefixtures("source")
def test_i41_cancelled(rig: Rig, tmp_path: Path) -> None:
    """I-40, I-41, vector file-21: pending, nothing; cancelled, 995 with 0 bytes at once; the others stay."""
    directory = open_directory_on(rig, tmp_path).bind(key=209)
    first, second = watch(directory), watch(directory)
    assert rig.no_packet()
    assert directory.cancel(first) == 1
    packet = rig.packet(timeout=0)
    assert (packet.key, packet.overlapped, packet.status, packet.bytes) == (209, first.block, STATUS_CANCELLED, 0)
    assert packet.error is not None
    assert packet.error.winerror == 995
    assert directory.cancel(first) == 0
    (tmp_path / "a").write_bytes(b"")
    assert reported(rig, second) == [(ADDED, "a")]


@pytest.mark.usefixtures("source")
def test_i41_cancelled_while_the_poller_looks(rig: Rig, tmp_path: Path) -> None:
    """I-41: a cancel wins over a look that is under way; the changes stay for the next watch, a loss is not told."""
    directory = open_directory_on(rig, tmp_path).bind()
    watch(directory)
    directory.cancel()
    assert rig.packet(timeout=0).status == STATUS_CANCELLED
    (tmp_path / "a").write_bytes(b"")
    directory.device.poll(rig.system)
    tmp_path.rename(tmp_path.parent / "away")
    directory.device.poll(rig.system)
    (tmp_path.parent / "away").rename(tmp_path)
    assert rig.no_packet()
    assert reported(rig, watch(directory)) == [(ADDED, "a")]


@pytest.mark.usefixtures("source")
def test_i43_closing_ends_watches(rig: Rig, tmp_path: Path) -> None:
    """I-43, I-44: one of two handles ends nothing; the last one ends every watch, and the packets say so."""
    directory = open_directory_on(rig, tmp_path).bind()
    handles = rig.system.process.handles
    duplicate = rig.system.perform(handles.duplicate, directory.handle, handles, None)
    operations = [watch(directory), watch(directory)]
    directory.close()
    assert rig.no_packet()
    rig.system.perform(handles.close, duplicate)
    for each in operations:
        packet = rig.packet(timeout=0)
        assert (packet.overlapped, packet.status, packet.bytes) == (each.block, status.STATUS_NOTIFY_CLEANUP, 0)
        assert packet.error is None
    assert directory.file.freed


@pytest.mark.usefixtures("source")
def test_i31_thread_exit(rig: Rig, tmp_path: Path) -> None:
    """I-31: a watch without event on an associated directory outlives its thread, any other does not."""
    bound, unbound = open_directory_on(rig, tmp_path).bind(), open_directory_on(rig, tmp_path)
    survivor = in_thread(lambda: watch(bound))
    other = in_thread(lambda: watch(unbound))
    eventually(lambda: not unbound.file.requests, "the thread's request has ended")
    assert other.block.status == STATUS_CANCELLED
    assert survivor.block.is_pending
    (tmp_path / "a").write_bytes(b"")
    assert reported(rig, survivor) == [(ADDED, "a")]


@pytest.mark.usefixtures("source")
def test_i27_late_status_block(rig: Rig, tmp_path: Path) -> None:
    """I-27: the status block is written at the dequeue."""
    directory = open_directory_on(rig, tmp_path).bind()
    operation = watch(directory)
    (tmp_path / "a").write_bytes(b"")
    eventually(lambda: rig.port.depth == 1, "the change was found")
    assert operation.block.is_pending
    assert reported(rig, operation) == [(ADDED, "a")]


@pytest.mark.usefixtures("source")
def test_a_directory_that_goes(rig: Rig, tmp_path: Path) -> None:
    """STATUS_DELETE_PENDING when the watched directory itself is deleted; watching it again fails at once."""
    path = tmp_path / "doomed"
    path.mkdir()
    directory = open_directory_on(rig, path).bind()
    watch(directory)
    path.rmdir()
    assert rig.packet().status == STATUS_DELETE_PENDING
    watch(directory)
    assert rig.packet().status == STATUS_DELETE_PENDING
    other = open_directory_on(rig, tmp_path)
    tmp_path.rename(tmp_path.parent / "renamed-away")
    try:
        assert watch(other).code == STATUS_DELETE_PENDING
    finally:
        (tmp_path.parent / "renamed-away").rename(tmp_path)


@pytest.mark.usefixtures("source")
def test_other_failures_of_the_host(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I-05: a host that cannot open the directory any more says so in a packet."""
    (tmp_path / "before").write_bytes(b"")
    directory = open_directory_on(rig, tmp_path).bind()
    watch(directory)

    def refuse(path: str) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        # The host tells of this, and a watch of names has nothing to say of it.
        os.utime(tmp_path / "before")
        assert rig.packet().status == status.STATUS_TOO_MANY_OPENED_FILES


@pytest.mark.usefixtures("source")
def test_q23_a_synchronous_watch_waits(rig: Rig, tmp_path: Path) -> None:
    """Q-23: on a synchronous file object the call returns with the change."""
    directory = open_directory_on(rig, tmp_path, io_mode=SYNCHRONOUS)
    results: list[Operation] = []
    watcher = threading.Thread(target=lambda: results.append(watch(directory)))
    watcher.start()
    eventually(lambda: bool(directory.device.watches), "it is armed")
    (tmp_path / "a").write_bytes(b"")
    watcher.join(DEADLINE)
    assert results[0].code == STATUS_SUCCESS
    assert unpack(results[0].data) == [(ADDED, "a")]


# -- the poller --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("source")
def test_the_poller_ends_with_the_last_watch(rig: Rig, tmp_path: Path) -> None:
    """No thread without a watch: the process ends up with as many as before."""
    eventually(lambda: not POLLER.is_running, "nobody is watched")
    before = threading.active_count()
    directory = open_directory_on(rig, tmp_path).bind()
    watch(directory)
    assert threading.active_count() == before + 1
    directory.cancel()
    eventually(lambda: threading.active_count() == before, "the poller has ended")
    watch(directory)
    (tmp_path / "a").write_bytes(b"")
    rig.packet()


@pytest.mark.usefixtures("source")
def test_the_poller_keeps_no_system_alive(tmp_path: Path) -> None:
    """A system that was forgotten with a watch armed goes, and its directory with it."""
    rig = Rig()
    directory = open_directory_on(rig, tmp_path).bind()
    watch(directory)
    assert POLLER.is_running
    del rig, directory

    def has_forgotten() -> bool:
        gc.collect()
        return not POLLER.is_running and not NOTIFIER.is_open

    eventually(has_forgotten, "nobody is watched")


@pytest.mark.usefixtures("source")
def test_without_a_thread_watches_are_error_packets(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I-05: the host starts no thread: INSUFFICIENT_RESOURCES, and later watches work again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    eventually(lambda: not POLLER.is_running, "nobody is watched")
    directory = open_directory_on(rig, tmp_path).bind()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        watch(directory)
    assert rig.packet(timeout=0).status == status.STATUS_INSUFFICIENT_RESOURCES
    operation = watch(directory)
    (tmp_path / "a").write_bytes(b"")
    assert reported(rig, operation) == [(ADDED, "a")]


def test_a_forked_child_forgets_the_parents_watches() -> None:
    """After a fork nobody is looked at, and no thread is believed in."""
    poller = Poller()
    poller.forget_everything()
    assert not poller.is_running


# -- opening -----------------------------------------------------------------------------------------------------------


def refusal(rig: Rig, path: str | Path, **kwargs: Any) -> int:
    """The status with which opening is refused."""
    with pytest.raises(NtError) as caught:
        open_directory(rig.system, path, options(READ, **kwargs))
    return caught.value.status


def test_refusals(rig: Rig, tmp_path: Path) -> None:
    """CreateFileW with FILE_FLAG_BACKUP_SEMANTICS: nothing there, no directory, and what only files can do."""
    (tmp_path / "file").write_bytes(b"")
    assert refusal(rig, tmp_path / "missing") == status.STATUS_OBJECT_NAME_NOT_FOUND
    assert refusal(rig, tmp_path / "missing" / "x") == status.STATUS_OBJECT_PATH_NOT_FOUND
    assert refusal(rig, tmp_path / "file") == status.STATUS_NOT_A_DIRECTORY
    assert refusal(rig, "a\0b") == status.STATUS_OBJECT_NAME_INVALID
    assert refusal(rig, tmp_path, disposition=Disposition.CREATE_NEW) == status.STATUS_OBJECT_NAME_COLLISION
    for disposition in (Disposition.CREATE_ALWAYS, Disposition.TRUNCATE_EXISTING):
        assert refusal(rig, tmp_path, disposition=disposition) == status.STATUS_FILE_IS_A_DIRECTORY
    open_directory_on(rig, tmp_path, share=Share.NONE)
    assert refusal(rig, tmp_path) == status.STATUS_SHARING_VIOLATION


def test_directories_are_not_read(rig: Rig, tmp_path: Path) -> None:
    """ReadFile on a directory is no operation of that device."""
    directory = open_directory_on(rig, tmp_path).bind()
    assert directory.read(4).code == STATUS_INVALID_DEVICE_REQUEST
    assert rig.no_packet()


@pytest.mark.parametrize("empty", [True, False])
def test_delete_on_close(rig: Rig, tmp_path: Path, empty: bool) -> None:
    """An empty directory goes with its last close; one that is not empty stays."""
    path = tmp_path / "doomed"
    path.mkdir()
    directory = open_directory_on(rig, path, on_close=OnClose.DELETE)
    if not empty:
        (path / "file").write_bytes(b"")
    directory.close()
    assert path.exists() != empty
