"""Rules C-01 to C-18 as far as the kernel decides them; what only the call can show is in test_create_face_rules."""

from __future__ import annotations

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import Association, FileObject, IoMode, NotificationMode
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access
from iocp_emu.kernel.waits import Alertability
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, WINE_OLD, XP, Profile
from tests.rules.devices import (
    ACCESS_DENIED,
    INVALID_HANDLE,
    INVALID_PARAMETER,
    TIMEOUT,
    TYPE_MISMATCH,
    Bench,
    ByHand,
    Hasty,
    Obedient,
    Overlapped,
    PipeEnd,
    Socket,
    packet,
)


@pytest.mark.parametrize(("asked", "concurrency"), [(0, 4), (1, 1), (7, 7), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_c01_a_new_port_takes_its_concurrency_value(asked: int, concurrency: int) -> None:
    """C-01: the number given is used; zero stands for the processors; no file is needed."""
    bench = Bench(processors=4)
    port, _ = bench.port(asked)
    assert (port.concurrency, port.queue.maximum_count, port.references) == (concurrency, concurrency, 1)


def test_c01_a_machine_has_processors() -> None:
    """C-01: the machine behind the zero has one processor or more."""
    with pytest.raises(ValueError, match="processors"):
        Kernel(processors=0)


def test_c03_a_failed_association_leaves_the_port_as_it_was() -> None:
    """C-03: a port made for a file that cannot be associated has nothing but its handle, and goes with it."""
    bench = Bench()
    file, _ = bench.file(io_mode=IoMode.SYNCHRONOUS)
    objects = len(bench.kernel.objects)
    port, handle = bench.port()
    with bench.refused(INVALID_PARAMETER):
        file.associate(port, key=1)
    assert port.references == 1
    bench.close(handle)
    assert (port.freed, len(bench.kernel.objects)) == (True, objects)


def test_c04_an_association_is_a_reference_and_no_handle() -> None:
    """C-04: the port has one reference more, the same handles and the same concurrency value."""
    bench = Bench()
    port, _ = bench.port(concurrency=1)
    file, _ = bench.bound_file(port, key=3)
    assert (port.references, port.handle_count, port.concurrency) == (2, 1, 1)
    assert file.association == Association(port, 3)


def test_c05_a_synchronous_file_is_refused() -> None:
    """C-05: for binding, also through replacement; file and port stay as they were."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.file(io_mode=IoMode.SYNCHRONOUS)
    with bench.refused(INVALID_PARAMETER):
        file.associate(port, key=1)
    with bench.refused(INVALID_PARAMETER):
        file.replace_association(port, key=1)
    assert status.status_to_error(INVALID_PARAMETER) == 87


def test_c06_a_second_association_is_refused() -> None:
    """C-06: with the same port or another, with the same key or another, also when the port has been closed."""
    bench = Bench()
    port, handle = bench.port()
    other, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    for target, key in ((port, 1), (port, 2), (other, 1)):
        with bench.refused(INVALID_PARAMETER):
            file.associate(target, key)
    bench.close(handle)
    with bench.refused(INVALID_PARAMETER):
        file.associate(other, key=2)
    assert file.association == Association(port, 1)


def test_c07_no_file_behind_a_closed_or_bogus_handle() -> None:
    """C-07: closed, never opened, zero and no handle at all: INVALID_HANDLE (6)."""
    bench = Bench()
    _, handle = bench.file()
    bench.close(handle)
    for bad in (handle, 0xDEADBEEC, 0, None):
        with bench.refused(INVALID_HANDLE):
            bench.process.handles.lookup(bad, FileObject)
    assert status.status_to_error(INVALID_HANDLE) == 6


def test_c08_a_handle_that_is_not_a_file() -> None:
    """C-08: a type mismatch, which maps to 6 as well."""
    bench = Bench()
    _, port_handle = bench.port()
    event_handle = bench.open(bench.event())
    for handle in (port_handle, event_handle):
        with bench.refused(TYPE_MISMATCH):
            bench.process.handles.lookup(handle, FileObject)
    assert status.status_to_error(TYPE_MISMATCH) == 6


def test_c09_a_port_handle_that_is_closed_or_not_a_port() -> None:
    """C-09: INVALID_HANDLE or a type mismatch, both 6; afterwards a good port is still accepted."""
    bench = Bench()
    port, port_handle = bench.port()
    file, file_handle = bench.file()
    event_handle = bench.open(bench.event())
    bench.close(port_handle)
    for handle, code in ((port_handle, INVALID_HANDLE), (event_handle, TYPE_MISMATCH), (file_handle, TYPE_MISMATCH)):
        with bench.refused(code):
            bench.process.handles.lookup(handle, IoCompletion)
    assert port.freed
    good, _ = bench.port()
    bench.bind(file, good, key=1)


def test_c10_a_port_handle_without_modify_state() -> None:
    """C-10: ACCESS_DENIED (5); a handle with the right finds the port."""
    bench = Bench()
    port, _ = bench.port()
    poor = bench.open(port, Access.ALL & ~Access.MODIFY_STATE)
    rich = bench.open(port, Access.MODIFY_STATE)
    with bench.refused(ACCESS_DENIED):
        bench.process.handles.lookup(poor, IoCompletion, Access.MODIFY_STATE)
    assert bench.process.handles.lookup(rich, IoCompletion, Access.MODIFY_STATE) is port
    assert status.status_to_error(ACCESS_DENIED) == 5


def test_c11_keys_are_opaque_and_need_not_be_unique() -> None:
    """C-11: the file's key comes back in each of its packets; two files may have the same."""
    bench = Bench()
    port, _ = bench.port()
    anything = object()
    files = [bench.bound_file(port, key)[0] for key in (7, 7, 2**64 - 1, anything)]
    operations = [Overlapped(f"ov{number}") for number in range(4)]
    for file, overlapped in zip(files, operations, strict=True):
        bench.complete(bench.start(file, overlapped))
    assert bench.poll(bench.main, port, maximum=8) == [
        packet(7, operations[0]),
        packet(7, operations[1]),
        packet(2**64 - 1, operations[2]),
        packet(anything, operations[3]),
    ]


def test_c12_the_association_belongs_to_the_file_object() -> None:
    """C-12: a duplicate shares it, in another process too, and takes no reference of the port."""
    bench = Bench()
    port, _ = bench.port()
    file, handle = bench.bound_file(port, key=5)
    other = bench.another_process()
    duplicate = bench.duplicate(handle)
    foreign = bench.duplicate(handle, target=other)
    assert bench.process.handles.lookup(duplicate, FileObject) is file
    assert other.handles.lookup(foreign, FileObject) is file
    assert (port.references, file.references) == (2, 3)
    bench.close(handle)
    overlapped, foreign_overlapped = Overlapped("ov1"), Overlapped("ov2")
    bench.complete(bench.start(file, overlapped))
    bench.complete(bench.start(file, foreign_overlapped, thread=bench.thread("T1", other)))
    assert bench.poll(bench.main, port, maximum=8) == [packet(5, overlapped), packet(5, foreign_overlapped)]


class Shared:
    """The host's own file object, as another process may have it too."""

    def __init__(self, is_associated: bool = False) -> None:
        self.is_associated = is_associated


def test_c12_an_inherited_file_is_associated_once() -> None:
    """C-12, C-06, C-14: whichever process associates first has it; only removing it lets another one in."""
    bench = Bench()
    port, _ = bench.port()
    file, handle = bench.file()
    file.host_file = host = Shared(is_associated=True)
    with bench.refused(INVALID_PARAMETER):
        file.associate(port, 1)
    host.is_associated = False
    file.associate(port, 1)
    assert host.is_associated
    file.replace_association(None, 0)
    assert (host.is_associated, file.association, port.references) == (False, None, 1)
    file.replace_association(port, 2)
    bench.close(handle)
    assert (host.is_associated, file.freed, port.references) == (True, True, 1)


def test_c13_the_association_lasts_until_the_file_object_goes() -> None:
    """C-13: through the close of the port's handle, until the file's last reference is gone; then the port is free."""
    bench = Bench()
    device = ByHand()
    port, handle = bench.port()
    file, file_handle = bench.bound_file(port, key=1, device=device)
    request = bench.start(file, Overlapped())
    bench.close(handle)
    bench.close(file_handle)
    assert (file.association, device.cleanups, device.closes) == (Association(port, 1), 1, 0)
    bench.complete(request)
    assert (file.freed, file.association, port.freed, device.closes) == (True, None, True, 1)


def test_c14_replacing_moves_port_and_key() -> None:
    """C-14: what completes from now on goes to the new port with the new key, also what was issued before."""
    bench = Bench()
    port, _ = bench.port()
    other, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    file.replace_association(other, key=2)
    bench.check()
    assert (port.references, other.references) == (1, 2)
    bench.complete(request)
    assert (port.depth, bench.poll(bench.main, other)) == (0, [packet(2, overlapped)])
    file.replace_association(other, key=3)
    assert (other.references, file.association) == (2, Association(other, 3))


def test_c14_removing_unbinds_and_the_file_can_be_bound_again() -> None:
    """C-14: without a port nothing is queued, the status block is written at completion; then anything may follow."""
    bench = Bench()
    port, handle = bench.port()
    file, _ = bench.bound_file(port, key=1)
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    file.replace_association(None, key=0)
    bench.complete(request, information=3)
    assert (port.references, port.depth, overlapped.result) == (1, 0, (status.STATUS_SUCCESS, 3))
    file.replace_association(None, key=0)
    assert file.association is None
    bench.bind(file, port, key=4)
    bench.close(handle)
    file.replace_association(None, key=0)
    assert port.freed


@pytest.mark.parametrize("profile", [WIN7, XP, CLASSIC])
def test_c14_earlier_systems_cannot_replace(profile: Profile) -> None:
    """C-14: before Windows 8.1 the information class is unknown."""
    bench = Bench(profile)
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    for target in (port, None):
        with bench.refused(status.STATUS_INVALID_INFO_CLASS):
            file.replace_association(target, key=2)


def test_c15_binding_while_a_request_is_outstanding() -> None:
    """C-15: a request without an APC routine that completes later posts with the new key."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.file()
    overlapped = Overlapped()
    request = bench.start(file, overlapped)
    bench.bind(file, port, key=9)
    bench.complete(request, information=3)
    assert overlapped.result == (status.STATUS_SUCCESS, 3)
    assert bench.poll(bench.main, port) == [packet(9, overlapped, information=3)]


def test_c15_a_request_with_an_apc_routine_keeps_it() -> None:
    """C-15: bound meanwhile, it still runs its APC, once, and posts nothing."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.file()
    ran: list[tuple[int, int]] = []
    request = bench.start(
        file, Overlapped(), apc=lambda code, information, block: ran.append((code, information))
    )
    bench.bind(file, port, key=9)
    bench.complete(request, information=3)
    assert bench.wait(bench.main, alertability=Alertability.ALERTABLE) == status.STATUS_USER_APC
    bench.run_user_apc(bench.main)
    assert (ran, bench.main.user_apcs) == ([(status.STATUS_SUCCESS, 3)], type(bench.main.user_apcs)())
    assert bench.poll(bench.main, port) is TIMEOUT


def test_c16_an_associated_file_takes_no_apc_routine() -> None:
    """C-16: the request is not even issued."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    event = bench.event(signalled=True)
    with bench.refused(INVALID_PARAMETER):
        file.start_request(bench.main, Overlapped(), event=event, apc=lambda *_: None)
    assert event.signalled
    assert file.references == 1


def test_c16_wine_takes_the_routine_and_posts_nothing() -> None:
    """C-16: where the routine is accepted on an associated file, completion is the APC alone (I-01)."""
    bench = Bench(WINE)
    port, _ = bench.port()
    file, _ = bench.bound_file(port, key=1)
    ran: list[int] = []
    request = bench.start(file, Overlapped(), apc=lambda code, information, block: ran.append(information))
    bench.complete(request, information=3)
    bench.run_user_apc(bench.main)
    assert (ran, port.depth) == ([3], 0)


@pytest.mark.parametrize("mode", [0, 1, 2, 4])
def test_c17_associating_signals_the_file(mode: int) -> None:
    """C-17: who waits on the file is released, unless FILE_SKIP_SET_EVENT_ON_HANDLE (no other mode) was set before."""
    bench = Bench()
    port, _ = bench.port()
    file, _ = bench.file()
    watcher = bench.thread("T1")
    file.add_modes(mode)
    bench.start(file, Overlapped())
    assert not bench.is_signalled(file)
    assert bench.wait(watcher, [file]) is None
    bench.bind(file, port, key=1)
    if mode == NotificationMode.SKIP_SET_EVENT_ON_HANDLE:
        assert bench.kernel.readied == []
    else:
        assert bench.collect(watcher) == status.STATUS_WAIT_0
    assert bench.is_signalled(file) == (mode != NotificationMode.SKIP_SET_EVENT_ON_HANDLE)


@pytest.mark.parametrize("profile", [WINE_OLD, CLASSIC])
def test_c17_some_systems_leave_the_file_unsignalled(profile: Profile) -> None:
    """C-17: Wine 8.0 does nothing to the file when it is associated, and the classic page knows nothing of it."""
    bench = Bench(profile)
    port, _ = bench.port()
    file, _ = bench.file()
    bench.start(file, Overlapped())
    bench.bind(file, port, key=1)
    assert not bench.is_signalled(file)


@pytest.mark.parametrize("kind", [ByHand, Obedient, Hasty, PipeEnd, Socket])
@pytest.mark.parametrize("profile", [WIN10, WIN7, XP, CLASSIC])
def test_c18_whatever_supports_overlapped_requests_can_be_bound(kind: type[ByHand], profile: Profile) -> None:
    """C-18: the port asks nothing of the device; files, pipes and sockets are bound alike."""
    bench = Bench(profile)
    port, _ = bench.port()
    overlapped = Overlapped()
    file, _ = bench.bound_file(port, key=1, device=kind())
    bench.complete(bench.start(file, overlapped), information=2)
    assert bench.poll(bench.main, port) == [packet(1, overlapped, information=2)]
