"""The reactor: one thread of the process that waits until descriptors of the host are ready.

Theory.  The reactor finds readiness and nothing else.  Whoever has found some, its own thread or a caller of `poll`,
tells the watchers under the kernel lock of their system, and these make progress with calls that cannot block.  To be
told twice, or for nothing, is harmless: the second one finds that there is nothing to do.  Readiness is level
triggered, so a watcher must stop watching for what it will not act upon.

While every thread of a machine is busy, the reactor's thread is in no hurry: a busy thread looks itself (`poll`) before
it waits, and two threads that both want the interpreter's lock get less done than one.

Where the host's selector can be changed while another thread waits in it (epoll, kqueue), a change needs no wake-up,
and `poll` asks the same selector.  Elsewhere a socket pair wakes the thread, and `poll` asks a selector of its own.

Rules of this file: none of semantics.md; clients.md 8.2 (state is current at every call), 8.3 (progress while nobody
calls).

Own rules.  The reactor's lock guards its table and its selector, is held for a few steps only, and nothing else is
asked for under it; it may be taken under a kernel lock, never the other way round.  The thread is started by the first
watch and ends when there has been none for a while; then no descriptor of the reactor's own is left.  It survives
descriptors that are closed under it.  After a fork the child has a reactor without thread and watches.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Protocol

from ..kernel.thread import PARKED

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

__all__ = ["EVENT_READ", "EVENT_WRITE", "REACTOR", "Reactor", "Watcher"]

IDLE_SECONDS = 1.0
PATIENCE_SECONDS = 0.001
"""How long busy threads are given to find out by themselves."""
LARGEST_WAKE_UP_BYTES = 4096


class Watcher(Protocol):
    """What is told that its descriptor is ready.  Compared and hashed by identity."""

    def system(self) -> ThreadSystem | None:
        """The machine under whose lock it is told; None when that is gone, and then it is watched no more."""
        ...

    def on_ready(self, events: int) -> None:
        """Under the kernel lock: the descriptor may be ready for EVENT_READ, EVENT_WRITE or both.  Must not block."""
        ...


def _is_live(kind: Callable[[], selectors.BaseSelector]) -> bool:
    """Whether a selector of this kind can be changed and asked while another thread waits in it."""
    live = (getattr(selectors, name, None) for name in ("EpollSelector", "KqueueSelector"))
    return any(kind is each for each in live)


class Reactor:
    """Watches descriptors of the host; the thread ends after `idle_seconds` without a watch (None: never).

    `watched`: how many descriptors are watched.  `is_running`: whether the thread exists.  Thread-safe.
    """

    def __init__(
        self,
        idle_seconds: float | None = IDLE_SECONDS,
        selector_type: Callable[[], selectors.BaseSelector] = selectors.DefaultSelector,
    ) -> None:
        self.idle_seconds = idle_seconds
        self._selector_type = selector_type
        self._is_live = _is_live(selector_type)
        self.forget_everything()

    def forget_everything(self) -> None:
        """Become a reactor without thread, watches and descriptors, as in a forked child."""
        self._lock = threading.Lock()
        self._watches: dict[int, tuple[Watcher, int]] = {}
        self._selector: selectors.BaseSelector | None = None
        self._waker: tuple[socket.socket, socket.socket] | None = None
        self.is_running = False

    def after_fork_in_child(self) -> None:
        """Close the child's copies of the descriptors, which leaves the parent's selector as it is, and forget."""
        selector, waker = self._selector, self._waker
        self.forget_everything()
        if selector is not None:
            selector.close()
        for end in waker or ():
            end.close()

    @property
    def watched(self) -> int:
        """Descriptors that are watched now."""
        return len(self._watches)

    def start(self) -> None:
        """Have the thread run already; `OSError` when the host has no more threads or descriptors."""
        with self._lock:
            self._need_selector()

    def watch(self, descriptor: int, events: int, watcher: Watcher) -> None:
        """Tell `watcher` when `descriptor` is ready for `events` (EVENT_READ, EVENT_WRITE or both).  O(1).

        Replaces what was watched under this number before.  `OSError` when the host refuses.
        """
        with self._lock:
            before = self._watches.get(descriptor)
            if before == (watcher, events):
                return
            selector = self._need_selector()
            if before is not None and before[0] is watcher:
                selector.modify(descriptor, events, watcher)
            else:
                if before is not None:
                    # Somebody has closed it, and the number means another file: the host's selector has forgotten it.
                    del self._watches[descriptor]
                    _unregister(selector, descriptor)
                _register(selector, descriptor, events, watcher)
            self._watches[descriptor] = (watcher, events)
            self._wake()

    def unwatch(self, descriptor: int, watcher: Watcher) -> None:
        """Stop watching, if it is still `watcher` that watches `descriptor`.  O(1)."""
        with self._lock:
            if self._watches.get(descriptor, (None,))[0] is watcher:
                del self._watches[descriptor]
                assert self._selector is not None
                _unregister(self._selector, descriptor)
                self._wake()

    def poll(self) -> None:
        """Tell every watcher whose descriptor is ready now, on the calling thread.  Does not wait; O(ready)."""
        selector = self._selector
        if selector is None or not self._watches:
            return
        try:
            ready = selector.select(0) if self._is_live else self._look()
        except (ValueError, OSError):
            # The thread is ending and has just closed the selector: nothing is watched.
            return
        if ready:
            self._tell(ready)

    # -- the thread --------------------------------------------------------------------------------------------

    def _need_selector(self) -> selectors.BaseSelector:
        """Under the lock: the selector, with the thread that waits in it."""
        if self._selector is not None:
            return self._selector
        selector = self._selector_type()
        waker = None
        try:
            if not self._is_live:
                waker = socket.socketpair()
                for end in waker:
                    end.setblocking(False)
                selector.register(waker[0], EVENT_READ, None)
            threading.Thread(target=self._run, args=(selector,), name="iocp_emu reactor", daemon=True).start()
        except BaseException as error:
            selector.close()
            for end in waker or ():
                end.close()
            if isinstance(error, RuntimeError):  # the host has no more threads
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS)) from None
            raise
        self._selector, self._waker, self.is_running = selector, waker, True
        return selector

    def _run(self, selector: selectors.BaseSelector) -> None:
        while True:
            ready = self._select(selector, self.idle_seconds)
            if ready is None:
                continue
            if not ready:
                if self._end_if_idle(selector):
                    return
            elif self._is_awaited(ready):
                self._tell(ready)
            else:
                time.sleep(PATIENCE_SECONDS)
                self._tell(self._select(selector, 0) or [])
            # Nothing of a watcher stays in this thread's locals while it waits.
            del ready

    def _select(
        self, selector: selectors.BaseSelector, timeout: float | None
    ) -> list[tuple[selectors.SelectorKey, int]] | None:
        """What is ready within `timeout` seconds; None when the selector choked on a change or a closed descriptor."""
        try:
            return selector.select(timeout)
        except (OSError, ValueError):
            self._weed(selector)
            return None
        except RuntimeError:
            # Without a GIL, a selector of Python sets may see them change: `_wake` has said so, or is about to.
            return None

    def _is_awaited(self, ready: list[tuple[selectors.SelectorKey, int]]) -> bool:
        """Whether somebody waits for what this may end: a thread that is parked or blocked in its kernel."""
        if any(key.data is None for key, _ in ready):
            return True  # there is something else to see
        systems = {key.data.system() for key, _ in ready}
        return any(
            thread.state is PARKED or thread.wait is not None
            for system in systems
            if system is not None
            for thread in list(system.threads_by_ident.values())
        )

    def _end_if_idle(self, selector: selectors.BaseSelector) -> bool:
        with self._lock:
            if self._selector is not selector:
                return True  # a fork's child would come here if it had this thread
            if self._watches or self.idle_seconds is None:
                return False
            self._selector, self.is_running = None, False
            waker, self._waker = self._waker, None
            selector.close()
        for end in waker or ():
            end.close()
        return True

    def _tell(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Tell the watchers, all of one system under one taking of its lock."""
        batches: dict[ThreadSystem, list[tuple[Watcher, int]]] = {}
        for key, events in ready:
            watcher: Watcher | None = key.data
            if watcher is None:
                self._empty_waker()
                continue
            system = watcher.system()
            if system is None:
                self.unwatch(key.fd, watcher)
            # Nothing, if what it watches for was being changed at this moment; then the selector will say it again.
            elif events:
                batches.setdefault(system, []).append((watcher, events))
        for system, batch in batches.items():
            system.perform(_tell_all, batch)

    # -- hosts whose selector must not be touched while somebody waits in it -----------------------------------

    def _wake(self) -> None:
        """Under the lock: let the thread look at what has changed."""
        if self._waker is not None:
            # A full buffer wakes it just as well.
            with contextlib.suppress(BlockingIOError):
                self._waker[1].send(b"\0")

    def _empty_waker(self) -> None:
        waker = self._waker
        if waker is not None:
            with contextlib.suppress(OSError):
                waker[0].recv(LARGEST_WAKE_UP_BYTES)

    def _look(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Ask a selector of one's own about everything that is watched.  O(watched)."""
        with self._selector_type() as momentary:
            for descriptor, (watcher, events) in list(self._watches.items()):
                with contextlib.suppress(OSError, ValueError):
                    momentary.register(descriptor, events, watcher)
            return momentary.select(0)

    def _weed(self, selector: selectors.BaseSelector) -> None:
        """The selector choked on a descriptor that was closed: find it and let its watcher find out."""
        with self._lock:
            watches = list(self._watches.items())
        for descriptor, (watcher, events) in watches:
            try:
                os.fstat(descriptor)
            except OSError:
                self.unwatch(descriptor, watcher)
                self._tell([(selectors.SelectorKey(descriptor, descriptor, events, watcher), events)])


def _register(selector: selectors.BaseSelector, descriptor: int, events: int, watcher: Watcher) -> None:
    try:
        selector.register(descriptor, events, watcher)
    except (KeyError, ValueError) as error:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error


def _unregister(selector: selectors.BaseSelector, descriptor: int) -> None:
    # The host has forgotten a descriptor that was closed; the selector's own table has not.
    with contextlib.suppress(OSError, KeyError, ValueError):
        selector.unregister(descriptor)


def _tell_all(batch: list[tuple[Watcher, int]]) -> None:
    """Under the kernel lock."""
    for watcher, events in batch:
        try:
            watcher.on_ready(events)
        except Exception:
            # A defect of this watcher: told as any thread's would be, and the others go on.
            threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), threading.current_thread()]))


REACTOR = Reactor()
"""The reactor of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=REACTOR.after_fork_in_child)
