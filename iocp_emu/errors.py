"""The exceptions that leave the Python faces: OSErrors that carry a Win32 or Winsock code, and their texts.

An exception's class is the built-in that Python chooses for the host's errno of its code, so handlers written for any
system work: `except FileNotFoundError`, `error.errno == errno.ECONNRESET`.

Rules of this file: clients.md 1 (classes, `args`, text). It imports nothing of the package but the codes.
"""

from __future__ import annotations

from typing import Any, Final

from .status import (
    ERROR_ABANDONED_WAIT_0,
    ERROR_ACCESS_DENIED,
    ERROR_ALREADY_EXISTS,
    ERROR_BROKEN_PIPE,
    ERROR_CONNECTION_ABORTED,
    ERROR_CONNECTION_REFUSED,
    ERROR_DIR_NOT_EMPTY,
    ERROR_DIRECTORY,
    ERROR_FILE_NOT_FOUND,
    ERROR_GEN_FAILURE,
    ERROR_HANDLE_EOF,
    ERROR_INVALID_FUNCTION,
    ERROR_INVALID_HANDLE,
    ERROR_INVALID_PARAMETER,
    ERROR_IO_DEVICE,
    ERROR_IO_INCOMPLETE,
    ERROR_IO_PENDING,
    ERROR_NETNAME_DELETED,
    ERROR_NO_DATA,
    ERROR_NOACCESS,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    ERROR_OPERATION_ABORTED,
    ERROR_PATH_NOT_FOUND,
    ERROR_PIPE_BUSY,
    ERROR_PIPE_NOT_CONNECTED,
    ERROR_SEM_TIMEOUT,
    ERROR_SHARING_VIOLATION,
    WAIT_TIMEOUT,
    WSAECONNABORTED,
    WSAECONNREFUSED,
    WSAECONNRESET,
    WSAEINVAL,
    WSAENOTSOCK,
    WSAETIMEDOUT,
    error_name,
    error_to_errno,
)

# The texts that programs compare or users know, as Windows has them without the full stop (it has none for
# 735). A code with a name but without a text here gets the name for a text.
_MESSAGES: Final[dict[int, str]] = {
    ERROR_INVALID_FUNCTION: "Incorrect function",
    ERROR_FILE_NOT_FOUND: "The system cannot find the file specified",
    ERROR_PATH_NOT_FOUND: "The system cannot find the path specified",
    ERROR_ACCESS_DENIED: "Access is denied",
    ERROR_INVALID_HANDLE: "The handle is invalid",
    ERROR_GEN_FAILURE: "A device attached to the system is not functioning",
    ERROR_SHARING_VIOLATION: "The process cannot access the file because it is being used by another process",
    ERROR_HANDLE_EOF: "Reached the end of the file",
    ERROR_NOT_SUPPORTED: "The request is not supported",
    ERROR_NETNAME_DELETED: "The specified network name is no longer available",
    ERROR_INVALID_PARAMETER: "The parameter is incorrect",
    ERROR_BROKEN_PIPE: "The pipe has been ended",
    ERROR_SEM_TIMEOUT: "The semaphore timeout period has expired",
    ERROR_DIR_NOT_EMPTY: "The directory is not empty",
    ERROR_ALREADY_EXISTS: "Cannot create a file when that file already exists",
    ERROR_PIPE_BUSY: "All pipe instances are busy",
    ERROR_NO_DATA: "The pipe is being closed",
    ERROR_PIPE_NOT_CONNECTED: "No process is on the other end of the pipe",
    WAIT_TIMEOUT: "The wait operation timed out",
    ERROR_DIRECTORY: "The directory name is invalid",
    ERROR_ABANDONED_WAIT_0: "The port was closed during the wait",
    ERROR_OPERATION_ABORTED: (
        "The I/O operation has been aborted because of either a thread exit or an application request"
    ),
    ERROR_IO_INCOMPLETE: "Overlapped I/O event is not in a signaled state",
    ERROR_IO_PENDING: "Overlapped I/O operation is in progress",
    ERROR_NOACCESS: "Invalid access to memory location",
    ERROR_IO_DEVICE: "The request could not be performed because of an I/O device error",
    ERROR_NOT_FOUND: "Element not found",
    ERROR_CONNECTION_REFUSED: "The remote computer refused the network connection",
    ERROR_CONNECTION_ABORTED: "The network connection was aborted by the local system",
    WSAEINVAL: "An invalid argument was supplied",
    WSAENOTSOCK: "An operation was attempted on something that is not a socket",
    WSAECONNABORTED: "An established connection was aborted by the software in your host machine",
    WSAECONNRESET: "An existing connection was forcibly closed by the remote host",
    WSAETIMEDOUT: "A connection attempt or an established connection timed out",
    WSAECONNREFUSED: "No connection could be made because the target machine actively refused it",
}


