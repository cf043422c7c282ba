"""Bytes that a program has sent and the host has not taken yet; and how they outlive their socket.

Theory.  A send has ended when its bytes are queued here (see `socket_device`).  A socket that is closed with bytes left
does not lose them: a `Linger` with a descriptor of its own goes on until the host has taken them or the connection is
dead, and only then does the peer see the end.  A socket that resets on close (SO_LINGER with a time of 0) loses them,
as on Windows.  When the interpreter ends, it waits a little for what is still on its way.

Own rules.  Everything happens under the kernel lock of the socket's system but for the wait at the end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakSet

from .host_sockets import BorrowedSocket
from .reactor import EVENT_WRITE, REACTOR

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

BUFFERS_PER_CALL = 64
"""Pieces that are handed to the host in one call."""

SECONDS_AT_EXIT = 5.0
"""How long the end of the interpreter waits for bytes that are still queued."""


class SendQueue:
    """Copies of bytes, first in, first out.  `size` in bytes."""

    __slots__ = ("__weakref__", "_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.size = 0

    def append(self, buffers: Iterable[memoryview]) -> None:
        """Queue a copy of the bytes."""
        for buffer in buffers:
            if buffer:
                self._pieces.append(memoryview(bytes(buffer)))
                self.size += len(buffer)
        _not_sent.add(self)

    def flush(self, host: BorrowedSocket) -> None:
        """Give the host what it takes without waiting.  Raises its `OSError`, but for `BlockingIOError`."""
        pieces = self._pieces
        with contextlib.suppress(BlockingIOError):
            while pieces:
                first = [pieces[at] for at in range(min(len(pieces), BUFFERS_PER_CALL))]
                sent = host.send_bytes(first)
                self.size -= sent
                while pieces and sent >= len(pieces[0]):
                    sent -= len(pieces.popleft())
                if sent:
                    pieces[0] = pieces[0][sent:]

    def drop(self) -> None:
        """Forget everything: the connection is dead."""
        self._pieces.clear()
        self.size = 0


class Linger:
    """A closed socket whose queue is not empty yet.  Owns `descriptor`, and closes it at the end."""

    def __init__(self, system: ThreadSystem, descriptor: int, queue: SendQueue) -> None:
        self._system = system
        self._host = BorrowedSocket(descriptor)
        self._queue = queue
        self._is_over = False
        try:
            REACTOR.watch(descriptor, EVENT_WRITE, self)
        except OSError:
            self._end()

    def system(self) -> ThreadSystem:
        """The system is kept alive until everything is sent."""
        return self._system

    def on_ready(self, events: int) -> None:
        """Go on sending."""
        if self._is_over:
            return
        try:
            self._queue.flush(self._host)
        except OSError:
            self._queue.drop()
        if not self._queue.size:
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._queue.drop()
        descriptor = self._host.detach()
        REACTOR.unwatch(descriptor, self)
        os.close(descriptor)


_not_sent: WeakSet[SendQueue] = WeakSet()


def wait_until_sent(seconds: float = SECONDS_AT_EXIT) -> bool:
    """Wait until no queue of this process holds bytes any more, at most `seconds`; whether that is so.  Blocks."""
    deadline = time.monotonic() + seconds
    while any(queue.size for queue in list(_not_sent)):
        if not REACTOR.watched or time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


atexit.register(wait_until_sent)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_not_sent.clear)
