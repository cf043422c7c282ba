"""The I/O threads: they do what would make a caller wait, and the helpers that begin and end a request.

Theory.  Work that cannot be done at once goes to one process-wide engine: a queue, first in, first out, and a few
threads that are started when there is something to do and end when there has been nothing for a while.  These threads
belong to no port and are no threads of the kernel; what they have done reaches it through `ThreadSystem.perform`.

Each piece of work is *claimed* exactly once, by the thread that does it or by a cancel: claiming is one atomic `pop`
of a dictionary, so `withdraw` needs no lock and may be called under the kernel lock, even from a finalizer that runs
in the middle of `submit`.  Withdrawn work leaves an empty place in the queue.

Rules of this file: I-05, I-11 (packets in the order of completion), I-41 (what has begun ends normally), Q-23.

Own rules.  The engine's lock guards its queue and thread counts, is held for a few steps only, and never while
anything else is asked for.  A thread keeps nothing of the work that it has done: buffers are free when their request
has ended.  After a fork the child has an engine without work and without threads.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from .. import status
from ..kernel.file import FileObject, IoMode, IoRequest
from ..kernel.objects import NtError
from ..kernel.thread import RUNNABLE
from ..kernel.waits import Event, ResetMode
from .device import Ask, Transferred

if TYPE_CHECKING:
    from ..kernel.thread import KernelThread
    from ..runtime.threads import ThreadSystem

MAXIMUM_THREADS = 8
IDLE_SECONDS = 1.0


class Work(Protocol):
    """Something that an I/O thread does.  Compared and hashed by identity."""

    def run(self) -> None:
        """Do it and report the result.  Called once, on an I/O thread; may block."""

    def refuse(self) -> None:
        """It will never be done: the host starts no thread.  Called once, on the submitting thread."""


class Engine:
    """Up to `maximum_threads` (1 or more) I/O threads; one that had nothing to do for `idle_seconds` ends.

    Thread-safe.  The threads are daemons: they do not keep the interpreter from ending.
    """

    def __init__(self, maximum_threads: int = MAXIMUM_THREADS, idle_seconds: float = IDLE_SECONDS) -> None:
        self.maximum_threads = maximum_threads
        self.idle_seconds = idle_seconds
        self.forget_everything()

    def forget_everything(self) -> None:
        """Become an engine without work and threads, as in a forked child, where the threads do not exist."""
        self._waiting: dict[Work, Work] = {}
        self._queue: deque[Work] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._threads = 0
        self._idle = 0

    @property
    def waiting(self) -> int:
        """Pieces of work that no thread has begun yet."""
        return len(self._waiting)

    @property
    def threads(self) -> int:
        """I/O threads that exist now."""
        return self._threads

    def submit(self, work: Work) -> None:
        """Have `work` done, after all that was submitted before has begun.  Does not block; O(1)."""
        with self._changed:
            self._waiting[work] = work
            self._queue.append(work)
            if len(self._queue) <= self._idle:
                self._changed.notify()
                return
            if self._threads == self.maximum_threads:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._serve, name="iocp_emu I/O", daemon=True).start()
        except RuntimeError:
            self._do_without_thread()

    def withdraw(self, work: Work) -> bool:
        """Take back what has not begun; False when it has begun, has ended or was never submitted.  O(1), lock-free."""
        return self._waiting.pop(work, None) is not None

    def _do_without_thread(self) -> None:
        """The host refused a thread: what waits is left to the others, or refused when there are none."""
        with self._changed:
            self._threads -= 1
            stranded: list[Work] = []
            if not self._threads:
                stranded.extend(self._queue)
                self._queue.clear()
        for work in stranded:
            if self.withdraw(work):
                work.refuse()

    def _serve(self) -> None:
        """The life of an I/O thread."""
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Wait for one piece of work and do it; False when the thread shall end."""
        with self._changed:
            self._idle += 1
            while not self._queue:
                if not self._changed.wait(self.idle_seconds) and not self._queue:
                    self._idle -= 1
                    self._threads -= 1
                    return False
            self._idle -= 1
            work = self._queue.popleft()
        if self.withdraw(work):
            try:
                work.run()
            except Exception:
                # A defect of this piece of work: told as any thread's would be, and the others go on.
                threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), threading.current_thread()]))
        return True


ENGINE = Engine()
"""The engine of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ENGINE.forget_everything)


# -- beginning and ending requests ---------------------------------------------------------------------------------


def start(thread: KernelThread, file: FileObject, ask: Ask, operation: Any) -> IoRequest:
    """Under the kernel lock: issue a request as `ask` says.

    Refusals, as `NtError`: STATUS_FILE_CLOSED when the last reference went between the call's look-up of the handle
    and now; what `FileObject.start_request` refuses.
    """
    if file.freed:
        raise NtError(status.STATUS_FILE_CLOSED)
    return file.start_request(thread, ask.block, context=ask.context, event=ask.event, apc=ask.apc, operation=operation)


def finish(request: IoRequest, outcome: Transferred) -> None:
    """Under the kernel lock: the operation has ended; from here on nothing holds its buffer."""
    request.operation = None
    request.complete(outcome.status, outcome.count)


def issue(
    system: ThreadSystem,
    file: FileObject,
    ask: Ask,
    operation: Any,
    begin: Callable[[IoRequest], None],
    begun: Callable[[], None] | None = None,
    io_mode: IoMode | None = None,
) -> int:
    """Issue a request that `begin`, under the kernel lock, ends or leaves pending; the NTSTATUS of the call.

    `begun` is called afterwards, without the lock.  On a synchronous file object the call blocks, visibly (Q-23),
    until the request has ended; `io_mode` is that of the call where it is not that of the file object.
    """
    thread = system.current()

    def verb(asked: Ask) -> tuple[IoRequest, int]:
        request = start(thread, file, asked, operation)
        begin(request)
        return request, request.return_to_caller()

    try:
        if (io_mode or file.io_mode) is IoMode.SYNCHRONOUS:
            return _wait_for_end(system, ask, verb, begun)
        _, code = system.perform(verb, ask)
    except NtError as refusal:
        return refusal.status
    if begun is not None:
        begun()
    return code


def _wait_for_end(
    system: ThreadSystem,
    ask: Ask,
    verb: Callable[[Ask], tuple[IoRequest, int]],
    begun: Callable[[], None] | None,
) -> int:
    """As `issue` for a synchronous file object; the caller's event, or the file's own, is set last (I-28).

    So waiting here spends nothing of what others wait for.
    """
    ended = system.perform(_new_event, system)
    try:
        request, code = system.perform(verb, replace(ask, event=ended))
        if begun is not None:
            begun()
        if code == status.STATUS_PENDING:
            try:
                system.wait([ended])
            except BaseException:
                system.perform(request.cancel)
                raise
        if ended.signalled:
            system.perform(request.file.signal if ask.event is None else ask.event.set)
        return request.status
    finally:
        system.perform(ended.dereference)


def _new_event(system: ThreadSystem) -> Event:
    event = system.kernel.create_event(ResetMode.MANUAL)
    event.reference()
    return event


@contextlib.contextmanager
def waiting(system: ThreadSystem) -> Generator[None]:
    """Mark what is inside as a wait of the calling thread that the kernel does not know of (Q-23, Q-26)."""
    thread = system.current()
    if thread.state is not RUNNABLE:
        yield
        return
    system.block(thread)
    try:
        yield
    finally:
        system.unblock(thread)
