"""Rules X-04 to X-06, X-09 and X-10: job messages, wait completion packets, and two ways in which others use ports."""

from __future__ import annotations

from typing import Any

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.jobs import Job, JobMessage, Process
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waitpackets import Removal, WaitCompletionPacket, WaitPacketState
from iocp_emu.kernel.waits import Event, ResetMode, Timer, Waitable
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, XP, Profile
from tests.rules.devices import (
    ABANDONED,
    ACCESS_DENIED,
    INVALID_PARAMETER,
    SUCCESS,
    TIMEOUT,
    Bench,
    packet,
)

PARAMETER_1 = status.STATUS_INVALID_PARAMETER_1
PARAMETER_3 = status.STATUS_INVALID_PARAMETER_3


# -- job objects ---------------------------------------------------------------------------------------------


def job_with_port(bench: Bench, port: IoCompletion, key: Any) -> tuple[Job, int]:
    """A job, its only handle, and its port."""
    job, handle = bare_job(bench)
    job.set_port(port, key)
    bench.check()
    return job, handle


def bare_job(bench: Bench) -> tuple[Job, int]:
    """A job without a port, and its only handle."""
    job = bench.kernel.create_job()
    return job, bench.open(job)


def test_x04_a_job_is_never_signalled() -> None:
    """X-04: a wait for a job ends by its timeout alone, since no job here has a time limit."""
    job, _ = bare_job(Bench())
    assert not job.is_signalled_for(None)


def process(bench: Bench, pid: int) -> Process:
    """A process with a thread."""
    made = bench.kernel.create_process(pid)
    bench.processes.append(made)
    bench.thread(f"main of {pid}", made)
    return made


def messages(bench: Bench, port: IoCompletion) -> list[tuple[int, Any, Any]]:
    """(message number, key, process id) of everything that is queued."""
    seen: list[tuple[int, Any, Any]] = []
    while (result := bench.poll(bench.main, port)) is not TIMEOUT:
        seen += [(each.bytes, each.key, each.overlapped) for each in result]
    return seen


def test_x04_message_numbers() -> None:
    """X-04: the numbers that arrive in the byte count."""
    assert {message.name: int(message) for message in JobMessage} == {
        "END_OF_JOB_TIME": 1,
        "END_OF_PROCESS_TIME": 2,
        "ACTIVE_PROCESS_LIMIT": 3,
        "ACTIVE_PROCESS_ZERO": 4,
        "NEW_PROCESS": 6,
        "EXIT_PROCESS": 7,
        "ABNORMAL_EXIT_PROCESS": 8,
        "PROCESS_MEMORY_LIMIT": 9,
        "JOB_MEMORY_LIMIT": 10,
        "NOTIFICATION_LIMIT": 11,
        "JOB_CYCLE_TIME_LIMIT": 12,
    }


def test_x04_a_process_comes_and_goes() -> None:
    """X-04: new, exit, and, with the last one, nobody left; key of the association, process id in `overlapped`."""
    bench = Bench()
    port, _ = bench.port()
    job, _ = job_with_port(bench, port, key=0x10B)
    first, second = process(bench, 11), process(bench, 12)
    job.assign(first)
    job.assign(second)
    assert messages(bench, port) == [(6, 0x10B, 11), (6, 0x10B, 12)]
    bench.kernel.exit_process(first)
    bench.check()
    assert messages(bench, port) == [(7, 0x10B, 11)]
    bench.kernel.exit_process(second)
    bench.check()
    assert messages(bench, port) == [(7, 0x10B, 12), (4, 0x10B, None)]


