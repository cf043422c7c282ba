"""Naming what cannot be simulated: real time, real threads, real waiting and chance without a seed.

Theory.  While a simulation is in use, some functions of the standard library are replaced.  A replacement asks who
calls: a virtual thread gets `SimulationMisuse` with the name of the call and what to use instead; everybody else gets
the original.  The last simulation that goes takes the replacements away.

What is seen: the functions below under their own names (`time.sleep`, not a name bound by `from time import sleep`
before), any wait on a condition of `threading` (so also on its events, semaphores, barriers, on `queue.Queue` and on
futures), and contention of locks that were made while the simulation was in use.  What is not seen: waiting inside C
code, such as sockets and `SimpleQueue`, and contention of older locks.

Own rules.  Reading a clock is let pass when the caller is the standard library itself or a test tool: logging a line is
no misuse.  Installing and removing nest, in any order, and from any OS thread.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol


class Watched(Protocol):
    """What this file needs to know of a simulation."""

    def is_virtual(self, ident: int) -> bool:
        """Whether the OS thread with this ident runs one of its virtual threads at this moment."""
        ...

    def is_hub(self, ident: int) -> bool:
        """Whether that OS thread has called `run` and is not in a virtual thread at this moment."""
        ...

    def misuse(self, message: str) -> Exception:
        """Note that the run has failed; the exception to raise."""
        ...

    def is_ambient(self) -> bool:
        """Whether it is the system in use for the caller."""
        ...


TOOLS = frozenset({"_pytest", "coverage", "hypothesis", "pluggy", "pydevd", "pytest"})
"""Top-level names of test tools that look at clocks in the middle of everything."""

_USE_SLEEP = "iocp_emu.sleep(seconds) waits in virtual time"
_USE_CLOCK = "Simulation.now tells virtual time"
_USE_SPAWN = "iocp_emu.spawn starts a virtual thread, and its join waits for it"
_USE_EVENT = "iocp_emu.Event and iocp_emu.wait wait in virtual time"
_USE_SEED = "draw from a random.Random(seed) of your own"

_watched: dict[Watched, int] = {}
_originals: list[tuple[Any, str, Any]] = []
_changing = threading.Lock()
_real_lock = threading.Lock
_real_rlock = threading.RLock


def caller_simulation() -> Watched | None:
    """The simulation whose virtual thread calls, or None.  The innermost decides: simulations nest."""
    ident = threading.get_ident()
    for simulation in reversed(tuple(_watched)):
        if simulation.is_virtual(ident):
            return simulation
        if simulation.is_hub(ident):
            return None
    return None


def install(simulation: Watched) -> None:
    """Watch the virtual threads of `simulation`; each call wants a `remove`."""
    with _changing:
        if not _watched:
            _replace_all()
        _watched[simulation] = _watched.get(simulation, 0) + 1


def remove(simulation: Watched) -> None:
    """Undo one `install`; with the last one every original is back."""
    with _changing:
        _watched[simulation] -= 1
        if not _watched[simulation]:
            del _watched[simulation]
        if not _watched:
            while _originals:
                owner, name, original = _originals.pop()
                setattr(owner, name, original)


class GuardedLock:
    """A real lock that a virtual thread never waits for: contention is a misuse, since it would stop everybody."""

    def __init__(self, lock: Any, name: str) -> None:
        self._lock = lock
        self._name = name

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the real one, but for the wait of a virtual thread."""
        simulation = caller_simulation()
        if simulation is None:
            return bool(self._lock.acquire(blocking, timeout))
        if self._lock.acquire(False):
            return True
        if not blocking:
            return False
        raise simulation.misuse(
            f"{self._name}.acquire would wait: another thread holds the lock while it waits or makes a step. "
            "Use iocp_emu.Event(ResetMode.AUTO) as a lock, or hold the lock over no call of iocp_emu"
        )

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    def __repr__(self) -> str:
        return f"<guarded {self._lock!r}>"


def _replace_all() -> None:
    _forbid(time, "sleep", "time.sleep", _USE_SLEEP)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        _forbid(time, name, f"time.{name}", _USE_CLOCK, for_libraries=False)
    for name in random.__all__:
        if getattr(getattr(random, name), "__self__", None) is not None and "state" not in name and name != "seed":
            _forbid(random, name, f"random.{name}", _USE_SEED)
    _forbid(os, "urandom", "os.urandom", _USE_SEED)
    _forbid(threading.Thread, "start", "threading.Thread.start", _USE_SPAWN)
    _forbid(threading.Thread, "join", "threading.Thread.join", _USE_SPAWN)
    _forbid(threading.Condition, "wait", "waiting on a threading.Condition, or on what is made of one", _USE_EVENT)
    _guard_locks("Lock", _real_lock)
    _guard_locks("RLock", _real_rlock)


def _forbid(owner: Any, name: str, call: str, instead: str, *, for_libraries: bool = True) -> None:
    original = getattr(owner, name)

    def replacement(*args: Any, **kwargs: Any) -> Any:
        simulation = caller_simulation()
        module = sys._getframe(1).f_globals.get("__name__", "")  # pyright: ignore[reportPrivateUsage]
        if simulation is None or _is_excused(module, for_libraries):
            return original(*args, **kwargs)
        raise simulation.misuse(f"{call} is called in a simulation: {instead}")

    replacement.__name__ = name
    replacement.__doc__ = original.__doc__
    _set(owner, name, replacement)


def _is_excused(module: str, for_libraries: bool) -> bool:
    root = module.partition(".")[0]
    return root in TOOLS or (not for_libraries and root in sys.stdlib_module_names)


def _guard_locks(name: str, real: Callable[[], Any]) -> None:
    def make() -> Any:
        lock = real()
        simulation = caller_simulation() is not None or any(each.is_ambient() for each in tuple(_watched))
        return GuardedLock(lock, f"threading.{name}") if simulation else lock

    _set(threading, name, make)


def _set(owner: Any, name: str, value: Any) -> None:
    _originals.append((owner, name, getattr(owner, name)))
    setattr(owner, name, value)
