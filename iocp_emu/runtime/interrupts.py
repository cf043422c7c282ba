"""Ctrl-C between verbs, never in one.

Theory.  On Windows a verb is one call into the system: Python code for a signal runs before it or after it.  Here a
verb is Python code itself, and the main thread may leave it at any byte code by the exception of Ctrl-C: a packet is
then taken and never returned, a request cancelled and not ended.  So while the main thread is inside a verb, another
handler stands in for that of SIGINT: it only notes.  When the verb is over, the program's own handler is back, and a
noted signal is sent once more, a moment later, when the caller has what the verb returned.

A wait is the exception, since it may last for ever: a thread that is parked (`PARKED_IN` is its innermost frame) is
at rest, and the program's handler runs at once.  Who asks a second time during one verb is obeyed at once too.

Own rules.  Only signal.SIGINT, only the main thread of the main interpreter, only if the handler can be called.
Outside of verbs nothing is changed, so that `asyncio.Runner` and others find the handler that they look for.  A
finalizer may call a verb between any two steps of this file: who finds our handler in place leaves it to whoever is
about to put it in or back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from _thread import get_ident, interrupt_main, start_new_thread
from collections import deque
from collections.abc import Callable
from time import sleep
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

Handler: TypeAlias = Callable[[int, "FrameType | None"], Any]

# The functions of the public module turn numbers into enumerations and back, which takes ten times as long.
_host: Any = sys.modules.get("_signal", signal)
getsignal: Callable[[int], Any] = _host.getsignal
set_handler: Callable[[int, Handler], Any] = _host.signal

MOMENT_SECONDS: Final = 0.001
"""How long after its end a verb's caller is interrupted: until then it has stored what was returned."""

PARKED_IN: set[CodeType] = set()
"""The code in which a thread is at rest while it waits."""


class _OneCall:
    """`with ONE_CALL:` is one verb.  May be nested; another thread than the main one passes through."""

    __slots__ = ("_before", "_depth", "_stand_in", "main_ident", "noted")

    def __init__(self) -> None:
        self.main_ident = 0
        """The only thread for which this does anything, by `get_ident()`; others can save themselves the calls."""
        self._depth = 0
        self._before: Handler | None = None
        self.noted: deque[int] = deque(maxlen=1)
        """Ctrl-C, if it has come in this verb: before a wait, let `deliver` tell the program."""
        self._stand_in = self._note

    def __enter__(self) -> None:
        if get_ident() != self.main_ident:
            return
        if self._depth == 0 and self._before is None:
            before = getsignal(signal.SIGINT)
            if callable(before) and before is not self._stand_in:
                # Up to here the program's handler runs, from here on ours: nothing is in between.
                with contextlib.suppress(ValueError):  # not the main interpreter
                    set_handler(signal.SIGINT, self._stand_in)
                    self._before = before
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        if get_ident() != self.main_ident:
            return
        self._depth -= 1
        if self._depth:
            return
        before, self._before = self._before, None
        # Unless the program has set another one meanwhile, from a callback.
        if before is not None and getsignal(signal.SIGINT) is self._stand_in:
            try:
                set_handler(signal.SIGINT, before)
            except BaseException:  # of the program's handler, in the moment of its return: ask it again
                self.noted.append(signal.SIGINT)
        if self.noted:
            with contextlib.suppress(IndexError):  # a finalizer's verb has told it
                self.noted.pop()
                _interrupt_in_a_moment()

    def _note(self, number: int, frame: FrameType | None) -> None:
        before = self._before
        if before is not None and (self.noted or (frame is not None and frame.f_code in PARKED_IN)):
            self.noted.clear()
            before(number, frame)
        else:
            self.noted.append(number)

    def deliver(self) -> None:
        """Before a wait, when something was noted: run the handler now.  Any thread may call."""
        if self.noted and get_ident() == self.main_ident:
            self._note(signal.SIGINT, None)


ONE_CALL: Final = _OneCall()


def _interrupt_in_a_moment() -> None:
    def interrupt() -> None:
        sleep(MOMENT_SECONDS)
        interrupt_main(signal.SIGINT)

    try:
        start_new_thread(interrupt, ())
    except RuntimeError:  # no further thread can be had
        interrupt_main(signal.SIGINT)


def _find_main_thread() -> None:
    main = threading.main_thread().ident
    assert main is not None
    ONE_CALL.main_ident = main


_find_main_thread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_find_main_thread)
