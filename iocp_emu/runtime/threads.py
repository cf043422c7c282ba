"""Real threads on the kernel model: any Python thread may call, and a release reaches exactly the chosen thread.

Theory.  One lock guards the kernel.  Every OS thread that calls gets a `KernelThread` with a *parker*, a raw lock of
its own that is held while nobody has readied it.  A verb runs under the kernel lock; afterwards, with the lock given
back, the parkers of all readied threads are released.  So the thread that wakes is the one the kernel chose, with its
result already in its record: nothing is searched, nothing is woken in vain.

Timeouts are decided under the kernel lock too: a thread whose clock has run out asks the kernel to `expire` its wait,
and if the kernel has already given it a packet, it waits for that release, which is on its way (Q-33).  The same door
serves an exception that is thrown into a waiting thread (Ctrl-C): what it had been given goes back to the queue.

Ctrl-C comes between verbs (`interrupts`), but for the two that are as short as a switch of its handler: handing over a
posted packet, and going into a wait.  There a handler that raises may still cost one packet or one wake-up; guests,
whose every call is whole, are safe from it.  Other signals' handlers should not raise.

Fast path.  A post is one `append` of the packet, a get one `popleft`, without the lock, when that is all there is to
do.  It is decided on the model's own fields.

    post   publishes the packet; then, only if somebody could take it at once, settles that under the lock
    get    of a taker of the queue (counted, and not above the limit) that finds a packet queued: takes it

Why that is right.  A counted thread that looks gives up its slot, finds a packet below the limit and is counted again:
net zero (Q-11, Q-14), so one `popleft` is the whole call.  Who may is noted by the verb that last gave it a packet and
forgotten by the first that would have the next call end otherwise.  Whoever suspends it, ends it or closes the port at
the same moment comes before or after the `popleft`, never in the middle.

A packet must reach a thread that waits below the limit (Q-10, P-02).  Two sides could miss each other: a poster that
looks for waiters, and a thread that parks or frees a slot and looks for packets.  Both publish first and look then, so
whoever is second sees what the first has published.  The poster appends, then looks whether the queue is watched, and
if so at the waiters, the count, the direct waits and the end of the port; a verb changes these under the lock, then
looks at the packets (`release`, `_remove`, `_wait`).  At the limit, with threads parked, which is how a busy port is,
nothing is to be settled: the next thread that frees a slot looks.  Between the `append` and the settling another
running thread may take the packet; its get has come before the one that waits, and neither of the callers can tell.

All this needs that byte code of all threads happens in one order, as under a GIL; nothing else here does.  On builds
without it, under a recording queue, in simulations, after a fork, and where `has_fast_path` is switched off, every
call takes the lock.

Own rules.  A thread's end leaves its port by itself: its record dies with the thread's locals, in that thread.
Finalizers never wait for the lock, since they may run inside it; they are left to whoever gives the lock back.  After
a fork the child's copy of a system refuses every call, and the process default is made anew.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from _thread import LockType, allocate_lock, get_ident
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat, starmap
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

from typing_extensions import ParamSpec

from .. import status
from ..kernel.completion import IoCompletion, Packet, finish_delivery
from ..kernel.jobs import Process
from ..kernel.machine import Kernel
from ..kernel.objects import NtError
from ..kernel.queue import KernelQueue, RemoveOutcome
from ..kernel.thread import BLOCKED, EXITED, PARKED, RUNNABLE, KernelThread, WaitResult
from ..kernel.waits import Alertability, Timeout, Waitable, WaitMode
from ..profiles import Profile, get_profile
from .host import available_processors, gil_is_enabled, time_with_sleep
from .interrupts import ONE_CALL, PARKED_IN

P = ParamSpec("P")
R = TypeVar("R")

# Names of this module, since an enumeration is slow to look into.
DUE, LATER = Timeout.DUE, Timeout.LATER
PLAIN = Alertability.PLAIN


class OsThread(KernelThread):
    """The kernel thread of one OS thread, whose `get_ident()` is `ident`.  Releasing `parker` lets it go on."""

    __slots__ = ("ident", "parker")

    def __init__(self, kernel: Kernel, process: Process, name: str) -> None:
        super().__init__(kernel, process, name)
        self.ident = 0
        self.parker: LockType = allocate_lock()
        self.parker.acquire()


class _ThreadEnd:
    """Lives in a thread's locals; its finalizer runs in the ending thread, before `join` returns (A-02, Q-28)."""

    __slots__ = ("system", "thread")

    def __init__(self, system: ThreadSystem, thread: OsThread) -> None:
        self.system = weakref.ref(system)
        self.thread = thread

    def __del__(self) -> None:
        system = self.system()
        if system is not None and not sys.is_finalizing() and not system.is_forked_copy:
            system.end_thread(self.thread)


