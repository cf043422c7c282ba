"""Rules I-30 to I-54: whose requests they are, how they are cancelled, and what their statuses mean.

Scripted devices stand for pipes and sockets.  The mapping of statuses (I-50, I-53) is `iocp_emu.status`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from iocp_emu import status
from iocp_emu.kernel.file import IoRequest, RequestState
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, XP, Profile
from tests.rules.devices import (
    CANCELLED,
    NOT_FOUND,
    PENDING,
    PIPE_BROKEN,
    SUCCESS,
    Bench,
    ByHand,
    Hasty,
    Obedient,
    Overlapped,
    PipeEnd,
    Socket,
    packet,
    win32_code,
)

NOT_CONNECTED = status.STATUS_INVALID_CONNECTION
REFUSED = status.STATUS_CONNECTION_REFUSED


# -- 6.4: thread-agnostic and thread-bound requests ----------------------------------------------------------------


@pytest.mark.parametrize("is_bound", [True, False])
@pytest.mark.parametrize("has_context", [True, False])
@pytest.mark.parametrize("has_event", [True, False])
@pytest.mark.parametrize("has_routine", [True, False])
def test_i30_what_makes_a_request_thread_agnostic(
    is_bound: bool, has_context: bool, has_event: bool, has_routine: bool
) -> None:
    """I-30: at issue: associated, with context, without event and routine; a later association does not help."""
    bench = Bench(replace(WIN10, port_excludes_apc=False))
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1) if is_bound else bench.file()
    request = bench.start(
        file,
        Overlapped(),
        wants_packet=has_context,
        event=bench.event() if has_event else None,
        apc=(lambda *_: None) if has_routine else None,
    )
    if not is_bound:
        bench.bind(file, port, key=1)
    assert request.is_agnostic == (is_bound and has_context and not has_event and not has_routine)


@pytest.mark.parametrize("profile", [XP, CLASSIC])
def test_i30_before_vista_every_request_is_thread_bound(profile: Profile) -> None:
    """I-30: the distinction came with Vista."""
    bench = Bench(profile)
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    assert not bench.start(file, Overlapped()).is_agnostic


@pytest.mark.parametrize("profile", [WIN10, XP])
@pytest.mark.parametrize("is_bound", [True, False])
@pytest.mark.parametrize("has_context", [True, False])
@pytest.mark.parametrize("has_event", [True, False])
def test_i31_thread_exit(profile: Profile, is_bound: bool, has_context: bool, has_event: bool) -> None:
    """I-31: the thread's thread-bound requests are cancelled, with a packet if one was wanted; agnostic ones go on."""
    bench = Bench(profile)
    port, _ = bench.port()
    device = Obedient()
    file, _ = bench.bound_file(port, key=1, device=device) if is_bound else bench.file(device)
    event = bench.event() if has_event else None
    issuer = bench.thread("T1")
    overlapped = Overlapped()
    request = bench.start(file, overlapped, thread=issuer, wants_packet=has_context, event=event)
    bench.exit(issuer)
    survives = profile is WIN10 and is_bound and has_context and not has_event
    assert (request.state is RequestState.ISSUED, len(device.cancelled)) == (survives, 0 if survives else 1)
    assert port.depth == (1 if is_bound and has_context and not survives else 0)
    assert overlapped.result == (PENDING if survives else CANCELLED, 0)
    assert event is None or event.signalled
    if survives:
        bench.cancel_io_ex(file, bench.main, overlapped)
        assert bench.poll(bench.main, port) == [packet(1, overlapped, CANCELLED)]


