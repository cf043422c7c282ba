"""pywin32's modules on the emulator: `import win32file`, `win32event`, `pywintypes` ... for Windows programs.

Theory.  pywin32 is a thin layer of names and conventions over Win32; so is this, over the emulator's flat face.  The
conventions are kept to the letter: handles close themselves, an association gives back the very port, packets bring
back the very OVERLAPPED, failures are `pywintypes.error` with the API's name.  What a program may not know from pywin32
is little, and said where it is: handles are context managers, job messages reach a port.

    arguments, errors, handles, overlapped, security, constants      what all calls share
    ports, files, positions, directories, pipes, sockets, network_events, events, naming, threads, processes,
    commandline, system                                              the calls
    pywintypes, winerror, win32con, ntsecuritycon, win32file, win32event, win32pipe, win32api, win32process,
    win32job                                                         what a program imports

Own rules.  Modules have the public names of pywin32 that concern completion ports and what comes with them, and no
others: anything else is an AttributeError, as in any module.  Nothing is put into `sys.modules` unless it is asked for,
since other libraries tell Windows by these names.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from typing_extensions import Self

from ..guests import Guests, guest
from ..hooks import hook_sockets, unhook_sockets

__all__ = ["NAMES", "Installed", "install", "install_everywhere", "provide"]

NAMES: Final = (
    "ntsecuritycon",
    "pywintypes",
    "win32api",
    "win32con",
    "win32event",
    "win32file",
    "win32job",
    "win32pipe",
    "win32process",
    "winerror",
)
"""What there is to import."""


def _modules() -> dict[str, ModuleType]:
    return {name: importlib.import_module(f"{__name__}.{name}") for name in NAMES}


class Installed:
    """pywin32's modules, as long as they are wanted; a context manager.

    `modules` maps the names in import statements to the modules.  Meanwhile closing a socket ends what is under way on
    it, and the socket options SO_UPDATE_ACCEPT_CONTEXT and SO_UPDATE_CONNECT_CONTEXT exist.
    """

    def __init__(self, guests: Guests | None, replaced: Mapping[str, ModuleType | None]) -> None:
        self.modules = _modules()
        self._guests = guests
        self._replaced = dict(replaced)
        self._is_installed = True
        hook_sockets()

    def uninstall(self) -> None:
        """Leave the process as it was before; calling again does nothing."""
        if not self._is_installed:
            return
        self._is_installed = False
        unhook_sockets()
        if self._guests is not None:
            self._guests.uninstall()
        for name, module in self._replaced.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


def install(*patterns: str) -> Installed:
    """Let every module whose name matches one of `patterns` (as `fnmatch` has them) find pywin32 by its imports.

    Only modules that are imported from now on, and only they: the rest of the program sees no Windows.  Without
    patterns nobody does; `run_guest(path, installed.modules)` runs a script.  O(modules imported so far).

    >>> with install("some_windows_package*") as installed:
    ...     sorted(installed.modules)[:3]
    ['ntsecuritycon', 'pywintypes', 'win32api']
    """
    modules = _modules()
    return Installed(guest(dict.fromkeys(patterns, modules)) if patterns else None, {})


def install_everywhere() -> Installed:
    """Put the modules into `sys.modules`: everybody finds them.

    Libraries that tell Windows by these names will be misled; `install` spares them.
    """
    modules = _modules()
    replaced = {name: sys.modules.get(name) for name in NAMES}
    sys.modules.update(modules)
    return Installed(None, replaced)


_lock = threading.Lock()
_provided: Installed | None = None


def provide() -> dict[str, ModuleType]:
    """`install`, for the rest of the process; what Windows code should get for each name that it imports.

    Calling again gives the same modules.

    >>> provide()["win32file"].INVALID_HANDLE_VALUE
    -1
    """
    global _provided
    with _lock:
        if _provided is None:
            _provided = install()
        return dict(_provided.modules)
