"""`kernel/snapshot.py`: equal after equal histories, different wherever a verb could tell; and it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import KernelObject
from iocp_emu.kernel.snapshot import canonical, snapshot
from iocp_emu.kernel.waits import Alertability, ResetMode, WaitMode
from tests.rules.devices import Bench, Overlapped, packet
from tests.rules.test_refusals import Scene, contents

ALERTABLE = Alertability.ALERTABLE

Build = Callable[[Bench], object]


def test_equal_histories_have_equal_and_hashable_pictures() -> None:
    """P-17: whatever the addresses of their objects; every kind of object is in the scene."""
    first, second = Scene(), Scene()
    assert snapshot(first.kernel) == snapshot(second.kernel)
    assert hash(snapshot(first.kernel)) == hash(snapshot(second.kernel))


def test_taking_a_picture_changes_nothing() -> None:
    """The picture is an observer's: two in a row are equal, and no field has changed."""
    scene = Scene()
    before = contents(scene.kernel)
    assert snapshot(scene.kernel) == snapshot(scene.kernel)
    assert contents(scene.kernel) == before


def a_timer(bench: Bench, settings: int) -> None:
    """A timer that has been set so often."""
    timer = bench.kernel.create_timer(ResetMode.MANUAL)
    bench.open(timer)
    for _ in range(settings):
        timer.arm()


def a_wait_packet(bench: Bench, key: str, *, armed: bool = True) -> None:
    """A wait completion packet for an event."""
    waiting = bench.kernel.create_wait_packet()
    bench.open(waiting)
    event, (port, _) = bench.event(), bench.port(1)
    if armed:
        waiting.associate(port, event, packet(key))


def a_job(bench: Bench, key: str) -> None:
    """A job with a port."""
    job = bench.kernel.create_job()
    bench.open(job)
    job.set_port(bench.port(1)[0], key)


def a_suspended_waiter(bench: Bench, alertability: Alertability) -> None:
    """A thread that was suspended in a dequeue call."""
    bench.get(bench.main, bench.port(1)[0], alertability=alertability)
    bench.kernel.suspend(bench.main)


def an_overdue_waiter(bench: Bench, *, overdue: bool) -> None:
    """A thread whose timeout has passed while it was suspended, or not."""
    bench.get(bench.main, bench.port(1)[0])
    bench.kernel.suspend(bench.main)
    if overdue:
        bench.kernel.expire(bench.main)


def a_request(bench: Bench, issuer: str, **options: Any) -> None:
    """An outstanding request on an associated file."""
    file, _ = bench.bound_file(bench.port(1)[0], "key")
    threads = {name: bench.thread(name) for name in ("T1", "T2")}
    bench.start(file, Overlapped(), thread=threads[issuer], **options)


def an_owned_mutex(bench: Bench, acquisitions: int) -> None:
    """A mutex that the main thread has acquired so often."""
    mutant = bench.kernel.create_mutant(bench.main if acquisitions else None)
    bench.open(mutant)
    for _ in range(acquisitions - 1):
        bench.wait(bench.main, [mutant])


def a_reserve(bench: Bench, *, in_use: bool) -> None:
    """A reserve object."""
    reserve = bench.kernel.create_reserve()
    bench.open(reserve)
    port, _ = bench.port(1)
    if in_use:
        reserve.post(port, packet("key"))
        bench.get(bench.main, port)


def waiters(bench: Bench, *order: str) -> None:
    """Threads parked in this order."""
    port, _ = bench.port(1)
    threads = {name: bench.thread(name) for name in sorted(order)}
    for name in order:
        bench.park(threads[name], port)


def posts(bench: Bench, *values: Any) -> None:
    """Packets queued in this order."""
    port, _ = bench.port(1)
    for value in values:
        bench.post(port, **value)


def alerted(bench: Bench) -> None:
    """A thread whose alertable sleep has been ended by an APC, which it has not run yet."""
    bench.wait(bench.main, alertability=ALERTABLE)
    bench.kernel.queue_user_apc(bench.main, lambda: None)


def timed_out_with_an_apc(bench: Bench) -> None:
    """A thread whose plain sleep is over, with an APC pending."""
    bench.wait(bench.main)
    bench.kernel.expire(bench.main)
    bench.kernel.queue_user_apc(bench.main, lambda: None)


def named_event(bench: Bench, name: str) -> None:
    """An event that can be found."""
    bench.kernel.set_name(bench.event(), name)


