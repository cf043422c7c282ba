"""The workers of one executor: how they come, what they do, how they go.

Theory.  The port does the scheduling: who takes the next task, how many run at once, what happens when one blocks.
The crew only sees to it that there are threads for the port to choose from.  A worker is started when a packet is
queued, nobody is parked, and fewer threads run or are on their way than the concurrency value allows; that can come
about in three ways: a packet is posted, a worker blocks, a worker ends.  After each, `is_short` is asked.

Everybody publishes first and looks then, as the runtime does: a submitter posts its task and then looks whether the
crew still takes tasks; a shutdown says that it does not and then posts the packet that ends the workers.  So a task is
either in front of that packet, or its submitter learns that it was late.  One such packet ends all: whoever takes it
posts it again while others are left.  The last one closes the port.

Own rules.  What is here is guarded by the kernel lock: methods that end in `_under_lock` are called with it, as verbs.
A crew knows nothing of its executor, so that one that is dropped can be collected; then its workers end, too.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Any

from ..errors import PortClosed, WaitTimeout
from ..kernel.completion import Packet
from ..port import CompletionPort
from ..runtime.ambient import current_system
from ..runtime.threads import ForkedSystemError
from .task import LOGGER, Task
from .waits import Waits
from .worker import Worker

if TYPE_CHECKING:
    from ..profiles import Profile
    from ..runtime.threads import ThreadSystem
    from .room import Room

Refusal = Callable[[], RuntimeError]


class _Key:
    """The completion key of a packet that is the crew's own."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


TASK = _Key("<task>")
STOP = _Key("<stop>")


class BrokenCompletionPortExecutor(BrokenExecutor):
    """The initializer of a worker has failed: the executor is unusable, its queued tasks have failed."""


def refusal_after_shutdown() -> RuntimeError:
    """What `submit` raises once the executor was shut down, as other executors do."""
    return RuntimeError("cannot schedule new futures after shutdown")


def refusal_after_exit() -> RuntimeError:
    """What `submit` raises when the interpreter is ending."""
    return RuntimeError("cannot schedule new futures after interpreter shutdown")


def refusal_broken() -> RuntimeError:
    """What `submit` raises, and queued tasks end with, when an initializer has failed."""
    return BrokenCompletionPortExecutor("a worker's initializer failed: the executor is not usable any more")


