"""Which emulated machine a call means: the one in use here, else the one that the whole process shares.

Theory.  Faces do not pass a system around; they ask for the current one.  `use` sets it for the code that it encloses
(a context variable, so also for tasks and for threads started with `spawn`); outside, one real-thread system is made
at first need, or given by `share`, and shared by the process.  After a fork the child makes its own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator
from contextvars import ContextVar, Token

from .threads import ThreadSystem

_in_use: ContextVar[ThreadSystem | None] = ContextVar("iocp_emu_system", default=None)
_shared: ThreadSystem | None = None
_making = threading.Lock()


def current_system() -> ThreadSystem:
    """The system in use, or the process's own.  Never blocks for long; O(1)."""
    system = _in_use.get() or _shared
    return system if system is not None else _make_shared()


def system_in_use() -> ThreadSystem | None:
    """The system that the calling code `use`s, None where it has the process's own.  Makes nothing; never blocks."""
    return _in_use.get()


def _make_shared() -> ThreadSystem:
    global _shared
    with _making:
        if _shared is None:
            _shared = ThreadSystem()
        return _shared


def is_shared(system: ThreadSystem) -> bool:
    """Whether `system` is the process's own, which all code has that does not `use` another one."""
    return system is _shared


def bind(system: ThreadSystem) -> Token[ThreadSystem | None]:
    """Make `system` the current one in this context, until `unbind` is called with the answer."""
    return _in_use.set(system)


def unbind(token: Token[ThreadSystem | None]) -> None:
    """Undo one `bind`, in the context in which it was made."""
    _in_use.reset(token)


@contextlib.contextmanager
def use(system: ThreadSystem) -> Generator[ThreadSystem]:
    """Let `system` be the current one inside the `with` block.

    >>> from iocp_emu.runtime.threads import ThreadSystem
    >>> with use(ThreadSystem(profile="xp")) as system:
    ...     current_system() is system
    True
    """
    token = bind(system)
    try:
        yield system
    finally:
        unbind(token)


@contextlib.contextmanager
def share(system: ThreadSystem) -> Generator[ThreadSystem]:
    """Let `system` be the process's own inside the `with` block: also for threads that somebody else has started.

    For who runs a whole program; a part of one has `use`.

    >>> import threading
    >>> from iocp_emu.runtime.threads import ThreadSystem
    >>> with share(ThreadSystem()) as system:
    ...     thread = threading.Thread(target=lambda: print(current_system() is system))
    ...     thread.start()
    ...     thread.join()
    True
    """
    global _shared
    before, _shared = _shared, system
    try:
        yield system
    finally:
        _shared = before


def _forget_shared() -> None:
    global _shared, _making
    _shared = None
    _making = threading.Lock()
    _in_use.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_shared)
