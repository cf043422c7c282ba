"""The fast path and its seams: where it must be off, where it hands over, and that it is the locked path made short.

`test_q02_...` puts the object face's own `post` and `get` in the place of the runtime's calls, in lockstep with the
naive model; the others look at one seam each.
"""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from iocp_emu import CompletionPort, PortClosed, ThreadSystem, blocking, spawn, status, use
from iocp_emu.kernel.completion import IoCompletion, Packet, PacketSource, PostedPacket, posted_packet
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import NO_WAITS
from iocp_emu.runtime.host import gil_is_enabled
from iocp_emu.runtime.threads import OsThread
from iocp_emu.trace.recorder import Recorder
from tests.runtime.test_threads import eventually
from tests.stateful.driver import Outcome, plain
from tests.stateful.lockstep import Lockstep
from tests.stateful.test_machine import run
from tests.stateful.test_threads_lockstep import FastMachine, ThreadDriver

needs_gil = pytest.mark.skipif(not gil_is_enabled(), reason="this build of Python has no fast path")


class LockWatch:
    """Stands in for a system's lock and counts who takes it."""

    def __init__(self, system: ThreadSystem) -> None:
        self._lock = system._lock  # pyright: ignore[reportPrivateUsage]
        self.taken = 0
        system._lock = self  # pyright: ignore[reportPrivateUsage]

    def acquire(self, blocking: bool = True) -> bool:
        self.taken += 1
        return bool(self._lock.acquire(blocking))

    def release(self) -> None:
        self._lock.release()

    def _is_owned(self) -> bool:
        return bool(self._lock._is_owned())

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def of(self, call: Callable[[], object]) -> int:
        """How often `call()` takes the lock."""
        before = self.taken
        call()
        return self.taken - before


class Face(CompletionPort):
    """Closes nothing when it is dropped."""

    def __del__(self) -> None:
        pass


class FaceDriver(ThreadDriver):
    """Posts and single dequeues go through the object face."""

    def face(self, port: IoCompletion) -> CompletionPort:
        """An object face of that port, without a handle of its own."""
        face = Face.__new__(Face)
        face._system, face._handle = self.system, 0  # pyright: ignore[reportPrivateUsage]
        face._port, face._queue, face._takers = port, port.queue, port.queue.takers  # pyright: ignore[reportPrivateUsage]
        face.choose_path()
        return face

    def post(self, process: int, handle: int, key: str) -> int:
        """By whoever runs the test: a poster needs no association."""
        port: IoCompletion = self.find(process, handle, IoCompletion, Access.MODIFY_STATE)
        depth = port.depth
        packet = self.packet(port, key)
        self.face(port).post(packet.information, packet.key, packet.overlapped)
        return depth

    def remove(self, thread: int, handle: int, maximum: int, due: bool, alertable: bool) -> Outcome:
        """`get` where it can do what is asked for."""
        if maximum != 1 or alertable:
            return super().remove(thread, handle, maximum, due, alertable)
        port = self.find_for(thread, handle, IoCompletion, Access.MODIFY_STATE)

        def call() -> Outcome:
            try:
                return plain([self.face(port).get(0 if due else None)])
            except TimeoutError:
                return plain(RemoveOutcome.TIMEOUT)
            except PortClosed as closed:
                if closed.winerror == status.ERROR_ABANDONED_WAIT_0:
                    return plain(RemoveOutcome.ABANDONED)
                raise NtError(status.STATUS_INVALID_HANDLE) from None
            except (RuntimeError, OSError):
                raise NtError(status.STATUS_INVALID_PARAMETER) from None

        return self.actors[thread].perform(call, when_waiting="parked")


class FaceMachine(FastMachine):
    """The lockstep of real threads, through the object face."""

    def new_kernel(self) -> ThreadDriver:
        """With the object face."""
        return FaceDriver(self.profile, has_fast_path=True)


class LockedFaceMachine(FastMachine):
    """The same with every call under the lock."""

    def new_kernel(self) -> ThreadDriver:
        """With an object face that goes the long way."""
        return FaceDriver(self.profile, has_fast_path=False)


