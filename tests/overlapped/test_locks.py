"""Byte-range locks: which go together, what they forbid, who waits, and how all of that reaches the port."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu.kernel.file import IoRequest
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.overlapped.device import Ask
from iocp_emu.overlapped.files import WRITE_TO_END_OF_FILE
from iocp_emu.overlapped.locks import ByteRange, LockKind, LockWait, RangeLock, RangeLocks
from iocp_emu.status import (
    STATUS_CANCELLED,
    STATUS_FILE_CLOSED,
    STATUS_FILE_LOCK_CONFLICT,
    STATUS_INVALID_LOCK_RANGE,
    STATUS_LOCK_NOT_GRANTED,
    STATUS_PENDING,
    STATUS_RANGE_NOT_LOCKED,
    STATUS_SUCCESS,
)
from tests.overlapped.support import DEADLINE, SYNCHRONOUS, UNBUFFERED, MakeRig, Opened, Rig, eventually, in_thread

SHARED, EXCLUSIVE = LockKind
WAIT, FAIL = LockWait


def lock(
    opened: Opened,
    offset: int,
    length: int,
    kind: LockKind = EXCLUSIVE,
    wait: LockWait = WAIT,
    ask: Ask | None = None,
) -> tuple[int, Any]:
    """LockFileEx: what the call answers, and the status block."""
    ask = ask or opened.ask()
    code = opened.device.lock(opened.rig.system, opened.file, offset, length, kind, wait, ask)
    return code, ask.block


def unlock(opened: Opened, offset: int, length: int) -> int:
    """UnlockFileEx."""
    code: int = opened.device.unlock(opened.rig.system, opened.file, offset, length)
    return code


# -- the table of locks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ((0, 4), (4, 8), False),
        ((0, 4), (3, 8), True),
        ((2, 3), (0, 9), True),
        ((5, 5), (5, 9), False),
        ((5, 5), (4, 9), True),
        ((5, 5), (5, 5), False),
        ((0, 1 << 64), ((1 << 64) - 1, 1 << 64), True),
    ],
)
def test_ranges_overlap_in_common_bytes(first: tuple[int, int], second: tuple[int, int], overlap: bool) -> None:
    """Ranges that touch do not overlap; an empty one overlaps what lies on both sides of it."""
    assert ByteRange(*first).overlaps(ByteRange(*second)) == overlap
    assert ByteRange(*second).overlaps(ByteRange(*first)) == overlap


RANGES = st.tuples(st.integers(0, 7), st.integers(1, 4)).map(lambda pair: ByteRange(pair[0], sum(pair)))
LOCKS = st.tuples(st.sampled_from("ab"), RANGES, st.sampled_from(LockKind))


@given(wanted=st.lists(LOCKS, max_size=12), place=RANGES)
def test_held_locks_go_together_and_forbid_what_they_must(
    wanted: list[tuple[Any, ByteRange, LockKind]], place: ByteRange
) -> None:
    """LockFileEx: byte by byte, an exclusive lock is alone but for its owner's shared ones that came later."""
    locks = RangeLocks()
    bytes_held: dict[int, list[tuple[str, LockKind]]] = {byte: [] for byte in range(12)}
    for owner, range_, kind in wanted:
        held = [each for byte in range(*range_) for each in bytes_held[byte]]
        free = not held if kind is EXCLUSIVE else all(k is SHARED or o == owner for o, k in held)
        assert locks.acquire(RangeLock(owner, range_, kind)) == free
        if free:
            for byte in range(*range_):
                bytes_held[byte].append((owner, kind))
    for owner in "ab":
        there = [each for byte in range(*place) for each in bytes_held[byte]]
        reading = any(kind is EXCLUSIVE and other != owner for other, kind in there)
        writing = any(kind is SHARED or other != owner for other, kind in there)
        someone: Any = owner
        assert locks.forbid_read(someone, place) == reading
        assert locks.forbid_write(someone, place) == writing


def test_unlocking_takes_the_exclusive_one_first() -> None:
    """UnlockFileEx: the same bytes locked twice need two calls, the first of which ends the exclusive lock."""
    locks, owner = RangeLocks(), Any
    someone: Any = owner
    both = ByteRange(0, 4)
    assert locks.acquire(RangeLock(someone, both, EXCLUSIVE))
    assert locks.acquire(RangeLock(someone, both, SHARED))
    assert locks.release(someone, both)
    assert [each.kind for each in locks.held] == [SHARED]
    assert locks.release(someone, both)
    assert not locks.release(someone, both)