@pytest.mark.parametrize("is_bound_later", [True, False])
def test_i31_the_routine_of_an_exited_thread_never_runs(is_bound_later: bool) -> None:
    """I-31: the request is cancelled, its APC dies with the thread, and no packet stands in for it (C-15)."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.file(Obedient())
    issuer = bench.thread("T1")
    ran: list[int] = []
    overlapped = Overlapped()
    bench.start(file, overlapped, thread=issuer, apc=lambda code, information, block: ran.append(code))
    if is_bound_later:
        bench.bind(file, port, key=1)
    bench.exit(issuer)
    assert (ran, len(issuer.user_apcs), overlapped.result) == ([], 0, (CANCELLED, 0))
    assert port.depth == 0


def test_i31_a_device_may_finish_a_cancelled_request_after_the_exit() -> None:
    """I-31: the exit does not wait for the device; the packet comes when the request ends."""
    bench = Bench()
    port, _ = bench.port()
    device = ByHand()
    file, _ = bench.bound_file(port, key=1, device=device)
    issuer = bench.thread("T1")
    overlapped = Overlapped()
    request = bench.start(file, overlapped, thread=issuer, event=bench.event())
    bench.exit(issuer)
    assert (device.cancelled, port.depth) == ([request], 0)
    bench.complete(request, CANCELLED)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, CANCELLED)]


def test_i32_a_monitored_system_binds_requests_to_their_threads() -> None:
    """I-32: surviving the thread is no guarantee; with the switch off a modern system cancels such requests too."""
    bench = Bench(replace(WIN10, name="monitored", thread_agnostic_requests=False))
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1, device=Obedient())
    issuer = bench.thread("T1")
    overlapped = Overlapped()
    assert not bench.start(file, overlapped, thread=issuer).is_agnostic
    bench.exit(issuer)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, CANCELLED)]


@pytest.mark.parametrize("has_context", [True, False])
@pytest.mark.parametrize("has_event", [True, False])
def test_i33_a_process_closes_its_last_handle(has_context: bool, has_event: bool) -> None:
    """I-33: its thread-agnostic requests are cancelled although the file lives on elsewhere; thread-bound ones and
    those of the other process are not."""
    bench = Bench()
    other = bench.another_process()
    port, _ = bench.port()
    device = Obedient()
    file, handle = bench.bound_file(port, key=1, device=device)
    bench.duplicate(handle, target=other)
    overlapped, foreign = Overlapped("ov1"), Overlapped("ov2")
    request = bench.start(file, overlapped, wants_packet=has_context, event=bench.event() if has_event else None)
    bench.start(file, foreign, thread=bench.thread("T1", other))
    bench.close(handle)
    if has_context and not has_event:
        assert device.cancelled == [request]
        assert overlapped.is_pending
        assert bench.poll(bench.main, port, maximum=8) == [packet(1, overlapped, CANCELLED)]
        assert overlapped.result == (CANCELLED, 0)
    else:
        assert device.cancelled == []
        assert port.depth == 0
        assert overlapped.is_pending


def test_i33_a_duplicate_in_the_same_process_protects() -> None:
    """I-33: with another handle in the same process nothing is cancelled."""
    bench = Bench()
    other = bench.another_process()
    port, _ = bench.port()
    device = Obedient()
    file, handle = bench.bound_file(port, key=1, device=device)
    bench.duplicate(handle, target=other)
    bench.duplicate(handle)
    bench.start(file, Overlapped())
    bench.close(handle)
    assert (device.cancelled, port.depth) == ([], 0)


def parked_issuer_under_a_waiter(profile: Profile, has_event: bool) -> tuple[Bench, list[str], IoRequest]:
    """T1, which has issued a request, and T2 on top of it, both parked; who got the packet is appended to the list."""
    bench = Bench(profile)
    port, _ = bench.port(concurrency=2)
    file, _ = bench.bound_file(port, key=1)
    issuer, top = bench.thread("T1"), bench.thread("T2")
    request = bench.start(file, Overlapped(), thread=issuer, event=bench.event() if has_event else None)
    bench.park(issuer, port)
    bench.park(top, port)
    bench.complete(request, SUCCESS, 7)
    takers = [thread.name or "" for thread in bench.kernel.readied]
    for thread in list(bench.kernel.readied):
        assert bench.collect(thread) == [packet(1, request.context, information=7)]
    assert port.depth == 0
    return bench, takers, request


@pytest.mark.parametrize(
    ("profile", "has_event", "taker"),
    [
        (WIN10, True, "T1"),
        (WIN10, False, "T2"),
        (WIN7, True, "T1"),
        (WIN7, False, "T2"),
        (XP, True, "T1"),
        (XP, False, "T1"),
        (CLASSIC, True, "T2"),
        (CLASSIC, False, "T2"),
    ],
)
def test_i34_a_parked_issuer_takes_its_own_packet(profile: Profile, has_event: bool, taker: str) -> None:
    """I-34: where completion runs in the issuing thread, that thread gets the packet although it is not on top."""
    _, takers, request = parked_issuer_under_a_waiter(profile, has_event)
    assert takers == [taker]
    assert request.block.status == SUCCESS


def test_i34_a_request_from_before_the_association_is_thread_bound() -> None:
    """I-34: issued on an unbound file it belongs to its thread (I-30), which takes its packet without any event."""
    bench = Bench()
    port, _ = bench.port(concurrency=2)
    file, _ = bench.file()
    issuer, top = bench.thread("T1"), bench.thread("T2")
    request = bench.start(file, Overlapped(), thread=issuer)
    bench.bind(file, port, key=1)
    bench.park(issuer, port)
    bench.park(top, port)
    bench.complete(request, SUCCESS, 7)
    assert bench.kernel.readied == [issuer]
    assert bench.collect(issuer) == [packet(1, request.context, information=7)]


def test_i34_the_completion_re_parks_its_issuer_on_top() -> None:
    """I-34: an issuer that is parked on another port runs the completion there and goes back on top (Q-08); the packet
    goes to the port's own top waiter, for only parking on the same port is exempt (Q-18)."""
    bench = Bench(XP)
    port, _ = bench.port(concurrency=2)
    elsewhere, _ = bench.port(concurrency=2)
    file, _ = bench.bound_file(port, key=1)
    issuer, above, waiter = bench.thread("T1"), bench.thread("T2"), bench.thread("T3")
    request = bench.start(file, Overlapped(), thread=issuer)
    bench.park(issuer, elsewhere)
    bench.park(above, elsewhere)
    bench.park(waiter, port)
    bench.complete(request)
    assert list(elsewhere.queue.waiters) == [above, issuer]
    assert bench.kernel.readied == [waiter]
    assert bench.collect(waiter) == [packet(1, request.context)]
    bench.kernel.kernel_apc(above, lambda: None)
    bench.check()
    assert list(elsewhere.queue.waiters) == [issuer, above]


