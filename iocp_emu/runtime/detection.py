"""`detect_blocking()`: lets the waits of the standard library give the slot of a worker away, without a word from it.

Theory.  Python does not tell anybody that a thread waits.  While detection is on, the calls listed in `SEEN` are
replaced by stand-ins that tell.  A replaced name is seen by whoever looks it up from then on: `time.sleep(1)` is,
a `sleep` that was imported before is not.  `UNSEEN` lists what stays invisible; put `blocking()` around that.
`iocp-emu doctor` tries every line of both lists.

Detection is on for the whole process, since modules are; what it changes is only what threads that occupy a slot of a
port do.  For all others a call costs one more look.  It is switched on and off by count, and when it is off for all,
every name holds the very object that it held before.

Rules of this file: Q-23, Q-26, Q-29 (what returns at once gives nothing away).
"""

from __future__ import annotations

import builtins
import enum
import functools
import io
import os
import queue
import select
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from typing_extensions import ParamSpec

from . import stand_ins

P = ParamSpec("P")
R = TypeVar("R")


class BlockingKind(enum.Enum):
    """Kinds of waits that can be detected."""

    SLEEP = "time.sleep"
    THREADING = "locks, conditions, events, semaphores, barriers, joins"
    QUEUE = "queue.Queue, queue.SimpleQueue"
    SOCKET = "sockets in blocking mode, name lookup"
    SELECT = "select, poll, epoll, selectors"
    PROCESS = "waiting for processes"
    FILES = "reading and writing files, whether it really waits or not"


DEFAULT_WAITS = frozenset(BlockingKind) - {BlockingKind.FILES}
"""What `detect_blocking()` detects unless told otherwise: nobody can tell whether a file read will wait."""


class Seen(NamedTuple):
    """One name that is replaced: `kind`, where it lives, and what stands in for the original."""

    kind: BlockingKind
    owner: Any
    name: str
    stand_in: Callable[[Any], Any]


class Unseen(NamedTuple):
    """Something that blocks and is not detected, and why."""

    what: str
    why: str


UNSEEN = (
    Unseen("from time import sleep, before detection is on", "the name holds the original"),
    Unseen("a lock made before detection is on, or by _thread.allocate_lock", "written in C, cannot be replaced"),
    Unseen("a SimpleQueue made before detection is on", "written in C, cannot be replaced"),
    Unseen("TLS: read and write of ssl.SSLSocket", "the TLS library reads the socket by itself"),
    Unseen("a file opened before detection is on, mmap, page faults", "written in C, cannot be replaced"),
    Unseen("input(), and reading sys.stdin", "written in C, opened at the start"),
    Unseen("fcntl.flock and lockf, os.open of a pipe, signal.pause, sqlite3, ctypes, ...", "only the calls listed"),
)


def _function(kind: BlockingKind, owner: Any, names: str, waits: Callable[..., bool]) -> Iterator[Seen]:
    for name in names.split():
        if hasattr(owner, name):
            yield Seen(kind, owner, name, functools.partial(stand_ins.Function, waits=waits))


def _method(kind: BlockingKind, owner: Any, names: str, waits: Callable[..., bool]) -> Iterator[Seen]:
    for name in names.split():
        if hasattr(owner, name):
            yield Seen(kind, owner, name, functools.partial(stand_ins.method, waits=waits))


def _instead(new: type) -> Callable[[Any], Any]:
    return lambda original: new


def _replaced_names() -> Iterator[Seen]:
    yield from _function(BlockingKind.SLEEP, time, "sleep", stand_ins.sleeps)
    yield Seen(BlockingKind.THREADING, threading, "Lock", _instead(stand_ins.SeenLock))
    yield Seen(BlockingKind.THREADING, threading, "RLock", _instead(stand_ins.SeenRLock))
    # Events, semaphores, barriers and queue.Queue wait for conditions, the old ones too.
    yield from _method(BlockingKind.THREADING, threading.Condition, "wait", stand_ins.has_time)
    yield from _method(BlockingKind.THREADING, threading.Thread, "join", stand_ins.joins)
    yield Seen(BlockingKind.QUEUE, queue, "SimpleQueue", _instead(stand_ins.SeenSimpleQueue))
    incoming = "recv recv_into recvfrom recvfrom_into recvmsg recvmsg_into accept"
    yield from _method(BlockingKind.SOCKET, socket.socket, incoming, stand_ins.awaits_input)
    yield from _method(BlockingKind.SOCKET, socket.socket, "send sendto sendmsg", stand_ins.awaits_output)
    yield Seen(
        BlockingKind.SOCKET,
        socket.socket,
        "sendall",
        functools.partial(stand_ins.send_all, send=socket.socket.send),
    )
    yield from _method(BlockingKind.SOCKET, socket.socket, "connect connect_ex", stand_ins.is_blocking)
    lookups = "getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr getnameinfo"
    yield from _function(BlockingKind.SOCKET, socket, lookups, stand_ins.always)
    yield Seen(BlockingKind.SELECT, select, "select", stand_ins.SelectFunction)
    for name in ("poll", "epoll", "devpoll"):
        if hasattr(select, name):
            yield Seen(BlockingKind.SELECT, select, name, stand_ins.PollerFactory)
    for name in ("SelectSelector", "PollSelector", "EpollSelector", "DevpollSelector", "KqueueSelector"):
        if hasattr(selectors, name):
            yield Seen(BlockingKind.SELECT, getattr(selectors, name), "select", stand_ins.selector_select)
    yield from _method(BlockingKind.PROCESS, subprocess.Popen, "wait communicate", stand_ins.awaits_process)
    yield from _function(BlockingKind.PROCESS, os, "waitpid wait3", stand_ins.awaits_child)
    yield from _function(BlockingKind.PROCESS, os, "wait system", stand_ins.always)
    calls = "read readv pread preadv write writev pwrite pwritev fsync fdatasync sendfile"
    yield from _function(BlockingKind.FILES, os, calls, stand_ins.always)
    yield Seen(BlockingKind.FILES, builtins, "open", stand_ins.open_seen)
    yield Seen(BlockingKind.FILES, io, "open", stand_ins.open_seen)


