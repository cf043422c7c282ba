"""Rules O-01 to O-28: the I/O completion object, on the kernel model.

Which right which call needs (O-03), and what opening by name answers (O-02), the NT face shows at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iocp_emu import ntdll, status, win32
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.objects import Access
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waitpackets import ReserveObject
from iocp_emu.kernel.waits import Alertability, ResetMode, Timeout, WaitMode
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, WINE_OLD, XP, Profile
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from tests.rules.devices import (
    ABANDONED,
    ACCESS_DENIED,
    INVALID_HANDLE,
    INVALID_PARAMETER,
    TIMEOUT,
    TYPE_MISMATCH,
    USER_APC,
    Bench,
    Overlapped,
    packet,
    win32_code,
)


def test_o01_a_fresh_port_is_empty_unnamed_and_fully_accessible() -> None:
    """O-01: creation makes the object and its queue; the handle has every right, nothing is queued."""
    bench = Bench()
    port, handle = bench.port(concurrency=3)
    assert (port.depth, port.dropped, port.concurrency, port.name) == (0, 0, 3, None)
    assert (port.references, port.handle_count) == (1, 1)
    assert (len(port.queue.waiters), len(port.queue.members), port.queue.current_count) == (0, 0, 0)
    assert bench.process.handles.lookup(handle, IoCompletion, Access.ALL) is port


def test_o02_a_named_port_is_found_until_its_last_handle_is_closed() -> None:
    """O-02: opening by name gives the same object, concurrency value included; the name goes with the last handle."""
    bench = Bench()
    port, handle = bench.port(concurrency=3)
    bench.kernel.set_name(port, "Workers")
    assert repr(port) == "<IoCompletion Workers references=1>"
    assert bench.kernel.find_name("Workers") is port
    assert bench.kernel.find_name("workers") is None
    assert bench.kernel.find_name("workers", ignore_case=True) is port
    assert bench.kernel.find_name("others", ignore_case=True) is None
    again = bench.open(port)
    assert bench.process.handles.lookup(again, IoCompletion) is port
    assert (port.concurrency, port.handle_count) == (3, 2)
    bench.close(handle)
    assert bench.kernel.find_name("Workers") is port
    bench.close(again)
    assert bench.kernel.find_name("Workers") is None


def test_o02_a_name_that_is_taken_is_refused() -> None:
    """O-02: two objects never share a name; with the holder's last handle the name is free, even if it lives."""
    bench = Bench()
    holder, handle = bench.port()
    bench.bound_file(holder, key=1)
    bench.kernel.set_name(holder, "Workers")
    other, other_handle = bench.port()
    with bench.refused(status.STATUS_OBJECT_NAME_COLLISION):
        bench.kernel.set_name(other, "Workers")
    assert other.name is None
    bench.close(handle)
    assert not holder.freed
    bench.kernel.set_name(other, "Workers")
    assert bench.kernel.find_name("Workers") is other
    bench.close(bench.open(holder))
    assert bench.kernel.find_name("Workers") is other
    bench.close(other_handle)
    assert bench.kernel.names == {}


@pytest.mark.parametrize("needed", [Access.QUERY_STATE, Access.MODIFY_STATE, Access.SYNCHRONIZE])
def test_o03_a_right_that_the_handle_lacks_is_access_denied(needed: Access) -> None:
    """O-03: a handle opens the port for what it was granted and for nothing else."""
    bench = Bench()
    port, _ = bench.port()
    without = bench.open(port, Access.ALL & ~needed)
    only = bench.open(port, needed)
    assert bench.process.handles.lookup(only, IoCompletion, needed) is port
    with bench.refused(ACCESS_DENIED):
        bench.process.handles.lookup(without, IoCompletion, needed)
    with bench.refused(ACCESS_DENIED):
        bench.process.handles.lookup(only, IoCompletion, Access.ALL)
    assert status.status_to_error(ACCESS_DENIED) == 5


