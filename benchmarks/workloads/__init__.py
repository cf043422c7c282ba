"""The registry: every workload of a run, in the order of the table."""

from __future__ import annotations

from ..measure import Workload
from .executors import BENEFIT_WORKLOADS, EXECUTOR_WORKLOADS
from .exploration import Exploration, Schedules, SharedExploration
from .imports import ImportTime
from .input_output import Echo, FileReads
from .one_thread import Batch, Depth, OneThread
from .parked import OneWake, ParkedMemory
from .pool import Burst, Paced
from .simulation import SimulatedMemory, SimulatedPipeline, SimulatedTimers
from .two_threads import PingPong, Stream

WORKLOADS: tuple[Workload, ...] = (
    OneThread(),
    Depth(),
    Batch(),
    Stream(),
    PingPong(),
    Burst(1),
    Burst(8, goal=0.12),
    Burst(64, goal=0.12),
    Burst(64, goal=0.30, work_seconds=20e-6),
    Paced(1),
    Paced(8),
    Paced(64, goal=0.70),
    OneWake(),
    ParkedMemory(),
    SimulatedPipeline(),
    SimulatedTimers(),
    SimulatedMemory(),
    Exploration(),
    SharedExploration(),
    Schedules(),
    Echo(1, 64),
    Echo(100, 64),
    Echo(1000, 64),
    Echo(1, 1 << 16),
    Echo(100, 1 << 16),
    FileReads(),
    ImportTime(),
    *EXECUTOR_WORKLOADS,
)

GROUPS: dict[str, tuple[Workload, ...]] = {"benefit": BENEFIT_WORKLOADS}
"""Names for several workloads at once."""
