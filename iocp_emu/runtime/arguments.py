"""Checks of what programs pass to the object face: wrong types are `TypeError`, wrong ranges `ValueError`."""

from __future__ import annotations

MAXIMUM_DWORD = 0xFFFFFFFF
INFINITY = float("inf")


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """`value` as an int in `low` to `high`, else `TypeError` or `ValueError` that names the argument and the range."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low} to {high}, not {value}")
    return value


def check_timeout(value: object, name: str = "timeout") -> float | None:
    """A timeout in seconds: None, or a number that is 0 or more."""
    if value is None or (type(value) is float and 0 <= value < INFINITY):
        return value
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds or None, not {type(value).__name__}")
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, or None, not {value}")
    return None if value == INFINITY else float(value)
