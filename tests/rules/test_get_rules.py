"""Chapter 4: dequeuing, G-01 to G-26, as far as the kernel decides it.

What only the flat call can show (its return value, untouched outputs, the last error) is in
`test_get_face_rules.py` and tests/faces.
"""

from __future__ import annotations

from functools import partial

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.objects import Access
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Timeout
from iocp_emu.profiles import WIN7, WIN10, WINE, WINE_OLD, XP, Profile
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.status import status_to_error
from tests.rules.devices import (
    ABANDONED,
    CANCELLED,
    INVALID_HANDLE,
    INVALID_PARAMETER,
    SUCCESS,
    TIMEOUT,
    TYPE_MISMATCH,
    USER_APC,
    Bench,
    Overlapped,
    packet,
    win32_code,
)
from tests.rules.world import World

ALERTABLE = Alertability.ALERTABLE

NOT_YET_VISTA = status.STATUS_NOT_IMPLEMENTED


def bench_with_port(profile: Profile = WIN10) -> tuple[Bench, IoCompletion, KernelThread]:
    """A machine, a port of limit 2, and a thread T1 that belongs to no port."""
    bench = Bench(profile)
    return bench, bench.port(2)[0], bench.thread("T1")


# -- the six cases ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [SUCCESS, status.STATUS_NOTIFY_ENUM_DIR, status.STATUS_OBJECT_NAME_EXISTS])
@pytest.mark.parametrize("overlapped", [None, Overlapped()])
def test_g01_success_and_information_bring_no_error(code: int, overlapped: Overlapped | None) -> None:
    """G-01: bytes, key and overlapped are there, the last may be NULL; there is no error."""
    bench, port, thread = bench_with_port()
    bench.post(port, "key", 7, overlapped, code)
    (got,) = bench.get(thread, port)
    assert (got.key, got.bytes, got.overlapped, got.error) == ("key", 7, overlapped, None)


@pytest.mark.parametrize("code", [CANCELLED, status.STATUS_END_OF_FILE, status.STATUS_BUFFER_OVERFLOW])
def test_g02_errors_and_warnings_arrive_as_packets_with_their_error(code: int) -> None:
    """G-02: nothing is raised; bytes, key and overlapped are there; the status is mapped."""
    bench, port, thread = bench_with_port()
    file, _ = bench.bound_file(port, "key")
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped), code, 5)
    (got,) = bench.get(thread, port)
    assert (got.key, got.bytes, got.overlapped) == ("key", 5, overlapped)
    assert win32_code(got) == status_to_error(code) != 0


def test_g03_a_timeout_brings_no_packet() -> None:
    """G-03: polled or waited for, the outcome is TIMEOUT (258)."""
    bench, port, thread = bench_with_port()
    assert bench.poll(thread, port) is TIMEOUT
    bench.park(thread, port)
    assert bench.kernel.expire(thread)
    assert bench.collect(thread) is TIMEOUT
    assert status_to_error(TIMEOUT.value) == 258


def test_g04_a_close_while_waiting() -> None:
    """G-04: ABANDONED (735), single or batch."""
    bench = Bench()
    port, handle = bench.port(2)
    single, batch = bench.thread("T1"), bench.thread("T2")
    bench.park(single, port)
    bench.park(batch, port, 8)
    bench.close(handle)
    assert [bench.collect(thread) for thread in (single, batch)] == [ABANDONED, ABANDONED]
    assert status_to_error(ABANDONED.value) == 735


def test_g05_bad_handles() -> None:
    """G-05: closed, bogus, NULL or of another type: error 6 for all, and the caller stays what it was."""
    bench, port, thread = bench_with_port()
    handles = bench.process.handles
    closed = bench.open(port)
    bench.close(closed)
    for handle, code in (
        (closed, INVALID_HANDLE),
        (0x7777, INVALID_HANDLE),
        (None, INVALID_HANDLE),
        (bench.open(bench.event()), TYPE_MISMATCH),
    ):
        with bench.refused(code):
            bench.get(thread, handles.lookup(handle, IoCompletion, Access.MODIFY_STATE))
        assert status_to_error(code) == 6
    assert thread.queue is None


