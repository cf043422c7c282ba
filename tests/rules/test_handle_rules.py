"""Rules H-01 to H-09: handles, references, lifetime."""

from __future__ import annotations

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import Association, FileObject
from iocp_emu.kernel.jobs import Process
from iocp_emu.kernel.objects import FIRST_HANDLE, HANDLE_STEP, Access, HandleTable, KernelObject
from iocp_emu.kernel.waits import ResetMode
from tests.rules.devices import (
    ABANDONED,
    ACCESS_DENIED,
    CANCELLED,
    INVALID_HANDLE,
    INVALID_PARAMETER,
    TYPE_MISMATCH,
    Bench,
    ByHand,
    Obedient,
    Overlapped,
    Socket,
    packet,
)


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[IoCompletion]:
    """Every port that is freed, as often as it is freed."""
    seen: list[IoCompletion] = []
    on_freed = IoCompletion.on_freed

    def recorded(port: IoCompletion) -> None:
        seen.append(port)
        on_freed(port)

    monkeypatch.setattr(IoCompletion, "on_freed", recorded)
    return seen


def test_h01_three_ends_at_three_times(freed: list[IoCompletion]) -> None:
    """H-01: a handle ends at its close, the port's use at its last handle, the object at its last reference."""
    bench = Bench()
    port, first = bench.port()
    second = bench.duplicate(first)
    _, file_handle = bench.bound_file(port, key=1)
    bench.close(first)
    assert (port.is_closed, port.freed, port.handle_count) == (False, False, 1)
    with bench.refused(INVALID_HANDLE):
        bench.process.handles.lookup(first, IoCompletion)
    bench.close(second)
    assert (port.is_closed, port.freed, port.handle_count) == (True, False, 0)
    bench.close(file_handle)
    assert (port.freed, freed) == (True, [port])


def test_h01_a_handle_may_bear_the_name_that_the_host_has() -> None:
    """H-01: below the values that the table gives out, an object opens under a number of the host's own."""
    bench = Bench()
    port, handle = bench.port()
    handles = bench.process.handles
    assert handles.open(port, Access.ALL, 3) == 3
    found = handles.get(3)
    assert found is not None
    assert found.object is port
    bench.close(3)
    assert handles.get(3) is None
    assert handles.get(handle) is not None


def test_h01_a_handle_is_closed_once() -> None:
    """H-01: a handle is not counted: the second close of the same value is INVALID_HANDLE, other handles are safe."""
    bench = Bench()
    port, first = bench.port()
    bench.duplicate(first)
    bench.close(first)
    for bad in (first, None, 0):
        with bench.refused(INVALID_HANDLE):
            bench.process.handles.close(bad)
    assert port.handle_count == 1


def test_h01_a_lookup_names_the_first_thing_that_is_wrong() -> None:
    """H-01: no such handle, then the wrong type, then a missing right."""
    bench = Bench()
    port, _ = bench.port()
    handle = bench.open(port, Access.QUERY_STATE)
    handles = bench.process.handles
    assert handles.entry(handle).access == Access.QUERY_STATE
    for bad, kind, access, code in (
        (handle + HANDLE_STEP, FileObject, Access.MODIFY_STATE, INVALID_HANDLE),
        (handle, FileObject, Access.MODIFY_STATE, TYPE_MISMATCH),
        (handle, IoCompletion, Access.MODIFY_STATE, ACCESS_DENIED),
    ):
        with bench.refused(code):
            handles.lookup(bad, kind, access)
    assert handles.lookup(handle, KernelObject) is port


