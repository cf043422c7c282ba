"""Random small programs: the kernel's invariants hold after every step, nothing is lost, a schedule is the run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import CompletionPort, Simulation, blocking, compute, sleep, spawn
from iocp_emu.kernel.invariants import check
from iocp_emu.runtime.deadlock import SimulationDeadlock
from iocp_emu.runtime.schedulers import ReplayScheduler
from iocp_emu.runtime.simulation import Preemption
from iocp_emu.trace.recorder import QueueEvent, Recorder

PORTS = 2
action = st.one_of(
    st.tuples(st.just("post"), st.integers(0, PORTS - 1)),
    st.tuples(st.just("get"), st.integers(0, PORTS - 1)),
    st.tuples(st.just("poll"), st.integers(0, PORTS - 1)),
    st.tuples(st.just("many"), st.integers(0, PORTS - 1)),
    st.tuples(st.just("sleep"), st.integers(0, 5)),
    st.tuples(st.just("compute"), st.integers(0, 5)),
    st.tuples(st.just("block"), st.integers(0, 5)),
    st.tuples(st.just("spawn"), st.integers(0, PORTS - 1)),
)
programs = st.lists(st.lists(action, max_size=6), min_size=1, max_size=4)


class CheckedSimulation(Simulation):
    """Checks every invariant of the state after every verb and alarm."""

    def do(self, verb: Any, *args: Any, **kwargs: Any) -> Any:
        """As usual, then look."""
        outermost = not self._is_busy
        result = super().do(verb, *args, **kwargs)
        if outermost:
            check(self.kernel)
        return result


class Program:
    """Threads that act on two ports; what was posted and what was received."""

    def __init__(self, scripts: list[list[tuple[str, int]]], limits: tuple[int, ...]) -> None:
        self.scripts = scripts
        self.limits = limits
        self.posted = 0
        self.received: Counter[int] = Counter()

    def play(self, simulation: Simulation) -> str:
        """Run it to its end."""
        with simulation:
            self.ports = [CompletionPort(limit) for limit in self.limits]
            for script in self.scripts:
                simulation.spawn(self.thread, script)
            try:
                simulation.run()
            except SimulationDeadlock as deadlock:
                return str(deadlock)
            left = sum(port.depth for port in self.ports)
            assert sum(self.received.values()) + left == self.posted
            return f"ended at {simulation.now}"

    def thread(self, script: list[tuple[str, int]]) -> None:
        """Act out one script."""
        for verb, number in script:
            if verb == "post":
                self.posted += 1
                self.ports[number].post(self.posted)
            elif verb in ("get", "poll", "many"):
                self.get(self.ports[number], verb)
            elif verb == "spawn":
                spawn(self.get, self.ports[number], "get").join()
            elif verb == "block":
                with blocking():
                    sleep(number / 1000)
            else:
                (sleep if verb == "sleep" else compute)(number / 1000)

    def get(self, port: CompletionPort, verb: str) -> None:
        """One dequeue call, which may wait for a while, or not."""
        try:
            packets = port.get_many(3, 0.003) if verb == "many" else [port.get(0.004 if verb == "get" else 0)]
        except TimeoutError:
            return
        self.received.update(packet.bytes for packet in packets)
        assert max(self.received.values()) == 1


def run(scripts: Any, limits: Any, **options: Any) -> tuple[str, list[QueueEvent], tuple[int, ...]]:
    """How a program ended, its trace, its schedule."""
    events: list[QueueEvent] = []
    simulations: list[Simulation] = []
    recorder = Recorder(events.append, clock=lambda: simulations[0].now if simulations else 0.0)
    simulation = CheckedSimulation(queue_type=recorder.queue_type, **options)
    simulations.append(simulation)
    ending = Program(scripts, limits).play(simulation)
    return ending, events, tuple(simulation.schedule)


@settings(max_examples=150, deadline=None)
@given(
    scripts=programs,
    limits=st.tuples(*[st.integers(1, 3)] * PORTS),
    processors=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    preemption=st.sampled_from(Preemption),
    cost=st.sampled_from([0.0, 0.0005]),
)
def test_random_programs(
    scripts: Any, limits: Any, processors: int, seed: int, preemption: Preemption, cost: float
) -> None:
    """P-01 to P-17: invariants at every step, each packet at most once and none lost, and the replay is the same."""
    options: dict[str, Any] = {
        "processors": processors,
        "preemption": preemption,
        "context_switch_cost": cost,
        "time_slice": 0.002,
    }
    ending, events, schedule = run(scripts, limits, seed=seed, **options)
    again = run(scripts, limits, scheduler=ReplayScheduler(schedule), **options)
    assert again == (ending, events, schedule)
    # Every wait here has a timeout, so nothing can wait for ever.
    assert ending.startswith("ended")