def test_o04_depth_counts_queued_packets_only() -> None:
    """O-04: 100 posts make depth 100; a packet that is handed to a waiter never shows."""
    bench = Bench()
    port, _ = bench.port(concurrency=1)
    bench.park(bench.main, port)
    assert bench.post(port, key=1) == 0
    assert port.depth == 0
    assert [bench.post(port) for _ in range(100)] == list(range(100))
    assert port.depth == 100


def test_o05_four_opaque_values_round_trip() -> None:
    """O-05: key, overlapped, status and a pointer-sized information come back as they were; Win32 shows 32 bits."""
    bench = Bench()
    port, _ = bench.port()
    anything = object()
    sent = [
        packet(0, None, 0, 0),
        packet(2**64 - 1, 2**64 - 1, 789, 2**64 - 1),
        packet(anything, anything, 0xC0000120, 0xDEADBEEF_CAFEBABE),
    ]
    for each in sent:
        bench.post(port, each.key, each.information, each.overlapped, each.status)
    received = bench.poll(bench.main, port, maximum=8)
    assert received == sent
    assert received[2].key is anything
    assert received[2].overlapped is anything
    assert [each.bytes for each in received] == [0, 2**32 - 1, 0xCAFEBABE]
    assert [win32_code(each) for each in received] == [0, 0, 995]


def test_o06_a_reserve_carries_one_packet_at_a_time() -> None:
    """O-06: a reserve is in use from its post until the packet has been picked up; then it serves again."""
    bench = Bench()
    port, _ = bench.port()
    reserve = bench.kernel.create_reserve()
    handle = bench.open(reserve)
    reserve.post(port, packet(1, information=3))
    assert (port.depth, reserve.is_queued, reserve.references) == (1, True, 2)
    with bench.refused(status.STATUS_INVALID_PARAMETER_2):
        reserve.post(port, packet(2))
    assert bench.poll(bench.main, port) == [packet(1, information=3)]
    assert (reserve.is_queued, reserve.references) == (False, 1)
    bench.park(bench.main, port)
    reserve.post(port, packet(2))
    assert bench.collect(bench.main) == [packet(2)]
    assert not reserve.is_queued
    bench.close(handle)
    assert reserve.freed


def test_o06_a_dropped_packet_gives_its_reserve_back() -> None:
    """O-06: the end of the port frees the reserve; a reserve whose handle is closed lives as long as its packet."""
    bench = Bench()
    port, handle = bench.port()
    kept = bench.kernel.create_reserve()
    bench.open(kept)
    closed = bench.kernel.create_reserve()
    closing = bench.open(closed)
    kept.post(port, packet(1))
    closed.post(port, packet(2))
    bench.close(closing)
    assert not closed.freed
    bench.close(handle)
    assert (port.dropped, kept.is_queued, closed.freed) == (2, False, True)


def test_o06_a_thread_that_ends_with_the_packet_frees_the_reserve() -> None:
    """O-06: handed to a thread that ends before it can return, the packet is gone; the reserve serves again (Q-35)."""
    bench = Bench()
    port, _ = bench.port()
    reserve = bench.kernel.create_reserve()
    bench.open(reserve)
    thread = bench.thread("T1")
    bench.park(thread, port)
    reserve.post(port, packet(1))
    bench.exit(thread)
    assert (reserve.is_queued, reserve.references) == (False, 1)
    other = bench.thread("T2")
    bench.park(other, port)
    bench.post(port, key=2)
    bench.exit(other)
    reserve.post(port, packet(3))
    assert bench.poll(bench.main, port, maximum=8) == [packet(3)]


def test_o06_a_reserve_handle_is_needed() -> None:
    """O-06: no reserve handle, or a handle of something else, is an error."""
    bench = Bench()
    _, handle = bench.port()
    with bench.refused(INVALID_HANDLE):
        bench.process.handles.lookup(None, ReserveObject)
    with bench.refused(TYPE_MISMATCH):
        bench.process.handles.lookup(handle, ReserveObject)