@pytest.mark.parametrize("machine", [FaceMachine, LockedFaceMachine])
@pytest.mark.parametrize("profile", ["win10", "classic", "wine"])
def test_q02_the_object_face_does_as_the_naive_model(machine: type[Lockstep], profile: str) -> None:
    """Q-02, Q-07, Q-10, Q-11, Q-25: random histories on real threads, through the object face's own calls."""
    run(machine, profile, examples=15, steps=30)


@needs_gil
def test_posts_and_gets_of_a_counted_thread_take_no_lock() -> None:
    """Q-11, Q-14: net zero, so nothing to guard; the first get associates the thread and does."""
    with use(ThreadSystem(processors=2)) as system, CompletionPort() as port:
        watch = LockWatch(system)
        assert watch.of(port.post) == 0
        system.current()
        assert watch.of(port.get) == 1
        calls: list[Callable[[], object]] = [port.post, port.get, port.post, lambda: port.get_many(3)]
        for call in calls:
            assert watch.of(call) == 0


@needs_gil
@pytest.mark.parametrize("why", ["switched off", "recorded"])
def test_every_call_takes_the_lock(why: str) -> None:
    """Where the fast path is off, nothing goes past the lock."""
    events: list[object] = []
    system = ThreadSystem(queue_type=Recorder(events.append).queue_type) if why == "recorded" else ThreadSystem()
    system.has_fast_path = False
    with use(system), CompletionPort() as port:
        post, get = port.post, port.get
        post()
        get()
        watch = LockWatch(system)
        assert watch.of(post) == 1
        assert watch.of(get) == 1
        post()
        assert watch.of(lambda: port.get_many(2)) == 1


@needs_gil
def test_the_switch_reaches_calls_that_somebody_holds() -> None:
    """A bound `post` goes the way that the system is in now, not the one in which it was fetched."""
    with use(ThreadSystem()) as system, CompletionPort() as port:
        post, get = port.post, port.get
        post()
        get()
        watch = LockWatch(system)
        for value, locks in ((False, 2), (True, 0), (False, 2)):
            system.has_fast_path = value
            post()
            get()  # where there is a fast path, this readmits the thread to it
            calls: tuple[Callable[[], object], ...] = (post, get)
            assert sum(watch.of(call) for call in calls) == locks


@needs_gil
def test_q13_at_the_limit_a_post_only_queues() -> None:
    """Q-13, Q-25: with all slots taken and threads parked, nothing is to be settled until a slot comes free."""
    with use(ThreadSystem()) as system, CompletionPort(1) as port:
        port.post()
        port.get()
        waiters = [spawn(port.get) for _ in range(3)]
        eventually(lambda: port.waiting == 3, "three park")
        watch = LockWatch(system)
        assert [watch.of(partial(port.post, key=key)) for key in range(3)] == [0, 0, 0]
        assert (port.depth, port.waiting, port.active) == (3, 3, 1)
        with blocking():
            assert sorted(thread.join(60).key for thread in waiters) == [0, 1, 2]
        system.perform(check, system.kernel)


@needs_gil
def test_q32_above_the_limit_a_get_gives_its_slot_up() -> None:
    """Q-27, Q-32: while the count exceeds the limit a counted thread parks although packets are queued."""
    with use(ThreadSystem()) as system, CompletionPort(1) as port:
        port.post(key="first")
        port.get()
        go = threading.Event()
        second = spawn(lambda: (port.get(), go.wait(60)))
        eventually(lambda: port.waiting == 1, "the second parks")
        with blocking():
            port.post(key="second")
            eventually(lambda: port.active == 1, "the second runs")
        assert port.active == 2
        port.post(key="third")
        with pytest.raises(TimeoutError):
            port.get(0)
        assert (port.depth, port.active) == (1, 2)
        go.set()
        second.join(60)
        assert port.get(60).key == "third"
        system.perform(check, system.kernel)


