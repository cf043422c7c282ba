"""The lean simulation: generators over the same kernel verbs."""

from __future__ import annotations

import sys
import tracemalloc
from types import GeneratorType
from typing import Any, cast

import pytest

from iocp_emu import CompletionPort, Simulation, compute, sleep
from iocp_emu.kernel.invariants import check_port
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.runtime.chance import Exponential
from iocp_emu.runtime.generators import Compute, GeneratorSimulation, Get, HiddenSleep, Operations, Sleep, Wait
from iocp_emu.status import STATUS_TIMEOUT, STATUS_WAIT_0


def test_lifo_waiters_fifo_packets() -> None:
    """Q-06, Q-07: the last to park is the first to get, packets in their order."""
    simulation = GeneratorSimulation(processors=4)
    port = simulation.create_port(4)
    log: list[Any] = []

    def worker(number: int) -> Operations:
        packet = yield Get(port)
        log.append((number, packet.bytes))

    for number in range(3):
        simulation.spawn(worker(number))
    simulation.run()
    assert len(port.queue.waiters) == 3
    for number in range(3):
        simulation.post(port, number)
    simulation.run()
    assert log == [(2, 0), (1, 1), (0, 2)]
    assert simulation.alive == 0


def test_only_as_many_workers_as_the_limit_are_used() -> None:
    """Q-10, Q-14: a computing worker keeps its slot and comes back for more; the others sleep on."""
    simulation = GeneratorSimulation(processors=8)
    port = simulation.create_port(2)
    served = [0] * 50
    get, service = Get(port), Compute(0.001)

    def worker(number: int) -> Operations:
        while True:
            yield get
            yield service
            served[number] += 1

    for number in range(50):
        simulation.spawn(worker(number))
    simulation.run()
    for number in range(100):
        simulation.post(port, number)
    assert simulation.run() == 0.05
    assert sorted(filter(None, served)) == [50, 50]
    check_port(port)


def test_blocking_frees_the_slot() -> None:
    """Q-23, Q-26: workers that sleep let others in, beyond the limit when they come back."""
    simulation = GeneratorSimulation(processors=8)
    port = simulation.create_port(1)
    most = [0]

    def worker() -> Operations:
        while True:
            yield Get(port)
            yield Sleep(0.01)
            most[0] = max(most[0], port.queue.current_count)
            yield Compute(0.001)

    for _ in range(10):
        simulation.spawn(worker())
    simulation.run()
    for number in range(10):
        simulation.post(port, number)
    assert simulation.run() == pytest.approx(0.012, abs=0.001)
    assert most[0] > 1
    check_port(port)


def test_hidden_waiting_keeps_the_slot_and_no_processor() -> None:
    """Q-02, Q-29: to the kernel such a worker is runnable, so no other gets in; its processor is free."""
    simulation = GeneratorSimulation(processors=1)
    port = simulation.create_port(1)
    log: list[tuple[str, float]] = []

    def worker(name: str) -> Operations:
        yield Get(port)
        yield HiddenSleep(0.5)
        assert port.queue.current_count == 1
        yield Compute(0.25)
        log.append((name, simulation.now))

    def stranger() -> Operations:
        yield Compute(0.5)
        log.append(("stranger", simulation.now))

    for name in ("first", "second"):
        simulation.spawn(worker(name))
    simulation.run()
    simulation.post(port)
    simulation.post(port)
    simulation.spawn(stranger())
    simulation.run()
    # The second to park is the first to go; the other has its packet once that one has ended.
    assert log == [("stranger", 0.5), ("second", 0.75), ("first", 1.5)]
    check_port(port)


def test_timeouts_batches_events_and_closing() -> None:
    """G-08, Q-19, Q-24, O-21: what an operation answers."""
    simulation = GeneratorSimulation()
    port, event = simulation.create_port(5), simulation.create_event()
    log: list[Any] = []

    def worker() -> Operations:
        log.append((yield Get(port, timeout=0)))
        log.append((yield Get(port, timeout=1.5)))
        log.append(simulation.now)
        for number in range(3):
            simulation.post(port, number)
        log.append([packet.bytes for packet in (yield Get(port, maximum=2))])
        log.append((yield Get(port, timeout=1)).bytes)
        log.append((yield Wait(event, timeout=1)))
        log.append((yield Wait(event)))
        log.append((yield Wait(event)))
        log.append((yield Get(port)))

    def other() -> Operations:
        yield Sleep(10)
        simulation.set_event(event)
        yield Sleep(1)
        simulation.process.handles.close(next(iter(simulation.process.handles.handles())))
        simulation.take_readied()

    simulation.spawn(worker())
    simulation.spawn(other())
    assert simulation.run() == 11.0
    timeout, abandoned = RemoveOutcome.TIMEOUT, RemoveOutcome.ABANDONED
    waits = [STATUS_TIMEOUT, STATUS_WAIT_0, STATUS_WAIT_0]
    assert log == [timeout, timeout, 1.5, [0, 1], 2, *waits, abandoned]


