"""The registry: every workload of a run, in the order of the table."""

from __future__ import annotations

from ..measure import Workload
from .imports import ImportTime
from .one_thread import Batch, Depth, OneThread
from .parked import OneWake, ParkedMemory
from .pool import Burst, Paced
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
    ImportTime(),
)
