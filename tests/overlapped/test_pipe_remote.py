"""A pipe between two machines that know of each other only by the registry: the same answers as within one machine."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Generator

import pytest

from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.objects import Access
from iocp_emu.overlapped import pipe_remote
from iocp_emu.overlapped.pipe_doors import Door
from iocp_emu.overlapped.pipe_names import PipeDirection, wait_for_instance
from iocp_emu.overlapped.pipe_queues import ReadMode
from iocp_emu.overlapped.pipe_remote import RemoteEnd
from iocp_emu.overlapped.pipe_states import BufferSizes, PipeState, PipeType, WaitMode
from iocp_emu.status import (
    STATUS_ACCESS_DENIED,
    STATUS_BUFFER_OVERFLOW,
    STATUS_CANCELLED,
    STATUS_INSUFFICIENT_RESOURCES,
    STATUS_IO_TIMEOUT,
    STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PENDING,
    STATUS_PIPE_BROKEN,
    STATUS_PIPE_CLOSING,
    STATUS_PIPE_CONNECTED,
    STATUS_PIPE_DISCONNECTED,
    STATUS_PIPE_EMPTY,
    STATUS_PIPE_NOT_AVAILABLE,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import NAME, OpenedEnd, drain, open_, refused, serve
from tests.overlapped.pipe_hosts import (
    apart,
    can_read,
    hosts,
    meeting_place,
    needs_unix_sockets,
    quick_reactor,
)
from tests.overlapped.support import Operation, Rig, eventually

__all__ = ["hosts", "meeting_place", "quick_reactor"]

pytestmark = needs_unix_sockets
Hosts = Callable[[], Rig]
READ, WRITE = Access.FILE_READ_DATA, Access.FILE_WRITE_DATA


def until_one_waits(door: Door) -> None:
    """Wait until somebody waits there for a free instance."""
    eventually(lambda: door.waiting == 1, "it waits")


def ended(operation: Operation) -> int:
    """The NTSTATUS with which it ends, at once or later."""
    if operation.code != STATUS_PENDING:
        return operation.code
    eventually(lambda: not operation.block.is_pending, "it ends")
    return operation.block.status


# -- opening -------------------------------------------------------------------------------------------------------


def test_a_client_of_another_process_is_answered_as_one_of_this(hosts: Hosts) -> None:
    """2 no such pipe, 5 the wrong way, 231 none free; the listen ends, and both know of each other."""
    there, here = hosts(), hosts()
    assert refused(open_, here) == STATUS_OBJECT_NAME_NOT_FOUND
    server = serve(there, "In", direction=PipeDirection.INBOUND, sizes=BufferSizes(7, 9)).bind()
    listen = server.listen()
    assert refused(open_, here, "in", READ) == STATUS_OBJECT_NAME_NOT_FOUND
    assert refused(open_, here, "In", READ | WRITE) == STATUS_ACCESS_DENIED
    client = open_(here, "In", WRITE)
    assert refused(open_, here, "In") == STATUS_PIPE_NOT_AVAILABLE
    packet = there.packet()
    assert (packet.overlapped, packet.status) == (listen.block, STATUS_SUCCESS)
    assert server.listen().code == STATUS_PIPE_CONNECTED
    assert (client.end.sizes, client.end.pipe.type) == ((7, 9), PipeType.BYTE)
    assert client.end.far_process_id == server.end.far_process_id == os.getpid()
    assert client.write(b"x").code == STATUS_SUCCESS
    can_read(server, 1)


def test_one_process_serves_a_name(hosts: Hosts) -> None:
    """5 for another process, whatever it wants; the name is free with the last instance; either may be next."""
    there, here = hosts(), hosts()
    servers = [serve(there), serve(there)]
    assert refused(serve, here) == STATUS_ACCESS_DENIED
    servers.pop().close()
    assert refused(serve, here) == STATUS_ACCESS_DENIED
    servers.pop().close()
    server = serve(here)
    assert refused(serve, there) == STATUS_ACCESS_DENIED
    client = open_(there)
    server.close()
    serve(there)
    assert client.rig is there


def test_instances_in_turn_and_again(hosts: Hosts) -> None:
    """Each client gets an instance of its own, a disconnected one serves again."""
    there, here = hosts(), hosts()
    servers = [serve(there) for _ in range(3)]
    clients = [open_(here) for _ in range(3)]
    for number, (server, client) in enumerate(zip(servers, clients, strict=True)):
        client.write(bytes([number]))
        can_read(server, 1)
        assert server.read(9).data == bytes([number])
    servers[1].disconnect()
    assert ended(clients[1].read(1)) == STATUS_PIPE_DISCONNECTED
    servers[1].listen()
    client = open_(here)
    client.write(b"again")
    can_read(servers[1], 5)


def test_waiting_for_an_instance_of_another_process(hosts: Hosts) -> None:
    """2 at once, 121 in its time or the pipe's; then when one is free, or the name comes again."""
    there, here = hosts(), hosts()
    assert refused(wait_for_instance, here.system, NAME, 9) == STATUS_OBJECT_NAME_NOT_FOUND
    server = serve(there, default_timeout=0.02)
    wait_for_instance(here.system, NAME, 0)
    client = open_(here)
    assert refused(wait_for_instance, here.system, NAME, None) == STATUS_IO_TIMEOUT
    assert refused(wait_for_instance, here.system, NAME, 0.03) == STATUS_IO_TIMEOUT
    for comes_again in (False, True):
        door = server.end.pipe.door
        assert door is not None
        waiter = threading.Thread(target=wait_for_instance, args=(here.system, NAME, 60))
        waiter.start()
        until_one_waits(door)
        assert door.guests == set()
        server.close() if comes_again else server.disconnect()
        serve(there) if comes_again else server.listen()
        waiter.join()
        client.close()
        client = open_(here)


