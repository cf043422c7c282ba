"""Virtual processors: how many compute at once, time slices, the cost of a switch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import CompletionPort, Simulation, compute, sleep
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.virtual_threads import Place


@pytest.mark.parametrize(("processors", "threads", "seconds"), [(1, 4, 4.0), (2, 4, 2.0), (4, 4, 1.0), (8, 4, 1.0)])
def test_never_more_computing_than_processors(
    processors: int, threads: int, seconds: float, carrier: Carrier
) -> None:
    """Work of one second each takes as long as the processors need for all of it."""
    with Simulation(processors, carrier=carrier) as simulation:
        for _ in range(threads):
            simulation.spawn(compute, 1.0)
        result = simulation.run()
    assert result.seconds == seconds
    assert result.busy_seconds == threads


def test_concurrency_zero_is_the_number_of_processors() -> None:
    """Q-03."""
    with Simulation(processors=5):
        assert CompletionPort().concurrency == 5


def test_time_slices_take_turns() -> None:
    """One processor, two computations: they alternate slice by slice, and both end near the end."""
    ends: list[float] = []
    with Simulation(1, time_slice=0.01) as simulation:

        def work() -> None:
            compute(0.05)
            ends.append(simulation.now)

        simulation.spawn(work)
        simulation.spawn(work)
        result = simulation.run()
    assert ends == [0.09, 0.1]
    assert result.switches == 10


def test_nobody_waits_so_nobody_is_switched() -> None:
    """A computation alone keeps its processor: one switch, whatever its length."""
    with Simulation(1, time_slice=0.01) as simulation:
        simulation.spawn(compute, 3600)
        assert simulation.run().switches == 1


def test_a_long_slice_ends_when_somebody_comes() -> None:
    """A slice that was prolonged since nobody waited ends at its next multiple."""
    with Simulation(1, time_slice=0.02) as simulation:
        times: list[float] = []

        def late() -> None:
            sleep(0.05)
            times.append(simulation.now)

        simulation.spawn(compute, 1.0)
        simulation.spawn(late)
        result = simulation.run()
    # The sleeper's first step comes at 0.02, so it wakes at 0.07; the computation goes on in slices from 0.02.
    assert times == [0.08]
    assert result.seconds == 1.0


def test_short_computations_add_up_to_a_slice() -> None:
    """A slice belongs to the stay on the processor, not to one call."""
    order: list[str] = []
    with Simulation(1, time_slice=0.01) as simulation:

        def work(name: str) -> None:
            for _ in range(4):
                compute(0.004)
                order.append(name)

        simulation.spawn(work, "a")
        simulation.spawn(work, "b")
        simulation.run()
    assert "".join(order) == "aabbaabb"


def test_a_switch_has_its_cost() -> None:
    """A processor pays when it begins to run another thread than its last: here twice, then never again."""
    with Simulation(1, context_switch_cost=0.001) as simulation:

        def alone() -> None:
            for _ in range(10):
                sleep(0.5)

        simulation.spawn(alone)
        result = simulation.run()
    assert (result.switches, result.seconds) == (1, 5.001)

    with Simulation(1, context_switch_cost=0.001) as simulation:
        for _ in range(3):
            simulation.spawn(compute, 0.01)
        result = simulation.run()
    assert result.switches == 3
    assert result.seconds == 0.033
    assert result.busy_seconds == 0.03


def test_a_busy_port_saves_switches() -> None:
    """A-05: with packets waiting and a worker that does not block, one thread serves all; blocking wakes others."""

    def switches(blocks: bool) -> int:
        with Simulation(1) as simulation:
            port = CompletionPort(1)

            def worker() -> None:
                while port.get().bytes:
                    (sleep if blocks else compute)(0.001)
                port.post(0)

            for _ in range(5):
                simulation.spawn(worker)
            simulation.run(until=0.5)
            for number in range(50, -1, -1):
                port.post(number)
            before = simulation.switches
            simulation.run(until=0.9)
            return simulation.switches - before

    assert switches(blocks=False) < 8
    assert switches(blocks=True) > 20


def test_sleep_zero_lets_others_first() -> None:
    """Q-29: Sleep(0) takes no time, and who waits for the processor goes first."""
    order: list[str] = []
    with Simulation(1) as simulation:

        def polite(name: str) -> None:
            for _ in range(3):
                order.append(name)
                sleep(0)

        simulation.spawn(polite, "a")
        simulation.spawn(polite, "b")
        assert simulation.run().seconds == 0
    assert order == ["a", "b"] * 3


def test_a_suspended_thread_does_not_compute() -> None:
    """Q-23: suspended in the middle of a computation, it computes the rest when resumed."""
    with Simulation(2) as simulation:
        worker = simulation.spawn(compute, 1.0)

        def control() -> None:
            sleep(0.25)
            simulation.perform(worker.suspend)
            sleep(10)
            assert worker.place is Place.WAITING
            simulation.perform(worker.resume)

        simulation.spawn(control)
        result = simulation.run()
    assert result.seconds == 11.0
    assert result.busy_seconds == 1.0


class CountingSimulation(Simulation):
    """Watches how many threads have a processor."""

    most = 0

    def do(self, verb, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Look after every verb and alarm."""
        try:
            return super().do(verb, *args, **kwargs)
        finally:
            busy = sum(thread.place in (Place.RUNNING, Place.COMPUTING) for thread in self.virtual_threads)
            assert busy == self.processors.occupied
            self.most = max(self.most, busy)


@settings(max_examples=60, deadline=None)
@given(
    processors=st.integers(1, 4),
    work=st.lists(
        st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=5), min_size=1, max_size=6
    ),
    seed=st.integers(0, 1000),
    cost=st.sampled_from([0.0, 0.001]),
)
def test_any_work_on_any_processors(
    processors: int, work: list[list[tuple[bool, int]]], seed: int, cost: float
) -> None:
    """All work is done, never on more processors than there are, and never faster than they can."""
    total = sum(duration for each in work for is_work, duration in each if is_work) / 1000

    def thread(parts: list[tuple[bool, int]]) -> None:
        for is_work, duration in parts:
            (compute if is_work else sleep)(duration / 1000)

    with CountingSimulation(processors, seed, time_slice=0.007, context_switch_cost=cost) as simulation:
        for parts in work:
            simulation.spawn(thread, parts)
        result = simulation.run()
    longest = max(sum(duration for _, duration in each) for each in work) / 1000
    assert simulation.most <= processors
    assert result.busy_seconds == pytest.approx(total)
    assert result.seconds >= max(longest, total / processors) - 1e-9
    if not cost:
        sleeps = sum(duration for each in work for is_work, duration in each if not is_work) / 1000
        assert result.seconds <= total + sleeps + 1e-9
