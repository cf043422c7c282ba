"""The bench of these tests: one system with one port, real files, and devices that wait when they are told to.

Own rules.  At the end every handle is closed, the invariants hold, no request, file object or I/O work is left, and
the host has as many descriptors open as before.  Waiting is for conditions, with a generous deadline.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iocp_emu.kernel.completion import Packet
from iocp_emu.kernel.file import FileObject, IoMode, StatusBlock
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.objects import Access
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.waits import Event, ResetMode
from iocp_emu.overlapped.descriptors import HOST_DESCRIPTOR, Descriptor
from iocp_emu.overlapped.device import Ask
from iocp_emu.overlapped.engine import ENGINE
from iocp_emu.overlapped.files import DiskFile, open_file
from iocp_emu.overlapped.opening import Caching, Disposition, OnClose, OpenOptions
from iocp_emu.overlapped.sharing import Share, file_table
from iocp_emu.profiles import Profile
from iocp_emu.runtime.threads import ThreadSystem

T = TypeVar("T")

READ = Access.FILE_READ_DATA
WRITE = Access.FILE_WRITE_DATA
APPEND = Access.FILE_APPEND_DATA
BOTH = READ | WRITE
ALL_SHARED = Share.READ | Share.WRITE | Share.DELETE
DEADLINE = 60.0
DIGITS = b"0123456789"


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.0005)


def open_descriptors() -> int:
    """Descriptors that this process has open; 0 where the host does not tell."""
    for directory in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return len(os.listdir(directory))
    return 0


def options(
    access: int = BOTH,
    share: Share = ALL_SHARED,
    disposition: Disposition = Disposition.OPEN_EXISTING,
    io_mode: IoMode = IoMode.OVERLAPPED,
    caching: Caching = Caching.CACHED,
    on_close: OnClose = OnClose.KEEP,
) -> OpenOptions:
    """Options of which a test names only what it is about."""
    return OpenOptions(access, share, disposition, io_mode, caching, on_close)


SYNCHRONOUS = IoMode.SYNCHRONOUS
UNBUFFERED = Caching.UNBUFFERED


@dataclass(eq=False)
class Operation:
    """One call: what it answered, its status block and its buffer."""

    code: int
    block: StatusBlock
    buffer: bytearray

    @property
    def data(self) -> bytes:
        """What a finished read has brought."""
        return bytes(self.buffer[: self.block.information])


class Opened:
    """A file object with one handle."""

    def __init__(self, rig: Rig, file: FileObject, existed: bool = True) -> None:
        self.rig = rig
        self.file = file
        self.existed = existed
        self.handle: int | None = rig.system.perform(rig.system.process.handles.open, file, Access.FILE_ALL)

    @property
    def device(self) -> Any:
        """The device, of whatever kind the test has opened."""
        return self.file.device

    def close(self) -> None:
        """Close the handle."""
        handle, self.handle = self.handle, None
        self.rig.system.perform(self.rig.system.process.handles.close, handle)

    def bind(self, key: Any = "key") -> Opened:
        """Associate with the rig's port."""
        self.rig.system.perform(self.file.associate, self.rig.port, key)
        return self

    def ask(self, with_packet: bool = True, event: Event | None = None, apc: Any = None) -> Ask:
        """A fresh status block, marked as a face does; it is itself the context."""
        block = StatusBlock(status=0x77, information=0x77)
        block.begin()
        return Ask(block, context=block if with_packet else None, event=event, apc=apc)

    def read(self, size: int, offset: int | None = 0, ask: Ask | None = None) -> Operation:
        """Overlapped read."""
        ask = ask or self.ask()
        buffer = bytearray(size)
        return Operation(
            self.device.read(self.rig.system, self.file, memoryview(buffer), offset, ask), ask.block, buffer
        )

    def write(self, data: bytes, offset: int | None = 0, ask: Ask | None = None) -> Operation:
        """Overlapped write."""
        ask = ask or self.ask()
        code = self.device.write(self.rig.system, self.file, memoryview(data), offset, ask)
        return Operation(code, ask.block, bytearray(data))

    def read_now(self, size: int, offset: int | None = None) -> tuple[int, bytes]:
        """Synchronous read: NTSTATUS and data."""
        buffer = bytearray(size)
        outcome = self.device.read_now(self.rig.system, self.file, memoryview(buffer), offset)
        return outcome.status, bytes(buffer[: outcome.count])

    def write_now(self, data: bytes, offset: int | None = None) -> tuple[int, int]:
        """Synchronous write: NTSTATUS and count."""
        outcome = self.device.write_now(self.rig.system, self.file, memoryview(data), offset)
        return outcome.status, outcome.count

    def cancel(self, operation: Operation | None = None) -> int:
        """CancelIoEx: how many requests were asked to end."""
        block = None if operation is None else operation.block
        return self.rig.system.perform(self.file.cancel_requests, block=block)