# -- reading and writing -------------------------------------------------------------------------------------------


def test_i05_bytes_both_ways(hosts: Hosts) -> None:
    """I-05: pending reads end with a packet; bytes join and split."""
    server, client = apart(hosts)
    server.bind()
    read = server.read(4)
    assert read.code == STATUS_PENDING
    client.write(b"123456")
    assert (server.rig.packet().overlapped, read.data) == (read.block, b"1234")
    client.write(b"789")
    can_read(server, 5)
    assert server.read(99).data == b"56789"
    server.write(b"back")
    can_read(client, 4)
    assert client.read(99).data == b"back"


def test_i04_messages_keep_their_bounds(hosts: Hosts) -> None:
    """I-04: one read, one message, the empty one too; 234 for a part; peek sees them all."""
    server, client = apart(hosts, type=PipeType.MESSAGE)
    for message in (b"one", b"", b"three"):
        assert client.write(message).code == STATUS_SUCCESS
    can_read(server, 8, 3)
    assert server.peek(9) == (b"one", 8, 3, 3)
    reads = [server.read(size) for size in (2, 9, 0, 9)]
    assert [(read.code, read.data) for read in reads] == [
        (STATUS_BUFFER_OVERFLOW, b"on"),
        (STATUS_SUCCESS, b"e"),
        (STATUS_SUCCESS, b""),
        (STATUS_SUCCESS, b"three"),
    ]
    assert client.flush() == STATUS_SUCCESS


def test_a_message_of_many_frames(hosts: Hosts) -> None:
    """A message far longer than a frame, the quota and the buffers of the host comes whole."""
    server, client = apart(hosts, type=PipeType.MESSAGE, quota=16)
    message = random.Random(1).randbytes(1 << 20)
    write, rest = client.write(message), client.write(b"rest")
    assert write.code == rest.code == STATUS_PENDING
    can_read(server, len(message), 1)
    assert (server.read(1000).data, write.block.is_pending) == (message[:1000], True)
    assert server.read(1 << 20).data == message[1000:]
    assert (ended(write), write.block.information, ended(rest)) == (STATUS_SUCCESS, 1 << 20, STATUS_SUCCESS)


