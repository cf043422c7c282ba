"""A refused verb raises and changes nothing: every refusal of the kernel, each on a scene full of state.

Nothing means nothing: besides `snapshot`, which shows what verbs can observe, `contents` compares every field of every
object that can be reached from the kernel.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import iocp_emu.kernel
from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.kernel.thread import MAXIMUM_SUSPEND_COUNT, KernelThread, MadeLate
from iocp_emu.kernel.waits import Alertability, ResetMode, Timeout, WaitMode
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, XP, Profile
from tests.rules.devices import Bench, Overlapped, packet

ALERTABLE = Alertability.ALERTABLE
PLAIN = (int, str, bytes, type(None), type)


def contents(kernel: Kernel) -> dict[int, tuple[Any, ...]]:
    """Every field of every object that hangs on the kernel, by identity."""
    found: dict[int, tuple[Any, ...]] = {}
    todo: list[Any] = [kernel]
    while todo:
        thing = todo.pop()
        if id(thing) in found or isinstance(thing, PLAIN) or callable(thing):
            continue
        parts = list(_parts(thing))
        found[id(thing)] = tuple(part if isinstance(part, PLAIN) else id(part) for part in parts)
        todo.extend(parts)
    return found


def _parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from (key, value)
    elif isinstance(thing, (list, tuple, deque)):
        yield from thing
    else:
        for kind in type(thing).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if not slot.startswith("__") and slot != "late" and hasattr(thing, slot):
                    yield getattr(thing, slot)
            yield from (getattr(thing, name) for name, value in vars(kind).items() if isinstance(value, MadeLate))
        yield from vars(thing).values() if hasattr(thing, "__dict__") else ()


class Scene(Bench):
    """A machine in the middle of its work, with a thread in every state and an object of every kind."""

    def __init__(self, profile: Profile = WIN10) -> None:
        super().__init__(profile)
        self._make_ports_and_objects()
        self._make_threads()
        self._make_files()
        self._make_jobs()
        self._make_packet_sources()

    def _make_ports_and_objects(self) -> None:
        self.home, self.home_handle = self.port(1)
        self.empty, self.empty_handle = self.port(1)
        self.dead, dead_handle = self.port(1)
        self.dead.reference()
        self.close(dead_handle)
        self.closed_handle = dead_handle
        self.weak_handle = self.open(self.home, Access.QUERY_STATE)

        self.signalled = self.event(ResetMode.AUTO, signalled=True)
        self.unsignalled = self.event()
        self.semaphore = self.kernel.create_semaphore(1, 2)
        self.open(self.semaphore)
        self.named = self.event()
        self.kernel.set_name(self.named, "taken")

    def _make_threads(self) -> None:
        kernel = self.kernel
        self.running, self.parked, self.waiting, self.outside, self.suspended, self.exited = (
            self.thread(name) for name in ("running", "parked", "waiting", "outside", "suspended", "exited")
        )
        for thread in (self.running, self.waiting, self.outside, self.suspended):
            self.poll(thread, self.home)
        self.mutant = kernel.create_mutant(self.running)
        self.open(self.mutant)
        self.park(self.parked, self.home)
        assert self.wait(self.waiting, [self.unsignalled]) is None
        kernel.block(self.outside)
        kernel.suspend(self.suspended)
        self.exited.reference()
        self.exit(self.exited)
        for thread in (self.parked, self.waiting, self.outside, self.suspended):
            kernel.queue_user_apc(thread, lambda: None)
        self.post(self.home, "queued")

    def _make_files(self) -> None:
        self.bound, self.bound_handle = self.bound_file(self.home, "key")
        self.unbound, _ = self.file()
        self.synchronous, _ = self.file(io_mode=IoMode.SYNCHRONOUS)
        self.outstanding = self.start(self.bound, Overlapped("outstanding"))
        self.finished = self.start(self.bound, Overlapped("finished"))
        self.complete(self.finished)

    def _make_jobs(self) -> None:
        kernel = self.kernel
        self.job = kernel.create_job()
        self.open(self.job)
        self.job.set_port(self.home, "job")
        self.inner = kernel.create_job()
        self.open(self.inner)
        self.child = self.another_process()
        self.job.assign(self.child)
        if kernel.profile.jobs_nest:
            self.inner.assign(self.child)
        self.other_child = self.another_process()
        self.other_job = kernel.create_job()
        self.open(self.other_job)
        self.other_job.assign(self.other_child)
        self.ended = self.another_process()
        self.ended.reference()
        kernel.exit_process(self.ended)

    def _make_packet_sources(self) -> None:
        kernel = self.kernel
        self.reserve = kernel.create_reserve()
        self.open(self.reserve)
        self.reserve.post(self.home, packet("reserved"))
        if kernel.profile.wait_completion_packets:
            self.armed = kernel.create_wait_packet()
            self.open(self.armed)
            self.armed.associate(self.home, self.unsignalled, packet("armed"))
            self.idle = kernel.create_wait_packet()
            self.open(self.idle)

    def unlucky_request(self) -> Any:
        """A request whose device neither pended nor completed it before the call returned."""
        overlapped = Overlapped("unlucky")
        request = self.unbound.start_request(self.main, overlapped, context=overlapped)
        request.return_to_caller()
        return request

    def suspend_to_the_limit(self) -> None:
        """As often as it goes."""
        while self.suspended.suspend_count < MAXIMUM_SUSPEND_COUNT:
            self.kernel.suspend(self.suspended)


Call = Callable[[Scene], object]

INVALID_PARAMETER = status.STATUS_INVALID_PARAMETER
INVALID_HANDLE = status.STATUS_INVALID_HANDLE
ACCESS_DENIED = status.STATUS_ACCESS_DENIED
NOT_IMPLEMENTED = status.STATUS_NOT_IMPLEMENTED
TERMINATING = status.STATUS_THREAD_IS_TERMINATING


def handles_of(scene: Scene) -> Any:
    """The scene's handle table."""
    return scene.process.handles