def test_o07_a_plain_removal_leaves_user_apcs_alone() -> None:
    """O-07: a pending user APC neither ends a plain removal nor runs; an APC queued while parked does not wake it."""
    bench = Bench()
    port, _ = bench.port()
    ran: list[str] = []
    bench.kernel.queue_user_apc(bench.main, lambda: ran.append("early"))
    assert bench.poll(bench.main, port) is TIMEOUT
    bench.park(bench.main, port)
    bench.kernel.queue_user_apc(bench.main, lambda: ran.append("late"))
    bench.check()
    assert bench.main.state is ThreadState.PARKED
    assert (ran, len(bench.main.user_apcs), bench.kernel.readied) == ([], 2, [])


def test_o08_a_batch_returns_one_to_n_packets_or_says_why_not() -> None:
    """O-08: 1 to n packets, TIMEOUT, USER_APC or ABANDONED; with none of them no packet comes along."""
    bench = Bench()
    port, handle = bench.port(concurrency=8)
    for key in range(5):
        bench.post(port, key)
    assert bench.poll(bench.main, port, maximum=3) == [packet(key) for key in range(3)]
    assert bench.poll(bench.main, port, maximum=3) == [packet(3), packet(4)]
    assert bench.poll(bench.main, port, maximum=3) is TIMEOUT
    bench.kernel.queue_user_apc(bench.main, lambda: None)
    assert bench.poll(bench.main, port, maximum=3, alertability=Alertability.ALERTABLE) is USER_APC
    bench.park(bench.main, port, maximum=3)
    bench.close(handle)
    assert bench.collect(bench.main) is ABANDONED


@pytest.mark.parametrize(("profile", "is_refused"), [(WIN10, True), (WINE, True), (WINE_OLD, False)])
def test_o08_a_batch_of_zero(profile: Profile, is_refused: bool) -> None:
    """O-08: zero entries are STATUS_INVALID_PARAMETER, and the caller is not associated; old Wine returns nothing."""
    bench = Bench(profile)
    port, _ = bench.port()
    bench.post(port, key=1)
    if is_refused:
        with bench.refused(INVALID_PARAMETER):
            bench.kernel.remove(bench.main, port, 0)
    else:
        assert bench.poll(bench.main, port, maximum=0) == []
    assert (port.depth, bench.main.queue) == (1, None)


@pytest.mark.parametrize("profile", [XP, CLASSIC])
def test_o08_before_vista_there_is_no_batch(profile: Profile) -> None:
    """O-08: neither several packets in one call nor an alertable call; the plain call is there."""
    bench = Bench(profile)
    port, _ = bench.port()
    bench.post(port, key=1)
    with bench.refused(status.STATUS_NOT_IMPLEMENTED):
        bench.poll(bench.main, port, maximum=2)
    with bench.refused(status.STATUS_NOT_IMPLEMENTED):
        bench.poll(bench.main, port, alertability=Alertability.ALERTABLE)
    assert bench.poll(bench.main, port) == [packet(1)]


def test_o09_there_is_no_maximum_depth() -> None:
    """O-09: posts go on and on; the returned depth is what was there before."""
    bench = Bench()
    port, _ = bench.port()
    for number in range(100_000):
        assert bench.kernel.post(port, packet(number)) == number
    bench.check()
    assert port.depth == 100_000


def test_o09_a_post_fails_for_a_bad_handle_or_a_missing_right() -> None:
    """O-09: what fails is finding the port behind the handle; nothing is queued then."""
    bench = Bench()
    port, handle = bench.port()
    read_only = bench.open(port, Access.QUERY_STATE)
    for bad, code in ((None, INVALID_HANDLE), (handle + 2, INVALID_HANDLE), (read_only, ACCESS_DENIED)):
        with bench.refused(code):
            bench.post(bench.process.handles.lookup(bad, IoCompletion, Access.MODIFY_STATE))
    assert port.depth == 0
    assert status.status_to_error(status.STATUS_INSUFFICIENT_RESOURCES) == 1450


