"""Sockets by their rules: what ends when, with which status, and what is told."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from iocp_emu import ntdll, status, win32
from iocp_emu.runtime.threads import ThreadSystem

from .socket_support import (
    DEADLINE,
    PRESET,
    Bench,
    Call,
    bench_in_use,
    eventually,
    readable,
    reset,
    running_reactor,
)

__all__ = ["running_reactor"]

FAMILIES = [socket.AF_INET, socket.AF_INET6]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One machine as Windows 10 is."""
    with bench_in_use() as made:
        yield made


@pytest.fixture(params=FAMILIES, ids=["ip4", "ip6"])
def family(request: pytest.FixtureRequest) -> int:
    """Both families."""
    return int(request.param)


# -- receiving and sending ---------------------------------------------------------------------------------------


def test_i02_an_immediate_receive_is_told_twice(bench: Bench, family: int) -> None:
    """I-02: data that waits is received within the call, and a packet comes all the same."""
    own, peer = bench.pair(family=family)
    peer.sendall(b"hello")
    readable(own)
    call = bench.recv(own)
    assert (call.answer, call.error) == ((0, 5, 0), None)
    assert call.ov.Internal == 0
    assert bench.packet() == (0, 5, 1, call.ov)
    assert call.data == b"hello"
    assert bench.no_packet()


def test_i05_a_pending_receive_is_one_packet(bench: Bench, family: int) -> None:
    """I-05: without data the call pends, and what comes later is one packet."""
    own, peer = bench.pair(family=family)
    call = bench.recv(own)
    assert call.is_pending
    assert call.answer.lpNumberOfBytes is win32.UNTOUCHED
    assert bench.no_packet()
    peer.sendall(b"hello")
    assert bench.packet() == (0, 5, 1, call.ov)
    assert bench.no_packet()


def test_i27_the_status_block_is_written_at_the_dequeue(bench: Bench) -> None:
    """I-27, I-29: the packet is queued and the data there while the OVERLAPPED still says pending."""
    own, peer = bench.pair()
    call = bench.recv(own)
    peer.sendall(b"late")

    def is_queued() -> bool:
        bench.catch_up()
        return ntdll.NtQueryIoCompletion(bench.port, 0).Depth == 1

    eventually(is_queued, "the packet is queued")
    assert call.ov.Internal == status.STATUS_PENDING
    assert bytes(call.buffer[:4]) == b"late"
    assert win32.GetOverlappedResult(own.fileno(), call.ov, False).ret is False
    assert win32.GetLastError() == 996
    assert win32.WSAGetOverlappedResult(own.fileno(), call.ov, False) == (True, 4, 0)
    assert win32.WSAGetOverlappedResult(own.fileno(), call.ov, True) == (True, 4, 0)
    assert call.ov.Internal == status.STATUS_PENDING
    assert bench.packet() == (0, 4, 1, call.ov)
    assert call.ov.Internal == status.STATUS_SUCCESS


def test_wsagetoverlappedresult_waits_without_an_event(bench: Bench) -> None:
    """I-53: Winsock's own result call waits for the end of a request and leaves its packet."""
    own, peer = bench.pair()
    call = bench.recv(own)
    timer = threading.Timer(0.02, lambda: peer.sendall(b"abc"))
    timer.start()
    assert win32.WSAGetOverlappedResult(own.fileno(), call.ov, True) == (True, 3, 0)
    timer.join()
    assert bench.packet() == (0, 3, 1, call.ov)


def test_wsagetoverlappedresult_waits_for_the_event(bench: Bench) -> None:
    """I-28: with an event the result is there when the event is set."""
    own, peer = bench.pair()
    event = win32.CreateEventW(True, False)
    call = Call()
    call.ov.hEvent = event
    call.make(win32.WSARecv, own.fileno(), bytearray(4), 4, 0, call.ov)
    assert call.is_pending
    timer = threading.Timer(0.02, lambda: peer.sendall(b"abc"))
    timer.start()
    assert win32.WSAGetOverlappedResult(own.fileno(), call.ov, True) == (True, 3, 0)
    timer.join()
    assert bench.packet() == (0, 3, 1, call.ov)
    assert win32.CloseHandle(event)


