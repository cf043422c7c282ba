"""TransmitFile: a head, bytes of a disk file, and a tail, as one operation of a socket.

Theory.  The operation stands in the socket's outgoing queue and hands its pieces to the send queue one after the other.
File data that the host has in memory is copied within a turn; what would have to wait for the disk is read by an I/O
thread, and until it has come the operation wants nothing of the socket.

Rules of this file: I-05, I-41, H-03 (the file object lives until the operation has ended).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import status
from ..kernel.file import FileObject, IoRequest
from .device import Transferred
from .engine import ENGINE
from .files import DiskFile
from .host_sockets import status_of
from .socket_requests import Disconnect, Outcome, Reuse, Turn

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

BYTES_PER_READ = 1 << 16


class AfterTransmission(enum.Enum):
    """What follows when everything is sent."""

    NOTHING = "the connection stays as it is"
    DISCONNECT = "the peer is told that nothing more comes"
    REUSE = "so it is, and the socket is unconnected then"


class Transmit(Disconnect):
    """Head, file and tail.  `file` None: only those two.

    `offset` in bytes, None: where the file object stands, which then advances.  `limit`: bytes of the file at most, 0
    for the rest of it.  `bytes_per_read` 0: the usual.
    """

    __slots__ = (
        "_after",
        "_bytes_per_read",
        "_disk",
        "_ends",
        "_error",
        "_file",
        "_is_reading",
        "_left",
        "_moves_position",
        "_offset",
        "_pieces",
        "_sent",
    )

    def __init__(
        self,
        file: FileObject | None,
        offset: int | None,
        limit: int,
        ends: Sequence[memoryview],
        after: AfterTransmission,
        bytes_per_read: int = 0,
    ) -> None:
        super().__init__(Reuse.YES if after is AfterTransmission.REUSE else Reuse.NO)
        self._file = file
        self._disk: DiskFile | None = None
        self._moves_position = offset is None
        self._offset = offset or 0
        self._left = limit or None
        self._ends = list(ends)
        self._after = after
        self._bytes_per_read = bytes_per_read or BYTES_PER_READ
        self._pieces: list[memoryview] = []
        self._sent = 0
        self._is_reading = False
        self._error = 0
        if file is not None:
            assert isinstance(file.device, DiskFile)
            self._disk = file.device
            if offset is None:
                self._offset = file.device.position

    @property
    def wanted(self) -> int:
        """Nothing while an I/O thread reads."""
        return 0 if self._is_reading else super().wanted

    def refusal(self, request: IoRequest) -> int:
        """A connection is needed that has not been shut down.  From here on the file object is kept alive."""
        code = status.STATUS_PIPE_DISCONNECTED if self.device.has_shut_sending else super().refusal(request)
        if code:
            self._file = None
        elif self._file is not None:
            self._file.reference()
        return code

    def take_turn(self, request: IoRequest) -> Outcome:
        """Send piece after piece, as far as socket and disk go."""
        while not self._is_reading:
            if self._error:
                return Transferred(self._error)
            if self._pieces:
                size = sum(map(len, self._pieces))
                is_taken = self.device.send(self._pieces, 0)
                self._sent += size if is_taken else size - sum(map(len, self._pieces))
                if not is_taken:
                    return Turn.WAITS
                self._pieces.clear()
            elif not self._next_piece(request):
                return self._finish(request)
        return Turn.WAITS

    def _next_piece(self, request: IoRequest) -> bool:
        """Head, file, tail; False when there is no more."""
        if len(self._ends) == 2:
            self._pieces.append(self._ends.pop(0))
        elif self._disk is not None:
            self._read(self._disk, request)
        elif self._ends:
            self._pieces.append(self._ends.pop())
        else:
            return False
        return True

    def _read(self, disk: DiskFile, request: IoRequest) -> None:
        size = self._bytes_per_read if self._left is None else min(self._left, self._bytes_per_read)
        target = memoryview(bytearray(size))
        count = disk.descriptor.read_cached(target, self._offset)
        if count is not None:
            self._take(target[:count])
            return
        system = self.device.system()
        assert system is not None
        self._is_reading = True
        ENGINE.submit(_DiskRead(system, self, request, disk, target, self._offset))

    def _take(self, data: memoryview) -> None:
        """What the disk has given; nothing more comes of it after fewer bytes than were asked for, or enough."""
        self._offset += len(data)
        if self._left is not None:
            self._left -= len(data)
        if data:
            self._pieces.append(data)
        if not data or self._left == 0:
            if self._moves_position and self._disk is not None:
                self._disk.position = self._offset
            self._disk = None

    def arrive(self, request: IoRequest, data: memoryview, error: int) -> None:
        """Under the kernel lock: the I/O thread has read."""
        self._is_reading = False
        self._error = error
        if request.operation is self:
            self._take(data)
            self.device.go_on(self.queue)

    def _finish(self, request: IoRequest) -> Outcome:
        if self._after is not AfterTransmission.NOTHING:
            outcome = super().take_turn(request)
            if isinstance(outcome, Turn):
                return outcome
        return Transferred(status.STATUS_SUCCESS, self._sent)

    def let_go(self, request: IoRequest) -> None:
        """Of the buffers and the file."""
        self._pieces.clear()
        self._ends.clear()
        self._disk = None
        file, self._file = self._file, None
        if file is not None:
            file.dereference()


class _DiskRead:
    """The work of an I/O thread for one piece of a file."""

    def __init__(
        self,
        system: ThreadSystem,
        operation: Transmit,
        request: IoRequest,
        disk: DiskFile,
        target: memoryview,
        offset: int,
    ) -> None:
        self._system = system
        self._operation = operation
        self._request = request
        self._disk = disk
        self._target = target
        self._offset = offset

    def run(self) -> None:
        """Read; it may wait."""
        count = error = 0
        try:
            count = self._disk.descriptor.read(self._target, self._offset)
        except OSError as failure:
            error = status_of(failure)
        self._system.perform(self._operation.arrive, self._request, self._target[:count], error)

    def refuse(self) -> None:
        """No I/O thread can be had."""
        nothing = memoryview(b"")
        self._system.perform(
            self._operation.arrive, self._request, nothing, status.STATUS_INSUFFICIENT_RESOURCES
        )
