"""The kernel thread of a worker: it tells its pool when it stops running."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

from ..kernel.thread import ThreadState
from ..runtime.threads import OsThread

if TYPE_CHECKING:
    from .crew import Crew
    from .task import Task


class Worker(OsThread):
    """One worker of `crew`, which is the calling thread."""

    __slots__ = ("completed", "crew", "os_thread", "tasks")

    def __init__(self, crew: Crew, os_thread: Thread) -> None:
        super().__init__(crew.system.kernel, crew.system.process, os_thread.name)
        self.crew = crew
        self.os_thread = os_thread
        self.tasks: list[Task[Any]] = []
        """What it is running; more than one when a task handles packets itself."""
        self.completed = 0

    @property
    def current_task_name(self) -> str:
        """Which task it is running, for reports."""
        return self.tasks[-1].name if self.tasks else "no task"

    def stop_running(self, state: ThreadState) -> None:
        """As in the model; then, if work is queued and nobody was parked to take it, one more worker is needed."""
        super().stop_running(state)
        self.crew.grow_under_lock()
