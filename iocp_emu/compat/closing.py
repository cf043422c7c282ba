"""Calls that finalizers make: of our own objects, and of guests' objects.

Theory.  Python runs finalizers in the middle of anything, also on a thread that is inside a kernel verb and so holds
the kernel lock; to wait for the lock there would be to wait for ever.  Our own finalizers never wait (`defer`).  Those
of guests, such as asyncio's transports, pipes and futures, call what they would call on Windows; so the calls that may
come from there look whether their thread is inside a verb, and are then left to whoever gives the lock back.

Own rule.  Nothing here blocks or raises.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..kernel.objects import NtError
from ..runtime.ambient import current_system
from ..runtime.threads import ThreadSystem


def is_inside_verb() -> bool:
    """Whether the calling thread is in the middle of a kernel verb, as only a finalizer can be.  O(1)."""
    return current_system().is_inside_verb


def soon(system: ThreadSystem, verb: Callable[[], object]) -> None:
    """Run `verb` under the kernel lock, now or when the lock is given back; a refusal is nobody's business."""

    def action() -> None:
        with contextlib.suppress(NtError):
            verb()

    system.defer(action)


def close_soon(system: ThreadSystem, handle: int) -> None:
    """Close `handle` of an object that only we know, now or soon; one that is not open is left alone."""
    soon(system, lambda: system.process.handles.close(handle))
