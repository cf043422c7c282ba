"""Waiting for a task inside the pool: it gives the slot away, and a wait that could never end is refused.

Theory.  A worker that waits for a task of its own pool is blocked like any other thread that waits (Q-23): somebody
else runs meanwhile, so nested work goes on while workers remain.  When none remain, all of them waiting for one
another's tasks or for tasks that are still queued, nothing can happen any more.  Such a state is closed by one last
wait; that wait is refused, in the task that asked for it, with the chain of waits in the message.

What counts as a wait that cannot end: it has no timeout; it is for tasks of this pool (and, where any one of several
is enough, for nothing else besides); each way out leads to a task that is queued while every worker waits likewise, or
that is being run by a worker which itself cannot go on.  Anything that the pool cannot see (a lock, a socket, a future
of somebody else) is taken to end some day: the diagnosis never refuses what might succeed, unless somebody outside
would have cancelled a queued task.

Own rules.  The register of waits is guarded by the kernel lock, and no verb is called from here.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..kernel.thread import BLOCKED
from ..runtime.blocking import runnable_member

if TYPE_CHECKING:
    from .crew import Crew
    from .task import Task
    from .worker import Worker

T = TypeVar("T")


class WaitDeadlock(RuntimeError):
    """This wait would never end: the tasks wait for each other in a circle.

    `chain` describes each step, from the refused wait on.
    """

    def __init__(self, reason: str, chain: tuple[str, ...]) -> None:
        super().__init__(f"{reason}: {'; '.join(chain)}")
        self.chain = chain


class WorkersExhausted(WaitDeadlock):
    """This wait would never end: every worker waits, and none is left for a task that is still queued.

    Remedy: a larger `max_workers`, or fewer levels of tasks that wait for tasks.
    """


class Wait(Protocol):
    """One worker's wait without a timeout."""

    worker: Worker

    def is_over(self) -> bool:
        """Whether it has been satisfied, so that its thread is about to go on."""
        ...

    def can_end(self, can_progress: Callable[[Task[Any]], bool], has_free_worker: bool) -> bool:
        """Whether some way out is open."""
        ...

    def tasks(self) -> list[Task[Any]]:
        """The unfinished tasks of the pool that are waited for; none: for room in the queue."""
        ...


class TaskWait:
    """For the end of one task."""

    __slots__ = ("_task", "worker")

    def __init__(self, worker: Worker, task: Task[Any]) -> None:
        self.worker = worker
        self._task = task

    def is_over(self) -> bool:
        """As `Wait.is_over`."""
        return self._task.done()

    def can_end(self, can_progress: Callable[[Task[Any]], bool], has_free_worker: bool) -> bool:
        """As `Wait.can_end`."""
        return can_progress(self._task)

    def tasks(self) -> list[Task[Any]]:
        """As `Wait.tasks`."""
        return [self._task]


class EventWait:
    """For one or for all of several futures, inside `concurrent.futures.wait` or `as_completed`."""

    __slots__ = ("_event", "worker")

    def __init__(self, worker: Worker, event: VisibleEvent) -> None:
        self.worker = worker
        self._event = event

    def is_over(self) -> bool:
        """As `Wait.is_over`."""
        return self._event.is_set()

    def can_end(self, can_progress: Callable[[Task[Any]], bool], has_free_worker: bool) -> bool:
        """As `Wait.can_end`."""
        progress = map(can_progress, self.tasks())
        return all(progress) if self._event.needs_all else any(progress) or self._event.has_outsiders()

    def tasks(self) -> list[Task[Any]]:
        """As `Wait.tasks`."""
        crew = self.worker.crew
        return [task for task in self._event.tasks if task.crew is crew and not task.done()]


class RoomWait:
    """For room in the bounded queue."""

    __slots__ = ("_has_room", "worker")

    def __init__(self, worker: Worker, has_room: Callable[[], bool]) -> None:
        self.worker = worker
        self._has_room = has_room

    def is_over(self) -> bool:
        """As `Wait.is_over`."""
        return self._has_room()

    def can_end(self, can_progress: Callable[[Task[Any]], bool], has_free_worker: bool) -> bool:
        """As `Wait.can_end`."""
        return has_free_worker

    def tasks(self) -> list[Task[Any]]:
        """As `Wait.tasks`."""
        return []


class Waits:
    """Who waits for what in one pool of at most `max_workers` workers."""

    __slots__ = ("_max_workers", "_waits")

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._waits: dict[Worker, Wait] = {}

    def begin(self, wait: Wait) -> None:
        """Register a wait.  Raises `WaitDeadlock` or `WorkersExhausted` when it could never end."""
        self._waits[wait.worker] = wait
        stuck = self._stuck()
        if wait.worker in stuck:
            del self._waits[wait.worker]
            if len(stuck) == self._max_workers:
                chain = tuple(_step(each, stuck)[0] for each in stuck.values())
                raise WorkersExhausted(f"all {self._max_workers} workers wait for tasks of their own pool", chain)
            raise WaitDeadlock("tasks of one pool wait for each other in a circle", tuple(_circle(wait, stuck)))

    def end(self, worker: Worker) -> None:
        """The worker waits no longer."""
        self._waits.pop(worker, None)

    def _stuck(self) -> dict[Worker, Wait]:
        """The waits that cannot end: begin with all, and take out those with an open way until none has one."""
        stuck = {worker: wait for worker, wait in self._waits.items() if not wait.is_over()}

        def can_progress(task: Task[Any]) -> bool:
            if task.running():
                return task.runner not in stuck
            return task.done() or len(stuck) < self._max_workers

        while ended := [
            worker for worker, wait in stuck.items() if wait.can_end(can_progress, len(stuck) < self._max_workers)
        ]:
            for worker in ended:
                del stuck[worker]
        return stuck


