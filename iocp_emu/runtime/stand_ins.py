"""Stand-ins for what blocks in the standard library: they do the same, and say when they wait.

Theory.  A stand-in asks first whether the calling thread occupies a slot of some port; if not, or if the call returns
at once anyway, it is the original call and nothing else (Q-29).  Otherwise the thread is blocked for the kernel while
the original waits (Q-23, Q-26).

Such a call may also come from code that holds the kernel lock (a thread that is started there waits until it runs).
So the mark is *deferred*: it is made at once when the lock is free, else by whoever gives the lock back; and when the
wait has ended before, there is none.  Nothing here ever waits for the kernel lock while it may be the caller's own.

Own rules.  Functions of a module are replaced by objects that do not bind to instances, as the originals do not.
Objects made by a stand-in go on working when it is gone; then they mark nothing.
"""

from __future__ import annotations

import io
import select
import socket
import subprocess
import threading
from _queue import Empty, SimpleQueue
from _thread import RLock, allocate_lock
from collections.abc import Callable
from typing import Any, cast

from ..kernel.thread import BLOCKED, RUNNABLE
from .blocking import runnable_member
from .threads import OsThread

is_on = False
"""Whether anything is detected now; set by `detection`."""


class _Mark:
    """One wait of one thread."""

    __slots__ = ("_has_begun", "_is_over", "_lock", "_thread")

    def __init__(self, thread: OsThread) -> None:
        self._thread = thread
        self._lock = allocate_lock()
        self._has_begun = False
        self._is_over = False

    def begin(self) -> None:
        """A verb, called late perhaps and then by another thread."""
        with self._lock:
            if not self._is_over and self._thread.state is RUNNABLE:
                self._thread.begin_block(None)
                self._has_begun = True

    def is_to_be_ended(self) -> bool:
        """The wait is over; whether it has been marked.  If so, the kernel lock is not the caller's."""
        with self._lock:
            self._is_over = True
            return self._has_begun


