"""`winerror`: the error codes that this project knows, under their Windows names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import ERRORS as _ERRORS

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


NO_ERROR = 0
globals().update(_ERRORS)
