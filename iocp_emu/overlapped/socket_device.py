"""Sockets of the host as devices: what is under way on one, in which order, and how it ends.

Theory.  A socket is a file object whose device borrows a descriptor of the program.  Two queues hold what is under way,
one for what comes in and one for what goes out; only the first of each takes turns, so that operations end in the order
in which they were issued.  Each is tried within its call (I-02) and then whenever the reactor has found the descriptor
ready.  All of it happens under the kernel lock, with calls that do not wait.

Sends end early, as on Windows.  There the bytes of a send are copied while less than SO_SNDBUF bytes (64 KiB) are
queued before them, and the call is done, whatever its size.  Here the host takes what it can, the *send queue* of the
socket a copy of the rest, and the request has ended; only when that queue holds SO_SNDBUF bytes or more do further
sends pend.  A socket whose SO_SNDBUF was set to 0 copies nothing: its sends end when the host has taken all.  What is
queued goes out before anything that follows: sends, shutdown, disconnect, and close (`send_queue`).

The end of a connection is remembered.  A host tells of a reset once; here every later operation hears of it.

Rules of this file: I-02 to I-06, I-10, I-41 to I-45, I-50 to I-53, H-03, table 6.6; facts sock-close-pending,
afd-udp-close, afd-recv-after-shutdown, afd-udp-short.

Own rules.  What belongs to the program is neither closed nor left changed.  A descriptor that the program has closed
without a word is noticed at the next use of its number, and then what was under way ends as cancelled.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import socket
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .. import status
from ..kernel.file import FileObject, IoRequest
from ..profiles import OwnClose
from .device import Ask, IoDevice, Transferred
from .engine import finish, issue
from .host_sockets import PEEK, SIZE_OF_ADDRESS, Address, BorrowedSocket, Received, like, status_of
from .reactor import EVENT_READ, EVENT_WRITE, REACTOR
from .send_queue import BUFFERS_PER_CALL, Linger, SendQueue
from .socket_requests import OUTCOMES_OF_THE_NETWORK, Operation, Outcome, Patience, Receive, Send, Turn

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem
    from .socket_table import SocketTable

Identity = tuple[int, int]
"""What the host calls a socket, whatever the number of its descriptor."""

DEFAULT_SEND_BUFFER_BYTES = 1 << 16
"""SO_SNDBUF of Windows."""

DEAD = frozenset(
    {
        status.STATUS_CONNECTION_RESET,
        status.STATUS_CONNECTION_ABORTED,
        status.STATUS_IO_TIMEOUT,
    }
)
"""Statuses after which a connection is no more."""


class Presence(enum.Enum):
    """How a number that stops meaning a socket stands with the host."""

    OPEN = "it still means the socket, until the caller closes it"
    GONE = "it was closed, and may mean something else by now"


def identity_of(descriptor: int) -> Identity:
    """What is open under this number now; `OSError` when nothing is."""
    about = os.fstat(descriptor)
    # Hosts without inode numbers for sockets have nothing better than the number itself.
    return (about.st_dev, about.st_ino) if about.st_ino else (-1, descriptor)


class ReadinessPoll(Protocol):
    """Somebody who wants to know when a socket is ready for `wanted` (EVENT_READ, EVENT_WRITE), or closed."""

    wanted: int

    def look(self) -> bool:
        """Under the kernel lock: see, by the socket, whether it is time."""
        ...

    def tried(self, *, is_incoming: bool, has_to_wait: bool) -> None:
        """Under the kernel lock: an operation of the program was tried, and has to wait or not."""
        ...


class SocketDevice(IoDevice):
    """A socket, the device of one file object.

    `numbers`: the descriptors by which the program has it.  `has_shut_receiving`, `has_shut_sending`: the program has
    shut it down.  `was_connected`: it is or was a connection.  `reserved_by`: the accept that it is to serve.
    `send_buffer_bytes`: below how many queued bytes a further send is taken.
    """

    def __init__(self, system: ThreadSystem, table: SocketTable, descriptor: int, identity: Identity) -> None:
        self.host = BorrowedSocket(descriptor)
        self.identity = identity
        self.numbers = [descriptor]
        self.system = weakref.ref(system)
        self.is_stream = self.host.type == socket.SOCK_STREAM
        self.has_shut_receiving = False
        self.has_shut_sending = False
        self.was_connected = self.is_stream and self.host.is_connected
        self.is_connecting = False
        self.is_closed = False
        self.reserved_by: IoRequest | None = None
        self.reports_unreachable = True
        self.send_buffer_bytes = DEFAULT_SEND_BUFFER_BYTES
        self._table = table
        self._owned: int | None = None
        self._is_gone = False
        self._was_accepted = False
        self._failure = 0
        self._unreachable = 0
        self._incoming: deque[IoRequest] = deque()
        self._outgoing: deque[IoRequest] = deque()
        self._unsent = SendQueue()
        self._must_shut_sending = False
        self._watched_for = 0
        self._polls: list[ReadinessPoll] = []
        if not self.is_stream:
            self.host.queue_errors()

    # -- issuing -----------------------------------------------------------------------------------------------

    def begin(self, request: IoRequest) -> None:
        """Under the kernel lock: the operation of a new request ends now, or pends (I-02, I-03, I-05)."""
        operation: Operation = request.operation
        operation.device = self
        operation.queue = self._incoming if operation.is_incoming else self._outgoing
        refused = operation.refusal(request)
        if refused:
            operation.let_go(request)
            finish(request, Transferred(refused))
            return
        must_queue = operation.waits_its_turn and operation.queue
        outcome = Turn.WAITS if must_queue else self._turn(request)
        if isinstance(outcome, Transferred):
            is_nobodys_fault = status.is_success(outcome.status) or outcome.status in OUTCOMES_OF_THE_NETWORK
            if operation.always_pends and is_nobodys_fault:
                request.pend()
            self._end(request, outcome)
        elif operation.patience is Patience.FAILS:
            operation.let_go(request)
            finish(request, Transferred(status.STATUS_DEVICE_NOT_READY))
        else:
            request.pend()
            if outcome is Turn.WAITS:
                operation.queue.append(request)
                self._rewatch()

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """ReadFile on a socket is a receive; the offset means nothing."""
        return issue(system, file, ask, Receive([target]), self.begin)

    def write(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None, ask: Ask) -> int:
        """WriteFile on a socket is a send; the offset means nothing."""
        return issue(system, file, ask, Send([data]), self.begin)

    # -- turns -------------------------------------------------------------------------------------------------

    def _turn(self, request: IoRequest) -> Outcome:
        outcome = self._take_turn(request)
        if self._polls:
            is_incoming = request.operation.is_incoming
            for poll in list(self._polls):
                poll.tried(is_incoming=is_incoming, has_to_wait=outcome is Turn.WAITS)
            self._rewatch()
        return outcome

    def _take_turn(self, request: IoRequest) -> Outcome:
        operation: Operation = request.operation
        try:
            return operation.take_turn(request)
        except BlockingIOError:
            return Turn.WAITS
        except OSError as error:
            return Transferred(self._status_of(error, operation))
        except (BufferError, TypeError, ValueError):
            # A view that was released or is read-only, or a number that the host cannot take.
            return Transferred(status.STATUS_INVALID_USER_BUFFER)

    def _advance(self, queue: deque[IoRequest]) -> None:
        """End what can end, oldest first."""
        while queue:
            request = queue[0]
            outcome = self._turn(request)
            if outcome is Turn.WAITS:
                return
            queue.popleft()
            if isinstance(outcome, Transferred):
                self._end(request, outcome)

    def _end(self, request: IoRequest, outcome: Transferred) -> None:
        operation: Operation = request.operation
        if status.is_error(outcome.status):
            operation.abandon()
        operation.let_go(request)
        finish(request, outcome)

    def on_ready(self, events: int) -> None:
        """The reactor has found the descriptor ready."""
        if self.is_closed or not self._watched_for:
            return
        if not self.is_current():
            self._table.lose(self)
            return
        if events & EVENT_WRITE:
            self._flush()
            self._advance(self._outgoing)
            self._shut_if_due()
        if events & EVENT_READ:
            self._advance(self._incoming)
        if not self.is_stream and not self._incoming and not self._polls:
            self._note_errors()
        self._look_at_polls()
        self._rewatch()

    def is_current(self) -> bool:
        """Whether the descriptor still means this socket."""
        try:
            return identity_of(self.host.fileno()) == self.identity
        except OSError:
            return False

    def _status_of(self, error: OSError, operation: Operation) -> int:
        """The NTSTATUS of a host error; remembers the death of a connection, of which a host tells once."""
        code = status_of(error)
        if error.errno == errno.EPIPE and self.is_stream:
            # Every host says the same after a shutdown, after a reset, and when there never was a connection.
            if self.has_shut_sending:
                return status.STATUS_PIPE_DISCONNECTED
            code = status.STATUS_CONNECTION_RESET if self.was_connected else status.STATUS_INVALID_CONNECTION
        if code in DEAD and self.is_stream and isinstance(operation, (Receive, Send)):
            self._die(code)
        return code

    def _die(self, code: int) -> None:
        self._failure = self._failure or code
        self._unsent.drop()

    # -- what operations call: incoming ------------------------------------------------------------------------

    def receive(self, buffers: Sequence[memoryview], flags: int) -> int:
        """Bytes of the stream; 0 when the peer has closed in an orderly way.  Raises the host's `OSError`."""
        try:
            count = self.host.receive(buffers, flags)
        except BlockingIOError:
            if self._failure:
                raise self._host_error() from None
            raise
        if count:
            self.was_connected = True
        elif self._failure:
            raise self._host_error()
        return count

    def _host_error(self) -> OSError:
        return OSError(status.error_to_errno(status.winsock_error(self._failure)), "the connection is no more")

    def probe(self) -> None:
        """Return if something can be received or the peer has closed; raises the host's `OSError`."""
        self.receive([memoryview(bytearray(1))], PEEK)

    def receive_message(
        self, buffers: Sequence[memoryview], flags: int, control_bytes: int
    ) -> Received | int:
        """One message, or the status of an ICMP error that came instead.  Raises the host's `OSError`."""
        if self._unreachable:
            self._unreachable -= 1
            return status.STATUS_PORT_UNREACHABLE
        while True:
            try:
                return self.host.receive_message(buffers, flags, control_bytes)
            except BlockingIOError:
                if not self._take_error():
                    raise
            except ConnectionRefusedError:
                if not self._take_error():
                    # A host without a queue of errors.
                    self._unreachable += self.reports_unreachable
            if self._unreachable:
                self._unreachable -= 1
                return status.STATUS_PORT_UNREACHABLE

    def _take_error(self) -> bool:
        """Take one error from the host's queue; False when there was none."""
        code = self.host.next_error()
        if code == errno.ECONNREFUSED:
            self._unreachable += self.reports_unreachable
        return bool(code)

    def _note_errors(self) -> None:
        while self._take_error():
            pass

    def take_over(self, request: IoRequest) -> Outcome:
        """An accept whose connection this has become waits for data here from now on."""
        operation: Operation = request.operation
        operation.device = self
        operation.queue = self._incoming
        outcome = self._turn(request)
        if outcome is not Turn.WAITS:
            return outcome
        self._incoming.append(request)
        self._rewatch()
        return Turn.HANDED_ON

    # -- what operations call: outgoing ------------------------------------------------------------------------

    def send(self, buffers: list[memoryview], flags: int) -> bool:
        """Take all of the bytes, and say so; False: not now, though some may be gone from `buffers`.

        Raises the host's `OSError`.
        """
        if self._failure:
            raise self._host_error()
        if not self._unsent.size:
            with contextlib.suppress(BlockingIOError):
                while buffers:
                    _skip(buffers, self.host.send_bytes(buffers[:BUFFERS_PER_CALL], flags))
            self.was_connected = True
            if not buffers:
                return True
        if self._unsent.size >= self.send_buffer_bytes:
            return False
        self._unsent.append(buffers)
        self._rewatch()
        return True

    def send_message(
        self, buffers: Sequence[memoryview], flags: int, address: Address, control: Sequence[Any]
    ) -> int:
        """One message; an ICMP error that belongs to an earlier one is kept for the receives."""
        while True:
            try:
                return self.host.send_message(buffers, flags, address, control)
            except ConnectionRefusedError:
                if not self._take_error():
                    self._unreachable += self.reports_unreachable

    def _flush(self) -> None:
        """Hand the send queue to the host."""
        try:
            self._unsent.flush(self.host)
        except OSError as error:
            code = status_of(error)
            self._die(code if code in DEAD else status.STATUS_CONNECTION_RESET)

    @property
    def unsent_bytes(self) -> int:
        """Bytes of ended sends that the host has not taken yet."""
        return self._unsent.size

    def shut_receiving(self) -> None:
        """The program receives no more.  Raises the host's `OSError`."""
        self._shut_host(socket.SHUT_RD)
        self.has_shut_receiving = True

    def shut_sending(self) -> None:
        """The program sends no more: the peer is told after everything that was sent.  Raises the host's `OSError`."""
        self._must_shut_sending = True
        if not (self._unsent.size or self._outgoing):
            self._must_shut_sending = False
            self._shut_host(socket.SHUT_WR)
        self.has_shut_sending = True

    def _shut_if_due(self) -> None:
        if self._must_shut_sending and not (self._unsent.size or self._outgoing):
            self._must_shut_sending = False
            with contextlib.suppress(OSError):
                self._shut_host(socket.SHUT_WR)

    def end_sending(self) -> bool:
        """For a disconnect, which is first in its queue: False while something is still to be sent."""
        if self._unsent.size:
            return False
        self._must_shut_sending = False
        self._shut_host(socket.SHUT_WR)
        self.has_shut_sending = True
        return True

    def _shut_host(self, how: int) -> None:
        try:
            self.host.shutdown(how)
        except OSError as error:
            # Winsock does not mind that the peer has reset the connection meanwhile, nor that there is no peer of
            # messages (CPython's tests of datagrams on Windows).
            if error.errno != errno.ENOTCONN or (self.is_stream and not self.was_connected):
                raise

    # -- watching ----------------------------------------------------------------------------------------------

    def add_poll(self, poll: ReadinessPoll) -> None:
        """Under the kernel lock: have `poll` look whenever something may have changed, until it is dropped."""
        self._polls.append(poll)
        self._rewatch()

    def drop_poll(self, poll: ReadinessPoll) -> None:
        """Under the kernel lock: `poll` need not look any more; nothing if it is not here."""
        if poll in self._polls:
            self._polls.remove(poll)
            self._rewatch()

    def look_at_polls(self) -> None:
        """Under the kernel lock: something else than readiness may have changed what polls see."""
        self._look_at_polls()
        self._rewatch()

    def _look_at_polls(self) -> None:
        for poll in list(self._polls):
            poll.look()

    def _unwatch(self) -> None:
        """Have the reactor forget the descriptor, before that means something else."""
        if self._watched_for:
            self._watched_for = 0
            REACTOR.unwatch(self.host.fileno(), self)
            self._table.count_watches(-1)

    def _rewatch(self) -> None:
        """Have the reactor look for just what would let something go on."""
        wanted = 0
        if not (self.is_closed or self._is_gone):
            if self._unsent.size:
                wanted = EVENT_WRITE
            for queue in (self._incoming, self._outgoing):
                if queue:
                    wanted |= queue[0].operation.wanted
            for poll in self._polls:
                wanted |= poll.wanted
        if wanted == self._watched_for:
            return
        before, self._watched_for = self._watched_for, wanted
        if not wanted:
            REACTOR.unwatch(self.host.fileno(), self)
        else:
            try:
                REACTOR.watch(self.host.fileno(), wanted, self)
            except OSError:
                self._watched_for = 0
                REACTOR.unwatch(self.host.fileno(), self)
                self._die(status.STATUS_INSUFFICIENT_RESOURCES)
                self.end_all(status.STATUS_INSUFFICIENT_RESOURCES)
        self._table.count_watches(bool(self._watched_for) - bool(before))

    # -- another descriptor ------------------------------------------------------------------------------------

    def become(self, descriptor: int) -> None:
        """Take over a new connection, which this closes: every descriptor of this socket means it from now on."""
        try:
            os.set_blocking(descriptor, os.get_blocking(self.host.fileno()))
            self._replace_by(descriptor)
        finally:
            os.close(descriptor)
        self.was_connected = self._was_accepted = True

    def renew(self) -> None:
        """Become unconnected: a new socket of the host takes this one's place, bound unless it was accepted.

        It gets another port where there was a connection, whose addresses stay in use for a while.
        """
        name: Address = self.host.getsockname()
        rebinds = not self._was_accepted
        if self.was_connected and self.host.family in SIZE_OF_ADDRESS:
            name = (name[0], 0, *name[2:])
        descriptor = like(self.host)
        try:
            self.end_all(status.STATUS_CANCELLED, [*self._incoming])
            self._replace_by(descriptor)
        finally:
            os.close(descriptor)
        self.was_connected = self._was_accepted = self.has_shut_receiving = self.has_shut_sending = False
        self._must_shut_sending = False
        self._failure = 0
        if rebinds:
            with contextlib.suppress(OSError):
                self.host.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.host.bind(name)

    def _replace_by(self, descriptor: int) -> None:
        self._unwatch()
        is_associated = self.is_associated
        for number in {self.host.fileno(), *self.numbers}:
            os.dup2(descriptor, number, os.get_inheritable(number))
        self.is_associated = is_associated
        self._table.rename(self, identity_of(self.host.fileno()))
        self._rewatch()

    @property
    def is_associated(self) -> bool:
        """Whether some process has associated the socket (C-12)."""
        return self.host.is_marked

    @is_associated.setter
    def is_associated(self, value: bool) -> None:
        self.host.is_marked = value

    def leave_number(self, number: int, file: FileObject, presence: Presence) -> None:
        """The descriptor `number` is about to be closed, or has been; others, or handles, may remain."""
        self.numbers.remove(number)
        if self.host.fileno() != number:
            return
        if self.numbers:
            self._move_to(self.numbers[0])
        elif presence is Presence.GONE:
            self._is_gone = True
            self._unwatch()
            self.host.detach()
            self.end_all(status.STATUS_CANCELLED)
        elif file.handle_count > 1:
            with contextlib.suppress(OSError):
                self._owned = os.dup(number)
                self._move_to(self._owned)

    def _move_to(self, descriptor: int) -> None:
        self._unwatch()
        self.host.detach()
        self.host = BorrowedSocket(descriptor)
        self._rewatch()

    # -- the end -----------------------------------------------------------------------------------------------

    def cancel(self, request: IoRequest) -> None:
        """It ends at once, unless it had ended before (I-41)."""
        operation: Operation = request.operation
        operation.queue.remove(request)
        device = operation.device
        device._end(request, Transferred(status.STATUS_CANCELLED))
        device.go_on(operation.queue)

    def go_on(self, queue: deque[IoRequest]) -> None:
        """Under the kernel lock: something else than readiness may let the first of `queue` take a turn."""
        self._advance(queue)
        self._rewatch()

    def end_all(self, code: int, requests: Iterable[IoRequest] | None = None) -> None:
        """Under the kernel lock: end what waits here with the error `code`."""
        for request in [*self._incoming, *self._outgoing] if requests is None else requests:
            request.operation.queue.remove(request)
            self._end(request, Transferred(code))

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed: everything ends, but what is queued to be sent goes out (I-43)."""
        self.is_closed = True
        own_close = file.profile.own_close_of_socket
        for request in list(file.requests):
            operation: Operation = request.operation
            operation.queue.remove(request)
            operation.device._end(request, Transferred(self._status_at_close(operation, own_close)))
            operation.device._rewatch()
        if self.reserved_by is not None:
            self.reserved_by.file.device.cancel(self.reserved_by)
        self._look_at_polls()
        self._unwatch()
        self._table.forget_identity(self)
        system = self.system()
        if self._unsent.size and not self._is_gone and system is not None:
            with contextlib.suppress(OSError):
                if not self.host.resets_on_close:
                    Linger(system, os.dup(self.host.fileno()), self._unsent)
                    self._unsent = SendQueue()
        self._unsent.drop()

    def _status_at_close(self, operation: Operation, own_close: OwnClose) -> int:
        if not isinstance(operation, (Receive, Send)):
            return status.STATUS_CANCELLED
        if own_close is OwnClose.HANDLES_CLOSED:
            return status.STATUS_HANDLES_CLOSED
        if not (self.is_stream and self.was_connected):
            return status.STATUS_CANCELLED
        is_aborted = own_close is OwnClose.CONNECTION_ABORTED
        return status.STATUS_CONNECTION_ABORTED if is_aborted else status.STATUS_LOCAL_DISCONNECT

    def close(self, file: FileObject) -> None:
        """The last reference is gone."""
        self.host.detach()
        if self._owned is not None:
            os.close(self._owned)


def _skip(buffers: list[memoryview], count: int) -> None:
    """Take the first `count` bytes away from `buffers`."""
    while buffers and count >= len(buffers[0]):
        count -= len(buffers.pop(0))
    if count:
        buffers[0] = buffers[0][count:]
