"""Kernel threads: which port a thread belongs to, whether it is runnable, and what it is told when a wait ends.

Theory.  A thread has one queue pointer (A-01, A-04) and one state.  It occupies a slot of its port exactly while it is
associated and `RUNNABLE` (Q-02): so every change of the count is a change of state.  The states are changed here and in
`queue.py`, the count in `queue.py` alone.

    RUNNABLE --park--> PARKED      waits inside a dequeue call on its own port
    RUNNABLE --block-> BLOCKED     waits for anything else, or says that it does
    RUNNABLE --------> SUSPENDED   also from PARKED, which it re-enters, on top, when resumed (Q-08)
    any state -------> EXITED

Rules of this file: Q-02, Q-17, Q-20 to Q-29, A-01 to A-03, A-09, I-31 (which requests die with their thread).

Own rule.  A thread that becomes runnable through somebody else's doing is appended to `kernel.readied`; the runtime
lets it go on.  What it shall return is in `wait_result`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from .. import status
from .objects import NtError
from .waits import Alertability, Mutant, Wait, Waitable

if TYPE_CHECKING:
    from .file import IoRequest
    from .jobs import Process
    from .machine import Kernel
    from .queue import Dequeue, KernelQueue, RemoveOutcome

MAXIMUM_SUSPEND_COUNT = 127

WaitResult: TypeAlias = "list[Any] | RemoveOutcome | int | None"
"""What a wait has brought: packets, how a removal ended without one, or the NTSTATUS of another wait."""

Apc = Callable[[], None]
"""A user APC: called with no arguments, in its thread, by the runtime."""


class ThreadState(enum.Enum):
    """Where a thread stands; only `RUNNABLE` threads are counted (vocabulary 0.5)."""

    RUNNABLE = "runnable"
    PARKED = "parked in a dequeue call"
    BLOCKED = "blocked elsewhere"
    SUSPENDED = "suspended"
    EXITED = "exited"


# Names of this module and its users, since an enumeration is slow to look into.
RUNNABLE, PARKED, BLOCKED, SUSPENDED, EXITED = ThreadState


LateT = TypeVar("LateT")


class MadeLate(Generic[LateT]):
    """What most threads never use: made when it is first looked at or set, and kept in the thread's `late`.

    It leaves the other attributes alone; a `__getattr__` would make every look at a thread slow.
    """

    __slots__ = ("_make", "_name")

    def __init__(self, make: Callable[[], LateT]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, thread: KernelThread, owner: type) -> LateT:
        try:
            made: LateT = thread.late[self._name]
        except (AttributeError, KeyError):
            made = self._make()
            self.__set__(thread, made)
        return made

    def __set__(self, thread: KernelThread, value: LateT) -> None:
        try:
            thread.late[self._name] = value
        except AttributeError:
            thread.late = {self._name: value}


def _no_exit_code() -> int | None:
    """Of a thread that has not exited."""
    return None


class KernelThread(Waitable):
    """One thread, real or virtual.  Signalled once it has exited.

    A thread that does nothing but wait for packets keeps as little as it can: see `MadeLate`.
    """

    type_name = "Thread"
    __slots__ = (
        "dequeue",
        "last_error",
        "late",
        "process",
        "queue",
        "state",
        "suspend_count",
        "wait",
        "wait_result",
    )
    exit_code: MadeLate[int | None] = MadeLate(_no_exit_code)
    mutants: MadeLate[dict[Mutant, None]] = MadeLate(dict)
    requests: MadeLate[dict[IoRequest, None]] = MadeLate(dict)
    user_apcs: MadeLate[deque[Apc]] = MadeLate(deque)

    def __init__(self, kernel: Kernel, process: Process, name: str) -> None:
        super().__init__(kernel)
        self.name = name
        self.process = process
        self.state = RUNNABLE
        self.queue: KernelQueue[Any] | None = None
        self.dequeue: Dequeue | None = None
        self.wait: Wait | None = None
        self.wait_result: WaitResult = None
        self.suspend_count = 0
        self.last_error = 0
        self.late: dict[str, Any]
        process.reference()
        self.reference()

    def check_running(self) -> None:
        """STATUS_INVALID_PARAMETER unless the thread is runnable: nobody else can call."""
        if self.state is not RUNNABLE:
            raise NtError(status.STATUS_INVALID_PARAMETER)

    # -- becoming runnable and ceasing to be -------------------------------------------------------------------

    def stop_running(self, state: ThreadState) -> None:
        """Leave `RUNNABLE`: give up the slot, and let the port release one waiter (Q-23, Q-25)."""
        self.state = state
        if self.queue is not None:
            self.queue.thread_stopped(self)

    def start_running(self) -> None:
        """Become `RUNNABLE`: counted at once, whatever the concurrency value says (Q-26)."""
        self.state = RUNNABLE
        if self.queue is not None:
            self.queue.thread_started(self)

    def make_ready(self, result: WaitResult) -> None:
        """Runnable again through somebody else, with `result` to return; a suspended thread keeps waiting for that."""
        self.wait_result = result
        if self.suspend_count:
            self.state = SUSPENDED
        else:
            self.start_running()
            self.kernel.readied.append(self)

    # -- blocking elsewhere ------------------------------------------------------------------------------------

    def begin_block(self, wait: Wait | None) -> None:
        """Block on `wait`, or, when None, on something that only the caller knows of (Q-23).

        STATUS_INVALID_PARAMETER unless the thread is runnable.
        """
        self.check_running()
        self.wait = wait
        self.wait_result = None
        self.stop_running(BLOCKED)

    def end_block(self) -> None:
        """What the caller blocked on by itself is over (Q-26).

        STATUS_INVALID_PARAMETER unless the thread is blocked on nothing that the kernel knows of.
        """
        if self.state is not BLOCKED or self.wait is not None:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        if self.suspend_count:
            self.state = SUSPENDED
        else:
            self.start_running()

    def end_wait(self, result: int) -> None:
        """The kernel wait is over with the NTSTATUS `result`: satisfied, timed out or alerted (Q-26)."""
        assert self.wait is not None
        self.wait.detach()
        self.wait = None
        self.make_ready(result)

    def expire(self) -> bool:
        """The timeout of the thread's wait has passed; False when the wait had already ended (Q-24, Q-33)."""
        if self.state is BLOCKED and self.wait is not None:
            self.end_wait(status.STATUS_TIMEOUT)
            return True
        if self.dequeue is not None:
            assert self.queue is not None
            return self.queue.expire(self)
        return False

    # -- user APCs ---------------------------------------------------------------------------------------------

    def queue_user_apc(self, apc: Apc) -> None:
        """Append a user APC; an alertable wait ends with STATUS_USER_APC (Q-24, G-12).

        STATUS_UNSUCCESSFUL for a thread that has exited.
        """
        if self.state is EXITED:
            raise NtError(status.STATUS_UNSUCCESSFUL)
        self.user_apcs.append(apc)
        if self.wait is not None:
            if self.wait.alertability is Alertability.ALERTABLE:
                self.end_wait(status.STATUS_USER_APC)
        elif self.state is PARKED:
            assert self.queue is not None
            self.queue.alert(self)

    def next_user_apc(self) -> Apc | None:
        """Take the oldest pending user APC, for the thread itself to run; None when there is none."""
        return self.user_apcs.popleft() if self.user_apcs else None

    # -- kernel APCs and suspension ----------------------------------------------------------------------------

    def run_kernel_apc(self, action: Callable[[], None]) -> None:
        """Run `action` as a kernel APC in this thread's context.

        A parked thread leaves its wait, counted, and re-enters it on top (Q-08, Q-17).  A thread blocked elsewhere is
        counted meanwhile and gives the slot up again at the end, which comes to the same as not touching it: what the
        action queues goes to the same waiter.
        """
        if self.state is PARKED:
            assert self.queue is not None
            self.queue.interrupt(self, action)
        else:
            action()

    def suspend(self) -> int:
        """Suspend once more and return the previous count: not runnable from now on (Q-23, K-24, K-25).

        STATUS_SUSPEND_COUNT_EXCEEDED beyond 127, STATUS_THREAD_IS_TERMINATING after exit.
        """
        previous = self.suspend_count
        if self.state is EXITED:
            raise NtError(status.STATUS_THREAD_IS_TERMINATING)
        if previous == MAXIMUM_SUSPEND_COUNT:
            raise NtError(status.STATUS_SUSPEND_COUNT_EXCEEDED)
        self.suspend_count += 1
        if self.state is RUNNABLE:
            self.stop_running(SUSPENDED)
        elif self.state is PARKED:
            assert self.queue is not None
            self.queue.withdraw(self)
            self.state = SUSPENDED
        return previous

    def resume(self) -> int:
        """Undo one `suspend` and return the previous count; at zero the thread goes on where it was (Q-08, Q-26)."""
        previous = self.suspend_count
        if previous == 0:
            return 0
        self.suspend_count -= 1
        if previous == 1 and self.state is SUSPENDED:
            if self.dequeue is not None:
                assert self.queue is not None
                self.queue.reenter(self)
            else:
                self.start_running()
                self.kernel.readied.append(self)
        return previous

    # -- exit --------------------------------------------------------------------------------------------------

    def exit(self, exit_code: int) -> None:
        """End the thread, in whatever state it is: leave the port (Q-28), the waits, the mutexes, the requests (I-31).

        Exiting twice is STATUS_THREAD_IS_TERMINATING.
        """
        if self.state is EXITED:
            raise NtError(status.STATUS_THREAD_IS_TERMINATING)
        if self.wait is not None:
            self.wait.detach()
            self.wait = None
        if self.queue is not None:
            self.queue.leave(self)
        self.state = EXITED
        self.exit_code = exit_code
        self.user_apcs.clear()
        result, self.wait_result = self.wait_result, None
        self.kernel.lose(result)
        for mutant in list(self.mutants):
            mutant.abandon(self)
        for request in reversed(list(self.requests)):
            request.on_thread_exit()
        self.wake_waits()
        self.process.dereference()
        self.dereference()

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Signalled once exited."""
        return self.state is EXITED