class Rig:
    """A system with a port."""

    def __init__(self, profile: str | Profile = "win10", concurrency: int = 4) -> None:
        self.system = ThreadSystem(profile, processors=4)
        self.port = self.system.kernel.create_port(concurrency)
        self._port_handle = self.system.perform(self.system.process.handles.open, self.port, Access.ALL)
        self.opened: list[Opened] = []
        self.events: list[Event] = []

    def open(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Opened:
        """Open a file; arguments as of `options`."""
        found = open_file(self.system, path, options(*args, **kwargs))
        return self.adopt(Opened(self, found.file, found.existed))

    def open_on(self, descriptor: Descriptor, path: Path, *args: Any, **kwargs: Any) -> Opened:
        """A file on a descriptor of the test's own making, otherwise as `open`."""
        how = options(*args, **kwargs)
        about = os.fstat(descriptor.number)
        table, opening = file_table(self.system), how.opening
        real = self.system.perform(table.enter, (about.st_dev, about.st_ino), opening)
        device = DiskFile(str(path), descriptor, table, real, how, opening)
        return self.adopt(Opened(self, self.system.perform(self.system.kernel.create_file, device, how.io_mode)))

    def adopt(self, opened: Opened) -> Opened:
        """Close it at the end."""
        self.opened.append(opened)
        return opened

    def event(self) -> Event:
        """A manual-reset event that lives as long as the system."""
        event = self.system.kernel.create_event(ResetMode.MANUAL, signalled=False)
        self.system.perform(event.reference)
        self.events.append(event)
        return event

    def packet(self, timeout: float | None = DEADLINE) -> Packet:
        """The next packet, which must come."""
        result = self.system.remove_one(self.port, timeout)
        assert not isinstance(result, RemoveOutcome), f"no packet: {result}"
        return result

    def no_packet(self) -> bool:
        """Whether nothing is queued."""
        return self.system.remove_one(self.port, 0) is RemoveOutcome.TIMEOUT

    def close(self) -> None:
        """Close everything and check that nothing is left."""
        for each in self.opened:
            if each.handle is not None:
                each.close()
        kernel = self.system.kernel
        eventually(lambda: not [each for each in kernel.objects if isinstance(each, FileObject)], "files are freed")
        assert [each for each in kernel.objects if isinstance(each, Event)] == self.events
        self.system.perform(check, kernel)
        self.system.perform(self.system.process.handles.close_all)
        assert not [thread.requests for thread in self.system.process.threads if thread.requests]


if TYPE_CHECKING:
    HostDescriptor = Descriptor
else:
    HostDescriptor = HOST_DESCRIPTOR


MakeRig = Callable[..., Rig]
"""The fixture `rigs`: a system of the given profile and concurrency value."""


class GatedDescriptor(HostDescriptor):
    """A slow disk: nothing is in memory, and reading and writing wait for `gate`.

    `entered` counts the operations that have begun to wait; `error` makes them fail.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0)), at_end=False)
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.error: BaseException | None = None

    def read_cached(self, target: memoryview, offset: int) -> int | None:
        """Never without waiting."""
        if self.error is not None:
            raise self.error
        return None

    def read(self, target: memoryview, offset: int) -> int:
        """Wait, then read."""
        self._wait()
        return super().read(target, offset)

    def write(self, data: memoryview, offset: int) -> None:
        """Wait, then write."""
        self._wait()
        super().write(data, offset)

    def flush(self) -> None:
        """Wait, then flush."""
        self._wait()
        super().flush()

    def _wait(self) -> None:
        self.entered.release()
        assert self.gate.wait(DEADLINE)
        if self.error is not None:
            raise self.error


class Plug:
    """Work that keeps one I/O thread until it is released."""

    def __init__(self, release: threading.Event) -> None:
        self.release = release
        self.began = threading.Event()

    def run(self) -> None:
        """Wait."""
        self.began.set()
        assert self.release.wait(DEADLINE)

    def refuse(self) -> None:
        """The host has threads enough for these tests."""
        raise AssertionError("no I/O thread")


@contextlib.contextmanager
def engine_busy() -> Generator[threading.Event]:
    """Every I/O thread is kept until the event is set, at the latest at the end of the block."""
    release = threading.Event()
    plugs = [Plug(release) for _ in range(ENGINE.maximum_threads)]
    for plug in plugs:
        ENGINE.submit(plug)
    try:
        for plug in plugs:
            assert plug.began.wait(DEADLINE)
        yield release
    finally:
        release.set()


def in_thread(action: Callable[[], T]) -> T:
    """Run `action` in a thread of its own, to its end, and return what it returned."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(action()))
    thread.start()
    thread.join(DEADLINE)
    assert results, "the thread failed"
    return results[0]
