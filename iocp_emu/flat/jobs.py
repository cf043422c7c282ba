"""Win32 calls on processes and jobs.  Processes are real children of this one.

Rules of this file: X-04 (job messages), H-02 (a job refers to its port).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .. import status
from ..kernel.completion import IoCompletion
from ..kernel.jobs import Job, Process
from ..kernel.objects import NtError
from ..runtime.processes import ChildProcess, start_process
from .constants import (
    CREATE_SUSPENDED,
    IO_COMPLETION_MODIFY_STATE,
    JOB_OBJECT_ASSIGN_PROCESS,
    JOB_OBJECT_SET_ATTRIBUTES,
    JOB_OBJECT_TERMINATE,
    NULL,
    PROCESS_QUERY_INFORMATION,
    PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SET_QUOTA,
    PROCESS_TERMINATE,
    STILL_ACTIVE,
)
from .support import (
    UNTOUCHED,
    Caller,
    Handle,
    Untouched,
    caller,
    dword,
    handle_value,
    pointer_value,
    reports,
    set_last_error,
)
from .sync import create_object


class CreatedProcess(NamedTuple):
    """What `CreateProcessW` returns: the fields of PROCESS_INFORMATION."""

    ret: bool
    hProcess: int | Untouched
    hThread: int | Untouched
    dwProcessId: int | Untouched
    dwThreadId: int | Untouched


class ExitCode(NamedTuple):
    """What `GetExitCodeProcess` returns."""

    ret: bool
    lpExitCode: int | Untouched


# -- processes ---------------------------------------------------------------------------------------------------


@reports(CreatedProcess(False, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED))
def CreateProcessW(
    lpApplicationName: str | None,
    lpCommandLine: str | Sequence[str] | None,
    dwCreationFlags: int = 0,
    lpEnvironment: Mapping[str, str] | None = None,
    lpCurrentDirectory: str | None = None,
) -> CreatedProcess:
    """Start a child process of the host; handles and ids of it and of its main thread.

    `lpCommandLine`: the program and its arguments, as a sequence or as one string in shell quoting;
    `lpApplicationName`: the program to run instead of its first word.  `dwCreationFlags`: CREATE_SUSPENDED (4) starts
    it stopped, until `ResumeThread`; other flags mean nothing here.  `dwThreadId` is the process id, as the host counts
    main threads.  Blocks until the host has started it.
    FALSE: 2 no such program, 50 CREATE_SUSPENDED where the host has no way to stop a process, other host errors.
    """
    words = shlex.split(lpCommandLine) if isinstance(lpCommandLine, str) else list(lpCommandLine or ())
    if lpApplicationName is not None:
        words = [lpApplicationName, *words[1:]]
    me = caller()
    process = start_process(
        me.system,
        words,
        suspended=bool(dwCreationFlags & CREATE_SUSPENDED),
        environment=lpEnvironment,
        directory=lpCurrentDirectory,
    )
    handle, thread_handle = me.perform(_open_child, me, process)
    return CreatedProcess(True, handle, thread_handle, process.pid, process.pid)


def _open_child(me: Caller, process: ChildProcess) -> tuple[int, int]:
    handles = me.open(process), me.open(process.main_thread)
    process.main_thread.dereference()
    process.dereference()
    return handles


@reports(False)
def TerminateProcess(hProcess: Handle, uExitCode: int) -> bool:
    """End a child process with the 32-bit `uExitCode`, which is what everybody is told then.

    Its handle is signalled and its job told when it has really ended, soon.  FALSE: 5 when it has ended or is about to,
    or without the right; 50 for this process itself; 6.  Never blocks.
    """
    me = caller()
    code = dword(uExitCode)
    me.perform(lambda: terminate(me, me.lookup(hProcess, Process, PROCESS_TERMINATE), code))
    return True


def terminate(me: Caller, process: Process, exit_code: int) -> None:
    """End one process: a child through the host, a simulated one in the kernel; never the one that Python runs in."""
    if process is me.system.process:
        raise NtError(status.STATUS_NOT_SUPPORTED)
    if isinstance(process, ChildProcess):
        process.terminate(exit_code)
    else:
        process.exit(exit_code)


@reports(ExitCode(False, UNTOUCHED))
def GetExitCodeProcess(hProcess: Handle) -> ExitCode:
    """The exit code of a process; STILL_ACTIVE 259 while it lives.  FALSE: 6, 5.  Never blocks; O(1)."""
    me = caller()
    rights = PROCESS_QUERY_INFORMATION | PROCESS_QUERY_LIMITED_INFORMATION
    process = me.perform(_lookup_process, me, hProcess, rights)
    return ExitCode(True, STILL_ACTIVE if process.exit_code is None else process.exit_code)


def _lookup_process(me: Caller, handle: Handle, any_of: int) -> Process:
    return me.lookup_any(handle, Process, any_of)


# -- jobs --------------------------------------------------------------------------------------------------------


@reports(NULL)
def CreateJobObjectW(*, lpName: str | None = None) -> int:
    """A handle of a job without processes, or of the existing one of that name (183).

    The last error becomes 0 for a new one.  NULL: 6 when the name belongs to another type of object.
    """
    handle = create_object(lpName, Job, lambda me: me.system.kernel.create_job())
    if not lpName:
        set_last_error(status.ERROR_SUCCESS)
    return handle


@reports(False)
def SetInformationJobObject(hJob: Handle, CompletionKey: int, CompletionPort: Handle) -> bool:
    """Send the job's messages to a port, with `CompletionKey` (64 bits), or to nobody when it is NULL (X-04).

    Processes that the job has already are announced at once.  A message is a packet: its number in the byte count, the
    process id, or None, in lpOverlapped.  FALSE: 87 when the job has a port, or NULL before Windows 8; 6; 5.
    """
    me = caller()
    key = pointer_value(CompletionKey)
    me.perform(_set_job_port, me, hJob, key, CompletionPort)
    return True


def _set_job_port(me: Caller, job: Handle, key: int, port: Handle) -> None:
    target = me.lookup(job, Job, JOB_OBJECT_SET_ATTRIBUTES)
    if handle_value(port):
        target.set_port(me.lookup(port, IoCompletion, IO_COMPLETION_MODIFY_STATE), key)
    else:
        target.set_port(None, 0)


@reports(False)
def AssignProcessToJobObject(hJob: Handle, hProcess: Handle) -> bool:
    """Put a process into a job (X-04).  FALSE: 5 when it has ended or is in it already, or without the right; 6."""
    me = caller()
    me.perform(
        lambda: me.lookup(hJob, Job, JOB_OBJECT_ASSIGN_PROCESS).assign(
            me.lookup(hProcess, Process, PROCESS_SET_QUOTA | PROCESS_TERMINATE)
        )
    )
    return True


@reports(False)
def TerminateJobObject(hJob: Handle, uExitCode: int) -> bool:
    """End every process of a job, oldest first, with the 32-bit `uExitCode`.

    FALSE: 50 when this process is in it, and then nothing is ended; 6; 5.  Never blocks; O(processes).
    """
    me = caller()
    code = dword(uExitCode)
    me.perform(_terminate_job, me, hJob, code)
    return True


def _terminate_job(me: Caller, handle: Handle, exit_code: int) -> None:
    job = me.lookup(handle, Job, JOB_OBJECT_TERMINATE)
    if me.system.process in job.processes:
        raise NtError(status.STATUS_NOT_SUPPORTED)
    for process in list(job.processes):
        if isinstance(process, ChildProcess) and process.is_ending:
            continue
        terminate(me, process, exit_code)
