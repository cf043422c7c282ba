"""The recorder: it tells every step of a queue, and changes none.

Kernels are driven verb by verb, without threads; only the last test has real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu import CompletionPort, ThreadSystem, blocking, spawn, use
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.jobs import Process
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.queue import KernelQueue, Place
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.kernel.thread import KernelThread
from iocp_emu.kernel.waits import Alertability, Timeout
from iocp_emu.profiles import WIN10
from iocp_emu.trace.recorder import EventKind, QueueEvent, Recorder

LIMITS = (1, 2)
THREADS = 4


class Machine:
    """A small kernel: two ports with one handle each, and a few threads."""

    def __init__(self, queue_type: type[KernelQueue[Any]] = KernelQueue) -> None:
        self.kernel = Kernel(WIN10, queue_type=queue_type)
        self.process: Process = self.kernel.create_process()
        self.process.reference()
        self.ports: list[IoCompletion] = []
        self.handles: list[int] = []
        for limit in LIMITS:
            port = self.kernel.create_port(limit)
            self.ports.append(port)
            self.handles.append(self.process.handles.open(port, Access.ALL))
        self.threads: list[KernelThread] = [
            self.kernel.create_thread(self.process, f"t{number}") for number in range(THREADS)
        ]

    def get(self, thread: int, port: int = 0, maximum: int = 1, timeout: Timeout = Timeout.LATER) -> Any:
        """Dequeue, alertably."""
        return self.kernel.remove(self.threads[thread], self.ports[port], maximum, timeout, Alertability.ALERTABLE)

    def post(self, key: Any, port: int = 0) -> None:
        """Post a packet with this key."""
        self.kernel.post(self.ports[port], packet(key))


def packet(key: Any) -> Packet:
    """A posted packet."""
    return Packet(key, None, 0, 0, None)


def recorded(clock: Callable[[], float] = lambda: 0.0) -> tuple[Machine, list[QueueEvent]]:
    """A machine under a recorder, and what it records."""
    events: list[QueueEvent] = []
    return Machine(Recorder(events.append, clock).queue_type), events


def told(events: list[QueueEvent]) -> list[tuple[str, str | None, tuple[Any, ...]]]:
    """Kind, thread and keys of each event; the list is emptied."""
    found = [(event.kind.name, event.thread, tuple(each.key for each in event.packets)) for event in events]
    events.clear()
    return found


# -- each kind -----------------------------------------------------------------------------------------------


def test_q10_q11_queued_taken_parked_and_handed_over() -> None:
    """Q-10, Q-11: what a post and a dequeue do is told, with the state that each step left."""
    machine, events = recorded()
    machine.post("a")
    machine.get(0)
    machine.get(1)
    machine.get(0)
    machine.post("b")
    assert [(each.kind.name, each.thread, each.active, each.limit, each.depth, each.waiting) for each in events] == [
        ("QUEUED", None, 0, 1, 1, 0),
        ("TAKEN", "t0", 1, 1, 0, 0),
        ("PARKED", "t1", 1, 1, 0, 1),
        ("PARKED", "t0", 0, 1, 0, 2),
        ("HANDED_OVER", "t0", 1, 1, 0, 1),
    ]
    assert [each.key for event in events for each in event.packets] == ["a", "a", "b"]


def test_q19_a_batch_is_one_event() -> None:
    """Q-19: a batch is taken in one step, oldest first."""
    machine, events = recorded()
    for key in "abc":
        machine.post(key)
    told(events)
    machine.get(0, maximum=2)
    assert told(events) == [("TAKEN", "t0", ("a", "b"))]
    assert events == []


def test_q25_a_release_names_the_thread_that_blocked() -> None:
    """Q-23, Q-25, Q-26: BLOCKED comes before the RELEASED that it causes; UNBLOCKED shows the overshoot."""
    machine, events = recorded()
    machine.get(1)
    machine.post("a")
    machine.get(0)
    machine.post("b")
    told(events)
    machine.kernel.block(machine.threads[1])
    machine.kernel.unblock(machine.threads[1])
    blocked, released, unblocked = events
    assert (blocked.kind, blocked.thread, blocked.active, blocked.cause) == (EventKind.BLOCKED, "t1", 0, None)
    assert (released.kind, released.thread, released.packets[0].key) == (EventKind.RELEASED, "t0", "b")
    assert released.cause is blocked
    assert (unblocked.kind, unblocked.thread, unblocked.active) == (EventKind.UNBLOCKED, "t1", 2)


def test_q28_a_release_names_the_thread_that_ended() -> None:
    """Q-15, Q-28: so does the end of a thread, and its dequeue from another port."""
    machine, events = recorded()
    for thread in (2, 1, 0):
        machine.get(thread)
    for key in "abc":
        machine.post(key)
    told(events)
    machine.kernel.exit_thread(machine.threads[0])
    machine.get(1, port=1)
    assert [event.cause and event.cause.thread for event in events if event.kind is EventKind.RELEASED] == [
        "t0",
        "t1",
    ]
    assert told(events) == [
        ("LEFT", "t0", ()),
        ("RELEASED", "t1", ("b",)),
        ("LEFT", "t1", ()),
        ("RELEASED", "t2", ("c",)),
        ("PARKED", "t1", ()),
    ]


def test_q28_a_waiter_that_ends_frees_no_slot() -> None:
    """Q-28: a parked or blocked thread that ends is told once, and nothing is released."""
    machine, events = recorded()
    machine.get(0)
    machine.get(1)
    machine.post("a")
    machine.kernel.block(machine.threads[1])
    told(events)
    machine.kernel.exit_thread(machine.threads[0])
    machine.kernel.exit_thread(machine.threads[1])
    assert told(events) == [("LEFT", "t0", ()), ("LEFT", "t1", ())]
    machine.post("b")
    assert told(events) == [("QUEUED", None, ("b",))]


def test_q24_timeouts_and_apcs() -> None:
    """Q-24: polls, timeouts and user APCs end a dequeue counted."""
    machine, events = recorded()
    machine.get(0, timeout=Timeout.DUE)
    machine.get(1)
    machine.kernel.expire(machine.threads[1])
    machine.get(1)
    machine.kernel.queue_user_apc(machine.threads[1], lambda: None)
    machine.get(1, timeout=Timeout.DUE)
    assert [(event.kind.name, event.thread, event.active) for event in events] == [
        ("TIMED_OUT", "t0", 1),
        ("PARKED", "t1", 1),
        ("TIMED_OUT", "t1", 2),
        ("PARKED", "t1", 1),
        ("ALERTED", "t1", 2),
        ("ALERTED", "t1", 2),
    ]


def test_q08_q17_suspensions_and_kernel_apcs() -> None:
    """Q-08, Q-17, Q-23: a waiter steps aside and comes back on top; a runnable thread gives its slot away."""
    machine, events = recorded()
    kernel, threads = machine.kernel, machine.threads
    machine.get(0)
    told(events)
    kernel.suspend(threads[0])
    kernel.resume(threads[0])
    assert told(events) == [("WITHDRAWN", "t0", ()), ("PARKED", "t0", ())]
    kernel.kernel_apc(threads[0], lambda: machine.post("a"))
    assert [each for each, _, _ in told(events)] == ["WITHDRAWN", "UNBLOCKED", "QUEUED", "TAKEN"]
    kernel.suspend(threads[0])
    kernel.resume(threads[0])
    assert told(events) == [("SUSPENDED", "t0", ()), ("UNBLOCKED", "t0", ())]


def test_o21_rundown_is_told_when_it_is_over() -> None:
    """O-21, Q-34: every waiter, also a suspended one, is abandoned; the rest of the packets is named."""
    machine, events = recorded()
    for thread in range(THREADS):
        machine.get(thread)
    machine.post("a")
    machine.post("b")
    machine.kernel.suspend(machine.threads[1])
    told(events)
    machine.process.handles.close(machine.handles[0])
    assert all((each.active, each.depth, each.waiting) == (0, 0, 0) for each in events)
    assert told(events) == [
        ("ABANDONED", "t2", ()),
        ("ABANDONED", "t0", ()),
        ("ABANDONED", "t1", ()),
        ("RUN_DOWN", None, ("b",)),
    ]


def test_x06_discarded_and_q35_put_back() -> None:
    """X-06, Q-35: packets that leave the middle of the queue, or come back to its head."""
    machine, events = recorded()
    queue = machine.ports[0].queue
    first, second = packet("first"), packet("second")
    queue.insert(second)
    queue.insert(first, Place.HEAD)
    assert queue.discard(second)
    assert not queue.discard(second)
    machine.get(0)
    assert told(events) == [
        ("QUEUED", None, ("second",)),
        ("QUEUED", None, ("first",)),
        ("DISCARDED", None, ("second",)),
        ("TAKEN", "t0", ("first",)),
    ]
    machine.kernel.put_back(machine.ports[0], [second])
    assert told(events) == [("PUT_BACK", None, ("second",))]
    machine.get(0)
    machine.get(0)
    told(events)
    machine.kernel.put_back(machine.ports[0], [first, second])
    put_back, released = events
    assert (put_back.kind, put_back.thread, put_back.packets) == (EventKind.PUT_BACK, None, (first, second))
    assert (released.kind, released.thread, released.packets) == (EventKind.RELEASED, "t0", (first,))
    assert released.cause is put_back


def test_ports_are_numbered_and_the_clock_counts_from_the_start() -> None:
    """Each queue of a recorder has its number; times count from the recorder's making."""
    times = iter([100.0, 101.5, 103.0])
    machine, events = recorded(lambda: next(times))
    machine.post("a")
    machine.post("b", port=1)
    assert [(event.port, event.time_seconds) for event in events] == [(1, 1.5), (2, 3.0)]


