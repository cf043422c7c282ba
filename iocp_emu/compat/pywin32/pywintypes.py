"""`pywintypes`: the types that the other modules share, and the exceptions."""

from __future__ import annotations

from .errors import com_error, error
from .handles import HANDLE
from .handles import PyHANDLE as HANDLEType
from .overlapped import OVERLAPPED
from .overlapped import PyOVERLAPPED as OVERLAPPEDType
from .security import SECURITY_ATTRIBUTES, SECURITY_DESCRIPTOR
from .security import PySECURITY_ATTRIBUTES as SECURITY_ATTRIBUTESType
from .security import PySECURITY_DESCRIPTOR as SECURITY_DESCRIPTORType

TRUE = 1
FALSE = 0

__all__ = [
    "error",
    "com_error",
    "HANDLE",
    "HANDLEType",
    "OVERLAPPED",
    "OVERLAPPEDType",
    "SECURITY_ATTRIBUTES",
    "SECURITY_ATTRIBUTESType",
    "SECURITY_DESCRIPTOR",
    "SECURITY_DESCRIPTORType",
    "TRUE",
    "FALSE",
]
