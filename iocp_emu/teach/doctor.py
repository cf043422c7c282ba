"""`iocp-emu doctor`: which blocking calls `detect_blocking()` sees on this machine, each one tried.

Theory.  A pool with concurrency value 1 runs one call that blocks; then a second task is submitted.  If it is run while
the first still blocks, the call has given its slot away: it is seen.  Otherwise the second task has to wait.
"""

from __future__ import annotations

import _thread
import os
import queue
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TextIO

from ..executor import CompletionPortExecutor
from ..runtime.detection import UNSEEN, BlockingKind, detect_blocking

PATIENCE_SECONDS = 0.3
"""How long a second task may wait before the call counts as not seen."""

Staging = tuple[Callable[[], object], Callable[[], object]]
"""A call that blocks, and what lets it go on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One blocking call.  `stage_early` is for what has to exist before detection is on."""

    what: str
    is_seen: bool
    """Whether it is meant to be seen."""
    stage: Callable[[ExitStack], Staging]
    is_early: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a trial has shown; `problem` is what the call raised, if it could not be tried."""

    trial: Trial
    was_seen: bool
    problem: BaseException | None = None

    @property
    def is_as_expected(self) -> bool:
        """Whether the documentation says so, too."""
        return self.problem is None and self.was_seen == self.trial.is_seen


def examine(trial: Trial) -> Finding:
    """Try one call.  Blocks for less than a second."""
    with ExitStack() as stack:
        try:
            if trial.is_early:
                block, go_on = trial.stage(stack)
                stack.enter_context(detect_blocking(BlockingKind))
            else:
                stack.enter_context(detect_blocking(BlockingKind))
                block, go_on = trial.stage(stack)
        except OSError as problem:
            return Finding(trial, was_seen=False, problem=problem)
        executor = stack.enter_context(CompletionPortExecutor(max_workers=2, concurrency=1))
        has_begun, is_released = _thread.allocate_lock(), _thread.allocate_lock()
        has_begun.acquire()
        is_released.acquire()

        def first() -> None:
            has_begun.release()
            block()

        call = executor.submit(first)
        has_begun.acquire()
        second = executor.submit(is_released.release)
        was_seen = is_released.acquire(timeout=PATIENCE_SECONDS) and not call.done()
        go_on()
        second.result()
        return Finding(trial, was_seen, call.exception())


def trials() -> Iterator[Trial]:
    """Every call that is tried here."""
    yield Trial("time.sleep", True, lambda _: (_look_up_and_sleep, _nothing))
    yield Trial("threading.Lock", True, lambda _: _lock(threading.Lock()))
    yield Trial("threading.RLock", True, _held_rlock)
    yield Trial("threading.Condition.wait", True, _condition)
    yield Trial("threading.Event.wait", True, lambda _: _event(threading.Event()))
    yield Trial("threading.Event.wait, of an event made before", True, lambda _: _event(threading.Event()), True)
    yield Trial("threading.Semaphore.acquire", True, lambda _: _semaphore(threading.Semaphore(0)))
    yield Trial("threading.Barrier.wait", True, lambda _: _barrier(threading.Barrier(2)))
    yield Trial("threading.Thread.join", True, _join)
    yield Trial("queue.Queue.get", True, lambda _: _queue(queue.Queue()))
    yield Trial("queue.SimpleQueue.get", True, lambda _: _queue(queue.SimpleQueue()))
    yield Trial("socket.recv", True, _receive)
    yield Trial("socket.accept", True, _accept)
    yield Trial("socket.sendall", True, _send_all)
    yield Trial("select.select", True, lambda stack: _readable(stack, lambda end: select.select([end], [], [])))
    if hasattr(select, "poll"):
        yield Trial("select.poll", True, lambda stack: _readable(stack, _poll))
    if hasattr(select, "epoll"):
        yield Trial("select.epoll", True, lambda stack: _readable(stack, _epoll))
    yield Trial("selectors.DefaultSelector.select", True, lambda stack: _readable(stack, _selector))
    yield Trial("subprocess.Popen.wait", True, lambda stack: _process(stack, lambda process: process.wait()))
    yield Trial("subprocess.Popen.communicate", True, lambda stack: _process(stack, lambda each: each.communicate()))
    if hasattr(os, "waitid"):
        yield Trial("os.waitpid", True, lambda stack: _process(stack, lambda process: os.waitpid(process.pid, 0)))
    yield Trial("os.read", True, _read_pipe)
    if hasattr(os, "mkfifo"):
        yield Trial("open and read", True, _read_file)
    yield Trial("sleep imported before", False, lambda _: _bound_sleep(time.sleep), True)
    yield Trial("threading.Lock made before", False, lambda _: _lock(threading.Lock()), True)
    yield Trial("_thread.allocate_lock", False, lambda _: _lock(_thread.allocate_lock()))
    yield Trial("queue.SimpleQueue made before", False, lambda _: _queue(queue.SimpleQueue()), True)
    yield Trial("a pipe opened as a file before", False, _read_old_file, True)


def _nothing() -> None:
    """What blocks ends by itself."""


def _look_up_and_sleep() -> None:
    time.sleep(2 * PATIENCE_SECONDS)


def _bound_sleep(sleep: Callable[[float], None]) -> Staging:
    return lambda: sleep(2 * PATIENCE_SECONDS), _nothing


def _lock(lock: Any) -> Staging:
    lock.acquire()
    return lock.acquire, lock.release


def _held_rlock(stack: ExitStack) -> Staging:
    lock = threading.RLock()
    lock.acquire()

    def take() -> None:
        with lock:
            pass

    return take, lock.release


def _condition(_: ExitStack) -> Staging:
    condition, is_over = threading.Condition(), False

    def wait() -> None:
        with condition:
            condition.wait_for(lambda: is_over)

    def end() -> None:
        nonlocal is_over
        with condition:
            is_over = True
            condition.notify()

    return wait, end


def _event(event: threading.Event) -> Staging:
    return event.wait, event.set


def _semaphore(semaphore: threading.Semaphore) -> Staging:
    return semaphore.acquire, semaphore.release


def _barrier(barrier: threading.Barrier) -> Staging:
    return barrier.wait, barrier.wait


def _join(_: ExitStack) -> Staging:
    event = threading.Event()
    thread = threading.Thread(target=event.wait, daemon=True)
    thread.start()
    return thread.join, event.set


def _queue(channel: Any) -> Staging:
    return channel.get, lambda: channel.put(None)


def _pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    stack.enter_context(near)
    stack.enter_context(far)
    return near, far


def _receive(stack: ExitStack) -> Staging:
    near, far = _pair(stack)
    return lambda: near.recv(1), lambda: far.send(b"x")


def _accept(stack: ExitStack) -> Staging:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.socket())

    def accept() -> None:
        listener.accept()[0].close()

    return accept, lambda: client.connect(listener.getsockname())


def _send_all(stack: ExitStack) -> Staging:
    near, far = _pair(stack)
    data = bytes(1 << 24)

    def drain() -> None:
        left = len(data)
        while left:
            left -= len(far.recv(1 << 16))

    return lambda: near.sendall(data), drain


def _readable(stack: ExitStack, wait: Callable[[socket.socket], object]) -> Staging:
    near, far = _pair(stack)
    return lambda: wait(near), lambda: far.send(b"x")


def _poll(end: socket.socket) -> None:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.poll()


def _epoll(end: socket.socket) -> None:
    with select.epoll() as epoll:
        epoll.register(end, select.EPOLLIN)
        epoll.poll()


def _selector(end: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(end, selectors.EVENT_READ)
        selector.select()


def _process(stack: ExitStack, wait: Callable[[subprocess.Popen[bytes]], object]) -> Staging:
    command = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
    pipe = process.stdin
    assert pipe is not None
    process.stdin = None  # ours to close: `communicate` would close it
    stack.callback(pipe.close)
    return lambda: wait(process), pipe.close


def _read_pipe(stack: ExitStack) -> Staging:
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    return lambda: os.read(reader, 1), lambda: os.close(writer)


def _read_file(stack: ExitStack) -> Staging:
    path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "pipe")
    os.mkfifo(path)

    def read() -> None:
        with open(path, "rb") as file:
            file.read()

    return read, lambda: os.close(os.open(path, os.O_WRONLY))


def _read_old_file(stack: ExitStack) -> Staging:
    reader, writer = os.pipe()
    file = stack.enter_context(os.fdopen(reader, "rb"))
    return file.read, lambda: os.close(writer)


def show_doctor(output: TextIO) -> int:
    """Try everything and print one line for each; 0 when all is as documented, else 1.  Blocks for some seconds."""
    write = output.write
    write("Waits in a worker that detect_blocking() sees here: the slot is given away meanwhile.\n\n")
    odd = 0
    for trial in trials():
        finding = examine(trial)
        odd += not finding.is_as_expected
        verdict = "seen" if finding.was_seen else "not seen"
        if finding.problem is not None:
            verdict = f"cannot be tried: {finding.problem}"
        remark = "" if finding.is_as_expected else "   <- not as documented"
        write(f"  {trial.what:50}{verdict}{remark}\n")
        output.flush()
    write("\nNot seen, by construction; put `with iocp_emu.blocking():` around it:\n\n")
    for unseen in UNSEEN:
        write(f"  {unseen.what}: {unseen.why}\n")
    return 1 if odd else 0
