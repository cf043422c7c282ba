"""`win32event`: events, mutexes, semaphores, timers, and waiting for them."""

# ruff: noqa: PLC0414 -- the aliases say that these names are exported

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import pick as _pick
from .errors import error as error
from .events import CancelWaitableTimer as CancelWaitableTimer
from .events import CreateEvent as CreateEvent
from .events import CreateMutex as CreateMutex
from .events import CreateSemaphore as CreateSemaphore
from .events import CreateWaitableTimer as CreateWaitableTimer
from .events import CreateWaitableTimerEx as CreateWaitableTimerEx
from .events import MsgWaitForMultipleObjects as MsgWaitForMultipleObjects
from .events import MsgWaitForMultipleObjectsEx as MsgWaitForMultipleObjectsEx
from .events import OpenEvent as OpenEvent
from .events import OpenMutex as OpenMutex
from .events import OpenSemaphore as OpenSemaphore
from .events import OpenWaitableTimer as OpenWaitableTimer
from .events import PulseEvent as PulseEvent
from .events import ReleaseMutex as ReleaseMutex
from .events import ReleaseSemaphore as ReleaseSemaphore
from .events import ResetEvent as ResetEvent
from .events import SetEvent as SetEvent
from .events import SetWaitableTimer as SetWaitableTimer
from .events import SignalObjectAndWait as SignalObjectAndWait
from .events import WaitForMultipleObjects as WaitForMultipleObjects
from .events import WaitForMultipleObjectsEx as WaitForMultipleObjectsEx
from .events import WaitForSingleObject as WaitForSingleObject
from .events import WaitForSingleObjectEx as WaitForSingleObjectEx

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


globals().update(
    _pick(
        """
        WAIT_FAILED WAIT_OBJECT_0 WAIT_ABANDONED WAIT_ABANDONED_0 WAIT_TIMEOUT WAIT_IO_COMPLETION
        MAXIMUM_WAIT_OBJECTS INFINITE SYNCHRONIZE EVENT_ALL_ACCESS EVENT_MODIFY_STATE
        TIMER_ALL_ACCESS TIMER_MODIFY_STATE TIMER_QUERY_STATE
        CREATE_WAITABLE_TIMER_MANUAL_RESET CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
        QS_ALLEVENTS QS_ALLINPUT QS_HOTKEY QS_INPUT QS_KEY QS_MOUSE QS_MOUSEBUTTON QS_MOUSEMOVE QS_PAINT
        QS_POSTMESSAGE QS_SENDMESSAGE QS_TIMER
        """
    )
)
