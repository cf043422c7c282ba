"""Recordings of what ports and threads do, and ways to look at them: text, JSON lines, Chrome's format, a page.

This wing observes: neither the kernel nor a runtime knows of it, and a program that is not recorded pays nothing.  The
names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chrome import chrome_trace as chrome_trace
    from .chrome import write_chrome as write_chrome
    from .html import html_page as html_page
    from .html import write_html as write_html
    from .jsonl import TraceFileError as TraceFileError
    from .jsonl import read_trace as read_trace
    from .jsonl import write_trace as write_trace
    from .model import Activity as Activity
    from .model import Engine as Engine
    from .model import PortStep as PortStep
    from .model import ThreadChange as ThreadChange
    from .model import Trace as Trace
    from .model import TracePacket as TracePacket
    from .reasons import Reason as Reason
    from .recorder import EventKind as EventKind
    from .recording import TracedSimulation as TracedSimulation
    from .recording import TracedThreads as TracedThreads
    from .recording import tracing as tracing
    from .state import Cursor as Cursor
    from .state import TraceState as TraceState
    from .state import states as states
    from .text import Charset as Charset
    from .text import text_timeline as text_timeline

_NAMES = {
    "chrome": ("chrome_trace", "write_chrome"),
    "html": ("html_page", "write_html"),
    "jsonl": ("TraceFileError", "read_trace", "write_trace"),
    "model": ("Activity", "Engine", "PortStep", "ThreadChange", "Trace", "TracePacket"),
    "reasons": ("Reason",),
    "recorder": ("EventKind",),
    "state": ("Cursor", "TraceState", "states"),
    "text": ("Charset", "text_timeline"),
    "recording": ("TracedSimulation", "TracedThreads", "tracing"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
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
    "TraceFileError",
    "TraceState",
    "TracedSimulation",
    "TracedThreads",
    "chrome_trace",
    "html_page",
    "read_trace",
    "states",
    "text_timeline",
    "tracing",
    "write_chrome",
    "write_html",
    "write_trace",
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