class Crew:
    """Up to `max_workers` threads that serve one port.  See `CompletionPortExecutor` for the parameters."""

    def __init__(
        self,
        *,
        max_workers: int,
        concurrency: int,
        profile: str | Profile | None,
        name_prefix: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        idle_timeout: float | None,
        daemon: bool,
        on_packet: Callable[[Packet], object] | None,
        room: Room | None,
    ) -> None:
        self.system: ThreadSystem = current_system()
        self.port = CompletionPort(concurrency, profile=profile)
        self._iocp = self.port.waitable
        self.queue = self._iocp.queue
        self.max_workers = max_workers
        self.waits = Waits(max_workers)
        self.workers: dict[threading.Thread, Worker | None] = {}
        """Every thread that was started and has not ended; with its kernel thread once it is on its way to the port."""
        self._leaving: dict[threading.Thread, None] = {}
        self.starting = 0
        """How many of them have not asked the port for a packet yet."""
        self.peak_workers = 0
        self.retired_completed = 0
        self.refusal: Refusal | None = None
        """Why tasks are not taken any more; None while they are."""
        self.is_finished = False
        """Nobody will ever run a task again."""
        self.is_shared = False
        """Whether packets may come that `submit` knows nothing of."""
        self.is_broken = False
        self.is_forked = False
        self.is_daemon = daemon
        self.room = room
        self._names = (f"{name_prefix}_{number}" for number in itertools.count())
        self._initializer = initializer
        self._initargs = initargs
        self._idle_timeout = idle_timeout
        self._on_packet = on_packet
        _register(self)

    # -- growing -----------------------------------------------------------------------------------------------

    def is_short(self) -> bool:
        """Whether one more worker would have something to do at once.  Cheap enough for every `submit`."""
        queue = self.queue
        return (
            (len(queue.packets) > self.starting or (self.is_shared and not self.starting))
            and not queue.waiters
            and queue.current_count + self.starting < queue.maximum_count
            and len(self.workers) < self.max_workers
            and (self.refusal is None or self._has_work())
        )

    def share(self) -> None:
        """Others may post to the port from now on, unheard: one worker waits for that, while `max_workers` allows."""
        if not self.is_shared:
            self.is_shared = True
            with contextlib.suppress(RuntimeError):
                self.grow()

    def _has_work(self) -> bool:
        return any(packet.key is not STOP for packet in tuple(self.queue.packets))

    def grow(self) -> None:
        """Start a worker if one is needed.  Raises `RuntimeError` when the host has no thread for the only one."""
        if self.is_short():
            thread = self.system.perform(self._reserve_under_lock)
            if thread is not None:
                try:
                    thread.start()
                except BaseException as error:
                    if thread.ident is None:
                        self.system.perform(self._release_under_lock, thread)
                    if not isinstance(error, RuntimeError) or not self.workers:
                        raise

    def grow_under_lock(self) -> None:
        """As `grow`, for a worker that has just blocked; nobody is told when the host has no thread."""
        if self.is_short():
            thread = self._reserve_under_lock()
            if thread is not None:
                try:
                    thread.start()
                except RuntimeError:
                    self._release_under_lock(thread)

    def _reserve_under_lock(self) -> threading.Thread | None:
        if not self.is_short():
            return None
        thread = threading.Thread(target=_work, args=(self,), name=next(self._names), daemon=self.is_daemon)
        self.starting += 1
        self.workers[thread] = None
        self.peak_workers = max(self.peak_workers, len(self.workers))
        return thread

    def _release_under_lock(self, thread: threading.Thread) -> None:
        self.starting -= 1
        del self.workers[thread]

    # -- tasks -------------------------------------------------------------------------------------------------

    def take_on(self, task: Task[Any]) -> None:
        """Queue a task and see that somebody will run it.  Raises `RuntimeError` when nobody will."""
        try:
            self.port.post(0, TASK, task)
        except PortClosed:
            self.refusal = self.refusal or refusal_after_shutdown
        if self.refusal is not None and self.system.perform(self._is_in_vain_under_lock) and task.cancel():
            raise self.refusal()
        queue = self.queue
        if queue.packets and not queue.waiters and queue.current_count < queue.maximum_count:
            try:
                self.grow()
            except RuntimeError:
                task.cancel()
                raise

    def _is_in_vain_under_lock(self) -> bool:
        return self.is_finished or self.is_broken or self.port.closed

    def queued_tasks_under_lock(self) -> list[Task[Any]]:
        """The tasks in the queue, oldest first."""
        return [packet.overlapped for packet in tuple(self.queue.packets) if packet.key is TASK]

    def calling_worker(self) -> Worker | None:
        """The worker of this crew that the calling thread is, if it is one."""
        thread = self.system.threads_by_ident.get(threading.get_ident())
        return thread if isinstance(thread, Worker) and thread.crew is self else None

    def handle(self, packet: Packet) -> None:
        """Do what a worker does with a packet: run a task, or hand a packet of another origin on."""
        if packet.key is TASK:
            if self.room is not None:
                self.room.leave()
            task: Task[Any] = packet.overlapped
            worker = self.calling_worker()
            if worker is None:
                task.run(None)
                return
            worker.tasks.append(task)
            try:
                task.run(worker)
            finally:
                worker.tasks.pop()
                worker.completed += 1
        elif packet.key is STOP:
            self.system.perform(self._iocp.set, packet)
        else:
            self._handle_foreign(packet)

    def _handle_foreign(self, packet: Packet) -> None:
        handler = self._on_packet
        try:
            if handler is not None:
                handler(packet)
            elif callable(packet.key):
                packet.key(packet)
            else:
                LOGGER.error("nobody handles %r: give the executor an on_packet, or the packet a callable key", packet)
        except BaseException:
            LOGGER.exception("exception handling %r", packet)

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self, refusal: Refusal) -> None:
        """Take no more tasks; the workers end when those in the queue have been run.  Never blocks."""
        if self.is_forked:
            return
        self.refusal = self.refusal or refusal
        if self.room is not None:
            self.room.open_for_ever()
        self.system.perform(self._stop_under_lock)
        self._close_port_if_finished()

    def let_go(self) -> None:
        """As `close`, for a finalizer."""
        self.refusal = self.refusal or refusal_after_shutdown
        self.system.defer(self._stop_under_lock)

    def _stop_under_lock(self) -> None:
        if self.workers:
            self._iocp.set(Packet(STOP, None, 0, 0, None))
        else:
            self.is_finished = True

    def _close_port_if_finished(self) -> None:
        if self.is_finished:
            self.end_queued_tasks()
            self.port.close()

    def end_queued_tasks(self) -> None:
        """Nobody will run the tasks in the queue: they are cancelled, or in a broken executor fail.  O(depth)."""
        for task in self.system.perform(self.queued_tasks_under_lock):
            if not self.is_broken:
                task.cancel()
            with contextlib.suppress(RuntimeError):
                if task.set_running_or_notify_cancel():
                    task.set_exception(refusal_broken())

    def join(self) -> None:
        """Wait until all workers have ended.  Blocks.  Raises `RuntimeError` in one of them."""
        if self.calling_worker() is not None:
            raise RuntimeError("a worker cannot wait for the end of its own executor: use shutdown(wait=False)")
        # Each once: where Ctrl-C has struck in a join, Python takes the thread for ended, and would not wait again.
        joined: set[threading.Thread] = set()
        while threads := [each for each in (*list(self.workers), *list(self._leaving)) if each not in joined]:
            for thread in threads:
                thread.join()
                joined.add(thread)
                self._leaving.pop(thread, None)

    def after_fork_in_child(self) -> None:
        """The workers do not exist here."""
        self.is_forked = True
        self.workers.clear()
        self._leaving.clear()
        self.refusal = ForkedSystemError
        if self.room is not None:
            self.room.open_for_ever()

    # -- a worker's life ---------------------------------------------------------------------------------------

    def serve(self, current: threading.Thread) -> None:
        """Handle packets until there is no more need for the calling worker."""
        get, perform = self.port.get, self.system.perform
        idle_timeout, room = self._idle_timeout, self.room
        worker = self.workers[current]
        assert worker is not None
        tasks = worker.tasks
        while True:
            try:
                packet = get(idle_timeout)
            except WaitTimeout:
                if perform(self._may_leave_idle_under_lock, current):
                    return
                continue
            if self.is_shared:
                with contextlib.suppress(RuntimeError):
                    self.grow()
            if packet.key is TASK:
                if room is not None:
                    room.leave()
                task: Task[Any] = packet.overlapped
                tasks.append(task)
                task.run(worker)
                tasks.pop()
                worker.completed += 1
                del task
            elif packet.key is STOP:
                if perform(self._may_leave_at_stop_under_lock, current, packet):
                    return
            else:
                self._handle_foreign(packet)
            del packet

    def initialize(self) -> bool:
        """Call the initializer; False when it failed, which breaks the executor."""
        if self._initializer is None:
            return True
        try:
            self._initializer(*self._initargs)
        except BaseException:
            LOGGER.critical("Exception in initializer:", exc_info=True)
            self.refusal = refusal_broken
            self.is_broken = True
            if self.room is not None:
                self.room.open_for_ever()
            self.end_queued_tasks()
            return False
        return True

    def enlist_under_lock(self, thread: threading.Thread) -> Worker:
        """The kernel thread of a worker that has been started."""
        worker = self.workers[thread] = Worker(self, thread)
        return worker

    def arrive_under_lock(self) -> None:
        """A worker is about to ask the port for its first packet."""
        self.starting -= 1

    def _may_leave_idle_under_lock(self, thread: threading.Thread) -> bool:
        if self.queue.packets or (self.is_shared and not self.queue.waiters):
            return False
        self._retire_under_lock(thread)
        return True

    def _may_leave_at_stop_under_lock(self, thread: threading.Thread, packet: Packet) -> bool:
        is_last = len(self.workers) == 1
        if is_last and self._has_work():
            self._iocp.set(packet)
            return False
        self._retire_under_lock(thread)
        if is_last:
            self.is_finished = True
        else:
            self._iocp.set(packet)
        return True

    def _retire_under_lock(self, thread: threading.Thread) -> None:
        worker = self.workers.pop(thread, None)
        if worker is not None:
            self.retired_completed += worker.completed
        for other in list(self._leaving):
            if not other.is_alive():
                self._leaving.pop(other, None)
        self._leaving[thread] = None

    def give_up_under_lock(self, thread: threading.Thread) -> None:
        """A worker ends out of turn: its initializer failed, or an exception was thrown into it from outside."""
        if thread in self.workers:
            self._retire_under_lock(thread)
            if self.refusal is not None and not self.port.closed:
                self._stop_under_lock()

    def depart(self) -> None:
        """What a worker that is no longer one does last."""
        self._close_port_if_finished()
        with contextlib.suppress(RuntimeError):
            self.grow()


