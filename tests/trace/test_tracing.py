"""Recording: what a trace holds, on both engines, and that recording changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import CompletionPort, Simulation, blocking, compute, sleep, spawn
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Timeout
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.deadlock import SimulationDeadlock
from iocp_emu.runtime.key_text import key_text
from iocp_emu.trace import (
    Activity,
    Cursor,
    Engine,
    EventKind,
    PortStep,
    Reason,
    ThreadChange,
    Trace,
    TracedSimulation,
    TracedThreads,
    TraceState,
    states,
    tracing,
)
from iocp_emu.trace.model import brief, explain
from iocp_emu.trace.state import CHECKPOINT_EVENTS

from .traces import SMALL, blocked_worker, busy

ACTIVITIES = {
    ThreadState.RUNNABLE: Activity.RUNNING,
    ThreadState.PARKED: Activity.PARKED,
    ThreadState.BLOCKED: Activity.BLOCKED,
    ThreadState.SUSPENDED: Activity.SUSPENDED,
    ThreadState.EXITED: Activity.ENDED,
}


def reasons(trace: Trace) -> list[str]:
    """The names of the reasons, in order."""
    return [step.reason.name for step in trace.steps]


def check(trace: Trace) -> TraceState:
    """What must hold for every trace: order, numbers, and lists that agree with the counts of the events."""
    now = 0.0
    state = TraceState()
    for number, (event, state) in enumerate(states(trace), 1):
        assert event.number == number
        assert event.time_seconds >= now
        now = event.time_seconds
        assert event.thread is None or event.thread in trace.threads
        assert "{" not in explain(trace, event).replace("'{", "")
        assert len(brief(trace, event)) < 120
        if isinstance(event, PortStep):
            port = state.ports[event.port]
            assert (len(port.packets), len(port.waiters), port.active) == (event.depth, event.waiting, event.active)
            assert event.cause is None or isinstance(trace.events[event.cause - 1], PortStep)
    return state


# -- a kernel, driven verb by verb -----------------------------------------------------------------------------------


class Machine:
    """A traced system of which the verbs are called for threads that do not exist."""

    def __init__(self) -> None:
        self.system = TracedThreads("verbs")
        kernel = self.system.kernel
        self.ports: list[IoCompletion] = [self.system.perform(kernel.create_port, limit) for limit in (1, 2)]
        self.handles = [self.system.perform(self.system.process.handles.open, port, Access.ALL) for port in self.ports]
        self.threads: list[KernelThread] = [self.system.create_thread(name) for name in ("t", "t", "u", "v")]
        self.state = TraceState()

    @property
    def trace(self) -> Trace:
        """The recording so far."""
        return self.system.trace

    def do(self, verb: Callable[..., Any], *arguments: Any) -> Any:
        """A verb, which may be refused."""
        try:
            return self.system.perform(verb, *arguments)
        except NtError:
            return None

    def post(self, key: Any, port: int = 0) -> None:
        """Post a packet with this key."""
        self.do(self.system.kernel.post, self.ports[port], Packet(key, None, 0, 0))

    def get(self, thread: int, port: int = 0, maximum: int = 1, timeout: Timeout = Timeout.LATER) -> Any:
        """Dequeue, alertably."""
        arguments = self.threads[thread], self.ports[port], maximum, timeout, Alertability.ALERTABLE
        return self.do(self.system.kernel.remove, *arguments)

    def compare(self) -> None:
        """The lists that follow from the events are those of the kernel."""
        for event in self.trace.events[self.state.number :]:
            self.state.apply(event)
        assert {each.name: ACTIVITIES[each.state] for each in self.threads} == {
            name: status.activity for name, status in self.state.threads.items()
        }
        for number, port in enumerate(self.ports, 1):
            shown = self.state.ports.get(number)
            if shown is not None:
                queue = port.queue
                counted = {each.name for each in queue.members if each.state is ThreadState.RUNNABLE}
                assert list(shown.waiters) == [each.name for each in queue.waiters]
                assert [self.trace.packets[each - 1].key for each in shown.packets] == [
                    key_text(each.key) for each in queue.packets
                ]
                assert set(shown.counted) == counted


def threads_and_ports() -> st.SearchStrategy[list[tuple[int, int, int]]]:
    """Histories: which verb, which thread, which port."""
    return st.lists(st.tuples(st.integers(0, 13), st.integers(0, 3), st.integers(0, 1)), max_size=40)


@given(threads_and_ports())
def test_lists_follow_from_events(history: list[tuple[int, int, int]]) -> None:
    """Q-02, Q-06, Q-07: after every verb of any history, the trace shows the kernel's packets, waiters and count."""
    machine = Machine()
    kernel = machine.system.kernel
    given_out: dict[KernelThread, tuple[IoCompletion, list[Packet]]] = {}
    for number, (verb, thread, port) in enumerate(history):
        who, where = machine.threads[thread], machine.ports[port]
        if verb == 0:
            machine.get(thread, port, 2)
        elif verb == 1:
            taken = machine.get(thread, port, 2, Timeout.DUE)
            if isinstance(taken, list):
                given_out[who] = where, taken
        elif verb in (2, 3):
            machine.post(number, port)
        elif verb == 4:
            machine.do(kernel.expire, who)
        elif verb == 5:
            machine.do(kernel.block, who)
        elif verb == 6:
            machine.do(kernel.unblock, who)
        elif verb == 7:
            machine.do(kernel.suspend, who)
        elif verb == 8:
            machine.do(kernel.resume, who)
        elif verb == 9:
            machine.do(kernel.queue_user_apc, who, lambda: None)
        elif verb == 10:
            packet = Packet(number, None, 0, 0)
            machine.do(kernel.kernel_apc, who, lambda port=where, packet=packet: kernel.post(port, packet))
        elif verb == 11 and who in given_out:
            machine.do(kernel.put_back, *given_out.pop(who))
        elif verb == 12 and thread == 3:
            machine.do(kernel.exit_thread, who)
        elif verb == 13 and number > 20 and machine.handles[port]:
            machine.do(machine.system.process.handles.close, machine.handles[port])
            machine.handles[port] = 0
        machine.compare()
    check(machine.trace)


