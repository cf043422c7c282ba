"""What a system offers beyond `ThreadSystem` when its threads and its time are virtual.

Theory.  Faces ask the ambient system.  Where real threads need the host (to start one, to burn time, to give up the
processor), a virtual machine does it itself; `sync` asks for that with `isinstance`, and so needs nothing else of the
simulation, which stays unloaded in programs that do not simulate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextvars import Context
from typing import Any

from ..kernel.thread import KernelThread
from .threads import ThreadSystem


class VirtualSystem(ThreadSystem):
    """A machine whose threads run when the machine says so, in its own time."""

    one_call = contextlib.nullcontext()

    def start(self, thread: KernelThread, context: Context, function: Callable[[], Any]) -> None:
        """Let `function()` run in `context` as `thread`, which `create_thread` has made."""
        raise NotImplementedError

    def compute(self, seconds: float) -> None:
        """Keep a virtual processor busy; the thread is runnable throughout (Q-29)."""
        raise NotImplementedError

    def yield_processor(self) -> None:
        """Let those who wait for a processor have this one first; no wait (Q-29)."""
        raise NotImplementedError

    def error_was_seen(self, thread: KernelThread) -> None:
        """Somebody has received the exception that ended `thread`; the run need not report it."""
        raise NotImplementedError
