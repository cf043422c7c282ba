"""Real threads on the kernel model: exact releases, races, ends of threads, interrupts and forks.

Every test runs twice, with the lock-free fast path and with every call under the lock, since a fast path may skip work
but never a rule.  Waiting is for conditions, never for luck; `eventually` fails after a generous deadline.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

import iocp_emu
from iocp_emu import CompletionPort, Event, PortClosed, ThreadSystem, blocking, sleep, spawn, use, wait
from iocp_emu.kernel.completion import Packet
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import Alertability

STOP = "stop"


@pytest.fixture(params=["fast", "locked"])
def system(request: pytest.FixtureRequest) -> Iterator[ThreadSystem]:
    """A system of its own for each test, in use, whose invariants hold at the end."""
    system = ThreadSystem(processors=2)
    system.has_fast_path = system.has_fast_path and request.param == "fast"
    with use(system):
        yield system
    system.perform(check, system.kernel)


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.0005)


def test_q07_release_order_is_exactly_the_reverse_of_parking(system: ThreadSystem) -> None:
    """Q-07: 8 parked threads, 8 posts, reverse order, 1,000 rounds without a miss."""
    rounds, workers = 1000, 8
    port = CompletionPort(workers)
    log: list[tuple[int, int]] = []
    turns = [threading.Semaphore(0) for _ in range(workers)]

    def worker(number: int) -> None:
        for _ in range(rounds):
            with blocking():
                turns[number].acquire()
            packet = port.get()
            log.append((number, packet.key))

    threads = [spawn(worker, number, name=f"worker {number}") for number in range(workers)]
    for this_round in range(rounds):
        log.clear()
        for number in range(workers):
            turns[number].release()
            parked = number + 1
            eventually(lambda: port.waiting == parked, f"{parked} waiters")  # noqa: B023 - called at once
        for key in range(workers):
            port.post(key=key)
        eventually(lambda: len(log) == workers, "all released")
        assert sorted(log) == [(number, workers - 1 - number) for number in range(workers)], f"round {this_round}"
    for thread in threads:
        thread.join(60)


def test_q35_stress_every_packet_once_whatever_dies(system: ThreadSystem) -> None:
    """Q-35, P-05, Q-28, Q-33: 4 producers, 8 consumers of mixed kinds, threads dying at random, 200,000 packets."""
    total, producers = 200_000, 4
    port = CompletionPort(3)
    received: list[list[int]] = []
    generator = random.Random(20)
    left_to_die = 40
    dying = threading.Lock()

    def produce(first: int) -> None:
        for key in range(first, total, producers):
            port.post(key=key)

    def take(kind: str) -> list[Packet]:
        if kind == "batch":
            return port.get_many(7)
        if kind == "blocking":
            return [port.get()]
        try:
            return [port.get(timeout=0 if kind == "polling" else 0.0003)]
        except TimeoutError:
            sleep(0.0001)
            return []

    def consume(kind: str, mine: list[int], lives: int) -> None:
        nonlocal left_to_die
        taken = 0
        while True:
            packets = take(kind)
            stops = sum(packet.key == STOP for packet in packets)
            mine.extend(packet.key for packet in packets if packet.key != STOP)
            if stops:
                for _ in range(stops - 1):
                    port.post(key=STOP)
                return
            taken += len(packets)
            if taken > lives:
                with dying:
                    left_to_die -= 1
                    heir = left_to_die >= 0
                if heir:
                    start(kind)
                    return

    threads: list[threading.Thread] = []

    def start(kind: str) -> None:
        mine: list[int] = []
        received.append(mine)
        lives = generator.randrange(500, 5000)

        def body() -> None:
            with use(system):
                consume(kind, mine, lives)

        thread = threading.Thread(target=body)
        threads.append(thread)
        thread.start()

    for kind in ("polling", "timed", "blocking", "batch") * 2:
        start(kind)
    posting = [spawn(produce, first) for first in range(producers)]
    for thread in posting:
        thread.join(120)
    for _ in range(8):
        port.post(key=STOP)
    index = 0
    while index < len(threads):
        threads[index].join(120)
        assert not threads[index].is_alive()
        index += 1
    keys = sorted(key for mine in received for key in mine)
    assert keys == list(range(total))
    assert port.depth == 0
    assert port.active == 0
    for mine in received:
        for producer in range(producers):
            order = [key for key in mine if key % producers == producer]
            assert order == sorted(order), "Q-06: one producer's packets in posting order"


def test_q33_timeouts_racing_posts_lose_and_duplicate_nothing(system: ThreadSystem) -> None:
    """Q-33: a call never times out having consumed a packet; what was posted is received exactly once."""
    port = CompletionPort(4)
    total = 4000
    received: list[int] = []

    def consume(seed: int) -> list[int]:
        generator = random.Random(seed)
        mine: list[int] = []
        while len(received) < total:
            try:
                packet = port.get(timeout=generator.choice((0, 0.0001, 0.0003)))
            except TimeoutError:
                sleep(0.0001)
            else:
                mine.append(packet.key)
                received.append(packet.key)
        return mine

    consumers = [spawn(consume, seed) for seed in range(4)]
    for key in range(total):
        port.post(key=key)
        if key % 8 == 0:
            time.sleep(0.0001)
    keys = [key for consumer in consumers for key in consumer.join(60)]
    assert sorted(keys) == list(range(total))


@pytest.mark.parametrize("ending", ["return", "exception", "plain threading.Thread"])
def test_q28_a_thread_that_ends_leaves_its_port(system: ThreadSystem, ending: str) -> None:
    """Q-28, A-02: however a thread ends, its slot is free at once, and a parked thread is released."""
    port = CompletionPort(1)
    release = threading.Event()

    def hold() -> None:
        with use(system):
            port.get()
            release.wait()
            if ending == "exception":
                raise ZeroDivisionError

    threads: list[threading.Thread] = []
    if ending == "plain threading.Thread":
        threads.append(threading.Thread(target=hold))
        threads[0].start()
    else:
        spawn(hold)
    eventually(lambda: port.waiting == 1, "the holder parks")
    port.post(key="held")
    eventually(lambda: port.active == 1, "the holder runs")
    waiter = spawn(port.get)
    eventually(lambda: port.waiting == 1, "a second thread parks")
    port.post(key="next")
    assert (port.depth, port.waiting) == (1, 1), "Q-13: the holder has the only slot"
    release.set()
    assert waiter.join(60).key == "next"
    for thread in threads:
        thread.join(60)


def test_q23_blocking_gives_the_slot_away_and_takes_it_back(system: ThreadSystem) -> None:
    """Q-23, Q-26: blocking() releases one waiter; leaving it counts the thread again above the limit."""
    port = CompletionPort(1)
    port.post(key="mine")
    port.get()
    waiter = spawn(lambda: (port.get().key, go.wait(60))[0])
    go = Event()
    eventually(lambda: port.waiting == 1, "the waiter parks")
    port.post(key="yours")
    assert port.depth == 1
    with blocking():
        eventually(lambda: port.depth == 0, "the waiter got the packet")
        with blocking():
            assert port.active <= 1
        assert system.current().state.name == "BLOCKED", "only the outermost block ends it"
    go.set()
    assert waiter.join(60) == "yours"
    assert port.active == 1


def test_q26_the_count_overshoots_when_a_blocked_thread_returns(system: ThreadSystem) -> None:
    """Q-26: two runnable threads on a port with the limit 1."""
    port = CompletionPort(1)
    port.post(key=1)
    port.get()
    seen = threading.Event()
    done = threading.Event()

    def second() -> None:
        port.get()
        seen.set()
        while not done.is_set():
            time.sleep(0)

    waiter = spawn(second)
    eventually(lambda: port.waiting == 1, "the second thread parks")
    port.post(key=2)
    with blocking():
        assert seen.wait(60)
    assert port.active == 2
    done.set()
    waiter.join(60)
    assert port.active == 1


def test_get_inside_blocking_is_refused_and_changes_nothing(system: ThreadSystem) -> None:
    """Q-23: a blocked thread cannot dequeue; the error says what to do."""
    with CompletionPort(1) as port:
        port.post(key=1)
        with blocking(), pytest.raises(RuntimeError, match="leave the block first"):
            port.get()
        assert port.depth == 1
        assert port.get().key == 1


def test_waits_inside_blocking_stay_blocked(system: ThreadSystem) -> None:
    """Q-23: sleep() and wait() inside blocking() leave the thread blocked until the block ends."""
    with CompletionPort(1) as port:
        port.post()
        port.get()
        with blocking():
            sleep(0.001)
            assert not Event().wait(0.001)
            assert port.active == 0
        assert port.active == 1


def test_o21_close_releases_every_waiter_with_abandoned(system: ThreadSystem) -> None:
    """O-21, G-04: all parked calls, single, batch and timed, raise PortClosed 735 when the last handle is closed."""
    port = CompletionPort()
    calls: list[Callable[[], object]] = [port.get, lambda: port.get_many(4), lambda: port.get(60)]
    threads = [spawn(call) for call in calls]
    eventually(lambda: port.waiting == 3, "all park")
    port.close()
    for thread in threads:
        with pytest.raises(PortClosed) as caught:
            thread.join(60)
        assert caught.value.winerror == 735
    with pytest.raises(PortClosed) as caught:
        port.get(0)
    assert caught.value.winerror == 6
    with pytest.raises(PortClosed):
        port.post()
    port.close()
    assert port.freed


def test_o28_a_packet_handed_over_before_the_close_is_not_lost(system: ThreadSystem) -> None:
    """O-28: post to a waiter, close at once: the waiter returns the packet."""
    for key in range(200):
        port = CompletionPort()
        waiter = spawn(port.get)
        eventually(lambda: port.waiting == 1, "the waiter parks")  # noqa: B023 - called at once
        port.post(key=key)
        port.close()
        assert waiter.join(60).key == key


def test_o10_a_port_is_waited_on_without_taking_anything(system: ThreadSystem) -> None:
    """O-10, O-11: every direct waiter wakes when a packet is queued, and the packet stays."""
    with CompletionPort() as port, Event() as never:
        threads = [spawn(lambda: wait([never, port], 60)) for _ in range(3)]
        eventually(lambda: len(port.waitable.waits) == 3, "all wait")
        port.post(key=1)
        assert [thread.join(60) for thread in threads] == [port] * 3
        assert port.depth == 1
        assert wait([port], 0) is port
        port.get()
        assert wait([port], 0) is None


def test_g12_an_alertable_wait_runs_user_apcs_in_the_waiting_thread(system: ThreadSystem) -> None:
    """G-12, Q-24: the APC runs in the parked thread, then the call returns USER_APC and the thread is counted."""
    port = CompletionPort(1)
    ran: list[object] = []

    def consume() -> object:
        return system.remove_many(port.waitable, 4, 60, Alertability.ALERTABLE)

    thread = spawn(consume, name="alertable")
    eventually(lambda: port.waiting == 1, "it parks")
    system.perform(thread.waitable.queue_user_apc, lambda: ran.append(threading.current_thread().name))
    assert thread.join(60) is RemoveOutcome.USER_APC
    assert ran == ["alertable"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the host has no interval timers")
def test_ctrl_c_while_parked_leaves_the_port_consistent(system: ThreadSystem) -> None:
    """Q-35: an exception thrown into a parked main thread ends the call; nothing is lost, and the port goes on."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach only the main thread")
    port = CompletionPort(1)
    asleep = ThreadSystem._await.__code__  # pyright: ignore[reportPrivateUsage]

    def interrupt(_number: int, frame: FrameType | None) -> None:
        # The first that finds the thread asleep.  One that comes just before a lock of CPython's begins to wait is
        # noticed after that wait only: the timer goes on until one is in time.
        if frame is not None and frame.f_code is asleep and me.state is ThreadState.PARKED:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    me = system.current()
    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        for timeout in (None, 60.0):
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            with pytest.raises(KeyboardInterrupt):
                port.get(timeout)
            assert (port.waiting, port.active) == (0, 1)
            system.perform(check, system.kernel)
        port.post(key=1)
        assert port.get(60).key == 1

        def post_to_the_parked() -> None:
            eventually(lambda: port.waiting == 1, "the main thread parks")
            port.post(key=2)

        spawn(post_to_the_parked)
        assert port.get().key == 2, "a token left by an interrupted wait ends no later one"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_interrupt_after_the_hand_off_puts_the_packet_back(system: ThreadSystem) -> None:
    """Q-35: when the exception comes after the packet was handed over, the packet is the oldest of the queue again."""
    port = CompletionPort(2)
    thread = system.current()

    class Interrupted:
        """A parker whose first acquisition is interrupted just after the hand-off has happened."""

        def __init__(self) -> None:
            self.interrupted = False
            self.lock = threading.Lock()
            self.lock.acquire()

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if not self.interrupted:
                self.interrupted = True
                port.post(key="handed over")
                port.post(key="behind")
                raise KeyboardInterrupt
            return self.lock.acquire(blocking, timeout)

        def release(self) -> None:
            self.lock.release()

    real, thread.parker = thread.parker, Interrupted()  # type: ignore[assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            port.get()
    finally:
        thread.parker = real
    assert [packet.key for packet in port.get_many(5)] == ["handed over", "behind"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the host cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_gives_the_child_a_fresh_system_and_clear_errors(system: ThreadSystem) -> None:
    """A forked child never hangs: what the parent made refuses to work there, and new ports work."""
    port = CompletionPort(1)
    port.post(key=1)
    other = spawn(port.get)
    other.join(60)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"hung"
        try:
            try:
                port.get(0)
            except iocp_emu.ForkedSystemError:
                fresh = CompletionPort(1)
                fresh.post(key=7)
                answer = b"good" if fresh.get(1).key == 7 else b"bad"
            port.close()
        except iocp_emu.ForkedSystemError:
            pass
        finally:
            os.write(write_end, answer)
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answers:
        assert answers.read() == b"good"
    os.waitpid(child, 0)
    port.post(key=2)
    assert port.get(60).key == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the host cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_another_thread_is_inside_a_verb(system: ThreadSystem) -> None:
    """In the child the locals of threads that are not there are dropped; their ends do not wait for the lock."""
    is_inside, may_go_on = threading.Event(), threading.Event()

    def verb() -> bool:
        is_inside.set()
        return may_go_on.wait(60)

    def be_inside_a_verb() -> None:
        system.current()
        system.perform(verb)

    other = spawn(be_inside_a_verb)
    assert is_inside.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(0)
    deadline = time.monotonic() + 60
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.001)
    may_go_on.set()
    other.join(60)