def with_an_apc(scene: Scene, file: Any) -> object:
    """Issue a request with a completion routine."""
    return file.start_request(scene.main, Overlapped("new"), apc=lambda *_: None)


NOT_RUNNING = ("parked", "waiting", "outside", "suspended", "exited")


def dequeue_by(who: str, port: str, timeout: Timeout, alertability: Alertability) -> Call:
    """A dequeue call of the thread in that state, from a strange port or its own."""
    return lambda s: s.kernel.remove(getattr(s, who), getattr(s, port), 2, timeout, alertability)


def wait_by(who: str, what: str | None, timeout: Timeout) -> Call:
    """A wait of the thread in that state for that object, or an alertable sleep."""
    if what is None:
        return lambda s: s.kernel.wait(getattr(s, who), timeout=timeout, alertability=ALERTABLE)
    return lambda s: s.kernel.wait(getattr(s, who), [getattr(s, what)], timeout=timeout)


def block_by(who: str) -> Call:
    """Say that the thread in that state blocks."""
    return lambda s: s.kernel.block(getattr(s, who))


def unblock(who: str) -> Call:
    """Say that the thread in that state goes on."""
    return lambda s: s.kernel.unblock(getattr(s, who))


BY_STATE: dict[str, Call] = {
    **{
        f"dequeue-at-{port}-by-{who}-thread-{timeout.name}-{how.name}": dequeue_by(who, port, timeout, how)
        for who in NOT_RUNNING
        for port, timeout in (("empty", Timeout.LATER), ("home", Timeout.DUE))
        for how in Alertability
    },
    **{
        f"wait-by-{who}-thread-for-{what}-{timeout.name}": wait_by(who, what, timeout)
        for who in NOT_RUNNING
        for what in ("signalled", "unsignalled", "semaphore", "home", None)
        for timeout in Timeout
    },
    **{f"block-{who}-thread": block_by(who) for who in NOT_RUNNING},
    **{f"unblock-{who}-thread": unblock(who) for who in ("running", "parked", "waiting", "suspended", "exited")},
}

