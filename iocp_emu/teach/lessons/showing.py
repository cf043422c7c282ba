"""Running a lesson's program: in the simulation or on real threads, recorded.

Own rule.  The program runs as a thread of its own, named "main"; whatever it raises goes through.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from ... import spawn, use
from ...runtime.carriers import Carrier
from ...trace import TracedSimulation, TracedThreads
from ...trace.model import Trace
from .lesson import Facts, Lesson

LIMIT_SECONDS = 120.0
SEED = 0


class Machine(enum.Enum):
    """Where a program runs."""

    SIMULATION = "simulation"
    REAL_THREADS = "real threads"


@dataclass(frozen=True, slots=True)
class Showing:
    """One run of a lesson: where, with which numbers, its facts and its recording."""

    machine: Machine
    settings: Mapping[str, int]
    facts: Facts
    trace: Trace


def show(
    lesson: Lesson,
    machine: Machine = Machine.SIMULATION,
    settings: Mapping[str, int] | None = None,
    carrier: Carrier = Carrier.AUTO,
) -> Showing:
    """Run the program with its defaults but for `settings`.  Blocks until it has ended.

    `carrier` is what virtual threads run on; it makes no difference to what is shown.

    Raises what the program raises: `StageStuck` when a condition that it waits for never holds; `TimeoutError` when
    real threads have not ended after two minutes.

    >>> from iocp_emu.teach.lessons.catalogue import find
    >>> show(find("lifo")).facts["who got the first packet"]
    'C'
    """
    chosen = {**lesson.settings, **(settings or {})}
    title = f"{lesson.id} {lesson.title}"
    if machine is Machine.SIMULATION:
        with TracedSimulation(processors=lesson.processors, seed=SEED, title=title, carrier=carrier) as simulation:
            main = simulation.spawn(lambda: lesson.program(**chosen), name="main")
            simulation.run()
        return Showing(machine, chosen, main.result, simulation.trace)
    system = TracedThreads(title, processors=lesson.processors)
    with use(system):
        try:
            facts = spawn(lambda: lesson.program(**chosen), name="main").join(LIMIT_SECONDS)
        finally:
            system.stop_tracing()
    return Showing(machine, chosen, facts, system.trace)
