"""The bench of the socket tests: a system with a port, real sockets, and calls through the flat face.

Own rules.  At the end every socket is closed, the invariants hold, nothing is under way or watched, and the host has as
many descriptors open as before.  Waiting is for conditions, with a generous deadline.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from iocp_emu import win32
from iocp_emu.kernel.file import FileObject
from iocp_emu.kernel.invariants import check
from iocp_emu.overlapped.reactor import EVENT_READ, REACTOR
from iocp_emu.overlapped.send_queue import wait_until_sent
from iocp_emu.overlapped.sockets import SocketDevice, catch_up
from iocp_emu.profiles import Profile
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem

from .support import DEADLINE, eventually, open_descriptors

DEADLINE_MS = int(DEADLINE * 1000)
PRESET = 0xBADC0DE
ANY_PORT = ("127.0.0.1", 0)
RESET = struct.pack("ii", 1, 0)


class Bench:
    """One emulated machine in use, with a port; `pair` and the others make sockets that belong to it."""

    def __init__(self, profile: str | Profile = "win10") -> None:
        self.system = ThreadSystem(profile, processors=4)
        self.sockets: list[socket.socket] = []
        with use(self.system):
            self.port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 4)

    # -- sockets -----------------------------------------------------------------------------------------------

    def adopt(self, sock: socket.socket) -> socket.socket:
        """Close it at the end."""
        self.sockets.append(sock)
        return sock

    def listener(self, family: int = socket.AF_INET) -> socket.socket:
        """A listening socket of the program."""
        sock = self.adopt(socket.socket(family, socket.SOCK_STREAM))
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        sock.listen(128)
        return sock

    def stream(self, family: int = socket.AF_INET, *, bound: bool = False) -> socket.socket:
        """An unconnected stream socket."""
        sock = self.adopt(socket.socket(family, socket.SOCK_STREAM))
        if bound:
            sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return sock

    def datagram(self, family: int = socket.AF_INET) -> socket.socket:
        """A bound datagram socket."""
        sock = self.adopt(socket.socket(family, socket.SOCK_DGRAM))
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return sock

    def pair(self, key: int | None = 1, family: int = socket.AF_INET) -> tuple[socket.socket, socket.socket]:
        """A connection: the first end is associated with the port, the second is a peer outside."""
        listener = socket.socket(family, socket.SOCK_STREAM)
        with listener:
            listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            listener.listen(1)
            peer = self.adopt(socket.create_connection(listener.getsockname()[:2]))
            own = self.adopt(listener.accept()[0])
        peer.settimeout(DEADLINE)
        if key is not None:
            self.bind(own, key)
        return own, peer

    def bind(self, sock: socket.socket, key: int = 1) -> socket.socket:
        """Associate with the port."""
        assert win32.CreateIoCompletionPort(sock.fileno(), self.port, key, 0) == self.port, win32.GetLastError()
        return sock

    # -- calls -------------------------------------------------------------------------------------------------

    def recv(self, sock: socket.socket, size: int = 16, flags: int = 0) -> Receive:
        """WSARecv with an OVERLAPPED."""
        return Receive(sock, size, flags)

    def send(self, sock: socket.socket, data: bytes | bytearray) -> Call:
        """WSASend with an OVERLAPPED."""
        call = Call()
        call.answer = call.make(win32.WSASend, sock.fileno(), data, len(data), 0, call.ov)
        return call

    def packet(self, timeout_ms: int = DEADLINE_MS) -> tuple[int, int, Any, Any]:
        """The next packet, which must come: its error, bytes, key and OVERLAPPED."""
        win32.SetLastError(PRESET)
        packet = win32.GetQueuedCompletionStatus(self.port, timeout_ms)
        assert packet.lpCompletionKey is not win32.UNTOUCHED, f"no packet: {win32.GetLastError()}"
        error = 0 if packet.ret else win32.GetLastError()
        assert isinstance(packet.lpNumberOfBytesTransferred, int)
        return error, packet.lpNumberOfBytesTransferred, packet.lpCompletionKey, packet.lpOverlapped

    def no_packet(self, timeout_ms: int = 0) -> bool:
        """Whether nothing is queued, and nothing comes within that time."""
        packet = win32.GetQueuedCompletionStatus(self.port, timeout_ms)
        return packet.lpCompletionKey is win32.UNTOUCHED and win32.GetLastError() == win32.WAIT_TIMEOUT

    def device(self, sock: socket.socket | int) -> SocketDevice:
        """What the emulator knows of a socket."""
        number = sock if isinstance(sock, int) else sock.fileno()
        entry = self.system.process.handles.get(number)
        assert entry is not None
        file = entry.object
        assert isinstance(file, FileObject)
        assert isinstance(file.device, SocketDevice)
        return file.device

    def catch_up(self) -> None:
        """Bring in what has happened."""
        catch_up(self.system)

    def close(self) -> None:
        """Close everything and check that nothing is left."""
        self.system.perform(check, self.system.kernel)
        for sock in self.sockets:
            if sock.fileno() >= 0:
                number = sock.detach()
                win32.closesocket(number)
        assert wait_until_sent(DEADLINE)
        kernel = self.system.kernel
        files = [each for each in kernel.objects if isinstance(each, FileObject)]
        assert not files, files
        self.system.perform(check, kernel)
        self.system.perform(self.system.process.handles.close_all)
        assert not [thread.requests for thread in self.system.process.threads if thread.requests]
        assert self.system.catch_up is None


class Call:
    """One overlapped call: its OVERLAPPED, what it answered, and the last error if it failed."""

    def __init__(self) -> None:
        self.ov = win32.OVERLAPPED()
        self.error: int | None = None
        self.answer: Any = None

    def make(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Make the call."""
        win32.SetLastError(PRESET)
        answer = function(*args, **kwargs)
        last = win32.GetLastError()
        self.error = None if last == PRESET else last
        return answer

    @property
    def is_pending(self) -> bool:
        """Whether it answered that it goes on."""
        return self.error == 997


