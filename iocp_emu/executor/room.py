"""A bound on the queue: how many tasks may wait to be begun, and what happens to one too many."""

from __future__ import annotations

import enum
from _thread import LockType, allocate_lock
from typing import TYPE_CHECKING

from .waits import RoomWait, wait_visibly

if TYPE_CHECKING:
    from .crew import Crew


class Overflow(enum.Enum):
    """What `submit` does while `max_pending` tasks wait to be begun."""

    BLOCK = "wait until one is begun"
    RAISE = "raise TooManyPending"
    CALLER_RUNS = "run the task in the calling thread, and return when it has ended"


class TooManyPending(RuntimeError):
    """`submit` was refused: `max_pending` tasks wait to be begun, and the policy is `Overflow.RAISE`."""


class Room:
    """Room for `capacity` tasks (1 or more) that wait to be begun.  Thread-safe; first come, first served."""

    __slots__ = ("_is_open", "_lock", "_queue", "_taken", "capacity", "overflow")

    def __init__(self, capacity: int, overflow: Overflow) -> None:
        self.capacity = capacity
        self.overflow = overflow
        self._lock = allocate_lock()
        self._taken = 0
        self._queue: list[LockType] = []
        self._is_open = False

    def enter(self, crew: Crew) -> bool:
        """Take a place, waiting for one if that is the policy; False when the caller shall run the task.

        Raises `TooManyPending`; `WaitDeadlock` in a worker whose wait would never end.  May block, visibly.
        """
        with self._lock:
            if self._is_open or (self._taken < self.capacity and not self._queue):
                self._taken += 1
                return True
            if self.overflow is Overflow.RAISE:
                raise TooManyPending(f"{self.capacity} tasks wait to be begun already")
            if self.overflow is Overflow.CALLER_RUNS:
                return False
            turn = allocate_lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            wait_visibly(crew, turn.acquire, lambda worker: RoomWait(worker, lambda: turn not in self._queue))
        except BaseException:
            with self._lock:
                if turn in self._queue:
                    self._queue.remove(turn)
                    raise
            self.leave()  # the place had just been given to this thread
            raise
        return True

    def leave(self) -> None:
        """A task has been begun, or never will be: its place goes to whoever has waited longest.  Never blocks."""
        with self._lock:
            if self._queue:
                self._queue.pop(0).release()
            else:
                self._taken -= 1

    def open_for_ever(self) -> None:
        """Nobody waits for room any more: the executor takes no tasks, and will tell."""
        with self._lock:
            self._is_open = True
            while self._queue:
                self._taken += 1
                self._queue.pop(0).release()
