"""win32event and win32process: waiting, timers, threads, child processes, jobs."""

from __future__ import annotations

import sys
import threading

import pytest

from iocp_emu.compat.pywin32 import (
    pywintypes,
    win32api,
    win32con,
    win32event,
    win32file,
    win32job,
    win32process,
    winerror,
)

FOREVER = win32event.INFINITE


def signalled(handle: pywintypes.HANDLEType) -> bool:
    return win32event.WaitForSingleObject(handle, 0) == win32event.WAIT_OBJECT_0


# -- objects ---------------------------------------------------------------------------------------------------------


def test_events_of_both_kinds() -> None:
    automatic = win32event.CreateEvent(None, False, True, None)
    assert (signalled(automatic), signalled(automatic)) == (True, False)
    manual = win32event.CreateEvent(None, True, True, None)
    assert (signalled(manual), signalled(manual)) == (True, True)
    win32event.ResetEvent(manual)
    assert not signalled(manual)
    win32event.SetEvent(manual)
    assert signalled(manual)
    manual.Close()
    for call in (win32event.SetEvent, win32event.ResetEvent, win32event.PulseEvent, win32event.ReleaseMutex):
        with pytest.raises(pywintypes.error) as caught:
            call(manual)
        assert caught.value.args[:2] == (6, call.__name__)


def test_pulsing_wakes_who_waits_and_leaves_the_event_unsignalled() -> None:
    for manual in (True, False):
        event = win32event.CreateEvent(None, manual, False, None)
        win32event.PulseEvent(event)
        assert not signalled(event)
        results: list[int] = []

        def wait(event: object = event, results: list[int] = results) -> None:
            results.append(win32event.WaitForSingleObject(event, FOREVER))

        waiter = threading.Thread(target=wait)
        waiter.start()
        while waiter.is_alive():
            win32event.PulseEvent(event)
            waiter.join(0.001)
        assert results == [win32event.WAIT_OBJECT_0]
        assert not signalled(event)


def test_named_objects_are_found_by_name() -> None:
    first = win32event.CreateMutex(None, True, "pywin32 test of names")
    assert win32api.GetLastError() == 0
    second = win32event.CreateMutex(None, False, "pywin32 test of names")
    assert win32api.GetLastError() == winerror.ERROR_ALREADY_EXISTS
    third = win32event.OpenMutex(win32con.SYNCHRONIZE, False, "pywin32 test of names")
    assert len({int(first), int(second), int(third)}) == 3
    win32event.ReleaseMutex(third)
    with pytest.raises(win32event.error) as caught:
        win32event.OpenEvent(win32con.SYNCHRONIZE, False, "pywin32 test of names")
    assert caught.value.args[:2] == (6, "OpenEvent")
    for handle in (first, second, third):
        handle.Close()
    with pytest.raises(win32event.error) as caught:
        win32event.OpenMutex(win32con.SYNCHRONIZE, False, "pywin32 test of names")
    assert caught.value.args[:2] == (2, "OpenMutex")


def test_every_kind_of_named_object_can_be_opened() -> None:
    kept = [
        win32event.CreateEvent(None, 1, 1, "named event"),
        win32event.CreateSemaphore(None, 1, 1, "named semaphore"),
        win32event.CreateWaitableTimer(None, 1, "named timer"),
    ]
    assert win32event.OpenEvent(win32event.EVENT_MODIFY_STATE, False, "named event") not in kept
    assert win32event.OpenSemaphore(win32con.SEMAPHORE_MODIFY_STATE, False, "named semaphore") not in kept
    assert win32event.OpenWaitableTimer(win32event.TIMER_MODIFY_STATE, False, "named timer") not in kept
    weak = win32event.OpenEvent(win32con.SYNCHRONIZE, False, "named event")
    with pytest.raises(win32event.error) as caught:
        win32event.SetEvent(weak)
    assert caught.value.args[:2] == (winerror.ERROR_ACCESS_DENIED, "SetEvent")


def test_semaphores_count() -> None:
    semaphore = win32event.CreateSemaphore(None, 1, 3, None)
    assert signalled(semaphore)
    assert not signalled(semaphore)
    assert win32event.ReleaseSemaphore(semaphore, 2) == 0
    assert win32event.ReleaseSemaphore(semaphore, 1) == 2
    with pytest.raises(win32event.error) as caught:
        win32event.ReleaseSemaphore(semaphore, 1)
    assert caught.value.args[:2] == (winerror.ERROR_TOO_MANY_POSTS, "ReleaseSemaphore")


def test_an_abandoned_mutex_is_told() -> None:
    mutex = win32event.CreateMutex(None, False, None)
    thread = threading.Thread(target=win32event.WaitForSingleObject, args=(mutex, FOREVER))
    thread.start()
    thread.join()
    assert win32event.WaitForSingleObject(mutex, FOREVER) == win32event.WAIT_ABANDONED
    win32event.ReleaseMutex(mutex)
    with pytest.raises(win32event.error) as caught:
        win32event.ReleaseMutex(mutex)
    assert caught.value.args[:2] == (winerror.ERROR_NOT_OWNER, "ReleaseMutex")


