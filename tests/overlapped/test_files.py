"""Reading and writing disk files, overlapped and synchronous, on real files and on disks that wait when told to."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from iocp_emu import status
from iocp_emu.kernel.file import NotificationMode, StatusBlock
from iocp_emu.kernel.waits import Alertability
from iocp_emu.overlapped.engine import start
from iocp_emu.overlapped.files import USE_POSITION, WRITE_TO_END_OF_FILE
from iocp_emu.overlapped.opening import Caching, Disposition
from iocp_emu.overlapped.transfers import LARGEST_COPIED_WRITE, Read
from iocp_emu.status import (
    STATUS_CANCELLED,
    STATUS_DISK_FULL,
    STATUS_END_OF_FILE,
    STATUS_FILE_CLOSED,
    STATUS_INVALID_HANDLE,
    STATUS_INVALID_PARAMETER,
    STATUS_INVALID_USER_BUFFER,
    STATUS_PENDING,
    STATUS_SUCCESS,
)
from tests.overlapped.support import (
    APPEND,
    DEADLINE,
    DIGITS,
    READ,
    UNBUFFERED,
    WRITE,
    GatedDescriptor,
    MakeRig,
    Rig,
    engine_busy,
    eventually,
    in_thread,
)

# -- what is copied within the call ------------------------------------------------------------------------------------


def test_i05_i26_a_cached_read_reports_pending_and_has_ended_at_return(rig: Rig, path: Path) -> None:
    """I-05, I-26, ntfile-rw-pending: PENDING, the status block final at once, and exactly one packet."""
    file = rig.open(path, READ).bind(key=7)
    read = file.read(4, offset=2)
    assert read.code == STATUS_PENDING
    assert (read.block.status, read.block.information, read.data) == (STATUS_SUCCESS, 4, b"2345")
    assert not file.file.requests
    packet = rig.packet(timeout=0)
    assert (packet.key, packet.overlapped, packet.bytes, packet.error) == (7, read.block, 4, None)
    assert rig.no_packet()


def test_i05_a_cached_write_reports_pending_and_has_ended_at_return(rig: Rig, path: Path) -> None:
    """I-05, I-26, ntfile-rw-pending, vector file-02: a write in the middle."""
    file = rig.open(path).bind()
    written = file.write(b"abcdef", offset=2)
    assert (written.code, written.block.status, written.block.information) == (STATUS_PENDING, STATUS_SUCCESS, 6)
    assert path.read_bytes() == b"01abcdef89"
    assert rig.packet(timeout=0).bytes == 6
    assert rig.no_packet()


def test_i11_packets_of_copies_come_in_the_order_of_the_calls(rig: Rig, tmp_path: Path) -> None:
    """I-11, vector create-20: three files, one key each, read in another order than opened."""
    files = []
    for number in range(3):
        (tmp_path / str(number)).write_bytes(DIGITS)
        files.append(rig.open(tmp_path / str(number), READ).bind(key=number))
    for number in (2, 0, 1):
        files[number].read(number + 1)
    assert [rig.packet(timeout=0)[0] for _ in files] == [2, 0, 1]
    assert rig.no_packet()


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [
        (0, 10, DIGITS),
        (7, 8, b"789"),
        (9, 1, b"9"),
        (3, 0, b""),
        (10, 0, b""),
        (99, 0, b""),
    ],
)
def test_short_and_empty_reads_succeed(rig: Rig, path: Path, offset: int, size: int, expected: bytes) -> None:
    """Table 6.6, vectors file-03 and file-06: a read across the end is short, one of no bytes succeeds anywhere."""
    read = rig.open(path, READ).bind().read(size, offset)
    packet = rig.packet(timeout=0)
    assert (read.code, packet.status, packet.bytes, read.data) == (
        STATUS_PENDING,
        STATUS_SUCCESS,
        len(expected),
        expected,
    )
    assert bytes(read.buffer[len(expected) :]) == bytes(size - len(expected))


@pytest.mark.parametrize("offset", [10, 11, 1 << 32, (1 << 63) - 5])
def test_reads_at_or_beyond_the_end_are_error_packets(rig: Rig, path: Path, offset: int) -> None:
    """Table 6.6, ntfile-eof-pending, vector file-05: END_OF_FILE with 0 bytes, as a packet, since it pended."""
    read = rig.open(path, READ).bind().read(4, offset)
    packet = rig.packet(timeout=0)
    assert (read.code, packet.status, packet.bytes) == (STATUS_PENDING, STATUS_END_OF_FILE, 0)
    assert packet.error is not None
    assert packet.error.winerror == 38
    assert (read.block.status, read.block.information) == (STATUS_END_OF_FILE, 0)


def test_empty_files_have_only_an_end(rig: Rig, path: Path) -> None:
    """Table 6.6: nothing to read in an empty file."""
    path.write_bytes(b"")
    rig.open(path, READ).bind().read(1)
    assert rig.packet(timeout=0).status == STATUS_END_OF_FILE


def test_writes_beyond_the_end_leave_zeros(rig: Rig, path: Path) -> None:
    """Vector file-09: the gap reads as zeros."""
    rig.open(path).bind().write(b"Z", offset=13)
    assert rig.packet(timeout=0).bytes == 1
    assert path.read_bytes() == DIGITS + bytes(3) + b"Z"


def test_writes_of_nothing_leave_the_file_alone(rig: Rig, path: Path) -> None:
    """Table 6.6: a write of no bytes succeeds, also beyond the end, and extends nothing."""
    rig.open(path).bind().write(b"", offset=50)
    assert rig.packet(timeout=0)[2:4] == (STATUS_SUCCESS, 0)
    assert path.read_bytes() == DIGITS


@pytest.mark.parametrize("offset", [None, -1, -2, 1 << 63, (1 << 64) - 1, (1 << 63) - 3])
def test_reads_at_impossible_offsets_are_refused(rig: Rig, path: Path, offset: int | None) -> None:
    """I-03, I-10: an immediate error, no packet, the status block untouched."""
    read = rig.open(path).bind().read(4, offset)
    assert read.code == STATUS_INVALID_PARAMETER
    assert read.block.is_pending
    assert rig.no_packet()


@pytest.mark.parametrize("offset", [None, -1, USE_POSITION, 1 << 63])
def test_writes_at_impossible_offsets_are_refused(rig: Rig, path: Path, offset: int | None) -> None:
    """I-03, I-10: an overlapped file has no position, and -1 is an end only as 64 bits."""
    assert rig.open(path).bind().write(b"x", offset).code == STATUS_INVALID_PARAMETER
    assert rig.no_packet()
    assert path.read_bytes() == DIGITS


# -- appending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 4, 1 << 40, None, WRITE_TO_END_OF_FILE])
def test_files_opened_to_append_ignore_the_offset(rig: Rig, path: Path, offset: int | None) -> None:
    """ntfile-partial-append: FILE_APPEND_DATA alone writes at the end, whatever the offset says."""
    file = rig.open(path, APPEND).bind()
    assert file.write(b"ab", offset).code == STATUS_PENDING
    assert file.write(b"cd", offset).code == STATUS_PENDING
    assert [rig.packet(timeout=0).bytes for _ in range(2)] == [2, 2]
    assert path.read_bytes() == DIGITS + b"abcd"


def test_an_offset_names_the_end(rig: Rig, path: Path) -> None:
    """WriteFile: 64 one bits mean the end of the file."""
    file = rig.open(path).bind()
    file.write(b"ab", WRITE_TO_END_OF_FILE)
    file.write(b"cd", WRITE_TO_END_OF_FILE)
    assert path.read_bytes() == DIGITS + b"abcd"
    assert [rig.packet(timeout=0).bytes for _ in range(2)] == [2, 2]


def test_appends_of_many_threads_lose_nothing(rigs: MakeRig, path: Path) -> None:
    """I-11: appends through both kinds of files and through the engine, from several threads, never overlap."""
    rig = rigs()
    path.write_bytes(b"")
    files = [
        rig.open(path, APPEND).bind(),
        rig.open(path, WRITE).bind(),
        rig.open(path, APPEND, caching=UNBUFFERED).bind(),
        rig.open(path, WRITE, caching=UNBUFFERED).bind(),
    ]
    records = 50

    def append(number: int) -> None:
        for count in range(records):
            record = b"%d:%03d." % (number, count)
            assert files[number].write(record, WRITE_TO_END_OF_FILE).code == STATUS_PENDING

    threads = [threading.Thread(target=append, args=[number]) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    for _ in range(records * len(files)):
        assert rig.packet()[2:4] == (STATUS_SUCCESS, 6)
    expected = sorted(b"%d:%03d" % (number, count) for number in range(len(files)) for count in range(records))
    assert sorted(path.read_bytes().rstrip(b".").split(b".")) == expected


# -- the I/O threads ---------------------------------------------------------------------------------------------------


def test_many_outstanding_reads_each_end_once(rig: Rig, tmp_path: Path) -> None:
    """P-15: 300 unbuffered reads in flight at once bring 300 packets, each with the right bytes."""
    path = tmp_path / "large"
    content = os.urandom(300 * 512)
    path.write_bytes(content)
    file = rig.open(path, READ, caching=UNBUFFERED).bind()
    reads = {}
    for number in range(300):
        read = file.read(512, number * 512)
        assert read.code == STATUS_PENDING
        reads[read.block] = (number, read)
    for _ in range(300):
        packet = rig.packet()
        number, read = reads.pop(packet.overlapped)
        assert (packet.bytes, read.block.status) == (512, STATUS_SUCCESS)
        assert read.data == content[number * 512 : number * 512 + 512]
    assert rig.no_packet()


@pytest.mark.parametrize("size", [LARGEST_COPIED_WRITE, LARGEST_COPIED_WRITE + 1])
def test_large_writes_and_reads_are_whole(rig: Rig, path: Path, size: int) -> None:
    """The largest write that is copied, the smallest that is not, and reading either back."""
    content = os.urandom(1024) * (size // 1024) + bytes(size % 1024)
    file = rig.open(path).bind()
    with engine_busy():
        file.write(content, 5)
        assert rig.no_packet() == (size > LARGEST_COPIED_WRITE)
    if size > LARGEST_COPIED_WRITE:
        assert rig.packet().bytes == size
    read = file.read(size, 5)
    assert rig.packet().bytes == size
    assert read.data == content
    assert path.read_bytes() == DIGITS[:5] + content


@pytest.mark.parametrize("with_event", [False, True])
def test_i27_m17_status_block_of_an_engine_read(rigs: MakeRig, path: Path, with_event: bool) -> None:
    """I-25, I-27, I-28, M-17: written at the dequeue by whoever dequeues; with an event, at the completion."""
    rig = rigs()
    file = rig.open(path, READ, caching=UNBUFFERED).bind()
    event = rig.event() if with_event else None
    with engine_busy():
        read = file.read(4, ask=file.ask(event=event))
        assert read.code == STATUS_PENDING
        assert read.block.is_pending
        assert rig.no_packet()
    eventually(lambda: rig.port.depth == 1, "the read has ended")
    assert bytes(read.buffer) == b"0123"
    assert read.block.is_pending != with_event
    assert event is None or event.signalled
    packet = in_thread(rig.packet)
    assert (packet.overlapped, packet.bytes) == (read.block, 4)
    assert (read.block.status, read.block.information) == (STATUS_SUCCESS, 4)


@pytest.mark.parametrize("profile", ["xp", "classic", "wine"])
def test_i27_status_block_is_written_at_completion_elsewhere(rigs: MakeRig, path: Path, profile: str) -> None:
    """I-27, M-17: on other systems it is final as soon as the operation has ended."""
    rig = rigs(profile)
    file = rig.open(path, READ, caching=UNBUFFERED).bind()
    with engine_busy():
        read = file.read(4)
        assert (read.code, read.block.is_pending) == (STATUS_PENDING, True)
    eventually(lambda: rig.port.depth == 1, "the read has ended")
    assert (read.block.status, read.data) == (STATUS_SUCCESS, b"0123")
    assert rig.packet().bytes == 4


def test_reads_that_would_wait_go_to_the_engine(rig: Rig, path: Path) -> None:
    """ntfile-rw-pending: what is not in memory pends until the disk has answered, and the caller goes on."""
    disk = GatedDescriptor(path)
    read = rig.open_on(disk, path).bind().read(4, 6)
    assert (read.code, read.block.is_pending) == (STATUS_PENDING, True)
    assert disk.entered.acquire(timeout=DEADLINE)
    assert rig.no_packet()
    disk.gate.set()
    assert rig.packet().bytes == 4
    assert read.data == b"6789"


def test_the_buffer_is_free_when_the_packet_comes(rig: Rig, path: Path) -> None:
    """I-11: until the packet the buffer is pinned; afterwards nothing of ours holds it, cancelled or not."""
    file = rig.open(path, READ, caching=UNBUFFERED).bind()
    buffers = [bytearray(4), bytearray(4)]
    asks = [file.ask() for _ in buffers]
    with engine_busy():
        for ask, buffer in zip(asks, buffers, strict=True):
            file.device.read(rig.system, file.file, memoryview(buffer), 0, ask)
            with pytest.raises(BufferError):
                buffer.clear()
        rig.system.perform(file.file.cancel_requests, block=asks[0].block)
        assert rig.packet(timeout=0).status == STATUS_CANCELLED
        buffers[0].clear()
    assert rig.packet().status == STATUS_SUCCESS
    buffers[1].clear()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caching", ["CACHED", "UNBUFFERED"])
def test_i05_host_errors_arrive_as_packets(rig: Rig, path: Path, caching: str) -> None:
    """I-05, I-06: reading a descriptor that is open for writing only is an error packet, not an exception."""
    file = rig.open(path, WRITE, caching=Caching[caching]).bind()
    read = file.read(4)
    packet = rig.packet()
    assert (read.code, packet.status, packet.bytes) == (STATUS_PENDING, STATUS_INVALID_HANDLE, 0)
    assert read.block.status == STATUS_INVALID_HANDLE


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the host has no disk that is always full")
@pytest.mark.parametrize("size", [3, LARGEST_COPIED_WRITE + 1])
def test_i05_a_full_disk_is_an_error_packet(rig: Rig, size: int) -> None:
    """I-05: 112, in the call and from the engine; such a device can be opened as CREATE_ALWAYS does."""
    file = rig.open("/dev/full", WRITE, disposition=Disposition.CREATE_ALWAYS).bind()
    assert os.get_blocking(file.device.descriptor.number)
    written = file.write(bytes(size))
    packet = rig.packet()
    assert (written.code, packet.status, packet.bytes) == (STATUS_PENDING, STATUS_DISK_FULL, 0)
    assert packet.error is not None
    assert packet.error.winerror == 112


@pytest.mark.parametrize("caching", ["CACHED", "UNBUFFERED"])
def test_unusable_buffers_are_error_packets(rig: Rig, path: Path, caching: str) -> None:
    """I-05: a released, a read-only or a holey view ends the request like any other failure."""
    file = rig.open(path, caching=Caching[caching]).bind()
    for view in (memoryview(b"constant"), memoryview(bytearray(8))[::2]):
        assert file.device.read(rig.system, file.file, view, 0, file.ask()) == STATUS_PENDING
        assert rig.packet().status == STATUS_INVALID_USER_BUFFER
    assert path.read_bytes() == DIGITS


@pytest.mark.parametrize("error", [OSError("no errno"), MemoryError()])
def test_i05_odd_failures_are_error_packets_too(rig: Rig, path: Path, error: Exception) -> None:
    """I-05: whatever the host throws, the request ends."""
    disk = GatedDescriptor(path)
    file = rig.open_on(disk, path).bind()
    expected = status.STATUS_NO_MEMORY if isinstance(error, MemoryError) else status.STATUS_UNSUCCESSFUL
    disk.error = error
    file.read(4)
    assert rig.packet().status == expected
    disk.error = None
    file.read(4)
    disk.error = error
    disk.gate.set()
    assert rig.packet().status == expected


def test_i05_an_interrupted_call_ends_its_request(rig: Rig, path: Path) -> None:
    """I-05, Q-35: Ctrl-C in the middle of a copy raises, and the request it belonged to ends as cancelled."""
    disk = GatedDescriptor(path)
    disk.error = KeyboardInterrupt()
    file = rig.open_on(disk, path).bind()
    with pytest.raises(KeyboardInterrupt):
        file.read(4)
    assert rig.packet(timeout=0).status == STATUS_CANCELLED
    assert not file.file.requests


def test_h03_operations_on_a_closed_file_are_refused(rig: Rig, path: Path) -> None:
    """H-03: a call that comes after the last reference went is refused; the descriptor may be somebody else's now."""
    file = rig.open(path)
    file.close()
    assert file.read(4).code == STATUS_FILE_CLOSED
    assert file.read_now(4) == (STATUS_FILE_CLOSED, b"")
    assert file.device.flush(rig.system, file.file) == STATUS_FILE_CLOSED