def test_i53_the_two_roads_have_their_own_codes(bench: Bench) -> None:
    """I-53: a reset is 10054 for Winsock and 64 at the port."""
    own, peer = bench.pair()
    call = bench.recv(own)
    reset(peer)

    def ended() -> bool:
        result = win32.WSAGetOverlappedResult(own.fileno(), call.ov, False)
        return result.lpNumberOfBytesTransferred is not win32.UNTOUCHED

    eventually(ended, "the receive ends")
    assert win32.WSAGetOverlappedResult(own.fileno(), call.ov, False) == (False, 0, 0)
    assert win32.GetLastError() == status.WSAECONNRESET
    assert bench.packet() == (64, 0, 1, call.ov)
    assert call.ov.Internal == status.STATUS_CONNECTION_RESET


def test_i03_reset_before_the_call(bench: Bench) -> None:
    """I-03: after a reset every receive and send fails at once with 10054, and nothing is queued."""
    own, peer = bench.pair()
    reset(peer)
    readable(own)
    for _ in range(2):
        receive = bench.recv(own)
        assert (receive.answer.ret, receive.error) == (-1, status.WSAECONNRESET)
        assert receive.answer.lpNumberOfBytes is win32.UNTOUCHED
        send = bench.send(own, b"x")
        assert (send.answer.ret, send.error) == (-1, status.WSAECONNRESET)
    assert bench.no_packet(20)


def test_i03_a_send_finds_the_reset(bench: Bench) -> None:
    """I-03: also when it is a send that finds it first."""
    own, peer = bench.pair()
    reset(peer)
    readable(own)
    send = bench.send(own, b"x")
    assert (send.answer.ret, send.error) == (-1, status.WSAECONNRESET)
    assert bench.recv(own).error == status.WSAECONNRESET
    assert bench.no_packet()


def test_every_pending_receive_hears_of_a_reset(bench: Bench) -> None:
    """Table 6.6: a host tells of a reset once; here all that pends ends with it."""
    own, peer = bench.pair()
    calls = [bench.recv(own) for _ in range(3)]
    reset(peer)
    assert [bench.packet() for _ in calls] == [(64, 0, 1, call.ov) for call in calls]


def test_graceful_close(bench: Bench) -> None:
    """Table 6.6: the peer's orderly close ends receives with success and 0 bytes, at once or later."""
    own, peer = bench.pair()
    pending = bench.recv(own)
    peer.close()
    assert bench.packet() == (0, 0, 1, pending.ov)
    at_once = bench.recv(own)
    assert at_once.answer == (0, 0, 0)
    assert bench.packet() == (0, 0, 1, at_once.ov)


def test_not_connected(bench: Bench) -> None:
    """Table 6.6: 10057 for receives and sends without a connection, no packet."""
    own = bench.bind(bench.stream())
    assert bench.recv(own).error == status.WSAENOTCONN
    assert bench.send(own, b"x").error == status.WSAENOTCONN
    assert bench.no_packet()


def test_after_shutdown(bench: Bench) -> None:
    """Fact afd-recv-after-shutdown: 10058 at once for what the program has shut down, no packet of the shutdown."""
    own, peer = bench.pair()
    assert win32.shutdown(own.fileno(), win32.SD_RECEIVE) == 0
    assert bench.recv(own).error == status.WSAESHUTDOWN
    answer = ntdll.NtReadFile(own.fileno(), None, None, 7, bytearray(4), 4, None)
    assert answer.ret == status.STATUS_PIPE_DISCONNECTED
    assert win32.WSASendDisconnect(own.fileno()) == 0
    assert bench.send(own, b"x").error == status.WSAESHUTDOWN
    assert peer.recv(10) == b""
    assert bench.no_packet()


def test_zero_bytes(bench: Bench) -> None:
    """I-51: a send of nothing is a success; a receive of nothing ends when there is something, and takes nothing."""
    own, peer = bench.pair()
    nothing = bench.send(own, b"")
    assert nothing.answer == (0, 0)
    assert bench.packet() == (0, 0, 1, nothing.ov)
    probe = bench.recv(own, 0)
    assert probe.is_pending
    peer.sendall(b"data")
    assert bench.packet() == (0, 0, 1, probe.ov)
    again = bench.recv(own, 0)
    assert again.answer == (0, 0, 0)
    assert bench.packet() == (0, 0, 1, again.ov)
    assert win32.recv(own.fileno(), bytearray(10), 10) == 4


