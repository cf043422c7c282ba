"""The two sides of one direction of a pipe: what the writer has under way, and what the reader has not read yet.

Theory.  A write travels as one `Parcel`, which the sender's `Outbox` and the receiver's `Inbox` both know.  The inbox
holds parcels in the order of writing, each until its last byte is read, and the reads that wait because there is no
parcel.  The outbox counts what stands unread on the other side: a write has ended when everything up to its own last
byte fits the quota, so writes end in their order, and one that is larger than the quota ends when enough of it has been
read (fact k32pipe-quota).  Until then the parcel holds the writer's own buffer; then it keeps a copy of the rest.

    settled          bytes of ended writes that nobody has read
    waiting          parcels whose writes have not ended, oldest first; all stand behind the settled ones
    recalled         parcels whose writes are being cancelled, where the other side must say first what it has read
    in_flight        parcels that are not read to the end: a flush waits until there is none

Rules of this file: I-04, I-11, table 6.6 (partial message, zero bytes); facts k32pipe-quota, k32pipe-zero,
k32pipe-zeroread, k32pipe-moredata, k32pipe-cancelwrite, ntpipe-partial.

Own rules.  Called under the kernel lock.  Each byte is copied at most twice, and once if a read waits for it.  Every
operation is O(1) plus the bytes and parcels that it moves.  There is never a parcel and a waiting read at once.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass

from .. import status
from ..kernel.file import IoRequest
from .device import Transferred
from .engine import finish


class ReadMode(enum.Enum):
    """What one read takes."""

    BYTE = "bytes, as many as there are and fit, across the bounds of messages"
    MESSAGE = "one message, or what fits of it with STATUS_BUFFER_OVERFLOW; then the rest"


class Parcel:
    """One write: its bytes, from `position` on still unread, and the request that has not ended, if there is one.

    Compared and hashed by identity.
    """

    __slots__ = ("data", "position", "request", "size")

    def __init__(self, data: memoryview | bytes, request: IoRequest | None) -> None:
        self.data = data
        self.size = len(data)
        self.position = 0
        self.request = request

    @property
    def unread(self) -> int:
        """Bytes that nobody has read yet."""
        return self.size - self.position

    def copy_to(self, target: memoryview) -> int:
        """Copy what fits of the unread bytes; how many that are."""
        count = min(self.size - self.position, len(target))
        if count:
            target[:count] = self.data[self.position : self.position + count]
        return count

    def end_write(self) -> None:
        """The write has succeeded: the writer gets its buffer back, and hears of it."""
        if self.position == self.size:
            self.data = b""
        elif isinstance(self.data, memoryview):
            self.data = bytes(self.data[self.position :])
        else:
            self.data = self.data[self.position :]
        size, self.size, self.position = self.size, len(self.data), 0
        self._finish(Transferred(status.STATUS_SUCCESS, size))

    def fail_write(self, code: int) -> None:
        """The write has failed with the NTSTATUS `code`; the unread bytes are gone."""
        self.data = b""
        self.size = self.position = 0
        self._finish(Transferred(code))

    def _finish(self, outcome: Transferred) -> None:
        request, self.request = self.request, None
        if request is not None:
            finish(request, outcome)


@dataclass(slots=True)
class Part:
    """What one read has taken of a parcel, in bytes, and whether that was the rest."""

    parcel: Parcel
    count: int
    is_rest: bool


@dataclass(slots=True)
class Peeked:
    """What stands unread: bytes copied, bytes in all, parcels, and the bytes of the first parcel."""

    count: int
    available: int
    parcels: int
    first: int


class Inbox:
    """What one end can read, and which reads wait for something to read."""

    __slots__ = ("parcels", "readers", "unread")

    def __init__(self) -> None:
        self.parcels: OrderedDict[Parcel, None] = OrderedDict()
        self.readers: OrderedDict[IoRequest, memoryview] = OrderedDict()
        self.unread = 0

    def add(self, parcel: Parcel) -> None:
        """Take a parcel in."""
        self.parcels[parcel] = None
        self.unread += parcel.unread

    def withdraw(self, parcel: Parcel) -> None:
        """Forget what is unread of a parcel."""
        if parcel in self.parcels:
            del self.parcels[parcel]
            self.unread -= parcel.unread

    def clear(self) -> None:
        """Forget everything unread."""
        self.parcels.clear()
        self.unread = 0

    def take(self, target: memoryview, mode: ReadMode, parts: list[Part]) -> Transferred | None:
        """Read into `target` and add to `parts` what was taken; None when there is nothing, not even an empty message.

        A read of no bytes takes no bytes, but it takes an empty message.
        """
        if not self.parcels:
            return None
        code = status.STATUS_SUCCESS
        filled = 0
        while self.parcels:
            parcel = next(iter(self.parcels))
            count = parcel.copy_to(target[filled:])
            parcel.position += count
            filled += count
            is_rest = not parcel.unread
            parts.append(Part(parcel, count, is_rest))
            if is_rest:
                del self.parcels[parcel]
            elif mode is ReadMode.MESSAGE:
                code = status.STATUS_BUFFER_OVERFLOW
            if mode is ReadMode.MESSAGE or not is_rest:
                break
        self.unread -= filled
        return Transferred(code, filled)

    def peek(self, target: memoryview, mode: ReadMode) -> Peeked:
        """Copy what a read would bring, and leave it.  O(parcels looked at)."""
        filled = 0
        for parcel in self.parcels:
            filled += parcel.copy_to(target[filled:])
            if mode is ReadMode.MESSAGE or filled == len(target):
                break
        first = next(iter(self.parcels)).unread if self.parcels else 0
        return Peeked(filled, self.unread, len(self.parcels), first)

    def demand(self, mode: ReadMode) -> int:
        """Bytes that waiting reads would take of a write that comes now.  O(waiting reads)."""
        if mode is ReadMode.MESSAGE:
            return len(next(iter(self.readers.values()), b""))
        return sum(map(len, self.readers.values()))

    def fail_readers(self, code: int) -> None:
        """End every waiting read with the NTSTATUS `code`."""
        while self.readers:
            request, _ = self.readers.popitem(last=False)
            finish(request, Transferred(code))


class Outbox:
    """What one end has written and the other has not read; `quota` in bytes."""

    __slots__ = ("flushes", "in_flight", "quota", "recalled", "settled", "waiting")

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self.settled = 0
        self.in_flight = 0
        self.waiting: OrderedDict[Parcel, None] = OrderedDict()
        self.recalled: dict[Parcel, None] = {}
        self.flushes: OrderedDict[IoRequest, None] = OrderedDict()

    @property
    def room(self) -> int:
        """Bytes that a write may have to end at once, with no read waiting for them."""
        return 0 if self.waiting else max(0, self.quota - self.settled)

    def add(self, parcel: Parcel) -> None:
        """A parcel is on its way; one without bytes waits for nothing (fact k32pipe-quota)."""
        self.in_flight += 1
        if parcel.size:
            self.waiting[parcel] = None

    def consumed(self, parts: list[Part]) -> None:
        """These parts have been read just now."""
        for part in parts:
            if part.parcel not in self.waiting:
                self.settled -= part.count
            self.in_flight -= part.is_rest
        self.settle()

    def recall(self, parcel: Parcel) -> None:
        """A waiting parcel is on its way back: its write ends with `withdraw`, not because it fits the quota."""
        del self.waiting[parcel]
        self.recalled[parcel] = None
        self.settle()

    def withdraw(self, parcel: Parcel, code: int) -> None:
        """A parcel is back: its write fails with the NTSTATUS `code`, or has succeeded if all of it was read before."""
        if parcel in self.recalled:
            del self.recalled[parcel]
        else:
            del self.waiting[parcel]
        self.in_flight -= 1
        if parcel.unread:
            parcel.fail_write(code)
        else:
            parcel.end_write()
        self.settle()

    def settle(self) -> None:
        """End the writes that fit the quota now, and the flushes when nothing is under way."""
        while self.waiting:
            parcel = next(iter(self.waiting))
            if self.settled + parcel.unread > self.quota:
                break
            del self.waiting[parcel]
            self.settled += parcel.unread
            parcel.end_write()
        if not self.in_flight:
            self._end_flushes(status.STATUS_SUCCESS)

    def fail(self, code: int) -> None:
        """The other side is gone: writes and flushes end with the NTSTATUS `code`, recalled writes as cancelled."""
        self.settled = self.in_flight = 0
        while self.recalled:
            self.recalled.popitem()[0].fail_write(status.STATUS_CANCELLED)
        while self.waiting:
            self.waiting.popitem(last=False)[0].fail_write(code)
        self._end_flushes(code)

    def _end_flushes(self, code: int) -> None:
        while self.flushes:
            finish(self.flushes.popitem(last=False)[0], Transferred(code))