# -- with modes, events, routines and other profiles -------------------------------------------------------------------


def test_i15_skip_on_success_does_not_touch_disk_files(rig: Rig, path: Path) -> None:
    """I-15, ntfile-modes-disk: the call reports pending, so the packet comes in spite of the mode."""
    file = rig.open(path).bind()
    rig.system.perform(file.file.add_modes, NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS)
    file.read(4)
    file.write(b"x")
    assert [rig.packet(timeout=0).bytes for _ in range(2)] == [4, 1]


def test_i07_i08_events(rig: Rig, path: Path) -> None:
    """I-07, I-08, vectors file-17 and gor-04: an event and a packet, or the event alone."""
    file = rig.open(path, READ).bind()
    event = rig.event()
    file.read(4, ask=file.ask(event=event))
    assert event.signalled
    assert rig.packet(timeout=0).bytes == 4
    rig.system.perform(event.reset)
    read = file.read(4, ask=file.ask(with_packet=False, event=event))
    assert event.signalled
    assert (read.code, read.data) == (STATUS_PENDING, b"0123")
    assert rig.no_packet()


def test_i09_no_context_no_packet(rig: Rig, path: Path) -> None:
    """I-09, vector nt-11: the status block is all there is."""
    read = rig.open(path, READ).bind()
    assert read.read(4, ask=read.ask(with_packet=False)).block.status == STATUS_SUCCESS
    assert rig.no_packet()


