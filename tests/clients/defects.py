"""Deliberate defects of the port and of what stands behind it; the clients' own tests must notice each.

`apply(name)` puts one into the running process, for good.  `python -m pytest -m slow tests/clients -k defects` tries
every one of them on every suite that must notice it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import IoRequest
from iocp_emu.overlapped.afd import Poll, PollEvents
from iocp_emu.overlapped.socket_device import SocketDevice
from iocp_emu.runtime.threads import ThreadSystem


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    setattr(owner, name, make(getattr(owner, name)))


def packet_lost() -> None:
    """Every fourth packet of a request is not queued."""
    count = itertools.count(1)

    def make(insert: Any) -> Any:
        def set_(self: Any, packet: Any, interrupted: Any = None) -> Any:
            if packet.source is not None and next(count) % 4 == 0:
                return 0
            return insert(self, packet, interrupted)

        return set_

    _replace(IoCompletion, "set", make)


def wrong_key() -> None:
    """Packets of requests have another file's key."""

    def make(insert: Any) -> Any:
        def set_(self: Any, packet: Any, interrupted: Any = None) -> Any:
            if packet.source is not None:
                packet.key += 1
            return insert(self, packet, interrupted)

        return set_

    _replace(IoCompletion, "set", make)


def no_overlapped() -> None:
    """Packets of requests do not say which."""

    def make(insert: Any) -> Any:
        def set_(self: Any, packet: Any, interrupted: Any = None) -> Any:
            if packet.source is not None:
                packet.overlapped = None
            return insert(self, packet, interrupted)

        return set_

    _replace(IoCompletion, "set", make)


def _complete(change: Callable[[Any, int, int], tuple[int, int]]) -> None:
    def make(complete: Any) -> Any:
        def complete_(self: Any, code: int, information: int) -> None:
            complete(self, *change(self, code, information))

        return complete_

    _replace(IoRequest, "complete", make)


def failure_succeeds() -> None:
    """A request that has pended and fails is told as a success with 0 bytes."""
    _complete(lambda request, code, size: (0 if request.has_pended and status.is_error(code) else code, size))


def count_short() -> None:
    """One byte too few is told."""
    _complete(lambda _, code, size: (code, max(size - 1, 0)))


def wrong_failure() -> None:
    """Whatever fails after it has pended, was cancelled."""
    _complete(
        lambda request, code, size: (
            status.STATUS_CANCELLED if request.has_pended and status.is_error(code) else code,
            size,
        )
    )


def no_packet_at_once() -> None:
    """A success within the call queues no packet (I-02)."""

    def make(complete: Any) -> Any:
        def complete_(self: Any, code: int, information: int) -> None:
            if not self.has_pended and not status.is_error(code):
                self.context = None
            complete(self, code, information)

        return complete_

    _replace(IoRequest, "complete", make)


def post_lost() -> None:
    """PostQueuedCompletionStatus does nothing (N-01)."""
    _replace(ThreadSystem, "post", lambda _: lambda self, port, packet: 0)


def receives_crossed() -> None:
    """Nothing is found out about readiness to receive."""

    def make(on_ready: Any) -> Any:
        return lambda self, events: on_ready(self, events & ~1)

    _replace(SocketDevice, "on_ready", make)


def cancel_ignored() -> None:
    """A request cannot be cancelled (I-41)."""
    _replace(IoRequest, "cancel", lambda _: lambda self: None)


def reset_is_end() -> None:
    """A connection that was reset looks closed in an orderly way."""

    def make(receive: Any) -> Any:
        def receive_(self: Any, buffers: Any, flags: int) -> Any:
            try:
                return receive(self, buffers, flags)
            except ConnectionError:
                return 0

        return receive_

    _replace(SocketDevice, "receive", make)


def poll_says_all() -> None:
    """A poll is answered at once, with everything that was asked."""

    def look(self: Any) -> bool:
        self.end(_answered(self))
        return True

    Poll.look = look  # type: ignore[method-assign]


def _answered(poll: Any) -> Any:
    from iocp_emu.overlapped.device import Transferred

    return Transferred(0, poll._answer(1, poll._events & ~PollEvents.LOCAL_CLOSE & ~PollEvents.ABORT))


def poll_never_ends() -> None:
    """A poll that had to wait is not looked at again."""
    SocketDevice._look_at_polls = lambda self: None  # type: ignore[method-assign]


# Which clients' tests must notice a defect: CPython's of asyncio, Twisted's, trio's.  asyncio never looks at keys and
# posts nothing, and takes a reset for an end.
DEFECTS: dict[str, tuple[Callable[[], None], str]] = {
    each.__name__: (each, clients)
    for each, clients in (
        (packet_lost, "asyncio twisted trio"),
        (wrong_key, "twisted trio"),
        (no_overlapped, "asyncio twisted trio"),
        (failure_succeeds, "asyncio twisted trio"),
        (count_short, "asyncio twisted trio"),
        (wrong_failure, "asyncio twisted"),
        (no_packet_at_once, "asyncio twisted trio"),
        (post_lost, "twisted trio"),
        (receives_crossed, "asyncio twisted"),
        (cancel_ignored, "asyncio trio"),
        (reset_is_end, "twisted"),
        (poll_says_all, "trio"),
        (poll_never_ends, "trio"),
    )
}


def apply(name: str) -> None:
    """Have the defect from now on."""
    DEFECTS[name][0]()