def _step(wait: Wait, stuck: dict[Worker, Wait]) -> tuple[str, Wait | None]:
    """What this worker waits for, in words, and the wait of whoever runs that."""
    worker = wait.worker
    step = f"{worker.current_task_name} in {worker.name} waits for "
    tasks = wait.tasks()
    if not tasks:
        return step + "room in the queue", None
    for task in tasks:
        runner = task.runner
        if runner in stuck:
            return step + f"{task.name}, which runs in {runner.name}", stuck[runner]
    return step + f"{tasks[0].name}, which is queued", None


def _circle(wait: Wait | None, stuck: dict[Worker, Wait]) -> Iterator[str]:
    """The steps from one stuck wait to the next, until they come back."""
    seen: set[Wait] = set()
    while wait is not None and wait not in seen:
        seen.add(wait)
        step, wait = _step(wait, stuck)
        yield step


def wait_visibly(
    crew: Crew | None,
    sleep: Callable[[], T],
    make_wait: Callable[[Worker], Wait] | None,
) -> T:
    """Call `sleep`, which blocks, with the slot of the calling thread given away if it occupies one.

    `make_wait` is given, along with the pool, for a wait without a timeout on what that pool will do: then it is
    registered if a worker of that very pool waits.  Raises `WaitDeadlock`, and what `sleep` raises.
    """
    worker = None if crew is None or make_wait is None else crew.calling_worker()
    if worker is not None:
        assert crew is not None
        assert make_wait is not None
        crew.system.perform(crew.waits.begin, make_wait(worker))
    try:
        member = runnable_member()
        if member is None:
            return sleep()
        system, thread = member
        system.block(thread)
        try:
            return sleep()
        finally:
            if thread.state is BLOCKED:
                system.unblock(thread)
    finally:
        if worker is not None:
            assert crew is not None
            crew.system.perform(crew.waits.end, worker)


class Watchers(list[Any]):
    """A task's `_waiters`: what `concurrent.futures.wait` and `as_completed` enter themselves in.

    Each who does gets a `VisibleEvent` to sleep on.
    """

    __slots__ = ("task",)
    task: Task[Any]
    """Set by whoever makes it: `concurrent.futures.wait` has one made for each of its futures, and is to be quick."""

    def append(self, waiter: Any, /) -> None:
        """Called by the waiting thread, with the conditions of all its futures held."""
        _append(self, waiter)
        event = waiter.event
        if type(event) is not VisibleEvent:
            event = waiter.event = VisibleEvent(waiter, self.task.crew)
        if event.is_workers:
            event.add(self.task)


_append = list[Any].append


class _NoWatchers(list[Any]):
    """Takes in nobody and lets everybody out."""

    __slots__ = ()

    def append(self, waiter: Any, /) -> None:
        pass

    def remove(self, waiter: Any, /) -> None:
        pass


NO_WATCHERS = _NoWatchers()
"""The watchers of every task that had none when it ended."""


class VisibleEvent:
    """Stands for the event on which `concurrent.futures.wait` and `as_completed` sleep: it gives the slot away.

    `crew` is the pool of the first task waited for.
    """

    __slots__ = ("_crew", "_sleep", "_tasks", "_waiter", "clear", "is_set", "is_workers", "needs_all", "set")

    def __init__(self, waiter: Any, crew: Crew) -> None:
        event = waiter.event
        self._waiter = weakref.ref(waiter)
        self._crew = crew
        self._tasks: list[weakref.ref[Task[Any]]] = []
        self.is_workers = crew.calling_worker() is not None
        """Whether a worker waits; then the tasks are remembered."""
        self.needs_all = not getattr(waiter, "stop_on_exception", True)
        self._sleep: Callable[[float | None], bool] = event.wait
        self.set: Callable[[], None] = event.set
        self.clear: Callable[[], None] = event.clear
        self.is_set: Callable[[], bool] = event.is_set

    @property
    def tasks(self) -> list[Task[Any]]:
        """The tasks among what a worker waits for."""
        return [task for each in self._tasks if (task := each()) is not None]

    def add(self, task: Task[Any]) -> None:
        """The call waits for this task, too."""
        self._tasks.append(weakref.ref(task))

    def has_outsiders(self) -> bool:
        """Whether futures that are no tasks are waited for, too: those keep their waiters in plain lists.  O(heap)."""
        waiter = self._waiter()
        return any(type(holder) is list for holder in gc.get_referrers(waiter))

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`.  Raises `WaitDeadlock`."""
        if self.is_set():
            return True
        return wait_visibly(
            self._crew,
            partial(self._sleep, timeout),
            (lambda worker: EventWait(worker, self)) if self.is_workers and timeout is None else None,
        )
