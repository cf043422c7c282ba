"""The run of a schedule as a trace: what a report says in a table, to be looked at step by step.

Theory.  A run is a function of its schedule, so it can be made once more with a recorder under it.  The recorder sees
what it sees of any simulation; the run does not notice.

Own rule.  The recording ends where the run does: what unwinding its threads does is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..kernel.queue import KernelQueue
from ..runtime.schedulers import Scheduler
from ..trace.model import Engine, Trace
from ..trace.recording import TraceRecorder
from .explorer import plan_of
from .observed import ObservedSimulation
from .runs import Fairness, RankScheduler, run_once
from .temporal import Property


def timeline(
    program: Callable[..., object],
    text: str,
    *,
    properties: Iterable[Property] = (),
    until: float | None = None,
    fairness: Fairness = Fairness.FAIR,
    queue_type: type[KernelQueue[Any]] = KernelQueue,
) -> Trace:
    """The run of a schedule, such as `exploration.failure.schedule`, as a trace.

    `iocp_emu.trace.write_html(trace, path)` makes a page of it.  The options are those that the exploration had.
    Blocks for one run.  Raises `ScheduleTextError` and `ScheduleMismatch` as `replay` does.
    """
    plan, schedule = plan_of(
        program, text, properties=properties, until=until, fairness=fairness, queue_type=queue_type
    )
    trace = Trace(plan.name, Engine.SIMULATION, plan.processors)
    run_once(plan, RankScheduler(schedule.ranks), simulation_type=_recorded(trace, plan.queue_type))
    return trace


def _recorded(trace: Trace, queue_type: type[KernelQueue[Any]]) -> type[ObservedSimulation]:
    """A simulation for one run, which writes `trace`."""

    class RecordedSimulation(ObservedSimulation):
        def __init__(self, scheduler: Scheduler, **options: Any) -> None:
            self.recorder = TraceRecorder(trace, self._seconds)
            options["queue_type"] = self.recorder.queue_type
            if queue_type is not KernelQueue:
                options["queue_type"] = type("RecordedQueue", (self.recorder.queue_type, queue_type), {"__slots__": ()})
            super().__init__(scheduler, **options)
            self.thread_type = self.recorder.virtual_thread_type
            self.recorder.caller = self._caller

        def _seconds(self) -> float:
            return self.now if hasattr(self, "clock") else 0.0

        def _caller(self) -> str | None:
            return None if self._running is None else self._running.name

        def _end_threads(self) -> None:
            self.recorder.stop()
            super()._end_threads()

    return RecordedSimulation