def test_timers_fire_and_can_be_cancelled() -> None:
    timer = win32event.CreateWaitableTimer(None, False, None)
    win32event.SetWaitableTimer(timer, -160, 0, None, None, 0)
    assert win32event.WaitForSingleObject(timer, FOREVER) == win32event.WAIT_OBJECT_0
    win32event.SetWaitableTimer(timer, -2_000_000_000, 0, None, None, 0)
    assert win32event.WaitForSingleObject(timer, 0) == win32event.WAIT_TIMEOUT
    win32event.CancelWaitableTimer(timer)
    precise = win32event.CreateWaitableTimerEx(
        None, None, win32event.CREATE_WAITABLE_TIMER_MANUAL_RESET, win32event.TIMER_ALL_ACCESS
    )
    win32event.SetWaitableTimer(precise, -1, 0, None, None, 0)
    assert win32event.WaitForSingleObject(precise, FOREVER) == win32event.WAIT_OBJECT_0
    assert signalled(precise)
    with pytest.raises(TypeError, match="must be None"):
        win32event.SetWaitableTimer(timer, -1, 0, print, None, 0)  # type: ignore[arg-type]
    timer.close()
    with pytest.raises(win32event.error):
        win32event.SetWaitableTimer(timer, -42, 0, None, None, 0)


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_waiting_for_several() -> None:
    events = [win32event.CreateEvent(None, True, index == 1, None) for index in range(3)]
    assert win32event.WaitForMultipleObjects(events, False, FOREVER) == win32event.WAIT_OBJECT_0 + 1
    assert win32event.WaitForMultipleObjects(tuple(map(int, events)), True, 0) == win32event.WAIT_TIMEOUT
    assert win32event.WaitForMultipleObjectsEx(events, False, 0, True) == 1
    assert win32event.SignalObjectAndWait(events[0], events[1], 0, False) == win32event.WAIT_OBJECT_0
    assert signalled(events[0])
    for handles, code in (([], 87), ([events[0]] * 65, 87), ([events[0], 4], 6)):
        with pytest.raises(win32event.error) as caught:
            win32event.WaitForMultipleObjects(handles, False, 0)
        assert caught.value.args[:2] == (code, "WaitForMultipleObjects")
    with pytest.raises(TypeError, match="list of integers"):
        win32event.WaitForMultipleObjects(5, False, 0)


def test_waiting_with_messages_that_never_come() -> None:
    event = win32event.CreateEvent(None, True, False, None)
    assert win32event.MsgWaitForMultipleObjects([], 0, 0, 0) == win32event.WAIT_TIMEOUT
    assert win32event.MsgWaitForMultipleObjects([event], 0, 0, win32event.QS_ALLINPUT) == win32event.WAIT_TIMEOUT
    assert win32event.MsgWaitForMultipleObjectsEx([event], 0, 0, 0) == win32event.WAIT_TIMEOUT
    win32event.SetEvent(event)
    assert win32event.MsgWaitForMultipleObjects([event], 0, FOREVER, win32event.QS_ALLINPUT) == 0
    assert win32event.MsgWaitForMultipleObjects([event], 1, 0, win32event.QS_ALLINPUT) == win32event.WAIT_TIMEOUT


def test_a_port_is_waited_for_like_anything_else() -> None:
    """O-10: a port is signalled while packets are queued."""
    port = win32file.CreateIoCompletionPort(-1, None, 0, 0)
    assert win32event.WaitForSingleObject(port, 0) == win32event.WAIT_TIMEOUT
    win32file.PostQueuedCompletionStatus(port)
    assert win32event.WaitForSingleObjectEx(port, FOREVER, False) == win32event.WAIT_OBJECT_0


def test_sleeping_and_time() -> None:
    before = win32api.GetTickCount()
    assert win32api.Sleep(1) == 0
    assert win32api.Sleep(0, 1) == 0
    assert win32api.GetTickCount() != before
    assert win32api.GetSystemInfo()[5] >= 1
    assert win32api.GetCurrentProcessId() == win32process.GetCurrentProcessId()


# -- threads ---------------------------------------------------------------------------------------------------------


def test_a_thread_has_a_handle_and_an_exit_code() -> None:
    go = win32event.CreateEvent(None, True, False, None)

    def body(first: int, second: int) -> int:
        win32event.WaitForSingleObject(go, FOREVER)
        return first + second

    handle, number = win32process.beginthreadex(None, 0, body, (40, 2), 0)
    assert number != win32api.GetCurrentThreadId()
    assert win32process.GetExitCodeThread(handle) == 259
    win32event.SetEvent(go)
    assert win32event.WaitForSingleObject(handle, FOREVER) == win32event.WAIT_OBJECT_0
    assert win32process.GetExitCodeThread(handle) == 42


def test_a_thread_can_begin_suspended() -> None:
    ran: list[int] = []
    handle, _ = win32process.beginthreadex(None, 0, ran.append, (1,), win32con.CREATE_SUSPENDED)
    assert win32event.WaitForSingleObject(handle, 20) == win32event.WAIT_TIMEOUT
    assert ran == []
    assert win32process.SuspendThread(handle) == 1
    assert win32process.ResumeThread(handle) == 2
    assert win32process.ResumeThread(handle) == 1
    assert win32event.WaitForSingleObject(handle, FOREVER) == win32event.WAIT_OBJECT_0
    assert ran == [1]
    assert win32process.GetExitCodeThread(handle) == 0


