"""The scenarios M-01 to M-34 of semantics.md 12.1, step by step on the kernel model.

Each scenario is a function of steps: what happens, then a row that says what must be true of the scenario's port P:
how many references it has, how many packets are queued, who is parked on it from bottom to top.  The invariants of the
whole state are checked after every verb and at every row.

Pipes and sockets stand behind scripted devices: a test says what the device does and when.  The kernel's part of every
scenario is exact; the same scenarios on real pipes and sockets come with those devices.  Each docstring says so.
"""

from __future__ import annotations

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import Association, FileObject, IoMode, IoRequest, NotificationMode
from iocp_emu.kernel.objects import Access
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waitpackets import Removal
from iocp_emu.kernel.waits import Alertability
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, XP, Profile
from tests.rules.devices import (
    ABANDONED,
    BUFFER_OVERFLOW,
    CANCELLED,
    INVALID_HANDLE,
    INVALID_PARAMETER,
    NOT_FOUND,
    PENDING,
    PIPE_BROKEN,
    SUCCESS,
    TIMEOUT,
    TYPE_MISMATCH,
    USER_APC,
    Bench,
    Hasty,
    Obedient,
    Overlapped,
    PipeEnd,
    Socket,
    packet,
    win32_code,
)

WAIT_0 = status.STATUS_WAIT_0


class Scenario(Bench):
    """A bench with a port P, its handle `p`, and rows."""

    def __init__(self, profile: Profile = WIN10, concurrency: int = 0) -> None:
        super().__init__(profile)
        self.port_p, self.p = self.port(concurrency)

    def row(self, step: str, *, references: int, depth: int, parked: str = "", dropped: int = 0) -> None:
        """After this step P has these references, queued and dropped packets, and parked threads (bottom to top)."""
        self.check()
        port = self.port_p
        seen = (port.references, port.depth, " ".join(thread.name or "" for thread in port.queue.waiters), port.dropped)
        assert seen == (references, depth, parked, dropped), f"after step {step}: (references, depth, parked, dropped)"
        assert port.freed == (references == 0), f"after step {step}"

    def workers(self, count: int) -> list[KernelThread]:
        """T1, T2, ..."""
        return [self.thread(f"T{number}") for number in range(1, count + 1)]


def test_m01_references_not_handles_free_the_port() -> None:
    """M-01 (H-02, H-03, H-05, O-20, O-21).  Kernel part; the device is scripted."""
    m = Scenario()
    port, (t1,) = m.port_p, m.workers(1)
    m.row("1: create P", references=1, depth=0)
    f1, h1 = m.bound_file(port, key=1, device=Socket())
    f2, h2 = m.bound_file(port, key=2, device=Socket())
    m.row("2: bind F1 and F2", references=3, depth=0)
    h1_too = m.duplicate(h1)
    m.row("3: duplicate F1's handle", references=3, depth=0)
    overlapped = Overlapped("R")
    m.start(f1, overlapped)
    assert f1.references == 3
    m.row("4: start R on F1", references=3, depth=0)
    m.park(t1, port)
    m.row("5: T1 parks", references=4, depth=0, parked="T1")
    m.close(m.p)
    assert m.collect(t1) is ABANDONED
    assert t1.queue is None
    m.row("6: close P's only handle: T1 returns 735", references=2, depth=0)
    m.close(h1)
    m.row("7a: close one of F1's handles", references=2, depth=0)
    m.close(h1_too)
    assert (f1.freed, overlapped.is_pending) == (True, False), "nobody can dequeue it (close-12)"
    m.row("7b: close the other: R is cancelled and dropped", references=1, depth=0, dropped=1)
    m.close(h2)
    assert f2.freed
    m.row("8: close F2: freed", references=0, depth=0, dropped=1)


def test_m01_variant_the_file_is_closed_first() -> None:
    """M-01 with steps 6 and 7 swapped: T1 gets R's packet.  Kernel part; the device is scripted."""
    m = Scenario()
    port, (t1,) = m.port_p, m.workers(1)
    f1, h1 = m.bound_file(port, key=1, device=Socket())
    _, h2 = m.bound_file(port, key=2, device=Socket())
    h1_too = m.duplicate(h1)
    overlapped = Overlapped("R")
    m.start(f1, overlapped)
    m.park(t1, port)
    m.row("5: T1 parks", references=4, depth=0, parked="T1")
    m.close(h1)
    m.close(h1_too)
    (seen,) = m.collect(t1)
    assert (seen, win32_code(seen)) == (packet(1, overlapped, CANCELLED), 995)
    assert overlapped.result == (CANCELLED, 0)
    m.row("7: close both F1 handles: T1 gets R's packet", references=2, depth=0)
    m.close(m.p)
    m.row("6: close P's only handle", references=1, depth=0)
    m.close(h2)
    m.row("8: close F2: freed", references=0, depth=0)


