"""Carriers: what a virtual thread runs on, so that a plain function can stop in the middle and go on later.

Theory.  A *strand* runs one function.  The simulation's own code, the hub, lets a strand run with `enter`, which
returns when the strand calls `leave` or has ended; exactly one of all is running at any moment.  Two carriers do this:
greenlets where they are installed, else OS threads that pass a baton.  They differ in speed only.

A greenlet can also `pass_to` another one that has been entered before, which saves the way through the hub; the other
one still comes back to the hub when it leaves or ends.

Own rules.  The function given to a strand never raises.  `enter` is called by the hub, `leave` and `pass_to` by the
strand itself.  A strand that was never entered has used nothing.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from _thread import allocate_lock
from collections.abc import Callable
from contextvars import Context
from importlib import import_module
from typing import Any, Protocol

GREENLET_IS_MISSING = "greenlet is not installed: pip install 'iocp-emu[fast]', or choose Carrier.THREAD"


class Carrier(enum.Enum):
    """What virtual threads run on."""

    AUTO = "auto"
    GREENLET = "greenlet"
    THREAD = "thread"


class Strand(Protocol):
    """One function that can be left and entered again."""

    def enter(self) -> None:
        """Hub: let it run until it leaves or ends.  An exception of the hub's own, such as Ctrl-C, may come out."""

    def leave(self) -> None:
        """Strand: let the hub run until it enters again."""


StrandFactory = Callable[[Context, Callable[[], None], Callable[[], None], str], Strand]
"""`factory(context, run, interrupt, name)`: `run` is run in `context`; `interrupt` is called by the hub when an
exception has come to it while the strand runs, so that the strand shall leave soon."""


def choose_carrier(carrier: str | Carrier) -> tuple[Carrier, StrandFactory]:
    """The carrier that is meant, and how its strands are made.

    `ValueError` for an unknown name, `RuntimeError` for greenlets that are not installed.
    """
    try:
        chosen = Carrier(carrier)
    except ValueError:
        names = ", ".join(each.value for each in Carrier)
        raise ValueError(f"carrier must be one of {names}, not {carrier!r}") from None
    if chosen is Carrier.THREAD:
        return chosen, ThreadStrand
    try:
        import_module("greenlet")
    except ImportError:
        if chosen is Carrier.GREENLET:
            raise RuntimeError(GREENLET_IS_MISSING) from None
        return Carrier.THREAD, ThreadStrand
    return Carrier.GREENLET, GreenletStrand


class GreenletStrand:
    """A strand on a greenlet: less than a microsecond a switch, and no OS thread."""

    __slots__ = ("_hub", "_switch", "greenlet")

    def __init__(self, context: Context, run: Callable[[], None], interrupt: Callable[[], None], name: str) -> None:
        self.greenlet: Any = import_module("greenlet").greenlet(run)
        self.greenlet.gr_context = context
        self._switch: Callable[[], object] = self.greenlet.switch
        self._hub: Any = None

    def enter(self) -> None:
        """Switch to it; its end comes back here too."""
        self._hub = self.greenlet.parent = import_module("greenlet").getcurrent()
        self._switch()

    def leave(self) -> None:
        """Switch back."""
        self._hub.switch()

    def pass_to(self, other: GreenletStrand) -> None:
        """Switch to the other one, which has been entered before, and whose end comes to the hub."""
        hub = self._hub
        if other._hub is not hub:
            other._hub = other.greenlet.parent = hub
        other._switch()


class ThreadStrand:
    """A strand on an OS thread of its own; two raw locks are the two ends of the baton.

    An exception can come to the hub just after it has taken the baton, so the lock alone does not tell who has it:
    `_is_inside` does, and a token too many only costs one more look.
    """

    __slots__ = (
        "_back",
        "_context",
        "_go",
        "_has_ended",
        "_interrupt",
        "_is_inside",
        "_name",
        "_run",
        "_thread",
    )

    def __init__(self, context: Context, run: Callable[[], None], interrupt: Callable[[], None], name: str) -> None:
        self._context = context
        self._run = run
        self._interrupt = interrupt
        self._name = name
        self._thread: threading.Thread | None = None
        self._has_ended = False
        self._is_inside = False
        self._go = allocate_lock()
        self._back = allocate_lock()
        self._go.acquire()
        self._back.acquire()

    def enter(self) -> None:
        """Pass the baton and wait for it; the first time, with a new OS thread."""
        self._is_inside = True
        thread = self._thread
        if thread is None:
            thread = self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
            thread.start()
        else:
            self._go.release()
        try:
            self._wait_for_baton()
        except BaseException:
            self._interrupt()
            self._wait_for_baton()
            raise
        finally:
            if self._has_ended:
                thread.join()

    def leave(self) -> None:
        """Give the baton back and wait for it."""
        self._give_back()
        self._go.acquire()

    def _wait_for_baton(self) -> None:
        while self._is_inside:
            self._back.acquire()

    def _give_back(self) -> None:
        self._is_inside = False
        with contextlib.suppress(RuntimeError):  # the hub has not taken the last token
            self._back.release()

    def _main(self) -> None:
        try:
            self._context.run(self._run)
        finally:
            self._has_ended = True
            self._give_back()