@pytest.mark.parametrize(
    ("profile", "code", "message"),
    [(WIN10, 0xC0000005, 8), (WIN10, 1, 7), (WIN10, 0xC0000120, 7), (XP, 0xC0000005, 8), (WINE, 0xC0000005, 7)],
)
def test_x04_an_exit_that_looks_like_an_exception(profile: Profile, code: int, message: int) -> None:
    """X-04: 8 instead of 7 when the exit code is that of an unhandled exception; Wine sends 7 always."""
    bench = Bench(profile)
    port, _ = bench.port()
    job, _ = job_with_port(bench, port, key=1)
    dying = process(bench, 11)
    job.assign(dying)
    bench.kernel.exit_process(dying, code)
    bench.check()
    assert messages(bench, port) == [(6, 1, 11), (message, 1, 11), (4, 1, None)]


def test_x04_processes_that_are_already_there_are_announced() -> None:
    """X-04: when the port is set; before that nobody hears anything."""
    bench = Bench()
    port, _ = bench.port()
    job, _ = bare_job(bench)
    for pid in (11, 12):
        job.assign(process(bench, pid))
    assert port.depth == 0
    job.set_port(port, key=1)
    assert messages(bench, port) == [(6, 1, 11), (6, 1, 12)]


def test_x04_a_job_has_one_port() -> None:
    """X-04: a second one is refused; the job is a reference to the first."""
    bench = Bench()
    port, _ = bench.port()
    other, _ = bench.port()
    job, _ = job_with_port(bench, port, key=1)
    for target in (other, port):
        with bench.refused(INVALID_PARAMETER):
            job.set_port(target, key=2)
    assert (port.references, other.references) == (2, 1)


@pytest.mark.parametrize(("profile", "is_removable"), [(WIN10, True), (WIN7, False), (XP, False), (CLASSIC, False)])
def test_x04_the_port_may_be_taken_away_since_windows_8(profile: Profile, is_removable: bool) -> None:
    """X-04: with NULL; then nothing more is sent, and another port may follow."""
    bench = Bench(profile)
    port, _ = bench.port()
    other, _ = bench.port()
    job, _ = job_with_port(bench, port, key=1)
    if not is_removable:
        with bench.refused(INVALID_PARAMETER):
            job.set_port(None, key=0)
        return
    job.set_port(None, key=0)
    job.set_port(None, key=0)
    job.assign(process(bench, 11))
    assert (port.references, port.depth) == (1, 0)
    job.set_port(other, key=2)
    assert messages(bench, other) == [(6, 2, 11)]


def test_x04_nested_jobs_tell_every_ancestor() -> None:
    """X-04: inner job first, then outwards, each with its own key; an ancestor without a port is passed over."""
    bench = Bench()
    port, _ = bench.port()
    outer, _ = job_with_port(bench, port, key="outer")
    middle, _ = bare_job(bench)
    inner, _ = job_with_port(bench, port, key="inner")
    member = process(bench, 11)
    for job in (outer, middle, inner):
        job.assign(member)
    assert member.jobs == [inner, middle, outer]
    assert messages(bench, port) == [(6, "outer", 11), (6, "inner", 11)]
    second = process(bench, 12)
    inner.assign(second)
    assert second.jobs == [inner, middle, outer]
    assert messages(bench, port) == [(6, "inner", 12), (6, "outer", 12)]
    third = process(bench, 13)
    outer.assign(third)
    inner.assign(third)
    assert third.jobs == [inner, middle, outer]
    assert messages(bench, port) == [(6, "outer", 13), (6, "inner", 13)]
    inner.terminate(5)
    bench.check()
    assert [member.exit_code, second.exit_code, third.exit_code] == [5, 5, 5]
    assert messages(bench, port) == [
        *((7, "inner", 11), (7, "outer", 11), (7, "inner", 12), (7, "outer", 12)),
        *((7, "inner", 13), (4, "inner", None), (7, "outer", 13), (4, "outer", None)),
    ]