def test_o10_the_handle_is_signalled_while_packets_are_queued() -> None:
    """O-10: waiting takes nothing: two waits succeed, the depth stays; with the last packet gone the wait times out."""
    bench = Bench()
    port, _ = bench.port()
    assert not bench.is_signalled(port)
    bench.post(port, key=1)
    assert bench.is_signalled(port)
    assert bench.is_signalled(port)
    assert port.depth == 1
    assert bench.poll(bench.main, port) == [packet(1)]
    assert not bench.is_signalled(port)


def test_o10_the_classic_page_knows_no_wait_on_the_handle() -> None:
    """O-10: in profile classic a port is nothing to wait for (0.3); another object named with it is left alone."""
    bench = Bench(CLASSIC)
    port, _ = bench.port()
    event = bench.event(ResetMode.AUTO, signalled=True)
    for objects in ([port], [event, port]):
        with bench.refused(TYPE_MISMATCH):
            bench.wait(bench.main, objects)


def test_o11_a_queued_packet_wakes_every_direct_waiter() -> None:
    """O-11: all of them, oldest first; one that also waits for something else only when that is there too."""
    bench = Bench()
    port, _ = bench.port()
    gate = bench.event()
    threads = [bench.thread(name) for name in ("T1", "T2", "T3")]
    patient = bench.thread("T4")
    for thread in threads:
        assert bench.wait(thread, [port]) is None
    assert bench.wait(patient, [port, gate], WaitMode.ALL) is None
    bench.post(port, key=1)
    assert bench.kernel.readied == threads
    for thread in threads:
        assert bench.collect(thread) == status.STATUS_WAIT_0
    assert port.depth == 1
    gate.set()
    assert bench.collect(patient) == status.STATUS_WAIT_0


def test_o11_a_delivery_that_is_taken_back_wakes_them_too() -> None:
    """O-11: packets that could not be returned to their caller are queued again, oldest first (Q-35): the handle is
    signalled, and who waits on it is released."""
    bench = Bench()
    port, _ = bench.port()
    watcher = bench.thread("T1")
    for key in range(3):
        bench.post(port, key)
    taken = bench.kernel.remove(bench.main, port, 2)
    assert isinstance(taken, list)
    assert bench.poll(bench.main, port) == [packet(2)]
    assert bench.wait(watcher, [port]) is None
    bench.kernel.put_back(port, taken)
    bench.check()
    assert [each.key for each in port.queue.packets] == [0, 1]
    assert bench.is_signalled(port)
    assert bench.collect(watcher) == status.STATUS_WAIT_0


def test_o11_packets_that_a_runtime_has_appended_count_as_set() -> None:
    """O-11: settling offers them to a parked thread first; what stays queued wakes the direct waiters; on a closed port
    they are dropped (O-22)."""
    bench = Bench()
    port, handle = bench.port(concurrency=1)
    bench.bound_file(port, key=1)
    worker, watcher = bench.thread("T1"), bench.thread("T2")
    bench.park(worker, port)
    assert bench.wait(watcher, [port]) is None
    port.queue.packets.append(packet(1))
    port.settle()
    assert bench.collect(worker) == [packet(1)]
    assert watcher.state is ThreadState.BLOCKED
    port.queue.packets.append(packet(2))
    port.settle()
    assert bench.collect(watcher) == status.STATUS_WAIT_0
    bench.close(handle)
    port.queue.packets.append(packet(3))
    port.settle()
    bench.check()
    assert (port.depth, port.dropped) == (0, 2)


