"""Win32 calls on what threads wait for: events, semaphores, mutexes, timers; and the waiting itself.

Theory.  Every wait here is one that the kernel sees: a thread of a port that blocks gives its slot away (Q-23) and is
counted again when it goes on (Q-26); polling and satisfied waits change nothing (Q-29).

Rules of this file: O-10 to O-13 (ports are waited on like anything else), Q-23, Q-29, G-07, G-12, O-02 (names).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import status
from ..kernel.objects import KernelObject, NtError
from ..kernel.waits import MAXIMUM_WAIT_OBJECTS, Event, Mutant, ResetMode, Semaphore, Waitable, WaitMode
from ..runtime.timers import RealTimer
from .constants import (
    EVENT_MODIFY_STATE,
    NULL,
    SEMAPHORE_MODIFY_STATE,
    SYNCHRONIZE,
    TIMER_MODIFY_STATE,
)
from .support import (
    MAXIMUM_DWORD,
    UNTOUCHED,
    Caller,
    Handle,
    ObjectT,
    Untouched,
    alertability,
    caller,
    dword,
    filetime_now,
    nt_seconds,
    reports,
    seconds_of,
    set_last_error,
)

MILLISECONDS_PER_SECOND = 1000


class ReleasedSemaphore(NamedTuple):
    """What `ReleaseSemaphore` returns."""

    ret: bool
    lpPreviousCount: int | Untouched


def _long(value: int) -> int:
    """`value` as a 32-bit signed integer."""
    unsigned = dword(value)
    return unsigned - (1 << 32) if unsigned >> 31 else unsigned


def create_object(name: str | None, kind: type[ObjectT], make: Callable[[Caller], ObjectT]) -> int:
    """A handle of a new object, or of the one with that name; with a name the last error tells which (183 or 0)."""
    me = caller()
    handle, existed = me.perform(me.open_named, name, kind, lambda: make(me))
    if name:
        set_last_error(status.ERROR_ALREADY_EXISTS if existed else status.ERROR_SUCCESS)
    return handle


# -- events ------------------------------------------------------------------------------------------------------


@reports(NULL)
def CreateEventW(bManualReset: object, bInitialState: object, *, lpName: str | None = None) -> int:
    """A handle of an event, signalled from the start if `bInitialState`; or of the existing one of that name.

    Manual-reset events stay signalled until `ResetEvent`, the others release one wait.  NULL: 6 when the name belongs
    to another type of object, 123 for a name that is too long.  Never blocks; O(1).
    """
    mode = ResetMode.MANUAL if bManualReset else ResetMode.AUTO
    return create_object(lpName, Event, lambda me: me.system.kernel.create_event(mode, signalled=bool(bInitialState)))


@reports(False)
def SetEvent(hEvent: Handle) -> bool:
    """Signal the event.  FALSE: 6 no event, 5 no right.  Never blocks; O(waiters)."""
    me = caller()
    me.perform(lambda: me.lookup(hEvent, Event, EVENT_MODIFY_STATE).set())
    return True


@reports(False)
def ResetEvent(hEvent: Handle) -> bool:
    """Unsignal the event.  FALSE: 6 no event, 5 no right.  Never blocks; O(1)."""
    me = caller()
    me.perform(lambda: me.lookup(hEvent, Event, EVENT_MODIFY_STATE).reset())
    return True


# -- semaphores and mutexes --------------------------------------------------------------------------------------


@reports(NULL)
def CreateSemaphoreW(lInitialCount: int, lMaximumCount: int, *, lpName: str | None = None) -> int:
    """A handle of a semaphore with `lInitialCount` units of at most `lMaximumCount`.

    NULL: 87 unless 0 <= initial <= maximum and maximum > 0; 6 and 123 as for `CreateEventW`.  Never blocks; O(1).
    """
    initial, maximum = _long(lInitialCount), _long(lMaximumCount)
    return create_object(lpName, Semaphore, lambda me: me.system.kernel.create_semaphore(initial, maximum))


@reports(ReleasedSemaphore(False, UNTOUCHED))
def ReleaseSemaphore(hSemaphore: Handle, lReleaseCount: int) -> ReleasedSemaphore:
    """Give `lReleaseCount` units back; the count before in `lpPreviousCount`.

    FALSE: 87 unless the count is positive, 298 when the maximum would be passed, 6, 5.  Never blocks; O(waiters).
    """
    me = caller()
    units = _long(lReleaseCount)
    previous = me.perform(lambda: me.lookup(hSemaphore, Semaphore, SEMAPHORE_MODIFY_STATE).release(units))
    return ReleasedSemaphore(True, previous)


@reports(NULL)
def CreateMutexW(bInitialOwner: object, *, lpName: str | None = None) -> int:
    """A handle of a mutex, which the caller owns from the start if `bInitialOwner` and it is new.

    NULL: 6 and 123 as for `CreateEventW`.  Never blocks; O(1).
    """
    return create_object(
        lpName, Mutant, lambda me: me.system.kernel.create_mutant(me.thread if bInitialOwner else None)
    )


@reports(False)
def ReleaseMutex(hMutex: Handle) -> bool:
    """Undo one acquisition.  FALSE: 288 when the caller does not own it, 6.  Never blocks; O(waiters)."""
    me = caller()
    me.perform(lambda: me.lookup(hMutex, Mutant).release(me.thread))
    return True


# -- timers ------------------------------------------------------------------------------------------------------


@reports(NULL)
def CreateWaitableTimerW(bManualReset: object, *, lpTimerName: str | None = None) -> int:
    """A handle of a timer that is not set.  NULL: 6 and 123 as for `CreateEventW`.  Never blocks; O(1)."""
    mode = ResetMode.MANUAL if bManualReset else ResetMode.AUTO
    return create_object(lpTimerName, RealTimer, lambda me: RealTimer(me.system.kernel, mode, me.system))


@reports(False)
def SetWaitableTimer(
    hTimer: Handle,
    lpDueTime: int,
    lPeriod: int = 0,
    pfnCompletionRoutine: Callable[[Any, int, int], object] | None = None,
    lpArgToCompletionRoutine: Any = None,
    fResume: object = False,
) -> bool:
    """Set the timer anew; it is unsignalled until it is due.

    `lpDueTime` in units of 100 ns: negative from now, positive a FILETIME (UTC).  `lPeriod` in milliseconds: 0 for
    once.  The routine runs as a user APC of the calling thread, with the argument and the two halves of the FILETIME.
    `fResume` means nothing here: no machine is woken.  FALSE: 87 for a negative period, 6, 5.  Never blocks.
    """
    me = caller()
    period = _long(lPeriod)
    if period < 0:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    delay = nt_seconds(lpDueTime)
    assert delay is not None
    routine = _timer_apc(pfnCompletionRoutine, lpArgToCompletionRoutine)
    me.perform(
        lambda: me.lookup(hTimer, RealTimer, TIMER_MODIFY_STATE).start(
            delay, period / MILLISECONDS_PER_SECOND, me.thread, routine
        )
    )
    return True


def _timer_apc(function: Callable[[Any, int, int], object] | None, argument: Any) -> Callable[[], None] | None:
    if function is None:
        return None

    def run() -> None:
        now = filetime_now()
        function(argument, now & MAXIMUM_DWORD, now >> 32)

    return run


@reports(False)
def CancelWaitableTimer(hTimer: Handle) -> bool:
    """Forget the setting; the signal state stays as it is.  FALSE: 6, 5.  Never blocks; O(1)."""
    me = caller()
    me.perform(lambda: me.lookup(hTimer, RealTimer, TIMER_MODIFY_STATE).stop())
    return True


# -- waiting -----------------------------------------------------------------------------------------------------


@reports(status.WAIT_FAILED)
def WaitForSingleObjectEx(hHandle: Handle, dwMilliseconds: int, bAlertable: object) -> int:
    """Wait up to `dwMilliseconds` for one object, perhaps alertably; a port is signalled while packets are queued.

    WAIT_OBJECT_0 0; WAIT_ABANDONED 128 for a mutex whose owner died; WAIT_IO_COMPLETION 192 when user APCs ran;
    WAIT_TIMEOUT 258; WAIT_FAILED with 6 (no object to wait for) or 5.  Blocks, visibly (Q-23).
    """
    return wait_for([hHandle], dwMilliseconds, bAlertable)


def WaitForSingleObject(hHandle: Handle, dwMilliseconds: int) -> int:
    """`WaitForSingleObjectEx`, not alertable."""
    return WaitForSingleObjectEx(hHandle, dwMilliseconds, False)


@reports(status.WAIT_FAILED)
def WaitForMultipleObjectsEx(
    nCount: int, lpHandles: Sequence[Handle], bWaitAll: object, dwMilliseconds: int, bAlertable: object
) -> int:
    """Wait for one of the first `nCount` handles, or for all; WAIT_OBJECT_0 or WAIT_ABANDONED_0 plus the index.

    Otherwise as `WaitForSingleObjectEx`.  WAIT_FAILED with 87 unless there are 1 to 64 handles.  O(handles).
    """
    count = dword(nCount)
    if not 1 <= count <= MAXIMUM_WAIT_OBJECTS or len(lpHandles) < count:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    mode = WaitMode.ALL if bWaitAll else WaitMode.ANY
    return wait_for(lpHandles[:count], dwMilliseconds, bAlertable, mode)


def WaitForMultipleObjects(nCount: int, lpHandles: Sequence[Handle], bWaitAll: object, dwMilliseconds: int) -> int:
    """`WaitForMultipleObjectsEx`, not alertable."""
    return WaitForMultipleObjectsEx(nCount, lpHandles, bWaitAll, dwMilliseconds, False)


@reports(status.WAIT_FAILED)
def SignalObjectAndWait(
    hObjectToSignal: Handle, hObjectToWaitOn: Handle, dwMilliseconds: int, bAlertable: object
) -> int:
    """Set an event, release a mutex or one unit of a semaphore, then wait; two steps, as the documentation warns.

    Otherwise as `WaitForSingleObjectEx`; nothing is signalled when a handle is wrong.
    """
    me = caller()
    target = me.perform(_signal, me, hObjectToSignal, hObjectToWaitOn)
    return me.system.wait([target], timeout=seconds_of(dwMilliseconds), alertability=alertability(bAlertable))


def _signal(me: Caller, handle: Handle, target_handle: Handle) -> Waitable:
    target = me.lookup(target_handle, Waitable, SYNCHRONIZE)
    obj = me.lookup(handle, KernelObject)
    if isinstance(obj, Mutant):
        obj.release(me.thread)
    elif isinstance(obj, Semaphore):
        me.lookup(handle, Semaphore, SEMAPHORE_MODIFY_STATE).release(1)
    else:
        me.lookup(handle, Event, EVENT_MODIFY_STATE).set()
    return target


def wait_for(handles: Sequence[Handle], milliseconds: int, alertable: object, mode: WaitMode = WaitMode.ANY) -> int:
    """Wait for what the handles name; the NTSTATUS, or an `NtError` for a handle that cannot be waited on."""
    me = caller()
    timeout = seconds_of(milliseconds)
    objects = me.perform(lambda: [me.lookup(each, Waitable, SYNCHRONIZE) for each in handles])
    return me.system.wait(objects, mode, timeout, alertability(alertable))


def SleepEx(dwMilliseconds: int, bAlertable: object) -> int:
    """Sleep; 0 when the time has passed, WAIT_IO_COMPLETION 192 when user APCs ran.  Blocks, visibly (Q-23).

    Sleeping 0 ms changes nothing on any port (Q-29), INFINITE never ends by itself.
    """
    code = caller().system.wait((), timeout=seconds_of(dwMilliseconds), alertability=alertability(bAlertable))
    return status.WAIT_IO_COMPLETION if code == status.STATUS_USER_APC else 0


def Sleep(dwMilliseconds: int) -> None:
    """`SleepEx`, not alertable."""
    SleepEx(dwMilliseconds, False)
