"""A task: a call that a worker will make, and the future of its result, in one slotted object.

Theory.  `concurrent.futures.Future` builds a condition, two locks and two lists for each future; most are needed by
nobody.  A task is such a future, with the same states and the same methods, but holds one lock; a thread that really
waits brings a lock of its own to sleep on.  What `concurrent.futures.wait` and `as_completed` ask of a future is here
under the names that they use: `_condition` (they only acquire and release it), `_state`, `_waiters`.

Own rules.  A state that is final is read without the lock; every change is made with it.  When a task has ended or
been cancelled, it holds nothing of the call any more, and a stored exception has no way back to the task.  Watchers
know their task, which knows them until they have been told.
"""

from __future__ import annotations

import contextlib
from _thread import LockType, RLock, allocate_lock
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import Context
from logging import getLogger
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..runtime.threads import ForkedSystemError
from .waits import NO_WATCHERS, TaskWait, Watchers, wait_visibly

if TYPE_CHECKING:
    from .crew import Crew
    from .worker import Worker

T = TypeVar("T")

LOGGER = getLogger("concurrent.futures")

# The states as `concurrent.futures.wait` knows them.
PENDING = "PENDING"
RUNNING = "RUNNING"
CANCELLED = "CANCELLED"
CANCELLED_AND_NOTIFIED = "CANCELLED_AND_NOTIFIED"
FINISHED = "FINISHED"

_DONE = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED})
_REPORTED = frozenset({CANCELLED_AND_NOTIFIED, FINISHED})
_CANCELLED = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED})
_WORDS = {
    PENDING: "pending",
    RUNNING: "running",
    CANCELLED: "cancelled",
    CANCELLED_AND_NOTIFIED: "cancelled",
    FINISHED: "finished",
}

