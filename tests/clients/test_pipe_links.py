"""Pipe ends that became descriptors of the host: order, back pressure, and who learns of whose end."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from iocp_emu import status, win32
from iocp_emu.compat.msvcrt_module import open_osfhandle
from iocp_emu.overlapped.reactor import REACTOR

MILLISECONDS = 30_000
QUOTA = 8192
_names = itertools.count()


def pipe(access: int = win32.PIPE_ACCESS_DUPLEX, quota: int = QUOTA) -> tuple[int, int]:
    """Both ends of a pipe: the server's, overlapped, and the client's, with the rights that go with `access`."""
    name = rf"\\.\pipe\iocp-emu-link-{os.getpid()}-{next(_names)}"
    server = win32.CreateNamedPipeW(name, access | win32.FILE_FLAG_OVERLAPPED, 0, 1, quota, quota)
    rights = 0
    if access & win32.PIPE_ACCESS_INBOUND:
        rights |= win32.GENERIC_WRITE
    if access & win32.PIPE_ACCESS_OUTBOUND:
        rights |= win32.GENERIC_READ
    client = win32.CreateFileW(name, rights, 0, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)
    assert win32.INVALID_HANDLE_VALUE not in (server, client)
    return server, client


class Operation:
    """One overlapped read or write with an event."""

    def __init__(self, handle: int, *, data: bytes = b"", size: int = 0) -> None:
        self.handle = handle
        self.buffer = bytearray(data) or bytearray(size)
        self.event = win32.CreateEventW(True, False)
        self.overlapped = win32.OVERLAPPED(hEvent=self.event)
        call = win32.WriteFile if data else win32.ReadFile
        self.ret = call(handle, self.buffer, len(self.buffer), self.overlapped).ret
        self.error = 0 if self.ret else win32.GetLastError()

    def finish(self) -> bytes:
        """Wait for the end; the bytes moved.  Its error is kept."""
        assert win32.WaitForSingleObject(self.event, MILLISECONDS) == win32.WAIT_OBJECT_0
        result = win32.GetOverlappedResult(self.handle, self.overlapped, False)
        self.error = 0 if result.ret else win32.GetLastError()
        return bytes(self.buffer[: self.overlapped.information])

    def __del__(self) -> None:
        win32.CloseHandle(self.event)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No link stays behind, nor its descriptor."""
    before = REACTOR.watched
    yield
    gc.collect()
    for _ in range(3000):
        if REACTOR.watched <= before:
            break
        threading.Event().wait(0.01)
    assert REACTOR.watched <= before


def read_all(descriptor: int, size: int) -> bytes:
    """Exactly `size` bytes."""
    data = b""
    while len(data) < size:
        part = os.read(descriptor, size - len(data))
        assert part
        data += part
    return data


def test_to_the_host() -> None:
    """What the near end writes is read from the descriptor, in order; also what was written before the link."""
    server, client = pipe()
    early = Operation(client, data=b"early ")
    descriptor = open_osfhandle(server, os.O_RDONLY)
    assert not win32.CloseHandle(server)
    assert win32.GetLastError() == status.ERROR_INVALID_HANDLE
    late = Operation(client, data=b"late")
    assert (early.finish(), late.finish()) == (b"early ", b"late")
    assert read_all(descriptor, 10) == b"early late"
    assert os.get_blocking(descriptor)
    win32.CloseHandle(client)
    assert os.read(descriptor, 1) == b""
    os.close(descriptor)


def test_from_the_host() -> None:
    """What is written to the descriptor is read at the near end, then its end."""
    server, client = pipe(win32.PIPE_ACCESS_INBOUND)
    descriptor = open_osfhandle(client, 0)
    waiting = Operation(server, size=100)
    assert waiting.error == status.ERROR_IO_PENDING
    os.write(descriptor, b"hello")
    assert waiting.finish() == b"hello"
    os.write(descriptor, b"last")
    os.close(descriptor)
    assert Operation(server, size=100).finish() == b"last"
    end = Operation(server, size=100)
    if end.error == status.ERROR_IO_PENDING:
        end.finish()
    assert end.error == status.ERROR_BROKEN_PIPE
    win32.CloseHandle(server)


def test_writes_wait_for_a_slow_reader() -> None:
    """A write pends while neither the host nor the quota takes it; nothing is lost."""
    server, client = pipe()
    descriptor = open_osfhandle(server, os.O_RDONLY)
    data = os.urandom(1 << 20)
    writing = Operation(client, data=data)
    assert writing.error == status.ERROR_IO_PENDING
    assert win32.WaitForSingleObject(writing.event, 20) == status.WAIT_TIMEOUT
    assert read_all(descriptor, len(data)) == data
    assert len(writing.finish()) == len(data)
    win32.CloseHandle(client)
    os.close(descriptor)


