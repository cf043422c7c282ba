"""Threads, events and waits that the kernel knows: what plain worker functions are written with.

Theory.  Functions written with these names run unchanged on every runtime.  Each wait here is visible to the kernel:
a thread of a port that waits gives its slot away and is counted again when the wait ends (Q-23, Q-26).  Spinning,
polling and waits that are satisfied at once change nothing (Q-29).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from time import sleep as yield_processor
from typing import Any, Generic, TypeVar, cast

from . import status
from .errors import WaitTimeout
from .kernel.objects import Access
from .kernel.thread import ThreadState
from .kernel.waits import MAXIMUM_WAIT_OBJECTS, ResetMode, WaitMode
from .kernel.waits import Event as KernelEvent
from .port import HandleOwner, check_timeout
from .runtime.ambient import current_system
from .runtime.threads import OsThread, ThreadSystem
from .runtime.virtual_system import VirtualSystem

T = TypeVar("T")
OwnerT = TypeVar("OwnerT", bound=HandleOwner)


class WaitableOwner(HandleOwner):
    """An object that there is nothing else to do with than to wait for it."""

    __slots__ = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds (None: for ever); False when they passed.  Blocks, visibly (Q-23)."""
        return wait([self], timeout) is not None


class Event(WaitableOwner):
    """An event: `reset_mode` MANUAL (the default) stays set for everybody, AUTO is spent on one waiter.

    >>> from iocp_emu import Event
    >>> event = Event()
    >>> event.wait(timeout=0)
    False
    >>> event.set()
    >>> event.wait()
    True
    """

    __slots__ = ("_event",)

    def __init__(self, reset_mode: ResetMode = ResetMode.MANUAL) -> None:
        if not isinstance(reset_mode, ResetMode):
            raise TypeError(f"reset_mode must be a ResetMode, not {type(reset_mode).__name__}")
        system = current_system()
        self._event, handle = system.perform(_open_event, system, reset_mode)
        super().__init__(system, handle)

    @property
    def waitable(self) -> KernelEvent:
        """The kernel's event; `ValueError` once closed."""
        assert self.handle
        return self._event

    def set(self) -> None:
        """Signal; waiters that can go, go.  Never blocks.  Raises `ValueError` once closed."""
        self._system.perform(self.waitable.set)

    def reset(self) -> None:
        """Unsignal.  Never blocks.  Raises `ValueError` once closed."""
        self._system.perform(self.waitable.reset)

    def is_set(self) -> bool:
        """Whether it is signalled; consumes nothing."""
        return self._event.signalled


class SpawnedThread(WaitableOwner, Generic[T]):
    """A thread started by `spawn`; signalled, for `wait`, once it has ended and left its port (Q-28)."""

    __slots__ = ("_error", "_result", "_thread")

    def __init__(self, system: ThreadSystem, name: str, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._thread = system.create_thread(name)
        self._result: T | None = None
        self._error: BaseException | None = None
        super().__init__(system, system.perform(system.process.handles.open, self._thread, Access.ALL))
        context = contextvars.copy_context()
        if isinstance(system, VirtualSystem):
            system.start(self._thread, context, lambda: self._call(function, args))
            return
        try:
            threading.Thread(target=self._run, args=(context, function, args), name=name, daemon=True).start()
        except RuntimeError:
            system.end_thread(self._thread)
            self.close()
            raise

    @property
    def name(self) -> str:
        """The name that reports show."""
        return self._thread.name or ""

    @property
    def waitable(self) -> OsThread:
        """The kernel's thread; `ValueError` once closed."""
        assert self.handle
        return self._thread

    def is_alive(self) -> bool:
        """Whether the function has not returned yet."""
        return self._thread.state is not ThreadState.EXITED

    def join(self, timeout: float | None = None) -> T:
        """Wait up to `timeout` seconds for the end; what the function returned.  Blocks, visibly (Q-23).

        Raises what the function raised; `TimeoutError` (258) when it goes on.
        """
        if not self.wait(timeout):
            raise WaitTimeout(status.WAIT_TIMEOUT)
        if self._error is not None:
            if isinstance(self._system, VirtualSystem):
                self._system.error_was_seen(self._thread)
            raise self._error
        return cast(T, self._result)

    def _run(self, context: contextvars.Context, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._system.adopt(self._thread)
        try:
            context.run(self._call, function, args)
        except BaseException:
            pass  # `join` has it
        finally:
            self._system.end_current_thread()

    def _call(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            self._result = function(*args)
        except BaseException as error:
            self._error = error
            raise
        return self._result


def spawn(function: Callable[..., T], *args: Any, name: str | None = None) -> SpawnedThread[T]:
    """Run `function(*args)` in a new thread, in a copy of the caller's context.

    The thread is a daemon: it does not keep the interpreter alive.  `name` is what reports show, by default the name of
    the function.  Raises `RuntimeError` when the operating system has no more threads.

    >>> from iocp_emu import spawn
    >>> spawn(pow, 2, 5).join()
    32
    """
    title = str(name or getattr(function, "__name__", "spawned"))
    return SpawnedThread(current_system(), title, function, args)


def wait(
    objects: Sequence[OwnerT], timeout: float | None = None, *, mode: WaitMode = WaitMode.ANY
) -> OwnerT | None:
    """Wait until one of `objects` (mode ALL: every one) is signalled; which one, or None when `timeout` passed.

    `objects`: 1 to 64 events, spawned threads, files or ports; waiting for a port takes no packet and does not join it
    (O-10, O-13).  `timeout` in seconds: None waits for ever, 0 polls.  With ALL the first of them is returned.  Blocks,
    visibly (Q-23).  O(objects).  Raises `ValueError`, `TypeError`.
    """
    timeout = check_timeout(timeout)
    if not 1 <= len(objects) <= MAXIMUM_WAIT_OBJECTS:
        raise ValueError(f"objects must hold 1 to {MAXIMUM_WAIT_OBJECTS} objects, not {len(objects)}")
    waitables = [each.waitable for each in objects]
    if len(set(waitables)) < len(waitables):
        raise ValueError("objects must not name one object twice")
    code = current_system().wait(waitables, mode, timeout)
    if code == status.STATUS_TIMEOUT:
        return None
    return objects[code - status.STATUS_WAIT_0 if mode is WaitMode.ANY else 0]


def sleep(seconds: float) -> None:
    """Sleep; the thread's slot is free meanwhile (Q-23).  0 gives up the processor and changes nothing (Q-29)."""
    duration = check_timeout(seconds)
    system = current_system()
    if duration != 0:
        system.wait((), timeout=duration)
    elif isinstance(system, VirtualSystem):
        system.yield_processor()
    else:
        yield_processor(0)


def compute(seconds: float) -> None:
    """Burn `seconds` of time as a computation would: runnable throughout, so the slot stays taken (Q-29)."""
    duration = check_timeout(seconds)
    if duration is None:
        raise ValueError("seconds must be finite")
    system = current_system()
    if isinstance(system, VirtualSystem):
        system.compute(duration)
        return
    end = perf_counter() + duration
    while perf_counter() < end:
        pass


def _open_event(system: ThreadSystem, reset_mode: ResetMode) -> tuple[KernelEvent, int]:
    event = system.kernel.create_event(reset_mode)
    return event, system.process.handles.open(event, Access.ALL)