@pytest.mark.parametrize(("profile", "wakes"), [(WIN10, False), (WIN7, True), (XP, True), (WINE, False)])
def test_o12_a_hand_off_and_the_direct_waiters(profile: Profile, wakes: bool) -> None:
    """O-12: a packet that goes to a parked dequeuer wakes direct waiters only before Windows 10 1607."""
    bench = Bench(profile)
    port, _ = bench.port(concurrency=2)
    gate = bench.event()
    dequeuer, watcher, patient = (bench.thread(name) for name in ("T1", "T2", "T3"))
    bench.park(dequeuer, port)
    assert bench.wait(watcher, [port]) is None
    assert bench.wait(patient, [port, gate], WaitMode.ALL) is None
    assert bench.post(port, key=1) == 0
    assert port.depth == 0
    assert bench.collect(dequeuer) == [packet(1)]
    assert (watcher.state is ThreadState.RUNNABLE) == wakes
    assert (watcher in bench.kernel.readied) == wakes
    assert patient.state is ThreadState.BLOCKED


def test_o13_a_direct_waiter_is_blocked_and_not_associated() -> None:
    """O-13: an associated thread that waits on a port's handle gives up its slot (Q-23); a stranger stays one."""
    bench = Bench()
    port, _ = bench.port(concurrency=1)
    other, _ = bench.port()
    worker, parked, stranger = (bench.thread(name) for name in ("T1", "T2", "T3"))
    bench.post(port, key=1)
    assert bench.get(worker, port) == [packet(1)]
    bench.park(parked, port)
    bench.post(port, key=2)
    assert bench.wait(worker, [other]) is None
    assert (worker.state, worker.queue) == (ThreadState.BLOCKED, port.queue)
    assert bench.collect(parked) == [packet(2)]
    assert bench.wait(stranger, [other]) is None
    assert stranger.queue is None
    bench.post(other)
    assert [bench.collect(thread) for thread in (worker, stranger)] == [status.STATUS_WAIT_0] * 2
    assert (port.queue.current_count, other.queue.current_count) == (2, 0)


def test_o13_the_limits_of_any_wait_hold() -> None:
    """O-13: up to 64 objects, ports among them, none twice; more are refused before anything is looked at."""
    bench = Bench()
    port, _ = bench.port()
    events = [bench.event(ResetMode.AUTO, signalled=True) for _ in range(64)]
    with bench.refused(INVALID_PARAMETER):
        bench.wait(bench.main, [*events, port])
    with bench.refused(INVALID_PARAMETER):
        bench.wait(bench.main, [port, events[0], port])
    assert bench.wait(bench.main, [port, *events[1:]]) == status.STATUS_WAIT_0 + 1
    assert [event.signalled for event in events[:3]] == [True, False, True]


def test_o20_the_last_handle_ends_the_port_although_files_refer_to_it() -> None:
    """O-20: run down at once: no waiter, no member, no packet; the object lives on in its reference."""
    bench = Bench()
    port, handle = bench.port(concurrency=1)
    bench.bound_file(port, key=1)
    bench.post(port)
    assert bench.get(bench.main, port) == [packet()]
    bench.park(bench.thread("T1"), port)
    bench.post(port)
    assert port.queue.waiters
    assert port.queue.members
    assert port.queue.packets
    bench.close(handle)
    assert port.running_down
    assert (port.queue.waiters, port.queue.members, port.depth, port.queue.current_count) == ({}, {}, 0, 0)
    assert (port.freed, port.references, port.handle_count) == (False, 1, 0)


def test_o21_every_parked_dequeuer_is_abandoned_top_first() -> None:
    """O-21: single or batch, finite or infinite, all return ABANDONED (735), the latest parked first; none is left."""
    bench = Bench()
    port, handle = bench.port()
    threads = [bench.thread(name) for name in ("T1", "T2", "T3", "T4")]
    for thread, maximum in zip(threads, (1, 1, 8, 8), strict=True):
        bench.park(thread, port, maximum)
    bench.close(handle)
    assert bench.kernel.readied == threads[::-1]
    assert [bench.collect(thread) for thread in threads] == [ABANDONED] * 4
    assert status.status_to_error(ABANDONED.value) == 735
    assert port.freed


