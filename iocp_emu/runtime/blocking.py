"""Telling the kernel that a thread blocks outside it.

Theory.  Windows sees every wait; Python shows none.  So a thread that waits for something that the emulator does not
know of has to say so: then its slot is free while it waits, and one more waiter may run (Q-23, Q-25).  Waits of the
emulator's own (`sleep`, `wait`, `Event`, synchronous file I/O) say it by themselves.
"""

from __future__ import annotations

import functools
from _thread import get_ident
from collections.abc import Callable
from typing import TypeVar

from typing_extensions import ParamSpec

from ..kernel.thread import BLOCKED, RUNNABLE
from .ambient import current_system
from .threads import OsThread, ThreadSystem

P = ParamSpec("P")
R = TypeVar("R")


class Blocking:
    """What `blocking()` returns: a context manager for one use, or a decorator."""

    __slots__ = ("_system", "_thread")

    def __init__(self) -> None:
        self._thread: OsThread | None = None

    def __enter__(self) -> None:
        system = current_system()
        thread = system.current()
        if thread.state is not BLOCKED:
            system.block(thread)
            self._system = system
            self._thread = thread

    def __exit__(self, *_: object) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._system.unblock(thread)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Let every call of `function` be a blocking section."""

        @functools.wraps(function)
        def blocking_function(*args: P.args, **kwargs: P.kwargs) -> R:
            with Blocking():
                return function(*args, **kwargs)

        return blocking_function


def blocking() -> Blocking:
    """Mark what is inside as blocking: the thread's slot on its port is given away meanwhile.

    Entering releases at most one waiter of the thread's port, with the oldest packet (Q-23, Q-25); leaving counts the
    thread again at once, whatever the concurrency value says (Q-26).  Nesting is harmless: only the outermost one
    counts.  Waiting on a port inside is refused (`RuntimeError`).  Does not block itself; O(1).

    >>> import iocp_emu, time
    >>> with iocp_emu.blocking():
    ...     time.sleep(0.001)
    >>> @iocp_emu.blocking()
    ... def ask_the_database(): ...
    """
    return Blocking()


def runnable_member() -> tuple[ThreadSystem, OsThread] | None:
    """The current system and the calling thread in it, if that is a runnable member of a port; else None.

    This is who occupies a slot (Q-02).  Asking makes no kernel thread of the caller.  Never blocks; O(1).
    """
    system = current_system()
    thread = system.threads_by_ident.get(get_ident())
    if thread is None or thread.queue is None or thread.state is not RUNNABLE:
        return None
    return system, thread
