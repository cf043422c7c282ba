"""One read or write of a disk file: done within its call, or the work of an I/O thread.

Theory.  A transfer knows its bytes, its place in the file and how to move them.  It can be asked to copy, which does
it now or says that this would have to wait, and to move, which waits.  Whoever does it, every failure becomes a
status, so that each accepted request ends, exactly once (I-05).

Rules of this file: I-05, I-26, I-41, table 6.6 (end of file, zero bytes).

Own rule.  A transfer lets go of its buffer before its request ends: who hears of the end may resize the buffer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import status
from ..kernel.file import FileObject, IoRequest
from .descriptors import Descriptor
from .device import Transferred
from .engine import finish
from .locks import ByteRange, RangeLocks
from .opening import status_of

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

LARGEST_COPIED_WRITE = 1 << 20
"""Bytes; what is larger goes to an I/O thread."""

AT_END = -1
"""Offset of a write that goes to the end of the file."""

_NOTHING = memoryview(b"")


class Transfer:
    """One read or write: the work of an I/O thread, unless it can be done within the call.

    `offset` may be `AT_END` for a write; afterwards it is where the data went.  `request` is set when it is issued.
    """

    __slots__ = ("data", "descriptor", "offset", "request", "system")
    request: IoRequest

    def __init__(self, system: ThreadSystem, descriptor: Descriptor, data: memoryview, offset: int) -> None:
        self.system = system
        self.descriptor = descriptor
        self.data = data
        self.offset = offset

    def copy(self) -> int | None:
        """Move everything now; None when that would have to wait."""
        raise NotImplementedError

    def move(self) -> int:
        """Move everything, waiting as long as it takes; the bytes moved."""
        raise NotImplementedError

    def is_forbidden(self, locks: RangeLocks, owner: FileObject, bytes: ByteRange) -> bool:
        """Whether a byte-range lock is in the way."""
        raise NotImplementedError

    def attempt(self, how: Callable[[], int | None]) -> Transferred | None:
        """Call `copy` or `move`; every failure becomes a status."""
        wanted = len(self.data)
        if wanted == 0:
            return Transferred(status.STATUS_SUCCESS)
        try:
            count = how()
        except OSError as error:
            return Transferred(status_of(error))
        except MemoryError:
            return Transferred(status.STATUS_NO_MEMORY)
        except (BufferError, TypeError, ValueError):
            # A view that was released, is read-only or has holes.
            return Transferred(status.STATUS_INVALID_USER_BUFFER)
        if count is None:
            return None
        return Transferred(status.STATUS_SUCCESS if count else status.STATUS_END_OF_FILE, count)

    def attempt_to_move(self) -> Transferred:
        """`attempt` with `move`, which always has an outcome."""
        outcome = self.attempt(self.move)
        assert outcome is not None
        return outcome

    def run(self) -> None:
        """On an I/O thread: a cancel that came too early to withdraw this still ends it (I-41)."""
        cancelled = self.request.is_cancelling
        outcome = Transferred(status.STATUS_CANCELLED) if cancelled else self.attempt_to_move()
        self.system.perform(self.end, outcome)

    def refuse(self) -> None:
        """No I/O thread can be had."""
        self.system.perform(self.end, Transferred(status.STATUS_INSUFFICIENT_RESOURCES))

    def end(self, outcome: Transferred) -> None:
        """Under the kernel lock: let go of the buffer, then end the request."""
        self.data = _NOTHING
        finish(self.request, outcome)

    def end_in_call(self, outcome: Transferred) -> int:
        """Under the kernel lock: `end` before the call returns; what it reports (I-26)."""
        self.end(outcome)
        return self.request.return_to_caller()


class Read(Transfer):
    """Bytes from the file into `data`."""

    __slots__ = ()

    def copy(self) -> int | None:
        """What the host has in memory, or cannot tell."""
        return self.descriptor.read_cached(self.data, self.offset)

    def move(self) -> int:
        """Up to the end of the file."""
        return self.descriptor.read(self.data, self.offset)

    def is_forbidden(self, locks: RangeLocks, owner: FileObject, bytes: ByteRange) -> bool:
        """Exclusive locks of others forbid reading."""
        return locks.forbid_read(owner, bytes)


class Write(Transfer):
    """All of `data` into the file; `appending` is held while something is written at its end."""

    __slots__ = ("appending",)

    def __init__(
        self, system: ThreadSystem, descriptor: Descriptor, data: memoryview, offset: int, appending: threading.Lock
    ) -> None:
        super().__init__(system, descriptor, data, offset)
        self.appending = appending

    def copy(self) -> int | None:
        """Up to `LARGEST_COPIED_WRITE` bytes."""
        return self.move() if len(self.data) <= LARGEST_COPIED_WRITE else None

    def move(self) -> int:
        """All of it, or an error."""
        if self.offset == AT_END:
            with self.appending:
                self.offset = self.descriptor.append(self.data) - len(self.data)
        else:
            self.descriptor.write(self.data, self.offset)
        return len(self.data)

    def is_forbidden(self, locks: RangeLocks, owner: FileObject, bytes: ByteRange) -> bool:
        """Shared locks, and exclusive ones of others, forbid writing."""
        return locks.forbid_write(owner, bytes)
