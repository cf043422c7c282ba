"""How a client in one process comes to a server in another: the door at which it knocks, and who opens.

Theory.  While a name has instances, its process has a `Door`: the endpoint of that name, watched by the reactor.  Who
knocks is a `Guest` until its first words are there.  They ask for a free instance, which makes the connection the far
end of that instance; or to be told when one is free, as WaitNamedPipe is.  The answers are those that a client within
the process would get.

The client's side waits for the answer, in its own thread: nobody else is kept waiting.

Rules of this file: table 6.6 (pipes) by way of `pipe_names`; Q-23 (the waits are visible).

Own rules.  A name that a living process serves is served by no other: its instances are all in one process.  (Windows
lets several serve one name if the first has granted that right; here it has not, so the answer is access denied.)
Doors and guests live under the kernel lock and never block.  A guest that does not speak is sent away after a while;
so many may be at the door at once, and so many wait for an instance; what they say is never more than a few bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import socket
import weakref
from time import monotonic, sleep
from typing import TYPE_CHECKING

from .. import status
from ..kernel.objects import Access, NtError
from ..runtime.timers import CLOCK, Alarm
from .engine import waiting
from .pipe_registry import Endpoint, NameTaken, Registry, UnsafeDirectory, give_up_in_child, peer_process
from .pipe_remote import RemoteEnd, wind_up
from .pipe_states import PipeType
from .pipe_wire import ANSWER_SIZE, HELLO_SIZE, Answer, Hello, Purpose, WireError
from .reactor import EVENT_READ, REACTOR

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem
    from .pipe_names import Pipe, PipeTable

GREETING_SECONDS = 5.0
"""How long a guest may take for its first words."""

ANSWER_SECONDS = 10.0
"""How long a client waits for an answer; then all instances are busy, as far as it can tell."""

MAXIMUM_GUESTS = 64
MAXIMUM_WAITING = 256
RETRY_SECONDS = 0.01
EXIT_SECONDS = 2.0
"""How long the end of the process waits for what was written to go out."""

_BOTH_WAYS = int(Access.FILE_READ_DATA | Access.FILE_WRITE_DATA)


# -- the server's side ---------------------------------------------------------------------------------------------


class Door:
    """Where other processes knock for the pipe `name` of `table`.  Under the kernel lock."""

    greeting_seconds = GREETING_SECONDS

    def __init__(self, system: ThreadSystem, table: PipeTable, name: str, endpoint: Endpoint) -> None:
        self._system = weakref.ref(system)
        self._table = weakref.ref(table)
        self._endpoint = endpoint
        self._pause: Alarm | None = None
        self.name = name
        self.guests: set[Guest] = set()
        self.waiting = 0
        _doors.add(self)
        REACTOR.watch(endpoint.descriptor, EVENT_READ, self)

    def system(self) -> ThreadSystem | None:
        """The machine that serves."""
        return self._system()

    @property
    def table(self) -> PipeTable | None:
        """The table that has the pipe."""
        return self._table()

    @property
    def pipe(self) -> Pipe | None:
        """The pipe behind the door."""
        table = self._table()
        return None if table is None else table.pipes.get(self.name)

    def on_ready(self, events: int) -> None:
        """Somebody knocks."""
        while self._endpoint.descriptor >= 0:
            if len(self.guests) >= MAXIMUM_GUESTS:
                # One that leaves makes room.
                REACTOR.unwatch(self._endpoint.descriptor, self)
                return
            try:
                connection = self._endpoint.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError:
                self._rest()
                return
            guest = Guest(self, connection)
            self.guests.add(guest)
            guest.begin(self.greeting_seconds)

    def leave(self, guest: Guest) -> None:
        """A guest has spoken, or is gone."""
        is_crowded = len(self.guests) >= MAXIMUM_GUESTS
        self.guests.discard(guest)
        if is_crowded:
            self._watch()

    def _watch(self) -> None:
        if self._endpoint.descriptor >= 0:
            with contextlib.suppress(OSError):
                REACTOR.watch(self._endpoint.descriptor, EVENT_READ, self)

    def _rest(self) -> None:
        """The host has no descriptor for another guest: look again later."""
        REACTOR.unwatch(self._endpoint.descriptor, self)
        reference = weakref.ref(self)

        def ring() -> None:
            door = reference()
            system = None if door is None else door.system()
            if door is not None and system is not None:
                system.perform(door._watch)

        with contextlib.suppress(RuntimeError):
            CLOCK.set(monotonic() + RETRY_SECONDS * 10, ring)

    def close(self) -> None:
        """The name is free again; who waits at the door is sent away."""
        if self._endpoint.descriptor >= 0:
            REACTOR.unwatch(self._endpoint.descriptor, self)
            self._endpoint.close()
        for guest in list(self.guests):
            guest.close()

    def close_endpoint(self) -> None:
        """The process ends: remove the files."""
        self._endpoint.close()


_doors: weakref.WeakSet[Door] = weakref.WeakSet()


def open_door(system: ThreadSystem, table: PipeTable, registry: Registry, name: str) -> Door | None:
    """Under the kernel lock: have other processes find `name`; None where there are no pipes between processes.

    STATUS_ACCESS_DENIED, as `NtError`, when another process serves the name.
    """
    try:
        endpoint = registry.claim(name)
    except NameTaken:
        raise NtError(status.STATUS_ACCESS_DENIED) from None
    except OSError:
        return None
    try:
        return Door(system, table, name, endpoint)
    except OSError:
        endpoint.close()
        return None


class Guest:
    """A connection until it is clear what it wants, and while it waits for a free instance."""

    def __init__(self, door: Door, connection: socket.socket) -> None:
        self._door = door
        self._process_id = peer_process(connection)
        self._descriptor = connection.detach()
        self._words = b""
        self._is_waiting = False
        self._alarm: Alarm | None = None
        give_up_in_child(self)

    def begin(self, seconds: float) -> None:
        """Listen to it, for so long."""
        reference = weakref.ref(self)

        def ring() -> None:
            guest = reference()
            system = None if guest is None else guest.system()
            if guest is not None and system is not None:
                system.perform(guest._send_away)

        try:
            REACTOR.watch(self._descriptor, EVENT_READ, self)
            self.on_ready(EVENT_READ)
            if self._descriptor >= 0 and not self._is_waiting:
                self._alarm = CLOCK.set(monotonic() + seconds, ring)
        except (OSError, RuntimeError):
            self.close()

    def system(self) -> ThreadSystem | None:
        """The machine that serves."""
        return self._door.system()

    def on_ready(self, events: int) -> None:
        """It says something, or goes away."""
        if self._descriptor < 0:
            return
        try:
            words = os.read(self._descriptor, HELLO_SIZE - len(self._words) or 1)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        if not words or self._is_waiting:
            # Who waits has nothing to say.
            self.close()
            return
        self._words += words
        if len(self._words) == HELLO_SIZE:
            try:
                self._serve(Hello.decode(self._words))
            except WireError:
                self.close()

    def _serve(self, hello: Hello) -> None:
        pipe = self._door.pipe
        if pipe is None:
            self.close()
        elif hello.purpose is Purpose.WAIT:
            self._wait(pipe)
        else:
            self._open(pipe, hello)

    def _open(self, pipe: Pipe, hello: Hello) -> None:
        """Give it an instance."""
        system = self.system()
        assert system is not None
        if hello.access & ~_BOTH_WAYS:
            raise WireError("no such way")
        try:
            server = pipe.take(hello.access)
        except NtError as refusal:
            self._say(_answer(pipe, refusal.status))
            self.close()
            return
        quotas = server.sizes
        if not self._say(_answer(pipe, status.STATUS_SUCCESS, quotas.outbound, quotas.inbound)):
            pipe.offer(server)
            self.close()
            return
        remote = RemoteEnd(system, server, self._leave())
        server.connect(remote, hello.process_id if self._process_id is None else self._process_id)
        remote.begin()

    def _wait(self, pipe: Pipe) -> None:
        """Tell it when there is a free instance."""
        table = self._door.table
        if pipe.free or table is None or self._door.waiting >= MAXIMUM_WAITING:
            self._say(_answer(pipe, status.STATUS_SUCCESS if pipe.free else status.STATUS_PENDING))
            self.close()
        elif self._say(_answer(pipe, status.STATUS_PENDING)):
            self._is_waiting = True
            self._door.waiting += 1
            self._cancel_alarm()
            self._door.leave(self)
            table.waiting.setdefault(self._door.name, {})[self] = None
        else:
            self.close()

    def set(self) -> None:
        """There is a free instance (as an event is set for a waiter of this process)."""
        pipe = self._door.pipe
        if pipe is not None:
            self._say(_answer(pipe, status.STATUS_SUCCESS))
        self.close()

    def _say(self, answer: Answer) -> bool:
        """Whether it could be said at once: no guest has got anything before that might stand in the way."""
        try:
            return os.write(self._descriptor, answer.encode()) == ANSWER_SIZE
        except OSError:
            return False

    def _send_away(self) -> None:
        self._alarm = None
        if not self._is_waiting:
            self.close()

    def _cancel_alarm(self) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            CLOCK.cancel(alarm)

    def _leave(self) -> int:
        """Be no guest any more; the descriptor, which the caller owns."""
        descriptor, self._descriptor = self._descriptor, -1
        REACTOR.unwatch(descriptor, self)
        self._cancel_alarm()
        self._door.leave(self)
        if self._is_waiting:
            self._is_waiting = False
            self._door.waiting -= 1
            table = self._door.table
            waiting = None if table is None else table.waiting.get(self._door.name)
            if table is not None and waiting is not None:
                waiting.pop(self, None)
                if not waiting:
                    del table.waiting[self._door.name]
        return descriptor

    def close(self) -> None:
        """Hang up.  Again does nothing."""
        if self._descriptor >= 0:
            os.close(self._leave())

    def abandon(self) -> None:
        """In a forked child: it has knocked at the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # The whole system was forgotten.
        self.abandon()


