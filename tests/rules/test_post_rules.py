"""Chapter 5: posting, N-01 to N-08, as far as the kernel decides it; the flat call's own part is in tests/faces."""

from __future__ import annotations

from typing import Any

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.kernel.thread import ThreadState
from tests.rules.devices import SUCCESS, Bench, Overlapped, packet
from tests.rules.world import World, posted

SOMETHING = object()


@pytest.mark.parametrize("way", ["queued", "handed over"])
@pytest.mark.parametrize(
    ("key", "overlapped", "information"),
    [
        (0, None, 0),
        (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF),
        (1 << 63, 0x7FFFFFFFFFFFFFFF, 0x80000000),
        (-1, -1, 1),
        ("key", b"overlapped", 2),
        (SOMETHING, SOMETHING, 3),
        (None, Overlapped("nowhere"), 4),
    ],
)
def test_n01_the_values_come_back_as_they_went_in(way: str, key: Any, overlapped: Any, information: int) -> None:
    """N-01: opaque, identical, extremes included; `overlapped` need not point to anything."""
    bench = Bench()
    port, _ = bench.port()
    worker = bench.thread("T1")
    if way == "handed over":
        bench.park(worker, port)
    bench.post(port, key, information, overlapped)
    (got,) = bench.collect(worker) if way == "handed over" else bench.get(worker, port)
    assert got.key is key
    assert got.overlapped is overlapped
    assert (got.information, got.bytes) == (information, information)


def test_n02_a_posted_packet_is_a_success() -> None:
    """N-02: even with a NULL overlapped the receiver has no error."""
    bench = Bench()
    port, _ = bench.port()
    bench.post(port, 0, 0, None)
    (got,) = bench.get(bench.main, port)
    assert (got.status, got.error, got.source) == (SUCCESS, None, None)


def test_n03_posts_and_io_share_one_queue_in_order_of_arrival() -> None:
    """N-03: no priority: in the order in which they were posted or completed, not issued."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, "file")
    first, second = bench.start(file, Overlapped("one")), bench.start(file, Overlapped("two"))
    bench.post(port, "a")
    bench.complete(second, information=2)
    bench.post(port, "b")
    bench.complete(first, information=1)
    bench.post(port, "c")
    taken = bench.get(bench.thread("T1"), port, 8)
    assert [(got.key, got.information) for got in taken] == [("a", 0), ("file", 2), ("b", 0), ("file", 1), ("c", 0)]


def test_n04_any_thread_may_post() -> None:
    """N-04: associated with this port or another or none: the waiter gets the packet all the same."""
    for preparation in ((), ("poster: get(P, timeout=0)",), ("poster: get(R, timeout=0)",)):
        world = World(P=2, R=1)
        world.do_all("T1: get(P)", *preparation)
        assert world.do("poster: post a to P") == "handed straight to T1 (previous depth 0)"


def test_n04_from_an_apc_and_from_another_process() -> None:
    """N-04: a user APC, a kernel APC, a handle in another process."""
    world = World(P=2)
    port, kernel = world.ports["P"], world.kernel
    other = kernel.create_process()
    handle = world.process.handles.duplicate(world.handles["P"], other.handles, None)
    world.do_all("T1: get(P, alertable)", "T2: get(P)")
    depths: list[int] = []
    kernel.queue_user_apc(world["T1"], lambda: depths.append(kernel.post(port, posted("from-apc"))))
    assert world.collect() == [("T1", RemoveOutcome.USER_APC)]
    assert world.collect() == [("T2", [posted("from-apc")])]
    assert depths == [0]
    kernel.post(other.handles.lookup(handle, IoCompletion, Access.MODIFY_STATE), posted("from-afar"))
    assert [got.key for got in port.queue.packets] == ["from-afar"]


@pytest.mark.parametrize(
    ("which", "code", "error"),
    [
        ("closed", status.STATUS_INVALID_HANDLE, status.ERROR_INVALID_HANDLE),
        ("bogus", status.STATUS_INVALID_HANDLE, status.ERROR_INVALID_HANDLE),
        ("null", status.STATUS_INVALID_HANDLE, status.ERROR_INVALID_HANDLE),
        ("not a port", status.STATUS_OBJECT_TYPE_MISMATCH, status.ERROR_INVALID_HANDLE),
        ("no right to modify", status.STATUS_ACCESS_DENIED, status.ERROR_ACCESS_DENIED),
    ],
)
def test_n05_refusals_queue_nothing(which: str, code: int, error: int) -> None:
    """N-05: 6 for a bad handle or one that is no port, 5 for a missing right; nothing is queued."""
    bench = Bench()
    port, handle = bench.port()
    handles = bench.process.handles
    closed = bench.duplicate(handle)
    bench.close(closed)
    event = bench.open(bench.event())
    weak = bench.open(port, Access.QUERY_STATE)
    value = {"closed": closed, "bogus": 0x12345678, "null": None, "not a port": event, "no right to modify": weak}
    with bench.refused(code):
        handles.lookup(value[which], IoCompletion, Access.MODIFY_STATE)
    assert status.status_to_error(code) == error
    assert port.depth == 0


def test_n05_lack_of_memory_is_1450() -> None:
    """N-05: the third error of a post, which a model without a memory limit never raises by itself."""
    assert status.status_to_error(status.STATUS_INSUFFICIENT_RESOURCES) == 1450


@pytest.mark.parametrize("association", ["P", "R", None])
def test_n06_posting_never_touches_the_poster(association: str | None) -> None:
    """N-06: neither its state nor its port nor the count, above the limit or not."""
    world = World(P=1, R=1)
    if association is not None:
        world.do(f"poster: get({association}, timeout=0)")
    poster = world["poster"]
    before = (poster.state, poster.queue, world.columns().counts, world.columns().runnable)
    for number in range(3):
        world.post_by("poster", f"p{number}")
        assert (poster.state, poster.queue, world.columns().counts, world.columns().runnable) == before
    assert poster.state is ThreadState.RUNNABLE


def test_n07_one_worker_eats_the_stop_packets_of_all() -> None:
    """N-07: three stop packets stop three calls: a worker that does not leave at the first gets them all."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "T3: get(P)")
    world.do_all("post stop1", "post stop2", "post stop3")
    assert world.do_all("T3: get(P)", "T3: get(P)", "T3: get(P)") == ["T3 gets stop2", "T3 gets stop3", "T3 parks"]
    assert world.columns() == ("0/1", "-", "T1 T2 T3", "-")