@needs_gil
def test_q11_one_that_may_take_by_itself_is_asked_again_after_every_change() -> None:
    """Q-11, Q-23, Q-32: a thread takes without the lock until somebody stops running or the limit is exceeded."""
    with use(ThreadSystem()) as system, CompletionPort(1) as port:
        queue, me, watch = port.waitable.queue, system.current(), LockWatch(system)

        def take() -> int:
            """How often a get takes the lock that finds a packet."""
            port.post()
            return watch.of(port.get)

        def above_the_limit() -> None:
            """A second thread is counted, and leaves."""
            with pytest.raises(TimeoutError):
                spawn(port.get, 0).join(60)

        def park_another() -> None:
            """Takes the one slot from nobody; its end frees none."""
            waiter = spawn(port.get, 0.001)
            with pytest.raises(TimeoutError):
                waiter.join(60)

        def suspend() -> None:
            system.perform(me.suspend)
            assert not queue.takers
            system.perform(me.resume)

        def block() -> None:
            with blocking():
                assert not queue.takers

        for change in (above_the_limit, park_another, suspend, block):
            take()
            assert [take(), take()] == [0, 0]
            assert list(queue.takers) == [me.ident]
            change()
            assert not queue.takers
            assert [take(), take()] == [1, 0], "asked once, then admitted again"
            system.perform(check, system.kernel)
        port.close()
        assert not queue.takers


@needs_gil
def test_p02_a_post_looks_at_the_port_only_while_somebody_may_wait() -> None:
    """P-02, O-10: a queue is watched from the first waiter on, of either kind, until a get finds nobody."""
    with use(ThreadSystem()) as system, CompletionPort(2) as port:
        queue = port.waitable.queue
        port.post()
        port.get()
        assert not queue.is_watched
        waiter = spawn(port.get)
        eventually(lambda: port.waiting == 1, "it parks")
        assert queue.is_watched
        port.post()
        waiter.join(60)
        port.post()
        port.get()
        assert not queue.is_watched
        watcher = spawn(system.wait, [port.waitable])
        eventually(lambda: bool(port.waitable.waits), "it waits for the port itself")
        assert queue.is_watched
        port.post()
        assert watcher.join(60) == status.STATUS_WAIT_0
        port.get()
        assert port.depth == 0


def test_q15_a_thread_that_moves_leaves_the_fast_path_of_the_port_it_left() -> None:
    """Q-15, A-02: a get elsewhere frees the slot here; a get here afterwards takes one again."""
    with use(ThreadSystem()), CompletionPort(1) as here, CompletionPort(1) as there:
        for port in (here, there, here, there):
            port.post(key=port)
            assert port.get().key is port
            assert (here.active, there.active) == (int(port is here), int(port is there))


def test_q23_inside_blocking_there_is_no_fast_get() -> None:
    """Q-23: a packet that is there stays there."""
    with use(ThreadSystem()), CompletionPort(1) as port:
        port.post()
        port.get()
        port.post()
        with blocking(), pytest.raises(RuntimeError, match="leave the block first"):
            port.get()
        assert port.depth == 1


def test_o23_calls_that_somebody_holds_refuse_a_closed_port() -> None:
    """O-23: `post` and `get` fetched before the close raise 6 after it, and a packet that is left is not delivered."""
    with use(ThreadSystem()):
        port = CompletionPort()
        post, get = port.post, port.get
        post()
        get()
        post()
        port.close()
        for call in (post, get, lambda: get(0), port.post, port.get, lambda: port.get_many(1)):
            with pytest.raises(PortClosed) as caught:
                call()
            assert caught.value.winerror == 6
        with pytest.raises(ValueError, match="bytes"):
            post(-1)


def test_h06_posts_that_race_the_close_are_counted_or_refused() -> None:
    """H-06, O-28: whatever a post that returned has queued is received or counted as dropped."""
    with use(ThreadSystem(processors=2)) as system:
        for _ in range(30):
            port = CompletionPort()
            kernel_port = port.waitable
            kernel_port.reference()
            done: list[int] = []

            def produce(post: Callable[[], None] = port.post, done: list[int] = done) -> None:
                try:
                    while True:
                        post()
                        done.append(1)
                except PortClosed:
                    pass

            producers = [spawn(produce) for _ in range(2)]
            eventually(lambda: len(done) > 10, "posts are going on")  # noqa: B023 - called at once
            port.close()
            for producer in producers:
                producer.join(60)
            assert kernel_port.dropped == len(done)
            assert kernel_port.depth == 0
            system.perform(kernel_port.dereference)