def test_c16_routines_and_ports_exclude_each_other(rigs: MakeRig, path: Path) -> None:
    """C-16, ntfile-apc-invalid, vector file-15: refused on an associated file, except under Wine; else it runs."""
    rig = rigs()
    called: list[tuple[int, int]] = []

    def routine(code: int, information: int, block: StatusBlock) -> None:
        called.append((code, information))

    file = rig.open(path, READ)
    assert file.read(4, ask=file.ask(apc=routine)).code == STATUS_PENDING
    rig.system.wait([], timeout=0, alertability=Alertability.ALERTABLE)
    assert called == [(STATUS_SUCCESS, 4)]
    refused = file.bind().read(4, ask=file.ask(apc=routine))
    assert (refused.code, refused.block.is_pending, bytes(refused.buffer)) == (STATUS_INVALID_PARAMETER, True, bytes(4))
    wine = rigs("wine")
    file = wine.open(path, READ).bind()
    assert file.read(4, ask=file.ask(apc=routine)).code == STATUS_PENDING
    assert wine.no_packet()


@pytest.mark.parametrize("profile", ["xp", "classic"])
def test_i02_i03_before_vista_a_copy_is_reported_as_such(rigs: MakeRig, path: Path, profile: str) -> None:
    """I-02, I-03, ntfile-rw-pending and ntfile-eof-pending: SUCCESS and a packet, END_OF_FILE and none."""
    rig = rigs(profile)
    file = rig.open(path).bind()
    assert file.read(4).code == STATUS_SUCCESS
    assert file.write(b"x").code == STATUS_SUCCESS
    assert [rig.packet(timeout=0).bytes for _ in range(2)] == [4, 1]
    ended = file.read(4, offset=99)
    assert (ended.code, ended.block.is_pending) == (STATUS_END_OF_FILE, True)
    assert rig.no_packet()


