"""Events, semaphores, mutexes, timers and waits through the Win32 face."""

from __future__ import annotations

import threading
import time

import pytest

import iocp_emu
from iocp_emu import ntdll, win32
from iocp_emu.flat.support import filetime_now
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.runtime.timers import CLOCK, AlarmClock
from iocp_emu.win32 import UNTOUCHED
from tests.faces.helpers import BAD_HANDLE, eventually, new_port, refused, until_parked

FOREVER = win32.INFINITE
TIMEOUT = win32.WAIT_TIMEOUT
MS = 10_000
"""One millisecond in units of 100 ns."""


def ready(handle: int) -> bool:
    """Whether a wait on it would be satisfied; takes what such a wait takes."""
    return win32.WaitForSingleObject(handle, 0) == 0


def test_events(machine: ThreadSystem) -> None:
    """Manual-reset events stay signalled until reset, auto-reset ones release one wait."""
    manual, auto = win32.CreateEventW(True, True), win32.CreateEventW(False, True)
    assert [ready(manual), ready(manual), ready(auto), ready(auto)] == [True, True, True, False]
    assert win32.ResetEvent(manual)
    assert win32.SetEvent(auto)
    assert [ready(manual), ready(auto)] == [False, True]
    port = new_port()
    for call in (win32.SetEvent, win32.ResetEvent):
        assert refused(machine, call, port) == 6
        assert refused(machine, call, BAD_HANDLE) == 6
        waiter = win32.DuplicateHandle(manual, win32.SYNCHRONIZE, 0).lpTargetHandle
        assert refused(machine, call, waiter) == 5


def test_semaphores(machine: ThreadSystem) -> None:
    """Units are taken one by one; 298 beyond the maximum, 87 for silly counts."""
    semaphore = win32.CreateSemaphoreW(1, 2)
    assert [ready(semaphore), ready(semaphore)] == [True, False]
    assert win32.ReleaseSemaphore(semaphore, 2) == (True, 0)
    assert win32.ReleaseSemaphore(semaphore, 1) == (False, UNTOUCHED)
    assert refused(machine, win32.ReleaseSemaphore, semaphore, 1) == 298
    assert refused(machine, win32.ReleaseSemaphore, semaphore, 0) == 87
    for initial, maximum in ((3, 2), (0, 0), (-1, 2), (0xFFFFFFFF, 2)):
        assert refused(machine, win32.CreateSemaphoreW, initial, maximum) == 87


def test_mutexes(machine: ThreadSystem) -> None:
    """A mutex belongs to a thread, recursively; 288 for others; 128 when the owner died."""
    mutex = win32.CreateMutexW(True)
    assert ready(mutex)
    assert win32.ReleaseMutex(mutex)
    assert iocp_emu.spawn(win32.WaitForSingleObject, mutex, 0).join() == TIMEOUT
    assert win32.ReleaseMutex(mutex)
    assert refused(machine, win32.ReleaseMutex, mutex) == 288
    assert iocp_emu.spawn(win32.WaitForSingleObject, mutex, 0).join() == 0
    assert win32.WaitForSingleObject(mutex, FOREVER) == win32.WAIT_ABANDONED_0
    assert win32.ReleaseMutex(mutex)


def test_o02_named_objects(machine: ThreadSystem) -> None:
    """O-02: a second create opens the first one and says 183; 6 for another type, 123 for a name that is too long."""
    first = win32.CreateEventW(True, False, lpName="name")
    assert win32.GetLastError() == 0
    second = win32.CreateEventW(True, True, lpName="name")
    assert win32.GetLastError() == 183
    assert not ready(second)
    assert win32.SetEvent(first)
    assert ready(second)
    assert refused(machine, win32.CreateSemaphoreW, 0, 1, lpName="name") == 6
    assert refused(machine, win32.CreateMutexW, False, lpName="name") == 6
    assert refused(machine, win32.CreateWaitableTimerW, False, lpTimerName="name") == 6
    assert refused(machine, win32.CreateJobObjectW, lpName="name") == 6
    assert refused(machine, win32.CreateEventW, False, False, lpName="x" * 40_000) == 123
    assert win32.CloseHandle(first)
    assert win32.CloseHandle(second)
    assert win32.CreateMutexW(False, lpName="name")
    assert win32.GetLastError() == 0


# -- timers ------------------------------------------------------------------------------------------------------


def test_a_timer_is_due_once(machine: ThreadSystem) -> None:
    """A timer is signalled when it is due, from now on or by the clock; a synchronization timer for one wait."""
    for due in (-20 * MS, 0, filetime_now() + 20 * MS, 1):
        timer = win32.CreateWaitableTimerW(False)
        assert not ready(timer)
        assert win32.SetWaitableTimer(timer, due)
        assert win32.WaitForSingleObject(timer, 30_000) == 0
        assert not ready(timer)
    manual = win32.CreateWaitableTimerW(True)
    assert win32.SetWaitableTimer(manual, 0)
    assert win32.WaitForSingleObject(manual, 30_000) == 0
    assert ready(manual)


