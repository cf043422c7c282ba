"""Races: what two threads do to one thing between two calls, each beside its right version."""

from __future__ import annotations

from iocp_emu import CompletionPort, Event, ResetMode, sleep, spawn
from iocp_emu.testing import FifoSpecification, linearizable
from iocp_emu.testing.linearizability import Recorder
from iocp_emu.win32 import INFINITE, CloseHandle, CreateMutexW, ReleaseMutex, WaitForSingleObject


def lost_update(writers: int = 2) -> None:
    """A counter is read before a call and written after it."""
    total = 0

    def writer() -> None:
        nonlocal total
        seen = total
        port.post(key="working")
        total = seen + 1

    with CompletionPort() as port:
        for each in [spawn(writer) for _ in range(writers)]:
            each.join()
    assert total == writers


def lost_update_right(writers: int = 2) -> None:
    """It is read and written between the same two calls."""
    total = 0

    def writer() -> None:
        nonlocal total
        port.post(key="working")
        total += 1

    with CompletionPort() as port:
        for each in [spawn(writer) for _ in range(writers)]:
            each.join()
    assert total == writers


def check_then_act() -> None:
    """The depth is looked at, and then acted on: another worker comes in between."""

    def worker() -> None:
        if port.depth:
            port.get()

    with CompletionPort() as port:
        port.post(key="only one")
        for each in [spawn(worker) for _ in range(2)]:
            each.join()


def check_then_act_right() -> None:
    """A poll looks and acts in one."""

    def worker() -> None:
        try:
            port.get(timeout=0)
        except TimeoutError:
            pass

    with CompletionPort() as port:
        port.post(key="only one")
        for each in [spawn(worker) for _ in range(2)]:
            each.join()


def order_assumed() -> None:
    """Packets leave in their order, but that says nothing about the order in which workers finish with them."""
    finished: list[str] = []

    def worker() -> None:
        key = port.get().key
        log.post(key=key)
        finished.append(key)

    with CompletionPort() as port, CompletionPort() as log:
        port.post(key="first")
        port.post(key="second")
        for each in [spawn(worker) for _ in range(2)]:
            each.join()
    assert finished == ["first", "second"]


def order_assumed_right() -> None:
    """One worker keeps the order."""
    finished: list[str] = []

    def worker() -> None:
        for _ in range(2):
            key = port.get().key
            log.post(key=key)
            finished.append(key)

    with CompletionPort() as port, CompletionPort() as log:
        port.post(key="first")
        port.post(key="second")
        spawn(worker).join()
    assert finished == ["first", "second"]


def published_late() -> None:
    """What a packet speaks of is put in place after the packet."""
    answer: list[int] = []

    def producer() -> None:
        port.post(key="look")
        answer.append(42)

    with CompletionPort() as port:
        each = spawn(producer)
        port.get()
        assert answer == [42]
        each.join()


def published_late_right() -> None:
    """It is put in place before."""
    answer: list[int] = []

    def producer() -> None:
        answer.append(42)
        port.post(key="look")

    with CompletionPort() as port:
        each = spawn(producer)
        port.get()
        assert answer == [42]
        each.join()


def lost_on_timeout() -> None:
    """A consumer gives up at the very moment at which its packet comes; nobody looks again."""
    got: list[str] = []

    def consumer() -> None:
        try:
            got.append(port.get(timeout=1).key)
        except TimeoutError:
            pass

    with CompletionPort() as port:
        each = spawn(consumer)
        sleep(1)
        port.post(key="just in time")
        each.join()
        assert got == ["just in time"]


def lost_on_timeout_right() -> None:
    """It looks again once the producer has ended."""
    got: list[str] = []

    def consumer() -> None:
        try:
            got.append(port.get(timeout=1).key)
        except TimeoutError:
            pass

    with CompletionPort() as port:
        each = spawn(consumer)
        sleep(1)
        port.post(key="just in time")
        each.join()
        if not got:
            got.append(port.get(timeout=0).key)
        assert got == ["just in time"]