def test_h02_what_refers_to_a_port() -> None:
    """H-02: each handle, each associated file object, each call in progress, each job, each armed wait packet; not the
    file's handles, not its requests, not the association of a thread."""
    bench = Bench()
    port, handle = bench.port()
    expected = 1
    assert port.references == expected

    duplicate = bench.duplicate(handle)
    assert port.references == expected + 1
    bench.close(duplicate)

    file, file_handle = bench.bound_file(port, key=1)
    expected += 1
    bench.duplicate(file_handle)
    bench.start(file, Overlapped())
    assert port.references == expected

    worker = bench.thread("T1")
    bench.park(worker, port)
    assert port.references == expected + 1
    bench.post(port)
    assert (port.references, worker.queue) == (expected, port.queue)

    job = bench.kernel.create_job()
    bench.open(job)
    job.set_port(port, key=2)
    expected += 1
    assert port.references == expected

    wait_packet = bench.kernel.create_wait_packet()
    bench.open(wait_packet)
    wait_packet.associate(port, bench.event(), packet(3))
    expected += 1
    assert port.references == expected


def test_h03_a_file_lives_while_requests_are_outstanding(freed: list[IoCompletion]) -> None:
    """H-03: without a handle, in-flight requests keep file and port alive; the last of them ends both."""
    bench = Bench()
    device = ByHand()
    port, handle = bench.port()
    file, file_handle = bench.bound_file(port, key=1, device=device)
    requests = [bench.start(file, Overlapped()) for _ in range(2)]
    bench.close(file_handle)
    bench.close(handle)
    assert (file.references, port.references, device.closes) == (2, 1, 0)
    bench.complete(requests[0])
    assert (file.freed, file.association) == (False, Association(port, 1))
    bench.complete(requests[1])
    assert (file.freed, device.closes, freed, port.dropped) == (True, 1, [port], 2)


def test_h04_a_thread_is_no_reference() -> None:
    """H-04: when the object dies, the threads that were associated with it are strangers again."""
    bench = Bench()
    port, handle = bench.port()
    bench.post(port)
    bench.get(bench.main, port)
    assert (port.references, bench.main.queue) == (1, port.queue)
    bench.close(handle)
    assert (port.freed, bench.main.queue) == (True, None)


def test_h05_freed_once_and_silently(freed: list[IoCompletion]) -> None:
    """H-05: queued packets go without a word: no status block is written, no event is set, nobody is woken."""
    bench = Bench()
    port, handle = bench.port()
    file, file_handle = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    bench.complete(bench.start(file, overlapped))
    bench.post(port)
    bench.close(file_handle)
    assert port.depth == 2
    bench.close(handle)
    assert (freed, port.references, port.dropped) == ([port], 0, 2)
    assert port not in bench.kernel.objects
    assert (overlapped.is_pending, bench.kernel.readied) == (True, [])


def test_h06_after_the_last_port_handle_completions_are_dropped() -> None:
    """H-06: I/O goes on; packets are counted as dropped; a status block is final at once, since nobody can dequeue
    (vector close-12 against the choice of H-06); the file can only be bound elsewhere by replacement."""
    bench = Bench()
    port, handle = bench.port()
    other, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    event = bench.event()
    late, with_event, at_once = Overlapped("ov1"), Overlapped("ov2"), Overlapped("ov3")
    before = bench.start(file, late)
    bench.close(handle)
    after = bench.start(file, with_event, event=event)
    bench.complete(before)
    bench.complete(after)
    bench.at_once(file, at_once, status.STATUS_SUCCESS, 3)
    assert (port.dropped, port.depth, event.signalled) == (3, 0, True)
    assert [late.is_pending, with_event.is_pending, at_once.is_pending] == [False, False, False]
    with bench.refused(INVALID_PARAMETER):
        file.associate(other, key=2)
    file.replace_association(other, key=2)
    assert port.freed
    final = Overlapped("ov4")
    bench.complete(bench.start(file, final))
    assert bench.poll(bench.main, other) == [packet(2, final)]