def test_receives_end_in_the_order_of_issue(bench: Bench) -> None:
    """I-11: several receives on one socket share the stream in the order of the calls."""
    own, peer = bench.pair()
    calls = [bench.recv(own, size) for size in (2, 3, 4)]
    peer.sendall(b"aabbbcccc")
    assert [bench.packet() for _ in calls] == [(0, len(call.buffer), 1, call.ov) for call in calls]
    assert [call.data for call in calls] == [b"aa", b"bbb", b"cccc"]


def test_flags(bench: Bench) -> None:
    """MSG_PEEK leaves the data, MSG_WAITALL waits for all of it, several buffers are filled in order."""
    own, peer = bench.pair()
    peek = bench.recv(own, 3, win32.MSG_PEEK)
    peer.sendall(b"abc")
    assert bench.packet() == (0, 3, 1, peek.ov)
    whole = bench.recv(own, 6, win32.MSG_WAITALL)
    assert whole.is_pending
    assert bench.no_packet(20)
    peer.sendall(b"def")
    assert bench.packet() == (0, 6, 1, whole.ov)
    assert whole.data == b"abcdef"
    parts = [bytearray(2), bytearray(3)]
    call = Call()
    call.make(win32.WSARecv, own.fileno(), parts, 5, 0, call.ov)
    peer.sendall(b"12345")
    assert bench.packet() == (0, 5, 1, call.ov)
    assert parts == [b"12", b"345"]
    gathered = Call()
    assert gathered.make(win32.WSASend, own.fileno(), [b"x", b"", b"yz"], 3, 0, gathered.ov) == (0, 3)
    assert peer.recv(10) == b"xyz"


def test_waitall_ends_with_the_stream(bench: Bench) -> None:
    """MSG_WAITALL ends early with what there is when the peer closes."""
    own, peer = bench.pair()
    call = bench.recv(own, 6, win32.MSG_WAITALL)
    peer.sendall(b"abc")
    peer.close()
    assert bench.packet() == (0, 3, 1, call.ov)


def test_bad_arguments(bench: Bench) -> None:
    """Wrong buffers and handles are told at once and queue nothing."""
    own, _ = bench.pair()
    call = Call()
    call.make(win32.WSARecv, own.fileno(), b"read-only", 4, 0, call.ov)
    assert call.error == status.WSAEFAULT
    call.make(win32.WSARecv, own.fileno(), bytearray(2), 4, 0, call.ov)
    assert call.error == status.WSAEFAULT
    call.make(win32.WSASend, own.fileno(), b"ab", 4, 0, call.ov)
    assert call.error == status.WSAEFAULT
    call.make(win32.WSARecv, bench.port, bytearray(4), 4, 0, call.ov)
    assert call.error == status.WSAENOTSOCK
    call.make(win32.WSARecv, 19999, bytearray(4), 4, 0, call.ov)
    assert call.error == status.WSAENOTSOCK
    call.make(win32.closesocket, bench.port)
    assert call.error == status.WSAENOTSOCK
    with open(os.devnull, "rb") as file:
        call.make(win32.WSARecv, file.fileno(), bytearray(4), 4, 0, call.ov)
        assert call.error == status.WSAENOTSOCK
        assert win32.CreateIoCompletionPort(file.fileno(), bench.port, 0, 0) == 0
        assert win32.GetLastError() == 6
    bad_event = win32.OVERLAPPED(hEvent=bench.port)
    call.make(win32.WSARecv, own.fileno(), bytearray(4), 4, 0, bad_event)
    assert call.error == 6
    assert bench.no_packet()


def test_c06_a_socket_has_one_port(bench: Bench) -> None:
    """C-06: a second association is refused."""
    own, _ = bench.pair()
    assert win32.CreateIoCompletionPort(own.fileno(), bench.port, 2, 0) == 0
    assert win32.GetLastError() == 87


def test_c16_no_routine_on_a_socket_with_a_port() -> None:
    """Fact sock-apc-invalid: 10022, and the routine is not called; in Wine too."""
    for profile in ("win10", "wine"):
        with bench_in_use(profile) as bench:
            own, peer = bench.pair()
            ran: list[Any] = []
            call = Call()
            arguments = (own.fileno(), bytearray(4), 4, 0, call.ov)
            answer = call.make(win32.WSARecv, *arguments, lpCompletionRoutine=ran.append)
            assert (answer.ret, call.error) == (-1, status.WSAEINVAL)
            peer.sendall(b"abcd")
            assert win32.SleepEx(5, True) == 0
            assert not ran


