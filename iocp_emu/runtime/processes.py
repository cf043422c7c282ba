"""Child processes of the host, as processes of the kernel: started, stopped, ended, and their end reported.

Theory.  A `ChildProcess` is a kernel process without handles whose life is that of a real one.  One thread per child
waits for its end and reports it, which sends the job messages (X-04).  The main thread of a child is a kernel thread
that runs no Python: what lets it go on is a signal.

Exit codes of Windows have 32 bits, those of most hosts 8.  A child that ends by `TerminateProcess` ends with the code
given there.  One that ends by itself may write its code, in decimal digits, to the descriptor that the environment
variable `IOCP_EMU_EXIT_CODE_FD` names; otherwise the host's code counts, and a fatal signal counts as the exception
that it is on Windows.

Rules of this file: X-04 (whose end is a message), Q-23 (a suspended thread does not run).

Own rules.  Methods of the kernel objects are steps: they are called under the kernel lock and do not block.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast

from .. import status
from ..kernel.jobs import Process
from ..kernel.machine import Kernel
from ..kernel.objects import NtError
from ..kernel.thread import ThreadState
from .threads import OsThread, ThreadSystem

if TYPE_CHECKING:
    from _thread import LockType

EXIT_CODE_FD = "IOCP_EMU_EXIT_CODE_FD"
"""Environment variable of a child: the descriptor that takes its 32-bit exit code."""

MAXIMUM_REPORT_BYTES = 32
STOP_FIRST = ("/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh")
"""Runs a command in its own process, but only after a SIGCONT."""

IS_POSIX = os.name == "posix"
"""Whether the host has signals that stop and continue a process, and exit codes of 8 bits."""

EXCEPTION_OF_SIGNAL = {
    "SIGSEGV": 0xC0000005,
    "SIGBUS": 0xC0000006,
    "SIGILL": 0xC000001D,
    "SIGFPE": 0xC0000094,
    "SIGTRAP": 0x80000003,
    "SIGINT": 0xC000013A,
    "SIGABRT": 3,
}
"""How a process ends on Windows that does what brings this signal (winnt.h; abort() exits with 3)."""


class _Continue:
    """Stands where other threads have their parker: releasing it continues the child."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    def release(self) -> None:
        """Let the child run."""
        send_signal(self._popen, "SIGCONT")


class ChildThread(OsThread):
    """The main thread of a child process."""

    __slots__ = ("_popen",)

    def __init__(self, kernel: Kernel, process: ChildProcess, popen: subprocess.Popen[bytes]) -> None:
        super().__init__(kernel, process, f"main thread of process {process.pid}")
        self._popen = popen
        self.parker = cast("LockType", _Continue(popen))

    def suspend(self) -> int:
        """Suspend once more; the process stops with the first time (Q-23)."""
        if not IS_POSIX:
            raise NtError(status.STATUS_NOT_SUPPORTED)
        previous = super().suspend()
        if previous == 0:
            send_signal(self._popen, "SIGSTOP")
        return previous


class ChildProcess(Process):
    """A process that the host runs.  `exit_code` is set once it has really ended."""

    type_name = "Process"
    __slots__ = ("_popen", "_terminated_with", "main_thread")

    def __init__(self, kernel: Kernel, popen: subprocess.Popen[bytes]) -> None:
        super().__init__(kernel, popen.pid)
        self._popen = popen
        self._terminated_with: int | None = None
        self.main_thread = ChildThread(kernel, self, popen)

    @property
    def is_ending(self) -> bool:
        """Whether `terminate` was called and the end not yet reported."""
        return self._terminated_with is not None and self.exit_code is None

    def terminate(self, exit_code: int) -> None:
        """End it soon, with the 32-bit `exit_code`; the first call decides.

        STATUS_PROCESS_IS_TERMINATING when it has ended or is about to.
        """
        if self.exit_code is not None or self._terminated_with is not None:
            raise NtError(status.STATUS_PROCESS_IS_TERMINATING)
        self._terminated_with = exit_code
        self._popen.kill()

    def report_end(self, own_code: int) -> None:
        """It has ended by itself with `own_code`, or as `terminate` asked."""
        self.exit(own_code if self._terminated_with is None else self._terminated_with)