def test_m02_xp_close_does_not_wake() -> None:
    """M-02 (O-25), profile xp.  Kernel part; the device is scripted, the 50 ms are over when the kernel is told so."""
    m = Scenario(XP, concurrency=2)
    port, (t1, t2) = m.port_p, m.workers(2)
    f, _ = m.bound_file(port, key=7)
    request = m.start(f, Overlapped("R"))
    m.park(t1, port)
    m.park(t2, port)
    m.row("1: T1 parks for ever, T2 for 50 ms", references=4, depth=0, parked="T1 T2")
    m.close(m.p)
    assert m.kernel.readied == []
    m.row("2: close P's handle", references=3, depth=0, parked="T1 T2")
    assert m.kernel.expire(t2)
    assert m.collect(t2) is TIMEOUT
    m.row("3: 50 ms later", references=2, depth=0, parked="T1")
    m.complete(request, SUCCESS, 4)
    assert m.collect(t1) == [packet(7, request.context, information=4)]
    m.row("4: R completes", references=1, depth=0)
    with m.refused(INVALID_HANDLE):
        m.process.handles.lookup(m.p, IoCompletion)
    with m.refused(INVALID_HANDLE):
        m.get(t1, port)
    m.row("5: any new call", references=1, depth=0)


def test_m02_since_vista_the_same_close_wakes_both() -> None:
    """M-02 in profile win10: both return 735 at step 2, and R's packet is dropped (O-21, H-06)."""
    m = Scenario()
    port, (t1, t2) = m.port_p, m.workers(2)
    f, _ = m.bound_file(port, key=7)
    request = m.start(f, Overlapped("R"))
    m.park(t1, port)
    m.park(t2, port)
    m.close(m.p)
    assert [m.collect(t2), m.collect(t1)] == [ABANDONED, ABANDONED]
    m.row("2: close P's handle", references=1, depth=0)
    assert not m.kernel.expire(t2)
    m.complete(request, SUCCESS, 4)
    m.row("4: R completes", references=1, depth=0, dropped=1)


def test_m03_duplicate_port_handles() -> None:
    """M-03 (O-26).  No device is involved."""
    m = Scenario()
    port, (t1, t2) = m.port_p, m.workers(2)
    d = m.duplicate(m.p)
    handles = m.process.handles
    m.row("1: duplicate D", references=2, depth=0)
    m.park(t1, handles.lookup(d, IoCompletion))
    m.row("2: T1 parks via D", references=3, depth=0, parked="T1")
    m.post(handles.lookup(m.p, IoCompletion), key=1)
    assert m.collect(t1) == [packet(1)]
    m.row("3: post via P", references=2, depth=0)
    m.park(t1, handles.lookup(m.p, IoCompletion))
    m.row("4: T1 parks via P", references=3, depth=0, parked="T1")
    m.close(m.p)
    assert t1.state is ThreadState.PARKED
    m.row("5: close P", references=2, depth=0, parked="T1")
    m.post(handles.lookup(d, IoCompletion), key=2)
    assert m.collect(t1) == [packet(2)]
    m.row("6: post via D", references=1, depth=0)
    m.post(handles.lookup(d, IoCompletion), key=3)
    m.row("7a: post x via D", references=1, depth=1)
    m.close(d)
    m.row("7b: close D: x cannot be dequeued", references=0, depth=0, dropped=1)
    assert t2.queue is None
    with m.refused(INVALID_HANDLE):
        m.get(t2, port)


def test_m04_duplicate_file_handles_share_the_association() -> None:
    """M-04 (C-06, C-12).  Kernel part; the device is scripted."""
    m = Scenario()
    port = m.port_p
    q, _ = m.port()
    handles = m.process.handles
    _, h1 = m.bound_file(port, key=5)
    m.row("1: bind F", references=2, depth=0)
    h2 = m.duplicate(h1)
    f = handles.lookup(h2, FileObject)
    m.row("2: duplicate h1", references=2, depth=0)
    for target in (port, q):
        with m.refused(INVALID_PARAMETER):
            f.associate(target, key=6)
    m.row("3: bind h2 to P or Q: 87", references=2, depth=0)
    r, r2 = Overlapped("R"), Overlapped("R2")
    m.complete(m.start(f, r))
    m.row("4: R through h2", references=2, depth=1)
    assert m.poll(m.main, port) == [packet(5, r)]
    m.close(h1)
    m.complete(m.start(handles.lookup(h2, FileObject), r2))
    m.row("5: close h1, R2 through h2", references=2, depth=1)
    assert m.poll(m.main, port) == [packet(5, r2)]


def test_m05_refused_associations() -> None:
    """M-05 (C-05, C-07 to C-09).  The kernel part: what the handles name; the whole call: test_create_face_rules."""
    m = Scenario()
    port, handles = m.port_p, m.process.handles
    synchronous, _ = m.file(io_mode=IoMode.SYNCHRONOUS)
    f, _ = m.file()
    _, closed_file = m.file()
    m.close(closed_file)
    _, closed_port = m.port()
    m.close(closed_port)
    event_handle = m.open(m.event())
    with m.refused(INVALID_PARAMETER):
        synchronous.associate(port, key=1)
    m.row("3: synchronous file", references=1, depth=0)
    for handle, kind, code in (
        (closed_file, FileObject, INVALID_HANDLE),
        (event_handle, FileObject, TYPE_MISMATCH),
        (event_handle, IoCompletion, TYPE_MISMATCH),
        (closed_port, IoCompletion, INVALID_HANDLE),
    ):
        with m.refused(code):
            handles.lookup(handle, kind)
        assert status.status_to_error(code) == 6
    assert f.association is None
    m.row("4 to 7: closed handles and handles of something else", references=1, depth=0)