def test_x05_a_source_hears_of_a_delivery_on_every_path() -> None:
    """I-27, X-05: a packet with a source is finished in the dequeuing thread, singly, in a batch or by waiting."""
    heard: list[str] = []

    class Source(PacketSource):
        def on_delivered(self) -> None:
            heard.append(threading.current_thread().name)

    with use(ThreadSystem()) as system, CompletionPort() as port:
        port.post()
        port.get()
        name = threading.current_thread().name
        calls: list[Callable[[], object]] = [port.get, lambda: port.get_many(2), lambda: port.get_many(1)]
        for call in calls:
            system.perform(port.waitable.set, Packet(1, None, 0, 0, Source()))
            port.post()
            call()
            while port.depth:
                port.get()
        assert heard == [name] * 3
        waiter = spawn(port.get, name="waiter")
        eventually(lambda: port.waiting == 1, "it parks")
        system.post(port.waitable, Packet(1, None, 0, 0, Source()))
        waiter.join(60)
        assert heard[3:] == ["waiter"]


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 1 << 32])
def test_n01_bytes_are_checked_before_anything_happens(value: Any) -> None:
    """N-01: 32 bits; the wrong type is TypeError, the wrong range ValueError, and nothing is queued."""
    with use(ThreadSystem()), CompletionPort() as port:
        with pytest.raises((TypeError, ValueError), match="bytes"):
            port.post(value)
        assert port.depth == 0
        for bytes in (0, 1, (1 << 30) - 1, 1 << 30, (1 << 32) - 1):
            port.post(bytes)
            assert port.get().bytes == bytes


def test_posted_packets_are_packets() -> None:
    """Made in another way, the same to look at: equal, hashed, shown, unpacked, replaced."""
    posted, packet = posted_packet("key", "overlapped", 7), Packet("key", "overlapped", 0, 7, None)
    assert posted == packet
    assert hash(posted) == hash(packet)
    assert repr(posted) == repr(packet)
    assert tuple(posted) == tuple(packet) == ("key", "overlapped", 0, 7, None)
    assert (posted.bytes, posted.error, posted.source, len(posted), posted[3]) == (7, None, None, 5, 7)
    assert posted.replace(status=1) == Packet("key", "overlapped", 1, 7)
    assert posted != Packet("key", "overlapped", 0, 8)
    assert posted != ("key", "overlapped", 0, 7, None)
    assert isinstance(posted, PostedPacket)


def test_a_subclass_that_overrides_get_is_asked() -> None:
    """Nothing goes past a method that somebody has overridden."""

    class Counting(CompletionPort):
        calls = 0

        def get(self, timeout: float | None = None) -> Packet:
            self.calls += 1
            return super().get(timeout)

    with use(ThreadSystem()), Counting() as port:
        port.post(3)
        assert (port.get().bytes, port.calls) == (3, 1)


def test_h05_a_port_lives_as_long_as_somebody_holds_a_call_of_it() -> None:
    """H-05: a bound `post` keeps the port open; with the last reference it is closed at once, without the collector."""
    with use(ThreadSystem()):
        gc.disable()
        try:
            port = CompletionPort()
            kernel_port, alive, post = port.waitable, weakref.ref(port), port.post
            port.post()
            port.get()
            del port
            post()
            assert kernel_port.depth == 1
            del post
            assert alive() is None
            assert kernel_port.freed
        finally:
            gc.enable()


@needs_gil
def test_a_new_thread_with_the_ident_of_an_ended_one_is_somebody_else() -> None:
    """A-02, Q-28: hosts give the ident of an ended thread to the next; the new thread takes the port's slot itself."""
    with use(ThreadSystem()) as system, CompletionPort(1) as port:
        seen: set[int] = set()

        def once() -> None:
            seen.add(threading.get_ident())
            with use(system):
                port.post()
                assert port.active == 0
                port.get()
                assert port.active == 1

        for _ in range(50):
            thread = threading.Thread(target=once)
            thread.start()
            thread.join(60)
            assert port.active == 0
        assert not system.threads_by_ident
        assert not port.waitable.queue.members
        assert seen