# -- granted, refused, unlocked ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", LockWait)
def test_i02_a_granted_lock_succeeds_and_queues_a_packet(rig: Rig, path: Path, wait: LockWait) -> None:
    """I-02, I-54, vector file-19: success within the call, and a packet with 0 bytes."""
    file = rig.open(path).bind(key=1)
    code, block = lock(file, 0, 4, EXCLUSIVE, wait)
    assert (code, block.status, block.information) == (STATUS_SUCCESS, STATUS_SUCCESS, 0)
    assert rig.packet(timeout=0)[:4] == (1, block, STATUS_SUCCESS, 0)
    assert unlock(file, 0, 4) == STATUS_SUCCESS
    assert rig.no_packet()


@pytest.mark.parametrize("profile", ["wine", "wine_old"])
def test_wine_queues_no_packet_for_a_lock(rigs: MakeRig, path: Path, profile: str) -> None:
    """Vector file-19 as observed: the lock is granted and the port hears nothing, neither at once nor later."""
    rig = rigs(profile)
    first, second = rig.open(path).bind(), rig.open(path).bind()
    assert lock(first, 0, 4)[0] == STATUS_SUCCESS
    code, block = lock(second, 0, 4)
    assert (code, block.is_pending) == (STATUS_PENDING, True)
    assert unlock(first, 0, 4) == STATUS_SUCCESS
    assert block.status == STATUS_SUCCESS
    assert rig.no_packet()


def test_i03_a_refused_lock_queues_nothing(rig: Rig, path: Path) -> None:
    """I-03: LOCK_NOT_GRANTED at once, no packet, status block and event untouched."""
    first, second = rig.open(path).bind(), rig.open(path).bind()
    lock(first, 0, 4)
    rig.packet(timeout=0)
    event = rig.event()
    code, block = lock(second, 3, 4, SHARED, FAIL, second.ask(event=event))
    assert (code, block.is_pending, event.signalled) == (STATUS_LOCK_NOT_GRANTED, True, False)
    assert rig.no_packet()


@pytest.mark.parametrize(("offset", "length"), [(-1, 4), (0, -1), (0, (1 << 64) + 1), ((1 << 64) - 1, 2), (1 << 64, 1)])
def test_impossible_ranges_are_refused(rig: Rig, path: Path, offset: int, length: int) -> None:
    """Ranges lie within 2**64 bytes; the last byte can be locked."""
    file = rig.open(path).bind()
    assert lock(file, offset, length)[0] == STATUS_INVALID_LOCK_RANGE
    assert rig.no_packet()
    assert lock(file, (1 << 64) - 1, 1)[0] == STATUS_SUCCESS
    assert rig.packet(timeout=0).status == STATUS_SUCCESS


def test_unlocking_needs_exactly_the_range_and_its_owner(rig: Rig, path: Path) -> None:
    """STATUS_RANGE_NOT_LOCKED for a part, for more, for somebody else, and for the second time."""
    file, other = rig.open(path), rig.open(path)
    lock(file, 2, 4)
    assert [unlock(file, 2, 3), unlock(file, 1, 5), unlock(other, 2, 4)] == [STATUS_RANGE_NOT_LOCKED] * 3
    assert [unlock(file, 2, 4), unlock(file, 2, 4)] == [STATUS_SUCCESS, STATUS_RANGE_NOT_LOCKED]


def test_locks_belong_to_the_file_object(rig: Rig, path: Path) -> None:
    """An exclusive lock is in the way of every other one; shared ones go together, and below the owner's exclusive."""
    file, other = rig.open(path), rig.open(path)
    lock(file, 0, 4)
    assert lock(file, 0, 4, EXCLUSIVE, FAIL)[0] == STATUS_LOCK_NOT_GRANTED
    assert lock(file, 0, 4, SHARED, FAIL)[0] == STATUS_SUCCESS
    assert lock(other, 0, 4, SHARED, FAIL)[0] == STATUS_LOCK_NOT_GRANTED
    assert unlock(file, 0, 4) == STATUS_SUCCESS
    assert lock(other, 0, 4, SHARED, FAIL)[0] == STATUS_SUCCESS


def test_i03_h03_a_lock_on_a_closed_file_is_refused(rig: Rig, path: Path) -> None:
    """H-03: too late."""
    file = rig.open(path)
    file.close()
    assert lock(file, 0, 1)[0] == STATUS_FILE_CLOSED


