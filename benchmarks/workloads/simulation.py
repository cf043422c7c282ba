"""W5: simulating a port in virtual time, next to simpy and to what Python itself needs at least.

Theory.  The simulated machine is the same for everybody: packets for a pool of workers, of which four at a time may
work, one virtual millisecond for each packet.  simpy has no ports, so there a worker takes one of four units of a
`Resource` and then an item of a `Store`, which is how one would write it.  "engine" are generators over the kernel's
verbs (`GeneratorSimulation`), "functions" are plain blocking functions on greenlets (`Simulation`).  The bare ones know
neither ports nor limits: they are the floor, one switch and one turn of a heap for each packet.

Without simpy, or without greenlet, their rows stay empty, and one sentence says so.
"""

from __future__ import annotations

import gc
import heapq
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Any

from ..measure import Comparison, Effort, Kind, OneByOne, Sample, Unavailable, Unit, WrongResult
from ..staging import check_in_order

ENGINE = "engine"
FUNCTIONS = "functions"
SIMPY = "simpy"
BARE_GENERATORS = "bare generators"
BARE_GREENLETS = "bare greenlets"

LIMIT = 4
SERVICE_SECONDS = 0.001
STOP = 2**32 - 1

_NEEDS = {SIMPY: "simpy", FUNCTIONS: "greenlet", BARE_GREENLETS: "greenlet"}


@cache
def _library(name: str) -> Any:
    """A library that need not be there; `Unavailable`, and one sentence the first time, when it is not."""
    if find_spec(name) is None:
        print(f"{name} is not installed (pip install {name}): its rows stay empty.", file=sys.stderr)
        return None
    return import_module(name)


def _check_available(contestant: str) -> None:
    if contestant in _NEEDS and _library(_NEEDS[contestant]) is None:
        raise Unavailable(f"{_NEEDS[contestant]} is not installed")


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


# -- the pipeline: each function returns the seconds that it took, and appends what was served ---------------------


def _engine_pipeline(workers: int, packets: int, served: list[int]) -> float:
    from iocp_emu.runtime.generators import Compute, GeneratorSimulation, Get, Operations

    simulation = GeneratorSimulation(processors=LIMIT)
    port = simulation.create_port(LIMIT)
    get, service = Get(port), Compute(SERVICE_SECONDS)

    def worker() -> Operations:
        while True:
            packet = yield get
            served.append(packet.bytes)
            yield service

    for _ in range(workers):
        simulation.spawn(worker())
    simulation.run()

    def produce() -> None:
        for number in range(packets):
            simulation.post(port, number)
        simulation.run()

    return _timed(produce)


def _function_pipeline(workers: int, packets: int, served: list[int]) -> float:
    import iocp_emu
    from iocp_emu.runtime.schedulers import SteadyScheduler

    scheduler = SteadyScheduler()
    with iocp_emu.Simulation(processors=LIMIT, carrier="greenlet", scheduler=scheduler) as simulation:
        port = iocp_emu.CompletionPort(LIMIT)

        def worker() -> None:
            while (number := port.get().bytes) != STOP:
                served.append(number)
                iocp_emu.compute(SERVICE_SECONDS)

        for _ in range(workers):
            simulation.spawn(worker)
        simulation.run(until=0)

        def produce() -> None:
            for number in range(packets):
                port.post(number)
            simulation.run(until=packets)

        return _timed(produce)


def _simpy_pipeline(workers: int, packets: int, served: list[int]) -> float:
    simpy = _library("simpy")
    environment = simpy.Environment()
    slots, store = simpy.Resource(environment, LIMIT), simpy.Store(environment)

    def worker() -> Generator[Any, Any, None]:
        while True:
            with slots.request() as slot:
                yield slot
                served.append((yield store.get()))
                yield environment.timeout(SERVICE_SECONDS)

    def producer() -> Generator[Any, Any, None]:
        for number in range(packets):
            yield store.put(number)

    for _ in range(workers):
        environment.process(worker())
    environment.run()
    environment.process(producer())
    return _timed(environment.run)