def test_completion_routine(bench: Bench) -> None:
    """Without a port the routine runs as an APC, with Winsock's code, the count, the OVERLAPPED and the flags."""
    own, peer = bench.pair(key=None)
    ran: list[Any] = []
    call = Call()
    call.make(
        win32.WSARecv, own.fileno(), bytearray(4), 4, 0, call.ov, lpCompletionRoutine=lambda *args: ran.append(args)
    )
    assert call.is_pending
    peer.sendall(b"ab")
    assert win32.SleepEx(int(DEADLINE * 1000), True) == win32.WAIT_IO_COMPLETION
    assert ran == [(0, 2, call.ov, 0)]
    call.make(
        win32.WSARecv, own.fileno(), bytearray(4), 4, 0, call.ov, lpCompletionRoutine=lambda *args: ran.append(args)
    )
    reset(peer)
    assert win32.SleepEx(int(DEADLINE * 1000), True) == win32.WAIT_IO_COMPLETION
    assert ran[1:] == [(status.WSAECONNRESET, 0, call.ov, 0)]


def test_i15_skip_on_success(bench: Bench) -> None:
    """I-15: what ends within its call queues nothing then; what has pended still does."""
    own, peer = bench.pair()
    assert win32.SetFileCompletionNotificationModes(own.fileno(), win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
    assert bench.send(own, b"abc").answer == (0, 3)
    peer.sendall(b"xyz")
    readable(own)
    assert bench.recv(own).answer.ret == 0
    assert bench.no_packet()
    pending = bench.recv(own)
    peer.sendall(b"later")
    assert bench.packet() == (0, 5, 1, pending.ov)


def test_files_calls_on_sockets(bench: Bench) -> None:
    """I-54: ReadFile, WriteFile and the NT calls move data on a socket; the offset means nothing."""
    own, peer = bench.pair()
    write, read = Call(), Call()
    assert write.make(win32.WriteFile, own.fileno(), b"four", 4, write.ov) == (True, 4)
    assert bench.packet() == (0, 4, 1, write.ov)
    assert peer.recv(10) == b"four"
    read.ov.Offset = 12345
    buffer = bytearray(16)
    assert read.make(win32.ReadFile, own.fileno(), buffer, 16, read.ov) == (False, 0)
    peer.sendall(b"abc")
    assert bench.packet() == (0, 3, 1, read.ov)
    answer = ntdll.NtWriteFile(own.fileno(), None, None, 99, b"nt", 2, None)
    assert answer.ret == 0
    assert bench.packet() == (0, 2, 1, 99)
    # Fact afd-nullctx: no context, no packet.
    assert ntdll.NtWriteFile(own.fileno(), None, None, None, b"nt", 2, None).ret == 0
    assert bench.no_packet()


# -- cancelling, threads, duplicates -----------------------------------------------------------------------------


def test_i40_cancel_one_and_all(bench: Bench) -> None:
    """I-40, I-41: one by its OVERLAPPED, the others without; a connection still works afterwards."""
    own, peer = bench.pair()
    calls = [bench.recv(own) for _ in range(3)]
    assert win32.CancelIoEx(own.fileno(), calls[1].ov)
    assert bench.packet() == (995, 0, 1, calls[1].ov)
    assert not win32.CancelIoEx(own.fileno(), calls[1].ov)
    assert win32.GetLastError() == 1168
    assert win32.CancelIoEx(own.fileno(), None)
    assert {bench.packet()[:3] for _ in range(2)} == {(995, 0, 1)}
    assert win32.CancelIo(own.fileno())
    last = bench.recv(own)
    peer.sendall(b"works")
    assert bench.packet() == (0, 5, 1, last.ov)


def test_a_cancel_that_comes_too_late(bench: Bench) -> None:
    """I-41, clients.md 8.2: what has arrived before the cancel ends the receive, and the cancel finds nothing."""
    own, peer = bench.pair()
    for _ in range(50):
        call = bench.recv(own)
        peer.sendall(b"x")
        readable_or_taken(own, call)
        assert not win32.CancelIoEx(own.fileno(), call.ov)
        assert win32.GetLastError() == 1168
        assert bench.packet() == (0, 1, 1, call.ov)


def readable_or_taken(own: socket.socket, call: Any) -> None:
    """The byte has arrived; it may have been received already."""

    def is_there() -> bool:
        with contextlib.suppress(BlockingIOError):
            return own.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"x"
        return bool(call.buffer[0])

    eventually(is_there, "it arrives")


def test_i31_thread_exit(bench: Bench) -> None:
    """I-31: without an event the receive outlives its thread, with an event it is cancelled."""
    for with_event in (False, True):
        own, peer = bench.pair()
        call = Call()
        call.ov.hEvent = win32.CreateEventW(True, False) if with_event else None
        issue_in_thread(bench.system, lambda own=own, call=call: call.make(
            win32.WSARecv, own.fileno(), bytearray(4), 4, 0, call.ov
        ))
        if with_event:
            assert bench.packet() == (995, 0, 1, call.ov)
            assert win32.CloseHandle(call.ov.hEvent)
        else:
            assert bench.no_packet(10)
            peer.sendall(b"abc")
            assert bench.packet() == (0, 3, 1, call.ov)


def issue_in_thread(system: ThreadSystem, action: Any) -> None:
    """Run `action` on a thread that then ends."""
    from iocp_emu.runtime.ambient import use

    def run() -> None:
        with use(system):
            action()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(DEADLINE)


def test_i44_duplicates(bench: Bench) -> None:
    """I-44, C-12: a duplicate shares everything; only the last close ends what is under way."""
    own, peer = bench.pair(key=5)
    duplicate = win32.DuplicateHandle(own.fileno(), 0, win32.DUPLICATE_SAME_ACCESS).lpTargetHandle
    assert duplicate is not None
    assert duplicate >= 0x40000000
    assert win32.CreateIoCompletionPort(duplicate, bench.port, 6, 0) == 0
    call = Call()
    call.make(win32.WSARecv, duplicate, bytearray(4), 4, 0, call.ov)
    assert win32.closesocket(own.detach()) == 0
    assert bench.no_packet(10)
    peer.sendall(b"abc")
    assert bench.packet() == (0, 3, 5, call.ov)
    call.make(win32.WSARecv, duplicate, bytearray(4), 4, 0, call.ov)
    assert win32.closesocket(duplicate) == 0
    assert bench.packet()[:3] == (1236, 0, 5)
    assert peer.recv(1) == b""


def test_i44_duplicates_of_the_host(bench: Bench) -> None:
    """C-12, fact sock-dup-close: two descriptors of one socket are two handles of one file object."""
    own, peer = bench.pair(key=5)
    twin = bench.adopt(own.dup())
    assert win32.CreateIoCompletionPort(twin.fileno(), bench.port, 6, 0) == 0
    call = Call()
    call.make(win32.WSARecv, twin.fileno(), bytearray(4), 4, 0, call.ov)
    assert win32.closesocket(own.detach()) == 0
    assert bench.no_packet(10)
    peer.sendall(b"abc")
    assert bench.packet() == (0, 3, 5, call.ov)
    call.make(win32.WSARecv, twin.fileno(), bytearray(4), 4, 0, call.ov)
    assert win32.closesocket(twin.detach()) == 0
    assert bench.packet()[0] == 1236


def test_duplicate_and_close_the_source(bench: Bench) -> None:
    """DUPLICATE_CLOSE_SOURCE closes the descriptor; the duplicate goes on alone."""
    own, peer = bench.pair()
    options = win32.DUPLICATE_SAME_ACCESS | win32.DUPLICATE_CLOSE_SOURCE
    number = own.detach()
    moved = win32.DuplicateHandle(number, 0, options).lpTargetHandle
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    call = Call()
    call.make(win32.WSARecv, moved, bytearray(4), 4, 0, call.ov)
    peer.sendall(b"abc")
    assert bench.packet() == (0, 3, 1, call.ov)
    assert win32.CloseHandle(moved)
    assert peer.recv(1) == b""


# -- closing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "on_stream", "on_datagram"),
    [("win10", 1236, 995), ("xp", 64, 995), ("wine", 676, 676), ("wine_old", 676, 676)],
)
def test_i43_own_close(profile: str, on_stream: int, on_datagram: int) -> None:
    """I-43, facts sock-close-pending and afd-udp-close: how own closing ends a receive, by profile."""
    with bench_in_use(profile) as bench:
        own, peer = bench.pair(key=3)
        call = bench.recv(own)
        assert win32.closesocket(own.detach()) == 0
        assert bench.packet() == (on_stream, 0, 3, call.ov)
        assert peer.recv(1) == b""
        receiver = bench.bind(bench.datagram(), 4)
        call = bench.recv(receiver)
        assert win32.CloseHandle(receiver.detach())
        assert bench.packet() == (on_datagram, 0, 4, call.ov)
        assert bench.no_packet()