def test_o21_direct_waiters_succeed_when_the_port_is_closed() -> None:
    """O-21: a wait on the handle ends with success, and so does one that comes later to a port that still exists."""
    bench = Bench()
    port, handle = bench.port()
    bench.bound_file(port, key=1)
    watchers = [bench.thread(name) for name in ("T1", "T2")]
    for thread in watchers:
        assert bench.wait(thread, [port]) is None
    bench.close(handle)
    assert [bench.collect(thread) for thread in watchers] == [status.STATUS_WAIT_0] * 2
    assert bench.is_signalled(port)


def test_o21_a_suspended_dequeuer_learns_it_when_it_is_resumed() -> None:
    """O-21: a caller that is suspended when the port is closed returns ABANDONED as soon as it runs again."""
    bench = Bench()
    port, handle = bench.port()
    thread = bench.thread("T1")
    bench.park(thread, port)
    bench.kernel.suspend(thread)
    bench.close(handle)
    assert (thread.state, thread.queue, bench.kernel.readied) == (ThreadState.SUSPENDED, None, [])
    bench.kernel.resume(thread)
    assert bench.collect(thread) is ABANDONED


def test_o22_packets_queued_at_the_last_close_are_gone() -> None:
    """O-22: they are dropped, and what arrives later is dropped too."""
    bench = Bench()
    port, handle = bench.port()
    file, _ = bench.bound_file(port, key=1)
    request = bench.start(file, Overlapped())
    bench.post(port)
    bench.post(port)
    bench.close(handle)
    assert (port.depth, port.dropped) == (0, 2)
    bench.complete(request)
    assert (port.depth, port.dropped) == (0, 3)


def test_o22_a_delivery_that_is_taken_back_too_late_is_dropped() -> None:
    """O-22: a waiter that could not return its packet gives it back to a port that is closed meanwhile: nobody can
    dequeue it any more (Q-35)."""
    bench = Bench()
    port, handle = bench.port()
    bench.bound_file(port, key=1)
    thread = bench.thread("T1")
    bench.park(thread, port)
    bench.post(port)
    bench.close(handle)
    bench.kernel.put_back(port, bench.collect(thread))
    bench.check()
    assert (port.depth, port.dropped) == (0, 1)


def test_o23_no_thread_stays_associated_with_a_closed_port() -> None:
    """O-23: members lose the association; later calls fail with INVALID_HANDLE, also one that had found the port."""
    bench = Bench()
    port, handle = bench.port()
    bench.bound_file(port, key=1)
    bench.post(port, key=1)
    assert bench.get(bench.main, port) == [packet(1)]
    late = bench.thread("T1")
    bench.close(handle)
    assert bench.main.queue is None
    for thread in (bench.main, late):
        with bench.refused(INVALID_HANDLE):
            bench.get(thread, port)
        assert thread.queue is None
    with bench.refused(INVALID_HANDLE):
        bench.process.handles.lookup(handle, IoCompletion)


def test_o24_the_object_lives_until_its_last_reference() -> None:
    """O-24: then queued packets are discarded and what is embedded in them is released.  Seen before Vista, where the
    last handle leaves the queue alone."""
    bench = Bench(XP)
    port, handle = bench.port()
    _, file_handle = bench.bound_file(port, key=1)
    reserve = bench.kernel.create_reserve()
    bench.open(reserve)
    reserve.post(port, packet(1))
    bench.post(port, key=2)
    bench.close(handle)
    assert (port.freed, port.depth, port.dropped, reserve.is_queued) == (False, 2, 0, True)
    bench.close(file_handle)
    assert (port.freed, port.depth, port.dropped, reserve.is_queued) == (True, 0, 2, False)
    assert reserve.references == 1