def test_g05_a_call_just_after_the_close() -> None:
    """G-05: the port was looked up before, and its last handle is gone by now (O-23)."""
    bench = Bench()
    port, handle = bench.port()
    port.reference()
    bench.close(handle)
    for maximum in (0, 1, 8):
        with bench.refused(INVALID_HANDLE):
            bench.get(bench.main, port, maximum)


def test_g06_a_failing_post_with_null_is_a_packet_all_the_same() -> None:
    """G-06: the kernel delivers it; only the flat call's view cannot tell it from "nothing dequeued"."""
    bench, port, thread = bench_with_port()
    bench.post(port, 5, 3, None, CANCELLED)
    (got,) = bench.get(thread, port)
    assert (got.key, got.bytes, got.overlapped, win32_code(got)) == (5, 3, None, 995)


# -- timeouts, association, alerts -----------------------------------------------------------------------------


def test_g07_zero_polls_and_anything_else_waits_until_it_is_told() -> None:
    """G-07: DUE never waits; LATER waits for good, unless the runtime says that the time is over."""
    bench, port, thread = bench_with_port()
    assert bench.get(thread, port, timeout=Timeout.DUE) is TIMEOUT
    assert bench.get(thread, port, timeout=Timeout.LATER) is None
    for _ in range(3):
        bench.kernel.kernel_apc(thread, lambda: None)
        assert thread.state is ThreadState.PARKED
    assert bench.kernel.expire(thread)
    assert bench.collect(thread) is TIMEOUT


def test_g07_whether_time_asleep_counts_is_a_switch() -> None:
    """G-07: it did before Windows 8."""
    assert [profile.timeout_counts_sleep for profile in (XP, WIN7, WIN10)] == [True, True, False]


def test_g08_the_call_associates_before_it_looks() -> None:
    """G-08: even if it then times out, or parks."""
    bench, port, thread = bench_with_port()
    other, _ = bench.port()
    assert bench.poll(thread, other) is TIMEOUT
    assert thread.queue is other.queue
    bench.park(thread, port)
    assert thread.queue is port.queue
    assert thread not in other.queue.members


def test_g09_a_thread_has_one_port() -> None:
    """G-09: that of its last call."""
    world = World(P=1, Q=1, R=1)
    for port in "PQRP":
        world.do(f"T1: get({port}, timeout=0)")
        assert [name for name, each in world.ports.items() if world["T1"] in each.queue.members] == [port]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (status.STATUS_SUCCESS, 0),
        (status.STATUS_END_OF_FILE, 38),
        (status.STATUS_BUFFER_OVERFLOW, 234),
        (status.STATUS_PIPE_BROKEN, 109),
        (status.STATUS_CANCELLED, 995),
        (status.STATUS_CONNECTION_RESET, 64),
        (status.STATUS_CONNECTION_REFUSED, 1225),
        (status.STATUS_CONNECTION_ABORTED, 1236),
        (status.STATUS_TIMEOUT, 0),
    ],
)
def test_g10_the_mapping_of_common_statuses(code: int, error: int) -> None:
    """G-10: table 6.6; a packet with the status of a timeout is informational, hence a success."""
    assert win32_code(packet(code=code)) == error


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (status.STATUS_TIMEOUT, 258),
        (status.STATUS_ABANDONED_WAIT_0, 735),
        (status.STATUS_INVALID_HANDLE, 6),
        (status.STATUS_OBJECT_TYPE_MISMATCH, 6),
        (status.STATUS_INVALID_PARAMETER, 87),
        (status.STATUS_ACCESS_DENIED, 5),
        (status.STATUS_PIPE_CONNECTED, 535),
    ],
)
def test_g10_the_mapping_of_the_calls_own_statuses(code: int, error: int) -> None:
    """G-10: what a call itself fails with."""
    assert status_to_error(code) == error


def test_g11_a_plain_call_is_never_alerted() -> None:
    """G-11: an APC that comes while it waits stays pending, as does one that was there before."""
    bench, port, thread = bench_with_port()
    ran: list[str] = []
    bench.kernel.queue_user_apc(thread, lambda: ran.append("before"))
    assert bench.poll(thread, port) is TIMEOUT
    bench.park(thread, port)
    bench.kernel.queue_user_apc(thread, lambda: ran.append("while"))
    assert thread.state is ThreadState.PARKED
    bench.post(port, "a")
    assert bench.collect(thread) == [packet("a")]
    assert (ran, len(thread.user_apcs)) == ([], 2)


