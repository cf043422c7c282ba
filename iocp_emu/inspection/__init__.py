"""Looking at the live ports of a process, from inside or, if it allows that, from outside.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .doors import NotInspectable as NotInspectable
    from .doors import allow_inspection as allow_inspection
    from .doors import inspect_all as inspect_all
    from .doors import inspect_process as inspect_process
    from .pictures import PortPicture as PortPicture
    from .pictures import ProcessPicture as ProcessPicture
    from .pictures import SystemPicture as SystemPicture
    from .pictures import picture as picture

_HOMES = {
    "NotInspectable": "doors",
    "PortPicture": "pictures",
    "ProcessPicture": "pictures",
    "SystemPicture": "pictures",
    "allow_inspection": "doors",
    "inspect_all": "doors",
    "inspect_process": "doors",
    "picture": "pictures",
}

__all__ = [
    "NotInspectable",
    "PortPicture",
    "ProcessPicture",
    "SystemPicture",
    "allow_inspection",
    "inspect_all",
    "inspect_process",
    "picture",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value
