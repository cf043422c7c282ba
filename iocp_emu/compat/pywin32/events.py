"""pywin32's calls on what threads wait for: events, mutexes, semaphores, timers; and the waiting.

Rules of this file: those of `flat.sync`.  Every wait here is one that the kernel sees (Q-23, Q-26).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import status, win32
from ...kernel.waits import Event, Mutant, Semaphore, Timer
from ..whole_calls import make_whole
from . import naming
from .arguments import c_long, dword, handle_of, name_of, only_none, signed_long
from .errors import api_error, require
from .handles import PyHANDLE, new_handle
from .security import check_attributes

# -- objects -------------------------------------------------------------------------------------------------------


def CreateEvent(EventAttributes: Any, bManualReset: Any, bInitialState: Any, Name: Any, /) -> PyHANDLE:
    """An event, or the existing one of that name, and then the last error is 183.  Never blocks.  Raises `error` 6."""
    check_attributes(EventAttributes)
    manual, initial = c_long(bManualReset), c_long(bInitialState)
    return new_handle("CreateEvent", win32.CreateEventW(manual, initial, lpName=name_of(Name)))


def CreateMutex(MutexAttributes: Any, InitialOwner: Any, Name: Any, /) -> PyHANDLE:
    """A mutex, owned by the caller if `InitialOwner` and new, or the existing one (183).  Raises `error` 6."""
    check_attributes(MutexAttributes)
    owned = c_long(InitialOwner)
    return new_handle("CreateMutex", win32.CreateMutexW(owned, lpName=name_of(Name)))


def CreateSemaphore(
    SemaphoreAttributes: Any, InitialCount: Any, MaximumCount: Any, SemaphoreName: Any, /
) -> PyHANDLE:
    """A semaphore, or the existing one of that name (183).  Never blocks.  Raises `error` 87, 6."""
    check_attributes(SemaphoreAttributes)
    initial, maximum = c_long(InitialCount), c_long(MaximumCount)
    return new_handle("CreateSemaphore", win32.CreateSemaphoreW(initial, maximum, lpName=name_of(SemaphoreName)))


CREATE_WAITABLE_TIMER_MANUAL_RESET = 1


def CreateWaitableTimer(TimerAttributes: Any, ManualReset: Any, TimerName: Any, /) -> PyHANDLE:
    """A timer that is not set, or the existing one of that name (183).  Never blocks.  Raises `error` 6."""
    check_attributes(TimerAttributes)
    manual = c_long(ManualReset)
    return new_handle("CreateWaitableTimer", win32.CreateWaitableTimerW(manual, lpTimerName=name_of(TimerName)))


def CreateWaitableTimerEx(
    TimerAttributes: Any, TimerName: Any, Flags: Any, DesiredAccess: Any, /
) -> PyHANDLE:
    """`CreateWaitableTimer` with flags; every timer is as precise as it can be, and the handle has every right."""
    check_attributes(TimerAttributes)
    dword(DesiredAccess)
    manual = bool(dword(Flags) & CREATE_WAITABLE_TIMER_MANUAL_RESET)
    return new_handle("CreateWaitableTimerEx", win32.CreateWaitableTimerW(manual, lpTimerName=name_of(TimerName)))


def OpenEvent(desiredAccess: Any, bInheritHandle: Any, name: str, /) -> PyHANDLE:
    """The existing event of that name.  Never blocks.  Raises `error` 2, 6."""
    return _open_named("OpenEvent", Event, desiredAccess, bInheritHandle, name)


def OpenMutex(desiredAccess: Any, bInheritHandle: Any, name: str, /) -> PyHANDLE:
    """The existing mutex of that name.  Never blocks.  Raises `error` 2, 6."""
    return _open_named("OpenMutex", Mutant, desiredAccess, bInheritHandle, name)


def OpenSemaphore(desiredAccess: Any, bInheritHandle: Any, name: str, /) -> PyHANDLE:
    """The existing semaphore of that name.  Never blocks.  Raises `error` 2, 6."""
    return _open_named("OpenSemaphore", Semaphore, desiredAccess, bInheritHandle, name)


def OpenWaitableTimer(desiredAccess: Any, bInheritHandle: Any, timerName: str, /) -> PyHANDLE:
    """The existing timer of that name.  Never blocks.  Raises `error` 2, 6."""
    return _open_named("OpenWaitableTimer", Timer, desiredAccess, bInheritHandle, timerName)


def _open_named(
    call: str, kind: type[Event | Mutant | Semaphore | Timer], access: Any, inherit: Any, name: str
) -> PyHANDLE:
    c_long(inherit)
    wanted = name_of(name)
    if wanted is None:
        raise TypeError("None is not a valid string in this context")
    return new_handle(call, naming.open_by_name(kind, dword(access), wanted))


def SetEvent(hEvent: Any, /) -> None:
    """Signal.  Never blocks.  Raises `error` 6, 5."""
    require("SetEvent", win32.SetEvent(handle_of(hEvent)))


def ResetEvent(hEvent: Any, /) -> None:
    """Unsignal.  Never blocks.  Raises `error` 6, 5."""
    require("ResetEvent", win32.ResetEvent(handle_of(hEvent)))


def PulseEvent(hEvent: Any, /) -> None:
    """Signal for those who wait right now, and unsignal.  Never blocks.  Raises `error` 6, 5."""
    require("PulseEvent", naming.pulse_event(handle_of(hEvent), win32.EVENT_MODIFY_STATE))


def ReleaseMutex(hMutex: Any, /) -> None:
    """Undo one acquisition.  Never blocks.  Raises `error` 288, 6."""
    require("ReleaseMutex", win32.ReleaseMutex(handle_of(hMutex)))


def ReleaseSemaphore(hSemaphore: Any, lReleaseCount: Any, /) -> int:
    """Give units back; the count before.  Never blocks.  Raises `error` 87, 298, 6, 5."""
    released = win32.ReleaseSemaphore(handle_of(hSemaphore), c_long(lReleaseCount))
    require("ReleaseSemaphore", released.ret)
    assert isinstance(released.lpPreviousCount, int)
    return released.lpPreviousCount


def SetWaitableTimer(
    handle: Any, dueTime: Any, period: Any, func: None, param: None, resume_state: Any, /
) -> None:
    """Set a timer: `dueTime` in units of 100 ns (negative: from now), `period` in ms.  Raises `error` 87, 6, 5."""
    interval = c_long(period)
    only_none(func)
    only_none(param)
    require("SetWaitableTimer", win32.SetWaitableTimer(handle_of(handle), int(dueTime), interval))
    c_long(resume_state)


def CancelWaitableTimer(handle: Any, /) -> None:
    """Forget the setting.  Never blocks.  Raises `error` 6, 5."""
    require("CancelWaitableTimer", win32.CancelWaitableTimer(handle_of(handle)))


# -- waiting -------------------------------------------------------------------------------------------------------


def _waited(call: str, code: int) -> int:
    if code == status.WAIT_FAILED:
        raise api_error(call)
    return code


def _handles(handle_list: Sequence[Any]) -> list[int]:
    if not isinstance(handle_list, Sequence):
        raise TypeError("Handles must be a list of integers")
    try:
        return [handle_of(each) for each in handle_list]
    except TypeError:
        raise TypeError("Handles must be a list of integers") from None


def WaitForSingleObject(hHandle: Any, milliseconds: Any, /) -> int:
    """Wait for an object; 0, 128 (the mutex was abandoned) or 258.  Blocks, visibly (Q-23).  Raises `error` 6, 5."""
    return _waited("WaitForSingleObject", win32.WaitForSingleObject(handle_of(hHandle), dword(milliseconds)))


def WaitForSingleObjectEx(hHandle: Any, milliseconds: Any, bAlertable: Any, /) -> int:
    """`WaitForSingleObject`, perhaps alertably: 192 when user APCs ran."""
    code = win32.WaitForSingleObjectEx(handle_of(hHandle), dword(milliseconds), c_long(bAlertable))
    return _waited("WaitForSingleObjectEx", code)


def WaitForMultipleObjects(handleList: Any, bWaitAll: Any, milliseconds: Any, /) -> int:
    """Wait for one of 1 to 64 objects, or for all; the index (plus 128 for an abandoned mutex), or 258.

    Blocks, visibly (Q-23).  Raises `error` 87, 6, 5.  O(handles).
    """
    return _wait_for_several("WaitForMultipleObjects", handleList, bWaitAll, milliseconds, 0)


def WaitForMultipleObjectsEx(handleList: Any, bWaitAll: Any, milliseconds: Any, bAlertable: Any, /) -> int:
    """`WaitForMultipleObjects`, perhaps alertably: 192 when user APCs ran."""
    return _wait_for_several("WaitForMultipleObjectsEx", handleList, bWaitAll, milliseconds, c_long(bAlertable))


def _wait_for_several(call: str, handle_list: Any, wait_all: Any, milliseconds: Any, alertable: int) -> int:
    handles = _handles(handle_list)
    every, timeout = c_long(wait_all), dword(milliseconds)
    return _waited(call, win32.WaitForMultipleObjectsEx(len(handles), handles, every, timeout, alertable))


MWMO_WAITALL = 0x0001
MWMO_ALERTABLE = 0x0002


def MsgWaitForMultipleObjects(handleList: Any, bWaitAll: Any, milliseconds: Any, wakeMask: Any, /) -> int:
    """`WaitForMultipleObjects` for 0 to 63 objects; there are no messages that could end it.

    As on Windows, waiting for all waits for a message too, and so never ends but by the timeout.
    """
    flags = MWMO_WAITALL if c_long(bWaitAll) else 0
    return _wait_with_messages("MsgWaitForMultipleObjects", handleList, milliseconds, wakeMask, flags)


def MsgWaitForMultipleObjectsEx(handleList: Any, milliseconds: Any, wakeMask: Any, waitFlags: Any, /) -> int:
    """`MsgWaitForMultipleObjects` with flags: MWMO_WAITALL 1, MWMO_ALERTABLE 2."""
    return _wait_with_messages(
        "MsgWaitForMultipleObjectsEx", handleList, milliseconds, wakeMask, dword(waitFlags)
    )


def _wait_with_messages(call: str, handle_list: Any, milliseconds: Any, wake_mask: Any, flags: int) -> int:
    handles = _handles(handle_list)
    timeout = dword(milliseconds)
    dword(wake_mask)
    # The queue of messages is one more object, which is never signalled.
    silence = win32.CreateEventW(True, False)
    try:
        objects = [*handles, silence]
        code = win32.WaitForMultipleObjectsEx(
            len(objects), objects, flags & MWMO_WAITALL, timeout, flags & MWMO_ALERTABLE
        )
        return _waited(call, code)
    finally:
        win32.CloseHandle(silence)


def SignalObjectAndWait(
    hObjectToSignal: Any, hObjectToWaitOn: Any, milliseconds: Any, bAlertable: Any, /
) -> int:
    """Signal one object, then wait for another; the result of the wait, -1 when it failed.  Blocks, visibly."""
    code = win32.SignalObjectAndWait(
        handle_of(hObjectToSignal), handle_of(hObjectToWaitOn), dword(milliseconds), c_long(bAlertable)
    )
    return signed_long(code)


make_whole(globals())