@pytest.mark.parametrize(
    ("profile", "wakes"), [(WIN10, True), (WIN7, True), (CLASSIC, True), (WINE, True), (XP, False), (WINE_OLD, False)]
)
def test_o25_before_vista_closing_does_not_wake(profile: Profile, wakes: bool) -> None:
    """O-25: XP's waiters go on until a packet of a file or the timeout; every later call fails all the same."""
    bench = Bench(profile)
    port, handle = bench.port(concurrency=2)
    file, _ = bench.bound_file(port, key=7)
    request = bench.start(file, Overlapped())
    waiting, timed = bench.thread("T1"), bench.thread("T2")
    bench.park(waiting, port)
    bench.park(timed, port)
    bench.close(handle)
    with bench.refused(INVALID_HANDLE):
        bench.get(bench.main, port)
    if wakes:
        assert [bench.collect(thread) for thread in (timed, waiting)] == [ABANDONED] * 2
        return
    assert bench.kernel.readied == []
    assert bench.kernel.expire(timed)
    assert bench.collect(timed) is TIMEOUT
    bench.complete(request, information=3)
    assert bench.collect(waiting) == [packet(7, request.context, information=3)]


def test_o25_a_port_may_be_of_another_system_than_its_machine() -> None:
    """O-25: the profile belongs to the port: on a machine of today one of XP leaves its waiters parked at the close."""
    bench = Bench()
    port = bench.kernel.create_port(1, profile=XP)
    handle = bench.open(port)
    bench.park(bench.main, port)
    bench.close(handle)
    assert (bench.main.state, port.references) == (ThreadState.PARKED, 1)
    assert bench.kernel.expire(bench.main)
    assert bench.collect(bench.main) is TIMEOUT
    assert port.freed


def test_o26_only_the_last_of_several_handles_matters() -> None:
    """O-26: closing one of two leaves waiters, packets and associations alone."""
    bench = Bench()
    port, handle = bench.port(concurrency=1)
    duplicate = bench.duplicate(handle)
    worker, parked = bench.thread("T1"), bench.thread("T2")
    bench.post(port, key=1)
    bench.get(worker, port)
    bench.park(parked, port)
    bench.post(port, key=2)
    bench.close(handle)
    assert (port.running_down, port.depth, worker.queue) == (False, 1, port.queue)
    assert parked.state is ThreadState.PARKED
    bench.close(duplicate)
    assert bench.collect(parked) is ABANDONED
    assert (port.dropped, worker.queue) == (1, None)


def test_o27_another_process_may_dequeue() -> None:
    """O-27: a port duplicated into another process works there; its dequeue fills the issuer's status block."""
    bench = Bench()
    port, handle = bench.port()
    file, _ = bench.bound_file(port, key=5)
    other = bench.another_process()
    foreign = bench.duplicate(handle, target=other)
    assert other.handles.lookup(foreign, IoCompletion, Access.MODIFY_STATE) is port
    with bench.refused(INVALID_HANDLE):
        bench.process.handles.lookup(foreign, IoCompletion)
    worker = bench.thread("T1", other)
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    bench.complete(request, information=3)
    bench.close(handle)
    assert overlapped.is_pending
    assert bench.get(worker, port) == [packet(5, overlapped, information=3)]
    assert overlapped.result == (status.STATUS_SUCCESS, 3)
    bench.kernel.exit_process(other)
    bench.check()
    assert port.running_down


def test_o28_a_post_handed_over_before_the_close_is_not_lost() -> None:
    """O-28: the waiter returns its packet, not ABANDONED."""
    bench = Bench()
    port, handle = bench.port()
    thread = bench.thread("T1")
    bench.park(thread, port)
    bench.post(port, key=1)
    bench.close(handle)
    assert bench.collect(thread) == [packet(1)]
    assert (port.dropped, thread.queue) == (0, None)


def test_o28_a_timeout_that_loses_against_the_post_changes_nothing() -> None:
    """O-28: also when the timeout comes in the same instant, what the waiter returns is the packet (Q-33)."""
    bench = Bench()
    port, handle = bench.port()
    thread = bench.thread("T1")
    assert bench.get(thread, port, timeout=Timeout.LATER) is None
    bench.post(port, key=1)
    assert not bench.kernel.expire(thread)
    bench.close(handle)
    result = bench.collect(thread)
    assert result == [packet(1)]
    assert not isinstance(result, RemoveOutcome)