def test_i45_closing_an_idle_socket(bench: Bench) -> None:
    """I-45: nothing under way, nothing queued."""
    own, _ = bench.pair()
    assert win32.closesocket(own.fileno()) == 0
    assert win32.closesocket(own.fileno()) == -1
    assert win32.GetLastError() == status.WSAENOTSOCK
    own.detach()
    assert bench.no_packet(10)


def test_a_close_behind_our_back(bench: Bench) -> None:
    """The program closes its descriptor without a word: at the next use of the number the old socket ends."""
    own, _ = bench.pair(key=3)
    call = bench.recv(own)
    assert bench.no_packet(10)
    other, peer = (bench.adopt(end) for end in socket.socketpair())
    # As if the number had been given to the next socket after a close.
    number = own.detach()
    os.dup2(other.fileno(), number)
    other.close()
    fresh = bench.bind(bench.adopt(socket.socket(fileno=number)), 4)
    assert bench.packet() == (995, 0, 3, call.ov)
    again = bench.recv(fresh)
    peer.sendall(b"new")
    assert bench.packet() == (0, 3, 4, again.ov)


def test_a_number_that_is_no_socket_any_more(bench: Bench) -> None:
    """The same when the number means a file by now, or nothing."""
    own, _ = bench.pair(key=3)
    call = bench.recv(own)
    number = own.fileno()
    own.close()
    assert not win32.CancelIoEx(number, None)
    assert win32.GetLastError() == 6
    assert bench.packet() == (995, 0, 3, call.ov)