def test_reasons_of_histories() -> None:
    """Q-08, Q-13, Q-15, Q-17, Q-28, Q-30, Q-32: each reason is given where its rule says so."""
    machine = Machine()
    kernel = machine.system.kernel
    post, get, threads = machine.post, machine.get, machine.threads
    seen = 0

    def told() -> list[str]:
        nonlocal seen
        new, seen = reasons(machine.trace)[seen:], len(machine.trace.steps)
        return new

    get(0, timeout=Timeout.DUE)
    post("a")
    get(1, timeout=Timeout.DUE)
    assert told() == ["TIMED_OUT_AT_ONCE", "QUEUED", "TIMED_OUT_AT_LIMIT"]
    get(2)
    get(0)
    get(1)
    assert told() == ["PARKED_AT_LIMIT", "PARKED_IN_EXCESS", "TAKEN_BY_MEMBER"]
    machine.do(kernel.suspend, threads[2])
    machine.do(kernel.resume, threads[2])
    assert told() == ["WITHDRAWN", "PARKED_AGAIN"]
    machine.do(kernel.queue_user_apc, threads[0], lambda: None)
    machine.do(kernel.expire, threads[2])
    assert told() == ["ALERTED", "TIMED_OUT"]
    post("b")
    post("c")
    get(3)
    machine.do(kernel.suspend, threads[0])
    machine.do(kernel.suspend, threads[1])
    get(2, port=1)
    assert told() == ["QUEUED", "QUEUED", "PARKED_AT_LIMIT", "SUSPENDED", "SUSPENDED", "LEFT", "RELEASED", "PARKED"]
    machine.do(kernel.exit_thread, threads[3])
    assert told() == ["LEFT_AT_END"]
    check(machine.trace)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_reasons_are_complete(reason: Reason) -> None:
    """Each reason has a kind, its rules, and texts that need nothing but what an event has."""
    step = PortStep(1, 0.0, reason, 1, "ann", "bob", (1,), 1, 2, 3, 4, None)
    trace = Trace("t", Engine.THREADS, threads=["ann"], events=[step])
    trace.packets.extend(blocked_worker().packets[:1])
    assert reason.rules
    for words in (explain(trace, step), brief(trace, step)):
        assert "{" not in words
        assert words
    assert reason.sentence.endswith(".")
    assert {each.kind for each in Reason} == set(EventKind)


# -- the simulation --------------------------------------------------------------------------------------------------


def test_q23_q25_q26_q32_a_worker_blocks() -> None:
    """Q-23, Q-25, Q-26, Q-32: each in its place, with the step that a release followed from."""
    trace = blocked_worker()
    check(trace)
    told = reasons(trace)
    for expected in ("BLOCKED", "RELEASED", "UNBLOCKED_OVER_LIMIT", "PARKED_IN_EXCESS", "TAKEN_BY_MEMBER"):
        assert expected in told
    released = next(step for step in trace.steps if step.reason is Reason.RELEASED)
    assert released.cause is not None
    cause = trace.events[released.cause - 1]
    assert isinstance(cause, PortStep)
    assert cause.reason is Reason.BLOCKED
    assert f"(event {cause.number})" in trace.explain(released.number)


@pytest.mark.parametrize("name", SMALL)
def test_processors_and_order(name: str) -> None:
    """A processor runs one thread at a time, and a change comes after the step that explains it."""
    trace = SMALL[name](Carrier.AUTO)
    check(trace)
    for event, state in states(trace):
        used = [each.processor for each in state.threads.values() if each.processor is not None]
        assert len(used) == len(set(used))
        assert all(each < (trace.processors or 0) for each in used)
        if isinstance(event, PortStep) and event.reason.kind in (EventKind.PARKED, EventKind.BLOCKED):
            after = trace.events[event.number]
            assert isinstance(after, ThreadChange)
            assert (after.thread, after.activity.name) == (event.thread, event.reason.kind.name)