def test_i34_an_issuer_at_the_limit_leaves_its_packet_queued() -> None:
    """I-34: the issuer looks like a fresh arrival; at the limit it parks again, on top, and the packet waits (Q-13)."""
    bench = Bench(XP)
    port, _ = bench.port(concurrency=1)
    file, _ = bench.bound_file(port, key=1)
    busy, issuer, above = bench.thread("T0"), bench.thread("T1"), bench.thread("T2")
    bench.post(port, key=9)
    assert bench.get(busy, port) == [packet(9)]
    request = bench.start(file, Overlapped(), thread=issuer)
    bench.park(issuer, port)
    bench.park(above, port)
    bench.complete(request)
    assert (port.depth, list(port.queue.waiters)) == (1, [above, issuer])
    bench.kernel.block(busy)
    assert bench.collect(issuer) == [packet(1, request.context)]
    bench.kernel.unblock(busy)
    bench.check()
    assert port.queue.current_count == 2


# -- 6.5: cancelling and closing -----------------------------------------------------------------------------------


def test_i40_who_cancels_what() -> None:
    """I-40: CancelIo the requests of the thread; CancelIoEx those of the process, all or those of one OVERLAPPED; when
    there is none, CancelIo is content and CancelIoEx says NOT_FOUND (1168)."""
    bench = Bench()
    port, _ = bench.port()
    file, handle = bench.bound_file(port, key=1, device=Obedient())
    other = bench.another_process()
    bench.duplicate(handle, target=other)
    second, foreign = bench.thread("T1"), bench.thread("T2", other)
    mine, shared, theirs, foreigns = (Overlapped(f"ov{number}") for number in range(4))
    bench.start(file, mine)
    bench.start(file, shared)
    bench.start(file, shared, thread=second)
    bench.start(file, theirs, thread=second)
    bench.start(file, foreigns, thread=foreign)
    for overlapped in (foreigns, Overlapped()):
        with bench.refused(NOT_FOUND):
            bench.cancel_io_ex(file, bench.main, overlapped)
    bench.cancel_io_ex(file, bench.main, shared)
    assert bench.cancel_io(file, second) == 1
    before = bench.picture()
    assert bench.cancel_io(file, second) == 0
    assert bench.picture() == before
    bench.cancel_io_ex(file, bench.main)
    for asked in (None, mine):
        with bench.refused(NOT_FOUND):
            bench.cancel_io_ex(file, bench.main, asked)
    bench.cancel_io_ex(file, foreign)
    assert [each.overlapped for each in bench.poll(bench.main, port, maximum=8)] == [
        *(shared, shared, theirs, mine, foreigns)
    ]
    assert status.status_to_error(NOT_FOUND) == 1168