def start_process(
    system: ThreadSystem,
    arguments: Sequence[str],
    *,
    suspended: bool = False,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
) -> ChildProcess:
    """Start a child, with one reference of it and of its main thread for the caller.

    `suspended`: not one instruction of its program has run.  `environment` None: that of this process.  Blocks until
    the host has started it.  Refusals, as `NtError`: the status of the host's errno; STATUS_OBJECT_NAME_NOT_FOUND for
    a program that is not there; STATUS_NOT_SUPPORTED for `suspended` where the host cannot stop processes.
    """
    if suspended and not IS_POSIX:
        raise NtError(status.STATUS_NOT_SUPPORTED)
    variables = dict(os.environ if environment is None else environment)
    if not arguments or shutil.which(arguments[0], path=variables.get("PATH")) is None:
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND)
    popen, report = _start_on_host([*STOP_FIRST, *arguments] if suspended else list(arguments), variables, directory)
    adopted: SimpleQueue[ChildProcess] = SimpleQueue()
    watcher = threading.Thread(
        target=_watch, args=(system, popen, report, adopted), name=f"iocp_emu process {popen.pid}", daemon=True
    )
    try:
        if suspended:
            _wait_until_stopped(popen)
        watcher.start()
    except BaseException as error:
        popen.kill()
        popen.wait()
        os.close(report)
        if isinstance(error, RuntimeError):  # the host has no more threads
            raise NtError(status.STATUS_INSUFFICIENT_RESOURCES) from None
        raise
    process = system.perform(_adopt, system, popen, suspended)
    adopted.put(process)
    return process


def _start_on_host(
    command: list[str], variables: dict[str, str], directory: str | None
) -> tuple[subprocess.Popen[bytes], int]:
    """Start `command`; the running process, and the descriptor at which its report will arrive."""
    report, child_end = os.pipe()
    try:
        variables[EXIT_CODE_FD] = str(child_end)
        inherited = (child_end,) if IS_POSIX else ()
        return subprocess.Popen(command, env=variables, cwd=directory, pass_fds=inherited), report
    except BaseException as error:
        os.close(report)
        if isinstance(error, OSError):
            raise NtError(status.errno_to_status(error.errno or 0)) from None
        if isinstance(error, ValueError):  # a null character in an argument
            raise NtError(status.STATUS_INVALID_PARAMETER) from None
        raise
    finally:
        os.close(child_end)


def _adopt(system: ThreadSystem, popen: subprocess.Popen[bytes], suspended: bool) -> ChildProcess:
    process = ChildProcess(system.kernel, popen)
    process.reference()
    process.main_thread.reference()
    if suspended:
        process.main_thread.suspend()
    return process


def _wait_until_stopped(popen: subprocess.Popen[bytes]) -> None:
    _, state = os.waitpid(popen.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(state):
        popen.returncode = os.waitstatus_to_exitcode(state)


def _watch(
    system: ThreadSystem, popen: subprocess.Popen[bytes], report: int, adopted: SimpleQueue[ChildProcess]
) -> None:
    """The life of the thread that waits for one child."""
    code = popen.wait()
    reported = _read_report(report)
    process = adopted.get()
    system.perform(process.report_end, exit_code_of(code) if reported is None else reported)


def _read_report(report: int) -> int | None:
    """What the child wrote about its end; grandchildren may still hold the other end, so nobody waits for that."""
    try:
        if not IS_POSIX:
            return None
        os.set_blocking(report, False)
        text = os.read(report, MAXIMUM_REPORT_BYTES)
    except BlockingIOError:
        return None
    finally:
        os.close(report)
    return int(text) & 0xFFFFFFFF if text.strip().isdigit() else None


def exit_code_of(returncode: int) -> int:
    """The Windows exit code for a `Popen.returncode`.

    >>> exit_code_of(3), hex(exit_code_of(-11))
    (3, '0xc0000005')
    """
    if returncode >= 0:
        return returncode
    return EXCEPTION_OF_SIGNAL.get(signal.Signals(-returncode).name, 128 - returncode)


def send_signal(popen: subprocess.Popen[bytes], name: str) -> None:
    """Send the signal of that name, unless the process has ended."""
    with contextlib.suppress(OSError):
        popen.send_signal(getattr(signal, name))


def can_be_stopped(thread: OsThread) -> bool:
    """Whether suspending `thread` has an effect: it sleeps in the kernel already, or is a child's.

    No Python thread can be stopped while it runs byte code, nor while it blocks in a call that only the host knows.
    """
    if isinstance(thread, ChildThread):
        return IS_POSIX
    return thread.state in (ThreadState.PARKED, ThreadState.SUSPENDED) or (
        thread.state is ThreadState.BLOCKED and thread.wait is not None
    )
