"""What the host is like: its processors, its clocks, its interpreter's lock.

Own rule.  Asked when it is needed: a process may be moved to other processors at any time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable


def time_with_sleep() -> float:
    """Seconds on a clock that goes on while the machine sleeps, where the host has one (G-07)."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def available_processors() -> int:
    """The logical processors that this process may use (Q-03)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gil_is_enabled() -> bool:
    """Whether byte code runs under a global lock; what the fast path relies on."""
    probe: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return probe is None or probe()