def test_i40_wine_is_content_when_there_is_nothing_at_all() -> None:
    """I-40: there the form for all requests succeeds with nothing to cancel; the other one fails all the same."""
    bench = Bench(WINE)
    file, _ = bench.file()
    before = bench.picture()
    bench.cancel_io_ex(file, bench.main)
    assert bench.picture() == before
    with bench.refused(NOT_FOUND):
        bench.cancel_io_ex(file, bench.main, Overlapped())


@pytest.mark.parametrize(
    ("device", "outcome"),
    [(Obedient(), (CANCELLED, 0)), (Hasty(), (SUCCESS, Hasty.bytes_done)), (ByHand(), (REFUSED, 0))],
)
def test_i41_cancelling_is_a_request(device: ByHand, outcome: tuple[int, int]) -> None:
    """I-41: cancelled, done or failed: one packet in each case, and the request is in use until then."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1, device=device)
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    bench.cancel_io_ex(file, bench.main, overlapped)
    assert (device.cancelled, request.is_cancelling) == ([request], True)
    if request.state is RequestState.ISSUED:
        assert (list(file.requests), port.depth) == ([request], 0)
        bench.complete(request, *outcome)
    assert bench.poll(bench.main, port, maximum=8) == [packet(1, overlapped, *outcome)]
    with bench.refused(NOT_FOUND):
        bench.cancel_io_ex(file, bench.main, overlapped)
    request.cancel()
    assert device.cancelled == [request]


def test_i41_a_completed_request_cannot_be_cancelled() -> None:
    """I-41: one whose packet is still queued is not found, and its packet stays a success."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1, device=Obedient())
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped), SUCCESS, 1)
    with bench.refused(NOT_FOUND):
        bench.cancel_io_ex(file, bench.main, overlapped)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, information=1)]


def test_i42_the_cancel_call_does_not_wait() -> None:
    """I-42: it returns before the device has done anything; and the block of a thread-agnostic request says pending
    until the dequeue."""
    bench = Bench()
    port, _ = bench.port()
    device = ByHand()
    file, _ = bench.bound_file(port, key=1, device=device)
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    assert bench.cancel_io(file, bench.main) == 1
    assert (request.state, overlapped.is_pending, port.depth) == (RequestState.ISSUED, True, 0)
    bench.complete(request, CANCELLED)
    assert (overlapped.is_pending, port.depth) == (True, 1)
    bench.poll(bench.main, port)
    assert overlapped.result == (CANCELLED, 0)


@pytest.mark.parametrize(("device", "code", "error"), [(PipeEnd(), PIPE_BROKEN, 109), (Socket(), CANCELLED, 995)])
def test_i43_packets_arrive_after_the_last_handle_is_closed(device: ByHand, code: int, error: int) -> None:
    """I-43: the device ends what is outstanding, each request in its way, 0 bytes; then the file object goes."""
    bench = Bench()
    port, _ = bench.port()
    file, handle = bench.bound_file(port, key=1, device=device)
    operations = [Overlapped("ov1"), Overlapped("ov2")]
    for overlapped in operations:
        bench.start(file, overlapped)
    assert (file.references, port.references) == (3, 2)
    bench.close(handle)
    assert (file.freed, port.references, device.cleanups, device.closes) == (True, 1, 1, 1)
    seen = bench.poll(bench.main, port, maximum=8)
    assert seen == [packet(1, overlapped, code) for overlapped in operations]
    assert [win32_code(each) for each in seen] == [error] * 2


def test_i44_closing_one_of_several_handles_cancels_nothing() -> None:
    """I-44: whichever handle the request was issued through; the last close ends it."""
    bench = Bench()
    port, _ = bench.port()
    device = Socket()
    file, first = bench.bound_file(port, key=1, device=device)
    second = bench.duplicate(first)
    overlapped = Overlapped()
    bench.start(file, overlapped)
    bench.close(first)
    assert (device.cleanups, port.depth) == (0, 0)
    bench.close(second)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, CANCELLED)]


def test_i45_closing_an_idle_file_posts_nothing() -> None:
    """I-45: nothing outstanding, no packet; the file and its association are gone at once."""
    bench = Bench()
    port, _ = bench.port()
    device = PipeEnd()
    file, handle = bench.bound_file(port, key=1, device=device)
    bench.complete(bench.start(file, Overlapped()))
    bench.poll(bench.main, port)
    bench.close(handle)
    assert (file.freed, port.references, port.depth, device.closes) == (True, 1, 0, 1)