# -- what locks forbid -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caching", ["CACHED", "UNBUFFERED"])
def test_i05_locks_are_mandatory(rig: Rig, path: Path, caching: str) -> None:
    """LockFileEx, I-05: reading and writing locked bytes is an error packet; other bytes are free."""
    how = type(UNBUFFERED)[caching]
    owner, other = rig.open(path, caching=how).bind(), rig.open(path, caching=how).bind()
    lock(owner, 2, 4)
    rig.packet()

    def outcome(operation: Any) -> int:
        assert operation.code == STATUS_PENDING
        packet = rig.packet()
        assert packet.overlapped is operation.block
        return packet.status

    assert outcome(other.read(1, 5)) == STATUS_FILE_LOCK_CONFLICT
    assert outcome(other.write(b"xx", 1)) == STATUS_FILE_LOCK_CONFLICT
    assert [outcome(other.read(2, 0)), outcome(other.write(b"67", 6)), outcome(other.read(0, 3))] == [
        STATUS_SUCCESS
    ] * 3
    assert [outcome(owner.read(4, 2)), outcome(owner.write(b"2345", 2))] == [STATUS_SUCCESS] * 2
    assert unlock(owner, 2, 4) == STATUS_SUCCESS
    lock(other, 0, 1, SHARED)
    rig.packet()
    assert [outcome(owner.read(1, 0)), outcome(other.read(1, 0))] == [STATUS_SUCCESS] * 2
    assert [outcome(owner.write(b"x", 0)), outcome(other.write(b"x", 0))] == [STATUS_FILE_LOCK_CONFLICT] * 2
    assert path.read_bytes() == b"0123456789"


def test_locks_beyond_the_end_meet_appends(rig: Rig, path: Path) -> None:
    """A range may be locked before it exists; who writes at the end then meets it."""
    owner, other = rig.open(path), rig.open(path).bind()
    lock(owner, 12, 4)
    other.write(b"ab", WRITE_TO_END_OF_FILE)
    other.write(b"c", WRITE_TO_END_OF_FILE)
    assert [rig.packet(timeout=0).status for _ in range(2)] == [STATUS_SUCCESS, STATUS_FILE_LOCK_CONFLICT]
    assert path.read_bytes() == b"0123456789ab"


def test_locks_meet_synchronous_operations(rig: Rig, path: Path) -> None:
    """The same for synchronous files, at once and with the position where it was."""
    owner, other = rig.open(path, io_mode=SYNCHRONOUS), rig.open(path, io_mode=SYNCHRONOUS)
    assert lock(owner, 0, 4)[0] == STATUS_SUCCESS
    assert other.read_now(4) == (STATUS_FILE_LOCK_CONFLICT, b"")
    assert other.write_now(b"x") == (STATUS_FILE_LOCK_CONFLICT, 0)
    assert other.device.position == 0
    assert owner.read_now(4) == (STATUS_SUCCESS, b"0123")


@pytest.mark.parametrize("profile", ["xp", "classic"])
def test_i03_before_vista_a_conflict_is_told_at_once(rigs: MakeRig, path: Path, profile: str) -> None:
    """I-03: what ends within the call is reported by the call, and its errors queue nothing."""
    rig = rigs(profile)
    owner, other = rig.open(path), rig.open(path).bind()
    lock(owner, 0, 4)
    assert other.read(4).code == STATUS_FILE_LOCK_CONFLICT
    assert rig.no_packet()


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_i05_waiting_locks_are_granted_in_order(rig: Rig, path: Path) -> None:
    """I-05, I-27: a conflicting lock pends; unlocking grants what is free now, oldest first."""
    owner = rig.open(path)
    files = [rig.open(path).bind(key=number) for number in range(4)]
    lock(owner, 0, 10)
    asked = [
        lock(files[0], 0, 4),
        lock(files[1], 2, 4, SHARED),
        lock(files[2], 6, 2),
        lock(files[3], 4, 2, SHARED),
    ]
    assert [code for code, _ in asked] == [STATUS_PENDING] * 4
    assert rig.no_packet()
    assert unlock(owner, 0, 10) == STATUS_SUCCESS
    assert [block.is_pending for _, block in asked] == [True] * 4
    # The second waits for the first; nobody waits for the second.
    assert [rig.packet(timeout=0)[:4] for _ in range(3)] == [
        (number, asked[number][1], STATUS_SUCCESS, 0) for number in (0, 2, 3)
    ]
    assert rig.no_packet()
    assert unlock(files[0], 0, 4) == STATUS_SUCCESS
    assert rig.packet(timeout=0).key == 1
    assert [block.status for _, block in asked] == [STATUS_SUCCESS] * 4


def test_i41_cancelled_while_waiting(rig: Rig, path: Path) -> None:
    """I-40, I-41: the cancel ends the wait at once, and the lock is not granted later."""
    owner, file = rig.open(path), rig.open(path).bind()
    lock(owner, 0, 4)
    _, block = lock(file, 0, 4)
    assert file.cancel() == 1
    assert rig.packet(timeout=0)[1:4] == (block, STATUS_CANCELLED, 0)
    assert unlock(owner, 0, 4) == STATUS_SUCCESS
    assert lock(owner, 0, 4, EXCLUSIVE, FAIL)[0] == STATUS_SUCCESS
    assert rig.no_packet()