Call = tuple[Context, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Task(Future[T]):
    """The future of `call`, to be run by `crew` (None: by whoever made it)."""

    __slots__ = (
        "_call",
        "_condition",
        "_done_callbacks",
        "_exception",
        "_result",
        "_sleepers",
        "_state",
        "_watchers",
        "crew",
        "runner",
    )

    def __init__(self, crew: Crew, call: Call) -> None:
        self.crew = crew
        self.runner: Worker | None = None
        """The worker that runs it; None while nobody does, and for a thread that is no worker."""
        self._call: Call | None = call
        self._condition: Any = RLock()
        self._state = PENDING
        self._result: T | None = None
        self._exception: BaseException | None = None
        self._watchers: Watchers | None = None
        self._sleepers: list[LockType] | None = None
        self._done_callbacks: Any = None

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Asked for with `_condition` held.  A task that has ended has nothing to report to newcomers."""
        if self._watchers is None:
            if self._state in _REPORTED:
                return NO_WATCHERS
            self._watchers = Watchers()
            self._watchers.task = self
        return self._watchers

    @property
    def name(self) -> str:
        """What is called, for reports."""
        call = self._call
        return "a finished task" if call is None else str(getattr(call[1], "__qualname__", call[1]))

    # -- looking -----------------------------------------------------------------------------------------------

    def cancelled(self) -> bool:
        """Whether it was cancelled.  Never blocks."""
        return self._state in _CANCELLED

    def running(self) -> bool:
        """Whether it is being run.  Never blocks."""
        return self._state == RUNNING

    def done(self) -> bool:
        """Whether it has ended or was cancelled.  Never blocks."""
        return self._state in _DONE

    def __repr__(self) -> str:
        state = _WORDS[self._state]
        if self._state == FINISHED:
            error = self._exception
            outcome = f"returned {type(self._result).__name__}" if error is None else f"raised {type(error).__name__}"
            state = f"{state} {outcome}"
        return f"<{type(self).__name__} at {id(self):#x} state={state}>"

    # -- waiting -----------------------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> T:
        """What the call returned, waiting up to `timeout` seconds (None: for ever) for its end.

        Raises what the call raised; `CancelledError`; `TimeoutError` of `concurrent.futures`; in a worker of the same
        pool `WaitDeadlock` when that wait could never end.  Blocks, visibly (Q-23).
        """
        try:
            if self._state != FINISHED:
                self._wait_for_end(timeout)
            if self._exception is not None:
                raise self._exception
            return cast(T, self._result)
        finally:
            # The traceback of the exception holds this frame: no way from here back to the exception.
            del self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised, or None; otherwise like `result`."""
        if self._state != FINISHED:
            self._wait_for_end(timeout)
        return self._exception

    def _wait_for_end(self, timeout: float | None) -> None:
        """Return when the task has finished; raise if it was cancelled, or is not done in time."""
        if self._state not in _DONE and not self._sleep(timeout) and self._state not in _DONE:
            raise FutureTimeoutError
        if self._state in _CANCELLED:
            raise CancelledError

    def _sleep(self, timeout: float | None) -> bool:
        sleeper = allocate_lock()
        sleeper.acquire()
        with self._condition:
            if self._state in _DONE:
                return True
            if self._sleepers is None:
                self._sleepers = []
            self._sleepers.append(sleeper)
        try:
            if self.crew.is_forked:
                raise ForkedSystemError
            if timeout is None:
                return wait_visibly(self.crew, sleeper.acquire, lambda worker: TaskWait(worker, self))
            if timeout <= 0:
                return False
            seconds = min(timeout, TIMEOUT_MAX)
            return wait_visibly(None, lambda: sleeper.acquire(timeout=seconds), None)
        finally:
            with self._condition, contextlib.suppress(ValueError):
                self._sleepers.remove(sleeper)

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Have `fn(self)` called when the task is done, in the thread that ends it; at once if it is done already.

        Callbacks are called in the order in which they were added; what they raise is logged.
        """
        with self._condition:
            if self._state not in _DONE:
                if self._done_callbacks is None:
                    self._done_callbacks = [fn]
                else:
                    self._done_callbacks.append(fn)
                return
        self._call_back(fn)

    def _call_back(self, fn: Callable[[Future[T]], object]) -> None:
        try:
            fn(self)
        except Exception:
            LOGGER.exception("exception calling callback for %r", self)

    # -- changing ----------------------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel it, unless it is running or has ended; whether it is cancelled.  Never blocks."""
        with self._condition:
            if self._state in _CANCELLED:
                return True
            if self._state != PENDING:
                return False
            self._state = CANCELLED
            self._call = None
            if self._sleepers is not None:
                self._wake_sleepers(self._sleepers)
        if self._done_callbacks is not None:
            self._run_callbacks()
        return True

    def set_running_or_notify_cancel(self) -> bool:
        """Claim the task for running: True exactly once, and never for a cancelled one, whose waiters are told."""
        with self._condition:
            if self._state == PENDING:
                self._state = RUNNING
                return True
            if self._state != CANCELLED:
                LOGGER.critical("Future %s in unexpected state: %s", id(self), self._state)
                raise RuntimeError("Future in unexpected state")
            self._state = CANCELLED_AND_NOTIFIED
            if self._watchers is not None:
                for waiter in self._watchers:
                    waiter.add_cancelled(self)
                self._watchers = None
            return False

    def set_result(self, result: T) -> None:
        """End the task with a result.  Raises `InvalidStateError` if it is done."""
        with self._condition:
            if self._state in _DONE:
                raise InvalidStateError(f"{self._state}: {self!r}")
            self._result = result
            self._state = FINISHED
            self._call = None
            if self._watchers is not None:
                for waiter in self._watchers:
                    waiter.add_result(self)
                self._watchers = None
            if self._sleepers is not None:
                self._wake_sleepers(self._sleepers)
        if self._done_callbacks is not None:
            self._run_callbacks()

    def set_exception(self, exception: BaseException | None) -> None:
        """End the task with an exception.  Raises `InvalidStateError` if it is done."""
        with self._condition:
            if self._state in _DONE:
                raise InvalidStateError(f"{self._state}: {self!r}")
            self._exception = exception
            self._state = FINISHED
            self._call = None
            if self._watchers is not None:
                for waiter in self._watchers:
                    waiter.add_exception(self)
                self._watchers = None
            if self._sleepers is not None:
                self._wake_sleepers(self._sleepers)
        if self._done_callbacks is not None:
            self._run_callbacks()

    def _wake_sleepers(self, sleepers: list[LockType]) -> None:
        for sleeper in sleepers:
            sleeper.release()

    def _run_callbacks(self) -> None:
        callbacks, self._done_callbacks = self._done_callbacks, None
        for fn in callbacks:
            self._call_back(fn)

    def run(self, runner: Worker | None) -> None:
        """Make the call in the calling thread, unless the task was cancelled; its outcome is the task's."""
        self.runner = runner
        call = self._call
        if not self.set_running_or_notify_cancel():
            return
        assert call is not None  # a task keeps its call until it ends
        context, function, args, kwargs = call
        del call
        try:
            # Passing no keywords is cheaper than passing an empty dict of them.
            result = context.run(function, *args, **kwargs) if kwargs else context.run(function, *args)
        except BaseException as error:
            self.set_exception(error)
            # The error's traceback holds this frame.
            del self, function, args, kwargs, context
        else:
            self.set_result(result)