class ForkedSystemError(RuntimeError):
    """A port, file or event made before `fork()` was used in the child."""

    def __init__(self) -> None:
        super().__init__(
            "made before fork(), unusable in the child: its threads are gone; make new ports and files after forking"
        )


class ReentrantCallError(RuntimeError):
    """A finalizer or a signal handler has called a verb while its thread was in the middle of one."""

    def __init__(self) -> None:
        super().__init__(
            "called from a finalizer or signal handler that runs inside a kernel verb of its own thread: there only "
            "posting is possible; leave the rest to `ThreadSystem.defer`"
        )


class _ForkedLock:
    """Stands in for the kernel lock in a forked child, so that every verb fails clearly and nothing hangs."""

    def _is_owned(self) -> bool:
        return False

    def acquire(self, blocking: bool = True) -> bool:
        raise ForkedSystemError

    def __enter__(self) -> None:
        raise ForkedSystemError

    def __exit__(self, *_: object) -> None:
        raise ForkedSystemError


class FollowsPath(Protocol):
    """Something that contains the fast path of a system."""

    def choose_path(self) -> None:
        """Look at `has_fast_path`."""


class ThreadSystem:
    """One emulated machine whose threads are the OS threads of this process.

    `profile` is a name or a `Profile`; `processors` is what concurrency value 0 means, by default the number of
    logical processors that this process may use (Q-03).  `queue_type` serves observers.  Thread-safe; finalizers and
    threads of any origin may call.
    """

    catch_up: Callable[[], None] | None = None
    """While something of the host is watched for this system: brings in, without waiting, what has happened there."""

    one_call: contextlib.AbstractContextManager[None] = ONE_CALL
    """Around what Ctrl-C is to find done or not begun: as the verbs themselves are."""

    _is_finalizing = staticmethod(sys.is_finalizing)

    def __init__(
        self,
        profile: str | Profile | None = None,
        processors: int | None = None,
        queue_type: type[KernelQueue[Any]] = KernelQueue,
    ) -> None:
        self.kernel = Kernel(get_profile(profile), processors or available_processors(), queue_type)
        self.process = self.kernel.create_process(os.getpid())
        self.threads_by_ident: dict[int, OsThread] = {}
        """The kernel thread of each living OS thread that has called, by `get_ident()`."""
        # Re-entrant only in that it knows its owner: who is inside a verb already never gets in again.
        self._lock: Any = threading.RLock()
        self._local = threading.local()
        self._followers: weakref.WeakSet[FollowsPath] = weakref.WeakSet()
        self._deferred: deque[Callable[[], object]] = deque()
        counts_sleep = self.kernel.profile.timeout_counts_sleep
        self._clock = time_with_sleep if counts_sleep else monotonic
        self._longest_nap_seconds = 1.0 if counts_sleep else threading.TIMEOUT_MAX
        self._has_fast_path = queue_type is KernelQueue and gil_is_enabled()
        _systems.add(self)

    # -- the switch of the fast path ---------------------------------------------------------------------------

    @property
    def has_fast_path(self) -> bool:
        """Whether calls may do without the lock; may be switched off, and on where it was on at first."""
        return self._has_fast_path

    @has_fast_path.setter
    def has_fast_path(self, value: bool) -> None:
        with self._lock:
            self._has_fast_path = value
            self.kernel.forget_takers()
        self._run_deferred()
        for follower in list(self._followers):
            follower.choose_path()

    def follow_path(self, follower: FollowsPath) -> None:
        """Have `follower` choose its path now, and again whenever the switch is moved."""
        self._followers.add(follower)
        follower.choose_path()

    # -- verbs under the lock ----------------------------------------------------------------------------------

    def perform(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one kernel verb under the lock, then let every thread that it readied go on.

        `ReentrantCallError` when the calling thread is in the middle of a verb.
        """
        if get_ident() != ONE_CALL.main_ident:
            return self._perform(verb, *args, **kwargs)
        with ONE_CALL:
            return self._perform(verb, *args, **kwargs)

    def _perform(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `perform`, where a switch of the handler of Ctrl-C would take as long as the verb."""
        lock = self._lock
        if lock._is_owned():
            raise ReentrantCallError
        kernel = self.kernel
        readied: Sequence[Any] = ()
        try:
            with lock:  # whatever Ctrl-C interrupts, it is given back
                try:
                    return verb(*args, **kwargs)
                finally:
                    if kernel.readied:
                        readied = kernel.readied
                        kernel.readied = []
        finally:
            if readied:
                _unpark(readied)
            if self._deferred:
                self._run_deferred()

    @property
    def is_forked_copy(self) -> bool:
        """Whether this is the child's copy after a fork.

        Told by the process, not by `after_fork_in_child`: in the child, the interpreter drops the locals of threads
        that do not exist there before it calls anybody, and one of these may have held the lock.
        """
        return os.getpid() != self.process.pid

    @property
    def is_inside_verb(self) -> bool:
        """Whether the calling thread is in the middle of a verb, as only finalizers and signal handlers can be."""
        return bool(self._lock._is_owned())

    def defer(self, action: Callable[[], object]) -> None:
        """Run `action` under the lock, soon: at once if the lock is free, else when it is given back.

        Never blocks: this is how finalizers call verbs.  While the interpreter ends, nothing is left to be done, and
        this module's names may be gone.
        """
        if self._is_finalizing():
            return
        self._deferred.append(action)
        self._run_deferred()

    def _tell(self, verb: Callable[[], object]) -> None:
        """Run a verb whose answer nobody needs: now, or when the one is over that this thread is in the middle of."""
        if self._lock._is_owned():
            self._deferred.append(partial(_unless_refused, verb))
        else:
            self.perform(verb)

    def _run_deferred(self) -> None:
        kernel = self.kernel
        while self._deferred and not self._lock._is_owned():
            try:
                if not self._lock.acquire(False):
                    return
            except ForkedSystemError:
                self._deferred.clear()
                return
            try:
                with contextlib.suppress(IndexError):
                    self._deferred.popleft()()
                readied, kernel.readied = kernel.readied, []
            finally:
                self._lock.release()
            _unpark(readied)

    # -- threads -----------------------------------------------------------------------------------------------

    def current(self) -> OsThread:
        """The calling thread's kernel thread, made at its first call."""
        try:
            thread: OsThread = self._local.thread
        except AttributeError:
            thread = self._adopt()
        return thread

    def _adopt(self) -> OsThread:
        thread = self.create_thread(threading.current_thread().name)
        self.adopt(thread)
        return thread

    def create_thread(self, name: str) -> OsThread:
        """The kernel thread of an OS thread that is about to start and will `adopt` it."""
        return self.perform(OsThread, self.kernel, self.process, name)

    def adopt(self, thread: OsThread) -> None:
        """The calling OS thread is `thread` from now on, until it ends."""
        self._local.end = _ThreadEnd(self, thread)
        self._local.thread = thread
        # The very int that `threading` keeps, where it is the same, in the place of another one as large.
        ident, known = get_ident(), threading.current_thread().ident
        thread.ident = known if known is not None and known == ident else ident
        self.threads_by_ident[thread.ident] = thread

    def end_thread(self, thread: OsThread, exit_code: int = 0) -> None:
        """The thread has ended, or is about to and will not call again (Q-28, I-31).  Ending twice is no error."""
        if self.threads_by_ident.get(thread.ident) is thread:
            del self.threads_by_ident[thread.ident]
        self.perform(_exit_once, thread, exit_code)

    def end_current_thread(self, exit_code: int = 0) -> None:
        """End the calling thread's life in the kernel; a later call of its starts a new one."""
        thread = self.current()
        self.end_thread(thread, exit_code)
        del self._local.thread
        del self._local.end

    def block(self, thread: KernelThread) -> None:
        """The thread blocks on something outside the kernel: its slot is free (Q-23)."""
        self.perform(self.kernel.block, thread)

    def unblock(self, thread: KernelThread) -> None:
        """That is over (Q-26)."""
        self.perform(self.kernel.unblock, thread)

    # -- ports -------------------------------------------------------------------------------------------------

    def post(self, port: IoCompletion, packet: Packet) -> None:
        """Queue a packet, or hand it to a waiter (Q-10, N-01 to N-08).  Never blocks.  O(1)."""
        if self._has_fast_path and packet.source is None:
            queue = port.queue
            queue.packets.append(packet)
            if queue.is_watched and (
                (queue.waiters and queue.current_count < queue.maximum_count) or port.waits or port.running_down
            ):
                self._tell(port.settle)
        else:
            self._tell(partial(port.set, packet))

    def settle(self, port: IoCompletion) -> None:
        """After a packet has been appended without the lock: offer it."""
        if not self._has_fast_path:
            return
        lock, kernel = self._lock, self.kernel
        if lock._is_owned():
            self._tell(port.settle)
            return
        # As `perform`, less the arguments: every hand-over to a parked thread comes by here.
        readied: Sequence[Any] = ()
        try:
            with lock:
                try:
                    port.settle()
                finally:
                    readied, kernel.readied = kernel.readied, []
        finally:
            _unpark(readied)
            if self._deferred:
                self._run_deferred()

    def remove_one(self, port: IoCompletion, timeout: float | None) -> Packet | RemoveOutcome:
        """Dequeue one packet, waiting up to `timeout` seconds (None: for ever) (Q-11, G-20)."""
        queue = port.queue
        if get_ident() in queue.takers:
            try:
                packet = queue.packets.popleft()
            except IndexError:
                pass
            else:
                if port.has_sources and packet.source is not None:
                    self.perform(finish_delivery, [packet])
                return packet
        result = self._remove_locked(port, 1, timeout, PLAIN)
        return result[0] if isinstance(result, list) else result

    def remove_many(
        self,
        port: IoCompletion,
        maximum: int,
        timeout: float | None,
        alertability: Alertability = PLAIN,
    ) -> list[Packet] | RemoveOutcome:
        """Dequeue up to `maximum` packets, waiting up to `timeout` seconds for the first (Q-19, O-08).

        An alertable call runs the thread's pending user APCs before it returns USER_APC (G-12).
        """
        queue = port.queue
        if get_ident() in queue.takers and port.profile.batch_removal:
            taken: list[Packet] = []
            try:
                taken.extend(starmap(queue.packets.popleft, repeat((), maximum)))
            except IndexError:  # that was all
                pass
            if taken:
                if port.has_sources and any(packet.source is not None for packet in taken):
                    self.perform(finish_delivery, taken)
                return taken
        return self._remove_locked(port, maximum, timeout, alertability)

    def _remove_locked(
        self, port: IoCompletion, maximum: int, timeout: float | None, alertability: Alertability
    ) -> list[Packet] | RemoveOutcome:
        """Dequeue under the lock, and wait outside of it."""
        if self.catch_up is not None:
            self.catch_up()
        thread = self.threads_by_ident.get(get_ident()) or self.current()
        due = DUE if timeout is not None and timeout <= 0 else LATER
        try:
            if thread.state is PARKED or thread.wait_result is not None:
                self._give_up(thread)  # one that was itself interrupted has left this
            result = self._perform(self._remove, port, thread, maximum, due, alertability)
            if result is None:
                result = self._await(thread, timeout)
        except BaseException:
            self._give_up(thread)
            raise
        if result is RemoveOutcome.USER_APC:
            self.run_user_apcs(thread)
        return cast("list[Packet] | RemoveOutcome", result)

    def _remove(
        self, port: IoCompletion, thread: OsThread, maximum: int, due: Timeout, alertability: Alertability
    ) -> list[Packet] | RemoveOutcome | None:
        """Under the lock: dequeue or park."""
        result = port.remove(thread, maximum, due, alertability)
        if result is None:
            if port.queue.packets:
                # A poster on the fast path may have looked for waiters just before this thread became one.
                port.queue.release()
        elif self._has_fast_path and isinstance(result, list) and result:
            port.admit(thread.ident)
        return result

    # -- waits -------------------------------------------------------------------------------------------------

    def wait(
        self,
        objects: Sequence[Waitable],
        mode: WaitMode = WaitMode.ANY,
        timeout: float | None = None,
        alertability: Alertability = PLAIN,
    ) -> int:
        """Wait for kernel objects, or sleep when there are none; the NTSTATUS (Q-23, Q-29).  Blocks.

        Inside `blocking()` the thread is blocked before and after.
        """
        thread = self.current()
        due = DUE if timeout is not None and timeout <= 0 else LATER
        was_blocked = thread.state is BLOCKED
        try:
            if thread.state is PARKED or thread.wait_result is not None:
                self._give_up(thread)
            result = self.perform(_wait, thread, objects, mode, due, alertability)
            if result is None:
                result = self._await(thread, timeout)
        except BaseException:
            self._give_up(thread)
            raise
        finally:
            if was_blocked and thread.state is RUNNABLE:
                self.block(thread)
        if result == status.STATUS_USER_APC:
            self.run_user_apcs(thread)
        return cast(int, result)

    def run_user_apcs(self, thread: OsThread) -> None:
        """Run the pending user APCs of the calling thread, oldest first; one that raises leaves the rest pending."""
        while (apc := self.perform(thread.next_user_apc)) is not None:
            apc()

    # -- parking -----------------------------------------------------------------------------------------------

    def _await(self, thread: OsThread, timeout: float | None) -> Any:
        """Sleep until the kernel has readied the thread, then collect its result.

        A token that an earlier, interrupted wait has left in the parker only costs one more turn of the loop.
        """
        if ONE_CALL.noted:
            ONE_CALL.deliver()
        if timeout is None:
            while thread.state is not RUNNABLE:
                thread.parker.acquire()
        else:
            deadline = self._clock() + timeout
            while thread.state is not RUNNABLE:
                left = deadline - self._clock()
                if left > 0:
                    thread.parker.acquire(timeout=min(left, self._longest_nap_seconds))
                elif not self.perform(self.kernel.expire, thread):
                    # It had just been readied, or it is suspended: the token is on its way.
                    thread.parker.acquire()
        return self._collect(thread)

    PARKED_IN.add(_await.__code__)

    def _collect(self, thread: OsThread) -> WaitResult:
        """What the wait has brought.  Only a source that must hear of the delivery makes this a verb."""
        result = thread.wait_result
        if not self._has_fast_path:
            return self.perform(self.kernel.collect, thread)
        if type(result) is list:
            for packet in result:
                if packet.source is not None:
                    return self.perform(self.kernel.collect, thread)
        thread.wait_result = None
        return result

    def _give_up(self, thread: OsThread) -> None:
        """An exception came out of a wait: leave it consistently, and lose no packet (Q-35).

        Interrupted here too, the thread's next wait begins with the rest.
        """
        self.perform(self.kernel.expire, thread)
        self.perform(return_delivery, thread)

    def after_fork_in_child(self) -> None:
        """Make this copy of the system refuse everything: its other threads do not exist here."""
        self._deferred.clear()
        self._lock = threading.RLock()  # one that nobody holds, for the switch
        self.has_fast_path = False
        self._lock = _ForkedLock()
        self._local = threading.local()
        self.threads_by_ident.clear()


def _unless_refused(verb: Callable[[], object]) -> None:
    """Under the lock, later than it was asked for: nothing when it is refused by now."""
    with contextlib.suppress(NtError):
        verb()


def _exit_once(thread: OsThread, exit_code: int) -> None:
    if thread.state is not EXITED:
        thread.exit(exit_code)


def return_delivery(thread: OsThread) -> None:
    """Under the lock: what the thread was given and nobody has seen goes back to the port that it came from."""
    result, thread.wait_result = thread.wait_result, None
    port = None if thread.queue is None else thread.queue.owner
    if isinstance(result, list) and isinstance(port, IoCompletion):
        thread.kernel.put_back(port, result)


def _wait(
    thread: OsThread, objects: Sequence[Waitable], mode: WaitMode, due: Timeout, alertability: Alertability
) -> int | None:
    kernel = thread.kernel
    if thread.state is BLOCKED:
        kernel.unblock(thread)
    result = kernel.wait(thread, objects, mode, due, alertability)
    if result is None:
        for obj in objects:
            # As in _remove: the post may have come between the look and the attachment.
            if isinstance(obj, IoCompletion) and obj.depth:
                obj.wake_waits()
    return result


def _unpark(readied: Sequence[Any]) -> None:
    """Let readied `OsThread`s go on; a second token is the same as one."""
    for thread in readied:
        try:
            thread.parker.release()
        except RuntimeError:
            pass


_systems: weakref.WeakSet[ThreadSystem] = weakref.WeakSet()


def living_systems() -> list[ThreadSystem]:
    """Every system of this process that somebody still has, simulations among them, in no order."""
    return list(_systems)


def _after_fork_in_child() -> None:
    for system in living_systems():
        system.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
