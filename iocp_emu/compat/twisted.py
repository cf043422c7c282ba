"""Twisted's IOCP reactor on the emulated port: `twisted.internet.iocpreactor`, unmodified.

Theory.  Twisted has the reactor's files on every host; what they lack elsewhere is `twisted_iocpsupport`, pywin32, and
the names of Winsock's errors.  The reactor's modules become guests that find these.  All else of Twisted stays the
host's, because it shares the host's sockets, files and signals with the program; so for Twisted the names of Winsock's
errors mean the host's numbers.

    from iocp_emu.compat import twisted
    twisted.install()
    from twisted.internet import iocpreactor
    iocpreactor.install()
    from twisted.internet import reactor

`addEvent` waits for events in a thread that runs Twisted's other Windows reactor.  That one hears of its sockets, its
own waker among them, by WSAEventSelect; so its waker is the pair of sockets that Twisted has on Windows, not a pipe.

Own rules.  Installing twice is installing once; the last `uninstall` undoes everything.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from typing_extensions import Self

from . import iocpsupport_module, msvcrt_module, pywin32, redirected
from .guests import Guests, ModuleView, View, guest
from .hooks import hook_sockets, unhook_sockets
from .pywin32 import pywintypes
from .views import WINSOCK_ERRORS

__all__ = ["GUESTS", "Installed", "install", "provide", "view"]

EVENT_REACTOR: Final = "twisted.internet.win32eventreactor"
GUESTS: Final = (
    "twisted.internet.iocpreactor",
    "twisted.internet.iocpreactor.*",
    EVENT_REACTOR,
    "twisted.internet._dumbwin32proc",
    "twisted.internet._pollingfile",
)
"""The modules of Twisted that run as guests."""


def host_numbered_errno() -> ModuleType:
    """`errno` with Winsock's names under the host's numbers: WSAECONNREFUSED is ECONNREFUSED, and called that."""
    numbers = {name: iocpsupport_module.host_code(code) for name, code in WINSOCK_ERRORS.items()}
    names = {number: name for name, number in numbers.items()}
    return ModuleView(errno, errorcode={**errno.errorcode, **names}, **numbers)


def _module(name: str, about: str, **names: Any) -> ModuleType:
    module = ModuleType(name, about)
    vars(module).update(names)
    return module


def _with_waker_of_sockets() -> ModuleType:
    """`twisted.internet` whose `posixbase.PosixReactorBase` is woken as on Windows; imports it when asked."""
    posixbase = _module("twisted.internet.posixbase", "Made for reactors that wait for sockets alone.")

    def of_posixbase(name: str) -> Any:
        host: Any = importlib.import_module("twisted.internet.posixbase")
        found = getattr(host, name)
        if name != "PosixReactorBase":
            return found
        waker = importlib.import_module("twisted.internet._signals")._SocketWaker

        def waker_of_sockets(_: Any) -> Any:
            return waker()

        return type(name, (found,), {"_wakerFactory": waker_of_sockets})

    vars(posixbase)["__getattr__"] = of_posixbase
    return ModuleView(importlib.import_module("twisted.internet"), posixbase=posixbase)


def _modules() -> dict[str, ModuleType]:
    """What the guests import."""
    modules = pywin32.provide()
    modules |= {
        "errno": host_numbered_errno(),
        "msvcrt": msvcrt_module,
        "twisted_iocpsupport": _module("twisted_iocpsupport", "A package.", iocpsupport=iocpsupport_module),
        "twisted_iocpsupport.iocpsupport": iocpsupport_module,
        "win32gui": _module("win32gui", "Nobody sends window messages.", PumpWaitingMessages=lambda: 0),
        "win32process": ModuleView(modules["win32process"], CreateProcess=redirected.CreateProcess),
        "win32security": _module("win32security", "", SECURITY_ATTRIBUTES=pywintypes.SECURITY_ATTRIBUTES),
    }
    return modules


class Installed:
    """Twisted's IOCP reactor, as long as it is wanted; a context manager.

    `modules` maps what Windows code imports to the modules that it should get.
    """

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self.modules = modules
        self._is_installed = True

    def uninstall(self) -> None:
        """Not wanted any more; calling again does nothing."""
        if self._is_installed:
            self._is_installed = False
            _leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


_lock = threading.RLock()
_guests: Guests | None = None
_users = 0
_provided: Installed | None = None


def _enter() -> dict[str, ModuleType]:
    global _guests, _users
    with _lock:
        modules = _modules()
        if _guests is None:
            views: dict[str, View] = dict.fromkeys(GUESTS, modules)
            views[EVENT_REACTOR] = {**modules, "twisted.internet": _with_waker_of_sockets()}
            _guests = guest(views)
            hook_sockets()
        _users += 1
        return modules


def _leave() -> None:
    global _guests, _users
    with _lock:
        _users -= 1
        if not _users and _guests is not None:
            guests, _guests = _guests, None
            unhook_sockets()
            guests.uninstall()


def install() -> Installed:
    """Let `import twisted.internet.iocpreactor` work, until `uninstall` or to the end of a `with` block.

    The program then chooses the reactor as on Windows: by `iocpreactor.install()`, before anything imports
    `twisted.internet.reactor`, or by `--reactor=iocp`.  `ImportError` where there is no Twisted.
    """
    if importlib.util.find_spec("twisted") is None:
        raise ImportError("Twisted is not installed: `pip install twisted` brings its IOCP reactor", name="twisted")
    return Installed(_enter())


def provide() -> dict[str, ModuleType]:
    """`install`, for the rest of the process; what Windows code should get for each name that it imports.

    Calling again gives the same modules.  `ImportError` as for `install`.
    """
    global _provided
    with _lock:
        if _provided is None:
            _provided = install()
        return dict(_provided.modules)


view = provide
"""The same mapping, for other guests."""
