"""What the ports of a process hold at one moment, as plain data that can become JSON and back.

Theory.  A picture of a system is taken as one verb, so it shows a moment between two verbs: the count, the queue and
the waiters fit together (P-01, P-02).  Systems are looked at one after another.

Own rules.  Looking changes nothing, makes nobody associated and runs no code of the program: keys and names that are no
plain values are shown by their type.  A picture is small: of long queues and crowds the beginning is shown, with the
number of all.  What comes from another process is checked before it is believed.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, cast, get_args, get_origin, get_type_hints

from ..kernel.completion import IoCompletion, Packet
from ..kernel.file import FileObject
from ..kernel.thread import KernelThread
from ..runtime.key_text import key_text
from ..runtime.simulation import Simulation
from ..runtime.threads import ForkedSystemError, ThreadSystem, living_systems

MOST_SHOWN = 20
"""Packets, threads and files of a port that are shown."""
LONGEST_TEXT = 80
"""Characters of a name or a key that are shown."""


@dataclass(frozen=True, slots=True)
class ThreadPicture:
    """One thread that is associated with a port: its name and its state, in the words of the catalogue."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class FilePicture:
    """One associated file object: what it is, its completion key, and how many requests are in flight."""

    kind: str
    key: str
    requests: int


@dataclass(frozen=True, slots=True)
class PortPicture:
    """One port.

    `handles` are values that are open, `name` that of a named port or "".  `active` threads are counted against
    `concurrency`; `depth` packets are queued, of which `packets` shows keys, oldest first; `waiting` threads are
    parked, of which `waiters` are the top ones, top first; `threads` are the associated ones, `files` the associated
    file objects.  `dropped` packets came after the last close.
    """

    handles: tuple[int, ...]
    name: str
    concurrency: int
    active: int
    depth: int
    packets: tuple[str, ...]
    waiting: int
    waiters: tuple[str, ...]
    threads: tuple[ThreadPicture, ...]
    files: tuple[FilePicture, ...]
    dropped: int
    is_closed: bool


@dataclass(frozen=True, slots=True)
class SystemPicture:
    """One emulated machine: its profile, its logical processors and its ports."""

    profile: str
    processors: int
    ports: tuple[PortPicture, ...]


@dataclass(frozen=True, slots=True)
class ProcessPicture:
    """One process of the host, `pid`, started as `command`, with its emulated machines that have ports."""

    pid: int
    command: str
    systems: tuple[SystemPicture, ...]


def picture(systems: Sequence[ThreadSystem] | None = None) -> ProcessPicture:
    """The ports of this process, or of these systems.  Waits for verbs that are under way, never for threads.

    A simulation that runs is passed over: it stands still only for its own threads.  O(state).

    >>> from iocp_emu import CompletionPort, ThreadSystem, use
    >>> system = ThreadSystem()
    >>> with use(system), CompletionPort(2) as port:
    ...     port.post(key="hello")
    ...     [(each.concurrency, each.packets) for each in picture([system]).systems[0].ports]
    [(2, ("'hello'",))]
    """
    pictures: list[SystemPicture] = []
    for system in living_systems() if systems is None else systems:
        if systems is not None or not isinstance(system, Simulation):
            with suppress(ForkedSystemError):
                pictures.append(system.perform(_system, system))
    command = " ".join([os.path.basename(sys.executable or "python"), *sys.orig_argv[1:]])
    return ProcessPicture(os.getpid(), _cut(command), tuple(each for each in pictures if each.ports))


def _system(system: ThreadSystem) -> SystemPicture:
    """As a verb: the ports of one system."""
    kernel = system.kernel
    handles: dict[IoCompletion, list[int]] = {}
    table = system.process.handles
    for handle in table.handles():
        obj = table.entry(handle).object
        if isinstance(obj, IoCompletion):
            handles.setdefault(obj, []).append(handle)
    files: dict[IoCompletion, list[FileObject]] = {}
    ports: list[IoCompletion] = []
    for obj in kernel.objects:
        if isinstance(obj, IoCompletion):
            ports.append(obj)
        elif isinstance(obj, FileObject) and obj.association is not None:
            files.setdefault(obj.association.port, []).append(obj)
    shown = tuple(_port(port, handles.get(port, []), files.get(port, [])) for port in ports)
    return SystemPicture(kernel.profile.name, kernel.processors, shown)


def _port(port: IoCompletion, handles: list[int], files: list[FileObject]) -> PortPicture:
    queue = port.queue
    waiters = [_name(thread) for thread in list(reversed(queue.waiters))[:MOST_SHOWN]]
    return PortPicture(
        tuple(handles),
        _cut(port.name or ""),
        queue.maximum_count,
        queue.current_count,
        len(queue.packets),
        tuple(key_text(packet.key) for packet in _first(queue.packets)),
        len(queue.waiters),
        tuple(waiters),
        tuple(ThreadPicture(_name(thread), thread.state.name.lower()) for thread in list(queue.members)[:MOST_SHOWN]),
        tuple(_file(file) for file in files[:MOST_SHOWN]),
        port.dropped,
        port.is_closed,
    )


def _first(packets: deque[Packet]) -> list[Packet]:
    """The oldest packets.  By index, since a fast post or get does not wait for this verb."""
    found: list[Packet] = []
    with suppress(IndexError):
        for index in range(MOST_SHOWN):
            found.append(packets[index])
    return found


def _file(file: FileObject) -> FilePicture:
    association = file.association
    return FilePicture(type(file.device).__name__, key_text(association and association.key), len(file.requests))


def _name(thread: KernelThread) -> str:
    return _cut(thread.name or "thread")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."


# -- plain data ----------------------------------------------------------------------------------------------------


def to_document(process: ProcessPicture) -> dict[str, Any]:
    """What JSON can hold."""
    return asdict(process)


def from_document(document: object) -> ProcessPicture:
    """A picture from parsed JSON.  `ValueError`, with the place, for anything that is none."""
    return cast(ProcessPicture, _read(document, ProcessPicture, "the document"))


def _read(value: object, wanted: Any, place: str) -> object:
    if is_dataclass(wanted):
        make = cast("type[Any]", wanted)
        hints = get_type_hints(make)
        given = cast("dict[object, object]", value) if isinstance(value, dict) else {}
        if set(given) != set(hints):
            raise ValueError(f"{place} is no {make.__name__}")
        return make(**{name: _read(given[name], hint, f"{place}.{name}") for name, hint in hints.items()})
    if get_origin(wanted) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{place} is no list")
        items = cast("list[object]", value)
        return tuple(_read(each, get_args(wanted)[0], f"{place}[{number}]") for number, each in enumerate(items))
    if type(value) is not wanted:
        raise ValueError(f"{place} is {type(value).__name__}, not {wanted.__name__}")
    return value