@pytest.mark.parametrize("port_first", [True, False])
def test_h07_the_order_of_closing_does_not_matter_for_freeing(port_first: bool, freed: list[IoCompletion]) -> None:
    """H-07: it decides who hears of what: files first, and a worker collects the cancelled request; port first, and
    the worker is sent away and the packet is dropped.  Freed it is in both cases."""
    bench = Bench()
    port, handle = bench.port()
    file, file_handle = bench.bound_file(port, key=1, device=Socket())
    worker = bench.thread("T1")
    overlapped = Overlapped()
    bench.start(file, overlapped)
    bench.park(worker, port)
    for each in (handle, file_handle) if port_first else (file_handle, handle):
        bench.close(each)
    assert bench.collect(worker) == (ABANDONED if port_first else [packet(1, overlapped, CANCELLED)])
    assert (freed, file.freed, port.dropped) == ([port], True, 1 if port_first else 0)


def test_h08_handle_values_are_never_reused() -> None:
    """H-08: every value is new in its machine, a multiple of four above every descriptor, in whatever process."""
    bench = Bench()
    other = bench.another_process()
    port, first = bench.port()
    seen = [first]
    for _ in range(50):
        for process in (bench.process, other):
            seen.append(bench.open(port, process=process))
            bench.close(seen[-1], process)
    assert len(set(seen)) == len(seen)
    assert all(value >= FIRST_HANDLE and value % HANDLE_STEP == 0 for value in seen)
    with bench.refused(INVALID_HANDLE):
        bench.process.handles.close(seen[1])


def test_h09_a_port_handle_is_duplicated_like_any_other() -> None:
    """H-09: in the process or into another, with the same rights or others; the closing of each counts for itself."""
    bench = Bench()
    other = bench.another_process()
    port, handle = bench.port()
    tables: tuple[tuple[HandleTable, int | None, int], ...] = (
        (bench.process.handles, None, Access.ANY),
        (other.handles, None, Access.ANY),
        (other.handles, Access.QUERY_STATE, Access.QUERY_STATE),
    )
    for table, asked, granted in tables:
        duplicate = bench.process.handles.duplicate(handle, table, asked)
        assert (table.entry(duplicate).object, table.entry(duplicate).access) == (port, granted)
    assert (port.handle_count, len(bench.process.handles), len(other.handles)) == (4, 2, 2)
    with bench.refused(INVALID_HANDLE):
        bench.process.handles.duplicate(handle + 2, other.handles, None)
    bench.kernel.exit_process(other)
    bench.check()
    assert (port.handle_count, other.handles.handles(), port.is_closed) == (2, [], False)


def test_h09_the_end_of_a_process_closes_its_handles() -> None:
    """H-09: newest first, and what they named ends as by any close; a process ends once."""
    bench = Bench()
    child = bench.another_process()
    closed: list[object] = []

    class Noted(Obedient):
        def cleanup(self, file: FileObject) -> None:
            closed.append(file)

    files: list[FileObject] = []
    for _ in range(3):
        file = bench.kernel.create_file(Noted(), bench.file()[0].io_mode)
        bench.open(file, process=child)
        files.append(file)
    bench.kernel.exit_process(child, exit_code=7)
    bench.check()
    assert closed == files[::-1]
    assert (child.exit_code, len(child.threads)) == (7, 0)
    with bench.refused(status.STATUS_PROCESS_IS_TERMINATING):
        bench.kernel.exit_process(child)


def test_h09_a_process_takes_its_threads_with_it() -> None:
    """H-09: parked and blocked threads end too, and who waits for the process is released; its id was a fresh one."""
    bench = Bench()
    port, handle = bench.port()
    child = bench.another_process()
    bench.duplicate(handle, target=child)
    parked, blocked = bench.thread("T1", child), bench.thread("T2", child)
    bench.park(parked, port)
    bench.wait(blocked, [bench.event(ResetMode.AUTO)])
    assert bench.wait(bench.main, [child]) is None
    assert (port.references, child.is_signalled_for(None)) == (3, False)
    bench.kernel.exit_process(child)
    bench.check()
    assert (port.references, port.queue.members, len(port.queue.waiters)) == (1, {}, 0)
    assert bench.collect(bench.main) == status.STATUS_WAIT_0
    assert child.is_signalled_for(None)
    assert isinstance(child, Process)
    assert child.pid != bench.process.pid
    assert child.pid % 4 == 0