def test_m06_concurrency_is_the_port_s_own() -> None:
    """M-06 (C-04, Q-04).  The kernel part: binding changes neither the limit nor the handles."""
    m = Scenario(concurrency=1)
    handle_count = m.port_p.handle_count
    m.bound_file(m.port_p, key=8)
    assert (m.port_p.queue.maximum_count, m.port_p.handle_count) == (1, handle_count)
    m.row("bind F", references=2, depth=0)


def test_m07_same_key_zero_key() -> None:
    """M-07 (C-11).  Kernel part; the devices are scripted."""
    m = Scenario()
    f1, _ = m.bound_file(m.port_p, key=0)
    f2, _ = m.bound_file(m.port_p, key=0)
    first, second = Overlapped("ov1"), Overlapped("ov2")
    for request in (m.start(f2, second), m.start(f1, first)):
        m.complete(request, SUCCESS, 1)
    m.row("both complete", references=3, depth=2)
    seen = m.poll(m.main, m.port_p, maximum=8)
    assert seen == [packet(0, second, information=1), packet(0, first, information=1)]
    m.row("both dequeued", references=3, depth=0)


def test_m08_synchronous_success_also_posts() -> None:
    """M-08 (I-02).  Kernel part; the pipe with two bytes waiting is scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=PipeEnd())
    overlapped = Overlapped()
    assert m.at_once(f, overlapped, SUCCESS, 2) == SUCCESS
    assert overlapped.result == (SUCCESS, 2)
    m.row("1: ReadFile returns TRUE", references=2, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (seen, win32_code(seen)) == (packet(1, overlapped, information=2), 0)
    m.row("2: dequeue", references=2, depth=0)
    assert m.poll(m.main, m.port_p) is TIMEOUT
    m.row("3: dequeue again", references=2, depth=0)


def test_m09_skip_on_success() -> None:
    """M-09 (I-15).  Kernel part; the pipe is scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=PipeEnd())
    f.add_modes(NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS)
    m.row("1: set mode 1", references=2, depth=0)
    first, second = Overlapped("ov1"), Overlapped("ov2")
    assert m.at_once(f, first, SUCCESS, 2) == SUCCESS
    m.row("2: immediate read", references=2, depth=0)
    assert m.poll(m.main, m.port_p) is TIMEOUT
    request = m.start(f, second)
    m.row("3a: read with no data", references=2, depth=0)
    m.complete(request, SUCCESS, 3)
    m.row("3b: data arrives", references=2, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(1, second, information=3)]


def test_m10_synchronous_error_posts_nothing() -> None:
    """M-10 (I-03).  Kernel part; the unconnected socket is scripted; the 200 ms are over when the kernel is told so."""
    m = Scenario()
    not_connected = status.STATUS_INVALID_CONNECTION
    f, _ = m.bound_file(m.port_p, key=1, device=Socket())
    assert status.winsock_error(m.at_once(f, Overlapped(), not_connected, 0)) == 10057
    m.row("1: the receive fails", references=2, depth=0)
    m.park(m.main, m.port_p)
    m.row("2a: dequeue for 200 ms", references=3, depth=0, parked="main")
    assert m.kernel.expire(m.main)
    assert m.collect(m.main) is TIMEOUT
    m.row("2b: 200 ms later", references=2, depth=0)


