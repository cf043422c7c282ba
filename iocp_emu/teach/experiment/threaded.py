"""The experiment's second engine: real threads of this Python, on this machine.

Theory.  The same loop as in the simulation, on the object face: get, work, post the next.  To compute is to use up
processor time, by the clock of the thread itself and not by the clock on the wall: a thread that has to wait for a
processor, or for the interpreter's lock (the GIL), is not computing.  So the figures show what that lock does: under it
all threads together compute as much as one, whatever the concurrency value.  A `block` is a wait that the kernel sees,
a `hidden` one is a wait that nobody reports.

Own rules.  Whatever happens, the threads are sent home: each wait looks at the stop event, each computation at its
flag.  The caller's thread only waits, so Ctrl-C finds it anywhere.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from random import Random

from ... import CompletionPort, Event, PortClosed, SpawnedThread, spawn
from ...runtime.ambient import current_system
from ...runtime.chance import Exponential
from ...runtime.virtual_system import VirtualSystem
from ...runtime.virtual_time import NANOSECONDS, to_seconds
from ..tour_port import context_switches
from .measures import Run, Sample, Samples, Tally, to_run
from .settings import Closed, Open, Settings, Spacing
from .work import Kind, compile_work

REPORT_SECONDS = 0.1
SETTLING_SECONDS = 10.0
COARSEST_CLOCK_SECONDS = 0.001
CALIBRATION_SECONDS = 0.05


def measure(settings: Settings, concurrency: int, repetition: int, report: Callable[[float], None]) -> Run:
    """One run; `report` hears now and then which share of the packets is finished.

    Blocks until the last packet is finished.  Raises what a worker raised, `RuntimeError` when the operating system has
    no more threads, or inside a `Simulation`, where there are no real threads.
    """
    if isinstance(current_system(), VirtualSystem):
        raise RuntimeError("real threads cannot be measured inside a Simulation: leave it first")
    stage = _Stage(settings, concurrency, repetition, report)
    try:
        return stage.run()
    finally:
        stage.clean_up()


class _Stage:
    """One port, its workers, and where packets come from.  The lock guards the counts."""

    def __init__(self, settings: Settings, concurrency: int, repetition: int, report: Callable[[float], None]) -> None:
        self._settings = settings
        self._concurrency = concurrency
        self._repetition = repetition
        self._report = report
        seed = settings.seed + repetition
        self._arriving = Random(f"arrivals {seed}")
        self._working = Random(f"work {seed}")
        self._draw = compile_work(settings.work, lambda kind, nanoseconds: (kind, nanoseconds))
        self._compute = _computer()
        self._port = CompletionPort(concurrency)
        self._over = Event()
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._lock = threading.Lock()
        self._tally = Tally.empty()
        self._queued = 0
        self._sum_of_posts = 0
        self._beginning = 0
        self._failure: BaseException | None = None
        self._workers: list[SpawnedThread[None]] = []
        self._helpers: list[threading.Thread] = []
        self._samples = Samples(0.001)

    def run(self) -> Run:
        """From the first post to the last packet."""
        settings, tally = self._settings, self._tally
        for number in range(1, settings.threads + 1):
            self._workers.append(spawn(self._guard, self._work, name=f"worker-{number}"))
        deadline = time.monotonic() + SETTLING_SECONDS
        while self._port.waiting < settings.threads and self._failure is None and time.monotonic() < deadline:
            time.sleep(0.001)
        before = context_switches()
        self._beginning = time.perf_counter_ns()
        self._start(self._look)
        if isinstance(settings.arrivals, Open):
            self._start(self._arrive)
        for _ in range(settings.first_packets):
            self._post()
        while not self._finished.wait(REPORT_SECONDS):
            self._report(len(tally.waits) / settings.packets)
        if self._failure is not None:
            raise self._failure
        after = context_switches()
        tally.switches = None if before is None or after is None else sum(after) - sum(before)
        self._report(1.0)
        return to_run(settings, self._concurrency, self._repetition, tally, self._samples.all())

    def clean_up(self) -> None:
        """End everything that was started, wherever it stands."""
        self._stop.set()
        self._over.set()
        self._port.close()
        for worker in self._workers:
            worker.wait()
            worker.close()
        for helper in self._helpers:
            helper.join()
        self._over.close()

    def _start(self, function: Callable[[], None]) -> None:
        helper = threading.Thread(target=self._guard, args=(function,), daemon=True)
        self._helpers.append(helper)
        helper.start()

    def _guard(self, function: Callable[[], None]) -> None:
        """Run it; whatever it raises ends the run."""
        try:
            function()
        except PortClosed:
            pass  # the run is over
        except BaseException as error:
            self._failure = error
            self._finished.set()

    # -- what threads do ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        port, settings, tally = self._port, self._settings, self._tally
        is_closed = isinstance(settings.arrivals, Closed)
        while True:
            posted: int = port.get().key
            taken = time.perf_counter_ns()
            with self._lock:
                self._queued -= 1
                self._sum_of_posts -= posted
                bursts = self._draw(self._working)
                tally.most_active = max(tally.most_active, port.active)
            computed = blocked = 0
            for kind, nanoseconds in bursts:
                if kind is Kind.CPU:
                    self._compute(nanoseconds, self._stop.is_set)
                    computed += nanoseconds
                elif kind is Kind.BLOCK:
                    blocked += self._block(nanoseconds)
                else:
                    self._stop.wait(to_seconds(nanoseconds))
            done = time.perf_counter_ns()
            if self._stop.is_set() or not self._count(posted, taken, done, computed, blocked):
                return
            if is_closed:
                self._post()

    def _block(self, nanoseconds: int) -> int:
        """Wait so that the kernel sees it; how long it was."""
        begun = time.perf_counter_ns()
        self._over.wait(to_seconds(nanoseconds))
        ended = time.perf_counter_ns()
        with self._lock:
            self._tally.most_active = max(self._tally.most_active, self._port.active)
        return ended - begun

    def _count(self, posted: int, taken: int, done: int, computed: int, blocked: int) -> bool:
        """A packet is finished; whether another one may follow."""
        tally = self._tally
        with self._lock:
            if self._finished.is_set():
                return False
            tally.waits.append(taken - posted)
            tally.services.append(done - taken)
            tally.computed += computed
            tally.blocked += blocked
            if len(tally.waits) < self._settings.packets:
                return True
            tally.elapsed = done - self._beginning
            tally.queued = max(self._queued * done - self._sum_of_posts, 0)
            self._finished.set()
            return False

    def _post(self) -> None:
        now = time.perf_counter_ns()
        with self._lock:
            self._queued += 1
            self._sum_of_posts += now
        self._port.post(key=now)

    def _arrive(self) -> None:
        """Post at the times of arrival; when one is missed for want of a processor the next ones come at once."""
        arrivals = self._settings.arrivals
        assert isinstance(arrivals, Open)
        between = Exponential(1 / arrivals.rate)
        due = 0.0
        while not self._finished.is_set():
            due += between.draw(self._arriving) if arrivals.spacing is Spacing.RANDOM else 1 / arrivals.rate
            ahead = due - (time.perf_counter_ns() - self._beginning) / NANOSECONDS
            if ahead > 0 and self._stop.wait(ahead):
                return
            self._post()

    def _look(self) -> None:
        """Sample the port until the run is over."""
        port, threads = self._port, self._settings.threads
        while not self._finished.is_set() and not self._stop.wait(self._samples.interval):
            active, parked = port.active, port.waiting
            seconds = (time.perf_counter_ns() - self._beginning) / NANOSECONDS
            self._samples.add(Sample(seconds, active, max(threads - active - parked, 0), parked, port.depth))


def _computer() -> Callable[[int, Callable[[], bool]], None]:
    """How to use up processor time here: `compute(nanoseconds, stopped)`."""
    if time.get_clock_info("thread_time").resolution <= COARSEST_CLOCK_SECONDS:
        return _compute_by_clock
    return _computer_by_turns()


def _compute_by_clock(nanoseconds: int, stopped: Callable[[], bool]) -> None:
    end = time.thread_time_ns() + nanoseconds
    while time.thread_time_ns() < end and not stopped():
        pass


def _computer_by_turns() -> Callable[[int, Callable[[], bool]], None]:
    """For clocks of threads that tick too slowly, as on Windows: turns of a loop, measured before."""
    turns, begun = 0, time.perf_counter_ns()
    while time.perf_counter_ns() - begun < CALIBRATION_SECONDS * NANOSECONDS:
        _turn(100)
        turns += 100
    turns_per_nanosecond = turns / (time.perf_counter_ns() - begun)

    def compute(nanoseconds: int, stopped: Callable[[], bool]) -> None:
        left = round(nanoseconds * turns_per_nanosecond)
        while left > 0 and not stopped():
            _turn(min(left, 100))
            left -= 100

    return compute


def _turn(times: int) -> None:
    numbers = array("q", (0,))
    for each in range(times):
        numbers[0] = each
