"""Virtual threads: threads of the kernel that a simulation runs, and where each of them stands.

Theory.  The kernel knows whether a thread is runnable; the simulation has to know more: whether a runnable thread has a
processor, computes on it, or stands in the queue for one.  That is its *place*:

    NEW --start--> READY --dispatch--> RUNNING <--> COMPUTING        RUNNING --wait--> WAITING --readied--> READY
    COMPUTING --time slice over--> READY                             RUNNING --end--> ENDED

Rules of this file: none of the catalogue.

Own rule.  Only `Processors` and `Simulation` change a place.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..kernel.objects import KernelObject
from .threads import OsThread

if TYPE_CHECKING:
    from _thread import LockType

    from .carriers import Strand
    from .processors import Processor
    from .simulation import Simulation


class Place(enum.Enum):
    """Where a virtual thread stands in the simulation."""

    NEW = "not started yet"
    READY = "waits for a processor"
    RUNNING = "has a processor and can make its next step now"
    COMPUTING = "keeps a processor busy"
    WAITING = "parked, blocked or suspended"
    ENDED = "has ended"


# Names of this module, since an enumeration is slow to look into.
READY, RUNNING, COMPUTING, WAITING = Place.READY, Place.RUNNING, Place.COMPUTING, Place.WAITING


class Step(NamedTuple):
    """What a thread is about to do: the name of the verb, and the kernel objects that it is done to."""

    verb: str
    objects: tuple[KernelObject, ...] = ()


START = Step("start")
GO_ON = Step("go on")


def step_of(verb: Callable[..., Any], args: tuple[Any, ...]) -> Step:
    """The step `verb(*args)`: concerned are whose method it is and what it is given."""
    found: list[KernelObject] = []
    for each in (getattr(verb, "__self__", None), *args):
        if isinstance(each, KernelObject):
            found.append(each)
        elif isinstance(each, (list, tuple)):
            found.extend(obj for obj in cast("Sequence[object]", each) if isinstance(obj, KernelObject))
    return Step(getattr(verb, "__name__", "verb").lstrip("_"), tuple(dict.fromkeys(found)))


class SimulationMisuse(RuntimeError):
    """A program does in a simulation what cannot be simulated; the message names the call and what to use instead."""


class VirtualThreadExit(BaseException):
    """Ends a virtual thread whose simulation is closed: it passes through the thread's `finally` blocks.

    Not an `Exception`, so that nobody catches it by accident.
    """


class _ParkInSimulation:
    """Stands where OS threads have their parker: a thread that suspends itself sleeps here until it is resumed."""

    __slots__ = ("_thread",)

    def __init__(self, thread: VirtualThread) -> None:
        self._thread = thread

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """The simulation has noticed already that the thread does not run; nothing is left to wait for."""
        return True

    def release(self) -> None:
        """The simulation lets threads go on by itself."""


class VirtualThread(OsThread):
    """A thread of a simulation.

    `number` counts the threads of the simulation from 1 and names the thread in schedules; `name` is unique too.
    `ident` is the OS thread that carries it, 0 before its first step.
    `result` and `error` are what its function has returned or raised; `pending` is its next step.
    """

    __slots__ = (
        "_args",
        "_verb",
        "error",
        "error_was_seen",
        "function",
        "has_unwound",
        "last_processor",
        "number",
        "place",
        "processor",
        "remaining",
        "result",
        "simulation",
        "strand",
    )

    def __init__(self, simulation: Simulation, number: int, name: str) -> None:
        super().__init__(simulation.kernel, simulation.process, name)
        self.parker = cast("LockType", _ParkInSimulation(self))
        self.simulation = simulation
        self.number = number
        self.place = Place.NEW
        self._verb: Callable[..., Any] | None = None
        self._args: tuple[Any, ...] = ()
        self.processor: Processor | None = None
        self.last_processor: Processor | None = None
        self.remaining = 0
        self.function: Callable[[], Any] | None = None
        self.strand: Strand | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.error_was_seen = False
        self.has_unwound = False

    def announce(self, verb: Callable[..., Any] | None, args: tuple[Any, ...] = ()) -> None:
        """The next step will be `verb(*args)`; None: to return from a wait."""
        self._verb = verb
        self._args = args

    @property
    def pending(self) -> Step:
        """The step that the thread makes when it is chosen.  O(arguments)."""
        if self._verb is not None:
            return step_of(self._verb, self._args)
        return GO_ON if self.ident else START

    @property
    def is_alive(self) -> bool:
        """Whether its function has not ended yet."""
        return self.place is not Place.ENDED

    @property
    def title(self) -> str:
        """The name, for reports."""
        return self.name or f"thread {self.number}"

    def suspend(self) -> int:
        """As the kernel does; the simulation takes it off its processor (Q-23)."""
        previous = super().suspend()
        if previous == 0:
            self.simulation.on_suspended(self)
        return previous

    def exit(self, exit_code: int) -> None:
        """As the kernel does; a thread that somebody else ends makes no further step."""
        super().exit(exit_code)
        self.simulation.on_exit(self)

    def __repr__(self) -> str:
        return f"<VirtualThread {self.title} {self.place.value}>"
