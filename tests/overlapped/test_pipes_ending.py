"""How requests on a pipe end early: cancelled, closed at either end, disconnected; and what is left then."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from iocp_emu.overlapped.pipe_states import PipeState
from iocp_emu.status import (
    STATUS_CANCELLED,
    STATUS_INVALID_PIPE_STATE,
    STATUS_PENDING,
    STATUS_PIPE_BROKEN,
    STATUS_PIPE_CLOSING,
    STATUS_PIPE_DISCONNECTED,
    STATUS_PIPE_LISTENING,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import OpenedEnd, brought, connected, drain, open_, refused, serve
from tests.overlapped.support import MakeRig, Operation, Rig, in_thread

# -- cancelling ----------------------------------------------------------------------------------------------------


def test_i40_cancelling_one_of_two_reads(rig: Rig) -> None:
    """I-40: k32pipe-cancelone, k32pipe-canceltwice: only that one ends; again there is nothing to cancel."""
    server, client = connected(rig)
    server.bind()
    first, second = server.read(4), server.read(4)
    assert (server.cancel(second), server.cancel(second)) == (1, 0)
    assert brought(rig, second) == (STATUS_CANCELLED, 0)
    client.write(b"x")
    assert brought(rig, first) == (STATUS_SUCCESS, 1)
    assert rig.no_packet()


def test_cancelling_a_write_takes_its_unread_data_back(rig: Rig) -> None:
    """k32pipe-cancelwrite: of the big write nothing more is read, the small one behind it ends."""
    server, client = connected(rig, quota=4)
    client.bind()
    big, small = client.write(b"0123456789"), client.write(b"ab")
    assert server.read(2).data == b"01"
    assert client.cancel(big) == 1
    assert (brought(rig, big), brought(rig, small)) == ((STATUS_CANCELLED, 0), (STATUS_SUCCESS, 2))
    assert server.read(99).data == b"ab"


def test_cancelling_a_write_in_the_middle(rig: Rig) -> None:
    """k32pipe-cancelwrite: those around it stay as they are and in order."""
    server, client = connected(rig, quota=1)
    writes = [client.write(data) for data in (b"aa", b"bb", b"cc")]
    assert client.cancel(writes[1]) == 1
    assert [write.block.is_pending for write in writes] == [True, False, True]
    assert server.read(99).data == b"aacc"
    assert [write.block.status for write in writes] == [STATUS_SUCCESS, STATUS_CANCELLED, STATUS_SUCCESS]


def test_i31_a_thread_that_ends(rig: Rig) -> None:
    """I-31, M-20: its thread-bound read is cancelled, its thread-agnostic one stays."""
    server, client = connected(rig)
    server.bind()
    event = rig.event()

    def step() -> tuple[Operation, Operation]:
        return server.read(4), server.read(4, ask=server.ask(event=event))

    agnostic, bound = in_thread(step)
    assert brought(rig, bound) == (STATUS_CANCELLED, 0)
    assert event.signalled
    client.write(b"x")
    assert brought(rig, agnostic) == (STATUS_SUCCESS, 1)


# -- the end -------------------------------------------------------------------------------------------------------


def test_i43_closing_an_end_ends_its_requests_as_broken(rig: Rig) -> None:
    """I-43, M-21: ntfile-close-pending: read and write of the closed end bring 109 and 0 bytes after the close."""
    server, client = connected(rig, quota=2)
    server.bind()
    read, write = server.read(4), server.write(b"too much")
    server.close()
    assert (brought(rig, read), brought(rig, write)) == ((STATUS_PIPE_BROKEN, 0), (STATUS_PIPE_BROKEN, 0))
    assert rig.no_packet()
    assert client.read(4).code == STATUS_PIPE_BROKEN
    assert client.end.state is PipeState.CLOSING


@pytest.mark.parametrize("who", ["the server", "the client", "nobody"])
def test_the_way_to_who_ends_a_pipe_is_ended_first(rigs: MakeRig, who: str) -> None:
    """I-11: first its own reads or the writes to it, then its own writes or the reads of what it writes."""
    for waiting in (
        ("server reads", "server writes"),
        ("client writes", "server writes"),
        ("client writes", "client reads"),
        ("server reads", "client reads"),
    ):
        rig = rigs()
        server, client = connected(rig, quota=2)
        server.bind("server")
        client.bind("client")
        started: dict[object, str] = {}
        for what in waiting:
            end = server if what.startswith("server") else client
            started[(end.read(4) if what.endswith("reads") else end.write(b"too much")).block] = what
        if who == "the client":
            client.close()
        elif who == "the server":
            server.close()
        else:
            server.disconnect()
        ended = [started[rig.packet(0).overlapped] for _ in waiting]
        first = {"client reads", "server writes"} if who == "the client" else {"server reads", "client writes"}
        assert ended == sorted(waiting, key=lambda what: what not in first)


def test_closing_the_other_end_ends_requests_as_broken(rig: Rig) -> None:
    """ntpipe-broken-pending, k32pipe-closewrite: pending read and write end with 109."""
    server, client = connected(rig, quota=2)
    server.bind()
    read, write = server.read(4), server.write(b"too much")
    client.close()
    assert {rig.packet(0).status, rig.packet(0).status} == {STATUS_PIPE_BROKEN}
    assert (read.block.information, write.block.information) == (0, 0)


def test_i03_after_the_other_end_is_closed(rig: Rig) -> None:
    """I-03: k32pipe-noimmediate: what is left can be read, then 109; writes 232; all at once and without packet."""
    server, client = connected(rig)
    server.bind()
    client.write(b"bye")
    client.close()
    assert server.peek(9) == (b"bye", 3, 1, 3)
    last = server.read(2)
    assert (last.data, brought(rig, last)) == (b"by", (STATUS_SUCCESS, 2))
    assert server.read(9).code == STATUS_SUCCESS
    rig.packet(0)
    read, write = server.read(4), server.write(b"x")
    assert (read.code, write.code) == (STATUS_PIPE_BROKEN, STATUS_PIPE_CLOSING)
    assert refused(server.peek) == STATUS_PIPE_BROKEN
    assert (read.block.status, read.block.information, rig.no_packet()) == (STATUS_PENDING, 0x77, True)


def test_a_write_that_waits_goes_with_its_end(rig: Rig) -> None:
    """k32pipe-procexit: data of writes that had ended stays readable, that of a write that had not is gone."""
    server, client = connected(rig, quota=4)
    client.write(b"done")
    client.write(b"waiting")
    client.close()
    assert server.read(99).data == b"done"
    assert server.read(99).code == STATUS_PIPE_BROKEN


def test_i44_closing_one_of_two_handles_ends_nothing(rig: Rig) -> None:
    """I-44: ntpipe-close-one: the last close does."""
    server, client = connected(rig)
    server.bind()
    other = OpenedEnd(rig, server.file)
    read = server.read(4)
    server.close()
    assert rig.no_packet()
    client.write(b"x")
    assert brought(rig, read) == (STATUS_SUCCESS, 1)
    read = other.read(4)
    other.close()
    assert brought(rig, read) == (STATUS_PIPE_BROKEN, 0)


def test_i45_closing_with_nothing_outstanding(rig: Rig) -> None:
    """I-45: no packet."""
    server, client = connected(rig)
    server.bind()
    client.bind()
    client.write(b"x")
    rig.packet(0)
    client.close()
    server.close()
    assert rig.no_packet()


def test_disconnecting_ends_requests_of_both_ends(rig: Rig) -> None:
    """k32pipe-closewrite: 233 on both sides, unread data is lost, and so it stays until the next client."""
    server, client = connected(rig, quota=2)
    server.bind()
    client.bind()
    operations = [server.read(4), client.read(4)]
    client.cancel()
    assert rig.packet(0).status == STATUS_CANCELLED
    operations += [server.write(b"12345"), client.read(1)]
    assert rig.packet(0).information == 1
    assert server.disconnect() == STATUS_SUCCESS
    found = [rig.packet(0), rig.packet(0)]
    assert [packet.status for packet in found] == [STATUS_PIPE_DISCONNECTED] * 2
    assert {packet.overlapped for packet in found} == {operations[0].block, operations[2].block}
    for end in (server, client):
        assert end.read(4).code == end.write(b"x").code == STATUS_PIPE_DISCONNECTED
    assert refused(server.peek) == STATUS_INVALID_PIPE_STATE
    assert refused(client.peek) == STATUS_PIPE_DISCONNECTED
    assert client.flush() == STATUS_PIPE_DISCONNECTED
    assert server.disconnect() == STATUS_PIPE_DISCONNECTED


def test_an_instance_serves_the_next_client(rig: Rig) -> None:
    """DisconnectNamedPipe, then ConnectNamedPipe: a new client, and nothing of the old one."""
    server, client = connected(rig)
    client.write(b"lost")
    server.disconnect()
    listen = server.listen()
    assert listen.code == STATUS_PENDING
    again = open_(rig)
    assert listen.block.status == STATUS_SUCCESS
    again.write(b"new")
    assert server.read(9).data == b"new"
    client.close()
    assert again.write(b"!").code == STATUS_SUCCESS


def test_before_there_is_a_client(rig: Rig) -> None:
    """536 for reading and writing, no peeking, nothing to disconnect."""
    server = serve(rig)
    assert server.read(4).code == server.write(b"x").code == STATUS_PIPE_LISTENING
    assert server.transact(b"x", 1).code == STATUS_INVALID_PIPE_STATE
    assert server.disconnect() == STATUS_PIPE_LISTENING
    assert refused(server.peek) == STATUS_INVALID_PIPE_STATE
    assert server.flush() == STATUS_SUCCESS


def test_calls_that_come_after_the_last_close(rig: Rig) -> None:
    """A call that had looked its file up before another thread closed it: what a broken pipe answers, nothing hangs."""
    server, client = connected(rig)
    rig.system.perform(server.file.reference)
    try:
        server.close()
        assert server.read(4).code == STATUS_PIPE_BROKEN
        assert server.write(b"x").code == STATUS_PIPE_CLOSING
        assert server.listen().code == STATUS_PIPE_CLOSING
        assert server.disconnect() == STATUS_PIPE_CLOSING
        assert refused(server.peek) == STATUS_PIPE_BROKEN
        assert server.end.state is PipeState.CLOSED
    finally:
        rig.system.perform(server.file.dereference)
    assert client.end.state is PipeState.CLOSING


def test_nothing_is_left_of_a_pipe(rig: Rig) -> None:
    """No end, file or buffer outlives its last handle and request, whatever was under way."""
    server, client = connected(rig, quota=2)
    server.bind()
    ends: list[Callable[[], object]] = [
        weakref.ref(each) for each in (server.end, client.end, server.file, client.file)
    ]
    for end in (server, client):
        end.write(b"much too much")
    client.read(1)
    rig.opened.clear()
    server.close()
    client.close()
    assert rig.packet(0).status == STATUS_PIPE_BROKEN
    del server, client, end
    gc.collect()
    assert [ref() for ref in ends] == [None] * 4


def test_p15_random_order_of_ends_is_one_packet_each(rig: Rig) -> None:
    """P-15, I-02: hundreds of requests that end in every way there is: one packet each, as none fails at once."""
    server, client = connected(rig, quota=16)
    server.bind()
    issued: list[Operation] = []
    for round_ in range(200):
        issued += [server.read(round_ % 7), server.write(bytes(round_ % 23)), server.read(3)]
        if round_ % 3 == 0:
            client.write(bytes(round_ % 11))
        if round_ % 4 == 0:
            client.read(9)
        if round_ % 5 == 0:
            server.cancel(issued[-1])
    server.close()
    blocks = [operation.block for operation in issued]
    assert sorted(id(packet.overlapped) for packet in drain(rig)) == sorted(map(id, blocks))
    assert not any(block.is_pending for block in blocks)