SEEN: tuple[Seen, ...] = tuple(_replaced_names())
"""Every name that is replaced while its kind is detected, as far as this platform has it."""

_ABSENT: Any = object()
_lock = threading.Lock()
_users: dict[BlockingKind, int] = dict.fromkeys(BlockingKind, 0)
_replaced: dict[tuple[int, str], tuple[Any, Any]] = {}
"""For each replaced name, by owner and name: what the owner itself held, and what it holds now."""


def _put_in(seen: Seen) -> None:
    held = seen.owner.__dict__.get(seen.name, _ABSENT)
    new = seen.stand_in(getattr(seen.owner, seen.name))
    setattr(seen.owner, seen.name, new)
    _replaced[id(seen.owner), seen.name] = held, new


def _take_out(seen: Seen) -> None:
    held, new = _replaced.pop((id(seen.owner), seen.name))
    if seen.owner.__dict__.get(seen.name) is not new:
        return  # somebody has replaced it after us: theirs to undo; the stand-in below marks nothing any more
    if held is _ABSENT:
        delattr(seen.owner, seen.name)
    else:
        setattr(seen.owner, seen.name, held)


class BlockingDetection:
    """What `detect_blocking()` returns: a context manager, a decorator, or something to `start` and `stop`."""

    def __init__(self, waits: Iterable[BlockingKind]) -> None:
        self.waits = frozenset(waits)
        for each in self.waits:
            if not isinstance(each, BlockingKind):
                raise TypeError(f"waits must hold members of BlockingKind, not {type(each).__name__}")
        self._starts = 0

    def start(self) -> None:
        """Detect from now on, until `stop` has been called as often.  Never blocks for long."""
        with _lock:
            self._starts += 1
            for kind in self.waits:
                _users[kind] += 1
                if _users[kind] == 1:
                    for seen in SEEN:
                        if seen.kind is kind:
                            _put_in(seen)
            stand_ins.is_on = any(_users.values())

    def stop(self) -> None:
        """Undo one `start`.  Raises `RuntimeError` when there is none to undo."""
        with _lock:
            if self._starts == 0:
                raise RuntimeError("this detection has not been started")
            self._starts -= 1
            for kind in self.waits:
                _users[kind] -= 1
                if _users[kind] == 0:
                    for seen in reversed(SEEN):
                        if seen.kind is kind:
                            _take_out(seen)
            stand_ins.is_on = any(_users.values())

    def __enter__(self) -> BlockingDetection:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Let every call of `function` run with detection on."""

        @functools.wraps(function)
        def detecting_function(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return detecting_function


def detect_blocking(waits: Iterable[BlockingKind] = DEFAULT_WAITS) -> BlockingDetection:
    """Let threads that occupy a slot of a port give it away while they wait in the standard library (Q-23).

    `waits`: the kinds to detect, by default all but files.  For the whole process, from entering the `with` block (or
    `start`) to leaving it (or `stop`); nesting is counted; afterwards everything is as before.  What is seen and what
    is not: `iocp-emu doctor`, which tries it.  Raises `TypeError`.  Never blocks for long.

    >>> import time
    >>> from iocp_emu import CompletionPortExecutor, detect_blocking
    >>> with detect_blocking(), CompletionPortExecutor(max_workers=8, concurrency=1) as executor:
    ...     _ = list(executor.map(time.sleep, [0.01] * 8))  # all at once
    """
    return BlockingDetection(waits)