def test_slices_and_switches() -> None:
    """Long computations take turns; a switch costs; the times are those of `Simulation`."""

    def lean(processors: int, work: list[float], cost: float) -> tuple[float, int]:
        simulation = GeneratorSimulation(processors, time_slice=0.01, context_switch_cost=cost)

        def worker(seconds: float) -> Operations:
            yield Compute(seconds)

        for seconds in work:
            simulation.spawn(worker(seconds))
        return simulation.run(), simulation.switches

    def full(processors: int, work: list[float], cost: float) -> tuple[float, int]:
        with Simulation(processors, time_slice=0.01, context_switch_cost=cost) as simulation:
            for seconds in work:
                simulation.spawn(compute, seconds)
            return simulation.run().seconds, simulation.switches

    # With 2 processors two slices end in one instant, and which goes first is open: then the two may differ.
    for processors in (1, 3):
        for cost in (0.0, 0.001):
            work = [0.05, 0.02, 0.035]
            assert lean(processors, work, cost) == full(processors, work, cost)


def test_run_until_and_errors() -> None:
    """A run stops at its time and goes on later; a worker's exception comes out."""
    simulation = GeneratorSimulation()

    def fails() -> Operations:
        yield Sleep(2)
        raise ValueError("worker")

    simulation.spawn(fails())
    assert simulation.run(until=1) == 1.0
    with pytest.raises(ValueError, match="worker"):
        simulation.run()
    assert simulation.now == 2.0


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer allocates too")
def test_memory_of_a_parked_worker() -> None:
    """W5m: 500 bytes or less, generator included; before Python 3.11 a generator has a whole frame besides."""
    simulation = GeneratorSimulation()
    get = Get(simulation.create_port(2))

    def worker() -> Operations:
        yield get

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000):
            simulation.spawn(worker())
        simulation.run()
        each = (tracemalloc.get_traced_memory()[0] - before) / 10_000
    finally:
        tracemalloc.stop()
    frame = 0 if sys.version_info >= (3, 11) else sys.getsizeof(cast("GeneratorType[Any, Any, Any]", worker()).gi_frame)
    assert each <= 500 + frame


def erlang_c(servers: int, load: float) -> float:
    """The probability that a customer of M/M/c has to wait; `load` is arrivals times service, below `servers`."""
    term, total = 1.0, 1.0
    for number in range(1, servers):
        term *= load / number
        total += term
    term *= load / servers * servers / (servers - load)
    return term / (total + term)


def mean_and_error(waits: list[float], batches: int = 20) -> tuple[float, float]:
    """The mean, and its standard error from the means of batches, which hardly depend on each other."""
    size = len(waits) // batches
    means = [sum(waits[size * each : size * (each + 1)]) / size for each in range(batches)]
    mean = sum(means) / batches
    return mean, (sum((each - mean) ** 2 for each in means) / (batches * (batches - 1))) ** 0.5


@pytest.mark.parametrize(("servers", "arrivals"), [(1, 0.5), (2, 1.2), (4, 3.0)])
def test_queueing_theory_with_generators(servers: int, arrivals: float) -> None:
    """A port with concurrency value c and exponential work is M/M/c: the mean wait is Erlang's."""
    simulation = GeneratorSimulation(servers, seed=servers, time_slice=1e6)
    port = simulation.create_port(servers)
    waits: list[float] = []
    between, service, get = Exponential(1 / arrivals), Exponential(1.0), Get(port)

    def source() -> Operations:
        for _ in range(20_000):
            simulation.post(port, key=simulation.now)
            yield Sleep(between.draw(simulation.random))

    def worker() -> Operations:
        while True:
            packet = yield get
            waits.append(simulation.now - packet.key)
            yield Compute(service.draw(simulation.random))

    # The source needs no processor: it only sleeps, between one instant and the next.
    for _ in range(servers):
        simulation.spawn(worker())
    simulation.idle.append(type(simulation.idle[0])())
    simulation.spawn(source())
    simulation.run()
    mean, error = mean_and_error(waits[2000:])
    expected = erlang_c(servers, arrivals) / (servers - arrivals)
    assert abs(mean - expected) < 4 * error
    assert error < 0.15 * expected


def test_queueing_theory_with_blocking_functions() -> None:
    """The same with plain functions in the full simulation."""
    waits: list[float] = []
    with Simulation(processors=3, seed=5) as simulation:
        port = CompletionPort(2)
        between, service = Exponential(1 / 1.2), Exponential(1.0)

        def source() -> None:
            for _ in range(6000):
                port.post(key=simulation.now)
                sleep(between.draw(simulation.random))
            for _ in range(2):
                port.post(key=None)

        def worker() -> None:
            while (posted := port.get().key) is not None:
                waits.append(simulation.now - posted)
                compute(service.draw(simulation.random))

        simulation.spawn(source)
        simulation.spawn(worker)
        simulation.spawn(worker)
        simulation.run()
    mean, error = mean_and_error(waits[600:])
    assert abs(mean - erlang_c(2, 1.2) / 0.8) < 4 * error
    assert error < 0.15