# -- 6.6: devices and mapping --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error", "information"),
    [
        (status.STATUS_END_OF_FILE, 38, 0),
        (status.STATUS_BUFFER_OVERFLOW, 234, 4),
        (status.STATUS_PIPE_BROKEN, 109, 0),
        (status.STATUS_CANCELLED, 995, 0),
        (status.STATUS_SUCCESS, 0, 0),
        (status.STATUS_CONNECTION_RESET, 64, 0),
        (status.STATUS_CONNECTION_REFUSED, 1225, 0),
        (status.STATUS_CONNECTION_ABORTED, 1236, 0),
        (status.STATUS_PIPE_CONNECTED, 535, 0),
    ],
)
def test_i50_statuses_as_the_port_shows_them(code: int, error: int, information: int) -> None:
    """I-50: table 6.6 for requests that pended: FALSE with this last error (0: TRUE) and these bytes."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped), code, information)
    (seen,) = bench.poll(bench.main, port)
    assert (win32_code(seen), seen.bytes, seen.overlapped) == (error, information, overlapped)
    assert status.status_to_error(code) == error


@pytest.mark.parametrize(
    "code", [status.STATUS_END_OF_FILE, status.STATUS_CONNECTION_RESET, NOT_CONNECTED, status.STATUS_PIPE_CONNECTED]
)
def test_i50_the_same_at_once_posts_nothing(code: int) -> None:
    """I-50: the rows of table 6.6 where the call itself fails have no packet (I-03)."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    assert bench.at_once(file, Overlapped(), code, 0) == code
    assert port.depth == 0


def test_i51_zero_bytes_and_success() -> None:
    """I-51: a graceful close and an empty transfer look alike: TRUE, 0 bytes; only the application can tell."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    closed, probe = Overlapped("receive of 8 bytes"), Overlapped("receive of 0 bytes")
    bench.complete(bench.start(file, closed), SUCCESS, 0)
    bench.complete(bench.start(file, probe), SUCCESS, 0)
    seen = bench.poll(bench.main, port, maximum=8)
    assert seen == [packet(1, closed), packet(1, probe)]
    assert [(win32_code(each), each.bytes) for each in seen] == [(0, 0)] * 2


def test_i52_an_accept_carries_the_key_of_the_listener() -> None:
    """I-52: the accept is the listener's request; what the accepted socket receives has the socket's own key."""
    bench = Bench()
    port, _ = bench.port()
    listener, _ = bench.bound_file(port, key=125, device=Socket())
    accepted, _ = bench.bound_file(port, key=236, device=Socket())
    accept, receive = Overlapped("accept"), Overlapped("receive")
    bench.complete(bench.start(listener, accept), SUCCESS, 5)
    bench.complete(bench.start(accepted, receive), SUCCESS, 2)
    assert bench.poll(bench.main, port, maximum=8) == [
        packet(125, accept, information=5),
        packet(236, receive, information=2),
    ]


@pytest.mark.parametrize(
    ("code", "on_the_port", "from_winsock"),
    [
        (status.STATUS_CONNECTION_RESET, 64, 10054),
        (status.STATUS_CONNECTION_REFUSED, 1225, 10061),
        (status.STATUS_BUFFER_OVERFLOW, 234, 10040),
        (status.STATUS_CANCELLED, 995, 995),
        (status.STATUS_SUCCESS, 0, 0),
    ],
)
def test_i53_two_roads_two_codes(code: int, on_the_port: int, from_winsock: int) -> None:
    """I-53: the port maps a status to Win32 codes, Winsock's own calls to theirs."""
    assert (status.status_to_error(code), status.winsock_error(code)) == (on_the_port, from_winsock)


@pytest.mark.parametrize(
    "operation",
    [
        *("ConnectNamedPipe", "DeviceIoControl", "LockFileEx", "ReadDirectoryChangesW", "ReadFile"),
        *("TransactNamedPipe", "WaitCommEvent", "WriteFile", "WSASend", "WSASendTo", "WSASendMsg"),
        *("WSARecv", "WSARecvFrom", "WSARecvMsg"),
    ],
)
def test_i54_the_kernel_treats_every_operation_alike(operation: str) -> None:
    """I-54: which operation a request stands for is for the device alone; each documented one ends as a packet."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped(operation)
    request = file.start_request(bench.main, overlapped, context=overlapped, operation=operation)
    request.pend()
    assert (request.return_to_caller(), request.operation) == (PENDING, operation)
    bench.complete(request, SUCCESS, 1)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, information=1)]
