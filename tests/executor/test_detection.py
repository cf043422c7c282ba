"""`detect_blocking()` and `iocp-emu doctor`: what is seen, what is not, and that everything is put back."""

from __future__ import annotations

import io
import queue
import socket
import threading
import time
from typing import Any

import pytest

import iocp_emu
from iocp_emu import BlockingKind, CompletionPort, CompletionPortExecutor, detect_blocking
from iocp_emu.runtime.detection import DEFAULT_WAITS, SEEN
from iocp_emu.teach.doctor import Trial, examine, show_doctor, trials

from .support import until


def names() -> dict[tuple[int, str], Any]:
    """What each owner itself holds under each name that detection replaces."""
    return {(id(seen.owner), seen.name): vars(seen.owner).get(seen.name, "absent") for seen in SEEN}


@pytest.mark.parametrize("trial", list(trials()), ids=lambda trial: trial.what)
def test_each_call_is_seen_or_not_as_documented(trial: Trial) -> None:
    """Q-23: the slot is given away, or not; really tried."""
    finding = examine(trial)
    assert finding.problem is None
    assert finding.was_seen is trial.is_seen


def test_everything_is_put_back() -> None:
    before = names()
    with detect_blocking(BlockingKind):
        inside = names()
        assert not [name for name, held in inside.items() if held is before[name]]
        with detect_blocking([BlockingKind.SLEEP]):
            assert names() == inside
        assert names() == inside
    assert names() == before


def test_only_the_kinds_asked_for_are_replaced() -> None:
    before = names()
    for kind in BlockingKind:
        with detect_blocking([kind]):
            replaced = {key for key, held in names().items() if held is not before[key]}
            assert replaced == {(id(seen.owner), seen.name) for seen in SEEN if seen.kind is kind}
    assert BlockingKind.FILES not in DEFAULT_WAITS
    assert names() == before


def test_start_stop_and_decorator() -> None:
    before = names()
    detection = detect_blocking()
    detection.start()
    detection.start()
    detection.stop()
    assert names() != before
    detection.stop()
    assert names() == before
    with pytest.raises(RuntimeError, match="not been started"):
        detection.stop()

    @detect_blocking()
    def replaced() -> bool:
        return names() != before

    assert replaced()
    assert names() == before
    with pytest.raises(TypeError):
        detect_blocking(["time.sleep"])  # type: ignore[list-item]


def test_what_somebody_else_has_replaced_meanwhile_is_left_to_him() -> None:
    original = time.sleep
    calls: list[float] = []
    try:
        with detect_blocking():
            stand_in = time.sleep

            def theirs(seconds: float) -> None:
                calls.append(seconds)
                stand_in(seconds)

            time.sleep = theirs  # type: ignore[assignment]
        assert time.sleep is theirs
        time.sleep(0)
        assert calls == [0]
    finally:
        time.sleep = original


def test_what_returns_at_once_gives_nothing_away() -> None:
    """Q-29: the count of the port stays, and nobody is released."""
    with detect_blocking(), CompletionPort(concurrency=1) as port:
        port.post()
        port.get()
        states: list[int] = []

        lock, event, channel = threading.Lock(), threading.Event(), queue.SimpleQueue[int]()
        near, far = socket.socketpair()
        with near, far:
            event.set()
            channel.put(1)
            far.send(b"x")
            counted = port.active
            with lock:
                states.append(port.active)
            event.wait()
            event.clear()
            event.wait(0)
            channel.get()
            near.recv(1)
            near.sendall(b"y")
            time.sleep(0)
            states.append(port.active)
        assert states == [counted, counted] == [1, 1]


def test_threads_that_belong_to_no_port_are_left_alone() -> None:
    with detect_blocking():
        before = len(iocp_emu.current_system().process.threads)

        def work() -> None:
            lock = threading.Lock()
            lock.acquire()
            assert not lock.acquire(timeout=0.01)
            time.sleep(0.001)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(iocp_emu.current_system().process.threads) <= before


def test_locks_made_inside_are_locks() -> None:
    with detect_blocking():
        lock, rlock = threading.Lock(), threading.RLock()
        condition = threading.Condition()
    for each in (lock, rlock, condition):
        with each:
            assert "lock" in repr(each).lower()
        assert each.acquire(timeout=1)
        each.release()
        assert each.acquire(False)
        each.release()
        with pytest.raises(RuntimeError):
            each.release()
        with pytest.raises(ValueError, match="timeout"):
            each.acquire(False, 1)
    assert not lock.locked()
    with rlock, rlock:
        is_locked = getattr(rlock, "locked", lambda: None)  # from Python 3.14 on
        assert is_locked() is (True if hasattr(threading.RLock(), "locked") else None)
    on_lock = threading.Condition(lock)
    with on_lock:
        assert not on_lock.wait(0.001)


@pytest.mark.parametrize("mode", ["r", "w+", "rb", "r+b", "ab", "wb"])
@pytest.mark.parametrize("buffering", [-1, 0, 1, 100])
def test_open_makes_the_same_layers(tmp_path: Any, mode: str, buffering: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"line\nline\n")
    if buffering == (1 if "b" in mode else 0):
        return  # refused, or a warning, without detection as well
    with open(path, mode, buffering) as plain:
        expected = [type(plain), getattr(plain, "mode", None), getattr(plain, "line_buffering", None)]
    path.write_bytes(b"line\nline\n")
    with CompletionPort(concurrency=1) as port:
        port.post()
        port.get()
        with detect_blocking(BlockingKind), open(path, mode, buffering) as seen:
            if buffering:
                found = [type(seen), getattr(seen, "mode", None), getattr(seen, "line_buffering", None)]
                assert found == expected
            else:
                assert isinstance(seen, io.FileIO)
            if "r" in mode:
                assert seen.read() in ("line\nline\n", b"line\nline\n")
            else:
                content: Any = b"x" if "b" in mode else "x"
                assert seen.write(content) == 1
        with pytest.raises(FileNotFoundError), detect_blocking(BlockingKind):
            open(path.parent / "missing" / "file").close()


def test_blocking_under_the_kernel_lock_does_not_wait_for_itself() -> None:
    """A thread that is started inside a verb waits until it runs: seen or not, nothing hangs."""
    with detect_blocking(), CompletionPort(concurrency=1) as port:
        port.post()
        port.get()
        system = iocp_emu.current_system()
        started = threading.Thread(target=time.sleep, args=(0.001,))
        system.perform(started.start)
        started.join()
        assert port.active == 1


def test_a_pool_of_plain_sleepers_needs_no_word() -> None:
    with detect_blocking(), CompletionPortExecutor(8, 1) as executor:
        events = [threading.Event() for _ in range(8)]
        tasks = [executor.submit(event.wait) for event in events]
        until(lambda: executor.stats().blocked == 8)
        for event in events:
            event.set()
        assert all(task.result(30) for task in tasks)


def test_doctor_prints_one_line_for_each() -> None:
    output = io.StringIO()
    assert show_doctor(output) == 0, output.getvalue()
    for trial in trials():
        assert f"  {trial.what:50}{'seen' if trial.is_seen else 'not seen'}\n" in output.getvalue()
    assert "not as documented" not in output.getvalue()