# -- cancelling, closing, exiting --------------------------------------------------------------------------------------


def test_i41_m18_cancel_of_what_has_not_begun(rig: Rig, path: Path) -> None:
    """I-40 to I-42, M-18: 995 with 0 bytes, one packet; the others go on; the status block says so at the dequeue."""
    file = rig.open(path, caching=UNBUFFERED).bind()
    with engine_busy():
        first, second = file.read(4), file.write(b"xyz")
        assert file.cancel(second) == 1
        packet = rig.packet(timeout=0)
        assert (packet.overlapped, packet.status, packet.bytes) == (second.block, STATUS_CANCELLED, 0)
        assert second.block.status == STATUS_CANCELLED
        assert file.cancel(second) == 0
        assert file.cancel() == 1
        assert first.block.is_pending
        assert rig.packet(timeout=0)[1:4] == (first.block, STATUS_CANCELLED, 0)
        assert (first.block.status, bytes(first.buffer)) == (STATUS_CANCELLED, bytes(4))
        third = file.read(4)
    assert rig.packet()[1:4] == (third.block, STATUS_SUCCESS, 4)
    assert rig.no_packet()
    assert path.read_bytes() == DIGITS


def test_i41_what_has_begun_ends_normally(rig: Rig, path: Path) -> None:
    """I-41, M-18 step 5: a cancel that comes too late changes nothing; still one packet."""
    disk = GatedDescriptor(path)
    file = rig.open_on(disk, path).bind()
    file.read(4)
    assert disk.entered.acquire(timeout=DEADLINE)
    assert file.cancel() == 1
    disk.gate.set()
    assert rig.packet()[2:4] == (STATUS_SUCCESS, 4)
    assert rig.no_packet()