def _bare_generators(workers: int, packets: int, served: list[int]) -> float:
    queue: deque[int] = deque()

    def worker() -> Generator[None, None, None]:
        while True:
            served.append(queue.popleft())
            yield

    def run() -> None:
        queue.extend(range(packets))
        heap = [(0.0, number, worker()) for number in range(LIMIT)]
        while queue:
            now, number, generator = heap[0]
            generator.send(None)
            heapq.heapreplace(heap, (now + SERVICE_SECONDS, number, generator))

    return _timed(run)


def _bare_greenlets(workers: int, packets: int, served: list[int]) -> float:
    library = _library("greenlet")
    hub = library.getcurrent()
    queue: deque[int] = deque()

    def worker() -> None:
        while True:
            served.append(queue.popleft())
            hub.switch()

    def run() -> None:
        queue.extend(range(packets))
        heap = [(0.0, number, library.greenlet(worker)) for number in range(LIMIT)]
        while queue:
            now, number, strand = heap[0]
            strand.switch()
            heapq.heapreplace(heap, (now + SERVICE_SECONDS, number, strand))

    return _timed(run)


_PIPELINES: dict[str, Callable[[int, int, list[int]], float]] = {
    ENGINE: _engine_pipeline,
    FUNCTIONS: _function_pipeline,
    SIMPY: _simpy_pipeline,
    BARE_GENERATORS: _bare_generators,
    BARE_GREENLETS: _bare_greenlets,
}
_SIZES = {"8": 8, "1k": 1_000, "100k": 100_000}
_STAGED = {
    f"{contestant} @{label}": (contestant, size)
    for label, size in _SIZES.items()
    for contestant in _PIPELINES
    if (contestant in (ENGINE, SIMPY) or label == "8" or (contestant == FUNCTIONS and label == "1k"))
}


