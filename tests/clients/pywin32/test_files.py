"""win32file on files: reading, writing, locking, positions, directory changes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from iocp_emu.compat.pywin32 import ntsecuritycon, pywintypes, win32api, win32con, win32event, win32file, winerror

READ = win32con.GENERIC_READ
WRITE = win32con.GENERIC_WRITE
OVERLAPPED = win32con.FILE_FLAG_OVERLAPPED


def opened(path: Path, access: int, disposition: int, flags: int = 0, share: int = 0) -> pywintypes.HANDLEType:
    return win32file.CreateFile(str(path), access, share, None, disposition, flags, 0)


# -- synchronous -----------------------------------------------------------------------------------------------------


def test_a_synchronous_file_has_a_position(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with opened(path, READ | WRITE, win32con.CREATE_ALWAYS) as file:
        assert win32file.WriteFile(file, b"Some data") == (0, 9)
        assert win32file.SetFilePointer(file, 0, win32file.FILE_BEGIN) == 0
        assert win32file.ReadFile(file, 100) == (0, b"Some data")
        assert win32file.ReadFile(file, 100) == (0, b"")
        assert win32file.SetFilePointer(file, -4, win32file.FILE_END) == 5
        assert win32file.ReadFile(file, win32file.AllocateReadBuffer(2)) == (0, b"da")
        assert win32file.SetFilePointer(file, -1, win32file.FILE_CURRENT) == 6
        assert win32file.SetEndOfFile(file) == 1
        assert win32file.GetFileSize(file) == 6
        win32file.FlushFileBuffers(file)
        assert win32file.GetFileType(file) == win32file.FILE_TYPE_DISK
    assert path.read_bytes() == b"Some d"


def test_the_end_of_a_file_can_be_moved_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with opened(path, WRITE, win32con.CREATE_NEW) as file:
        win32file.SetFilePointer(file, 10, win32file.FILE_BEGIN)
        win32file.SetEndOfFile(file)
    assert path.read_bytes() == bytes(10)


@pytest.mark.parametrize(
    ("offset", "method", "code"),
    [(-1, 0, winerror.ERROR_NEGATIVE_SEEK), (0, 3, winerror.ERROR_INVALID_PARAMETER)],
)
def test_impossible_positions(tmp_path: Path, offset: int, method: int, code: int) -> None:
    with opened(tmp_path / "data", READ | WRITE, win32con.CREATE_NEW) as file:
        with pytest.raises(win32file.error) as caught:
            win32file.SetFilePointer(file, offset, method)
        assert caught.value.args[:2] == (code, "SetFilePointer")


def test_only_a_disk_file_has_a_size(tmp_path: Path) -> None:
    port = win32file.CreateIoCompletionPort(-1, None, 0, 0)
    for call in (win32file.GetFileSize, win32file.FlushFileBuffers):
        with pytest.raises(win32file.error) as caught:
            call(port)
        assert caught.value.args[:2] == (6, call.__name__)
    with opened(tmp_path / "data", READ, win32con.OPEN_ALWAYS) as file:
        assert win32file.SetEndOfFile(file) == 0
        assert win32api.GetLastError() == winerror.ERROR_ACCESS_DENIED


def test_an_overlapped_with_a_synchronous_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "data"
    overlapped = pywintypes.OVERLAPPED()
    overlapped.hEvent = win32event.CreateEvent(None, False, False, None)
    with opened(path, WRITE, win32con.CREATE_ALWAYS) as file:
        for _ in range(4):
            win32file.WriteFile(file, b"z" * 10, overlapped)
            win32event.WaitForSingleObject(overlapped.hEvent, win32event.INFINITE)
            overlapped.Offset += 10
    overlapped.Offset = 35
    buffer = win32file.AllocateReadBuffer(10)
    with opened(path, READ, win32con.OPEN_EXISTING) as file:
        rc, same = win32file.ReadFile(file, buffer, overlapped)
        assert (rc, win32file.GetOverlappedResult(file, overlapped, False)) == (0, 5)
        assert same is buffer
        overlapped.Offset = 40
        with pytest.raises(win32file.error) as caught:
            win32file.ReadFile(file, buffer, overlapped)
        assert caught.value.args == (38, "ReadFile", "Reached the end of the file.")


# -- opening ---------------------------------------------------------------------------------------------------------


def test_errors_of_opening_name_the_call(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for name, disposition, code in (
        (path, win32con.OPEN_EXISTING, winerror.ERROR_FILE_NOT_FOUND),
        (tmp_path / "no" / "such", win32con.CREATE_NEW, winerror.ERROR_PATH_NOT_FOUND),
        (path, 77, winerror.ERROR_INVALID_PARAMETER),
    ):
        with pytest.raises(pywintypes.error) as caught:
            opened(name, READ, disposition)
        assert caught.value.args == (code, "CreateFile", win32api.FormatMessage(code).rstrip())
    with opened(path, READ, win32con.OPEN_ALWAYS), pytest.raises(pywintypes.error) as caught:
        win32file.CreateFileW(str(path), READ, 0, None, win32con.OPEN_EXISTING, 0)
    assert caught.value.args[:2] == (winerror.ERROR_SHARING_VIOLATION, "CreateFileW")


def test_opening_by_keywords(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with win32file.CreateFileW(
        FileName=str(path),
        DesiredAccess=WRITE,
        ShareMode=0,
        SecurityAttributes=pywintypes.SECURITY_ATTRIBUTES(),
        CreationDisposition=win32con.CREATE_NEW,
        FlagsAndAttributes=win32con.FILE_ATTRIBUTE_NORMAL,
    ) as file:
        win32file.WriteFile(file, bytearray(b"bytes"))
    assert path.read_bytes() == b"bytes"


def test_delete_on_close_happens_with_the_last_reference(tmp_path: Path) -> None:
    path = tmp_path / "data"
    file = opened(path, READ | WRITE, win32con.CREATE_ALWAYS, win32con.FILE_FLAG_DELETE_ON_CLOSE)
    assert path.exists()
    del file
    assert not path.exists()


def test_wrong_arguments_are_type_errors(tmp_path: Path) -> None:
    with opened(tmp_path / "data", READ | WRITE, win32con.CREATE_NEW) as file:
        for call in (
            lambda: win32file.WriteFile(file, "text"),
            lambda: win32file.ReadFile(file, b"constant"),
            lambda: win32file.ReadFile(file, "text"),
            lambda: win32file.ReadFile(file, 1, 0),  # type: ignore[arg-type]
            lambda: win32file.ReadFile(object(), 1),
            lambda: win32file.AllocateReadBuffer("1"),
            lambda: win32file.CreateFile(b"name", 0, 0, None, 3, 0, None),  # type: ignore[arg-type]
            lambda: win32file.CreateFile("name", 0, 0, 0, 3, 0, None),
        ):
            with pytest.raises(TypeError):
                call()


def test_buffers_can_be_indexed_sliced_and_filled() -> None:
    buffer = win32file.AllocateReadBuffer(4)
    assert len(buffer) == 4
    assert bytes(buffer) == bytes(4)
    buffer[0] = 0xFF
    buffer[1:3] = b"ab"
    assert bytes(buffer[0:3]) == b"\xffab"


# -- overlapped ------------------------------------------------------------------------------------------------------


def test_a_file_is_copied_through_a_port(tmp_path: Path) -> None:
    """The classic copying loop: each packet of a read starts a write, each of a write the next read."""
    source, target, chunk = tmp_path / "source", tmp_path / "target", 1000
    content = os.urandom(chunk * 20 + 123)
    source.write_bytes(content)
    port = win32file.CreateIoCompletionPort(-1, None, 0, 0)
    reader = opened(source, READ, win32con.OPEN_EXISTING, OVERLAPPED)
    writer = opened(target, WRITE, win32con.CREATE_ALWAYS, OVERLAPPED)
    win32file.CreateIoCompletionPort(reader, port, 1, 0)
    win32file.CreateIoCompletionPort(writer, port, 2, 0)

    next_offset = 0

    def read_next(overlapped: pywintypes.OVERLAPPEDType) -> int:
        nonlocal next_offset
        if next_offset >= len(content):
            return 0
        overlapped.Offset = next_offset
        next_offset += chunk
        win32file.ReadFile(reader, overlapped.object, overlapped)
        return 1

    in_flight = 0
    kept_alive = [pywintypes.OVERLAPPED() for _ in range(4)]
    for overlapped in kept_alive:
        overlapped.object = win32file.AllocateReadBuffer(chunk)
        in_flight += read_next(overlapped)
    while in_flight:
        rc, count, key, back = win32file.GetQueuedCompletionStatus(port, -1)
        assert rc == 0
        assert isinstance(back, pywintypes.OVERLAPPEDType)
        if key == 1:
            win32file.WriteFile(writer, back.object[:count], back)
        else:
            in_flight += read_next(back) - 1
    assert win32file.GetFileSize(writer) == len(content)
    writer.Close()
    assert target.read_bytes() == content


def test_locks_go_through_an_overlapped(tmp_path: Path) -> None:
    path, share = tmp_path / "data", win32con.FILE_SHARE_READ | win32con.FILE_SHARE_WRITE
    path.write_bytes(bytes(100))
    mine = opened(path, READ | WRITE, win32con.OPEN_EXISTING, 0, share)
    other = opened(path, READ | WRITE, win32con.OPEN_EXISTING, 0, share)
    place = pywintypes.OVERLAPPED()
    place.Offset = 10
    flags = win32con.LOCKFILE_EXCLUSIVE_LOCK | win32con.LOCKFILE_FAIL_IMMEDIATELY
    win32file.LockFileEx(mine, flags, 20, 0, place)
    with pytest.raises(win32file.error) as caught:
        win32file.LockFileEx(other, flags, 20, 0, pywintypes.OVERLAPPED())
    assert caught.value.args[:2] == (winerror.ERROR_LOCK_VIOLATION, "LockFileEx")
    with pytest.raises(win32file.error) as caught:
        win32file.LockFile(other, 29, 0, 1, 0)
    assert caught.value.args[:2] == (winerror.ERROR_LOCK_VIOLATION, "LockFile")
    win32file.LockFile(other, 30, 0, 1, 0)
    win32file.UnlockFile(other, 30, 0, 1, 0)
    win32file.UnlockFileEx(mine, 20, 0, place)
    with pytest.raises(win32file.error) as caught:
        win32file.UnlockFileEx(mine, 20, 0, place)
    assert caught.value.args[:2] == (winerror.ERROR_NOT_LOCKED, "UnlockFileEx")


def test_devices_have_no_control_codes(tmp_path: Path) -> None:
    with opened(tmp_path / "data", READ, win32con.OPEN_ALWAYS) as file:
        for output in (None, 16, bytearray(16)):
            with pytest.raises(win32file.error) as caught:
                win32file.DeviceIoControl(file, 0x9009C, None, output)
            assert caught.value.args[:2] == (winerror.ERROR_INVALID_FUNCTION, "DeviceIoControl")


def test_cancelling_nothing_is_no_error(tmp_path: Path) -> None:
    with opened(tmp_path / "data", READ, win32con.OPEN_ALWAYS, OVERLAPPED) as file:
        win32file.CancelIo(file)
    with pytest.raises(win32file.error) as caught:
        win32file.CancelIo(12344)
    assert caught.value.args[:2] == (6, "CancelIo")


# -- directories -----------------------------------------------------------------------------------------------------


def watched(path: Path) -> pywintypes.HANDLEType:
    flags = win32con.FILE_FLAG_BACKUP_SEMANTICS | OVERLAPPED
    return win32file.CreateFile(
        str(path),
        ntsecuritycon.FILE_LIST_DIRECTORY,
        win32con.FILE_SHARE_READ | win32con.FILE_SHARE_WRITE,
        None,
        win32con.OPEN_EXISTING,
        flags,
        None,
    )


def test_directory_changes_arrive_by_event(tmp_path: Path) -> None:
    directory = watched(tmp_path)
    overlapped = pywintypes.OVERLAPPED()
    overlapped.hEvent = win32event.CreateEvent(None, False, False, None)
    buffer = win32file.AllocateReadBuffer(8192)
    filters = win32con.FILE_NOTIFY_CHANGE_FILE_NAME
    assert win32file.ReadDirectoryChangesW(directory, buffer, False, filters, overlapped) is None
    (tmp_path / "x").touch()
    assert win32event.WaitForSingleObject(overlapped.hEvent, win32event.INFINITE) == win32event.WAIT_OBJECT_0
    count = win32file.GetOverlappedResult(directory, overlapped, True)
    assert win32file.FILE_NOTIFY_INFORMATION(buffer, count) == [(1, "x")]


def test_directory_changes_arrive_at_a_port_and_end_with_the_handle(tmp_path: Path) -> None:
    directory = watched(tmp_path)
    port = win32file.CreateIoCompletionPort(directory, None, 3, 0)
    overlapped = pywintypes.OVERLAPPED()
    overlapped.object = win32file.AllocateReadBuffer(4096)
    filters = win32con.FILE_NOTIFY_CHANGE_DIR_NAME | win32con.FILE_NOTIFY_CHANGE_FILE_NAME
    win32file.ReadDirectoryChangesW(directory, overlapped.object, True, filters, overlapped)
    (tmp_path / "Verzeichnis").mkdir()
    rc, count, key, same = win32file.GetQueuedCompletionStatus(port, -1)
    assert (rc, key, same is overlapped) == (0, 3, True)
    assert win32file.FILE_NOTIFY_INFORMATION(overlapped.object, count) == [(1, "Verzeichnis")]
    win32file.ReadDirectoryChangesW(directory, overlapped.object, True, filters, overlapped)
    directory.Close()
    rc, count, _, same = win32file.GetQueuedCompletionStatus(port, -1)
    assert same is overlapped
    assert count == 0
    assert win32file.FILE_NOTIFY_INFORMATION(overlapped.object, count) == []


def test_decoding_of_changes() -> None:
    def record(step: int, action: int, name: str) -> bytes:
        text = name.encode("utf-16-le")
        return struct.pack("<III", step, action, len(text)) + text

    first = record(16, 3, "ab")
    assert len(first) == 16
    both = first + record(0, 2, "\U0001f600")
    assert win32file.FILE_NOTIFY_INFORMATION(both, len(both)) == [(3, "ab"), (2, "\U0001f600")]
    assert win32file.FILE_NOTIFY_INFORMATION(both, 0) == []
    with pytest.raises(ValueError, match="only 32 bytes long, but 33"):
        win32file.FILE_NOTIFY_INFORMATION(both, 33)
    with pytest.raises(RuntimeError, match="running off"):
        win32file.FILE_NOTIFY_INFORMATION(first, 16)


def test_watching_what_is_no_directory(tmp_path: Path) -> None:
    with opened(tmp_path / "data", READ, win32con.OPEN_ALWAYS) as file, pytest.raises(win32file.error) as caught:
        win32file.ReadDirectoryChangesW(file, 100, False, 1)
    assert caught.value.args[:2] == (winerror.ERROR_INVALID_PARAMETER, "ReadDirectoryChangesW")
    directory = watched(tmp_path)
    with pytest.raises(ValueError, match="must be None"):
        win32file.ReadDirectoryChangesW(directory, 100, False, 1, None, print)
    with pytest.raises(TypeError):
        win32file.ReadDirectoryChangesW(directory, "buffer", False, 1)


def test_change_notifications_are_waited_for_again_and_again(tmp_path: Path) -> None:
    handle = win32api.FindFirstChangeNotification(str(tmp_path), False, win32con.FILE_NOTIFY_CHANGE_FILE_NAME)
    assert win32event.WaitForSingleObject(handle, 0) == win32event.WAIT_TIMEOUT
    for name in ("a", "b"):
        (tmp_path / name).touch()
        assert win32event.WaitForSingleObject(handle, win32event.INFINITE) == win32event.WAIT_OBJECT_0
        win32file.FindNextChangeNotification(handle)
        assert win32event.WaitForSingleObject(handle, 0) == win32event.WAIT_TIMEOUT
    win32file.FindCloseChangeNotification(handle)
    with pytest.raises(win32file.error) as caught:
        win32file.FindNextChangeNotification(handle)
    assert caught.value.args[:2] == (6, "FindNextChangeNotification")
    with pytest.raises(win32file.error) as caught:
        win32file.FindFirstChangeNotification(str(tmp_path / "none"), False, 1)
    assert caught.value.args[:2] == (2, "FindFirstChangeNotification")
    with pytest.raises(win32file.error) as caught:
        win32file.FindFirstChangeNotification(str(tmp_path), False, 0)
    assert caught.value.args[:2] == (87, "FindFirstChangeNotification")


def test_names_are_made_and_deleted(tmp_path: Path) -> None:
    name = str(tmp_path / "new")
    win32file.CreateDirectory(name, None)
    with pytest.raises(win32file.error) as caught:
        win32file.CreateDirectoryW(name, None)
    assert caught.value.args[:2] == (183, "CreateDirectoryW")
    win32file.RemoveDirectory(name)
    (tmp_path / "file").touch()
    win32file.DeleteFile(str(tmp_path / "file"))
    with pytest.raises(win32file.error) as caught:
        win32api.DeleteFile(str(tmp_path / "file"))
    assert caught.value.args[:2] == (2, "DeleteFile")
