"""Pipe ends that wait, on real threads: synchronous reads, writes and listens, flushes, and what ends them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.overlapped.pipes import PipeEnd
from iocp_emu.status import (
    STATUS_BUFFER_OVERFLOW,
    STATUS_CANCELLED,
    STATUS_PENDING,
    STATUS_PIPE_BROKEN,
    STATUS_PIPE_CLOSING,
    STATUS_PIPE_DISCONNECTED,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import OpenedEnd, connected, drain, messages, open_, serve
from tests.overlapped.support import DEADLINE, Rig, eventually

SYNCHRONOUS = IoMode.SYNCHRONOUS


class Caller:
    """A thread that makes one call and keeps its answer."""

    def __init__(self, rig: Rig, call: Callable[[], Any]) -> None:
        self.answers: list[Any] = []
        self.rig = rig
        self.kernel_thread: Any = None
        self._call = call
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.kernel_thread = self.rig.system.current()
        self.answers.append(self._call())

    def until_blocked(self) -> Caller:
        """Wait until the kernel sees it blocked (Q-23)."""
        eventually(
            lambda: self.kernel_thread is not None and self.kernel_thread.state is ThreadState.BLOCKED, "it blocks"
        )
        assert not self.answers
        return self

    def answer(self) -> Any:
        """What the call returned, once it has."""
        self.thread.join(DEADLINE)
        assert self.answers, "still in the call"
        return self.answers[0]


def blocking_read(rig: Rig, end: OpenedEnd) -> Caller:
    """A thread in a synchronous read."""
    return Caller(rig, lambda: end.read_now(16)).until_blocked()


def blocking_write(rig: Rig, end: OpenedEnd) -> Caller:
    """A thread in a synchronous write beyond the quota."""
    return Caller(rig, lambda: end.write_now(b"0123456789")).until_blocked()


def blocking_listen(rig: Rig, end: OpenedEnd) -> Caller:
    """A thread in a synchronous listen."""
    return Caller(rig, lambda: end.listen().code).until_blocked()


def blocking_flush(rig: Rig, end: OpenedEnd) -> Caller:
    """A thread in a flush."""
    return Caller(rig, end.flush).until_blocked()


def test_q23_a_synchronous_read_waits_for_data(rig: Rig) -> None:
    """Q-23: the thread is blocked for the kernel, and goes on with the data."""
    server, client = connected(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS)
    reader = blocking_read(rig, server)
    assert client.write_now(b"hello") == (STATUS_SUCCESS, 5)
    assert reader.answer() == (STATUS_SUCCESS, b"hello")
    assert server.write_now(b"back") == (STATUS_SUCCESS, 4)
    assert client.read_now(2) == (STATUS_SUCCESS, b"ba")


def test_q23_a_synchronous_write_waits_for_room(rig: Rig) -> None:
    """Q-23: it goes on when the rest fits the buffer."""
    server, client = connected(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS, quota=4)
    writer = blocking_write(rig, client)
    assert server.read_now(6) == (STATUS_SUCCESS, b"012345")
    assert writer.answer() == (STATUS_SUCCESS, 10)
    assert server.read_now(99) == (STATUS_SUCCESS, b"6789")


def test_q23_a_synchronous_listen_waits_for_a_client(rig: Rig) -> None:
    """Q-23: it goes on when a client opens."""
    server = serve(rig, io_mode=SYNCHRONOUS)
    listener = blocking_listen(rig, server)
    open_(rig)
    assert listener.answer() == STATUS_SUCCESS


def test_a_synchronous_read_of_part_of_a_message(rig: Rig) -> None:
    """The warning and the count of a message that is longer than the buffer."""
    server, client = messages(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS)
    reader = Caller(rig, lambda: server.read_now(3)).until_blocked()
    client.write_now(b"hello")
    assert reader.answer() == (STATUS_BUFFER_OVERFLOW, b"hel")


def test_a_flush_waits_until_all_is_read(rig: Rig) -> None:
    """FlushFileBuffers: on an overlapped end too; empty messages count; no packet comes."""
    server, client = messages(rig)
    client.bind()
    assert client.flush() == STATUS_SUCCESS
    client.write(b"one")
    client.write(b"")
    drain(rig)
    flusher = blocking_flush(rig, client)
    server.read(2)
    server.read(2)
    assert not flusher.answers
    server.read(2)
    assert flusher.answer() == STATUS_SUCCESS
    assert rig.no_packet()


def test_a_flush_goes_on_when_what_it_waits_for_is_taken_back(rig: Rig) -> None:
    """Data of a cancelled write is not read any more, and not waited for."""
    _, client = connected(rig, quota=2)
    write = client.write(b"too much")
    flusher = blocking_flush(rig, client)
    client.cancel(write)
    assert flusher.answer() == STATUS_SUCCESS


ENDINGS: list[Any] = [
    pytest.param(lambda near, far: near.close(), STATUS_PIPE_BROKEN, id="own end closed"),
    pytest.param(lambda near, far: far.close(), STATUS_PIPE_BROKEN, id="other end closed"),
    pytest.param(lambda near, far: near.disconnect(), STATUS_PIPE_DISCONNECTED, id="disconnected"),
    pytest.param(
        lambda near, far: near.rig.system.perform(near.file.cancel_requests), STATUS_CANCELLED, id="cancelled"
    ),
]


@pytest.mark.parametrize("operation", [blocking_read, blocking_write, blocking_flush])
@pytest.mark.parametrize(("end", "code"), ENDINGS)
def test_what_ends_a_wait(
    rig: Rig,
    operation: Callable[[Rig, OpenedEnd], Caller],
    end: Callable[[OpenedEnd, OpenedEnd], object],
    code: int,
) -> None:
    """I-43, k32pipe-closewrite: a thread that waits on a pipe goes on when the pipe ends, whoever ended it."""
    server, client = connected(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS, quota=4)
    if operation is blocking_flush:
        server.write_now(b"x")
    waiting = operation(rig, server)
    end(server, client)
    answer = waiting.answer()
    assert (answer if operation is blocking_flush else answer[0]) == code


def test_closing_ends_a_synchronous_listen(rig: Rig) -> None:
    """I-43: 109; cancelled it is 995 (ntpipe-synccancel)."""
    server = serve(rig, io_mode=SYNCHRONOUS)
    listener = blocking_listen(rig, server)
    rig.system.perform(server.file.cancel_requests)
    assert listener.answer() == STATUS_CANCELLED
    listener = blocking_listen(rig, server)
    server.close()
    assert listener.answer() == STATUS_PIPE_BROKEN


def test_an_exception_in_the_waiting_thread_takes_its_request_along(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: the wait ends, the request is cancelled, later data stays for the next read."""
    server, client = connected(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS)

    def interrupted(objects: object, **_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rig.system, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.read_now(16)
    assert not server.file.requests
    client.write_now(b"x")
    assert server.read_now(16) == (STATUS_SUCCESS, b"x")


def test_many_writers_and_readers_lose_nothing(rig: Rig) -> None:
    """Threads on both ends of a message pipe with a small buffer: every message arrives once, per writer in order."""
    server, client = messages(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS, quota=16)
    writers, count = 3, 150

    def write(writer: int) -> bool:
        return all(
            client.write_now(f"{writer} {number}".encode())[0] == STATUS_SUCCESS for number in range(count)
        )

    def read() -> list[bytes]:
        found: list[bytes] = []
        while True:
            code, data = server.read_now(16)
            if code != STATUS_SUCCESS:
                assert code == STATUS_PIPE_BROKEN
                return found
            found.append(data)

    reading = [Caller(rig, read) for _ in range(2)]
    writing = [Caller(rig, functools.partial(write, writer)) for writer in range(writers)]
    assert all(each.answer() for each in writing)
    assert client.flush() == STATUS_SUCCESS
    client.close()
    found = [each.answer() for each in reading]
    assert sorted(found[0] + found[1]) == sorted(
        f"{writer} {number}".encode() for writer in range(writers) for number in range(count)
    )
    for part in found:
        for writer in range(writers):
            numbers = [int(data.split()[1]) for data in part if data.split()[0] == str(writer).encode()]
            assert numbers == sorted(numbers)


def test_cancels_racing_completions(rig: Rig) -> None:
    """I-41, P-15: a thread writes, another cancels: each read ends exactly once, and the data is all there."""
    server, client = connected(rig)
    server.bind()
    count = 300
    stop = threading.Event()

    def cancel() -> int:
        cancelled = 0
        while not stop.is_set():
            cancelled += rig.system.perform(server.file.cancel_requests)
        return cancelled

    def write() -> None:
        for number in range(count):
            client.write(bytes([number % 251]))

    canceller, writer = Caller(rig, cancel), Caller(rig, write)
    received = bytearray()
    reads = 0
    while len(received) < count:
        read = server.read(3)
        assert read.code in (STATUS_PENDING, STATUS_SUCCESS)
        reads += 1
        packet = rig.packet()
        assert packet.overlapped is read.block
        assert packet.status in (STATUS_SUCCESS, STATUS_CANCELLED)
        received += read.data
    stop.set()
    writer.answer()
    canceller.answer()
    assert received == bytes(number % 251 for number in range(count))
    assert rig.no_packet()
    assert reads >= count / 3


def test_a_closed_end_in_use_is_freed_after_the_call(rig: Rig) -> None:
    """H-03: the file object lives as long as the call, and no longer."""
    server, client = connected(rig, SYNCHRONOUS, io_mode=SYNCHRONOUS)
    reader = blocking_read(rig, server)
    server.close()
    assert reader.answer()[0] == STATUS_PIPE_BROKEN
    eventually(lambda: server.file.freed, "freed")
    assert client.write_now(b"x")[0] == STATUS_PIPE_CLOSING
    assert isinstance(client.file.device, PipeEnd)
