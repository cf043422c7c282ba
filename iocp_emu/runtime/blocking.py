"""Telling the kernel that a thread blocks outside it.

Theory.  Windows sees every wait; Python shows none.  So a thread that waits for something that the emulator does not
know of has to say so: then its slot is free while it waits, and one more waiter may run (Q-23, Q-25).  Waits of the
emulator's own (`sleep`, `wait`, `Event`, synchronous file I/O) say it by themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from ..kernel.thread import ThreadState
from .ambient import current_system


@contextlib.contextmanager
def blocking() -> Generator[None]:
    """Mark what is inside as blocking: the thread's slot on its port is given away meanwhile.

    Entering releases at most one waiter of the thread's port, with the oldest packet (Q-23, Q-25); leaving counts the
    thread again at once, whatever the concurrency value says (Q-26).  Nesting is harmless: only the outermost one
    counts.  Waiting on a port inside is refused (`RuntimeError`).  Does not block itself; O(1).

    >>> import iocp_emu, time
    >>> with iocp_emu.blocking():
    ...     time.sleep(0.001)
    """
    system = current_system()
    thread = system.current()
    if thread.state is ThreadState.BLOCKED:
        yield
        return
    system.block(thread)
    try:
        yield
    finally:
        system.unblock(thread)
