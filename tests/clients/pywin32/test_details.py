"""Corners of the pywin32 modules: command lines, facts of the system, addresses of IPv6, arguments that are wrong."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu.compat.pywin32 import (
    pywintypes,
    win32api,
    win32con,
    win32event,
    win32file,
    win32job,
    win32pipe,
    win32process,
    winerror,
)
from iocp_emu.compat.pywin32.commandline import split_command_line

PROGRAMS = st.text(st.characters(exclude_characters='"\x00', exclude_categories=["Cs"])).filter(
    lambda text: text.strip() == text != ""
)
ARGUMENTS = st.lists(st.text(st.sampled_from('ab \t"\\') | st.characters(exclude_categories=["Cs"])))


@given(PROGRAMS, ARGUMENTS)
def test_command_lines_are_split_as_programs_quote_them(program: str, arguments: list[str]) -> None:
    """The opposite of what `subprocess` does on Windows, for every program and all arguments."""
    line = " ".join([f'"{program}"', subprocess.list2cmdline(arguments)])
    assert split_command_line(line) == [program, *arguments]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  \t", []),
        ("program", ["program"]),
        (r"c:\a\b.exe \\server\share", [r"c:\a\b.exe", r"\\server\share"]),
        ('"c:\\a b\\c.exe"x y', ["c:\\a b\\c.exex", "y"]),
        ('p "a""b" c', ["p", 'a"b', "c"]),
        (r'p "a\\" b', ["p", "a\\", "b"]),
        (r'p a\"b "" "open', ["p", 'a"b', "", "open"]),
    ],
)
def test_command_lines_of_the_documentation(line: str, words: list[str]) -> None:
    assert split_command_line(line) == words


def test_facts_of_the_system() -> None:
    assert os.path.isdir(win32api.GetTempPath())
    assert win32api.GetTempPath().endswith(os.sep)
    assert win32api.GetFullPathName(".") == os.getcwd()
    assert win32api.GetComputerName() == socket.gethostname()
    assert win32api.GetCurrentThread() == -2
    assert win32api.GetUserName()


def test_formatting_messages() -> None:
    win32api.SetLastError(winerror.ERROR_ACCESS_DENIED)
    assert win32api.FormatMessage() == "Access is denied.\r\n"
    flags = win32con.FORMAT_MESSAGE_FROM_SYSTEM
    assert win32api.FormatMessageW(flags, None, 0, 0, None) == "The operation completed successfully.\r\n"
    from_string = win32con.FORMAT_MESSAGE_FROM_STRING
    assert win32api.FormatMessage(from_string, "%2 before %1", 0, 0, ("b", "a")) == "a before b"


def test_com_errors_have_names_too() -> None:
    error = pywintypes.com_error(1, "text", None, 3)
    assert (error.hresult, error.strerror, error.excepinfo, error.argerror) == (1, "text", None, 3)


def test_security_says_what_was_put_in() -> None:
    descriptor = pywintypes.SECURITY_DESCRIPTOR()
    assert isinstance(descriptor, pywintypes.SECURITY_DESCRIPTORType)
    descriptor.SetSecurityDescriptorDacl(True, "acl", True)
    assert descriptor.GetSecurityDescriptorDacl() == "acl"
    assert descriptor.GetSecurityDescriptorControl() == (0x000C, 1)
    assert descriptor.IsValid()
    attributes = pywintypes.SECURITY_ATTRIBUTES()
    attributes.SECURITY_DESCRIPTOR = descriptor
    attributes.Initialize()
    assert descriptor.GetSecurityDescriptorControl() == (0, 1)


@pytest.mark.skipif(not socket.has_ipv6, reason="the host has no IPv6")
def test_addresses_of_ipv6_are_not_decoded() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("the host has no IPv6 address")
    accepted = socket.socket(socket.AF_INET6)
    with listener, accepted:
        size = win32file.CalculateSocketEndPointSize(listener)
        assert size == 88
        buffer = win32file.AllocateReadBuffer(size)
        overlapped = pywintypes.OVERLAPPED()
        overlapped.hEvent = win32event.CreateEvent(None, True, False, None)
        win32file.AcceptEx(listener, accepted, buffer, overlapped)
        with socket.create_connection(listener.getsockname()[:2]) as client:
            assert win32file.GetOverlappedResult(listener.fileno(), overlapped, True) == 0
            family, local, remote = win32file.GetAcceptExSockaddrs(accepted, buffer)
            assert family == local[0] == remote[0] == 23
            assert len(local[1]) == len(remote[1]) == 14
            assert int.from_bytes(remote[1][:2], "big") == client.getsockname()[1]


def test_wrong_arguments_are_type_errors_before_anything_happens() -> None:
    event = win32event.CreateEvent(None, True, False, None)
    startup = win32process.STARTUPINFO()
    for call in (
        lambda: win32event.CreateEvent(None, True, False, 5),
        lambda: win32event.CreateEvent(None, "yes", False, None),
        lambda: win32event.OpenEvent(0, False, None),  # type: ignore[arg-type]
        lambda: win32event.WaitForMultipleObjects([event, "event"], False, 0),
        lambda: win32process.CreateProcess("a", None, None, None, 0, 0, None, None, None),  # type: ignore[arg-type]
        lambda: win32process.CreateProcess("a", None, 5, None, 0, 0, None, None, startup),
        lambda: win32process.beginthreadex(None, 0, print, [1], 0),  # type: ignore[arg-type]
        lambda: win32job.SetInformationJobObject(event, 2, None),  # type: ignore[arg-type]
        lambda: win32pipe.WaitNamedPipe(None, 0),  # type: ignore[arg-type]
        lambda: win32file.LockFileEx(event, 0, 1, 0, None),  # type: ignore[arg-type]
        lambda: win32file.UnlockFileEx(event, 1, 0, None),  # type: ignore[arg-type]
        lambda: win32file.DeviceIoControl(event, 1, None, "room"),
        lambda: win32file.CreateIoCompletionPort(1 << 64, None, 0, 0),
    ):
        with pytest.raises(TypeError):
            call()
    for unsupported in (
        lambda: win32file.CreateFileW("name", 0, 0, None, 3, 0, None, event),
        lambda: win32file.RemoveDirectory("name", event),
        lambda: win32file.DeleteFileW("name", event),
        lambda: win32job.SetInformationJobObject(win32job.CreateJobObject(None, None), 4, {}),
    ):
        with pytest.raises(NotImplementedError):
            unsupported()


def test_a_thread_that_cannot_be_stopped_is_refused() -> None:
    with pytest.raises(win32process.error) as caught:
        win32process.SuspendThread(12344)
    assert caught.value.args[:2] == (6, "SuspendThread")
    for call in (win32process.ResumeThread, win32process.GetExitCodeThread, win32process.GetProcessId):
        with pytest.raises(win32process.error) as caught:
            call(12344)
        assert caught.value.args[:2] == (6, call.__name__)


def test_collection_data_is_for_remote_pipes() -> None:
    reader, _ = win32pipe.CreatePipe(None, 0)
    with pytest.raises(win32pipe.error) as caught:
        win32pipe.GetNamedPipeHandleState(reader, True)
    assert caught.value.args[:2] == (87, "GetNamedPipeHandleState")


def test_types_of_files() -> None:
    event = win32event.CreateEvent(None, True, False, None)
    assert win32file.GetFileType(event) == win32file.FILE_TYPE_UNKNOWN
    assert win32api.GetLastError() == winerror.ERROR_INVALID_HANDLE
    with socket.socket() as host_socket:
        assert win32file.GetFileType(host_socket.fileno()) == win32file.FILE_TYPE_PIPE