@pytest.mark.parametrize("mode", [0, NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS])
def test_m11_pending_then_failing(mode: int) -> None:
    """M-11 (I-05, G-02), without and with mode 1.  Kernel part; the refused connection is scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=4, device=Socket())
    f.add_modes(mode)
    overlapped = Overlapped()
    request = m.start(f, overlapped)
    m.row("1: ConnectEx: FALSE, 997", references=2, depth=0)
    m.complete(request, status.STATUS_CONNECTION_REFUSED)
    m.row("2: nobody listens", references=2, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (seen.key, seen.bytes, seen.overlapped, win32_code(seen)) == (4, 0, overlapped, 1225)
    m.row("3: dequeue: FALSE, 1225", references=2, depth=0)


def test_m12_bind_after_issuing() -> None:
    """M-12 (C-15).  Kernel part; the pipe is scripted."""
    m = Scenario()
    f, _ = m.file(PipeEnd())
    overlapped = Overlapped()
    request = m.start(f, overlapped)
    m.row("1: ReadFile on unbound F", references=1, depth=0)
    m.bind(f, m.port_p, key=9)
    m.row("2: bind key 9", references=2, depth=0)
    m.complete(request, SUCCESS, 3)
    m.row("3: data", references=2, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(9, overlapped, information=3)]


def test_m13_bind_after_issuing_with_an_apc_routine() -> None:
    """M-13 (C-15, C-16).  Kernel part; the pipe is scripted."""
    m = Scenario()
    (t1,) = m.workers(1)
    f, _ = m.file(PipeEnd())
    ran: list[tuple[int, int]] = []
    overlapped = Overlapped()
    request = m.start(
        f, overlapped, thread=t1, apc=lambda code, information, block: ran.append((code, information))
    )
    m.row("1: APC read on unbound F", references=1, depth=0)
    m.bind(f, m.port_p, key=9)
    m.row("2: bind", references=2, depth=0)
    assert m.wait(t1, alertability=Alertability.ALERTABLE) is None
    m.complete(request, SUCCESS, 3)
    assert m.collect(t1) == status.STATUS_USER_APC
    m.run_user_apc(t1)
    assert (ran, overlapped.result, len(t1.user_apcs)) == ([(SUCCESS, 3)], (SUCCESS, 3), 0)
    m.row("3: data arrives while T sleeps alertably", references=2, depth=0)
    with m.refused(INVALID_PARAMETER):
        f.start_request(t1, overlapped, context=overlapped, apc=lambda *_: None)
    m.row("4: another APC read: 87", references=2, depth=0)


def test_m14_partial_message() -> None:
    """M-14 (I-04, G-02), at once and pending.  Kernel part; the message pipe is scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=PipeEnd())
    at_once, pending = Overlapped("ov1"), Overlapped("ov2")
    assert status.status_to_error(m.at_once(f, at_once, BUFFER_OVERFLOW, 4)) == 234
    m.row("1: ReadFile(4) of 10 bytes: FALSE, 234", references=2, depth=1)
    request = m.start(f, pending)
    m.complete(request, BUFFER_OVERFLOW, 4)
    m.row("2: the same, pending", references=2, depth=2)
    for overlapped in (at_once, pending):
        (seen,) = m.poll(m.main, m.port_p)
        assert (seen, win32_code(seen)) == (packet(1, overlapped, BUFFER_OVERFLOW, 4), 234)
        assert overlapped.result == (BUFFER_OVERFLOW, 4)
    m.row("3: both dequeued: FALSE, 234", references=2, depth=0)