def test_g12_an_alertable_call_is_ended_by_an_apc() -> None:
    """G-12: parked or not: USER_APC (192) and no entries; the APC is the thread's to run."""
    bench, port, thread = bench_with_port()
    ran: list[str] = []
    assert bench.get(thread, port, 8, alertability=ALERTABLE) is None
    bench.kernel.queue_user_apc(thread, lambda: ran.append("while"))
    assert bench.collect(thread) is USER_APC
    bench.run_user_apc(thread)
    bench.kernel.queue_user_apc(thread, lambda: ran.append("before"))
    assert bench.get(thread, port, 8, alertability=ALERTABLE) is USER_APC
    bench.run_user_apc(thread)
    assert (ran, thread.next_user_apc()) == (["while", "before"], None)
    assert status_to_error(USER_APC.value) == status.WAIT_IO_COMPLETION == 192


def test_g12_the_apcs_have_run_when_the_call_returns() -> None:
    """G-12: on real threads, all that were pending, oldest first."""
    system = ThreadSystem()
    port = system.perform(system.kernel.create_port)
    port.reference()
    thread = system.current()
    ran: list[str] = []
    for name in ("first", "second"):
        system.perform(system.kernel.queue_user_apc, thread, partial(ran.append, name))
    assert system.remove_many(port, 8, 0, Alertability.ALERTABLE) is USER_APC
    assert ran == ["first", "second"]
    assert system.remove_many(port, 8, 0, Alertability.ALERTABLE) is TIMEOUT


def test_g13_an_associated_thread_takes_the_packet_first() -> None:
    """G-13: the APC stays pending for the next call."""
    bench, port, thread = bench_with_port()
    bench.poll(thread, port)
    bench.kernel.queue_user_apc(thread, lambda: None)
    bench.post(port, "a")
    assert bench.poll(thread, port, alertability=ALERTABLE) == [packet("a")]
    assert len(thread.user_apcs) == 1
    assert bench.poll(thread, port, alertability=ALERTABLE) is USER_APC


@pytest.mark.parametrize("home", ["none", "another port"])
@pytest.mark.parametrize("timeout", Timeout)
def test_g14_a_stranger_runs_the_apc_first_and_stays_a_stranger(home: str, timeout: Timeout) -> None:
    """G-14: though a packet waits; the call does not associate it, and the next one behaves the same."""
    bench, port, thread = bench_with_port()
    other, _ = bench.port(1)
    if home == "another port":
        bench.poll(thread, other)
    old = thread.queue
    bench.post(port, "a")
    for _ in range(2):
        bench.kernel.queue_user_apc(thread, lambda: None)
        assert bench.get(thread, port, timeout=timeout, alertability=ALERTABLE) is USER_APC
        assert (thread.queue, port.depth, port.queue.current_count) == (old, 1, 0)
        assert other.queue.current_count == (1 if home == "another port" else 0)
        bench.run_user_apc(thread)
    assert bench.get(thread, port, timeout=timeout, alertability=ALERTABLE) == [packet("a")]
    assert thread.queue is port.queue
    assert other.queue.current_count == 0


def test_g14_a_plain_call_of_a_stranger_ignores_the_apc() -> None:
    """G-14: it is a rule of alertable calls."""
    bench, port, thread = bench_with_port()
    bench.kernel.queue_user_apc(thread, lambda: None)
    bench.post(port, "a")
    assert bench.poll(thread, port) == [packet("a")]


@pytest.mark.parametrize(("profile", "outcome"), [(WIN7, USER_APC), (WINE, USER_APC), (WINE_OLD, [packet("a")])])
def test_g14_by_profile(profile: Profile, outcome: object) -> None:
    """G-14: Windows since Vista and Wine; Wine 8.0 takes the packet (chapter 10)."""
    bench, port, thread = bench_with_port(profile)
    bench.kernel.queue_user_apc(thread, lambda: None)
    bench.post(port, "a")
    assert bench.poll(thread, port, alertability=ALERTABLE) == outcome


# -- batches ---------------------------------------------------------------------------------------------------