class SimulatedPipeline(OneByOne):
    """W5p: a burst through a simulated port, 4 of 8, 1,000 or 100,000 virtual workers at work; per packet."""

    packets: Mapping[Effort, int] = {Effort.WARM_UP: 200, Effort.QUICK: 4_000, Effort.FULL: 10_000}

    def __init__(self) -> None:
        super().__init__(
            "sim-pipeline",
            (
                *(Comparison(f"{ENGINE} @{label}", f"{SIMPY} @{label}", goal=0.10) for label in _SIZES),
                *(Comparison(f"{FUNCTIONS} @{label}", f"{SIMPY} @{label}", goal=0.25) for label in ("8", "1k")),
                Comparison(f"{ENGINE} @100k", f"{ENGINE} @8", goal=1.25),
                Comparison(f"{ENGINE} @8", f"{BARE_GENERATORS} @8"),
                Comparison(f"{FUNCTIONS} @8", f"{BARE_GREENLETS} @8"),
            ),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return [name for name, (_, size) in _STAGED.items() if effort is Effort.FULL or size <= 1_000]

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        kind, workers = _STAGED[contestant]
        _check_available(kind)
        packets = self.packets[effort]
        served: list[int] = []
        seconds = _PIPELINES[kind](workers, packets, served)
        check_in_order(served, 0, packets)
        return Sample(seconds / packets)


class SimulatedTimers(OneByOne):
    """W5t: 1,000 virtual workers that sleep, with periods of 1 to 100 virtual milliseconds; per sleep."""

    workers = 1_000
    sleeps: Mapping[Effort, int] = {Effort.WARM_UP: 1, Effort.QUICK: 10, Effort.FULL: 50}

    def __init__(self) -> None:
        super().__init__("sim-timers", (Comparison(ENGINE, SIMPY, goal=0.5), Comparison(ENGINE, BARE_GENERATORS)))

    def contestants(self, effort: Effort) -> Sequence[str]:
        return ENGINE, SIMPY, BARE_GENERATORS

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        _check_available(contestant)
        count = self.sleeps[effort]
        ended: list[int] = []
        stage = {ENGINE: self._engine, SIMPY: self._simpy, BARE_GENERATORS: self._bare}[contestant]
        seconds = stage(count, ended)
        if len(ended) != self.workers:
            raise WrongResult(f"{len(ended)} of {self.workers} workers have ended")
        return Sample(seconds / (self.workers * count))

    def _engine(self, count: int, ended: list[int]) -> float:
        from iocp_emu.runtime.generators import GeneratorSimulation, Operations, Sleep

        simulation = GeneratorSimulation(processors=LIMIT)

        def worker(number: int) -> Operations:
            pause = Sleep((number % 100 + 1) / 1000)
            for _ in range(count):
                yield pause
            ended.append(number)

        for number in range(self.workers):
            simulation.spawn(worker(number))
        return _timed(simulation.run)

    def _simpy(self, count: int, ended: list[int]) -> float:
        environment = _library("simpy").Environment()

        def worker(number: int) -> Generator[Any, Any, None]:
            period = (number % 100 + 1) / 1000
            for _ in range(count):
                yield environment.timeout(period)
            ended.append(number)

        for number in range(self.workers):
            environment.process(worker(number))
        return _timed(environment.run)

    def _bare(self, count: int, ended: list[int]) -> float:
        def worker(number: int) -> Generator[int, None, None]:
            period = number % 100 + 1
            for _ in range(count):
                yield period
            ended.append(number)

        generators = [worker(number) for number in range(self.workers)]

        def run() -> None:
            heap = [(0, number, generator) for number, generator in enumerate(generators)]
            while heap:
                now, number, generator = heap[0]
                try:
                    heapq.heapreplace(heap, (now + generator.send(None), number, generator))
                except StopIteration:
                    heapq.heappop(heap)

        return _timed(run)


class SimulatedMemory(OneByOne):
    """W5m: bytes that one parked virtual worker keeps, its generator or greenlet included."""

    unit = Unit.BYTES
    workers: Mapping[Effort, int] = {Effort.WARM_UP: 100, Effort.QUICK: 2_000, Effort.FULL: 10_000}

    def __init__(self) -> None:
        super().__init__(
            "sim-memory",
            (
                Comparison(ENGINE, "bytes per worker", 500, Kind.FIGURE),
                Comparison(ENGINE, SIMPY),
                Comparison(FUNCTIONS, ENGINE),
            ),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return ENGINE, SIMPY, FUNCTIONS

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        _check_available(contestant)
        count = self.workers[effort] // (10 if contestant == FUNCTIONS else 1)
        _PIPELINES[contestant](8, 8, [])  # imports, and what the first one pays for all
        tracemalloc.start()
        try:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            stage = {ENGINE: _parked_in_engine, SIMPY: _parked_in_simpy, FUNCTIONS: _parked_functions}[contestant]
            parked = stage(count)
            gc.collect()
            held = (tracemalloc.get_traced_memory()[0] - before) / count
            parked()
        finally:
            tracemalloc.stop()
        return Sample(held, {"bytes per worker": held})


def _parked_in_engine(count: int) -> Callable[[], object]:
    from iocp_emu.runtime.generators import GeneratorSimulation, Get, Operations

    simulation = GeneratorSimulation()
    get = Get(simulation.create_port())

    def worker() -> Operations:
        while True:
            yield get

    for _ in range(count):
        simulation.spawn(worker())
    simulation.run()
    return simulation.run


def _parked_in_simpy(count: int) -> Callable[[], object]:
    simpy = _library("simpy")
    environment = simpy.Environment()
    store = simpy.Store(environment)

    def worker() -> Generator[Any, Any, None]:
        while True:
            yield store.get()

    for _ in range(count):
        environment.process(worker())
    environment.run()
    return lambda: (environment, store)


def _parked_functions(count: int) -> Callable[[], object]:
    import iocp_emu

    simulation = iocp_emu.Simulation(carrier="greenlet")
    with iocp_emu.use(simulation):
        port = iocp_emu.CompletionPort()
    for _ in range(count):
        simulation.spawn(port.get)
    simulation.run(until=0)
    return simulation.close
