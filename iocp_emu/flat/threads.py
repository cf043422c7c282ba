"""Win32 calls on threads: user APCs, suspending and resuming, and real handles.

Rules of this file: G-12 to G-14 (APCs), Q-08, Q-23, Q-26 (suspension).
"""

from __future__ import annotations

from collections.abc import Callable

from .. import status
from ..kernel.objects import KernelObject, NtError
from ..kernel.thread import KernelThread
from ..runtime.processes import ChildThread, can_be_stopped
from ..runtime.threads import OsThread
from .constants import (
    MAXIMUM_ALLOWED,
    NULL,
    THREAD_SET_CONTEXT,
    THREAD_SUSPEND_RESUME,
)
from .support import (
    MAXIMUM_DWORD,
    Caller,
    Handle,
    caller,
    map_rights,
    pointer_value,
    reports,
)


@reports(NULL)
def handle_of(obj: KernelObject, access: int = MAXIMUM_ALLOWED) -> int:
    """A handle of a kernel object that was found by other means, such as a thread: what OpenThread is for.

    `access`: the rights wanted, by default every one.  NULL: 6 when the object is gone.  Never blocks; O(1).
    """
    me = caller()
    return me.perform(_open_existing, me, obj, map_rights(obj.type_name, access))


def _open_existing(me: Caller, obj: KernelObject, access: int) -> int:
    if obj.freed:
        raise NtError(status.STATUS_INVALID_HANDLE)
    return me.open(obj, access)


@reports(False)
def QueueUserAPC(hThread: Handle, dwData: int, *, pfnAPC: Callable[[int], object]) -> bool:
    """Have `pfnAPC(dwData)` run in the thread, when it waits alertably (G-12); `dwData` has 64 bits.

    TRUE when it is queued.  FALSE: 31 the thread has ended, 50 it is that of another process, which cannot run Python
    of this one, 6, 5.  Never blocks; O(1).
    """
    me = caller()
    data = pointer_value(dwData)
    me.perform(_queue_apc, me, hThread, lambda: pfnAPC(data))
    return True


def _queue_apc(me: Caller, handle: Handle, run: Callable[[], object]) -> None:
    def apc() -> None:
        run()

    thread = me.lookup(handle, KernelThread, THREAD_SET_CONTEXT)
    if isinstance(thread, ChildThread):
        raise NtError(status.STATUS_NOT_SUPPORTED)
    thread.queue_user_apc(apc)


@reports(MAXIMUM_DWORD)
def SuspendThread(hThread: Handle) -> int:
    """Suspend a thread once more; the previous suspend count (Q-08, Q-23).

    A thread that waits in the emulator (parked on a port, or blocked in one of these calls) stays there until it is
    resumed; one that suspends itself stops in this call; the main thread of a child stops with its process.
    0xFFFFFFFF: 50 for any other thread, since nothing can stop a Python thread that runs byte code or blocks in a call
    of the host; 156 beyond 127 suspensions, 5 after its end or without the right, 6.  Blocks only a thread that
    suspends itself.
    """
    me = caller()
    thread, previous = me.perform(_suspend, me, hThread)
    if thread is me.thread:
        _sleep_until_resumed(me)
    return previous


def _suspend(me: Caller, handle: Handle) -> tuple[KernelThread, int]:
    thread = me.lookup(handle, OsThread, THREAD_SUSPEND_RESUME)
    if thread is not me.thread and thread.exit_code is None and not can_be_stopped(thread):
        raise NtError(status.STATUS_NOT_SUPPORTED)
    return thread, thread.suspend()


def _sleep_until_resumed(me: Caller) -> None:
    try:
        me.thread.parker.acquire()
    except BaseException:
        me.perform(_resume_fully, me.thread)
        me.thread.parker.acquire()
        raise


def _resume_fully(thread: KernelThread) -> None:
    while thread.resume() > 1:
        pass


@reports(MAXIMUM_DWORD)
def ResumeThread(hThread: Handle) -> int:
    """Undo one suspension; the previous suspend count, and at 1 the thread goes on where it was (Q-08, Q-26).

    0xFFFFFFFF: 6, 5.  Never blocks; O(1).
    """
    me = caller()
    return me.perform(lambda: me.lookup(hThread, OsThread, THREAD_SUSPEND_RESUME).resume())