REFUSALS: dict[str, tuple[Call, int]] = {
    **{name: (call, INVALID_PARAMETER) for name, call in BY_STATE.items()},
    # dequeuing
    "dequeue-closed-port": (lambda s: s.kernel.remove(s.running, s.dead), INVALID_HANDLE),
    "dequeue-nothing-from-closed-port": (lambda s: s.kernel.remove(s.running, s.dead, 0), INVALID_HANDLE),
    "dequeue-nothing": (lambda s: s.kernel.remove(s.running, s.home, 0), INVALID_PARAMETER),
    "dequeue-negative": (lambda s: s.kernel.remove(s.running, s.empty, -1), INVALID_PARAMETER),
    # waiting
    "wait-twice-for-one": (lambda s: s.kernel.wait(s.running, [s.signalled, s.signalled]), INVALID_PARAMETER),
    "wait-twice-for-one-among-all": (
        lambda s: s.kernel.wait(s.running, [s.signalled, s.named, s.signalled], WaitMode.ALL),
        INVALID_PARAMETER,
    ),
    # threads and processes
    "apc-to-exited-thread": (
        lambda s: s.kernel.queue_user_apc(s.exited, lambda: None),
        status.STATUS_UNSUCCESSFUL,
    ),
    "suspend-exited-thread": (lambda s: s.kernel.suspend(s.exited), TERMINATING),
    "exit-twice": (lambda s: s.kernel.exit_thread(s.exited), TERMINATING),
    "exit-process-twice": (lambda s: s.kernel.exit_process(s.ended), status.STATUS_PROCESS_IS_TERMINATING),
    # semaphores and mutexes
    "semaphore-release-none": (lambda s: s.semaphore.release(0), INVALID_PARAMETER),
    "semaphore-release-too-many": (lambda s: s.semaphore.release(2), status.STATUS_SEMAPHORE_LIMIT_EXCEEDED),
    "semaphore-below-zero": (lambda s: s.kernel.create_semaphore(-1, 1), INVALID_PARAMETER),
    "semaphore-above-its-maximum": (lambda s: s.kernel.create_semaphore(2, 1), INVALID_PARAMETER),
    "semaphore-without-room": (lambda s: s.kernel.create_semaphore(0, 0), INVALID_PARAMETER),
    "mutex-of-another": (lambda s: s.mutant.release(s.main), status.STATUS_MUTANT_NOT_OWNED),
    # handles and names
    "close-closed-handle": (lambda s: handles_of(s).close(s.closed_handle), INVALID_HANDLE),
    "close-null": (lambda s: handles_of(s).close(None), INVALID_HANDLE),
    "duplicate-closed-handle": (
        lambda s: handles_of(s).duplicate(s.closed_handle, handles_of(s), None),
        INVALID_HANDLE,
    ),
    "lookup-bogus": (lambda s: handles_of(s).lookup(4, IoCompletion), INVALID_HANDLE),
    "lookup-other-type": (
        lambda s: handles_of(s).lookup(s.bound_handle, IoCompletion),
        status.STATUS_OBJECT_TYPE_MISMATCH,
    ),
    "lookup-without-right": (
        lambda s: handles_of(s).lookup(s.weak_handle, IoCompletion, Access.MODIFY_STATE),
        ACCESS_DENIED,
    ),
    "name-taken": (lambda s: s.kernel.set_name(s.unsignalled, "taken"), status.STATUS_OBJECT_NAME_COLLISION),
    # files and requests
    "associate-twice": (lambda s: s.bound.associate(s.empty, "new"), INVALID_PARAMETER),
    "associate-twice-with-the-same": (lambda s: s.bound.associate(s.home, "key"), INVALID_PARAMETER),
    "associate-synchronous-file": (lambda s: s.synchronous.associate(s.empty, "new"), INVALID_PARAMETER),
    "replace-on-synchronous-file": (lambda s: s.synchronous.replace_association(s.empty, 1), INVALID_PARAMETER),
    "modes-of-synchronous-file": (lambda s: s.synchronous.add_modes(1), INVALID_PARAMETER),
    "routine-on-associated-file": (lambda s: with_an_apc(s, s.bound), INVALID_PARAMETER),
    "complete-twice": (lambda s: s.kernel.complete(s.finished, 0, 0), INVALID_PARAMETER),
    "cancel-unknown-request": (
        lambda s: s.bound.cancel_all_or_one(s.process, Overlapped("never issued")),
        status.STATUS_NOT_FOUND,
    ),
    "cancel-requests-of-nobody": (
        lambda s: s.unbound.cancel_all_or_one(s.process, None),
        status.STATUS_NOT_FOUND,
    ),
    # jobs, wait packets, reserves
    "job-second-port": (lambda s: s.job.set_port(s.empty, "new"), INVALID_PARAMETER),
    "job-assign-twice": (lambda s: s.job.assign(s.child), ACCESS_DENIED),
    "job-assign-ended": (lambda s: s.job.assign(s.ended), ACCESS_DENIED),
    "job-assign-from-another-chain": (lambda s: s.inner.assign(s.other_child), ACCESS_DENIED),
    "wait-packet-in-use": (
        lambda s: s.armed.associate(s.empty, s.signalled, packet("new")),
        status.STATUS_INVALID_PARAMETER_1,
    ),
    "wait-packet-on-a-mutex": (
        lambda s: s.idle.associate(s.empty, s.mutant, packet("new")),
        status.STATUS_INVALID_PARAMETER_3,
    ),
    "wait-packet-on-a-port": (
        lambda s: s.idle.associate(s.empty, s.empty, packet("new")),
        status.STATUS_INVALID_PARAMETER_3,
    ),
    "reserve-in-use": (lambda s: s.reserve.post(s.empty, packet("new")), status.STATUS_INVALID_PARAMETER_2),
}