def _answer(pipe: Pipe, code: int, outbound: int = 0, inbound: int = 0) -> Answer:
    return Answer(
        code,
        os.getpid(),
        int(pipe.type is PipeType.MESSAGE),
        int(pipe.direction),
        outbound,
        inbound,
        pipe.maximum_instances,
        pipe.default_timeout,
    )


# -- the client's side ---------------------------------------------------------------------------------------------


def knock(system: ThreadSystem, registry: Registry, name: str, access: int) -> tuple[int, Answer]:
    """Open an instance in another process: the descriptor of the connection, and what was answered.  Blocks, visibly.

    `access`: wanted ways, 0 for all there are.  Refusals, as `NtError`: what the server refuses;
    OBJECT_NAME_NOT_FOUND when nobody serves the name; ACCESS_DENIED for another user's process or another version;
    PIPE_NOT_AVAILABLE when there is no answer in time.
    """
    with waiting(system), _ask(registry, name, Hello(Purpose.OPEN, access, os.getpid())) as connection:
        answer = _hear(connection, ANSWER_SECONDS)
        if status.is_error(answer.status):
            raise NtError(answer.status)
        process_id = peer_process(connection)
        connection.setblocking(False)
        descriptor = connection.detach()
    return descriptor, answer if process_id is None else Answer(
        answer.status,
        process_id,
        answer.type,
        answer.direction,
        answer.outbound,
        answer.inbound,
        answer.maximum_instances,
        answer.default_timeout,
    )


