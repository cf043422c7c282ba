"""The reactor: who is told of what, on every kind of selector, whatever happens to the descriptors."""

from __future__ import annotations

import gc
import os
import selectors
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from iocp_emu.overlapped import reactor as module
from iocp_emu.overlapped.reactor import EVENT_READ, EVENT_WRITE, REACTOR, Reactor
from iocp_emu.runtime.threads import ThreadSystem

from .support import DEADLINE, eventually, open_descriptors

KINDS = [
    getattr(selectors, name)
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector")
    if hasattr(selectors, name)
]


class Watching:
    """Counts how often it is told, and stops watching then, unless it is greedy."""

    def __init__(self, reactor: Reactor, system: ThreadSystem, descriptor: int) -> None:
        self.reactor = reactor
        self.machine = weakref.ref(system)
        self.descriptor = descriptor
        self.told: list[int] = []
        self.threads: set[str] = set()
        self.fails = False

    def system(self) -> ThreadSystem | None:
        """The machine, while it lives."""
        return self.machine()

    def on_ready(self, events: int) -> None:
        """Remember, and be content."""
        self.told.append(events)
        self.threads.add(threading.current_thread().name)
        self.reactor.unwatch(self.descriptor, self)
        if self.fails:
            raise ValueError("a defect of the watcher")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def reactor(request: pytest.FixtureRequest) -> Iterator[Reactor]:
    """A reactor of each kind; its thread ends soon after."""
    made = Reactor(0.02, request.param)
    yield made
    eventually(lambda: not made.is_running, "the thread ends")


@pytest.fixture
def system() -> ThreadSystem:
    """A machine whose lock is taken."""
    return ThreadSystem()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection."""
    pair = socket.socketpair()
    yield pair
    for end in pair:
        end.close()


def watch(reactor: Reactor, system: ThreadSystem, descriptor: int, events: int = EVENT_READ) -> Watching:
    """Start to watch."""
    watching = Watching(reactor, system, descriptor)
    reactor.watch(descriptor, events, watching)
    return watching


def test_the_thread_tells_of_readiness(reactor: Reactor, system: ThreadSystem, ends: Any) -> None:
    """A watcher is told, on the reactor's thread, when its descriptor becomes ready."""
    watching = watch(reactor, system, ends[0].fileno())
    assert (reactor.watched, reactor.is_running) == (1, True)
    ends[1].send(b"x")
    eventually(lambda: bool(watching.told), "it is told")
    assert watching.told == [EVENT_READ]
    assert watching.threads == {"iocp_emu reactor"}
    assert reactor.watched == 0


def test_a_change_reaches_a_thread_that_waits(reactor: Reactor, system: ThreadSystem, ends: Any) -> None:
    """What is asked for while the thread waits counts at once, and so does what is asked for instead."""
    watching = watch(reactor, system, ends[0].fileno())
    time.sleep(0.005)
    reactor.watch(ends[0].fileno(), EVENT_WRITE, watching)
    eventually(lambda: bool(watching.told), "it is told")
    assert watching.told == [EVENT_WRITE]


def test_a_caller_can_look(reactor: Reactor, system: ThreadSystem, ends: Any) -> None:
    """`poll` tells on the calling thread of what is ready now; it may find that the thread was faster."""
    reactor.poll()
    watching = watch(reactor, system, ends[0].fileno())
    reactor.poll()
    assert not watching.told
    ends[1].send(b"x")
    reactor.poll()
    eventually(lambda: bool(watching.told), "it is told")


def test_unwatching(reactor: Reactor, system: ThreadSystem, ends: Any) -> None:
    """Who has stopped watching is not told; another watcher's wish is left alone."""
    first = watch(reactor, system, ends[0].fileno())
    reactor.unwatch(ends[0].fileno(), first)
    second = watch(reactor, system, ends[0].fileno())
    reactor.unwatch(ends[0].fileno(), first)
    ends[1].send(b"x")
    eventually(lambda: bool(second.told), "it is told")
    assert not first.told


def test_a_descriptor_closed_while_it_is_watched(reactor: Reactor, system: ThreadSystem, ends: Any) -> None:
    """The thread survives; the number can be watched again when it means something else."""
    left, right = socket.socketpair()
    lost = watch(reactor, system, left.fileno())
    number = left.detach()
    os.close(number)
    time.sleep(0.005)
    reactor.poll()
    os.dup2(ends[0].fileno(), number)
    again = watch(reactor, system, number)
    ends[1].send(b"x")
    eventually(lambda: bool(again.told), "the new one is told")
    reactor.unwatch(number, lost)
    os.close(number)
    right.close()


