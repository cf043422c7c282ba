"""Pipes by name: creating instances, opening them as a client, and waiting for a free one.

Theory.  A name stands for one `Pipe` while it has an instance: what all its instances share, and which of them are free
for a client, in the order in which they became free.  A name belongs to one emulated machine.  Names are compared
without regard to case; either slash separates their parts.

The machine that a process shares by default is, as far as the names of pipes go, the one of all processes of the user
on this host: what is not found here is looked for there (`pipe_doors`).  A machine that was made on its own has names
of its own, unless it is told to `join_host`.

Own rules.  A client gets the instance that has been free for longest.  Whoever waits for a free instance waits for the
name: it may come, go and come again meanwhile.  All instances of a name are of one process.
"""

from __future__ import annotations

import enum
import math
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .. import status
from ..kernel.file import FileObject, IoMode
from ..kernel.objects import Access, NtError
from ..kernel.waits import Event, ResetMode
from ..runtime.ambient import is_shared
from .pipe_doors import Door, knock, open_door, wait_elsewhere
from .pipe_queues import ReadMode
from .pipe_registry import HAS_UNIX_SOCKETS, Registry
from .pipe_remote import RemoteEnd
from .pipes import BufferSizes, EndKind, PipeEnd, PipeType, WaitMode

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem

PREFIXES = ("\\\\.\\pipe\\", "\\\\?\\pipe\\")
PRIVATE_NAMES = "python-pipe-{}-"
"""How the standard library calls, with its process id, the pipes that it opens itself at once: nobody else looks for
them (`asyncio.windows_utils.pipe`)."""

MAXIMUM_NAME = 256
UNLIMITED_INSTANCES = 255
DEFAULT_TIMEOUT_SECONDS = 0.05
DEFAULT_BUFFER_SIZE = 4096
DEFAULT_SIZES = BufferSizes(DEFAULT_BUFFER_SIZE, DEFAULT_BUFFER_SIZE)
ANY_DATA = int(Access.FILE_READ_DATA | Access.FILE_WRITE_DATA)


class PipeDirection(enum.IntFlag):
    """Which way data may go, seen from the server; the values are those of PIPE_ACCESS_."""

    INBOUND = 1
    OUTBOUND = 2
    DUPLEX = 3


class Instance(enum.Enum):
    """Which instance of its name is wanted."""

    ANY = "the first or a further one"
    FIRST = "the first, or none (FILE_FLAG_FIRST_PIPE_INSTANCE)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeOptions:
    """How to create an instance.  Sizes in bytes, the default timeout of WaitNamedPipe in seconds.

    `maximum_instances`: 1 to 254, or UNLIMITED_INSTANCES; that and `default_timeout` count for the first instance only.
    """

    direction: PipeDirection = PipeDirection.DUPLEX
    type: PipeType = PipeType.BYTE
    read_mode: ReadMode = ReadMode.BYTE
    wait_mode: WaitMode = WaitMode.WAIT
    io_mode: IoMode = IoMode.OVERLAPPED
    instance: Instance = Instance.ANY
    maximum_instances: int = UNLIMITED_INSTANCES
    sizes: BufferSizes = DEFAULT_SIZES
    default_timeout: float = DEFAULT_TIMEOUT_SECONDS


class Pipe:
    """What the instances of one name share; `name` None for one that nobody can find."""

    def __init__(self, table: PipeTable, name: str | None, options: PipeOptions) -> None:
        self.name = name
        self.direction = options.direction
        self.type = options.type
        self.maximum_instances = options.maximum_instances
        self.default_timeout = options.default_timeout
        self.instances: set[PipeEnd] = set()
        self.free: OrderedDict[PipeEnd, None] = OrderedDict()
        self.door: Door | None = None
        self._table = table

    @property
    def server_access(self) -> int:
        """The rights to data that a handle of a server end has."""
        return _access(self.direction & PipeDirection.INBOUND, self.direction & PipeDirection.OUTBOUND)

    @property
    def client_access(self) -> int:
        """The rights to data that a handle of a client end may have."""
        return _access(self.direction & PipeDirection.OUTBOUND, self.direction & PipeDirection.INBOUND)

    def check(self, options: PipeOptions) -> None:
        """Refuse an instance that does not go with those there are, or is one too many (as `NtError`)."""
        if options.instance is Instance.FIRST:
            raise NtError(status.STATUS_ACCESS_DENIED)
        if self.maximum_instances != UNLIMITED_INSTANCES and len(self.instances) >= self.maximum_instances:
            raise NtError(status.STATUS_INSTANCE_NOT_AVAILABLE)
        if (self.direction, self.type) != (options.direction, options.type):
            raise NtError(status.STATUS_ACCESS_DENIED)

    def take(self, access: int | None) -> PipeEnd:
        """A free server end for a client that wants these rights; refusals, as `NtError`, as of `open_client`."""
        if access is not None and access & ANY_DATA & ~self.client_access:
            raise NtError(status.STATUS_ACCESS_DENIED)
        if not self.free:
            raise NtError(status.STATUS_PIPE_NOT_AVAILABLE)
        return self.free.popitem(last=False)[0]

    def offer(self, end: PipeEnd) -> None:
        """A server end is free for a client."""
        self.free[end] = None
        self._table.wake(self.name)

    def leave(self, end: PipeEnd) -> None:
        """A server end is closed; with the last one the name goes."""
        self.instances.discard(end)
        self.free.pop(end, None)
        if not self.instances:
            self._table.forget(self)


