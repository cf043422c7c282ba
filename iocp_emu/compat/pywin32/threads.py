"""pywin32's calls on threads: starting one, its handle, its end.

Theory.  A thread is one of the host's, known to the kernel from the start, so that its handle can be waited on and it
can begin suspended.

Rules of this file: those of `flat.threads`; Q-28 (the end of a thread).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from ... import current_system, win32
from ...flat.support import caller, reports
from ...kernel.objects import Access
from ...kernel.thread import KernelThread
from ...runtime.threads import OsThread, ThreadSystem
from ..whole_calls import make_whole
from .arguments import c_long, dword, handle_of
from .errors import require
from .handles import PyHANDLE
from .security import check_attributes

CURRENT_PROCESS = -1
CURRENT_THREAD = -2

NO_THREAD = -1
"""No exit code: they have 32 bits and no sign."""


def GetCurrentThread() -> int:
    """The pseudo handle that means whichever thread uses it."""
    return CURRENT_THREAD


def GetCurrentThreadId() -> int:
    """The number of the calling thread."""
    return threading.get_native_id()


def beginthreadex(
    sa: Any, stackSize: Any, entryPoint: Callable[..., Any], args: tuple[Any, ...], flags: Any, /
) -> tuple[PyHANDLE, int]:
    """Start a thread that calls `entryPoint(*args)`; its handle and its number.

    An int that it returns is the exit code.  `flags`: CREATE_SUSPENDED (4) starts it suspended.  Blocks until the host
    has started it; `RuntimeError` when the host has no more threads.
    """
    check_attributes(sa)
    c_long(stackSize)
    if not isinstance(args, tuple):
        raise TypeError(f"beginthreadex() argument 4 must be tuple, not {type(args).__name__}")
    suspended = bool(dword(flags) & win32.CREATE_SUSPENDED)
    system = current_system()
    thread = system.create_thread(getattr(entryPoint, "__name__", "thread"))
    handle = PyHANDLE(system.perform(system.process.handles.open, thread, Access.ANY))
    if suspended:
        system.perform(thread.suspend)
    context = contextvars.copy_context()
    numbers: SimpleQueue[int] = SimpleQueue()

    def body() -> None:
        numbers.put(threading.get_native_id())
        _live(system, thread, suspended, lambda: context.run(entryPoint, *args))

    try:
        threading.Thread(target=body, name=thread.name, daemon=True).start()
    except RuntimeError:
        system.end_thread(thread)
        raise
    return handle, numbers.get()


def _live(system: ThreadSystem, thread: OsThread, suspended: bool, call: Callable[[], Any]) -> None:
    system.adopt(thread)
    exit_code = 1
    try:
        if suspended:
            thread.parker.acquire()
        result = call()
        exit_code = result if isinstance(result, int) else 0
    finally:
        system.end_thread(thread, exit_code & 0xFFFFFFFF)


def ResumeThread(handle: Any, /) -> int:
    """Undo one suspension; the count before.  Never blocks.  Raises `error` 6, 5."""
    previous = win32.ResumeThread(handle_of(handle))
    require("ResumeThread", previous != 0xFFFFFFFF)
    return previous


def SuspendThread(handle: Any, /) -> int:
    """Suspend once more; the count before.  Raises `error` 50 for a thread that nothing can stop, 156, 6, 5."""
    previous = win32.SuspendThread(handle_of(handle))
    require("SuspendThread", previous != 0xFFFFFFFF)
    return previous


def GetExitCodeThread(handle: Any, /) -> int:
    """The exit code, 259 while the thread lives.  Never blocks.  Raises `error` 6."""
    code = _exit_code(handle_of(handle))
    require("GetExitCodeThread", code != NO_THREAD)
    return code


@reports(NO_THREAD)
def _exit_code(handle: int) -> int:
    me = caller()
    code = me.perform(me.lookup, handle, KernelThread).exit_code
    return win32.STILL_ACTIVE if code is None else code


def GetCurrentProcess() -> int:
    """The pseudo handle of this process."""
    return CURRENT_PROCESS


make_whole(globals())
