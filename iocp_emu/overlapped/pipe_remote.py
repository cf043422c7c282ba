"""The far end of a pipe whose other end is in another process: what passes between the two, over one stream.

Theory.  Each process has its own end of the pipe, and in the place of the other end a `RemoteEnd`, which is to the
near end what another `PipeEnd` would be.  The two of them exchange the frames of `pipe_wire`.

    to the other side     parcels go out as units: a message as one unit, in a byte pipe each part of a parcel as one.
                          A unit is begun while less than the *window* stands unread over there, and then sent to its
                          end; so the other side holds no more than a window and a unit.  What it reports as read is
                          told to the near end, whose writes end by its own quota, exactly as within a process
    from the other side   bytes and whole messages are delivered to the near end, which reports what it reads

The window is the quota of that way, within bounds, so that whatever has been written and counts as done is soon over
there, and survives the death of its writer.  What the near end has written when it is closed still goes out first.
Of more than a window the reader sees only so much at once: the one thing in which this differs from a pipe within a
process, but for the time that everything takes.

Rules of this file: table 6.6 (pipes) by way of the near end; I-41 to I-44; facts k32pipe-quota, k32pipe-closewrite,
k32pipe-cancelwrite, k32pipe-procexit.

Own rules.  Everything but `wind_up` runs under the kernel lock and never blocks.  What waits to go out is bounded: one
buffer, one report per unit.  A cancelled write of which anything has gone out ends when the other side has said what it
has read of it, however long that takes: no write is reported as cancelled that was read or will be (I-41).
Whatever the other side may not say, and half a frame for a long time, is the end of this pipe, as if that side had been
closed, and of nothing else; a process that is stopped is no nonsense.  After a fork the child forgets the connection.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections import OrderedDict
from time import monotonic, sleep
from typing import TYPE_CHECKING

from .. import status
from ..kernel.objects import Access
from ..runtime.timers import CLOCK
from .pipe_queues import Parcel, Part
from .pipe_registry import give_up_in_child
from .pipe_states import EndKind, PipeType
from .pipe_wire import LARGEST_PAYLOAD, Consumed, Data, Decoder, Disconnect, Frame, WireError, Withdraw
from .reactor import EVENT_READ, EVENT_WRITE, REACTOR

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem
    from .pipes import PipeEnd

LARGEST_MESSAGE = 1 << 26
"""Bytes of one message to another process; a longer one is STATUS_INSUFFICIENT_RESOURCES."""

SMALLEST_WINDOW = 1 << 16
LARGEST_WINDOW = 1 << 26
MAXIMUM_UNITS = 1 << 16
"""Units that may stand unread, since an empty message costs memory as well."""

RECEIVED_AT_ONCE = 1 << 18
SENT_AT_ONCE = 1 << 20
"""Bytes per turn, for the sake of others."""

HALF_FRAME_SECONDS = 30.0
WIND_UP_PAUSE_SECONDS = 0.001


class Unit:
    """What was sent under one number: how much of it nobody has read yet, and of which parcel it is.

    `is_complete`: all of it has been sent.
    """

    __slots__ = ("is_complete", "number", "parcel", "unread")

    def __init__(self, number: int, parcel: Parcel, size: int) -> None:
        self.number = number
        self.parcel = parcel
        self.unread = size
        self.is_complete = False


class Shipment:
    """A parcel on its way: how many of its unread bytes have been sent, and its units that are not read to the end.

    `is_withdrawn`: what is unread of it shall come back; nothing more of it is sent.
    """

    __slots__ = ("is_withdrawn", "sent", "units")

    def __init__(self) -> None:
        self.sent = 0
        self.units: dict[int, Unit] = {}
        self.is_withdrawn = False


class RemoteEnd:
    """The far end of `near` over the stream `descriptor`, which must not block and belongs to the remote end."""

    half_frame_seconds = HALF_FRAME_SECONDS

    def __init__(self, system: ThreadSystem, near: PipeEnd, descriptor: int) -> None:
        self._system = weakref.ref(system)
        self._near: PipeEnd | None = near
        self._descriptor = descriptor
        self._has_messages = near.pipe.type is PipeType.MESSAGE
        self._watched_for = 0
        self._decoder = Decoder()
        self._last_received = 0.0
        self._is_timed = False
        # What goes out.
        self._output = bytearray()
        self._is_mute = False
        self._is_closing = False
        self._last_words = b""
        self._shipments: dict[Parcel, Shipment] = {}
        self._unsent: OrderedDict[Parcel, None] = OrderedDict()
        self._units: dict[int, Unit] = {}
        self._next_number = 0
        self._under_way = 0
        self._window_out = window_of(near.outbox.quota)
        self._withdrawn: list[int] = []
        self._read: OrderedDict[int, Consumed] = OrderedDict()
        # What comes in.
        is_server = near.kind is EndKind.SERVER
        access = near.pipe.server_access if is_server else near.pipe.client_access
        self._may_receive = bool(access & Access.FILE_READ_DATA)
        self._window_in = window_of(near.sizes.inbound if is_server else near.sizes.outbound)
        self._expected: int = 0
        self._partial: bytearray | None = None
        self._numbers: dict[Parcel, int] = {}
        self._parcels: dict[int, Parcel] = {}
        self._held = 0
        self._is_receiving = False
        _open.add(self)
        give_up_in_child(self)

    def begin(self) -> None:
        """Go to work."""
        self._rewatch()

    # -- FarEnd ------------------------------------------------------------------------------------------------

    def deliver(self, parcel: Parcel) -> None:
        """The near end has written."""
        if self._descriptor < 0:
            return
        if self._has_messages and parcel.unread > LARGEST_MESSAGE:
            self._refuse(parcel)
            return
        self._shipments[parcel] = Shipment()
        self._unsent[parcel] = None
        self._pump()

    def withdraw(self, parcel: Parcel) -> bool:
        """The rest of a write is taken back, here at once, and over there when the other side has answered."""
        self._unsent.pop(parcel, None)
        shipment = self._shipments.get(parcel)
        if shipment is None:
            return True
        if not shipment.units:
            del self._shipments[parcel]
            return True
        shipment.is_withdrawn = True
        self._withdrawn.extend(shipment.units)
        self._pump()
        return False

    def consumed(self, parts: list[Part]) -> None:
        """The near end has read."""
        for part in parts:
            number = self._numbers.get(part.parcel)
            if number is None:
                continue
            if part.is_rest:
                del self._numbers[part.parcel]
                del self._parcels[number]
            self._report(number, part.count, part.is_rest)
        if not self._is_receiving:
            self._pump()

    def peer_closed(self) -> None:
        """The near end is closed: close as well, after what was written has gone out."""
        self._let_go()
        self._pump()

    def peer_disconnected(self) -> None:
        """What has not gone out is lost, and the other side is told."""
        self._let_go()
        self._unsent.clear()
        self._withdrawn.clear()
        self._last_words = Disconnect().encode()
        self._pump()

    def demand(self) -> int:
        """Not known."""
        return 0

    # -- the connection ----------------------------------------------------------------------------------------

    def system(self) -> ThreadSystem | None:
        """The machine of the near end."""
        return self._system()

    def on_ready(self, events: int) -> None:
        """The connection may be ready."""
        if events & EVENT_READ and self._descriptor >= 0:
            self._is_receiving = True
            try:
                self._receive()
            finally:
                self._is_receiving = False
        self._pump()

    def begin_to_end(self) -> None:
        """The process ends: as if the near end were closed."""
        near = self._near
        if near is not None and self._descriptor >= 0:
            for parcel in list(near.outbox.waiting):
                self.withdraw(parcel)
            self.peer_closed()

    @property
    def is_open(self) -> bool:
        """Whether there still is a connection."""
        return self._descriptor >= 0

    def close(self) -> None:
        """Give the connection back; the other side finds out.  Closing again does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        self._watched_for = 0
        self._forget_what_goes_out()
        self._shipments.clear()
        REACTOR.unwatch(descriptor, self)
        os.close(descriptor)

    def abandon(self) -> None:
        """In a forked child: the connection is the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # The whole system was forgotten with the pipe open.
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)

    def _break(self) -> None:
        """The other side is gone, or must be: what it has sent can still be read."""
        near, self._near = self._near, None
        self.close()
        if near is not None:
            near.peer_closed()

    def _let_go(self) -> None:
        """The near end needs nothing more."""
        self._near = None
        self._is_closing = True
        self._numbers.clear()
        self._parcels.clear()

    def _rewatch(self) -> None:
        """Have the reactor look for just what would let something go on."""
        if self._descriptor < 0:
            return
        wanted = EVENT_READ | (EVENT_WRITE if self._wants_to_send() else 0)
        if wanted != self._watched_for:
            try:
                REACTOR.watch(self._descriptor, wanted, self)
            except OSError:
                self._break()
            else:
                self._watched_for = wanted

    # -- what goes out -----------------------------------------------------------------------------------------

    def _refuse(self, parcel: Parcel) -> None:
        """A message that is too long; the question of a transaction has nobody to tell but the pipe's end."""
        assert self._near is not None
        if parcel.request is None:
            self._break()
        else:
            self._near.outbox.withdraw(parcel, status.STATUS_INSUFFICIENT_RESOURCES)

    def _report(self, number: int, count: int, is_rest: bool) -> None:
        """Note what was read, together with what was noted before and has not gone out."""
        self._held -= count
        noted = self._read.get(number)
        self._read[number] = Consumed(number, count + (noted.count if noted is not None else 0), is_rest)

    def _wants_to_send(self) -> bool:
        return not self._is_mute and bool(
            self._output or self._read or self._withdrawn or self._last_words or self._has_unit_to_send()
        )

    def _has_unit_to_send(self) -> bool:
        """Whether the first unsent parcel may go on, or begin."""
        if not self._unsent:
            return False
        has_room = self._under_way < self._window_out and len(self._units) < MAXIMUM_UNITS
        return has_room or self._unit_begun() is not None

    def _unit_begun(self) -> Unit | None:
        """The unit that is not complete; it is the last one there is."""
        unit = self._units.get(self._next_number - 1)
        if unit is None or unit.is_complete or self._shipments[unit.parcel].is_withdrawn:
            return None
        return unit

    def _pump(self) -> None:
        """Send what the host takes now."""
        sent = 0
        while self._descriptor >= 0 and not self._is_mute and sent < SENT_AT_ONCE:
            if not self._output:
                self._fill()
                if not self._output:
                    break
            try:
                count = os.write(self._descriptor, self._output)
            except BlockingIOError:
                break
            except OSError:
                # There may still be something to receive, and then the end, which tells all.
                self._is_mute = True
                self._forget_what_goes_out()
                break
            del self._output[:count]
            sent += count
        if self._is_closing and not self._output and not self._unsent and not self._wants_to_send():
            self.close()
        self._rewatch()

    def _forget_what_goes_out(self) -> None:
        self._output.clear()
        self._read.clear()
        self._withdrawn.clear()
        self._unsent.clear()
        self._last_words = b""

    def _fill(self) -> None:
        """Put the next frames into the buffer."""
        output = self._output
        for report in self._read.values():
            output += report.encode()
        self._read.clear()
        for number in self._withdrawn:
            output += Withdraw(number).encode()
        self._withdrawn.clear()
        while len(output) < LARGEST_PAYLOAD and self._has_unit_to_send():
            output += self._next_part().encode()
        if not self._unsent:
            output += self._last_words
            self._last_words = b""

    def _next_part(self) -> Data:
        """The next frame of the first unsent parcel."""
        parcel = next(iter(self._unsent))
        shipment = self._shipments[parcel]
        start = parcel.position + shipment.sent
        payload = bytes(parcel.data[start : start + LARGEST_PAYLOAD])
        unit = self._unit_begun()
        if unit is None:
            size = parcel.unread if self._has_messages else len(payload)
            unit = Unit(self._next_number, parcel, size)
            self._next_number += 1
            self._units[unit.number] = shipment.units[unit.number] = unit
            self._under_way += size
        shipment.sent += len(payload)
        is_all = shipment.sent == parcel.unread
        if is_all:
            del self._unsent[parcel]
        unit.is_complete = is_all or not self._has_messages
        return Data(unit.number, payload, unit.is_complete)

    # -- what comes in -----------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data = os.read(self._descriptor, RECEIVED_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._break()
            return
        self._last_received = monotonic()
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
                if self._descriptor < 0:
                    return
        except WireError:
            self._break()
            return
        if self._decoder.is_in_frame and not self._is_timed:
            self._is_timed = True
            self._set_alarm()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            self._take_data(frame)
        elif isinstance(frame, Consumed):
            self._take_report(frame)
        elif isinstance(frame, Withdraw):
            self._take_back(frame.number)
        else:
            near = self._near
            if near is None:
                return
            if near.kind is not EndKind.CLIENT:
                raise WireError("a client throws nobody out")
            self._near = None
            self.close()
            near.peer_disconnected()

    def _take_data(self, frame: Data) -> None:
        """Deliver the bytes, or the message if this is its end."""
        if not self._may_receive or frame.number != self._expected:
            raise WireError("data the wrong way, or out of turn")
        if not self._has_messages and not (frame.is_last and frame.payload):
            raise WireError("bytes have no parts and are never none")
        payload: bytes | bytearray = frame.payload
        if self._near is not None:
            is_full = self._held >= self._window_in or len(self._parcels) >= MAXIMUM_UNITS
            if self._partial is None and is_full:
                raise WireError("more than the window")
            self._held += len(payload)
        if self._partial is not None or not frame.is_last:
            self._partial = partial = bytearray() if self._partial is None else self._partial
            if len(partial) + len(payload) > LARGEST_MESSAGE:
                raise WireError("a message without end")
            partial += payload
            payload = partial
        if not frame.is_last:
            return
        self._partial = None
        self._expected += 1
        near = self._near
        if near is None:
            # Nobody will read it: whoever sent it hears of the end soon.
            return
        parcel = Parcel(payload if isinstance(payload, bytes) else bytes(payload), None)
        self._numbers[parcel] = frame.number
        self._parcels[frame.number] = parcel
        near.deliver(parcel)

    def _take_report(self, frame: Consumed) -> None:
        """Some of what the near end has written was read."""
        unit = self._units.get(frame.number)
        if unit is None or frame.count > unit.unread:
            raise WireError("more read than was sent")
        parcel = unit.parcel
        shipment = self._shipments[parcel]
        is_all = frame.count == unit.unread
        if frame.is_last != is_all and not (frame.is_last and shipment.is_withdrawn):
            raise WireError("not read to the end, or beyond it")
        if frame.count and not unit.is_complete:
            raise WireError("read before it was sent")
        unit.unread -= frame.count
        self._under_way -= frame.count
        shipment.sent -= frame.count
        parcel.position += frame.count
        if frame.is_last:
            self._under_way -= unit.unread
            del self._units[frame.number]
            del shipment.units[frame.number]
        if shipment.is_withdrawn:
            self._take_answer(parcel, shipment)
            return
        is_rest = not parcel.unread and not shipment.units
        if is_rest:
            del self._shipments[parcel]
        if self._near is not None:
            self._near.consumed([Part(parcel, frame.count, is_rest)])

    def _take_answer(self, parcel: Parcel, shipment: Shipment) -> None:
        """Something was said of a parcel that shall come back: it is back when all its units are settled."""
        if shipment.units:
            return
        del self._shipments[parcel]
        if self._near is not None:
            self._near.withdrawn(parcel)

    def _take_back(self, number: int) -> None:
        """The other side has cancelled a write of which we may have read all, some or nothing."""
        if number > self._expected or (number == self._expected and self._partial is None):
            raise WireError("nothing to withdraw")
        if number == self._expected:
            assert self._partial is not None
            unread = len(self._partial)
            self._partial = None
            self._expected += 1
        else:
            parcel = self._parcels.pop(number, None)
            if parcel is None:
                return
            del self._numbers[parcel]
            unread = parcel.unread
            if self._near is not None:
                self._near.withdraw(parcel)
        if self._near is not None:
            self._held -= unread
            self._report(number, 0, is_rest=True)

    # -- half a frame, and silence -----------------------------------------------------------------------------

    def _set_alarm(self) -> None:
        reference = weakref.ref(self)

        def ring() -> None:
            remote = reference()
            system = None if remote is None else remote.system()
            if remote is not None and system is not None:
                system.perform(remote._end_silence)

        with contextlib.suppress(RuntimeError):  # the host has no more threads
            CLOCK.set(max(monotonic(), self._last_received) + self.half_frame_seconds, ring)

    def _end_silence(self) -> None:
        """Break the pipe if half a frame is all there has been for too long."""
        if self._descriptor < 0 or not self._decoder.is_in_frame:
            self._is_timed = False
        elif monotonic() - self._last_received >= self.half_frame_seconds:
            self._break()
        else:
            self._set_alarm()


_open: weakref.WeakSet[RemoteEnd] = weakref.WeakSet()


def wind_up(deadline: float) -> None:
    """The process ends: let what was written go out, until `deadline` (of `monotonic`) at the latest.  Blocks."""
    pairs = [(remote, remote.system()) for remote in list(_open) if remote.is_open]
    for remote, system in pairs:
        if system is not None:
            system.perform(remote.begin_to_end)
    for remote, system in pairs:
        while system is not None and remote.is_open and monotonic() < deadline:
            system.perform(remote.on_ready, EVENT_READ)
            sleep(WIND_UP_PAUSE_SECONDS)
    for remote, system in pairs:
        if system is not None:
            system.perform(remote.close)


def window_of(quota: int) -> int:
    """Bytes of units that may stand unread at the reader, for a buffer of `quota` bytes."""
    return min(max(quota, SMALLEST_WINDOW), LARGEST_WINDOW)