def test_a_dropped_port_closes_itself_even_inside_a_verb(system: ThreadSystem) -> None:
    """H-05: finalizers never wait for the lock that they may be running under; the handle is closed soon after."""
    port = CompletionPort()
    kernel_port = port.waitable
    holder = [port]
    del port
    system.perform(holder.clear)
    assert kernel_port.freed


def test_h08_a_handle_that_was_closed_by_its_number_is_left_alone(system: ThreadSystem) -> None:
    """H-08, O-23: an object whose handle somebody has closed by number goes silently, and closes nothing else."""
    port, other = CompletionPort(), CompletionPort()
    system.perform(system.process.handles.close, port.handle)
    del port
    gc.collect()
    assert not other.freed


def test_a_callers_errors_leave_the_lock_free(system: ThreadSystem) -> None:
    """A verb that raises gives the lock back."""
    with pytest.raises(ZeroDivisionError):
        system.perform(lambda: 1 // 0)
    assert CompletionPort().depth == 0


def test_many_threads_end_while_others_post(system: ThreadSystem) -> None:
    """Q-28: 200 short threads associate with the port and end; the count returns to zero."""
    port = CompletionPort(8)

    def once() -> None:
        port.post(key=1)
        port.get()

    for _ in range(4):
        for thread in [spawn(once) for _ in range(50)]:
            thread.join(60)
    assert port.active == 0
    assert not port.waitable.queue.members


def test_q03_concurrency_zero_is_the_number_of_processors() -> None:
    """Q-03: the default is what the process may use; read when the port is made."""
    with use(ThreadSystem(processors=5)):
        assert CompletionPort().concurrency == 5
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with use(ThreadSystem()):
        assert CompletionPort().concurrency == expected


def test_free_threaded_builds_take_the_lock() -> None:
    """The fast path is only for builds whose byte code runs under a global lock."""
    probe: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    assert ThreadSystem().has_fast_path is (probe is None or probe())


def test_timeout_is_in_seconds_and_zero_polls(system: ThreadSystem) -> None:
    """G-07, P-11: a poll returns at once, a finite timeout not before its time."""
    with CompletionPort() as port:
        for seconds in (0, 0.03):
            begin = time.monotonic()
            with pytest.raises(TimeoutError):
                port.get(seconds)
            assert time.monotonic() - begin >= seconds


# -- verbs inside verbs ------------------------------------------------------------------------------------------------


def test_n01_a_post_inside_a_verb_comes_after_it(system: ThreadSystem) -> None:
    """N-01, Q-10: a finalizer or signal handler that posts while its thread is inside a verb does not hang."""
    port = CompletionPort()
    for fast in (True, False):
        system.has_fast_path = fast
        system.perform(lambda: port.post(key="inside"))
        assert port.get(timeout=0).key == "inside"
    waiter = spawn(port.get)
    eventually(lambda: port.waiting == 1, "it waits")
    system.perform(lambda: port.post(key="handed over"))
    assert waiter.join().key == "handed over"


def test_a_post_inside_a_verb_that_closes_the_port_is_dropped(system: ThreadSystem) -> None:
    """O-23: the port was closed before the post's turn came."""
    port = CompletionPort()
    system.has_fast_path = False

    def close_and_post() -> None:
        system.process.handles.close(port.handle)
        port.post(key="late")

    system.perform(close_and_post)
    assert port.freed


def test_other_verbs_inside_a_verb_are_refused(system: ThreadSystem) -> None:
    """A clear error, never a hang, and nothing has changed."""
    port = CompletionPort()
    assert not system.is_inside_verb

    def get() -> None:
        assert system.is_inside_verb
        with pytest.raises(RuntimeError, match="inside a kernel verb"):
            port.get(timeout=0)

    system.perform(get)
    assert (port.active, port.waiting) == (0, 0)


def test_a_finalizer_inside_a_verb_may_close(system: ThreadSystem) -> None:
    """H-05: what is dropped inside a verb is closed after it."""
    event = Event()
    kernel_event = event.waitable
    holder = [event]
    del event
    system.perform(holder.clear)
    assert kernel_event.references == 0


def test_q35_an_interrupted_interruption_loses_nothing(system: ThreadSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Q-35: Ctrl-C while the one before is being handled: the next wait begins with what was left over."""
    port = CompletionPort()
    interrupts = iter([KeyboardInterrupt, KeyboardInterrupt])

    def interrupt(*_: object, **__: object) -> None:
        raise next(interrupts)

    with monkeypatch.context() as patch:
        patch.setattr(system, "_await", interrupt)
        patch.setattr(system, "_give_up", interrupt)
        with pytest.raises(KeyboardInterrupt):
            port.get()
    assert port.waiting == 1
    port.post(key="kept")
    assert port.get(timeout=0).key == "kept"
    assert (port.depth, port.waiting, port.active) == (0, 0, 1)