def test_x04_assignments_that_are_refused() -> None:
    """X-04: an ended process, one that is in the job already, and a job that would need two parents."""
    bench = Bench()
    job, _ = bare_job(bench)
    ended, member = process(bench, 11), process(bench, 12)
    bench.kernel.exit_process(ended)
    job.assign(member)
    with bench.refused(ACCESS_DENIED):
        job.assign(ended)
    with bench.refused(ACCESS_DENIED):
        job.assign(member)
    elsewhere, _ = bare_job(bench)
    stranger = process(bench, 13)
    elsewhere.assign(stranger)
    with bench.refused(ACCESS_DENIED):
        job.assign(stranger)
    nested, _ = bare_job(bench)
    nested.assign(member)
    with bench.refused(ACCESS_DENIED):
        nested.assign(stranger)
    assert (stranger.jobs, member.jobs) == ([elsewhere], [nested, job])
    bench.kernel.exit_process(member)
    bench.check()
    assert not nested.processes
    with bench.refused(ACCESS_DENIED):
        nested.assign(stranger)


def test_x04_a_job_lives_as_long_as_handles_and_processes() -> None:
    """X-04: without a handle it still reports its processes; with the last of them it gives up port and parent."""
    bench = Bench()
    port, _ = bench.port()
    outer, outer_handle = bare_job(bench)
    inner, inner_handle = job_with_port(bench, port, key=1)
    member = process(bench, 11)
    outer.assign(member)
    inner.assign(member)
    bench.close(inner_handle)
    bench.close(outer_handle)
    assert (inner.freed, outer.freed, port.references) == (False, False, 2)
    bench.kernel.exit_process(member)
    bench.check()
    assert (inner.freed, outer.freed, port.references) == (True, True, 1)
    assert messages(bench, port) == [(6, 1, 11), (7, 1, 11), (4, 1, None)]


def test_x04_a_nested_job_keeps_its_parent() -> None:
    """X-04: also without processes, so that what is assigned to it later is still reported to the ancestor."""
    bench = Bench()
    port, _ = bench.port()
    outer, outer_handle = job_with_port(bench, port, key="outer")
    inner, inner_handle = bare_job(bench)
    member = process(bench, 11)
    outer.assign(member)
    inner.assign(member)
    bench.close(outer_handle)
    bench.kernel.exit_process(member)
    bench.check()
    assert (outer.freed, inner.freed) == (False, False)
    messages(bench, port)
    second = process(bench, 12)
    inner.assign(second)
    assert messages(bench, port) == [(6, "outer", 12)]
    bench.kernel.exit_process(second)
    bench.close(inner_handle)
    assert (outer.freed, inner.freed) == (True, True)


def test_x04_messages_and_posts_share_the_queue() -> None:
    """X-04: in order of arrival, and a waiter takes a message like any packet."""
    bench = Bench()
    port, _ = bench.port()
    job, _ = job_with_port(bench, port, key=1)
    bench.post(port, key=7)
    job.assign(process(bench, 11))
    bench.post(port, key=8)
    assert [each.key for each in bench.poll(bench.main, port, maximum=8)] == [7, 1, 8]
    bench.park(bench.main, port)
    job.assign(process(bench, 12))
    assert bench.collect(bench.main) == [packet(1, 12, information=6)]


# -- wait completion packets ---------------------------------------------------------------------------


def wait_packet(bench: Bench) -> tuple[WaitCompletionPacket, int]:
    """A wait completion packet and its only handle."""
    made = bench.kernel.create_wait_packet()
    return made, bench.open(made)


def opened(bench: Bench, target: Waitable) -> Waitable:
    """The target, with a handle."""
    bench.open(target)
    return target


def set_event(bench: Bench, event: Event) -> None:
    """SetEvent."""
    event.set()
    bench.check()


def test_x05_the_packet_comes_when_the_target_is_signalled() -> None:
    """X-05: exactly the packet that was described, once; while armed it refers to port and target."""
    bench = Bench()
    port, _ = bench.port()
    event = bench.event()
    waiting, _ = wait_packet(bench)
    assert not waiting.associate(port, event, packet(1, "value", 789, 2**40))
    assert (waiting.state, port.references, event.references, waiting.references) == (WaitPacketState.ARMED, 2, 2, 2)
    assert port.depth == 0
    set_event(bench, event)
    set_event(bench, event)
    assert (waiting.state, port.depth) == (WaitPacketState.QUEUED, 1)
    assert bench.poll(bench.main, port) == [packet(1, "value", 789, 2**40)]
    assert (waiting.state, port.references, event.references, waiting.references) == (WaitPacketState.IDLE, 1, 1, 1)
    assert bench.poll(bench.main, port) is TIMEOUT


