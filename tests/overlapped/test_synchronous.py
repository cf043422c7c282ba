"""Synchronous disk files: the position, one operation at a time, and waits that the kernel sees."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from iocp_emu import status
from iocp_emu.kernel.completion import Packet
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.overlapped.files import USE_POSITION, WRITE_TO_END_OF_FILE
from iocp_emu.status import (
    STATUS_END_OF_FILE,
    STATUS_INVALID_HANDLE,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
)
from tests.overlapped.support import (
    APPEND,
    BOTH,
    DEADLINE,
    DIGITS,
    READ,
    SYNCHRONOUS,
    UNBUFFERED,
    GatedDescriptor,
    MakeRig,
    Rig,
    eventually,
    in_thread,
)

POSTED = Packet("posted", None, 0, 0, None)


def test_synchronous_files_have_a_position(rig: Rig, path: Path) -> None:
    """ReadFile and WriteFile on a synchronous handle: each operation starts where the last one ended."""
    file = rig.open(path, io_mode=SYNCHRONOUS)
    assert file.read_now(3) == (STATUS_SUCCESS, b"012")
    assert file.write_now(b"ab") == (STATUS_SUCCESS, 2)
    assert file.read_now(2, USE_POSITION) == (STATUS_SUCCESS, b"56")
    assert file.read_now(2, offset=1) == (STATUS_SUCCESS, b"12")
    assert file.read_now(99) == (STATUS_SUCCESS, b"ab56789")
    assert file.device.position == 10
    assert file.write_now(b"XY", offset=8) == (STATUS_SUCCESS, 2)
    assert file.write_now(b"!", WRITE_TO_END_OF_FILE) == (STATUS_SUCCESS, 1)
    assert file.device.position == file.device.size() == 11
    assert file.device.flush(rig.system, file.file) == STATUS_SUCCESS
    assert path.read_bytes() == b"012ab567XY!"


def test_synchronous_end_of_file(rig: Rig, path: Path) -> None:
    """ntfile-sync-eof: END_OF_FILE at once, with the position where it was."""
    file = rig.open(path, READ, io_mode=SYNCHRONOUS)
    assert file.read_now(1, offset=10) == (STATUS_END_OF_FILE, b"")
    assert file.read_now(1, offset=50) == (STATUS_END_OF_FILE, b"")
    assert file.device.position == 0
    assert file.read_now(0, offset=10) == (STATUS_SUCCESS, b"")
    assert file.read_now(1) == (STATUS_END_OF_FILE, b"")


def test_synchronous_appending_and_refusals(rig: Rig, path: Path) -> None:
    """ntfile-partial-append on a synchronous file; impossible offsets; host errors."""
    file = rig.open(path, APPEND, io_mode=SYNCHRONOUS)
    assert file.write_now(b"ab", offset=0) == (STATUS_SUCCESS, 2)
    assert file.device.position == 12
    assert file.write_now(b"") == (STATUS_SUCCESS, 0)
    assert file.read_now(1, offset=-3) == (STATUS_INVALID_PARAMETER, b"")
    assert file.read_now(1, offset=0) == (STATUS_INVALID_HANDLE, b"")
    assert path.read_bytes() == DIGITS + b"ab"


def test_q23_a_synchronous_wait_frees_the_slot(rigs: MakeRig, path: Path) -> None:
    """Q-23, Q-26: while the disk is slow the thread is blocked, and another worker gets its slot."""
    rig = rigs(concurrency=1)
    disk = GatedDescriptor(path)
    file = rig.open_on(disk, path, BOTH, io_mode=SYNCHRONOUS)
    states: list[ThreadState] = []
    results: list[Any] = []

    def worker() -> None:
        """Takes a packet, then reads from the slow disk."""
        rig.packet()
        results.append(file.read_now(4))
        states.append(rig.system.current().state)

    first = threading.Thread(target=worker)
    first.start()
    rig.system.post(rig.port, POSTED)
    assert disk.entered.acquire(timeout=DEADLINE)
    (thread,) = rig.port.queue.members
    assert (thread.state, rig.port.queue.current_count) == (ThreadState.BLOCKED, 0)
    rig.system.post(rig.port, POSTED)
    assert in_thread(rig.packet).key == "posted"
    disk.gate.set()
    first.join(DEADLINE)
    assert (results, states) == ([(STATUS_SUCCESS, b"0123")], [ThreadState.RUNNABLE])


def test_q23_waits_inside_blocking_are_not_counted_twice(rig: Rig, path: Path) -> None:
    """Q-23: a thread that is blocked already stays so."""
    file = rig.open(path, io_mode=SYNCHRONOUS, caching=UNBUFFERED)
    thread = rig.system.current()
    rig.system.block(thread)
    assert file.read_now(2) == (STATUS_SUCCESS, b"01")
    assert thread.state is ThreadState.BLOCKED
    rig.system.unblock(thread)


def test_synchronous_operations_take_turns(rig: Rig, path: Path) -> None:
    """One operation at a time on a synchronous file object; the one that waits for its turn is blocked (Q-23)."""
    disk = GatedDescriptor(path)
    file = rig.open_on(disk, path, io_mode=SYNCHRONOUS)
    results: list[tuple[int, bytes]] = []
    threads = [threading.Thread(target=lambda: results.append(file.read_now(3))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert disk.entered.acquire(timeout=DEADLINE)

    def all_blocked() -> bool:
        known = [thread for thread in rig.system.process.threads if thread.name in {each.name for each in threads}]
        return len(known) == 3 and all(thread.state is ThreadState.BLOCKED for thread in known)

    eventually(all_blocked, "one waits for the disk, two for their turns")
    assert not disk.entered.acquire(blocking=False)
    disk.gate.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(results) == [(STATUS_SUCCESS, b"012"), (STATUS_SUCCESS, b"345"), (STATUS_SUCCESS, b"678")]


def test_h03_a_synchronous_operation_keeps_the_file_open(rig: Rig, path: Path) -> None:
    """H-03: closing the last handle in the middle of a read closes the descriptor only afterwards."""
    disk = GatedDescriptor(path)
    file = rig.open_on(disk, path, io_mode=SYNCHRONOUS)
    results: list[tuple[int, bytes]] = []
    reader = threading.Thread(target=lambda: results.append(file.read_now(4)))
    reader.start()
    assert disk.entered.acquire(timeout=DEADLINE)
    file.close()
    assert not file.file.freed
    disk.gate.set()
    reader.join(DEADLINE)
    assert results == [(STATUS_SUCCESS, b"0123")]
    assert file.file.freed


def test_flush_is_visible_and_reports_errors(rig: Rig, path: Path) -> None:
    """Q-23: flushing waits for the medium; a host error is a status."""
    disk = GatedDescriptor(path)
    file = rig.open_on(disk, path)
    disk.error = OSError(5, "broken")
    disk.gate.set()
    assert file.device.flush(rig.system, file.file) == status.STATUS_IO_DEVICE_ERROR
    assert rig.system.current().state is ThreadState.RUNNABLE