DIFFERENT: dict[str, tuple[Build, Build]] = {
    "order of waiters": (lambda b: waiters(b, "T1", "T2"), lambda b: waiters(b, "T2", "T1")),
    "order of packets": (
        lambda b: posts(b, {"key": 1}, {"key": 2}),
        lambda b: posts(b, {"key": 2}, {"key": 1}),
    ),
    "overlapped": (lambda b: posts(b, {"overlapped": 1}), lambda b: posts(b, {"overlapped": None})),
    "status of a packet": (lambda b: posts(b, {"code": 0}), lambda b: posts(b, {"code": 1})),
    "information": (lambda b: posts(b, {"information": 0}), lambda b: posts(b, {"information": 1})),
    "concurrency": (lambda b: b.port(1), lambda b: b.port(2)),
    "alertable dequeue": (
        lambda b: b.get(b.main, b.port(1)[0]),
        lambda b: b.get(b.main, b.port(1)[0], alertability=ALERTABLE),
    ),
    "batch size": (lambda b: b.park(b.main, b.port(1)[0], 1), lambda b: b.park(b.main, b.port(1)[0], 8)),
    "alertable dequeue, suspended": (
        lambda b: a_suspended_waiter(b, Alertability.PLAIN),
        lambda b: a_suspended_waiter(b, ALERTABLE),
    ),
    "overdue while suspended": (
        lambda b: an_overdue_waiter(b, overdue=False),
        lambda b: an_overdue_waiter(b, overdue=True),
    ),
    "parked or blocked": (lambda b: b.park(b.main, b.port(1)[0]), lambda b: (b.port(1), b.wait(b.main))),
    "alertable wait": (lambda b: b.wait(b.main), lambda b: b.wait(b.main, alertability=ALERTABLE)),
    "outside or asleep": (lambda b: b.wait(b.main), lambda b: b.kernel.block(b.main)),
    "any or all": (
        lambda b: b.wait(b.main, [b.event(), b.event()], WaitMode.ANY),
        lambda b: b.wait(b.main, [b.event(), b.event()], WaitMode.ALL),
    ),
    "which object": (
        lambda b: b.wait(b.main, [b.event(), b.event()][:1]),
        lambda b: b.wait(b.main, [b.event(), b.event()][1:]),
    ),
    "pending APC": (lambda b: None, lambda b: b.kernel.queue_user_apc(b.main, lambda: None)),
    "suspend count": (
        lambda b: b.kernel.suspend(b.main),
        lambda b: (b.kernel.suspend(b.main), b.kernel.suspend(b.main)),
    ),
    "result to collect": (
        timed_out_with_an_apc,
        alerted,
    ),
    "reset mode": (lambda b: b.event(ResetMode.MANUAL), lambda b: b.event(ResetMode.AUTO)),
    "signal state": (lambda b: b.event(signalled=False), lambda b: b.event(signalled=True)),
    "semaphore count": (
        lambda b: b.open(b.kernel.create_semaphore(0, 2)),
        lambda b: b.open(b.kernel.create_semaphore(1, 2)),
    ),
    "mutex depth": (lambda b: an_owned_mutex(b, 1), lambda b: an_owned_mutex(b, 2)),
    "mutex owner": (lambda b: an_owned_mutex(b, 0), lambda b: an_owned_mutex(b, 1)),
    "timer setting": (lambda b: a_timer(b, 1), lambda b: a_timer(b, 2)),
    "file mode": (lambda b: b.file(), lambda b: b.file(io_mode=IoMode.SYNCHRONOUS)),
    "key of a file": (
        lambda b: b.bound_file(b.port(1)[0], 1),
        lambda b: b.bound_file(b.port(1)[0], 2),
    ),
    "modes of a file": (lambda b: b.file()[0].add_modes(1), lambda b: b.file()[0].add_modes(2)),
    "context of a request": (lambda b: a_request(b, "T1"), lambda b: a_request(b, "T1", wants_packet=False)),
    "issuer of a request": (lambda b: a_request(b, "T1"), lambda b: a_request(b, "T2")),
    "rights of a handle": (lambda b: b.open(b.event(), 1), lambda b: b.open(b.event(), 2)),
    "name": (lambda b: named_event(b, "one"), lambda b: named_event(b, "two")),
    "key of a job": (lambda b: a_job(b, "one"), lambda b: a_job(b, "two")),
    "wait packet armed": (lambda b: a_wait_packet(b, "k", armed=False), lambda b: a_wait_packet(b, "k")),
    "packet of a wait packet": (lambda b: a_wait_packet(b, "one"), lambda b: a_wait_packet(b, "two")),
    "reserve in use": (lambda b: a_reserve(b, in_use=False), lambda b: a_reserve(b, in_use=True)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_states_that_a_verb_can_tell_apart_have_different_pictures(what: str) -> None:
    """P-17: two histories that differ in one thing that shows later differ in the picture now."""
    pictures = []
    for build in DIFFERENT[what]:
        bench = Bench()
        build(bench)
        pictures.append(snapshot(bench.kernel))
    assert pictures[0] != pictures[1]


def test_what_is_freed_leaves_no_trace() -> None:
    """P-17: a closed event, an ended thread and used handle values are nothing that a verb could observe."""
    used, fresh = Bench(), Bench()
    used.close(used.open(used.kernel.create_event(ResetMode.MANUAL)))
    used.exit(used.thread("T1"))
    assert snapshot(used.kernel) == snapshot(fresh.kernel)


def test_an_unknown_kind_of_object_is_no_silent_gap() -> None:
    """A new kind of object must be given a picture: until then the snapshot refuses."""
    kernel = Kernel()
    KernelObject(kernel).reference()
    with pytest.raises(TypeError, match="no picture of KernelObject"):
        snapshot(kernel)


def test_a_delivery_to_collect_is_shown_with_its_packets() -> None:
    """Q-22: a readied thread's packets are part of the state until they are collected."""
    pictures = []
    for key in ("a", "b"):
        bench = Bench()
        port, _ = bench.port(1)
        bench.park(bench.main, port)
        bench.post(port, key, overlapped=object())
        pictures.append(snapshot(bench.kernel))
        bench.collect(bench.main)
        pictures.append(snapshot(bench.kernel))
    assert pictures[0] != pictures[2]
    assert pictures[1] == pictures[3]


def test_like_objects_may_change_places() -> None:
    """Canonical: two events that differ in their state alone are the same two whichever is set; one set is not none."""
    pictures: set[object] = set()
    for chosen in (0, 1):
        kernel = Kernel()
        events = [kernel.create_event(ResetMode.MANUAL), kernel.create_event(ResetMode.MANUAL)]
        blank = canonical(kernel)
        events[chosen].set()
        pictures.add(canonical(kernel))
        assert canonical(kernel) != blank
    assert len(pictures) == 1
