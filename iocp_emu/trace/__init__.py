"""Recordings of what ports and threads do, and ways to look at them: text, JSON lines, Chrome's format, a page.

This wing observes: neither the kernel nor a runtime knows of it, and a program that is not recorded pays nothing.  The
names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Activity as Activity
    from .model import Engine as Engine
    from .model import PortStep as PortStep
    from .model import ThreadChange as ThreadChange
    from .model import Trace as Trace
    from .model import TracePacket as TracePacket
    from .reasons import Reason as Reason
    from .recorder import EventKind as EventKind
    from .state import Cursor as Cursor
    from .state import TraceState as TraceState
    from .state import states as states
    from .text import Charset as Charset
    from .text import text_timeline as text_timeline
    from .tracing import TracedSimulation as TracedSimulation
    from .tracing import TracedThreads as TracedThreads
    from .tracing import tracing as tracing

_NAMES = {
    "model": ("Activity", "Engine", "PortStep", "ThreadChange", "Trace", "TracePacket"),
    "reasons": ("Reason",),
    "recorder": ("EventKind",),
    "state": ("Cursor", "TraceState", "states"),
    "text": ("Charset", "text_timeline"),
    "tracing": ("TracedSimulation", "TracedThreads", "tracing"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "Activity",
    "Charset",
    "Cursor",
    "Engine",
    "EventKind",
    "PortStep",
    "Reason",
    "ThreadChange",
    "Trace",
    "TracePacket",
    "TraceState",
    "TracedSimulation",
    "TracedThreads",
    "states",
    "text_timeline",
    "tracing",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use; then it is an ordinary attribute."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: Any = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