def test_n07_workers_that_exit_pass_the_next_stop_on() -> None:
    """N-07: each exit releases the next worker with the next packet."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "T3: get(P)")
    world.do_all("post stop1", "post stop2", "post stop3")
    assert world.do("T3 exits") == "T3 is gone; side effect: T2 gets stop2"
    assert world.do("T2 exits") == "T2 is gone; side effect: T1 gets stop3"
    assert world.do("T1 exits") == "T1 is gone"
    assert world.columns() == ("0/1", "-", "-", "-")


def test_n08_equal_packets_stay_apart() -> None:
    """N-08: the same packet posted three times is delivered three times."""
    bench = Bench()
    port, _ = bench.port()
    twin = Packet("same", None, SUCCESS, 1, None)
    assert [bench.kernel.post(port, twin) for _ in range(3)] == [0, 1, 2]
    assert bench.get(bench.main, port, 8) == [packet("same", information=1)] * 3


def test_n08_no_limit_of_depth() -> None:
    """N-08: a hundred thousand packets are queued, and come out in order."""
    bench = Bench()
    port, _ = bench.port()
    depths = [bench.kernel.post(port, packet(number)) for number in range(100_000)]
    assert depths == list(range(100_000))
    assert port.depth == 100_000
    assert [got.key for got in bench.get(bench.main, port, 100_000)] == depths


def test_n05_a_post_to_a_port_without_handles_is_counted_as_dropped() -> None:
    """N-05: by handle it is refused; what a file still sends there is dropped, and says so (H-06)."""
    bench = Bench()
    port, handle = bench.port()
    port.reference()
    bench.close(handle)
    before = snapshot(bench.kernel)
    with pytest.raises(NtError) as refusal:
        bench.process.handles.lookup(handle, IoCompletion, Access.MODIFY_STATE)
    assert refusal.value.status == status.STATUS_INVALID_HANDLE
    assert snapshot(bench.kernel) == before
    assert bench.post(port, "late") == 0
    assert (port.depth, port.dropped) == (0, 1)
