"""pywin32's calls on processes and jobs.

Rules of this file: those of `flat.jobs`; X-04 (job messages).

Own rules.  A process gets the standard streams of the host; others are refused with 50.  Limits of a job are refused
with 50, since nothing would keep them.  The port of a job, for which pywin32 has no shape, is set as information of
class 7, with a CompletionKey and a CompletionPort.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ... import status, win32
from ...flat.support import caller, reports
from ...kernel.jobs import Job, Process
from ..whole_calls import make_whole
from . import naming
from .arguments import c_long, dword, handle_of, name_of, pointer
from .commandline import split_command_line
from .constants import pick
from .errors import api_error, require
from .handles import PyHANDLE, new_handle
from .security import check_attributes

STARTF_USESTDHANDLES = 0x0100

_CLASSES = pick(
    "JobObjectBasicLimitInformation JobObjectBasicProcessIdList JobObjectAssociateCompletionPortInformation"
)
LIMITS = _CLASSES["JobObjectBasicLimitInformation"]
PROCESS_IDS = _CLASSES["JobObjectBasicProcessIdList"]
PORT = _CLASSES["JobObjectAssociateCompletionPortInformation"]

NO_LIMITS = dict.fromkeys(
    (
        "PerProcessUserTimeLimit", "PerJobUserTimeLimit", "LimitFlags", "MinimumWorkingSetSize",
        "MaximumWorkingSetSize", "ActiveProcessLimit", "Affinity", "PriorityClass", "SchedulingClass",
    ),
    0,
)


class Membership(NamedTuple):
    """Whether there is an answer, and the answer."""

    ret: bool
    is_in_job: bool


class Members(NamedTuple):
    """Whether there is an answer, and the process numbers."""

    ret: bool
    ids: tuple[int, ...]


class PySTARTUPINFO:
    """Made by `STARTUPINFO()`: how a process starts.  Windows, desktops and positions mean nothing here."""

    def __init__(self) -> None:
        self.dwX = self.dwY = self.dwXSize = self.dwYSize = self.dwXCountChars = self.dwYCountChars = 0
        self.dwFillAttribute = self.dwFlags = self.wShowWindow = 0
        self.hStdInput: Any = None
        self.hStdOutput: Any = None
        self.hStdError: Any = None
        self.lpDesktop: str | None = None
        self.lpTitle: str | None = None


def STARTUPINFO() -> PySTARTUPINFO:
    """A new STARTUPINFO without anything special."""
    return PySTARTUPINFO()


def CreateProcess(
    appName: str | None,
    commandLine: str | None,
    processAttributes: Any,
    threadAttributes: Any,
    bInheritHandles: Any,
    dwCreationFlags: Any,
    newEnvironment: Mapping[str, str] | None,
    currentDirectory: str | None,
    startupinfo: PySTARTUPINFO,
    /,
) -> tuple[PyHANDLE, PyHANDLE, int, int]:
    """Start a child process: (its handle, its main thread's, its number, its main thread's).

    The command line is split as Windows programs split it.  `dwCreationFlags`: CREATE_SUSPENDED (4) counts.  Blocks
    until the host has started it.  Raises `error` 2, 50, host errors.
    """
    check_attributes(processAttributes)
    check_attributes(threadAttributes)
    c_long(bInheritHandles)
    flags = dword(dwCreationFlags)
    if not isinstance(startupinfo, PySTARTUPINFO):
        raise TypeError("The object is not a PySTARTUPINFO object")
    if startupinfo.dwFlags & STARTF_USESTDHANDLES:
        raise api_error("CreateProcess", status.ERROR_NOT_SUPPORTED)
    words = split_command_line(name_of(commandLine) or "")
    made = win32.CreateProcessW(name_of(appName), words, flags, newEnvironment, name_of(currentDirectory))
    require("CreateProcess", made.ret)
    assert isinstance(made.hProcess, int) and isinstance(made.hThread, int)
    assert isinstance(made.dwProcessId, int) and isinstance(made.dwThreadId, int)
    return PyHANDLE(made.hProcess), PyHANDLE(made.hThread), made.dwProcessId, made.dwThreadId


def OpenProcess(reqdAccess: Any, bInherit: Any, pid: Any, /) -> PyHANDLE:
    """A handle of this process or of a child of it that lives.  Never blocks.  Raises `error` 87."""
    c_long(bInherit)
    return new_handle("OpenProcess", naming.open_process(dword(reqdAccess), dword(pid)))


def TerminateProcess(handle: Any, exitCode: Any, /) -> None:
    """End a child process, soon.  Never blocks.  Raises `error` 5, 50, 6."""
    require("TerminateProcess", win32.TerminateProcess(handle_of(handle), dword(exitCode)))


def GetExitCodeProcess(handle: Any, /) -> int:
    """The exit code, 259 while the process lives.  Never blocks.  Raises `error` 6, 5."""
    result = win32.GetExitCodeProcess(handle_of(handle))
    require("GetExitCodeProcess", result.ret)
    assert isinstance(result.lpExitCode, int)
    return result.lpExitCode


def GetProcessId(Process: Any, /) -> int:
    """The number of a process.  Never blocks.  Raises `error` 6."""
    number = _process_id(handle_of(Process))
    require("GetProcessId", number)
    return number


@reports(0)
def _process_id(handle: int) -> int:
    me = caller()
    return me.perform(me.lookup, handle, Process).pid


def GetCurrentProcessId() -> int:
    """The number of this process."""
    return os.getpid()


# -- jobs ----------------------------------------------------------------------------------------------------------


def CreateJobObject(jobAttributes: Any, name: str | None, /) -> PyHANDLE:
    """A job without processes, or the existing one of that name (183).  Never blocks.  Raises `error` 6."""
    check_attributes(jobAttributes)
    return new_handle("CreateJobObject", win32.CreateJobObjectW(lpName=name_of(name)))


def OpenJobObject(desiredAccess: Any, inheritHandles: Any, name: str, /) -> PyHANDLE:
    """The existing job of that name.  Never blocks.  Raises `error` 2, 6."""
    c_long(inheritHandles)
    return new_handle("OpenJobObject", naming.open_by_name(Job, dword(desiredAccess), name))


def AssignProcessToJobObject(hJob: Any, hProcess: Any, /) -> None:
    """Put a process into a job.  Never blocks.  Raises `error` 5, 6."""
    require("AssignProcessToJobObject", win32.AssignProcessToJobObject(handle_of(hJob), handle_of(hProcess)))


def TerminateJobObject(hJob: Any, exitCode: Any, /) -> None:
    """End every process of a job, soon.  Never blocks.  Raises `error` 50, 5, 6."""
    require("TerminateJobObject", win32.TerminateJobObject(handle_of(hJob), dword(exitCode)))


def IsProcessInJob(hProcess: Any, hJob: Any, /) -> bool:
    """Whether a process is in the job, or with None in any.  Never blocks.  Raises `error` 6."""
    answer = _is_in_job(handle_of(hProcess), handle_of(hJob))
    require("IsProcessInJob", answer.ret)
    return answer.is_in_job


@reports(Membership(False, False))
def _is_in_job(process: int, job: int) -> Membership:
    me = caller()

    def step() -> bool:
        jobs = me.lookup(process, Process).jobs
        return me.lookup(job, Job) in jobs if job else bool(jobs)

    return Membership(True, me.perform(step))


def QueryInformationJobObject(Job: Any, JobObjectInfoClass: Any, /) -> Any:
    """What is known of a job: its process numbers (class 3), or its limits (2), which are none.

    `NotImplementedError` for any other class.  Never blocks; O(processes).  Raises `error` 6.
    """
    answer = _members(handle_of(Job))
    require("QueryInformationJobObject", answer.ret)
    wanted = dword(JobObjectInfoClass)
    if wanted == PROCESS_IDS:
        return answer.ids
    if wanted == LIMITS:
        return dict(NO_LIMITS)
    raise NotImplementedError(f"Job information class {wanted} is not supported yet")


@reports(Members(False, ()))
def _members(job: int) -> Members:
    me = caller()
    return Members(True, me.perform(lambda: tuple(process.pid for process in me.lookup(job, Job).processes)))


def SetInformationJobObject(Job: Any, JobObjectInfoClass: Any, JobObjectInfo: dict[str, Any], /) -> None:
    """Send the job's messages to a port (class 7; port None ends that), or set its limits to none (2).

    A message is a packet with its JOB_OBJECT_MSG number for a byte count and the process number for an OVERLAPPED.
    Never blocks.  Raises `error` 87 when the job has a port already, 50 for limits, 6; `NotImplementedError`.
    """
    job = handle_of(Job)
    wanted = dword(JobObjectInfoClass)
    if not isinstance(JobObjectInfo, dict):
        raise TypeError(f"SetInformationJobObject() argument 3 must be dict, not {type(JobObjectInfo).__name__}")
    if wanted == PORT:
        key, port = pointer(JobObjectInfo["CompletionKey"]), handle_of(JobObjectInfo["CompletionPort"])
        require("SetInformationJobObject", win32.SetInformationJobObject(job, key, port))
    elif wanted == LIMITS:
        if JobObjectInfo.get("LimitFlags"):
            raise api_error("SetInformationJobObject", status.ERROR_NOT_SUPPORTED)
    else:
        raise NotImplementedError(f"Job information class {wanted} is not supported yet")


make_whole(globals())