BY_PROFILE: dict[str, tuple[Profile, Call, int]] = {
    "batch-before-vista": (XP, lambda s: s.kernel.remove(s.running, s.home, 2), NOT_IMPLEMENTED),
    "alertable-before-vista": (
        XP,
        lambda s: s.kernel.remove(s.running, s.home, alertability=ALERTABLE),
        NOT_IMPLEMENTED,
    ),
    "modes-before-vista": (XP, lambda s: s.bound.add_modes(1), NOT_IMPLEMENTED),
    "replace-before-8.1": (
        WIN7,
        lambda s: s.bound.replace_association(s.empty, 1),
        status.STATUS_INVALID_INFO_CLASS,
    ),
    "job-without-port-before-8": (WIN7, lambda s: s.job.set_port(None, None), INVALID_PARAMETER),
    "nested-job-before-8": (WIN7, lambda s: s.inner.assign(s.child), ACCESS_DENIED),
    "wait-packet-before-8": (WIN7, lambda s: s.kernel.create_wait_packet(), NOT_IMPLEMENTED),
    "port-handle-of-the-classic-page": (
        CLASSIC,
        lambda s: s.kernel.wait(s.running, [s.signalled, s.home]),
        status.STATUS_OBJECT_TYPE_MISMATCH,
    ),
}


def assert_refused(scene: Scene, call: Call, code: int) -> None:
    """The call raises with this status, and neither the picture nor any field anywhere has changed."""
    before, everything = snapshot(scene.kernel), contents(scene.kernel)
    with pytest.raises(NtError) as refusal:
        call(scene)
    assert status.status_name(refusal.value.status) == status.status_name(code)
    assert snapshot(scene.kernel) == before
    assert contents(scene.kernel) == everything
    scene.check()


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_verb_changes_nothing(case: str) -> None:
    """Q-11, Q-23, C-05, C-06, X-05 and others: each refusal raises its status; before equals after."""
    assert_refused(Scene(), *REFUSALS[case])


@pytest.mark.parametrize("case", BY_PROFILE)
def test_a_verb_that_the_profile_does_not_have(case: str) -> None:
    """The same for what a Windows does not have (0.3)."""
    profile, call, code = BY_PROFILE[case]
    scene = Scene(profile) if profile is not XP else OldScene(profile)
    assert_refused(scene, call, code)