# -- nothing is changed, nothing is left out -------------------------------------------------------------------

thread_numbers = st.integers(0, THREADS - 1)
port_numbers = st.integers(0, len(LIMITS) - 1)
steps = st.one_of(
    st.tuples(st.just("post"), port_numbers),
    st.tuples(st.just("get"), thread_numbers, port_numbers, st.integers(1, 3), st.sampled_from(Timeout)),
    st.tuples(st.sampled_from(["block", "unblock", "suspend", "resume", "expire", "user_apc", "exit"]), thread_numbers),
    st.tuples(st.just("kernel_apc"), thread_numbers, port_numbers),
    st.tuples(st.just("put_back"), port_numbers),
    st.tuples(st.just("discard"), port_numbers),
    st.tuples(st.just("close"), port_numbers),
)


def perform(machine: Machine, step: tuple[Any, ...], number: int) -> Any:
    """One verb; its outcome, or the status with which it was refused."""
    kernel = machine.kernel
    name: str = step[0]
    who: int = step[1]
    more = step[2:]
    try:
        if name == "post":
            return kernel.post(machine.ports[who], packet(number))
        if name == "get":
            return machine.get(who, *more)
        if name == "kernel_apc":
            port = machine.ports[more[0]]
            interrupted = machine.threads[who]
            kernel.kernel_apc(interrupted, lambda: complete_in_apc(port, interrupted, number))
            return None
        if name == "put_back":
            kernel.put_back(machine.ports[who], [packet(number), packet(-number)])
            return None
        if name == "discard":
            queue = machine.ports[who].queue
            return bool(queue.packets) and queue.discard(queue.packets[-1])
        if name == "close":
            return machine.process.handles.close(machine.handles[who])
        verb: str = {"user_apc": "queue_user_apc", "exit": "exit_thread"}.get(name, name)
        arguments = (lambda: None,) if name == "user_apc" else ()
        return getattr(kernel, verb)(machine.threads[who], *arguments)
    except NtError as refusal:
        return refusal.status