def test_x05_a_target_that_is_signalled_already() -> None:
    """X-05: queued at once and said so; an auto-reset event is spent on it as on any waiter."""
    bench = Bench()
    port, _ = bench.port()
    spent = bench.event(ResetMode.AUTO, signalled=True)
    first, _ = wait_packet(bench)
    second, _ = wait_packet(bench)
    assert first.associate(port, spent, packet(1))
    assert (port.depth, spent.signalled) == (1, False)
    assert not second.associate(port, spent, packet(2))
    set_event(bench, spent)
    assert (port.depth, spent.signalled) == (2, False)


def test_x05_waiters_of_one_target_are_served_in_order() -> None:
    """X-05: an armed packet stands in line with threads that wait for the same object."""
    bench = Bench()
    port, _ = bench.port()
    event = bench.event(ResetMode.AUTO)
    thread = bench.thread("T1")
    waiting, _ = wait_packet(bench)
    waiting.associate(port, event, packet(1))
    assert bench.wait(thread, [event]) is None
    set_event(bench, event)
    assert (port.depth, thread.state) == (1, ThreadState.BLOCKED)
    set_event(bench, event)
    assert bench.collect(thread) == status.STATUS_WAIT_0


def test_x05_one_shot_and_in_use() -> None:
    """X-05: armed or queued it cannot be associated; after the pick-up it can, with another port and target."""
    bench = Bench()
    port, _ = bench.port()
    other, _ = bench.port()
    event = bench.event()
    waiting, _ = wait_packet(bench)
    waiting.associate(port, event, packet(1))
    with bench.refused(PARAMETER_1):
        waiting.associate(other, event, packet(2))
    set_event(bench, event)
    with bench.refused(PARAMETER_1):
        waiting.associate(other, event, packet(2))
    bench.poll(bench.main, port)
    assert waiting.associate(other, event, packet(2))
    assert (port.depth, other.depth) == (0, 1)


@pytest.mark.parametrize("kind", ["event", "semaphore", "timer", "thread", "process"])
def test_x05_what_may_be_a_target(kind: str) -> None:
    """X-05: events, semaphores, timers, threads and processes; each queues the packet when it is signalled."""
    bench = Bench()
    port, _ = bench.port()
    waiting, _ = wait_packet(bench)
    target: Waitable
    if kind == "event":
        event = bench.event()
        target, signal = event, event.set
    elif kind == "semaphore":
        semaphore = bench.kernel.create_semaphore(0, 1)
        target, signal = opened(bench, semaphore), lambda: void(semaphore.release(1))
    elif kind == "timer":
        timer = bench.kernel.create_timer(ResetMode.MANUAL)
        target, signal = opened(bench, timer), lambda: void(timer.fire(timer.arm()))
    elif kind == "thread":
        thread = bench.thread("T1")
        target, signal = thread, lambda: bench.kernel.exit_thread(thread)
    else:
        child = process(bench, 11)
        target, signal = child, lambda: bench.kernel.exit_process(child)
    assert not waiting.associate(port, target, packet(1))
    assert port.depth == 0
    signal()
    bench.check()
    assert bench.poll(bench.main, port) == [packet(1)]


def void(_: object) -> None:
    """For lambdas that must return None."""


@pytest.mark.parametrize("kind", ["mutant", "port", "file"])
def test_x05_what_may_not_be_a_target(kind: str) -> None:
    """X-05: mutexes and ports, and whatever else threads can wait for, are refused."""
    bench = Bench()
    port, _ = bench.port()
    waiting, _ = wait_packet(bench)
    targets: dict[str, Waitable] = {"port": port, "file": bench.file()[0]}
    target = targets[kind] if kind in targets else opened(bench, bench.kernel.create_mutant())
    with bench.refused(PARAMETER_3):
        waiting.associate(port, target, packet(1))
    assert waiting.state is WaitPacketState.IDLE