def test_too_long_a_message(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused at once, and nothing else is harmed; the question of a transaction breaks the pipe."""
    monkeypatch.setattr(pipe_remote, "LARGEST_MESSAGE", 100)
    server, client = apart(hosts, type=PipeType.MESSAGE)
    assert client.write(bytes(101)).code == STATUS_INSUFFICIENT_RESOURCES
    assert client.write(bytes(100)).code == STATUS_SUCCESS
    can_read(server, 100)
    call = client.transact(bytes(101), 9)
    assert ended(call) == STATUS_PIPE_BROKEN
    assert server.read(100).code == STATUS_SUCCESS
    assert ended(server.read(1)) == STATUS_PIPE_BROKEN


def test_transactions(hosts: Hosts) -> None:
    """k32pipe-transact: the answer ends it."""
    server, client = apart(hosts, type=PipeType.MESSAGE)
    for answer in (b"answer", b""):
        call = client.transact(b"question", 9)
        can_read(server, 8)
        assert server.read(99).data == b"question"
        server.write(answer)
        assert (ended(call), call.data) == (STATUS_SUCCESS, answer)


def test_synchronous_ends(hosts: Hosts) -> None:
    """Q-23: reads and writes wait for the other process."""
    there, here = hosts(), hosts()
    server = serve(there, io_mode=IoMode.SYNCHRONOUS, quota=0)
    client = open_(here, io_mode=IoMode.SYNCHRONOUS)
    other = threading.Thread(target=lambda: server.write_now(server.read_now(5)[1].upper()))
    other.start()
    assert client.write_now(b"hello") == (STATUS_SUCCESS, 5)
    assert client.read_now(9) == (STATUS_SUCCESS, b"HELLO")
    other.join()
    assert server.flush() == STATUS_SUCCESS


def test_nowait(hosts: Hosts) -> None:
    """PIPE_NOWAIT: 232 for nothing to read; what fits the quota is written."""
    server, client = apart(hosts, quota=4)
    client.set_modes(ReadMode.BYTE, WaitMode.NOWAIT)
    assert client.read(4).code == STATUS_PIPE_EMPTY
    assert client.write(b"123456").block.information == 4
    can_read(server, 4)


# -- quotas and cancelling -----------------------------------------------------------------------------------------


def test_a_write_ends_when_it_fits(hosts: Hosts) -> None:
    """k32pipe-quota: it pends beyond the quota, in order, and ends when the other process has read enough."""
    server, client = apart(hosts, quota=8)
    client.bind()
    writes = [client.write(data) for data in (b"12345678", b"abc", b"de")]
    assert [write.code for write in writes] == [STATUS_SUCCESS, STATUS_PENDING, STATUS_PENDING]
    can_read(server, 13)
    server.read(3)
    assert [client.rig.packet().overlapped for _ in range(2)] == [writes[0].block, writes[1].block]
    assert writes[2].block.is_pending
    server.read(2)
    assert client.rig.packet().overlapped is writes[2].block


def test_only_a_window_stands_unread_over_there(hosts: Hosts) -> None:
    """A reader that does not read holds no more than a window and one frame."""
    server, client = apart(hosts, quota=0)
    data = random.Random(2).randbytes(1 << 21)
    write = client.write(data)
    most = pipe_remote.SMALLEST_WINDOW * 2
    eventually(lambda: server.peek()[1] >= pipe_remote.SMALLEST_WINDOW, "as much as there may be is there")
    taken = bytearray()
    while len(taken) < len(data):
        assert server.peek()[1] <= most
        read = server.read(50_000)
        assert ended(read) == STATUS_SUCCESS
        taken += read.data
    assert taken == data
    assert ended(write) == STATUS_SUCCESS


def test_many_messages_through_a_small_window(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands unread is counted right over any sequence of messages, read in parts, and never more than may be."""
    monkeypatch.setattr(pipe_remote, "SMALLEST_WINDOW", 300)
    server, client = apart(hosts, type=PipeType.MESSAGE, quota=64)
    chance = random.Random(3)
    sent = [chance.randbytes(chance.choice((0, 1, 30, 64, 65, 500))) for _ in range(300)]
    writes = [client.write(message) for message in sent]
    got: list[bytes] = []
    part = b""
    while len(got) < len(sent):
        read = server.read(chance.choice((40, 400, 999)))
        part += (ended(read), read.data)[1]
        if read.block.status == STATUS_SUCCESS:
            got.append(part)
            part = b""
    assert got == sent
    assert {ended(write) for write in writes} == {STATUS_SUCCESS}
    assert client.flush() == STATUS_SUCCESS


@pytest.mark.parametrize("kind", [PipeType.BYTE, PipeType.MESSAGE])
def test_cancelling_writes_takes_what_is_unread_back(hosts: Hosts, kind: PipeType) -> None:
    """k32pipe-cancelwrite: also what is over there already, and what has gone out in part."""
    server, client = apart(hosts, type=kind, quota=4)
    big, long, small = client.write(b"0123456789"), client.write(bytes(1 << 20)), client.write(b"ab")
    eventually(lambda: server.peek()[2] >= 1, "it is there")
    assert server.read(2).data == b"01"
    assert [client.cancel(each) for each in (long, big)] == [1, 1]
    assert [ended(big), ended(long)] == [STATUS_CANCELLED] * 2
    assert ended(small) == STATUS_SUCCESS
    can_read(server, 2)
    assert server.read(99).data == b"ab"
    assert client.flush() == STATUS_SUCCESS
    client.write(b"1234")
    can_read(server, 4)


def test_cancels_that_race_with_the_reader(hosts: Hosts) -> None:
    """I-41: whoever is faster, every write ends once: as done if it was read, as cancelled if it never will be."""
    server, client = apart(hosts, type=PipeType.MESSAGE, quota=0)
    chance = random.Random(4)
    taken: list[int] = []
    pending: list[tuple[int, Operation]] = []
    for number in range(300):
        pending.append((number, client.write(number.to_bytes(4, "little"))))
        if chance.random() < 0.5:
            client.cancel(chance.choice(pending)[1])
        if chance.random() < 0.7 and server.peek()[2]:
            taken.append(int.from_bytes(server.read(4).data, "little"))
    client.cancel()
    statuses = {number: ended(write) for number, write in pending}
    assert set(statuses.values()) <= {STATUS_SUCCESS, STATUS_CANCELLED}
    assert taken == [number for number, code in statuses.items() if code == STATUS_SUCCESS]
    assert client.flush() == STATUS_SUCCESS
    assert server.peek()[1:3] == (0, 0)
    last = client.write(b"last")
    assert ended(server.read(4)) == ended(last) == STATUS_SUCCESS


@contextlib.contextmanager
def deaf(end: OpenedEnd, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """What the other process says reaches this end only when the block is left."""
    far = end.end.far
    assert isinstance(far, RemoteEnd)
    with monkeypatch.context() as patch:
        patch.setattr(far, "on_ready", lambda events: None)
        yield


def test_i41_a_cancel_that_comes_too_late(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """I-41, I-42: cancelling does not wait; what had been read by then is no cancelled write, the rest is one."""
    server, client = apart(hosts, type=PipeType.MESSAGE, quota=0)
    client.bind()
    writes = [client.write(data) for data in (b"read", b"in part", b"not")]
    can_read(server, 14)
    with deaf(client, monkeypatch):
        assert [server.read(4).data, server.read(2).data] == [b"read", b"in"]
        assert [client.cancel() for _ in range(2)] == [3, 3]
        assert [write.block.is_pending for write in writes] == [True] * 3
        can_read(server, 0)
    outcomes = {packet.overlapped: (packet.status, packet.bytes) for packet in (client.rig.packet() for _ in writes)}
    assert [outcomes[write.block] for write in writes] == [
        (STATUS_SUCCESS, 4),
        (STATUS_CANCELLED, 0),
        (STATUS_CANCELLED, 0),
    ]
    assert server.peek()[1:3] == (0, 0)


def test_a_write_on_its_way_back_and_the_quota(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up no write behind it, and does not end because it would fit: only when it is known what was read."""
    server, client = apart(hosts, type=PipeType.MESSAGE, quota=4)
    back, behind, last = (client.write(data) for data in (b"too big", b"ab", b"last"))
    can_read(server, 13)
    with deaf(client, monkeypatch):
        client.cancel(back)
        assert [write.block.is_pending for write in (back, behind, last)] == [True, False, True]
        can_read(server, 6)
    assert ended(back) == STATUS_CANCELLED
    with deaf(server, monkeypatch):
        client.cancel(last)
        assert server.read(4).data == b"ab"
        eventually(lambda: client.end.outbox.settled == 0, "it is known")
        assert last.block.is_pending
    assert ended(last) == STATUS_CANCELLED
    assert client.flush() == STATUS_SUCCESS


@pytest.mark.parametrize("who", ["its own end", "the other end", "the pipe"])
def test_i43_closing_while_a_write_is_on_its_way_back(hosts: Hosts, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    """I-43: one packet all the same: the write that was cancelled is, the one behind it ends as the pipe does."""
    server, client = apart(hosts, type=PipeType.MESSAGE, quota=0)
    client.bind()
    cancelled, other = client.write(b"cancelled"), client.write(b"other")
    can_read(server, 14)
    with deaf(server, monkeypatch):
        client.cancel(cancelled)
        assert cancelled.block.is_pending
        if who == "its own end":
            client.close()
        elif who == "the other end":
            server.close()
        else:
            server.disconnect()
        outcomes = {packet.overlapped: packet.status for packet in (client.rig.packet() for _ in range(2))}
    assert outcomes == {
        cancelled.block: STATUS_CANCELLED,
        other.block: STATUS_PIPE_DISCONNECTED if who == "the pipe" else STATUS_PIPE_BROKEN,
    }


# -- the end -------------------------------------------------------------------------------------------------------


def test_i43_what_was_written_outlives_its_writer(hosts: Hosts) -> None:
    """k32pipe-procexit: what writes that had ended have written stays readable, other data is gone; then 109."""
    server, client = apart(hosts, quota=4)
    client.bind()
    client.write(b"done")
    write, read = client.write(b"waiting"), client.read(1)
    client.close()
    packets = {packet.overlapped: packet.status for packet in drain(client.rig)}
    assert (packets.pop(write.block), packets.pop(read.block)) == (STATUS_PIPE_BROKEN, STATUS_PIPE_BROKEN)
    eventually(lambda: server.end.state is PipeState.CLOSING, "it is known")
    assert server.read(99).data == b"done"
    assert (server.read(1).code, server.write(b"x").code) == (STATUS_PIPE_BROKEN, STATUS_PIPE_CLOSING)


def test_much_that_was_written_outlives_its_writer(hosts: Hosts) -> None:
    """More than the host holds: it goes out after the close, while the other process reads."""
    server, client = apart(hosts, quota=1 << 22)
    data = random.Random(5).randbytes(1 << 22)
    assert client.write(data).code == STATUS_SUCCESS
    client.close()
    taken = bytearray()
    while len(taken) < len(data):
        read = server.read(1 << 20)
        assert ended(read) == STATUS_SUCCESS
        taken += read.data
    assert taken == data
    assert ended(server.read(1)) == STATUS_PIPE_BROKEN


def test_closing_ends_what_the_other_process_waits_for(hosts: Hosts) -> None:
    """ntpipe-broken-pending, k32pipe-closewrite: pending reads, writes and flushes over there end with 109."""
    server, client = apart(hosts, quota=2)
    client.bind()
    operations = [client.read(4), client.write(b"too much")]
    can_read(server, 8)
    server.close()
    assert {client.rig.packet().status for _ in operations} == {STATUS_PIPE_BROKEN}
    assert client.end.state is PipeState.CLOSING


def test_disconnecting_throws_away_what_is_unread(hosts: Hosts) -> None:
    """k32pipe-closewrite: 233 over there, also for what had arrived; and what the client had sent is lost."""
    server, client = apart(hosts, quota=2)
    client.bind()
    write = client.write(b"too much")
    server.write(b"ab")
    can_read(client, 2)
    can_read(server, 8)
    assert server.disconnect() == STATUS_SUCCESS
    assert client.rig.packet().overlapped is write.block
    assert write.block.status == STATUS_PIPE_DISCONNECTED
    assert (client.read(9).code, client.write(b"x").code) == (STATUS_PIPE_DISCONNECTED,) * 2
    assert server.read(9).code == STATUS_PIPE_DISCONNECTED


def test_clients_that_come_and_go(hosts: Hosts) -> None:
    """One instance serves a hundred clients in turn, and nothing of them is left."""
    there, here = hosts(), hosts()
    server = serve(there)
    for number in range(100):
        client = open_(here)
        client.write(bytes([number]))
        if number % 2:
            client.close()
        can_read(server, 1)
        assert server.read(9).data == bytes([number])
        server.disconnect()
        if client.handle is not None:
            assert ended(client.read(1)) == STATUS_PIPE_DISCONNECTED
            client.close()
        server.listen()
    assert not [each for each in server.end.pipe.free if each is not server.end]
