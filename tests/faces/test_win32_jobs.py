"""Child processes and jobs through the Win32 face, with real children."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocp_emu import status, win32
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.jobs import JobMessage
from iocp_emu.runtime.processes import exit_code_of
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, new_port, refused

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the children are those of a POSIX host")

FOREVER = win32.INFINITE
DEADLINE_MS = 60_000
SLEEPER = ("sleep", "60")


def start(*command: str, flags: int = 0) -> win32.CreatedProcess:
    """A child that must start."""
    created = win32.CreateProcessW(None, command or SLEEPER, flags)
    assert created.ret, status.error_name(win32.GetLastError())
    return created


def handle(value: object) -> int:
    """An output that must have been written."""
    assert isinstance(value, int)
    return value


@pytest.fixture
def job(machine: ThreadSystem) -> Iterator[tuple[int, int]]:
    """A job that tells a port with key 9, and the port; what is left in it is ended."""
    port, job = new_port(), win32.CreateJobObjectW()
    assert win32.GetLastError() == 0
    assert win32.SetInformationJobObject(job, 9, port)
    yield job, port
    win32.TerminateJobObject(job, 0)


def message(port: int, number: JobMessage, process_id: object) -> None:
    """The next message must be this one."""
    packet = win32.GetQueuedCompletionStatus(port, DEADLINE_MS)
    assert packet == (True, number, 9, process_id)


def exit_code(process: object) -> int:
    """The exit code of a process that has ended, once it has."""
    assert win32.WaitForSingleObject(handle(process), DEADLINE_MS) == 0
    code = win32.GetExitCodeProcess(handle(process))
    assert code.ret
    return handle(code.lpExitCode)


def test_a_child_runs_and_ends(machine: ThreadSystem, tmp_path: Path) -> None:
    """A child is a real process with a real id; its exit code is there when its handle is signalled."""
    marker = tmp_path / "marker"
    script = 'echo "$$ $PWD $HELLO" > marker; exit 7'
    environment = {"HELLO": "world", "PATH": os.environ["PATH"]}
    child = win32.CreateProcessW(None, f"sh -c '{script}'", 0, environment, str(tmp_path))
    assert exit_code(child.hProcess) == 7
    assert marker.read_text() == f"{child.dwProcessId} {tmp_path} world\n"
    assert child.dwThreadId == child.dwProcessId
    assert win32.WaitForSingleObject(handle(child.hThread), 0) == 0


def test_processes_that_do_not_start(machine: ThreadSystem) -> None:
    """2 for a program that is not there; nothing is left behind."""
    for application, command in ((None, "no-such-program --flag"), ("no-such-program", ["sh"]), (None, None)):
        created = win32.CreateProcessW(application, command)
        assert created == (False, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED)
        assert refused(machine, win32.CreateProcessW, application, command) == 2
    assert refused(machine, win32.CreateProcessW, None, "sh", 0, None, "no-such-directory") == 2


def test_a_host_that_refuses(machine: ThreadSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """87 for a null character; 1450 when the host starts no thread, and then the child is ended again."""
    assert refused(machine, win32.CreateProcessW, None, ["sh", "-c", "\0"]) == 87

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    for flags in (0, win32.CREATE_SUSPENDED):
        assert refused(machine, win32.CreateProcessW, None, SLEEPER, flags) == 1450


def test_terminating_decides_the_exit_code(machine: ThreadSystem) -> None:
    """The exit code is the given one, 32 bits of it; 259 while it lives; ending twice is 5."""
    child = start()
    process = handle(child.hProcess)
    assert win32.GetExitCodeProcess(process) == (True, win32.STILL_ACTIVE)
    assert win32.TerminateProcess(process, 0x1_89AB_CDEF)
    assert exit_code(process) == 0x89ABCDEF
    assert refused(machine, win32.TerminateProcess, process, 1) == 5
    assert refused(machine, win32.TerminateProcess, win32.GetCurrentProcess(), 1) == 50
    assert refused(machine, win32.TerminateProcess, BAD_HANDLE, 1) == 6
    assert win32.GetExitCodeProcess(win32.GetCurrentProcess()) == (True, win32.STILL_ACTIVE)
    waiter = win32.DuplicateHandle(process, win32.SYNCHRONIZE, 0).lpTargetHandle
    assert refused(machine, win32.GetExitCodeProcess, waiter) == 5


@pytest.mark.parametrize(
    ("number", "code"),
    [("SIGSEGV", 0xC0000005), ("SIGILL", 0xC000001D), ("SIGFPE", 0xC0000094), ("SIGINT", 0xC000013A), ("SIGKILL", 137)],
)
def test_fatal_signals_are_exceptions(number: str, code: int) -> None:
    """A fatal signal is the exception that it is on Windows, any other 128 plus its number."""
    assert exit_code_of(-getattr(signal, number)) == code


def test_x04_a_child_that_crashes(job: tuple[int, int]) -> None:
    """X-04: an end by an exception is ABNORMAL_EXIT_PROCESS; a child may report a 32-bit code of its own."""
    for script, code, number in (
        ("import os; os.kill(os.getpid(), 11)", 0xC0000005, JobMessage.ABNORMAL_EXIT_PROCESS),
        ("import os; os.write(int(os.environ['IOCP_EMU_EXIT_CODE_FD']), b'66051')", 66051, JobMessage.EXIT_PROCESS),
        ("import os; os.write(int(os.environ['IOCP_EMU_EXIT_CODE_FD']), b'what')", 0, JobMessage.EXIT_PROCESS),
    ):
        child = start(sys.executable, "-I", "-S", "-c", script, flags=win32.CREATE_SUSPENDED)
        assert win32.AssignProcessToJobObject(job[0], handle(child.hProcess))
        message(job[1], JobMessage.NEW_PROCESS, child.dwProcessId)
        assert win32.ResumeThread(handle(child.hThread)) == 1
        message(job[1], number, child.dwProcessId)
        message(job[1], JobMessage.ACTIVE_PROCESS_ZERO, None)
        assert exit_code(child.hProcess) == code


def test_q23_a_suspended_process_does_nothing(machine: ThreadSystem, tmp_path: Path) -> None:
    """CREATE_SUSPENDED: nothing of the program runs before ResumeThread; it can be stopped again."""
    marker = tmp_path / "marker"
    child = start("sh", "-c", f"echo > {marker}; exec sleep 60", flags=win32.CREATE_SUSPENDED)
    thread, process = handle(child.hThread), handle(child.hProcess)
    assert win32.WaitForSingleObject(process, 100) == win32.WAIT_TIMEOUT
    assert not marker.exists()
    assert win32.SuspendThread(thread) == 1
    assert [win32.ResumeThread(thread), win32.ResumeThread(thread), win32.ResumeThread(thread)] == [2, 1, 0]
    while not marker.exists():
        assert win32.WaitForSingleObject(process, 1) == win32.WAIT_TIMEOUT
    assert win32.SuspendThread(thread) == 0
    assert refused(machine, win32.QueueUserAPC, thread, 1, pfnAPC=print) == 50
    assert win32.TerminateProcess(process, 5)
    assert exit_code(process) == 5


def test_x04_jobs_announce_processes(job: tuple[int, int]) -> None:
    """X-04 (k32proc-job): NEW for those already there when the port is set, and for new ones; EXIT each, then ZERO."""
    _, port = job
    late = win32.CreateJobObjectW()
    first, second = start(), start()
    assert win32.AssignProcessToJobObject(late, handle(first.hProcess))
    assert win32.SetInformationJobObject(late, 9, port)
    message(port, JobMessage.NEW_PROCESS, first.dwProcessId)
    assert win32.AssignProcessToJobObject(late, handle(second.hProcess))
    message(port, JobMessage.NEW_PROCESS, second.dwProcessId)
    assert win32.TerminateProcess(handle(first.hProcess), 0)
    message(port, JobMessage.EXIT_PROCESS, first.dwProcessId)
    assert win32.TerminateProcess(handle(second.hProcess), 0xC0000005)
    message(port, JobMessage.ABNORMAL_EXIT_PROCESS, second.dwProcessId)
    message(port, JobMessage.ACTIVE_PROCESS_ZERO, None)


def test_x04_terminating_a_job(machine: ThreadSystem, job: tuple[int, int]) -> None:
    """Every process of a terminated job ends with its code; one that is ending already keeps its own."""
    children = [start() for _ in range(3)]
    for child in children:
        assert win32.AssignProcessToJobObject(job[0], handle(child.hProcess))
        message(job[1], JobMessage.NEW_PROCESS, child.dwProcessId)
    assert win32.TerminateProcess(handle(children[0].hProcess), 11)
    assert win32.TerminateJobObject(job[0], 22)
    assert [exit_code(child.hProcess) for child in children] == [11, 22, 22]
    batch = [win32.GetQueuedCompletionStatus(job[1], DEADLINE_MS) for _ in range(4)]
    ids: set[object] = {child.dwProcessId for child in children}
    assert {packet.lpOverlapped for packet in batch[:3]} == ids
    assert batch[3] == (True, JobMessage.ACTIVE_PROCESS_ZERO, 9, None)
    assert refused(machine, win32.AssignProcessToJobObject, job[0], children[0].hProcess) == 5


def test_refused_jobs(machine: ThreadSystem, job: tuple[int, int]) -> None:
    """87 for a second port; 6 and 5 for handles; 50 for ending the process that Python runs in."""
    port = new_port()
    assert refused(machine, win32.SetInformationJobObject, job[0], 1, port) == 87
    assert refused(machine, win32.SetInformationJobObject, port, 1, port) == 6
    assert refused(machine, win32.SetInformationJobObject, job[0], 1, job[0]) == 6
    assert refused(machine, win32.AssignProcessToJobObject, job[0], port) == 6
    assert refused(machine, win32.TerminateJobObject, BAD_HANDLE, 1) == 6
    weak = win32.DuplicateHandle(job[0], win32.SYNCHRONIZE, 0).lpTargetHandle
    assert refused(machine, win32.TerminateJobObject, weak, 1) == 5
    own = win32.CreateJobObjectW()
    assert win32.AssignProcessToJobObject(own, win32.GetCurrentProcess())
    assert refused(machine, win32.TerminateJobObject, own, 1) == 50
    assert win32.CreateJobObjectW(lpName="job")
    assert win32.CreateJobObjectW(lpName="job")
    assert win32.GetLastError() == 183


def test_h02_a_job_keeps_its_port(machine: ThreadSystem, job: tuple[int, int]) -> None:
    """H-02: the job refers to the port until it gives it up (NULL, Windows 8 and later)."""
    port = machine.process.handles.lookup(job[1], IoCompletion)
    assert port.references == 2
    assert win32.SetInformationJobObject(job[0], 0, None)
    assert port.references == 1


def test_simulated_processes_end_in_the_kernel(machine: ThreadSystem, job: tuple[int, int]) -> None:
    """A process without a real child behind it ends at once."""
    process = machine.perform(machine.kernel.create_process)
    opened = win32.handle_of(process)
    assert win32.AssignProcessToJobObject(job[0], opened)
    message(job[1], JobMessage.NEW_PROCESS, process.pid)
    assert win32.TerminateProcess(opened, 3)
    message(job[1], JobMessage.EXIT_PROCESS, process.pid)
    assert exit_code(opened) == 3
