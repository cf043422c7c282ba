"""The object face of pipes: named ones between a server and its clients, and pairs without a name.

Theory.  A `Pipe` is one end.  A server creates an instance with `Pipe.listen`, which is free for a client at once, and
asks with `accept` to be told of one; a client opens a free instance with `Pipe.connect`.  Then both ends read and write
alike, and every operation ends as a packet where the end is associated with a port.

One thing is easier here than on Windows: an `accept` whose client is already there ends at once and brings its packet
all the same, so that a server has one place where it hears of clients.  `win32.ConnectNamedPipe` says 535 then, and no
packet comes.

Own rules.  Those of `iocp_emu.port`.  On a message pipe both ends read messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from typing_extensions import Self

from . import status
from .errors import win32_error
from .kernel.file import FileObject, IoMode
from .kernel.objects import Access, NtError
from .overlapped.device import Ask
from .overlapped.pipe_names import (
    UNLIMITED_INSTANCES,
    PipeDirection,
    PipeOptions,
    create_instance,
    create_pair,
    name_in,
    open_client,
    wait_for_instance,
)
from .overlapped.pipe_queues import ReadMode
from .overlapped.pipes import BufferSizes, Connected, EndKind, PipeEnd, PipeState, PipeType, WaitMode
from .port import MAXIMUM_DWORD, Overlapped, OverlappedHandle, check_integer, check_timeout
from .runtime.ambient import current_system
from .runtime.threads import ThreadSystem
from .status import status_to_error

PREFIX = "\\\\.\\pipe\\"
DEFAULT_BUFFER_SIZE = 65536

_NOTHING = memoryview(b"")


class PeekedData(NamedTuple):
    """What stands unread at an end: the first bytes of it, and how many there are in all and in the first message."""

    data: bytes
    available: int
    message: int


class Pipe(OverlappedHandle):
    """One end of a pipe, for overlapped I/O; made by `listen`, `connect` and `pair`.

    >>> from iocp_emu import CompletionPort, Pipe
    >>> with CompletionPort() as port, Pipe.listen("greetings") as server, Pipe.connect("greetings") as client:
    ...     port.associate(server, "server")
    ...     incoming = server.read(100)
    ...     _ = client.write(b"hello")
    ...     packet = port.get()
    >>> packet.key, packet.overlapped is incoming, bytes(incoming.data)
    ('server', True, b'hello')
    """

    __slots__ = ("_access", "_end", "name")

    def __init__(self, system: ThreadSystem, file: FileObject, access: int) -> None:
        super().__init__(system, system.perform(system.process.handles.open, file, access), file)
        assert isinstance(file.device, PipeEnd)
        self._end = file.device
        self._access = int(access)
        self.name = self._end.pipe.name

    @classmethod
    def listen(
        cls,
        name: str,
        *,
        type: PipeType = PipeType.BYTE,
        direction: PipeDirection = PipeDirection.DUPLEX,
        max_instances: int = UNLIMITED_INSTANCES,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
    ) -> Self:
        r"""Create an instance of the pipe `name`, a bare name or `\\.\pipe\NAME`; its server end.

        The instance is free for a client at once, and serves one client at a time; a server for many creates many.
        `type` says whether the bounds of messages are kept, `direction` which way data may go, seen from the server;
        both must be as in the first instance.  `max_instances`: 1 to 254, 255 without limit; the first instance's
        counts.  `buffer_size` in bytes: how much may stand unread each way before writes pend.  Never blocks.
        Other processes of the user find the pipe by its name as well, where the host has Unix sockets.
        Raises `PermissionError` (5) for another type or direction than the first instance has, or when another process
        serves the name, `OSError` 231 when there are as many instances as there may be, 123 for a bad name,
        `TypeError`, `ValueError`.
        """
        check_integer("max_instances", max_instances, 1, UNLIMITED_INSTANCES)
        options = _options(type, direction, buffer_size, max_instances)
        system = current_system()
        try:
            file = create_instance(system, _table_name(name), options)
        except NtError as error:
            raise win32_error(status_to_error(error.status), name) from None
        return cls(system, file, _access_of(file))

    @classmethod
    def connect(cls, name: str, *, timeout: float | None = 0) -> Self:
        r"""Open a free instance of the pipe `name`, a bare name or `\\.\pipe\NAME`; its client end.

        When no instance is free, waits up to `timeout` seconds for one (None: for ever), and anew whenever another
        client is faster; 0, the default, waits for nobody but the answer of a server in another process.  Blocks,
        visibly (Q-23).
        Raises `FileNotFoundError` (2) when there is no such pipe, `OSError` 231 when no instance is free and `timeout`
        is 0, 121 when the time is up, `TypeError`, `ValueError`.
        """
        timeout = check_timeout(timeout)
        table_name = _table_name(name)
        system = current_system()
        try:
            while True:
                try:
                    file = open_client(system, table_name, None, IoMode.OVERLAPPED)
                    break
                except NtError as error:
                    if error.status != status.STATUS_PIPE_NOT_AVAILABLE or timeout == 0:
                        raise
                wait_for_instance(system, table_name, math.inf if timeout is None else timeout)
        except NtError as error:
            raise win32_error(status_to_error(error.status), name) from None
        return cls._client(system, file)

    @classmethod
    def pair(
        cls,
        *,
        type: PipeType = PipeType.BYTE,
        direction: PipeDirection = PipeDirection.DUPLEX,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
    ) -> tuple[Self, Self]:
        """Both ends of a new pipe without a name, connected: the server's and the client's.  Never blocks.

        The parameters are those of `listen`.
        """
        system = current_system()
        server, client = create_pair(system, _options(type, direction, buffer_size, 1))
        return cls(system, server, _access_of(server)), cls._client(system, client)

    @classmethod
    def _client(cls, system: ThreadSystem, file: FileObject) -> Self:
        end = file.device
        assert isinstance(end, PipeEnd)
        if end.pipe.type is PipeType.MESSAGE:
            system.perform(end.set_modes, ReadMode.MESSAGE, WaitMode.WAIT)
        return cls(system, file, _access_of(file))

    # -- operations --------------------------------------------------------------------------------------------

    def accept(self, *, tag: Any = None) -> Overlapped:
        """Ask to be told when a client has opened this instance; also after `disconnect`, for the next one.

        The packet comes in any case; when the client is there already, the operation is `done` at once.  `tag` is yours
        to keep on the `Overlapped`.  Returns at once; O(1).
        Raises `BrokenPipeError` (232) when a client was there and has gone (then `disconnect` first), `OSError` 1 on a
        client end, `ValueError` once closed.
        """

        def start(file: FileObject, ask: Ask) -> int:
            return self._end.listen(self._system, file, ask, Connected.SUCCEED)

        return self._issue(start, Overlapped(self, 0, _NOTHING, tag), self.name)

    def read(self, size: int, *, tag: Any = None) -> Overlapped:
        """Start to read up to `size` bytes, or one message.  Returns at once; O(bytes read).

        A message longer than `size` is a packet with error 234 and the part that fits; the next read brings the rest.
        Raises `BrokenPipeError` (109) when the other end is closed and nothing is left, `OSError` 233 and 536 when
        there is no client any more or yet, `PermissionError` (5) when data only goes the other way, `TypeError`,
        `ValueError`.
        """
        check_integer("size", size, 0, MAXIMUM_DWORD)
        target = memoryview(bytearray(size))

        def start(file: FileObject, ask: Ask) -> int:
            return self._end.read(self._system, file, target, None, ask)

        return self._start(_READS, start, target, tag)

    def write(self, data: bytes | bytearray | memoryview, *, tag: Any = None) -> Overlapped:
        """Start to write all of `data`, as one message on a message pipe.  Returns at once; O(bytes).

        Ends when what is unread fits the buffer of the pipe; until then `data` must not change.
        Raises `BrokenPipeError` (232) when the other end is closed, otherwise as `read`.
        """
        view = memoryview(data).cast("B")

        def start(file: FileObject, ask: Ask) -> int:
            return self._end.write(self._system, file, view, None, ask)

        return self._start(_WRITES, start, view, tag)

    def transact(self, data: bytes | bytearray | memoryview, size: int, *, tag: Any = None) -> Overlapped:
        """Write `data` as a message and read the answer, up to `size` bytes, in one operation.  Returns at once.

        Its packet has error 231 when something is unread already, 234 when the answer is longer than `size`.
        Raises `OSError` 230 on a byte pipe, otherwise as `write`.
        """
        check_integer("size", size, 0, MAXIMUM_DWORD)
        view, target = memoryview(data).cast("B"), memoryview(bytearray(size))

        def start(file: FileObject, ask: Ask) -> int:
            return self._end.transact(self._system, file, view, target, ask)

        return self._start(_READS | _WRITES, start, target, tag)

    def peek(self, size: int = 0) -> PeekedData:
        """Look at what can be read, up to `size` bytes of it, without taking it.  Never blocks; no packet.

        Raises `BrokenPipeError` (109) when the other end is closed and nothing is left, `OSError` 230 when there is no
        client, 233 when this one was disconnected, `PermissionError` (5), `TypeError`, `ValueError`.
        """
        check_integer("size", size, 0, MAXIMUM_DWORD)
        self._check_access(_READS)
        buffer = bytearray(size)
        try:
            peeked = self._system.perform(self._end.peek, memoryview(buffer))
        except NtError as error:
            raise win32_error(status_to_error(error.status), self.name) from None
        return PeekedData(bytes(buffer[: peeked.count]), peeked.available, peeked.first)

    def disconnect(self) -> None:
        """Throw the client out: operations of both ends end with error 233, what was unread is lost.

        Then `accept` waits for the next client.  Never blocks; no packet of its own.
        Raises `OSError` 233 when already done, 536 when there has been no client, 1 on a client end.
        """
        operation = Overlapped(self, 0, _NOTHING, None)
        code = self._end.disconnect(self._system, self.waitable, Ask(operation))
        if status.is_error(code):
            raise win32_error(status_to_error(code), self.name)

    @property
    def connected(self) -> bool:
        """Whether the other end is there."""
        return self._end.state is PipeState.CONNECTED

    def _start(
        self, needed: int, start: Callable[[FileObject, Ask], int], data: memoryview, tag: Any
    ) -> Overlapped:
        self._check_access(needed)
        return self._issue(start, Overlapped(self, 0, data, tag), self.name)

    def _check_access(self, needed: int) -> None:
        assert self.handle
        if needed & ~self._access:
            raise win32_error(status.ERROR_ACCESS_DENIED, self.name)

    def __repr__(self) -> str:
        state = "closed" if self.closed else self._end.state.name.lower()
        return f"<Pipe {self._end.kind.name.lower()} {self.name!r} {state}>"


# Plain integers: an operation checks them each time, and flags are slow.
_READS = int(Access.FILE_READ_DATA)
_WRITES = int(Access.FILE_WRITE_DATA)


def _access_of(file: FileObject) -> int:
    end = file.device
    assert isinstance(end, PipeEnd)
    return end.pipe.server_access if end.kind is EndKind.SERVER else end.pipe.client_access


def _options(type: PipeType, direction: PipeDirection, buffer_size: int, max_instances: int) -> PipeOptions:
    if not isinstance(type, PipeType):
        raise TypeError(f"type must be a PipeType, not {type!r}")
    if not isinstance(direction, PipeDirection):
        raise TypeError(f"direction must be a PipeDirection, not {direction!r}")
    check_integer("buffer_size", buffer_size, 0, MAXIMUM_DWORD)
    return PipeOptions(
        type=type,
        read_mode=ReadMode.MESSAGE if type is PipeType.MESSAGE else ReadMode.BYTE,
        direction=direction,
        maximum_instances=max_instances,
        sizes=BufferSizes(buffer_size, buffer_size),
    )


def _table_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    found = name_in(name)
    if found is None:
        found = name_in(PREFIX + name)
        assert found is not None
    return found
