"""`PyHANDLE`: a handle that closes itself.

Theory.  Every call that makes a handle returns one of these; every call that takes a handle takes one of these or its
number.  The object is the handle: when its last reference goes, the handle is closed, and whatever hangs on it ends
(requests, waits of a port), exactly then.

Own rules.  Two objects with the same number are equal, and equal to the number, but the hash is that of the object.
`close` of an object that is closed or detached does nothing.  Closing a handle that was closed behind the object's
back is error 6; a finalizer says nothing about it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from typing_extensions import Self

from ... import current_system, win32
from ...kernel.objects import NtError
from ..whole_calls import make_whole
from .arguments import handle_of, signed_pointer
from .errors import api_error, require


class PyHANDLE:
    """One handle.  `handle` is its number, 0 once closed or detached.

    >>> from iocp_emu.compat.pywin32 import win32event
    >>> with win32event.CreateEvent(None, True, True, None) as event:
    ...     bool(event), event == int(event), win32event.WaitForSingleObject(event, 0)
    (True, True, 0)
    >>> event
    <PyHANDLE:0>
    """

    __slots__ = ("_system", "_value")

    def __init__(self, value: Any = None) -> None:
        self._value = handle_of(value)
        self._system = current_system()

    @property
    def handle(self) -> int:
        """The number."""
        return signed_pointer(self._value)

    def Close(self) -> None:
        """Close the handle.  Never blocks.  Raises `error` 6 when it is no longer open."""
        value, self._value = self._value, 0
        if value:
            require("CloseHandle", win32.CloseHandle(value))

    close = Close

    def Detach(self) -> int:
        """Give the handle up without closing it; its number, or 0 when there was none."""
        value, self._value = self._value, 0
        return signed_pointer(value)

    def __int__(self) -> int:
        return self.handle

    def __bool__(self) -> bool:
        return self._value != 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (PyHANDLE, int)):
            return self._value == handle_of(other)
        return NotImplemented

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}:{self.handle}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.Close()

    def __del__(self) -> None:
        value = getattr(self, "_value", 0)
        if value:
            self._value = 0
            handles = self._system.process.handles

            def close() -> None:
                with contextlib.suppress(NtError):
                    handles.close(value)

            # A finalizer may run while this thread holds the kernel lock: it must not wait for it.
            self._system.defer(close)


def new_handle(name: str, value: int) -> PyHANDLE:
    """The handle that the call `name` has made, or the exception for the last error."""
    if value in (0, win32.INVALID_HANDLE_VALUE):
        raise api_error(name)
    return PyHANDLE(value)


def HANDLE(value: Any = None, /) -> PyHANDLE:
    """A PyHANDLE for a number, which it will close."""
    return PyHANDLE(value)


def CloseHandle(handle: Any, /) -> None:
    """Close a PyHANDLE or a number.  Never blocks.  Raises `error` 6 when it is not open; nothing happens for 0."""
    if isinstance(handle, PyHANDLE):
        handle.Close()
    elif value := handle_of(handle):
        require("CloseHandle", win32.CloseHandle(value))


make_whole(globals())
