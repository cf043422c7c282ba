"""pywin32's calls on the system itself: handles of any kind, the last error, time, and a few facts.

Rules of this file: those of `flat.handles`; Q-23 and Q-29 (sleeping).
"""

from __future__ import annotations

import getpass
import os
import socket
import tempfile
import time
from typing import Any

from ... import win32
from ...runtime.host import available_processors
from .arguments import c_long, dword, handle_of, signed_long
from .errors import NO_MESSAGE, require, text_of
from .handles import PyHANDLE

FORMAT_MESSAGE_FROM_STRING = 0x0400


def GetLastError() -> int:
    """The last error of the calling thread."""
    return signed_long(win32.GetLastError())


def SetLastError(code: Any, /) -> None:
    """Set the last error of the calling thread."""
    win32.SetLastError(dword(code))


def DuplicateHandle(
    hSourceProcess: Any,
    hSource: Any,
    hTargetProcessHandle: Any,
    desiredAccess: Any,
    bInheritHandle: Any,
    options: Any,
    /,
) -> PyHANDLE:
    """A second handle of the same object: one association, one queue.  Never blocks.  Raises `error` 6, 5."""
    access, how = c_long(desiredAccess), c_long(options)
    c_long(bInheritHandle)
    made = win32.DuplicateHandle(
        handle_of(hSource),
        access,
        how,
        hSourceProcessHandle=handle_of(hSourceProcess),
        hTargetProcessHandle=handle_of(hTargetProcessHandle),
    )
    require("DuplicateHandle", made.ret)
    return PyHANDLE(made.lpTargetHandle)


def Sleep(time: Any, bAlterable: Any = 0, /) -> int:
    """Sleep `time` ms; 0, or 192 when user APCs ran (only if alertable).  Blocks, visibly (Q-23)."""
    return win32.SleepEx(c_long(time), c_long(bAlterable))


def FormatMessage(*arguments: Any) -> str:
    """The system's text for an error code, with a line's end; without an argument for the last error.

    With the six arguments of the Windows call (flags, source, message, language, inserts), the text of the message, or
    the source itself with its inserts when it is a string.  Raises `error` 317 for a stranger.
    """
    if len(arguments) <= 1:
        code = dword(arguments[0]) if arguments else 0
        return _with_end(text_of(code or win32.GetLastError()) or NO_MESSAGE)
    flags, source, message, _language, inserts = arguments
    if dword(flags) & FORMAT_MESSAGE_FROM_STRING:
        text = str(source)
        for number, each in enumerate(inserts or (), 1):
            text = text.replace(f"%{number}", str(each))
        return text
    text_found = text_of(dword(message))
    if text_found is None:
        win32.SetLastError(317)
    require("FormatMessageW", text_found is not None)
    return _with_end(text_found or NO_MESSAGE)


FormatMessageW = FormatMessage


def _with_end(text: str) -> str:
    return text + "\r\n" if text != NO_MESSAGE else text


def GetTickCount() -> int:
    """Milliseconds of a clock that only goes forward; 32 bits, signed."""
    return signed_long(int(time.monotonic() * 1000))


def GetTempPath() -> str:
    """The directory for temporary files, with a separator at its end."""
    return os.path.join(tempfile.gettempdir(), "")


def GetFullPathName(fileName: str, /) -> str:
    """The absolute path."""
    return os.path.abspath(fileName)


def GetComputerName() -> str:
    """The name of the machine."""
    return socket.gethostname()


def GetUserName() -> str:
    """The name of the user."""
    return getpass.getuser()


def GetSystemInfo() -> tuple[int, int, int, int, int, int, int, int, tuple[int, int]]:
    """(architecture, page size, lowest and highest address, processor mask, processors, type, granularity, (0, 0))."""
    count = available_processors()
    return 9, 4096, 0x10000, 0x7FFFFFFEFFFF, (1 << count) - 1, count, 8664, 0x10000, (0, 0)
