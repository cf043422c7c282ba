"""Waitable timers on real time, and the one thread that watches the clock for all of them.

Theory.  The kernel's `Timer` is told when its time has come; this file tells it.  Alarms wait in a heap, earliest
first; one daemon thread sleeps until the earliest is due.  It is started by the first alarm and ends with the last.
An alarm that rings runs its action without the clock's lock, so the action may take the kernel lock; and whoever holds
the kernel lock may set and cancel alarms.

Rules of this file: none of the catalogue; timers are what a thread may wait on (Q-23) and wait packets may watch
(X-05).

Own rules.  Time is `time.monotonic`, in seconds.  Actions do not raise.  `cancel` may come from a finalizer in the
middle of anything here: it only marks and notifies.  After a fork the child has no alarms.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import threading
from collections.abc import Callable
from time import monotonic

from .. import status
from ..kernel.machine import Kernel
from ..kernel.objects import NtError
from ..kernel.thread import KernelThread
from ..kernel.waits import ResetMode, Timer
from .threads import ThreadSystem


class Alarm:
    """An action that is due at `deadline`, unless it is cancelled before."""

    __slots__ = ("action", "cancelled", "deadline")

    def __init__(self, deadline: float, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self.action = action
        self.cancelled = False


class AlarmClock:
    """Rings alarms.  Thread-safe; setting one is O(log alarms), cancelling O(1)."""

    def __init__(self) -> None:
        self.forget_everything()

    def forget_everything(self) -> None:
        """Become a clock without alarms and without a thread, as in a forked child."""
        self._changed = threading.Condition()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._is_running = False

    @property
    def is_running(self) -> bool:
        """Whether there is a thread that watches the clock."""
        return self._is_running

    def set(self, deadline: float, action: Callable[[], None]) -> Alarm:
        """Have `action` run soon after `monotonic()` has reached `deadline` (seconds).

        `RuntimeError` when the host has no more threads.
        """
        alarm = Alarm(deadline, action)
        with self._changed:
            if not self._is_running:
                threading.Thread(target=self._watch, name="iocp_emu timers", daemon=True).start()
                self._is_running = True
            heapq.heappush(self._alarms, (deadline, next(self._numbers), alarm))
            self._changed.notify()
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Do not ring; an alarm that rings at this moment does ring."""
        alarm.cancelled = True
        with self._changed:
            self._changed.notify()

    def _watch(self) -> None:
        """The life of the thread."""
        while (alarm := self._next()) is not None:
            if not alarm.cancelled:
                alarm.action()

    def _next(self) -> Alarm | None:
        """Wait for the earliest alarm to be due and take it; None, and the thread shall end, when there is none."""
        with self._changed:
            while self._alarms:
                deadline, _, alarm = self._alarms[0]
                left = deadline - monotonic()
                if alarm.cancelled or left <= 0:
                    heapq.heappop(self._alarms)
                    return alarm
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            self._is_running = False
            return None


CLOCK = AlarmClock()
"""The clock of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CLOCK.forget_everything)


class RealTimer(Timer):
    """A waitable timer that the clock sets.  Its methods are steps: they are called under the kernel lock."""

    __slots__ = ("_alarm", "_system")

    def __init__(self, kernel: Kernel, reset_mode: ResetMode, system: ThreadSystem) -> None:
        super().__init__(kernel, reset_mode)
        self._system = system
        self._alarm: Alarm | None = None

    def start(
        self,
        delay: float,
        period: float,
        thread: KernelThread,
        routine: Callable[[], None] | None,
    ) -> None:
        """Be signalled after `delay` seconds, and again every `period` seconds unless that is 0.

        An earlier setting is forgotten.  `routine` is queued to `thread` as a user APC each time.
        STATUS_INSUFFICIENT_RESOURCES when the host has no more threads; then the timer is not set.
        """
        self.stop()
        try:
            self._ring_at(monotonic() + delay, self.arm(), period, thread, routine)
        except RuntimeError:
            raise NtError(status.STATUS_INSUFFICIENT_RESOURCES) from None

    def stop(self) -> None:
        """Forget the current setting; the signal state stays as it is."""
        self.cancel()
        if self._alarm is not None:
            CLOCK.cancel(self._alarm)
            self._alarm = None

    def _ring_at(
        self,
        deadline: float,
        setting: int,
        period: float,
        thread: KernelThread,
        routine: Callable[[], None] | None,
    ) -> None:
        def ring() -> None:
            if not self.fire(setting):
                return
            if routine is not None:
                with contextlib.suppress(NtError):  # the thread has ended
                    thread.queue_user_apc(routine)
            if period:
                self._ring_at(deadline + period, setting, period, thread, routine)

        self._alarm = CLOCK.set(deadline, lambda: self._system.perform(ring))

    def on_freed(self) -> None:
        """Nobody can wait for it any more."""
        self.stop()
