"""User APCs, suspending and resuming through the Win32 face."""

from __future__ import annotations

import os
import signal
import threading

import pytest

import iocp_emu
from iocp_emu import win32
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.runtime.threads import ThreadSystem
from tests.faces.helpers import BAD_HANDLE, eventually, new_port, refused, until_parked

FOREVER = win32.INFINITE
FAILED = 0xFFFFFFFF


def test_g12_apcs_run_in_order_in_their_thread(machine: ThreadSystem) -> None:
    """G-12: APCs run oldest first, in the thread that they were queued to, with 64 bits of data."""
    ran: list[tuple[int, int]] = []

    def apc(data: int) -> None:
        ran.append((data, threading.get_ident()))

    sleeper = iocp_emu.spawn(lambda: (win32.SleepEx(FOREVER, True), threading.get_ident()))
    until_parked(sleeper.waitable)
    handle = win32.handle_of(sleeper.waitable)
    # Suspended, so that both are there before the thread goes on.
    assert win32.SuspendThread(handle) == 0
    assert win32.QueueUserAPC(handle, -1, pfnAPC=apc)
    assert win32.QueueUserAPC(handle, 2, pfnAPC=apc)
    assert win32.ResumeThread(handle) == 1
    code, identity = sleeper.join(30)
    assert code == win32.WAIT_IO_COMPLETION
    assert ran == [((1 << 64) - 1, identity), (2, identity)]


def test_apcs_for_nobody(machine: ThreadSystem) -> None:
    """31 for a thread that has ended, 6 for what is no thread."""
    ended = iocp_emu.spawn(win32.Sleep, 0)
    handle = win32.handle_of(ended.waitable)
    ended.join(30)
    assert refused(machine, win32.QueueUserAPC, handle, 1, pfnAPC=print) == 31
    assert refused(machine, win32.QueueUserAPC, new_port(), 1, pfnAPC=print) == 6
    assert refused(machine, win32.SuspendThread, handle) == 5
    assert win32.ResumeThread(handle) == 0


def test_q08_a_suspended_waiter_gets_nothing(machine: ThreadSystem) -> None:
    """Q-08, Q-23: a suspended waiter leaves the list; resumed it looks first for what is queued."""
    port = new_port()
    waiter = iocp_emu.spawn(win32.GetQueuedCompletionStatus, port, FOREVER)
    until_parked(waiter.waitable)
    handle = win32.handle_of(waiter.waitable)
    assert [win32.SuspendThread(handle), win32.SuspendThread(handle)] == [0, 1]
    assert win32.PostQueuedCompletionStatus(port, 0, 1, None)
    assert win32.WaitForSingleObject(port, 0) == 0
    assert [win32.ResumeThread(handle), win32.ResumeThread(handle)] == [2, 1]
    assert waiter.join(30).lpCompletionKey == 1
    assert win32.ResumeThread(handle) == 0


def test_a_suspended_wait_times_out_when_it_is_resumed(machine: ThreadSystem) -> None:
    """A blocked thread that is suspended has its result when it is resumed, not before."""
    sleeper = iocp_emu.spawn(win32.SleepEx, FOREVER, False)
    until_parked(sleeper.waitable)
    handle = win32.handle_of(sleeper.waitable)
    assert win32.SuspendThread(handle) == 0
    assert machine.perform(machine.kernel.expire, sleeper.waitable)
    assert sleeper.waitable.state is ThreadState.SUSPENDED
    assert sleeper.is_alive()
    assert win32.ResumeThread(handle) == 1
    assert sleeper.join(30) == 0


def test_a_thread_can_suspend_itself(machine: ThreadSystem) -> None:
    """Q-23: a thread that suspends itself gives its slot away and goes on when it is resumed."""
    port = new_port(1)

    def work() -> tuple[int, bool]:
        assert win32.PostQueuedCompletionStatus(port, 0, 1, None)
        assert win32.GetQueuedCompletionStatus(port, 0).ret
        return win32.SuspendThread(win32.GetCurrentThread()), win32.GetQueuedCompletionStatus(port, 0).ret

    worker = iocp_emu.spawn(work)
    eventually(lambda: worker.waitable.state is ThreadState.SUSPENDED, "it sleeps")
    assert win32.PostQueuedCompletionStatus(port, 0, 2, None)
    assert win32.GetQueuedCompletionStatus(port, 0).lpCompletionKey == 2
    assert win32.PostQueuedCompletionStatus(port, 0, 3, None)
    win32.CloseHandle(port)
    assert win32.ResumeThread(win32.handle_of(worker.waitable)) == 1
    assert worker.join(30) == (0, False)


def test_what_runs_cannot_be_suspended(machine: ThreadSystem) -> None:
    """50 for a thread that runs, or blocks where only the host knows; 6 and 5; 156 beyond 127 times."""
    go_on = threading.Event()

    def blocked() -> None:
        with iocp_emu.blocking():
            go_on.wait()

    for function in (go_on.wait, blocked):
        go_on.clear()
        runner = iocp_emu.spawn(function)
        handle = win32.handle_of(runner.waitable)
        assert win32.SuspendThread(handle) == FAILED
        assert win32.GetLastError() == 50
        go_on.set()
        runner.join(30)
    assert refused(machine, win32.SuspendThread, BAD_HANDLE) == 6
    assert refused(machine, win32.ResumeThread, new_port()) == 6
    sleeper = iocp_emu.spawn(win32.SleepEx, FOREVER, True)
    until_parked(sleeper.waitable)
    limited = win32.handle_of(sleeper.waitable, win32.SYNCHRONIZE)
    assert refused(machine, win32.SuspendThread, limited) == 5
    assert refused(machine, win32.ResumeThread, limited) == 5
    handle = win32.handle_of(sleeper.waitable)
    assert [win32.SuspendThread(handle) for _ in range(127)] == list(range(127))
    assert refused(machine, win32.SuspendThread, handle) == 156
    assert win32.QueueUserAPC(handle, 1, pfnAPC=lambda _: None)
    assert [win32.ResumeThread(handle) for _ in range(127)] == list(range(127, 0, -1))
    assert sleeper.join(30) == win32.WAIT_IO_COMPLETION


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to this process")
def test_an_interrupt_ends_a_suspension_of_oneself(machine: ThreadSystem) -> None:
    """Ctrl-C in a thread that has suspended itself raises, and the thread runs as before."""
    thread = machine.current()

    def interrupt() -> None:
        eventually(lambda: thread.state is ThreadState.SUSPENDED, "it sleeps")
        os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        win32.SuspendThread(win32.GetCurrentThread())
    helper.join()
    assert thread.state is ThreadState.RUNNABLE
    assert win32.ResumeThread(win32.GetCurrentThread()) == 0
    assert win32.SleepEx(1, False) == 0