class Receive(Call):
    """A WSARecv."""

    def __init__(self, sock: socket.socket, size: int, flags: int) -> None:
        super().__init__()
        self.buffer = bytearray(size)
        self.answer = self.make(win32.WSARecv, sock.fileno(), self.buffer, size, flags, self.ov)

    @property
    def data(self) -> bytes:
        """What it has brought."""
        return bytes(self.buffer[: self.ov.InternalHigh])


@contextlib.contextmanager
def bench_in_use(profile: str | Profile = "win10") -> Generator[Bench]:
    """A machine in use for a test, or for one example of a property; checked at the end."""
    before = open_descriptors()
    bench = Bench(profile)
    with use(bench.system):
        yield bench
        bench.close()
    eventually(lambda: open_descriptors() <= before, "all descriptors are closed")


class _Idler:
    """Keeps the reactor's thread, and its descriptors, for the time of a module's tests."""

    def system(self) -> None:
        """None has to do with this."""

    def on_ready(self, events: int) -> None:
        """Never called."""


@pytest.fixture(scope="module", autouse=True)
def running_reactor() -> Iterator[None]:
    """The reactor runs all the time, so that its own descriptors are not among those that a test opens."""
    ends, idler = os.pipe(), _Idler()
    REACTOR.watch(ends[0], EVENT_READ, idler)
    yield
    REACTOR.unwatch(ends[0], idler)
    for end in ends:
        os.close(end)


def readable(sock: socket.socket) -> None:
    """Wait until something has arrived."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        assert selector.select(DEADLINE)


def reset(peer: socket.socket) -> None:
    """Close with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


__all__ = [
    "ANY_PORT",
    "DEADLINE",
    "DEADLINE_MS",
    "PRESET",
    "Bench",
    "Call",
    "Receive",
    "bench_in_use",
    "eventually",
    "readable",
    "reset",
    "running_reactor",
]
