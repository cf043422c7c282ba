r"""cffi as it is on Windows: `FFI.dlopen("kernel32.dll")` finds the emulator, and `FFI.getwinerror` exists.

Theory.  Programs that call Win32 through cffi in ABI mode have a generated module whose first step is to make an `FFI`
of `_cffi_backend`.  As guests they get one that is the host's in all but two methods.  Types, structures and memory are
cffi's own, laid out as this host does it; `ffi_libraries` holds the functions.

Own rule.  A library that is not emulated is not found, and a function that is not is an `AttributeError`, as cffi has
it for others.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from .. import win32
from ..errors import error_message, win32_error
from .ffi_libraries import Kernel32, Ntdll, Ws2
from .guests import ModuleView

LIBRARIES: Final[dict[str, type[Any]]] = {"kernel32": Kernel32, "ntdll": Ntdll, "ws2_32": Ws2}
ERROR_MOD_NOT_FOUND: Final = 126
NO_CODE: Final = -1


class WindowsFFI:
    """The FFI `host`, with Windows' libraries."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self._opened: dict[str, Any] = {}

    def dlopen(self, name: str, flags: int = 0) -> Any:
        """A library by its name, with or without `.dll`.  `OSError` when it is not emulated."""
        short = name.lower().removesuffix(".dll")
        if short not in LIBRARIES:
            raise win32_error(ERROR_MOD_NOT_FOUND, name)
        if short not in self._opened:
            self._opened[short] = LIBRARIES[short](self._host)
        return self._opened[short]

    def getwinerror(self, code: int = NO_CODE) -> tuple[int, str]:
        """(code, text); by default of the calling thread's last error."""
        if code == NO_CODE:
            code = win32.GetLastError()
        return code, error_message(code)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def windows_cffi_backend() -> ModuleType:
    """`_cffi_backend` whose FFI is Windows'.  `ImportError` where there is no cffi."""
    import _cffi_backend  # type: ignore[import-not-found,import-untyped,unused-ignore]

    def ffi(*arguments: Any, **named: Any) -> WindowsFFI:
        return WindowsFFI(_cffi_backend.FFI(*arguments, **named))

    return ModuleView(_cffi_backend, FFI=ffi)


def windows_os_error(*arguments: Any) -> OSError:
    """`OSError(errno, text, file, winerror, other file)` as Windows has it: with `winerror`, of the class for it."""
    if len(arguments) < 4 or not arguments[3]:
        return OSError(*arguments)
    _, text, filename, code, *rest = arguments
    error = win32_error(code, filename, *rest)
    error.strerror = text
    return error