def test_so_linger_zero_resets(bench: Bench) -> None:
    """SO_LINGER with a time of 0 makes of the close a reset."""
    own, peer = bench.pair()
    assert win32.setsockopt(own.fileno(), win32.SOL_SOCKET, win32.SO_LINGER, (1, 0)) == 0
    assert win32.getsockopt(own.fileno(), win32.SOL_SOCKET, win32.SO_LINGER) == (0, (1, 0))
    assert win32.closesocket(own.detach()) == 0
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_plain_calls_block_visibly_and_queue_nothing(bench: Bench) -> None:
    """I-09, Q-23: recv and send without an OVERLAPPED wait, the kernel sees it, and no packet comes."""
    own, peer = bench.pair()
    thread = bench.system.current()
    seen: list[str] = []

    def watch() -> None:
        eventually(lambda: thread.state.name == "BLOCKED", "the caller is blocked")
        seen.append("blocked")
        peer.sendall(b"abc")

    watcher = threading.Thread(target=watch)
    watcher.start()
    buffer = bytearray(10)
    assert win32.recv(own.fileno(), buffer, 10) == 3
    watcher.join(DEADLINE)
    assert seen == ["blocked"]
    assert buffer[:3] == b"abc"
    assert win32.send(own.fileno(), b"xyz", 3) == 3
    assert peer.recv(10) == b"xyz"
    peer.close()
    assert win32.recv(own.fileno(), buffer, 10) == 0
    assert bench.no_packet()


def test_non_blocking_sockets(bench: Bench) -> None:
    """Fact afd-nonblock: 10035 without an OVERLAPPED, pending with one; the mode of the socket stays as it was."""
    own, peer = bench.pair()
    assert win32.ioctlsocket(own.fileno(), 1).ret == 0
    assert win32.recv(own.fileno(), bytearray(4), 4) == -1
    assert win32.GetLastError() == status.WSAEWOULDBLOCK
    call = bench.recv(own)
    assert call.is_pending
    peer.sendall(b"abc")
    assert bench.packet() == (0, 3, 1, call.ov)
    assert not os.get_blocking(own.fileno())
    peer.sendall(b"12345")
    readable(own)
    assert win32.ioctlsocket(own.fileno(), 0, win32.FIONREAD) == (0, 5)
    assert win32.ioctlsocket(own.fileno(), 0, 1) == (-1, win32.UNTOUCHED)
    assert win32.GetLastError() == status.WSAEOPNOTSUPP


def test_last_error_of_winsock(bench: Bench) -> None:
    """WSAGetLastError and GetLastError are one; a success leaves it alone (G-01)."""
    win32.WSASetLastError(PRESET)
    own, _ = bench.pair()
    assert win32.send(own.fileno(), b"a", 1) == 1
    assert win32.WSAGetLastError() == win32.GetLastError() == PRESET
