"""`CompletionPortExecutor`: a pool that keeps so many threads running, not so many existing.

Theory.  The face of a crew: it checks arguments, makes tasks and hands them over.  All scheduling is the port's.  A
task is queued as a packet on `port`, next to packets of any other origin; whichever worker parked last takes the next
one; when a worker blocks visibly, another one runs.

What is visible: the emulator's own waits (`iocp_emu.sleep`, `wait`, `Event`, synchronous file I/O), waiting for tasks
of an executor (`result`, `exception`, `concurrent.futures.wait`, `as_completed`), `blocking()` sections, and inside
`detect_blocking()` the waits of the standard library that are listed there.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import ParamSpec

from ..kernel.thread import ThreadState
from ..port import MAXIMUM_DWORD, check_integer, check_timeout
from ..runtime.ambient import current_system, use
from ..runtime.host import available_processors
from .crew import Crew, refusal_after_shutdown
from .room import Overflow, Room
from .task import Task
from .waits import wait_visibly

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..kernel.completion import Packet
    from ..port import CompletionPort
    from ..profiles import Profile
    from ..runtime.threads import ThreadSystem

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class ExecutorStats:
    """An executor at one moment.  All are counts; `workers` is the sum of the four kinds below it."""

    workers: int
    """Threads that exist: starting, parked, runnable and blocked."""
    starting: int
    """Started, and not at the port yet."""
    parked: int
    """Waiting at the port for something to do."""
    runnable: int
    """Running, or ready to: what counts against the concurrency value, as far as it is workers (Q-02)."""
    blocked: int
    """In a visible wait: their slots are free (Q-23)."""
    queued: int
    """Packets in the queue: tasks, cancelled ones too, and what else was posted."""
    completed: int
    """Tasks that workers have taken and ended."""
    peak_workers: int
    """The most workers that have existed at once."""


class CompletionPortExecutor(Executor):
    """An executor whose workers wait on one I/O completion port.

    `max_workers`: threads that may exist, parked and blocked ones included; default: processors + 4, at most 32.
    `concurrency`: threads that may be runnable when a task is handed out; 0, the default: the number of processors;
    a worker that comes back from blocking is never stopped, so that more may run for a while (Q-26).
    `thread_name_prefix`, `initializer`, `initargs`: as for `ThreadPoolExecutor`.

    `idle_timeout`: seconds after which a worker without work ends, the one that worked longest ago first; None: never.
    `daemon`: True lets the interpreter end without waiting for running and queued tasks.
    `max_pending`: how many tasks may wait to be begun, None for any number; `overflow` says what happens then.
    `on_packet`: called in a worker with each packet that is no task; by default its key is called with it, if that is
    callable.  What it raises is logged.  `profile`: the Windows to follow, as for `CompletionPort`.

    Workers are started when there is something for them to do.  Each task runs in a copy of its submitter's context.
    Dropping the executor lets queued tasks be run and the workers end.  After a fork it is unusable in the child
    (`ForkedSystemError`).  Raises `TypeError`, `ValueError`.

    >>> from iocp_emu import CompletionPortExecutor
    >>> with CompletionPortExecutor(max_workers=8, concurrency=2) as executor:
    ...     list(executor.map(pow, [2, 3], [5, 4]))
    [32, 81]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        concurrency: int = 0,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        idle_timeout: float | None = 10.0,
        daemon: bool = False,
        max_pending: int | None = None,
        overflow: Overflow = Overflow.BLOCK,
        on_packet: Callable[[Packet], object] | None = None,
        profile: str | Profile | None = None,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, available_processors() + 4)
        elif not isinstance(max_workers, int) or isinstance(max_workers, bool):
            raise TypeError(f"max_workers must be an int, not {type(max_workers).__name__}")
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        check_integer("concurrency", concurrency, 0, MAXIMUM_DWORD)
        for name, function in (("initializer", initializer), ("on_packet", on_packet)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a callable")
        if max_pending is not None:
            check_integer("max_pending", max_pending, 1, MAXIMUM_DWORD)
        if not isinstance(daemon, bool):
            raise TypeError(f"daemon must be a bool, not {type(daemon).__name__}")
        if not isinstance(overflow, Overflow):
            raise TypeError(f"overflow must be an Overflow, not {type(overflow).__name__}")
        self._crew = Crew(
            max_workers=max_workers,
            concurrency=concurrency,
            profile=profile,
            name_prefix=thread_name_prefix or f"{type(self).__name__}-{next(_numbers)}",
            initializer=initializer,
            initargs=tuple(initargs),
            idle_timeout=check_timeout(idle_timeout, "idle_timeout"),
            daemon=daemon,
            on_packet=on_packet,
            room=None if max_pending is None else Room(max_pending, overflow),
        )

    # -- tasks -------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` called by a worker; the future of its result.

        Blocks only at `max_pending`.  O(1).  Raises `RuntimeError` after shutdown and when the host has no thread for
        the first worker, `BrokenCompletionPortExecutor`, `TooManyPending`, `ForkedSystemError`.
        """
        crew = self._crew
        if crew.refusal is not None:
            raise crew.refusal()
        task: Task[T]
        if current_system() is crew.system:
            task = Task(crew, (copy_context(), fn, args, kwargs))
        else:
            task = Task(crew, (copy_context(), _within, (crew.system, fn, args, kwargs), {}))
        if crew.room is not None:
            self._submit_bounded(crew, crew.room, task)
        else:
            crew.take_on(task)
        return task

    def _submit_bounded(self, crew: Crew, room: Room, task: Task[Any]) -> None:
        if not room.enter(crew):
            task.run(crew.calling_worker())
            return
        try:
            if crew.refusal is not None:
                raise crew.refusal()
            crew.take_on(task)
        except BaseException:
            room.leave()
            raise

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """The results of `fn` on the elements of `iterables`, in their order; the calls run concurrently.

        `timeout`: seconds from now until when each result must be there.  `chunksize` is ignored.  `buffersize`: how
        many tasks are submitted ahead of the result being asked for; None: all at once, before `map` returns.
        Raises, from the iterator, what a call raised, and `TimeoutError`; then and when the iterator is closed, tasks
        that have not begun are cancelled.  From here: as `submit`, `TypeError`, `ValueError`.
        """
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else monotonic() + timeout
        arguments = zip(*iterables, strict=False)
        ahead = deque(self.submit(fn, *each) for each in itertools.islice(arguments, buffersize))
        rest = iter(()) if buffersize is None else arguments
        return _results(ahead, deadline, weakref.ref(self), fn, rest)

    def handle(self, packet: Packet) -> None:
        """Do what a worker does with a packet of `port`: for a thread that lends a hand by taking packets itself.

        Runs the task that the packet stands for, or passes the packet to `on_packet`.  Blocks as long as that takes.
        """
        self._crew.handle(packet)

    # -- the end -----------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; queued ones are still run, or cancelled with `cancel_futures`.

        With `wait`, return when all workers have ended: blocks, visibly; `RuntimeError` in a worker of this executor.
        Calling again is harmless.
        """
        crew = self._crew
        crew.close(refusal_after_shutdown)
        if cancel_futures and not crew.is_forked:
            for task in crew.system.perform(crew.queued_tasks_under_lock):
                task.cancel()
        if wait:
            wait_visibly(None, crew.join, None)

    def __del__(self) -> None:
        crew = getattr(self, "_crew", None)
        if crew is not None and not crew.is_forked:
            crew.let_go()

    # -- looking inside ----------------------------------------------------------------------------------------

    @property
    def port(self) -> CompletionPort:
        """The port.  Post packets to it, associate files with it, take packets from it: see `handle`.

        From the first time that it is asked for, one worker waits there for packets that nobody tells the executor of,
        as long as `max_workers` allows.  The port is closed when the last worker has ended after `shutdown`; do not
        close it.
        """
        self._crew.share()
        return self._crew.port

    @property
    def max_workers(self) -> int:
        """How many workers may exist."""
        return self._crew.max_workers

    @property
    def broken(self) -> bool:
        """Whether an initializer has failed."""
        return self._crew.is_broken

    def stats(self) -> ExecutorStats:
        """Counts of this moment, consistent with each other.  Never blocks for long; O(workers)."""
        return self._crew.system.perform(_stats_under_lock, self._crew)

    def __repr__(self) -> str:
        crew = self._crew
        state = "open" if crew.refusal is None else "broken" if crew.is_broken else "shut down"
        return f"<{type(self).__name__} {state}, {len(crew.workers)} of {crew.max_workers} workers, {crew.port!r}>"

    def as_thread_pool(self) -> ThreadPoolExecutor:
        """This executor for those that insist on a `ThreadPoolExecutor`, such as `loop.set_default_executor`.

        Everything is passed on; `shutdown` ends this executor.

        >>> import asyncio
        >>> from iocp_emu import CompletionPortExecutor
        >>> async def main(executor):
        ...     asyncio.get_running_loop().set_default_executor(executor.as_thread_pool())
        ...     return await asyncio.to_thread(pow, 2, 5)
        >>> asyncio.run(main(CompletionPortExecutor()))
        32
        """
        from .adapter import ThreadPoolAdapter

        return ThreadPoolAdapter(self)


def _within(
    system: ThreadSystem, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    """For a task that was submitted where another system is current: inside, it is the executor's own."""
    with use(system):
        return fn(*args, **kwargs)


def _results(
    ahead: deque[Future[T]],
    deadline: float | None,
    executor: weakref.ref[CompletionPortExecutor],
    fn: Callable[..., T],
    arguments: Iterator[tuple[Any, ...]],
) -> Iterator[T]:
    """The generator behind `map`: keeps no reference to what it has yielded, nor to the executor."""
    try:
        while ahead:
            owner = executor()
            if owner is not None:
                for each in itertools.islice(arguments, 1):
                    ahead.append(owner.submit(fn, *each))
            del owner
            yield _result_of(ahead.popleft(), deadline)
    finally:
        for future in ahead:
            future.cancel()


def _result_of(future: Future[T], deadline: float | None) -> T:
    try:
        try:
            return future.result(None if deadline is None else deadline - monotonic())
        finally:
            future.cancel()
    finally:
        # An exception of the future holds this frame.
        del future


def _stats_under_lock(crew: Crew) -> ExecutorStats:
    workers = [worker for worker in crew.workers.values() if worker is not None]
    counts = dict.fromkeys(ThreadState, 0)
    starting = len(crew.workers) - len(workers)
    for worker in workers:
        if worker.queue is crew.queue:
            counts[worker.state] += 1
        else:
            starting += 1
    return ExecutorStats(
        workers=len(crew.workers),
        starting=starting,
        parked=counts[ThreadState.PARKED],
        runnable=counts[ThreadState.RUNNABLE],
        blocked=counts[ThreadState.BLOCKED] + counts[ThreadState.SUSPENDED],
        queued=crew.port.depth,
        completed=crew.retired_completed + sum(worker.completed for worker in workers),
        peak_workers=crew.peak_workers,
    )
