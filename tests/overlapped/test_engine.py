"""The I/O threads: order, number, idleness, withdrawal, failures, forks; and what the process is left with."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest

from iocp_emu.overlapped.engine import ENGINE, Engine
from iocp_emu.status import STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS
from tests.overlapped.support import DEADLINE, UNBUFFERED, Plug, Rig, engine_busy, eventually


class Note:
    """Work that writes its name down."""

    def __init__(self, name: int, log: list[int]) -> None:
        self.name = name
        self.log = log
        self.refused = False

    def run(self) -> None:
        """Write the name."""
        self.log.append(self.name)

    def refuse(self) -> None:
        """Remember that it was refused."""
        self.refused = True


@pytest.fixture
def engine() -> Generator[Engine]:
    """An engine of its own with one thread, which is gone at the end."""
    engine = Engine(maximum_threads=1, idle_seconds=0.02)
    yield engine
    eventually(lambda: engine.threads == 0, "the idle thread has ended")
    assert engine.waiting == 0


@pytest.fixture
def release() -> Generator[threading.Event]:
    """What plugs wait for; set at the end at the latest."""
    release = threading.Event()
    yield release
    release.set()


def test_first_in_first_out(engine: Engine) -> None:
    """I-11: one thread does the work in the order in which it was submitted."""
    log: list[int] = []
    for name in range(200):
        engine.submit(Note(name, log))
    eventually(lambda: len(log) == 200, "everything is done")
    assert log == list(range(200))


def test_threads_come_as_needed_and_no_more_than_allowed(release: threading.Event) -> None:
    """No thread without work, one for each piece up to the maximum, none when idle ones are there."""
    engine = Engine(maximum_threads=3, idle_seconds=0.5)
    assert engine.threads == 0
    plugs = [Plug(release) for _ in range(5)]
    for number, plug in enumerate(plugs):
        engine.submit(plug)
        assert engine.threads == min(number + 1, 3)
    for plug in plugs[:3]:
        assert plug.began.wait(DEADLINE)
    assert engine.waiting == 2
    assert not any(plug.began.is_set() for plug in plugs[3:])
    release.set()
    for plug in plugs:
        assert plug.began.wait(DEADLINE)
    log: list[int] = []
    for name in range(20):
        engine.submit(Note(name, log))
        eventually(lambda: len(log) == name + 1, "it is done")  # noqa: B023
        assert engine.threads <= 3
    eventually(lambda: engine.threads == 0, "idle threads have ended")


def test_work_after_idleness_is_done(engine: Engine) -> None:
    """A thread that ends and work that comes just then do not miss each other."""
    log: list[int] = []
    for name in range(25):
        engine.submit(Note(name, log))
        eventually(lambda: len(log) == name + 1, "it is done")  # noqa: B023
        time.sleep(engine.idle_seconds * (0.9 + name % 3 * 0.1))
    assert log == list(range(25))


def test_i41_withdrawn_work_is_not_done(engine: Engine, release: threading.Event) -> None:
    """I-41: what has not begun can be taken back, once; what has begun or is done cannot."""
    log: list[int] = []
    plug = Plug(release)
    engine.submit(plug)
    assert plug.began.wait(DEADLINE)
    notes = [Note(name, log) for name in range(5)]
    for note in notes:
        engine.submit(note)
    assert not engine.withdraw(plug)
    assert [engine.withdraw(note) for note in (notes[1], notes[3], notes[1])] == [True, True, False]
    assert engine.waiting == 3
    release.set()
    eventually(lambda: len(log) == 3, "the others are done")
    assert log == [0, 2, 4]
    assert not engine.withdraw(notes[0])


def test_p15_each_piece_is_either_done_or_withdrawn(release: threading.Event) -> None:
    """P-15: whoever claims a piece has it alone, however many threads and cancels there are."""
    engine = Engine(maximum_threads=4, idle_seconds=0.02)
    log: list[int] = []
    notes = [Note(name, log) for name in range(3000)]
    withdrawn: list[int] = []

    def withdraw() -> None:
        for note in notes:
            if engine.withdraw(note):
                withdrawn.append(note.name)

    canceller = threading.Thread(target=withdraw)
    for number, note in enumerate(notes):
        engine.submit(note)
        if number == 1000:
            canceller.start()
    canceller.join(DEADLINE)
    eventually(lambda: engine.threads == 0, "idle threads have ended")
    assert sorted(log + withdrawn) == list(range(3000))


def test_defects_are_told_and_the_others_go_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that raises is reported as any thread's failure; its thread lives on."""

    class Defect(Note):
        """Work that raises."""

        def run(self) -> None:
            raise ZeroDivisionError

    told: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: told.append(arguments.exc_type))
    log: list[int] = []
    engine.submit(Defect(0, log))
    engine.submit(Note(1, log))
    eventually(lambda: log == [1], "the next is done")
    assert told == [ZeroDivisionError]


