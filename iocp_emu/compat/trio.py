"""Trio on the emulated port: its Windows backend, unmodified.

Theory.  Trio chooses its backend when it is imported, by `sys.platform`, and talks to Windows through cffi.  Installed
before that, all of trio's modules are guests that see a Windows `sys`, `os`, `signal`, `socket` and `subprocess`, and a
cffi that finds the emulator's libraries; so their loops wait in GetQueuedCompletionStatusEx, and their sockets are
polled through the driver AFD.  Sockets and files are those of the host.

    from iocp_emu.compat import trio as windows_trio
    windows_trio.install()
    import trio

Own rules.  Trio's paths stay those of the host.  A trio that was imported before is set aside until `uninstall`.
"""

from __future__ import annotations

import builtins
import importlib.util
import socket
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from typing_extensions import Self

from .. import status
from ..errors import win32_error
from . import msvcrt_module, views, winapi_module
from .ffi_module import windows_cffi_backend, windows_os_error
from .guests import ABSENT, Guests, ModuleView, View, guest
from .hooks import hook_sockets, unhook_sockets
from .processes import windows_subprocess

__all__ = ["Installed", "install", "provide", "view"]

RAISES_OS_ERRORS: Final = "trio._core._windows_cffi"
"""The module that makes exceptions out of Win32 codes."""
HAS_PATHS: Final = "trio._path"


def fromshare(info: bytes, /) -> socket.socket:
    """On Windows, the socket that another process has shared; here none can.  `OSError` 10022."""
    raise win32_error(status.WSAEINVAL)


def socketpair(
    family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new connection, of the Internet, as Windows has no others.  `ValueError` for anything else."""
    if family not in (socket.AF_INET, socket.AF_INET6) or type != socket.SOCK_STREAM or proto:
        raise ValueError("only stream sockets of AF_INET and AF_INET6 come in pairs")
    with socket.socket(family, type) as listener:
        listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        listener.listen()
        one = socket.socket(family, type)
        one.connect(listener.getsockname())
        while True:
            other, peer = listener.accept()
            if peer == one.getsockname():
                return one, other
            other.close()


def windows_socket() -> ModuleType:
    """`socket` as trio finds it on Windows."""
    names = dict.fromkeys(views.MISSING_IN_SOCKET, ABSENT)
    return ModuleView(socket, **names, fromshare=fromshare, socketpair=socketpair)


def _modules() -> dict[str, ModuleType]:
    """What the guests import."""
    return {
        "_cffi_backend": windows_cffi_backend(),
        "_winapi": winapi_module,
        "errno": views.windows_errno(),
        "msvcrt": msvcrt_module,
        "os": views.windows_os(),
        "signal": views.windows_signal(),
        "socket": windows_socket(),
        "subprocess": windows_subprocess(),
        "sys": views.windows_sys(),
    }


class Installed:
    """Trio's Windows backend, as long as it is wanted; a context manager.

    `modules` maps what Windows code imports to the modules that it should get.
    """

    def __init__(self, modules: Mapping[str, ModuleType], guests: Guests) -> None:
        self.modules = modules
        self._guests: Guests | None = guests
        hook_sockets()

    def uninstall(self) -> None:
        """Not wanted any more; calling again does nothing.  The trio that was imported meanwhile is forgotten."""
        guests, self._guests = self._guests, None
        if guests is not None:
            unhook_sockets()
            guests.uninstall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


def install() -> Installed:
    """Let `import trio` bring trio as it is on Windows, until `uninstall` or to the end of a `with` block.

    `ImportError` where there is no trio, or no cffi.
    """
    for name in ("trio", "cffi"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"{name} is not installed: `pip install trio cffi` brings what trio's Windows backend needs", name=name
            )
    modules = _modules()
    cffi_modules = {**modules, "builtins": ModuleView(builtins, OSError=windows_os_error)}
    patterns: dict[str, View] = {HAS_PATHS: {}, RAISES_OS_ERRORS: cffi_modules, "trio": modules, "trio.*": modules}
    return Installed(modules, guest(patterns))


_lock = threading.Lock()
_provided: Installed | None = None


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
