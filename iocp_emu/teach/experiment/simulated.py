"""The experiment's first engine: a run in virtual time, on the lean simulation.

Theory.  Workers are generators over the kernel's own verbs (`runtime.generators`), so the port is the real one; the
machine under it is not: its processors, its time slice and the cost of a context switch are what the settings say.
Hence the same figures on every system and every Python.  A run stops the moment its last packet is finished; what is
still on its way then is not counted, so neither end of a run shows idle processors that a longer run would not have.

Own rules.  Two streams of chance, one for arrivals and one for work, so that how often one is drawn from does not show
in the other.  All times are whole nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from ...runtime.chance import Exponential
from ...runtime.generators import Compute, GeneratorSimulation, Get, HiddenSleep, Operation, Operations, Sleep
from ...runtime.virtual_time import NANOSECONDS, to_nanoseconds, to_seconds
from .measures import Run, Sample, Samples, Tally, to_run
from .settings import Closed, Open, Settings, Spacing
from .work import Kind, compile_work

_OPERATIONS: dict[Kind, type[Compute | Sleep | HiddenSleep]] = {
    Kind.CPU: Compute,
    Kind.BLOCK: Sleep,
    Kind.HIDDEN: HiddenSleep,
}


def simulate(settings: Settings, concurrency: int, repetition: int, report: Callable[[float], None]) -> Run:
    """One run; `report` hears now and then which share of the packets is finished.  O(packets)."""
    return _Stage(settings, concurrency, repetition, report).run()


class _Stage:
    """One port, its workers, and where packets come from."""

    def __init__(self, settings: Settings, concurrency: int, repetition: int, report: Callable[[float], None]) -> None:
        self._settings = settings
        self._concurrency = concurrency
        self._repetition = repetition
        self._report = report
        seed = settings.seed + repetition
        self._simulation = GeneratorSimulation(
            settings.processors, time_slice=settings.time_slice, context_switch_cost=settings.switch_cost
        )
        self._port = self._simulation.create_port(concurrency)
        self._get = Get(self._port)
        self._draw = compile_work(settings.work, _operation)
        self._arriving = Random(f"arrivals {seed}")
        self._working = Random(f"work {seed}")
        self._tally = Tally.empty()
        self._finished = False
        self._posted = 0
        self._beginning = 0
        self._looking = Random(f"samples {seed}")
        self._samples = Samples(1e-6)

    def run(self) -> Run:
        """From the first post to the last packet."""
        simulation, settings = self._simulation, self._settings
        for _ in range(settings.threads):
            simulation.spawn(self._worker())
        simulation.run()
        # Until here every thread came only to park.
        simulation.switches = 0
        self._beginning = simulation.clock
        for _ in range(settings.first_packets):
            self._post()
        if isinstance(settings.arrivals, Open):
            self._arrive()
        self._sample()
        simulation.run()
        self._report(1.0)
        return to_run(settings, self._concurrency, self._repetition, self._tally, self._samples.all())

    def _worker(self) -> Operations:
        """The loop of one thread; everything that a packet costs here it costs a million times."""
        simulation, tally, queue = self._simulation, self._tally, self._port.queue
        get, draw, random = self._get, self._draw, self._working
        packets, is_closed = self._settings.packets, isinstance(self._settings.arrivals, Closed)
        waits, services = tally.waits, tally.services
        while True:
            packet: Any = yield get
            if self._finished:
                return
            taken = simulation.clock
            if queue.current_count > tally.most_active:  # noqa: PLR1730 - a call of max costs more
                tally.most_active = queue.current_count
            computed = blocked = 0
            for operation in draw(random):
                yield operation
                if type(operation) is Compute:
                    computed += operation.duration
                elif type(operation) is Sleep:
                    blocked += operation.duration
                    if queue.current_count > tally.most_active:  # noqa: PLR1730
                        tally.most_active = queue.current_count
            if self._finished:
                return
            waits.append(taken - packet.key)
            services.append(simulation.clock - taken)
            tally.computed += computed
            tally.blocked += blocked
            if len(waits) == packets:
                self._finish()
                return
            if is_closed:
                self._post()

    def _finish(self) -> None:
        """The last packet is done: stop the clock, and send everybody home."""
        simulation, tally = self._simulation, self._tally
        self._finished = True
        tally.elapsed = simulation.clock - self._beginning
        tally.switches = simulation.switches
        tally.queued = sum(simulation.clock - packet.key for packet in self._port.queue.packets)
        # One packet for each worker, so that those who are parked come and see.
        for _ in range(max(self._settings.threads - len(self._port.queue.packets), 0)):
            simulation.post(self._port)

    def _post(self) -> None:
        """Queue a packet whose key is the time."""
        self._posted += 1
        self._simulation.post(self._port, key=self._simulation.clock)

    def _arrive(self) -> None:
        """Set the next arrival, which sets the one after it."""
        arrivals = self._settings.arrivals
        assert isinstance(arrivals, Open)
        between = Exponential(1 / arrivals.rate)
        step = NANOSECONDS / arrivals.rate
        simulation = self._simulation

        def next_time() -> int:
            if arrivals.spacing is Spacing.EVEN:
                # From the number, not from the last time: so the rate is exact though nanoseconds are whole.
                return max(self._beginning + int((self._posted + 1) * step), simulation.clock + 1)
            return simulation.clock + to_nanoseconds(between.draw(self._arriving))

        def arrive() -> None:
            if not self._finished:
                self._post()
                simulation.at(next_time(), arrive)

        simulation.at(next_time(), arrive)

    def _sample(self) -> None:
        """Look at the port now, and again later; at moments that no rhythm of the work can meet."""
        if self._finished:
            return
        simulation, queue = self._simulation, self._port.queue
        parked = len(queue.waiters)
        blocked = len(queue.members) - parked - queue.current_count
        time = to_seconds(simulation.clock - self._beginning)
        self._samples.add(Sample(time, queue.current_count, blocked, parked, len(queue.packets)))
        self._report(len(self._tally.waits) / self._settings.packets)
        pause = self._samples.interval * (0.5 + self._looking.random())
        simulation.at(simulation.clock + to_nanoseconds(pause), self._sample)


def _operation(kind: Kind, nanoseconds: int) -> Operation:
    return _OPERATIONS[kind](to_seconds(nanoseconds))