def wait_elsewhere(system: ThreadSystem, registry: Registry, name: str, timeout: float | None) -> None:
    """Wait until an instance in another process is free, as `pipe_names.wait_for_instance`.  Blocks, visibly."""
    deadline = None if timeout is None else monotonic() + timeout
    is_known = False
    hello = Hello(Purpose.WAIT, 0, os.getpid())
    with waiting(system):
        while True:
            try:
                with _ask(registry, name, hello) as connection:
                    answer = _hear(connection, ANSWER_SECONDS)
                    is_known = True
                    if deadline is None:
                        deadline = monotonic() + answer.default_timeout
                    if answer.status == status.STATUS_PENDING:
                        answer = _hear(connection, _left_until(deadline))
                if answer.status == status.STATUS_SUCCESS:
                    return
            except NtError as refusal:
                if not is_known and refusal.status != status.STATUS_PIPE_NOT_AVAILABLE:
                    raise
            if deadline is None:
                deadline = monotonic() + ANSWER_SECONDS
            left = _left_until(deadline)
            if left is not None and left <= 0:
                raise NtError(status.STATUS_IO_TIMEOUT)
            sleep(RETRY_SECONDS if left is None else min(left, RETRY_SECONDS))


def _left_until(deadline: float) -> float | None:
    """Seconds; None for ever."""
    return None if deadline == math.inf else max(0.0, deadline - monotonic())


def _ask(registry: Registry, name: str, hello: Hello) -> socket.socket:
    try:
        connection = registry.dial(name, ANSWER_SECONDS)
    except (TimeoutError, BlockingIOError):
        raise NtError(status.STATUS_PIPE_NOT_AVAILABLE) from None
    except UnsafeDirectory:
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND) from None
    except PermissionError:
        raise NtError(status.STATUS_ACCESS_DENIED) from None
    except OSError:
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND) from None
    try:
        connection.sendall(hello.encode())
    except OSError:
        connection.close()
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND) from None
    return connection


def _hear(connection: socket.socket, timeout: float | None) -> Answer:
    """The next answer; refusals as of `knock`."""
    words = b""
    deadline = math.inf if timeout is None else monotonic() + timeout
    try:
        while len(words) < ANSWER_SIZE:
            connection.settimeout(None if timeout is None else max(deadline - monotonic(), 1e-6))
            more = connection.recv(ANSWER_SIZE - len(words))
            if not more:
                raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND)
            words += more
        return Answer.decode(words)
    except TimeoutError:
        raise NtError(status.STATUS_PIPE_NOT_AVAILABLE) from None
    except OSError:
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND) from None
    except WireError:
        raise NtError(status.STATUS_ACCESS_DENIED) from None


# -- the end of the process ----------------------------------------------------------------------------------------


@atexit.register
def wind_up_at_exit() -> None:
    """Leave no files, and let what was written go out."""
    for door in list(_doors):
        door.close_endpoint()
    wind_up(monotonic() + EXIT_SECONDS)