def test_i41_a_cancel_between_the_copy_and_the_engine_counts(rig: Rig, path: Path) -> None:
    """I-41: asked for before the engine had it, the cancel ends the operation when its turn comes."""
    file = rig.open(path).bind()
    ask = file.ask()
    buffer = bytearray(4)
    transfer = Read(rig.system, file.device.descriptor, memoryview(buffer), 0)
    transfer.request = rig.system.perform(start, rig.system.current(), file.file, ask, transfer)
    transfer.request.pend()
    assert file.cancel() == 1
    assert rig.no_packet()
    transfer.run()
    assert rig.packet(timeout=0)[1:4] == (ask.block, STATUS_CANCELLED, 0)
    assert bytes(buffer) == bytes(4)


def test_h03_m01_operations_outlive_the_handle(rig: Rig, path: Path) -> None:
    """H-03, M-01, vector close-03: the packets still come, and the file is freed after the last operation."""
    file = rig.open(path, caching=UNBUFFERED).bind(key="k")
    with engine_busy():
        read, written = file.read(4), file.write(b"ab", 8)
        file.close()
        assert not file.file.freed
        assert rig.no_packet()
    packets = {packet.overlapped: packet for packet in (rig.packet(), rig.packet())}
    assert packets[read.block][2:4] == (STATUS_SUCCESS, 4)
    assert packets[written.block][2:4] == (STATUS_SUCCESS, 2)
    eventually(lambda: file.file.freed, "the file object is freed")
    assert path.read_bytes() == b"01234567ab"


@pytest.mark.parametrize("profile", ["win10", "xp"])
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("with_packet", [False, True])
@pytest.mark.parametrize("with_event", [False, True])
def test_i31_m20_thread_exit(
    rigs: MakeRig, path: Path, profile: str, bound: bool, with_packet: bool, with_event: bool
) -> None:
    """I-31, M-20: the exit of the issuer cancels what is bound to it; a packet comes where one was due."""
    rig = rigs(profile)
    file = rig.open(path, caching=UNBUFFERED)
    if bound:
        file.bind()
    event = rig.event() if with_event else None
    survives = profile == "win10" and bound and with_packet and not with_event
    with engine_busy():
        read = in_thread(lambda: file.read(4, ask=file.ask(with_packet, event)))
        assert read.code == STATUS_PENDING
        eventually(lambda: bool(file.file.requests) == survives, "the thread's requests have ended")
        if survives:
            assert rig.no_packet()
            assert file.cancel(read) == 1
        if bound and with_packet:
            assert rig.packet(timeout=0)[1:4] == (read.block, STATUS_CANCELLED, 0)
        assert rig.no_packet()
        assert read.block.status == STATUS_CANCELLED
        assert event is None or event.signalled