def test_without_threads_work_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host starts no thread: the work is told so at once, and nothing waits for ever."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    log: list[int] = []
    first, second, third = (Note(name, log) for name in range(3))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        engine.submit(first)
        assert (first.refused, engine.threads, engine.waiting) == (True, 0, 0)
    engine.submit(second)
    eventually(lambda: log == [1], "it is done")
    assert not second.refused
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        many = Engine(maximum_threads=2, idle_seconds=0.02)
        many.submit(third)
        assert third.refused


def test_without_a_further_thread_the_others_do_it(release: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread is there and the host refuses a second: the work waits for the one."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = Engine(maximum_threads=2, idle_seconds=0.02)
    plug = Plug(release)
    engine.submit(plug)
    assert plug.began.wait(DEADLINE)
    log: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        note = Note(1, log)
        engine.submit(note)
        assert (note.refused, engine.threads, engine.waiting) == (False, 1, 1)
    release.set()
    eventually(lambda: log == [1], "it is done")
    eventually(lambda: engine.threads == 0, "the idle thread has ended")


def test_i05_a_refused_read_is_an_error_packet(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I-05: no I/O thread to be had is INSUFFICIENT_RESOURCES, as a packet; later reads work again."""
    eventually(lambda: ENGINE.threads == 0, "the engine is idle")
    (tmp_path / "file").write_bytes(b"0123")
    file = rig.open(tmp_path / "file", caching=UNBUFFERED).bind()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        read = file.read(4)
    assert rig.packet(timeout=0)[1:4] == (read.block, STATUS_INSUFFICIENT_RESOURCES, 0)
    file.read(4)
    assert rig.packet()[2:4] == (STATUS_SUCCESS, 4)


def test_nothing_is_left_of_the_threads(rig: Rig, tmp_path: Path) -> None:
    """Threads come with the work and go with it: the process ends up with as many as before."""
    eventually(lambda: ENGINE.threads == 0, "the engine is idle")
    before = threading.active_count()
    (tmp_path / "file").write_bytes(b"0123")
    file = rig.open(tmp_path / "file", caching=UNBUFFERED).bind()
    with engine_busy():
        for _ in range(20):
            file.read(4)
        assert threading.active_count() == before + ENGINE.maximum_threads
    for _ in range(20):
        rig.packet()
    eventually(lambda: threading.active_count() == before, "the I/O threads have ended")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the host does not fork")
def test_a_forked_child_has_a_fresh_engine(tmp_path: Path) -> None:
    """After a fork: no inherited work, no belief in threads that are not there, and new files work."""
    (tmp_path / "file").write_bytes(b"0123")
    with engine_busy():
        waiting = Note(1, [])
        ENGINE.submit(waiting)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            result = 1
            try:
                fresh = (ENGINE.threads, ENGINE.waiting, ENGINE.withdraw(waiting)) == (0, 0, False)
                rig = Rig()
                file = rig.open(tmp_path / "file", caching=UNBUFFERED).bind()
                file.read(4)
                result = 0 if fresh and rig.packet(30).bytes == 4 else 2
            finally:
                os._exit(result)
        ended: list[int] = []

        def has_ended() -> bool:
            pid, code = os.waitpid(child, os.WNOHANG)
            if pid:
                ended.append(os.waitstatus_to_exitcode(code))
            return bool(pid)

        eventually(has_ended, "the child has ended")
        assert ended == [0]
