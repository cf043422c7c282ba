"""What a run of a simulation has brought."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .virtual_threads import Place, VirtualThread

if TYPE_CHECKING:
    from .simulation import Simulation


class EndReason(enum.Enum):
    """Why `run` has returned."""

    FINISHED = "every thread has ended"
    TIME_REACHED = "the time until which it should run"
    THREAD_ENDED = "the thread until whose end it should run has ended"


@dataclass(frozen=True, slots=True)
class ThreadOutcome:
    """One virtual thread at the end of a run: what its function returned or raised, if it has ended."""

    number: int
    name: str
    ended: bool
    result: Any
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run: its `reason`; virtual `seconds` since the beginning; context `switches`; `steps` taken.

    `busy_seconds` are those that processors have computed; `threads` in the order in which they were made; `schedule`
    is what `ReplayScheduler` takes.
    """

    reason: EndReason
    seconds: float
    busy_seconds: float
    switches: int
    steps: int
    threads: tuple[ThreadOutcome, ...]
    schedule: tuple[int, ...]

    @property
    def results(self) -> dict[str, Any]:
        """What each ended thread's function has returned, by the name of the thread."""
        return {each.name: each.result for each in self.threads if each.ended and each.error is None}


def result_of(simulation: Simulation, reason: EndReason) -> RunResult:
    """The state of affairs.  O(threads and choices so far)."""
    return RunResult(
        reason,
        simulation.now,
        simulation.processors.busy_time / 1e9,
        simulation.switches,
        simulation.steps,
        tuple(
            ThreadOutcome(thread.number, thread.title, thread.place is Place.ENDED, thread.result, thread.error)
            for thread in simulation.virtual_threads
        ),
        tuple(simulation.schedule),
    )


class SimulationStall(RuntimeError):
    """So many steps were taken while no virtual time passed that the program is taken to poll for ever."""

    def __init__(self, seconds: float, steps: int, threads: Iterable[VirtualThread]) -> None:
        names = ", ".join(thread.title for thread in threads)
        super().__init__(
            f"{steps} steps at {seconds} virtual seconds, and still busy: {names}. A call takes no virtual time, so a "
            "loop that polls never ends: wait with a timeout, or let time pass with iocp_emu.sleep or compute"
        )
