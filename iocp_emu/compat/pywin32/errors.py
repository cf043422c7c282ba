"""The exceptions of pywin32, and how a failed call becomes one.

Theory.  A call that fails raises `pywintypes.error` with three arguments: the last error, the name of the API, and the
system's text for the error.  It is an `Exception`, no `OSError`; that is how programs tell the two apart.
"""

from __future__ import annotations

from typing import Any

from ... import win32
from ...errors import error_message
from ...status import ERROR_ABANDONED_WAIT_0, error_name

NO_MESSAGE = "No error message is available"


class error(Exception):
    """What every call of these modules raises: `winerror`, `funcname`, `strerror`, None as far as not given.

    >>> error(6, "CloseHandle", "The handle is invalid.").funcname
    'CloseHandle'
    """

    __module__ = "pywintypes"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.winerror, self.funcname, self.strerror = (*args, None, None, None)[:3]


class com_error(Exception):
    """What COM calls raise; nothing here does, but programs name it in `except` clauses."""

    __module__ = "pywintypes"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.hresult, self.strerror, self.excepinfo, self.argerror = (*args, None, None, None, None)[:4]


def text_of(code: int) -> str | None:
    """The system's text for a Win32 or Winsock code, a sentence with its full stop; None for a stranger."""
    if code == 0:
        return "The operation completed successfully."
    if error_name(code).isdigit():
        return None
    text = error_message(code)
    return text if code == ERROR_ABANDONED_WAIT_0 else text + "."


def api_error(name: str, code: int | None = None) -> error:
    """The exception for the call `name`, for the caller to raise; `code` None: the last error."""
    code = win32.GetLastError() if code is None else code
    return error(code, name, text_of(code) or NO_MESSAGE)


def require(name: str, succeeded: object) -> None:
    """Raise the exception for the last error unless the call `name` has succeeded."""
    if not succeeded:
        raise api_error(name)


def code_of(succeeded: object) -> int:
    """0 for a call that has succeeded, else the last error."""
    return 0 if succeeded else win32.GetLastError()