@pytest.mark.parametrize(("profile", "exists"), [(WIN10, True), (WIN7, False), (XP, False), (CLASSIC, False)])
def test_x05_since_windows_8(profile: Profile, exists: bool) -> None:
    """X-05: earlier systems do not have them."""
    bench = Bench(profile)
    if exists:
        assert wait_packet(bench)[0].state is WaitPacketState.IDLE
    else:
        with bench.refused(status.STATUS_NOT_IMPLEMENTED):
            bench.kernel.create_wait_packet()


def test_x05_closing_the_packet_or_the_port() -> None:
    """X-05: closed while armed, it is disarmed; closed while queued, its packet still arrives; the end of the port
    frees it, and a later signal is dropped."""
    bench = Bench()
    port, handle = bench.port()
    event = bench.event()
    armed, armed_handle = wait_packet(bench)
    armed.associate(port, event, packet(1))
    bench.close(armed_handle)
    assert (armed.freed, port.references, event.waits) == (True, 1, {})
    queued, queued_handle = wait_packet(bench)
    queued.associate(port, event, packet(2))
    set_event(bench, event)
    bench.close(queued_handle)
    assert not queued.freed
    assert bench.poll(bench.main, port) == [packet(2)]
    assert queued.freed
    event.reset()
    waiting, _ = wait_packet(bench)
    waiting.associate(port, event, packet(3))
    bench.close(handle)
    assert (waiting.state, port.freed) == (WaitPacketState.ARMED, False)
    set_event(bench, event)
    assert (waiting.state, port.freed, port.dropped) == (WaitPacketState.IDLE, True, 1)


def test_x06_cancelling_by_state() -> None:
    """X-06: idle: CANCELLED; armed: SUCCESS, and the signal brings nothing; queued and kept: PENDING; queued and
    removed: SUCCESS; picked up: CANCELLED."""
    bench = Bench()
    port, _ = bench.port()
    event = bench.event()
    waiting, _ = wait_packet(bench)
    cancel = bench.kernel.cancel_wait_packet
    for removal in Removal:
        assert cancel(waiting, removal) == status.STATUS_CANCELLED
        waiting.associate(port, event, packet(1))
        assert cancel(waiting, removal) == SUCCESS
        assert (waiting.state, port.references, event.waits) == (WaitPacketState.IDLE, 1, {})
    set_event(bench, event)
    assert port.depth == 0
    waiting.associate(port, event, packet(2))
    before = bench.picture()
    assert cancel(waiting, Removal.KEEP_QUEUED) == status.STATUS_PENDING
    assert bench.picture() == before
    assert cancel(waiting, Removal.REMOVE_QUEUED) == SUCCESS
    assert (port.depth, waiting.references, waiting.state) == (0, 1, WaitPacketState.IDLE)
    waiting.associate(port, event, packet(3))
    assert bench.poll(bench.main, port) == [packet(3)]
    for removal in Removal:
        assert cancel(waiting, removal) == status.STATUS_CANCELLED


def test_x06_removal_from_the_middle_of_the_queue() -> None:
    """X-06: depth one less, the others keep their order, also those that look the same."""
    bench = Bench()
    port, _ = bench.port()
    event = bench.event(signalled=True)
    waiting, _ = wait_packet(bench)
    bench.post(port, key=1)
    bench.post(port, key=2)
    waiting.associate(port, event, packet(2))
    bench.post(port, key=3)
    assert bench.kernel.cancel_wait_packet(waiting, Removal.REMOVE_QUEUED) == SUCCESS
    assert [(each.key, each.source) for each in port.queue.packets] == [(1, None), (2, None), (3, None)]
    bench.check()


