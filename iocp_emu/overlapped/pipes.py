"""The ends of a pipe: what each may do in which state, and how an end and its other end work together.

Theory.  A pipe instance is a server end and, while it is connected, a client end.  Each end is the device of one file
object and owns what it can read (`Inbox`) and what it has under way (`Outbox`).  What an operation answers where it
cannot be done stands in the tables of `pipe_states`; nothing else decides it.

An end knows its other end through `FarEnd` alone: parcels are delivered and withdrawn, what was read of them is told
back, and the end of it all is told once.  So the far side may be anything that keeps this interface, such as a link to
another process or a descriptor of the host; it copies what it must keep before a parcel is withdrawn or has been read.

Rules of this file: I-02 to I-06, I-10, I-41, I-43, I-44, table 6.6 (pipes); facts ntpipe-*, k32pipe-*, ntfile-pipe-*.
I-27 as far as the status block goes: the data is in the reader's buffer when the writer's call returns, as fact
ntfile-pipe-01 and clients.md 8.1 have it.

Own rules.  Everything happens under the kernel lock, within the call that causes it: a write ends the other end's
reads, a read the other end's writes, reads always first.  Several threads may use one synchronous end at once; Windows
would let them wait for each other.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from .. import status
from ..kernel.file import FileObject, IoMode, IoRequest, StatusBlock
from ..kernel.objects import NtError
from .device import Ask, IoDevice, Transferred
from .engine import finish, issue
from .pipe_queues import Inbox, Outbox, Parcel, Part, Peeked, ReadMode
from .pipe_states import (
    DISCONNECT_REFUSALS,
    LISTEN_REFUSALS,
    PEEK_REFUSALS,
    READ_REFUSALS,
    WRITE_REFUSALS,
    BufferSizes,
    Connected,
    EndKind,
    PipeState,
    PipeType,
    WaitMode,
)

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem
    from .pipe_names import Pipe

__all__ = ["BufferSizes", "Connected", "EndKind", "FarEnd", "PipeEnd", "PipeState", "PipeType", "WaitMode"]

FSCTL_PIPE_DISCONNECT = 0x110004
FSCTL_PIPE_LISTEN = 0x110008
FSCTL_PIPE_PEEK = 0x11400C
FSCTL_PIPE_TRANSCEIVE = 0x11C017

PEEK_HEADER = struct.Struct("<IIII")
"""FILE_PIPE_PEEK_BUFFER: the state, bytes and messages that can be read, the length of the first message."""


class FarEnd(Protocol):
    """What an end needs of its other end, and offers to it.  Called under the kernel lock; must not block."""

    def deliver(self, parcel: Parcel) -> None:
        """The parcel can be read from now on.

        Whoever reads of it moves its `position`, and reports that with `consumed`, within this call or later.
        """

    def withdraw(self, parcel: Parcel) -> bool:
        """Take back what is unread of a parcel that waits; whether that is done, and no more of it is reported.

        If not, `PipeEnd.withdrawn` is called when it is, with `position` where the reader left it.
        """
        ...

    def consumed(self, parts: list[Part]) -> None:
        """These parts of what was delivered have been read, in this order."""

    def peer_closed(self) -> None:
        """The other side is closed: what was delivered can still be read, nothing more comes or goes."""

    def peer_disconnected(self) -> None:
        """The pipe is disconnected: what was not read is lost."""

    def demand(self) -> int:
        """Bytes that would be read at once if they were delivered now; 0 if that is not known."""
        ...


class PipeEnd(IoDevice):
    """One end of a pipe instance, the device of one file object.

    `process_id` is that of who opened it, `far_process_id` that of who opened the other end, the last one there was.
    """

    def __init__(self, pipe: Pipe, kind: EndKind, sizes: BufferSizes, process_id: int) -> None:
        self.pipe = pipe
        self.kind = kind
        self.sizes = sizes
        self.process_id = process_id
        self.far_process_id: int | None = None
        self.state = PipeState.DISCONNECTED
        self.read_mode = ReadMode.BYTE
        self.wait_mode = WaitMode.WAIT
        self.far: FarEnd | None = None
        self.inbox = Inbox()
        self.outbox = Outbox(sizes.outbound if kind is EndKind.SERVER else sizes.inbound)
        self.listeners: OrderedDict[IoRequest, None] = OrderedDict()

    # -- reading and writing -----------------------------------------------------------------------------------

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to read up to `len(target)` bytes, or one message; the NTSTATUS of the call.  O(bytes and parcels).

        SUCCESS or BUFFER_OVERFLOW when something was there, else PENDING; what READ_REFUSALS says where nothing will
        come, PIPE_EMPTY in mode NOWAIT.  A pending read holds `target` until it ends.
        """

        def begin(request: IoRequest) -> None:
            parts: list[Part] = []
            taken = self.inbox.take(target, self.read_mode, parts)
            if taken is not None:
                # What this read ends over there has ended before the read itself has.
                self._report(parts)
                finish(request, taken)
            elif self.state is not PipeState.CONNECTED:
                finish(request, Transferred(READ_REFUSALS[self.state]))
            elif self.wait_mode is WaitMode.NOWAIT:
                finish(request, Transferred(status.STATUS_PIPE_EMPTY))
            else:
                self._pend_read(request, target)

        return issue(system, file, ask, None, begin)

    def write(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to write all of `data`; the NTSTATUS of the call.  O(bytes) plus the reads that it ends.

        SUCCESS when it fits the quota, or was read at once, else PENDING until it does; then `data` must not change
        before.  What WRITE_REFUSALS says where nobody can read.  In mode NOWAIT what does not fit is left out: of a
        message all of it, with SUCCESS and the count of bytes.
        """

        def begin(request: IoRequest) -> None:
            if self.state is not PipeState.CONNECTED:
                finish(request, Transferred(WRITE_REFUSALS[self.state]))
                return
            sent = data
            if self.wait_mode is WaitMode.NOWAIT and data:
                sent = data[: self._what_fits(len(data))]
            if not sent and (data or self.pipe.type is PipeType.BYTE):
                finish(request, Transferred(status.STATUS_SUCCESS))
                return
            parcel = Parcel(sent, request)
            request.operation = parcel
            self._send(parcel)
            if parcel.request is not None:
                request.pend()

        return issue(system, file, ask, None, begin)

    def transact(
        self, system: ThreadSystem, file: FileObject, data: memoryview, target: memoryview, ask: Ask
    ) -> int:
        """Write `data` as one message and read one into `target`; the NTSTATUS of the call (fact k32pipe-transact).

        PENDING until the answer is there; PIPE_BUSY when something is unread already, at once or after PENDING as the
        profile has it; INVALID_PIPE_STATE unless this end is connected and reads messages, but PIPE_DISCONNECTED for a
        client that was thrown out.
        """

        def begin(request: IoRequest) -> None:
            if self.state is PipeState.DISCONNECTED and self.kind is EndKind.CLIENT:
                finish(request, Transferred(status.STATUS_PIPE_DISCONNECTED))
            elif self.state is not PipeState.CONNECTED or self.read_mode is not ReadMode.MESSAGE:
                finish(request, Transferred(status.STATUS_INVALID_PIPE_STATE))
            elif self.inbox.parcels:
                if file.profile.busy_transaction_pends:
                    request.pend()
                finish(request, Transferred(status.STATUS_PIPE_BUSY))
            else:
                self._pend_read(request, target)
                # The request is the answer's; nobody waits for the question, and its buffer is free at once.
                self._send(Parcel(bytes(data), None))

        return issue(system, file, ask, None, begin)

    def peek(self, target: memoryview) -> Peeked:
        """Under the kernel lock: copy what can be read, and leave it; refusals as `NtError`, PEEK_REFUSALS.

        Of messages the first one, also where this end reads bytes.
        """
        if not self.inbox.parcels:
            refused_with = PEEK_REFUSALS.get((self.state, self.kind))
            if refused_with is not None:
                raise NtError(refused_with)
        has_messages = self.pipe.type is PipeType.MESSAGE
        return self.inbox.peek(target, ReadMode.MESSAGE if has_messages else ReadMode.BYTE)

    def flush(self, system: ThreadSystem, file: FileObject) -> int:
        """Wait until the other end has read everything; the NTSTATUS.  Blocks, visibly (Q-23).

        PIPE_BROKEN or PIPE_DISCONNECTED when that cannot happen any more.
        """

        def begin(request: IoRequest) -> None:
            if self.state is PipeState.DISCONNECTED and self.kind is EndKind.CLIENT:
                finish(request, Transferred(status.STATUS_PIPE_DISCONNECTED))
            elif not self.outbox.in_flight:
                finish(request, Transferred(status.STATUS_SUCCESS))
            else:
                request.pend()
                self.outbox.flushes[request] = None

        return issue(system, file, Ask(StatusBlock()), None, begin, io_mode=IoMode.SYNCHRONOUS)

    def read_now(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None) -> Transferred:
        """Read and wait for it.  Blocks, visibly; a close, a disconnect or a cancel ends that."""
        block = StatusBlock()
        return Transferred(self.read(system, file, target, offset, Ask(block)), block.information)

    def write_now(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None) -> Transferred:
        """Write and wait for it, as `read_now`."""
        block = StatusBlock()
        return Transferred(self.write(system, file, data, offset, Ask(block)), block.information)

    # -- connecting --------------------------------------------------------------------------------------------

    def listen(
        self, system: ThreadSystem, file: FileObject, ask: Ask, connected: Connected = Connected.REFUSE
    ) -> int:
        """Wait for a client; the NTSTATUS of the call (ConnectNamedPipe).  O(1).

        PENDING; what LISTEN_REFUSALS says; ILLEGAL_FUNCTION on a client end.  In mode NOWAIT a disconnected end only
        becomes free for clients, SUCCESS, and one that is free is PIPE_LISTENING.
        """

        def begin(request: IoRequest) -> None:
            was_listening = self.state is PipeState.LISTENING
            if self.kind is EndKind.CLIENT:
                finish(request, Transferred(status.STATUS_ILLEGAL_FUNCTION))
            elif self.state is PipeState.CONNECTED and connected is Connected.SUCCEED:
                finish(request, Transferred(status.STATUS_SUCCESS))
            elif self.state in LISTEN_REFUSALS:
                finish(request, Transferred(LISTEN_REFUSALS[self.state]))
            elif self.wait_mode is WaitMode.WAIT:
                request.pend()
                self.listeners[request] = None
                self.start_listening()
            else:
                self.start_listening()
                code = status.STATUS_PIPE_LISTENING if was_listening else status.STATUS_SUCCESS
                finish(request, Transferred(code))

        return issue(system, file, ask, None, begin)

    def start_listening(self) -> None:
        """Under the kernel lock: become free for a client."""
        if self.state is not PipeState.LISTENING:
            self.state = PipeState.LISTENING
            self.pipe.offer(self)

    def connect(self, far: FarEnd, process_id: int) -> None:
        """Under the kernel lock: `far` is the other end from now on; the listens end.  O(listens)."""
        self.far = far
        self.far_process_id = process_id
        self.state = PipeState.CONNECTED
        self._end_listens(status.STATUS_SUCCESS)

    def disconnect(self, system: ThreadSystem, file: FileObject, ask: Ask) -> int:
        """Throw the client out, with all that is unread; the NTSTATUS of the call (DisconnectNamedPipe).

        SUCCESS; what DISCONNECT_REFUSALS says; ILLEGAL_FUNCTION on a client end.  Outstanding requests of both ends end
        with PIPE_DISCONNECTED (fact k32pipe-closewrite).
        """

        def begin(request: IoRequest) -> None:
            if self.kind is EndKind.CLIENT:
                finish(request, Transferred(status.STATUS_ILLEGAL_FUNCTION))
            elif self.state in DISCONNECT_REFUSALS:
                finish(request, Transferred(DISCONNECT_REFUSALS[self.state]))
            else:
                far = self._part(PipeState.DISCONNECTED)
                self.inbox.fail_readers(status.STATUS_PIPE_DISCONNECTED)
                self.inbox.clear()
                if far is not None:
                    far.peer_disconnected()
                self.outbox.fail(status.STATUS_PIPE_DISCONNECTED)
                finish(request, Transferred(status.STATUS_SUCCESS))

        return issue(system, file, ask, None, begin)

    def set_modes(self, read_mode: ReadMode, wait_mode: WaitMode) -> None:
        """Under the kernel lock: how this end reads, and whether it waits.

        STATUS_INVALID_PARAMETER for messages where there are none; STATUS_PIPE_DISCONNECTED for a client thrown out.
        """
        if read_mode is ReadMode.MESSAGE and self.pipe.type is PipeType.BYTE:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        if self.state is PipeState.DISCONNECTED and self.kind is EndKind.CLIENT:
            raise NtError(status.STATUS_PIPE_DISCONNECTED)
        self.read_mode = read_mode
        self.wait_mode = wait_mode

    def control(
        self,
        system: ThreadSystem,
        file: FileObject,
        code: int,
        data: memoryview,
        target: memoryview,
        ask: Ask,
    ) -> int:
        """One of the FSCTL_PIPE_ codes above; STATUS_INVALID_DEVICE_REQUEST for any other."""
        if code == FSCTL_PIPE_LISTEN:
            return self.listen(system, file, ask)
        if code == FSCTL_PIPE_DISCONNECT:
            return self.disconnect(system, file, ask)
        if code == FSCTL_PIPE_TRANSCEIVE:
            return self.transact(system, file, data, target, ask)
        if code == FSCTL_PIPE_PEEK:
            return issue(system, file, ask, None, lambda request: finish(request, self._peek_into(target)))
        return status.STATUS_INVALID_DEVICE_REQUEST

    def _peek_into(self, target: memoryview) -> Transferred:
        """The result of FSCTL_PIPE_PEEK; BUFFER_OVERFLOW when the first message does not fit."""
        if len(target) < PEEK_HEADER.size:
            return Transferred(status.STATUS_INVALID_PARAMETER)
        try:
            peeked = self.peek(target[PEEK_HEADER.size :])
        except NtError as refusal:
            return Transferred(refusal.status)
        has_messages = self.pipe.type is PipeType.MESSAGE
        messages = (peeked.parcels, peeked.first) if has_messages else (0, 0)
        PEEK_HEADER.pack_into(target, 0, self.state.value, peeked.available, *messages)
        is_partial = peeked.count < (peeked.first if has_messages else peeked.available)
        code = status.STATUS_BUFFER_OVERFLOW if is_partial else status.STATUS_SUCCESS
        return Transferred(code, PEEK_HEADER.size + peeked.count)

    # -- what the other end tells (FarEnd) ---------------------------------------------------------------------

    def deliver(self, parcel: Parcel) -> None:
        """Take a parcel in; waiting reads end with it, oldest first."""
        self.inbox.add(parcel)
        readers = self.inbox.readers
        if not readers:
            return
        parts: list[Part] = []
        while readers:
            request, target = next(iter(readers.items()))
            taken = self.inbox.take(target, self.read_mode, parts)
            if taken is None:
                break
            del readers[request]
            del target
            finish(request, taken)
        self._report(parts)

    def withdraw(self, parcel: Parcel) -> bool:
        """The unread rest of a parcel vanishes (fact k32pipe-cancelwrite)."""
        self.inbox.withdraw(parcel)
        return True

    def withdrawn(self, parcel: Parcel) -> None:
        """A parcel is back that `withdraw` of the far end did not give back at once: its write ends (I-41)."""
        self.outbox.withdraw(parcel, status.STATUS_CANCELLED)

    def consumed(self, parts: list[Part]) -> None:
        """What this end wrote was read: writes that fit now end."""
        self.outbox.consumed(parts)

    def peer_closed(self) -> None:
        """The other end is closed: requests end as broken; what was delivered stays (I-43, fact k32pipe-closewrite)."""
        self._end(PipeState.CLOSING, status.STATUS_PIPE_BROKEN)

    def peer_disconnected(self) -> None:
        """The pipe is disconnected: requests end, what was delivered is lost."""
        self._end(PipeState.DISCONNECTED, status.STATUS_PIPE_DISCONNECTED)
        self.inbox.clear()

    def demand(self) -> int:
        """Bytes that waiting reads would take."""
        return self.inbox.demand(self.read_mode)

    # -- called by the kernel, under its lock ------------------------------------------------------------------

    def cancel(self, request: IoRequest) -> None:
        """Whatever waits ends; of a write the unread rest vanishes (I-41, fact k32pipe-cancelwrite).

        At once, but for a write to another process: that ends when it is known what was read there.
        """
        parcel = request.operation
        if isinstance(parcel, Parcel):
            if parcel in self.outbox.recalled:
                return
            if self.far is None or self.far.withdraw(parcel):
                self.withdrawn(parcel)
            else:
                self.outbox.recall(parcel)
            return
        self.inbox.readers.pop(request, None)
        self.listeners.pop(request, None)
        self.outbox.flushes.pop(request, None)
        finish(request, Transferred(status.STATUS_CANCELLED))

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: own requests and the other end's end as broken (I-43, fact ntfile-close-pending).

        What this end has written stays readable, but for writes that had not ended.
        """
        far = self._part(PipeState.CLOSED)
        self.inbox.fail_readers(status.STATUS_PIPE_BROKEN)
        self.inbox.clear()
        if far is not None:
            far.peer_closed()
        self.outbox.fail(status.STATUS_PIPE_BROKEN)
        self._end_listens(status.STATUS_PIPE_BROKEN)
        if self.kind is EndKind.SERVER:
            self.pipe.leave(self)

    # -- steps -------------------------------------------------------------------------------------------------

    def _pend_read(self, request: IoRequest, target: memoryview) -> None:
        request.pend()
        self.inbox.readers[request] = target

    def _send(self, parcel: Parcel) -> None:
        """Deliver a parcel; its write ends now if it was read or fits the quota."""
        assert self.far is not None
        self.outbox.add(parcel)
        self.far.deliver(parcel)
        self.outbox.settle()
        if not parcel.size:
            parcel.end_write()

    def _what_fits(self, length: int) -> int:
        """How much of a write ends at once: for a byte pipe what fits, for a message all or nothing."""
        assert self.far is not None
        fits = self.outbox.room + self.far.demand()
        if self.pipe.type is PipeType.MESSAGE:
            return length if length <= fits else 0
        return min(length, fits)

    def _report(self, parts: list[Part]) -> None:
        if self.far is not None:
            self.far.consumed(parts)

    def _part(self, state: PipeState) -> FarEnd | None:
        """Leave the other end, which is returned; what this end has written and is not done with is taken back.

        Whoever ends the pipe then ends its own reads, the requests of the other end, and its own writes: first what
        waits on the way to it, then what waits on the way from it, as Windows and Wine do.
        """
        far, self.far = self.far, None
        self.state = state
        if far is not None:
            for parcel in self.outbox.waiting:
                far.withdraw(parcel)
        return far

    def _end(self, state: PipeState, code: int) -> None:
        """The other end is gone: every request but listens ends with `code`."""
        self._part(state)
        self.outbox.fail(code)
        self.inbox.fail_readers(code)

    def _end_listens(self, code: int) -> None:
        while self.listeners:
            finish(self.listeners.popitem(last=False)[0], Transferred(code))
