"""Small words for the tests of the flat faces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from iocp_emu import win32
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.runtime.threads import ThreadSystem

DEADLINE_SECONDS = 30.0
BAD_HANDLE = 0xDEADBEEC
RW = win32.GENERIC_READ | win32.GENERIC_WRITE
SHARE_ALL = win32.FILE_SHARE_READ | win32.FILE_SHARE_WRITE | win32.FILE_SHARE_DELETE
PRESET = 0xBADC0DE


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.001)


def until_parked(*threads: KernelThread) -> None:
    """Wait until these threads are parked on a port or blocked."""
    asleep = (ThreadState.PARKED, ThreadState.BLOCKED)
    eventually(lambda: all(thread.state in asleep for thread in threads), "the threads sleep")


def new_port(concurrency: int = 0) -> int:
    """A new port."""
    handle = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, concurrency)
    assert handle
    return handle


def refused(system: ThreadSystem, call: Callable[..., object], *args: Any, **kwargs: Any) -> int:
    """Make a call that must be refused; its last error, after checking that nothing has changed."""
    system.current()
    before = snapshot(system.kernel)
    error = failing(call, *args, **kwargs)
    assert snapshot(system.kernel) == before
    return error


def failing(call: Callable[..., object], *args: Any, **kwargs: Any) -> int:
    """Make a call that must fail; its last error."""
    win32.SetLastError(PRESET)
    answer: Any = call(*args, **kwargs)
    result = answer[0] if isinstance(answer, tuple) else answer
    assert result is False or result in (0, win32.INVALID_HANDLE_VALUE, 0xFFFFFFFF), answer
    error = win32.GetLastError()
    assert error != PRESET
    return error