@pytest.mark.parametrize("removal", list(Removal))
def test_x06_a_packet_in_the_hands_of_a_waiter_is_picked_up(removal: Removal) -> None:
    """X-06: handed to a parked thread that has not gone on yet, it is in no queue: cancelling comes too late, says
    CANCELLED, and that thread returns the packet."""
    bench = Bench()
    port, _ = bench.port()
    event = bench.event()
    waiting, _ = wait_packet(bench)
    waiter = bench.thread("T1")
    waiting.associate(port, event, packet(1))
    bench.park(waiter, port)
    set_event(bench, event)
    assert port.depth == 0
    assert status.status_name(bench.kernel.cancel_wait_packet(waiting, removal)) == "STATUS_CANCELLED"
    assert bench.collect(waiter) == [packet(1)]
    assert (waiting.state, waiting.references) == (WaitPacketState.IDLE, 1)


# -- how others use ports ------------------------------------------------------------------------------


class LifoSemaphore:
    """X-09: a port of which each packet is one signal; release posts, acquire dequeues."""

    def __init__(self, bench: Bench, concurrency: int) -> None:
        self.bench = bench
        self.port, _ = bench.port(concurrency)

    def release(self, count: int = 1) -> None:
        """Give signals."""
        for _ in range(count):
            self.bench.post(self.port)

    def acquire(self, thread: KernelThread) -> bool:
        """Whether the thread got a signal at once; else it is parked."""
        return self.bench.get(thread, self.port) is not None


def test_x09_a_port_as_a_lifo_semaphore() -> None:
    """X-09: with the concurrency value at the maximum signal count every release wakes one waiter, the latest first,
    and signals that nobody waits for are kept."""
    bench = Bench()
    semaphore = LifoSemaphore(bench, concurrency=4)
    workers = [bench.thread(f"T{number}") for number in range(4)]
    for worker in workers:
        assert not semaphore.acquire(worker)
    for worker in reversed(workers):
        semaphore.release()
        assert bench.collect(worker) == [packet()]
    semaphore.release(2)
    assert [semaphore.acquire(worker) for worker in workers[:3]] == [True, True, False]


def test_x09_why_the_concurrency_value_must_be_large() -> None:
    """X-09: at 1 a thread whose wait has timed out holds the only slot, and a release reaches nobody (K-16)."""
    bench = Bench()
    for concurrency, is_reached in ((1, False), (4, True)):
        semaphore = LifoSemaphore(bench, concurrency)
        impatient, waiter = bench.thread("T1"), bench.thread("T2")
        assert not semaphore.acquire(impatient)
        assert bench.kernel.expire(impatient)
        assert bench.collect(impatient) is TIMEOUT
        assert not semaphore.acquire(waiter)
        semaphore.release()
        assert (waiter in bench.kernel.readied) == is_reached


def test_x10_an_unlimited_port_never_holds_a_packet_back() -> None:
    """X-10: with 0xFFFFFFFF any number of strangers takes packets at once, however many threads run (P-18)."""
    bench = Bench(processors=1)
    port, handle = bench.port(concurrency=0xFFFFFFFF)
    for number in range(20):
        worker = bench.thread(f"T{number}")
        bench.post(port, key=number)
        assert bench.get(worker, port) == [packet(number)]
    assert (port.queue.current_count, port.depth) == (20, 0)
    bench.park(bench.main, port)
    bench.close(handle)
    assert bench.collect(bench.main) is ABANDONED


def test_x05_a_timer_set_anew_forgets_the_old_setting() -> None:
    """X-05: a target timer fires for its latest setting only."""
    bench = Bench()
    port, _ = bench.port()
    timer = bench.kernel.create_timer(ResetMode.AUTO)
    assert isinstance(timer, Timer)
    bench.open(timer)
    waiting, _ = wait_packet(bench)
    waiting.associate(port, timer, packet(1))
    stale = timer.arm()
    latest = timer.arm()
    assert not timer.fire(stale)
    assert port.depth == 0
    assert timer.fire(latest)
    assert port.depth == 1
