"""Sockets against plain models: any sequence of calls, peers that misbehave, cancels that race, nothing left over."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import win32
from iocp_emu.overlapped.reactor import REACTOR
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem

from .socket_support import (
    ANY_PORT,
    DEADLINE,
    DEADLINE_MS,
    Bench,
    Call,
    bench_in_use,
    eventually,
    reset,
    running_reactor,
)
from .support import open_descriptors

__all__ = ["running_reactor"]

SIZES = st.sampled_from([0, 1, 7, 1000, 300_000])

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("recv"), SIZES),
        st.tuples(st.just("send"), SIZES),
        st.tuples(st.just("peer sends"), SIZES),
        st.tuples(st.just("peer receives"), SIZES),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("cancel all"), st.just(0)),
        st.tuples(st.just("dequeue"), st.integers(1, 3)),
        st.tuples(st.just("shutdown"), st.just(0)),
        st.tuples(st.just("peer ends"), st.sampled_from(["shutdown", "close", "reset"])),
        st.tuples(st.just("disconnect"), st.just(0)),
    ),
    max_size=25,
)


class History:
    """One connection, what was done with it, and what must have come of that."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.own, self.peer = bench.pair()
        self.own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self.peer.setblocking(False)
        self.calls: list[tuple[str, Call, bytes]] = []
        self.packets: Counter[int] = Counter()
        self.statuses: dict[int, int] = {}
        self.peer_sent = bytearray()
        self.peer_got = bytearray()
        self.peer_is_well = True
        self.counter = 0

    def some(self, size: int) -> bytes:
        """Bytes that tell where they belong."""
        self.counter += size
        return bytes((self.counter + at) & 0xFF for at in range(size))

    def do(self, action: str, argument: Any) -> None:
        """One step."""
        getattr(self, "do_" + action.replace(" ", "_"))(argument)

    def do_recv(self, size: int) -> None:
        call = self.bench.recv(self.own, size)
        self.calls.append(("recv", call, b""))

    def do_send(self, size: int) -> None:
        data = self.some(size)
        self.calls.append(("send", self.bench.send(self.own, data), data))

    def do_disconnect(self, _: int) -> None:
        call = Call()
        call.make(win32.DisconnectEx, self.own.fileno(), call.ov, 0)
        self.calls.append(("disconnect", call, b""))

    def do_peer_sends(self, size: int) -> None:
        data = self.some(size)
        if self.peer.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.peer_sent += data[: self.peer.send(data)]

    def do_peer_receives(self, size: int) -> None:
        if self.peer.fileno() >= 0 and size:
            with contextlib.suppress(BlockingIOError):
                self.peer_got += self.peer.recv(size)

    def do_peer_ends(self, how: str) -> None:
        if self.peer.fileno() >= 0:
            if how == "shutdown":
                with contextlib.suppress(OSError):
                    self.peer.shutdown(socket.SHUT_WR)
                return
            self.peer_is_well = False
            if how == "close":
                self.peer.close()
            else:
                reset(self.peer)

    def do_cancel(self, at: int) -> None:
        if at < len(self.calls):
            win32.CancelIoEx(self.own.fileno(), self.calls[at][1].ov)

    def do_cancel_all(self, _: int) -> None:
        win32.CancelIoEx(self.own.fileno(), None)

    def do_shutdown(self, _: int) -> None:
        win32.shutdown(self.own.fileno(), win32.SD_SEND)

    def do_dequeue(self, count: int) -> None:
        batch = win32.GetQueuedCompletionStatusEx(self.bench.port, count, 0, False)
        for entry in batch.entries:
            self.note(entry.lpOverlapped)

    def note(self, overlapped: Any) -> None:
        """A packet has come."""
        self.packets[id(overlapped)] += 1
        self.statuses[id(overlapped)] = overlapped.Internal

    def finish(self) -> None:
        """Close, collect, and compare."""
        win32.closesocket(self.own.detach())
        expected = {id(call.ov) for _, call, _ in self.calls if call.error in (None, 997)}
        while set(self.packets) != expected:
            self.note(self.bench.packet()[3])
        assert self.bench.no_packet()
        assert set(self.packets.values()) <= {1}, "a packet came twice"
        received = b"".join(
            bytes(call.buffer[: call.ov.InternalHigh])  # type: ignore[attr-defined]
            for kind, call, _ in self.calls
            if kind == "recv" and self.statuses.get(id(call.ov)) == 0
        )
        assert self.peer_sent.startswith(received), "received is what was sent, in order"
        sends = [(call, data) for kind, call, data in self.calls if kind == "send"]
        sent = b"".join(data for call, data in sends if self.statuses.get(id(call.ov)) == 0)
        if self.peer_is_well:
            self.peer.setblocking(True)
            self.peer.settimeout(DEADLINE)
            try:
                while part := self.peer.recv(1 << 16):
                    self.peer_got += part
            except ConnectionResetError:
                # A host resets when a socket is closed with bytes that nobody has received.
                assert len(received) < len(self.peer_sent)
            else:
                assert self.peer_got == sent, "every send that succeeded has arrived, and nothing else"
        assert sent.startswith(self.peer_got)