def test_m15_low_bit_of_the_event() -> None:
    """M-15 (I-07).  Kernel part: a request with an event and without a completion context; the socket is scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=Socket())
    event = m.event()
    overlapped = Overlapped()
    request = m.start(f, overlapped, wants_packet=False, event=event)
    assert not m.is_signalled(event)
    m.row("1: ConnectEx", references=2, depth=0)
    m.complete(request, SUCCESS, 0)
    assert m.is_signalled(event)
    assert overlapped.result == (SUCCESS, 0)
    m.row("2: the event fires", references=2, depth=0)
    assert m.poll(m.main, m.port_p) is TIMEOUT
    m.row("3: dequeue", references=2, depth=0)


def test_m16_modes_are_sticky() -> None:
    """M-16 (I-18, I-19).  Kernel part; 0xDEADBEEF has every known bit, so nothing is left to be seen of the others."""
    m = Scenario()
    f, _ = m.file()
    for step, (added, expected) in enumerate(((2, 2), (4, 6), (0, 6), (1, 7), (0xDEADBEEF, 7)), 1):
        f.add_modes(added)
        assert f.modes == expected, f"after step {step}"
        m.row(f"{step}: set {added:#x}", references=1, depth=0)
    synchronous, _ = m.file(io_mode=IoMode.SYNCHRONOUS)
    with m.refused(INVALID_PARAMETER):
        synchronous.add_modes(1)
    m.row("6: synchronous file", references=1, depth=0)


@pytest.mark.parametrize(
    ("profile", "is_late"), [(WIN10, True), (WIN7, True), (XP, False), (CLASSIC, False), (WINE, False)]
)
def test_m17_late_status_block(profile: Profile, is_late: bool) -> None:
    """M-17 (I-25 to I-27), without an event; profiles xp and classic write at step 2.  Kernel part; scripted device."""
    m = Scenario(profile)
    t1, t2 = m.workers(2)
    f, _ = m.bound_file(m.port_p, key=1)
    overlapped = Overlapped()
    request = m.start(f, overlapped, thread=t1)
    assert overlapped.status == 0x103
    m.row("1: R is pending", references=2, depth=0)
    m.complete(request, SUCCESS, 7)
    assert overlapped.result == ((PENDING, 0) if is_late else (SUCCESS, 7))
    m.row("2: the device completes R", references=2, depth=1)
    assert m.get(t2, m.port_p) == [packet(1, overlapped, information=7)]
    assert overlapped.result == (SUCCESS, 7)
    m.row("3: T2 dequeues", references=2, depth=0)


def test_m17_variant_with_an_event() -> None:
    """M-17 (I-28): block and event are final at step 2.  Kernel part; the device is scripted."""
    m = Scenario()
    (t2,) = m.workers(1)
    f, _ = m.bound_file(m.port_p, key=1)
    event = m.event()
    overlapped = Overlapped()
    request = m.start(f, overlapped, event=event)
    m.row("1: R is pending", references=2, depth=0)
    m.complete(request, SUCCESS, 7)
    assert (overlapped.result, event.signalled) == ((SUCCESS, 7), True)
    m.row("2: the device completes R", references=2, depth=1)
    assert m.get(t2, m.port_p) == [packet(1, overlapped, information=7)]
    m.row("3: T2 dequeues", references=2, depth=0)


def test_m17_variant_cancelled() -> None:
    """M-17 (I-42): CancelIo finds R, the block says pending until the dequeue gives 995.  Scripted device."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=Obedient())
    overlapped = Overlapped()
    m.start(f, overlapped)
    m.row("1: R is pending", references=2, depth=0)
    assert m.cancel_io(f, m.main) == 1
    assert overlapped.is_pending
    m.row("2: CancelIo", references=2, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (win32_code(seen), overlapped.result) == (995, (CANCELLED, 0))
    m.row("3: dequeue: 995", references=2, depth=0)


def test_m18_cancel_io_ex() -> None:
    """M-18 (I-40, I-41).  Kernel part; the devices are scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=Obedient())
    ov1, ov2, ov3 = (Overlapped(f"ov{number}") for number in (1, 2, 3))
    m.start(f, ov1)
    m.start(f, ov2)
    m.row("1: R1 and R2 are pending", references=2, depth=0)
    m.cancel_io_ex(f, m.main, ov1)
    m.row("2a: CancelIoEx(F, ov1)", references=2, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(1, ov1, CANCELLED)]
    with m.refused(NOT_FOUND):
        m.cancel_io_ex(f, m.main, ov1)
    assert status.status_to_error(NOT_FOUND) == 1168
    m.row("3: CancelIoEx(F, ov1) again: 1168", references=2, depth=0)
    m.cancel_io_ex(f, m.main)
    m.row("4a: CancelIoEx(F, NULL)", references=2, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(1, ov2, CANCELLED)]
    hasty, _ = m.bound_file(m.port_p, key=2, device=Hasty())
    m.start(hasty, ov3)
    m.cancel_io_ex(hasty, m.main, ov3)
    m.row("5a: the device is done with R3 before it notices", references=3, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (seen, win32_code(seen)) == (packet(2, ov3, information=Hasty.bytes_done), 0)


def test_m19_cancel_io_is_per_thread() -> None:
    """M-19 (I-40).  Kernel part; the device is scripted."""
    m = Scenario()
    t1, t2 = m.workers(2)
    f, _ = m.bound_file(m.port_p, key=1, device=Obedient())
    r1, r2 = Overlapped("R1"), Overlapped("R2")
    m.start(f, r1, thread=t1)
    m.start(f, r2, thread=t2)
    m.row("1: T1 issues R1, T2 issues R2", references=2, depth=0)
    assert m.cancel_io(f, t1) == 1
    m.row("2: T1: CancelIo(F)", references=2, depth=1)
    assert m.poll(m.main, m.port_p, maximum=8) == [packet(1, r1, CANCELLED)]
    assert [request.context for request in f.requests] == [r2]


@pytest.mark.parametrize("profile", [WIN10, WIN7, XP])
@pytest.mark.parametrize(
    ("is_bound", "has_event", "has_context"),
    [
        *((False, True, True), (False, True, False), (False, False, True), (False, False, False)),
        *((True, True, True), (True, True, False), (True, False, True), (True, False, False)),
    ],
)
def test_m20_thread_exit(profile: Profile, is_bound: bool, has_event: bool, has_context: bool) -> None:
    """M-20 (I-31), the whole table; in profile xp the last row is cancelled too.  Kernel part; scripted device."""
    m = Scenario(profile)
    t1, t2 = m.workers(2)
    bound = 1 if is_bound else 0
    f, _ = m.bound_file(m.port_p, key=1, device=Obedient()) if is_bound else m.file(Obedient())
    event = m.event() if has_event else None
    overlapped = Overlapped()
    m.start(f, overlapped, thread=t1, wants_packet=has_context, event=event)
    m.row("1: T1 issues", references=1 + bound, depth=0)
    m.exit(t1)
    if is_bound and has_context and not has_event and profile is not XP:
        assert len(f.requests) == 1
        m.row("2: T1 exits: still pending", references=2, depth=0)
        m.cancel_io_ex(f, t2, overlapped)
        m.row("3: CancelIoEx from T2", references=2, depth=1)
        assert m.get(t2, m.port_p) == [packet(1, overlapped, CANCELLED)]
        assert overlapped.result == (CANCELLED, 0)
        return
    has_packet = is_bound and has_context
    assert (len(f.requests), overlapped.result) == (0, (CANCELLED, 0))
    assert event is None or event.signalled
    m.row("2: T1 exits: cancelled", references=1 + bound, depth=1 if has_packet else 0)
    assert m.poll(t2, m.port_p) == ([packet(1, overlapped, CANCELLED)] if has_packet else TIMEOUT)


@pytest.mark.parametrize(("device", "code", "error"), [(PipeEnd(), PIPE_BROKEN, 109), (Socket(), CANCELLED, 995)])
def test_m21_close_with_io_outstanding(device: PipeEnd, code: int, error: int) -> None:
    """M-21 (I-43 to I-45): pipe end 109, listening socket 995, listener's key.  Kernel part; scripted devices."""
    m = Scenario()
    f, handle = m.bound_file(m.port_p, key=125, device=device)
    overlapped = Overlapped()
    m.start(f, overlapped)
    m.row("1: one request outstanding", references=2, depth=0)
    m.close(handle)
    m.row("2: close", references=1, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (seen, win32_code(seen)) == (packet(125, overlapped, code), error)
    two, first = m.bound_file(m.port_p, key=126, device=type(device)())
    second = m.duplicate(first)
    m.start(two, overlapped)
    m.close(first)
    m.row("3: close one of two handles", references=2, depth=0)
    m.close(second)
    m.row("4: close the other", references=1, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(126, overlapped, code)]
    _, idle = m.bound_file(m.port_p, key=127, device=type(device)())
    m.close(idle)
    m.row("5: nothing outstanding", references=1, depth=0)


@pytest.mark.parametrize(
    ("has_context", "has_event"), [(True, False), (True, True), (False, False), (False, True)]
)
def test_m22_duplicate_in_another_process(has_context: bool, has_event: bool) -> None:
    """M-22 (I-33).  Kernel part; the device is scripted, the second process is a handle table of its own."""
    m = Scenario()
    b = m.another_process()
    f, handle = m.bound_file(m.port_p, key=1, device=Obedient())
    m.duplicate(handle, target=b)
    overlapped = Overlapped()
    m.start(f, overlapped, wants_packet=has_context, event=m.event() if has_event else None)
    m.row("1: R is pending, B holds a duplicate", references=2, depth=0)
    m.close(handle)
    if has_context and not has_event:
        m.row("2: A closes its last handle: cancelled", references=2, depth=1)
        assert overlapped.is_pending
        assert m.poll(m.main, m.port_p) == [packet(1, overlapped, CANCELLED)]
        assert overlapped.result == (CANCELLED, 0)
    else:
        m.row("2: A closes its last handle: nothing", references=2, depth=0)
        assert (len(f.requests), overlapped.is_pending) == (1, True)


def test_m23_ambiguous_null() -> None:
    """M-23 (G-01, G-03, G-06, N-02).  No device is involved; the outputs are what the face makes of these packets."""
    m = Scenario()
    m.post(m.port_p, key=0, information=0, overlapped=None)
    m.row("1a: post(0, 0, NULL)", references=1, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (seen, win32_code(seen)) == (packet(0, None), 0)
    m.post(m.port_p, key=5, information=3, overlapped=None, code=CANCELLED)
    m.row("2a: set(5, NULL, failing status)", references=1, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (seen.key, seen.bytes, seen.overlapped, win32_code(seen)) == (5, 3, None, 995)
    assert m.poll(m.main, m.port_p) is TIMEOUT
    assert status.status_to_error(TIMEOUT.value) == 258
    m.row("3: empty, timeout 0", references=1, depth=0)


def test_m24_a_batch_hides_failures() -> None:
    """M-24 (G-23).  Kernel part; the device is scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1)
    a, b = Overlapped("a"), Overlapped("b")
    for step in ("batch", "single"):
        for overlapped, code in ((a, SUCCESS), (b, CANCELLED)):
            m.complete(m.start(f, overlapped), code)
        m.row(f"success a, failed b, for the {step} call", references=2, depth=2)
        if step == "batch":
            seen = m.poll(m.main, m.port_p, maximum=8)
            assert [each.status for each in seen] == [0, 0xC0000120]
        else:
            seen = [each for _ in range(2) for each in m.poll(m.main, m.port_p)]
            assert [win32_code(each) for each in seen] == [0, 995]
        assert [each.overlapped for each in seen] == [a, b]
        m.row(f"{step} call", references=2, depth=0)


@pytest.mark.parametrize("profile", [WIN10, WIN7])
def test_m25_waitable_handle(profile: Profile) -> None:
    """M-25 (O-10 to O-13); in profile win7 T2 wakes at step 5.  No device is involved."""
    m = Scenario(profile)
    port, (t1, t2) = m.port_p, m.workers(2)
    assert [m.wait(t1, [port]), m.wait(t2, [port])] == [None, None]
    m.row("1: T1 and T2 wait on P's handle", references=3, depth=0)
    m.post(port, key=1)
    assert [m.collect(t1), m.collect(t2)] == [WAIT_0, WAIT_0]
    m.row("2: post", references=1, depth=1)
    assert [m.wait(t1, [port]), m.wait(t2, [port])] == [WAIT_0, WAIT_0]
    m.row("3: wait again", references=1, depth=1)
    assert m.poll(m.main, port) == [packet(1)]
    assert not m.is_signalled(port)
    m.row("4: dequeue, wait 0", references=1, depth=0)
    m.park(t1, port)
    assert m.wait(t2, [port]) is None
    m.row("5a: T1 parks, T2 waits on the handle", references=3, depth=0, parked="T1")
    m.post(port, key=2)
    assert m.collect(t1) == [packet(2)]
    if profile is WIN7:
        assert m.collect(t2) == WAIT_0
        assert m.wait(t2, [port]) is None
    else:
        assert t2.state is ThreadState.BLOCKED
    m.row("5b: post: T1 gets it", references=2, depth=0)
    m.close(m.p)
    assert m.collect(t2) == WAIT_0
    m.row("6: last close with T2 waiting", references=0, depth=0)


def test_m26_depth_query() -> None:
    """M-26 (O-04).  No device is involved."""
    m = Scenario(concurrency=3)
    for _ in range(100):
        m.post(m.port_p)
    m.row("1: 100 posts", references=1, depth=100)
    assert len(m.poll(m.main, m.port_p, maximum=16)) == 16
    m.row("2: batch of 16", references=1, depth=84)
    while m.port_p.depth:
        m.poll(m.main, m.port_p, maximum=16)
    (t1,) = m.workers(1)
    m.park(t1, m.port_p)
    m.row("3a: a waiter", references=2, depth=0, parked="T1")
    assert m.post(m.port_p, key=1) == 0
    assert m.collect(t1) == [packet(1)]
    m.row("3b: post", references=1, depth=0)


def test_m27_replace_and_remove_association() -> None:
    """M-27 (C-14), profile win10.  Kernel part; the device is scripted."""
    m = Scenario()
    q, _ = m.port()
    f, _ = m.bound_file(m.port_p, key=1)
    requests: list[IoRequest] = [m.start(f, Overlapped(f"ov{number}")) for number in range(3)]
    m.row("1: bound to P with key 1", references=2, depth=0)
    f.replace_association(q, key=2)
    m.row("2a: replace with Q, key 2", references=1, depth=0)
    m.complete(requests[0])
    assert (q.references, m.poll(m.main, q)) == (2, [packet(2, requests[0].context)])
    f.replace_association(None, key=0)
    assert (q.references, f.association) == (1, None)
    m.complete(requests[1])
    assert (q.depth, requests[1].block.status) == (0, SUCCESS)
    m.row("3: replace with NULL: the completion goes nowhere", references=1, depth=0)
    m.bind(f, m.port_p, key=3)
    m.row("4a: bind again with the ordinary call", references=2, depth=0)
    m.complete(requests[2])
    m.row("4b: a completion", references=2, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(3, requests[2].context)]
    assert f.association == Association(m.port_p, 3)


def test_m28_wait_completion_packet() -> None:
    """M-28 (X-05, X-06).  No device is involved."""
    m = Scenario()
    port, event = m.port_p, m.event()
    w = m.kernel.create_wait_packet()
    m.open(w)
    cancel = m.kernel.cancel_wait_packet
    assert not w.associate(port, event, packet(7, "value", SUCCESS, 9))
    m.row("1: associate W with E", references=2, depth=0)
    event.set()
    m.row("2: set E", references=2, depth=1)
    with m.refused(status.STATUS_INVALID_PARAMETER_1):
        w.associate(port, event, packet(8))
    m.row("3: associate W before the pick-up", references=2, depth=1)
    assert m.poll(m.main, port) == [packet(7, "value", SUCCESS, 9)]
    m.row("4: dequeue", references=1, depth=0)
    assert w.associate(port, event, packet(8))
    m.row("5: associate with E still set", references=2, depth=1)
    assert cancel(w, Removal.KEEP_QUEUED) == PENDING
    m.row("6a: cancel, leave it queued", references=2, depth=1)
    assert cancel(w, Removal.REMOVE_QUEUED) == SUCCESS
    m.row("6b: cancel, remove it", references=1, depth=0)
    assert cancel(w, Removal.REMOVE_QUEUED) == CANCELLED
    m.row("6c: cancel again", references=1, depth=0)
    mutant = m.kernel.create_mutant()
    m.open(mutant)
    for target in (mutant, port):
        with m.refused(status.STATUS_INVALID_PARAMETER_3):
            w.associate(port, target, packet(9))
    m.row("7: target is a mutex, or P itself", references=1, depth=0)


def test_m29_posted_before_closed() -> None:
    """M-29 (O-28).  No device is involved."""
    m = Scenario()
    (t1,) = m.workers(1)
    m.park(t1, m.port_p)
    m.row("1: T1 parks", references=2, depth=0, parked="T1")
    m.post(m.port_p, key="a")
    m.row("2: post a", references=1, depth=0)
    m.close(m.p)
    m.row("3: close", references=0, depth=0)
    assert m.collect(t1) == [packet("a")]
    with m.refused(INVALID_HANDLE):
        m.process.handles.lookup(m.p, IoCompletion)
    with m.refused(INVALID_HANDLE):
        m.get(t1, m.port_p)


def test_m30_stop_packets_eaten_by_one_worker() -> None:
    """M-30 (N-07, Q-14): the worker loops instead of exiting.  No device is involved."""
    m = Scenario(concurrency=1)
    t1, t2, t3 = m.workers(3)
    for thread in (t1, t2, t3):
        m.park(thread, m.port_p)
    m.row("1: T1 T2 T3 park", references=4, depth=0, parked="T1 T2 T3")
    for _ in range(3):
        m.post(m.port_p, key="S")
    m.row("2: post S S S", references=3, depth=2, parked="T1 T2")
    assert m.collect(t3) == [packet("S")]
    for depth in (1, 0):
        assert m.get(t3, m.port_p) == [packet("S")]
        m.row("3: T3 loops and gets S again", references=3, depth=depth, parked="T1 T2")
    m.park(t3, m.port_p)
    assert m.kernel.readied == []
    m.row("4: T1 and T2 never stop", references=4, depth=0, parked="T1 T2 T3")


def test_m30_variant_each_worker_exits() -> None:
    """M-30 (Q-28): each exits on S, and its exit releases the next.  No device is involved."""
    m = Scenario(concurrency=1)
    t1, t2, t3 = m.workers(3)
    for thread in (t1, t2, t3):
        m.park(thread, m.port_p)
    for _ in range(3):
        m.post(m.port_p, key="S")
    m.row("2: post S S S", references=3, depth=2, parked="T1 T2")
    for thread, (references, depth, parked) in zip(
        (t3, t2, t1), ((2, 1, "T1"), (1, 0, ""), (1, 0, "")), strict=True
    ):
        assert m.collect(thread) == [packet("S")]
        m.exit(thread)
        m.row(f"3: {thread.name} exits on S", references=references, depth=depth, parked=parked)
    assert m.port_p.queue.members == {}


def test_m31_accept_has_the_key_of_the_listener() -> None:
    """M-31 (I-52).  Kernel part: whose request it is decides; the sockets are scripted."""
    m = Scenario()
    listener, _ = m.bound_file(m.port_p, key=125, device=Socket())
    accepted, _ = m.bound_file(m.port_p, key=236, device=Socket())
    accept, receive = Overlapped("accept"), Overlapped("receive")
    m.complete(m.start(listener, accept))
    m.row("1: AcceptEx completes", references=3, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(125, accept)]
    m.complete(m.start(accepted, receive), SUCCESS, 2)
    m.row("2: a receive on the accepted socket", references=3, depth=1)
    assert m.poll(m.main, m.port_p) == [packet(236, receive, information=2)]


def test_m32_graceful_and_hard_close() -> None:
    """M-32 (table 6.6).  Kernel part and mapping; the sockets are scripted."""
    m = Scenario()
    f, _ = m.bound_file(m.port_p, key=1, device=Socket())
    overlapped = Overlapped()
    m.complete(m.start(f, overlapped), SUCCESS, 0)
    m.row("1: the peer closes", references=2, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (win32_code(seen), seen.bytes) == (0, 0)
    m.complete(m.start(f, overlapped), status.STATUS_CONNECTION_RESET)
    m.row("2: the peer resets while the receive pends", references=2, depth=1)
    (seen,) = m.poll(m.main, m.port_p)
    assert (win32_code(seen), seen.bytes) == (64, 0)
    assert status.winsock_error(m.at_once(f, overlapped, status.STATUS_CONNECTION_RESET, 0)) == 10054
    m.row("3: the peer had reset before the call", references=2, depth=0)


def test_m33_zero_timeouts_and_apcs() -> None:
    """M-33 (O-07, Q-31, G-11 to G-14).  No device is involved."""
    m = Scenario()
    (t,) = m.workers(1)
    ran: list[str] = []
    assert m.poll(t, m.port_p) is TIMEOUT
    assert t.queue is m.port_p.queue
    m.kernel.queue_user_apc(t, lambda: ran.append("APC"))
    m.row("1: T is associated, P is empty, an APC is pending", references=1, depth=0)
    assert m.poll(t, m.port_p) is TIMEOUT
    assert (ran, len(t.user_apcs)) == ([], 1)
    m.row("2: not alertable", references=1, depth=0)
    assert m.poll(t, m.port_p, alertability=Alertability.ALERTABLE) is USER_APC
    assert status.status_to_error(USER_APC.value) == 192
    m.run_user_apc(t)
    assert (ran, len(t.user_apcs)) == (["APC"], 0)
    m.row("3: alertable: 192, and the APC ran", references=1, depth=0)


def test_m34_job_port() -> None:
    """M-34 (X-04).  No device is involved; the process is one of the machine's own."""
    m = Scenario()
    job = m.kernel.create_job()
    m.open(job)
    job.set_port(m.port_p, key="J")
    m.row("1: associate the job with P", references=2, depth=0)
    process = m.kernel.create_process(11)
    job.assign(process)
    m.row("2: start process 11", references=2, depth=1)
    assert m.poll(m.main, m.port_p) == [packet("J", 11, information=6)]
    m.kernel.exit_process(process)
    m.row("3: it exits", references=2, depth=2)
    assert m.poll(m.main, m.port_p, maximum=8) == [packet("J", 11, information=7), packet("J", None, information=4)]
    job.set_port(None, key=0)
    m.row("4: NULL takes the port away", references=1, depth=0)


def test_m05_access_to_the_port() -> None:
    """M-05's neighbour C-10: a handle without MODIFY_STATE does not let a file be bound.  No device is involved."""
    m = Scenario()
    poor = m.open(m.port_p, Access.QUERY_STATE | Access.SYNCHRONIZE)
    with m.refused(status.STATUS_ACCESS_DENIED):
        m.process.handles.lookup(poor, IoCompletion, Access.MODIFY_STATE)
    m.row("a handle without the right", references=2, depth=0)