def _work(crew: Crew) -> None:
    """The main function of a worker's thread."""
    thread = threading.current_thread()
    system = crew.system
    try:
        try:
            system.adopt(system.perform(crew.enlist_under_lock, thread))
            try:
                is_able = crew.initialize()
            finally:
                system.perform(crew.arrive_under_lock)
            if is_able:
                crew.serve(thread)
        except PortClosed:
            crew.refusal = crew.refusal or refusal_after_shutdown
        except ForkedSystemError:
            raise
        except BaseException:
            LOGGER.critical("Exception in worker", exc_info=True)
        system.perform(crew.give_up_under_lock, thread)
        system.end_current_thread()
        crew.depart()
    except ForkedSystemError:
        pass  # a task has forked, and this is the child: there is no crew


_crews: weakref.WeakSet[Crew] = weakref.WeakSet()
_is_exiting = False


def _register(crew: Crew) -> None:
    if _is_exiting:
        raise refusal_after_exit()
    _crews.add(crew)


def _before_exit() -> None:
    """The interpreter is about to end: no more tasks; those that there are get run, except by daemons."""
    global _is_exiting
    _is_exiting = True
    crews = list(_crews)
    for crew in crews:
        crew.close(refusal_after_exit)
    for crew in crews:
        if not crew.is_daemon:
            crew.join()


def _after_fork_in_child() -> None:
    for crew in list(_crews):
        crew.after_fork_in_child()
    _crews.clear()


# Before the threads that are no daemons are joined, where the interpreter offers that moment: they have to be told.
_at_exit: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_at_exit(_before_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