class Waiter(Protocol):
    """Who waits for a free instance: an event, or a process at the door.  Compared and hashed by identity."""

    def set(self) -> None:
        """There may be one."""


class PipeTable:
    """The pipes of one emulated machine, and who waits for a free instance.  Under the kernel lock.

    `registry`: where other processes find these pipes, and theirs are found; None: they do not.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.pipes: dict[str, Pipe] = {}
        self.waiting: dict[str, dict[Waiter, None]] = {}
        self.registry = registry

    def find(self, name: str) -> Pipe:
        """The pipe of that name; STATUS_OBJECT_NAME_NOT_FOUND."""
        pipe = self.pipes.get(name)
        if pipe is None:
            raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND)
        return pipe

    def forget(self, pipe: Pipe) -> None:
        """The last instance is closed."""
        if pipe.name is not None:
            del self.pipes[pipe.name]
        if pipe.door is not None:
            pipe.door.close()

    def wake(self, name: str | None) -> None:
        """An instance is free: everybody who waits for the name shall try."""
        for event in self.waiting.pop(name, {}) if name is not None else ():
            event.set()


_tables: weakref.WeakKeyDictionary[ThreadSystem, PipeTable] = weakref.WeakKeyDictionary()


def pipe_table(system: ThreadSystem) -> PipeTable:
    """The table of a system, made at its first pipe."""
    table = _tables.get(system)
    if table is None:
        registry = Registry() if HAS_UNIX_SOCKETS and is_shared(system) else None
        table = _tables.setdefault(system, PipeTable(registry))
    return table


def join_host(system: ThreadSystem, directory: str | None = None) -> None:
    """Have the pipes of `system` found by other processes of the user, and find theirs, from the next one on.

    `directory`: where they meet, of the user alone (mode 0700); None: where all processes of the user do by default.
    Means nothing on hosts without Unix sockets.
    """
    if HAS_UNIX_SOCKETS:
        pipe_table(system).registry = Registry(directory)


def name_in(path: str) -> str | None:
    r"""What a path like `\\.\pipe\NAME` calls its pipe, in the form that the table uses; None for another path.

    >>> name_in(r"\\.\PIPE\Some/Name"), name_in(r"\\.\nul")
    ('some\\name', None)
    """
    folded = path.replace("/", "\\").casefold()
    for prefix in PREFIXES:
        if folded.startswith(prefix):
            return folded[len(prefix) :]
    return None


def create_instance(system: ThreadSystem, name: str | None, options: PipeOptions) -> FileObject:
    """A new instance, free for a client; the file object of its server end, still without a handle.

    `name` as `name_in` gives it; None for a pipe that nobody can find.  Refusals, as `NtError`: OBJECT_NAME_INVALID,
    INVALID_PARAMETER for messages to be read from a byte pipe, ACCESS_DENIED when it does not go with the instances
    there are or another process serves the name, INSTANCE_NOT_AVAILABLE when there are as many as there may be.  Never
    blocks; O(1) plus whom it wakes.
    """
    return system.perform(_create_instance, system, name, options)


def _create_instance(system: ThreadSystem, name: str | None, options: PipeOptions) -> FileObject:
    if name is not None and not 0 < len(name) <= MAXIMUM_NAME - len(PREFIXES[0]):
        raise NtError(status.STATUS_OBJECT_NAME_INVALID)
    if options.read_mode is ReadMode.MESSAGE and options.type is PipeType.BYTE:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    table = pipe_table(system)
    pipe = None if name is None else table.pipes.get(name)
    if pipe is None:
        pipe = Pipe(table, name, options)
        if name is not None:
            if table.registry is not None and not name.startswith(PRIVATE_NAMES.format(system.process.pid)):
                pipe.door = open_door(system, table, table.registry, name)
            table.pipes[name] = pipe
    else:
        pipe.check(options)
    server = PipeEnd(pipe, EndKind.SERVER, options.sizes, system.process.pid)
    server.set_modes(options.read_mode, options.wait_mode)
    pipe.instances.add(server)
    server.start_listening()
    return _file_of(system, server, options.io_mode)


def open_client(system: ThreadSystem, name: str, access: int | None, io_mode: IoMode) -> FileObject:
    """Open a free instance; the file object of its client end, still without a handle.

    `access`: Access bits of the handle to come; None: what the pipe allows.  Refusals, as `NtError`:
    OBJECT_NAME_NOT_FOUND, ACCESS_DENIED for a way that data may not go, PIPE_NOT_AVAILABLE when no instance is free.
    Never blocks, but for the answer of another process (visibly, Q-23); O(1).
    """
    table = pipe_table(system)
    try:
        return system.perform(lambda: _open_client(system, table.find(name), access, io_mode))
    except NtError as refusal:
        if refusal.status != status.STATUS_OBJECT_NAME_NOT_FOUND or table.registry is None:
            raise
    return _open_elsewhere(system, table, table.registry, name, access, io_mode)


def _open_elsewhere(
    system: ThreadSystem, table: PipeTable, registry: Registry, name: str, access: int | None, io_mode: IoMode
) -> FileObject:
    descriptor, answer = knock(system, registry, name, (access or 0) & ANY_DATA)
    options = PipeOptions(
        direction=PipeDirection(answer.direction),
        type=PipeType.MESSAGE if answer.type else PipeType.BYTE,
        maximum_instances=answer.maximum_instances,
        sizes=BufferSizes(answer.outbound, answer.inbound),
        default_timeout=answer.default_timeout,
    )

    def step() -> FileObject:
        # Stands for the pipe of the other process; of its instances this one is known.
        pipe = Pipe(table, name, options)
        client = PipeEnd(pipe, EndKind.CLIENT, options.sizes, system.process.pid)
        pipe.instances.add(client)
        remote = RemoteEnd(system, client, descriptor)
        client.connect(remote, answer.process_id)
        remote.begin()
        return _file_of(system, client, io_mode)

    return system.perform(step)


def _open_client(system: ThreadSystem, pipe: Pipe, access: int | None, io_mode: IoMode) -> FileObject:
    server = pipe.take(access)
    client = PipeEnd(pipe, EndKind.CLIENT, server.sizes, system.process.pid)
    client.connect(server, server.process_id)
    server.connect(client, client.process_id)
    return _file_of(system, client, io_mode)


def create_pair(system: ThreadSystem, options: PipeOptions) -> tuple[FileObject, FileObject]:
    """Both ends of a pipe without a name, connected: the server's file object and the client's.  Never blocks."""

    def step() -> tuple[FileObject, FileObject]:
        server = _create_instance(system, None, options)
        assert isinstance(server.device, PipeEnd)
        return server, _open_client(system, server.device.pipe, None, options.io_mode)

    return system.perform(step)


def wait_for_instance(system: ThreadSystem, name: str, timeout: float | None) -> None:
    """Wait until a client could open an instance; another client may be faster.  Blocks, visibly (Q-23).

    `timeout` in seconds, infinity for ever; None: the pipe's own.  Refusals, as `NtError`: OBJECT_NAME_NOT_FOUND,
    IO_TIMEOUT.
    """
    table = pipe_table(system)

    def begin() -> tuple[Event | None, float]:
        pipe = table.find(name)
        if pipe.free:
            return None, 0
        event = system.kernel.create_event(ResetMode.MANUAL)
        event.reference()
        table.waiting.setdefault(name, {})[event] = None
        return event, pipe.default_timeout if timeout is None else timeout

    def end(event: Event) -> None:
        waiting = table.waiting.get(name)
        if waiting is not None and waiting.pop(event, event) is None and not waiting:
            del table.waiting[name]
        event.dereference()

    try:
        event, seconds = system.perform(begin)
    except NtError as refusal:
        if refusal.status != status.STATUS_OBJECT_NAME_NOT_FOUND or table.registry is None:
            raise
        wait_elsewhere(system, table.registry, name, timeout)
        return
    if event is None:
        return
    try:
        if system.wait([event], timeout=None if seconds == math.inf else seconds) == status.STATUS_TIMEOUT:
            raise NtError(status.STATUS_IO_TIMEOUT)
    finally:
        system.perform(end, event)


def _access(reads: int, writes: int) -> int:
    return (Access.FILE_READ_DATA if reads else 0) | (Access.FILE_WRITE_DATA if writes else 0)


def _file_of(system: ThreadSystem, end: PipeEnd, io_mode: IoMode) -> FileObject:
    file = system.kernel.create_file(end, io_mode)
    file.port_excludes_apc = True
    return file