def test_a_timer_is_not_early(machine: ThreadSystem) -> None:
    """It waits at least as long as it was told."""
    timer, began = win32.CreateWaitableTimerW(True), time.monotonic()
    assert win32.SetWaitableTimer(timer, -50 * MS)
    assert win32.WaitForSingleObject(timer, FOREVER) == 0
    assert time.monotonic() - began >= 0.05


def test_a_periodic_timer_runs_its_routine(machine: ThreadSystem) -> None:
    """With a period it comes again and again; the routine is a user APC of the thread that set it."""
    timer, calls = win32.CreateWaitableTimerW(False), list[tuple[object, int, int]]()
    before = filetime_now()
    assert win32.SetWaitableTimer(timer, 0, 5, lambda *args: calls.append(args), "argument")
    eventually(lambda: win32.SleepEx(1000, True) == 192 and len(calls) >= 3, "three calls")
    assert win32.CancelWaitableTimer(timer)
    assert {argument for argument, _, _ in calls} == {"argument"}
    assert all(before <= low | high << 32 <= filetime_now() for _, low, high in calls)


def test_cancelling_and_setting_anew(machine: ThreadSystem) -> None:
    """A cancelled setting never rings; a new one replaces it; a closed timer leaves the clock."""
    timer = win32.CreateWaitableTimerW(True)
    assert win32.SetWaitableTimer(timer, -30_000 * MS)
    assert win32.SetWaitableTimer(timer, -1 * MS)
    assert win32.WaitForSingleObject(timer, 20_000) == 0
    assert win32.SetWaitableTimer(timer, -30_000 * MS)
    assert win32.CancelWaitableTimer(timer)
    assert not ready(timer)
    assert win32.SetWaitableTimer(timer, -30_000 * MS)
    assert CLOCK.is_running
    assert win32.CloseHandle(timer)
    eventually(lambda: not CLOCK.is_running, "the clock stops when nothing is set")


def test_refused_timers(machine: ThreadSystem) -> None:
    """87 for a negative period, 6 for what is no timer, 5 without the right."""
    timer, event = win32.CreateWaitableTimerW(True), win32.CreateEventW(True, False)
    waiter = win32.DuplicateHandle(timer, win32.SYNCHRONIZE, 0).lpTargetHandle
    assert refused(machine, win32.SetWaitableTimer, timer, 0, -1) == 87
    assert refused(machine, win32.SetWaitableTimer, event, 0) == 6
    assert refused(machine, win32.SetWaitableTimer, waiter, 0) == 5
    assert refused(machine, win32.CancelWaitableTimer, event) == 6