def test_blocking_without_a_port_is_shown() -> None:
    """A thread that belongs to no port is shown too, and so is one that says that it blocks."""

    def main() -> None:
        with blocking():
            pass
        sleep(1)

    with TracedSimulation(processors=1) as simulation:
        simulation.spawn(main)
        simulation.run()
    changes = [each.activity.name for each in simulation.trace.events if isinstance(each, ThreadChange)]
    assert changes == ["READY", "RUNNING", "BLOCKED", "RUNNING", "BLOCKED", "READY", "RUNNING", "ENDED"]


@pytest.mark.parametrize("seed", range(5))
def test_recording_changes_nothing(seed: int) -> None:
    """P-17: a simulation takes the same course whether it is recorded or not."""

    def run(simulation: Simulation) -> Any:
        log: list[Any] = []

        def worker(name: int, port: CompletionPort) -> None:
            while (packet := port.get()).key != "stop":
                log.append((simulation.now, name, packet.key))
                compute(0.001 * packet.key)
                if packet.key % 2:
                    sleep(0.003)

        with simulation:
            port = CompletionPort(2)
            for name in range(4):
                simulation.spawn(worker, name, port)
            for key in range(12):
                port.post(key=key)
            for _ in range(4):
                port.post(key="stop")
            result = simulation.run()
        return log, result.schedule, result.seconds, result.switches

    assert run(TracedSimulation(seed=seed)) == run(Simulation(seed=seed))


def test_a_deadlock_stays_visible() -> None:
    """A recording ends with the run: closing the simulation adds nothing."""
    with TracedSimulation() as simulation:
        simulation.spawn(CompletionPort(1).get, name="waits for ever")
        with pytest.raises(SimulationDeadlock):
            simulation.run()
    assert reasons(simulation.trace) == ["PARKED"]
    assert check(simulation.trace).threads["waits for ever"].activity is Activity.PARKED


# -- real threads ----------------------------------------------------------------------------------------------------


def test_real_threads_are_recorded() -> None:
    """Q-07, Q-10: the same recorder on real threads; threads with one name are told apart."""
    with tracing("real") as trace:
        port = CompletionPort(1)
        threads = [spawn(_work, port, name="worker") for _ in range(2)]
        while port.waiting < 2:
            threading.Event().wait(0.001)
        for key in ("one", "two", "stop", "stop"):
            port.post(key=key)
        for thread in threads:
            thread.join()
        port.close()
    assert trace.engine is Engine.THREADS
    assert {"worker", "worker-2"} < set(trace.threads)
    state = check(trace)
    assert state.threads["worker"].activity is state.threads["worker-2"].activity is Activity.ENDED
    assert [step.reason.kind for step in trace.steps].count(EventKind.PARKED) >= 2
    assert reasons(trace).count("LEFT_AT_END") == 2
    assert len(trace.packets) == 4
    poster = {step.by for step in trace.steps if step.reason.kind in (EventKind.QUEUED, EventKind.HANDED_OVER)}
    assert poster == {threading.current_thread().name}


def _work(port: CompletionPort) -> None:
    while port.get().key != "stop":
        pass


def test_after_the_block_nothing_is_recorded() -> None:
    """What a port does after `tracing` has ended is not in the trace."""
    with tracing() as trace:
        port = CompletionPort()
    before = list(trace.events)
    port.post()
    port.get()
    port.close()
    assert trace.events == before == []


# -- seeking ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_trace() -> Trace:
    """More events than are between two copies of a cursor."""
    trace = busy(400)
    assert len(trace.events) > 2 * CHECKPOINT_EVENTS
    return trace


@settings(max_examples=20)
@given(st.data())
def test_seeking_is_the_same_as_going(long_trace: Trace, data: st.DataObject) -> None:
    """A cursor shows at each place what one shows that went there event by event."""
    cursor = Cursor(long_trace)
    for number in data.draw(st.lists(st.integers(0, len(long_trace.events)), min_size=1, max_size=6)):
        plain = TraceState()
        for event in long_trace.events[:number]:
            plain.apply(event)
        assert cursor.seek(number) == plain
        assert cursor.back().number == max(number - 1, 0)
        assert cursor.forward().number == max(number, 1)


def test_a_cursor_refuses_what_is_not_there() -> None:
    """A place outside of the trace is an error with the places that there are; at the ends, moving stays."""
    trace = blocked_worker()
    cursor = Cursor(trace)
    with pytest.raises(IndexError, match="1 to 50"):
        cursor.seek(51)
    with pytest.raises(IndexError, match="1 to 50"):
        trace.explain(0)
    assert cursor.back().number == 0
    cursor.seek(50)
    assert cursor.forward().number == 50


def test_keys_are_not_asked() -> None:
    """A key of a foreign type is named by its type: its `repr` is not run in the middle of a verb."""

    class Key:
        def __repr__(self) -> str:
            raise AssertionError("asked")

    assert key_text(Key()) == "<Key>"
    assert key_text(b"x" * 100) == "b'" + "x" * 35 + "..."