class OldScene(Scene):
    """A smaller scene, on a system where the last close wakes nobody."""

    def __init__(self, profile: Profile) -> None:
        Bench.__init__(self, profile)
        self.home, self.home_handle = self.port(1)
        self.running = self.thread("running")
        self.poll(self.running, self.home)
        self.post(self.home, "queued")
        self.bound, self.bound_handle = self.bound_file(self.home, "key")


def test_a_request_that_was_never_answered_cannot_be_completed() -> None:
    """I-05: a device that neither pends nor completes before the call returns has missed its chance."""
    scene = Scene()
    request = scene.unlucky_request()
    assert_refused(scene, lambda s: s.kernel.complete(request, 0, 0), INVALID_PARAMETER)


def test_the_128th_suspension_is_refused() -> None:
    """K-24: the count ends at 127."""
    scene = Scene()
    scene.suspend_to_the_limit()
    assert_refused(
        scene, lambda s: s.kernel.suspend(s.suspended), status.STATUS_SUSPEND_COUNT_EXCEEDED
    )


def test_a_wait_for_65_objects_is_refused() -> None:
    """Q-23: 64 is the most; the limit itself is accepted."""
    scene = Scene()
    events = [scene.event() for _ in range(65)]
    assert_refused(scene, lambda s: s.kernel.wait(s.running, events), INVALID_PARAMETER)
    assert scene.wait(scene.running, events[:64], timeout=Timeout.DUE) == status.STATUS_TIMEOUT


@pytest.mark.parametrize("processors", [0, -1])
def test_a_machine_needs_a_processor(processors: int) -> None:
    """Q-03: zero processors would make a port with concurrency 0 useless."""
    with pytest.raises(ValueError, match="processors"):
        Kernel(processors=processors)


def test_resuming_what_is_not_suspended_is_no_refusal() -> None:
    """Q-26: as on Windows: the previous count 0, and nothing happens."""
    scene = Scene()
    before, everything = snapshot(scene.kernel), contents(scene.kernel)
    threads = (scene.running, scene.parked, scene.waiting, scene.outside, scene.exited)
    assert [scene.kernel.resume(thread) for thread in threads] == [0] * 5
    assert (snapshot(scene.kernel), contents(scene.kernel)) == (before, everything)


def test_no_refusal_of_the_kernel_is_forgotten() -> None:
    """Every `raise NtError` in the kernel's source is reached by a case here: as many distinct lines as there are."""
    source = Path(iocp_emu.kernel.__file__).parent
    expected = {
        (path.name, node.lineno)
        for path in source.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and "NtError" in ast.dump(node.exc.func)
    }
    reached: set[tuple[str, int]] = set()
    scene = Scene()
    scene.suspend_to_the_limit()
    events = [scene.event() for _ in range(65)]
    unlucky = scene.unlucky_request()
    calls: list[tuple[Scene, Call]] = [(Scene(), call) for call, _ in REFUSALS.values()]
    calls += [(Scene(p) if p is not XP else OldScene(p), call) for p, call, _ in BY_PROFILE.values()]
    calls += [
        (scene, lambda s: s.kernel.suspend(s.suspended)),
        (scene, lambda s: s.kernel.wait(s.running, events)),
        (scene, lambda s: s.kernel.complete(unlucky, 0, 0)),
    ]
    for where, call in calls:
        try:
            call(where)
        except NtError as refusal:
            trace = refusal.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            assert trace is not None
            reached.add((Path(trace.tb_frame.f_code.co_filename).name, trace.tb_lineno))
    assert sorted(expected - reached) == []


def test_the_contents_see_what_the_picture_leaves_out() -> None:
    """The comparison can fail: a waiter on an object's list, a pending APC and a field of a request all show."""
    scene = Scene()
    everything = contents(scene.kernel)
    thread: KernelThread = scene.running
    objects: list[Callable[[], object]] = [
        lambda: scene.named.add_wait(next(iter(scene.unsignalled.waits))),
        lambda: thread.user_apcs.append(lambda: None),
        lambda: setattr(scene.outstanding, "is_cancelling", True),
        lambda: setattr(thread, "last_error", 5),
    ]
    for change in objects:
        change()
        assert contents(scene.kernel) != everything
        everything = contents(scene.kernel)