# -- what only a call can show -------------------------------------------------------------------------------------


@pytest.fixture
def system() -> Iterator[ThreadSystem]:
    """The machine that the flat calls of the test go to."""
    with use(ThreadSystem()) as machine:
        yield machine
        for handle in machine.process.handles.handles():
            win32.CloseHandle(handle)


def test_o02_opening_by_name(system: ThreadSystem) -> None:
    """O-02: "open if it exists" gives the existing port and ignores the count; without that a taken name is refused."""
    first = ntdll.NtCreateIoCompletion(win32.IO_COMPLETION_ALL_ACCESS, 3, ObjectName="Workers")
    again = ntdll.NtCreateIoCompletion(
        win32.IO_COMPLETION_ALL_ACCESS, 5, ObjectName="Workers", Attributes=ntdll.OBJ_OPENIF
    )
    opened = ntdll.NtOpenIoCompletion(win32.IO_COMPLETION_ALL_ACCESS, "Workers")
    assert [status.status_name(each.ret) for each in (first, again, opened)] == [
        *("STATUS_SUCCESS", "STATUS_OBJECT_NAME_EXISTS", "STATUS_SUCCESS")
    ]
    handles = system.process.handles
    ports = [handles.lookup(each.IoCompletionHandle, IoCompletion) for each in (first, again, opened)]
    assert ports == ports[:1] * 3
    assert (ports[0].concurrency, ports[0].handle_count) == (3, 3)
    taken = ntdll.NtCreateIoCompletion(win32.IO_COMPLETION_ALL_ACCESS, 5, ObjectName="Workers")
    assert status.status_name(taken.ret) == "STATUS_OBJECT_NAME_COLLISION"
    assert ports[0].handle_count == 3


def called(name: str, handle: int) -> int:
    """What a call on this port handle answers, as an NTSTATUS."""
    calls: dict[str, Callable[[], Any]] = {
        "query": lambda: ntdll.NtQueryIoCompletion(handle, ntdll.IoCompletionBasicInformation).ret,
        "set": lambda: ntdll.NtSetIoCompletion(handle, 1, 2, 0, 3),
        "remove": lambda: ntdll.NtRemoveIoCompletion(handle, 0).ret,
        "remove several": lambda: ntdll.NtRemoveIoCompletionEx(handle, 8, 0, False).ret,
        "wait": lambda: win32.WaitForSingleObject(handle, 0),
    }
    answer: int = calls[name]()
    return answer


@pytest.mark.parametrize(
    ("call", "needed"),
    [
        ("query", Access.QUERY_STATE),
        ("set", Access.MODIFY_STATE),
        ("remove", Access.MODIFY_STATE),
        ("remove several", Access.MODIFY_STATE),
        ("wait", Access.SYNCHRONIZE),
    ],
)
def test_o03_which_call_needs_which_right(system: ThreadSystem, call: str, needed: Access) -> None:
    """O-03: with the one right alone the call works, with all others it is refused and changes nothing."""
    full = ntdll.NtCreateIoCompletion(win32.IO_COMPLETION_ALL_ACCESS, 0).IoCompletionHandle
    assert full is not None
    assert ntdll.NtSetIoCompletion(full, 1, 2, 0, 3) == status.STATUS_SUCCESS
    poor = win32.DuplicateHandle(full, Access.ALL & ~needed, 0).lpTargetHandle
    rich = win32.DuplicateHandle(full, needed, 0).lpTargetHandle
    assert poor is not None
    assert rich is not None
    port = system.process.handles.lookup(full, IoCompletion)
    if call == "wait":
        assert (called(call, poor), win32.GetLastError()) == (win32.WAIT_FAILED, 5)
    else:
        assert status.status_name(called(call, poor)) == "STATUS_ACCESS_DENIED"
    assert port.depth == 1
    assert called(call, rich) == status.STATUS_SUCCESS