def test_i43_closing_ends_waits_and_releases_locks(rig: Rig, path: Path) -> None:
    """I-43: the last close cancels the file's own waits and lets those of others be granted."""
    owner, waiter = rig.open(path), rig.open(path).bind(key="waiter")
    owner.bind(key="owner")
    lock(owner, 0, 4)
    lock(owner, 8, 1, SHARED)
    assert [rig.packet(timeout=0).key for _ in range(2)] == ["owner", "owner"]
    lock(waiter, 8, 1)
    _, own = lock(owner, 0, 4)
    _, others = lock(waiter, 0, 4)
    owner.close()
    assert rig.packet(timeout=0)[:4] == ("owner", own, STATUS_CANCELLED, 0)
    assert [rig.packet(timeout=0)[2:4] for _ in range(2)] == [(STATUS_SUCCESS, 0)] * 2
    assert others.status == STATUS_SUCCESS
    assert owner.file.freed
    assert unlock(waiter, 0, 4) == STATUS_SUCCESS


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("with_packet", [False, True])
@pytest.mark.parametrize("with_event", [False, True])
def test_i31_m20_thread_exit_while_waiting(
    rig: Rig, path: Path, bound: bool, with_packet: bool, with_event: bool
) -> None:
    """I-31, M-20: the wait ends with its thread unless it is thread-agnostic; then CancelIoEx ends it."""
    owner, file = rig.open(path), rig.open(path)
    if bound:
        file.bind()
    lock(owner, 0, 4)
    event = rig.event() if with_event else None
    code, block = in_thread(lambda: lock(file, 0, 4, ask=file.ask(with_packet, event)))
    assert code == STATUS_PENDING
    survives = bound and with_packet and not with_event
    eventually(lambda: bool(file.file.requests) == survives, "the thread's requests have ended")
    if survives:
        assert rig.no_packet()
        assert block.is_pending
        assert file.cancel() == 1
    if bound and with_packet:
        assert rig.packet(timeout=0)[1:4] == (block, STATUS_CANCELLED, 0)
    assert rig.no_packet()
    assert block.status == STATUS_CANCELLED
    assert event is None or event.signalled


# -- synchronous files wait within the call ----------------------------------------------------------------------------


@pytest.mark.parametrize("with_event", [False, True])
def test_q23_a_synchronous_lock_waits_visibly(rig: Rig, path: Path, with_event: bool) -> None:
    """Q-23: on a synchronous file object the call returns with the lock; meanwhile its thread is blocked."""
    owner, file = rig.open(path), rig.open(path, io_mode=SYNCHRONOUS)
    lock(owner, 0, 4)
    event = rig.event() if with_event else None
    results: list[Any] = []
    waiter = threading.Thread(target=lambda: results.append(lock(file, 0, 4, ask=file.ask(False, event))))
    waiter.start()
    eventually(lambda: bool(file.file.requests), "the lock is asked for")
    (request,) = list(file.file.requests)
    assert isinstance(request, IoRequest)
    eventually(lambda: request.thread.state is ThreadState.BLOCKED, "the thread waits")
    assert unlock(owner, 0, 4) == STATUS_SUCCESS
    waiter.join(DEADLINE)
    ((code, block),) = results
    assert (code, block.status) == (STATUS_SUCCESS, STATUS_SUCCESS)
    assert event is None or event.signalled
    assert lock(file, 0, 4, EXCLUSIVE, FAIL)[0] == STATUS_LOCK_NOT_GRANTED


def test_i03_a_synchronous_refusal_leaves_the_event(rig: Rig, path: Path) -> None:
    """I-03: a refused lock sets no event, a granted one does."""
    owner, file = rig.open(path), rig.open(path, io_mode=SYNCHRONOUS)
    lock(owner, 0, 4)
    event = rig.event()
    assert lock(file, 0, 4, EXCLUSIVE, FAIL, file.ask(False, event))[0] == STATUS_LOCK_NOT_GRANTED
    assert not event.signalled
    assert lock(file, 4, 4, EXCLUSIVE, FAIL, file.ask(False, event))[0] == STATUS_SUCCESS
    assert event.signalled


def test_a_synchronous_wait_can_be_cancelled_and_interrupted(
    rig: Rig, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-41, Q-35: cancelled by another thread it returns so; interrupted it gives up the wait."""
    owner, file = rig.open(path), rig.open(path, io_mode=SYNCHRONOUS)
    lock(owner, 0, 4)
    results: list[Any] = []
    waiter = threading.Thread(target=lambda: results.append(lock(file, 0, 4)[0]))
    waiter.start()
    eventually(lambda: bool(file.file.requests), "the lock is asked for")
    assert file.cancel() == 1
    waiter.join(DEADLINE)
    assert results == [STATUS_CANCELLED]

    def interrupt(*arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(rig.system, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lock(file, 0, 4)
    assert not file.file.requests
    assert not file.device.real.locks.waiting