def signals_merge(signals: int = 2) -> None:
    """An auto-reset event is set once for each job: set twice in a row, it is set once."""
    ready = Event(ResetMode.AUTO)

    def producer() -> None:
        for _ in range(signals):
            ready.set()

    each = spawn(producer)
    for _ in range(signals):
        ready.wait()
    each.join()


def signals_merge_right(signals: int = 2) -> None:
    """Packets are counted."""

    def producer() -> None:
        for _ in range(signals):
            port.post(key="ready")

    with CompletionPort() as port:
        each = spawn(producer)
        for _ in range(signals):
            port.get()
        each.join()


def reset_too_late() -> None:
    """A manual-reset event is reset after the wait: a signal that came in between is gone."""
    ready = Event()
    went_on = Event()

    def producer() -> None:
        ready.set()
        went_on.wait()
        ready.set()

    each = spawn(producer)
    ready.wait()
    went_on.set()
    ready.reset()
    ready.wait()
    each.join()


def reset_too_late_right() -> None:
    """It is reset before anybody is told to signal again."""
    ready = Event()
    went_on = Event()

    def producer() -> None:
        ready.set()
        went_on.wait()
        ready.set()

    each = spawn(producer)
    ready.wait()
    ready.reset()
    went_on.set()
    ready.wait()
    each.join()


def abba_events() -> None:
    """Two locks, made of events, in two orders."""
    first, second = Event(ResetMode.AUTO), Event(ResetMode.AUTO)
    first.set()
    second.set()

    def user(one: Event, other: Event) -> None:
        one.wait()
        other.wait()
        other.set()
        one.set()

    pool = [spawn(user, first, second), spawn(user, second, first)]
    for each in pool:
        each.join()


def abba_events_right() -> None:
    """In one order."""
    first, second = Event(ResetMode.AUTO), Event(ResetMode.AUTO)
    first.set()
    second.set()

    def user(one: Event, other: Event) -> None:
        one.wait()
        other.wait()
        other.set()
        one.set()

    pool = [spawn(user, first, second), spawn(user, first, second)]
    for each in pool:
        each.join()


def _use(one: int, other: int) -> None:
    WaitForSingleObject(one, INFINITE)
    WaitForSingleObject(other, INFINITE)
    ReleaseMutex(other)
    ReleaseMutex(one)


def abba_mutexes() -> None:
    """Two Win32 mutexes in two orders."""
    first, second = CreateMutexW(False), CreateMutexW(False)
    pool = [spawn(_use, first, second, name="one"), spawn(_use, second, first, name="other")]
    for each in pool:
        each.join()
    CloseHandle(first)
    CloseHandle(second)


def abba_mutexes_right() -> None:
    """In one order."""
    first, second = CreateMutexW(False), CreateMutexW(False)
    pool = [spawn(_use, first, second, name="one"), spawn(_use, first, second, name="other")]
    for each in pool:
        each.join()
    CloseHandle(first)
    CloseHandle(second)


def leaky_queue() -> None:
    """A queue that looks and takes with a call in between: two getters get the same item."""
    items: list[int] = []
    history = Recorder()
    linearizable(history, FifoSpecification())

    def put() -> None:
        for item in (1, 2):
            history.call("putter", "put", item, partial_put(item))

    def partial_put(item: int):  # type: ignore[no-untyped-def]
        return lambda: items.append(item)

    def take() -> int:
        item = items[0]
        port.post(key="somebody looks")
        items.remove(item) if item in items else None
        return item

    def getter(name: str) -> None:
        history.call(name, "get", None, take)

    with CompletionPort() as port:
        put()
        for each in [spawn(getter, name) for name in ("left", "right")]:
            each.join()


def leaky_queue_right() -> None:
    """It takes before the call."""
    items: list[int] = []
    history = Recorder()
    linearizable(history, FifoSpecification())

    def take() -> int:
        item = items.pop(0)
        port.post(key="somebody looks")
        return item

    def getter(name: str) -> None:
        history.call(name, "get", None, take)

    with CompletionPort() as port:
        for item in (1, 2):
            items.append(item)
            history.call("putter", "put", item)
        for each in [spawn(getter, name) for name in ("left", "right")]:
            each.join()
