"""Deadlocks: found the moment nothing can run any more, and told so that one can read them."""

from __future__ import annotations

import pytest

from iocp_emu import CompletionPort, Event, SimulatedDisk, Simulation, sleep, spawn, wait
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.deadlock import SimulationDeadlock
from iocp_emu.runtime.virtual_threads import VirtualThread


def deadlock_of(simulation: Simulation) -> SimulationDeadlock:
    """Run into it."""
    with pytest.raises(SimulationDeadlock) as caught:
        simulation.run()
    return caught.value


def test_an_empty_port(carrier: Carrier) -> None:
    """Q-11: parked, and nobody is left who could post."""
    with Simulation(carrier=carrier) as simulation:
        port = CompletionPort()
        simulation.spawn(port.get, name="worker")
        report = deadlock_of(simulation).report
    (stuck,) = report.threads
    assert (stuck.name, stuck.rule) == ("worker", "Q-11")
    assert "port 1 (handle 0x40000000)" in stuck.waits_for
    assert "it is empty, and nobody is left who could post" in str(report)


def test_packets_are_queued_but_the_slots_are_taken() -> None:
    """Q-13: who holds the slots is named."""
    with Simulation() as simulation:
        port = CompletionPort(1)
        port.post(1)
        port.get()  # by the code outside, which holds the slot from now on
        port.post(2)
        port.post(3)
        simulation.spawn(port.get, name="worker")
        report = deadlock_of(simulation).report
    (stuck,) = report.threads
    assert stuck.rule == "Q-13"
    assert stuck.why == "2 are queued, but 1 of 1 slots are taken by outside"
    assert stuck.waits_on == ("outside",)


def test_threads_that_wait_for_each_other() -> None:
    """A circle of joins is told as a circle."""
    with Simulation() as simulation:
        threads: dict[str, VirtualThread] = {}

        def join(other: str) -> None:
            simulation.wait([threads[other]])

        for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
            threads[name] = simulation.spawn(join, other, name=name)
        error = deadlock_of(simulation)
    assert error.report.circle == ("a", "b", "c")
    assert "in a circle: a -> b -> c -> a" in str(error)
    assert "a waits for b to end: which waits too (Q-23)" in str(error)


def test_events_and_several_objects() -> None:
    """Q-23: waits for events, any or all, say so."""
    with Simulation() as simulation:
        first, second = Event(), Event()
        simulation.spawn(first.wait, name="one")
        simulation.spawn(lambda: wait([first, second]), name="any")
        text = str(deadlock_of(simulation))
    assert "one waits for event 1" in text
    assert " or event 2" in text
    assert "nobody is left who could signal" in text


def test_a_suspended_thread() -> None:
    """Q-23: nobody is left to resume it."""
    with Simulation() as simulation:
        victim = simulation.spawn(sleep, 1, name="victim")
        simulation.spawn(simulation.perform, victim.suspend)
        assert "victim waits for a resume: it is suspended 1 times (Q-23)" in str(deadlock_of(simulation))


def test_the_first_failure_is_the_cause() -> None:
    """A worker that died explains why its client waits for ever: it is told, and chained."""
    with Simulation() as simulation:
        port = CompletionPort()

        def worker() -> None:
            raise ValueError("broken worker")

        simulation.spawn(worker)
        simulation.spawn(port.get, name="client")
        error = deadlock_of(simulation)
    assert isinstance(error.__cause__, ValueError)
    assert "before, worker ended with ValueError: broken worker" in str(error)


def test_time_that_will_pass_is_no_deadlock() -> None:
    """A device, a sleep or a timeout is an alarm: somebody will go on."""
    with Simulation() as simulation:
        port, file = CompletionPort(), SimulatedDisk(latency=5).open("data", b"x")
        port.associate(file)
        file.read(1)
        simulation.spawn(port.get)
        assert simulation.run().seconds == 5.0


def test_a_pool_that_waits_for_its_own_work() -> None:
    """The classic: the only worker waits for a packet that only it could handle."""
    with Simulation() as simulation:
        port = CompletionPort(1)
        done = Event()

        def worker() -> None:
            port.get()
            port.post(key="subtask")
            done.wait()

        simulation.spawn(worker)
        port.post(key="task")
        report = deadlock_of(simulation).report
    assert [each.name for each in report.threads] == ["worker"]
    assert "event" in report.threads[0].waits_for


def test_a_closed_simulation_runs_no_more() -> None:
    """After a deadlock the threads are gone, and the simulation says so."""
    with Simulation() as simulation:
        unwound: list[str] = []
        port = CompletionPort()

        def worker() -> None:
            try:
                port.get()
            finally:
                unwound.append("worker")

        simulation.spawn(worker)
        deadlock_of(simulation)
        assert unwound == ["worker"]
        with pytest.raises(RuntimeError, match="closed"):
            simulation.run()
        with pytest.raises(RuntimeError, match="closed"):
            simulation.spawn(spawn)
