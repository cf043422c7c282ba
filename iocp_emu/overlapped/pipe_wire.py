"""What two processes say to each other about one pipe: the bytes, both ways, and nothing else.

Theory.  A connection begins with a `Hello` of the process that opens or waits, and an `Answer` of the one that serves.
If that connects the two, frames follow, each a header of 16 bytes and, for data, its payload:

    Data        a part of one unit: on a byte pipe a unit is one frame, on a message pipe one message in its parts
    Consumed    so many bytes of a unit have been read; the last report of a unit says so
    Withdraw    what is unread of a unit is taken back; answered by the last `Consumed` of it
    Disconnect  the server throws the client out; the last frame there is

Units are numbered from 0 as they begin, by each side for what it sends.  The end of the stream is the end of the pipe.

Own rules.  Pure: no sockets, no time.  Whatever else the bytes are is a `WireError`.  What a decoder holds is never
more than one frame.  Numbers are little endian; `VERSION` changes with anything here but magic and version themselves.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"iocpemu\n"
VERSION = 1
LARGEST_PAYLOAD = 1 << 16
"""Bytes of data in one frame."""

_GREETING = struct.Struct("<8sH")
_HELLO = struct.Struct("<8sHBBI")
_ANSWER = struct.Struct("<8sHBBIIIIId")
_HEADER = struct.Struct("<BBHIQ")

HELLO_SIZE = _HELLO.size
ANSWER_SIZE = _ANSWER.size
HEADER_SIZE = _HEADER.size

_LAST = 1


class WireError(ValueError):
    """The other side does not keep to this file."""


class VersionError(WireError):
    """The other side speaks another version."""


class Purpose(enum.IntEnum):
    """What a process wants that knocks."""

    OPEN = 1
    WAIT = 2


@dataclass(frozen=True, slots=True)
class Hello:
    """The first words of who knocks.  `access`: wanted ways, FILE_READ_DATA and FILE_WRITE_DATA; 0: all there are."""

    purpose: Purpose
    access: int
    process_id: int

    def encode(self) -> bytes:
        """HELLO_SIZE bytes."""
        return _HELLO.pack(MAGIC, VERSION, self.purpose, self.access, self.process_id)

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """From HELLO_SIZE bytes; `WireError`."""
        _check_greeting(data)
        _, _, purpose, access, process_id = _HELLO.unpack(data)
        try:
            return cls(Purpose(purpose), access, process_id)
        except ValueError:
            raise WireError(f"nobody asks for {purpose}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """The first words of who serves.

    `status`: an NTSTATUS; for `Purpose.WAIT` PENDING, with a second answer to come, or SUCCESS.  `direction`, `type`
    (1 for messages), `outbound` and `inbound` (quotas in bytes), `maximum_instances` and `default_timeout` (seconds)
    are those of the pipe.
    """

    status: int
    process_id: int
    type: int = 0
    direction: int = 0
    outbound: int = 0
    inbound: int = 0
    maximum_instances: int = 0
    default_timeout: float = 0.0

    def encode(self) -> bytes:
        """ANSWER_SIZE bytes."""
        return _ANSWER.pack(
            MAGIC,
            VERSION,
            self.type,
            self.direction,
            self.status,
            self.process_id,
            self.outbound,
            self.inbound,
            self.maximum_instances,
            self.default_timeout,
        )

    @classmethod
    def decode(cls, data: bytes) -> Answer:
        """From ANSWER_SIZE bytes; `WireError`."""
        _check_greeting(data)
        _, _, kind, direction, code, process_id, outbound, inbound, instances, timeout = _ANSWER.unpack(data)
        if kind > 1 or direction > 3 or not 0 <= timeout <= 1 << 32:
            raise WireError("no pipe is like that")
        return cls(code, process_id, kind, direction, outbound, inbound, instances, timeout)


def _check_greeting(data: bytes) -> None:
    magic, version = _GREETING.unpack_from(data)
    if magic != MAGIC:
        raise WireError("not a pipe of ours")
    if version != VERSION:
        raise VersionError(f"version {version}, not {VERSION}")


# -- frames --------------------------------------------------------------------------------------------------------


class Kind(enum.IntEnum):
    """What a frame is."""

    DATA = 1
    CONSUMED = 2
    WITHDRAW = 3
    DISCONNECT = 4


@dataclass(frozen=True, slots=True)
class Data:
    """A part of unit `number`, up to LARGEST_PAYLOAD bytes; `is_last`: the unit is complete."""

    number: int
    payload: bytes
    is_last: bool

    def encode(self) -> bytes:
        """The frame."""
        return _HEADER.pack(Kind.DATA, self.is_last, 0, len(self.payload), self.number) + self.payload


@dataclass(frozen=True, slots=True)
class Consumed:
    """`count` more bytes of unit `number` have been read; `is_last`: nothing of it is left."""

    number: int
    count: int
    is_last: bool

    def encode(self) -> bytes:
        """The frame."""
        return _HEADER.pack(Kind.CONSUMED, self.is_last, 0, self.count, self.number)


@dataclass(frozen=True, slots=True)
class Withdraw:
    """What is unread of unit `number` shall vanish."""

    number: int

    def encode(self) -> bytes:
        """The frame."""
        return _HEADER.pack(Kind.WITHDRAW, 0, 0, 0, self.number)


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client is thrown out."""

    def encode(self) -> bytes:
        """The frame."""
        return _HEADER.pack(Kind.DISCONNECT, 0, 0, 0, 0)


Frame = Data | Consumed | Withdraw | Disconnect


class Decoder:
    """Makes frames of bytes that come in any pieces; holds no more than one frame."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_in_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete, in order; must be exhausted before the next call.  O(bytes).

        `WireError` at the first that is none; the frames before it have come then.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= HEADER_SIZE:
                kind, flags, reserved, length, number = _HEADER.unpack_from(buffer, start)
                if reserved or flags & ~_LAST:
                    raise WireError("bits that mean nothing")
                end = start + HEADER_SIZE
                if kind == Kind.DATA:
                    if length > LARGEST_PAYLOAD:
                        raise WireError(f"a frame of {length} bytes")
                    end += length
                    if len(buffer) < end:
                        break
                    frame: Frame = Data(number, bytes(buffer[end - length : end]), bool(flags))
                else:
                    frame = _bare_frame(kind, bool(flags), length, number)
                start = end
                yield frame
        finally:
            del buffer[:start]


def _bare_frame(kind: int, is_last: bool, count: int, number: int) -> Frame:
    if kind == Kind.CONSUMED:
        return Consumed(number, count, is_last)
    if is_last or count:
        raise WireError("a number that means nothing")
    if kind == Kind.WITHDRAW:
        return Withdraw(number)
    if kind == Kind.DISCONNECT and not number:
        return Disconnect()
    raise WireError(f"no frame is a {kind}")
