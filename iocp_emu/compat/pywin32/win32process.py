"""`win32process`: child processes and threads."""

# ruff: noqa: PLC0414 -- the aliases say that these names are exported

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import pick as _pick
from .errors import error as error
from .processes import STARTUPINFO as STARTUPINFO
from .processes import CreateProcess as CreateProcess
from .processes import GetCurrentProcessId as GetCurrentProcessId
from .processes import GetExitCodeProcess as GetExitCodeProcess
from .processes import GetProcessId as GetProcessId
from .processes import TerminateProcess as TerminateProcess
from .threads import GetCurrentProcess as GetCurrentProcess
from .threads import GetExitCodeThread as GetExitCodeThread
from .threads import ResumeThread as ResumeThread
from .threads import SuspendThread as SuspendThread
from .threads import beginthreadex as beginthreadex

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


globals().update(
    _pick(
        """
        CREATE_SUSPENDED CREATE_NEW_CONSOLE CREATE_NEW_PROCESS_GROUP CREATE_UNICODE_ENVIRONMENT CREATE_NO_WINDOW
        CREATE_BREAKAWAY_FROM_JOB CREATE_DEFAULT_ERROR_MODE DEBUG_PROCESS DEBUG_ONLY_THIS_PROCESS DETACHED_PROCESS
        NORMAL_PRIORITY_CLASS IDLE_PRIORITY_CLASS HIGH_PRIORITY_CLASS REALTIME_PRIORITY_CLASS
        STARTF_USESHOWWINDOW STARTF_USESIZE STARTF_USEPOSITION STARTF_USESTDHANDLES
        """
    )
)