def test_a_timer_that_the_host_refuses(machine: ThreadSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """1450 when the host starts no thread; the timer can be set again later."""
    timer = win32.CreateWaitableTimerW(True)
    eventually(lambda: not CLOCK.is_running, "no timer is set")

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        assert not win32.SetWaitableTimer(timer, -1 * MS)
        assert win32.GetLastError() == 1450
    assert win32.SetWaitableTimer(timer, -1 * MS)
    assert win32.WaitForSingleObject(timer, 30_000) == 0


def test_the_routine_of_a_dead_thread_is_dropped(machine: ThreadSystem) -> None:
    """A timer outlives the thread that has set it; its routine does not."""
    timer, ran = win32.CreateWaitableTimerW(False), list[object]()

    def set_it() -> None:
        assert win32.SetWaitableTimer(timer, -1 * MS, 1, lambda *args: ran.append(args))

    iocp_emu.spawn(set_it).join()
    for _ in range(2):
        assert win32.WaitForSingleObject(timer, 30_000) == 0
    assert win32.CancelWaitableTimer(timer)
    assert not ran


def test_the_clock_rings_in_order_and_stops() -> None:
    """Alarms ring earliest first, cancelled ones not, and the thread ends with the last."""
    clock, rung = AlarmClock(), list[int]()
    start = time.monotonic() + 0.02
    late = clock.set(start + 60, lambda: rung.append(3))
    clock.set(start + 0.02, lambda: rung.append(2))
    clock.set(start, lambda: rung.append(1))
    clock.cancel(late)
    eventually(lambda: not clock.is_running, "the clock stops")
    assert rung == [1, 2]


# -- waiting -----------------------------------------------------------------------------------------------------


def test_waiting_for_several(machine: ThreadSystem) -> None:
    """ANY tells the index of the first; ALL takes everything or nothing; 87 for none or more than 64."""
    first, second = win32.CreateEventW(False, False), win32.CreateEventW(False, True)
    both = (first, second)
    assert win32.WaitForMultipleObjects(2, both, True, 0) == TIMEOUT
    assert win32.WaitForMultipleObjects(2, both, False, 0) == 1
    assert win32.WaitForMultipleObjects(2, both, False, 1) == TIMEOUT
    assert win32.SetEvent(first)
    assert win32.SetEvent(second)
    assert win32.WaitForMultipleObjects(2, both, True, FOREVER) == 0
    assert [ready(first), ready(second)] == [False, False]
    assert refused(machine, win32.WaitForMultipleObjects, 0, (), False, 0) == 87
    assert refused(machine, win32.WaitForMultipleObjects, 3, both, False, 0) == 87
    many = [win32.CreateEventW(True, True) for _ in range(65)]
    assert refused(machine, win32.WaitForMultipleObjects, 65, many, False, 0) == 87
    assert win32.WaitForMultipleObjects(64, many, True, 0) == 0
    assert refused(machine, win32.WaitForMultipleObjects, 2, (first, BAD_HANDLE), False, 0) == 6
    assert win32.WaitForSingleObject(win32.CreateJobObjectW(), 0) == TIMEOUT
    reserve = ntdll.NtAllocateReserveObject(1).MemoryReserveHandle
    assert refused(machine, win32.WaitForSingleObject, reserve, 0) == 6


def test_signal_and_wait(machine: ThreadSystem) -> None:
    """SignalObjectAndWait sets an event, or releases a mutex or a semaphore, and then waits."""
    event, semaphore, mutex = win32.CreateEventW(False, False), win32.CreateSemaphoreW(0, 1), win32.CreateMutexW(True)
    assert win32.SignalObjectAndWait(event, event, FOREVER, False) == 0
    assert win32.SignalObjectAndWait(semaphore, semaphore, FOREVER, False) == 0
    assert win32.SignalObjectAndWait(mutex, event, 1, False) == TIMEOUT
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 1, pfnAPC=lambda _: None)
    assert win32.SignalObjectAndWait(event, semaphore, FOREVER, True) == win32.WAIT_IO_COMPLETION
    assert ready(event)
    assert refused(machine, win32.SignalObjectAndWait, event, BAD_HANDLE, 0, False) == 6
    assert refused(machine, win32.SignalObjectAndWait, BAD_HANDLE, event, 0, False) == 6
    assert refused(machine, win32.SignalObjectAndWait, new_port(), event, 0, False) == 6
    assert refused(machine, win32.SignalObjectAndWait, mutex, event, 0, False) == 288


def test_o10_a_port_is_waited_on_like_anything_else(machine: ThreadSystem) -> None:
    """O-10, O-13, M-25: signalled while packets are queued; the wait takes none and joins no port."""
    port = new_port()
    assert win32.WaitForSingleObject(port, 0) == TIMEOUT
    waiters = [iocp_emu.spawn(win32.WaitForSingleObject, port, FOREVER) for _ in range(2)]
    until_parked(*(waiter.waitable for waiter in waiters))
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert [waiter.join(30) for waiter in waiters] == [0, 0]
    assert machine.process.handles.lookup(port, IoCompletion).depth == 1
    assert not machine.process.handles.lookup(port, IoCompletion).queue.members


@pytest.mark.parametrize("how", ["wait", "sleep"])
def test_q23_a_wait_gives_the_slot_away(machine: ThreadSystem, how: str) -> None:
    """Q-23, Q-25, Q-26: a thread of the port that waits or sleeps lets another one have a packet."""
    port, event = new_port(1), win32.CreateEventW(True, False)
    assert win32.PostQueuedCompletionStatus(port, 0, 1, None)
    assert win32.GetQueuedCompletionStatus(port, 0).ret
    other = iocp_emu.spawn(win32.GetQueuedCompletionStatus, port, FOREVER)
    until_parked(other.waitable)
    assert win32.PostQueuedCompletionStatus(port, 0, 2, None)
    assert win32.WaitForSingleObject(event, 0) == TIMEOUT  # polling gives nothing away
    win32.Sleep(0)
    assert other.is_alive()
    if how == "wait":
        assert win32.WaitForSingleObject(event, 1) == TIMEOUT
    else:
        win32.Sleep(1)
    assert other.join(30).lpCompletionKey == 2


def test_sleeping(machine: ThreadSystem) -> None:
    """SleepEx is 0 after the time and 192 after APCs; not alertable it leaves them pending."""
    ran: list[int] = []
    assert win32.QueueUserAPC(win32.GetCurrentThread(), 1, pfnAPC=ran.append)
    assert win32.SleepEx(1, False) == 0
    assert ran == []
    assert win32.SleepEx(FOREVER, True) == 192
    assert win32.SleepEx(0, True) == 0
    assert ran == [1]


def test_no_timer_thread_is_left() -> None:
    """The clock's thread ends when no timer is set."""
    eventually(
        lambda: not any(thread.name == "iocp_emu timers" for thread in threading.enumerate()), "no thread is left"
    )