def error_message(code: int) -> str:
    """One line of text for a Win32 or Winsock code, without a full stop; `Unknown error` for a stranger."""
    if code in _MESSAGES:
        return _MESSAGES[code]
    name = error_name(code)
    if name.isdigit():
        return "Unknown error"
    name = name.removeprefix("ERROR_")
    return f"Winsock error {name}" if name.startswith("WSA") else name.replace("_", " ").capitalize()


class Win32Error(OSError):
    """An OSError that carries a Win32 or Winsock code; `win32_error` chooses the right class.

    `winerror` is the code, `errno` what this host calls it, `strerror` the text; `filename` and `filename2` are
    what the call was about, or None; `args` is (errno, strerror).

    >>> str(Win32Error(ERROR_INVALID_HANDLE)), str(Win32Error(ERROR_ACCESS_DENIED, "a", "b"))
    ('[WinError 6] The handle is invalid', "[WinError 5] Access is denied: 'a' -> 'b'")
    """

    # On Windows OSError has a member of this name, which errno would follow. This one hides it.
    __slots__ = ("winerror",)
    winerror: int

    def __init__(self, winerror: int, filename: object = None, filename2: object = None) -> None:
        super().__init__(error_to_errno(winerror), error_message(winerror))
        self.winerror = winerror
        self.filename = filename
        self.filename2 = filename2

    def __str__(self) -> str:
        about = " -> ".join(repr(name) for name in (self.filename, self.filename2) if name is not None)
        return f"[WinError {self.winerror}] {self.strerror}" + (about and f": {about}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.winerror, self.filename, self.filename2), self.__dict__


class PortClosed(Win32Error):
    """The port was closed while the caller waited (735, O-21), or before the call (6, O-23)."""

    def __init__(self, winerror: int = ERROR_ABANDONED_WAIT_0, *about: object) -> None:
        super().__init__(winerror, *about)


class WaitTimeout(Win32Error, TimeoutError):
    """Time ran out (258, 10060)."""


class Win32FileNotFoundError(Win32Error, FileNotFoundError):
    """No such file, path or pipe (2, 3)."""


class Win32FileExistsError(Win32Error, FileExistsError):
    """The name is taken (80, 183)."""


class Win32NotADirectoryError(Win32Error, NotADirectoryError):
    """A directory was expected (267)."""


class Win32PermissionError(Win32Error, PermissionError):
    """Access is denied, or somebody else uses or has locked the file (5, 32, 33, 10013)."""


class Win32BrokenPipeError(Win32Error, BrokenPipeError):
    """The other end is gone, or the socket is shut down (109, 232, 10058)."""


class Win32ConnectionResetError(Win32Error, ConnectionResetError):
    """The peer reset the connection (10054)."""


class Win32ConnectionAbortedError(Win32Error, ConnectionAbortedError):
    """This side gave the connection up (1236, 10053)."""


class Win32ConnectionRefusedError(Win32Error, ConnectionRefusedError):
    """Nobody listens there (1225, 1234, 10061)."""


class Win32InterruptedError(Win32Error, InterruptedError):
    """A blocking call was cancelled (10004)."""


class Win32BlockingIOError(Win32Error, BlockingIOError):
    """The operation would have to wait, or already runs (21, 10035 to 10037)."""


_CLASSES: Final = {cls.__bases__[1]: cls for cls in Win32Error.__subclasses__() if cls.__bases__[1:]}
# asyncio expects plain OSErrors for these and tells them apart by number.
_PLAIN: Final = frozenset({ERROR_NETNAME_DELETED, ERROR_SEM_TIMEOUT})


def win32_error(code: int, filename: object = None, filename2: object = None) -> Win32Error:
    """The exception for a Win32 or Winsock code, for the caller to raise or to hand out.

    `filename` and `filename2` say what the call was about. Code 6 gives a plain error: only a port knows when
    it means PortClosed.

    >>> win32_error(ERROR_FILE_NOT_FOUND, "data.bin")
    Win32FileNotFoundError(2, 'The system cannot find the file specified')
    """
    if code == ERROR_ABANDONED_WAIT_0:
        return PortClosed(code, filename, filename2)
    builtin = OSError if code in _PLAIN else type(OSError(error_to_errno(code), ""))
    return _CLASSES.get(builtin, Win32Error)(code, filename, filename2)