def test_what_cannot_be_watched(reactor: Reactor, system: ThreadSystem) -> None:
    """A closed descriptor is an OSError, at once or by being told."""
    left, right = socket.socketpair()
    number = left.detach()
    os.close(number)
    right.close()
    try:
        watching = watch(reactor, system, number)
    except OSError:
        assert reactor.watched == 0
    else:
        eventually(lambda: bool(watching.told), "it is told")


def test_a_machine_that_is_gone(reactor: Reactor, ends: Any) -> None:
    """Watchers of a machine that nobody has any more are dropped; the reactor keeps no machine alive."""
    system = ThreadSystem()
    watching = watch(reactor, system, ends[0].fileno())
    reference = weakref.ref(system)
    del system
    gc.collect()
    assert reference() is None
    ends[1].send(b"x")
    eventually(lambda: not reactor.watched, "it is dropped")
    assert not watching.told


def test_a_watcher_with_a_defect(
    reactor: Reactor, system: ThreadSystem, ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, and the others go on."""
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    bad, good = watch(reactor, system, ends[0].fileno()), watch(reactor, system, ends[1].fileno())
    bad.fails = True
    for end in ends:
        end.send(b"x")
    eventually(lambda: bool(good.told) and bool(bad.told), "both are told")
    eventually(lambda: seen == [ValueError], "the defect is reported")


def test_the_thread_ends_and_comes_again(reactor: Reactor, system: ThreadSystem, ends: Any) -> None:
    """Without a watch the thread ends and leaves no descriptor; the next watch starts another."""
    before = open_descriptors()
    for _ in range(3):
        watching = watch(reactor, system, ends[0].fileno(), EVENT_WRITE)
        eventually(partial(bool, watching.told), "it is told")
        eventually(lambda: not reactor.is_running, "the thread ends")
        eventually(lambda: open_descriptors() <= before, "its descriptors are closed")


def test_started_ahead(system: ThreadSystem) -> None:
    """`start` has the thread run before anything is watched."""
    reactor = Reactor(0.02)
    reactor.start()
    assert reactor.is_running
    reactor.start()
    eventually(lambda: not reactor.is_running, "the thread ends")


def test_a_host_without_threads(system: ThreadSystem, ends: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch is refused and nothing is left."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = open_descriptors()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for kind in KINDS:
        reactor = Reactor(0.02, kind)
        with pytest.raises(OSError, match="buffer"):
            watch(reactor, system, ends[0].fileno())
        assert (reactor.watched, reactor.is_running) == (0, False)
    assert open_descriptors() <= before


def test_many_threads_watch_at_once(reactor: Reactor, system: ThreadSystem) -> None:
    """Every watcher is told, however watching, looking and telling meet."""
    pairs = [socket.socketpair() for _ in range(40)]
    told: list[Watching] = []

    def run(part: list[Any]) -> None:
        for left, right in part:
            watching = watch(reactor, system, left.fileno())
            right.send(b"x")
            reactor.poll()
            told.append(watching)

    threads = [threading.Thread(target=run, args=(pairs[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    eventually(lambda: all(watching.told for watching in told), "all are told")
    assert len(told) == len(pairs)
    for pair in pairs:
        for end in pair:
            end.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python warns of fork() in a process with threads")
def test_fork(system: ThreadSystem, ends: Any) -> None:
    """The child has a reactor without thread and watches, whose first watch works; the parent's goes on."""
    watching = watch(REACTOR, system, ends[0].fileno())
    child = os.fork()
    if not child:
        code = 1
        try:
            own = ThreadSystem()
            left, right = socket.socketpair()
            other = watch(REACTOR, own, left.fileno())
            right.send(b"x")
            deadline = time.monotonic() + DEADLINE
            while not other.told and time.monotonic() < deadline:
                time.sleep(0.001)
            code = 0 if other.told and REACTOR.watched == 0 else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    ends[1].send(b"x")
    eventually(lambda: bool(watching.told), "the parent's watcher is told")
    eventually(lambda: not REACTOR.is_running, "the thread ends")


def test_there_is_one_per_process() -> None:
    """Everybody uses the same."""
    assert module.REACTOR is REACTOR
