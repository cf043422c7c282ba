"""Pipe ends that are connected: reading, writing, quotas, messages and transactions, with the packets they bring."""

from __future__ import annotations

import pytest

from iocp_emu.kernel.file import NotificationMode
from iocp_emu.overlapped.pipe_queues import ReadMode
from iocp_emu.overlapped.pipe_states import BufferSizes, PipeType, WaitMode
from iocp_emu.status import (
    STATUS_BUFFER_OVERFLOW,
    STATUS_CANCELLED,
    STATUS_INVALID_PARAMETER,
    STATUS_INVALID_PIPE_STATE,
    STATUS_PENDING,
    STATUS_PIPE_BUSY,
    STATUS_PIPE_DISCONNECTED,
    STATUS_PIPE_EMPTY,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import brought, connected, messages, open_, refused, serve
from tests.overlapped.support import MakeRig, Rig

BYTE, MESSAGE = ReadMode.BYTE, ReadMode.MESSAGE


# -- reading and writing -------------------------------------------------------------------------------------------


def test_i05_a_write_ends_the_pending_read_within_its_call(rig: Rig) -> None:
    """I-05, I-27: ntfile-pipe-01: no packet while pending; then the data is there, the status at the dequeue."""
    server, client = connected(rig)
    server.bind()
    read = server.read(16)
    assert (read.code, rig.no_packet()) == (STATUS_PENDING, True)
    assert client.write(b"hello").code == STATUS_SUCCESS
    assert bytes(read.buffer[:5]) == b"hello"
    assert read.block.is_pending
    assert brought(rig, read) == (STATUS_SUCCESS, 5)
    assert rig.no_packet()


def test_i02_data_that_waits_is_read_within_the_call_and_brings_a_packet(rig: Rig) -> None:
    """I-02, I-26: ntfile-pipe-02."""
    server, client = connected(rig)
    server.bind()
    assert client.write(b"ab").code == STATUS_SUCCESS
    read = server.read(16)
    assert (read.code, read.block.status, read.data) == (STATUS_SUCCESS, STATUS_SUCCESS, b"ab")
    assert brought(rig, read) == (STATUS_SUCCESS, 2)
    assert rig.no_packet()


def test_what_a_call_ends_over_there_ends_before_the_call_itself(rig: Rig) -> None:
    """I-11: both on one port: of a read and a write, the packet of the one that waited comes first."""
    server, client = connected(rig)
    server.bind("server")
    client.bind("client")
    server.read(4)
    client.write(b"x")
    assert [rig.packet(0).key, rig.packet(0).key] == ["server", "client"]
    client.write(b"12345678" * 1024)
    server.read(8192)
    assert [rig.packet(0).key, rig.packet(0).key] == ["client", "server"]


def test_bytes_join_and_split(rig: Rig) -> None:
    """A byte pipe knows no bounds: writes join, reads take what fits; ntpipe-partial: part is enough."""
    server, client = connected(rig)
    client.write(b"aa")
    client.write(b"bbb")
    assert server.read(16).data == b"aabbb"
    first, second, third = server.read(3), server.read(2), server.read(9)
    client.write(b"1234567")
    assert (first.data, second.data, third.data) == (b"123", b"45", b"67")
    assert server.read(1).code == STATUS_PENDING


def test_messages_keep_their_bounds(rig: Rig) -> None:
    """One read, one message; the empty one too."""
    server, client = messages(rig)
    for message in (b"one", b"", b"three"):
        assert client.write(message).code == STATUS_SUCCESS
    assert server.peek(9) == (b"one", 8, 3, 3)
    assert [(read.code, read.data) for read in (server.read(9), server.read(9), server.read(9))] == [
        (STATUS_SUCCESS, b"one"),
        (STATUS_SUCCESS, b""),
        (STATUS_SUCCESS, b"three"),
    ]


def test_i04_part_of_a_message_is_a_warning_with_a_packet(rig: Rig) -> None:
    """I-04, M-14: at once and pending: 234 with the part that fits, and the rest is read next."""
    server, client = messages(rig)
    server.bind()
    client.write(b"0123456789")
    read = server.read(4)
    assert (read.code, read.block.status, read.data) == (STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_OVERFLOW, b"0123")
    assert brought(rig, read) == (STATUS_BUFFER_OVERFLOW, 4)
    assert server.read(99).data == b"456789"
    rig.packet(0)

    pending, rest = server.read(4), server.read(99)
    client.write(b"0123456789")
    assert (pending.code, rest.code) == (STATUS_PENDING, STATUS_PENDING)
    assert (brought(rig, pending), brought(rig, rest)) == ((STATUS_BUFFER_OVERFLOW, 4), (STATUS_SUCCESS, 6))


def test_messages_read_as_bytes(rig: Rig) -> None:
    """A message pipe whose reader wants bytes: reads run across the bounds, empty messages do not show between."""
    server, client = connected(rig, type=PipeType.MESSAGE)
    for message in (b"ab", b"", b"cde"):
        client.write(message)
    assert server.read(4).data == b"abcd"
    assert server.read(4).data == b"e"
    read = server.read(4)
    client.write(b"")
    assert (read.code, read.block.status, read.data) == (STATUS_PENDING, STATUS_SUCCESS, b"")


def test_an_empty_write_ends_a_read_of_messages_only(rig: Rig) -> None:
    """k32pipe-zero: on a message pipe the oldest pending read ends with 0 bytes, on a byte pipe nothing happens."""
    server, client = messages(rig)
    read, next_read = server.read(4), server.read(4)
    assert client.write(b"").code == STATUS_SUCCESS
    assert (read.block.status, read.block.information) == (STATUS_SUCCESS, 0)
    assert next_read.block.is_pending
    server.cancel()

    server, client = connected(rig, name="bytes")
    read = server.read(4)
    assert client.write(b"").code == STATUS_SUCCESS
    assert read.block.is_pending
    assert server.peek() == (b"", 0, 0, 0)


@pytest.mark.parametrize(("mode", "code"), [(BYTE, STATUS_SUCCESS), (MESSAGE, STATUS_BUFFER_OVERFLOW)])
def test_an_empty_read_waits_for_data_and_takes_none(rig: Rig, mode: ReadMode, code: int) -> None:
    """k32pipe-zeroread: it pends on an empty pipe; it says whether there is more where messages are read."""
    server, client = connected(rig, type=PipeType.MESSAGE, read_mode=mode)
    empty, read = server.read(0), server.read(4)
    assert (empty.code, read.code) == (STATUS_PENDING, STATUS_PENDING)
    client.write(b"x")
    assert (empty.block.status, empty.block.information, read.data) == (code, 0, b"x")
    client.write(b"y")
    assert server.read(0).code == code
    assert server.read(4).data == b"y"


def test_an_empty_read_takes_an_empty_message(rig: Rig) -> None:
    """Of an empty message nothing is left over."""
    server, client = messages(rig)
    client.write(b"")
    client.write(b"x")
    assert server.read(0).code == STATUS_SUCCESS
    assert server.read(4).data == b"x"


# -- quotas --------------------------------------------------------------------------------------------------------


def test_a_write_pends_until_it_fits(rig: Rig) -> None:
    """k32pipe-quota: what does not fit pends, ends when enough was read, and in order; an empty write never pends."""
    server, client = messages(rig, quota=8)
    client.bind()
    writes = [client.write(data) for data in (b"12345678", b"abc", b"de")]
    assert [write.code for write in writes] == [STATUS_SUCCESS, STATUS_PENDING, STATUS_PENDING]
    empty = client.write(b"")
    assert empty.code == STATUS_SUCCESS
    assert (brought(rig, writes[0]), brought(rig, empty)) == ((STATUS_SUCCESS, 8), (STATUS_SUCCESS, 0))
    server.read(2)
    assert rig.no_packet()
    server.read(1)
    assert brought(rig, writes[1]) == (STATUS_SUCCESS, 3)
    assert rig.no_packet()
    assert server.read(99).data == b"45678"
    assert brought(rig, writes[2]) == (STATUS_SUCCESS, 2)
    assert [server.read(9).data for _ in range(3)] == [b"abc", b"de", b""]


def test_a_write_beyond_the_quota_pends_on_an_empty_pipe(rig: Rig) -> None:
    """k32pipe-quota, vector pipe-24: all of it can be read at once; it ends when the rest fits."""
    server, client = connected(rig, quota=8)
    write = client.write(bytes(range(20)))
    assert write.code == STATUS_PENDING
    assert server.peek()[1] == 20
    assert server.read(11).data == bytes(range(11))
    assert write.block.is_pending
    assert server.read(1).data == b"\x0b"
    assert (write.block.status, write.block.information) == (STATUS_SUCCESS, 20)
    assert server.read(99).data == bytes(range(12, 20))


def test_without_quota_each_write_waits_for_its_reader(rig: Rig) -> None:
    """A buffer of 0 bytes: a write ends when it has been read, at once where a read waits."""
    server, client = connected(rig, quota=0)
    write = client.write(b"ab")
    assert write.code == STATUS_PENDING
    server.read(1)
    assert write.block.is_pending
    server.read(1)
    assert write.block.status == STATUS_SUCCESS
    server.read(9)
    assert client.write(b"ab").code == STATUS_SUCCESS


def test_a_read_across_ended_and_waiting_writes(rig: Rig) -> None:
    """The quota is counted right when one read takes of an ended write and of a waiting one."""
    server, client = connected(rig, quota=8)
    assert client.write(b"12345").code == STATUS_SUCCESS
    second, third = client.write(b"abcdefgh"), client.write(b"!")
    assert server.read(8).data == b"12345abc"
    assert (second.block.status, third.block.status) == (STATUS_SUCCESS, STATUS_SUCCESS)
    fits, waits = client.write(b"??"), client.write(b"#")
    assert (fits.code, waits.code) == (STATUS_SUCCESS, STATUS_PENDING)
    assert server.read(99).data == b"defgh!??#"
    assert client.write(b"12345678").code == STATUS_SUCCESS


def test_each_way_has_its_own_quota(rig: Rig) -> None:
    """What the server writes counts against the outbound buffer, what the client writes against the inbound one."""
    server = serve(rig, sizes=BufferSizes(outbound=1, inbound=3))
    client = open_(rig)
    assert [client.write(b"123").code, client.write(b"4").code] == [STATUS_SUCCESS, STATUS_PENDING]
    assert [server.write(b"1").code, server.write(b"2").code] == [STATUS_SUCCESS, STATUS_PENDING]


def test_buffers_are_held_as_long_as_the_request_and_no_longer(rig: Rig) -> None:
    """A pending read or write holds its buffer; an ended one does not, even if nobody has read the data."""
    server, client = connected(rig, quota=4)
    target, data = bytearray(4), bytearray(b"12345678")
    ask = server.ask()
    server.end.read(rig.system, server.file, memoryview(target), None, ask)
    with pytest.raises(BufferError):
        target.append(0)
    client.write(b"x")
    target.append(0)

    client.end.write(rig.system, client.file, memoryview(data), None, client.ask())
    with pytest.raises(BufferError):
        data.append(0)
    assert server.read(4).data == b"1234"
    data.append(0)
    data[:] = bytes(9)
    assert server.read(9).data == b"5678"


# -- modes ---------------------------------------------------------------------------------------------------------


def test_i15_skip_on_success(rig: Rig) -> None:
    """I-15, M-09: ntpipe-skip: at once no packet; what pended brings one."""
    server, client = connected(rig)
    server.bind()
    rig.system.perform(server.file.add_modes, NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS)
    client.write(b"ab")
    assert server.read(9).code == STATUS_SUCCESS
    assert server.write(b"").code == STATUS_SUCCESS
    assert rig.no_packet()
    read = server.read(9)
    client.write(b"c")
    assert brought(rig, read) == (STATUS_SUCCESS, 1)


def test_nowait_reads_what_there_is(rig: Rig) -> None:
    """PIPE_NOWAIT: a read of an empty pipe fails at once with PIPE_EMPTY, and brings no packet (I-03)."""
    server, client = connected(rig)
    server.bind().set_modes(BYTE, WaitMode.NOWAIT)
    read = server.read(4)
    assert (read.code, read.block.status, rig.no_packet()) == (STATUS_PIPE_EMPTY, STATUS_PENDING, True)
    client.write(b"x")
    assert server.read(4).data == b"x"


def test_nowait_writes_what_fits(rig: Rig) -> None:
    """PIPE_NOWAIT: of bytes what fits is written, of a message all or nothing; the count tells."""
    server, client = connected(rig, quota=4)
    client.set_modes(BYTE, WaitMode.NOWAIT)
    counts = [client.write(b"123456").block.information, client.write(b"7").block.information]
    assert (counts, server.read(9).data) == ([4, 0], b"1234")
    waiting = server.read(3)
    assert client.write(b"abcdefghijk").block.information == 7
    assert (waiting.data, server.read(9).data) == (b"abc", b"defg")


def test_nowait_messages_are_not_cut(rig: Rig) -> None:
    """PIPE_NOWAIT: a message that does not fit is not written, unless a waiting read makes room for it."""
    server, client = messages(rig, quota=4)
    client.set_modes(MESSAGE, WaitMode.NOWAIT)
    assert client.write(b"12345").block.information == 0
    assert client.write(b"1234").block.information == 4
    assert server.read(9).data == b"1234"
    waiting = server.read(3)
    assert client.write(b"abcdefg").block.information == 7
    assert (waiting.data, server.read(9).data) == (b"abc", b"defg")


def test_messages_cannot_be_read_from_a_byte_pipe(rig: Rig) -> None:
    """SetNamedPipeHandleState: PIPE_READMODE_MESSAGE on a byte pipe is an invalid parameter."""
    server, client = connected(rig)
    assert refused(server.set_modes, MESSAGE) == refused(client.set_modes, MESSAGE) == STATUS_INVALID_PARAMETER
    server.disconnect()
    assert refused(client.set_modes, BYTE) == STATUS_PIPE_DISCONNECTED


# -- transactions, peeking -----------------------------------------------------------------------------------------


def test_transact_ends_with_the_answer(rig: Rig) -> None:
    """k32pipe-transact, ntpipe-transceive: pending, then the answer; a longer one is a warning, its rest readable."""
    server, client = messages(rig)
    client.bind()
    call = client.transact(b"question", 6)
    assert (call.code, server.read(99).data) == (STATUS_PENDING, b"question")
    server.write(b"answer")
    assert (brought(rig, call), call.data) == ((STATUS_SUCCESS, 6), b"answer")
    call = client.transact(b"again", 3)
    server.write(b"answer")
    assert (brought(rig, call), call.data) == ((STATUS_BUFFER_OVERFLOW, 3), b"ans")
    assert client.read(9).data == b"wer"


def test_transact_refusals(rigs: MakeRig) -> None:
    """k32pipe-transact: PIPE_BUSY with unread data, by packet since Windows 8; messages only; the other end gone."""
    for profile, code in (("win10", STATUS_PENDING), ("win7", STATUS_PIPE_BUSY), ("wine", STATUS_PIPE_BUSY)):
        rig = rigs(profile)
        server, client = messages(rig)
        client.bind()
        server.write(b"unread")
        call = client.transact(b"question", 6)
        assert call.code == code
        assert rig.no_packet() if code == STATUS_PIPE_BUSY else brought(rig, call) == (STATUS_PIPE_BUSY, 0)
        assert server.peek()[1] == 0
        assert client.read(9).data == b"unread"
        client.set_modes(BYTE)
        assert client.transact(b"question", 6).code == STATUS_INVALID_PIPE_STATE
        server.close()
        client.set_modes(MESSAGE)
        assert client.transact(b"question", 6).code == STATUS_INVALID_PIPE_STATE


def test_the_question_of_a_transaction_stays_when_it_is_cancelled(rig: Rig) -> None:
    """I-41: what was written is written, beyond the quota too; later writes wait behind it."""
    server, client = messages(rig, quota=2)
    call = client.transact(b"question", 6)
    write = client.write(b"!")
    assert client.cancel(call) == 1
    assert (call.block.status, write.code) == (STATUS_CANCELLED, STATUS_PENDING)
    assert (server.read(99).data, write.block.status) == (b"question", STATUS_SUCCESS)


def test_peek_takes_nothing(rig: Rig) -> None:
    """PeekNamedPipe: data up to the buffer, bytes in all; of messages the first, however they are read."""
    server, client = connected(rig, type=PipeType.MESSAGE)
    client.write(b"abc")
    client.write(b"de")
    assert server.peek(4) == (b"abc", 5, 2, 3)
    server.set_modes(MESSAGE)
    assert server.peek(9) == (b"abc", 5, 2, 3)
    assert server.peek(2) == (b"ab", 5, 2, 3)
    server.read(1)
    assert server.peek(9) == (b"bc", 4, 2, 2)
    assert client.peek(9) == (b"", 0, 0, 0)