def test_g20_it_returns_with_the_first_packet() -> None:
    """G-20: it never waits to fill its array, neither at once nor after waiting."""
    bench, port, thread = bench_with_port()
    bench.post(port, "a")
    assert bench.get(thread, port, 64) == [packet("a")]
    bench.park(thread, port, 64)
    bench.post(port, "b")
    assert bench.collect(thread) == [packet("b")]


def test_g21_entries_are_the_oldest_in_order() -> None:
    """G-21: the first n of what is queued."""
    bench, port, thread = bench_with_port()
    for number in range(10):
        bench.post(port, number)
    assert [got.key for got in bench.get(thread, port, 4)] == [0, 1, 2, 3]
    assert [got.key for got in bench.get(thread, port, 4)] == [4, 5, 6, 7]
    assert [got.key for got in bench.get(thread, port, 4)] == [8, 9]


def test_g22_a_batch_goes_to_one_thread() -> None:
    """G-22: nobody else sees its packets from then on."""
    bench, port, thread = bench_with_port()
    for name in "abc":
        bench.post(port, name)
    assert len(bench.get(thread, port, 2)) == 2
    assert bench.get(bench.thread("T2"), port, 8) == [packet("c")]
    assert port.depth == 0


def test_g23_failures_do_not_fail_the_batch() -> None:
    """G-23: each entry has its own status; the call as a whole has brought packets."""
    bench, port, thread = bench_with_port()
    bench.post(port, "good")
    bench.post(port, "bad", code=CANCELLED)
    taken = bench.get(thread, port, 8)
    assert [(got.key, got.status, win32_code(got)) for got in taken] == [("good", 0, 0), ("bad", 0xC0000120, 995)]


def test_g24_room_for_no_packet_is_an_invalid_parameter() -> None:
    """G-24: 87, whether a packet waits or not; the caller is not associated by it."""
    bench, port, thread = bench_with_port()
    for _ in range(2):
        with bench.refused(INVALID_PARAMETER):
            bench.get(thread, port, 0)
        bench.post(port, "a")
    assert thread.queue is None


def test_g24_early_wine_returns_nothing() -> None:
    """G-24: no refusal there (vectors getex-08, nt-18): success without entries."""
    bench, port, thread = bench_with_port(WINE_OLD)
    bench.post(port, "a")
    assert bench.get(thread, port, 0) == []
    assert port.depth == 1


@pytest.mark.parametrize("end", ["timeout", "apc", "close"])
def test_g25_a_call_that_fails_brings_no_entries(end: str) -> None:
    """G-25: an outcome and never a list, be it empty."""
    bench = Bench()
    port, handle = bench.port()
    thread = bench.thread("T1")
    assert bench.get(thread, port, 8, alertability=ALERTABLE) is None
    if end == "timeout":
        bench.kernel.expire(thread)
    elif end == "apc":
        bench.kernel.queue_user_apc(thread, lambda: None)
    else:
        bench.close(handle)
    assert bench.collect(thread) is {"timeout": TIMEOUT, "apc": USER_APC, "close": ABANDONED}[end]


def test_g26_an_entry_is_key_overlapped_status_and_count() -> None:
    """G-26: the fields in the order of the structure, and the count's low half as bytes (O-05)."""
    assert Packet._fields[:4] == ("key", "overlapped", "status", "information")
    bench, port, thread = bench_with_port()
    bench.post(port, 1, 0x1_0000_0003, "ov", CANCELLED)
    (got,) = bench.get(thread, port, 8)
    assert tuple(got)[:4] == (1, "ov", CANCELLED, 0x1_0000_0003)
    assert got.bytes == 3


@pytest.mark.parametrize("profile", [XP], ids=lambda profile: profile.name)
def test_g20_before_vista_there_are_no_batches_and_no_alerts(profile: Profile) -> None:
    """G-20: not available there (0.3): refused as not implemented, and nothing changes."""
    bench, port, thread = bench_with_port(profile)
    bench.post(port, "a")
    with bench.refused(NOT_YET_VISTA):
        bench.get(thread, port, 2)
    with bench.refused(NOT_YET_VISTA):
        bench.get(thread, port, 1, alertability=ALERTABLE)
    assert bench.get(thread, port, 1) == [packet("a")]