def test_a_writer_in_the_host_waits_for_a_slow_reader() -> None:
    """The near end takes no more than its quota until somebody reads."""
    server, client = pipe(win32.PIPE_ACCESS_INBOUND)
    descriptor = open_osfhandle(client, os.O_WRONLY)
    data = os.urandom(1 << 20)
    done = threading.Event()

    def write() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.close(descriptor)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not done.wait(0.05)
    received = b""
    while len(received) < len(data):
        received += Operation(server, size=5000).finish()
    thread.join()
    assert received == data
    win32.CloseHandle(server)


def test_the_near_end_closes_first() -> None:
    """What was written, and has ended, still goes out; then the descriptor's end is seen."""
    server, client = pipe(quota=1 << 19)
    descriptor = open_osfhandle(server, os.O_RDONLY)
    data = os.urandom(1 << 19)
    assert Operation(client, data=data).finish() == data
    win32.CloseHandle(client)
    assert read_all(descriptor, len(data)) == data
    assert os.read(descriptor, 1) == b""
    os.close(descriptor)


def test_the_host_closes_first() -> None:
    """The near end's requests end as broken, and further ones fail at once."""
    server, client = pipe()
    descriptor = open_osfhandle(server, os.O_RDONLY)
    reading, writing = Operation(client, size=10), Operation(client, data=bytes(1 << 20))
    assert (reading.error, writing.error) == (status.ERROR_IO_PENDING, status.ERROR_IO_PENDING)
    os.close(descriptor)
    reading.finish()
    writing.finish()
    assert reading.error == status.ERROR_BROKEN_PIPE
    assert writing.error == status.ERROR_BROKEN_PIPE
    assert Operation(client, data=b"x").error == status.ERROR_NO_DATA
    win32.CloseHandle(client)


def test_a_cancelled_write() -> None:
    """What has not gone out of a cancelled write never does; the next write follows what has."""
    server, client = pipe()
    descriptor = open_osfhandle(server, os.O_RDONLY)
    writing = Operation(client, data=b"a" * (1 << 20))
    assert win32.CancelIoEx(client, writing.overlapped)
    writing.finish()
    assert writing.error == status.ERROR_OPERATION_ABORTED
    Operation(client, data=b"end")
    received = b""
    while not received.endswith(b"end"):
        received += os.read(descriptor, 1 << 16)
    assert len(received) < 1 << 20
    assert set(received[:-3]) == {ord("a")}
    win32.CloseHandle(client)
    os.close(descriptor)


def test_both_ways() -> None:
    """With O_RDWR a duplex end reads and writes."""
    server, client = pipe()
    descriptor = open_osfhandle(server, os.O_RDWR)
    Operation(client, data=b"ping")
    assert os.read(descriptor, 10) == b"ping"
    os.write(descriptor, b"pong")
    assert Operation(client, size=10).finish() == b"pong"
    os.close(descriptor)
    end = Operation(client, size=10)
    if end.error == status.ERROR_IO_PENDING:
        end.finish()
    assert end.error == status.ERROR_BROKEN_PIPE
    win32.CloseHandle(client)


def test_a_child_inherits_it() -> None:
    """A child reads its stdin from one link and writes its stdout to another."""
    stdin_server, stdin_client = pipe()
    stdout_server, stdout_client = pipe(win32.PIPE_ACCESS_INBOUND)
    stdin, stdout = open_osfhandle(stdin_server, os.O_RDONLY), open_osfhandle(stdout_client, 0)
    code = "import sys; sys.stdout.write(sys.stdin.read().upper())"
    with subprocess.Popen([sys.executable, "-c", code], stdin=stdin, stdout=stdout) as child:
        os.close(stdin)
        os.close(stdout)
        Operation(stdin_client, data=b"a child of the host").finish()
        win32.CloseHandle(stdin_client)
        received = b""
        while True:
            reading = Operation(stdout_server, size=100)
            if reading.error in (0, status.ERROR_IO_PENDING):
                received += reading.finish()
            if reading.error:
                break
        assert reading.error == status.ERROR_BROKEN_PIPE
    assert (received, child.returncode) == (b"A CHILD OF THE HOST", 0)
    win32.CloseHandle(stdout_server)


def test_what_cannot_be_handed_over() -> None:
    """An end with requests under way or without a peer stays as it is: 87."""
    server, client = pipe()
    reading = Operation(server, size=10)
    with pytest.raises(OSError, match=r"\[WinError 87\]"):
        open_osfhandle(server, 0)
    Operation(client, data=b"data")
    assert reading.finish() == b"data"
    win32.CloseHandle(client)
    with pytest.raises(OSError, match=r"\[WinError 87\]"):
        open_osfhandle(server, 0)
    assert win32.CloseHandle(server)
