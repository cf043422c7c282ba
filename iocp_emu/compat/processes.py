"""Child processes as Windows code knows them: `subprocess.Popen` with a handle that can be waited on.

Theory.  The child is started by the host's own `subprocess`; beside it stands a process object of the kernel, which is
signalled when the child has ended.  A thread for each child waits for that; where the host allows it, without taking
the exit status away from `Popen`.

Rules of this file: X-04 (with the kernel: a process is signalled once it has ended).

Own rules.  `returncode` is the host's: negative for a signal.  Creation flags that have no counterpart here mean
nothing, and so does `startupinfo`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import weakref
from types import ModuleType
from typing import Any, cast

from ..flat.support import MAXIMUM_DWORD, full_rights
from ..runtime.ambient import current_system
from ..runtime.processes import ChildProcess, exit_code_of
from ..runtime.threads import ThreadSystem
from .closing import close_soon
from .guests import ModuleView
from .whole_calls import whole_finalizer

CREATE_NEW_PROCESS_GROUP = 0x00000200


class STARTUPINFO:
    """How a process shall be shown; kept, and without effect."""

    def __init__(
        self,
        *,
        dwFlags: int = 0,
        hStdInput: int | None = None,
        hStdOutput: int | None = None,
        hStdError: int | None = None,
        wShowWindow: int = 0,
        lpAttributeList: dict[str, Any] | None = None,
    ) -> None:
        self.dwFlags = dwFlags
        self.hStdInput = hStdInput
        self.hStdOutput = hStdOutput
        self.hStdError = hStdError
        self.wShowWindow = wShowWindow
        self.lpAttributeList = lpAttributeList or {"handle_list": []}


class ProcessHandle(int):
    """The handle of a process object; closes itself."""

    _system: ThreadSystem | None

    @classmethod
    def of(cls, system: ThreadSystem, process: ChildProcess) -> ProcessHandle:
        """A new handle of `process`."""
        self = cls(system.perform(system.process.handles.open, process, full_rights(process)))
        self._system = system
        return self

    def Close(self) -> None:
        """Close it; closing again does nothing."""
        system, self._system = self._system, None
        if system is not None:
            close_soon(system, int(self))

    def Detach(self) -> int:
        """Leave closing it to the caller; the handle.  `ValueError` once closed."""
        if self._system is None:
            raise ValueError("already closed")
        self._system = None
        return int(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"

    @whole_finalizer
    def __del__(self) -> None:
        if getattr(self, "_system", None) is not None:
            self.Close()


class Popen(subprocess.Popen[Any]):
    """`subprocess.Popen` of the host, with `_handle` and the parameters that only Windows has.

    CREATE_NEW_PROCESS_GROUP starts a session of its own, which Ctrl-C at the console does not reach either.
    """

    def __init__(self, args: Any, *more: Any, creationflags: int = 0, startupinfo: Any = None, **rest: Any) -> None:
        if creationflags & CREATE_NEW_PROCESS_GROUP:
            rest["start_new_session"] = True
        super().__init__(args, *more, **rest)
        self._handle = watch(current_system(), self)


class _Child:
    """What a process object knows of the host's child; the `Popen` lives or not, and with it goes the handle."""

    def __init__(self, popen: subprocess.Popen[Any]) -> None:
        self.pid = popen.pid
        self.popen = weakref.ref(popen)

    def kill(self) -> None:
        """End the child, unless nobody has its `Popen` any more."""
        popen = self.popen()
        if popen is not None:
            popen.kill()

    def send_signal(self, number: int) -> None:
        """Send a signal, likewise."""
        popen = self.popen()
        if popen is not None:
            popen.send_signal(number)


def watch(system: ThreadSystem, popen: subprocess.Popen[Any]) -> ProcessHandle:
    """A handle of a process object that is signalled when the child has ended.  Does not block.

    `RuntimeError` when the host has no more threads; the child is killed then.
    """
    child = _Child(popen)
    process = system.perform(ChildProcess, system.kernel, cast(Any, child))
    handle = ProcessHandle.of(system, process)
    watcher = threading.Thread(
        target=_report_end, args=(system, child, process), name=f"iocp_emu process {child.pid}", daemon=True
    )
    try:
        watcher.start()
    except RuntimeError:
        popen.kill()
        popen.wait()
        system.perform(process.report_end, exit_code_of(-signal.SIGKILL))
        raise
    return handle


def _report_end(system: ThreadSystem, child: _Child, process: ChildProcess) -> None:
    """The life of the thread that waits for one child."""
    code = _wait_for_end(child)
    system.perform(process.report_end, exit_code_of(code) & MAXIMUM_DWORD)


def _wait_for_end(child: _Child) -> int:
    """Wait until the child has ended; its host code."""
    try:
        if hasattr(os, "waitid"):
            ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert ended is not None
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    except ChildProcessError:
        # Somebody else has collected its status: the Popen knows it, or nobody ever will.
        pass
    popen = child.popen()
    return 0 if popen is None else popen.wait()


WINDOWS_NAMES: dict[str, Any] = {
    "Popen": Popen,
    "STARTUPINFO": STARTUPINFO,
    "CREATE_NEW_PROCESS_GROUP": CREATE_NEW_PROCESS_GROUP,
    "CREATE_NEW_CONSOLE": 0x00000010,
    "CREATE_NO_WINDOW": 0x08000000,
    "CREATE_DEFAULT_ERROR_MODE": 0x04000000,
    "CREATE_BREAKAWAY_FROM_JOB": 0x01000000,
    "DETACHED_PROCESS": 0x00000008,
    "ABOVE_NORMAL_PRIORITY_CLASS": 0x00008000,
    "BELOW_NORMAL_PRIORITY_CLASS": 0x00004000,
    "HIGH_PRIORITY_CLASS": 0x00000080,
    "IDLE_PRIORITY_CLASS": 0x00000040,
    "NORMAL_PRIORITY_CLASS": 0x00000020,
    "REALTIME_PRIORITY_CLASS": 0x00000100,
    "STARTF_USESTDHANDLES": 0x00000100,
    "STARTF_USESHOWWINDOW": 0x00000001,
    "STD_INPUT_HANDLE": -10,
    "STD_OUTPUT_HANDLE": -11,
    "STD_ERROR_HANDLE": -12,
    "SW_HIDE": 0,
}


def windows_subprocess() -> ModuleType:
    """`subprocess` with Windows' names, and a `Popen` whose `_handle` can be waited on."""
    return ModuleView(subprocess, **WINDOWS_NAMES)
