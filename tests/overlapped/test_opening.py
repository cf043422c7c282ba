"""Opening files: dispositions, refusals, sharing modes, deletion on close, and giving everything back."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from iocp_emu import status
from iocp_emu.kernel.file import FileObject
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.overlapped.opening import Disposition, OnClose, delete
from iocp_emu.overlapped.sharing import Share, uses
from tests.overlapped.support import ALL_SHARED, APPEND, BOTH, READ, SYNCHRONOUS, WRITE, Rig

CREATE_NEW, CREATE_ALWAYS, OPEN_EXISTING, OPEN_ALWAYS, TRUNCATE_EXISTING = Disposition


@contextlib.contextmanager
def refused(code: int) -> Generator[None]:
    """The block raises `NtError` with this status."""
    with pytest.raises(NtError) as caught:
        yield
    assert status.status_name(caught.value.status) == status.status_name(code)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds three bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


# -- dispositions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposition", "content"),
    [(CREATE_ALWAYS, b""), (OPEN_EXISTING, b"old"), (OPEN_ALWAYS, b"old"), (TRUNCATE_EXISTING, b"")],
)
@pytest.mark.parametrize("access", [BOTH, WRITE])
def test_opening_what_exists(rig: Rig, path: Path, disposition: Disposition, content: bytes, access: int) -> None:
    """CreateFileW: what becomes of a file that is there, and that it was there."""
    assert rig.open(path, access, disposition=disposition).existed
    assert path.read_bytes() == content


@pytest.mark.parametrize("disposition", [CREATE_NEW, CREATE_ALWAYS, OPEN_ALWAYS])
@pytest.mark.parametrize("access", [BOTH, READ, APPEND])
def test_creating(rig: Rig, tmp_path: Path, disposition: Disposition, access: int) -> None:
    """CreateFileW: what makes a file, with any access, and that it was not there."""
    opened = rig.open(tmp_path / "new", access, disposition=disposition)
    assert not opened.existed
    assert (tmp_path / "new").read_bytes() == b""
    assert opened.device.path == os.path.realpath(tmp_path / "new")


def test_reading_access_is_enough_to_overwrite(rig: Rig, path: Path) -> None:
    """CREATE_ALWAYS empties the file whatever the handle may do afterwards."""
    rig.open(path, READ, disposition=CREATE_ALWAYS)
    assert path.read_bytes() == b""


def test_no_access_is_enough_to_open(rig: Rig, path: Path) -> None:
    """An opening that uses nothing, as for asking about attributes, meets no sharing mode."""
    rig.open(path, BOTH, share=Share.NONE)
    rig.open(path, Access.SYNCHRONIZE, share=Share.NONE)


def test_links_to_nowhere_create_their_target(rig: Rig, tmp_path: Path) -> None:
    """CREATE_ALWAYS through a link whose target is missing makes the target, and ends."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert not rig.open(tmp_path / "link", WRITE, disposition=CREATE_ALWAYS).existed
    assert (tmp_path / "target").exists()
    with refused(status.STATUS_OBJECT_NAME_COLLISION):
        rig.open(tmp_path / "link", WRITE, disposition=CREATE_NEW)