def test_idle_waiters_keep_no_containers() -> None:
    """Memory: what a thread that only waits never uses is not there, and is when somebody looks."""
    with use(ThreadSystem()) as system, CompletionPort() as port:
        waiter = spawn(port.get)
        thread = waiter.waitable
        assert isinstance(thread, OsThread)
        eventually(lambda: port.waiting == 1, "it parks")
        assert not hasattr(thread, "late")
        assert thread.waits is NO_WAITS
        port.post()
        waiter.join(60)
        current = system.current()
        current.user_apcs.append(gc.enable)
        assert current.requests is current.requests
        assert list(current.user_apcs) == [gc.enable]
        assert set(current.late) == {"user_apcs", "requests"}
        with pytest.raises(AttributeError, match="no_such"):
            _ = system.current().no_such  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the host has no interval timers")
@pytest.mark.parametrize("has_fast_path", [True, False], ids=["fast", "locked"])
def test_q35_ctrl_c_in_parked_gets_loses_nothing(has_fast_path: bool) -> None:
    """Q-35: a main thread that is interrupted while it waits, over and over, receives each packet once and in order."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread")
    system = ThreadSystem()
    system.has_fast_path = system.has_fast_path and has_fast_path

    def interrupt(_number: int, frame: FrameType | None) -> None:
        # Only while it sleeps: between two byte codes of a verb nobody can help (see the runtime's docstring).
        if frame is not None and frame.f_code is asleep and me.state is ThreadState.PARKED:
            raise KeyboardInterrupt

    asleep = ThreadSystem._await.__code__  # pyright: ignore[reportPrivateUsage]
    me = system.current()

    with use(system), CompletionPort(1) as port:
        total = 60
        old = signal.signal(signal.SIGALRM, interrupt)

        def produce() -> None:
            for key in range(total):
                time.sleep(0.001)
                port.post(key=key)

        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
            producer = spawn(produce)
            received: list[int] = []
            while len(received) < total:
                with contextlib.suppress(KeyboardInterrupt):
                    received.append(port.get(60).key)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        producer.join(60)
        assert received == list(range(total))
        system.perform(check, system.kernel)


@needs_gil
def test_q35_switches_between_any_two_byte_codes_lose_nothing() -> None:
    """Q-35, P-02: with the shortest switch interval, three producers and four consumers on a port of two."""
    interval = sys.getswitchinterval()
    total, producers = 30_000, 3
    received: list[list[int]] = [[] for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        with use(ThreadSystem()) as system, CompletionPort(2) as port:

            def produce(first: int) -> None:
                for key in range(first, total, producers):
                    port.post(key=key)

            def consume(mine: list[int]) -> None:
                generator = random.Random(len(received))
                while True:
                    for packet in [port.get()] if generator.random() < 0.7 else port.get_many(5):
                        if packet.key is None:
                            port.post(key=None)
                            return
                        mine.append(packet.key)

            consumers = [spawn(consume, mine) for mine in received]
            for producer in [spawn(produce, first) for first in range(producers)]:
                producer.join(120)
            eventually(lambda: sum(map(len, received)) == total, "all are received")
            port.post(key=None)
            for consumer in consumers:
                consumer.join(120)
            system.perform(check, system.kernel)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(key for mine in received for key in mine) == list(range(total))
    for mine in received:
        for first in range(producers):
            order = [key for key in mine if key % producers == first]
            assert order == sorted(order), "Q-06"


@pytest.mark.slow
def test_ten_million_packets_leave_nothing_behind() -> None:
    """No growth: the blocks that the interpreter has allocated are as many after 10**7 packets as after 10**5."""
    with use(ThreadSystem()), CompletionPort() as port:
        post, get = port.post, port.get

        def pass_packets(count: int) -> int:
            for number in range(count):
                post(number & 0xFFFF, number, number)
                get()
            gc.collect()
            return sys.getallocatedblocks()

        before = pass_packets(100_000)
        assert pass_packets(10_000_000) - before < 1000