def wait_in(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `original`, which is going to wait, with the calling thread marked as blocked if it occupies a slot."""
    member = runnable_member() if is_on else None
    if member is None:
        return original(*args, **kwargs)
    system, thread = member
    mark = _Mark(thread)
    system.defer(mark.begin)
    try:
        return original(*args, **kwargs)
    finally:
        if mark.is_to_be_ended():
            system.perform(_end, thread)


def _end(thread: OsThread) -> None:
    if thread.state is BLOCKED and thread.wait is None:
        thread.end_block()


def _is_watched() -> bool:
    return is_on and runnable_member() is not None


class Function:
    """Stands for a function of a module; `waits(*args, **kwargs)` says whether a call can wait."""

    def __init__(self, original: Callable[..., Any], waits: Callable[..., bool]) -> None:
        self.original = original
        self._waits = waits

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _is_watched() and self._waits(*args, **kwargs):
            return wait_in(self.original, *args, **kwargs)
        return self.original(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __repr__(self) -> str:
        return f"<{self.original!r}, its waits seen by iocp_emu>"


def method(original: Callable[..., Any], waits: Callable[..., bool]) -> Callable[..., Any]:
    """Stands for a method; `waits(self, *args, **kwargs)` says whether a call can wait."""

    def seen(*args: Any, **kwargs: Any) -> Any:
        if _is_watched() and waits(*args, **kwargs):
            return wait_in(original, *args, **kwargs)
        return original(*args, **kwargs)

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(seen, name, getattr(original, name, None))
    return seen


# -- which calls can wait --------------------------------------------------------------------------------------------


def always(*_: Any, **__: Any) -> bool:
    """It cannot be told beforehand."""
    return True


def sleeps(seconds: Any = 0, /) -> bool:
    """Sleeping for no time only gives up the processor (Q-29)."""
    return bool(seconds)


def has_time(_: object, timeout: float | None = None) -> bool:
    """A call that polls does not wait."""
    return timeout is None or timeout > 0


def joins(thread: threading.Thread, timeout: float | None = None) -> bool:
    """There is nothing to wait for when the thread has ended."""
    return thread.is_alive() and has_time(thread, timeout)


def awaits_process(process: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> bool:
    """There is nothing to wait for when the process has ended."""
    return process.poll() is None


def awaits_child(_: int = 0, options: int = 0, /) -> bool:
    """Not with WNOHANG."""
    import os

    return not options & getattr(os, "WNOHANG", 0)


def awaits_input(sock: socket.socket, *_: Any, **__: Any) -> bool:
    """A blocking socket on which nothing has come in."""
    return sock.gettimeout() != 0 and not _is_ready(sock, is_for_output=False)


def awaits_output(sock: socket.socket, *_: Any, **__: Any) -> bool:
    """A blocking socket that takes nothing more."""
    return sock.gettimeout() != 0 and not _is_ready(sock, is_for_output=True)


def is_blocking(sock: socket.socket, *_: Any, **__: Any) -> bool:
    """A socket in blocking mode."""
    return sock.gettimeout() != 0


_select = select.select
_make_poll: Callable[[], Any] | None = getattr(select, "poll", None)


def _is_ready(sock: socket.socket, *, is_for_output: bool) -> bool:
    number = sock.fileno()
    if number < 0:
        return True  # closed: the call fails at once
    if _make_poll is None:
        readable, writable, _ = _select([] if is_for_output else [number], [number] if is_for_output else [], [], 0)
        return bool(readable or writable)
    poll = _make_poll()
    poll.register(number, select.POLLOUT if is_for_output else select.POLLIN)
    return bool(poll.poll(0))


# -- calls with a way of their own to find out ------------------------------------------------------------------------


def send_all(original: Callable[..., Any], send: Callable[..., int]) -> Callable[..., Any]:
    """Stands for `socket.sendall`: what fits goes at once, only the rest waits."""

    def sendall(self: socket.socket, data: Any, flags: int = 0, /) -> None:
        if not _is_watched() or self.gettimeout() == 0:
            original(self, data, flags)
            return
        rest = memoryview(data).cast("B")
        at_once = getattr(socket, "MSG_DONTWAIT", None)
        if at_once is not None and rest and _is_ready(self, is_for_output=True):
            try:
                rest = rest[send(self, rest, flags | at_once) :]
            except BlockingIOError:
                pass
            if not rest:
                return
        wait_in(original, self, rest, flags)

    return sendall


def selector_select(original: Callable[..., Any]) -> Callable[..., Any]:
    """Stands for the `select` method of a selector: it polls first."""

    def select(self: Any, timeout: float | None = None) -> Any:
        if (timeout is not None and timeout <= 0) or not _is_watched():
            return original(self, timeout)
        return original(self, 0) or wait_in(original, self, timeout)

    return select


class SelectFunction(Function):
    """Stands for `select.select`: it polls first."""

    def __init__(self, original: Callable[..., Any]) -> None:
        super().__init__(original, always)

    def __call__(self, rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /) -> Any:
        if (timeout is not None and timeout <= 0) or not _is_watched():
            return self.original(rlist, wlist, xlist, timeout)
        lists = list(rlist), list(wlist), list(xlist)
        ready = self.original(*lists, 0)
        return ready if any(ready) else wait_in(self.original, *lists, timeout)


class Poller:
    """Stands for a `select.poll`, `epoll` or `devpoll` object."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def poll(self, timeout: float | None = None, *args: Any, **kwargs: Any) -> Any:
        """As the original; an epoll object counts in seconds, the others in milliseconds, negative is for ever."""
        original = self._original.poll
        if timeout == 0 or not _is_watched():
            return original(timeout, *args, **kwargs)
        return original(0, *args, **kwargs) or wait_in(original, timeout, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __enter__(self) -> Poller:
        self._original.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._original.__exit__(*exception)


class PollerFactory(Function):
    """Stands for `select.poll`, `epoll` or `devpoll`."""

    def __init__(self, original: Callable[..., Any]) -> None:
        super().__init__(original, always)

    def __call__(self, *args: Any, **kwargs: Any) -> Poller:
        return Poller(self.original(*args, **kwargs))


# -- objects -----------------------------------------------------------------------------------------------------------


class SeenLock:
    """What `threading.Lock()` makes while locks are watched."""

    __slots__ = ("__weakref__", "_lock", "locked", "release")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self.release = self._lock.release
        self.locked = self._lock.locked

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the original; taken at once when it is free."""
        lock = self._lock
        if not blocking or timeout != -1:
            return _acquire(lock, blocking, timeout)
        return lock.acquire(False) or bool(wait_in(lock.acquire))

    def __enter__(self) -> bool:
        return self._lock.acquire(False) or bool(wait_in(self._lock.acquire))

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]  # pyright: ignore

    def __repr__(self) -> str:
        return f"<{'' if self.locked() else 'un'}locked {type(self).__qualname__} at {id(self):#x}>"


class SeenRLock:
    """What `threading.RLock()` makes while locks are watched."""

    __slots__ = ("__weakref__", "_acquire_restore", "_is_owned", "_lock", "_release_save", "locked", "release")

    def __init__(self) -> None:
        lock: Any = RLock()
        self._lock = lock
        self.release: Callable[[], None] = lock.release
        if hasattr(lock, "locked"):  # from Python 3.14 on
            self.locked: Callable[[], bool] = lock.locked
        # What a condition asks of its lock.
        self._is_owned: Callable[[], bool] = lock._is_owned
        self._release_save: Callable[[], Any] = lock._release_save
        self._acquire_restore: Callable[[Any], None] = lock._acquire_restore

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the original; taken at once when it is free or the caller's own."""
        lock = self._lock
        if not blocking or timeout != -1:
            return _acquire(lock, blocking, timeout)
        return lock.acquire(False) or bool(wait_in(lock.acquire))

    def __enter__(self) -> bool:
        return self._lock.acquire(False) or bool(wait_in(self._lock.acquire))

    def __exit__(self, *_: object) -> None:
        self.release()

    def _recursion_count(self) -> int:
        return int(self._lock._recursion_count())

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} around {self._lock!r}>"


def _acquire(lock: Any, blocking: bool, timeout: float) -> bool:
    """Acquire with a timeout, or without waiting; what makes no sense is refused by the lock itself."""
    if not blocking or timeout <= 0:
        return bool(lock.acquire(blocking, timeout))
    return bool(lock.acquire(False) or wait_in(lock.acquire, True, timeout))


class SeenSimpleQueue(SimpleQueue[Any]):
    """What `queue.SimpleQueue()` makes while queues are watched."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As the original; an element that is there is taken at once."""
        if not block or (timeout is not None and timeout <= 0):
            return super().get(block, timeout)
        try:
            return super().get_nowait()
        except Empty:
            return wait_in(super().get, True, timeout)


class SeenFile(io.FileIO):
    """The raw file under what `open()` returns while files are watched: every read and write counts as a wait."""

    def readinto(self, buffer: Any, /) -> int | None:
        """As the original."""
        return cast("int | None", wait_in(super().readinto, buffer))

    def read(self, size: int | None = -1, /) -> Any:
        """As the original."""
        return wait_in(super().read, -1 if size is None else size)

    def readall(self) -> Any:
        """As the original."""
        return wait_in(super().readall)

    def write(self, data: Any, /) -> Any:
        """As the original."""
        return wait_in(super().write, data)


def open_seen(original: Callable[..., Any]) -> Callable[..., Any]:
    """Stands for `open`: the same layers, over a raw file that says when it reads and writes."""

    def open_file(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        is_binary = "b" in mode
        is_odd = set(mode) - set("rwxab+t") or (is_binary and ("t" in mode or encoding or errors or newline))
        if not _is_watched() or is_odd or (buffering == 0 and not is_binary):
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw: Any = wait_in(SeenFile, file, mode.replace("b", "").replace("t", ""), closefd, opener)
        try:
            if buffering == 0:
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            buffered: Any
            if "+" in mode:
                buffered = io.BufferedRandom(raw, size)
            else:
                buffered = (io.BufferedReader if "r" in mode else io.BufferedWriter)(raw, size)
            if is_binary:
                return buffered
            by_line = buffering == 1 or (buffering < 0 and raw.isatty())
            text: Any = io.TextIOWrapper(buffered, encoding, errors, newline, by_line)
            text.mode = mode
            return text
        except BaseException:
            raw.close()
            raise

    return open_file