def test_somebody_else_creates_it_meanwhile(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPEN_ALWAYS that finds nothing, then cannot create because it is there now, opens it."""
    path = tmp_path / "contested"
    host_open = os.open

    def contested(name: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            path.write_bytes(b"theirs")
        return host_open(name, flags, mode)

    monkeypatch.setattr(os, "open", contested)
    assert rig.open(path, disposition=OPEN_ALWAYS).existed
    assert path.read_bytes() == b"theirs"


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disposition", [OPEN_EXISTING, TRUNCATE_EXISTING])
def test_what_does_not_exist(rig: Rig, tmp_path: Path, disposition: Disposition) -> None:
    """Errors 2 and 3: no such file, no such directory, a file in the place of a directory."""
    (tmp_path / "file").write_bytes(b"")
    with refused(status.STATUS_OBJECT_NAME_NOT_FOUND):
        rig.open(tmp_path / "missing", disposition=disposition)
    with refused(status.STATUS_OBJECT_PATH_NOT_FOUND):
        rig.open(tmp_path / "missing" / "file", disposition=disposition)
    with refused(status.STATUS_OBJECT_PATH_NOT_FOUND):
        rig.open(tmp_path / "file" / "file", disposition=disposition)
    with refused(status.STATUS_OBJECT_PATH_NOT_FOUND):
        rig.open("", disposition=disposition)


def test_relative_names(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is looked for in the current directory, at the time of the call."""
    monkeypatch.chdir(tmp_path)
    with refused(status.STATUS_OBJECT_NAME_NOT_FOUND):
        rig.open("bare")
    opened = rig.open("bare", disposition=CREATE_NEW)
    monkeypatch.chdir(tmp_path.parent)
    assert opened.device.path == os.path.realpath(tmp_path / "bare")


def test_other_refusals(rig: Rig, path: Path, tmp_path: Path) -> None:
    """CREATE_NEW on a file; a directory; a name with a zero; truncating without the right to write."""
    with refused(status.STATUS_OBJECT_NAME_COLLISION):
        rig.open(path, disposition=CREATE_NEW)
    for access in (READ, BOTH):
        with refused(status.STATUS_FILE_IS_A_DIRECTORY):
            rig.open(tmp_path, access)
    with refused(status.STATUS_OBJECT_NAME_INVALID):
        rig.open("a\0b")
    for access in (READ, APPEND):
        with refused(status.STATUS_INVALID_PARAMETER):
            rig.open(path, access, disposition=TRUNCATE_EXISTING)
    with refused(status.STATUS_NAME_TOO_LONG):
        rig.open(tmp_path / ("x" * 5000))
    assert path.read_bytes() == b"old"


def test_no_permission(rig: Rig, path: Path) -> None:
    """Error 5, told by the host; the superuser tries it as nobody."""
    path.parent.chmod(0)
    try:
        if os.geteuid() == 0:
            os.seteuid(65534)
        with refused(status.STATUS_ACCESS_DENIED):
            rig.open(path, READ)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        path.parent.chmod(0o700)


def test_directories_where_the_host_says_permission(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hosts answer EACCES when a directory is opened as a file."""

    def refuse(name: str, flags: int, mode: int = 0) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with refused(status.STATUS_FILE_IS_A_DIRECTORY):
        rig.open(tmp_path)


def test_truncation_that_the_host_refuses(rig: Rig, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is closed again and can be opened by others."""

    def refuse(name: int | str, size: int) -> None:
        raise OSError(30, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        with refused(status.STATUS_MEDIA_WRITE_PROTECTED):
            rig.open(path, share=Share.NONE, disposition=CREATE_ALWAYS)
    rig.open(path, share=Share.NONE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the host has no named pipes in directories")
@pytest.mark.parametrize("access", [READ, WRITE, BOTH])
def test_pipes_of_the_host_are_no_disk_files(rig: Rig, tmp_path: Path, access: int) -> None:
    """Refused at once, with nobody at the other end."""
    os.mkfifo(tmp_path / "pipe")
    with refused(status.STATUS_NO_SUCH_DEVICE):
        rig.open(tmp_path / "pipe", access)


# -- sharing -----------------------------------------------------------------------------------------------------------


def test_what_an_opening_uses() -> None:
    """Sharing modes are about reading, writing and deleting, and about nothing else."""
    assert uses(READ) == uses(0x20) == Share.READ
    assert uses(WRITE) == uses(APPEND) == Share.WRITE
    assert uses(Access.DELETE) == Share.DELETE
    assert uses(Access.SYNCHRONIZE) == Share.NONE
    assert uses(Access.FILE_ALL) == ALL_SHARED


ACCESSES = [READ, WRITE, BOTH, BOTH | Access.DELETE]
SHARES = [Share.NONE, Share.READ, Share.WRITE, Share.READ | Share.WRITE, ALL_SHARED]


def test_two_openings_go_together_when_each_shares_what_the_other_uses(rig: Rig, path: Path) -> None:
    """STATUS_SHARING_VIOLATION for all other pairs; every pair of 20 by 20, through two names of the file."""
    other_name = path.parent / "other"
    os.link(path, other_name)
    for (access, share), (later_access, later_share) in itertools.product(
        itertools.product(ACCESSES, SHARES), repeat=2
    ):
        first = rig.open(path, access, share=share)
        if uses(access) & ~later_share or uses(later_access) & ~share:
            with refused(status.STATUS_SHARING_VIOLATION):
                rig.open(other_name, later_access, share=later_share)
        else:
            rig.open(other_name, later_access, share=later_share).close()
        first.close()


@pytest.mark.parametrize("access", [READ, WRITE])
def test_a_file_is_not_emptied_before_sharing_agrees(rig: Rig, path: Path, access: int) -> None:
    """Overwriting is writing, even with an access that only reads; refused, the content is still there."""
    rig.open(path, READ, share=Share.READ)
    with refused(status.STATUS_SHARING_VIOLATION):
        rig.open(path, access, disposition=CREATE_ALWAYS)
    assert path.read_bytes() == b"old"


def test_closing_makes_room(rig: Rig, path: Path) -> None:
    """The opening ends with the file object, not before."""
    first = rig.open(path, share=Share.NONE)
    with refused(status.STATUS_SHARING_VIOLATION):
        rig.open(path, share=Share.NONE)
    first.close()
    rig.open(path, share=Share.NONE)


def test_systems_do_not_see_each_other(rigs: Callable[[], Rig], path: Path) -> None:
    """Two systems of one process are two machines with a common disk."""
    rigs().open(path, share=Share.NONE)
    rigs().open(path, share=Share.NONE)


# -- deletion on close -------------------------------------------------------------------------------------------------


def test_delete_on_close_waits_for_the_last_close(rig: Rig, path: Path) -> None:
    """FILE_FLAG_DELETE_ON_CLOSE: from its close on nobody can open the file; the last close deletes it."""
    doomed = rig.open(path, on_close=OnClose.DELETE)
    other = rig.open(path)
    doomed.close()
    assert path.exists()
    with refused(status.STATUS_DELETE_PENDING):
        rig.open(path)
    other.close()
    assert not path.exists()
    rig.open(path, disposition=CREATE_NEW)


def test_delete_on_close_needs_shared_deletion(rig: Rig, path: Path) -> None:
    """It uses deleting, so that whoever has the file open must share that."""
    rig.open(path, share=Share.READ | Share.WRITE)
    with refused(status.STATUS_SHARING_VIOLATION):
        rig.open(path, on_close=OnClose.DELETE)
    assert path.exists()


def test_delete_on_close_spares_what_took_its_place(rig: Rig, path: Path) -> None:
    """The file was renamed and another stands under its name: that one stays."""
    doomed = rig.open(path, on_close=OnClose.DELETE)
    path.rename(path.parent / "renamed")
    path.write_bytes(b"another")
    doomed.close()
    assert path.read_bytes() == b"another"
    gone = rig.open(path, on_close=OnClose.DELETE)
    path.unlink()
    gone.close()


def test_delete_removes_directories_too(tmp_path: Path) -> None:
    """An empty directory goes; one that is not the one that was meant stays."""
    directory = tmp_path / "directory"
    directory.mkdir()
    about = directory.stat()
    delete(str(directory), (about.st_dev, about.st_ino + 1))
    assert directory.exists()
    delete(str(directory), (about.st_dev, about.st_ino))
    assert not directory.exists()


# -- giving back -------------------------------------------------------------------------------------------------------


def test_h03_last_handle_closes_the_descriptor(rig: Rig, path: Path) -> None:
    """H-03: open to the host as long as a handle is open, and no longer."""
    opened = rig.open(path, io_mode=SYNCHRONOUS)
    number = opened.device.descriptor.number
    os.fstat(number)
    opened.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)
    assert not [each for each in rig.system.kernel.objects if isinstance(each, FileObject)]


def test_a_forgotten_system_gives_back_its_files(path: Path) -> None:
    """A system that went with files open leaves no descriptor behind."""
    rig = Rig()
    number = rig.open(path).device.descriptor.number
    os.fstat(number)
    del rig
    gc.collect()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)


def test_descriptors_are_not_inherited(rig: Rig, path: Path) -> None:
    """A child process gets none of them."""
    assert not os.get_inheritable(rig.open(path).device.descriptor.number)
