"""`PyOVERLAPPED`: the OVERLAPPED structure as a Python object that completion ports give back.

Theory.  What the kernel writes into is a status block inside the object; a packet carries the block, and leads back
to the very object, with whatever the program has put into `object`.  As in pywin32, the block does not keep the object
alive: the program must.  One that died while its operation was under way is noticed when its packet comes, and
`GetQueuedCompletionStatus` raises `RuntimeError`.  Only posting holds a reference, one for each packet, until the
packet is taken.

Own rules.  Objects are equal when all their fields are, and `object` is the same; the hash is that of the object.  An
object that goes down as garbage takes nothing with it that an operation still needs.
"""

from __future__ import annotations

import weakref
from typing import Any

from typing_extensions import Never

from ... import win32
from ..whole_calls import make_whole
from .arguments import dword, handle_of, pointer, signed_pointer
from .handles import PyHANDLE


class Block(win32.OVERLAPPED):
    """The structure itself: what the kernel knows, and what a packet carries."""

    __slots__ = ("_owner", "_posted")

    def __init__(self, owner: PyOVERLAPPED) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)
        self._posted: list[PyOVERLAPPED] = []

    def hold(self) -> None:
        """Keep the object alive for one more packet that is about to be posted."""
        owner = self._owner()
        assert owner is not None
        self._posted.append(owner)

    def let_go(self) -> PyOVERLAPPED:
        """The object, for a packet that was taken or not posted after all; `RuntimeError` when it is dead."""
        try:
            return self._posted.pop()
        except IndexError:
            owner = self._owner()
        if owner is None:
            raise RuntimeError("This overlapped object has lost all its references so was destroyed")
        return owner

    @property
    def is_posted(self) -> bool:
        """Whether a packet that was posted holds the object."""
        return bool(self._posted)


class PyOVERLAPPED:
    """Made by `OVERLAPPED()`.  `Offset` and `OffsetHigh` are the halves of the position, `dword` and `object` are the
    program's own, `Internal` and `InternalHigh` the NTSTATUS and the byte count, `hEvent` a handle or 0.

    >>> overlapped = OVERLAPPED()
    >>> overlapped.object = ["anything"]
    >>> overlapped.Offset, overlapped.hEvent, overlapped == OVERLAPPED()
    (0, 0, False)
    """

    __slots__ = ("__weakref__", "_dword", "_event", "_object", "block")
    __hash__ = object.__hash__

    def __init__(self) -> None:
        self.block = Block(self)
        self._dword = 0
        self._object: Any = None
        self._event: PyHANDLE | None = None

    def __init_subclass__(cls) -> Never:
        raise TypeError("type 'PyOVERLAPPED' is not an acceptable base type")

    @property
    def Offset(self) -> int:
        """Low half of the position, in bytes; 32 bits."""
        return self.block.Offset

    @Offset.setter
    def Offset(self, value: Any) -> None:
        self.block.Offset = dword(value)

    @property
    def OffsetHigh(self) -> int:
        """High half of the position; 32 bits."""
        return self.block.OffsetHigh

    @OffsetHigh.setter
    def OffsetHigh(self, value: Any) -> None:
        self.block.OffsetHigh = dword(value)

    @property
    def dword(self) -> int:
        """A number that the program may use; 32 bits."""
        return self._dword

    @dword.setter
    def dword(self, value: Any) -> None:
        self._dword = dword(value)

    @property
    def object(self) -> Any:
        """Anything: it comes back with the packet."""
        return self._object

    @object.setter
    def object(self, value: Any) -> None:
        self._object = value

    @property
    def hEvent(self) -> PyHANDLE | int:
        """What is signalled at the end: the PyHANDLE or the number that was set; its low bit suppresses the packet."""
        return signed_pointer(self.block.hEvent or 0) if self._event is None else self._event

    @hEvent.setter
    def hEvent(self, value: Any) -> None:
        self.block.hEvent = handle_of(value)
        self._event = value if isinstance(value, PyHANDLE) else None

    @property
    def Internal(self) -> int:
        """The NTSTATUS, 259 while the operation is under way."""
        return signed_pointer(self.block.Internal)

    @Internal.setter
    def Internal(self, value: Any) -> None:
        self.block.Internal = pointer(value)

    @property
    def InternalHigh(self) -> int:
        """The bytes moved."""
        return signed_pointer(self.block.InternalHigh)

    @InternalHigh.setter
    def InternalHigh(self, value: Any) -> None:
        self.block.InternalHigh = pointer(value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError("can't delete OVERLAPPED attributes")

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, PyOVERLAPPED):
            return NotImplemented
        return self._contents() == other._contents()

    def _contents(self) -> tuple[int, ...]:
        block = self.block
        words = block.Internal, block.InternalHigh, block.Offset, block.OffsetHigh, block.hEvent or 0
        return (*words, self._dword, id(self._object), block.is_posted)


def OVERLAPPED() -> PyOVERLAPPED:
    """A new OVERLAPPED, all zeros."""
    return PyOVERLAPPED()


def block_of(value: Any) -> Block | None:
    """The structure in a PyOVERLAPPED, or NULL for None."""
    if value is None:
        return None
    if not isinstance(value, PyOVERLAPPED):
        raise TypeError("The object is not a PyOVERLAPPED object")
    return value.block


make_whole(globals())