# -- processes and jobs ----------------------------------------------------------------------------------------------


def started(code: str, flags: int = 0) -> tuple[pywintypes.HANDLEType, pywintypes.HANDLEType, int, int]:
    command = f'"{sys.executable}" -I -S -c "{code}"'
    return win32process.CreateProcess(None, command, None, None, False, flags, None, None, win32process.STARTUPINFO())


def test_a_child_is_waited_for_and_has_an_exit_code() -> None:
    process, thread, pid, _ = started("import sys; sys.exit(3)")
    assert win32process.GetProcessId(process) == pid
    assert win32event.WaitForSingleObject(process, FOREVER) == win32event.WAIT_OBJECT_0
    assert win32process.GetExitCodeProcess(process) == 3
    thread.Close()


def test_a_child_is_terminated_by_a_handle_that_was_opened_by_number() -> None:
    process, thread, pid, _ = started("import time; time.sleep(100)")
    thread.Close()
    other = win32api.OpenProcess(win32con.PROCESS_TERMINATE | win32con.SYNCHRONIZE, False, pid)
    assert win32process.GetExitCodeProcess(process) == 259
    win32api.TerminateProcess(other, 77)
    win32event.WaitForSingleObject(other, FOREVER)
    assert win32process.GetExitCodeProcess(process) == 77
    with pytest.raises(win32api.error) as caught:
        win32api.OpenProcess(win32con.SYNCHRONIZE, False, pid)
    assert caught.value.args[:2] == (87, "OpenProcess")


def test_errors_of_starting() -> None:
    with pytest.raises(win32process.error) as caught:
        win32process.CreateProcess(
            None, "no-such-program-anywhere", None, None, 0, 0, None, None, win32process.STARTUPINFO()
        )
    assert caught.value.args[:2] == (2, "CreateProcess")
    startup = win32process.STARTUPINFO()
    startup.dwFlags = win32process.STARTF_USESTDHANDLES
    with pytest.raises(win32process.error) as caught:
        win32process.CreateProcess(None, "program", None, None, 0, 0, None, None, startup)
    assert caught.value.args[:2] == (50, "CreateProcess")


def test_a_job_tells_its_port_of_processes() -> None:
    """X-04: message numbers in the byte count, the process in place of the OVERLAPPED."""
    port = win32file.CreateIoCompletionPort(-1, None, 0, 0)
    job = win32job.CreateJobObject(None, "")
    association = {"CompletionKey": 5, "CompletionPort": port}
    win32job.SetInformationJobObject(job, win32job.JobObjectAssociateCompletionPortInformation, association)
    process, thread, pid, _ = started("pass", win32con.CREATE_SUSPENDED)
    win32job.AssignProcessToJobObject(job, process)
    assert win32job.IsProcessInJob(process, job)
    assert win32job.QueryInformationJobObject(job, win32job.JobObjectBasicProcessIdList) == (pid,)
    win32process.ResumeThread(thread)
    packets = [win32file.GetQueuedCompletionStatus(port, FOREVER) for _ in range(3)]
    assert packets == [
        (0, win32job.JOB_OBJECT_MSG_NEW_PROCESS, 5, pid),
        (0, win32job.JOB_OBJECT_MSG_EXIT_PROCESS, 5, pid),
        (0, win32job.JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO, 5, None),
    ]
    assert not win32job.IsProcessInJob(process, None)
    with pytest.raises(win32job.error) as caught:
        win32job.SetInformationJobObject(job, 7, association)
    assert caught.value.args[:2] == (87, "SetInformationJobObject")


def test_a_job_ends_its_processes() -> None:
    job = win32job.CreateJobObject(None, "a job to open")
    process, _, _, _ = started("import time; time.sleep(100)")
    win32job.AssignProcessToJobObject(job, process)
    win32job.TerminateJobObject(win32job.OpenJobObject(win32job.JOB_OBJECT_TERMINATE, False, "a job to open"), 9)
    win32event.WaitForSingleObject(process, FOREVER)
    assert win32process.GetExitCodeProcess(process) == 9


def test_limits_of_a_job_are_refused_rather_than_forgotten() -> None:
    job = win32job.CreateJobObject(None, None)
    limits = win32job.QueryInformationJobObject(job, win32job.JobObjectBasicLimitInformation)
    win32job.SetInformationJobObject(job, win32job.JobObjectBasicLimitInformation, limits)
    limits["LimitFlags"] = win32job.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    with pytest.raises(win32job.error) as caught:
        win32job.SetInformationJobObject(job, win32job.JobObjectBasicLimitInformation, limits)
    assert caught.value.args[:2] == (50, "SetInformationJobObject")
    with pytest.raises(NotImplementedError):
        win32job.QueryInformationJobObject(job, win32job.JobObjectBasicUIRestrictions)