@settings(max_examples=60)
@given(ACTIONS)
def test_p15_any_sequence_of_calls(actions: list[tuple[str, Any]]) -> None:
    """P-15: exactly one packet for what pended or succeeded, none for what failed at once; data as in a plain model."""
    with bench_in_use() as bench:
        history = History(bench)
        for action, argument in actions:
            history.do(action, argument)
        history.finish()


@pytest.mark.slow
@settings(max_examples=1500)
@given(ACTIONS)
def test_p15_any_sequence_of_calls_at_length(actions: list[tuple[str, Any]]) -> None:
    """As before, with many more examples."""
    with bench_in_use() as bench:
        history = History(bench)
        for action, argument in actions:
            history.do(action, argument)
        history.finish()


# -- peers -------------------------------------------------------------------------------------------------------


def test_a_peer_that_sends_byte_by_byte() -> None:
    """Nothing is lost or reordered, however it is cut."""
    with bench_in_use() as bench:
        own, peer = bench.pair()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = os.urandom(400)

        def trickle() -> None:
            for at in range(len(data)):
                peer.send(data[at : at + 1])
            peer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=trickle)
        thread.start()
        got = bytearray()
        while True:
            call = bench.recv(own, 7)
            error, count, _, _ = bench.packet()
            assert error == 0
            if not count:
                break
            got += call.data
        thread.join(DEADLINE)
        assert got == data


def test_a_peer_that_half_closes() -> None:
    """After the peer's end of sending, sending to it still works."""
    with bench_in_use() as bench:
        own, peer = bench.pair()
        end = bench.recv(own)
        peer.shutdown(socket.SHUT_WR)
        assert bench.packet() == (0, 0, 1, end.ov)
        assert bench.send(own, b"answer").answer == (0, 6)
        assert peer.recv(10) == b"answer"
        bench.packet()


def test_a_peer_that_stalls() -> None:
    """Sends to a peer that takes nothing stay pending until they are cancelled or the peer goes on."""
    with bench_in_use() as bench:
        history = History(bench)
        for _ in range(6):
            history.do_send(300_000)
        assert history.calls[-1][1].is_pending
        history.do_cancel_all(0)
        history.finish()


# -- races -------------------------------------------------------------------------------------------------------


def race_of_cancels(receives: int, seed: int) -> None:
    """One thread receives byte by byte, one cancels at random, one sends, one collects."""
    chance = random.Random(seed)
    with bench_in_use() as bench:
        own, peer = bench.pair()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        under_way: list[Call] = []
        done = threading.Event()
        sent = bytearray()
        number = own.fileno()

        def send() -> None:
            while not done.is_set():
                piece = bytes([len(sent) & 0xFF])
                peer.send(piece)
                sent.extend(piece)
                if chance.random() < 0.3:
                    done.wait(0.00005)

        def cancel() -> None:
            with use(bench.system):
                while not done.is_set():
                    calls = list(under_way)
                    if calls:
                        win32.CancelIoEx(number, chance.choice(calls).ov if chance.random() < 0.8 else None)

        threads = [threading.Thread(target=each) for each in (send, cancel)]
        for thread in threads:
            thread.start()
        got: list[bytes] = []
        order: list[Call] = []
        by_block: dict[int, Call] = {}
        packets: Counter[int] = Counter()
        while len(order) < receives or by_block:
            while len(under_way) < 4 and len(order) < receives:
                call = Call()
                call.buffer = bytearray(1)  # type: ignore[attr-defined]
                # Listed before it is issued: a cancel may come at any time.
                under_way.append(call)
                by_block[id(call.ov)] = call
                order.append(call)
                call.make(win32.WSARecv, number, call.buffer, 1, 0, call.ov)  # type: ignore[attr-defined]
                assert call.error in (None, 997), call.error
            error, count, _, overlapped = bench.packet()
            packets[id(overlapped)] += 1
            call = by_block.pop(id(overlapped))
            under_way.remove(call)
            assert (error, count) in ((0, 1), (995, 0))
        done.set()
        for thread in threads:
            thread.join(DEADLINE)
        assert bench.no_packet()
        assert len(packets) == receives
        assert set(packets.values()) == {1}
        got = [bytes(call.buffer) for call in order if call.ov.Internal == 0]  # type: ignore[attr-defined]
        assert sent.startswith(b"".join(got)), "no byte is lost, none comes twice"
        assert {call.ov.Internal for call in order} <= {0, 0xC0000120}


def test_i41_cancels_racing_completions() -> None:
    """I-41: a cancelled receive and its data: one packet in any case, and no byte is lost."""
    race_of_cancels(400, seed=1)


@pytest.mark.slow
def test_i41_ten_thousand_cancels_racing_completions() -> None:
    """I-41: ten thousand of them."""
    race_of_cancels(10_000, seed=2)


