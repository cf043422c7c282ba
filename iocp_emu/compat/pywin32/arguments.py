"""How Python values become arguments of Win32 calls, and how results become Python values.

Theory.  pywin32 is made of C functions whose arguments have C types of a 64-bit Windows: `int` and `long` have 32 bits
and are signed, handles and keys have the size of a pointer and may be given signed or unsigned, and come back signed.
So constants with the highest bit set are negative here, `INFINITE` and `INVALID_HANDLE_VALUE` are -1.

Own rules.  What is no integer is a `TypeError`, what does not fit an `OverflowError`; both before anything happens.
"""

from __future__ import annotations

import operator
from typing import Any

BITS_OF_LONG = 32
BITS_OF_POINTER = 64


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def signed_long(value: int) -> int:
    """The 32 low bits of `value` as a C long.

    >>> signed_long(0xFFFFFFFF), signed_long(258)
    (-1, 258)
    """
    return _signed(value, BITS_OF_LONG)


def signed_pointer(value: int) -> int:
    """The 64 low bits of `value` as pywin32 shows handles, keys and pointers."""
    return _signed(value, BITS_OF_POINTER)


def c_long(value: Any) -> int:
    """An argument of type int or long: 32 bits, signed."""
    number = operator.index(value)
    if number != _signed(number, BITS_OF_LONG):
        raise OverflowError("Python int too large to convert to C long")
    return number


def dword(value: Any) -> int:
    """An argument of type DWORD, unsigned; negative numbers stand for those with the highest bit set."""
    number = operator.index(value)
    if not -(1 << (BITS_OF_LONG - 1)) <= number < 1 << BITS_OF_LONG:
        raise OverflowError("Python int too large to convert to C unsigned long")
    return number & 0xFFFFFFFF


def pointer(value: Any) -> int:
    """An argument of the size of a pointer, unsigned; anything that `int` takes, signed or unsigned."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 1 << BITS_OF_POINTER
    if not -(1 << (BITS_OF_POINTER - 1)) <= number < 1 << BITS_OF_POINTER:
        raise TypeError(f"Unable to convert {type(value).__name__} to pointer-sized value")
    return number & ((1 << BITS_OF_POINTER) - 1)


def handle_of(value: Any) -> int:
    """A handle: a PyHANDLE, an integer, or None for NULL."""
    if value is None:
        return 0
    try:
        return pointer(value)
    except TypeError:
        raise TypeError("The object is not a PyHANDLE object") from None


def socket_of(value: Any) -> int:
    """A socket: something with `fileno`, or its number."""
    number = getattr(value, "fileno", value)
    try:
        return pointer(number() if callable(number) else number)
    except TypeError:
        raise TypeError("Expected a socket object or numeric socket handle") from None


def data_of(value: Any) -> memoryview:
    """The bytes of a buffer that is only read; `TypeError` for what is none, a `str` for instance."""
    return memoryview(value).cast("B")


def target_of(value: Any) -> memoryview:
    """The bytes of a buffer that is written to; `TypeError` for what is none, `BufferError` for a constant one."""
    view = memoryview(value).cast("B")
    if view.readonly:
        raise BufferError("Object is not writable.")
    return view


def new_buffer(size: int) -> memoryview:
    """A buffer of `size` bytes that can be read and written: what AllocateReadBuffer gives."""
    return memoryview(bytearray(size))


def is_number(value: Any) -> bool:
    """Whether an argument that may be a size or a buffer is a size."""
    return hasattr(value, "__index__")


def only_none(value: Any) -> None:
    """An argument for which there is only None."""
    if value is not None:
        raise TypeError("This param must be None")


def name_of(value: Any) -> str | None:
    """The name of an object, or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"Objects of type '{type(value).__name__}' can not be converted to Unicode.")
    return value