def complete_in_apc(port: IoCompletion, interrupted: KernelThread, number: int) -> None:
    """What the kernel APCs of these tests do: queue a packet, as the end of a request would."""
    port.set(packet(number), interrupted=interrupted)


@given(st.lists(steps, max_size=30))
def test_recording_changes_nothing_and_leaves_nothing_out(history: list[tuple[Any, ...]]) -> None:
    """Any history has the same outcomes and states with a recorder; the last event of a port shows its state."""
    machine, events = recorded()
    plain = Machine()
    last: dict[int, QueueEvent] = {}
    for number, step in enumerate(history, start=1):
        assert perform(machine, step, number) == perform(plain, step, number)
        assert snapshot(machine.kernel) == snapshot(plain.kernel)
        assert [each.name for each in machine.kernel.readied] == [each.name for each in plain.kernel.readied]
        last.update((event.port, event) for event in events)
        for port_number, event in last.items():
            queue = machine.ports[port_number - 1].queue
            assert (event.active, event.depth, event.waiting) == (
                queue.current_count,
                len(queue.packets),
                len(queue.waiters),
            ), step


# -- real threads --------------------------------------------------------------------------------------------


def test_a_recorded_system_tells_every_call() -> None:
    """Under a recorder there is no fast path, so every packet is told; without one nothing is in the way."""
    assert ThreadSystem().kernel.queue_type is KernelQueue
    events: list[QueueEvent] = []
    system = ThreadSystem(queue_type=Recorder(events.append).queue_type)
    assert not system.has_fast_path

    def worker(port: CompletionPort) -> None:
        while port.get().key != "stop":
            with blocking():
                pass

    with use(system), CompletionPort(1) as port:
        thread = spawn(worker, port, name="worker")
        for number in range(100):
            port.post(key=number)
        port.post(key="stop")
        thread.join()
    delivered = [each.key for event in events if event.thread == "worker" for each in event.packets]
    assert delivered == [*range(100), "stop"]
    assert sum(event.kind is EventKind.BLOCKED for event in events) == 100
    assert sum(event.kind is EventKind.UNBLOCKED for event in events) == 100
    assert [event.time_seconds for event in events] == sorted(event.time_seconds for event in events)
    assert events[-1].kind is EventKind.RUN_DOWN


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_says_what_it_is(kind: EventKind) -> None:
    """The value of a kind is a phrase with at least one rule id."""
    assert kind.value.endswith(")")
    assert "-" in kind.value.partition("(")[2]
