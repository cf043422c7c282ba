"""Doing an experiment: every value, as often as asked for, one run after the other.

Theory.  Runs come in rounds, each with every value once: what changes slowly on a real machine (heat, other programs)
then meets all values alike.  The runs of one round share a seed, so every value gets the same packets.

Own rule.  `runs_of` is an iterator, so that whoever stops asking keeps what was measured so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypedDict

from typing_extensions import Unpack

from ...runtime.host import available_processors, gil_is_enabled
from . import simulated
from .grammar import parse_work
from .measures import Run
from .results import Result
from .settings import (
    DEFAULT_SWITCH_COST,
    DEFAULT_TIME_SLICE,
    Arrivals,
    Batch,
    Engine,
    Settings,
    parse_arrivals,
    parse_concurrency,
)
from .work import Work

DEFAULT_THREADS = 16
DEFAULT_PROCESSORS = 4
DEFAULT_PACKETS = 10_000
DEFAULT_REAL_PACKETS = 200
DEFAULT_REPEAT = 1
DEFAULT_REAL_REPEAT = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an experiment is: run number `run` (from 0) of `runs`, with this value, is done to this `share`."""

    run: int
    runs: int
    concurrency: int
    share: float


Watch = Callable[[Progress], object]


def make_settings(
    work: Work | str,
    *,
    threads: int = DEFAULT_THREADS,
    processors: int | None = None,
    concurrency: int | str | Iterable[int] | None = None,
    packets: int | None = None,
    warm_up: int | None = None,
    arrivals: Arrivals | str = "closed",
    seed: int = 0,
    repeat: int | None = None,
    engine: Engine | str = Engine.SIMULATION,
    time_slice: float = DEFAULT_TIME_SLICE,
    switch_cost: float = DEFAULT_SWITCH_COST,
) -> Settings:
    """The settings of an experiment, with what is left out filled in; see `Settings` for what they mean.

    `work`, `concurrency`, `arrivals`: objects, or text as on the command line.  Left out: 16 threads; 4 processors in
    the simulation, what the machine has for real threads; values from 1 to 12 or to three times the processors if that
    is more; 10,000 packets, 200 on real threads; a tenth of the packets for warming up, none of a batch; one run of
    each value, three on real threads.  Raises `ValueError` that says what to write instead.
    """
    engine = Engine(engine)
    real = engine is Engine.THREADS
    if real and processors is not None and processors != available_processors():
        raise ValueError(
            f"real threads run on the {available_processors()} processors that this machine has; only the simulation "
            "can choose"
        )
    if processors is None:
        processors = available_processors() if real else DEFAULT_PROCESSORS
    if packets is None:
        packets = DEFAULT_REAL_PACKETS if real else DEFAULT_PACKETS
    if isinstance(arrivals, str):
        arrivals = parse_arrivals(arrivals)
    if warm_up is None:
        warm_up = 0 if isinstance(arrivals, Batch) else packets // 10
    return Settings(
        work=parse_work(work) if isinstance(work, str) else work,
        threads=threads,
        processors=processors,
        concurrency=_values(concurrency, processors),
        packets=packets,
        warm_up=warm_up,
        arrivals=arrivals,
        seed=seed,
        repeat=repeat if repeat is not None else DEFAULT_REAL_REPEAT if real else DEFAULT_REPEAT,
        engine=engine,
        time_slice=time_slice,
        switch_cost=switch_cost,
    )


def _values(concurrency: int | str | Iterable[int] | None, processors: int) -> tuple[int, ...]:
    if concurrency is None:
        return tuple(range(1, max(12, min(3 * processors, 96)) + 1))
    if isinstance(concurrency, str):
        return parse_concurrency(concurrency)
    return (concurrency,) if isinstance(concurrency, int) else tuple(sorted(concurrency))


def runs_of(settings: Settings, watch: Watch | None = None) -> Iterator[Run]:
    """Make the runs of an experiment, one for each step of the iterator.

    `watch` hears of the progress, several times a second on real threads, some hundred times a run in the simulation.
    Each step blocks until a run is over; O(packets) in the simulation.
    """
    number = 0
    for repetition in range(settings.repeat):
        for value in settings.concurrency:
            yield _one_run(settings, value, repetition, number, watch)
            number += 1


def _one_run(settings: Settings, value: int, repetition: int, number: int, watch: Watch | None) -> Run:
    def report(share: float) -> None:
        if watch is not None:
            watch(Progress(number, settings.runs, value, share))

    report(0.0)
    if settings.engine is Engine.SIMULATION:
        return simulated.simulate(settings, value, repetition, report)
    from . import threaded  # brings real threads and the object face along

    return threaded.measure(settings, value, repetition, report)


def interpreter_lock(settings: Settings) -> bool | None:
    """Whether the threads of this experiment take turns at computing (the GIL); None for the simulation."""
    return None if settings.engine is Engine.SIMULATION else gil_is_enabled()


class Options(TypedDict, total=False):
    """What `make_settings` takes besides the work; it says what each means."""

    threads: int
    processors: int | None
    concurrency: int | str | Iterable[int] | None
    packets: int | None
    warm_up: int | None
    arrivals: Arrivals | str
    seed: int
    repeat: int | None
    engine: Engine | str
    time_slice: float
    switch_cost: float


def run(work: Work | str, *, watch: Watch | None = None, **options: Unpack[Options]) -> Result:
    """Do an experiment: `run("cpu=5ms,block=20ms:p=.3", threads=16, processors=4, concurrency="1..12")`.

    The options are those of `make_settings`.  `watch` hears of the progress.  Blocks until all is measured:
    microseconds per packet in the simulation, as long as the work takes on real threads.  Raises `ValueError`.
    """
    made = make_settings(work, **options)
    return Result.of(made, runs_of(made, watch), interpreter_lock(made))
