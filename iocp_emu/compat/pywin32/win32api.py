"""`win32api`: handles of any kind, the last error, time, processes, and a few facts of the system."""

# ruff: noqa: PLC0414 -- the aliases say that these names are exported

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import pick as _pick
from .directories import DeleteFile as DeleteFile
from .directories import FindCloseChangeNotification as FindCloseChangeNotification
from .directories import FindFirstChangeNotification as FindFirstChangeNotification
from .directories import FindNextChangeNotification as FindNextChangeNotification
from .errors import error as error
from .handles import CloseHandle as CloseHandle
from .processes import GetCurrentProcessId as GetCurrentProcessId
from .processes import OpenProcess as OpenProcess
from .processes import TerminateProcess as TerminateProcess
from .system import DuplicateHandle as DuplicateHandle
from .system import FormatMessage as FormatMessage
from .system import FormatMessageW as FormatMessageW
from .system import GetComputerName as GetComputerName
from .system import GetFullPathName as GetFullPathName
from .system import GetLastError as GetLastError
from .system import GetSystemInfo as GetSystemInfo
from .system import GetTempPath as GetTempPath
from .system import GetTickCount as GetTickCount
from .system import GetUserName as GetUserName
from .system import SetLastError as SetLastError
from .system import Sleep as Sleep
from .threads import GetCurrentProcess as GetCurrentProcess
from .threads import GetCurrentThread as GetCurrentThread
from .threads import GetCurrentThreadId as GetCurrentThreadId

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


globals().update(_pick("STD_INPUT_HANDLE STD_OUTPUT_HANDLE STD_ERROR_HANDLE"))
