"""Virtual time: sleeps, timeouts, deadlines of `run`, and that nobody waits for real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu import CompletionPort, Event, Simulation, compute, sleep, spawn, wait
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.results import EndReason, SimulationStall
from iocp_emu.runtime.virtual_time import VirtualClock


def post_later(port: CompletionPort) -> None:
    """A packet after one second."""
    sleep(1)
    port.post(key="packet")


def test_sleeps_end_in_order_and_on_time(carrier: Carrier) -> None:
    """Each at its own time, however long, at once."""
    log: list[tuple[float, int]] = []
    with Simulation(carrier=carrier) as simulation:

        def sleeper(hours: int) -> None:
            sleep(3600.0 * hours)
            log.append((simulation.now, hours))

        for hours in (3, 1, 2):
            simulation.spawn(sleeper, hours)
        assert simulation.run().seconds == 3 * 3600
    assert log == [(3600.0, 1), (7200.0, 2), (10800.0, 3)]


def test_ten_tenths_are_one() -> None:
    """Time is counted in whole nanoseconds, so nothing adds up."""
    with Simulation() as simulation:

        def sleeps() -> None:
            for _ in range(10):
                sleep(0.1)

        simulation.spawn(sleeps)
        assert simulation.run().seconds == 1.0


def test_timeouts_of_every_wait(carrier: Carrier) -> None:
    """G-08, Q-24: a dequeue, a wait for an event, for several objects and for a thread's end time out on time."""
    times: list[float] = []
    with Simulation(carrier=carrier) as simulation:

        def waits() -> None:
            port, event = CompletionPort(), Event()
            with pytest.raises(TimeoutError):
                port.get(timeout=1)
            times.append(simulation.now)
            assert not event.wait(2)
            times.append(simulation.now)
            assert wait([event, port], 3) is None
            times.append(simulation.now)
            sleeper = spawn(sleep, 100)
            with pytest.raises(TimeoutError):
                sleeper.join(4)
            times.append(simulation.now)
            assert simulation.current().queue is port.waitable.queue
            assert port.active == 1

        simulation.spawn(waits)
        simulation.run()
    assert times == [1.0, 3.0, 6.0, 10.0]


def test_a_packet_stops_the_timeout() -> None:
    """Q-33: a wait that ended with a packet leaves no alarm behind, and time ends with the last event."""
    with Simulation() as simulation:
        port = CompletionPort()
        simulation.spawn(port.get, 1000.0)
        simulation.spawn(post_later, port)
        assert simulation.run().seconds == 1.0
        assert simulation.clock.next_time is None


def test_timeout_and_packet_in_one_instant_are_decided_by_the_scheduler() -> None:
    """Q-33: what is due at the same time can happen in either order, but always entirely."""
    found = set()
    for seed in range(20):
        with Simulation(seed=seed) as simulation:
            port = CompletionPort()

            def getter(port: CompletionPort = port) -> str:
                try:
                    return str(port.get(timeout=1).key)
                except TimeoutError:
                    return "timeout"

            thread = simulation.spawn(getter)
            simulation.spawn(post_later, port)
            simulation.run()
            assert port.depth == (thread.result == "timeout")
            found.add(thread.result)
    assert found == {"packet", "timeout"}


def test_run_until_a_time_and_on() -> None:
    """What is due at that time happens; the rest in the next run."""
    log: list[int] = []

    def ticks() -> None:
        for number in range(1, 5):
            sleep(1)
            log.append(number)

    with Simulation() as simulation:
        simulation.spawn(ticks)
        result = simulation.run(until=2)
        assert (result.reason, result.seconds, log) == (EndReason.TIME_REACHED, 2.0, [1, 2])
        assert simulation.run(until=3.5).seconds == 3.5
        with pytest.raises(ValueError, match=r"it is 3\.5 already"):
            simulation.run(until=3)
        assert simulation.run().reason is EndReason.FINISHED
    assert log == [1, 2, 3, 4]


def test_run_until_a_thread_has_ended() -> None:
    """The others are left where they are."""
    with Simulation() as simulation:
        port = CompletionPort()
        server = simulation.spawn(port.get)
        client = simulation.spawn(sleep, 5)
        result = simulation.run(until=client)
        assert result.reason is EndReason.THREAD_ENDED
        assert server.is_alive
    assert not server.is_alive


def test_a_program_that_polls_is_named() -> None:
    """Polling takes no virtual time: instead of hanging, the run says who polls."""
    with Simulation(stall_steps=1000) as simulation:
        port = CompletionPort()

        def poll() -> None:
            while True:
                try:
                    port.get(timeout=0)
                except TimeoutError:
                    pass

        simulation.spawn(poll, name="poller")
        with pytest.raises(SimulationStall, match="poller"):
            simulation.run()


def test_nothing_waits_for_real(carrier: Carrier) -> None:
    """A thousand years pass in a moment, and no OS thread is left."""
    with Simulation(carrier=carrier) as simulation:
        simulation.spawn(sleep, 1000 * 365.25 * 86400)
        simulation.run()
    assert threading.active_count() >= 1


@pytest.mark.parametrize(
    ("function", "expected"), [(lambda: sleep(0), 0.0), (lambda: compute(0), 0.0), (lambda: compute(2.5), 2.5)]
)
def test_short_and_zero_durations(function: Callable[[], None], expected: float) -> None:
    """Q-29: zero is no wait."""
    with Simulation() as simulation:
        simulation.spawn(function)
        assert simulation.run().seconds == expected


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=30))
def test_the_clock_rings_in_order(settings: list[tuple[int, bool]]) -> None:
    """Alarms ring in order of time, then of setting; cancelled ones never; the clock never goes back."""
    clock = VirtualClock()
    rung: list[tuple[int, int]] = []

    def ring(number: int) -> None:
        rung.append((clock.now, number))

    alarms = [clock.set(delay, partial(ring, number)) for number, (delay, _) in enumerate(settings)]
    for alarm, (_, cancelled) in zip(alarms, settings, strict=True):
        if cancelled:
            clock.cancel(alarm)
            clock.cancel(alarm)
    kept = [(delay, number) for number, (delay, cancelled) in enumerate(settings) if not cancelled]
    assert len(clock) == len(kept)
    while clock.next_time is not None:
        clock.ring()
    assert rung == sorted(kept)