def race_of_closes(rounds: int) -> None:
    """Sockets are closed while peers send, reset and close, and threads receive."""
    with bench_in_use() as bench:
        for at in range(rounds):
            own, peer = bench.pair(key=at)
            calls = [bench.recv(own, 4) for _ in range(3)]
            barrier = threading.Barrier(2)

            def disturb(peer: socket.socket = peer, barrier: threading.Barrier = barrier, at: int = at) -> None:
                barrier.wait(DEADLINE)
                if at % 3 == 0:
                    peer.send(b"abcdefgh")
                elif at % 3 == 1:
                    reset(peer)
                else:
                    peer.close()

            thread = threading.Thread(target=disturb)
            thread.start()
            barrier.wait(DEADLINE)
            assert win32.closesocket(own.detach()) == 0
            thread.join(DEADLINE)
            packets = [bench.packet() for _ in calls]
            assert [packet[3] for packet in packets] == [call.ov for call in calls]
            assert {packet[0] for packet in packets} <= {0, 64, 1236}
            assert bench.no_packet()
            peer.close()


def test_i43_closes_racing_completions() -> None:
    """I-43: each receive ends once, however the close meets what the peer does."""
    race_of_closes(60)


# -- many, and nothing left --------------------------------------------------------------------------------------


def echo(connections: int, messages: int) -> None:
    """A server of accepts, receives and sends on one port with two workers; clients check what comes back."""
    system = ThreadSystem(processors=2)
    with use(system):
        port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 2)
        listener = socket.create_server(ANY_PORT, backlog=1024)
        win32.CreateIoCompletionPort(listener.fileno(), port, listener.fileno(), 0)
    kinds: dict[int, Any] = {}
    served: set[int] = set()
    lock = threading.Lock()
    failures: list[BaseException] = []

    def receive(number: int) -> None:
        overlapped, buffer = win32.OVERLAPPED(), bytearray(64)
        kinds[id(overlapped)] = ("recv", number, buffer, overlapped)
        if win32.WSARecv(number, buffer, 64, 0, overlapped).ret and win32.GetLastError() != 997:
            leave(number)

    def leave(number: int) -> None:
        with lock:
            served.discard(number)
        assert win32.closesocket(number) == 0

    def accept() -> None:
        target = win32.socket(win32.AF_INET, win32.SOCK_STREAM, 0)
        overlapped, buffer = win32.OVERLAPPED(), bytearray(64)
        kinds[id(overlapped)] = ("accept", target, buffer, overlapped)
        assert not win32.AcceptEx(listener.fileno(), target, buffer, 0, overlapped)
        assert win32.GetLastError() == 997

    def work() -> None:
        try:
            with use(system):
                while True:
                    packet = win32.GetQueuedCompletionStatus(port, DEADLINE_MS)
                    if packet.lpOverlapped is None:
                        return
                    kind, number, buffer, overlapped = kinds.pop(id(packet.lpOverlapped))
                    assert overlapped is packet.lpOverlapped
                    if kind == "accept" and packet.ret:
                        with lock:
                            served.add(number)
                        win32.CreateIoCompletionPort(number, port, number, 0)
                        accept()
                        receive(number)
                    elif kind == "accept":
                        win32.closesocket(number)
                    elif kind == "recv" and packet.ret and packet.lpNumberOfBytesTransferred:
                        sending = win32.OVERLAPPED()
                        kinds[id(sending)] = ("send", number, buffer, sending)
                        count = overlapped.InternalHigh
                        win32.WSASend(number, buffer, count, 0, sending)
                    elif kind == "send":
                        receive(number)
                    else:
                        leave(number)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    with use(system):
        for _ in range(8):
            accept()
    clients = [socket.create_connection(listener.getsockname(), DEADLINE) for _ in range(connections)]
    eventually(lambda: len(served) == connections, "everybody is served")
    for round_ in range(messages):
        for at, client in enumerate(clients):
            client.sendall(f"{round_}:{at}".encode())
        for at, client in enumerate(clients):
            assert client.recv(64) == f"{round_}:{at}".encode()
    for client in clients:
        client.close()
    eventually(lambda: not served, "every connection is closed")
    with use(system):
        assert win32.closesocket(listener.detach()) == 0
        eventually(lambda: not kinds or bool(failures), "every packet has come")
        for _ in workers:
            win32.PostQueuedCompletionStatus(port, 0, 0, None)
        for worker in workers:
            worker.join(DEADLINE)
        assert not failures
        assert win32.CloseHandle(port)
    assert [each for each in system.kernel.objects if type(each).__name__ in ("FileObject", "IoCompletion")] == []
    assert not system.process.handles.handles()
    assert system.catch_up is None


def test_a_server_leaves_nothing() -> None:
    """Fifty connections served on one port: no descriptor, request or object is left."""
    before, watched = open_descriptors(), REACTOR.watched
    echo(50, 3)
    assert open_descriptors() <= before
    assert REACTOR.watched == watched


@pytest.mark.slow
def test_a_thousand_connections_at_once() -> None:
    """A thousand connections open at once, each served many times: no error, no lost packet, nothing left."""
    before, watched = open_descriptors(), REACTOR.watched
    echo(1000, 20)
    assert open_descriptors() <= before
    assert REACTOR.watched == watched
